/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place - asks knuma for memory of each node and the system where it lies
 *
 * For each node with memory: objects, pages and areas are allocated on it and
 * written, then move_pages(2) counts their pages by node, through
 * knuma_placement().
 *
 * Exit code: 0 every page lies on the node that was asked for; 1 one does not,
 * or an allocation failed; 2 the system does not let it be asked or done.
 */
#include <knuma/knuma.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

/* Room for every node id that Linux can have. */
#define MAX_NODES 1024

/* What the rows of a node take, and what knuma leaves to others. */
#define NEEDED_MIB 128

struct tally {
	long here, elsewhere;
};

static size_t page_size;
static int exit_code;

/* Adds the pages of [@p, @p + @bytes) to @t. */
static void count(struct tally *t, const void *p, size_t bytes, int node)
{
	long pages[MAX_NODES];
	const long present = knuma_placement(p, bytes, pages, MAX_NODES);

	if (present < 0) {
		fprintf(stderr, "place: the system refuses move_pages(2): %s\n",
			strerror((int)-present));
		exit(2);
	}
	t->here += pages[node];
	t->elsewhere += present - pages[node];
}

static int by_address(const void *a, const void *b)
{
	const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* Objects share pages: each page is counted once. */
static void count_objects(struct tally *t, uintptr_t *page, size_t n, int node)
{
	qsort(page, n, sizeof(*page), by_address);
	for (size_t i = 0, run; i < n; i += run) {
		uintptr_t end = page[i] + page_size;

		for (run = 1; i + run < n && page[i + run] <= end; run++)
			end = page[i + run] + page_size;
		count(t, (void *)page[i], end - page[i], node);
	}
}

static void *failed(const char *what, int node)
{
	fprintf(stderr, "place: %s on node %d failed: %s\n", what, node,
		strerror(errno));
	exit_code = 1;
	return NULL;
}

/* 4 MiB of objects of one size, 8 KiB at most. */
static struct tally objects(int node, size_t size)
{
	const size_t n = 4 * MIB / size;
	void **object = calloc(n, sizeof(*object));
	uintptr_t *page = calloc(n, sizeof(*page));
	struct tally t = {0, 0};
	size_t got = 0;

	if (!object || !page)
		exit(2);
	while (got < n) {
		object[got] = kmalloc_node(size, GFP_KERNEL, node);
		if (!object[got]) {
			failed("kmalloc_node", node);
			break;
		}
		memset(object[got], 1, size);
		page[got] = (uintptr_t)object[got] & ~(page_size - 1);
		got++;
	}
	count_objects(&t, page, got, node);
	kfree_bulk(got, object);
	free(object);
	free(page);
	return t;
}

/* One block of every order. */
static struct tally pages(int node)
{
	struct tally t = {0, 0};

	for (unsigned order = 0; order <= MAX_PAGE_ORDER; order++) {
		struct page *block = alloc_pages_node(node, GFP_KERNEL, order);

		if (!block) {
			failed("alloc_pages_node", node);
			break;
		}
		memset(page_address(block), 1, page_size << order);
		count(&t, page_address(block), page_size << order, node);
		__free_pages(block, order);
	}
	return t;
}

/* An area of zeroes, which are checked. */
static struct tally area(int node, size_t bytes)
{
	struct tally t = {0, 0};
	char *p = vzalloc_node(bytes, node);

	if (!p) {
		failed("vzalloc_node", node);
		return t;
	}
	for (size_t i = 0; i < bytes; i += page_size) {
		if (p[i]) {
			fprintf(stderr, "place: vzalloc_node gave a byte that "
				"is not zero\n");
			exit_code = 1;
		}
		p[i] = 1;
	}
	count(&t, p, bytes, node);
	vfree(p);
	return t;
}

static void row(int node, const char *what, struct tally t)
{
	printf("  %6d  %-38s %12ld %10ld\n", node, what, t.here, t.elsewhere);
	if (t.elsewhere || !t.here)
		exit_code = 1;
}

static void one_node(int node)
{
	row(node, "kmalloc_node(64), 4 MiB of them", objects(node, 64));
	row(node, "kmalloc_node(1000), 4 MiB of them", objects(node, 1000));
	row(node, "alloc_pages_node, orders 0 to 10", pages(node));
	row(node, "vzalloc_node(1 MiB)", area(node, MIB));
	row(node, "vzalloc_node(32 MiB)", area(node, 32 * MIB));
}

/* By the system's files; what they do not say is no reason to stop. */
static long free_mib(int node)
{
	char line[256];
	long kib = NEEDED_MIB << 10;
	FILE *f;

	snprintf(line, sizeof(line), "/sys/devices/system/node/node%d/meminfo",
		 node);
	f = fopen(line, "re");
	if (!f)
		return NEEDED_MIB;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Node %*d MemFree: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib >> 10;
}

/* Nothing can be proved on a node that is outside of the cpuset, or full. */
static bool is_usable(int node)
{
	const long mib = free_mib(node);
	struct page *block;

	if (mib < NEEDED_MIB) {
		printf("  %6d  has only %ld MiB free\n", node, mib);
		return false;
	}
	block = alloc_pages_node(node, GFP_KERNEL | __GFP_THISNODE |
				 __GFP_NOWARN, 0);
	if (!block)
		printf("  %6d  is not allowed to this process\n", node);
	__free_pages(block, 0);
	return block != NULL;
}

static bool mbind_is_denied(void)
{
	static char text[16384];

	knuma_stats_json(text, sizeof(text));
	return strstr(text, "\"mbind\":\"denied\"") != NULL;
}

int main(void)
{
	int usable = 0;

	page_size = knuma_page_size();
	printf("  %6s  %-38s %12s %10s\n", "wanted", "", "pages on it",
	       "elsewhere");
	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node)) {
		if (!is_usable(node))
			continue;
		usable++;
		one_node(node);
	}
	if (!usable) {
		fprintf(stderr, "place: no node gives memory\n");
		return 2;
	}
	if (exit_code && mbind_is_denied()) {
		fprintf(stderr, "place: the system refuses mbind(2), so memory "
			"lies where its first user ran\n");
		return 2;
	}
	return exit_code;
}
