/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "alloc/config/fake_spec.h"
#include "numa/machine.h"
#include "numa/placement.h"
#include "numa/span.h"
#include "numa/sysfs.h"

KN_STATIC_ASSERT(KN_FAKE_MAX_NODES == KN_MAX_NODES, "fake nodes are nodes");
KN_STATIC_ASSERT(KN_FAKE_MAX_CPUS == KN_MAX_CPUS, "fake CPUs are CPUs");

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

bool kn_fake_on;

static struct kn_machine real;
static const struct kn_fake *fake;

/* Files. */

static void add_list(struct kn_text *t, bool (*wanted)(int i))
{
	const char *comma = "";

	for (int i = 0; i < fake->nr_nodes; i++) {
		if (!wanted(i))
			continue;
		kn_text_add(t, "%s%d", comma, fake->node[i].id);
		comma = ",";
	}
	kn_text_add(t, "\n");
}

static bool any(int i)
{
	(void)i;
	return true;
}

static bool has_memory(int i)
{
	return fake->node[i].has_memory;
}

static bool has_cpu(int i)
{
	return memchr(fake->cpu_node, i, (size_t)fake->nr_cpus) != NULL;
}

/* The first CPU at or above @cpu that is (not) of node @i. */
static int next_cpu(int i, int cpu, bool of)
{
	while (cpu < fake->nr_cpus && (fake->cpu_node[cpu] == i) != of)
		cpu++;
	return cpu;
}

static void add_cpulist(struct kn_text *t, int i)
{
	const char *comma = "";
	int first, end;

	for (first = next_cpu(i, 0, true); first < fake->nr_cpus;
	     first = next_cpu(i, end, true)) {
		end = next_cpu(i, first, false);
		kn_text_add(t, "%s%d-%d", comma, first, end - 1);
		comma = ",";
	}
	kn_text_add(t, "\n");
}

static void add_distance(struct kn_text *t, int i)
{
	for (int k = 0; k < fake->nr_nodes; k++)
		kn_text_add(t, "%s%d", k ? " " : "", fake->distance[i][k]);
	kn_text_add(t, "\n");
}

static uint64_t kib_of_machine(const char *meminfo, const char *name)
{
	const char *s = kn_sysfs_field(meminfo, name);
	uint64_t kib;

	return s && kn_sysfs_next_number(&s, &kib) ? kib : 0;
}

/* Nodes that share the machine show an equal part of what it has. */
static void add_meminfo(struct kn_text *t, int i)
{
	const int id = fake->node[i].id;
	char meminfo[512] = "";
	uint64_t total, unused;

	if (fake->node[i].total_bytes >= 0) {
		total = (uint64_t)fake->node[i].total_bytes >> 10;
		unused = total;
	} else {
		/* What is not known is no 0: nothing would be granted. */
		if (kn_sysfs_read_proc("meminfo", meminfo,
				       sizeof(meminfo)) <= 0)
			return;
		total = kib_of_machine(meminfo, "MemTotal:") /
			(uint64_t)fake->nr_nodes;
		unused = kib_of_machine(meminfo, "MemFree:") /
			 (uint64_t)fake->nr_nodes;
	}
	kn_text_add(t,
		    "Node %d MemTotal: %llu kB\n"
		    "Node %d MemFree: %llu kB\n",
		    id, (unsigned long long)total, id,
		    (unsigned long long)unused);
}

/* clang-format off: tables */
static const struct {
	const char *file;
	bool (*wanted)(int i);
} lists[] = {
	{"node/possible", any},
	{"node/online", any},
	{"node/has_memory", has_memory},
	{"node/has_cpu", has_cpu},
};

static const struct {
	const char *file;
	void (*add)(struct kn_text *t, int i);
} node_files[] = {
	{"cpulist", add_cpulist},
	{"distance", add_distance},
	{"meminfo", add_meminfo},
};
/* clang-format on */

/* What follows @prefix and a slash in @path, or NULL. */
static const char *below(const char *path, const char *prefix)
{
	const size_t len = strlen(prefix);

	return !strncmp(path, prefix, len) && path[len] == '/' ?
		       path + len + 1 :
		       NULL;
}

/* "node/node<id>/<file>": false when there is no such node or file. */
static bool add_node_file(struct kn_text *t, const char *file)
{
	const char *s = below(file, "node");
	uint64_t id;

	if (!s || strncmp(s, "node", 4))
		return false;
	s += 4;
	if (!kn_sysfs_next_number(&s, &id) || *s++ != '/')
		return false;
	for (int i = 0; i < fake->nr_nodes; i++)
		for (size_t f = 0; f < KN_ARRAY_SIZE(node_files); f++)
			if ((uint64_t)fake->node[i].id == id &&
			    !strcmp(s, node_files[f].file)) {
				node_files[f].add(t, i);
				return true;
			}
	return false;
}

static bool add_sysfs_file(struct kn_text *t, const char *file)
{
	for (size_t f = 0; f < KN_ARRAY_SIZE(lists); f++)
		if (!strcmp(file, lists[f].file)) {
			add_list(t, lists[f].wanted);
			return true;
		}
	if (!strcmp(file, "cpu/possible")) {
		kn_text_add(t, "0-%d\n", fake->nr_cpus - 1);
		return true;
	}
	return add_node_file(t, file);
}

static ssize_t fake_read_file(const char *path, char *buf, size_t len)
{
	const char *sys = below(path, real.sysfs);
	const char *proc = below(path, real.procfs);
	struct kn_text t = {buf, len, 0};

	if (sys && add_sysfs_file(&t, sys))
		return (ssize_t)KN_MIN(t.len, len - 1);
	if (sys && below(sys, "node"))
		return -ENOENT;
	if (!proc || strcmp(proc, "self/status"))
		return real.read_file(path, buf, len);
	kn_text_add(&t, "Mems_allowed_list:\t");
	add_list(&t, any);
	return (ssize_t)KN_MIN(t.len, len - 1);
}

/* Placement. */

static int fake_mbind(void *addr, size_t len, int node)
{
	(void)addr;
	(void)len;
	(void)node;
	return 0;
}

/*
 * Where pages were moved to: dense node + 1 for each page of the span, mapped
 * by the first move.  Not for descriptors, which nobody moves but home.
 */
static uint8_t *moved;

static int map_moved(void)
{
	const size_t bytes = kn_span.size >> KN_PAGE_SHIFT;
	uint8_t *map, *none = NULL;

	if (kn_load_acquire(&moved))
		return 0;
	map = real.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	if (kn_is_err(map))
		return -ENOMEM;
	/* Release: pairs with the acquires of this file. */
	if (!__atomic_compare_exchange_n(&moved, &none, map, false,
					 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		real.munmap(map, bytes);
	return 0;
}

/* Memory that is not knuma's stays where the system says it is. */
static int fake_page_nodes(size_t n, void **pages, int *status)
{
	const uint8_t *map = kn_load_acquire(&moved);
	const int ret = real.page_nodes(n, pages, status);

	for (size_t i = 0; ret >= 0 && i < n; i++) {
		int node = kn_span_node(pages[i]);
		uint8_t to;

		if (status[i] < 0 || node < 0)
			continue;
		to = map && kn_span_has(pages[i]) ?
			     kn_load(&map[kn_pfn(pages[i])]) :
			     0;
		if (to)
			node = to - 1;
		status[i] = kn_topo.kernel_id[node];
	}
	return ret;
}

static int fake_move_pages(size_t n, void **pages, const int *nodes,
			   int *status)
{
	int ret = map_moved();

	if (!ret)
		ret = real.page_nodes(n, pages, status);
	for (size_t i = 0; ret >= 0 && i < n; i++) {
		const int node = kn_node_dense(nodes[i]);

		if (status[i] < 0)
			continue;
		if (node < 0 || !kn_span_has(pages[i])) {
			status[i] = -EACCES;
			continue;
		}
		kn_store(&kn_load_acquire(&moved)[kn_pfn(pages[i])],
			 (uint8_t)(node == kn_window_of(pages[i]) ? 0 :
								    node + 1));
		status[i] = nodes[i];
	}
	return ret;
}

/* As the kernel does it for base pages: in turn, by the place in the range. */
static int fake_interleave(void *addr, size_t len, const unsigned long *nodes)
{
	const unsigned bits = 8 * sizeof(long);
	const int err = map_moved();
	const uint32_t first = kn_pfn(addr);
	const int home = kn_window_of(addr);
	int node[KN_MAX_NODES], nr = 0;

	for (int i = 0; i < kn_topo.nr_nodes; i++) {
		const unsigned id = (unsigned)kn_topo.kernel_id[i];

		if (nodes[id / bits] >> id % bits & 1)
			node[nr++] = i;
	}
	if (err || !nr)
		return err ? err : -EINVAL;
	for (size_t i = 0; i < len >> KN_PAGE_SHIFT; i++) {
		const int to = node[i % (size_t)nr];

		kn_store(&kn_load_acquire(&moved)[first + i],
			 (uint8_t)(to == home ? 0 : to + 1));
	}
	return 0;
}

/* What is given back to the system comes from the node of its window again. */
static int fake_madvise(void *addr, size_t len, int advice)
{
	uint8_t *map = kn_load_acquire(&moved);
	const int ret = real.madvise(addr, len, advice);

	if (!map || ret || !kn_span_has(addr) ||
	    (advice != MADV_DONTNEED && advice != MADV_DONTNEED_LOCKED))
		return ret;
	for (size_t i = 0; i < len >> KN_PAGE_SHIFT; i++)
		kn_store(&map[kn_pfn(addr) + i], 0);
	return 0;
}

void kn_fake_use(const struct kn_fake *machine)
{
	fake = machine;
	if (kn_fake_on)
		return;
	real = kn_machine;
	kn_machine.read_file = fake_read_file;
	kn_machine.mbind_preferred = fake_mbind;
	kn_machine.mbind_interleave = fake_interleave;
	kn_machine.page_nodes = fake_page_nodes;
	kn_machine.move_pages = fake_move_pages;
	kn_machine.madvise = fake_madvise;
	kn_fake_on = true;
}

/* The machine of a tunable. */

static struct kn_fake own;

/* Gives the CPUs of @file to the nodes; those that have one keep it. */
static void divide(const char *file, bool in_rows)
{
	static char text[4 * KN_MAX_CPUS];
	const int nodes = own.nr_nodes;
	unsigned first, last;
	const char *list;
	int nr = 0, i = 0;

	if (kn_sysfs_read(file, text, sizeof(text)) < 0)
		strcpy(text, "0");
	for (list = text; kn_sysfs_next_range(&list, &first, &last);)
		nr += (int)(last - first + 1);
	for (list = text; kn_sysfs_next_range(&list, &first, &last);)
		for (; first <= last && first < KN_MAX_CPUS; first++, i++) {
			const int node = in_rows ? i * nodes / nr : i % nodes;

			if (own.cpu_node[first] == KN_NO_HOME)
				own.cpu_node[first] = (uint8_t)node;
			own.nr_cpus = KN_MAX(own.nr_cpus, (int)first + 1);
		}
}

static void fill(const struct kn_fake_spec *spec)
{
	own.nr_nodes = (int)spec->nr_nodes;
	own.nr_cpus = (int)spec->nr_cpus;
	memset(own.cpu_node, KN_NO_HOME, sizeof(own.cpu_node));
	for (unsigned cpu = 0; cpu < spec->nr_cpus; cpu++)
		own.cpu_node[cpu] =
			(uint8_t)(cpu * spec->nr_nodes / spec->nr_cpus);
	divide("cpu/online", true);
	divide("cpu/possible", false);
	memset(own.distance, 20, sizeof(own.distance));
	for (int i = 0; i < own.nr_nodes; i++) {
		own.node[i] = (struct kn_fake_node){(int16_t)i, true, -1};
		own.distance[i][i] = 10;
	}
}

void kn_fake_start(const char *text)
{
	struct kn_fake_spec spec;

	if (kn_fake_on || kn_fake_spec_parse(text, &spec) || !spec.nr_nodes)
		return;
	fill(&spec);
	kn_fake_use(&own);
}
