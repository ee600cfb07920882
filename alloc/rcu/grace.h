/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/rcu/grace.h - waiting for grace periods, one thread a flavour
 *
 * The only user of liburcu.  knuma links none of its libraries: the flavour
 * comes as a pointer from the translation unit that calls kfree_rcu(), so what
 * is waited for is what that unit's readers use, and several flavours in one
 * process work side by side.
 *
 * What waits is the owner's, alloc/deferred.  The thread works in rounds: let
 * the owner take what waits, wait for one grace period, let the owner do with it
 * what it waited for.  It is never registered as a reader, has all signals
 * blocked, and calls update_synchronize_rcu() only.
 *
 *   G1  A round hands on what was queued before its grace period began, and
 *       nothing else.
 *   G2  What was queued before a round began is handed on when it has ended.
 *
 * Design: docs/design/rcu.md.
 */
#ifndef KN_RCU_GRACE_H
#define KN_RCU_GRACE_H

#include "alloc/base/atomic.h"

#define KN_MAX_FLAVORS 16

struct rcu_flavor_struct;
struct kn_grace;

/* What the owner does, by index of the flavour; set once, at start-up. */
struct kn_grace_owner {
	/* Whether anything waits. */
	bool (*waits)(int i);
	/* Takes what waits; how many bytes, 0 for nothing. */
	uint64_t (*take)(int i);
	/* The grace period is over. */
	void (*done)(int i);
	/* In a fork child: what was taken waits again. */
	void (*again)(int i);
};
extern struct kn_grace_owner kn_grace_owner;

/* The state of a flavour, made when first asked for; NULL past 16 of them. */
struct kn_grace *kn_grace_of(const struct rcu_flavor_struct *flavor);
int kn_grace_index(const struct kn_grace *g);
const struct rcu_flavor_struct *kn_grace_flavor(int i);

/* Flavours seen so far. */
int kn_grace_nr(void);

/* The flavour has its thread. */
bool kn_grace_has_thread(int i);

/* Has the thread look at once.  A system call. */
void kn_grace_wake(struct kn_grace *g);

/* Bytes that a round is best of: they are still in the processor's caches. */
#define KN_GRACE_MUCH ((uint64_t)1 << 20)

/* The thread is in a long nap: should much wait, call the next. */
bool kn_grace_dozes(int i);

/*
 * Starts threads for flavours that have entries and no thread, and wakes those
 * that doze.  Not from a signal handler; calls malloc.  False when the system
 * gave no thread: to be tried again.
 */
bool kn_grace_start_threads(void);

/*
 * A round of each flavour whose thread the system refused.  By a caller that is
 * no reader, and may wait for readers.
 */
void kn_grace_run_threadless(void);

/*
 * Waits until all that was queued so far in the flavours of @mask was handed on,
 * one after the other, from the first.  Where no thread can be made, the caller
 * does its work.
 */
void kn_grace_barrier(uint32_t mask);

/*
 * How long the grace period under way has taken; 0 if there is none.  *@since is
 * when it began: of those that took longer than 0, no two began at once.
 */
uint64_t kn_grace_busy_ms(int i, uint64_t *since);

/* How long what waits longest may have waited, if anything does. */
uint64_t kn_grace_lag_ms(int i);

enum kn_pause {
	KN_PAUSE_SLEPT,
	KN_PAUSE_INSIDE,  /* the caller is in a read section */
	KN_PAUSE_NOT_NOW, /* no thread, or fork may be under way */
};

/*
 * Has the thread look at once, and sleeps until a round ends or 1 ms is over,
 * unless the caller is a reader inside its section; in QSBR, one that is online.
 */
enum kn_pause kn_grace_pause(int i);

/* Waits for a grace period of each flavour seen so far, in this thread. */
void kn_grace_synchronize(void);

/* The same for one, by a caller that may wait. */
void kn_grace_synchronize_one(const struct rcu_flavor_struct *flavor);

/* Grace periods waited for. */
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
