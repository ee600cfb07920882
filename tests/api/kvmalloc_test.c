/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/kvmalloc.h>: which way by size, sentence by sentence. */
#include <knuma/kvmalloc.h>
#include <knuma/numa.h>

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static size_t pages_max(void)
{
	char text[32];

	CHECK_EQ(knuma_conf_get("kvmalloc_pages_max", text, sizeof(text)), 0);
	return strchr(text, 'M') ? strtoul(text, NULL, 0) * MIB :
	       strchr(text, 'K') ? strtoul(text, NULL, 0) * KIB :
				   strtoul(text, NULL, 0);
}

static void the_path_follows_the_size(void)
{
	const size_t limit = pages_max();
	const size_t below[] = {1,    100,  4096,      4097,
				8192, 8193, 100 * KIB, limit};
	const size_t above[] = {limit + 1, 3 * limit, 4 * MIB, 4 * MIB + 1,
				100 * MIB};

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		char *p = kvmalloc(below[i], GFP_KERNEL);

		CHECK(p && !is_vmalloc_addr(p));
		CHECK_EQ(ksize(p), kmalloc_size_roundup(below[i]));
		p[0] = p[below[i] - 1] = 1;
		kvfree(p);
	}
	for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
		char *p = kvmalloc(above[i], GFP_KERNEL);

		CHECK(p && is_vmalloc_addr(p));
		p[0] = p[above[i] - 1] = 1;
		kvfree(p);
	}
	heap_verify();
}

static void the_limit_is_a_setting(void)
{
	char *p;

	conf("kvmalloc_pages_max", "4M");
	p = kvmalloc(4 * MIB, GFP_KERNEL);
	CHECK(p && !is_vmalloc_addr(p));
	kvfree(p);
	conf("kvmalloc_pages_max", "0");
	p = kvmalloc(4097, GFP_KERNEL);
	CHECK(p && is_vmalloc_addr(p));
	kvfree(p);
	p = kvmalloc(4096, GFP_KERNEL);
	CHECK(p && !is_vmalloc_addr(p));
	kvfree(p);
}

static void of_no_bytes(void)
{
	/* checks kvmalloc_node: "0 returns ZERO_SIZE_PTR" */
	CHECK_EQ(kvmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kvzalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kvmalloc_array(0, 5, GFP_KERNEL), ZERO_SIZE_PTR);
	kvfree(ZERO_SIZE_PTR);
	kvfree(NULL);
	kvfree_sensitive(ZERO_SIZE_PTR, 0);
	kvfree_sensitive(NULL, 10);
	kvfree(kvmemdup("x", 0, GFP_KERNEL));
}

static void aligned_as_promised(void)
{
	for (size_t size = 1; size <= 40000; size += 7) {
		char *p = kvmalloc(size, GFP_KERNEL);
		size_t least = divisor_of(size) < 8 ? 8 : divisor_of(size);

		if (size > KMALLOC_MAX_CACHE_SIZE)
			least = knuma_page_size();
		/* checks kvmalloc_node: "a page at least above" */
		CHECK(p && (uintptr_t)p % least == 0);
		kvfree(p);
	}
}

static void zeroed_after_dirty_frees(void)
{
	static const size_t size[] = {10, 5000, 20000, 300000, 3000000};

	for (size_t i = 0; i < 5; i++) {
		for (int round = 0; round < 4; round++) {
			char *p = kvmalloc(size[i], GFP_KERNEL);

			memset(p, 0xab, size[i]);
			kvfree(p);
			p = round % 2 ? kvzalloc(size[i], GFP_KERNEL) :
					kvcalloc(size[i] / 10, 10, GFP_KERNEL);
			/*
			 * checks kvmalloc_node, kvmalloc_array_node: "unless
			 * __GFP_ZERO"
			 */
			CHECK(all_bytes(p, size[i], 0));
			memset(p, 0xab, size[i]);
			kvfree(p);
			p = kvzalloc_node(size[i], GFP_KERNEL, 0);
			CHECK(all_bytes(p, size[i], 0));
			kvfree(p);
		}
	}
}

static void up_to_int_max(void)
{
	char *p;

	if (!a_node_has(INT_MAX))
		skip_child("no node has 2 GiB free");
	p = kvmalloc(INT_MAX, GFP_KERNEL);
	CHECK(p);
	p[0] = p[INT_MAX - 1] = 1;
	kvfree(p);
}

static void above_int_max(void)
{
	const volatile size_t size = (size_t)INT_MAX + 1;

	/* checks kvmalloc_node: "INT_MAX (warns once unless __GFP_NOWARN)" */
	CHECK_FAILS(kvmalloc(size, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(kvmalloc(size, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kvzalloc((size_t)1 << 60, GFP_KERNEL), ENOMEM);
	CHECK_EQ(printed_times("knuma: "), 1);
	CHECK_EQ(stat_of("too_large"), 3);
}

static void arrays_that_overflow(void)
{
	const volatile size_t half = SIZE_MAX / 2 + 1;

	CHECK_FAILS(kvmalloc_array(half, 2, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kvcalloc(2, half, GFP_KERNEL), ENOMEM);
	CHECK_FAILS(kvcalloc_node(2, half, GFP_KERNEL, 0), ENOMEM);
	CHECK_FAILS(kvmalloc_array_node(half, half, GFP_KERNEL, 0), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
}

static void a_node_that_cannot_be(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_FAILS(kvmalloc_node(100, GFP_KERNEL, -2), EINVAL);
	CHECK_FAILS(kvmalloc_node(20000, GFP_KERNEL, 4096), EINVAL);
	CHECK_FAILS(kvmalloc_node(10 * MIB, GFP_KERNEL, 4096), EINVAL);
	CHECK_FAILS(kvmalloc_node(20000, GFP_ATOMIC, 4096), EINVAL);
	CHECK_EQ(printed_times("not a possible node"), 1);
	CHECK(stat_of("invalid_node") >= 4);
	kvfree(kvmalloc_node(10 * MIB, GFP_KERNEL | __GFP_THISNODE, 0));
}

static void flags_without_a_meaning(void)
{
	CHECK_FAILS(kvmalloc(100, (gfp_t)1 << 30), EINVAL);
	CHECK_FAILS(kvmalloc(20000, GFP_KERNEL | (gfp_t)1 << 29), EINVAL);
	CHECK_FAILS(kvmalloc(10 * MIB, GFP_KERNEL | (gfp_t)1 << 30), EINVAL);
}

static void calls_that_may_not_wait(void)
{
	void *held[64];
	size_t size = 64;
	int n = 0;

	start_here();
	/* Something present to be found. */
	for (int i = 0; i < 64; i++)
		held[i] = kmalloc(64, GFP_KERNEL);
	for (int i = 0; i < 64; i++)
		kfree(held[i]);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (; size <= 16 * MIB; size *= 2) {
		char *p = kvmalloc(size, GFP_NOWAIT);

		errno = p ? ENOMEM : errno;
		/*
		 * checks kvmalloc_node: "get memory that is populated already,
		 * or NULL"
		 */
		CHECK_EQ(errno, ENOMEM);
		if (p) {
			CHECK(!is_vmalloc_addr(p));
			memset(p, 1, size);
			n++;
		}
		kvfree(p);
	}
	CHECK(n > 0);
}

static void kvfree_takes_either_kind(void)
{
	misuse_catch();
	kvfree(kmalloc(100, GFP_KERNEL));
	kvfree(kmalloc(100000, GFP_KERNEL));
	kvfree(vmalloc(100));
	kvfree(vmalloc(10 * MIB));
	errno = 3;
	kvfree(kvmalloc(50 * MIB, GFP_KERNEL));
	CHECK_EQ(errno, 3);
	CHECK_EQ(misuse_count(), 0);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	heap_verify();
}

static void kvfree_sensitive_wipes(void)
{
	char *p = kvmalloc(1000, GFP_KERNEL), *was = launder(p);

	memset(p, 0x66, 1000);
	kvfree_sensitive(p, 900);
	/* checks kvfree_sensitive: "bytes to overwrite with zeroes" */
	CHECK(all_bytes(was, 900, 0));
	CHECK(all_bytes(was + 900, 100, 0x66));
	p = kvmalloc(MIB, GFP_KERNEL);
	was = launder(p);
	memset(p, 0x66, MIB);
	kvfree_sensitive(p, MIB);
	CHECK(all_bytes(was, MIB, 0));
}

static void kvrealloc_keeps_the_content(void)
{
	static const size_t chain[] = {10,	 100,	  4096,	  5000,	  20000,
				       300000,	 3000000, 300000, 70,	  8192,
				       40000000, 50000,	  1,	  9 << 20};
	size_t have = 5;
	char *p = kvmalloc(have, GFP_KERNEL);

	pattern_fill(p, have, 1);
	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
		p = kvrealloc(p, chain[i], GFP_KERNEL);
		/*
		 * checks kvrealloc: "The content is kept up to the lesser of
		 * both sizes"
		 */
		CHECK(p);
		CHECK(pattern_holds(p, have < chain[i] ? have : chain[i], 1));
		have = chain[i];
		pattern_fill(p, have, 1);
	}
	kvfree(p);
	heap_verify();
}

static void kvrealloc_zero_grows_into_zeroes(void)
{
	static const size_t chain[] = {10,	3,	 4096,	  90,
				       300000,	100,	 300000,  299000,
				       3000000, 2000000, 2999999, 3500000};
	size_t have = 5;
	char *p;

	p = kvmalloc(3 * MIB, GFP_KERNEL);
	memset(p, 0xcd, 3 * MIB);
	kvfree(p);
	p = kvmalloc(have, GFP_KERNEL | __GFP_ZERO);
	memset(p, 0xee, have);
	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
		p = kvrealloc(p, chain[i], GFP_KERNEL | __GFP_ZERO);
		/* checks kvrealloc: "__GFP_ZERO holds as for krealloc()" */
		CHECK(all_bytes(p, have < chain[i] ? have : chain[i], 0xee));
		if (chain[i] > have)
			CHECK(all_bytes(p + have, chain[i] - have, 0));
		have = chain[i];
		memset(p, 0xee, have);
	}
	kvfree(p);
}

static void kvrealloc_at_the_edges(void)
{
	char *p = kvrealloc(NULL, 100, GFP_KERNEL);
	char *q = kvrealloc(ZERO_SIZE_PTR, 10 * MIB, GFP_KERNEL);

	/*
	 * checks kvrealloc: "with NULL or ZERO_SIZE_PTR the call is
	 * kvmalloc()", "0 frees @p and returns ZERO_SIZE_PTR"
	 */
	CHECK(p && q && is_vmalloc_addr(q));
	CHECK_EQ(kvrealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	pattern_fill(q, 10 * MIB, 3);
	/* checks kvrealloc: "NULL on failure, and then @p is as before" */
	CHECK_FAILS(kvrealloc(q, (size_t)INT_MAX + 1,
			      GFP_KERNEL | __GFP_NOWARN),
		    ENOMEM);
	CHECK(pattern_holds(q, 10 * MIB, 3));
	CHECK_EQ(kvrealloc(q, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(kvrealloc(NULL, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	CHECK_EQ(vmalloc_nr_pages(), 0);
	heap_verify();
}

/* An area that grows is looked at as a new one is. */
static void kvrealloc_of_areas_looks_at_the_flags(void)
{
	char *p = kvmalloc(2 * MIB, GFP_KERNEL), *q;

	CHECK(p && is_vmalloc_addr(p));
	memset(p, 5, 2 * MIB);
	CHECK_FAILS(kvrealloc(p, 3 * MIB, GFP_KERNEL | (gfp_t)1 << 29), EINVAL);
	CHECK(all_bytes(p, 2 * MIB, 5));
	q = kvrealloc(p, 3 * MIB, GFP_KERNEL | __GFP_THISNODE);
	CHECK(q && all_bytes(q, 2 * MIB, 5));
	kvfree(q);
	heap_verify();
}

static void any_alignment_that_is_asked_for(void)
{
	static const size_t sizes[] = {1, 100, 5000, 70000, 300000, 5 << 20};
	const volatile size_t huge = SIZE_MAX - 5, odd = 24, none = 0;

	for (unsigned long align = 1; align <= 8 << 20; align *= 2)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *p = kvmalloc_node_align(sizes[i], align,
						      GFP_KERNEL, NUMA_NO_NODE);

			/*
			 * checks kvmalloc_node_align: "@align, or as
			 * kvmalloc_node() if that is more"
			 */
			CHECK(p && (uintptr_t)p % align == 0);
			p[0] = p[sizes[i] - 1] = 1;
			kvfree(p);
		}
	heap_verify();
	CHECK_EQ(kvmalloc_node_align(0, 64, GFP_KERNEL, NUMA_NO_NODE),
		 ZERO_SIZE_PTR);
	kvfree_atomic(kvmalloc_node_align(9, none, GFP_KERNEL, NUMA_NO_NODE));
	/* checks kvmalloc_node_align: "0 and 1 mean that of kvmalloc_node()" */
	CHECK_EQ(strlen(printed()), 0);
	CHECK_FAILS(kvmalloc_node_align(100, odd, GFP_KERNEL, NUMA_NO_NODE),
		    EINVAL);
	CHECK_EQ(printed_times("no power of two"), 1);
	CHECK_FAILS(kvmalloc_node_align(huge, 64, GFP_KERNEL | __GFP_NOWARN,
					NUMA_NO_NODE),
		    ENOMEM);
	CHECK_FAILS(kvmalloc_node_align(100, 64, GFP_KERNEL, 12345), EINVAL);
}

static void kvrealloc_moves_to_an_alignment(void)
{
	for (unsigned long align = 1; align <= 8 * MIB; align *= 4) {
		char *p = kvmalloc(500, GFP_KERNEL);

		CHECK(p);
		pattern_fill(p, 500, align);
		p = kvrealloc_node_align(p, 20000, align, GFP_KERNEL,
					 NUMA_NO_NODE);
		/*
		 * checks kvrealloc_node_align: "also moves when it is not
		 * aligned", "@align, or as kvmalloc_node() if that is more", "0
		 * and 1 mean that of kvmalloc()"
		 */
		CHECK(p && (uintptr_t)p % align == 0);
		CHECK(pattern_holds(p, 500, align));
		p = kvrealloc_node_align(p, 3 * MIB, align, GFP_KERNEL,
					 NUMA_NO_NODE);
		CHECK(p && (uintptr_t)p % align == 0);
		CHECK(pattern_holds(p, 500, align));
		p = kvrealloc_node_align(p, 100, align, GFP_KERNEL,
					 NUMA_NO_NODE);
		CHECK(p && (uintptr_t)p % align == 0);
		CHECK(pattern_holds(p, 100, align));
		/*
		 * checks kvrealloc_node_align: "NULL on failure, and then @p is
		 * as before"
		 */
		CHECK_FAILS(kvrealloc_node_align(p, 100, 48, GFP_KERNEL,
						 NUMA_NO_NODE),
			    EINVAL);
		kvfree(p);
	}
	heap_verify();
}

static void kvrealloc_moves_to_a_node(void)
{
	static const size_t sizes[] = {100, 50000, 5 << 20};

	fake_nodes(2);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p = kvmalloc_node(sizes[i], GFP_KERNEL, 0);

		CHECK_EQ(knuma_node_of(p), 0);
		/*
		 * checks kvrealloc: "stays where it is when it is large
		 * enough"; kvrealloc_node_align: "__GFP_THISNODE and it is not
		 * of @nid"
		 */
		CHECK_EQ(kvrealloc_node(p, sizes[i], GFP_KERNEL, 1), p);
		p = kvrealloc_node(p, sizes[i], GFP_KERNEL | __GFP_THISNODE, 1);
		CHECK_EQ(knuma_node_of(p), 1);
		kvfree(p);
	}
}

/* What is small goes where the CPU is, areas stay at home. */
static void kvrealloc_goes_to_the_node_or_stays(void)
{
	char *p;
	int other;

	fake_nodes(2);
	start_here();
	other = !knuma_numa_mem_id();
	p = kvrealloc(kvmalloc_node(100, GFP_KERNEL, other), 5000, GFP_KERNEL);
	/* checks kvrealloc: "copied to memory near the running CPU" */
	CHECK_EQ(knuma_node_of(p), !other);
	kvfree(p);
	p = kvmalloc_node(MIB, GFP_KERNEL, other);
	CHECK(p && is_vmalloc_addr(p));
	p = kvrealloc(p, 4 * MIB, GFP_KERNEL);
	/* checks kvrealloc: "Memory above kvmalloc_pages_max grows on its" */
	CHECK_EQ(knuma_node_of(p), other);
	memset(p, 1, 4 * MIB);
	CHECK(is_present(p + 3 * MIB, 1));
	p = kvrealloc(p, MIB, GFP_KERNEL);
	/* checks kvrealloc: "what a shrink leaves over goes back" */
	CHECK(p && !is_present(p + 3 * MIB, 1));
	kvfree(p);
}

static void kvmemdup_copies(void)
{
	const volatile size_t size = (size_t)INT_MAX + 1;
	static char text[300000];
	char *copy;

	pattern_fill(text, sizeof(text), 5);
	copy = kvmemdup(text, sizeof(text), GFP_KERNEL);
	/* checks kvmemdup: "the copy, to be freed with kvfree()" */
	CHECK(copy && is_vmalloc_addr(copy));
	CHECK(!memcmp(copy, text, sizeof(text)));
	kvfree(copy);
	CHECK_FAILS(kvmemdup(text, size, GFP_KERNEL | __GFP_NOWARN), ENOMEM);
	copy = kvmemdup(text, 10, GFP_KERNEL);
	CHECK(copy && !memcmp(copy, text, 10));
	kvfree(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(the_path_follows_the_size),
		child_test(the_limit_is_a_setting),
		child_test(of_no_bytes),
		child_test(aligned_as_promised),
		child_test(zeroed_after_dirty_frees),
		child_test(up_to_int_max),
		child_test(above_int_max),
		child_test(arrays_that_overflow),
		child_test(a_node_that_cannot_be),
		child_test(flags_without_a_meaning),
		child_test(calls_that_may_not_wait),
		child_test(kvfree_takes_either_kind),
		child_test(kvfree_sensitive_wipes),
		child_test(kvrealloc_keeps_the_content),
		child_test(kvrealloc_zero_grows_into_zeroes),
		child_test(kvrealloc_at_the_edges),
		child_test(kvrealloc_of_areas_looks_at_the_flags),
		child_test(any_alignment_that_is_asked_for),
		child_test(kvrealloc_moves_to_an_alignment),
		child_test(kvrealloc_moves_to_a_node),
		child_test(kvrealloc_goes_to_the_node_or_stays),
		child_test(kvmemdup_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
