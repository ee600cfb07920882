/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/page/page_alloc.h - pages on one node, for the layers above
 *
 * Orders 0 to 4 go through per-CPU magazines, as the kernel's page lists; larger
 * blocks go to the zone.  Runs of pages are in large.h.
 */
#ifndef KN_PAGE_PAGE_ALLOC_H
#define KN_PAGE_PAGE_ALLOC_H

#include "alloc/config/tunables.h"
#include "alloc/page/zone.h"

/* 0, or -ENOMEM. */
int kn_page_init(void);

/*
 * A block of 2^@order pages of exactly this dense node, or KN_PFN_NONE.  The
 * descriptor's flags tell what is known of it; the map is the caller's to set.
 */
uint32_t kn_pages_get(int node, unsigned order, gfp_t gfp);

/* Gives it back; @flags is what is known: KN_PAGE_ZERO, KN_PAGE_SURE. */
void kn_pages_put(uint32_t pfn, unsigned order, uint8_t flags, bool may_block);

/*
 * The dense node that a request for kernel id @nid (or NUMA_NO_NODE) starts at.
 * False, with errno, when there is none: EINVAL, or ENOMEM under THISNODE.
 */
bool kn_node_wanted(int nid, gfp_t gfp, int *node);

/*
 * Not 0: too much waits for a grace period, and memory above the caches is part
 * of it.  A bit a flavour, atomic; set by alloc/deferred.
 */
extern uint32_t kn_large_refused;

/* Whether a request for such memory must fail for that, and then counts it. */
bool kn_large_is_refused(gfp_t gfp);

/* The flags that a request for @nid has with the tunable node_fallback. */
static inline gfp_t kn_node_gfp(int nid, gfp_t gfp)
{
	if (likely(kn_load(&kn_tun.node_fallback)) || nid == NUMA_NO_NODE)
		return gfp;
	return gfp | __GFP_THISNODE;
}

/* Counts where a request for @wanted was served. */
void kn_node_account(int wanted, int got);

/* Counts and traces an allocation that fails; @nid: kernel id as asked for. */
void kn_count_failure(const char *what, size_t bytes, gfp_t gfp, int nid);

/* Gives what the page lists hold to the zones.  Context: may wait. */
void kn_page_drain(void);

/* Gives up to @most bytes of each node back; @all: drains page lists first. */
uint64_t kn_page_trim(uint64_t most, bool all);

/* The same of all but small blocks, of which each costs a system call. */
void kn_page_trim_large(void);

#endif
