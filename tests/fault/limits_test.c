/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes with limits: little address space, no overcommit, no locked memory,
 * few mappings.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/base/start.h"
#include "alloc/slab/cache.h"
#include "numa/machine.h"
#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static uint64_t address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%lu", &pages) == 1);
	fclose(f);
	return pages * (uint64_t)knuma_page_size();
}

/* @bytes more of address space than the process has now. */
static void limit_address_space(uint64_t bytes)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (TEST_SANITIZED)
		skip_child("the sanitizer has taken the address space");
	limit.rlim_cur = address_space() + bytes;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

/* What a program of a few megabytes asks for. */
static void modest_work(void)
{
	static void *p[2000];
	char *area, *large;

	for (size_t i = 0; i < 2000; i++) {
		p[i] = kmalloc(i % 1000 + 1, GFP_KERNEL);
		CHECK(p[i]);
		pattern_fill(p[i], i % 1000 + 1, i);
	}
	area = vmalloc(MIB);
	large = kmalloc(MIB, GFP_KERNEL);
	CHECK(area && large);
	memset(area, 1, MIB);
	memset(large, 2, MIB);
	for (size_t i = 0; i < 2000; i++) {
		CHECK(pattern_holds(p[i], i % 1000 + 1, i));
		kfree(p[i]);
	}
	vfree(area);
	kfree(large);
	CHECK_EQ(knuma_trim(), 0);
	heap_verify();
}

static void a_gigabyte_of_address_space(void)
{
	limit_address_space(GIB);
	modest_work();
	/* Nearly all is left for the rest of the process, or some. */
	CHECK_EQ(kn_span.by_steps, kn_topo.nr_nodes == 1);
	CHECK(mmap(NULL, kn_span.by_steps ? GIB / 4 * 3 : 64 * MIB, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0) != MAP_FAILED);
	CHECK_EQ(printed_times("cannot reserve"), 0);
}

/* As many objects of @size as there can be, which are then freed; how many. */
static size_t fill_up(size_t size)
{
	static void *p[2048];
	size_t n = 0;

	while (n < 2048 && (p[n] = knuma_malloc(size))) {
		pattern_fill(p[n], 64, n);
		n++;
	}
	CHECK(n == 2048 || errno == ENOMEM);
	for (size_t i = 0; i < n; i++) {
		CHECK(pattern_holds(p[i], 64, i));
		knuma_free(p[i]);
	}
	return n;
}

/*
 * Nothing is set aside for one size: what is freed is for all others, and for
 * the program's own mappings.
 */
static void a_limit_is_for_objects_of_any_size(void)
{
	void *p;

	fake_nodes(1);
	conf("huge_pages", "no");
	limit_address_space(GIB);
	for (int round = 0; round < 2; round++) {
		CHECK(fill_up(MIB) >= 700);
		CHECK(fill_up(5 * MIB) >= 110);
		CHECK_EQ(fill_up(200 << 10), 2048);
		CHECK(fill_up(3 * MIB / 2) >= 450);
	}
	heap_verify();
	CHECK(stat_of("unmapped_bytes") > GIB);
	CHECK_EQ(knuma_trim(), 0);
	p = mmap(NULL, GIB / 4 * 3, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(munmap(p, GIB / 4 * 3), 0);
	modest_work();
}

/* A thread that found no room: the heap is asked for some. */
bool knuma_thread_refused(void) __asm__("knuma_thread_refused");

static void what_is_free_makes_room_for_a_thread(void)
{
	fake_nodes(1);
	conf("huge_pages", "no");
	conf("background", "no");
	CHECK(!knuma_thread_refused()); /* nothing has started */
	limit_address_space(GIB);
	CHECK(fill_up(MIB) >= 700);
	CHECK(knuma_thread_refused());
	CHECK(!knuma_thread_refused());
	heap_verify();
}

/* A quarter more is not to be had: what was asked for is. */
static void an_area_grows_to_the_limit(void)
{
	const size_t step = 4 * MIB;
	size_t size = step;
	char *p, *q;

	fake_nodes(1);
	limit_address_space(GIB);
	p = knuma_malloc(size);
	CHECK(p);
	pattern_fill(p, MIB, 1);
	while ((q = knuma_realloc(p, size + step))) {
		p = q;
		size += step;
		CHECK(pattern_holds(p, MIB, 1));
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK(size >= 48 * MIB && size <= GIB);
	CHECK(pattern_holds(p, MIB, 1));
	knuma_free(p);
	heap_verify();
}

static uint64_t this_much;

/* One node: with several, each needs a window of 64 MiB at least. */
static void work_in_this_much(void)
{
	fake_nodes(1);
	limit_address_space(this_much);
	modest_work();
	CHECK_EQ(strlen(printed()), 0);
}

static void less_and_less_address_space(void)
{
	struct child c;

	for (this_much = 20000 * GIB; this_much >= 48 * MIB;
	     this_much = this_much / 3 * 2) {
		child_run(work_in_this_much, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, "passed");
	}
}

static void count_named(struct kmem_cache *s, void *arg)
{
	uint32_t *nr = arg;

	nr[0]++;
	nr[1] += !strcmp(s->name, "kmalloc-64");
}

/* Caches, and those of them that are called kmalloc-64. */
static void check_caches(bool there)
{
	uint32_t nr[2] = {0, 0}, ids = 0;

	kn_cache_each(count_named, nr);
	for (uint32_t id = KN_ID_FIRST_CACHE; id < KN_NR_IDS; id++)
		ids += kn_magcaches[id] != NULL;
	CHECK_EQ(nr[0], ids);
	CHECK_EQ(nr[1], there);
	CHECK_EQ(ids != 0, there);
}

/* Too little even for the smallest heap: one message, NULL, and no crash. */
static void too_little_address_space(void)
{
	limit_address_space(MIB / 8);
	CHECK_FAILS(kmalloc(10, GFP_KERNEL), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 1);
	CHECK_EQ(printed_times("ulimit -v"), 1);
	CHECK_FAILS(knuma_malloc(10), ENOMEM);
	CHECK_FAILS(vmalloc(10), ENOMEM);
	CHECK_FAILS(kvmalloc(100000, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(alloc_pages(GFP_KERNEL, 0), ENOMEM);
	CHECK_FAILS(kmem_cache_create("none", 10, 0, 0, NULL), ENOMEM);
	CHECK_FAILS(kmalloc(10, GFP_NOWAIT), ENOMEM);
	CHECK(kn_load(&kn_started) == false);
	kfree(NULL);
	vfree(NULL);
	CHECK_EQ(stat_of("slab_new"), 0);
	check_caches(false);
	/* With the limit gone, the next call starts it. */
	limit_address_space(200 * GIB);
	modest_work();
}

static uint64_t refused_from;

/* From this mapping on, and then no longer.  Tables of many nodes are several. */
static void a_start_without_mappings(void)
{
	fake_nodes(8);
	faults_install();
	faults_fail(FAULT_MMAP, refused_from, FAULTS_FOR_EVER, ENOMEM);
	if (kmalloc(10, GFP_KERNEL)) {
		check_caches(true);
		puts("it has started");
		return;
	}
	check_caches(false);
	CHECK_EQ(printed_times("ulimit -v"), 1);
	faults_fail(FAULT_MMAP, 1, 0, ENOMEM);
	modest_work();
	check_caches(true);
}

/* A start that was refused anywhere leaves nothing to the next one. */
static void starts_that_are_refused(void)
{
	struct child c = {.text = ""};

	for (refused_from = 1; !strstr(c.text, "it has started");
	     refused_from++) {
		child_run(a_start_without_mappings, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, "passed");
		CHECK(refused_from < 100);
	}
	CHECK(refused_from > 5);
}

static void used_up_address_space(void)
{
	static char *area[4000];
	int n = 0;

	limit_address_space(GIB);
	while (n < 4000 && (area[n] = vmalloc(MIB))) {
		area[n][0] = 1;
		n++;
	}
	CHECK(n > 20 && n < 4000);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(printed_times("no address space or no memory"), 1);
	heap_verify();
	while (n--)
		vfree(area[n]);
	modest_work();
}

static void used_up_pages(void)
{
	static struct page *page[4000];
	int n = 0;

	limit_address_space(GIB);
	while (n < 4000 && (page[n] = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER)))
		n++;
	CHECK(n > 10 && n < 4000);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(printed_times("out of memory"), 1);
	/* Objects find no page either, and say so. */
	while (kmalloc(8192, GFP_KERNEL | __GFP_NOWARN))
		;
	CHECK_EQ(errno, ENOMEM);
	heap_verify();
	while (n--)
		__free_pages(page[n], MAX_PAGE_ORDER);
	heap_verify();
	CHECK(kmalloc(8192, GFP_KERNEL));
}

/* Nodes share what there is. */
static void many_nodes_in_little_address_space(void)
{
	fake_nodes(8);
	conf("background", "no");
	limit_address_space(3 * GIB);
	for (int node = 0; node < 8; node++) {
		void *p = kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, node);

		CHECK(p);
		kfree(p);
	}
	modest_work();
}

/* As with vm.overcommit_memory=2: large mappings are refused, small granted. */
static uint64_t largest;
static void *(*real_mmap)(void *, size_t, int, int);

static void *strict_mmap(void *addr, size_t len, int prot, int flags)
{
	return len > largest ? (void *)(intptr_t)-ENOMEM :
			       real_mmap(addr, len, prot, flags);
}

static void limit_mmap(uint64_t bytes)
{
	largest = bytes;
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = strict_mmap;
}

static void large_mappings_are_refused(void)
{
	limit_mmap(20 * GIB);
	modest_work();
	CHECK(kn_span.size <= 16 * GIB);
	CHECK_EQ(strlen(printed()), 0);
}

static void all_but_small_mappings_are_refused(void)
{
	fake_nodes(1);
	limit_mmap(150 * MIB);
	modest_work();
	/* There is more for others: as much as half of it is granted, too. */
	CHECK_EQ(kn_span.size, 128 * MIB);
}

/* A limit that only the library knows of, where the sanitizers allow its place. */
static uint64_t a_gigabyte(void)
{
	return GIB;
}

static void pretend_a_limit(void)
{
	if (TEST_SANITIZED)
		skip_child("the sanitizer has taken the address space");
	fake_nodes(1);
	conf("huge_pages", "no");
	conf("background", "no");
	kn_machine.address_limit = a_gigabyte;
}

static int nr_taken;	 /* places that are not vacant */
static bool no_replace;	 /* the kernel knows MAP_FIXED_NOREPLACE */
static bool any_address; /* and otherwise takes no wishes */

static void *mmap_of_other_kernels(void *addr, size_t len, int prot, int flags)
{
	const bool fixed = flags & MAP_FIXED_NOREPLACE;

	if (fixed && prot == PROT_NONE && nr_taken) {
		nr_taken--;
		return (void *)(intptr_t)-EEXIST;
	}
	if (fixed && !no_replace)
		flags &= ~MAP_FIXED_NOREPLACE;
	if (fixed && any_address && prot != PROT_NONE)
		addr = NULL;
	return real_mmap(addr, len, prot, flags);
}

static void other_kernel(int taken, bool knows_no_replace)
{
	pretend_a_limit();
	nr_taken = taken;
	no_replace = knows_no_replace;
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = mmap_of_other_kernels;
}

static void a_place_that_is_taken_is_passed_over(void)
{
	other_kernel(3, true);
	modest_work();
	CHECK_EQ(nr_taken, 0);
	CHECK(kn_span.by_steps);
}

static void without_a_place_the_span_is_reserved(void)
{
	other_kernel(1000, true);
	modest_work();
	CHECK(!kn_span.by_steps);
	CHECK_EQ(stat_of("unmapped_bytes"), 0);
}

static void a_kernel_that_takes_addresses_as_wishes(void)
{
	other_kernel(0, false);
	modest_work();
	CHECK(kn_span.by_steps);
}

/* Somebody else has mapped where the heap would grow. */
static void a_step_that_lies_elsewhere_is_refused(void)
{
	other_kernel(0, false);
	modest_work();
	any_address = true;
	while (knuma_malloc(MIB))
		;
	CHECK_EQ(errno, ENOMEM);
	heap_verify();
	any_address = false;
	CHECK(knuma_malloc(MIB));
}

/* As above, and what lies elsewhere cannot go back either. */
static void a_step_that_stays_elsewhere_is_refused(void)
{
	other_kernel(0, false);
	faults_install();
	modest_work();
	any_address = true;
	faults_fail(FAULT_MUNMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	while (knuma_malloc(MIB))
		;
	CHECK_EQ(errno, ENOMEM);
	CHECK(faults_failed() > 0);
	heap_verify();
	any_address = false;
	CHECK(knuma_malloc(MIB));
}

/* What was mapped to see whether a place is vacant stays there. */
static void a_place_that_stays_mapped_is_passed_over(void)
{
	pretend_a_limit();
	faults_install();
	faults_fail(FAULT_MUNMAP, 1, 3, ENOMEM);
	modest_work();
	CHECK_EQ(faults_failed(), 3);
	CHECK(kn_span.by_steps);
}

static void without_a_place_that_goes_the_span_is_reserved(void)
{
	pretend_a_limit();
	faults_install();
	/* Eight places, and the map. */
	faults_fail(FAULT_MUNMAP, 1, 9, ENOMEM);
	modest_work();
	CHECK_EQ(faults_failed(), 9);
	CHECK(!kn_span.by_steps);
}

static uint64_t munmaps_refused;

static void a_start_by_steps_without_mappings(void)
{
	faults_install();
	faults_fail(FAULT_MMAP, refused_from, FAULTS_FOR_EVER, ENOMEM);
	/* The first tells that a place is vacant. */
	faults_fail(FAULT_MUNMAP, 2, munmaps_refused, ENOMEM);
	if (kmalloc(10, GFP_KERNEL)) {
		puts("it has started");
		return;
	}
	/* Or it has, and cannot grow. */
	CHECK_EQ(printed_times("ulimit -v"), !kn_load(&kn_started));
	faults_fail(FAULT_MMAP, 0, 0, 0);
	faults_fail(FAULT_MUNMAP, 0, 0, 0);
	/* In the same place, or where nothing is. */
	modest_work();
	CHECK(kn_span.by_steps);
}

static void each_start_by_steps(void)
{
	struct child c = {.text = ""};

	for (refused_from = 1; !strstr(c.text, "it has started");
	     refused_from++) {
		child_run(a_start_by_steps_without_mappings, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, "passed");
		CHECK(refused_from < 100);
	}
	CHECK(refused_from > 4);
}

static void starts_by_steps_that_are_refused(void)
{
	pretend_a_limit();
	each_start_by_steps();
	munmaps_refused = 2;
	each_start_by_steps();
}

/* Its ranges are mended as a whole, so they must be there. */
static void a_pool_of_huge_pages_needs_the_span(void)
{
	pretend_a_limit();
	conf("hugetlb", "yes");
	modest_work();
	CHECK(!kn_span.by_steps);
}

static void the_map_of_steps_is_refused(void)
{
	pretend_a_limit();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	modest_work();
	CHECK(!kn_span.by_steps);
}

/* What cannot be unmapped is free memory as before. */
static void nothing_can_be_unmapped(void)
{
	pretend_a_limit();
	faults_install();
	CHECK(fill_up(200 << 10) == 2048 && fill_up(MIB) == 2048);
	faults_fail(FAULT_MUNMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	knuma_trim();
	CHECK(faults_failed() >= 2);
	heap_verify();
	CHECK(fill_up(200 << 10) == 2048 && fill_up(MIB) == 2048);
	faults_fail(FAULT_MUNMAP, 0, 0, 0);
	CHECK_EQ(knuma_trim(), 0);
	CHECK(stat_of("unmapped_bytes") > GIB);
	heap_verify();
	modest_work();
}

/* Steps end where the setting says. */
static void a_span_of_steps_has_an_end(void)
{
	pretend_a_limit();
	conf("span", "1G");
	CHECK(fill_up(MIB) < 2048);
	CHECK(fill_up(MIB) > 200);
	heap_verify();
}

/* A step of the page part that is in both of its quarters goes, and comes back. */
static void a_step_over_a_quarter_comes_again(void)
{
	static struct page *page[70];
	const uint64_t quarter = 256 * MIB;
	uint64_t at = 0;
	int n = 0;

	pretend_a_limit();
	conf("span", "1G");
	while (n < 70 && at != quarter) {
		page[n] = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);
		CHECK(page[n]);
		at = (uintptr_t)page_address(page[n++]) - kn_span.base;
	}
	CHECK_EQ(at, quarter);
	for (int i = 0; i < n; i++) {
		if ((uintptr_t)page_address(page[i]) - kn_span.base <= quarter)
			continue;
		__free_pages(page[i], MAX_PAGE_ORDER);
	}
	CHECK_EQ(knuma_trim(), 0);
	CHECK(stat_of("unmapped_bytes") > 0);
	/* What is left of the step, and then more. */
	at = 0;
	while (at <= quarter) {
		struct page *again = alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER);

		CHECK(again);
		at = (uintptr_t)page_address(again) - kn_span.base;
		*(volatile char *)page_address(again) = 1;
	}
	heap_verify();
}

static void the_setting_limits_the_span(void)
{
	conf("span", "4G");
	modest_work();
	/* Less when the number of nodes is no power of two. */
	CHECK(kn_span.size > 2 * GIB && kn_span.size <= 4 * GIB);
	CHECK(address_space() < 16 * GIB || TEST_SANITIZED);
}

/* Memory that may not be locked is used unlocked, and that is said once. */
static void no_memory_may_be_locked(void)
{
	conf("lock_memory", "yes");
	faults_install();
	faults_fail(FAULT_MLOCK, 1, FAULTS_FOR_EVER, EPERM);
	modest_work();
	CHECK_EQ(printed_times("lock_memory"), 1);
}

static void memory_can_be_locked(void)
{
	conf("lock_memory", "yes");
	conf("background", "no");
	faults_install();
	modest_work();
	CHECK(faults_calls(FAULT_MLOCK) > 0);
}

/* A process that uses most of vm.max_map_count itself. */
static void no_mappings_left_for_guards(void)
{
	char *area[200];

	conf("vma_budget", "0");
	faults_install();
	faults_refuse_advice(102, EINVAL); /* MADV_GUARD_INSTALL */
	for (int i = 0; i < 200; i++) {
		area[i] = vmalloc(10000);
		CHECK(area[i]);
		memset(area[i], i, 10000);
	}
	for (int i = 0; i < 200; i++) {
		CHECK(all_bytes(area[i], 10000, (unsigned char)i));
		vfree(area[i]);
	}
	heap_verify();
}

static void no_huge_pages(void)
{
	conf("huge_pages", "no");
	conf("huge_after", "0");
	faults_install();
	modest_work();
	faults_refuse_advice(MADV_HUGEPAGE, EINVAL);
	modest_work();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_gigabyte_of_address_space),
		child_test(an_area_grows_to_the_limit),
		child_test(a_limit_is_for_objects_of_any_size),
		child_test(what_is_free_makes_room_for_a_thread),
		child_test(less_and_less_address_space),
		child_test(too_little_address_space),
		child_test(starts_that_are_refused),
		child_test(used_up_address_space),
		child_test(used_up_pages),
		child_test(many_nodes_in_little_address_space),
		child_test(large_mappings_are_refused),
		child_test(all_but_small_mappings_are_refused),
		child_test(a_place_that_is_taken_is_passed_over),
		child_test(without_a_place_the_span_is_reserved),
		child_test(a_kernel_that_takes_addresses_as_wishes),
		child_test(a_step_that_lies_elsewhere_is_refused),
		child_test(a_step_that_stays_elsewhere_is_refused),
		child_test(a_place_that_stays_mapped_is_passed_over),
		child_test(without_a_place_that_goes_the_span_is_reserved),
		child_test(starts_by_steps_that_are_refused),
		child_test(a_pool_of_huge_pages_needs_the_span),
		child_test(the_map_of_steps_is_refused),
		child_test(nothing_can_be_unmapped),
		child_test(a_span_of_steps_has_an_end),
		child_test(a_step_over_a_quarter_comes_again),
		child_test(the_setting_limits_the_span),
		child_test(no_memory_may_be_locked),
		child_test(memory_can_be_locked),
		child_test(no_mappings_left_for_guards),
		child_test(no_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
