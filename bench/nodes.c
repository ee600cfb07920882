/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/nodes.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "bench/sample.h"

/* What dlsym gave. */
static struct {
	int (*next_node)(int node);
	int (*numa_node_id)(void);
	int (*distance)(int a, int b);
	bool (*nodes_are_fake)(void);
} api;

static const char *open_library(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW);

	if (!handle)
		return dlerror();
	*(void **)&api.next_node = dlsym(handle, "knuma_next_node");
	*(void **)&api.numa_node_id = dlsym(handle, "knuma_numa_node_id");
	*(void **)&api.distance = dlsym(handle, "knuma_distance");
	*(void **)&api.nodes_are_fake = dlsym(handle, "knuma_nodes_are_fake");
	return api.next_node && api.numa_node_id && api.distance &&
			       api.nodes_are_fake ?
		       NULL :
		       "the library lacks knuma_next_node or one of its kind";
}

/* The row of node @id, made if need be; NULL when there are too many. */
static struct kn_node *row_of(struct kn_nodes *nodes, int id)
{
	int i = 0;

	while (i < nodes->nr && nodes->node[i].id < id)
		i++;
	if (i < nodes->nr && nodes->node[i].id == id)
		return &nodes->node[i];
	if (nodes->nr == KN_NODES_MAX)
		return NULL;
	memmove(&nodes->node[i + 1], &nodes->node[i],
		(size_t)(nodes->nr - i) * sizeof(nodes->node[0]));
	nodes->nr++;
	nodes->node[i] = (struct kn_node){.id = id};
	return &nodes->node[i];
}

static void find_memory(struct kn_nodes *nodes)
{
	for (int id = api.next_node(-1); id >= 0; id = api.next_node(id)) {
		struct kn_node *node = row_of(nodes, id);

		if (node)
			node->has_memory = true;
	}
}

static void find_cpus(struct kn_nodes *nodes)
{
	struct kn_ids all = {0};

	if (sched_getaffinity(0, sizeof(all.set), all.set))
		return;
	for (int cpu = kn_ids_next(&all, -1); cpu >= 0;
	     cpu = kn_ids_next(&all, cpu)) {
		struct kn_ids one = {0};
		struct kn_node *node;

		kn_ids_add(&one, cpu);
		if (!kn_ids_bind(&one))
			continue;
		node = row_of(nodes, api.numa_node_id());
		if (node)
			kn_ids_add(&node->cpus, cpu);
	}
	kn_ids_bind(&all);
}

static void find_free_memory(struct kn_node *node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo",
		 node->id);
	node->free_bytes = kn_bench_file_bytes(path, "MemFree:");
}

int kn_nodes_tell(const char *library)
{
	static struct kn_nodes nodes;
	const char *missing = open_library(library);

	if (missing) {
		fprintf(stderr, "knuma bench: %s\n", missing);
		return 1;
	}
	find_memory(&nodes);
	find_cpus(&nodes);
	nodes.fake = api.nodes_are_fake();
	for (int i = 0; i < nodes.nr; i++)
		for (int k = 0; k < nodes.nr; k++) {
			const int d = api.distance(nodes.node[i].id,
						   nodes.node[k].id);

			nodes.node[i].distance[k] = d < 0 ? -1 : d;
		}
	for (int i = 0; i < nodes.nr && !nodes.fake; i++)
		find_free_memory(&nodes.node[i]);
	return fwrite(&nodes, sizeof(nodes), 1, stdout) == 1 ? 0 : 1;
}

bool kn_nodes_ask(const char *library, struct kn_nodes *nodes,
		  char why[KN_WHY_LEN])
{
	/* clang-format off */
	const char *argv[] = {
		"knuma", "bench", "--child", "nodes", library, NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = KN_SELF,
		.argv = argv,
		.timeout_s = 60,
	};
	size_t len;

	if (!kn_process_run(&command, nodes, sizeof(*nodes), &len, why))
		return false;
	if (len == sizeof(*nodes) && nodes->nr > 0)
		return true;
	snprintf(why, KN_WHY_LEN, "no answer from the child");
	return false;
}

const struct kn_node *kn_nodes_find(const struct kn_nodes *nodes, int id)
{
	for (int i = 0; i < nodes->nr; i++)
		if (nodes->node[i].id == id)
			return &nodes->node[i];
	return NULL;
}

/* Takes row @k out, and column @k with it. */
static void drop(struct kn_nodes *nodes, int k)
{
	const size_t after = (size_t)(nodes->nr - k - 1);

	for (int i = 0; i < nodes->nr; i++)
		memmove(&nodes->node[i].distance[k],
			&nodes->node[i].distance[k + 1], after * sizeof(int));
	memmove(&nodes->node[k], &nodes->node[k + 1],
		after * sizeof(nodes->node[0]));
	nodes->nr--;
}

bool kn_nodes_keep(struct kn_nodes *nodes, const char *list,
		   char why[KN_WHY_LEN])
{
	struct kn_ids ids;

	if (!kn_ids_parse(&ids, list)) {
		snprintf(why, KN_WHY_LEN,
			 "'%.32s' is no list of nodes, such as 0-2,5", list);
		return false;
	}
	for (int id = kn_ids_next(&ids, -1); id >= 0;
	     id = kn_ids_next(&ids, id))
		if (!kn_nodes_find(nodes, id)) {
			snprintf(why, KN_WHY_LEN,
				 "no node %d here; `knuma topology' lists them",
				 id);
			return false;
		}
	for (int i = nodes->nr - 1; i >= 0; i--)
		if (!kn_ids_has(&ids, nodes->node[i].id))
			drop(nodes, i);
	return true;
}
