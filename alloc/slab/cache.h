/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/cache.h - caches, from creation to destruction */
#ifndef KN_SLAB_CACHE_H
#define KN_SLAB_CACHE_H

#include "alloc/slab/slab.h"

#define KN_KMALLOC_SMALL_MAX 1024

/* What kn_hot.small_place points to. */
extern uint32_t kn_kmalloc_place[KN_KMALLOC_SMALL_MAX / 16];
/* The cache for each size up to KMALLOC_MAX_CACHE_SIZE: see kn_kmalloc_cache(). */
extern uint8_t kn_kmalloc_class[64 + 64];
extern struct kmem_cache *kn_kmalloc_caches[];
/* The same sizes again, kmalloc-cg-*: objects that remember. */
extern struct kmem_cache **const kn_kmalloc_cg_caches;

/* Makes the kmalloc caches.  0, or -ENOMEM. */
int kn_cache_init(void);

/* The class that serves @size, 1..KMALLOC_MAX_CACHE_SIZE. */
static inline struct kmem_cache *kn_kmalloc_cache(size_t size)
{
	const size_t i = size <= KN_KMALLOC_SMALL_MAX ?
		(size - 1) / 16 : 64 + (size - 1) / 128;

	return kn_kmalloc_caches[kn_kmalloc_class[i]];
}

/* Where slabs of so many objects have their vectors from; never debugged. */
struct kmem_cache *kn_vector_cache(uint32_t nr_objects);

static inline struct kmem_cache *kn_kmalloc_cg_cache(size_t size)
{
	const size_t i = size <= KN_KMALLOC_SMALL_MAX ?
		(size - 1) / 16 : 64 + (size - 1) / 128;

	return kn_kmalloc_cg_caches[kn_kmalloc_class[i]];
}

/*
 * An object of @s when the fast path declined: for kernel node id @nid or
 * NUMA_NO_NODE.  Zeroed if @gfp says so.  NULL with errno.
 */
void *kn_cache_alloc_slow(struct kmem_cache *s, gfp_t gfp, int nid);

/*
 * The same for an object of @s, which is larger, that is asked for as @size: a
 * guarded or debugged object knows that.
 */
void *kn_cache_alloc_sized(struct kmem_cache *s, size_t size, gfp_t gfp,
			   int nid);

/* False, with errno EINVAL, for flags that mean nothing.  Warns of odd ones. */
bool kn_cache_gfp_usable(const struct kmem_cache *s, gfp_t gfp);

/* What every failing allocation does: counts, warns, sets errno.  NULL. */
void *kn_alloc_failed(const char *what, size_t size, gfp_t gfp, int nid);

/*
 * Called by kmem_cache_destroy() before it looks for live objects: waits until
 * deferred frees are done, and for readers of a SLAB_TYPESAFE_BY_RCU cache; that
 * flag is taken off, since its slabs may leave at once from then on.
 */
extern void (*kn_destroy_hook)(struct kmem_cache *s);

/*
 * Takes objects back from all magazines and depots and empty slabs from all
 * caches.
 */
void kn_caches_reclaim(void);

/* Flushes all depots and reaps all empty slabs, but leaves magazines alone. */
void kn_caches_reap(void);

/* What a depot may keep of a cache over a tick, in bytes; UINT64_MAX: any. */
extern uint64_t kn_depot_keep_bytes;

/* Flushes what depots did not need since the last call, reaps empty slabs. */
void kn_caches_trim(void);

/* Calls @fn for each live cache, the list lock held. */
void kn_cache_each(void (*fn)(struct kmem_cache *s, void *arg), void *arg);

void kn_cache_lock_all(void);
void kn_cache_unlock_all(void);
void kn_cache_reset(void);

#endif
