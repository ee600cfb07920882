/* SPDX-License-Identifier: Apache-2.0 */
/* knuma_vmalloc_interleave() on machines that are made up. */
#include <stdint.h>
#include <string.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/vmalloc/guard.h"
#include "numa/machine.h"
#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

static const int all[] = {0, 1, 2, 3}, two[] = {3, 1, 3}, one[] = {2};

static void fake_start(void)
{
	int here;

	conf("fake_nodes", "4");
	start_quiet();
	if (knuma_placement(&here, 1, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
}

static void pages_lie_in_turn(void)
{
	const size_t bytes = 4 * MIB, page = knuma_page_size();
	long count[4];
	char *p;

	fake_start();
	p = knuma_vmalloc_interleave(bytes, all, 4);
	CHECK(p);
	CHECK_EQ(knuma_node_of(p), 0);
	CHECK(is_vmalloc_addr(p));
	/* checks knuma_vmalloc_interleave: "2 MiB from that size on" */
	CHECK_EQ((uintptr_t)p % (2 * MIB), 0);
	/* checks knuma_vmalloc_interleave: "the area, its content zero" */
	CHECK(all_bytes(p, bytes, 0));
	memset(p, 1, bytes);
	CHECK_EQ(knuma_placement(p, bytes, count, 4), bytes / page);
	/*
	 * checks knuma_vmalloc_interleave: "come from @nodes in turn", "With
	 * fake nodes pages are said to lie in turn", "knuma_placement() tells
	 * where the pages are"
	 */
	for (int i = 0; i < 4; i++)
		CHECK_EQ(count[i], bytes / page / 4);
	/* Nobody takes them for strays. */
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(knuma_placement(p, bytes, count, 4), bytes / page);
	CHECK_EQ(count[3], bytes / page / 4);
	/*
	 * checks knuma_vmalloc_interleave: "away_bytes counts all of it as on
	 * purpose elsewhere"
	 */
	CHECK_EQ(stat_of("away_bytes"), bytes);
	vfree(p);
	CHECK_EQ(stat_of("away_bytes"), 0);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(kn_guard_mappings(), 0);
	heap_verify();
}

/* Twice the same id, and one that is the window's own. */
static void some_nodes_and_one(void)
{
	const size_t bytes = 100 * knuma_page_size();
	long count[4];
	char *p;

	fake_start();
	p = knuma_vmalloc_interleave(bytes, two, 3);
	memset(p, 1, bytes);
	CHECK_EQ(knuma_placement(p, bytes, count, 4), 100);
	/*
	 * checks knuma_vmalloc_interleave: "an id that stands there twice
	 * counts once"
	 */
	CHECK_EQ(count[1], 50);
	CHECK_EQ(count[3], 50);
	/*
	 * checks knuma_vmalloc_interleave: "belongs to the window of one of
	 * @nodes"
	 */
	CHECK_EQ(knuma_node_of(p), 1);
	/* checks knuma_vmalloc_interleave: "a page" */
	CHECK_EQ((uintptr_t)p % knuma_page_size(), 0);
	vfree(p);
	p = knuma_vmalloc_interleave(1, two, 3);
	/* checks knuma_vmalloc_interleave: "rounded up to pages" */
	CHECK_EQ(vmalloc_nr_pages(), 1);
	vfree(p);
	p = knuma_vmalloc_interleave(bytes, one, 1);
	CHECK(all_bytes(p, bytes, 0));
	memset(p, 1, bytes);
	CHECK_EQ(knuma_placement(p, bytes, count, 4), 100);
	CHECK_EQ(count[2], 100);
	CHECK_EQ(stat_of("away_bytes"), 0);
	vfree(p);
}

/* A freed one does not serve before its policy is the window's again. */
static void a_freed_area_is_not_used_again_as_it_is(void)
{
	const size_t bytes = 64 * knuma_page_size();
	long count[4];
	char *p, *q, *was;

	fake_start();
	p = knuma_vmalloc_interleave(bytes, all, 4);
	was = launder(p);
	memset(p, 1, bytes);
	vfree(p);
	q = vmalloc_node(bytes, 0);
	/*
	 * checks knuma_vmalloc_interleave: "it is not reused before its memory
	 * went back"
	 */
	CHECK(q != was);
	memset(q, 1, bytes);
	CHECK_EQ(knuma_placement(q, bytes, count, 4), 64);
	CHECK_EQ(count[0], 64);
	CHECK_EQ(knuma_trim(), 0);
	p = vmalloc_node(bytes, 0);
	CHECK_EQ(p, was);
	CHECK(all_bytes(p, bytes, 0));
	memset(p, 1, bytes);
	CHECK_EQ(knuma_placement(p, bytes, count, 4), 64);
	CHECK_EQ(count[0], 64);
	vfree(p);
	vfree(q);
	heap_verify();
}

/* An area that was used before has pages at home: they go first. */
static void used_memory_is_spread_too(void)
{
	const size_t bytes = 64 * knuma_page_size();
	long count[4];
	char *p;

	fake_start();
	p = vmalloc_node(bytes, 0);
	memset(p, 1, bytes);
	vfree(p);
	p = knuma_vmalloc_interleave(bytes, all, 4);
	CHECK(all_bytes(p, bytes, 0));
	memset(p, 1, bytes);
	CHECK_EQ(knuma_placement(p, bytes, count, 4), 64);
	CHECK_EQ(count[2], 16);
	vfree(p);
}

static void bad_arguments(void)
{
	const volatile size_t most = SIZE_MAX;

	fake_start();
	CHECK_FAILS(knuma_vmalloc_interleave(0, all, 4), EINVAL);
	CHECK_FAILS(knuma_vmalloc_interleave(1, all, 0), EINVAL);
	CHECK_FAILS(knuma_vmalloc_interleave(1, NULL, 0), EINVAL);
	CHECK_FAILS(knuma_vmalloc_interleave(1, all, -1), EINVAL);
	CHECK_FAILS(knuma_vmalloc_interleave((size_t)1 << 60, all, 4), ENOMEM);
	CHECK_FAILS(knuma_vmalloc_interleave(most, all, 4), ENOMEM);
	/* checks knuma_vmalloc_interleave: "The first failure warns" */
	CHECK_EQ(printed_times("vmalloc of "), 1);
}

/* Node 1 is offline, 2 has no memory, 3 is not allowed, 4 is not possible. */
static const struct fake_node odd[] = {{0, "0-255", 1, "10 20 20"},
				       {2, "", 0, "20 10 20"},
				       {3, "", 1, "20 20 10"}};

/* What knuma_vmalloc_interleave() says of nodes. */
static const struct {
	int node, err;
} bad_nodes[] = {
	{NUMA_NO_NODE, EINVAL},
	{-2, EINVAL},
	{4, EINVAL},
	{1023, EINVAL},
	{4096, EINVAL},
	{INT32_MAX, EINVAL},
	{INT32_MIN, EINVAL},
	{1, ENODEV},
	{2, ENODEV},
	{3, EACCES},
};

static void bad_nodes_are_refused(void)
{
	fake_nodes_as("0-3", odd, 3);
	fake_nodes_allow("0-2");
	start_quiet();
	for (size_t i = 0; i < sizeof(bad_nodes) / sizeof(bad_nodes[0]); i++) {
		const int alone[] = {bad_nodes[i].node};
		const int last[] = {0, bad_nodes[i].node};

		CHECK_FAILS(knuma_vmalloc_interleave(1 << 20, alone, 1),
			    bad_nodes[i].err);
		CHECK_FAILS(knuma_vmalloc_interleave(1 << 20, last, 2),
			    bad_nodes[i].err);
	}
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
}

static int interleave_err;

static int no_interleave(void *addr, size_t len, const unsigned long *nodes)
{
	(void)addr;
	(void)len;
	(void)nodes;
	return interleave_err;
}

static void a_refused_policy(void)
{
	char *p;

	fake_start();
	kn_machine.mbind_interleave = no_interleave;
	interleave_err = -EPERM;
	CHECK_FAILS(knuma_vmalloc_interleave(MIB, all, 4), EPERM);
	interleave_err = -ENOSYS;
	CHECK_FAILS(knuma_vmalloc_interleave(MIB, all, 4), ENOSYS);
	interleave_err = -ENOMEM;
	CHECK_FAILS(knuma_vmalloc_interleave(MIB, all, 4), ENOMEM);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
	CHECK_EQ(kn_guard_mappings(), 0);
	/* What was tried is of use to others. */
	p = vmalloc_node(MIB, 0);
	CHECK(p);
	vfree(p);
	heap_verify();
}

static int no_preferred(void *addr, size_t len, int node)
{
	(void)addr;
	(void)len;
	(void)node;
	return -EPERM;
}

/* The policy of a freed area cannot be undone: it is kept, and said. */
static void a_policy_that_stays(void)
{
	int (*preferred)(void *, size_t, int);
	char *p;

	fake_start();
	preferred = kn_machine.mbind_preferred;
	p = knuma_vmalloc_interleave(MIB, all, 4);
	memset(p, 1, MIB);
	kn_machine.mbind_preferred = no_preferred;
	vfree(p);
	CHECK_EQ(knuma_trim(), -EPERM);
	CHECK(stat_of("vmalloc_cached_bytes") > MIB);
	kn_machine.mbind_preferred = preferred;
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	heap_verify();
}

static void the_budget_of_mappings(void)
{
	char *p[4];

	conf("vma_budget", "4");
	fake_start();
	for (int i = 0; i < 2; i++)
		CHECK(p[i] = knuma_vmalloc_interleave(MIB, all, 4));
	/*
	 * checks knuma_vmalloc_interleave: "takes two mappings of vma_budget"
	 */
	CHECK_EQ(kn_guard_mappings(), 4);
	/*
	 * checks knuma_vmalloc_interleave: "address space or vma_budget is used
	 * up"
	 */
	CHECK_FAILS(knuma_vmalloc_interleave(MIB, all, 4), ENOMEM);
	CHECK_HAS(printed(), "vma_budget");
	vfree(p[0]);
	CHECK_EQ(knuma_trim(), 0);
	CHECK(p[2] = knuma_vmalloc_interleave(MIB, all, 4));
	vfree(p[1]);
	vfree(p[2]);
}

static void a_node_without_room(void)
{
	const int both[] = {0, 1};

	fake_nodes(2);
	fake_node_free_mib(1, 0);
	start_quiet();
	/*
	 * checks knuma_vmalloc_interleave: "ENOMEM when a node has no room for
	 * its share"
	 */
	CHECK_FAILS(knuma_vmalloc_interleave(512 * MIB, both, 2), ENOMEM);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(pages_lie_in_turn),
		child_test(some_nodes_and_one),
		child_test(a_freed_area_is_not_used_again_as_it_is),
		child_test(used_memory_is_spread_too),
		child_test(bad_arguments),
		child_test(bad_nodes_are_refused),
		child_test(a_refused_policy),
		child_test(a_policy_that_stays),
		child_test(the_budget_of_mappings),
		child_test(a_node_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
