/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/frame.h - struct page, one for each page of the span
 *
 * As in the kernel's vmemmap, the array is indexed by page number, so that
 * page_address(), virt_to_page() and page_to_nid() are arithmetic.  A block, a
 * slab or an area is described by the descriptor of its first page.
 *
 *   F1  type and order of a page change under its zone's lock while either side
 *       of the change is KN_PAGE_FREE; otherwise they belong to the owner.
 *   F2  The descriptor of a slab's first page holds the slab's bitmap.
 *   F3  ext is the word of alloc/account/ext.h of what is allocated there, and 0
 *       while nothing is.  For a slab of a cache that remembers it is the
 *       address of a vector of such words; its bitmap then ends before.
 */
#ifndef KN_PAGE_FRAME_H
#define KN_PAGE_FRAME_H

#include "alloc/base/atomic.h"
#include "numa/span.h"

enum kn_page_type {
	KN_PAGE_NONE,		/* not grown, or not the first of anything */
	KN_PAGE_FREE,		/* first of a free block; zone lock */
	KN_PAGE_ISOLATED,	/* first of a block that is being purged */
	KN_PAGE_PCP,		/* in a magazine or depot of the page lists */
	KN_PAGE_PAGES,		/* alloc_pages() */
	KN_PAGE_LARGE,		/* large kmalloc, alloc_pages_exact() */
	KN_PAGE_SLAB,
	KN_PAGE_VM_USED,	/* vmalloc area */
	KN_PAGE_VM_CACHED,	/* freed area, kept with its memory */
	KN_PAGE_VM_FREE,	/* free extent without memory: first page */
	KN_PAGE_VM_FREE_END,	/* its last page */
};

enum kn_page_flags {
	KN_PAGE_ZERO = 1,	/* content known to be zero */
	KN_PAGE_SURE = 2,	/* every page of it known to be in memory */
	KN_PAGE_GREW = 2,	/* area: it got larger, or it is kept and did */
	KN_PAGE_WARM = 4,	/* free block: on the lists that are purged */
	KN_PAGE_LISTED = 4,	/* slab: on the partial list; slab lock */
	KN_PAGE_MOVED = 4,	/* area: page tables were moved in, see move.h */
	KN_PAGE_EXACT = 8,	/* large: freed by free_pages_exact() */
	KN_PAGE_PINNED = 8,	/* slab: is not given back; slab lock */
	KN_PAGE_SPREAD = 8,	/* area: has a memory policy of its own */
	KN_PAGE_POOL = 16,	/* free block: reserved, never purged */
	KN_PAGE_PROTECTED = 16,	/* area: its protection was changed */
	KN_PAGE_EXEC = 32,	/* area: from vmalloc_exec() */
	KN_PAGE_GUARDED = 64,	/* area: the page behind it is a guard */
	KN_PAGE_SPLIT = 128,	/* area: its guard is a mapping of its own */
};

#define KN_PFN_NONE UINT32_MAX

struct page {
	union {
		uint64_t free_map[4];	/* slab: atomic, 1 = free */
		struct {
			uint64_t nr_pages;	/* large, area: asked for */
			uint64_t capacity;	/* area, extent: all its pages */
			union {
				uint64_t freed_ms; /* cached area: since when */
				uint64_t spare;	   /* used area: pages of those
						   asked for to grow into */
			};
			uint64_t ext;		/* F3 */
		};
	};
	union {
		struct {
			uint32_t next, prev; /* page numbers; the list's lock */
		};
		const void *caller; /* used area: who asked for it; atomic */
	};
	ck_stack_entry_t link;		/* lock-free stacks */
	union {
		uint32_t state;		/* slab: atomic, see slab.c */
		uint32_t front;		/* used area: kept pages before it, see
					   vmap.h */
	};
	uint16_t cache;			/* slab: id */
	uint8_t type;			/* enum kn_page_type, F1 */
	uint8_t order;
	uint8_t flags;			/* enum kn_page_flags; the owner */
	uint8_t away;			/* marks, atomic, see away.h */
	union {
		uint16_t touched;	/* slab: pages from the first in memory */
		uint16_t moves;		/* area: moves that cut mappings */
	};
	union {
		uint32_t pool;		/* first of 2 MiB: all of them are a page
					   of the node's pool; by the grower */
		uint32_t piece;		/* area: pages that were moved here at once */
	};
};
KN_STATIC_ASSERT(sizeof(struct page) == KN_PAGE_DESC_SIZE,
		 "one cache line; numa/span.c lays out the array");

static inline struct page *kn_page(uint32_t pfn)
{
	return (struct page *)kn_span.pages + pfn;
}

static inline uint32_t kn_page_pfn(const struct page *page)
{
	return (uint32_t)(page - (const struct page *)kn_span.pages);
}

static inline void *kn_page_addr(const struct page *page)
{
	return kn_pfn_address(kn_page_pfn(page));
}

/* Dense node of a page. */
static inline int kn_pfn_node(uint32_t pfn)
{
	return (int)(pfn >> (kn_span.window_shift - KN_PAGE_SHIFT));
}

/*
 * Whether a page is of the node's pool of reserved huge pages.  Steps of growth
 * of the page part are whole huge pages, so the first one has a descriptor.
 */
static inline bool kn_pfn_is_pool(uint32_t pfn)
{
	const uint32_t huge = (uint32_t)(KN_HUGE_SIZE >> KN_PAGE_SHIFT);
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);

	return at - kn_window_base(kn_pfn_node(pfn)) < kn_window_half() &&
	       kn_page(KN_ALIGN_DOWN(pfn, huge))->pool;
}

/* Lists of pages by page number, as the links in struct page have it. */
static inline void kn_page_list_add(uint32_t *head, uint32_t pfn)
{
	struct page *page = kn_page(pfn);

	page->prev = KN_PFN_NONE;
	page->next = *head;
	if (*head != KN_PFN_NONE)
		kn_page(*head)->prev = pfn;
	*head = pfn;
}

static inline void kn_page_list_del(uint32_t *head, uint32_t pfn)
{
	struct page *page = kn_page(pfn);

	if (page->prev == KN_PFN_NONE)
		*head = page->next;
	else
		kn_page(page->prev)->next = page->next;
	if (page->next != KN_PFN_NONE)
		kn_page(page->next)->prev = page->prev;
	page->next = KN_PFN_NONE;
	page->prev = KN_PFN_NONE;
}

#endif
