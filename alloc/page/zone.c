/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/zone.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/away.h"
#include "alloc/stats/stats.h"
#include "numa/hugetlb.h"
#include "numa/placement.h"

struct kn_zone kn_zones[KN_MAX_NODES];

/* Which of the lists a free block is on: with neither it is cold. */
#define KIND		((uint8_t)(KN_PAGE_WARM | KN_PAGE_POOL))

#define HUGE_ORDER	(kn_log2(KN_HUGE_SIZE) - KN_PAGE_SHIFT)

/*
 * Steps of growth: address space costs a system call, not memory.  Each is a
 * multiple of the largest block, so no block ever straddles two steps.
 */
#define GROW_LEAST	(KN_PAGE_SIZE << KN_MAX_ORDER)
#define GROW_HUGE	KN_ALIGN_UP((size_t)64 << 20, GROW_LEAST)

/* Memory that a node may fault after one look at what it has free. */
#define NODE_LOOK_EVERY ((int64_t)64 << 20)

/* Huge pages of a node that are left to others; its lowest zone is among them. */
#define HUGE_KEEPS	((int64_t)16 << 20)

/* What stays available to the machine when all its nodes are full. */
#define MACHINE_KEEPS	((int64_t)64 << 20)

/* Others may take what was grown: a thread gives up after so many times. */
#define GROW_TRIES	1000

/* Free blocks of an order examined for one of which the right thing is known. */
#define WARM_SEARCH	8

/* Which warm blocks a call may have, Z4. */
enum warm {
	WARM_ANY,
	WARM_SURE,  /* surely in memory */
	WARM_OTHER, /* not the reserve */
};

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

/* Counts a block in (@sign 1) or out (-1) of the free lists. */
static void account(struct kn_zone *z, unsigned order, uint8_t flags, int sign)
{
	const uint64_t n = (uint64_t)sign << order;

	z->nr_blocks[kind_of(flags)][order] += (uint32_t)sign;
	kn_store(&z->nr_free, z->nr_free + n);
	if (flags & KN_PAGE_WARM)
		kn_store(&z->nr_warm, z->nr_warm + n);
	if (flags & KN_PAGE_SURE)
		kn_store(&z->nr_sure, z->nr_sure + n);
}

static void list_block(struct kn_zone *z, uint32_t pfn, unsigned order,
		       uint8_t flags)
{
	struct page *page = kn_page(pfn);

	kn_store(&page->type, KN_PAGE_FREE);
	page->order = (uint8_t)order;
	page->flags = flags;
	kn_page_list_add(list_of(z, order, flags), pfn);
	account(z, order, flags, 1);
}

static void unlist_block(struct kn_zone *z, uint32_t pfn)
{
	struct page *page = kn_page(pfn);

	kn_page_list_del(list_of(z, page->order, page->flags), pfn);
	account(z, page->order, page->flags, -1);
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

static void free_locked(struct kn_zone *z, uint32_t pfn, unsigned order,
			uint8_t flags)
{
	while (order < KN_MAX_ORDER) {
		const uint32_t buddy = free_buddy(pfn, order, flags);

		if (buddy == KN_PFN_NONE)
			break;
		/* What is known of both halves is known of the whole. */
		flags &= kn_page(buddy)->flags;
		unlist_block(z, buddy);
		pfn &= ~(1u << order);
		order++;
	}
	list_block(z, pfn, order, flags);
}

static void free_range_locked(struct kn_zone *z, uint32_t pfn, uint32_t nr,
			      uint8_t flags)
{
	while (nr) {
		unsigned order = KN_MIN(kn_log2(nr), (unsigned)KN_MAX_ORDER);

		if (pfn)
			order = KN_MIN(order, (unsigned)__builtin_ctz(pfn));
		free_locked(z, pfn, order, flags);
		pfn += 1u << order;
		nr -= 1u << order;
	}
}

/* Frees that came while the lock was taken. */
static void take_deferred(struct kn_zone *z)
{
	ck_stack_entry_t *e;

	if (likely(!ck_pr_load_ptr(&z->deferred.head)))
		return;
	e = ck_stack_batch_pop_upmc(&z->deferred);
	while (e) {
		struct page *page = kn_container_of(e, struct page, link);

		e = e->next;
		free_locked(z, kn_page_pfn(page), page->order, page->flags);
	}
}

/* Cuts the listed block @pfn down to @order; the upper halves stay free. */
static void split_to(struct kn_zone *z, uint32_t pfn, unsigned order)
{
	struct page *page = kn_page(pfn);
	unsigned from = page->order;
	const uint8_t flags = page->flags;

	unlist_block(z, pfn);
	while (from > order) {
		from--;
		list_block(z, pfn + (1u << from), from, flags);
	}
	page->order = (uint8_t)order;
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

/* Whether memory comes and goes in huge pages there. */
static bool in_huge_part(const struct kn_zone *z, uint32_t pfn)
{
	const uintptr_t at = (uintptr_t)kn_pfn_address(pfn);

	return kn_tun.huge_pages &&
	       at >= kn_window_base((int)(z - kn_zones)) + kn_tun.huge_after &&
	       !kn_span_is_sparse(at);
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
		if (in_huge_part(z, pfn))
			part = KN_MIN(o, KN_MAX(order, HUGE_ORDER));
		split_to(z, pfn, part);
		flags = kn_page(pfn)->flags | KN_PAGE_WARM;
		list_block(z, pfn, part, flags);
		kn_store(&z->may_fault,
			 z->may_fault - KN_MIN(z->may_fault, 1u << part));
		return pfn;
	}
	return KN_PFN_NONE;
}

/*
 * With several nodes, memory is faulted only as far as the node was seen to
 * have some; with one, the kernel's own accounting is the answer.
 */
static bool may_warm_up(const struct kn_zone *z, unsigned order)
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
	if (pfn == KN_PFN_NONE && may_warm_up(z, order))
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

static uint32_t alloc_locked(struct kn_zone *z, unsigned order, gfp_t gfp,
			     bool last)
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

/*
 * Takes a free block of at least @order as it is, whole: a part of it would merge
 * with the rest again, of which nothing is known.  Warm ones first.
 */
static uint32_t take_whole(struct kn_zone *z, unsigned order)
{
	uint32_t pfn = find_warm(z, order, WARM_OTHER);

	if (pfn == KN_PFN_NONE && may_warm_up(z, order))
		pfn = warm_up(z, order);
	if (pfn != KN_PFN_NONE)
		unlist_block(z, pfn);
	return pfn;
}

/* Faults in what GFP_ATOMIC may rely on. */
static void fill_reserve(struct kn_zone *z)
{
	const uint64_t want = kn_tun.reserve >> KN_PAGE_SHIFT;
	const unsigned order = KN_MIN(kn_log2_up(want), (unsigned)KN_MAX_ORDER);
	uint32_t pfn;

	if (likely(kn_load(&z->nr_sure) >= want))
		return;
	if (!kn_load(&z->managed) || !ck_pr_cas_32(&z->filling, 0, 1))
		return;
	kn_lock(&z->lock);
	pfn = take_whole(z, order);
	kn_unlock(&z->lock);
	if (pfn != KN_PFN_NONE) {
		const struct page *page = kn_page(pfn);

		populate(pfn, page->order);
		kn_zone_free(pfn, page->order,
			     KN_PAGE_SURE | (page->flags & KN_PAGE_ZERO), true);
	}
	kn_store_release(&z->filling, 0);
}

static uint32_t alloc_bulk(int node, unsigned order, gfp_t gfp, uint32_t *pfn,
			   uint32_t n, bool last)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	struct kn_zone *z = &kn_zones[node];
	uint32_t got = 0;

	if (may_block && !(gfp & KN_GFP_MALLOC))
		fill_reserve(z);
	if (!kn_lock_if(&z->lock, may_block)) {
		kn_stat_add(KN_STAT_nowait_contended, 1);
		return 0;
	}
	take_deferred(z);
	while (got < n) {
		pfn[got] = alloc_locked(z, order, gfp, last);
		if (pfn[got] == KN_PFN_NONE)
			break;
		got++;
	}
	kn_unlock_if(&z->lock, may_block);
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

/* Of the smallest warm or pool block of order @least or more, the order. */
static unsigned smallest(const struct kn_zone *z, unsigned least, gfp_t gfp)
{
	const enum warm which = gfpflags_allow_blocking(gfp) ?
					warm_for_waiting(z, least, false) :
					WARM_SURE;
	uint32_t pfn = find_pool(z, least);

	if (pfn == KN_PFN_NONE)
		pfn = find_warm(z, least, which);
	return pfn == KN_PFN_NONE ? KN_MAX_ORDER : kn_page(pfn)->order;
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

	*order = KN_MIN(fits, smallest(z, least, gfp));
	for (;; --*order) {
		pfn = alloc_locked(z, *order, gfp, false);
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
		free_range_locked(z, block + n * nr, (1u << order) % nr,
				  freed_flags(z, block, flags));
	return n;
}

uint32_t kn_zone_alloc_runs(int node, uint32_t nr, gfp_t gfp, uint32_t *pfn,
			    uint32_t n)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	struct kn_zone *z = &kn_zones[node];
	uint32_t got = 0;

	if (may_block && !(gfp & KN_GFP_MALLOC))
		fill_reserve(z);
	if (!kn_lock_if(&z->lock, may_block)) {
		kn_stat_add(KN_STAT_nowait_contended, 1);
		return 0;
	}
	take_deferred(z);
	while (got < n) {
		unsigned order;
		const uint32_t block =
			block_for_runs(z, nr, n - got, gfp, &order);

		if (block == KN_PFN_NONE)
			break;
		got += cut_runs(z, block, order, nr, &pfn[got]);
	}
	kn_unlock_if(&z->lock, may_block);
	return got;
}

/* Bytes of the next step of growth from @grown on, with its flags. */
static size_t grow_step(int node, uintptr_t grown, unsigned *flags)
{
	const size_t done = grown - kn_window_base(node);

	*flags = kn_tun.lock_memory ? KN_GROW_LOCK : 0;
	if (done < kn_tun.huge_after)
		return GROW_LEAST;
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

/* False when the node is (nearly) full, and its pool of huge pages is empty. */
static bool node_has_room(struct kn_zone *z, int node, unsigned order)
{
	int64_t bytes;

	if (may_warm_up(z, order))
		return true;
	bytes = look(node, (int64_t)(KN_PAGE_SIZE << order));
	if (!bytes)
		return wants_pool(z, node) && kn_hugetlb_free(node);
	kn_store(&z->may_fault, (uint64_t)bytes >> KN_PAGE_SHIFT);
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
	free_range_locked(z, kn_pfn((void *)from),
			  (uint32_t)(pool >> KN_PAGE_SHIFT),
			  KN_PAGE_ZERO | KN_PAGE_SURE | KN_PAGE_POOL);
	free_range_locked(z, kn_pfn((void *)(from + pool)),
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

/* Whether another thread grows @z; if not, the caller does from here on. */
static bool somebody_grows(struct kn_zone *z)
{
	bool yes;

	LOCK_TO_ASK(&z->lock);
	yes = kn_load(&z->growing);
	BETWEEN_ASKED();
	if (!yes)
		kn_store(&z->growing, 1);
	UNLOCK_ASKED(&z->lock);
	return yes;
}

/* Huge pages pay where most of what was handed out is used. */
static void judge(const struct kn_zone *z, int node)
{
	const uint64_t managed = ck_pr_load_64(&z->managed);

	kn_span_judge(kn_window_base(node), z->grown,
		      managed - KN_MIN(managed, kn_load(&z->nr_free)));
}

/*
 * One thread grows a zone, the others wait for it, since what it adds is for
 * them, too, and get -EAGAIN.  A limit on the process may refuse a large step
 * and grant a small one.
 */
static int grow(struct kn_zone *z, int node)
{
	unsigned flags;
	size_t step;
	int err;

	if (somebody_grows(z)) {
		kn_wait_clear(&z->growing);
		return -EAGAIN;
	}
	step = grow_step(node, z->grown, &flags);
	if (flags & KN_GROW_HUGE && kn_tun.huge_after)
		judge(z, node);
	err = grow_by(z, node, step, flags);
	if (err && step > GROW_LEAST)
		err = grow_by(z, node, GROW_LEAST, flags);
	kn_store_release(&z->growing, 0);
	return err;
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
	for (int i = 0; i < GROW_TRIES && node_has_room(z, node, order);) {
		int err;

		if (kn_zone_alloc_bulk(node, order, gfp, &pfn, 1))
			return pfn;
		err = grow(z, node);
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

		page->order = (uint8_t)order;
		page->flags = flags;
		ck_stack_push_upmc(&z->deferred, &page->link);
		return;
	}
	take_deferred(z);
	free_locked(z, pfn, order, flags);
	kn_unlock_if(&z->lock, may_block);
}

void kn_zone_free_range(uint32_t pfn, uint32_t nr, uint8_t flags,
			bool may_block)
{
	struct kn_zone *z = &kn_zones[kn_pfn_node(pfn)];

	if (kn_lock_if(&z->lock, may_block)) {
		free_range_locked(z, pfn, nr, freed_flags(z, pfn, flags));
		take_deferred(z);
		kn_unlock_if(&z->lock, may_block);
		return;
	}
	/* Each block waits on its own descriptor. */
	while (nr) {
		unsigned order = KN_MIN(kn_log2(nr), (unsigned)KN_MAX_ORDER);

		if (pfn)
			order = KN_MIN(order, (unsigned)__builtin_ctz(pfn));
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
		free_range_locked(z, pfn[i], nr,
				  freed_flags(z, pfn[i],
					      kn_page(pfn[i])->flags & known));
	take_deferred(z);
	kn_unlock_if(&z->lock, false);
}

/* The least block that a trim takes: small ones cost more than they give. */
static unsigned least_order(const struct kn_zone *z, uint32_t pfn, bool all)
{
	if (in_huge_part(z, pfn))
		return HUGE_ORDER; /* part of a huge page frees nothing */
	return all ? 0 : 3;
}

/* Takes a warm block to purge off its list; KN_PFN_NONE when there is none. */
static uint32_t isolate(struct kn_zone *z, bool all)
{
	const uint64_t keep = kn_tun.reserve >> KN_PAGE_SHIFT;

	for (int o = KN_MAX_ORDER; o >= 0; o--) {
		uint32_t pfn = z->warm[o];

		for (; pfn != KN_PFN_NONE; pfn = kn_page(pfn)->next) {
			const bool sure = kn_page(pfn)->flags & KN_PAGE_SURE;

			if ((unsigned)o < least_order(z, pfn, all))
				continue;
			if (sure && z->nr_sure < keep + (1u << o))
				continue;
			unlist_block(z, pfn);
			kn_store(&kn_page(pfn)->type, KN_PAGE_ISOLATED);
			kn_page(pfn)->order = (uint8_t)o;
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

/* Gives one block back.  The lock is not held over the system call. */
static uint64_t purge_one(struct kn_zone *z, bool all)
{
	size_t bytes;
	uint32_t pfn;
	uint8_t flags;
	int err;

	kn_lock(&z->lock);
	take_deferred(z);
	pfn = isolate(z, all);
	kn_unlock(&z->lock);
	if (pfn == KN_PFN_NONE)
		return 0;
	bytes = KN_PAGE_SIZE << kn_page(pfn)->order;
	err = kn_span_purge((uintptr_t)kn_pfn_address(pfn), bytes);
	if (!err)
		purge_descriptors(pfn, kn_page(pfn)->order);
	/* Refused: the block stays what it was, warm. */
	flags = err ? KN_PAGE_WARM : KN_PAGE_ZERO;
	kn_lock(&z->lock);
	kn_page_list_del(&z->isolated, pfn);
	free_locked(z, pfn, kn_page(pfn)->order, flags);
	kn_unlock(&z->lock);
	return err ? 0 : bytes;
}

uint64_t kn_zone_trim(int node, uint64_t most, bool all)
{
	struct kn_zone *z = &kn_zones[node];
	uint64_t done = 0, got;

	if (kn_tun.lock_memory)
		return 0; /* resident is what the user asked for */
	if (!all) {
		const uint64_t idle = kn_load(&z->least_warm) << KN_PAGE_SHIFT;

		/* So that most of a burst of any size is gone in ten ticks. */
		most = KN_MIN(KN_MAX(most, idle / 4), idle);
	}
	while (done < most && (got = purge_one(z, all)) != 0)
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

bool (*kn_give_back_hook)(void);

/*
 * Whether the last GROW_LEAST bytes are free, and may be unmapped: of one block,
 * or of several, since warm and cold memory do not merge.
 */
static bool last_may_go(const struct kn_zone *z, uintptr_t end, bool all)
{
	const uint64_t keep = kn_tun.reserve >> KN_PAGE_SHIFT;
	const uint32_t from = kn_pfn((void *)(end - GROW_LEAST));
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
	const uint32_t from = kn_pfn((void *)(end - GROW_LEAST));

	for (uint32_t at = 0; at < 1u << KN_MAX_ORDER;) {
		unlist_block(z, from + at);
		at += 1u << kn_page(from + at)->order;
	}
}

/* Takes the free blocks at the end off the lists; the new end. */
static uintptr_t cut_end(struct kn_zone *z, int node, bool all)
{
	uintptr_t end = z->grown;

	while (end > kn_window_base(node) + GROW_LEAST &&
	       last_may_go(z, end, all)) {
		unlist_last(z, end);
		end -= GROW_LEAST;
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

	if (somebody_grows(z))
		return 0;
	kn_lock(&z->lock);
	take_deferred(z);
	old_end = z->grown;
	end = cut_end(z, node, all);
	kn_store_release(&z->grown, end);
	kn_unlock(&z->lock);
	if (end < old_end)
		err = kn_span_shrink(end, old_end - end);
	if (err) {
		kn_lock(&z->lock);
		free_range_locked(z, kn_pfn((void *)end),
				  (uint32_t)((old_end - end) >> KN_PAGE_SHIFT),
				  KN_PAGE_WARM);
		ck_pr_add_64(&z->managed, (old_end - end) >> KN_PAGE_SHIFT);
		kn_store_release(&z->grown, old_end);
		kn_unlock(&z->lock);
	}
	kn_store_release(&z->growing, 0);
	return err ? 0 : old_end - end;
}

void kn_zone_levels(int node, struct kn_zone_levels *l)
{
	struct kn_zone *z = &kn_zones[node];

	*l = (struct kn_zone_levels){0};
	kn_lock(&z->lock);
	take_deferred(z);
	memcpy(l->free, z->nr_blocks, sizeof(l->free));
	for (uint32_t pfn = z->isolated; pfn != KN_PFN_NONE;
	     pfn = kn_page(pfn)->next)
		l->isolated[kn_page(pfn)->order]++;
	l->managed = kn_load(&z->managed);
	l->pool = z->nr_pool;
	kn_unlock(&z->lock);
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

bool kn_zone_verify(int node)
{
	struct kn_zone *z = &kn_zones[node];
	uint64_t cold = 0, warm = 0, pool = 0, sure = 0;
	bool ok = true;

	kn_lock(&z->lock);
	take_deferred(z);
	for (unsigned o = 0; o < KN_NR_ORDERS && ok; o++)
		ok = verify_list(z, o, 0, &cold, &sure) &&
		     verify_list(z, o, KN_PAGE_WARM, &warm, &sure) &&
		     verify_list(z, o, KN_PAGE_POOL, &pool, &sure);
	if (ok && (cold + warm + pool != z->nr_free || warm != z->nr_warm ||
		   sure != z->nr_sure)) {
		kn_warn("Z2, Z4: node %d counts do not match its lists", node);
		ok = false;
	}
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
	take_deferred(z);
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
			free_locked(z, pfn, kn_page(pfn)->order, KN_PAGE_WARM);
		}
	}
}
