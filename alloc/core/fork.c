/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/fork.h"

#include <pthread.h>

#include "alloc/base/lock.h"
#include "alloc/core/background.h"
#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "alloc/vmalloc/vmap.h"

static void prepare(void)
{
	kn_rcu_before_fork();
	kn_cache_lock_all();
	kn_drain_lock_all();
	kn_slabs_lock_all();
	kn_zones_lock_all();
	kn_vmap_lock_all();
	kn_forking = true;
}

static void parent(void)
{
	kn_forking = false;
	kn_vmap_unlock_all();
	kn_zones_unlock_all();
	kn_slabs_unlock_all();
	kn_drain_unlock_all();
	kn_cache_unlock_all();
	kn_rcu_after_fork_parent();
}

static void child(void)
{
	kn_forking = false;
	kn_vmap_reset();
	kn_zones_reset();
	kn_slabs_reset();
	kn_drain_reset();
	kn_cache_reset();
	kn_rcu_after_fork_child();
	kn_background_after_fork_child();
}

void kn_fork_init(void)
{
	pthread_atfork(prepare, parent, child);
}
