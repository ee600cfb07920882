/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines as text, and what knuma makes of them: dense ids, masks, distances,
 * zonelists, the node of each CPU.
 */
#define _GNU_SOURCE
#include "numa/topology.h"

#include <errno.h>
#include <knuma/numa.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/base/start.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_sysfs.h"
#include "tests/support/syscalls.h"

#define MACHINE(possible, cpus, nodes, allowed)                              \
	fake_sysfs_machine(possible, cpus, nodes, (int)KN_ARRAY_SIZE(nodes), \
			   allowed)

static const struct fake_node two[] = {
	{0, "0-1", 1, "10 21"},
	{1, "2-3", 1, "21 10"},
};

static const struct fake_node ring[] = {
	{0, "0-1", 1, "10 20 30 20"},
	{1, "2-3", 1, "20 10 20 30"},
	{2, "4-5", 1, "30 20 10 20"},
	{3, "6-7", 1, "20 30 20 10"},
};

/* What holds of every machine: T1 to T3 of numa/topology.c. */
static void check_invariants(void)
{
	const uint64_t usable = kn_topo.has_memory & kn_topo.allowed;

	assert_true(kn_topo.nr_nodes >= 1 && kn_topo.nr_nodes <= KN_MAX_NODES);
	assert_true(kn_topo.nr_cpus >= 1 && kn_topo.nr_cpus <= KN_MAX_CPUS);
	assert_int_not_equal(usable, 0);
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const struct kn_zonelist *z = kn_zonelist(node);
		uint64_t seen = 0;

		assert_int_equal(kn_node_dense(kn_topo.kernel_id[node]), node);
		assert_int_equal(kn_topo.distance[node][node], 10);
		for (int i = 0; i < z->nr; i++)
			seen |= 1ull << z->node[i];
		assert_int_equal(z->nr, __builtin_popcountll(usable));
		assert_int_equal(seen, usable);
		if (kn_node_usable(node))
			assert_int_equal(z->node[0], node);
		for (int i = 2; i < z->nr; i++)
			assert_true(kn_topo.distance[node][z->node[i - 1]] <=
				    kn_topo.distance[node][z->node[i]]);
	}
	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++)
		assert_true(usable >> kn_cpu_node[cpu] & 1);
	for (int id = 0; id < KN_MAX_NODE_IDS; id++) {
		const int node = kn_node_dense(id);

		assert_in_range(node + 2, 0, kn_topo.nr_nodes + 1);
		if (node >= 0)
			assert_int_equal(kn_topo.kernel_id[node], id);
	}
}

static void init(void)
{
	errno = 4711;
	kn_topology_init();
	assert_int_equal(errno, 4711);
	check_invariants();
}

static void one_node_takes_two_reads(void **state)
{
	static const struct fake_node one[] = {{0, "0-3", 1, "10"}};

	(void)state;
	MACHINE("0\n", "0-3\n", one, "0");
	init();
	assert_int_equal(fake_sysfs_reads(), 2);
	assert_int_equal(kn_topo.nr_nodes, 1);
	assert_int_equal(kn_topo.nr_cpus, 4);
	assert_string_equal(zonelists_text(), "0: 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 0 0");
	assert_int_equal(kn_topo.has_memory, 1);
	assert_int_equal(kn_topo.has_cpu, 1);
	assert_int_equal(kn_topo.allowed, 1);
	assert_int_equal(kn_node_dense(1), -1);
	assert_int_equal(kn_node_dense(-1), -1);
	assert_int_equal(kn_node_dense(KN_MAX_NODE_IDS), -1);
	assert_false(kn_topo.refined);
}

static void one_node_may_have_any_id(void **state)
{
	static const struct fake_node one[] = {{5, "0", 1, "10"}};

	(void)state;
	MACHINE("5\n", "0\n", one, "5");
	init();
	assert_int_equal(kn_topo.kernel_id[0], 5);
	assert_string_equal(zonelists_text(), "5: 5\n");
	assert_int_equal(kn_node_dense(0), -1);
}

static void one_online_of_many_possible_needs_no_node_files(void **state)
{
	static const struct fake_node one[] = {{0, "0-3", 1, "10"}};

	(void)state;
	/* As virtual machines present it. */
	MACHINE("0-127\n", "0-7\n", one, "0");
	init();
	assert_int_equal(fake_sysfs_reads(), 6);
	assert_int_equal(kn_topo.nr_nodes, 1);
	assert_int_equal(kn_topo.online, 1);
	assert_string_equal(zonelists_text(), "0: 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 0 0 0 0 0 0");
	assert_int_equal(kn_node_dense(1), KN_NODE_OFFLINE);
	assert_int_equal(kn_node_dense(127), KN_NODE_OFFLINE);
	assert_int_equal(kn_node_dense(128), -1);
	/* Whatever comes online, this process stays on its one node. */
	kn_topology_reread();
	assert_int_equal(fake_sysfs_reads(), 6);
}

static void two_nodes(void **state)
{
	(void)state;
	MACHINE("0-1\n", "0-3\n", two, "0-1");
	init();
	assert_int_equal(kn_topo.nr_nodes, 2);
	assert_int_equal(kn_topo.distance[0][1], 21);
	assert_string_equal(zonelists_text(), "0: 0 1\n1: 1 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 1 1");
}

static void interleaved_cpus(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0,2,4-6", 1, "10 21"},
		{1, "1,3,7", 1, "21 10"},
	};

	(void)state;
	MACHINE("0-1\n", "0-7\n", nodes, "0-1");
	init();
	assert_string_equal(cpu_nodes_text(), "0 1 0 1 0 0 0 1");
}

static void sparse_ids(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0-1", 1, "10 40"},
		{2, "2-3", 1, "41 10"},
	};

	(void)state;
	MACHINE("0,2\n", "0-3\n", nodes, "0,2");
	init();
	assert_int_equal(kn_topo.nr_nodes, 2);
	assert_int_equal(kn_node_dense(1), -1);
	assert_int_equal(kn_node_dense(2), 1);
	assert_int_equal(kn_topo.distance[0][1], 40);
	assert_int_equal(kn_topo.distance[1][0], 41);
	assert_string_equal(zonelists_text(), "0: 0 2\n2: 2 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 2 2");
}

static void offline_possible_node_between(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0-1", 1, "10 40"},
		{2, "2-3", 1, "40 10"},
	};

	(void)state;
	/* The columns of a distance row are the nodes online. */
	MACHINE("0-2\n", "0-3\n", nodes, "0-2");
	init();
	assert_int_equal(kn_topo.nr_nodes, 2);
	assert_int_equal(kn_node_dense(1), KN_NODE_OFFLINE);
	assert_int_equal(kn_node_dense(2), 1);
	assert_int_equal(kn_node_dense(3), -1);
	assert_int_equal(kn_topo.distance[0][1], 40);
	assert_string_equal(zonelists_text(), "0: 0 2\n2: 2 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 2 2");
}

/* The files contradict each other: memory counts. */
static void memory_on_a_node_not_online(void **state)
{
	(void)state;
	MACHINE("0-2\n", "0-3\n", two, "0-2");
	fake_sysfs_file("node/has_memory", "0,2\n");
	init();
	assert_int_equal(kn_topo.nr_nodes, 3);
	assert_int_equal(kn_topo.online, 3);
	assert_int_equal(kn_topo.has_memory, 5);
}

static void nothing_possible_is_online(void **state)
{
	(void)state;
	MACHINE("3-5\n", "0-3\n", two, "0-1");
	init();
	assert_int_equal(kn_topo.nr_nodes, 1);
	assert_int_equal(kn_node_dense(3), 0);
	assert_int_equal(kn_node_dense(4), KN_NODE_OFFLINE);
	assert_int_equal(kn_node_dense(0), -1);
	assert_string_equal(zonelists_text(), "3: 3\n");
}

static void memoryless_node_borrows(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0-1", 1, "10 30 20"},
		{1, "2-3", 0, "30 10 15"},
		{2, "4", 1, "20 15 10"},
	};

	(void)state;
	MACHINE("0-2\n", "0-4\n", nodes, "0,2");
	init();
	assert_string_equal(zonelists_text(), "0: 0 2\n1: 2 0\n2: 2 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 2 2 2");
	assert_false(kn_node_usable(1));
	assert_int_equal(kn_topo.has_memory, 5);
	assert_int_equal(kn_topo.has_cpu, 7);
}

static int cpu_now;

static int fake_getcpu(void)
{
	return cpu_now;
}

static void this_node_and_home_differ_without_memory(void **state)
{
	int (*const real)(void) = kn_machine.getcpu;
	static const struct fake_node nodes[] = {
		{0, "0-1", 1, "10 20"},
		{1, "2-3", 0, "20 10"},
	};

	(void)state;
	MACHINE("0-1\n", "0-4\n", nodes, "0");
	init();
	kn_machine.getcpu = fake_getcpu;
	cpu_now = 2;
	assert_int_equal(kn_this_node(), 0);
	assert_int_equal(kn_this_home(), 1);
	/* CPU 4 was offline when the files were read. */
	cpu_now = 4;
	assert_int_equal(kn_this_node(), 0);
	assert_int_equal(kn_this_home(), 0);
	/* Refused, or more than was ever possible. */
	cpu_now = -ENOSYS;
	assert_int_equal(kn_this_node(), 0);
	cpu_now = 5;
	assert_int_equal(kn_this_home(), 0);
	kn_machine.getcpu = real;
}

static void callers_of_nodes_offline_at_start(void **state)
{
	int (*const real)(void) = kn_machine.getcpu;
	static const struct fake_node nodes[] = {
		{0, "0-1", 1, "10 40"},
		{2, "2-3", 1, "41 10"},
	};
	int id[4] = {-1, -1, -1, -1};

	(void)state;
	MACHINE("0-3\n", "0-3\n", nodes, "0-3");
	init();
	kn_machine.getcpu = fake_getcpu;
	cpu_now = 2;
	/* The machine is the fake one: nothing is to start. */
	kn_store(&kn_started, true);
	assert_int_equal(knuma_nr_nodes(), 2);
	assert_int_equal(knuma_next_node(-1), 0);
	assert_int_equal(knuma_next_node(0), 2);
	assert_int_equal(knuma_next_node(2), -1);
	/* As NUMA_NO_NODE: the caller's node serves. */
	assert_int_equal(knuma_zonelist(1, id, 4), 2);
	/* checks knuma_zonelist: "the list of NUMA_NO_NODE" */
	assert_int_equal(id[0], 2);
	assert_int_equal(id[1], 0);
	assert_int_equal(id[2], -1);
	cpu_now = 0;
	/* checks knuma_numa_node_id: "as knuma_numa_mem_id()" */
	cpu_now = 9;
	assert_int_equal(knuma_numa_node_id(), knuma_numa_mem_id());
	cpu_now = 0;
	assert_int_equal(knuma_zonelist(3, id, 1), 2);
	assert_int_equal(id[0], 0);
	assert_int_equal(knuma_zonelist(NUMA_NO_NODE, id, 1), 2);
	assert_int_equal(id[0], 0);
	assert_int_equal(knuma_zonelist(2, id, 1), 2);
	assert_int_equal(id[0], 2);
	assert_int_equal(knuma_zonelist(4, id, 4), -EINVAL);
	assert_int_equal(knuma_zonelist(KN_NODE_OFFLINE, id, 4), -EINVAL);
	assert_int_equal(knuma_distance(0, 2), 40);
	assert_int_equal(knuma_distance(2, 0), 41);
	assert_int_equal(knuma_distance(0, 1), -ENODEV);
	assert_int_equal(knuma_distance(3, 2), -ENODEV);
	assert_int_equal(knuma_distance(1, 1), -ENODEV);
	assert_int_equal(knuma_distance(0, 4), -EINVAL);
	assert_int_equal(knuma_distance(1, 4), -EINVAL);
	assert_int_equal(knuma_distance(NUMA_NO_NODE, 0), -EINVAL);
	kn_store(&kn_started, false);
	kn_machine.getcpu = real;
}

static void node_without_cpus_serves_last_or_first(void **state)
{
	static const struct fake_node far[] = {
		{0, "0-1", 1, "10 21 28"},
		{1, "2-3", 1, "21 10 28"},
		{2, "", 1, "28 28 10"},
	};
	static const struct fake_node near[] = {
		{0, "0-1", 1, "10 20 20"},
		{1, "2-3", 1, "20 10 20"},
		{2, "", 1, "20 20 10"},
	};

	(void)state;
	MACHINE("0-2\n", "0-3\n", far, "0-2");
	init();
	assert_string_equal(zonelists_text(), "0: 0 1 2\n1: 1 0 2\n2: 2 0 1\n");
	assert_string_equal(cpu_nodes_text(), "0 0 1 1");
	/* As near as others: before them, since nobody lives there. */
	MACHINE("0-2\n", "0-3\n", near, "0-2");
	init();
	assert_string_equal(zonelists_text(), "0: 0 2 1\n1: 1 2 0\n2: 2 0 1\n");
}

static void ring_of_four(void **state)
{
	(void)state;
	MACHINE("0-3\n", "0-7\n", ring, "0-3");
	init();
	assert_string_equal(zonelists_text(), "0: 0 1 3 2\n1: 1 2 0 3\n"
					      "2: 2 3 1 0\n3: 3 0 2 1\n");
}

static void eight_nodes_in_two_sockets(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0", 1, "10 12 12 12 32 32 32 32"},
		{1, "1", 1, "12 10 12 12 32 32 32 32"},
		{2, "2", 1, "12 12 10 12 32 32 32 32"},
		{3, "3", 1, "12 12 12 10 32 32 32 32"},
		{4, "4", 1, "32 32 32 32 10 12 12 12"},
		{5, "5", 1, "32 32 32 32 12 10 12 12"},
		{6, "6", 1, "32 32 32 32 12 12 10 12"},
		{7, "7", 1, "32 32 32 32 12 12 12 10"},
	};

	(void)state;
	MACHINE("0-7\n", "0-7\n", nodes, "0-7");
	init();
	assert_string_equal(zonelists_text(),
			    "0: 0 1 2 3 4 5 6 7\n1: 1 2 3 0 5 6 7 4\n"
			    "2: 2 3 0 1 6 7 4 5\n3: 3 0 1 2 7 4 5 6\n"
			    "4: 4 5 6 7 0 1 2 3\n5: 5 6 7 4 1 2 3 0\n"
			    "6: 6 7 4 5 2 3 0 1\n7: 7 4 5 6 3 0 1 2\n");
	assert_string_equal(cpu_nodes_text(), "0 1 2 3 4 5 6 7");
}

static void node_id_300(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0", 1, "10 80"},
		{300, "1", 1, "80 10"},
	};

	(void)state;
	MACHINE("0,300\n", "0-1\n", nodes, "0,300");
	init();
	assert_int_equal(kn_node_dense(300), 1);
	assert_int_equal(kn_topo.distance[1][0], 80);
	assert_string_equal(zonelists_text(), "0: 0 300\n300: 300 0\n");
	assert_string_equal(cpu_nodes_text(), "0 300");
}

static void of_200_nodes_those_in_use_are_numbered(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0", 1, "10 20 40 80"},
		{8, "1", 0, "20 10 20 40"},
		{150, "2", 1, "40 20 10 20"},
		{199, "3", 1, "80 40 20 10"},
	};

	(void)state;
	MACHINE("0-199\n", "0-3\n", nodes, "0-199");
	init();
	assert_int_equal(kn_topo.nr_nodes, 4);
	assert_int_equal(kn_node_dense(0), 0);
	assert_int_equal(kn_node_dense(8), 1);
	assert_int_equal(kn_node_dense(61), KN_NODE_OFFLINE);
	assert_int_equal(kn_node_dense(150), 2);
	assert_int_equal(kn_node_dense(199), 3);
	assert_int_equal(kn_node_dense(200), -1);
	assert_int_equal(kn_topo.distance[0][2], 40);
	assert_int_equal(kn_topo.distance[3][1], 40);
	assert_int_equal(kn_zonelist(0)->nr, 3);
	assert_int_equal(kn_zonelist(0)->node[1], 2);
	assert_string_equal(cpu_nodes_text(), "0 150 150 199");
}

static void nodes_in_use_are_kept_even_when_more_than_64(void **state)
{
	static struct fake_node nodes[100];
	static char distance[512];
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(distance + len, sizeof(distance) - len,
					"%s20", i ? " " : "");
	for (int i = 0; i < 100; i++)
		nodes[i] = (struct fake_node){i, "", i >= 40, distance};
	MACHINE("0-99\n", "0-3\n", nodes, "0-99");
	init();
	assert_int_equal(kn_topo.nr_nodes, 64);
	/* 60 with memory, and the first 4 of those online without. */
	assert_int_equal(kn_topo.kernel_id[3], 3);
	assert_int_equal(kn_topo.kernel_id[4], 40);
	assert_int_equal(kn_topo.kernel_id[63], 99);
	/* One too many is as good as offline. */
	assert_int_equal(kn_node_dense(4), KN_NODE_OFFLINE);
	assert_int_equal(kn_node_dense(39), KN_NODE_OFFLINE);
	assert_int_equal(kn_zonelist(0)->nr, 60);
}

static void all_files_missing(void **state)
{
	char mask[KN_MAX_CPUS / 8];
	const long bytes =
		syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	(void)state;
	fake_sysfs_start();
	init();
	assert_int_equal(kn_topo.nr_nodes, 1);
	assert_int_equal(kn_topo.kernel_id[0], 0);
	assert_int_equal(kn_topo.nr_cpus, bytes * 8);
	assert_true(kn_topo.nr_cpus > sched_getcpu());
	assert_string_equal(zonelists_text(), "0: 0\n");
}

/* Nobody tells how many CPUs there are: as many as there can be. */
static void no_file_and_no_mask(void)
{
	static const int nr = SYS_sched_getaffinity;

	if (!syscalls_refuse(&nr, 1, EPERM))
		skip_child("no seccomp");
	fake_sysfs_start();
	errno = 4711;
	kn_topology_init();
	CHECK_EQ(errno, 4711);
	CHECK_EQ(kn_topo.nr_cpus, KN_MAX_CPUS);
	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++)
		CHECK_EQ(kn_cpu_node[cpu], 0);
}

static void only_possible_is_there(void **state)
{
	(void)state;
	fake_sysfs_start();
	fake_sysfs_file("node/possible", "0-1\n");
	fake_sysfs_file("cpu/possible", "0-1\n");
	init();
	assert_string_equal(zonelists_text(), "0: 0 1\n1: 1 0\n");
	assert_int_equal(kn_topo.distance[0][1], 20);
	assert_string_equal(cpu_nodes_text(), "0 0");
}

static void garbage_is_survived(void **state)
{
	static const char *const junk[] = {
		"",
		"\n",
		"x",
		"-",
		"-1",
		"3-1",
		"0-",
		"0--1",
		"1,,2",
		",",
		"99999999999999999999",
		"0-99999999999999999999",
		"0x10",
		"18446744073709551616-18446744073709551617",
		"\xff\xfe",
		"0-1,zz",
		"4294967296",
		"2147483648-2147483649",
		"0 1 2",
		"1024",
		"5000-6000",
		"0-1023",
	};
	static const char *const path[] = {
		"node/possible", "node/online",		"node/has_memory",
		"node/has_cpu",	 "cpu/possible",	"node/node0/cpulist",
		"self/status",	 "node/node1/distance",
	};

	(void)state;
	for (size_t p = 0; p < KN_ARRAY_SIZE(path); p++)
		for (size_t j = 0; j < KN_ARRAY_SIZE(junk); j++) {
			MACHINE("0-3\n", "0-7\n", ring, "0-3");
			fake_sysfs_file(path[p], junk[j]);
			init();
			kn_topology_reread();
			check_invariants();
		}
	/* And all of them at once. */
	for (size_t j = 0; j < KN_ARRAY_SIZE(junk); j++) {
		MACHINE("0-3\n", "0-7\n", ring, "0-3");
		for (size_t p = 0; p < KN_ARRAY_SIZE(path); p++)
			fake_sysfs_file(path[p], junk[j]);
		init();
	}
}

static void every_truncation_is_survived(void **state)
{
	static const char possible[] = "0-3\n", cpus[] = "0-7\n";
	char cut[32];

	(void)state;
	for (size_t n = 0; n < sizeof(possible); n++)
		for (size_t m = 0; m < sizeof("30 20 10 20"); m++) {
			MACHINE("0-3\n", cpus, ring, "0-3");
			memcpy(cut, possible, n);
			cut[n] = '\0';
			fake_sysfs_file("node/possible", cut);
			memcpy(cut, "30 20 10 20", m);
			cut[m] = '\0';
			fake_sysfs_file("node/node2/distance", cut);
			init();
		}
}

static void short_distance_rows_are_completed(void **state)
{
	(void)state;
	MACHINE("0-3\n", "0-7\n", ring, "0-3");
	/* By the way back, if that is known. */
	fake_sysfs_file("node/node0/distance", "10 20\n");
	fake_sysfs_remove("node/node3/distance");
	/* Less than local, and more than a byte. */
	fake_sysfs_file("node/node1/distance", "20 10 9 1000\n");
	init();
	assert_int_equal(kn_topo.distance[0][1], 20);
	assert_int_equal(kn_topo.distance[0][2], 30);
	assert_int_equal(kn_topo.distance[0][3], 20);
	assert_int_equal(kn_topo.distance[3][2], 20);
	assert_int_equal(kn_topo.distance[1][2], 20);
	assert_int_equal(kn_topo.distance[1][3], 20);
}

static void long_cpulists_fit(void **state)
{
	static char even[48 * 1024], odd[48 * 1024];
	size_t e = 0, o = 0;

	(void)state;
	MACHINE("0-1\n", "0-8191\n", two, "0-1");
	for (int i = 0; i < 4096; i++) {
		e += (size_t)sprintf(even + e, "%d,", 2 * i);
		o += (size_t)sprintf(odd + o, "%d,", 2 * i + 1);
	}
	even[e - 1] = odd[o - 1] = '\n';
	fake_sysfs_file("node/node0/cpulist", even);
	fake_sysfs_file("node/node1/cpulist", odd);
	init();
	assert_int_equal(kn_topo.nr_cpus, 8192);
	for (int i = 0; i < 8192; i++)
		assert_int_equal(kn_cpu_node[i], i % 2);
}

static void more_cpus_than_fit_are_cut(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0-9999", 1, "10 21"},
		{1, "10000-20000", 1, "21 10"},
	};

	(void)state;
	MACHINE("0-1\n", "0-20000\n", nodes, "0-1");
	init();
	assert_int_equal(kn_topo.nr_cpus, KN_MAX_CPUS);
}

static void mems_allowed_restricts(void **state)
{
	(void)state;
	MACHINE("0-3\n", "0-7\n", ring, "1,3");
	init();
	assert_int_equal(kn_topo.allowed, 0xa);
	assert_false(kn_node_usable(0));
	assert_true(kn_node_usable(1));
	assert_string_equal(zonelists_text(),
			    "0: 1 3\n1: 1 3\n2: 3 1\n3: 3 1\n");
	assert_string_equal(cpu_nodes_text(), "1 1 1 1 3 3 3 3");
}

static void mems_allowed_without_memory_is_not_believed(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0-1", 1, "10 20"},
		{1, "2-3", 0, "20 10"},
	};

	(void)state;
	MACHINE("0-1\n", "0-3\n", nodes, "1");
	init();
	assert_string_equal(zonelists_text(), "0: 0\n1: 0\n");
	/* No such line at all. */
	fake_sysfs_file("self/status", "Name:\ttest\n");
	init();
	assert_string_equal(zonelists_text(), "0: 0\n1: 0\n");
}

static void reread_follows_the_cpuset(void **state)
{
	const struct kn_zonelist *before[4];

	(void)state;
	MACHINE("0-3\n", "0-7\n", ring, "0-3");
	init();
	for (int i = 0; i < 4; i++)
		before[i] = kn_zonelist(i);
	fake_sysfs_file("self/status", "Mems_allowed_list:\t2\n");
	errno = 4711;
	kn_topology_reread();
	assert_int_equal(errno, 4711);
	check_invariants();
	assert_string_equal(zonelists_text(), "0: 2\n1: 2\n2: 2\n3: 2\n");
	assert_string_equal(cpu_nodes_text(), "2 2 2 2 2 2 2 2");
	/* What a reader still holds has not changed. */
	assert_int_equal(before[0]->nr, 4);
	assert_int_equal(before[0]->node[1], 1);
	fake_sysfs_file("self/status", "Mems_allowed_list:\t0-3\n");
	kn_topology_reread();
	for (int i = 0; i < 4; i++)
		assert_ptr_equal(kn_zonelist(i), before[i]);
	assert_string_equal(cpu_nodes_text(), "0 0 1 1 2 2 3 3");
}

static void reread_follows_hotplug(void **state)
{
	static const struct fake_node three[] = {
		{0, "0-1", 1, "10 20 20"},
		{1, "2-3", 1, "20 10 20"},
		{2, "", 1, "20 20 10"},
	};

	(void)state;
	MACHINE("0-2\n", "0-3\n", three, "0-2");
	init();
	assert_string_equal(zonelists_text(), "0: 0 2 1\n1: 1 2 0\n2: 2 0 1\n");
	/* CPU 3 goes offline and keeps its home. */
	fake_sysfs_file("node/node1/cpulist", "2\n");
	kn_topology_reread();
	check_invariants();
	assert_string_equal(cpu_nodes_text(), "0 0 1 1");
	/* Node 2 leaves, and keeps its dense id. */
	MACHINE("0-2\n", "0-3\n", two, "0-2");
	kn_topology_reread();
	check_invariants();
	assert_int_equal(kn_node_dense(2), 2);
	assert_false(kn_node_usable(2));
	assert_string_equal(zonelists_text(), "0: 0 1\n1: 1 0\n2: 0 1\n");
	/* And comes back. */
	MACHINE("0-2\n", "0-3\n", three, "0-2");
	kn_topology_reread();
	check_invariants();
	assert_string_equal(zonelists_text(), "0: 0 2 1\n1: 1 2 0\n2: 2 0 1\n");
}

static void a_node_offline_at_start_is_for_the_next_process(void **state)
{
	static const struct fake_node before[] = {
		{0, "0-1", 1, "10 40"},
		{2, "2-3", 1, "40 10"},
	};
	static const struct fake_node after[] = {
		{0, "0-1", 1, "10 15 41"},
		{1, "4-5", 1, "15 10 15"},
		{2, "2-3", 1, "42 15 10"},
	};

	(void)state;
	MACHINE("0-2\n", "0-5\n", before, "0-2");
	init();
	assert_string_equal(zonelists_text(), "0: 0 2\n2: 2 0\n");
	MACHINE("0-2\n", "0-5\n", after, "0-2");
	kn_topology_reread();
	check_invariants();
	assert_int_equal(kn_topo.nr_nodes, 2);
	assert_int_equal(kn_node_dense(1), KN_NODE_OFFLINE);
	assert_int_equal(kn_topo.online, 3);
	assert_int_equal(kn_topo.has_memory, 3);
	assert_string_equal(zonelists_text(), "0: 0 2\n2: 2 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 2 2 0 0");
	/* Its column is passed over. */
	assert_int_equal(kn_topo.distance[0][1], 41);
	assert_int_equal(kn_topo.distance[1][0], 42);
	/* A cpuset of nothing else cannot be followed. */
	fake_sysfs_file("self/status", "Mems_allowed_list:\t1\n");
	kn_topology_reread();
	check_invariants();
	assert_string_equal(zonelists_text(), "0: 0 2\n2: 2 0\n");
	/* A process that starts now. */
	MACHINE("0-2\n", "0-5\n", after, "0-2");
	init();
	assert_int_equal(kn_node_dense(1), 1);
	assert_string_equal(zonelists_text(), "0: 0 1 2\n1: 1 2 0\n2: 2 1 0\n");
	assert_string_equal(cpu_nodes_text(), "0 0 2 2 1 1");
}

static bool stop;

static void *reread_all_the_time(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		kn_topology_reread();
	return arg;
}

static void start_writers(pthread_t thread[2])
{
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						reread_all_the_time, NULL),
				 0);
}

static void stop_writers(pthread_t thread[2])
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

/* Readers see valid lists and nodes, whatever the writers do. */
static void readers_need_no_lock(void **state)
{
	pthread_t thread[2];

	(void)state;
	MACHINE("0-3\n", "0-7\n", ring, "0-3");
	init();
	start_writers(thread);
	for (int i = 0; i < 200000; i++) {
		const int node = kn_load(&kn_cpu_node[i % 8]);

		assert_int_equal(kn_zonelist(node)->nr, 4);
		assert_int_equal(kn_zonelist(node)->node[0], node);
	}
	stop_writers(thread);
}

/* A child is not stuck with a reading that its parent had under way. */
static void a_fork_child_reads_again(void **state)
{
	pthread_t thread[2];
	int status;

	(void)state;
	MACHINE("0-3\n", "0-7\n", ring, "0-3");
	init();
	start_writers(thread);
	for (int i = 0; i < 50; i++) {
		const pid_t child = fork();

		if (!child) {
			fake_sysfs_file("self/status",
					"Mems_allowed_list:\t2\n");
			kn_topology_reread();
			_exit(strcmp(zonelists_text(),
				     "0: 2\n1: 2\n2: 2\n3: 2\n") != 0);
		}
		assert_true(child > 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	stop_writers(thread);
}

static void meminfo(void **state)
{
	(void)state;
	MACHINE("0-2\n", "0-3\n", two, "0-1");
	init();
	assert_int_equal(kn_node_free_bytes(0), 1000ll << 20);
	assert_int_equal(kn_node_free_bytes(1), 1001ll << 20);
	assert_int_equal(kn_node_free_bytes(2), -EINVAL);
	assert_int_equal(kn_node_free_bytes(-1), -EINVAL);
	assert_int_equal(kn_node_free_bytes(KN_NODE_OFFLINE), -EINVAL);
	fake_sysfs_file("node/node1/meminfo", "Node 1 MemTotal: 5 kB\n");
	assert_int_equal(kn_node_free_bytes(1), -EIO);
	fake_sysfs_remove("node/node1/meminfo");
	assert_int_equal(kn_node_free_bytes(1), -ENOENT);
	/* No NUMA in the kernel. */
	fake_sysfs_start();
	fake_sysfs_file("meminfo", "MemTotal:   80 kB\nMemFree:    16 kB\n");
	init();
	assert_int_equal(kn_node_free_bytes(0), 16 << 10);
}

static const char *formatted(enum kn_fmt fmt)
{
	static char buf[8192];
	struct kn_text t = {buf, sizeof(buf), 0};

	kn_topology_print(&t, fmt);
	assert_true(t.len < sizeof(buf));
	return buf;
}

static void printed_forms(void **state)
{
	static const struct fake_node nodes[] = {
		{0, "0-1,4", 1, "10 20"},
		{2, "", 1, "20 10"},
	};
	struct kn_text none = {NULL, 0, 0};

	(void)state;
	MACHINE("0-2\n", "0-4\n", nodes, "0");
	init();
	assert_string_equal(
		formatted(KN_FMT_TEXT),
		"3 nodes possible, 2 online; 5 CPUs possible; distances from "
		"sysfs\n\n"
		"node memory allowed  total MiB   free MiB latency ns      "
		"MiB/s cpus\n"
		"   0 yes    yes           4096       1000          -"
		"          - 0-1,4\n"
		"   2 yes    no            4096       1002          -"
		"          - \n"
		"\ndistance\nnode    0    2\n"
		"   0   10   20\n   2   20   10\n"
		"\nzonelist\n   0: 0\n   2: 0\n");
	assert_string_equal(
		formatted(KN_FMT_JSON),
		"{\"schema\":1,\"source\":\"sysfs\",\"fake_nodes\":false,"
		"\"nodes_possible\":3,\"cpus_possible\":5,\"nodes\":[\n"
		"{\"node\":0,\"window\":0,\"has_memory\":true,"
		"\"allowed\":true,\"cpus\":\"0-1,4\",\"total_mib\":4096,"
		"\"free_mib\":1000,\"latency_ns\":null,"
		"\"bandwidth_mib_s\":null,\"distance\":[10,20],"
		"\"zonelist\":[0]},\n"
		"{\"node\":2,\"window\":1,\"has_memory\":true,"
		"\"allowed\":false,\"cpus\":\"\",\"total_mib\":4096,"
		"\"free_mib\":1002,\"latency_ns\":null,"
		"\"bandwidth_mib_s\":null,\"distance\":[20,10],"
		"\"zonelist\":[0]}\n]}\n");
	assert_string_equal(
		formatted(KN_FMT_CSV),
		"node,window,has_memory,allowed,total_mib,free_mib,latency_ns,"
		"bandwidth_mib_s,cpus,distance,zonelist,source\n"
		"0,0,1,1,4096,1000,,,\"0-1,4\",10 20,0,sysfs\n"
		"2,1,1,0,4096,1002,,,\"\",20 10,0,sysfs\n");
	kn_topology_print(&none, KN_FMT_TEXT);
	assert_int_equal(none.len, strlen(formatted(KN_FMT_TEXT)));
}

/* The machine that runs the test. */
static void real_machine(void **state)
{
	const struct kn_machine *real = *state;

	kn_machine = *real;
	init();
	assert_true(kn_topo.nr_cpus > sched_getcpu());
	assert_true(kn_node_usable(kn_this_node()));
	assert_true(kn_node_free_bytes(kn_this_node()) > 0);
	kn_topology_reread();
	check_invariants();
}

int main(void)
{
	static struct kn_machine real;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_node_takes_two_reads),
		cmocka_unit_test(one_node_may_have_any_id),
		cmocka_unit_test(
			one_online_of_many_possible_needs_no_node_files),
		cmocka_unit_test(two_nodes),
		cmocka_unit_test(interleaved_cpus),
		cmocka_unit_test(sparse_ids),
		cmocka_unit_test(offline_possible_node_between),
		cmocka_unit_test(memory_on_a_node_not_online),
		cmocka_unit_test(nothing_possible_is_online),
		cmocka_unit_test(memoryless_node_borrows),
		cmocka_unit_test(this_node_and_home_differ_without_memory),
		cmocka_unit_test(callers_of_nodes_offline_at_start),
		cmocka_unit_test(node_without_cpus_serves_last_or_first),
		cmocka_unit_test(ring_of_four),
		cmocka_unit_test(eight_nodes_in_two_sockets),
		cmocka_unit_test(node_id_300),
		cmocka_unit_test(of_200_nodes_those_in_use_are_numbered),
		cmocka_unit_test(nodes_in_use_are_kept_even_when_more_than_64),
		cmocka_unit_test(all_files_missing),
		child_test(no_file_and_no_mask),
		cmocka_unit_test(only_possible_is_there),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(every_truncation_is_survived),
		cmocka_unit_test(short_distance_rows_are_completed),
		cmocka_unit_test(long_cpulists_fit),
		cmocka_unit_test(more_cpus_than_fit_are_cut),
		cmocka_unit_test(mems_allowed_restricts),
		cmocka_unit_test(mems_allowed_without_memory_is_not_believed),
		cmocka_unit_test(reread_follows_the_cpuset),
		cmocka_unit_test(reread_follows_hotplug),
		cmocka_unit_test(
			a_node_offline_at_start_is_for_the_next_process),
		cmocka_unit_test(readers_need_no_lock),
		cmocka_unit_test(a_fork_child_reads_again),
		cmocka_unit_test(meminfo),
		cmocka_unit_test(printed_forms),
		cmocka_unit_test_prestate(real_machine, &real),
	};

	real = kn_machine;
	return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
