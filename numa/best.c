/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/best.h"

#include "numa/placement.h"

static uint64_t capacity(int node)
{
	const uint32_t told = kn_load(&kn_pairs.capacity_mib[node]);
	int64_t total, unused;

	if (told || kn_node_meminfo(node, &total, &unused))
		return told;
	return (uint64_t)total >> 20;
}

/* More is better; 0: not known. */
static uint64_t worth(enum knuma_attr attr, int from, int to)
{
	uint32_t latency;

	switch (attr) {
	case KNUMA_LATENCY:
		latency = kn_load(&kn_pairs.latency_ns[from][to]);
		return latency ? UINT32_MAX - (uint64_t)latency + 1 : 0;
	case KNUMA_BANDWIDTH:
		return kn_load(&kn_pairs.bandwidth_mib[from][to]);
	case KNUMA_CAPACITY:
		return capacity(to);
	}
	return 0;
}

int kn_node_best(enum knuma_attr attr, int from, bool *by_distance)
{
	const struct kn_zonelist *list = kn_zonelist(from);
	int best = list->node[0];
	uint64_t most = 0;

	for (int i = 0; i < list->nr; i++) {
		const uint64_t w = worth(attr, from, list->node[i]);

		if (w <= most)
			continue;
		most = w;
		best = list->node[i];
	}
	*by_distance = !most;
	return best;
}
