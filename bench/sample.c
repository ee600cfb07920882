/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

uint64_t kn_bench_clock(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t nanoseconds(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000000 + (uint64_t)tv.tv_usec * 1000;
}

uint64_t kn_bench_cpu_of(const struct rusage *usage)
{
	return nanoseconds(usage->ru_utime) + nanoseconds(usage->ru_stime);
}

uint64_t kn_bench_file_bytes(const char *path, const char *key)
{
	uint64_t bytes = 0;
	char line[256];
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return 0;
	while (!bytes && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, key);

		if (at)
			bytes = strtoull(at + strlen(key), NULL, 10) * 1024;
	}
	fclose(f);
	return bytes;
}

static uint64_t proc_bytes(pid_t pid, const char *file, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return kn_bench_file_bytes(path, key);
}

uint64_t kn_bench_rss(pid_t pid)
{
	return proc_bytes(pid, "smaps_rollup", "Rss:");
}

uint64_t kn_bench_anon(pid_t pid)
{
	return proc_bytes(pid, "smaps_rollup", "Anonymous:");
}

uint64_t kn_bench_rss_peak(pid_t pid)
{
	const uint64_t peak = proc_bytes(pid, "status", "VmHWM:");
	const uint64_t now = kn_bench_rss(pid);

	return peak > now ? peak : now;
}
