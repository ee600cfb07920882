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
 * Pages that are elsewhere on purpose (alloc/page/away.h) are passed over; when
 * they are freed, their node is walked.
 *
 * A node that cannot be used is only looked at.  Without policies (mbind(2)
 * refused) pages have no home, and nobody looks.
 */
#ifndef KN_CORE_HOMES_H
#define KN_CORE_HOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The page part and both halves of the vmalloc part, each with descriptors. */
#define KN_HOME_RANGES 6

struct kn_home_range {
	uintptr_t from;
	size_t pages;
};

/*
 * What of @node may hold memory, with the descriptors of its pages or without
 * them; pages of it.  Any thread.
 */
size_t kn_home_pages(int node, struct kn_home_range r[KN_HOME_RANGES],
		     bool descriptors);

/* Address of the @n-th page of that, @n below their number. */
void *kn_home_page(const struct kn_home_range r[KN_HOME_RANGES], size_t n);

/*
 * A step.  With @all each node is looked at, and a walk goes to its end.
 * Context: one caller at a time, after kn_topology_reread(); system calls.
 */
void kn_homes_tick(bool all);

#endif
