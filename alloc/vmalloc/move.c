/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/vmalloc/move.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/page/zone.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/guard.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Below this a copy costs less than a mapping that is cut, and made anew. */
#define MOVE_LEAST ((size_t)1 << 20)

/*
 * The kernel takes VM_LOCKED off the whole mapping that pages are moved out of.
 * Locked memory refuses this advice, here for the page behind the area.
 */
static bool is_locked(const struct page *area)
{
	void *guard = kn_page_addr(area + area->nr_pages);

	return kn_tun.lock_memory ||
	       kn_machine.madvise(guard, KN_PAGE_SIZE, MADV_DONTNEED);
}

static bool is_limited(void)
{
	return kn_machine.address_limit() != UINT64_MAX ||
	       kn_machine.data_limit() != UINT64_MAX;
}

/* Pages that lie elsewhere on purpose are marked by address, see away.h. */
static bool is_movable(const struct page *area)
{
	return kn_area_pages(area) << KN_PAGE_SHIFT >= MOVE_LEAST &&
	       !kn_load(&area->away) && !is_limited() && !is_locked(area);
}

/*
 * Where a move is refused late, the kernel has unmapped the new place already:
 * it must be known before that what is moved is one mapping (kernels before 6.17
 * refuse more), and that no limit counts the new one.  Growing the range by a
 * page that is taken says the first: -EFAULT if it is more, else -ENOMEM.
 */
static bool is_one_mapping(char *from, size_t bytes)
{
	void *at =
		kn_machine.mremap(from, bytes, bytes + KN_PAGE_SIZE, 0, NULL);

	return kn_ptr_err(at) == -ENOMEM;
}

static int remap(char *to, char *from, size_t bytes)
{
	void *at = kn_machine.mremap(
		from, bytes, bytes,
		MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);

	return kn_is_err(at) ? kn_ptr_err(at) : 0;
}

/*
 * Pages from @at on that are in one mapping, of @nr in all, as far as moves cut
 * it: most kernels move one mapping in one call.
 */
static uint64_t piece_at(const struct page *area, uint64_t at, uint64_t nr)
{
	const uint64_t piece = area->flags & KN_PAGE_MOVED ? area[at].piece : 0;

	return piece ? KN_MIN(piece, nr - at) : nr - at;
}

/*
 * Moves as many of the pages of @area as can be, from the first on.  How many;
 * *@err: what refused the next, and did something to its place.
 */
static uint64_t move_tables(struct page *to, const struct page *area, int *err)
{
	const uint64_t nr = kn_area_pages(area);
	uint64_t done = 0;

	*err = 0;
	while (done < nr && kn_mappings_take()) {
		char *from = kn_page_addr((struct page *)area + done);
		const uint64_t n = piece_at(area, done, nr);
		const bool is_one = is_one_mapping(from, n << KN_PAGE_SHIFT);

		if (is_one)
			*err = remap(kn_page_addr(to + done), from,
				     n << KN_PAGE_SHIFT);
		if (!is_one || *err) {
			kn_mappings_give();
			break;
		}
		to->flags |= KN_PAGE_MOVED;
		to->moves++;
		to[done].piece = (uint32_t)n;
		done += n;
	}
	to[done].piece = 0;
	return done;
}

static void copy(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

static bool is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, KN_PAGE_SIZE - 1);
}

/*
 * After a move that failed: kernels from 6.17 on may have moved a part of it.
 * What was moved is gone here, and there is nothing yet where nothing was moved.
 */
static void merge(char *to, const char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += KN_PAGE_SIZE)
		if (is_zero(to + at))
			memcpy(to + at, from + at, KN_PAGE_SIZE);
}

/*
 * Where a move is refused late all the same, for lack of memory or of what may be
 * committed: maps what was to be moved to again.  What is one mapping with the
 * page behind, which was not to be moved to, was not unmapped.  -EEXIST: others
 * have mapped something there meanwhile.
 */
static int mend(char *at, size_t bytes)
{
	const void *hole;

	if (is_one_mapping(at + bytes - KN_PAGE_SIZE, 2 * KN_PAGE_SIZE))
		return 0;
	hole = kn_machine.mmap(at, bytes, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				       MAP_FIXED_NOREPLACE);
	return kn_is_err(hole) ? kn_ptr_err(hole) :
				 kn_span_renew((uintptr_t)at, bytes);
}

/* One mapping at a time is moved: of the others nothing is gone. */
static int mend_piece(struct page *to, const struct page *area, uint64_t done)
{
	const uint64_t n = piece_at(area, done, kn_area_pages(area));

	return mend(kn_page_addr(to + done), n << KN_PAGE_SHIFT);
}

/*
 * What move_tables() moved goes back; there is no other place for it.  Each piece
 * is one mapping, and what is behind the last may be none.
 */
static void move_back(const struct page *to, const struct page *area,
		      uint64_t done)
{
	for (uint64_t at = 0; at < done; at += to[at].piece)
		KN_CHECK(!remap(kn_page_addr((struct page *)area + at),
				kn_page_addr((struct page *)to + at),
				(size_t)to[at].piece << KN_PAGE_SHIFT));
}

/* @area is as it was, and @to is free, or not to be used again. */
static void stay(struct page *to, const struct page *area, uint64_t done,
		 int err)
{
	move_back(to, area, done);
	if (err == -EEXIST) {
		kn_vmap_lose(to);
		return;
	}
	to->flags |= KN_PAGE_MOVED;
	kn_vmap_drop(to);
}

/*
 * Brings the content of @area to @to, which is larger, and frees @area.  False:
 * it could not.
 */
static bool bring(struct page *to, struct page *area, bool fresh)
{
	const uint64_t nr = kn_area_pages(area);
	uint64_t done = 0;
	int err = 0, lost = 0;

	kn_store(&to->caller, kn_load(&area->caller));
	if (fresh && is_movable(area))
		done = move_tables(to, area, &err);
	if (done == nr) {
		kn_stat_add(KN_STAT_vmalloc_moved, 1);
		kn_vmap_drop(area);
		return true;
	}
	if (err)
		lost = mend_piece(to, area, done);
	if (lost) {
		stay(to, area, done, lost);
		return false;
	}
	(err ? merge : copy)(kn_page_addr(to + done), kn_page_addr(area + done),
			     (nr - done) << KN_PAGE_SHIFT);
	kn_vmap_put(area, true);
	return true;
}

static struct page *grow_elsewhere(struct page *area, uint64_t nr,
				   uint64_t spare, bool *dirty)
{
	const int node = kn_pfn_node(kn_page_pfn(area));
	struct page *to = kn_vmap_get_growing(node, nr, spare, dirty);

	/* Memory that is there already costs less than page faults. */
	if (!to || !bring(to, area, !*dirty))
		return NULL;
	to->flags |= KN_PAGE_GREW;
	return to;
}

static struct page *grown(struct page *area, bool *dirty)
{
	*dirty = true;
	area->flags |= KN_PAGE_GREW;
	kn_stat_add(KN_STAT_vmalloc_grown, 1);
	return area;
}

static struct page *grow_in_place(struct page *area, uint64_t nr,
				  uint64_t spare, bool *dirty)
{
	const int node = kn_pfn_node(kn_page_pfn(area));

	if (!kn_zone_take_room(node, nr + spare - area->nr_pages) ||
	    !kn_vmap_extend(area, nr, spare))
		return NULL;
	return grown(area, dirty);
}

struct page *kn_vmap_resize(struct page *area, uint64_t nr, uint64_t spare,
			    bool *dirty)
{
	const bool leaves = kn_vmap_is_misplaced(area, nr);
	struct page *to = NULL;

	*dirty = false;
	if (area->flags & (KN_PAGE_PROTECTED | KN_PAGE_SPREAD | KN_PAGE_EXEC))
		return NULL;
	if (nr <= kn_area_pages(area)) {
		kn_vmap_shrink(area, nr);
		return area;
	}
	/* 1. Into what is there for that. */
	if (nr <= area->nr_pages) {
		kn_vmap_use_spare(area, nr);
		return grown(area, dirty);
	}
	/* 2. Where it is; with less behind it rather than elsewhere. */
	if (!leaves)
		to = grow_in_place(area, nr, spare, dirty);
	if (!to && !leaves && spare)
		to = grow_in_place(area, nr, spare / 4, dirty);
	/* 3. To a place with room behind it, where huge pages can come. */
	if (!to)
		to = grow_elsewhere(area, nr, spare, dirty);
	/* 4. Where it is, on base pages. */
	if (!to && leaves)
		to = grow_in_place(area, nr, spare, dirty);
	return to;
}

int kn_move_end(struct page *area)
{
	const int err = kn_span_renew((uintptr_t)kn_page_addr(area),
				      area->capacity << KN_PAGE_SHIFT);

	/* It must not be used again before that was done. */
	if (err) {
		area->flags |= KN_PAGE_PROTECTED;
		return err;
	}
	area->piece = 0;
	for (; area->moves; area->moves--)
		kn_mappings_give();
	return 0;
}
