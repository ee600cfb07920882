/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/slab/harden.h - what is done to an object between two owners
 *
 *   free -> wiped (init_on_free) -> waits (quarantine) -> magazine ... slab
 *   slab -> in random order (random_order) -> checked (check_on_reuse) -> owner
 *
 *   H1  In a cache that `wipes`, what magazines, depots and slabs hold is zero:
 *       slabs are made of zeroed pages, and every way in wipes.  So what is not
 *       zero when it is given out was written to after its free.
 *   H2  A cache with a constructor, or whose readers may look at free objects,
 *       does not wipe; its slabs are wiped when they are given back.
 *   H3  A free that takes an object out of the quarantine has it in hand until it
 *       is where it is freed to.  Where its cache can be destroyed, it counts in
 *       its stripe's hand before it leaves the place; the place says whether.
 *       So who has emptied the places and then seen each hand empty has all
 *       objects of a cache that is not in use.
 *   H4  Fast paths know nothing of it: they are closed, for allocations by
 *       kn_allocs_are_slow(), for frees by an empty span in kn_hot.
 *
 * Design: docs/design/hardening.md.
 */
#ifndef KN_SLAB_HARDEN_H
#define KN_SLAB_HARDEN_H

#include "alloc/slab/slab.h"

/* Frees have more to do than the fast path does.  Set at start-up. */
extern bool kn_harden_frees;

/* Reads the settings; false: no memory for the quarantine. */
bool kn_harden_init(void);

/*
 * Frees what is at @p, an address of the span, if it is in a slab.  False: it is
 * not, or is debugged, and goes the usual way.  Any context.
 */
bool kn_harden_free(void *p);

/* Reports the first byte of @obj, which is given out, that is not zero. */
void kn_harden_check(const struct kmem_cache *s, void *obj);

/* @obj of @s goes back by another way than kn_harden_free(). */
void kn_harden_wipe(const struct kmem_cache *s, void *obj);

/* Changes the order of @n objects. */
void kn_harden_shuffle(void **obj, uint32_t n);

/* Frees what waits. */
void kn_harden_flush(void);

/* Waits, behind that, for other threads that have something in hand. */
void kn_harden_settle(void);

/* In a fork child: has no other threads. */
void kn_harden_reset(void);

/* Whether @obj waits. */
bool kn_harden_waits(const void *obj);

#endif
