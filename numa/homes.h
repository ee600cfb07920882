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

/* Pages in one question: arrays on the stack, 12 KiB. */
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
 * @sum; @pages is then changed.
 * Context: system calls; no lock held.
 * Return: 0, or -Exxx and nothing is known.
 */
int kn_homes_ask(int node, void **pages, size_t n, struct kn_homes *sum);

/*
 * The same, and brings back what is elsewhere, but not the @nr_stay (<=
 * KN_HOMES_MAX) pages @stay, which are so on purpose.  Where those are in one
 * huge page with others that the system does not split, all of it stays, and
 * @sum has too many as moved.
 * Return: 0; 1 when the node takes no more pages: it is full, or may no longer
 * be used; or -Exxx and nothing is known.
 */
int kn_homes_bring(int node, void **pages, size_t n, void **stay,
		   size_t nr_stay, struct kn_homes *sum);

/*
 * The system moves huge pages whole, with what else is in them.  Advice for a
 * part of one makes it split it: before @n pages @page that are on nodes @at are
 * moved.  Refused for locked memory, by a kernel before 5.4, and while somebody
 * holds the page for a moment; nothing tells.
 *
 * A huge page that some CPU's list of new pages still holds is not split,
 * either.  A move empties those lists first: one page, to where it is.
 */
void kn_homes_split(void **page, const int *at, size_t n);

#endif
