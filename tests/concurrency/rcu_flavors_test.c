/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kfree_rcu() waits for the readers of the flavour that its unit includes, for
 * all of them, and for no others.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <knuma/kvmalloc.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/base/assert.h"
#include "alloc/deferred/kfree_rcu.h"
#include "alloc/slab/slab.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

static const struct flavor *const flavors[] = {
	&flavor_memb,
	&flavor_mb,
	&flavor_qsbr,
	&flavor_bp,
};

enum {
	NR_FLAVORS = KN_ARRAY_SIZE(flavors)
};

static uint64_t waiting(void)
{
	return stress_stat("rcu_queued") - stress_stat("rcu_freed");
}

/* All that was given away is free, so freed == queued. */
static void barrier(void)
{
	kvfree_rcu_barrier();
	assert_int_equal(waiting(), 0);
}

/* A reader that stays inside until it is told to leave. */

struct long_reader {
	const struct flavor *flavor;
	struct canary *seen; /* or NULL */
	uint64_t tag;
	uint32_t inside, leave, died;
	struct stress_thread thread;
};

static void read_long(struct stress_thread *t)
{
	struct long_reader *r = t->arg;

	flavor_register(r->flavor);
	flavor_enter(r->flavor);
	__atomic_store_n(&r->inside, 1, __ATOMIC_RELEASE);
	do {
		if (r->seen && !canary_lives(r->seen, r->tag))
			r->died = 1;
		stress_sleep_ms(1);
	} while (!__atomic_load_n(&r->leave, __ATOMIC_ACQUIRE));
	flavor_leave(r->flavor);
	r->flavor->ops->unregister_thread();
}

static void enter(struct long_reader *r)
{
	stress_start(&r->thread, 1, read_long, r);
	while (!__atomic_load_n(&r->inside, __ATOMIC_ACQUIRE))
		stress_sleep_ms(1);
}

static void leave(struct long_reader *r)
{
	__atomic_store_n(&r->leave, 1, __ATOMIC_RELEASE);
	stress_join(&r->thread, 1);
	assert_false(r->died);
}

/* Would take and overwrite the memory of a canary that was freed too early. */
static void overwrite(size_t size)
{
	void *p[300];

	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++) {
		p[i] = kvmalloc(size, GFP_KERNEL);
		if (p[i])
			memset(p[i], 0xee, size);
	}
	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		kvfree(p[i]);
}

static void waits_for_a_reader(const struct flavor *f, size_t size)
{
	struct long_reader r = {.flavor = f, .tag = size};

	r.seen = canary_new(size, r.tag);
	assert_non_null(r.seen);
	enter(&r);
	f->free(r.seen);
	for (int i = 0; i < 5; i++) {
		kn_rcu_step();
		overwrite(size);
		stress_sleep_ms(10);
		assert_int_equal(waiting(), 1);
	}
	leave(&r);
	barrier();
}

static void each_flavour_waits_for_its_own_readers(void **state)
{
	(void)state;
	for (int i = 0; i < NR_FLAVORS; i++) {
		waits_for_a_reader(flavors[i], 128);
		waits_for_a_reader(flavors[i], 20000);
	}
	waits_for_a_reader(&flavor_memb, 300000);
}

/* Ends when the object is free; the watchdog is for the case that it waits. */
static void a_reader_of_another_flavour_holds_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < NR_FLAVORS; i++) {
		struct long_reader r = {.flavor = flavors[i]};

		enter(&r);
		for (int j = 0; j < NR_FLAVORS; j++) {
			if (j == i)
				continue;
			flavors[j]->free(canary_new(64, 1));
			kn_rcu_step();
			while (waiting())
				stress_sleep_ms(1);
		}
		leave(&r);
	}
	barrier();
}

/* Readers and updaters of all flavours at once. */

enum {
	SLOTS = 16
};

static struct canary *shared[NR_FLAVORS][SLOTS];
static uint64_t reads, updates, deaths;

static void read_shared(const struct flavor *f, struct canary **slot,
			struct stress_thread *t)
{
	uint64_t did = 0;

	flavor_register(f);
	while (!stress_stopped()) {
		flavor_enter(f);
		for (int i = 0; i < 8; i++) {
			struct canary *c =
				__atomic_load_n(&slot[stress_below(t, SLOTS)],
						__ATOMIC_CONSUME);

			if (c && !canary_lives(c, (uintptr_t)slot))
				__atomic_add_fetch(&deaths, 1,
						   __ATOMIC_RELAXED);
			did++;
		}
		flavor_leave(f);
	}
	f->ops->unregister_thread();
	__atomic_add_fetch(&reads, did, __ATOMIC_RELAXED);
}

static void update_shared(const struct flavor *f, struct canary **slot,
			  struct stress_thread *t)
{
	static const size_t sizes[] = {48, 200, 1000, 5000, 20000, 400000};
	uint64_t did = 0;

	while (!stress_stopped()) {
		/* Mostly small ones. */
		const size_t size =
			sizes[stress_below(t, 64) ? stress_below(t, 4) :
						    stress_below(t, 6)];
		struct canary *c = canary_new(size, (uintptr_t)slot);

		c = __atomic_exchange_n(&slot[stress_below(t, SLOTS)], c,
					__ATOMIC_ACQ_REL);
		if (!c)
			continue;
		if (stress_below(t, 1000))
			f->free(c);
		else
			f->free_headless(c);
		/* Memory that waits is not bounded but by the updaters. */
		if (++did % 256 == 0)
			stress_sleep_ms(1);
	}
	__atomic_add_fetch(&updates, did, __ATOMIC_RELAXED);
}

static void read_and_update(struct stress_thread *t)
{
	const int i = t->index / 2;

	if (t->index % 2)
		read_shared(flavors[i], shared[i], t);
	else
		update_shared(flavors[i], shared[i], t);
}

static void no_reader_sees_a_freed_object(void **state)
{
	(void)state;
	stress_run(2 * NR_FLAVORS, read_and_update, NULL);
	stress_run(2 * NR_FLAVORS, read_and_update, NULL);
	print_message("%llu reads, %llu updates, %llu grace periods\n",
		      (unsigned long long)reads, (unsigned long long)updates,
		      (unsigned long long)stress_stat("rcu_grace_periods"));
	assert_int_equal(deaths, 0);
	barrier();
	for (int i = 0; i < NR_FLAVORS; i++)
		for (int j = 0; j < SLOTS; j++)
			kvfree(shared[i][j]);
	stress_verify_pages();
}

/* The wait is for a grace period that the waiting thread itself holds up. */
static void an_online_qsbr_thread_may_wait(void **state)
{
	(void)state;
	flavor_qsbr.ops->register_thread();
	assert_true(flavor_qsbr.ops->read_ongoing());
	for (int i = 0; i < 10; i++) {
		for (int j = 0; j < NR_FLAVORS; j++)
			flavors[j]->free(canary_new(100, 1));
		barrier();
		assert_true(flavor_qsbr.ops->read_ongoing());
	}
	flavor_qsbr.ops->unregister_thread();
}

static char last_report[512];

static void note_report(const char *report)
{
	snprintf(last_report, sizeof(last_report), "%s", report);
}

static void waiting_inside_a_section_is_reported(void **state)
{
	(void)state;
	kn_bug_hook = note_report;
	for (int i = 0; i < NR_FLAVORS; i++) {
		if (flavors[i]->qsbr)
			continue;
		last_report[0] = '\0';
		flavors[i]->ops->register_thread();
		flavors[i]->ops->read_lock();
		flavors[i]->free(canary_new(100, 1));
		kvfree_rcu_barrier();
		flavors[i]->ops->read_unlock();
		flavors[i]->ops->unregister_thread();
		assert_non_null(strstr(last_report, "inside a read section"));
	}
	kn_bug_hook = NULL;
	barrier();
}

/* kfree_rcu() itself never waits, so it may stand anywhere in a section. */
static void kfree_rcu_may_stand_inside_a_section(void **state)
{
	(void)state;
	for (int i = 0; i < NR_FLAVORS; i++) {
		flavor_register(flavors[i]);
		flavor_enter(flavors[i]);
		for (int j = 0; j < 2000; j++)
			flavors[i]->free(canary_new(64, 1));
		flavor_leave(flavors[i]);
		flavors[i]->ops->unregister_thread();
	}
	barrier();
}

static void every_kind_of_memory_is_freed(void **state)
{
	const uint64_t large = stress_stat("active_bytes");
	const unsigned long pages = vmalloc_nr_pages();
	struct kmem_cache *s;
	void *p;

	(void)state;
	for (int i = 0; i < NR_FLAVORS; i++) {
		const struct flavor *f = flavors[i];

		s = stress_cache("deferred", 256);
		for (int j = 0; j < 500; j++) {
			p = kmem_cache_alloc(s, GFP_KERNEL);
			((struct canary *)p)->size = 0;
			f->free(p);
		}
		/* Waits for them, and finds none in use. */
		kmem_cache_destroy(s);
		assert_int_equal(s->mag.id, 0);

		f->free(kmalloc(100, GFP_KERNEL));
		f->free(kmalloc(10000, GFP_KERNEL));
		f->free(kmalloc(KMALLOC_MAX_SIZE, GFP_KERNEL));
		f->free(vmalloc(1 << 20));
		f->free(vmalloc(8 << 20));
		f->free_far(kmalloc(5000, GFP_KERNEL));
		f->free_far(vmalloc(5000));
		f->free_headless(kmalloc(8, GFP_KERNEL));
		f->free_headless(kmalloc(100000, GFP_KERNEL));
		f->free_headless(vmalloc(100000));
		f->free(NULL);
		f->free_headless(NULL);
		barrier();
		assert_int_equal(vmalloc_nr_pages(), pages);
	}
	assert_int_equal(knuma_trim(), 0);
	print_message("active before %llu, after %llu\n",
		      (unsigned long long)large,
		      (unsigned long long)stress_stat("active_bytes"));
	stress_verify_pages();
}

/* A handler that gives away what the interrupted code has made. */

static struct canary *handed;
static uint64_t in_handler;

static void free_handed(int sig)
{
	struct canary *c = __atomic_exchange_n(&handed, NULL, __ATOMIC_ACQ_REL);

	(void)sig;
	if (c) {
		flavors[in_handler % NR_FLAVORS]->free(c);
		in_handler++;
	}
}

static timer_t start_timer(long ns)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGRTMIN,
	};
	const struct itimerspec every = {{0, ns}, {0, ns}};
	timer_t timer;

	signal(SIGRTMIN, free_handed);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
	return timer;
}

static void a_signal_handler_may_call_it(void **state)
{
	const uint64_t until = stress_now_ms() + stress_ms;
	timer_t timer = start_timer(50000);
	unsigned i = 0;

	(void)state;
	do {
		struct canary *c = canary_new(100 + i % 3 * 4000, i);

		c = __atomic_exchange_n(&handed, c, __ATOMIC_ACQ_REL);
		if (c)
			flavors[i % NR_FLAVORS]->free(c);
		if (++i % 1000 == 0)
			stress_sleep_ms(1);
	} while (stress_now_ms() < until);
	timer_delete(timer);
	kvfree(__atomic_exchange_n(&handed, NULL, __ATOMIC_ACQ_REL));
	print_message("%u objects, %llu of them freed by the handler\n", i,
		      (unsigned long long)in_handler);
	barrier();
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_flavour_waits_for_its_own_readers),
		cmocka_unit_test(a_reader_of_another_flavour_holds_nothing),
		cmocka_unit_test(no_reader_sees_a_freed_object),
		cmocka_unit_test(an_online_qsbr_thread_may_wait),
		cmocka_unit_test(waiting_inside_a_section_is_reported),
		cmocka_unit_test(kfree_rcu_may_stand_inside_a_section),
		cmocka_unit_test(every_kind_of_memory_is_freed),
		cmocka_unit_test(a_signal_handler_may_call_it),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
