/* SPDX-License-Identifier: Apache-2.0 */
/* numa/best.h - the node whose memory suits best */
#ifndef KN_NUMA_BEST_H
#define KN_NUMA_BEST_H

#include <knuma/numa.h>

#include "numa/topology.h"

/*
 * The usable node that is best by @attr for the CPUs of @from: the most
 * bandwidth, the least latency, the most memory; of equal ones the nearest.
 * Nodes of which hwloc does not tell @attr are left out.
 * @by_distance: set when it tells of none, and the nearest node is returned.
 *
 * Context: reads a file of each node for the capacity that hwloc has not told.
 */
int kn_node_best(enum knuma_attr attr, int from, bool *by_distance);

#endif
