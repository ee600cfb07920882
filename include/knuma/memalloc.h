/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/memalloc.h - what all allocations of a thread may do, for a while
 *
 *   unsigned int flags = memalloc_nofs_save();
 *
 *   ... code that allocates with GFP_KERNEL and holds a lock that a shrinker
 *   of the program's needs ...
 *   memalloc_nofs_restore(flags);
 *
 * Scopes belong to the calling thread, and to signal handlers that interrupt it;
 * they nest.  A scope is left with what its save returned, innermost first.
 */
#ifndef KNUMA_MEMALLOC_H
#define KNUMA_MEMALLOC_H

#include <knuma/gfp.h>
#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * memalloc_noio_save - allocations are without __GFP_IO and __GFP_FS from now on
 *
 * Shrinkers see it in their gfp_mask.
 *
 * Context: any thread, any signal handler that restores it before it returns.
 * Return:  what memalloc_noio_restore() wants.
 * Source:  Linux include/linux/sched/mm.h, as all that follow.
 */
unsigned int memalloc_noio_save(void) KN_SYM(memalloc_noio_save) KN_MUST_CHECK;

/**
 * memalloc_noio_restore - end what memalloc_noio_save() began
 * @flags: its result
 */
void memalloc_noio_restore(unsigned int flags) KN_SYM(memalloc_noio_restore);

/**
 * memalloc_nofs_save - allocations are without __GFP_FS from now on
 *
 * Shrinkers see it in their gfp_mask.
 *
 * Context: as memalloc_noio_save().
 * Return:  what memalloc_nofs_restore() wants.
 */
unsigned int memalloc_nofs_save(void) KN_SYM(memalloc_nofs_save) KN_MUST_CHECK;

/**
 * memalloc_nofs_restore - end what memalloc_nofs_save() began
 * @flags: its result
 */
void memalloc_nofs_restore(unsigned int flags) KN_SYM(memalloc_nofs_restore);

/**
 * memalloc_noreclaim_save - allocations reclaim nothing from now on
 *
 * For code that frees memory and needs some to do it: allocations call no
 * shrinkers, take nothing back from other CPUs, and may use all of the reserve,
 * as with __GFP_MEMALLOC.  They may still ask the system for memory.
 *
 * Context: as memalloc_noio_save().
 * Return:  what memalloc_noreclaim_restore() wants.
 */
unsigned int memalloc_noreclaim_save(void)
	KN_SYM(memalloc_noreclaim_save) KN_MUST_CHECK;

/**
 * memalloc_noreclaim_restore - end what memalloc_noreclaim_save() began
 * @flags: its result
 */
void memalloc_noreclaim_restore(unsigned int flags)
	KN_SYM(memalloc_noreclaim_restore);

/**
 * current_gfp_context - flags as the scopes of the calling thread make them
 * @gfp: flags of an allocation
 */
gfp_t current_gfp_context(gfp_t gfp) KN_SYM(current_gfp_context);

KN_END_DECLS

#endif /* KNUMA_MEMALLOC_H */
