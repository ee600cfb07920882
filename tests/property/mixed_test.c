/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All allocators at once on one heap, caches that come and go, nodes that fill
 * up and are taken away: what is in use keeps its content, nothing fails that
 * may wait, and at the end all is free.
 */
#include <stdio.h>
#include <string.h>

#include <knuma/malloc.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"

#define LIVE	  2000
#define BYTES_MAX ((size_t)150 << 20)
#define CACHES	  12

enum kind {
	KMALLOC,
	PAGES,
	AREA,
	KVMALLOC,
	MALLOC,
	OBJECT,
	NR_KINDS
};

static struct memory {
	enum kind kind;
	unsigned char *at;
	size_t size;
	uint64_t seed;
	int cache;
} live[LIVE];

static struct {
	struct kmem_cache *s;
	int in_use;
} caches[CACHES];

static int nr_live;
static size_t bytes_live;
static struct rng rng;

/* The first bytes and the last ones. */
static size_t edge(const struct memory *m)
{
	return m->size < 2000 ? m->size : 2000;
}

static void fill(const struct memory *m)
{
	pattern_fill(m->at, edge(m), m->seed);
	pattern_fill(m->at + m->size - edge(m), edge(m), ~m->seed);
}

static bool holds(const struct memory *m)
{
	return m->size > 4000 ? pattern_holds(m->at, edge(m), m->seed) &&
					pattern_holds(m->at + m->size - edge(m),
						      edge(m), ~m->seed) :
				pattern_holds(m->at + m->size - edge(m),
					      edge(m), ~m->seed);
}

static int any_node(void)
{
	return (int)rng_below(&rng, (uint64_t)kn_topo.nr_nodes + 1) - 1;
}

static struct kmem_cache *any_cache(int *index)
{
	struct kmem_cache **s;
	char name[16];

	*index = (int)rng_below(&rng, CACHES);
	s = &caches[*index].s;
	if (!*s) {
		snprintf(name, sizeof(name), "mixed-%d", *index);
		*s = kmem_cache_create(
			name, (unsigned)(1 + rng_size(&rng, 5000)), 0, 0, NULL);
		CHECK(*s);
	}
	return *s;
}

static void *get(struct memory *m, gfp_t gfp)
{
	unsigned int order;
	struct page *page;
	struct kmem_cache *s;

	switch (m->kind) {
	case KMALLOC:
		m->size = 1 + rng_size(&rng, 100000);
		return kmalloc_node(m->size, gfp, any_node());
	case PAGES:
		order = (unsigned)rng_below(&rng, 9);
		m->size = knuma_page_size() << order;
		page = alloc_pages_node(any_node(), gfp, order);
		return page ? page_address(page) : NULL;
	case AREA:
		m->size = 1 + rng_size(&rng, 4000000);
		return __vmalloc_node(m->size, 1, gfp, any_node(), NULL);
	case KVMALLOC:
		m->size = 1 + rng_size(&rng, 2000000);
		return kvmalloc_node(m->size, gfp, any_node());
	case MALLOC:
		m->size = 1 + rng_size(&rng, 2000000);
		return rng_below(&rng, 2) ?
			       knuma_malloc(m->size) :
			       knuma_memalign((size_t)1 << rng_below(&rng, 15),
					      m->size);
	default:
		s = any_cache(&m->cache);
		m->size = kmem_cache_size(s);
		return kmem_cache_alloc_node(s, gfp, any_node());
	}
}

static void allocate(void)
{
	struct memory *m = &live[nr_live];
	const bool wait = rng_below(&rng, 8) != 0;

	m->kind = (enum kind)rng_below(&rng, NR_KINDS);
	m->at = get(m, wait ? GFP_KERNEL : GFP_NOWAIT);
	CHECK(m->at || (!wait && m->kind != MALLOC));
	if (!m->at)
		return;
	m->seed = rng_next(&rng);
	fill(m);
	if (m->kind == OBJECT)
		caches[m->cache].in_use++;
	bytes_live += m->size;
	nr_live++;
}

static void release(int i)
{
	const struct memory m = live[i];

	CHECK(holds(&m));
	bytes_live -= m.size;
	live[i] = live[--nr_live];
	switch (m.kind) {
	case KMALLOC:
		kfree(m.at);
		break;
	case PAGES:
		free_pages((unsigned long)m.at, get_order(m.size));
		break;
	case AREA:
		vfree(m.at);
		break;
	case KVMALLOC:
		kvfree(m.at);
		break;
	case MALLOC:
		knuma_free(m.at);
		break;
	default:
		kmem_cache_free(caches[m.cache].s, m.at);
		caches[m.cache].in_use--;
	}
}

static void end_a_cache(void)
{
	const int i = (int)rng_below(&rng, CACHES);

	if (caches[i].in_use)
		return;
	kmem_cache_destroy(caches[i].s);
	caches[i].s = NULL;
}

/* Node 0 always has room. */
static void change_the_machine(void)
{
	static const char *const allowed[] = {"0-3", "0", "0,2", "0-1,3"};

	if (kn_topo.nr_nodes == 1)
		return;
	fake_node_free_mib(1 + (int)rng_below(&rng, 3),
			   rng_below(&rng, 2) ? 0 : 2000);
	fake_nodes_allow(allowed[rng_below(&rng, 4)]);
}

static void steps(int n)
{
	start_quiet();
	rng = rng_new(4);
	for (int step = 0; step < n; step++) {
		const uint64_t what = rng_below(&rng, 1000);

		if (!nr_live ||
		    (what < 510 && nr_live < LIVE && bytes_live < BYTES_MAX))
			allocate();
		else if (what < 985)
			release((int)rng_below(&rng, (uint64_t)nr_live));
		else if (what < 996)
			end_a_cache();
		else if (what < 998)
			change_the_machine();
		else
			CHECK_EQ(knuma_trim(), 0);
		if (step % 200 == 0)
			heap_verify();
	}
	while (nr_live)
		release(nr_live - 1);
	for (int i = 0; i < CACHES; i++)
		kmem_cache_destroy(caches[i].s);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	CHECK_EQ(stat_of("active_bytes"), 0);
	CHECK_EQ(stat_of("numa_miss"), stat_of("numa_foreign"));
	CHECK_EQ(stat_of("double_free") + stat_of("invalid_free"), 0);
	CHECK_EQ(printed_times("Objects remaining"), 0);
	heap_verify();
}

static void everything_at_once(void)
{
	steps(40000);
}

static void everything_at_once_on_four_nodes(void)
{
	fake_nodes(4);
	steps(30000);
}

static void everything_at_once_without_rseq(void)
{
	conf("rseq", "no");
	steps(20000);
}

static void everything_at_once_and_zeroed(void)
{
	conf("init_on_alloc", "yes");
	steps(10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(everything_at_once),
		child_test(everything_at_once_on_four_nodes),
		child_test(everything_at_once_without_rseq),
		child_test(everything_at_once_and_zeroed),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
