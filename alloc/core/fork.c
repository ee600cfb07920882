/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/fork.h"

#include <pthread.h>

#include "alloc/account/group.h"
#include "alloc/base/lock.h"
#include "alloc/config/tunables.h"
#include "alloc/core/background.h"
#include "alloc/core/shrinker.h"
#include "alloc/core/start.h"
#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/zone.h"
#include "alloc/percpu/percpu.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/fence.h"
#include "alloc/view/live.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/hugetlb.h"

/* The heap was up when this fork began: all locks are this thread's. */
static kn_tls bool all_locked;

static void prepare(void)
{
	kn_live_before_fork();
	kn_rcu_before_fork();
	/* Who is inside the start gets to its end. */
	kn_start_lock();
	kn_conf_lock();
	all_locked = kn_load(&kn_started);
	if (!all_locked) {
		kn_forking = true;
		return;
	}
	kn_shrinkers_lock();
	kn_groups_lock();
	kn_cache_lock_all();
	kn_drain_lock_all();
	kn_slabs_lock_all();
	kn_zones_lock_all();
	kn_vmap_lock_all();
	kn_percpu_lock();
	kn_forking = true;
}

static void parent(void)
{
	kn_forking = false;
	if (all_locked) {
		kn_percpu_unlock();
		kn_vmap_unlock_all();
		kn_zones_unlock_all();
		kn_slabs_unlock_all();
		kn_drain_unlock_all();
		kn_cache_unlock_all();
		kn_groups_unlock();
		kn_shrinkers_unlock();
	}
	kn_conf_unlock();
	kn_start_unlock();
	kn_rcu_after_fork_parent();
	kn_live_after_fork_parent();
	kn_hugetlb_after_fork_parent();
}

static void child(void)
{
	kn_forking = false;
	kn_hugetlb_after_fork_child();
	if (all_locked) {
		kn_percpu_reset();
		kn_vmap_reset();
		kn_fence_reset();
		kn_zones_reset();
		kn_slabs_reset();
		kn_drain_reset();
		kn_cache_reset();
		kn_groups_reset();
		kn_shrinkers_reset();
	}
	kn_conf_reset();
	kn_start_reset();
	kn_rcu_after_fork_child();
	kn_background_after_fork_child();
	kn_live_after_fork_child();
}

void kn_fork_init(void)
{
	static uint32_t done;

	if (ck_pr_cas_32(&done, 0, 1))
		pthread_atfork(prepare, parent, child);
}
