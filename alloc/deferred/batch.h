/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/deferred/batch.h - what waits for a grace period, by flavour
 *
 *   kfree_rcu -> magazine (CPU, flavour) -> block -> waiting blocks
 *            \-> the object's own rcu_head -------> waiting links
 *   round: waiting -> taken -> bin (cache, node) -> depot of that node, or slab
 *
 * Objects of slabs wait in a magazine of the running CPU, as addresses marked
 * with the place of their head, so queueing is one restartable section, and
 * what waits is not touched.  All else, and objects for which there is neither
 * magazine nor block, waits linked through the heads, so nothing can fail.
 *
 *   W1  What waits is in exactly one place: a magazine, a block, a link.
 *   W2  Bytes and numbers count what is in waiting blocks and links, and what
 *       was taken and is not yet handed on.  Counted before it can be taken: a
 *       number below the truth would hide others from a barrier.
 *   W3  Between take and done nobody else sees what was taken.
 *
 * Who may run beside whom (- free, F the drain's fence, M in_round of grace.c):
 *             put   take  done
 *   put        -     F     -
 *   take       F     M     M
 *   done       -     M     M
 *
 * Design: docs/design/rcu.md.
 */
#ifndef KN_DEFERRED_BATCH_H
#define KN_DEFERRED_BATCH_H

#include "alloc/magazine/magazine.h"
#include "alloc/slab/slab.h"
#include "numa/hot.h"

/*
 * The caller's struct rcu_head, or a block of its own.  @word: how far into the
 * object it lies; of a block of its own, the object.
 */
struct kn_rcu_entry {
	ck_stack_entry_t link;
	uintptr_t word;
};

/* Heads lie below this; words from here on are the object itself. */
#define KN_RCU_HEAD_MAX 4096

/* The magazines of each flavour. */
extern struct kn_magcache kn_rcu_mag[KN_NR_RCU];

void kn_batch_init(void);

/* What a magazine holds: the object, and above it the offset of its head. */
#define KN_RCU_OFFSET_SHIFT 48

static kn_always_inline uintptr_t kn_batch_mark(const void *p, uintptr_t offset)
{
	return (uintptr_t)p | offset << KN_RCU_OFFSET_SHIFT;
}

/* @p is in a slab. */
static kn_always_inline bool kn_batch_takes(const void *p)
{
	return kn_hot_has(&kn_hot, p) &&
	       kn_hot_place(&kn_hot, p) % KN_REGION_BYTES >=
		       KN_ID_FIRST_CACHE * sizeof(struct kn_magazine);
}

/* Queues an object of a slab, marked as above; false when the section declined. */
static kn_always_inline bool kn_batch_put(int flavor, uintptr_t marked)
{
	return kn_rseq_push(&kn_hot, kn_mag_place(0, KN_ID_RCU + (unsigned)flavor),
			    (void *)marked) == KN_RSEQ_DONE;
}

/* The rest of it.  True when it is time to look at the bytes that wait. */
bool kn_batch_put_slow(int flavor, uintptr_t marked);

/* Queues an entry by its link. */
void kn_batch_link(int flavor, struct kn_rcu_entry *e);

/*
 * Queues a slab that leaves a SLAB_TYPESAFE_BY_RCU cache: it goes through a grace
 * period of each flavour from @flavor on, and then back to the pages.
 */
void kn_batch_slab(int flavor, struct page *head);

/* Brings what lies in magazines among the waiting blocks.  May wait. */
void kn_batch_collect(int flavor);

/* Objects of @s that wait or are being handed on, after kn_batch_collect(). */
uint32_t kn_batch_of_cache(int flavor, const struct kmem_cache *s);

/* Large allocations and areas that wait. */
uint32_t kn_batch_of_large(int flavor);

/* Bytes that wait, without those in magazines. */
uint64_t kn_batch_bytes(int flavor);

/* Of all flavours, those in magazines too: exact when nobody queues. */
uint64_t kn_batch_waiting_bytes(void);
uint64_t kn_batch_queued(void);

/* Who was about to move a batch is not in the child; the batch is lost. */
void kn_batch_after_fork_child(void);

/* Bytes of an allocation as they are counted; 0 if nothing starts there. */
uint64_t kn_batch_size(const void *p);

#endif
