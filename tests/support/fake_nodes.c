/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_nodes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "numa/machine.h"
#include "numa/span.h"

#define MAX_NODES 8
#define ALL_CPUS  "0-255"

static int nr_mbinds, mbind_err;

/* Where pages are.  A page that was brought home is in the table. */
#define MOVED_MAX (1u << 16)
static struct kn_machine real;
static unsigned straying;
static int stray_to, moves_err, questions_err, nr_moved, nr_moves, nr_questions;
static void *moved[MOVED_MAX];

static int fake_mbind(void *addr, size_t len, int node)
{
	(void)addr;
	(void)len;
	(void)node;
	__atomic_add_fetch(&nr_mbinds, 1, __ATOMIC_RELAXED);
	return -mbind_err;
}

static void **moved_slot(void *page)
{
	uintptr_t i = (uintptr_t)page >> 12;

	while (moved[i % MOVED_MAX] && moved[i % MOVED_MAX] != page)
		i++;
	return &moved[i % MOVED_MAX];
}

/* Of a page of a window, or of its descriptors; -1 for other memory. */
static int window_of_page(void *page)
{
	const uintptr_t desc = (uintptr_t)page - (uintptr_t)kn_span.pages;
	int window = -1;

	if (kn_span_has(page))
		window = kn_window_of(page);
	else if (kn_span.size && (uintptr_t)page >= (uintptr_t)kn_span.pages &&
		 (uintptr_t)page < kn_span.base)
		window = (int)(desc / KN_PAGE_DESC_SIZE >>
			       (kn_span.window_shift - KN_PAGE_SHIFT));
	return window < kn_topo.nr_nodes ? window : -1;
}

static int node_of_page(void *page)
{
	const int window = window_of_page(page);
	const int id = window < 0 ? 0 : kn_topo.kernel_id[window];

	if (window < 0 || id >= 32 || !(straying >> id & 1))
		return id;
	return *moved_slot(page) ? id : stray_to;
}

/* The kernel knows which pages are in memory. */
static int fake_page_nodes(size_t n, void **pages, int *status)
{
	int ret;

	nr_questions++;
	if (questions_err)
		return -questions_err;
	ret = real.page_nodes(n, pages, status);
	for (size_t i = 0; i < n && ret >= 0; i++)
		if (status[i] >= 0)
			status[i] = node_of_page(pages[i]);
	return ret;
}

static int fake_move_pages(size_t n, void **pages, const int *nodes,
			   int *status)
{
	nr_moves++;
	if (moves_err)
		return -moves_err;
	for (size_t i = 0; i < n; i++) {
		assert(node_of_page(pages[i]) == stray_to);
		assert(nr_moved < (int)MOVED_MAX / 2);
		*moved_slot(pages[i]) = pages[i];
		nr_moved++;
		status[i] = nodes[i];
		assert(node_of_page(pages[i]) == nodes[i]);
	}
	return 0;
}

void fake_nodes_as(const char *possible, const struct fake_node *nodes, int nr)
{
	/* The first of them before any thread. */
	if (getenv("KNUMA_FAKE_NODES"))
		unsetenv("KNUMA_FAKE_NODES");
	fake_sysfs_machine(possible, ALL_CPUS, nodes, nr, NULL);
	if (kn_machine.page_nodes != fake_page_nodes)
		real = kn_machine;
	kn_machine.mbind_preferred = fake_mbind;
	kn_machine.page_nodes = fake_page_nodes;
	kn_machine.move_pages = fake_move_pages;
	for (int i = 0; i < nr; i++)
		if (nodes[i].has_memory)
			fake_node_free_mib(nodes[i].id, 3000);
}

void fake_nodes(int nr)
{
	static char distance[MAX_NODES][64];
	struct fake_node node[MAX_NODES];
	char possible[16];

	assert(nr <= MAX_NODES);
	for (int i = 0; i < nr; i++) {
		size_t len = 0;

		for (int k = 0; k < nr; k++)
			len += (size_t)snprintf(distance[i] + len,
						sizeof(distance[i]) - len,
						"%s%d", k ? " " : "",
						i == k ? 10 : 20);
		node[i] = (struct fake_node){i, i ? "" : ALL_CPUS, 1,
					     distance[i]};
	}
	snprintf(possible, sizeof(possible), "0-%d\n", nr - 1);
	fake_nodes_as(possible, node, nr);
}

void fake_node_free_mib(int id, int mib)
{
	char path[48], text[256];

	snprintf(path, sizeof(path), "node/node%d/meminfo", id);
	snprintf(text, sizeof(text),
		 "Node %d MemTotal:       4194304 kB\n"
		 "Node %d MemFree:        %d kB\n"
		 "Node %d MemUsed:        1 kB\n",
		 id, id, mib * 1024, id);
	fake_sysfs_file(path, text);
}

void fake_nodes_allow(const char *list)
{
	char text[256];

	snprintf(text, sizeof(text), "Name:\ttest\nMems_allowed_list:\t%s\n",
		 list);
	fake_sysfs_file("self/status", text);
}

int fake_mbinds(void)
{
	return __atomic_load_n(&nr_mbinds, __ATOMIC_RELAXED);
}

void fake_mbinds_refuse(int err)
{
	mbind_err = err;
}

void fake_pages_stray(unsigned nodes, int id)
{
	straying = nodes;
	stray_to = id;
	for (unsigned i = 0; i < MOVED_MAX; i++)
		moved[i] = NULL;
}

void fake_moves_refuse(int err)
{
	moves_err = err;
}

void fake_page_nodes_refuse(int err)
{
	questions_err = err;
}

int fake_pages_moved(void)
{
	return nr_moved;
}

int fake_moves(void)
{
	return nr_moves;
}

int fake_questions(void)
{
	return nr_questions;
}
