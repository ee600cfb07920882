/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of pages: their lengths, and what the map says of them when. */
#include "alloc/page/large.h"

#include <string.h>

#include <knuma/group.h>
#include <knuma/kmalloc.h>
#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/magazine/drain.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

static void lengths_are_what_their_places_say(void)
{
	for (unsigned class = 0; class < KN_NR_RUNS; class ++) {
		const uint32_t nr = kn_run_pages(class);

		CHECK_EQ(kn_run_class(nr), class);
		if (class)
			CHECK_EQ(kn_run_class(nr - 1) == class,
				 kn_run_pages(class - 1) < nr - 1);
	}
	for (uint32_t nr = 1; nr <= KN_RUN_MOST; nr++) {
		const uint32_t run = kn_run_pages(kn_run_class(nr));

		CHECK(run >= nr && (run - nr) * 5 <= run);
		if (nr <= 16)
			CHECK_EQ(run, nr);
	}
	CHECK_EQ(kn_run_pages(KN_NR_RUNS - 1), KN_RUN_MOST);
	CHECK(!kn_large_cache(0));
	CHECK(!kn_large_cache(17));
	CHECK(kn_large_cache(20) && kn_large_cache(KN_RUN_MOST));
	CHECK(!kn_large_cache(KN_RUN_MOST + 1));
}

/* The word of the map as it is. */
static uint32_t place_of(const void *p)
{
	return kn_map_place(p) % (uint32_t)KN_REGION_BYTES;
}

static uint64_t free_runs(const void *p)
{
	const struct kn_magcache *c =
		kn_large_cache(kn_page(kn_pfn(p))->nr_pages);

	return stat_of("cached_bytes") / c->size;
}

#define SIZE ((size_t)40 << 10)

/* Without sections each call goes the long way. */
static void want_sections(void)
{
	if (kn_mag_mode != KN_MAG_RSEQ)
		skip_child("no rseq");
}

/* Of a hundred calls: a section that is interrupted goes the long way. */
#define INTERRUPTED 20

/* R1, R2 */
static void a_free_is_a_push_and_an_allocation_a_pop(void)
{
	const struct page *page;
	uint64_t slow;
	void *p, *was;

	start_here();
	want_sections();
	p = kmalloc(SIZE, GFP_KERNEL);
	page = kn_page(kn_pfn(p));
	kfree(p);
	p = kmalloc(SIZE, GFP_KERNEL);
	CHECK_EQ(place_of(p), kn_large_place(SIZE));
	CHECK_EQ(kn_id_of(p), KN_ID_LARGE);
	slow = stat_of("free_slow");
	for (int i = 0; i < 100; i++) {
		was = launder(p);
		memset(p, i, SIZE);
		kfree(p);
		CHECK_EQ(page->type, KN_PAGE_LARGE);
		CHECK_EQ(place_of(was), kn_large_place(SIZE));
		p = kmalloc_node(SIZE - 100, GFP_KERNEL, page_to_nid(page));
		CHECK_EQ(p, was);
		CHECK(all_bytes(p, SIZE, (unsigned char)i));
	}
	CHECK(stat_of("free_slow") - slow <= INTERRUPTED);
	was = launder(p);
	kfree(p);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(kn_id_of(was), KN_ID_NONE);
	CHECK(stat_of("cached_bytes") < SIZE);
	heap_verify();
}

static void what_was_written_is_not_taken_for_zero(void)
{
	void *p, *q;

	start_here();
	for (size_t size = 3 * KN_PAGE_SIZE; size <= KN_RUN_MOST * KN_PAGE_SIZE;
	     size += 5 * KN_PAGE_SIZE) {
		/* Of one that waits, of one by one, and of a batch. */
		for (int i = 0; i < 3; i++) {
			p = kzalloc(size, GFP_KERNEL);
			q = kzalloc(size, GFP_KERNEL);
			CHECK(all_bytes(p, ksize(p), 0));
			CHECK(all_bytes(q, ksize(q), 0));
			memset(p, 1, ksize(p));
			memset(q, 2, ksize(q));
			kfree(p);
			p = kmalloc(size, GFP_KERNEL);
			memset(p, 3, ksize(p));
			kfree(p);
			kfree(q);
		}
		CHECK_EQ(knuma_trim(), 0);
		CHECK(stat_of("cached_bytes") < SIZE);
	}
	heap_verify();
}

static void held_runs_are_looked_at_once(void)
{
	uint64_t slow;
	void *p, *was;

	start_here();
	want_sections();
	kfree(kmalloc(SIZE, GFP_KERNEL));
	p = kmalloc(SIZE, GFP_KERNEL);
	was = launder(p);
	kn_large_hold(kn_page(kn_pfn(p)));
	CHECK_EQ(kn_id_of(p), KN_ID_LARGE);
	CHECK(place_of(p) != kn_large_place(SIZE));
	slow = stat_of("free_slow");
	kfree(p);
	CHECK_EQ(stat_of("free_slow"), slow + 1);
	p = kmalloc(SIZE, GFP_KERNEL);
	CHECK_EQ(p, was);
	CHECK_EQ(place_of(p), kn_large_place(SIZE));
	kfree(p);
	heap_verify();
}

static void exact_runs_are_freed_as_such(void)
{
	void *p, *was;

	start_here();
	misuse_catch();
	for (size_t nr = 1; nr <= KN_RUN_MOST + 3; nr++) {
		const size_t size = nr * KN_PAGE_SIZE;

		p = alloc_pages_exact(size, GFP_KERNEL);
		CHECK_EQ(ksize(p), size);
		misuse_forget();
		kfree(launder(p));
		CHECK_EQ(misuse_count(), 1);
		was = launder(p);
		free_pages_exact(p, size);
		CHECK_EQ(misuse_count(), 1);
		free_pages_exact(was, size);
		CHECK_EQ(misuse_count(), 2);
	}
	heap_verify();
}

/* Calls that may not wait get memory that is there. */
static void no_run_that_faults_for_calls_that_may_not_wait(void)
{
	void *p = NULL;

	conf("reserve", "0");
	start_here();
	/* Nobody wrote to it: not known to be in memory. */
	kfree(kmalloc(SIZE, GFP_KERNEL));
	kfree(kmalloc(SIZE, GFP_KERNEL));
	p = kmalloc(SIZE, GFP_NOWAIT | __GFP_NOWARN);
	CHECK_EQ(p, NULL);
	CHECK(stat_of("cached_bytes") >= SIZE);
	heap_verify();
}

static void any_page_leads_to_the_first(void)
{
	void *p[20];

	start_here();
	for (size_t nr = 3; nr <= KN_RUN_MOST; nr++) {
		const size_t size = nr * KN_PAGE_SIZE;

		for (int i = 0; i < 20; i++)
			p[i] = kmalloc(size, GFP_KERNEL);
		for (int i = 0; i < 20; i++)
			for (size_t at = 0; at < size; at += KN_PAGE_SIZE)
				CHECK_EQ(virt_to_head_page((char *)p[i] + at),
					 virt_to_page(p[i]));
		for (int i = 0; i < 20; i++)
			kfree(p[i]);
	}
	heap_verify();
}

/* Where the window before has nothing. */
static void the_first_pages_of_a_node_lead_to_themselves(void)
{
	struct page *page;
	char *base;

	fake_nodes(2);
	start_here();
	page = alloc_pages_node(1, GFP_KERNEL, 0);
	CHECK_EQ(page_to_nid(page), 1);
	__free_pages(page, 0);
	CHECK_EQ(knuma_trim(), 0);
	base = (char *)kn_window_base(1);
	for (uint32_t i = 0; i < 2 * KN_RUN_MOST; i++) {
		void *p = base + i * KN_PAGE_SIZE;

		CHECK(virt_to_head_page(p) == virt_to_page(p));
	}
}

/* All that waits is in a magazine or depot, and is counted once. */
static void what_waits_is_counted_as_it_is(void)
{
	static void *p[40];
	uint64_t cached, pages;

	start_here();
	for (size_t size = 3 * KN_PAGE_SIZE; size <= KN_RUN_MOST * KN_PAGE_SIZE;
	     size += KN_PAGE_SIZE) {
		CHECK_EQ(knuma_trim(), 0);
		cached = stat_of("cached_bytes");
		pages = stat_of("page_bytes");
		for (int i = 0; i < 40; i++)
			p[i] = kmalloc(size, GFP_KERNEL);
		for (int i = 0; i < 40; i++)
			kfree(p[i]);
		CHECK(stat_of("page_bytes") > pages);
		CHECK_EQ(stat_of("cached_bytes") - cached,
			 stat_of("page_bytes") - pages);
	}
	heap_verify();
}

/* Three of 40 KiB are 120 of 128. */
static void many_runs_waste_little(void)
{
	static void *p[300];
	uint64_t used;

	start_here();
	CHECK_EQ(knuma_trim(), 0);
	used = stat_of("active_bytes");
	for (int i = 0; i < 300; i++)
		p[i] = kmalloc(SIZE, GFP_KERNEL);
	CHECK(free_runs(p[0]) <= 8);
	used = stat_of("active_bytes") - used;
	CHECK(used <= 300 * SIZE + 8 * SIZE + ((size_t)1 << 20));
	for (int i = 0; i < 300; i++)
		kfree(p[i]);
	heap_verify();
}

/* Runs that were cut for others have what a multiple of the alignment needs. */
static void alignment_is_what_divides_the_size(void)
{
	static void *p[9];

	start_here();
	for (size_t align = 32; align <= 65536; align *= 2)
		for (size_t size = 9000; size <= 256 << 10; size += 13001) {
			for (int i = 0; i < 9; i++)
				p[i] = kmalloc(KN_ALIGN_UP(size, align),
					       GFP_KERNEL);
			for (int i = 0; i < 9; i++)
				kfree(p[i]);
			for (int i = 0; i < 9; i++) {
				p[i] = knuma_memalign(align, size);
				CHECK_EQ((uintptr_t)p[i] % align, 0);
				CHECK(knuma_malloc_usable_size(p[i]) >= size);
			}
			for (int i = 0; i < 9; i++)
				knuma_free(p[i]);
		}
	heap_verify();
}

static void malloc_keeps_to_its_limit_of_pages(void)
{
	void *p;

	conf("kvmalloc_pages_max", "16K");
	start_here();
	for (int i = 0; i < 3; i++)
		kfree(kmalloc(SIZE, GFP_KERNEL));
	p = knuma_malloc(SIZE);
	CHECK(is_vmalloc_addr(p));
	knuma_free(p);
	p = knuma_malloc(16 << 10);
	CHECK(!is_vmalloc_addr(p));
	knuma_free(p);
	heap_verify();
}

static uint64_t served(void)
{
	return stat_of("numa_hit") + stat_of("numa_miss");
}

static void what_a_magazine_has_is_not_counted(void)
{
	struct page *page[3];
	uint64_t before;

	start_here();
	want_sections();
	for (unsigned order = 0; order < KN_NR_PCP; order++) {
		for (int i = 0; i < 3; i++)
			page[i] = alloc_pages(GFP_KERNEL, order);
		for (int i = 0; i < 3; i++)
			__free_pages(page[i], order);
		before = served();
		for (int i = 0; i < 100; i++) {
			page[0] = alloc_pages(GFP_KERNEL, order);
			page[1] = alloc_pages_node(page_to_nid(page[0]),
						   GFP_KERNEL, order);
			CHECK(page[0]->type == KN_PAGE_PAGES &&
			      page[1]->type == KN_PAGE_PAGES);
			CHECK(page[0] != page[1]);
			__free_pages(page[0], order);
			__free_pages(page[1], order);
		}
		CHECK(served() - before <= INTERRUPTED);
	}
	kfree(kzalloc(SIZE, GFP_KERNEL));
	before = served();
	for (int i = 0; i < 100; i++)
		kfree(kzalloc(SIZE, GFP_KERNEL));
	CHECK(served() - before <= INTERRUPTED);
	heap_verify();
}

/* A run that waits may not be in memory: one of the zone is, and is counted. */
static void what_is_not_of_a_magazine_is_counted(void)
{
	uint64_t before;
	void *p;

	conf("reserve", "1M");
	start_here();
	p = kmalloc(SIZE, GFP_KERNEL);
	kn_page(kn_pfn(p))->flags &= (uint8_t)~KN_PAGE_SURE;
	kfree(p);
	before = served();
	p = kmalloc(SIZE, GFP_ATOMIC);
	CHECK(p != NULL);
	CHECK_EQ(served(), before + 1);
	kfree(p);
	heap_verify();
}

#define BULK 1000

static void bulk_takes_batches(void)
{
	static struct page *page[BULK];
	const struct page *one, *had;
	uint64_t before;

	start_here();
	page[7] = alloc_pages(GFP_KERNEL, 0);
	one = page[7];
	page[500] = alloc_pages(GFP_KERNEL, 0);
	had = page[500];
	before = served();
	CHECK_EQ(alloc_pages_bulk(GFP_KERNEL, BULK, page), BULK);
	CHECK(page[7] == one && page[500] == had);
	CHECK(served() > before);
	CHECK(served() - before < BULK / 8);
	for (int i = 0; i < BULK; i++) {
		CHECK_EQ(kn_id_of(page_address(page[i])), KN_ID_PAGES);
		pattern_fill(page_address(page[i]), KN_PAGE_SIZE, (uint64_t)i);
	}
	for (int i = 0; i < BULK; i++) {
		CHECK(pattern_holds(page_address(page[i]), KN_PAGE_SIZE,
				    (uint64_t)i));
		__free_pages(page[i], 0);
	}
	CHECK_EQ(knuma_trim(), 0);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(lengths_are_what_their_places_say),
		child_test(a_free_is_a_push_and_an_allocation_a_pop),
		child_test(what_was_written_is_not_taken_for_zero),
		child_test(held_runs_are_looked_at_once),
		child_test(exact_runs_are_freed_as_such),
		child_test(no_run_that_faults_for_calls_that_may_not_wait),
		child_test(any_page_leads_to_the_first),
		child_test(the_first_pages_of_a_node_lead_to_themselves),
		child_test(what_waits_is_counted_as_it_is),
		child_test(many_runs_waste_little),
		child_test(alignment_is_what_divides_the_size),
		child_test(malloc_keeps_to_its_limit_of_pages),
		child_test(what_a_magazine_has_is_not_counted),
		child_test(what_is_not_of_a_magazine_is_counted),
		child_test(bulk_takes_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
