/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t test_seed(void)
{
	static uint64_t seed;
	const char *text = getenv("KNUMA_TEST_SEED");
	struct timespec t;

	if (seed)
		return seed;
	clock_gettime(CLOCK_REALTIME, &t);
	seed = text ? strtoull(text, NULL, 0) :
		      (uint64_t)t.tv_sec * 1000000007 + (uint64_t)t.tv_nsec;
	if (!seed)
		seed = 1;
	printf("KNUMA_TEST_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

struct rng rng_new(uint64_t stream)
{
	struct rng r = {test_seed() + stream * 0x9e3779b97f4a7c15ull};

	return r;
}

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014. */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

uint64_t rng_size(struct rng *r, uint64_t most)
{
	const unsigned bits = 64 - (unsigned)__builtin_clzll(most);
	const uint64_t size = rng_next(r) >> (64 - 1 - rng_below(r, bits));

	return size > most ? most : size;
}
