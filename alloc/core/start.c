/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/start.c - the order in which the library starts
 *
 * It starts inside the first allocation, perhaps inside the dynamic loader, so
 * nothing here allocates, opens a library or creates a thread, and what can
 * wait does.  Whoever comes second waits for the lock; a start that failed is
 * tried again by the next call.
 */
#include "alloc/core/start.h"

#include <errno.h>
#include <knuma/version.h>
#include <stdlib.h>

#include "alloc/base/assert.h"
#include "alloc/base/lock.h"
#include "alloc/base/probes.h"
#include "alloc/config/tunables.h"
#include "alloc/core/background.h"
#include "alloc/core/fork.h"
#include "alloc/core/gauges.h"
#include "alloc/core/limits.h"
#include "alloc/core/shrinker.h"
#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/magazine.h"
#include "alloc/page/large.h"
#include "alloc/page/page_alloc.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/harden.h"
#include "alloc/view/live.h"
#include "alloc/view/stats_view.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/fake.h"
#include "numa/span.h"

bool kn_started;

static struct kn_lock start_lock = KN_LOCK_INIT(start);
static kn_tls bool starting;	/* this thread is inside start() */

/* What the fast paths load; the last step before they may run. */
static void open_fast_paths(void)
{
	kn_store(&kn_hot.base, kn_span.base);
	kn_hot.map = (uintptr_t)kn_span.map -
		     (kn_span.base >> KN_PAGE_SHIFT) * sizeof(*kn_span.map);
	kn_hot.small_place = kn_kmalloc_place;
	/* An empty span sends all frees to their slow path. */
	kn_store_release(&kn_hot.size, kn_harden_frees ? 0 : kn_span.size);
	/* Release, all: who finds them may look at all that was made above. */
	kn_store_release(&kn_hot.small_max,
			 kn_allocs_are_slow() ? 0 : KN_KMALLOC_SMALL_MAX);
	kn_large_open();
	kn_harden_open();
}

static bool start_layers(void)
{
	/* 1. What the machine is. */
	kn_fake_start(kn_tun.fake_nodes);
	kn_topology_init();
	/* 2. Address space. */
	if (kn_span_reserve(kn_tun.span))
		return false;
	/* 3. The layers, from below. */
	kn_vmap_init();
	if (kn_mag_init(kn_tun.rseq) || kn_page_init() || kn_cache_init()) {
		kn_warn("cannot map the first tables of the heap: "
			"raise the limit on virtual memory (ulimit -v)");
		kn_span_release();
		return false;
	}
	/* 4. What others may need as soon as they see that it has started. */
	kn_gauges_init();
	kn_rcu_init();
	kn_shrinkers_init();
	open_fast_paths();
	return true;
}

/* 0. What the user wants, from here until the start has failed or for good. */
static bool start_with_settings(void)
{
	kn_tunables_load();
	if (!kn_conf_freeze())
		return false;
	if (start_layers())
		return true;
	kn_conf_thaw();
	return false;
}

void kn_start_lock(void)
{
	kn_lock(&start_lock);
}

void kn_start_unlock(void)
{
	kn_unlock(&start_lock);
}

void kn_start_reset(void)
{
	kn_lock_reset(&start_lock);
}

/* The constructor has run: threads can be made, the environment is there. */
static bool loaded;

/* What may call malloc, and so comes after the heap is up. */
static void finish(void)
{
	kn_background_init();
	if (kn_tun.stats) {
		kn_banner();
		kn_limits_banner();
		kn_conf_tell_others();
	}
	if (kn_load_acquire(&loaded))
		kn_live_start();
}

kn_slow bool kn_start_slow(void)
{
	const int saved_errno = errno;
	bool ok, first = false;

	if (starting) {
		errno = ENOMEM;
		return false;
	}
	starting = true;
	kn_fork_init();
	kn_lock(&start_lock);
	ok = kn_load(&kn_started);
	if (!ok) {
		ok = start_with_settings();
		first = ok;
		kn_store_release(&kn_started, ok);
	}
	kn_unlock(&start_lock);
	starting = false;
	if (first)
		finish();
	errno = ok ? saved_errno : ENOMEM;
	return ok;
}

/*
 * Fork handlers come before the first thread that could start while another one
 * forks, and before other libraries' handlers, which may allocate.
 *
 * Who asks for the banner or for statistics gets them from a program that never
 * allocates, too; so does who asks for a socket.  Nobody else pays for more than
 * five looks at the environment.
 */
__attribute__((constructor)) static void at_load(void)
{
	kn_probes_keep();
	kn_fork_init();
	kn_store_release(&loaded, true);
	if (kn_load_acquire(&kn_started))
		kn_live_start();
	else if (secure_getenv("KNUMA_STATS") ||
		 secure_getenv("KNUMA_STATS_FILE") ||
		 secure_getenv("KNUMA_VIEW_DIR") ||
		 secure_getenv("KNUMA_SOCKET") ||
		 secure_getenv("KNUMA_METRICS_FILE"))
		kn_start();
}

/* A program that prints its statistics does so after its own destructors. */
__attribute__((destructor)) static void at_exit(void)
{
	if (!kn_load_acquire(&kn_started))
		return;
	kn_live_exit();
	kn_stats_exit();
}
