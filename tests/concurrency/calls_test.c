/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each function in each context that its comment allows: calls.def has a call
 * of it.  They run in several threads at once, in handlers that interrupt the
 * library, and where the first system call ends the process.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

#include <knuma/alloc_tag.h>
#include <knuma/group.h>
#include <knuma/knuma.h>
#include <knuma/linux/string.h>
#include <knuma/malloc.h>
#include <knuma/mempool.h>
#include <knuma/rcu.h>

#include "alloc/base/compiler.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define TEXT "text"

enum {
	SIZE = 96,
	EXACT_SIZE = 10000,
	IN_RESERVE = 64,
	DEPTH = 64, /* things of a kind at hand */
	THREADS = 3,
	TIMES = 10,	   /* a handler makes each call */
	AT_A_TIME = 8,	   /* handlers, until the things are there again */
	PERIOD_NS = 50000, /* until the next signal */
};

/* What frees take: made outside of handlers, for each thread. */
enum thing {
	OBJECT,
	CACHED,
	AREA,
	BLOCK,
	EXACT,
	COPIES,
	SHEAF,
	ELEMENT,
	NR_THINGS,
};

struct object {
	struct rcu_head rcu;
	char rest[SIZE - sizeof(struct rcu_head)];
};

static kn_tls void *things[NR_THINGS][DEPTH];
static kn_tls struct slab_sheaf *own_sheaf;
static int missing;

static struct kmem_cache *cache;
static struct slab_sheaf *sheaf_of_all;
static struct knuma_group *group;
static struct knuma_alloc_tag tag = {.file = "calls", .func = "calls"};
static mempool_t *pool;
static uint64_t *copies;
static void *kept;
static int null_file;
static char folder[200];

static void nothing(void)
{
}

static int never(void)
{
	return 0;
}

/* A flavour without readers: its grace periods end at once. */
const struct rcu_flavor_struct rcu_flavor = {
	.read_ongoing = never,
	.update_synchronize_rcu = nothing,
	.thread_offline = nothing,
	.thread_online = nothing,
};

static void *take(enum thing kind)
{
	for (int i = 0; i < DEPTH; i++) {
		void *p = __atomic_exchange_n(&things[kind][i], NULL,
					      __ATOMIC_RELAXED);

		if (p)
			return p;
	}
	__atomic_store_n(&missing, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *make(enum thing kind)
{
	switch (kind) {
	case CACHED:
		return kmem_cache_alloc(cache, GFP_KERNEL);
	case AREA:
		return vmalloc(EXACT_SIZE);
	case BLOCK:
		return alloc_pages(GFP_KERNEL, 1);
	case EXACT:
		return alloc_pages_exact(EXACT_SIZE, GFP_KERNEL);
	case COPIES:
		return alloc_percpu(uint64_t);
	case SHEAF:
		return kmem_cache_prefill_sheaf(cache, GFP_KERNEL, 2);
	case ELEMENT:
		return mempool_alloc(pool, GFP_KERNEL);
	default:
		return kmalloc(SIZE, GFP_KERNEL);
	}
}

static void make_things(void)
{
	for (int kind = 0; kind < NR_THINGS; kind++)
		for (int i = 0; i < DEPTH; i++)
			if (!things[kind][i]) {
				things[kind][i] = make((enum thing)kind);
				CHECK(things[kind][i]);
			}
	if (!own_sheaf)
		own_sheaf = kmem_cache_prefill_sheaf(cache, GFP_KERNEL, DEPTH);
	CHECK(own_sheaf);
	CHECK_EQ(kmem_cache_refill_sheaf(cache, GFP_KERNEL, &own_sheaf, DEPTH),
		 0);
}

/* A question whose answer the compiler must ask for. */
#define ASK(call) ((void)launder((void *)(uintptr_t)(call)))

/* Calls of more than a line. */

static void free_bulk(void)
{
	void *p[2] = {take(OBJECT), take(OBJECT)};

	kfree_bulk(2, p);
}

static void cache_free_bulk(void)
{
	void *p[2] = {take(CACHED), take(CACHED)};

	kmem_cache_free_bulk(cache, 2, p);
}

static void pool_free_bulk(void)
{
	void *p[2] = {take(ELEMENT), take(ELEMENT)};

	for (unsigned int n = mempool_free_bulk(pool, p, 2); n < 2; n++)
		mempool_free(p[n], pool);
}

static void pool_alloc_bulk(void)
{
	void *p[2];

	CHECK_EQ(mempool_alloc_bulk(pool, p, 2), 0);
	for (int i = 0; i < 2; i++)
		mempool_free(p[i], pool);
}

static void defer(struct object *p)
{
	kfree_rcu(p, rcu);
}

static void defer_by_flavor(struct object *p)
{
	kvfree_call_rcu_flavor(&rcu_flavor, &p->rcu, p);
}

static void *realloc_to_64(const void *p, size_t size, gfp_t gfp)
{
	return krealloc_node_align(p, size, 64, gfp, NUMA_NO_NODE);
}

static void *kvrealloc_to_64(const void *p, size_t size, gfp_t gfp)
{
	return kvrealloc_node_align(p, size, 64, gfp, NUMA_NO_NODE);
}

static void resize(void *(*to)(const void *p, size_t size, gfp_t gfp))
{
	void *p = take(OBJECT), *q = to(p, (size_t)2 * SIZE, GFP_NOWAIT);

	kfree(q ? q : launder(p));
}

static void grow_area(void)
{
	void *p = take(AREA), *was = launder(p);

	p = vrealloc_node_align(p, (size_t)2 * EXACT_SIZE, 1, GFP_NOWAIT,
				NUMA_NO_NODE);
	vfree(p ? p : was);
}

static void put(struct page *page)
{
	__free_pages(page, 1);
}

static void pages_bulk(void)
{
	struct page *page[2] = {NULL};

	(void)!alloc_pages_bulk_node(GFP_NOWAIT, NUMA_NO_NODE, 2, page);
	for (int i = 0; i < 2; i++)
		__free_pages(page[i], 0);
}

static void cache_alloc_bulk(void)
{
	void *p[2];
	const int n = kmem_cache_alloc_bulk(cache, GFP_NOWAIT, 2, p);

	kmem_cache_free_bulk(cache, (size_t)n, p);
}

static void refill_sheaf(void)
{
	struct slab_sheaf *sheaf = take(SHEAF);

	(void)!kmem_cache_refill_sheaf(cache, GFP_NOWAIT, &sheaf, 4);
	kmem_cache_return_sheaf(cache, 0, sheaf);
}

static void use_sheaf(void)
{
	kmem_cache_free(cache,
			kmem_cache_alloc_from_sheaf(cache, 0, own_sheaf));
}

/* A name that no other thread uses. */
static const char *own_name(void)
{
	static kn_tls char name[32];

	snprintf(name, sizeof(name), "calls-%p", (void *)name);
	return name;
}

static void a_group(void)
{
	knuma_group_destroy(knuma_group_create(own_name(), 1 << 20));
}

static void a_pool(void)
{
	mempool_destroy(mempool_create_node(2, mempool_kmalloc, mempool_kfree,
					    (void *)SIZE, GFP_KERNEL,
					    NUMA_NO_NODE));
}

static void a_pool_in_place(void)
{
	mempool_t in_place;

	(void)!mempool_init_node(&in_place, 2, mempool_kmalloc, mempool_kfree,
				 (void *)SIZE, GFP_KERNEL, NUMA_NO_NODE);
	mempool_exit(&in_place);
}

static unsigned long no_objects(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return 0;
}

static void a_shrinker(void)
{
	struct shrinker *s = shrinker_alloc(0, "%s", own_name());

	CHECK(s);
	s->count_objects = s->scan_objects = no_objects;
	shrinker_register(s);
	shrinker_free(s);
}

static void a_cache(void)
{
	kmem_cache_destroy(kmem_cache_create(own_name(), SIZE, NULL, 0));
}

static void an_area_to_execute(void)
{
	void *p = vmalloc_exec(SIZE);

	(void)!set_memory_rox((unsigned long)p, 1);
	vfree(p);
}

/* The table. */

enum kind {
	IS_FREE,
	IS_NOWAIT,
	IS_SIGNAL,
	IS_THREAD,
};

#define CALL(name, statement)         \
	static void call_##name(void) \
	{                             \
		statement;            \
	}
#define FREE   CALL
#define NOWAIT CALL
#define SIGNAL CALL
#define THREAD CALL
#include "tests/concurrency/calls.def"
#undef FREE
#undef NOWAIT
#undef SIGNAL
#undef THREAD

#define FREE(name, statement)	{#name, call_##name, IS_FREE},
#define NOWAIT(name, statement) {#name, call_##name, IS_NOWAIT},
#define SIGNAL(name, statement) {#name, call_##name, IS_SIGNAL},
#define THREAD(name, statement) {#name, call_##name, IS_THREAD},

static const struct {
	const char *name;
	void (*make)(void);
	enum kind kind;
} calls[] = {
#include "tests/concurrency/calls.def"
};
static const int nr_calls = sizeof(calls) / sizeof(calls[0]);

static void prepare(void)
{
	const char *tmp = getenv("TEST_TMPDIR");

	alarm(200);
	conf("trim_delay_ms", "0");
	cache = kmem_cache_create("calls", SIZE, NULL, 0);
	pool = mempool_create_kmalloc_pool(IN_RESERVE, SIZE);
	group = knuma_group_create("calls", 1 << 20);
	copies = alloc_percpu(uint64_t);
	kept = kmalloc(SIZE, GFP_KERNEL);
	CHECK(cache && pool && group && copies && kept);
	sheaf_of_all = kmem_cache_prefill_sheaf(cache, GFP_KERNEL, 2);
	CHECK(sheaf_of_all);
	null_file = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CHECK(null_file >= 0);
	snprintf(folder, sizeof(folder), "%s/calls-%d", tmp ? tmp : "/tmp",
		 (int)getpid());
	make_things();
}

static void name_it(const char *name)
{
	(void)!write(STDERR_FILENO, name, strlen(name));
	(void)!write(STDERR_FILENO, "\n", 1);
}

/* Never waits, makes no system call; and a free leaves errno alone. */
static void where_a_system_call_ends_the_process(void)
{
	start_here();
	prepare();
	/* Every call has had what it needs, once. */
	for (int i = 0; i < nr_calls; i++)
		if (calls[i].kind <= IS_NOWAIT)
			calls[i].make();
	kvfree_rcu_barrier();
	make_things();
	missing = 0;
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (int i = 0; i < nr_calls; i++) {
		if (calls[i].kind > IS_NOWAIT)
			continue;
		name_it(calls[i].name);
		errno = 77;
		calls[i].make();
		if (calls[i].kind == IS_FREE)
			CHECK_EQ(errno, 77);
	}
	CHECK_EQ(missing, 0);
}

/* The interrupted code, which the handler knows of. */
static volatile sig_atomic_t inside, turn, done, budget;
static timer_t timer;

/* Not periodic: the interrupted code goes on, however slow a handler is. */
static void arm(void)
{
	const struct itimerspec once = {.it_value.tv_nsec = PERIOD_NS};

	if (turn < nr_calls && timer_settime(timer, 0, &once, NULL))
		abort();
}

static void interrupt_by_a_call(void)
{
	inside = 0;
	budget--;
	if (calls[turn].kind != IS_THREAD)
		calls[turn].make();
	if (calls[turn].kind == IS_THREAD || ++done == TIMES) {
		done = 0;
		turn++;
	}
	inside = 1;
}

static void interrupted(int sig)
{
	const int saved_errno = errno;

	(void)sig;
	if (inside && budget && turn < nr_calls)
		interrupt_by_a_call();
	arm();
	errno = saved_errno;
}

static void work(unsigned int round)
{
	const size_t size = 64u << round % 12;
	void *p[100], *area = vmalloc(size);

	for (int i = 0; i < 100; i++)
		p[i] = i % 2 ? kmem_cache_alloc(cache, GFP_KERNEL) :
			       kmalloc(size, GFP_KERNEL);
	for (int i = 0; i < 100; i++)
		kfree(p[i]);
	vfree(area);
	__free_pages(alloc_pages(GFP_KERNEL, round % 8), round % 8);
	kfree_rcu_mightsleep(kvmalloc(size, GFP_KERNEL));
	free_percpu(alloc_percpu(uint64_t));
	mempool_free(mempool_alloc(pool, GFP_KERNEL), pool);
	if (round % 16 == 0)
		(void)!kmem_cache_shrink(cache);
	if (round % 64 == 0)
		(void)!knuma_trim();
}

static void interrupt_me(void)
{
	const struct sigaction action = {
		.sa_handler = interrupted,
		.sa_flags = SA_RESTART,
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGRTMIN,
	};

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	CHECK_EQ(sigaction(SIGRTMIN, &action, NULL), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	arm();
}

static void in_handlers_that_interrupt_the_library(void)
{
	prepare();
	interrupt_me();
	for (unsigned int round = 0; turn < nr_calls; round++) {
		make_things();
		budget = AT_A_TIME;
		inside = 1;
		work(round);
		inside = 0;
	}
	CHECK_EQ(missing, 0);
	CHECK_EQ(timer_delete(timer), 0);
	kvfree_rcu_barrier();
	heap_verify();
}

static void *make_all(void *arg)
{
	const int first = (int)(intptr_t)arg * nr_calls / THREADS;

	for (int i = 0; i < nr_calls; i++) {
		if (i % 16 == 0)
			make_things();
		calls[(first + i) % nr_calls].make();
	}
	return NULL;
}

static void in_any_thread_beside_others(void)
{
	pthread_t thread[THREADS];

	prepare();
	for (intptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, make_all, (void *)i),
			 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	/* checks knuma_topology_refine: "Allocation goes on meanwhile" */
	CHECK_EQ(missing, 0);
	kvfree_rcu_barrier();
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(where_a_system_call_ends_the_process),
		child_test(in_handlers_that_interrupt_the_library),
		child_test(in_any_thread_beside_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
