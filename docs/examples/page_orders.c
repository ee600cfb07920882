/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_orders.c - blocks of 1, 2, 4 ... 1024 pages
 *
 * What it teaches:
 *   - alloc_pages(gfp, order) gives 2^order pages in a row, aligned to the size
 *     of the block; order 10 is the largest.
 *   - A struct page is the block's descriptor, page_address() its memory, and
 *     virt_to_page() the way back.
 *   - __get_free_pages() is the same by address, and is freed by address.
 *   - alloc_pages_exact() gives the tail back that rounding up would waste.
 */
#define pr_fmt(fmt) "page_orders: " fmt

#include <knuma/linux/gfp.h>
#include <knuma/linux/kernel.h>
#include <knuma/linux/mm.h>
#include <knuma/linux/string.h>

#include "docs/examples/example.h"

static void one_block(unsigned int order)
{
	const size_t bytes = PAGE_SIZE << order;
	struct page *page = alloc_pages(GFP_KERNEL, order);
	char *p;

	expect(page);
	p = page_address(page);
	expect(IS_ALIGNED((uintptr_t)p, bytes));
	expect(virt_to_page(p) == page);
	expect(page_to_pfn(virt_to_page(p + bytes - 1)) ==
	       page_to_pfn(page) + (1ul << order) - 1);
	expect(get_order(bytes) == order);

	memset(p, 0x5a, bytes);
	pr_info("order %2u: %4u pages at %p, node %d, aligned to %zu KiB\n",
		order, 1u << order, (void *)p, page_to_nid(page), bytes >> 10);
	__free_pages(page, order);
}

int main(void)
{
	const size_t odd = 5 * PAGE_SIZE;
	unsigned long addr;
	char *p;

	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++)
		one_block(order);

	expect(!alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_PAGE_ORDER + 1));
	pr_info("order %d: none\n", MAX_PAGE_ORDER + 1);

	addr = __get_free_pages(GFP_KERNEL, 3);
	expect(addr && IS_ALIGNED(addr, PAGE_SIZE << 3));
	free_pages(addr, 3);

	addr = get_zeroed_page(GFP_KERNEL);
	expect(addr);
	p = (char *)addr;
	for (size_t i = 0; i < PAGE_SIZE; i++)
		expect(p[i] == 0);
	free_page(addr);

	p = alloc_pages_exact(odd, GFP_KERNEL);
	expect(p && PAGE_ALIGNED(p));
	memset(p, 1, odd);
	pr_info("exactly 5 pages, in a block of order %u but for its tail\n",
		get_order(odd));
	free_pages_exact(p, odd);
	return 0;
}
