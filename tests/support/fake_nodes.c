/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_nodes.h"

#include <assert.h>
#include <stdio.h>

#include "numa/machine.h"
#include "numa/topology.h"

#define MAX_NODES 8
#define ALL_CPUS  "0-255"

static int nr_mbinds, mbind_err;

static int fake_mbind(void *addr, size_t len, int node)
{
	(void)addr;
	(void)len;
	(void)node;
	__atomic_add_fetch(&nr_mbinds, 1, __ATOMIC_RELAXED);
	return -mbind_err;
}

void fake_nodes_as(const char *possible, const struct fake_node *nodes, int nr)
{
	fake_sysfs_machine(possible, ALL_CPUS, nodes, nr, NULL);
	kn_machine.mbind_preferred = fake_mbind;
	for (int i = 0; i < nr; i++)
		if (nodes[i].has_memory)
			fake_node_free_mib(nodes[i].id, 3000);
}

void fake_nodes(int nr)
{
	static char distance[MAX_NODES][64];
	struct fake_node node[MAX_NODES];
	char possible[16];

	assert(nr <= MAX_NODES);
	for (int i = 0; i < nr; i++) {
		size_t len = 0;

		for (int k = 0; k < nr; k++)
			len += (size_t)snprintf(distance[i] + len,
						sizeof(distance[i]) - len,
						"%s%d", k ? " " : "",
						i == k ? 10 : 20);
		node[i] = (struct fake_node){i, i ? "" : ALL_CPUS, 1,
					     distance[i]};
	}
	snprintf(possible, sizeof(possible), "0-%d\n", nr - 1);
	fake_nodes_as(possible, node, nr);
}

void fake_node_free_mib(int id, int mib)
{
	char path[48], text[256];

	snprintf(path, sizeof(path), "node/node%d/meminfo", id);
	snprintf(text, sizeof(text),
		 "Node %d MemTotal:       4194304 kB\n"
		 "Node %d MemFree:        %d kB\n"
		 "Node %d MemUsed:        1 kB\n",
		 id, id, mib * 1024, id);
	fake_sysfs_file(path, text);
}

void fake_nodes_allow(const char *list)
{
	char text[256];

	snprintf(text, sizeof(text), "Name:\ttest\nMems_allowed_list:\t%s\n",
		 list);
	fake_sysfs_file("self/status", text);
}

int fake_mbinds(void)
{
	return __atomic_load_n(&nr_mbinds, __ATOMIC_RELAXED);
}

void fake_mbinds_refuse(int err)
{
	mbind_err = err;
}
