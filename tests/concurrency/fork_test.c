/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork child has a working heap, whatever the other threads of its parent
 * were doing: no lock stays taken, no grace period half waited for, and what
 * the forking thread held is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/kvmalloc.h>
#include <knuma/page.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/page/zone.h"
#include "alloc/slab/slab.h"
#include "numa/rseq.h"
#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 3,
	FORKS = 400,	     /* at most; fewer when the machine is slow */
	CHILD_SECONDS = 100, /* before it counts as hung */
};

/*
 * What a child says by its exit code.  It makes no assertion: cmocka would
 * jump back into the parent's program.
 */
static void check(bool ok, int line)
{
	if (ok)
		return;
	dprintf(STDERR_FILENO, "child %d: line %d\n", getpid(), line);
	_exit(1);
}

#define CHECK(x) check(x, __LINE__)

static void use_kmalloc(void)
{
	static const size_t sizes[] = {8, 192, 1000, 4096, 20000};
	void *p[40];

	for (unsigned k = 0; k < KN_ARRAY_SIZE(sizes); k++) {
		for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++) {
			p[i] = kmalloc(sizes[k], GFP_KERNEL);
			CHECK(p[i] != NULL);
			stress_fill(p[i], sizes[k], i);
		}
		for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++) {
			CHECK(stress_check(p[i], sizes[k], i));
			kfree(p[i]);
		}
	}
}

static void use_pages(void)
{
	for (unsigned order = 0; order <= 10; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);

		CHECK(page != NULL);
		memset(page_address(page), 1, KN_PAGE_SIZE);
		__free_pages(page, order);
	}
}

static void use_vmalloc(void)
{
	static const size_t sizes[] = {1, 100000, 3000000};
	void *p[KN_ARRAY_SIZE(sizes)];

	for (unsigned i = 0; i < KN_ARRAY_SIZE(sizes); i++) {
		p[i] = vmalloc(sizes[i]);
		CHECK(p[i] != NULL);
		memset(p[i], 1, KN_MIN(sizes[i], KN_PAGE_SIZE));
	}
	for (unsigned i = 0; i < KN_ARRAY_SIZE(sizes); i++)
		vfree(p[i]);
}

static void use_cache(void)
{
	struct kmem_cache *s = kmem_cache_create("of a child", 200, NULL, 0);
	void *p[200];

	CHECK(s != NULL);
	CHECK(kmem_cache_alloc_bulk(s, GFP_KERNEL, KN_ARRAY_SIZE(p), p) ==
	      (int)KN_ARRAY_SIZE(p));
	kmem_cache_free_bulk(s, KN_ARRAY_SIZE(p), p);
	kmem_cache_shrink(s);
	kmem_cache_destroy(s);
	CHECK(s->mag.id == 0);
}

static void use_rcu(const struct flavor *f)
{
	uint64_t freed, queued;

	for (int i = 0; i < 100; i++) {
		struct canary *c = canary_new(100, 1);

		CHECK(c != NULL);
		f->free(c);
	}
	f->ops->update_synchronize_rcu();
	kvfree_rcu_barrier();
	CHECK(knuma_stats_read("rcu_queued", &queued) == 0);
	CHECK(knuma_stats_read("rcu_freed", &freed) == 0);
	/* The batches that the parent's threads were moving come on top. */
	CHECK(freed + WORKERS * KN_BATCH_MAX >= queued);
}

static void use_everything(const struct flavor *f)
{
	stress_watchdog(CHILD_SECONDS);
	use_kmalloc();
	use_pages();
	use_vmalloc();
	use_cache();
	if (f)
		use_rcu(f);
	CHECK(knuma_trim() == 0);
	use_kmalloc();
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		CHECK(kn_zone_verify(node));
}

static int failed;

/* Waits for @child; it must have found everything in order. */
static void reap(pid_t child)
{
	int status = -1;

	if (child > 0 && waitpid(child, &status, 0) == child && !status)
		return;
	__atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "child %d: %s %d\n", child,
		WIFSIGNALED(status) ? "signal" : "exit code",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void fork_and_use(const struct flavor *f)
{
	const pid_t child = fork();

	if (!child) {
		use_everything(f);
		_exit(0);
	}
	reap(child);
}

/* All that a process may be doing. */

static void do_kmalloc(struct stress_thread *t)
{
	void *p[64];

	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		p[i] = kmalloc(1 + stress_below(t, 20000), GFP_KERNEL);
	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		kfree(p[i]);
}

static void do_cache(struct stress_thread *t)
{
	struct kmem_cache *s;
	void *p[300];
	char name[20];
	int n;

	snprintf(name, sizeof(name), "of thread %d", t->index);
	s = kmem_cache_create(name, 16 + stress_below(t, 500), NULL, 0);
	n = kmem_cache_alloc_bulk(s, GFP_KERNEL, KN_ARRAY_SIZE(p), p);
	kmem_cache_free_bulk(s, (size_t)n, p);
	kmem_cache_destroy(s);
}

static void do_anything(struct stress_thread *t)
{
	while (!stress_stopped()) {
		const unsigned order = stress_below(t, 6);
		struct page *page;

		switch (stress_below(t, 8)) {
		case 0:
			do_cache(t);
			break;
		case 1:
			vfree(vmalloc(1 + stress_below(t, 1000000)));
			break;
		case 2:
			page = alloc_pages(GFP_KERNEL, order);
			__free_pages(page, order);
			break;
		case 3:
			flavor_memb.free(canary_new(64, 1));
			break;
		case 4:
			if (!stress_below(t, 50))
				(void)knuma_trim();
			break;
		default:
			do_kmalloc(t);
		}
	}
}

/*
 * With the address sanitizer no thread may start while another forks: its start
 * takes memory of the sanitizer.
 */
static void let_threads_start(void)
{
	static const struct flavor *const flavors[] = {
		&flavor_memb,
		&flavor_mb,
		&flavor_qsbr,
		&flavor_bp,
	};

	if (!STRESS_ASAN)
		return;
	for (unsigned i = 0; i < KN_ARRAY_SIZE(flavors); i++)
		flavors[i]->free(canary_new(64, 1));
	kvfree_rcu_barrier();
	stress_sleep_ms(100);
}

/* Forks as often as it is due in the time of one stress. */
static int fork_often(const struct flavor *f)
{
	const uint64_t until = stress_now_ms() + 3 * stress_ms;
	int forks = 0;

	failed = 0;
	do {
		fork_and_use(f);
		forks++;
	} while (!failed && forks < FORKS && stress_now_ms() < until);
	return forks;
}

static void children_of_a_busy_process_work(void **state)
{
	struct stress_thread t[WORKERS];
	const unsigned ids = stress_taken_ids();
	int forks;

	(void)state;
	stress_go_on();
	stress_start(t, WORKERS, do_anything, NULL);
	let_threads_start();
	forks = fork_often(&flavor_memb);
	stress_stop();
	stress_join(t, WORKERS);
	print_message("%d forks\n", forks);
	assert_int_equal(failed, 0);
	assert_int_equal(stress_taken_ids(), ids);
	kvfree_rcu_barrier();
	stress_verify_pages();
}

/* What the forking thread has is in the child, too, and may be freed there. */
static void a_child_owns_what_the_forking_thread_had(void **state)
{
	struct stress_thread t[WORKERS];
	struct canary *c[200];
	pid_t child;

	(void)state;
	for (unsigned i = 0; i < KN_ARRAY_SIZE(c); i++)
		c[i] = canary_new(100 + 300 * i, i);
	stress_go_on();
	stress_start(t, WORKERS, do_anything, NULL);
	let_threads_start();
	failed = 0;
	for (int n = 0; n < 10; n++) {
		child = fork();
		if (!child) {
			stress_watchdog(CHILD_SECONDS);
			for (unsigned i = 0; i < KN_ARRAY_SIZE(c); i++) {
				CHECK(canary_lives(c[i], i));
				kvfree(c[i]);
			}
			use_everything(NULL);
			/* And so for its own children. */
			fork_and_use(NULL);
			_exit(failed);
		}
		reap(child);
	}
	stress_stop();
	stress_join(t, WORKERS);
	for (unsigned i = 0; i < KN_ARRAY_SIZE(c); i++) {
		assert_true(canary_lives(c[i], i));
		kvfree(c[i]);
	}
	assert_int_equal(failed, 0);
}

static void fork_some(struct stress_thread *t)
{
	(void)t;
	while (!stress_stopped() && !__atomic_load_n(&failed, __ATOMIC_RELAXED))
		fork_and_use(&flavor_memb);
}

/* glibc 2.36 and later run the handlers of several forks at a time. */
static void two_threads_may_fork_at_once(void **state)
{
	(void)state;
	let_threads_start();
	flavor_memb.free(canary_new(64, 1));
	kvfree_rcu_barrier();
	failed = 0;
	stress_run(3, fork_some, NULL);
	assert_int_equal(failed, 0);
	/* The parent's grace periods go on. */
	flavor_memb.free(canary_new(64, 1));
	kvfree_rcu_barrier();
}

/*
 * Grace periods all the time.  Nobody is registered as a reader: liburcu wants
 * that of a program that forks, for its grace periods in the child would wait
 * for readers who are not there.
 */
static void defer(struct stress_thread *t)
{
	const struct flavor *f = t->arg;

	while (!stress_stopped()) {
		for (int i = 0; i < 50; i++)
			f->free(canary_new(64, 1));
		kvfree_rcu_barrier();
	}
}

static void forks_in_grace_periods_of(const struct flavor *f)
{
	const uint64_t until = stress_now_ms() + stress_ms;
	struct stress_thread t[2];

	stress_go_on();
	stress_start(t, 2, defer, (void *)f);
	let_threads_start();
	failed = 0;
	do
		fork_and_use(f);
	while (!failed && stress_now_ms() < until);
	stress_stop();
	stress_join(t, 2);
	assert_int_equal(failed, 0);
	kvfree_rcu_barrier();
}

static void a_fork_may_meet_a_grace_period(void **state)
{
	(void)state;
	assert_int_equal(knuma_conf_set("rcu_delay_ms", "0"), 0);
	forks_in_grace_periods_of(&flavor_memb);
	forks_in_grace_periods_of(&flavor_mb);
	forks_in_grace_periods_of(&flavor_qsbr);
	forks_in_grace_periods_of(&flavor_bp);
	assert_int_equal(knuma_conf_set("rcu_delay_ms", "1"), 0);
}

/* A reader that is inside most of the time, so that grace periods take long. */
static void read_slowly(struct stress_thread *t)
{
	const struct flavor *f = t->arg;

	flavor_register(f);
	while (!stress_stopped()) {
		flavor_enter(f);
		stress_sleep_ms(10);
		flavor_leave(f);
		f->free(canary_new(64, 1));
	}
	f->ops->unregister_thread();
}

static void fork_between_hooks(struct stress_thread *t)
{
	const struct flavor *f = &flavor_bp;

	(void)t;
	for (unsigned i = 0; i < 2 && !failed; i++) {
		pid_t child;

		f->before_fork();
		stress_sleep_ms(5 * i);
		child = fork();
		if (!child) {
			f->after_fork_child();
			use_everything(f);
			_exit(0);
		}
		f->after_fork_parent();
		reap(child);
	}
}

/*
 * The one flavour that may have readers in a fork has hooks for it, and the
 * program calls them: from then on no grace period of bp ends.  The thread that
 * forks is no reader, and cannot become one between the hooks.
 */
static void a_fork_may_stand_between_the_hooks_of_bp(void **state)
{
	struct stress_thread t[2], forking;

	(void)state;
	stress_go_on();
	stress_start(t, 2, read_slowly, (void *)&flavor_bp);
	let_threads_start();
	failed = 0;
	stress_start(&forking, 1, fork_between_hooks, NULL);
	stress_join(&forking, 1);
	stress_stop();
	stress_join(t, 2);
	assert_int_equal(failed, 0);
	kvfree_rcu_barrier();
}

/* The grace period waits for the very thread that forks. */
static void fork_inside_a_section_of(const struct flavor *f)
{
	pid_t child;

	f->ops->register_thread();
	f->free(canary_new(64, 1));
	kvfree_rcu_barrier();
	f->ops->read_lock();
	f->free(canary_new(64, 1));
	stress_sleep_ms(30);
	failed = 0;
	child = fork();
	if (!child) {
		stress_watchdog(CHILD_SECONDS);
		use_kmalloc();
		use_pages();
		/* Is queued, perhaps for a grace period that never comes. */
		f->free(canary_new(64, 1));
		f->ops->read_unlock();
		kvfree_rcu_barrier();
		use_everything(NULL);
		_exit(0);
	}
	reap(child);
	f->ops->read_unlock();
	f->ops->unregister_thread();
	kvfree_rcu_barrier();
	assert_int_equal(failed, 0);
}

static void a_fork_may_stand_inside_a_section(void **state)
{
	(void)state;
	fork_inside_a_section_of(&flavor_memb);
	fork_inside_a_section_of(&flavor_mb);
	fork_inside_a_section_of(&flavor_bp);
}

static void an_online_qsbr_thread_may_fork(void **state)
{
	const struct flavor *f = &flavor_qsbr;

	(void)state;
	f->ops->register_thread();
	failed = 0;
	for (int i = 0; i < 20 && !failed; i++) {
		/* Starts a grace period that waits for this thread. */
		f->free(canary_new(64, 1));
		if (i % 2)
			stress_sleep_ms(20);
		fork_and_use(f);
		assert_true(f->ops->read_ongoing());
	}
	f->ops->unregister_thread();
	assert_int_equal(failed, 0);
	kvfree_rcu_barrier();
}

/*
 * Handlers of other libraries allocate, too.  Those registered before knuma's
 * run inside it, when the forking thread has all locks; the others outside.
 */

static bool handlers_on;
static void *from_prepare;
static int handled;

static void around_fork(void)
{
	void *p[80];

	if (!handlers_on)
		return;
	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		p[i] = kmalloc(100 * i, GFP_KERNEL);
	for (unsigned i = 0; i < KN_ARRAY_SIZE(p); i++)
		kfree(p[i]);
	vfree(vmalloc(50000));
	handled++;
}

static void before_fork(void)
{
	if (!handlers_on)
		return;
	around_fork();
	kfree(from_prepare);
	from_prepare = kmalloc(3000, GFP_KERNEL);
	stress_fill(from_prepare, 3000, 7);
}

/* Before the library's own constructor, and so before its handlers. */
__attribute__((constructor(101))) static void register_first(void)
{
	pthread_atfork(before_fork, around_fork, around_fork);
}

static void fork_handlers_may_allocate(void **state)
{
	struct stress_thread t[WORKERS];

	(void)state;
	pthread_atfork(before_fork, around_fork, around_fork);
	handlers_on = true;
	stress_go_on();
	stress_start(t, WORKERS, do_anything, NULL);
	let_threads_start();
	failed = 0;
	for (int i = 0; i < 20 && !failed; i++) {
		fork_and_use(&flavor_memb);
		if (!stress_check(from_prepare, 3000, 7))
			failed++;
	}
	stress_stop();
	stress_join(t, WORKERS);
	handlers_on = false;
	kfree(from_prepare);
	assert_int_equal(failed, 0);
	assert_int_equal(handled, 80);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_of_a_busy_process_work),
		cmocka_unit_test(a_child_owns_what_the_forking_thread_had),
		cmocka_unit_test(two_threads_may_fork_at_once),
		cmocka_unit_test(a_fork_may_meet_a_grace_period),
		cmocka_unit_test(a_fork_may_stand_between_the_hooks_of_bp),
		cmocka_unit_test(a_fork_may_stand_inside_a_section),
		cmocka_unit_test(an_online_qsbr_thread_may_fork),
		cmocka_unit_test(fork_handlers_may_allocate),
	};

	stress_init(argc, argv);
	kfree(kmalloc(1, GFP_KERNEL));
	if (knuma_conf_set("rcu_delay_ms", "1"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
