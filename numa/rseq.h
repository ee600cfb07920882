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
 * A region holds the magazines of all caches for one (cid, node); the bank of a
 * cid is its regions, one a node.  So a place, the offset of a magazine in any
 * bank, names cache and node, and what a section needs besides is the bank,
 * which does not depend on the object.  The table of banks is longer than any
 * kernel has CPUs: a cid needs no bound check; NULL is a bank that does not
 * exist.
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
 * Regions are a power of two apart, magazines in them are not: their headers must
 * not share cache sets.
 */
#define KN_REGION_BYTES ((size_t)2 << 20)
KN_STATIC_ASSERT(KN_REGION_BYTES * KN_MAX_NODES <= UINT32_MAX,
		 "a place fits the map");

/* The magazine of cache @id for objects of @node, in any bank. */
static kn_always_inline uint32_t kn_mag_place(int node, uint32_t id)
{
	return (uint32_t)node * (uint32_t)KN_REGION_BYTES +
	       id * (uint32_t)sizeof(struct kn_magazine);
}

/* Between the copies of two CPUs of a word of alloc/percpu: 64 KiB. */
#define KN_PERCPU_SHIFT 16

/* Objects in a block, and so in a batch. */
#define KN_BATCH_MAX 62

/* What the fast paths load, on one line of its own; see numa/hot.h. */
struct kn_hot {
	uintptr_t base;			/* kn_span.base */
	uint64_t size;			/* kn_span.size; 0 before start-up */
	uintptr_t map;			/* kn_span.map, as if address 0 had the
					   first entry */
	const uint32_t *small_place;	/* of the cache for sizes up to
					   small_max: [(size - 1) / 16] */
	char *const *banks;		/* kn_banks */
	const uint32_t *cpu_place;	/* kn_cpu_place */
	int32_t rseq_off;		/* of struct rseq, from %fs */
	int32_t cid_off;		/* of the word that numbers magazines */
	uint32_t small_max;		/* largest kmalloc of the fast path; 0
					   before start-up */
} kn_cacheline;

extern struct kn_hot kn_hot;

/* By cid. */
extern char *kn_banks[KN_MAX_CPUS];

/* Place of the region of each CPU's node. */
extern uint32_t kn_cpu_place[KN_MAX_CPUS];

/* The same by kernel node id; KN_NO_PLACE for an id without a usable node. */
extern uint32_t kn_node_place[KN_MAX_NODE_IDS];
#define KN_NO_PLACE UINT32_MAX

static kn_always_inline uint32_t kn_region_of(int nid)
{
	return likely((unsigned)nid < KN_MAX_NODE_IDS) ?
		       kn_load_hot(&kn_node_place[nid]) :
		       KN_NO_PLACE;
}

/* Follows kn_cpu_node after it changed; in the thread that changes it. */
void kn_places_update(void);

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

/* kn_rseq_exchange() returns the word that was there, or one of these. */
#define KN_RSEQ_KEPT	     ((uint64_t)2) /* declined */
#define KN_RSEQ_KEPT_ABORTED ((uint64_t)4)

static kn_always_inline bool kn_rseq_exchanged(uint64_t was)
{
	return was - 1 >= KN_RSEQ_KEPT_ABORTED;
}

/*
 * @hot is kn_hot, by the name that the caller's library has for it.
 *
 * kn_rseq_pop(hot, place):  pop from the magazine of a cache, of the node of the
 *	running CPU; @place is the cache's on node 0
 * kn_rseq_pop_node(hot, place):  the same for the node of @place
 * kn_rseq_push(hot, place, obj):  push one object
 * kn_rseq_pop_batch(hot, place, buf, n):  moves up to @n (>= 1) objects to @buf;
 *	how many, 0 when declined, -1 when aborted
 * kn_rseq_push_batch(hot, place, buf, n):  moves all @n (>= 1) or none
 * kn_rseq_exchange(hot, place, i, word, keep):  puts @word into slot @i, below cur,
 *	of a magazine of the node of the running CPU, @place is that on node 0;
 *	the word before, which is no small number but 0.  Declines to replace one
 *	that has a bit of @keep
 * kn_rseq_cpu_add_8(hot, p, n):  adds *@n to the running CPU's copy of a word of
 *	8 bits, whose copy of CPU 0 is at @p; *@n becomes the value before.  Also
 *	_16, _32, _64
 * kn_rseq_cpu_xchg_8(hot, p, value, was):  replaces it
 * kn_rseq_cpu_cmpxchg_8(hot, p, old, value):  replaces it if it is *@old, which
 *	becomes the value before
 * kn_rseq_cpu():  the running CPU, negative without rseq
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
