/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_sysfs.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "numa/machine.h"
#include "numa/topology.h"

#define MAX_FILES 600
#define SYSFS	  "/fake/sys"
#define PROCFS	  "/fake/proc"

static struct file {
	char path[120];
	char text[48 * 1024]; /* more than a reader takes */
} files[MAX_FILES];

static int nr_files, nr_reads;

static struct file *find(const char *path)
{
	for (int i = 0; i < nr_files; i++)
		if (!strcmp(files[i].path, path))
			return &files[i];
	return NULL;
}

static ssize_t fake_read(const char *path, char *buf, size_t len)
{
	const struct file *f = NULL;
	size_t n;

	nr_reads++;
	if (!strncmp(path, SYSFS "/", strlen(SYSFS) + 1))
		f = find(path + strlen(SYSFS) + 1);
	else if (!strncmp(path, PROCFS "/", strlen(PROCFS) + 1))
		f = find(path + strlen(PROCFS) + 1);
	else
		f = find(path);
	if (!f)
		return -ENOENT;
	n = strlen(f->text);
	if (n > len - 1)
		n = len - 1;
	memcpy(buf, f->text, n);
	buf[n] = '\0';
	return (ssize_t)n;
}

void fake_sysfs_start(void)
{
	nr_files = 0;
	nr_reads = 0;
	kn_machine.read_file = fake_read;
	kn_machine.sysfs = SYSFS;
	kn_machine.procfs = PROCFS;
}

void fake_sysfs_file(const char *path, const char *text)
{
	struct file *f = find(path);

	if (!f) {
		assert(nr_files < MAX_FILES);
		f = &files[nr_files++];
	}
	assert(strlen(path) < sizeof(f->path));
	assert(strlen(text) < sizeof(f->text));
	strcpy(f->path, path);
	strcpy(f->text, text);
}

void fake_sysfs_remove(const char *path)
{
	struct file *f = find(path);

	if (f)
		*f = files[--nr_files];
}

int fake_sysfs_reads(void)
{
	return nr_reads;
}

struct text {
	char s[4096];
	size_t len;
};

static void add(struct text *t, const char *before, const char *s)
{
	t->len += (size_t)snprintf(t->s + t->len, sizeof(t->s) - t->len, "%s%s",
				   before, s);
	assert(t->len < sizeof(t->s));
}

static void add_id(struct text *t, const char *before, int id)
{
	char s[16];

	snprintf(s, sizeof(s), "%d", id);
	add(t, before, s);
}

static void node_files(const struct fake_node *n)
{
	char path[80], text[256];

	snprintf(path, sizeof(path), "node/node%d/cpulist", n->id);
	snprintf(text, sizeof(text), "%s\n", n->cpus);
	fake_sysfs_file(path, text);
	snprintf(path, sizeof(path), "node/node%d/distance", n->id);
	snprintf(text, sizeof(text), "%s\n", n->distance);
	fake_sysfs_file(path, text);
	snprintf(path, sizeof(path), "node/node%d/meminfo", n->id);
	snprintf(text, sizeof(text),
		 "Node %d MemTotal:       %d kB\n"
		 "Node %d MemFree:        %d kB\n"
		 "Node %d MemUsed:        1 kB\n",
		 n->id, n->has_memory ? 4096 * 1024 : 0, n->id,
		 n->has_memory ? (1000 + n->id) * 1024 : 0, n->id);
	fake_sysfs_file(path, text);
}

static void list_file(const char *path, const struct text *t)
{
	fake_sysfs_file(path, t->s[0] ? t->s + 1 : "\n");
}

void fake_sysfs_machine(const char *possible_nodes, const char *possible_cpus,
			const struct fake_node *nodes, int nr,
			const char *allowed)
{
	struct text online = {.len = 0}, memory = {.len = 0};
	struct text cpu = {.len = 0};

	fake_sysfs_start();
	for (int i = 0; i < nr; i++) {
		add_id(&online, ",", nodes[i].id);
		if (nodes[i].has_memory)
			add_id(&memory, ",", nodes[i].id);
		if (nodes[i].cpus[0])
			add_id(&cpu, ",", nodes[i].id);
		node_files(&nodes[i]);
	}
	fake_sysfs_file("node/possible", possible_nodes);
	fake_sysfs_file("cpu/possible", possible_cpus);
	list_file("node/online", &online);
	list_file("node/has_memory", &memory);
	list_file("node/has_cpu", &cpu);
	if (allowed) {
		struct text status = {.len = 0};

		add(&status, "",
		    "Name:\ttest\nMems_allowed:\t00000000,00000001\n");
		add(&status, "Mems_allowed_list:\t", allowed);
		add(&status, "\n", "voluntary_ctxt_switches:\t1\n");
		fake_sysfs_file("self/status", status.s);
	}
}

const char *zonelists_text(void)
{
	static struct text t;

	t.len = 0;
	t.s[0] = '\0';
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const struct kn_zonelist *z = kn_zonelist(node);

		add_id(&t, "", kn_topo.kernel_id[node]);
		for (int i = 0; i < z->nr; i++)
			add_id(&t, i ? " " : ": ",
			       kn_topo.kernel_id[z->node[i]]);
		add(&t, "", "\n");
	}
	return t.s;
}

const char *cpu_nodes_text(void)
{
	static struct text t;

	t.len = 0;
	t.s[0] = '\0';
	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++)
		add_id(&t, cpu ? " " : "", kn_topo.kernel_id[kn_cpu_node[cpu]]);
	return t.s;
}
