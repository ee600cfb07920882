/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/gfp.h - flags that say how hard to try, and where
 *
 * One rule stands above the flags: a free never waits, an allocation waits only
 * with __GFP_DIRECT_RECLAIM.
 *
 *   GFP_KERNEL   the usual one: may map memory, wait for locks, reclaim, retry
 *   GFP_NOWAIT   no system call, no waiting for a lock, no first touch of a
 *                page; likely to fail under pressure, and silent about it
 *   GFP_ATOMIC   GFP_NOWAIT that may take from the node's reserve and warns
 *
 * GFP_NOWAIT and GFP_ATOMIC may be used in a signal handler, even one that
 * interrupts the allocator.  All that these headers say of signal handlers
 * holds once a call outside of a handler has started the allocator, and for
 * handlers that do not jump out with siglongjmp().
 *
 * Page faults that the kernel causes on populated memory (copy on write after
 * fork, swap, NUMA balancing) are beyond these flags.  No allocation waits for
 * an RCU grace period.
 *
 * Bit numbers are those of Linux 6.12.  The comments say what knuma does with
 * each: honoured, or accepted without effect.
 */
#ifndef KNUMA_GFP_H
#define KNUMA_GFP_H

#include <knuma/types.h>

typedef unsigned int gfp_t;

/* Zones and grouping: memory of user space is all alike.  No effect. */
#define __GFP_DMA	     ((gfp_t)1 << 0)
#define __GFP_HIGHMEM	     ((gfp_t)1 << 1)
#define __GFP_DMA32	     ((gfp_t)1 << 2)
#define __GFP_MOVABLE	     ((gfp_t)1 << 3)
#define __GFP_RECLAIMABLE    ((gfp_t)1 << 4)

/* May take from the reserve below the node's minimum.  Honoured. */
#define __GFP_HIGH	     ((gfp_t)1 << 5)

/* Told to shrinkers in their gfp_mask, see shrinker.h; no other effect. */
#define __GFP_IO	     ((gfp_t)1 << 6)
#define __GFP_FS	     ((gfp_t)1 << 7)

/* The memory is zeroed, up to what ksize() tells.  Honoured. */
#define __GFP_ZERO	     ((gfp_t)1 << 8)

/* The caller may wait: system calls, locks, reclaim.  Honoured. */
#define __GFP_DIRECT_RECLAIM ((gfp_t)1 << 10)

/* No effect: background work has a clock of its own. */
#define __GFP_KSWAPD_RECLAIM ((gfp_t)1 << 11)

/* No effect. */
#define __GFP_WRITE	     ((gfp_t)1 << 12)

/* No message when the allocation fails.  Honoured. */
#define __GFP_NOWARN	     ((gfp_t)1 << 13)

/*
 * How often to try, for callers that may wait: one light pass (NORETRY), a
 * bounded number of rounds (RETRY_MAYFAIL), until there is memory (NOFAIL).
 *
 * NOFAIL never gives NULL but for what can never be had, which fails at once:
 * sizes and orders above the largest, nodes that cannot serve.  Without
 * __GFP_DIRECT_RECLAIM it warns and may fail; the limit of a group it passes in
 * any case.  Not inside a read section, nor for a QSBR reader that is online: what
 * waits for a grace period would wait for this thread.  Honoured.
 */
#define __GFP_RETRY_MAYFAIL  ((gfp_t)1 << 14)
#define __GFP_NOFAIL	     ((gfp_t)1 << 15)
#define __GFP_NORETRY	     ((gfp_t)1 << 16)

/* All of the reserve, or none of it; NOMEMALLOC wins.  Honoured. */
#define __GFP_MEMALLOC	     ((gfp_t)1 << 17)
#define __GFP_NOMEMALLOC     ((gfp_t)1 << 19)

/* No effect: every block of pages knows its order; cpusets always hold. */
#define __GFP_COMP	     ((gfp_t)1 << 18)
#define __GFP_HARDWALL	     ((gfp_t)1 << 20)

/* From the node that is asked for, or not at all.  Honoured. */
#define __GFP_THISNODE	     ((gfp_t)1 << 21)

/*
 * Charged to the group that the thread is in, see group.h; from a cache only if
 * it has SLAB_ACCOUNT.  Honoured.
 */
#define __GFP_ACCOUNT	     ((gfp_t)1 << 22)

/* No effect. */
#define __GFP_ZEROTAGS	     ((gfp_t)1 << 23)
#define __GFP_SKIP_ZERO	     ((gfp_t)1 << 24)
#define __GFP_SKIP_KASAN     ((gfp_t)1 << 25)
#define __GFP_NOLOCKDEP	     ((gfp_t)1 << 26)
#define __GFP_NO_OBJ_EXT     ((gfp_t)1 << 27)

/* Set by the macros of alloc_tag.h: the memory remembers its place. */
#define KN_GFP_REMEMBER	     ((gfp_t)1 << 28)

#define __GFP_BITS_SHIFT     28
#define __GFP_BITS_MASK	     (((gfp_t)1 << __GFP_BITS_SHIFT) - 1)

#define __GFP_RECLAIM	     (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)

#define GFP_KERNEL	     (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_KERNEL_ACCOUNT   (GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_NOFS	     (__GFP_RECLAIM | __GFP_IO)
#define GFP_NOIO	     (__GFP_RECLAIM)
#define GFP_NOWAIT	     (__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_ATOMIC	     (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_USER	     (GFP_KERNEL | __GFP_HARDWALL)
#define GFP_DMA		     __GFP_DMA
#define GFP_DMA32	     __GFP_DMA32
#define GFP_HIGHUSER	     (GFP_USER | __GFP_HIGHMEM)
#define GFP_HIGHUSER_MOVABLE (GFP_HIGHUSER | __GFP_MOVABLE | __GFP_SKIP_KASAN)
#define GFP_TRANSHUGE_LIGHT                                      \
	((GFP_HIGHUSER_MOVABLE | __GFP_COMP | __GFP_NOMEMALLOC | \
	  __GFP_NOWARN) &                                        \
	 ~__GFP_RECLAIM)
#define GFP_TRANSHUGE (GFP_TRANSHUGE_LIGHT | __GFP_DIRECT_RECLAIM)

/**
 * gfpflags_allow_blocking - may an allocation with these flags wait?
 * @gfp: flags of the allocation
 */
static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return (gfp & __GFP_DIRECT_RECLAIM) != 0;
}

/* What follows is standard C only since C23 and C++20, but long known. */
#pragma GCC system_header
#define KN_GFP_FIRST(gfp, ...) (gfp)

/**
 * default_gfp - the flags that a macro was given, or GFP_KERNEL
 *
 * For macros whose last argument may be left out: default_gfp(__VA_ARGS__).
 */
#define default_gfp(...) \
	KN_GFP_FIRST(__VA_ARGS__ __VA_OPT__(, ) GFP_KERNEL, 0)

#endif /* KNUMA_GFP_H */
