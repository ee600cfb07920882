/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal handler that interrupts the library anywhere may allocate with
 * GFP_ATOMIC and GFP_NOWAIT and free: it waits for no lock of the thread that
 * it interrupts, and neither loses nor doubles anything.
 *
 * --entries=N goes on until N handlers have interrupted a call of the library.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/kvmalloc.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/base/compiler.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
	WORKERS = 2,
	PERIOD_NS = 50000, /* 20 kHz for each thread, if the machine can */
	LONG_NS = 5000,	   /* the same with --entries: as fast as it can */
	OWN = 64,	   /* objects of a handler */
	SHARED = 64,	   /* objects that change hands */
};

/* What a thread's handler has; nobody else touches it. */
struct own {
	struct stress_thread random;
	struct canary *own[OWN];
	uint64_t runs, got, failed, freed, deferred;
	uint64_t entries; /* of runs, those inside the library; atomic */
};

static kn_tls struct own *own;
static kn_tls volatile sig_atomic_t calling;
static uint64_t entries_wanted;
static struct kmem_cache *cache;
static void *shared[SHARED], *areas[SHARED];
static uint64_t spoiled;
static int served; /* a handler has got memory */

/* A call of the library by the interrupted code, which the handler knows of. */
#define CALL(statement)      \
	do {                 \
		calling = 1; \
		statement;   \
		calling = 0; \
	} while (0)

static size_t some_size(struct stress_thread *t)
{
	const unsigned kind = stress_below(t, 16);

	return sizeof(struct canary) + (kind == 0 ? stress_below(t, 60000) :
					kind < 4  ? stress_below(t, 8000) :
						    stress_below(t, 500));
}

static void *fill(struct canary *c, size_t size)
{
	if (!c)
		return NULL;
	c->size = size;
	c->tag = (uintptr_t)c;
	stress_fill(c->word, size - sizeof(*c), c->tag);
	return c;
}

static void drop(struct canary *c)
{
	if (c && !canary_lives(c, (uintptr_t)c))
		__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
	CALL(kvfree(c));
}

static void handler_allocates(struct own *o)
{
	struct stress_thread *t = &o->random;
	const unsigned i = stress_below(t, OWN);
	const size_t size = some_size(t);

	if (o->own[i]) {
		drop(o->own[i]);
		o->own[i] = NULL;
		o->freed++;
		return;
	}
	o->own[i] = fill(
		kmalloc(size, (stress_below(t, 2) ? GFP_ATOMIC : GFP_NOWAIT) |
				      __GFP_NOWARN),
		size);
	o->got += o->own[i] != NULL;
	if (o->own[i])
		__atomic_store_n(&served, 1, __ATOMIC_RELAXED);
	o->failed += !o->own[i];
}

/* Takes what the interrupted code has made, or leaves something for it. */
static void handler_exchanges(struct own *o)
{
	struct stress_thread *t = &o->random;
	void **slot = &shared[stress_below(t, SHARED)];
	const size_t size = some_size(t);
	void *p = fill(kmalloc(size, GFP_NOWAIT), size);

	p = __atomic_exchange_n(slot, p, __ATOMIC_ACQ_REL);
	o->freed += p != NULL;
	if (p && stress_below(t, 4) == 0) {
		o->deferred++;
		flavor_memb.free(p);
	} else {
		drop(p);
	}
}

static void handler_uses_cache(struct own *o)
{
	void *p[20];
	unsigned n = 0;

	while (n < 1 + stress_below(&o->random, 20)) {
		p[n] = kmem_cache_alloc(cache, GFP_ATOMIC | __GFP_NOWARN);
		if (!p[n])
			break;
		if (!stress_own(p[n++]))
			__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < n; i++) {
		stress_disown(p[i]);
		kmem_cache_free(cache, p[i]);
	}
}

static void handler_uses_pages(struct own *o)
{
	const unsigned order = stress_below(&o->random, 5);
	struct page *page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
	void **slot = &areas[stress_below(&o->random, SHARED)];

	if (page)
		__free_pages(page, order);
	vfree(__atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL));
}

static void interrupted(int sig)
{
	const int saved_errno = errno;
	const sig_atomic_t was_calling = calling;
	struct own *o = own;

	(void)sig;
	if (!o)
		return;
	o->runs++;
	if (was_calling)
		__atomic_store_n(&o->entries, o->entries + 1, __ATOMIC_RELAXED);
	switch (stress_below(&o->random, 5)) {
	case 0:
		handler_exchanges(o);
		break;
	case 1:
		handler_uses_cache(o);
		break;
	case 2:
		handler_uses_pages(o);
		break;
	default:
		handler_allocates(o);
	}
	calling = was_calling;
	errno = saved_errno;
}

/* The interrupted code: slow paths as often as possible. */

static void many_at_once(struct stress_thread *t)
{
	void *p[200];
	const size_t size = some_size(t);

	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++) {
		CALL(p[i] = kmalloc(size, GFP_KERNEL));
		fill(p[i], size);
	}
	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		drop(p[i]);
}

static void from_cache(struct stress_thread *t)
{
	void *p[150];
	const unsigned n = 1 + stress_below(t, KN_ARRAY_SIZE(p));

	for (unsigned i = 0; i < n; i++) {
		CALL(p[i] = kmem_cache_alloc(cache, GFP_KERNEL));
		if (!p[i] || !stress_own(p[i]))
			__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < n; i++) {
		stress_disown(p[i]);
		CALL(kmem_cache_free(cache, p[i]));
	}
}

static void one_step(struct stress_thread *t)
{
	const unsigned i = stress_below(t, SHARED);
	const unsigned order = stress_below(t, 11);
	const size_t size = some_size(t);
	struct page *page;
	void *p;

	switch (stress_below(t, 10)) {
	case 0:
		CALL(p = kmalloc(size, GFP_KERNEL));
		drop(__atomic_exchange_n(&shared[i], fill(p, size),
					 __ATOMIC_ACQ_REL));
		break;
	case 1:
		CALL(p = vmalloc(size));
		p = __atomic_exchange_n(&areas[i], p, __ATOMIC_ACQ_REL);
		CALL(vfree(p));
		break;
	case 2:
		CALL(page = alloc_pages(GFP_KERNEL, order));
		if (page)
			CALL(__free_pages(page, order));
		break;
	case 3:
		CALL(kmem_cache_shrink(cache));
		break;
	case 4:
		if (!stress_below(t, 10))
			CALL((void)knuma_trim());
		break;
	case 5:
		CALL(p = kvmalloc(size, GFP_KERNEL));
		fill(p, size);
		CALL(flavor_memb.free(p));
		break;
	case 6:
	case 7:
		from_cache(t);
		break;
	default:
		many_at_once(t);
	}
}

static timer_t start_timer(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGRTMIN,
	};
	const long ns = entries_wanted ? LONG_NS : PERIOD_NS;
	const struct itimerspec every = {{0, ns}, {0, ns}};
	timer_t timer;

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &every, NULL))
		fail();
	return timer;
}

static struct own owns[WORKERS];

static void work_interrupted(struct stress_thread *t)
{
	timer_t timer;

	owns[t->index].random.random = stress_random(t);
	own = &owns[t->index];
	timer = start_timer();
	while (!stress_stopped())
		one_step(t);
	timer_delete(timer);
	/* One that is pending comes before the next call returns. */
	stress_sleep_ms(1);
	own = NULL;
}

static uint64_t all_entries(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += __atomic_load_n(&owns[i].entries, __ATOMIC_RELAXED);
	return sum;
}

static bool handlers_were_served(void)
{
	return __atomic_load_n(&served, __ATOMIC_RELAXED) &&
	       all_entries() >= entries_wanted;
}

static void a_handler_may_allocate_and_free(void **state)
{
	struct sigaction action = {
		.sa_handler = interrupted,
		.sa_flags = SA_RESTART,
	};
	struct own sum = {0};

	(void)state;
	assert_int_equal(sigaction(SIGRTMIN, &action, NULL), 0);
	cache = stress_cache("interrupted", 192);
	for (int i = 0; i < (entries_wanted ? 1 : 4); i++)
		stress_run_until(WORKERS, work_interrupted, NULL,
				 handlers_were_served);
	for (int i = 0; i < WORKERS; i++) {
		for (int j = 0; j < OWN; j++)
			drop(owns[i].own[j]);
		sum.runs += owns[i].runs;
		sum.got += owns[i].got;
		sum.failed += owns[i].failed;
		sum.freed += owns[i].freed;
		sum.deferred += owns[i].deferred;
	}
	for (int i = 0; i < SHARED; i++) {
		drop(shared[i]);
		vfree(areas[i]);
	}
	print_message(
		"%llu signals, %llu of them inside the library: %llu objects, "
		"%llu times none, %llu freed, %llu deferred\n",
		(unsigned long long)sum.runs, (unsigned long long)all_entries(),
		(unsigned long long)sum.got, (unsigned long long)sum.failed,
		(unsigned long long)sum.freed,
		(unsigned long long)sum.deferred);
	assert_int_equal(spoiled, 0);
	assert_true(all_entries() >= entries_wanted);
	kvfree_rcu_barrier();
	assert_int_equal(stress_stat("rcu_queued"), stress_stat("rcu_freed"));
	stress_cache_end(cache);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_may_allocate_and_free),
	};

	stress_init(argc, argv);
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], "--entries=", 10))
			entries_wanted = strtoull(argv[i] + 10, NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
