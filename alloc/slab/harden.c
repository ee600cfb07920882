/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/harden.h"

#include <string.h>
#include <time.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/base/random.h"
#include "alloc/config/tunables.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/kmalloc.h"
#include "alloc/stats/stats.h"

/* Larger objects do not wait: all places together hold 1 MiB at most. */
#define WAITS_MAX 1024

/*
 * A place for a thread, and those that share its stripe: who puts an object in
 * gets the one that was there.  One exchange, so any context may do it.
 */
static uint64_t *waiting; /* [KN_STAT_STRIPES][nr_waiting] */
static uint32_t nr_waiting;
static uint64_t secret; /* odd */

/* H3, by stripe. */
static struct hand {
	uint32_t nr; /* atomic */
} kn_cacheline hands[KN_STAT_STRIPES];

bool kn_harden_frees;

bool kn_harden_init(void)
{
	nr_waiting = (uint32_t)kn_tun.quarantine;
	secret = kn_random() | 1;
	kn_harden_frees = kn_tun.init_on_free || nr_waiting;
	if (!nr_waiting || waiting)
		return true;
	waiting = kn_meta_alloc(KN_STAT_STRIPES * nr_waiting * sizeof(*waiting),
				-1);
	return waiting != NULL;
}

static kn_slow void report_spoilt(const struct kmem_cache *s, const char *obj,
				  size_t at)
{
	kn_stat_add(KN_STAT_written_free, 1);
	kn_bug("use after free: byte %zu of object %p of cache %s was written to "
	       "after it was freed",
	       at, (const void *)obj, s->name);
}

/* Two words, which every processor compares and stores at once. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8), may_alias));

/* Places are multiples of 8. */
static inline bool is_zero(const void *obj, size_t size)
{
	const pair *p = obj;
	pair bits = {0, 0};

	for (; size >= 4 * sizeof(pair); size -= 4 * sizeof(pair), p += 4)
		bits |= (p[0] | p[1]) | (p[2] | p[3]);
	for (; size >= sizeof(pair); size -= sizeof(pair))
		bits |= *p++;
	return !(bits[0] | bits[1] | (size ? *(const uint64_t *)p : 0));
}

/* The call of memset() takes longer than this. */
#define WIPE_HERE 256

static inline void wipe(const struct kmem_cache *s, void *obj)
{
	const pair zero = {0, 0};
	size_t size = s->size;
	pair *p = obj;

	if (size > WIPE_HERE) {
		memset(obj, 0, size);
		return;
	}
	for (; size >= sizeof(pair); size -= sizeof(pair)) {
		*p++ = zero;
		/* Else this is known for a memset(), and becomes one. */
		__asm__ volatile("" ::: "memory");
	}
	if (size)
		*(uint64_t *)p = 0;
}

void kn_harden_check(const struct kmem_cache *s, void *obj)
{
	const char *byte = obj;
	size_t at = 0;

	if (likely(is_zero(obj, s->size)))
		return;
	while (!byte[at])
		at++;
	report_spoilt(s, obj, at);
	/* A test has taken the abort's place: as promised from here on. */
	memset(obj, 0, s->size);
}

void kn_harden_wipe(const struct kmem_cache *s, void *obj)
{
	if (s->wipes)
		wipe(s, obj);
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

/*
 * The place of @obj among those of a stripe: always the same one, so that its
 * second free meets it; which one cannot be foreseen.
 */
static uint64_t *place_of(uint32_t stripe, const void *obj)
{
	const uint64_t hash = (uintptr_t)obj * secret;

	return &waiting[stripe * nr_waiting +
			(hash >> 32) * nr_waiting / (1ull << 32)];
}

static kn_slow void report_double(const struct kmem_cache *s, const void *obj)
{
	kn_stat_add(KN_STAT_double_free, 1);
	kn_bug("double free: object %p of cache %s was free already", obj,
	       s->name);
}

static kn_slow void report_interior(const struct kmem_cache *s, const void *obj)
{
	kn_stat_add(KN_STAT_invalid_free, 1);
	kn_bug("invalid free: %p is not the start of an object of cache %s",
	       obj, s->name);
}

/* H1 holds for debugged caches, too; what is no object is for them to report. */
static kn_slow void wipe_if_used(const struct kmem_cache *s, void *obj)
{
	const struct page *head = kn_slab_head(s, obj);

	if (kn_slab_is_object(s, head, obj) && !kn_debug_is_free(s, head, obj))
		kn_harden_wipe(s, obj);
}

static void free_slowly(void *obj)
{
	kn_stat_add(KN_STAT_free_slow, 1);
	kn_free_object(kn_cache_by_id(kn_id_of(obj)), obj);
}

/* One section for all who come by. */
static kn_noinline void put_back(void *obj)
{
	if (unlikely(kn_rseq_push(&kn_hot, kn_map_place(obj), obj) !=
		     KN_RSEQ_DONE))
		free_slowly(obj);
}

/* Of a place: its object, and in bit 0 whether H3 speaks of that. */
static uint64_t waiting_as(const struct kmem_cache *s, const void *obj)
{
	return (uintptr_t)obj | !(s->own_flags & KN_SLAB_BUILT_IN);
}

static void *object_of(uint64_t waits)
{
	return (void *)(uintptr_t)(waits & ~(uint64_t)1);
}

/*
 * KN_HAND_UNCOUNTED is a planted error for the tests: nothing counts as in hand,
 * and the thread loses its CPU while it is.
 */
#ifdef KN_HAND_UNCOUNTED
#define HAND_COUNT(hand, n) ((void)(hand))
#define WITH_IN_HAND()	    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL)
#else
#define HAND_COUNT(hand, n) ck_pr_add_32(&(hand)->nr, (uint32_t)(n))
#define WITH_IN_HAND()	    ((void)0)
#endif

/* Puts @waits into a place, and frees what was there. */
static inline void exchange(uint64_t *place, uint32_t stripe, uint64_t waits)
{
	struct hand *hand = &hands[stripe];
	uint64_t old = kn_load(place);
	bool counted = false;

	do {
		if (unlikely((old & 1) != counted)) {
			HAND_COUNT(hand, counted ? -1 : 1);
			counted = !counted;
		}
	} while (!ck_pr_cas_64_value(place, old, waits, &old));
	if (likely(old)) {
		WITH_IN_HAND();
		put_back(object_of(old));
	}
	if (unlikely(counted))
		HAND_COUNT(hand, -1);
}

bool kn_harden_free(void *p)
{
	const uint32_t id = kn_id_of(p);
	const struct kmem_cache *s;
	uint32_t stripe;
	uint64_t *place;

	if (id < KN_ID_FIRST_CACHE)
		return false;
	s = kn_cache_by_id(id);
	/* Those have checks of their own, and an order of them. */
	if (unlikely(kn_debug_on(s))) {
		wipe_if_used(s, p);
		return false;
	}
	/* What is wiped must be an object, and one object. */
	if (unlikely(!kn_slab_is_object(s, kn_slab_head(s, p), p))) {
		report_interior(s, p);
		return true;
	}
	/* What is charged to somebody is not held up. */
	if (!nr_waiting || s->size > WAITS_MAX || unlikely(s->remembers)) {
		kn_harden_wipe(s, p);
		put_back(p);
		return true;
	}
	stripe = kn_thread_stripe();
	place = place_of(stripe, p);
	if (unlikely(object_of(kn_load(place)) == p)) {
		report_double(s, p);
		return true;
	}
	kn_harden_wipe(s, p);
	exchange(place, stripe, waiting_as(s, p));
	return true;
}

void kn_harden_flush(void)
{
	const uint32_t stripe = kn_thread_stripe();

	for (uint32_t i = 0; i < KN_STAT_STRIPES * nr_waiting; i++)
		if (kn_load(&waiting[i]))
			exchange(&waiting[i], stripe, 0);
}

void kn_harden_settle(void)
{
	for (int i = 0; nr_waiting && i < KN_STAT_STRIPES; i++)
		kn_wait_clear(&hands[i].nr);
}

void kn_harden_reset(void)
{
	for (int i = 0; i < KN_STAT_STRIPES; i++)
		hands[i].nr = 0;
}

bool kn_harden_waits(const void *obj)
{
	for (uint32_t i = 0; nr_waiting && i < KN_STAT_STRIPES; i++)
		if (object_of(kn_load(place_of(i, obj))) == obj)
			return true;
	return false;
}
