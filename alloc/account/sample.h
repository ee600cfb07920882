/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/account/sample.h - some allocations, for a heap profiler
 *
 * Points lie on the line of all bytes that are allocated, sample_bytes apart on
 * average and independent of each other; an allocation that one falls into is
 * sampled: with probability 1 - exp(-size / sample_bytes).  It is reported with
 * its size over that probability, so sums of the reports are, in expectation,
 * sums of all allocations.
 *
 *   S1  Each allocation asks once; there is no fast path while sample_bytes is
 *       set, so none is missed.
 *   S2  Who was sampled has KN_EXT_SAMPLED in its word, see ext.h, set before
 *       anybody else knows the memory; the free that takes the word reports it.
 *   S3  How far it is to the next point is a number of each stripe; each stripe
 *       has a line of its own.
 *
 * All is by atomics: any context.  Design: docs/design/sampling.md.
 */
#ifndef KN_ACCOUNT_SAMPLE_H
#define KN_ACCOUNT_SAMPLE_H

#include "alloc/base/atomic.h"
#include "alloc/base/compiler.h"

/* Bytes from point to point, on average; 0: none.  Set at start-up. */
extern uint64_t kn_sample_bytes;

/* How many tracers wait for allocations; written by the kernel. */
extern uint16_t otel_memory_alloc_semaphore;

void kn_sample_init(void);

/* What an allocation of @size bytes weighs, 1 at least; 0: it is not sampled. */
kn_slow uint64_t kn_sample_take(uint64_t size);

/* The same, by those who may ask while nothing is sampled. */
static inline uint64_t kn_sample(uint64_t size)
{
	if (likely(!kn_sample_bytes) || !kn_load(&otel_memory_alloc_semaphore))
		return 0;
	return kn_sample_take(size);
}

/* The same of an allocation that is sampled, whatever its size. */
uint64_t kn_sample_weight(uint64_t size);

/* The memory at @p, whose word is @word, was sampled with that @weight. */
kn_slow void kn_sample_alloc(uint64_t *word, const void *p, uint64_t size,
			     uint64_t weight);

/* Of memory that remembers anyway: asks, and reports. */
static inline void kn_sample_memory(uint64_t *word, const void *p,
				    uint64_t size)
{
	const uint64_t weight = kn_sample(size);

	if (unlikely(weight))
		kn_sample_alloc(word, p, size, weight);
}

kn_slow void kn_sample_free(const void *p);

#endif
