/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/page/scope.h - what a thread has said of all its allocations */
#ifndef KN_PAGE_SCOPE_H
#define KN_PAGE_SCOPE_H

#include <knuma/gfp.h>

#include "alloc/base/compiler.h"

enum kn_scope {
	KN_SCOPE_NOIO = 1,
	KN_SCOPE_NOFS = 2,
	KN_SCOPE_NORECLAIM = 4,
};

/* Of the thread: a mask of the scopes that it is in. */
extern kn_tls unsigned kn_scopes;

static inline gfp_t kn_scope_gfp(gfp_t gfp)
{
	if (likely(!kn_scopes))
		return gfp;
	if (kn_scopes & KN_SCOPE_NOIO)
		gfp &= ~(gfp_t)(__GFP_IO | __GFP_FS);
	if (kn_scopes & KN_SCOPE_NOFS)
		gfp &= ~(gfp_t)__GFP_FS;
	if (kn_scopes & KN_SCOPE_NORECLAIM)
		gfp |= __GFP_MEMALLOC;
	return gfp;
}

/* Whether an allocation may take from others what it lacks. */
static inline bool kn_scope_reclaims(void)
{
	return !(kn_scopes & KN_SCOPE_NORECLAIM);
}

#endif
