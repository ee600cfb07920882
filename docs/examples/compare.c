/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare.c - what kmalloc(), vmalloc() and malloc() cost, size by size
 *
 * What it teaches:
 *   - kmalloc() serves small sizes from an array of the running CPU; it ends at
 *     KMALLOC_MAX_SIZE.
 *   - vmalloc() has whole pages to find whatever the size, so it pays only when
 *     the memory is large.
 *   - malloc() is the C library's, or knuma's if its preload library is there.
 *
 * A row is one size; a figure is nanoseconds for allocating, writing one byte
 * and freeing again, the least of several rounds.  Such pairs reuse what was
 * just freed: they show the cost of the calls, not of fresh memory.  Figures of
 * one run compare with each other; those of two machines do not.
 */
#define pr_fmt(fmt) "compare: " fmt

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/vmalloc.h>

#include "docs/examples/example.h"

#define ROUNDS	  5
#define PER_ROUND 2000

struct allocator {
	const char *name;
	void *(*alloc)(size_t bytes);
	void (*free)(void *p);
	size_t most;
};

static void *by_kmalloc(size_t bytes)
{
	return kmalloc(bytes, GFP_KERNEL);
}

static void by_kfree(void *p)
{
	kfree(p);
}

static void *by_vmalloc(size_t bytes)
{
	return vmalloc(bytes);
}

static void by_vfree(void *p)
{
	vfree(p);
}

static const struct allocator allocators[] = {
	{"kmalloc", by_kmalloc, by_kfree, KMALLOC_MAX_SIZE},
	{"vmalloc", by_vmalloc, by_vfree, SIZE_MAX},
	{"malloc", malloc, free, SIZE_MAX},
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double round_ns(const struct allocator *a, size_t bytes)
{
	const double start = now_ns();

	for (int i = 0; i < PER_ROUND; i++) {
		volatile char *p = a->alloc(bytes);

		expect(p);
		*p = 1;
		a->free((void *)(uintptr_t)p);
	}
	return (now_ns() - start) / PER_ROUND;
}

static double least_ns(const struct allocator *a, size_t bytes)
{
	double least = round_ns(a, bytes);

	for (int i = 1; i < ROUNDS; i++)
		least = min_t(double, least, round_ns(a, bytes));
	return least;
}

int main(void)
{
	static const size_t sizes[] = {16, 256, 4096, 65536, 1 << 20, 16 << 20};

	printf("%10s", "bytes");
	for (size_t a = 0; a < ARRAY_SIZE(allocators); a++)
		printf(" %10s", allocators[a].name);
	printf("   (ns)\n");

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		printf("%10zu", sizes[i]);
		for (size_t a = 0; a < ARRAY_SIZE(allocators); a++) {
			if (sizes[i] > allocators[a].most)
				printf(" %10s", "-");
			else
				printf(" %10.1f",
				       least_ns(&allocators[a], sizes[i]));
		}
		printf("\n");
	}
	return 0;
}
