/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t kn_bench_clock(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t kn_bench_proc_bytes(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (!bytes && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			bytes = strtoull(line + strlen(key), NULL, 10) * 1024;
	fclose(f);
	return bytes;
}

uint64_t kn_bench_rss(pid_t pid)
{
	return kn_bench_proc_bytes(pid, "smaps_rollup", "Rss:");
}

uint64_t kn_bench_rss_peak(pid_t pid)
{
	const uint64_t peak = kn_bench_proc_bytes(pid, "status", "VmHWM:");
	const uint64_t now = kn_bench_rss(pid);

	return peak > now ? peak : now;
}
