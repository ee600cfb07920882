/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/mempool/mempool.c - a reserve of elements in front of an allocator
 *
 * The reserve is a table of slots, in parts that are added and never taken away
 * before the pool's end: so who is in a slot needs no lock, and a free in a
 * signal handler may have interrupted anything.
 *
 *   P1  An element is in a slot by one compare-and-swap and out of it by another:
 *       one owner at a time.
 *   P2  A put counts first, at most up to min_nr, then looks for an empty slot; a
 *       take empties a slot, then counts.  So the elements in slots and the puts
 *       under way are at most curr_nr, which is at most the number of slots: a
 *       put always finds one.
 *   P3  A take that finds nothing although something is counted has met a put
 *       under way, and does not wait for it: it may be the interrupted thread's.
 *   P4  returned moves after each put; who waits has read it before looking.
 *
 * Design: docs/design/mempool.md.
 */
#include <knuma/mempool.h>

#include <errno.h>
#include <knuma/page.h>
#include <limits.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/lock.h"

/* Memory may come by itself while nobody frees an element. */
#define WAIT_MS 100

/* A part of the table. */
struct kn_mempool_reserve {
	struct kn_mempool_reserve *next; /* atomic: set once */
	uint32_t nr;
	void *slot[];
};

static struct kn_mempool_reserve *make_part(uint32_t nr, gfp_t gfp, int node)
{
	struct kn_mempool_reserve *part;

	part = kvzalloc_node(sizeof(*part) + nr * sizeof(part->slot[0]), gfp,
			     node);
	if (part)
		part->nr = nr;
	return part;
}

/* Replaces what a slot holds: NULL by @element, or an element by NULL. */
static bool swap_slot(struct kn_mempool_reserve *first, void **element)
{
	struct kn_mempool_reserve *part;

	for (part = first; part; part = kn_load_acquire(&part->next))
		for (uint32_t i = 0; i < part->nr; i++) {
			void *const held = kn_load(&part->slot[i]);

			if (!held != !*element &&
			    ck_pr_cas_ptr(&part->slot[i], held, *element)) {
				*element = held;
				return true;
			}
		}
	return false;
}

static void *take(mempool_t *pool)
{
	void *element = NULL;
	uint32_t seen;

	do {
		seen = kn_load_acquire(&pool->returned);
		if (!kn_load(&pool->curr_nr))
			return NULL;
		if (swap_slot(pool->reserve, &element)) {
			ck_pr_dec_32(&pool->curr_nr);
			return element;
		}
		/* One that was put behind the search is looked for again. */
	} while (seen != kn_load_acquire(&pool->returned));
	return NULL;
}

/* Into the reserve, if that is not full. */
static bool put(mempool_t *pool, void *element)
{
	uint32_t nr;

	do {
		nr = kn_load(&pool->curr_nr);
		if (nr >= kn_load(&pool->min_nr))
			return false;
	} while (!ck_pr_cas_32(&pool->curr_nr, nr, nr + 1));
	while (!swap_slot(pool->reserve, &element))
		ck_pr_stall();
	ck_pr_inc_32(&pool->returned);
	return true;
}

/* Fills the reserve as far as there is memory. */
static bool fill(mempool_t *pool, gfp_t gfp)
{
	while (!mempool_is_saturated(pool)) {
		void *element = pool->alloc(gfp, pool->pool_data);

		if (!element)
			return false;
		mempool_free(element, pool);
	}
	return true;
}

static bool may_be(int min_nr)
{
	return min_nr >= 1 && min_nr <= INT_MAX / 2;
}

/* Documented in <knuma/mempool.h>. */
int mempool_init_node(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		      mempool_free_t *free_fn, void *pool_data, gfp_t gfp,
		      int node)
{
	memset(pool, 0, sizeof(*pool));
	if (!may_be(min_nr))
		return -EINVAL;
	pool->reserve = make_part((uint32_t)min_nr, gfp, node);
	if (!pool->reserve)
		return -errno;
	pool->min_nr = (uint32_t)min_nr;
	pool->pool_data = pool_data;
	pool->alloc = alloc_fn;
	pool->free = free_fn;
	if (!fill(pool, gfp)) {
		mempool_exit(pool);
		return -ENOMEM;
	}
	return 0;
}

/* Documented in <knuma/mempool.h>. */
int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		 mempool_free_t *free_fn, void *pool_data)
{
	return mempool_init_node(pool, min_nr, alloc_fn, free_fn, pool_data,
				 GFP_KERNEL, NUMA_NO_NODE);
}

/* Documented in <knuma/mempool.h>. */
mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn,
			       mempool_free_t *free_fn, void *pool_data,
			       gfp_t gfp, int nid)
{
	mempool_t *pool = kmalloc_node(sizeof(*pool), gfp, nid);
	int err;

	if (!pool)
		return NULL;
	err = mempool_init_node(pool, min_nr, alloc_fn, free_fn, pool_data, gfp,
				nid);
	if (!err)
		return pool;
	kfree(pool);
	errno = -err;
	return NULL;
}

/* Documented in <knuma/mempool.h>. */
mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn,
			  mempool_free_t *free_fn, void *pool_data)
{
	return mempool_create_node(min_nr, alloc_fn, free_fn, pool_data,
				   GFP_KERNEL, NUMA_NO_NODE);
}

/* Gives back what the reserve has above @keep elements. */
static void drain(mempool_t *pool, uint32_t keep)
{
	while (kn_load(&pool->curr_nr) > keep) {
		void *element = take(pool);

		if (!element)
			break;
		pool->free(element, pool->pool_data);
	}
}

/* Documented in <knuma/mempool.h>. */
void mempool_exit(mempool_t *pool)
{
	struct kn_mempool_reserve *part = pool->reserve, *next;

	if (!part)
		return;
	drain(pool, 0);
	for (; part; part = next) {
		next = part->next;
		kvfree(part);
	}
	memset(pool, 0, sizeof(*pool));
}

/* Documented in <knuma/mempool.h>. */
void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	mempool_exit(pool);
	kfree(pool);
}

/* Adds slots until there are @nr. */
static bool add_slots(mempool_t *pool, uint32_t nr)
{
	struct kn_mempool_reserve *part = pool->reserve, *added;
	uint32_t have = part->nr;

	for (; kn_load_acquire(&part->next); have += part->nr)
		part = kn_load_acquire(&part->next);
	if (have >= nr)
		return true;
	added = make_part(nr - have, GFP_KERNEL, NUMA_NO_NODE);
	if (!added)
		return false;
	/* Of two that grow at a time both may add: more slots than needed. */
	while (!ck_pr_cas_ptr(&part->next, NULL, added))
		part = kn_load_acquire(&part->next);
	return true;
}

/* Documented in <knuma/mempool.h>. */
int mempool_resize(mempool_t *pool, int new_min_nr)
{
	if (!may_be(new_min_nr))
		return -EINVAL;
	if (!add_slots(pool, (uint32_t)new_min_nr))
		return -ENOMEM;
	/* Release; pairs with put(), which then sees the slots. */
	kn_store_release(&pool->min_nr, (uint32_t)new_min_nr);
	drain(pool, (uint32_t)new_min_nr);
	fill(pool, GFP_KERNEL | __GFP_NOWARN);
	return 0;
}

/* Sleeps until an element was put; one that came meanwhile is the result. */
static void *wait_for_one(mempool_t *pool)
{
	void *element;
	uint32_t seen;

	ck_pr_inc_32(&pool->waiters);
	seen = kn_load_acquire(&pool->returned);
	element = take(pool);
	if (!element) {
		kn_sleep_while(&pool->returned, seen, WAIT_MS);
		element = take(pool);
	}
	ck_pr_dec_32(&pool->waiters);
	return element;
}

/* One light try, and before it one that costs nothing. */
static void *ask_allocator(mempool_t *pool, gfp_t gfp)
{
	const gfp_t light = (gfp & ~(gfp_t)(__GFP_NOFAIL | __GFP_RETRY_MAYFAIL |
					    __GFP_ZERO)) |
			    __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN;
	const gfp_t still = light & ~(gfp_t)(__GFP_DIRECT_RECLAIM | __GFP_IO);
	void *element = pool->alloc(still, pool->pool_data);

	if (!element && gfpflags_allow_blocking(gfp))
		element = pool->alloc(light, pool->pool_data);
	return element;
}

/* Documented in <knuma/mempool.h>. */
void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	const int saved_errno = errno;
	void *element;

	if (unlikely(gfp & __GFP_ZERO))
		kn_warn_once(
			"mempool_alloc: __GFP_ZERO has no effect: elements "
			"of a reserve were in use");
	do {
		/* 1. and 2. The allocator. */
		element = ask_allocator(pool, gfp);
		/* 3. The reserve. */
		if (!element)
			element = take(pool);
		/* 4. What comes back to it. */
		if (!element && may_block)
			element = wait_for_one(pool);
	} while (!element && may_block);
	errno = element ? saved_errno : ENOMEM;
	return element;
}

/* Documented in <knuma/mempool.h>. */
void *mempool_alloc_preallocated(mempool_t *pool)
{
	void *element = take(pool);

	if (!element)
		errno = ENOMEM;
	return element;
}

/* Documented in <knuma/mempool.h>. */
void mempool_free(void *element, mempool_t *pool)
{
	if (!element)
		return;
	if (likely(kn_load(&pool->curr_nr) >= kn_load_acquire(&pool->min_nr)) ||
	    !put(pool, element)) {
		pool->free(element, pool->pool_data);
		return;
	}
	/* The addition of put() is a full fence: who waits now has seen it. */
	if (kn_load(&pool->waiters))
		kn_wake_one(&pool->returned);
}

/* @n elements out of the reserve, or none. */
static bool take_all(mempool_t *pool, void **elem, uint32_t n)
{
	uint32_t got = 0;

	if (kn_load(&pool->curr_nr) < n)
		return false;
	while (got < n && (elem[got] = take(pool)))
		got++;
	/* Who kept some and waited for the rest would wait for others like it. */
	for (uint32_t i = 0; got < n && i < got; i++)
		mempool_free(elem[i], pool);
	return got == n;
}

/* Waits until there may be @n; true when they came meanwhile. */
static bool wait_for_all(mempool_t *pool, void **elem, uint32_t n)
{
	bool all;
	uint32_t seen;

	ck_pr_inc_32(&pool->waiters);
	seen = kn_load_acquire(&pool->returned);
	all = take_all(pool, elem, n);
	if (!all && kn_load(&pool->curr_nr) < n)
		kn_sleep_while(&pool->returned, seen, WAIT_MS);
	ck_pr_dec_32(&pool->waiters);
	return all;
}

/* Documented in <knuma/mempool.h>. */
int mempool_alloc_bulk(mempool_t *pool, void **elem, unsigned int count)
{
	const int saved_errno = errno;
	unsigned int n = 0;

	if (count > kn_load(&pool->min_nr)) {
		kn_warn_once("mempool_alloc_bulk: %u elements at once, and the "
			     "reserve has %u", count, kn_load(&pool->min_nr));
		return -EINVAL;
	}
	do {
		while (n < count && (elem[n] = ask_allocator(pool, GFP_KERNEL)))
			n++;
	} while (n < count && !wait_for_all(pool, elem + n, count - n));
	errno = saved_errno;
	return 0;
}

/* Documented in <knuma/mempool.h>. */
unsigned int mempool_free_bulk(mempool_t *pool, void **elem, unsigned int count)
{
	unsigned int n = 0;

	for (; n < count && put(pool, elem[n]); n++) {
		elem[n] = NULL;
		if (kn_load(&pool->waiters))
			kn_wake_one(&pool->returned);
	}
	return n;
}

/* Ready-made pairs. */

void *mempool_alloc_slab(gfp_t gfp, void *pool_data)
{
	return kmem_cache_alloc(pool_data, gfp);
}

void mempool_free_slab(void *element, void *pool_data)
{
	kmem_cache_free(pool_data, element);
}

void *mempool_kmalloc(gfp_t gfp, void *pool_data)
{
	return kmalloc((size_t)(uintptr_t)pool_data, gfp);
}

void mempool_kfree(void *element, void *pool_data)
{
	(void)pool_data;
	kfree(element);
}

void *mempool_kvmalloc(gfp_t gfp, void *pool_data)
{
	return kvmalloc((size_t)(uintptr_t)pool_data, gfp);
}

void mempool_kvfree(void *element, void *pool_data)
{
	(void)pool_data;
	kvfree(element);
}

void *mempool_alloc_pages(gfp_t gfp, void *pool_data)
{
	return alloc_pages(gfp, (unsigned int)(uintptr_t)pool_data);
}

void mempool_free_pages(void *element, void *pool_data)
{
	__free_pages(element, (unsigned int)(uintptr_t)pool_data);
}
