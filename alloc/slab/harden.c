/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/harden.h"

#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/random.h"
#include "alloc/config/tunables.h"
#include "alloc/slab/debug.h"
#include "alloc/stats/stats.h"

/* Larger objects do not wait: all places together hold 1 MiB at most. */
#define WAITS_MAX 1024

/*
 * A place for a thread, and those that share its stripe: who puts an object in
 * gets the one that was there.  One exchange, so any context may do it.
 */
static void **waiting; /* [KN_STAT_STRIPES][nr_waiting] */
static uint32_t nr_waiting;
static uint64_t secret; /* odd */

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

/* Words, four at a time: places are multiples of 8. */
static bool is_zero(const void *obj, size_t size)
{
	const uint64_t *word = obj, *const end = word + size / 8;
	uint64_t bits = 0;

	for (; word + 4 <= end; word += 4)
		bits |= word[0] | word[1] | word[2] | word[3];
	for (; word < end; word++)
		bits |= *word;
	return !bits;
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

/*
 * The place of @obj among those of a stripe: always the same one, so that its
 * second free meets it; which one cannot be foreseen.
 */
static void **place_of(uint32_t stripe, const void *obj)
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

void *kn_harden_free(void *obj)
{
	const struct kmem_cache *s = kn_cache_by_id(kn_id_of(obj));
	void **place;

	/* Those have checks of their own, and an order of them. */
	if (kn_debug_on(s)) {
		wipe_if_used(s, obj);
		return obj;
	}
	/* What is wiped must be an object, and one object. */
	if (unlikely(!kn_slab_is_object(s, kn_slab_head(s, obj), obj))) {
		report_interior(s, obj);
		return NULL;
	}
	/* What is charged to somebody is not held up. */
	if (!nr_waiting || s->size > WAITS_MAX || s->remembers) {
		kn_harden_wipe(s, obj);
		return obj;
	}
	place = place_of(kn_thread_stripe(), obj);
	if (unlikely(kn_load(place) == obj)) {
		report_double(s, obj);
		return NULL;
	}
	kn_harden_wipe(s, obj);
	return ck_pr_fas_ptr(place, obj);
}

void kn_harden_flush(void)
{
	for (uint32_t i = 0; i < KN_STAT_STRIPES * nr_waiting; i++) {
		void *obj = kn_load(&waiting[i]) ?
				    ck_pr_fas_ptr(&waiting[i], NULL) :
				    NULL;

		if (obj)
			kn_mag_free(&kn_cache_by_id(kn_id_of(obj))->mag,
				    kn_window_of(obj), obj);
	}
}

bool kn_harden_waits(const void *obj)
{
	for (uint32_t i = 0; nr_waiting && i < KN_STAT_STRIPES; i++)
		if (kn_load(place_of(i, obj)) == obj)
			return true;
	return false;
}
