/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What knuma says of the guest against what QEMU was asked for: nodes, memory,
 * CPUs, distances, speeds, and where memory of a node lies.
 */
#define _GNU_SOURCE
#include "numa/topology.h"

#include <sched.h>
#include <string.h>

#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/vm/machine.h"

/* The node with memory at the smallest distance from @node. */
static int nearest_memory(int node)
{
	const struct vm_machine *m = vm_machine();
	int best = -1;

	if (m->mib[node])
		return node;
	for (int i = 0; i < m->nr_nodes; i++) {
		if (!m->mib[i])
			continue;
		if (best < 0 || m->distance[node][i] < m->distance[node][best])
			best = i;
	}
	return best;
}

static int nr_with_memory(void)
{
	const struct vm_machine *m = vm_machine();
	int n = 0;

	for (int node = 0; node < m->nr_nodes; node++)
		n += m->mib[node] > 0;
	return n;
}

static void move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	CHECK_EQ(sched_getcpu(), cpu);
}

static void nodes_with_memory_are_used(void)
{
	const struct vm_machine *m = vm_machine();
	int next = knuma_next_node(-1);

	CHECK_EQ(knuma_nr_nodes(), nr_with_memory());
	for (int node = 0; node < m->nr_nodes; node++) {
		if (!m->mib[node])
			continue;
		CHECK_EQ(next, node);
		next = knuma_next_node(next);
	}
	CHECK_EQ(next, -1);
}

static void cpus_are_on_their_nodes(void)
{
	const struct vm_machine *m = vm_machine();

	start_quiet();
	CHECK_EQ(kn_topo.nr_cpus, m->nr_cpus);
	for (int cpu = 0; cpu < m->nr_cpus; cpu++) {
		const int node = vm_node_of_cpu(cpu);

		move_to(cpu);
		CHECK_EQ(knuma_numa_node_id(), node);
		CHECK_EQ(knuma_numa_mem_id(), nearest_memory(node));
	}
	for (int node = 0; node < m->nr_nodes; node++)
		CHECK_EQ(kn_topo.has_cpu >> kn_node_dense(node) & 1,
			 m->cpus[node] > 0);
}

static void distances_hold(void)
{
	const struct vm_machine *m = vm_machine();

	for (int a = 0; a < m->nr_nodes; a++)
		for (int b = 0; b < m->nr_nodes; b++)
			CHECK_EQ(knuma_distance(a, b), m->distance[a][b]);
	CHECK_EQ(knuma_distance(0, m->nr_nodes) < 0, true);
}

/* Nearest first; between equals there is a choice. */
static void zonelists_hold(void)
{
	const struct vm_machine *m = vm_machine();
	int list[VM_MAX_NODES];

	for (int node = 0; node < m->nr_nodes; node++) {
		const int n = knuma_zonelist(node, list, VM_MAX_NODES);
		unsigned seen = 0;

		CHECK_EQ(n, nr_with_memory());
		CHECK_EQ(m->distance[node][list[0]],
			 m->distance[node][nearest_memory(node)]);
		for (int i = 0; i < n; i++) {
			CHECK(m->mib[list[i]] > 0);
			seen |= 1u << list[i];
			CHECK(!i || m->distance[node][list[i - 1]] <=
					    m->distance[node][list[i]]);
		}
		CHECK_EQ(__builtin_popcount(seen), n);
	}
}

static void by_sysfs(void)
{
	start_quiet();
	CHECK(!kn_topo.refined);
	distances_hold();
	zonelists_hold();
}

static void by_hwloc(void)
{
	start_quiet();
	CHECK_EQ(knuma_topology_refine(), 0);
	CHECK(kn_topo.refined);
	distances_hold();
	zonelists_hold();
}

/* The kernel publishes the figures of the nearest CPUs only. */
static void speeds_are_those_of_the_firmware(void)
{
	const struct vm_machine *m = vm_machine();

	start_quiet();
	CHECK_EQ(knuma_topology_refine(), 0);
	for (int node = 0; node < m->nr_nodes; node++) {
		const int from = vm_initiator(node), id = kn_node_dense(node);
		const int ns = m->hmat ? m->latency_ns[from][node] : 0;
		const int mb = m->hmat ? m->bandwidth_mb[from][node] : 0;

		CHECK_EQ(kn_topo.latency_ns[id], ns);
		CHECK_EQ(kn_topo.bandwidth_mib[id], mb);
		if (!m->hmat)
			CHECK_EQ(kn_topo.tier[id], 0);
		else if (m->mib[node])
			CHECK_EQ(kn_topo.tier[id] > 0, !m->cpus[node]);
	}
}

/* All pages of touched memory are on @node, by the system's own word. */
static void lies_on(void *p, size_t bytes, int node)
{
	long count[VM_MAX_NODES];

	CHECK(p);
	CHECK_EQ(knuma_node_of(p), node);
	memset(p, 1, bytes);
	CHECK(knuma_placement(p, bytes, count, VM_MAX_NODES) >=
	      (long)(bytes / knuma_page_size()));
	for (int i = 0; i < VM_MAX_NODES; i++)
		CHECK_EQ(count[i] > 0, i == node);
}

static void memory_lies_on_the_node_that_is_named(void)
{
	const size_t bytes = 1 << 20;

	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node)) {
		void *k = kmalloc_node(bytes, GFP_KERNEL, node);
		void *v = vmalloc_node(bytes, node);

		lies_on(k, bytes, node);
		lies_on(v, bytes, node);
		kfree(k);
		vfree(v);
	}
	heap_verify();
}

static void a_node_without_memory_is_served_by_the_nearest(void)
{
	const struct vm_machine *m = vm_machine();

	for (int node = 0; node < m->nr_nodes; node++) {
		void *p;

		if (m->mib[node])
			continue;
		p = kmalloc_node(5000, GFP_KERNEL, node);
		lies_on(p, 5000, nearest_memory(node));
		kfree(p);
		CHECK_FAILS(kmalloc_node(5000,
					 GFP_KERNEL | __GFP_THISNODE |
						 __GFP_NOWARN,
					 node),
			    ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(nodes_with_memory_are_used),
		child_test(cpus_are_on_their_nodes),
		child_test(by_sysfs),
		child_test(by_hwloc),
		child_test(speeds_are_those_of_the_firmware),
		child_test(memory_lies_on_the_node_that_is_named),
		child_test(a_node_without_memory_is_served_by_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
