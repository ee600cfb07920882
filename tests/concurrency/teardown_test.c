/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches are created, used, shrunk, listed and destroyed by some threads while
 * others allocate, free, defer, read what others defer, ask for statistics,
 * change settings and trim.  And who waits in kmem_cache_destroy() for a reader
 * stops nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/kvmalloc.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/slab/cache.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	CREATORS = 2,
	USERS = 2,
	UPDATERS = 2,
	READERS = 2,
	ADMINS = 2,
	THREADS = CREATORS + USERS + UPDATERS + READERS + ADMINS,
	OBJECTS = 200,
	SLOTS = 8,
};

static struct canary *shared[SLOTS];
static uint64_t next_tag, spoiled, destroyed, deferred, reads, looks;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* Each flavour in turn: an updater and its readers have the same. */
static const struct flavor *flavor_of(int slot)
{
	return slot % 2 ? &flavor_memb : &flavor_qsbr;
}

/* Destroyed while most of its objects still wait for readers. */
static void one_cache(struct stress_thread *t)
{
	const unsigned size =
		(unsigned)sizeof(struct canary) + stress_below(t, 2000);
	struct kmem_cache *s;
	struct canary *c[OBJECTS];
	unsigned n = stress_below(t, OBJECTS);
	char name[32];

	snprintf(name, sizeof(name), "of thread %d", t->index);
	s = kmem_cache_create(name, size, 0,
			      stress_below(t, 4) ? 0 : SLAB_TYPESAFE_BY_RCU,
			      NULL);
	if (!s) {
		count(&spoiled, 1);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		c[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (!c[i]) {
			count(&spoiled, 1);
			n = i;
			break;
		}
		stress_fill(c[i], size, i);
	}
	for (unsigned i = 0; i < n; i++) {
		if (!stress_check(c[i], size, i))
			count(&spoiled, 1);
		if (stress_below(t, 3))
			flavor_of((int)i)->free(c[i]);
		else
			kmem_cache_free(s, c[i]);
	}
	if (stress_below(t, 2))
		kmem_cache_shrink(s);
	kmem_cache_destroy(s);
	/* It was empty then, or its id would not be free. */
	count(&destroyed, 1);
}

static void use(struct stress_thread *t)
{
	struct page *page = alloc_pages(GFP_KERNEL, stress_below(t, 4));
	const size_t size = 1 + stress_below(t, 60000);
	char *p = kvmalloc(size, GFP_KERNEL), *area = vmalloc(size);

	if (p) {
		stress_fill(p, size, size);
		if (!stress_check(p, size, size))
			count(&spoiled, 1);
	}
	count(&spoiled, !page || !p || !area);
	vfree(area);
	kvfree(p);
	if (page)
		__free_pages(page, page->order);
}

static void update(struct stress_thread *t)
{
	const int slot = (int)stress_below(t, SLOTS);
	const uint64_t tag = __atomic_add_fetch(&next_tag, 1, __ATOMIC_RELAXED);
	struct canary *c = canary_new(100 + stress_below(t, 12000), tag);

	if (!c) {
		count(&spoiled, 1);
		return;
	}
	c = __atomic_exchange_n(&shared[slot], c, __ATOMIC_ACQ_REL);
	if (c)
		flavor_of(slot)->free(c);
	count(&deferred, 1);
}

static void read_shared(struct stress_thread *t)
{
	const struct flavor *f = flavor_of(t->index);

	flavor_register(f);
	while (!stress_stopped()) {
		const unsigned slot =
			2 * stress_below(t, SLOTS / 2) + (unsigned)t->index % 2;
		struct canary *c;

		flavor_enter(f);
		c = __atomic_load_n(&shared[slot], __ATOMIC_CONSUME);
		if (c) {
			const uint64_t tag = c->tag;

			stress_sleep_ms(stress_below(t, 2));
			if (!canary_lives(c, tag))
				count(&spoiled, 1);
		}
		flavor_leave(f);
		count(&reads, 1);
	}
	f->ops->unregister_thread();
}

static void list_one(struct kmem_cache *s, void *arg)
{
	*(unsigned *)arg += s->name[0] != '\0' && s->size >= s->object_size;
}

static void look(struct stress_thread *t)
{
	static const char *const budgets[] = {"0", "1M", "64M"};
	static char text[ADMINS][32768];
	char *const buf = text[t->index % ADMINS];
	unsigned listed = 0;

	switch (stress_below(t, 6)) {
	case 0:
		count(&spoiled, !knuma_stats_json(buf, sizeof(text[0])));
		break;
	case 1:
		count(&spoiled, !knuma_stats_text(buf, sizeof(text[0])));
		break;
	case 2:
		kn_cache_each(list_one, &listed);
		count(&spoiled, listed < 10);
		break;
	case 3:
		count(&spoiled,
		      knuma_conf_set("rcu_budget",
				     budgets[stress_below(t, 3)]) != 0);
		break;
	case 4:
		if (!stress_below(t, 20))
			(void)knuma_trim();
		break;
	default:
		(void)stress_stat("allocated_bytes");
		(void)stress_stat("rcu_waiting_bytes");
		(void)stress_stat("rcu_lag_ms");
	}
	count(&looks, 1);
}

static void take_part(struct stress_thread *t)
{
	if (t->index >= THREADS - READERS) {
		read_shared(t);
		return;
	}
	while (!stress_stopped()) {
		if (t->index < CREATORS)
			one_cache(t);
		else if (t->index < CREATORS + USERS)
			use(t);
		else if (t->index < CREATORS + USERS + UPDATERS)
			update(t);
		else
			look(t);
	}
}

static void all_of_it_side_by_side(void **state)
{
	unsigned before;

	(void)state;
	assert_int_equal(knuma_conf_set("rcu_full", "grow"), 0);
	kfree(kmalloc(1, GFP_KERNEL));
	before = stress_taken_ids();
	stress_run(THREADS, take_part, NULL);
	for (int i = 0; i < SLOTS; i++)
		kvfree(__atomic_exchange_n(&shared[i], NULL, __ATOMIC_ACQ_REL));
	kvfree_rcu_barrier();
	print_message("%llu caches, %llu updates, %llu reads, %llu looks\n",
		      (unsigned long long)destroyed,
		      (unsigned long long)deferred, (unsigned long long)reads,
		      (unsigned long long)looks);
	assert_int_equal(spoiled, 0);
	assert_int_equal(stress_taken_ids(), before);
	assert_int_equal(stress_stat("rcu_queued"), stress_stat("rcu_freed"));
	assert_int_equal(stress_stat("rcu_waiting_bytes"), 0);
	stress_verify_pages();
}

/* One thread waits in kmem_cache_destroy() for another, which reads. */

static uint32_t inside, leave, ended;

static void set(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
}

static void await(uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		stress_sleep_ms(1);
}

static void stay_inside(struct stress_thread *t)
{
	(void)t;
	flavor_register(&flavor_memb);
	flavor_enter(&flavor_memb);
	set(&inside);
	await(&leave);
	flavor_leave(&flavor_memb);
	flavor_memb.ops->unregister_thread();
}

static void destroy(struct stress_thread *t)
{
	kmem_cache_destroy(t->arg);
	set(&ended);
}

static struct kmem_cache *cache_with_deferred(const char *name,
					      const struct flavor *f)
{
	struct kmem_cache *s = kmem_cache_create(name, 200, 0, 0, NULL);

	assert_non_null(s);
	for (int i = 0; i < 300; i++) {
		struct canary *c = kmem_cache_alloc(s, GFP_KERNEL);

		assert_non_null(c);
		f->free(c);
	}
	return s;
}

/* Everything else goes on, another destruction of another flavour, too. */
static void go_on(struct stress_thread *t)
{
	struct kmem_cache *other;

	for (int i = 0; i < 20; i++) {
		use(t);
		other = cache_with_deferred("other", &flavor_qsbr);
		kmem_cache_shrink(other);
		kmem_cache_destroy(other);
		for (int k = 0; k < 20; k++)
			look(t);
	}
	assert_int_equal(knuma_trim(), 0);
	/* Nor is the list of caches locked, which a fork() would wait for. */
	kn_cache_lock_all();
	kn_cache_unlock_all();
}

static void who_waits_in_destroy_stops_nobody(void **state)
{
	struct stress_thread reader, destroyer, self = {.random = 1};
	struct kmem_cache *s;

	(void)state;
	stress_start(&reader, 1, stay_inside, NULL);
	await(&inside);
	s = cache_with_deferred("waited for", &flavor_memb);
	stress_start(&destroyer, 1, destroy, s);
	go_on(&self);
	assert_int_equal(spoiled, 0);
	/* Its objects have a reader still. */
	assert_int_equal(__atomic_load_n(&ended, __ATOMIC_ACQUIRE), 0);
	assert_int_not_equal(stress_stat("rcu_waiting_bytes"), 0);
	set(&leave);
	await(&ended);
	stress_join(&reader, 1);
	stress_join(&destroyer, 1);
	assert_int_equal(s->mag.id, 0);
	assert_int_equal(stress_stat("rcu_waiting_bytes"), 0);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_side_by_side),
		cmocka_unit_test(who_waits_in_destroy_stops_nobody),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
