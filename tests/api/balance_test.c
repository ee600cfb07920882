/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The levels of the statistics add up, as docs/design/config-and-stats.md has
 * it, and are what a program did and what the pages of the heap say.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/kmalloc.h>
#include <knuma/page.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/magazine/ids.h"
#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

static char json[1 << 16];

static uint64_t in_json(enum kn_stat id)
{
	char member[64];
	const char *at;

	snprintf(member, sizeof(member), "\"%s\":", kn_stat_rows[id].name);
	at = strstr(json, member);
	if (!at)
		check_failed(__FILE__, __LINE__, member);
	return strtoull(at + strlen(member), NULL, 10);
}

/* A new reading, in which each total is the sum of its parts. */
static void read_balanced(void)
{
	CHECK(knuma_stats_json(json, sizeof(json)) < sizeof(json));
	for (int i = 0; i < KN_NR_PARTS; i++) {
		const enum kn_stat total = kn_parts[i].total;
		uint64_t sum = 0;

		for (int k = 0; k < KN_NR_PARTS; k++)
			if (kn_parts[k].total == total)
				sum += in_json(kn_parts[k].part);
		if (sum != in_json(total))
			check_failed(__FILE__, __LINE__,
				     kn_stat_rows[total].name);
	}
}

static bool stop;

static void *work(void *unused)
{
	void *obj[64], *area;

	(void)unused;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 64; i++)
			obj[i] = kmalloc((size_t)(i * i * 7), GFP_KERNEL);
		area = vmalloc(300000);
		for (int i = 0; i < 64; i++)
			kfree(obj[i]);
		vfree(area);
	}
	return NULL;
}

/* Bytes by what the map says of each page: slabs; blocks and runs in use. */
static void walk(uint64_t *slabs, uint64_t *pages)
{
	*slabs = *pages = 0;
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const uintptr_t base = kn_window_base(node);
		const uint32_t first = kn_pfn((void *)base);
		const uint64_t nr = (kn_zones[node].grown - base) >>
				    KN_PAGE_SHIFT;

		for (uint64_t i = 0; i < nr; i++) {
			const uint32_t pfn = first + (uint32_t)i;
			const uint32_t id = kn_map_id(pfn);

			if (id >= KN_ID_FIRST_CACHE)
				*slabs += KN_PAGE_SIZE;
			else if (id == KN_ID_PAGES)
				*pages += KN_PAGE_SIZE << kn_page(pfn)->order;
			else if (id == KN_ID_LARGE)
				*pages += kn_page(pfn)->nr_pages
					  << KN_PAGE_SHIFT;
		}
	}
}

/* Each level, asked for alone, from where it comes from. */
static void read_alone(void)
{
	for (int i = 0; i < KN_NR_PARTS; i++) {
		const enum kn_stat total = kn_parts[i].total;

		CHECK_EQ(in_json(total), stat_of(kn_stat_rows[total].name));
	}
}

/* S7: what was counted is what the slabs say. */
static void compare_counts(struct kmem_cache *s, void *nr)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		CHECK_EQ(kn_slab_out(s, node), kn_slab_in_use(s, node));
		*(uint64_t *)nr += kn_slab_out(s, node);
	}
}

static void sums_hold_busy_and_idle(void)
{
	pthread_t thread[3];
	uint64_t slabs, pages, nr = 0;
	void *one;

	conf("background", "no");
	conf("trim_delay_ms", "0");
	read_balanced();
	one = kmalloc(100, GFP_KERNEL);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, work, NULL), 0);
	for (int i = 0; i < 200; i++) {
		read_balanced();
		CHECK(in_json(KN_STAT_mapped_bytes) >=
		      in_json(KN_STAT_active_bytes));
		CHECK(in_json(KN_STAT_active_bytes) >=
		      in_json(KN_STAT_allocated_bytes));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	read_balanced();
	read_alone();
	kn_cache_each(compare_counts, &nr);
	CHECK(nr > 0);
	CHECK(in_json(KN_STAT_mapped_bytes) > 0);
	/* What lies in the lists of pages is out of the zone, but not in use. */
	CHECK_EQ(knuma_trim(), 0);
	read_balanced();
	walk(&slabs, &pages);
	CHECK_EQ(in_json(KN_STAT_slab_bytes), slabs);
	CHECK_EQ(in_json(KN_STAT_page_bytes), pages);
	CHECK_EQ(in_json(KN_STAT_cached_bytes), 0);
	kfree(one);
}

/* What the program itself holds. */
static uint64_t held(void)
{
	read_balanced();
	return in_json(KN_STAT_allocated_bytes) - in_json(KN_STAT_cached_bytes);
}

static void what_is_held_is_what_was_allocated(void)
{
	static void *obj[1000];
	struct page *pages;
	uint64_t before;
	void *area;

	start_here();
	CHECK_EQ(knuma_trim(), 0);
	before = held();
	for (int i = 0; i < 1000; i++)
		obj[i] = kmalloc(500, GFP_KERNEL);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(held() - before, 1000 * 512);
	pages = alloc_pages(GFP_KERNEL, 5);
	CHECK(pages);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(held() - before, 1000 * 512 + (KN_PAGE_SIZE << 5));
	area = vmalloc(1 << 20);
	CHECK(area);
	/* With its guard. */
	CHECK_EQ(in_json(KN_STAT_vmalloc_bytes), 0);
	CHECK(held() - before >= 1000 * 512 + (KN_PAGE_SIZE << 5) + (1 << 20));
	vfree(area);
	CHECK_EQ(held() - before, 1000 * 512 + (KN_PAGE_SIZE << 5));
	__free_pages(pages, 5);
	for (int i = 0; i < 1000; i++)
		kfree(obj[i]);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(held(), before);
}

/* Objects that were freed: first the magazine's, what is too many the depot's. */
static void what_is_freed_is_in_magazine_and_depot(void)
{
	static void *obj[1000];
	uint64_t magazines, metadata;

	conf("background", "no");
	conf("trim_delay_ms", "0");
	start_here();
	kfree(kmalloc(64, GFP_KERNEL));
	CHECK_EQ(knuma_trim(), 0);
	read_balanced();
	CHECK_EQ(in_json(KN_STAT_cached_magazine_bytes), 0);
	CHECK_EQ(in_json(KN_STAT_cached_depot_bytes), 0);
	metadata = in_json(KN_STAT_metadata_bytes);
	for (int i = 0; i < 1000; i++)
		obj[i] = kmalloc(4096, GFP_KERNEL);
	read_balanced();
	/* 64 bytes of descriptor and 4 of the map a page; some were in use. */
	CHECK(in_json(KN_STAT_metadata_bytes) >= metadata + 900 * 68);
	magazines = in_json(KN_STAT_cached_magazine_bytes);
	kfree(obj[0]);
	read_balanced();
	CHECK_EQ(in_json(KN_STAT_cached_magazine_bytes), magazines + 4096);
	CHECK_EQ(in_json(KN_STAT_cached_depot_bytes), 0);
	for (int i = 1; i < 1000; i++)
		kfree(obj[i]);
	read_balanced();
	CHECK(in_json(KN_STAT_cached_depot_bytes) > 0);
	CHECK(in_json(KN_STAT_cached_bytes) <=
	      in_json(KN_STAT_allocated_bytes));
	CHECK_EQ(knuma_trim(), 0);
	read_balanced();
	CHECK_EQ(in_json(KN_STAT_cached_bytes), 0);
}

static void what_was_used_is_warm_until_it_is_trimmed(void)
{
	struct page *pages;
	uint64_t warm;

	conf("background", "no");
	conf("trim_delay_ms", "0");
	conf("reserve", "0");
	start_here();
	kfree(kmalloc(64, GFP_KERNEL));
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("page_warm_bytes"), 0);
	pages = alloc_pages(GFP_KERNEL, 8);
	CHECK(pages);
	warm = stat_of("page_warm_bytes");
	__free_pages(pages, 8);
	CHECK_EQ(stat_of("page_warm_bytes"), warm + (KN_PAGE_SIZE << 8));
	CHECK(stat_of("page_warm_bytes") <= stat_of("page_free_bytes"));
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("page_warm_bytes"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(sums_hold_busy_and_idle),
		child_test(what_is_freed_is_in_magazine_and_depot),
		child_test(what_was_used_is_warm_until_it_is_trimmed),
		child_test(what_is_held_is_what_was_allocated),
	};

	return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
