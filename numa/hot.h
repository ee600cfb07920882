/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/hot.h - allocation and free of a small object, as short as it gets
 *
 * Two libraries have these functions: libknuma, and the preload library, whose
 * malloc and free would otherwise be jumps to libknuma's: 1.3 ns more a pair.
 * So they touch memory through kn_hot alone, which the preload library knows
 * as knuma_hot_1.  Who changes what is laid out here, or what a section does,
 * counts the number up: an older preload library then fails to load.
 */
#ifndef KN_NUMA_HOT_H
#define KN_NUMA_HOT_H

#include "numa/rseq.h"
#include "numa/span.h"

extern struct kn_hot knuma_hot_1 __attribute__((visibility("default")));

/* Whether @p is in the span; false before start-up. */
static kn_always_inline bool kn_hot_has(const struct kn_hot *hot, const void *p)
{
	const uint64_t size = kn_load_hot(&hot->size);

	return (uintptr_t)p - kn_load_hot(&hot->base) < size;
}

/* The place of the magazine that @p, which is in the span, goes back to. */
static kn_always_inline uint32_t kn_hot_place(const struct kn_hot *hot,
					      const void *p)
{
	return ((const uint32_t *)hot->map)[(uintptr_t)p >> KN_PAGE_SHIFT];
}

/* Whether there is a magazine for @size; false before start-up. */
static kn_always_inline bool kn_hot_small(const struct kn_hot *hot, size_t size)
{
	return size - 1 < kn_load_hot(&hot->small_max);
}

/* An object of @size, which is small; kn_rseq_popped() says whether. */
static kn_always_inline void *kn_hot_pop(const struct kn_hot *hot, size_t size)
{
	return kn_rseq_pop(hot, hot->small_place[(size - 1) / 16]);
}

/* Takes @p back, or leaves that to a slow path. */
static kn_always_inline bool kn_hot_push(const struct kn_hot *hot, const void *p)
{
	return likely(kn_hot_has(hot, p)) &&
	       likely(kn_rseq_push(hot, kn_hot_place(hot, p), p) == KN_RSEQ_DONE);
}

#endif
