/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/vmalloc.h>: areas of pages, sentence by sentence. */
#include <knuma/vmalloc.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <knuma/numa.h>
#include <knuma/tunables.h>

#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

#define MIB		   ((size_t)1 << 20)
#define MADV_GUARD_INSTALL 102

static const size_t some_sizes[] = {1,	     4095,	  4096,	    4097,
				    20000,   65536,	  100000,   MIB,
				    MIB + 1, 2 * MIB - 1, 2 * MIB,  2 * MIB + 1,
				    5000000, 16 * MIB,	  33554433, 70 * MIB};
#define NR_SIZES (sizeof(some_sizes) / sizeof(some_sizes[0]))

static size_t pages_of(size_t size)
{
	return (size + knuma_page_size() - 1) / knuma_page_size();
}

/* A byte at both ends of each page. */
static void mark(char *p, size_t size, char c)
{
	const size_t page = knuma_page_size();

	for (size_t at = 0; at < pages_of(size) * page; at += page)
		p[at] = p[at + page - 1] = c;
}

static bool has_mark(const char *p, size_t size, char c)
{
	const size_t page = knuma_page_size();

	for (size_t at = 0; at < pages_of(size) * page; at += page)
		if (p[at] != c || p[at + page - 1] != c)
			return false;
	return true;
}

static void an_area_is_whole_pages(void)
{
	char *p[NR_SIZES];
	unsigned long pages = 0;

	for (size_t i = 0; i < NR_SIZES; i++) {
		p[i] = vmalloc(some_sizes[i]);
		CHECK(p[i]);
		CHECK_EQ((uintptr_t)p[i] % knuma_page_size(), 0);
		/*
		 * checks is_vmalloc_addr: "true for every address of an area in
		 * use"; vmalloc_nr_pages: "exact while no other thread";
		 * __vmalloc_node: "a page, or @align if that is more"
		 */
		CHECK(is_vmalloc_addr(p[i]));
		CHECK(is_vmalloc_addr(p[i] + some_sizes[i] - 1));
		CHECK(knuma_node_of(p[i]) >= 0);
		pages += pages_of(some_sizes[i]);
		/*
		 * checks vmalloc, __vmalloc, __vmalloc_node: "rounded up to
		 * pages"
		 */
		CHECK_EQ(vmalloc_nr_pages(), pages);
		mark(p[i], some_sizes[i], (char)i);
	}
	for (size_t i = 0; i < NR_SIZES; i++)
		CHECK(has_mark(p[i], some_sizes[i], (char)i));
	heap_verify();
	for (size_t i = 0; i < NR_SIZES; i++)
		vfree(p[i]);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	heap_verify();
}

static void of_no_bytes(void)
{
	CHECK_FAILS(__vmalloc(0, GFP_KERNEL | __GFP_NOWARN), EINVAL);
	CHECK_EQ(strlen(printed()), 0);
	/* checks __vmalloc_node: "EINVAL when @size is 0" */
	CHECK_FAILS(vmalloc(0), EINVAL);
	CHECK_FAILS(vzalloc(0), EINVAL);
	CHECK_FAILS(vmalloc_node(0, 0), EINVAL);
	CHECK_FAILS(vmalloc_array(0, 8), EINVAL);
	CHECK_EQ(printed_times("knuma: "), 1);
	vfree(NULL);
	CHECK(!is_vmalloc_addr(NULL));
}

static void more_than_there_can_be(void)
{
	/* checks __vmalloc_node: "their address space is" */
	CHECK_FAILS(vmalloc(PTRDIFF_MAX), ENOMEM);
	CHECK_FAILS(vzalloc((size_t)1 << 50), ENOMEM);
	CHECK_FAILS(__vmalloc_node(4096, (size_t)1 << 50, GFP_KERNEL, 0, NULL),
		    ENOMEM);
	heap_verify();
}

static void arrays(void)
{
	const volatile size_t half = SIZE_MAX / 2 + 1;
	char *p = vcalloc(100, 1000);

	/* checks __vmalloc_array: "vcalloc() give zeroes" */
	CHECK(p && all_bytes(p, 100000, 0));
	vfree(p);
	CHECK_FAILS(vmalloc_array(half, 2), ENOMEM);
	CHECK_FAILS(vcalloc(2, half), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
}

static void mistakes_in_the_request(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	/* checks __vmalloc_node: "@align is no power of two" */
	CHECK_FAILS(__vmalloc_node(4096, 3, GFP_KERNEL, 0, NULL), EINVAL);
	CHECK_FAILS(__vmalloc_node(4096, 12288, GFP_KERNEL, 0, NULL), EINVAL);
	CHECK_FAILS(__vmalloc(4096, GFP_KERNEL | (gfp_t)1 << 30), EINVAL);
	CHECK_FAILS(vmalloc_node(4096, -2), EINVAL);
	CHECK_FAILS(vzalloc_node(4096, 4096), EINVAL);
	CHECK_EQ(stat_of("invalid_node"), 2);
	/* checks __vmalloc_node: "@node is no possible id (each warns once)" */
	CHECK_EQ(printed_times("not a possible node"), 1);
}

static void any_alignment(void)
{
	for (size_t align = 1; align <= 64 * MIB; align *= 2) {
		char *p[4];

		for (int i = 0; i < 4; i++) {
			p[i] = __vmalloc_node(10000, align, GFP_KERNEL,
					      NUMA_NO_NODE, NULL);
			/* checks __vmalloc_node: "0 and 1 mean a page" */
			CHECK(p[i] && (uintptr_t)p[i] % align == 0);
			CHECK_EQ((uintptr_t)p[i] % knuma_page_size(), 0);
			mark(p[i], 10000, (char)i);
		}
		for (int i = 0; i < 4; i++)
			CHECK(has_mark(p[i], 10000, (char)i));
		for (int i = 3; i >= 0; i--)
			vfree(p[i]);
		heap_verify();
	}
	CHECK_EQ(__vmalloc_node(1, 0, GFP_KERNEL, NUMA_NO_NODE, NULL) == NULL,
		 0);
}

static void nodes(void)
{
	char *p = vmalloc_node(10000, 0),
	     *q = vzalloc_node(10000, NUMA_NO_NODE);
	char *r =
		__vmalloc_node(10000, 1, GFP_KERNEL | __GFP_THISNODE, 0, NULL);

	CHECK(p && q && r && all_bytes(q, 10000, 0));
	CHECK_EQ(knuma_node_of(p), 0);
	vfree(p);
	vfree(q);
	vfree(r);
}

static void zeroed_after_dirty_frees(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		const size_t size = pages_of(some_sizes[i]) * knuma_page_size();

		if (size > 8 * MIB)
			continue;
		for (int round = 0; round < 3; round++) {
			char *p = vmalloc(some_sizes[i]);

			memset(p, 0xcc, size);
			vfree(p);
			p = vzalloc(some_sizes[i]);
			/* checks __vmalloc_node: "unless __GFP_ZERO" */
			CHECK(p && all_bytes(p, size, 0));
			memset(p, 0xcc, size);
			vfree(p);
		}
	}
	CHECK(stat_of("vmalloc_reused") > 0);
}

/* A smaller area in what a larger one left, and the other way round. */
static void zeroed_in_an_area_of_another_size(void)
{
	char *p = vmalloc(10 * 4096);

	memset(p, 0xcc, 10 * 4096);
	vfree(p);
	p = vzalloc(9 * 4096);
	CHECK(all_bytes(p, 9 * 4096, 0));
	memset(p, 0xcc, 9 * 4096);
	vfree(p);
	p = vzalloc(10 * 4096);
	CHECK(all_bytes(p, 10 * 4096, 0));
	vfree(p);
}

/* Guards.  The area to overrun; set before each child. */
static char *victim;
static size_t victim_size;

static void write_behind(void)
{
	*(volatile char *)(victim + pages_of(victim_size) * knuma_page_size()) =
		1;
}

static void read_behind(void)
{
	(void)*(volatile char *)(victim +
				 pages_of(victim_size) * knuma_page_size());
}

static void write_last(void)
{
	*(volatile char *)(victim + pages_of(victim_size) * knuma_page_size() -
			   1) = 1;
}

static void guarded(size_t size)
{
	victim = vmalloc(size);
	victim_size = size;
	CHECK(victim);
	CHECK(child_faults(write_behind));
	CHECK(child_faults(read_behind));
	CHECK(!child_faults(write_last));
}

static void one_byte_past_the_end_faults(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		guarded(some_sizes[i]);
		/* Reused at its size and at others. */
		vfree(victim);
		guarded(some_sizes[i]);
		vfree(victim);
	}
	victim = vmalloc(10 * 4096);
	vfree(victim);
	guarded(9 * 4096);
	vfree(victim);
	guarded(10 * 4096);
	vfree(victim);
	/* What was a guard once is memory again. */
	victim = vmalloc(10 * 4096);
	memset(victim, 1, 10 * 4096);
	heap_verify();
}

static void guards_by_mprotect(void)
{
	faults_install();
	faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	one_byte_past_the_end_faults();
}

/* Past the budget areas have no guard, and are as good otherwise. */
static void no_guards_past_the_budget(void)
{
	char *p[50];

	faults_install();
	faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	conf("vma_budget", "20");
	for (int i = 0; i < 50; i++) {
		p[i] = vmalloc(20000);
		CHECK(p[i]);
		memset(p[i], i, 20000);
	}
	CHECK_EQ(printed_times("vma_budget"), 1);
	for (int i = 0; i < 50; i++)
		CHECK(all_bytes(p[i], 20000, (unsigned char)i));
	for (int i = 0; i < 50; i++)
		vfree(p[i]);
	CHECK_EQ(knuma_trim(), 0);
	heap_verify();
	guarded(20000);
}

static void guards_can_be_switched_off(void)
{
	conf("guard_pages", "no");
	faults_install();
	faults_refuse_advice(MADV_GUARD_INSTALL, EINVAL);
	victim = vmalloc(4096);
	victim_size = 4096;
	memset(victim, 1, 4096);
	CHECK(!child_faults(write_behind));
	vfree(victim);
	heap_verify();
}

/* Executable memory. */
static char *code;

static void put_code(char *at)
{
#if defined(__x86_64__)
	static const unsigned char answer[] = {0xb8, 42, 0, 0, 0, 0xc3};
#elif defined(__aarch64__)
	static const unsigned char answer[] = {0x40, 0x05, 0x80, 0x52,
					       0xc0, 0x03, 0x5f, 0xd6};
#else
	static const unsigned char answer[] = {0};
	skip_child("no code for this processor");
#endif
	memcpy(at, answer, sizeof(answer));
	__builtin___clear_cache(at, at + sizeof(answer));
}

static void call_code(void)
{
	int (*fn)(void) = (int (*)(void))(uintptr_t)code;

	CHECK_EQ(fn(), 42);
}

static void write_code(void)
{
	*(volatile char *)code = 0;
}

static void written_or_executed_but_never_both(void)
{
	const int n = 3;

	code = vmalloc_exec(3 * 4096 - 7);
	CHECK(code);
	put_code(code);
	/*
	 * checks vmalloc_exec: "The area is readable and writable", "never
	 * writable and executable at a time"
	 */
	CHECK(child_faults(call_code));
	/* checks vmalloc_exec: "rounded up to pages" */
	CHECK_EQ(set_memory_rox((unsigned long)code, n), 0);
	call_code();
	/*
	 * checks vmalloc_exec: "set_memory_rox() makes it readable and
	 * executable"
	 */
	CHECK(child_faults(write_code));
	CHECK_EQ(set_memory_rw((unsigned long)code, n), 0);
	CHECK(child_faults(call_code));
	memset(code, 0, 3 * 4096);
	put_code(code);
	CHECK_EQ(set_memory_rox((unsigned long)code, n), 0);
	call_code();
	/* Freed in either state; the next owner may write. */
	vfree(code);
	for (int i = 0; i < 20; i++) {
		char *p = vmalloc(3 * 4096 - 7);

		memset(p, i, 3 * 4096 - 7);
		vfree(p);
	}
	/* checks vmalloc_exec: "vfree() takes it in either state" */
	CHECK_EQ(knuma_trim(), 0);
	for (int i = 0; i < 20; i++)
		memset(vmalloc(3 * 4096), i, 3 * 4096);
	heap_verify();
}

static void part_of_an_area_is_protected(void)
{
	char *p = vmalloc_exec(4 * 4096);

	put_code(p + 2 * 4096);
	CHECK_EQ(set_memory_rox((unsigned long)p + 2 * 4096, 1), 0);
	code = p + 2 * 4096;
	call_code();
	CHECK(child_faults(write_code));
	memset(p, 1, 2 * 4096);
	memset(p + 3 * 4096, 1, 4096);
	CHECK_EQ(set_memory_rw((unsigned long)p, 4), 0);
	memset(p, 1, 4 * 4096);
	vfree(p);
}

static void pages_that_are_not_all_of_an_area(void)
{
	char *p = vmalloc_exec(2 * 4096), *q = kmalloc(8192, GFP_KERNEL);
	const unsigned long at = (unsigned long)p;

	/*
	 * checks set_memory_rw: "Context, result and errors are those of
	 * set_memory_rox()"
	 */
	CHECK_EQ(set_memory_rox(at, 3), -EINVAL);
	CHECK_EQ(set_memory_rox(at, 0), -EINVAL);
	CHECK_EQ(set_memory_rox(at, -1), -EINVAL);
	CHECK_EQ(set_memory_rox(at + 1, 1), -EINVAL);
	CHECK_EQ(set_memory_rw(at + 2 * 4096, 1), -EINVAL);
	CHECK_EQ(set_memory_rw(at + 4096, 2), -EINVAL);
	CHECK_EQ(set_memory_rox(0, 1), -EINVAL);
	CHECK_EQ(set_memory_rox((unsigned long)q, 1), -EINVAL);
	CHECK_EQ(set_memory_rox((unsigned long)&p & ~4095ul, 1), -EINVAL);
	vfree(p);
	CHECK_EQ(set_memory_rox(at, 2), -EINVAL);
	kfree(q);
}

/* "Differs: only vmalloc_exec()." */
static void only_areas_that_were_made_for_it(void)
{
	char *p = vmalloc(2 * 4096);

	CHECK_EQ(set_memory_rox((unsigned long)p, 2), -EINVAL);
	CHECK_EQ(set_memory_rw((unsigned long)p, 2), -EINVAL);
	vfree(p);
}

static void an_unknown_address_is_reported_and_ignored(void)
{
	char *p = vmalloc(100000), *q = kmalloc(100, GFP_KERNEL);
	char *was = launder(p);
	static char elsewhere[16];

	misuse_catch();
	vfree(launder(elsewhere));
	/* checks vfree: "is reported and otherwise ignored" */
	CHECK_EQ(printed_times("vfree("), 1);
	vfree(launder(p + 4096));
	vfree(launder(p + 1));
	vfree(launder(q));
	CHECK_EQ(printed_times("vfree("), 4);
	vfree(p);
	CHECK_EQ(printed_times("vfree("), 4);
	vfree(was);
	CHECK_EQ(printed_times("vfree("), 5);
	CHECK_EQ(stat_of("invalid_free"), 5);
	CHECK_EQ(misuse_count(), 0);
	kfree(q);
	heap_verify();
}

static void addresses_that_are_none_of_vmalloc(void)
{
	int local;
	void *p = kmalloc(10, GFP_KERNEL), *q = kmalloc(100000, GFP_KERNEL);

	CHECK(!is_vmalloc_addr(&local));
	CHECK(!is_vmalloc_addr(p));
	CHECK(!is_vmalloc_addr(q));
	CHECK(!is_vmalloc_addr((void *)-1));
	kfree(p);
	kfree(q);
}

static void vfree_leaves_errno_alone(void)
{
	errno = 9;
	for (size_t i = 0; i < NR_SIZES; i++)
		vfree(vmalloc(some_sizes[i]));
	CHECK_EQ(errno, 9);
}

static void no_system_calls_in_a_loop(size_t size)
{
	uint64_t before;

	start_here();
	faults_install();
	for (int i = 0; i < 3; i++)
		memset(launder(vmalloc(size)), 1, size);
	for (int i = 0; i < 3; i++) {
		char *p = vmalloc(size);

		mark(p, size, 1);
		vfree(p);
	}
	before = faults_calls(FAULT_ANY);
	for (int i = 0; i < 100; i++) {
		char *p = vmalloc(size);

		mark(p, size, 1);
		vfree(p);
	}
	CHECK_EQ(faults_calls(FAULT_ANY) - before, 0);
	/* And none that goes past the table of the machine. */
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (int i = 0; i < 10000; i++) {
		char *p = vmalloc(size);

		p[0] = 1;
		vfree(p);
	}
}

static void a_loop_of_1_mib_makes_no_system_call(void)
{
	no_system_calls_in_a_loop(MIB);
}

static void a_loop_of_16_kib_makes_no_system_call(void)
{
	no_system_calls_in_a_loop(16384);
}

static void a_loop_of_8_mib_makes_no_system_call(void)
{
	no_system_calls_in_a_loop(8 * MIB);
}

/* Two sizes at a time, each with its own areas to come back to. */
static void a_free_makes_no_system_call(void)
{
	char *p[NR_SIZES];

	start_here();
	for (size_t i = 0; i < NR_SIZES; i++)
		p[i] = vmalloc(some_sizes[i]);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (size_t i = 0; i < NR_SIZES; i++)
		vfree(p[i]);
}

static void flags_that_forbid_waiting(void)
{
	start_here();
	vfree(vmalloc(100000));
	if (!syscalls_forbid())
		skip_child("no seccomp");
	/* checks __vmalloc_node: "Flags that forbid waiting get NULL" */
	CHECK_FAILS(__vmalloc(100000, GFP_NOWAIT), ENOMEM);
	CHECK_FAILS(__vmalloc(100000, GFP_ATOMIC | __GFP_NOWARN), ENOMEM);
}

/* Fresh areas cost no memory until they are written. */
static void untouched_pages_cost_nothing(void)
{
	size_t before;
	char *p;

	/* A small node has as much, too. */
	start_here();
	before = resident_bytes();
	p = vzalloc(100 * MIB);
	CHECK(p);
	/* checks vzalloc: "zero as they come and are not written" */
	CHECK(resident_bytes() < before + 8 * MIB);
	vfree(p);
}

/* Whether a mapping of which nothing was asked comes in huge pages. */
static bool huge_pages_anyway(void)
{
	char mode[64] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
	const bool read = f && fgets(mode, sizeof(mode), f);

	if (f)
		fclose(f);
	return read && strstr(mode, "[always]");
}

/* A byte of each area is not as much memory as all of it in huge pages. */
static void areas_of_which_little_is_written(void)
{
	size_t before;

	if (huge_pages_anyway())
		skip_child("the machine gives huge pages to everybody");
	start_here();
	before = resident_bytes();
	for (int i = 0; i < 200; i++) {
		char *p = vmalloc(2 * MIB);

		CHECK(p);
		mark(p, 1, 1);
	}
	CHECK(resident_bytes() < before + 16 * MIB);
}

static void the_kept_areas_are_bounded(void)
{
	start_here();
	conf("vmalloc_cache", "4M");
	for (int round = 0; round < 20; round++) {
		char *p[20];

		for (int i = 0; i < 20; i++) {
			p[i] = vmalloc(MIB);
			mark(p[i], MIB, 1);
		}
		for (int i = 0; i < 20; i++)
			vfree(p[i]);
	}
	vfree(vmalloc(MIB));
	CHECK(stat_of("vmalloc_cached_bytes") <= 6 * MIB);
	heap_verify();
}

static void address_space_is_used_again(void)
{
	uint64_t mapped = 0;

	start_here();
	for (int round = 0; round < 30; round++) {
		char *p[40];

		for (int i = 0; i < 40; i++)
			p[i] = vmalloc((size_t)(i * 37 + round * 11 + 1) *
				       4096);
		for (int i = 0; i < 40; i++)
			vfree(p[(i * 7) % 40]);
		CHECK_EQ(knuma_trim(), 0);
		CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
		if (round == 10)
			mapped = stat_of("mapped_bytes");
	}
	CHECK(stat_of("mapped_bytes") <= mapped + 16 * MIB);
	heap_verify();
}

static void vrealloc_keeps_the_content(void)
{
	static const size_t chain[] = {1,	100000,	  5000,	   4096,
				       3 * MIB, 40 * MIB, 2 * MIB, 70000};
	char *p = NULL;
	size_t had = 0;

	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
		const size_t both = had < chain[i] ? had : chain[i];

		p = vrealloc(p, chain[i], GFP_KERNEL);
		/*
		 * checks vrealloc_node_align: "with NULL the call is
		 * __vmalloc_node()", "else its pages or its content move"
		 */
		CHECK(p && is_vmalloc_addr(p));
		CHECK(pattern_holds(p, both, 3));
		pattern_fill(p, chain[i], 3);
		had = chain[i];
		/* checks vrealloc_node_align: "rounded up to pages" */
		CHECK_EQ(vmalloc_nr_pages(), pages_of(had));
	}
	/* checks vrealloc_node_align: "0 frees @p and returns NULL" */
	CHECK_EQ(vrealloc(p, 0, GFP_KERNEL), NULL);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	heap_verify();
}

static void vrealloc_zero_grows_into_zeroes(void)
{
	static const size_t chain[] = {9000, 100, 30000, 5, 5 * MIB, 6000};
	char *p = NULL;
	size_t had = 0;

	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
		p = vrealloc(p, chain[i], GFP_KERNEL | __GFP_ZERO);
		/*
		 * checks vrealloc_node_align: "so a later growth reads as zero"
		 */
		CHECK(p);
		if (chain[i] > had)
			CHECK(all_bytes(p + had, chain[i] - had, 0));
		memset(p, 0x5a, chain[i]);
		had = chain[i];
	}
	vfree(p);
}

static void vrealloc_moves_to_an_alignment(void)
{
	for (size_t align = 1; align <= 8 * MIB; align *= 2) {
		char *p = vmalloc(10000);

		CHECK(p);
		pattern_fill(p, 10000, align);
		p = vrealloc_node_align(p, 50000, align, GFP_KERNEL,
					NUMA_NO_NODE);
		/*
		 * checks vrealloc_node_align: "also moves when it is not
		 * aligned", "0 and 1 mean a page", "a page, or @align if that
		 * is more"
		 */
		CHECK(p && (uintptr_t)p % align == 0);
		CHECK(pattern_holds(p, 10000, align));
		/* Small enough already, and in the right place. */
		/*
		 * checks vrealloc_node_align: "stays where it is when it is
		 * large enough"
		 */
		CHECK_EQ(vrealloc_node_align(p, 50000, align, GFP_KERNEL,
					     NUMA_NO_NODE),
			 p);
		vfree_atomic(p);
	}
	heap_verify();
}

static void vrealloc_moves_to_a_node(void)
{
	char *p;

	fake_nodes(2);
	p = vmalloc_node(10000, 0);
	CHECK_EQ(knuma_node_of(p), 0);
	/* checks vrealloc_node_align: "__GFP_THISNODE and it is not of @nid" */
	CHECK_EQ(vrealloc_node_align(p, 9000, 1, GFP_KERNEL, 1), p);
	p = vrealloc_node_align(p, 9000, 1, GFP_KERNEL | __GFP_THISNODE, 1);
	CHECK_EQ(knuma_node_of(p), 1);
	CHECK_EQ(vrealloc_node_align(p, 9000, 1, GFP_KERNEL | __GFP_THISNODE,
				     1),
		 p);
	vfree(p);
}

static void vrealloc_with_a_mistake(void)
{
	char *p = vmalloc(10000), *small = kmalloc(100, GFP_KERNEL);

	pattern_fill(p, 10000, 1);
	CHECK_FAILS(vrealloc(small, 5000, GFP_KERNEL), EINVAL);
	CHECK_EQ(printed_times("no vmalloc area starts there"), 1);
	CHECK_FAILS(vrealloc(p + 4096, 5000, GFP_KERNEL), EINVAL);
	CHECK_FAILS(vrealloc_node_align(p, 5000, 48, GFP_KERNEL, NUMA_NO_NODE),
		    EINVAL);
	CHECK_FAILS(vrealloc(p, 50000, 1u << 30), EINVAL);
	CHECK_FAILS(vrealloc(p, 500000, GFP_NOWAIT), ENOMEM);
	CHECK_FAILS(vrealloc(p, 1ul << 60, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	/*
	 * checks vrealloc_node_align: "NULL on failure, and then @p is as
	 * before"
	 */
	CHECK(pattern_holds(p, 10000, 1));
	vfree(p);
	p = vrealloc(NULL, 10000, GFP_KERNEL | __GFP_ZERO);
	CHECK(p && all_bytes(p, 10000, 0));
	vfree(p);
	kfree(small);
}

static void arrays_with_flags_and_memory_for_the_user(void)
{
	const volatile size_t half = SIZE_MAX / 2 + 1;
	char *p = vmalloc(30000);

	memset(p, 0x5a, 30000);
	vfree(p);
	p = __vcalloc(3, 10000, GFP_KERNEL);
	/* checks __vmalloc_array: "__vcalloc() and vcalloc() give zeroes" */
	CHECK(p && all_bytes(p, 30000, 0));
	memset(p, 0x5a, 30000);
	vfree(p);
	p = vmalloc_user(30000);
	CHECK(p && all_bytes(p, 30000, 0));
	vfree(p);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(__vmalloc_array(half, 2, GFP_KERNEL), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(__vmalloc_array(2, 3, 1u << 30), EINVAL);
}

/* By huge_after, as all areas of that size, from the first on. */
static void areas_for_huge_pages(void)
{
	char *p;
	int node;

	fake_nodes(1);
	conf("huge_after", "0");
	start_here();
	p = vmalloc_huge(3 * MIB, GFP_KERNEL | __GFP_ZERO);
	CHECK(p);
	/*
	 * checks vmalloc_huge_node: "Aligned to 2 MiB if it is as large", "by
	 * the settings huge_pages and huge_after"
	 */
	CHECK_EQ((uintptr_t)p % (2 * MIB), 0);
	CHECK(kn_span_comes_huge((uintptr_t)p));
	CHECK(all_bytes(p, 3 * MIB, 0));
	node = knuma_node_of(p);
	vfree(p);
	p = vmalloc_huge_node(2 * MIB, GFP_KERNEL | __GFP_THISNODE, node);
	CHECK(p);
	CHECK_EQ((uintptr_t)p % (2 * MIB), 0);
	vfree(p);
	p = vmalloc_huge(100, GFP_KERNEL);
	CHECK(p);
	CHECK_EQ(vmalloc_nr_pages(), 1);
	/* checks vmalloc_huge_node: "the others lie elsewhere" */
	CHECK(!kn_span_comes_huge((uintptr_t)p));
	vfree(p);
	CHECK_FAILS(vmalloc_huge(0, GFP_KERNEL), EINVAL);
	/*
	 * checks vmalloc_huge_node: "Context, result and errors are those of
	 * __vmalloc_node()"
	 */
	CHECK_FAILS(vmalloc_huge_node(MIB, GFP_KERNEL, 70), EINVAL);
	CHECK_FAILS(vmalloc_huge(4 * MIB, GFP_NOWAIT), ENOMEM);
	heap_verify();
}

static void areas_for_devices(void)
{
	char *p;

	start_quiet();
	p = vmalloc_32(5000);
	CHECK(p);
	CHECK(is_vmalloc_addr(p));
	memset(p, 1, 5000);
	vfree(p);
	p = vmalloc_32_user(5000);
	CHECK(p);
	CHECK(all_bytes(p, 8192, 0));
	vfree(p);
	CHECK_FAILS(vmalloc_32(0), EINVAL);
	CHECK_FAILS(vmalloc_32_user(0), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(vrealloc_keeps_the_content),
		child_test(vrealloc_zero_grows_into_zeroes),
		child_test(vrealloc_moves_to_an_alignment),
		child_test(vrealloc_moves_to_a_node),
		child_test(vrealloc_with_a_mistake),
		child_test(arrays_with_flags_and_memory_for_the_user),
		child_test(an_area_is_whole_pages),
		child_test(of_no_bytes),
		child_test(more_than_there_can_be),
		child_test(arrays),
		child_test(mistakes_in_the_request),
		child_test(any_alignment),
		child_test(nodes),
		child_test(zeroed_after_dirty_frees),
		child_test(zeroed_in_an_area_of_another_size),
		child_test(one_byte_past_the_end_faults),
		child_test(guards_by_mprotect),
		child_test(no_guards_past_the_budget),
		child_test(guards_can_be_switched_off),
		child_test(written_or_executed_but_never_both),
		child_test(part_of_an_area_is_protected),
		child_test(pages_that_are_not_all_of_an_area),
		child_test(only_areas_that_were_made_for_it),
		child_test(an_unknown_address_is_reported_and_ignored),
		child_test(addresses_that_are_none_of_vmalloc),
		child_test(vfree_leaves_errno_alone),
		child_test(a_loop_of_1_mib_makes_no_system_call),
		child_test(a_loop_of_16_kib_makes_no_system_call),
		child_test(a_loop_of_8_mib_makes_no_system_call),
		child_test(a_free_makes_no_system_call),
		child_test(flags_that_forbid_waiting),
		child_test(untouched_pages_cost_nothing),
		child_test(areas_of_which_little_is_written),
		child_test(the_kept_areas_are_bounded),
		child_test(address_space_is_used_again),
		child_test(areas_for_huge_pages),
		child_test(areas_for_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
