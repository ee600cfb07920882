/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpuset.mems and cpuset.cpus change while the process runs.  The kernel moves
 * the pages of the process, and tells it nothing.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/magazine/drain.h"
#include "alloc/slab/cache.h"
#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"
#include "tests/support/world.h"

#define MIB	((size_t)1 << 20)
#define OBJECTS 4000

static unsigned all;
static int node;

static void start(void)
{
	world_needs(2);
	all = world_memory_nodes();
	node = world_roomy_node(100, 0);
	world_enter_cgroup();
	world_set_mems(all);
	start_quiet();
	CHECK_EQ(knuma_trim(), 0);
}

static void end(void)
{
	heap_verify();
	world_leave_cgroup();
}

/* The window has the policy of its own node, however often it changed. */
static void windows_have_their_policies(unsigned nodes)
{
	for (int dense = 0; dense < kn_topo.nr_nodes; dense++) {
		char policy[32];

		if (!(nodes >> kn_topo.kernel_id[dense] & 1))
			continue;
		snprintf(policy, sizeof(policy), "prefer=static:%d",
			 kn_topo.kernel_id[dense]);
		CHECK_HAS(world_policy((void *)kn_window_base(dense)), policy);
	}
}

static bool in_zonelist(int of, int wanted)
{
	int list[32];
	const int n = knuma_zonelist(of, list, 32);

	for (int i = 0; i < n; i++)
		if (list[i] == wanted)
			return true;
	return false;
}

static void a_node_leaves_and_comes_back(void)
{
	static char *object[OBJECTS];
	char *area;
	int other, list[32];

	start();
	for (int i = 0; i < OBJECTS; i++) {
		object[i] = kmalloc_node(1000, GFP_KERNEL, node);
		world_lies_on(object[i], 1000, node);
		pattern_fill(object[i], 1000, (uint64_t)i);
	}
	area = vmalloc_node(4 * MIB, node);
	world_lies_on(area, 4 * MIB, node);
	CHECK_EQ(stat_of("home_stale"), 0);

	world_set_mems(all & ~(1u << node));
	/* The kernel has moved them; nobody told us. */
	CHECK_EQ(world_pages_on(area, 4 * MIB, node), 0);
	CHECK(in_zonelist(node, node));
	CHECK_EQ(knuma_trim(), 0);
	CHECK(!in_zonelist(node, node));
	knuma_zonelist(node, list, 1);
	other = list[0];
	world_all_kinds_lie_on(node, other);
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, node),
		    ENOMEM);
	CHECK(stat_of("home_stale") > 0);
	CHECK_EQ(stat_of("home_moved"), 0);
	CHECK_EQ(printed_times("pages of node"), 1);
	windows_have_their_policies(all);
	for (int i = 0; i < OBJECTS; i++)
		CHECK(pattern_holds(object[i], 1000, (uint64_t)i));
	for (int i = 0; i < OBJECTS; i += 2)
		kfree(object[i]);

	world_set_mems(all);
	CHECK_EQ(knuma_trim(), 0);
	CHECK(in_zonelist(node, node));
	/* What was moved is home again, and so is what is given out. */
	CHECK(world_is_on(area, 4 * MIB, node));
	for (int i = 1; i < OBJECTS; i += 2) {
		CHECK(world_is_on(object[i], 1000, node));
		CHECK(pattern_holds(object[i], 1000, (uint64_t)i));
		kfree(object[i]);
	}
	CHECK(stat_of("home_moved") >= 4 * MIB / KN_PAGE_SIZE);
	world_all_kinds_lie_on(node, node);
	windows_have_their_policies(all);
	CHECK_EQ(stat_of("bind_failed"), 0);
	vfree(area);
	end();
}

/* The process itself is put elsewhere. */
static void another_cgroup_is_joined(void)
{
	char *area;

	start();
	area = vmalloc_node(4 * MIB, node);
	world_lies_on(area, 4 * MIB, node);
	world_make_other(all & ~(1u << node));
	for (int round = 0; round < 3; round++) {
		world_join(true);
		CHECK_EQ(knuma_trim(), 0);
		CHECK(!in_zonelist(node, node));
		CHECK_EQ(world_pages_on(area, 4 * MIB, node), 0);
		windows_have_their_policies(all);
		world_join(false);
		CHECK_EQ(knuma_trim(), 0);
		CHECK(world_is_on(area, 4 * MIB, node));
		world_all_kinds_lie_on(node, node);
	}
	world_remove_other();
	vfree(area);
	end();
}

/* Any set of nodes, one after the other. */
static void nodes_come_and_go(void)
{
	struct rng rng = rng_new(1);

	start();
	for (int round = 0; round < 16; round++) {
		unsigned nodes = (unsigned)rng_below(&rng, all + 1) & all;

		if (!nodes)
			nodes = all;
		world_set_mems(nodes);
		CHECK_EQ(knuma_trim(), 0);
		windows_have_their_policies(nodes);
		for (unsigned left = nodes; left; left &= left - 1)
			if (__builtin_ctz(left) == node)
				world_all_kinds_lie_on(node, node);
		for (unsigned left = all & ~nodes; left; left &= left - 1) {
			const int gone = __builtin_ctz(left);
			char *p = kmalloc_node(100, GFP_KERNEL, gone);

			CHECK(p && nodes >> knuma_node_of(p) & 1);
			world_lies_on(p, 100, knuma_node_of(p));
			kfree(p);
		}
	}
	world_set_mems(all);
	CHECK_EQ(knuma_trim(), 0);
	world_all_kinds_lie_on(node, node);
	windows_have_their_policies(all);
	end();
}

/* A process that starts where it may not use a node gets it later. */
static void a_node_that_is_forbidden_at_start(void)
{
	world_needs(2);
	all = world_memory_nodes();
	node = world_roomy_node(100, 0);
	world_enter_cgroup();
	world_set_mems(all & ~(1u << node));
	start_quiet();
	windows_have_their_policies(all & ~(1u << node));
	CHECK_HAS(world_policy((void *)kn_window_base(kn_node_dense(node))),
		  "default");
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, node),
		    ENOMEM);
	world_set_mems(all);
	CHECK_EQ(knuma_trim(), 0);
	windows_have_their_policies(all);
	world_all_kinds_lie_on(node, node);
	CHECK_EQ(stat_of("home_stale"), 0);
	CHECK_EQ(stat_of("bind_failed"), 0);
	end();
}

/* The alarm ends a wait in vain. */
static void wait_for(bool (*done)(void))
{
	while (!done())
		usleep(100000);
}

static bool node_left(void)
{
	return !in_zonelist(node, node);
}

static bool node_is_back(void)
{
	return in_zonelist(node, node);
}

static char *strayed;

static bool area_is_home(void)
{
	return world_is_on(strayed, 8 * MIB, node);
}

/* Without a call of the program: the background follows. */
static void the_background_follows(void)
{
	world_needs(2);
	all = world_memory_nodes();
	node = world_roomy_node(100, 0);
	world_enter_cgroup();
	world_set_mems(all);
	conf("background", "yes");
	conf("trim_delay_ms", "50");
	strayed = vmalloc_node(8 * MIB, node);
	world_lies_on(strayed, 8 * MIB, node);
	world_set_mems(all & ~(1u << node));
	wait_for(node_left);
	world_set_mems(all);
	wait_for(node_is_back);
	wait_for(area_is_home);
	vfree(strayed);
	world_all_kinds_lie_on(node, node);
	end();
}

static void flip_mems(void)
{
	static unsigned turn;

	world_set_mems(turn++ % 2 ? all : all & ~(1u << node));
	CHECK_EQ(knuma_trim(), 0);
}

/* Threads at work meanwhile lose nothing. */
static void threads_work_on(void)
{
	start();
	hammer(4, 6, flip_mems);
	world_set_mems(all);
	CHECK_EQ(knuma_trim(), 0);
	world_all_kinds_lie_on(node, node);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	CHECK_EQ(stat_of("numa_miss"), stat_of("numa_foreign"));
	end();
}

/* A child of a fork follows by itself. */
static void a_fork_child_follows(void)
{
	int status;
	pid_t pid;

	start();
	world_all_kinds_lie_on(node, node);
	world_set_mems(all & ~(1u << node));
	CHECK_EQ(knuma_trim(), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		char *p = kmalloc_node(100, GFP_KERNEL, node);

		CHECK(p && knuma_node_of(p) != node);
		world_set_mems(all);
		CHECK_EQ(knuma_trim(), 0);
		windows_have_their_policies(all);
		world_all_kinds_lie_on(node, node);
		heap_verify();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(knuma_trim(), 0);
	world_all_kinds_lie_on(node, node);
	end();
}

/* Objects that threads left in the magazines of their CPUs. */
static struct kmem_cache *cache;
static int ready;
static pthread_barrier_t barrier;

static void *fill_magazines(void *arg)
{
	void *p[100];

	(void)arg;
	CHECK_EQ(kmem_cache_alloc_bulk(cache, GFP_KERNEL, 100, p), 100);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 100; i++)
		kmem_cache_free(cache, p[i]);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static uint64_t in_magazines(void)
{
	uint64_t popped, present;

	kn_mag_totals(&popped, &present);
	return present;
}

/* One thread a CPU, all of them at once; what they leave is in magazines. */
static void use_all_cpus(void)
{
	const int nr = (int)sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[64];

	CHECK(nr <= 64);
	pthread_barrier_init(&barrier, NULL, (unsigned)nr);
	for (int i = 0; i < nr; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, fill_magazines, NULL),
			 0);
	for (int i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
}

static uint64_t in_use(void)
{
	uint64_t n = 0;

	for (int dense = 0; dense < kn_topo.nr_nodes; dense++)
		n += kn_slab_in_use(cache, dense);
	return n;
}

static void nothing_is_lost(void)
{
	/*
	 * One call notes what is there, the next finds it unused, and gives
	 * slabs back, whose pages are in magazines then.
	 */
	for (int i = 0; i < 6 && in_magazines(); i++)
		kn_drain_idle();
	CHECK_EQ(in_magazines(), 0);
	CHECK_EQ(kmem_cache_shrink(cache), 0);
	CHECK_EQ(in_use(), 0);
	heap_verify();
}

static void cpus_leave_and_come_back(void)
{
	start();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip_child("one CPU");
	cache = kmem_cache_create("cpus", 200, 0, 0, NULL);
	for (int round = 0; round < 3; round++) {
		use_all_cpus();
		CHECK(in_magazines() > 0);
		world_set_cpus("0");
		CHECK_EQ(sched_getcpu(), 0);
		CHECK_EQ(knuma_numa_node_id(), 0);
		nothing_is_lost();
		use_all_cpus();
		nothing_is_lost();
		world_set_cpus(world_read("/sys/devices/system/cpu/online"));
	}
	use_all_cpus();
	nothing_is_lost();
	kmem_cache_destroy(cache);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_node_leaves_and_comes_back),
		child_test(another_cgroup_is_joined),
		child_test(nodes_come_and_go),
		child_test(a_node_that_is_forbidden_at_start),
		child_test(the_background_follows),
		child_test(threads_work_on),
		child_test(a_fork_child_follows),
		child_test(cpus_leave_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
