/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, schema 1. */
#include "bench/json.h"

#include <math.h>

#include "bench/numa/matrix.h"

static void write_series(FILE *f, const struct kn_series *s)
{
	fprintf(f, "\"samples\": %u, \"median\": ", s->nr);
	kn_json_number(f, s->median);
	fputs(", \"p99\": ", f);
	kn_json_number(f, s->p99);
}

/* Pages are those of the buffer: null for what has none. */
static void write_pages(FILE *f, const struct kn_matrix *m,
			const struct kn_cell *c, enum kn_measure_id id)
{
	const bool known = kn_measures[id].size_bytes == 0 && c->pages &&
			   !m->about.nodes.fake;
	const double bytes = (double)m->buffer_bytes * c->rounds;

	fputs(", \"off_node_percent\": ", f);
	kn_json_number(f,
		       known ? 100.0 * (double)c->off_node / (double)c->pages :
			       NAN);
	fputs(", \"huge_percent\": ", f);
	kn_json_number(f, known ? 100.0 * (double)c->huge_bytes / bytes : NAN);
}

static void write_cells(FILE *f, const struct kn_matrix *m,
			enum kn_measure_id id)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const char *comma = "";

	for (unsigned p = 0; p < m->nr_peers; p++)
		for (int i = 0; i < nodes->nr * nodes->nr; i++) {
			const int r = i / nodes->nr, k = i % nodes->nr;
			const struct kn_cell *c = kn_matrix_cell(m, p, r, k);

			if (!(c->wanted & 1u << id))
				continue;
			fprintf(f,
				"%s\n\t{\"allocator\": \"%s\", \"row\": %d, "
				"\"column\": %d, ",
				comma, kn_matrix_peer(m->peer[p]),
				nodes->node[r].id, nodes->node[k].id);
			write_series(f, &c->series[id]);
			write_pages(f, m, c, id);
			fputs(", \"failed\": ", f);
			kn_json_optional(f, c->why);
			fputc('}', f);
			comma = ",";
		}
}

static void write_measure(FILE *f, const struct kn_matrix *m,
			  enum kn_measure_id id)
{
	const struct kn_measure *measure = &kn_measures[id];

	fprintf(f,
		"{\"name\": \"%s\", \"title\": \"%s\", \"help\": \"%s\", "
		"\"unit\": \"%s\", \"batch\": %u, \"columns\": \"%s\", "
		"\"calls\": {",
		measure->name, measure->title, measure->help,
		kn_measure_unit(measure), measure->batch,
		kn_measure_columns(measure));
	for (unsigned p = 0; p < m->nr_peers; p++)
		fprintf(f, "%s\"%s\": \"%s\"", p ? ", " : "",
			kn_matrix_peer(m->peer[p]),
			measure->calls[m->peer[p]->calls]);
	fputs("}, \"cells\": [", f);
	write_cells(f, m, id);
	fputs("\n]}", f);
}

void kn_matrix_json(FILE *f, const struct kn_matrix *m)
{
	fputs("{\n", f);
	kn_about_json(f, &m->about);
	fprintf(f,
		",\n\"one_node\": %s,\n\"buffer_bytes\": %zu,\n"
		"\"libraries\": {",
		kn_json_bool(m->is_one_node), m->buffer_bytes);
	for (unsigned p = 0; p < m->nr_peers; p++) {
		fprintf(f, "%s\n\t\"%s\": ", p ? "," : "",
			kn_matrix_peer(m->peer[p]));
		kn_json_optional(f, m->peer[p]->path);
	}
	fputs("\n},\n\"measures\": [", f);
	for (int id = 0; id < KN_NR_MEASURES; id++) {
		fputs(id ? ",\n" : "\n", f);
		write_measure(f, m, (enum kn_measure_id)id);
	}
	fputs("\n]\n}\n", f);
}
