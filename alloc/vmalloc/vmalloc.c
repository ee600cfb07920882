/* SPDX-License-Identifier: Apache-2.0 */
#include <knuma/vmalloc.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/account/ext.h"
#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/page_alloc.h"
#include "alloc/page/reclaim.h"
#include "alloc/page/scope.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/move.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"

/* Of a public function: who called it. */
#define CALLER __builtin_return_address(0)

static uint64_t pages_of(size_t size)
{
	return KN_ALIGN_UP(size, KN_PAGE_SIZE) >> KN_PAGE_SHIFT;
}

/* The area from the first node of the zonelist that has room for it. */
static struct page *by_zonelist(int node, uint64_t nr, uint64_t align, gfp_t gfp,
				bool *dirty)
{
	const struct kn_zonelist *zl = kn_zonelist(node);
	struct page *area = NULL;
	int got = node;

	if (gfp & __GFP_THISNODE)
		area = kn_vmap_get(node, nr, align, dirty);
	for (int i = 0; !(gfp & __GFP_THISNODE) && i < zl->nr && !area; i++) {
		got = zl->node[i];
		area = kn_vmap_get(got, nr, align, dirty);
	}
	if (area)
		kn_node_account(node, got);
	return area;
}

static const char *reason(int err)
{
	switch (err) {
	case EINVAL:
		return "the request is invalid";
	case ENOMEM:
		return "no address space or no memory";
	case EACCES:
	case ENODEV:
		return "a node has no memory, or may not be used";
	default:
		return "the system refuses mbind(2)";
	}
}

static kn_slow void *refuse(unsigned long size, int err, gfp_t gfp, int nid)
{
	kn_stat_add(KN_STAT_alloc_failed, 1);
	if (!(gfp & (__GFP_NOWARN | KN_GFP_MALLOC)))
		kn_warn_once("vmalloc of %lu bytes on node %d failed: %s; further "
			     "failures are only counted", size, nid,
			     reason(err));
	errno = err;
	return NULL;
}

void *__vmalloc_node(unsigned long size, unsigned long align, gfp_t gfp,
		     int nid, const void *caller)
{
	const uint64_t nr = pages_of(size);
	struct kn_reclaim r;
	struct page *area;
	uint64_t ext;
	bool dirty;
	int node;

	if (!kn_start())
		return NULL;
	if (!caller)
		caller = CALLER;
	gfp = kn_scope_gfp(kn_node_gfp(nid, gfp));
	if (!align)
		align = 1;
	if (!size || !kn_is_pow2(align) || gfp & ~KN_GFP_KNOWN)
		return refuse(size, EINVAL, gfp, nid);
	if (size > kn_window_half() || align > kn_window_half() ||
	    !kn_may_reclaim(gfp))
		return refuse(size, ENOMEM, gfp, nid);
	if (!kn_node_wanted(nid, gfp, &node))
		return NULL;
	if (kn_large_is_refused(gfp))
		return refuse(size, ENOMEM, gfp, nid);
	kn_slow_step(gfp);
	if (!kn_ext_begin(nr << KN_PAGE_SHIFT, gfp, &ext))
		return refuse(size, ENOMEM, gfp | __GFP_NOWARN, nid);
	align = KN_MAX(align, KN_PAGE_SIZE);
	r = (struct kn_reclaim){.gfp = gfp, .node = node};
	do
		area = by_zonelist(node, nr, align, gfp, &dirty);
	while (unlikely(!area) && kn_vmap_may_fit(nr, align) &&
	       kn_reclaim_more(&r));
	if (!area) {
		if (ext)
			kn_ext_end(ext, nr << KN_PAGE_SHIFT);
		return refuse(size, ENOMEM, gfp, nid);
	}
	kn_store(&area->ext, ext);
	kn_store(&area->caller, caller);
	if (dirty && (gfp & __GFP_ZERO || kn_tun.init_on_alloc))
		memset(kn_page_addr(area), 0, area->nr_pages << KN_PAGE_SHIFT);
	kn_sample_memory(&area->ext, kn_page_addr(area), size);
	return kn_page_addr(area);
}

void *__vmalloc(unsigned long size, gfp_t gfp)
{
	return __vmalloc_node(size, 1, gfp, NUMA_NO_NODE, CALLER);
}

void *vmalloc(unsigned long size)
{
	return __vmalloc_node(size, 1, GFP_KERNEL, NUMA_NO_NODE, CALLER);
}

void *vzalloc(unsigned long size)
{
	return __vmalloc_node(size, 1, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE,
			      CALLER);
}

void *vmalloc_node(unsigned long size, int nid)
{
	return __vmalloc_node(size, 1, GFP_KERNEL, nid, CALLER);
}

void *vzalloc_node(unsigned long size, int nid)
{
	return __vmalloc_node(size, 1, GFP_KERNEL | __GFP_ZERO, nid, CALLER);
}

/* Areas that change their size. */

static bool is_zero_wanted(gfp_t gfp)
{
	return gfp & __GFP_ZERO || kn_tun.init_on_alloc;
}

/* Past that it is a quarter: guards that move are nothing beside the faults. */
#define SPARE_MOST ((size_t)16 << 20)

/*
 * Pages behind @nr ones that grow: as many again, which cost address space and no
 * memory until they are used.  An area of less than 2 MiB stays one.
 */
static uint64_t spare_of(uint64_t nr)
{
	const uint64_t huge = KN_HUGE_SIZE >> KN_PAGE_SHIFT;
	uint64_t spare =
		KN_MAX(nr / 4, KN_MIN(nr, SPARE_MOST >> KN_PAGE_SHIFT));

	if (nr < huge && nr + spare >= huge)
		spare = huge - 1 - nr;
	return spare;
}

/* What is there to grow into is no reason to go to another node. */
static struct page *growing_on(int node, uint64_t nr, bool *dirty)
{
	struct page *area = kn_vmap_get_growing(node, nr, spare_of(nr), dirty);

	return area ? area : kn_vmap_get_growing(node, nr, 0, dirty);
}

void *kn_vmalloc_growing(size_t size, gfp_t gfp, const void *caller)
{
	const uint64_t nr = pages_of(size);
	const struct kn_zonelist *zl;
	struct page *area = NULL;
	bool dirty;
	int node;

	if (size > kn_window_half() || kn_load(&kn_large_refused))
		return NULL;
	kn_slow_step(gfp);
	node = kn_mag_node();
	zl = kn_zonelist(node);
	for (int i = 0; i < zl->nr && !area; i++)
		area = growing_on(zl->node[i], nr, &dirty);
	if (!area)
		return NULL;
	kn_node_account(node, kn_pfn_node(kn_page_pfn(area)));
	kn_store(&area->caller, caller);
	if (dirty && is_zero_wanted(gfp))
		memset(kn_page_addr(area), 0, nr << KN_PAGE_SHIFT);
	kn_sample_memory(&area->ext, kn_page_addr(area), size);
	return kn_page_addr(area);
}

/*
 * For a profiler an area that changes is freed, and allocated with its new size:
 * the first before its place can be another's, so what fails is allocated again.
 */
static struct page *resize_sampled(struct page *area, size_t size, bool grows,
				   bool *dirty)
{
	const uint64_t was = area->ext, nr = pages_of(size);
	const uint64_t bytes = kn_area_pages(area) << KN_PAGE_SHIFT;
	void *const p = kn_page_addr(area);
	struct page *to;

	if (unlikely(was)) {
		kn_store(&area->ext, (uint64_t)0);
		kn_sample_free(p);
	}
	to = kn_vmap_resize(area, nr, grows ? spare_of(nr) : 0, dirty);
	if (to)
		kn_sample_memory(&to->ext, kn_page_addr(to), size);
	else if (unlikely(was))
		kn_sample_alloc(&area->ext, p, bytes, kn_sample_weight(bytes));
	return to;
}

void *kn_vmalloc_resize(struct page *area, size_t size, bool grows, gfp_t gfp)
{
	const uint64_t had = kn_area_pages(area), nr = pages_of(size);
	bool dirty;

	/* What a group pays for, or shall, is charged by the copy. */
	if (area->ext & ~KN_EXT_SAMPLED || gfp & __GFP_ACCOUNT)
		return NULL;
	if (!gfpflags_allow_blocking(gfp) || size > kn_window_half() ||
	    (nr > had && kn_load(&kn_large_refused)))
		return NULL;
	kn_slow_step(gfp);
	area = resize_sampled(area, size, grows, &dirty);
	if (!area)
		return NULL;
	if (dirty && is_zero_wanted(gfp))
		memset(kn_page_addr(area + had), 0,
		       (nr - had) << KN_PAGE_SHIFT);
	return kn_page_addr(area);
}

/* Interleaved over nodes. */

/* The node of an id that memory can be asked of; 0 or -Exxx. */
static int spread_node(int nid, int *node)
{
	*node = kn_node_dense(nid);
	if (*node == -1) {
		kn_stat_add(KN_STAT_invalid_node, 1);
		return -EINVAL;
	}
	if (*node == KN_NODE_OFFLINE ||
	    !(kn_load(&kn_topo.has_memory) >> *node & 1))
		return -ENODEV;
	return kn_load(&kn_topo.allowed) >> *node & 1 ? 0 : -EACCES;
}

static int spread_mask(const int *nodes, int n, uint64_t *mask)
{
	*mask = 0;
	for (int i = 0; i < n; i++) {
		int node;
		const int err = spread_node(nodes[i], &node);

		if (err)
			return err;
		*mask |= 1ull << node;
	}
	return *mask ? 0 : -EINVAL;
}

/* Whether each node has room for its share. */
static bool have_room(uint64_t mask, uint64_t nr)
{
	const uint64_t share = nr / (uint64_t)__builtin_popcountll(mask) + 1;

	for (uint64_t left = mask; left; left &= left - 1)
		if (!kn_zone_take_room(__builtin_ctzll(left), share))
			return false;
	return true;
}

/* Address space of the first node that has some. */
static int get_spread(uint64_t mask, uint64_t nr, struct page **area)
{
	int err = -ENOMEM;

	if (!have_room(mask, nr))
		return -ENOMEM;
	for (uint64_t left = mask; left && err == -ENOMEM; left &= left - 1)
		err = kn_vmap_get_spread(__builtin_ctzll(left), nr, mask, area);
	return err;
}

void *knuma_vmalloc_interleave(unsigned long size, const int *nodes, int n)
{
	const uint64_t nr = pages_of(size);
	struct page *area = NULL;
	uint64_t mask;
	int err;

	if (!kn_start())
		return NULL;
	err = size ? spread_mask(nodes, n, &mask) : -EINVAL;
	if (!err && (size > kn_window_half() ||
		     kn_large_is_refused(GFP_KERNEL)))
		err = -ENOMEM;
	if (err)
		return refuse(size, -err, GFP_KERNEL, n > 0 ? nodes[0] : -1);
	/* One node: its window's policy says the same. */
	if (!(mask & (mask - 1)))
		return vzalloc_node(size,
				    kn_topo.kernel_id[__builtin_ctzll(mask)]);
	kn_slow_step(GFP_KERNEL);
	err = get_spread(mask, nr, &area);
	if (err)
		return refuse(size, -err, GFP_KERNEL, nodes[0]);
	kn_store(&area->caller, CALLER);
	for (uint64_t left = mask; left; left &= left - 1)
		kn_node_stat_add(__builtin_ctzll(left),
				 KN_NODE_STAT_interleave_hit, 1);
	kn_sample_memory(&area->ext, kn_page_addr(area), size);
	return kn_page_addr(area);
}

/* What can be had without copying, for a place that is right; else NULL. */
static void *resize_here(struct page *area, unsigned long size,
			 unsigned long align, gfp_t gfp)
{
	const size_t had = kn_area_pages(area) << KN_PAGE_SHIFT;
	char *const p = kn_page_addr(area);
	void *new = NULL;

	/* Page tables that move are aligned to no more than a page. */
	if (align <= KN_PAGE_SIZE)
		new = kn_vmalloc_resize(area, size, false, gfp);
	if (!new && size > had)
		return NULL;
	/* Of what is left behind a shrink. */
	if (gfp & __GFP_ZERO && size < had)
		memset(p + size, 0,
		       (kn_area_pages(area) << KN_PAGE_SHIFT) - size);
	return new ? new : p;
}

void *vrealloc_node_align(const void *p, unsigned long size,
			  unsigned long align, gfp_t gfp, int nid)
{
	struct page *area;
	void *new = NULL;
	size_t had;

	align = KN_MAX(align, 1ul);
	if (p && !size) {
		vfree(p);
		return NULL;
	}
	area = p ? kn_vmap_find(p) : NULL;
	if (!area && p) {
		kn_warn("vrealloc(%p): no vmalloc area starts there", p);
		errno = EINVAL;
		return NULL;
	}
	/* What is not valid is for __vmalloc_node() to refuse. */
	if (!area || !kn_is_pow2(align) ||
	    gfp & ~(__GFP_BITS_MASK | KN_GFP_MALLOC))
		return __vmalloc_node(size, align, gfp, nid, CALLER);
	had = kn_area_pages(area) << KN_PAGE_SHIFT;
	if (!((uintptr_t)p & (align - 1)) &&
	    (!(gfp & __GFP_THISNODE) || nid == NUMA_NO_NODE ||
	     kn_topo.kernel_id[kn_window_of(p)] == nid))
		new = resize_here(area, size, align, gfp);
	if (new)
		return new;
	new = __vmalloc_node(size, align, gfp, nid, CALLER);
	if (new) {
		memcpy(new, p, KN_MIN(had, size));
		vfree(p);
	}
	return new;
}

void vfree(const void *p)
{
	struct page *area;

	if (!p)
		return;
	area = kn_vmap_find(p);
	if (!area) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_warn("vfree(%p): no vmalloc area starts there; ignored", p);
		return;
	}
	kn_vmap_put(area, false);
}

/* Executable memory is writable or executable, never both. */

void *vmalloc_exec(unsigned long size)
{
	void *p = vmalloc(size);

	if (p)
		kn_page(kn_pfn(p))->flags |= KN_PAGE_EXEC;
	return p;
}

static int set_memory(unsigned long addr, int numpages, int prot)
{
	struct page *area;

	if (numpages <= 0 || addr & (KN_PAGE_SIZE - 1))
		return -EINVAL;
	area = kn_vmap_find_around((void *)addr, (uint64_t)numpages);
	if (!area || !(area->flags & KN_PAGE_EXEC))
		return -EINVAL;
	area->flags |= KN_PAGE_PROTECTED;
	return kn_machine.mprotect((void *)addr, (size_t)numpages << KN_PAGE_SHIFT,
				   prot);
}

int set_memory_rox(unsigned long addr, int numpages)
{
	return set_memory(addr, numpages, PROT_READ | PROT_EXEC);
}

int set_memory_rw(unsigned long addr, int numpages)
{
	return set_memory(addr, numpages, PROT_READ | PROT_WRITE);
}

bool is_vmalloc_addr(const void *p)
{
	return kn_vmap_has(p);
}

unsigned long vmalloc_nr_pages(void)
{
	return kn_vmap_used_bytes() >> KN_PAGE_SHIFT;
}
