/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/topology.h - nodes, CPUs, distances and zonelists
 *
 * Kernel node ids are sparse and may be large; inside knuma a node is its
 * *dense id*, 0..nr_nodes-1, in the order of the kernel's ids.  The first
 * reading comes from sysfs and procfs with buffers on the stack, because it
 * runs inside the first malloc; hwloc refines it later, from calls that may
 * wait, by swapping whole zonelists.
 *
 * A memory-less node has a dense id and a window, and nothing ever lies there:
 * its CPUs use the nearest node with memory (kn_cpu_node).
 */
#ifndef KN_NUMA_TOPOLOGY_H
#define KN_NUMA_TOPOLOGY_H

#include "alloc/base/atomic.h"
#include "alloc/base/print.h"

#define KN_MAX_NODES 64		/* dense ids; one bit each in a uint64_t */
#define KN_MAX_NODE_IDS 1024	/* kernel ids */
#define KN_MAX_CPUS 8192	/* the kernel's own limit on any machine */

struct kn_topology {
	int nr_nodes;			/* nodes with windows, dense */
	int nr_cpus;			/* highest possible CPU id + 1 */
	int16_t kernel_id[KN_MAX_NODES];
	int8_t dense_id[KN_MAX_NODE_IDS]; /* -1: not possible; KN_NODE_OFFLINE */
	uint64_t has_memory;		/* masks of dense ids */
	uint64_t has_cpu;
	uint64_t allowed;		/* Mems_allowed of this process */
	uint64_t online;
	uint8_t distance[KN_MAX_NODES][KN_MAX_NODES];
	bool refined;			/* hwloc has been asked */
	uint8_t tier[KN_MAX_NODES];	/* slowness of the memory; 0: fastest */
	uint32_t latency_ns[KN_MAX_NODES]; /* from the nearest CPU; 0: unknown */
	uint32_t bandwidth_mib[KN_MAX_NODES]; /* a second; 0: unknown */
};

/*
 * What hwloc says of a node's memory as seen from the CPUs of another; 0:
 * nothing.  Written only where hwloc was asked, so else it takes no memory.
 */
struct kn_pairs {
	uint32_t latency_ns[KN_MAX_NODES][KN_MAX_NODES]; /* [from][to] */
	uint32_t bandwidth_mib[KN_MAX_NODES][KN_MAX_NODES]; /* a second */
	uint32_t capacity_mib[KN_MAX_NODES];
};

extern struct kn_pairs kn_pairs;

/* Nodes to try, nearest first; only nodes with memory that are allowed. */
struct kn_zonelist {
	int nr;
	uint8_t node[KN_MAX_NODES];
};

extern struct kn_topology kn_topo;

/* Dense node with memory that is nearest to a CPU.  Read inside sections. */
extern uint8_t kn_cpu_node[KN_MAX_CPUS];

/* Dense node that a CPU belongs to, with memory or not. */
extern uint8_t kn_cpu_home[KN_MAX_CPUS];
#define KN_NO_HOME 0xff		/* not said: the CPU is offline */

/* Zonelists by dense id; replaced whole, never freed. */
extern const struct kn_zonelist *kn_zonelists[KN_MAX_NODES];

/* First reading, by sysfs.  Never fails: an unreadable machine is one node. */
void kn_topology_init(void);

/*
 * Asks hwloc (dlopen) for distances and for the speed of the memory.
 * Context: takes memory and milliseconds; never inside malloc.
 * Return: 0, or -Exxx and the reading before stays: -ENOENT without hwloc,
 * -EBUSY when another thread is at it, -EXDEV when hwloc was told to describe
 * another machine or nodes are fake, -EPERM in a privileged (setuid) program.
 */
int kn_topology_refine(void);

/*
 * Reads again what can change while the process runs: Mems_allowed, which
 * nodes are online and have memory, which CPUs.  The nodes stay the same.
 * Context: system calls, no memory; any thread, at any time after
 * kn_topology_init().  When another thread is reading, it does it once more.
 */
void kn_topology_reread(void);

enum kn_fmt { KN_FMT_TEXT, KN_FMT_JSON, KN_FMT_CSV };

/* What is known of the machine, for people or programs; kernel node ids. */
void kn_topology_print(struct kn_text *t, enum kn_fmt fmt);

/* Zonelists and best nodes alone, as text: what does not change by itself. */
void kn_topology_print_choice(struct kn_text *t);

/*
 * A node that is possible and was offline at start has no dense id, and so no
 * window: virtual machines declare 128 nodes and have one.  Memory that is
 * plugged into such a node is used by processes that start afterwards.
 */
#define KN_NODE_OFFLINE (-2)

/* Dense id of a kernel id; -1 when not possible, else KN_NODE_OFFLINE. */
static inline int kn_node_dense(int kernel_id)
{
	if (kernel_id < 0 || kernel_id >= KN_MAX_NODE_IDS)
		return -1;
	return kn_topo.dense_id[kernel_id];
}

static inline bool kn_node_usable(int node)
{
	return (kn_load(&kn_topo.has_memory) & kn_load(&kn_topo.allowed)) >>
	       node & 1;
}

static inline const struct kn_zonelist *kn_zonelist(int node)
{
	return kn_load_acquire(&kn_zonelists[node]);
}

/* Bytes free on a node by its meminfo, or -Exxx. */
int64_t kn_node_free_bytes(int node);

/* Nearest node with memory to the running CPU. */
int kn_this_node(void);

/* Node of the running CPU, with memory or not. */
int kn_this_home(void);

#endif
