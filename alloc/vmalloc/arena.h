/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/vmalloc/arena.h - the halves of a node's vmalloc part, for this folder
 *
 *   extent.c  address space: free extents, what is behind the last area, growth
 *   vmap.c    areas: the cache of freed ones, allocation, frees, look-up
 *   resize.c  areas that grow and shrink where they are
 *   levels.c  how much is used, kept and grown
 *   walk.c    all areas in the order of addresses; the invariants of vmap.h
 */
#ifndef KN_VMALLOC_ARENA_H
#define KN_VMALLOC_ARENA_H

#include "alloc/base/bits.h"
#include "alloc/base/lock.h"
#include "alloc/page/frame.h"

/*
 * Lists by size: each number of pages below 32, then sixteen for each doubling, up
 * to 2^31.  The nearer a kept area is to what is asked for, the fewer pages lie
 * in front of it (V5), which others have not touched yet.
 */
#define KN_BINS_LOG  4
#define KN_NR_BINS   (29u << KN_BINS_LOG)

#define KN_GROW_STEP ((size_t)64 << 20)

struct kn_bins {
	uint32_t head[KN_NR_BINS];
	uint64_t any[(KN_NR_BINS + 63) / 64]; /* lists that are not empty */
};

/* Where kn_vmap_each() goes on: always the first page of something. */
struct kn_walk {
	uintptr_t at;
	struct kn_walk *next;
};

struct kn_arena {
	struct kn_lock lock;
	bool huge;
	uintptr_t base, end;		   /* address space */
	uintptr_t grown;		   /* usable up to here; lock */
	uintptr_t top;			   /* handed out up to here; lock */
	uint64_t cached_pages;		   /* lock; read without */
	uint64_t used_pages, used_areas;   /* the same, with what is freed_* */
	uint64_t nr_new, nr_reused;	   /* the same: statistics */
	uint64_t fresh_pages;		   /* the same: of new areas */
	uint64_t freed_pages, freed_areas; /* while the lock was taken, ever;
					      atomic */
	struct kn_bins cached, extents;	   /* lock */
	uint32_t grew; /* kept area that had grown, from 2 MiB on; lock */
	struct kn_walk *walks;		   /* under way; lock */
	ck_stack_t deferred; /* areas freed while the lock was taken */
	uint32_t growing;    /* somebody is in mprotect(2); set by lock */
} kn_cacheline;

extern struct kn_arena kn_arenas[KN_MAX_NODES][2];

static inline struct kn_arena *kn_arena_of(uint32_t pfn)
{
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);
	struct kn_arena *pair = kn_arenas[kn_pfn_node(pfn)];

	return &pair[at >= pair[1].base];
}

static inline unsigned kn_bin_of(uint64_t pages)
{
	const unsigned mask = (1u << KN_BINS_LOG) - 1;
	unsigned log;

	if (pages <= mask)
		return (unsigned)pages;
	log = kn_log2(pages) - KN_BINS_LOG;
	return KN_MIN((log + 1) << KN_BINS_LOG |
			      ((unsigned)(pages >> log) & mask),
		      KN_NR_BINS - 1);
}

static inline void kn_bin_add(struct kn_bins *b, uint32_t pfn)
{
	const unsigned i = kn_bin_of(kn_page(pfn)->capacity);

	kn_page_list_add(&b->head[i], pfn);
	b->any[i / 64] |= (uint64_t)1 << i % 64;
}

static inline void kn_bin_del(struct kn_bins *b, uint32_t pfn)
{
	const unsigned i = kn_bin_of(kn_page(pfn)->capacity);

	kn_page_list_del(&b->head[i], pfn);
	if (b->head[i] == KN_PFN_NONE)
		b->any[i / 64] &= ~((uint64_t)1 << i % 64);
}

/* The first list from @i on that is not empty, or KN_NR_BINS. */
static inline unsigned kn_bin_next(const struct kn_bins *b, unsigned i)
{
	for (unsigned w = i / 64; w < KN_ARRAY_SIZE(b->any); w++) {
		uint64_t any = b->any[w];

		if (w == i / 64)
			any &= ~(uint64_t)0 << i % 64;
		if (any)
			return w * 64 + (unsigned)__builtin_ctzll(any);
	}
	return KN_NR_BINS;
}

/* V5: what an area begins with, which may be before it. */
static inline struct page *kn_area_first(struct page *area)
{
	return area - area->front;
}

/* Makes the used @area one of @pages in all; with the lock. */
static inline void kn_area_set_capacity(struct page *area, uint64_t pages)
{
	area->capacity = pages;
	kn_area_first(area)->capacity = area->front + pages;
}

/* What a cached area must not have to be part of another one. */
static inline bool kn_area_is_plain(const struct page *area)
{
	return !(area->flags & (KN_PAGE_PROTECTED | KN_PAGE_SPREAD));
}

/* Pages to skip from @pfn on to reach a multiple of @align bytes. */
static inline uint64_t kn_skip_to(uint32_t pfn, uint64_t align)
{
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);

	return (KN_ALIGN_UP(at, align) - at) >> KN_PAGE_SHIFT;
}

/* extent.c; with the lock. */

/* Free address space in and out of the lists; added, joined with its neighbours. */
void kn_extent_list(struct kn_arena *a, uint32_t pfn, uint64_t pages);
void kn_extent_unlist(struct kn_arena *a, uint32_t pfn);
void kn_extent_add(struct kn_arena *a, uint32_t pfn, uint64_t pages);

/* Nothing starts inside (@from, @to] any more: walks there go on at @at. */
void kn_walks_skip(struct kn_arena *a, uintptr_t from, uintptr_t to,
		   uintptr_t at);

/*
 * Address space of @pages from free extents, or from behind the last area;
 * KN_PFN_NONE: there is none, or the arena must grow first.
 */
uint32_t kn_extents_take(struct kn_arena *a, uint64_t pages, uint64_t align);
uint32_t kn_top_take(struct kn_arena *a, uint64_t pages, uint64_t align);

/*
 * Makes room for @pages more behind the top.  Takes the lock, and drops it over
 * the system calls; one thread at a time grows an arena.  -EAGAIN: another did.
 */
int kn_arena_grow(struct kn_arena *a, uint64_t pages, uint64_t align);

/* By steps: unmaps what was grown behind the last area.  Takes the lock.  Bytes. */
uint64_t kn_arena_unmap_free(struct kn_arena *a);

/* vmap.c; with the lock. */

/* Files what was freed while the lock was taken. */
void kn_arena_settle(struct kn_arena *a);

/* Into the cache of freed areas, and out of it: then it is the caller's. */
void kn_cached_add(struct kn_arena *a, struct page *area);
void kn_cached_del(struct kn_arena *a, struct page *area);

/*
 * Takes the first @pages, fewer than were asked for, off a cached area; the rest
 * stays cached, with the guard, wherever that is.
 */
void kn_cached_cut(struct kn_arena *a, struct page *area, uint64_t pages);

/* Counts areas that are used, by differences. */
static inline void kn_arena_count(struct kn_arena *a, uint64_t pages,
				  uint64_t areas)
{
	kn_store(&a->used_pages, a->used_pages + pages);
	kn_store(&a->used_areas, a->used_areas + areas);
}

/* vmap.c; without the lock. */

/* The same of pages of an area that changes. */
void kn_arena_use(struct kn_arena *a, uint64_t pages);

/*
 * Pages that are used.  What is freed was counted as used before, so it is read
 * first: acquire, and the difference is never below 0.
 */
static inline uint64_t kn_arena_used(const struct kn_arena *a)
{
	const uint64_t freed = kn_load_acquire(&a->freed_pages);

	return kn_load(&a->used_pages) - freed;
}

/*
 * Puts the guard behind @nr pages; it may be there from the last use.  False
 * when an old one inside cannot be removed.
 */
bool kn_area_guard(struct page *area, uint64_t nr);

#endif
