/* SPDX-License-Identifier: Apache-2.0 */
/* bench/nodes.h - the nodes as knuma sees them, and their CPUs */
#ifndef KN_BENCH_NODES_H
#define KN_BENCH_NODES_H

#include <stdint.h>

#include "bench/ids.h"
#include "bench/process.h"

enum {
	KN_NODES_MAX = 64 /* what knuma uses at most */
};

struct kn_node {
	int id;
	bool has_memory;
	uint64_t free_bytes;	    /* memory that is free; 0: unknown */
	struct kn_ids cpus;	    /* those this process may run on */
	int distance[KN_NODES_MAX]; /* by index; -1: unknown */
};

struct kn_nodes {
	int nr;
	bool fake; /* made up by a setting of knuma */
	struct kn_node node[KN_NODES_MAX];
};

/*
 * Asks a child that opens knuma's @library.  Binding to one CPU after the other
 * tells which node each is of, by the library's own account.
 */
bool kn_nodes_ask(const char *library, struct kn_nodes *nodes,
		  char why[KN_WHY_LEN]);

/* The child's half; returns an exit code. */
int kn_nodes_tell(const char *library);

/* The node of this id; NULL when there is none. */
const struct kn_node *kn_nodes_find(const struct kn_nodes *nodes, int id);

/* Keeps the nodes of @list alone; false when one of them is not here. */
bool kn_nodes_keep(struct kn_nodes *nodes, const char *list,
		   char why[KN_WHY_LEN]);

static inline bool kn_node_has_cpus(const struct kn_node *node)
{
	return kn_ids_count(&node->cpus) > 0;
}

#endif
