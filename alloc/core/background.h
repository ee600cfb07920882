/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/background.h - giving memory back without the application's help
 *
 * One tick drains magazines that nobody uses, flushes what depots and slabs did
 * not need since the last tick, purges free pages and freed vmalloc areas.  A
 * thread does it where there may be one: from the first pthread_create() on, or
 * the first allocation after it (tunable background).  In a process with one thread it is a
 * step of the slow path, at most once a tick: such a process may still unshare(2)
 * or setns(2), and glibc's shortcuts for one thread stay in force.  What it frees
 * before it sleeps goes back by the frees of the preload, see surplus.h.
 */
#ifndef KN_CORE_BACKGROUND_H
#define KN_CORE_BACKGROUND_H

#include <stdbool.h>

void kn_background_init(void);

/* Starts the thread if it may run and does not.  Calls malloc. */
void kn_background_start(void);

void kn_background_after_fork_child(void);

#endif
