/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/page_alloc.h"

#include <errno.h>
#include <knuma/page.h>
#include <string.h>

#include "alloc/account/ext.h"
#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/probes.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/away.h"
#include "alloc/page/large.h"
#include "alloc/page/reclaim.h"
#include "alloc/page/scope.h"
#include "alloc/stats/stats.h"

/* Blocks for which the zone's lock is taken once. */
#define PCP_BATCH	32
#define PCP_BATCH_BYTES ((size_t)256 << 10)

static struct kn_magcache pcp[KN_NR_PCP];

static uint32_t pcp_refill(struct kn_magcache *c, int node, gfp_t gfp,
			   void **obj, uint32_t n)
{
	const unsigned order = c->id - KN_ID_PCP;
	uint32_t pfn[KN_BATCH_MAX];

	/* What is surely in memory is left to calls of other orders. */
	if (!gfpflags_allow_blocking(gfp))
		n = KN_MIN(n, KN_MAX(c->capacity / 2u, 1u));
	n = kn_zone_alloc_bulk(node, order, gfp, pfn, n);
	if (!n) {
		pfn[0] = kn_zone_alloc(node, order, gfp);
		n = pfn[0] != KN_PFN_NONE;
	}
	for (uint32_t i = 0; i < n; i++) {
		kn_store(&kn_page(pfn[i])->type, KN_PAGE_PCP);
		obj[i] = kn_pfn_address(pfn[i]);
	}
	return n;
}

static void pcp_flush(struct kn_magcache *c, int node, void **obj, uint32_t n)
{
	const unsigned order = c->id - KN_ID_PCP;
	uint32_t pfn[KN_BATCH_MAX];

	(void)node;
	for (uint32_t i = 0; i < n; i++)
		pfn[i] = kn_pfn(obj[i]);
	kn_zone_free_runs(pfn, n, 1u << order);
}

int kn_page_init(void)
{
	const size_t nodes = (size_t)kn_topo.nr_nodes;
	struct kn_depot *depot = kn_meta_alloc(
		(KN_NR_PCP + KN_NR_RUNS) * nodes * sizeof(*depot), -1);

	if (!depot)
		return -ENOMEM;
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		kn_zone_init(node);
	for (unsigned order = 0; order < KN_NR_PCP; order++) {
		struct kn_magcache *c = &pcp[order];

		c->depot = depot;
		depot += nodes;
		c->name = "pages";
		c->refill = pcp_refill;
		c->flush = pcp_flush;
		kn_magcache_init(c, (uint16_t)(KN_ID_PCP + order),
				 KN_PAGE_SIZE << order);
		kn_magcache_set_batch(c, PCP_BATCH, PCP_BATCH_BYTES);
	}
	kn_large_init(depot);
	return 0;
}

static uint32_t pcp_place(int node, unsigned order)
{
	return kn_mag_place(node, KN_ID_PCP + order);
}

/* From the page lists.  A call that may not wait takes present memory only. */
static uint32_t from_pcp(int node, unsigned order, gfp_t gfp)
{
	struct kn_magcache *c = &pcp[order];
	void *p = kn_mag_alloc(c, node, gfp);

	if (!p)
		return KN_PFN_NONE;
	if (!gfpflags_allow_blocking(gfp) &&
	    !(kn_page(kn_pfn(p))->flags & KN_PAGE_SURE)) {
		kn_mag_free(c, node, p);
		return kn_zone_alloc(node, order, gfp);
	}
	return kn_pfn(p);
}

uint32_t kn_pages_get(int node, unsigned order, gfp_t gfp)
{
	uint32_t pfn;

	pfn = order < KN_NR_PCP ? from_pcp(node, order, gfp) :
				   kn_zone_alloc(node, order, gfp);
	if (pfn != KN_PFN_NONE) {
		kn_store(&kn_page(pfn)->type, KN_PAGE_PAGES);
		kn_store(&kn_page(pfn)->order, (uint8_t)order);
	}
	return pfn;
}

static void put_in_pcp(int node, unsigned order, void *p)
{
	if (unlikely(kn_rseq_push(&kn_hot, pcp_place(node, order), p) !=
		     KN_RSEQ_DONE))
		kn_mag_free(&pcp[order], node, p);
}

void kn_pages_put(uint32_t pfn, unsigned order, uint8_t flags, bool may_block)
{
	struct page *page = kn_page(pfn);

	if (order >= KN_NR_PCP) {
		kn_store(&page->type, KN_PAGE_NONE);
		kn_zone_free(pfn, order, flags, may_block);
		return;
	}
	kn_store(&page->type, KN_PAGE_PCP);
	page->flags = flags;
	put_in_pcp(kn_pfn_node(pfn), order, kn_page_addr(page));
}

bool kn_node_wanted(int nid, gfp_t gfp, int *node)
{
	if (nid == NUMA_NO_NODE) {
		*node = kn_mag_node();
		return true;
	}
	*node = kn_node_dense(nid);
	if (*node == KN_NODE_OFFLINE && !(gfp & __GFP_THISNODE)) {
		*node = kn_mag_node();
		return true;
	}
	if (*node == KN_NODE_OFFLINE) {
		errno = ENOMEM;
		return false;
	}
	if (*node < 0) {
		kn_stat_add(KN_STAT_invalid_node, 1);
		if (!(gfp & __GFP_NOWARN))
			kn_warn_once("node %d is not a possible node of this "
				     "machine; further ones are only counted",
				     nid);
		errno = EINVAL;
		return false;
	}
	if ((gfp & __GFP_THISNODE) && !kn_node_usable(*node)) {
		errno = ENOMEM;
		return false;
	}
	return true;
}

uint32_t kn_large_refused;

bool kn_large_is_refused(gfp_t gfp)
{
	if (likely(!kn_load(&kn_large_refused)) ||
	    !gfpflags_allow_blocking(gfp) || gfp & __GFP_NOFAIL)
		return false;
	kn_stat_add(KN_STAT_rcu_refused, 1);
	return true;
}

void kn_node_account(int wanted, int got)
{
	const bool local = got == kn_mag_node();

	if (likely(wanted == got && local)) {
		kn_node_stat_nearest(got);
		return;
	}
	if (likely(wanted == got)) {
		kn_node_stat_add(got, KN_NODE_STAT_numa_hit, 1);
	} else {
		kn_node_stat_add(got, KN_NODE_STAT_numa_miss, 1);
		kn_node_stat_add(wanted, KN_NODE_STAT_numa_foreign, 1);
		kn_probe_node_fallback(kn_topo.kernel_id[wanted],
				       kn_topo.kernel_id[got]);
	}
	kn_node_stat_add(got, local ? KN_NODE_STAT_local_node :
				      KN_NODE_STAT_other_node, 1);
}

/* The first node of the zonelist, among those of @mask, that has a block. */
static uint32_t get_among(int node, uint64_t mask, unsigned order, gfp_t gfp)
{
	const struct kn_zonelist *zl = kn_zonelist(node);
	uint32_t pfn = KN_PFN_NONE;

	if (gfp & __GFP_THISNODE) {
		if (mask >> node & 1)
			pfn = kn_pages_get(node, order, gfp);
	} else {
		for (int i = 0; i < zl->nr && pfn == KN_PFN_NONE; i++)
			if (mask >> zl->node[i] & 1)
				pfn = kn_pages_get(zl->node[i], order, gfp);
	}
	if (pfn != KN_PFN_NONE)
		kn_node_account(node, kn_pfn_node(pfn));
	return pfn;
}

static void zero_if(uint32_t pfn, size_t bytes, gfp_t gfp)
{
	struct page *page = kn_page(pfn);

	if ((gfp & __GFP_ZERO || kn_tun.init_on_alloc) &&
	    !(page->flags & KN_PAGE_ZERO))
		memset(kn_page_addr(page), 0, bytes);
	page->flags &= (uint8_t)~KN_PAGE_ZERO;
}

void kn_count_failure(const char *what, size_t bytes, gfp_t gfp, int nid)
{
	kn_stat_add(KN_STAT_alloc_failed, 1);
	kn_probe_alloc_failed(what, bytes, gfp, nid);
	if (gfpflags_allow_blocking(gfp))
		return;
	kn_stat_add(KN_STAT_nowait_failed, 1);
	kn_probe_nowait_failed(what, bytes, gfp, nid);
}

static kn_slow void *no_memory(size_t bytes, gfp_t gfp, int nid)
{
	kn_count_failure("pages", bytes, gfp, nid);
	if (!(gfp & (__GFP_NOWARN | KN_GFP_MALLOC)))
		kn_warn_once("out of memory: %zu bytes of pages on node %d, gfp "
			     "%#x; further failures are only counted",
			     bytes, nid, gfp);
	errno = ENOMEM;
	return NULL;
}

/* The charge has said why. */
static kn_slow void *over_limit(size_t bytes, gfp_t gfp, int nid)
{
	kn_count_failure("pages", bytes, gfp, nid);
	return NULL;
}

/* Whether a request must fail at once: no heap, or flags that mean nothing. */
static bool bad_request(gfp_t gfp)
{
	if (!kn_start())
		return true;
	if (likely(!(gfp & ~KN_GFP_KNOWN)))
		return false;
	kn_warn_once("gfp %#x has bits that mean nothing", gfp);
	errno = EINVAL;
	return true;
}

/* Whether there is a node that a request may be served by. */
static bool any_among(int node, uint64_t mask, gfp_t gfp)
{
	const struct kn_zonelist *zl = kn_zonelist(node);

	if (gfp & __GFP_THISNODE)
		return mask >> node & 1;
	for (int i = 0; i < zl->nr; i++)
		if (mask >> zl->node[i] & 1)
			return true;
	return false;
}

/* The same after reclaim, as often as @gfp asks for. */
static kn_slow uint32_t reclaim_among(int node, uint64_t mask, unsigned order,
				      gfp_t gfp)
{
	struct kn_reclaim r = {.gfp = gfp, .node = node};
	uint32_t pfn = KN_PFN_NONE;

	if (gfp & __GFP_NOFAIL && order > 1)
		kn_warn_once("alloc_pages: __GFP_NOFAIL for a block of order %u "
			     "may wait for ever: only orders 0 and 1 are sure to "
			     "be there one day", order);
	while (pfn == KN_PFN_NONE && any_among(node, mask, gfp) &&
	       kn_reclaim_more(&r))
		pfn = get_among(node, mask, order, gfp);
	return pfn;
}

/* A block of nodes of @mask, by dense id. */
static struct page *alloc_among(int nid, uint64_t mask, gfp_t gfp,
				unsigned int order)
{
	const uint64_t bytes = KN_PAGE_SIZE << KN_MIN(order, KN_MAX_ORDER + 1u);
	uint64_t ext;
	uint32_t pfn;
	int node;

	gfp = kn_scope_gfp(kn_node_gfp(nid, gfp));
	if (bad_request(gfp) || !kn_node_wanted(nid, gfp, &node))
		return NULL;
	if (order > KN_MAX_ORDER) {
		kn_stat_add(KN_STAT_too_large, 1);
		if (!(gfp & __GFP_NOWARN))
			kn_warn_once("order %u is above the largest, %d",
				     order, KN_MAX_ORDER);
		errno = EINVAL;
		return NULL;
	}
	if (kn_large_is_refused(gfp))
		return no_memory(bytes, gfp, nid);
	if (!kn_ext_begin(bytes, gfp, &ext))
		return over_limit(bytes, gfp, nid);
	pfn = get_among(node, mask, order, gfp);
	if (unlikely(pfn == KN_PFN_NONE))
		pfn = reclaim_among(node, mask, order, gfp);
	if (pfn == KN_PFN_NONE) {
		if (ext)
			kn_ext_end(ext, bytes);
		return no_memory(bytes, gfp, nid);
	}
	zero_if(pfn, bytes, gfp);
	if (ext)
		kn_store(&kn_page(pfn)->ext, ext);
	kn_map_set(pfn, KN_ID_PAGES);
	kn_sample_memory(&kn_page(pfn)->ext, kn_pfn_address(pfn), bytes);
	return kn_page(pfn);
}

/* A block of the page lists that nobody has. */
static struct page *use_block(void *p, unsigned order)
{
	struct page *page = kn_page(kn_pfn(p));

	page->flags &= (uint8_t)~KN_PAGE_ZERO;
	kn_store(&page->order, (uint8_t)order);
	kn_store(&page->type, KN_PAGE_PAGES);
	kn_map_set(kn_page_pfn(page), KN_ID_PAGES);
	return page;
}

/*
 * Whether a block of the page lists is all that a call needs: it may fault, and
 * nothing is to be zeroed, charged or sampled.
 */
static bool is_plain(gfp_t gfp)
{
	return likely(!(gfp & KN_GFP_SLOW) && gfpflags_allow_blocking(gfp) &&
		      kn_load_hot(&kn_hot.small_max) &&
		      !kn_load(&kn_large_refused));
}

/* Out of the magazine alone, which the counters of the node do not see. */
static struct page *pop_block(int nid, unsigned order)
{
	const uint32_t region = kn_region_wanted(nid);
	void *p = NULL;

	if (likely(region != KN_NO_PLACE))
		p = kn_rseq_pop_node(&kn_hot, region + pcp_place(0, order));
	return likely(kn_rseq_popped(p)) ? use_block(p, order) : NULL;
}

struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	if (likely(order < KN_NR_PCP && is_plain(gfp))) {
		struct page *page = pop_block(nid, order);

		if (likely(page))
			return page;
	}
	return alloc_among(nid, UINT64_MAX, gfp, order);
}

static bool names_a_node(int nid, const char *call)
{
	if (likely(nid != NUMA_NO_NODE))
		return true;
	kn_warn_once("%s() wants a node: alloc_pages_node() takes NUMA_NO_NODE",
		     call);
	errno = EINVAL;
	return false;
}

struct page *__alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	if (!names_a_node(nid, "__alloc_pages_node"))
		return NULL;
	return alloc_pages_node(nid, gfp, order);
}

/* The nodes of a set of kernel ids, by dense id. */
static uint64_t dense_mask(const struct nodemask *nodes)
{
	uint64_t mask = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (node_isset(kn_topo.kernel_id[node], *nodes))
			mask |= UINT64_C(1) << node;
	return mask;
}

struct page *__alloc_pages(gfp_t gfp, unsigned int order, int nid,
			   struct nodemask *nodes)
{
	if (!names_a_node(nid, "__alloc_pages") || !kn_start())
		return NULL;
	return alloc_among(nid, nodes ? dense_mask(nodes) : UINT64_MAX, gfp,
			   order);
}

/* Up to @n pages for entries that have none, in one go; how many. */
static uint32_t stock_up(int nid, gfp_t gfp, void **stock, struct page **page,
			 unsigned long n)
{
	uint32_t want = 0, got;
	int node;

	if (!is_plain(gfp) ||
	    !kn_node_wanted(nid, kn_node_gfp(nid, gfp), &node) ||
	    !kn_node_usable(node))
		return 0;
	for (unsigned long i = 0; i < n && want < KN_BATCH_MAX; i++)
		want += !page[i];
	got = kn_mag_alloc_bulk(&pcp[0], node, gfp, stock, want);
	if (got)
		kn_node_account(node, node);
	return got;
}

unsigned long alloc_pages_bulk_node(gfp_t gfp, int nid, unsigned long n,
				    struct page **page)
{
	void *stock[KN_BATCH_MAX];
	uint32_t nr = 0;
	unsigned long i;

	for (i = 0; i < n; i++) {
		if (page[i])
			continue;
		if (!nr)
			nr = stock_up(nid, gfp, stock, page + i, n - i);
		/* Other nodes, reclaim and the message, for one. */
		page[i] = nr ? use_block(stock[--nr], 0) :
			       alloc_pages_node(nid, gfp, 0);
		if (!page[i])
			break;
	}
	return i;
}

unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long n, struct page **page)
{
	return alloc_pages_bulk_node(gfp, NUMA_NO_NODE, n, page);
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	return alloc_pages_node(NUMA_NO_NODE, gfp, order);
}

/* What the program had is gone before others can have it. */
static void wipe_if(const struct page *page, uint64_t nr)
{
	if (unlikely(kn_tun.init_on_free))
		memset(kn_page_addr(page), 0, nr << KN_PAGE_SHIFT);
}

/* Names what is wrong with a block that is being freed; NULL if nothing is. */
static const char *wrong_block(const struct page *page, unsigned order)
{
	const uint32_t pfn = kn_page_pfn(page);
	uint8_t type;

	/* The descriptor of a page that was never used cannot be read. */
	if ((uintptr_t)kn_pfn_address(pfn) >=
	    kn_load(&kn_zones[kn_pfn_node(pfn)].grown))
		return "it was never allocated";
	type = kn_load(&page->type);
	if (kn_map_id(pfn) != KN_ID_PAGES)
		return type == KN_PAGE_PCP || type == KN_PAGE_FREE ?
			       "the block is free already" :
			       "it is not the first page of an alloc_pages() block";
	if (kn_load(&page->order) != order)
		return "the order is not the one it was allocated with";
	return NULL;
}

void __free_pages(struct page *page, unsigned int order)
{
	const char *wrong;
	uint32_t pfn;

	if (!page)
		return;
	pfn = kn_page_pfn(page);
	wrong = kn_pfn_node(pfn) >= kn_topo.nr_nodes ?
		"it is no page of knuma" : wrong_block(page, order);
	if (wrong) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_bug("__free_pages(%p, %u): %s", (void *)page, order, wrong);
		return;
	}
	wipe_if(page, 1ull << order);
	kn_map_set(pfn, KN_ID_NONE);
	kn_away_forget(page, 1ull << order);
	kn_ext_take(&page->ext, kn_page_addr(page), KN_PAGE_SIZE << order);
	kn_pages_put(pfn, order, page->flags & KN_PAGE_SURE, false);
}

void free_pages(unsigned long addr, unsigned int order)
{
	if (!addr)
		return;
	if (!kn_span_has((void *)addr)) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_bug("free_pages(%#lx, %u): the address is not of this heap",
		       addr, order);
		return;
	}
	__free_pages(kn_page(kn_pfn((void *)addr)), order);
}

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	return page ? (unsigned long)kn_page_addr(page) : 0;
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

void *alloc_pages_exact_nid(int nid, size_t size, gfp_t gfp)
{
	struct kn_reclaim r;
	uint64_t ext;
	void *p;
	int node;

	gfp = kn_scope_gfp(kn_node_gfp(nid, gfp));
	if (bad_request(gfp) || !kn_node_wanted(nid, gfp, &node))
		return NULL;
	if (!size || size > KN_PAGE_SIZE << KN_MAX_ORDER) {
		kn_stat_add(KN_STAT_too_large, 1);
		errno = size ? ENOMEM : EINVAL;
		return NULL;
	}
	if (!kn_ext_begin(KN_ALIGN_UP(size, KN_PAGE_SIZE), gfp, &ext))
		return over_limit(size, gfp, nid);
	r = (struct kn_reclaim){.gfp = gfp, .node = node};
	do
		p = kn_large_alloc(size, KN_PAGE_SIZE, gfp, node);
	while (unlikely(!p) && kn_reclaim_more(&r));
	if (!p) {
		if (ext)
			kn_ext_end(ext, KN_ALIGN_UP(size, KN_PAGE_SIZE));
		return no_memory(size, gfp, nid);
	}
	kn_page(kn_pfn(p))->flags |= KN_PAGE_EXACT;
	kn_large_hold(kn_page(kn_pfn(p)));
	if (ext)
		kn_store(&kn_page(kn_pfn(p))->ext, ext);
	kn_sample_memory(&kn_page(kn_pfn(p))->ext, p, size);
	return p;
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	return alloc_pages_exact_nid(NUMA_NO_NODE, size, gfp);
}

void free_pages_exact(void *p, size_t size)
{
	struct page *page;

	if (!p)
		return;
	page = kn_span_has(p) ? kn_page(kn_pfn(p)) : NULL;
	if (!page || kn_map_id(kn_pfn(p)) != KN_ID_LARGE ||
	    p != kn_page_addr(page) || !(page->flags & KN_PAGE_EXACT) ||
	    page->nr_pages != KN_ALIGN_UP(size, KN_PAGE_SIZE) >> KN_PAGE_SHIFT) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_bug("free_pages_exact(%p, %zu): alloc_pages_exact() did not "
		       "give that", p, size);
		return;
	}
	kn_large_free(page, false);
}

void *page_address(const struct page *page)
{
	return kn_page_addr(page);
}

struct page *virt_to_page(const void *p)
{
	const uintptr_t off = (uintptr_t)p - kn_span.base;

	return kn_span_has(p) && !(off & kn_window_half()) ?
		kn_page(kn_pfn(p)) : NULL;
}

/*
 * Blocks are aligned to their order: the head is at one of eleven places.  A
 * page that was never the first of anything has no type.  Some of the places are
 * others', who change them meanwhile.
 */
struct page *virt_to_head_page(const void *p)
{
	uint32_t pfn, before;

	if (!virt_to_page(p))
		return NULL;
	pfn = kn_pfn(p);
	for (unsigned order = 0; order <= KN_MAX_ORDER; order++) {
		struct page *head = kn_page(pfn & ~((1u << order) - 1));
		const uint8_t type = kn_load(&head->type);

		if ((type == KN_PAGE_PAGES || type == KN_PAGE_SLAB) &&
		    kn_load(&head->order) >= order)
			return head;
		if (type == KN_PAGE_LARGE &&
		    pfn - kn_page_pfn(head) < kn_load(&head->nr_pages))
			return head;
	}
	/*
	 * Runs that were cut out of one block begin anywhere, but in the window:
	 * before it nothing need have a descriptor.
	 */
	before = pfn - kn_pfn((void *)kn_window_base(kn_pfn_node(pfn)));
	for (uint32_t back = 1; back < KN_RUN_MOST && back <= before; back++) {
		struct page *head = kn_page(pfn - back);

		if (kn_load(&head->type) == KN_PAGE_LARGE &&
		    back < kn_load(&head->nr_pages))
			return head;
	}
	return kn_page(pfn);
}

int page_to_nid(const struct page *page)
{
	return kn_topo.kernel_id[kn_pfn_node(kn_page_pfn(page))];
}

unsigned long page_to_pfn(const struct page *page)
{
	return kn_page_pfn(page);
}

struct page *pfn_to_page(unsigned long pfn)
{
	return pfn < kn_span.size >> KN_PAGE_SHIFT ?
		virt_to_page(kn_pfn_address((uint32_t)pfn)) : NULL;
}

unsigned int get_order(size_t size)
{
	if (!size)
		return 8 * sizeof(size) - KN_PAGE_SHIFT;
	return kn_log2_up((size + KN_PAGE_SIZE - 1) >> KN_PAGE_SHIFT);
}

void kn_page_drain(void)
{
	const struct kn_drain_set set = {
		.first_id = KN_ID_PCP,
		.last_id = KN_ID_RCU - 1,
		.cid = -1,
		.node = -1,
	};

	(void)kn_drain(&set);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (unsigned order = 0; order < KN_NR_PCP; order++)
			kn_depot_flush(&pcp[order], node, 0);
	kn_large_trim(true);
}

void drain_all_pages(struct zone *zone)
{
	(void)zone;
	if (kn_start())
		kn_page_drain();
}

uint64_t kn_page_trim(uint64_t most, bool all)
{
	uint64_t done = 0;

	if (all)
		kn_page_drain();
	else
		kn_large_trim(false);
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		for (unsigned order = 0; !all && order < KN_NR_PCP; order++)
			kn_depot_trim(&pcp[order], node, UINT64_MAX);
		done += kn_zone_trim(node, most, all);
	}
	return done;
}

void kn_page_trim_large(void)
{
	kn_page_drain();
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		(void)kn_zone_trim_large(node);
}
