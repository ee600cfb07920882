/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that allocate for their own purpose, or pass a failure on, when all that
 * was grown is in use and the system gives no more: each says ENOMEM, and what
 * there was is as before.
 */
#include <stdio.h>
#include <string.h>

#include <knuma/kmalloc_obj.h>
#include <knuma/knuma.h>
#include <knuma/malloc.h>

#include "alloc/magazine/magazine.h"
#include "numa/machine.h"
#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define QUIET (GFP_KERNEL | __GFP_NOWARN)

/* What was used up, a list through the blocks. */
static void *taken;

static void use_up_objects(size_t size)
{
	void *p;

	while ((p = kmalloc(size, QUIET))) {
		*(void **)p = taken;
		taken = p;
	}
}

static unsigned long pages;

/* Each on its own, so that there are no two in a row. */
static void use_up_pages(void)
{
	unsigned long p;

	while ((p = __get_free_pages(QUIET, 0))) {
		*(unsigned long *)p = pages;
		pages = p;
	}
}

static const size_t sizes[] = {8, 64, 96, 200, 256, 1000, 2048, 4096, 8192};

static void exhaust(void)
{
	faults_install();
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	use_up_pages();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		use_up_objects(sizes[i]);
}

static void give_back(void)
{
	while (taken) {
		void *next = *(void **)taken;

		kfree(taken);
		taken = next;
	}
	while (pages) {
		const unsigned long next = *(unsigned long *)pages;

		free_pages(pages, 0);
		pages = next;
	}
	heap_verify();
}

static void no_class_has_any(void)
{
	struct {
		char bytes[200];
	} * obj;

	start_here();
	exhaust();
	CHECK_FAILS(knuma_malloc(200), ENOMEM);
	CHECK_FAILS(knuma_calloc(2, 100), ENOMEM);
	CHECK_FAILS(knuma_malloc(100000), ENOMEM);
	CHECK_FAILS(knuma_malloc(10 << 20), ENOMEM);
	CHECK_FAILS(knuma_memalign(8, 200), ENOMEM);
	CHECK_FAILS(knuma_memalign(64, 200), ENOMEM);
	CHECK_FAILS(knuma_memalign(64, 100000), ENOMEM);
	CHECK_FAILS(knuma_realloc(NULL, 200), ENOMEM);
	CHECK_FAILS(krealloc(NULL, 200, QUIET), ENOMEM);
	CHECK_FAILS(kvrealloc(NULL, 200, QUIET), ENOMEM);
	CHECK_FAILS(kmalloc_obj(*obj, QUIET), ENOMEM);
	CHECK_FAILS(kstrdup("a text that is copied, or is not", QUIET), ENOMEM);
	CHECK_FAILS(vmalloc(10000), ENOMEM);
	give_back();
}

static void a_constant_size_of_a_cache_is_refused(void)
{
	struct kmem_cache *s;

	start_here();
	s = kmem_cache_create("alone", 256, 0, SLAB_NO_MERGE, NULL);
	CHECK(s);
	exhaust();
	CHECK_FAILS(__kmalloc_cache_noprof(s, QUIET, 200), ENOMEM);
	give_back();
	kmem_cache_destroy(s);
}

static void one_of_a_cache_that_is_checked(void)
{
	struct kmem_cache *s;

	start_here();
	s = kmem_cache_create("checked", 256, 0, SLAB_POISON | SLAB_RED_ZONE,
			      NULL);
	CHECK(s);
	exhaust();
	CHECK_FAILS(__kmalloc_cache_noprof(s, QUIET, 200), ENOMEM);
	give_back();
	kmem_cache_destroy(s);
}

/* Growth fails, and the block is as before; what shrinks stays where it is. */
static void realloc_to(size_t from, size_t to)
{
	char *p, *q;

	start_here();
	p = knuma_malloc(from);
	CHECK(p);
	pattern_fill(p, from, 5);
	exhaust();
	errno = 4711;
	q = knuma_realloc(p, to);
	if (to > from) {
		CHECK_EQ(q, NULL);
		CHECK_EQ(errno, ENOMEM);
	} else {
		/* checks knuma_realloc: "A smaller size does not fail" */
		CHECK_EQ(q, p);
		CHECK_EQ(errno, 4711);
	}
	CHECK(pattern_holds(p, to > from ? from : to, 5));
	knuma_free(p);
	give_back();
}

static void an_object_that_cannot_grow(void)
{
	realloc_to(64, 200);
}

static void a_run_that_cannot_grow(void)
{
	realloc_to(20000, 200000);
}

static void an_object_shrinks_without_memory(void)
{
	realloc_to(8192, 200);
}

static void a_run_shrinks_without_memory(void)
{
	realloc_to(100000, 200);
}

static void an_area_shrinks_without_memory(void)
{
	realloc_to(10 << 20, 200);
}

static void interleaved_memory_on_one_node(void)
{
	static const int one[] = {0}, two[] = {0, 1};

	conf("fake_nodes", "2");
	start_here();
	exhaust();
	CHECK_FAILS(knuma_vmalloc_interleave(100000, one, 1), ENOMEM);
	CHECK_FAILS(knuma_vmalloc_interleave(100000, two, 2), ENOMEM);
	give_back();
}

/* The pairs give what their allocator does; the pool has its reserve. */
static void is_served_by_its_reserve(mempool_t *pool)
{
	void *p[3];

	CHECK(pool);
	for (int i = 0; i < 2; i++) {
		p[i] = mempool_alloc(pool, GFP_NOWAIT);
		CHECK(p[i]);
	}
	CHECK_FAILS(mempool_alloc(pool, GFP_NOWAIT), ENOMEM);
	mempool_free(p[0], pool);
	p[2] = mempool_alloc(pool, GFP_NOWAIT);
	CHECK_EQ(p[2], p[0]);
	mempool_free(p[1], pool);
	mempool_free(p[2], pool);
	give_back();
	mempool_destroy(pool);
}

static void a_pool_of_a_size(void)
{
	mempool_t *pool;

	start_here();
	pool = mempool_create_kmalloc_pool(2, 200);
	exhaust();
	is_served_by_its_reserve(pool);
}

static void a_pool_of_a_cache(void)
{
	struct kmem_cache *s;
	mempool_t *pool;
	void *rest = NULL, *p;

	start_here();
	s = kmem_cache_create("pooled", 256, 0, SLAB_NO_MERGE, NULL);
	CHECK(s);
	pool = mempool_create_slab_pool(2, s);
	exhaust();
	while ((p = kmem_cache_alloc(s, QUIET))) {
		*(void **)p = rest;
		rest = p;
	}
	is_served_by_its_reserve(pool);
	while ((p = rest)) {
		rest = *(void **)p;
		kmem_cache_free(s, p);
	}
	kmem_cache_destroy(s);
}

static void a_pool_of_either(void)
{
	mempool_t *pool;

	start_here();
	pool = mempool_create_kvmalloc_pool(2, 100000);
	exhaust();
	is_served_by_its_reserve(pool);
}

/* Magazines that are not looked into: fewer guards, and no fewer objects. */
static void *(*real_mmap)(void *addr, size_t len, int prot, int flags);
static int refused;

static void *no_table(void *addr, size_t len, int prot, int flags)
{
	if (len !=
	    KN_ALIGN_UP((size_t)kn_topo.nr_nodes * KN_NR_IDS * sizeof(uint32_t),
			KN_PAGE_SIZE))
		return real_mmap(addr, len, prot, flags);
	refused++;
	return (void *)-ENOMEM;
}

static void no_table_for_looks(void)
{
	void *p[1000];

	conf("guard_sample", "10");
	conf("guard_metadata", "no");
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = no_table;
	start_here();
	for (int i = 0; i < 1000; i++) {
		p[i] = kmalloc(100, GFP_KERNEL);
		CHECK(p[i]);
		pattern_fill(p[i], 100, (uint64_t)i);
	}
	CHECK(refused > 0);
	for (int i = 0; i < 1000; i++) {
		CHECK(pattern_holds(p[i], 100, (uint64_t)i));
		kfree(p[i]);
	}
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(no_class_has_any),
		child_test(a_constant_size_of_a_cache_is_refused),
		child_test(one_of_a_cache_that_is_checked),
		child_test(an_object_that_cannot_grow),
		child_test(a_run_that_cannot_grow),
		child_test(an_object_shrinks_without_memory),
		child_test(a_run_shrinks_without_memory),
		child_test(an_area_shrinks_without_memory),
		child_test(interleaved_memory_on_one_node),
		child_test(a_pool_of_a_size),
		child_test(a_pool_of_a_cache),
		child_test(a_pool_of_either),
		child_test(no_table_for_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
