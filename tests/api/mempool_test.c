/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/mempool.h>: a reserve in front of an allocator, sentence by sentence. */
#include <knuma/mempool.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <knuma/page.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"

enum {
	MIN = 8,
	SIZE = 200,
	MANY = 400
};

/* An allocator with a given number of elements. */
static atomic_int left;
static atomic_int out;
static atomic_int asked;
static gfp_t asked_with[3];
static char store[MANY][16];
static atomic_bool is_out[MANY];

static void *limited_alloc(gfp_t gfp, void *pool_data)
{
	const int n = atomic_fetch_add(&asked, 1);

	CHECK_EQ(pool_data, &left);
	if (n < 3)
		asked_with[n] = gfp;
	if (atomic_fetch_sub(&left, 1) <= 0) {
		atomic_fetch_add(&left, 1);
		errno = ENOMEM;
		return NULL;
	}
	atomic_fetch_add(&out, 1);
	for (int i = 0; i < MANY; i++)
		if (!atomic_exchange(&is_out[i], true))
			return store[i];
	abort();
}

static void limited_free(void *element, void *pool_data)
{
	const long i = ((char *)element - store[0]) / 16;

	CHECK_EQ(pool_data, &left);
	CHECK(i >= 0 && i < MANY && store[i] == element);
	CHECK(atomic_exchange(&is_out[i], false));
	atomic_fetch_sub(&out, 1);
	atomic_fetch_add(&left, 1);
}

static mempool_t *limited_pool(int min_nr, int elements)
{
	atomic_store(&left, elements);
	return mempool_create(min_nr, limited_alloc, limited_free, &left);
}

static void it_is_full_or_it_is_not(void)
{
	mempool_t *pool = limited_pool(MIN, MIN), in_place;

	/* checks mempool_init_node: "0, and the reserve is full" */
	CHECK(pool && mempool_initialized(pool) && mempool_is_saturated(pool));
	CHECK_EQ(pool->min_nr, MIN);
	CHECK_EQ(pool->curr_nr, MIN);
	CHECK_EQ(pool->pool_data, &left);
	CHECK_EQ(atomic_load(&out), MIN);
	mempool_destroy(pool);
	/* checks mempool_exit: "The elements of the reserve are freed" */
	CHECK_EQ(atomic_load(&out), 0);
	/* One is missing: nothing is left behind. */
	/* checks mempool_init_node: "NULL when there is none" */
	CHECK_FAILS(limited_pool(MIN, MIN - 1), ENOMEM);
	CHECK_EQ(atomic_load(&out), 0);
	CHECK_EQ(mempool_init(&in_place, MIN, limited_alloc, limited_free,
			      &left),
		 -ENOMEM);
	CHECK(!mempool_initialized(&in_place));
	/* checks mempool_init_node: "@pool is all zeroes then" */
	CHECK(all_bytes(&in_place, sizeof(in_place), 0));
	mempool_exit(&in_place);
	mempool_destroy(NULL);
	/*
	 * checks mempool_init_node: "-EINVAL when @min_nr is below 1", "@node
	 * is no possible id"
	 */
	CHECK_FAILS(limited_pool(0, 5), EINVAL);
	CHECK_FAILS(limited_pool(-1, 5), EINVAL);
	CHECK_FAILS(limited_pool(INT32_MAX, 5), EINVAL);
	CHECK_FAILS(mempool_create_node(1, limited_alloc, limited_free, &left,
					GFP_KERNEL, 12345),
		    EINVAL);
	CHECK_EQ(mempool_init_node(&in_place, 1, limited_alloc, limited_free,
				   &left, 1u << 30, NUMA_NO_NODE),
		 -EINVAL);
}

/* A table of gigabytes; what there was stays. */
static void no_memory_for_the_table(void)
{
	mempool_t *pool = limited_pool(MIN, MIN), in_place;

	/* checks mempool_resize: "nothing is changed then" */
	CHECK_EQ(mempool_resize(pool, INT32_MAX / 2), -ENOMEM);
	CHECK_EQ(pool->min_nr, MIN);
	mempool_destroy(pool);
	CHECK_EQ(mempool_init_node(&in_place, INT32_MAX / 2, limited_alloc,
				   limited_free, &left, GFP_KERNEL,
				   NUMA_NO_NODE),
		 -ENOMEM);
	CHECK_FAILS(mempool_create_node(INT32_MAX / 2, limited_alloc,
					limited_free, &left, GFP_KERNEL,
					NUMA_NO_NODE),
		    ENOMEM);
	CHECK_EQ(atomic_load(&out), 0);
}

static void the_allocator_is_asked_first(void)
{
	mempool_t *pool = limited_pool(MIN, MIN + 2);
	const gfp_t always = __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN;
	void *p[MIN + 2];

	atomic_store(&asked, 0);
	errno = 7;
	for (int i = 0; i < MIN + 2; i++) {
		p[i] = mempool_alloc(pool, GFP_KERNEL | __GFP_NOFAIL);
		CHECK(p[i]);
		CHECK_EQ(pool->curr_nr, i < 2 ? MIN : MIN + 1 - i);
		CHECK_EQ(errno, 7);
		/* The allocator served at its first call; later it had none. */
		CHECK_EQ(atomic_load(&asked), i < 2 ? i + 1 : 2 + (i - 1) * 2);
	}
	/*
	 * checks mempool_alloc: "__GFP_NOMEMALLOC, __GFP_NORETRY and
	 * __GFP_NOWARN"
	 */
	CHECK_EQ(asked_with[0], always | __GFP_KSWAPD_RECLAIM | __GFP_FS);
	CHECK_EQ(asked_with[2], always | __GFP_KSWAPD_RECLAIM | __GFP_FS);
	CHECK_FAILS(mempool_alloc(pool, GFP_NOWAIT), ENOMEM);
	CHECK_FAILS(mempool_alloc(pool, GFP_ATOMIC), ENOMEM);
	/*
	 * checks mempool_alloc_preallocated: "NULL when the reserve is empty"
	 */
	CHECK_FAILS(mempool_alloc_preallocated(pool), ENOMEM);
	CHECK_FAILS(mempool_alloc_noreserve(pool, GFP_KERNEL), ENOMEM);
	/* What comes back fills the reserve up first, in any order. */
	for (int i = 0; i < MIN + 2; i++) {
		CHECK(mempool_is_saturated(pool) == (i >= MIN));
		mempool_free(p[i * 3 % (MIN + 2)], pool);
		/*
		 * checks mempool_free: "Fills the reserve up first", "else the
		 * element goes to the allocator"
		 */
		CHECK_EQ(pool->curr_nr, i < MIN ? i + 1 : MIN);
	}
	mempool_free(NULL, pool);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(atomic_load(&out), MIN);
	CHECK_EQ(atomic_load(&left), 2);
	mempool_destroy(pool);
	CHECK_EQ(atomic_load(&out), 0);
}

static void the_second_try_may_ask_the_system(void)
{
	mempool_t *pool = limited_pool(MIN, MIN);
	void *p;

	atomic_store(&asked, 0);
	p = mempool_alloc(pool, GFP_KERNEL | __GFP_RETRY_MAYFAIL);
	CHECK(p);
	CHECK_EQ(atomic_load(&asked), 2);
	CHECK(!(asked_with[0] & (__GFP_DIRECT_RECLAIM | __GFP_IO)));
	CHECK_EQ(asked_with[1],
		 GFP_KERNEL | __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN);
	mempool_free(p, pool);
	mempool_destroy(pool);
}

static void zero_has_no_effect_and_warns_once(void)
{
	mempool_t *pool = limited_pool(MIN, MIN);

	atomic_store(&asked, 0);
	for (int i = 0; i < 3; i++)
		mempool_free(mempool_alloc(pool, GFP_KERNEL | __GFP_ZERO),
			     pool);
	/* checks mempool_alloc: "__GFP_ZERO warns once, and has no effect" */
	CHECK_EQ(printed_times("__GFP_ZERO has no effect"), 1);
	CHECK(!(asked_with[2] & __GFP_ZERO));
	mempool_destroy(pool);
}

/* Nothing but the reserve, and no system call. */
static void the_reserve_needs_no_system_call(void)
{
	mempool_t *pool = limited_pool(MIN, MIN);
	void *p[MIN];

	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < MIN; i++) {
			p[i] = i % 2 ? mempool_alloc_preallocated(pool) :
				       mempool_alloc(pool, GFP_ATOMIC);
			CHECK(p[i]);
		}
		/*
		 * checks mempool_free: "makes a system call only to wake
		 * another thread"
		 */
		CHECK(!mempool_alloc_preallocated(pool));
		for (int i = 0; i < MIN; i++)
			mempool_free(p[i], pool);
	}
}

static mempool_t *shared;
static atomic_int got;

static void *take_one(void *unused)
{
	void *p = mempool_alloc(shared, GFP_KERNEL);

	(void)unused;
	/* checks mempool_alloc: "never NULL if the call may wait" */
	CHECK(p);
	atomic_fetch_add(&got, 1);
	return p;
}

/* Each waits for one that another frees; nobody gets NULL. */
static void who_may_wait_waits_for_a_free(void)
{
	pthread_t thread[MIN];
	void *p[MIN], *q;

	shared = limited_pool(MIN, MIN);
	for (int i = 0; i < MIN; i++)
		p[i] = mempool_alloc(shared, GFP_KERNEL);
	for (int i = 0; i < MIN; i++)
		CHECK(!pthread_create(&thread[i], NULL, take_one, NULL));
	while (__atomic_load_n(&shared->waiters, __ATOMIC_RELAXED) != MIN)
		usleep(1000);
	CHECK_EQ(atomic_load(&got), 0);
	for (int i = 0; i < MIN; i++)
		mempool_free(p[i], shared);
	for (int i = 0; i < MIN; i++) {
		CHECK(!pthread_join(thread[i], &q));
		mempool_free(q, shared);
	}
	/* checks mempool_free: "wakes who waits for that" */
	CHECK_EQ(atomic_load(&got), MIN);
	CHECK(mempool_is_saturated(shared));
	mempool_destroy(shared);
	CHECK_EQ(atomic_load(&out), 0);
}

/* Memory that comes by itself is noticed without a free. */
static void memory_that_comes_by_itself(void)
{
	pthread_t thread;
	void *p, *q;

	shared = limited_pool(1, 1);
	p = mempool_alloc(shared, GFP_KERNEL);
	CHECK(!pthread_create(&thread, NULL, take_one, NULL));
	while (__atomic_load_n(&shared->waiters, __ATOMIC_RELAXED) != 1)
		usleep(1000);
	atomic_fetch_add(&left, 1);
	CHECK(!pthread_join(thread, &q));
	CHECK(q && q != p);
	mempool_free(p, shared);
	mempool_free(q, shared);
	mempool_destroy(shared);
}

static void the_reserve_can_be_resized(void)
{
	mempool_t *pool = limited_pool(4, 100);
	void *p[100];

	CHECK_EQ(mempool_resize(pool, 0), -EINVAL);
	CHECK_EQ(mempool_resize(pool, -5), -EINVAL);
	/* checks mempool_resize: "More are allocated at once" */
	CHECK_EQ(mempool_resize(pool, 30), 0);
	CHECK_EQ(pool->curr_nr, 30);
	/* checks mempool_resize: "Fewer are freed" */
	CHECK_EQ(mempool_resize(pool, 2), 0);
	CHECK_EQ(pool->curr_nr, 2);
	CHECK_EQ(atomic_load(&out), 2);
	CHECK_EQ(mempool_resize(pool, 25), 0);
	CHECK_EQ(mempool_resize(pool, 60), 0);
	CHECK_EQ(pool->curr_nr, 60);
	/* All hundred, 60 of them from the reserve. */
	for (int i = 0; i < 100; i++)
		p[i] = mempool_alloc(pool, GFP_NOWAIT);
	CHECK(!mempool_alloc(pool, GFP_NOWAIT));
	/* What is missing is kept of later frees. */
	/*
	 * checks mempool_resize: "0, also when some elements are missing",
	 * "what is missing then is kept of later frees"
	 */
	CHECK_EQ(mempool_resize(pool, 90), 0);
	CHECK_EQ(pool->curr_nr, 0);
	for (int i = 0; i < 100; i++)
		mempool_free(p[i], pool);
	CHECK_EQ(pool->curr_nr, 90);
	CHECK_EQ(atomic_load(&out), 90);
	mempool_destroy(pool);
	CHECK_EQ(atomic_load(&out), 0);
}

static void several_at_once(void)
{
	mempool_t *pool = limited_pool(8, 11);
	void *p[9];

	/* Three are left to the allocator. */
	CHECK_EQ(mempool_alloc_bulk(pool, p, 0), 0);
	errno = 0;
	/*
	 * checks mempool_alloc_bulk: "From the allocator while that gives some"
	 */
	CHECK_EQ(mempool_alloc_bulk(pool, p, 8), 0);
	CHECK_EQ(errno, 0);
	CHECK_EQ(pool->curr_nr, 3);
	for (int i = 0; i < 8; i++)
		for (int k = 0; k < i; k++)
			CHECK(p[i] && p[i] != p[k]);
	CHECK_EQ(mempool_alloc_bulk(pool, p, 9), -EINVAL);
	CHECK_EQ(mempool_alloc_bulk(pool, p, 9), -EINVAL);
	CHECK_EQ(printed_times("mempool_alloc_bulk: 9 elements"), 1);
	CHECK_EQ(pool->curr_nr, 3);
	/* Five are missing: the first five; the others are the caller's. */
	/*
	 * checks mempool_free_bulk: "how many the reserve took, from the first
	 * one on", "the ones that the reserve took are NULL then", "The others
	 * are still the caller's"
	 */
	CHECK_EQ(mempool_free_bulk(pool, p, 8), 5);
	CHECK_EQ(pool->curr_nr, 8);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(p[i] == NULL, i < 5);
	CHECK_EQ(mempool_free_bulk(pool, p + 5, 3), 0);
	for (int i = 5; i < 8; i++)
		mempool_free(p[i], pool);
	CHECK_EQ(atomic_load(&out), 8);
	mempool_destroy(pool);
	CHECK_EQ(atomic_load(&out), 0);
}

static void *take_four(void *elem)
{
	CHECK_EQ(mempool_alloc_bulk(shared, elem, 4), 0);
	return NULL;
}

static void all_of_the_rest_or_none(void)
{
	void *held[2], *p[4];
	pthread_t thread;

	shared = limited_pool(4, 4);
	held[0] = mempool_alloc(shared, GFP_NOWAIT);
	held[1] = mempool_alloc(shared, GFP_NOWAIT);
	CHECK(held[0] && held[1]);
	CHECK(!pthread_create(&thread, NULL, take_four, p));
	while (__atomic_load_n(&shared->waiters, __ATOMIC_RELAXED) != 1)
		usleep(1000);
	CHECK_EQ(__atomic_load_n(&shared->curr_nr, __ATOMIC_RELAXED), 2);
	mempool_free(held[0], shared);
	CHECK_EQ(__atomic_load_n(&shared->curr_nr, __ATOMIC_RELAXED), 3);
	mempool_free(held[1], shared);
	CHECK(!pthread_join(thread, NULL));
	/*
	 * checks mempool_alloc_bulk: "the rest out of the reserve, all of it or
	 * none"
	 */
	CHECK_EQ(shared->curr_nr, 0);
	CHECK_EQ(mempool_free_bulk(shared, p, 4), 4);
	mempool_destroy(shared);
}

/* Each alone would find enough. */
static void *take_and_give(void *unused)
{
	void *p[3];

	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(mempool_alloc_bulk(shared, p, 3), 0);
		CHECK_EQ(mempool_free_bulk(shared, p, 3), 3);
	}
	return unused;
}

static void two_that_want_more_than_half(void)
{
	pthread_t thread;

	shared = limited_pool(4, 4);
	CHECK(!pthread_create(&thread, NULL, take_and_give, NULL));
	take_and_give(NULL);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(shared->curr_nr, 4);
	mempool_destroy(shared);
	CHECK_EQ(atomic_load(&out), 0);
}

static void the_ready_made_pairs(void)
{
	struct kmem_cache *s = kmem_cache_create("pool", SIZE, NULL, 0);
	mempool_t *slab = mempool_create_slab_pool(MIN, s);
	mempool_t *small = mempool_create_kmalloc_pool(MIN, SIZE);
	mempool_t *large = mempool_create_kvmalloc_pool(2, 6 << 20);
	mempool_t *pages = mempool_create_page_pool(MIN, 2);
	mempool_t in_place[4];
	struct page *page;
	void *p;

	CHECK(slab && small && large && pages);
	p = mempool_alloc_preallocated(slab);
	CHECK_EQ(ksize(p), ksize(mempool_alloc_preallocated(slab)));
	memset(p, 1, SIZE);
	mempool_free(p, slab);
	p = mempool_alloc(small, GFP_KERNEL);
	CHECK_EQ(ksize(p), kmalloc_size_roundup(SIZE));
	mempool_free(p, small);
	/* checks mempool_alloc_noreserve: "to be given to mempool_free()" */
	p = mempool_alloc_noreserve(small, GFP_KERNEL);
	CHECK_EQ(ksize(p), kmalloc_size_roundup(SIZE));
	mempool_free(p, small);
	p = mempool_alloc(large, GFP_KERNEL);
	CHECK(is_vmalloc_addr(p));
	mempool_free(p, large);
	page = mempool_alloc(pages, GFP_KERNEL);
	memset(page_address(page), 1, 4 * knuma_page_size());
	mempool_free(page, pages);
	/* checks mempool_alloc_pages: "An element is a struct page" */
	CHECK_EQ(mempool_init_slab_pool(&in_place[0], 3, s), 0);
	CHECK_EQ(mempool_init_kmalloc_pool(&in_place[1], 3, SIZE), 0);
	CHECK_EQ(mempool_init_kvmalloc_pool(&in_place[2], 3, 9000), 0);
	CHECK_EQ(mempool_init_page_pool(&in_place[3], 3, 0), 0);
	for (int i = 0; i < 4; i++) {
		CHECK(mempool_is_saturated(&in_place[i]));
		p = mempool_alloc(&in_place[i], GFP_KERNEL);
		CHECK(p);
		mempool_free(p, &in_place[i]);
		mempool_exit(&in_place[i]);
		CHECK(!mempool_initialized(&in_place[i]));
		/* checks mempool_exit: "all zeroes afterwards" */
		CHECK(all_bytes(&in_place[i], sizeof(in_place[i]), 0));
	}
	mempool_destroy(small);
	mempool_destroy(large);
	mempool_destroy(pages);
	mempool_destroy(slab);
	heap_verify();
	/* The one whose size was looked at is in use, and nothing else. */
	kmem_cache_destroy(s);
	/*
	 * checks mempool_exit: "those that are in use stay what the allocator
	 * made"
	 */
	CHECK_EQ(printed_times("Objects remaining on"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(it_is_full_or_it_is_not),
		child_test(no_memory_for_the_table),
		child_test(the_allocator_is_asked_first),
		child_test(the_second_try_may_ask_the_system),
		child_test(zero_has_no_effect_and_warns_once),
		child_test(the_reserve_needs_no_system_call),
		child_test(who_may_wait_waits_for_a_free),
		child_test(memory_that_comes_by_itself),
		child_test(the_reserve_can_be_resized),
		child_test(several_at_once),
		child_test(all_of_the_rest_or_none),
		child_test(two_that_want_more_than_half),
		child_test(the_ready_made_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
