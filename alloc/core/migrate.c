/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/core/migrate.c - memory in use, moved to another node
 *
 * Only the pages move: their addresses, and so the window, the node that
 * knuma_node_of() tells and the place where a free takes them, stay.  They are
 * marked in between, see alloc/page/away.h.
 *
 * Steps for a run of pages:
 *   1. ask where they are;
 *   2. mark those to move, so that nobody brings them home meanwhile;
 *   3. move them, and what shares a huge page with them not;
 *   4. ask again, and mark what now is away from home, and nothing else.
 */
#include <knuma/numa.h>

#include <errno.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/core/start.h"
#include "alloc/page/away.h"
#include "alloc/page/large.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/fence.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/homes.h"
#include "numa/machine.h"

/* Pages in one step: 19 KiB of arrays on the stack. */
#define CHUNK 512

struct job {
	int from, to; /* kernel ids; from may be NUMA_NO_NODE */
	struct knuma_migrated sum;
	struct page *head[CHUNK];
	uint16_t id[CHUNK]; /* what head began */
	void *page[CHUNK];
	size_t nr;
	int err; /* the first that a chunk met */
};

static int ask(const struct job *j, int status[CHUNK])
{
	void *page[CHUNK];

	memcpy(page, j->page, j->nr * sizeof(page[0]));
	for (size_t i = 0; i < j->nr; i++)
		status[i] = -ENOENT;
	return kn_page_nodes(j->nr, page, status);
}

static bool is_wanted(const struct job *j, int node)
{
	return node >= 0 && node != j->to &&
	       (j->from == NUMA_NO_NODE || node == j->from);
}

/*
 * Steps 2 and 3.  Where a huge page was not split, the rest of it goes along,
 * and comes back as pages that strayed.  Pages of the node's pool stay: the system would move all of a
 * huge page, and cannot split it.
 */
static int move(const struct job *j, const int where[CHUNK])
{
	int at[CHUNK], nodes[CHUNK], status[CHUNK];
	void *page[CHUNK];
	size_t n = 0;
	int ret;

	for (size_t i = 0; i < j->nr; i++) {
		if (!is_wanted(j, where[i]) ||
		    kn_pfn_is_pool(kn_pfn(j->page[i])))
			continue;
		kn_away_mark(j->head[i], kn_pfn(j->page[i]), true);
		page[n] = j->page[i];
		at[n] = where[i];
		nodes[n] = j->to;
		status[n++] = -ENOENT;
	}
	if (!n)
		return 0;
	kn_homes_split(page, at, n);
	ret = kn_machine.move_pages(n, page, nodes, status);
	return ret < 0 ? ret : 0;
}

/* Step 4.  A slab that was given back in between holds nothing in use. */
static void mark_and_count(struct job *j, const int before[CHUNK],
			   const int after[CHUNK])
{
	for (size_t i = 0; i < j->nr; i++) {
		const uint32_t pfn = kn_pfn(j->page[i]);
		const int home = kn_topo.kernel_id[kn_pfn_node(pfn)];

		/* A split makes zero pages of what was never written. */
		j->sum.pages += after[i] >= 0;
		j->sum.before += before[i] == j->to;
		j->sum.after += after[i] == j->to;
		if (!is_wanted(j, before[i]))
			continue;
		if (after[i] == j->to)
			kn_stat_inc(KN_STAT_migrated_pages);
		kn_away_mark(j->head[i], pfn,
			     after[i] >= 0 && after[i] != home);
		if (kn_map_id(kn_page_pfn(j->head[i])) != j->id[i])
			kn_away_forget_slow(kn_page(pfn), 1);
	}
}

static void flush(struct job *j)
{
	int before[CHUNK], after[CHUNK], err, unknown;

	if (!j->nr || (j->err && j->err != -ENOMEM))
		return;
	err = ask(j, before);
	if (!err) {
		err = move(j, before);
		/* What has moved is not marked then, and comes home. */
		unknown = ask(j, after);
		if (unknown)
			memcpy(after, before, sizeof(after));
		mark_and_count(j, before, after);
		err = err ?: unknown;
	}
	if (!j->err)
		j->err = err;
	j->nr = 0;
}

static void add(struct job *j, struct page *head, uint32_t pfn, uint64_t nr)
{
	const uint16_t id = (uint16_t)kn_map_id(kn_page_pfn(head));

	for (uint64_t i = 0; i < nr; i++) {
		if (j->nr == CHUNK)
			flush(j);
		if (j->nr == CHUNK)
			return; /* refused */
		j->head[j->nr] = head;
		j->id[j->nr] = id;
		j->page[j->nr++] = kn_pfn_address(pfn + (uint32_t)i);
	}
}

/* The pages that hold the object of @s at or around @p. */
static void add_object(struct job *j, struct kmem_cache *s, const void *p)
{
	struct page *head = kn_slab_head(s, p);
	const char *place = (char *)kn_page_addr(head) +
			    (size_t)kn_slab_index(s, head, p) * s->size;
	const uint32_t first = kn_pfn(place);

	add(j, head, first, kn_pfn(place + s->size - 1) - first + 1);
}

/* What @p, the start of an allocation, holds.  False: it is none. */
static bool add_allocation(struct job *j, const void *p)
{
	const uint32_t id = kn_id_of(p);
	struct page *head;

	if (id == KN_ID_NONE)
		return false;
	head = kn_page(kn_pfn(p));
	if (id >= KN_ID_FIRST_CACHE) {
		struct kmem_cache *s = kn_cache_by_id(id);

		if (!kn_slab_is_object(s, kn_slab_head(s, p), p))
			return false;
		add_object(j, s, p);
		return true;
	}
	if (id == KN_ID_GUARD && kn_fence_size(p)) {
		add(j, head, kn_pfn(p), 1);
		return true;
	}
	if (p != kn_page_addr(head))
		return false;
	/* Its free takes the marks off. */
	if (id == KN_ID_LARGE)
		kn_large_hold(head);
	if (id == KN_ID_PAGES)
		add(j, head, kn_pfn(p), 1ull << head->order);
	else if (id == KN_ID_LARGE)
		add(j, head, kn_pfn(p), head->nr_pages);
	else if (id == KN_ID_VMALLOC)
		add(j, head, kn_pfn(p), kn_area_pages(head));
	else
		return false;
	return true;
}

/* 0, or why the system cannot hold memory of this process on @to. */
static int bad_target(int to)
{
	const int node = kn_node_dense(to);

	if (node == -1)
		return -EINVAL;
	if (node == KN_NODE_OFFLINE ||
	    !(kn_load(&kn_topo.has_memory) >> node & 1))
		return -ENODEV;
	return kn_load(&kn_topo.allowed) >> node & 1 ? 0 : -EACCES;
}

static int begin(struct job *j, int from, int to)
{
	if (!kn_start())
		return -ENOMEM;
	if (from != NUMA_NO_NODE && kn_node_dense(from) == -1)
		return -EINVAL;
	if (from != NUMA_NO_NODE && kn_node_dense(from) == KN_NODE_OFFLINE)
		return -ENODEV;
	j->from = from;
	j->to = to;
	j->sum = (struct knuma_migrated){0, 0, 0};
	j->nr = 0;
	j->err = 0;
	return bad_target(to);
}

static int end(struct job *j, struct knuma_migrated *m)
{
	flush(j);
	if (m)
		*m = j->sum;
	return j->err;
}

int knuma_migrate(const void *p, int from, int to, struct knuma_migrated *m)
{
	struct job j;
	const int err = begin(&j, from, to);

	if (err)
		return err;
	if (!add_allocation(&j, p))
		return -EINVAL;
	return end(&j, m);
}

/* Slabs that are full are on no list: the map finds them. */
static void add_slabs(struct job *j, struct kmem_cache *s, int node)
{
	const uintptr_t base = kn_window_base(node);
	const uint64_t nr = (kn_load(&kn_zones[node].grown) - base) >>
			    KN_PAGE_SHIFT;
	const uint32_t first = kn_pfn((void *)base);

	for (uint64_t i = 0; i < nr; i += 1u << s->order)
		if (kn_map_id(first + (uint32_t)i) == s->mag.id)
			add(j, kn_page(first + (uint32_t)i),
			    first + (uint32_t)i, 1u << s->order);
}

int knuma_migrate_cache(struct kmem_cache *s, int from, int to,
			struct knuma_migrated *m)
{
	struct job j;
	const int err = begin(&j, from, to);

	if (err)
		return err;
	if (!s || !s->live)
		return -EINVAL;
	ck_pr_inc_32(&kn_away_marking);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		add_slabs(&j, s, node);
	flush(&j);
	ck_pr_dec_32(&kn_away_marking);
	return end(&j, m);
}
