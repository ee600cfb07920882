/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever the order of calls, blocks in use are aligned, disjoint and hold
 * their content, and what is not in use is free.  The model is one owner mark
 * for each frame.
 */
#include <string.h>

#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"

#define FRAMES	  (1u << 20) /* of each window; more is a leak */
#define LIVE	  400
#define PAGES_MAX 40000 /* in use at a time */

enum kind {
	BLOCK, /* alloc_pages */
	EXACT, /* alloc_pages_exact */
	LARGE, /* kmalloc above the classes */
};

static struct block {
	enum kind kind;
	char *at;
	size_t bytes;
	unsigned int order;
	uint64_t seed;
	int node;
} live[LIVE];

static int nr_live;
static size_t pages_live;
static unsigned char owned[8][FRAMES];
static struct rng rng;

/* The ends of each page are enough to see who wrote there. */
static void mark(const struct block *b, bool check)
{
	for (size_t at = 0; at < b->bytes; at += knuma_page_size()) {
		char *page = b->at + at;
		const size_t last = knuma_page_size() - 32;

		if (check) {
			CHECK(pattern_holds(page, 32, b->seed + at));
			CHECK(pattern_holds(page + last, 32, ~b->seed - at));
		} else {
			pattern_fill(page, 32, b->seed + at);
			pattern_fill(page + last, 32, ~b->seed - at);
		}
	}
}

static void own(const struct block *b, int change)
{
	const unsigned long first = page_to_pfn(virt_to_page(b->at));
	const int node = page_to_nid(virt_to_page(b->at));
	static unsigned long lowest[8];

	if (!lowest[node])
		lowest[node] = first & ~(unsigned long)(FRAMES - 1);
	for (size_t i = 0; i < b->bytes / knuma_page_size(); i++) {
		const unsigned long frame = first + i - lowest[node];

		CHECK(frame < FRAMES);
		owned[node][frame] =
			(unsigned char)(owned[node][frame] + change);
		CHECK(owned[node][frame] <= 1);
	}
	pages_live += (size_t)((long)(b->bytes / knuma_page_size()) * change);
}

static gfp_t any_gfp(void)
{
	static const gfp_t gfp[] = {GFP_KERNEL, GFP_KERNEL,
				    GFP_KERNEL, GFP_KERNEL | __GFP_NORETRY,
				    GFP_NOWAIT, GFP_ATOMIC | __GFP_NOWARN};
	const gfp_t zero = rng_below(&rng, 4) ? 0 : __GFP_ZERO;

	return gfp[rng_below(&rng, 6)] | zero;
}

static int any_node(void)
{
	return (int)rng_below(&rng, (uint64_t)kn_topo.nr_nodes + 1) - 1;
}

static char *get(struct block *b, gfp_t gfp)
{
	struct page *page;

	switch (b->kind) {
	case BLOCK:
		b->order = (unsigned int)rng_below(&rng, MAX_PAGE_ORDER + 1);
		/* Small ones are more frequent, as they are in life. */
		if (rng_below(&rng, 3))
			b->order /= 3;
		b->bytes = knuma_page_size() << b->order;
		page = alloc_pages_node(b->node, gfp, b->order);
		CHECK(!page || virt_to_page(page_address(page)) == page);
		return page ? page_address(page) : NULL;
	case EXACT:
		b->bytes = rng_size(&rng, KMALLOC_MAX_SIZE - 1) + 1;
		b->bytes = ALIGN(b->bytes, knuma_page_size());
		return alloc_pages_exact_nid(b->node, b->bytes, gfp);
	default:
		b->bytes = KMALLOC_MAX_CACHE_SIZE + 1 +
			   rng_size(&rng, KMALLOC_MAX_SIZE / 2);
		b->bytes = kmalloc_size_roundup(b->bytes);
		return kmalloc_node(b->bytes, gfp, b->node);
	}
}

static void allocate(void)
{
	struct block *b = &live[nr_live];
	const gfp_t gfp = any_gfp();

	b->kind = (enum kind)rng_below(&rng, 3);
	b->seed = rng_next(&rng);
	b->node = any_node();
	b->at = get(b, gfp);
	if (!b->at) {
		CHECK(!gfpflags_allow_blocking(gfp));
		return;
	}
	CHECK_EQ((uintptr_t)b->at % knuma_page_size(), 0);
	if (b->kind == BLOCK)
		CHECK_EQ((uintptr_t)b->at % b->bytes, 0);
	if (b->kind == LARGE)
		CHECK_EQ((uintptr_t)b->at % divisor_of(b->bytes), 0);
	if (b->node >= 0 && gfpflags_allow_blocking(gfp))
		CHECK_EQ(page_to_nid(virt_to_page(b->at)), b->node);
	if (!gfpflags_allow_blocking(gfp))
		CHECK(is_present(b->at, b->bytes));
	if (gfp & __GFP_ZERO)
		CHECK(all_bytes(b->at, b->bytes, 0));
	own(b, 1);
	mark(b, false);
	nr_live++;
}

static void release(int i)
{
	struct block *b = &live[i];

	mark(b, true);
	own(b, -1);
	if (b->kind == BLOCK)
		free_pages((unsigned long)b->at, b->order);
	else if (b->kind == EXACT)
		free_pages_exact(b->at, b->bytes);
	else
		kfree(b->at);
	*b = live[--nr_live];
}

/* With nothing held back, what is not free is in use. */
static void balance(void)
{
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("page_managed_bytes") - stat_of("page_free_bytes"),
		 pages_live * knuma_page_size());
	heap_verify();
}

static void steps(int n)
{
	start_quiet();
	rng = rng_new(1);
	for (int step = 0; step < n; step++) {
		const bool more = nr_live < LIVE && pages_live < PAGES_MAX &&
				  rng_below(&rng, 100) < 55;

		if (!nr_live || more)
			allocate();
		else
			release((int)rng_below(&rng, (uint64_t)nr_live));
		if (step % 40 == 0)
			heap_verify();
		if (step % 1500 == 1499)
			balance();
	}
	while (nr_live)
		release(nr_live - 1);
	balance();
}

static void blocks_stay_disjoint(void)
{
	steps(40000);
}

static void blocks_stay_disjoint_on_three_nodes(void)
{
	fake_nodes(3);
	steps(20000);
}

static void blocks_stay_disjoint_with_huge_pages_at_once(void)
{
	conf("huge_after", "0");
	steps(10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(blocks_stay_disjoint),
		child_test(blocks_stay_disjoint_on_three_nodes),
		child_test(blocks_stay_disjoint_with_huge_pages_at_once),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
