/* SPDX-License-Identifier: Apache-2.0 */
/* Huge pages are asked for where most of what was handed out is used. */
#include "numa/density.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <knuma/knuma.h>

#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define MIB ((size_t)1 << 20)

static int nr_huge, nr_base; /* advice of each kind */
static size_t last_len;	     /* of the last one */
static int (*real_madvise)(void *addr, size_t len, int advice);

static int record_madvise(void *addr, size_t len, int advice)
{
	const bool is_wish = advice == MADV_HUGEPAGE ||
			     advice == MADV_NOHUGEPAGE;

	/* Tables of knuma's own, outside of the span, never ask. */
	if (!is_wish || !kn_span_has(addr))
		return real_madvise(addr, len, advice);
	nr_huge += advice == MADV_HUGEPAGE;
	nr_base += advice == MADV_NOHUGEPAGE;
	last_len = len;
	return 0;
}

/* One node, and faults of base pages whatever the machine is set to. */
static void begin(void)
{
	CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	fake_nodes(1);
	faults_install();
	real_madvise = kn_machine.madvise;
	kn_machine.madvise = record_madvise;
	start_here();
}

/* Writes the first of each @step pages of [@p, @p + @bytes). */
static void write_each(char *p, size_t bytes, size_t step)
{
	for (size_t at = 0; at < bytes; at += step * KN_PAGE_SIZE)
		p[at] = 1;
}

static void *taken(size_t bytes, size_t step)
{
	char *p = vmalloc(bytes);

	CHECK(p);
	write_each(p, bytes, step);
	return p;
}

/* @mib MiB of blocks of the page part. */
static void take_blocks(size_t mib, size_t step)
{
	for (size_t i = 0; i < mib; i++) {
		struct page *page = alloc_pages_node(0, GFP_KERNEL, 8);

		CHECK(page);
		write_each(page_address(page), MIB, step);
	}
}

static char *mapped(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int is_sparse(const char *p, size_t bytes, size_t used)
{
	return kn_density_is_sparse((uintptr_t)p, (uintptr_t)p + bytes,
				    used >> KN_PAGE_SHIFT);
}

static void half_of_the_pages_in_use(void)
{
	/* Not a multiple of what one call asks for. */
	const size_t bytes = 10 * MIB + 3 * KN_PAGE_SIZE;
	char *p;

	begin();
	p = mapped(bytes);
	CHECK_EQ(is_sparse(p, bytes, bytes), 1);
	write_each(p, bytes, 3);
	CHECK_EQ(is_sparse(p, bytes, bytes), 1);
	/* Two thirds of what is in use. */
	CHECK_EQ(is_sparse(p, bytes, bytes / 2), 0);
	write_each(p, bytes, 2);
	CHECK_EQ(is_sparse(p, bytes, bytes), 0);
	/* Nothing in use, and nothing at all. */
	CHECK_EQ(is_sparse(p, bytes, 0), 0);
	CHECK_EQ(is_sparse(p, 0, 0), 0);
	CHECK_EQ(munmap(p, bytes), 0);
}

static void a_large_range_is_sampled_all_over(void)
{
	const size_t bytes = 1024 * MIB;
	const uint64_t before = faults_calls(FAULT_MINCORE);
	char *p;

	begin();
	p = mapped(bytes);
	/* A sixteenth, in one piece: what a start or an end would tell. */
	write_each(p, bytes / 16, 1);
	CHECK_EQ(is_sparse(p, bytes, bytes), 1);
	CHECK_EQ(is_sparse(p, bytes, bytes / 16), 0);
	CHECK_EQ(faults_calls(FAULT_MINCORE), before + 32);
	CHECK_EQ(munmap(p, bytes), 0);
}

static void a_refusal_is_told(void)
{
	char *p;

	begin();
	p = mapped(8 * MIB);
	faults_fail(FAULT_MINCORE, 2, 1, EPERM);
	CHECK_EQ(is_sparse(p, 8 * MIB, 8 * MIB), -EPERM);
	CHECK_EQ(is_sparse(p, 8 * MIB, 8 * MIB), 1);
	CHECK_EQ(munmap(p, 8 * MIB), 0);
}

static void areas_that_are_hardly_used_get_base_pages(void)
{
	char *area[24];
	int before;

	begin();
	for (int i = 0; i < 24; i++)
		area[i] = taken(4 * MIB, 4 * MIB);
	CHECK_EQ(nr_huge, 0);
	CHECK(nr_base >= 1);
	CHECK_EQ(stat_of("huge_sparse"), 1);
	/* All of them used after all: huge pages for all that was grown. */
	for (int i = 0; i < 24; i++)
		write_each(area[i], 4 * MIB, 1);
	before = nr_base;
	while (!nr_huge)
		taken(4 * MIB, 1);
	CHECK_EQ(nr_base, before);
	CHECK(last_len >= 64 * MIB);
	CHECK_EQ(stat_of("huge_sparse"), 1);
	heap_verify();
}

static void areas_that_are_used_get_huge_pages(void)
{
	begin();
	/* The first of them show it. */
	taken(2 * MIB, 1);
	CHECK_EQ(nr_huge, 0);
	for (int i = 0; i < 4; i++)
		taken(2 * MIB, 1);
	CHECK(nr_huge >= 1);
	CHECK_EQ(nr_base, 0);
	CHECK_EQ(stat_of("huge_sparse"), 0);
	CHECK_EQ(stat_of("huge_unmeasured"), 0);
}

static void a_very_large_area_gets_huge_pages_at_once(void)
{
	begin();
	taken(16 * MIB, 16 * MIB);
	CHECK_EQ(nr_huge, 1);
	CHECK_EQ(nr_base, 0);
	/* They are not used: what grows next is not, nor the rest of them. */
	for (int i = 0; i < 4; i++)
		taken(16 * MIB, 16 * MIB);
	CHECK_EQ(nr_huge, 1);
	CHECK(nr_base >= 1);
	CHECK_EQ(stat_of("huge_sparse"), 1);
}

/* What is free is not what is unused. */
static void areas_given_back_do_not_count(void)
{
	void *area[6];

	begin();
	for (int i = 0; i < 6; i++)
		area[i] = taken(2 * MIB, 1);
	CHECK(nr_huge >= 1);
	for (int i = 0; i < 5; i++)
		vfree(area[i]);
	CHECK_EQ(knuma_trim(), 0);
	CHECK(!is_present(area[0], 2 * MIB));
	taken(96 * MIB, 1);
	CHECK_EQ(nr_base, 0);
	CHECK_EQ(stat_of("huge_sparse"), 0);
}

static void asked_for_from_the_start(void)
{
	conf("huge_after", "0");
	begin();
	taken(2 * MIB, 2 * MIB);
	for (int i = 0; i < 20; i++)
		taken(4 * MIB, 4 * MIB);
	take_blocks(80, MIB);
	CHECK(nr_huge >= 4);
	CHECK_EQ(nr_base, 0);
	CHECK_EQ(faults_calls(FAULT_MINCORE), 0);
}

static void blocks_that_are_hardly_used_get_base_pages(void)
{
	begin();
	take_blocks(24, 8);
	CHECK_EQ(nr_huge, 0);
	CHECK(nr_base >= 1);
	CHECK_EQ(stat_of("huge_sparse"), 1);
}

/* Nothing but its own pages goes with it: huge ones go as a whole. */
static void a_block_of_base_pages_goes_back(void)
{
	struct page *page[24];
	char *p[24];

	begin();
	for (int i = 0; i < 24; i++) {
		page[i] = alloc_pages_node(0, GFP_KERNEL, 8);
		CHECK(page[i]);
		p[i] = page_address(page[i]);
		write_each(p[i], MIB, 8);
	}
	CHECK_EQ(stat_of("huge_sparse"), 1);
	CHECK((uintptr_t)p[20] >= kn_window_base(0) + 8 * MIB);
	CHECK(is_present(p[20], 1));
	__free_pages(page[20], 8);
	CHECK_EQ(knuma_trim(), 0);
	CHECK(!is_present(p[20], 1));
	CHECK(is_present(p[19], 1) && is_present(p[21], 1));
	heap_verify();
}

static void blocks_that_are_used_get_huge_pages(void)
{
	begin();
	take_blocks(24, 1);
	CHECK(nr_huge >= 1);
	CHECK_EQ(nr_base, 0);
	CHECK_EQ(stat_of("huge_sparse"), 0);
}

/* Nobody knows what is used: huge pages, as asked for. */
static void where_the_system_does_not_tell(void)
{
	begin();
	faults_fail(FAULT_MINCORE, 1, FAULTS_FOR_EVER, ENOSYS);
	take_blocks(24, 8);
	for (int i = 0; i < 24; i++)
		taken(4 * MIB, 4 * MIB);
	CHECK(nr_huge >= 2);
	CHECK_EQ(nr_base, 0);
	CHECK_EQ(stat_of("huge_sparse"), 0);
	CHECK_EQ(stat_of("huge_unmeasured"), faults_failed());
	CHECK(faults_failed() >= 2);
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(half_of_the_pages_in_use),
		child_test(a_large_range_is_sampled_all_over),
		child_test(a_refusal_is_told),
		child_test(areas_that_are_hardly_used_get_base_pages),
		child_test(areas_that_are_used_get_huge_pages),
		child_test(a_very_large_area_gets_huge_pages_at_once),
		child_test(areas_given_back_do_not_count),
		child_test(asked_for_from_the_start),
		child_test(blocks_that_are_hardly_used_get_base_pages),
		child_test(a_block_of_base_pages_goes_back),
		child_test(blocks_that_are_used_get_huge_pages),
		child_test(where_the_system_does_not_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
