/* SPDX-License-Identifier: Apache-2.0 */
/* bench/rounds.h - a workload by all its peers, in turn */
#ifndef KN_BENCH_ROUNDS_H
#define KN_BENCH_ROUNDS_H

#include "bench/report.h"

/*
 * Does the rounds of @w and writes what they come to.  False when a peer has
 * failed.  After an interrupt it writes what there is.
 */
bool kn_rounds_run(struct kn_run *run, const struct kn_report *report,
		   const struct kn_workload *w);

#endif
