/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"

enum { FREE, TAKEN, WAITED_FOR };

/* Longer than any section under these locks, far shorter than a time slice. */
#define SPINS 100

static int spins = SPINS;

kn_tls bool kn_forking;
static kn_tls int nr_held;
static uint64_t nr_contended;

#ifdef KN_DEBUG
static kn_tls uint32_t ranks_held;
/* Before a wait that would never end. */
static void rank_check(const struct kn_lock *l)
{
	/* Nothing of this rank or later is held: order, and no re-entry. */
	KN_ASSERT(ranks_held >> l->rank == 0);
}
static void rank_take(const struct kn_lock *l)
{
	KN_COUNTED_LOCK(l->rank);
	ranks_held |= 1u << l->rank;
}
static void rank_drop(const struct kn_lock *l)
{
	KN_COUNTED(shared);
	ranks_held &= ~(1u << l->rank);
}
#else
static void rank_check(const struct kn_lock *l)
{
	(void)l;
}
static void rank_take(const struct kn_lock *l)
{
	KN_COUNTED_LOCK(l->rank);
	(void)l;
}
static void rank_drop(const struct kn_lock *l)
{
	KN_COUNTED(shared);
	(void)l;
}
#endif

static bool take(struct kn_lock *l)
{
	uint32_t expected = FREE;

	return kn_load(&l->word) == FREE &&
	       __atomic_compare_exchange_n(&l->word, &expected, TAKEN, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void kn_sleep_while(uint32_t *word, uint32_t value, long ms)
{
	const struct timespec most = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};
	const int saved_errno = errno;

	KN_COUNTED(calls);
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &most, NULL, 0);
	errno = saved_errno;
}

void kn_wake_one(uint32_t *word)
{
	const int saved_errno = errno;

	KN_COUNTED(calls);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

static kn_slow void lock_slow(struct kn_lock *l)
{
	KN_COUNTED(waits);
	for (int i = kn_load(&spins); i > 0; i--) {
		ck_pr_stall();
		if (take(l))
			return;
	}
	/* The timeout bounds the wait for an unlock that could not wake anyone. */
	while (__atomic_exchange_n(&l->word, WAITED_FOR, __ATOMIC_ACQUIRE))
		kn_sleep_while(&l->word, WAITED_FOR, 1);
}

/*
 * Counted before a lock is taken and after it is free: a handler in between sees
 * one too many, and never one too few.
 */
void kn_lock_hold(void)
{
	kn_store(&nr_held, nr_held + 1);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void kn_lock_let_go(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	kn_store(&nr_held, nr_held - 1);
}

bool kn_lock_is_held(void)
{
	return kn_forking || nr_held > 0;
}

void kn_lock(struct kn_lock *l)
{
	if (kn_forking)
		return;
	rank_check(l);
	kn_lock_hold();
	if (!take(l))
		lock_slow(l);
	rank_take(l);
}

void kn_lock_next(struct kn_lock *l)
{
	kn_lock_hold();
	if (!take(l))
		lock_slow(l);
	rank_take(l);
}

bool kn_trylock(struct kn_lock *l)
{
	if (kn_forking)
		return true;
	kn_lock_hold();
	if (!take(l)) {
		kn_lock_let_go();
		kn_count(&nr_contended, 1);
		KN_COUNTED(waits);
		return false;
	}
	rank_take(l);
	return true;
}

void kn_unlock(struct kn_lock *l)
{
	if (kn_forking)
		return;
	rank_drop(l);
	if (__atomic_exchange_n(&l->word, FREE, __ATOMIC_RELEASE) == WAITED_FOR)
		kn_wake_one(&l->word);
	kn_lock_let_go();
}

void kn_unlock_quiet(struct kn_lock *l)
{
	if (kn_forking)
		return;
	rank_drop(l);
	kn_store_release(&l->word, FREE);
	kn_lock_let_go();
}

bool kn_lock_if(struct kn_lock *l, bool may_block)
{
	if (!may_block)
		return kn_trylock(l);
	kn_lock(l);
	return true;
}

void kn_unlock_if(struct kn_lock *l, bool may_block)
{
	if (may_block)
		kn_unlock(l);
	else
		kn_unlock_quiet(l);
}

void kn_wait_clear(const uint32_t *word)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	const int saved_errno = errno;

	for (int i = 0; kn_load(word); i++) {
		if (i < kn_load(&spins)) {
			ck_pr_stall();
		} else {
			KN_COUNTED(calls);
			nanosleep(&nap, NULL);
		}
	}
	errno = saved_errno;
}

void kn_lock_may_spin(bool may)
{
	kn_store(&spins, may ? SPINS : 0);
}

void kn_lock_reset(struct kn_lock *l)
{
	rank_drop(l);
	kn_store(&l->word, FREE);
	nr_held = 0;
}

uint64_t kn_lock_contended(void)
{
	return kn_load(&nr_contended);
}
