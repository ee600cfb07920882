/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/magazine/depot.h - full batches of one cache on one node
 *
 * A batch of objects travels between magazines and the depot in a block.  Both
 * the full blocks of a depot and the empty blocks of a node are lock-free
 * stacks, so the depot is open to signal handlers, has no holder that could be
 * preempted, and is consistent at every moment of a fork.
 *
 *   D1  A block is in exactly one place: a depot, the empty stack, a spare, or
 *       a call.
 *   D2  Blocks are never unmapped: a pop may read the link of a block that
 *       another thread has just taken (the generation of the head then fails).
 *   D3  nr_full is a hint for limits; the stack is the truth, and of any block
 *       others may read nr at any time.
 */
#ifndef KN_MAGAZINE_DEPOT_H
#define KN_MAGAZINE_DEPOT_H

#include "alloc/base/atomic.h"
#include "numa/rseq.h"

struct kn_block {
	ck_stack_entry_t link;
	uint64_t nr;
	void *obj[KN_BATCH_MAX];
};
KN_STATIC_ASSERT(sizeof(struct kn_block) == 512, "blocks fill cache lines");

/* Blocks are made 32 at a time: four pages, enough for 2000 objects. */
#define KN_CHUNK_BLOCKS 32

struct kn_depot {
	ck_stack_t full __attribute__((aligned(16)));
	uint32_t nr_full; /* atomic, a hint */
	uint32_t least;	  /* lowest nr_full since the last trim */
	uint32_t ramp;	  /* objects of the next refill, doubling */
	uint32_t missed;  /* a magazine was empty since one got wider */
} kn_cacheline;

/*
 * What others read of a block that they do not have, and read first: the block
 * may have been made just now, and moved behind the one that led to it.
 */
static inline uint32_t kn_block_nr(const struct kn_block *b)
{
	return (uint32_t)KN_MIN(kn_load_acquire(&b->nr),
				(uint64_t)KN_BATCH_MAX);
}

void kn_depot_put(struct kn_depot *d, struct kn_block *b);

/* NULL when the depot has no more than @keep batches. */
struct kn_block *kn_depot_get(struct kn_depot *d, uint32_t keep);

/*
 * An empty block of @node.  Without @may_block only one that exists; NULL is
 * no failure: the caller then hands its objects to the slabs instead.
 */
struct kn_block *kn_block_get(int node, bool may_block);
/*
 * Sees to it that frees find empty blocks of @node: one at least, and as many as
 * they lacked, said by kn_block_lacked(), for depots with room for @room batches.
 * May wait.
 */
void kn_block_stock(int node);
void kn_block_lacked(int node, uint32_t room);
void kn_block_put(int node, struct kn_block *b);

/* Bytes of all blocks ever made. */
uint64_t kn_block_bytes(void);

#endif
