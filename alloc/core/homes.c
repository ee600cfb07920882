/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/homes.h"

#include <errno.h>

#include "alloc/base/assert.h"
#include "alloc/page/away.h"
#include "alloc/page/zone.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/homes.h"

/* One question a tick. */
#define SAMPLE_PAGES 64

/*
 * What a tick spends on the walk of a node: a page that is moved costs 1, and
 * eight that are only asked for cost 1.  64 MiB moved, 512 MiB asked for.
 */
#define WALK_COST    16384
#define ASK_PER_MOVE 8

/* Ticks between walks that leave pages elsewhere: 2, 4, ... 64. */
#define LONGEST_REST 64

/* All of it belongs to the one who ticks. */
static struct {
	bool due;
	bool again;		  /* at its end, from the start */
	size_t at;		  /* pages of the window that were walked */
	struct kn_homes found;	  /* by this walk */
	unsigned rest, last_rest; /* ticks */
} walks[KN_MAX_NODES];

static uint64_t usable_before;
static int next_node;
static uint64_t random_state = 0x9e3779b97f4a7c15ull;
static bool refused; /* move_pages(2), for good */

static uint64_t random_below(uint64_t n)
{
	uint64_t x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x % n;
}

static struct kn_home_range whole_pages(uintptr_t from, size_t bytes)
{
	const uintptr_t first = KN_ALIGN_DOWN(from, KN_PAGE_SIZE);
	const uintptr_t end = KN_ALIGN_UP(from + bytes, KN_PAGE_SIZE);

	return (struct kn_home_range){first, (end - first) >> KN_PAGE_SHIFT};
}

/* A part of the window, and the descriptors of its pages. */
static void add_part(struct kn_home_range *r, uintptr_t from, size_t bytes,
		     bool descriptors)
{
	const uintptr_t desc = (uintptr_t)kn_page(kn_pfn((void *)from));

	r[0] = whole_pages(from, bytes);
	r[1] = whole_pages(desc, bytes / KN_PAGE_SIZE * KN_PAGE_DESC_SIZE);
	if (!bytes || !descriptors)
		r[1].pages = 0;
}

size_t kn_home_pages(int node, struct kn_home_range r[KN_HOME_RANGES],
		     bool descriptors)
{
	const uintptr_t base = kn_window_base(node);
	size_t pages = 0, bytes;

	add_part(&r[0], base, kn_load(&kn_zones[node].grown) - base,
		 descriptors);
	for (int i = 0; i < 2; i++) {
		const uintptr_t from = kn_vmap_range(node, i, &bytes);

		add_part(&r[2 + 2 * i], from, bytes, descriptors);
	}
	for (int i = 0; i < KN_HOME_RANGES; i++)
		pages += r[i].pages;
	return pages;
}

void *kn_home_page(const struct kn_home_range r[KN_HOME_RANGES], size_t n)
{
	int i = 0;

	while (n >= r[i].pages)
		n -= r[i++].pages;
	return (void *)(r[i].from + (n << KN_PAGE_SHIFT));
}

static void refuse(int err)
{
	refused = true;
	kn_warn("the system refuses move_pages(2) (error %d): pages that it "
		"puts on another node than their own are not noticed",
		-err);
}

/* Counts the answer @got to a question.  False when there was none: @err. */
static bool count(int node, const struct kn_homes *got, int err)
{
	if (err == -EPERM || err == -EACCES || err == -ENOSYS)
		refuse(err);
	kn_node_stat_add(node, KN_NODE_STAT_home_checked, got->checked);
	kn_node_stat_add(node, KN_NODE_STAT_home_stale, got->stale);
	kn_node_stat_add(node, KN_NODE_STAT_home_moved, got->moved);
	if (got->stale)
		kn_warn_once("pages of node %d lie on node %d: it was full or "
			     "not usable, or the system moved them; home_stale "
			     "in the statistics counts further ones",
			     kn_topo.kernel_id[node], got->where);
	return !err;
}

/* True when a page that was looked at is elsewhere. */
static bool sample_strays(int node)
{
	struct kn_home_range r[KN_HOME_RANGES];
	const size_t pages = kn_home_pages(node, r, true);
	struct kn_homes found = {.where = -1};
	void *page[SAMPLE_PAGES];
	size_t n = 0;

	if (!pages)
		return false;
	for (int i = 0; i < SAMPLE_PAGES; i++) {
		page[n] = kn_home_page(r, random_below(pages));
		n += !kn_is_away(page[n]);
	}
	count(node, &found, kn_homes_ask(node, page, n, &found));
	return found.stale != 0;
}

static void begin_walk(int node)
{
	walks[node].due = true;
	walks[node].again = false;
	walks[node].at = 0;
	walks[node].found = (struct kn_homes){0};
}

/* A walk that is under way may have passed what this one is for. */
static void walk_once_more(int node)
{
	if (walks[node].due)
		walks[node].again = true;
	else
		begin_walk(node);
}

static void end_walk(int node)
{
	const struct kn_homes *found = &walks[node].found;

	walks[node].due = false;
	if (found->stale == found->moved)
		walks[node].last_rest = 0;
	else
		walks[node].last_rest = KN_MIN(2 * walks[node].last_rest + 2,
					       LONGEST_REST + 0u);
	walks[node].rest = walks[node].last_rest;
	if (walks[node].again)
		begin_walk(node);
}

/*
 * The next @n pages of a walk.  False when the node takes no more, or nobody
 * answers.
 */
static bool walk_on(int node, const struct kn_home_range r[KN_HOME_RANGES],
		    size_t n, uint64_t *moved)
{
	struct kn_homes *found = &walks[node].found, got = {.where = -1};
	void *page[KN_HOMES_MAX], *stay[KN_HOMES_MAX];
	size_t nr = 0, nr_stay = 0;
	int err;

	for (size_t i = 0; i < n; i++) {
		void *p = kn_home_page(r, walks[node].at + i);

		if (kn_is_away(p))
			stay[nr_stay++] = p;
		else
			page[nr++] = p;
	}
	err = kn_homes_bring(node, page, nr, stay, nr_stay, &got);
	found->stale += got.stale;
	found->moved += got.moved;
	*moved = got.moved;
	return count(node, &got, err);
}

/* Brings home what the window has elsewhere, until it has cost @most. */
static void walk(int node, size_t most)
{
	struct kn_home_range r[KN_HOME_RANGES];
	const size_t pages = kn_home_pages(node, r, true);

	while (most && walks[node].at < pages) {
		const size_t n =
			KN_MIN(pages - walks[node].at, (size_t)KN_HOMES_MAX);
		uint64_t moved;
		size_t cost;

		/* A node without room: what is left of it has to wait. */
		if (!walk_on(node, r, n, &moved)) {
			walks[node].at = pages;
			break;
		}
		walks[node].at += n;
		cost = n / ASK_PER_MOVE + (size_t)moved + 1;
		most -= KN_MIN(most, cost);
	}
	if (walks[node].at >= pages)
		end_walk(node);
}

static void look_at(int node, bool usable)
{
	const bool strays = sample_strays(node);

	if (strays && usable && !walks[node].due && !walks[node].rest)
		begin_walk(node);
}

static bool may_look(void)
{
	return kn_span.bind_wanted && !refused && !kn_load(&kn_span.bind_error);
}

void kn_homes_tick(bool all)
{
	const uint64_t usable = kn_load(&kn_topo.has_memory) &
				kn_load(&kn_topo.allowed) &
				kn_load(&kn_span.bound);
	const uint64_t changed = usable_before ? usable ^ usable_before : 0;
	const uint64_t freed = kn_away_take_freed();

	usable_before = usable;
	next_node = (next_node + 1) % kn_topo.nr_nodes;
	for (int node = 0; node < kn_topo.nr_nodes && may_look(); node++) {
		const bool is_usable = usable >> node & 1;

		if (walks[node].rest)
			walks[node].rest--;
		/* The system may have moved anything anywhere. */
		if (changed && is_usable)
			begin_walk(node);
		else if (freed >> node & 1)
			walk_once_more(node);
		if (all || changed || node == next_node)
			look_at(node, is_usable);
		if (is_usable && walks[node].due && may_look())
			walk(node, all ? SIZE_MAX : WALK_COST);
	}
}
