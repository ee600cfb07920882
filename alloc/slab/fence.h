/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/slab/fence.h - one object in N on a page of its own, between guards
 *
 *   | guard | object 0 | guard | object 1 | guard | ...        one pool a node
 *
 * An access behind or before an object meets a guard, one after its free meets
 * the object's page, which is a guard from then on: the processor reports both,
 * and the handler of SIGSEGV says who allocated and who freed.  As KFENCE of the
 * kernel, whose words the reports have.
 *
 *   K1  The map says KN_ID_GUARD for all pages of a pool, for good: a free finds
 *       no magazine that is open, and its slow path comes here.  No fast path
 *       knows of guards.
 *   K2  `state` of a slot decides who has it: FREE -> BUSY -> USED by the
 *       allocation that wins the first step, USED -> BUSY -> FREE by the free
 *       that does.  Only that one writes the rest of the slot.
 *   K3  The page of a slot is open exactly while it is USED, and a moment around.
 *   K4  Of free slots that one is taken which was freed first.
 *   K5  A system call protects and opens, in no lock.  So only calls that may
 *       wait are sampled; a free of such an object does make that one call.
 *
 * Design: docs/design/guards.md.
 */
#ifndef KN_SLAB_FENCE_H
#define KN_SLAB_FENCE_H

#include "alloc/base/stack.h"
#include "alloc/slab/slab.h"

/* 0: no object is guarded.  Set at start-up. */
extern uint32_t kn_fence_every;

void kn_fence_init(void);

/*
 * In its turn an object of @size bytes for @s on @node, or NULL: not its turn, or
 * it cannot be had.  Zeroed or constructed as asked for.
 *
 * Context: no knuma lock held.
 */
kn_slow void *kn_fence_alloc(struct kmem_cache *s, size_t size, gfp_t gfp,
			     int node);

/*
 * The same for a call that asks for @n objects: at most one of them.
 */
kn_slow void *kn_fence_alloc_of(struct kmem_cache *s, size_t size, gfp_t gfp,
				int node, uint32_t n);

/* A free, or a report of what is wrong with it.  Any context. */
kn_slow void kn_fence_free(const void *p);

/* Bytes of the object that starts at @p; 0: there is none. */
size_t kn_fence_size(const void *p);

/* Cache of the slot of @p, whose page is of a pool; NULL: a guard, never used. */
struct kmem_cache *kn_fence_cache(const void *p);

/* For those who look at a heap from outside. */
struct kn_fence_view {
	uintptr_t start;
	size_t size;
	const char *cache;
	bool used;
};
/* False: @p is in no page of an object. */
bool kn_fence_look(const void *p, struct kn_fence_view *v);

/* Objects of @s that the program has; @fn, if not NULL, is told of each. */
uint64_t kn_fence_in_use(const struct kmem_cache *s, void (*fn)(void *obj));

/*
 * In a signal handler: a report, if @address is of a pool.  @write: 1 a write, 0
 * a read, -1 not known.
 */
bool kn_fence_report_fault(uintptr_t address, uintptr_t pc, int write);

/* Between ticks of the background work: objects of busy magazines get a turn. */
void kn_fence_tick(void);

void kn_fence_reset(void);

#endif
