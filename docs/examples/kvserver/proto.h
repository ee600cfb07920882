/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto.h - what goes over the wire
 *
 * A request is its head and @len bytes, an answer likewise; answers come in the
 * order of the requests.  Numbers are little-endian.  After an answer of
 * KV_BAD the server closes the connection: it no longer knows where the next
 * request begins.
 */
#ifndef KV_PROTO_H
#define KV_PROTO_H

#include <knuma/linux/types.h>

#define KV_VALUE_MAX 4096 /* bytes of a value, and of any other @len */

enum kv_op {
	KV_GET = 1, /* the answer has the value */
	KV_SET,	    /* the request has the value */
	KV_ADD,	    /* request and answer have a u64: what to add, the sum */
	KV_DEL,
	KV_STATS /* the answer has the server's memory, as text */
};

enum kv_status {
	KV_OK,
	KV_MISSING,   /* no such key */
	KV_NO_MEMORY, /* nothing has changed */
	KV_NO_NUMBER, /* KV_ADD to a value that is not a u64 */
	KV_BAD	      /* no such operation, or a @len that it cannot have */
};

struct kv_request {
	u32 op;
	u32 len;
	u64 key;
};

struct kv_answer {
	u32 status;
	u32 len;
};

#endif /* KV_PROTO_H */
