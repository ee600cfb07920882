/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/atomic.h - shared words
 *
 * Loads and stores are the compiler's, so that ThreadSanitizer sees their
 * order; read-modify-write operations are Concurrency Kit's (ck_pr), which
 * has the test-and-set bit and the fetch-and-store that the slabs live on.
 * On x86-64 each of those is a full fence.
 */
#ifndef KN_BASE_ATOMIC_H
#define KN_BASE_ATOMIC_H

#include <ck_pr.h>
#include <ck_stack.h>

#include "alloc/base/compiler.h"
#include "alloc/base/counts.h"

#define kn_load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define kn_store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define kn_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define kn_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)

/*
 * An acquire where the processor keeps loads in order anyway, as those do that
 * have fast paths: a plain load may be an operand of the instruction that uses
 * it, an atomic one may not.
 */
#ifdef __SANITIZE_THREAD__
#include "alloc/base/tsan.h"
#define kn_load_hot(p) kn_load_acquire(p)
#elif defined(__x86_64__)
#define kn_load_hot(p) (*(p))
#else
#define kn_load_hot(p) kn_load_acquire(p)
#endif

/*
 * A word that others write meanwhile by any instruction, where one that is not
 * whole does no harm: it is looked for, or counted.
 */
#ifndef kn_load_any
#define kn_load_any(p) kn_load(p)
#endif

/* A counter that others read while it moves; never used to order anything. */
static inline void kn_count(uint64_t *counter, uint64_t n)
{
	KN_COUNTED(statistics);
	ck_pr_add_64(counter, n);
}

#endif
