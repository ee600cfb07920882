/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/loops.c - the loops that are measured, once for each kind of call
 *
 * A loop is written once, over the two functions that it is given, and becomes
 * a function of its own for each kind of call.  malloc is called as in every
 * program, through the linkage table; the others through a pointer that dlsym
 * gave, which is the same indirect call without the jump to it.
 *
 * keep() makes the compiler believe that somebody looks at the object, so no
 * pair of calls is optimised away.  It costs no instruction.
 */
#include "bench/loops.h"

#include <dlfcn.h>
#include <knuma/gfp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define always_inline inline __attribute__((always_inline))

typedef void *(*alloc_fn)(size_t size);
typedef void (*free_fn)(void *p, size_t size);

/* What dlsym gave. */
static struct {
	void *(*kmalloc)(size_t size, gfp_t gfp);
	void *(*kmalloc_node)(size_t size, gfp_t gfp, int node);
	void (*kfree)(const void *p);
	void (*kfree_rcu)(const void *flavor, void *head, void *p);
	void (*kfree_rcu_barrier)(void);
	const void *flavor;
	void (*register_thread)(void);
	void (*unregister_thread)(void);
	void (*call_rcu)(void *head, void (*fn)(void *head));
	void (*rcu_barrier)(void);
	int (*numa_available)(void);
	void (*numa_set_bind_policy)(int strict);
	void *(*numa_alloc_onnode)(size_t size, int node);
	void (*numa_free)(void *p, size_t size);
	int node;
} api;

static always_inline void keep(void *p)
{
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

__attribute__((cold, noreturn)) static void give_up(const char *what)
{
	fprintf(stderr, "knuma bench: %s\n", what);
	_exit(1);
}

static always_inline void *checked(void *p)
{
	if (__builtin_expect(!p, 0))
		give_up("no memory");
	keep(p);
	return p;
}

/* The calls. */

static always_inline void *malloc_alloc(size_t size)
{
	return malloc(size);
}

static always_inline void malloc_free(void *p, size_t size)
{
	(void)size;
	free(p);
}

static always_inline void *kmalloc_alloc(size_t size)
{
	return api.kmalloc(size, GFP_KERNEL);
}

static always_inline void kmalloc_free(void *p, size_t size)
{
	(void)size;
	api.kfree(p);
}

static always_inline void *kmalloc_node_alloc(size_t size)
{
	return api.kmalloc_node(size, GFP_KERNEL, api.node);
}

static always_inline void kmalloc_node_free(void *p, size_t size)
{
	(void)size;
	api.kfree(p);
}

static always_inline void *kfree_rcu_alloc(size_t size)
{
	return api.kmalloc(size, GFP_KERNEL);
}

static always_inline void kfree_rcu_free(void *p, size_t size)
{
	(void)size;
	api.kfree_rcu(api.flavor, p, p);
}

static always_inline void *call_rcu_alloc(size_t size)
{
	return malloc(size);
}

static always_inline void call_rcu_free(void *p, size_t size)
{
	(void)size;
	api.call_rcu(p, free);
}

static always_inline void *numa_alloc(size_t size)
{
	return api.numa_alloc_onnode(size, api.node);
}

static always_inline void numa_free(void *p, size_t size)
{
	api.numa_free(p, size);
}

/* The loops. */

static always_inline void pair(const struct kn_workload *w, unsigned chunk,
			       alloc_fn get, free_fn put)
{
	const size_t size = w->size_bytes;

	for (unsigned i = 0; i < chunk; i++)
		put(checked(get(size)), size);
}

static always_inline void batch(const struct kn_workload *w, unsigned chunk,
				alloc_fn get, free_fn put)
{
	const size_t size = w->size_bytes;
	const unsigned n = w->n;
	void *p[KN_BATCH_MAX];

	for (unsigned i = 0; i < chunk; i++) {
		for (unsigned k = 0; k < n; k++)
			p[k] = checked(get(size));
		for (unsigned k = 0; k < n; k++)
			put(p[k], size);
	}
}

static always_inline void touch(const struct kn_workload *w, unsigned chunk,
				alloc_fn get, free_fn put)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size = w->size_bytes;

	for (unsigned i = 0; i < chunk; i++) {
		char *p = checked(get(size));

		for (size_t k = 0; k < size; k += page_bytes)
			*(volatile char *)(p + k) = 1;
		put(p, size);
	}
}

/*
 * Waves of n threads, all alive at a time.  Each allocates once; the object is
 * freed here after the thread has ended.
 */
static pthread_barrier_t wave;

static always_inline void *one_thread(const struct kn_workload *w, alloc_fn get)
{
	char *p = checked(get(w->size_bytes));

	*(volatile char *)p = 1;
	pthread_barrier_wait(&wave);
	return p;
}

static always_inline void threads(const struct kn_workload *w, unsigned chunk,
				  void *(*run)(void *w), free_fn put)
{
	pthread_t thread[KN_WAVE_MAX];
	pthread_attr_t attr;
	void *p;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	pthread_barrier_init(&wave, NULL, w->n);
	for (unsigned i = 0; i < chunk; i++) {
		for (unsigned k = 0; k < w->n; k++)
			if (pthread_create(&thread[k], &attr, run, (void *)w))
				give_up("no more threads");
		for (unsigned k = 0; k < w->n; k++) {
			pthread_join(thread[k], &p);
			put(p, w->size_bytes);
		}
	}
	pthread_barrier_destroy(&wave);
	pthread_attr_destroy(&attr);
}

/* n threads do pairs, and what was deferred is waited for. */
static always_inline void *one_of_crowd(const struct kn_workload *w,
					unsigned chunk, alloc_fn get,
					free_fn put)
{
	if (api.register_thread)
		api.register_thread();
	pair(w, chunk, get, put);
	if (api.unregister_thread)
		api.unregister_thread();
	return NULL;
}

static unsigned crowd_chunk;

static void crowd(const struct kn_workload *w, unsigned chunk,
		  void *(*run)(void *w))
{
	pthread_t thread[KN_WAVE_MAX];

	crowd_chunk = chunk;
	for (unsigned k = 0; k < w->n; k++)
		if (pthread_create(&thread[k], NULL, run, (void *)w))
			give_up("no more threads");
	for (unsigned k = 0; k < w->n; k++)
		pthread_join(thread[k], NULL);
	if (api.kfree_rcu_barrier)
		api.kfree_rcu_barrier();
	if (api.rcu_barrier)
		api.rcu_barrier();
}

/* Each loop for each kind of call. */
#define LOOP(calls, loop)                                       \
	static void calls##_##loop(const struct kn_workload *w, \
				   unsigned chunk)              \
	{                                                       \
		loop(w, chunk, calls##_alloc, calls##_free);    \
	}
#define THREADS(calls)                                           \
	static void *calls##_thread(void *w)                     \
	{                                                        \
		return one_thread(w, calls##_alloc);             \
	}                                                        \
	static void calls##_threads(const struct kn_workload *w, \
				    unsigned chunk)              \
	{                                                        \
		threads(w, chunk, calls##_thread, calls##_free); \
	}
#define CROWD(calls)                                                           \
	static void *calls##_one(void *w)                                      \
	{                                                                      \
		return one_of_crowd(w, crowd_chunk, calls##_alloc,             \
				    calls##_free);                             \
	}                                                                      \
	static void calls##_crowd(const struct kn_workload *w, unsigned chunk) \
	{                                                                      \
		crowd(w, chunk, calls##_one);                                  \
	}
#define CALLS(calls)       \
	LOOP(calls, pair)  \
	LOOP(calls, batch) \
	LOOP(calls, touch) \
	THREADS(calls)     \
	CROWD(calls)

CALLS(malloc)
CALLS(kmalloc)
CALLS(kmalloc_node)
CALLS(kfree_rcu)
CALLS(call_rcu)
CALLS(numa)

#define ROW(calls)                                   \
	[KN_CALLS_##calls] = {                       \
		[KN_LOOP_pair] = calls##_pair,       \
		[KN_LOOP_batch] = calls##_batch,     \
		[KN_LOOP_touch] = calls##_touch,     \
		[KN_LOOP_threads] = calls##_threads, \
		[KN_LOOP_crowd] = calls##_crowd,     \
	}

static void (*const loops[KN_NR_CALLS][KN_NR_LOOPS])(
	const struct kn_workload *w, unsigned chunk) = {
	ROW(malloc),	ROW(kmalloc),  ROW(kmalloc_node),
	ROW(kfree_rcu), ROW(call_rcu), ROW(numa),
};

void kn_loops_run(enum kn_calls calls, const struct kn_workload *w,
		  unsigned chunk)
{
	loops[calls][w->loop](w, chunk);
}

static const char *find_knuma(void *library)
{
	*(void **)&api.kmalloc = dlsym(library, "knuma_kmalloc");
	*(void **)&api.kmalloc_node = dlsym(library, "knuma_kmalloc_node");
	*(void **)&api.kfree = dlsym(library, "knuma_kfree");
	return api.kmalloc && api.kmalloc_node && api.kfree ?
		       NULL :
		       "the library lacks kmalloc";
}

/* liburcu's flavour memb, which is opened, never linked. */
static void *open_urcu(void)
{
	return dlopen("liburcu-memb.so.8", RTLD_NOW);
}

static const char *find_kfree_rcu(void *library)
{
	void *urcu = open_urcu();

	if (!urcu)
		return dlerror();
	api.flavor = dlsym(urcu, "urcu_memb_flavor");
	*(void **)&api.kfree_rcu =
		dlsym(library, "knuma_kvfree_call_rcu_flavor");
	*(void **)&api.kfree_rcu_barrier =
		dlsym(library, "knuma_kvfree_rcu_barrier");
	if (!api.flavor || !api.kfree_rcu || !api.kfree_rcu_barrier)
		return "the libraries lack kfree_rcu or a flavour";
	return find_knuma(library);
}

static const char *find_call_rcu(void)
{
	void *urcu = open_urcu();

	if (!urcu)
		return dlerror();
	*(void **)&api.call_rcu = dlsym(urcu, "urcu_memb_call_rcu");
	*(void **)&api.rcu_barrier = dlsym(urcu, "urcu_memb_barrier");
	*(void **)&api.register_thread =
		dlsym(urcu, "urcu_memb_register_thread");
	*(void **)&api.unregister_thread =
		dlsym(urcu, "urcu_memb_unregister_thread");
	if (!api.call_rcu || !api.rcu_barrier || !api.register_thread ||
	    !api.unregister_thread)
		return "liburcu lacks call_rcu";
	/* The caller of rcu_barrier() is registered, too. */
	api.register_thread();
	return NULL;
}

static const char *find_numa(void *library)
{
	*(void **)&api.numa_available = dlsym(library, "numa_available");
	*(void **)&api.numa_alloc_onnode = dlsym(library, "numa_alloc_onnode");
	*(void **)&api.numa_free = dlsym(library, "numa_free");
	*(void **)&api.numa_set_bind_policy =
		dlsym(library, "numa_set_bind_policy");
	if (!api.numa_available || !api.numa_set_bind_policy ||
	    !api.numa_alloc_onnode || !api.numa_free)
		return "the library lacks numa_alloc_onnode";
	if (api.numa_available() < 0)
		return "this system has no NUMA calls";
	/* Prefer the node: bound memory of a full node ends the process. */
	api.numa_set_bind_policy(0);
	return NULL;
}

const char *kn_loops_open(enum kn_calls calls, const char *library)
{
	unsigned cpu, node = 0;
	void *handle;

	if (calls == KN_CALLS_malloc)
		return NULL;
	if (calls == KN_CALLS_call_rcu)
		return find_call_rcu();
	getcpu(&cpu, &node);
	api.node = (int)node;
	handle = dlopen(library, RTLD_NOW);
	if (!handle)
		return dlerror();
	if (calls == KN_CALLS_kfree_rcu)
		return find_kfree_rcu(handle);
	return calls == KN_CALLS_numa ? find_numa(handle) : find_knuma(handle);
}
