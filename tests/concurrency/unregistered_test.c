/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads without a registered rseq area beside threads with one.  Their area
 * reads as CPU -1 and, misleadingly, as number 0: they must go past the
 * magazines.  (A vfork child is such a thread too, but its area looks like its
 * parent's; nothing can tell them apart, and so it may not allocate.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/slab.h>

#include "alloc/magazine/drain.h"
#include "alloc/magazine/magazine.h"
#include "alloc/slab/slab.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 4,
	HELD = 24,
	/* What glibc up to 2.39 registers, and the kernel wants to hear. */
	AREA_BYTES = 32,
	UNREGISTER = 1,
};

static struct kmem_cache *cache;
static uint64_t doubled, calls[2];

static long rseq_call(int flags)
{
	return syscall(SYS_rseq,
		       (char *)__builtin_thread_pointer() + __rseq_offset,
		       AREA_BYTES, flags, RSEQ_SIG);
}

/* False when there is nothing to unregister: no thread has an area. */
static bool unregister(void)
{
	if (__rseq_size == 0)
		return false;
	assert_int_equal(rseq_call(UNREGISTER), 0);
	return true;
}

static void pop_and_push(struct stress_thread *t)
{
	void *held[HELD];
	unsigned n = 0;
	uint64_t did = 0;

	while (!stress_stopped()) {
		const unsigned i = stress_below(t, HELD);

		if (i >= n) {
			held[n] = kmem_cache_alloc(cache, GFP_KERNEL);
			if (!held[n] || !stress_own(held[n]))
				__atomic_add_fetch(&doubled, 1,
						   __ATOMIC_RELAXED);
			n++;
		} else {
			stress_disown(held[i]);
			kmem_cache_free(cache, held[i]);
			held[i] = held[--n];
		}
		did++;
	}
	while (n) {
		stress_disown(held[--n]);
		kmem_cache_free(cache, held[n]);
	}
	__atomic_add_fetch(&calls[t->index & 1], did, __ATOMIC_RELAXED);
}

static void every_other_without(struct stress_thread *t)
{
	const bool without = t->index & 1 && unregister();

	pop_and_push(t);
	if (without)
		assert_int_equal(rseq_call(0), 0);
}

static void beside_others_no_object_is_doubled(void **state)
{
	(void)state;
	cache = stress_cache("unregistered", 64);
	for (int i = 0; i < 3; i++)
		stress_run(WORKERS, every_other_without, NULL);
	print_message("%llu calls with, %llu without rseq\n",
		      (unsigned long long)calls[0],
		      (unsigned long long)calls[1]);
	assert_int_equal(doubled, 0);
	stress_cache_end(cache);
}

/* The same while magazines are drained. */
static void beside_a_drain_no_object_is_doubled(void **state)
{
	struct stress_thread t[WORKERS];
	const uint64_t until = stress_now_ms() + stress_ms;

	(void)state;
	cache = stress_cache("unregistered", 64);
	stress_go_on();
	stress_start(t, WORKERS, every_other_without, NULL);
	while (stress_now_ms() < until)
		kmem_cache_shrink(cache);
	stress_stop();
	stress_join(t, WORKERS);
	assert_int_equal(doubled, 0);
	stress_cache_end(cache);
}

static void alone(struct stress_thread *t)
{
	void *obj[200];
	uint64_t popped[3], present[3];

	(void)t;
	/* Something in the magazine of number 0, and of this thread's. */
	for (int i = 0; i < 200; i++)
		obj[i] = kmem_cache_alloc(cache, GFP_KERNEL);
	for (int i = 0; i < 100; i++)
		kmem_cache_free(cache, obj[i]);
	assert_true(unregister());
	assert_true(kn_rseq_cid() < 0);

	kn_mag_totals(&popped[0], &present[0]);
	for (int i = 0; i < 100; i++)
		obj[i] = kmem_cache_alloc(cache, GFP_KERNEL);
	for (int i = 0; i < 200; i++)
		kmem_cache_free(cache, obj[i]);
	assert_int_equal(kmem_cache_alloc_bulk(cache, GFP_KERNEL, 50, obj), 50);
	kmem_cache_free_bulk(cache, 50, obj);
	kn_mag_totals(&popped[1], &present[1]);

	assert_int_equal(rseq_call(0), 0);
	for (int i = 0; i < 100; i++) {
		obj[0] = kmem_cache_alloc(cache, GFP_KERNEL);
		kmem_cache_free(cache, obj[0]);
	}
	kn_mag_totals(&popped[2], &present[2]);
	*(bool *)t->arg = popped[0] == popped[1] && present[0] == present[1] &&
			  popped[2] >= popped[1] + 50;
}

/* Neither pops nor pushes of such a thread appear in any magazine. */
static void it_goes_past_the_magazines(void **state)
{
	struct stress_thread t;
	bool passed = false;

	(void)state;
	cache = stress_cache("alone", 64);
	if (kn_mag_mode != KN_MAG_RSEQ)
		skip();
	stress_start(&t, 1, alone, &passed);
	stress_join(&t, 1);
	assert_true(passed);
	stress_cache_end(cache);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beside_others_no_object_is_doubled),
		cmocka_unit_test(beside_a_drain_no_object_is_doubled),
		cmocka_unit_test(it_goes_past_the_magazines),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
