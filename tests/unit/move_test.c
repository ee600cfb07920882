/* SPDX-License-Identifier: Apache-2.0 */
/* Areas that change their size: in place, by page tables, by copies. */
#include "alloc/vmalloc/move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/page/away.h"
#include "alloc/vmalloc/guard.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB		   ((size_t)1 << 20)
#define PAGES(bytes)	   ((bytes) >> KN_PAGE_SHIFT)
#define MADV_GUARD_INSTALL 102

static bool dirty;

static struct page *get(size_t bytes)
{
	struct page *area = kn_vmap_get(0, PAGES(bytes), KN_PAGE_SIZE, &dirty);

	CHECK(area);
	return area;
}

/* Something else at the start and the end of each page. */
static void fill(void *p, size_t bytes, uint64_t seed)
{
	for (size_t at = 0; at < bytes; at += KN_PAGE_SIZE) {
		pattern_fill((char *)p + at, 16, seed + at);
		pattern_fill((char *)p + at + KN_PAGE_SIZE - 16, 16, seed - at);
	}
}

static bool has(const void *p, size_t from, size_t to, uint64_t seed)
{
	bool ok = true;

	for (size_t at = from; at < to && ok; at += KN_PAGE_SIZE) {
		const char *page = (const char *)p + at;

		ok = pattern_holds(page, 16, seed + at) &&
		     pattern_holds(page + KN_PAGE_SIZE - 16, 16, seed - at);
	}
	return ok;
}

static struct page *filled(size_t bytes, uint64_t seed)
{
	struct page *area = get(bytes);

	fill(kn_page_addr(area), bytes, seed);
	return area;
}

static struct page *resize(struct page *area, size_t bytes)
{
	area = kn_vmap_resize(area, PAGES(bytes), 0, &dirty);
	CHECK(area);
	/* A shrink may leave a quarter. */
	CHECK(area->nr_pages >= PAGES(bytes));
	CHECK(area->nr_pages <= PAGES(bytes) * 5 / 4);
	CHECK(area->capacity > area->nr_pages);
	CHECK_EQ(kn_vmap_find(kn_page_addr(area)), area);
	CHECK(kn_vmap_verify(0));
	return area;
}

static bool holds(struct page *area, size_t bytes, uint64_t seed)
{
	return has(kn_page_addr(area), 0, bytes, seed);
}

static void put(struct page *area)
{
	kn_vmap_put(area, true);
}

/* Mappings of the window of node 0. */
static int nr_mappings(void)
{
	const uintptr_t from = kn_window_base(0), to = from + kn_span.size;
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];
	int n = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && end > from &&
		    start < to)
			n++;
	fclose(f);
	return n;
}

static void the_last_area_grows_where_it_is(void)
{
	struct page *area, *was;

	start_here();
	faults_install();
	area = was = filled(MIB / 2, 1);
	for (size_t bytes = MIB / 2 + KN_PAGE_SIZE; bytes < MIB;
	     bytes += 32 * KN_PAGE_SIZE)
		CHECK_EQ(resize(area, bytes), was);
	CHECK(holds(area, MIB / 2, 1));
	fill(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT, 2);
	CHECK_EQ(faults_calls(FAULT_MREMAP), 0);
	CHECK(stat_of("vmalloc_grown") > 3);
	CHECK_EQ(kn_vmap_used_bytes(), area->nr_pages << KN_PAGE_SHIFT);
	put(area);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
}

/* Where nodes are small, as in guests. */
static void start_with(size_t bytes)
{
	start_here();
	if (!a_node_has(bytes))
		skip_child("no node has that much free");
}

/* Past what was grown, too. */
static void the_arena_grows_for_it(void)
{
	struct page *area;

	start_with(128 * MIB);
	area = filled(4 * MIB, 1);
	CHECK_EQ(resize(area, 100 * MIB), area);
	CHECK(holds(area, 4 * MIB, 1));
	CHECK(all_bytes((char *)kn_page_addr(area) + 4 * MIB, 96 * MIB, 0));
}

static void free_space_behind_is_grown_into(void)
{
	struct page *area, *next, *last;

	start_here();
	area = filled(MIB / 2, 1);
	next = get(MIB / 2);
	last = filled(MIB / 4, 3);
	put(next);
	kn_vmap_trim(0, true);
	CHECK_EQ(resize(area, MIB / 2 + 64 * KN_PAGE_SIZE), area);
	CHECK_EQ(resize(area, MIB), area);
	CHECK(holds(area, MIB / 2, 1));
	fill(kn_page_addr(area), MIB, 2);
	CHECK(holds(last, MIB / 4, 3));
	/* All of it is taken; what comes next does not fit. */
	CHECK(resize(area, MIB + MIB / 2) != area);
}

static void a_kept_neighbour_is_grown_into(void)
{
	struct page *area, *next, *last;
	char *p;

	start_here();
	area = filled(MIB / 2, 1);
	next = filled(MIB / 2, 2);
	last = filled(MIB / 4, 3);
	put(next);
	/* A part of it: the rest stays, with its guard. */
	CHECK_EQ(resize(area, MIB / 2 + 16 * KN_PAGE_SIZE), area);
	CHECK(dirty);
	CHECK(kn_vmap_cached_bytes() < MIB / 2);
	CHECK(kn_vmap_cached_bytes() > MIB / 4);
	/* All of it; the guard in the middle is gone. */
	CHECK_EQ(resize(area, MIB), area);
	CHECK_EQ(kn_vmap_cached_bytes(), 0);
	p = kn_page_addr(area);
	CHECK(holds(area, MIB / 2, 1));
	fill(p, MIB, 4);
	CHECK(has(p, 0, MIB, 4));
	CHECK(holds(last, MIB / 4, 3));
	put(area);
	put(last);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

/* What the rest of a kept area has as its guard still faults. */
static void the_rest_of_a_neighbour_is_an_area(void)
{
	struct page *area, *next, *rest;

	start_here();
	area = filled(MIB / 2, 1);
	next = filled(MIB / 2, 2);
	get(MIB / 4);
	put(next);
	CHECK_EQ(resize(area, MIB / 2 + 16 * KN_PAGE_SIZE), area);
	rest = get(MIB / 2 - 16 * KN_PAGE_SIZE);
	CHECK(dirty && rest == next + 16);
	fill(kn_page_addr(rest), rest->nr_pages << KN_PAGE_SHIFT, 5);
	CHECK(holds(area, MIB / 2, 1));
	put(rest);
	put(area);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

/* What is kept before the area stays with it, wherever that goes. */
static void an_area_that_began_late_changes(void)
{
	struct page *area, *first;

	start_here();
	first = get(MIB / 2);
	get(MIB / 4);
	put(first);
	area = filled(MIB / 2 - 16 * KN_PAGE_SIZE, 1);
	CHECK_EQ(area, first + 16);
	area = resize(area, MIB / 4);
	CHECK_EQ(area, first + 16);
	CHECK_EQ(first->capacity, 16 + area->capacity);
	area = resize(area, MIB / 2 - 16 * KN_PAGE_SIZE);
	CHECK_EQ(area, first + 16);
	CHECK_EQ(first->capacity, 16 + area->capacity);
	CHECK(holds(area, MIB / 4, 1));
	put(area);
	CHECK_EQ(kn_vmap_cached_bytes(), first->capacity << KN_PAGE_SHIFT);
	CHECK(kn_vmap_verify(0));
	kn_vmap_trim(0, true);
	CHECK_EQ(kn_vmap_cached_bytes(), 0);
	CHECK(kn_vmap_verify(0));
}

/* Behind all areas, as long as none is cached. */
static struct page *at_the_end(size_t bytes)
{
	struct page *area = kn_vmap_get_growing(0, PAGES(bytes), 0, &dirty);

	CHECK(area);
	return area;
}

/* An area with another one behind it. */
static struct page *hemmed_in(size_t bytes, uint64_t seed, struct page **behind)
{
	struct page *area;

	kn_vmap_trim(0, true);
	area = at_the_end(bytes);
	*behind = at_the_end(4 * MIB);
	CHECK(area < *behind);
	fill(kn_page_addr(area), bytes, seed);
	fill(kn_page_addr(*behind), 4 * MIB, 99);
	return area;
}

static void page_tables_move(void)
{
	struct page *area, *behind, *moved;
	int before;

	conf("guard_pages", "no");
	start_here();
	faults_install();
	area = hemmed_in(4 * MIB, 1, &behind);
	before = nr_mappings();
	moved = resize(area, 8 * MIB);
	CHECK(moved != area && !dirty);
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	/* One question, one move. */
	CHECK_EQ(faults_calls(FAULT_MREMAP), 2);
	CHECK_EQ(kn_guard_mappings(), 2);
	CHECK(nr_mappings() <= before + 2);
	CHECK(holds(moved, 4 * MIB, 1));
	CHECK(all_bytes((char *)kn_page_addr(moved) + 4 * MIB, 4 * MIB, 0));
	/* Where it was is free, mapped, and reads as zero. */
	CHECK_EQ(kn_vmap_find(kn_page_addr(area)), NULL);
	CHECK_EQ(get(4 * MIB), area);
	CHECK(!dirty);
	CHECK(all_bytes(kn_page_addr(area), 4 * MIB, 0));
	fill(kn_page_addr(area), 4 * MIB, 2);
	CHECK(holds(moved, 4 * MIB, 1));
	CHECK(holds(behind, 4 * MIB, 99));
	put(moved);
	put(area);
	put(behind);
	kn_vmap_trim(0, true);
	CHECK_EQ(kn_guard_mappings(), 0);
	CHECK_EQ(nr_mappings(), before);
	CHECK(kn_vmap_verify(0));
}

/* Small areas get to where huge pages can come. */
static void a_small_area_moves_to_the_large_ones(void)
{
	struct page *area;

	start_here();
	area = resize(filled(MIB + 5 * KN_PAGE_SIZE, 1), 3 * MIB);
	CHECK_EQ((uintptr_t)kn_page_addr(area) % KN_HUGE_SIZE, 0);
	CHECK(holds(area, MIB + 5 * KN_PAGE_SIZE, 1));
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	/* Below a MiB it is a copy. */
	area = resize(filled(MIB / 2, 2), 2 * MIB);
	CHECK(holds(area, MIB / 2, 2));
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
}

/* What grew behind its move is in two mappings, and moves again. */
static void what_moved_moves_again(void)
{
	size_t bytes = 4 * MIB;
	struct page *area, *behind[5];
	int before;

	conf("guard_pages", "no");
	start_here();
	faults_install();
	put(filled(64 * MIB, 1));
	kn_vmap_trim(0, true);
	before = nr_mappings();
	area = filled(bytes, 1);
	for (int i = 1; i <= 4; i++) {
		behind[i] = at_the_end(2 * MIB);
		area = resize(area, bytes + 2 * MIB);
		CHECK_EQ(stat_of("vmalloc_moved"), i);
		area = resize(area, bytes + 4 * MIB);
		CHECK(holds(area, bytes, i));
		bytes += 4 * MIB;
		fill(kn_page_addr(area), bytes, i + 1);
	}
	/* A question and a move for each mapping that it was in. */
	CHECK_EQ(faults_calls(FAULT_MREMAP), 2 * (1 + 2 + 3 + 4));
	for (int i = 1; i <= 4; i++)
		put(behind[i]);
	put(area);
	kn_vmap_trim(0, true);
	CHECK_EQ(kn_guard_mappings(), 0);
	CHECK_EQ(nr_mappings(), before);
	CHECK(kn_vmap_verify(0));
}

/* Any of the calls may be refused: then it is copied. */
static void a_move_that_is_refused_is_a_copy(void)
{
	struct page *area, *behind;

	conf("guard_pages", "no");
	start_here();
	faults_install();
	area = hemmed_in(4 * MIB, 1, &behind);
	faults_fail(FAULT_MREMAP, 2, 1, ENOMEM);
	area = resize(area, 8 * MIB);
	CHECK(holds(area, 4 * MIB, 1));
	CHECK_EQ(stat_of("vmalloc_moved"), 0);
	CHECK_EQ(kn_guard_mappings(), 0);
	put(area);
	put(behind);
	/* The second call of a move. */
	area = hemmed_in(6 * MIB, 2, &behind);
	area = resize(area, 8 * MIB);
	area = resize(area, 12 * MIB);
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	fill(kn_page_addr(area), 12 * MIB, 3);
	at_the_end(2 * MIB);
	faults_fail(FAULT_MREMAP, 4, 1, EFAULT);
	area = resize(area, 16 * MIB);
	CHECK_EQ(faults_failed(), 2);
	CHECK(holds(area, 12 * MIB, 3));
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	put(area);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

/* In more than one mapping, of which nothing is recorded: no move is tried. */
static void what_is_in_two_mappings_is_copied(void)
{
	struct page *area, *behind;

	conf("guard_pages", "no");
	start_here();
	area = hemmed_in(4 * MIB, 1, &behind);
	CHECK_EQ(madvise((char *)kn_page_addr(area) + 2 * MIB, MIB,
			 MADV_DONTFORK),
		 0);
	faults_install();
	area = resize(area, 8 * MIB);
	CHECK_EQ(faults_calls(FAULT_MREMAP), 1);
	CHECK(holds(area, 4 * MIB, 1));
	CHECK_EQ(stat_of("vmalloc_moved"), 0);
	CHECK_EQ(kn_guard_mappings(), 0);
}

static void *(*real_mremap)(void *from, size_t old_len, size_t new_len,
			    int flags, void *to);

/* As a kernel that meets an error in the second of two mappings. */
static void *half_a_move(void *from, size_t old_len, size_t new_len, int flags,
			 void *to)
{
	const size_t half = old_len / 2;

	if (!flags)
		return real_mremap(from, old_len, new_len, flags, to);
	CHECK_EQ(old_len, new_len);
	CHECK(!kn_is_err(real_mremap(from, half, half, flags, to)));
	return (void *)(intptr_t)-ENOMEM;
}

static void half_a_move_is_completed(void)
{
	struct page *area, *behind;
	char *p;

	start_here();
	area = hemmed_in(4 * MIB, 1, &behind);
	memset((char *)kn_page_addr(area) + MIB, 0, MIB / 2);
	memset((char *)kn_page_addr(area) + 3 * MIB, 0, MIB / 2);
	real_mremap = kn_machine.mremap;
	kn_machine.mremap = half_a_move;
	area = resize(area, 8 * MIB);
	p = kn_page_addr(area);
	CHECK(has(p, 0, MIB, 1));
	CHECK(all_bytes(p + MIB, MIB / 2, 0));
	CHECK(has(p, MIB + MIB / 2, 3 * MIB, 1));
	CHECK(all_bytes(p + 3 * MIB, MIB / 2, 0));
	CHECK(has(p, 3 * MIB + MIB / 2, 4 * MIB, 1));
	CHECK(all_bytes(p + 4 * MIB, 4 * MIB, 0));
	kn_machine.mremap = real_mremap;
}

/* As kernels do where a move is refused late: the place is gone already. */
static int moves_left;

static void *takes_the_place(void *from, size_t old_len, size_t new_len,
			     int flags, void *to)
{
	if (!flags || moves_left-- != 0)
		return real_mremap(from, old_len, new_len, flags, to);
	CHECK(!kn_machine.munmap(to, new_len));
	return (void *)(intptr_t)-EFAULT;
}

static void a_place_that_was_unmapped_is_mapped_again(void)
{
	struct page *area, *behind;

	start_here();
	area = hemmed_in(4 * MIB, 1, &behind);
	real_mremap = kn_machine.mremap;
	kn_machine.mremap = takes_the_place;
	area = resize(area, 8 * MIB);
	kn_machine.mremap = real_mremap;
	CHECK_EQ(stat_of("vmalloc_moved"), 0);
	CHECK(holds(area, 4 * MIB, 1));
	fill(kn_page_addr(area), 8 * MIB, 2);
	CHECK(holds(area, 8 * MIB, 2));
	put(area);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

static char *intruder;

/* And another thread maps something there before anybody can look. */
static void *loses_the_place(void *from, size_t old_len, size_t new_len,
			     int flags, void *to)
{
	if (!flags)
		return real_mremap(from, old_len, new_len, flags, to);
	CHECK(!munmap(to, new_len));
	intruder = mmap((char *)to + MIB, KN_PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(intruder == (char *)to + MIB);
	memset(intruder, 0, KN_PAGE_SIZE / 2);
	memset(intruder + KN_PAGE_SIZE / 2, 7, KN_PAGE_SIZE / 2);
	return (void *)(intptr_t)-ENOMEM;
}

/* A growth that the kernel refuses while others map there; and the next one. */
static void grow_while_others_map(void *(*refuses)(void *, size_t, size_t, int,
						   void *))
{
	struct page *area, *behind;
	uint64_t used;

	start_here();
	area = hemmed_in(4 * MIB, 1, &behind);
	used = kn_vmap_used_bytes();
	real_mremap = kn_machine.mremap;
	kn_machine.mremap = refuses;
	CHECK_EQ(kn_vmap_resize(area, PAGES(8 * MIB), 0, &dirty), NULL);
	kn_machine.mremap = real_mremap;
	CHECK_EQ(printed_times("the process has mapped"), 1);
	CHECK_EQ(kn_vmap_used_bytes(), used);
	CHECK(holds(area, 4 * MIB, 1));
	area = resize(area, 8 * MIB);
	CHECK(holds(area, 4 * MIB, 1));
	fill(kn_page_addr(area), 8 * MIB, 2);
	put(area);
	kn_vmap_trim(0, true);
}

/* What is not of the heap is neither written to nor unmapped. */
static void a_place_that_others_took(void)
{
	grow_while_others_map(loses_the_place);
	put(filled(16 * MIB, 3));
	CHECK(kn_vmap_verify(0));
	CHECK(all_bytes(intruder, KN_PAGE_SIZE / 2, 0));
	CHECK(all_bytes(intruder + KN_PAGE_SIZE / 2, KN_PAGE_SIZE / 2, 7));
}

/* All of it, so that nothing of it is missing. */
static void *loses_all_of_it(void *from, size_t old_len, size_t new_len,
			     int flags, void *to)
{
	if (!flags)
		return real_mremap(from, old_len, new_len, flags, to);
	CHECK(!munmap(to, new_len));
	intruder = mmap(to, new_len, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(intruder == to);
	memset(intruder, 0, new_len);
	return (void *)(intptr_t)-ENOMEM;
}

static void a_place_that_others_took_as_a_whole(void)
{
	grow_while_others_map(loses_all_of_it);
	CHECK(kn_vmap_verify(0));
	CHECK(all_bytes(intruder, 4 * MIB, 0));
}

/* Nor can it be mapped again: the area stays, and what was moved goes back. */
static void a_place_that_is_lost(void)
{
	struct page *area, *behind;

	start_here();
	faults_install();
	put(filled(64 * MIB, 1));
	area = hemmed_in(6 * MIB, 2, &behind);
	area = resize(area, 8 * MIB);
	area = resize(area, 12 * MIB);
	CHECK_EQ(stat_of("vmalloc_moved"), 1);
	fill(kn_page_addr(area), 12 * MIB, 3);
	at_the_end(2 * MIB);
	real_mremap = kn_machine.mremap;
	for (int tries = 0; tries < 2; tries++) {
		moves_left = tries;
		faults_fail(FAULT_MMAP, 1, 2, ENOMEM);
		kn_machine.mremap = takes_the_place;
		CHECK_EQ(kn_vmap_resize(area, PAGES(16 * MIB), 0, &dirty),
			 NULL);
		kn_machine.mremap = real_mremap;
		CHECK_EQ(faults_failed(), 2 * (tries + 1));
		CHECK(holds(area, 12 * MIB, 3));
		CHECK(kn_vmap_cached_bytes() >= 16 * MIB);
		faults_fail(FAULT_MMAP, 0, 0, 0);
		kn_vmap_trim(0, true);
		CHECK_EQ(kn_vmap_cached_bytes(), 0);
		CHECK(kn_vmap_verify(0));
	}
	area = resize(area, 16 * MIB);
	CHECK(holds(area, 12 * MIB, 3));
	fill(kn_page_addr(area), 16 * MIB, 4);
	put(area);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

static uint64_t some_limit(void)
{
	return (uint64_t)1 << 50;
}

static uint64_t no_limit(void)
{
	return UINT64_MAX;
}

static void what_must_not_move_is_copied(void)
{
	struct page *area, *behind;

	start_with(256 * MIB);
	faults_install();
	/* All that follows is behind what was grown. */
	put(get(128 * MIB));
	kn_vmap_trim(0, true);
	/* Locked, as that advice is refused for it. */
	area = hemmed_in(4 * MIB, 1, &behind);
	faults_refuse_advice(MADV_DONTNEED, EINVAL);
	area = resize(area, 8 * MIB);
	faults_refuse_advice(-1, 0);
	CHECK(holds(area, 4 * MIB, 1));
	/* Pages on another node on purpose. */
	area = hemmed_in(4 * MIB, 2, &behind);
	kn_away_mark(area, kn_page_pfn(area) + 3, true);
	area = resize(area, 8 * MIB);
	CHECK(holds(area, 4 * MIB, 2));
	CHECK_EQ(kn_load(&kn_away_pages), 0);
	/* A limit that would count the new mapping. */
	kn_machine.data_limit = some_limit;
	area = hemmed_in(4 * MIB, 4, &behind);
	area = resize(area, 8 * MIB);
	CHECK(holds(area, 4 * MIB, 4));
	kn_machine.data_limit = no_limit;
	kn_machine.address_limit = some_limit;
	area = hemmed_in(4 * MIB, 5, &behind);
	area = resize(area, 8 * MIB);
	CHECK(holds(area, 4 * MIB, 5));
	kn_machine.address_limit = no_limit;
	/* No mapping may be cut any more. */
	conf("vma_budget", "0");
	area = hemmed_in(4 * MIB, 3, &behind);
	area = resize(area, 8 * MIB);
	CHECK(holds(area, 4 * MIB, 3));
	CHECK_EQ(faults_calls(FAULT_MREMAP), 0);
	CHECK_EQ(stat_of("vmalloc_moved"), 0);
}

static void areas_with_a_protection_stay(void)
{
	struct page *area;
	char *p;

	start_here();
	p = vmalloc_exec(MIB);
	area = kn_vmap_find(p);
	CHECK(area);
	CHECK_EQ(kn_vmap_resize(area, PAGES(2 * MIB), 0, &dirty), NULL);
	CHECK_EQ(kn_vmap_resize(area, PAGES(MIB / 2), 0, &dirty), NULL);
	CHECK_EQ(area->nr_pages, PAGES(MIB));
	/* kvrealloc() copies it. */
	pattern_fill(p, MIB, 1);
	p = kvrealloc(p, 2 * MIB, GFP_KERNEL);
	CHECK(p && pattern_holds(p, MIB, 1));
	CHECK(!(kn_vmap_find(p)->flags & KN_PAGE_EXEC));
	kvfree(p);
}

static void a_shrink_gives_memory_back(void)
{
	struct page *area, *next;
	char *p;

	start_here();
	area = filled(MIB, 1);
	p = kn_page_addr(area);
	/* A quarter may stay. */
	CHECK_EQ(resize(area, MIB), area);
	CHECK_EQ(resize(area, MIB - 20 * KN_PAGE_SIZE), area);
	CHECK_EQ(resize(area, MIB / 2), area);
	CHECK(holds(area, MIB / 2, 1));
	CHECK_EQ(area->capacity, PAGES(MIB / 2) + 1);
	CHECK_EQ(kn_vmap_used_bytes(), MIB / 2);
	next = get(MIB / 4);
	CHECK_EQ(next, area + area->capacity);
	CHECK(!dirty && !is_present(kn_page_addr(next), KN_PAGE_SIZE));
	CHECK(all_bytes(kn_page_addr(next), MIB / 4, 0));
	CHECK(is_present(p, MIB / 2));
	put(area);
	put(next);
	kn_vmap_trim(0, true);
	CHECK(kn_vmap_verify(0));
}

/* Refused: it has the new size, and more memory than that. */
static void a_shrink_that_is_refused(void)
{
	struct page *area;
	uint64_t capacity;

	conf("guard_pages", "no");
	start_here();
	faults_install();
	area = filled(4 * MIB, 1);
	capacity = area->capacity;
	faults_refuse_advice(MADV_DONTNEED, EINVAL);
	faults_fail(FAULT_MADVISE, 2, 1, EINVAL);
	CHECK_EQ(kn_vmap_resize(area, PAGES(MIB), 0, &dirty), area);
	faults_refuse_advice(-1, 0);
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	CHECK_EQ(area->capacity, capacity);
	CHECK(holds(area, MIB, 1));
	CHECK(kn_vmap_verify(0));
	CHECK_EQ(resize(area, 3 * MIB), area);
	CHECK(holds(area, MIB, 1));
	put(area);
	CHECK_EQ(kn_vmap_used_bytes(), 0);
}

/* With init_on_free, also where the system does not take it. */
static void what_a_shrink_leaves_is_wiped(void)
{
	struct page *area;
	char *p;

	conf("init_on_free", "yes");
	start_here();
	faults_install();
	area = filled(4 * MIB, 1);
	p = kn_page_addr(area);
	faults_refuse_advice(MADV_DONTNEED, ENOMEM);
	CHECK_EQ(kn_vmap_resize(area, PAGES(MIB), 0, &dirty), area);
	faults_refuse_advice(-1, 0);
	CHECK(holds(area, MIB, 1));
	/* Behind the guard. */
	CHECK(all_bytes(p + MIB + KN_PAGE_SIZE, 3 * MIB - KN_PAGE_SIZE, 0));
	CHECK(kn_vmap_verify(0));
}

/* What moved in is one mapping with its neighbours again, or stays as it is. */
static void a_mapping_that_cannot_be_made_anew(void)
{
	struct page *area, *behind;
	int before;

	conf("guard_pages", "no");
	start_here();
	faults_install();
	area = hemmed_in(4 * MIB, 1, &behind);
	before = nr_mappings();
	area = resize(area, 8 * MIB);
	put(area);
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	kn_vmap_trim(0, true);
	CHECK_EQ(faults_failed(), 1);
	CHECK_EQ(kn_guard_mappings(), 2);
	CHECK(kn_vmap_cached_bytes() >= 8 * MIB);
	/* Nobody gets it before that was done. */
	CHECK(get(8 * MIB) != area);
	kn_vmap_trim(0, true);
	CHECK_EQ(kn_vmap_cached_bytes(), 0);
	CHECK_EQ(kn_guard_mappings(), 0);
	CHECK_EQ(nr_mappings(), before);
	CHECK(kn_vmap_verify(0));
}

static void *(*real_mmap)(void *addr, size_t len, int prot, int flags);

/* As a kernel that counts what may be written, and has unmapped before that. */
static void *commits_nothing(void *addr, size_t len, int prot, int flags)
{
	if (!(prot & PROT_WRITE))
		return real_mmap(addr, len, prot, flags);
	CHECK(!munmap(addr, len));
	return (void *)(intptr_t)-ENOMEM;
}

/* What cannot be had anew is nobody else's either. */
static void a_refused_mapping_leaves_no_hole(void)
{
	struct page *area, *behind;
	char *p, *other;

	conf("guard_pages", "no");
	start_here();
	faults_install();
	area = hemmed_in(4 * MIB, 1, &behind);
	area = resize(area, 8 * MIB);
	p = kn_page_addr(area);
	put(area);
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = commits_nothing;
	faults_fail(FAULT_MPROTECT, 1, 1, ENOMEM);
	kn_vmap_trim(0, true);
	CHECK_EQ(faults_failed(), 1);
	CHECK(kn_vmap_cached_bytes() >= 8 * MIB);
	other = mmap(p, 8 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(other != MAP_FAILED && other != p);
	CHECK(get(8 * MIB) != area);
	kn_vmap_trim(0, true);
	kn_machine.mmap = real_mmap;
	CHECK_EQ(kn_vmap_cached_bytes(), 0);
	CHECK(kn_vmap_verify(0));
	CHECK_EQ(get(8 * MIB), area);
	fill(p, 8 * MIB, 3);
	CHECK(holds(area, 8 * MIB, 3));
}

/* Every call of the machine fails once; the content never knows. */
static void steps_of_growth(void)
{
	char *p = kvmalloc(300000, GFP_KERNEL),
	     *q = kvmalloc(300000, GFP_KERNEL);
	size_t size = 300000;

	CHECK(p && q);
	fill(p, size, 1);
	fill(q, size, 2);
	for (int i = 0; i < 4; i++) {
		char *more = kvrealloc(p, size * 2, GFP_KERNEL | __GFP_NOWARN);

		if (!more)
			break;
		p = more;
		more = kvrealloc(q, size * 2, GFP_KERNEL | __GFP_NOWARN);
		CHECK(has(p, 0, size, 1));
		CHECK(has(more ? more : q, 0, size, 2));
		if (!more)
			break;
		q = more;
		size *= 2;
		fill(p, size, 1);
		fill(q, size, 2);
	}
	p = kvrealloc(p, 70 * KN_PAGE_SIZE, GFP_KERNEL);
	CHECK(has(p, 0, 70 * KN_PAGE_SIZE, 1));
	kvfree(p);
	kvfree(q);
	heap_verify();
}

static void any_call_may_fail(void)
{
	uint64_t calls;

	start_here();
	faults_install();
	calls = faults_calls(FAULT_ANY);
	steps_of_growth();
	calls = faults_calls(FAULT_ANY) - calls;
	CHECK(calls > 20);
	for (uint64_t n = 1; n <= calls; n++) {
		knuma_trim();
		faults_fail(FAULT_ANY, n, 1, ENOMEM);
		steps_of_growth();
		faults_fail(FAULT_ANY, 0, 0, 0);
	}
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	CHECK_EQ(kn_guard_mappings(), 0);
}

/* Guards of older kernels are mappings of their own. */
static void guards_that_are_mappings(void)
{
	struct page *area, *behind;
	int first = 0;

	start_here();
	faults_install();
	faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	put(filled(16 * MIB, 1));
	for (int round = 0; round < 5; round++) {
		area = hemmed_in(4 * MIB, 1, &behind);
		area = resize(area, 8 * MIB);
		CHECK(stat_of("vmalloc_moved") >= 1);
		area = resize(area, 12 * MIB);
		CHECK(holds(area, 4 * MIB, 1));
		area = resize(area, 2 * MIB);
		CHECK(holds(area, 2 * MIB, 1));
		put(area);
		put(behind);
		kn_vmap_trim(0, true);
		CHECK_EQ(kn_guard_mappings(), 0);
		CHECK(kn_vmap_verify(0));
		/* Older kernels do not join all, but they do not add up. */
		if (!round)
			first = nr_mappings();
		CHECK(nr_mappings() <= first);
	}
}

static void an_area_stays_on_its_node(void)
{
	struct page *area, *behind;

	fake_nodes(2);
	start_here();
	for (int node = 0; node < 2; node++) {
		const uint64_t nr = PAGES(4 * MIB);

		fake_node_free_mib(node, 1000000);
		area = kn_vmap_get(node, nr, KN_PAGE_SIZE, &dirty);
		behind = kn_vmap_get(node, nr, KN_PAGE_SIZE, &dirty);
		fill(kn_page_addr(area), 4 * MIB, 1);
		area = kn_vmap_resize(area, 2 * nr, 0, &dirty);
		CHECK(area && area > behind);
		CHECK_EQ(kn_window_of(kn_page_addr(area)), node);
		CHECK(holds(area, 4 * MIB, 1));
		CHECK(kn_vmap_verify(node));
	}
	CHECK_EQ(stat_of("vmalloc_moved"), 2);
}

/* No page of the old content shows in what was asked for as zero. */
static void growth_of_zeroes_is_zero(void)
{
	char *p, *q;

	start_here();
	p = kvmalloc(MIB, GFP_KERNEL);
	q = kvmalloc(MIB, GFP_KERNEL);
	memset(p, 0xcd, MIB);
	memset(q, 0xcd, MIB);
	kvfree(q);
	p = kvrealloc(p, MIB + MIB / 2, GFP_KERNEL | __GFP_ZERO);
	CHECK(all_bytes(p, MIB, 0xcd));
	CHECK(all_bytes(p + MIB, MIB / 2, 0));
	memset(p, 0xcd, MIB + MIB / 2);
	p = kvrealloc(p, 300000, GFP_KERNEL | __GFP_ZERO);
	p = kvrealloc(p, 5 * MIB, GFP_KERNEL | __GFP_ZERO);
	CHECK(all_bytes(p, 300000, 0xcd));
	CHECK(all_bytes(p + 300000, 5 * MIB - 300000, 0));
	kvfree(p);
}

/* A loop that doubles needs no memory of its own each time. */
static void a_loop_of_growth_reuses_its_memory(void)
{
	uint64_t grown = 0, pages = 0;

	start_here();
	for (int i = 0; i < 20; i++) {
		char *p = NULL;

		for (size_t size = 16; size <= 16 * MIB; size *= 2) {
			p = knuma_realloc(p, size);
			CHECK(p);
			p[size - 1] = p[size / 2] = 1;
		}
		knuma_free(p);
		if (i == 2) {
			grown = kn_vmap_grown_bytes();
			pages = kn_vmap_cached_bytes();
		}
	}
	CHECK_EQ(kn_vmap_grown_bytes(), grown);
	CHECK_EQ(kn_vmap_cached_bytes(), pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(the_last_area_grows_where_it_is),
		child_test(the_arena_grows_for_it),
		child_test(free_space_behind_is_grown_into),
		child_test(a_kept_neighbour_is_grown_into),
		child_test(the_rest_of_a_neighbour_is_an_area),
		child_test(an_area_that_began_late_changes),
		child_test(page_tables_move),
		child_test(a_small_area_moves_to_the_large_ones),
		child_test(what_moved_moves_again),
		child_test(a_move_that_is_refused_is_a_copy),
		child_test(what_is_in_two_mappings_is_copied),
		child_test(half_a_move_is_completed),
		child_test(a_place_that_was_unmapped_is_mapped_again),
		child_test(a_place_that_others_took),
		child_test(a_place_that_others_took_as_a_whole),
		child_test(a_place_that_is_lost),
		child_test(what_must_not_move_is_copied),
		child_test(areas_with_a_protection_stay),
		child_test(a_shrink_gives_memory_back),
		child_test(a_shrink_that_is_refused),
		child_test(what_a_shrink_leaves_is_wiped),
		child_test(a_mapping_that_cannot_be_made_anew),
		child_test(a_refused_mapping_leaves_no_hole),
		child_test(any_call_may_fail),
		child_test(guards_that_are_mappings),
		child_test(an_area_stays_on_its_node),
		child_test(growth_of_zeroes_is_zero),
		child_test(a_loop_of_growth_reuses_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
