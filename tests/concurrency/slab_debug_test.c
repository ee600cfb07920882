/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debugged caches under threads: objects go from hand to hand, others look for
 * mistakes meanwhile and switch what can be switched, and nothing is reported
 * that did not happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/base/assert.h"
#include "alloc/magazine/drain.h"
#include "alloc/slab/slab.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 4,
	SHARED = 256,
	SIZE = 96,
	ROUNDS = 200, /* at least, of those who look and switch */
	PLACES = 10,  /* of a magazine */
};

#define FZPU                                                     \
	(SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | \
	 SLAB_STORE_USER)

static struct kmem_cache *cache;
static void *shared[SHARED];
static uint64_t spoiled, looked, switched, handed, reports;

static void caught(const char *report)
{
	fprintf(stderr, "%s\n", report);
	__atomic_add_fetch(&reports, 1, __ATOMIC_RELAXED);
}

static void count(uint64_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static bool reached(const uint64_t *counter, uint64_t n)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED) >= n;
}

static void drop(void *p)
{
	if (!p)
		return;
	if (!stress_check(p, SIZE, (uintptr_t)p))
		count(&spoiled);
	kmem_cache_free(cache, p);
}

static void work_once(struct stress_thread *t)
{
	void *p = kmem_cache_alloc(cache, GFP_KERNEL);
	void **slot = &shared[stress_below(t, SHARED)];

	if (!p)
		return;
	stress_fill(p, SIZE, (uintptr_t)p);
	drop(__atomic_exchange_n(slot, p, __ATOMIC_ACQ_REL));
	count(&handed);
}

static void look(void)
{
	if (validate_slab_cache(cache))
		count(&spoiled);
	count(&looked);
	if (looked % 16 == 0)
		kmem_cache_shrink(cache);
}

static uint64_t is_too_large(const struct kn_magazine *m)
{
	return m->end > PLACES;
}

static void switch_once(struct stress_thread *t)
{
	static const char *const text[] = {"-", "F,stress*", "-,stress*", "F"};

	if (knuma_conf_set("slab_debug", text[stress_below(t, 4)]))
		count(&spoiled);
	/* No magazine opens by sizes that are not the cache's. */
	if (kn_drain_sum(&(struct kn_drain_set){.first_id = cache->mag.id,
						.last_id = cache->mag.id,
						.cid = -1,
						.node = -1},
			 is_too_large))
		count(&spoiled);
	count(&switched);
}

static void work_and_look(struct stress_thread *t)
{
	while (!stress_stopped()) {
		if (t->index < WORKERS)
			work_once(t);
		else
			look();
	}
}

static void work_and_switch(struct stress_thread *t)
{
	while (!stress_stopped()) {
		if (t->index < WORKERS)
			work_once(t);
		else
			switch_once(t);
	}
}

static bool looked_enough(void)
{
	return reached(&looked, ROUNDS) && reached(&handed, 20000);
}

static bool switched_enough(void)
{
	return reached(&switched, ROUNDS) && reached(&handed, 20000);
}

static void begin(const char *name, slab_flags_t flags)
{
	struct kmem_cache_args args = {.sheaf_capacity = PLACES};

	spoiled = looked = switched = handed = reports = 0;
	kn_bug_hook = caught;
	cache = kmem_cache_create(name, SIZE, &args, flags);
	assert_non_null(cache);
}

static void end(void)
{
	for (int i = 0; i < SHARED; i++)
		drop(__atomic_exchange_n(&shared[i], NULL, __ATOMIC_ACQ_REL));
	/* checks validate_slab_cache: "Others may use the cache" */
	assert_int_equal(spoiled, 0);
	assert_int_equal(reports, 0);
	assert_int_equal(validate_slab_cache(cache), 0);
	stress_cache_end(cache);
	assert_int_equal(reports, 0);
	kn_bug_hook = NULL;
}

static void who_looks_finds_nothing(void **state)
{
	(void)state;
	begin("looked", FZPU);
	stress_run_until(WORKERS + 1, work_and_look, NULL, looked_enough);
	end();
}

static void switching_loses_nothing(void **state)
{
	(void)state;
	begin("stress", 0);
	stress_run_until(WORKERS + 1, work_and_switch, NULL, switched_enough);
	assert_int_equal(knuma_conf_set("slab_debug", "-"), 0);
	end();
}

/* Two threads free one object at the same time: one of them is told. */
static void *twice;
static uint64_t told;

static void tell(const char *report)
{
	if (strstr(report, "already free"))
		count(&told);
	else
		caught(report);
}

static void free_it(struct stress_thread *t)
{
	(void)t;
	kfree(__atomic_load_n(&twice, __ATOMIC_ACQUIRE));
}

static void of_two_frees_one_is_reported(void **state)
{
	enum {
		TIMES = 300
	};
	void *keep;

	(void)state;
	begin("twice", FZPU);
	kn_bug_hook = tell;
	told = 0;
	keep = kmem_cache_alloc(cache, GFP_KERNEL);
	for (int i = 0; i < TIMES; i++) {
		struct stress_thread t[2];

		twice = kmem_cache_alloc(cache, GFP_KERNEL);
		stress_go_on();
		stress_start(t, 2, free_it, NULL);
		stress_join(t, 2);
	}
	assert_int_equal(told, TIMES);
	kmem_cache_free(cache, keep);
	kn_bug_hook = caught;
	end();
}

static void deferred_frees_are_looked_at(void **state)
{
	struct canary *p[300];

	(void)state;
	begin("deferred", FZPU);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 300; i++) {
			p[i] = kmem_cache_alloc(cache, GFP_KERNEL);
			assert_non_null(p[i]);
		}
		for (int i = 0; i < 300; i++)
			flavor_memb.free(p[i]);
	}
	kvfree_rcu_barrier();
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_looks_finds_nothing),
		cmocka_unit_test(switching_loses_nothing),
		cmocka_unit_test(of_two_frees_one_is_reported),
		cmocka_unit_test(deferred_frees_are_looked_at),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
