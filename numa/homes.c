/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/homes.h"

#include <errno.h>
#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "numa/machine.h"
#include "numa/span.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

void kn_homes_split(void **page, const int *at, size_t n)
{
	size_t first = 0;
	int status;

	for (size_t i = 1; i <= n; i++) {
		const uintptr_t from = (uintptr_t)page[first];
		const uintptr_t end = (uintptr_t)page[i - 1] + KN_PAGE_SIZE;

		if (i < n && (uintptr_t)page[i] == end)
			continue;
		if ((from | end) & (KN_HUGE_SIZE - 1)) {
			kn_machine.move_pages(1, &page[first], &at[first],
					      &status);
			kn_machine.madvise(page[first], end - from, MADV_COLD);
		}
		first = i;
	}
}

/*
 * Keeps of @pages those that are in memory and not on node @id, with where they
 * are; -1: none.  Returns how many, or -Exxx.
 */
static long keep_elsewhere(int id, void **pages, size_t n, int *where,
			   uint64_t *in_memory)
{
	long kept = 0;
	int ret;

	KN_CHECK(n <= KN_HOMES_MAX);
	for (size_t i = 0; i < n; i++)
		where[i] = -ENOENT;
	ret = n ? kn_page_nodes(n, pages, where) : 0;
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++) {
		if (where[i] < 0)
			continue;
		++*in_memory;
		if (where[i] == id)
			continue;
		pages[kept] = pages[i];
		where[kept++] = where[i];
	}
	return kept;
}

static long ask(int node, void **pages, size_t n, int *where,
		struct kn_homes *sum)
{
	const long away = keep_elsewhere(kn_topo.kernel_id[node], pages, n,
					 where, &sum->checked);

	if (away > 0) {
		sum->where = where[away - 1];
		sum->stale += (uint64_t)away;
	}
	return away;
}

int kn_homes_ask(int node, void **pages, size_t n, struct kn_homes *sum)
{
	int where[KN_HOMES_MAX];
	const long away = ask(node, pages, n, where, sum);

	return away < 0 ? (int)away : 0;
}

static int bring_back(int id, void **pages, size_t n, struct kn_homes *sum)
{
	int nodes[KN_HOMES_MAX], status[KN_HOMES_MAX];
	int ret;

	for (size_t i = 0; i < n; i++) {
		nodes[i] = id;
		status[i] = -ENOENT;
	}
	ret = kn_machine.move_pages(n, pages, nodes, status);
	for (size_t i = 0; i < n; i++)
		sum->moved += status[i] == id;
	return ret < 0;
}

/* Those of @stay that went along with others go back to where they were. */
static void send_back(void **stay, const int *where, size_t n)
{
	int now[KN_HOMES_MAX], nodes[KN_HOMES_MAX];
	size_t gone = 0;

	if (kn_page_nodes(n, stay, now) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (now[i] < 0 || now[i] == where[i])
			continue;
		stay[gone] = stay[i];
		nodes[gone++] = where[i];
	}
	if (gone)
		kn_machine.move_pages(gone, stay, nodes, now);
}

int kn_homes_bring(int node, void **pages, size_t n, void **stay,
		   size_t nr_stay, struct kn_homes *sum)
{
	const int id = kn_topo.kernel_id[node];
	int where[KN_HOMES_MAX], stay_where[KN_HOMES_MAX];
	const long away = ask(node, pages, n, where, sum);
	uint64_t ignored = 0;
	long staying;
	int ret;

	if (away <= 0)
		return (int)away;
	staying = keep_elsewhere(id, stay, nr_stay, stay_where, &ignored);
	if (staying > 0)
		kn_homes_split(pages, where, (size_t)away);
	ret = bring_back(id, pages, (size_t)away, sum);
	if (staying > 0)
		send_back(stay, stay_where, (size_t)staying);
	return ret;
}
