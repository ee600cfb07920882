/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/away.h - pages that lie on another node than their own on purpose
 *
 * A page of a window belongs to the window's node, whatever node it lies on;
 * pages that strayed are brought home (alloc/core/homes.h).  Not so those that
 * knuma_migrate() moved or that an area spreads over nodes: each is marked in
 * its descriptor, and the first page of its block, slab or area tells that
 * there are some.  The mark ends when the block is freed; what is still
 * elsewhere then has strayed, and the node's next walk brings it home.
 *
 *   AW1  A marked page is in a block, slab or area in use, whose first page is
 *        marked BLOCK.  For a moment not, while a slab is given back and its
 *        cache migrated at the same time; who marks looks again.
 *   AW2  kn_away_pages counts the marked pages.
 *   AW3  Who marks pages of what may be freed meanwhile is counted in
 *        kn_away_marking before it asks the map whether they are in use.  As
 *        long as anybody is, descriptors of free memory are not purged, and no
 *        mark with them.
 */
#ifndef KN_PAGE_AWAY_H
#define KN_PAGE_AWAY_H

#include "alloc/page/frame.h"

enum {
	KN_AWAY_PAGE = 1,  /* this page */
	KN_AWAY_BLOCK = 2, /* some page of what begins here */
};

extern uint64_t kn_away_pages;	 /* atomic */
extern uint32_t kn_away_marking; /* atomic */

/* Marks @pfn, a page of what begins at @head, or takes its mark off. */
void kn_away_mark(struct page *head, uint32_t pfn, bool away);

void kn_away_forget_slow(struct page *head, uint64_t nr);

/* Takes the marks off all @nr pages from @head on, which are being freed. */
static inline void kn_away_forget(struct page *head, uint64_t nr)
{
	if (unlikely(kn_load(&head->away)))
		kn_away_forget_slow(head, nr);
}

/* Nodes, a mask, of which marked pages were freed since the last call. */
uint64_t kn_away_take_freed(void);

/* Is @p in a marked page?  Any address below the end of what is grown. */
static inline bool kn_is_away(const void *p)
{
	return kn_load(&kn_away_pages) && kn_span_has(p) &&
	       kn_load(&kn_page(kn_pfn(p))->away) & KN_AWAY_PAGE;
}

#endif
