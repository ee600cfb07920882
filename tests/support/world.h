/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/world.h - changing the machine under a running process
 *
 * For programs that are root in a guest of tests/vm: cpusets, CPUs and memory
 * that go offline.  What a test changes it puts back, for the next one runs in
 * the same guest.  Outside of a guest these end the test as skipped.
 */
#ifndef KN_TESTS_WORLD_H
#define KN_TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>

/* Ends the test as skipped when this is no guest with @nodes nodes or more. */
void world_needs(int nodes);

/* Writes @text to the file of that name; 0 or -errno. */
int world_write(const char *text, const char *path, ...)
	__attribute__((format(printf, 2, 3)));

/* The first line of the file, or "" when it cannot be read; static buffer. */
const char *world_read(const char *path, ...)
	__attribute__((format(printf, 1, 2)));

/*
 * Puts this process into a cgroup of its own with the controller cpuset, and
 * all nodes and CPUs.  Children are in it, too.
 */
void world_enter_cgroup(void);
void world_leave_cgroup(void);

/* A second cgroup with other nodes, and joining it or the first one. */
void world_make_other(unsigned nodes);
void world_join(bool other);
void world_remove_other(void);
void world_set_mems(unsigned nodes);
void world_set_cpus(const char *list);

/* Masks of node ids: with memory now, and with CPUs. */
unsigned world_memory_nodes(void);
unsigned world_cpu_nodes(void);

/* The highest node with at least @mib free, but for those of @except. */
int world_roomy_node(int mib, unsigned except);

/* Takes all memory of a node offline, or online again; false if it refuses. */
bool world_offline_memory(int node);
bool world_online_memory(int node);

/* The policy in numa_maps of the mapping that @p is in. */
const char *world_policy(const void *p);

/* Writes all of the memory, which then lies on @node: every page. */
void world_lies_on(void *p, size_t bytes, int node);

/* Pages of the range that lie on @node; whether all that are in memory do. */
long world_pages_on(const void *p, size_t bytes, int node);
bool world_is_on(const void *p, size_t bytes, int node);

/* Some MiB of every kind of memory, asked for on @node, lie on @expected. */
void world_all_kinds_lie_on(int node, int expected);

/*
 * Ends a group of tests: what one that failed has left offline is online again,
 * balancing is off.
 */
int world_restore(void **state);

/* Runs the thread on @cpu from here on. */
void world_run_on(int cpu);

#endif
