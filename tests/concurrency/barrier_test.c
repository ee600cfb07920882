/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was given to kfree_rcu() before kvfree_rcu_barrier() is free after it,
 * while others keep the rounds of deferred frees going.  Built with
 * KN_BARRIER_EARLY, the barrier waits for a round that has taken its entries
 * already, and this test then passes only if it notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>

#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	CALLERS = 2,
	PUSHERS = 1,
	READERS = 1,
	OBJECTS = 8,
};

static struct kmem_cache *own[CALLERS];
static uint64_t late, barriers, rounds;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* A cache of the caller's own: what is not in it was not freed. */
static void push_and_wait(struct stress_thread *t)
{
	struct kmem_cache *s = own[t->index];
	const unsigned n = 1 + stress_below(t, OBJECTS);

	for (unsigned i = 0; i < n; i++) {
		struct canary *c = kmem_cache_alloc(s, GFP_KERNEL);

		c->size = 0;
		flavor_memb.free(c);
	}
	kvfree_rcu_barrier();
	count(&late, stress_missing(s));
	count(&barriers, 1);
	/* Of the planted error, what comes late must not be counted again. */
	while (stress_missing(s))
		stress_sleep_ms(1);
}

/* There is always something to do for the next round. */
static void keep_pushing(void)
{
	while (!stress_stopped()) {
		flavor_memb.free(canary_new(100, 1));
		stress_sleep_ms(0);
	}
}

/* Grace periods take a while, and so does a round. */
static void keep_reading(struct stress_thread *t)
{
	flavor_register(&flavor_memb);
	while (!stress_stopped()) {
		flavor_enter(&flavor_memb);
		stress_sleep_ms(stress_below(t, 3));
		flavor_leave(&flavor_memb);
	}
	flavor_memb.ops->unregister_thread();
}

static void push_read_and_wait(struct stress_thread *t)
{
	if (t->index >= CALLERS + PUSHERS)
		keep_reading(t);
	else if (t->index >= CALLERS)
		keep_pushing();
	else
		while (!stress_stopped())
			push_and_wait(t);
}

static bool both_happened(void)
{
	return __atomic_load_n(&barriers, __ATOMIC_RELAXED) &&
	       stress_stat("rcu_grace_periods") != rounds;
}

static void run_until(bool (*found)(void), unsigned ms)
{
	for (int i = 0; i < CALLERS; i++)
		own[i] = stress_cache(i ? "deferred, too" : "deferred", 256);
	rounds = stress_stat("rcu_grace_periods");
	stress_search(CALLERS + PUSHERS + READERS, push_read_and_wait, NULL, ms,
		      both_happened, found);
	rounds = stress_stat("rcu_grace_periods") - rounds;
	print_message("%llu barriers, %llu grace periods, %llu objects late\n",
		      (unsigned long long)barriers, (unsigned long long)rounds,
		      (unsigned long long)late);
	for (int i = 0; i < CALLERS; i++)
		stress_cache_end(own[i]);
	assert_int_not_equal(barriers, 0);
	assert_int_not_equal(rounds, 0);
}

#ifndef KN_BARRIER_EARLY

static void what_was_pushed_before_a_barrier_is_free(void **state)
{
	(void)state;
	run_until(stress_never, stress_ms);
	assert_int_equal(late, 0);
	stress_verify_pages();
}

#else

/* Longer than it ever took; the test ends with the first find. */
#define SEARCH_MS 20000

static bool any_late(void)
{
	return __atomic_load_n(&late, __ATOMIC_RELAXED) != 0;
}

static void an_early_barrier_is_noticed(void **state)
{
	(void)state;
	run_until(any_late, SEARCH_MS);
	assert_int_not_equal(late, 0);
}

#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_BARRIER_EARLY
		cmocka_unit_test(what_was_pushed_before_a_barrier_is_free),
#else
		cmocka_unit_test(an_early_barrier_is_noticed),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
