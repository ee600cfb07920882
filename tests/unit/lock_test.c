/* SPDX-License-Identifier: Apache-2.0 */
/* The lock: its states, those who wait, those who may not, ranks, fork. */
#include "alloc/base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/child.h"
#include "tests/support/syscalls.h"

static struct kn_lock one = KN_LOCK_INIT(zone);
static struct kn_lock later = KN_LOCK_INIT(map);

static void taken_and_given_back(void)
{
	CHECK_EQ(one.word, 0);
	errno = 3;
	kn_lock(&one);
	CHECK_EQ(one.word, 1);
	kn_unlock(&one);
	CHECK_EQ(one.word, 0);
	kn_lock(&one);
	kn_unlock_quiet(&one);
	CHECK_EQ(one.word, 0);
	CHECK_EQ(errno, 3);
}

static void a_try_fails_while_it_is_taken(void)
{
	const uint64_t before = kn_lock_contended();

	CHECK(kn_trylock(&one));
	/* By the same thread, too: a signal handler is safe. */
	CHECK(!kn_trylock(&one));
	CHECK(!kn_lock_if(&one, false));
	CHECK_EQ(kn_lock_contended() - before, 2);
	kn_unlock_if(&one, false);
	CHECK(kn_lock_if(&one, true));
	kn_unlock_if(&one, true);
	CHECK(kn_lock_if(&one, false));
	kn_unlock(&one);
}

#define THREADS 6
#define TIMES	30000

static uint64_t counter;

static void *count(void *quiet)
{
	for (int i = 0; i < TIMES; i++) {
		kn_lock(&one);
		counter++;
		if (quiet && i % 3)
			kn_unlock_quiet(&one);
		else
			kn_unlock(&one);
	}
	return NULL;
}

static void one_at_a_time(void)
{
	pthread_t thread[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, count, (void *)(i % 2));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(counter, (uint64_t)THREADS * TIMES);
	CHECK_EQ(one.word, 0);
}

static int got_it;

static void *wait_for_it(void *errno_kept)
{
	errno = 17;
	kn_lock(&one);
	*(bool *)errno_kept = errno == 17;
	__atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
	kn_unlock(&one);
	return NULL;
}

/* One that sleeps comes by when an unlock could not wake it. */
static void sleepers_need_no_wake(bool quiet)
{
	bool errno_kept = false;
	pthread_t thread;

	got_it = 0;
	kn_lock(&one);
	pthread_create(&thread, NULL, wait_for_it, &errno_kept);
	while (__atomic_load_n(&one.word, __ATOMIC_SEQ_CST) != 2)
		usleep(100);
	usleep(3000);
	CHECK_EQ(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST), 0);
	if (quiet)
		kn_unlock_quiet(&one);
	else
		kn_unlock(&one);
	pthread_join(thread, NULL);
	CHECK_EQ(got_it, 1);
	CHECK(errno_kept);
}

static void a_sleeper_is_woken(void)
{
	for (int i = 0; i < 20; i++)
		sleepers_need_no_wake(false);
}

static void a_sleeper_wakes_by_itself(void)
{
	for (int i = 0; i < 20; i++)
		sleepers_need_no_wake(true);
}

static void refuse_futex(void)
{
	static const int nr = SYS_futex;

	if (!syscalls_refuse(&nr, 1, ENOSYS))
		skip_child("no seccomp");
}

static void *wait_without_futex(void *errno_kept)
{
	refuse_futex();
	return wait_for_it(errno_kept);
}

/* Neither can sleep nor be woken: the lock is one all the same. */
static void a_system_that_refuses_to_wait(void)
{
	static bool errno_kept;
	pthread_t thread;

	kn_lock(&one);
	CHECK_EQ(pthread_create(&thread, NULL, wait_without_futex, &errno_kept),
		 0);
	/* What joins a thread waits for a futex. */
	CHECK_EQ(pthread_detach(thread), 0);
	refuse_futex();
	while (__atomic_load_n(&one.word, __ATOMIC_SEQ_CST) != 2)
		usleep(100);
	CHECK_EQ(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST), 0);
	errno = 18;
	kn_unlock(&one);
	CHECK_EQ(errno, 18);
	while (!__atomic_load_n(&got_it, __ATOMIC_SEQ_CST))
		usleep(100);
	CHECK(errno_kept);
	kn_lock(&one);
	kn_unlock(&one);
	CHECK_EQ(one.word, 0);
}

static void a_reset_forgets_its_holder(void)
{
	kn_lock(&one);
	kn_lock_reset(&one);
	CHECK_EQ(one.word, 0);
	kn_lock(&one);
	kn_unlock(&one);
}

/* The thread that forks holds all locks already. */
static void nothing_waits_while_forking(void)
{
	kn_lock(&one);
	kn_forking = true;
	kn_lock(&one);
	CHECK(kn_trylock(&one));
	kn_unlock(&one);
	kn_unlock_quiet(&one);
	kn_forking = false;
	CHECK_EQ(one.word, 1);
	kn_unlock(&one);
}

static void in_order(void)
{
	kn_lock(&one);
	kn_lock(&later);
	kn_unlock(&later);
	kn_unlock(&one);
	kn_lock(&later);
	kn_unlock(&later);
}

static void out_of_order(void)
{
	kn_lock(&later);
	kn_lock(&one);
}

static void twice(void)
{
	kn_lock(&one);
	kn_lock(&one);
}

/* A try cannot end in a deadlock, so it may be out of order. */
static void a_try_out_of_order(void)
{
	kn_lock(&later);
	CHECK(kn_trylock(&one));
	kn_unlock(&one);
	kn_unlock(&later);
}

static void ranks_are_held_in_order(void)
{
	in_order();
	a_try_out_of_order();
#ifdef KN_DEBUG
	struct child c;

	child_run(out_of_order, &c);
	CHECK(child_killed(&c, SIGABRT));
	child_run(twice, &c);
	CHECK(child_killed(&c, SIGABRT));
#else
	(void)out_of_order;
	(void)twice;
#endif
}

static void several_of_a_rank(void)
{
	static struct kn_lock lock[4];

	for (int i = 0; i < 4; i++) {
		lock[i].rank = KN_RANK_slab;
		kn_lock_next(&lock[i]);
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(lock[i].word, 1);
	for (int i = 0; i < 4; i++)
		kn_unlock(&lock[i]);
	kn_lock(&lock[0]);
	kn_unlock(&lock[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(taken_and_given_back),
		child_test(a_try_fails_while_it_is_taken),
		child_test(one_at_a_time),
		child_test(a_sleeper_is_woken),
		child_test(a_sleeper_wakes_by_itself),
		child_test(a_system_that_refuses_to_wait),
		child_test(a_reset_forgets_its_holder),
		child_test(nothing_waits_while_forking),
		child_test(ranks_are_held_in_order),
		child_test(several_of_a_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
