/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining the magazines of CPUs that use them hands no object out twice and
 * loses none.  Built with KN_SWAP_LOADS, sections read cur before the gates,
 * and this test then passes only if it notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/base/assert.h"
#include "alloc/magazine/drain.h"
#include "alloc/magazine/magazine.h"
#include "alloc/slab/slab.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 3,
	HELD = 24,
};

static struct kmem_cache *cache;
static uint64_t doubled, calls, drains;

static void *take(struct kmem_cache *s)
{
	void *obj = kmem_cache_alloc(s, GFP_KERNEL);

	if (!obj || !stress_own(obj))
		__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
	return obj;
}

static void give(struct kmem_cache *s, void *obj)
{
	stress_disown(obj);
	kmem_cache_free(s, obj);
}

/* Random pops and pushes of one object. */
static void singles(struct stress_thread *t)
{
	void *held[HELD];
	unsigned n = 0;
	uint64_t did = 0;

	while (!stress_stopped()) {
		const unsigned i = stress_below(t, HELD);

		if (i >= n) {
			held[n++] = take(cache);
		} else {
			give(cache, held[i]);
			held[i] = held[--n];
		}
		did++;
	}
	while (n)
		give(cache, held[--n]);
	__atomic_add_fetch(&calls, did, __ATOMIC_RELAXED);
}

/* Batches, whose sections are longer. */
static void batches(struct stress_thread *t)
{
	void *held[HELD];
	uint64_t did = 0;

	while (!stress_stopped()) {
		const unsigned n = 1 + stress_below(t, HELD);

		if (kmem_cache_alloc_bulk(cache, GFP_KERNEL, n, held) !=
		    (int)n) {
			__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
			break;
		}
		for (unsigned i = 0; i < n; i++)
			if (!stress_own(held[i]))
				__atomic_add_fetch(&doubled, 1,
						   __ATOMIC_RELAXED);
		for (unsigned i = 0; i < n; i++)
			stress_disown(held[i]);
		kmem_cache_free_bulk(cache, n, held);
		did += n;
	}
	__atomic_add_fetch(&calls, did, __ATOMIC_RELAXED);
}

static struct kn_drain_set one_cache(void)
{
	return (struct kn_drain_set){
		.first_id = cache->mag.id,
		.last_id = cache->mag.id,
		.cid = -1,
		.node = -1,
	};
}

/* Leaves some magazines full: pops and pushes must have their turn. */
static void rest(void)
{
	if (drains % 64 == 0)
		stress_sleep_ms(1);
}

static void drain_cache(void)
{
	const struct kn_drain_set set = one_cache();

	assert_true(kn_drain(&set));
}

static void drain_one_number(void)
{
	struct kn_drain_set set = one_cache();

	set.cid = (int)(drains % 3);
	assert_true(kn_drain(&set));
}

static void drain_all(void)
{
	const struct kn_drain_set set = {
		.last_id = KN_NR_IDS - 1,
		.cid = -1,
		.node = -1,
	};

	assert_true(kn_drain(&set));
}

static void shrink(void)
{
	kmem_cache_shrink(cache);
}

static void drain_idle(void)
{
	kn_drain_idle();
}

static void trim(void)
{
	assert_int_equal(knuma_trim(), 0);
}

#ifndef KN_SWAP_LOADS

static void stress(const char *what, void (*work)(struct stress_thread *t),
		   void (*drain)(void))
{
	struct stress_thread t[WORKERS];
	const uint64_t until = stress_now_ms() + stress_ms / 2;

	doubled = 0;
	calls = 0;
	drains = 0;
	cache = stress_cache("drained", 64);
	stress_go_on();
	stress_start(t, WORKERS, work, NULL);
	do {
		drain();
		drains++;
		rest();
	} while (stress_now_ms() < until);
	stress_stop();
	stress_join(t, WORKERS);
	print_message("%s: %llu calls, %llu drains\n", what,
		      (unsigned long long)calls, (unsigned long long)drains);
	assert_int_equal(doubled, 0);
	stress_cache_end(cache);
	stress_verify_pages();
}

static const struct {
	const char *name;
	void (*drain)(void);
} drainers[] = {
	{"one cache", drain_cache},
	{"one number at a time", drain_one_number},
	{"all magazines", drain_all},
	{"kmem_cache_shrink", shrink},
	{"idle CPUs", drain_idle},
	{"knuma_trim", trim},
};

static void a_drain_doubles_no_object(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KN_ARRAY_SIZE(drainers); i++)
		stress(drainers[i].name, singles, drainers[i].drain);
}

static void a_drain_doubles_no_batch(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KN_ARRAY_SIZE(drainers); i++)
		stress(drainers[i].name, batches, drainers[i].drain);
}

/* Objects that threads hold are in use, all others are accounted for. */
static void held_objects_are_in_use(void **state)
{
	void *held[100];

	(void)state;
	cache = stress_cache("held", 64);
	for (int i = 0; i < 100; i++)
		held[i] = take(cache);
	assert_int_equal(stress_missing(cache), 100);
	stress_run(WORKERS, singles, NULL);
	assert_int_equal(stress_missing(cache), 100);
	for (int i = 0; i < 100; i++)
		give(cache, held[i]);
	assert_int_equal(doubled, 0);
	stress_cache_end(cache);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drain_doubles_no_object),
		cmocka_unit_test(a_drain_doubles_no_batch),
		cmocka_unit_test(held_objects_are_in_use),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* Longer than it ever took; the test ends with the first find. */
#define SEARCH_MS 20000

static void seen(const char *report)
{
	(void)report;
}

static void swapped_loads_are_noticed(void **state)
{
	struct stress_thread t[WORKERS];
	const uint64_t from = stress_now_ms(), until = from + SEARCH_MS;

	(void)state;
	(void)drain_one_number;
	(void)drain_all;
	(void)shrink;
	(void)drain_idle;
	(void)trim;
	(void)batches;
	kn_bug_hook = seen;
	cache = stress_cache("drained", 64);
	stress_go_on();
	stress_start(t, WORKERS, singles, NULL);
	do {
		drain_cache();
		drains++;
		rest();
	} while (!__atomic_load_n(&doubled, __ATOMIC_RELAXED) &&
		 stress_now_ms() < until);
	stress_stop();
	stress_join(t, WORKERS);
	print_message("doubly owned after %llu ms: %llu of %llu calls, %llu "
		      "drains\n",
		      (unsigned long long)(stress_now_ms() - from),
		      (unsigned long long)doubled, (unsigned long long)calls,
		      (unsigned long long)drains);
	if (kn_mag_mode != KN_MAG_RSEQ)
		skip();
	assert_int_not_equal(doubled, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swapped_loads_are_noticed),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
