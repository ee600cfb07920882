/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/zero.h - places of objects that are zero, or become so */
#ifndef KN_SLAB_ZERO_H
#define KN_SLAB_ZERO_H

#include "alloc/base/compiler.h"

/* Where a call begins to cost less than what is done here. */
#define KN_ZERO_HERE 256

/* Two words, which every processor compares and stores at once. */
typedef uint64_t kn_pair
	__attribute__((vector_size(16), aligned(8), may_alias));

/* Looks how wide this processor's loads are.  While the process starts. */
void kn_zero_init(void);

bool kn_is_zero_long(const void *p, size_t size);

static kn_always_inline kn_pair kn_or4(const kn_pair *p)
{
	return (p[0] | p[1]) | (p[2] | p[3]);
}

/*
 * Both for places of objects: 16 bytes at least, a multiple of 8.  What is left
 * over at the end of a place is done together with bytes before it.
 */
static inline bool kn_is_zero(const void *obj, size_t size)
{
	const char *p = obj, *end = p + size;
	kn_pair bits = {0, 0};

	if (unlikely(size > KN_ZERO_HERE))
		return kn_is_zero_long(obj, size);
	if (size >= 64) {
		for (end -= 64; p < end; p += 64)
			bits |= kn_or4((const kn_pair *)p);
		bits |= kn_or4((const kn_pair *)end);
	} else {
		for (end -= 16; p < end; p += 16)
			bits |= *(const kn_pair *)p;
		bits |= *(const kn_pair *)end;
	}
	return !(bits[0] | bits[1]);
}

static kn_always_inline void kn_zero4(kn_pair *p)
{
	p[0] = p[1] = p[2] = p[3] = (kn_pair){0, 0};
	/* Else a loop is known for a memset(), and becomes one. */
	__asm__ volatile("" ::: "memory");
}

/* Up to KN_ZERO_HERE bytes. */
static inline void kn_zero_here(void *obj, size_t size)
{
	char *p = obj, *end = p + size;

	if (size >= 64) {
		for (end -= 64; p < end; p += 64)
			kn_zero4((kn_pair *)p);
		kn_zero4((kn_pair *)end);
	} else {
		for (end -= 16; p < end; p += 16) {
			*(kn_pair *)p = (kn_pair){0, 0};
			__asm__ volatile("" ::: "memory");
		}
		*(kn_pair *)end = (kn_pair){0, 0};
	}
}

#endif
