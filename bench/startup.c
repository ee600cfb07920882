/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/startup.c - what an allocator adds to the start of a process
 *
 * A round is one start of true(1) by posix_spawn(3), measured until it has been
 * waited for.  Memory is that of cat(1), which prints its own status: the
 * kernel counts the parent's memory into the peak that it reports of a child.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench/workload.h"

extern char **environ;

static bool time_true(struct kn_sample *s)
{
	static char *argv[] = {(char *)"true", NULL};
	const uint64_t begin = kn_bench_clock(CLOCK_MONOTONIC);
	struct rusage usage;
	int status;
	pid_t pid;

	if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ))
		return false;
	while (wait4(pid, &status, 0, &usage) < 0)
		;
	s->wall_ns = kn_bench_clock(CLOCK_MONOTONIC) - begin;
	s->cpu_ns = kn_bench_cpu_of(&usage);
	s->process_cpu_ns = s->cpu_ns;
	s->ops = 1;
	return !status;
}

static uint64_t bytes_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static bool measure_cat(struct kn_round *round)
{
	const char *argv[] = {"cat", "/proc/self/status", NULL};
	const struct kn_command command = {
		.path = argv[0],
		.argv = argv,
		.preload = kn_peer_preload(round->peer),
		.timeout_s = 10,
	};
	char text[8192];
	size_t len;

	if (!kn_process_run(&command, text, sizeof(text) - 1, &len, round->why))
		return false;
	text[len] = '\0';
	round->sample.rss_peak_bytes = bytes_of(text, "\nVmHWM:");
	round->sample.rss_after_bytes = bytes_of(text, "\nVmRSS:");
	round->sample.anon_after_bytes = bytes_of(text, "\nRssAnon:");
	return true;
}

bool kn_measure_startup(struct kn_round *round)
{
	const char *preload = kn_peer_preload(round->peer);
	bool done;

	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	done = time_true(&round->sample);
	unsetenv("LD_PRELOAD");
	if (!done) {
		snprintf(round->why, sizeof(round->why),
			 "/bin/true cannot be started");
		return false;
	}
	return measure_cat(round);
}

/* Only knuma pretends: for the others the machine is as it is. */
bool kn_measure_large(struct kn_round *round)
{
	static const char variable[] = "KNUMA_FAKE_NODES";
	bool done;

	setenv(variable, "numa:8 pu:128", 1);
	done = kn_measure_startup(round);
	unsetenv(variable);
	return done;
}
