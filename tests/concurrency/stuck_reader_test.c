/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader that stays in its section is named, whatever its flavour is, also
 * when it never calls the library; readers that come and go are not.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <knuma/kvmalloc.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/deferred/kfree_rcu.h"
#include "alloc/rcu/readers.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"

enum {
	STUCK_AT_MOST = 6,
	OTHERS = 3,
};

static const struct flavor *flavor;
static struct stress_thread stuck[STUCK_AT_MOST], others[OTHERS];
static uint32_t tid[STUCK_AT_MOST], nr_inside, leave;

/* It makes no call of the library. */
static void stay_inside(struct stress_thread *t)
{
	pthread_setname_np(pthread_self(), "sleepy");
	flavor_register(flavor);
	flavor_enter(flavor);
	tid[t->index] = (uint32_t)gettid();
	__atomic_add_fetch(&nr_inside, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&leave, __ATOMIC_ACQUIRE))
		stress_sleep_ms(1);
	flavor_leave(flavor);
	flavor->ops->unregister_thread();
}

static void *come_and_go(void *arg)
{
	flavor_register(flavor);
	for (int i = 0; i < 100; i++) {
		flavor_enter(flavor);
		flavor_leave(flavor);
	}
	flavor->ops->unregister_thread();
	return arg;
}

/* Threads that are readers for a moment, and end. */
static void make_readers(struct stress_thread *t)
{
	(void)t;
	while (!stress_stopped()) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, come_and_go, NULL))
			continue;
		pthread_join(thread, NULL);
	}
}

static void start(const struct flavor *f, int n)
{
	flavor = f;
	conf("rcu_budget", "64K");
	conf("rcu_full", "grow");
	conf("rcu_stuck_ms", "50ms");
	start_quiet();
	/* Its thread. */
	f->free_headless(kmalloc(10, GFP_KERNEL));
	kvfree_rcu_barrier();
	if (n)
		stress_start(stuck, n, stay_inside, NULL);
	while (__atomic_load_n(&nr_inside, __ATOMIC_ACQUIRE) < (uint32_t)n)
		stress_sleep_ms(1);
}

static void end(int n)
{
	__atomic_store_n(&leave, 1, __ATOMIC_RELEASE);
	if (n)
		stress_join(stuck, n);
	kvfree_rcu_barrier();
	CHECK_EQ(stat_of("rcu_waiting_bytes"), 0);
	heap_verify();
}

static void flood_until_stuck(void)
{
	while (!stat_of("rcu_stuck")) {
		for (int i = 0; i < 100; i++)
			flavor->free(canary_new(1000, 1));
	}
}

static void one_is_named(const struct flavor *f)
{
	char text[64];

	start(f, 1);
	flood_until_stuck();
	kn_rcu_tick();
	snprintf(text, sizeof(text), "it is thread %u (sleepy)\n", tid[0]);
	CHECK_HAS(printed(), f->name);
	CHECK_HAS(printed(), text);
	CHECK_EQ(printed_times("has not left its section"), 1);
	end(1);
}

static void a_reader_of_memb(void)
{
	one_is_named(&flavor_memb);
}

static void a_reader_of_mb(void)
{
	one_is_named(&flavor_mb);
}

static void a_reader_of_qsbr(void)
{
	one_is_named(&flavor_qsbr);
}

static void a_reader_of_bp(void)
{
	one_is_named(&flavor_bp);
}

/* An allocation tells, where no background thread does. */
static void an_allocation_tells(void)
{
	struct kmem_cache *s;

	start(&flavor_memb, 1);
	s = kmem_cache_create("tells", 3000, 0, 0, NULL);
	flood_until_stuck();
	for (int i = 0; i < 1000 && !printed_times("sleepy"); i++)
		CHECK(kmem_cache_alloc(s, GFP_KERNEL));
	CHECK_EQ(printed_times("(sleepy)"), 1);
	end(1);
}

/* More than fit into a message. */
static void several_are_named(void)
{
	start(&flavor_memb, STUCK_AT_MOST);
	flood_until_stuck();
	kn_rcu_tick();
	CHECK_EQ(printed_times("(sleepy)"), KN_READERS_TOLD);
	CHECK_HAS(printed(), " and 2 more\n");
	end(STUCK_AT_MOST);
}

/* A thread that waits in its section for a lock of the program queues nothing. */
static void the_caller_itself_is_named(void)
{
	char text[64];

	flavor = &flavor_memb;
	start(&flavor_memb, 0);
	flavor_register(flavor);
	flavor_enter(flavor);
	flood_until_stuck();
	kn_rcu_tick();
	snprintf(text, sizeof(text), "it is thread %d (", (int)gettid());
	CHECK_HAS(printed(), text);
	flavor_leave(flavor);
	flavor->ops->unregister_thread();
	end(0);
}

/* Of each search, whoever else reads, begins or ends meanwhile. */
static void only_they(const struct flavor *f)
{
	struct kn_readers found;
	int searches = 0;

	start(f, 1);
	flood_until_stuck();
	stress_go_on();
	stress_start(others, OTHERS, make_readers, NULL);
	for (const uint64_t until = stress_now_ms() + 300;
	     stress_now_ms() < until || searches < 20; searches++) {
		CHECK_EQ(kn_readers_find(f->ops, &found), 0);
		CHECK_EQ(found.nr, 1);
		CHECK_EQ(found.tid[0], tid[0]);
	}
	stress_stop();
	stress_join(others, OTHERS);
	end(1);
	CHECK_EQ(kn_readers_find(f->ops, &found), 0);
	CHECK_EQ(found.nr, 0);
}

static void no_others_of_memb(void)
{
	only_they(&flavor_memb);
}

static void no_others_of_qsbr(void)
{
	only_they(&flavor_qsbr);
}

static void no_others_of_bp(void)
{
	only_they(&flavor_bp);
}

/* As a filter of a container may. */
static void the_system_refuses(void)
{
	const int nr = SYS_get_robust_list;

	start(&flavor_memb, 1);
	if (!syscalls_refuse(&nr, 1, EPERM))
		skip_child("no seccomp");
	flood_until_stuck();
	kn_rcu_tick();
	CHECK_HAS(printed(), "the system refuses a look at the threads");
	end(1);
}

static void no_proc(void)
{
	const int nr[] = {SYS_openat, SYS_open};
	struct kn_readers found;

	start(&flavor_memb, 1);
	if (!syscalls_refuse(nr, 2, ENOENT))
		skip_child("no seccomp");
	CHECK_EQ(kn_readers_find(flavor_memb.ops, &found), -ENODEV);
	end(1);
}

/* A table that is not liburcu's. */
static void an_unknown_flavour(void)
{
	static const struct rcu_flavor_struct own;
	struct kn_readers found;

	CHECK_EQ(kn_readers_find(&own, &found), -ENOENT);
	CHECK_EQ(found.nr, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		child_test(a_reader_of_memb),
		child_test(a_reader_of_mb),
		child_test(a_reader_of_qsbr),
		child_test(a_reader_of_bp),
		child_test(an_allocation_tells),
		child_test(several_are_named),
		child_test(the_caller_itself_is_named),
		child_test(no_others_of_memb),
		child_test(no_others_of_qsbr),
		child_test(no_others_of_bp),
		child_test(the_system_refuses),
		child_test(no_proc),
		child_test(an_unknown_flavour),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
