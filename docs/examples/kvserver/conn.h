/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - one connection: requests in, answers out */
#ifndef KV_CONN_H
#define KV_CONN_H

#include <urcu/list.h>

#include "docs/examples/kvserver/proto.h"
#include "docs/examples/kvserver/server.h"

/* Room for some requests that come together, and their answers. */
#define CONN_IN_BYTES  (2 * (sizeof(struct kv_request) + KV_VALUE_MAX))
#define CONN_OUT_BYTES (2 * (sizeof(struct kv_answer) + KV_VALUE_MAX))

struct conn {
	struct cds_list_head list; /* of the event loop */
	struct server *server;
	int fd;
	int node; /* where the values lie that it sets */
	bool closing;
	unsigned long requests;
	size_t in_len;
	size_t out_len;
	size_t out_sent;
	char in[CONN_IN_BYTES];
	char out[CONN_OUT_BYTES];
};

enum conn_wants {
	CONN_CLOSED, /* conn_free() */
	CONN_READS,  /* conn_step() when @fd is readable */
	CONN_WRITES  /* conn_step() when @fd is writable */
};

/*
 * A connection on the nearest node with memory to the caller's CPU.
 * Return: the connection, which @fd belongs to; NULL without memory.
 */
struct conn *conn_new(struct server *s, int fd);

/* Closes and frees it. */
void conn_free(struct conn *c);

/*
 * Receives once, and answers what there is.  Sleeps only in recv() and send(),
 * when @fd is not O_NONBLOCK, and never inside a read section.
 */
enum conn_wants conn_step(struct conn *c);

#endif /* KV_CONN_H */
