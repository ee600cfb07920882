/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/hwloc.h - what hwloc knows that sysfs does not
 *
 * libhwloc is opened when it is asked for, never linked: programs start
 * without it, and work without it.
 */
#ifndef KN_NUMA_HWLOC_H
#define KN_NUMA_HWLOC_H

#include "numa/fake.h"
#include "numa/topology.h"

/* By dense id; 0 where hwloc says nothing. */
struct kn_hwloc {
	uint8_t distance[KN_MAX_NODES][KN_MAX_NODES]; /* 10: local */
	uint32_t latency_ns[KN_MAX_NODES];    /* from the nearest CPUs */
	uint32_t bandwidth_mib[KN_MAX_NODES]; /* a second, likewise */
	struct kn_pairs pairs;
};

/*
 * Fills @out on success.
 * Context: dlopen and malloc: not inside malloc, no knuma lock held.
 * Return: 0 or -Exxx, as kn_topology_refine(); errno may change.
 */
int kn_hwloc_read(struct kn_hwloc *out) kn_must_check;

/*
 * Describes the machine of an XML file of lstopo(1), to be used by
 * kn_fake_use(); from then on kn_hwloc_read() reads @xml.  Distances and
 * attributes are not in it, those come by kn_topology_refine().
 *
 * A CPU that is local to several nodes is of the one with the lowest number:
 * fast and slow memory may lie beside the same CPUs, and only the kernel's own
 * files tell whose they are.  A CPU that is local to none is used like one that
 * is offline.  Both are counted.
 *
 * Context: as kn_hwloc_read(); @xml is kept.
 * Return: 0, or -Exxx with the reason in @why: -ENOENT without hwloc, -ERANGE
 * for more than knuma has room for, -EINVAL for no machine.
 */
struct kn_hwloc_cpus {
	int shared, homeless;
};

int kn_hwloc_describe(const char *xml, struct kn_fake *out,
		      struct kn_hwloc_cpus *odd,
		      struct kn_text *why) kn_must_check;

/* "libhwloc.so.15"; tests name another file before the first reading. */
extern const char *kn_hwloc_library;

#endif
