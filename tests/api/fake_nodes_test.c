/* SPDX-License-Identifier: Apache-2.0 */
/* The setting fake_nodes: nodes that this machine does not have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/view/stats_view.h"
#include "numa/fake.h"
#include "numa/machine.h"
#include "numa/placement.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"

static char text[256 << 10];

static void fake_start(const char *spec)
{
	conf("fake_nodes", spec);
	start_quiet();
}

static void stats_as(enum kn_view_fmt fmt)
{
	struct kn_text t = {text, sizeof(text), 0};

	kn_stats_format(&t, fmt);
	CHECK(t.len > 0 && t.len < sizeof(text));
}

static void memory_is_of_the_node_that_is_named(void)
{
	fake_start("4");
	/* checks knuma_nodes_are_fake: "true when they are" */
	CHECK(knuma_nodes_are_fake());
	CHECK_EQ(knuma_nr_nodes(), 4);
	for (int node = 0; node < 4; node++) {
		const gfp_t gfp = GFP_KERNEL | __GFP_THISNODE;
		void *p = kmalloc_node(100, gfp, node);
		void *q = kmalloc_node(100000, gfp, node);
		void *a = vmalloc_node(100000, node);
		struct page *page = alloc_pages_node(node, gfp, 3);

		CHECK_EQ(knuma_node_of(p), node);
		CHECK_EQ(knuma_node_of(q), node);
		CHECK_EQ(knuma_node_of(a), node);
		CHECK_EQ(page_to_nid(page), node);
		kfree(p);
		kfree(q);
		vfree(a);
		__free_pages(page, 3);
	}
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL, 4), EINVAL);
	CHECK_EQ(stat_of("numa_miss"), 0);
	heap_verify();
}

static void placement_follows_the_windows(void)
{
	static char data[3 * 65536];
	const size_t bytes = 1 << 20;
	long count[4];

	fake_start("4");
	for (int node = 0; node < 4; node++) {
		char *p = vmalloc_node(bytes, node);
		long present;

		CHECK_EQ(knuma_placement(p, bytes, count, 4), 0);
		memset(p, 1, bytes);
		present = knuma_placement(p, bytes, count, 4);
		if (present == -EPERM || present == -ENOSYS)
			skip_child("move_pages(2) is refused here");
		CHECK_EQ(present, bytes / knuma_page_size());
		CHECK_EQ(count[node], present);
	}
	/* Other memory is where the system has it. */
	memset(data, 1, sizeof(data));
	CHECK(knuma_placement(data, sizeof(data), NULL, 0) > 0);
}

static void without_the_setting_nodes_are_real(void)
{
	fake_start("");
	CHECK(!knuma_nodes_are_fake());
	stats_as(KN_VIEW_TEXT);
	CHECK(!strstr(text, "FAKE"));
	stats_as(KN_VIEW_JSON);
	CHECK_HAS(text, "\"fake_nodes\":false");
	stats_as(KN_VIEW_PROM);
	CHECK_HAS(text, "nodes=\"real\"");
}

static void whoever_shows_nodes_says_so(void)
{
	conf("stats", "yes");
	fake_start("3");
	CHECK_HAS(printed(), "3 FAKE nodes");
	CHECK_HAS(printed(), "mbind skipped");
	stats_as(KN_VIEW_TEXT);
	CHECK_HAS(text, "mbind skipped, nodes are FAKE");
	CHECK_HAS(text, "\nFAKE nodes ");
	stats_as(KN_VIEW_JSON);
	CHECK_HAS(text, "\"fake_nodes\":true");
	stats_as(KN_VIEW_PROM);
	CHECK_HAS(text, "nodes=\"fake\"");
}

static void nothing_is_bound(void)
{
	fake_nodes(2);
	fake_start("4");
	CHECK_EQ(knuma_nr_nodes(), 4);
	kfree(kmalloc_node(100, GFP_KERNEL, 3));
	vfree(vmalloc_node(1 << 20, 2));
	/* checks knuma_nodes_are_fake: "but memory is not bound" */
	CHECK_EQ(fake_mbinds(), 0);
}

static void real_machines_are_not_asked(void)
{
	fake_start("4");
	CHECK_EQ(knuma_topology_refine(), -EXDEV);
	CHECK_EQ(kn_libnuma_load(), -EXDEV);
	CHECK_EQ(knuma_distance(0, 3), 20);
	CHECK_EQ(knuma_distance(3, 3), 10);
}

/* "0 0 1 1" */
static void homes_are(const char *want)
{
	char got[256];
	size_t len = 0;

	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%d",
					cpu ? " " : "", kn_cpu_home[cpu]);
	if (strcmp(got, want))
		check_failed(__FILE__, __LINE__, got);
}

static void cpus_are(const char *spec, const char *possible, const char *online,
		     const char *homes)
{
	fake_sysfs_start();
	fake_sysfs_file("cpu/possible", possible);
	fake_sysfs_file("cpu/online", online);
	kn_fake_start(spec);
	kn_topology_init();
	homes_are(homes);
}

static void cpus_are_divided(void)
{
	cpus_are("4", "0-7", "0-7", "0 0 1 1 2 2 3 3");
}

static void more_nodes_than_cpus(void)
{
	cpus_are("4", "0-1", "0-1", "0 2");
	CHECK_EQ(kn_topo.has_cpu, 5);
	CHECK_EQ(kn_topo.has_memory, 15);
}

/* A virtual machine has more CPUs possible than there are. */
static void cpus_that_are_offline_come_after(void)
{
	cpus_are("2", "0-5", "0,2", "0 1 1 1 0 1");
}

static void levels_number_the_cpus(void)
{
	cpus_are("pack:2 [numa] pu:3", "0-1", "0-1", "0 0 0 1 1 1");
}

static void cpus_beyond_the_levels_have_a_node(void)
{
	cpus_are("numa:2 pu:1", "0-5", "0-3", "0 1 1 1 0 1");
}

static void unreadable_files(void)
{
	fake_sysfs_start();
	kn_fake_start("2");
	kn_topology_init();
	CHECK_EQ(kn_topo.nr_nodes, 2);
	homes_are("0");
}

static void each_node_has_its_share_of_the_memory(void)
{
	int64_t total, unused;

	fake_sysfs_start();
	fake_sysfs_file("meminfo", "MemTotal: 4096 kB\nMemFree: 1024 kB\n");
	kn_fake_start("4");
	kn_topology_init();
	CHECK_EQ(kn_node_meminfo(3, &total, &unused), 0);
	CHECK_EQ(total, 1 << 20);
	CHECK_EQ(unused, 1 << 18);
}

static void read_is(const char *below, ssize_t got)
{
	char path[128], file[4096];

	snprintf(path, sizeof(path), "%s%s", kn_machine.sysfs, below);
	CHECK_EQ(kn_machine.read_file(path, file, sizeof(file)), got);
}

static void other_files_are_not_there(void)
{
	fake_start("2");
	read_is("/node/other", -ENOENT);
	read_is("/node/nodex/meminfo", -ENOENT);
	read_is("/node/node0", -ENOENT);
	read_is("/node/node0-meminfo", -ENOENT);
	read_is("/node/node2/meminfo", -ENOENT);
	read_is("/node/node1/none", -ENOENT);
	read_is("/nodes", -ENOENT);
	read_is("/cpu/none", -ENOENT);
	/* Beside the folder, not below it. */
	read_is("-other/node", -ENOENT);
}

static void bad_values_are_refused(void)
{
	CHECK_EQ(knuma_conf_set("fake_nodes", "65"), -ERANGE);
	CHECK_EQ(knuma_conf_set("fake_nodes", "banana"), -EINVAL);
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(!knuma_nodes_are_fake());
}

static void the_environment_says_it(void)
{
	setenv("KNUMA_FAKE_NODES", "5", 1);
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(knuma_nodes_are_fake());
	CHECK_EQ(knuma_nr_nodes(), 5);
	CHECK_EQ(knuma_conf_set("fake_nodes", "6"), -EBUSY);
}

static void bad_variables(void)
{
	setenv("KNUMA_CONF", "fake_nodes=65", 1);
	setenv("KNUMA_FAKE_NODES", "pack:2", 1);
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(!knuma_nodes_are_fake());
	CHECK_HAS(printed(),
		  "fake_nodes = 65: more than 64 nodes or 8192 CPUs");
	CHECK_HAS(printed(), "fake_nodes = pack:2: expected a number of nodes, "
			     "or levels as pack:2 numa:2 pu:4");
}

static void a_large_machine(void)
{
	fake_start("pack:8 [numa] core:64 pu:2");
	CHECK_EQ(knuma_nr_nodes(), 8);
	CHECK(kn_topo.nr_cpus >= 1024);
	hammer(4, 100, NULL);
	CHECK_EQ(knuma_trim(), 0);
	heap_verify();
}

static void threads_on_fake_nodes(void)
{
	fake_start("4");
	hammer(4, 300, NULL);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	CHECK_EQ(stat_of("numa_miss"), stat_of("numa_foreign"));
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(memory_is_of_the_node_that_is_named),
		child_test(placement_follows_the_windows),
		child_test(without_the_setting_nodes_are_real),
		child_test(whoever_shows_nodes_says_so),
		child_test(nothing_is_bound),
		child_test(real_machines_are_not_asked),
		child_test(cpus_are_divided),
		child_test(more_nodes_than_cpus),
		child_test(cpus_that_are_offline_come_after),
		child_test(levels_number_the_cpus),
		child_test(cpus_beyond_the_levels_have_a_node),
		child_test(unreadable_files),
		child_test(each_node_has_its_share_of_the_memory),
		child_test(other_files_are_not_there),
		child_test(bad_values_are_refused),
		child_test(the_environment_says_it),
		child_test(bad_variables),
		child_test(a_large_machine),
		child_test(threads_on_fake_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
