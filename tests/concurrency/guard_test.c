/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correct programs with guarded objects: every allocation's turn, and a few
 * slots, so that most are taken and given back at the same time by several
 * threads.  Nothing is reported, contents stay, and all slots come back.  In
 * secure_test the other objects are wiped, wait, and are looked at besides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/malloc.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/slab/fence.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 4,
	HELD = 24,
	BULK = 5,
};

struct held {
	void *p;
	size_t size;
	uint64_t tag;
};

static struct kmem_cache *cache;
static uint64_t spoiled;

static void construct(void *obj)
{
	memset(obj, 0, 100);
}

static void spoil(bool bad)
{
	if (bad)
		__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
}

static void let_go(struct stress_thread *t, struct held *h)
{
	if (!h->p)
		return;
	spoil(!stress_check(h->p, h->size, h->tag));
	if (stress_below(t, 4) == 0 && h->size < 8000) {
		const size_t size = h->size + 1 + stress_below(t, 500);
		void *p = krealloc(h->p, size, GFP_KERNEL);

		spoil(p && !stress_check(p, h->size, h->tag));
		h->p = p ? p : h->p;
	}
	if (stress_below(t, 2))
		kfree(h->p);
	else
		knuma_free(h->p);
	h->p = NULL;
}

static void take(struct stress_thread *t, struct held *h)
{
	h->size = 1 + stress_below(t, 6000);
	h->tag = stress_random(t);
	switch (stress_below(t, 4)) {
	case 0:
		h->p = kmalloc(h->size, GFP_NOWAIT);
		break;
	case 1:
		h->p = kzalloc(h->size, GFP_KERNEL);
		break;
	case 2:
		h->p = knuma_malloc(h->size);
		break;
	default:
		h->p = kmalloc(h->size, GFP_KERNEL);
	}
	if (h->p)
		stress_fill(h->p, h->size, h->tag);
}

static void objects_of_a_cache(void)
{
	void *obj[BULK];

	if (kmem_cache_alloc_bulk(cache, GFP_KERNEL, BULK, obj) != BULK)
		return;
	for (int i = 0; i < BULK; i++)
		spoil(!stress_own(obj[i]));
	for (int i = 0; i < BULK; i++)
		stress_disown(obj[i]);
	kmem_cache_free(cache, obj[0]);
	kmem_cache_free_bulk(cache, BULK - 1, obj + 1);
}

static void work(struct stress_thread *t)
{
	static __thread struct held held[HELD];

	while (!stress_stopped()) {
		struct held *h = &held[stress_below(t, HELD)];

		if (h->p)
			let_go(t, h);
		else
			take(t, h);
		if (stress_below(t, 16) == 0)
			objects_of_a_cache();
	}
	for (int i = 0; i < HELD; i++)
		let_go(t, &held[i]);
}

static void correct_programs_meet_no_guard(void **state)
{
	(void)state;
	cache = kmem_cache_create("constructed", 100, 0, 0, construct);
	assert_non_null(cache);
	stress_run(WORKERS, work, NULL);
	assert_int_equal(spoiled, 0);
	assert_int_equal(stress_stat("guarded_reports"), 0);
	assert_int_equal(stress_stat("written_free"), 0);
	assert_int_equal(stress_stat("double_free"), 0);
	assert_true(stress_stat("guarded_allocs") > 0);
	assert_int_equal(stress_stat("guarded_allocs"),
			 stress_stat("guarded_frees"));
	assert_int_equal(kn_fence_in_use(cache, NULL), 0);
	print_message("%llu of %llu turns had a slot\n",
		      (unsigned long long)stress_stat("guarded_allocs"),
		      (unsigned long long)(stress_stat("guarded_allocs") +
					   stress_stat("guarded_skipped")));
	kmem_cache_destroy(cache);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(correct_programs_meet_no_guard),
	};

	stress_init(argc, argv);
	if (knuma_conf_set("guard_sample", "1") ||
	    knuma_conf_set("guard_slots", "31"))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
