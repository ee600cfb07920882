/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/harden.h"

#include <string.h>
#include <time.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/base/random.h"
#include "alloc/config/tunables.h"
#include "alloc/magazine/drain.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/kmalloc.h"
#include "alloc/stats/stats.h"

/* Larger objects do not wait. */
#define WAITS_MAX 1024

/*
 * The places of each CPU are the slots of a magazine, which is full at all times:
 * of what waits, or of NULL.  So who reaches magazines reaches them.
 */
static struct kn_magcache places;
static uint32_t nr_places;
static uint64_t secret; /* odd */

/*
 * H3, by stripe and turn: who waits for hands turns new ones to the other count,
 * so that the first becomes 0 however many come.
 */
static struct hand {
	uint32_t nr[2]; /* atomic */
} kn_cacheline hands[KN_STAT_STRIPES];
static uint32_t turn;

bool kn_harden_frees;

struct kn_looked kn_looked[KN_KMALLOC_SMALL_MAX / 16] kn_cacheline;
size_t kn_looked_most;

static void *object_of(uint64_t waits)
{
	return (void *)(uintptr_t)(waits & ~(uint64_t)KN_WAITS_COUNTED);
}

/* What waited on a CPU, when its magazines are drained. */
static void flush_places(struct kn_magcache *c, int node, void **obj,
			 uint32_t n)
{
	(void)c;
	(void)node;
	for (uint32_t i = 0; i < n; i++) {
		void *p = object_of((uintptr_t)obj[i]);

		if (!p)
			continue;
		kn_stat_add(KN_STAT_drained_objects, 1);
		kn_slab_flush(&kn_cache_by_id(kn_id_of(p))->mag,
			      kn_window_of(p), &p, 1);
	}
}

void kn_harden_init(void)
{
	kn_zero_init();
	nr_places = (uint32_t)kn_tun.quarantine;
	secret = kn_random() | 1;
	kn_harden_frees = kn_tun.init_on_free || nr_places;
	if (!nr_places)
		return;
	places = (struct kn_magcache){
		.id = KN_ID_QUARANTINE,
		.place = kn_mag_place(0, KN_ID_QUARANTINE),
		.name = "quarantine",
		.capacity = (uint16_t)nr_places,
		.flush = flush_places,
	};
	kn_magcaches[places.id] = &places;
}

void kn_harden_cache(struct kmem_cache *s, bool patterns)
{
	/* Patterns of a debugged cache are its own. */
	s->wipes = kn_tun.init_on_free && !patterns && !s->ctor &&
		   !(s->own_flags & SLAB_TYPESAFE_BY_RCU);
	s->checks = s->wipes && kn_tun.check_on_reuse;
	/* What is charged to somebody is not held up. */
	s->waits = 0;
	if (nr_places && s->size <= WAITS_MAX && !s->remembers)
		s->waits = s->own_flags & KN_SLAB_BUILT_IN ?
				   KN_WAITS_HERE :
				   KN_WAITS_HERE | KN_WAITS_COUNTED;
}

void kn_harden_open(void)
{
	if (!kn_tun.init_on_free || !kn_tun.check_on_reuse ||
	    kn_tun.sample_bytes ||
	    (kn_tun.guard_sample && kn_tun.guard_sample < KN_SAMPLE_EXACT))
		return;
	for (size_t i = 0; i < KN_ARRAY_SIZE(kn_looked); i++) {
		const struct kmem_cache *s = kn_kmalloc_cache(16 * i + 1);

		/* Place 0 never opens. */
		if (s->checks)
			kn_looked[i] =
				(struct kn_looked){s->mag.place, s->size};
	}
	kn_store_release(&kn_looked_most, KN_KMALLOC_SMALL_MAX);
}

kn_slow void *kn_harden_spoilt(void *obj)
{
	const struct kmem_cache *s = kn_cache_by_id(kn_id_of(obj));
	const char *byte = obj;
	size_t at = 0;

	while (!byte[at] && at < s->size - 1)
		at++;
	kn_stat_add(KN_STAT_written_free, 1);
	kn_bug("use after free: byte %zu of object %p of cache %s was written to "
	       "after it was freed",
	       at, obj, s->name);
	/* A test has taken the abort's place. */
	return memset(obj, 0, s->size);
}

kn_noinline void *kn_harden_checked(void *obj, size_t size)
{
	return likely(kn_is_zero(obj, size)) ? obj : kn_harden_spoilt(obj);
}

void kn_harden_check(const struct kmem_cache *s, void *obj)
{
	kn_harden_checked(obj, s->size);
}

void *kn_harden_pop(const struct kmem_cache *s, int nid)
{
	const uint32_t region = kn_region_of(nid);
	void *obj = NULL;

	if (nid == NUMA_NO_NODE)
		obj = kn_rseq_pop(&kn_hot, s->mag.place);
	else if (likely(region != KN_NO_PLACE))
		obj = kn_rseq_pop_node(&kn_hot, region + s->mag.place);
	if (unlikely(!kn_rseq_popped(obj)))
		return NULL;
	return likely(s->checks) ? kn_harden_checked(obj, s->size) : obj;
}

void kn_harden_wipe(const struct kmem_cache *s, void *obj)
{
	if (s->wipes)
		memset(obj, 0, s->size);
}

void kn_harden_shuffle(void **obj, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		const uint32_t k = kn_random_below(i);
		void *const last = obj[i - 1];

		obj[i - 1] = obj[k];
		obj[k] = last;
	}
}

/* Behind both there is nothing to free. */

static kn_slow enum kn_hardened report_double(const void *obj)
{
	kn_stat_add(KN_STAT_double_free, 1);
	kn_bug("double free: object %p of cache %s was free already", obj,
	       kn_cache_by_id(kn_id_of(obj))->name);
	return KN_HARDEN_SLOW;
}

static kn_slow enum kn_hardened report_interior(const struct kmem_cache *s,
						const void *obj)
{
	kn_stat_add(KN_STAT_invalid_free, 1);
	kn_bug("invalid free: %p is not the start of an object of cache %s",
	       obj, s->name);
	return KN_HARDEN_SLOW;
}

/* H1 holds for debugged caches, too; what is no object is for them to report. */
static kn_slow enum kn_hardened wipe_if_used(const struct kmem_cache *s,
					     void *obj)
{
	const struct page *head = kn_slab_head(s, obj);

	if (kn_slab_is_object(s, head, obj) && !kn_debug_is_free(s, head, obj))
		kn_harden_wipe(s, obj);
	return KN_HARDEN_NOT;
}

static kn_noinline enum kn_hardened free_slowly(void *obj)
{
	kn_stat_add(KN_STAT_free_slow, 1);
	kn_free_object(kn_cache_by_id(kn_id_of(obj)), obj);
	return KN_HARDEN_SLOW;
}

/*
 * KN_HAND_UNCOUNTED is a planted error for the tests: nothing counts as in hand,
 * and the thread loses its CPU while it is.
 */
#ifdef KN_HAND_UNCOUNTED
#define HAND_COUNT(hand, n) ((void)(hand))
#define WITH_IN_HAND()	    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL)
#else
#define HAND_COUNT(hand, n) ck_pr_add_32(hand, (uint32_t)(n))
#define WITH_IN_HAND()	    ((void)0)
#endif

/*
 * The place of @obj: always the same one, so that its second free meets it;
 * which one cannot be foreseen.
 */
static uint32_t place_of(const void *obj)
{
	const uint64_t hash = (uintptr_t)obj * secret;

	return (uint32_t)((hash >> 32) * nr_places >> 32);
}

/* Gives the running CPU its places, if it has none yet, or was drained. */
static void make_places(void)
{
	static void *const none[KN_MAG_SLOTS];
	const int node = kn_mag_node();

	kn_mag_open(&places, node, false);
	kn_mag_push_some(&places, node, none, nr_places);
}

/*
 * What the first section declined: no places, none to be had here, or in the place
 * is what counts while it is in hand.  Without a place an object does not wait.
 */
static kn_noinline enum kn_hardened wait_slowly(uint32_t at, uint64_t waits)
{
	uint32_t *hand = &hands[kn_thread_stripe()].nr[kn_load(&turn)];
	uint64_t old;

	HAND_COUNT(hand, 1);
	old = kn_mag_exchange(&places, at, waits);
	if (!kn_rseq_exchanged(old)) {
		make_places();
		old = kn_mag_exchange(&places, at, waits);
	}
	if (old == waits) {
		report_double(object_of(waits));
	} else if (old) {
		WITH_IN_HAND();
		free_slowly(object_of(kn_rseq_exchanged(old) ? old : waits));
	}
	HAND_COUNT(hand, -1);
	return KN_HARDEN_SLOW;
}

/* Puts @obj, which is free, where it waits; then frees what was there. */
static kn_noinline enum kn_hardened give(const struct kmem_cache *s, void *obj,
					 uint32_t place)
{
	if (s->waits) {
		const uint32_t at = place_of(obj);
		const uint64_t waits = (uintptr_t)obj |
				       (s->waits & KN_WAITS_COUNTED);
		const uint64_t old = kn_rseq_exchange(
			&kn_hot, kn_mag_place(0, KN_ID_QUARANTINE), at, waits,
			KN_WAITS_COUNTED);

		if (unlikely(!kn_rseq_exchanged(old)))
			return wait_slowly(at, waits);
		if (unlikely(old == waits))
			return report_double(obj);
		if (!old)
			return KN_HARDEN_FAST;
		obj = object_of(old);
		place = kn_map_place(obj);
	}
	return likely(kn_rseq_push(&kn_hot, place, obj) == KN_RSEQ_DONE) ?
		       KN_HARDEN_FAST :
		       free_slowly(obj);
}

/* Objects that are long, or not wiped. */
static kn_noinline enum kn_hardened give_other(const struct kmem_cache *s,
					       void *obj, uint32_t place)
{
	kn_harden_wipe(s, obj);
	return give(s, obj, place);
}

enum kn_hardened kn_harden_free(void *p)
{
	const struct kmem_cache *s;
	uint32_t place, id;

	if (unlikely(!kn_span_has(p)))
		return KN_HARDEN_NOT;
	place = kn_map_place(p);
	id = place % (uint32_t)KN_REGION_BYTES /
	     (uint32_t)sizeof(struct kn_magazine);
	if (unlikely(id < KN_ID_FIRST_CACHE))
		return KN_HARDEN_NOT;
	s = kn_cache_by_id(id);
	/* Those have checks of their own, and an order of them. */
	if (unlikely(kn_debug_on(s)))
		return wipe_if_used(s, p);
	/* What is wiped must be an object, and one object. */
	if (unlikely(!kn_slab_is_start(s, p)))
		return report_interior(s, p);
	if (unlikely(s->size > KN_ZERO_HERE || !s->wipes))
		return give_other(s, p, place);
	kn_zero_here(p, s->size);
	return give(s, p, place);
}

static const struct kn_drain_set everywhere = {
	.first_id = KN_ID_QUARANTINE,
	.last_id = KN_ID_QUARANTINE,
	.cid = -1,
	.node = -1,
};

void kn_harden_flush(void)
{
	if (nr_places)
		(void)kn_drain(&everywhere);
}

void kn_harden_settle(void)
{
	for (uint32_t k = 0; nr_places && k < 2; k++) {
		kn_store(&turn, !k);
		for (int i = 0; i < KN_STAT_STRIPES; i++)
			kn_wait_clear(&hands[i].nr[k]);
	}
}

void kn_harden_reset(void)
{
	for (int i = 0; i < KN_STAT_STRIPES; i++)
		hands[i].nr[0] = hands[i].nr[1] = 0;
}

/* Of kn_harden_waits(); the drain lock is held. */
static const void *wanted;

static uint64_t has_wanted(const struct kn_magazine *m)
{
	const uint64_t n = kn_load(&m->cur) & 0xffff;
	uint64_t found = 0;

	for (uint64_t i = 0; i < n; i++)
		found += object_of((uintptr_t)kn_load(&m->slot[i])) == wanted;
	return found;
}

bool kn_harden_waits(const void *obj)
{
	wanted = obj;
	return nr_places && kn_drain_sum(&everywhere, has_wanted);
}
