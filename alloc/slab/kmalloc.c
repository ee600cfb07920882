/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/slab/kmalloc.c - the entry points that allocate and free objects
 *
 * Each is a fast path that fits a screen, one restartable section with a few
 * loads around it, and one slow function behind it.
 */
#include <errno.h>
#include <knuma/slab.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/bits.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "alloc/page/large.h"
#include "alloc/page/reclaim.h"
#include "alloc/page/scope.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/fence.h"
#include "alloc/slab/harden.h"
#include "alloc/slab/kmalloc.h"
#include "alloc/slab/remember.h"
#include "alloc/stats/stats.h"

/* What a free that comes from nowhere is told. */
static kn_slow void report_foreign(const char *call, const void *p)
{
	kn_stat_add(KN_STAT_invalid_free, 1);
	kn_bug("%s(%p): %s", call, p,
	       kn_span_has(p) ?
	       "nothing was allocated there, or it was freed already" :
	       "the pointer is not of this heap");
}

/* kmalloc */

static kn_slow void *large_slow(size_t size, gfp_t gfp, int nid)
{
	const size_t bytes = kn_large_bytes(size);
	struct kn_reclaim r;
	uint64_t ext;
	void *p;
	int node;

	if (unlikely(!kn_start()))
		return NULL;
	if (gfp & ~KN_GFP_KNOWN) {
		errno = EINVAL;
		return NULL;
	}
	if (size > KMALLOC_MAX_SIZE) {
		kn_stat_add(KN_STAT_too_large, 1);
		if (!(gfp & __GFP_NOWARN))
			kn_warn_once("kmalloc of %zu bytes: the largest is %zu; "
				     "kvmalloc has no such limit", size,
				     (size_t)KMALLOC_MAX_SIZE);
		errno = ENOMEM;
		return NULL;
	}
	gfp = kn_scope_gfp(kn_node_gfp(nid, gfp));
	if (!kn_node_wanted(nid, gfp, &node))
		return NULL;
	if (kn_tun.init_on_alloc)
		gfp |= __GFP_ZERO;
	if (!kn_ext_begin(bytes, gfp, &ext)) {
		kn_count_failure("kmalloc", size, gfp, nid);
		return NULL;
	}
	r = (struct kn_reclaim){.gfp = gfp, .node = node};
	do
		p = kn_large_alloc(bytes, KN_PAGE_SIZE, gfp, node);
	while (unlikely(!p) && kn_reclaim_more(&r));
	if (!p && ext)
		kn_ext_end(ext, bytes);
	if (!p)
		return kn_alloc_failed("kmalloc", size, gfp, nid);
	if (ext) {
		kn_store(&kn_page(kn_pfn(p))->ext, ext);
		kn_large_hold(kn_page(kn_pfn(p)));
	}
	kn_sample_memory(&kn_page(kn_pfn(p))->ext, p, size);
	return p;
}

/* What a call that may wait needs, a magazine of runs has. */
static void *large(size_t size, gfp_t gfp, int nid)
{
	const uint32_t place = kn_large_place(size);
	const uint32_t region = place ? kn_region_wanted(nid) : KN_NO_PLACE;
	void *p = NULL;

	if (likely(region != KN_NO_PLACE && !(gfp & KN_GFP_SLOW) &&
		   gfpflags_allow_blocking(gfp)))
		p = kn_rseq_pop_node(&kn_hot, region + place);
	return likely(kn_rseq_popped(p)) ? p : large_slow(size, gfp, nid);
}

static kn_slow void *kmalloc_slow(size_t size, gfp_t gfp, int nid)
{
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return large(size, gfp, nid);
	if (unlikely(!kn_start()))
		return NULL;
	if (unlikely(!size))
		return ZERO_SIZE_PTR;
	return kn_kmalloc_alloc(size, gfp, nid);
}

/* Sizes with a class, but without a place in the table of small ones. */
void *kn_kmalloc_alloc(size_t size, gfp_t gfp, int nid)
{
	struct kmem_cache *s = kn_kmalloc_cache(size);

	if (unlikely(gfp & (__GFP_ACCOUNT | KN_GFP_REMEMBER))) {
		if (gfp & KN_GFP_REMEMBER || kn_group_active)
			return kn_cache_alloc_sized(kn_kmalloc_cg_cache(size),
						    size, gfp, nid);
		gfp &= ~__GFP_ACCOUNT;
	}
	if (unlikely(kn_fence_every || kn_sample_bytes)) {
		const uint32_t place = kn_load_hot(&s->mag.fast_place);
		void *p = nid == NUMA_NO_NODE && !(gfp & KN_GFP_SLOW) && place ?
				  kn_rseq_pop(&kn_hot, place) :
				  NULL;

		return kn_rseq_popped(p) ?
			       p :
			       kn_cache_alloc_sized(s, size, gfp, nid);
	}
	if (kn_debug_on(s))
		return kn_cache_alloc_sized(s, size, gfp, nid);
	return nid == NUMA_NO_NODE ? kmem_cache_alloc(s, gfp) :
				     kmem_cache_alloc_node(s, gfp, nid);
}

/* Below, since it serves caches as well. */
static kn_noinline void *alloc_rest(struct kmem_cache *s, gfp_t gfp, int nid,
				    size_t size);

/* Sizes that the fast paths are not open for, or not at all. */
static kn_noinline void *kmalloc_closed(size_t size, gfp_t gfp, int nid)
{
	if (nid == NUMA_NO_NODE && !(gfp & KN_GFP_SLOW & ~__GFP_ZERO)) {
		void *p = kn_harden_alloc(size);

		if (p)
			return p;
	}
	return kmalloc_slow(size, gfp, nid);
}

static kn_noinline void *kmalloc_rest(size_t size, gfp_t gfp, int nid)
{
	return likely(kn_hot_small(&kn_hot, size)) ?
		       alloc_rest(kn_kmalloc_cache(size), gfp, nid, size) :
		       kmalloc_closed(size, gfp, nid);
}

kn_fast void *kmalloc(size_t size, gfp_t gfp)
{
	if (likely(kn_hot_small(&kn_hot, size) && !(gfp & KN_GFP_SLOW))) {
		void *p = kn_rseq_pop(&kn_hot,
				      kn_kmalloc_place[(size - 1) / 16]);

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return kmalloc_rest(size, gfp, NUMA_NO_NODE);
}

kn_fast void *kmalloc_node(size_t size, gfp_t gfp, int nid)
{
	if (likely(kn_hot_small(&kn_hot, size) && !(gfp & KN_GFP_SLOW))) {
		const uint32_t region = kn_region_of(nid);
		void *p;

		if (unlikely(region == KN_NO_PLACE))
			return nid == NUMA_NO_NODE ? kmalloc(size, gfp) :
						     kmalloc_rest(size, gfp, nid);
		p = kn_rseq_pop_node(&kn_hot, region +
				     kn_kmalloc_place[(size - 1) / 16]);
		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return kmalloc_rest(size, gfp, nid);
}

/* kmem_cache */

/*
 * What the fast paths leave over of @s: @size bytes for kmalloc(), 0 for an object
 * of a cache.  Where no more is wished for than zeroes, it is a section and a
 * memset() of all of the place, which was used before; so this is not cold.  A
 * constructor's work must not be overwritten, and such a call is warned of.
 */
static void *alloc_rest(struct kmem_cache *s, gfp_t gfp, int nid, size_t size)
{
	const uint32_t region = kn_region_of(nid);
	const uint32_t place = kn_load_hot(&s->mag.fast_place);
	void *p = NULL;

	if (likely((gfp & KN_GFP_SLOW) == __GFP_ZERO && !s->ctor)) {
		if (nid == NUMA_NO_NODE)
			p = kn_rseq_pop(&kn_hot, place);
		else if (likely(region != KN_NO_PLACE))
			p = kn_rseq_pop_node(&kn_hot, region + place);
		if (likely(kn_rseq_popped(p)))
			return memset(p, 0, s->size);
	}
	return size ? kn_kmalloc_alloc(size, gfp, nid) :
		      kn_cache_alloc_slow(s, gfp, nid);
}

kn_fast void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	if (likely(!(gfp & KN_GFP_SLOW))) {
		void *p = kn_rseq_pop(&kn_hot, kn_load_hot(&s->mag.fast_place));

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return alloc_rest(s, gfp, NUMA_NO_NODE, 0);
}

kn_fast void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int nid)
{
	const uint32_t region = kn_region_of(nid);

	if (likely(!(gfp & KN_GFP_SLOW) && region != KN_NO_PLACE)) {
		void *p = kn_rseq_pop_node(
			&kn_hot, region + kn_load_hot(&s->mag.fast_place));

		if (likely(kn_rseq_popped(p)))
			return p;
	}
	return alloc_rest(s, gfp, nid, 0);
}

/* kfree */

/* A large kmalloc at @p?  Then it is freed. */
static bool free_large(const void *p, uint32_t pfn)
{
	struct page *page = kn_page(pfn);

	if (p != kn_page_addr(page) || page->flags & KN_PAGE_EXACT)
		return false;
	kn_large_free(page, false);
	return true;
}

void kn_free_object(struct kmem_cache *s, void *p)
{
	if (kn_debug_on(s))
		kn_slab_flush(&s->mag, kn_window_of(p), &p, 1);
	else
		kn_mag_free(&s->mag, kn_window_of(p), p);
}

kn_slow void kn_free_slow(const void *p, const char *call)
{
	uint32_t id;

	if (unlikely(kn_harden_frees) && kn_harden_free((void *)p))
		return;
	if (ZERO_OR_NULL_PTR(p))
		return;
	if (!kn_span_has(p)) {
		report_foreign(call, p);
		return;
	}
	kn_stat_add(KN_STAT_free_slow, 1);
	id = kn_map_id(kn_pfn(p));
	if (id >= KN_ID_FIRST_CACHE)
		kn_free_object(kn_cache_by_id(id), (void *)p);
	else if (id != KN_ID_LARGE || !free_large(p, kn_pfn(p)))
		id == KN_ID_GUARD ? kn_fence_free(p) : report_foreign(call, p);
}

kn_fast void kfree(const void *p)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	kn_free_slow(p, "kfree");
}

static kn_slow void wrong_cache(struct kmem_cache *s,
				const struct kmem_cache *its, void *p)
{
	kn_warn("kmem_cache_free(%p): Wrong slab cache. %s but object is from %s; "
		"it goes back there", p, s->name, its->name);
	if (kn_id_of(p) == its->mag.id &&
	    kn_slab_is_object(its, kn_slab_head(its, p), p))
		kn_report_tracks(its, p);
}

static kn_slow void cache_free_slow(struct kmem_cache *s, void *p)
{
	const uint32_t id = kn_id_of(p);
	const struct kmem_cache *of = NULL;

	if (id >= KN_ID_FIRST_CACHE)
		of = kn_cache_by_id(id);
	else if (id == KN_ID_GUARD)
		of = kn_fence_cache(p);
	if (of && of != s)
		wrong_cache(s, of, p);
	kn_free_slow(p, "kmem_cache_free");
}

kn_fast void kmem_cache_free(struct kmem_cache *s, void *p)
{
	if (likely(kn_hot_has(&kn_hot, p))) {
		const uint32_t place = kn_hot_place(&kn_hot, p);

		if (likely(place % (uint32_t)KN_REGION_BYTES == s->mag.place) &&
		    likely(kn_rseq_push(&kn_hot, place, p) == KN_RSEQ_DONE))
			return;
	}
	cache_free_slow(s, p);
}

void *__kmalloc_cache_noprof(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	return kn_debug_on(s) ? kn_cache_alloc_sized(s, size, gfp, NUMA_NO_NODE) :
				kmem_cache_alloc(s, gfp);
}

/* Bulk */

/* Each by its own way: what is checked or charged is an object. */
static kn_slow int alloc_singly(struct kmem_cache *s, gfp_t gfp, size_t n,
				void **p)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = kn_cache_alloc_slow(s, gfp, NUMA_NO_NODE);
		if (!p[i]) {
			kmem_cache_free_bulk(s, i, p);
			return 0;
		}
	}
	return (int)n;
}

int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
{
	const bool init = kn_tun.init_on_alloc &&
			  !(kn_load(&s->flags) & SLAB_TYPESAFE_BY_RCU);
	const bool zero = (gfp & __GFP_ZERO || init) && !s->ctor;
	const int node = kn_mag_node();
	size_t got = 0;

	gfp = kn_scope_gfp(gfp);
	if (unlikely(!kn_cache_gfp_usable(s, gfp)))
		return 0;
	if (kn_debug_on(s) || unlikely(s->remembers))
		return alloc_singly(s, gfp, n, p);
	if (unlikely(kn_fence_every) && n) {
		p[0] = kn_fence_alloc_of(s, s->object_size, gfp, node,
					 (uint32_t)KN_MIN(n, UINT32_MAX));
		got = p[0] != NULL;
	}
	while (got < n) {
		const uint32_t want = (uint32_t)KN_MIN(n - got, KN_MAG_SLOTS);
		uint32_t more = kn_mag_alloc_bulk(&s->mag, node, gfp, p + got,
						  want);

		if (!more) {
			/*
			 * Other nodes, reclaim and the message, for one; it
			 * comes as asked for, and may be smaller than others.
			 */
			p[got] = kn_cache_alloc_slow(s, gfp, NUMA_NO_NODE);
			if (p[got++])
				continue;
			kmem_cache_free_bulk(s, got - 1, p);
			return 0;
		}
		for (uint32_t i = 0; s->checks && i < more; i++)
			kn_harden_check(s, p[got + i]);
		for (uint32_t i = 0; zero && i < more; i++)
			memset(p[got + i], 0, s->size);
		got += more;
	}
	return (int)n;
}

/*
 * How many objects from p[0] on go back to the same magazine; its place, 0 of
 * what is not in the span.
 */
static size_t run_of(size_t n, void **p, uint32_t *place)
{
	size_t i = 1;

	*place = 0;
	if (!kn_hot_has(&kn_hot, p[0]))
		return 1;
	*place = kn_hot_place(&kn_hot, p[0]);
	while (i < n && i < KN_MAG_SLOTS && kn_hot_has(&kn_hot, p[i]) &&
	       kn_hot_place(&kn_hot, p[i]) == *place)
		i++;
	return i;
}

void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
{
	while (n) {
		uint32_t place;
		const size_t run = run_of(n, p, &place);
		const uint32_t id = kn_place_id(place);

		if (id >= KN_ID_FIRST_CACHE && (!s || s->mag.id == id) &&
		    likely(!kn_harden_frees))
			kn_mag_free_bulk(&kn_cache_by_id(id)->mag,
					 kn_place_node(place), p,
					 (uint32_t)run);
		else
			for (size_t i = 0; i < run; i++)
				s ? kmem_cache_free(s, p[i]) : kfree(p[i]);
		p += run;
		n -= run;
	}
}

void kfree_bulk(size_t n, void **p)
{
	kmem_cache_free_bulk(NULL, n, p);
}

/* Sizes */

/* Bytes of an object: all of its place, unless that has more in it. */
static size_t room_of(const struct kmem_cache *s)
{
	return kn_debug_layout(s) ? s->object_size : s->size;
}

/* The cache of @p if it knows more of its objects than that; or NULL. */
static struct kmem_cache *debugged(const void *p)
{
	const uint32_t id = kn_id_of(p);
	struct kmem_cache *s;

	if (id < KN_ID_FIRST_CACHE)
		return NULL;
	s = kn_cache_by_id(id);
	return kn_debug_layout(s) &&
	       kn_slab_is_object(s, kn_slab_head(s, p), p) ? s : NULL;
}

size_t kn_object_used(const void *p)
{
	const size_t room = kn_room_of(p);
	const struct kmem_cache *s;

	if (likely(room))
		return room;
	s = debugged(p);
	return s ? kn_debug_requested(s, p) : ksize(p);
}

void kn_object_resize(void *p, size_t size, bool zero)
{
	const struct kmem_cache *s = debugged(p);
	const size_t have = ksize(p), used = kn_object_used(p);

	if (zero && used < size)
		memset((char *)p + used, 0, size - used);
	else if (zero)
		memset((char *)p + size, 0, have - size);
	if (s)
		kn_debug_resize(s, p, size);
}

size_t ksize(const void *p)
{
	const size_t room = kn_room_of(p);
	uint32_t id;

	if (likely(room))
		return room;
	if (ZERO_OR_NULL_PTR(p) || !kn_span_has(p))
		return 0;
	id = kn_map_id(kn_pfn(p));
	if (id >= KN_ID_FIRST_CACHE)
		return room_of(kn_cache_by_id(id));
	if (id == KN_ID_LARGE)
		return kn_page(kn_pfn(p))->nr_pages << KN_PAGE_SHIFT;
	return id == KN_ID_GUARD ? kn_fence_size(p) : 0;
}

size_t kmalloc_size_roundup(size_t size)
{
	if (size && size <= KMALLOC_MAX_CACHE_SIZE && kn_start())
		return room_of(kn_kmalloc_cache(size));
	if (size && size <= KMALLOC_MAX_SIZE)
		return kn_large_bytes(size);
	return size;
}

/* Whether an object may stay where it is, for its place alone. */
static bool may_stay(const void *p, unsigned long align, gfp_t gfp, int nid)
{
	if ((uintptr_t)p & (align - 1))
		return false;
	return !(gfp & __GFP_THISNODE) || nid == NUMA_NO_NODE ||
	       kn_topo.kernel_id[kn_window_of(p)] == nid;
}

void *krealloc_node_align(const void *p, size_t size, unsigned long align,
			  gfp_t gfp, int nid)
{
	const size_t have = ksize(p);
	size_t bytes = size;
	void *new;

	if (!align)
		align = 1;
	if (unlikely(!kn_is_pow2(align))) {
		kn_warn_once("krealloc_node_align: alignment %lu is no power "
			     "of two", align);
		errno = EINVAL;
		return NULL;
	}
	/* What is a multiple of it is aligned to it; a sum too large fails. */
	if (size && __builtin_add_overflow(size, align - 1, &bytes))
		bytes = SIZE_MAX;
	bytes &= ~(align - 1);
	if (ZERO_OR_NULL_PTR(p))
		return kmalloc_node(bytes, gfp, nid);
	if (!size) {
		kfree(p);
		return ZERO_SIZE_PTR;
	}
	if (!have) {
		report_foreign("krealloc", p);
		return NULL;
	}
	if (size <= have && may_stay(p, align, gfp, nid)) {
		kn_object_resize((void *)p, size, gfp & __GFP_ZERO);
		return (void *)p;
	}
	new = kmalloc_node(bytes, gfp, nid);
	if (new) {
		memcpy(new, p, KN_MIN(kn_object_used(p), size));
		kfree(p);
	}
	return new;
}

void *krealloc(const void *p, size_t size, gfp_t gfp)
{
	return krealloc_node_align(p, size, 1, gfp, NUMA_NO_NODE);
}

kn_slow void kn_check_size(const void *p, size_t size, size_t room,
			   const char *call)
{
	const struct kmem_cache *s = room ? debugged(p) : NULL;
	const size_t asked = s ? kn_debug_requested(s, p) : 0;

	if (!room || (size >= asked && size <= room))
		return;
	if (size > room)
		kn_warn("%s(%p, %zu): Wrong size. The object has %zu bytes; it "
			"is freed",
			call, p, size, room);
	else
		kn_warn("%s(%p, %zu): Wrong size. The object is one of %zu "
			"bytes; it is freed",
			call, p, size, asked);
	if (s)
		kn_report_tracks(s, p);
}

static kn_slow void free_sized_slow(const void *p, size_t size)
{
	kn_check_size(p, size, ksize(p), "kfree_sized");
	kn_free_slow(p, "kfree_sized");
}

kn_fast void kfree_sized(const void *p, size_t size)
{
	if (likely(kn_hot_push(&kn_hot, p)))
		return;
	free_sized_slow(p, size);
}

void kfree_sensitive(const void *p)
{
	const size_t size = kn_object_used(p);

	if (size)
		explicit_bzero((void *)p, size);
	kfree(p);
}
