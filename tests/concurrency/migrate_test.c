/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that change the CPU in the middle of it all, and are pre-empted, pop
 * and push batches: a section that is interrupted restarts from nothing.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/slab.h>

#include "tests/concurrency/stress.h"

enum {
	WORKERS = 6,
	HELD = 200,
	BULK = 62,
};

static struct kmem_cache *cache;
static uint64_t doubled, calls, hops;
static int cpus[1024], nr_cpus;

static void hop(struct stress_thread *t)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpus[stress_below(t, (unsigned)nr_cpus)], &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		__atomic_add_fetch(&hops, 1, __ATOMIC_RELAXED);
}

static unsigned take(void **held, unsigned n)
{
	if (kmem_cache_alloc_bulk(cache, GFP_KERNEL, n, held) != (int)n) {
		__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		if (!stress_own(held[i]))
			__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
	return n;
}

static void give(void **held, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stress_disown(held[i]);
	kmem_cache_free_bulk(cache, n, held);
}

static void pop_and_push(struct stress_thread *t)
{
	void *held[HELD];
	unsigned n = 0;
	uint64_t did = 0;

	for (unsigned i = 0; !stress_stopped(); i++) {
		const unsigned some = 1 + stress_below(t, BULK);

		if (i % 64 == 0)
			hop(t);
		if (n + some <= HELD && stress_below(t, 2)) {
			n += take(held + n, some);
			did += some;
		} else if (some <= n) {
			n -= some;
			give(held + n, some);
			did += some;
		}
	}
	give(held, n);
	__atomic_add_fetch(&calls, did, __ATOMIC_RELAXED);
}

static void allowed_cpus(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &set))
			cpus[nr_cpus++] = cpu;
}

static void hopping_threads_lose_nothing(void **state)
{
	(void)state;
	allowed_cpus();
	cache = stress_cache("migrated", 64);
	for (int i = 0; i < 3; i++)
		stress_run(WORKERS, pop_and_push, NULL);
	print_message(
		"%llu objects, %llu hops over %d CPUs, %llu rseq_aborts\n",
		(unsigned long long)calls, (unsigned long long)hops, nr_cpus,
		(unsigned long long)stress_stat("rseq_aborts"));
	assert_int_equal(doubled, 0);
	stress_cache_end(cache);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hopping_threads_lose_nothing),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
