/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __GFP_NOFAIL where there is no memory: it comes back with some when there is
 * some, for every kind of memory; and what it does not wait for.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <knuma/knuma.h>

#include "numa/machine.h"
#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"

#define MIB	((size_t)1 << 20)
#define GIB	((size_t)1 << 30)
#define PAGE	((size_t)4096)

#define PATIENT (GFP_KERNEL | __GFP_NOFAIL)
#define LIGHT	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

static struct kmem_cache *cache;

static void *one_of_bulk(gfp_t gfp)
{
	void *p;

	return kmem_cache_alloc_bulk(cache, gfp, 1, &p) ? p : NULL;
}

#define KIND(name, alloc, free)            \
	static void *get_##name(gfp_t gfp) \
	{                                  \
		return alloc;              \
	}                                  \
	static void put_##name(void *p)    \
	{                                  \
		free;                      \
	}

KIND(page, alloc_pages(gfp, 0), __free_pages(p, 0))
KIND(pair, alloc_pages(gfp, 1), __free_pages(p, 1))
KIND(block, alloc_pages(gfp, 9), __free_pages(p, 9))
KIND(exact, alloc_pages_exact(3 * PAGE, gfp), free_pages_exact(p, 3 * PAGE))
KIND(small, kmalloc(64, gfp), kfree(p))
KIND(object, kmem_cache_alloc(cache, gfp), kmem_cache_free(cache, p))
KIND(bulk, one_of_bulk(gfp), kfree(p))
KIND(large, kmalloc(2 * PAGE + 1, gfp), kfree(p))
KIND(huge, kmalloc(MIB, gfp), kfree(p))
KIND(area, __vmalloc(40000, gfp), vfree(p))
KIND(huge_area, __vmalloc(4 * MIB, gfp), vfree(p))
KIND(kv, kvmalloc(MIB + 1, gfp), kvfree(p))

static const struct kind {
	const char *name;
	void *(*get)(gfp_t gfp);
	void (*put)(void *p);
} kinds[] = {
	{"page", get_page, put_page},
	{"pair", get_pair, put_pair},
	{"block", get_block, put_block},
	{"exact", get_exact, put_exact},
	{"small", get_small, put_small},
	{"object", get_object, put_object},
	{"bulk", get_bulk, put_bulk},
	{"large", get_large, put_large},
	{"huge", get_huge, put_huge},
	{"area", get_area, put_area},
	{"huge area", get_huge_area, put_huge_area},
	{"kv", get_kv, put_kv},
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* All that there is of one kind. */
static const struct kind *kind;
static void *kept[200000];
static size_t nr_kept;

/* Calls of the shrinker, and which of them changes something. */
static int calls, due;

static int no_more(void *addr, size_t len, int prot)
{
	(void)addr;
	(void)len;
	(void)prot;
	return -ENOMEM;
}

static void fill(void)
{
	void *p;

	cache = kmem_cache_create("kept", 1000, NULL, 0);
	CHECK(cache);
	p = kind->get(GFP_KERNEL);
	CHECK(p);
	kind->put(p);
	kn_machine.mprotect = no_more;
	while (nr_kept < 200000 && (p = kind->get(LIGHT)))
		kept[nr_kept++] = p;
	/* What other caches hold back, too. */
	while (nr_kept < 200000 && (p = kind->get(GFP_KERNEL | __GFP_NOWARN)))
		kept[nr_kept++] = p;
	CHECK(nr_kept > 0 && nr_kept < 200000);
	calls = 0;
}

static void free_all(void)
{
	while (nr_kept)
		kind->put(kept[--nr_kept]);
}

static unsigned long count_one(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return 1;
}

static unsigned long free_in_time(struct shrinker *s, struct shrink_control *sc)
{
	const unsigned long n = nr_kept;

	(void)s;
	(void)sc;
	errno = ENOENT;
	if (++calls != due)
		return SHRINK_STOP;
	free_all();
	return n;
}

typedef unsigned long scan_fn(struct shrinker *s, struct shrink_control *sc);

static struct shrinker *make_shrinker(scan_fn *scan)
{
	struct shrinker *s = shrinker_alloc(0, "kept");

	CHECK(s);
	s->count_objects = count_one;
	s->scan_objects = scan;
	shrinker_register(s);
	return s;
}

static void waits_for_a_shrinker(void)
{
	struct shrinker *s;
	void *p;

	start_here();
	s = make_shrinker(free_in_time);
	fill();
	CHECK_FAILS(kind->get(GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_EQ(calls, 1);
	due = 6;
	errno = 0;
	p = kind->get(PATIENT);
	CHECK(p);
	CHECK_EQ(errno, 0);
	CHECK_EQ(calls, due);
	kind->put(p);
	shrinker_free(s);
	kmem_cache_destroy(cache);
	heap_verify();
}

static void of_each_kind(void (*fn)(void))
{
	struct child c;

	for (size_t i = 0; i < NR_KINDS; i++) {
		kind = &kinds[i];
		child_run(fn, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, kind->name);
	}
}

static void what_shrinkers_free_ends_the_wait(void)
{
	of_each_kind(waits_for_a_shrinker);
}

/* Another thread frees when it knows that this one waits. */
static sem_t asked;

static unsigned long tell(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	sem_post(&asked);
	return SHRINK_STOP;
}

static void *free_when_asked(void *unused)
{
	for (int i = 0; i < 3; i++)
		while (sem_wait(&asked))
			;
	free_all();
	return unused;
}

static void waits_for_a_thread(void)
{
	struct shrinker *s;
	pthread_t thread;
	void *p;

	CHECK_EQ(sem_init(&asked, 0, 0), 0);
	start_here();
	s = make_shrinker(tell);
	CHECK_EQ(pthread_create(&thread, NULL, free_when_asked, NULL), 0);
	fill();
	p = kind->get(PATIENT);
	CHECK(p);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(nr_kept, 0);
	kind->put(p);
	shrinker_free(s);
	heap_verify();
}

static void what_others_free_ends_the_wait(void)
{
	of_each_kind(waits_for_a_thread);
}

/* A page that another thread frees, at the latest while this one waits. */
static void *page_of_others(void)
{
	pthread_t thread;
	void *p;

	CHECK_EQ(pthread_create(&thread, NULL, free_when_asked, NULL), 0);
	for (int i = 0; i < 3; i++)
		sem_post(&asked);
	p = alloc_pages(PATIENT, 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	return p;
}

/* Nobody is asked again in a shrinker. */
static unsigned long wait_inside(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	if (++calls == due)
		__free_page(page_of_others());
	return SHRINK_STOP;
}

static void a_shrinker_may_wait(void)
{
	struct shrinker *s;
	void *p;

	kind = &kinds[0];
	CHECK_EQ(sem_init(&asked, 0, 0), 0);
	start_here();
	s = make_shrinker(wait_inside);
	fill();
	due = 1;
	p = alloc_pages(PATIENT, 0);
	CHECK(p);
	CHECK(calls >= due);
	__free_page(p);
	shrinker_free(s);
}

/* Nor in a scope without reclaim, where the wait is the same. */
static void a_scope_without_reclaim_may_wait(void)
{
	unsigned int flags;
	struct shrinker *s;

	kind = &kinds[0];
	CHECK_EQ(sem_init(&asked, 0, 0), 0);
	start_here();
	s = make_shrinker(free_in_time);
	fill();
	flags = memalloc_noreclaim_save();
	__free_page(page_of_others());
	memalloc_noreclaim_restore(flags);
	CHECK_EQ(calls, 0);
	shrinker_free(s);
}

/* Address space that a limit refuses, until it is raised. */
static unsigned long raise_in_time(struct shrinker *s,
				   struct shrink_control *sc)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	(void)s;
	(void)sc;
	if (++calls == due)
		CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
	return SHRINK_STOP;
}

static void waits_for_address_space(void)
{
	struct rlimit limit = {GIB, RLIM_INFINITY};
	struct shrinker *s;
	void *p;

	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
	fake_nodes(1);
	start_here();
	s = make_shrinker(raise_in_time);
	while (nr_kept < 200000 && (p = kind->get(LIGHT)))
		kept[nr_kept++] = p;
	CHECK(nr_kept < 200000);
	due = 3;
	p = kind->get(PATIENT);
	CHECK(p);
	CHECK(calls >= due);
	shrinker_free(s);
}

static void address_space_ends_the_wait(void)
{
	struct child c;

	if (TEST_SANITIZED)
		skip_child("the sanitizer has taken the address space");
	for (size_t i = 0; i < NR_KINDS; i++) {
		kind = &kinds[i];
		if (kind->get != get_block && kind->get != get_huge &&
		    kind->get != get_huge_area && kind->get != get_kv)
			continue;
		child_run(waits_for_address_space, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, kind->name);
	}
}

/* A node that is full, until the system has dropped something from it. */
static unsigned long empty_the_node(struct shrinker *s,
				    struct shrink_control *sc)
{
	(void)s;
	CHECK_EQ(sc->nid, 1);
	if (++calls == due)
		fake_node_free_mib(1, 1000);
	return SHRINK_STOP;
}

static void a_node_is_waited_for(void)
{
	struct shrinker *s;
	struct page *page;
	void *p;

	fake_nodes(2);
	fake_node_free_mib(1, 0);
	start_here();
	s = shrinker_alloc(SHRINKER_NUMA_AWARE, "node");
	CHECK(s);
	s->count_objects = count_one;
	s->scan_objects = empty_the_node;
	shrinker_register(s);
	due = 4;
	p = kmalloc_node(2 * MIB, PATIENT | __GFP_THISNODE, 1);
	CHECK_EQ(knuma_node_of(p), 1);
	CHECK_EQ(calls, due);

	fake_node_free_mib(1, 0);
	while (alloc_pages_node(1, LIGHT | __GFP_THISNODE, 10))
		;
	due = calls + 4;
	page = alloc_pages_node(1, PATIENT | __GFP_THISNODE, 10);
	CHECK_EQ(page_to_nid(page), 1);
	CHECK_EQ(calls, due);

	fake_node_free_mib(1, 0);
	while (__vmalloc_node(2 * MIB, 1, LIGHT | __GFP_THISNODE, 1, NULL))
		;
	due = calls + 4;
	p = __vmalloc_node(2 * MIB, 1, PATIENT | __GFP_THISNODE, 1, NULL);
	CHECK_EQ(knuma_node_of(p), 1);
	CHECK_EQ(calls, due);
	shrinker_free(s);
}

static unsigned long never_asked(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	CHECK(!"a shrinker was asked");
	return SHRINK_STOP;
}

/* What can never be had fails at once. */
static void the_impossible_is_not_waited_for(void)
{
	const struct fake_node nodes[] = {{0, "0-63", 1, "10 20"},
					  {1, "", 0, "20 10"}};
	struct nodemask nobody = {0};

	fake_nodes_as("0-2", nodes, 2);
	start_here();
	make_shrinker(never_asked);
	CHECK_FAILS(kmalloc(KMALLOC_MAX_SIZE + 1, PATIENT), ENOMEM);
	CHECK_FAILS(kmalloc(PTRDIFF_MAX, PATIENT), ENOMEM);
	CHECK_FAILS(kmalloc_array(SIZE_MAX / 2, 3, PATIENT), ENOMEM);
	CHECK_FAILS(kmalloc_node(64, PATIENT, 70), EINVAL);
	CHECK_FAILS(kmalloc_node(64, PATIENT | __GFP_THISNODE, 1), ENOMEM);
	CHECK_FAILS(kmalloc_node(64, PATIENT | __GFP_THISNODE, 2), ENOMEM);
	CHECK_FAILS(kmalloc(64, PATIENT | (gfp_t)1 << 30), EINVAL);
	CHECK_FAILS(kvmalloc((size_t)1 << 31, PATIENT), ENOMEM);
	CHECK_FAILS(alloc_pages(PATIENT, MAX_PAGE_ORDER + 1), EINVAL);
	CHECK_FAILS(alloc_pages_node(70, PATIENT, 0), EINVAL);
	CHECK_FAILS(__alloc_pages(PATIENT, 0, 0, &nobody), ENOMEM);
	CHECK_FAILS(__alloc_pages(PATIENT | __GFP_THISNODE, 0, 0, &nobody),
		    ENOMEM);
	CHECK_FAILS(alloc_pages_exact(8 * MIB, PATIENT), ENOMEM);
	CHECK_FAILS(__vmalloc(0, PATIENT), EINVAL);
	CHECK_FAILS(__vmalloc(PTRDIFF_MAX, PATIENT), ENOMEM);
	/* All of the address space for areas, without a place for the guard. */
	CHECK_FAILS(__vmalloc(kn_window_half() / 2, PATIENT), ENOMEM);
	CHECK_FAILS(__vmalloc_node(PAGE, kn_window_half() * 2, PATIENT, 0,
				   NULL),
		    ENOMEM);
}

/* Best effort, and one warning, where it may not wait. */
static void fails_without_waiting(void)
{
	start_here();
	fill();
	CHECK_FAILS(kind->get(__GFP_NOFAIL | GFP_NOWAIT), ENOMEM);
	CHECK_EQ(printed_times("__GFP_NOFAIL without __GFP_DIRECT_RECLAIM"), 1);
	CHECK_FAILS(kind->get(__GFP_NOFAIL | GFP_NOWAIT), ENOMEM);
	CHECK_EQ(printed_times("__GFP_NOFAIL"), 1);
}

static void who_may_not_wait_is_warned(void)
{
	of_each_kind(fails_without_waiting);
}

static void large_blocks_are_warned_of(void)
{
	struct shrinker *s;

	kind = &kinds[2];
	start_here();
	s = make_shrinker(free_in_time);
	fill();
	due = 2;
	CHECK(kind->get(PATIENT));
	CHECK_EQ(printed_times("__GFP_NOFAIL for a block of order 9"), 1);
	shrinker_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(what_shrinkers_free_ends_the_wait),
		child_test(what_others_free_ends_the_wait),
		child_test(a_shrinker_may_wait),
		child_test(a_scope_without_reclaim_may_wait),
		child_test(address_space_ends_the_wait),
		child_test(a_node_is_waited_for),
		child_test(the_impossible_is_not_waited_for),
		child_test(who_may_not_wait_is_warned),
		child_test(large_blocks_are_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
