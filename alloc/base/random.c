/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/random.h"

#include <string.h>
#include <sys/auxv.h>

#include "alloc/base/atomic.h"

static uint64_t state;

static kn_slow uint64_t seed(void)
{
	const void *bytes = (const void *)getauxval(AT_RANDOM);
	uint64_t word[2] = {0};

	if (bytes)
		memcpy(word, bytes, sizeof(word));
	/* 0 is "not seeded". */
	return (word[0] ^ word[1] << 1) | 1;
}

/* SplitMix64, Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014. */
uint64_t kn_random(void)
{
	uint64_t z = kn_load(&state);

	if (unlikely(!z))
		z = seed();
	z += 0x9e3779b97f4a7c15ull;
	kn_store(&state, z);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}
