/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodes.c - memory of a NUMA node that the program names
 *
 * What it teaches:
 *   - Node ids may have gaps: for_each_memory_node() goes through those that
 *     have memory.
 *   - kmalloc_node(), kvmalloc_node() and kmem_cache_alloc_node() take a node;
 *     a free needs none, the memory finds its way home.
 *   - knuma_node_of() tells the node from the address alone;
 *     knuma_placement() asks the system where the pages really are.
 *   - NUMA_NO_NODE means the nearest node with memory.
 */
#define pr_fmt(fmt) "nodes: " fmt

#include <knuma/linux/kernel.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/string.h>

#include "docs/examples/example.h"

#define MIB ((size_t)1 << 20)

struct session {
	u64 id;
	char peer[48];
};

static void one_node(struct kmem_cache *sessions, int node)
{
	void *small = kmalloc_node(200, GFP_KERNEL, node);
	char *large = kvmalloc_node(8 * MIB, GFP_KERNEL, node);
	struct session *s = kmem_cache_alloc_node(sessions, GFP_KERNEL, node);
	long pages;

	expect(small && large && s);
	expect(knuma_node_of(small) == node);
	expect(knuma_node_of(large) == node);
	expect(knuma_node_of(s) == node);

	memset(large, 1, 8 * MIB);
	pages = knuma_placement(large, 8 * MIB, NULL, 0);
	expect(pages < 0 || (size_t)pages == 8 * MIB / PAGE_SIZE);
	pr_info("node %d: an object, an area and a session\n", node);

	kmem_cache_free(sessions, s);
	kvfree(large);
	kfree(small);
}

int main(void)
{
	struct kmem_cache *sessions = KMEM_CACHE(session, SLAB_HWCACHE_ALIGN);
	int node, nr_nodes = 0;
	void *p;

	expect(sessions);
	for_each_memory_node(node) {
		one_node(sessions, node);
		nr_nodes++;
	}
	expect(nr_nodes == knuma_nr_nodes());

	p = kmalloc_node(200, GFP_KERNEL, NUMA_NO_NODE);
	expect(p && knuma_node_of(p) >= 0);
	kfree(p);
	expect(knuma_node_of(&node) == -1);

	kmem_cache_destroy(sessions);
	pr_info("%d node%s with memory\n", nr_nodes, nr_nodes == 1 ? "" : "s");
	return 0;
}
