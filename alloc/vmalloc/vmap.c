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
#include "alloc/vmalloc/arena.h"
#include "alloc/vmalloc/guard.h"
#include "alloc/vmalloc/move.h"
#include "alloc/vmalloc/spread.h"
#include "numa/machine.h"

/* Areas looked at in one list of the cache. */
#define CACHE_SEARCH 8

/* Areas that a timed trim gives back in one go. */
#define TRIM_AREAS 1024

struct kn_arena kn_arenas[KN_MAX_NODES][2];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void kn_vmap_init(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		for (int i = 0; i < 2; i++) {
			struct kn_arena *a = &kn_arenas[node][i];
			const size_t size = kn_window_half() / 2;

			a->lock = (struct kn_lock)KN_LOCK_INIT(vmap);
			a->huge = i == 1;
			a->base = kn_window_base(node) + kn_window_half() +
				  (size_t)i * size;
			a->end = a->base + size;
			a->grown = a->base;
			a->top = a->base;
			a->grew = KN_PFN_NONE;
			for (unsigned b = 0; b < KN_NR_BINS; b++) {
				a->cached.head[b] = KN_PFN_NONE;
				a->extents.head[b] = KN_PFN_NONE;
			}
		}
	}
}

uint64_t kn_vmap_unmap_free(int node)
{
	return kn_arena_unmap_free(&kn_arenas[node][0]) +
	       kn_arena_unmap_free(&kn_arenas[node][1]);
}

/* The last @nr pages of what was cached, before its guard. */
static struct page *last_pages(struct page *first, uint64_t nr)
{
	const uint32_t front = (uint32_t)(first->nr_pages - nr);
	struct page *area = first + front;

	kn_store(&area->type, KN_PAGE_VM_USED);
	kn_store(&area->capacity, first->capacity - front);
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
	struct page *first = kn_area_first(area);

	if (first == area)
		return area;
	kn_store(&first->nr_pages, area->front + area->nr_pages);
	first->flags = area->flags;
	first->moves = area->moves;
	kn_store(&area->type, KN_PAGE_NONE);
	return first;
}

/* The cache of freed areas. */

void kn_cached_add(struct kn_arena *a, struct page *area)
{
	kn_store(&area->type, KN_PAGE_VM_CACHED);
	kn_store(&a->cached_pages, a->cached_pages + area->capacity);
	kn_bin_add(&a->cached, kn_page_pfn(area));
	if (unlikely(area->flags & KN_PAGE_GREW) && a->huge &&
	    kn_area_is_plain(area) &&
	    !kn_skip_to(kn_page_pfn(area), KN_HUGE_SIZE))
		kn_store(&a->grew, kn_page_pfn(area));
}

void kn_cached_del(struct kn_arena *a, struct page *area)
{
	kn_store(&area->type, KN_PAGE_VM_USED);
	kn_bin_del(&a->cached, kn_page_pfn(area));
	if (unlikely(a->grew == kn_page_pfn(area)))
		kn_store(&a->grew, KN_PFN_NONE);
	kn_store(&area->caller, NULL);
	kn_store(&a->cached_pages, a->cached_pages - area->capacity);
}

void kn_arena_settle(struct kn_arena *a)
{
	ck_stack_entry_t *e;

	if (likely(!ck_pr_load_ptr(&a->deferred.head)))
		return;
	e = ck_stack_batch_pop_upmc(&a->deferred);
	while (e) {
		struct page *area = kn_container_of(e, struct page, link);

		e = e->next;
		kn_cached_add(a, area);
	}
}

void kn_cached_cut(struct kn_arena *a, struct page *area, uint64_t pages)
{
	struct page *rest = area + pages;

	kn_cached_del(a, area);
	rest->capacity = area->capacity - pages;
	rest->nr_pages = area->nr_pages - pages;
	rest->freed_ms = area->freed_ms;
	rest->flags = area->flags;
	rest->moves = 0;
	rest->piece = 0;
	rest->front = 0;
	kn_cached_add(a, rest);
	area->capacity = pages;
	area->flags &= KN_PAGE_MOVED;
}

/*
 * For an area that will grow again: the first part of the largest cached one, so
 * that what it grows into is in memory, too.
 */
static struct page *from_largest(struct kn_arena *a, uint64_t pages,
				 uint64_t align)
{
	for (unsigned w = KN_ARRAY_SIZE(a->cached.any); w--;) {
		const uint64_t any = a->cached.any[w];
		struct page *area;

		if (!any)
			continue;
		area = kn_page(a->cached.head[w * 64 + kn_log2(any)]);
		if (area->nr_pages < pages + pages / 4 ||
		    !kn_area_is_plain(area) ||
		    kn_skip_to(kn_page_pfn(area), align))
			return NULL;
		kn_cached_cut(a, area, pages);
		return area;
	}
	return NULL;
}

/* A cached area that wastes at most a quarter; its protection is untouched. */
static struct page *from_cache(struct kn_arena *a, uint64_t pages,
			       uint64_t align)
{
	const uint64_t most = pages + pages / 4;
	const unsigned last = kn_bin_of(most);

	for (unsigned i = kn_bin_next(&a->cached, kn_bin_of(pages)); i <= last;
	     i = kn_bin_next(&a->cached, i + 1)) {
		uint32_t pfn = a->cached.head[i];

		for (int n = 0; n < CACHE_SEARCH && pfn != KN_PFN_NONE; n++) {
			struct page *area = kn_page(pfn);

			pfn = area->next;
			if (area->capacity < pages || area->capacity > most ||
			    !kn_area_is_plain(area) ||
			    kn_skip_to(kn_page_pfn(area), align))
				continue;
			kn_cached_del(a, area);
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
static bool purge(struct kn_arena *a, struct page *area)
{
	const size_t bytes = area->capacity << KN_PAGE_SHIFT;

	if (!make_plain(area) ||
	    kn_span_purge((uintptr_t)kn_page_addr(area), bytes)) {
		/* Still dirty, so still a cached area. */
		kn_lock(&a->lock);
		kn_cached_add(a, area);
		kn_unlock(&a->lock);
		return false;
	}
	kn_stat_add(KN_STAT_vmalloc_purged, 1);
	kn_stat_add(KN_STAT_purged_bytes, bytes);
	kn_lock(&a->lock);
	kn_extent_add(a, kn_page_pfn(area), area->capacity);
	kn_unlock(&a->lock);
	return true;
}

/* A cached area to purge: the oldest of some list that is due. */
static struct page *due(struct kn_arena *a, uint64_t before_ms,
			uint64_t keep_pages)
{
	if (a->cached_pages <= keep_pages && !before_ms)
		return NULL;
	for (unsigned i = kn_bin_next(&a->cached, 0); i < KN_NR_BINS;
	     i = kn_bin_next(&a->cached, i + 1)) {
		for (uint32_t pfn = a->cached.head[i]; pfn != KN_PFN_NONE;
		     pfn = kn_page(pfn)->next) {
			struct page *area = kn_page(pfn);

			if (a->cached_pages <= keep_pages &&
			    area->freed_ms > before_ms)
				continue;
			kn_cached_del(a, area);
			return area;
		}
	}
	return NULL;
}

/* At most @most areas; ends with the first that is refused. */
static void trim_arena(struct kn_arena *a, uint64_t before_ms,
		       uint64_t keep_pages, uint32_t most)
{
	struct page *area;

	do {
		kn_lock(&a->lock);
		kn_arena_settle(a);
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
			trim_arena(&kn_arenas[node][i], before,
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
static struct page *find_cached(struct kn_arena *a, const struct want *w)
{
	struct page *area = NULL;

	if (w->grows)
		area = from_largest(a, w->pages, w->align);
	return area ? area : from_cache(a, w->pages, w->align);
}

/* 2. Free address space between areas, then behind them; or the reverse. */
static uint32_t find_fresh(struct kn_arena *a, const struct want *w)
{
	uint32_t pfn = w->grows ? kn_top_take(a, w->pages, w->align) :
				  kn_extents_take(a, w->pages, w->align);

	if (pfn == KN_PFN_NONE)
		pfn = w->grows ? kn_extents_take(a, w->pages, w->align) :
				 kn_top_take(a, w->pages, w->align);
	return pfn;
}

static void count_used(struct kn_arena *a, const struct want *w, bool reused)
{
	uint64_t *const nr = reused ? &a->nr_reused : &a->nr_new;

	kn_store(nr, *nr + 1);
	if (!reused)
		kn_store(&a->fresh_pages,
			 a->fresh_pages + w->pages - 1 - w->spare);
	kn_arena_count(a, w->pages - 1 - w->spare, 1);
}

void kn_arena_use(struct kn_arena *a, uint64_t pages)
{
	kn_lock(&a->lock);
	kn_arena_count(a, pages, 0);
	kn_unlock(&a->lock);
}

/* An area of @pages is not used any more, and nothing else changes. */
static void count_freed(struct kn_arena *a, uint64_t pages)
{
	kn_lock(&a->lock);
	kn_arena_count(a, -pages, (uint64_t)-1);
	kn_unlock(&a->lock);
}

/* Address space for an area; the lock is taken for each try. */
static struct page *find_area(int node, struct kn_arena *a,
			      const struct want *w, bool *dirty)
{
	bool room = w->room;
	struct page *area = NULL;
	uint32_t pfn = KN_PFN_NONE;

	*dirty = false;
	for (int tries = 0; tries < 1000;) {
		int err;

		kn_lock(&a->lock);
		kn_arena_settle(a);
		area = find_cached(a, w);
		*dirty = area != NULL;
		if (!area && room)
			pfn = find_fresh(a, w);
		if (area || pfn != KN_PFN_NONE)
			count_used(a, w, *dirty);
		kn_unlock(&a->lock);
		if (area)
			return area;
		if (pfn != KN_PFN_NONE)
			break;
		/* 3. More of it, on a node that has memory for it. */
		if (!room && !kn_zone_take_room(node, w->pages - 1))
			return NULL;
		err = room ? kn_arena_grow(a, w->pages, w->align) : 0;
		if (err && err != -EAGAIN)
			return NULL;
		room = true;
		tries += !err;
	}
	return pfn == KN_PFN_NONE ? NULL : kn_page(pfn);
}

/* V5.  Pieces that moved in are known by where they begin. */
static bool can_begin_late(const struct page *area, const struct want *w)
{
	return area->flags & KN_PAGE_GUARDED &&
	       !(area->flags & KN_PAGE_MOVED) && w->align == KN_PAGE_SIZE &&
	       w->pages - 1 < area->nr_pages;
}

bool kn_area_guard(struct page *area, uint64_t nr)
{
	if (area->flags & KN_PAGE_GUARDED && area->nr_pages == nr)
		return true;
	if (!kn_guard_remove(area, area->nr_pages))
		return false;
	kn_guard_install(area, nr);
	return true;
}

/* What was found is an area; NULL: it cannot be one, and is kept. */
static struct page *put_in_use(int node, struct kn_arena *a,
			       const struct want *w, struct page *area,
			       bool dirty)
{
	const uint64_t nr = w->pages - 1;

	if (dirty && can_begin_late(area, w)) {
		area = last_pages(area, nr);
	} else if (!kn_area_guard(area, nr)) {
		kn_lock(&a->lock);
		kn_arena_count(a, w->spare - nr, (uint64_t)-1);
		kn_cached_add(a, area);
		kn_unlock(&a->lock);
		return NULL;
	}
	area->flags &= (uint8_t)~KN_PAGE_GREW;
	kn_store(&area->nr_pages, nr);
	kn_store(&area->spare, w->spare);
	kn_probe_vmalloc(kn_page_addr(area), nr << KN_PAGE_SHIFT,
			 kn_topo.kernel_id[node], dirty);
	kn_map_set(kn_page_pfn(area), KN_ID_VMALLOC);
	return area;
}

static struct page *get_from(int node, struct kn_arena *a, const struct want *w,
			     bool *dirty)
{
	struct page *area = find_area(node, a, w, dirty);

	return area ? put_in_use(node, a, w, area, *dirty) : NULL;
}

/* The front of a kept area, or all of it where that is what is asked for. */
static struct page *front_of(struct kn_arena *a, uint32_t pfn, uint64_t pages)
{
	struct page *area = kn_page(pfn);

	if (area->nr_pages > pages)
		kn_cached_cut(a, area, pages);
	else if (area->nr_pages == pages - 1)
		kn_cached_del(a, area);
	else
		return NULL;
	return area;
}

/*
 * For an area below 2 MiB that will grow: what such a one left behind when it had
 * got larger than that.  It need not be copied on its way there, then.
 */
static struct page *get_grown(int node, struct kn_arena *a,
			      const struct want *w)
{
	struct page *area = NULL;

	if (likely(kn_load(&a->grew) == KN_PFN_NONE))
		return NULL;
	kn_lock(&a->lock);
	if (a->grew != KN_PFN_NONE)
		area = front_of(a, a->grew, w->pages);
	if (area)
		count_used(a, w, true);
	kn_unlock(&a->lock);
	return area ? put_in_use(node, a, w, area, true) : NULL;
}

/* Address space is scarce under a limit: @a has none for @nr pages. */
static bool is_full(struct kn_arena *a, const struct want *w)
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
	struct kn_arena *a = &kn_arenas[node][huge];
	struct page *area;

	w->pages = nr + 1;
	w->align = huge ? KN_MAX(align, KN_HUGE_SIZE) : align;

	if (nr >= kn_window_half() >> KN_PAGE_SHIFT)
		return NULL;
	if (kn_load(&a->cached_pages) > cache_pages())
		trim_arena(a, 0, cache_pages(), TRIM_AREAS);
	area = w->grows && !huge ? get_grown(node, &kn_arenas[node][1], w) :
				   NULL;
	*dirty = area != NULL;
	if (area)
		return area;
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
	a = &kn_arenas[node][!huge];
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
			const struct kn_arena *a = &kn_arenas[node][i];
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
	struct kn_arena *a = kn_arena_of(kn_page_pfn(area));
	const uint64_t nr = kn_area_pages(area);

	if (unlikely(kn_tun.init_on_free))
		wipe(area);
	kn_probe_vfree(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT);
	kn_map_set(kn_page_pfn(area), KN_ID_NONE);
	kn_away_forget(area, area->nr_pages);
	kn_ext_take(&area->ext, kn_page_addr(area),
		    area->nr_pages << KN_PAGE_SHIFT);
	area = whole(area);
	area->flags &= (uint8_t)~KN_PAGE_EXEC;
	set_freed(area);
	if (!kn_lock_if(&a->lock, may_block)) {
		ck_pr_add_64(&a->freed_pages, nr);
		ck_pr_inc_64(&a->freed_areas);
		ck_stack_push_upmc(&a->deferred, &area->link);
		return;
	}
	kn_arena_count(a, -nr, (uint64_t)-1);
	kn_arena_settle(a);
	kn_cached_add(a, area);
	kn_unlock_if(&a->lock, may_block);
	if (!may_block || kn_load(&a->cached_pages) <= cache_pages())
		return;
	trim_arena(a, 0, cache_pages(), TRIM_AREAS);
	if (kn_span.by_steps &&
	    kn_load(&a->grown) - kn_load(&a->top) > KN_GROW_STEP)
		kn_arena_unmap_free(a);
}

bool kn_vmap_is_misplaced(const struct page *area, uint64_t nr)
{
	return !kn_arena_of(kn_page_pfn(area))->huge && is_huge(nr);
}

void kn_vmap_drop(struct page *area)
{
	struct kn_arena *a = kn_arena_of(kn_page_pfn(area));

	kn_probe_vfree(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT);
	kn_map_set(kn_page_pfn(area), KN_ID_NONE);
	count_freed(a, kn_area_pages(area));
	area = whole(area);
	set_freed(area);
	purge(a, area);
}

void kn_vmap_lose(struct page *area)
{
	kn_probe_vfree(kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT);
	kn_map_set(kn_page_pfn(area), KN_ID_NONE);
	count_freed(kn_arena_of(kn_page_pfn(area)), kn_area_pages(area));
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
	struct kn_arena *a;

	if (!kn_vmap_has(p))
		return NULL;
	pfn = kn_pfn(p);
	a = kn_arena_of(pfn);
	if ((uintptr_t)p >= kn_load(&a->top))
		return NULL;
	lowest = kn_pfn((void *)a->base);
	for (head = pfn; kn_map_id(head) != KN_ID_VMALLOC;
	     head--)
		if (head == lowest)
			return NULL;
	area = kn_page(head);
	return pfn - head + nr <= kn_area_pages(area) ? area : NULL;
}

/* A child would have lost what grows just now. */
static void lock_quiet(struct kn_arena *a)
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
			lock_quiet(&kn_arenas[node][i]);
}

void kn_vmap_unlock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++)
			kn_unlock(&kn_arenas[node][i].lock);
}

void kn_vmap_reset(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++) {
			kn_lock_reset(&kn_arenas[node][i].lock);
			kn_arenas[node][i].growing = 0;
			kn_arenas[node][i].walks = NULL;
		}
}
