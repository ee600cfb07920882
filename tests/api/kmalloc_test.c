/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/kmalloc.h>, sentence by sentence. */
#include <knuma/kmalloc.h>
#include <knuma/numa.h>
#include <knuma/page.h>

#include <stdint.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

/* One size in each way that kmalloc() serves requests. */
static const size_t some_sizes[] = {
	1,    8,    16,	   24,	  40,	  64,	   100,	    192,     1000,
	1024, 1025, 4096,  5000,  8192,	  8193,	   12288,   65536,   70000,
	4097, 6144, 32769, 40960, 262144, 1 << 20, 3 << 20, 4 << 20,
};
#define NR_SIZES   (sizeof(some_sizes) / sizeof(some_sizes[0]))
#define MANY_PAGES 20000

static void no_bytes_is_the_zero_size_pointer(void)
{
	/*
	 * checks kmalloc, kmalloc_node: "0 is legal and returns ZERO_SIZE_PTR"
	 */
	CHECK_EQ(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kzalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kmalloc_node(0, GFP_KERNEL, 0), ZERO_SIZE_PTR);
	CHECK_EQ(kcalloc(0, 8, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kcalloc(8, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kmalloc_array(0, SIZE_MAX, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kmalloc(0, GFP_ATOMIC), ZERO_SIZE_PTR);
	CHECK(ZERO_SIZE_PTR != NULL);
	CHECK(ZERO_OR_NULL_PTR(ZERO_SIZE_PTR) && ZERO_OR_NULL_PTR(NULL));
	/* checks ksize: "0 for NULL and ZERO_SIZE_PTR" */
	CHECK_EQ(ksize(ZERO_SIZE_PTR), 0);
	CHECK_EQ(ksize(NULL), 0);
	CHECK_EQ(kmalloc_size_roundup(0), 0);
	kfree(ZERO_SIZE_PTR);
	kfree(NULL);
	kfree_sensitive(ZERO_SIZE_PTR);
	kfree_sensitive(NULL);
}

static void touch_zero_size(void)
{
	*(volatile char *)launder(kmalloc(0, GFP_KERNEL)) = 1;
}

static void any_access_to_no_bytes_faults(void)
{
	CHECK(child_faults(touch_zero_size));
}

#define SAME 5

static void aligned_by_size(size_t size)
{
	const size_t align = divisor_of(size) < 8 ? 8 : divisor_of(size);
	void *p[SAME];

	for (int i = 0; i < SAME; i++) {
		p[i] = kmalloc(size, GFP_KERNEL);
		CHECK(p[i]);
		/*
		 * checks kmalloc_node: "the largest power of two that divides
		 * @size"
		 */
		CHECK_EQ((uintptr_t)p[i] % align, 0);
	}
	for (int i = 0; i < SAME; i++)
		kfree(p[i]);
}

static void an_object_is_aligned_to_what_divides_its_size(void)
{
	for (size_t size = 1; size <= KMALLOC_MAX_CACHE_SIZE; size++)
		aligned_by_size(size);
	for (size_t size = 16; size <= KMALLOC_MAX_SIZE; size *= 2)
		aligned_by_size(size);
	/* Multiples of a power of two, above the classes. */
	for (size_t size = 12 << 10; size <= KMALLOC_MAX_SIZE;
	     size += size / 3 & ~(size_t)4095)
		aligned_by_size(size);
	heap_verify();
}

static void size_is_what_is_told(size_t size)
{
	unsigned char *a = kmalloc(size, GFP_KERNEL);
	unsigned char *b = kmalloc(size, GFP_KERNEL);
	const size_t real = ksize(a);

	CHECK(a && b && a != b);
	CHECK(real >= size);
	CHECK_EQ(ksize(b), real);
	CHECK_EQ(kmalloc_size_roundup(size), real);
	/* Asked for all of it, one owns all of it, and gets no more. */
	/* checks ksize: "kmalloc_size_roundup() bytes" */
	CHECK_EQ(kmalloc_size_roundup(real), real);
	CHECK(a + real <= b || b + real <= a);
	pattern_fill(a, real, size);
	pattern_fill(b, real, size + 1);
	CHECK(pattern_holds(a, real, size));
	CHECK(pattern_holds(b, real, size + 1));
	kfree(a);
	kfree(b);
}

static void ksize_tells_the_truth_and_all_of_it_is_usable(void)
{
	for (size_t size = 1; size <= KMALLOC_MAX_CACHE_SIZE; size++)
		size_is_what_is_told(size);
	for (size_t i = 0; i < NR_SIZES; i++)
		size_is_what_is_told(some_sizes[i]);
	heap_verify();
}

static void roundup_is_the_class_or_whole_pages(void)
{
	const size_t page = knuma_page_size();
	size_t last = 0;

	/*
	 * checks kmalloc_size_roundup: "the size class, or whole pages", "0 for
	 * 0, and @size itself above"
	 */
	CHECK_EQ(kmalloc_size_roundup(1), KMALLOC_MIN_SIZE);
	CHECK_EQ(kmalloc_size_roundup(33 << 10), ALIGN(33u << 10, page));
	for (size_t size = 1; size <= KMALLOC_MAX_CACHE_SIZE; size++) {
		const size_t real = kmalloc_size_roundup(size);

		CHECK(real >= size && real >= last);
		CHECK_EQ(real % 16, 0);
		/* Four classes between powers of two, then eight. */
		if (size > 128)
			CHECK((real - size) * 5 <= real);
		if (size > 1024)
			CHECK((real - size) * 9 <= real);
		last = real;
	}
	for (size_t size = KMALLOC_MAX_CACHE_SIZE + 1; size <= KMALLOC_MAX_SIZE;
	     size += 1111) {
		const size_t real = kmalloc_size_roundup(size);

		/* Four lengths between powers of two, from 16 pages to 64. */
		if (size > 16 * page && size <= 64 * page)
			CHECK(real >= size && (real - size) * 5 <= real &&
			      real % (4 * page) == 0);
		else
			CHECK_EQ(real, ALIGN(size, page));
	}
	CHECK_EQ(kmalloc_size_roundup(16 * page + 1), 20 * page);
	CHECK_EQ(kmalloc_size_roundup(32 * page + 1), 40 * page);
	CHECK_EQ(kmalloc_size_roundup(64 * page), 64 * page);
	CHECK_EQ(kmalloc_size_roundup(KMALLOC_MAX_SIZE), KMALLOC_MAX_SIZE);
	CHECK_EQ(kmalloc_size_roundup(KMALLOC_MAX_SIZE + 1),
		 KMALLOC_MAX_SIZE + 1);
	CHECK_EQ(kmalloc_size_roundup(SIZE_MAX), SIZE_MAX);
}

#define DIRTY 40

static void leave_dirty(size_t size, int n)
{
	void *p[DIRTY];

	for (int i = 0; i < n; i++) {
		p[i] = kmalloc(size, GFP_KERNEL);
		CHECK(p[i]);
		memset(p[i], 0xd1, ksize(p[i]));
	}
	for (int i = 0; i < n; i++)
		kfree(p[i]);
}

static void zeroed_after_dirty_frees(size_t size, int n)
{
	void *p[DIRTY];

	leave_dirty(size, n);
	for (int i = 0; i < n; i++) {
		p[i] = i % 2 ? kzalloc(size, GFP_KERNEL) :
			       kcalloc(1, size, GFP_KERNEL);
		CHECK(p[i]);
		CHECK(all_bytes(p[i], ksize(p[i]), 0));
	}
	for (int i = 0; i < n; i++)
		kfree(p[i]);
}

static void zeroed_means_all_of_ksize(void)
{
	for (size_t size = 1; size <= KMALLOC_MAX_CACHE_SIZE; size += 7)
		zeroed_after_dirty_frees(size, 4);
	for (size_t i = 0; i < NR_SIZES; i++)
		zeroed_after_dirty_frees(some_sizes[i],
					 some_sizes[i] > 65536 ? 3 : DIRTY);
}

static void the_zeroing_forms_agree(void)
{
	char *p;

	leave_dirty(96, DIRTY);
	p = kzalloc_node(96, GFP_KERNEL, 0);
	/* checks kmalloc_node, kmalloc_array: "unless __GFP_ZERO" */
	CHECK(p && all_bytes(p, ksize(p), 0));
	kfree(p);
	leave_dirty(96, DIRTY);
	p = kcalloc_node(3, 32, GFP_KERNEL, 0);
	CHECK(p && all_bytes(p, ksize(p), 0));
	kfree(p);
	leave_dirty(96, DIRTY);
	p = kmalloc_array(3, 32, GFP_KERNEL | __GFP_ZERO);
	CHECK(p && all_bytes(p, ksize(p), 0));
	kfree(p);
}

static void an_array_that_overflows_is_refused_in_silence(void)
{
	const volatile size_t half = SIZE_MAX / 2 + 1;
	void *p = kmalloc(40, GFP_KERNEL);

	memset(p, 3, 40);
	CHECK_FAILS(kmalloc_array(half, 2, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kmalloc_array_node(2, half, GFP_KERNEL, 0), ENOMEM);
	CHECK_FAILS(kcalloc(half, 3, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kcalloc_node(half, half, GFP_KERNEL, 0), ENOMEM);
	/* checks krealloc_array: "NULL on failure, and then @p is as before" */
	CHECK_FAILS(krealloc_array(p, half, 2, GFP_KERNEL), ENOMEM);
	CHECK(all_bytes(p, 40, 3));
	CHECK_EQ(strlen(printed()), 0);
	p = krealloc_array(p, 100, 4, GFP_KERNEL);
	CHECK(p && ksize(p) >= 400 && all_bytes(p, 40, 3));
	kfree(p);
}

static void above_the_largest_size(void)
{
	const volatile size_t size = KMALLOC_MAX_SIZE + 1;
	const uint64_t before = stat_of("too_large");
	void *p = kmalloc(KMALLOC_MAX_SIZE, GFP_KERNEL);

	CHECK(p);
	memset(p, 1, KMALLOC_MAX_SIZE);
	kfree(p);
	/*
	 * checks kmalloc_node: "KMALLOC_MAX_SIZE (warns once unless
	 * __GFP_NOWARN)"
	 */
	CHECK_FAILS(kmalloc(size, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(kmalloc(size, GFP_NOWAIT), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(kmalloc(size, GFP_KERNEL), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 1);
	CHECK_FAILS(kzalloc(SIZE_MAX / 2, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kmalloc_node(size, GFP_KERNEL, 0), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 1);
	CHECK_EQ(stat_of("too_large") - before, 5);
}

static void krealloc_of_nothing_is_kmalloc(void)
{
	char *p = krealloc(NULL, 100, GFP_KERNEL);
	char *q = krealloc(ZERO_SIZE_PTR, 100, GFP_KERNEL | __GFP_ZERO);

	/*
	 * checks krealloc: "with NULL or ZERO_SIZE_PTR the call is kmalloc()",
	 * "0 frees @p"
	 */
	CHECK(p && ksize(p) >= 100);
	CHECK(q && all_bytes(q, 100, 0));
	CHECK_EQ(krealloc(NULL, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	/* And to 0 bytes it is kfree(). */
	CHECK_EQ(krealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(krealloc(q, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	heap_verify();
}

static void krealloc_stays_while_it_fits(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		char *p = kmalloc(some_sizes[i], GFP_KERNEL);
		const size_t real = ksize(p);
		char *const was = p;

		p = krealloc(p, real, GFP_KERNEL);
		/* checks krealloc: "stays where it is while @size fits" */
		CHECK_EQ(p, was);
		p = krealloc(p, 1, GFP_KERNEL);
		CHECK_EQ(p, was);
		CHECK_EQ(ksize(p), real);
		kfree(p);
	}
}

static void krealloc_keeps_the_content(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		size_t have = some_sizes[i], size;
		char *p = kmalloc(have, GFP_KERNEL);

		pattern_fill(p, have, i);
		for (size = have; size <= KMALLOC_MAX_SIZE;
		     size = size * 2 + 1) {
			p = krealloc(p, size, GFP_KERNEL);
			/*
			 * checks krealloc: "Else it moves, and keeps its
			 * content"
			 */
			CHECK(p && ksize(p) >= size);
			CHECK(pattern_holds(p, have, i));
			pattern_fill(p, size, i);
			have = size;
		}
		kfree(p);
	}
	heap_verify();
}

static void what_moves_is_aligned_for_its_new_size(void)
{
	for (size_t size = 64; size <= (size_t)1 << 20; size *= 2) {
		char *p = krealloc(kmalloc(24, GFP_KERNEL), size, GFP_KERNEL);
		char *q = krealloc_node_align(kmalloc(24, GFP_KERNEL), size, 8,
					      GFP_KERNEL, NUMA_NO_NODE);

		/* checks krealloc: "for the new size when the object moves" */
		CHECK(p && (uintptr_t)p % size == 0);
		/*
		 * checks krealloc_node_align: "or as kmalloc() if that is more,
		 * when the object moves"
		 */
		CHECK(q && (uintptr_t)q % size == 0);
		kfree(p);
		kfree(q);
	}
}

static void a_failed_krealloc_changes_nothing(void)
{
	char *p = kmalloc(500, GFP_KERNEL);

	pattern_fill(p, 500, 1);
	/* checks krealloc: "NULL on failure, and then @p is as before" */
	CHECK_FAILS(krealloc(p, KMALLOC_MAX_SIZE + 1,
			     GFP_KERNEL | __GFP_NOWARN),
		    ENOMEM);
	CHECK_FAILS(krealloc(p, 600, (gfp_t)1 << 30), EINVAL);
	CHECK_EQ(ksize(p), kmalloc_size_roundup(500));
	CHECK(pattern_holds(p, 500, 1));
	kfree(p);
}

/* Every call of the chain has __GFP_ZERO, so what grows is always zero. */
static void krealloc_zero_grows_into_zeroes(void)
{
	static const size_t chain[] = {10,   3,	   16,	 40,   33,   64,
				       1,    90,   4000, 100,  9000, 50,
				       8192, 8193, 10,	 9999, 4097, 65536};
	size_t have = 5;
	char *p;

	leave_dirty(4000, 20);
	leave_dirty(9000, 3);
	leave_dirty(64, DIRTY);
	p = kmalloc(have, GFP_KERNEL | __GFP_ZERO);
	memset(p, 0xee, have);
	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
		const size_t size = chain[i];

		p = krealloc(p, size, GFP_KERNEL | __GFP_ZERO);
		CHECK(p);
		/* checks krealloc: "so a later growth reads as zero" */
		CHECK(all_bytes(p, have < size ? have : size, 0xee));
		if (size > have)
			CHECK(all_bytes(p + have, size - have, 0));
		memset(p, 0xee, size);
		have = size;
	}
	kfree(p);
}

/* Every power of two up to the largest object, at sizes that do not follow. */
static void krealloc_moves_to_an_alignment(void)
{
	for (unsigned long align = 1; align <= KMALLOC_MAX_SIZE; align *= 2) {
		char *p = kmalloc(24, GFP_KERNEL), *q;

		CHECK(p);
		pattern_fill(p, 24, align);
		q = krealloc_node_align(p, 100, align, GFP_KERNEL,
					NUMA_NO_NODE);
		/*
		 * checks krealloc_node_align: "also moves when it is not
		 * aligned"
		 */
		CHECK(q && (uintptr_t)q % align == 0 && ksize(q) >= 100);
		CHECK(pattern_holds(q, 24, align));
		/* One that has it already stays. */
		CHECK_EQ(krealloc_node_align(q, 50, align, GFP_KERNEL,
					     NUMA_NO_NODE),
			 q);
		kfree(q);
	}
	heap_verify();
}

static void krealloc_to_an_alignment_at_the_edges(void)
{
	const volatile size_t huge = SIZE_MAX - 5;
	char *p = kmalloc(96, GFP_KERNEL), *q;

	CHECK(p);
	/* checks krealloc_node_align: "0 and 1 mean that of kmalloc()" */
	CHECK_EQ(krealloc_node_align(p, 90, 0, GFP_KERNEL, NUMA_NO_NODE), p);
	pattern_fill(p, 96, 1);
	/*
	 * checks krealloc_node_align: "NULL on failure, and then @p is as
	 * before"
	 */
	CHECK_FAILS(krealloc_node_align(p, 100, 48, GFP_KERNEL, NUMA_NO_NODE),
		    EINVAL);
	CHECK_EQ(printed_times("no power of two"), 1);
	CHECK_FAILS(krealloc_node_align(p, huge, 4096,
					GFP_KERNEL | __GFP_NOWARN,
					NUMA_NO_NODE),
		    ENOMEM);
	CHECK(pattern_holds(p, 96, 1));
	/* It shrinks on the way to a new place. */
	q = krealloc_node_align(p, 8, 8192, GFP_KERNEL | __GFP_ZERO,
				NUMA_NO_NODE);
	CHECK(q && q != p && (uintptr_t)q % 8192 == 0);
	p = kmalloc(96, GFP_KERNEL);
	pattern_fill(p, 96, 1);
	CHECK(!memcmp(p, q, 8) && all_bytes(q + 8, ksize(q) - 8, 0));
	kfree(p);
	CHECK_EQ(krealloc_node_align(q, 0, 64, GFP_KERNEL, NUMA_NO_NODE),
		 ZERO_SIZE_PTR);
	p = krealloc_node_align(NULL, 40, 64, GFP_KERNEL, NUMA_NO_NODE);
	CHECK(p && (uintptr_t)p % 64 == 0);
	kfree(p);
}

static void krealloc_moves_to_a_node(void)
{
	void *p, *q;

	fake_nodes(2);
	p = kmalloc_node(100, GFP_KERNEL, 0);
	CHECK_EQ(knuma_node_of(p), 0);
	/* A wish moves nothing that may stay; __GFP_THISNODE does. */
	/* checks krealloc_node_align: "__GFP_THISNODE and it is not of @nid" */
	CHECK_EQ(krealloc_node(p, 90, GFP_KERNEL, 1), p);
	q = krealloc_node(p, 90, GFP_KERNEL | __GFP_THISNODE, 1);
	CHECK_EQ(knuma_node_of(q), 1);
	CHECK_EQ(krealloc_node(q, 80, GFP_KERNEL | __GFP_THISNODE, 1), q);
	p = krealloc_node(q, 5000, GFP_KERNEL, 0);
	CHECK_EQ(knuma_node_of(p), 0);
	CHECK_FAILS(krealloc_node(p, 50000, GFP_KERNEL, 77), EINVAL);
	kfree(p);
}

static void nolock_has_two_flags_and_no_wait(void)
{
	void *p;

	start_here();
	/* A slab of it is there, in memory. */
	kfree(kmalloc(48, GFP_KERNEL));
	CHECK_FAILS(kmalloc_nolock(48, GFP_KERNEL, NUMA_NO_NODE), EINVAL);
	CHECK_FAILS(kmalloc_nolock(48, __GFP_HIGH, NUMA_NO_NODE), EINVAL);
	/* checks kmalloc_nolock: "0 is legal and returns ZERO_SIZE_PTR" */
	CHECK_EQ(kmalloc_nolock(0, 0, NUMA_NO_NODE), ZERO_SIZE_PTR);
	CHECK_FAILS(kmalloc_nolock(48, 0, 12345), EINVAL);
	CHECK_FAILS(kmalloc_nolock(100000, 0, 12345), EINVAL);
	CHECK_EQ(stat_of("invalid_node"), 2);
	CHECK_EQ(strlen(printed()), 0);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	p = kmalloc_nolock(48, __GFP_ZERO | __GFP_ACCOUNT, NUMA_NO_NODE);
	/* checks kmalloc_nolock: "unless __GFP_ZERO" */
	CHECK(p && all_bytes(p, 48, 0));
	kfree_nolock(p);
	/* More than was ever in memory: nothing, in silence. */
	CHECK_FAILS(kmalloc_nolock(KMALLOC_MAX_SIZE, 0, NUMA_NO_NODE), ENOMEM);
}

/* Until there is nothing at hand, which is no reason to say so. */
static void nolock_leaves_the_reserve(void)
{
	static void *p[MANY_PAGES];
	int n = 0;

	start_here();
	/* A call that waits, and comes to the pages, fills the reserve. */
	free_pages(__get_free_pages(GFP_KERNEL, 5), 5);
	while (n < MANY_PAGES && (p[n] = kmalloc_nolock(4096, 0, NUMA_NO_NODE)))
		n++;
	CHECK(n < MANY_PAGES);
	/* checks kmalloc_nolock: "there is no memory now, and is silent" */
	CHECK_EQ(strlen(printed()), 0);
	/* checks kmalloc_nolock: "takes nothing from the reserve" */
	CHECK(kmalloc(4096, GFP_ATOMIC));
}

static void track_caller_is_kmalloc(void)
{
	void *p = kmalloc_track_caller(100, GFP_KERNEL | __GFP_ZERO);
	void *q = kmalloc_node_track_caller(100, GFP_KERNEL, NUMA_NO_NODE);

	CHECK(p && q && p != q && all_bytes(p, 100, 0));
	kfree(p);
	kfree(q);
}

static void kfree_leaves_errno_alone(void)
{
	static void *p[3000];

	for (size_t i = 0; i < NR_SIZES; i++) {
		const int n = some_sizes[i] > 8192 ? 4 : 3000;

		for (int k = 0; k < n; k++)
			p[k] = kmalloc(some_sizes[i], GFP_KERNEL);
		errno = 77;
		for (int k = 0; k < n; k++)
			kfree(p[k]);
		CHECK_EQ(errno, 77);
	}
}

static void a_success_leaves_errno_alone(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	errno = 78;
	for (size_t i = 0; i < NR_SIZES; i++) {
		void *p = kmalloc(some_sizes[i], GFP_KERNEL);

		CHECK(p);
		kfree(p);
	}
	CHECK_EQ(errno, 78);
}

static void kfree_sensitive_wipes_all_of_it(void)
{
	for (size_t i = 0; i < NR_SIZES && some_sizes[i] < 1 << 20; i++) {
		char *p = kmalloc(some_sizes[i], GFP_KERNEL), *was;
		const size_t real = ksize(p);

		memset(p, 0x5e, real);
		was = launder(p);
		kfree_sensitive(p);
		/*
		 * checks kfree_sensitive: "All ksize() bytes are overwritten
		 * with zeroes"
		 */
		CHECK(all_bytes(was, real, 0));
	}
}

static void a_free_object_is_not_touched(void)
{
	char *p = kmalloc(200, GFP_KERNEL), *was = launder(p);
	const size_t real = ksize(p);

	memset(p, 0x77, real);
	kfree(p);
	CHECK(all_bytes(was, real, 0x77));
}

static void kfree_bulk_takes_any_mix(void)
{
	void *p[300];

	for (int i = 0; i < 300; i++)
		p[i] = kmalloc(some_sizes[(size_t)i % NR_SIZES], GFP_KERNEL);
	p[10] = (kfree(p[10]), NULL);
	p[20] = (kfree(p[20]), ZERO_SIZE_PTR);
	misuse_catch();
	errno = 79;
	kfree_bulk(300, p);
	CHECK_EQ(errno, 79);
	kfree_bulk(0, p);
	kfree_bulk(0, NULL);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

static void flags_without_a_meaning_are_refused(void)
{
	kfree(kmalloc(64, GFP_KERNEL));
	for (size_t i = 0; i < NR_SIZES; i++)
		CHECK_FAILS(kmalloc(some_sizes[i], GFP_KERNEL | (gfp_t)1 << 29),
			    EINVAL);
	CHECK_FAILS(kmalloc_node(64, (gfp_t)1 << (__GFP_BITS_SHIFT + 1), 0),
		    EINVAL);
	CHECK_FAILS(kzalloc(64, ~(gfp_t)0 & ~((gfp_t)1 << 31)), EINVAL);
	CHECK_FAILS(kcalloc(8, 8, (gfp_t)1 << 30), EINVAL);
}

static void every_known_flag_is_accepted(void)
{
	static const gfp_t flags[] = {GFP_KERNEL,
				      GFP_KERNEL_ACCOUNT,
				      GFP_NOFS,
				      GFP_NOIO,
				      GFP_USER,
				      GFP_HIGHUSER,
				      GFP_HIGHUSER_MOVABLE,
				      GFP_KERNEL | __GFP_NOFAIL,
				      GFP_KERNEL | __GFP_NORETRY,
				      GFP_KERNEL | __GFP_RETRY_MAYFAIL,
				      GFP_KERNEL | __GFP_MEMALLOC,
				      GFP_KERNEL | __GFP_NOMEMALLOC,
				      GFP_KERNEL | GFP_DMA,
				      GFP_KERNEL | GFP_DMA32,
				      GFP_TRANSHUGE,
				      __GFP_BITS_MASK};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		void *small = kmalloc(100, flags[i]);
		void *large = kmalloc(20000, flags[i]);

		CHECK(small && large);
		kfree(small);
		kfree(large);
	}
	for (int bit = 0; bit < __GFP_BITS_SHIFT; bit++) {
		void *p = kmalloc(100, GFP_KERNEL | (gfp_t)1 << bit);

		CHECK(p);
		kfree(p);
	}
	CHECK_EQ(strlen(printed()), 0);
	CHECK(gfpflags_allow_blocking(GFP_KERNEL));
	CHECK(!gfpflags_allow_blocking(GFP_ATOMIC));
	CHECK(!gfpflags_allow_blocking(GFP_NOWAIT));
}

static void nodes_that_are_there(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		void *a = kmalloc_node(some_sizes[i], GFP_KERNEL, NUMA_NO_NODE);
		void *b = kmalloc_node(some_sizes[i], GFP_KERNEL, 0);
		void *c = kmalloc_node(some_sizes[i],
				       GFP_KERNEL | __GFP_THISNODE, 0);

		CHECK(a && b && c && a != b && b != c);
		kfree(a);
		kfree(b);
		kfree(c);
	}
	CHECK_EQ(stat_of("invalid_node"), 0);
}

static void a_node_that_cannot_be_is_refused(void)
{
	static const int bad[] = {-2, -1000000, 1023, 1024, 4096, INT32_MAX};

	kfree(kmalloc(1, GFP_KERNEL));
	if (kmalloc_node(1, GFP_KERNEL | __GFP_NOWARN, 1023))
		skip_child("1024 nodes are possible here");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const uint64_t before = stat_of("invalid_node");

		CHECK_FAILS(kmalloc_node(64, GFP_KERNEL, bad[i]), EINVAL);
		CHECK_FAILS(kmalloc_node(5000, GFP_KERNEL, bad[i]), EINVAL);
		CHECK_FAILS(kmalloc_node(20000, GFP_KERNEL, bad[i]), EINVAL);
		CHECK_FAILS(kzalloc_node(64, GFP_ATOMIC, bad[i]), EINVAL);
		CHECK_FAILS(kcalloc_node(2, 64, GFP_KERNEL | __GFP_THISNODE,
					 bad[i]),
			    EINVAL);
		CHECK_EQ(stat_of("invalid_node") - before, 5);
	}
	/* Warns once. */
	CHECK_EQ(printed_times("not a possible node"), 1);
}

static void objects_do_not_overlap(void)
{
	static unsigned char *p[4000];
	static size_t size[4000];

	for (size_t i = 0; i < 4000; i++) {
		size[i] = i * 131 % 3000 + 1;
		p[i] = kmalloc(size[i], GFP_KERNEL);
		CHECK(p[i]);
		pattern_fill(p[i], size[i], i);
	}
	for (size_t i = 0; i < 4000; i++)
		CHECK(pattern_holds(p[i], size[i], i));
	for (size_t i = 0; i < 4000; i++)
		kfree(p[i]);
	heap_verify();
}

/* Enough small and large objects to walk the whole ladder of a free. */
static void a_free_makes_no_system_call(void)
{
	static void *p[20000];
	size_t n = 0;

	start_here();
	for (size_t i = 0; i < NR_SIZES; i++)
		for (int k = 0; k < (some_sizes[i] > 65536 ? 3 : 600); k++)
			p[n++] = kmalloc(some_sizes[i], GFP_KERNEL);
	for (size_t i = 0; i < n; i++)
		CHECK(p[i]);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (size_t i = 0; i < n; i++)
		kfree(p[i]);
}

static void freed_memory_is_used_again(void)
{
	size_t grown = 0;

	start_here();
	for (int round = 0; round < 3; round++) {
		static void *p[1000];

		for (int i = 0; i < 1000; i++)
			p[i] = kmalloc(3000, GFP_KERNEL);
		for (int i = 0; i < 1000; i++)
			kfree(p[i]);
		if (round == 1)
			grown = stat_of("page_managed_bytes");
	}
	CHECK_EQ(stat_of("page_managed_bytes"), grown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(no_bytes_is_the_zero_size_pointer),
		child_test(any_access_to_no_bytes_faults),
		child_test(an_object_is_aligned_to_what_divides_its_size),
		child_test(ksize_tells_the_truth_and_all_of_it_is_usable),
		child_test(roundup_is_the_class_or_whole_pages),
		child_test(zeroed_means_all_of_ksize),
		child_test(the_zeroing_forms_agree),
		child_test(an_array_that_overflows_is_refused_in_silence),
		child_test(above_the_largest_size),
		child_test(krealloc_of_nothing_is_kmalloc),
		child_test(krealloc_stays_while_it_fits),
		child_test(krealloc_keeps_the_content),
		child_test(what_moves_is_aligned_for_its_new_size),
		child_test(a_failed_krealloc_changes_nothing),
		child_test(krealloc_zero_grows_into_zeroes),
		child_test(krealloc_moves_to_an_alignment),
		child_test(krealloc_to_an_alignment_at_the_edges),
		child_test(krealloc_moves_to_a_node),
		child_test(nolock_has_two_flags_and_no_wait),
		child_test(nolock_leaves_the_reserve),
		child_test(track_caller_is_kmalloc),
		child_test(kfree_leaves_errno_alone),
		child_test(a_success_leaves_errno_alone),
		child_test(kfree_sensitive_wipes_all_of_it),
		child_test(a_free_object_is_not_touched),
		child_test(kfree_bulk_takes_any_mix),
		child_test(flags_without_a_meaning_are_refused),
		child_test(every_known_flag_is_accepted),
		child_test(nodes_that_are_there),
		child_test(a_node_that_cannot_be_is_refused),
		child_test(objects_do_not_overlap),
		child_test(a_free_makes_no_system_call),
		child_test(freed_memory_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
