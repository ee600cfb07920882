/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/numa.h - which node memory is on, and which nodes there are
 *
 * Node ids are the system's.  They may have gaps, so loops go from one node to
 * the next instead of counting:
 *
 *   for (int n = knuma_next_node(-1); n >= 0; n = knuma_next_node(n))
 *
 * A process uses the nodes that are online or have memory when it starts, at
 * most 64.  A node that is possible and offline then is not used: memory that
 * is plugged into it later serves processes that start afterwards.  In this one
 * an allocation that names it comes from the nearest node with memory to the
 * caller's CPU; with __GFP_THISNODE it fails with ENOMEM.
 *
 * The others may lose their memory and get it back, and cpuset.mems may forbid
 * them and allow them again.  The background work notices within trim_delay_ms,
 * knuma_trim() at once.  Until a node can be used again, an allocation that
 * names it comes from the next node of its zonelist, or fails with
 * __GFP_THISNODE; then pages that the system moved elsewhere are moved back.
 * What was allocated before stays valid, and is freed as ever.
 */
#ifndef KNUMA_NUMA_H
#define KNUMA_NUMA_H

#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * knuma_node_of - node that memory of knuma belongs to
 * @p: any address
 *
 * The node whose window @p lies in, which is where a free takes it.  Where the
 * system put the page is told by knuma_placement().
 *
 * Context: any thread, any signal handler.
 * Return:  the node id; -1 for an address that is not knuma's.
 */
int knuma_node_of(const void *p) KN_API;

/**
 * knuma_nr_nodes - number of nodes with memory, of those the process uses
 *
 * Context: any thread, any signal handler.
 * Return:  at least 1.  Not a bound for node ids: use knuma_next_node().
 */
int knuma_nr_nodes(void) KN_API;

/**
 * knuma_next_node - next node with memory that the process uses, by rising id
 * @node: a node id, or -1 for the first one
 *
 * Context: any thread, any signal handler.
 * Return:  the smallest id above @node; -1 when there is none.
 */
int knuma_next_node(int node) KN_API;

/**
 * knuma_numa_node_id - node of the running CPU, with or without memory
 *
 * For a CPU of a node that the process does not use: as knuma_numa_mem_id().
 *
 * Context: any thread, any signal handler.
 * Return:  the node id, a moment old: the thread may have moved on.
 */
int knuma_numa_node_id(void) KN_API;

/**
 * knuma_numa_mem_id - nearest node with memory to the running CPU
 *
 * What NUMA_NO_NODE stands for.
 *
 * Context: any thread, any signal handler.
 * Return:  the node id, a moment old: the thread may have moved on.
 */
int knuma_numa_mem_id(void) KN_API;

/**
 * knuma_zonelist - order in which nodes serve an allocation
 * @node: node id that the allocation names, or NUMA_NO_NODE
 * @nodes: room for n ids, filled [0, min(n, return value)), nearest first
 * @n: ids that fit, at least 0
 *
 * For a possible node that the process does not use: the list of NUMA_NO_NODE.
 *
 * Context: any thread, any signal handler.
 * Return:  the length of the whole list.
 * Errors:  -EINVAL when @node is no possible id, -ENOMEM when the library
 *          cannot start.
 */
int knuma_zonelist(int node, int *nodes, int n) KN_API;

/**
 * knuma_distance - distance between two nodes
 * @a: node id
 * @b: node id
 *
 * Context: any thread, any signal handler.
 * Return:  as in the firmware's table: 10 within a node, larger when farther.
 * Errors:  -EINVAL when one of them is no possible id, -ENODEV when the process
 *          does not use one of them, -ENOMEM when the library cannot start.
 */
int knuma_distance(int a, int b) KN_API;

/* What knuma_node_best() chooses by. */
enum knuma_attr {
	KNUMA_LATENCY,	 /* least time until the first byte */
	KNUMA_BANDWIDTH, /* most bytes a second */
	KNUMA_CAPACITY,	 /* most memory in total */
};

/**
 * knuma_node_best - node whose memory suits best
 * @attr: what counts
 * @from: node id of the CPUs that will use the memory, or NUMA_NO_NODE for that
 *        of the running CPU
 *
 * As hwloc's memory attributes tell, which knuma_topology_refine() or, in a
 * process with threads, the background work reads; the capacity is known
 * before.  Of nodes that are equally good the nearest.  Nodes of which nothing
 * is told are passed over.  When nothing is told of any node, as before hwloc
 * was asked, where the firmware has no such table (HMAT), and from nodes without
 * CPUs, the nearest node by distance is the answer, and the statistic
 * best_by_distance counts it.
 *
 * Context: any thread, any signal handler.  May read files for the capacity.
 * Return:  the id of a node that has memory and is allowed.
 * Errors:  -EINVAL when @attr is none of the three or @from no possible id,
 *          -ENODEV when the process does not use @from, -ENOMEM when the
 *          library cannot start.
 * Notes:   Systems tell latency and bandwidth only from the nearest CPUs to
 *          their memory.
 */
int knuma_node_best(enum knuma_attr attr, int from) KN_API;

/**
 * knuma_placement - count on which nodes the pages of a range really are
 * @p: first byte of the range; any memory of the process
 * @bytes: length of the range
 * @pages_per_node: room for n counts, all set: [i] is for node id i; NULL if
 *                  only the sum is wanted
 * @n: counts that fit, at least 0
 *
 * Asks the system with move_pages(2).  Pages that were never touched are not
 * counted, and stay untouched.
 *
 * Context: any thread, any signal handler.  Makes system calls.
 * Return:  pages that are present, also those on a node of id @n or above.
 * Errors:  -EINVAL when the range wraps around, -EPERM or -ENOSYS when the
 *          system refuses move_pages(2), -ENOMEM when the library cannot start.
 */
long knuma_placement(const void *p, size_t bytes, long *pages_per_node,
		     int n) KN_API;

/* A sample of the pages of one node, see knuma_verify_placement(). */
struct knuma_homes {
	int node;		  /* id; -1: a row that is not used */
	unsigned long sampled;	  /* pages in memory that were asked for */
	unsigned long away;	  /* of those, on another node */
	unsigned long on_purpose; /* of those, migrated or interleaved */
};

/**
 * knuma_verify_placement - sample where the pages of the heap are
 * @samples: pages in memory to find for each node, at least 1
 * @rows: n rows, all filled, a node each by rising id; the rest has node -1
 * @n: rows that fit, at least 0
 *
 * Asks the system with move_pages(2) for pages that lie spread over all that
 * objects, pages and areas of a node have used, free ones too.  Nothing is
 * touched, and no page brought in.  Where few pages are in memory, fewer are
 * found than are wanted.  What is found counts in home_checked and home_stale,
 * too.  The background work and knuma_trim() bring home what is not away on
 * purpose.
 *
 * Context: any thread, no signal handler.  Makes system calls.
 * Return:  pages of the sample that are away, those on purpose included.
 * Errors:  -EINVAL when @samples is 0 or @n below 0; -EPERM or -ENOSYS when the
 *          system refuses move_pages(2); -ENOMEM when the library cannot start.
 *          The rows are then undefined.
 * Notes:   Free pages serve next.  For each page that is wanted 64 are asked
 *          for, 8192 at least.  A page is away when its node was full or not
 *          usable, when mbind(2) is denied, when the system moved it, or on
 *          purpose.
 */
long knuma_verify_placement(unsigned long samples, struct knuma_homes *rows,
			    int n) KN_API;

/* What a migration met and did, in pages. */
struct knuma_migrated {
	unsigned long pages;  /* in memory afterwards */
	unsigned long before; /* on the wanted node before */
	unsigned long after;  /* on the wanted node afterwards */
};

/**
 * knuma_migrate - move memory in use to another node
 * @p: an object, block or area of knuma, its first byte; not freed meanwhile
 * @from: node id: only pages that are there; NUMA_NO_NODE: wherever they are
 * @to: node id
 * @m: what was done, NULL if not wanted; undefined if nothing was tried
 *
 * The pages move, addresses and content stay.  So do the node that
 * knuma_node_of() tells, which is the node that a free gives the memory back
 * to, and all statistics but away_bytes and migrated_pages; knuma_placement()
 * tells where the pages are.  A small object takes the others of its pages
 * along; a huge page is split where only a part of it is meant, but for locked
 * memory, of which all of it goes along for a while.  Pages that are not in memory are no matter
 * of this call: they come from the node that @p belongs to.
 *
 * It lasts until the memory is freed (of a slab: all its objects): then the
 * pages are brought home, by the background work or by knuma_trim().  Moving
 * them back by this call is possible, too.
 *
 * Pages that the system cannot move, as those that a fork shares, stay, and so do
 * reserved huge pages (hugetlb in knuma.conf(5)); @m tells.  With fake nodes nothing moves, and all the rest is as if it had.
 *
 * Context: any thread, no signal handler.  Makes system calls.
 * Return:  0.
 * Errors:  -EINVAL when nothing that is in use begins at @p, or @from or @to is
 *          no possible id; -ENODEV when the process does not use the node, or
 *          @to has no memory; -EACCES when @to is not allowed (cpuset); in
 *          these cases nothing was tried.  -ENOMEM when @to has no room for all
 *          of it: what had room was moved.  -EPERM or -ENOSYS when the system
 *          refuses move_pages(2).  -ENOMEM when the library cannot start.
 */
int knuma_migrate(const void *p, int from, int to,
		  struct knuma_migrated *m) KN_API KN_MUST_CHECK;

/**
 * knuma_migrate_cache - move all slabs of a cache to another node
 * @s: a cache
 * @from: as for knuma_migrate()
 * @to: as for knuma_migrate()
 * @m: as for knuma_migrate()
 *
 * knuma_migrate() for each slab that the cache has, of all nodes.  The cache
 * may be used meanwhile; slabs that are made during or after the call lie where
 * they belong.  Objects go on being served by their own node's number.
 *
 * Context: any thread, no signal handler.  Makes system calls.
 * Return:  0.
 * Errors:  as knuma_migrate(); -EINVAL when @s is NULL or destroyed.
 */
int knuma_migrate_cache(struct kmem_cache *s, int from, int to,
			struct knuma_migrated *m) KN_API KN_MUST_CHECK;

/**
 * knuma_topology_refine - order the zonelists by measured distances
 *
 * Loads hwloc, if it is installed, and replaces the zonelists that were made
 * from /sys by those of its distances and memory attributes.
 *
 * Context: Any thread, no signal handler.  Calls dlopen(3), reads files,
 *          allocates with malloc(3).  Allocation goes on meanwhile.
 * Return:  0.
 * Errors:  -ENOENT when hwloc is not installed, -EBUSY when another thread is
 *          reading the machine, -EXDEV when hwloc was told to describe another
 *          machine or the nodes are fake, -EPERM in a privileged (setuid)
 *          program, -ENOMEM when the library cannot start, or what hwloc
 *          reports; the zonelists are as before.
 */
int knuma_topology_refine(void) KN_API;

/**
 * knuma_nodes_are_fake - are the nodes pretended, by the setting fake_nodes?
 *
 * Then all of the library does what it would do on such a machine, but memory
 * is not bound, and knuma_placement() counts a page in memory on the node whose
 * window it is in, or where knuma was told to move it.
 *
 * Context: any thread, any signal handler.
 * Return:  true when they are.
 */
bool knuma_nodes_are_fake(void) KN_API;

KN_END_DECLS

#endif /* KNUMA_NUMA_H */
