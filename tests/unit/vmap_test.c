/* SPDX-License-Identifier: Apache-2.0 */
/* Address space of areas: kept ones, free extents, guards, ages. */
#include "alloc/vmalloc/vmap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/kmalloc.h>
#include <knuma/tunables.h>

#include "alloc/config/tunables.h"
#include "alloc/vmalloc/guard.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MADV_GUARD_INSTALL 102

static bool was_dirty;

static struct page *get(uint64_t nr)
{
	struct page *area = kn_vmap_get(0, nr, KN_PAGE_SIZE, &was_dirty);

	CHECK(area);
	CHECK_EQ(area->nr_pages, nr);
	CHECK(area->capacity > nr); /* V3 */
	return area;
}

static void put(struct page *area)
{
	kn_vmap_put(area, true);
}

static uint64_t cached_pages(void)
{
	return kn_vmap_cached_bytes() >> KN_PAGE_SHIFT;
}

static void an_area_is_found_by_its_start(void)
{
	struct page *area;
	char *p;

	start_here();
	area = get(10);
	p = kn_page_addr(area);
	CHECK(kn_vmap_has(p));
	CHECK_EQ(kn_vmap_find(p), area);
	CHECK_EQ(kn_vmap_find(p + 1), NULL);
	CHECK_EQ(kn_vmap_find(p + KN_PAGE_SIZE), NULL);
	CHECK_EQ(kn_vmap_find(kn_pfn_address(0)), NULL);
	CHECK_EQ(kn_vmap_find(NULL), NULL);
	put(area);
	CHECK_EQ(kn_vmap_find(p), NULL);
	CHECK(kn_vmap_verify(0));
}

static void an_area_is_found_around_its_pages(void)
{
	struct page *area, *next;
	char *p;

	start_here();
	area = get(10);
	next = get(3);
	p = kn_page_addr(area);
	for (uint64_t i = 0; i < 10; i++) {
		CHECK_EQ(kn_vmap_find_around(p + i * KN_PAGE_SIZE, 1), area);
		CHECK_EQ(kn_vmap_find_around(p + i * KN_PAGE_SIZE, 10 - i),
			 area);
		CHECK_EQ(kn_vmap_find_around(p + i * KN_PAGE_SIZE, 11 - i),
			 NULL);
	}
	CHECK_EQ(kn_vmap_find_around(p + 10 * KN_PAGE_SIZE, 1), NULL);
	CHECK_EQ(kn_vmap_find_around(kn_page_addr(next), 3), next);
	/* Far above what was ever used. */
	CHECK_EQ(kn_vmap_find_around(p + ((size_t)1 << 30), 1), NULL);
	put(area);
	CHECK_EQ(kn_vmap_find_around(p + KN_PAGE_SIZE, 1), NULL);
	CHECK_EQ(kn_vmap_find_around(kn_page_addr(next), 3), next);
}

static void a_kept_area_serves_sizes_near_its_own(void)
{
	struct page *area, *other;

	start_here();
	area = get(100);
	CHECK(!was_dirty);
	put(area);
	CHECK_EQ(cached_pages(), 101);
	CHECK_EQ(get(100), area);
	CHECK(was_dirty);
	put(area);
	/* Down to four fifths, so that at most a quarter is waste. */
	CHECK_EQ(get(90), area + 10);
	CHECK_EQ(area->capacity, 101);
	put(area + 10);
	CHECK_EQ(cached_pages(), 101);
	CHECK_EQ(get(100), area);
	put(area);
	other = get(70);
	CHECK(other != area && !was_dirty);
	CHECK(get(101) != area);
	CHECK(!was_dirty);
	CHECK(kn_vmap_verify(0));
}

/* Which is why sizes that differ cost no system call. */
static void a_kept_guard_stays_where_it_is(void)
{
	static const uint64_t sizes[] = {90, 81, 99, 100, 85, 90};
	struct page *area, *first;

	start_here();
	first = get(100);
	put(first);
	faults_install();
	for (size_t i = 0; i < KN_ARRAY_SIZE(sizes); i++) {
		area = get(sizes[i]);
		CHECK(was_dirty);
		CHECK_EQ(area + sizes[i], first + 100);
		CHECK(area->flags & KN_PAGE_GUARDED);
		CHECK_EQ(kn_vmap_find(kn_page_addr(area)), area);
		CHECK_EQ(kn_vmap_find_around(kn_page_addr(area + 80), 1), area);
		CHECK_EQ(kn_vmap_used_bytes(), sizes[i] << KN_PAGE_SHIFT);
		CHECK(kn_vmap_verify(0));
		put(area);
		CHECK_EQ(kn_vmap_find(kn_page_addr(area)), NULL);
	}
	CHECK_EQ(faults_calls(FAULT_ANY), 0);
	/* Of an alignment: the guard moves. */
	area = kn_vmap_get(0, 90, 16 * KN_PAGE_SIZE, &was_dirty);
	CHECK_EQ((uintptr_t)kn_page_addr(area) % (16 * KN_PAGE_SIZE), 0);
	put(area);
	kn_vmap_trim(0, true);
	CHECK_EQ(cached_pages(), 0);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
	CHECK(kn_vmap_verify(0));
}

/* What is freed while the lock is taken is whole for who takes it next. */
static void areas_that_begin_late_may_wait(void)
{
	struct page *area[8];

	start_here();
	for (int i = 0; i < 8; i++)
		area[i] = get(40);
	for (int i = 0; i < 8; i++)
		put(area[i]);
	for (unsigned i = 0; i < 8; i++)
		area[i] = get(33 + i);
	kn_vmap_lock_all();
	for (int i = 0; i < 8; i++)
		kn_vmap_put(area[i], false);
	CHECK_EQ(cached_pages(), 0);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
	CHECK_EQ(kn_vmap_used_areas(), 0);
	kn_vmap_unlock_all();
	CHECK(kn_vmap_verify(0));
	CHECK_EQ(cached_pages(), 8 * 41);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
	CHECK_EQ(kn_vmap_used_areas(), 0);
}

/* A kept area that does not let go of its guard is not used, and not counted. */
static void what_cannot_be_used_is_not_counted(void)
{
	struct page *area;

	start_here();
	put(get(100));
	faults_install();
	/* By the kernel, guards are advice or a protection. */
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, EINVAL);
	area = kn_vmap_get(0, 90, 16 * KN_PAGE_SIZE, &was_dirty);
	CHECK(!area);
	CHECK(faults_failed() > 0);
	CHECK_EQ(cached_pages(), 101);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
	CHECK_EQ(kn_vmap_used_areas(), 0);
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	faults_fail(FAULT_MPROTECT, 0, 0, 0);
	area = kn_vmap_get(0, 90, 16 * KN_PAGE_SIZE, &was_dirty);
	CHECK(area && was_dirty);
	CHECK_EQ(kn_vmap_used_areas(), 1);
	put(area);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
	CHECK(kn_vmap_verify(0));
}

static void a_kept_area_keeps_its_alignment(void)
{
	struct page *area, *other;

	start_here();
	area = kn_vmap_get(0, 20, 1 << 20, &was_dirty);
	CHECK(area && ((uintptr_t)kn_page_addr(area) & 0xfffff) == 0);
	other = get(20);
	put(other);
	CHECK(kn_vmap_get(0, 20, 1 << 20, &was_dirty) != other ||
	      ((uintptr_t)kn_page_addr(other) & 0xfffff) == 0);
	put(area);
	CHECK_EQ(kn_vmap_get(0, 20, 1 << 20, &was_dirty), area);
	CHECK(kn_vmap_verify(0));
}

/* What is purged joins its neighbours, and the end moves back. */
static void purged_space_is_one_again(void)
{
	struct page *area[50];
	uintptr_t lowest;

	start_here();
	for (uint64_t i = 0; i < 50; i++)
		area[i] = get(1 + i % 7);
	lowest = (uintptr_t)kn_page_addr(area[0]);
	for (int i = 0; i < 50; i++)
		put(area[(i * 17) % 50]);
	kn_vmap_trim(0, true);
	CHECK_EQ(cached_pages(), 0);
	CHECK(kn_vmap_verify(0));
	/* Room for one that is larger than any of them was, at the start. */
	CHECK_EQ(kn_page_addr(get(150)), lowest);
	CHECK(!was_dirty);
}

static void holes_are_filled(void)
{
	struct page *area[30];
	uint64_t grown;

	start_here();
	for (int i = 0; i < 30; i++)
		area[i] = get(i % 2 ? 3 : 40);
	for (int i = 0; i < 30; i += 2)
		put(area[i]);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
	grown = kn_vmap_grown_bytes();
	for (int i = 0; i < 30; i += 2) {
		area[i] = get(25);
		CHECK(kn_page_addr(area[i]) < kn_page_addr(area[29]));
		CHECK(kn_vmap_verify(0));
	}
	CHECK_EQ(kn_vmap_grown_bytes(), grown);
}

/* Extents of a single page are neighbours like others. */
static void single_pages_join(void)
{
	struct page *area[4];

	start_here();
	/* Aligned areas leave gaps of one page and more. */
	for (int i = 0; i < 4; i++)
		area[i] = kn_vmap_get(0, 2, 4 * KN_PAGE_SIZE, &was_dirty);
	CHECK(kn_vmap_verify(0));
	put(area[1]);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
	put(area[2]);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
	put(area[0]);
	put(area[3]);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

static void only_old_areas_go_back(void)
{
	struct page *area;
	uint64_t now;

	conf("vmalloc_delay_ms", "1000ms");
	start_here();
	area = get(10);
	put(area);
	now = area->freed_ms;
	kn_vmap_trim(now + 999, false);
	CHECK_EQ(cached_pages(), 11);
	kn_vmap_trim(now + 1000, false);
	CHECK_EQ(cached_pages(), 0);
	put(get(10));
	kn_vmap_trim(0, true);
	CHECK_EQ(cached_pages(), 0);
	/* A clock that has not run so long is no reason. */
	put(get(10));
	kn_vmap_trim(5, false);
	CHECK_EQ(cached_pages(), 11);
}

static void past_the_limit_areas_go_back_early(void)
{
	struct page *area[20];

	conf("vmalloc_cache", "400K");
	start_here();
	for (int i = 0; i < 20; i++)
		area[i] = get(10);
	for (int i = 0; i < 20; i++)
		put(area[i]);
	CHECK(cached_pages() <= 100 + 11);
	CHECK(kn_vmap_verify(0));
}

static void large_areas_have_a_part_of_their_own(void)
{
	struct page *small, *large;

	start_here();
	small = get(511);
	large = get(512);
	CHECK_EQ((uintptr_t)kn_page_addr(large) % KN_HUGE_SIZE, 0);
	CHECK((uintptr_t)kn_page_addr(large) - (uintptr_t)kn_page_addr(small) >=
	      kn_window_half() / 2 - (64 << 20));
	put(large);
	put(small);
	CHECK_EQ(get(512), large);
	CHECK_EQ(get(511), small);
}

static void purged_memory_is_zero_and_clean(void)
{
	struct page *area;
	char *p;

	start_here();
	area = get(20);
	p = kn_page_addr(area);
	memset(p, 9, 20 * KN_PAGE_SIZE);
	put(area);
	kn_vmap_trim(0, true);
	area = get(20);
	CHECK_EQ(kn_page_addr(area), p);
	CHECK(!was_dirty);
	CHECK(all_bytes(p, 20 * KN_PAGE_SIZE, 0));
}

static void guards_are_counted_while_they_split_mappings(void)
{
	struct page *area[5];

	start_here();
	faults_install();
	faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	for (int i = 0; i < 5; i++) {
		area[i] = get(3);
		CHECK_EQ(kn_guard_mappings(), 2u * (unsigned)(i + 1));
	}
	for (int i = 0; i < 5; i++)
		put(area[i]);
	/* Kept areas keep their guards. */
	CHECK_EQ(kn_guard_mappings(), 10);
	kn_vmap_trim(0, true);
	CHECK_EQ(kn_guard_mappings(), 0);
}

/* A guard that cannot be removed must not lie inside the next area. */
static void a_guard_that_stays(void)
{
	struct page *area;
	char *p;

	start_here();
	area = get(8);
	put(area);
	/* The same one, its guard moved. */
	CHECK_EQ(kn_vmap_get(0, 7, 2 * KN_PAGE_SIZE, &was_dirty), area);
	put(area);
	faults_install();
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	area = kn_vmap_get(0, 8, KN_PAGE_SIZE, &was_dirty);
	if (area) {
		p = kn_page_addr(area);
		memset(p, 1, 8 * KN_PAGE_SIZE);
		put(area);
	}
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	area = get(8);
	memset(kn_page_addr(area), 1, 8 * KN_PAGE_SIZE);
	put(area);
	kn_vmap_trim(0, true);
	CHECK_EQ(cached_pages(), 0);
	CHECK(kn_vmap_verify(0));
}

/* What an area grows into has a guard in it that stays. */
static void a_guard_that_stays_ends_growth(void)
{
	struct page *area, *next;

	start_here();
	faults_install();
	area = get(8);
	next = get(8);
	memset(kn_page_addr(area), 1, 8 * KN_PAGE_SIZE);
	put(next);
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	CHECK(!kn_vmap_extend(area, 17, 0));
	CHECK_EQ(area->nr_pages, 8);
	CHECK(all_bytes(kn_page_addr(area), 8 * KN_PAGE_SIZE, 1));
	CHECK(kn_vmap_verify(0));
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	faults_fail(FAULT_MPROTECT, 0, 0, 0);
	CHECK(kn_vmap_extend(area, 17, 0));
	memset(kn_page_addr(area), 2, 17 * KN_PAGE_SIZE);
	/* Its own guard, with room behind it. */
	kn_vmap_shrink(area, 4);
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	(void)kn_vmap_extend(area, 6, 0);
	CHECK(kn_vmap_verify(0));
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	faults_fail(FAULT_MPROTECT, 0, 0, 0);
	CHECK_EQ(kn_vmap_get(0, kn_window_half() >> KN_PAGE_SHIFT, KN_PAGE_SIZE,
			     &was_dirty),
		 NULL);
	put(area);
	CHECK(kn_vmap_verify(0));
}

static void planted_errors_are_found(void)
{
	struct page *area, *last;
	const uint64_t nr = 10;

	start_here();
	area = get(nr);
	last = get(5);
	CHECK(kn_vmap_verify(0));
	area->nr_pages = area->capacity;
	CHECK(!kn_vmap_verify(0));
	area->nr_pages = nr;
	area->front = 1;
	CHECK(!kn_vmap_verify(0));
	area->front = 0;
	area->type = KN_PAGE_NONE;
	CHECK(!kn_vmap_verify(0));
	area->type = KN_PAGE_VM_FREE;
	last->type = KN_PAGE_VM_FREE;
	CHECK(!kn_vmap_verify(0));
	area->type = KN_PAGE_VM_USED;
	last->type = KN_PAGE_VM_USED;
	CHECK(kn_vmap_verify(0));
}

static void nodes_have_windows_of_their_own(void)
{
	fake_nodes(3);
	start_here();
	for (int node = 0; node < 3; node++) {
		struct page *area =
			kn_vmap_get(node, 10, KN_PAGE_SIZE, &was_dirty);

		CHECK(area && !was_dirty);
		CHECK_EQ(kn_window_of(kn_page_addr(area)), node);
		put(area);
		CHECK(kn_vmap_verify(node));
	}
}

/* The walk through all areas, while they are freed, joined and cut anew. */

#define WALKED 200

static struct page *walked[WALKED];
static uintptr_t rows[4 * WALKED];
static uint32_t nr_rows;
static void (*meanwhile)(void);

/* Rows do not overlap, and are areas of 3 pages, or kept ones. */
static void take_row(const struct kn_vmap_row *row, void *arg)
{
	CHECK_EQ(arg, rows);
	CHECK(nr_rows < KN_ARRAY_SIZE(rows));
	CHECK(!nr_rows || row->start > rows[nr_rows - 1]);
	CHECK_EQ(row->bytes % KN_PAGE_SIZE, 0);
	CHECK(row->bytes > row->nr_pages << KN_PAGE_SHIFT);
	rows[nr_rows++] = row->start;
	if (nr_rows == 1 && meanwhile)
		meanwhile();
}

static void walk(void)
{
	nr_rows = 0;
	kn_vmap_each(0, take_row, rows);
}

static bool is_in_rows(const struct page *area)
{
	for (uint32_t i = 0; i < nr_rows; i++)
		if (rows[i] == (uintptr_t)kn_page_addr(area))
			return true;
	return false;
}

static void make_walked(void)
{
	start_here();
	for (int i = 0; i < WALKED; i++)
		walked[i] = get(3);
}

static void put_walked(int from, int to)
{
	for (int i = from; i < to; i++)
		put(walked[i]);
}

static void a_walk_sees_each_area(void)
{
	make_walked();
	walk();
	CHECK_EQ(nr_rows, WALKED);
	for (int i = 0; i < WALKED; i++)
		CHECK(is_in_rows(walked[i]));
	/* Kept ones, too, until they are given back. */
	put_walked(50, 150);
	walk();
	CHECK_EQ(nr_rows, WALKED);
	kn_vmap_trim(0, true);
	walk();
	CHECK_EQ(nr_rows, WALKED - 100);
	CHECK(!is_in_rows(walked[50]) && is_in_rows(walked[150]));
}

/* What the walk stands at becomes a part of a larger free extent. */
static void join_around_the_walk(void)
{
	put_walked(10, 100);
	kn_vmap_trim(0, true);
}

static void a_walk_goes_on_behind_what_was_joined(void)
{
	make_walked();
	meanwhile = join_around_the_walk;
	walk();
	for (int i = 100; i < WALKED; i++)
		CHECK(is_in_rows(walked[i]));
	CHECK(!is_in_rows(walked[99]));
	CHECK(kn_vmap_verify(0));
}

/* The same, and areas of other sizes lie there afterwards. */
static void cut_anew_around_the_walk(void)
{
	join_around_the_walk();
	for (int i = 0; i < 50; i++)
		(void)get(5);
}

static void a_walk_goes_on_where_areas_were_cut_anew(void)
{
	make_walked();
	meanwhile = cut_anew_around_the_walk;
	walk();
	for (int i = 100; i < WALKED; i++)
		CHECK(is_in_rows(walked[i]));
	CHECK(kn_vmap_verify(0));
}

/*
 * All behind the walk is gone, and areas lie there none of which begins where one
 * began before.
 */
static void cut_the_end_off(void)
{
	put_walked(5, WALKED);
	kn_vmap_trim(0, true);
	(void)get(5);
	for (int i = 0; i < 40; i++)
		(void)get(99);
}

static void a_walk_goes_on_at_the_new_end(void)
{
	make_walked();
	meanwhile = cut_the_end_off;
	walk();
	/* It had 32 rows by then; the rest are large ones. */
	CHECK(nr_rows > 40);
	CHECK(kn_vmap_verify(0));
}

/* An area grows over the place of the walk. */
static void grow_over_the_walk(void)
{
	put_walked(21, 150);
	CHECK(kn_vmap_extend(walked[20], 300, 0));
}

static void a_walk_goes_on_behind_what_has_grown(void)
{
	make_walked();
	meanwhile = grow_over_the_walk;
	walk();
	for (int i = 150; i < WALKED; i++)
		CHECK(is_in_rows(walked[i]));
	CHECK(kn_vmap_verify(0));
}

/* Two at a time. */
static void walk_inside(void)
{
	const uint32_t had = nr_rows;

	meanwhile = join_around_the_walk;
	walk();
	CHECK(nr_rows < WALKED);
	nr_rows = had;
}

static void walks_inside_of_walks(void)
{
	make_walked();
	meanwhile = walk_inside;
	kn_vmap_each(0, take_row, rows);
	for (int i = 100; i < WALKED; i++)
		CHECK(is_in_rows(walked[i]));
}

static void walk_in_child(void)
{
	const pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		meanwhile = NULL;
		walk();
		_exit(nr_rows != WALKED);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* The child has no walk under way, and its own ends well. */
static void a_walk_over_a_fork(void)
{
	make_walked();
	meanwhile = walk_in_child;
	walk();
	CHECK_EQ(nr_rows, WALKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(an_area_is_found_by_its_start),
		child_test(an_area_is_found_around_its_pages),
		child_test(a_kept_area_serves_sizes_near_its_own),
		child_test(a_kept_guard_stays_where_it_is),
		child_test(areas_that_begin_late_may_wait),
		child_test(what_cannot_be_used_is_not_counted),
		child_test(a_kept_area_keeps_its_alignment),
		child_test(purged_space_is_one_again),
		child_test(holes_are_filled),
		child_test(single_pages_join),
		child_test(only_old_areas_go_back),
		child_test(past_the_limit_areas_go_back_early),
		child_test(large_areas_have_a_part_of_their_own),
		child_test(purged_memory_is_zero_and_clean),
		child_test(guards_are_counted_while_they_split_mappings),
		child_test(a_guard_that_stays),
		child_test(a_guard_that_stays_ends_growth),
		child_test(planted_errors_are_found),
		child_test(nodes_have_windows_of_their_own),
		child_test(a_walk_sees_each_area),
		child_test(a_walk_goes_on_behind_what_was_joined),
		child_test(a_walk_goes_on_where_areas_were_cut_anew),
		child_test(a_walk_goes_on_at_the_new_end),
		child_test(a_walk_goes_on_behind_what_has_grown),
		child_test(walks_inside_of_walks),
		child_test(a_walk_over_a_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
