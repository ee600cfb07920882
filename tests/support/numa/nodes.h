/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/numa/nodes.h - the nodes as the system sees them
 *
 * Tests of placement hold knuma against this, so nothing here asks knuma: nodes
 * and distances are libnuma's, free memory and watermarks are read from the
 * files of the kernel, and where a page lies is told by move_pages(2).  Node ids
 * are the kernel's.
 */
#ifndef KN_TESTS_NUMA_NODES_H
#define KN_TESTS_NUMA_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES_MAX 64

struct node_list {
	int nr;
	int id[NODES_MAX];
};

/* Nodes with memory, nodes with CPUs, by rising id. */
struct node_list nodes_with_memory(void);
struct node_list nodes_with_cpus(void);

/* Nodes with memory other than @node, nearest first; equal ones by id. */
struct node_list nodes_by_distance(int node);
int nodes_distance(int a, int b);

/* True when @node is as near to @from as any node with memory. */
bool is_nearest(int from, int node);

/* The calling thread runs on the CPUs of @node from here on, or on any. */
void run_on_node(int node);
void run_anywhere(void);

/* Node of the CPU that the thread runs on. */
int running_node(void);

uint64_t node_total(int node);
uint64_t node_free(int node);

/*
 * Free memory of @node down to which nobody else is asked: all above the high
 * watermarks of its zones, less what @slack bytes of other users may take.
 */
uint64_t node_spare(int node, uint64_t slack);

/* Pages of a range, by the node that they lie on. */
struct pages {
	long present;
	long absent; /* never touched, or the zero page */
	long on[NODES_MAX];
};

/* Adds the pages of [@p, @p + @bytes) to @in, one by one. */
void count_pages(const void *p, size_t bytes, struct pages *in);

/* Pages of the range that are in memory, and not on @node. */
long pages_off(const void *p, size_t bytes, int node);

/* Writes one byte in each page of the range. */
void touch_pages(void *p, size_t bytes);

/* Ends the child unless each page of the range is in memory and on @node. */
void expect_on(const void *p, size_t bytes, int node, const char *what);

/* One line of text in a file of /proc or /sys; false when it is refused. */
bool write_line(const char *path, const char *line);

/*
 * Sets transparent huge pages to @mode, "always", "madvise" or "never": what they
 * were before.  Ends the process when that is refused.
 */
const char *thp_mode(const char *mode);

/* Sets automatic NUMA balancing, "0" or "1"; false when that is refused. */
bool autonuma(const char *on);

/* A number in a file of /proc or /sys; -1 when there is none. */
long read_number(const char *path);

/* Word @index of /proc/self/pagemap, /proc/kpageflags and the like. */
uint64_t kernel_entry(const char *path, uint64_t index);

#endif
