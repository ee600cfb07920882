/* SPDX-License-Identifier: Apache-2.0 */
/* bench/singles.c - the loops of one thread */
#include <unistd.h>

#include "bench/calls.h"
#include "bench/loops.h"

static kn_inline void pair(const struct kn_workload *w, unsigned chunk,
			   kn_get_fn get, kn_put_fn put)
{
	const size_t size = w->size_bytes;

	for (unsigned i = 0; i < chunk; i++)
		put(kn_checked(get(size)), size);
}

/* The n objects of a loop.  The list is no allocation of the peer's. */
static void **objects(const struct kn_workload *w)
{
	static void **list;

	if (!list)
		list = kn_map(w->n * sizeof(void *));
	return list;
}

static kn_inline void batch(const struct kn_workload *w, unsigned chunk,
			    kn_get_fn get, kn_put_fn put)
{
	const size_t size = w->size_bytes;
	const unsigned n = w->n;
	void **p = objects(w);

	for (unsigned i = 0; i < chunk; i++) {
		for (unsigned k = 0; k < n; k++)
			p[k] = kn_checked(get(size));
		for (unsigned k = 0; k < n; k++)
			put(p[k], size);
	}
}

static kn_inline void lifo(const struct kn_workload *w, unsigned chunk,
			   kn_get_fn get, kn_put_fn put)
{
	const size_t size = w->size_bytes;
	const unsigned n = w->n;
	void **p = objects(w);

	for (unsigned i = 0; i < chunk; i++) {
		for (unsigned k = 0; k < n; k++)
			p[k] = kn_checked(get(size));
		for (unsigned k = n; k > 0; k--)
			put(p[k - 1], size);
	}
}

/* A permutation of n numbers, the same in each round. */
static const uint32_t *order(const struct kn_workload *w)
{
	static uint32_t *list;
	uint64_t state = 88172645463325252u;

	if (list)
		return list;
	list = kn_map(w->n * sizeof(*list));
	for (uint32_t i = 0; i < w->n; i++) {
		const uint32_t k = kn_random_below(&state, i + 1);

		list[i] = list[k];
		list[k] = i;
	}
	return list;
}

static kn_inline void shuffle(const struct kn_workload *w, unsigned chunk,
			      kn_get_fn get, kn_put_fn put)
{
	const uint32_t *at = order(w);
	const size_t size = w->size_bytes;
	const unsigned n = w->n;
	void **p = objects(w);

	for (unsigned i = 0; i < chunk; i++) {
		for (unsigned k = 0; k < n; k++)
			p[k] = kn_checked(get(size));
		for (unsigned k = 0; k < n; k++)
			put(p[at[k]], size);
	}
}

static kn_inline void replace(const struct kn_workload *w, unsigned chunk,
			      kn_get_fn get, kn_put_fn put)
{
	static uint64_t state;
	const size_t size = w->size_bytes;
	const unsigned n = w->n;
	void **p = objects(w);

	if (!state) {
		state = 1;
		for (unsigned k = 0; k < n; k++)
			p[k] = kn_checked(get(size));
	}
	for (unsigned i = 0; i < chunk * n; i++) {
		const uint32_t k = kn_random_below(&state, n);

		put(p[k], size);
		p[k] = kn_checked(get(size));
	}
}

static kn_inline void touch(const struct kn_workload *w, unsigned chunk,
			    kn_get_fn get, kn_put_fn put)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size = w->size_bytes;

	for (unsigned i = 0; i < chunk; i++) {
		char *p = kn_checked(get(size));

		for (size_t k = 0; k < size; k += page_bytes)
			*(volatile char *)(p + k) = 1;
		put(p, size);
	}
}

/* A vector that something is appended to, as a server reads a request. */
static kn_inline void grow(const struct kn_workload *w, unsigned chunk,
			   void *(*resize)(void *p, size_t size), kn_put_fn put)
{
	enum {
		FIRST = 64
	};

	for (unsigned i = 0; i < chunk; i++) {
		size_t used = 0, size = FIRST;
		char *p = kn_checked(resize(NULL, size));

		while (used < w->size_bytes) {
			__builtin_memset(p + used, 1, size - used);
			used = size;
			size += size / 2;
			if (size > w->size_bytes)
				size = w->size_bytes;
			if (used < size)
				p = kn_checked(resize(p, size));
		}
		put(p, used);
	}
}

/* Each loop for each kind of call. */
#define LOOP_OVER(calls, loop, body, get, put)                  \
	static void calls##_##loop(const struct kn_workload *w, \
				   unsigned chunk)              \
	{                                                       \
		body(w, chunk, get, put);                       \
	}
#define LOOP(calls, loop) LOOP_OVER(calls, loop, loop, calls##_get, calls##_put)
#define CALLS(calls)         \
	LOOP(calls, pair)    \
	LOOP(calls, batch)   \
	LOOP(calls, lifo)    \
	LOOP(calls, shuffle) \
	LOOP(calls, replace) \
	LOOP(calls, touch)

KN_EVERY_CALLS(CALLS)

LOOP_OVER(malloc, page_batch, batch, malloc_get_aligned, malloc_put)
LOOP_OVER(malloc, page_pair, pair, malloc_get_aligned, malloc_put)
LOOP_OVER(malloc, page_replace, replace, malloc_get_aligned, malloc_put)
LOOP_OVER(malloc, zeroed, touch, malloc_get_zeroed, malloc_put)
LOOP_OVER(kmalloc, zeroed, touch, kmalloc_get_zeroed, kmalloc_put)
LOOP_OVER(malloc, grow, grow, malloc_resize, malloc_put)
LOOP_OVER(kmalloc, grow, grow, kmalloc_resize, kmalloc_put)

static void kmalloc_node_other(const struct kn_workload *w, unsigned chunk)
{
	kn_calls_other_node();
	kmalloc_node_pair(w, chunk);
}

static void bulk_bulk(const struct kn_workload *w, unsigned chunk)
{
	static struct kmem_cache *cache;
	void **p = objects(w);

	if (!cache)
		cache = kn_checked(kn_api.cache_create(
			"bench", (unsigned)w->size_bytes, 0, 0, NULL));
	for (unsigned i = 0; i < chunk; i++) {
		if (!kn_api.alloc_bulk(cache, GFP_KERNEL, w->n, p))
			kn_give_up("no memory");
		kn_keep(p);
		kn_api.free_bulk(cache, w->n, p);
	}
}

/* clang-format off */
#define ROW(calls)                                   \
	[KN_CALLS_##calls] = {                       \
		[KN_LOOP_pair] = calls##_pair,       \
		[KN_LOOP_batch] = calls##_batch,     \
		[KN_LOOP_lifo] = calls##_lifo,       \
		[KN_LOOP_shuffle] = calls##_shuffle, \
		[KN_LOOP_replace] = calls##_replace, \
		[KN_LOOP_touch] = calls##_touch,     \
		MORE_##calls                         \
	},
#define MORE_malloc                                          \
	[KN_LOOP_page_batch] = malloc_page_batch,            \
	[KN_LOOP_page_pair] = malloc_page_pair,              \
	[KN_LOOP_page_replace] = malloc_page_replace,        \
	[KN_LOOP_zeroed] = malloc_zeroed,                    \
	[KN_LOOP_grow] = malloc_grow,                        \
	[KN_LOOP_bulk] = malloc_batch,
#define MORE_kmalloc                                         \
	[KN_LOOP_zeroed] = kmalloc_zeroed,                   \
	[KN_LOOP_grow] = kmalloc_grow,                       \
	[KN_LOOP_bulk] = kmalloc_batch,                      \
	[KN_LOOP_other] = kmalloc_pair,
#define MORE_kmalloc_node                                    \
	[KN_LOOP_other] = kmalloc_node_other,
#define MORE_kfree_rcu
#define MORE_call_rcu
#define MORE_numa
#define MORE_memkind
#define MORE_pages                                           \
	[KN_LOOP_page_batch] = pages_batch,                  \
	[KN_LOOP_page_pair] = pages_pair,                    \
	[KN_LOOP_page_replace] = pages_replace,
#define MORE_vmalloc

const kn_loop_fn kn_singles[KN_NR_CALLS][KN_NR_LOOPS] = {
	KN_EVERY_CALLS(ROW)
	[KN_CALLS_bulk] = {[KN_LOOP_bulk] = bulk_bulk},
};
/* clang-format on */
