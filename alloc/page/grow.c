/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/grow.h"

#include <errno.h>
#include <sched.h>

#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/ids.h"
#include "alloc/page/buddy.h"
#include "alloc/stats/stats.h"
#include "numa/hugetlb.h"
#include "numa/placement.h"

#define GROW_HUGE KN_ALIGN_UP((size_t)64 << 20, KN_GROW_LEAST)

/* Memory that a node may fault after one look at what it has free. */
#define NODE_LOOK_EVERY ((int64_t)64 << 20)

/* Huge pages of a node that are left to others; its lowest zone is among them. */
#define HUGE_KEEPS ((int64_t)16 << 20)

/* What stays available to the machine when all its nodes are full. */
#define MACHINE_KEEPS ((int64_t)64 << 20)

/* Puts what tells of @nr pages, which nobody else has, into memory. */
static void populate_tables(uint32_t pfn, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i += KN_PAGE_SIZE / sizeof(struct page))
		kn_store(&kn_page(pfn + i)->type, KN_PAGE_NONE);
	for (uint32_t i = 0; i < nr; i += KN_PAGE_SIZE / sizeof(*kn_span.map))
		kn_map_set(pfn + i, KN_ID_NONE);
}

/* Writes one byte a page: the memory is there afterwards. */
static void populate(uint32_t pfn, unsigned order)
{
	for (uint32_t i = 0; i < 1u << order; i++)
		*(volatile char *)kn_pfn_address(pfn + i) = 0;
	populate_tables(pfn, 1u << order);
}

void kn_zone_fill_reserve(struct kn_zone *z)
{
	const uint64_t want = kn_tun.reserve >> KN_PAGE_SHIFT;
	const unsigned order = KN_MIN(kn_log2_up(want), (unsigned)KN_MAX_ORDER);
	uint32_t pfn;

	if (likely(kn_load(&z->nr_sure) >= want))
		return;
	if (!kn_load(&z->managed) || !ck_pr_cas_32(&z->filling, 0, 1))
		return;
	kn_lock(&z->lock);
	pfn = kn_buddy_take_whole(z, order);
	kn_unlock(&z->lock);
	if (pfn != KN_PFN_NONE) {
		const struct page *page = kn_page(pfn);

		populate(pfn, page->order);
		kn_zone_free(pfn, page->order,
			     KN_PAGE_SURE | (page->flags & KN_PAGE_ZERO), true);
	}
	kn_store_release(&z->filling, 0);
}

/* Bytes of the next step of growth from @grown on, with its flags. */
static size_t grow_step(int node, uintptr_t grown, unsigned *flags)
{
	const size_t done = grown - kn_window_base(node);

	*flags = kn_tun.lock_memory ? KN_GROW_LOCK : 0;
	if (done < kn_tun.huge_after)
		return KN_GROW_LEAST;
	if (kn_tun.huge_pages)
		*flags |= KN_GROW_HUGE;
	return GROW_HUGE;
}

/*
 * Whether no node that may serve for @node has @bytes free, and yet the system
 * can make that much free: its nodes are full of caches.
 */
static bool all_full_of_caches(int node, int64_t bytes)
{
	const struct kn_zonelist *zl = kn_zonelist(node);
	int64_t spare;

	for (int i = 0; i < zl->nr; i++)
		if (zl->node[i] != node &&
		    (kn_node_spare_bytes(zl->node[i], &spare) ||
		     spare >= bytes))
			return false;
	return kn_reclaimable_bytes() >= bytes + MACHINE_KEEPS;
}

/*
 * Base pages or huge ones for the next @bytes on @node; how many of @credit may
 * be faulted like that.  When no huge page is free on the node, the kernel
 * prefers one of another node to base pages at home: it must not be asked.
 */
static int64_t choose_page_size(int node, int64_t bytes, int64_t credit)
{
	const int64_t need = KN_ALIGN_UP(bytes, (int64_t)KN_HUGE_SIZE);
	int64_t huge;

	if (!kn_tun.huge_pages || kn_node_free_huge(node, &huge))
		return credit;
	huge -= HUGE_KEEPS;
	if (huge < need) {
		if (kn_span_set_huge(node, false))
			kn_stat_add(KN_STAT_huge_exhausted, 1);
		return credit;
	}
	if (huge >= need + NODE_LOOK_EVERY)
		kn_span_set_huge(node, true);
	return kn_span_is_huge(node) ? KN_MIN(credit, KN_MAX(need, huge / 2)) :
				       credit;
}

/*
 * Bytes that @node may fault before it is looked at again, at least @bytes; 0
 * when it has less.  When the whole machine is full of caches, no node is any
 * better, and the kernel drops some for the one that is asked.
 */
static int64_t look(int node, int64_t bytes)
{
	int64_t spare, credit;

	/* Not known: the fault decides, softly. */
	if (kn_node_spare_bytes(node, &spare))
		return KN_MAX(bytes, NODE_LOOK_EVERY);
	if (spare >= bytes)
		credit = KN_MAX(bytes, KN_MIN(spare / 2, NODE_LOOK_EVERY));
	else if (all_full_of_caches(node, bytes))
		credit = bytes;
	else
		return 0;
	return choose_page_size(node, bytes, credit);
}

static bool wants_pool(const struct kn_zone *z, int node)
{
	return kn_tun.hugetlb &&
	       z->grown >= kn_window_base(node) + kn_tun.huge_after;
}

bool kn_zone_has_room(struct kn_zone *z, int node, unsigned order)
{
	int64_t bytes;

	if (kn_buddy_may_warm_up(z, order))
		return true;
	bytes = look(node, (int64_t)(KN_PAGE_SIZE << order));
	if (!bytes)
		return wants_pool(z, node) && kn_hugetlb_free(node);
	kn_lock(&z->lock);
	kn_store(&z->may_fault, (uint64_t)bytes >> KN_PAGE_SHIFT);
	kn_unlock(&z->lock);
	return true;
}

bool kn_zone_take_room(int node, uint64_t pages)
{
	struct kn_zone *z = &kn_zones[node];

	if (kn_topo.nr_nodes == 1)
		return true;
	kn_lock(&z->lock);
	if (z->may_fault >= pages) {
		kn_store(&z->may_fault, z->may_fault - pages);
		kn_unlock(&z->lock);
		return true;
	}
	kn_unlock(&z->lock);
	return look(node, (int64_t)(pages << KN_PAGE_SHIFT)) != 0;
}

/* Only the grower reads and writes the marks before the blocks are listed. */
static void mark_pool(uintptr_t from, size_t bytes)
{
	for (size_t done = 0; done < bytes; done += KN_HUGE_SIZE)
		kn_page(kn_pfn((void *)(from + done)))->pool = 1;
	if (bytes)
		populate_tables(kn_pfn((void *)from),
				(uint32_t)(bytes >> KN_PAGE_SHIFT));
}

/* Extends the usable prefix by @step bytes.  No lock is held. */
static int grow_by(struct kn_zone *z, int node, size_t step, unsigned flags)
{
	const uintptr_t from = z->grown;
	size_t pool = 0;
	int err;

	if (from + step > kn_window_base(node) + kn_window_half())
		return -ENOMEM;
	kn_stat_add(KN_STAT_grow_calls, 1);
	err = kn_span_grow(from, step, flags,
			   wants_pool(z, node) ? &pool : NULL);
	if (err) {
		kn_stat_add(KN_STAT_grow_failed, 1);
		return err;
	}
	kn_store_release(&z->grown, from + step);
	ck_pr_add_64(&z->managed, step >> KN_PAGE_SHIFT);
	mark_pool(from, pool);
	kn_lock(&z->lock);
	z->nr_pool += pool >> KN_PAGE_SHIFT;
	kn_buddy_free_range(z, kn_pfn((void *)from),
			    (uint32_t)(pool >> KN_PAGE_SHIFT),
			    KN_PAGE_ZERO | KN_PAGE_SURE | KN_PAGE_POOL);
	kn_buddy_free_range(z, kn_pfn((void *)(from + pool)),
			    (uint32_t)((step - pool) >> KN_PAGE_SHIFT),
			    KN_PAGE_ZERO);
	kn_unlock(&z->lock);
	return 0;
}

/*
 * KN_GROW_UNLOCKED is a planted error for the tests: whether somebody grows is
 * asked without the lock, and the thread may lose its CPU behind that.
 */
#ifdef KN_GROW_UNLOCKED
#define LOCK_TO_ASK(l)	((void)(l))
#define UNLOCK_ASKED(l) ((void)(l))
#define BETWEEN_ASKED() sched_yield()
#else
#define LOCK_TO_ASK(l)	kn_lock(l)
#define UNLOCK_ASKED(l) kn_unlock(l)
#define BETWEEN_ASKED() ((void)0)
#endif

bool kn_zone_claim_growth(struct kn_zone *z)
{
	bool taken;

	LOCK_TO_ASK(&z->lock);
	taken = kn_load(&z->growing);
	BETWEEN_ASKED();
	if (!taken)
		kn_store(&z->growing, 1);
	UNLOCK_ASKED(&z->lock);
	return !taken;
}

/* Huge pages pay where most of what was handed out is used. */
static void judge(const struct kn_zone *z, int node)
{
	const uint64_t managed = ck_pr_load_64(&z->managed);

	kn_span_judge(kn_window_base(node), z->grown,
		      managed - KN_MIN(managed, kn_load(&z->nr_free)));
}

int kn_zone_grow(struct kn_zone *z, int node)
{
	unsigned flags;
	size_t step;
	int err;

	if (!kn_zone_claim_growth(z)) {
		kn_wait_clear(&z->growing);
		return -EAGAIN;
	}
	step = grow_step(node, z->grown, &flags);
	if (flags & KN_GROW_HUGE && kn_tun.huge_after)
		judge(z, node);
	err = grow_by(z, node, step, flags);
	if (err && step > KN_GROW_LEAST)
		err = grow_by(z, node, KN_GROW_LEAST, flags);
	kn_store_release(&z->growing, 0);
	return err;
}
