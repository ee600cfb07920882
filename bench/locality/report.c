/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "bench/json.h"
#include "bench/locality/locality.h"

/* clang-format off */
static const struct {
	const char *name;
	const char *title;
	const char *help;
} phases[] = {
#define PHASE(name, title, help) {#name, title, help},
#include "bench/locality/phases.def"
#undef PHASE
};
/* clang-format on */

/* Text. */

static void text_row(FILE *f, const struct kn_locality_row *r)
{
	char cell[32];

	fprintf(f, "%-12s", r->peer->name);
	for (int k = 0; k < KN_NR_PHASES && r->nr_rounds; k++) {
		snprintf(cell, sizeof(cell), "%.1f (%.1f)", r->median[k],
			 r->worst[k]);
		fprintf(f, "%16s", cell);
	}
	if (r->why[0])
		fprintf(f, "  failed: %s", r->why);
	else if (!r->nr_rounds)
		fputs("  not measured", f);
	fputc('\n', f);
}

static void write_text(FILE *f, const struct kn_locality_table *t)
{
	kn_about_text(f, &t->about);
	if (!t->is_measurable)
		return;
	fprintf(f,
		"\nlocality: pages of fresh mallocs that lie on another node "
		"than their thread's;\npercent, median (worst) of %u rounds, "
		"%u threads on each node, %u KiB each\n",
		t->about.runs, t->threads, t->object_kib);
	for (int k = 0; k < KN_NR_PHASES; k++)
		fprintf(f, "%-12s %s\n", phases[k].title, phases[k].help);
	fprintf(f, "\n%-12s", "");
	for (int k = 0; k < KN_NR_PHASES; k++)
		fprintf(f, "%16s", phases[k].title);
	fputc('\n', f);
	for (unsigned i = 0; i < t->nr_rows; i++)
		text_row(f, &t->row[i]);
	if (t->about.interrupted)
		fputs("\nInterrupted.\n", f);
}

/* JSON, schema 1. */

static void json_row(FILE *f, const struct kn_locality_row *r)
{
	fprintf(f, "{\"allocator\": \"%s\", \"library\": ", r->peer->name);
	kn_json_optional(f, r->peer->path);
	fprintf(f, ", \"rounds\": %u, \"phases\": {", r->nr_rounds);
	for (int k = 0; k < KN_NR_PHASES; k++) {
		fprintf(f, "%s\"%s\": {\"pages\": %llu, ", k ? ", " : "",
			phases[k].name, (unsigned long long)r->pages[k]);
		fputs("\"off_node_percent\": ", f);
		kn_json_number(f, r->median[k]);
		fputs(", \"worst_percent\": ", f);
		kn_json_number(f, r->worst[k]);
		fputc('}', f);
	}
	fputs("}, \"failed\": ", f);
	kn_json_optional(f, r->why);
	fputc('}', f);
}

static void write_json(FILE *f, const struct kn_locality_table *t)
{
	fputs("{\n", f);
	kn_about_json(f, &t->about);
	fprintf(f,
		",\n\"measurable\": %s,\n\"threads_per_node\": %u,\n"
		"\"kib_per_thread\": %u,\n\"rows\": [",
		kn_json_bool(t->is_measurable), t->threads, t->object_kib);
	for (unsigned i = 0; i < t->nr_rows; i++) {
		fputs(i ? ",\n\t" : "\n\t", f);
		json_row(f, &t->row[i]);
	}
	fputs("\n]\n}\n", f);
}

/* CSV. */

static void csv_number(FILE *f, double value)
{
	fputc(',', f);
	if (!isnan(value))
		fprintf(f, "%.6g", value);
}

static void write_csv(FILE *f, const struct kn_locality_table *t)
{
	fputs("allocator,phase,rounds,pages,off_node_percent,worst_percent\n",
	      f);
	for (unsigned i = 0; i < t->nr_rows; i++)
		for (int k = 0; k < KN_NR_PHASES; k++) {
			const struct kn_locality_row *r = &t->row[i];

			fprintf(f, "%s,%s,%u,%llu", r->peer->name,
				phases[k].name, r->nr_rounds,
				(unsigned long long)r->pages[k]);
			csv_number(f, r->median[k]);
			csv_number(f, r->worst[k]);
			fputc('\n', f);
		}
}

void kn_locality_write(FILE *f, const struct kn_locality_table *t,
		       enum kn_format format)
{
	switch (format) {
	case KN_FORMAT_TEXT:
		write_text(f, t);
		break;
	case KN_FORMAT_JSON:
		write_json(f, t);
		break;
	case KN_FORMAT_CSV:
		write_csv(f, t);
		break;
	}
}
