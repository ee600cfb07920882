/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/zonelist.h - which nodes to try, and in which order
 *
 * A list never changes once it can be seen, and is never freed: readers hold
 * it without a lock, in signal handlers too.  Lists are kept by content, so a
 * cpuset that goes back and forth takes no more memory than one that stays.
 */
#ifndef KN_NUMA_ZONELIST_H
#define KN_NUMA_ZONELIST_H

#include "numa/topology.h"

/*
 * Orders the usable nodes as seen from @node:
 *   1. the node itself;
 *   2. the smaller distance;
 *   3. the faster memory (tier);
 *   4. fewer of: has CPUs of its own, has a lower number than @node;
 *   5. the smaller load: how often the node was first of its distance in
 *      earlier lists, so that different nodes overflow to different ones;
 *   6. the lower number.
 * @load: by node; raised here.  Zero before the first of a set of lists.
 *
 * Source: Linux 6.12, find_next_best_node().  It adds the points of 4 to the
 * distance, so that 21 can come before 20; here the nearer node is first.
 */
void kn_zonelist_order(const struct kn_topology *t, int node,
		       uint8_t load[KN_MAX_NODES], struct kn_zonelist *list);

/*
 * Puts the lists that follow from kn_topo into kn_zonelists, one by one.
 * Context: the caller is the only writer (see numa/topology.c).
 * Return: 0, or -ENOMEM: some lists stay as they were.  Not on the first call:
 * there is room for that.
 */
int kn_zonelists_build(void);

#endif
