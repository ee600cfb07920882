/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of <knuma/numa.h> and <knuma/vmalloc.h> when the system refuses. */
#include <string.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/hwloc.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define PAGES 5

/* Nothing is mapped, so nothing starts; the next call tries again. */
static void a_library_that_cannot_start(void)
{
	struct knuma_homes rows[1];
	int node = -7;

	fake_nodes(2);
	faults_install();
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	CHECK_EQ(knuma_distance(0, 1), -ENOMEM);
	CHECK_EQ(knuma_node_best(KNUMA_LATENCY, 0), -ENOMEM);
	CHECK_EQ(knuma_zonelist(0, &node, 1), -ENOMEM);
	CHECK_EQ(node, -7);
	CHECK_EQ(knuma_topology_refine(), -ENOMEM);
	CHECK_EQ(knuma_placement(&node, 1, NULL, 0), -ENOMEM);
	CHECK_EQ(knuma_verify_placement(1, rows, 1), -ENOMEM);
	CHECK(faults_failed() > 0);
	faults_fail(FAULT_MMAP, 1, 0, 0);
	CHECK_EQ(knuma_distance(0, 1), 20);
}

/* knuma_verify_placement() */
static void where_pages_are_may_be_refused(void)
{
	static const int errs[] = {EPERM, ENOSYS};
	struct knuma_homes rows[2];
	void *p;

	fake_nodes(2);
	start_quiet();
	p = kmalloc(100000, GFP_KERNEL);
	memset(p, 1, 100000);
	for (int i = 0; i < 2; i++) {
		fake_page_nodes_refuse(errs[i]);
		CHECK_EQ(knuma_verify_placement(10, rows, 2), -errs[i]);
	}
	fake_page_nodes_refuse(0);
	CHECK_EQ(knuma_verify_placement(10, rows, 2), 0);
	CHECK(rows[0].sampled + rows[1].sampled > 0);
	kfree(p);
}

/*
 * set_memory_rox(): what the program wrote stays, and the area is plain memory when it
 * is freed.
 */
static void protection_may_be_refused(void)
{
	static const int errs[] = {EACCES, EPERM, ENOMEM};
	char *p;

	start_here();
	faults_install();
	for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		p = vmalloc_exec(PAGES * 4096);
		memset(p, 3, PAGES * 4096);
		faults_fail(FAULT_MPROTECT, 1, 1, errs[i]);
		CHECK_EQ(set_memory_rox((unsigned long)p, PAGES), -errs[i]);
		p[0] = 4;
		CHECK(all_bytes(p + 1, PAGES * 4096 - 1, 3));
		CHECK_EQ(set_memory_rox((unsigned long)p, PAGES), 0);
		faults_fail(FAULT_MPROTECT, 1, 1, errs[i]);
		CHECK_EQ(set_memory_rw((unsigned long)p, PAGES), -errs[i]);
		CHECK_EQ(p[0], 4);
		vfree(p);
		p = vmalloc(PAGES * 4096);
		memset(p, 5, PAGES * 4096);
		vfree(p);
	}
	heap_verify();
}

static void hwloc_may_be_missing(void)
{
	kn_hwloc_library = "/nonexistent/libhwloc.so";
	start_quiet();
	CHECK_EQ(knuma_topology_refine(), -ENOENT);
	CHECK_EQ(knuma_distance(0, 0), 10);
}

/* The machine is read, and within that it is to be read. */
static ssize_t (*real_read)(const char *path, char *buf, size_t len);
static int inside, answer;

static ssize_t refine_inside(const char *path, char *buf, size_t len)
{
	if (!inside++)
		answer = knuma_topology_refine();
	return real_read(path, buf, len);
}

static void one_reads_the_machine_at_a_time(void)
{
	fake_nodes(2);
	start_quiet();
	real_read = kn_machine.read_file;
	kn_machine.read_file = refine_inside;
	CHECK_EQ(knuma_trim(), 0);
	CHECK(inside > 1);
	/* Of knuma_topology_refine(). */
	CHECK_EQ(answer, -EBUSY);
	kn_machine.read_file = real_read;
	CHECK_EQ(knuma_distance(0, 1), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_library_that_cannot_start),
		child_test(where_pages_are_may_be_refused),
		child_test(protection_may_be_refused),
		child_test(hwloc_may_be_missing),
		child_test(one_reads_the_machine_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
