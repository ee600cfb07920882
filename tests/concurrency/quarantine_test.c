/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmem_cache_destroy() while another thread has an object of the cache in hand,
 * which it has taken out of the quarantine: no object is reported, and the id is
 * free again.  And it ends, however many hands there are of other caches.
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
	ROUNDS = 300, /* destroys */
	TURN = 16,    /* frees between two offers of the CPU */
	MOST = 10000, /* such offers, before a drain takes the object out */
	THREADS = 60,
};

/* Puts objects of kmalloc where those of the caches wait. */
static void *take_out(void *unused)
{
	(void)unused;
	for (unsigned i = 0; !stress_stopped(); i++) {
		kfree(kmalloc(64, GFP_KERNEL));
		if (i % TURN == 0)
			sched_yield();
	}
	return NULL;
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
	/* A CPU may get the places of another number meanwhile. */
	for (int i = 0; kn_harden_waits(waits); i++)
		if (i < MOST)
			sched_yield();
		else
			kn_harden_flush();
	/* It is in hand, or was just now. */
	kmem_cache_destroy(s);
	return s->mag.id == 0;
}

static void destroy_waits_for_what_is_in_hand(void **state)
{
	pthread_t thread;
	int rounds = 0;

	(void)state;
	/* Both threads have the places of one CPU. */
	keep_this_cpu();
	kfree(kmalloc(64, GFP_KERNEL));
	stress_go_on();
	assert_int_equal(pthread_create(&thread, NULL, take_out, NULL), 0);
	while (rounds < ROUNDS && is_destroyed())
		rounds++;
	stress_stop();
	pthread_join(thread, NULL);
#ifdef KN_HAND_UNCOUNTED
	assert_true(rounds < ROUNDS);
#else
	assert_int_equal(rounds, ROUNDS);
#endif
	stress_verify_pages();
}

#ifndef KN_HAND_UNCOUNTED
static uint32_t nr_at_work;

static void use(struct stress_thread *t)
{
	struct kmem_cache *s = t->arg;

	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	__atomic_add_fetch(&nr_at_work, 1, __ATOMIC_RELAXED);
	while (!stress_stopped())
		kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
}

/* More threads than CPUs, so that there is always one that has been stopped. */
static void destroy_does_not_wait_for_hands_that_come(void **state)
{
	struct stress_thread thread[THREADS];
	struct kmem_cache *theirs = kmem_cache_create("theirs", 64, NULL, 0);

	(void)state;
	assert_non_null(theirs);
	stress_go_on();
	stress_start(thread, THREADS, use, theirs);
	while (__atomic_load_n(&nr_at_work, __ATOMIC_RELAXED) < THREADS)
		sched_yield();
	for (int i = 0; i < 2; i++) {
		struct kmem_cache *s = kmem_cache_create("other", 64, NULL, 0);

		assert_non_null(s);
		kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
		kmem_cache_destroy(s);
		assert_int_equal(s->mag.id, 0);
	}
	stress_stop();
	stress_join(thread, THREADS);
	kmem_cache_destroy(theirs);
	assert_int_equal(theirs->mag.id, 0);
	stress_verify_pages();
}
#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_HAND_UNCOUNTED
		cmocka_unit_test(destroy_does_not_wait_for_hands_that_come),
#endif
		cmocka_unit_test(destroy_waits_for_what_is_in_hand),
	};

	stress_init(argc, argv);
	if (knuma_conf_set("quarantine", "1"))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
