/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/sheaf.c - objects taken in advance, by one caller */
#include <knuma/slab.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "alloc/slab/kmalloc.h"

struct slab_sheaf {
	struct kmem_cache *cache;
	uint32_t size; /* objects in it */
	uint32_t capacity;
	void *obj[];
};

static struct slab_sheaf *make(struct kmem_cache *s, gfp_t gfp, uint32_t n)
{
	struct slab_sheaf *sheaf =
		kvmalloc(sizeof(*sheaf) + (size_t)n * sizeof(sheaf->obj[0]),
			 gfp & ~(gfp_t)(__GFP_ZERO | __GFP_THISNODE));

	if (!sheaf)
		return NULL;
	sheaf->cache = s;
	sheaf->size = 0;
	sheaf->capacity = n;
	return sheaf;
}

/* Adds objects until there are @size. */
static bool fill(struct slab_sheaf *sheaf, gfp_t gfp, uint32_t size)
{
	const uint32_t more = size - sheaf->size;

	if (!kmem_cache_alloc_bulk(sheaf->cache, gfp, more,
				   sheaf->obj + sheaf->size))
		return false;
	sheaf->size = size;
	return true;
}

struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *s, gfp_t gfp,
					    unsigned int size)
{
	struct slab_sheaf *sheaf;

	if (!size || size > INT_MAX) {
		errno = EINVAL;
		return NULL;
	}
	sheaf = make(s, gfp, size);
	if (sheaf && !fill(sheaf, gfp, size)) {
		kvfree(sheaf);
		return NULL;
	}
	return sheaf;
}

int kmem_cache_refill_sheaf(struct kmem_cache *s, gfp_t gfp,
			    struct slab_sheaf **at, unsigned int size)
{
	struct slab_sheaf *const old = *at;
	struct slab_sheaf *larger;

	if (size <= old->size)
		return 0;
	if (size > INT_MAX)
		return -EINVAL;
	if (size <= old->capacity)
		return fill(old, gfp, size) ? 0 : -errno;
	larger = make(s, gfp, size);
	if (!larger)
		return -errno;
	memcpy(larger->obj, old->obj, old->size * sizeof(old->obj[0]));
	larger->size = old->size;
	if (!fill(larger, gfp, size)) {
		kvfree(larger);
		return -errno;
	}
	kvfree(old);
	*at = larger;
	return 0;
}

void *kmem_cache_alloc_from_sheaf(struct kmem_cache *s, gfp_t gfp,
				  struct slab_sheaf *sheaf)
{
	void *obj;

	if (!sheaf->size) {
		errno = ENOMEM;
		return NULL;
	}
	obj = sheaf->obj[--sheaf->size];
	if (gfp & __GFP_ZERO && !s->ctor)
		memset(obj, 0, kn_object_used(obj));
	return obj;
}

void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp,
			     struct slab_sheaf *sheaf)
{
	(void)gfp;
	if (!sheaf)
		return;
	kmem_cache_free_bulk(s, sheaf->size, sheaf->obj);
	kvfree(sheaf);
}

unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf)
{
	return sheaf->size;
}
