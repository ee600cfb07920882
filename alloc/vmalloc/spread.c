/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/vmalloc/spread.h"

#include <errno.h>

#include "alloc/base/assert.h"
#include "alloc/page/away.h"
#include "alloc/vmalloc/guard.h"
#include "numa/machine.h"

static void mask_of(uint64_t nodes, unsigned long mask[KN_MACHINE_MASK])
{
	const unsigned bits = 8 * sizeof(long);

	for (unsigned i = 0; i < KN_MACHINE_MASK; i++)
		mask[i] = 0;
	for (; nodes; nodes &= nodes - 1) {
		const int node = __builtin_ctzll(nodes);
		const unsigned id = (unsigned)kn_topo.kernel_id[node];

		mask[id / bits] |= 1ul << id % bits;
	}
}

int kn_spread_begin(struct page *area, uint64_t nodes)
{
	const uint32_t first = kn_page_pfn(area);
	unsigned long mask[KN_MACHINE_MASK];
	int err;

	if (!kn_mappings_take()) {
		kn_warn_once("vma_budget is used up: no further area can be "
			     "spread over nodes");
		return -ENOMEM;
	}
	mask_of(nodes, mask);
	err = kn_machine.mbind_interleave(
		kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT, mask);
	if (err) {
		kn_mappings_give();
		return err;
	}
	area->flags |= KN_PAGE_SPREAD;
	for (uint64_t i = 0; i < area->nr_pages; i++)
		kn_away_mark(area, first + (uint32_t)i, true);
	return 0;
}

int kn_spread_end(struct page *area)
{
	const int node = kn_pfn_node(kn_page_pfn(area));
	const int err = kn_machine.mbind_preferred(
		kn_page_addr(area), area->nr_pages << KN_PAGE_SHIFT,
		kn_topo.kernel_id[node]);

	if (!err)
		kn_mappings_give();
	return err;
}
