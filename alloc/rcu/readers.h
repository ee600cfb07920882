/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/rcu/readers.h - which threads a grace period waits for
 *
 * liburcu's lists of readers are private, but where a reader keeps its state is
 * not: a variable of each thread, exported by the shared library and declared in
 * a public header.  So each thread of the process is asked, without its help:
 *
 *   1. The kernel tells where the list of robust futexes of a thread begins
 *      (get_robust_list(2)).  The C library keeps it at one distance from the
 *      thread's pthread_t, which is so known of every thread, live or not.
 *   2. The variable lies at one distance from that, as all that is in memory
 *      when the program starts.  It is read through /proc/self/mem, where a
 *      thread that has just gone makes the read fail, or fetch something else.
 *   3. liburcu has written the pthread_t of its thread into it.  Where that does
 *      not stand there, it is not a reader's state.
 *   4. The kernel is asked again: a thread that is still there was there when
 *      its state was read.
 *
 * Nothing is sent to any thread, and no call of a reader costs more.  What it
 * cannot see is told by an error: a program that has liburcu linked in
 * statically, or opened it as part of a plugin.
 *
 * Design: docs/design/rcu.md.
 */
#ifndef KN_RCU_READERS_H
#define KN_RCU_READERS_H

#include "alloc/base/compiler.h"

#define KN_READERS_TOLD 4

struct kn_readers {
	int nr;			       /* threads that are waited for */
	uint32_t tid[KN_READERS_TOLD]; /* the first of them */
};

struct rcu_flavor_struct;

/*
 * The threads for which a grace period of @flavor waits at this moment.
 *
 * Context: the caller may wait for the dynamic loader; makes system calls.
 * Return:  0, also if there is none.
 * Errors:  -ENOENT: liburcu is not there as a shared library that says where its
 *          readers keep their state; -ENODEV: there is no /proc; -errno of what
 *          else the system refused.
 */
int kn_readers_find(const struct rcu_flavor_struct *flavor,
		    struct kn_readers *found) kn_must_check;

/* "thread 17 (name), 18 (other) and 2 more"; nothing of a thread that has gone. */
void kn_readers_print(const struct kn_readers *found, char *buf, size_t len);

#endif
