/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/kmalloc.h - kmalloc and kfree for the layers above */
#ifndef KN_SLAB_KMALLOC_H
#define KN_SLAB_KMALLOC_H

#include "alloc/slab/cache.h"

/* kmalloc for 1 to KMALLOC_MAX_CACHE_SIZE bytes, after start-up. */
void *kn_kmalloc_alloc(size_t size, gfp_t gfp, int nid);

/*
 * The fast path of every free: pushes @p, at offset @off of the span, an object
 * of the cache with @key.  False when the slow path has to.
 */
static kn_always_inline bool kn_push_object(const void *p, uintptr_t off,
					    uint32_t key)
{
	/* Magazines of ids that are no cache exist and never open. */
	return likely(key < KN_NR_MAGAZINES * KN_KEY_STEP) &&
	       kn_rseq_push(key,
			    kn_region_row(off >> kn_hot.window_shift), p) ==
		       KN_RSEQ_DONE;
}

/* Flags that a fast path declines: work to do, and bits that mean nothing. */
#define KN_GFP_SLOW (__GFP_ZERO | ~__GFP_BITS_MASK)

/*
 * The key of the page of @p, which is in the span.  A whole register: compared
 * as 16 bits it would cost a length-changing prefix.
 */
static kn_always_inline uint32_t kn_key_of(const void *p)
{
	uint32_t key = ((const uint16_t *)kn_hot.map)[(uintptr_t)p >> KN_PAGE_SHIFT];

	__asm__("" : "+r" (key));
	return key;
}

/* What kfree() leaves over; @call is the name for reports. */
kn_slow void kn_free_slow(const void *p, const char *call);

#endif
