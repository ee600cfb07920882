/* SPDX-License-Identifier: Apache-2.0 */
/* bench/locality/main.c - the options, and one child for each round */
#include <math.h>
#include <string.h>

#include "bench/locality/locality.h"
#include "bench/progress.h"
#include "bench/summary.h"

enum {
	RUNS = 5,
	RUNS_QUICK = 1,
	THREADS = 2, /* on each node, if it has so many CPUs */
	OBJECT_KIB = 4096,
	OBJECT_KIB_QUICK = 512,
	TIMEOUT_S = 120
};

static const char help[] =
	"Usage: knuma bench locality [OPTION...]\n"
	"Counts the pages of fresh mallocs that lie on another node than the\n"
	"thread that asked, with knuma and with each other malloc that is\n"
	"installed.\n"
	"\n"
	"      --nodes=LIST           these nodes only, such as 0-1,3\n"
	"  -o, --output=FORMAT        text (default), json or csv\n"
	"      --progress             lines on standard error without a\n"
	"                             terminal too\n"
	"      --quick                one small round: a trial\n"
	"      --runs=N               rounds of each allocator, 1 to 1000,\n"
	"                             default 5\n"
	"      --help                 print this help and end\n"
	"      --version              print the version and end\n"
	"\n"
	"Threads on all nodes malloc and write objects of 64 bytes to 16 KiB,\n"
	"hand them over to the next node, where they are freed, and malloc\n"
	"again; then they free, move to the next node, and malloc again.  Each\n"
	"round is a process of its own with the allocator preloaded.\n"
	"\n"
	"Exit code: 1 when something could not be measured, as on a machine\n"
	"with one node; 2 on wrong usage, a missing library or an interrupt,\n"
	"which prints what there is.\n";

static bool is_home(const struct kn_node *node)
{
	return node->has_memory && kn_node_has_cpus(node);
}

/* Nodes with CPUs and memory, and threads that each of them has CPUs for. */
static int count_homes(struct kn_locality_table *t)
{
	int n = 0;

	t->threads = THREADS;
	for (int i = 0; i < t->about.nodes.nr; i++) {
		const struct kn_node *node = &t->about.nodes.node[i];
		const unsigned cpus = (unsigned)kn_ids_count(&node->cpus);

		if (!is_home(node))
			continue;
		n++;
		if (cpus < t->threads)
			t->threads = cpus;
	}
	return n;
}

static void check_measurable(struct kn_locality_table *t)
{
	const int homes = count_homes(t);

	t->is_measurable = homes > 1 && !t->about.nodes.fake;
	if (t->is_measurable)
		return;
	kn_about_note(&t->about,
		      t->about.nodes.fake ?
			      "Not measurable here: no page lies on a node "
			      "that is made up." :
			      "Not measurable here: it takes two nodes with "
			      "CPUs and memory, and there is %d.",
		      homes);
}

static void collect_rows(struct kn_locality_table *t)
{
	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (KN_CALLS_OF_MALLOC & 1u << kn_peers[i].calls &&
		    kn_peers[i].path && t->nr_rows < KN_LOCALITY_PEERS)
			t->row[t->nr_rows++].peer = &kn_peers[i];
}

/* The arguments NODE:CPUS of the child; they stay until the end. */
static const char *const *make_argv(const struct kn_locality_table *t)
{
	static char threads[16], kib[16], homes[KN_NODES_MAX][KN_IDS_LEN];
	static const char *argv[KN_NODES_MAX + 8] = {
		"knuma", "bench", "--child", "locality", threads, kib};
	unsigned n = 6;

	snprintf(threads, sizeof(threads), "%u", t->threads);
	snprintf(kib, sizeof(kib), "%u", t->object_kib);
	for (int i = 0; i < t->about.nodes.nr; i++) {
		const struct kn_node *node = &t->about.nodes.node[i];
		const int len = snprintf(homes[i], KN_IDS_LEN, "%d:", node->id);

		if (!is_home(node))
			continue;
		kn_ids_print(&node->cpus, homes[i] + len,
			     KN_IDS_LEN - (size_t)len);
		argv[n++] = homes[i];
	}
	argv[n] = NULL;
	return argv;
}

static void one_round(struct kn_locality_row *r, const char *const *argv)
{
	const struct kn_command command = {
		.path = KN_SELF,
		.argv = argv,
		.preload = kn_peer_preload(r->peer),
		.timeout_s = TIMEOUT_S,
	};
	struct kn_locality count;
	char why[KN_WHY_LEN];
	size_t len;

	if (r->why[0] || kn_bench_stop)
		return;
	if (!kn_process_run(&command, &count, sizeof(count), &len, why)) {
		/* What an interrupt has ended is no failure. */
		if (!kn_bench_stop)
			memcpy(r->why, why, sizeof(why));
		return;
	}
	if (len != sizeof(count)) {
		strcpy(r->why, "no answer from the child");
		return;
	}
	for (int k = 0; k < KN_NR_PHASES; k++) {
		r->percent[k][r->nr_rounds] = 100.0 *
					      (double)count.off_node[k] /
					      (double)count.pages[k];
		r->pages[k] += count.pages[k];
	}
	r->nr_rounds++;
}

static void measure(struct kn_locality_table *t)
{
	const char *const *argv = make_argv(t);

	for (unsigned i = 0; i < t->about.runs && !kn_bench_stop; i++)
		for (unsigned k = 0; k < t->nr_rows; k++) {
			kn_progress("locality", "child", i * t->nr_rows + k,
				    t->about.runs * t->nr_rows);
			one_round(&t->row[(i + k) % t->nr_rows], argv);
		}
	kn_progress_clear();
}

static bool summarise(struct kn_locality_table *t)
{
	bool done = true;

	for (unsigned i = 0; i < t->nr_rows; i++) {
		struct kn_locality_row *r = &t->row[i];

		for (int k = 0; k < KN_NR_PHASES; k++) {
			r->median[k] =
				kn_percentile(r->percent[k], r->nr_rounds, 50);
			r->worst[k] =
				kn_percentile(r->percent[k], r->nr_rounds, 100);
		}
		done &= !r->why[0];
	}
	return done;
}

int kn_locality_main(int argc, char **argv)
{
	static struct kn_locality_table t;
	struct kn_options o = {0};
	bool done;

	kn_options_parse(&o, "knuma bench locality", help, false, argc, argv);
	if (!o.runs)
		o.runs = o.quick ? RUNS_QUICK : RUNS;
	kn_progress_interval_s = o.progress;
	kn_process_catch_signals();
	kn_peers_find(KN_CALLS_OF_MALLOC);
	kn_about_read(&t.about, kn_peers_own_library(), &o);
	kn_about_note_missing(&t.about, KN_CALLS_OF_MALLOC);
	t.object_kib = o.quick ? OBJECT_KIB_QUICK : OBJECT_KIB;
	check_measurable(&t);
	collect_rows(&t);
	if (t.is_measurable)
		measure(&t);
	done = summarise(&t) && t.is_measurable;
	t.about.interrupted = kn_bench_stop;
	kn_locality_write(stdout, &t, o.format);
	if (kn_bench_stop)
		return EXIT_USAGE;
	return done ? EXIT_DONE : EXIT_FAILED;
}
