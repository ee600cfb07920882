/* SPDX-License-Identifier: Apache-2.0 */
/* An area over all nodes of a guest, where the kernel put its pages. */
#include <string.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/vm/machine.h"

#define MIB   ((size_t)1 << 20)

/* In huge pages it is still many for each node. */
#define BYTES (32 * MIB)

static int nodes_with_memory(int id[VM_MAX_NODES])
{
	int n = 0;

	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node))
		id[n++] = node;
	return n;
}

/* Every node has its share, give or take two huge pages. */
static void shares_are_equal(const char *p, const int *id, int n)
{
	const long page = (long)knuma_page_size();
	const long share = (long)BYTES / page / n, slack = 4 * (long)MIB / page;
	long count[VM_MAX_NODES];

	CHECK_EQ(knuma_placement(p, BYTES, count, VM_MAX_NODES), BYTES / page);
	for (int i = 0; i < n; i++)
		CHECK(count[id[i]] >= share - slack &&
		      count[id[i]] <= share + slack);
}

static void pages_are_spread_over_all_nodes(void)
{
	int id[VM_MAX_NODES], n;
	char *p;

	start_quiet();
	n = nodes_with_memory(id);
	p = knuma_vmalloc_interleave(BYTES, id, n);
	CHECK(p);
	memset(p, 1, BYTES);
	shares_are_equal(p, id, n);
	/* Nobody brings home what is meant to be elsewhere. */
	CHECK_EQ(knuma_trim(), 0);
	shares_are_equal(p, id, n);
	vfree(p);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
	heap_verify();
}

/* The address space of before, with the policy of its window again. */
static void what_is_freed_comes_home(void)
{
	int id[VM_MAX_NODES], n;
	long count[VM_MAX_NODES];
	char *p, *was;

	start_quiet();
	n = nodes_with_memory(id);
	p = knuma_vmalloc_interleave(BYTES, id, n);
	was = launder(p);
	memset(p, 1, BYTES);
	vfree(p);
	CHECK_EQ(knuma_trim(), 0);
	p = vmalloc_node(BYTES, knuma_node_of(was));
	CHECK_EQ(p, was);
	CHECK(all_bytes(p, BYTES, 0));
	memset(p, 2, BYTES);
	CHECK_EQ(knuma_placement(p, BYTES, count, VM_MAX_NODES),
		 BYTES / knuma_page_size());
	CHECK_EQ(count[knuma_node_of(p)], BYTES / knuma_page_size());
	vfree(p);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(pages_are_spread_over_all_nodes),
		child_test(what_is_freed_comes_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
