/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/rseq.h - restartable sequences on a magazine, and what they touch
 *
 * A magazine is an array of free objects of one cache and one node that only
 * the running CPU (by mm_cid: a small number the kernel gives to each running
 * thread of a process; by CPU number on kernels without it) pushes to and pops
 * from, in sections that commit with one store.  A section that is preempted,
 * migrated or interrupted by a signal restarts from nothing.
 *
 *   cur   low 16 bits: objects in the magazine; high 48: objects popped so far.
 *         Loaded and stored whole, so the count of pops costs nothing.
 *   beg   a pop needs cur > beg; 0 open, UINT32_MAX closed
 *   end   a push needs cur < end; capacity open, 0 closed
 *
 * Sections read the gate words before cur.  Owners write cur only; beg, end and
 * the cur of others belong to the holder of the drain lock (see drain.c).
 * Zero-filled memory is an empty magazine that takes nothing.
 *
 * A region holds the magazines of all caches for one (cid, node).  The table of
 * regions has KN_MAX_CPUS rows a node, more than any kernel has CPUs, so that
 * a cid needs no bound check; NULL is a region that does not exist.
 *
 * A thread without rseq (raw clone, glibc told not to register) has a negative
 * cpu_id and never enters; so has every thread in fallback mode.
 */
#ifndef KN_NUMA_RSEQ_H
#define KN_NUMA_RSEQ_H

#include "numa/topology.h"

#define KN_MAG_SLOTS 142

struct kn_magazine {
	uint64_t cur;
	uint32_t beg;
	uint32_t end;
	void *slot[KN_MAG_SLOTS];
};

/*
 * A cache's key is its id times KN_KEY_STEP.  It is what the map holds, because
 * one shift makes the offset of the magazine in its region of it, where an id
 * would want a multiplication, on the longest path of a free.  Magazines are no
 * power of two apart: their headers must not share cache sets.
 */
#define KN_KEY_STEP 9u
#define KN_KEY_SHIFT 7
KN_STATIC_ASSERT(sizeof(struct kn_magazine) == KN_KEY_STEP << KN_KEY_SHIFT,
		 "magazines follow each other in a region");

/* The largest batch that a section copies. */
#define KN_BATCH_MAX 62

/* What the fast paths load, on one line of its own. */
struct kn_hot {
	uintptr_t base;			/* kn_span.base */
	uint64_t size;			/* kn_span.size; 0 before start-up */
	uintptr_t map;			/* kn_span.map, as if address 0 had the
					   first entry */
	struct kn_magazine **regions;	/* [node * KN_MAX_CPUS + cid], with two
					   NULLs before, for cid -1 and -2 */
	intptr_t rseq_off;		/* of struct rseq, from %fs */
	intptr_t cid_off;		/* of the word that numbers magazines */
	uint32_t window_shift;
	uint64_t small_max;		/* largest kmalloc of the fast path; 0
					   before start-up */
} kn_cacheline;

extern struct kn_hot kn_hot;

/*
 * The row of the node of each CPU, from kn_cpu_rows[2] on; the two before are
 * those of cpu_id -1 and -2, a thread without rseq: a row without regions.
 */
extern struct kn_magazine **kn_cpu_rows[KN_MAX_CPUS + 2];

/* The same by kernel node id; NULL for an id without a usable node. */
extern struct kn_magazine **kn_node_rows[KN_MAX_NODE_IDS];

/* Follows kn_cpu_node after it changed. */
void kn_cpu_rows_update(void);

enum kn_rseq_ret {
	KN_RSEQ_DONE,
	KN_RSEQ_DECLINED,	/* closed, empty, full, no region, no rseq */
	KN_RSEQ_ABORTED,	/* the section was interrupted: try again */
	KN_RSEQ_DUP,		/* push: the object is on top already */
};

/* kn_rseq_pop() returns an object, NULL for declined, or this for aborted. */
#define KN_RSEQ_POP_ABORTED ((void *)1)

static kn_always_inline bool kn_rseq_popped(const void *obj)
{
	return (uintptr_t)obj > (uintptr_t)KN_RSEQ_POP_ABORTED;
}

static kn_always_inline struct kn_magazine **kn_region_row(uint64_t node)
{
	return kn_hot.regions + node * KN_MAX_CPUS;
}

/*
 * kn_rseq_pop(key):  pop from the magazine of a cache, of the node of the
 *	running CPU; @key is of an id below what a region holds
 * kn_rseq_pop_node(key, row):  the same for the node of @row
 * kn_rseq_push(key, row, obj):  push one object
 * kn_rseq_pop_batch(key, row, buf, n):  moves up to @n (<= KN_BATCH_MAX) objects
 *	to @buf; how many, 0 when declined, -1 when aborted
 * kn_rseq_push_batch(key, row, buf, n):  moves all @n or none
 * kn_rseq_cid():  number of the running CPU's magazines, -1 without rseq
 */
#if defined(__x86_64__)
#include "numa/rseq/x86_64.h"
#else
#include "numa/rseq/none.h"
#endif

/*
 * Finds out whether sections can be used: registered by glibc, membarrier with
 * rseq granted, self-test passed.  Fills rseq_off and cid_off.  NULL, or the
 * reason why not, a static string.  Called while the process starts.
 */
const char *kn_rseq_init(bool wanted);

#endif
