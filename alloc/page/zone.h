/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/zone.h - the buddy allocator of one node
 *
 * Blocks of 2^0 .. 2^10 pages, aligned to their size, in the page part of the
 * node's window, which grows from the bottom.  Free blocks are warm or cold:
 *
 *   cold   fresh from the operating system or given back to it: no memory
 *          behind it, reads as zero
 *   warm   has been handed out: memory behind it, perhaps not all of it
 *   pool   reserved huge pages (the tunable hugetlb): memory behind all of it,
 *          for good, since a page that is given back may be gone when it is
 *          touched again
 *
 * Blocks of the pool are taken first, and not by a fork child, where a write to
 * them can end the process.  Then warm ones, which trimming gives back.  Only blocks of
 * the same kind merge, so that what is known about memory and content is never
 * lost to a neighbour; a purge makes kinds equal again.  In the part that asks
 * for huge pages, cold memory turns warm 2 MiB at a time, since that is how it
 * is faulted.
 *
 *   Z1  A free block is on exactly one list, that of its kind and order, and
 *       its first page says so.
 *   Z2  nr_free = the pages on all lists; nr_warm = those on the warm ones;
 *       nr_loose = those that can go back as they are; nr_parts = those that are
 *       parts of a huge page, and not too small to split it for them;
 *       nr_blocks = the blocks on each list;
 *       the list of a block is that of the mapping behind it.
 *   Z3  No two free buddies of one kind and order below 10 exist.
 *   Z4  nr_sure counts the pages of warm and pool blocks that are surely in memory.  A
 *       call that may not wait gets only such; only __GFP_HIGH takes the last
 *       `reserve` of them, and who may wait and finds nothing else.
 *
 * A free that cannot get the lock and may not wait leaves the block on a
 * lock-free stack, which the next holder of the lock empties.
 *
 * Design: docs/design/page.md.
 */
#ifndef KN_PAGE_ZONE_H
#define KN_PAGE_ZONE_H

#include <knuma/gfp.h>

#include "alloc/base/lock.h"
#include "alloc/page/frame.h"

#define KN_NR_ORDERS (KN_MAX_ORDER + 1)

enum kn_zone_kind {
	KN_ZONE_COLD,
	KN_ZONE_WARM,
	KN_ZONE_POOL,
	KN_NR_ZONE_KINDS
};

struct kn_zone {
	struct kn_lock lock;
	uint32_t cold[KN_NR_ORDERS];	/* heads; lock */
	uint32_t warm[KN_NR_ORDERS];
	uint32_t pool[KN_NR_ORDERS];
	uint32_t nr_blocks[KN_NR_ZONE_KINDS][KN_NR_ORDERS]; /* lock */
	uint64_t nr_free, nr_warm, nr_sure; /* pages; lock */
	uint64_t nr_loose, nr_parts; /* of the warm ones, to purge; lock */
	uint64_t least_warm;	/* lowest nr_warm since the last trim; lock */
	uint32_t isolated;	/* list of blocks being purged; lock */
	ck_stack_t deferred;	/* frees that could not wait */

	uintptr_t grown; /* end of the usable prefix; who has set growing */
	uint64_t managed;	/* pages of it, without holes; atomic */
	uint64_t nr_pool;	/* of those, pages of the pool; lock */
	uint32_t growing;	/* somebody grows or shrinks it; set by lock */
	uint32_t pool_shut;	/* inherited by a fork: not given out; lock */
	uint32_t filling;	/* somebody fills the reserve; atomic */
	uint64_t may_fault;	/* pages left of the last look; lock */
	uint64_t warmed;	/* pages that turned warm since the start; lock */
} kn_cacheline;

extern struct kn_zone kn_zones[KN_MAX_NODES];

void kn_zone_init(int node);

/*
 * A block of @order on @node, or KN_PFN_NONE.  Its flags say what is known of
 * content and memory.  Waits, and grows the zone, only with
 * __GFP_DIRECT_RECLAIM.
 */
uint32_t kn_zone_alloc(int node, unsigned order, gfp_t gfp);

/* As many blocks of @order as there are, up to @n; never grows. */
uint32_t kn_zone_alloc_bulk(int node, unsigned order, gfp_t gfp,
			    uint32_t *pfn, uint32_t n);

/*
 * Up to @n runs of @nr pages, one behind the other in blocks as large as they
 * fill, each aligned to the largest power of two that divides @nr; never grows.
 */
uint32_t kn_zone_alloc_runs(int node, uint32_t nr, gfp_t gfp, uint32_t *pfn,
			    uint32_t n);

/*
 * Takes @n runs or blocks of @nr pages of one node back; what is known of each is
 * in its descriptor.  Never waits.
 */
void kn_zone_free_runs(const uint32_t *pfn, uint32_t n, uint32_t nr);

/* Takes a block back; @flags is what is known: KN_PAGE_ZERO, KN_PAGE_SURE. */
void kn_zone_free(uint32_t pfn, unsigned order, uint8_t flags, bool may_block);

/* @nr pages from @pfn on, in as few blocks as alignment allows. */
void kn_zone_free_range(uint32_t pfn, uint32_t nr, uint8_t flags,
			bool may_block);

/*
 * Whether @node may fault @pages more without running into its end, by its free
 * memory when last looked at.  Always on a machine of one node.
 */
bool kn_zone_take_room(int node, uint64_t pages);

/* The least block that a trim takes, but where all has to go: 32 KiB. */
#define KN_PART_ORDER 3

/*
 * Whether more than three times as much of the huge pages in use is free, in blocks
 * of that size, as is used: then a trim takes it out of them, and they are no huge
 * pages any more.
 */
static inline bool kn_zone_is_hollow(const struct kn_zone *z)
{
	const uint64_t used = kn_load(&z->managed) - kn_load(&z->nr_free);

	return kn_load(&z->nr_parts) / 3 > used;
}

/* Free pages that a trim gives back.  A hint without the lock. */
static inline uint64_t kn_zone_idle(const struct kn_zone *z)
{
	return kn_load(&z->nr_loose) +
	       (kn_zone_is_hollow(z) ? kn_load(&z->nr_parts) : 0);
}

/*
 * Gives warm memory that was not needed since the last call back to the
 * operating system, at most @most bytes or a quarter of it; with @all whatever is
 * free.  Bytes.
 */
uint64_t kn_zone_trim(int node, uint64_t most, bool all);

/* All that is free in blocks of KN_PART_ORDER and more.  Bytes. */
uint64_t kn_zone_trim_large(int node);

/*
 * By steps, see numa/span.h: unmaps whole blocks at the end of what has grown that
 * are free and, but with @all, were purged or never used.  Bytes.
 */
uint64_t kn_zone_shrink(int node, bool all);

/*
 * By steps: has every part unmap what is free, for who was refused.  Set by
 * alloc/core; true when that gave some.  Context: as kn_zone_alloc() that waits.
 */
extern bool (*kn_give_back_hook)(void);

static inline bool kn_give_back(void)
{
	bool (*hook)(void) = kn_load(&kn_give_back_hook);

	return kn_span.by_steps && hook && hook();
}

/* What a zone has at one moment. */
struct kn_zone_levels {
	uint32_t free[KN_NR_ZONE_KINDS][KN_NR_ORDERS]; /* blocks */
	uint32_t isolated[KN_NR_ORDERS];	       /* blocks being purged */
	uint64_t managed, pool;			       /* pages */
};
void kn_zone_levels(int node, struct kn_zone_levels *l);

/* Checks Z1-Z4; for tests.  False, with a message, when one does not hold. */
bool kn_zone_verify(int node);

void kn_zones_lock_all(void);
void kn_zones_unlock_all(void);
/*
 * In a fork child: locks are free, blocks that were being purged are back, those
 * of the pool are shared with the parent and not given out any more.
 */
void kn_zones_reset(void);

#endif
