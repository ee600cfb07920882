/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - a table that is read without locks
 *
 * liburcu's hash table, of values that never change once they are in it.  An
 * update puts a new value in the place of the old one and gives that to
 * kfree_rcu(), so a reader that has found the old one may read it to its end.
 *
 * Threads that call any of these are registered with liburcu; in QSBR they are
 * online.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "docs/examples/kvserver/flavor.h"

#include <knuma/linux/slab.h>

struct value {
	struct cds_lfht_node node;
	union {
		struct rcu_head rcu; /* for kfree_rcu() */
		struct value *next;  /* of those that store_free() took out */
	};
	u64 key;
	u32 len;
	char bytes[];
};

struct store;

/*
 * @buckets: of a table that keeps its size, a power of two; 0 for one that
 *           grows and shrinks with what is in it
 * Return: an empty table; NULL without memory.
 */
struct store *store_new(unsigned long buckets);

/* Frees @s and all in it.  Nobody else uses it any more. */
void store_free(struct store *s);

/*
 * The value of @key, copied to @buf, which has room for KV_VALUE_MAX bytes.
 * A copy, because what it goes to next may sleep: a socket, a disk.
 * Return: its length; -ENOENT.
 */
int store_get(struct store *s, u64 key, void *buf);

/* Return: 0; -ENOMEM, and nothing has changed. */
int store_set(struct store *s, u64 key, const void *bytes, u32 len, int node);

/*
 * Adds @delta to a value that is a u64, or sets it where there is none; @sum is
 * written only on success.
 * Return: 0; -ENOMEM; -EINVAL when it is no u64.
 */
int store_add(struct store *s, u64 key, u64 delta, int node, u64 *sum);

/* Return: 0; -ENOENT. */
int store_del(struct store *s, u64 key);

/* How many values knuma has put on @node; for a look at the end. */
unsigned long store_count(struct store *s, int node);

/*
 * What the above are made of, for those who free in their own way.  Both are
 * called inside a read section; what they return is valid until its end.
 */
struct value *store_find(struct store *s, u64 key);
/* Return: the value that @v has replaced, which is the caller's; or NULL. */
struct value *store_put(struct store *s, struct value *v);

/* Return: a value that is in no table; NULL without memory. */
struct value *value_new(u64 key, const void *bytes, u32 len, int node);

#endif /* KV_STORE_H */
