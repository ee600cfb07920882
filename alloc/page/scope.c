/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/scope.h"

#include <knuma/memalloc.h>

kn_tls unsigned kn_scopes;

/* The scope, if the thread was not in it already: what restore takes off. */
static unsigned enter(unsigned scope)
{
	const unsigned added = scope & ~kn_scopes;

	kn_scopes |= scope;
	return added;
}

static void leave(unsigned scope, unsigned added)
{
	kn_scopes &= ~(scope & added);
}

unsigned int memalloc_noio_save(void)
{
	return enter(KN_SCOPE_NOIO);
}

void memalloc_noio_restore(unsigned int flags)
{
	leave(KN_SCOPE_NOIO, flags);
}

unsigned int memalloc_nofs_save(void)
{
	return enter(KN_SCOPE_NOFS);
}

void memalloc_nofs_restore(unsigned int flags)
{
	leave(KN_SCOPE_NOFS, flags);
}

unsigned int memalloc_noreclaim_save(void)
{
	return enter(KN_SCOPE_NORECLAIM);
}

void memalloc_noreclaim_restore(unsigned int flags)
{
	leave(KN_SCOPE_NORECLAIM, flags);
}

gfp_t current_gfp_context(gfp_t gfp)
{
	return kn_scope_gfp(gfp);
}
