/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/shrinker.h - calling the application's shrinkers
 *
 * The list is walked by sequence numbers: the lock is held to find the next one
 * and to count the calls that are in it, never over a call.  shrinker_free()
 * takes its shrinker off the list and waits until that count is 0.
 */
#ifndef KN_CORE_SHRINKER_H
#define KN_CORE_SHRINKER_H

#include <knuma/gfp.h>
#include <stdbool.h>

#define KN_SHRINK_ALL_NODES (-1)
/* A quarter of what could go; each less twice as much; 0 is all of it. */
#define KN_SHRINK_PART	    3u

/*
 * Asks all shrinkers, of kernel node id @nid or of all nodes.  How many objects
 * were freed; 0 inside of a shrinker.
 *
 * Context: no lock held; runs code of the application.
 */
unsigned long kn_shrink(gfp_t gfp, int nid, unsigned part);

/* Gives the layers below a way to call it. */
void kn_shrinkers_init(void);

void kn_shrinkers_lock(void);
void kn_shrinkers_unlock(void);
/* In the child: calls in other threads are no more. */
void kn_shrinkers_reset(void);

#endif
