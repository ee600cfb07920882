/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every page of every allocation lies on the node that was named, whichever CPU
 * asks, while that node has memory: counted page by page with move_pages(2).
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define KIB	      ((size_t)1 << 10)
#define MIB	      ((size_t)1 << 20)

/* More than one magazine and one slab of each class. */
#define SMALL_OBJECTS 200

/* Emulated CPUs are slow: more than a child has by default. */
#define LONG_SECONDS  400

/* A way to allocate: what the kernel calls it, and how it is freed. */
struct way {
	const char *name;
	void *(*alloc)(size_t size, int node);
	void (*free)(void *p, size_t size);
};

static void *by_kmalloc(size_t size, int node)
{
	return kmalloc_node(size, GFP_KERNEL, node);
}

static void *by_kvmalloc(size_t size, int node)
{
	return kvmalloc_node(size, GFP_KERNEL, node);
}

static void *by_vmalloc(size_t size, int node)
{
	return vmalloc_node(size, node);
}

static void *by_vzalloc(size_t size, int node)
{
	return vzalloc_node(size, node);
}

static void *by_pages(size_t size, int node)
{
	struct page *page = alloc_pages_node(node, GFP_KERNEL, get_order(size));

	return page ? page_address(page) : NULL;
}

static void by_kfree(void *p, size_t size)
{
	(void)size;
	kfree(p);
}

static void by_kvfree(void *p, size_t size)
{
	(void)size;
	kvfree(p);
}

static void by_vfree(void *p, size_t size)
{
	(void)size;
	vfree(p);
}

static void by_free_pages(void *p, size_t size)
{
	__free_pages(virt_to_page(p), get_order(size));
}

static const struct way kmallocs = {"kmalloc_node", by_kmalloc, by_kfree};
static const struct way kvmallocs = {"kvmalloc_node", by_kvmalloc, by_kvfree};
static const struct way vmallocs = {"vmalloc_node", by_vmalloc, by_vfree};
static const struct way vzallocs = {"vzalloc_node", by_vzalloc, by_vfree};
static const struct way pages = {"alloc_pages_node", by_pages, by_free_pages};

static const size_t small_sizes[] = {8, 24, 64, 200, 512, 1024, 3000, 8192};
static const size_t large_sizes[] = {
	12 * KIB, 33 * KIB, 256 * KIB, MIB, 3 * MIB, 4 * MIB,
};
static const size_t area_sizes[] = {
	4 * KIB, 100 * KIB, MIB, 2 * MIB, 5 * MIB,
};
static const size_t huge_sizes[] = {16 * MIB, 64 * MIB, 256 * MIB};

/* What others may take of a node while a test runs. */
static uint64_t others(int node)
{
	return 4 * MIB + node_total(node) / 8;
}

/*
 * @n allocations of @size on @node, all alive at once, so that they cannot be
 * the same memory; written, counted, freed.
 */
static void all_on(const struct way *way, size_t size, int n, int node)
{
	char what[64];
	void *p[SMALL_OBJECTS];

	snprintf(what, sizeof(what), "%s(%zu) from node %d", way->name, size,
		 running_node());
	for (int i = 0; i < n; i++) {
		p[i] = way->alloc(size, node);
		CHECK(p[i]);
		CHECK_EQ(knuma_node_of(p[i]), node);
		touch_pages(p[i], size);
	}
	for (int i = 0; i < n; i++)
		expect_on(p[i], size, node, what);
	for (int i = 0; i < n; i++)
		way->free(p[i], size);
}

static bool fits(size_t bytes, int node)
{
	return node_spare(node, others(node)) > bytes;
}

/* The same if the node has room for it, or has when free memory is returned. */
static void all_on_if_fits(const struct way *way, size_t size, int n, int node)
{
	if (!fits((size_t)n * size, node))
		knuma_trim();
	if (fits((size_t)n * size, node))
		all_on(way, size, n, node);
}

static void each_way(int node)
{
	for (size_t i = 0; i < sizeof(small_sizes) / sizeof(size_t); i++) {
		all_on(&kmallocs, small_sizes[i], SMALL_OBJECTS, node);
		all_on(&kvmallocs, small_sizes[i], 20, node);
	}
	for (size_t i = 0; i < sizeof(large_sizes) / sizeof(size_t); i++) {
		all_on_if_fits(&kmallocs, large_sizes[i], 3, node);
		all_on_if_fits(&kvmallocs, large_sizes[i], 2, node);
	}
	for (unsigned order = 0; order <= 10; order++)
		all_on_if_fits(&pages, 4 * KIB << order, order < 5 ? 40 : 2,
			       node);
	for (size_t i = 0; i < sizeof(area_sizes) / sizeof(size_t); i++) {
		all_on_if_fits(&vmallocs, area_sizes[i], 2, node);
		all_on_if_fits(&vzallocs, area_sizes[i], 2, node);
		all_on_if_fits(&kvmallocs, area_sizes[i], 2, node);
	}
}

/* What takes seconds to write. */
static void huge_areas(int node)
{
	for (size_t i = 0; i < sizeof(huge_sizes) / sizeof(size_t); i++) {
		all_on_if_fits(&vmallocs, huge_sizes[i], 1, node);
		all_on_if_fits(&vzallocs, huge_sizes[i], 1, node);
		all_on_if_fits(&kvmallocs, huge_sizes[i], 1, node);
	}
}

/* A few of each, for all pairs of nodes. */
static void some_ways(int node)
{
	all_on(&kmallocs, 8, 40, node);
	all_on(&kmallocs, 1024, 20, node);
	all_on(&kmallocs, 8192, 10, node);
	all_on_if_fits(&kmallocs, MIB, 1, node);
	all_on(&pages, 4 * KIB, 20, node);
	all_on_if_fits(&pages, 128 * KIB, 1, node);
	all_on_if_fits(&vmallocs, MIB, 1, node);
	all_on_if_fits(&vzallocs, 100 * KIB, 1, node);
	all_on_if_fits(&kvmallocs, 300 * KIB, 1, node);
}

/* Calls @fn for each node with memory, from the CPUs of each node. */
static void from_each_to_each(void (*fn)(int node))
{
	const struct node_list cpus = nodes_with_cpus();
	const struct node_list nodes = nodes_with_memory();

	alarm(LONG_SECONDS);
	for (int c = 0; c < cpus.nr; c++) {
		run_on_node(cpus.id[c]);
		for (int n = 0; n < nodes.nr; n++)
			fn(nodes.id[n]);
	}
	run_anywhere();
	heap_verify();
}

/* Calls @fn for each node with memory, from a CPU of another node. */
static void from_one_to_each(void (*fn)(int node))
{
	const struct node_list cpus = nodes_with_cpus();
	const struct node_list nodes = nodes_with_memory();

	alarm(LONG_SECONDS);
	for (int n = 0; n < nodes.nr; n++) {
		run_on_node(cpus.id[(n + 1) % cpus.nr]);
		fn(nodes.id[n]);
	}
	run_anywhere();
	heap_verify();
}

static void from_each_node_to_each(void)
{
	conf("background", "no");
	from_each_to_each(some_ways);
}

static void each_size_lies_on_the_named_node(void)
{
	conf("background", "no");
	from_one_to_each(each_way);
}

static void each_size_in_huge_pages_lies_on_the_named_node(void)
{
	conf("background", "no");
	conf("huge_after", "0");
	from_one_to_each(each_way);
}

static void each_size_in_base_pages_lies_on_the_named_node(void)
{
	conf("background", "no");
	conf("huge_pages", "no");
	from_one_to_each(each_way);
}

static void areas_of_the_size_of_a_node(void)
{
	start_quiet();
	from_one_to_each(huge_areas);
}

static struct kmem_cache *cache;

static void *by_cache(size_t size, int node)
{
	(void)size;
	return kmem_cache_alloc_node(cache, GFP_KERNEL, node);
}

static void by_cache_free(void *p, size_t size)
{
	(void)size;
	kmem_cache_free(cache, p);
}

static const struct way caches = {"kmem_cache_alloc_node", by_cache,
				  by_cache_free};

static void construct(void *p)
{
	*(char *)p = 1;
}

static void objects_of_caches(int node)
{
	static const unsigned sizes[] = {16, 100, 700, 5000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int with_ctor = 0; with_ctor < 2; with_ctor++) {
			cache = kmem_cache_create("placed", sizes[i], 0, 0,
						  with_ctor ? construct : NULL);
			CHECK(cache);
			all_on(&caches, sizes[i], SMALL_OBJECTS, node);
			kmem_cache_destroy(cache);
		}
	}
}

static void each_cache_lies_on_the_named_node(void)
{
	start_quiet();
	from_one_to_each(objects_of_caches);
}

/*
 * Freed by the CPUs of one node, memory goes home: the next plain allocations
 * there get none of it, and the next ones for its own node get it all.
 */
static void objects_freed_elsewhere_go_home(void)
{
	static const size_t sizes[] = {64, 1000, 4096, 40 * KIB};
	const struct node_list cpus = nodes_with_cpus();
	const struct node_list nodes = nodes_with_memory();
	static void *p[SMALL_OBJECTS];

	alarm(LONG_SECONDS);
	start_quiet();
	for (int n = 0; n < nodes.nr; n++)
		for (int c = 0; c < cpus.nr && c < 3; c++)
			for (size_t s = 0; s < 4; s++) {
				const size_t size = sizes[s];

				run_on_node(cpus.id[(c + 1) % cpus.nr]);
				for (int i = 0; i < SMALL_OBJECTS; i++) {
					p[i] = kmalloc_node(size, GFP_KERNEL,
							    nodes.id[n]);
					touch_pages(p[i], size);
				}
				run_on_node(cpus.id[c]);
				for (int i = 0; i < SMALL_OBJECTS; i++)
					kfree(p[i]);
				for (int i = 0; i < SMALL_OBJECTS; i++) {
					p[i] = kmalloc(size, GFP_KERNEL);
					touch_pages(p[i], size);
					CHECK(is_nearest(cpus.id[c],
							 knuma_node_of(p[i])));
				}
				for (int i = 0; i < SMALL_OBJECTS; i++) {
					expect_on(p[i], size,
						  knuma_node_of(p[i]),
						  "after frees from elsewhere");
					kfree(p[i]);
				}
				all_on(&kmallocs, size, SMALL_OBJECTS,
				       nodes.id[n]);
			}
	heap_verify();
}

/* What was given back to the system comes back on the same node. */
static void trimmed_memory_comes_back_at_home(void)
{
	const struct node_list nodes = nodes_with_memory();

	start_quiet();
	for (int round = 0; round < 3; round++)
		for (int n = 0; n < nodes.nr; n++) {
			run_on_node(nodes_with_cpus().id[0]);
			all_on(&kmallocs, 512, SMALL_OBJECTS, nodes.id[n]);
			all_on_if_fits(&kmallocs, 4 * MIB, 2, nodes.id[n]);
			all_on_if_fits(&vmallocs, 4 * MIB, 2, nodes.id[n]);
			CHECK_EQ(knuma_trim(), 0);
		}
}

/* A node without memory names the nearest node that has some. */
static void memoryless_nodes_use_the_nearest(void)
{
	const struct node_list cpus = nodes_with_cpus();
	int nr = 0;

	start_quiet();
	for (int c = 0; c < cpus.nr; c++) {
		const int node = cpus.id[c];
		char *p, *area;

		if (node_total(node))
			continue;
		nr++;
		run_on_node(node);
		CHECK_FAILS(kmalloc_node(100,
					 GFP_KERNEL | __GFP_THISNODE |
						 __GFP_NOWARN,
					 node),
			    ENOMEM);
		p = kmalloc_node(100, GFP_KERNEL, node);
		area = vmalloc_node(MIB, node);
		touch_pages(p, 100);
		touch_pages(area, MIB);
		CHECK(is_nearest(node, knuma_node_of(p)));
		CHECK(is_nearest(node, knuma_node_of(area)));
		expect_on(p, 100, knuma_node_of(p),
			  "for a node without memory");
		expect_on(area, MIB, knuma_node_of(area),
			  "for a node without memory");
		vfree(area);
		kfree(p);
	}
	if (!nr)
		skip_child("every node with CPUs has memory");
}

/* A machine of one node has no such switch. */
static int balance(void **state)
{
	(void)state;
	return nodes_with_memory().nr > 1 && !autonuma("1");
}

static int do_not_balance(void **state)
{
	(void)state;
	return nodes_with_memory().nr > 1 && !autonuma("0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(from_each_node_to_each),
		{"from_each_node_to_each_while_balancing", child_cmocka,
		 balance, do_not_balance, (void *)from_each_node_to_each},
		child_test(each_size_lies_on_the_named_node),
		child_test(each_size_in_huge_pages_lies_on_the_named_node),
		child_test(each_size_in_base_pages_lies_on_the_named_node),
		child_test(areas_of_the_size_of_a_node),
		child_test(each_cache_lies_on_the_named_node),
		child_test(objects_freed_elsewhere_go_home),
		child_test(trimmed_memory_comes_back_at_home),
		child_test(memoryless_nodes_use_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
