/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/alloc_tag.h>: what is counted, where, and how it is told. */
/* So knuma_alloc_tags_enable() is called before main(). */
#define KNUMA_ALLOC_TAGS
#include <knuma/alloc_tag.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <knuma/group.h>

#include "alloc/account/ext.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

static char text[64 << 10];

/* Calls and bytes of the places in @func; the test is a child of its own. */
static void counts(const char *func, uint64_t *calls, uint64_t *bytes)
{
	char end[64];

	CHECK(knuma_allocinfo_text(text, sizeof(text)) < sizeof(text));
	snprintf(end, sizeof(end), " func:%s", func);
	*calls = *bytes = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		const size_t n = strlen(line), m = strlen(end);
		unsigned long long size, times;

		if (n < m || strcmp(line + n - m, end))
			continue;
		CHECK_EQ(sscanf(line, "%llu %llu", &size, &times), 2);
		*calls += times;
		*bytes += size;
	}
}

static void holds(const char *func, uint64_t calls, uint64_t bytes)
{
	uint64_t c, b;

	counts(func, &c, &b);
	CHECK_EQ(c, calls);
	CHECK_EQ(b, bytes);
}

/* Bytes of the place that an object of @n bytes has. */
static size_t place(size_t n)
{
	return kmalloc_size_roundup(n);
}

static void what_lives_is_counted(void)
{
	void *p[10];

	for (int i = 0; i < 10; i++)
		p[i] = kmalloc(100, GFP_KERNEL);
	holds(__func__, 10, 10 * place(100));
	for (int i = 0; i < 4; i++)
		kfree(p[i]);
	holds(__func__, 6, 6 * place(100));
	kfree_bulk(6, p + 4);
	holds(__func__, 0, 0);
	heap_verify();
}

static void each_call_is_counted(void)
{
	const size_t page = knuma_page_size();
	void *p[13];

	p[0] = kzalloc(1, GFP_KERNEL);
	p[1] = kmalloc_node(20, GFP_KERNEL, 0);
	p[2] = kzalloc_node(40, GFP_KERNEL, 0);
	p[3] = kvmalloc(60, GFP_KERNEL);
	p[4] = kvzalloc(70, GFP_KERNEL);
	p[5] = kvmalloc_node(90, GFP_KERNEL, 0);
	p[6] = kvzalloc_node(100, GFP_KERNEL, 0);
	p[7] = kmalloc(20000, GFP_KERNEL);
	holds(__func__, 8, 16 + 32 + 48 + 64 + 80 + 96 + 112 + place(20000));
	p[8] = vmalloc(8);
	p[9] = vzalloc(9);
	p[10] = vmalloc_node(page + 1, 0);
	p[11] = vzalloc_node(11, 0);
	p[12] = kvmalloc((size_t)1 << 20, GFP_KERNEL);
	holds(__func__, 13, 448 + place(20000) + 5 * page + ((size_t)1 << 20));
	for (int i = 0; i < 13; i++)
		kvfree(p[i]);
	holds(__func__, 0, 0);
	CHECK_EQ(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	holds(__func__, 0, 0);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

static void objects_count_with_their_place(void)
{
	struct kmem_cache *s = kmem_cache_create("tagged", 200, NULL, 0);
	void *p[3];

	p[0] = kmem_cache_alloc(s, GFP_KERNEL);
	p[1] = kmem_cache_zalloc(s, GFP_KERNEL);
	p[2] = kmem_cache_alloc_node(s, GFP_KERNEL, 0);
	/*
	 * checks knuma_alloc_tags_enable: "A file with KNUMA_ALLOC_TAGS calls
	 * it before main()"
	 */
	CHECK(all_bytes(p[1], 200, 0));
	holds(__func__, 3, 600);
	kmem_cache_free(s, p[0]);
	holds(__func__, 2, 400);
	kmem_cache_free_bulk(s, 2, p + 1);
	holds(__func__, 0, 0);
	kmem_cache_destroy(s);
}

/* What the macros do, by hand. */
static void a_place_of_ones_own(void)
{
	static struct knuma_alloc_tag mine = {.file = "mine", .func = "own"};
	void *p = (kmalloc)(100, GFP_KERNEL | KN_GFP_REMEMBER);

	CHECK_EQ(knuma_alloc_tag_add(&mine, p), p);
	/* checks knuma_alloc_tag: "allocations that live", "that they take" */
	CHECK_EQ(mine.calls, 1);
	CHECK_EQ(mine.bytes, place(100));
	/* checks knuma_alloc_tag_add: "or NULL" */
	CHECK_EQ(knuma_alloc_tag_add(&mine, NULL), NULL);
	CHECK_EQ(mine.calls, 1);
	CHECK(knuma_alloc_tags_text(&mine, 1, NULL, 0) > 0);
	CHECK(knuma_alloc_tags_text(&mine, 1, text, sizeof(text)) > 0);
	CHECK_HAS(text, "mine:0 func:own\n");
	kfree(p);
	CHECK_EQ(mine.calls, 0);
	CHECK_EQ(mine.bytes, 0);
}

/* A cache that was made before is told of, once, and works. */
static void caches_that_do_not_remember(void)
{
	struct kmem_cache *s;
	void *p, *q;

	kn_ext_always = false;
	s = kmem_cache_create("early", 200, NULL, 0);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	q = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(p && q);
	holds(__func__, 0, 0);
	/* checks knuma_alloc_tag_add: "is not counted, which is told once" */
	CHECK_EQ(printed_times("the cache was made before"), 1);
	kmem_cache_free(s, p);
	kmem_cache_free(s, q);
	kmem_cache_destroy(s);
}

/* A place and a group are remembered beside each other. */
static void places_and_groups(void)
{
	struct knuma_group *g = knuma_group_create("placed", 1000);
	struct knuma_group_stat st;
	void *p, *q;

	CHECK_EQ(knuma_group_enter(g), 0);
	p = kmalloc(500, GFP_KERNEL_ACCOUNT);
	q = kmalloc(600, GFP_KERNEL);
	CHECK_FAILS(kmalloc(600, GFP_KERNEL_ACCOUNT | __GFP_NOWARN), ENOMEM);
	holds(__func__, 2, place(500) + place(600));
	CHECK_EQ(knuma_group_of(p), g);
	CHECK_EQ(knuma_group_of(q), NULL);
	p = krealloc(p, 510, GFP_KERNEL);
	holds(__func__, 2, place(500) + place(600));
	kfree(p);
	knuma_group_read(g, &st);
	CHECK_EQ(st.usage_bytes, 0);
	holds(__func__, 1, place(600));
	kfree(q);
	holds(__func__, 0, 0);
	knuma_group_leave(0);
}

static void failures_do_not_count(void)
{
	const volatile size_t much = (size_t)1 << 60;

	CHECK_FAILS(kmalloc(much, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(kvmalloc(much, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	holds(__func__, 0, 0);
}

static int nr_asked;

static size_t size_once(void)
{
	nr_asked++;
	return 64;
}

static void arguments_are_evaluated_once(void)
{
	char *p = kzalloc(size_once(), GFP_KERNEL);

	CHECK(p && all_bytes(p, 64, 0));
	CHECK_EQ(nr_asked, 1);
	holds(__func__, 1, 64);
	kfree(p);
}

#define KEPT 100

/* Frees what the thread before it has left, and leaves some. */
static void *left[4][KEPT];

static void *allocate_much(void *mine)
{
	for (int i = 0; i < 20000; i++) {
		void *p = __atomic_exchange_n(&left[i % 4][i / 4 % KEPT],
					      kmalloc(10, GFP_KERNEL),
					      __ATOMIC_ACQ_REL);

		kfree(p);
	}
	return mine;
}

static void threads_lose_no_count(void)
{
	pthread_t thread[4];
	uint64_t n = 0;

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, allocate_much, NULL),
			 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < KEPT; k++)
			n += left[i][k] != NULL;
	CHECK(n > 0);
	holds("allocate_much", n, n * 16);
	for (int i = 0; i < 4; i++)
		kfree_bulk(KEPT, left[i]);
	holds("allocate_much", 0, 0);
}

static void as_the_kernel_prints_it(void)
{
	const int line = __LINE__ + 2;
	char row[256], small[8];
	void *p = kmalloc(4000, GFP_KERNEL);

	snprintf(row, sizeof(row),
		 "allocinfo - version: 1.0\n"
		 "#     <size>  <calls> <tag info>\n"
		 "        4096        1 %s:%d func:%s\n",
		 __FILE__, line, __func__);
	/*
	 * checks knuma_allocinfo_text, knuma_alloc_tags_text: "bytes of the
	 * whole text, without the zero byte"
	 */
	CHECK_EQ(knuma_allocinfo_text(NULL, 0), strlen(row));
	CHECK_EQ(knuma_allocinfo_text(small, sizeof(small)), strlen(row));
	/*
	 * checks knuma_alloc_tags_text: "@buf ends in a zero byte unless @len
	 * is 0"
	 */
	CHECK(!strcmp(small, "allocin"));
	CHECK_EQ(knuma_allocinfo_text(text, sizeof(text)), strlen(row));
	/* checks knuma_alloc_tags_text: "Two lines of heading" */
	CHECK(!strcmp(text, row));
	knuma_allocinfo_print(STDERR_FILENO);
	CHECK_HAS(printed(), row);
	kfree(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(what_lives_is_counted),
		child_test(each_call_is_counted),
		child_test(objects_count_with_their_place),
		child_test(a_place_of_ones_own),
		child_test(caches_that_do_not_remember),
		child_test(places_and_groups),
		child_test(failures_do_not_count),
		child_test(arguments_are_evaluated_once),
		child_test(threads_lose_no_count),
		child_test(as_the_kernel_prints_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
