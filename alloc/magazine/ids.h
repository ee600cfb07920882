/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/ids.h - what the map says about a page
 *
 * One u16 for each page of the span: the key of an id.  Ids from
 * KN_ID_FIRST_CACHE on are caches: the page belongs to a slab of that cache.  The
 * same number is the index of the cache's magazine in a region.
 */
#ifndef KN_MAGAZINE_IDS_H
#define KN_MAGAZINE_IDS_H

#include "numa/rseq.h"
#include "numa/span.h"

enum {
	KN_ID_NONE,		/* free, or never handed out */
	KN_ID_PAGES,		/* first page of an alloc_pages() block */
	KN_ID_LARGE,		/* first page of a large kmalloc */
	KN_ID_VMALLOC,		/* first page of a vmalloc area */
	KN_ID_PCP,		/* magazines of page blocks: one id an order */
	KN_NR_PCP = 5,		/* orders with page lists: 0..4 */
	KN_ID_FIRST_CACHE = KN_ID_PCP + KN_NR_PCP,
	KN_NR_IDS = 4096,
	/* Caches with larger ids have no magazines and use the depot alone. */
	KN_NR_MAGAZINES = 1024,
};
KN_STATIC_ASSERT(KN_NR_IDS * KN_KEY_STEP <= UINT16_MAX, "keys fit the map");

static kn_always_inline uint32_t kn_key(uint32_t id)
{
	return id * KN_KEY_STEP;
}

/* Release: who finds the id finds what was written about the page before. */
static inline void kn_map_set(uint32_t pfn, uint32_t id)
{
	kn_store_release(&kn_span.map[pfn], (uint16_t)kn_key(id));
}

/* What a page belongs to. */
static inline uint32_t kn_map_id(uint32_t pfn)
{
	return kn_load_acquire(&kn_span.map[pfn]) / KN_KEY_STEP;
}

/* The same of any address; KN_ID_NONE outside the span. */
static inline uint32_t kn_id_of(const void *p)
{
	return kn_span_has(p) ? kn_map_id(kn_pfn(p)) : KN_ID_NONE;
}

#endif
