/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block of the size of a huge page is one where the kernel has one: its pages
 * are physically contiguous and aligned, by /proc/self/pagemap, and of the kind
 * that /proc/kpageflags calls huge.  On the node that was named.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define MIB	     ((size_t)1 << 20)
#define LONG_SECONDS 400

#define HUGE	     (2 * MIB)
#define BASE	     ((size_t)4096)
#define HUGE_ORDER   9

/* Of /proc/self/pagemap and /proc/kpageflags. */
#define PFN_MASK     (((uint64_t)1 << 55) - 1)
#define PRESENT	     ((uint64_t)1 << 63)
#define KPF_THP	     ((uint64_t)1 << 22)

/* Blocks that are taken, and what must be free in huge pages for them. */
#define BLOCKS	     6
#define NEEDED	     (128 * MIB)

static uint64_t frame_of(const void *p)
{
	const uint64_t e =
		kernel_entry("/proc/self/pagemap", (uintptr_t)p / BASE);

	CHECK(e & PRESENT);
	/* Zero is what those see who may not know. */
	CHECK(e & PFN_MASK);
	return e & PFN_MASK;
}

/* All of [@p, @p + HUGE) is one huge page of the machine. */
static void expect_one_huge_page(const char *p)
{
	const uint64_t first = frame_of(p);

	CHECK_EQ(first % (HUGE / BASE), 0);
	for (size_t i = 1; i < HUGE / BASE; i++)
		CHECK_EQ(frame_of(p + i * BASE), first + i);
	CHECK(kernel_entry("/proc/kpageflags", first) & KPF_THP);
}

/* Bytes free on @node in blocks of a huge page at least. */
static size_t free_in_huge_pages(int node)
{
	FILE *f = fopen("/proc/buddyinfo", "r");
	unsigned long n[11];
	size_t bytes = 0;
	char line[256];
	int id, at;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %d, zone %*s %n", &id, &at) != 1 ||
		    id != node)
			continue;
		CHECK(sscanf(line + at,
			     "%lu %lu %lu %lu %lu %lu %lu %lu %lu "
			     "%lu %lu",
			     n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7,
			     n + 8, n + 9, n + 10) == 11);
		bytes += (n[9] + 2 * n[10]) * HUGE;
	}
	fclose(f);
	return bytes;
}

/* Blocks of pages, and an area of @bytes. */
static void expect_huge_pages_on(int node, size_t bytes)
{
	struct page *page[BLOCKS];
	char *area;

	for (int i = 0; i < BLOCKS; i++) {
		page[i] = alloc_pages_node(node, GFP_KERNEL, HUGE_ORDER);
		CHECK(page[i]);
		touch_pages(page_address(page[i]), HUGE);
		expect_on(page_address(page[i]), HUGE, node, "a huge page");
		expect_one_huge_page(page_address(page[i]));
	}
	area = vmalloc_node(bytes, node);
	CHECK(area);
	CHECK_EQ((uintptr_t)area % HUGE, 0);
	touch_pages(area, bytes);
	for (size_t at = 0; at < bytes; at += HUGE)
		expect_one_huge_page(area + at);
	vfree(area);
	for (int i = 0; i < BLOCKS; i++)
		__free_pages(page[i], HUGE_ORDER);
}

static void blocks_on(int node)
{
	expect_huge_pages_on(node, 2 * HUGE);
}

/* A smaller block lies inside one huge page. */
static void small_blocks_on(int node)
{
	for (unsigned order = 0; order < HUGE_ORDER; order++) {
		struct page *page = alloc_pages_node(node, GFP_KERNEL, order);
		const size_t bytes = BASE << order;
		char *p = page_address(page);
		uint64_t first;

		touch_pages(p, bytes);
		first = frame_of(p);
		for (size_t i = 1; i < bytes / BASE; i++)
			CHECK_EQ(frame_of(p + i * BASE), first + i);
		__free_pages(page, order);
	}
}

static void on_nodes_with_huge_pages(void (*fn)(int node))
{
	const struct node_list nodes = nodes_with_memory();
	int nr = 0;

	alarm(LONG_SECONDS);
	start_quiet();
	for (int i = 0; i < nodes.nr; i++) {
		if (free_in_huge_pages(nodes.id[i]) < NEEDED)
			continue;
		fn(nodes.id[i]);
		nr++;
	}
	if (!nr)
		skip_child("no node has 128 MiB free in huge pages");
	heap_verify();
}

static void a_block_of_order_9_is_one_huge_page(void)
{
	conf("huge_after", "0");
	on_nodes_with_huge_pages(blocks_on);
}

static void a_smaller_block_is_contiguous(void)
{
	conf("huge_after", "0");
	on_nodes_with_huge_pages(small_blocks_on);
}

/*
 * By default the first 8 MiB of a node stay on base pages, and as much of its
 * areas, but for those of 16 MiB and more.
 */
static void past_huge_after(int node)
{
	struct page *page[8 * MIB / HUGE];

	for (size_t i = 0; i < 8 * MIB / HUGE; i++) {
		page[i] = alloc_pages_node(node, GFP_KERNEL, HUGE_ORDER);
		CHECK(page[i]);
		touch_pages(page_address(page[i]), HUGE);
	}
	expect_huge_pages_on(node, 16 * MIB);
	for (size_t i = 0; i < 8 * MIB / HUGE; i++)
		__free_pages(page[i], HUGE_ORDER);
}

static void huge_pages_begin_after_huge_after(void)
{
	on_nodes_with_huge_pages(past_huge_after);
}

static const char *thp_before;

static int thp_madvise(void **state)
{
	(void)state;
	thp_before = thp_mode("madvise");
	return 0;
}

static int thp_restore(void **state)
{
	(void)state;
	thp_mode(thp_before);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_block_of_order_9_is_one_huge_page),
		child_test(a_smaller_block_is_contiguous),
		child_test(huge_pages_begin_after_huge_after),
	};

	return cmocka_run_group_tests(tests, thp_madvise, thp_restore);
}
