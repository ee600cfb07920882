/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/plot.c - one plot of a measure, by gnuplot
 *
 * Points are medians, bars reach to the p99.
 */
#include <math.h>

#include "bench/numa/matrix.h"
#include "bench/plot.h"

enum {
	LABELS_FLAT = 16 /* more stand upright */
};

/* They are seen on white and on black. */
static const char *const colours[KN_MATRIX_PEERS] = {"#d95f0e", "#2b8cbe",
						     "#6f8f1f"};

#define LOG_RATIO 20.0 /* a wider range is drawn by logarithms */

/* A pair's number on the x axis counts those that are wanted. */
static int count_pairs(const struct kn_matrix *m, enum kn_measure_id id)
{
	const int nr = m->about.nodes.nr;
	int n = 0;

	for (int i = 0; i < nr * nr; i++)
		n += kn_matrix_cell(m, 0, i / nr, i % nr)->wanted >> id & 1;
	return n;
}

static bool write_labels(FILE *f, const struct kn_matrix *m,
			 enum kn_measure_id id)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const int n = count_pairs(m, id);
	int x = 0;

	fprintf(f, "set xrange [-0.6:%d.6]\nset xtics %s(", n - 1,
		n > LABELS_FLAT ? "rotate " : "");
	for (int i = 0; i < nodes->nr * nodes->nr; i++) {
		const int r = i / nodes->nr, c = i % nodes->nr;

		if (!(kn_matrix_cell(m, 0, r, c)->wanted >> id & 1))
			continue;
		fprintf(f, "%s\"%d>%d\" %d", x ? ", " : "", nodes->node[r].id,
			nodes->node[c].id, x);
		x++;
	}
	fputs(")\n", f);
	return n > 0;
}

/* Data of one allocator; returns how many points there are. */
static int write_points(FILE *f, const struct kn_matrix *m,
			enum kn_measure_id id, unsigned peer, double *least,
			double *most)
{
	const int nr = m->about.nodes.nr;
	int x = 0, points = 0;

	fprintf(f, "$p%u << END\n", peer);
	for (int i = 0; i < nr * nr; i++) {
		const struct kn_cell *c =
			kn_matrix_cell(m, peer, i / nr, i % nr);
		const struct kn_series *s = &c->series[id];

		if (!(c->wanted >> id & 1))
			continue;
		if (!isnan(s->median)) {
			const double low = fmin(s->median, s->p99);
			const double high = fmax(s->median, s->p99);

			fprintf(f, "%g %g %g %g\n",
				x + 0.2 * peer - 0.1 * (m->nr_peers - 1),
				s->median, low, high);
			*least = fmin(*least, low);
			*most = fmax(*most, high);
			points++;
		}
		x++;
	}
	fputs("END\n", f);
	return points;
}

/* False when there is nothing to draw. */
static bool write_script(FILE *f, const struct kn_matrix *m,
			 enum kn_measure_id id)
{
	double least = INFINITY, most = 0;
	const char *comma = "plot";
	int points[KN_MATRIX_PEERS], sum = 0;

	fprintf(f,
		"set terminal svg size 800,300 dynamic noenhanced "
		"font \"sans-serif,12\"\n"
		"set key outside top center horizontal\n"
		"set grid ytics\nset ylabel \"%s\"\n"
		"set xlabel \"row > column\"\n",
		kn_measure_unit(&kn_measures[id]));
	write_labels(f, m, id);
	for (unsigned p = 0; p < m->nr_peers; p++)
		sum += points[p] = write_points(f, m, id, p, &least, &most);
	fputs(most > least * LOG_RATIO ? "set logscale y\n" :
					 "set yrange [0:*]\n",
	      f);
	for (unsigned p = 0; p < m->nr_peers; p++) {
		if (!points[p])
			continue;
		fprintf(f,
			"%s $p%u with yerrorbars pointtype %u linecolor rgb "
			"\"%s\" title \"%s\"",
			comma, p, p * 2 + 5, colours[p],
			kn_matrix_peer(m->peer[p]));
		comma = ",";
	}
	fputc('\n', f);
	return sum > 0;
}

struct what {
	const struct kn_matrix *m;
	enum kn_measure_id id;
};

static bool script(FILE *f, const void *arg)
{
	const struct what *what = arg;

	return write_script(f, what->m, what->id);
}

bool kn_matrix_plot(FILE *f, const struct kn_matrix *m, enum kn_measure_id id)
{
	const struct what what = {m, id};

	return kn_plot(f, script, &what);
}
