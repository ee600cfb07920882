/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of allocations: threads allocate in one of several groups, by every
 * way there is, and free what others allocated; some groups have a limit that
 * is run into, and groups come and go.  No group is ever seen above its limit,
 * and at the end nothing is charged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/group.h>
#include <knuma/kvmalloc.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	THREADS = 4,
	GROUPS = 3,
	PLACES = 512,
};

#define LIMIT ((uint64_t)200 << 10)

static struct knuma_group *groups[GROUPS];
static struct kmem_cache *cache;
static struct canary *places[PLACES];
static uint64_t wrong, refused, freed_elsewhere, remade;

static void count(uint64_t *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

static uint64_t counted(const uint64_t *n)
{
	return __atomic_load_n(n, __ATOMIC_RELAXED);
}

/* The tag of a canary says by which way it goes. */
enum way {
	WAY_KFREE,
	WAY_CACHE,
	WAY_RCU,
	WAY_BULK,
	NR_WAYS
};

static struct canary *allocate(struct stress_thread *t, enum way way)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	size_t size = sizeof(struct canary) + stress_below(t, 300);
	struct canary *c;

	if (!stress_below(t, 16))
		size = stress_below(t, 40000) + 4096;
	if (way == WAY_CACHE)
		c = kmem_cache_alloc(cache, gfp);
	else
		c = kvmalloc(size, gfp);
	if (c) {
		c->size = sizeof(*c);
		c->tag = (uint64_t)way;
	}
	return c;
}

static void release(struct canary *c)
{
	void *p = c;

	switch ((enum way)c->tag) {
	case WAY_CACHE:
		kmem_cache_free(cache, c);
		break;
	case WAY_RCU:
		flavor_memb.free(c);
		break;
	case WAY_BULK:
		if (is_vmalloc_addr(c))
			vfree(c);
		else
			kfree_bulk(1, &p);
		break;
	default:
		kvfree(c);
	}
}

static void look(const struct knuma_group *g)
{
	struct knuma_group_stat st;

	knuma_group_read(g, &st);
	if (st.peak_bytes > LIMIT)
		count(&wrong);
}

/* Puts what it allocates where others find it, and frees what it finds. */
static void work(struct stress_thread *t)
{
	while (!stress_stopped()) {
		struct knuma_group *g = groups[stress_below(t, GROUPS)];
		const enum way way = (enum way)stress_below(t, NR_WAYS);
		const unsigned int before = knuma_group_enter(g);
		struct canary *c = allocate(t, way);
		struct canary **place = &places[stress_below(t, PLACES)];

		knuma_group_leave(before);
		if (!c)
			count(&refused);
		else if (knuma_group_of(c) != g)
			count(&wrong);
		c = __atomic_exchange_n(place, c, __ATOMIC_ACQ_REL);
		if (c) {
			count(&freed_elsewhere);
			release(c);
		}
		look(g);
	}
}

static void release_all(void)
{
	for (int i = 0; i < PLACES; i++)
		if (places[i])
			release(places[i]);
	memset(places, 0, sizeof(places));
	kvfree_rcu_barrier();
}

static bool has_been_full(void)
{
	return counted(&refused) > 100 && counted(&freed_elsewhere) > 10000;
}

static void charges_balance(void **state)
{
	struct knuma_group_stat st;

	(void)state;
	cache = kmem_cache_create("charged", 100, NULL, SLAB_ACCOUNT);
	for (int i = 0; i < GROUPS; i++) {
		char name[24];

		snprintf(name, sizeof(name), "group-%d", i);
		groups[i] = knuma_group_create(name, LIMIT);
		assert_non_null(groups[i]);
	}
	stress_run_until(THREADS, work, NULL, has_been_full);
	release_all();
	assert_int_equal(wrong, 0);
	for (int i = 0; i < GROUPS; i++) {
		knuma_group_read(groups[i], &st);
		assert_int_equal(st.usage_bytes, 0);
		assert_int_equal(st.objects, 0);
		assert_int_equal(st.forced, 0);
		knuma_group_destroy(groups[i]);
	}
	assert_int_equal(knuma_groups_read(NULL, 0), 0);
	kmem_cache_destroy(cache);
	stress_verify_pages();
}

/* Groups end while what was charged to them is freed by others. */
static void come_and_go(struct stress_thread *t)
{
	char name[24];

	snprintf(name, sizeof(name), "of thread %d", t->index);
	while (!stress_stopped()) {
		struct knuma_group *g =
			knuma_group_create(name, KNUMA_GROUP_NO_LIMIT);
		unsigned int before;

		if (!g) {
			count(&wrong);
			return;
		}
		before = knuma_group_enter(g);
		for (int i = 0; i < 20; i++) {
			struct canary *c = allocate(t, WAY_KFREE);

			if (!c || knuma_group_of(c) != g)
				count(&wrong);
			c = __atomic_exchange_n(
				&places[stress_below(t, PLACES)], c,
				__ATOMIC_ACQ_REL);
			if (c)
				release(c);
		}
		knuma_group_destroy(g);
		knuma_group_leave(before);
		count(&remade);
	}
}

static bool has_remade(void)
{
	return counted(&remade) > 500;
}

static void groups_come_and_go(void **state)
{
	(void)state;
	stress_run_until(THREADS, come_and_go, NULL, has_remade);
	release_all();
	assert_int_equal(wrong, 0);
	assert_int_equal(knuma_groups_read(NULL, 0), 0);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(charges_balance),
		cmocka_unit_test(groups_come_and_go),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
