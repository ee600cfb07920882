/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "alloc/base/assert.h"
#include "alloc/config/tunables.h"
#include "alloc/page/zone.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/arena.h"
#include "alloc/vmalloc/vmap.h"

#define GROW_FIRST   ((size_t)4 << 20)

/*
 * An area of so many bytes gets huge pages before anything is known: whether
 * most of it is used shows by the number of huge pages, too.
 */
#define SELF_EVIDENT (8 * KN_HUGE_SIZE)

void kn_extent_list(struct kn_arena *a, uint32_t pfn, uint64_t pages)
{
	struct page *first = kn_page(pfn),
		    *last = kn_page(pfn + (uint32_t)pages - 1);

	last->capacity = pages;
	kn_store(&last->type, KN_PAGE_VM_FREE_END);
	first->capacity = pages;
	kn_store(&first->type, KN_PAGE_VM_FREE);
	kn_bin_add(&a->extents, pfn);
}

void kn_extent_unlist(struct kn_arena *a, uint32_t pfn)
{
	struct page *first = kn_page(pfn);

	kn_bin_del(&a->extents, pfn);
	kn_store(&kn_page(pfn + (uint32_t)first->capacity - 1)->type,
		 KN_PAGE_NONE);
	kn_store(&first->type, KN_PAGE_NONE);
}

void kn_walks_skip(struct kn_arena *a, uintptr_t from, uintptr_t to,
		   uintptr_t at)
{
	for (struct kn_walk *w = a->walks; unlikely(w); w = w->next)
		if (w->at > from && w->at <= to)
			w->at = at;
}

/* True for the last page of a free extent; one of one page is all first. */
static bool ends_extent(const struct page *page)
{
	return page->type == KN_PAGE_VM_FREE_END ||
	       (page->type == KN_PAGE_VM_FREE && page->capacity == 1);
}

/* Adds address space without memory, joined with its neighbours: V2. */
void kn_extent_add(struct kn_arena *a, uint32_t pfn, uint64_t pages)
{
	const uint32_t lowest = kn_pfn((void *)a->base);
	const uint32_t top = kn_pfn((void *)a->base) +
			     (uint32_t)((a->top - a->base) >> KN_PAGE_SHIFT);
	uint32_t next = pfn + (uint32_t)pages;
	uintptr_t from, to;

	if (next < top && kn_page(next)->type == KN_PAGE_VM_FREE) {
		const uint64_t more = kn_page(next)->capacity;

		kn_extent_unlist(a, next);
		pages += more;
	}
	if (pfn > lowest && ends_extent(kn_page(pfn - 1))) {
		const uint64_t more = kn_page(pfn - 1)->capacity;

		pfn -= (uint32_t)more;
		kn_extent_unlist(a, pfn);
		pages += more;
	}
	from = (uintptr_t)kn_pfn_address(pfn);
	to = from + (pages << KN_PAGE_SHIFT);
	if (to == a->top) {
		kn_store(&a->top, from);
		kn_walks_skip(a, from, to, from);
	} else {
		kn_extent_list(a, pfn, pages);
		kn_walks_skip(a, from, to, to);
	}
}

/* What lies at @pfn has been of many types before. */
static uint32_t hand_out(uint32_t pfn, uint64_t pages)
{
	struct page *area = kn_page(pfn);

	kn_store(&area->type, KN_PAGE_VM_USED);
	area->capacity = pages;
	area->flags = 0;
	area->moves = 0;
	area->piece = 0;
	area->front = 0;
	kn_store(&area->caller, NULL);
	return pfn;
}

/* Cuts @pages at a multiple of @align out of [pfn, pfn + have). */
static uint32_t cut(struct kn_arena *a, uint32_t pfn, uint64_t have,
		    uint64_t pages, uint64_t align)
{
	const uint64_t skip = kn_skip_to(pfn, align);

	if (skip)
		kn_extent_list(a, pfn, skip);
	if (have > skip + pages)
		kn_extent_list(a, pfn + (uint32_t)(skip + pages),
			       have - skip - pages);
	return hand_out(pfn + (uint32_t)skip, pages);
}

uint32_t kn_extents_take(struct kn_arena *a, uint64_t pages, uint64_t align)
{
	for (unsigned i = kn_bin_next(&a->extents, kn_bin_of(pages));
	     i < KN_NR_BINS; i = kn_bin_next(&a->extents, i + 1)) {
		uint32_t pfn = a->extents.head[i];

		for (; pfn != KN_PFN_NONE; pfn = kn_page(pfn)->next) {
			const uint64_t have = kn_page(pfn)->capacity;

			if (have < kn_skip_to(pfn, align) + pages)
				continue;
			kn_extent_unlist(a, pfn);
			return cut(a, pfn, have, pages, align);
		}
	}
	return KN_PFN_NONE;
}

uint32_t kn_top_take(struct kn_arena *a, uint64_t pages, uint64_t align)
{
	const uintptr_t at = KN_ALIGN_UP(a->top, align);
	const uint32_t pfn = kn_pfn((void *)a->top);
	const uint64_t skip = (at - a->top) >> KN_PAGE_SHIFT;

	if (at + (pages << KN_PAGE_SHIFT) > a->grown)
		return KN_PFN_NONE;
	kn_store(&a->top, at + (pages << KN_PAGE_SHIFT));
	if (skip)
		kn_extent_list(a, pfn, skip);
	return hand_out(pfn + (uint32_t)skip, pages);
}

/* The page part of the arena's node is past huge_after, and is used. */
static bool pages_are_huge(const struct kn_arena *a)
{
	const int node = kn_window_of((const void *)a->base);
	const uintptr_t base = kn_window_base(node);

	return kn_load(&kn_zones[node].grown) > base + kn_tun.huge_after &&
	       !kn_span_is_sparse(base);
}

/*
 * Whether memory from @from on, for an area of @bytes, may come in huge pages.
 * As in the page part the first of it does not: base pages show how many of
 * them are used.  Unless the page part has shown it.
 */
static bool may_be_huge(const struct kn_arena *a, uintptr_t from, size_t bytes)
{
	return a->huge && kn_tun.huge_pages &&
	       (from - a->base >= kn_tun.huge_after || bytes >= SELF_EVIDENT ||
		pages_are_huge(a));
}

/* Of areas that were handed out, when there are enough of them to tell. */
static void judge(const struct kn_arena *a, uintptr_t grown)
{
	const uintptr_t top = kn_load(&a->top);

	if (kn_tun.huge_after && grown - a->base >= kn_tun.huge_after)
		kn_span_judge(a->base, top,
			      kn_arena_used(a) + kn_load(&a->cached_pages));
}

int kn_arena_grow(struct kn_arena *a, uint64_t pages, uint64_t align)
{
	const size_t bytes = pages << KN_PAGE_SHIFT;
	unsigned flags = kn_tun.lock_memory ? KN_GROW_LOCK : 0;
	size_t least, need, step;
	uintptr_t from;
	bool huge;
	int err;

	kn_lock(&a->lock);
	if (a->growing) {
		kn_unlock(&a->lock);
		kn_wait_clear(&a->growing);
		return -EAGAIN;
	}
	from = a->grown;
	huge = may_be_huge(a, from, bytes);
	least = huge ? KN_GROW_STEP : GROW_FIRST;
	need = KN_ALIGN_UP(a->top, align) + bytes - from;
	if (a->top > from || (intptr_t)need <= 0)
		need = 0;
	step = KN_ALIGN_UP(KN_MAX(need, least), GROW_FIRST);
	if (from + step > a->end)
		step = a->end - from;
	if (!need || step < need) {
		kn_unlock(&a->lock);
		return need ? -ENOMEM : 0;
	}
	kn_store(&a->growing, 1);
	kn_unlock(&a->lock);

	if (huge) {
		flags |= KN_GROW_HUGE;
		judge(a, from);
	}
	err = kn_span_grow(from, step, flags, NULL);
	if (err && step > KN_ALIGN_UP(need, GROW_FIRST)) {
		step = KN_ALIGN_UP(need, GROW_FIRST);
		err = kn_span_grow(from, step, flags, NULL);
	}
	kn_stat_add(err ? KN_STAT_grow_failed : KN_STAT_grow_calls, 1);

	kn_lock(&a->lock);
	if (!err)
		kn_store(&a->grown, from + step);
	kn_store(&a->growing, 0);
	kn_unlock(&a->lock);
	return err;
}

uint64_t kn_arena_unmap_free(struct kn_arena *a)
{
	uintptr_t from, to;
	int err;

	kn_lock(&a->lock);
	from = KN_ALIGN_UP(a->top - a->base, GROW_FIRST) + a->base;
	to = a->grown;
	if (a->growing || from >= to) {
		kn_unlock(&a->lock);
		return 0;
	}
	kn_store(&a->growing, 1);
	kn_store(&a->grown, from);
	kn_unlock(&a->lock);

	err = kn_span_shrink(from, to - from);

	kn_lock(&a->lock);
	if (err)
		kn_store(&a->grown, to);
	kn_store(&a->growing, 0);
	kn_unlock(&a->lock);
	return err ? 0 : to - from;
}
