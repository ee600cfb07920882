/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All memory of a node goes offline and comes back while the process runs.  The
 * kernel moves the pages elsewhere first, and the node stays, without memory.
 */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"
#include "tests/support/world.h"

#define MIB	((size_t)1 << 20)
#define OBJECTS 3000

static int node;

/* A node of movable memory only, as QEMU's plugged one: it is offline now. */
static void take_one_away(void)
{
	const unsigned nodes = world_memory_nodes() & ~world_cpu_nodes();

	world_needs(2);
	if (!nodes)
		skip_child("no node without CPUs");
	node = 31 - __builtin_clz(nodes);
	if (!world_offline_memory(node)) {
		CHECK(world_online_memory(node));
		skip_child("the memory of the node cannot go offline");
	}
}

static void find_one(void)
{
	take_one_away();
	CHECK(world_online_memory(node));
}

static int next_best(void)
{
	int list[2];

	CHECK(knuma_zonelist(node, list, 2) >= 1);
	return list[0];
}

static void refuses(void)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN;

	CHECK_FAILS(kmalloc_node(100, gfp, node), ENOMEM);
	CHECK_FAILS(kmalloc_node(100000, gfp, node), ENOMEM);
	CHECK_FAILS(__vmalloc_node(MIB, 1, gfp, node, NULL), ENOMEM);
	CHECK_FAILS(alloc_pages_node(node, gfp, 3), ENOMEM);
}

static char *object[OBJECTS];
static char *area;

static void make_objects(void)
{
	for (int i = 0; i < OBJECTS; i++) {
		object[i] = kmalloc_node(1000, GFP_KERNEL, node);
		world_lies_on(object[i], 1000, node);
		pattern_fill(object[i], 1000, (uint64_t)i);
	}
	area = vmalloc_node(4 * MIB, node);
	world_lies_on(area, 4 * MIB, node);
	pattern_fill(area, 4 * MIB, 1);
}

static void free_some(int from, int to)
{
	for (int i = from; i < to; i++) {
		CHECK(pattern_holds(object[i], 1000, (uint64_t)i));
		CHECK_EQ(knuma_node_of(object[i]), node);
		kfree(object[i]);
	}
}

/* It cannot be used, and what names it is served elsewhere, and counted. */
static void it_is_gone(void)
{
	const uint64_t foreign = stat_of("numa_foreign");
	const int other = next_best();

	CHECK(other != node);
	world_all_kinds_lie_on(node, other);
	refuses();
	CHECK(stat_of("numa_foreign") > foreign);
	CHECK_EQ(knuma_next_node(node - 1) == node, 0);
}

static void memory_goes_and_comes_back(void)
{
	find_one();
	start_quiet();
	make_objects();
	CHECK(world_offline_memory(node));
	/* Before anybody looks: the kernel puts memory elsewhere. */
	for (int i = 0; i < 100; i++) {
		char *p = kmalloc_node(20000, GFP_KERNEL, node);

		CHECK(p);
		memset(p, 1, 20000);
		kfree(p);
	}
	CHECK_EQ(knuma_trim(), 0);
	it_is_gone();
	CHECK(stat_of("home_stale") > 0);
	CHECK_EQ(printed_times("pages of node"), 1);
	free_some(0, OBJECTS / 2);
	CHECK(pattern_holds(area, 4 * MIB, 1));
	heap_verify();

	CHECK(world_online_memory(node));
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(next_best(), node);
	CHECK(world_is_on(area, 4 * MIB, node));
	CHECK(pattern_holds(area, 4 * MIB, 1));
	for (int i = OBJECTS / 2; i < OBJECTS; i++)
		CHECK(world_is_on(object[i], 1000, node));
	free_some(OBJECTS / 2, OBJECTS);
	world_all_kinds_lie_on(node, node);
	vfree(area);
	CHECK_EQ(stat_of("bind_failed"), 0);
	heap_verify();
}

/* The node is there when the process starts, and has no memory yet. */
static void memory_comes_to_a_node_without(void)
{
	void *window;

	take_one_away();
	start_quiet();
	window = (void *)kn_window_base(kn_node_dense(node));
	CHECK_HAS(world_policy(window), "default");
	it_is_gone();
	CHECK(world_online_memory(node));
	CHECK_EQ(knuma_trim(), 0);
	CHECK_HAS(world_policy(window), "prefer=static:");
	CHECK_EQ(next_best(), node);
	world_all_kinds_lie_on(node, node);
	CHECK_EQ(stat_of("home_stale"), 0);
	heap_verify();
}

static bool stop;

/* Whatever the node has at the moment, a request is served. */
static void *use_the_node(void *arg)
{
	void *p[64];

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 64; i++) {
			p[i] = kmalloc_node(3000, GFP_KERNEL, node);
			CHECK(p[i]);
			memset(p[i], i, 3000);
		}
		for (int i = 0; i < 64; i++) {
			CHECK(all_bytes(p[i], 3000, (unsigned char)i));
			kfree(p[i]);
		}
		/* Threads that never pause keep blocks from going offline. */
		usleep(5000);
	}
	return NULL;
}

static void threads_use_a_node_that_goes(void)
{
	pthread_t thread[3];

	find_one();
	conf("background", "yes");
	conf("trim_delay_ms", "20");
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, use_the_node, NULL),
			 0);
	for (int round = 0; round < 2; round++) {
		CHECK(world_offline_memory(node));
		usleep(300000);
		CHECK(world_online_memory(node));
		usleep(300000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(next_best(), node);
	heap_verify();
}

static void a_fork_child_follows(void)
{
	int status;
	pid_t pid;

	find_one();
	start_quiet();
	make_objects();
	CHECK(world_offline_memory(node));
	CHECK_EQ(knuma_trim(), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		it_is_gone();
		free_some(0, OBJECTS);
		CHECK(world_online_memory(node));
		CHECK_EQ(knuma_trim(), 0);
		world_all_kinds_lie_on(node, node);
		heap_verify();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(knuma_trim(), 0);
	free_some(0, OBJECTS);
	world_all_kinds_lie_on(node, node);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(memory_goes_and_comes_back),
		child_test(memory_comes_to_a_node_without),
		child_test(threads_use_a_node_that_goes),
		child_test(a_fork_child_follows),
	};

	return cmocka_run_group_tests(tests, NULL, world_restore);
}
