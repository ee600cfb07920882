/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a zonelist, point by point, and the keeping of lists. */
#include "numa/zonelist.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "numa/machine.h"

#define ALL(n) (~0ull >> (64 - (n)))

static uint8_t load[KN_MAX_NODES];

/* @n nodes with memory and CPUs, all 20 apart. */
static void flat(struct kn_topology *t, int n)
{
	memset(t, 0, sizeof(*t));
	memset(load, 0, sizeof(load));
	t->nr_nodes = n;
	t->has_memory = t->has_cpu = t->allowed = t->online = ALL(n);
	for (int a = 0; a < n; a++)
		for (int b = 0; b < n; b++)
			t->distance[a][b] = a == b ? 10 : 20;
}

static void link_nodes(struct kn_topology *t, int a, int b, uint8_t distance)
{
	t->distance[a][b] = t->distance[b][a] = distance;
}

static const char *order(const struct kn_topology *t, int node)
{
	static char s[256];
	struct kn_zonelist list;
	size_t len = 0;

	kn_zonelist_order(t, node, load, &list);
	s[0] = '\0';
	for (int i = 0; i < list.nr; i++)
		len += (size_t)snprintf(s + len, sizeof(s) - len, "%s%d",
					i ? " " : "", list.node[i]);
	return s;
}

static void own_node_first(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 3);
	/* Even where the firmware calls the others as near as itself. */
	link_nodes(&t, 2, 0, 10);
	link_nodes(&t, 2, 1, 10);
	assert_string_equal(order(&t, 2), "2 0 1");
}

static void nearer_first_by_one(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 4);
	/* 20, a lower number and CPUs come before 21 without either. */
	link_nodes(&t, 1, 0, 20);
	link_nodes(&t, 1, 2, 21);
	link_nodes(&t, 1, 3, 22);
	t.has_cpu = 3;
	assert_string_equal(order(&t, 1), "1 0 2 3");
}

static void distance_is_seen_from_the_node(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 3);
	t.distance[0][1] = 30;
	t.distance[1][0] = 20;
	t.distance[1][2] = 30;
	assert_string_equal(order(&t, 0), "0 2 1");
	assert_string_equal(order(&t, 1), "1 0 2");
}

static void faster_memory_first_at_one_distance(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 4);
	t.tier[1] = 6;
	t.has_cpu = 0xd;
	assert_string_equal(order(&t, 0), "0 2 3 1");
	/* Distance still counts more. */
	link_nodes(&t, 0, 1, 19);
	assert_string_equal(order(&t, 0), "0 1 3 2");
}

static void nodes_without_cpus_first_at_one_distance(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 4);
	t.has_cpu = 0x7;
	assert_string_equal(order(&t, 0), "0 3 1 2");
}

static void higher_numbers_first_at_one_distance(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 4);
	assert_string_equal(order(&t, 2), "2 3 0 1");
}

static void nodes_overflow_to_different_ones(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 4);
	assert_string_equal(order(&t, 0), "0 1 2 3");
	assert_string_equal(order(&t, 1), "1 2 3 0");
	assert_string_equal(order(&t, 2), "2 3 0 1");
	assert_string_equal(order(&t, 3), "3 0 1 2");
	assert_int_equal(load[0], 1);
	assert_int_equal(load[1], 1);
}

static void load_is_raised_once_a_distance(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 5);
	link_nodes(&t, 0, 3, 30);
	link_nodes(&t, 0, 4, 30);
	assert_string_equal(order(&t, 0), "0 1 2 3 4");
	assert_int_equal(load[0], 0);
	assert_int_equal(load[1], 1);
	assert_int_equal(load[2], 0);
	assert_int_equal(load[3], 1);
	assert_int_equal(load[4], 0);
}

static void only_usable_nodes(void **state)
{
	struct kn_topology t;

	(void)state;
	flat(&t, 5);
	t.has_memory = 0x1e;
	t.allowed = 0x17;
	assert_string_equal(order(&t, 0), "1 2 4");
	/* 1 has the load of node 0. */
	assert_string_equal(order(&t, 3), "4 2 1");
	assert_string_equal(order(&t, 4), "4 2 1");
}

static void sixty_four_nodes(void **state)
{
	struct kn_topology t;
	struct kn_zonelist list;

	(void)state;
	flat(&t, 64);
	for (int node = 0; node < 64; node++) {
		uint64_t seen = 0;

		kn_zonelist_order(&t, node, load, &list);
		assert_int_equal(list.nr, 64);
		for (int i = 0; i < 64; i++)
			seen |= 1ull << list.node[i];
		assert_int_equal(seen, ~0ull);
		assert_int_equal(list.node[0], node);
	}
	/* Nobody is the first choice of many. */
	for (int node = 0; node < 64; node++)
		assert_true(load[node] <= 2);
}

static int nr_mmaps;
static bool refuse;

static void *counted_mmap(void *addr, size_t len, int prot, int flags)
{
	static char pool[1 << 16] __attribute__((aligned(4096)));

	(void)addr;
	(void)prot;
	(void)flags;
	nr_mmaps++;
	assert_true(len <= sizeof(pool));
	return refuse ? (void *)(intptr_t)-ENOMEM : pool;
}

/* Subsets of the nodes, to get ever new lists. */
static int build(uint64_t allowed)
{
	kn_topo.allowed = allowed;
	return kn_zonelists_build();
}

static void lists_are_kept_by_content(void **state)
{
	const struct kn_zonelist *first[64];

	(void)state;
	kn_machine.mmap = counted_mmap;
	flat(&kn_topo, 64);
	assert_int_equal(build(~0ull), 0);
	/* The first ones have their room. */
	assert_int_equal(nr_mmaps, 0);
	memcpy(first, kn_zonelists, sizeof(first));
	assert_int_equal(build(~0ull), 0);
	assert_memory_equal(first, kn_zonelists, sizeof(first));
	assert_int_equal(nr_mmaps, 0);
	/* New ones are refused room: the old ones stay. */
	refuse = true;
	assert_int_equal(build(~0ull - 1), -ENOMEM);
	assert_memory_equal(first, kn_zonelists, sizeof(first));
	refuse = false;
	nr_mmaps = 0;
	assert_int_equal(build(~0ull - 1), 0);
	assert_int_equal(nr_mmaps, 1);
	assert_ptr_not_equal(first[0], kn_zonelists[0]);
	/* To and fro costs nothing more. */
	for (int i = 0; i < 10000; i++)
		assert_int_equal(build(~0ull - (i % 2 == 0)), 0);
	assert_int_equal(nr_mmaps, 1);
	assert_memory_equal(first, kn_zonelists, sizeof(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_node_first),
		cmocka_unit_test(nearer_first_by_one),
		cmocka_unit_test(distance_is_seen_from_the_node),
		cmocka_unit_test(faster_memory_first_at_one_distance),
		cmocka_unit_test(nodes_without_cpus_first_at_one_distance),
		cmocka_unit_test(higher_numbers_first_at_one_distance),
		cmocka_unit_test(nodes_overflow_to_different_ones),
		cmocka_unit_test(load_is_raised_once_a_distance),
		cmocka_unit_test(only_usable_nodes),
		cmocka_unit_test(sixty_four_nodes),
		cmocka_unit_test(lists_are_kept_by_content),
	};

	return cmocka_run_group_tests_name("zonelist", tests, NULL, NULL);
}
