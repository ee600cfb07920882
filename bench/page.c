/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/page.c - the page of --report: what others take beside knuma, then a
 * table for each workload
 */
#include <knuma/version.h>
#include <math.h>

#include "bench/html.h"
#include "bench/machine.h"
#include "bench/outputs.h"
#include "bench/plot.h"

enum {
	PLOT_WORKLOADS = 16, /* names below an axis that can be read */
	NR_COLOURS = 8
};

/* They are seen on white and on black. */
static const char *const colours[NR_COLOURS] = {"#7f7f7f", "#2b8cbe", "#6f8f1f",
						"#a855a8", "#c0392b", "#b8860b",
						"#4d7ea8", "#159a80"};

/* Some chapters, and a column of them. */
struct span {
	const struct kn_chapter *chapters;
	unsigned n;
	enum kn_column column;
};

static const struct kn_result *result_of(const struct kn_chapter *c,
					 const struct kn_peer *peer)
{
	for (unsigned i = 0; i < c->nr_results; i++)
		if (c->results[i].peer == peer && c->results[i].nr_samples)
			return &c->results[i];
	return NULL;
}

/* What @peer takes, with that of knuma as 1; NaN: not measured. */
static double beside_knuma(const struct kn_chapter *c,
			   const struct kn_peer *peer, enum kn_column column)
{
	const struct kn_result *own = kn_result_own(c->results, c->nr_results);
	const struct kn_result *r = result_of(c, peer);

	return own && r ? r->value[column] / own->value[column] : NAN;
}

static unsigned write_points(FILE *f, const struct span *s, unsigned peer)
{
	unsigned n = 0;

	fprintf(f, "$p%u << END\n", peer);
	for (unsigned i = 0; i < s->n; i++) {
		const double value = beside_knuma(&s->chapters[i],
						  &kn_peers[peer], s->column);

		if (isnan(value))
			continue;
		fprintf(f, "%u %g\n", i, value);
		n++;
	}
	fputs("END\n", f);
	return n;
}

static void write_head(FILE *f, const char *title)
{
	fprintf(f,
		"set terminal svg size 900,420 dynamic noenhanced "
		"font \"sans-serif,12\"\n"
		"set key outside top center horizontal\n"
		"set grid\nset logscale y\nset ylabel \"%s\"\n",
		title);
}

static bool ratio_script(FILE *f, const void *arg)
{
	const struct span *s = arg;
	const char *before = "plot 1 linecolor rgb \"#d95f0e\" linewidth 2 "
			     "title \"knuma\"";
	unsigned sum = 0;

	write_head(f, s->column == KN_COLUMN_cpu_ns ? "CPU time, knuma = 1" :
						      "peak RSS, knuma = 1");
	fprintf(f, "set xrange [-0.5:%u.5]\nset xtics rotate by -40 (",
		s->n - 1);
	for (unsigned i = 0; i < s->n; i++)
		fprintf(f, "%s\"%s\" %u", i ? ", " : "",
			s->chapters[i].workload->name, i);
	fputs(")\n", f);
	for (unsigned p = 0; p < kn_nr_peers; p++)
		if (!kn_peers[p].own)
			sum += write_points(f, s, p);
	fputs(before, f);
	for (unsigned p = 0, k = 0; p < kn_nr_peers; p++) {
		if (kn_peers[p].own || !kn_peers[p].path)
			continue;
		fprintf(f,
			", $p%u with points pointtype %u linecolor rgb "
			"\"%s\" title \"%s\"",
			p, 4 + k, colours[k % NR_COLOURS], kn_peers[p].name);
		k++;
	}
	fputc('\n', f);
	return sum > 0;
}

static const struct {
	enum kn_column column;
	const char *title;
} percentiles[KN_NR_LATENCIES] = {
	{KN_COLUMN_latency_p50_ns, "p50"},
	{KN_COLUMN_latency_p90_ns, "p90"},
	{KN_COLUMN_latency_p99_ns, "p99"},
	{KN_COLUMN_latency_p999_ns, "p99.9"},
	{KN_COLUMN_latency_p9999_ns, "p99.99"},
	{KN_COLUMN_latency_max_ns, "max"},
};

static bool has_latencies(const struct kn_chapter *c)
{
	return kn_loop_traits[c->workload->loop].text == KN_TEXT_LATENCY;
}

static bool latency_script(FILE *f, const void *arg)
{
	const struct kn_chapter *c = arg;
	const char *before = "plot ";

	write_head(f, "ns");
	fputs("set xrange [-0.5:5.5]\nset xtics (", f);
	for (int i = 0; i < KN_NR_LATENCIES; i++)
		fprintf(f, "%s\"%s\" %d", i ? ", " : "", percentiles[i].title,
			i);
	fputs(")\n", f);
	for (unsigned k = 0; k < c->nr_results; k++) {
		fprintf(f, "$p%u << END\n", k);
		for (int i = 0; c->results[k].nr_samples && i < KN_NR_LATENCIES;
		     i++)
			fprintf(f, "%d %g\n", i,
				c->results[k].value[percentiles[i].column]);
		fputs("END\n", f);
	}
	for (unsigned k = 0; k < c->nr_results; k++) {
		if (!c->results[k].nr_samples)
			continue;
		fprintf(f,
			"%s$p%u with linespoints pointtype %u linecolor rgb "
			"\"%s\" title \"%s\"",
			before, k, 4 + k, colours[k % NR_COLOURS],
			c->results[k].peer->name);
		before = ", ";
	}
	fputc('\n', f);
	return before[0] == ',';
}

static bool write_figure(FILE *f, const char *label,
			 bool (*script)(FILE *f, const void *arg),
			 const void *arg)
{
	bool drawn;

	fprintf(f, "<figure role=\"img\" aria-label=\"%s\">\n", label);
	drawn = kn_plot(f, script, arg);
	fputs("</figure>\n", f);
	return drawn;
}

/* False when a plot is missing. */
static bool write_overview(FILE *f, const struct kn_chapter *chapters,
			   unsigned n, enum kn_column column, const char *title)
{
	bool drawn = true;

	fprintf(f, "<h2>%s</h2>\n", title);
	for (unsigned i = 0; i < n && drawn; i += PLOT_WORKLOADS) {
		const struct span s = {chapters + i,
				       n - i < PLOT_WORKLOADS ? n - i :
								PLOT_WORKLOADS,
				       column};

		drawn = write_figure(f, title, ratio_script, &s);
	}
	return drawn;
}

static void write_value(FILE *f, const struct kn_workload *w, int c,
			double value)
{
	const struct kn_column_traits *column = kn_column((enum kn_column)c);

	if (isnan(value))
		fputs("<td>-</td>", f);
	else if (column->kind == KN_KIND_OF_TIME)
		fprintf(f, "<td>%.4g</td>", value / kn_units[w->unit].ns);
	else
		fprintf(f, "<td>%.3g</td>", value);
}

static void write_row(FILE *f, const struct kn_workload *w,
		      const struct kn_result *r)
{
	fprintf(f, "<tr><th scope=\"row\">%s</th>", r->peer->name);
	for (int c = 0; c < KN_NR_COLUMNS; c++)
		if (kn_column_is_shown((enum kn_column)c, w))
			write_value(f, w, c, r->nr_samples ? r->value[c] : NAN);
	fputs("<td>", f);
	kn_html_escaped(f, r->why);
	fputs("</td></tr>\n", f);
}

static void write_chapter(FILE *f, const struct kn_chapter *c)
{
	const struct kn_workload *w = c->workload;

	fprintf(f, "<h3 id=\"%s\">%s</h3>\n<p>", w->name, w->name);
	kn_html_escaped(f, w->help);
	fprintf(f,
		"; %u rounds; times in %s, memory in MiB.</p>\n"
		"<div class=\"maps\"><table>\n<tr><th></th>",
		kn_rounds_of(c->results, c->nr_results),
		kn_units[w->unit].name);
	for (int i = 0; i < KN_NR_COLUMNS; i++)
		if (kn_column_is_shown((enum kn_column)i, w))
			fprintf(f, "<th scope=\"col\" title=\"%s\">%s</th>",
				kn_column((enum kn_column)i)->help,
				kn_column((enum kn_column)i)->title);
	fputs("<th></th></tr>\n", f);
	for (unsigned i = 0; i < c->nr_results; i++)
		write_row(f, w, &c->results[i]);
	fputs("</table></div>\n", f);
}

static void write_about(FILE *f, const struct kn_run *run)
{
	struct kn_machine machine;
	const char *before = " Not installed: ";

	kn_machine_read(&machine);
	fprintf(f, "<p>knuma %s on ", KNUMA_VERSION_STRING);
	kn_html_escaped(f, machine.system);
	fputs(", ", f);
	kn_html_escaped(f, machine.cpu);
	if (machine.hypervisor[0]) {
		fputs(", under ", f);
		kn_html_escaped(f, machine.hypervisor);
	}
	fprintf(f,
		"; --runs=%u. Each round is a process of its own; the "
		"allocators take turns. Compare figures of this page with each "
		"other only, and ratios rather than figures.",
		run->runs);
	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (KN_CALLS_OF_LOOPS & 1u << kn_peers[i].calls &&
		    kn_peers[i].missing) {
			fprintf(f, "%s%s", before, kn_peers[i].name);
			before = ", ";
		}
	if (before[0] == ',')
		fputc('.', f);
	if (run->quick)
		fputs(" <strong>Quick: a trial, no measurement.</strong>", f);
	if (run->interrupted)
		fputs(" <strong>Interrupted: the last workload has fewer "
		      "rounds, others were not measured.</strong>",
		      f);
	fputs("</p>\n", f);
}

void kn_page_write(FILE *f, const struct kn_run *run,
		   const struct kn_chapter *chapters, unsigned n)
{
	bool drawn;

	kn_html_begin(f, "knuma bench", "Allocators against knuma");
	write_about(f, run);
	drawn = write_overview(f, chapters, n, KN_COLUMN_cpu_ns, "CPU time") &&
		write_overview(f, chapters, n, KN_COLUMN_rss_peak_mib,
			       "Peak of resident memory");
	for (unsigned i = 0; i < n && drawn; i++)
		if (has_latencies(&chapters[i])) {
			fprintf(f, "<h2>Latencies of %s</h2>\n",
				chapters[i].workload->name);
			drawn = write_figure(f, "latencies", latency_script,
					     &chapters[i]);
		}
	if (!drawn)
		fputs("<p>No plots, or not all: gnuplot is not installed, "
		      "could not draw, or there is nothing to compare. The "
		      "tables have all figures.</p>\n",
		      f);
	fputs("<h2>Figures</h2>\n", f);
	for (unsigned i = 0; i < n; i++)
		write_chapter(f, &chapters[i]);
	kn_html_end(f);
}
