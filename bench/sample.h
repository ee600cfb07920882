/* SPDX-License-Identifier: Apache-2.0 */
/* bench/sample.h - what one round measures */
#ifndef KN_BENCH_SAMPLE_H
#define KN_BENCH_SAMPLE_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum kn_latency {
	KN_LATENCY_P50,
	KN_LATENCY_P90,
	KN_LATENCY_P99,
	KN_LATENCY_P999,
	KN_LATENCY_P9999,
	KN_LATENCY_MAX,
	KN_NR_LATENCIES
};

/* What a library of --config=counts counts: rows of alloc/base/counts.def. */
enum {
	KN_COUNTS_MAX = 32,
	KN_COUNT_NAME = 24
};

struct kn_counts {
	unsigned nr; /* 0: this library counts nothing */
	char name[KN_COUNTS_MAX][KN_COUNT_NAME];
	uint64_t value[KN_COUNTS_MAX];
};

/* Memory and latencies are 0 where a workload does not measure them. */
struct kn_sample {
	uint64_t ops;
	uint64_t cpu_ns;	 /* of the thread or process that works */
	uint64_t process_cpu_ns; /* with threads of the allocator's own */
	uint64_t wall_ns;
	uint64_t rss_before_bytes;
	uint64_t rss_peak_bytes;
	uint64_t rss_after_bytes;
	uint64_t anon_after_bytes; /* of that, what is no file's */
	uint64_t latency_ns[KN_NR_LATENCIES];
	struct kn_counts counts; /* of the operations */
};

struct rusage;

/* Nanoseconds of @clock. */
uint64_t kn_bench_clock(clockid_t clock);

/* Nanoseconds of CPU time, of the system's too. */
uint64_t kn_bench_cpu_of(const struct rusage *usage);

/* Bytes behind the first "@key N kB", such as "Rss:", of a file; 0 without. */
uint64_t kn_bench_file_bytes(const char *path, const char *key);

/* Exact, unlike VmRSS, which lags behind by some pages for every CPU. */
uint64_t kn_bench_rss(pid_t pid);

/* The part of the same that no file is behind. */
uint64_t kn_bench_anon(pid_t pid);

/*
 * The largest RSS that process @pid has had.  getrusage() would tell that of
 * the program before exec, too.
 */
uint64_t kn_bench_rss_peak(pid_t pid);

#endif
