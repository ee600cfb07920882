/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was given to kfree_rcu() before kvfree_rcu_barrier_on_cache() is free
 * after it, while other threads move batches out of the magazine that it lies
 * in.  Built with KN_MOVING_UNSEEN, batches on their way are not waited for, so
 * a barrier may find nothing of its cache, and this test then passes only if it
 * notices.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	CALLERS = 2,
	PUSHERS = 3,
	OBJECTS = 8,
};

static struct kmem_cache *own[CALLERS];
static uint64_t late, barriers, pushed;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* A cache of the caller's own: what is not in it was not freed. */
static void give_and_wait(struct stress_thread *t)
{
	struct kmem_cache *s = own[t->index];
	const unsigned n = 1 + stress_below(t, OBJECTS);

	for (unsigned i = 0; i < n; i++) {
		struct canary *c = kmem_cache_alloc(s, GFP_KERNEL);

		c->size = 0;
		flavor_memb.free(c);
	}
	/* Who has the CPU now moves them with his own. */
	sched_yield();
	kvfree_rcu_barrier_on_cache(s);
	count(&late, stress_missing(s));
	count(&barriers, 1);
	/* Of the planted error, what comes late must not be counted again. */
	while (stress_missing(s))
		stress_sleep_ms(1);
}

static void keep_pushing(void)
{
	while (!stress_stopped()) {
		struct canary *c = canary_new(sizeof(*c), 1);

		if (c) {
			flavor_memb.free(c);
			count(&pushed, 1);
		}
	}
}

static void give_or_push(struct stress_thread *t)
{
	if (t->index >= CALLERS)
		keep_pushing();
	else
		while (!stress_stopped())
			give_and_wait(t);
}

static bool both_happened(void)
{
	return __atomic_load_n(&barriers, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&pushed, __ATOMIC_RELAXED);
}

static void run_until(bool (*found)(void), unsigned ms)
{
	assert_int_equal(knuma_conf_set("rcu_budget", "64M"), 0);
	assert_int_equal(knuma_conf_set("rcu_full", "grow"), 0);
	for (int i = 0; i < CALLERS; i++)
		own[i] =
			stress_cache(i ? "given away, too" : "given away", 256);
	stress_search(CALLERS + PUSHERS, give_or_push, NULL, ms,
		      both_happened, found);
	print_message("%llu barriers, %llu others given away, %llu objects "
		      "late\n",
		      (unsigned long long)barriers, (unsigned long long)pushed,
		      (unsigned long long)late);
	kvfree_rcu_barrier();
	for (int i = 0; i < CALLERS; i++)
		stress_cache_end(own[i]);
}

#ifndef KN_MOVING_UNSEEN

static void what_was_given_away_before_a_barrier_is_free(void **state)
{
	(void)state;
	run_until(stress_never, stress_ms);
	assert_int_equal(late, 0);
	assert_int_equal(stress_stat("rcu_waiting_bytes"), 0);
	stress_verify_pages();
}

#else

/* Longer than it ever took; the test ends with the first find. */
#define SEARCH_MS 60000

static bool any_late(void)
{
	return __atomic_load_n(&late, __ATOMIC_RELAXED) != 0;
}

static void a_batch_on_its_way_is_missed_and_noticed(void **state)
{
	(void)state;
	run_until(any_late, SEARCH_MS);
	assert_int_not_equal(late, 0);
}

#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_MOVING_UNSEEN
		cmocka_unit_test(what_was_given_away_before_a_barrier_is_free),
#else
		cmocka_unit_test(a_batch_on_its_way_is_missed_and_noticed),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
