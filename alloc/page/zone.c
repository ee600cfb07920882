/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/zone.h"

#include <errno.h>
#include <string.h>

#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/away.h"
#include "alloc/page/buddy.h"
#include "alloc/page/grow.h"
#include "alloc/stats/stats.h"
#include "numa/hugetlb.h"

struct kn_zone kn_zones[KN_MAX_NODES];

/* Others may take what was grown: a thread gives up after so many times. */
#define GROW_TRIES 1000

void kn_zone_init(int node)
{
	struct kn_zone *z = &kn_zones[node];

	z->lock = (struct kn_lock)KN_LOCK_INIT(zone);
	for (unsigned order = 0; order < KN_NR_ORDERS; order++) {
		z->cold[order] = KN_PFN_NONE;
		z->warm[order] = KN_PFN_NONE;
		z->pool[order] = KN_PFN_NONE;
	}
	z->isolated = KN_PFN_NONE;
	z->grown = kn_window_base(node);
}

/* False when the lock is taken and @gfp may not wait for it. */
static bool lock_to_take(struct kn_zone *z, gfp_t gfp)
{
	const bool may_block = gfpflags_allow_blocking(gfp);

	if (may_block && !(gfp & KN_GFP_MALLOC))
		kn_zone_fill_reserve(z);
	if (!kn_lock_if(&z->lock, may_block)) {
		kn_stat_add(KN_STAT_nowait_contended, 1);
		return false;
	}
	kn_buddy_take_deferred(z);
	return true;
}

static uint32_t alloc_bulk(int node, unsigned order, gfp_t gfp, uint32_t *pfn,
			   uint32_t n, bool last)
{
	struct kn_zone *z = &kn_zones[node];
	uint32_t got = 0;

	if (!lock_to_take(z, gfp))
		return 0;
	while (got < n) {
		pfn[got] = kn_buddy_take(z, order, gfp, last);
		if (pfn[got] == KN_PFN_NONE)
			break;
		got++;
	}
	kn_unlock_if(&z->lock, gfpflags_allow_blocking(gfp));
	return got;
}

uint32_t kn_zone_alloc_bulk(int node, unsigned order, gfp_t gfp, uint32_t *pfn,
			    uint32_t n)
{
	return alloc_bulk(node, order, gfp, pfn, n, false);
}

/* What is known of a block that is free from now on. */
static uint8_t freed_flags(const struct kn_zone *z, uint32_t pfn, uint8_t flags)
{
	if (likely(!kn_tun.hugetlb) || !kn_pfn_is_pool(pfn))
		return flags | KN_PAGE_WARM;
	if (z->pool_shut)
		return (flags & (uint8_t)~KN_PAGE_SURE) | KN_PAGE_POOL;
	return flags | KN_PAGE_SURE | KN_PAGE_POOL;
}

/*
 * A block with room for @most runs of @nr pages and not for more.  A smaller one
 * is used up first: large ones stay large, and memory that is there comes before
 * other memory.
 */
static uint32_t block_for_runs(struct kn_zone *z, uint32_t nr, uint32_t most,
			       gfp_t gfp, unsigned *order)
{
	const unsigned least = kn_log2_up(nr);
	const unsigned fits = kn_log2((most + 1ull) * nr - 1);
	uint32_t pfn;

	*order = KN_MIN(fits, kn_buddy_smallest(z, least, gfp));
	for (;; --*order) {
		pfn = kn_buddy_take(z, *order, gfp, false);
		if (pfn != KN_PFN_NONE || *order == least)
			return pfn;
	}
}

/* Cuts the block into runs; what is behind the last one is free again. */
static uint32_t cut_runs(struct kn_zone *z, uint32_t block, unsigned order,
			 uint32_t nr, uint32_t *pfn)
{
	const uint8_t flags = kn_page(block)->flags;
	const uint32_t n = (1u << order) / nr;

	for (uint32_t i = 0; i < n; i++) {
		pfn[i] = block + i * nr;
		kn_page(pfn[i])->flags = flags;
	}
	if ((1u << order) % nr)
		kn_buddy_free_range(z, block + n * nr, (1u << order) % nr,
				    freed_flags(z, block, flags));
	return n;
}

uint32_t kn_zone_alloc_runs(int node, uint32_t nr, gfp_t gfp, uint32_t *pfn,
			    uint32_t n)
{
	struct kn_zone *z = &kn_zones[node];
	uint32_t got = 0;

	if (!lock_to_take(z, gfp))
		return 0;
	while (got < n) {
		unsigned order;
		const uint32_t block =
			block_for_runs(z, nr, n - got, gfp, &order);

		if (block == KN_PFN_NONE)
			break;
		got += cut_runs(z, block, order, nr, &pfn[got]);
	}
	kn_unlock_if(&z->lock, gfpflags_allow_blocking(gfp));
	return got;
}

uint32_t kn_zone_alloc(int node, unsigned order, gfp_t gfp)
{
	struct kn_zone *z = &kn_zones[node];
	const bool may_block = gfpflags_allow_blocking(gfp);
	bool gave = false;
	uint32_t pfn;

	/* 1. The free lists. */
	if (kn_zone_alloc_bulk(node, order, gfp, &pfn, 1))
		return pfn;
	if (!may_block)
		return KN_PFN_NONE;
	kn_stat_add(KN_STAT_page_alloc_slow, 1);
	/* 2. More memory of the node; another thread may take it first. */
	for (int i = 0; i < GROW_TRIES && kn_zone_has_room(z, node, order);) {
		int err;

		if (kn_zone_alloc_bulk(node, order, gfp, &pfn, 1))
			return pfn;
		err = kn_zone_grow(z, node);
		if (err == -EAGAIN)
			continue;
		/* Once: others may have address space that they do not need. */
		if (err && !gave && kn_give_back()) {
			gave = true;
			continue;
		}
		if (err)
			break;
		i++;
	}
	/* 3. The reserve, and what the pool gave meanwhile, need no room. */
	return alloc_bulk(node, order, gfp, &pfn, 1, true) ? pfn : KN_PFN_NONE;
}

void kn_zone_free(uint32_t pfn, unsigned order, uint8_t flags, bool may_block)
{
	struct kn_zone *z = &kn_zones[kn_pfn_node(pfn)];

	flags = freed_flags(z, pfn, flags);
	if (!kn_lock_if(&z->lock, may_block)) {
		struct page *page = kn_page(pfn);

		kn_store(&page->order, (uint8_t)order);
		page->flags = flags;
		ck_stack_push_upmc(&z->deferred, &page->link);
		return;
	}
	kn_buddy_take_deferred(z);
	kn_buddy_free(z, pfn, order, flags);
	kn_unlock_if(&z->lock, may_block);
}

void kn_zone_free_range(uint32_t pfn, uint32_t nr, uint8_t flags,
			bool may_block)
{
	struct kn_zone *z = &kn_zones[kn_pfn_node(pfn)];

	if (kn_lock_if(&z->lock, may_block)) {
		kn_buddy_free_range(z, pfn, nr, freed_flags(z, pfn, flags));
		kn_buddy_take_deferred(z);
		kn_unlock_if(&z->lock, may_block);
		return;
	}
	/* Each block waits on its own descriptor. */
	while (nr) {
		const unsigned order = kn_buddy_order(pfn, nr);

		kn_zone_free(pfn, order, flags, false);
		pfn += 1u << order;
		nr -= 1u << order;
	}
}

void kn_zone_free_runs(const uint32_t *pfn, uint32_t n, uint32_t nr)
{
	const uint8_t known = KN_PAGE_ZERO | KN_PAGE_SURE;
	struct kn_zone *z;

	if (!n)
		return;
	z = &kn_zones[kn_pfn_node(pfn[0])];
	if (!kn_lock_if(&z->lock, false)) {
		for (uint32_t i = 0; i < n; i++)
			kn_zone_free_range(pfn[i], nr,
					   kn_page(pfn[i])->flags & known,
					   false);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		kn_buddy_free_range(
			z, pfn[i], nr,
			freed_flags(z, pfn[i], kn_page(pfn[i])->flags & known));
	kn_buddy_take_deferred(z);
	kn_unlock_if(&z->lock, false);
}

void kn_zone_levels(int node, struct kn_zone_levels *l)
{
	struct kn_zone *z = &kn_zones[node];

	*l = (struct kn_zone_levels){0};
	kn_lock(&z->lock);
	kn_buddy_take_deferred(z);
	memcpy(l->free, z->nr_blocks, sizeof(l->free));
	for (uint32_t pfn = z->isolated; pfn != KN_PFN_NONE;
	     pfn = kn_page(pfn)->next)
		l->isolated[kn_page(pfn)->order]++;
	l->managed = kn_load(&z->managed);
	l->pool = z->nr_pool;
	kn_unlock(&z->lock);
}

bool kn_zone_verify(int node)
{
	struct kn_zone *z = &kn_zones[node];
	bool ok;

	kn_lock(&z->lock);
	kn_buddy_take_deferred(z);
	ok = kn_buddy_verify(z);
	kn_unlock(&z->lock);
	return ok;
}

void kn_zones_lock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		struct kn_zone *z = &kn_zones[node];

		kn_lock_next(&z->lock);
		/* A child would have lost what grows just now. */
		while (kn_load(&z->growing)) {
			kn_unlock(&z->lock);
			kn_wait_clear(&z->growing);
			kn_lock_next(&z->lock);
		}
	}
}

void kn_zones_unlock_all(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		kn_unlock(&kn_zones[node].lock);
}

/* What is shared with the parent is in memory until it is written. */
static void shut_pool(struct kn_zone *z)
{
	kn_buddy_take_deferred(z);
	z->pool_shut = 1;
	for (unsigned o = 0; o < KN_NR_ORDERS; o++)
		for (uint32_t pfn = z->pool[o]; pfn != KN_PFN_NONE;
		     pfn = kn_page(pfn)->next) {
			struct page *page = kn_page(pfn);

			if (page->flags & KN_PAGE_SURE)
				kn_store(&z->nr_sure, z->nr_sure - (1u << o));
			page->flags &= (uint8_t)~KN_PAGE_SURE;
		}
}

void kn_zones_reset(void)
{
	/* Of threads that are not in this process. */
	kn_away_marking = 0;
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		struct kn_zone *z = &kn_zones[node];
		uint32_t pfn;

		kn_lock_reset(&z->lock);
		z->growing = 0;
		z->filling = 0;
		if (kn_hugetlb_bytes())
			shut_pool(z);
		while ((pfn = z->isolated) != KN_PFN_NONE) {
			kn_page_list_del(&z->isolated, pfn);
			kn_buddy_free(z, pfn, kn_page(pfn)->order,
				      KN_PAGE_WARM);
		}
	}
}
