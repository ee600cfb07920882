/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines of several nodes, made of texts: whose window memory comes from,
 * where it goes when it is freed, and who serves when a node cannot.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <knuma/malloc.h>
#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "numa/machine.h"
#include "numa/placement.h"
#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/rng.h"

#define MIB ((size_t)1 << 20)

static const size_t sizes[] = {8,    100,  1024,  1025,	   5000,
			       8192, 8193, 50000, 1 << 20, 4 << 20};
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* One of each kind of memory on @node; all of it must be on @expected. */
static void one_of_each(int node, gfp_t gfp, int expected)
{
	struct kmem_cache *s = kmem_cache_create("each", 300, 0, 0, NULL);
	struct page *page;
	void *p;

	for (size_t i = 0; i < NR_SIZES; i++) {
		p = kmalloc_node(sizes[i], gfp, node);
		/*
		 * checks kmalloc_node, __vmalloc_node: "While @node has
		 * memory"; kvmalloc_node, kmem_cache_alloc_node: "Placement is
		 * that of kmalloc_node()"; alloc_pages_node: "The block comes
		 * from @node while that has memory"
		 */
		CHECK(p);
		CHECK_EQ(knuma_node_of(p), expected);
		kfree(p);
		p = kvmalloc_node(sizes[i] * 3, gfp, node);
		CHECK(p);
		CHECK_EQ(knuma_node_of(p), expected);
		kvfree(p);
		p = __vmalloc_node(sizes[i], 1, gfp, node, NULL);
		CHECK(p);
		CHECK_EQ(knuma_node_of(p), expected);
		vfree(p);
	}
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		page = alloc_pages_node(node, gfp, order);
		CHECK(page);
		CHECK_EQ(page_to_nid(page), expected);
		CHECK_EQ(knuma_node_of(page_address(page)), expected);
		__free_pages(page, order);
	}
	p = alloc_pages_exact_nid(node, 30000, gfp);
	CHECK(p);
	CHECK_EQ(knuma_node_of(p), expected);
	free_pages_exact(p, 30000);
	p = kmem_cache_alloc_node(s, gfp, node);
	CHECK(p);
	CHECK_EQ(knuma_node_of(p), expected);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
	heap_verify();
}

/* None of them, and each says ENOMEM. */
static void none_of_each(int node, gfp_t gfp)
{
	struct kmem_cache *s = kmem_cache_create("none", 300, 0, 0, NULL);

	gfp |= __GFP_NOWARN;
	for (size_t i = 0; i < NR_SIZES; i++) {
		/*
		 * checks kmalloc_node, kvmalloc_node, kmem_cache_alloc_node,
		 * __vmalloc_node: "@gfp has __GFP_THISNODE and @node cannot
		 * serve"; alloc_pages_node: "not allowed and @gfp has
		 * __GFP_THISNODE"
		 */
		CHECK_FAILS(kmalloc_node(sizes[i], gfp, node), ENOMEM);
		CHECK_FAILS(kvmalloc_node(sizes[i] * 3, gfp, node), ENOMEM);
		CHECK_FAILS(__vmalloc_node(sizes[i], 1, gfp, node, NULL),
			    ENOMEM);
	}
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++)
		CHECK_FAILS(alloc_pages_node(node, gfp, order), ENOMEM);
	CHECK_FAILS(alloc_pages_exact_nid(node, 30000, gfp), ENOMEM);
	CHECK_FAILS(kmem_cache_alloc_node(s, gfp, node), ENOMEM);
	kmem_cache_destroy(s);
	heap_verify();
}

static void memory_comes_from_the_node_that_is_named(void)
{
	fake_nodes(4);
	start_quiet();
	CHECK_EQ(knuma_nr_nodes(), 4);
	for (int node = 0; node < 4; node++) {
		one_of_each(node, GFP_KERNEL, node);
		one_of_each(node, GFP_KERNEL | __GFP_THISNODE, node);
	}
	CHECK_EQ(stat_of("numa_miss"), 0);
	CHECK_EQ(stat_of("numa_foreign"), 0);
	CHECK_EQ(stat_of("invalid_node"), 0);
}

static void no_node_is_the_one_of_the_cpu(void)
{
	const struct fake_node node[] = {{0, "", 1, "10 20 20"},
					 {1, "", 1, "20 10 20"},
					 {2, "0-255", 1, "20 20 10"}};
	void *p, *bulk[50];

	fake_nodes_as("0-2", node, 3);
	start_quiet();
	CHECK_EQ(knuma_numa_node_id(), 2);
	CHECK_EQ(knuma_numa_mem_id(), 2);
	one_of_each(NUMA_NO_NODE, GFP_KERNEL, 2);
	p = kmalloc(100, GFP_KERNEL);
	/* checks knuma_numa_mem_id: "What NUMA_NO_NODE stands for" */
	CHECK_EQ(knuma_node_of(p), 2);
	kfree(p);
	p = vmalloc(100);
	CHECK_EQ(knuma_node_of(p), 2);
	vfree(p);
	p = knuma_malloc(100);
	CHECK_EQ(knuma_node_of(p), 2);
	knuma_free(p);
	CHECK_EQ(kmem_cache_alloc_bulk(kn_kmalloc_cache(100), GFP_KERNEL, 50,
				       bulk),
		 50);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(knuma_node_of(bulk[i]), 2);
	kfree_bulk(50, bulk);
}

static void an_object_goes_home_when_it_is_freed(void)
{
	void *p, *was, *q[400];

	fake_nodes(2);
	start_here();
	for (size_t i = 0; i < 6; i++) {
		p = kmalloc_node(sizes[i], GFP_KERNEL, 1);
		CHECK_EQ(knuma_node_of(p), 1);
		was = launder(p);
		kfree(p);
		/* Not for the node of the CPU that freed it ... */
		for (int k = 0; k < 200; k++) {
			q[k] = kmalloc_node(sizes[i], GFP_KERNEL, 0);
			CHECK(q[k] != was);
			CHECK_EQ(knuma_node_of(q[k]), 0);
		}
		/* ... and at once for its own. */
		p = kmalloc_node(sizes[i], GFP_KERNEL, 1);
		CHECK_EQ(p, was);
		kfree(p);
		for (int k = 0; k < 200; k++)
			kfree(q[k]);
	}
	heap_verify();
}

static void in_use_on(struct kmem_cache *s, uint64_t zero, uint64_t one)
{
	CHECK_EQ(kn_slab_in_use(s, 0), zero);
	CHECK_EQ(kn_slab_in_use(s, 1), one);
}

/* By every way of freeing, one by one and in bulk, mixed. */
static void every_free_goes_home(void)
{
	struct kmem_cache *s;
	void *p[600];

	fake_nodes(2);
	start_quiet();
	s = kmem_cache_create("home", 100, 0, 0, NULL);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 600; i++) {
			p[i] = kmem_cache_alloc_node(s, GFP_KERNEL, i % 3 == 0);
			CHECK_EQ(knuma_node_of(p[i]), i % 3 == 0);
		}
		kmem_cache_shrink(s);
		in_use_on(s, 400, 200);
		if (round == 0)
			for (int i = 0; i < 600; i++)
				kmem_cache_free(s, p[i]);
		else if (round == 1)
			for (int i = 0; i < 600; i++)
				kfree(p[i]);
		else if (round == 2)
			kmem_cache_free_bulk(s, 600, p);
		else
			kfree_bulk(600, p);
		CHECK_EQ(kmem_cache_shrink(s), 0);
		in_use_on(s, 0, 0);
	}
	kmem_cache_destroy(s);
	heap_verify();
}

static void a_full_node_is_followed_by_the_nearest(void)
{
	const struct fake_node node[] = {{0, "0-255", 1, "10 40 20 30"},
					 {1, "", 1, "40 10 30 20"},
					 {2, "", 1, "20 30 10 40"},
					 {3, "", 1, "30 20 40 10"}};

	fake_nodes_as("0-3", node, 4);
	fake_node_free_mib(1, 0);
	start_quiet();
	one_of_each(1, GFP_KERNEL, 3);
	none_of_each(1, GFP_KERNEL | __GFP_THISNODE);
	/*
	 * checks kmalloc_node, __vmalloc_node: "Then the next node of its
	 * zonelist serves"
	 */
	CHECK(stat_of("numa_miss.3") > 0);
	CHECK_EQ(stat_of("numa_foreign.1"), stat_of("numa_miss.3"));
	CHECK_EQ(stat_of("numa_hit.1"), 0);
	fake_node_free_mib(3, 0);
	/* What is there already is given out before the next node is asked. */
	CHECK_EQ(knuma_trim(), 0);
	one_of_each(0, GFP_KERNEL, 0);
	one_of_each(2, GFP_KERNEL | __GFP_THISNODE, 2);
	/* Room again: the next request is served there. */
	fake_node_free_mib(1, 2000);
	one_of_each(1, GFP_KERNEL, 1);
	CHECK_EQ(stat_of("numa_miss"), stat_of("numa_foreign"));
}

/* Pages to grow into are no reason to go elsewhere. */
static void what_grows_stays_on_a_node_that_is_nearly_full(void)
{
	int64_t room;
	char *p;

	fake_nodes(2);
	fake_node_free_mib(0, 1000);
	conf("background", "no");
	start_quiet();
	p = knuma_malloc(8192);
	CHECK_EQ(knuma_node_of(p), 0);
	CHECK_EQ(kn_node_spare_bytes(0, &room), 0);
	fake_node_free_mib(0, 1000 + 45 - (int)(room / (int64_t)MIB));
	kn_store(&kn_zones[0].may_fault, (uint64_t)0);
	p = knuma_realloc(p, 40 * MIB);
	CHECK_EQ(knuma_node_of(p), 0);
	knuma_free(p);
	heap_verify();
}

static uint64_t eight_gib(void)
{
	return (uint64_t)8 << 30;
}

static void when_all_nodes_are_full(void)
{
	fake_nodes(3);
	for (int node = 0; node < 3; node++)
		fake_node_free_mib(node, 0);
	conf("background", "no");
	conf("trim_delay_ms", "0");
	for (int node = 0; node < 3; node++)
		none_of_each(node, GFP_KERNEL);
	none_of_each(NUMA_NO_NODE, GFP_KERNEL);
	/*
	 * checks kmalloc_node, kvmalloc_node, kmem_cache_alloc_node,
	 * __vmalloc_node, alloc_pages_node: "ENOMEM when the allowed nodes are
	 * exhausted"
	 */
	CHECK_FAILS(knuma_malloc(100), ENOMEM);
	fake_node_free_mib(2, 1000);
	one_of_each(NUMA_NO_NODE, GFP_KERNEL, 2);
	one_of_each(1, GFP_KERNEL, 2);
}

/* Where 4 MiB come from, kept in use; -1 for nowhere. */
static int node_of_4_mib(int node, gfp_t gfp)
{
	void *p = kmalloc_node(4 * MIB, gfp | __GFP_NOWARN, node);

	return p ? knuma_node_of(p) : -1;
}

/* Takes what is left of the last look at @node. */
static void use_up(int node)
{
	while (node_of_4_mib(node, GFP_KERNEL | __GFP_THISNODE) == node)
		;
}

static void machine_meminfo(int available_mib, int swap_mib)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "MemTotal:       12582912 kB\n"
		 "MemFree:          100000 kB\n"
		 "MemAvailable:   %d kB\n"
		 "SwapFree:       %d kB\n",
		 available_mib * 1024, swap_mib * 1024);
	fake_sysfs_file("meminfo", text);
}

/*
 * Caches of files leave no node much free memory, and the kernel drops them for
 * whoever asks: no reason to fail, nor to go to another node.
 */
static void when_all_nodes_are_full_of_caches(void)
{
	fake_nodes(3);
	for (int node = 0; node < 3; node++)
		fake_node_free_mib(node, 0);
	machine_meminfo(2000, 0);
	start_quiet();
	for (int node = 0; node < 3; node++)
		one_of_each(node, GFP_KERNEL, node);
	CHECK_EQ(stat_of("numa_miss"), 0);
	/* A node with free memory comes first, while there is one. */
	CHECK_EQ(knuma_trim(), 0);
	fake_node_free_mib(2, 2000);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 2);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL | __GFP_THISNODE), -1);
	/* Swap counts as well; what is left for the machine does not. */
	fake_node_free_mib(2, 0);
	machine_meminfo(60, 0);
	for (int node = 0; node < 3; node++)
		use_up(node);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), -1);
	machine_meminfo(60, 2000);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 1);
	fake_sysfs_remove("meminfo");
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), -1);
}

/* The kernel's watermarks, and 1/256 and 32 MiB above them, are left alone. */
static void watermarks_are_left_to_the_kernel(void)
{
	/* Of nodes of 4 GiB; a quarter of the minimum is the least step. */
	const int left = 96 + 2 * 24 + 16 + 32;

	fake_nodes(2);
	kn_machine.total_ram = eight_gib;
	fake_sysfs_file("sys/vm/min_free_kbytes", "196608\n");
	fake_sysfs_file("sys/vm/watermark_scale_factor", "10\n");
	fake_node_free_mib(1, left);
	start_quiet();
	none_of_each(1, GFP_KERNEL | __GFP_THISNODE);
	fake_node_free_mib(1, left + 5);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 1);
	/* 2 % a step, three times the quarter above. */
	fake_sysfs_file("sys/vm/watermark_scale_factor", "200\n");
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 0);
	fake_node_free_mib(1, 96 + 2 * 82 + 16 + 32 + 5);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 1);
	/* Nothing readable in them: as with the kernel's defaults. */
	fake_sysfs_file("sys/vm/watermark_scale_factor", "many\n");
	fake_sysfs_file("sys/vm/min_free_kbytes", "\n");
	fake_node_free_mib(1, 8 + 16 + 32 + 5);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 1);
	fake_node_free_mib(1, 8 + 16 + 32 + 3);
	CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 0);
}

/* What madvise(2) was asked for about huge pages. */
static struct advice {
	uintptr_t at;
	size_t len;
	int advice;
} advised[64];
static int nr_advised;
static int (*real_madvise)(void *addr, size_t len, int advice);

static int record_madvise(void *addr, size_t len, int advice)
{
	if (advice != MADV_HUGEPAGE && advice != MADV_NOHUGEPAGE)
		return real_madvise(addr, len, advice);
	CHECK(nr_advised < 64);
	advised[nr_advised++] = (struct advice){(uintptr_t)addr, len, advice};
	return 0;
}

/* The last advice for the byte at @at. */
static int advice_of(uintptr_t at)
{
	for (int i = nr_advised; i--;)
		if (at - advised[i].at < advised[i].len)
			return advised[i].advice;
	return -1;
}

/* How many ranges were given @advice from @first on. */
static int nr_advised_as(int advice, int first)
{
	int n = 0;

	for (int i = first; i < nr_advised; i++)
		n += advised[i].advice == advice;
	return n;
}

/* @n huge pages free on node 1, besides 16 MiB of its lowest zone. */
static void huge_pages_free(int n)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "Node 0, zone   Normal %6d 0 0 0 0 0 0 0 0 %6d 0\n"
		 "Node 1, zone      DMA %6d 0 0 0 0 0 0 0 0 %6d 3\n"
		 "Node 1, zone   Normal %6d 9 9 9 9 9 9 9 9 %6d 0\n"
		 "Node 10, zone  Normal %6d 0 0 0 0 0 0 0 0 %6d 500 x\n",
		 1, 500, 1, 2, 100000, n, 1, 500);
	fake_sysfs_file("buddyinfo", text);
}

static void take_mib(int mib)
{
	for (; mib > 0; mib -= 4)
		CHECK_EQ(node_of_4_mib(1, GFP_KERNEL), 1);
}

/*
 * Asked for a huge page where none is free, the kernel takes one of another
 * node: so it is asked only while there are some.
 */
static void base_pages_where_no_huge_page_is_free(void)
{
	uintptr_t pages, area;
	int before;

	fake_nodes(2);
	real_madvise = kn_machine.madvise;
	kn_machine.madvise = record_madvise;
	conf("huge_after", "0");
	huge_pages_free(500);
	start_quiet();
	pages = kn_window_base(1);
	area = (uintptr_t)vmalloc_node(4 * MIB, 1);
	take_mib(4);
	CHECK_EQ(advice_of(pages), MADV_HUGEPAGE);
	CHECK_EQ(advice_of(area), MADV_HUGEPAGE);
	/* 16 MiB of them are others': at the next look there are too few. */
	huge_pages_free(1);
	take_mib(64);
	CHECK_EQ(stat_of("huge_exhausted"), 1);
	CHECK_EQ(advice_of(pages), MADV_NOHUGEPAGE);
	CHECK_EQ(advice_of(area), MADV_NOHUGEPAGE);
	/* Growth meanwhile asks for the same. */
	before = nr_advised;
	take_mib(128);
	CHECK(nr_advised_as(MADV_NOHUGEPAGE, before) >= 1);
	CHECK_EQ(nr_advised_as(MADV_HUGEPAGE, before), 0);
	CHECK_EQ(stat_of("huge_exhausted"), 1);
	/* The other node has its own. */
	CHECK_EQ(node_of_4_mib(0, GFP_KERNEL), 0);
	CHECK_EQ(advice_of(kn_window_base(0)), MADV_HUGEPAGE);
	/* Enough again: for all that was grown, without a cut. */
	huge_pages_free(500);
	take_mib(64);
	CHECK_EQ(advice_of(pages), MADV_HUGEPAGE);
	CHECK_EQ(advice_of(pages + 190 * MIB), MADV_HUGEPAGE);
	CHECK_EQ(advice_of(area), MADV_HUGEPAGE);
	/* A node that the file does not know stays as it is, so without it. */
	before = nr_advised;
	fake_sysfs_file("buddyinfo", "Node 7, zone Normal 1 1 1\n");
	take_mib(128);
	fake_sysfs_remove("buddyinfo");
	take_mib(128);
	CHECK_EQ(nr_advised_as(MADV_NOHUGEPAGE, before), 0);
	CHECK_EQ(stat_of("huge_exhausted"), 1);
}

/* Its free memory falls as it is used; the last of it stays the system's. */
static void a_node_is_used_up_to_what_it_keeps(void)
{
	for (int kind = 0; kind < 2; kind++) {
		int n = 0, node = 1;

		if (!kind)
			fake_nodes(2);
		fake_node_free_mib(1, 300);
		if (!kind)
			start_quiet();
		while (node == 1 && n < 400) {
			void *p = kind ? vmalloc_node(MIB, 1) :
					 kmalloc_node(MIB, GFP_KERNEL, 1);

			node = knuma_node_of(p);
			fake_node_free_mib(1, 300 - ++n);
		}
		CHECK(n >= 200 && n <= 300 - 32 + 4);
	}
}

/* A request that fails says so once, and which node it wanted. */
static void a_failure_is_told_once(void)
{
	fake_nodes(2);
	fake_node_free_mib(0, 0);
	fake_node_free_mib(1, 0);
	for (int i = 0; i < 5; i++)
		CHECK_FAILS(kmalloc_node(100, GFP_KERNEL, 1), ENOMEM);
	CHECK_EQ(printed_times("out of memory"), 1);
	CHECK_EQ(printed_times("node 1"), 1);
	CHECK(stat_of("alloc_failed") >= 5);
}

static void a_node_without_memory(void)
{
	const struct fake_node node[] = {{0, "", 1, "10 20 30"},
					 {1, "0-255", 0, "20 10 15"},
					 {2, "", 1, "30 15 10"}};
	int list[8];

	fake_nodes_as("0-2", node, 3);
	start_quiet();
	CHECK_EQ(knuma_nr_nodes(), 2);
	CHECK_EQ(knuma_numa_node_id(), 1);
	CHECK_EQ(knuma_numa_mem_id(), 2);
	CHECK_EQ(knuma_zonelist(1, list, 8), 2);
	CHECK(list[0] == 2 && list[1] == 0);
	one_of_each(NUMA_NO_NODE, GFP_KERNEL, 2);
	one_of_each(1, GFP_KERNEL, 2);
	one_of_each(0, GFP_KERNEL, 0);
	none_of_each(1, GFP_KERNEL | __GFP_THISNODE);
	/* Nothing is bound to it. */
	CHECK_EQ(fake_mbinds() % 2, 0);
	CHECK_EQ(stat_of("numa_hit.1"), 0);
	CHECK_EQ(stat_of("invalid_node"), 0);
}

static void a_node_that_is_offline(void)
{
	const struct fake_node node[] = {{0, "0-255", 1, "10 20"},
					 {2, "", 1, "20 10"}};

	fake_nodes_as("0-5", node, 2);
	start_quiet();
	CHECK_EQ(knuma_nr_nodes(), 2);
	one_of_each(1, GFP_KERNEL, 0);
	one_of_each(5, GFP_KERNEL, 0);
	none_of_each(1, GFP_KERNEL | __GFP_THISNODE);
	CHECK_EQ(stat_of("invalid_node"), 0);
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL, 6), EINVAL);
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL, 1023), EINVAL);
	CHECK_EQ(stat_of("invalid_node"), 2);
}

static void ids_with_gaps(void)
{
	const struct fake_node node[] = {{1, "0-255", 1, "10 20 40"},
					 {130, "", 1, "20 10 30"},
					 {1023, "", 1, "40 30 10"}};
	int list[4];

	fake_nodes_as("1,130,1023", node, 3);
	start_quiet();
	CHECK_EQ(knuma_next_node(-1), 1);
	CHECK_EQ(knuma_next_node(1), 130);
	CHECK_EQ(knuma_next_node(130), 1023);
	CHECK_EQ(knuma_next_node(1023), -1);
	CHECK_EQ(knuma_distance(1, 1023), 40);
	CHECK_EQ(knuma_zonelist(1023, list, 4), 3);
	CHECK(list[0] == 1023 && list[1] == 130 && list[2] == 1);
	one_of_each(1, GFP_KERNEL, 1);
	one_of_each(130, GFP_KERNEL, 130);
	one_of_each(1023, GFP_KERNEL | __GFP_THISNODE, 1023);
	one_of_each(NUMA_NO_NODE, GFP_KERNEL, 1);
	CHECK(stat_of("numa_hit.1023") > 0);
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL, 0), EINVAL);
	CHECK_FAILS(kmalloc_node(100, GFP_KERNEL, 131), EINVAL);
}

static void nodes_that_are_not_allowed(void)
{
	fake_nodes(4);
	fake_nodes_allow("0,2");
	start_quiet();
	one_of_each(0, GFP_KERNEL, 0);
	one_of_each(2, GFP_KERNEL | __GFP_THISNODE, 2);
	none_of_each(1, GFP_KERNEL | __GFP_THISNODE);
	none_of_each(3, GFP_KERNEL | __GFP_THISNODE);
	for (int i = 0; i < 20; i++) {
		void *p = kmalloc_node(100, GFP_KERNEL, 1 + i % 2 * 2);

		/*
		 * checks kmalloc_node: "is replaced by the nearest one that
		 * does"
		 */
		CHECK(knuma_node_of(p) == 0 || knuma_node_of(p) == 2);
		kfree(p);
	}
}

/* A cpuset that changes is followed by the next round of background work. */
static void a_cpuset_that_changes(void)
{
	void *old[10], *p;

	fake_nodes(3);
	fake_nodes_allow("0-2");
	start_quiet();
	one_of_each(1, GFP_KERNEL, 1);
	fake_nodes_allow("0,2");
	CHECK_EQ(knuma_trim(), 0);
	none_of_each(1, GFP_KERNEL | __GFP_THISNODE);
	one_of_each(2, GFP_KERNEL, 2);
	/* The CPUs' own node, too. */
	for (int i = 0; i < 10; i++)
		old[i] = kmalloc(100, GFP_KERNEL);
	fake_nodes_allow("1");
	CHECK_EQ(knuma_trim(), 0);
	/*
	 * checks knuma_trim: "Follows nodes that came, went, or were allowed"
	 */
	CHECK_EQ(knuma_numa_mem_id(), 1);
	/* What lies ready on the node of before is not for new requests. */
	kfree_bulk(10, old);
	p = kmalloc(100, GFP_KERNEL);
	CHECK_EQ(knuma_node_of(p), 1);
	kfree(p);
	one_of_each(NUMA_NO_NODE, GFP_KERNEL, 1);
	one_of_each(0, GFP_KERNEL, 1);
	fake_nodes_allow("0-2");
	CHECK_EQ(knuma_trim(), 0);
	one_of_each(NUMA_NO_NODE, GFP_KERNEL, 0);
	one_of_each(0, GFP_KERNEL | __GFP_THISNODE, 0);
}

/* What mbind(2) is asked for. */
static struct {
	uintptr_t at;
	size_t len;
	int node;
} bound[16];
static int nr_bound;

static int record_mbind(void *addr, size_t len, int node)
{
	if (nr_bound < 16)
		bound[nr_bound++] =
			(typeof(bound[0])){(uintptr_t)addr, len, node};
	return 0;
}

static bool is_bound(const void *p, size_t len, int node)
{
	for (int i = 0; i < nr_bound; i++)
		if (bound[i].node == node && bound[i].at <= (uintptr_t)p &&
		    (uintptr_t)p + len <= bound[i].at + bound[i].len)
			return true;
	return false;
}

/* Windows are bound whole and once: no call comes with an allocation. */
static void windows_and_their_descriptors_are_bound(void)
{
	const struct fake_node node[] = {{0, "0-255", 1, "10 20"},
					 {5, "", 1, "20 10"}};

	fake_nodes_as("0-7", node, 2);
	kn_machine.mbind_preferred = record_mbind;
	start_quiet();
	for (int dense = 0; dense < 2; dense++) {
		const int id = kn_topo.kernel_id[dense];
		void *p = kmalloc_node(100000, GFP_KERNEL, id);
		void *q = vmalloc_node(100000, id);
		const struct page *page = virt_to_page(p);

		CHECK(is_bound(p, 100000, id));
		CHECK(is_bound(q, 100000, id));
		CHECK(is_bound((void *)kn_window_base(dense),
			       (size_t)1 << kn_span.window_shift, id));
		CHECK(is_bound(page, KN_PAGE_DESC_SIZE, id));
		CHECK(!is_bound(p, 1, id ? 0 : 5));
	}
}

/* Freed areas come back without a look at the node. */
static void a_loop_of_areas_reads_no_file(void)
{
	int before;

	fake_nodes(2);
	start_quiet();
	for (int i = 0; i < 3; i++)
		vfree(vmalloc_node(MIB, 1));
	before = fake_sysfs_reads();
	for (int i = 0; i < 5000; i++) {
		char *p = vmalloc_node(MIB, 1);

		CHECK_EQ(knuma_node_of(p), 1);
		vfree(p);
	}
	CHECK_EQ(fake_sysfs_reads() - before, 0);
}

/* An area that lies ready on a node serves, though nothing is free there. */
static void kept_areas_of_a_full_node(void)
{
	char *p;

	fake_nodes(2);
	start_quiet();
	p = vmalloc_node(MIB, 1);
	memset(p, 1, MIB);
	vfree(p);
	fake_node_free_mib(1, 0);
	for (int i = 0; i < 2000; i++) {
		p = __vmalloc_node(MIB, 1, GFP_KERNEL | __GFP_THISNODE, 1,
				   NULL);
		CHECK(p);
		vfree(p);
	}
}

static void pages_in_use_are_reused_on_a_full_node(void)
{
	static void *p[2000];

	fake_nodes(2);
	start_quiet();
	for (int i = 0; i < 2000; i++)
		p[i] = kmalloc_node(1000, GFP_KERNEL, 1);
	for (int i = 0; i < 2000; i++)
		kfree(p[i]);
	fake_node_free_mib(1, 0);
	for (int i = 0; i < 1500; i++) {
		p[i] = kmalloc_node(1000, GFP_KERNEL | __GFP_THISNODE, 1);
		CHECK(p[i]);
	}
	for (int i = 0; i < 1500; i++)
		kfree(p[i]);
}

static void without_meminfo_the_fault_decides(void)
{
	fake_nodes(2);
	fake_sysfs_remove("node/node1/meminfo");
	start_quiet();
	one_of_each(1, GFP_KERNEL | __GFP_THISNODE, 1);
	one_of_each(0, GFP_KERNEL, 0);
}

static void requests_that_may_not_wait(void)
{
	void *p, *q;

	fake_nodes(2);
	start_here();
	/* Nothing is on node 1 yet: another serves, or nobody. */
	kfree(kmalloc_node(64, GFP_KERNEL, 0));
	p = kmalloc_node(64, GFP_NOWAIT, 1);
	CHECK(!p || knuma_node_of(p) == 0);
	kfree(p);
	CHECK_FAILS(kmalloc_node(64, GFP_NOWAIT | __GFP_THISNODE, 1), ENOMEM);
	kfree(kmalloc_node(64, GFP_KERNEL, 1));
	q = kmalloc_node(64, GFP_NOWAIT | __GFP_THISNODE, 1);
	CHECK(q && knuma_node_of(q) == 1);
	kfree(q);
}

static void sixty_four_nodes(void)
{
	static struct fake_node node[64];
	static char distance[64][256], id[64][16];

	for (int i = 0; i < 64; i++) {
		size_t len = 0;

		for (int k = 0; k < 64; k++)
			len += (size_t)snprintf(distance[i] + len,
						sizeof(distance[i]) - len,
						"%d ",
						i == k ? 10 : 20 + i / 8);
		snprintf(id[i], sizeof(id[i]), "%d", i);
		node[i] = (struct fake_node){i, i ? id[i] : "0,64-255", 1,
					     distance[i]};
	}
	fake_nodes_as("0-63", node, 64);
	start_quiet();
	CHECK_EQ(knuma_nr_nodes(), 64);
	for (int i = 0; i < 64; i++) {
		void *p = kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, i);
		void *q = vmalloc_node(100000, i);

		CHECK(p && q);
		CHECK_EQ(knuma_node_of(p), i);
		CHECK_EQ(knuma_node_of(q), i);
		kfree(p);
		vfree(q);
	}
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("allocated_bytes"), 0);
	heap_verify();
}

static void threads_on_many_nodes(void)
{
	fake_nodes(8);
	start_quiet();
	hammer(4, 150, NULL);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("numa_miss"), stat_of("numa_foreign"));
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(memory_comes_from_the_node_that_is_named),
		child_test(no_node_is_the_one_of_the_cpu),
		child_test(an_object_goes_home_when_it_is_freed),
		child_test(every_free_goes_home),
		child_test(a_full_node_is_followed_by_the_nearest),
		child_test(what_grows_stays_on_a_node_that_is_nearly_full),
		child_test(when_all_nodes_are_full),
		child_test(when_all_nodes_are_full_of_caches),
		child_test(watermarks_are_left_to_the_kernel),
		child_test(base_pages_where_no_huge_page_is_free),
		child_test(a_node_is_used_up_to_what_it_keeps),
		child_test(a_failure_is_told_once),
		child_test(a_node_without_memory),
		child_test(a_node_that_is_offline),
		child_test(ids_with_gaps),
		child_test(nodes_that_are_not_allowed),
		child_test(a_cpuset_that_changes),
		child_test(windows_and_their_descriptors_are_bound),
		child_test(a_loop_of_areas_reads_no_file),
		child_test(kept_areas_of_a_full_node),
		child_test(pages_in_use_are_reused_on_a_full_node),
		child_test(without_meminfo_the_fault_decides),
		child_test(requests_that_may_not_wait),
		child_test(sixty_four_nodes),
		child_test(threads_on_many_nodes),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
