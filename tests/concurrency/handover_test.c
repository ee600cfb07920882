/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects made by one thread and freed by another, of 16 bytes to 64 KiB: the
 * content arrives, and afterwards the memory is where it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/base/compiler.h"
#include "tests/concurrency/stress.h"

enum {
	PAIRS = 2,
	RING = 256,
};

struct item {
	uint64_t *p;
	size_t size;
	uint64_t tag;
};

/* From one producer to one consumer. */
static struct ring {
	uint32_t head kn_cacheline;
	uint32_t tail kn_cacheline;
	struct item item[RING];
} rings[PAIRS];

static uint64_t spoiled, handed, bytes;

static bool put(struct ring *r, const struct item *item)
{
	const uint32_t head = r->head;

	if (head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == RING)
		return false;
	r->item[head % RING] = *item;
	__atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
	return true;
}

static bool get(struct ring *r, struct item *item)
{
	const uint32_t tail = r->tail;

	if (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == tail)
		return false;
	*item = r->item[tail % RING];
	__atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

/* All magnitudes alike. */
static size_t some_size(struct stress_thread *t)
{
	const size_t most = (size_t)16 << stress_below(t, 13);

	return most / 2 + 8 + stress_below(t, (unsigned)most / 2);
}

/* A consumer that is done is told by a NULL. */
static void produce(struct stress_thread *t, struct ring *r)
{
	struct item item = {0};
	bool last = false;

	while (!last) {
		last = stress_stopped();
		item.p = NULL;
		if (!last) {
			item.size = some_size(t);
			item.tag = stress_random(t);
			item.p = kmalloc(item.size, GFP_KERNEL);
			if (!item.p) {
				__atomic_add_fetch(&spoiled, 1,
						   __ATOMIC_RELAXED);
				continue;
			}
			stress_fill(item.p, item.size, item.tag);
		}
		while (!put(r, &item))
			stress_sleep_ms(0);
	}
}

static void consume(struct ring *r)
{
	uint64_t n = 0, sum = 0;
	struct item item;

	for (;;) {
		while (!get(r, &item))
			stress_sleep_ms(0);
		if (!item.p)
			break;
		if (!stress_check(item.p, item.size, item.tag) ||
		    ksize(item.p) < item.size)
			__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
		kfree(item.p);
		n++;
		sum += item.size;
	}
	__atomic_add_fetch(&handed, n, __ATOMIC_RELAXED);
	__atomic_add_fetch(&bytes, sum, __ATOMIC_RELAXED);
}

static void produce_or_consume(struct stress_thread *t)
{
	struct ring *r = &rings[t->index / 2];

	if (t->index % 2)
		produce(t, r);
	else
		consume(r);
}

/* What is in use when all that can be given back is. */
static uint64_t left_over(const char *name, uint64_t at_most)
{
	uint64_t value = 0;

	/* The library's own thread may be at it just now. */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(knuma_trim(), 0);
		value = stress_stat(name);
		if (value <= at_most)
			break;
		stress_sleep_ms(10);
	}
	print_message("%s: %llu KiB\n", name, (unsigned long long)value >> 10);
	return value;
}

static void memory_comes_back(void **state)
{
	uint64_t slabs, active;

	(void)state;
	stress_run(2 * PAIRS, produce_or_consume, NULL);
	slabs = left_over("slab_bytes", 0);
	active = left_over("active_bytes", 0);
	for (int i = 0; i < 3; i++)
		stress_run(2 * PAIRS, produce_or_consume, NULL);
	print_message("%llu objects, %llu MiB\n", (unsigned long long)handed,
		      (unsigned long long)bytes >> 20);
	assert_int_equal(spoiled, 0);
	assert_true(left_over("slab_bytes", slabs) <= slabs);
	assert_true(left_over("active_bytes", active) <= active);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_comes_back),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
