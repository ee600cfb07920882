/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/plot.c - one plot of a measure, by gnuplot
 *
 * Points are medians, bars reach to the p99.  The script goes through a file in
 * memory, the picture comes back through standard output.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/numa/matrix.h"

enum {
	SVG_MAX = 4 << 20,
	LABELS_FLAT = 16, /* more stand upright */
	TIMEOUT_S = 60
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

/* The script as a file that a child can open; negative without it. */
static int make_script(const struct kn_matrix *m, enum kn_measure_id id)
{
	const int fd = memfd_create("knuma-plot", 0);
	FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "w");
	bool done = false;

	if (f) {
		done = write_script(f, m, id);
		done &= !fclose(f);
	}
	if (done)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool draw(int script, char *svg, size_t size)
{
	char path[32], why[KN_WHY_LEN];
	const char *argv[] = {"gnuplot", path, NULL};
	const struct kn_command command = {
		.path = argv[0],
		.argv = argv,
		.quiet = true,
		.timeout_s = TIMEOUT_S,
	};
	size_t len;

	snprintf(path, sizeof(path), "/dev/fd/%d", script);
	if (!kn_process_run(&command, svg, size - 1, &len, why))
		return false;
	svg[len] = '\0';
	return len < size - 1;
}

bool kn_matrix_plot(FILE *f, const struct kn_matrix *m, enum kn_measure_id id)
{
	const int script = make_script(m, id);
	char *svg = malloc(SVG_MAX);
	const char *begin = NULL;

	if (script >= 0 && svg && draw(script, svg, SVG_MAX))
		begin = strstr(svg, "<svg");
	if (begin)
		fputs(begin, f);
	if (script >= 0)
		close(script);
	free(svg);
	return begin;
}
