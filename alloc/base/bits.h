/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/base/bits.h - logarithms and bit counts */
#ifndef KN_BASE_BITS_H
#define KN_BASE_BITS_H

#include "alloc/base/compiler.h"

static inline bool kn_is_pow2(uint64_t x)
{
	return x && (x & (x - 1)) == 0;
}

/* Position of the highest bit set; @x is not 0. */
static inline unsigned kn_log2(uint64_t x)
{
	return 63u - (unsigned)__builtin_clzll(x);
}

/* The least n with 1 << n >= @x; @x is not 0. */
static inline unsigned kn_log2_up(uint64_t x)
{
	return x <= 1 ? 0 : kn_log2(x - 1) + 1;
}

#endif
