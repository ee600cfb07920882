/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - what a process holds, as the system and knuma see it */
#define pr_fmt(fmt) "memory: " fmt

#include "docs/examples/kvserver/memory.h"

#include <knuma/stats.h>
#include <knuma/tunables.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/string.h>

/* Return: bytes of this process that are in RAM; 0 after a message. */
static u64 resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		pr_err("/proc/self/statm: %s\n", strerror(errno));
	if (f)
		fclose(f);
	return pages * PAGE_SIZE;
}

/* Adds to @buf what fits into it whole. */
static void add_row(char *buf, size_t len, const char *name, const char *value)
{
	const size_t at = strlen(buf);

	if ((size_t)snprintf(buf + at, len - at, "%s %s\n", name, value) >=
	    len - at)
		buf[at] = '\0';
}

size_t memory_text(char *buf, size_t len)
{
	char all[16384], name[64], value[32];
	char *row, *rest = all;

	buf[0] = '\0';
	snprintf(value, sizeof(value), "%llu",
		 (unsigned long long)resident_bytes());
	add_row(buf, len, "rss_bytes", value);

	knuma_stats_text(all, sizeof(all));
	while ((row = strsep(&rest, "\n"))) {
		if (!strncmp(row, "rcu_", 4) &&
		    sscanf(row, "%63s %31s", name, value) == 2)
			add_row(buf, len, name, value);
	}
	return strlen(buf);
}

u64 memory_held(void)
{
	uint64_t bytes;

	knuma_trim();
	if (knuma_stats_read("allocated_bytes", &bytes)) {
		pr_err("knuma has no statistic allocated_bytes\n");
		return UINT64_MAX;
	}
	return bytes;
}
