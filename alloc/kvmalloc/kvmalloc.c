/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/kvmalloc/kvmalloc.c - a path by size and node
 *
 *   1. up to a page: a slab object
 *   2. up to kvmalloc_pages_max: the same, or contiguous pages, one light try
 *   3. past that, or when pages are fragmented: a vmalloc area
 *
 * Each step goes along the zonelist of the node, unless __GFP_THISNODE.
 */
#include <knuma/kvmalloc.h>

#include <errno.h>
#include <limits.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "alloc/slab/kmalloc.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/move.h"
#include "alloc/vmalloc/vmap.h"

/* Flags of a try that has another way behind it. */
static gfp_t light(gfp_t gfp)
{
	return (gfp & ~(gfp_t)(__GFP_NOFAIL | __GFP_RETRY_MAYFAIL)) |
	       __GFP_NORETRY | __GFP_NOWARN;
}

/* @size is a multiple of @align, so objects and pages of it are aligned. */
static kn_always_inline void *by_size(size_t size, unsigned long align,
				      gfp_t gfp, int node, const void *caller)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	void *p;

	if (unlikely(!kn_start()))
		return NULL;
	/* 1. Nothing is smaller than a page but an object. */
	if (size <= KN_PAGE_SIZE)
		return kmalloc_node(size, gfp, node);
	/* 2. Contiguous; the only way for a call that may not wait. */
	if (size <= (may_block ? kn_load(&kn_tun.kvmalloc_pages_max) :
				 KMALLOC_MAX_SIZE)) {
		p = kmalloc_node(size, may_block ? light(gfp) : gfp, node);
		/* What is invalid is so on the other way, too. */
		if (p || !may_block || errno == EINVAL)
			return p;
	}
	/* 3. Contiguous in address space only. */
	if (size > INT_MAX || !may_block) {
		kn_stat_add(KN_STAT_too_large, 1);
		if (!(gfp & __GFP_NOWARN))
			kn_warn_once("kvmalloc of %zu bytes: the largest is %d, "
				     "and %zu for a call that may not wait; "
				     "vmalloc has no such limit", size, INT_MAX,
				     (size_t)KMALLOC_MAX_SIZE);
		errno = ENOMEM;
		return NULL;
	}
	return __vmalloc_node(size, align, gfp, node, caller);
}

void *kvmalloc_node(size_t size, gfp_t gfp, int node)
{
	return by_size(size, 1, gfp, node, __builtin_return_address(0));
}

void *kvmalloc_node_align(size_t size, unsigned long align, gfp_t gfp, int node)
{
	size_t bytes = size;

	if (!align)
		align = 1;
	if (unlikely(!kn_is_pow2(align))) {
		kn_warn_once("kvmalloc_node_align: alignment %lu is no power of "
			     "two", align);
		errno = EINVAL;
		return NULL;
	}
	if (size && __builtin_add_overflow(size, align - 1, &bytes))
		bytes = SIZE_MAX;
	return by_size(bytes & ~(align - 1), align, gfp, node,
		       __builtin_return_address(0));
}

/* Bytes that may be used of a kvmalloc()ed object. */
static size_t size_of(const void *p)
{
	const struct page *area;

	if (!kn_vmap_has(p))
		return ksize(p);
	area = kn_vmap_find(p);
	return area ? kn_area_pages(area) << KN_PAGE_SHIFT : 0;
}

static kn_noinline void free_rest(const void *p, const char *call)
{
	if (kn_vmap_has(p))
		vfree(p);
	else
		kn_free_slow(p, call);
}

/* Areas have no magazine: what is taken back here is an object. */
kn_fast void kvfree(const void *p)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	free_rest(p, "kvfree");
}

static kn_slow void free_sized_slow(const void *p, size_t size)
{
	kn_check_size(p, size, size_of(p), "kvfree_sized");
	free_rest(p, "kvfree_sized");
}

kn_fast void kvfree_sized(const void *p, size_t size)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	free_sized_slow(p, size);
}

void kvfree_sensitive(const void *p, size_t len)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	explicit_bzero((void *)p, len);
	kvfree(p);
}

/* An area that stays one, with its new size; NULL: it is as before. */
static void *resize(const void *p, size_t size, gfp_t gfp)
{
	struct page *area = kn_vmap_find(p);

	/* What is not valid, or names a node, is for kvmalloc_node(). */
	if (!area || size > INT_MAX || gfp & ~__GFP_BITS_MASK ||
	    gfp & __GFP_THISNODE || size <= kn_load(&kn_tun.kvmalloc_pages_max))
		return NULL;
	return kn_vmalloc_resize(area, size, false, gfp);
}

/* Whether memory may stay where it is, for its place alone. */
static bool may_stay(const void *p, unsigned long align, gfp_t gfp, int nid)
{
	if ((uintptr_t)p & (align - 1))
		return false;
	return !(gfp & __GFP_THISNODE) || nid == NUMA_NO_NODE ||
	       kn_topo.kernel_id[kn_window_of(p)] == nid;
}

void *kvrealloc_node_align(const void *p, size_t size, unsigned long align,
			   gfp_t gfp, int nid)
{
	const size_t have = size_of(p);
	bool stays;
	void *new;

	align = KN_MAX(align, 1ul);
	if (ZERO_OR_NULL_PTR(p) || !kn_is_pow2(align))
		return kvmalloc_node_align(size, align, gfp, nid);
	if (!have) {
		kn_bug("kvrealloc(%p): nothing is allocated there", p);
		return NULL;
	}
	if (!size) {
		kvfree(p);
		return ZERO_SIZE_PTR;
	}
	stays = may_stay(p, align, gfp, nid);
	/* Page tables that move are aligned to no more than a page. */
	new = stays && align <= KN_PAGE_SIZE ? resize(p, size, gfp) : NULL;
	if (size <= have && stays) {
		/* Of what is left behind a shrink. */
		if (!kn_vmap_has(p))
			kn_object_resize((void *)p, size, gfp & __GFP_ZERO);
		else if (gfp & __GFP_ZERO)
			memset((char *)p + size, 0, size_of(p) - size);
		return (void *)p;
	}
	if (new)
		return new;
	new = kvmalloc_node_align(size, align, gfp, nid);
	if (new) {
		memcpy(new, p, KN_MIN(kn_vmap_has(p) ? have : kn_object_used(p),
				      size));
		kvfree(p);
	}
	return new;
}

void *kvrealloc(const void *p, size_t size, gfp_t gfp)
{
	return kvrealloc_node_align(p, size, 1, gfp, NUMA_NO_NODE);
}
