/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arrays.c - arrays and strings whose sizes cannot go wrong
 *
 * What it teaches:
 *   - n * size is the allocator's to multiply: kmalloc_array(), kcalloc() and
 *     krealloc_array() return NULL when the product does not fit.
 *   - struct_size() is the same for a struct that ends in an array.
 *   - The result of krealloc_array() goes into another variable first: after a
 *     failure the old array is still there.
 *   - kmemdup(), kstrdup(), kstrndup(), kmemdup_nul() allocate and copy;
 *     strscpy() copies into a buffer and tells when that was too small.
 *   - ksize() is what an object has, kmalloc_size_roundup() what it will have.
 */
#define pr_fmt(fmt) "arrays: " fmt

#include <knuma/linux/kernel.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/string.h>

#include "docs/examples/example.h"

struct packet {
	u32 nr_words;
	u32 words[];
};

static void numbers(void)
{
	u32 *squares = kmalloc_array(10, sizeof(*squares), GFP_KERNEL);
	u32 *more;

	expect(squares);
	for (u32 i = 0; i < 10; i++)
		squares[i] = i * i;

	/* Too many: NULL, and the ten are as they were. */
	more = krealloc_array(squares, SIZE_MAX / 2, sizeof(*squares),
			      GFP_KERNEL);
	expect(!more);
	expect(squares[9] == 81);

	more = krealloc_array(squares, 1000, sizeof(*squares), GFP_KERNEL);
	expect(more);
	squares = more;
	for (u32 i = 0; i < 10; i++)
		expect(squares[i] == i * i);
	pr_info("10 squares survived in an array of 1000, %zu bytes\n",
		ksize(squares));
	kfree(squares);

	expect(!kmalloc_array(SIZE_MAX / 2, 3, GFP_KERNEL));
	expect(!kcalloc(SIZE_MAX / 2, 3, GFP_KERNEL));
	pr_info("products that do not fit give NULL\n");
}

static void packets(void)
{
	const size_t n = 100;
	struct packet *p = kzalloc(struct_size(p, words, n), GFP_KERNEL);
	struct packet *copy;

	expect(p);
	expect(struct_size(p, words, SIZE_MAX) == SIZE_MAX);
	p->nr_words = (u32)n;
	p->words[n - 1] = 7;

	copy = kmemdup(p, struct_size(p, words, n), GFP_KERNEL);
	expect(copy && copy != p);
	expect(copy->nr_words == n && copy->words[n - 1] == 7);
	pr_info("a packet of %u words and its copy\n", copy->nr_words);
	kfree(copy);
	kfree(p);
}

static void strings(void)
{
	char *whole = kstrdup("kmem_cache", GFP_KERNEL);
	char *start = kstrndup("kmem_cache", 4, GFP_KERNEL);
	char *bytes = kmemdup_nul("cache line", 5, GFP_KERNEL);
	char name[8];

	expect(whole && start && bytes);
	pr_info("%s, %s, %s\n", whole, start, bytes);
	expect(!strcmp(whole, "kmem_cache"));
	expect(!strcmp(start, "kmem"));
	expect(!strcmp(bytes, "cache"));
	expect(!kstrdup(NULL, GFP_KERNEL));

	expect(strscpy(name, start) == 4);
	expect(strscpy(name, whole) == -E2BIG);
	pr_info("cut short, but a string: %s\n", name);

	kfree(bytes);
	kfree(start);
	kfree(whole);
}

static void sizes(void)
{
	static const size_t wanted[] = {1, 100, 1000, 5000, 33 * 1024};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		void *p = kmalloc(wanted[i], GFP_KERNEL);

		expect(p);
		expect(ksize(p) >= wanted[i]);
		expect(ksize(p) == kmalloc_size_roundup(wanted[i]));
		pr_info("%5zu bytes wanted, %5zu given\n", wanted[i], ksize(p));
		kfree(p);
	}

	/* No bytes: a pointer that is not NULL and must not be followed. */
	expect(kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);
	kfree(ZERO_SIZE_PTR);
}

int main(void)
{
	numbers();
	packets();
	strings();
	sizes();
	return 0;
}
