/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/rcu.h - freeing after a grace period, in the caller's RCU flavour
 *
 *   #include <urcu.h>		(or <urcu-qsbr.h>, <urcu-bp.h>)
 *   #include <knuma/rcu.h>
 *
 *   struct conn { int fd; struct rcu_head rcu; };
 *   kfree_rcu(old, rcu);
 *
 * liburcu's headers name the flavour of a translation unit rcu_flavor.  The
 * macros below pass its address on, so each call waits for the readers of the
 * flavour that its own code reads under, and one process may mix flavours.  A
 * unit that includes no such header gets an error from the compiler, not a
 * stale read.  The order of the two headers does not matter: this one includes
 * nothing of liburcu, whose <urcu/call-rcu.h> (struct rcu_head, for code
 * without a flavour) must not come before a flavour's header.
 *
 * The calling thread need not be a registered reader.
 */
#ifndef KNUMA_RCU_H
#define KNUMA_RCU_H

#include <knuma/types.h>

struct kmem_cache;
/* Of liburcu. */
struct rcu_head;
struct rcu_flavor_struct;

KN_BEGIN_DECLS

/**
 * kvfree_call_rcu_flavor - free memory after a grace period of a flavour
 * @flavor: flavour of the readers that may still see @ptr
 * @head: a struct rcu_head inside the memory, in its first 4096 bytes; NULL if
 *        it has none, and then the call may wait
 * @ptr: start of memory from kmalloc(), kmem_cache_alloc(), vmalloc() or
 *       kvmalloc(); not NULL
 *
 * What the macros below call.  Until the grace period has passed nothing but
 * @head is written.
 *
 * Context: With @head: any thread, any signal handler, also inside a read
 *          section.  Never waits for a grace period, and makes no system call
 *          while less than the setting rcu_budget waits.  Above it, each 62nd
 *          call, or each for memory above 8 KiB, wakes the thread that waits
 *          for grace periods and sleeps until that has freed something, 1 ms at
 *          most; not inside a read section, which in QSBR is all the time that
 *          a thread is online, not with all signals blocked, not in fork
 *          handlers, not in a handler that interrupted such a call.  That
 *          thread is started by a later allocation that may wait, by the background thread, by
 *          kvfree_rcu_barrier() or by kvfree_rcu_mightsleep().
 *          Without @head: as kvfree_rcu_mightsleep().
 * Errors:  a second call for the same memory, kfree() of it meanwhile, memory of
 *          a destroyed cache or of no allocation are reported where they are
 *          noticed, and the process is aborted.  With twice rcu_budget waiting
 *          for a reader that has been inside for rcu_stuck_ms, allocations that
 *          may wait fail for caches with objects among it, and above 8 KiB when
 *          such memory is among it, unless the setting rcu_full is grow.
 * Source:  Linux mm/slab_common.c, kvfree_call_rcu().  Differs: the flavour.
 */
void kvfree_call_rcu_flavor(const struct rcu_flavor_struct *flavor,
			    struct rcu_head *head, void *ptr)
	KN_SYM(kvfree_call_rcu_flavor);

/**
 * kvfree_call_rcu - kvfree_call_rcu_flavor() with the process's flavour
 * @head: as for kvfree_call_rcu_flavor()
 * @ptr: as for kvfree_call_rcu_flavor()
 *
 * Without a call of knuma_rcu_use() before it, the process is aborted.
 *
 * Notes: For callers without a translation unit of C, such as language bindings.
 */
void kvfree_call_rcu(struct rcu_head *head, void *ptr) KN_SYM(kvfree_call_rcu);

/**
 * knuma_rcu_use - set the flavour of kvfree_call_rcu()
 * @flavor: the flavour, &rcu_flavor; must stay valid for ever
 *
 * Also names a flavour that readers of SLAB_TYPESAFE_BY_RCU caches use, in a
 * program that does not call kfree_rcu(): slabs of such caches go back to the
 * pages after a grace period of each flavour that knuma has seen, and while it
 * has seen none they stay with their cache.
 *
 * Context: any thread, any signal handler; once, before the first use.
 */
void knuma_rcu_use(const struct rcu_flavor_struct *flavor) KN_API;

/**
 * kvfree_rcu_barrier - wait until all that is deferred is free
 *
 * Covers every request, of any flavour, that was made before the call.
 *
 * Context: Any thread, no signal handler.  Waits for grace periods, so never
 *          inside a read section: that is reported, and the process is aborted.
 *          A QSBR reader is offline while it waits.
 * Notes:   rcu_barrier() is for the callbacks of call_rcu().
 * Source:  Linux mm/slab_common.c, kvfree_rcu_barrier().
 */
void kvfree_rcu_barrier(void) KN_SYM(kvfree_rcu_barrier);

/**
 * kvfree_rcu_barrier_on_cache - wait until what is deferred of a cache is free
 * @s: the cache, or NULL, and then nothing happens
 *
 * Covers every request, of any flavour, for an object of @s that was made before
 * the call.  Flavours in which no object of @s waits are not waited for, so a
 * reader that stays inside one of those holds up nobody.
 *
 * Context: as kvfree_rcu_barrier().
 * Source:  Linux mm/slab_common.c, kvfree_rcu_barrier_on_cache().
 */
void kvfree_rcu_barrier_on_cache(struct kmem_cache *s)
	KN_SYM(kvfree_rcu_barrier_on_cache);

KN_END_DECLS

/**
 * kfree_rcu - free memory after a grace period
 * @ptr: start of memory from any allocator of knuma, or NULL; evaluated once
 * @rhf: name of the member of *@ptr that is a struct rcu_head, below offset
 *       4096 (else the code does not compile)
 *
 * Readers that were in a read section when it was called keep valid memory
 * until they leave it.  kfree_rcu() and kvfree_rcu() are the same.
 *
 * Context: as kvfree_call_rcu_flavor() with a head.  Never fails.  The last thing
 *          that a QSBR reader does before it looks anything up again.
 * Notes:   Frees have no order among each other.
 * Source:  Linux include/linux/rcupdate.h, kfree_rcu().
 */
#define kfree_rcu(ptr, rhf) kvfree_rcu(ptr, rhf)
#define kvfree_rcu(ptr, rhf)                                                  \
	do {                                                                  \
		__typeof__(ptr) kn_rcu_p_ = (ptr);                            \
                                                                              \
		KN_BUILD_ASSERT(offsetof(__typeof__(*kn_rcu_p_), rhf) < 4096, \
				"kfree_rcu: rcu_head at 4096 or above");      \
		if (kn_rcu_p_)                                                \
			kvfree_call_rcu_flavor(&rcu_flavor, &kn_rcu_p_->rhf,  \
					       (void *)kn_rcu_p_);            \
	} while (0)

/**
 * kfree_rcu_mightsleep - free memory without a head after a grace period
 * @ptr: start of memory from any allocator of knuma, or NULL; evaluated once
 *
 * kfree_rcu_mightsleep() and kvfree_rcu_mightsleep() are the same.
 *
 * Context: Any thread, no signal handler.  Waits for a grace period when there
 *          is no memory to remember the request in, so never inside a read
 *          section.  A QSBR reader is offline while it waits.
 * Source:  Linux include/linux/rcupdate.h, kfree_rcu_mightsleep().
 */
#define kfree_rcu_mightsleep(ptr) kvfree_rcu_mightsleep(ptr)
#define kvfree_rcu_mightsleep(ptr)                                 \
	do {                                                       \
		__typeof__(ptr) kn_rcu_p_ = (ptr);                 \
                                                                   \
		if (kn_rcu_p_)                                     \
			kvfree_call_rcu_flavor(&rcu_flavor, NULL,  \
					       (void *)kn_rcu_p_); \
	} while (0)

#endif /* KNUMA_RCU_H */
