/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads and signal handlers that count in the copies of their CPUs, wherever
 * the scheduler puts them: no addition is lost.  And objects that come and go in
 * both: each has one owner.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/percpu.h>

#include "tests/concurrency/stress.h"

enum {
	WORKERS = 6,
	HELD = 8,
};

/* The two beside each other share a word that is loaded and stored whole. */
struct counts {
	uint64_t all;
	uint8_t bytes[2];
	uint16_t halves[2];
	uint32_t by_swap;
};

static struct counts *counts;
static uint64_t added, in_handlers, doubled, refused;

static void count(void)
{
	uint32_t old;

	this_cpu_add(counts->all, 3);
	this_cpu_inc(counts->bytes[0]);
	this_cpu_dec(counts->bytes[1]);
	this_cpu_add(counts->halves[0], 7);
	this_cpu_sub(counts->halves[1], 9);
	/* A move to another CPU meanwhile makes it fail, or count there. */
	do
		old = this_cpu_read(counts->by_swap);
	while (this_cpu_cmpxchg(counts->by_swap, old, old + 5) != old);
}

static void handler(int sig)
{
	(void)sig;
	count();
	__atomic_add_fetch(&in_handlers, 1, __ATOMIC_RELAXED);
}

static void count_and_interrupt(struct stress_thread *t)
{
	uint64_t n = 0;

	while (!stress_stopped()) {
		for (int i = 0; i < 100; i++)
			count();
		n += 100;
		if (t->index == 0)
			for (int i = 1; i < WORKERS; i++)
				pthread_kill(t[i].thread, SIGUSR1);
		else if (stress_below(t, 100) == 0)
			raise(SIGUSR1);
	}
	__atomic_add_fetch(&added, n, __ATOMIC_RELAXED);
}

static bool interrupted(void)
{
	return __atomic_load_n(&in_handlers, __ATOMIC_RELAXED) > 1000;
}

static void no_addition_is_lost(void **state)
{
	struct counts sum = {0};
	unsigned int cpu;
	uint64_t n;

	(void)state;
	counts = alloc_percpu(struct counts);
	assert_non_null(counts);
	stress_run_until(WORKERS, count_and_interrupt, NULL, interrupted);
	for_each_possible_cpu(cpu)
	{
		const struct counts *c = per_cpu_ptr(counts, cpu);

		sum.all += c->all;
		sum.bytes[0] = (uint8_t)(sum.bytes[0] + c->bytes[0]);
		sum.bytes[1] = (uint8_t)(sum.bytes[1] + c->bytes[1]);
		sum.halves[0] = (uint16_t)(sum.halves[0] + c->halves[0]);
		sum.halves[1] = (uint16_t)(sum.halves[1] + c->halves[1]);
		sum.by_swap += c->by_swap;
	}
	n = added + in_handlers;
	print_message("%llu counted, %llu in handlers\n", (unsigned long long)n,
		      (unsigned long long)in_handlers);
	assert_int_equal(sum.all, 3 * n);
	assert_int_equal(sum.bytes[0], (uint8_t)n);
	assert_int_equal(sum.bytes[1], (uint8_t)-n);
	assert_int_equal(sum.halves[0], (uint16_t)(7 * n));
	assert_int_equal(sum.halves[1], (uint16_t)(-9 * n));
	assert_int_equal(sum.by_swap, (uint32_t)(5 * n));
	free_percpu(counts);
}

static void take_and_give(gfp_t gfp, size_t size)
{
	uint32_t *p = __alloc_percpu_gfp(size, 8, gfp | __GFP_NOWARN);

	if (!p) {
		__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
		return;
	}
	if (!stress_own(p))
		__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
	stress_disown(p);
	free_percpu(p);
}

static void take_in_a_handler(int sig)
{
	const int saved_errno = errno;

	(void)sig;
	take_and_give(GFP_ATOMIC, 24);
	__atomic_add_fetch(&in_handlers, 1, __ATOMIC_RELAXED);
	errno = saved_errno;
}

static void come_and_go(struct stress_thread *t)
{
	uint32_t *held[HELD] = {NULL};

	while (!stress_stopped()) {
		const unsigned i = stress_below(t, HELD);

		if (held[i]) {
			stress_disown(held[i]);
			free_percpu(held[i]);
			held[i] = NULL;
		} else {
			held[i] = __alloc_percpu(8 + stress_below(t, 900), 8);
			assert_non_null(held[i]);
			if (!stress_own(held[i]))
				__atomic_add_fetch(&doubled, 1,
						   __ATOMIC_RELAXED);
		}
		if (stress_below(t, 20) == 0)
			raise(SIGUSR1);
		if (t->index == 0)
			for (int k = 1; k < WORKERS; k++)
				pthread_kill(t[k].thread, SIGUSR1);
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i])
			stress_disown(held[i]);
		free_percpu(held[i]);
	}
}

/* At the end all is free: the largest objects fit again, side by side. */
static void objects_have_one_owner(void **state)
{
	char *a, *b;

	(void)state;
	in_handlers = 0;
	signal(SIGUSR1, take_in_a_handler);
	stress_run_until(WORKERS, come_and_go, NULL, interrupted);
	print_message("%llu in handlers, %llu times no memory at hand\n",
		      (unsigned long long)in_handlers,
		      (unsigned long long)refused);
	assert_int_equal(doubled, 0);
	a = __alloc_percpu(PCPU_MIN_UNIT_SIZE, 4096);
	b = __alloc_percpu(PCPU_MIN_UNIT_SIZE, 4096);
	assert_true(a && b && a != b);
	assert_int_equal(a - b < 0 ? b - a : a - b, PCPU_MIN_UNIT_SIZE);
	free_percpu(a);
	free_percpu(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_addition_is_lost),
		cmocka_unit_test(objects_have_one_owner),
	};

	stress_init(argc, argv);
	signal(SIGUSR1, handler);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
