/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that exchange batches through a depot lose none and double none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "alloc/base/start.h"
#include "alloc/magazine/depot.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 6,
	DEPOTS = 3,
	TOKENS = 4096,
	HELD = 4, /* blocks a thread has at most */
};

static struct kn_depot depots[DEPOTS];
static uint32_t token[TOKENS];
static uint64_t doubled, moved;

static void own_all(struct kn_block *b)
{
	if (!b->nr || b->nr > KN_BATCH_MAX)
		__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
	for (uint64_t i = 0; i < b->nr; i++)
		if (!stress_own(b->obj[i]))
			__atomic_add_fetch(&doubled, 1, __ATOMIC_RELAXED);
}

static void disown_all(struct kn_block *b)
{
	for (uint64_t i = 0; i < b->nr; i++)
		stress_disown(b->obj[i]);
}

/* Moves some of the objects of @from into a new block, which is put away. */
static void part(struct stress_thread *t, struct kn_block *from)
{
	const uint64_t n = stress_below(t, (unsigned)from->nr);
	struct kn_block *b;

	b = n ? kn_block_get(0, stress_below(t, 2)) : NULL;
	if (!b)
		return;
	for (uint64_t i = 0; i < n; i++)
		b->obj[i] = from->obj[--from->nr];
	b->nr = n;
	disown_all(b);
	kn_depot_put(&depots[stress_below(t, DEPOTS)], b);
}

/* Puts the objects of @b into @into, as far as they fit; @b may be empty. */
static void join(struct kn_block *into, struct kn_block *b)
{
	while (b->nr && into->nr < KN_BATCH_MAX)
		into->obj[into->nr++] = b->obj[--b->nr];
}

static void exchange(struct stress_thread *t)
{
	struct kn_block *held[HELD];
	unsigned n = 0;
	uint64_t did = 0;

	while (!stress_stopped() || n) {
		const unsigned d = stress_below(t, DEPOTS);

		if (n < HELD && !stress_stopped() && stress_below(t, 2)) {
			struct kn_block *b =
				kn_depot_get(&depots[d], stress_below(t, 2));

			if (!b)
				continue;
			own_all(b);
			held[n++] = b;
			continue;
		}
		if (!n)
			continue;
		n--;
		if (n && stress_below(t, 4) == 0)
			join(held[0], held[n]);
		if (held[n]->nr > 1)
			part(t, held[n]);
		if (held[n]->nr) {
			did += held[n]->nr;
			disown_all(held[n]);
			kn_depot_put(&depots[d], held[n]);
		} else {
			kn_block_put(0, held[n]);
		}
	}
	__atomic_add_fetch(&moved, did, __ATOMIC_RELAXED);
}

static void fill(void)
{
	struct kn_block *b = NULL;

	for (int i = 0; i < TOKENS; i++) {
		if (!b) {
			b = kn_block_get(0, true);
			assert_non_null(b);
			b->nr = 0;
		}
		b->obj[b->nr++] = &token[i];
		if (b->nr == KN_BATCH_MAX || i % 13 == 0 || i == TOKENS - 1) {
			kn_depot_put(&depots[i % DEPOTS], b);
			b = NULL;
		}
	}
}

static void nothing_is_lost_or_doubled(void **state)
{
	uint64_t bytes, n = 0;
	struct kn_block *b;

	(void)state;
	assert_true(kn_start());
	fill();
	stress_run(WORKERS, exchange, NULL);
	stress_run(2, exchange, NULL);
	assert_int_equal(doubled, 0);
	bytes = kn_block_bytes();
	print_message("%llu objects moved, %llu KiB of blocks\n",
		      (unsigned long long)moved,
		      (unsigned long long)bytes >> 10);
	/* Each object is in one batch. */
	for (int d = 0; d < DEPOTS; d++) {
		while ((b = kn_depot_get(&depots[d], 0)) != NULL) {
			own_all(b);
			n += b->nr;
			kn_block_put(0, b);
		}
		assert_int_equal(depots[d].nr_full, 0);
	}
	assert_int_equal(doubled, 0);
	assert_int_equal(n, TOKENS);
	/* Each block is on the empty stack: as many as there ever were. */
	n = 0;
	while (kn_block_get(0, false))
		n++;
	assert_int_equal(n * sizeof(struct kn_block), bytes);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_or_doubled),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
