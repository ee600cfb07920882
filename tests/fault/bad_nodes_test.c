/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call that takes a node, with each kind of node that it cannot be
 * served from.  The machine: node 0 as usual, 1 offline, 2 without memory, 3 outside of
 * the cpuset; 4 and above are not possible.
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"

#define FLAGS (GFP_KERNEL | __GFP_NOWARN)

static const struct fake_node machine[] = {{0, "0-255", 1, "10 20 20"},
					   {2, "", 0, "20 10 20"},
					   {3, "", 1, "20 20 10"}};

static void use_machine(void)
{
	fake_nodes_as("0-3", machine, 3);
	fake_nodes_allow("0-2");
}

/* errno without and with __GFP_THISNODE; 0: it is served. */
/* clang-format off: tables */
static const struct {
	int node, err, err_this;
} nodes[] = {
	{0, 0, 0},
	{1, 0, ENOMEM},
	{2, 0, ENOMEM},
	{3, 0, ENOMEM},
	{4, EINVAL, EINVAL},
	{63, EINVAL, EINVAL},
	{64, EINVAL, EINVAL},
	{1023, EINVAL, EINVAL},
	{1024, EINVAL, EINVAL},
	{4096, EINVAL, EINVAL},
	{INT_MAX, EINVAL, EINVAL},
	{-2, EINVAL, EINVAL},
	{-4096, EINVAL, EINVAL},
	{INT_MIN, EINVAL, EINVAL},
};
/* clang-format on */
#define NR_NODES (sizeof(nodes) / sizeof(nodes[0]))

static struct kmem_cache *cache;

/* The calls; those that make arrays and areas free with the same kvfree(). */
#define CALL(name, expression)                        \
	static void *call_##name(gfp_t gfp, int node) \
	{                                             \
		(void)gfp;                            \
		return expression;                    \
	}

CALL(kmalloc_node, kmalloc_node(100, gfp, node))
CALL(kmalloc_node_medium, kmalloc_node(5000, gfp, node))
CALL(kmalloc_node_large, kmalloc_node(100000, gfp, node))
CALL(kzalloc_node, kzalloc_node(100, gfp, node))
CALL(kmalloc_array_node, kmalloc_array_node(10, 10, gfp, node))
CALL(kcalloc_node, kcalloc_node(10, 10, gfp, node))
CALL(kvmalloc_node, kvmalloc_node(100, gfp, node))
CALL(kvmalloc_node_large, kvmalloc_node(1 << 20, gfp, node))
CALL(kvzalloc_node, kvzalloc_node(5000, gfp, node))
CALL(kvmalloc_array_node, kvmalloc_array_node(10, 1000, gfp, node))
CALL(kvcalloc_node, kvcalloc_node(10, 100000, gfp, node))
CALL(kmem_cache_alloc_node, kmem_cache_alloc_node(cache, gfp, node))
CALL(vmalloc_node_gfp, __vmalloc_node(100000, 1, gfp, node, NULL))
CALL(vmalloc_node, vmalloc_node(100000, node))
CALL(vzalloc_node, vzalloc_node(100000, node))

static void *page_or_null(struct page *page)
{
	return page ? page_address(page) : NULL;
}

CALL(alloc_pages_node, page_or_null(alloc_pages_node(node, gfp, 0)))
CALL(__alloc_pages_node, page_or_null(__alloc_pages_node(node, gfp, 0)))
CALL(alloc_pages_exact_nid, alloc_pages_exact_nid(node, 1, gfp))

static void release_page(void *p)
{
	free_pages((unsigned long)p, 0);
}

static void release_exact(void *p)
{
	free_pages_exact(p, 1);
}

static void release_any(void *p)
{
	kvfree(p);
}

static const struct {
	const char *name;
	void *(*call)(gfp_t gfp, int node);
	void (*release)(void *p);
	bool has_gfp;
} calls[] = {
#define ROW(name, release, has_gfp)                  \
	{                                            \
#name, call_##name, release, has_gfp \
	}
	ROW(kmalloc_node, release_any, true),
	ROW(kmalloc_node_medium, release_any, true),
	ROW(kmalloc_node_large, release_any, true),
	ROW(kzalloc_node, release_any, true),
	ROW(kmalloc_array_node, release_any, true),
	ROW(kcalloc_node, release_any, true),
	ROW(kvmalloc_node, release_any, true),
	ROW(kvmalloc_node_large, release_any, true),
	ROW(kvzalloc_node, release_any, true),
	ROW(kvmalloc_array_node, release_any, true),
	ROW(kvcalloc_node, release_any, true),
	ROW(kmem_cache_alloc_node, release_any, true),
	ROW(vmalloc_node_gfp, release_any, true),
	ROW(vmalloc_node, release_any, false),
	ROW(vzalloc_node, release_any, false),
	ROW(alloc_pages_node, release_page, true),
	ROW(__alloc_pages_node, release_page, true),
	ROW(alloc_pages_exact_nid, release_exact, true),
#undef ROW
};
#define NR_CALLS (sizeof(calls) / sizeof(calls[0]))

/* One call; @err: what it must fail with, or 0 and node 0 serves. */
static void try_call(size_t c, gfp_t gfp, int node, int err)
{
	void *p;

	errno = 0;
	p = calls[c].call(gfp, node);
	if (!p != !!err || errno != err)
		fprintf(stderr, "%s on node %d: %p, errno %d\n", calls[c].name,
			node, p, errno);
	CHECK_EQ(!p, !!err);
	CHECK_EQ(errno, err);
	if (!p)
		return;
	CHECK_EQ(knuma_node_of(p), 0);
	calls[c].release(p);
}

static void every_call_with_every_node(void)
{
	use_machine();
	start_quiet();
	cache = kmem_cache_create("bad", 300, 0, 0, NULL);
	for (size_t c = 0; c < NR_CALLS; c++)
		for (size_t i = 0; i < NR_NODES; i++) {
			const uint64_t before = stat_of("invalid_node");
			const int bad = nodes[i].err == EINVAL;

			try_call(c, FLAGS, nodes[i].node, nodes[i].err);
			CHECK_EQ(stat_of("invalid_node"),
				 before + (uint64_t)bad);
			if (!calls[c].has_gfp)
				continue;
			try_call(c, FLAGS | __GFP_THISNODE, nodes[i].node,
				 nodes[i].err_this);
			try_call(c, FLAGS | __GFP_ZERO, nodes[i].node,
				 nodes[i].err);
		}
	kmem_cache_destroy(cache);
	CHECK_EQ(printed_times("is not a possible node"), 1);
	heap_verify();
}

/* The tunable says for all what the flag says for one. */
static void without_fallback_every_named_node_is_meant(void)
{
	use_machine();
	start_quiet();
	conf("node_fallback", "no");
	cache = kmem_cache_create("bad", 300, 0, 0, NULL);
	for (size_t c = 0; c < NR_CALLS; c++) {
		for (size_t i = 0; i < NR_NODES; i++)
			try_call(c, FLAGS, nodes[i].node, nodes[i].err_this);
		/* Who names none is served by any. */
		if (calls[c].call != call___alloc_pages_node)
			try_call(c, FLAGS, NUMA_NO_NODE, 0);
	}
	conf("node_fallback", "yes");
	try_call(0, FLAGS, 1, 0);
	kmem_cache_destroy(cache);
	heap_verify();
}

/* Calls that may not wait: refused alike, before anything is looked for. */
static void without_waiting(void)
{
	use_machine();
	start_quiet();
	cache = kmem_cache_create("bad", 300, 0, 0, NULL);
	for (size_t c = 0; c < NR_CALLS; c++)
		for (size_t i = 0; i < NR_NODES; i++) {
			void *p;

			if (!calls[c].has_gfp)
				continue;
			errno = 0;
			p = calls[c].call(GFP_NOWAIT, nodes[i].node);
			if (p) {
				CHECK(nodes[i].err != EINVAL);
				CHECK_EQ(knuma_node_of(p), 0);
				calls[c].release(p);
				continue;
			}
			/* An area fails for this reason before any other. */
			CHECK(errno == nodes[i].err || errno == ENOMEM);
		}
	kmem_cache_destroy(cache);
	heap_verify();
}

/* The first call of a process, which starts the library. */
static size_t first_call, first_node;

static void first(void)
{
	use_machine();
	conf("background", "no");
	try_call(first_call, FLAGS, nodes[first_node].node,
		 nodes[first_node].err);
}

static void the_first_call_of_a_process(void **state)
{
	static struct child c;

	(void)state;
	for (first_call = 0; first_call < NR_CALLS; first_call++) {
		/* A cache can only be made by a library that has started. */
		if (calls[first_call].call == call_kmem_cache_alloc_node)
			continue;
		for (first_node = 1; first_node < NR_NODES; first_node += 2) {
			child_run(first, &c);
			if (!child_passed(&c))
				fail_msg("%s", c.text);
		}
	}
}

/* What knuma_zonelist(), knuma_distance() and knuma_node_best() say. */
/* clang-format off: a table */
static const struct {
	int node, zonelist, distance, best;
} questions[] = {
	{0, 1, 10, 0},
	{1, 1, -ENODEV, -ENODEV},
	{2, 1, 20, 0},
	{3, 1, 20, 0},
	{4, -EINVAL, -EINVAL, -EINVAL},
	{1024, -EINVAL, -EINVAL, -EINVAL},
	{4096, -EINVAL, -EINVAL, -EINVAL},
	{INT_MAX, -EINVAL, -EINVAL, -EINVAL},
	{-2, -EINVAL, -EINVAL, -EINVAL},
	{INT_MIN, -EINVAL, -EINVAL, -EINVAL},
};
/* clang-format on */

static void questions_about_every_node(void)
{
	use_machine();
	start_quiet();
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		const int node = questions[i].node;
		int list[4] = {-7, -7, -7, -7};

		CHECK_EQ(knuma_zonelist(node, list, 4), questions[i].zonelist);
		CHECK_EQ(list[0], questions[i].zonelist > 0 ? 0 : -7);
		CHECK_EQ(knuma_distance(0, node), questions[i].distance);
		CHECK_EQ(knuma_distance(node, 0), questions[i].distance);
		for (int attr = KNUMA_LATENCY; attr <= KNUMA_CAPACITY; attr++)
			CHECK_EQ(knuma_node_best((enum knuma_attr)attr, node),
				 questions[i].best);
	}
	CHECK_EQ(knuma_node_best((enum knuma_attr)3, 0), -EINVAL);
	CHECK_EQ(knuma_node_best((enum knuma_attr) - 1, 0), -EINVAL);
	/*
	 * checks knuma_node_best: "the id of a node that has memory and is
	 * allowed"
	 */
	CHECK_EQ(knuma_node_best(KNUMA_CAPACITY, NUMA_NO_NODE), 0);
	CHECK(stat_of("best_by_distance") >= 3);
	/* Nodes with memory, allowed or not. */
	CHECK_EQ(knuma_next_node(INT_MIN), 0);
	CHECK_EQ(knuma_next_node(0), 3);
	CHECK_EQ(knuma_next_node(4096), -1);
	CHECK_EQ(knuma_next_node(INT_MAX), -1);
}

static void placement_of_odd_ranges(void)
{
	static char data[8];
	long count[2] = {7, 7};

	use_machine();
	start_quiet();
	data[0] = 1;
	CHECK_EQ(knuma_placement((void *)-4096, 8192, count, 2), -EINVAL);
	CHECK_EQ(knuma_placement(data, SIZE_MAX, count, 2), -EINVAL);
	CHECK_EQ(knuma_placement(NULL, 0, count, 2), 0);
	CHECK(count[0] == 0 && count[1] == 0);
	fake_page_nodes_refuse(EPERM);
	CHECK_EQ(knuma_placement(data, 1, count, 2), -EPERM);
	fake_page_nodes_refuse(ENOSYS);
	CHECK_EQ(knuma_placement(data, 1, NULL, 0), -ENOSYS);
	fake_page_nodes_refuse(0);
	CHECK_EQ(knuma_node_of(data), -1);
	CHECK_EQ(knuma_node_of(NULL), -1);
	CHECK_EQ(knuma_node_of((void *)UINTPTR_MAX), -1);
	CHECK_EQ(knuma_node_of(ZERO_SIZE_PTR), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(every_call_with_every_node),
		child_test(without_fallback_every_named_node_is_meant),
		child_test(without_waiting),
		cmocka_unit_test(the_first_call_of_a_process),
		child_test(questions_about_every_node),
		child_test(placement_of_odd_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
