/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/report.h - results as text, JSON or CSV, on standard output
 *
 * Each workload is written when it is done, so a run that ends early has
 * written what it has measured.
 */
#ifndef KN_BENCH_REPORT_H
#define KN_BENCH_REPORT_H

#include "bench/summary.h"

struct kn_run {
	unsigned runs;
	bool quick;
	bool interrupted;
	unsigned nr_written; /* workloads */
};

struct kn_report {
	const char *name; /* of the format */
	void (*begin)(const struct kn_run *run);
	void (*workload)(const struct kn_run *run, const struct kn_workload *w,
			 const struct kn_result *results, unsigned n);
	void (*end)(const struct kn_run *run);
};

/* The first is the default; ends with NULL. */
extern const struct kn_report *const kn_reports[];

#endif
