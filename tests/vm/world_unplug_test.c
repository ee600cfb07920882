/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node is unplugged: its memory goes offline and its device is ejected.  What
 * the guest cannot undo, so nothing may run after this that needs the node.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/world.h"

#define DEVICES "/sys/bus/acpi/devices"
#define NODES	"/sys/devices/system/node"
#define OBJECTS 2000

/* Ejects memory devices until the node is gone. */
static bool eject_memory(int node)
{
	DIR *dir = opendir(DEVICES);
	char path[64];
	struct dirent *e;

	snprintf(path, sizeof(path), NODES "/node%d", node);
	while (dir && (e = readdir(dir)))
		if (!strncmp(e->d_name, "PNP0C80", 7))
			world_write("1", DEVICES "/%.200s/eject", e->d_name);
	if (dir)
		closedir(dir);
	for (int i = 0; i < 100 && !access(path, F_OK); i++)
		usleep(100000);
	return access(path, F_OK) != 0;
}

static void a_node_is_unplugged(void)
{
	static char *object[OBJECTS];
	const unsigned nodes = world_memory_nodes() & ~world_cpu_nodes();
	char path[64];
	int node, list[32];

	world_needs(2);
	if (!nodes)
		skip_child("no node without CPUs");
	node = 31 - __builtin_clz(nodes);
	start_quiet();
	for (int i = 0; i < OBJECTS; i++) {
		object[i] = kmalloc_node(1000, GFP_KERNEL, node);
		world_lies_on(object[i], 1000, node);
		pattern_fill(object[i], 1000, (uint64_t)i);
	}
	if (!world_offline_memory(node) || !eject_memory(node)) {
		CHECK(world_online_memory(node));
		skip_child("the node cannot be unplugged");
	}
	snprintf(path, sizeof(path), NODES "/node%d", node);
	CHECK(access(path, F_OK));
	/* Before knuma looks, and after. */
	for (int looked = 0; looked < 2; looked++) {
		for (int i = 0; i < 200; i++) {
			char *p = kmalloc_node(5000, GFP_KERNEL, node);
			char *q = vmalloc_node(100000, node);

			CHECK(p && q);
			memset(p, 1, 5000);
			memset(q, 2, 100000);
			vfree(q);
			kfree(p);
		}
		CHECK_EQ(knuma_trim(), 0);
	}
	CHECK(knuma_zonelist(node, list, 32) >= 1);
	world_all_kinds_lie_on(node, list[0]);
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, node),
		    ENOMEM);
	CHECK_EQ(stat_of("topology_unread"), 0);
	for (int i = 0; i < OBJECTS; i++) {
		CHECK(pattern_holds(object[i], 1000, (uint64_t)i));
		kfree(object[i]);
	}
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_node_is_unplugged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
