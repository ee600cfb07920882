/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/numa.h> on the machine as it is; tests/fault has other machines. */
#include <knuma/numa.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"

static int nr_ids(void)
{
	int n = 0;

	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node))
		n++;
	return n;
}

static void nodes_go_from_one_to_the_next(void)
{
	int last = -1, node;

	/* checks knuma_nr_nodes: "at least 1" */
	CHECK(knuma_nr_nodes() >= 1);
	/* checks knuma_nr_nodes: "use knuma_next_node()" */
	CHECK_EQ(nr_ids(), knuma_nr_nodes());
	for (node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node)) {
		/* checks knuma_next_node: "the smallest id above @node" */
		CHECK(node > last);
		last = node;
	}
	/* checks knuma_next_node: "-1 when there is none" */
	CHECK_EQ(knuma_next_node(last), -1);
	CHECK_EQ(knuma_next_node(1 << 20), -1);
	CHECK_EQ(knuma_next_node(-5), knuma_next_node(-1));
}

static void the_running_cpu_has_a_node(void)
{
	const int mem = knuma_numa_mem_id();
	bool found = false;

	CHECK(knuma_numa_node_id() >= 0);
	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node))
		found |= node == mem;
	CHECK(found);
}

static void memory_belongs_to_a_node(void)
{
	void *const memory[] = {
		kmalloc(10, GFP_KERNEL),
		kmalloc(5000, GFP_KERNEL),
		kmalloc(1 << 20, GFP_KERNEL),
		vmalloc(100),
		vmalloc(10 << 20),
		page_address(alloc_pages(GFP_KERNEL, 5)),
	};
	static char data[10];
	char stack[10];

	/* checks knuma_node_of: "-1 for an address that is not knuma's" */
	CHECK_EQ(knuma_node_of(data), -1);
	CHECK_EQ(knuma_node_of(stack), -1);
	CHECK_EQ(knuma_node_of(NULL), -1);
	CHECK_EQ(knuma_node_of((void *)-1), -1);
	for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++) {
		const int node = knuma_node_of(memory[i]);

		/* checks knuma_node_of: "the node whose window @p lies in" */
		CHECK(node >= 0);
		CHECK_EQ(knuma_node_of((char *)memory[i] + 9), node);
		/* A node with memory. */
		CHECK_EQ(knuma_next_node(node - 1), node);
	}
}

static void behind_the_last_window_nothing_belongs(void)
{
	fake_nodes(3);
	start_quiet();
	CHECK_EQ(knuma_node_of((void *)kn_window_base(2)), 2);
	CHECK_EQ(knuma_node_of((void *)kn_window_base(3)), -1);
}

static void before_the_start_nothing_belongs(void)
{
	static char data[10];

	CHECK_EQ(knuma_node_of(data), -1);
	CHECK_EQ(knuma_node_of(NULL), -1);
}

static void named_nodes_serve(void)
{
	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node)) {
		void *p = kmalloc_node(100, GFP_KERNEL, node);
		void *q = vmalloc_node(100000, node);

		CHECK_EQ(knuma_node_of(p), node);
		CHECK_EQ(knuma_node_of(q), node);
		kfree(p);
		vfree(q);
	}
}

static void a_zonelist_has_every_node_once(void)
{
	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node)) {
		int list[1024], n = knuma_zonelist(node, list, 1024);

		CHECK(n >= 1 && n <= knuma_nr_nodes());
		CHECK_EQ(list[0], node);
		for (int a = 0; a < n; a++)
			for (int b = 0; b < a; b++)
				CHECK(list[a] != list[b]);
		for (int a = 1; a < n; a++)
			CHECK(knuma_distance(node, list[a - 1]) <=
			      knuma_distance(node, list[a]));
	}
}

static void a_zonelist_that_does_not_fit(void)
{
	int list[3] = {-7, -7, -7};
	const int n = knuma_zonelist(NUMA_NO_NODE, list, 1);

	CHECK(n >= 1);
	CHECK(list[0] >= 0);
	CHECK_EQ(list[1], -7);
	list[0] = -7;
	/*
	 * checks knuma_zonelist: "the length of the whole list", "filled [0,
	 * min(n, return value))"
	 */
	CHECK_EQ(knuma_zonelist(NUMA_NO_NODE, list, 0), n);
	CHECK_EQ(knuma_zonelist(NUMA_NO_NODE, NULL, 0), n);
	CHECK_EQ(list[0], -7);
	CHECK_EQ(knuma_zonelist(-2, list, 3), -EINVAL);
	CHECK_EQ(knuma_zonelist(1 << 20, list, 3), -EINVAL);
	CHECK_EQ(list[0], -7);
}

static void distances(void)
{
	for (int a = knuma_next_node(-1); a >= 0; a = knuma_next_node(a)) {
		/*
		 * checks knuma_distance: "10 within a node, larger when
		 * farther"
		 */
		CHECK_EQ(knuma_distance(a, a), 10);
		for (int b = knuma_next_node(-1); b >= 0;
		     b = knuma_next_node(b))
			CHECK(a == b || knuma_distance(a, b) >= 10);
	}
	CHECK_EQ(knuma_distance(-1, 0), -EINVAL);
	CHECK_EQ(knuma_distance(0, 1 << 20), -EINVAL);
}

/* Pages of @p that are on the node they belong to. */
static void lies_where_it_belongs(char *p, size_t bytes)
{
	const size_t page = knuma_page_size();
	const uintptr_t first = (uintptr_t)p / page;
	const uintptr_t last = ((uintptr_t)p + bytes - 1) / page;
	long count[1024], sum = 0, present;

	memset(p, 1, bytes);
	present = knuma_placement(p, bytes, count, 1024);
	if (present == -EPERM || present == -ENOSYS)
		skip_child("move_pages(2) is refused here");
	/*
	 * checks knuma_placement: "pages that are present"; page_to_nid: "told
	 * by knuma_placement()"
	 */
	CHECK_EQ(present, last - first + 1);
	for (int i = 0; i < 1024; i++)
		sum += count[i];
	CHECK_EQ(sum, present);
	/* checks knuma_node_of: "told by knuma_placement()" */
	CHECK_EQ(count[knuma_node_of(p)], present);
}

static void touched_pages_are_counted_where_they_are(void)
{
	char *small = kmalloc(100, GFP_KERNEL);
	char *large = kmalloc(1 << 20, GFP_KERNEL);
	char *area = vmalloc(3 << 20);
	char *pages = page_address(alloc_pages(GFP_KERNEL, 6));

	lies_where_it_belongs(small, 100);
	lies_where_it_belongs(large, 1 << 20);
	lies_where_it_belongs(area, 3 << 20);
	lies_where_it_belongs(pages, knuma_page_size() << 6);
}

static void untouched_pages_stay_untouched(void)
{
	const size_t bytes = 8 << 20;
	char *p;
	long count[4] = {5, 5, 5, 5}, present;

	conf("guard_pages", "no");
	start_quiet();
	p = vmalloc(bytes);
	present = knuma_placement(p, bytes, count, 4);
	if (present == -EPERM || present == -ENOSYS)
		skip_child("move_pages(2) is refused here");
	/*
	 * checks knuma_placement: "Pages that were never touched are not
	 * counted"
	 */
	CHECK_EQ(present, 0);
	CHECK(all_bytes(count, sizeof(count), 0));
	p[5000000] = 1;
	present = knuma_placement(p, bytes, NULL, 0);
	/* One page, or a huge one. */
	CHECK(present == 1 || present == 512);
	/* checks knuma_placement: "NULL if only the sum is wanted" */
	CHECK_EQ(knuma_placement(p, bytes, NULL, 0), present);
	vfree(p);
}

static void ranges_at_the_edges(void)
{
	static char data[3 * 65536];
	long count[2];

	memset(data, 1, sizeof(data));
	CHECK_EQ(knuma_placement((void *)-4096, 8192, count, 2), -EINVAL);
	CHECK_EQ(knuma_placement(data, SIZE_MAX, count, 2), -EINVAL);
	CHECK_EQ(knuma_placement(data, 0, count, 2), 0);
	if (knuma_placement(data, 1, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
	/* Any memory of the process, by its pages. */
	/* checks knuma_placement: "any memory of the process" */
	CHECK_EQ(knuma_placement(data, 1, NULL, 0), 1);
	CHECK_EQ(knuma_placement(data + 65535, 2, NULL, 0),
		 ((uintptr_t)data + 65535) % knuma_page_size() ==
				 knuma_page_size() - 1 ?
			 2 :
			 1);
	CHECK(knuma_placement(data, sizeof(data), count, 2) >=
	      (long)(sizeof(data) / knuma_page_size()));
}

static void refining_leaves_a_working_heap(void)
{
	const int ret = knuma_topology_refine();
	int list[8];

	CHECK(ret <= 0);
	CHECK(knuma_zonelist(NUMA_NO_NODE, list, 8) >= 1);
	memory_belongs_to_a_node();
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(nodes_go_from_one_to_the_next),
		child_test(the_running_cpu_has_a_node),
		child_test(memory_belongs_to_a_node),
		child_test(behind_the_last_window_nothing_belongs),
		child_test(before_the_start_nothing_belongs),
		child_test(named_nodes_serve),
		child_test(a_zonelist_has_every_node_once),
		child_test(a_zonelist_that_does_not_fit),
		child_test(distances),
		child_test(touched_pages_are_counted_where_they_are),
		child_test(untouched_pages_stay_untouched),
		child_test(ranges_at_the_edges),
		child_test(refining_leaves_a_working_heap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
