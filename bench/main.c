/* SPDX-License-Identifier: Apache-2.0 */
/* bench/main.c - the options of `knuma bench', and the order of the rounds */
#include "bench/bench.h"

#include <fnmatch.h>
#include <getopt.h>
#include <knuma/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/child.h"
#include "bench/flood/flood.h"
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
	enum compare compare;
	const struct kn_report *report;
	struct kn_run run;
	char **patterns;
	int nr_patterns;
};

enum {
	OPT_LIST = 256,
	OPT_QUICK,
	OPT_RUNS,
	OPT_COMPARE,
	OPT_NO_COMPARE,
	OPT_HELP,
	OPT_VERSION
};

static const struct option options[] = {
	{"list", no_argument, NULL, OPT_LIST},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"runs", required_argument, NULL, OPT_RUNS},
	{"output", required_argument, NULL, 'o'},
	{"compare", no_argument, NULL, OPT_COMPARE},
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
	"      --compare              end when there is none to compare with\n"
	"      --list                 print the workloads and end\n"
	"      --no-compare           measure knuma alone\n"
	"  -o, --output=FORMAT        text (default), json or csv\n"
	"      --quick                5 short rounds: a trial, no measurement\n"
	"      --runs=N               rounds of each allocator, 5 to 1000,\n"
	"                             default 7; short rounds are repeated\n"
	"      --help                 print this help and end\n"
	"      --version              print the version and end\n"
	"\n"
	"Without WORKLOAD all of them are done, which takes minutes; one may\n"
	"be a pattern, such as 'pair-*'.  Each round is a process of its own,\n"
	"with the allocator preloaded; the rounds of the allocators take\n"
	"turns.  The machine's state is in every figure, so compare figures\n"
	"of one run only, and their ratios rather than the figures.\n"
	"\n"
	"The row `knuma' is malloc in the preload library, as for the others.\n"
	"The row `knuma (kmalloc)' is kmalloc and kfree in libknuma.so.0,\n"
	"through pointers to functions.  KNUMA_PRELOAD names another preload\n"
	"library than the one that `knuma run' uses.\n"
	"\n"
	"Exit code: 1 when something could not be measured, 2 on wrong usage,\n"
	"missing peers or an interrupt, which prints what there is.\n";

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

static int list(void)
{
	for (unsigned i = 0; i < kn_nr_workloads; i++)
		printf("%-16s %s\n", kn_workloads[i].name,
		       kn_workloads[i].help);
	return EXIT_DONE;
}

static bool is_wanted(const struct arguments *a, const struct kn_workload *w)
{
	for (int i = 0; i < a->nr_patterns; i++)
		if (!fnmatch(a->patterns[i], w->name, 0))
			return true;
	return !a->nr_patterns;
}

static void find_peers(enum compare compare)
{
	bool has_own = false, has_others = false;

	kn_peers_find(KN_CALLS_OF_LOOPS);
	kn_peers_say_missing(KN_CALLS_OF_LOOPS);
	for (unsigned i = 0; i < kn_nr_peers; i++) {
		struct kn_peer *p = &kn_peers[i];

		if (compare == COMPARE_NEVER && !p->own)
			p->library = NULL;
		/* libc is everywhere. */
		has_own |= p->library && p->own;
		has_others |= p->library && !p->own && i > 0;
	}
	if (!has_own)
		kn_usage(KN_NO_LIBRARY);
	if (compare == COMPARE_ALWAYS && !has_others)
		kn_usage("no allocator to compare with");
}

static int run_all(struct arguments *a)
{
	int result = EXIT_DONE;

	a->report->begin(&a->run);
	for (unsigned i = 0; i < kn_nr_workloads && !kn_bench_stop; i++)
		if (is_wanted(a, &kn_workloads[i]) &&
		    !kn_rounds_run(&a->run, a->report, &kn_workloads[i]))
			result = EXIT_FAILED;
	a->run.interrupted = kn_bench_stop;
	a->report->end(&a->run);
	return kn_bench_stop ? EXIT_USAGE : result;
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
		return list();
	kn_process_catch_signals();
	kn_progress_interval_s = SILENCE_S;
	find_peers(a.compare);
	return run_all(&a);
}
