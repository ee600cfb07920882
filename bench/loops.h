/* SPDX-License-Identifier: Apache-2.0 */
/* bench/loops.h - the loops that are measured, once for each kind of call */
#ifndef KN_BENCH_LOOPS_H
#define KN_BENCH_LOOPS_H

#include "bench/workload.h"

/*
 * Opens @library and finds the functions of @calls.  Returns NULL, or what is
 * missing.
 */
const char *kn_loops_open(enum kn_calls calls, const char *library);

/*
 * Runs @w's loop for one chunk, @chunk repetitions of n operations.  Ends the
 * process when there is no memory.
 */
void kn_loops_run(enum kn_calls calls, const struct kn_workload *w,
		  unsigned chunk);

#endif
