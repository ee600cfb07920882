/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/numa/nodes.h"

#include <fcntl.h>
#include <numa.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/child.h"

#define PAGE  ((size_t)sysconf(_SC_PAGESIZE))

/* Pages asked for in one call. */
#define CHUNK 1024

/* Times that pages are looked for when some are on their way. */
#define TRIES 20

static _Noreturn void cannot(const char *what)
{
	perror(what);
	_exit(1);
}

static bool has_memory(int node)
{
	return numa_node_size64(node, NULL) > 0;
}

static bool has_cpus(int node)
{
	struct bitmask *cpus = numa_allocate_cpumask();
	const bool some = !numa_node_to_cpus(node, cpus) &&
			  numa_bitmask_weight(cpus);

	numa_free_cpumask(cpus);
	return some;
}

static struct node_list nodes_that(bool (*fits)(int node))
{
	struct node_list list = {0};

	for (int node = 0; node <= numa_max_node() && node < NODES_MAX; node++)
		if (fits(node))
			list.id[list.nr++] = node;
	if (!list.nr)
		cannot("no node");
	return list;
}

struct node_list nodes_with_memory(void)
{
	return nodes_that(has_memory);
}

struct node_list nodes_with_cpus(void)
{
	return nodes_that(has_cpus);
}

int nodes_distance(int a, int b)
{
	return numa_distance(a, b);
}

struct node_list nodes_by_distance(int node)
{
	struct node_list list = nodes_with_memory();
	int nr = 0;

	for (int i = 0; i < list.nr; i++)
		if (list.id[i] != node)
			list.id[nr++] = list.id[i];
	list.nr = nr;
	for (int i = 1; i < nr; i++)
		for (int k = i; k > 0; k--) {
			const int id = list.id[k];

			if (numa_distance(node, list.id[k - 1]) <=
			    numa_distance(node, id))
				break;
			list.id[k] = list.id[k - 1];
			list.id[k - 1] = id;
		}
	return list;
}

bool is_nearest(int from, int node)
{
	const struct node_list list = nodes_with_memory();

	for (int i = 0; i < list.nr; i++)
		if (numa_distance(from, list.id[i]) < numa_distance(from, node))
			return false;
	return has_memory(node);
}

void run_on_node(int node)
{
	if (numa_run_on_node(node))
		cannot("numa_run_on_node");
}

void run_anywhere(void)
{
	if (numa_run_on_node(-1))
		cannot("numa_run_on_node");
}

int running_node(void)
{
	return numa_node_of_cpu(sched_getcpu());
}

uint64_t node_total(int node)
{
	return (uint64_t)numa_node_size64(node, NULL);
}

uint64_t node_free(int node)
{
	long long unused = 0;

	numa_node_size64(node, &unused);
	return (uint64_t)unused;
}

/* Bytes that the zones of @node keep by their high watermarks. */
static uint64_t high_watermarks(int node)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	uint64_t pages = 0, high;
	char line[256];
	int at = -1;

	if (!f)
		cannot("/proc/zoneinfo");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Node %d, zone", &at);
		if (at == node && sscanf(line, " high %lu", &high) == 1)
			pages += high;
	}
	fclose(f);
	return pages * PAGE;
}

uint64_t node_spare(int node, uint64_t slack)
{
	const uint64_t keep = high_watermarks(node) + slack;
	const uint64_t have = node_free(node);

	return have > keep ? have - keep : 0;
}

static void count_chunk(void **page, unsigned long n, struct pages *in)
{
	int status[CHUNK];

	if (syscall(SYS_move_pages, 0, n, page, NULL, status, 0))
		cannot("move_pages");
	for (unsigned long i = 0; i < n; i++) {
		if (status[i] < 0 || status[i] >= NODES_MAX) {
			in->absent++;
			continue;
		}
		in->present++;
		in->on[status[i]]++;
	}
}

void count_pages(const void *p, size_t bytes, struct pages *in)
{
	const uintptr_t end = (uintptr_t)p + bytes;
	uintptr_t at = (uintptr_t)p & -PAGE;
	void *page[CHUNK];

	while (at < end) {
		unsigned long n = 0;

		for (; n < CHUNK && at < end; at += PAGE)
			page[n++] = (void *)at;
		count_chunk(page, n, in);
	}
}

long pages_off(const void *p, size_t bytes, int node)
{
	struct pages in = {0};

	count_pages(p, bytes, &in);
	return in.present - in.on[node];
}

void touch_pages(void *p, size_t bytes)
{
	volatile char *at = p;

	for (size_t i = 0; i < bytes; i += PAGE)
		at[i] = 1;
	at[bytes - 1] = 1;
}

/* A page that the kernel moves just now is nowhere: reading it waits. */
static void read_pages(const void *p, size_t bytes)
{
	const volatile char *at = p;

	for (size_t i = 0; i < bytes; i += PAGE)
		(void)at[i];
}

void expect_on(const void *p, size_t bytes, int node, const char *what)
{
	struct pages in;

	for (int i = 0; i < TRIES; i++) {
		in = (struct pages){0};
		count_pages(p, bytes, &in);
		if (!in.absent)
			break;
		read_pages(p, bytes);
	}
	if (in.on[node] == in.present && !in.absent)
		return;
	fprintf(stderr, "%s: of %ld pages %ld are on node %d, %ld absent;",
		what, in.present + in.absent, in.on[node], node, in.absent);
	for (int i = 0; i < NODES_MAX; i++)
		if (in.on[i])
			fprintf(stderr, " node %d: %ld", i, in.on[i]);
	fprintf(stderr, "; free on it: %lu KiB\n", node_free(node) >> 10);
	_exit(1);
}

bool write_line(const char *path, const char *line)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const size_t len = strlen(line);
	const bool ok = fd >= 0 && write(fd, line, len) == (ssize_t)len;

	if (fd >= 0)
		close(fd);
	return ok;
}

const char *thp_mode(const char *mode)
{
	static const char path[] =
		"/sys/kernel/mm/transparent_hugepage/enabled";
	static const char *const modes[] = {"always", "madvise", "never"};
	const char *before = NULL;
	char line[64] = "", mark[16];
	FILE *f = fopen(path, "r");

	if (!f || !fgets(line, sizeof(line), f))
		cannot(path);
	fclose(f);
	for (int i = 0; i < 3; i++) {
		snprintf(mark, sizeof(mark), "[%s]", modes[i]);
		if (strstr(line, mark))
			before = modes[i];
	}
	if (!before || !write_line(path, mode))
		cannot(path);
	return before;
}

bool autonuma(const char *on)
{
	return write_line("/proc/sys/kernel/numa_balancing", on);
}

long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long number = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &number) != 1)
		number = -1;
	fclose(f);
	return number;
}

uint64_t kernel_entry(const char *path, uint64_t index)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t value;

	CHECK(fd >= 0);
	CHECK(pread(fd, &value, sizeof(value),
		    (off_t)(index * sizeof(value))) == sizeof(value));
	close(fd);
	return value;
}
