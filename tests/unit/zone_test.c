/* SPDX-License-Identifier: Apache-2.0 */
/* The buddy allocator of a node: splitting, merging, kinds, counts. */
#include "alloc/page/zone.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <knuma/kmalloc.h>
#include <knuma/page.h>
#include <knuma/tunables.h>

#include "alloc/config/tunables.h"
#include "alloc/magazine/magazine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

#define BLOCK ((uint32_t)1 << KN_MAX_ORDER) /* pages of the largest */

/* Nothing that a test does not do itself. */
static struct kn_zone *begin_with(int nr_nodes)
{
	fake_nodes(nr_nodes);
	conf("reserve", "0");
	start_here();
	CHECK_EQ(knuma_trim(), 0);
	return &kn_zones[0];
}

/* On one node, whatever the machine has. */
static struct kn_zone *begin(void)
{
	return begin_with(1);
}

/* Free blocks of an order, of all kinds. */
static uint32_t nr_blocks(const struct kn_zone *z, unsigned order)
{
	return z->nr_blocks[KN_ZONE_COLD][order] +
	       z->nr_blocks[KN_ZONE_WARM][order] +
	       z->nr_blocks[KN_ZONE_POOL][order];
}

static uint32_t get(unsigned order)
{
	const uint32_t pfn = kn_zone_alloc(0, order, GFP_KERNEL);

	CHECK(pfn != KN_PFN_NONE);
	return pfn;
}

static void put(uint32_t pfn, unsigned order)
{
	kn_zone_free(pfn, order, 0, true);
}

static void blocks_are_aligned_to_their_size(void)
{
	uint32_t pfn[KN_NR_ORDERS][5];

	begin();
	for (unsigned order = 0; order < KN_NR_ORDERS; order++)
		for (int i = 0; i < 5; i++) {
			pfn[order][i] = get(order);
			CHECK_EQ(pfn[order][i] % (1u << order), 0);
			CHECK_EQ(kn_pfn_node(pfn[order][i]), 0);
		}
	CHECK(kn_zone_verify(0));
	for (unsigned order = 0; order < KN_NR_ORDERS; order++)
		for (int i = 0; i < 5; i++)
			put(pfn[order][i], order);
	CHECK(kn_zone_verify(0));
}

/* All single pages of a block make it whole again, in any order. */
static void buddies_merge(void)
{
	struct kn_zone *z = begin();
	static uint32_t pfn[BLOCK * 3];
	uint32_t n = 0;

	while (n < BLOCK * 3)
		pfn[n++] = get(0);
	CHECK_EQ(nr_blocks(z, 0) + nr_blocks(z, 1), 0);
	for (uint32_t i = 0; i < n; i++)
		put(pfn[(i * 7919u) % n], 0);
	CHECK(kn_zone_verify(0));
	for (unsigned order = 0; order < KN_MAX_ORDER; order++)
		CHECK_EQ(nr_blocks(z, order), 0);
	CHECK(nr_blocks(z, KN_MAX_ORDER) >= 3);
	CHECK_EQ(z->nr_free, z->managed);
}

static void a_split_leaves_the_upper_halves(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(0);

	CHECK_EQ(pfn % BLOCK, 0);
	for (unsigned order = 0; order < KN_MAX_ORDER; order++)
		CHECK_EQ(nr_blocks(z, order), 1);
	CHECK_EQ(get(0), pfn + 1);
	CHECK_EQ(nr_blocks(z, 0), 0);
	CHECK_EQ(get(3), pfn + 8);
	CHECK(kn_zone_verify(0));
}

static void counts_follow(void)
{
	struct kn_zone *z = begin();
	const uint64_t free = z->nr_free, managed = z->managed;
	const uint32_t pfn = get(4);

	CHECK_EQ(z->managed, managed);
	CHECK_EQ(z->nr_free, free - 16);
	CHECK_EQ(z->nr_warm, 0);
	kn_zone_free(pfn, 4, KN_PAGE_SURE, true);
	CHECK_EQ(z->nr_free, free);
	CHECK_EQ(z->nr_warm, 16);
	CHECK_EQ(z->nr_sure, 16);
	/* Warm is taken first, and is what was there. */
	CHECK_EQ(get(4), pfn);
	CHECK_EQ(z->nr_warm + z->nr_sure, 0);
	CHECK(kn_page(pfn)->flags & KN_PAGE_SURE);
	put(pfn, 4);
	CHECK_EQ(z->nr_warm, 16);
	CHECK_EQ(z->nr_sure, 0);
	CHECK(kn_zone_verify(0));
}

/* Warm pages next to cold ones stay blocks of their own. */
static void kinds_do_not_mix(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(0);

	put(pfn, 0);
	CHECK_EQ(z->nr_warm, 1);
	CHECK_EQ(z->warm[0], pfn);
	CHECK_EQ(z->cold[0], pfn + 1);
	CHECK(kn_page(pfn + 1)->flags & KN_PAGE_ZERO);
	CHECK(kn_zone_verify(0));
	/* A purge makes them equal, and whole. */
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), KN_PAGE_SIZE);
	CHECK_EQ(z->nr_warm, 0);
	CHECK_EQ(nr_blocks(z, 0), 0);
	CHECK(kn_zone_verify(0));
}

static void what_is_known_of_both_halves_is_known_of_the_whole(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(1);

	kn_zone_free(pfn, 0, KN_PAGE_SURE, true);
	kn_zone_free(pfn + 1, 0, KN_PAGE_SURE | KN_PAGE_ZERO, true);
	CHECK_EQ(z->warm[1], pfn);
	CHECK_EQ(kn_page(pfn)->flags, KN_PAGE_WARM | KN_PAGE_SURE);
	CHECK_EQ(z->nr_sure, 2);
	CHECK_EQ(get(1), pfn);
	kn_zone_free(pfn, 0, KN_PAGE_SURE, true);
	kn_zone_free(pfn + 1, 0, 0, true);
	CHECK_EQ(kn_page(pfn)->flags, KN_PAGE_WARM);
	CHECK_EQ(z->nr_sure, 0);
	CHECK(kn_zone_verify(0));
}

static void purged_memory_reads_as_zero(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(5);
	char *p = kn_pfn_address(pfn);

	memset(p, 7, KN_PAGE_SIZE << 5);
	put(pfn, 5);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), KN_PAGE_SIZE << 5);
	CHECK_EQ(z->nr_warm, 0);
	CHECK(!is_present(p, 1));
	CHECK_EQ(get(5), pfn);
	CHECK(kn_page(pfn)->flags & KN_PAGE_ZERO);
	CHECK(all_bytes(p, KN_PAGE_SIZE << 5, 0));
}

/* Of what was not needed since the last tick, however much that is. */
static void a_tick_gives_a_quarter_at_least(void)
{
	const uint64_t block = KN_PAGE_SIZE << KN_MAX_ORDER;
	struct kn_zone *z = begin();
	uint32_t pfn[40];

	for (int i = 0; i < 40; i++)
		pfn[i] = get(KN_MAX_ORDER);
	for (int i = 0; i < 40; i++)
		put(pfn[i], KN_MAX_ORDER);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, false), 0);
	CHECK_EQ(kn_zone_trim(0, block, false), 10 * block);
	CHECK_EQ(kn_zone_trim(0, block, false), 8 * block);
	CHECK_EQ(kn_zone_trim(0, 11 * block, false), 11 * block);
	CHECK(kn_zone_trim(0, UINT64_MAX, false) >= 11 * block);
	CHECK_EQ(z->nr_warm, 0);
	CHECK(kn_zone_verify(0));
}

/* Those of a block that is free as a whole say nothing. */
static void descriptors_of_purged_memory_go_back(void)
{
	const uint32_t nr = 1u << KN_MAX_ORDER;
	struct kn_zone *z = begin();
	const uint32_t pfn = get(KN_MAX_ORDER);
	uint32_t half;

	for (uint32_t i = 1; i < nr; i++)
		kn_page(pfn + i)->order = 77;
	put(pfn, KN_MAX_ORDER);
	CHECK(is_present(kn_page(pfn + nr - 1), 1));
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), KN_PAGE_SIZE * nr);
	CHECK(!is_present(kn_page(pfn + nr - 1), 1));
	CHECK(is_present(kn_page(pfn), 1));
	CHECK(kn_zone_verify(0));
	CHECK_EQ(get(0), pfn);
	CHECK_EQ(z->nr_warm, 0);
	put(pfn, 0);
	CHECK(kn_zone_verify(0));
	/* Smaller blocks keep theirs: neighbours are on the same page. */
	half = get(9);
	kn_page(half + nr / 2 - 1)->order = 77;
	put(half, 9);
	/* And the page of before. */
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true),
		 KN_PAGE_SIZE * (nr / 2 + 1));
	CHECK_EQ(kn_page(half + nr / 2 - 1)->order, 77);
	CHECK(kn_zone_verify(0));
}

static void a_purge_that_is_refused_changes_nothing(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(5);

	memset(kn_pfn_address(pfn), 7, KN_PAGE_SIZE << 5);
	put(pfn, 5);
	faults_install();
	faults_refuse_advice(MADV_DONTNEED, ENOMEM);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), 0);
	CHECK_EQ(z->nr_warm, 32);
	CHECK(kn_zone_verify(0));
	CHECK_EQ(get(5), pfn);
	CHECK(!(kn_page(pfn)->flags & KN_PAGE_ZERO));
	CHECK(all_bytes(kn_pfn_address(pfn), KN_PAGE_SIZE << 5, 7));
}

/* Only what stayed unused since the last time. */
static void a_timed_trim_leaves_what_is_needed(void)
{
	struct kn_zone *z = begin();
	const uint64_t block = KN_PAGE_SIZE << 5;
	uint32_t pfn[8];

	for (int i = 0; i < 8; i++)
		pfn[i] = get(5);
	/* Every other one, so that they stay apart. */
	for (int i = 0; i < 8; i += 2)
		put(pfn[i], 5);
	/* The least since the last trim was none. */
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, false), 0);
	pfn[0] = get(5);
	pfn[2] = get(5);
	put(pfn[0], 5);
	put(pfn[2], 5);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, false), 2 * block);
	CHECK_EQ(z->nr_warm, 2 * 32);
	CHECK_EQ(kn_zone_trim(0, block, false), block);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, false), block);
	CHECK_EQ(z->nr_warm, 0);
	CHECK(kn_zone_verify(0));
}

static void a_range_is_as_few_blocks_as_can_be(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(KN_MAX_ORDER);
	uint64_t free = z->nr_free;

	/* 3..20: 3, 4-7, 8-15, 16-19 and 20. */
	kn_zone_free_range(pfn + 3, 18, 0, true);
	CHECK_EQ(z->nr_free, free + 18);
	CHECK_EQ(z->warm[0] != KN_PFN_NONE && z->warm[2] != KN_PFN_NONE, true);
	CHECK_EQ(z->warm[3], pfn + 8);
	CHECK_EQ(z->warm[1], KN_PFN_NONE);
	CHECK(kn_zone_verify(0));
	kn_zone_free_range(pfn, 3, 0, true);
	kn_zone_free_range(pfn + 21, BLOCK - 21, 0, true);
	CHECK_EQ(z->warm[KN_MAX_ORDER], pfn);
	CHECK(kn_zone_verify(0));
}

/* @want runs of @nr pages are aligned, disjoint, and come back. */
static void runs_fill_blocks(struct kn_zone *z, uint32_t nr, uint32_t want)
{
	const uint64_t free = z->nr_free;
	uint32_t pfn[KN_BATCH_MAX];

	CHECK_EQ(kn_zone_alloc_runs(0, nr, GFP_KERNEL, pfn, want), want);
	CHECK_EQ(z->nr_free, free - (uint64_t)want * nr);
	for (uint32_t i = 0; i < want; i++) {
		CHECK_EQ(pfn[i] % divisor_of(nr), 0);
		for (uint32_t k = 0; k < i; k++)
			CHECK(pfn[i] >= pfn[k] + nr || pfn[k] >= pfn[i] + nr);
	}
	CHECK(kn_zone_verify(0));
	kn_zone_free_runs(pfn, want, nr);
	CHECK_EQ(z->nr_free, free);
	CHECK(kn_zone_verify(0));
}

static void runs_are_cut_one_behind_the_other(void)
{
	struct kn_zone *z = begin();
	uint32_t pfn[8];

	for (uint32_t nr = 1; nr <= 64; nr++)
		runs_fill_blocks(z, nr, nr % 7 + 1);
	CHECK_EQ(knuma_trim(), 0);
	/* Three of 10 pages fill 30 of a block of 32. */
	CHECK_EQ(kn_zone_alloc_runs(0, 10, GFP_KERNEL, pfn, 3), 3);
	CHECK_EQ(pfn[0] % 32, 0);
	CHECK_EQ(pfn[1], pfn[0] + 10);
	CHECK_EQ(pfn[2], pfn[0] + 20);
	kn_zone_free_runs(pfn, 3, 10);
	CHECK(kn_zone_verify(0));
}

static void runs_are_what_there_is(void)
{
	struct kn_zone *z = begin();
	const uint64_t managed = z->managed;
	uint32_t pfn[KN_BATCH_MAX], n = 0, got;

	/* All of it, and without growth. */
	while ((got = kn_zone_alloc_runs(0, 256, GFP_KERNEL, pfn, 5)))
		n += got;
	CHECK_EQ(n, managed / 256);
	CHECK_EQ(z->nr_free, 0);
	CHECK_EQ(z->managed, managed);
	/* No block for as many as are wanted: one for what there is. */
	kn_zone_free(pfn[0] + 16, 4, 0, true);
	CHECK_EQ(kn_zone_alloc_runs(0, 9, GFP_KERNEL, &pfn[1], 20), 1);
	CHECK_EQ(pfn[1], pfn[0] + 16);
	CHECK_EQ(z->nr_free, 7);
	CHECK(kn_zone_verify(0));
}

static void runs_come_from_memory_that_is_there(void)
{
	struct kn_zone *z = begin();
	uint32_t pfn[8], block;

	/* Warm: two blocks of 16 pages and no larger one. */
	block = get(6);
	kn_zone_free(block, 4, 0, true);
	kn_zone_free(block + 32, 4, 0, true);
	CHECK_EQ(z->nr_warm, 32);
	CHECK_EQ(kn_zone_alloc_runs(0, 5, GFP_KERNEL, pfn, 6), 6);
	CHECK_EQ(z->nr_warm, 2);
	for (int i = 0; i < 6; i++)
		CHECK(pfn[i] - block < 64);
	/* Then the rest. */
	CHECK_EQ(kn_zone_alloc_runs(0, 5, GFP_KERNEL, pfn, 6), 6);
	CHECK(pfn[0] - block >= 64);
	CHECK(kn_zone_verify(0));
}

static void runs_while_the_lock_is_taken(void)
{
	struct kn_zone *z = begin();
	uint64_t free = z->nr_free;
	uint32_t pfn[4], none;

	CHECK_EQ(kn_zone_alloc_runs(0, 12, GFP_KERNEL, pfn, 4), 4);
	CHECK(kn_trylock(&z->lock));
	kn_zone_free_runs(pfn, 4, 12);
	CHECK_EQ(kn_zone_alloc_runs(0, 12, GFP_NOWAIT, &none, 1), 0);
	kn_unlock(&z->lock);
	CHECK(kn_zone_verify(0));
	CHECK_EQ(z->nr_free, free);
	CHECK(stat_of("nowait_contended") > 0);
}

/* As another thread would, or the one that a signal handler interrupts. */
static void frees_while_the_lock_is_taken(void)
{
	struct kn_zone *z = begin();
	uint32_t pfn[30];
	uint64_t free;

	for (int i = 0; i < 30; i++)
		pfn[i] = get(i % 4);
	free = z->nr_free;
	CHECK(kn_trylock(&z->lock));
	for (int i = 0; i < 20; i++)
		kn_zone_free(pfn[i], i % 4, 0, false);
	kn_zone_free_range(pfn[23], 8, 0, false);
	CHECK_EQ(kn_zone_alloc(0, 0, GFP_NOWAIT), KN_PFN_NONE);
	CHECK_EQ(z->nr_free, free);
	kn_unlock(&z->lock);
	/* The next holder files them. */
	CHECK(kn_zone_verify(0));
	CHECK_EQ(z->nr_free, free + 5 * (1 + 2 + 4 + 8) + 8);
	CHECK(stat_of("nowait_contended") > 0);
}

static void bulk_is_what_there_is(void)
{
	struct kn_zone *z = begin();
	uint32_t pfn[2000];
	const uint64_t managed = z->managed;
	uint32_t n;

	CHECK_EQ(kn_zone_alloc_bulk(0, 3, GFP_KERNEL, pfn, 10), 10);
	for (int i = 0; i < 10; i++)
		kn_zone_free(pfn[i], 3, 0, true);
	/* It does not grow the zone. */
	n = kn_zone_alloc_bulk(0, 0, GFP_KERNEL, pfn, 2000);
	CHECK_EQ(n, managed < 2000 ? managed : 2000);
	CHECK_EQ(z->managed, managed);
	while (n--)
		put(pfn[n], 0);
	CHECK(kn_zone_verify(0));
}

static void it_grows_when_it_must(void)
{
	struct kn_zone *z = begin();
	const uint64_t managed = z->managed, calls = stat_of("grow_calls");
	uint32_t pfn[20];

	for (int i = 0; i < 20; i++)
		pfn[i] = get(KN_MAX_ORDER);
	CHECK(z->managed >= 20 * BLOCK && z->managed > managed);
	CHECK_EQ(z->managed % BLOCK, 0);
	CHECK(stat_of("grow_calls") > calls);
	CHECK_EQ(z->grown - kn_window_base(0), z->managed << KN_PAGE_SHIFT);
	for (int i = 0; i < 20; i++)
		put(pfn[i], KN_MAX_ORDER);
	CHECK(kn_zone_verify(0));
	/* A call that may not wait does not. */
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(kn_zone_alloc(0, 0, GFP_NOWAIT), KN_PFN_NONE);
}

static void cold_memory_turns_warm_by_huge_pages(void)
{
	struct kn_zone *z;
	uint32_t pfn;

	conf("huge_after", "0");
	z = begin();
	pfn = get(0);
	CHECK_EQ(z->nr_warm, (KN_HUGE_SIZE >> KN_PAGE_SHIFT) - 1);
	put(pfn, 0);
	/* And goes back by them, where most of them is used. */
	pfn = get(9);
	get(9);
	CHECK_EQ(z->nr_warm, 0);
	kn_zone_free_range(pfn, 500, 0, true);
	CHECK_EQ(z->nr_loose, 0);
	CHECK_EQ(kn_zone_idle(z), 0);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), 0);
	kn_zone_free_range(pfn + 500, 12, 0, true);
	CHECK_EQ(kn_zone_idle(z), KN_HUGE_SIZE >> KN_PAGE_SHIFT);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), KN_HUGE_SIZE);
	CHECK(kn_zone_verify(0));
}

static void a_huge_page_that_is_mostly_free_is_split(void)
{
	struct kn_zone *z;
	uint32_t pfn;

	conf("huge_after", "0");
	z = begin();
	pfn = get(9);
	for (uint32_t i = 0; i < 512; i++)
		*(volatile char *)kn_pfn_address(pfn + i) = 1;
	kn_zone_free_range(pfn, 256, 0, true);
	CHECK_EQ(kn_zone_idle(z), 0);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), 0);
	/* All but two pages are in blocks of 32 KiB and more. */
	kn_zone_free_range(pfn + 256, 250, 0, true);
	CHECK_EQ(kn_zone_idle(z), 504);
	CHECK_EQ(kn_zone_trim(0, UINT64_MAX, true), 504 * KN_PAGE_SIZE);
	CHECK(!is_present(kn_pfn_address(pfn), 1));
	CHECK(is_present(kn_pfn_address(pfn + 504), 8 * KN_PAGE_SIZE));
	CHECK_EQ(z->nr_warm, 2);
	CHECK(kn_zone_verify(0));
}

/* The system then splits it when pages of it go back, if it does at all. */
static void advice_before_a_split_may_be_refused(void)
{
	faults_install();
	faults_refuse_advice(MADV_COLD, EINVAL);
	a_huge_page_that_is_mostly_free_is_split();
}

static void the_reserve_is_for_urgent_calls(void)
{
	struct kn_zone *z = &kn_zones[0];
	int n = 0;

	fake_nodes(1);
	conf("reserve", "64K");
	start_here();
	get(0);
	CHECK(z->nr_sure >= 16);
	while (kn_zone_alloc(0, 0, GFP_NOWAIT) != KN_PFN_NONE)
		;
	CHECK(z->nr_sure <= 16);
	CHECK_EQ(kn_zone_alloc(0, 0, GFP_ATOMIC | __GFP_NOMEMALLOC),
		 KN_PFN_NONE);
	while (kn_zone_alloc(0, 0, GFP_ATOMIC) != KN_PFN_NONE)
		n++;
	CHECK_EQ(n, 16);
	CHECK_EQ(z->nr_sure, 0);
	/* The next call that may wait fills it again. */
	get(0);
	CHECK(z->nr_sure >= 15);
	CHECK(kn_zone_verify(0));
}

/*
 * Where memory comes in huge pages, the reserve is part of one of them, and is
 * filled once: it does not take a new one at each call.
 */
static void the_reserve_is_filled_once(void)
{
	struct kn_zone *z;
	uint64_t cold;

	conf("huge_after", "0");
	conf("reserve", "128K");
	start_here();
	z = &kn_zones[0];
	for (int i = 0; i < 32; i++)
		get(4);
	cold = z->nr_free - z->nr_warm;
	CHECK(z->nr_sure >= 32);
	/* 2 MiB in use, what the start took, and the rest of a huge page. */
	CHECK(z->managed - cold <= 3 * (KN_HUGE_SIZE >> KN_PAGE_SHIFT));
	CHECK(kn_zone_verify(0));
}

/* Pages of @nr runs of @bytes that are in memory, though nobody wrote there. */
static size_t nr_present(void *const *p, int nr, size_t bytes)
{
	size_t n = 0;

	for (int i = 0; i < nr; i++)
		for (size_t at = 0; at < bytes; at += KN_PAGE_SIZE)
			n += is_present((char *)p[i] + at, 1);
	return n;
}

/* Who may wait takes other memory first, also when there has to be more. */
static void calls_that_may_wait_leave_the_reserve(void)
{
	const size_t reserve = 32;
	struct kn_zone *z = &kn_zones[0];
	static void *p[2000];
	int n = 0;

	fake_nodes(1);
	/* A huge page would bring what is beside the reserve. */
	CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	conf("reserve", "128K");
	start_here();
	for (int i = 0; i < 2000; i++)
		p[i] = page_address(alloc_pages(GFP_KERNEL, 0));
	CHECK(nr_present(p, 2000, KN_PAGE_SIZE) <= reserve);
	for (int i = 0; i < 2000; i++)
		p[i] = kmalloc(32 << 10, GFP_KERNEL);
	CHECK(nr_present(p, 2000, 32 << 10) <= reserve);
	/* Nor what was freed without having been written. */
	for (int i = 0; i < 2000; i += 2)
		kfree(p[i]);
	for (int i = 0; i < 2000; i += 2)
		p[i] = kmalloc(32 << 10, GFP_KERNEL);
	CHECK(nr_present(p, 2000, 32 << 10) <= reserve);
	CHECK_EQ(z->nr_sure, reserve);
	while (kn_zone_alloc(0, 0, GFP_ATOMIC) != KN_PFN_NONE)
		n++;
	CHECK_EQ(n, reserve);
	CHECK(kn_zone_verify(0));
}

/* More than one block: each call that may wait adds one, until it is full. */
static void a_large_reserve_is_several_blocks(void)
{
	struct kn_zone *z = &kn_zones[0];
	uint32_t pfn;

	fake_nodes(1);
	conf("reserve", "12M");
	start_here();
	for (int i = 0; i < 8; i++)
		get(KN_MAX_ORDER);
	CHECK_EQ(z->nr_sure, 3 * BLOCK);
	pfn = kn_zone_alloc(0, KN_MAX_ORDER, GFP_ATOMIC);
	CHECK(is_present(kn_pfn_address(pfn), KN_PAGE_SIZE << KN_MAX_ORDER));
	CHECK(kn_zone_verify(0));
}

/* The end of the node: what was kept is better than nothing. */
static void the_reserve_is_the_last_that_is_taken(void)
{
	struct kn_zone *z = &kn_zones[0];
	int n = 0;

	fake_nodes(1);
	conf("reserve", "128K");
	start_here();
	put(get(0), 0);
	CHECK_EQ(z->nr_sure, 32);
	faults_install();
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	while (kn_zone_alloc(0, 0, GFP_KERNEL) != KN_PFN_NONE)
		n++;
	CHECK(n >= 32);
	CHECK_EQ(z->nr_free, 0);
	CHECK(kn_zone_verify(0));
}

/* A call that may not wait touches no descriptor for the first time either. */
static void what_tells_of_the_reserve_is_in_memory(void)
{
	struct kn_zone *z;
	uint64_t sure = 0;
	size_t bytes;

	conf("reserve", "4M");
	start_here();
	z = &kn_zones[kn_this_node()];
	kfree(kmalloc(64, GFP_KERNEL));
	for (unsigned o = 0; o < KN_NR_ORDERS; o++)
		for (uint32_t pfn = z->warm[o]; pfn != KN_PFN_NONE;
		     pfn = kn_page(pfn)->next) {
			if (!(kn_page(pfn)->flags & KN_PAGE_SURE))
				continue;
			bytes = sizeof(struct page) << o;
			CHECK(is_present(kn_page(pfn), bytes));
			bytes = sizeof(*kn_span.map) << o;
			CHECK(is_present(&kn_span.map[pfn], bytes));
			sure += 1u << o;
		}
	/* Less what the start and this call took. */
	CHECK(sure > (3 << 20) / KN_PAGE_SIZE);
	CHECK(kn_zone_verify(kn_this_node()));
}

static void nodes_have_zones_of_their_own(void)
{
	begin_with(3);
	for (int node = 0; node < 3; node++) {
		const uint32_t pfn = kn_zone_alloc(node, 3, GFP_KERNEL);

		CHECK_EQ(kn_pfn_node(pfn), node);
		kn_zone_free(pfn, 3, 0, true);
		CHECK_EQ(kn_zones[node].nr_warm, 8);
		CHECK(kn_zone_verify(node));
	}
}

/* On a list, and what its buddy is on cannot be the same one. */
static struct page *free_page_without_buddy(const struct kn_zone *z)
{
	for (unsigned o = 0; o < KN_MAX_ORDER; o++) {
		const uint32_t pfn = z->cold[o] != KN_PFN_NONE ? z->cold[o] :
								 z->warm[o];
		const struct page *buddy = kn_page(pfn ^ (1u << o));

		if (pfn != KN_PFN_NONE &&
		    (buddy->type != KN_PAGE_FREE || buddy->order != o))
			return kn_page(pfn);
	}
	CHECK(!"a free page whose buddy is not");
	return NULL;
}

/* A check that finds nothing wrong must be able to. */
static void planted_errors_are_found(void)
{
	struct kn_zone *z = begin();
	const uint32_t pfn = get(3);
	struct page *page = kn_page(pfn);

	put(pfn, 3);
	CHECK(kn_zone_verify(0));
	z->nr_free++;
	CHECK(!kn_zone_verify(0));
	z->nr_free--;
	z->nr_sure++;
	CHECK(!kn_zone_verify(0));
	z->nr_sure--;
	page->order = 2;
	CHECK(!kn_zone_verify(0));
	page->order = 3;
	page->type = KN_PAGE_PAGES;
	CHECK(!kn_zone_verify(0));
	page->type = KN_PAGE_FREE;
	page->flags ^= KN_PAGE_WARM;
	CHECK(!kn_zone_verify(0));
	page->flags ^= KN_PAGE_WARM;
	CHECK(kn_zone_verify(0));
	z->nr_warm++;
	CHECK(!kn_zone_verify(0));
	z->nr_warm--;
	page = free_page_without_buddy(z);
	page->flags ^= KN_PAGE_WARM;
	CHECK(!kn_zone_verify(0));
	CHECK_HAS(printed(), "is on the wrong list");
	page->flags ^= KN_PAGE_WARM;
	CHECK(kn_zone_verify(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(blocks_are_aligned_to_their_size),
		child_test(buddies_merge),
		child_test(a_split_leaves_the_upper_halves),
		child_test(counts_follow),
		child_test(kinds_do_not_mix),
		child_test(what_is_known_of_both_halves_is_known_of_the_whole),
		child_test(purged_memory_reads_as_zero),
		child_test(a_tick_gives_a_quarter_at_least),
		child_test(descriptors_of_purged_memory_go_back),
		child_test(a_purge_that_is_refused_changes_nothing),
		child_test(a_timed_trim_leaves_what_is_needed),
		child_test(a_range_is_as_few_blocks_as_can_be),
		child_test(frees_while_the_lock_is_taken),
		child_test(bulk_is_what_there_is),
		child_test(runs_are_cut_one_behind_the_other),
		child_test(runs_are_what_there_is),
		child_test(runs_come_from_memory_that_is_there),
		child_test(runs_while_the_lock_is_taken),
		child_test(it_grows_when_it_must),
		child_test(cold_memory_turns_warm_by_huge_pages),
		child_test(a_huge_page_that_is_mostly_free_is_split),
		child_test(advice_before_a_split_may_be_refused),
		child_test(the_reserve_is_for_urgent_calls),
		child_test(the_reserve_is_filled_once),
		child_test(calls_that_may_wait_leave_the_reserve),
		child_test(a_large_reserve_is_several_blocks),
		child_test(the_reserve_is_the_last_that_is_taken),
		child_test(what_tells_of_the_reserve_is_in_memory),
		child_test(nodes_have_zones_of_their_own),
		child_test(planted_errors_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
