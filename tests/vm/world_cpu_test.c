/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs go offline and come back while the process runs: what lies in their
 * magazines is drained, and a node whose CPUs are all gone still has memory.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/magazine/drain.h"
#include "alloc/slab/cache.h"
#include "tests/support/child.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"
#include "tests/support/world.h"

#define CPUS "/sys/devices/system/cpu"

static struct kmem_cache *cache;
static int nr_cpus;
static pthread_barrier_t barrier;

static bool set_online(int cpu, bool online)
{
	return !world_write(online ? "1" : "0", CPUS "/cpu%d/online", cpu);
}

static bool is_online(int cpu)
{
	return cpu == 0 || world_read(CPUS "/cpu%d/online", cpu)[0] == '1';
}

static void all_online(void)
{
	for (int cpu = 1; cpu < nr_cpus; cpu++)
		CHECK(is_online(cpu) || set_online(cpu, true));
}

static void start(void)
{
	world_needs(1);
	nr_cpus = (int)sysconf(_SC_NPROCESSORS_CONF);
	CHECK(nr_cpus <= 64);
	if (nr_cpus < 2)
		skip_child("one CPU");
	all_online();
	if (!set_online(nr_cpus - 1, false))
		skip_child("the system lets no CPU go offline");
	all_online();
	start_quiet();
	cache = kmem_cache_create("cpus", 200, 0, 0, NULL);
}

static void *fill_magazines(void *cpu)
{
	void *p[100];

	world_run_on((int)(intptr_t)cpu);
	CHECK_EQ(kmem_cache_alloc_bulk(cache, GFP_KERNEL, 100, p), 100);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 100; i++)
		kmem_cache_free(cache, p[i]);
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* A thread on each CPU that is online leaves objects in its magazines. */
static void use_all_cpus(void)
{
	pthread_t thread[64];
	unsigned nr = 0, started = 0;

	for (int cpu = 0; cpu < nr_cpus; cpu++)
		nr += is_online(cpu);
	pthread_barrier_init(&barrier, NULL, nr);
	for (int cpu = 0; cpu < nr_cpus; cpu++)
		if (is_online(cpu))
			CHECK_EQ(pthread_create(&thread[started++], NULL,
						fill_magazines,
						(void *)(intptr_t)cpu),
				 0);
	while (started)
		pthread_join(thread[--started], NULL);
	pthread_barrier_destroy(&barrier);
}

static uint64_t in_magazines(void)
{
	uint64_t popped, present;

	kn_mag_totals(&popped, &present);
	return present;
}

static uint64_t in_use(void)
{
	uint64_t n = 0;

	for (int dense = 0; dense < kn_topo.nr_nodes; dense++)
		n += kn_slab_in_use(cache, dense);
	return n;
}

/*
 * The background's step notes what is there; the next one finds it unused, and
 * gives slabs back, whose pages are in magazines then.
 */
static void idle_magazines_are_drained(void)
{
	for (int i = 0; i < 6 && in_magazines(); i++)
		kn_drain_idle();
	CHECK_EQ(in_magazines(), 0);
	CHECK_EQ(kmem_cache_shrink(cache), 0);
	CHECK_EQ(in_use(), 0);
	heap_verify();
}

static void end(void)
{
	kmem_cache_destroy(cache);
	heap_verify();
}

static void cpus_go_and_come_back(void)
{
	start();
	for (int gone = 1; gone < nr_cpus; gone++) {
		use_all_cpus();
		CHECK(in_magazines() > 0);
		CHECK(set_online(gone, false));
		CHECK_EQ(knuma_trim(), 0);
		idle_magazines_are_drained();
		use_all_cpus();
		idle_magazines_are_drained();
	}
	CHECK_EQ(sched_getcpu(), 0);
	CHECK_EQ(knuma_numa_node_id(), 0);
	all_online();
	CHECK_EQ(knuma_trim(), 0);
	use_all_cpus();
	idle_magazines_are_drained();
	end();
}

/* A thread is pushed off its CPU with objects in its hands. */
static void *work_on(void *arg)
{
	const int cpu = (int)(intptr_t)arg;
	void *p[50];

	world_run_on(cpu);
	for (int i = 0; i < 50; i++)
		CHECK(p[i] = kmem_cache_alloc(cache, GFP_KERNEL));
	CHECK(set_online(cpu, false));
	CHECK(sched_getcpu() != cpu);
	for (int i = 0; i < 50; i++)
		kmem_cache_free(cache, p[i]);
	CHECK(set_online(cpu, true));
	return NULL;
}

static void a_thread_loses_its_cpu(void)
{
	pthread_t thread;

	start();
	CHECK_EQ(pthread_create(&thread, NULL, work_on,
				(void *)(intptr_t)(nr_cpus - 1)),
		 0);
	pthread_join(thread, NULL);
	idle_magazines_are_drained();
	end();
}

static int last_cpu_node(void)
{
	return 31 - __builtin_clz(world_cpu_nodes());
}

/* All CPUs of a node: its memory serves as before. */
static void a_node_loses_its_cpus(void)
{
	int node, status, home = -1;
	pid_t pid;

	start();
	node = last_cpu_node();
	if (!(world_memory_nodes() >> node & 1) || node == 0)
		skip_child("no second node with CPUs and memory");
	for (int cpu = 1; cpu < nr_cpus; cpu++)
		if (kn_topo.kernel_id[kn_cpu_home[cpu]] == node) {
			CHECK(set_online(cpu, false));
			home = cpu;
		}
	CHECK(home > 0);
	CHECK(!(world_cpu_nodes() >> node & 1));
	CHECK_EQ(knuma_trim(), 0);
	world_all_kinds_lie_on(node, node);
	/* Which node is meant must not change on the way. */
	world_run_on(0);
	world_all_kinds_lie_on(NUMA_NO_NODE, knuma_numa_mem_id());
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		world_all_kinds_lie_on(node, node);
		all_online();
		CHECK_EQ(knuma_trim(), 0);
		world_run_on(home);
		CHECK_EQ(knuma_numa_node_id(), node);
		world_all_kinds_lie_on(NUMA_NO_NODE, node);
		heap_verify();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	all_online();
	CHECK_EQ(knuma_trim(), 0);
	world_run_on(home);
	CHECK_EQ(knuma_numa_node_id(), node);
	world_all_kinds_lie_on(NUMA_NO_NODE, node);
	end();
}

static void flip_cpu(void)
{
	static int turn;
	const int cpu = 1 + turn++ / 2 % (nr_cpus - 1);

	CHECK(set_online(cpu, turn % 2 == 0));
	kn_drain_idle();
}

static void threads_work_on(void)
{
	start();
	hammer(4, 20, flip_cpu);
	all_online();
	end();
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(cpus_go_and_come_back),
		child_test(a_thread_loses_its_cpu),
		child_test(a_node_loses_its_cpus),
		child_test(threads_work_on),
	};

	return cmocka_run_group_tests(tests, NULL, world_restore);
}
