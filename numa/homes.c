/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/homes.h"

#include <errno.h>

#include "alloc/base/assert.h"
#include "numa/machine.h"

static int bring_back(int id, void **pages, size_t n, struct kn_homes *sum)
{
	int nodes[KN_HOMES_MAX], status[KN_HOMES_MAX];
	int ret;

	for (size_t i = 0; i < n; i++) {
		nodes[i] = id;
		status[i] = -ENOENT;
	}
	ret = kn_machine.move_pages(n, pages, nodes, status);
	for (size_t i = 0; i < n; i++)
		sum->moved += status[i] == id;
	return ret < 0;
}

int kn_homes_ask(int node, void **pages, size_t n, bool move,
		 struct kn_homes *sum)
{
	const int id = kn_topo.kernel_id[node];
	int status[KN_HOMES_MAX];
	size_t away = 0;
	int ret;

	KN_CHECK(n <= KN_HOMES_MAX);
	for (size_t i = 0; i < n; i++)
		status[i] = -ENOENT;
	ret = kn_machine.page_nodes(n, pages, status);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++) {
		if (status[i] < 0)
			continue; /* not in memory */
		sum->checked++;
		if (status[i] == id)
			continue;
		sum->where = status[i];
		pages[away++] = pages[i];
	}
	sum->stale += away;
	return away && move ? bring_back(id, pages, away, sum) : 0;
}
