/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread has every lock of the library, as inside fork(), while others look
 * things up, free, defer, and allocate without waiting: none of these may come
 * to a lock.  Calls that do take locks are there as well, and must still be
 * waiting when the others are done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/kvmalloc.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/base/atomic.h"
#include "alloc/config/tunables.h"
#include "alloc/core/start.h"
#include "alloc/magazine/drain.h"
#include "alloc/magazine/slot.h"
#include "alloc/page/zone.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "alloc/vmalloc/vmap.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 3,
	OBJECTS = 200,
	TURNS = 300,
	/* For all of that; a thread that waits for a lock never gets there. */
	SECONDS = 60,
};

static struct kmem_cache *cache;
static char *area, *large;
static struct page *pages;
static uint64_t granted, wrong;
static const char *step[WORKERS]; /* what each is doing */
static uint32_t warm, begin, done, returned;

static uint32_t get(uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* In any thread; the first one asserts that there was nothing wrong. */
static void expect(bool ok)
{
	__atomic_add_fetch(&wrong, !ok, __ATOMIC_RELAXED);
}

static void add(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
}

/* By rank, see lock_ranks.def; and the CPUs of the fallback mode if @slots. */
static void take_all(bool slots)
{
	kn_grace_before_fork();
	kn_start_lock();
	kn_conf_lock();
	kn_cache_lock_all();
	kn_drain_lock_all();
	kn_slabs_lock_all();
	kn_zones_lock_all();
	kn_vmap_lock_all();
	for (int i = 0; slots && i < kn_topo.nr_cpus; i++)
		kn_slot_lock(i);
}

static void drop_all(bool slots)
{
	for (int i = 0; slots && i < kn_topo.nr_cpus; i++)
		kn_slot_unlock(i);
	kn_vmap_unlock_all();
	kn_zones_unlock_all();
	kn_slabs_unlock_all();
	kn_drain_unlock_all();
	kn_cache_unlock_all();
	kn_conf_unlock();
	kn_start_unlock();
	kn_grace_after_fork_parent();
}

/* What the allocation and free paths ask of an address, and the public forms. */
static bool look_up(void)
{
	char *const obj = kmalloc(100, GFP_NOWAIT);
	bool ok = is_vmalloc_addr(area) && !is_vmalloc_addr(large);

	ok &= kn_vmap_find(area) && !kn_vmap_find(area + 1);
	ok &= kn_vmap_find_around(area + 5000, 2) != NULL;
	ok &= !kn_vmap_find_around(area + 5000, 1000);
	ok &= vmalloc_nr_pages() >= 10;
	ok &= ksize(large) == 20480 && !ksize(area);
	ok &= knuma_node_of(area) >= 0 && knuma_node_of(large) >= 0;
	ok &= knuma_node_of(&ok) < 0;
	ok &= virt_to_page(large) &&
	      virt_to_head_page(large + 5000) == virt_to_page(large);
	ok &= page_to_nid(pages) >= 0;
	ok &= pfn_to_page(page_to_pfn(pages)) == pages;
	ok &= kmalloc_size_roundup(100) == 112;
	ok &= kmem_cache_size(cache) == 256;
	ok &= kn_cache_by_id(cache->mag.id) == cache;
	ok &= knuma_mode() != NULL;
	if (obj) {
		ok &= ksize(obj) == 112 && knuma_node_of(obj) >= 0;
		ok &= kn_id_of(obj) == kn_kmalloc_cache(100)->mag.id;
		kfree(obj);
		__atomic_add_fetch(&granted, 1, __ATOMIC_RELAXED);
	}
	return ok;
}

struct bag {
	void *obj[OBJECTS], *own[OBJECTS];
	struct canary *defer[OBJECTS];
	struct canary *defer_large;
	void *area, *large;
	struct page *pages[4];
};

static void fill(struct bag *b)
{
	void *warm_up[OBJECTS];

	for (int i = 0; i < OBJECTS; i++) {
		b->obj[i] = kmalloc((size_t)i * 40 + 1, GFP_KERNEL);
		b->own[i] = kmem_cache_alloc(cache, GFP_KERNEL);
		b->defer[i] = canary_new(sizeof(struct canary) + 100, 1);
		expect(b->obj[i] && b->own[i] && b->defer[i]);
	}
	/* Magazines that are open, and have something. */
	for (int i = 0; i < OBJECTS; i++)
		warm_up[i] = kmalloc(100, GFP_KERNEL);
	kfree_bulk(OBJECTS, warm_up);
	b->defer_large = canary_new(300000, 1);
	b->area = vmalloc(50000);
	b->large = kmalloc(50000, GFP_KERNEL);
	expect(b->defer_large && b->area && b->large);
	for (unsigned order = 0; order < 4; order++) {
		b->pages[order] = alloc_pages(GFP_KERNEL, order * 2);
		expect(b->pages[order]);
	}
}

static void free_all(struct bag *b, const char **at)
{
	*at = "kfree_rcu";
	for (int i = 0; i < OBJECTS; i++)
		flavor_memb.free(b->defer[i]);
	*at = "kfree_rcu of an area";
	flavor_memb.free(b->defer_large);
	*at = "kfree";
	for (int i = 0; i < OBJECTS; i++)
		kfree(b->obj[i]);
	*at = "kmem_cache_free_bulk";
	kmem_cache_free_bulk(cache, OBJECTS, b->own);
	*at = "vfree";
	vfree(b->area);
	*at = "kfree of pages";
	kfree(b->large);
	*at = "__free_pages";
	for (unsigned order = 0; order < 4; order++)
		__free_pages(b->pages[order], order * 2);
}

static void allocate(struct stress_thread *t, const char **at)
{
	static const gfp_t gfps[] = {GFP_NOWAIT, GFP_ATOMIC,
				     GFP_NOWAIT | __GFP_ZERO};
	const gfp_t gfp = gfps[stress_below(t, 3)];
	struct page *page;

	*at = "kmalloc without waiting";
	kfree(kmalloc(1 + stress_below(t, 9000), gfp));
	*at = "kmalloc_node without waiting";
	kfree(kmalloc_node(64, gfp, knuma_node_of(area)));
	*at = "kmem_cache_alloc without waiting";
	kmem_cache_free(cache, kmem_cache_alloc(cache, gfp));
	*at = "alloc_pages without waiting";
	page = alloc_pages(gfp, stress_below(t, 5));
	if (page)
		__free_pages(page, page->order);
	*at = "kvmalloc without waiting";
	kvfree(kvmalloc(30000, gfp));
}

static void work(struct stress_thread *t)
{
	const char **const at = &step[t->index];
	struct bag b;

	fill(&b);
	add(&warm);
	while (!get(&begin))
		stress_sleep_ms(1);
	for (int i = 0; i < TURNS; i++) {
		*at = "a lookup";
		expect(look_up());
		allocate(t, at);
	}
	free_all(&b, at);
	for (int i = 0; i < TURNS; i++)
		allocate(t, at);
	*at = "nothing more";
	add(&done);
}

/* What does take a lock, to show that they are held. */
static void take_a_lock(struct stress_thread *t)
{
	static char text[32768];

	add(&warm);
	while (!get(&begin))
		stress_sleep_ms(1);
	switch (t->index) {
	case 0:
		kmem_cache_shrink(cache);
		break;
	case 1:
		(void)knuma_stats_text(text, sizeof(text));
		break;
	case 2:
		(void)!knuma_conf_set("rcu_delay_ms", "10ms");
		break;
	case 3:
		kvfree_rcu_barrier();
		break;
	case 4:
		vfree(vmalloc(10000));
		break;
	}
	add(&returned);
}

enum {
	CONTROLS = 5
};

static bool all_done(void)
{
	for (int ms = 0; ms < SECONDS * 1000 && get(&done) < WORKERS; ms++)
		stress_sleep_ms(1);
	for (int i = 0; get(&done) < WORKERS && i < WORKERS; i++)
		print_message("thread %d waits in %s\n", i, step[i]);
	return get(&done) == WORKERS;
}

static void beside_all_locks(bool slots)
{
	struct stress_thread t[WORKERS], controls[CONTROLS];
	uint32_t early;
	bool all;

	warm = begin = done = returned = 0;
	granted = 0;
	stress_start(t, WORKERS, work, NULL);
	stress_start(controls, CONTROLS, take_a_lock, NULL);
	while (get(&warm) < WORKERS + CONTROLS)
		stress_sleep_ms(1);
	take_all(slots);
	add(&begin);
	all = all_done();
	early = get(&returned);
	drop_all(slots);
	assert_true(all);
	assert_int_equal(early, 0);
	stress_join(t, WORKERS);
	stress_join(controls, CONTROLS);
	assert_int_equal(returned, CONTROLS);
	assert_int_equal(wrong, 0);
	print_message("%llu of %d lookups had an object\n",
		      (unsigned long long)granted, WORKERS * TURNS);
	kvfree_rcu_barrier();
	assert_int_equal(stress_stat("rcu_queued"), stress_stat("rcu_freed"));
	assert_int_equal(stress_missing(cache), 0);
	stress_verify_pages();
}

static void nothing_waits_for_a_lock(void **state)
{
	(void)state;
	beside_all_locks(false);
	/* Magazines served, as did what is in the depots of those that wait. */
	assert_int_not_equal(granted, 0);
	if (kn_mag_mode == KN_MAG_FALLBACK)
		beside_all_locks(true);
}

static int prepare(void **state)
{
	(void)state;
	cache = stress_cache("looked up", 256);
	area = vmalloc(40960);
	large = kmalloc(20000, GFP_KERNEL);
	pages = alloc_pages(GFP_KERNEL, 2);
	/* Its thread is not made while the locks are held. */
	flavor_memb.free_headless(kmalloc(10, GFP_KERNEL));
	kvfree_rcu_barrier();
	return !area || !large || !pages;
}

static int end(void **state)
{
	(void)state;
	vfree(area);
	kfree(large);
	__free_pages(pages, 2);
	stress_cache_end(cache);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_waits_for_a_lock),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, prepare, end);
}
