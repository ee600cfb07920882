/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/page/away.h"
#include "alloc/page/buddy.h"
#include "alloc/page/grow.h"
#include "alloc/stats/stats.h"

/* What a trim takes. */
struct trim {
	bool all;   /* whatever is free */
	bool split; /* parts of huge pages, too */
	bool large; /* no small ones: a call each */
};

/* Small blocks cost more than they give. */
static unsigned least_order(const struct trim *t)
{
	return t->all && !t->large ? 0 : KN_PART_ORDER;
}

/* A part of a huge page gives nothing, unless the page is split for it. */
static bool is_taken(const struct kn_zone *z, uint32_t pfn, unsigned order,
		     const struct trim *t)
{
	return order >= (t->split ? KN_PART_ORDER : KN_HUGE_ORDER) ||
	       !kn_buddy_is_huge_part(z, pfn);
}

/* Takes a warm block to purge off its list; KN_PFN_NONE when there is none. */
static uint32_t isolate(struct kn_zone *z, const struct trim *t)
{
	const uint64_t keep = kn_tun.reserve >> KN_PAGE_SHIFT;

	for (int o = KN_MAX_ORDER; o >= (int)least_order(t); o--) {
		uint32_t pfn = z->warm[o];

		for (; pfn != KN_PFN_NONE; pfn = kn_page(pfn)->next) {
			const bool sure = kn_page(pfn)->flags & KN_PAGE_SURE;

			if (!is_taken(z, pfn, (unsigned)o, t))
				continue;
			if (sure && z->nr_sure < keep + (1u << o))
				continue;
			kn_buddy_unlist(z, pfn);
			kn_store(&kn_page(pfn)->type, KN_PAGE_ISOLATED);
			kn_store(&kn_page(pfn)->order, (uint8_t)o);
			kn_page_list_add(&z->isolated, pfn);
			return pfn;
		}
	}
	return KN_PFN_NONE;
}

/*
 * Of a block of the largest order that is free as a whole, descriptors other
 * than the first say nothing: zero is as good.  But not to who marks pages just
 * now, and counts the marks, AW3: the lock was taken since the block was freed.
 */
static void purge_descriptors(uint32_t pfn, unsigned order)
{
	const uintptr_t from =
		KN_ALIGN_UP((uintptr_t)kn_page(pfn + 1), KN_PAGE_SIZE);
	const uintptr_t to = KN_ALIGN_DOWN(
		(uintptr_t)kn_page(pfn + (1u << order)), KN_PAGE_SIZE);

	if (order == KN_MAX_ORDER && to > from && !kn_load(&kn_away_marking))
		(void)kn_span_purge(from, to - from);
}

/* Of a block that is off all lists. */
static int purge_block(const struct kn_zone *z, uint32_t pfn)
{
	const unsigned order = kn_page(pfn)->order;
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);

	if (order < KN_HUGE_ORDER && kn_buddy_is_huge_part(z, pfn))
		kn_span_split(at, KN_PAGE_SIZE << order);
	return kn_span_purge(at, KN_PAGE_SIZE << order);
}

/* Gives one block back.  The lock is not held over the system call. */
static uint64_t purge_one(struct kn_zone *z, const struct trim *t)
{
	size_t bytes;
	uint32_t pfn;
	uint8_t flags;
	int err;

	kn_lock(&z->lock);
	kn_buddy_take_deferred(z);
	pfn = isolate(z, t);
	kn_unlock(&z->lock);
	if (pfn == KN_PFN_NONE)
		return 0;
	bytes = KN_PAGE_SIZE << kn_page(pfn)->order;
	err = purge_block(z, pfn);
	if (!err)
		purge_descriptors(pfn, kn_page(pfn)->order);
	/* Refused: the block stays what it was, warm. */
	flags = err ? KN_PAGE_WARM : KN_PAGE_ZERO;
	kn_lock(&z->lock);
	kn_page_list_del(&z->isolated, pfn);
	kn_buddy_free(z, pfn, kn_page(pfn)->order, flags);
	kn_unlock(&z->lock);
	return err ? 0 : bytes;
}

static uint64_t trim(int node, uint64_t most, bool all, bool large)
{
	struct kn_zone *z = &kn_zones[node];
	const struct trim t = {
		.all = all,
		.split = kn_zone_is_hollow(z),
		.large = large,
	};
	uint64_t done = 0, got;

	if (kn_tun.lock_memory)
		return 0; /* resident is what the user asked for */
	if (!all) {
		const uint64_t idle = kn_load(&z->least_warm) << KN_PAGE_SHIFT;

		/* So that most of a burst of any size is gone in ten ticks. */
		most = KN_MIN(KN_MAX(most, idle / 4), idle);
	}
	while (done < most && (got = purge_one(z, &t)) != 0)
		done += got;
	kn_lock(&z->lock);
	kn_store(&z->least_warm, z->nr_warm);
	kn_unlock(&z->lock);
	if (done) {
		kn_stat_add(KN_STAT_purge_calls, 1);
		kn_stat_add(KN_STAT_purged_bytes, done);
	}
	return done;
}

uint64_t kn_zone_trim(int node, uint64_t most, bool all)
{
	return trim(node, most, all, false);
}

uint64_t kn_zone_trim_large(int node)
{
	return trim(node, UINT64_MAX, true, true);
}

bool (*kn_give_back_hook)(void);

/*
 * Whether the last KN_GROW_LEAST bytes are free, and may be unmapped: of one block,
 * or of several, since warm and cold memory do not merge.
 */
static bool last_may_go(const struct kn_zone *z, uintptr_t end, bool all)
{
	const uint64_t keep = kn_tun.reserve >> KN_PAGE_SHIFT;
	const uint32_t from = kn_pfn((void *)(end - KN_GROW_LEAST));
	uint64_t sure = 0;

	for (uint32_t at = 0; at < 1u << KN_MAX_ORDER;) {
		const struct page *page = kn_page(from + at);

		if (kn_load(&page->type) != KN_PAGE_FREE ||
		    (!all && page->flags & KN_PAGE_WARM))
			return false;
		if (page->flags & KN_PAGE_SURE)
			sure += 1u << page->order;
		at += 1u << page->order;
	}
	return !sure || z->nr_sure >= keep + sure;
}

static void unlist_last(struct kn_zone *z, uintptr_t end)
{
	const uint32_t from = kn_pfn((void *)(end - KN_GROW_LEAST));

	for (uint32_t at = 0; at < 1u << KN_MAX_ORDER;) {
		kn_buddy_unlist(z, from + at);
		at += 1u << kn_page(from + at)->order;
	}
}

/* Takes the free blocks at the end off the lists; the new end. */
static uintptr_t cut_end(struct kn_zone *z, int node, bool all)
{
	uintptr_t end = z->grown;

	while (end > kn_window_base(node) + KN_GROW_LEAST &&
	       last_may_go(z, end, all)) {
		unlist_last(z, end);
		end -= KN_GROW_LEAST;
	}
	ck_pr_sub_64(&z->managed, (z->grown - end) >> KN_PAGE_SHIFT);
	kn_store(&z->least_warm, KN_MIN(z->least_warm, z->nr_warm));
	return end;
}

uint64_t kn_zone_shrink(int node, bool all)
{
	struct kn_zone *z = &kn_zones[node];
	uintptr_t end, old_end;
	int err = 0;

	if (!kn_zone_claim_growth(z))
		return 0;
	kn_lock(&z->lock);
	kn_buddy_take_deferred(z);
	old_end = z->grown;
	end = cut_end(z, node, all);
	kn_store_release(&z->grown, end);
	kn_unlock(&z->lock);
	if (end < old_end)
		err = kn_span_shrink(end, old_end - end);
	if (err) {
		kn_lock(&z->lock);
		kn_buddy_free_range(z, kn_pfn((void *)end),
				    (uint32_t)((old_end - end) >>
					       KN_PAGE_SHIFT),
				    KN_PAGE_WARM);
		ck_pr_add_64(&z->managed, (old_end - end) >> KN_PAGE_SHIFT);
		kn_store_release(&z->grown, old_end);
		kn_unlock(&z->lock);
	}
	kn_store_release(&z->growing, 0);
	return err ? 0 : old_end - end;
}
