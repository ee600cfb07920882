/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/zero.h"

#define STEP 8

/*
 * What a loop over @type loads at once is as wide as the processor has it: the
 * loop does nothing but load.
 */
#define DEFINE_IS_ZERO(name, type, target)                                    \
	target static bool name(const void *obj, size_t size)                        \
	{                                                                     \
		const type *p = obj;                                          \
		const uint64_t *word;                                         \
		type a = {0}, b = {0};                                        \
		uint64_t bits = 0;                                            \
                                                                              \
		for (; size >= STEP * sizeof(*p);                             \
		     size -= STEP * sizeof(*p), p += STEP) {                  \
			a |= (p[0] | p[1]) | (p[2] | p[3]);                   \
			b |= (p[4] | p[5]) | (p[6] | p[7]);                   \
		}                                                             \
		for (; size >= sizeof(*p); size -= sizeof(*p))                \
			a |= *p++;                                            \
		for (word = (const uint64_t *)p; size; size -= sizeof(*word)) \
			bits |= *word++;                                      \
		a |= b;                                                       \
		for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); i++)         \
			bits |= a[i];                                         \
		return !bits;                                                 \
	}

DEFINE_IS_ZERO(by_pairs, kn_pair, )

#if defined(__x86_64__)
typedef uint64_t quad __attribute__((vector_size(32), aligned(8), may_alias));

DEFINE_IS_ZERO(by_quads, quad, __attribute__((target("avx2"))))

static bool has_quads;

void kn_zero_init(void)
{
	__builtin_cpu_init();
	has_quads = __builtin_cpu_supports("avx2");
}

bool kn_is_zero_long(const void *p, size_t size)
{
	return has_quads ? by_quads(p, size) : by_pairs(p, size);
}
#else
void kn_zero_init(void)
{
}

bool kn_is_zero_long(const void *p, size_t size)
{
	return by_pairs(p, size);
}
#endif
