/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that share the objects of slabs just made: what one of them writes
 * into its object stays, whatever the others do to fault in the same pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "tests/concurrency/stress.h"

enum {
	WORKERS = 2,
	OBJECTS = 96,
	ROUNDS_AT_ONCE = 16,
};

static struct kmem_cache *cache;
static pthread_barrier_t step;
static uint64_t spoiled, rounds;
static bool last;

/* All objects of a few new slabs, written as they come. */
static void one_round(unsigned size, uint64_t tag)
{
	void *obj[OBJECTS];

	for (unsigned i = 0; i < OBJECTS; i++) {
		obj[i] = kmem_cache_alloc(cache, GFP_KERNEL);
		if (obj[i])
			stress_fill(obj[i], size, tag + i);
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (!obj[i] || !stress_check(obj[i], size, tag + i))
			__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
		kmem_cache_free(cache, obj[i]);
	}
}

/* Each round begins with a cache that has no slab, and no page in memory. */
static void rounds_in_step(struct stress_thread *t)
{
	const unsigned size = *(const unsigned *)t->arg;

	for (uint64_t i = 0; !__atomic_load_n(&last, __ATOMIC_RELAXED); i++) {
		pthread_barrier_wait(&step);
		one_round(size, (uint64_t)t->index << 32 | i << 8);
		if (pthread_barrier_wait(&step) ==
		    PTHREAD_BARRIER_SERIAL_THREAD) {
			kmem_cache_shrink(cache);
			if (i % ROUNDS_AT_ONCE == 0)
				(void)knuma_trim();
			rounds++;
			__atomic_store_n(&last, stress_stopped(),
					 __ATOMIC_RELAXED);
		}
		pthread_barrier_wait(&step);
	}
}

static void what_is_written_stays(void **state)
{
	static const unsigned sizes[] = {16, 64, 256, 1024, 4096};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned size = sizes[i];

		cache = kmem_cache_create("fresh", size, NULL, 0);
		assert_non_null(cache);
		assert_int_equal(pthread_barrier_init(&step, NULL, WORKERS), 0);
		last = false;
		stress_run(WORKERS, rounds_in_step, &size);
		pthread_barrier_destroy(&step);
		print_message("size %u: %llu rounds, %llu objects spoiled\n",
			      size, (unsigned long long)rounds,
			      (unsigned long long)spoiled);
		stress_cache_end(cache);
	}
	assert_int_equal(spoiled, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_stays),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
