/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - what the two servers share */
#ifndef KV_SERVER_H
#define KV_SERVER_H

#include "docs/examples/kvserver/store.h"

struct server {
	int listen_fd;
	int stop_fd; /* readable from the moment on that the server shall end */
	struct store *store;
	struct kmem_cache *conns; /* of struct conn */
	unsigned long requests;	  /* atomic: of connections that have ended */
};

/*
 * threads.c or epoll.c: serves until @s->stop_fd is readable, and then until
 * no connection and no thread of its own is left.
 * Return: 0; -errno after a message, when it could not begin.
 */
int server_run(struct server *s);

/*
 * The next connection.
 * Return: its descriptor; -1 when there is none, after a message if the system
 *         has no room for one, and a pause so that some can end.
 */
int server_accept(struct server *s, int flags);

#endif /* KV_SERVER_H */
