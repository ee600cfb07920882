/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/vmalloc/move.h - areas that change their size
 *
 * An area that cannot grow where it is moves: its page tables go to other
 * address space of the same window, with mremap(2), and its pages stay where
 * they are in memory.  MREMAP_DONTUNMAP leaves the old addresses mapped and
 * empty, so that nobody else can take them; they join the free extents.
 *
 *   MV1  Page tables move within a window only: both ends have its policy.
 *   MV2  KN_PAGE_MOVED is set on every area some of whose mapping was moved in.
 *        Such a mapping merges with no neighbour: it counts against vma_budget
 *        until the area is given back, which makes the mapping anew.
 *   MV3  Whatever mremap(2) refuses is copied: a move cannot fail.
 *
 * Design: docs/design/vmalloc.md.
 */
#ifndef KN_VMALLOC_MOVE_H
#define KN_VMALLOC_MOVE_H

#include <knuma/gfp.h>

#include "alloc/page/frame.h"

/*
 * __vmalloc() for memory that will grow, of a heap that is there, with spare pages
 * behind it; NULL without a word.
 */
void *kn_vmalloc_growing(size_t size, gfp_t gfp, const void *caller);

/*
 * Makes the used @area one of @size bytes, zeroed past its content with
 * __GFP_ZERO, and returns where it is then; with spare pages behind it if it
 * @grows.  NULL: it is as before, since @gfp lets nobody wait, it was charged to
 * somebody, or as of kn_vmap_resize().
 */
void *kn_vmalloc_resize(struct page *area, size_t size, bool grows, gfp_t gfp);

/*
 * Makes the used @area one of @nr pages, with its content as far as that goes,
 * on the same node; with @spare ones behind if it grows beyond those it has.
 * *@dirty: what it got may not be zero.
 *
 * Context: may wait.
 * Return: the area, or another one and @area is free; NULL: as it was, since
 *         there is no address space or no memory, or the area has a protection
 *         or policy of its own.
 */
struct page *kn_vmap_resize(struct page *area, uint64_t nr, uint64_t spare,
			    bool *dirty);

/* Makes the mapping of a freed area anew.  Context: system calls. */
int kn_move_end(struct page *area) kn_must_check;

#endif
