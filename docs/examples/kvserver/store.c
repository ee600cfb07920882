/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - a table that is read without locks
 *
 * kfree_rcu() stands behind the read section and is the last that is done: it
 * may sleep for a moment when much waits.
 */
#include "docs/examples/kvserver/store.h"

#include <knuma/linux/kernel.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/string.h>

#define MIN_BUCKETS 1024

struct store {
	struct cds_lfht *table;
};

/* Spreads keys over all bits: the finaliser of splitmix64. */
static unsigned long hash_of(u64 key)
{
	key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9;
	key = (key ^ (key >> 27)) * 0x94d049bb133111eb;
	return key ^ (key >> 31);
}

static struct value *value_of(struct cds_lfht_node *node)
{
	return node ? container_of(node, struct value, node) : NULL;
}

static int has_key(struct cds_lfht_node *node, const void *key)
{
	return value_of(node)->key == *(const u64 *)key;
}

struct value *value_new(u64 key, const void *bytes, u32 len, int node)
{
	struct value *v;

	v = kmalloc_node(struct_size(v, bytes, len), GFP_KERNEL, node);
	if (!v)
		return NULL;
	cds_lfht_node_init(&v->node);
	v->key = key;
	v->len = len;
	memcpy(v->bytes, bytes, len);
	return v;
}

struct value *store_find(struct store *s, u64 key)
{
	struct cds_lfht_iter iter;

	cds_lfht_lookup(s->table, hash_of(key), has_key, &key, &iter);
	return value_of(cds_lfht_iter_get_node(&iter));
}

struct value *store_put(struct store *s, struct value *v)
{
	return value_of(cds_lfht_add_replace(s->table, hash_of(v->key), has_key,
					     &v->key, &v->node));
}

int store_get(struct store *s, u64 key, void *buf)
{
	struct value *v;
	int len = -ENOENT;

	rcu_read_lock();
	v = store_find(s, key);
	if (v) {
		len = (int)v->len;
		memcpy(buf, v->bytes, v->len);
	}
	rcu_read_unlock();
	return len;
}

int store_set(struct store *s, u64 key, const void *bytes, u32 len, int node)
{
	struct value *v = value_new(key, bytes, len, node), *old;

	if (!v)
		return -ENOMEM;
	rcu_read_lock();
	old = store_put(s, v);
	rcu_read_unlock();
	kfree_rcu(old, rcu);
	return 0;
}

/*
 * Puts @v in the place of what is there, with the sum of that and @delta, which
 * @sum gets.  All in one read section, so that what was found cannot become
 * another value at the same address before it is replaced.
 * Return: what was replaced, which is the caller's, or NULL; ERR_PTR(-EAGAIN)
 *         when somebody else was faster, ERR_PTR(-EINVAL).
 */
static struct value *try_add(struct store *s, struct value *v, u64 delta,
			     u64 *sum)
{
	const unsigned long hash = hash_of(v->key);
	struct cds_lfht_iter iter;
	struct value *old;

	*sum = delta;
	cds_lfht_lookup(s->table, hash, has_key, &v->key, &iter);
	old = value_of(cds_lfht_iter_get_node(&iter));
	if (!old) {
		memcpy(v->bytes, sum, sizeof(*sum));
		if (cds_lfht_add_unique(s->table, hash, has_key, &v->key,
					&v->node) != &v->node)
			return ERR_PTR(-EAGAIN);
		return NULL;
	}
	if (old->len != sizeof(*sum))
		return ERR_PTR(-EINVAL);
	memcpy(sum, old->bytes, sizeof(*sum));
	*sum += delta;
	memcpy(v->bytes, sum, sizeof(*sum));
	if (cds_lfht_replace(s->table, &iter, hash, has_key, &v->key, &v->node))
		return ERR_PTR(-EAGAIN);
	return old;
}

int store_add(struct store *s, u64 key, u64 delta, int node, u64 *sum)
{
	struct value *v = value_new(key, &delta, sizeof(delta), node), *old;
	u64 result;

	if (!v)
		return -ENOMEM;
	do {
		rcu_read_lock();
		old = try_add(s, v, delta, &result);
		rcu_read_unlock();
	} while (old == ERR_PTR(-EAGAIN));
	if (IS_ERR(old)) {
		kfree(v); /* nobody has seen it */
		return (int)PTR_ERR(old);
	}
	*sum = result;
	kfree_rcu(old, rcu);
	return 0;
}

int store_del(struct store *s, u64 key)
{
	struct value *v;

	rcu_read_lock();
	v = store_find(s, key);
	if (v && cds_lfht_del(s->table, &v->node))
		v = NULL; /* somebody else was faster, and frees it */
	rcu_read_unlock();
	kfree_rcu(v, rcu);
	return v ? 0 : -ENOENT;
}

unsigned long store_count(struct store *s, int node)
{
	struct cds_lfht_iter iter;
	unsigned long n = 0;
	struct value *v;

	rcu_read_lock();
	cds_lfht_for_each_entry(s->table, &iter, v, node)
		n += knuma_node_of(v) == node;
	rcu_read_unlock();
	return n;
}

static struct cds_lfht *table_new(unsigned long buckets)
{
	if (buckets)
		return cds_lfht_new(buckets, buckets, buckets, 0, NULL);
	return cds_lfht_new(MIN_BUCKETS, MIN_BUCKETS, 0,
			    CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, NULL);
}

struct store *store_new(unsigned long buckets)
{
	struct store *s = kmalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->table = table_new(buckets);
	if (!s->table) {
		kfree(s);
		return NULL;
	}
	return s;
}

void store_free(struct store *s)
{
	struct value *v, *taken = NULL;
	struct cds_lfht_iter iter;
	int error;

	rcu_read_lock();
	cds_lfht_for_each_entry(s->table, &iter, v, node)
	{
		if (cds_lfht_del(s->table, &v->node))
			continue;
		v->next = taken;
		taken = v;
	}
	rcu_read_unlock();
	/*
	 * Not kfree() even now: the table's own thread, which makes it larger
	 * and smaller, is a reader, too.
	 */
	while ((v = taken)) {
		taken = v->next;
		kfree_rcu(v, rcu);
	}

	error = cds_lfht_destroy(s->table, NULL);
	if (error)
		pr_err("the table cannot be destroyed: %s\n", strerror(-error));
	kfree(s);
}
