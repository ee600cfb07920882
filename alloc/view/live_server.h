/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/live_server.h - the socket and its clients; see live.h */
#ifndef KN_VIEW_LIVE_SERVER_H
#define KN_VIEW_LIVE_SERVER_H

#include "alloc/base/compiler.h"

#define KN_LIVE_CLIENTS 16
#define KN_LIVE_LINE	4096 /* bytes of a request, with its end */

/*
 * Times, written by tests only: until it is seen that the program closed the
 * socket, which a poll(2) that waits does not tell; until a client goes whose
 * request is not whole or whose answer is not read; and one that says nothing.
 */
extern unsigned kn_live_look_ms, kn_live_under_way_ms, kn_live_idle_ms;

/* Finds out where the socket goes, once, while the environment is known. */
void kn_live_place(void);

/* Opens the socket; false, with a message, when it cannot be had. */
bool kn_live_open(void);

/*
 * Serves whoever comes for at most @timeout_ms, -1 for as long as nobody does.
 * False when there is no socket, and none can be had again.
 */
bool kn_live_serve(int timeout_ms);

/* Takes the name of the socket away, if it is this process's. */
void kn_live_remove(void);

/* For fork; the child lets go of all descriptors of its parent. */
void kn_live_lock(void);
void kn_live_unlock(void);
void kn_live_abandon(void);

#endif
