/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the heap costs, in numbers that can be counted: mappings for each node,
 * and memory of the allocator itself against memory in use.  Both are read from
 * the kernel's files of the process.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/numa/nodes.h"

#define MIB		  ((size_t)1 << 20)
#define LONG_SECONDS	  400

#define MAPPINGS_PER_NODE 10
/* Map and descriptors: usable and not, for each part of a window. */
#define TABLES_PER_NODE	  12
#define METADATA_PERCENT  2

/* Objects in use when memory is compared; a node needs some more. */
#define IN_USE		  (48 * MIB)
#define NEEDED		  (64 * MIB)

struct mappings {
	int all;
	int in_window[NODES_MAX]; /* of a node, by its id */
};

static void read_mappings(struct mappings *m)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	uintptr_t from;

	memset(m, 0, sizeof(*m));
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		int node;

		CHECK(sscanf(line, "%" SCNxPTR "-", &from) == 1);
		node = knuma_node_of((void *)from);
		m->all++;
		if (node >= 0)
			m->in_window[node]++;
	}
	fclose(f);
}

/* Memory of all kinds on @node, half of it freed again, in a mixed order. */
static void use(int node)
{
	static void *p[600], *area[60];
	struct page *page[11];

	for (int i = 0; i < 600; i++) {
		const size_t size = (size_t)16 << i % 14;

		p[i] = kmalloc_node(size, GFP_KERNEL, node);
		CHECK(p[i]);
		touch_pages(p[i], size);
	}
	for (int i = 0; i < 60; i++) {
		const size_t size = (size_t)(i % 9 + 1) * 50000;

		area[i] = vmalloc_node(size, node);
		CHECK(area[i]);
		touch_pages(area[i], size);
	}
	for (unsigned order = 0; order <= 10; order++) {
		page[order] = alloc_pages_node(node, GFP_KERNEL, order);
		CHECK(page[order]);
	}
	for (int i = 0; i < 600; i += 2)
		kfree(p[i]);
	for (int i = 0; i < 60; i += 2)
		vfree(area[i]);
	for (unsigned order = 0; order <= 10; order += 2)
		__free_pages(page[order], order);
}

/*
 * Guards are left out: kernels before 6.13 make each one a mapping, and the
 * tunable vma_budget bounds those.  The tables of all nodes have a few more.
 */
static void mappings_of_a_node(void)
{
	const struct node_list nodes = nodes_with_memory();
	struct mappings before, now;

	alarm(LONG_SECONDS);
	conf("guard_pages", "no");
	conf("huge_after", "4M");
	read_mappings(&before);
	start_quiet();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < nodes.nr; i++)
			use(nodes.id[i]);
		CHECK_EQ(knuma_trim(), 0);
	}
	read_mappings(&now);
	for (int i = 0; i < nodes.nr; i++) {
		print_message("%d mappings of node %d\n",
			      now.in_window[nodes.id[i]], nodes.id[i]);
		CHECK(now.in_window[nodes.id[i]] > 0);
		CHECK(now.in_window[nodes.id[i]] <= MAPPINGS_PER_NODE);
	}
	print_message("%d mappings in all\n", now.all - before.all);
	CHECK(now.all - before.all <=
	      (MAPPINGS_PER_NODE + TABLES_PER_NODE) * nodes.nr);
	heap_verify();
}

/* A mapping of knuma's own tables, and not of memory that it hands out. */
static bool is_metadata(uintptr_t from, uintptr_t to, const char *line)
{
	if (strstr(line, "[anon:knuma:meta]"))
		return true;
	return from >= (uintptr_t)kn_span.map && to <= kn_span.base;
}

/* Bytes of knuma's tables that are in memory. */
static uint64_t metadata_in_memory(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	uint64_t bytes = 0, kib;
	uintptr_t from, to;
	bool counts = false;
	char line[512];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			counts = is_metadata(from, to, line);
		else if (counts &&
			 sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
			bytes += kib << 10;
	}
	fclose(f);
	return bytes;
}

/* A node that the objects fit on. */
static int roomy_node(void)
{
	const struct node_list nodes = nodes_with_memory();

	for (int i = 0; i < nodes.nr; i++)
		if (node_spare(nodes.id[i], node_total(nodes.id[i]) / 8) >
		    NEEDED)
			return nodes.id[i];
	skip_child("no node has 64 MiB to spare");
}

static void metadata_of_objects(size_t size)
{
	const int node = roomy_node();
	uint64_t metadata, in_use;
	void *p, *last = NULL;

	alarm(LONG_SECONDS);
	start_quiet();
	for (size_t n = 0; n < IN_USE / size; n++) {
		p = kmalloc_node(size, GFP_KERNEL, node);
		CHECK(p);
		*(void **)p = last;
		last = p;
	}
	metadata = metadata_in_memory();
	in_use = stat_of("allocated_bytes");
	print_message("%zu bytes: %" PRIu64 " KiB of metadata, %" PRIu64
		      " KiB in use\n",
		      size, metadata >> 10, in_use >> 10);
	CHECK(in_use >= IN_USE);
	/* Both readings see the descriptors of the pages in use. */
	CHECK(metadata >= in_use / 4096 * KN_PAGE_DESC_SIZE);
	CHECK(metadata <= in_use / 100 * METADATA_PERCENT);
	CHECK(stat_of("metadata_bytes") <= in_use / 100 * METADATA_PERCENT);
	while (last) {
		p = last;
		last = *(void **)p;
		kfree(p);
	}
}

static void metadata_of_32(void)
{
	metadata_of_objects(32);
}

static void metadata_of_64(void)
{
	metadata_of_objects(64);
}

static void metadata_of_256(void)
{
	metadata_of_objects(256);
}

static void metadata_of_1024(void)
{
	metadata_of_objects(1024);
}

static void metadata_of_8192(void)
{
	metadata_of_objects(8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(mappings_of_a_node), child_test(metadata_of_32),
		child_test(metadata_of_64),	child_test(metadata_of_256),
		child_test(metadata_of_1024),	child_test(metadata_of_8192),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
