/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/buddy.h - the free lists of a zone: blocks that split and merge
 *
 * For alloc/page.  What Z1 to Z4 in zone.h say is kept here.  The caller holds
 * the zone's lock, but where it says otherwise.
 */
#ifndef KN_PAGE_BUDDY_H
#define KN_PAGE_BUDDY_H

#include "alloc/base/bits.h"
#include "alloc/page/zone.h"

#define KN_HUGE_ORDER (kn_log2(KN_HUGE_SIZE) - KN_PAGE_SHIFT)

/*
 * A block of @order, off the lists; KN_PFN_NONE when there is none that @gfp may
 * have.  With @last also one of the reserve for who may wait.
 */
uint32_t kn_buddy_take(struct kn_zone *z, unsigned order, gfp_t gfp, bool last);

/*
 * Takes a free block of at least @order as it is, whole: a part of it would merge
 * with the rest again, of which nothing is known.  Warm ones first.
 */
uint32_t kn_buddy_take_whole(struct kn_zone *z, unsigned order);

/* Of the smallest warm or pool block of order @least or more, the order. */
unsigned kn_buddy_smallest(const struct kn_zone *z, unsigned least, gfp_t gfp);

/* Lists a block, merged with its free buddies; @flags tell its kind. */
void kn_buddy_free(struct kn_zone *z, uint32_t pfn, unsigned order,
		   uint8_t flags);
void kn_buddy_free_range(struct kn_zone *z, uint32_t pfn, uint32_t nr,
			 uint8_t flags);

/* Of the first block of @nr pages from @pfn on, as large as alignment allows. */
static inline unsigned kn_buddy_order(uint32_t pfn, uint32_t nr)
{
	const unsigned order = KN_MIN(kn_log2(nr), (unsigned)KN_MAX_ORDER);

	return pfn ? KN_MIN(order, (unsigned)__builtin_ctz(pfn)) : order;
}

/* Lists what was freed while the lock was taken. */
void kn_buddy_take_deferred(struct kn_zone *z);

/* Takes a listed block off its list. */
void kn_buddy_unlist(struct kn_zone *z, uint32_t pfn);

/*
 * With several nodes, memory is faulted only as far as the node was seen to
 * have some; with one, the kernel's own accounting is the answer.  The lock is
 * not needed.
 */
bool kn_buddy_may_warm_up(const struct kn_zone *z, unsigned order);

/* Whether memory comes and goes in huge pages there.  The lock is not needed. */
bool kn_buddy_is_huge_part(const struct kn_zone *z, uint32_t pfn);

/* Z1 to Z4; false, with a message, when one does not hold. */
bool kn_buddy_verify(struct kn_zone *z);

#endif
