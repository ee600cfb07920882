/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/html.c - the page: one file, no script, nothing from elsewhere
 *
 * A heat map is a table whose cells hold their values; the colour is a share of
 * one tint over whatever the reader's background is, light or dark, so the text
 * stays readable, and it is never the only sign.
 */
#include <knuma/version.h>
#include <math.h>
#include <string.h>

#include "bench/html.h"
#include "bench/numa/matrix.h"

/* Cells that differ by less are drawn alike: that much is noise. */
#define ALIKE 1.1

/* As kn_matrix_value(), with thin spaces between thousands. */
static void write_value(FILE *f, double value)
{
	char digits[KN_VALUE_LEN];
	const char *d = kn_matrix_value(digits, value);
	size_t before = strspn(d, "0123456789");

	for (; *d; d++) {
		fputc(*d, f);
		if (before > 0 && --before > 0 && before % 3 == 0)
			fputs("&#8239;", f);
	}
}

static void write_nodes(FILE *f, const struct kn_nodes *nodes)
{
	char list[KN_IDS_LEN];

	for (int i = 0; i < nodes->nr; i++) {
		const struct kn_node *node = &nodes->node[i];

		fprintf(f, "%snode %d (%s%s, ", i ? ", " : "", node->id,
			kn_node_has_cpus(node) ? "CPUs " : "no CPU",
			kn_ids_print(&node->cpus, list, sizeof(list)));
		if (node->free_bytes)
			fprintf(f, "%llu MiB free)",
				(unsigned long long)node->free_bytes >> 20);
		else
			fprintf(f, "%s)",
				node->has_memory ? "memory" : "no memory");
	}
}

/* Machine, kernel, nodes, what was measured and what was not. */
static void write_about(FILE *f, const struct kn_matrix *m)
{
	const struct kn_about *a = &m->about;

	fprintf(f, "<p>knuma %s on ", KNUMA_VERSION_STRING);
	kn_html_escaped(f, a->machine.system);
	fputs(", ", f);
	kn_html_escaped(f, a->machine.cpu);
	if (a->machine.hypervisor[0]) {
		fputs(", under ", f);
		kn_html_escaped(f, a->machine.hypervisor);
	}
	fprintf(f, ", %d node%s: ", a->nodes.nr, a->nodes.nr > 1 ? "s" : "");
	write_nodes(f, &a->nodes);
	fputs(". Measured: ", f);
	for (unsigned p = 0; p < m->nr_peers; p++)
		fprintf(f, "%s%s", p ? ", " : "", kn_matrix_peer(m->peer[p]));
	fprintf(f, "; %u round%s of each cell; a buffer of %zu MiB.", a->runs,
		a->runs > 1 ? "s" : "", m->buffer_bytes >> 20);
	for (unsigned i = 0; i < a->nr_notes; i++) {
		fputs(" <strong>", f);
		kn_html_escaped(f, a->note[i]);
		fputs("</strong>", f);
	}
	if (a->interrupted)
		fputs(" <strong>Interrupted: cells without a value were not "
		      "measured, others have fewer rounds.</strong>",
		      f);
	fputs("</p>\n", f);
}

static void write_legend(FILE *f)
{
	fputs("<p>Each cell has the median and, small, the p99: 99 of 100 "
	      "batches of operations were at least as fast. The deeper the "
	      "colour, the worse the cell is beside the best one of the same "
	      "table; cells within 10&nbsp;% of each other have no colour. The "
	      "outlined cells are those of the CPUs' own node. Compare figures "
	      "of this page with each other only.</p>\n",
	      f);
}

/* The medians between which the colour goes. */
struct scale {
	double best, worst;
};

static struct scale scale_of(const struct kn_matrix *m, unsigned peer,
			     enum kn_measure_id id)
{
	const int nr = m->about.nodes.nr;
	struct scale s = {NAN, NAN};

	for (int i = 0; i < nr * nr; i++) {
		const double v = kn_matrix_cell(m, peer, i / nr, i % nr)
					 ->series[id]
					 .median;

		/* fmin and fmax pass over NaN. */
		s.best = fmin(s.best, v);
		s.worst = fmax(s.worst, v);
	}
	if (kn_measures[id].unit == KN_MEASURE_GBS)
		return (struct scale){s.worst, s.best};
	return s;
}

static bool is_flat(const struct scale *s)
{
	return fmax(s->best, s->worst) <= ALIKE * fmin(s->best, s->worst);
}

static void write_cell(FILE *f, const struct kn_matrix *m, unsigned peer,
		       enum kn_measure_id id, int r, int c,
		       const struct scale *scale)
{
	const struct kn_series *s = &kn_matrix_cell(m, peer, r, c)->series[id];
	const double heat = is_flat(scale) ?
				    0 :
				    (s->median - scale->best) /
					    (scale->worst - scale->best);

	if (isnan(s->median)) {
		fputs("<td>-</td>", f);
		return;
	}
	fprintf(f, "<td%s style=\"--heat:%.2f\" title=\"%u samples\">",
		r == c ? " class=\"own\"" : "", heat, s->nr);
	write_value(f, s->median);
	fputs("<br><small>", f);
	write_value(f, s->p99);
	fputs("</small></td>", f);
}

/* What the ends of the colour mean; nothing for a single cell. */
static void write_scale(FILE *f, const struct scale *s, const char *unit)
{
	if (s->best == s->worst)
		return;
	fputs("<p class=\"scale\">", f);
	if (isnan(s->best)) {
		fputs("not measured</p>\n", f);
		return;
	}
	fputs(is_flat(s) ? "all alike: " : "no colour: ", f);
	write_value(f, s->best);
	fprintf(f, "&nbsp;%s%s", unit, is_flat(s) ? " to " : "; deepest: ");
	write_value(f, s->worst);
	fprintf(f, "&nbsp;%s</p>\n", unit);
}

static void write_map(FILE *f, const struct kn_matrix *m, unsigned peer,
		      enum kn_measure_id id)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const struct scale scale = scale_of(m, peer, id);
	const char *unit = kn_measure_unit(&kn_measures[id]);

	fprintf(f, "<div><table><caption>%s, %s<br><small>",
		kn_matrix_peer(m->peer[peer]), unit);
	kn_html_escaped(f, kn_measures[id].calls[m->peer[peer]->calls]);
	fputs("</small></caption>\n<tr><th scope=\"col\">CPU \\ ", f);
	fputs(kn_measures[id].kind == KN_KIND_REMOTE ? "free" : "memory", f);
	fputs("</th>", f);
	for (int c = 0; c < nodes->nr; c++)
		if (kn_matrix_has_column(m, id, c))
			fprintf(f, "<th scope=\"col\">%d</th>",
				nodes->node[c].id);
	fputs("</tr>\n", f);
	for (int r = 0; r < nodes->nr; r++) {
		if (!kn_matrix_has_row(m, id, r))
			continue;
		fprintf(f, "<tr><th scope=\"row\">%d</th>", nodes->node[r].id);
		for (int c = 0; c < nodes->nr; c++)
			if (kn_matrix_has_column(m, id, c))
				write_cell(f, m, peer, id, r, c, &scale);
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
	write_scale(f, &scale, unit);
	fputs("</div>\n", f);
}

/* Returns whether there is a plot. */
static bool write_measure(FILE *f, const struct kn_matrix *m,
			  enum kn_measure_id id, bool has_plots)
{
	const struct kn_measure *measure = &kn_measures[id];

	fprintf(f, "<h2 id=\"%s\">%c%s, %s</h2>\n<p>", measure->name,
		measure->title[0] >= 'a' && measure->title[0] <= 'z' ?
			measure->title[0] - 'a' + 'A' :
			measure->title[0],
		measure->title + 1, kn_measure_unit(measure));
	kn_html_escaped(f, measure->help);
	fprintf(f,
		". Rows: node of the CPU. Columns: %s. %s is better.</p>\n"
		"<div class=\"maps\">\n",
		kn_measure_columns(measure),
		measure->unit == KN_MEASURE_GBS ? "More" : "Less");
	for (unsigned p = 0; p < m->nr_peers; p++)
		write_map(f, m, p, id);
	fputs("</div>\n", f);
	if (!has_plots)
		return false;
	fprintf(f,
		"<figure role=\"img\" aria-label=\"%s of each pair of nodes, "
		"median and p99\">\n",
		measure->title);
	has_plots = kn_matrix_plot(f, m, id);
	fputs("</figure>\n", f);
	return has_plots;
}

static void write_distances(FILE *f, const struct kn_nodes *nodes)
{
	fprintf(f,
		"<h2 id=\"distance\">Distance</h2>\n<p>Not measured: %s; 10 "
		"is within a node.</p>\n<table>\n<tr><th></th>",
		nodes->fake ? "made up" : "what the system says");
	for (int c = 0; c < nodes->nr; c++)
		fprintf(f, "<th scope=\"col\">%d</th>", nodes->node[c].id);
	fputs("</tr>\n", f);
	for (int r = 0; r < nodes->nr; r++) {
		fprintf(f, "<tr><th scope=\"row\">%d</th>", nodes->node[r].id);
		for (int c = 0; c < nodes->nr; c++) {
			if (nodes->node[r].distance[c] < 0)
				fputs("<td>-</td>", f);
			else
				fprintf(f, "<td>%d</td>",
					nodes->node[r].distance[c]);
		}
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

static void write_failures(FILE *f, const struct kn_matrix *m)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const char *before = "<h2 id=\"failed\">Failed</h2>\n<ul>\n";
	const char *after = "";

	for (unsigned p = 0; p < m->nr_peers; p++)
		for (int i = 0; i < nodes->nr * nodes->nr; i++) {
			const int r = i / nodes->nr, c = i % nodes->nr;
			const struct kn_cell *cell = kn_matrix_cell(m, p, r, c);

			if (!cell->why[0])
				continue;
			fprintf(f,
				"%s<li>%s, CPU of node %d, memory of node "
				"%d: ",
				before, kn_matrix_peer(m->peer[p]),
				nodes->node[r].id, nodes->node[c].id);
			kn_html_escaped(f, cell->why);
			fputs("</li>\n", f);
			before = "";
			after = "</ul>\n";
		}
	fputs(after, f);
}

void kn_matrix_html(FILE *f, const struct kn_matrix *m)
{
	bool has_plots = true;

	kn_html_begin(f, "knuma bench numa", "Nodes against nodes");
	write_about(f, m);
	write_legend(f);
	for (int id = 0; id < KN_NR_MEASURES; id++)
		has_plots =
			write_measure(f, m, (enum kn_measure_id)id, has_plots);
	if (!has_plots)
		fputs("<p>No plots: gnuplot is not installed, or could not "
		      "draw. The tables have all figures.</p>\n",
		      f);
	write_distances(f, &m->about.nodes);
	write_failures(f, m);
	kn_html_end(f);
}
