/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/random.h - numbers that a program cannot foresee
 *
 * Seeded by what the kernel gave the process (AT_RANDOM), so without a system
 * call; not for keys: who reads the state knows what comes.
 */
#ifndef KN_BASE_RANDOM_H
#define KN_BASE_RANDOM_H

#include "alloc/base/compiler.h"

/* Context: any.  Threads that ask at the same time may get the same. */
uint64_t kn_random(void);

/* One below @n, which is not 0. */
static inline uint32_t kn_random_below(uint32_t n)
{
	return (uint32_t)((kn_random() >> 32) * n >> 32);
}

#endif
