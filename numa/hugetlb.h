/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/hugetlb.h - reserved huge pages of a node, as memory of its window
 *
 * Each node has a pool of huge pages of 2 MiB (hugetlb), which anybody may empty
 * at any time; a touch of a page that the pool does not have ends the process
 * with SIGBUS.  So a page is taken by mmap(2), bound, faulted and looked for at
 * once, inside the step of growth; what is not there, or lies on another node,
 * becomes ordinary memory before anybody can touch it.  What was taken is kept.
 *
 *   H1  A page that kn_hugetlb_take() reports is in memory and on its node.
 *   H2  No address of a window that is readable can fault into an empty pool,
 *       in the process that took it.
 *
 * The mappings are reserved in the pool (no MAP_NORESERVE): when a fork shares
 * them and the pool is empty, the process that took them keeps its page and the
 * child loses its own.  Without, who writes first is ended.
 *
 * Design: docs/design/address-space.md.
 */
#ifndef KN_NUMA_HUGETLB_H
#define KN_NUMA_HUGETLB_H

#include "alloc/base/compiler.h"

/*
 * Pages that the pool of @node has free and that are worth asking for: none in
 * a fork child, nor while it has as many as when it refused.
 */
uint64_t kn_hugetlb_free(int node);

/*
 * Takes what the pool of @node has for the writable range [addr, addr + len),
 * from its start on; *@taken: bytes.  The rest is as it was.  0, or -Exxx when
 * the range must not be touched: the next call for the node mends it first, or
 * fails again.  Context: one thread at a time for each node, no lock held.
 */
int kn_hugetlb_take(int node, uintptr_t addr, size_t len, size_t *taken);

/* Bytes taken on all nodes. */
uint64_t kn_hugetlb_bytes(void);

/* Says once what a child may meet, when there is something to meet. */
void kn_hugetlb_after_fork_parent(void);
/* A child that inherits pages takes none of its own. */
void kn_hugetlb_after_fork_child(void);

#endif
