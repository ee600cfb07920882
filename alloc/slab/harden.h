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
 *       objects of a cache that is not in use.  Places are slots of a magazine
 *       that each CPU has, KN_ID_QUARANTINE: drains empty them.
 *   H4  Fast paths know nothing of it: they are closed, for allocations by
 *       kn_allocs_are_slow(), for frees by an empty span in kn_hot.
 *
 * Design: docs/design/hardening.md.
 */
#ifndef KN_SLAB_HARDEN_H
#define KN_SLAB_HARDEN_H

#include "alloc/slab/cache.h"
#include "alloc/slab/zero.h"

/*
 * Of kmem_cache.waits: that objects wait; and, in bit 0, that H3 speaks of them.
 */
#define KN_WAITS_COUNTED 1
#define KN_WAITS_HERE	 2

/* Frees have more to do than the fast path does.  Set at start-up. */
extern bool kn_harden_frees;

/* Reads the settings, before there are caches. */
void kn_harden_init(void);

/*
 * What is done to objects of @s, whose other settings and sizes are known; with
 * @patterns its debugging writes to free objects.
 */
void kn_harden_cache(struct kmem_cache *s, bool patterns);

/* The fast paths below may run.  The last step of the start. */
void kn_harden_open(void);

/* @obj, which is given out and was wiped; what is written in it is reported. */
void *kn_harden_checked(void *obj, size_t size);
kn_slow void *kn_harden_spoilt(void *obj);

/* Where kmalloc finds objects that are looked at, by (size - 1) / 16. */
struct kn_looked {
	uint32_t place;
	uint32_t bytes;
};
extern struct kn_looked kn_looked[KN_KMALLOC_SMALL_MAX / 16];
extern size_t kn_looked_most; /* size; 0: none is, or not by a fast path */

/*
 * The fast path of kmalloc(@size) where objects are looked at; NULL: it declined.
 * The object is zero.
 */
static kn_always_inline void *kn_harden_alloc(size_t size)
{
	const struct kn_looked *l;
	void *obj;

	if (size - 1 >= kn_load_acquire(&kn_looked_most))
		return NULL;
	l = &kn_looked[(size - 1) / 16];
	obj = kn_rseq_pop(&kn_hot, l->place);
	if (unlikely(!kn_rseq_popped(obj)))
		return NULL;
	if (unlikely(l->bytes > KN_ZERO_HERE))
		return kn_harden_checked(obj, l->bytes);
	return likely(kn_is_zero(obj, l->bytes)) ? obj : kn_harden_spoilt(obj);
}

/*
 * The same of a cache, for kernel node id @nid or NUMA_NO_NODE.  Zero if it
 * checks.
 */
void *kn_harden_pop(const struct kmem_cache *s, int nid);

enum kn_hardened {
	KN_HARDEN_NOT,	/* it goes the usual way */
	KN_HARDEN_FAST, /* it, or what waited in its place, is in a magazine */
	KN_HARDEN_SLOW, /* the magazine did not take it */
};

/*
 * Frees what is at @p if it is in a slab that is not debugged.  Any context.
 */
enum kn_hardened kn_harden_free(void *p);

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
