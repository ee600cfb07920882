/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that realloc() grows: spare pages behind areas, whole blocks below. */
#include "alloc/vmalloc/move.h"

#include <string.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/vmalloc.h>

#include "alloc/config/tunables.h"
#include "alloc/vmalloc/vmap.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define KIB   ((size_t)1 << 10)
#define MIB   ((size_t)1 << 20)
#define PAGES (64 * KIB >> KN_PAGE_SHIFT)

static bool dirty;

static struct page *growing(uint64_t nr, uint64_t spare)
{
	struct page *area = kn_vmap_get_growing(0, nr, spare, &dirty);

	CHECK(area);
	CHECK_EQ(kn_area_pages(area), nr);
	CHECK_EQ(area->nr_pages, nr + spare);
	CHECK(area->capacity > area->nr_pages);
	return area;
}

static struct page *resize(struct page *area, uint64_t nr, uint64_t spare)
{
	area = kn_vmap_resize(area, nr, spare, &dirty);
	CHECK(area);
	CHECK_EQ(kn_area_pages(area), nr);
	CHECK_EQ(kn_vmap_used_bytes(), nr << KN_PAGE_SHIFT);
	CHECK(kn_vmap_verify(0));
	return area;
}

static void growth_into_spare_pages_makes_no_system_call(void)
{
	struct page *area;

	start_here();
	area = growing(PAGES, PAGES);
	faults_install();
	for (uint64_t nr = PAGES + 1; nr <= 2 * PAGES; nr++) {
		CHECK_EQ(resize(area, nr, PAGES), area);
		CHECK(dirty);
	}
	CHECK_EQ(faults_calls(FAULT_ANY), 0);
	CHECK_EQ(stat_of("vmalloc_grown"), PAGES);
	CHECK_EQ(area->spare, 0);
	/* Past them there are new ones. */
	CHECK_EQ(resize(area, 3 * PAGES, PAGES), area);
	CHECK_EQ(area->nr_pages, 4 * PAGES);
	CHECK(faults_calls(FAULT_ANY) > 0);
	kn_vmap_put(area, true);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
}

static void a_shrink_gives_spare_pages_back(void)
{
	struct page *area;

	start_here();
	area = growing(2 * PAGES, 2 * PAGES);
	memset(kn_page_addr(area), 1, 2 * PAGES << KN_PAGE_SHIFT);
	/* A small one leaves all as it is. */
	CHECK_EQ(kn_vmap_resize(area, 2 * PAGES - 1, 0, &dirty), area);
	CHECK_EQ(kn_area_pages(area), 2 * PAGES);
	CHECK_EQ(area->spare, 2 * PAGES);
	CHECK_EQ(resize(area, PAGES, 0), area);
	CHECK_EQ(area->spare, 0);
	CHECK_EQ(area->capacity, PAGES + 1);
	kn_vmap_put(area, true);
}

static char *grown;

static void overrun(void)
{
	const struct page *area = kn_vmap_find(grown);

	*(volatile char *)(grown + (area->nr_pages << KN_PAGE_SHIFT)) = 1;
}

static void an_overrun_of_spare_pages_faults(void)
{
	start_here();
	grown = knuma_realloc(knuma_malloc(8 * KIB), 2 * MIB);
	CHECK(grown && kn_vmap_find(grown)->spare);
	/* checks knuma_realloc: "An overrun faults behind that" */
	CHECK(child_faults(overrun));
	knuma_free(grown);
}

/* Room for a quarter of what was wanted behind is better than a move. */
static void less_is_taken_rather_than_a_move(void)
{
	struct page *area, *behind;

	start_here();
	area = growing(PAGES, 0);
	behind = growing(PAGES, 0);
	growing(1, 0);
	CHECK_EQ(behind, area + PAGES + 1);
	kn_vmap_put(behind, true);
	kn_vmap_trim(0, true);
	CHECK_EQ(kn_vmap_resize(area, PAGES + PAGES / 2, 2 * PAGES, &dirty),
		 area);
	CHECK_EQ(area->spare, PAGES / 2);
	CHECK(kn_vmap_verify(0));
}

/* What was not asked for is not copied, so that it takes no memory. */
static void a_move_leaves_spare_pages_behind(void)
{
	const size_t had = PAGES << KN_PAGE_SHIFT;
	struct page *area, *to;
	char *p;

	start_here();
	area = growing(PAGES, PAGES);
	growing(1, 0);
	memset(kn_page_addr(area), 7, had);
	to = kn_vmap_resize(area, 4 * PAGES, PAGES, &dirty);
	CHECK(to && to != area && !dirty);
	p = kn_page_addr(to);
	CHECK(all_bytes(p, had, 7));
	CHECK(is_present(p, had));
	for (size_t at = had; at < 5 * had; at += KN_PAGE_SIZE)
		CHECK(!is_present(p + at, KN_PAGE_SIZE));
	CHECK(kn_vmap_verify(0));
}

static char *fill(char *p, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += KN_PAGE_SIZE)
		p[at] = (char)(at >> KN_PAGE_SHIFT);
	return p;
}

/* realloc() by half as much again; each page knows its number. */
static char *grow(size_t most)
{
	size_t have = 64 * KIB, size;
	char *p = fill(knuma_malloc(have), 0, have);

	for (; have < most; have = size) {
		size = KN_MIN(KN_ALIGN_UP(have + have / 2, KN_PAGE_SIZE), most);
		p = knuma_realloc(p, size);
		CHECK(p);
		fill(p, have, size);
	}
	for (size_t at = 0; at < most; at += KN_PAGE_SIZE)
		CHECK_EQ(p[at], (char)(at >> KN_PAGE_SHIFT));
	CHECK(kn_vmap_verify(0));
	return p;
}

static bool is_among_large(const void *p)
{
	return !kn_vmap_is_misplaced(kn_vmap_find(p),
				     KN_HUGE_SIZE >> KN_PAGE_SHIFT);
}

/* Below 2 MiB, where one was that had got larger: no copy on the way there. */
static void growth_begins_where_growth_ended(void)
{
	uintptr_t first;
	uint64_t cached;
	char *p, *q;

	conf("vmalloc_delay_ms", "10000s");
	start_here();
	p = grow(200 * KIB);
	CHECK(!is_among_large(p));
	knuma_free(p);
	p = grow(4 * MIB);
	CHECK(is_among_large(p));
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	first = (uintptr_t)p;
	knuma_free(p);
	cached = kn_vmap_cached_bytes();
	/* The front of it, and all of it, again and again. */
	for (int i = 0; i < 3; i++) {
		q = grow(200 * KIB);
		CHECK_EQ((uintptr_t)q, first);
		knuma_free(q);
		CHECK_EQ(kn_vmap_cached_bytes(), cached);
		q = grow(4 * MIB);
		CHECK_EQ((uintptr_t)q, first);
		knuma_free(q);
		CHECK_EQ(kn_vmap_cached_bytes(), cached);
	}
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	/* One at a time. */
	p = grow(200 * KIB);
	q = grow(200 * KIB);
	CHECK(is_among_large(p) && !is_among_large(q));
	knuma_free(p);
	knuma_free(q);
	kn_vmap_trim(0, true);
	p = grow(200 * KIB);
	CHECK(!is_among_large(p));
	knuma_free(p);
}

/* What serves others meanwhile has not grown. */
static void growth_leaves_what_others_use(void)
{
	uintptr_t first;
	char *p, *q;

	conf("vmalloc_delay_ms", "10000s");
	start_here();
	p = grow(4 * MIB);
	first = (uintptr_t)p;
	knuma_free(p);
	q = vmalloc(4 * MIB);
	CHECK_EQ((uintptr_t)q, first);
	vfree(q);
	p = grow(200 * KIB);
	CHECK(!is_among_large(p));
	q = vmalloc(4 * MIB);
	CHECK(q);
	memset(q, 0x55, 4 * MIB);
	CHECK_EQ(p[50 * KN_PAGE_SIZE - KN_PAGE_SIZE], 49);
	vfree(q);
	knuma_free(p);
	CHECK(kn_vmap_verify(0));
}

/* The next area there has none, and zeroes where it asks for them. */
static void spare_pages_may_be_dirty(void)
{
	char *p, *q;

	start_here();
	p = vmalloc(4 * MIB);
	CHECK(p);
	memset(p, 0xab, 4 * MIB);
	vfree(p);
	p = knuma_realloc(knuma_malloc(8 * KIB), 2 * MIB);
	CHECK(p);
	CHECK_EQ(knuma_malloc_usable_size(p), 2 * MIB);
	q = kvrealloc(p, 3 * MIB, GFP_KERNEL | __GFP_ZERO);
	CHECK_EQ(q, p);
	CHECK(all_bytes(q + 2 * MIB, MIB, 0));
	CHECK_EQ(vmalloc_nr_pages(), 3 * MIB >> KN_PAGE_SHIFT);
	kvfree(q);
	CHECK_EQ(vmalloc_nr_pages(), 0);
}

/*
 * A vector that grows by an eighth, from @from bytes to @to: how often its
 * content went elsewhere.
 */
static int moves_of_a_vector(size_t from, size_t to)
{
	char *p = knuma_malloc(from), *q;
	int moves = 0;

	CHECK(p);
	memset(p, 5, from);
	for (size_t size = from; size < to; p = q) {
		const size_t had = size;

		size += size / 8;
		q = knuma_realloc(p, size);
		CHECK(q);
		CHECK(knuma_malloc_usable_size(q) >= size);
		CHECK(all_bytes(q, had, 5));
		memset(q + had, 5, size - had);
		moves += q != p;
	}
	knuma_free(p);
	return moves;
}

static void vectors_move_once_for_each_doubling(void)
{
	start_here();
	CHECK_EQ(kn_tun.kvmalloc_pages_max, 256 * KIB);
	CHECK(moves_of_a_vector(9 * KIB, 100 * KIB) <= 4);
	/* Areas have nothing behind them here. */
	/*
	 * checks knuma_realloc: "it has spare address space between it and its
	 * guard"
	 */
	CHECK(moves_of_a_vector(140 * KIB, MIB) <= 1);
	heap_verify();
	CHECK_EQ(vmalloc_nr_pages(), 0);
}

/* Below the size of areas what grows is a block as a whole. */
static void blocks_that_grow_are_whole(void)
{
	char *p;

	start_here();
	p = knuma_realloc(knuma_malloc(100), 9 * KIB);
	/*
	 * checks knuma_realloc: "can grow on to twice @size where it is", "it
	 * is whole pages"
	 */
	CHECK_EQ(knuma_malloc_usable_size(p), 16 * KIB);
	CHECK_EQ(knuma_realloc(p, 16 * KIB), p);
	p = knuma_realloc(p, 70 * KIB);
	CHECK_EQ(knuma_malloc_usable_size(p), 128 * KIB);
	CHECK(!is_vmalloc_addr(p));
	p = knuma_realloc(p, 129 * KIB);
	CHECK(is_vmalloc_addr(p));
	CHECK_EQ(knuma_malloc_usable_size(p),
		 KN_ALIGN_UP(129 * KIB, KN_PAGE_SIZE));
	/* What does not grow has about what it asks for. */
	knuma_free(p);
	p = knuma_malloc(70 * KIB);
	CHECK(knuma_malloc_usable_size(p) < 128 * KIB);
	knuma_free(p);
}

/* An area that shrinks below the size of areas stays one, and gives back. */
static void an_area_that_shrinks_gives_back(void)
{
	char *p;

	start_here();
	p = knuma_malloc(600 * KIB);
	/*
	 * checks knuma_realloc: "Growth and shrinks of areas are those of
	 * kvrealloc()"
	 */
	CHECK_EQ(knuma_realloc(p, 200 * KIB), p);
	CHECK_EQ(vmalloc_nr_pages(), 200 * KIB >> KN_PAGE_SHIFT);
	p = knuma_realloc(p, 20 * KIB);
	CHECK(p && !is_vmalloc_addr(p));
	CHECK_EQ(vmalloc_nr_pages(), 0);
	knuma_free(p);
}

/* Where there is no address space for spare pages it goes without. */
static void without_address_space_there_are_none(void)
{
	size_t arena, most;
	char *p;

	conf("span", "1G");
	start_here();
	arena = kn_window_half() / 2;
	most = arena - arena / 8;
	if (!a_node_has(arena))
		skip_child("no node has that much free");
	p = knuma_malloc(MIB);
	CHECK(p);
	CHECK_EQ(knuma_realloc(p, arena + arena / 8), NULL);
	CHECK_EQ(knuma_malloc_usable_size(p), MIB);
	/* It has that, and not a quarter more. */
	p = knuma_realloc(p, most);
	CHECK(p);
	CHECK_EQ(knuma_malloc_usable_size(p), most);
	CHECK_EQ(kn_vmap_find(p)->spare, 0);
	knuma_free(p);
	CHECK_EQ(vmalloc_nr_pages(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(growth_into_spare_pages_makes_no_system_call),
		child_test(a_shrink_gives_spare_pages_back),
		child_test(an_overrun_of_spare_pages_faults),
		child_test(less_is_taken_rather_than_a_move),
		child_test(a_move_leaves_spare_pages_behind),
		child_test(growth_begins_where_growth_ended),
		child_test(growth_leaves_what_others_use),
		child_test(spare_pages_may_be_dirty),
		child_test(vectors_move_once_for_each_doubling),
		child_test(blocks_that_grow_are_whole),
		child_test(an_area_that_shrinks_gives_back),
		child_test(without_address_space_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
