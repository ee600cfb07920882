/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/kmalloc.h - kmalloc and kfree for the layers above */
#ifndef KN_SLAB_KMALLOC_H
#define KN_SLAB_KMALLOC_H

#include "alloc/slab/cache.h"

/* kmalloc for 1 to KMALLOC_MAX_CACHE_SIZE bytes, after start-up. */
void *kn_kmalloc_alloc(size_t size, gfp_t gfp, int nid);

/*
 * The fast path of every free: pushes @p, at offset @off of the span, an object
 * of the cache @id.  False when the slow path has to.
 */
static kn_always_inline bool kn_push_object(const void *p, uintptr_t off,
					    uint32_t id)
{
	/* Magazines of ids that are no cache exist and never open. */
	return likely(id < KN_NR_MAGAZINES) &&
	       kn_rseq_push(id,
			    kn_region_row(off >> kn_hot.window_shift), p) ==
		       KN_RSEQ_DONE;
}

/*
 * What the map says of offset @off of the span.  A whole register: compared as
 * 16 bits it would cost a length-changing prefix.
 */
static kn_always_inline uint32_t kn_map_id(uintptr_t off)
{
	uint32_t id = kn_hot.map[off >> KN_PAGE_SHIFT];

	__asm__("" : "+r" (id));
	return id;
}

/* What kfree() leaves over; @call is the name for reports. */
kn_slow void kn_free_slow(const void *p, const char *call);

#endif
