/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/kmalloc.h - kmalloc and kfree for the layers above */
#ifndef KN_SLAB_KMALLOC_H
#define KN_SLAB_KMALLOC_H

#include "alloc/slab/cache.h"
#include "numa/hot.h"

/* kmalloc for 1 to KMALLOC_MAX_CACHE_SIZE bytes, after start-up. */
void *kn_kmalloc_alloc(size_t size, gfp_t gfp, int nid);

/* Frees @p, an object of @s, past the fast path. */
void kn_free_object(struct kmem_cache *s, void *p);

/* Bytes of the object @p that its owner asked for, as far as is known. */
size_t kn_object_used(const void *p);

/*
 * The object @p stays where it is and is used for @size bytes, which it has, from
 * here on; with @zero what comes to them, and what is behind them, is zeroed.
 */
void kn_object_resize(void *p, size_t size, bool zero);

/* What kfree() leaves over; @call is the name for reports. */
kn_slow void kn_free_slow(const void *p, const char *call);

/*
 * What a free of @p by @call says of a @size that cannot be right: more than its
 * @room, or less than was asked for, where that is known.  Without room @p itself
 * is wrong, which the free says.
 */
kn_slow void kn_check_size(const void *p, size_t size, size_t room,
			   const char *call);

#endif
