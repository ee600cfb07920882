/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/numa.h - <linux/numa.h> and <linux/topology.h>: nodes */
#ifndef KNUMA_LINUX_NUMA_H
#define KNUMA_LINUX_NUMA_H

#include <knuma/numa.h>
#include <knuma/types.h>

/* Node of the running CPU, which may have no memory. */
static inline int numa_node_id(void)
{
	return knuma_numa_node_id();
}

/* Nearest node with memory to the running CPU. */
static inline int numa_mem_id(void)
{
	return knuma_numa_mem_id();
}

static inline int node_distance(int a, int b)
{
	return knuma_distance(a, b);
}

/* Runs through the ids of the nodes with memory, which may have gaps. */
#define for_each_memory_node(node)                                \
	for ((node) = knuma_next_node(NUMA_NO_NODE); (node) >= 0; \
	     (node) = knuma_next_node(node))

#endif /* KNUMA_LINUX_NUMA_H */
