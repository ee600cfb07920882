/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/background.h"

#include <errno.h>
#include <knuma/tunables.h>
#include <knuma/types.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/lock.h"
#include "alloc/base/probes.h"
#include "alloc/config/tunables.h"
#include "alloc/core/homes.h"
#include "alloc/core/pressure.h"
#include "alloc/core/shrinker.h"
#include "alloc/core/start.h"
#include "alloc/core/surplus.h"
#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/page_alloc.h"
#include "alloc/percpu/percpu.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/fence.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/rseq.h"

/* The rate at which memory goes back: bytes a tick and node. */
#define PURGE_BYTES ((uint64_t)256 << 20)

/* Between tries to make a thread that the system refused. */
#define RETRY_MS 100

static uint32_t running;	/* the thread exists; atomic */
static uint64_t retry_ms;	/* none could be made: not before; atomic */
static uint32_t ticking;	/* a tick is under way; atomic */
static uint64_t next_ms;	/* of the slow path's tick; atomic */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Nodes that came, went, or are no longer allowed; one node never changes. */
static void follow_topology(bool all)
{
	if (kn_topo.nr_nodes == 1)
		return;
	kn_topology_reread();
	kn_homes_tick(all);
}

/* One node: with more, nothing is mapped by steps. */
static uint64_t unmap_free(bool all)
{
	return kn_span.by_steps ?
		       kn_vmap_unmap_free(0) + kn_zone_shrink(0, all) :
		       0;
}

static bool give_back(void)
{
	kn_caches_reclaim();
	kn_page_trim(0, true);
	kn_vmap_trim(now_ms(), true);
	return unmap_free(true) > 0;
}

static void tick(bool all)
{
	if (!ck_pr_cas_32(&ticking, 0, 1))
		return;
	follow_topology(all);
	kn_banks_make_wanted();
	kn_rcu_tick();
	kn_drain_idle();
	kn_fence_tick();
	kn_caches_trim();
	kn_vmap_trim(now_ms(), all);
	kn_percpu_trim(all);
	kn_probe_trim(all, kn_page_trim(all ? UINT64_MAX : PURGE_BYTES, all));
	unmap_free(all);
	/* Whoever trims asks no more than that. */
	if (!all)
		kn_pressure_look(now_ms(), false, kn_load(&running));
	kn_store_release(&ticking, 0);
}

/* A look between ticks: memory is short, or the kernel says so. */
static void look(bool fired)
{
	const uint64_t now = now_ms();

	if (!fired && !kn_pressure_is_due(now))
		return;
	if (!ck_pr_cas_32(&ticking, 0, 1))
		return;
	kn_pressure_look(now, fired, true);
	kn_store_release(&ticking, 0);
}

/* Between ticks; without them the setting is looked at each second. */
static uint64_t delay(void)
{
	return kn_load(&kn_tun.trim_delay_ms) ?: 1000;
}

static void *background(void *unused)
{
	uint64_t due;

	(void)unused;
	pthread_setname_np(pthread_self(), "knuma/trim");
	/* Distances and memory attributes, where there is a choice of nodes. */
	if (kn_topo.nr_nodes > 1)
		kn_topology_refine();
	due = now_ms() + delay();
	for (;;) {
		const uint64_t now = now_ms();

		if (now < due) {
			look(kn_pressure_sleep(now, due - now));
			continue;
		}
		if (kn_load(&kn_tun.trim_delay_ms))
			tick(false);
		/* In no tick: it may wait for readers. */
		kn_rcu_run_threadless();
		due = now_ms() + delay();
	}
	return NULL;
}

static kn_slow void report_no_thread(int err)
{
	kn_store(&retry_ms, now_ms() + RETRY_MS);
	kn_warn_once("no thread for background work: %s; until there is one, "
		     "allocations do it; raise the limit on processes "
		     "(ulimit -u)",
		     strerrordesc_np(err));
}

void kn_background_start(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (likely(kn_load(&running)) || kn_tun.background == KN_CHOICE_NO ||
	    !kn_load_acquire(&kn_started) || now_ms() < kn_load(&retry_ms) ||
	    !ck_pr_cas_32(&running, 0, 1))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	err = pthread_create(&thread, &attr, background, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		report_no_thread(err);
		kn_store(&running, 0);
	}
}

/* The slow path's step: of a page refill that may wait, in no lock. */
static void slow_path_step(bool from_malloc)
{
	const uint64_t delay_ms = kn_load(&kn_tun.trim_delay_ms);
	uint64_t now, due;

	if (!from_malloc)
		kn_rcu_step();
	if (!__libc_single_threaded && !from_malloc)
		kn_background_start();
	if (kn_load(&running) || !delay_ms)
		return;
	now = now_ms();
	due = kn_load(&next_ms);
	if (now < due || !ck_pr_cas_64(&next_ms, due, now + delay_ms))
		return;
	if (due)
		tick(false);
}

void kn_background_init(void)
{
	kn_store(&kn_slow_hook, slow_path_step);
	kn_store(&kn_give_back_hook, give_back);
	if (kn_tun.background == KN_CHOICE_YES)
		kn_background_start();
}

void kn_background_after_fork_child(void)
{
	kn_store(&running, 0);
	kn_store(&ticking, 0);
	kn_pressure_after_fork_child();
}

int knuma_trim(void)
{
	if (!kn_start())
		return -ENOMEM;
	kn_store(&kn_span.purge_error, 0);
	kn_shrink(GFP_KERNEL, KN_SHRINK_ALL_NODES, 0);
	kn_caches_reclaim();
	tick(true);
	return kn_load(&kn_span.purge_error);
}

/*
 * Called by the preload library when a thread found no room: whether the heap had
 * some of it, so that another try may find more.
 */
bool knuma_thread_refused(void) KN_API;
bool knuma_thread_refused(void)
{
	return kn_load_acquire(&kn_started) && kn_give_back();
}

/* Called by the preload library after each pthread_create(). */
void knuma_thread_created(void) KN_API;
void knuma_thread_created(void)
{
	if (unlikely(!kn_load(&running)))
		kn_background_start();
}

/*
 * Called by the preload library after a free that the fast path did not take: in a
 * process with one thread there may be no later moment.  free(3) is for no signal
 * handler, yet one that frees all the same must not wait for what it interrupted.
 */
void knuma_freed(void) KN_API;
void knuma_freed(void)
{
	int saved_errno;

	if (!__libc_single_threaded || kn_load(&running) ||
	    !kn_load(&kn_tun.trim_delay_ms) || likely(!kn_surplus_is_there()) ||
	    kn_lock_is_held() || !ck_pr_cas_32(&ticking, 0, 1))
		return;
	saved_errno = errno;
	kn_surplus_give_back(now_ms());
	errno = saved_errno;
	kn_store_release(&ticking, 0);
}
