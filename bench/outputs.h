/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/outputs.h - where results go: standard output, and a folder
 *
 * bench.txt, bench.csv and bench.json grow with each workload, as standard
 * output does; bench.html, which has plots of all of them, is made at the end.
 * What cannot be written ends the run with a message, and what has been written
 * stays.
 */
#ifndef KN_BENCH_OUTPUTS_H
#define KN_BENCH_OUTPUTS_H

#include "bench/report.h"

/*
 * @report goes to standard output; files go to @folder, which is made, unless
 * that is NULL.  Ends the process when one cannot be made.
 */
void kn_outputs_open(const struct kn_report *report, const char *folder);

/* Each gives false, after a message, when something cannot be written. */
bool kn_outputs_begin(const struct kn_run *run);
bool kn_outputs_workload(struct kn_run *run, const struct kn_workload *w,
			 const struct kn_result *results, unsigned n);
bool kn_outputs_end(const struct kn_run *run);

/* One workload of the page. */
struct kn_chapter {
	const struct kn_workload *workload;
	struct kn_result *results;
	unsigned nr_results;
};

/* bench/page.c */
void kn_page_write(FILE *f, const struct kn_run *run,
		   const struct kn_chapter *chapters, unsigned n);

#endif
