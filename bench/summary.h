/* SPDX-License-Identifier: Apache-2.0 */
/* bench/summary.h - what many rounds come to */
#ifndef KN_BENCH_SUMMARY_H
#define KN_BENCH_SUMMARY_H

#include "bench/workload.h"

enum kn_column {
#define COLUMN(name, title, width, kind, text, help) KN_COLUMN_##name,
#include "bench/columns.def"
#undef COLUMN
	KN_NR_COLUMNS
};

/* One peer's rounds of one workload, and what they come to. */
struct kn_result {
	const struct kn_peer *peer;
	struct kn_sample *samples;
	unsigned nr_samples;
	char why[KN_WHY_LEN]; /* why there are no more; "": they are all */
	double value[KN_NR_COLUMNS]; /* NaN: there is none */
	/* Medians for 1,000 operations; names are those of the last sample. */
	struct kn_counts counted;
	double per_1000[KN_COUNTS_MAX];
};

/* The @percent-th percentile of n values, between two of them if need be. */
double kn_percentile(double *values, unsigned n, double percent);

/* The most rounds that one of @n results has. */
unsigned kn_rounds_of(const struct kn_result *results, unsigned n);

/* Fills the values of @n results. */
void kn_summarise(struct kn_result *results, unsigned n);

/* The result that knuma's ratios are about; NULL without one. */
const struct kn_result *kn_result_own(const struct kn_result *results,
				      unsigned n);

/* The result that knuma is set against; NULL without one. */
const struct kn_result *kn_result_base(const struct kn_workload *w,
				       const struct kn_result *results,
				       unsigned n);

#endif
