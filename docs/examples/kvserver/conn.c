/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - one connection: requests in, answers out */
#define pr_fmt(fmt) "conn: " fmt

#include "docs/examples/kvserver/conn.h"

#include <endian.h>
#include <sys/socket.h>
#include <unistd.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/string.h>

#include "docs/examples/kvserver/memory.h"

#define ANSWER_MAX (sizeof(struct kv_answer) + KV_VALUE_MAX)

struct conn *conn_new(struct server *s, int fd)
{
	const int node = numa_mem_id();
	struct conn *c = kmem_cache_alloc_node(s->conns, GFP_KERNEL, node);

	if (!c)
		return NULL;
	c->server = s;
	c->fd = fd;
	c->node = node;
	c->closing = false;
	c->requests = 0;
	c->in_len = c->out_len = c->out_sent = 0;
	return c;
}

void conn_free(struct conn *c)
{
	__atomic_fetch_add(&c->server->requests, c->requests, __ATOMIC_RELAXED);
	close(c->fd);
	kmem_cache_free(c->server->conns, c);
}

/* Where the bytes of the next answer go. */
static char *answer_bytes(struct conn *c)
{
	return c->out + c->out_len + sizeof(struct kv_answer);
}

/* Ends the next answer, whose @len bytes are in their place. */
static void answer(struct conn *c, enum kv_status status, size_t len)
{
	const struct kv_answer a = {
		.status = htole32(status),
		.len = htole32((u32)len),
	};

	memcpy(c->out + c->out_len, &a, sizeof(a));
	c->out_len += sizeof(a) + len;
}

static void do_get(struct conn *c, u64 key)
{
	const int len = store_get(c->server->store, key, answer_bytes(c));

	if (len < 0)
		answer(c, KV_MISSING, 0);
	else
		answer(c, KV_OK, (size_t)len);
}

static void do_set(struct conn *c, const struct kv_request *r, const char *in)
{
	const int error =
		store_set(c->server->store, r->key, in, r->len, c->node);

	answer(c, error ? KV_NO_MEMORY : KV_OK, 0);
}

static void do_add(struct conn *c, u64 key, const char *in)
{
	u64 delta, sum;

	memcpy(&delta, in, sizeof(delta));
	switch (store_add(c->server->store, key, le64toh(delta), c->node,
			  &sum)) {
	case 0:
		sum = htole64(sum);
		memcpy(answer_bytes(c), &sum, sizeof(sum));
		answer(c, KV_OK, sizeof(sum));
		break;
	case -EINVAL:
		answer(c, KV_NO_NUMBER, 0);
		break;
	default:
		answer(c, KV_NO_MEMORY, 0);
	}
}

static void do_del(struct conn *c, u64 key)
{
	answer(c, store_del(c->server->store, key) ? KV_MISSING : KV_OK, 0);
}

static void do_request(struct conn *c, const struct kv_request *r,
		       const char *in)
{
	c->requests++;
	switch (r->op) {
	case KV_GET:
		do_get(c, r->key);
		break;
	case KV_SET:
		do_set(c, r, in);
		break;
	case KV_ADD:
		do_add(c, r->key, in);
		break;
	case KV_DEL:
		do_del(c, r->key);
		break;
	case KV_STATS:
		answer(c, KV_OK, memory_text(answer_bytes(c), KV_VALUE_MAX));
		break;
	}
}

static bool is_valid(const struct kv_request *r)
{
	switch (r->op) {
	case KV_GET:
	case KV_DEL:
	case KV_STATS:
		return r->len == 0;
	case KV_SET:
		return r->len <= KV_VALUE_MAX;
	case KV_ADD:
		return r->len == sizeof(u64);
	default:
		return false;
	}
}

static struct kv_request read_request(const char *in)
{
	struct kv_request r;

	memcpy(&r, in, sizeof(r));
	r.op = le32toh(r.op);
	r.len = le32toh(r.len);
	r.key = le64toh(r.key);
	return r;
}

/*
 * Answers the requests that are whole, while there is room for answers.
 * Return: whether it has answered any.
 */
static bool execute(struct conn *c)
{
	size_t at = 0;

	while (!c->closing && c->in_len - at >= sizeof(struct kv_request) &&
	       CONN_OUT_BYTES - c->out_len >= ANSWER_MAX) {
		const char *in = c->in + at;
		const struct kv_request r = read_request(in);

		if (!is_valid(&r)) {
			answer(c, KV_BAD, 0);
			c->closing = true;
			return true;
		}
		if (c->in_len - at < sizeof(r) + r.len)
			break;
		do_request(c, &r, in + sizeof(r));
		at += sizeof(r) + r.len;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	return at > 0;
}

/* Return: false at the end of the connection. */
static bool receive(struct conn *c)
{
	const ssize_t n =
		recv(c->fd, c->in + c->in_len, CONN_IN_BYTES - c->in_len, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in_len += (size_t)n;
	return n > 0;
}

/* Sends what waits; CONN_READS when all of it has gone. */
static enum conn_wants flush(struct conn *c)
{
	while (c->out_sent < c->out_len) {
		const ssize_t n = send(c->fd, c->out + c->out_sent,
				       c->out_len - c->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? CONN_WRITES : CONN_CLOSED;
		c->out_sent += (size_t)n;
	}
	c->out_len = c->out_sent = 0;
	return c->closing ? CONN_CLOSED : CONN_READS;
}

enum conn_wants conn_step(struct conn *c)
{
	enum conn_wants wants;

	if (!c->out_len && !receive(c))
		return CONN_CLOSED;
	do {
		wants = flush(c);
	} while (wants == CONN_READS && execute(c));
	return wants;
}
