/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/programs.c - programs that run to their end: sqlite3, python3
 *
 * A round is one run of the program.  CPU time and the largest RSS are what the
 * kernel says of it when it has been waited for; the program uses more memory
 * than this process, so the peak is its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/workload.h"

enum {
	TIMEOUT_S = 120
};

static bool measure(struct kn_round *round, const char *const *argv,
		    uint64_t records)
{
	struct kn_sample *s = &round->sample;
	struct rusage usage;
	const struct kn_command command = {
		.path = argv[0],
		.argv = argv,
		.preload = kn_peer_preload(round->peer),
		.timeout_s = TIMEOUT_S,
		.usage = &usage,
	};
	const uint64_t begin = kn_bench_clock(CLOCK_MONOTONIC);
	char output[64];
	size_t len;

	if (!kn_process_run(&command, output, sizeof(output) - 1, &len,
			    round->why))
		return false;
	output[len] = '\0';
	if (strtoull(output, NULL, 10) != records) {
		snprintf(round->why, sizeof(round->why),
			 "%s: a wrong answer, '%.32s'", argv[0], output);
		return false;
	}
	s->wall_ns = kn_bench_clock(CLOCK_MONOTONIC) - begin;
	s->cpu_ns = kn_bench_cpu_of(&usage);
	s->process_cpu_ns = s->cpu_ns;
	s->rss_peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
	s->ops = records;
	return true;
}

static unsigned records_of(const struct kn_round *round)
{
	return round->workload->n / (round->quick ? KN_QUICK : 1);
}

bool kn_measure_sqlite(struct kn_round *round)
{
	const unsigned n = records_of(round);
	char script[1024];
	const char *argv[] = {"sqlite3", ":memory:", script, NULL};

	snprintf(script, sizeof(script),
		 "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, v REAL);"
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		 "FROM c WHERE i < %u) INSERT INTO t SELECT i, "
		 "printf('name %%08d', i * 7919 %% %u) || hex(zeroblob(i %% "
		 "300)), i * 0.5 FROM c;"
		 "CREATE INDEX by_name ON t(name);"
		 "UPDATE t SET name = name || 'x' WHERE id %% 3 = 0;"
		 "DELETE FROM t WHERE id %% 5 = 0;"
		 "INSERT INTO t SELECT id + %u, substr(name, 6), v FROM t "
		 "WHERE id %% 5 = 1;"
		 "SELECT count(*) FROM (SELECT name, sum(v), "
		 "group_concat(id) FROM t GROUP BY name, id ORDER BY 1 DESC);",
		 n, n, n);
	return measure(round, argv, n);
}

bool kn_measure_python(struct kn_round *round)
{
	static const char script[] =
		"import json, sys\n"
		"n = int(sys.argv[1])\n"
		"text = json.dumps([{'id': i, 'name': 'n%d' % (i * 7919 % n),\n"
		"                    'tags': ['a' * (i % 40), str(i)]}\n"
		"                   for i in range(n)])\n"
		"rows = json.loads(text)\n"
		"rows.sort(key=lambda row: row['name'])\n"
		"index = {row['name']: row for row in rows}\n"
		"words = ' '.join(row['tags'][1] for row in rows).split()\n"
		"lines = [w.replace('1', 'one') + str(len(w)) for w in words]\n"
		"del rows, index, words\n"
		"print(len(set(lines)))\n";
	char n[16];
	const char *argv[] = {"python3", "-S", "-c", script, n, NULL};
	bool done;

	snprintf(n, sizeof(n), "%u", records_of(round));
	/* Otherwise its own allocator takes what is small. */
	setenv("PYTHONMALLOC", "malloc", 1);
	done = measure(round, argv, records_of(round));
	unsetenv("PYTHONMALLOC");
	return done;
}
