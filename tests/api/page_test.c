/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/page.h>: blocks of pages, sentence by sentence. */
#include <knuma/page.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/kmalloc.h>
#include <knuma/numa.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

#define NR 40

static size_t block_bytes(unsigned int order)
{
	return knuma_page_size() << order;
}

static void a_block_is_aligned_to_its_size(void)
{
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		struct page *page[NR];

		for (int i = 0; i < NR; i++) {
			page[i] = alloc_pages(GFP_KERNEL, order);
			CHECK(page[i]);
			/*
			 * checks alloc_pages_node, __alloc_pages: "the size of
			 * the block"
			 */
			CHECK_EQ((uintptr_t)page_address(page[i]) %
					 block_bytes(order),
				 0);
			memset(page_address(page[i]), i, 64);
		}
		for (int i = 0; i < NR; i++)
			CHECK(all_bytes(page_address(page[i]), 64,
					(unsigned char)i));
		for (int i = 0; i < NR; i++)
			__free_pages(page[i], order);
	}
	heap_verify();
}

static void round_trips(void)
{
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);
		char *at = page_address(page);
		const unsigned long pfn = page_to_pfn(page);

		/* checks virt_to_page, pfn_to_page: "the page" */
		CHECK_EQ(virt_to_page(at), page);
		CHECK_EQ(pfn_to_page(pfn), page);
		/* checks page_to_nid: "It is where the page belongs" */
		CHECK_EQ(page_to_nid(page), knuma_node_of(at));
		for (unsigned long i = 0; i < 1ul << order; i++) {
			struct page *one = pfn_to_page(pfn + i);

			/*
			 * checks page_to_pfn: "the pages of a block have
			 * consecutive ones"
			 */
			CHECK_EQ(page_to_pfn(one), pfn + i);
			CHECK_EQ(page_address(one), at + i * knuma_page_size());
			CHECK_EQ(virt_to_page(at + i * knuma_page_size() + 17),
				 one);
			CHECK_EQ(virt_to_head_page(at + i * knuma_page_size()),
				 page);
		}
		__free_pages(page, order);
	}
}

static void the_page_of_objects(void)
{
	char *small = kmalloc(100, GFP_KERNEL);
	char *large = kmalloc(50000, GFP_KERNEL);

	CHECK(virt_to_page(small) && virt_to_page(large));
	/*
	 * checks virt_to_head_page: "the first page of the block, slab or large
	 * object"
	 */
	CHECK_EQ(virt_to_head_page(large + 49999), virt_to_page(large));
	CHECK((uintptr_t)page_address(virt_to_head_page(small)) <=
	      (uintptr_t)small);
	CHECK_EQ(page_to_nid(virt_to_page(small)), knuma_node_of(small));
	kfree(small);
	kfree(large);
}

static void a_foreign_address_has_no_page(void)
{
	void *area = vmalloc(10000), *heap = malloc(10);
	int local;

	/*
	 * checks virt_to_page: "an address that is not in a page part of
	 * knuma"; virt_to_head_page: "NULL as virt_to_page()"
	 */
	CHECK_EQ(virt_to_page(area), NULL);
	CHECK_EQ(virt_to_head_page(area), NULL);
	CHECK_EQ(virt_to_page(heap), NULL);
	CHECK_EQ(virt_to_page(&local), NULL);
	CHECK_EQ(virt_to_page(NULL), NULL);
	CHECK_EQ(virt_to_head_page(&local), NULL);
	/* checks pfn_to_page: "NULL when @pfn is none of knuma's" */
	CHECK_EQ(pfn_to_page(~0ul), NULL);
	CHECK_EQ(pfn_to_page(~0ul / 4), NULL);
	CHECK_EQ(pfn_to_page(1ul << 32), NULL);
	free(heap);
	vfree(area);
}

static void an_order_above_the_largest(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_FAILS(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_PAGE_ORDER + 1),
		    EINVAL);
	CHECK_EQ(strlen(printed()), 0);
	/*
	 * checks alloc_pages_node: "EINVAL when @order is too large or @node is
	 * no possible id"
	 */
	CHECK_FAILS(alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER + 1), EINVAL);
	CHECK_FAILS(alloc_pages(GFP_KERNEL, UINT32_MAX), EINVAL);
	CHECK_FAILS(__get_free_pages(GFP_KERNEL, 11), EINVAL);
	CHECK_FAILS(alloc_pages_node(0, GFP_KERNEL, 64), EINVAL);
	CHECK_EQ(printed_times("knuma: "), 1);
}

static void nodes(void)
{
	struct page *page = alloc_pages_node(NUMA_NO_NODE, GFP_KERNEL, 2);

	CHECK(page);
	__free_pages(page, 2);
	page = alloc_pages_node(0, GFP_KERNEL | __GFP_THISNODE, 2);
	CHECK(page && page_to_nid(page) == 0);
	__free_pages(page, 2);
	page = __alloc_pages_node(0, GFP_KERNEL, 5);
	CHECK(page && page_to_nid(page) == 0);
	__free_pages(page, 5);
	CHECK_FAILS(alloc_pages_node(-2, GFP_KERNEL, 0), EINVAL);
	CHECK_FAILS(alloc_pages_node(4096, GFP_KERNEL, 0), EINVAL);
	CHECK_FAILS(alloc_pages_exact_nid(4096, 10000, GFP_KERNEL), EINVAL);
	CHECK_EQ(stat_of("invalid_node"), 3);
	CHECK_EQ(printed_times("not a possible node"), 1);
}

static void the_form_that_names_a_node_wants_one(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	/*
	 * checks __alloc_pages_node: "NUMA_NO_NODE gives NULL and EINVAL",
	 * "NUMA_NO_NODE is refused"
	 */
	CHECK_FAILS(__alloc_pages_node(NUMA_NO_NODE, GFP_KERNEL, 0), EINVAL);
	CHECK_FAILS(__alloc_pages_node(-2, GFP_KERNEL, 0), EINVAL);
}

static void flags_without_a_meaning_are_refused(void)
{
	CHECK_FAILS(alloc_pages(GFP_KERNEL | (gfp_t)1 << 30, 0), EINVAL);
	CHECK_FAILS(alloc_pages_exact(5000, (gfp_t)1 << 30), EINVAL);
	CHECK_FAILS(get_zeroed_page((gfp_t)1 << 30), EINVAL);
}

static void dirty_blocks(unsigned int order, int n)
{
	struct page *page[NR];

	for (int i = 0; i < n; i++) {
		page[i] = alloc_pages(GFP_KERNEL, order);
		memset(page_address(page[i]), 0xdd, block_bytes(order));
	}
	for (int i = 0; i < n; i++)
		__free_pages(page[i], order);
}

static void zeroed_pages_after_dirty_frees(void)
{
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		const int n = order > 6 ? 3 : NR;

		dirty_blocks(order, n);
		for (int i = 0; i < n; i++) {
			struct page *page =
				alloc_pages(GFP_KERNEL | __GFP_ZERO, order);

			/* checks alloc_pages_node: "unless __GFP_ZERO" */
			CHECK(all_bytes(page_address(page), block_bytes(order),
					0));
			memset(page_address(page), 0xdd, block_bytes(order));
			__free_pages(page, order);
		}
	}
	for (int i = 0; i < 300; i++) {
		const unsigned long at = get_zeroed_page(GFP_KERNEL);

		CHECK(all_bytes((void *)at, knuma_page_size(), 0));
		memset((void *)at, 1, knuma_page_size());
		free_page(at);
	}
}

static void by_address(void)
{
	unsigned long at = __get_free_pages(GFP_KERNEL, 3);

	/*
	 * checks __get_free_pages: "the address of the first byte", "Free with
	 * free_pages()"
	 */
	CHECK(at && at % block_bytes(3) == 0);
	memset((void *)at, 1, block_bytes(3));
	free_pages(at, 3);
	at = __get_free_page(GFP_KERNEL);
	CHECK(at);
	free_page(at);
	free_pages(0, 5);
	__free_pages(NULL, 5);
	__free_page(alloc_page(GFP_KERNEL));
	heap_verify();
}

static void orders_of_sizes(void)
{
	const size_t page = knuma_page_size();

	CHECK_EQ(get_order(1), 0);
	CHECK_EQ(get_order(page), 0);
	CHECK_EQ(get_order(page + 1), 1);
	CHECK_EQ(get_order(2 * page), 1);
	CHECK_EQ(get_order(page << MAX_PAGE_ORDER), MAX_PAGE_ORDER);
	/* checks get_order: "The result may be above MAX_PAGE_ORDER" */
	CHECK_EQ(get_order((page << MAX_PAGE_ORDER) + 1), MAX_PAGE_ORDER + 1);
	CHECK_EQ(get_order((size_t)1 << 62), 62 - knuma_page_shift());
	/* checks get_order: "then no block is large enough" */
	CHECK_FAILS(alloc_pages(GFP_KERNEL,
				get_order((page << MAX_PAGE_ORDER) + 1)),
		    EINVAL);
}

static void exact_sizes(void)
{
	const size_t page = knuma_page_size();
	char *p[64];

	for (size_t n = 1; n <= 64; n++) {
		p[n - 1] = alloc_pages_exact(n * page - 5, GFP_KERNEL);
		/*
		 * checks alloc_pages_exact: "the address of the first byte", "a
		 * page", "Free with free_pages_exact()"
		 */
		CHECK(p[n - 1]);
		CHECK_EQ((uintptr_t)p[n - 1] % page, 0);
		pattern_fill(p[n - 1], n * page, n);
	}
	/* checks alloc_pages_exact: "rounded up to pages" */
	for (size_t n = 1; n <= 64; n++)
		CHECK(pattern_holds(p[n - 1], n * page, n));
	heap_verify();
	for (size_t n = 1; n <= 64; n++)
		free_pages_exact(p[n - 1], n * page - 5);
	heap_verify();
	p[0] = alloc_pages_exact(KMALLOC_MAX_SIZE, GFP_KERNEL | __GFP_ZERO);
	CHECK(p[0] && all_bytes(p[0], KMALLOC_MAX_SIZE, 0));
	free_pages_exact(p[0], KMALLOC_MAX_SIZE);
	free_pages_exact(NULL, 5);
	CHECK_FAILS(alloc_pages_exact(0, GFP_KERNEL), EINVAL);
	/* checks alloc_pages_exact: "when @size is too large" */
	CHECK_FAILS(alloc_pages_exact(KMALLOC_MAX_SIZE + 1, GFP_KERNEL),
		    ENOMEM);
	CHECK_FAILS(alloc_pages_exact(PTRDIFF_MAX, GFP_KERNEL), ENOMEM);
}

/* The pages behind an exact size serve others. */
static void what_is_not_needed_is_given_back(void)
{
	const size_t size = (1 << 20) + 1;
	uint64_t before;
	char *p;

	start_here();
	p = alloc_pages_exact(size, GFP_KERNEL);
	before = stat_of("page_free_bytes");
	free_pages_exact(p, size);
	/* checks alloc_pages_exact: "the pages behind @size are given back" */
	CHECK_EQ(stat_of("page_free_bytes") - before,
		 ALIGN(size, knuma_page_size()));
}

static void the_wrong_order_is_reported(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 3);

	misuse_catch();
	__free_pages(launder(page), 2);
	/* checks __free_pages: "another @order, a page inside a block" */
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "order");
	__free_pages(launder(page), 4);
	CHECK_EQ(misuse_count(), 2);
	free_pages((unsigned long)page_address(page), 0);
	CHECK_EQ(misuse_count(), 3);
	/* Nothing was freed. */
	__free_pages(page, 3);
	CHECK_EQ(misuse_count(), 3);
	CHECK_EQ(stat_of("invalid_free"), 3);
	heap_verify();
}

static void a_second_free_is_reported(void)
{
	misuse_catch();
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);
		struct page *was = launder(page);

		misuse_forget();
		__free_pages(page, order);
		CHECK_EQ(misuse_count(), 0);
		__free_pages(launder(was), order);
		CHECK_EQ(misuse_count(), 1);
		free_pages((unsigned long)page_address(was), order);
		CHECK_EQ(misuse_count(), 2);
	}
	heap_verify();
}

static void a_page_inside_a_block_is_reported(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 4);

	misuse_catch();
	for (unsigned long i = 1; i < 16; i++) {
		__free_pages(pfn_to_page(page_to_pfn(page) + i), 0);
		CHECK_EQ(misuse_count(), (int)i);
	}
	__free_pages(page, 4);
	heap_verify();
}

static void foreign_pages_are_reported(void)
{
	char *object = kmalloc(100, GFP_KERNEL);
	char *large = kmalloc(20000, GFP_KERNEL);
	char *area = vmalloc(20000);
	char *exact = alloc_pages_exact(20000, GFP_KERNEL);
	static char elsewhere[64];

	misuse_catch();
	free_pages((unsigned long)elsewhere, 0);
	CHECK_EQ(misuse_count(), 1);
	__free_pages(virt_to_page(object), 0);
	CHECK_EQ(misuse_count(), 2);
	free_pages((unsigned long)large, 3);
	CHECK_EQ(misuse_count(), 3);
	free_pages((unsigned long)area, 3);
	CHECK_EQ(misuse_count(), 4);
	free_pages((unsigned long)exact, 3);
	CHECK_EQ(misuse_count(), 5);
	kfree(object);
	kfree(large);
	vfree(area);
	free_pages_exact(exact, 20000);
	heap_verify();
}

/* An address of the heap that no memory was ever at. */
static void a_page_that_was_never_there_is_reported(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 0);

	misuse_catch();
	free_pages((unsigned long)page_address(page) + ((size_t)8 << 30), 0);
	CHECK_EQ(misuse_count(), 1);
	__free_pages(page, 0);
}

static void exact_frees_with_a_mistake_are_reported(void)
{
	char *p = alloc_pages_exact(20000, GFP_KERNEL);
	char *large = kmalloc(20000, GFP_KERNEL);
	char *was = launder(p);
	static char elsewhere[64];

	misuse_catch();
	free_pages_exact(launder(p), 10000);
	CHECK_EQ(misuse_count(), 1);
	free_pages_exact(launder(p + knuma_page_size()), 20000);
	CHECK_EQ(misuse_count(), 2);
	free_pages_exact(launder(elsewhere), 20000);
	CHECK_EQ(misuse_count(), 3);
	free_pages_exact(launder(p + 16), 20000);
	CHECK_EQ(misuse_count(), 4);
	free_pages_exact(launder(large), 20000);
	CHECK_EQ(misuse_count(), 5);
	kfree(launder(p));
	CHECK_EQ(misuse_count(), 6);
	free_pages_exact(p, 20000);
	CHECK_EQ(misuse_count(), 6);
	free_pages_exact(was, 20000);
	CHECK_EQ(misuse_count(), 7);
	kfree(large);
	heap_verify();
}

static void a_free_makes_no_system_call(void)
{
	static struct page *page[11][200];

	start_here();
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++)
		for (int i = 0; i < 200 >> order; i++)
			page[order][i] = alloc_pages(GFP_KERNEL, order);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	errno = 8;
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++)
		for (int i = 0; i < 200 >> order; i++)
			__free_pages(page[order][i], order);
	CHECK_EQ(errno, 8);
}

static void an_array_is_filled_where_it_is_null(void)
{
	struct page *page[200] = {NULL}, *was;

	page[3] = was = alloc_page(GFP_KERNEL);
	CHECK_EQ(alloc_pages_bulk(GFP_KERNEL | __GFP_ZERO, 100, page), 100);
	/*
	 * checks alloc_pages_bulk_node: "only places that are NULL are filled",
	 * "@n when all are"
	 */
	CHECK_EQ(page[3], was);
	for (int i = 0; i < 100; i++) {
		CHECK(page[i]);
		if (i != 3)
			CHECK(all_bytes(page_address(page[i]),
					knuma_page_size(), 0));
		memset(page_address(page[i]), i + 1, knuma_page_size());
	}
	CHECK_EQ(page[100], NULL);
	CHECK_EQ(alloc_pages_bulk_array(GFP_KERNEL, 200, page), 200);
	CHECK_EQ(alloc_pages_bulk_array_node(GFP_KERNEL, NUMA_NO_NODE, 200,
					     page),
		 200);
	for (int i = 0; i < 100; i++)
		CHECK(all_bytes(page_address(page[i]), knuma_page_size(),
				(unsigned char)(i + 1)));
	for (int i = 0; i < 200; i++)
		__free_page(page[i]);
	heap_verify();
}

static void an_array_that_cannot_be_filled(void)
{
	static struct page *page[20000];
	unsigned long n;

	start_quiet();
	errno = 0;
	n = alloc_pages_bulk(GFP_NOWAIT, 20000, page);
	/*
	 * checks alloc_pages_bulk_node: "places that are filled, from the first
	 * on", "and then the result is below @n"
	 */
	CHECK(n < 20000 && !page[n]);
	CHECK_EQ(errno, ENOMEM);
	for (unsigned long i = 0; i < 20000; i++)
		CHECK(!page[i] == (i >= n));
	for (unsigned long i = 0; i < n; i++)
		__free_page(page[i]);
	page[0] = NULL;
	errno = 0;
	CHECK_EQ(alloc_pages_bulk_node(GFP_KERNEL, 12345, 5, page), 0);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(alloc_pages_bulk(GFP_KERNEL, 0, page), 0);
}

static int node_of(struct page *page)
{
	const int nid = page_to_nid(page);

	__free_pages(page, 0);
	return nid;
}

/* The zonelist of the node, without the nodes that are not in the set. */
static void a_set_of_nodes_limits_who_serves(void)
{
	struct nodemask nodes = NODE_MASK_NONE;
	struct page *page[2] = {NULL};
	int node, n = 0;

	fake_nodes(4);
	CHECK_EQ(node_of(__alloc_pages(GFP_KERNEL, 0, 2, NULL)), 2);
	/* checks __alloc_pages: "ENOMEM when no node of @nodes can serve" */
	CHECK_FAILS(__alloc_pages(GFP_KERNEL | __GFP_NOWARN, 0, 2, &nodes),
		    ENOMEM);
	node_set(3, nodes);
	/*
	 * checks __alloc_pages: "nodes that are not in @nodes are passed over",
	 * "need not be in it, unless __GFP_THISNODE"
	 */
	CHECK_EQ(node_of(__alloc_pages(GFP_KERNEL, 0, 2, &nodes)), 3);
	CHECK_FAILS(__alloc_pages(GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN, 0,
				  2, &nodes),
		    ENOMEM);
	node_set(2, nodes);
	node_set(-1, nodes);
	node_set(MAX_NUMNODES, nodes);
	/*
	 * checks node_isset: "node_set() adds a node", "nodes_weight() counts
	 * them"
	 */
	CHECK_EQ(nodes_weight(nodes), 2);
	CHECK_EQ(nodes.bits[0], 1u << 3 | 1u << 2);
	CHECK(!node_isset(-1, nodes) && !node_isset(1, nodes));
	CHECK_EQ(node_of(__alloc_pages(GFP_KERNEL | __GFP_THISNODE, 0, 2,
				       &nodes)),
		 2);
	for_each_node_mask(node, nodes) n += node;
	CHECK_EQ(n, 5);
	node_clear(2, nodes);
	/*
	 * checks node_isset: "first_node() is the smallest id", "both are
	 * MAX_NUMNODES when there is none"
	 */
	CHECK(first_node(nodes) == 3 && next_node(3, nodes) == MAX_NUMNODES);
	nodes_clear(nodes);
	CHECK(nodes_empty(nodes));
	/* checks __alloc_pages: "NUMA_NO_NODE is refused" */
	CHECK_FAILS(__alloc_pages(GFP_KERNEL, 0, NUMA_NO_NODE, NULL), EINVAL);
	CHECK_EQ(printed_times("__alloc_pages() wants a node"), 1);
	CHECK_FAILS(__alloc_pages(GFP_KERNEL, 0, 12345, NULL), EINVAL);
	CHECK_EQ(alloc_pages_bulk_node(GFP_KERNEL, 1, 2, page), 2);
	CHECK(node_of(page[0]) == 1 && node_of(page[1]) == 1);
}

/* Every page at hand is put back: the largest blocks are there again. */
static void drained_lists_are_whole_blocks(void)
{
	static struct page *page[4096];

	start_here();
	for (int i = 0; i < 4096; i++)
		page[i] = alloc_page(GFP_KERNEL);
	for (int i = 0; i < 4096; i++)
		__free_page(page[i]);
	CHECK(stat_of("page_bytes") > 0);
	drain_all_pages(NULL);
	/*
	 * checks drain_all_pages: "Single pages and small blocks then can
	 * become larger"
	 */
	CHECK_EQ(stat_of("page_bytes"), 0);
	__free_page(alloc_page(GFP_KERNEL));
	/* checks drain_all_pages: "knuma_trim() does that, too" */
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("page_bytes"), 0);
	__free_page(alloc_page(GFP_KERNEL));
	drain_local_pages(NULL);
	CHECK_EQ(stat_of("page_bytes"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(an_array_is_filled_where_it_is_null),
		child_test(an_array_that_cannot_be_filled),
		child_test(a_set_of_nodes_limits_who_serves),
		child_test(drained_lists_are_whole_blocks),
		child_test(a_block_is_aligned_to_its_size),
		child_test(round_trips),
		child_test(the_page_of_objects),
		child_test(a_foreign_address_has_no_page),
		child_test(an_order_above_the_largest),
		child_test(nodes),
		child_test(the_form_that_names_a_node_wants_one),
		child_test(flags_without_a_meaning_are_refused),
		child_test(zeroed_pages_after_dirty_frees),
		child_test(by_address),
		child_test(orders_of_sizes),
		child_test(exact_sizes),
		child_test(what_is_not_needed_is_given_back),
		child_test(the_wrong_order_is_reported),
		child_test(a_second_free_is_reported),
		child_test(a_page_inside_a_block_is_reported),
		child_test(foreign_pages_are_reported),
		child_test(a_page_that_was_never_there_is_reported),
		child_test(exact_frees_with_a_mistake_are_reported),
		child_test(a_free_makes_no_system_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
