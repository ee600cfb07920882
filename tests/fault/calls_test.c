/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th system call fails, for every n until none is reached: each in a
 * process of its own, from the library's start to the end of all it does.  A
 * call then gives NULL and ENOMEM, or has another way; nothing crashes, what
 * was handed out keeps its content, and the heap passes its checks.
 */
#include <stdio.h>
#include <string.h>

#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/base/start.h"
#include "alloc/magazine/magazine.h"
#include "numa/topology.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

/* What the next child does; the child inherits it. */
static struct {
	enum fault_call call;
	uint64_t nth, times;
	int err;
	int nodes;
	bool locked, old_guards;
} plan;

#define MADV_GUARD_INSTALL 102

struct memory {
	char *at;
	size_t size;
};

static const size_t small[] = {8, 40, 100, 500, 1024, 2000, 5000, 8192};
static const size_t large[] = {8193, 20000, 100000};
static const size_t areas[] = {1, 10000, 100000};

static struct memory live[4000];
static size_t nr_live;

/* A machine whose files cannot be read is one node. */
static bool unread_nodes(void)
{
	return kn_topo.nr_nodes < plan.nodes;
}

/* An allocation that failed says so; one that did not can be written. */
static void *took(void *p, size_t size)
{
	if (!p) {
		CHECK(errno == ENOMEM || (errno == EINVAL && unread_nodes()));
		errno = 0;
		return NULL;
	}
	live[nr_live] = (struct memory){p, size};
	/* Every page: a guard or a hole inside would fault. */
	for (size_t at = 0; at < size; at += 4096)
		live[nr_live].at[at] = (char)nr_live;
	live[nr_live].at[size - 1] = (char)nr_live;
	nr_live++;
	return p;
}

static void check_live(void)
{
	for (size_t i = 0; i < nr_live; i++) {
		const struct memory *m = &live[i];

		for (size_t at = 0; at < m->size; at += 4096)
			CHECK_EQ(m->at[at], (char)i);
		CHECK_EQ(m->at[m->size - 1], (char)i);
	}
}

static void free_from(size_t first)
{
	for (size_t i = first; i < nr_live; i++)
		if (live[i].at)
			kvfree(live[i].at);
	nr_live = first;
}

static void objects(void)
{
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		for (int k = 0; k < 40; k++)
			took(kmalloc(small[i], GFP_KERNEL | __GFP_NOWARN),
			     small[i]);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		for (int k = 0; k < 2; k++)
			took(kmalloc_node(large[i], GFP_KERNEL | __GFP_NOWARN,
					  k % plan.nodes),
			     large[i]);
	for (int k = 0; k < 50; k++)
		took(knuma_malloc(3000), 3000);
}

static void areas_of_all_sizes(void)
{
	for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		for (int k = 0; k < 2; k++)
			took(__vmalloc_node(areas[i], 1,
					    GFP_KERNEL | __GFP_NOWARN,
					    k % plan.nodes, NULL),
			     areas[i]);
}

/* In the part that asks for huge pages; two pages of it are used. */
static void a_large_area(void)
{
	char *p = __vmalloc(2 * MIB + 5000, GFP_KERNEL | __GFP_NOWARN);

	if (!p) {
		CHECK_EQ(errno, ENOMEM);
		return;
	}
	p[2 * MIB + 4999] = 1;
	vfree(p);
}

static void construct(void *obj)
{
	memset(obj, 0x11, 200);
}

static void a_cache(void (*ctor)(void *))
{
	struct kmem_cache *s =
		kmem_cache_create("fault", 200, 0, SLAB_HWCACHE_ALIGN, ctor);
	void *p[300];
	int n;

	if (!s) {
		CHECK_EQ(errno, ENOMEM);
		return;
	}
	n = kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_NOWARN, 300, p);
	CHECK(n == 300 || (n == 0 && errno == ENOMEM));
	for (int i = 0; ctor && i < n; i++)
		CHECK(all_bytes(p[i], 200, 0x11));
	kmem_cache_free_bulk(s, (size_t)n, p);
	for (int i = 0; i < 100; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOWARN);
	for (int i = 0; i < 100; i++)
		kmem_cache_free(s, p[i]);
	kmem_cache_shrink(s);
	kmem_cache_destroy(s);
}

static void blocks(void)
{
	struct page *page[MAX_PAGE_ORDER + 1];
	char *exact = alloc_pages_exact(50000, GFP_KERNEL | __GFP_NOWARN);

	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		page[order] = alloc_pages_node((int)order % plan.nodes,
					       GFP_KERNEL | __GFP_NOWARN,
					       order);
		CHECK(page[order] || errno == ENOMEM || unread_nodes());
		if (page[order])
			memset(page_address(page[order]), 1, 100);
	}
	if (exact)
		memset(exact, 2, 50000);
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++)
		__free_pages(page[order], order);
	free_pages_exact(exact, 50000);
}

/* An area that was made executable must be plain memory for the next owner. */
static void executable(void)
{
	char *p = vmalloc_exec(20000);
	int err;

	if (!p)
		return;
	memset(p, 3, 20000);
	err = set_memory_rox((unsigned long)p, 5);
	CHECK(err <= 0);
	if (!err)
		CHECK(all_bytes(p, 20000, 3));
	err = set_memory_rw((unsigned long)p, 5);
	vfree(p);
}

static void everything(void)
{
	const size_t before = nr_live;

	objects();
	executable();
	areas_of_all_sizes();
	a_large_area();
	check_live();
	blocks();
	/* Room for areas of other sizes, with other guards. */
	free_from(before + (nr_live - before) / 2);
	for (size_t size = 90000; size < 120000; size += 4096)
		took(vmalloc(size), size);
	executable();
	a_cache(NULL);
	(void)!knuma_trim();
	a_cache(construct);
	objects();
	areas_of_all_sizes();
	check_live();
	(void)!knuma_trim();
	check_live();
}

static bool machine_of(int nodes)
{
	conf("background", "no");
	conf("trim_delay_ms", "0");
	conf("vmalloc_cache", "16M");
	if (plan.locked)
		conf("lock_memory", "yes");
	if (nodes > 1)
		fake_nodes(nodes);
	faults_install();
	if (plan.old_guards)
		faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	faults_fail(plan.call, plan.nth, plan.times, plan.err);
	return true;
}

/* A start that failed is tried again by the next call. */
static bool start(void)
{
	for (int i = 0; i < 5; i++) {
		void *p;

		errno = 0;
		p = kmalloc(100, GFP_KERNEL | __GFP_NOWARN);
		CHECK(p || errno == ENOMEM);
		kfree(p);
		if (p)
			return true;
	}
	return false;
}

static void scenario(void)
{
	bool started;

	machine_of(plan.nodes);
	started = start();
	if (started) {
		everything();
		heap_verify();
	} else {
		CHECK_EQ(plan.times, FAULTS_FOR_EVER);
		if (!kn_started)
			CHECK_HAS(printed(), "knuma: ");
	}
	if (!faults_failed())
		dprintf(2, "NOT REACHED\n");
	/* When the trouble is over, the heap is as good as any. */
	faults_fail(plan.call, 0, 0, 0);
	CHECK(started || start());
	if (plan.times > 1) {
		everything();
		CHECK(nr_live > 500);
	}
	for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		CHECK(took(vmalloc(areas[i]), areas[i]));
	check_live();
	free_from(0);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("double_free") + stat_of("invalid_free"), 0);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
	/* Arrays that were closed for good keep what is in them. */
	if (kn_mag_mode != KN_MAG_DEPOT)
		CHECK_EQ(stat_of("allocated_bytes"), 0);
	heap_verify();
}

/* All n, one process each; early ones densely, as the start is there. */
static void every_n(enum fault_call call, uint64_t times, int err)
{
	struct child c;
	uint64_t n = 1;

	plan.call = call;
	plan.times = times;
	plan.err = err;
	if (!plan.nodes)
		plan.nodes = 1;
	for (; n < 5000; n += 1 + n / 30) {
		plan.nth = n;
		child_run(scenario, &c);
		if (!child_passed(&c))
			fail_msg(
				"%s number %llu%s failed with %d: status %#x\n%s",
				fault_name(call), (unsigned long long)n,
				times == 1 ? "" : " and all after it", err,
				c.status, c.text);
		if (strstr(c.text, "NOT REACHED"))
			break;
	}
	print_message("%s: %llu\n", fault_name(call), (unsigned long long)n);
	assert_true(n < 5000);
}

static void plain(void **state)
{
	(void)state;
	memset(&plan, 0, sizeof(plan));
}

static void mmap_fails(void **state)
{
	plain(state);
	every_n(FAULT_MMAP, 1, ENOMEM);
	every_n(FAULT_MMAP, FAULTS_FOR_EVER, ENOMEM);
}

static void mprotect_fails(void **state)
{
	plain(state);
	every_n(FAULT_MPROTECT, 1, ENOMEM);
	every_n(FAULT_MPROTECT, FAULTS_FOR_EVER, ENOMEM);
}

static void mprotect_fails_with_old_guards(void **state)
{
	plain(state);
	plan.old_guards = true;
	every_n(FAULT_MPROTECT, 1, ENOMEM);
	every_n(FAULT_MPROTECT, FAULTS_FOR_EVER, ENOMEM);
}

static void madvise_fails(void **state)
{
	plain(state);
	every_n(FAULT_MADVISE, 1, EINVAL);
	every_n(FAULT_MADVISE, 1, ENOMEM);
	every_n(FAULT_MADVISE, FAULTS_FOR_EVER, EPERM);
}

static void munmap_fails(void **state)
{
	plain(state);
	every_n(FAULT_MUNMAP, 1, ENOMEM);
	every_n(FAULT_MUNMAP, FAULTS_FOR_EVER, ENOMEM);
}

static void mlock_fails(void **state)
{
	plain(state);
	plan.locked = true;
	every_n(FAULT_MLOCK, 1, ENOMEM);
	every_n(FAULT_MLOCK, FAULTS_FOR_EVER, EPERM);
}

static void mbind_fails(void **state)
{
	plain(state);
	plan.nodes = 3;
	every_n(FAULT_MBIND, 1, ENOMEM);
	every_n(FAULT_MBIND, FAULTS_FOR_EVER, EPERM);
}

static void membarrier_fails(void **state)
{
	plain(state);
	every_n(FAULT_MEMBARRIER, 1, EPERM);
	every_n(FAULT_MEMBARRIER, FAULTS_FOR_EVER, EPERM);
}

static void read_file_fails(void **state)
{
	plain(state);
	every_n(FAULT_READ_FILE, 1, EACCES);
	plan.nodes = 3;
	every_n(FAULT_READ_FILE, 1, EACCES);
	every_n(FAULT_READ_FILE, FAULTS_FOR_EVER, EACCES);
}

static void anything_fails(void **state)
{
	plain(state);
	every_n(FAULT_ANY, 1, ENOMEM);
	plan.nodes = 3;
	every_n(FAULT_ANY, 2, ENOMEM);
	every_n(FAULT_ANY, FAULTS_FOR_EVER, ENOMEM);
}

/* Tables that a failed start has made are not counted twice. */
static void many_starts(void)
{
	machine_of(1);
	for (int i = 0; i < 20; i++) {
		void *p;

		faults_fail(FAULT_ANY, plan.nth, FAULTS_FOR_EVER, ENOMEM);
		p = kmalloc(100, GFP_KERNEL | __GFP_NOWARN);
		if (p)
			dprintf(2, "NOT REACHED\n");
		kfree(p);
		faults_fail(FAULT_ANY, 0, 0, 0);
	}
	everything();
	CHECK(nr_live > 500);
	free_from(0);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	heap_verify();
}

static void a_start_that_fails_again_and_again(void **state)
{
	struct child c;
	int n = 1;

	plain(state);
	plan.nodes = 1;
	for (; n < 200; n++) {
		plan.nth = (uint64_t)n;
		child_run(many_starts, &c);
		if (!child_passed(&c))
			fail_msg("call %d: status %#x\n%s", n, c.status,
				 c.text);
		if (strstr(c.text, "NOT REACHED"))
			break;
	}
	assert_true(n < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mmap_fails),
		cmocka_unit_test(mprotect_fails),
		cmocka_unit_test(mprotect_fails_with_old_guards),
		cmocka_unit_test(madvise_fails),
		cmocka_unit_test(munmap_fails),
		cmocka_unit_test(mlock_fails),
		cmocka_unit_test(mbind_fails),
		cmocka_unit_test(membarrier_fails),
		cmocka_unit_test(read_file_fails),
		cmocka_unit_test(anything_fails),
		cmocka_unit_test(a_start_that_fails_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
