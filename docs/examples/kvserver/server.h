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
 * Gives each connection to @take, which owns @fd, until @s->stop_fd is readable.
 * @flags: as for accept4(2).
 */
void server_accept_all(struct server *s, int flags,
		       void (*take)(struct server *s, int fd, void *arg),
		       void *arg);

#endif /* KV_SERVER_H */
