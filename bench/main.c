/* SPDX-License-Identifier: Apache-2.0 */
/* bench/main.c - the options of `knuma bench', and the order of the rounds */
#include "bench/bench.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <knuma/version.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/child.h"
#include "bench/flood/flood.h"
#include "bench/ids.h"
#include "bench/locality/locality.h"
#include "bench/numa/matrix.h"
#include "bench/progress.h"
#include "bench/rounds.h"
#include "bench/usage.h"

enum {
	RUNS = 7,
	RUNS_QUICK = 5,
	RUNS_MIN = 5, /* fewer have no median worth the name */
	RUNS_MAX = 1000,
	SILENCE_S = 15 /* where there is no terminal */
};

enum compare {
	COMPARE_IF_THERE,
	COMPARE_ALWAYS,
	COMPARE_NEVER
};

struct arguments {
	bool list;
	bool all;
	enum compare compare;
	const char *names; /* of --compare; NULL: all of them */
	const char *cpus;
	const char *folder;
	const struct kn_report *report;
	struct kn_run run;
	char **patterns;
	int nr_patterns;
};

enum {
	OPT_ALL = 256,
	OPT_CPUS,
	OPT_LIST,
	OPT_REPORT,
	OPT_QUICK,
	OPT_RUNS,
	OPT_COMPARE,
	OPT_NO_COMPARE,
	OPT_HELP,
	OPT_VERSION
};

static const struct option options[] = {
	{"all", no_argument, NULL, OPT_ALL},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"report", required_argument, NULL, OPT_REPORT},
	{"list", no_argument, NULL, OPT_LIST},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"runs", required_argument, NULL, OPT_RUNS},
	{"output", required_argument, NULL, 'o'},
	{"compare", optional_argument, NULL, OPT_COMPARE},
	{"no-compare", no_argument, NULL, OPT_NO_COMPARE},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: knuma bench [OPTION...] [WORKLOAD...]\n"
	"  or:  knuma bench numa [OPTION...]\n"
	"  or:  knuma bench locality [OPTION...]\n"
	"  or:  knuma bench flood [OPTION...] [ALLOCATOR...]\n"
	"Measures knuma and other allocators on this machine.  The second form\n"
	"measures each node's CPUs against each node's memory, the third counts\n"
	"pages on the wrong node, the fourth what waits for RCU readers; each\n"
	"has a --help of its own.\n"
	"\n"
	"      --all                  the long workloads, too: an hour\n"
	"      --compare[=NAME,...]   measure these allocators beside knuma, all\n"
	"                             by default; end when one is not here\n"
	"      --cpus=LIST            run on these CPUs only, such as 0-1,3\n"
	"      --list                 print the workloads and end; with -o json\n"
	"                             or csv, what they consist of\n"
	"      --no-compare           measure knuma alone\n"
	"  -o, --output=FORMAT        text (default), json or csv\n"
	"      --quick                5 short rounds: a trial, no measurement\n"
	"      --report=DIR           write bench.html, bench.txt, bench.csv and\n"
	"                             bench.json into DIR, which is made\n"
	"      --runs=N               rounds of each allocator, 5 to 1000,\n"
	"                             default 7; short rounds are repeated\n"
	"      --help                 print this help and end\n"
	"      --version              print the version and end\n"
	"\n"
	"WORKLOAD is a name or a pattern, such as 'batch-100-*'; without one,\n"
	"those are done that --list does not call long, which takes minutes.\n"
	"Each round is a process of its own, with the allocator preloaded; the\n"
	"rounds of the allocators take turns.  The machine's state is in every\n"
	"figure, so compare figures of one run only, and their ratios rather\n"
	"than the figures.  The page of --report has plots when gnuplot is\n"
	"installed.\n"
	"\n"
	"Allocators: glibc, and as far as they are installed jemalloc\n"
	"(libjemalloc2), mimalloc (libmimalloc2.0), tcmalloc\n"
	"(libtcmalloc-minimal4) and tbbmalloc (libtbbmalloc2); without\n"
	"--compare those that are not are passed over, with a message.\n"
	"\n"
	"The row `knuma' is malloc in the preload library, as for the others.\n"
	"The rows `knuma (kmalloc)', `alloc_pages' and the like are calls of\n"
	"libknuma.so.0, through pointers to functions.  KNUMA_PRELOAD names\n"
	"another preload library than the one that `knuma run' uses.\n"
	"\n"
	"Exit code: 1 when something could not be measured, 2 on wrong usage,\n"
	"missing peers, CPUs that cannot be had, a full disk or an interrupt,\n"
	"which leaves what has been measured.\n";

static const struct kn_report *find_report(const char *name)
{
	for (unsigned i = 0; kn_reports[i]; i++)
		if (!strcmp(kn_reports[i]->name, name))
			return kn_reports[i];
	kn_usage("'%s' is none of text, json, csv", name);
}

static void parse_option(struct arguments *a, int key)
{
	switch (key) {
	case OPT_ALL:
		a->all = true;
		break;
	case OPT_CPUS:
		a->cpus = optarg;
		break;
	case OPT_REPORT:
		a->folder = optarg;
		break;
	case OPT_LIST:
		a->list = true;
		break;
	case OPT_QUICK:
		a->run.quick = true;
		break;
	case OPT_RUNS:
		a->run.runs = kn_parse_runs(optarg, RUNS_MIN, RUNS_MAX);
		break;
	case 'o':
		a->report = find_report(optarg);
		break;
	case OPT_COMPARE:
		a->compare = COMPARE_ALWAYS;
		a->names = optarg;
		break;
	case OPT_NO_COMPARE:
		a->compare = COMPARE_NEVER;
		break;
	case OPT_HELP:
		fputs(help, stdout);
		exit(EXIT_DONE);
	case OPT_VERSION:
		puts("knuma " KNUMA_VERSION_STRING);
		exit(EXIT_DONE);
	default:
		kn_usage_tail();
	}
}

static bool matches_any(const char *pattern)
{
	for (unsigned i = 0; i < kn_nr_workloads; i++)
		if (!fnmatch(pattern, kn_workloads[i].name, 0))
			return true;
	return false;
}

__attribute__((noreturn)) static void refuse(const char *pattern)
{
	if (!strcmp(pattern, "numa") || !strcmp(pattern, "locality") ||
	    !strcmp(pattern, "flood"))
		kn_usage("write `knuma bench %s' first, then its options",
			 pattern);
	kn_usage("no workload '%s'; --list names them", pattern);
}

static void parse(struct arguments *a, int argc, char **argv)
{
	int key;

	while ((key = getopt_long(argc, argv, "o:", options, NULL)) != -1)
		parse_option(a, key);
	a->patterns = argv + optind;
	a->nr_patterns = argc - optind;
	for (int i = 0; i < a->nr_patterns; i++)
		if (!matches_any(a->patterns[i]))
			refuse(a->patterns[i]);
	if (!a->run.runs)
		a->run.runs = a->run.quick ? RUNS_QUICK : RUNS;
}

static void list_text(const struct kn_workload *w)
{
	printf("%-24s %s%s\n", w->name, w->set == KN_SET_LONG ? "(long) " : "",
	       w->help);
}

/* Names and texts need no quoting but these. */
static void list_csv(const struct kn_workload *w)
{
	printf("%s,%s,%zu,%u,%u,%s,\"%s\"\n", w->name,
	       kn_loop_traits[w->loop].name, w->size_bytes, w->n, w->cpus,
	       w->set == KN_SET_LONG ? "long" : "short", w->help);
}

static void list_json(const struct kn_workload *w)
{
	printf("%s\n\t{\"name\": \"%s\", \"loop\": \"%s\", \"size_bytes\": %zu, "
	       "\"n\": %u, \"cpus\": %u, \"long\": %s, \"help\": \"%s\"}",
	       w == kn_workloads ? "" : ",", w->name,
	       kn_loop_traits[w->loop].name, w->size_bytes, w->n, w->cpus,
	       w->set == KN_SET_LONG ? "true" : "false", w->help);
}

static int list(const struct kn_report *report)
{
	static const struct {
		void (*row)(const struct kn_workload *w);
		const char *head, *foot;
	} lists[] = {
		{list_text, "", ""},
		{list_json, "{\"workloads\": [", "\n]}\n"},
		{list_csv, "name,loop,size_bytes,n,cpus,set,help\n", ""},
	};
	unsigned which = 0;

	while (kn_reports[which] != report)
		which++;
	fputs(lists[which].head, stdout);
	for (unsigned i = 0; i < kn_nr_workloads; i++)
		lists[which].row(&kn_workloads[i]);
	fputs(lists[which].foot, stdout);
	return EXIT_DONE;
}

static bool is_wanted(const struct arguments *a, const struct kn_workload *w)
{
	for (int i = 0; i < a->nr_patterns; i++)
		if (!fnmatch(a->patterns[i], w->name, 0))
			return true;
	return !a->nr_patterns && (a->all || w->set == KN_SET_SHORT);
}

/* Whether @name is one of @names, which commas separate. */
static bool is_among(const char *name, const char *names)
{
	const size_t len = strlen(name);

	while (names) {
		if (!strncmp(names, name, len) &&
		    (names[len] == ',' || !names[len]))
			return true;
		names = strchr(names, ',');
		names += names != NULL;
	}
	return false;
}

static bool is_other_malloc(const struct kn_peer *p)
{
	return !p->own && p->calls == KN_CALLS_malloc;
}

/* Each of @names is an allocator. */
static void check_names(const char *names)
{
	char *copy = strdup(names), *rest = copy, *name;

	while ((name = strsep(&rest, ","))) {
		bool known = false;

		for (unsigned i = 0; i < kn_nr_peers; i++)
			known |= is_other_malloc(&kn_peers[i]) &&
				 !strcmp(kn_peers[i].name, name);
		if (!known)
			kn_usage("--compare: no allocator '%s'; --help names "
				 "them",
				 name);
	}
	free(copy);
}

/* All that --compare wants are here, and the others take no part. */
static void keep_wanted(const char *names)
{
	for (unsigned i = 0; i < kn_nr_peers; i++) {
		struct kn_peer *p = &kn_peers[i];
		const bool wanted = !names || is_among(p->name, names);

		if (wanted && is_other_malloc(p) && !p->path)
			kn_usage("--compare: %s is not here: "
				 "apt-get install %s",
				 p->name, p->package);
		if (!wanted && is_other_malloc(p))
			p->path = NULL;
	}
}

static void find_peers(const struct arguments *a)
{
	bool has_own = false;

	kn_peers_find(KN_CALLS_OF_LOOPS);
	for (unsigned i = 0; i < kn_nr_peers; i++) {
		struct kn_peer *p = &kn_peers[i];

		if (a->compare == COMPARE_NEVER && !p->own)
			p->path = NULL;
		has_own |= p->path && p->own;
	}
	if (!has_own)
		kn_usage(KN_NO_LIBRARY);
	if (a->compare == COMPARE_ALWAYS)
		keep_wanted(a->names);
	else
		kn_peers_say_missing(KN_CALLS_OF_LOOPS);
}

/* The rounds inherit it. */
static void bind_to(const char *list)
{
	struct kn_ids wanted = {0}, mine = {0};
	static char text[KN_IDS_LEN];

	if (!kn_ids_parse(&wanted, list))
		kn_usage("--cpus: '%s' is no list of CPUs", list);
	if (sched_getaffinity(0, sizeof(mine.set), mine.set))
		kn_usage("--cpus=%s: %s", list, strerror(errno));
	for (int id = -1; (id = kn_ids_next(&wanted, id)) >= 0;)
		if (!kn_ids_has(&mine, id))
			kn_usage("--cpus=%s: this process may run on %s only",
				 list,
				 kn_ids_print(&mine, text, sizeof(text)));
	if (!kn_ids_bind(&wanted))
		kn_usage("--cpus=%s: cannot bind to them: %s", list,
			 strerror(errno));
}

static int run_all(struct arguments *a)
{
	enum kn_outcome worst = KN_OUTCOME_DONE;

	if (!kn_outputs_begin(&a->run))
		return EXIT_USAGE;
	for (unsigned i = 0; i < kn_nr_workloads && !kn_bench_stop; i++) {
		enum kn_outcome outcome = KN_OUTCOME_DONE;

		if (is_wanted(a, &kn_workloads[i]))
			outcome = kn_rounds_run(&a->run, &kn_workloads[i]);
		if (outcome > worst)
			worst = outcome;
		if (outcome == KN_OUTCOME_UNWRITTEN)
			break;
	}
	a->run.interrupted = kn_bench_stop;
	/* The plots are children too; another interrupt ends them. */
	kn_bench_stop = 0;
	if (!kn_outputs_end(&a->run) || worst == KN_OUTCOME_UNWRITTEN ||
	    a->run.interrupted)
		return EXIT_USAGE;
	return worst == KN_OUTCOME_FAILED ? EXIT_FAILED : EXIT_DONE;
}

int kn_bench_main(int argc, char **argv)
{
	struct arguments a = {.report = kn_reports[0]};

	if (argc > 1 && !strcmp(argv[1], "--child"))
		return kn_child_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "numa"))
		return kn_numa_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "locality"))
		return kn_locality_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "flood"))
		return kn_flood_main(argc - 1, argv + 1);
	parse(&a, argc, argv);
	if (a.list)
		return list(a.report);
	if (a.cpus)
		bind_to(a.cpus);
	if (a.names)
		check_names(a.names);
	kn_process_catch_signals();
	kn_progress_interval_s = SILENCE_S;
	find_peers(&a);
	kn_outputs_open(a.report, a.folder);
	return run_all(&a);
}
