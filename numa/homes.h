/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/homes.h - pages that the system put or moved elsewhere
 *
 * A window is bound to its node, and still its pages may lie on another one:
 * the node was full, or not allowed when they were written, or the system moved
 * them because cpuset.mems changed or the node's memory went offline.  Nobody
 * is told; move_pages(2) answers when it is asked.
 */
#ifndef KN_NUMA_HOMES_H
#define KN_NUMA_HOMES_H

#include "numa/topology.h"

/* Pages in one question: three arrays on the stack, 8 KiB. */
#define KN_HOMES_MAX 512

/* Sums over questions. */
struct kn_homes {
	uint64_t checked; /* pages that are in memory */
	uint64_t stale;	  /* of those, on another node */
	uint64_t moved;	  /* of those, brought back */
	int where;	  /* kernel id of such a node; -1: none */
};

/*
 * Asks where @n (<= KN_HOMES_MAX) @pages of the dense @node are, and adds to
 * @sum.  With @move it brings back what is elsewhere; @pages is then changed.
 * Context: system calls; no lock held.
 * Return: 0; 1 when the node takes no more pages: it is full, or may no longer
 * be used; or -Exxx and nothing is known.
 */
int kn_homes_ask(int node, void **pages, size_t n, bool move,
		 struct kn_homes *sum);

#endif
