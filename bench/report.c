/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/report.h"

#include <knuma/version.h>
#include <math.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/json.h"

enum kind {
	TIME,
	MIB,
	RATIO
};
enum text {
	SHOWN,
	HIDDEN,
	THREADS
};

/* clang-format off */
static const struct {
	const char *name;
	const char *title;
	int width;
	enum kind kind;
	enum text text;
} columns[] = {
#define COLUMN(name, title, width, kind, text, help) \
	{#name, title, width, kind, text},
#include "bench/columns.def"
#undef COLUMN
};
/* clang-format on */

static const struct {
	const char *name;
	double ns;
} units[] = {
	[KN_UNIT_NS] = {"ns", 1},
	[KN_UNIT_US] = {"us", 1e3},
	[KN_UNIT_MS] = {"ms", 1e6},
};

/* Text. */

static bool has_column(const struct kn_workload *w, unsigned c)
{
	return columns[c].text == SHOWN ||
	       (columns[c].text == THREADS && w->loop == KN_LOOP_threads);
}

static void text_begin(const struct kn_run *run)
{
	struct utsname system = {0};

	uname(&system);
	printf("knuma %s on Linux %s, %ld CPUs%s\n"
	       "CPU     median CPU time of one operation; wall: by the clock\n"
	       "/best   CPU time to that of the fastest that is not knuma\n"
	       "knuma/  CPU time of knuma to that of this row\n"
	       "peak    the largest RSS, in MiB\n",
	       KNUMA_VERSION_STRING, system.release,
	       sysconf(_SC_NPROCESSORS_ONLN),
	       run->quick ? "; quick: a trial, no measurement" : "");
}

/* After the point: four figures in all, or two digits. */
static int digits(double value)
{
	return fabs(value) < 100 ? 2 : fabs(value) < 1000 ? 1 : 0;
}

static void text_value(const struct kn_workload *w, unsigned c, double value)
{
	const int width = columns[c].width;

	if (isnan(value))
		printf("%*s", width, "-");
	else if (columns[c].kind == TIME)
		printf("%*.*f", width, digits(value / units[w->unit].ns),
		       value / units[w->unit].ns);
	else if (columns[c].kind == MIB)
		printf("%*.1f", width, value);
	else
		printf("%*.3g", width, value);
}

static void text_row(const struct kn_workload *w, const struct kn_result *r)
{
	printf("%-17s", r->peer->name);
	for (unsigned c = 0; c < KN_NR_COLUMNS && r->nr_samples; c++)
		if (has_column(w, c))
			text_value(w, c, r->value[c]);
	if (r->why[0])
		printf("  failed: %s", r->why);
	else if (!r->nr_samples)
		printf("  not measured");
	putchar('\n');
}

/* "CPU 0.87 (-1.20)" */
static void text_against(const struct kn_workload *w, enum kn_column c,
			 const struct kn_result *own,
			 const struct kn_result *base)
{
	const double a = own->value[c], b = base->value[c];
	const double unit = columns[c].kind == TIME ? units[w->unit].ns : 1;

	if (!isnan(a) && !isnan(b))
		printf(", %s %.3g (%+.*f)", columns[c].title, a / b,
		       digits((a - b) / unit), (a - b) / unit);
}

static void text_last_line(const struct kn_workload *w,
			   const struct kn_result *results, unsigned n)
{
	const struct kn_result *own = kn_result_own(results, n);
	const struct kn_result *base = kn_result_base(w, results, n);

	if (!own || !base)
		return;
	printf("%s to %s", own->peer->name, base->peer->name);
	text_against(w, KN_COLUMN_cpu_ns, own, base);
	text_against(w, KN_COLUMN_wall_ns, own, base);
	text_against(w, KN_COLUMN_rss_peak_mib, own, base);
	putchar('\n');
}

static void text_workload(const struct kn_run *run, const struct kn_workload *w,
			  const struct kn_result *results, unsigned n)
{
	(void)run;
	printf("\n%s: %s; %s, %u rounds\n%-17s", w->name, w->help,
	       units[w->unit].name, kn_rounds_of(results, n), "");
	for (unsigned c = 0; c < KN_NR_COLUMNS; c++)
		if (has_column(w, c))
			printf("%*s", columns[c].width, columns[c].title);
	putchar('\n');
	for (unsigned i = 0; i < n; i++)
		text_row(w, &results[i]);
	text_last_line(w, results, n);
}

static void text_end(const struct kn_run *run)
{
	if (run->interrupted)
		printf("\nInterrupted.\n");
}

static const struct kn_report text = {
	.name = "text",
	.begin = text_begin,
	.workload = text_workload,
	.end = text_end,
};

/* JSON, schema 1. */

static void json_begin(const struct kn_run *run)
{
	const char *comma = "";
	struct utsname system = {0};

	uname(&system);
	printf("{\n\"schema\": 1,\n\"version\": \"" KNUMA_VERSION_STRING
	       "\",\n\"system\": ");
	kn_json_string(stdout, system.release);
	printf(",\n\"machine\": ");
	kn_json_string(stdout, system.machine);
	printf(",\n\"cpus\": %ld,\n\"runs\": %u,\n\"quick\": %s,\n"
	       "\"libraries\": {",
	       sysconf(_SC_NPROCESSORS_ONLN), run->runs,
	       run->quick ? "true" : "false");
	for (unsigned i = 0; i < kn_nr_peers; i++) {
		if (!(KN_CALLS_OF_LOOPS & 1u << kn_peers[i].calls))
			continue;
		printf("%s\n\t\"%s\": ", comma, kn_peers[i].name);
		kn_json_optional(stdout, kn_peers[i].library);
		comma = ",";
	}
	printf("\n},\n\"workloads\": [");
}

static void json_row(const struct kn_result *r)
{
	printf("{\"allocator\": \"%s\", \"own\": %s, \"rounds\": %u",
	       r->peer->name, r->peer->own ? "true" : "false", r->nr_samples);
	for (unsigned c = 0; c < KN_NR_COLUMNS; c++) {
		printf(", \"%s\": ", columns[c].name);
		kn_json_number(stdout, r->value[c]);
	}
	printf(", \"failed\": ");
	kn_json_optional(stdout, r->why);
	putchar('}');
}

static void json_workload(const struct kn_run *run, const struct kn_workload *w,
			  const struct kn_result *results, unsigned n)
{
	printf("%s\n{\"name\": \"%s\", \"help\": \"%s\", \"rows\": [",
	       run->nr_written ? "," : "", w->name, w->help);
	for (unsigned i = 0; i < n; i++) {
		printf("%s\n\t", i ? "," : "");
		json_row(&results[i]);
	}
	printf("\n]}");
}

static void json_end(const struct kn_run *run)
{
	printf("\n],\n\"interrupted\": %s\n}\n",
	       run->interrupted ? "true" : "false");
}

static const struct kn_report json = {
	.name = "json",
	.begin = json_begin,
	.workload = json_workload,
	.end = json_end,
};

/* CSV, one table for all workloads. */

static void csv_begin(const struct kn_run *run)
{
	(void)run;
	printf("workload,allocator,rounds");
	for (unsigned c = 0; c < KN_NR_COLUMNS; c++)
		printf(",%s", columns[c].name);
	putchar('\n');
}

static void csv_workload(const struct kn_run *run, const struct kn_workload *w,
			 const struct kn_result *results, unsigned n)
{
	(void)run;
	for (unsigned i = 0; i < n; i++) {
		const struct kn_result *r = &results[i];

		printf("%s,%s,%u", w->name, r->peer->name, r->nr_samples);
		for (unsigned c = 0; c < KN_NR_COLUMNS; c++) {
			if (isnan(r->value[c]))
				putchar(',');
			else
				printf(",%.6g", r->value[c]);
		}
		putchar('\n');
	}
}

static void csv_end(const struct kn_run *run)
{
	(void)run;
}

static const struct kn_report csv = {
	.name = "csv",
	.begin = csv_begin,
	.workload = csv_workload,
	.end = csv_end,
};

const struct kn_report *const kn_reports[] = {&text, &json, &csv, NULL};
