/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/vmalloc/vmap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "alloc/account/ext.h"
#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/probes.h"
#include "alloc/config/live.h"
#include "alloc/config/tunables.h"
#include "alloc/page/away.h"
#include "alloc/page/zone.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/guard.h"
#include "alloc/vmalloc/move.h"
#include "alloc/vmalloc/spread.h"
#include "numa/machine.h"

/*
 * Lists by size: each number of pages below 32, then sixteen for each doubling, up
 * to 2^31.  The nearer a kept area is to what is asked for, the fewer pages lie
 * in front of it (V5), which others have not touched yet.
 */
#define BINS_LOG 4
#define NR_BINS	 (29u << BINS_LOG)

#define GROW_STEP ((size_t)64 << 20)
#define GROW_FIRST ((size_t)4 << 20)

/*
 * An area of so many bytes gets huge pages before anything is known: whether
 * most of it is used shows by the number of huge pages, too.
 */
#define SELF_EVIDENT (8 * KN_HUGE_SIZE)

/* Areas looked at in one list of the cache. */
#define CACHE_SEARCH 8

/* Areas that a timed trim gives back in one go. */
#define TRIM_AREAS 1024

struct bins {
	uint32_t head[NR_BINS];
	uint64_t any[(NR_BINS + 63) / 64];	/* lists that are not empty */
};

/* Where kn_vmap_each() goes on: always the first page of something. */
struct walk {
	uintptr_t at;
	struct walk *next;
};

struct arena {
	struct kn_lock lock;
	bool huge;
	uintptr_t base, end;	/* address space */
	uintptr_t grown;	/* usable up to here; lock */
	uintptr_t top;		/* handed out up to here; lock */
	struct bins cached, extents; /* lock */
	uint64_t used_pages, cached_pages; /* lock; read without */
	uint64_t used_areas;	/* as used_pages */
	struct walk *walks;	/* under way; lock */
	ck_stack_t deferred;	/* areas freed while the lock was taken */
	uint32_t growing;	/* somebody is in mprotect(2); set by lock */
} kn_cacheline;

static struct arena arenas[KN_MAX_NODES][2];

static unsigned bin_of(uint64_t pages)
{
	const unsigned mask = (1u << BINS_LOG) - 1;
	unsigned log;

	if (pages <= mask)
		return (unsigned)pages;
	log = kn_log2(pages) - BINS_LOG;
	return KN_MIN((log + 1) << BINS_LOG | ((unsigned)(pages >> log) & mask),
		      NR_BINS - 1);
}

static void bin_add(struct bins *b, uint32_t pfn)
{
	const unsigned i = bin_of(kn_page(pfn)->capacity);

	kn_page_list_add(&b->head[i], pfn);
	b->any[i / 64] |= (uint64_t)1 << i % 64;
}

static void bin_del(struct bins *b, uint32_t pfn)
{
	const unsigned i = bin_of(kn_page(pfn)->capacity);

	kn_page_list_del(&b->head[i], pfn);
	if (b->head[i] == KN_PFN_NONE)
		b->any[i / 64] &= ~((uint64_t)1 << i % 64);
}

/* The first list from @i on that is not empty, or NR_BINS. */
static unsigned bin_next(const struct bins *b, unsigned i)
{
	for (unsigned w = i / 64; w < KN_ARRAY_SIZE(b->any); w++) {
		uint64_t any = b->any[w];

		if (w == i / 64)
			any &= ~(uint64_t)0 << i % 64;
		if (any)
			return w * 64 + (unsigned)__builtin_ctzll(any);
	}
	return NR_BINS;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int kn_vmap_init(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		for (int i = 0; i < 2; i++) {
			struct arena *a = &arenas[node][i];
			const size_t size = kn_window_half() / 2;

			a->lock = (struct kn_lock)KN_LOCK_INIT(vmap);
			a->huge = i == 1;
			a->base = kn_window_base(node) + kn_window_half() +
				  (size_t)i * size;
			a->end = a->base + size;
			a->grown = a->base;
			a->top = a->base;
			for (unsigned b = 0; b < NR_BINS; b++) {
				a->cached.head[b] = KN_PFN_NONE;
				a->extents.head[b] = KN_PFN_NONE;
			}
		}
	}
	return 0;
}

static struct arena *arena_of(uint32_t pfn)
{
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);
	struct arena *pair = arenas[kn_pfn_node(pfn)];

	return &pair[at >= pair[1].base];
}

/* Free extents. */

static void extent_list(struct arena *a, uint32_t pfn, uint64_t pages)
{
	struct page *first = kn_page(pfn), *last = kn_page(pfn + (uint32_t)pages - 1);

	last->capacity = pages;
	kn_store(&last->type, KN_PAGE_VM_FREE_END);
	first->capacity = pages;
	kn_store(&first->type, KN_PAGE_VM_FREE);
	bin_add(&a->extents, pfn);
}

static void extent_unlist(struct arena *a, uint32_t pfn)
{
	struct page *first = kn_page(pfn);

	bin_del(&a->extents, pfn);
	kn_store(&kn_page(pfn + (uint32_t)first->capacity - 1)->type, KN_PAGE_NONE);
	kn_store(&first->type, KN_PAGE_NONE);
}

/* Nothing starts inside (@from, @to] any more: walks there go on at @at. */
static void walks_skip(struct arena *a, uintptr_t from, uintptr_t to,
		       uintptr_t at)
{
	for (struct walk *w = a->walks; unlikely(w); w = w->next)
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
static void extent_add(struct arena *a, uint32_t pfn, uint64_t pages)
{
	const uint32_t lowest = kn_pfn((void *)a->base);
	const uint32_t top = kn_pfn((void *)a->base) +
			     (uint32_t)((a->top - a->base) >> KN_PAGE_SHIFT);
	uint32_t next = pfn + (uint32_t)pages;
	uintptr_t from, to;

	if (next < top && kn_page(next)->type == KN_PAGE_VM_FREE) {
		const uint64_t more = kn_page(next)->capacity;

		extent_unlist(a, next);
		pages += more;
	}
	if (pfn > lowest && ends_extent(kn_page(pfn - 1))) {
		const uint64_t more = kn_page(pfn - 1)->capacity;

		pfn -= (uint32_t)more;
		extent_unlist(a, pfn);
		pages += more;
	}
	from = (uintptr_t)kn_pfn_address(pfn);
	to = from + (pages << KN_PAGE_SHIFT);
	if (to == a->top) {
		a->top = from;
		walks_skip(a, from, to, from);
	} else {
		extent_list(a, pfn, pages);
		walks_skip(a, from, to, to);
	}
}

/* Pages to skip from @pfn on to reach a multiple of @align bytes. */
static uint64_t skip_to(uint32_t pfn, uint64_t align)
{
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);

	return (KN_ALIGN_UP(at, align) - at) >> KN_PAGE_SHIFT;
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
static uint32_t cut(struct arena *a, uint32_t pfn, uint64_t have, uint64_t pages,
		    uint64_t align)
{
	const uint64_t skip = skip_to(pfn, align);

	if (skip)
		extent_list(a, pfn, skip);
	if (have > skip + pages)
		extent_list(a, pfn + (uint32_t)(skip + pages),
			    have - skip - pages);
	return hand_out(pfn + (uint32_t)skip, pages);
}

static uint32_t from_extents(struct arena *a, uint64_t pages, uint64_t align)
{
	for (unsigned i = bin_next(&a->extents, bin_of(pages)); i < NR_BINS;
	     i = bin_next(&a->extents, i + 1)) {
		uint32_t pfn = a->extents.head[i];

		for (; pfn != KN_PFN_NONE; pfn = kn_page(pfn)->next) {
			const uint64_t have = kn_page(pfn)->capacity;

			if (have < skip_to(pfn, align) + pages)
				continue;
			extent_unlist(a, pfn);
			return cut(a, pfn, have, pages, align);
		}
	}
	return KN_PFN_NONE;
}

/* From behind the last area; KN_PFN_NONE when the arena must grow first. */
static uint32_t from_top(struct arena *a, uint64_t pages, uint64_t align)
{
	const uintptr_t at = KN_ALIGN_UP(a->top, align);
	const uint32_t pfn = kn_pfn((void *)a->top);
	const uint64_t skip = (at - a->top) >> KN_PAGE_SHIFT;

	if (at + (pages << KN_PAGE_SHIFT) > a->grown)
		return KN_PFN_NONE;
	a->top = at + (pages << KN_PAGE_SHIFT);
	if (skip)
		extent_list(a, pfn, skip);
	return hand_out(pfn + (uint32_t)skip, pages);
}

/* The page part of the arena's node is past huge_after, and is used. */
static bool pages_are_huge(const struct arena *a)
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
static bool may_be_huge(const struct arena *a, uintptr_t from, size_t bytes)
{
	return a->huge && kn_tun.huge_pages &&
	       (from - a->base >= kn_tun.huge_after || bytes >= SELF_EVIDENT ||
		pages_are_huge(a));
}

/* Of areas that were handed out, when there are enough of them to tell. */
static void judge(const struct arena *a, uintptr_t grown)
{
	const uintptr_t top = kn_load(&a->top);

	if (kn_tun.huge_after && grown - a->base >= kn_tun.huge_after)
		kn_span_judge(a->base, top,
			      kn_load(&a->used_pages) +
				      kn_load(&a->cached_pages));
}

/*
 * Makes room for @pages more behind the top.  The lock is dropped over the
 * system calls; one thread at a time grows an arena.
 */
static int grow(struct arena *a, uint64_t pages, uint64_t align)
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
	least = huge ? GROW_STEP : GROW_FIRST;
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
		a->grown = from + step;
	kn_store(&a->growing, 0);
	kn_unlock(&a->lock);
	return err;
}

static uint64_t unmap_free(struct arena *a)
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

uint64_t kn_vmap_unmap_free(int node)
{
	return unmap_free(&arenas[node][0]) + unmap_free(&arenas[node][1]);
}

/* V5: what an area begins with, which may be before it. */
static struct page *first_of(struct page *area)
{
	return area - area->front;
}

/* Makes the used @area one of @pages in all; with the lock. */
static void set_capacity(struct page *area, uint64_t pages)
{
	area->capacity = pages;
	first_of(area)->capacity = area->front + pages;
}

/* The last @nr pages of what was cached, before its guard. */
static struct page *last_pages(struct page *first, uint64_t nr)
{
	const uint32_t front = (uint32_t)(first->nr_pages - nr);
	struct page *area = first + front;

	kn_store(&area->type, KN_PAGE_VM_USED);
	area->capacity = first->capacity - front;
	kn_store(&area->nr_pages, nr);
	kn_store(&area->caller, NULL);
	area->flags = first->flags;
	area->moves = 0;
	area->piece = 0;
	area->front = front;
	return area;
}

/* Release: pairs with the acquire of `spare', the same word, in look_at_area(). */
static void set_freed(struct page *area)
{
	kn_store_release(&area->freed_ms, now_ms());
}

/* All of an area that is being freed. */
static struct page *whole(struct page *area)
{
	struct page *first = first_of(area);

	if (first == area)
		return area;
	first->nr_pages = area->front + area->nr_pages;
	first->flags = area->flags;
	first->moves = area->moves;
	kn_store(&area->type, KN_PAGE_NONE);
	return first;
}

/* The cache of freed areas. */

static void cache_add(struct arena *a, struct page *area)
{
	kn_store(&area->type, KN_PAGE_VM_CACHED);
	kn_store(&a->cached_pages, a->cached_pages + area->capacity);
	bin_add(&a->cached, kn_page_pfn(area));
}

/* It is the caller's from here on, and nobody's neighbour to grow into. */
static void cache_del(struct arena *a, struct page *area)
{
	kn_store(&area->type, KN_PAGE_VM_USED);
	bin_del(&a->cached, kn_page_pfn(area));
	kn_store(&area->caller, NULL);
	kn_store(&a->cached_pages, a->cached_pages - area->capacity);
}

static void take_deferred(struct arena *a)
{
	ck_stack_entry_t *e;

	if (likely(!ck_pr_load_ptr(&a->deferred.head)))
		return;
	e = ck_stack_batch_pop_upmc(&a->deferred);
	while (e) {
		struct page *area = kn_container_of(e, struct page, link);

		e = e->next;
		cache_add(a, area);
	}
}

/* What a cached area must not have to be part of another one. */
static bool is_plain(const struct page *area)
{
	return !(area->flags & (KN_PAGE_PROTECTED | KN_PAGE_SPREAD));
}

/*
 * Takes the first @pages, fewer than were asked for, off a cached area; the rest
 * stays cached, with the guard, wherever that is.
 */
static void cut_front(struct arena *a, struct page *area, uint64_t pages)
{
	struct page *rest = area + pages;

	cache_del(a, area);
	rest->capacity = area->capacity - pages;
	rest->nr_pages = area->nr_pages - pages;
	rest->freed_ms = area->freed_ms;
	rest->flags = area->flags;
	rest->moves = 0;
	rest->piece = 0;
	rest->front = 0;
	cache_add(a, rest);
	area->capacity = pages;
	area->flags &= KN_PAGE_MOVED;
}

/*
 * For an area that will grow again: the first part of the largest cached one, so
 * that what it grows into is in memory, too.
 */
static struct page *from_largest(struct arena *a, uint64_t pages, uint64_t align)
{
	for (unsigned w = KN_ARRAY_SIZE(a->cached.any); w--;) {
		const uint64_t any = a->cached.any[w];
		struct page *area;

		if (!any)
			continue;
		area = kn_page(a->cached.head[w * 64 + kn_log2(any)]);
		if (area->nr_pages < pages + pages / 4 || !is_plain(area) ||
		    skip_to(kn_page_pfn(area), align))
			return NULL;
		cut_front(a, area, pages);
		return area;
	}
	return NULL;
}

/* A cached area that wastes at most a quarter; its protection is untouched. */
static struct page *from_cache(struct arena *a, uint64_t pages, uint64_t align)
{
	const uint64_t most = pages + pages / 4;
	const unsigned last = bin_of(most);

	for (unsigned i = bin_next(&a->cached, bin_of(pages)); i <= last;
	     i = bin_next(&a->cached, i + 1)) {
		uint32_t pfn = a->cached.head[i];

		for (int n = 0; n < CACHE_SEARCH && pfn != KN_PFN_NONE; n++) {
			struct page *area = kn_page(pfn);

			pfn = area->next;
			if (area->capacity < pages || area->capacity > most ||
			    !is_plain(area) ||
			    skip_to(kn_page_pfn(area), align))
				continue;
			cache_del(a, area);
			return area;
		}
	}
	return NULL;
}

/* Makes all of @area usable memory again; its guard and protection go. */
static bool make_plain(struct page *area)
{
	int err = 0;

	if (!kn_guard_remove(area, area->nr_pages))
		return false;
	/* First: of what moved in, some may not be mapped. */
	if (area->flags & KN_PAGE_MOVED)
		err = kn_move_end(area);
	if (!err && area->flags & KN_PAGE_PROTECTED)
		err = kn_machine.mprotect(kn_page_addr(area),
					  area->capacity << KN_PAGE_SHIFT,
					  PROT_READ | PROT_WRITE);
	if (!err && area->flags & KN_PAGE_SPREAD)
		err = kn_spread_end(area);
	if (err) {
		kn_store(&kn_span.purge_error, err);
		return false;
	}
	area->flags = 0;
	return true;
}

/*
 * Gives the memory of @area, off all lists, back, and its address space to the
 * extents.  Without the lock until the end.  False when that was refused.
 */
static bool purge(struct arena *a, struct page *area)
{
	const size_t bytes = area->capacity << KN_PAGE_SHIFT;

	if (!make_plain(area) ||
	    kn_span_purge((uintptr_t)kn_page_addr(area), bytes)) {
		/* Still dirty, so still a cached area. */
		kn_lock(&a->lock);
		cache_add(a, area);
		kn_unlock(&a->lock);
		return false;
	}
	kn_stat_add(KN_STAT_vmalloc_purged, 1);
	kn_stat_add(KN_STAT_purged_bytes, bytes);
	kn_lock(&a->lock);
	extent_add(a, kn_page_pfn(area), area->capacity);
	kn_unlock(&a->lock);
	return true;
}

/* A cached area to purge: the oldest of some list that is due. */
static struct page *due(struct arena *a, uint64_t before_ms, uint64_t keep_pages)
{
	if (a->cached_pages <= keep_pages && !before_ms)
		return NULL;
	for (unsigned i = bin_next(&a->cached, 0); i < NR_BINS;
	     i = bin_next(&a->cached, i + 1)) {
		for (uint32_t pfn = a->cached.head[i]; pfn != KN_PFN_NONE;
		     pfn = kn_page(pfn)->next) {
			struct page *area = kn_page(pfn);

			if (a->cached_pages <= keep_pages &&
			    area->freed_ms > before_ms)
				continue;
			cache_del(a, area);
			return area;
		}
	}
	return NULL;
}

/* At most @most areas; ends with the first that is refused. */
static void trim_arena(struct arena *a, uint64_t before_ms, uint64_t keep_pages,
		       uint32_t most)
{
	struct page *area;

	do {
		kn_lock(&a->lock);
		take_deferred(a);
		area = due(a, before_ms, keep_pages);
		kn_unlock(&a->lock);
	} while (area && purge(a, area) && --most);
}

/* Areas that are kept. */
static uint64_t cache_pages(void)
{
	return kn_load(&kn_tun.vmalloc_cache) >> KN_PAGE_SHIFT;
}

void kn_vmap_trim(uint64_t now, bool all)
{
	struct kn_live live;
	uint64_t before = UINT64_MAX;

	kn_live_read(&live);
	if (!all)
		before = now - KN_MIN(now, live.vmalloc_delay_ms);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++)
			trim_arena(&arenas[node][i], before,
				   live.vmalloc_cache >> KN_PAGE_SHIFT,
				   all ? UINT32_MAX : TRIM_AREAS);
}

/* Areas. */

/* What is wanted. */
struct want {
	uint64_t pages;	/* with the guard */
	uint64_t align;	/* bytes */
	bool room;	/* the node is known to have the memory */
	bool grows;	/* the area will grow again */
	uint64_t spare; /* of pages: for that */
};

/* 1. A cached area of about that size; of one that grows, room behind it. */
static struct page *find_cached(struct arena *a, const struct want *w)
{
	struct page *area = NULL;

	if (w->grows)
		area = from_largest(a, w->pages, w->align);
	return area ? area : from_cache(a, w->pages, w->align);
}

/* 2. Free address space between areas, then behind them; or the reverse. */
static uint32_t find_fresh(struct arena *a, const struct want *w)
{
	uint32_t pfn = w->grows ? from_top(a, w->pages, w->align) :
				  from_extents(a, w->pages, w->align);

	if (pfn == KN_PFN_NONE)
		pfn = w->grows ? from_extents(a, w->pages, w->align) :
				 from_top(a, w->pages, w->align);
	return pfn;
}

/* Address space for an area; the lock is taken for each try. */
static struct page *find_area(int node, struct arena *a, const struct want *w,
			      bool *dirty)
{
	bool room = w->room;
	struct page *area = NULL;
	uint32_t pfn = KN_PFN_NONE;

	*dirty = false;
	for (int tries = 0; tries < 1000;) {
		int err;

		kn_lock(&a->lock);
		take_deferred(a);
		area = find_cached(a, w);
		*dirty = area != NULL;
		if (!area && room)
			pfn = find_fresh(a, w);
		kn_unlock(&a->lock);
		if (area)
			return area;
		if (pfn != KN_PFN_NONE)
			break;
		/* 3. More of it, on a node that has memory for it. */
		if (!room && !kn_zone_take_room(node, w->pages - 1))
			return NULL;
		err = room ? grow(a, w->pages, w->align) : 0;
		if (err && err != -EAGAIN)
			return NULL;
		room = true;
		tries += !err;
	}
	return pfn == KN_PFN_NONE ? NULL : kn_page(pfn);
}

static void count_used(struct arena *a, const struct page *area)
{
	ck_pr_add_64(&a->used_pages, kn_area_pages(area));
	ck_pr_inc_64(&a->used_areas);
}

static void count_freed(struct arena *a, const struct page *area)
{
	ck_pr_sub_64(&a->used_pages, kn_area_pages(area));
	ck_pr_dec_64(&a->used_areas);
}

/* V5.  Pieces that moved in are known by where they begin. */
static bool can_begin_late(const struct page *area, const struct want *w)
{
	return area->flags & KN_PAGE_GUARDED &&
	       !(area->flags & KN_PAGE_MOVED) && w->align == KN_PAGE_SIZE &&
	       w->pages - 1 < area->nr_pages;
}

/*
 * Puts the guard behind @nr pages; it may be there from the last use.  False
 * when an old one inside cannot be removed.
 */
static bool place_guard(struct page *area, uint64_t nr)
{
	if (area->flags & KN_PAGE_GUARDED && area->nr_pages == nr)
		return true;
	if (!kn_guard_remove(area, area->nr_pages))
		return false;
	kn_guard_install(area, nr);
	return true;
}

static struct page *get_from(int node, struct arena *a, const struct want *w,
			     bool *dirty)
{
	struct page *area = find_area(node, a, w, dirty);
	const uint64_t nr = w->pages - 1;

	if (!area)
		return NULL;
	if (*dirty && can_begin_late(area, w)) {
		area = last_pages(area, nr);
	} else if (!place_guard(area, nr)) {
		kn_lock(&a->lock);
		cache_add(a, area);
		kn_unlock(&a->lock);
		return NULL;
	}
	kn_store(&area->nr_pages, nr);
	kn_store(&area->spare, w->spare);
	count_used(a, area);
	kn_stat_add(*dirty ? KN_STAT_vmalloc_reused : KN_STAT_vmalloc_new, 1);
	kn_probe_vmalloc(kn_page_addr(area), nr << KN_PAGE_SHIFT,
			 kn_topo.kernel_id[node], *dirty);
	kn_map_set(kn_page_pfn(area), KN_ID_VMALLOC);
	return area;
}

/* Address space is scarce under a limit: @a has none for @nr pages. */
static bool is_full(struct arena *a, const struct want *w)
{
	return KN_ALIGN_UP(kn_load(&a->top), w->align) +
		       (w->pages << KN_PAGE_SHIFT) > a->end;
}

/* Which half areas of @nr pages belong to. */
static bool is_huge(uint64_t nr)
{
	return nr << KN_PAGE_SHIFT >= KN_HUGE_SIZE;
}

static struct page *get(int node, uint64_t nr, uint64_t align,
			struct want *w, bool *dirty)
{
	const bool huge = is_huge(nr);
	struct arena *a = &arenas[node][huge];
	struct page *area;

	w->pages = nr + 1;
	w->align = huge ? KN_MAX(align, KN_HUGE_SIZE) : align;

	if (nr >= kn_window_half() >> KN_PAGE_SHIFT)
		return NULL;
	if (kn_load(&a->cached_pages) > cache_pages())
		trim_arena(a, 0, cache_pages(), TRIM_AREAS);
	area = get_from(node, a, w, dirty);
	if (unlikely(!area) && kn_give_back())
		area = get_from(node, a, w, dirty);
	if (likely(area) || !is_full(a, w))
		return area;
	/* What is cached in other sizes; then the half for other sizes. */
	trim_arena(a, 0, 0, UINT32_MAX);
	area = get_from(node, a, w, dirty);
	if (area)
		return area;
	a = &arenas[node][!huge];
	trim_arena(a, 0, 0, UINT32_MAX);
	w->align = align;
	return get_from(node, a, w, dirty);
}

struct page *kn_vmap_get(int node, uint64_t nr, uint64_t align, bool *dirty)
{
	struct want w = {.room = kn_topo.nr_nodes == 1};

	return get(node, nr, align, &w, dirty);
}

bool kn_vmap_may_fit(uint64_t nr, uint64_t align)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++) {
			const struct arena *a = &arenas[node][i];
			const uintptr_t at = KN_ALIGN_UP(a->base, align);

			if (at < a->end && nr < (a->end - at) >> KN_PAGE_SHIFT)
				return true;
		}
	return false;
}

struct page *kn_vmap_get_growing(int node, uint64_t nr, uint64_t spare,
				 bool *dirty)
{
	struct want w = {
		.room = kn_topo.nr_nodes == 1,
		.grows = true,
		.spare = spare,
	};

	return get(node, nr + spare, KN_PAGE_SIZE, &w, dirty);
}

int kn_vmap_get_spread(int node, uint64_t nr, uint64_t nodes,
		       struct page **area)
{
	struct want w = {.room = true};
	bool dirty;
	int err;

	*area = get(node, nr, KN_PAGE_SIZE, &w, &dirty);
	if (!*area)
		return -ENOMEM;
	/* A page that is in memory already would stay where it is. */
	err = kn_span_purge((uintptr_t)kn_page_addr(*area),
			    nr << KN_PAGE_SHIFT);
	if (!err)
		err = kn_spread_begin(*area, nodes);
	if (err)
		kn_vmap_put(*area, true);
	return err;
}

/* Areas of so many pages are asked whether all of them are in memory. */
#define WIPE_PAGES 256

static bool is_all_present(void *at, uint64_t nr)
{
	unsigned char in_memory[WIPE_PAGES];

	if (nr > WIPE_PAGES ||
	    kn_machine.mincore(at, nr << KN_PAGE_SHIFT, in_memory))
		return false;
	for (uint64_t i = 0; i < nr; i++)
		if (!(in_memory[i] & 1))
			return false;
	return true;
}

/*
 * What the program had is gone before others can have it.  Written over where
 * all of it is in memory, else given back, swapped pages and all.
 */
static kn_slow void wipe(struct page *area)
{
	const bool locked_up = area->flags & (KN_PAGE_PROTECTED | KN_PAGE_EXEC);
	void *const at = kn_page_addr(area);
	const size_t len = area->nr_pages << KN_PAGE_SHIFT;

	if (!locked_up && is_all_present(at, area->nr_pages)) {
		memset(at, 0, len);
		return;
	}
	if (!kn_machine.madvise(at, len, MADV_DONTNEED))
		return;
	/* Locked memory stays. */
	if (!locked_up)
		memset(at, 0, len);
	else
		kn_warn_once("init_on_free: a protected area that is locked was "
			     "freed as it is");
}

void kn_vmap_put(struct page *area, bool may_block)
{
	struct arena *a = arena_of(kn_page_pfn(area));

	if (unlikely(kn_tun.init_on_free))
		wipe(area);
	kn_probe_vfree(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT);
	kn_map_set(kn_page_pfn(area), KN_ID_NONE);
	kn_away_forget(area, area->nr_pages);
	kn_ext_take(&area->ext, kn_page_addr(area),
		    area->nr_pages << KN_PAGE_SHIFT);
	count_freed(a, area);
	area = whole(area);
	area->flags &= (uint8_t)~KN_PAGE_EXEC;
	set_freed(area);
	if (!kn_lock_if(&a->lock, may_block)) {
		ck_stack_push_upmc(&a->deferred, &area->link);
		return;
	}
	take_deferred(a);
	cache_add(a, area);
	kn_unlock_if(&a->lock, may_block);
	if (!may_block || kn_load(&a->cached_pages) <= cache_pages())
		return;
	trim_arena(a, 0, cache_pages(), TRIM_AREAS);
	if (kn_span.by_steps &&
	    kn_load(&a->grown) - kn_load(&a->top) > GROW_STEP)
		unmap_free(a);
}

/* Growth in place. */

/*
 * Whether @more pages behind @area are free or cached; *@at_top of them are
 * behind the last area.
 */
static bool is_free_behind(const struct arena *a, const struct page *area,
			   uint64_t more, uint64_t *at_top)
{
	const struct page *const top = kn_page(kn_pfn((void *)a->top));
	const struct page *next = area + area->capacity;

	*at_top = 0;
	for (; next < top; next += next->capacity) {
		if (next->type != KN_PAGE_VM_FREE &&
		    (next->type != KN_PAGE_VM_CACHED || !is_plain(next)))
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
static struct page *take_behind(struct arena *a, struct page *area,
				uint64_t more)
{
	struct page *next = area + area->capacity, *part = NULL;
	const uint32_t pfn = kn_page_pfn(next);
	uintptr_t end;

	if ((uintptr_t)kn_page_addr(next) == a->top) {
		a->top += more << KN_PAGE_SHIFT;
	} else if (next->type == KN_PAGE_VM_FREE) {
		const uint64_t have = next->capacity;

		more = KN_MIN(more, have);
		extent_unlist(a, pfn);
		if (have > more)
			extent_list(a, pfn + (uint32_t)more, have - more);
	} else if (next->nr_pages > more) {
		cut_front(a, next, more);
		inherit(area, next);
	} else {
		cache_del(a, next);
		more = next->capacity;
		part = next;
	}
	kn_store(&next->type, KN_PAGE_NONE);
	set_capacity(area, area->capacity + more);
	end = (uintptr_t)kn_page_addr(area) + (area->capacity << KN_PAGE_SHIFT);
	walks_skip(a, (uintptr_t)kn_page_addr(area), end, end);
	return part;
}

/* Makes @part, the end of @area, memory like the rest of it. */
static bool absorb(struct arena *a, struct page *area, struct page *part)
{
	if (kn_guard_remove(part, part->nr_pages)) {
		inherit(area, part);
		return true;
	}
	kn_lock(&a->lock);
	set_capacity(area, area->capacity - part->capacity);
	cache_add(a, part);
	kn_unlock(&a->lock);
	return false;
}

/* One step towards @capacity pages for @area: 0, or -Exxx and it ends there. */
static int extend(struct arena *a, struct page *area, uint64_t capacity)
{
	struct page *part = NULL;
	uint64_t at_top;
	bool grown, is_free;

	kn_lock(&a->lock);
	take_deferred(a);
	is_free = is_free_behind(a, area, capacity - area->capacity, &at_top);
	grown = a->top + (at_top << KN_PAGE_SHIFT) <= a->grown;
	if (is_free && grown)
		part = take_behind(a, area, capacity - area->capacity);
	kn_unlock(&a->lock);
	if (!is_free)
		return -ENOMEM;
	if (!grown)
		return grow(a, at_top, KN_PAGE_SIZE);
	return !part || absorb(a, area, part) ? 0 : -EBUSY;
}

void kn_vmap_use_spare(struct page *area, uint64_t nr)
{
	struct arena *a = arena_of(kn_page_pfn(area));

	ck_pr_add_64(&a->used_pages, nr - kn_area_pages(area));
	kn_store(&area->spare, area->nr_pages - nr);
}

bool kn_vmap_extend(struct page *area, uint64_t nr, uint64_t spare)
{
	struct arena *a = arena_of(kn_page_pfn(area));
	const uint64_t all = nr + spare;
	int err = 0;

	while (area->capacity <= all && (!err || err == -EAGAIN))
		err = extend(a, area, all + 1);
	if (area->capacity <= all || !place_guard(area, all))
		return false;
	ck_pr_add_64(&a->used_pages, nr - kn_area_pages(area));
	kn_store(&area->nr_pages, all);
	kn_store(&area->spare, spare);
	return true;
}

/*
 * A mapping that moved in is made anew as a whole when the area is given back:
 * its address space stays with it until then.
 */
static void give_tail(struct arena *a, struct page *area, uint64_t keep)
{
	const uint64_t tail = area->capacity - keep;
	const size_t bytes = tail << KN_PAGE_SHIFT;

	if (kn_span_purge((uintptr_t)kn_page_addr(area + keep), bytes))
		return;
	kn_stat_add(KN_STAT_purged_bytes, bytes);
	if (area->flags & KN_PAGE_MOVED)
		return;
	kn_lock(&a->lock);
	set_capacity(area, keep);
	extent_add(a, kn_page_pfn(area + keep), tail);
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
	struct arena *a = arena_of(kn_page_pfn(area));
	uint64_t keep = nr + 1;

	/* A part of a huge page frees nothing. */
	if (kn_span_comes_huge((uintptr_t)kn_page_addr(area)))
		keep = KN_ALIGN_UP(keep, KN_HUGE_SIZE >> KN_PAGE_SHIFT);
	if (keep + keep / 4 >= area->capacity - area->spare)
		return;
	if (unlikely(kn_tun.init_on_free))
		wipe_tail(area, nr);
	if (!place_guard(area, nr))
		return;
	ck_pr_sub_64(&a->used_pages, kn_area_pages(area) - nr);
	kn_store(&area->nr_pages, nr);
	kn_store(&area->spare, (uint64_t)0);
	give_tail(a, area, keep);
}

bool kn_vmap_is_misplaced(const struct page *area, uint64_t nr)
{
	return !arena_of(kn_page_pfn(area))->huge && is_huge(nr);
}

void kn_vmap_drop(struct page *area)
{
	struct arena *a = arena_of(kn_page_pfn(area));

	kn_probe_vfree(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT);
	kn_map_set(kn_page_pfn(area), KN_ID_NONE);
	count_freed(a, area);
	area = whole(area);
	set_freed(area);
	purge(a, area);
}

void kn_vmap_lose(struct page *area)
{
	kn_probe_vfree(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT);
	kn_map_set(kn_page_pfn(area), KN_ID_NONE);
	count_freed(arena_of(kn_page_pfn(area)), area);
	kn_warn_once("an area could not move to %p: the process has mapped "
		     "something there; %llu KiB of address space are not used "
		     "again", kn_page_addr(area),
		     (unsigned long long)(area->capacity << KN_PAGE_SHIFT >> 10));
}

struct page *kn_vmap_find(const void *p)
{
	struct page *area;

	if (!kn_vmap_has(p) ||
	    kn_map_id(kn_pfn(p)) != KN_ID_VMALLOC)
		return NULL;
	area = kn_page(kn_pfn(p));
	return p == kn_page_addr(area) ? area : NULL;
}

/* The nearest start below @p that the map knows is the only candidate. */
struct page *kn_vmap_find_around(const void *p, uint64_t nr)
{
	struct page *area;
	uint32_t pfn, head, lowest;
	struct arena *a;

	if (!kn_vmap_has(p))
		return NULL;
	pfn = kn_pfn(p);
	a = arena_of(pfn);
	if ((uintptr_t)p >= kn_load(&a->top))
		return NULL;
	lowest = kn_pfn((void *)a->base);
	for (head = pfn; kn_map_id(head) != KN_ID_VMALLOC;
	     head--)
		if (head == lowest)
			return NULL;
	area = kn_page(head);
	return pfn - head + nr <= area->nr_pages ? area : NULL;
}

uintptr_t kn_vmap_range(int node, int i, size_t *bytes)
{
	const struct arena *a = &arenas[node][i];

	*bytes = kn_load(&a->top) - a->base;
	return a->base;
}

static uint64_t sum(uint64_t (*fn)(const struct arena *a))
{
	uint64_t n = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++)
			n += fn(&arenas[node][i]);
	return n;
}

static uint64_t used_bytes(const struct arena *a)
{
	return kn_load(&a->used_pages) << KN_PAGE_SHIFT;
}

static uint64_t used_areas(const struct arena *a)
{
	return kn_load(&a->used_areas);
}

static uint64_t cached_bytes(const struct arena *a)
{
	return kn_load(&a->cached_pages) << KN_PAGE_SHIFT;
}

static uint64_t grown_bytes(const struct arena *a)
{
	return kn_load(&a->grown) - a->base;
}

uint64_t kn_vmap_used_bytes(void)
{
	return sum(used_bytes);
}

uint64_t kn_vmap_used_areas(void)
{
	return sum(used_areas);
}

uint64_t kn_vmap_cached_bytes(void)
{
	return sum(cached_bytes);
}

uint64_t kn_vmap_grown_bytes(void)
{
	return sum(grown_bytes);
}

void kn_vmap_levels(int node, struct kn_vmap_levels *l)
{
	*l = (struct kn_vmap_levels){0, 0, 0};
	for (int i = 0; i < 2; i++) {
		struct arena *a = &arenas[node][i];

		kn_lock(&a->lock);
		l->used += used_bytes(a);
		l->cached += cached_bytes(a);
		l->grown += grown_bytes(a);
		kn_unlock(&a->lock);
	}
}

/* The used area of what begins at @first; NULL when that was lost. */
static const struct page *used_part(const struct page *first)
{
	for (uint64_t i = 0; i < first->capacity; i++)
		if (kn_map_id(kn_page_pfn(first + i)) == KN_ID_VMALLOC)
			return first + i;
	return NULL;
}

static bool verify_used(const struct page *first)
{
	const struct page *area = used_part(first);

	if (area && (first + area->front != area ||
		     area->front + area->capacity != first->capacity)) {
		kn_warn("V5: %p is not the end of what begins at %p",
			kn_page_addr(area), kn_page_addr(first));
		return false;
	}
	if (area && area->nr_pages >= area->capacity) {
		kn_warn("V3: no guard behind %p", kn_page_addr(area));
		return false;
	}
	return true;
}

/* Rows in one go, on the stack; and in one hold of the lock. */
#define WALK_ROWS  32
#define WALK_STEPS 1024

/*
 * Pages and caller of an area that its owner changes just now may be those before
 * or after.  False when it is freed just now.
 */
static bool look_at_area(const struct page *area, struct kn_vmap_row *row)
{
	const uint64_t all = kn_load(&area->nr_pages);
	const uint64_t spare = kn_load_acquire(&area->spare);

	row->start = (uintptr_t)kn_page_addr(area);
	row->bytes = area->capacity << KN_PAGE_SHIFT;
	row->nr_pages = all - KN_MIN(spare, all - 1);
	row->caller = kn_load(&area->caller);
	return kn_map_id(kn_page_pfn(area)) == KN_ID_VMALLOC;
}

/*
 * What begins at @at.  Return: its bytes; row->start is 0 for nothing that is
 * shown: a free extent, or what is being made or given back.
 */
static uint64_t look_at(uintptr_t at, struct kn_vmap_row *row)
{
	const struct page *const first = kn_page(kn_pfn((void *)at)), *area;
	const uint8_t type = kn_load(&first->type);

	KN_CHECK(first->capacity);
	area = type == KN_PAGE_VM_USED ? used_part(first) : NULL;
	*row = (struct kn_vmap_row){.bytes = first->capacity << KN_PAGE_SHIFT};
	if (type == KN_PAGE_VM_CACHED)
		row->start = at;
	else if (area && !look_at_area(area, row))
		row->start = 0;
	return first->capacity << KN_PAGE_SHIFT;
}

/*
 * The next rows of @w from @done on, the end of those before: what lies there may
 * have been cut anew meanwhile.  False: there are no more.
 */
static bool walk_on(struct arena *a, struct walk *w, uintptr_t done,
		    struct kn_vmap_row *row, uint32_t *nr)
{
	bool more;

	*nr = 0;
	kn_lock(&a->lock);
	take_deferred(a);
	for (int i = 0; i < WALK_STEPS && *nr < WALK_ROWS && w->at < a->top;
	     i++) {
		const uintptr_t at = w->at;

		w->at += look_at(at, &row[*nr]);
		*nr += row[*nr].start >= done && row[*nr].start;
	}
	more = w->at < a->top;
	kn_unlock(&a->lock);
	return more;
}

static void walk_begin(struct arena *a, struct walk *w)
{
	w->at = a->base;
	kn_lock(&a->lock);
	w->next = a->walks;
	a->walks = w;
	kn_unlock(&a->lock);
}

/* A fork child has forgotten it. */
static void walk_end(struct arena *a, struct walk *w)
{
	struct walk **link = &a->walks;

	kn_lock(&a->lock);
	while (*link && *link != w)
		link = &(*link)->next;
	if (*link)
		*link = w->next;
	kn_unlock(&a->lock);
}

static void arena_each(struct arena *a,
		       void (*fn)(const struct kn_vmap_row *row, void *arg),
		       void *arg)
{
	struct kn_vmap_row row[WALK_ROWS];
	uintptr_t done = 0;
	struct walk w;
	uint32_t nr;
	bool more;

	walk_begin(a, &w);
	do {
		more = walk_on(a, &w, done, row, &nr);
		for (uint32_t i = 0; i < nr; i++)
			fn(&row[i], arg);
		if (nr)
			done = row[nr - 1].start + row[nr - 1].bytes;
	} while (more);
	walk_end(a, &w);
}

void kn_vmap_each(int node,
		  void (*fn)(const struct kn_vmap_row *row, void *arg),
		  void *arg)
{
	for (int i = 0; i < 2; i++)
		arena_each(&arenas[node][i], fn, arg);
}

static bool verify_arena(struct arena *a)
{
	uintptr_t at = a->base;
	bool was_free = false;

	while (at < a->top) {
		const struct page *first = kn_page(kn_pfn((void *)at));
		const bool is_free = first->type == KN_PAGE_VM_FREE;

		if (!is_free && first->type != KN_PAGE_VM_USED &&
		    first->type != KN_PAGE_VM_CACHED) {
			kn_warn("V1: %#lx starts no area", (unsigned long)at);
			return false;
		}
		if (is_free && was_free) {
			kn_warn("V2: two free extents touch at %#lx",
				(unsigned long)at);
			return false;
		}
		if (first->type == KN_PAGE_VM_CACHED &&
		    first->nr_pages >= first->capacity) {
			kn_warn("V3: no guard behind %#lx", (unsigned long)at);
			return false;
		}
		if (first->type == KN_PAGE_VM_USED && !verify_used(first))
			return false;
		was_free = is_free;
		at += first->capacity << KN_PAGE_SHIFT;
	}
	return true;
}

bool kn_vmap_verify(int node)
{
	bool ok = true;

	for (int i = 0; i < 2 && ok; i++) {
		kn_lock(&arenas[node][i].lock);
		take_deferred(&arenas[node][i]);
		ok = verify_arena(&arenas[node][i]);
		kn_unlock(&arenas[node][i].lock);
	}
	return ok;
}

/* A child would have lost what grows just now. */
static void lock_quiet(struct arena *a)
{
	kn_lock_next(&a->lock);
	while (kn_load(&a->growing)) {
		kn_unlock(&a->lock);
		kn_wait_clear(&a->growing);
		kn_lock_next(&a->lock);
	}
}

void kn_vmap_lock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++)
			lock_quiet(&arenas[node][i]);
}

void kn_vmap_unlock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++)
			kn_unlock(&arenas[node][i].lock);
}

void kn_vmap_reset(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++) {
			kn_lock_reset(&arenas[node][i].lock);
			arenas[node][i].growing = 0;
			arenas[node][i].walks = NULL;
		}
}
