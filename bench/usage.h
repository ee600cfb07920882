/* SPDX-License-Identifier: Apache-2.0 */
/* bench/usage.h - exit codes, wrong usage, and options that commands share */
#ifndef KN_BENCH_USAGE_H
#define KN_BENCH_USAGE_H

#include <stdbool.h>

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2
};

#define KN_NO_LIBRARY                                       \
	"nothing to measure without libknuma_malloc.so.0; " \
	"KNUMA_PRELOAD can name it"

/* The command that messages name: "knuma bench", "knuma bench numa". */
extern const char *kn_usage_command;

/* Prints the message and where help is, and ends with EXIT_USAGE. */
void kn_usage(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/* The same after getopt has printed the message. */
void kn_usage_tail(void) __attribute__((noreturn));

/* The value of --runs, or the end. */
unsigned kn_parse_runs(const char *text, unsigned min, unsigned max);

enum kn_format {
	KN_FORMAT_TEXT,
	KN_FORMAT_JSON,
	KN_FORMAT_CSV
};

/* Of the measurements that are about nodes. */
struct kn_options {
	unsigned runs; /* 0: not given */
	bool quick;
	bool progress;
	const char *nodes;  /* NULL: all */
	const char *report; /* the folder; NULL: none */
	enum kn_format format;
};

/* Reads the options of `@command'; @has_report: --report is one of them. */
void kn_options_parse(struct kn_options *o, const char *command,
		      const char *help, bool has_report, int argc, char **argv);

#endif
