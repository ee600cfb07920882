/* SPDX-License-Identifier: Apache-2.0 */
/* bench/workload.h - what is measured, and how one round of it is done */
#ifndef KN_BENCH_WORKLOAD_H
#define KN_BENCH_WORKLOAD_H

#include "bench/peer.h"
#include "bench/process.h"
#include "bench/sample.h"

enum kn_loop {
	KN_LOOP_none,
#define LOOP(name, file, rests, text) KN_LOOP_##name,
#include "bench/loops.def"
#undef LOOP
	KN_NR_LOOPS
};

/* Columns of the text table that not every workload has; rows of columns.def. */
enum kn_text {
	KN_TEXT_SHOWN,
	KN_TEXT_HIDDEN,
	KN_TEXT_MEMORY,
	KN_TEXT_LATENCY
};

/* A row of loops.def. */
struct kn_loop_traits {
	const char *name;
	bool is_crowd;
	unsigned rests_ms;
	enum kn_text text;
};

extern const struct kn_loop_traits kn_loop_traits[KN_NR_LOOPS];

enum kn_set {
	KN_SET_SHORT, /* without WORKLOAD, too */
	KN_SET_LONG   /* when named, or with --all */
};

enum kn_unit {
	KN_UNIT_NS,
	KN_UNIT_US,
	KN_UNIT_MS
};

enum {
	KN_WAVE_MAX = 1000, /* of the column n, crowds */
	KN_PARCEL = 64, /* objects that the loop pipe hands over at a time */
	KN_QUICK = 10	/* --quick does one part in so many */
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
	unsigned cpus; /* 0: all */
	enum kn_set set;
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
bool kn_measure_fake(struct kn_round *round);
bool kn_measure_startup(struct kn_round *round);
bool kn_measure_large(struct kn_round *round);
bool kn_measure_redis(struct kn_round *round);
bool kn_measure_sqlite(struct kn_round *round);
bool kn_measure_python(struct kn_round *round);

#endif
