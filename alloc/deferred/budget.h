/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/deferred/budget.h - a limit for what waits for a grace period
 *
 *   above    rcu_budget     the thread of the flavour is woken at once; who
 *                           queues a batch sleeps 1 ms at most, unless it is
 *                           inside a read section
 *   beside   rcu_stuck_ms   a grace period that takes that long is told once
 *   above    2 rcu_budget   besides: allocations that may wait get no more slabs
 *                           for the caches that wait, and no memory above the
 *                           caches if such waits, unless rcu_full is grow
 *
 * Each flavour has the budget for itself: readers of one hold up no other.
 */
#ifndef KN_DEFERRED_BUDGET_H
#define KN_DEFERRED_BUDGET_H

#include "alloc/base/compiler.h"

/* Reads how much RAM there is. */
void kn_budget_init(void);

/*
 * After a batch was queued.
 *
 * Context: any.  Sleeps only if the caller is neither inside a read section nor
 * a signal handler that interrupts this call, blocks not all signals, and is not
 * between fork handlers.
 */
void kn_budget_enforce(int flavor);

/* Of the background work: sees and tells of readers that stay inside. */
void kn_budget_watch(void);

/*
 * Tells of those that were seen.  From calls that may wait: it asks the dynamic
 * loader, which a signal handler may have interrupted.
 */
void kn_budget_tell(void);

/* After a round: lets caches grow again. */
void kn_budget_relax(int flavor);

#endif
