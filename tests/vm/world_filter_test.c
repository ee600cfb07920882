/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of containers refuse the system calls about memory and nodes, from
 * the start or from some moment on.
 */
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"
#include "tests/support/world.h"

#define MIB ((size_t)1 << 20)

static const int calls[] = {SYS_mbind, SYS_set_mempolicy, SYS_get_mempolicy,
			    SYS_move_pages, SYS_migrate_pages};
#define NR_CALLS ((int)(sizeof(calls) / sizeof(calls[0])))

static unsigned all;

static const char *json(void)
{
	static char text[64 << 10];

	CHECK(knuma_stats_json(text, sizeof(text)) < sizeof(text));
	return text;
}

/* Memory can be had of each node, and used. */
static void the_heap_works(void)
{
	for (unsigned left = all; left; left &= left - 1) {
		const int node = __builtin_ctz(left);
		char *p = kmalloc_node(5000, GFP_KERNEL, node);
		char *q = vmalloc_node(MIB, node);

		CHECK(p && q);
		CHECK_EQ(knuma_node_of(p), node);
		CHECK_EQ(knuma_node_of(q), node);
		memset(p, 1, 5000);
		memset(q, 2, MIB);
		CHECK_EQ(knuma_trim(), 0);
		CHECK(all_bytes(p, 5000, 1) && all_bytes(q, MIB, 2));
		kfree(p);
		vfree(q);
	}
	heap_verify();
}

static void in_a_child_too(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		the_heap_works();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void refuse(const int *nr, int n)
{
	if (!syscalls_refuse(nr, n, EPERM))
		skip_child("no seccomp filters");
}

static void prepare(void)
{
	world_needs(2);
	all = world_memory_nodes();
}

/* As Docker's profile: not a word but in the banner and the statistics. */
static void all_refused_from_the_start(void)
{
	prepare();
	refuse(calls, NR_CALLS);
	conf("stats", "yes");
	start_quiet();
	the_heap_works();
	in_a_child_too();
	CHECK_HAS(json(), "\"mbind\":\"denied\"");
	CHECK_EQ(printed_times("mbind denied"), 1);
	CHECK_EQ(printed_times("refuses"), 0);
	CHECK_EQ(stat_of("home_checked"), 0);
	CHECK_EQ(stat_of("bind_failed"), 1);
	CHECK_EQ(knuma_placement(json(), 1, NULL, 0), -EPERM);
}

/* Policies were set before, and stay. */
static void all_refused_while_running(void)
{
	int node;

	prepare();
	node = world_roomy_node(64, 0);
	start_quiet();
	world_all_kinds_lie_on(node, node);
	refuse(calls, NR_CALLS);
	the_heap_works();
	in_a_child_too();
	CHECK_HAS(json(), "\"mbind\":\"ok\"");
	CHECK_EQ(printed_times("refuses move_pages"), 1);
	CHECK_EQ(printed_times("refuses"), 1);
	CHECK_EQ(stat_of("bind_failed"), 0);
}

/* A node that comes when no policy can be set any more. */
static void mbind_refused_before_a_node_comes(void)
{
	int node;

	prepare();
	node = world_roomy_node(64, 0);
	world_enter_cgroup();
	world_set_mems(all & ~(1u << node));
	start_quiet();
	refuse(calls, 1);
	world_set_mems(all);
	the_heap_works();
	in_a_child_too();
	the_heap_works();
	CHECK_HAS(json(), "\"mbind\":\"denied\"");
	CHECK_EQ(printed_times("refuses mbind"), 1);
	CHECK_EQ(stat_of("bind_failed"), 1);
	world_leave_cgroup();
}

/* knuma sets no policy of a thread: placement holds without that call. */
static void set_mempolicy_is_not_needed(void)
{
	int node;

	prepare();
	node = world_roomy_node(64, 0);
	refuse(calls + 1, 2);
	start_quiet();
	world_all_kinds_lie_on(node, node);
	the_heap_works();
	CHECK_HAS(json(), "\"mbind\":\"ok\"");
	CHECK_EQ(printed_times("refuses"), 0);
}

static void move_pages_refused_from_the_start(void)
{
	prepare();
	refuse(calls + 3, 2);
	start_quiet();
	the_heap_works();
	in_a_child_too();
	CHECK_HAS(json(), "\"mbind\":\"ok\"");
	CHECK_EQ(printed_times("refuses move_pages"), 1);
	CHECK_EQ(stat_of("home_checked"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(all_refused_from_the_start),
		child_test(all_refused_while_running),
		child_test(mbind_refused_before_a_node_comes),
		child_test(set_mempolicy_is_not_needed),
		child_test(move_pages_refused_from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
