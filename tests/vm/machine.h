/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/vm/machine.h - what the guest was told to be
 *
 * tests/vm/guest says in the environment which machine QEMU was asked for.
 * Tests compare that, not what the kernel makes of it, with what knuma says.
 */
#ifndef KN_TESTS_VM_MACHINE_H
#define KN_TESTS_VM_MACHINE_H

#include <stdbool.h>

#define VM_MAX_NODES 16

struct vm_machine {
	const char *name; /* as "ring_6.12" */
	int nr_nodes;	  /* ids 0 to nr_nodes - 1 */
	int nr_cpus;	  /* node after node, in the order of ids */
	int plugged;	  /* node that can be unplugged, or -1 */
	bool hmat;
	int cpus[VM_MAX_NODES];
	int mib[VM_MAX_NODES];
	int distance[VM_MAX_NODES][VM_MAX_NODES];
	/* From CPUs of the first to memory of the second; 0: not said. */
	int latency_ns[VM_MAX_NODES][VM_MAX_NODES];
	int bandwidth_mb[VM_MAX_NODES][VM_MAX_NODES];
};

/* Read once; ends the process when this is no guest of tests/vm/guest. */
const struct vm_machine *vm_machine(void);

/* The node that a CPU was put on. */
int vm_node_of_cpu(int cpu);

/* The node with CPUs that is nearest, or the node itself if it has some. */
int vm_initiator(int node);

#endif
