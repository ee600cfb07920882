/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that change the sizes of their areas at the same time, in each other's
 * way, while freed ones are given back: nobody's content is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <knuma/malloc.h>
#include <knuma/numa.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/concurrency/stress.h"

enum {
	WORKERS = 4,
	AREAS = 3,
	MOST = 4 << 20,
	LEAST = 280 << 10,
};

struct area {
	char *at;
	size_t size;
	uint64_t tag;
};

static uint64_t lost, refused;

static void count(uint64_t *n, bool one)
{
	if (one)
		__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

/* A word at the start of each page, which tells which. */
static void mark(const struct area *a)
{
	for (size_t at = 0; at < a->size; at += knuma_page_size())
		*(uint64_t *)(void *)(a->at + at) = a->tag + at;
}

static bool is_whole(const struct area *a, size_t size)
{
	bool ok = true;

	for (size_t at = 0; at < size; at += knuma_page_size())
		ok &= *(uint64_t *)(void *)(a->at + at) == a->tag + at;
	return ok;
}

static void change(struct stress_thread *t, struct area *a)
{
	const size_t size = LEAST + stress_below(t, MOST - LEAST);
	char *p = knuma_realloc(a->at, size);

	count(&refused, !p);
	if (!p)
		return;
	a->at = p;
	count(&lost, !is_whole(a, a->size < size ? a->size : size));
	a->size = size;
	a->tag = stress_random(t);
	mark(a);
}

static void work(struct stress_thread *t)
{
	struct area area[AREAS] = {{NULL, 0, 0}};

	while (!stress_stopped()) {
		struct area *a = &area[stress_below(t, AREAS)];

		change(t, a);
		if (!stress_below(t, 8)) {
			count(&lost, !is_whole(a, a->size));
			knuma_free(a->at);
			*a = (struct area){NULL, 0, 0};
		}
		if (!stress_below(t, 32))
			(void)knuma_trim();
	}
	for (int i = 0; i < AREAS; i++) {
		count(&lost, !is_whole(&area[i], area[i].size));
		knuma_free(area[i].at);
	}
}

/* A thread may have had no turn yet. */
static bool all_kinds_were_met(void)
{
	return stress_stat("vmalloc_grown") > 20 &&
	       stress_stat("vmalloc_moved") > 20;
}

static void areas_keep_their_content(void **state)
{
	(void)state;
	stress_run_until(WORKERS, work, NULL, all_kinds_were_met);
	assert_int_equal(lost, 0);
	assert_int_equal(refused, 0);
	assert_int_equal(vmalloc_nr_pages(), 0);
	stress_verify_pages();
	assert_int_equal(knuma_trim(), 0);
	assert_int_equal(stress_stat("vmalloc_cached_bytes"), 0);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_keep_their_content),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
