/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/calls.h - what loops call: get and put of each enum kn_calls
 *
 * A loop is written once, over the two functions that it is given, and becomes
 * a function of its own for each kind of call.  malloc is called as in every
 * program, through the linkage table; the others through a pointer that dlsym
 * gave, which is the same indirect call without the jump to it.
 *
 * kn_keep() makes the compiler believe that somebody looks at the object, so no
 * pair of calls is optimised away.  It costs no instruction.
 */
#ifndef KN_BENCH_CALLS_H
#define KN_BENCH_CALLS_H

#include <knuma/gfp.h>
#include <stdlib.h>

#include "bench/workload.h"

#define kn_inline inline __attribute__((always_inline))

/* Kinds of call that have a get and a put. */
#define KN_EVERY_CALLS(x)                                                     \
	x(malloc) x(kmalloc) x(kmalloc_node) x(kfree_rcu) x(call_rcu) x(numa) \
		x(memkind) x(pages) x(vmalloc)

typedef void *(*kn_get_fn)(size_t size);
typedef void (*kn_put_fn)(void *p, size_t size);

struct page;
struct kmem_cache;

/* What dlsym gave. */
struct kn_api {
	void *(*kmalloc)(size_t size, gfp_t gfp);
	void *(*kmalloc_node)(size_t size, gfp_t gfp, int node);
	void *(*krealloc)(const void *p, size_t size, gfp_t gfp);
	void (*kfree)(const void *p);
	void (*kfree_rcu)(const void *flavor, void *head, void *p);
	void (*kfree_rcu_barrier)(void);
	const void *flavor;
	struct page *(*alloc_pages)(gfp_t gfp, unsigned int order);
	void (*free_pages)(struct page *page, unsigned int order);
	void *(*vmalloc)(unsigned long size);
	void (*vfree)(const void *p);
	struct kmem_cache *(*cache_create)(const char *name, unsigned int size,
					   unsigned int align,
					   unsigned int flags,
					   void (*ctor)(void *p));
	int (*alloc_bulk)(struct kmem_cache *s, gfp_t gfp, size_t n, void **p);
	void (*free_bulk)(struct kmem_cache *s, size_t n, void **p);
	void (*register_thread)(void);
	void (*unregister_thread)(void);
	void (*call_rcu)(void *head, void (*fn)(void *head));
	void (*rcu_barrier)(void);
	int (*numa_available)(void);
	void (*numa_set_bind_policy)(int strict);
	void *(*numa_alloc_onnode)(size_t size, int node);
	void (*numa_free)(void *p, size_t size);
	void *(*memkind_malloc)(void *kind, size_t size);
	void (*memkind_free)(void *kind, void *p);
	void *kind; /* MEMKIND_REGULAR */
	int (*numa_node_id)(void);
	int (*next_node)(int node);
	int node;
	const char *(*counts)(unsigned id, uint64_t *value);
};

extern struct kn_api kn_api;

/*
 * Opens @library and finds the functions of @calls.  Returns NULL, or what is
 * missing.
 */
const char *kn_calls_open(enum kn_calls calls, const char *library);

/* From here on kn_api.node is another node than the running CPU's. */
void kn_calls_other_node(void);

/* Fills @counts with what the library has counted so far. */
void kn_calls_counts(struct kn_counts *counts);

/* Tells the parent the reason, and ends the process. */
void kn_give_up(const char *what) __attribute__((cold, noreturn));

/* Zeroed memory of the system's own, which no allocator sees; or the end. */
void *kn_map(size_t bytes);

static kn_inline void kn_keep(void *p)
{
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

static kn_inline void *kn_checked(void *p)
{
	if (__builtin_expect(!p, 0))
		kn_give_up("no memory");
	kn_keep(p);
	return p;
}

/* xorshift64*; @state is not 0. */
static kn_inline uint64_t kn_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* Below @n. */
static kn_inline uint32_t kn_random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((kn_random(state) >> 32) * n >> 32);
}

static kn_inline void *malloc_get(size_t size)
{
	return malloc(size);
}

static kn_inline void malloc_put(void *p, size_t size)
{
	(void)size;
	free(p);
}

/* Pages as malloc gives them: @size is a power of two. */
static kn_inline void *malloc_get_aligned(size_t size)
{
	void *p;

	return posix_memalign(&p, size, size) ? NULL : p;
}

static kn_inline void *malloc_get_zeroed(size_t size)
{
	return calloc(1, size);
}

static kn_inline void *malloc_resize(void *p, size_t size)
{
	return realloc(p, size);
}

static kn_inline void *kmalloc_get(size_t size)
{
	return kn_api.kmalloc(size, GFP_KERNEL);
}

static kn_inline void kmalloc_put(void *p, size_t size)
{
	(void)size;
	kn_api.kfree(p);
}

static kn_inline void *kmalloc_get_zeroed(size_t size)
{
	return kn_api.kmalloc(size, GFP_KERNEL | __GFP_ZERO);
}

static kn_inline void *kmalloc_resize(void *p, size_t size)
{
	return kn_api.krealloc(p, size, GFP_KERNEL);
}

static kn_inline void *kmalloc_node_get(size_t size)
{
	return kn_api.kmalloc_node(size, GFP_KERNEL, kn_api.node);
}

static kn_inline void kmalloc_node_put(void *p, size_t size)
{
	(void)size;
	kn_api.kfree(p);
}

static kn_inline void *kfree_rcu_get(size_t size)
{
	return kn_api.kmalloc(size, GFP_KERNEL);
}

static kn_inline void kfree_rcu_put(void *p, size_t size)
{
	(void)size;
	kn_api.kfree_rcu(kn_api.flavor, p, p);
}

static kn_inline void *call_rcu_get(size_t size)
{
	return malloc(size);
}

static kn_inline void call_rcu_put(void *p, size_t size)
{
	(void)size;
	kn_api.call_rcu(p, free);
}

static kn_inline void *numa_get(size_t size)
{
	return kn_api.numa_alloc_onnode(size, kn_api.node);
}

static kn_inline void numa_put(void *p, size_t size)
{
	kn_api.numa_free(p, size);
}

static kn_inline void *memkind_get(size_t size)
{
	return kn_api.memkind_malloc(kn_api.kind, size);
}

static kn_inline void memkind_put(void *p, size_t size)
{
	(void)size;
	kn_api.memkind_free(kn_api.kind, p);
}

/* @size is a power of two of at least a page, of 4 KiB. */
static kn_inline unsigned kn_order(size_t size)
{
	return (unsigned)__builtin_ctzl(size) - 12;
}

static kn_inline void *pages_get(size_t size)
{
	return kn_api.alloc_pages(GFP_KERNEL, kn_order(size));
}

static kn_inline void pages_put(void *p, size_t size)
{
	kn_api.free_pages(p, kn_order(size));
}

static kn_inline void *vmalloc_get(size_t size)
{
	return kn_api.vmalloc(size);
}

static kn_inline void vmalloc_put(void *p, size_t size)
{
	(void)size;
	kn_api.vfree(p);
}

#endif
