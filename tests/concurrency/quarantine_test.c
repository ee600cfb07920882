/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmem_cache_destroy() while another thread has an object of the cache in hand,
 * which it has taken out of the quarantine: no object is reported, and the id is
 * free again.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/slab/harden.h"
#include "alloc/stats/stats.h"
#include "tests/concurrency/stress.h"
#include "tests/support/heap.h"

enum {
	MOST = 1000,  /* threads, of which one has the stripe of the first */
	ROUNDS = 300, /* destroys */
};

static uint32_t wanted; /* a stripe */
static int answer;	/* of the last thread: it has that, or another one */

/* Puts objects of kmalloc where those of the caches wait. */
static void *take_out(void *unused)
{
	const bool same = kn_thread_stripe() == wanted;

	(void)unused;
	__atomic_store_n(&answer, same ? 1 : -1, __ATOMIC_RELEASE);
	while (!stress_stopped())
		if (same)
			kfree(kmalloc(64, GFP_KERNEL));
		else
			stress_sleep_ms(5);
	return NULL;
}

/* Ones that have ended would give their stacks, and so stripes, to the next. */
static int start_until_one_has_it(pthread_t thread[MOST])
{
	int n = 0, got = 0;

	wanted = kn_thread_stripe();
	while (got != 1) {
		assert_true(n < MOST);
		__atomic_store_n(&answer, 0, __ATOMIC_RELAXED);
		assert_int_equal(
			pthread_create(&thread[n++], NULL, take_out, NULL), 0);
		while (!(got = __atomic_load_n(&answer, __ATOMIC_ACQUIRE)))
			sched_yield();
	}
	return n;
}

/* False: its object was said to be in use. */
static bool is_destroyed(void)
{
	struct kmem_cache *s = kmem_cache_create("held", 64, NULL, 0);
	void *p, *waits;

	assert_non_null(s);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_non_null(p);
	waits = launder(p);
	kmem_cache_free(s, p);
	while (kn_harden_waits(waits))
		sched_yield();
	/* It is in hand, or was just now. */
	kmem_cache_destroy(s);
	return s->mag.id == 0;
}

static void destroy_waits_for_what_is_in_hand(void **state)
{
	static pthread_t thread[MOST];
	int n, rounds = 0;

	(void)state;
	assert_int_equal(knuma_conf_set("quarantine", "1"), 0);
	kfree(kmalloc(64, GFP_KERNEL));
	stress_go_on();
	n = start_until_one_has_it(thread);
	while (rounds < ROUNDS && is_destroyed())
		rounds++;
	stress_stop();
	while (n--)
		pthread_join(thread[n], NULL);
#ifdef KN_HAND_UNCOUNTED
	assert_true(rounds < ROUNDS);
#else
	assert_int_equal(rounds, ROUNDS);
#endif
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(destroy_waits_for_what_is_in_hand),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
