/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/alloc_tag.h>: what is counted, where, and how it is told. */
#define KNUMA_ALLOC_TAGS
#include <knuma/alloc_tag.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void each_place_is_counted(void)
{
	for (int i = 0; i < 10; i++)
		kfree(kmalloc(100, GFP_KERNEL));
	holds(__func__, 10, 1000);
	kfree(kzalloc(1, GFP_KERNEL));
	kfree(kmalloc_node(2, GFP_KERNEL, 0));
	kfree(kzalloc_node(3, GFP_KERNEL, 0));
	kvfree(kvmalloc(4, GFP_KERNEL));
	kvfree(kvzalloc(5, GFP_KERNEL));
	kvfree(kvmalloc_node(6, GFP_KERNEL, 0));
	kvfree(kvzalloc_node(7, GFP_KERNEL, 0));
	vfree(vmalloc(8));
	vfree(vzalloc(9));
	vfree(vmalloc_node(10, 0));
	vfree(vzalloc_node(11, 0));
	holds(__func__, 21, 1066);
	heap_verify();
}

static void objects_count_with_their_size(void)
{
	struct kmem_cache *s = kmem_cache_create("tagged", 200, NULL, 0);

	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_free(s, kmem_cache_zalloc(s, GFP_KERNEL));
	kmem_cache_free(s, kmem_cache_alloc_node(s, GFP_KERNEL, 0));
	kmem_cache_destroy(s);
	holds(__func__, 3, 600);
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
	kfree(p);
	CHECK_EQ(nr_asked, 1);
	holds(__func__, 1, 64);
}

static void *allocate_much(void *unused)
{
	for (int i = 0; i < 20000; i++)
		kfree(kmalloc(10, GFP_KERNEL));
	return unused;
}

static void threads_lose_no_count(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, allocate_much, NULL),
			 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	holds("allocate_much", 80000, 800000);
}

static void as_the_kernel_prints_it(void)
{
	const int line = __LINE__ + 3;
	char row[256], small[8];

	kfree(kmalloc(4000, GFP_KERNEL));
	snprintf(row, sizeof(row),
		 "allocinfo - version: 1.0\n"
		 "#     <size>  <calls> <tag info>\n"
		 "        4000        1 %s:%d func:%s\n",
		 __FILE__, line, __func__);
	CHECK_EQ(knuma_allocinfo_text(NULL, 0), strlen(row));
	CHECK_EQ(knuma_allocinfo_text(small, sizeof(small)), strlen(row));
	CHECK(!strcmp(small, "allocin"));
	CHECK_EQ(knuma_allocinfo_text(text, sizeof(text)), strlen(row));
	CHECK(!strcmp(text, row));
	knuma_allocinfo_print(STDERR_FILENO);
	CHECK_HAS(printed(), row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(each_place_is_counted),
		child_test(objects_count_with_their_size),
		child_test(failures_do_not_count),
		child_test(arguments_are_evaluated_once),
		child_test(threads_lose_no_count),
		child_test(as_the_kernel_prints_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
