/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/deferred/kfree_rcu.h"

#include <knuma/kvmalloc.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>

#include "alloc/base/assert.h"
#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "alloc/deferred/batch.h"
#include "alloc/deferred/budget.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/vmap.h"

/* The flavour of calls that come from no unit with liburcu's header. */
static const struct rcu_flavor_struct *default_flavor;
static bool wanted; /* what waits, waits for a thread to start or to wake */

/* The first flavour, when it has its thread: most programs have one. */
static const struct rcu_flavor_struct *running;

static kn_slow int find_flavor(const struct rcu_flavor_struct *flavor)
{
	struct kn_grace *g = kn_grace_of(flavor);

	KN_CHECK(g); /* liburcu has five flavours, the table sixteen places */
	if (!kn_grace_index(g) && kn_grace_has_thread(0))
		kn_store(&running, flavor);
	return kn_grace_index(g);
}

static inline int flavor_index(const struct rcu_flavor_struct *flavor)
{
	return likely(kn_load(&running) == flavor) ? 0 : find_flavor(flavor);
}

void kn_rcu_ask_for_thread(int flavor)
{
	if (unlikely(!kn_grace_has_thread(flavor)))
		kn_store_release(&wanted, true);
}

/* Large allocations and areas, and what is none. */
static kn_slow void queue_large(int flavor, struct kn_rcu_entry *e, void *p)
{
	if (!kn_batch_size(p)) {
		kn_stat_add(KN_STAT_invalid_free, 1);
		kn_bug("kfree_rcu(%p): %s", p,
		       kn_span_has(p) ?
			       "nothing is allocated there, or it was freed already" :
			       "the pointer is not of this heap");
		return;
	}
	e->word = (uintptr_t)e - (uintptr_t)p;
	kn_batch_link(flavor, e);
	kn_rcu_ask_for_thread(flavor);
	kn_budget_enforce(flavor);
}

/* Without a head: a block for it, else the caller waits. */
static void queue_headless(const struct rcu_flavor_struct *flavor, void *ptr)
{
	struct kn_rcu_entry *e;

	if (!kn_batch_size(ptr)) {
		queue_large(0, NULL, ptr);
		return;
	}
	e = kmalloc(sizeof(*e), GFP_KERNEL | __GFP_NOWARN);
	if (e) {
		const int i = flavor_index(flavor);

		e->word = (uintptr_t)ptr;
		kn_batch_link(i, e);
		kn_rcu_ask_for_thread(i);
		/* The caller may wait: no need to leave a note. */
		kn_rcu_step();
		kn_budget_enforce(i);
		return;
	}
	kn_grace_synchronize_one(flavor);
	kvfree(ptr);
}

/* A free makes no system call to wake who dozes: the next allocation does. */
static kn_slow void look_at_bytes(int flavor)
{
	if (kn_grace_dozes(flavor) && kn_batch_bytes(flavor) >= KN_GRACE_MUCH)
		kn_store(&wanted, true);
	kn_budget_enforce(flavor);
}

static kn_slow void queue_slow(const struct rcu_flavor_struct *flavor,
			       struct rcu_head *head, void *ptr)
{
	const uintptr_t offset = (uintptr_t)head - (uintptr_t)ptr;
	bool look;
	int i;

	if (ZERO_OR_NULL_PTR(ptr))
		return;
	if (!head) {
		queue_headless(flavor, ptr);
		return;
	}
	if (unlikely(offset >= KN_RCU_HEAD_MAX)) {
		kn_bug("kvfree_call_rcu(%p, %p): the head is not in the first %d "
		       "bytes of the object",
		       (void *)head, ptr, KN_RCU_HEAD_MAX);
		return;
	}
	i = flavor_index(flavor);
	if (unlikely(kn_id_of(ptr) < KN_ID_FIRST_CACHE)) {
		queue_large(i, (struct kn_rcu_entry *)head, ptr);
		return;
	}
	look = kn_batch_put_slow(i, kn_batch_mark(ptr, offset));
	kn_rcu_ask_for_thread(i);
	if (look)
		look_at_bytes(i);
}

/* An object of a slab, of the first flavour: the whole of most programs' calls. */
void kvfree_call_rcu_flavor(const struct rcu_flavor_struct *flavor,
			    struct rcu_head *head, void *ptr)
{
	const uintptr_t offset = (uintptr_t)head - (uintptr_t)ptr;

	if (likely(kn_load(&running) == flavor && offset < KN_RCU_HEAD_MAX &&
		   kn_batch_takes(ptr) &&
		   kn_batch_put(0, kn_batch_mark(ptr, offset))))
		return;
	queue_slow(flavor, head, ptr);
}

void kvfree_call_rcu(struct rcu_head *head, void *ptr)
{
	const struct rcu_flavor_struct *flavor =
		kn_load_acquire(&default_flavor);

	if (!flavor) {
		kn_bug("kvfree_call_rcu() without a flavour: call "
		       "knuma_rcu_use(&rcu_flavor) first");
		return;
	}
	kvfree_call_rcu_flavor(flavor, head, ptr);
}

void knuma_rcu_use(const struct rcu_flavor_struct *flavor)
{
	/* From here on it is a flavour whose readers are waited for. */
	KN_CHECK(kn_grace_of(flavor));
	kn_store_release(&default_flavor, flavor);
}

void kvfree_rcu_barrier(void)
{
	kn_grace_barrier(UINT32_MAX);
}

/* Flavours in which objects of @s wait. */
static uint32_t flavors_of(const struct kmem_cache *s)
{
	uint32_t mask = 0;

	for (int i = 0; i < kn_grace_nr(); i++) {
		kn_batch_collect(i);
		if (kn_batch_of_cache(i, s))
			mask |= 1u << i;
	}
	return mask;
}

void kvfree_rcu_barrier_on_cache(struct kmem_cache *s)
{
	if (s)
		kn_grace_barrier(flavors_of(s));
}

static void before_destroy(struct kmem_cache *s)
{
	kvfree_rcu_barrier_on_cache(s);
	if (!(kn_load(&s->flags) & SLAB_TYPESAFE_BY_RCU))
		return;
	kn_grace_synchronize();
	ck_pr_and_32(&s->flags, ~SLAB_TYPESAFE_BY_RCU);
	/* They go from flavour to flavour in the order of the barrier. */
	if (kn_slab_leaving(s))
		kn_grace_barrier(UINT32_MAX);
}

static bool defer_slab(struct page *head)
{
	if (!kn_grace_nr())
		return false;
	kn_batch_slab(0, head);
	kn_store(&wanted, true);
	return true;
}

/* Of the flavour that is furthest behind. */
static uint64_t lag_ms(void)
{
	uint64_t lag = 0;

	for (int i = 0; i < kn_grace_nr(); i++)
		if (kn_batch_bytes(i))
			lag = KN_MAX(lag, kn_grace_lag_ms(i));
	return lag;
}

void kn_rcu_init(void)
{
	kn_batch_init();
	kn_budget_init();
	kn_destroy_hook = before_destroy;
	kn_slab_defer = defer_slab;
	kn_stat_source(KN_STAT_rcu_queued, kn_batch_queued);
	kn_stat_gauge(KN_STAT_rcu_waiting_bytes, kn_batch_waiting_bytes);
	kn_stat_gauge(KN_STAT_rcu_lag_ms, lag_ms);
}

void kn_rcu_run_threadless(void)
{
	kn_grace_run_threadless();
}

void kn_rcu_tick(void)
{
	kn_rcu_step();
	kn_budget_watch();
}

/* No background thread comes by: allocations tell of readers, too. */
static bool is_alone(void)
{
	return kn_tun.background == KN_CHOICE_NO ||
	       !kn_load(&kn_tun.trim_delay_ms);
}

void kn_rcu_step(void)
{
	if (is_alone())
		kn_budget_tell();
	if (likely(!kn_load(&wanted)))
		return;
	kn_store(&wanted, false);
	/* What was pushed before a note that is wiped away here is seen. */
	ck_pr_fence_memory();
	if (!kn_grace_start_threads())
		kn_store(&wanted, true);
}

void kn_rcu_before_fork(void)
{
	kn_grace_before_fork();
}

void kn_rcu_after_fork_parent(void)
{
	kn_grace_after_fork_parent();
}

void kn_rcu_after_fork_child(void)
{
	kn_store(&running, NULL);
	kn_batch_after_fork_child();
	kn_grace_after_fork_child();
}
