/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/grow.h - what a zone gets of its node: address space, and memory
 *
 * For alloc/page.  Nobody holds the zone's lock.
 */
#ifndef KN_PAGE_GROW_H
#define KN_PAGE_GROW_H

#include "alloc/page/zone.h"

/*
 * The least step of growth: address space costs a system call, not memory.  Each
 * step is a multiple of the largest block, so no block ever straddles two.
 */
#define KN_GROW_LEAST (KN_PAGE_SIZE << KN_MAX_ORDER)

/*
 * One thread grows a zone, the others wait for it, since what it adds is for
 * them, too, and get -EAGAIN.  A limit on the process may refuse a large step
 * and grant a small one.
 */
int kn_zone_grow(struct kn_zone *z, int node);

/*
 * The caller is who grows or shrinks @z until it clears z->growing; false when
 * another thread is.
 */
bool kn_zone_claim_growth(struct kn_zone *z);

/* False when the node is (nearly) full, and its pool of huge pages is empty. */
bool kn_zone_has_room(struct kn_zone *z, int node, unsigned order);

/* Faults in what GFP_ATOMIC may rely on. */
void kn_zone_fill_reserve(struct kn_zone *z);

#endif
