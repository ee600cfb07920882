/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/malloc/malloc.c - the same heap behind malloc's promises
 *
 * Alignment 16, no limit of size, ENOMEM, errno kept by free.  What the preload
 * library puts behind malloc(3) is here, in libknuma, so that a program that
 * links knuma and is preloaded, too, has one heap.
 */
#include <knuma/malloc.h>

#include <errno.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>
#include <limits.h>
#include <string.h>

#include "alloc/account/sample.h"
#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "alloc/page/large.h"
#include "alloc/slab/harden.h"
#include "alloc/slab/kmalloc.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/move.h"
#include "alloc/vmalloc/vmap.h"

#define GFP_MALLOC (GFP_KERNEL | __GFP_NOWARN | KN_GFP_MALLOC)

static bool is_block(size_t size, size_t align)
{
	return KN_MAX(size, align) <= KN_PAGE_SIZE << KN_MAX_ORDER;
}

/* A block of pages for @size bytes. */
static void *block_of(size_t size, size_t align, gfp_t gfp)
{
	void *p = kn_large_alloc(kn_large_bytes(size),
				 KN_MAX(align, KN_PAGE_SIZE), gfp,
				 kn_mag_node());

	if (p)
		kn_sample_memory(&kn_page(kn_pfn(p))->ext, p, size);
	return p;
}

/*
 * Sizes above the magazines: pages, then areas; pages at last when a limit has
 * left no address space for areas.
 */
static void *large(size_t size, size_t align, gfp_t gfp, const void *caller)
{
	void *p = NULL;

	if (kn_tun.init_on_alloc)
		gfp |= __GFP_ZERO;
	if (size <= kn_load(&kn_tun.kvmalloc_pages_max) && is_block(size, align))
		p = block_of(size, align, gfp);
	if (!p && size <= PTRDIFF_MAX)
		p = __vmalloc_node(size, align, gfp | __GFP_NORETRY,
				   NUMA_NO_NODE, caller);
	if (!p && size > kn_load(&kn_tun.kvmalloc_pages_max) && is_block(size, align))
		p = block_of(size, align, gfp);
	if (!p)
		errno = ENOMEM;
	return p;
}

static kn_slow void *malloc_slow(size_t size, gfp_t gfp)
{
	if (unlikely(!kn_start()))
		return NULL;
	size = KN_MAX(size, 1);
	if (size <= KMALLOC_MAX_CACHE_SIZE)
		return kn_cache_alloc_sized(kn_kmalloc_cache(size), size, gfp,
					    NUMA_NO_NODE);
	return large(size, 1, gfp, __builtin_return_address(0));
}

/* Sizes with a magazine that the table of small ones does not have; or 0. */
static uint32_t medium_place(size_t size)
{
	if (size - 1 < KMALLOC_MAX_CACHE_SIZE)
		return likely(kn_load_hot(&kn_hot.small_max)) ?
			       kn_load_hot(
				       &kn_kmalloc_cache(size)->mag.fast_place) :
			       0;
	return size <= kn_load(&kn_tun.kvmalloc_pages_max) ?
		       kn_large_place(size) :
		       0;
}

/* Before the heap has started, and where objects are looked at. */
static kn_noinline void *malloc_closed(size_t size, gfp_t gfp)
{
	void *p = kn_harden_alloc(size);

	return likely(p) ? p : malloc_slow(size, gfp);
}

static kn_noinline void *malloc_medium(size_t size)
{
	uint32_t place;

	if (unlikely(!kn_load_hot(&kn_hot.small_max)))
		return malloc_closed(size, GFP_MALLOC);
	place = medium_place(size);

	if (likely(place)) {
		void *p = kn_rseq_pop(&kn_hot, place);

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return malloc_slow(size, GFP_MALLOC);
}

kn_fast void *knuma_malloc(size_t size)
{
	if (likely(kn_hot_small(&kn_hot, size))) {
		void *p = kn_rseq_pop(&kn_hot,
				      kn_kmalloc_place[(size - 1) / 16]);

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return malloc_medium(size);
}

kn_fast void *knuma_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(n, size, &bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	if (likely(kn_hot_small(&kn_hot, bytes))) {
		void *p = kn_hot_pop(&kn_hot, bytes);

		if (likely(kn_rseq_popped(p)))
			return memset(p, 0, bytes);
	}
	return malloc_closed(bytes, GFP_MALLOC | __GFP_ZERO);
}

/*
 * What free() of the preload library leaves over; for that library alone.  True:
 * it was a fast path, of another kind.
 */
bool knuma_free_slow(void *p) KN_API;

/*
 * Memory of the loader from before the preload, or of another allocator: what
 * is not of this heap is reported once and left alone.
 */
static kn_slow void free_slow(void *p)
{
	const int saved_errno = errno;
	struct page *area;

	if (!kn_span_has(p)) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_warn_once("free(%p): the pointer is not of this heap; it and "
			     "others like it are left alone", p);
		return;
	}
	area = kn_vmap_find(p);
	if (area)
		kn_vmap_put(area, false);
	else
		kn_free_slow(p, "free");
	errno = saved_errno;
}

kn_noinline bool knuma_free_slow(void *p)
{
	const enum kn_hardened done =
		kn_harden_frees ? kn_harden_free(p) : KN_HARDEN_NOT;

	if (likely(done))
		return done == KN_HARDEN_FAST;
	if (!ZERO_OR_NULL_PTR(p))
		free_slow(p);
	return false;
}

kn_fast void knuma_free(void *p)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	knuma_free_slow(p);
}

static kn_slow size_t usable_slow(void *p)
{
	const struct page *area;

	if (!p || !kn_load_acquire(&kn_started))
		return 0;
	area = kn_vmap_find(p);
	return area ? kn_area_pages(area) << KN_PAGE_SHIFT : kn_object_used(p);
}

static size_t room_of(const void *p)
{
	const struct page *area = kn_vmap_find(p);

	return area ? kn_area_pages(area) << KN_PAGE_SHIFT : ksize(p);
}

/* As allocations have it, 0 is 1. */
static kn_slow void free_sized_slow(void *p, size_t size)
{
	if (kn_span_has(p))
		kn_check_size(p, KN_MAX(size, 1), room_of(p), "free_sized");
	knuma_free_slow(p);
}

kn_fast void knuma_free_sized(void *p, size_t size)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	free_sized_slow(p, size);
}

/* What a small object was asked for with, see knuma_memalign(). */
static size_t rounded_up(size_t size, size_t align)
{
	size_t rounded;

	size = KN_MAX(size, 1);
	if (align <= 16 || __builtin_add_overflow(size, align - 1, &rounded))
		return size;
	rounded &= ~(align - 1);
	return rounded <= KMALLOC_MAX_CACHE_SIZE ? rounded : size;
}

static kn_slow void free_aligned_slow(void *p, size_t align, size_t size)
{
	const bool has = kn_span_has(p);

	if (has && (!kn_is_pow2(align) || (uintptr_t)p & (align - 1)))
		kn_warn("free_aligned_sized(%p, %zu, %zu): Wrong alignment. The "
			"object is freed",
			p, align, size);
	else if (has)
		kn_check_size(p, rounded_up(size, align), room_of(p),
			      "free_aligned_sized");
	knuma_free_slow(p);
}

kn_fast void knuma_free_aligned_sized(void *p, size_t align, size_t size)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	free_aligned_slow(p, align, size);
}

kn_fast size_t knuma_malloc_usable_size(void *p)
{
	const size_t room = kn_room_of(p);

	return likely(room) ? room : usable_slow(p);
}

/* What doubles once more is an area. */
static bool is_nearly_area(size_t size)
{
	return size > kn_load(&kn_tun.kvmalloc_pages_max) / 2;
}

/* An area with its new size, where it is or elsewhere; NULL: it cannot. */
static void *resize_area(struct page *area, size_t size)
{
	const bool grows = size > kn_area_pages(area) << KN_PAGE_SHIFT;
	void *p = NULL;

	if (!is_nearly_area(size))
		return NULL;
	if (grows)
		p = kn_vmalloc_resize(area, size, true, GFP_MALLOC);
	return p ? p : kn_vmalloc_resize(area, size, false, GFP_MALLOC);
}

/* What grows will grow again: whole blocks, then areas with spare pages. */
static void *growing(size_t size, const void *caller)
{
	return is_nearly_area(size) ?
		       kn_vmalloc_growing(size, GFP_MALLOC, caller) :
		       knuma_malloc((size_t)1 << kn_log2_up(size));
}

/* Memory for the content of what grew too small, or became much too large. */
static void *other(size_t size, bool grows, const void *caller)
{
	void *new = NULL;

	if (grows && size > KMALLOC_MAX_CACHE_SIZE)
		new = growing(size, caller);
	return new ? new : knuma_malloc(size);
}

void *knuma_realloc(void *p, size_t size)
{
	const size_t room = kn_room_of(p);
	struct page *area;
	size_t have;
	void *new;

	if (!p)
		return knuma_malloc(size);
	if (!size) {
		knuma_free(p);
		return NULL;
	}
	have = likely(room) ? room : usable_slow(p);
	if (unlikely(!have)) {
		kn_bug("realloc(%p, %zu): nothing is allocated there", p, size);
		errno = ENOMEM;
		return NULL;
	}
	area = likely(room) ? NULL : kn_vmap_find(p);
	new = area ? resize_area(area, size) : NULL;
	if (new)
		return new;
	/* A shrink below half gives memory back, if there is any for it. */
	if (size > have || size < have / 2) {
		const int saved_errno = errno;

		new = other(size, size > have, __builtin_return_address(0));
		if (new) {
			memcpy(new, p, KN_MIN(have, size));
			knuma_free(p);
			return new;
		}
		if (size > have)
			return NULL;
		errno = saved_errno;
	}
	if (unlikely(!room && !area))
		kn_object_resize(p, size, false);
	return p;
}

/* A size that is a multiple of the alignment has a class aligned to it. */
void *knuma_memalign(size_t align, size_t size)
{
	size_t rounded;
	uint32_t place;

	if (unlikely(!kn_is_pow2(align))) {
		errno = EINVAL;
		return NULL;
	}
	size = KN_MAX(size, 1);
	if (align <= 16)
		return knuma_malloc(size);
	if (__builtin_add_overflow(size, align - 1, &rounded)) {
		errno = ENOMEM;
		return NULL;
	}
	rounded &= ~(align - 1);
	if (rounded <= KMALLOC_MAX_CACHE_SIZE)
		return knuma_malloc(rounded);
	/* Runs of pages are aligned to what divides them, too. */
	place = medium_place(rounded);
	if (likely(place)) {
		void *p = kn_rseq_pop(&kn_hot, place);

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	if (unlikely(!kn_start()))
		return NULL;
	return large(size, align, GFP_MALLOC, __builtin_return_address(0));
}
