/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/child.c - one round of a loop, in a process of its own
 *
 * Parent:  knuma bench --child loop WORKLOAD CALLS LIBRARY CHUNK MILLISECONDS REST
 * Child:   opens LIBRARY, runs one chunk to warm up, then chunks until the time
 *          is over, and writes its struct kn_sample to standard output.
 *
 * With 0 milliseconds it runs one chunk and does not warm up, and CPU time is
 * the process's: for loops that make threads.
 */
#include "bench/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/flood/flood.h"
#include "bench/locality/locality.h"
#include "bench/calls.h"
#include "bench/ids.h"
#include "bench/loops.h"
#include "bench/numa/matrix.h"
#include "bench/workload.h"

enum {
	ROUND_MS = 20,
	TIMEOUT_S = 60
};

static bool is_crowd(const struct kn_workload *w)
{
	return kn_loop_traits[w->loop].is_crowd;
}

bool kn_measure_child(struct kn_round *round)
{
	const struct kn_workload *w = round->workload;
	const unsigned part = round->quick ? KN_QUICK : 1;
	char calls[16], chunk[16], ms[16], rest[16];
	/* clang-format off */
	const char *argv[] = {
		"knuma", "bench", "--child", "loop",
		w->name, calls, round->peer->path, chunk, ms, rest,
		NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = KN_SELF,
		.argv = argv,
		.preload = kn_peer_preload(round->peer),
		.timeout_s = TIMEOUT_S,
	};
	size_t len = 0;
	bool done;

	snprintf(calls, sizeof(calls), "%d", round->peer->calls);
	snprintf(chunk, sizeof(chunk), "%u",
		 is_crowd(w) && w->chunk > part ? w->chunk / part : w->chunk);
	snprintf(ms, sizeof(ms), "%u", is_crowd(w) ? 0 : ROUND_MS / part);
	snprintf(rest, sizeof(rest), "%u",
		 kn_loop_traits[w->loop].rests_ms / part);
	memset(&round->sample, 0, sizeof(round->sample));
	done = kn_process_run(&command, &round->sample, sizeof(round->sample),
			      &len, round->why);
	if (done && len == sizeof(round->sample))
		return true;
	/* A child that gives up writes the reason. */
	if (len && len < KN_WHY_LEN)
		snprintf(round->why, sizeof(round->why), "%.*s", (int)len,
			 (const char *)&round->sample);
	else if (done)
		snprintf(round->why, sizeof(round->why),
			 "no answer from the child");
	return false;
}

bool kn_measure_fake(struct kn_round *round)
{
	static const char variable[] = "KNUMA_FAKE_NODES";
	bool done;

	setenv(variable, "2", 1);
	done = kn_measure_child(round);
	unsetenv(variable);
	return done;
}

struct clocks {
	uint64_t thread_ns;
	uint64_t process_ns;
	uint64_t wall_ns;
};

/* With that of children that have been waited for. */
static uint64_t process_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return kn_bench_clock(CLOCK_PROCESS_CPUTIME_ID) +
	       kn_bench_cpu_of(&usage);
}

static struct clocks read_clocks(void)
{
	return (struct clocks){
		.thread_ns = kn_bench_clock(CLOCK_THREAD_CPUTIME_ID),
		.process_ns = process_ns(),
		.wall_ns = kn_bench_clock(CLOCK_MONOTONIC),
	};
}

static void run(enum kn_calls calls, const struct kn_workload *w,
		unsigned chunk, unsigned ms, unsigned rest_ms,
		struct kn_sample *s)
{
	const pid_t self = getpid();
	struct kn_counts before;
	struct clocks begin, end;
	uint64_t deadline_ns;

	s->rss_before_bytes = kn_bench_rss(self);
	if (ms)
		kn_loops_run(calls, w, chunk);
	kn_calls_counts(&before);
	begin = read_clocks();
	deadline_ns = begin.wall_ns + ms * 1000000ull;
	do {
		kn_loops_run(calls, w, chunk);
		s->ops += (uint64_t)chunk * w->n;
	} while (kn_bench_clock(CLOCK_MONOTONIC) < deadline_ns);
	end = read_clocks();
	kn_calls_counts(&s->counts);
	for (unsigned i = 0; i < s->counts.nr; i++)
		s->counts.value[i] -= before.value[i];
	kn_loops_rest(calls, rest_ms);
	s->wall_ns = end.wall_ns - begin.wall_ns;
	s->process_cpu_ns = end.process_ns - begin.process_ns;
	s->cpu_ns = ms ? end.thread_ns - begin.thread_ns : s->process_cpu_ns;
	s->rss_after_bytes = kn_bench_rss(self);
	s->anon_after_bytes = kn_bench_anon(self);
	s->rss_peak_bytes = kn_bench_rss_peak(self);
	kn_loops_latencies(s);
}

/* Runs on the first @n of the CPUs that it may run on; all for 0. */
static void bind_to(unsigned n)
{
	struct kn_ids all = {0}, some = {0};
	int cpu = -1;

	if (!n || sched_getaffinity(0, sizeof(all.set), all.set))
		return;
	while (n-- && (cpu = kn_ids_next(&all, cpu)) >= 0)
		kn_ids_add(&some, cpu);
	if (!kn_ids_bind(&some))
		kn_give_up("sched_setaffinity is refused");
}

static int child_loop(char **argv)
{
	const struct kn_workload *w = kn_workload_find(argv[0]);
	const enum kn_calls calls = (enum kn_calls)atoi(argv[1]);
	struct kn_sample sample = {0};
	const char *missing;

	if (!w)
		kn_give_up(argv[0]);
	bind_to(w->cpus);
	missing = kn_calls_open(calls, argv[2]);
	if (missing)
		kn_give_up(missing);
	run(calls, w, (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]),
	    (unsigned)atoi(argv[5]), &sample);
	return fwrite(&sample, sizeof(sample), 1, stdout) == 1 ? 0 : 1;
}

int kn_child_main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "where"))
		return kn_peer_print_library(argv[2], argv[3]);
	if (argc == 8 && !strcmp(argv[1], "loop"))
		return child_loop(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "nodes"))
		return kn_nodes_tell(argv[2]);
	if (argc > 4 && !strcmp(argv[1], "locality"))
		return kn_locality_child(argc - 2, argv + 2);
	if (argc == 5 && !strcmp(argv[1], "flood"))
		return kn_flood_child(argc - 2, argv + 2);
	if (argc > 4 && !strcmp(argv[1], "cell"))
		return kn_cell_child(argc - 2, argv + 2);
	return 2;
}
