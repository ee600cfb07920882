/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever the order of calls, areas in use are disjoint, aligned and hold
 * their content, vzalloc() is zero, and the address space between them adds up.
 * The model is the list of areas in use.
 */
#include <string.h>

#include <knuma/kvmalloc.h>
#include <knuma/malloc.h>
#include <knuma/numa.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"

#define LIVE		   150
#define MIB		   ((size_t)1 << 20)
#define MADV_GUARD_INSTALL 102

static struct area {
	char *at;
	size_t size, pages;
	uint64_t seed;
} live[LIVE];

static int nr_live;
static size_t pages_live;
static struct rng rng;

static size_t pages_of(size_t size)
{
	return (size + knuma_page_size() - 1) / knuma_page_size();
}

/* Some pages are enough, the first and the last among them. */
static void mark(const struct area *a, bool check)
{
	const size_t page = knuma_page_size();
	size_t step = a->size > 64 * page ? a->size / 16 & -page : page;

	for (size_t at = 0;; at += step) {
		if (at + 16 > a->size)
			at = a->size > 16 ? a->size - 16 : 0;
		if (check)
			CHECK(pattern_holds(a->at + at,
					    a->size < 16 ? a->size : 16,
					    a->seed + at));
		else
			pattern_fill(a->at + at, a->size < 16 ? a->size : 16,
				     a->seed + at);
		if (at + 16 >= a->size)
			break;
	}
}

/* V3: there is at least a page between two areas. */
static void apart(const struct area *a)
{
	const size_t room = (pages_of(a->size) + 1) * knuma_page_size();

	for (int i = 0; i < nr_live; i++) {
		const struct area *b = &live[i];
		const size_t other =
			(pages_of(b->size) + 1) * knuma_page_size();

		CHECK(a->at + room <= b->at || b->at + other <= a->at);
	}
}

static void allocate(void)
{
	struct area a;
	const bool zero = rng_below(&rng, 3) == 0;
	const int node =
		(int)rng_below(&rng, (uint64_t)kn_topo.nr_nodes + 1) - 1;
	size_t align = 1;

	a.size = 1 + rng_size(&rng, rng_below(&rng, 4) ? MIB : 24 * MIB);
	if (rng_below(&rng, 4) == 0)
		align = (size_t)1 << rng_below(&rng, 25);
	a.seed = rng_next(&rng);
	a.at = __vmalloc_node(a.size, align,
			      GFP_KERNEL | (zero ? __GFP_ZERO : 0), node, NULL);
	CHECK(a.at && is_vmalloc_addr(a.at));
	CHECK_EQ((uintptr_t)a.at % knuma_page_size(), 0);
	CHECK_EQ((uintptr_t)a.at % align, 0);
	if (node >= 0)
		CHECK_EQ(knuma_node_of(a.at), node);
	if (zero && a.size < 300000)
		CHECK(all_bytes(a.at, pages_of(a.size) * knuma_page_size(), 0));
	else if (zero)
		CHECK(all_bytes(a.at, 5000, 0) &&
		      all_bytes(a.at + a.size - 5000, 5000, 0));
	apart(&a);
	mark(&a, false);
	a.pages = pages_of(a.size);
	live[nr_live++] = a;
	pages_live += a.pages;
}

static void release(int i)
{
	mark(&live[i], true);
	pages_live -= live[i].pages;
	vfree(live[i].at);
	live[i] = live[--nr_live];
}

/* Larger or smaller, where it is or elsewhere. */
static void change(struct area *a)
{
	const size_t size = 300000 + rng_size(&rng, 4 * MIB);
	struct area was = *a;
	char *p;

	mark(a, true);
	p = kvrealloc(a->at, size, GFP_KERNEL);
	CHECK(p && is_vmalloc_addr(p));
	if (was.size > size)
		was.size = size;
	was.at = p;
	CHECK(pattern_holds(p, was.size < 16 ? was.size : 16, was.seed));
	pages_live -= a->pages;
	*a = live[--nr_live];
	was.size = size;
	was.pages = knuma_malloc_usable_size(p) / knuma_page_size();
	/* A shrink may leave a quarter, and the rest of a huge page. */
	CHECK(was.pages >= pages_of(size));
	CHECK(was.pages <= (pages_of(size) + 512) * 5 / 4 + 2);
	apart(&was);
	mark(&was, false);
	live[nr_live++] = was;
	pages_live += was.pages;
}

static void protect(void)
{
	char *p = vmalloc_exec(1 + rng_size(&rng, 100000));

	CHECK(p);
	CHECK_EQ(set_memory_rox((unsigned long)p, 1), 0);
	vfree(p);
}

static void steps(int n)
{
	start_quiet();
	rng = rng_new(3);
	for (int step = 0; step < n; step++) {
		const uint64_t what = rng_below(&rng, 1000);

		if (!nr_live || (what < 520 && nr_live < LIVE))
			allocate();
		else if (what < 545)
			change(&live[rng_below(&rng, (uint64_t)nr_live)]);
		else if (what < 980)
			release((int)rng_below(&rng, (uint64_t)nr_live));
		else if (what < 995)
			protect();
		else
			CHECK_EQ(knuma_trim(), 0);
		if (step % 10 == 0)
			heap_verify();
		CHECK_EQ(vmalloc_nr_pages(), pages_live);
	}
	while (nr_live)
		release(nr_live - 1);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
	heap_verify();
}

static void areas_stay_disjoint(void)
{
	steps(20000);
}

static void areas_stay_disjoint_on_three_nodes(void)
{
	fake_nodes(3);
	/* Areas take from what a node may still fault. */
	for (int node = 0; node < 3; node++)
		fake_node_free_mib(node, 1000000);
	steps(12000);
}

static void areas_stay_disjoint_with_old_guards(void)
{
	faults_install();
	faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	steps(12000);
}

static void areas_stay_disjoint_without_a_cache(void)
{
	conf("vmalloc_cache", "0");
	steps(10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(areas_stay_disjoint),
		child_test(areas_stay_disjoint_on_three_nodes),
		child_test(areas_stay_disjoint_with_old_guards),
		child_test(areas_stay_disjoint_without_a_cache),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
