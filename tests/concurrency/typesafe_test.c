/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers without a lock look up objects of a SLAB_TYPESAFE_BY_RCU cache, which
 * may be freed and reused at any time: what they look at stays an object of the
 * cache until they leave, although its slabs go back to the pages meanwhile, and
 * from there to others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>

#include "alloc/slab/slab.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	KEYS = 64,
	BULK = 2000,
	READERS = 2,
	WRITERS = 1,
	BLOCKS = 400,
};

#define MAGIC 0x6b6e756d61ull

struct node {
	uint64_t magic; /* by the constructor, for ever */
	uint64_t key;
	uint64_t fill[14];
};

static struct kmem_cache *s;
static struct node *table[KEYS];
static uint64_t strangers, matches, others, shrinks;

static void make_node(void *obj)
{
	*(struct node *)obj = (struct node){.magic = MAGIC};
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static void look_up(const struct flavor *f, unsigned key)
{
	struct node *p;

	flavor_enter(f);
	p = __atomic_load_n(&table[key], __ATOMIC_ACQUIRE);
	for (int i = 0; p && i < 3; i++) {
		const uint64_t found =
			__atomic_load_n(&p->key, __ATOMIC_RELAXED);

		if (__atomic_load_n(&p->magic, __ATOMIC_RELAXED) != MAGIC)
			count(&strangers, 1);
		/* Identity: it may have become another key's. */
		count(found == key ? &matches : &others, 1);
		stress_sleep_ms(1);
	}
	flavor_leave(f);
}

/* Takes the pages that slabs have left, and many more, and writes to all. */
static void take_pages(void)
{
	static unsigned long p[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++) {
		p[i] = __get_free_pages(GFP_KERNEL, s->order);
		if (p[i])
			memset((void *)p[i], 0xee, (size_t)4096 << s->order);
	}
	stress_sleep_ms(1);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (p[i])
			free_pages(p[i], s->order);
}

/* Many at once, so that whole slabs become free; few of them are published. */
static void come_and_go(struct stress_thread *t)
{
	static struct node *p[BULK];

	for (unsigned i = 0; i < BULK; i++) {
		const unsigned key = stress_below(t, KEYS);

		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (!p[i])
			continue;
		__atomic_store_n(&p[i]->key, key, __ATOMIC_RELAXED);
		__atomic_store_n(&table[key], p[i], __ATOMIC_RELEASE);
	}
	stress_sleep_ms(1);
	for (unsigned i = 0; i < KEYS; i++)
		__atomic_store_n(&table[i], NULL, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < BULK; i++)
		if (p[i])
			kmem_cache_free(s, p[i]);
	/* Else they are soon another key's. */
	if (stress_below(t, 3))
		return;
	kmem_cache_shrink(s);
	take_pages();
	count(&shrinks, 1);
}

static void work(struct stress_thread *t)
{
	const struct flavor *f = t->arg;

	if (t->index < READERS)
		flavor_register(f);
	while (!stress_stopped()) {
		if (t->index < READERS)
			look_up(f, stress_below(t, KEYS));
		else
			come_and_go(t);
	}
	if (t->index < READERS)
		f->ops->unregister_thread();
}

static uint64_t happened(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Objects stayed, and became another key's, while they were looked at. */
static bool both_were_seen(void)
{
	return happened(&matches) && happened(&others);
}

static void readers_of(const struct flavor *f)
{
	const uint64_t freed = stress_stat("slab_freed");

	matches = others = shrinks = 0;
	/* No kfree_rcu() says whose readers there are. */
	knuma_rcu_use(f->ops);
	s = kmem_cache_create("nodes", sizeof(struct node), 0,
			      SLAB_TYPESAFE_BY_RCU, make_node);
	assert_non_null(s);
	stress_run_until(READERS + WRITERS, work, (void *)f, both_were_seen);
	kmem_cache_shrink(s);
	kvfree_rcu_barrier();
	print_message("%s: %llu matches, %llu others, %llu shrinks, %llu slabs "
		      "back\n",
		      f->name, (unsigned long long)matches,
		      (unsigned long long)others, (unsigned long long)shrinks,
		      (unsigned long long)(stress_stat("slab_freed") - freed));
	assert_int_equal(strangers, 0);
	/* They went back while the cache lives. */
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		assert_int_equal(s->node[node].nr_slabs, 0);
	assert_true(stress_stat("slab_freed") > freed);
	kmem_cache_destroy(s);
	assert_int_equal(s->mag.id, 0);
}

static void slabs_stay_while_readers_look(void **state)
{
	(void)state;
	readers_of(&flavor_memb);
	readers_of(&flavor_qsbr);
	readers_of(&flavor_bp);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slabs_stay_while_readers_look),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
