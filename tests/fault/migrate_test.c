/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma_migrate() and knuma_verify_placement() on machines that are made up:
 * where pages are said to be, what comes home and when, and every error.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/page/away.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"
#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

static size_t page_size;

static void fake_start(void)
{
	conf("fake_nodes", "4");
	start_quiet();
	page_size = knuma_page_size();
	if (knuma_placement(&page_size, 1, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
}

/* All pages that [p, p + bytes) touches, which are in memory, are on @node. */
static void lies_on(const void *p, size_t bytes, int node)
{
	long count[4];
	const long present = knuma_placement(p, bytes, count, 4);

	CHECK(present > 0);
	CHECK_EQ(count[node], present);
}

static unsigned long pages_of(const void *p, size_t bytes)
{
	const uintptr_t first = (uintptr_t)p / page_size;

	return ((uintptr_t)p + bytes - 1) / page_size - first + 1;
}

/* Pages of the heap that are away, in a sample that finds them all. */
static void away_is(unsigned long away, unsigned long on_purpose)
{
	struct knuma_homes row[4];
	unsigned long sum = 0, meant = 0;

	/*
	 * checks knuma_verify_placement: "pages of the sample that are away,
	 * those on purpose included"
	 */
	CHECK_EQ(knuma_verify_placement(1ul << 30, row, 4), away);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(row[i].node, i);
		CHECK(row[i].on_purpose <= row[i].away);
		CHECK(row[i].away <= row[i].sampled);
		sum += row[i].away;
		meant += row[i].on_purpose;
	}
	CHECK_EQ(sum, away);
	CHECK_EQ(meant, on_purpose);
	CHECK_EQ(stat_of("away_bytes"), on_purpose * page_size);
}

/* From node 1 to node 3, back home and away again, then freed. */
static void moves(void *p, size_t bytes, void (*release)(void *p))
{
	const unsigned long pages = pages_of(p, bytes);
	struct knuma_migrated m;

	pattern_fill(p, bytes, 7);
	lies_on(p, bytes, 1);
	away_is(0, 0);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), 0);
	/*
	 * checks knuma_migrate: "NUMA_NO_NODE: wherever they are", "@m tells"
	 */
	CHECK_EQ(m.pages, pages);
	CHECK_EQ(m.before, 0);
	CHECK_EQ(m.after, pages);
	/*
	 * checks knuma_migrate: "The pages move, addresses and content stay",
	 * "knuma_placement() tells where the pages are"
	 */
	lies_on(p, bytes, 3);
	/* checks knuma_migrate: "So do the node that knuma_node_of() tells" */
	CHECK_EQ(knuma_node_of(p), 1);
	CHECK(pattern_holds(p, bytes, 7));
	away_is(pages, pages);
	/* It is not brought home while it is in use. */
	CHECK_EQ(knuma_trim(), 0);
	lies_on(p, bytes, 3);
	/* Once more is nothing to do; from elsewhere neither. */
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), 0);
	CHECK_EQ(m.before, pages);
	CHECK_EQ(m.after, pages);
	CHECK_EQ(knuma_migrate(p, 0, 2, &m), 0);
	CHECK_EQ(m.after, 0);
	lies_on(p, bytes, 3);
	/* checks knuma_migrate: "Moving them back by this call is possible" */
	CHECK_EQ(knuma_migrate(p, 3, 1, NULL), 0);
	lies_on(p, bytes, 1);
	away_is(0, 0);
	CHECK_EQ(knuma_migrate(p, 1, 0, NULL), 0);
	away_is(pages, pages);
	/* checks knuma_migrate: "It lasts until the memory is freed" */
	release(p);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
	heap_verify();
}

static struct kn_machine machine;
static struct kmem_cache *emptied;
static void *objects[3000];

/*
 * Another thread, as it were: it frees all before a page is marked, and what was
 * free as a whole is purged while they are.
 */
static int free_all(size_t n, void **page, int *status)
{
	kn_machine.page_nodes = machine.page_nodes;
	kmem_cache_free_bulk(emptied, KN_ARRAY_SIZE(objects), objects);
	kmem_cache_shrink(emptied);
	return machine.page_nodes(n, page, status);
}

static int purge_all(size_t n, void **page, const int *node, int *status)
{
	kn_machine.move_pages = machine.move_pages;
	CHECK(kn_away_pages > 0);
	CHECK_EQ(knuma_trim(), 0);
	return machine.move_pages(n, page, node, status);
}

/* Marks are taken off again, and counted, whatever became of the slabs. */
static void a_cache_is_emptied_while_it_moves(void)
{
	fake_start();
	emptied = kmem_cache_create("emptied", 4096, 0, 0, NULL);
	for (size_t i = 0; i < KN_ARRAY_SIZE(objects); i++) {
		objects[i] = kmem_cache_alloc_node(emptied, GFP_KERNEL, 1);
		CHECK(objects[i]);
		memset(objects[i], 1, 4096);
	}
	machine = kn_machine;
	kn_machine.page_nodes = free_all;
	kn_machine.move_pages = purge_all;
	CHECK_EQ(knuma_migrate_cache(emptied, NUMA_NO_NODE, 3, NULL), 0);
	CHECK(kn_machine.move_pages == machine.move_pages);
	CHECK_EQ(kn_away_marking, 0);
	away_is(0, 0);
	kmem_cache_destroy(emptied);
	heap_verify();
}

static void release_kfree(void *p)
{
	kfree(p);
}

static void release_vfree(void *p)
{
	vfree(p);
}

static void release_pages(void *p)
{
	free_pages((unsigned long)p, 4);
}

static void release_exact(void *p)
{
	free_pages_exact(p, 5 * page_size);
}

static void every_kind_of_memory_moves(void)
{
	const gfp_t gfp = GFP_KERNEL;

	fake_start();
	CHECK_EQ(stat_of("migrated_pages"), 0);
	moves(kmalloc_node(64, gfp, 1), 64, release_kfree);
	moves(kmalloc_node(5000, gfp, 1), 5000, release_kfree);
	moves(kmalloc_node(100 * page_size, gfp, 1), 100 * page_size,
	      release_kfree);
	moves(kmalloc_node(MIB, gfp, 1), MIB, release_kfree);
	moves(vmalloc_node(3 * page_size, 1), 3 * page_size, release_vfree);
	moves(vmalloc_node(7 * MIB, 1), 7 * MIB, release_vfree);
	moves(page_address(alloc_pages_node(1, gfp, 4)), page_size << 4,
	      release_pages);
	moves(alloc_pages_exact_nid(1, 5 * page_size, gfp), 5 * page_size,
	      release_exact);
	/*
	 * checks knuma_migrate: "With fake nodes nothing moves, and all the
	 * rest is as if it had"
	 */
	CHECK(stat_of("migrated_pages") > 7 * MIB / page_size);
}

/* What is given up takes its marks along, whoever gets that place next. */
static void a_shrink_forgets_what_it_gives_up(void)
{
	char *p, *q;

	fake_start();
	p = kvmalloc_node(MIB, GFP_KERNEL, 1);
	CHECK(p);
	memset(p, 1, MIB);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, NULL), 0);
	away_is(MIB / page_size, MIB / page_size);
	CHECK_EQ(kvrealloc(p, MIB / 2, GFP_KERNEL), p);
	away_is(MIB / 2 / page_size, MIB / 2 / page_size);
	q = kvmalloc_node(MIB / 2 - page_size, GFP_KERNEL, 1);
	CHECK_EQ(q, p + MIB / 2 + page_size);
	memset(q, 1, MIB / 2 - page_size);
	away_is(MIB / 2 / page_size, MIB / 2 / page_size);
	kvfree(p);
	kvfree(q);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
	heap_verify();
}

/* Pages to grow into are nobody's yet, also when an area before had them. */
static void what_was_asked_for_moves(void)
{
	struct knuma_migrated m;
	char *p;

	fake_start();
	/* Whichever node the thread is on. */
	for (int node = 0; node < 4; node++) {
		p = vmalloc_node(4 * MIB, node);
		CHECK(p);
		memset(p, 1, 4 * MIB);
		vfree(p);
	}
	p = knuma_realloc(knuma_malloc(8192), 2 * MIB);
	CHECK(p);
	memset(p, 1, 2 * MIB);
	CHECK(kn_vmap_find(p)->spare);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, (knuma_node_of(p) + 1) % 4, &m),
		 0);
	CHECK_EQ(m.pages, 2 * MIB / page_size);
	away_is(m.pages, m.pages);
	knuma_free(p);
}

/* A free takes it home, and the next request gets it there. */
static void a_free_goes_to_its_own_node(void)
{
	void *p, *q, *was;

	fake_start();
	p = kmalloc_node(3000, GFP_KERNEL, 2);
	was = launder(p);
	memset(p, 1, 3000);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 0, NULL), 0);
	kfree(p);
	q = kmalloc_node(3000, GFP_KERNEL, 2);
	/*
	 * checks knuma_migrate: "the node that a free gives the memory back to"
	 */
	CHECK_EQ(q, was);
	kfree(q);
	CHECK_EQ(stat_of("numa_miss"), 0);
	heap_verify();
}

/* An area that is used again before anybody looked is not away on purpose. */
static void memory_that_is_used_again_comes_home(void)
{
	void *p, *q, *was;

	fake_start();
	p = vmalloc_node(MIB, 1);
	was = launder(p);
	memset(p, 1, MIB);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, NULL), 0);
	vfree(p);
	q = vmalloc_node(MIB, 1);
	CHECK_EQ(q, was);
	away_is(MIB / page_size, 0);
	/*
	 * checks knuma_verify_placement: "bring home what is not away on
	 * purpose"
	 */
	CHECK_EQ(knuma_trim(), 0);
	lies_on(q, MIB, 1);
	away_is(0, 0);
	vfree(q);
}

static void what_is_not_in_memory_stays_so(void)
{
	const size_t bytes = 8 * MIB;
	struct knuma_migrated m;
	unsigned long present;
	char *p;

	conf("guard_pages", "no");
	fake_start();
	p = vmalloc_node(bytes, 1);
	p[5 * MIB] = 1;
	/* One page, or a huge one. */
	present = (unsigned long)knuma_placement(p, bytes, NULL, 0);
	CHECK(present >= 1 && present <= 2 * MIB / page_size);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), 0);
	CHECK_EQ(m.pages, present);
	CHECK_EQ(m.after, present);
	/*
	 * checks knuma_migrate: "Pages that are not in memory are no matter of
	 * this call"
	 */
	CHECK_EQ(knuma_placement(p, bytes, NULL, 0), present);
	/* What comes into memory later is of its own node. */
	p[0] = 1;
	lies_on(p + 5 * MIB, 1, 3);
	lies_on(p, 1, 1);
	vfree(p);
}

static void a_cache_moves_with_all_its_slabs(void)
{
	struct kmem_cache *s;
	struct knuma_migrated m;
	void *p[900], *q[900];

	fake_start();
	s = kmem_cache_create("moving", 300, 0, 0, NULL);
	for (int i = 0; i < 900; i++) {
		p[i] = kmem_cache_alloc_node(s, GFP_KERNEL, i % 3);
		pattern_fill(p[i], 300, (uint64_t)i);
	}
	CHECK_EQ(knuma_migrate_cache(s, 1, 3, &m), 0);
	/*
	 * checks knuma_migrate_cache: "knuma_migrate() for each slab that the
	 * cache has"
	 */
	CHECK(m.pages > m.after && m.after >= 300 * 300 / page_size);
	CHECK_EQ(m.before, 0);
	for (int i = 0; i < 900; i++) {
		lies_on(p[i], 300, i % 3 == 1 ? 3 : i % 3);
		/*
		 * checks knuma_migrate_cache: "Objects go on being served by
		 * their own node's number"; knuma_migrate: "A small object
		 * takes the others of its pages along"
		 */
		CHECK_EQ(knuma_node_of(p[i]), i % 3);
		CHECK(pattern_holds(p[i], 300, (uint64_t)i));
	}
	away_is(m.after, m.after);
	CHECK_EQ(knuma_trim(), 0);
	away_is(m.after, m.after);
	/* What is made now is at home. */
	for (int i = 0; i < 900; i++) {
		q[i] = kmem_cache_alloc_node(s, GFP_KERNEL, 1);
		memset(q[i], 1, 300);
	}
	lies_on(q[899], 300, 1);
	away_is(m.after, m.after);
	kmem_cache_free_bulk(s, 900, q);
	/* All of it, from anywhere. */
	/*
	 * checks knuma_migrate_cache: "slabs that are made during or after the
	 * call"
	 */
	CHECK_EQ(knuma_migrate_cache(s, NUMA_NO_NODE, 2, &m), 0);
	CHECK_EQ(m.after, m.pages);
	kmem_cache_free_bulk(s, 900, p);
	kmem_cache_destroy(s);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
	heap_verify();
}

/* Slabs come and go while they are moved. */
static struct kmem_cache *busy;

static void *use_busy(void *unused)
{
	void *p[200];

	for (int round = 0; round < 300; round++) {
		const int node = round % 4;

		for (int i = 0; i < 200; i++) {
			p[i] = kmem_cache_alloc_node(busy, GFP_KERNEL, node);
			pattern_fill(p[i], 500, (uint64_t)i);
		}
		/*
		 * checks knuma_migrate_cache: "The cache may be used meanwhile"
		 */
		for (int i = 0; i < 200; i++)
			CHECK(pattern_holds(p[i], 500, (uint64_t)i));
		kmem_cache_free_bulk(busy, 200, p);
		if (round % 7 == 0)
			kmem_cache_shrink(busy);
	}
	return unused;
}

static void a_cache_in_use_moves(void)
{
	pthread_t thread[3];

	fake_start();
	busy = kmem_cache_create("busy", 500, 0, 0, NULL);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, use_busy, NULL), 0);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(knuma_migrate_cache(busy, NUMA_NO_NODE, i % 4, NULL),
			 0);
		if (i % 20 == 0)
			CHECK_EQ(knuma_trim(), 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	kmem_cache_destroy(busy);
	CHECK_EQ(stat_of("away_bytes"), 0);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
	heap_verify();
}

static void migrate_fails(const void *p, int from, int to, int err)
{
	/*
	 * checks knuma_migrate: "-EINVAL when nothing that is in use begins at
	 * @p"
	 */
	CHECK_EQ(knuma_migrate(p, from, to, NULL), err);
}

/* Node 1 is offline, 2 has no memory, 3 is not allowed, 4 is not possible. */
static const struct fake_node odd[] = {{0, "0-255", 1, "10 20 20"},
				       {2, "", 0, "20 10 20"},
				       {3, "", 1, "20 20 10"}};

/* clang-format off: a table */
static const struct {
	int from, to, err;
} bad_nodes[] = {
	{NUMA_NO_NODE, NUMA_NO_NODE, -EINVAL},
	{NUMA_NO_NODE, -2, -EINVAL},
	{NUMA_NO_NODE, 4, -EINVAL},
	{NUMA_NO_NODE, 1023, -EINVAL},
	{NUMA_NO_NODE, 4096, -EINVAL},
	{NUMA_NO_NODE, INT32_MAX, -EINVAL},
	{NUMA_NO_NODE, INT32_MIN, -EINVAL},
	/* Not there, without memory, not allowed, to knuma_migrate(). */
	{NUMA_NO_NODE, 1, -ENODEV},
	{NUMA_NO_NODE, 2, -ENODEV},
	{NUMA_NO_NODE, 3, -EACCES},
	{-2, 0, -EINVAL},
	{4, 0, -EINVAL},
	{4096, 0, -EINVAL},
	{1, 0, -ENODEV},
	{2, 0, 0},
	{3, 0, 0},
};
/* clang-format on */

static void bad_nodes_are_refused(void)
{
	struct kmem_cache *s;
	void *p;

	fake_nodes_as("0-3", odd, 3);
	fake_nodes_allow("0-2");
	start_quiet();
	s = kmem_cache_create("still", 100, 0, 0, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	for (size_t i = 0; i < sizeof(bad_nodes) / sizeof(bad_nodes[0]); i++) {
		struct knuma_migrated m = {7, 7, 7};

		/*
		 * checks knuma_migrate: "@from or @to is no possible id",
		 * "-ENODEV when the process does not use the node", "@to has no
		 * memory"
		 */
		CHECK_EQ(knuma_migrate(p, bad_nodes[i].from, bad_nodes[i].to,
				       &m),
			 bad_nodes[i].err);
		CHECK(!bad_nodes[i].err || m.pages == 7);
		CHECK_EQ(knuma_migrate_cache(s, bad_nodes[i].from,
					     bad_nodes[i].to, NULL),
			 bad_nodes[i].err);
	}
	/* checks knuma_migrate: "in these cases nothing was tried" */
	CHECK_EQ(fake_moves(), 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void what_is_no_allocation_is_refused(void)
{
	static char data[100];
	struct kmem_cache *s;
	char *p, *q, *freed;
	unsigned long page;

	fake_start();
	p = kmalloc(100, GFP_KERNEL);
	q = vmalloc(10 * page_size);
	freed = vmalloc(20 * page_size);
	vfree(launder(freed));
	page = __get_free_pages(GFP_KERNEL, 0);
	free_pages(page, 0);
	s = kmem_cache_create("gone", 64, 0, 0, NULL);
	kmem_cache_destroy(s);
	migrate_fails(NULL, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails(ZERO_SIZE_PTR, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails(data, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails((void *)-1, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails(p + 1, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails(q + 1, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails(q + page_size, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails(freed, NUMA_NO_NODE, 1, -EINVAL);
	migrate_fails((void *)page, NUMA_NO_NODE, 1, -EINVAL);
	CHECK_EQ(knuma_migrate_cache(s, NUMA_NO_NODE, 1, NULL), -EINVAL);
	CHECK_EQ(knuma_migrate_cache(NULL, NUMA_NO_NODE, 1, NULL), -EINVAL);
	kfree(p);
	vfree(q);
}

/* move_pages(2) of a node that fills up, and of a filter. */
static struct kn_machine below;
static int moves_left, refusal;

static int moves_some(size_t n, void **pages, const int *nodes, int *status)
{
	const size_t some = KN_MIN(n, (size_t)moves_left);

	if (refusal)
		return refusal;
	/* One page to where it is. */
	if (n == 1)
		return 0;
	moves_left -= (int)some;
	if (below.move_pages(some, pages, nodes, status) < 0)
		return -EIO;
	return some < n ? -ENOMEM : 0;
}

static int refuses_questions(size_t n, void **pages, int *status)
{
	(void)n;
	(void)pages;
	(void)status;
	return -EPERM;
}

static void a_node_that_fills_up(void)
{
	struct knuma_migrated m;
	char *p;

	fake_start();
	below = kn_machine;
	kn_machine.move_pages = moves_some;
	moves_left = 700;
	p = vmalloc_node(1500 * page_size, 1);
	memset(p, 1, 1500 * page_size);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), -ENOMEM);
	CHECK_EQ(m.pages, 1500);
	CHECK_EQ(m.before, 0);
	/* checks knuma_migrate: "what had room was moved" */
	CHECK_EQ(m.after, 700);
	kn_machine.move_pages = below.move_pages;
	away_is(700, 700);
	lies_on(p, 700 * page_size, 3);
	lies_on(p + 700 * page_size, 800 * page_size, 1);
	vfree(p);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
}

/* A migration is not said to be done that nobody could look at. */
static int second_question;

static int refuses_the_second(size_t n, void **pages, int *status)
{
	return second_question-- == 1 ? -ENOMEM :
					below.page_nodes(n, pages, status);
}

static void where_it_is_now_is_not_told(void)
{
	struct knuma_migrated m;
	char *p;

	fake_start();
	p = vmalloc_node(100 * page_size, 1);
	memset(p, 1, 100 * page_size);
	below = kn_machine;
	second_question = 2;
	kn_machine.page_nodes = refuses_the_second;
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), -ENOMEM);
	CHECK_EQ(m.after, 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
	kn_machine = below;
	/* It comes home, since nothing says that it was moved on purpose. */
	lies_on(p, 100 * page_size, 3);
	CHECK_EQ(knuma_trim(), 0);
	lies_on(p, 100 * page_size, 1);
	vfree(p);
}

static void a_filter_that_refuses(void)
{
	struct knuma_migrated m;
	struct knuma_homes row;
	char *p;

	fake_start();
	p = vmalloc_node(1500 * page_size, 1);
	memset(p, 1, 1500 * page_size);
	below = kn_machine;
	kn_machine.move_pages = moves_some;
	refusal = -EPERM;
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), -EPERM);
	CHECK_EQ(m.after, 0);
	away_is(0, 0);
	refusal = -ENOSYS;
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), -ENOSYS);
	kn_machine.page_nodes = refuses_questions;
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, &m), -EPERM);
	CHECK_EQ(m.pages, 0);
	CHECK_EQ(knuma_verify_placement(10, &row, 1), -EPERM);
	CHECK_EQ(stat_of("away_bytes"), 0);
	kn_machine = below;
	lies_on(p, 1500 * page_size, 1);
	vfree(p);
}

/* A huge page that somebody holds: it moves whole until advice may split it. */
static bool held, whole;

static int moves_whole(size_t n, void **pages, const int *nodes, int *status)
{
	for (size_t i = 0; whole && n > 1 && i < n; i++) {
		char *first = (char *)((uintptr_t)pages[i] & -(2 * MIB));

		for (size_t at = 0; at < 2 * MIB; at += page_size) {
			void *page = first + at;
			int ignored;

			below.move_pages(1, &page, &nodes[i], &ignored);
		}
	}
	return below.move_pages(n, pages, nodes, status);
}

static int cold_splits(void *addr, size_t len, int advice)
{
	if (advice == MADV_COLD && !held)
		whole = false;
	return below.madvise(addr, len, advice);
}

static void a_part_of_a_huge_page_that_is_held(void)
{
	unsigned long pages;
	struct knuma_homes row[4];
	void *others[200], *p;

	fake_start();
	p = kmalloc_node(5000, GFP_KERNEL, 1);
	memset(p, 1, 5000);
	pages = pages_of(p, 5000);
	for (int i = 0; i < 200; i++) {
		others[i] = kmalloc_node(5000, GFP_KERNEL, 1);
		memset(others[i], 1, 5000);
	}
	below = kn_machine;
	kn_machine.move_pages = moves_whole;
	kn_machine.madvise = cold_splits;
	held = whole = true;
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, NULL), 0);
	for (int i = 0; i < 3; i++) {
		/* The rest cannot come home without it, and so stays, too. */
		lies_on(p, 5000, 3);
		CHECK(knuma_verify_placement(1ul << 30, row, 4) >
		      (long)pages + 100);
		/*
		 * checks knuma_migrate: "a huge page is split where only a part
		 * of it is meant"
		 */
		CHECK_EQ(row[1].on_purpose, pages);
		CHECK_EQ(knuma_trim(), 0);
	}
	held = false;
	CHECK_EQ(knuma_trim(), 0);
	lies_on(p, 5000, 3);
	away_is(pages, pages);
	kn_machine = below;
	kfree(p);
	for (int i = 0; i < 200; i++)
		kfree(others[i]);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
	heap_verify();
}

static bool no_way_back;

static int moves_home_only(size_t n, void **pages, const int *nodes,
			   int *status)
{
	if (no_way_back && nodes[0] != 1)
		return -ENOMEM;
	return moves_whole(n, pages, nodes, status);
}

/* What went along with others, and cannot go back, is at home. */
static void what_went_along_stays(void)
{
	struct knuma_homes row[4];
	unsigned long pages;
	void *p, *other;

	fake_start();
	p = kmalloc_node(5000, GFP_KERNEL, 1);
	other = kmalloc_node(5000, GFP_KERNEL, 1);
	pattern_fill(p, 5000, 5);
	memset(other, 1, 5000);
	pages = pages_of(p, 5000);
	below = kn_machine;
	kn_machine.move_pages = moves_home_only;
	kn_machine.madvise = cold_splits;
	held = whole = true;
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 3, NULL), 0);
	CHECK(knuma_verify_placement(1ul << 30, row, 4) > (long)pages);
	no_way_back = true;
	CHECK_EQ(knuma_trim(), 0);
	lies_on(p, 5000, 1);
	lies_on(other, 5000, 1);
	CHECK(pattern_holds(p, 5000, 5));
	CHECK_EQ(knuma_verify_placement(1ul << 30, row, 4), 0);
	/* Until it is freed it may be anywhere. */
	CHECK_EQ(stat_of("away_bytes"), pages * page_size);
	kn_machine = below;
	kfree(p);
	kfree(other);
	CHECK_EQ(knuma_trim(), 0);
	away_is(0, 0);
	heap_verify();
}

static void strays_are_found(void)
{
	struct knuma_homes row[3];
	const size_t bytes = 4 * MIB;
	char *p, *q;

	fake_nodes(2);
	start_quiet();
	page_size = knuma_page_size();
	p = vmalloc_node(bytes, 1);
	q = vmalloc_node(bytes, 0);
	memset(p, 1, bytes);
	memset(q, 1, bytes);
	if (knuma_verify_placement(50, row, 3) == -EPERM)
		skip_child("move_pages(2) is refused here");
	/*
	 * checks knuma_verify_placement: "Asks the system with move_pages(2)"
	 */
	CHECK_EQ(row[0].sampled, 50);
	CHECK_EQ(row[1].sampled, 50);
	CHECK_EQ(row[0].away + row[1].away, 0);
	/* checks knuma_verify_placement: "the rest has node -1" */
	CHECK_EQ(row[2].node, -1);
	CHECK_EQ(row[2].sampled, 0);
	fake_pages_stray(1u << 1, 0);
	CHECK_EQ(knuma_verify_placement(50, row, 3), 50);
	CHECK_EQ(row[0].away, 0);
	CHECK_EQ(row[1].away, 50);
	CHECK_EQ(row[1].on_purpose, 0);
	/*
	 * checks knuma_verify_placement: "counts in home_checked and
	 * home_stale"
	 */
	CHECK(stat_of("home_checked.1") >= 100);
	CHECK_EQ(stat_of("home_stale.1"), 50);
	/* Rows are as many as there is room for, the sum is of all. */
	row[0].node = 77;
	CHECK_EQ(knuma_verify_placement(50, NULL, 0), 50);
	CHECK_EQ(row[0].node, 77);
	vfree(p);
	vfree(q);
}

static void a_sample_touches_nothing(void)
{
	const size_t bytes = 64 * MIB;
	struct knuma_homes row;
	size_t before;
	char *p;

	conf("guard_pages", "no");
	fake_start();
	p = vmalloc_node(bytes, 1);
	p[bytes / 2] = 1;
	before = (size_t)knuma_placement(p, bytes, NULL, 0);
	CHECK(knuma_verify_placement(100000, &row, 1) >= 0);
	/*
	 * checks knuma_verify_placement: "Nothing is touched, and no page
	 * brought in"
	 */
	CHECK_EQ(knuma_placement(p, bytes, NULL, 0), before);
	CHECK(!is_present(p, page_size));
	/* checks knuma_verify_placement: "fewer are found than are wanted" */
	CHECK(row.sampled < 100000);
	vfree(p);
}

static void bad_samples(void)
{
	struct knuma_homes row;

	fake_start();
	CHECK_EQ(knuma_verify_placement(0, &row, 1), -EINVAL);
	CHECK_EQ(knuma_verify_placement(10, &row, -1), -EINVAL);
	CHECK_EQ(knuma_verify_placement(10, NULL, 0), 0);
	CHECK_EQ(knuma_verify_placement(~0ul, &row, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_cache_is_emptied_while_it_moves),
		child_test(every_kind_of_memory_moves),
		child_test(a_shrink_forgets_what_it_gives_up),
		child_test(what_was_asked_for_moves),
		child_test(a_free_goes_to_its_own_node),
		child_test(memory_that_is_used_again_comes_home),
		child_test(what_is_not_in_memory_stays_so),
		child_test(a_cache_moves_with_all_its_slabs),
		child_test(a_cache_in_use_moves),
		child_test(bad_nodes_are_refused),
		child_test(what_is_no_allocation_is_refused),
		child_test(a_node_that_fills_up),
		child_test(where_it_is_now_is_not_told),
		child_test(a_filter_that_refuses),
		child_test(a_part_of_a_huge_page_that_is_held),
		child_test(what_went_along_stays),
		child_test(strays_are_found),
		child_test(a_sample_touches_nothing),
		child_test(bad_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
