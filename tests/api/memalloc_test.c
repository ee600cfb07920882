/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/memalloc.h>: scopes of allocations, sentence by sentence. */
#include <knuma/memalloc.h>

#include <pthread.h>
#include <string.h>

#include <knuma/group.h>
#include <knuma/page.h>
#include <knuma/shrinker.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

static void scopes_nest(void)
{
	unsigned int io, fs, again;

	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_KERNEL);
	fs = memalloc_nofs_save();
	/*
	 * checks memalloc_noio_save: "what memalloc_noio_restore() wants";
	 * memalloc_nofs_save: "what memalloc_nofs_restore() wants";
	 * memalloc_noreclaim_save: "what memalloc_noreclaim_restore() wants"
	 */
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_NOFS);
	again = memalloc_nofs_save();
	io = memalloc_noio_save();
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_NOIO);
	CHECK_EQ(current_gfp_context(GFP_NOWAIT), GFP_NOWAIT);
	memalloc_noio_restore(io);
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_NOFS);
	/* The inner of two leaves the outer as it is. */
	memalloc_nofs_restore(again);
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_NOFS);
	memalloc_nofs_restore(fs);
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_KERNEL);
	io = memalloc_noreclaim_save();
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_KERNEL | __GFP_MEMALLOC);
	memalloc_noreclaim_restore(io);
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_KERNEL);
}

static void *look(void *unused)
{
	(void)unused;
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_KERNEL);
	return NULL;
}

static void scopes_are_of_the_thread(void)
{
	const unsigned int flags = memalloc_noio_save();
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, look, NULL));
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(current_gfp_context(GFP_KERNEL), GFP_NOIO);
	memalloc_noio_restore(flags);
}

/* A heap that is full, and a shrinker that says what it was asked with. */
static struct kmem_cache *cache;
static void *kept[20000];
static int nr_kept, calls;
static gfp_t seen, seen_at_all;

static unsigned long count_kept(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	calls++;
	seen = sc->gfp_mask;
	seen_at_all |= seen;
	return 0;
}

static unsigned long free_nothing(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return SHRINK_STOP;
}

static int no_more(void *addr, size_t len, int prot)
{
	(void)addr;
	(void)len;
	(void)prot;
	return -ENOMEM;
}

static void fill_the_heap(void)
{
	struct shrinker *s;
	void *p;

	start_here();
	cache = kmem_cache_create("kept", 4096, NULL, 0);
	s = shrinker_alloc(0, "kept");
	CHECK(cache && s);
	s->count_objects = count_kept;
	s->scan_objects = free_nothing;
	shrinker_register(s);
	kn_machine.mprotect = no_more;
	while (nr_kept < 20000 &&
	       (p = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NORETRY |
						    __GFP_NOWARN)))
		kept[nr_kept++] = p;
	CHECK(nr_kept > 100 && nr_kept < 20000);
	CHECK_EQ(calls, 0);
}

static gfp_t asked_with(size_t size)
{
	calls = 0;
	CHECK_FAILS(kmalloc(size, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_EQ(calls, 1);
	return seen & (__GFP_IO | __GFP_FS);
}

static void shrinkers_see_the_scope(void)
{
	static const size_t sizes[] = {4096, 1 << 20};
	unsigned int flags;

	fill_the_heap();
	for (int i = 0; i < 2; i++) {
		/*
		 * checks memalloc_noio_save, memalloc_nofs_save: "Shrinkers see
		 * it in their gfp_mask"
		 */
		CHECK_EQ(asked_with(sizes[i]), __GFP_IO | __GFP_FS);
		flags = memalloc_nofs_save();
		CHECK_EQ(asked_with(sizes[i]), __GFP_IO);
		memalloc_nofs_restore(flags);
		flags = memalloc_noio_save();
		CHECK_EQ(asked_with(sizes[i]), 0);
		memalloc_noio_restore(flags);
		CHECK_EQ(asked_with(sizes[i]), __GFP_IO | __GFP_FS);
	}
}

static void noreclaim_reclaims_nothing(void)
{
	unsigned int flags;

	fill_the_heap();
	flags = memalloc_noreclaim_save();
	calls = 0;
	CHECK_FAILS(kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(kmalloc(1 << 20, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_FAILS(alloc_pages(GFP_KERNEL | __GFP_NOWARN, 8), ENOMEM);
	/* checks memalloc_noreclaim_save: "allocations call no shrinkers" */
	CHECK_EQ(calls, 0);
	memalloc_noreclaim_restore(flags);
	CHECK_FAILS(kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_EQ(calls, 1);
}

/* Each kind of memory, for a group that has no room for it. */
static void ask_for_all_kinds(void)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;

	CHECK_FAILS(kmalloc(8192, gfp), ENOMEM);
	CHECK_FAILS(kmalloc(1 << 20, gfp), ENOMEM);
	CHECK_FAILS(alloc_pages(gfp, 3), ENOMEM);
	CHECK_FAILS(__vmalloc(1 << 20, gfp), ENOMEM);
}

static void limits_of_groups_keep_to_the_scope(void)
{
	struct knuma_group *g;
	unsigned int before, flags;
	struct shrinker *s;

	start_here();
	g = knuma_group_create("scoped", 4096);
	s = shrinker_alloc(SHRINKER_MEMCG_AWARE, "scoped");
	CHECK(g && s);
	s->count_objects = count_kept;
	s->scan_objects = free_nothing;
	shrinker_register(s);
	before = knuma_group_enter(g);
	ask_for_all_kinds();
	CHECK_EQ(calls, 4);
	CHECK_EQ(seen_at_all & (__GFP_IO | __GFP_FS), __GFP_IO | __GFP_FS);
	seen_at_all = 0;
	flags = memalloc_nofs_save();
	ask_for_all_kinds();
	CHECK_EQ(calls, 8);
	CHECK_EQ(seen_at_all & (__GFP_IO | __GFP_FS), __GFP_IO);
	memalloc_nofs_restore(flags);
	flags = memalloc_noreclaim_save();
	ask_for_all_kinds();
	CHECK_EQ(calls, 8);
	memalloc_noreclaim_restore(flags);
	knuma_group_leave(before);
}

static int take_pages(void)
{
	int n = 0;

	while (n < 20000 && alloc_pages(GFP_NOWAIT, 0))
		n++;
	return n;
}

/* What is kept for urgent calls: others get nothing any more. */
static void noreclaim_may_use_the_reserve(void)
{
	unsigned int flags;

	conf("reserve", "1M");
	start_here();
	/* A call that waits, and comes to the pages, fills the reserve. */
	free_pages(__get_free_pages(GFP_KERNEL, 5), 5);
	CHECK(take_pages() < 20000);
	CHECK_EQ(take_pages(), 0);
	flags = memalloc_noreclaim_save();
	/* checks memalloc_noreclaim_save: "may use all of the reserve" */
	CHECK(take_pages() > 0);
	memalloc_noreclaim_restore(flags);
	CHECK_EQ(take_pages(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(scopes_nest),
		child_test(scopes_are_of_the_thread),
		child_test(shrinkers_see_the_scope),
		child_test(noreclaim_reclaims_nothing),
		child_test(limits_of_groups_keep_to_the_scope),
		child_test(noreclaim_may_use_the_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
