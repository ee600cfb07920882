/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setting sample_bytes: who is sampled, what it weighs, and that the free of
 * each is reported once.  A tracer is a number in the semaphore of the probe.
 */
#include <knuma/linux/rcupdate.h>

#include <knuma/knuma.h>

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <knuma/malloc.h>

#include "alloc/account/ext.h"
#include "alloc/magazine/magazine.h"
#include "alloc/slab/remember.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

static uint64_t allocs, frees;

static void start_with(const char *bytes)
{
	conf("sample_bytes", bytes);
	start_here();
	otel_memory_alloc_semaphore = 1;
	allocs = stat_of("sampled_allocs");
	frees = stat_of("sampled_frees");
}

/* Since the last call so many were reported. */
static void reported(uint64_t more_allocs, uint64_t more_frees)
{
	CHECK_EQ(stat_of("sampled_allocs"), allocs + more_allocs);
	CHECK_EQ(stat_of("sampled_frees"), frees + more_frees);
	allocs += more_allocs;
	frees += more_frees;
}

/* @p was just allocated, and is sampled. */
static void *sampled(void *p)
{
	uint64_t bytes;

	CHECK(p);
	reported(1, 0);
	CHECK(kn_load(kn_ext_slot(p, &bytes)) & KN_EXT_SAMPLED);
	return p;
}

/*
 * With a point at each byte of 64 and more, one that is not sampled has a
 * probability below 1e-27.
 */
static void objects_are_sampled_by_each_way(void)
{
	void *p;

	start_with("1");
	for (size_t n = 64; n <= 3 * KMALLOC_MAX_CACHE_SIZE; n += n / 3 + 1) {
		p = sampled(kmalloc(n, GFP_KERNEL));
		CHECK(ksize(p) >= n && ksize(p) == kmalloc_size_roundup(n));
		kfree(p);
		reported(0, 1);
		p = sampled(knuma_malloc(n));
		CHECK(!((uintptr_t)p % 16));
		knuma_free(p);
		reported(0, 1);
	}
	p = sampled(kzalloc_node(100, GFP_KERNEL, 0));
	CHECK(all_bytes(p, 100, 0));
	kfree_sensitive(p);
	reported(0, 1);
	p = sampled(knuma_calloc(10, 10));
	CHECK(all_bytes(p, 100, 0));
	p = knuma_realloc(p, 5000);
	reported(1, 1);
	knuma_free(p);
	reported(0, 1);
	p = sampled(knuma_memalign(4096, 100));
	CHECK(!((uintptr_t)p % 4096));
	knuma_free(p);
	reported(0, 1);
	p = sampled(kmalloc(64, GFP_NOWAIT));
	p = krealloc(p, 60, GFP_KERNEL);
	reported(0, 0);
	p = krealloc(p, 1000, GFP_KERNEL);
	reported(1, 1);
	CHECK_EQ(krealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	reported(0, 1);
	heap_verify();
}

static void pages_and_areas_are_sampled(void)
{
	const size_t page = knuma_page_size();
	struct page *block;
	void *p;

	start_with("1");
	block = alloc_pages(GFP_KERNEL, 3);
	sampled(page_address(block));
	__free_pages(block, 3);
	reported(0, 1);
	p = sampled((void *)get_zeroed_page(GFP_KERNEL));
	free_page((unsigned long)p);
	reported(0, 1);
	p = sampled(alloc_pages_exact(3 * page, GFP_KERNEL));
	free_pages_exact(p, 3 * page);
	reported(0, 1);
	p = sampled(vmalloc(page + 1));
	vfree(p);
	reported(0, 1);
	p = sampled(kvmalloc(5 * MIB, GFP_KERNEL));
	kvfree(p);
	reported(0, 1);
	p = sampled(knuma_malloc(5 * MIB));
	knuma_free(p);
	reported(0, 1);
	heap_verify();
}

static void areas_that_change_are_freed_and_allocated(void)
{
	char *p;

	start_with("1");
	p = sampled(kvmalloc(MIB, GFP_KERNEL));
	pattern_fill(p, MIB, 1);
	p = kvrealloc(p, 3 * MIB, GFP_KERNEL);
	reported(1, 1);
	p = kvrealloc(p, 2 * MIB, GFP_KERNEL);
	reported(1, 1);
	CHECK(pattern_holds(p, MIB, 1));
	otel_memory_alloc_semaphore = 0;
	p = kvrealloc(p, 4 * MIB, GFP_KERNEL);
	reported(0, 1);
	otel_memory_alloc_semaphore = 1;
	p = kvrealloc(p, 5 * MIB, GFP_KERNEL);
	reported(1, 0);
	kvfree(p);
	reported(0, 1);
	p = knuma_malloc(5 * MIB);
	p = knuma_realloc(launder(p), 50 * MIB);
	reported(2, 1);
	knuma_free(p);
	reported(0, 1);
	heap_verify();
}

/* An area over several nodes stays as it is. */
static void what_cannot_change_is_allocated_again(void)
{
	const int nodes[] = {0, 1};
	char *p, *same;

	conf("fake_nodes", "2");
	start_with("1");
	p = sampled(knuma_vmalloc_interleave(4 * MIB, nodes, 2));
	same = vrealloc(p, MIB, GFP_KERNEL);
	CHECK_EQ(same, p);
	reported(1, 1);
	vfree(p);
	reported(0, 1);
	heap_verify();
}

static void caches_and_bulk_are_sampled(void)
{
	struct kmem_cache *s;
	void *obj[100];

	start_with("1");
	s = kmem_cache_create("sampled", 100, 0, 0, NULL);
	kmem_cache_free(s, sampled(kmem_cache_alloc(s, GFP_KERNEL)));
	reported(0, 1);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 100, obj), 100);
	reported(100, 0);
	kmem_cache_free_bulk(s, 100, obj);
	reported(0, 100);
	for (int i = 0; i < 100; i++)
		obj[i] = sampled(kmalloc(200, GFP_KERNEL));
	kfree_bulk(100, obj);
	reported(0, 100);
	kmem_cache_destroy(s);
	heap_verify();
}

struct late {
	char bytes[200];
	struct rcu_head rcu;
};

static void deferred_frees_are_reported_when_they_are_done(void)
{
	struct late *p;

	rcu_register_thread();
	start_with("1");
	for (int i = 0; i < 1000; i++) {
		p = kmalloc(sizeof(*p), GFP_KERNEL);
		CHECK(p);
		kfree_rcu(p, rcu);
	}
	kvfree_rcu_barrier();
	CHECK(stat_of("sampled_allocs") - allocs >= 1000);
	CHECK_EQ(stat_of("sampled_frees") - frees,
		 stat_of("sampled_allocs") - allocs);
	rcu_unregister_thread();
	heap_verify();
}

static void nobody_attached_nothing_sampled(void)
{
	void *p;

	start_with("1");
	otel_memory_alloc_semaphore = 0;
	p = kmalloc(1000, GFP_KERNEL);
	CHECK(p);
	kfree(p);
	p = vmalloc(MIB);
	CHECK(p);
	/* Who attaches later hears of nothing that was there before. */
	otel_memory_alloc_semaphore = 1;
	vfree(p);
	reported(0, 0);
	/* Who leaves: marks stay, and the free takes them. */
	p = sampled(kmalloc(1000, GFP_KERNEL));
	otel_memory_alloc_semaphore = 0;
	kfree(p);
	reported(0, 1);
}

/* Magazines serve as without; with a tracer each allocation is asked. */
static void nobody_attached_little_cost(void)
{
	uint64_t slow;

	start_with("1M");
	if (kn_mag_mode != KN_MAG_RSEQ)
		skip_child("no sections here");
	kfree(kmalloc(200, GFP_KERNEL));
	otel_memory_alloc_semaphore = 0;
	slow = stat_of("alloc_slow");
	for (int i = 0; i < 1000; i++)
		kfree(kmalloc(200, GFP_KERNEL));
	/* A section may be interrupted. */
	CHECK(stat_of("alloc_slow") - slow < 500);
	otel_memory_alloc_semaphore = 1;
	slow = stat_of("alloc_slow");
	for (int i = 0; i < 1000; i++)
		kfree(kmalloc(200, GFP_KERNEL));
	CHECK_EQ(stat_of("alloc_slow") - slow, 1000);
}

static void off_is_off(void)
{
	start_with("0");
	kfree(kmalloc(1000, GFP_KERNEL));
	vfree(vmalloc(MIB));
	knuma_free(launder(knuma_malloc(100)));
	reported(0, 0);
	CHECK_EQ(stat_of("sampled_lost"), 0);
}

/* size / (1 - exp(-size / 512 KiB)), computed elsewhere. */
static void weights_are_unbiased(void)
{
	static const struct {
		uint64_t size, weight;
	} rows[] = {
		{1, 524289},	    {64, 524320},	  {4096, 526339},
		{100000, 575876},   {262144, 666237},	  {262145, 666238},
		{300000, 688516},   {524288, 829411},	  {1048576, 1212697},
		{4194304, 4195712}, {33554432, 33554432}, {67108864, 67108864},
	};

	start_with("512K");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_EQ(kn_sample_weight(rows[i].size), rows[i].weight);
}

/*
 * Of 200,000 objects of 64 bytes 1 - exp(-1/16) are sampled, 12,117 with a
 * standard deviation of 107: ten of them are met once in 10^23 runs.
 */
static void as_many_are_sampled_as_the_weights_say(void)
{
	uint64_t n, bytes;

	start_with("1K");
	for (int i = 0; i < 200000; i++)
		kfree(launder(kmalloc(64, GFP_KERNEL)));
	n = stat_of("sampled_allocs") - allocs;
	CHECK(n > 12117 - 1070 && n < 12117 + 1070);
	CHECK_EQ(stat_of("sampled_frees") - frees, n);
	/* Their weights add up to what was allocated. */
	bytes = n * kn_sample_weight(64);
	CHECK(bytes > 12800000 * 9 / 10 && bytes < 12800000u / 10 * 11);
}

enum {
	THREADS = 4,
	ROUNDS = 20000,
	PLACES = 64,
};

static void *places[PLACES];

static void *exchange(void *arg)
{
	uintptr_t seed = (uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		size_t size;
		void *p;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size = 1 + (seed >> 33) % (i % 16 ? 500 : 100000);
		p = kvmalloc(size, GFP_KERNEL);
		CHECK(p);
		p = __atomic_exchange_n(&places[seed >> 58], p,
					__ATOMIC_ACQ_REL);
		kvfree(p);
	}
	return NULL;
}

static void whoever_frees_it_is_reported_once(void)
{
	pthread_t thread[THREADS];

	conf("sample_bytes", "1K");
	start_quiet();
	otel_memory_alloc_semaphore = 1;
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, exchange,
				      (void *)(i + 1)));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < PLACES; i++)
		kvfree(places[i]);
	CHECK(stat_of("sampled_allocs") > THREADS * ROUNDS / 20);
	CHECK_EQ(stat_of("sampled_frees"), stat_of("sampled_allocs"));
	heap_verify();
}

/* Without memory for a slab that remembers, what is there is given. */
static void what_cannot_be_remembered_is_given_all_the_same(void)
{
	void *p;

	start_with("1");
	otel_memory_alloc_semaphore = 0;
	kfree(launder(kmalloc(1000, GFP_KERNEL)));
	faults_install();
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	while (alloc_pages(GFP_NOWAIT | __GFP_NOWARN, 0))
		;
	otel_memory_alloc_semaphore = 1;
	p = kmalloc(1000, GFP_NOWAIT | __GFP_NOWARN);
	CHECK(p);
	reported(0, 0);
	CHECK_EQ(stat_of("sampled_lost"), 1);
	kfree(p);
	reported(0, 0);
}

static void sampled_and_freed(void)
{
	start_with("1");
	for (int i = 0; i < 100; i++) {
		void *p = sampled(kzalloc(100, GFP_KERNEL));

		CHECK(all_bytes(p, 100, 0));
		memset(p, 1, 100);
		kfree(p);
		reported(0, 1);
	}
	heap_verify();
}

static void guarded_objects_are_others(void)
{
	conf("guard_sample", "1");
	sampled_and_freed();
	/* The one that started the heap, before anybody was attached. */
	CHECK_EQ(stat_of("guarded_allocs"), 1);
}

static void debugged_objects_are_sampled(void)
{
	conf("slab_debug", "FZPU");
	sampled_and_freed();
}

static void hardened_objects_are_sampled(void)
{
	conf("secure", "yes");
	sampled_and_freed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(objects_are_sampled_by_each_way),
		child_test(pages_and_areas_are_sampled),
		child_test(areas_that_change_are_freed_and_allocated),
		child_test(what_cannot_change_is_allocated_again),
		child_test(caches_and_bulk_are_sampled),
		child_test(deferred_frees_are_reported_when_they_are_done),
		child_test(nobody_attached_nothing_sampled),
		child_test(nobody_attached_little_cost),
		child_test(off_is_off),
		child_test(weights_are_unbiased),
		child_test(as_many_are_sampled_as_the_weights_say),
		child_test(whoever_frees_it_is_reported_once),
		child_test(what_cannot_be_remembered_is_given_all_the_same),
		child_test(guarded_objects_are_others),
		child_test(debugged_objects_are_sampled),
		child_test(hardened_objects_are_sampled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
