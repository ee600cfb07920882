/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/hwloc.h - what hwloc knows that sysfs does not
 *
 * libhwloc is opened when it is asked for, never linked: programs start
 * without it, and work without it.
 */
#ifndef KN_NUMA_HWLOC_H
#define KN_NUMA_HWLOC_H

#include "numa/topology.h"

/* By dense id; 0 where hwloc says nothing. */
struct kn_hwloc {
	uint8_t distance[KN_MAX_NODES][KN_MAX_NODES]; /* 10: local */
	uint32_t latency_ns[KN_MAX_NODES];    /* from the nearest CPUs */
	uint32_t bandwidth_mib[KN_MAX_NODES]; /* a second, likewise */
};

/*
 * Fills @out on success.
 * Context: dlopen and malloc: not inside malloc, no knuma lock held.
 * Return: 0 or -Exxx, as kn_topology_refine(); errno may change.
 */
int kn_hwloc_read(struct kn_hwloc *out) kn_must_check;

/* "libhwloc.so.15"; tests name another file before the first reading. */
extern const char *kn_hwloc_library;

#endif
