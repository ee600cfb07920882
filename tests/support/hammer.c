/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/hammer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <knuma/slab.h>

#include "tests/support/child.h"
#include "tests/support/rng.h"

#define MAX_THREADS 16
#define HELD	    64
#define EXCHANGE    256

/*
 * The first words of each object.  What else was in its place before does not
 * look like a mark.
 */
#define MARK	    0x6b6e756d61000000ull
#define NOBODY	    (MARK | 0)
#define PLACED	    (MARK | 255)

struct owned {
	uint64_t owner; /* MARK and a thread, while it is in use */
	uint64_t size;
};

static struct owned *exchange[EXCHANGE];
static int stop;

static struct owned *take(struct rng *r, uint64_t me)
{
	const uint64_t size = 16 + rng_size(r, 2000);
	struct owned *o = kmalloc(size, GFP_KERNEL);
	uint64_t was;

	CHECK(o);
	was = __atomic_exchange_n(&o->owner, me, __ATOMIC_RELAXED);
	CHECK(was < MARK || was > PLACED || was == NOBODY);
	o->size = size;
	return o;
}

static void give(struct owned *o, uint64_t me)
{
	CHECK(o->size >= 16 && o->size <= 2016);
	CHECK_EQ(__atomic_exchange_n(&o->owner, NOBODY, __ATOMIC_RELAXED), me);
	o->size = 0;
	kfree(o);
}

/* Leaves @o for another thread, and frees what that place held. */
static void hand_over(struct owned *o, struct rng *r, uint64_t me)
{
	struct owned **place = &exchange[rng_below(r, EXCHANGE)];

	CHECK_EQ(__atomic_exchange_n(&o->owner, PLACED, __ATOMIC_RELAXED), me);
	o = __atomic_exchange_n(place, o, __ATOMIC_ACQ_REL);
	if (o)
		give(o, PLACED);
}

static void *work(void *arg)
{
	const uint64_t me = MARK | (uintptr_t)arg;
	struct rng r = rng_new(me);
	struct owned *held[HELD] = {NULL};

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct owned **o = &held[rng_below(&r, HELD)];

		if (!*o)
			*o = take(&r, me);
		else if (rng_below(&r, 4))
			(give(*o, me), *o = NULL);
		else
			(hand_over(*o, &r, me), *o = NULL);
	}
	for (int i = 0; i < HELD; i++)
		if (held[i])
			give(held[i], me);
	return NULL;
}

void hammer(int threads, int ms, void (*meanwhile)(void))
{
	const char *most = getenv("KNUMA_TEST_MS");
	pthread_t thread[MAX_THREADS];

	if (most && atoi(most) > 0 && atoi(most) < ms)
		ms = atoi(most);
	test_seed();
	stop = 0;
	for (int i = 0; i < threads; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, work,
					(void *)(uintptr_t)(i + 1)),
			 0);
	for (int i = 0; i < ms; i++) {
		if (meanwhile)
			meanwhile();
		usleep(1000);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < EXCHANGE; i++) {
		if (exchange[i])
			give(exchange[i], PLACED);
		exchange[i] = NULL;
	}
}
