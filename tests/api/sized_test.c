/* SPDX-License-Identifier: Apache-2.0 */
/* Frees that are told the size: what they take, and which sizes are reported. */
#include <knuma/group.h>
#include <knuma/knuma.h>
#include <knuma/malloc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

#define MIB ((size_t)1 << 20)

static const size_t sizes[] = {1,    16,   17,	 64,	100,	1000,	1024,
			       1025, 5000, 8192, 12000, 100000, 5 * MIB};
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))
/* Up to here objects have classes. */
#define NR_SMALL 10

static void begin(void)
{
	start_here();
	misuse_catch();
}

/* Every free looks, also those that the array of a CPU would take. */
static void begin_checked(void)
{
	conf("check", "full");
	begin();
}

/* With the requests of each object as well. */
static void begin_tracked(void)
{
	conf("slab_debug", "U");
	begin();
}

static void nothing_is_said(void)
{
	CHECK_EQ(printed_times("Wrong"), 0);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

static void each_right_size(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		const size_t n = sizes[i];
		void *p = kvmalloc(n, GFP_KERNEL);

		kvfree_sized(p, n);
		p = knuma_malloc(n);
		knuma_free_sized(p, n);
		p = knuma_memalign(64, n);
		knuma_free_aligned_sized(p, 64, n);
		p = knuma_memalign(MIB, n);
		knuma_free_aligned_sized(p, MIB, n);
		if (n > KMALLOC_MAX_SIZE)
			continue;
		p = kmalloc(n, GFP_KERNEL);
		kfree_sized(p, n);
		p = kmalloc(n, GFP_KERNEL);
		kfree_sized(p, ksize(p));
		p = kvmalloc(n, GFP_KERNEL);
		kvfree_sized(p, ksize(p));
	}
	/*
	 * checks kfree_sized: "bytes that it was asked for last";
	 * kvfree_sized: "or more, up to all that it has"
	 */
	CHECK_EQ(printed_times("Wrong"), 0);
	nothing_is_said();
}

static void right_sizes_are_silent(void)
{
	begin();
	each_right_size();
}

static void also_when_each_is_checked(void)
{
	begin_checked();
	each_right_size();
}

static void also_when_requests_are_kept(void)
{
	begin_tracked();
	each_right_size();
}

static void also_of_guarded_objects(void)
{
	conf("guard_sample", "1");
	begin();
	each_right_size();
}

static void also_of_wiped_ones(void)
{
	conf("secure", "yes");
	begin();
	each_right_size();
}

/* NULL and what is no object, of any size. */
static void nothing_is_freed_as_nothing(void)
{
	begin_checked();
	for (size_t n = 0; n < 200; n += 100) {
		kfree_sized(NULL, n);
		kfree_sized(kmalloc(0, GFP_KERNEL), n);
		kvfree_sized(NULL, n);
		kvfree_sized(kvmalloc(0, GFP_KERNEL), n);
		knuma_free_sized(NULL, n);
		knuma_free_aligned_sized(NULL, 64, n);
	}
	/* An object of no bytes is one. */
	knuma_free_sized(knuma_malloc(0), 0);
	knuma_free_aligned_sized(knuma_memalign(32, 0), 32, 0);
	nothing_is_said();
}

static void larger_than_the_object(void)
{
	char text[80];

	begin_checked();
	for (size_t i = 0; i < NR_SMALL; i++) {
		void *p = kmalloc(sizes[i], GFP_KERNEL);
		const size_t room = ksize(p);

		errno = 77;
		kfree_sized(launder(p), room + 1);
		CHECK_EQ(errno, 77);
		snprintf(text, sizeof(text),
			 "The object has %zu bytes; it is freed", room);
		/* checks kfree_sized: "A @size above ksize() is reported" */
		CHECK_HAS(printed(), text);
		p = kmalloc(sizes[i], GFP_KERNEL);
		kvfree_sized(launder(p), room + 1);
		p = knuma_malloc(sizes[i]);
		knuma_free_sized(launder(p), room + 1);
		p = knuma_malloc(sizes[i]);
		knuma_free_aligned_sized(launder(p), 16, room + 1);
	}
	CHECK_EQ(printed_times("knuma: kfree_sized("), NR_SMALL);
	/* checks kvfree_sized: "and as kfree_sized()" */
	CHECK_EQ(printed_times("knuma: kvfree_sized("), NR_SMALL);
	CHECK_EQ(printed_times("knuma: free_sized("), NR_SMALL);
	CHECK_EQ(printed_times("knuma: free_aligned_sized("), NR_SMALL);
	CHECK_EQ(printed_times("Wrong size"), 4 * NR_SMALL);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

/* Those that are never in an array need no setting. */
static void larger_than_an_area(void)
{
	void *p;

	begin();
	p = kvmalloc(5 * MIB, GFP_KERNEL);
	kvfree_sized(p, 5 * MIB + 1);
	/* checks kvfree_sized: "is reported each time" */
	CHECK_EQ(printed_times("The object has 5242880 bytes"), 1);
	p = knuma_malloc(5 * MIB);
	knuma_free_sized(p, 6 * MIB);
	/* checks knuma_free_sized: "as kvfree_sized()" */
	CHECK_EQ(printed_times("The object has 5242880 bytes"), 2);
	CHECK_EQ(stat_of("vmalloc_areas"), 0);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

static void checked_under_secure(void)
{
	conf("secure", "yes");
	begin();
	kfree_sized(launder(kmalloc(40, GFP_KERNEL)), 49);
	/* checks kfree_sized: "each time with check = full, secure" */
	CHECK_EQ(printed_times("The object has 48 bytes"), 1);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

static void smaller_than_the_request(void)
{
	char *p;

	begin_tracked();
	p = kmalloc(100, GFP_KERNEL);
	kfree_sized(launder(p), 99);
	/* checks kfree_sized: "So is one below what was asked for" */
	CHECK_EQ(printed_times("Wrong size. The object is one of 100 bytes"),
		 1);
	CHECK_HAS(printed(), "Allocated in ");
	p = knuma_malloc(1000);
	knuma_free_sized(launder(p), 40);
	CHECK_EQ(printed_times("one of 1000 bytes"), 1);
	/* What it is asked for last counts. */
	p = krealloc(kmalloc(100, GFP_KERNEL), 20, GFP_KERNEL);
	kfree_sized(p, 20);
	p = knuma_realloc(knuma_malloc(100), 60);
	knuma_free_sized(p, 60);
	p = knuma_realloc(knuma_malloc(10), 3000);
	knuma_free_sized(p, 3000);
	CHECK_EQ(printed_times("Wrong size"), 2);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

/* An alignment that the object does not have; 0 is none. */
static void another_alignment(void)
{
	static const size_t align[] = {0, 24, 4096};
	char *p;

	begin_checked();
	for (size_t i = 0; i < 3; i++) {
		p = knuma_malloc(100);
		if (!((uintptr_t)p & 4095))
			p = knuma_malloc(100);
		knuma_free_aligned_sized(launder(p), align[i], 100);
		/* checks knuma_free_aligned_sized: "reported in the same way" */
		CHECK_EQ(printed_times("Wrong alignment"), i + 1);
	}
	p = knuma_memalign(64, 100);
	knuma_free_aligned_sized(p, 64, 200);
	CHECK_EQ(printed_times("Wrong size"), 1);
	CHECK_EQ(misuse_count(), 0);
	heap_verify();
}

/* The class of an object says less than its cache. */
static void objects_of_other_caches(void)
{
	struct kmem_cache *s;
	struct knuma_group *g;
	unsigned int before;

	begin_checked();
	s = kmem_cache_create("sized", 200, 0, 0, NULL);
	kfree_sized(kmem_cache_alloc(s, GFP_KERNEL), 200);
	g = knuma_group_create("sized", KNUMA_GROUP_NO_LIMIT);
	before = knuma_group_enter(g);
	kfree_sized(kmalloc(100, GFP_KERNEL_ACCOUNT), 100);
	kvfree_sized(kvmalloc(5 * MIB, GFP_KERNEL_ACCOUNT), 5 * MIB);
	knuma_group_leave(before);
	knuma_group_destroy(g);
	nothing_is_said();
	kfree_sized(launder(kmem_cache_alloc(s, GFP_KERNEL)), 209);
	CHECK_EQ(printed_times("The object has 200 bytes"), 1);
	/* checks kfree_sized: "and the object freed" */
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("knuma: "), 1);
}

static void of_any_node(void)
{
	fake_nodes(4);
	begin_checked();
	for (int node = 0; node < 4; node++) {
		kfree_sized(kmalloc_node(64, GFP_KERNEL, node), 64);
		kvfree_sized(kvmalloc_node(5 * MIB, GFP_KERNEL, node), 5 * MIB);
	}
	nothing_is_said();
}

/* What is wrong with the pointer is said as by the frees without a size. */
static void of_what_is_no_object(void)
{
	char here[64], *p;

	begin_checked();
	kfree_sized(launder(here), 64);
	CHECK_EQ(misuse_count(), 1);
	kvfree_sized(launder(here), 64);
	CHECK_EQ(misuse_count(), 2);
	p = kmalloc(64, GFP_KERNEL);
	kfree_sized(launder(p + 8), 64);
	CHECK_EQ(misuse_count(), 3);
	kfree_sized(p, 64);
	kfree_sized(launder(p), 64);
	CHECK_EQ(misuse_count(), 4);
	CHECK_EQ(printed_times("Wrong"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(right_sizes_are_silent),
		child_test(also_when_each_is_checked),
		child_test(also_when_requests_are_kept),
		child_test(also_of_guarded_objects),
		child_test(also_of_wiped_ones),
		child_test(nothing_is_freed_as_nothing),
		child_test(larger_than_the_object),
		child_test(larger_than_an_area),
		child_test(checked_under_secure),
		child_test(smaller_than_the_request),
		child_test(another_alignment),
		child_test(objects_of_other_caches),
		child_test(of_any_node),
		child_test(of_what_is_no_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
