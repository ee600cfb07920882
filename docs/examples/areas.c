/* SPDX-License-Identifier: Apache-2.0 */
/*
 * areas.c - vmalloc() for what is large, kvmalloc() for what may be
 *
 * What it teaches:
 *   - vmalloc() gives whole pages, vzalloc() pages of zeroes; vfree() takes
 *     them back.
 *   - vmalloc(0) is NULL, unlike kmalloc(0): an area has at least one page.
 *   - kvmalloc() chooses: an object when the size is small, an area when it is
 *     large.  is_vmalloc_addr() tells which; kvfree() takes both.
 *   - kvrealloc() lets such memory grow and keeps its content.
 */
#define pr_fmt(fmt) "areas: " fmt

#include <knuma/linux/kernel.h>
#include <knuma/linux/mm.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/string.h>
#include <knuma/linux/vmalloc.h>

#include "docs/examples/example.h"

#define MIB ((size_t)1 << 20)

static void areas(void)
{
	const unsigned long before = vmalloc_nr_pages();
	char *small = vmalloc(100);
	char *large = vzalloc(16 * MIB);
	u64 *table = vcalloc(1000, sizeof(*table));

	expect(small && large && table);
	expect(PAGE_ALIGNED(small) && PAGE_ALIGNED(large));
	expect(is_vmalloc_addr(small) && is_vmalloc_addr(large + 16 * MIB - 1));
	strscpy(small, "the page is mine to its end", PAGE_SIZE);
	for (size_t i = 0; i < 16 * MIB; i += PAGE_SIZE)
		expect(large[i] == 0);
	expect(table[999] == 0);

	expect(vmalloc_nr_pages() - before ==
	       1 + 16 * MIB / PAGE_SIZE +
		       DIV_ROUND_UP(1000 * sizeof(*table), PAGE_SIZE));
	pr_info("three areas, %lu pages\n", vmalloc_nr_pages() - before);
	vfree(table);
	vfree(large);
	vfree(small);
	expect(vmalloc_nr_pages() == before);
	vfree(NULL);
	expect(!vcalloc(SIZE_MAX / 2, 3));
}

static void either(void)
{
	static const size_t sizes[] = {100, 4000, 32 * MIB};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = kvzalloc(sizes[i], GFP_KERNEL);

		expect(p);
		expect(p[0] == 0 && p[sizes[i] - 1] == 0);
		pr_info("%8zu bytes are %s\n", sizes[i],
			is_vmalloc_addr(p) ? "an area" : "an object");
		kvfree(p);
	}
}

static void grow(void)
{
	size_t bytes = 64;
	u32 *p = kvmalloc(bytes, GFP_KERNEL);

	expect(p);
	while (bytes < 64 * MIB) {
		u32 *q;

		/* The last word knows how large the memory was. */
		p[bytes / sizeof(*p) - 1] = (u32)bytes;
		q = kvrealloc(p, 4 * bytes, GFP_KERNEL);
		expect(q);
		expect(q[bytes / sizeof(*q) - 1] == bytes);
		p = q;
		bytes *= 4;
	}
	pr_info("grew from 64 bytes to %zu MiB\n", bytes / MIB);
	kvfree(p);
}

int main(void)
{
	areas();
	either();
	grow();
	return 0;
}
