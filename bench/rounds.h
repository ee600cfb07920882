/* SPDX-License-Identifier: Apache-2.0 */
/* bench/rounds.h - a workload by all its peers, in turn */
#ifndef KN_BENCH_ROUNDS_H
#define KN_BENCH_ROUNDS_H

#include "bench/outputs.h"

enum kn_outcome {
	KN_OUTCOME_DONE,
	KN_OUTCOME_FAILED,   /* a peer */
	KN_OUTCOME_UNWRITTEN /* the results; a message has said why */
};

/*
 * Does the rounds of @w and writes what they come to.  After an interrupt it
 * writes what there is.
 */
enum kn_outcome kn_rounds_run(struct kn_run *run, const struct kn_workload *w);

#endif
