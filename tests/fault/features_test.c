/* SPDX-License-Identifier: Apache-2.0 */
/* What needs more memory than there is, feature by feature. */
#include <string.h>

#include <knuma/knuma.h>

#include "alloc/account/group.h"
#include "alloc/magazine/magazine.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/fence.h"
#include "alloc/slab/slab.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB   ((size_t)1 << 20)
#define QUIET (GFP_KERNEL | __GFP_NOWARN)

/* Objects of all caches fail that @names gives. */
static void fail_objects(const char *names)
{
	conf("failslab_interval", "1");
	conf("slab_debug", names);
}

static void a_sheaf_is_filled_or_not_at_all(void)
{
	struct kmem_cache *s;
	struct slab_sheaf *sheaf, *was;

	start_quiet();
	s = kmem_cache_create("sheaf", 200, 0, 0, NULL);
	sheaf = was = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 10);
	CHECK(sheaf);
	kmem_cache_free(s, kmem_cache_alloc_from_sheaf(s, 0, sheaf));
	fail_objects("A,sheaf");
	CHECK_FAILS(kmem_cache_prefill_sheaf(s, QUIET, 5), ENOMEM);
	/* With room for them, and without. */
	CHECK_EQ(kmem_cache_refill_sheaf(s, QUIET, &sheaf, 10), -ENOMEM);
	CHECK_EQ(kmem_cache_refill_sheaf(s, QUIET, &sheaf, 20), -ENOMEM);
	CHECK(sheaf == was);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 9);
	conf("slab_debug", "");
	CHECK_EQ(kmem_cache_refill_sheaf(s, QUIET, &sheaf, 20), 0);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 20);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
	heap_verify();
}

static void a_shrinker_needs_an_object(void)
{
	start_quiet();
	fail_objects("A,kmalloc-*");
	CHECK_FAILS(shrinker_alloc(0, "none"), ENOMEM);
	conf("slab_debug", "");
	shrinker_free(shrinker_alloc(0, "one"));
	heap_verify();
}

/* Before alloc/core and alloc/deferred have set them, nobody is there to ask. */
static void nobody_to_ask_for_memory(void)
{
	struct knuma_group *g;
	struct kmem_cache *s;
	void *p;

	start_quiet();
	s = kmem_cache_create("safe", 200, 0, SLAB_TYPESAFE_BY_RCU, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	g = knuma_group_create("small", 100);
	CHECK(g && p);
	kn_group_shrink_hook = NULL;
	kn_slab_defer = NULL;
	CHECK_EQ(knuma_group_enter(g), 0);
	CHECK_FAILS(kmalloc(200, GFP_KERNEL_ACCOUNT | __GFP_NOWARN), ENOMEM);
	knuma_group_leave(0);
	/* Its slab stays, as readers may look at it. */
	kmem_cache_free(s, p);
	CHECK_EQ(kmem_cache_shrink(s), 1);
	heap_verify();
}

/* A cache without magazines, whose slabs cannot be made. */
static void single_objects_need_a_slab(void)
{
	struct kmem_cache *s;
	void *p;
	int n = 0;

	start_quiet();
	s = kmem_cache_create("bare", 2000, 0, 0, NULL);
	conf("slab_debug", "F,bare");
	faults_install();
	faults_fail(FAULT_ANY, 1, FAULTS_FOR_EVER, ENOMEM);
	while ((p = kmem_cache_alloc(s, QUIET)))
		CHECK(n++ < 1000000);
	CHECK_EQ(errno, ENOMEM);
	CHECK(n > 0);
	faults_fail(FAULT_ANY, 0, 0, 0);
	p = kmem_cache_alloc(s, QUIET);
	CHECK(p);
	kmem_cache_free(s, p);
	heap_verify();
}

/* Guarded objects. */

static bool is_guarded(const void *p)
{
	return kn_id_of(p) == KN_ID_GUARD;
}

/*
 * The heap has grown once, by a page, which is not sampled; from now on it
 * neither grows nor protects.  Who asks gets an object without guards.
 */
static void plain_objects_only(void)
{
	void *p, *q;

	conf("guard_sample", "1");
	conf("background", "no");
	faults_install();
	free_page(__get_free_page(GFP_KERNEL));
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p && !is_guarded(p));
	q = kmalloc(2000, GFP_KERNEL);
	CHECK(q && !is_guarded(q));
	CHECK_EQ(printed_times("no guarded objects on node"), 1);
	kfree(p);
	kfree(q);
	heap_verify();
}

static void guards_that_cannot_be_set(void)
{
	plain_objects_only();
}

/* 1,023 pages are taken as 4 MiB, which the first step of growth has not. */
static void guards_without_pages(void)
{
	conf("guard_slots", "511");
	plain_objects_only();
}

static void places_without_an_object(void)
{
	struct kn_fence_view v;
	char *p, *page, *end;

	fake_nodes(2);
	conf("guard_sample", "1");
	start_here();
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p && is_guarded(p));
	/* The other node has no such pages. */
	CHECK(!kn_fence_look((void *)kn_window_base(1 - kn_window_of(p)), &v));
	page = (char *)((uintptr_t)p & -(uintptr_t)KN_PAGE_SIZE);
	CHECK(kn_fence_look(p, &v) && v.used);
	CHECK(kn_fence_cache(p));
	/* A guard, a page that no object had, and what the table does not use. */
	CHECK(!kn_fence_look(page + KN_PAGE_SIZE, &v));
	CHECK(!kn_fence_cache(page + KN_PAGE_SIZE));
	CHECK_EQ(knuma_migrate(page + KN_PAGE_SIZE, NUMA_NO_NODE, 0, NULL),
		 -EINVAL);
	for (end = page; is_guarded(end + KN_PAGE_SIZE); end += KN_PAGE_SIZE)
		;
	CHECK(!kn_fence_look(end, &v));
	CHECK(!kn_fence_cache(end));
	for (end -= 2 * KN_PAGE_SIZE; end > page; end -= KN_PAGE_SIZE) {
		CHECK(!kn_fence_look(end, &v));
		CHECK(!kn_fence_cache(end));
	}
	/* An access to a guard that no object in use is near to. */
	CHECK(!kn_fence_report_fault((uintptr_t)page + 21 * KN_PAGE_SIZE, 0,
				     0) ||
	      printed_times("guard"));
	kfree(p);
	heap_verify();
}

/* Areas. */

/* The middle of what a group was charged for is nothing of it. */
static void a_group_is_of_what_begins_there(void)
{
	struct knuma_group *g;
	char *p, *pages;

	start_quiet();
	g = knuma_group_create("some", KNUMA_GROUP_NO_LIMIT);
	CHECK_EQ(knuma_group_enter(g), 0);
	p = kmalloc(100, GFP_KERNEL_ACCOUNT);
	pages = (char *)__get_free_pages(GFP_KERNEL_ACCOUNT, 0);
	CHECK(p && pages);
	CHECK(knuma_group_of(p) == g && knuma_group_of(pages) == g);
	CHECK(!knuma_group_of(p + 8) && !knuma_group_of(pages + 8));
	kfree(p);
	free_page((unsigned long)pages);
	knuma_group_leave(0);
}

/* Shrinkers that say they freed something, of others' memory. */
static unsigned long count_one(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return 1;
}

static int nr_scans;

static unsigned long scan_none(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	nr_scans++;
	return 1;
}

static void shrinking_has_an_end(void)
{
	struct shrinker *s;
	struct knuma_group *g;

	start_quiet();
	g = knuma_group_create("full", 100);
	s = shrinker_alloc(SHRINKER_MEMCG_AWARE, "tries");
	CHECK(g && s);
	s->count_objects = count_one;
	s->scan_objects = scan_none;
	shrinker_register(s);
	CHECK_EQ(knuma_group_enter(g), 0);
	CHECK_FAILS(kmalloc(200, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
					 __GFP_RETRY_MAYFAIL),
		    ENOMEM);
	CHECK(nr_scans > 1);
	knuma_group_leave(0);
	shrinker_free(s);
}

static void an_interleaved_area_needs_space(void)
{
	static const unsigned long none[KN_MACHINE_MASK];
	static const int nodes[] = {0, 1};
	void *p;

	conf("fake_nodes", "2");
	faults_install();
	start_quiet();
	/* The fake system call maps its table first. */
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	CHECK_FAILS(knuma_vmalloc_interleave(MIB, nodes, 2), ENOMEM);
	faults_fail(FAULT_MMAP, 0, 0, 0);
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	CHECK_FAILS(knuma_vmalloc_interleave(64 * MIB, nodes, 2), ENOMEM);
	faults_fail(FAULT_MPROTECT, 0, 0, 0);
	p = knuma_vmalloc_interleave(64 * MIB, nodes, 2);
	CHECK(p);
	CHECK_EQ(kn_machine.mbind_interleave(p, MIB, none), -EINVAL);
	vfree(p);
	heap_verify();
}

/* What is freed must be gone, whatever the system refuses. */
static void areas_are_wiped_without_a_look(void)
{
	char *p, *q;

	conf("init_on_free", "yes");
	faults_install();
	start_here();
	p = vmalloc(20000);
	CHECK(p);
	memset(p, 7, 20000);
	faults_fail(FAULT_MINCORE, 1, FAULTS_FOR_EVER, EPERM);
	vfree(launder(p));
	q = vmalloc(20000);
	CHECK(q && all_bytes(q, 20000, 0));
	vfree(q);
	heap_verify();
}

static void a_protected_area_that_stays_is_told(void)
{
	char *p;

	conf("init_on_free", "yes");
	faults_install();
	start_here();
	p = vmalloc_exec(20000);
	if (!p)
		skip_child("no executable memory");
	memset(p, 7, 20000);
	CHECK_EQ(set_memory_rox((unsigned long)p, 5), 0);
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	vfree(p);
	CHECK_EQ(printed_times("was freed as it is"), 1);
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	heap_verify();
}

static void an_area_does_not_grow_on_a_full_node(void)
{
	char *p, *q;

	fake_nodes(2);
	start_here();
	p = vmalloc(MIB);
	CHECK(p);
	memset(p, 7, MIB);
	fake_node_free_mib(0, 0);
	fake_node_free_mib(1, 0);
	q = kvrealloc(p, 512 * MIB, QUIET);
	CHECK(!q || q == p);
	CHECK(all_bytes(p, MIB, 7));
	vfree(p);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_sheaf_is_filled_or_not_at_all),
		child_test(a_shrinker_needs_an_object),
		child_test(nobody_to_ask_for_memory),
		child_test(single_objects_need_a_slab),
		child_test(guards_that_cannot_be_set),
		child_test(guards_without_pages),
		child_test(places_without_an_object),
		child_test(a_group_is_of_what_begins_there),
		child_test(shrinking_has_an_end),
		child_test(an_interleaved_area_needs_space),
		child_test(areas_are_wiped_without_a_look),
		child_test(a_protected_area_that_stays_is_told),
		child_test(an_area_does_not_grow_on_a_full_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
