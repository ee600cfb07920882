/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/lock.h - the only lock of the library
 *
 * A futex word of three states (free, taken, taken with sleepers).  A waiter
 * spins a bounded number of times, then sleeps, because a lock that spins
 * collapses when its holder is preempted.  No lock that an allocation or a free
 * takes is held over a system call; drain and cache_list, of administration,
 * are held over the fence.
 *
 * Contexts.  A call that may not wait uses kn_trylock() and, to make no system
 * call either, kn_unlock_quiet(): a sleeper then wakes by its timeout.  An
 * interrupted holder in the same thread makes the try fail, so a signal handler
 * is safe.
 *
 * Fork.  Between prepare and its end the forking thread holds every lock, and
 * may still allocate: kn_forking makes its lock calls succeed at once.
 *
 * Ranks (lock_ranks.def) are checked in debug builds for calls that wait.
 */
#ifndef KN_BASE_LOCK_H
#define KN_BASE_LOCK_H

#include "alloc/base/compiler.h"

enum kn_lock_rank {
#define KN_LOCK_RANK(name, help) KN_RANK_##name,
#include "alloc/base/lock_ranks.def"
#undef KN_LOCK_RANK
	KN_NR_LOCK_RANKS
};

struct kn_lock {
	uint32_t word;		/* 0 free, 1 taken, 2 taken and waited for */
	uint32_t rank;
};

#define KN_LOCK_INIT(rank_name) { 0, KN_RANK_##rank_name }

void kn_lock(struct kn_lock *l);
/* One more lock of a rank that is held; the caller keeps an order among them. */
void kn_lock_next(struct kn_lock *l);
bool kn_trylock(struct kn_lock *l) kn_must_check;
void kn_unlock(struct kn_lock *l);
void kn_unlock_quiet(struct kn_lock *l);

/* Waits if @may_block, else tries once. */
bool kn_lock_if(struct kn_lock *l, bool may_block) kn_must_check;
void kn_unlock_if(struct kn_lock *l, bool may_block);

/*
 * Waits with short sleeps until *@word, which a thread has set for the time of a
 * system call, is 0.  Like a lock: it may take as long as that thread does not
 * run, and a count of tries would only fail the sooner the busier the machine.
 */
void kn_wait_clear(const uint32_t *word);

/*
 * Sleeps while *@word is @value: until kn_wake_one(), at most @ms.  May wake for
 * no reason, and may not sleep at all.
 */
void kn_sleep_while(uint32_t *word, uint32_t value, long ms);

/* Wakes one who sleeps there.  Leaves errno alone. */
void kn_wake_one(uint32_t *word);

/* Whether waiters spin before they sleep: not where only one thread can run. */
void kn_lock_may_spin(bool may);

/* Forgets holder and sleepers: in a fork child, where neither exists. */
void kn_lock_reset(struct kn_lock *l);

/*
 * Whether this thread holds a lock: in a signal handler, that it interrupted who
 * does, and waiting for any would never end.
 */
bool kn_lock_is_held(void);

/* What else a handler must not wait for counts as a lock, too. */
void kn_lock_hold(void);
void kn_lock_let_go(void);

/* True in the thread that is inside fork(), between prepare and its end. */
extern kn_tls bool kn_forking;

/* Times that a try failed because another thread held the lock. */
uint64_t kn_lock_contended(void);

#endif
