/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/kmalloc.h - kmalloc and kfree for the layers above */
#ifndef KN_SLAB_KMALLOC_H
#define KN_SLAB_KMALLOC_H

#include "alloc/slab/cache.h"

/* kmalloc for 1 to KMALLOC_MAX_CACHE_SIZE bytes, after start-up. */
void *kn_kmalloc_alloc(size_t size, gfp_t gfp, int nid);

/* Flags that a fast path declines: work to do, and bits that mean nothing. */
#define KN_GFP_SLOW (__GFP_ZERO | ~__GFP_BITS_MASK)

/* Whether @p is in the span; false before start-up. */
static kn_always_inline bool kn_hot_has(const void *p)
{
	return (uintptr_t)p - kn_hot.base < kn_hot.size;
}

/* The place of the magazine that @p, which is in the span, goes back to. */
static kn_always_inline uint32_t kn_place_of(const void *p)
{
	return ((const uint32_t *)kn_hot.map)[(uintptr_t)p >> KN_PAGE_SHIFT];
}

/* What kfree() leaves over; @call is the name for reports. */
kn_slow void kn_free_slow(const void *p, const char *call);

#endif
