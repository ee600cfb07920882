/* SPDX-License-Identifier: Apache-2.0 */
/* numa/placement.h - where pages lie and how much room the nodes have */
#ifndef KN_NUMA_PLACEMENT_H
#define KN_NUMA_PLACEMENT_H

#include "numa/topology.h"

/*
 * Counts the pages of [@p, @p + @bytes) by the node they lie on.  Pages that
 * are not in memory are not counted, and none is brought in.
 * @pages_per_kernel_node: @n counters by kernel id, set here; may be NULL.
 * Return: pages in memory, those on nodes >= @n included, or -Exxx: -EPERM
 * where move_pages(2) is refused, -EINVAL for a range that wraps.
 */
long kn_placement(const void *p, size_t bytes, long *pages_per_kernel_node,
		  int n);

/*
 * Lets libnuma answer kn_machine.page_nodes from here on (dlopen).
 * Context: not inside malloc.
 * Return: 0, or -ENOENT without libnuma, -ENOSYS when it finds no NUMA here,
 * -EXDEV when nodes are fake.
 */
int kn_libnuma_load(void);

/* Bytes by the node's meminfo; 0, or -Exxx and neither is set. */
int kn_node_meminfo(int node, int64_t *total, int64_t *free) kn_must_check;

/*
 * Free memory of a node that is there to be used: without what the kernel keeps
 * below its watermarks and what others may take meanwhile; may be negative.
 * 0, or -Exxx and *@spare is not set.
 */
int kn_node_spare_bytes(int node, int64_t *spare) kn_must_check;

/*
 * Free memory of a node that comes in blocks of a huge page at least.  0, or
 * -Exxx: -ENOENT when the system does not say it of this node.
 */
int kn_node_free_huge(int node, int64_t *bytes) kn_must_check;

/*
 * What the system can make free on all nodes together, by dropping caches and by
 * swapping; 0 when it does not say.
 */
int64_t kn_reclaimable_bytes(void);

#endif
