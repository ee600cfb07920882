/* SPDX-License-Identifier: Apache-2.0 */
/* bench/flood/main.c - the options, one child for each, and the table */
#include "bench/flood/flood.h"

#include <getopt.h>
#include <inttypes.h>
#include <knuma/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peer.h"
#include "bench/process.h"
#include "bench/usage.h"

enum {
	SECONDS = 10,
	SECONDS_MAX = 3600,
	MORE_S = 60 /* for what waits at the end */
};

static const char help[] =
	"Usage: knuma bench flood [OPTION...] [ALLOCATOR...]\n"
	"Shows how much memory waits for RCU readers when 3 threads allocate\n"
	"and free after a grace period without a pause, beside 2 readers that\n"
	"stay in each section for 1 ms: knuma with kfree_rcu, and each malloc\n"
	"that is installed, or named, with call_rcu of liburcu.\n"
	"\n"
	"  -o, --output=FORMAT        text (default) or csv\n"
	"      --seconds=N            how long each is flooded, 1 to 3600,\n"
	"                             default 10\n"
	"      --help                 print this help and end\n"
	"      --version              print the version and end\n"
	"\n"
	"`waited' is the most that waited, `bound' what could wait then by\n"
	"knuma's setting rcu_budget, here 16 MiB, and the time since it sufficed;\n"
	"`1/4' to `4/4' are the RSS as time goes on.  A flood ends early when\n"
	"2 GiB wait.\n"
	"\n"
	"Exit code: 1 when something could not be measured, 2 on wrong usage, a\n"
	"missing library or an interrupt, which prints what there is.\n";

static const struct option options[] = {
	{"output", required_argument, NULL, 'o'},
	{"seconds", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

struct arguments {
	unsigned seconds;
	bool csv;
	char **names;
	int nr_names;
};

static unsigned parse_seconds(const char *text)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > SECONDS_MAX)
		kn_usage("--seconds=%s: 1 to %d", text, SECONDS_MAX);
	return (unsigned)n;
}

static void parse_option(struct arguments *a, int key)
{
	switch (key) {
	case 'o':
		a->csv = !strcmp(optarg, "csv");
		if (!a->csv && strcmp(optarg, "text") != 0)
			kn_usage("'%s' is none of text, csv", optarg);
		break;
	case 's':
		a->seconds = parse_seconds(optarg);
		break;
	case 'h':
		fputs(help, stdout);
		exit(EXIT_DONE);
	case 'v':
		puts("knuma " KNUMA_VERSION_STRING);
		exit(EXIT_DONE);
	default:
		kn_usage_tail();
	}
}

/* malloc of the others; of knuma, its own calls. */
static bool takes_part(const struct kn_peer *p)
{
	return p->own ? p->calls == KN_CALLS_kmalloc :
			p->calls == KN_CALLS_malloc;
}

static void check_names(const struct arguments *a)
{
	for (int i = 0; i < a->nr_names; i++) {
		bool known = false;

		for (unsigned k = 0; k < kn_nr_peers; k++)
			known |= takes_part(&kn_peers[k]) && !kn_peers[k].own &&
				 !strcmp(kn_peers[k].name, a->names[i]);
		if (!known)
			kn_usage("no allocator '%s' to compare with",
				 a->names[i]);
	}
}

static void parse(struct arguments *a, int argc, char **argv)
{
	int key;

	kn_usage_command = "knuma bench flood";
	while ((key = getopt_long(argc, argv, "o:", options, NULL)) != -1)
		parse_option(a, key);
	a->names = argv + optind;
	a->nr_names = argc - optind;
	check_names(a);
}

static bool is_wanted(const struct arguments *a, const struct kn_peer *p)
{
	if (!takes_part(p) || !p->path)
		return false;
	for (int i = 0; i < a->nr_names; i++)
		if (!strcmp(a->names[i], p->name))
			return true;
	return p->own || !a->nr_names;
}

static bool flood(const struct kn_peer *peer, unsigned seconds,
		  struct kn_flood *f, char *why)
{
	char calls[16], ms[16];
	/* clang-format off */
	const char *argv[] = {
		"knuma", "bench", "--child", "flood",
		calls, peer->path, ms, NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = KN_SELF,
		.argv = argv,
		.preload = kn_peer_preload(peer),
		.timeout_s = seconds + MORE_S,
	};
	size_t len;

	snprintf(calls, sizeof(calls), "%d", peer->calls);
	snprintf(ms, sizeof(ms), "%u", seconds * 1000);
	if (!kn_process_run(&command, f, sizeof(*f), &len, why))
		return false;
	if (len == sizeof(*f))
		return true;
	snprintf(why, KN_WHY_LEN, "no answer from the child");
	return false;
}

static const char *call_of(const struct kn_peer *p)
{
	return p->own ? "kfree_rcu" : "call_rcu";
}

static const char *name_of(const struct kn_peer *p)
{
	return p->own ? "knuma" : p->name;
}

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void begin(const struct arguments *a)
{
	if (a->csv) {
		puts("allocator,call,seconds,capped,queued,failed,"
		     "waited_mib,bound_mib,lag_ms,past_bound,rss_1_mib,rss_2_mib,"
		     "rss_3_mib,rss_4_mib,rss_peak_mib,cpu_ns,failed_because");
		return;
	}
	printf("%u s of %d producers, %d readers, sections of 1 ms, "
	       "rcu_budget %d MiB; memory in MiB\n\n",
	       a->seconds, KN_FLOOD_PRODUCERS, KN_FLOOD_READERS,
	       KN_FLOOD_BUDGET_MIB);
	printf("%-10s %-10s %7s %9s %7s %7s %7s %7s %7s %7s %7s\n", "", "call",
	       "Mobj/s", "waited", "bound", "RSS 1/4", "2/4", "3/4", "4/4",
	       "peak", "CPU ns");
}

static void print_csv(const struct kn_peer *p, const struct kn_flood *f,
		      const char *why)
{
	printf("%s,%s,%.3f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.1f,",
	       name_of(p), call_of(p), (double)f->wall_ns / 1e9, f->capped,
	       f->queued, f->failed, mib(f->waiting_bytes));
	if (f->bound_bytes)
		printf("%.1f", mib(f->bound_bytes));
	printf(",%" PRIu64 ",%" PRIu64, f->lag_ms, f->past_bound);
	for (int i = 0; i < KN_FLOOD_PARTS; i++)
		printf(",%.1f", mib(f->rss_part_bytes[i]));
	printf(",%.1f,%.1f,%s\n", mib(f->rss_bytes),
	       f->queued ? (double)f->cpu_ns / (double)f->queued : 0.0, why);
}

static void print_text(const struct kn_peer *p, const struct kn_flood *f,
		       const char *why)
{
	char bound[16] = "none";

	if (*why) {
		printf("%-10s %-10s %s\n", name_of(p), call_of(p), why);
		return;
	}
	if (f->bound_bytes)
		snprintf(bound, sizeof(bound), "%.0f", mib(f->bound_bytes));
	printf("%-10s %-10s %7.2f %9.0f %7s", name_of(p), call_of(p),
	       (double)f->queued * 1e3 / (double)f->wall_ns,
	       mib(f->waiting_bytes), bound);
	for (int i = 0; i < KN_FLOOD_PARTS; i++) {
		if (f->rss_part_bytes[i])
			printf(" %7.0f", mib(f->rss_part_bytes[i]));
		else
			printf(" %7s", "-");
	}
	printf(" %7.0f %7.0f\n", mib(f->rss_bytes),
	       (double)f->cpu_ns / (double)f->queued);
	if (f->capped)
		printf("%10s ended after %.1f s: %d MiB waited\n", "",
		       (double)f->wall_ns / 1e9, KN_FLOOD_CAP_MIB);
	if (f->past_bound)
		printf("%10s the bound was passed in %" PRIu64 " looks\n", "",
		       f->past_bound);
	if (f->failed)
		printf("%10s %" PRIu64 " allocations failed\n", "", f->failed);
}

int kn_flood_main(int argc, char **argv)
{
	struct arguments a = {.seconds = SECONDS};
	int result = EXIT_DONE;

	parse(&a, argc, argv);
	kn_process_catch_signals();
	kn_peers_find(KN_CALLS_OF_MALLOC | 1u << KN_CALLS_kmalloc);
	(void)kn_peers_own_library();
	begin(&a);
	for (unsigned i = 0; i < kn_nr_peers && !kn_bench_stop; i++) {
		struct kn_flood f = {0};
		char why[KN_WHY_LEN] = "";

		if (!is_wanted(&a, &kn_peers[i]))
			continue;
		if (!flood(&kn_peers[i], a.seconds, &f, why))
			result = EXIT_FAILED;
		if (kn_bench_stop)
			break;
		(a.csv ? print_csv : print_text)(&kn_peers[i], &f, why);
		fflush(stdout);
	}
	return kn_bench_stop ? EXIT_USAGE : result;
}
