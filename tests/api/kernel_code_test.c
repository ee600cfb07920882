/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code as it stands in a kernel, over the kernel's header names: a radix tree
 * of ids with readers under RCU, nodes of a cache, copies of counters for each
 * CPU, a reserve, a shrinker.  What is tested is that it compiles as it is, and
 * works.
 */
#define pr_fmt(fmt) "idtree: " fmt

#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/vmalloc.h>

#include <knuma/tunables.h>
#include <sched.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"

#define IDTREE_SHIFT  5
#define IDTREE_SIZE   (1UL << IDTREE_SHIFT)
#define IDTREE_MASK   (IDTREE_SIZE - 1)
#define IDTREE_LEVELS 6

struct idtree_node {
	unsigned int count;
	struct rcu_head rcu;
	void __rcu *slots[IDTREE_SIZE];
};

struct idtree_stats {
	u64 lookups;
	u64 inserts;
};

struct idtree {
	struct idtree_node __rcu *root;
	struct kmem_cache *nodes;
	struct idtree_stats __percpu *stats;
	mempool_t reserve;
	struct shrinker *shrinker;
	/* Nodes for the next inserts, by ->slots[0]. */
	struct idtree_node *kept;
	unsigned long nr_kept;
	int keeping; /* whoever has those; a lock */
	const char *name;
};

static void idtree_node_ctor(void *obj)
{
	memset(obj, 0, sizeof(struct idtree_node));
}

static bool idtree_trylock(struct idtree *t)
{
	return !__atomic_exchange_n(&t->keeping, 1, __ATOMIC_ACQUIRE);
}

static void idtree_unlock(struct idtree *t)
{
	__atomic_store_n(&t->keeping, 0, __ATOMIC_RELEASE);
}

/* One of those kept, with the lock; NULL: there is none. */
static struct idtree_node *idtree_kept(struct idtree *t)
{
	struct idtree_node *node = t->kept;

	if (!node)
		return NULL;
	t->kept = node->slots[0];
	node->slots[0] = NULL;
	__atomic_store_n(&t->nr_kept, t->nr_kept - 1, __ATOMIC_RELAXED);
	return node;
}

static unsigned long idtree_count(struct shrinker *s, struct shrink_control *sc)
{
	const struct idtree *t = s->private_data;
	const unsigned long nr = __atomic_load_n(&t->nr_kept, __ATOMIC_RELAXED);

	(void)sc;
	return nr ? nr : SHRINK_EMPTY;
}

static unsigned long idtree_scan(struct shrinker *s, struct shrink_control *sc)
{
	struct idtree *t = s->private_data;
	unsigned long freed = 0;

	if (!(sc->gfp_mask & __GFP_FS) || !idtree_trylock(t))
		return SHRINK_STOP;
	for (; t->kept && freed < sc->nr_to_scan; freed++)
		mempool_free(idtree_kept(t), &t->reserve);
	idtree_unlock(t);
	return freed;
}

/* Allocates nodes ahead; memory that is short takes them back. */
static int idtree_keep(struct idtree *t, unsigned long nr, gfp_t gfp)
{
	while (__atomic_load_n(&t->nr_kept, __ATOMIC_RELAXED) < nr) {
		struct idtree_node *node = mempool_alloc(&t->reserve, gfp);

		if (!node)
			return -ENOMEM;
		while (!idtree_trylock(t))
			sched_yield();
		node->slots[0] = t->kept;
		t->kept = node;
		__atomic_store_n(&t->nr_kept, t->nr_kept + 1, __ATOMIC_RELAXED);
		idtree_unlock(t);
	}
	return 0;
}

/* One of those kept, or a new one. */
static struct idtree_node *idtree_node_alloc(struct idtree *t, gfp_t gfp)
{
	struct idtree_node *node = NULL;

	if (idtree_trylock(t)) {
		node = idtree_kept(t);
		idtree_unlock(t);
	}
	return node ? node : mempool_alloc(&t->reserve, gfp);
}

static int idtree_add_shrinker(struct idtree *t)
{
	t->shrinker = shrinker_alloc(0, "idtree-%s", t->name);
	if (!t->shrinker)
		return -ENOMEM;
	t->shrinker->count_objects = idtree_count;
	t->shrinker->scan_objects = idtree_scan;
	t->shrinker->private_data = t;
	shrinker_register(t->shrinker);
	return 0;
}

static struct idtree *idtree_create(const char *name, int node)
{
	struct kmem_cache_args args = {
		.align = __alignof__(struct idtree_node),
		.ctor = idtree_node_ctor,
	};
	struct idtree *t;
	int ret = -ENOMEM;

	t = kzalloc_node(sizeof(*t), GFP_KERNEL, node);
	if (!t)
		return ERR_PTR(-ENOMEM);
	t->name = kstrdup_const(name, GFP_KERNEL);
	if (!t->name)
		goto out_tree;
	t->nodes = kmem_cache_create("idtree_node", sizeof(struct idtree_node),
				     &args, SLAB_PANIC | SLAB_ACCOUNT);
	t->stats = alloc_percpu(struct idtree_stats);
	if (!t->stats)
		goto out_cache;
	ret = mempool_init_slab_pool(&t->reserve, 2 * IDTREE_LEVELS, t->nodes);
	if (ret)
		goto out_stats;
	ret = idtree_add_shrinker(t);
	if (ret)
		goto out_reserve;
	return t;

out_reserve:
	mempool_exit(&t->reserve);
out_stats:
	free_percpu(t->stats);
out_cache:
	kmem_cache_destroy(t->nodes);
	kfree_const(t->name);
out_tree:
	kfree(t);
	return ERR_PTR(ret);
}

static unsigned int idtree_index(u32 id, int level)
{
	return id >> (level * IDTREE_SHIFT) & IDTREE_MASK;
}

static void *idtree_find(struct idtree *t, u32 id)
{
	struct idtree_node *node;
	void *item = NULL;
	int level;

	rcu_read_lock();
	node = rcu_dereference(t->root);
	for (level = IDTREE_LEVELS - 1; node && level > 0; level--)
		node = rcu_dereference(node->slots[idtree_index(id, level)]);
	if (node)
		item = rcu_dereference(node->slots[idtree_index(id, 0)]);
	rcu_read_unlock();
	this_cpu_inc(t->stats->lookups);
	return item;
}

static struct idtree_node *idtree_child(struct idtree *t, void __rcu **slot,
					gfp_t gfp, bool *is_new)
{
	struct idtree_node *node = *slot;

	*is_new = !node;
	if (node)
		return node;
	node = idtree_node_alloc(t, gfp);
	if (!node)
		return NULL;
	rcu_assign_pointer(*slot, node);
	return node;
}

static int idtree_insert(struct idtree *t, u32 id, void *item, gfp_t gfp)
{
	void __rcu **slot = (void __rcu **)&t->root;
	struct idtree_node *node = NULL, *parent = NULL;
	bool is_new;
	int level;

	for (level = IDTREE_LEVELS - 1; level >= 0; level--) {
		node = idtree_child(t, slot, gfp, &is_new);
		if (!node)
			return -ENOMEM;
		if (parent && is_new)
			parent->count++;
		parent = node;
		slot = &node->slots[idtree_index(id, level)];
	}
	if (*slot)
		return -EEXIST;
	rcu_assign_pointer(*slot, item);
	node->count++;
	this_cpu_inc(t->stats->inserts);
	return 0;
}

static void idtree_node_free(struct idtree *t, struct idtree_node *node)
{
	node->count = 0;
	memset(&node->rcu, 0, sizeof(node->rcu));
	mempool_free(node, &t->reserve);
}

/* Calls @fn for each item; readers have left. */
static void idtree_clear(struct idtree *t, struct idtree_node *node, int level,
			 void (*fn)(void *item))
{
	unsigned int i;

	if (!node)
		return;
	for (i = 0; i < IDTREE_SIZE; i++) {
		void *item = node->slots[i];

		if (!item)
			continue;
		node->slots[i] = NULL;
		if (level)
			idtree_clear(t, item, level - 1, fn);
		else
			fn(item);
	}
	idtree_node_free(t, node);
}

static void idtree_destroy(struct idtree *t, void (*fn)(void *item))
{
	struct idtree_node *node;

	shrinker_free(t->shrinker);
	while ((node = idtree_kept(t)))
		mempool_free(node, &t->reserve);
	synchronize_rcu();
	idtree_clear(t, t->root, IDTREE_LEVELS - 1, fn);
	mempool_exit(&t->reserve);
	free_percpu(t->stats);
	kmem_cache_destroy(t->nodes);
	kfree_const(t->name);
	kfree(t);
}

struct entry {
	u32 id;
	struct rcu_head rcu;
	size_t len;
	char text[];
};

static struct entry *entry_new(u32 id, const char *text, gfp_t gfp)
{
	const size_t len = strlen(text) + 1;
	struct entry *e = kmalloc_flex(*e, text, len, gfp);

	if (!e)
		return NULL;
	e->id = id;
	e->len = len;
	strscpy(e->text, text, len);
	return e;
}

static void entry_free(void *item)
{
	struct entry *e = item;

	kfree_rcu(e, rcu);
}

enum {
	ENTRIES = 3000
};

static u32 nth_id(u32 i)
{
	return i * 2654435761u >> 2;
}

static void fill(struct idtree *t, u32 from, u32 to, gfp_t gfp)
{
	char text[20];

	for (u32 i = from; i < to; i++) {
		snprintf(text, sizeof(text), "entry %u", i);
		CHECK_EQ(idtree_insert(t, nth_id(i), entry_new(i, text, gfp),
				       gfp),
			 0);
	}
}

static void a_tree_as_in_a_kernel(void)
{
	struct idtree *t = idtree_create("ids", numa_mem_id());
	unsigned int flags, cpu;
	u64 lookups = 0, inserts = 0;
	char text[20];

	CHECK(!IS_ERR(t) && !strcmp(t->name, "ids"));
	rcu_register_thread();
	fill(t, 0, ENTRIES / 2, GFP_KERNEL);
	flags = memalloc_nofs_save();
	fill(t, ENTRIES / 2, ENTRIES - 1, GFP_KERNEL);
	memalloc_nofs_restore(flags);
	CHECK_EQ(idtree_keep(t, 1000, GFP_KERNEL), 0);
	CHECK_EQ(knuma_trim(), 0);
	/* It has given way, and what it kept is used. */
	CHECK(__atomic_load_n(&t->nr_kept, __ATOMIC_RELAXED) < 1000);
	fill(t, ENTRIES - 1, ENTRIES, GFP_KERNEL);
	CHECK_EQ(idtree_insert(t, nth_id(7), t, GFP_KERNEL), -EEXIST);
	for (u32 i = 0; i < ENTRIES; i++) {
		struct entry *e = idtree_find(t, nth_id(i));

		snprintf(text, sizeof(text), "entry %u", i);
		CHECK(e && e->id == i && !strcmp(e->text, text));
	}
	CHECK_EQ(idtree_find(t, nth_id(ENTRIES)), NULL);
	for_each_possible_cpu(cpu)
	{
		lookups += per_cpu_ptr(t->stats, cpu)->lookups;
		inserts += per_cpu_ptr(t->stats, cpu)->inserts;
	}
	CHECK_EQ(lookups, ENTRIES + 1);
	CHECK_EQ(inserts, ENTRIES);
	pr_info("%llu inserts\n", (unsigned long long)inserts);
	idtree_destroy(t, entry_free);
	kvfree_rcu_barrier();
	rcu_unregister_thread();
	heap_verify();
	/* Nothing but the line above: no object remained. */
	fflush(stderr);
	CHECK(!strcmp(printed(), "idtree: 3000 inserts\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_tree_as_in_a_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
