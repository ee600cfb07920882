/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/fork.h - fork() of a process that allocates
 *
 * prepare takes every lock in rank order, so no list is half changed in the
 * child; magazines, depots and bitmaps are consistent at any moment, since each
 * change is one store.  Objects that other threads had in a batch on their stack
 * are lost to the child, at most KN_BATCH_MAX a thread.
 *
 * The forking thread may allocate between prepare and its end (other libraries'
 * handlers do): kn_forking makes its lock calls succeed.
 */
#ifndef KN_CORE_FORK_H
#define KN_CORE_FORK_H

/* Any number of times, from any thread: the first call counts. */
void kn_fork_init(void);

#endif
