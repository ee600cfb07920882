/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/homes.h - keeping the pages of a window on its node
 *
 * Each tick asks where some pages of a node are; after a change of the machine
 * some pages of every node.  What is found elsewhere is counted and told once.
 * A node that can be used has its pages brought back by a walk through its
 * window, a part at each tick: after each change of the nodes that can be used,
 * since the system then moves pages of all nodes, and when a sample found a page
 * that strayed.
 *
 *   sample, page is elsewhere --> due --> walk, part by part --> rest
 *   nodes came or went       ----^  ^----- the rest is over -------'
 *
 * The rest after a walk doubles while walks leave pages elsewhere: the node is
 * full, or the pages cannot be moved (those a fork shares cannot).
 *
 * A node that cannot be used is only looked at.  Without policies (mbind(2)
 * refused) pages have no home, and nobody looks.
 */
#ifndef KN_CORE_HOMES_H
#define KN_CORE_HOMES_H

#include <stdbool.h>

/*
 * A step.  With @all each node is looked at, and a walk goes to its end.
 * Context: one caller at a time, after kn_topology_reread(); system calls.
 */
void kn_homes_tick(bool all);

#endif
