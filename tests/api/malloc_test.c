/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/malloc.h>: the malloc family on the same heap. */
#include <knuma/malloc.h>

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

#define MIB ((size_t)1 << 20)

static const size_t some_sizes[] = {1,	  7,	   8,		16,
				    17,	  100,	   1000,	1024,
				    1025, 4096,	   4097,	8192,
				    8193, 100000,  262144,	262145,
				    MIB,  4 * MIB, 4 * MIB + 1, 30 * MIB};
#define NR_SIZES (sizeof(some_sizes) / sizeof(some_sizes[0]))

static void aligned_to_16(void)
{
	for (size_t size = 0; size <= 20000; size += size < 300 ? 1 : 37) {
		void *p = knuma_malloc(size), *q = knuma_calloc(1, size);
		void *r = knuma_realloc(knuma_malloc(8), size + 1);

		/*
		 * checks knuma_malloc, knuma_calloc, knuma_realloc: "16 bytes"
		 */
		CHECK(p && (uintptr_t)p % 16 == 0);
		CHECK(q && (uintptr_t)q % 16 == 0);
		CHECK(r && (uintptr_t)r % 16 == 0);
		CHECK(knuma_malloc_usable_size(p) >= size);
		knuma_free(p);
		knuma_free(q);
		knuma_free(r);
	}
	heap_verify();
}

static void no_bytes_are_an_object_of_their_own(void)
{
	void *p[100];

	for (int i = 0; i < 100; i++) {
		p[i] = i % 3 == 0 ? knuma_malloc(0) :
		       i % 3 == 1 ? knuma_calloc(0, 10) :
				    knuma_memalign(64, 0);
		/*
		 * checks knuma_malloc, knuma_memalign: "0 gives an object that
		 * may only be freed"
		 */
		CHECK(p[i] && p[i] != ZERO_SIZE_PTR);
		for (int k = 0; k < i; k++)
			CHECK(p[k] != p[i]);
	}
	for (int i = 0; i < 100; i++)
		knuma_free(p[i]);
	knuma_free(NULL);
	/* checks knuma_malloc_usable_size: "0 for NULL" */
	CHECK_EQ(knuma_malloc_usable_size(NULL), 0);
}

static void all_usable_bytes_are_usable(void)
{
	unsigned char *p[NR_SIZES];

	for (size_t i = 0; i < NR_SIZES; i++) {
		p[i] = knuma_malloc(some_sizes[i]);
		CHECK(p[i] && knuma_malloc_usable_size(p[i]) >= some_sizes[i]);
		pattern_fill(p[i], knuma_malloc_usable_size(p[i]), i);
	}
	/*
	 * checks knuma_malloc_usable_size: "bytes that may be read and written"
	 */
	for (size_t i = 0; i < NR_SIZES; i++)
		CHECK(pattern_holds(p[i], knuma_malloc_usable_size(p[i]), i));
	for (size_t i = 0; i < NR_SIZES; i++)
		knuma_free(p[i]);
	heap_verify();
}

static void calloc_is_zero_after_dirty_frees(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		for (int round = 0; round < 4; round++) {
			char *p = knuma_malloc(some_sizes[i]);

			memset(p, 0xa5, some_sizes[i]);
			knuma_free(p);
			p = knuma_calloc(some_sizes[i], 1);
			/* checks knuma_calloc: "the memory, all zeroes" */
			CHECK(p && all_bytes(p, some_sizes[i], 0));
			memset(p, 0xa5, some_sizes[i]);
			knuma_free(p);
		}
	}
}

static void sizes_that_cannot_be(void)
{
	const volatile size_t half = SIZE_MAX / 2 + 1, big = SIZE_MAX - 5000;
	const volatile size_t most = SIZE_MAX, wraps = SIZE_MAX / 16 + 2;

	/* checks knuma_calloc: "also when @n * @size does not fit" */
	CHECK_FAILS(knuma_calloc(half, 2), ENOMEM);
	/* A product that wraps around to a small one. */
	CHECK_FAILS(knuma_calloc(wraps, 16), ENOMEM);
	CHECK_FAILS(knuma_malloc(half), ENOMEM);
	CHECK_FAILS(knuma_malloc(big), ENOMEM);
	CHECK_FAILS(knuma_malloc(most), ENOMEM);
	CHECK_FAILS(knuma_memalign(4096, big), ENOMEM);
	CHECK_FAILS(knuma_memalign(4096, most), ENOMEM);
	CHECK_FAILS(knuma_memalign(half, 1), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* No limit of 4 MiB or INT_MAX. */
static void more_than_kvmalloc_gives(void)
{
	char *p;

	if (!a_node_has((size_t)5 << 30))
		skip_child("no node has 5 GiB free");
	p = knuma_malloc((size_t)5 << 30);
	CHECK(p);
	p[0] = p[((size_t)5 << 30) - 1] = 1;
	knuma_free(p);
}

/* Also when a magazine runs empty, for all sizes around those of pages. */
static void an_object_wastes_less_than_it_is(void)
{
	static void *held[3000];

	for (size_t i = 0; i < NR_SIZES; i++) {
		const size_t size = some_sizes[i];
		const int n = size > 100000 ? 3 : size > 5000 ? 100 : 3000;
		const size_t most = size + size / 4 + (size > 1024 ? 4096 : 16);

		for (int k = 0; k < n; k++) {
			held[k] = knuma_malloc(size);
			CHECK(knuma_malloc_usable_size(held[k]) >= size);
			CHECK(knuma_malloc_usable_size(held[k]) <= most);
		}
		for (int k = 0; k < n; k++)
			knuma_free(held[k]);
	}
	heap_verify();
}

static void realloc_keeps_the_content(void)
{
	size_t have = 10;
	char *p = knuma_malloc(have);

	pattern_fill(p, have, 9);
	for (size_t i = 0; i < 3 * NR_SIZES; i++) {
		const size_t size = some_sizes[i * 7 % NR_SIZES];

		p = knuma_realloc(p, size);
		CHECK(p && knuma_malloc_usable_size(p) >= size);
		/*
		 * checks knuma_realloc: "with its content up to the lesser of
		 * both sizes"
		 */
		CHECK(pattern_holds(p, have < size ? have : size, 9));
		have = size;
		pattern_fill(p, have, 9);
	}
	knuma_free(p);
	heap_verify();
}

static void realloc_at_the_edges(void)
{
	char *p = knuma_realloc(NULL, 100);
	const volatile size_t big = SIZE_MAX / 2 + 1;

	/* checks knuma_realloc: "with NULL the call is knuma_malloc()" */
	CHECK(p);
	pattern_fill(p, 100, 2);
	/* checks knuma_realloc: "NULL on failure, and then @p is as before" */
	CHECK_FAILS(knuma_realloc(p, big), ENOMEM);
	CHECK(pattern_holds(p, 100, 2));
	/* checks knuma_realloc: "0 frees @p and returns NULL" */
	CHECK_EQ(knuma_realloc(p, 0), NULL);
	p = knuma_realloc(NULL, 0);
	CHECK(p);
	knuma_free(p);
	/* Of what a sibling made. */
	p = knuma_realloc(launder(vmalloc(10000)), 20000000);
	CHECK(p);
	p = knuma_realloc(p, 10);
	CHECK(p);
	knuma_free(p);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	heap_verify();
}

/* What grows step by step is moved a few times, not at each step. */
static void an_area_that_grows_has_room_to_grow(void)
{
	int moved = 0;
	char *p = knuma_malloc(MIB), *in_the_way;

	pattern_fill(p, MIB, 4);
	for (size_t size = 2 * MIB; size <= 40 * MIB; size += MIB) {
		char *q = knuma_realloc(p, size);

		in_the_way = knuma_malloc(2 * MIB);
		CHECK(in_the_way);

		CHECK(q && knuma_malloc_usable_size(q) >= size);
		moved += q != p;
		p = q;
		CHECK(pattern_holds(p, MIB, 4));
		in_the_way = knuma_realloc(in_the_way, 1);
		CHECK(in_the_way);
	}
	CHECK(moved >= 1 && moved <= 20);
	/* A shrink below half gives it back. */
	p = knuma_realloc(p, 10 * MIB);
	CHECK(knuma_malloc_usable_size(p) < 20 * MIB);
	CHECK(pattern_holds(p, MIB, 4));
	knuma_free(p);
	heap_verify();
}

static void any_power_of_two_aligns(void)
{
	static const size_t size[] = {0,    1,	   100,	   300,	    4000,
				      5000, 10000, 300000, MIB + 1, 9 * MIB};
	const size_t none = 0;

	for (size_t align = 1; align <= 8 * MIB; align *= 2) {
		for (size_t i = 0; i < 10; i++) {
			const size_t least = align < 16 ? 16 : align;
			char *p = knuma_memalign(align, size[i]);
			char *q = knuma_memalign(align, size[i]);

			CHECK(p && q && p != q);
			/*
			 * checks knuma_memalign: "@align, and 16 bytes at
			 * least"
			 */
			CHECK_EQ((uintptr_t)p % least, 0);
			CHECK_EQ((uintptr_t)q % least, 0);
			CHECK(knuma_malloc_usable_size(p) >= size[i]);
			memset(p, 1, size[i]);
			memset(q, 2, size[i]);
			CHECK(all_bytes(p, size[i], 1));
			knuma_free(p);
			knuma_free(q);
		}
	}
	heap_verify();
	for (volatile size_t odd = 0; odd < 5000; odd += 3)
		if (odd & (odd - 1))
			CHECK_FAILS(knuma_memalign(odd, 8), EINVAL);
	CHECK_FAILS(knuma_memalign(*(volatile size_t *)&none, 8), EINVAL);
}

static void a_foreign_pointer_is_reported_once_and_left_alone(void)
{
	char *other = malloc(100);
	static char data[32];

	memset(other, 0x3c, 100);
	misuse_catch();
	knuma_free(knuma_malloc(1));
	errno = 11;
	knuma_free(launder(other));
	knuma_free(launder(data));
	knuma_free(launder(data + 16));
	CHECK_EQ(errno, 11);
	CHECK_EQ(misuse_count(), 0);
	/* checks knuma_free: "not of this heap is left alone instead" */
	CHECK_EQ(printed_times("knuma: "), 1);
	CHECK_EQ(stat_of("invalid_free"), 3);
	CHECK(all_bytes(other, 100, 0x3c));
	free(other);
}

static void one_heap_for_all(void)
{
	misuse_catch();
	knuma_free(launder(kmalloc(100, GFP_KERNEL)));
	knuma_free(launder(kmalloc(100000, GFP_KERNEL)));
	knuma_free(launder(vmalloc(100000)));
	knuma_free(launder(kvmalloc(10 * MIB, GFP_KERNEL)));
	knuma_free(launder(kmalloc(0, GFP_KERNEL)));
	kfree(launder(knuma_malloc(100)));
	kvfree(launder(knuma_malloc(MIB)));
	CHECK_EQ(misuse_count(), 0);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	heap_verify();
}

static void free_leaves_errno_alone(void)
{
	static void *p[2000];

	for (size_t i = 0; i < NR_SIZES; i++) {
		const int n = some_sizes[i] > 100000 ? 4 : 2000;

		for (int k = 0; k < n; k++)
			p[k] = knuma_malloc(some_sizes[i]);
		errno = 12;
		for (int k = 0; k < n; k++)
			knuma_free(p[k]);
		CHECK_EQ(errno, 12);
	}
}

static void a_free_makes_no_system_call(void)
{
	static void *p[NR_SIZES][1000];

	start_here();
	conf("vmalloc_cache", "1M");
	for (size_t i = 0; i < NR_SIZES; i++)
		for (int k = 0; k < (some_sizes[i] > 100000 ? 4 : 1000); k++)
			p[i][k] = knuma_malloc(some_sizes[i]);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (size_t i = 0; i < NR_SIZES; i++)
		for (int k = 0; k < (some_sizes[i] > 100000 ? 4 : 1000); k++)
			knuma_free(p[i][k]);
}

static void objects_do_not_overlap(void)
{
	static unsigned char *p[3000];

	for (size_t i = 0; i < 3000; i++) {
		p[i] = knuma_malloc(i % 2000 + 1);
		pattern_fill(p[i], i % 2000 + 1, i);
	}
	for (size_t i = 0; i < 3000; i += 3)
		knuma_free(p[i]);
	for (size_t i = 0; i < 3000; i += 3) {
		p[i] = knuma_calloc(i % 2000 + 1, 1);
		CHECK(all_bytes(p[i], i % 2000 + 1, 0));
		pattern_fill(p[i], i % 2000 + 1, i);
	}
	for (size_t i = 0; i < 3000; i++) {
		CHECK(pattern_holds(p[i], i % 2000 + 1, i));
		knuma_free(p[i]);
	}
	heap_verify();
}

static void usable_size_before_the_start(void)
{
	char c;

	CHECK_EQ(knuma_malloc_usable_size(&c), 0);
	knuma_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(aligned_to_16),
		child_test(no_bytes_are_an_object_of_their_own),
		child_test(all_usable_bytes_are_usable),
		child_test(calloc_is_zero_after_dirty_frees),
		child_test(sizes_that_cannot_be),
		child_test(more_than_kvmalloc_gives),
		child_test(an_object_wastes_less_than_it_is),
		child_test(realloc_keeps_the_content),
		child_test(realloc_at_the_edges),
		child_test(an_area_that_grows_has_room_to_grow),
		child_test(any_power_of_two_aligns),
		child_test(a_foreign_pointer_is_reported_once_and_left_alone),
		child_test(one_heap_for_all),
		child_test(free_leaves_errno_alone),
		child_test(a_free_makes_no_system_call),
		child_test(objects_do_not_overlap),
		child_test(usable_size_before_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
