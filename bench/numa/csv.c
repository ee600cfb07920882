/* SPDX-License-Identifier: Apache-2.0 */
/* CSV: one row for each cell of each measure, all of them measured or not. */
#include <math.h>

#include "bench/numa/matrix.h"

static void write_number(FILE *f, double value)
{
	fputc(',', f);
	if (!isnan(value))
		fprintf(f, "%.6g", value);
}

/* What a reader of one row alone must know. */
static const char *remark(const struct kn_matrix *m)
{
	if (m->about.nodes.fake)
		return "fake nodes";
	if (m->about.machine.emulated)
		return "emulated machine";
	return m->is_one_node ? "one node" : "";
}

static void write_row(FILE *f, const struct kn_matrix *m, unsigned peer,
		      enum kn_measure_id id, int row, int column)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const struct kn_cell *c = kn_matrix_cell(m, peer, row, column);
	const int distance = nodes->node[row].distance[column];

	if (!(c->wanted & 1u << id))
		return;
	fprintf(f, "%s,%s,%s,%d,%d,", kn_measures[id].name,
		kn_measure_unit(&kn_measures[id]),
		kn_matrix_peer(m->peer[peer]), nodes->node[row].id,
		nodes->node[column].id);
	if (distance >= 0)
		fprintf(f, "%d", distance);
	fprintf(f, ",%u", c->series[id].nr);
	write_number(f, c->series[id].median);
	write_number(f, c->series[id].p99);
	fprintf(f, ",%s,%s\n", c->why[0] ? "yes" : "no", remark(m));
}

void kn_matrix_csv(FILE *f, const struct kn_matrix *m)
{
	const int nr = m->about.nodes.nr;

	fputs("measure,unit,allocator,row,column,distance,samples,median,p99,"
	      "failed,remark\n",
	      f);
	for (int id = 0; id < KN_NR_MEASURES; id++)
		for (unsigned p = 0; p < m->nr_peers; p++)
			for (int i = 0; i < nr * nr; i++)
				write_row(f, m, p, (enum kn_measure_id)id,
					  i / nr, i % nr);
}
