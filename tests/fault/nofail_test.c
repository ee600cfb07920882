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

#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/kinds.h"

#define MIB	((size_t)1 << 20)
#define GIB	((size_t)1 << 30)
#define PAGE	((size_t)4096)

#define PATIENT (GFP_KERNEL | __GFP_NOFAIL)
#define LIGHT	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

/* Calls of the shrinker, and which of them changes something. */
static int calls, due;

static void fill(void)
{
	kind_fill();
	calls = 0;
}

static unsigned long free_in_time(struct shrinker *s, struct shrink_control *sc)
{
	const unsigned long n = kind_nr_kept();

	(void)s;
	(void)sc;
	errno = ENOENT;
	if (++calls != due)
		return SHRINK_STOP;
	kind_free_all();
	return n;
}

static void waits_for_a_shrinker(void)
{
	struct shrinker *s;
	void *p;

	start_here();
	s = kind_shrinker(free_in_time, 0);
	fill();
	CHECK_FAILS(kind_get(GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_EQ(calls, 1);
	due = 6;
	errno = 0;
	p = kind_get(PATIENT);
	CHECK(p);
	CHECK_EQ(errno, 0);
	CHECK_EQ(calls, due);
	kind->put(p);
	shrinker_free(s);
	heap_verify();
}

static void what_shrinkers_free_ends_the_wait(void)
{
	kinds_each(waits_for_a_shrinker);
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
	kind_free_all();
	return unused;
}

static void waits_for_a_thread(void)
{
	struct shrinker *s;
	pthread_t thread;
	void *p;

	CHECK_EQ(sem_init(&asked, 0, 0), 0);
	start_here();
	s = kind_shrinker(tell, 0);
	CHECK_EQ(pthread_create(&thread, NULL, free_when_asked, NULL), 0);
	fill();
	p = kind_get(PATIENT);
	CHECK(p);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(kind_nr_kept(), 0);
	kind->put(p);
	shrinker_free(s);
	heap_verify();
}

static void what_others_free_ends_the_wait(void)
{
	kinds_each(waits_for_a_thread);
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
	s = kind_shrinker(wait_inside, 0);
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
	s = kind_shrinker(free_in_time, 0);
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

	/* Those that are taken without being touched. */
	if (kind->size < MIB)
		return;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
	fake_nodes(1);
	start_here();
	s = kind_shrinker(raise_in_time, 0);
	while (kind_get(LIGHT) || kind_get(GFP_KERNEL | __GFP_NOWARN))
		;
	CHECK_EQ(errno, ENOMEM);
	calls = 0;
	due = 3;
	p = kind_get(PATIENT);
	CHECK(p);
	CHECK(calls >= due);
	shrinker_free(s);
}

static void address_space_ends_the_wait(void)
{
	if (TEST_SANITIZED)
		skip_child("the sanitizer has taken the address space");
	kinds_each(waits_for_address_space);
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
	s = kind_shrinker(empty_the_node, SHRINKER_NUMA_AWARE);
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
	kind_shrinker(never_asked, 0);
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
	CHECK_FAILS(kind_get(__GFP_NOFAIL | GFP_NOWAIT), ENOMEM);
	CHECK_EQ(printed_times("__GFP_NOFAIL without __GFP_DIRECT_RECLAIM"), 1);
	CHECK_FAILS(kind_get(__GFP_NOFAIL | GFP_NOWAIT), ENOMEM);
	CHECK_EQ(printed_times("__GFP_NOFAIL"), 1);
}

static void who_may_not_wait_is_warned(void)
{
	kinds_each(fails_without_waiting);
}

static void large_blocks_are_warned_of(void)
{
	struct shrinker *s;

	kind = &kinds[2];
	start_here();
	s = kind_shrinker(free_in_time, 0);
	fill();
	due = 2;
	CHECK(kind_get(PATIENT));
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
