/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/locality/locality.h - which malloc gives memory of the caller's node
 *
 * Threads on all nodes malloc objects and write to them, hand them over to the
 * next node, where they are freed, malloc again, free, move to the next node,
 * and malloc once more.  After each malloc phase move_pages(2) tells how many of
 * the pages lie on another node than the one the thread runs on.  The same
 * loop, child.c, runs with each allocator preloaded.
 */
#ifndef KN_BENCH_LOCALITY_LOCALITY_H
#define KN_BENCH_LOCALITY_LOCALITY_H

#include <stdint.h>
#include <stdio.h>

#include "bench/about.h"
#include "bench/peer.h"

enum kn_phase {
#define PHASE(name, title, help) KN_PHASE_##name,
#include "bench/locality/phases.def"
#undef PHASE
	KN_NR_PHASES
};

enum {
	KN_LOCALITY_RUNS_MAX = 1000,
	KN_LOCALITY_PEERS = 16
};

/* What one round counts, of all threads together. */
struct kn_locality {
	uint64_t pages[KN_NR_PHASES];
	uint64_t off_node[KN_NR_PHASES];
};

/* One allocator's rounds, and what they come to. */
struct kn_locality_row {
	const struct kn_peer *peer;
	unsigned nr_rounds;
	char why[KN_WHY_LEN]; /* why there are no more; "": they are all */
	double percent[KN_NR_PHASES][KN_LOCALITY_RUNS_MAX];
	double median[KN_NR_PHASES];  /* percent; NaN: there is none */
	double worst[KN_NR_PHASES];   /* the same */
	uint64_t pages[KN_NR_PHASES]; /* of all rounds */
};

struct kn_locality_table {
	struct kn_about about;
	bool is_measurable;  /* there are two nodes to measure */
	unsigned threads;    /* on each node */
	unsigned object_kib; /* of objects, each thread and phase */
	unsigned nr_rows;
	struct kn_locality_row row[KN_LOCALITY_PEERS];
};

/* `knuma bench locality', with argv[0] = "locality". */
int kn_locality_main(int argc, char **argv);

/* The child: argv is THREADS KIB NODE:CPUS...; returns an exit code. */
int kn_locality_child(int argc, char **argv);

void kn_locality_write(FILE *f, const struct kn_locality_table *t,
		       enum kn_format format);

#endif
