/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches come and go in some threads, whose ids and magazines serve the next
 * cache at once, while others use caches that stay, and others read statistics
 * and trim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/magazine/drain.h"
#include "tests/concurrency/stress.h"

enum {
	CREATORS = 3,
	USERS = 2,
	READERS = 1,
	STAYING = 4,
	OBJECTS = 400,
};

static struct kmem_cache *staying[STAYING];
static uint64_t spoiled, created, used, texts;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* Objects of @s whose content only this thread knows. */
static unsigned take(struct stress_thread *t, struct kmem_cache *s, void **p,
		     unsigned most)
{
	const unsigned n = stress_below(t, most);

	for (unsigned i = 0; i < n; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (!p[i]) {
			count(&spoiled, 1);
			return i;
		}
		stress_fill(p[i], kmem_cache_size(s), (uintptr_t)p[i]);
	}
	return n;
}

static void give(struct kmem_cache *s, void **p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!stress_check(p[i], kmem_cache_size(s), (uintptr_t)p[i]))
			count(&spoiled, 1);
		kmem_cache_free(s, p[i]);
	}
}

static void one_cache(struct stress_thread *t)
{
	const unsigned size =
		1 + stress_below(t, stress_below(t, 8) ? 600 : 9000);
	struct kmem_cache *s;
	void *p[OBJECTS];
	unsigned n, keep;
	char name[32];

	snprintf(name, sizeof(name), "of thread %d", t->index);
	s = kmem_cache_create(name, size, 0,
			      stress_below(t, 2) ? SLAB_HWCACHE_ALIGN : 0,
			      NULL);
	if (!s) {
		count(&spoiled, 1);
		return;
	}
	n = take(t, s, p, OBJECTS);
	keep = n ? stress_below(t, n) : 0;
	give(s, p + keep, n - keep);
	if (stress_below(t, 2))
		kmem_cache_shrink(s);
	give(s, p, keep);
	n = take(t, s, p, OBJECTS);
	give(s, p, n);
	kmem_cache_destroy(s);
	count(&created, 1);
}

static void use_staying(struct stress_thread *t)
{
	struct kmem_cache *s = staying[stress_below(t, STAYING)];
	void *p[OBJECTS];
	unsigned n = take(t, s, p, OBJECTS);

	give(s, p, n);
	count(&used, n);
	n = 1 + stress_below(t, OBJECTS - 1);
	n = (unsigned)kmem_cache_alloc_bulk(s, GFP_KERNEL, n, p);
	for (unsigned i = 0; i < n; i++)
		stress_fill(p[i], kmem_cache_size(s), (uintptr_t)p[i]);
	for (unsigned i = 0; i < n; i++)
		if (!stress_check(p[i], kmem_cache_size(s), (uintptr_t)p[i]))
			count(&spoiled, 1);
	kmem_cache_free_bulk(s, n, p);
	for (unsigned i = 0; i < 50; i++) {
		p[i] = kmalloc(1 + stress_below(t, 9000), GFP_KERNEL);
		if (p[i])
			*(uint64_t *)p[i] = i;
	}
	kfree_bulk(50, p);
}

static void read_and_trim(struct stress_thread *t)
{
	static char text[32768];

	switch (stress_below(t, 5)) {
	case 0:
		count(&texts, knuma_stats_json(text, sizeof(text)) > 0);
		break;
	case 1:
		(void)stress_stat("slab_bytes");
		(void)stress_stat("magazine_pushes");
		/* Takes every slab lock in turn. */
		for (int i = 0; i < 100; i++)
			(void)stress_stat("allocated_bytes");
		break;
	case 2:
		kn_drain_idle();
		break;
	case 3:
		if (!stress_below(t, 20))
			(void)knuma_trim();
		break;
	default:
		kmem_cache_shrink(staying[stress_below(t, STAYING)]);
		count(&texts, knuma_stats_text(text, sizeof(text)) > 0);
	}
}

static void churn(struct stress_thread *t)
{
	while (!stress_stopped()) {
		if (t->index < CREATORS)
			one_cache(t);
		else if (t->index < CREATORS + USERS)
			use_staying(t);
		else
			read_and_trim(t);
	}
}

static void caches_come_and_go(void **state)
{
	char name[16];
	unsigned before;

	(void)state;
	for (unsigned i = 0; i < STAYING; i++) {
		snprintf(name, sizeof(name), "staying %u", i);
		staying[i] = kmem_cache_create(name, 40u << i, NULL, 0);
		assert_non_null(staying[i]);
	}
	before = stress_taken_ids();
	for (int i = 0; i < 4; i++)
		stress_run(CREATORS + USERS + READERS, churn, NULL);
	print_message("%llu caches, %llu objects, %llu texts\n",
		      (unsigned long long)created, (unsigned long long)used,
		      (unsigned long long)texts);
	assert_int_equal(spoiled, 0);
	/* Each destroyed cache was found empty, and gave its id back. */
	assert_int_equal(stress_taken_ids(), before);
	for (unsigned i = 0; i < STAYING; i++)
		stress_cache_end(staying[i]);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caches_come_and_go),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
