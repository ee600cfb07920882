/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/large.h - large objects: runs of pages
 *
 * What kmalloc, malloc and alloc_pages_exact() give above the slabs.  Runs of
 * 1 to 16 pages, and of four lengths in each doubling up to 64, have magazines
 * and depots of their own, so that most allocations and frees are those of a
 * small object:
 *
 *   kmalloc -> magazine -> depot -> zone: a block cut into runs
 *   kfree   -> magazine -> depot -> zone
 *
 *   R1  A run in its magazine or depot has its descriptor as a run in use has it:
 *       KN_PAGE_LARGE, and its length.  It is not known to be zero.
 *   R2  The map has the id of a run's length from the time it is cut until it is
 *       back in its zone, so that a free puts it into the magazine and asks
 *       nothing; but KN_ID_LARGE while a free has more to do: a charge, marks of
 *       pages that are away, free_pages_exact().
 *   R3  With init_on_alloc, init_on_free, quarantine, sample_bytes or check =
 *       full that is always so, and a run that is free has KN_ID_NONE: no call
 *       ends in a magazine alone, and a second free is found at once.
 *
 * All other lengths come from the zone, and go there.
 *
 * Design: docs/design/page.md.
 */
#ifndef KN_PAGE_LARGE_H
#define KN_PAGE_LARGE_H

#include "alloc/base/bits.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/page_alloc.h"

/* The longest run with a magazine, in pages. */
#define KN_RUN_MOST 64u

/*
 * Places, on node 0, of the magazines that serve 1 to KN_RUN_MOST pages; 0, of
 * one that never opens, before start-up and under R3.
 */
extern uint32_t kn_run_place[KN_RUN_MOST];

/* @depot: KN_NR_RUNS arrays of one for each node. */
void kn_large_init(struct kn_depot *depot);

/*
 * Fills kn_run_place, a step of the start: release, who finds a place may look at
 * all that was made before.
 */
void kn_large_open(void);

/* The place for @size bytes, 1 at least; 0: none, or the rcu budget says no. */
static inline uint32_t kn_large_place(size_t size)
{
	const size_t at = (size - 1) >> KN_PAGE_SHIFT;

	return likely(at < KN_RUN_MOST && !kn_load(&kn_large_refused)) ?
		       kn_load_hot(&kn_run_place[at]) :
		       0;
}

/* The shortest length with a magazine for @nr pages, 1 to KN_RUN_MOST. */
static inline unsigned kn_run_class(uint64_t nr)
{
	unsigned shift;

	if (nr <= 16)
		return (unsigned)nr - 1;
	shift = kn_log2(nr - 1) - 2;
	return 4 + 4 * shift + (unsigned)((nr - 1) >> shift);
}

/* Its pages. */
static inline uint32_t kn_run_pages(unsigned class)
{
	const unsigned shift = class / 4 - 2;

	return class < 16 ? class + 1 : (class - 4 * shift - 3) << shift;
}

/* Bytes of a large object of @size bytes: all of its run. */
size_t kn_large_bytes(size_t size);

/*
 * A run of @bytes, rounded up to pages and no more, by the zonelist of @node
 * (dense; only that one with __GFP_THISNODE): type KN_PAGE_LARGE.  Aligned to
 * @align (a power of two, from a page to the largest block) and to the largest
 * power of two that divides @bytes.  Zeroed if @gfp says so.  NULL when there is
 * none.
 */
void *kn_large_alloc(size_t bytes, size_t align, gfp_t gfp, int node);
void kn_large_free(struct page *page, bool may_block);

/*
 * The next free of the run @page, in use, is for kn_large_free(): what has to be
 * done then is in its descriptor.
 */
void kn_large_hold(const struct page *page);

/* What has the magazines for runs of @nr pages; NULL: there are none. */
struct kn_magcache *kn_large_cache(uint64_t nr);

/* Gives depots back: all, or what was not needed. */
void kn_large_trim(bool all);

#endif
