/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/zonelist.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "numa/machine.h"

const struct kn_zonelist *kn_zonelists[KN_MAX_NODES];

/* Published lists.  The first pool holds the first list of every node. */
struct pool {
	struct pool *next;
	size_t nr, size;
	struct kn_zonelist *list;
};

#define POOL_BYTES ((size_t)64 << 10)

static struct kn_zonelist first_lists[KN_MAX_NODES];
static struct pool pools = {.size = KN_MAX_NODES, .list = first_lists};

/* Points 2 to 5 of the order, the first one in the highest bits. */
static uint32_t cost(const struct kn_topology *t, int from, int node,
		     unsigned load)
{
	const uint32_t distance = kn_load(&t->distance[from][node]);
	const uint32_t has_cpu = t->has_cpu >> node & 1;
	const uint32_t points = has_cpu + (node < from);

	return distance << 24 | (uint32_t)t->tier[node] << 16 | points << 8 |
	       load;
}

static int nearest(const struct kn_topology *t, int from, uint64_t left,
		   const uint8_t load[KN_MAX_NODES])
{
	uint32_t least = UINT32_MAX;
	int best = -1;

	if (left >> from & 1)
		return from;
	for (; left; left &= left - 1) {
		const int node = __builtin_ctzll(left);
		const uint32_t c = cost(t, from, node, load[node]);

		if (best < 0 || c < least) {
			best = node;
			least = c;
		}
	}
	return best;
}

void kn_zonelist_order(const struct kn_topology *t, int node,
		       uint8_t load[KN_MAX_NODES], struct kn_zonelist *list)
{
	uint64_t left = t->has_memory & t->allowed;
	uint8_t group = t->distance[node][node];

	memset(list, 0, sizeof(*list));
	while (left) {
		const int next = nearest(t, node, left, load);
		const uint8_t distance = t->distance[node][next];

		/* At most once a list, and there are 64: fits 8 bits. */
		if (next != node && distance != group)
			load[next]++;
		group = distance;
		left &= ~(1ull << next);
		list->node[list->nr++] = (uint8_t)next;
	}
}

static struct pool *add_pool(struct pool *last)
{
	struct pool *p = kn_machine.mmap(NULL, POOL_BYTES,
					 PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS);

	if (kn_is_err(p))
		return NULL;
	p->list = (struct kn_zonelist *)(p + 1);
	p->size = (POOL_BYTES - sizeof(*p)) / sizeof(p->list[0]);
	last->next = p;
	return p;
}

/* The kept list that is equal to @list, made if there is none. */
static const struct kn_zonelist *keep(const struct kn_zonelist *list)
{
	struct pool *p = &pools, *last = NULL;

	for (; p; last = p, p = p->next)
		for (size_t i = 0; i < p->nr; i++)
			if (!memcmp(&p->list[i], list, sizeof(*list)))
				return &p->list[i];
	if (last->nr == last->size)
		last = add_pool(last);
	if (!last)
		return NULL;
	last->list[last->nr] = *list;
	return &last->list[last->nr++];
}

int kn_zonelists_build(void)
{
	/* A node without memory and CPUs asks for nothing: it adds no load. */
	const uint64_t asks = kn_topo.has_memory | kn_topo.has_cpu;
	uint8_t load[KN_MAX_NODES] = {0};
	int ret = 0;

	KN_CHECK(kn_topo.has_memory & kn_topo.allowed);
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		uint8_t scratch[KN_MAX_NODES];
		struct kn_zonelist list;
		const struct kn_zonelist *kept;
		const bool counts = asks >> node & 1;

		memcpy(scratch, load, sizeof(scratch));
		kn_zonelist_order(&kn_topo, node, counts ? load : scratch,
				  &list);
		kept = keep(&list);
		if (!kept) {
			ret = -ENOMEM;
			continue;
		}
		/* Pairs with the acquire in kn_zonelist(). */
		kn_store_release(&kn_zonelists[node], kept);
	}
	return ret;
}
