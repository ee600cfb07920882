/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the library has, at the same time: each thread takes a call by chance,
 * and what it allocates goes where another thread finds and frees it.  Nothing is
 * lost, the heap is sound at the end; with ThreadSanitizer, who reads what others
 * write has to say so.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/group.h>
#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/mempool.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/percpu.h>
#include <knuma/rcu.h>
#include <knuma/shrinker.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/base/print.h"
#include "alloc/view/requests.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 6,
	PLACES = 48, /* of each kind */
	CACHES = 5,
	BULK = 24,
	POOL = 4,
	LARGEST = 200 << 10,
	AREA = 3 << 20,
};

#define TEXT ((size_t)256 << 10)

/*
 * ThreadSanitizer does not let a child of threads have threads, and knows nothing
 * of pthread_mutex_clocklock(); it does not see either that what validates looks
 * at objects that others free, and looks again.
 */
#ifdef __SANITIZE_THREAD__
#define TSAN 1
#else
#define TSAN 0
#endif

static struct kmem_cache *caches[CACHES];
static struct knuma_group *groups[2];
static mempool_t *pool;
static uint64_t lost;

/* A size that is small more often than not. */
static size_t any_size(struct stress_thread *t, size_t most)
{
	return 1 + stress_below(t, 1 + (unsigned)(most >> stress_below(t, 16)));
}

static int any_node(struct stress_thread *t)
{
	return stress_below(t, 2) ? NUMA_NO_NODE : (int)stress_below(t, 4);
}

static gfp_t any_gfp(struct stress_thread *t)
{
	static const gfp_t gfp[] = {
		GFP_KERNEL, GFP_KERNEL, GFP_KERNEL_ACCOUNT,
		GFP_ATOMIC, GFP_NOWAIT, GFP_KERNEL | __GFP_ZERO,
	};

	return gfp[stress_below(t, sizeof(gfp) / sizeof(gfp[0]))] |
	       __GFP_NOWARN;
}

/* The last ones are debugged. */
static struct kmem_cache *any_cache(struct stress_thread *t)
{
	return caches[stress_below(t, TSAN ? CACHES - 2 : CACHES)];
}

/* Memory of each kind: how it comes and goes. */

static void *get_small(struct stress_thread *t)
{
	return kmalloc_node(any_size(t, LARGEST), any_gfp(t), any_node(t));
}

static void *get_from_cache(struct stress_thread *t)
{
	return kmem_cache_alloc_node(caches[t->index % CACHES], any_gfp(t),
				     any_node(t));
}

static void *get_malloc(struct stress_thread *t)
{
	if (!stress_below(t, 8))
		return knuma_memalign(64u << stress_below(t, 8),
				      any_size(t, LARGEST));
	return knuma_realloc(knuma_malloc(any_size(t, LARGEST)),
			     any_size(t, AREA));
}

static void *get_area(struct stress_thread *t)
{
	const size_t size = any_size(t, AREA);

	return __vmalloc_node(size, 1, any_gfp(t), any_node(t),
			      __builtin_return_address(0));
}

static void *get_either(struct stress_thread *t)
{
	void *p = kvmalloc_node(any_size(t, AREA), any_gfp(t), any_node(t));
	void *q = p ? kvrealloc(p, any_size(t, AREA), GFP_KERNEL) : NULL;

	return q ? q : p;
}

static void *get_pages(struct stress_thread *t)
{
	const unsigned order = stress_below(t, 6);
	struct page *page = alloc_pages_node(any_node(t), any_gfp(t), order);
	unsigned *p;

	if (!page)
		return NULL;
	p = page_address(page);
	*p = order;
	if (virt_to_head_page((char *)p + stress_below(t, 4096u << order)) !=
	    page)
		__atomic_add_fetch(&lost, 1, __ATOMIC_RELAXED);
	return p;
}

static void put_pages(void *p)
{
	__free_pages(virt_to_page(p), *(unsigned *)p);
}

/* The first word says what free_pages_exact() has to know. */
static void *get_exact(struct stress_thread *t)
{
	const size_t size = 4096 + any_size(t, LARGEST);
	size_t *p = alloc_pages_exact_nid(any_node(t), size, any_gfp(t));

	if (p)
		*p = size;
	return p;
}

static void put_exact(void *p)
{
	free_pages_exact(p, *(size_t *)p);
}

static void *get_percpu(struct stress_thread *t)
{
	return __alloc_percpu_gfp(8u << stress_below(t, 6), 8, any_gfp(t));
}

static void *get_pooled(struct stress_thread *t)
{
	return mempool_alloc(pool,
			     stress_below(t, 2) ? GFP_NOWAIT : GFP_ATOMIC);
}

static void put_pooled(void *p)
{
	mempool_free(p, pool);
}

/* Nobody reads what waits. */
static void *get_waiting(struct stress_thread *t)
{
	return canary_new(sizeof(struct canary) + any_size(t, LARGEST), 0);
}

static void put_waiting(void *p)
{
	flavor_memb.free(p);
}

static void put_small(void *p)
{
	kfree(p);
}

static void put_either(void *p)
{
	kvfree(p);
}

static void put_area(void *p)
{
	vfree(p);
}

static void put_malloc(void *p)
{
	knuma_free(p);
}

static void put_percpu(void *p)
{
	free_percpu(p);
}

static const struct kind {
	void *(*get)(struct stress_thread *t);
	void (*put)(void *p);
} kinds[] = {
	{get_small, put_small},	    {get_from_cache, put_small},
	{get_malloc, put_malloc},   {get_area, put_area},
	{get_either, put_either},   {get_pages, put_pages},
	{get_percpu, put_percpu},   {get_pooled, put_pooled},
	{get_waiting, put_waiting}, {get_exact, put_exact},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void *places[KINDS][PLACES];

static void exchange(struct stress_thread *t)
{
	const unsigned k = stress_below(t, KINDS);
	void *p = kinds[k].get(t);

	p = __atomic_exchange_n(&places[k][stress_below(t, PLACES)], p,
				__ATOMIC_ACQ_REL);
	if (p)
		kinds[k].put(p);
}

static void in_bulk(struct stress_thread *t)
{
	struct kmem_cache *s = any_cache(t);
	void *p[BULK];
	const int n = kmem_cache_alloc_bulk(s, any_gfp(t), BULK, p);

	if (n)
		kmem_cache_free_bulk(s, (size_t)n, p);
}

static void by_sheaf(struct stress_thread *t)
{
	struct kmem_cache *s = any_cache(t);
	struct slab_sheaf *sheaf =
		kmem_cache_prefill_sheaf(s, GFP_KERNEL, stress_below(t, BULK));

	if (!sheaf)
		return;
	kmem_cache_free(s, kmem_cache_alloc_from_sheaf(s, GFP_NOWAIT, sheaf));
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
}

/* A cache of its own, shrunk while others look. */
static void own_cache(struct stress_thread *t)
{
	static const unsigned flags[] = {0, SLAB_ACCOUNT, SLAB_POISON,
					 SLAB_TYPESAFE_BY_RCU};
	struct kmem_cache_args args = {.align = 8};
	struct kmem_cache *s;
	char name[16];
	void *p;

	snprintf(name, sizeof(name), "own-%d", t->index);
	s = kmem_cache_create(name, 16u << stress_below(t, 8), &args,
			      flags[t->index % 4]);
	if (!s)
		return;
	p = kmem_cache_alloc(s, GFP_KERNEL);
	(void)kmem_cache_shrink(s);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static unsigned long count_none(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return SHRINK_EMPTY;
}

static void own_shrinker(struct stress_thread *t)
{
	struct shrinker *s = shrinker_alloc(0, "own-%d", t->index);

	if (!s)
		return;
	s->count_objects = count_none;
	s->scan_objects = count_none;
	shrinker_register(s);
	shrinker_free(s);
}

static void in_group(struct stress_thread *t)
{
	struct knuma_group *g = groups[stress_below(t, 2)];
	struct knuma_group_stat st[4];
	const unsigned before = knuma_group_enter(g);
	void *p = kmalloc(any_size(t, LARGEST), GFP_KERNEL_ACCOUNT);

	knuma_group_read(g, st);
	knuma_groups_read(st, 4);
	knuma_group_set_limit(g, (uint64_t)stress_below(t, 64) << 20 | 1 << 20);
	kfree(p);
	knuma_group_leave(before);
}

static void own_group(struct stress_thread *t)
{
	struct knuma_group *g;
	char name[16];

	snprintf(name, sizeof(name), "own-%d", t->index);
	g = knuma_group_create(name, UINT64_MAX);
	if (g)
		knuma_group_destroy(g);
}

static void settings(struct stress_thread *t)
{
	static const char *const set[][2] = {
		{"trim_delay_ms", "1"},
		{"trim_delay_ms", "20"},
		{"vmalloc_cache", "1M"},
		{"vmalloc_cache", "64M"},
		{"vmalloc_delay_ms", "1"},
		{"vma_budget", "1000"},
		{"vma_budget", "16384"},
		{"kvmalloc_pages_max", "64K"},
		{"kvmalloc_pages_max", "256K"},
		{"rcu_delay_ms", "1"},
		{"rcu_budget", "1M"},
		{"rcu_budget", "0"},
		{"node_fallback", "no"},
		{"node_fallback", "yes"},
		{"slab_debug", "F,kmalloc-64,first"},
		{"slab_debug", "-"},
		{"failslab_probability", "50"},
		{"pressure", "no"},
		{"pressure", "yes"},
	};
	const unsigned i = stress_below(t, sizeof(set) / sizeof(set[0]));
	char text[64];

	if (knuma_conf_set(set[i][0], set[i][1]) ||
	    knuma_conf_get(set[i][0], text, sizeof(text)))
		__atomic_add_fetch(&lost, 1, __ATOMIC_RELAXED);
	/* There is no file; or another thread is at it. */
	if (!stress_below(t, 4))
		(void)!knuma_conf_reload();
}

static void nodes(struct stress_thread *t)
{
	void *p = kvmalloc(any_size(t, AREA), GFP_KERNEL);
	struct knuma_migrated m;
	struct knuma_homes rows[8];
	int list[8];
	long n[8];

	if (p) {
		memset(p, 1, 1);
		(void)!knuma_migrate(p, 0, knuma_nr_nodes() - 1, &m);
		(void)knuma_placement(p, 1, n, 8);
		(void)knuma_node_of(p);
		kvfree(p);
	}
	(void)!knuma_migrate_cache(caches[0], 0, knuma_nr_nodes() - 1, &m);
	(void)knuma_verify_placement(8, rows, 8);
	(void)knuma_zonelist(0, list, 8);
	(void)knuma_node_best(KNUMA_CAPACITY, 0);
	(void)knuma_distance(0, knuma_nr_nodes() - 1);
	if (!stress_below(t, 16))
		(void)knuma_topology_refine();
}

static void reads(struct stress_thread *t)
{
	static const char *const views[] = {"slabinfo", "buddyinfo",
					    "pagetypeinfo", "vmallocinfo",
					    "node0/numastat"};
	char *text = malloc(TEXT);

	assert_non_null(text);
	(void)knuma_stats_json(text, TEXT);
	(void)knuma_stats_text(text, TEXT);
	(void)!knuma_view(views[stress_below(t, 5)], text, TEXT);
	(void)knuma_mode_reason();
	free(text);
}

static void forks(struct stress_thread *t)
{
	const pid_t child = fork();

	(void)t;
	if (!child) {
		kfree(kmalloc(100, GFP_KERNEL));
		vfree(vmalloc(100000));
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void returns(struct stress_thread *t)
{
	switch (stress_below(t, 5)) {
	case 0:
		(void)knuma_trim();
		break;
	case 1:
		(void)kmem_cache_shrink(any_cache(t));
		break;
	case 2:
		(void)validate_slab_cache(any_cache(t));
		break;
	case 3:
		drain_all_pages(NULL);
		break;
	default:
		(void)!mempool_resize(pool, 1 + (int)stress_below(t, POOL));
	}
}

static const struct seldom {
	void (*fn)(struct stress_thread *t);
	unsigned one_in;
} seldom[] = {
	{in_bulk, 8},	    {in_group, 16},  {own_cache, 64},
	{own_shrinker, 64}, {own_group, 64}, {settings, 64},
	{nodes, 128},	    {reads, 128},    {forks, TSAN ? 0 : 512},
	{returns, 64},	    {by_sheaf, 64},
};

/* What the socket answers, in one thread. */
static void requests(struct stress_thread *t)
{
	static const char *const lines[] = {
		"caches",	  "nodes",
		"check",	  "stats openmetrics",
		"view slabinfo",  "version",
		"get rcu_budget",
	};
	static char buf[TEXT];
	struct kn_text text = {.buf = buf, .size = sizeof(buf)};
	char line[64];
	const unsigned i =
		stress_below(t, 2 * sizeof(lines) / sizeof(lines[0]));
	void *p = __atomic_load_n(
		&places[stress_below(t, KINDS)][stress_below(t, PLACES)],
		__ATOMIC_RELAXED);

	if (i < sizeof(lines) / sizeof(lines[0]))
		snprintf(line, sizeof(line), "%s", lines[i]);
	else
		snprintf(line, sizeof(line), "whatis %p", p);
	kn_request_answer(line, &text);
	stress_sleep_ms(1);
}

static void work(struct stress_thread *t)
{
	while (!stress_stopped()) {
		exchange(t);
		if (!t->index)
			requests(t);
		for (size_t i = 0; i < sizeof(seldom) / sizeof(seldom[0]); i++)
			if (seldom[i].one_in &&
			    !stress_below(t, seldom[i].one_in))
				seldom[i].fn(t);
	}
}

static void give_all_back(void)
{
	for (size_t k = 0; k < KINDS; k++)
		for (int i = 0; i < PLACES; i++)
			if (places[k][i])
				kinds[k].put(places[k][i]);
}

static void all_at_once(void **state)
{
	static const unsigned flags[] = {0, SLAB_ACCOUNT, SLAB_TYPESAFE_BY_RCU,
					 SLAB_RED_ZONE | SLAB_POISON |
						 SLAB_STORE_USER,
					 SLAB_CONSISTENCY_CHECKS};

	(void)state;
	for (int i = 0; i < CACHES; i++) {
		struct kmem_cache_args args = {.align = 8};
		char name[16];

		snprintf(name, sizeof(name), "shared-%d", i);
		caches[i] = kmem_cache_create(name, 40u << i, &args, flags[i]);
		assert_non_null(caches[i]);
	}
	groups[0] = knuma_group_create("one", UINT64_MAX);
	groups[1] = knuma_group_create("two", UINT64_MAX);
	pool = mempool_create_kmalloc_pool(POOL, 500);
	assert_non_null(pool);
	stress_run(WORKERS, work, NULL);
	give_all_back();
	mempool_destroy(pool);
	assert_int_equal(lost, 0);
	kvfree_rcu_barrier();
	for (int i = 0; i < CACHES; i++)
		stress_cache_end(caches[i]);
	assert_int_equal(vmalloc_nr_pages(), 0);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_at_once),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
