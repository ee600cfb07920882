/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/calls.c - the loops, once for each allocator
 *
 * As in bench/loops.c: a loop is written once, over the calls it is given, and
 * becomes a function of its own for each of them.
 */
#include "bench/numa/calls.h"

#include <dlfcn.h>
#include <knuma/gfp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define always_inline inline __attribute__((always_inline))

enum {
	SMALL = 64,
	AREA = 65536,
	PAGE = 4096,
	KIND_SPARE = 256 << 20 /* address space of a kind beyond the buffer */
};

/* What dlsym gave. */
static struct {
	void *(*kmalloc_node)(size_t size, gfp_t gfp, int node);
	void (*kfree)(const void *p);
	void *(*vzalloc_node)(unsigned long size, int node);
	void *(*vmalloc_node)(unsigned long size, int node);
	void (*vfree)(const void *p);
	void *(*alloc_pages_node)(int node, gfp_t gfp, unsigned int order);
	void *(*page_address)(const void *page);
	void (*free_pages)(void *page, unsigned int order);

	int (*numa_available)(void);
	void (*numa_set_bind_policy)(int strict);
	void *(*numa_alloc_onnode)(size_t size, int node);
	void (*numa_free)(void *p, size_t size);
	void (*numa_tonode_memory)(void *p, size_t size, int node);

	int (*memkind_create_fixed)(void *p, size_t size, void **kind);
	void *(*memkind_malloc)(void *kind, size_t size);
	void *(*memkind_calloc)(void *kind, size_t n, size_t size);
	int (*memkind_posix_memalign)(void *kind, void **p, size_t align,
				      size_t size);
	void (*memkind_free)(void *kind, void *p);

	int node, home;
	void *kind, *home_kind;
} api;

struct symbol {
	void *at;
	const char *name;
};

/* NULL, or the first name that @library lacks. */
static const char *find(const char *library, const struct symbol *symbols)
{
	void *handle = dlopen(library, RTLD_NOW);

	if (!handle)
		return dlerror();
	for (; symbols->at; symbols++) {
		void *found = dlsym(handle, symbols->name);

		if (!found)
			return symbols->name;
		*(void **)symbols->at = found;
	}
	return NULL;
}

__attribute__((cold, noreturn)) static void no_memory(void)
{
	fprintf(stderr, "knuma bench: no memory on the node\n");
	_exit(1);
}

/* Makes the compiler believe that somebody looks at the object. */
static always_inline void *checked(void *p)
{
	if (__builtin_expect(!p, 0))
		no_memory();
	__asm__ __volatile__("" : : "r"(p) : "memory");
	return p;
}

static always_inline void touch(void *p, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		*((volatile char *)p + i) = 1;
}

/* knuma. */

static always_inline void kmalloc_node_small(void)
{
	char *p = checked(api.kmalloc_node(SMALL, GFP_KERNEL, api.node));

	touch(p, SMALL);
	api.kfree(p);
}

static always_inline void kmalloc_node_area(void)
{
	char *p = checked(api.vzalloc_node(AREA, api.node));

	touch(p, AREA);
	api.vfree(p);
}

static always_inline void kmalloc_node_page(void)
{
	void *page = checked(api.alloc_pages_node(api.node, GFP_KERNEL, 0));

	touch(api.page_address(page), PAGE);
	api.free_pages(page, 0);
}

static always_inline void *kmalloc_node_get(void)
{
	return api.kmalloc_node(SMALL, GFP_KERNEL, api.home);
}

static always_inline void kmalloc_node_put(void *p)
{
	api.kfree(p);
}

static void *kmalloc_node_buffer(size_t bytes)
{
	return api.vmalloc_node(bytes, api.node);
}

static const char *kmalloc_node_open(const char *library, int node, int home,
				     size_t bytes)
{
	const struct symbol symbols[] = {
		{&api.kmalloc_node, "knuma_kmalloc_node"},
		{&api.kfree, "knuma_kfree"},
		{&api.vzalloc_node, "knuma_vzalloc_node"},
		{&api.vmalloc_node, "knuma_vmalloc_node"},
		{&api.vfree, "knuma_vfree"},
		{&api.alloc_pages_node, "knuma_alloc_pages_node"},
		{&api.page_address, "knuma_page_address"},
		{&api.free_pages, "knuma___free_pages"},
		{NULL, NULL},
	};

	(void)bytes;
	api.node = node;
	api.home = home;
	return find(library, symbols);
}

/* libnuma. */

static always_inline void numa_pair(size_t size)
{
	void *p = checked(api.numa_alloc_onnode(size, api.node));

	touch(p, size);
	api.numa_free(p, size);
}

static always_inline void numa_small(void)
{
	numa_pair(SMALL);
}

static always_inline void numa_area(void)
{
	numa_pair(AREA);
}

static always_inline void numa_page(void)
{
	numa_pair(PAGE);
}

static always_inline void *numa_get(void)
{
	return api.numa_alloc_onnode(SMALL, api.home);
}

static always_inline void numa_put(void *p)
{
	api.numa_free(p, SMALL);
}

static void *numa_buffer(size_t bytes)
{
	return api.numa_alloc_onnode(bytes, api.node);
}

static const char *numa_open(const char *library, int node, int home,
			     size_t bytes)
{
	const struct symbol symbols[] = {
		{&api.numa_available, "numa_available"},
		{&api.numa_set_bind_policy, "numa_set_bind_policy"},
		{&api.numa_alloc_onnode, "numa_alloc_onnode"},
		{&api.numa_free, "numa_free"},
		{&api.numa_tonode_memory, "numa_tonode_memory"},
		{NULL, NULL},
	};
	const char *missing = find(library, symbols);

	(void)bytes;
	if (missing)
		return missing;
	if (api.numa_available() < 0)
		return "this system has no NUMA calls";
	api.numa_set_bind_policy(0);
	api.node = node;
	api.home = home;
	return NULL;
}

/* memkind. */

static always_inline void memkind_small(void)
{
	void *p = checked(api.memkind_malloc(api.kind, SMALL));

	touch(p, SMALL);
	api.memkind_free(api.kind, p);
}

static always_inline void memkind_area(void)
{
	void *p = checked(api.memkind_calloc(api.kind, 1, AREA));

	touch(p, AREA);
	api.memkind_free(api.kind, p);
}

static always_inline void memkind_page(void)
{
	void *p;

	if (api.memkind_posix_memalign(api.kind, &p, PAGE, PAGE))
		no_memory();
	touch(checked(p), PAGE);
	api.memkind_free(api.kind, p);
}

static always_inline void *memkind_get(void)
{
	return api.memkind_malloc(api.home_kind, SMALL);
}

static always_inline void memkind_put(void *p)
{
	api.memkind_free(api.home_kind, p);
}

static void *memkind_buffer(size_t bytes)
{
	return api.memkind_malloc(api.kind, bytes);
}

/* A kind whose memory is on @node; NULL without it. */
static void *make_kind(int node, size_t bytes)
{
	const size_t size = bytes + KIND_SPARE;
	void *kind, *range = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				  -1, 0);

	if (range == MAP_FAILED)
		return NULL;
	api.numa_tonode_memory(range, size, node);
	return api.memkind_create_fixed(range, size, &kind) ? NULL : kind;
}

static const char *memkind_open(const char *library, int node, int home,
				size_t bytes)
{
	const struct symbol symbols[] = {
		{&api.memkind_create_fixed, "memkind_create_fixed"},
		{&api.memkind_malloc, "memkind_malloc"},
		{&api.memkind_calloc, "memkind_calloc"},
		{&api.memkind_posix_memalign, "memkind_posix_memalign"},
		{&api.memkind_free, "memkind_free"},
		{NULL, NULL},
	};
	const char *missing = numa_open("libnuma.so.1", node, home, bytes);

	if (!missing)
		missing = find(library, symbols);
	if (missing)
		return missing;
	api.kind = make_kind(node, bytes);
	api.home_kind = home == node ? api.kind : make_kind(home, 0);
	return api.kind && api.home_kind ? NULL : "memkind makes no kind";
}

/* Each loop for each allocator. */
#define PAIRS(calls, what)                             \
	static void calls##_##what##_pairs(unsigned n) \
	{                                              \
		for (unsigned i = 0; i < n; i++)       \
			calls##_##what();              \
	}
#define REMOTE(calls)                                   \
	static void calls##_fill(void **p, unsigned n)  \
	{                                               \
		for (unsigned i = 0; i < n; i++) {      \
			p[i] = checked(calls##_get());  \
			touch(p[i], SMALL);             \
		}                                       \
	}                                               \
	static void calls##_drain(void **p, unsigned n) \
	{                                               \
		for (unsigned i = 0; i < n; i++)        \
			calls##_put(p[i]);              \
	}
#define CALLS(calls)        \
	PAIRS(calls, small) \
	PAIRS(calls, area)  \
	PAIRS(calls, page)  \
	REMOTE(calls)

CALLS(kmalloc_node)
CALLS(numa)
CALLS(memkind)

#define ROW(calls)                                                  \
	[KN_CALLS_##calls] = {                                      \
		.open = calls##_open,                               \
		.pairs = {[KN_MEASURE_small] = calls##_small_pairs, \
			  [KN_MEASURE_area] = calls##_area_pairs,   \
			  [KN_MEASURE_page] = calls##_page_pairs},  \
		.fill = calls##_fill,                               \
		.drain = calls##_drain,                             \
		.buffer = calls##_buffer,                           \
	}

const struct kn_node_calls kn_node_calls[KN_NR_CALLS] = {
	ROW(kmalloc_node),
	ROW(numa),
	ROW(memkind),
};
