/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of a process whose heap cannot start, or is just starting. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <knuma/knuma.h>
#include <knuma/malloc.h>

#include "alloc/base/start.h"
#include "numa/machine.h"
#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

static void refuse_memory(void)
{
	faults_install();
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
}

/* Before there is a heap, no address is of it. */
static void nothing_is_of_the_heap(void)
{
	int here;

	CHECK_EQ(kn_span_node(&here), -1);
	CHECK_EQ(kn_span_node(NULL), -1);
}

static void allocations_fail(void)
{
	static const int nodes[] = {0};

	refuse_memory();
	CHECK_FAILS(kmalloc(8, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(kmalloc(1 << 20, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(knuma_malloc(100), ENOMEM);
	CHECK_FAILS(knuma_memalign(4096, 100000), ENOMEM);
	CHECK_FAILS(__alloc_pages(GFP_KERNEL | __GFP_NOWARN, 0, 0, NULL),
		    ENOMEM);
	CHECK_FAILS(alloc_pages_node(0, GFP_KERNEL | __GFP_NOWARN, 0), ENOMEM);
	CHECK_FAILS(alloc_pages_exact(100, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(vmalloc(100), ENOMEM);
	CHECK_FAILS(vmalloc_exec(100), ENOMEM);
	CHECK_FAILS(knuma_vmalloc_interleave(100, nodes, 1), ENOMEM);
	CHECK_FAILS(kvmalloc(1 << 20, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(__alloc_percpu(8, 8), ENOMEM);
	/* checks kmem_cache_create: "ENOMEM when there is no memory for it" */
	CHECK_FAILS(kmem_cache_create("none", 8, 0, 0, NULL), ENOMEM);
	CHECK_FAILS(knuma_group_create("none", 1 << 20), ENOMEM);
	CHECK(!kn_started);
}

static void questions_have_an_answer(void)
{
	struct knuma_homes row;
	int node;

	refuse_memory();
	CHECK_EQ(knuma_trim(), -ENOMEM);
	CHECK_EQ(knuma_nr_nodes(), 1);
	CHECK_EQ(knuma_next_node(-1), 0);
	CHECK_EQ(knuma_next_node(0), -1);
	CHECK_EQ(knuma_numa_node_id(), 0);
	CHECK_EQ(knuma_numa_mem_id(), 0);
	CHECK_EQ(knuma_zonelist(0, &node, 1), -ENOMEM);
	CHECK_EQ(knuma_distance(0, 0), -ENOMEM);
	CHECK_EQ(knuma_node_best(KNUMA_LATENCY, 0), -ENOMEM);
	CHECK_EQ(knuma_placement(&node, 1, NULL, 0), -ENOMEM);
	CHECK_EQ(knuma_verify_placement(1, &row, 1), -ENOMEM);
	/* checks knuma_migrate: "-ENOMEM when the library cannot start" */
	CHECK_EQ(knuma_migrate(&node, NUMA_NO_NODE, 0, NULL), -ENOMEM);
	CHECK_EQ(knuma_migrate_cache(NULL, NUMA_NO_NODE, 0, NULL), -ENOMEM);
	/*
	 * checks knuma_topology_refine: "-ENOMEM when the library cannot start"
	 */
	CHECK_EQ(knuma_topology_refine(), -ENOMEM);
	CHECK_EQ(knuma_node_of(&node), -1);
	CHECK(!knuma_nodes_are_fake());
	CHECK(!kn_started);
	/* And another one when there is memory. */
	faults_fail(FAULT_MMAP, 0, 0, 0);
	CHECK(knuma_zonelist(knuma_next_node(-1), &node, 1) >= 1);
	CHECK(kn_started);
}

static ssize_t (*real_read_file)(const char *path, char *buf, size_t len);
static int nr_inside;

/* What a library does that the start calls: it allocates. */
static ssize_t allocating_read_file(const char *path, char *buf, size_t len)
{
	if (!kn_started) {
		CHECK_FAILS(kmalloc(8, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
		nr_inside++;
	}
	return real_read_file(path, buf, len);
}

static void an_allocation_inside_the_start_fails(void)
{
	void *p;

	real_read_file = kn_machine.read_file;
	kn_machine.read_file = allocating_read_file;
	p = kmalloc(8, GFP_KERNEL);
	CHECK(p);
	CHECK(nr_inside > 0);
	kfree(p);
	heap_verify();
}

/* Reservations: the first is too large; the rest of the process has no room. */
static void *(*real_mmap)(void *addr, size_t len, int prot, int flags);
static int nr_reserved;
static unsigned granted = 1u << 2; /* by number */

static void *narrow_mmap(void *addr, size_t len, int prot, int flags)
{
	if (prot == PROT_NONE && !(granted >> ++nr_reserved & 1))
		return (void *)-ENOMEM;
	return real_mmap(addr, len, prot, flags);
}

static void room_that_goes_while_it_is_divided(void)
{
	faults_install();
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = narrow_mmap;
	CHECK_FAILS(kmalloc(8, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	/* Refused, granted, no room beside it, refused. */
	CHECK_EQ(nr_reserved, 4);
	CHECK_EQ(printed_times("cannot reserve"), 1);
	/* What was granted went back. */
	CHECK_EQ(faults_calls(FAULT_MMAP), faults_calls(FAULT_MUNMAP));
	kn_machine.mmap = real_mmap;
	kfree(kmalloc(8, GFP_KERNEL));
	CHECK(kn_started);
	heap_verify();
}

/* Address space is lost then, and the heap has what is left. */
static void room_that_cannot_go_back(void)
{
	faults_install();
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = narrow_mmap;
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	kfree(kmalloc(8, GFP_KERNEL));
	CHECK(kn_started);
	CHECK_EQ(faults_failed(), 1);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* That of the trial, whether as much could still be mapped. */
static void a_trial_that_cannot_go_back(void)
{
	granted = ~0u << 2;
	room_that_cannot_go_back();
	CHECK_EQ(nr_reserved, 3);
}

/* The reservation itself: the second trial, of half as much, is refused. */
static void a_reservation_that_cannot_go_back(void)
{
	granted = ~0u << 4 | 1u << 2;
	room_that_cannot_go_back();
	CHECK_EQ(nr_reserved, 4);
}

/* Tables of many nodes are many mappings: each is refused once. */
static uint64_t nth;

static void start_without_a_table(void)
{
	void *p;

	conf("background", "no");
	conf("fake_nodes", "64");
	faults_install();
	faults_fail(FAULT_MMAP, nth, FAULTS_FOR_EVER, ENOMEM);
	p = kmalloc(8, GFP_KERNEL | __GFP_NOWARN);
	CHECK(p || errno == ENOMEM);
	kfree(p);
	if (!faults_failed())
		printf("NOT REACHED\n");
	faults_fail(FAULT_MMAP, 0, 0, 0);
	p = kmalloc(8, GFP_KERNEL);
	CHECK(p);
	CHECK(kmem_cache_create("one", 8, 0, 0, NULL));
	kfree(p);
	heap_verify();
}

static void each_table_is_refused_once(void **state)
{
	struct child c = {.status = 0};

	(void)state;
	for (nth = 1; nth < 300 && !strstr(c.text, "NOT REACHED"); nth++) {
		child_run(start_without_a_table, &c);
		if (!child_passed(&c))
			fail_msg("mmap %d: status %#x\n%s", (int)nth, c.status,
				 c.text);
	}
	assert_true(nth > 3 && nth < 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(nothing_is_of_the_heap),
		child_test(allocations_fail),
		child_test(questions_have_an_answer),
		child_test(an_allocation_inside_the_start_fails),
		child_test(room_that_goes_while_it_is_divided),
		child_test(a_trial_that_cannot_go_back),
		child_test(a_reservation_that_cannot_go_back),
		cmocka_unit_test(each_table_is_refused_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
