/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings init_on_free, check_on_reuse, random_order, quarantine, and
 * `secure`, which sets them all.
 */
#include <knuma/knuma.h>
#include <knuma/malloc.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "alloc/base/random.h"
#include "alloc/base/start.h"
#include "alloc/magazine/drain.h"
#include "alloc/slab/harden.h"
#include "alloc/view/whatis.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

static const size_t sizes[] = {1, 16, 40, 100, 512, 1024, 1025, 5000, 8192};
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Freed memory of slabs and pages stays readable. */
static bool is_wiped(const void *p, size_t size)
{
	return all_bytes(launder(p), size, 0);
}

static void nothing_of_an_object_is_left(void)
{
	conf("init_on_free", "yes");
	start_here();
	for (size_t i = 0; i < NR_SIZES; i++) {
		char *p = kmalloc(sizes[i], GFP_KERNEL);
		const size_t size = ksize(p);
		char *q = knuma_malloc(sizes[i]), *was;

		memset(p, 0xff, size);
		memset(q, 0xff, size);
		was = launder(p);
		kfree(p);
		CHECK(is_wiped(was, size));
		was = launder(q);
		knuma_free(q);
		CHECK(is_wiped(was, size));
	}
	heap_verify();
}

static void nor_of_many(void)
{
	struct kmem_cache *s;
	void *p[40], *was[40];

	conf("init_on_free", "yes");
	start_here();
	s = kmem_cache_create("many", 200, 0, 0, NULL);
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 40, p), 40);
		for (int i = 0; i < 40; i++) {
			memset(p[i], 0xff, 200);
			was[i] = launder(p[i]);
		}
		if (round == 0)
			kmem_cache_free_bulk(s, 40, p);
		else if (round == 1)
			kfree_bulk(40, p);
		else
			for (int i = 0; i < 40; i++)
				kmem_cache_free(s, p[i]);
		for (int i = 0; i < 40; i++)
			CHECK(is_wiped(was[i], 200));
	}
	kmem_cache_destroy(s);
	heap_verify();
}

/* Fills and frees objects of each way to free; they are wiped, and reused. */
static void use_and_reuse(struct kmem_cache *s)
{
	void *p[40], *was;

	for (int i = 0; i < 100; i++) {
		p[0] = kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOFAIL);
		CHECK(is_wiped(p[0], 200));
		memset(p[0], 0xff, 200);
		was = launder(p[0]);
		i % 2 ? kfree(p[0]) : kmem_cache_free(s, p[0]);
		CHECK(is_wiped(was, 200));
	}
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_NOFAIL, 40, p),
		 40);
	for (int i = 0; i < 40; i++) {
		CHECK(is_wiped(p[i], 200));
		memset(p[i], 0xff, 200);
	}
	kmem_cache_free_bulk(s, 40, p);
	CHECK_EQ(stat_of("written_free"), 0);
	CHECK_EQ(stat_of("double_free"), 0);
	heap_verify();
}

static void wiped_and_debugged(const char *setting, const char *value)
{
	struct kmem_cache *s;

	conf("profile", "secure");
	conf("guard_sample", "0");
	conf(setting, value);
	start_here();
	s = kmem_cache_create("both", 200, 0, 0, NULL);
	use_and_reuse(s);
	CHECK_EQ(knuma_conf_set("slab_debug", "FA"), 0);
	use_and_reuse(s);
	CHECK_EQ(knuma_conf_set("slab_debug", "-"), 0);
	use_and_reuse(s);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("remain"), 0);
}

static void nor_of_those_of_debugged_caches(void)
{
	wiped_and_debugged("slab_debug", "F");
}

static void nor_where_each_free_is_checked(void)
{
	wiped_and_debugged("check", "full");
}

static void nor_after_debugging_that_came_later(void)
{
	wiped_and_debugged("slab_debug", "-");
}

static void nor_of_pages_and_areas(void)
{
	struct page *page;
	char *p, *was;

	conf("init_on_free", "yes");
	start_here();
	page = alloc_pages(GFP_KERNEL, 2);
	p = page_address(page);
	memset(p, 0xff, 4 * 4096);
	__free_pages(page, 2);
	CHECK(is_wiped(p, 4 * 4096));
	p = kmalloc(100000, GFP_KERNEL);
	memset(p, 0xff, 100000);
	was = launder(p);
	kfree(p);
	CHECK(is_wiped(was, 100000));
	/* All of it in memory, and only a part; in one piece, and a large one. */
	for (int i = 0; i < 4; i++) {
		const size_t size = i < 2 ? 100000 : 3000000;

		p = vmalloc(size);
		memset(p, 0xff, i % 2 ? size : 5000);
		was = launder(p);
		vfree(p);
		CHECK(is_wiped(was, size));
	}
	heap_verify();
}

/* Memory that is locked is not given back, and is written over. */
static void nor_of_areas_that_stay(void)
{
	char *p, *was;

	conf("init_on_free", "yes");
	start_here();
	p = vmalloc(100000);
	memset(p, 0xff, 100000);
	was = launder(p);
	faults_install();
	faults_fail(FAULT_MADVISE, 1, FAULTS_FOR_EVER, EINVAL);
	vfree(p);
	faults_fail(FAULT_MADVISE, 0, 0, 0);
	CHECK(is_wiped(was, 100000));
}

static int constructed;

static void construct(void *obj)
{
	memset(obj, 0x5a, 100);
	constructed++;
}

static void constructed_objects_stay_so(void)
{
	struct kmem_cache *s;
	void *p;

	conf("secure", "yes");
	start_here();
	s = kmem_cache_create("made", 100, 0, 0, construct);
	for (int i = 0; i < 300; i++) {
		p = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(all_bytes(p, 100, 0x5a));
		kmem_cache_free(s, p);
	}
	CHECK(constructed < 300);
	/* Their pages serve others, of whom nothing is said. */
	kmem_cache_destroy(s);
	for (int i = 0; i < 300; i++)
		CHECK(all_bytes(kmalloc(100, GFP_KERNEL), 100, 0));
	CHECK_EQ(stat_of("written_free"), 0);
	heap_verify();
}

/* By each way to allocate that has a path of its own. */
static void *again(unsigned way, size_t size, int node)
{
	switch (way % 4) {
	case 0:
		return kmalloc(size, GFP_KERNEL);
	case 1:
		return kmalloc_node(size, GFP_KERNEL, node);
	case 2:
		return knuma_malloc(size);
	default:
		return knuma_calloc(1, size);
	}
}

/* The object that is freed last is handed out next. */
static void a_write_after_the_free_is_reported(void)
{
	int node;

	conf("init_on_free", "yes");
	conf("check_on_reuse", "yes");
	start_here();
	node = kn_topo.kernel_id[kn_this_node()];
	misuse_catch();
	for (size_t i = 0; i < 4 * NR_SIZES; i++) {
		const size_t size = sizes[i / 4];
		char *p = kmalloc(size, GFP_KERNEL), *was = launder(p);

		kfree(p);
		was[size - 1] = 1;
		misuse_forget();
		p = again(i, size, node);
		CHECK_EQ(p, was);
		CHECK_EQ(misuse_count(), 1);
		CHECK_HAS(misuse_last(), "use after free: byte ");
		CHECK_HAS(misuse_last(), "of cache kmalloc-");
		CHECK(all_bytes(p, ksize(p), 0));
		kfree(p);
	}
	CHECK_EQ(stat_of("written_free"), 4 * NR_SIZES);
	heap_verify();
}

static void in_many_at_once(void)
{
	struct kmem_cache *s;
	void *p[20];
	char *was;

	conf("init_on_free", "yes");
	conf("check_on_reuse", "yes");
	start_here();
	misuse_catch();
	s = kmem_cache_create("bulk", 64, 0, 0, NULL);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 20, p), 20);
	was = launder(p[7]);
	kfree_bulk(20, p);
	was[63] = 1;
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 20, p), 20);
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "byte 63 of object");
	kfree_bulk(20, p);
	kmem_cache_destroy(s);
	heap_verify();
}

static void what_is_asked_for_as_zero_is_zero(void)
{
	conf("secure", "yes");
	start_here();
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < NR_SIZES; i++) {
			char *p = kzalloc(sizes[i], GFP_KERNEL);
			char *q = knuma_calloc(1, sizes[i]);

			CHECK(all_bytes(p, sizes[i], 0));
			CHECK(all_bytes(q, sizes[i], 0));
			memset(p, 0xff, sizes[i]);
			memset(q, 0xff, sizes[i]);
			kfree(p);
			knuma_free(q);
		}
	CHECK_EQ(stat_of("written_free"), 0);
	heap_verify();
}

static void a_free_inside_an_object_writes_nothing(void)
{
	char *p;

	conf("init_on_free", "yes");
	start_here();
	misuse_catch();
	p = kmalloc(256, GFP_KERNEL);
	memset(p, 0xff, 256);
	kfree(launder(p + 32));
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "not the start of an object");
	CHECK(all_bytes(p, 256, 0xff));
	kfree(p);
	heap_verify();
}

/* Without a quarantine it would be the next to be handed out. */
static void a_freed_object_waits(void)
{
	void *p, *q, *was;

	conf("quarantine", "8");
	start_here();
	for (size_t i = 0; sizes[i] <= 1024; i++) {
		p = kmalloc(sizes[i], GFP_KERNEL);
		was = launder(p);
		kfree(p);
		CHECK(kn_harden_waits(was));
		q = kmalloc(sizes[i], GFP_KERNEL);
		CHECK(q != was);
		kfree(q);
	}
	/* Of the larger ones none does. */
	p = kmalloc(2000, GFP_KERNEL);
	was = launder(p);
	kfree(p);
	CHECK(!kn_harden_waits(was));
	heap_verify();
}

static void a_second_free_meanwhile_is_reported(void)
{
	void *p, *was;

	conf("quarantine", "8");
	start_here();
	misuse_catch();
	p = kmalloc(100, GFP_KERNEL);
	was = launder(p);
	kfree(p);
	kfree(launder(was));
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "double free");
	CHECK_EQ(stat_of("double_free"), 1);
	/* It waits once. */
	kn_harden_flush();
	CHECK(!kn_harden_waits(was));
	heap_verify();
}

/* It has no tick of its own, as its magazines have none. */
static void who_waits_on_an_idle_cpu_goes_home(void)
{
	void *p, *was;

	conf("quarantine", "8");
	start_here();
	p = kmalloc(100, GFP_KERNEL);
	was = launder(p);
	kfree(p);
	kn_drain_idle();
	CHECK(kn_harden_waits(was));
	kn_drain_idle();
	CHECK(!kn_harden_waits(was));
	heap_verify();
}

/* A CPU has one quarantine, for objects of all nodes. */
/* The checks find it free, which a second free has to meet. */
static void who_waits_goes_home_when_debugging_begins(void)
{
	void *p, *was;

	conf("quarantine", "8");
	start_here();
	p = kmalloc(64, GFP_KERNEL);
	was = launder(p);
	kfree(p);
	CHECK(kn_harden_waits(was));
	CHECK_EQ(knuma_conf_set("slab_debug", "F,kmalloc-64"), 0);
	CHECK(!kn_harden_waits(was));
	kfree(was);
	CHECK_EQ(printed_times("Object already free"), 1);
	heap_verify();
}

/* Places where nothing waits are no objects. */
static void what_a_drain_counts_are_objects(void)
{
	struct kmem_cache *s;
	uint64_t before;

	conf("quarantine", "128");
	start_here();
	s = kmem_cache_create("few", 64, 0, 0, NULL);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	CHECK_EQ(kmem_cache_shrink(s), 0);
	before = stat_of("drained_objects");
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	CHECK_EQ(kmem_cache_shrink(s), 0);
	/* One that waited, and at most what a magazine has. */
	CHECK(stat_of("drained_objects") - before <= 1u + s->mag.most);
	CHECK(stat_of("drained_objects") > before);
	kmem_cache_destroy(s);
}

static void who_waits_goes_home_to_its_node(void)
{
	void *p, *was;
	uint64_t in_use;

	fake_nodes(2);
	conf("quarantine", "8");
	start_here();
	in_use = kn_slab_in_use(kn_kmalloc_cache(100), 1);
	p = kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, 1);
	CHECK(p);
	was = launder(p);
	kfree(p);
	CHECK(kn_harden_waits(was));
	kn_caches_reclaim();
	CHECK(!kn_harden_waits(was));
	CHECK_EQ(kn_slab_in_use(kn_kmalloc_cache(100), 1), in_use);
	heap_verify();
}

/* Places are part of what the first allocation of a CPU makes. */
static void without_memory_for_places_nothing_waits(void)
{
	void *p, *was;

	conf("quarantine", "8");
	conf("background", "no");
	keep_this_cpu();
	CHECK(kn_start());
	faults_install();
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p);
	was = launder(p);
	kfree(p);
	CHECK(!kn_harden_waits(was));
	faults_fail(FAULT_MMAP, 0, 0, 0);
	p = kmalloc(100, GFP_KERNEL);
	was = launder(p);
	kfree(p);
	CHECK(kn_harden_waits(was));
	heap_verify();
}

static void who_waits_does_not_hold_up_its_cache(void)
{
	struct kmem_cache *s;
	struct kn_text t;
	static char text[8192];
	void *p, *was;

	conf("quarantine", "8");
	start_here();
	s = kmem_cache_create("waits", 100, 0, 0, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	was = launder(p);
	kmem_cache_free(s, p);
	t = (struct kn_text){.buf = text, .size = sizeof(text)};
	kn_whatis_json(&t, (uintptr_t)was);
	CHECK_HAS(text, "\"quarantine\"");
	CHECK_EQ(kmem_cache_shrink(s), 0);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* In the order of addresses by chance: once in 4! * 8! * 16! * 32!. */
static void the_order_of_a_slab_is_not_that_of_addresses(void)
{
	enum {
		N = 60
	};
	struct kmem_cache *s;
	int down = 0;
	void *p[N];

	conf("random_order", "yes");
	start_here();
	s = kmem_cache_create("shuffled", 64, 0, 0, NULL);
	for (int i = 0; i < N; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		for (int k = 0; k < i; k++)
			CHECK(p[k] != p[i]);
		/* The last of a batch is handed out first. */
		down += i && p[i] < p[i - 1];
	}
	CHECK(down > 0 && down < N - 1);
	kmem_cache_free_bulk(s, N, p);
	kmem_cache_destroy(s);
	heap_verify();
}

/* Tables of the allocator. */

static volatile char *target;

static void read_target(void)
{
	(void)*target;
}

static bool is_closed(const void *p)
{
	target = (volatile char *)p;
	return child_faults(read_target);
}

static void a_page_that_faults_is_beside_each_table(void)
{
	char *p;

	conf("guard_metadata", "yes");
	start_here();
	p = kn_meta_alloc(5000, -1);
	CHECK(p && all_bytes(p, 8192, 0));
	memset(p, 1, 8192);
	CHECK(is_closed(p - 1));
	CHECK(is_closed(p + 8192));
	CHECK(!is_closed(p + 8191));
	kn_meta_free(p, 5000);
	CHECK(is_closed(p));
	heap_verify();
}

static void map_and_descriptors_stand_apart(void)
{
	char *map, *pages;

	start_here();
	map = (char *)kn_span.map;
	pages = kn_span.pages;
	CHECK(!is_closed(map));
	CHECK(is_closed(map - 1));
	CHECK(pages >= map + kn_span.map_bytes + KN_PAGE_SIZE);
	CHECK(is_closed(pages - 1));
	CHECK(is_closed((char *)kn_span.base - 1));
	CHECK((uintptr_t)pages +
		      (kn_span.size >> KN_PAGE_SHIFT) * KN_PAGE_DESC_SIZE <
	      kn_span.base);
}

static void print_distance(void)
{
	start_here();
	printf("%lx\n", (unsigned long)(kn_span.base - (uintptr_t)kn_span.map));
}

/*
 * A fork has its parent's generator, so each draws once more.  Four alike are one
 * in 2^54 of 64 GiB.
 */
static void where_they_begin_is_not_to_be_foreseen(void)
{
	static struct child c[4];
	bool differ = false;

	for (int i = 0; i < 4; i++) {
		kn_random();
		child_run(print_distance, &c[i]);
		CHECK(child_passed(&c[i]) && c[i].text[0]);
		differ |= strcmp(c[i].text, c[0].text) != 0;
	}
	CHECK(differ);
}

static void no_memory_for_guards(void)
{
	conf("guard_metadata", "yes");
	start_here();
	faults_install();
	faults_fail(FAULT_MPROTECT, 1, 1, ENOMEM);
	CHECK_EQ(kn_meta_alloc(5000, -1), NULL);
	CHECK_EQ(faults_calls(FAULT_MUNMAP), 1);
	/* Not opened, and not given back. */
	faults_fail(FAULT_MPROTECT, 1, 1, ENOMEM);
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	CHECK_EQ(kn_meta_alloc(5000, -1), NULL);
	CHECK_EQ(faults_failed(), 3);
	CHECK(kn_meta_alloc(5000, -1));
}

/* Nobody has it any more, and nobody gets it. */
static void a_table_that_stays(void)
{
	char *p, *q;

	start_here();
	faults_install();
	p = kn_meta_alloc(5000, -1);
	CHECK(p);
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	kn_meta_free(p, 5000);
	CHECK_EQ(faults_failed(), 1);
	q = kn_meta_alloc(5000, -1);
	CHECK(q && (q + 8192 <= p || p + 8192 <= q));
	CHECK(!is_closed(p));
	heap_verify();
}

static bool is(const char *name, const char *value)
{
	char text[64];

	return knuma_conf_get(name, text, sizeof(text)) >= 0 &&
	       !strcmp(text, value);
}

static void secure_sets_them_all(void)
{
	conf("profile", "latency");
	conf("secure", "yes");
	conf("quarantine", "5");
	CHECK(is("init_on_free", "yes"));
	CHECK(is("check_on_reuse", "yes"));
	CHECK(is("random_order", "yes"));
	CHECK(is("guard_sample", "500000"));
	/* Later ones win, and another profile stays. */
	CHECK(is("quarantine", "5"));
	CHECK(is("reserve", "4M"));
	start_here();
	kfree(kmalloc(10, GFP_KERNEL));
}

static void no_is_nothing(void)
{
	conf("secure", "no");
	CHECK(is("init_on_free", "no"));
	CHECK(is("quarantine", "0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(nothing_of_an_object_is_left),
		child_test(nor_of_many),
		child_test(nor_of_those_of_debugged_caches),
		child_test(nor_where_each_free_is_checked),
		child_test(nor_after_debugging_that_came_later),
		child_test(nor_of_pages_and_areas),
		child_test(nor_of_areas_that_stay),
		child_test(constructed_objects_stay_so),
		child_test(a_write_after_the_free_is_reported),
		child_test(in_many_at_once),
		child_test(what_is_asked_for_as_zero_is_zero),
		child_test(a_free_inside_an_object_writes_nothing),
		child_test(a_freed_object_waits),
		child_test(a_second_free_meanwhile_is_reported),
		child_test(who_waits_on_an_idle_cpu_goes_home),
		child_test(who_waits_goes_home_to_its_node),
		child_test(who_waits_goes_home_when_debugging_begins),
		child_test(what_a_drain_counts_are_objects),
		child_test(without_memory_for_places_nothing_waits),
		child_test(who_waits_does_not_hold_up_its_cache),
		child_test(the_order_of_a_slab_is_not_that_of_addresses),
		child_test(a_page_that_faults_is_beside_each_table),
		child_test(map_and_descriptors_stand_apart),
		child_test(where_they_begin_is_not_to_be_foreseen),
		child_test(no_memory_for_guards),
		child_test(a_table_that_stays),
		child_test(secure_sets_them_all),
		child_test(no_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
