/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/fake.h - nodes that the machine does not have
 *
 * A fake machine is a layer over kn_machine: its files of /sys describe the
 * fake nodes, mbind(2) is not called, and a page in memory lies where its
 * window says, or where kn_machine.move_pages() was told to put it.  Everything
 * above does what it would do on such a machine.  Memory is where the system
 * puts it: what a fake machine shows of placement is about knuma's logic only,
 * and whoever shows it says so.
 *
 * With levels ("numa:8 pu:128") CPUs have the numbers that the levels give
 * them.  CPUs that the machine has beyond those, and all CPUs where only the
 * number of nodes was said, are divided: those online in equal rows of
 * numbers, the others in turn.
 */
#ifndef KN_NUMA_FAKE_H
#define KN_NUMA_FAKE_H

#include "numa/topology.h"

struct kn_fake_node {
	int16_t id; /* kernel's */
	bool has_memory;
	int64_t total_bytes; /* -1: its share of this machine */
};

struct kn_fake {
	int nr_nodes;
	int nr_cpus;
	struct kn_fake_node node[KN_MAX_NODES]; /* by rising id */
	uint8_t cpu_node[KN_MAX_CPUS]; /* index into node[], KN_NO_HOME */
	uint8_t distance[KN_MAX_NODES][KN_MAX_NODES];
};

/*
 * Puts the machine of the tunable fake_nodes in place of the real one, if the
 * tunable says one.  Before kn_topology_init(), once; a start that is tried
 * again calls it again.  Takes no memory.
 */
void kn_fake_start(const char *spec);

/* The same for a machine that the caller has described and keeps. */
void kn_fake_use(const struct kn_fake *fake);

extern bool kn_fake_on;

#endif
