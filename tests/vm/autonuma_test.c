/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic NUMA balancing (kernel.numa_balancing=1) moves memory to the CPUs
 * that use it.  Memory of a named node stays where it was asked for; memory of
 * the program's own, used in the same way at the same time, is moved, which
 * shows that the kernel was at it.
 */
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define MIB	      ((size_t)1 << 20)
#define LONG_SECONDS  400

/* Memory that is used until the kernel has moved its own share. */
#define CONTROL_BYTES (4 * MIB)
#define OBJECTS	      400
#define OBJECT_BYTES  1000

#define SETTINGS      "/sys/kernel/debug/sched/numa_balancing/"

struct used {
	char *control, *pages, *area;
	char *object[OBJECTS];
};

static void use(struct used *u)
{
	touch_pages(u->control, CONTROL_BYTES);
	touch_pages(u->pages, 4 * MIB);
	touch_pages(u->area, 3 * MIB);
	for (int i = 0; i < OBJECTS; i++)
		touch_pages(u->object[i], OBJECT_BYTES);
}

/* Memory without a policy of its own, first written on @node. */
static char *control_on(int node)
{
	char *p = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK(!madvise(p, CONTROL_BYTES, MADV_NOHUGEPAGE));
	numa_set_preferred(node);
	touch_pages(p, CONTROL_BYTES);
	/* Only what follows the system's default may be moved. */
	CHECK(!set_mempolicy(MPOL_DEFAULT, NULL, 0));
	expect_on(p, CONTROL_BYTES, node, "memory without policy");
	return p;
}

static void stays_on(int node, int user)
{
	const long pages = CONTROL_BYTES / 4096;
	struct used u;
	long moved = 0;

	u.control = control_on(node);
	u.pages = page_address(alloc_pages_node(node, GFP_KERNEL, 10));
	u.area = vmalloc_node(3 * MIB, node);
	for (int i = 0; i < OBJECTS; i++)
		u.object[i] = kmalloc_node(OBJECT_BYTES, GFP_KERNEL, node);
	run_on_node(user);
	/* Ended by the alarm if the kernel never moves anything. */
	while (moved < pages / 2) {
		use(&u);
		usleep(1000);
		moved = pages_off(u.control, CONTROL_BYTES, node);
	}
	expect_on(u.pages, 4 * MIB, node, "pages used from elsewhere");
	expect_on(u.area, 3 * MIB, node, "an area used from elsewhere");
	for (int i = 0; i < OBJECTS; i++) {
		expect_on(u.object[i], OBJECT_BYTES, node,
			  "an object used from elsewhere");
		kfree(u.object[i]);
	}
	vfree(u.area);
	__free_pages(virt_to_page(u.pages), 10);
	munmap(u.control, CONTROL_BYTES);
	run_anywhere();
}

/*
 * A node with CPUs and room other than @node; -1 if there is none.  The kernel
 * moves nothing to a node that is short of memory.
 */
static int user_of(int node)
{
	const struct node_list cpus = nodes_with_cpus();

	for (int i = 0; i < cpus.nr; i++)
		if (cpus.id[i] != node &&
		    node_spare(cpus.id[i], 0) > 4 * CONTROL_BYTES)
			return cpus.id[i];
	return -1;
}

static void memory_stays_where_it_was_asked_for(void)
{
	const struct node_list nodes = nodes_with_memory();

	if (nodes.nr == 1)
		skip_child("one node: there is nothing to balance");
	alarm(LONG_SECONDS);
	start_quiet();
	for (int i = 0; i < nodes.nr; i++)
		if (user_of(nodes.id[i]) >= 0)
			stays_on(nodes.id[i], user_of(nodes.id[i]));
	heap_verify();
}

/* The kernel's own pace is for minutes. */
static int hurry(void **state)
{
	(void)state;
	if (nodes_with_memory().nr == 1)
		return 0;
	return !autonuma("1") || !write_line(SETTINGS "scan_delay_ms", "10") ||
	       !write_line(SETTINGS "scan_period_min_ms", "20") ||
	       !write_line(SETTINGS "scan_period_max_ms", "100");
}

static int calm_down(void **state)
{
	(void)state;
	if (nodes_with_memory().nr == 1)
		return 0;
	return !autonuma("0") ||
	       !write_line(SETTINGS "scan_delay_ms", "1000") ||
	       !write_line(SETTINGS "scan_period_max_ms", "60000") ||
	       !write_line(SETTINGS "scan_period_min_ms", "1000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(memory_stays_where_it_was_asked_for),
	};

	return cmocka_run_group_tests(tests, hurry, calm_down);
}
