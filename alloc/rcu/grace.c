/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/rcu/grace.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <urcu/flavor.h>

#include "alloc/base/assert.h"
#include "alloc/base/probes.h"
#include "alloc/config/tunables.h"

/* Longer than any grace period but that of a reader which is stuck. */
#define PAUSE_SECONDS 2

/* Between tries to make a thread that the system refused. */
#define RETRY_MS      100

/* Naps: not worth a timer below this; and an idle thread's longest. */
#define NAP_LEAST_US  50
#define NAP_MOST_US   100000

#define SLICE_NS      100000

/* A thread with a longer nap is woken when much waits. */
#define DOZE_US	      1000

/* KN_SKIP_GRACE is a planted error for the tests: no wait in one of 50 rounds. */
#ifdef KN_SKIP_GRACE
#define SKIPPED(nr) ((nr) % 50 == 49)
#else
#define SKIPPED(nr) ((void)(nr), false)
#endif

struct kn_grace {
	const struct rcu_flavor_struct *flavor; /* set once; NULL: unused */
	pthread_mutex_t in_round; /* held by the thread in a round, and by
					   a thread that forks */
	uint32_t wake;		  /* futex: moves when the thread shall look */
	uint32_t begun;		  /* rounds begun; seq_cst against pushes */
	uint32_t ended;		  /* futex: rounds ended */
	uint32_t has_thread;	  /* 0, 1 while it is being made, 2 */
	bool cut_off;		  /* child of a fork inside a read section */
	uint64_t retry_ms;	  /* no thread could be made: not before */
	uint64_t since_ms;	  /* grace period under way; 0: none */
	uint64_t taken_ms;	  /* when the owner last took what waited */
	uint64_t before_ms;	  /* and the time before */
	bool handing;		  /* the owner is in done(); in_round */
	bool dozes;		  /* in a long nap */
} kn_cacheline;

static struct kn_grace graces[KN_MAX_FLAVORS];
static uint64_t nr_periods;
/* Flavours, by index, that this thread paused to fork: others may fork, too. */
static kn_tls uint32_t paused, forked_inside;

struct kn_grace_owner kn_grace_owner;

static void futex_wait(uint32_t *word, uint32_t value, uint64_t us)
{
	const struct timespec t = {
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000) * 1000,
	};
	const int saved_errno = errno;

	KN_COUNTED(calls);
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &t, NULL, 0);
	errno = saved_errno;
}

static void futex_wake(uint32_t *word)
{
	const int saved_errno = errno;

	ck_pr_inc_32(word);
	KN_COUNTED(calls);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
	errno = saved_errno;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct kn_grace *kn_grace_of(const struct rcu_flavor_struct *flavor)
{
	for (int i = 0; i < KN_MAX_FLAVORS; i++) {
		struct kn_grace *g = &graces[i];
		const struct rcu_flavor_struct *seen = kn_load(&g->flavor);

		if (!seen && ck_pr_cas_ptr(&g->flavor, NULL, (void *)flavor))
			seen = flavor;
		if ((seen ? seen : kn_load(&g->flavor)) == flavor)
			return g;
	}
	return NULL;
}

int kn_grace_index(const struct kn_grace *g)
{
	return (int)(g - graces);
}

const struct rcu_flavor_struct *kn_grace_flavor(int i)
{
	return kn_load_acquire(&graces[i].flavor);
}

int kn_grace_nr(void)
{
	int n = 0;

	while (n < KN_MAX_FLAVORS && kn_load(&graces[n].flavor))
		n++;
	return n;
}

bool kn_grace_has_thread(int i)
{
	return kn_load(&graces[i].has_thread) == 2;
}

void kn_grace_wake(struct kn_grace *g)
{
	futex_wake(&g->wake);
}

uint64_t kn_grace_busy_ms(int i, uint64_t *since)
{
	const uint64_t began = kn_load(&graces[i].since_ms);
	const uint64_t now = now_ms();

	*since = began;
	return began && now > began ? now - began : 0;
}

/* What a round waits for was queued after the round before it took its own. */
uint64_t kn_grace_lag_ms(int i)
{
	const struct kn_grace *g = &graces[i];
	const uint64_t before = kn_load(&g->before_ms) ?: kn_load(&g->taken_ms);
	const uint64_t since = kn_load(&g->since_ms) ? before :
						       kn_load(&g->taken_ms);
	const uint64_t now = now_ms();

	return since && now > since ? now - since : 0;
}

static void wait_for_readers(struct kn_grace *g)
{
	const uint64_t nr = kn_load(&nr_periods);

	kn_store(&g->since_ms, now_ms());
	if (!SKIPPED(nr))
		kn_load(&g->flavor)->update_synchronize_rcu();
	kn_store(&g->since_ms, 0);
	kn_count(&nr_periods, 1);
}

/* One round: how many bytes were waiting. */
static uint64_t run_round(struct kn_grace *g)
{
	const int i = kn_grace_index(g);
	uint64_t bytes;

	/* A full fence: what was queued before is seen by take(). */
	ck_pr_inc_32(&g->begun);
	kn_store(&g->before_ms, g->taken_ms);
	kn_store(&g->taken_ms, now_ms());
	bytes = kn_grace_owner.take(i);
	if (bytes) {
		kn_probe_rcu_start(i, bytes);
		wait_for_readers(g);
		kn_store(&g->handing, true);
		kn_grace_owner.done(i);
		kn_store(&g->handing, false);
		kn_probe_rcu_end(i, bytes);
	}
	futex_wake(&g->ended);
	return bytes;
}

/*
 * The nap after one of @nap_us, at whose end @bytes waited.  An idle thread looks
 * ever more seldom.  Else rounds are to be of KN_GRACE_MUCH: objects that are
 * still in the processor's caches are freed and used again for less.
 */
static uint64_t next_nap(uint64_t nap_us, uint64_t bytes)
{
	const uint64_t delay_us =
		KN_MAX(kn_load(&kn_tun.rcu_delay_ms), 1) * 1000;

	if (!bytes)
		return KN_MIN(nap_us * 2 + 1000, NAP_MOST_US);
	nap_us = KN_MAX(nap_us, NAP_LEAST_US);
	nap_us = KN_MIN(nap_us * KN_GRACE_MUCH / bytes, nap_us * 2);
	return KN_MIN(KN_MAX(nap_us, NAP_LEAST_US), delay_us);
}

/*
 * A short slice: since 6.12 a thread that asks for less at a time may run sooner,
 * and before, nobody minds.  And naps that end when they should.
 */
static void ask_for_short_slice(void)
{
	/* As linux/sched/types.h has it, which cannot be included here. */
	const struct {
		uint32_t size;
		uint32_t policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime_ns;
		uint64_t deadline_ns;
		uint64_t period_ns;
	} attr = {
		.size = sizeof(attr),
		.policy = SCHED_OTHER,
		.nice = getpriority(PRIO_PROCESS, 0),
		.runtime_ns = SLICE_NS,
	};

	syscall(SYS_sched_setattr, 0, &attr, 0);
	prctl(PR_SET_TIMERSLACK, 1);
}

static void *grace_thread(void *arg)
{
	struct kn_grace *g = arg;
	uint64_t nap_us = 0;

	pthread_setname_np(pthread_self(), "knuma/rcu");
	ask_for_short_slice();
	for (;;) {
		const uint32_t wake = kn_load(&g->wake);
		uint64_t bytes;

		pthread_mutex_lock(&g->in_round);
		bytes = run_round(g);
		pthread_mutex_unlock(&g->in_round);
		nap_us = next_nap(nap_us, bytes);
		kn_store(&g->dozes, nap_us > DOZE_US);
		futex_wait(&g->wake, wake, nap_us);
		kn_store(&g->dozes, false);
	}
	return NULL;
}

static kn_slow void report_no_thread(struct kn_grace *g, int err)
{
	kn_store(&g->retry_ms, now_ms() + RETRY_MS);
	kn_warn_once(
		"kfree_rcu: the system gives no thread that could wait for "
		"grace periods (error %d): what is queued stays until it "
		"does, or until kvfree_rcu_barrier() is called; raise the "
		"limit on threads",
		err);
}

/* False when the system gives no thread. */
static bool start_thread(struct kn_grace *g)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (g->cut_off || kn_load(&g->has_thread))
		return true;
	if (now_ms() < kn_load(&g->retry_ms))
		return false;
	if (!ck_pr_cas_32(&g->has_thread, 0, 1))
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	err = pthread_create(&thread, &attr, grace_thread, g);
	kn_store(&g->has_thread, err ? 0 : 2);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		report_no_thread(g, err);
	return !err;
}

bool kn_grace_dozes(int i)
{
	return kn_load(&graces[i].dozes);
}

static bool start_or_wake(struct kn_grace *g)
{
	if (!kn_load(&g->has_thread) && kn_grace_owner.waits(kn_grace_index(g)))
		return start_thread(g);
	if (kn_load(&g->dozes))
		futex_wake(&g->wake);
	return true;
}

bool kn_grace_start_threads(void)
{
	bool all = true;

	for (int i = 0; i < KN_MAX_FLAVORS && kn_load(&graces[i].flavor); i++)
		all &= start_or_wake(&graces[i]);
	return all;
}

/*
 * Leaves the caller's read side for a wait, as liburcu's rcu_barrier() does: a
 * QSBR reader goes offline.  Inside a section of another flavour the wait would
 * never end.  False then.
 */
static bool leave_read_side(const struct rcu_flavor_struct *f, bool *online)
{
	*online = f->read_ongoing() != 0;
	if (!*online)
		return true;
	f->thread_offline();
	if (!f->read_ongoing())
		return true;
	kn_bug("waiting for a grace period inside a read section");
	return false;
}

/*
 * The round after the one that may be under way: G2.  KN_BARRIER_EARLY is a
 * planted error for the tests: the one that is under way.
 */
#ifdef KN_BARRIER_EARLY
#define LAST_ROUND ended
#else
#define LAST_ROUND begun
#endif

/* By a caller that may wait for readers, where there is no thread to do it. */
static void run_round_here(struct kn_grace *g)
{
	pthread_mutex_lock(&g->in_round);
	run_round(g);
	pthread_mutex_unlock(&g->in_round);
}

void kn_grace_run_threadless(void)
{
	for (int i = 0; i < KN_MAX_FLAVORS && kn_load(&graces[i].flavor); i++) {
		struct kn_grace *g = &graces[i];

		if (kn_load(&g->retry_ms) && !kn_load(&g->has_thread) &&
		    !g->cut_off && kn_grace_owner.waits(i))
			run_round_here(g);
	}
}

static void wait_for_round(struct kn_grace *g)
{
	const uint32_t last = (ck_pr_fence_memory(), kn_load(&g->LAST_ROUND));
	uint32_t ended;

	while ((int32_t)((ended = kn_load_acquire(&g->ended)) - (last + 1)) <
	       0) {
		if (!start_thread(g)) {
			run_round_here(g);
			continue;
		}
		futex_wake(&g->wake);
		futex_wait(&g->ended, ended, 10000);
	}
}

void kn_grace_barrier(uint32_t mask)
{
	for (int i = 0; i < KN_MAX_FLAVORS && kn_load(&graces[i].flavor); i++) {
		struct kn_grace *g = &graces[i];
		bool online;

		if (!(mask >> i & 1) || g->cut_off)
			continue;
		if (!kn_load(&g->has_thread) && !kn_grace_owner.waits(i))
			continue;
		if (!leave_read_side(kn_load(&g->flavor), &online))
			continue;
		wait_for_round(g);
		if (online)
			kn_load(&g->flavor)->thread_online();
	}
}

void kn_grace_synchronize_one(const struct rcu_flavor_struct *flavor)
{
	bool online;

	if (!leave_read_side(flavor, &online))
		return;
	flavor->update_synchronize_rcu();
	kn_count(&nr_periods, 1);
	if (online)
		flavor->thread_online();
}

void kn_grace_synchronize(void)
{
	for (int i = 0; i < KN_MAX_FLAVORS && kn_load(&graces[i].flavor); i++)
		kn_grace_synchronize_one(kn_load(&graces[i].flavor));
}

uint64_t kn_grace_periods(void)
{
	return kn_load(&nr_periods);
}

/* Takes the mutexes of all flavours, if no round is under way. */
static bool pause_at_once(void)
{
	for (int i = 0; i < KN_MAX_FLAVORS; i++) {
		if (!pthread_mutex_trylock(&graces[i].in_round))
			continue;
		while (i--)
			pthread_mutex_unlock(&graces[i].in_round);
		return false;
	}
	paused = ((uint32_t)1 << KN_MAX_FLAVORS) - 1;
	return true;
}

/* Waits for the round that is under way.  False when it does not end. */
static bool pause_rounds(struct kn_grace *g, bool inside)
{
	struct timespec until;

	/* Inside a section the thread may be waiting for us. */
	if (inside)
		return pthread_mutex_trylock(&g->in_round) == 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PAUSE_SECONDS;
	return pthread_mutex_clocklock(&g->in_round, CLOCK_MONOTONIC, &until) ==
	       0;
}

/*
 * Between liburcu's own hooks all signals are blocked, and its locks taken.  A
 * thread that is no reader of bp must not ask there whether it reads: it would
 * be made one, under the same locks.
 */
static bool between_hooks(void)
{
	sigset_t blocked;

	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	return sigismember(&blocked, SIGINT) &&
	       sigismember(&blocked, SIGSEGV) &&
	       sigismember(&blocked, SIGALRM) && sigismember(&blocked, SIGIO);
}

enum kn_pause kn_grace_pause(int i)
{
	struct kn_grace *g = &graces[i];
	const uint32_t ended = kn_load_acquire(&g->ended);

	if (!kn_load(&g->has_thread) || between_hooks())
		return KN_PAUSE_NOT_NOW;
	futex_wake(&g->wake);
	/* In QSBR who is online: taken offline, it would lose what it found. */
	if (kn_load(&g->flavor)->read_ongoing())
		return KN_PAUSE_INSIDE;
	futex_wait(&g->ended, ended, 1000);
	return KN_PAUSE_SLEPT;
}

/* The flavours whose sections the caller is inside; QSBR goes offline. */
static uint32_t leave_all(uint32_t *online)
{
	uint32_t inside = 0;

	*online = 0;
	for (int i = 0; i < KN_MAX_FLAVORS; i++) {
		const struct rcu_flavor_struct *f = kn_load(&graces[i].flavor);

		if (!f || !f->read_ongoing())
			continue;
		*online |= 1u << i;
		f->thread_offline();
		if (f->read_ongoing())
			inside |= 1u << i;
	}
	return inside;
}

/*
 * Takes every flavour's mutex, used or not: a thread that starts meanwhile waits
 * for it.  A QSBR reader is offline for all of the wait, since the thread that
 * has a mutex may itself be forking, and wait for a grace period.
 *
 * The wait is bounded.  The program may have called liburcu's hooks already, and
 * then the round waits for the end of this fork; or a reader stays inside until
 * the fork is done.
 */
void kn_grace_before_fork(void)
{
	uint32_t online = 0;

	forked_inside = 0;
	if (pause_at_once())
		return;
	if (!between_hooks())
		forked_inside = leave_all(&online);
	paused = 0;
	for (int i = 0; i < KN_MAX_FLAVORS; i++)
		if (pause_rounds(&graces[i], forked_inside >> i & 1))
			paused |= 1u << i;
	for (int i = 0; i < KN_MAX_FLAVORS; i++)
		if (online >> i & 1)
			kn_load(&graces[i].flavor)->thread_online();
}

void kn_grace_after_fork_parent(void)
{
	for (int i = 0; i < KN_MAX_FLAVORS; i++)
		if (paused >> i & 1)
			pthread_mutex_unlock(&graces[i].in_round);
	paused = 0;
}

/*
 * A round that was under way begins again: its thread is not here.  What it was
 * handing on is lost: only a reader's child, which frees nothing, sees that.
 */
static void restart_round(struct kn_grace *g)
{
	if (!kn_load(&g->handing))
		kn_grace_owner.again(kn_grace_index(g));
	g->handing = false;
	g->since_ms = 0;
	g->ended = g->begun;
}

void kn_grace_after_fork_child(void)
{
	for (int i = 0; i < KN_MAX_FLAVORS; i++) {
		struct kn_grace *g = &graces[i];

		if (!(paused >> i & 1)) {
			restart_round(g);
			if (forked_inside >> i & 1) {
				g->cut_off = true;
				kn_warn("fork inside an RCU read section: "
					"kfree_rcu in the child keeps its "
					"memory");
			}
		}
		pthread_mutex_init(&g->in_round, NULL);
		kn_store(&g->has_thread, 0);
		kn_store(&g->retry_ms, 0);
		g->dozes = false;
	}
	paused = 0;
}
