/* SPDX-License-Identifier: Apache-2.0 */
/* bench/numa/main.c - the options, the cells of all rounds, the files */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/numa/matrix.h"
#include "bench/progress.h"
#include "bench/sample.h"
#include "bench/summary.h"

enum {
	RUNS = 7,
	RUNS_QUICK = 1,
	MEASURE_MS = 20,
	MEASURE_MS_QUICK = 2,
	TIMEOUT_S = 300,
	STRAY_PERCENT = 1 /* of a buffer, on another node: not this pair's */
};

#define MIB ((size_t)1 << 20)

static const char help[] =
	"Usage: knuma bench numa [OPTION...]\n"
	"Measures the CPUs of each node against the memory of each node: what\n"
	"memory of a node costs to get and to free, how long a load takes, how\n"
	"much can be read and copied.  The rows are knuma, libnuma and memkind.\n"
	"\n"
	"      --nodes=LIST           these nodes only, such as 0-1,3\n"
	"  -o, --output=FORMAT        text (default), json or csv\n"
	"      --progress             lines on standard error without a\n"
	"                             terminal too\n"
	"      --quick                one short round: a trial, no measurement\n"
	"      --report=DIR           write numa.html, numa.txt, numa.csv and\n"
	"                             numa.json into DIR, which is made\n"
	"      --runs=N               rounds of each cell, 1 to 1000, default 7\n"
	"      --help                 print this help and end\n"
	"      --version              print the version and end\n"
	"\n"
	"Each round of each cell and allocator is a process of its own; they\n"
	"take turns.  A sample is a batch of operations, so the p99 is that of\n"
	"batches.  The page of --report is one file, with plots when gnuplot is\n"
	"installed.  On a machine with one node there is one cell, and it is\n"
	"said that the matrix was not measured.\n"
	"\n"
	"libnuma prefers the node (numa_set_bind_policy), as knuma does.\n"
	"memkind has no call that names a node: its kind is made over a range\n"
	"that libnuma places on the node (memkind_create_fixed).\n"
	"\n"
	"Exit code: 1 when something could not be measured, 2 on wrong usage,\n"
	"a missing library or an interrupt, which writes what there is.\n";

static void *must(void *p)
{
	if (p)
		return p;
	fputs("knuma bench: out of memory\n", stderr);
	exit(EXIT_USAGE);
}

/* The measures of a pair of nodes, as far as they have CPUs and memory. */
static unsigned wanted_of(const struct kn_node *row,
			  const struct kn_node *column)
{
	unsigned set = 0;

	for (int id = 0; id < KN_NR_MEASURES; id++) {
		const bool is_remote = kn_measures[id].kind == KN_KIND_REMOTE;

		if (kn_node_has_cpus(row) &&
		    (is_remote ? row->has_memory && kn_node_has_cpus(column) :
				 column->has_memory))
			set |= 1u << id;
	}
	return set;
}

static void collect_peers(struct kn_matrix *m)
{
	for (unsigned i = 0; i < kn_nr_peers; i++) {
		const struct kn_peer *p = &kn_peers[i];

		if (!(KN_CALLS_OF_NODES & 1u << p->calls) || !p->path ||
		    (m->about.nodes.fake && !p->own))
			continue;
		m->peer[m->nr_peers++] = p;
		/* knuma first. */
		if (p->own && m->nr_peers > 1) {
			m->peer[m->nr_peers - 1] = m->peer[0];
			m->peer[0] = p;
		}
	}
	if (m->about.nodes.fake)
		kn_about_note(&m->about,
			      "Not measured, because they know the system's "
			      "nodes only: numa_alloc_onnode, memkind.");
}

/* Pairs that have a CPU and memory. */
static int count_pairs(const struct kn_nodes *nodes)
{
	int n = 0;

	for (int i = 0; i < nodes->nr * nodes->nr; i++)
		n += kn_node_has_cpus(&nodes->node[i / nodes->nr]) &&
		     nodes->node[i % nodes->nr].has_memory;
	return n;
}

static void make_cells(struct kn_matrix *m)
{
	const struct kn_nodes *nodes = &m->about.nodes;
	const int nr = nodes->nr;

	m->cells = must(
		calloc(m->nr_peers * (size_t)(nr * nr), sizeof(m->cells[0])));
	for (unsigned p = 0; p < m->nr_peers; p++)
		for (int i = 0; i < nr * nr; i++)
			kn_matrix_cell(m, p, i / nr, i % nr)->wanted =
				wanted_of(&nodes->node[i / nr],
					  &nodes->node[i % nr]);
	m->is_one_node = count_pairs(nodes) == 1;
	if (m->is_one_node)
		kn_about_note(&m->about,
			      "One node: the matrix was not measured; its one "
			      "cell is of CPUs and memory of the same node.");
	if (!count_pairs(nodes))
		kn_usage("--nodes: none of them has CPUs, or none has memory");
}

static size_t round_down(size_t bytes)
{
	return (size_t)1 << (63 - __builtin_clzl(bytes));
}

/* A quarter of what is free on the fullest of the nodes. */
static size_t room(const struct kn_nodes *nodes)
{
	size_t bytes = kn_bench_file_bytes("/proc/meminfo", "MemFree:") / 4;

	for (int i = 0; i < nodes->nr; i++) {
		const struct kn_node *node = &nodes->node[i];

		if (node->has_memory && node->free_bytes &&
		    node->free_bytes / 4 < bytes)
			bytes = node->free_bytes / 4;
	}
	return bytes > MIB ? bytes : MIB;
}

/* Twice the last cache, 64 to 512 MiB, if the nodes have the room. */
static void choose_buffer(struct kn_matrix *m, bool quick)
{
	const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
	const size_t enough = cache > 0 ? 2 * (size_t)cache : 0;
	size_t bytes = quick ? 8 * MIB : 64 * MIB;

	while (!quick && bytes < enough && bytes < 512 * MIB)
		bytes *= 2;
	if (bytes > room(&m->about.nodes))
		bytes = round_down(room(&m->about.nodes));
	m->buffer_bytes = bytes;
	if (bytes < enough)
		kn_about_note(&m->about,
			      "The buffer of %zu MiB is smaller than twice the "
			      "last cache (%ld MiB): latency and bandwidth are "
			      "partly those of the cache.",
			      bytes / MIB, cache >> 20);
}

/* "NODE:CPUS" for the child. */
static char *home_text(const struct kn_node *node)
{
	char *text = must(malloc(KN_IDS_LEN));
	const int n = snprintf(text, KN_IDS_LEN, "%d:", node->id);

	if (kn_node_has_cpus(node))
		kn_ids_print(&node->cpus, text + n, KN_IDS_LEN - (size_t)n);
	else
		strcpy(text + n, "-");
	return text;
}

static bool run_child(const struct kn_matrix *m, const struct kn_peer *peer,
		      const struct kn_cell *cell, const struct kn_node *row,
		      const struct kn_node *column, struct kn_cell_round *round,
		      char why[KN_WHY_LEN])
{
	char calls[16], measures[16], bytes[24], ms[16];
	char *row_text = home_text(row), *column_text = home_text(column);
	/* clang-format off */
	const char *argv[] = {
		"knuma", "bench", "--child", "cell", calls, peer->path,
		measures, bytes, ms, row_text, column_text, NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = KN_SELF,
		.argv = argv,
		.timeout_s = TIMEOUT_S,
	};
	size_t len;
	bool done;

	snprintf(calls, sizeof(calls), "%d", peer->calls);
	snprintf(measures, sizeof(measures), "%u", cell->wanted);
	snprintf(bytes, sizeof(bytes), "%zu", m->buffer_bytes);
	snprintf(ms, sizeof(ms), "%d",
		 m->about.quick ? MEASURE_MS_QUICK : MEASURE_MS);
	done = kn_process_run(&command, round, sizeof(*round), &len, why);
	if (done && len != sizeof(*round)) {
		snprintf(why, KN_WHY_LEN, "no answer from the child");
		done = false;
	}
	free(row_text);
	free(column_text);
	return done;
}

static void keep(struct kn_series *s, const float *sample, unsigned n)
{
	s->sample = must(realloc(s->sample, (s->nr + n + 1) * sizeof(float)));
	memcpy(s->sample + s->nr, sample, n * sizeof(float));
	s->nr += n;
}

static void add_round(struct kn_cell *cell, const struct kn_cell_round *round,
		      bool is_fake)
{
	const bool strayed = !is_fake && round->off_node * 100 >
						 round->pages * STRAY_PERCENT;

	for (int id = 0; id < KN_NR_MEASURES; id++)
		if (!strayed || kn_measures[id].size_bytes)
			keep(&cell->series[id], round->sample[id],
			     round->nr[id]);
	cell->pages += round->pages;
	cell->off_node += round->off_node;
	cell->huge_bytes += round->huge_bytes;
	cell->rounds++;
	if (strayed)
		snprintf(cell->why, sizeof(cell->why),
			 "%llu of %llu pages of the buffer are on another node",
			 (unsigned long long)round->off_node,
			 (unsigned long long)round->pages);
}

/* What an interrupt has ended is no failure. */
static void one_cell(const struct kn_matrix *m, unsigned peer, int row,
		     int column)
{
	static struct kn_cell_round round;
	const struct kn_nodes *nodes = &m->about.nodes;
	struct kn_cell *cell = kn_matrix_cell(m, peer, row, column);
	char why[KN_WHY_LEN];

	if (!cell->wanted || cell->why[0] || kn_bench_stop)
		return;
	if (run_child(m, m->peer[peer], cell, &nodes->node[row],
		      &nodes->node[column], &round, why))
		add_round(cell, &round, nodes->fake);
	else if (!kn_bench_stop)
		memcpy(cell->why, why, sizeof(why));
}

static void measure(const struct kn_matrix *m)
{
	const unsigned nr = (unsigned)m->about.nodes.nr;
	const unsigned all = m->about.runs * nr * nr;

	for (unsigned i = 0; i < all && !kn_bench_stop; i++) {
		const int pair = (int)(i % (nr * nr));

		kn_progress("numa", "pair", i, all);
		/* Allocators take turns, and who comes first changes. */
		for (unsigned p = 0; p < m->nr_peers; p++)
			one_cell(m, (p + i / (nr * nr)) % m->nr_peers,
				 pair / (int)nr, pair % (int)nr);
	}
	kn_progress_clear();
}

/* Bandwidth is the inverse of its samples, so its p99 is low. */
static double in_unit(const struct kn_measure *measure, double value)
{
	return measure->unit == KN_MEASURE_GBS ? 1 / value : value;
}

static void summarise_series(const struct kn_measure *measure,
			     struct kn_series *s)
{
	double *values = must(malloc((s->nr + 1) * sizeof(double)));

	for (unsigned i = 0; i < s->nr; i++)
		values[i] = (double)s->sample[i];
	s->median = in_unit(measure, kn_percentile(values, s->nr, 50));
	s->p99 = in_unit(measure, kn_percentile(values, s->nr, 99));
	free(values);
	free(s->sample);
	s->sample = NULL;
}

/* False when a cell has failed. */
static bool summarise(struct kn_matrix *m)
{
	const int nr = m->about.nodes.nr;
	bool done = true;

	for (unsigned p = 0; p < m->nr_peers; p++)
		for (int i = 0; i < nr * nr; i++) {
			struct kn_cell *c =
				kn_matrix_cell(m, p, i / nr, i % nr);

			for (int id = 0; id < KN_NR_MEASURES; id++)
				summarise_series(&kn_measures[id],
						 &c->series[id]);
			done &= !c->why[0];
		}
	return done;
}

/* Without move_pages the pairs are what was asked for, and nothing more. */
static void note_unchecked(struct kn_matrix *m)
{
	const int nr = m->about.nodes.nr;
	bool has_rounds = false, has_pages = false;

	for (unsigned p = 0; p < m->nr_peers; p++)
		for (int i = 0; i < nr * nr; i++) {
			const struct kn_cell *c =
				kn_matrix_cell(m, p, i / nr, i % nr);

			has_rounds |= c->rounds > 0;
			has_pages |= c->pages > 0;
		}
	if (has_rounds && !has_pages)
		kn_about_note(&m->about,
			      "Not checked: on which nodes the buffers lie, "
			      "because move_pages(2) is refused here.");
}

static const struct {
	const char *name;
	void (*write)(FILE *f, const struct kn_matrix *m);
} writers[] = {
	[KN_FORMAT_TEXT] = {"numa.txt", kn_matrix_text},
	[KN_FORMAT_JSON] = {"numa.json", kn_matrix_json},
	[KN_FORMAT_CSV] = {"numa.csv", kn_matrix_csv},
	{"numa.html", kn_matrix_html},
};

enum {
	NR_WRITERS = sizeof(writers) / sizeof(writers[0])
};

/* Before anything is measured: a folder that cannot be written costs nothing. */
static void make_folder(const char *folder)
{
	if (mkdir(folder, 0777) && errno != EEXIST)
		kn_usage("--report: %s: %s", folder, strerror(errno));
	if (access(folder, W_OK | X_OK))
		kn_usage("--report: %s: %s", folder, strerror(errno));
}

static bool write_file(const struct kn_matrix *m, const char *folder,
		       unsigned which)
{
	char path[4096];
	bool done;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, writers[which].name);
	f = fopen(path, "we");
	if (f)
		writers[which].write(f, m);
	done = f && !ferror(f);
	if ((f && fclose(f)) || !done) {
		fprintf(stderr, "knuma bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	return true;
}

static bool write_report(const struct kn_matrix *m, const char *folder)
{
	bool done = true;

	for (unsigned i = 0; folder && i < NR_WRITERS; i++)
		done &= write_file(m, folder, i);
	return done;
}

int kn_numa_main(int argc, char **argv)
{
	static struct kn_matrix m;
	struct kn_options o = {0};
	bool done, written;

	kn_options_parse(&o, "knuma bench numa", help, true, argc, argv);
	if (!o.runs)
		o.runs = o.quick ? RUNS_QUICK : RUNS;
	if (o.report)
		make_folder(o.report);
	kn_progress_interval_s = o.progress;
	kn_process_catch_signals();
	kn_peers_find(KN_CALLS_OF_NODES);
	kn_about_read(&m.about, kn_peers_own_library(), &o);
	kn_about_note_missing(&m.about, KN_CALLS_OF_NODES);
	collect_peers(&m);
	make_cells(&m);
	choose_buffer(&m, o.quick);
	measure(&m);
	done = summarise(&m);
	note_unchecked(&m);
	m.about.interrupted = kn_bench_stop;
	/* The plots are children too; another interrupt ends them. */
	kn_bench_stop = 0;
	writers[o.format].write(stdout, &m);
	written = write_report(&m, o.report);
	if (m.about.interrupted || !written)
		return EXIT_USAGE;
	return done ? EXIT_DONE : EXIT_FAILED;
}
