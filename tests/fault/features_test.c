/* SPDX-License-Identifier: Apache-2.0 */
/* What needs more memory than there is, feature by feature. */
#include <string.h>
#include <sys/mman.h>

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

/* Closed by protection, as there are no markers, and not to be opened. */
static void a_page_that_stays_closed_is_passed_over(void)
{
	void *p, *q;

	conf("guard_sample", "1");
	faults_install();
	faults_refuse_advice(102, EINVAL); /* MADV_GUARD_INSTALL */
	start_here();
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p && is_guarded(p));
	faults_fail(FAULT_MPROTECT, 1, 1, ENOMEM);
	q = kmalloc(100, GFP_KERNEL);
	CHECK(q && !is_guarded(q));
	CHECK_EQ(stat_of("guarded_skipped"), 1);
	CHECK_EQ(faults_failed(), 1);
	kfree(q);
	/* Its place is free: there are as many as before. */
	q = kmalloc(100, GFP_KERNEL);
	CHECK(q && is_guarded(q));
	kfree(q);
	kfree(p);
	heap_verify();
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

/* Copies for each CPU. */

/* All copies of an object, which are zero, and written. */
static void use_copies(void)
{
	char *p = __alloc_percpu(100, 8);
	unsigned int cpu;

	CHECK(p);
	for_each_possible_cpu(cpu)
	{
		CHECK(all_bytes(per_cpu_ptr(p, cpu), 100, 0));
		memset(per_cpu_ptr(p, cpu), (int)cpu + 1, 100);
	}
	for_each_possible_cpu(cpu)
	{
		CHECK(all_bytes(per_cpu_ptr(p, cpu), 100,
				(unsigned char)(cpu + 1)));
	}
	free_percpu(p);
	heap_verify();
}

/* The table is not to be had, and what is for the copies cannot go back. */
static void copies_without_a_table(void)
{
	start_quiet();
	faults_install();
	faults_fail(FAULT_MMAP, 2, 1, ENOMEM);
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	CHECK_FAILS(__alloc_percpu(100, 8), ENOMEM);
	CHECK_EQ(faults_failed(), 2);
	use_copies();
}

/* Of 256 CPUs, so that a huge page would be many copies. */
static void copies_where_advice_is_refused(void)
{
	fake_nodes(1);
	start_quiet();
	faults_install();
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	use_copies();
	/* That, and as many that should bring pages into memory. */
	CHECK(faults_failed() > knuma_nr_cpu_ids());
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

static long on_node(void *p, int node)
{
	long count[2];

	CHECK(knuma_placement(p, MIB, count, 2) > 0);
	return count[node];
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

/* As if another thread had been faster with the table of fake nodes. */
static void *(*real_mmap)(void *addr, size_t len, int prot, int flags);
static void *moving;

static void *overtaken(void *addr, size_t len, int prot, int flags)
{
	static const int node;
	int status = -ENOENT;

	if (moving && prot & PROT_WRITE) {
		void *page = moving;

		moving = NULL;
		CHECK_EQ(kn_machine.move_pages(1, &page, &node, &status), 0);
		CHECK_EQ(status, 0);
	}
	return real_mmap(addr, len, prot, flags);
}

static void a_second_table_of_fake_nodes_stays_unused(void)
{
	char *p, *q;

	conf("fake_nodes", "2");
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = overtaken;
	faults_install();
	start_quiet();
	p = vmalloc_node(MIB, 1);
	q = vmalloc_node(MIB, 1);
	CHECK(p && q);
	memset(p, 1, MIB);
	memset(q, 1, MIB);
	if (knuma_placement(p, MIB, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
	moving = p;
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	CHECK_EQ(knuma_migrate(q, NUMA_NO_NODE, 0, NULL), 0);
	CHECK_EQ(faults_failed(), 1);
	/* What either has written is in the one that counts. */
	CHECK_EQ(on_node(p, 0), 1);
	CHECK_EQ(on_node(q, 0), MIB / KN_PAGE_SIZE);
	vfree(p);
	vfree(q);
	heap_verify();
}

/* Where pages are is not told; what was asked for was done, or was not. */
static void questions_below_fake_nodes_are_refused(void)
{
	int refused = 0;
	char *p;

	conf("fake_nodes", "2");
	faults_install();
	start_quiet();
	p = vmalloc_node(MIB, 1);
	CHECK(p);
	memset(p, 1, MIB);
	if (knuma_placement(p, MIB, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
	faults_fail(FAULT_PAGE_NODES, 1, 1, EPERM);
	CHECK_EQ(knuma_placement(p, MIB, NULL, 0), -EPERM);
	for (uint64_t nth = 1; nth <= 4; nth++) {
		int err;

		faults_fail(FAULT_PAGE_NODES, nth, 1, EPERM);
		err = knuma_migrate(p, NUMA_NO_NODE, 0, NULL);
		CHECK(!err || err == -EPERM);
		refused += err != 0;
		faults_fail(FAULT_PAGE_NODES, 0, 0, 0);
		CHECK(on_node(p, 0) == 0 || on_node(p, 1) == 0);
		CHECK_EQ(knuma_migrate(p, 0, 1, NULL), 0);
		CHECK_EQ(on_node(p, 1), MIB / KN_PAGE_SIZE);
	}
	/* That before the pages move, and the one about the move. */
	CHECK(refused >= 2);
	vfree(p);
	heap_verify();
}

/* What does not go back stays where it was moved to. */
static void advice_below_fake_nodes_is_refused(void)
{
	char *p, *was;

	conf("fake_nodes", "2");
	faults_install();
	start_quiet();
	p = vmalloc_node(MIB, 1);
	CHECK(p);
	was = launder(p);
	memset(p, 1, MIB);
	if (knuma_placement(p, MIB, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
	CHECK_EQ(knuma_migrate(p, NUMA_NO_NODE, 0, NULL), 0);
	CHECK_EQ(on_node(p, 0), MIB / KN_PAGE_SIZE);
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EPERM);
	CHECK_EQ(kn_machine.madvise(p, MIB, MADV_DONTNEED), -EPERM);
	CHECK_EQ(on_node(p, 0), MIB / KN_PAGE_SIZE);
	vfree(p);
	CHECK_EQ(knuma_trim(), -EPERM);
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	CHECK_EQ(knuma_trim(), 0);
	p = vmalloc_node(MIB, 1);
	CHECK_EQ(p, was);
	memset(p, 1, MIB);
	CHECK_EQ(on_node(p, 1), MIB / KN_PAGE_SIZE);
	vfree(p);
	heap_verify();
}

/* The nodes are made up all the same, with the CPU that there must be. */
static void files_below_fake_nodes_are_refused(void)
{
	conf("fake_nodes", "2");
	faults_install();
	faults_fail(FAULT_READ_FILE, 1, FAULTS_FOR_EVER, EACCES);
	start_quiet();
	CHECK(faults_failed() > 0);
	CHECK_EQ(knuma_nr_nodes(), 2);
	CHECK_EQ(knuma_distance(0, 1), 20);
	for (int node = 0; node < 2; node++) {
		void *p = kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, node);

		CHECK(p);
		CHECK_EQ(knuma_node_of(p), node);
		kfree(p);
	}
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
		child_test(a_page_that_stays_closed_is_passed_over),
		child_test(places_without_an_object),
		child_test(copies_without_a_table),
		child_test(copies_where_advice_is_refused),
		child_test(a_group_is_of_what_begins_there),
		child_test(shrinking_has_an_end),
		child_test(an_interleaved_area_needs_space),
		child_test(a_second_table_of_fake_nodes_stays_unused),
		child_test(questions_below_fake_nodes_are_refused),
		child_test(advice_below_fake_nodes_is_refused),
		child_test(files_below_fake_nodes_are_refused),
		child_test(areas_are_wiped_without_a_look),
		child_test(a_protected_area_that_stays_is_told),
		child_test(an_area_does_not_grow_on_a_full_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
