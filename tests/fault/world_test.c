/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that changes while the process runs, made of texts: nodes that come
 * and go, are allowed and forbidden; files that cannot be read in between; and
 * calls that are refused from some moment on.  knuma_trim() is what follows at
 * once; the background does the same at each tick.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/core/homes.h"
#include "numa/machine.h"
#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

/* What mbind(2) was asked for, and how it answers. */
static struct {
	uintptr_t at;
	size_t len;
	int node;
} bound[64];
static int nr_bound, bind_err;

static int record_mbind(void *addr, size_t len, int node)
{
	CHECK(nr_bound < 64);
	bound[nr_bound++] = (typeof(bound[0])){(uintptr_t)addr, len, node};
	return -bind_err;
}

/* Calls for the whole window of @node and for its descriptors, since then. */
static int times_bound(int node)
{
	const int dense = kn_node_dense(node);
	int windows = 0, others = 0;

	for (int i = 0; i < nr_bound; i++) {
		if (bound[i].node != node)
			continue;
		if (bound[i].at == kn_window_base(dense) &&
		    bound[i].len == (size_t)1 << kn_span.window_shift)
			windows++;
		else if (bound[i].at ==
			 (uintptr_t)kn_span.pages +
				 (kn_window_base(dense) - kn_span.base) /
					 KN_PAGE_SIZE * KN_PAGE_DESC_SIZE)
			others++;
	}
	CHECK_EQ(windows, others);
	return windows;
}

static void follow(void)
{
	nr_bound = 0;
	CHECK_EQ(knuma_trim(), 0);
}

static const char *json(void)
{
	static char text[64 << 10];

	CHECK(knuma_stats_json(text, sizeof(text)) < sizeof(text));
	return text;
}

static void node_serves(int node, int expected)
{
	void *p = kmalloc_node(1000, GFP_KERNEL, node);
	void *q = vmalloc_node(5 * MIB, node);

	CHECK(p && q);
	CHECK_EQ(knuma_node_of(p), expected);
	CHECK_EQ(knuma_node_of(q), expected);
	vfree(q);
	kfree(p);
}

static void node_refuses(int node)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN;

	CHECK_FAILS(kmalloc_node(1000, gfp, node), ENOMEM);
	CHECK_FAILS(__vmalloc_node(MIB, 1, gfp, node, NULL), ENOMEM);
}

static void start_with(const char *possible, const struct fake_node *node,
		       int nr, const char *allowed)
{
	fake_nodes_as(possible, node, nr);
	fake_nodes_allow(allowed);
	kn_machine.mbind_preferred = record_mbind;
	start_quiet();
}

static const struct fake_node three[] = {{0, "0-255", 1, "10 20 30"},
					 {1, "", 1, "20 10 40"},
					 {2, "", 1, "30 40 10"}};

/* The policy of a window comes with its node, and no call without need. */
static void a_window_is_bound_when_its_node_is_allowed(void)
{
	start_with("0-2", three, 3, "0,2");
	CHECK_EQ(times_bound(0), 1);
	CHECK_EQ(times_bound(1), 0);
	CHECK_EQ(times_bound(2), 1);
	CHECK_HAS(json(), "\"mbind\":\"ok\"");
	follow();
	CHECK_EQ(nr_bound, 0);
	fake_nodes_allow("0-2");
	follow();
	CHECK_EQ(times_bound(1), 1);
	CHECK_EQ(nr_bound, 2);
	node_serves(1, 1);
	fake_nodes_allow("1");
	follow();
	CHECK_EQ(nr_bound, 0);
	node_serves(0, 1);
	node_refuses(0);
	/* What kernels did to it meanwhile is undone. */
	fake_nodes_allow("0-2");
	follow();
	CHECK_EQ(times_bound(0), 1);
	CHECK_EQ(times_bound(1), 0);
	CHECK_EQ(times_bound(2), 1);
	node_serves(0, 0);
	CHECK_EQ(stat_of("bind_failed"), 0);
	CHECK_EQ(stat_of("topology_changes"), 3);
}

/* Refused while the machine changes: tried again by the next reading. */
static void a_refused_policy_is_tried_again(void)
{
	bind_err = EINVAL;
	start_with("0-2", three, 3, "0-2");
	CHECK_EQ(stat_of("bind_failed"), 3);
	CHECK_HAS(json(), "\"mbind\":\"failed\"");
	node_serves(1, 1);
	/* A window without a policy is nobody's home. */
	fake_pages_stray(1u << 1, 0);
	follow();
	CHECK_EQ(stat_of("bind_failed"), 6);
	CHECK_EQ(stat_of("home_moved"), 0);
	bind_err = 0;
	follow();
	CHECK_EQ(times_bound(0) + times_bound(1) + times_bound(2), 3);
	CHECK_HAS(json(), "\"mbind\":\"ok\"");
	CHECK_EQ(stat_of("bind_failed"), 6);
	CHECK_EQ(printed_times("mbind"), 0);
	follow();
	CHECK_EQ(nr_bound, 0);
}

/* A filter that comes later: said once, asked once, survived. */
static void mbind_is_refused_while_running(void)
{
	start_with("0-2", three, 3, "0,2");
	bind_err = EPERM;
	fake_nodes_allow("0-2");
	follow();
	CHECK_EQ(nr_bound, 1);
	CHECK_HAS(json(), "\"mbind\":\"denied\"");
	node_serves(1, 1);
	fake_nodes_allow("0,2");
	follow();
	fake_nodes_allow("0-2");
	follow();
	CHECK_EQ(nr_bound, 0);
	CHECK_EQ(printed_times("refuses mbind"), 1);
	heap_verify();
}

/* Memory that comes to a node that had none when the process started. */
static void memory_comes_to_a_node_without(void)
{
	const struct fake_node node[] = {{0, "0-255", 1, "10 20"},
					 {1, "", 0, "20 10"}};

	start_with("0-1", node, 2, "0-1");
	CHECK_EQ(times_bound(1), 0);
	CHECK_EQ(knuma_nr_nodes(), 1);
	node_serves(1, 0);
	node_refuses(1);
	fake_sysfs_file("node/has_memory", "0-1\n");
	fake_node_free_mib(1, 3000);
	follow();
	CHECK_EQ(times_bound(1), 1);
	CHECK_EQ(knuma_nr_nodes(), 2);
	node_serves(1, 1);
	heap_verify();
}

/* All memory of a node goes, with objects on it; and comes back. */
static void memory_of_a_node_goes(void)
{
	static void *p[3000];
	char *area;

	start_with("0-2", three, 3, "0-2");
	for (int i = 0; i < 3000; i++) {
		p[i] = kmalloc_node(500, GFP_KERNEL, 2);
		CHECK_EQ(knuma_node_of(p[i]), 2);
		pattern_fill(p[i], 500, (uint64_t)i);
	}
	area = vmalloc_node(MIB, 2);
	memset(area, 3, MIB);
	fake_sysfs_file("node/has_memory", "0-1\n");
	fake_pages_stray(1u << 2, 1);
	follow();
	CHECK_EQ(knuma_nr_nodes(), 2);
	node_serves(2, 0);
	node_refuses(2);
	CHECK(stat_of("numa_foreign.2") > 0);
	CHECK(stat_of("home_stale.2") > 0);
	CHECK_EQ(stat_of("home_moved"), 0);
	CHECK_EQ(printed_times("pages of node 2 lie on node 1"), 1);
	/* The objects are there, and go where they came from. */
	for (int i = 0; i < 1500; i++) {
		CHECK(pattern_holds(p[i], 500, (uint64_t)i));
		kfree(p[i]);
	}
	CHECK(all_bytes(area, MIB, 3));
	vfree(area);
	/* Then all of the node. */
	fake_sysfs_file("node/online", "0-1\n");
	fake_sysfs_file("node/node0/distance", "10 20\n");
	fake_sysfs_file("node/node1/distance", "20 10\n");
	fake_sysfs_remove("node/node2/meminfo");
	fake_sysfs_remove("node/node2/distance");
	follow();
	node_serves(2, 0);
	node_refuses(2);
	CHECK_EQ(knuma_distance(0, 2), 30);
	for (int i = 1500; i < 3000; i++)
		kfree(p[i]);
	fake_nodes_as("0-2", three, 3);
	fake_nodes_allow("0-2");
	fake_pages_stray(1u << 2, 1);
	kn_machine.mbind_preferred = record_mbind;
	follow();
	CHECK_EQ(times_bound(2), 1);
	node_serves(2, 2);
	CHECK(fake_pages_moved() > 0);
	CHECK_EQ(stat_of("home_moved.2"), fake_pages_moved());
	CHECK_EQ(stat_of("topology_unread"), 0);
	heap_verify();
}

static void fill_node(int node, size_t mib)
{
	char *area = vmalloc_node(mib * MIB, node);

	CHECK_EQ(knuma_node_of(area), node);
	memset(area, 1, mib * MIB);
}

/* Pages that the system moved away are brought home when they may be. */
static void strayed_pages_come_home(void)
{
	long there[3];
	char *area;

	start_with("0-2", three, 3, "0-2");
	area = vmalloc_node(4 * MIB, 1);
	memset(area, 1, 4 * MIB);
	follow();
	CHECK(stat_of("home_checked.1") > 0);
	CHECK_EQ(stat_of("home_stale"), 0);
	/* Not allowed: only looked at. */
	fake_nodes_allow("0,2");
	fake_pages_stray(1u << 1, 0);
	follow();
	CHECK(stat_of("home_stale.1") > 0);
	CHECK_EQ(stat_of("home_stale.0") + stat_of("home_stale.2"), 0);
	CHECK_EQ(fake_pages_moved(), 0);
	CHECK_EQ(printed_times("pages of node 1 lie on node 0"), 1);
	fake_nodes_allow("0-2");
	follow();
	CHECK_EQ(knuma_placement(area, 4 * MIB, there, 3),
		 (long)(4 * MIB / KN_PAGE_SIZE));
	CHECK_EQ(there[1], 4 * MIB / KN_PAGE_SIZE);
	CHECK_EQ(stat_of("home_moved.1"), fake_pages_moved());
	CHECK_EQ(printed_times("pages of node"), 1);
}

/* Without a change of the machine a sample notices, and a walk follows. */
static void a_sample_starts_a_walk(void)
{
	start_with("0-2", three, 3, "0-2");
	fill_node(2, 64);
	fake_pages_stray(1u << 2, 0);
	CHECK_EQ(knuma_trim(), 0);
	CHECK(fake_pages_moved() >= 64 * (int)(MIB / KN_PAGE_SIZE));
	CHECK_EQ(stat_of("topology_changes"), 0);
}

/* The background goes through a large window in several ticks. */
static void a_walk_takes_many_ticks(void)
{
	const size_t bytes = 2048 * MIB;
	int ticks = 0;
	char *area;

	start_with("0-2", three, 3, "0-2");
	area = vmalloc_node(bytes, 2);
	CHECK_EQ(knuma_node_of(area), 2);
	memset(area + bytes - 2 * MIB, 1, 2 * MIB);
	kn_homes_tick(false);
	fake_nodes_allow("0,2");
	kn_topology_reread();
	fake_pages_stray(1u << 2, 0);
	for (; ticks < 100 && fake_pages_moved() < 512; ticks++)
		kn_homes_tick(false);
	CHECK(ticks > 1 && ticks < 20);
	CHECK_EQ(knuma_placement(area, bytes, NULL, 0), 512);
}

/* A node without room is left alone for a while, each time longer. */
static void a_walk_that_moves_nothing_rests(void)
{
	int before;

	start_with("0-2", three, 3, "0-2");
	fill_node(2, 8);
	fake_pages_stray(1u << 2, 0);
	fake_moves_refuse(ENOMEM);
	before = fake_moves();
	for (int i = 0; i < 200; i++)
		CHECK_EQ(knuma_trim(), 0);
	/* After 2, 6, 14, 30, 62 and 126 ticks. */
	CHECK_EQ(fake_moves() - before, 7);
	CHECK_EQ(stat_of("home_moved"), 0);
	fake_moves_refuse(0);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(knuma_trim(), 0);
	CHECK(stat_of("home_moved.2") >= 8 * MIB / KN_PAGE_SIZE);
}

static void refused_with(int err)
{
	int before;

	start_with("0-2", three, 3, "0-2");
	fill_node(1, 1);
	fake_page_nodes_refuse(err);
	CHECK_EQ(knuma_trim(), 0);
	before = fake_questions();
	CHECK(before > 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(fake_questions(), before);
	CHECK_EQ(printed_times("refuses move_pages"), 1);
	CHECK_EQ(stat_of("home_checked"), 0);
	node_serves(1, 1);
}

static void move_pages_is_refused(void)
{
	refused_with(EPERM);
}

static void a_filter_refuses_move_pages(void)
{
	refused_with(EACCES);
}

static void there_is_no_move_pages(void)
{
	refused_with(ENOSYS);
}

/* Files that say nothing while nodes come and go: what was known stays. */
static void unreadable_files_change_nothing(void)
{
	static const char *const file[] = {"self/status", "node/online",
					   "node/has_memory", "node/has_cpu"};
	int list[3];

	start_with("0-2", three, 3, "0,1");
	for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
		for (int garbage = 0; garbage < 2; garbage++) {
			const uint64_t unread = stat_of("topology_unread");

			if (garbage)
				fake_sysfs_file(file[i], "?\n");
			else
				fake_sysfs_remove(file[i]);
			follow();
			CHECK_EQ(stat_of("topology_unread"), unread + 1);
			CHECK_EQ(knuma_zonelist(0, list, 3), 2);
			CHECK(list[0] == 0 && list[1] == 1);
			CHECK_EQ(knuma_distance(1, 2), 40);
			CHECK_EQ(knuma_numa_mem_id(), 0);
			CHECK_EQ(nr_bound, 0);
			node_refuses(2);
			node_serves(1, 1);
		}
		fake_sysfs_file(file[i], i < 3 ? "0-2\n" : "0\n");
		fake_nodes_allow("0,1");
	}
	CHECK_EQ(stat_of("topology_changes"), 0);
}

/* Rows of distances that do not fit the nodes online; CPU lists that go. */
static void torn_node_files_change_nothing(void)
{
	start_with("0-2", three, 3, "0-2");
	/* Another node is online, or is said to be, and the rows are short. */
	fake_sysfs_file("node/online", "0,2\n");
	fake_sysfs_remove("node/node0/cpulist");
	fake_sysfs_remove("node/node2/distance");
	follow();
	CHECK_EQ(stat_of("topology_changes"), 1);
	CHECK_EQ(stat_of("topology_unread"), 3);
	CHECK_EQ(knuma_distance(0, 1), 20);
	CHECK_EQ(knuma_distance(0, 2), 30);
	CHECK_EQ(knuma_distance(2, 0), 30);
	CHECK_EQ(knuma_numa_node_id(), 0);
	fake_sysfs_file("node/online", "0-2\n");
	fake_sysfs_file("node/node0/cpulist", "0-255\n");
	fake_sysfs_file("node/node0/distance", "10 25 35\n");
	fake_sysfs_file("node/node2/distance", "35 40 10\n");
	follow();
	CHECK_EQ(knuma_distance(0, 2), 35);
	CHECK_EQ(stat_of("topology_unread"), 3);
}

/* A machine that stays as it is costs a few files a tick, however large. */
static void a_quiet_machine_is_cheap(void)
{
	int before;

	start_with("0-2", three, 3, "0-2");
	fake_sysfs_file("cpu/online", "0-255\n");
	follow();
	before = fake_sysfs_reads();
	follow();
	CHECK_EQ(fake_sysfs_reads() - before, 5);
	/* Another CPU: its node is asked for. */
	fake_sysfs_file("cpu/online", "0-254\n");
	before = fake_sysfs_reads();
	follow();
	CHECK(fake_sysfs_reads() - before > 5);
	CHECK_EQ(stat_of("topology_changes"), 0);
}

/* A fork child follows by itself, and does not disturb its parent. */
static void a_fork_child_follows(void)
{
	int status;
	pid_t pid;

	start_with("0-2", three, 3, "0-2");
	fill_node(1, 1);
	fake_nodes_allow("0,2");
	follow();
	node_serves(1, 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		node_serves(1, 0);
		fake_nodes_allow("0-2");
		fake_pages_stray(1u << 1, 2);
		follow();
		CHECK_EQ(times_bound(1), 1);
		CHECK(fake_pages_moved() >= (int)(MIB / KN_PAGE_SIZE));
		node_serves(1, 1);
		heap_verify();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	node_serves(1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_window_is_bound_when_its_node_is_allowed),
		child_test(a_refused_policy_is_tried_again),
		child_test(mbind_is_refused_while_running),
		child_test(memory_comes_to_a_node_without),
		child_test(memory_of_a_node_goes),
		child_test(strayed_pages_come_home),
		child_test(a_sample_starts_a_walk),
		child_test(a_walk_takes_many_ticks),
		child_test(a_walk_that_moves_nothing_rests),
		child_test(move_pages_is_refused),
		child_test(a_filter_refuses_move_pages),
		child_test(there_is_no_move_pages),
		child_test(unreadable_files_change_nothing),
		child_test(torn_node_files_change_nothing),
		child_test(a_quiet_machine_is_cheap),
		child_test(a_fork_child_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
