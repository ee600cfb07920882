/* SPDX-License-Identifier: Apache-2.0 */
/* bench/loops.h - the loops that are measured, once for each kind of call */
#ifndef KN_BENCH_LOOPS_H
#define KN_BENCH_LOOPS_H

#include "bench/workload.h"

typedef void (*kn_loop_fn)(const struct kn_workload *w, unsigned chunk);

/* NULL in the rows of the other file. */
extern const kn_loop_fn kn_singles[KN_NR_CALLS][KN_NR_LOOPS];
extern const kn_loop_fn kn_crowds[KN_NR_CALLS][KN_NR_LOOPS];

/*
 * Runs @w's loop for one chunk, @chunk repetitions of n operations.  Ends the
 * process when there is no memory, or these calls have no such loop.
 */
void kn_loops_run(enum kn_calls calls, const struct kn_workload *w,
		  unsigned chunk);

/* Little work for so long: see the column rests of loops.def. */
void kn_loops_rest(enum kn_calls calls, unsigned ms);

/* Fills the latencies of @s with what the loop tail has timed so far. */
void kn_loops_latencies(struct kn_sample *s);

#endif
