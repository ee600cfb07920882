/* SPDX-License-Identifier: Apache-2.0 */
/*
 * where - sums up on which nodes the memory of a process lies
 *
 * usage: where PID
 *
 * Reads /proc/PID/maps for the address range of knuma, which is the mapping
 * without access that is larger than all others, with what touches it; then
 * /proc/PID/numa_maps for the pages.
 *
 * Exit code: 0; 1 the process has no memory of knuma; 2 usage, or the system
 * does not tell.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 1024

/* No program reserves so much by itself, and knuma no less. */
#define SPAN_MIN ((uint64_t)1 << 30)

struct range {
	uint64_t from, to;
};

struct sums {
	uint64_t kib[MAX_NODES];
	uint64_t total;
};

static FILE *open_proc(const char *pid, const char *name)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	f = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "where: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return f;
}

/*
 * The run of anonymous mappings, one touching the next, that holds the largest
 * mapping without access.
 */
static struct range find_span(const char *pid)
{
	struct range run = {0, 0}, best = {0, 0};
	uint64_t none = 0, most = 0;
	char line[4096];
	FILE *f = open_proc(pid, "maps");

	while (fgets(line, sizeof(line), f)) {
		uint64_t from, to, inode;
		char access[8];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %" SCNu64,
			   &from, &to, access, &inode) != 4)
			continue;
		if (inode || from != run.to) {
			run.from = from;
			none = 0;
		}
		run.to = inode ? 0 : to;
		if (!inode && !strncmp(access, "---", 3) && to - from > none)
			none = to - from;
		if (none > most || run.from == best.from) {
			most = none > most ? none : most;
			best = run;
		}
	}
	fclose(f);
	return most >= SPAN_MIN ? best : (struct range){0, 0};
}

/* Adds the "N0=5 N1=7" of a line of numa_maps. */
static void add_line(struct sums *s, char *line)
{
	const char *size = strstr(line, "kernelpagesize_kB=");
	const uint64_t kib = size ? strtoull(strchr(size, '=') + 1, NULL, 10) : 4;
	char *rest = NULL;

	for (char *word = strtok_r(line, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest)) {
		unsigned node;
		uint64_t pages;

		if (sscanf(word, "N%u=%" SCNu64, &node, &pages) != 2 ||
		    node >= MAX_NODES)
			continue;
		s->kib[node] += pages * kib;
		s->total += pages * kib;
	}
}

static void print(const char *what, const struct sums *s, const struct sums *all)
{
	printf("  %-34s", what);
	for (int node = 0; node < MAX_NODES; node++)
		if (all->kib[node])
			printf(" %10.1f", (double)s->kib[node] / 1024);
	printf(" %10.1f\n", (double)s->total / 1024);
}

int main(int argc, char **argv)
{
	static struct sums knuma, other, all;
	static char line[65536];
	struct range span;
	FILE *f;

	if (argc != 2) {
		fprintf(stderr, "usage: where PID\n");
		return 2;
	}
	span = find_span(argv[1]);
	if (!span.to) {
		fprintf(stderr, "where: process %s has no memory of knuma\n",
			argv[1]);
		return 1;
	}
	f = open_proc(argv[1], "numa_maps");
	while (fgets(line, sizeof(line), f)) {
		const uint64_t at = strtoull(line, NULL, 16);

		add_line(at >= span.from && at < span.to ? &knuma : &other, line);
	}
	fclose(f);
	for (int node = 0; node < MAX_NODES; node++)
		all.kib[node] = knuma.kib[node] + other.kib[node];
	all.total = knuma.total + other.total;

	printf("  %-34s", "MiB of RAM");
	for (int node = 0; node < MAX_NODES; node++)
		if (all.kib[node])
			printf(" %5s %4d", "node", node);
	printf(" %10s\n", "Total");
	print("knuma's node windows and tables", &knuma, &all);
	print("program, libraries, stacks", &other, &all);
	print("whole process", &all, &all);
	return knuma.total ? 0 : 1;
}
