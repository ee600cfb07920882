/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic NUMA balancing moves pages to whom uses them.  Windows have a
 * policy of their own, so it leaves them alone; memory of the C library, used
 * in the same way by the same threads, is moved, or the test proves nothing.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/world.h"

#define KIB	((size_t)1 << 10)
#define BYTES	(1024 * KIB)
#define OBJECTS 1000
#define SWITCH	"/proc/sys/kernel/numa_balancing"
#define SCAN	"/sys/kernel/debug/sched/numa_balancing"

static char *object[OBJECTS], *area, *plain;
static int near, far;

static int cpu_of(int node)
{
	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++)
		if (kn_topo.kernel_id[kn_cpu_home[cpu]] == node)
			return cpu;
	return -1;
}

/* Reads and writes all of it: what faults say is who uses it. */
static void use_everything(void)
{
	for (size_t i = 0; i < BYTES; i += 64) {
		((volatile char *)area)[i]++;
		((volatile char *)plain)[i]++;
	}
	for (int i = 0; i < OBJECTS; i++)
		((volatile char *)object[i])[0]++;
}

static bool all_at_home(void)
{
	for (int i = 0; i < OBJECTS; i++)
		if (!world_is_on(object[i], 1000, near))
			return false;
	return world_is_on(area, BYTES, near);
}

/*
 * Until the memory without a policy has followed the thread to @node, which
 * takes its time on a loaded machine: the alarm ends a test in which it never
 * does.
 */
static void plain_follows(int node)
{
	const long most = (long)(BYTES / knuma_page_size());

	world_run_on(cpu_of(node));
	while (world_pages_on(plain, BYTES, node) <= most / 2) {
		for (int k = 0; k < 20; k++)
			use_everything();
		usleep(20000);
	}
}

static void set_pace(const char *delay, const char *least, const char *most)
{
	CHECK_EQ(world_write(delay, SCAN "/scan_delay_ms"), 0);
	CHECK_EQ(world_write(least, SCAN "/scan_period_min_ms"), 0);
	CHECK_EQ(world_write(most, SCAN "/scan_period_max_ms"), 0);
}

static void switch_on(void)
{
	if (world_write("1", SWITCH))
		skip_child("the kernel has no NUMA balancing");
	/* Often, so that the test is short. */
	set_pace("50", "50", "100");
}

static void switch_off(void)
{
	CHECK_EQ(world_write("0", SWITCH), 0);
	set_pace("1000", "1000", "60000");
}

static void prepare(void)
{
	const unsigned nodes = world_memory_nodes() & world_cpu_nodes();

	world_needs(2);
	if (__builtin_popcount(nodes) < 2)
		skip_child("one node with CPUs and memory");
	start_quiet();
	near = __builtin_ctz(nodes);
	far = __builtin_ctz(nodes & (nodes - 1));
	world_run_on(cpu_of(near));
	for (int i = 0; i < OBJECTS; i++) {
		object[i] = kmalloc_node(1000, GFP_KERNEL, near);
		world_lies_on(object[i], 1000, near);
	}
	area = vmalloc_node(BYTES, near);
	world_lies_on(area, BYTES, near);
	plain = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(plain != MAP_FAILED);
	CHECK_EQ(madvise(plain, BYTES, MADV_NOHUGEPAGE), 0);
	world_lies_on(plain, BYTES, near);
}

static void pages_stay_while_threads_migrate(void)
{
	int status;
	pid_t pid;

	prepare();
	switch_on();
	plain_follows(far);
	CHECK(all_at_home());
	plain_follows(near);
	CHECK(all_at_home());
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("home_stale"), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		world_run_on(cpu_of(far));
		for (int i = 0; i < 50; i++) {
			use_everything();
			usleep(10000);
		}
		CHECK(all_at_home());
		world_all_kinds_lie_on(near, near);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	switch_off();
	CHECK_EQ(status, 0);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(pages_stay_while_threads_migrate),
	};

	return cmocka_run_group_tests(tests, NULL, world_restore);
}
