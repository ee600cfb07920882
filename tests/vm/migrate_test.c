/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that moves from each node to each other one, where the kernel says so;
 * and comes home once it is freed.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/vm/machine.h"

#define MIB ((size_t)1 << 20)

/* All pages of [p, p + bytes) are on @node. */
static void lies_on(const void *p, size_t bytes, int node)
{
	long count[VM_MAX_NODES];
	const long present = knuma_placement(p, bytes, count, VM_MAX_NODES);

	CHECK(present >= (long)(bytes / knuma_page_size()));
	CHECK_EQ(count[node], present);
}

static unsigned long away(unsigned long *on_purpose)
{
	struct knuma_homes row[VM_MAX_NODES];
	const long sum = knuma_verify_placement(1ul << 30, row, VM_MAX_NODES);

	CHECK(sum >= 0);
	*on_purpose = 0;
	for (int i = 0; i < VM_MAX_NODES && row[i].node >= 0; i++)
		*on_purpose += row[i].on_purpose;
	return (unsigned long)sum;
}

static void nothing_is_away(void)
{
	unsigned long on_purpose;

	CHECK_EQ(away(&on_purpose), 0);
	CHECK_EQ(on_purpose, 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
}

static void goes_there_and_back(void *p, size_t bytes, int from, int to)
{
	struct knuma_migrated m;
	unsigned long on_purpose;
	int tries = 0;

	pattern_fill(p, bytes, 3);
	lies_on(p, bytes, from);
	CHECK_EQ(knuma_migrate(p, from, to, &m), 0);
	CHECK_EQ(m.before, 0);
	CHECK_EQ(m.after, m.pages);
	CHECK(m.pages >= bytes / knuma_page_size());
	lies_on(p, bytes, to);
	CHECK_EQ(knuma_node_of(p), from);
	CHECK(pattern_holds(p, bytes, 3));
	/*
	 * The kernel may refuse to split a huge page that somebody holds for a
	 * moment, and then the rest of it goes along; but not for long.
	 */
	CHECK(away(&on_purpose) >= m.pages);
	CHECK_EQ(on_purpose, m.pages);
	do {
		CHECK(tries++ < 100);
		CHECK_EQ(knuma_trim(), 0);
		lies_on(p, bytes, to);
	} while (away(&on_purpose) != m.pages);
	CHECK_EQ(on_purpose, m.pages);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, from, NULL), 0);
	lies_on(p, bytes, from);
	nothing_is_away();
	/* Freed while it is away. */
	CHECK_EQ(knuma_migrate(p, from, to, NULL), 0);
	lies_on(p, bytes, to);
}

static void each_kind(int from, int to)
{
	const size_t page = knuma_page_size();
	void *p = kmalloc_node(3000, GFP_KERNEL, from);

	goes_there_and_back(p, 3000, from, to);
	kfree(p);
	CHECK_EQ(knuma_trim(), 0);
	nothing_is_away();
	p = kmalloc_node(MIB, GFP_KERNEL, from);
	goes_there_and_back(p, MIB, from, to);
	kfree(p);
	CHECK_EQ(knuma_trim(), 0);
	nothing_is_away();
	p = page_address(alloc_pages_node(from, GFP_KERNEL, 3));
	goes_there_and_back(p, page << 3, from, to);
	free_pages((unsigned long)p, 3);
	CHECK_EQ(knuma_trim(), 0);
	/* Used again before anybody looked: it comes home in use. */
	p = vmalloc_node(5 * MIB, from);
	goes_there_and_back(p, 5 * MIB, from, to);
	vfree(p);
	p = vmalloc_node(5 * MIB, from);
	memset(p, 1, 5 * MIB);
	CHECK_EQ(knuma_trim(), 0);
	lies_on(p, 5 * MIB, from);
	vfree(p);
	CHECK_EQ(knuma_trim(), 0);
	nothing_is_away();
}

static void memory_moves_between_all_nodes(void)
{
	start_quiet();
	for (int a = knuma_next_node(-1); a >= 0; a = knuma_next_node(a))
		for (int b = knuma_next_node(-1); b >= 0;
		     b = knuma_next_node(b))
			if (a != b)
				each_kind(a, b);
	heap_verify();
}

static void caches_move(void)
{
	struct knuma_migrated m;
	struct kmem_cache *s;
	static void *p[1000];
	int first, second;

	start_quiet();
	first = knuma_next_node(-1);
	second = knuma_next_node(first);
	if (second < 0)
		skip_child("one node with memory");
	s = kmem_cache_create("moving", 400, 0, 0, NULL);
	for (int i = 0; i < 1000; i++) {
		p[i] = kmem_cache_alloc_node(s, GFP_KERNEL,
					     i % 2 ? second : first);
		pattern_fill(p[i], 400, (uint64_t)i);
	}
	CHECK_EQ(knuma_migrate_cache(s, second, first, &m), 0);
	CHECK_EQ(m.after, m.pages);
	CHECK(m.before >= 500 * 400 / knuma_page_size());
	for (int i = 0; i < 1000; i++) {
		lies_on(p[i], 400, first);
		CHECK_EQ(knuma_node_of(p[i]), i % 2 ? second : first);
		CHECK(pattern_holds(p[i], 400, (uint64_t)i));
	}
	kmem_cache_free_bulk(s, 1000, p);
	kmem_cache_destroy(s);
	CHECK_EQ(knuma_trim(), 0);
	nothing_is_away();
	heap_verify();
}

/* Pages that two processes have stay; once they are of one again they move. */
static void pages_that_a_fork_shares_stay(void)
{
	const size_t bytes = 4 * MIB;
	struct knuma_migrated m;
	int first, second, status;
	pid_t child;
	char *p;

	start_quiet();
	first = knuma_next_node(-1);
	second = knuma_next_node(first);
	if (second < 0)
		skip_child("one node with memory");
	p = vmalloc_node(bytes, first);
	memset(p, 1, bytes);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		pause();
		_exit(0);
	}
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, second, &m), 0);
	CHECK_EQ(m.pages, bytes / knuma_page_size());
	/* checks knuma_migrate: "Pages that the system cannot move" */
	CHECK_EQ(m.after, 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
	lies_on(p, bytes, first);
	CHECK_EQ(kill(child, SIGKILL), 0);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, second, &m), 0);
	CHECK_EQ(m.after, m.pages);
	lies_on(p, bytes, second);
	vfree(p);
}

static void nodes_that_cannot_take_it(void)
{
	const struct vm_machine *m = vm_machine();
	void *p = kmalloc(100, GFP_KERNEL);

	for (int node = 0; node < m->nr_nodes; node++)
		CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, node, NULL),
			 m->mib[node] ? 0 : -ENODEV);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, -2, NULL), -EINVAL);
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 4096, NULL), -EINVAL);
	CHECK_EQ(knuma_migrate(p, 4096, 0, NULL), -EINVAL);
	kfree(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(memory_moves_between_all_nodes),
		child_test(caches_move),
		child_test(pages_that_a_fork_shares_stay),
		child_test(nodes_that_cannot_take_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
