/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/rng.h - random numbers that can be had again */
#ifndef KN_TESTS_RNG_H
#define KN_TESTS_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

/*
 * The seed of this run: KNUMA_TEST_SEED, else the clock.  Printed by the first
 * call.
 */
uint64_t test_seed(void);

/* A sequence of its own for each @stream. */
struct rng rng_new(uint64_t stream);

uint64_t rng_next(struct rng *r);

/* In [0, n). */
uint64_t rng_below(struct rng *r, uint64_t n);

/* A size up to @most with all magnitudes about as likely. */
uint64_t rng_size(struct rng *r, uint64_t most);

#endif
