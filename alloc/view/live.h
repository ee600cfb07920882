/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/view/live.h - questions to a running process
 *
 * A thread of its own serves a Unix socket (tunable socket) and writes a file
 * of metrics (tunable metrics_file); with neither there is no thread and no
 * descriptor.  A client sends a line and gets a line, see requests.h.
 *
 *   L1  Only the thread touches clients; descriptors change under the lock
 *       `live`, which fork takes, so that a child closes exactly those it has.
 *   L2  A descriptor is used only while it is the socket that it was: programs
 *       that close what they did not open may have given its number away.
 *   L3  Nothing is written while a lock of the heap is held: answers are made
 *       in mappings, then sent.  Slow readers cost their slot, for a time.
 *   L4  Who is neither the process's user nor root gets no answer.
 *
 * fork: the child closes its parent's sockets and starts a thread of its own,
 * which opens a socket when the child has lived for CHILD_DELAY_MS: those that
 * call exec() leave no trace.
 *
 * Design: docs/design/live.md.
 */
#ifndef KN_VIEW_LIVE_H
#define KN_VIEW_LIVE_H

#include "alloc/base/compiler.h"

/*
 * Starts the thread if the settings want one and there is none.
 * Context: not inside malloc or the dynamic loader; no lock held.
 */
void kn_live_start(void);

/* At exit: the socket's name is taken away. */
void kn_live_exit(void);

void kn_live_before_fork(void);
void kn_live_after_fork_parent(void);
/* Last of the child's steps: creates a thread. */
void kn_live_after_fork_child(void);

#endif
