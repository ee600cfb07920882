/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/progress.h"

static void *must(void *p)
{
	if (p)
		return p;
	fputs("knuma bench: out of memory\n", stderr);
	exit(2);
}

/* What an interrupt has ended is no failure. */
static void one_round(const struct kn_run *run, const struct kn_workload *w,
		      struct kn_result *result)
{
	struct kn_round round = {
		.workload = w,
		.peer = result->peer,
		.quick = run->quick,
	};

	if (result->why[0] || kn_bench_stop)
		return;
	if (w->measure(&round))
		result->samples[result->nr_samples++] = round.sample;
	else if (!kn_bench_stop)
		memcpy(result->why, round.why, sizeof(round.why));
}

static unsigned collect_peers(const struct kn_workload *w, unsigned rounds,
			      struct kn_result *results)
{
	unsigned n = 0;

	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (kn_workload_has(w, &kn_peers[i]))
			results[n++] = (struct kn_result){
				.peer = &kn_peers[i],
				.samples = must(calloc(
					rounds, sizeof(struct kn_sample))),
			};
	return n;
}

enum kn_outcome kn_rounds_run(struct kn_run *run, const struct kn_workload *w)
{
	const unsigned repeat =
		run->quick ? (w->repeat + KN_QUICK - 1) / KN_QUICK : w->repeat;
	const unsigned rounds = run->runs * repeat;
	struct kn_result *results =
		must(calloc(kn_nr_peers, sizeof(struct kn_result)));
	const unsigned n = collect_peers(w, rounds, results);
	bool done = true, written;

	for (unsigned i = 0; i < rounds && !kn_bench_stop; i++) {
		kn_progress(w->name, "round", i, rounds);
		for (unsigned k = 0; k < n; k++)
			one_round(run, w, &results[(i + k) % n]);
	}
	kn_progress_clear();
	kn_summarise(results, n);
	written = kn_outputs_workload(run, w, results, n);
	for (unsigned i = 0; i < n; i++) {
		done &= !results[i].why[0];
		free(results[i].samples);
	}
	free(results);
	if (!written)
		return KN_OUTCOME_UNWRITTEN;
	return done ? KN_OUTCOME_DONE : KN_OUTCOME_FAILED;
}
