/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/remember.h - where memory of any kind has its word of ext.h */
#ifndef KN_SLAB_REMEMBER_H
#define KN_SLAB_REMEMBER_H

#include "alloc/account/ext.h"
#include "alloc/slab/slab.h"

/* The word of an object of a slab of @s, a cache that remembers. */
static inline uint64_t *kn_slab_ext(const struct kmem_cache *s, const void *p)
{
	const struct page *head = kn_slab_head(s, p);

	return (uint64_t *)(uintptr_t)kn_load(&head->ext) +
	       kn_slab_index(s, head, p);
}

/*
 * The word of what is allocated at @p: an object, pages or an area.  *@bytes is
 * what it takes.  NULL when nothing starts there, or it cannot remember.
 */
uint64_t *kn_ext_slot(const void *p, uint64_t *bytes);

#endif
