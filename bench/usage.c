/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/usage.h"

#include <getopt.h>
#include <knuma/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RUNS_MAX = 1000
};

const char *kn_usage_command = "knuma bench";

void kn_usage_tail(void)
{
	fprintf(stderr, "Try `%s --help' for more information.\n",
		kn_usage_command);
	exit(EXIT_USAGE);
}

void kn_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", kn_usage_command);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	kn_usage_tail();
}

unsigned kn_parse_runs(const char *text, unsigned min, unsigned max)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || text[0] == '-')
		kn_usage("--runs: '%s' is no number", text);
	if (n < min || n > max)
		kn_usage("--runs: '%s' is outside of %u to %u", text, min, max);
	return (unsigned)n;
}

enum {
	OPT_QUICK = 256,
	OPT_RUNS,
	OPT_NODES,
	OPT_PROGRESS,
	OPT_HELP,
	OPT_VERSION,
	OPT_REPORT
};

/* The first row is taken by those that write no report. */
static const struct option options[] = {
	{"report", required_argument, NULL, OPT_REPORT},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"runs", required_argument, NULL, OPT_RUNS},
	{"nodes", required_argument, NULL, OPT_NODES},
	{"output", required_argument, NULL, 'o'},
	{"progress", no_argument, NULL, OPT_PROGRESS},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static enum kn_format find_format(const char *name)
{
	static const char *const names[] = {
		[KN_FORMAT_TEXT] = "text",
		[KN_FORMAT_JSON] = "json",
		[KN_FORMAT_CSV] = "csv",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return (enum kn_format)i;
	kn_usage("'%s' is none of text, json, csv", name);
}

static void parse_option(struct kn_options *o, const char *help, int key)
{
	switch (key) {
	case OPT_QUICK:
		o->quick = true;
		break;
	case OPT_RUNS:
		o->runs = kn_parse_runs(optarg, 1, RUNS_MAX);
		break;
	case OPT_NODES:
		o->nodes = optarg;
		break;
	case 'o':
		o->format = find_format(optarg);
		break;
	case OPT_PROGRESS:
		o->progress = true;
		break;
	case OPT_REPORT:
		o->report = optarg;
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

void kn_options_parse(struct kn_options *o, const char *command,
		      const char *help, bool has_report, int argc, char **argv)
{
	int key;

	kn_usage_command = command;
	argv[0] = (char *)command;
	while ((key = getopt_long(argc, argv, "o:", options + !has_report,
				  NULL)) != -1)
		parse_option(o, help, key);
	if (optind < argc)
		kn_usage("unexpected argument '%s'", argv[optind]);
}
