/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/large.h"

#include <string.h>

#include "alloc/account/ext.h"
#include "alloc/base/assert.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/away.h"
#include "alloc/stats/stats.h"

/*
 * Where a magazine opens with room for two runs only, the depot and the zone's
 * lock are met once for so many when many come and go; the first refill is one
 * run.  Shorter runs keep to half a magazine: a batch of them is no larger than
 * the blocks that calls which may not wait live on.
 */
#define RUN_BATCH	8
#define RUN_BATCH_BYTES ((size_t)1 << 20)

uint32_t kn_run_place[KN_RUN_MOST];

static struct kn_magcache runs[KN_NR_RUNS];
static bool hold_all; /* R3 */

static void set_run(uint32_t pfn, uint64_t nr, uint8_t flags, uint32_t id)
{
	struct page *page = kn_page(pfn);

	kn_store(&page->type, KN_PAGE_LARGE);
	kn_store(&page->nr_pages, nr);
	page->flags = flags;
	kn_map_set(pfn, id);
}

/* What the map says of a run with a magazine that is free. */
static uint32_t id_of(const struct kn_magcache *c)
{
	return hold_all ? KN_ID_NONE : c->id;
}

static uint32_t length_of(const struct kn_magcache *c)
{
	return kn_run_pages(c->id - KN_ID_RUN);
}

static uint32_t run_refill(struct kn_magcache *c, int node, gfp_t gfp,
			   void **obj, uint32_t n)
{
	const uint32_t nr = length_of(c);
	uint32_t pfn[KN_BATCH_MAX];

	/* What is surely in memory is left to others. */
	if (!gfpflags_allow_blocking(gfp))
		n = 1;
	n = kn_zone_alloc_runs(node, nr, gfp, pfn, n);
	for (uint32_t i = 0; i < n; i++) {
		set_run(pfn[i], nr, kn_page(pfn[i])->flags & KN_PAGE_SURE,
			id_of(c));
		obj[i] = kn_pfn_address(pfn[i]);
	}
	return n;
}

static kn_slow void report_returned(const void *p)
{
	const bool inside = (uintptr_t)p & (KN_PAGE_SIZE - 1);

	kn_stat_add(inside ? KN_STAT_invalid_free : KN_STAT_double_free, 1);
	kn_bug(inside ? "invalid free: %p is not the start of a large object" :
			"double free: large object %p was free already",
	       p);
}

/* Whether @p is a run of @nr pages; it is none any more. */
static bool end_run(void *p, uint64_t nr)
{
	struct page *page = kn_page(kn_pfn(p));

	if (unlikely(p != kn_page_addr(page) || page->type != KN_PAGE_LARGE ||
		     page->nr_pages != nr)) {
		report_returned(p);
		return false;
	}
	kn_map_set(kn_page_pfn(page), KN_ID_NONE);
	kn_away_forget(page, nr);
	kn_store(&page->type, KN_PAGE_NONE);
	return true;
}

static void run_flush(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	const uint32_t nr = length_of(c);
	uint32_t pfn[KN_BATCH_MAX], k = 0;

	(void)node;
	for (uint32_t i = 0; i < n; i++)
		if (end_run(obj[i], nr))
			pfn[k++] = kn_pfn(obj[i]);
	kn_zone_free_runs(pfn, k, nr);
}

static void init_one(unsigned class, struct kn_depot *depot)
{
	const size_t bytes = (size_t)kn_run_pages(class) << KN_PAGE_SHIFT;
	struct kn_magcache *c = &runs[class];

	c->depot = depot;
	c->name = "large objects";
	c->refill = run_refill;
	c->flush = run_flush;
	kn_magcache_init(c, (uint16_t)(KN_ID_RUN + class), bytes);
	if (c->capacity <= 2)
		kn_magcache_set_batch(c, RUN_BATCH, RUN_BATCH_BYTES);
	kn_id_room[c->id] = (uint32_t)bytes;
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		depot[node].ramp = 1;
}

void kn_large_init(struct kn_depot *depot)
{
	hold_all = kn_allocs_are_slow() || kn_tun.init_on_free ||
		   kn_tun.quarantine || kn_tun.check;
	for (unsigned class = 0; class < KN_NR_RUNS; class ++)
		init_one(class, depot + class * (size_t)kn_topo.nr_nodes);
}

void kn_large_open(void)
{
	for (uint32_t nr = 1; !hold_all && nr <= KN_RUN_MOST; nr++)
		kn_store_release(&kn_run_place[nr - 1],
				 runs[kn_run_class(nr)].place);
}

struct kn_magcache *kn_large_cache(uint64_t nr)
{
	const unsigned class = nr - 1 < KN_RUN_MOST ? kn_run_class(nr) : 0;

	return kn_run_pages(class) == nr ? &runs[class] : NULL;
}

size_t kn_large_bytes(size_t size)
{
	const size_t bytes = KN_ALIGN_UP(size, KN_PAGE_SIZE);
	const uint64_t nr = bytes >> KN_PAGE_SHIFT;

	return nr - 1 < KN_RUN_MOST ?
		       (size_t)kn_run_pages(kn_run_class(nr)) << KN_PAGE_SHIFT :
		       bytes;
}

void kn_large_hold(const struct page *page)
{
	kn_map_set(kn_page_pfn(page), KN_ID_LARGE);
}

/* A run at the start of a block of the zone, with all that is known of it. */
static void *fresh_run(int node, uint64_t nr, unsigned order, gfp_t gfp,
		       uint32_t id)
{
	const uint32_t pfn = kn_zone_alloc(node, order, gfp);
	uint8_t flags;

	if (pfn == KN_PFN_NONE)
		return NULL;
	flags = kn_page(pfn)->flags & (KN_PAGE_ZERO | KN_PAGE_SURE);
	if (nr < 1u << order)
		kn_zone_free_range(pfn + (uint32_t)nr,
				   (1u << order) - (uint32_t)nr, flags,
				   gfpflags_allow_blocking(gfp));
	set_run(pfn, nr, flags, id);
	return kn_pfn_address(pfn);
}

/*
 * Magazine, depot, zone; *@hit: the magazine had it.  A refill forgets which runs
 * are zero, so there is none for what is asked for as zero; and none grows the
 * zone.
 */
static void *run_of_node(struct kn_magcache *c, int node, gfp_t gfp, bool *hit)
{
	const uint32_t nr = length_of(c);
	void *p = NULL;

	*hit = kn_mag_pop_some(c, node, &p, 1);
	if (!*hit)
		p = NULL; /* what a section that was interrupted has left */
	if (!p && (!(gfp & __GFP_ZERO) || kn_load(&c->depot[node].nr_full)))
		p = kn_mag_alloc(c, node, gfp);
	if (p && !gfpflags_allow_blocking(gfp) &&
	    !(kn_page(kn_pfn(p))->flags & KN_PAGE_SURE)) {
		kn_mag_free(c, node, p);
		p = NULL;
		*hit = false;
	}
	return p ? p : fresh_run(node, nr, kn_log2_up(nr), gfp, id_of(c));
}

/* By the zonelist of @node: of @c, or a run of @nr pages of a block. */
static void *run_by_zonelist(struct kn_magcache *c, uint64_t nr, unsigned order,
			     gfp_t gfp, int node)
{
	const struct kn_zonelist *zl = kn_zonelist(node);
	const bool only = gfp & __GFP_THISNODE;
	void *p = NULL;

	for (int i = 0; i < (only ? 1 : zl->nr) && !p; i++) {
		const int from = only ? node : zl->node[i];
		bool hit = false;

		p = c ? run_of_node(c, from, gfp, &hit) :
			fresh_run(from, nr, order, gfp, KN_ID_LARGE);
		if (p && (!hit || from != node))
			kn_node_account(node, from);
	}
	return p;
}

static void zero_if(struct page *page, uint64_t nr, gfp_t gfp)
{
	if ((gfp & __GFP_ZERO || kn_tun.init_on_alloc) &&
	    !(page->flags & KN_PAGE_ZERO))
		memset(kn_page_addr(page), 0, nr << KN_PAGE_SHIFT);
	page->flags &= (uint8_t)~KN_PAGE_ZERO;
}

void *kn_large_alloc(size_t bytes, size_t align, gfp_t gfp, int node)
{
	const uint64_t nr = KN_ALIGN_UP(bytes, KN_PAGE_SIZE) >> KN_PAGE_SHIFT;
	const uint64_t align_nr = align >> KN_PAGE_SHIFT;
	const unsigned order = KN_MAX(kn_log2_up(nr), kn_log2(align_nr));
	struct kn_magcache *c = nr % align_nr ? NULL : kn_large_cache(nr);
	struct page *page;
	void *p;

	if (kn_large_is_refused(gfp))
		return NULL;
	p = run_by_zonelist(c, nr, order, gfp, node);
	if (!p)
		return NULL;
	page = kn_page(kn_pfn(p));
	zero_if(page, nr, gfp);
	if (hold_all)
		kn_large_hold(page);
	return p;
}

void kn_large_free(struct page *page, bool may_block)
{
	const uint32_t pfn = kn_page_pfn(page);
	const uint64_t nr = page->nr_pages;
	struct kn_magcache *c = kn_large_cache(nr);
	void *p = kn_page_addr(page);

	if (unlikely(kn_tun.init_on_free))
		memset(p, 0, nr << KN_PAGE_SHIFT);
	kn_away_forget(page, nr);
	kn_ext_take(&page->ext, p, nr << KN_PAGE_SHIFT);
	page->flags &= KN_PAGE_SURE;
	if (c) {
		kn_map_set(pfn, id_of(c));
		kn_mag_free(c, kn_pfn_node(pfn), p);
		return;
	}
	kn_map_set(pfn, KN_ID_NONE);
	kn_store(&page->type, KN_PAGE_NONE);
	kn_zone_free_range(pfn, (uint32_t)nr, page->flags, may_block);
}

void kn_large_trim(bool all)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (unsigned class = 0; class < KN_NR_RUNS; class ++) {
			if (all)
				kn_depot_flush(&runs[class], node, 0);
			else
				kn_depot_trim(&runs[class], node, UINT64_MAX);
		}
}
