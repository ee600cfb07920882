/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/rcu/grace.h - waiting for grace periods, one thread a flavour
 *
 * The only user of liburcu.  knuma links none of its libraries: the flavour
 * comes as a pointer from the translation unit that calls kfree_rcu(), so what
 * is waited for is what that unit's readers use, and several flavours in one
 * process work side by side.
 *
 * Entries are pushed on lock-free stacks, from any context.  The thread works
 * in rounds: take all stacks, wait for one grace period, hand the entries to
 * the owner's function.  It is never registered as a reader, has all signals
 * blocked, and calls update_synchronize_rcu() only.
 *
 *   G1  A round hands over entries that were pushed before its grace period
 *       began, and no others.
 *   G2  Entries pushed before a round began are handed over when it has ended.
 *
 * Design: docs/design/rcu.md.
 */
#ifndef KN_RCU_GRACE_H
#define KN_RCU_GRACE_H

#include "alloc/base/atomic.h"

struct rcu_flavor_struct;
struct kn_grace;

/*
 * The entry, laid over the caller's struct rcu_head or in a block of its own.
 * @word is the owner's.
 */
struct kn_grace_entry {
	ck_stack_entry_t link;
	uintptr_t word;
};

/* What is done with an entry when its grace period is over. */
extern void (*kn_grace_done)(struct kn_grace_entry *e);

/* The state of a flavour, made when first asked for; NULL past 16 of them. */
struct kn_grace *kn_grace_of(const struct rcu_flavor_struct *flavor);

/* Queues an entry.  Any context, no system call. */
void kn_grace_push(struct kn_grace *g, struct kn_grace_entry *e);

/*
 * Starts threads for flavours that have entries and no thread.  Not from a
 * signal handler; calls malloc.
 */
void kn_grace_start_threads(void);

/* Waits until all entries pushed so far were handed over, for all flavours. */
void kn_grace_barrier(void);

/* Waits for a grace period of each flavour seen so far, in this thread. */
void kn_grace_synchronize(void);

/* The same for one, by a caller that may wait. */
void kn_grace_synchronize_one(const struct rcu_flavor_struct *flavor);

/* Grace periods waited for; entries queued and handed over. */
uint64_t kn_grace_periods(void);

/*
 * Fork: before, no thread is inside a grace period or a round.  But a round may
 * wait for the thread that forks: inside a read section, and then the child only
 * queues; or between liburcu's fork hooks, and then the child begins it again.
 */
void kn_grace_before_fork(void);
void kn_grace_after_fork_parent(void);
void kn_grace_after_fork_child(void);

#endif
