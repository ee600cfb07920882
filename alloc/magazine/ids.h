/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/ids.h - what the map says about a page
 *
 * One u32 for each page of the span: the place of the magazine of an id on the
 * page's node, so that a free finds the magazine by one load and an addition.
 * Ids from KN_ID_FIRST_CACHE on are caches: the page belongs to a slab of that
 * cache.  A run of pages that has a magazine, see alloc/page/large.h, has the id
 * of its length in the map as long as that magazine is where a free puts it, and
 * is for all others a large object.  The other ids have magazines that never open.
 */
#ifndef KN_MAGAZINE_IDS_H
#define KN_MAGAZINE_IDS_H

#include "numa/rseq.h"
#include "numa/span.h"

enum {
	KN_ID_NONE,		/* free, or never handed out */
	KN_ID_PAGES,		/* first page of an alloc_pages() block */
	KN_ID_LARGE,		/* first page of a run that a free looks at */
	KN_ID_VMALLOC,		/* first page of a vmalloc bank */
	KN_ID_GUARD,		/* guarded objects, and the guards */
	KN_ID_PCP,		/* magazines of page blocks: one id an order */
	KN_NR_PCP = 5,		/* orders with page lists: 0..4 */
	KN_ID_RUN = KN_ID_PCP + KN_NR_PCP, /* runs of pages: one id a length */
	KN_NR_RUNS = 24,
	KN_ID_RCU = KN_ID_RUN + KN_NR_RUNS, /* what waits: one id a flavour */
	KN_NR_RCU = 16,
	KN_ID_QUARANTINE = KN_ID_RCU + KN_NR_RCU, /* see alloc/slab/harden.h */
	KN_ID_FIRST_CACHE,
	KN_NR_IDS = KN_REGION_BYTES / sizeof(struct kn_magazine),
};

/* Release: who finds the id finds what was written about the page before. */
static inline void kn_map_set(uint32_t pfn, uint32_t id)
{
	kn_store_release(&kn_span.map[pfn],
			 kn_mag_place(kn_window_of(kn_pfn_address(pfn)), id));
}

/* Place of the magazine of @p, which is in the span. */
static inline uint32_t kn_map_place(const void *p)
{
	return kn_load_acquire(&kn_span.map[kn_pfn(p)]);
}

/*
 * The cache and the node that a place names; a run of any length is
 * KN_ID_LARGE.
 */
static inline uint32_t kn_place_id(uint32_t place)
{
	const uint32_t id = place % (uint32_t)KN_REGION_BYTES /
			    (uint32_t)sizeof(struct kn_magazine);

	return id - KN_ID_RUN < KN_NR_RUNS ? KN_ID_LARGE : id;
}

static inline int kn_place_node(uint32_t place)
{
	return (int)(place / (uint32_t)KN_REGION_BYTES);
}

/*
 * Bytes of an object, or of a run of pages, by the id that the map has of it; 0
 * where its owner must be asked.
 */
extern uint32_t kn_id_room[KN_NR_IDS];

/*
 * The same of what is allocated at @p; 0 outside the span.  Who asks of NULL may
 * do so while another thread starts the heap, and must not look at the span.
 */
static inline size_t kn_room_of(const void *p)
{
	if (unlikely((uintptr_t)p < KN_PAGE_SIZE || !kn_span_has(p)))
		return 0;
	return kn_load(&kn_id_room[kn_map_place(p) % (uint32_t)KN_REGION_BYTES /
				   (uint32_t)sizeof(struct kn_magazine)]);
}

/* What a page belongs to. */
static inline uint32_t kn_map_id(uint32_t pfn)
{
	return kn_place_id(kn_load_acquire(&kn_span.map[pfn]));
}

/* The same of any address; KN_ID_NONE outside the span. */
static inline uint32_t kn_id_of(const void *p)
{
	return kn_span_has(p) ? kn_map_id(kn_pfn(p)) : KN_ID_NONE;
}

#endif
