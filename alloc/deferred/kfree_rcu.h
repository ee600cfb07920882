/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/deferred/kfree_rcu.h - frees after a grace period
 *
 * An object waits linked through its own rcu_head, so queueing needs no memory,
 * no lock and no system call, and works in a signal handler.  The second word
 * of the head keeps the head's offset in the object; a request without a head
 * has a small block of its own, whose word is the object.
 */
#ifndef KN_DEFERRED_KFREE_RCU_H
#define KN_DEFERRED_KFREE_RCU_H

#include <stdbool.h>

void kn_rcu_init(void);

/* Starts what kfree_rcu() may not start; from calls that may wait. */
void kn_rcu_step(void);

/*
 * Something was queued: if the flavour has no thread, the next step makes one.
 * Not before it was queued: a step that comes by in between finds nothing that
 * waits, makes no thread, and nobody would ask again.
 */
void kn_rcu_ask_for_thread(int flavor);

/*
 * What the threads of flavours would do, where the system refused to make them:
 * for the background thread, which may wait for readers.
 */
void kn_rcu_run_threadless(void);

/* A step of the background work: tells of readers that stay inside, too. */
void kn_rcu_tick(void);

void kn_rcu_before_fork(void);
void kn_rcu_after_fork_parent(void);
void kn_rcu_after_fork_child(void);

#endif
