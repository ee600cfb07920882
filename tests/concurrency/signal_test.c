/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal handler that interrupts the library anywhere may allocate with
 * GFP_ATOMIC and GFP_NOWAIT and free: it waits for no lock of the thread that
 * it interrupts, and neither loses nor doubles anything.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
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
	OWN = 64,	   /* objects of a handler */
	SHARED = 64,	   /* objects that change hands */
};

/* What a thread's handler has; nobody else touches it. */
struct own {
	struct stress_thread random;
	struct canary *own[OWN];
	uint64_t runs, got, failed, freed, deferred;
};

static kn_tls struct own *own;
static struct kmem_cache *cache;
static void *shared[SHARED], *areas[SHARED];
static uint64_t spoiled;
static int served; /* a handler has got memory */

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
	kvfree(c);
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
	struct own *o = own;

	(void)sig;
	if (!o)
		return;
	o->runs++;
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
	errno = saved_errno;
}

/* The interrupted code: slow paths as often as possible. */

static void many_at_once(struct stress_thread *t)
{
	void *p[200];
	const size_t size = some_size(t);

	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		p[i] = fill(kmalloc(size, GFP_KERNEL), size);
	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		drop(p[i]);
}

static void from_cache(struct stress_thread *t)
{
	void *p[150];
	const unsigned n = 1 + stress_below(t, KN_ARRAY_SIZE(p));

	for (unsigned i = 0; i < n; i++) {
		p[i] = kmem_cache_alloc(cache, GFP_KERNEL);
		if (!p[i] || !stress_own(p[i]))
			__atomic_add_fetch(&spoiled, 1, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < n; i++) {
		stress_disown(p[i]);
		kmem_cache_free(cache, p[i]);
	}
}

static void one_step(struct stress_thread *t)
{
	const unsigned i = stress_below(t, SHARED);
	const unsigned order = stress_below(t, 11);
	const size_t size = some_size(t);
	struct page *page;

	switch (stress_below(t, 10)) {
	case 0:
		drop(__atomic_exchange_n(&shared[i],
					 fill(kmalloc(size, GFP_KERNEL), size),
					 __ATOMIC_ACQ_REL));
		break;
	case 1:
		vfree(__atomic_exchange_n(&areas[i], vmalloc(size),
					  __ATOMIC_ACQ_REL));
		break;
	case 2:
		page = alloc_pages(GFP_KERNEL, order);
		if (page)
			__free_pages(page, order);
		break;
	case 3:
		kmem_cache_shrink(cache);
		break;
	case 4:
		if (!stress_below(t, 10))
			(void)knuma_trim();
		break;
	case 5:
		flavor_memb.free(fill(kvmalloc(size, GFP_KERNEL), size));
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
	const struct itimerspec every = {
		{0, PERIOD_NS},
		{0, PERIOD_NS},
	};
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

static bool handlers_were_served(void)
{
	return __atomic_load_n(&served, __ATOMIC_RELAXED);
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
	for (int i = 0; i < 4; i++)
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
		"%llu signals: %llu objects, %llu times none, %llu freed, "
		"%llu deferred\n",
		(unsigned long long)sum.runs, (unsigned long long)sum.got,
		(unsigned long long)sum.failed, (unsigned long long)sum.freed,
		(unsigned long long)sum.deferred);
	assert_int_equal(spoiled, 0);
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
	return cmocka_run_group_tests(tests, NULL, NULL);
}
