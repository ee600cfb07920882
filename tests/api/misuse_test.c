/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frees of what is free already, of what was never allocated, and of the middle
 * of things: what the headers say is reported, and when.  kn_bug_hook stands
 * for the abort.
 */
#include <knuma/knuma.h>

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

/* One CPU has one array: the object that was freed last is on its top. */
static void begin(void)
{
	start_here();
	misuse_catch();
}

/* kfree() of an object that the compiler does not know to be free. */
static void again(const void *p)
{
	kfree(launder(p));
}

static const size_t small[] = {1,   16,	  17,	48,   64,   100, 192,
			       500, 1024, 1025, 2000, 4096, 8192};
#define NR_SMALL (sizeof(small) / sizeof(small[0]))

static void a_second_free_in_a_row_is_noticed_at_once(void)
{
	begin();
	for (size_t i = 0; i < NR_SMALL; i++) {
		void *p = kmalloc(small[i], GFP_KERNEL), *was = launder(p);
		char name[40];
		void *a, *b;

		misuse_forget();
		kfree(p);
		CHECK_EQ(misuse_count(), 0);
		again(was);
		/*
		 * checks kfree: "a second free at once if nothing came between"
		 */
		CHECK_EQ(misuse_count(), 1);
		CHECK_HAS(misuse_last(), "double free");
		snprintf(name, sizeof(name), "of cache kmalloc-%zu ",
			 kmalloc_size_roundup(small[i]));
		CHECK_HAS(misuse_last(), name);
		again(was);
		CHECK_EQ(misuse_count(), 2);
		/* It is free once. */
		a = kmalloc(small[i], GFP_KERNEL);
		b = kmalloc(small[i], GFP_KERNEL);
		CHECK(a != b);
		kfree(a);
		kfree(b);
	}
	CHECK_EQ(stat_of("double_free"), 2 * NR_SMALL);
	CHECK_EQ(knuma_trim(), 0);
	heap_verify();
}

#define MANY 700

static void *held[MANY];

/* Whatever the fill of the array is, so also when it is just full. */
static void at_once_means_at_any_time(void)
{
	begin();
	for (size_t i = 0; i < NR_SMALL; i++) {
		misuse_forget();
		for (int k = 0; k < MANY; k++)
			held[k] = kmalloc(small[i], GFP_KERNEL);
		for (int k = 0; k < MANY; k++) {
			void *was = launder(held[k]);

			kfree(held[k]);
			again(was);
			CHECK_EQ(misuse_count(), k + 1);
		}
		CHECK_EQ(knuma_trim(), 0);
		CHECK_EQ(misuse_count(), MANY);
	}
	heap_verify();
}

static void by_any_function(void)
{
	struct kmem_cache *s;
	void *p, *was;

	begin();
	s = kmem_cache_create("twice", 64, 0, 0, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	was = launder(p);
	kmem_cache_free(s, p);
	kmem_cache_free(s, launder(was));
	CHECK_EQ(misuse_count(), 1);
	kfree(launder(was));
	CHECK_EQ(misuse_count(), 2);
	kvfree(launder(was));
	CHECK_EQ(misuse_count(), 3);
	knuma_free(launder(was));
	CHECK_EQ(misuse_count(), 4);
	kfree_sensitive(launder(was));
	CHECK_EQ(misuse_count(), 5);
	p = launder(was);
	kfree_bulk(1, &p);
	CHECK_EQ(misuse_count(), 6);
	p = launder(was);
	kmem_cache_free_bulk(s, 1, &p);
	CHECK_EQ(misuse_count(), 7);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	CHECK_EQ(misuse_count(), 7);
	kmem_cache_destroy(s);
	heap_verify();
}

static void other_frees_between(void)
{
	struct kmem_cache *s;

	begin();
	s = kmem_cache_create("later", 100, 0, 0, NULL);
	for (int i = 0; i < 20; i++)
		held[i] = kmem_cache_alloc(s, GFP_KERNEL);
	for (int i = 0; i < 20; i++)
		kmem_cache_free(s, held[i]);
	again(held[3]);
	again(held[5]);
	CHECK_EQ(misuse_count(), 0);
	/* When it returns to its slab. */
	CHECK_EQ(kmem_cache_shrink(s), 0);
	/* checks kfree: "else when the object returns to its slab" */
	CHECK_EQ(misuse_count(), 2);
	CHECK_HAS(misuse_last(), "double free");
	CHECK_HAS(misuse_last(), "later");
	CHECK_EQ(stat_of("double_free"), 2);
	kmem_cache_destroy(s);
	heap_verify();
}

static void twice_in_one_bulk(void)
{
	struct kmem_cache *s;
	void *p[4];

	begin();
	s = kmem_cache_create("bulk", 100, 0, 0, NULL);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 3, p), 3);
	p[3] = p[1];
	kmem_cache_free_bulk(s, 4, p);
	kmem_cache_shrink(s);
	CHECK_EQ(misuse_count(), 1);
	kmem_cache_destroy(s);
	heap_verify();
}

static void after_the_slab_is_gone(void)
{
	struct kmem_cache *s;
	void *p, *was;

	begin();
	s = kmem_cache_create("gone", 3000, 0, 0, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	was = launder(p);
	kmem_cache_free(s, p);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	again(was);
	CHECK_EQ(misuse_count(), 1);
	kmem_cache_destroy(s);
	heap_verify();
}

static void into_the_middle_of_an_object(void)
{
	struct kmem_cache *s;
	char *p;

	begin();
	s = kmem_cache_create("middle", 100, 0, 0, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	again(p + 1);
	again(p + 8);
	again(p + 99);
	kmem_cache_shrink(s);
	/* checks kfree: "one into an object's middle" */
	CHECK_EQ(misuse_count(), 3);
	CHECK_HAS(misuse_last(), "not the start of an object");
	CHECK_EQ(stat_of("invalid_free"), 3);
	kmem_cache_free(s, p);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	CHECK_EQ(misuse_count(), 3);
	kmem_cache_destroy(s);
	heap_verify();
}

static void large_objects(void)
{
	static const size_t size[] = {8193,   20000,   65536,
				      100000, 1 << 20, 4 << 20};

	begin();
	for (size_t i = 0; i < 6; i++) {
		char *p = kmalloc(size[i], GFP_KERNEL), *was = launder(p);

		misuse_forget();
		again(p + 4096);
		again(p + 8192);
		CHECK_EQ(misuse_count(), 2);
		kfree(p);
		CHECK_EQ(misuse_count(), 2);
		again(was);
		CHECK_EQ(misuse_count(), 3);
	}
	CHECK_EQ(stat_of("invalid_free") + stat_of("double_free"), 18);
	heap_verify();
}

static const size_t runs[] = {8193, 20000, 65536, 100000, 256 << 10};
#define NR_RUNS (sizeof(runs) / sizeof(runs[0]))

/* As small ones are noticed by their slab. */
static void runs_are_noticed_when_they_leave_the_magazines(void)
{
	begin();
	for (size_t i = 0; i < NR_RUNS; i++) {
		char *p = kmalloc(runs[i], GFP_KERNEL);
		void *other = kmalloc(runs[i], GFP_KERNEL), *was = launder(p);

		/* A free opens the magazine. */
		kfree(kmalloc(runs[i], GFP_KERNEL));
		misuse_forget();
		again(p + 1);
		/* Who has no rseq looks at once. */
		CHECK_EQ(misuse_count(), strcmp(knuma_mode(), "rseq") ? 1 : 0);
		CHECK_EQ(knuma_trim(), 0);
		CHECK_EQ(misuse_count(), 1);
		if (!strcmp(knuma_mode(), "rseq"))
			CHECK_HAS(misuse_last(),
				  "not the start of a large object");
		kfree(p);
		kfree(other);
		again(was);
		CHECK_EQ(misuse_count(), 1);
		CHECK_EQ(knuma_trim(), 0);
		CHECK_EQ(misuse_count(), 2);
		CHECK_HAS(misuse_last(), "double free: large object");
		/* Its pages are nobody's any more. */
		again(was);
		CHECK_EQ(misuse_count(), 3);
	}
	CHECK_EQ(stat_of("double_free"), NR_RUNS);
	CHECK_EQ(stat_of("invalid_free"), 2 * NR_RUNS);
	heap_verify();
}

static void full_checks_notice_runs_at_once(void)
{
	conf("check", "full");
	begin();
	for (size_t i = 0; i < NR_RUNS; i++) {
		char *p = kmalloc(runs[i], GFP_KERNEL);
		void *other = kmalloc(runs[i], GFP_KERNEL), *was = launder(p);

		misuse_forget();
		again(p + 1);
		CHECK_EQ(misuse_count(), 1);
		kfree(p);
		kfree(other);
		CHECK_EQ(misuse_count(), 1);
		again(was);
		CHECK_EQ(misuse_count(), 2);
		CHECK_HAS(misuse_last(), "freed already");
	}
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("invalid_free"), 2 * NR_RUNS);
	heap_verify();
}

static void what_knuma_did_not_hand_out(void)
{
	static char data[100];
	char stack[100], *heap = malloc(100), *area;
	struct page *page;
	int n = 0;

	begin();
	again(data);
	/* checks kfree: "A pointer that knuma did not hand out" */
	CHECK_EQ(misuse_count(), ++n);
	CHECK_HAS(misuse_last(), "not of this heap");
	again(stack);
	CHECK_EQ(misuse_count(), ++n);
	again(heap);
	CHECK_EQ(misuse_count(), ++n);
	again((void *)17);
	CHECK_EQ(misuse_count(), ++n);
	again((void *)-8);
	CHECK_EQ(misuse_count(), ++n);
	page = alloc_pages(GFP_KERNEL, 2);
	again(page_address(page));
	CHECK_EQ(misuse_count(), ++n);
	again((char *)page_address(page) + 4096);
	CHECK_EQ(misuse_count(), ++n);
	area = vmalloc(10000);
	again(area);
	CHECK_EQ(misuse_count(), ++n);
	again(area + 4096);
	CHECK_EQ(misuse_count(), ++n);
	/* Inside the heap's address space, where nothing is yet. */
	again((char *)page_address(page) + ((size_t)4 << 30));
	CHECK_EQ(misuse_count(), ++n);
	again(area + ((size_t)4 << 30));
	CHECK_EQ(misuse_count(), ++n);
	CHECK_EQ(stat_of("invalid_free"), (uint64_t)n);
	__free_pages(page, 2);
	vfree(area);
	free(heap);
	heap_verify();
}

static void by_the_other_functions(void)
{
	struct kmem_cache *s;
	static char data[100];
	void *p = data;
	int n = 0;

	begin();
	s = kmem_cache_create("other", 64, 0, 0, NULL);
	kmem_cache_free(s, launder(data));
	CHECK_EQ(misuse_count(), ++n);
	kvfree(launder(data));
	CHECK_EQ(misuse_count(), ++n);
	kfree_sensitive(launder(data));
	CHECK_EQ(misuse_count(), ++n);
	kfree_bulk(1, &p);
	CHECK_EQ(misuse_count(), ++n);
	kmem_cache_free_bulk(s, 1, &p);
	CHECK_EQ(misuse_count(), ++n);
	CHECK_EQ(krealloc(launder(data), 10, GFP_KERNEL), NULL);
	CHECK_EQ(misuse_count(), ++n);
	CHECK_EQ(kvrealloc(launder(data), 10, GFP_KERNEL), NULL);
	CHECK_EQ(misuse_count(), ++n);
	CHECK_EQ(knuma_realloc(launder(data), 10), NULL);
	CHECK_EQ(misuse_count(), ++n);
	CHECK(all_bytes(data, sizeof(data), 0));
	kmem_cache_destroy(s);
}

static void before_anything_was_allocated(void)
{
	static char data[10];

	misuse_catch();
	kfree(launder(data));
	CHECK_EQ(misuse_count(), 1);
	vfree(launder(data));
	kvfree(launder(data));
	CHECK_EQ(misuse_count(), 2);
	knuma_free(launder(data));
	CHECK_EQ(ksize(data), 0);
	CHECK(!is_vmalloc_addr(data));
	CHECK_EQ(virt_to_page(data), NULL);
}

static void free_twice(void)
{
	void *p, *was;

	start_here();
	p = kmalloc(64, GFP_KERNEL);
	was = launder(p);
	kfree(p);
	again(was);
}

static void free_foreign(void)
{
	static char data[10];

	again(data);
}

static void free_pages_twice(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 0), *was = launder(page);

	__free_pages(page, 0);
	__free_pages(was, 0);
}

static void the_process_is_aborted(void)
{
	void (*const mistake[])(void) = {free_twice, free_foreign,
					 free_pages_twice};
	struct child c;

	for (int i = 0; i < 3; i++) {
		child_run(mistake[i], &c);
		/* checks kfree, __free_pages: "the process is aborted" */
		CHECK(child_killed(&c, SIGABRT));
		CHECK_HAS(c.text, "knuma: BUG");
	}
}

/* It goes back where it came from, and that is told. */
static void into_the_wrong_cache(void)
{
	struct kmem_cache *right, *wrong;
	void *p[3];

	begin();
	right = kmem_cache_create("right", 64, NULL, 0);
	wrong = kmem_cache_create("wrong", 64, NULL, 0);
	CHECK_EQ(kmem_cache_alloc_bulk(right, GFP_KERNEL, 3, p), 3);
	kmem_cache_free(wrong, launder(p[0]));
	CHECK_EQ(printed_times("Wrong slab cache. wrong but object is from "
			       "right"),
		 1);
	kmem_cache_free_bulk(wrong, 2, p + 1);
	CHECK_EQ(printed_times("Wrong slab cache"), 3);
	p[0] = kmalloc(64, GFP_KERNEL);
	kmem_cache_free(wrong, launder(p[0]));
	CHECK_EQ(printed_times("object is from kmalloc-64"), 1);
	CHECK_EQ(misuse_count(), 0);
	/* Nothing is left in the one, and nothing came to the other. */
	kmem_cache_destroy(right);
	CHECK_EQ(kmem_cache_shrink(wrong), 0);
	kmem_cache_destroy(wrong);
	CHECK_EQ(printed_times("knuma: "), 4);
	heap_verify();
}

static void two_caches_of_a_name(void)
{
	struct kmem_cache *s[3];

	begin();
	s[0] = kmem_cache_create("twin", 64, NULL, 0);
	CHECK_EQ(printed_times("knuma: "), 0);
	s[1] = kmem_cache_create("twin", 64, NULL, 0);
	CHECK_EQ(printed_times("kmem_cache_create(twin): another cache has "
			       "that name"),
		 1);
	CHECK(s[0] && s[1] && s[0] != s[1]);
	held[0] = kmem_cache_alloc(s[0], GFP_KERNEL);
	held[1] = kmem_cache_alloc(s[1], GFP_KERNEL);
	kmem_cache_free(s[0], held[0]);
	kmem_cache_free(s[1], held[1]);
	kmem_cache_destroy(s[0]);
	kmem_cache_destroy(s[1]);
	s[2] = kmem_cache_create("twin", 64, NULL, 0);
	CHECK_EQ(printed_times("knuma: "), 1);
	kmem_cache_destroy(s[2]);
	heap_verify();
}

static void panic_for_want_of_a_cache(void)
{
	(void)!kmem_cache_create("odd", 64, 24, SLAB_PANIC, NULL);
}

static void a_cache_that_must_be_had(void)
{
	struct child c;

	child_run(panic_for_want_of_a_cache, &c);
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "kmem_cache_create(odd): the alignment is no power "
			  "of two");
	CHECK_HAS(c.text, "SLAB_PANIC is set");
}

/* After all of it the heap serves as before. */
static void the_heap_survives_what_it_noticed(void)
{
	begin();
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < MANY; i++) {
			held[i] = kmalloc(200, GFP_KERNEL);
			pattern_fill(held[i], 200, (uint64_t)i);
		}
		for (int i = 0; i < MANY; i++)
			CHECK(pattern_holds(held[i], 200, (uint64_t)i));
		for (int i = 0; i < MANY; i++)
			kfree(held[i]);
		for (int i = 0; i < MANY; i += 97)
			again(held[i]);
		again((char *)held[5] + 8);
		CHECK_EQ(knuma_trim(), 0);
		heap_verify();
	}
	CHECK(misuse_count() >= 30 * 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_second_free_in_a_row_is_noticed_at_once),
		child_test(at_once_means_at_any_time),
		child_test(by_any_function),
		child_test(other_frees_between),
		child_test(twice_in_one_bulk),
		child_test(after_the_slab_is_gone),
		child_test(into_the_middle_of_an_object),
		child_test(large_objects),
		child_test(runs_are_noticed_when_they_leave_the_magazines),
		child_test(full_checks_notice_runs_at_once),
		child_test(what_knuma_did_not_hand_out),
		child_test(by_the_other_functions),
		child_test(before_anything_was_allocated),
		child_test(the_process_is_aborted),
		child_test(into_the_wrong_cache),
		child_test(two_caches_of_a_name),
		child_test(a_cache_that_must_be_had),
		child_test(the_heap_survives_what_it_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
