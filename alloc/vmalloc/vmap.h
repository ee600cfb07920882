/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/vmalloc/vmap.h - address space of vmalloc areas, by node
 *
 * The vmalloc part of a window has two halves, each grown from its bottom: one
 * on base pages for areas below 2 MiB, one for the rest that asks for huge pages
 * as long as most of what it gave out is used.  A freed area is first cached
 * whole, memory, guard and all, so that a loop of vmalloc and vfree makes no
 * system call; when it was not reused for a while its memory is given back, and
 * the address space joins free neighbours.
 *
 *   used -> cached -> free extent (no memory, reads as zero) -> used
 *              \-> used, dirty
 *
 *   V1  An area or extent is described by the descriptor of its first page; a
 *       free extent also by that of its last, for its neighbour.
 *   V2  No two free extents touch.
 *   V3  Behind the pages that were asked for lies at least one more: the guard.
 *   V4  map[first page] is KN_ID_VMALLOC exactly while the area is used.
 *   V5  A cached area that serves fewer pages gives its last ones, so that its
 *       guard stays where it is.  The used area begins behind its first `front'
 *       pages; the first descriptor of all still says what V1 asks for, and is
 *       the area again when it is freed.
 *
 * Guards: MADV_GUARD_INSTALL (Linux 6.13) needs no mapping of its own; where
 * the kernel lacks it a guard is a PROT_NONE page within the budget of
 * mappings, and past the budget an unused page that does not fault.
 *
 * Design: docs/design/vmalloc.md.
 */
#ifndef KN_VMALLOC_VMAP_H
#define KN_VMALLOC_VMAP_H

#include <knuma/gfp.h>

#include "alloc/base/lock.h"
#include "alloc/magazine/ids.h"
#include "alloc/page/frame.h"

void kn_vmap_init(void);

/*
 * An area of @nr pages on the dense node @node, aligned to @align bytes (a
 * power of two, a page at least).  NULL when there is none, or no memory for
 * a fresh one.  *@dirty: its content is that of an earlier area.
 *
 * Context: may wait.
 */
struct page *kn_vmap_get(int node, uint64_t nr, uint64_t align, bool *dirty);

/* Whether it fits between the ends of what any node has for areas. */
bool kn_vmap_may_fit(uint64_t nr, uint64_t align);

/*
 * The same with only the address space of @node, for pages that @nodes, a mask,
 * have in turn.  0 and *@area, or -ENOMEM, or what mbind(2) said.
 */
int kn_vmap_get_spread(int node, uint64_t nr, uint64_t nodes,
		       struct page **area) kn_must_check;

/*
 * The same for an area that will grow: with free address space behind it, or
 * cached areas, where there are some, and with @spare pages between what was
 * asked for and the guard, into which it grows without a system call.
 */
struct page *kn_vmap_get_growing(int node, uint64_t nr, uint64_t spare,
				 bool *dirty);

/* What its user has of a used area. */
static inline uint64_t kn_area_pages(const struct page *area)
{
	return kn_load(&area->nr_pages) - kn_load(&area->spare);
}

/* Makes a used area one of @nr pages, more than it has, out of its spare ones. */
void kn_vmap_use_spare(struct page *area, uint64_t nr);

/*
 * Makes a used area one of @nr pages, more than it has, and @spare ones, where it
 * is: into free address space and cached areas behind it.  What it gets may hold
 * the content of earlier areas.  False: it is as before, and cannot.  Context:
 * may wait.
 */
bool kn_vmap_extend(struct page *area, uint64_t nr, uint64_t spare);

/*
 * Makes it one of @nr pages, fewer than it has, and gives back the memory behind
 * if that is more than a quarter of what is left.  Context: may wait.
 */
void kn_vmap_shrink(struct page *area, uint64_t nr);

/* An area of @nr pages belongs into the other half of the vmalloc part. */
bool kn_vmap_is_misplaced(const struct page *area, uint64_t nr);

/* Takes a used area back of which the memory is gone.  Context: may wait. */
void kn_vmap_drop(struct page *area);

/* Ends a used area in which others have mapped something: it is nobody's. */
void kn_vmap_lose(struct page *area);

/* Takes a used area back.  With @may_block, also trims an overfull cache. */
void kn_vmap_put(struct page *area, bool may_block);

/* The used area that starts at @p, or NULL. */
struct page *kn_vmap_find(const void *p);

/* The used area that all of the @nr pages from @p on are in, or NULL. */
struct page *kn_vmap_find_around(const void *p, uint64_t nr);

/* True for any address in a vmalloc part. */
static inline bool kn_vmap_has(const void *p)
{
	return kn_span_has(p) &&
	       (((uintptr_t)p - kn_span.base) & kn_window_half()) != 0;
}

/* Gives back areas cached since before @now_ms - vmalloc_delay_ms, or @all. */
void kn_vmap_trim(uint64_t now_ms, bool all);

/* By steps, see numa/span.h: unmaps what is behind the last area.  Bytes. */
uint64_t kn_vmap_unmap_free(int node);

/*
 * The address space of half @i (0 or 1) of @node that areas have been made of:
 * its start, and its bytes.
 */
uintptr_t kn_vmap_range(int node, int i, size_t *bytes);

/* Of one node; @used and @cached are parts of @grown. */
struct kn_vmap_levels {
	uint64_t used, cached, grown; /* bytes */
};
void kn_vmap_levels(int node, struct kn_vmap_levels *l);

/* An area as it was when it was looked at. */
struct kn_vmap_row {
	uintptr_t start;
	uint64_t bytes;	    /* of address space, the guard among them */
	uint64_t nr_pages;  /* as asked for; 0: freed, not given back yet */
	const void *caller; /* return address of who asked; NULL: unknown */
};

/*
 * Calls @fn, in no lock, for the areas of @node, ascending; what is made, freed
 * or resized meanwhile may be left out.  Context: may wait.
 */
void kn_vmap_each(int node,
		  void (*fn)(const struct kn_vmap_row *row, void *arg),
		  void *arg);

uint64_t kn_vmap_used_bytes(void);
uint64_t kn_vmap_used_areas(void);
uint64_t kn_vmap_nr_new(void);	  /* ever, from fresh address space */
uint64_t kn_vmap_nr_reused(void); /* ever, of what had been freed */
uint64_t kn_vmap_cached_bytes(void);
/* Pages of areas that came without memory, since the start. */
uint64_t kn_vmap_fresh_pages(void);
uint64_t kn_vmap_grown_bytes(void);

/* Checks V1-V3 and V5 of a quiet node; for tests. */
bool kn_vmap_verify(int node);

void kn_vmap_lock_all(void);
void kn_vmap_unlock_all(void);
void kn_vmap_reset(void);

#endif
