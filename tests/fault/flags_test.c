/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each GFP flag does, for each kind of memory: how often is tried, who is
 * asked, what is printed, from which node, and with which content.
 */
#include <stdio.h>
#include <string.h>

#include <knuma/knuma.h>

#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/kinds.h"

/* A shrinker that has nothing to give: rounds of reclaim, and their flags. */
static int calls;
static gfp_t seen;

static unsigned long count_calls(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	calls++;
	seen = sc->gfp_mask;
	return SHRINK_STOP;
}

/* Calls of the shrinker by an allocation that fails. */
static int rounds(gfp_t gfp)
{
	calls = 0;
	seen = 0;
	CHECK_FAILS(kind_get(gfp | __GFP_NOWARN), ENOMEM);
	return calls;
}

static void tries_as_often_as_asked(void)
{
	start_here();
	kind_shrinker(count_calls, 0);
	kind_fill();
	CHECK_EQ(rounds(GFP_KERNEL), 1);
	CHECK_EQ(seen & (__GFP_IO | __GFP_FS), __GFP_IO | __GFP_FS);
	CHECK_EQ(rounds(GFP_NOFS), 1);
	CHECK_EQ(seen & (__GFP_IO | __GFP_FS), __GFP_IO);
	CHECK_EQ(rounds(GFP_NOIO), 1);
	CHECK_EQ(seen & (__GFP_IO | __GFP_FS), 0);
	CHECK_EQ(rounds(GFP_KERNEL | __GFP_NORETRY), 0);
	CHECK_EQ(rounds(GFP_KERNEL | __GFP_RETRY_MAYFAIL), 4);
	CHECK_EQ(rounds(GFP_NOWAIT), 0);
	CHECK_EQ(rounds(GFP_ATOMIC), 0);
}

static void how_often_is_tried(void)
{
	kinds_each(tries_as_often_as_asked);
}

static void keeps_to_scopes(void)
{
	unsigned int flags;

	start_here();
	kind_shrinker(count_calls, 0);
	kind_fill();
	flags = memalloc_nofs_save();
	CHECK_EQ(rounds(GFP_KERNEL), 1);
	CHECK_EQ(seen & (__GFP_IO | __GFP_FS), __GFP_IO);
	memalloc_nofs_restore(flags);
	flags = memalloc_noio_save();
	CHECK_EQ(rounds(GFP_KERNEL), 1);
	CHECK_EQ(seen & (__GFP_IO | __GFP_FS), 0);
	memalloc_noio_restore(flags);
	flags = memalloc_noreclaim_save();
	CHECK_EQ(rounds(GFP_KERNEL), 0);
	CHECK_EQ(rounds(GFP_KERNEL | __GFP_RETRY_MAYFAIL), 0);
	memalloc_noreclaim_restore(flags);
	CHECK_EQ(rounds(GFP_KERNEL), 1);
	CHECK_EQ(seen & (__GFP_IO | __GFP_FS), __GFP_IO | __GFP_FS);
}

static void scopes_are_kept_to(void)
{
	kinds_each(keeps_to_scopes);
}

static void warns_once(void)
{
	int told;

	start_here();
	kind_fill();
	CHECK_FAILS(kind_get(GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(kind_get(GFP_NOWAIT), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 0);
	CHECK_FAILS(kind_get(GFP_ATOMIC), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 1);
	CHECK_FAILS(kind_get(GFP_ATOMIC), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 1);
	/* Of kvmalloc() it is the area that fails, where it may wait. */
	CHECK_FAILS(kind_get(GFP_KERNEL), ENOMEM);
	told = printed_times("knuma: ");
	CHECK(told == 1 || told == 2);
	CHECK_FAILS(kind_get(GFP_KERNEL), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), told);
}

static void a_failure_is_told_once(void)
{
	kinds_each(warns_once);
}

/* Node 1 is full: what is freed there is not given to others. */
static void comes_from_that_node(void)
{
	const gfp_t light = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
	void *p;

	fake_nodes(2);
	start_here();
	p = kind->get(GFP_KERNEL | __GFP_THISNODE, 1);
	CHECK(p);
	/* It takes no node, but the one that is the nearest. */
	if (!strcmp(kind->name, "bulk"))
		return;
	CHECK_EQ(knuma_node_of(kind->address(p)), 1);
	fake_node_free_mib(1, 0);
	while (kind->get(light | __GFP_THISNODE, 1) ||
	       kind->get(GFP_KERNEL | __GFP_NOWARN | __GFP_THISNODE, 1))
		;
	CHECK_EQ(errno, ENOMEM);
	p = kind->get(GFP_KERNEL, 1);
	CHECK(p);
	CHECK_EQ(knuma_node_of(kind->address(p)), 0);
	kind->put(p);
}

static void a_node_is_kept_to(void)
{
	kinds_each(comes_from_that_node);
}

/* Memory that had other content. */
#define DIRTY 8

static void is_zero(void)
{
	void *p[DIRTY];

	start_here();
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < DIRTY; i++) {
			p[i] = kind_get(round ? GFP_KERNEL | __GFP_ZERO :
						GFP_KERNEL);
			CHECK(p[i]);
			if (round)
				CHECK(all_bytes(kind->address(p[i]), kind->size,
						0));
		}
		for (int i = 0; i < DIRTY; i++) {
			memset(kind->address(p[i]), 0xa5, kind->size);
			kind->put(p[i]);
		}
	}
	heap_verify();
}

static void zeroes_are_zeroes(void)
{
	kinds_each(is_zero);
}

static int constructed;

static void construct(void *obj)
{
	constructed++;
	memset(obj, 0x2a, 100);
}

/* Its constructor wins, for one object and for many. */
static void zero_does_not_undo_a_constructor(void)
{
	struct kmem_cache *s;
	void *p[3];

	start_here();
	s = kmem_cache_create("made", 100, 0, 0, construct);
	CHECK(s);
	p[0] = kmem_cache_alloc(s, GFP_KERNEL | __GFP_ZERO);
	CHECK(p[0]);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, 2, p + 1),
		 2);
	CHECK(constructed >= 3);
	for (int i = 0; i < 3; i++)
		CHECK(all_bytes(p[i], 100, 0x2a));
	CHECK_EQ(printed_times("cache made has a constructor"), 1);
	kmem_cache_free_bulk(s, 3, p);
	kmem_cache_destroy(s);
}

/* Memory that was taken and given back without being written. */
#define UNTOUCHED 300

static void is_in_memory(void)
{
	const int n = kind->size < 16384 ? UNTOUCHED : DIRTY;
	static const gfp_t gfp[] = {GFP_NOWAIT, GFP_ATOMIC | __GFP_NOWARN};
	void *p[UNTOUCHED];

	conf("huge_pages", "no");
	/* What fills it is in memory, and comes first. */
	conf("reserve", "0");
	start_here();
	for (int i = 0; i < n; i++)
		CHECK((p[i] = kind_get(GFP_KERNEL)));
	for (int i = 0; i < n; i++)
		kind->put(p[i]);
	for (int i = 0; i < n; i++) {
		p[i] = kind_get(gfp[i % 2]);
		CHECK(!p[i] || is_present(kind->address(p[i]), kind->size));
	}
	for (int i = 0; i < n; i++)
		if (p[i])
			kind->put(p[i]);
	heap_verify();
}

static void who_may_not_wait_touches_nothing_first(void)
{
	kinds_each(is_in_memory);
}

/* Charged to the thread's group, with the flag alone. */
static void is_charged(void)
{
	struct knuma_group *g;
	unsigned int before;
	void *p;

	start_here();
	g = knuma_group_create("flags", KNUMA_GROUP_NO_LIMIT);
	CHECK(g);
	before = knuma_group_enter(g);
	p = kind_get(GFP_KERNEL);
	CHECK(p);
	CHECK_EQ(knuma_group_of(kind->address(p)), NULL);
	kind->put(p);
	p = kind_get(GFP_KERNEL_ACCOUNT);
	CHECK(p);
	/* Of a cache only with SLAB_ACCOUNT, see api/group_test. */
	if (kind->size != 1000)
		CHECK_EQ(knuma_group_of(kind->address(p)), g);
	kind->put(p);
	knuma_group_leave(before);
	knuma_group_destroy(g);
}

static void who_pays_is_asked_for(void)
{
	kinds_each(is_charged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(how_often_is_tried),
		child_test(scopes_are_kept_to),
		child_test(a_failure_is_told_once),
		child_test(a_node_is_kept_to),
		child_test(zeroes_are_zeroes),
		child_test(zero_does_not_undo_a_constructor),
		child_test(who_may_not_wait_touches_nothing_first),
		child_test(who_pays_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
