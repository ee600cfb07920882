/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/density.h - whether memory that was handed out is used
 *
 * A huge page pays where most of it is written: it is cleared at once, and all
 * of it counts as memory.  What a program does with memory it got is seen by
 * the pages that are there.
 *
 * Design: docs/design/address-space.md, "Huge pages where they are used".
 */
#ifndef KN_NUMA_DENSITY_H
#define KN_NUMA_DENSITY_H

#include "numa/span.h"

/*
 * Whether fewer than half of the pages in use are in memory.  [@from, @to):
 * pages that can be read and written, of which @used are in use, wherever they
 * lie.  Up to 64 MiB are looked at, spread over the range.  1, 0, or -Exxx of
 * mincore(2).
 */
int kn_density_is_sparse(uintptr_t from, uintptr_t to, uint64_t used);

#endif
