/* SPDX-License-Identifier: Apache-2.0 */
/* bench/workload.h - what is measured, and how one round of it is done */
#ifndef KN_BENCH_WORKLOAD_H
#define KN_BENCH_WORKLOAD_H

#include "bench/peer.h"
#include "bench/process.h"
#include "bench/sample.h"

enum kn_loop {
	KN_LOOP_none,
	KN_LOOP_pair,
	KN_LOOP_batch,
	KN_LOOP_touch,
	KN_LOOP_threads,
	KN_LOOP_crowd,
	KN_NR_LOOPS
};

enum kn_unit {
	KN_UNIT_NS,
	KN_UNIT_US,
	KN_UNIT_MS
};

enum {
	KN_BATCH_MAX = 128, /* of the column n, loop batch */
	KN_WAVE_MAX = 1000, /* of the column n, loops threads and crowd */
	KN_QUICK = 10	    /* --quick does one part in so many */
};

struct kn_round;

struct kn_workload {
	const char *name;
	bool (*measure)(struct kn_round *round);
	enum kn_loop loop;
	unsigned who; /* bits, 1 << enum kn_calls */
	size_t size_bytes;
	unsigned n;
	unsigned chunk;
	unsigned repeat;
	const char *base;
	enum kn_unit unit;
	const char *help;
};

struct kn_round {
	const struct kn_workload *workload;
	const struct kn_peer *peer;
	bool quick;
	struct kn_sample sample; /* filled when measure() gives true */
	char why[KN_WHY_LEN];	 /* filled when it gives false */
};

extern const struct kn_workload kn_workloads[];
extern const unsigned kn_nr_workloads;

/* NULL when there is none of this name. */
const struct kn_workload *kn_workload_find(const char *name);

bool kn_workload_has(const struct kn_workload *w, const struct kn_peer *peer);

/* measure: one process each, see workloads.def. */
bool kn_measure_child(struct kn_round *round);
bool kn_measure_startup(struct kn_round *round);
bool kn_measure_large(struct kn_round *round);
bool kn_measure_redis(struct kn_round *round);

#endif
