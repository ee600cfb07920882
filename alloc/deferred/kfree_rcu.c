/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/deferred/kfree_rcu.h"

#include <knuma/kvmalloc.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>

#include "alloc/base/assert.h"
#include "alloc/base/start.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"

/* Heads lie below this; words from here on are the object itself. */
#define HEAD_MAX 4096

/* The flavour of calls that come from no unit with liburcu's header. */
static const struct rcu_flavor_struct *default_flavor;
static bool wanted;	/* entries wait for a thread to be started */

static void free_entry(struct kn_grace_entry *e)
{
	const uintptr_t word = e->word;

	kn_stat_add(KN_STAT_rcu_freed, 1);
	if (word < HEAD_MAX) {
		kvfree((char *)e - word);
	} else {
		kvfree((void *)word);
		kfree(e);
	}
}

static void queue(const struct rcu_flavor_struct *flavor, struct kn_grace_entry *e)
{
	struct kn_grace *g = kn_grace_of(flavor);

	KN_CHECK(g);	/* liburcu has five flavours, the table sixteen places */
	kn_stat_add(KN_STAT_rcu_queued, 1);
	kn_grace_push(g, e);
	if (!kn_load(&wanted))
		kn_store(&wanted, true);
}

/* Without a head: a block for it, else the caller waits. */
static void queue_headless(const struct rcu_flavor_struct *flavor, void *ptr)
{
	struct kn_grace_entry *e = kmalloc(sizeof(*e), GFP_KERNEL | __GFP_NOWARN);

	if (e) {
		e->word = (uintptr_t)ptr;
		queue(flavor, e);
		/* The caller may wait: no need to leave a note. */
		kn_rcu_step();
		return;
	}
	kn_grace_synchronize_one(flavor);
	kvfree(ptr);
}

void kvfree_call_rcu_flavor(const struct rcu_flavor_struct *flavor,
			    struct rcu_head *head, void *ptr)
{
	struct kn_grace_entry *e = (struct kn_grace_entry *)head;

	if (ZERO_OR_NULL_PTR(ptr))
		return;
	if (!head) {
		queue_headless(flavor, ptr);
		return;
	}
	e->word = (uintptr_t)head - (uintptr_t)ptr;
	if (e->word >= HEAD_MAX) {
		kn_bug("kvfree_call_rcu(%p, %p): the head is not in the first %d "
		       "bytes of the object", (void *)head, ptr, HEAD_MAX);
		return;
	}
	queue(flavor, e);
}

void kvfree_call_rcu(struct rcu_head *head, void *ptr)
{
	const struct rcu_flavor_struct *flavor = kn_load_acquire(&default_flavor);

	if (!flavor) {
		kn_bug("kvfree_call_rcu() without a flavour: call "
		       "knuma_rcu_use(&rcu_flavor) first");
		return;
	}
	kvfree_call_rcu_flavor(flavor, head, ptr);
}

void knuma_rcu_use(const struct rcu_flavor_struct *flavor)
{
	kn_store_release(&default_flavor, flavor);
}

void kvfree_rcu_barrier(void)
{
	kn_grace_barrier();
}

static void before_destroy(bool typesafe)
{
	kn_grace_barrier();
	if (typesafe)
		kn_grace_synchronize();
}

void kn_rcu_init(void)
{
	kn_grace_done = free_entry;
	kn_destroy_hook = before_destroy;
}

void kn_rcu_step(void)
{
	if (likely(!kn_load(&wanted)))
		return;
	kn_store(&wanted, false);
	kn_grace_start_threads();
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
	kn_grace_after_fork_child();
}
