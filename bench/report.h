/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/report.h - results as text, JSON or CSV, to standard output and files
 *
 * Each workload is written when it is done, so a run that ends early has
 * written what it has measured.
 */
#ifndef KN_BENCH_REPORT_H
#define KN_BENCH_REPORT_H

#include <stdio.h>

#include "bench/summary.h"

/* A row of columns.def. */
struct kn_column_traits {
	const char *name;
	const char *title;
	const char *help;
	int width;
	enum kn_column_kind {
		KN_KIND_OF_TIME,
		KN_KIND_OF_MIB,
		KN_KIND_OF_RATIO
	} kind;
	enum kn_text text;
};

const struct kn_column_traits *kn_column(enum kn_column c);

struct kn_unit_traits {
	const char *name;
	double ns;
};

/* By enum kn_unit. */
extern const struct kn_unit_traits kn_units[];

/* Whether a table that people read has the column. */
bool kn_column_is_shown(enum kn_column c, const struct kn_workload *w);

struct kn_run {
	unsigned runs;
	bool quick;
	bool interrupted;
	unsigned nr_written; /* workloads */
};

struct kn_report {
	const char *name; /* of the format */
	const char *file; /* of --report */
	void (*begin)(FILE *f, const struct kn_run *run);
	void (*workload)(FILE *f, const struct kn_run *run,
			 const struct kn_workload *w,
			 const struct kn_result *results, unsigned n);
	void (*end)(FILE *f, const struct kn_run *run);
};

/* The first is the default; ends with NULL. */
extern const struct kn_report *const kn_reports[];

#endif
