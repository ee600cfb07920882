/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/fake_sysfs.h - a machine made of texts
 *
 * Replaces kn_machine.read_file: only the files named here exist.
 */
#ifndef KN_TESTS_FAKE_SYSFS_H
#define KN_TESTS_FAKE_SYSFS_H

#include <stddef.h>

/* A machine without any file; begin every test with it. */
void fake_sysfs_start(void);

/*
 * Adds or replaces a file.  @path begins behind kn_machine.sysfs or
 * kn_machine.procfs: "node/online", "self/status"; or is a whole path.
 */
void fake_sysfs_file(const char *path, const char *text);
void fake_sysfs_remove(const char *path);

/* Files opened since fake_sysfs_start(), missing ones too. */
int fake_sysfs_reads(void);

/* A node that is online. */
struct fake_node {
	int id;
	const char *cpus; /* "" for a node without CPUs */
	int has_memory;
	const char *distance; /* one number for each node online */
};

/*
 * Writes all files of a machine with @nr nodes online.  @allowed: the list of
 * Mems_allowed, or NULL for no such file.
 */
void fake_sysfs_machine(const char *possible_nodes, const char *possible_cpus,
			const struct fake_node *nodes, int nr,
			const char *allowed);

/* All zonelists as "0: 0 1\n1: 1 0\n", kernel ids, in a static buffer. */
const char *zonelists_text(void);

/* kn_cpu_node of all CPUs as "0 0 1 1", kernel ids, in a static buffer. */
const char *cpu_nodes_text(void);

#endif
