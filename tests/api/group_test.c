/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/group.h>: who is charged, who gets it back, and what a limit does. */
#include <knuma/group.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/shrinker.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "alloc/account/group.h"
#include "alloc/slab/slab.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

#define ACCOUNT GFP_KERNEL_ACCOUNT

static struct knuma_group *group(const char *name, uint64_t limit)
{
	struct knuma_group *g = knuma_group_create(name, limit);

	CHECK(g);
	return g;
}

static uint64_t usage(const struct knuma_group *g)
{
	struct knuma_group_stat st;

	knuma_group_read(g, &st);
	return st.usage_bytes;
}

static uint64_t objects(const struct knuma_group *g)
{
	struct knuma_group_stat st;

	knuma_group_read(g, &st);
	return st.objects;
}

/* What was charged is @bytes for @p, and none of it after @freed. */
static void charged(struct knuma_group *g, const void *p, uint64_t bytes)
{
	CHECK(p);
	/* checks knuma_group_read: "Exact when no other thread charges" */
	CHECK_EQ(usage(g), bytes);
	CHECK_EQ(objects(g), 1);
	CHECK_EQ(knuma_group_of(p), g);
}

static void nothing_charged(struct knuma_group *g)
{
	CHECK_EQ(usage(g), 0);
	CHECK_EQ(objects(g), 0);
}

static void each_way_is_charged_and_given_back(void)
{
	struct knuma_group *g = group("ways", KNUMA_GROUP_NO_LIMIT);
	const size_t page = knuma_page_size();
	const unsigned int before = knuma_group_enter(g);
	struct page *block;
	void *p;

	CHECK_EQ(before, 0);
	for (size_t n = 1; n <= 3 * KMALLOC_MAX_CACHE_SIZE; n += n / 3 + 1) {
		p = kmalloc(n, ACCOUNT);
		charged(g, p, ksize(p));
		CHECK(ksize(p) >= n);
		kfree(p);
		nothing_charged(g);
	}
	p = kzalloc_node(100, ACCOUNT, 0);
	charged(g, p, 112);
	CHECK(all_bytes(p, 112, 0));
	kvfree(p);
	nothing_charged(g);
	p = kvmalloc((size_t)5 << 20, ACCOUNT);
	charged(g, p, (size_t)5 << 20);
	kvfree(p);
	nothing_charged(g);
	p = kvmalloc((size_t)1 << 20, ACCOUNT);
	p = kvrealloc(p, (size_t)3 << 20, ACCOUNT);
	charged(g, p, (size_t)3 << 20);
	p = kvrealloc(p, (size_t)2 << 20, ACCOUNT);
	charged(g, p, (size_t)3 << 20);
	p = kvrealloc(p, (size_t)4 << 20, GFP_KERNEL);
	nothing_charged(g);
	p = kvrealloc(p, (size_t)5 << 20, ACCOUNT);
	charged(g, p, (size_t)5 << 20);
	kvfree(p);
	nothing_charged(g);
	p = __vmalloc(page + 1, ACCOUNT);
	charged(g, p, 2 * page);
	vfree(p);
	nothing_charged(g);
	block = alloc_pages(ACCOUNT, 3);
	charged(g, page_address(block), page << 3);
	__free_pages(block, 3);
	nothing_charged(g);
	p = alloc_pages_exact(3 * page, ACCOUNT);
	charged(g, p, 3 * page);
	free_pages_exact(p, 3 * page);
	nothing_charged(g);
	p = __vmalloc(page, ACCOUNT);
	charged(g, p, page);
	knuma_free(launder(p));
	nothing_charged(g);
	p = kmalloc(64, ACCOUNT);
	p = krealloc(p, 1000, ACCOUNT);
	charged(g, p, 1024);
	p = krealloc(p, 2000, GFP_KERNEL);
	nothing_charged(g);
	kfree(p);
	knuma_group_leave(before);
	knuma_group_destroy(g);
	heap_verify();
}

static void what_is_not_asked_for_is_not_charged(void)
{
	struct knuma_group *g = group("others", 0);
	unsigned int before;
	void *p;

	p = kmalloc(100, ACCOUNT);
	CHECK(p);
	/* checks knuma_group_of: "NULL when nobody did" */
	CHECK_EQ(knuma_group_of(p), NULL);
	kfree(p);
	before = knuma_group_enter(g);
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p);
	kfree(p);
	p = knuma_malloc(100);
	CHECK(p);
	CHECK_EQ(knuma_group_of(p), NULL);
	knuma_free(p);
	p = vmalloc(100);
	CHECK(p);
	vfree(p);
	CHECK_EQ(kmalloc(0, ACCOUNT), ZERO_SIZE_PTR);
	knuma_group_leave(before);
	nothing_charged(g);
	CHECK_EQ(knuma_group_of(NULL), NULL);
	CHECK_EQ(knuma_group_of(&g), NULL);
}

static void caches_are_charged_if_they_account(void)
{
	struct kmem_cache *s =
		kmem_cache_create("accounted", 200, NULL, SLAB_ACCOUNT);
	struct kmem_cache *plain = kmem_cache_create("plain", 200, NULL, 0);
	struct knuma_group *g = group("caches", KNUMA_GROUP_NO_LIMIT);
	const unsigned int before = knuma_group_enter(g);
	void *p[300];

	p[0] = kmem_cache_alloc(s, GFP_KERNEL);
	charged(g, p[0], 200);
	kmem_cache_free(s, p[0]);
	nothing_charged(g);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 300, p), 300);
	/*
	 * checks kmem_cache_charge: "SLAB_ACCOUNT and __GFP_ACCOUNT have it
	 * charged"
	 */
	CHECK_EQ(usage(g), 300 * 200);
	knuma_group_leave(before);
	kmem_cache_free_bulk(s, 150, p);
	kfree_bulk(150, p + 150);
	nothing_charged(g);
	p[0] = kmem_cache_alloc(s, ACCOUNT);
	CHECK_EQ(knuma_group_of(p[0]), NULL);
	kmem_cache_free(s, p[0]);
	CHECK_EQ(knuma_group_enter(g), 0);
	p[0] = kmem_cache_alloc(plain, ACCOUNT);
	nothing_charged(g);
	CHECK_EQ(printed_times("plain was created without SLAB_ACCOUNT"), 1);
	/* Nor is it charged later. */
	/*
	 * checks kmem_cache_charge: "One that nobody was charged for stays so"
	 */
	CHECK(kmem_cache_charge(p[0], ACCOUNT));
	nothing_charged(g);
	kmem_cache_free(plain, p[0]);
	knuma_group_leave(0);
	heap_verify();
	CHECK_EQ(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
	kmem_cache_destroy(plain);
}

/* Small and large, aligned, with a constructor, beside what others have. */
static int constructed;

static void construct(void *obj)
{
	constructed++;
	memset(obj, 7, 24);
}

static void shapes_of_caches_that_remember(void)
{
	static const unsigned size[] = {1, 16, 17, 24, 100, 4096, 70000};
	struct knuma_group *g = group("shapes", KNUMA_GROUP_NO_LIMIT);
	void *p[500];

	CHECK_EQ(knuma_group_enter(g), 0);
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		struct kmem_cache *s =
			kmem_cache_create("shape", size[i], NULL, SLAB_ACCOUNT);
		const int n = size[i] > 4096 ? 5 : 500;

		CHECK(s->nr_objects <= 192);
		for (int k = 0; k < n; k++) {
			p[k] = kmem_cache_alloc(s, GFP_KERNEL);
			pattern_fill(p[k], size[i], (uint64_t)k);
		}
		CHECK_EQ(usage(g), (uint64_t)n * s->size);
		heap_verify();
		for (int k = 0; k < n; k++) {
			CHECK(pattern_holds(p[k], size[i], (uint64_t)k));
			CHECK_EQ(knuma_group_of(p[k]), g);
			kmem_cache_free(s, p[k]);
		}
		nothing_charged(g);
		kmem_cache_destroy(s);
	}
	{
		struct kmem_cache *s = kmem_cache_create(
			"constructed", 24, 8, SLAB_ACCOUNT, construct);

		p[0] = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(constructed > 0);
		CHECK(all_bytes(p[0], 24, 7));
		kmem_cache_free(s, p[0]);
		kmem_cache_destroy(s);
	}
	knuma_group_leave(0);
	heap_verify();
}

static void nothing_goes_over_a_limit(void)
{
	struct knuma_group *g = group("small", 10 * 1024);
	struct knuma_group_stat st;
	void *p[10];

	CHECK_EQ(knuma_group_enter(g), 0);
	for (int i = 0; i < 10; i++)
		CHECK((p[i] = kmalloc(1024, ACCOUNT)));
	CHECK_FAILS(kmalloc(16, ACCOUNT), ENOMEM);
	CHECK_EQ(printed_times("group small: 16 bytes more are over its limit "
			       "of 10240"),
		 1);
	CHECK_FAILS(kmalloc(10000, ACCOUNT), ENOMEM);
	CHECK_FAILS(alloc_pages(ACCOUNT, 0), ENOMEM);
	CHECK_FAILS(alloc_pages_exact(100, ACCOUNT), ENOMEM);
	CHECK_FAILS(__vmalloc(100, ACCOUNT), ENOMEM);
	CHECK_FAILS(kmalloc(16, GFP_NOWAIT | __GFP_ACCOUNT), ENOMEM);
	/* Of what is not charged there is as much as ever. */
	kfree(kmalloc(100, GFP_KERNEL));
	kfree(p[9]);
	CHECK((p[9] = kmalloc(1024, ACCOUNT)));
	knuma_group_read(g, &st);
	CHECK_EQ(st.usage_bytes, 10 * 1024);
	CHECK_EQ(st.peak_bytes, 10 * 1024);
	CHECK_EQ(st.refused, 6);
	CHECK_EQ(stat_of("limit_refused"), 6);
	CHECK_EQ(stat_of("alloc_failed"), 6);
	knuma_group_set_limit(g, 11 * 1024);
	kfree(kmalloc(1024, ACCOUNT));
	knuma_group_set_limit(g, 1024);
	/*
	 * checks knuma_group_set_limit: "allocations fail until enough was
	 * freed"
	 */
	CHECK_FAILS(kmalloc(1024, ACCOUNT), ENOMEM);
	for (int i = 0; i < 9; i++)
		kfree(p[i]);
	CHECK_FAILS(kmalloc(1024, ACCOUNT), ENOMEM);
	kfree(p[9]);
	p[0] = kmalloc(1024, ACCOUNT);
	charged(g, p[0], 1024);
	kfree(p[0]);
	knuma_group_leave(0);
	nothing_charged(g);
}

static void bulk_is_all_or_nothing(void)
{
	struct kmem_cache *s =
		kmem_cache_create("bulk", 64, NULL, SLAB_ACCOUNT);
	struct knuma_group *g = group("bulk", 50 * 64);
	void *p[51];

	CHECK_EQ(knuma_group_enter(g), 0);
	CHECK_FAILS(kmem_cache_alloc_bulk(s, GFP_KERNEL, 51, p), ENOMEM);
	nothing_charged(g);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 50, p), 50);
	kmem_cache_free_bulk(s, 50, p);
	nothing_charged(g);
	knuma_group_leave(0);
	kmem_cache_destroy(s);
}

static void nofail_goes_over_it(void)
{
	struct knuma_group *g = group("must", 1000);
	struct knuma_group_stat st;
	void *p;

	CHECK_EQ(knuma_group_enter(g), 0);
	p = kmalloc(4096, ACCOUNT | __GFP_NOFAIL);
	charged(g, p, 4096);
	CHECK_FAILS(kmalloc(16, ACCOUNT | __GFP_NOWARN), ENOMEM);
	knuma_group_read(g, &st);
	CHECK_EQ(st.forced, 1);
	CHECK_EQ(st.refused, 1);
	CHECK_EQ(st.peak_bytes, 4096);
	CHECK_EQ(stat_of("limit_forced"), 1);
	kfree(p);
	nothing_charged(g);
	p = kmalloc(16, ACCOUNT);
	charged(g, p, 16);
	kfree(p);
	knuma_group_leave(0);
}

/* A cache of the program: objects charged to the group, which can go. */
static void *kept[100];
static unsigned nr_kept, asked, asked_for_all;
static struct knuma_group *wanted;

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	CHECK_EQ(sc->group, wanted);
	asked++;
	return nr_kept ? nr_kept : SHRINK_EMPTY;
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = 0;

	(void)s;
	for (; nr_kept && n < sc->nr_to_scan; n++)
		kfree(kept[--nr_kept]);
	return n;
}

static unsigned long count_all(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	asked_for_all++;
	return 0;
}

static void shrinkers_make_room_below_it(void)
{
	struct shrinker *s, *other;
	struct knuma_group_stat st;
	void *p;

	start_quiet();
	wanted = group("shrinks", 100 * 64);
	s = shrinker_alloc(SHRINKER_MEMCG_AWARE, "of the group");
	other = shrinker_alloc(0, "of all");
	s->count_objects = count;
	s->scan_objects = scan;
	other->count_objects = count_all;
	other->scan_objects = scan;
	shrinker_register(s);
	shrinker_register(other);
	CHECK_EQ(knuma_group_enter(wanted), 0);
	for (nr_kept = 0; nr_kept < 100; nr_kept++)
		CHECK((kept[nr_kept] = kmalloc(64, ACCOUNT)));
	CHECK_FAILS(kmalloc(64, ACCOUNT & ~__GFP_DIRECT_RECLAIM), ENOMEM);
	CHECK_FAILS(kmalloc(64, ACCOUNT | __GFP_NORETRY), ENOMEM);
	CHECK_EQ(asked, 0);
	p = kmalloc(64, ACCOUNT);
	charged(wanted, p, 64);
	CHECK_EQ(nr_kept, 0);
	CHECK_EQ(asked, 1);
	CHECK_EQ(asked_for_all, 0);
	knuma_group_read(wanted, &st);
	CHECK_EQ(st.reclaims, 1);
	CHECK_EQ(st.refused, 2);
	kfree(p);
	/* Nothing can go: asked once, and it fails. */
	CHECK_FAILS(kmalloc(8192, ACCOUNT | __GFP_RETRY_MAYFAIL), ENOMEM);
	CHECK_EQ(asked, 2);
	knuma_group_leave(0);
	shrinker_free(s);
	shrinker_free(other);
}

static void scopes_are_restored(void)
{
	struct knuma_group *a = group("a", KNUMA_GROUP_NO_LIMIT);
	struct knuma_group *b = group("b", KNUMA_GROUP_NO_LIMIT);
	unsigned int before_a, before_b, before_none;
	void *p[3];

	before_a = knuma_group_enter(a);
	before_b = knuma_group_enter(b);
	before_none = knuma_group_enter(NULL);
	p[0] = kmalloc(16, ACCOUNT);
	knuma_group_leave(before_none);
	p[1] = kmalloc(16, ACCOUNT);
	knuma_group_leave(before_b);
	p[2] = kmalloc(16, ACCOUNT);
	knuma_group_leave(before_a);
	/*
	 * checks knuma_group_enter: "Scopes nest", "the group that the thread
	 * was in, as a number"
	 */
	CHECK_EQ(knuma_group_of(p[0]), NULL);
	CHECK_EQ(knuma_group_of(p[1]), b);
	CHECK_EQ(knuma_group_of(p[2]), a);
	CHECK_EQ(usage(a), 16);
	CHECK_EQ(usage(b), 16);
	for (int i = 0; i < 3; i++)
		kfree(p[i]);
	nothing_charged(a);
	nothing_charged(b);
}

static void *in_a_thread(void *p)
{
	void *q = kmalloc(100, ACCOUNT);

	/* checks knuma_group_enter: "A new thread is in none" */
	CHECK_EQ(knuma_group_of(q), NULL);
	kfree(q);
	kfree(p);
	return NULL;
}

static void another_thread_frees(void)
{
	struct knuma_group *g = group("freed elsewhere", KNUMA_GROUP_NO_LIMIT);
	pthread_t thread;
	void *p;

	CHECK_EQ(knuma_group_enter(g), 0);
	p = kmalloc(100, ACCOUNT);
	CHECK_EQ(pthread_create(&thread, NULL, in_a_thread, p), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	nothing_charged(g);
	knuma_group_leave(0);
}

static void a_destroyed_group_lives_for_what_it_holds(void)
{
	struct knuma_group *g = group("gone", 1000), *again;
	struct knuma_group_stat st[3];
	unsigned int before;
	void *p, *q;

	before = knuma_group_enter(g);
	p = kmalloc(512, ACCOUNT);
	knuma_group_destroy(g);
	CHECK_EQ(knuma_groups_read(st, 3), 1);
	/*
	 * checks knuma_group_stat: "it lives on for what it holds";
	 * knuma_groups_read: "Destroyed ones that still hold something"
	 */
	CHECK(st[0].destroyed);
	CHECK_EQ(st[0].usage_bytes, 512);
	/* The limit holds, the name is free. */
	/*
	 * checks knuma_group_destroy: "What is charged stays charged", "Never
	 * waits for either"
	 */
	CHECK_FAILS(kmalloc(512, ACCOUNT), ENOMEM);
	again = group("gone", KNUMA_GROUP_NO_LIMIT);
	/* checks knuma_group_destroy: "Its name may be used again" */
	CHECK(again != g);
	/*
	 * checks knuma_groups_read: "how many groups there are", "@st has the
	 * first of them"
	 */
	CHECK_EQ(knuma_groups_read(st, 3), 2);
	CHECK(!st[1].destroyed);
	CHECK(!strcmp(st[1].name, "gone"));
	q = kmalloc(16, ACCOUNT);
	CHECK_EQ(knuma_group_of(q), g);
	kfree(q);
	kfree(p);
	CHECK_EQ(knuma_groups_read(st, 0), 2); /* a thread is inside */
	knuma_group_leave(before);
	CHECK_EQ(knuma_groups_read(st, 3), 1);
	/* Its place serves again, with nothing of it left. */
	CHECK_EQ(group("next", 5), g);
	CHECK_EQ(knuma_groups_read(st, 1), 2);
	CHECK(!strcmp(st[0].name, "gone"));
	knuma_group_read(g, &st[0]);
	/* checks knuma_group_create: "copied" */
	CHECK(!strcmp(st[0].name, "next"));
	CHECK_EQ(st[0].limit_bytes, 5);
	CHECK_EQ(st[0].refused + st[0].peak_bytes + st[0].objects, 0);
	knuma_group_destroy(NULL);
}

static void names_are_looked_at(void)
{
	char name[64];

	memset(name, 'x', sizeof(name));
	name[48] = '\0';
	CHECK_FAILS(knuma_group_create(NULL, 1), EINVAL);
	CHECK_FAILS(knuma_group_create("", 1), EINVAL);
	CHECK_FAILS(knuma_group_create(name, 1), EINVAL);
	CHECK_FAILS(knuma_group_create("two\nlines", 1), EINVAL);
	CHECK_FAILS(knuma_group_create("\x7f", 1), EINVAL);
	name[47] = '\0';
	group(name, 1);
	/* checks knuma_group_create: "no other group has it" */
	CHECK_FAILS(knuma_group_create(name, 1), EEXIST);
	for (int i = 1; i < KNUMA_GROUPS_MAX; i++) {
		snprintf(name, sizeof(name), "group %d", i);
		group(name, 1);
	}
	CHECK_FAILS(knuma_group_create("one more", 1), ENOSPC);
	/* checks knuma_groups_read: "how many groups there are" */
	CHECK_EQ(knuma_groups_read(NULL, 0), KNUMA_GROUPS_MAX);
}

static void destroying_twice_is_reported(void)
{
	struct knuma_group *g = group("twice", 1);

	misuse_catch();
	knuma_group_destroy(g);
	CHECK_EQ(misuse_count(), 0);
	knuma_group_destroy(g);
	/* checks knuma_group_destroy: "A group that was destroyed already" */
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "the group was destroyed already");
	knuma_group_leave(7);
	/*
	 * checks knuma_group_leave: "A number that knuma_group_enter() cannot
	 * have given"
	 */
	CHECK_EQ(misuse_count(), 2);
	CHECK_HAS(misuse_last(), "knuma_group_leave(7)");
}

static void both_sides_of_a_fork_free(void)
{
	struct knuma_group *g = group("forked", 4096);
	void *p, *q;
	int status;
	pid_t pid;

	CHECK_EQ(knuma_group_enter(g), 0);
	p = kmalloc(1024, ACCOUNT);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		charged(g, p, 1024);
		q = kmalloc(2048, ACCOUNT);
		CHECK_EQ(usage(g), 3072);
		CHECK_FAILS(kmalloc(2048, ACCOUNT | __GFP_NOWARN), ENOMEM);
		kfree(p);
		kfree(q);
		nothing_charged(g);
		group("of the child", 1);
		heap_verify();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	charged(g, p, 1024);
	kfree(p);
	nothing_charged(g);
	knuma_group_leave(0);
}

static struct knuma_group *busy;
static pthread_barrier_t inside, done;

static void *stay_inside(void *arg)
{
	const unsigned int before = knuma_group_enter(busy);

	(void)arg;
	pthread_barrier_wait(&inside);
	pthread_barrier_wait(&done);
	knuma_group_leave(before);
	return NULL;
}

/* In a child: places of groups that only other threads were inside of. */
static void places_serve_again(struct knuma_group *outer,
			       struct knuma_group *inner, unsigned int before)
{
	knuma_group_destroy(busy);
	knuma_group_destroy(outer);
	if (inner) {
		knuma_group_destroy(inner);
		/* The thread is inside of both; of the third it may be. */
		CHECK_EQ(knuma_groups_read(NULL, 0), 3);
		CHECK_EQ(knuma_group_enter(busy), inner->id);
		CHECK_EQ(knuma_group_enter(NULL), busy->id);
		knuma_group_leave(busy->id);
		knuma_group_leave(inner->id);
		CHECK_EQ(knuma_groups_read(NULL, 0), 3);
		knuma_group_leave(before);
		CHECK_EQ(knuma_groups_read(NULL, 0), 2);
		knuma_group_leave(0);
	}
	CHECK_EQ(knuma_groups_read(NULL, 0), 0);
	CHECK_EQ(group("next", 1), busy);
	_exit(0);
}

static void in_a_child(struct knuma_group *outer, struct knuma_group *inner,
		       unsigned int before)
{
	int status;
	const pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		places_serve_again(outer, inner, before);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void a_child_forgets_who_was_inside(void)
{
	struct knuma_group *outer, *inner;
	unsigned int before;
	pthread_t thread;

	busy = group("busy", 1);
	outer = group("outer", 1);
	CHECK_EQ(pthread_barrier_init(&inside, NULL, 2), 0);
	CHECK_EQ(pthread_barrier_init(&done, NULL, 2), 0);
	CHECK_EQ(pthread_create(&thread, NULL, stay_inside, NULL), 0);
	pthread_barrier_wait(&inside);
	in_a_child(outer, NULL, 0);
	inner = group("inner", 1);
	CHECK_EQ(knuma_group_enter(outer), 0);
	before = knuma_group_enter(inner);
	in_a_child(outer, inner, before);
	knuma_group_leave(before);
	knuma_group_leave(0);
	pthread_barrier_wait(&done);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	/* The parent has lost nobody. */
	CHECK_EQ(busy->inside + outer->inside + inner->inside, 0);
}

static void double_frees_give_nothing_back(void)
{
	struct knuma_group *g = group("bugs", KNUMA_GROUP_NO_LIMIT);
	void *p, *q, *again;

	misuse_catch();
	CHECK_EQ(knuma_group_enter(g), 0);
	p = kmalloc(64, ACCOUNT);
	q = kmalloc(64, ACCOUNT);
	again = launder(p);
	kfree(p);
	kfree(again);
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "double free");
	kfree((char *)launder(q) + 8);
	CHECK_EQ(misuse_count(), 2);
	CHECK_HAS(misuse_last(), "invalid free");
	charged(g, q, 64);
	kfree(q);
	nothing_charged(g);
}

/* What debugging and guards do to caches leaves the charges as they are. */
static void charge_and_free(struct knuma_group *g)
{
	void *p[200];

	CHECK_EQ(knuma_group_enter(g), 0);
	for (size_t i = 0; i < 200; i++) {
		p[i] = kzalloc(i * 10 + 1, ACCOUNT);
		CHECK(all_bytes(p[i], i * 10 + 1, 0));
		CHECK_EQ(knuma_group_of(p[i]), g);
	}
	CHECK_EQ(objects(g), 200);
	CHECK(usage(g) >= 200 * 1000);
	for (int i = 0; i < 200; i++)
		kfree(p[i]);
	nothing_charged(g);
	knuma_group_leave(0);
	heap_verify();
}

static void debugged_objects_are_charged(void)
{
	conf("slab_debug", "FZPU");
	charge_and_free(group("debugged", KNUMA_GROUP_NO_LIMIT));
}

static void checked_objects_are_charged(void)
{
	conf("check", "full");
	charge_and_free(group("checked", KNUMA_GROUP_NO_LIMIT));
}

static void debugging_comes_and_goes(void)
{
	struct knuma_group *g = group("debugged later", KNUMA_GROUP_NO_LIMIT);

	charge_and_free(g);
	conf("slab_debug", "F");
	charge_and_free(g);
	conf("slab_debug", "-");
	charge_and_free(g);
}

static void guarded_objects_are_others(void)
{
	conf("guard_sample", "1");
	charge_and_free(group("beside guards", KNUMA_GROUP_NO_LIMIT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(each_way_is_charged_and_given_back),
		child_test(what_is_not_asked_for_is_not_charged),
		child_test(caches_are_charged_if_they_account),
		child_test(shapes_of_caches_that_remember),
		child_test(nothing_goes_over_a_limit),
		child_test(bulk_is_all_or_nothing),
		child_test(nofail_goes_over_it),
		child_test(shrinkers_make_room_below_it),
		child_test(scopes_are_restored),
		child_test(another_thread_frees),
		child_test(a_destroyed_group_lives_for_what_it_holds),
		child_test(names_are_looked_at),
		child_test(destroying_twice_is_reported),
		child_test(both_sides_of_a_fork_free),
		child_test(a_child_forgets_who_was_inside),
		child_test(double_frees_give_nothing_back),
		child_test(debugged_objects_are_charged),
		child_test(checked_objects_are_charged),
		child_test(debugging_comes_and_goes),
		child_test(guarded_objects_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
