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

#define kn_load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define kn_store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define kn_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define kn_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)

/* A counter that others read while it moves; never used to order anything. */
static inline void kn_count(uint64_t *counter, uint64_t n)
{
	ck_pr_add_64(counter, n);
}

#endif
