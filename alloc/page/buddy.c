/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/buddy.h"

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/magazine.h"

/* Which of the lists a free block is on: with neither it is cold. */
#define KIND	    ((uint8_t)(KN_PAGE_WARM | KN_PAGE_POOL))

/* Free blocks of an order examined for one of which the right thing is known. */
#define WARM_SEARCH 8

/* Which warm blocks a call may have, Z4. */
enum warm {
	WARM_ANY,
	WARM_SURE,  /* surely in memory */
	WARM_OTHER, /* not the reserve */
};

static uint32_t *list_of(struct kn_zone *z, unsigned order, uint8_t flags)
{
	if (flags & KN_PAGE_POOL)
		return &z->pool[order];
	return flags & KN_PAGE_WARM ? &z->warm[order] : &z->cold[order];
}

static enum kn_zone_kind kind_of(uint8_t flags)
{
	if (flags & KN_PAGE_POOL)
		return KN_ZONE_POOL;
	return flags & KN_PAGE_WARM ? KN_ZONE_WARM : KN_ZONE_COLD;
}

/* Whether nothing there asks for huge pages, ever. */
static bool is_base_part(const struct kn_zone *z, uint32_t pfn)
{
	return !kn_tun.huge_pages ||
	       (uintptr_t)kn_pfn_address(pfn) <
		       kn_window_base((int)(z - kn_zones)) + kn_tun.huge_after;
}

/* Whether a warm block can go back: it is no part of a huge page. */
static bool is_loose(const struct kn_zone *z, uint32_t pfn, unsigned order)
{
	return order >= KN_HUGE_ORDER || is_base_part(z, pfn);
}

/* Counts a block in (@sign 1) or out (-1) of the free lists. */
static void account(struct kn_zone *z, uint32_t pfn, unsigned order,
		    uint8_t flags, int sign)
{
	const uint64_t n = (uint64_t)sign << order;

	z->nr_blocks[kind_of(flags)][order] += (uint32_t)sign;
	kn_store(&z->nr_free, z->nr_free + n);
	if (flags & KN_PAGE_WARM)
		kn_store(&z->nr_warm, z->nr_warm + n);
	if (flags & KN_PAGE_WARM && is_loose(z, pfn, order))
		kn_store(&z->nr_loose, z->nr_loose + n);
	else if (flags & KN_PAGE_WARM && order >= KN_PART_ORDER)
		kn_store(&z->nr_parts, z->nr_parts + n);
	if (flags & KN_PAGE_SURE)
		kn_store(&z->nr_sure, z->nr_sure + n);
}

static void list_block(struct kn_zone *z, uint32_t pfn, unsigned order,
		       uint8_t flags)
{
	struct page *page = kn_page(pfn);

	kn_store(&page->type, KN_PAGE_FREE);
	kn_store(&page->order, (uint8_t)order);
	page->flags = flags;
	kn_page_list_add(list_of(z, order, flags), pfn);
	account(z, pfn, order, flags, 1);
}

void kn_buddy_unlist(struct kn_zone *z, uint32_t pfn)
{
	struct page *page = kn_page(pfn);

	kn_page_list_del(list_of(z, page->order, page->flags), pfn);
	account(z, pfn, page->order, page->flags, -1);
	kn_store(&page->type, KN_PAGE_NONE);
}

/*
 * The free buddy that a block may merge with, or KN_PFN_NONE.  Windows and
 * steps of growth are multiples of the largest block, so the buddy of a smaller
 * one has a descriptor.
 */
static uint32_t free_buddy(uint32_t pfn, unsigned order, uint8_t flags)
{
	const uint32_t buddy = pfn ^ (1u << order);
	const struct page *page = kn_page(buddy);

	/* Of a block in use its owner writes the type. */
	if (kn_load(&page->type) != KN_PAGE_FREE || page->order != order ||
	    (page->flags ^ flags) & KIND)
		return KN_PFN_NONE;
	return buddy;
}

void kn_buddy_free(struct kn_zone *z, uint32_t pfn, unsigned order,
		   uint8_t flags)
{
	while (order < KN_MAX_ORDER) {
		const uint32_t buddy = free_buddy(pfn, order, flags);

		if (buddy == KN_PFN_NONE)
			break;
		/* What is known of both halves is known of the whole. */
		flags &= kn_page(buddy)->flags;
		kn_buddy_unlist(z, buddy);
		pfn &= ~(1u << order);
		order++;
	}
	list_block(z, pfn, order, flags);
}

void kn_buddy_free_range(struct kn_zone *z, uint32_t pfn, uint32_t nr,
			 uint8_t flags)
{
	while (nr) {
		const unsigned order = kn_buddy_order(pfn, nr);

		kn_buddy_free(z, pfn, order, flags);
		pfn += 1u << order;
		nr -= 1u << order;
	}
}

void kn_buddy_take_deferred(struct kn_zone *z)
{
	ck_stack_entry_t *e;

	if (likely(!ck_pr_load_ptr(&z->deferred.head)))
		return;
	e = ck_stack_batch_pop_upmc(&z->deferred);
	while (e) {
		struct page *page = kn_container_of(e, struct page, link);

		e = e->next;
		kn_buddy_free(z, kn_page_pfn(page), page->order, page->flags);
	}
}

/* Cuts the listed block @pfn down to @order; the upper halves stay free. */
static void split_to(struct kn_zone *z, uint32_t pfn, unsigned order)
{
	struct page *page = kn_page(pfn);
	unsigned from = page->order;
	const uint8_t flags = page->flags;

	kn_buddy_unlist(z, pfn);
	while (from > order) {
		from--;
		list_block(z, pfn + (1u << from), from, flags);
	}
	kn_store(&page->order, (uint8_t)order);
	page->flags = flags;
}

static uint32_t find_pool(const struct kn_zone *z, unsigned order)
{
	for (unsigned o = order; o < KN_NR_ORDERS && !z->pool_shut; o++)
		if (z->pool[o] != KN_PFN_NONE)
			return z->pool[o];
	return KN_PFN_NONE;
}

static bool is_wanted(uint32_t pfn, enum warm which)
{
	const bool sure = kn_page(pfn)->flags & KN_PAGE_SURE;

	return which == WARM_ANY || sure == (which == WARM_SURE);
}

static uint32_t find_warm(const struct kn_zone *z, unsigned order,
			  enum warm which)
{
	for (unsigned o = order; o < KN_NR_ORDERS; o++) {
		uint32_t pfn = z->warm[o];

		for (int i = 0; i < WARM_SEARCH && pfn != KN_PFN_NONE; i++) {
			if (is_wanted(pfn, which))
				return pfn;
			pfn = kn_page(pfn)->next;
		}
	}
	return KN_PFN_NONE;
}

bool kn_buddy_is_huge_part(const struct kn_zone *z, uint32_t pfn)
{
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);

	return !is_base_part(z, pfn) && !kn_span_is_sparse(at);
}

/*
 * A cold block of at least @order becomes warm, and is returned listed.  Where
 * memory comes in huge pages, no less than one of them.
 */
static uint32_t warm_up(struct kn_zone *z, unsigned order)
{
	for (unsigned o = order; o < KN_NR_ORDERS; o++) {
		const uint32_t pfn = z->cold[o];
		unsigned part = order;
		uint8_t flags;

		if (pfn == KN_PFN_NONE)
			continue;
		if (kn_buddy_is_huge_part(z, pfn))
			part = KN_MIN(o, KN_MAX(order, KN_HUGE_ORDER));
		split_to(z, pfn, part);
		flags = kn_page(pfn)->flags | KN_PAGE_WARM;
		list_block(z, pfn, part, flags);
		kn_store(&z->warmed, z->warmed + (1u << part));
		kn_store(&z->may_fault,
			 z->may_fault - KN_MIN(z->may_fault, 1u << part));
		return pfn;
	}
	return KN_PFN_NONE;
}

bool kn_buddy_may_warm_up(const struct kn_zone *z, unsigned order)
{
	return kn_topo.nr_nodes == 1 || kn_load(&z->may_fault) >= 1u << order;
}

/* Whether a block can be had, and @keep bytes stay surely in memory. */
static bool leaves(const struct kn_zone *z, unsigned order, uint64_t keep)
{
	return z->nr_sure >= (keep >> KN_PAGE_SHIFT) + (1u << order);
}

/*
 * What a call that may wait takes: the reserve is @last, because it would have to
 * be filled again, with memory that may have been untouched.
 */
static enum warm warm_for_waiting(const struct kn_zone *z, unsigned order,
				  bool last)
{
	return last || leaves(z, order, kn_tun.reserve) ? WARM_ANY : WARM_OTHER;
}

static uint32_t find_for_waiting(struct kn_zone *z, unsigned order, bool last)
{
	uint32_t pfn = find_pool(z, order);

	if (pfn == KN_PFN_NONE)
		pfn = find_warm(z, order, warm_for_waiting(z, order, last));
	if (pfn == KN_PFN_NONE && kn_buddy_may_warm_up(z, order))
		pfn = warm_up(z, order);
	return pfn;
}

/* What is surely in memory; only urgent calls take the reserve. */
static uint32_t find_present(const struct kn_zone *z, unsigned order, gfp_t gfp)
{
	uint32_t pfn;

	if (!leaves(z, order, kn_gfp_urgent(gfp) ? 0 : kn_tun.reserve))
		return KN_PFN_NONE;
	pfn = find_pool(z, order);
	return pfn != KN_PFN_NONE ? pfn : find_warm(z, order, WARM_SURE);
}

uint32_t kn_buddy_take(struct kn_zone *z, unsigned order, gfp_t gfp, bool last)
{
	const uint32_t pfn = gfpflags_allow_blocking(gfp) ?
				     find_for_waiting(z, order, last) :
				     find_present(z, order, gfp);

	if (pfn == KN_PFN_NONE)
		return KN_PFN_NONE;
	split_to(z, pfn, order);
	kn_store(&z->least_warm, KN_MIN(z->least_warm, z->nr_warm));
	kn_page(pfn)->flags &= (uint8_t)~KIND;
	kn_store(&kn_page(pfn)->type, KN_PAGE_PAGES);
	return pfn;
}

uint32_t kn_buddy_take_whole(struct kn_zone *z, unsigned order)
{
	uint32_t pfn = find_warm(z, order, WARM_OTHER);

	if (pfn == KN_PFN_NONE && kn_buddy_may_warm_up(z, order))
		pfn = warm_up(z, order);
	if (pfn != KN_PFN_NONE)
		kn_buddy_unlist(z, pfn);
	return pfn;
}

unsigned kn_buddy_smallest(const struct kn_zone *z, unsigned least, gfp_t gfp)
{
	const enum warm which = gfpflags_allow_blocking(gfp) ?
					warm_for_waiting(z, least, false) :
					WARM_SURE;
	uint32_t pfn = find_pool(z, least);

	if (pfn == KN_PFN_NONE)
		pfn = find_warm(z, least, which);
	return pfn == KN_PFN_NONE ? KN_MAX_ORDER : kn_page(pfn)->order;
}

static bool verify_list(struct kn_zone *z, unsigned order, uint8_t kind,
			uint64_t *nr, uint64_t *nr_sure)
{
	const uint64_t before = *nr;
	const uint32_t nr_blocks = z->nr_blocks[kind_of(kind)][order];
	uint32_t pfn = *list_of(z, order, kind);

	for (; pfn != KN_PFN_NONE; pfn = kn_page(pfn)->next) {
		const struct page *page = kn_page(pfn);
		const struct page *buddy = kn_page(pfn ^ (1u << order));

		if (page->type != KN_PAGE_FREE || page->order != order ||
		    (page->flags & KIND) != kind) {
			kn_warn("Z1: page %u is on the wrong list", pfn);
			return false;
		}
		if (order < KN_MAX_ORDER &&
		    kn_load(&buddy->type) == KN_PAGE_FREE &&
		    buddy->order == order && (buddy->flags & KIND) == kind) {
			kn_warn("Z3: page %u and its buddy are free", pfn);
			return false;
		}
		*nr += 1u << order;
		if (page->flags & KN_PAGE_SURE)
			*nr_sure += 1u << order;
	}
	if (*nr - before != (uint64_t)nr_blocks << order) {
		kn_warn("Z2: %u blocks of order %u are counted", nr_blocks,
			order);
		return false;
	}
	return true;
}

/* Whether nr_loose and nr_parts are right. */
static bool verify_purgeable(const struct kn_zone *z)
{
	uint64_t loose = 0, parts = 0;

	for (unsigned o = 0; o < KN_NR_ORDERS; o++)
		for (uint32_t pfn = z->warm[o]; pfn != KN_PFN_NONE;
		     pfn = kn_page(pfn)->next) {
			if (is_loose(z, pfn, o))
				loose += 1u << o;
			else if (o >= KN_PART_ORDER)
				parts += 1u << o;
		}
	return loose == z->nr_loose && parts == z->nr_parts;
}

bool kn_buddy_verify(struct kn_zone *z)
{
	uint64_t cold = 0, warm = 0, pool = 0, sure = 0;
	bool ok = true;

	for (unsigned o = 0; o < KN_NR_ORDERS && ok; o++)
		ok = verify_list(z, o, 0, &cold, &sure) &&
		     verify_list(z, o, KN_PAGE_WARM, &warm, &sure) &&
		     verify_list(z, o, KN_PAGE_POOL, &pool, &sure);
	if (ok && (cold + warm + pool != z->nr_free || warm != z->nr_warm ||
		   sure != z->nr_sure || !verify_purgeable(z))) {
		kn_warn("Z2, Z4: node %d counts do not match its lists",
			(int)(z - kn_zones));
		ok = false;
	}
	return ok;
}
