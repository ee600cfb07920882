/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/cgroup.h - what the cgroups above this process allow it
 *
 * Versions 1 and 2, and both at once: each controller is looked for where
 * /proc/self/mountinfo says that it is mounted.  A limit of any cgroup from the
 * own one up to that mount holds, so the smallest counts.  In a container the
 * own path may lie outside of what is mounted; the mount itself is the cgroup
 * then.
 *
 * Context of all: the caller's memory and one mapping; system calls.
 */
#ifndef KN_NUMA_CGROUP_H
#define KN_NUMA_CGROUP_H

#include "alloc/base/compiler.h"

#define KN_CGROUP_PATH 240 /* longer ones count as not found */
#define KN_CGROUP_NONE UINT64_MAX
#define KN_CPU_MILLI   1000 /* of one CPU */

/* A controller, and the cgroup of this process in it. */
struct kn_cgroup_dir {
	int version;	  /* 1 or 2; 0: not found */
	size_t mount_len; /* of the part of @path that is the mount */
	char path[KN_CGROUP_PATH];
};

struct kn_cgroup {
	struct kn_cgroup_dir memory, cpu, unified;
	uint64_t max;	    /* bytes that may be charged, or KN_CGROUP_NONE */
	uint64_t high;	    /* bytes from which on the kernel throttles */
	uint64_t cpu_milli; /* quota in thousandths of a CPU, or none */
	/* Where the smaller of max and high stands. */
	char limited[KN_CGROUP_PATH];
};

/*
 * Finds the cgroups and reads their limits.  0; -Exxx when /proc cannot be read,
 * and then nothing is limited.
 */
int kn_cgroup_read(struct kn_cgroup *c) kn_must_check;

/* The limits again, of the same cgroups. */
void kn_cgroup_reread(struct kn_cgroup *c);

/* The smaller of max and high, or KN_CGROUP_NONE. */
static inline uint64_t kn_cgroup_limit(const struct kn_cgroup *c)
{
	return KN_MIN(c->max, c->high);
}

/*
 * What is charged where the limit stands, without file pages that nobody used
 * lately and the kernel drops first.  False when that cannot be read.
 */
bool kn_cgroup_used(const struct kn_cgroup *c, uint64_t *bytes);

/* Times that memory.high or the limit was run into there; 0 if unreadable. */
uint64_t kn_cgroup_events(const struct kn_cgroup *c);

/*
 * The file with the stalls for lack of memory: of the own cgroup, else of the
 * machine.  False when the kernel has neither.
 */
bool kn_pressure_path(const struct kn_cgroup *c,
		      char path[KN_CGROUP_PATH + 32]);

/* Microseconds that some task has stalled, from such a file. */
bool kn_pressure_stall(const char *path, uint64_t *us);

#endif
