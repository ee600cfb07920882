/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/process.h - children that end in time
 *
 * Whatever is started here is killed when its time is over, when the user
 * interrupts, and when this process dies first.
 */
#ifndef KN_BENCH_PROCESS_H
#define KN_BENCH_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

/* This program, as a path to start it once more. */
#define KN_SELF "/proc/self/exe"

enum {
	KN_WHY_LEN = 96
};

struct kn_command {
	const char *path;	 /* without a slash: looked up in PATH */
	const char *const *argv; /* ends with NULL */
	const char *preload;	 /* LD_PRELOAD; NULL: unset */
	bool quiet;		 /* standard error is thrown away */
	unsigned timeout_s;
	struct rusage *usage; /* filled by kn_process_run(), unless NULL */
};

struct kn_process {
	pid_t pid;
	int out; /* its standard output, non-blocking here; -1: closed */
};

/* Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t kn_bench_stop;

/* Catches the two from here on. */
void kn_process_catch_signals(void);

/* False when the system has no room for another process. */
bool kn_process_start(struct kn_process *p, const struct kn_command *command);

/* Kills it if it still runs, and waits.  Returns its wait status. */
int kn_process_kill(struct kn_process *p);

/*
 * Runs @command to its end.  Its output goes to @buf: @size bytes at most, @len
 * of them used.  False unless it exited with 0 in time; @why says why.
 */
bool kn_process_run(const struct kn_command *command, void *buf, size_t size,
		    size_t *len, char why[KN_WHY_LEN]);

#endif
