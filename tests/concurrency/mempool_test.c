/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that is used, resized and interrupted at any point: who waits gets an
 * element, each has one owner, and at the end the reserve has all of them.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <knuma/mempool.h>

#include "tests/concurrency/stress.h"

enum {
	WORKERS = 4,
	RESERVE = 3,   /* fewer than want one at a time */
	ELEMENTS = 40, /* that the allocator has */
	LARGEST = 30,
};

static struct {
	uint32_t owned;
	uint32_t out; /* of the allocator */
} element[ELEMENTS];
static uint32_t left;
static mempool_t *pool;
static uint64_t doubled, had, had_in_handlers;

static void *limited_alloc(gfp_t gfp, void *pool_data)
{
	(void)gfp;
	(void)pool_data;
	for (unsigned i = 0; i < __atomic_load_n(&left, __ATOMIC_RELAXED); i++)
		if (!__atomic_exchange_n(&element[i].out, 1, __ATOMIC_ACQ_REL))
			return &element[i];
	errno = ENOMEM;
	return NULL;
}

static void limited_free(void *p, void *pool_data)
{
	(void)pool_data;
	__atomic_store_n(&element[(unsigned)((char *)p - (char *)element) /
				  sizeof(element[0])]
				  .out,
			 0, __ATOMIC_RELEASE);
}

static bool use(void *p)
{
	if (!p)
		return false;
	if (!stress_own(p))
		__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
	stress_disown(p);
	mempool_free(p, pool);
	return true;
}

static void handler(int sig)
{
	const int saved_errno = errno;
	void *p[2];

	(void)sig;
	/* Two at a time, in the other order: slots change their elements. */
	p[0] = mempool_alloc(pool, GFP_ATOMIC);
	p[1] = mempool_alloc_preallocated(pool);
	if (use(p[1]) + use(p[0]))
		__atomic_add_fetch(&had_in_handlers, 1, __ATOMIC_RELAXED);
	errno = saved_errno;
}

/* All that there are at once, so that others must let go of theirs. */
static uint64_t use_several(void)
{
	void *p[RESERVE];
	uint64_t n = 0;

	/* Refused while the reserve is smaller. */
	if (mempool_alloc_bulk(pool, p, RESERVE))
		return 0;
	for (int i = 0; i < RESERVE; i++)
		n += use(p[i]);
	return n;
}

/* Elements that can be waited for: one at a time, or several as a whole. */
static void work(struct stress_thread *t)
{
	uint64_t n = 0;

	while (!stress_stopped()) {
		void *p;

		if (stress_below(t, 8) == 0)
			n += use_several();
		p = mempool_alloc(pool, GFP_KERNEL);
		assert_non_null(p);
		if (stress_below(t, 50) == 0)
			raise(SIGUSR1);
		n += use(p);
	}
	__atomic_add_fetch(&had, n, __ATOMIC_RELAXED);
}

static void interrupt_and_resize(struct stress_thread *t)
{
	if (t->index) {
		work(t);
		return;
	}
	while (!stress_stopped()) {
		for (int i = 1; i <= WORKERS; i++)
			pthread_kill(t[i].thread, SIGUSR1);
		assert_int_equal(
			mempool_resize(pool, 1 + (int)stress_below(t, LARGEST)),
			0);
	}
	assert_int_equal(mempool_resize(pool, RESERVE), 0);
}

static bool all_happened(void)
{
	return __atomic_load_n(&had_in_handlers, __ATOMIC_RELAXED) > 1000;
}

static uint32_t nr_out(void)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < ELEMENTS; i++)
		n += element[i].out;
	return n;
}

static void run(uint32_t elements, void (*fn)(struct stress_thread *t))
{
	left = elements;
	had_in_handlers = 0;
	pool = mempool_create(RESERVE, limited_alloc, limited_free, NULL);
	assert_non_null(pool);
	stress_run_until(WORKERS + 1, fn, NULL, all_happened);
	print_message("%llu taken, %llu in handlers\n", (unsigned long long)had,
		      (unsigned long long)had_in_handlers);
	/* checks mempool_resize: "Beside all other calls for @pool" */
	assert_int_equal(doubled, 0);
	assert_true(mempool_is_saturated(pool));
	assert_int_equal(nr_out(), RESERVE);
	mempool_destroy(pool);
	assert_int_equal(nr_out(), 0);
}

/* No more than the reserve: every element that is used passes through it. */
static void the_reserve_goes_round(void **state)
{
	(void)state;
	run(RESERVE, work);
}

static void beside_resizing(void **state)
{
	(void)state;
	run(ELEMENTS, interrupt_and_resize);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_goes_round),
		cmocka_unit_test(beside_resizing),
	};
	struct sigaction action = {.sa_handler = handler,
				   .sa_flags = SA_RESTART};

	stress_init(argc, argv);
	sigaction(SIGUSR1, &action, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
