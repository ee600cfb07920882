/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/numa_api.c - <knuma/numa.h>, but for knuma_node_of()
 *
 * Outside, nodes have the kernel's ids; below here they are dense.  Where the
 * library cannot start, the machine is one node with the id 0.
 */
#include <knuma/numa.h>

#include <errno.h>

#include "alloc/core/start.h"
#include "alloc/stats/stats.h"
#include "numa/best.h"
#include "numa/fake.h"
#include "numa/placement.h"
#include "numa/rseq.h"
#include "numa/topology.h"

int knuma_nr_nodes(void)
{
	if (!kn_start())
		return 1;
	return __builtin_popcountll(kn_load(&kn_topo.has_memory));
}

int knuma_next_node(int node)
{
	uint64_t left;

	if (!kn_start())
		return node < 0 ? 0 : -1;
	left = kn_load(&kn_topo.has_memory);
	for (; left; left &= left - 1) {
		const int id = kn_topo.kernel_id[__builtin_ctzll(left)];

		if (id > node)
			return id;
	}
	return -1;
}

int knuma_numa_node_id(void)
{
	return kn_start() ? kn_topo.kernel_id[kn_this_home()] : 0;
}

int knuma_numa_mem_id(void)
{
	return kn_start() ? kn_topo.kernel_id[kn_this_node()] : 0;
}

/* As kn_node_wanted() without __GFP_THISNODE; -1 when not possible. */
static int serving_node(int node)
{
	const int dense = kn_node_dense(node);

	if (node == NUMA_NO_NODE || dense == KN_NODE_OFFLINE)
		return kn_this_node();
	return dense;
}

int knuma_zonelist(int node, int *nodes, int n)
{
	const struct kn_zonelist *list;
	int dense;

	if (!kn_start())
		return -ENOMEM;
	dense = serving_node(node);
	if (dense < 0)
		return -EINVAL;
	list = kn_zonelist(dense);
	for (int i = 0; i < list->nr && i < n; i++)
		nodes[i] = kn_topo.kernel_id[list->node[i]];
	return list->nr;
}

int knuma_distance(int a, int b)
{
	int from, to;

	if (!kn_start())
		return -ENOMEM;
	from = kn_node_dense(a);
	to = kn_node_dense(b);
	if (from == -1 || to == -1)
		return -EINVAL;
	if (from == KN_NODE_OFFLINE || to == KN_NODE_OFFLINE)
		return -ENODEV;
	return kn_load(&kn_topo.distance[from][to]);
}

int knuma_node_best(enum knuma_attr attr, int from)
{
	bool by_distance;
	int node;

	if (!kn_start())
		return -ENOMEM;
	node = from == NUMA_NO_NODE ? kn_this_home() : kn_node_dense(from);
	if (node == -1 || (unsigned)attr > KNUMA_CAPACITY)
		return -EINVAL;
	if (node == KN_NODE_OFFLINE)
		return -ENODEV;
	node = kn_node_best(attr, node, &by_distance);
	if (by_distance)
		kn_stat_add(KN_STAT_best_by_distance, 1);
	return kn_topo.kernel_id[node];
}

long knuma_placement(const void *p, size_t bytes, long *pages_per_node, int n)
{
	if (!kn_start())
		return -ENOMEM;
	return kn_placement(p, bytes, pages_per_node, n);
}

int knuma_topology_refine(void)
{
	if (!kn_start())
		return -ENOMEM;
	/* Without libnuma the system itself is asked. */
	(void)kn_libnuma_load();
	return kn_topology_refine();
}

bool knuma_nodes_are_fake(void)
{
	return kn_start() && kn_fake_on;
}
