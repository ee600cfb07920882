/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/config/tunables.h"
#include "alloc/page/away.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/arena.h"
#include "alloc/vmalloc/guard.h"
#include "alloc/vmalloc/vmap.h"

/*
 * Whether @more pages behind @area are free or cached; *@at_top of them are
 * behind the last area.
 */
static bool is_free_behind(const struct kn_arena *a, const struct page *area,
			   uint64_t more, uint64_t *at_top)
{
	const struct page *const top = kn_page(kn_pfn((void *)a->top));
	const struct page *next = area + area->capacity;

	*at_top = 0;
	for (; next < top; next += next->capacity) {
		if (next->type != KN_PAGE_VM_FREE &&
		    (next->type != KN_PAGE_VM_CACHED ||
		     !kn_area_is_plain(next)))
			return false;
		if (next->capacity >= more)
			return true;
		more -= next->capacity;
	}
	*at_top = more;
	return a->top + (more << KN_PAGE_SHIFT) <= a->end;
}

/* What moved in takes the marks of it along. */
static void inherit(struct page *area, const struct page *part)
{
	area->flags |= part->flags & KN_PAGE_MOVED;
	area->moves = (uint16_t)(area->moves + part->moves);
}

/*
 * Takes up to @more pages of what lies behind @area, which is_free_behind().
 * Return: a cached area that was taken whole, its guard inside; or NULL.
 */
static struct page *take_behind(struct kn_arena *a, struct page *area,
				uint64_t more)
{
	struct page *next = area + area->capacity, *part = NULL;
	const uint32_t pfn = kn_page_pfn(next);
	uintptr_t end;

	if ((uintptr_t)kn_page_addr(next) == a->top) {
		kn_store(&a->top, a->top + (more << KN_PAGE_SHIFT));
	} else if (next->type == KN_PAGE_VM_FREE) {
		const uint64_t have = next->capacity;

		more = KN_MIN(more, have);
		kn_extent_unlist(a, pfn);
		if (have > more)
			kn_extent_list(a, pfn + (uint32_t)more, have - more);
	} else if (next->nr_pages > more) {
		kn_cached_cut(a, next, more);
		inherit(area, next);
	} else {
		kn_cached_del(a, next);
		more = next->capacity;
		part = next;
	}
	kn_store(&next->type, KN_PAGE_NONE);
	kn_area_set_capacity(area, area->capacity + more);
	end = (uintptr_t)kn_page_addr(area) + (area->capacity << KN_PAGE_SHIFT);
	kn_walks_skip(a, (uintptr_t)kn_page_addr(area), end, end);
	return part;
}

/* Makes @part, the end of @area, memory like the rest of it. */
static bool absorb(struct kn_arena *a, struct page *area, struct page *part)
{
	if (kn_guard_remove(part, part->nr_pages)) {
		inherit(area, part);
		return true;
	}
	kn_lock(&a->lock);
	kn_area_set_capacity(area, area->capacity - part->capacity);
	kn_cached_add(a, part);
	kn_unlock(&a->lock);
	return false;
}

/* One step towards @capacity pages for @area: 0, or -Exxx and it ends there. */
static int extend(struct kn_arena *a, struct page *area, uint64_t capacity)
{
	struct page *part = NULL;
	uint64_t at_top;
	bool grown, is_free;

	kn_lock(&a->lock);
	kn_arena_settle(a);
	is_free = is_free_behind(a, area, capacity - area->capacity, &at_top);
	grown = a->top + (at_top << KN_PAGE_SHIFT) <= a->grown;
	if (is_free && grown)
		part = take_behind(a, area, capacity - area->capacity);
	kn_unlock(&a->lock);
	if (!is_free)
		return -ENOMEM;
	if (!grown)
		return kn_arena_grow(a, at_top, KN_PAGE_SIZE);
	return !part || absorb(a, area, part) ? 0 : -EBUSY;
}

void kn_vmap_use_spare(struct page *area, uint64_t nr)
{
	struct kn_arena *a = kn_arena_of(kn_page_pfn(area));

	kn_arena_use(a, nr - kn_area_pages(area));
	kn_store(&area->spare, area->nr_pages - nr);
}

bool kn_vmap_extend(struct page *area, uint64_t nr, uint64_t spare)
{
	struct kn_arena *a = kn_arena_of(kn_page_pfn(area));
	const uint64_t all = nr + spare;
	int err = 0;

	while (area->capacity <= all && (!err || err == -EAGAIN))
		err = extend(a, area, all + 1);
	if (area->capacity <= all || !kn_area_guard(area, all))
		return false;
	kn_arena_use(a, nr - kn_area_pages(area));
	kn_store(&area->nr_pages, all);
	kn_store(&area->spare, spare);
	return true;
}

/*
 * A mapping that moved in is made anew as a whole when the area is given back:
 * its address space stays with it until then.
 */
static void give_tail(struct kn_arena *a, struct page *area, uint64_t keep)
{
	const uint64_t tail = area->capacity - keep;
	const size_t bytes = tail << KN_PAGE_SHIFT;

	if (kn_span_purge((uintptr_t)kn_page_addr(area + keep), bytes))
		return;
	kn_stat_add(KN_STAT_purged_bytes, bytes);
	if (area->flags & KN_PAGE_MOVED)
		return;
	kn_lock(&a->lock);
	kn_area_set_capacity(area, keep);
	kn_extent_add(a, kn_page_pfn(area + keep), tail);
	kn_unlock(&a->lock);
}

/* What the program had behind @nr pages is gone before others can have it. */
static kn_slow void wipe_tail(struct page *area, uint64_t nr)
{
	void *const at = kn_page_addr(area + nr);
	const size_t bytes = (area->nr_pages - nr) << KN_PAGE_SHIFT;

	if (kn_span_purge((uintptr_t)at, bytes))
		memset(at, 0, bytes);
}

void kn_vmap_shrink(struct page *area, uint64_t nr)
{
	struct kn_arena *a = kn_arena_of(kn_page_pfn(area));
	uint64_t keep = nr + 1;

	/* A part of a huge page frees nothing. */
	if (kn_span_comes_huge((uintptr_t)kn_page_addr(area)))
		keep = KN_ALIGN_UP(keep, KN_HUGE_SIZE >> KN_PAGE_SHIFT);
	if (keep + keep / 4 >= area->capacity - area->spare)
		return;
	if (unlikely(kn_tun.init_on_free))
		wipe_tail(area, nr);
	if (!kn_area_guard(area, nr))
		return;
	if (unlikely(kn_load(&area->away)))
		kn_away_forget_slow(area + nr, area->nr_pages - nr);
	kn_arena_use(a, nr - kn_area_pages(area));
	kn_store(&area->nr_pages, nr);
	kn_store(&area->spare, (uint64_t)0);
	give_tail(a, area, keep);
}
