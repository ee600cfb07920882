/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "bench/numa/matrix.h"

enum {
	CELL_LEN = 2 * KN_VALUE_LEN + 8,
	FIRST = 6 /* characters of the first column */
};

/* "12.3 (14.5)", or why there is none. */
static char *cell_text(char buf[CELL_LEN], const struct kn_series *s)
{
	char median[KN_VALUE_LEN], p99[KN_VALUE_LEN];

	if (isnan(s->median))
		return strcpy(buf, "-");
	snprintf(buf, CELL_LEN, "%s (%s)", kn_matrix_value(median, s->median),
		 kn_matrix_value(p99, s->p99));
	return buf;
}

/* Wide enough for every cell of the table. */
static int width_of(const struct kn_matrix *m, unsigned peer,
		    enum kn_measure_id id)
{
	const int nr = m->about.nodes.nr;
	char buf[CELL_LEN];
	int width = 4;

	for (int i = 0; i < nr * nr; i++) {
		const struct kn_cell *c =
			kn_matrix_cell(m, peer, i / nr, i % nr);
		const int n = (int)strlen(cell_text(buf, &c->series[id]));

		width = n > width ? n : width;
	}
	return width + 2;
}

static void write_table(FILE *f, const struct kn_matrix *m, unsigned peer,
			enum kn_measure_id id)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const int width = width_of(m, peer, id);
	char buf[CELL_LEN];

	fprintf(f, "%s: %s\n%*s", kn_matrix_peer(m->peer[peer]),
		kn_measures[id].calls[m->peer[peer]->calls], FIRST, "");
	for (int c = 0; c < nodes->nr; c++)
		if (kn_matrix_has_column(m, id, c))
			fprintf(f, "%*d", width, nodes->node[c].id);
	fputc('\n', f);
	for (int r = 0; r < nodes->nr; r++) {
		if (!kn_matrix_has_row(m, id, r))
			continue;
		fprintf(f, "%*d", FIRST, nodes->node[r].id);
		for (int c = 0; c < nodes->nr; c++)
			if (kn_matrix_has_column(m, id, c))
				fprintf(f, "%*s", width,
					cell_text(buf,
						  &kn_matrix_cell(m, peer, r, c)
							   ->series[id]));
		fputc('\n', f);
	}
}

static void write_distances(FILE *f, const struct kn_nodes *nodes)
{
	fprintf(f, "\ndistance, not measured: %s\n%*s",
		nodes->fake ? "made up" : "what the system says", FIRST, "");
	for (int c = 0; c < nodes->nr; c++)
		fprintf(f, "%6d", nodes->node[c].id);
	fputc('\n', f);
	for (int r = 0; r < nodes->nr; r++) {
		fprintf(f, "%*d", FIRST, nodes->node[r].id);
		for (int c = 0; c < nodes->nr; c++) {
			if (nodes->node[r].distance[c] < 0)
				fprintf(f, "%6s", "-");
			else
				fprintf(f, "%6d", nodes->node[r].distance[c]);
		}
		fputc('\n', f);
	}
}

static void write_failures(FILE *f, const struct kn_matrix *m)
{
	const struct kn_nodes *nodes = &m->about.nodes;

	for (unsigned p = 0; p < m->nr_peers; p++)
		for (int i = 0; i < nodes->nr * nodes->nr; i++) {
			const int r = i / nodes->nr, c = i % nodes->nr;
			const struct kn_cell *cell = kn_matrix_cell(m, p, r, c);

			if (cell->why[0])
				fprintf(f,
					"\nfailed: %s, CPU of node %d, "
					"memory of node %d: %s\n",
					kn_matrix_peer(m->peer[p]),
					nodes->node[r].id, nodes->node[c].id,
					cell->why);
		}
}

void kn_matrix_text(FILE *f, const struct kn_matrix *m)
{
	kn_about_text(f, &m->about);
	write_distances(f, &m->about.nodes);
	for (int id = 0; id < KN_NR_MEASURES; id++) {
		const struct kn_measure *measure = &kn_measures[id];

		fprintf(f,
			"\n%s: %s\n%s, median (p99); rows: node of the CPU, "
			"columns: %s\n",
			measure->title, measure->help, kn_measure_unit(measure),
			kn_measure_columns(measure));
		for (unsigned p = 0; p < m->nr_peers; p++)
			write_table(f, m, p, (enum kn_measure_id)id);
	}
	write_failures(f, m);
	if (m->about.interrupted)
		fputs("\nInterrupted.\n", f);
}
