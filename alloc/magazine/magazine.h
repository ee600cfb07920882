/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/magazine.h - the per-CPU layer of a cache
 *
 *   pop <- magazine (cid, node) <- batch <- depot (node) <- refill   slabs or
 *   push -> magazine (cid, node) -> batch -> depot (node) -> flush   buddy
 *
 * A kn_magcache is what slab caches and the page lists have in common: objects
 * of one kind on every node, cached in magazines and depots, and two functions
 * that get more and give back.
 *
 * Invariants:
 *   M1  An object in a magazine or depot of a node lies on that node.
 *   M2  Owners write cur, in a section; all else in a magazine is written by the
 *       holder of the drain lock.
 *   M3  A magazine is used only after beg and end were read, in that order
 *       before cur, by the section itself.
 *
 * Who may run beside whom (- free, F needs the fence of drain.c first):
 *             pop   push  open  drain
 *   pop        -     -     -     F
 *   push       -     -     -     F
 *   open       -     -     X     X     drain lock; open only tries
 *   drain      F     F     X     X
 *
 * In fallback mode (no rseq) the magazines are numbered by CPU and entered
 * through a try-lock; who finds it taken goes to the depot.
 *
 * Design: docs/design/magazine.md.
 */
#ifndef KN_MAGAZINE_MAGAZINE_H
#define KN_MAGAZINE_MAGAZINE_H

#include <knuma/gfp.h>

#include "alloc/magazine/depot.h"
#include "alloc/magazine/ids.h"

/* Set by the malloc front: keeps the reserve of GFP_ATOMIC unfilled. */
#define KN_GFP_MALLOC ((gfp_t)1 << 31)

/* All bits that mean something. */
#define KN_GFP_KNOWN (__GFP_BITS_MASK | KN_GFP_MALLOC | KN_GFP_REMEMBER)

/* Flags that a fast path declines: work to do, and bits of knuma's own or none. */
#define KN_GFP_SLOW   (__GFP_ZERO | __GFP_ACCOUNT | ~__GFP_BITS_MASK)

/* May take what is kept for urgent calls. */
static inline bool kn_gfp_urgent(gfp_t gfp)
{
	return gfp & (__GFP_HIGH | __GFP_MEMALLOC) && !(gfp & __GFP_NOMEMALLOC);
}

struct kn_magcache {
	uint16_t id;
	uint32_t place;		/* on node 0 */
	uint32_t fast_place;	/* the same for fast paths; 0, of a magazine that
				   never opens, if they must not serve */
	uint16_t batch;		/* objects exchanged with the depot */
	uint16_t capacity;	/* objects in a magazine when it opens; 0: it
				   never does, and frees go to the source */
	uint16_t most;		/* and after misses, see kn_mag_widen() */
	uint32_t size;		/* bytes of an object, for that */
	bool closed;		/* gates stay closed; drain lock */
	uint32_t depot_max;	/* full batches a depot keeps of what is freed */
	uint32_t depot_most;	/* and of what is handed over */
	struct kn_depot *depot;	/* by node */
	const char *name;	/* for reports */

	/*
	 * Gets up to @n objects of @node: how many, 0 when there are none.
	 * Waits only if @gfp has __GFP_DIRECT_RECLAIM.
	 */
	uint32_t (*refill)(struct kn_magcache *c, int node, gfp_t gfp,
			   void **obj, uint32_t n);
	/* Takes back @n objects of @node.  Never waits, never fails. */
	void (*flush)(struct kn_magcache *c, int node, void **obj, uint32_t n);
};

/* Caches by id; a slot is reused only after its magazines were drained. */
extern struct kn_magcache *kn_magcaches[KN_NR_IDS];
extern uint32_t kn_nr_magcaches;	/* the highest id ever used + 1 */

/*
 * From here on each call reaches refill and flush, for one object: no magazine
 * opens, and the depot takes nothing.  What they have is for kn_drain_cache() to
 * take out.  kn_drain_resume() undoes it.
 */
void kn_magcache_direct(struct kn_magcache *c);

enum kn_mag_mode {
	KN_MAG_RSEQ,		/* sections, numbered by mm_cid or CPU */
	KN_MAG_FALLBACK,	/* try-locks, numbered by CPU */
	KN_MAG_DEPOT,		/* the fence was refused late: no magazines */
};
extern enum kn_mag_mode kn_mag_mode;
extern const char *kn_mag_reason;	/* why not rseq; NULL in rseq mode */

/* Chooses the mode.  0, or -ENOMEM. */
int kn_mag_init(bool want_rseq);

/*
 * With a guard_sample below this fast paths are closed, and each allocation is
 * counted; above it they are counted by what magazines gave out.
 */
#define KN_SAMPLE_EXACT 256

/* Whether allocations go past the fast paths, by the settings. */
bool kn_allocs_are_slow(void);

/* What follows from the settings and the size of an object, of a cache that
 * nobody uses. */
void kn_magcache_set_size(struct kn_magcache *c, size_t size);

/*
 * Batches of @n objects but @bytes, if that is more.  A magazine may have room for
 * less at first.  After kn_magcache_init(), before use.
 */
void kn_magcache_set_batch(struct kn_magcache *c, uint32_t n, size_t bytes);

/* Enters @c with its @id; objects are @size bytes. */
void kn_magcache_init(struct kn_magcache *c, uint16_t id, size_t size);

/*
 * One object of @c on @node, or NULL: the ladder behind a pop that declined.
 *
 * Context: no knuma lock held; waits only if @gfp has __GFP_DIRECT_RECLAIM.
 */
void *kn_mag_alloc(struct kn_magcache *c, int node, gfp_t gfp);

/* Up to @n objects into @obj; how many.  0 only if there is none. */
uint32_t kn_mag_alloc_bulk(struct kn_magcache *c, int node, gfp_t gfp,
			   void **obj, uint32_t n);

/* Takes @obj of @node back.  Any context. */
void kn_mag_free(struct kn_magcache *c, int node, void *obj);
void kn_mag_free_bulk(struct kn_magcache *c, int node, void **obj, uint32_t n);

/*
 * The magazine of the running CPU alone, with nothing behind it: up to @n
 * objects out of it, how many; all @n into it, or none.
 */
uint32_t kn_mag_pop_some(struct kn_magcache *c, int node, void **obj, uint32_t n);
enum kn_rseq_ret kn_mag_push_some(struct kn_magcache *c, int node,
				  void *const *obj, uint32_t n);

/*
 * Puts @word into slot @i of the running CPU's magazine on its own node, if there
 * are that many objects in it: the word before, or KN_RSEQ_KEPT.
 */
uint64_t kn_mag_exchange(struct kn_magcache *c, uint32_t i, uint64_t word);

/*
 * Gives a batch straight to the depot, past the caller's magazine; to its source
 * when the depot is full, or the batch so small that it is not worth a block.
 * May wait, for memory for a block.
 */
void kn_mag_hand_over(struct kn_magcache *c, int node, void **obj, uint32_t n);

/* The same for the first @n of @b, which is the depot's then; false: it is full. */
bool kn_mag_hand_over_block(struct kn_magcache *c, int node, struct kn_block *b,
			    uint32_t n);

/*
 * A step of work for calls that may wait, in no lock, when magazines run empty:
 * set by alloc/core/background.c.
 */
extern void (*kn_slow_hook)(bool from_malloc);

static inline void kn_slow_step(gfp_t gfp)
{
	void (*hook)(bool from_malloc) = kn_load(&kn_slow_hook);

	if (hook && gfpflags_allow_blocking(gfp))
		hook(gfp & KN_GFP_MALLOC);
}

/* Objects in the depot of @node, counted one batch after the other. */
uint64_t kn_mag_in_depot(const struct kn_magcache *c, int node);

/* Node whose magazine the caller's plain allocations come from. */
static inline int kn_mag_node(void)
{
	return kn_topo.nr_nodes == 1 ? 0 : kn_this_node();
}

/*
 * The place of the region that a call for kernel id @nid, or NUMA_NO_NODE, starts
 * at; KN_NO_PLACE if there is none.
 */
static inline uint32_t kn_region_wanted(int nid)
{
	return nid == NUMA_NO_NODE ? kn_mag_place(kn_mag_node(), 0) :
				     kn_region_of(nid);
}

#endif
