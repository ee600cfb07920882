/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/reclaim.h - what an allocation does that found nothing
 *
 *	struct kn_reclaim r = {.gfp = gfp, .node = node};
 *
 *	do
 *		p = try_to_get_it();
 *	while (!p && kn_reclaim_more(&r));
 *
 * A round has two steps, and a try after each: what magazines, depots and empty
 * slabs hold back; then what shrinkers free.  The flags say how many rounds:
 * none, one, a few, or with __GFP_NOFAIL as many as it takes, with sleeps between
 * them.
 */
#ifndef KN_PAGE_RECLAIM_H
#define KN_PAGE_RECLAIM_H

#include <knuma/gfp.h>

#include "alloc/base/compiler.h"

struct kn_reclaim {
	gfp_t gfp;
	int node;	 /* dense; which shrinkers are asked about */
	uint64_t rounds; /* begun */
	bool begun;	 /* the second step of the last one is due */
};

/*
 * Whether to try again, after a step of reclaim.  Leaves errno alone.
 *
 * Context: no lock held; with __GFP_DIRECT_RECLAIM it waits, and runs code of
 *          the application.
 */
bool kn_reclaim_more(struct kn_reclaim *r);

/* __GFP_DIRECT_RECLAIM; without it, __GFP_NOFAIL is warned of once. */
bool kn_may_reclaim(gfp_t gfp);

/* Rounds that __GFP_RETRY_MAYFAIL stands for. */
#define KN_ROUNDS_RETRY_MAYFAIL 4

/*
 * The first step, set by alloc/slab: takes objects back from all magazines and
 * depots, and empty slabs from all caches.
 */
extern void (*kn_caches_hook)(void);

/*
 * The second, set by alloc/core: asks shrinkers about kernel node id @nid.  True
 * when they freed anything.
 */
extern bool (*kn_shrink_hook)(gfp_t gfp, int nid);

#endif
