/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/gfp.h>: what the flags promise about waiting, touching, reserves. */
#include <knuma/gfp.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"

#define MANY 3000

static void *held[MANY];

/* Memory that has been used is present when it is free again. */
static void use_and_free(size_t size, int n)
{
	for (int i = 0; i < n; i++) {
		held[i] = kmalloc(size, GFP_KERNEL);
		memset(held[i], 1, size);
	}
	for (int i = 0; i < n; i++)
		kfree(held[i]);
}

static const size_t some_sizes[] = {16, 64, 200, 1000, 3000, 8000, 20000};
#define NR_SIZES (sizeof(some_sizes) / sizeof(some_sizes[0]))

static int without_waiting(gfp_t gfp)
{
	int got = 0;

	for (size_t i = 0; i < NR_SIZES; i++) {
		for (int k = 0; k < 500; k++) {
			held[k] = kmalloc(some_sizes[i], gfp);
			if (!held[k])
				continue;
			memset(held[k], 2, some_sizes[i]);
			got++;
		}
		for (int k = 0; k < 500; k++)
			kfree(held[k]);
	}
	return got;
}

static void used_before(void)
{
	start_here();
	for (size_t i = 0; i < NR_SIZES; i++)
		use_and_free(some_sizes[i], 500);
}

static void nowait_and_atomic_make_no_system_call(void)
{
	struct kmem_cache *s;
	struct page *page;

	used_before();
	s = kmem_cache_create("nowait", 100, 0, 0, NULL);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	CHECK(without_waiting(GFP_NOWAIT) > 1000);
	CHECK(without_waiting(GFP_ATOMIC) > 1000);
	for (int i = 0; i < 1000; i++)
		held[i] = kmem_cache_alloc(s, GFP_ATOMIC);
	for (int i = 0; i < 1000; i++)
		kmem_cache_free(s, held[i]);
	(void)!kmem_cache_alloc_bulk(s, GFP_NOWAIT, 500, held);
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
		__free_pages(page, order);
	}
}

static void they_touch_no_page_first(void)
{
	const gfp_t gfp[] = {GFP_NOWAIT, GFP_ATOMIC};
	int got = 0;

	used_before();
	for (size_t i = 0; i < 2 * NR_SIZES; i++) {
		const size_t size = some_sizes[i / 2];

		for (int k = 0; k < 500; k++) {
			held[k] = kmalloc(size, gfp[i % 2]);
			if (!held[k])
				continue;
			CHECK(is_present(held[k], size));
			got++;
		}
		for (int k = 0; k < 500; k++)
			kfree(held[k]);
	}
	CHECK(got > 2000);
}

static void their_blocks_of_pages_are_present(void)
{
	for (unsigned int order = 0; order <= 5; order++) {
		struct page *page[64];
		int n = 0;

		if (!order)
			used_before();
		for (; n < 64; n++) {
			page[n] = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
			if (!page[n])
				break;
			CHECK(is_present(page_address(page[n]),
					 knuma_page_size() << order));
		}
		CHECK(n > 0);
		while (n--)
			__free_pages(page[n], order);
	}
	heap_verify();
}

static int pages_until_none(gfp_t gfp, int n)
{
	int got = 0;

	while (n + got < MANY &&
	       (held[n + got] = alloc_pages(gfp | __GFP_NOWARN, 0)))
		got++;
	return got;
}

static void only_atomic_takes_from_the_reserve(void)
{
	int n, more;

	start_here();
	use_and_free(20000, 10);
	n = pages_until_none(GFP_NOWAIT, 0);
	CHECK(n < MANY);
	CHECK_EQ(pages_until_none(GFP_ATOMIC | __GFP_NOMEMALLOC, n), 0);
	more = pages_until_none(GFP_ATOMIC, n);
	/* 128 KiB by default, but for what lies in the page lists. */
	CHECK(more >= 16 && n + more < MANY);
	for (int i = 0; i < n + more; i++)
		__free_page(held[i]);
	heap_verify();
}

static void nowait_fails_in_silence(void)
{
	start_here();
	CHECK_FAILS(kmalloc(4 << 20, GFP_NOWAIT), ENOMEM);
	CHECK_FAILS(alloc_pages(GFP_NOWAIT, 10), ENOMEM);
	CHECK_FAILS(__vmalloc((size_t)1 << 33, GFP_NOWAIT), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
	CHECK(stat_of("nowait_failed") >= 2);
	CHECK_FAILS(kmalloc(4 << 20, GFP_ATOMIC), ENOMEM);
	CHECK_EQ(printed_times("out of memory"), 1);
	CHECK_FAILS(kmalloc(4 << 20, GFP_ATOMIC), ENOMEM);
	CHECK_EQ(printed_times("out of memory"), 1);
}

static void nofail_without_reclaim_warns(void)
{
	struct kmem_cache *s;

	start_here();
	s = kmem_cache_create("big", 60000, 0, 0, NULL);
	CHECK(!kmem_cache_alloc(s, GFP_NOWAIT | __GFP_NOFAIL));
	CHECK_EQ(printed_times("__GFP_NOFAIL"), 1);
	kmem_cache_destroy(s);
}

/* Handlers that allocate and free, whatever they interrupt. */
static volatile int in_handler;

static void handler(int sig)
{
	const int saved_errno = errno;
	void *p = kmalloc(100, GFP_ATOMIC | __GFP_NOWARN);
	void *q = kmalloc(9000, GFP_NOWAIT);
	struct page *page = alloc_pages(GFP_NOWAIT, 1);

	(void)sig;
	if (p)
		memset(p, 4, 100);
	kfree(p);
	kfree(q);
	if (page)
		__free_pages(page, 1);
	in_handler++;
	errno = saved_errno;
}

static void they_are_for_signal_handlers(void)
{
	const struct itimerval often = {{0, 100}, {0, 100}}, never = {0};
	struct kmem_cache *s;
	int rounds = 0;

	used_before();
	s = kmem_cache_create("signal", 300, 0, 0, NULL);
	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &often, NULL);
	for (; in_handler < 2000; rounds++) {
		char *area = vmalloc(50000),
		     *large = kmalloc(50000, GFP_KERNEL);

		CHECK(area && large);
		memset(area, rounds, 100);
		for (int i = 0; i < 300; i++) {
			held[i] = i % 2 ? kmem_cache_alloc(s, GFP_KERNEL) :
					  kmalloc((size_t)i * 20, GFP_KERNEL);
			CHECK(held[i]);
		}
		for (int i = 0; i < 300; i++)
			kfree(held[i]);
		vfree(area);
		kfree(large);
		if (rounds % 50 == 49)
			kmem_cache_shrink(s);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	alarm(0);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

static void the_bits_are_those_of_linux(void)
{
	CHECK_EQ(__GFP_ZERO, 0x100);
	CHECK_EQ(__GFP_DIRECT_RECLAIM, 0x400);
	CHECK_EQ(__GFP_THISNODE, 0x200000);
	CHECK_EQ(GFP_KERNEL, 0xcc0);
	CHECK_EQ(GFP_ATOMIC, 0x820);
	CHECK_EQ(GFP_NOWAIT, 0x2800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(nowait_and_atomic_make_no_system_call),
		child_test(they_touch_no_page_first),
		child_test(their_blocks_of_pages_are_present),
		child_test(only_atomic_takes_from_the_reserve),
		child_test(nowait_fails_in_silence),
		child_test(nofail_without_reclaim_warns),
		child_test(they_are_for_signal_handlers),
		child_test(the_bits_are_those_of_linux),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
