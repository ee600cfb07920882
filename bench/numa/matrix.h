/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/matrix.h - knuma bench numa: each CPU node against each memory node
 *
 *   measure  measures.def  what is measured of a pair of nodes
 *   calls    calls.h       how knuma, libnuma and memkind are called for it
 *   cell     cell.c        one allocator, one pair, one process: samples
 *   matrix   main.c        all cells of all rounds; median and p99
 *   writers  text.c json.c csv.c html.c, plot.c for gnuplot
 *
 * A row is the node whose CPUs run, a column the node whose memory is used.  A
 * sample is the time of a batch of operations, divided by their number, so the
 * p99 is that of batches: rarer and shorter delays are not in it.
 */
#ifndef KN_BENCH_NUMA_MATRIX_H
#define KN_BENCH_NUMA_MATRIX_H

#include <stdint.h>

#include "bench/about.h"
#include "bench/peer.h"

enum kn_measure_id {
#define MEASURE(name, title, kind, unit, size, batch, knuma, numa, memkind, \
		help)                                                       \
	KN_MEASURE_##name,
#include "bench/numa/measures.def"
#undef MEASURE
	KN_NR_MEASURES
};

enum kn_measure_kind {
	KN_KIND_PAIR,
	KN_KIND_REMOTE,
	KN_KIND_CHASE,
	KN_KIND_STREAM
};

enum kn_measure_unit {
	KN_MEASURE_NS,
	KN_MEASURE_GBS /* samples are nanoseconds of a byte */
};

struct kn_measure {
	const char *name;
	const char *title;
	enum kn_measure_kind kind;
	enum kn_measure_unit unit;
	size_t size_bytes;
	unsigned batch;
	const char *calls[KN_NR_CALLS];
	const char *help;
};

extern const struct kn_measure kn_measures[KN_NR_MEASURES];

enum {
	KN_CELL_SAMPLES = 256,
	KN_MATRIX_PEERS = 3
};

/* What the process of one round sends. */
struct kn_cell_round {
	unsigned nr[KN_NR_MEASURES];
	float sample[KN_NR_MEASURES][KN_CELL_SAMPLES];
	uint64_t pages;	     /* of the buffer */
	uint64_t off_node;   /* of these, on another node than asked */
	uint64_t huge_bytes; /* of the buffer, in huge pages */
};

struct kn_series {
	float *sample;
	unsigned nr;
	double median; /* in the measure's unit; NaN: not measured */
	double p99;    /* 99 of 100 batches were as fast */
};

struct kn_cell {
	unsigned wanted; /* measures, 1 << enum kn_measure_id */
	unsigned rounds;
	char why[KN_WHY_LEN]; /* why there are no more; "": they are all */
	uint64_t pages, off_node, huge_bytes; /* sums */
	struct kn_series series[KN_NR_MEASURES];
};

struct kn_matrix {
	struct kn_about about;
	bool is_one_node; /* one pair: no matrix */
	size_t buffer_bytes;
	unsigned nr_peers;
	const struct kn_peer *peer[KN_MATRIX_PEERS];
	struct kn_cell *cells; /* by peer, row, column */
};

static inline struct kn_cell *kn_matrix_cell(const struct kn_matrix *m,
					     unsigned peer, int row, int column)
{
	const int nr = m->about.nodes.nr;

	return &m->cells[((int)peer * nr + row) * nr + column];
}

/* Does anything of @measure belong into this row, or this column? */
bool kn_matrix_has_row(const struct kn_matrix *m, enum kn_measure_id measure,
		       int row);
bool kn_matrix_has_column(const struct kn_matrix *m, enum kn_measure_id measure,
			  int column);

/* "12.3"; "-" for NaN.  Returns @buf. */
enum {
	KN_VALUE_LEN = 24
};
char *kn_matrix_value(char buf[KN_VALUE_LEN], double value);

/* "knuma" or "libnuma" rather than the call it is found by. */
const char *kn_matrix_peer(const struct kn_peer *peer);

const char *kn_measure_unit(const struct kn_measure *measure);
const char *kn_measure_columns(const struct kn_measure *measure);

/* `knuma bench numa', with argv[0] = "numa". */
int kn_numa_main(int argc, char **argv);

/* The child, see cell.c; returns an exit code. */
int kn_cell_child(int argc, char **argv);

void kn_matrix_text(FILE *f, const struct kn_matrix *m);
void kn_matrix_json(FILE *f, const struct kn_matrix *m);
void kn_matrix_csv(FILE *f, const struct kn_matrix *m);
void kn_matrix_html(FILE *f, const struct kn_matrix *m);

/*
 * Writes the plot of a measure as an <svg> element, drawn by gnuplot; false
 * when it is not installed or fails.
 */
bool kn_matrix_plot(FILE *f, const struct kn_matrix *m,
		    enum kn_measure_id measure);

#endif
