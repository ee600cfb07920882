/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/nodemask.h - sets of node ids
 *
 *   struct nodemask allowed = NODE_MASK_NONE;
 *
 *   node_set(0, allowed);
 *   page = __alloc_pages(GFP_KERNEL, 0, 1, &allowed);
 *
 * As in the kernel, all but the type is macros that take the set, not its
 * address.  The kernel's name of the type is in <linux/nodemask.h> alone, since
 * libnuma's <numa.h> has another nodemask_t.  Node ids that are not in
 * [0, MAX_NUMNODES) are in no set, and adding them has no effect.
 */
#ifndef KNUMA_NODEMASK_H
#define KNUMA_NODEMASK_H

#include <knuma/types.h>

/* Above every node id. */
#define MAX_NUMNODES  1024

#define KN_MASK_BITS  (8 * sizeof(unsigned long))
#define KN_MASK_WORDS (MAX_NUMNODES / KN_MASK_BITS)

/**
 * struct nodemask - a set of node ids
 * @bits: a bit for each id
 */
struct nodemask {
	unsigned long bits[MAX_NUMNODES / (8 * sizeof(unsigned long))];
};

/* The empty set, for initialisation. */
/* clang-format off */
#define NODE_MASK_NONE { { 0 } }
/* clang-format on */

static inline bool kn_node_isset(int node, const struct nodemask *mask)
{
	const unsigned int i = (unsigned int)node;

	return i < MAX_NUMNODES &&
	       (mask->bits[i / KN_MASK_BITS] >> i % KN_MASK_BITS & 1);
}

static inline void kn_node_change(int node, struct nodemask *mask, bool in)
{
	const unsigned int i = (unsigned int)node;

	if (i >= MAX_NUMNODES)
		return;
	if (in)
		mask->bits[i / KN_MASK_BITS] |= 1ul << i % KN_MASK_BITS;
	else
		mask->bits[i / KN_MASK_BITS] &= ~(1ul << i % KN_MASK_BITS);
}

/* The smallest id of a set from @node on; MAX_NUMNODES: none. */
static inline int kn_node_from(int node, const struct nodemask *mask)
{
	while (node < MAX_NUMNODES && !kn_node_isset(node, mask))
		node++;
	return node;
}

static inline int kn_nodes_weight(const struct nodemask *mask)
{
	int n = 0;

	for (size_t i = 0; i < KN_MASK_WORDS; i++)
		n += __builtin_popcountl(mask->bits[i]);
	return n;
}

static inline void kn_nodes_clear(struct nodemask *mask)
{
	__builtin_memset(mask, 0, sizeof(*mask));
}

/**
 * node_isset - whether a node is in a set
 * @node: node id
 * @mask: the set
 *
 * node_set() adds a node and node_clear() takes one out; nodes_clear() takes all
 * out, nodes_weight() counts them and nodes_empty() says whether there are none.
 * first_node() is the smallest id, next_node() the smallest above another; both
 * are MAX_NUMNODES when there is none.
 */
#define node_isset(node, mask) kn_node_isset((node), &(mask))
#define node_set(node, mask)   kn_node_change((node), &(mask), true)
#define node_clear(node, mask) kn_node_change((node), &(mask), false)
#define nodes_clear(mask)      kn_nodes_clear(&(mask))
#define nodes_weight(mask)     kn_nodes_weight(&(mask))
#define nodes_empty(mask)      (kn_nodes_weight(&(mask)) == 0)
#define first_node(mask)       kn_node_from(0, &(mask))
#define next_node(node, mask)  kn_node_from((node) + 1, &(mask))

/**
 * for_each_node_mask - visit the nodes of a set by rising id
 * @node: an int
 * @mask: the set
 */
#define for_each_node_mask(node, mask)                         \
	for ((node) = first_node(mask); (node) < MAX_NUMNODES; \
	     (node) = next_node(node, mask))

#endif /* KNUMA_NODEMASK_H */
