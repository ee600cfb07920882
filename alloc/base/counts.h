/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/counts.h - what does not scale, counted
 *
 * In a build with --config=counts, and in no other, the library counts locks
 * taken, locks found taken, atomic writes to words that CPUs share, and its
 * system calls.  `knuma bench' reads them for each workload, and
 * docs/perf/scaling.md says what they come to on many CPUs.
 *
 * Not counted: plain stores.  What is written under a lock is some lines for
 * each time that it is taken; magazines are of one CPU.
 */
#ifndef KN_BASE_COUNTS_H
#define KN_BASE_COUNTS_H

#ifdef KN_COUNTS

#include <ck_pr.h>
#include <ck_stack.h>
#include <stdint.h>

enum {
#define KN_COUNT(name, help) KN_COUNT_##name,
#include "alloc/base/counts.def"
#undef KN_COUNT
	KN_COUNT_LOCKS, /* and the rank of a lock: taken */
#define KN_LOCK_RANK(name, help) KN_COUNT_LOCK_##name,
#include "alloc/base/lock_ranks.def"
#undef KN_LOCK_RANK
	KN_NR_COUNTS
};

/* One more.  Its own line is shared, too, and is not counted. */
static inline void kn_counted(int id)
{
	extern uint64_t kn_counts[];

	__atomic_fetch_add(&kn_counts[id], 1, __ATOMIC_RELAXED);
}

/**
 * knuma_counts - read a count of this build
 * @id: from 0
 * @value: filled with the count, unless it is NULL
 *
 * Return: its name; NULL when there are no more.
 */
const char *knuma_counts(unsigned id, uint64_t *value)
	__attribute__((visibility("default")));

#define KN_COUNTED(id) kn_counted(KN_COUNT_##id)
#define KN_COUNTED_LOCK(rank)                   \
	(KN_COUNTED(LOCKS), KN_COUNTED(shared), \
	 kn_counted(KN_COUNT_LOCKS + 1 + (int)(rank)))

#define KN_SHARED(call)		(KN_COUNTED(shared), call)

/* Operations that only slabs have: objects that are free, and states. */
#define KN_OF_SLAB(call)	(KN_COUNTED(slabs), KN_SHARED(call))

/* A name is not expanded within its own expansion. */
#define ck_pr_cas_32(...)	KN_SHARED(ck_pr_cas_32(__VA_ARGS__))
#define ck_pr_cas_64(...)	KN_SHARED(ck_pr_cas_64(__VA_ARGS__))
#define ck_pr_cas_ptr(...)	KN_SHARED(ck_pr_cas_ptr(__VA_ARGS__))
#define ck_pr_cas_32_value(...) KN_OF_SLAB(ck_pr_cas_32_value(__VA_ARGS__))
#define ck_pr_cas_64_value(...) KN_SHARED(ck_pr_cas_64_value(__VA_ARGS__))
#define ck_pr_add_32(...)	KN_SHARED(ck_pr_add_32(__VA_ARGS__))
#define ck_pr_add_64(...)	KN_SHARED(ck_pr_add_64(__VA_ARGS__))
#define ck_pr_sub_32(...)	KN_SHARED(ck_pr_sub_32(__VA_ARGS__))
#define ck_pr_sub_64(...)	KN_SHARED(ck_pr_sub_64(__VA_ARGS__))
#define ck_pr_inc_32(...)	KN_SHARED(ck_pr_inc_32(__VA_ARGS__))
#define ck_pr_inc_64(...)	KN_SHARED(ck_pr_inc_64(__VA_ARGS__))
#define ck_pr_dec_32(...)	KN_SHARED(ck_pr_dec_32(__VA_ARGS__))
#define ck_pr_dec_64(...)	KN_SHARED(ck_pr_dec_64(__VA_ARGS__))
#define ck_pr_and_32(...)	KN_SHARED(ck_pr_and_32(__VA_ARGS__))
#define ck_pr_and_64(...)	KN_OF_SLAB(ck_pr_and_64(__VA_ARGS__))
#define ck_pr_or_32(...)	KN_SHARED(ck_pr_or_32(__VA_ARGS__))
#define ck_pr_bts_64(...)	KN_OF_SLAB(ck_pr_bts_64(__VA_ARGS__))
#define ck_pr_faa_32(...)	KN_SHARED(ck_pr_faa_32(__VA_ARGS__))
#define ck_pr_faa_64(...)	KN_SHARED(ck_pr_faa_64(__VA_ARGS__))
#define ck_pr_fas_32(...)	KN_SHARED(ck_pr_fas_32(__VA_ARGS__))
#define ck_pr_fas_ptr(...)	KN_SHARED(ck_pr_fas_ptr(__VA_ARGS__))
#define ck_stack_push_upmc(...) KN_SHARED(ck_stack_push_upmc(__VA_ARGS__))
#define ck_stack_push_mpmc(...) KN_SHARED(ck_stack_push_mpmc(__VA_ARGS__))
#define ck_stack_pop_mpmc(...)	KN_SHARED(ck_stack_pop_mpmc(__VA_ARGS__))
#define ck_stack_batch_pop_upmc(...) \
	KN_SHARED(ck_stack_batch_pop_upmc(__VA_ARGS__))

#else

#define KN_COUNTED(id)	      ((void)0)
#define KN_COUNTED_LOCK(rank) ((void)0)

#endif

#endif
