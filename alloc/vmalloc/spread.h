/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/vmalloc/spread.h - areas whose pages lie on several nodes in turn
 *
 * Such an area is in the window of one node, like any other, and has a policy
 * of its own (MPOL_INTERLEAVE) over that of the window; its pages are marked as
 * away on purpose, those that are at home too, since nobody knows beforehand
 * which will be.  The policy splits the window's mapping in three, within
 * vma_budget.  A freed area is not used again before its memory and its policy
 * were given back: vfree() makes no system call.
 */
#ifndef KN_VMALLOC_SPREAD_H
#define KN_VMALLOC_SPREAD_H

#include "alloc/page/frame.h"

/*
 * Spreads @area, of which no page is in memory, over @nodes, a mask of dense
 * ids.  Context: system call.  Return: 0; -ENOMEM when vma_budget is used up,
 * or what mbind(2) said.
 */
int kn_spread_begin(struct page *area, uint64_t nodes) kn_must_check;

/* Gives a freed area the policy of its window.  Context, return: likewise. */
int kn_spread_end(struct page *area) kn_must_check;

#endif
