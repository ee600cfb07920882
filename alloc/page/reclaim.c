/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/reclaim.h"

#include <errno.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/bits.h"
#include "alloc/base/lock.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/page_alloc.h"
#include "alloc/page/scope.h"
#include "numa/topology.h"

/* The longest sleep between two rounds; each takes from all other threads. */
#define NAP_MS_MAX 16

void (*kn_caches_hook)(void);
bool (*kn_shrink_hook)(gfp_t gfp, int nid);

static void take_back(void)
{
	void (*hook)(void) = kn_load(&kn_caches_hook);

	if (!hook || !kn_scope_reclaims())
		return;
	hook();
	/* Slabs that were given back are in the page lists. */
	kn_page_drain();
}

/* But not for malloc, which may be called where shrinkers may not. */
static bool shrink(const struct kn_reclaim *r)
{
	bool (*hook)(gfp_t, int) = kn_load(&kn_shrink_hook);

	if (!hook || r->gfp & KN_GFP_MALLOC || !kn_scope_reclaims() ||
	    !hook(r->gfp, kn_topo.kernel_id[r->node]))
		return false;
	/* What shrinkers freed is in magazines. */
	take_back();
	return true;
}

/* Nothing else says that there is memory: frees wake nobody. */
static void nap(uint64_t rounds)
{
	static uint32_t never;

	kn_sleep_while(&never, 0, (long)KN_MIN(rounds, NAP_MS_MAX));
}

static uint64_t rounds_of(gfp_t gfp)
{
	if (gfp & __GFP_NOFAIL)
		return UINT64_MAX;
	if (gfp & __GFP_NORETRY)
		return 0;
	return gfp & __GFP_RETRY_MAYFAIL ? KN_ROUNDS_RETRY_MAYFAIL : 1;
}

bool kn_may_reclaim(gfp_t gfp)
{
	if (gfpflags_allow_blocking(gfp))
		return true;
	if (gfp & __GFP_NOFAIL)
		kn_warn_once(
			"__GFP_NOFAIL without __GFP_DIRECT_RECLAIM may fail");
	return false;
}

/* Whether there was another step. */
static bool step(struct kn_reclaim *r)
{
	if (r->begun) {
		r->begun = false;
		if (shrink(r))
			return true;
	}
	if (r->rounds >= rounds_of(r->gfp))
		return false;
	if (r->rounds && r->gfp & __GFP_NOFAIL)
		nap(r->rounds);
	r->rounds++;
	r->begun = true;
	take_back();
	return true;
}

kn_slow bool kn_reclaim_more(struct kn_reclaim *r)
{
	const int saved_errno = errno;
	const bool more = kn_may_reclaim(r->gfp) && step(r);

	errno = saved_errno;
	return more;
}
