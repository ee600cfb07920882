/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever the order of calls, objects in use hold their content, have their
 * size and alignment, and slabs pass their own checks.  The model is a seed for
 * each object: all its bytes follow from it.
 */
#include <string.h>

#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"

#define LIVE	  3000
#define BYTES_MAX ((size_t)48 << 20)
#define CACHES	  6

static struct object {
	unsigned char *at;
	size_t size;
	uint64_t seed;
	struct kmem_cache *cache; /* NULL: kmalloc */
} live[LIVE];

static int nr_live;
static size_t bytes_live;
static struct kmem_cache *cache[CACHES];
static struct rng rng;

static gfp_t any_gfp(void)
{
	static const gfp_t gfp[] = {
		GFP_KERNEL, GFP_KERNEL,
		GFP_KERNEL, GFP_KERNEL | __GFP_RETRY_MAYFAIL,
		GFP_NOWAIT, GFP_ATOMIC | __GFP_NOWARN};
	const gfp_t zero = rng_below(&rng, 4) ? 0 : __GFP_ZERO;

	return gfp[rng_below(&rng, 6)] | zero;
}

static int any_node(void)
{
	return (int)rng_below(&rng, (uint64_t)kn_topo.nr_nodes + 1) - 1;
}

static void took(struct object *o, gfp_t gfp, int node)
{
	const size_t align = divisor_of(o->size) < 8 ? 8 : divisor_of(o->size);

	if (!o->at) {
		CHECK(!gfpflags_allow_blocking(gfp));
		return;
	}
	CHECK(ksize(o->at) >= o->size);
	CHECK_EQ((uintptr_t)o->at % (o->cache ? 8 : align), 0);
	if (node >= 0 && gfpflags_allow_blocking(gfp))
		CHECK_EQ(page_to_nid(virt_to_page(o->at)), node);
	if (gfp & __GFP_ZERO)
		CHECK(all_bytes(o->at, o->size, 0));
	if (!gfpflags_allow_blocking(gfp))
		CHECK(is_present(o->at, o->size));
	o->seed = rng_next(&rng);
	pattern_fill(o->at, o->size, o->seed);
	bytes_live += o->size;
	nr_live++;
}

static void allocate(void)
{
	struct object *o = &live[nr_live];
	const gfp_t gfp = any_gfp();
	const int node = any_node();

	o->cache = NULL;
	if (rng_below(&rng, 3) == 0) {
		o->cache = cache[rng_below(&rng, CACHES)];
		o->size = kmem_cache_size(o->cache);
		o->at = kmem_cache_alloc_node(o->cache, gfp, node);
	} else {
		/* Large ones seldom. */
		o->size =
			1 + rng_size(&rng, rng_below(&rng, 50) ? 9000 : 300000);
		o->at = kmalloc_node(o->size, gfp, node);
	}
	took(o, gfp, node);
}

static void allocate_bulk(void)
{
	struct kmem_cache *s = cache[rng_below(&rng, CACHES)];
	void *p[150];
	const int n = (int)rng_below(&rng, 150);

	if (nr_live + n >= LIVE)
		return;
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, (size_t)n, p), n);
	for (int i = 0; i < n; i++) {
		live[nr_live] = (struct object){p[i], kmem_cache_size(s), 0, s};
		took(&live[nr_live], GFP_KERNEL, -1);
	}
}

static void forget(int i)
{
	struct object *o = &live[i];

	CHECK(pattern_holds(o->at, o->size, o->seed));
	bytes_live -= o->size;
	*o = live[--nr_live];
}

static void release(int i)
{
	const struct object o = live[i];

	forget(i);
	switch (rng_below(&rng, 4)) {
	case 0:
		kfree(o.at);
		break;
	case 1:
		kvfree(launder(o.at));
		break;
	case 2:
		knuma_free(launder(o.at));
		break;
	default:
		if (o.cache)
			kmem_cache_free(o.cache, o.at);
		else
			kfree_sensitive(o.at);
	}
}

static void release_bulk(void)
{
	void *p[100];
	const int n = (int)rng_below(&rng, 100);
	int got = 0;

	while (got < n && nr_live) {
		const int i = (int)rng_below(&rng, (uint64_t)nr_live);

		p[got++] = live[i].at;
		forget(i);
	}
	kfree_bulk((size_t)got, p);
}

static void resize(int i)
{
	struct object *o = &live[i];
	const size_t size = 1 + rng_size(&rng, 20000);
	const size_t kept = o->size < size ? o->size : size;
	void *p;

	if (o->cache)
		return;
	p = krealloc(o->at, size, GFP_KERNEL);
	CHECK(p && ksize(p) >= size);
	CHECK(pattern_holds(p, kept, o->seed));
	bytes_live += size - o->size;
	o->at = p;
	o->size = size;
	pattern_fill(p, size, o->seed);
}

static void one_step(void)
{
	const uint64_t what = rng_below(&rng, 1000);
	const int any = nr_live ? (int)rng_below(&rng, (uint64_t)nr_live) : 0;

	if (!nr_live ||
	    (what < 480 && nr_live < LIVE && bytes_live < BYTES_MAX))
		allocate();
	else if (what < 900)
		release(any);
	else if (what < 960)
		resize(any);
	else if (what < 975)
		allocate_bulk();
	else if (what < 996)
		release_bulk();
	else if (what < 999)
		kmem_cache_shrink(cache[rng_below(&rng, CACHES)]);
	else
		CHECK_EQ(knuma_trim(), 0);
}

static void steps(int n)
{
	static const unsigned int size[CACHES] = {8, 24, 100, 640, 3000, 12000};

	start_quiet();
	rng = rng_new(2);
	for (int i = 0; i < CACHES; i++)
		cache[i] = kmem_cache_create("property", size[i], 0, 0, NULL);
	for (int step = 0; step < n; step++) {
		one_step();
		if (step % 300 == 0)
			heap_verify();
		if (step % 3000 == 0)
			for (int i = 0; i < nr_live; i++)
				CHECK(pattern_holds(live[i].at, live[i].size,
						    live[i].seed));
	}
	while (nr_live)
		release(nr_live - 1);
	for (int i = 0; i < CACHES; i++) {
		CHECK_EQ(kmem_cache_shrink(cache[i]), 0);
		kmem_cache_destroy(cache[i]);
	}
	CHECK_EQ(knuma_trim(), 0);
	/* Nothing is in use, so no page is. */
	CHECK_EQ(stat_of("page_managed_bytes"), stat_of("page_free_bytes"));
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	CHECK_EQ(printed_times("Objects remaining"), 0);
	heap_verify();
}

static void objects_keep_their_content(void)
{
	steps(80000);
}

static void objects_keep_their_content_on_four_nodes(void)
{
	fake_nodes(4);
	steps(40000);
}

static void objects_keep_their_content_without_rseq(void)
{
	conf("rseq", "no");
	steps(40000);
}

static void objects_keep_their_content_with_tiny_magazines(void)
{
	conf("magazine_capacity", "1");
	conf("depot_batches", "1");
	steps(40000);
}

static void objects_keep_their_content_without_a_depot(void)
{
	conf("magazine_bytes", "0");
	conf("depot_batches", "0");
	conf("reserve", "0");
	steps(40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(objects_keep_their_content),
		child_test(objects_keep_their_content_on_four_nodes),
		child_test(objects_keep_their_content_without_rseq),
		child_test(objects_keep_their_content_with_tiny_magazines),
		child_test(objects_keep_their_content_without_a_depot),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
