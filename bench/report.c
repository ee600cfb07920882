/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/report.h"

#include <knuma/version.h>
#include <math.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/json.h"

/* clang-format off */
static const struct kn_column_traits columns[] = {
#define COLUMN(name, title, width, kind, text, help) \
	{#name, title, help, width, KN_KIND_OF_##kind, KN_TEXT_##text},
#include "bench/columns.def"
#undef COLUMN
};
/* clang-format on */

const struct kn_unit_traits kn_units[] = {
	[KN_UNIT_NS] = {"ns", 1},
	[KN_UNIT_US] = {"us", 1e3},
	[KN_UNIT_MS] = {"ms", 1e6},
};

/* Text. */

bool kn_column_is_shown(enum kn_column c, const struct kn_workload *w)
{
	return columns[c].text == KN_TEXT_SHOWN ||
	       columns[c].text == kn_loop_traits[w->loop].text;
}

static void text_begin(FILE *f, const struct kn_run *run)
{
	struct utsname system = {0};

	uname(&system);
	fprintf(f,
		"knuma %s on Linux %s, %ld CPUs%s\n"
		"CPU     median CPU time of one operation; wall: by the clock\n"
		"/best   CPU time to that of the fastest that is not knuma\n"
		"knuma/  CPU time of knuma to that of this row\n"
		"peak    the largest RSS, in MiB\n"
		"t99     what 99 of 100 single calls do not exceed, and so on\n",
		KNUMA_VERSION_STRING, system.release,
		sysconf(_SC_NPROCESSORS_ONLN),
		run->quick ? "; quick: a trial, no measurement" : "");
}

/* After the point: four figures in all, or two digits. */
static int digits(double value)
{
	return fabs(value) < 100 ? 2 : fabs(value) < 1000 ? 1 : 0;
}

static void text_value(FILE *f, const struct kn_workload *w, int c,
		       double value)
{
	const int width = columns[c].width;

	if (isnan(value))
		fprintf(f, "%*s", width, "-");
	else if (columns[c].kind == KN_KIND_OF_TIME)
		fprintf(f, "%*.*f", width, digits(value / kn_units[w->unit].ns),
			value / kn_units[w->unit].ns);
	else if (columns[c].kind == KN_KIND_OF_MIB)
		fprintf(f, "%*.1f", width, value);
	else
		fprintf(f, "%*.3g", width, value);
}

static void text_row(FILE *f, const struct kn_workload *w,
		     const struct kn_result *r)
{
	fprintf(f, "%-17s", r->peer->name);
	for (int c = 0; c < KN_NR_COLUMNS && r->nr_samples; c++)
		if (kn_column_is_shown((enum kn_column)c, w))
			text_value(f, w, c, r->value[c]);
	if (r->why[0])
		fprintf(f, "  failed: %s", r->why);
	else if (!r->nr_samples)
		fprintf(f, "  not measured");
	fputc('\n', f);
}

/* "CPU 0.87 (-1.20)" */
static void text_against(FILE *f, const struct kn_workload *w, enum kn_column c,
			 const struct kn_result *own,
			 const struct kn_result *base)
{
	const double a = own->value[c], b = base->value[c];
	const double unit =
		columns[c].kind == KN_KIND_OF_TIME ? kn_units[w->unit].ns : 1;

	if (!isnan(a) && !isnan(b))
		fprintf(f, ", %s %.3g (%+.*f)", columns[c].title, a / b,
			digits((a - b) / unit), (a - b) / unit);
}

static void text_last_line(FILE *f, const struct kn_workload *w,
			   const struct kn_result *results, unsigned n)
{
	const struct kn_result *own = kn_result_own(results, n);
	const struct kn_result *base = kn_result_base(w, results, n);

	if (!own || !base)
		return;
	fprintf(f, "%s to %s", own->peer->name, base->peer->name);
	text_against(f, w, KN_COLUMN_cpu_ns, own, base);
	text_against(f, w, KN_COLUMN_wall_ns, own, base);
	text_against(f, w, KN_COLUMN_rss_peak_mib, own, base);
	fputc('\n', f);
}

/* What a library of --config=counts has counted; zeros are left out. */
static void text_counts(FILE *f, const struct kn_result *r)
{
	const char *before = "";

	if (!r->counted.nr)
		return;
	fprintf(f, "%s, for 1,000 operations: ", r->peer->name);
	for (unsigned i = 0; i < r->counted.nr; i++) {
		if (!(r->per_1000[i] > 0))
			continue;
		fprintf(f, "%s%s %.3g", before, r->counted.name[i],
			r->per_1000[i]);
		before = ", ";
	}
	fputs(*before ? "\n" : "nothing counted\n", f);
}

static void text_workload(FILE *f, const struct kn_run *run,
			  const struct kn_workload *w,
			  const struct kn_result *results, unsigned n)
{
	(void)run;
	fprintf(f, "\n%s: %s; %s, %u rounds\n%-17s", w->name, w->help,
		kn_units[w->unit].name, kn_rounds_of(results, n), "");
	for (int c = 0; c < KN_NR_COLUMNS; c++)
		if (kn_column_is_shown((enum kn_column)c, w))
			fprintf(f, "%*s", columns[c].width, columns[c].title);
	fputc('\n', f);
	for (unsigned i = 0; i < n; i++)
		text_row(f, w, &results[i]);
	for (unsigned i = 0; i < n; i++)
		text_counts(f, &results[i]);
	text_last_line(f, w, results, n);
}

static void text_end(FILE *f, const struct kn_run *run)
{
	if (run->interrupted)
		fprintf(f, "\nInterrupted.\n");
}

static const struct kn_report text = {
	.name = "text",
	.file = "bench.txt",
	.begin = text_begin,
	.workload = text_workload,
	.end = text_end,
};

/* JSON, schema 1. */

static void json_begin(FILE *f, const struct kn_run *run)
{
	const char *comma = "";
	struct utsname system = {0};

	uname(&system);
	fprintf(f, "{\n\"schema\": 1,\n\"version\": \"" KNUMA_VERSION_STRING
		   "\",\n\"system\": ");
	kn_json_string(f, system.release);
	fprintf(f, ",\n\"machine\": ");
	kn_json_string(f, system.machine);
	fprintf(f,
		",\n\"cpus\": %ld,\n\"runs\": %u,\n\"quick\": %s,\n"
		"\"libraries\": {",
		sysconf(_SC_NPROCESSORS_ONLN), run->runs,
		run->quick ? "true" : "false");
	for (unsigned i = 0; i < kn_nr_peers; i++) {
		if (!(KN_CALLS_OF_LOOPS & 1u << kn_peers[i].calls))
			continue;
		fprintf(f, "%s\n\t\"%s\": ", comma, kn_peers[i].name);
		kn_json_optional(f, kn_peers[i].path);
		comma = ",";
	}
	fprintf(f, "\n},\n\"workloads\": [");
}

/* Only where the library counts. */
static void json_counts(FILE *f, const struct kn_result *r)
{
	if (!r->counted.nr)
		return;
	fprintf(f, ", \"counts_per_1000\": {");
	for (unsigned i = 0; i < r->counted.nr; i++) {
		fprintf(f, "%s\"%s\": ", i ? ", " : "", r->counted.name[i]);
		kn_json_number(f, r->per_1000[i]);
	}
	fputc('}', f);
}

static void json_row(FILE *f, const struct kn_result *r)
{
	fprintf(f, "{\"allocator\": \"%s\", \"own\": %s, \"rounds\": %u",
		r->peer->name, r->peer->own ? "true" : "false", r->nr_samples);
	for (int c = 0; c < KN_NR_COLUMNS; c++) {
		fprintf(f, ", \"%s\": ", columns[c].name);
		kn_json_number(f, r->value[c]);
	}
	json_counts(f, r);
	fprintf(f, ", \"failed\": ");
	kn_json_optional(f, r->why);
	fputc('}', f);
}

static void json_workload(FILE *f, const struct kn_run *run,
			  const struct kn_workload *w,
			  const struct kn_result *results, unsigned n)
{
	fprintf(f, "%s\n{\"name\": \"%s\", \"help\": \"%s\", \"rows\": [",
		run->nr_written ? "," : "", w->name, w->help);
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "%s\n\t", i ? "," : "");
		json_row(f, &results[i]);
	}
	fprintf(f, "\n]}");
}

static void json_end(FILE *f, const struct kn_run *run)
{
	fprintf(f, "\n],\n\"interrupted\": %s\n}\n",
		run->interrupted ? "true" : "false");
}

static const struct kn_report json = {
	.name = "json",
	.file = "bench.json",
	.begin = json_begin,
	.workload = json_workload,
	.end = json_end,
};

/* CSV, one table for all workloads. */

static void csv_begin(FILE *f, const struct kn_run *run)
{
	(void)run;
	fprintf(f, "workload,allocator,rounds");
	for (int c = 0; c < KN_NR_COLUMNS; c++)
		fprintf(f, ",%s", columns[c].name);
	fputc('\n', f);
}

static void csv_workload(FILE *f, const struct kn_run *run,
			 const struct kn_workload *w,
			 const struct kn_result *results, unsigned n)
{
	(void)run;
	for (unsigned i = 0; i < n; i++) {
		const struct kn_result *r = &results[i];

		fprintf(f, "%s,%s,%u", w->name, r->peer->name, r->nr_samples);
		for (int c = 0; c < KN_NR_COLUMNS; c++) {
			if (isnan(r->value[c]))
				fputc(',', f);
			else
				fprintf(f, ",%.6g", r->value[c]);
		}
		fputc('\n', f);
	}
}

static void csv_end(FILE *f, const struct kn_run *run)
{
	(void)f;
	(void)run;
}

static const struct kn_report csv = {
	.name = "csv",
	.file = "bench.csv",
	.begin = csv_begin,
	.workload = csv_workload,
	.end = csv_end,
};

const struct kn_report *const kn_reports[] = {&text, &json, &csv, NULL};

const struct kn_column_traits *kn_column(enum kn_column c)
{
	return &columns[c];
}
