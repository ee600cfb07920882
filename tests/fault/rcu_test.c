/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deferred frees when the system refuses: memory for a batch, a thread, the
 * fence, a whole sleep.  Nothing is lost: what was queued was freed or waits.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

#include <knuma/numa.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/magazine.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/slab.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/libc/refusals.h"
#include "tests/support/syscalls.h"

enum {
	/* More batches than there are blocks from the first chunk. */
	OBJECTS = 100 * KN_BATCH_MAX,
	FAULTS_AT_MOST = 200,
};

struct conn {
	char before[16];
	struct rcu_head rcu;
	char after[60];
};

static struct conn *conns[OBJECTS];

/* A flavour whose grace period ends when the test says so. */

static int held, periods, inside;

static int get(const int *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void set(int *p, int v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static void synchronize(void)
{
	while (get(&held))
		usleep(200);
	__atomic_add_fetch(&periods, 1, __ATOMIC_SEQ_CST);
}

static int ongoing(void)
{
	return get(&inside);
}

/* A reader that is online instead of inside; those of the library never are. */
static bool qsbr;
static int offline;

static void goes_offline(void)
{
	if (qsbr) {
		offline++;
		set(&inside, 0);
	}
}

static void goes_online(void)
{
	if (qsbr)
		set(&inside, 1);
}

const struct rcu_flavor_struct rcu_flavor = {
	.read_ongoing = ongoing,
	.thread_offline = goes_offline,
	.thread_online = goes_online,
	.update_synchronize_rcu = synchronize,
};

static void refuse_threads(uint64_t times)
{
	libc_refuse(LIBC_pthread_create, 1, times, EAGAIN);
}

static uint64_t creations(void)
{
	return libc_calls(LIBC_pthread_create);
}

/* What was queued was freed or waits, by number and by bytes. */
static void nothing_is_lost(const struct kmem_cache *s, uint64_t waiting)
{
	CHECK_EQ(stat_of("rcu_queued"), stat_of("rcu_freed") + waiting);
	CHECK_EQ(stat_of("rcu_waiting_bytes"), waiting * s->size);
}

static struct kmem_cache *start(void)
{
	struct kmem_cache *s;

	start_quiet();
	s = KMEM_CACHE(conn, 0);
	CHECK(s);
	for (int i = 0; i < OBJECTS; i++) {
		conns[i] = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(conns[i]);
	}
	return s;
}

static void queue(int from, int to)
{
	for (int i = from; i < to; i++)
		kfree_rcu(conns[i], rcu);
}

static void end(struct kmem_cache *s)
{
	set(&held, 0);
	kvfree_rcu_barrier();
	nothing_is_lost(s, 0);
	kmem_cache_destroy(s);
	/* It was found empty, or its id would be kept. */
	CHECK_EQ(s->mag.id, 0);
	heap_verify();
}

static void no_memory_for_a_batch(void)
{
	struct kmem_cache *s = start();

	faults_install();
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	set(&held, 1);
	queue(0, OBJECTS);
	/* Most batches had no block, and wait linked. */
	CHECK(kn_block_bytes() / sizeof(struct kn_block) <
	      OBJECTS / KN_BATCH_MAX);
	nothing_is_lost(s, OBJECTS);
	/* Nor has the depot a block for what comes out of the round. */
	end(s);
	/* checks kfree_rcu: "Never fails" */
	CHECK(faults_failed() > 0);
	CHECK_EQ(strlen(printed()), 0);
}

/* For ever; but the background thread was made before. */
static void without_a_thread_the_background_does_its_work(void)
{
	struct kmem_cache *s;

	conf("background", "yes");
	conf("trim_delay_ms", "10ms");
	kfree(kmalloc(1, GFP_KERNEL));
	s = KMEM_CACHE(conn, 0);
	for (int i = 0; i < OBJECTS; i++)
		conns[i] = kmem_cache_alloc(s, GFP_KERNEL);
	refuse_threads(LIBC_FOR_EVER);
	queue(0, OBJECTS);
	for (int i = 0; i < 6000 && stat_of("rcu_freed") < OBJECTS; i++)
		usleep(10000);
	CHECK_EQ(stat_of("rcu_freed"), OBJECTS);
	CHECK(libc_refused(LIBC_pthread_create) > 0);
	end(s);
}

/* All that comes out of the round goes to the slabs. */
static void no_depot(void)
{
	struct kmem_cache *s;

	conf("depot_batches", "0");
	s = start();
	queue(0, OBJECTS);
	kvfree_rcu_barrier();
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		CHECK_EQ(s->mag.depot[node].nr_full, 0);
	nothing_is_lost(s, 0);
	end(s);
}

/* A call without a head waits itself, and frees itself. */
static void no_memory_for_a_head(void)
{
	static void *full[400000];
	struct kmem_cache *s = start();
	int n = 0, before;

	faults_install();
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	while (n < 400000 && (full[n] = kmalloc(sizeof(struct rcu_head),
						GFP_KERNEL | __GFP_NOWARN)))
		n++;
	CHECK(n < 400000);
	before = get(&periods);
	qsbr = true;
	set(&inside, 1);
	for (int i = 0; i < 10; i++)
		kfree_rcu_mightsleep(conns[i]);
	qsbr = false;
	set(&inside, 0);
	/* checks kfree_rcu_mightsleep: "Waits for a grace period when there" */
	CHECK_EQ(get(&periods), before + 10);
	/* checks kfree_rcu_mightsleep: "A QSBR reader is offline" */
	CHECK_EQ(get(&offline), 10);
	CHECK_EQ(stat_of("rcu_queued"), 0);
	while (n--)
		kfree(full[n]);
	queue(10, OBJECTS);
	nothing_is_lost(s, OBJECTS - 10);
	end(s);
}

static void await_freed(uint64_t n)
{
	while (stat_of("rcu_freed") < n) {
		kn_rcu_step();
		usleep(1000);
	}
}

static uint64_t times;

/* What makes a thread tries again, without another call of kfree_rcu(). */
static void no_thread_for_a_while(void)
{
	struct kmem_cache *s = start();
	uint64_t before;

	refuse_threads(times);
	before = creations();
	queue(0, OBJECTS);
	kn_rcu_step();
	CHECK_EQ(creations(), before + 1);
	nothing_is_lost(s, OBJECTS);
	CHECK_EQ(printed_times("gives no thread"), 1);
	/* Not at once. */
	for (int i = 0; i < 100; i++)
		kn_rcu_step();
	CHECK(creations() < before + 100);
	await_freed(OBJECTS);
	CHECK_EQ(creations(), before + times + 1);
	CHECK_EQ(printed_times("gives no thread"), 1);
	end(s);
}

static void the_first_threads_are_refused(void)
{
	struct child c;

	for (times = 1; times <= 3; times++) {
		child_run(no_thread_for_a_while, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, "passed");
	}
}

/* Who waits does the work. */
static void no_thread_at_all(void)
{
	struct kmem_cache *s = start();

	refuse_threads(LIBC_FOR_EVER);
	queue(0, OBJECTS / 2);
	kn_rcu_step();
	kvfree_rcu_barrier();
	CHECK(get(&periods) > 0);
	nothing_is_lost(s, 0);
	kfree_rcu_mightsleep(conns[OBJECTS / 2]);
	queue(OBJECTS / 2 + 1, OBJECTS);
	kvfree_rcu_barrier_on_cache(s);
	end(s);
	CHECK_EQ(printed_times("gives no thread"), 1);
}

/* It runs as others do then, which is no matter of a message. */
static void no_short_slice_for_the_thread(void)
{
	static const int nr[] = {SYS_sched_setattr, SYS_prctl};
	struct kmem_cache *s = start();

	if (!syscalls_refuse(nr, 2, EPERM))
		skip_child("no seccomp");
	queue(0, OBJECTS);
	await_freed(OBJECTS);
	CHECK_EQ(strlen(printed()), 0);
	end(s);
}

/* The thread looks by itself, only later. */
static void a_wake_up_that_is_refused(void)
{
	const int nr = SYS_futex;
	struct kmem_cache *s = start();

	queue(0, OBJECTS / 2);
	await_freed(OBJECTS / 2);
	CHECK(kn_grace_has_thread(0));
	/* In this thread only. */
	if (!syscalls_refuse(&nr, 1, EPERM))
		skip_child("no seccomp");
	queue(OBJECTS / 2, OBJECTS);
	errno = EBADF;
	kn_grace_wake(kn_grace_of(&rcu_flavor));
	CHECK_EQ(errno, EBADF);
	await_freed(OBJECTS);
	nothing_is_lost(s, 0);
	heap_verify();
}

/* Over the budget there is nobody to wake, so nobody sleeps. */
static void no_thread_over_the_budget(void)
{
	struct kmem_cache *s;

	conf("rcu_budget", "64K");
	s = start();
	refuse_threads(LIBC_FOR_EVER);
	queue(0, OBJECTS);
	CHECK(stat_of("rcu_waiting_bytes") > 64 << 10);
	CHECK_EQ(stat_of("rcu_sleeps"), 0);
	nothing_is_lost(s, OBJECTS);
	end(s);
}

/* What lies in closed magazines stays there, and is counted. */
static void the_fence_is_refused(void)
{
	struct kmem_cache *s = start();
	uint64_t left;

	if (strcmp(knuma_mode(), "rseq") != 0)
		skip_child("no restartable sequences here");
	queue(0, OBJECTS / 2 + 7);
	faults_install();
	faults_fail(FAULT_MEMBARRIER, 1, FAULTS_FOR_EVER, EPERM);
	kvfree_rcu_barrier();
	CHECK_EQ(printed_times("closed for good"), 1);
	left = stat_of("rcu_waiting_bytes") / s->size;
	/* What a CPU holds at most. */
	CHECK(left > 0 && left <= KN_MAG_SLOTS * (uint64_t)kn_topo.nr_cpus);
	nothing_is_lost(s, left);
	/* From here on past the magazines. */
	queue(OBJECTS / 2 + 7, OBJECTS);
	kvfree_rcu_barrier();
	nothing_is_lost(s, left);
	heap_verify();
	/* The cache is gone, its memory stays, and that is said. */
	kmem_cache_destroy(s);
	CHECK(s->mag.id != 0);
	heap_verify();
}

static void the_fence_is_refused_in_a_round(void)
{
	struct kmem_cache *s = start();

	if (strcmp(knuma_mode(), "rseq") != 0)
		skip_child("no restartable sequences here");
	faults_install();
	set(&held, 1);
	queue(0, OBJECTS / 2);
	kn_rcu_step();
	while (!stat_of("drain_rounds"))
		usleep(1000);
	queue(OBJECTS / 2, OBJECTS);
	faults_fail(FAULT_MEMBARRIER, 1, FAULTS_FOR_EVER, EPERM);
	set(&held, 0);
	kvfree_rcu_barrier();
	nothing_is_lost(s, stat_of("rcu_waiting_bytes") / s->size);
	heap_verify();
}

/* Sleeps over the budget that a signal ends, whose handler queues, too. */

static struct conn *of_handler[OBJECTS];
static int nr_handled, nr_of_handler;

static void handler(int sig)
{
	const int saved_errno = errno;

	(void)sig;
	if (nr_handled < nr_of_handler) {
		struct conn *c = of_handler[nr_handled];

		__atomic_add_fetch(&nr_handled, 1, __ATOMIC_SEQ_CST);
		kfree_rcu(c, rcu);
	}
	errno = saved_errno;
}

static void signals(long every_us)
{
	const struct itimerval it = {.it_interval.tv_usec = every_us,
				     .it_value.tv_usec = every_us};

	CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
}

static void sleeps_are_interrupted(void)
{
	const struct sigaction act = {.sa_handler = handler};
	struct kmem_cache *s;
	struct conn *c;

	conf("rcu_budget", "64K");
	conf("rcu_full", "grow");
	s = start();
	for (int i = 0; i < OBJECTS; i++) {
		of_handler[i] = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(of_handler[i]);
	}
	nr_of_handler = OBJECTS;
	CHECK_EQ(sigaction(SIGALRM, &act, NULL), 0);
	set(&held, 1);
	kfree_rcu_mightsleep(kmalloc(10, GFP_KERNEL));
	signals(150);
	for (int i = 0; i < OBJECTS; i++) {
		errno = EBADF;
		kfree_rcu(conns[i], rcu);
		CHECK_EQ(errno, EBADF);
	}
	signals(0);
	CHECK(stat_of("rcu_sleeps") > 0);
	CHECK(get(&nr_handled) > 0);
	CHECK_EQ(stat_of("rcu_queued"),
		 stat_of("rcu_freed") + OBJECTS + 1 + (uint64_t)nr_handled);
	set(&held, 0);
	kvfree_rcu_barrier();
	/* Those that the handler did not come to. */
	for (int i = nr_handled; i < OBJECTS; i++) {
		c = of_handler[i];
		kmem_cache_free(s, c);
	}
	end(s);
}

/* The n-th system call of a whole life of a cache, for each n. */

static uint64_t nth;

static void one_life(void)
{
	struct kmem_cache *s;
	int n = 0;

	conf("background", "no");
	conf("trim_delay_ms", "0");
	faults_install();
	faults_fail(FAULT_ANY, nth, 1, ENOMEM);
	s = KMEM_CACHE(conn, 0);
	if (!s)
		s = KMEM_CACHE(conn, 0);
	CHECK(s);
	for (; n < OBJECTS; n++) {
		conns[n] = kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOWARN);
		if (!conns[n])
			break;
	}
	queue(0, n);
	CHECK_EQ(stat_of("rcu_queued"), n);
	kvfree_rcu_barrier();
	nothing_is_lost(s, stat_of("rcu_waiting_bytes") / s->size);
	heap_verify();
	if (strcmp(knuma_mode(), "rseq") || !faults_failed())
		kmem_cache_destroy(s);
	heap_verify();
	_exit(faults_failed() ? 0 : 77);
}

static void each_system_call_fails_once(void)
{
	struct child c = {0};

	for (nth = 1; nth <= FAULTS_AT_MOST; nth++) {
		child_run(one_life, &c);
		if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77)
			break;
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, "passed");
	}
	/* Some were made, and the last life had all that it asked for. */
	CHECK(nth > 3 && nth <= FAULTS_AT_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(no_memory_for_a_batch),
		child_test(no_depot),
		child_test(without_a_thread_the_background_does_its_work),
		child_test(no_memory_for_a_head),
		child_test(the_first_threads_are_refused),
		child_test(no_thread_at_all),
		child_test(no_short_slice_for_the_thread),
		child_test(a_wake_up_that_is_refused),
		child_test(no_thread_over_the_budget),
		child_test(the_fence_is_refused),
		child_test(the_fence_is_refused_in_a_round),
		child_test(sleeps_are_interrupted),
		child_test(each_system_call_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
