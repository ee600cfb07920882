/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/ids.h - what the map says about a page
 *
 * One u16 for each page of the span.  Ids from KN_ID_FIRST_CACHE on are caches:
 * the page belongs to a slab of that cache.  The same number is the index of
 * the cache's magazine in a region.
 */
#ifndef KN_MAGAZINE_IDS_H
#define KN_MAGAZINE_IDS_H

enum {
	KN_ID_NONE,		/* free, or never handed out */
	KN_ID_PAGES,		/* first page of an alloc_pages() block */
	KN_ID_LARGE,		/* first page of a large kmalloc */
	KN_ID_VMALLOC,		/* first page of a vmalloc area */
	KN_ID_PCP,		/* magazines of page blocks: one id an order */
	KN_ID_FIRST_CACHE = KN_ID_PCP + 4,
	KN_NR_IDS = 4096,
	/* Caches with larger ids have no magazines and use the depot alone. */
	KN_NR_MAGAZINES = 1024,
};

#endif
