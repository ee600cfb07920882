/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/percpu/this_cpu.c - operations on the copy of the running CPU
 *
 * A section where the process has rseq; an atomic instruction on the CPU's copy
 * where no thread has.  The two must not meet on one copy, because the section's
 * addition is no locked one: a single thread without rseq (raw clone), and one
 * whose sections are aborted each time (a debugger that steps), use the last
 * copy, which no section does, atomically.
 */
#include <knuma/percpu.h>

#include "alloc/base/start.h"
#include "alloc/magazine/magazine.h"
#include "numa/machine.h"
#include "numa/rseq.h"

/* Aborts in a row: a signal or the end of a time slice makes one. */
#define TRIES 100

unsigned int knuma_nr_cpu_ids(void)
{
	return kn_start() ? (unsigned)kn_topo.nr_cpus + 1 : 1;
}

/* The copy for atomic instructions. */
static unsigned shared_copy(void)
{
	int cpu;

	if (kn_load(&kn_mag_mode) != KN_MAG_FALLBACK)
		return (unsigned)kn_topo.nr_cpus;
	cpu = kn_machine.getcpu();
	return cpu >= 0 && cpu < kn_topo.nr_cpus ? (unsigned)cpu :
						   (unsigned)kn_topo.nr_cpus;
}

unsigned int knuma_this_cpu(void)
{
	const int cpu = kn_start() ? kn_rseq_cpu() : -1;

	return cpu >= 0 && cpu < kn_topo.nr_cpus ? (unsigned)cpu :
						   shared_copy();
}

/* The operations on words of one size. */
#define OPS(bits)                                                              \
	static uint64_t add_##bits(void *p, uint64_t n)                        \
	{                                                                      \
		uint##bits##_t *word;                                          \
                                                                               \
		for (int i = 0; i < TRIES; i++) {                              \
			uint##bits##_t was = (uint##bits##_t)n;                \
			const enum kn_rseq_ret ret =                           \
				kn_rseq_cpu_add_##bits(&kn_hot, p, &was);      \
                                                                               \
			if (likely(ret == KN_RSEQ_DONE))                       \
				return was + n;                                \
			if (ret == KN_RSEQ_DECLINED)                           \
				break;                                         \
		}                                                              \
		word = per_cpu_ptr((uint##bits##_t *)p, shared_copy());        \
		return __atomic_add_fetch(word, (uint##bits##_t)n,             \
					  __ATOMIC_RELAXED);                   \
	}                                                                      \
                                                                               \
	static uint64_t xchg_##bits(void *p, uint64_t value)                   \
	{                                                                      \
		uint##bits##_t *word, was;                                     \
                                                                               \
		for (int i = 0; i < TRIES; i++) {                              \
			const enum kn_rseq_ret ret = kn_rseq_cpu_xchg_##bits(  \
				&kn_hot, p, (uint##bits##_t)value, &was);      \
                                                                               \
			if (likely(ret == KN_RSEQ_DONE))                       \
				return was;                                    \
			if (ret == KN_RSEQ_DECLINED)                           \
				break;                                         \
		}                                                              \
		word = per_cpu_ptr((uint##bits##_t *)p, shared_copy());        \
		return __atomic_exchange_n(word, (uint##bits##_t)value,        \
					   __ATOMIC_ACQ_REL);                  \
	}                                                                      \
                                                                               \
	static uint64_t cmpxchg_##bits(void *p, uint64_t old, uint64_t value)  \
	{                                                                      \
		uint##bits##_t *word, was;                                     \
                                                                               \
		for (int i = 0; i < TRIES; i++) {                              \
			enum kn_rseq_ret ret;                                  \
                                                                               \
			was = (uint##bits##_t)old;                             \
			ret = kn_rseq_cpu_cmpxchg_##bits(                      \
				&kn_hot, p, &was, (uint##bits##_t)value);      \
			if (likely(ret == KN_RSEQ_DONE))                       \
				return was;                                    \
			if (ret == KN_RSEQ_DECLINED)                           \
				break;                                         \
		}                                                              \
		was = (uint##bits##_t)old;                                     \
		word = per_cpu_ptr((uint##bits##_t *)p, shared_copy());        \
		__atomic_compare_exchange_n(word, &was, (uint##bits##_t)value, \
					    false, __ATOMIC_ACQ_REL,           \
					    __ATOMIC_ACQUIRE);                 \
		return was;                                                    \
	}                                                                      \
                                                                               \
	static uint64_t read_##bits(const void *p)                             \
	{                                                                      \
		return kn_load(per_cpu_ptr((const uint##bits##_t *)p,          \
					   knuma_this_cpu()));                 \
	}

OPS(8)
OPS(16)
OPS(32)
OPS(64)

#define BY_SIZE(size, call, ...)                \
	((size) == 8 ? call##_64(__VA_ARGS__) : \
	 (size) == 4 ? call##_32(__VA_ARGS__) : \
	 (size) == 2 ? call##_16(__VA_ARGS__) : \
		       call##_8(__VA_ARGS__))

uint64_t knuma_this_cpu_add(void *p, uint64_t n, unsigned int size)
{
	return BY_SIZE(size, add, p, n);
}

uint64_t knuma_this_cpu_xchg(void *p, uint64_t value, unsigned int size)
{
	return BY_SIZE(size, xchg, p, value);
}

uint64_t knuma_this_cpu_cmpxchg(void *p, uint64_t old, uint64_t value,
				unsigned int size)
{
	return BY_SIZE(size, cmpxchg, p, old, value);
}

uint64_t knuma_this_cpu_read(const void *p, unsigned int size)
{
	return BY_SIZE(size, read, p);
}
