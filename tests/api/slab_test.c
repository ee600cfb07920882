/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/slab.h>: caches of objects, sentence by sentence. */
#include <knuma/slab.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/magazine/ids.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

#define MANY 3000

static void *objects[MANY];

static void take(struct kmem_cache *s, int n)
{
	for (int i = 0; i < n; i++) {
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK(objects[i]);
	}
}

static void give(struct kmem_cache *s, int n)
{
	for (int i = 0; i < n; i++)
		kmem_cache_free(s, objects[i]);
}

static int constructed;

static void construct(void *obj)
{
	constructed++;
	memset(obj, 0x2a, 100);
}

static void both_forms_of_creation(void)
{
	struct kmem_cache_args args = {
		.align = 256,
		.useroffset = 8,
		.usersize = 8,
		.freeptr_offset = 16,
		.use_freeptr_offset = true,
		.ctor = construct,
	};
	static char text[1 << 16];
	struct kmem_cache *a, *b, *c, *d;
	char name[16] = "by-args";
	void *p;

	a = kmem_cache_create(name, 100, &args, 0);
	memset(name, 'x', sizeof(name)); /* copied */
	b = kmem_cache_create("defaults", 100, NULL, 0);
	c = kmem_cache_create("old", 100, 64, SLAB_NO_MERGE, construct);
	d = kmem_cache_create("old-plain", 100, 0, 0, NULL);
	/*
	 * checks kmem_cache_create: "the older form, with an alignment and a
	 * constructor", "The type of the third argument chooses", "or NULL for
	 * the defaults"
	 */
	CHECK(a && b && c && d);
	/* checks kmem_cache_create: "copied" */
	CHECK(knuma_view("slabinfo", text, sizeof(text)) > 0);
	CHECK_HAS(text, "\nby-args ");
	CHECK_EQ(kmem_cache_size(a), 100);
	CHECK_EQ(kmem_cache_size(d), 100);
	p = kmem_cache_alloc(a, GFP_KERNEL);
	/*
	 * checks kmem_cache_create: "8 bytes, or what @args, @align or
	 * SLAB_HWCACHE_ALIGN ask for"; kmem_cache_alloc_node: "as the cache was
	 * created", "is in the constructed state"
	 */
	CHECK(p && (uintptr_t)p % 256 == 0 && all_bytes(p, 100, 0x2a));
	kmem_cache_free(a, p);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	CHECK(p && (uintptr_t)p % 64 == 0 && all_bytes(p, 100, 0x2a));
	kmem_cache_free(c, p);
	CHECK_EQ(strlen(printed()), 0);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
	kmem_cache_destroy(c);
	kmem_cache_destroy(d);
	CHECK_EQ(strlen(printed()), 0);
}

struct conn {
	char pad;
	_Alignas(128) char lines[300];
};

static void kmem_cache_takes_it_all_from_the_struct(void)
{
	struct kmem_cache *s = KMEM_CACHE(conn, SLAB_HWCACHE_ALIGN);

	CHECK(s);
	CHECK_EQ(kmem_cache_size(s), sizeof(struct conn));
	take(s, 100);
	for (int i = 0; i < 100; i++)
		CHECK_EQ((uintptr_t)objects[i] % 128, 0);
	give(s, 100);
	kmem_cache_destroy(s);
}

static const unsigned int some_sizes[] = {1,	   7,
					  8,	   16,
					  17,	   24,
					  48,	   100,
					  257,	   511,
					  512,	   1000,
					  2049,	   4096,
					  5000,	   8193,
					  20000,   65536,
					  70000,   (1 << 20) - 1,
					  1 << 21, (3 << 20) + 1,
					  4 << 20};
#define NR_SIZES (sizeof(some_sizes) / sizeof(some_sizes[0]))

static void one_shape(unsigned int size, unsigned int align, slab_flags_t flags)
{
	struct kmem_cache *s =
		kmem_cache_create("shape", size, align, flags, NULL);
	const unsigned int least = align < 8 ? 8 : align;
	const int n = size > 100000 ? 5 : 300;

	CHECK(s);
	CHECK_EQ(kmem_cache_size(s), size);
	take(s, n);
	for (int i = 0; i < n; i++) {
		/* checks kmem_cache_args: "0 for 8" */
		CHECK_EQ((uintptr_t)objects[i] % least, 0);
		CHECK(ksize(objects[i]) >= size);
		pattern_fill(objects[i], size, (uint64_t)i);
	}
	for (int i = 0; i < n; i++)
		CHECK(pattern_holds(objects[i], size, (uint64_t)i));
	heap_verify();
	give(s, n);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
}

static void any_size_and_alignment(void)
{
	for (size_t i = 0; i < NR_SIZES; i++) {
		one_shape(some_sizes[i], 0, 0);
		one_shape(some_sizes[i], 16, 0);
		one_shape(some_sizes[i], 4096, 0);
	}
	for (unsigned int align = 1; align <= 4096; align *= 2)
		one_shape(40, align, 0);
	heap_verify();
	CHECK_EQ(strlen(printed()), 0);
}

static void hwcache_align_is_a_line_or_a_part_of_one(void)
{
	static const struct {
		unsigned int size, align;
	} row[] = {{8, 8},   {9, 16},  {16, 16}, {17, 32},  {32, 32},
		   {33, 64}, {64, 64}, {65, 64}, {1000, 64}};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct kmem_cache *s = kmem_cache_create(
			"line", row[i].size, 0, SLAB_HWCACHE_ALIGN, NULL);

		take(s, 200);
		for (int k = 0; k < 200; k++)
			CHECK_EQ((uintptr_t)objects[k] % row[i].align, 0);
		give(s, 200);
		kmem_cache_destroy(s);
	}
}

struct marked {
	struct marked *self;
	uint64_t rest[7];
};

static void mark(void *obj)
{
	struct marked *m = obj;

	constructed++;
	m->self = m;
	memset(m->rest, 0, sizeof(m->rest));
}

static void ctor_runs_once_and_the_state_stays(void)
{
	struct kmem_cache *s;
	int after_first;

	start_here();
	s = kmem_cache_create("marked", sizeof(struct marked), 0, 0, mark);
	take(s, MANY);
	after_first = constructed;
	/*
	 * checks kmem_cache_args: "called once for each object when its slab is
	 * made"
	 */
	CHECK(after_first >= MANY);
	/* What stays keeps its slabs, so nothing is constructed again. */
	for (int round = 1; round < 10; round++) {
		for (int i = 0; i < MANY; i++) {
			struct marked *m = objects[i];

			CHECK_EQ(m->self, m);
			CHECK(all_bytes(m->rest, sizeof(m->rest), 0));
		}
		for (int i = 0; i < MANY; i += 2)
			kmem_cache_free(s, objects[i]);
		for (int i = 0; i < MANY; i += 2)
			objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		CHECK_EQ(constructed, after_first);
	}
	give(s, MANY);
	kmem_cache_destroy(s);
	heap_verify();
}

static void zero_and_a_constructor_warn_once(void)
{
	struct kmem_cache *s = kmem_cache_create("ctor", 100, 0, 0, construct);
	void *p = kmem_cache_zalloc(s, GFP_KERNEL);

	/*
	 * checks kmem_cache_alloc_node: "__GFP_ZERO warns once there, and has
	 * no effect"
	 */
	CHECK(p && all_bytes(p, 100, 0x2a));
	CHECK_EQ(printed_times("constructor"), 1);
	kmem_cache_free(s, p);
	p = kmem_cache_zalloc(s, GFP_KERNEL);
	CHECK(p && all_bytes(p, 100, 0x2a));
	kmem_cache_free(s, p);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, 50, objects),
		 50);
	for (int i = 0; i < 50; i++)
		CHECK(all_bytes(objects[i], 100, 0x2a));
	kmem_cache_free_bulk(s, 50, objects);
	CHECK_EQ(printed_times("constructor"), 1);
	kmem_cache_destroy(s);
}

static void zalloc_is_zero_up_to_ksize(void)
{
	struct kmem_cache *s = kmem_cache_create("zero", 50, 0, 0, NULL);

	take(s, 500);
	for (int i = 0; i < 500; i++)
		memset(objects[i], 0xff, ksize(objects[i]));
	give(s, 500);
	for (int i = 0; i < 500; i++) {
		objects[i] = kmem_cache_zalloc(s, GFP_KERNEL);
		CHECK(all_bytes(objects[i], ksize(objects[i]), 0));
		memset(objects[i], 0xff, ksize(objects[i]));
	}
	give(s, 500);
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, 500,
				       objects),
		 500);
	for (int i = 0; i < 500; i++)
		CHECK(all_bytes(objects[i], 50, 0));
	kmem_cache_free_bulk(s, 500, objects);
	kmem_cache_destroy(s);
}

static void creation_with_a_mistake(void)
{
	/*
	 * checks kmem_cache_create: "EINVAL when @name is NULL, @size is out of
	 * range"
	 */
	CHECK_FAILS(kmem_cache_create(NULL, 8, 0, 0, NULL), EINVAL);
	CHECK_FAILS(kmem_cache_create("", 8, 0, 0, NULL), EINVAL);
	CHECK_FAILS(kmem_cache_create("none", 0, 0, 0, NULL), EINVAL);
	CHECK_FAILS(kmem_cache_create("big", (4 << 20) + 1, 0, 0, NULL),
		    EINVAL);
	CHECK_FAILS(kmem_cache_create("huge", UINT32_MAX, NULL, 0), EINVAL);
	for (unsigned int align = 3; align < 5000; align += 2)
		CHECK_FAILS(kmem_cache_create("odd", 8, align, 0, NULL),
			    EINVAL);
	CHECK_FAILS(kmem_cache_create("odd", 8, 0xc0000000u, 0, NULL), EINVAL);
}

static void panic_on_mistake(void)
{
	(void)!kmem_cache_create("none", 0, 0, SLAB_PANIC, NULL);
}

static void panic_aborts(void)
{
	struct child c;

	child_run(panic_on_mistake, &c);
	/*
	 * checks kmem_cache_create: "With SLAB_PANIC a failure aborts the
	 * process"
	 */
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "SLAB_PANIC");
}

static void a_second_cache_of_a_name_warns(void)
{
	struct kmem_cache *a = kmem_cache_create("twin", 64, 0, 0, NULL);
	struct kmem_cache *b = kmem_cache_create("twin", 64, 0, 0, NULL);

	CHECK(a && b && a != b);
	CHECK_EQ(printed_times("twin"), 1);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
	b = kmem_cache_create("twin", 64, 0, 0, NULL);
	CHECK_EQ(printed_times("twin"), 1);
	kmem_cache_destroy(b);
}

static void bulk_is_n_or_none(void)
{
	struct kmem_cache *s = kmem_cache_create("bulk", 200, 0, 0, NULL);

	for (int n = 0; n <= 700; n += n < 70 ? 1 : 63) {
		/*
		 * checks kmem_cache_alloc_bulk: "@n, or 0 on failure", "room
		 * for n pointers"
		 */
		CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, (size_t)n,
					       objects),
			 n);
		for (int i = 0; i < n; i++)
			pattern_fill(objects[i], 200, (uint64_t)i);
		for (int i = 0; i < n; i++)
			CHECK(pattern_holds(objects[i], 200, (uint64_t)i));
		errno = 5;
		kmem_cache_free_bulk(s, (size_t)n, objects);
		CHECK_EQ(errno, 5);
	}
	heap_verify();
	kmem_cache_destroy(s);
}

static void bulk_with_flags_without_a_meaning(void)
{
	struct kmem_cache *s = kmem_cache_create("bulk", 200, 0, 0, NULL);

	CHECK_FAILS(kmem_cache_alloc_bulk(s, GFP_KERNEL | (gfp_t)1 << 29, 5,
					  objects),
		    EINVAL);
	CHECK_FAILS(kmem_cache_alloc(s, GFP_KERNEL | (gfp_t)1 << 29), EINVAL);
	kmem_cache_destroy(s);
}

static void free_bulk_of_any_caches(void)
{
	struct kmem_cache *a = kmem_cache_create("a", 64, 0, 0, NULL);
	struct kmem_cache *b = kmem_cache_create("b", 64, 0, 0, NULL);

	for (int i = 0; i < 900; i++)
		objects[i] = i % 3 == 0 ? kmem_cache_alloc(a, GFP_KERNEL) :
			     i % 3 == 1 ? kmem_cache_alloc(b, GFP_KERNEL) :
					  kmalloc((size_t)i * 9, GFP_KERNEL);
	kmem_cache_free_bulk(NULL, 900, objects);
	/* checks kmem_cache_free_bulk: "NULL for objects of any caches" */
	CHECK_EQ(kmem_cache_shrink(a), 0);
	CHECK_EQ(kmem_cache_shrink(b), 0);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

static void kfree_takes_objects_of_caches(void)
{
	struct kmem_cache *s = kmem_cache_create("kf", 300, 0, 0, NULL);

	take(s, 1000);
	for (int i = 0; i < 1000; i++)
		kfree(objects[i]);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
}

static void an_object_goes_home_from_the_wrong_cache(void)
{
	struct kmem_cache *a = kmem_cache_create("mine", 64, 0, 0, NULL);
	struct kmem_cache *b = kmem_cache_create("yours", 64, 0, 0, NULL);

	take(a, 10);
	give(b, 10);
	/* checks kmem_cache_free: "is freed to that one, and reported" */
	CHECK(printed_times("mine") >= 1 && printed_times("yours") >= 1);
	take(b, 500);
	for (int i = 0; i < 500; i++)
		CHECK_EQ(ksize(objects[i]), 64);
	give(b, 500);
	CHECK_EQ(kmem_cache_shrink(a), 0);
	CHECK_EQ(kmem_cache_shrink(b), 0);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
	heap_verify();
}

static void shrink_frees_what_is_not_used(void)
{
	struct kmem_cache *s;
	uint64_t with, without;

	start_here();
	s = kmem_cache_create("shrink", 1000, 0, 0, NULL);
	/* checks kmem_cache_shrink: "0 when no slab is left, 1 otherwise" */
	CHECK_EQ(kmem_cache_shrink(s), 0);
	take(s, MANY);
	with = stat_of("slab_bytes");
	CHECK_EQ(kmem_cache_shrink(s), 1);
	CHECK_EQ(stat_of("slab_bytes"), with);
	for (int i = 1; i < MANY; i++)
		kmem_cache_free(s, objects[i]);
	CHECK_EQ(kmem_cache_shrink(s), 1);
	without = stat_of("slab_bytes");
	/*
	 * checks kmem_cache_shrink: "Empties the arrays of all CPUs and frees
	 * the slabs"
	 */
	CHECK(with - without > 900u * MANY);
	kmem_cache_free(s, objects[0]);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	CHECK(stat_of("slab_bytes") < without);
	kmem_cache_destroy(s);
}

static void destroy_of_nothing(void)
{
	kmem_cache_destroy(NULL);
	CHECK_EQ(strlen(printed()), 0);
}

static void live_objects_are_reported_and_stay(void)
{
	struct kmem_cache *s = kmem_cache_create("leaky", 100, 0, 0, NULL);
	char object[40];

	take(s, 200);
	for (int i = 3; i < 200; i++)
		kmem_cache_free(s, objects[i]);
	for (int i = 0; i < 3; i++)
		pattern_fill(objects[i], 100, (uint64_t)i);
	kmem_cache_destroy(s);
	/*
	 * checks kmem_cache_destroy: "are reported, and they and their slabs
	 * are leaked"
	 */
	CHECK_EQ(printed_times("leaky"), 1);
	CHECK_EQ(printed_times(" @offset="), 3);
	for (int i = 0; i < 3; i++) {
		snprintf(object, sizeof(object), "%p", objects[i]);
		CHECK_EQ(printed_times(object), 1);
	}
	/* Usable memory still, that nobody else is given. */
	s = kmem_cache_create("next", 100, 0, 0, NULL);
	for (int i = 3; i < MANY; i++) {
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		memset(objects[i], 0, 100);
	}
	for (int i = 0; i < 3; i++)
		CHECK(pattern_holds(objects[i], 100, (uint64_t)i));
	for (int i = 3; i < MANY; i++)
		kmem_cache_free(s, objects[i]);
	/* And may still be freed. */
	for (int i = 0; i < 3; i++)
		kfree(objects[i]);
	kmem_cache_destroy(s);
	heap_verify();
}

/* A full slab is on no list; its objects are found all the same. */
static void live_objects_of_full_slabs_are_reported(void)
{
	struct kmem_cache *s = kmem_cache_create("full", 2000, 0, 0, NULL);

	take(s, 100);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times(" @offset="), 100);
	CHECK_EQ(printed_times("BUG full: Objects remaining on "
			       "__kmem_cache_shutdown(): 100"),
		 1);
}

static void destroying_twice_is_reported(void)
{
	struct kmem_cache *s = kmem_cache_create("gone", 64, 0, 0, NULL);

	misuse_catch();
	kmem_cache_destroy(s);
	CHECK_EQ(misuse_count(), 0);
	kmem_cache_destroy(s);
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "kmem_cache_destroy");
}

static void a_cache_takes_over_what_another_left(void)
{
	uint64_t managed = 0, metadata = 0;

	start_here();
	for (int round = 0; round < 200; round++) {
		struct kmem_cache *s = kmem_cache_create(
			"phoenix", (unsigned)(16 + round * 24), 0, 0, NULL);

		CHECK(s);
		take(s, 300);
		for (int i = 0; i < 300; i++)
			memset(objects[i], round, kmem_cache_size(s));
		give(s, 300);
		kmem_cache_destroy(s);
		if (round == 100) {
			managed = stat_of("page_managed_bytes");
			metadata = stat_of("metadata_bytes");
		}
	}
	CHECK(stat_of("page_managed_bytes") <= managed + (8 << 20));
	CHECK(stat_of("metadata_bytes") <= metadata + (4 << 20));
	heap_verify();
}

/* More than there are numbers for. */
#define NR_CACHES 2048

static struct kmem_cache *caches[NR_CACHES];
static void *held[NR_CACHES][5];

static void one_of_many(int c)
{
	for (int i = 0; i < 5; i++) {
		CHECK(held[c][i]);
		CHECK_EQ(ksize(held[c][i]) >= kmem_cache_size(caches[c]), 1);
		CHECK(pattern_holds(held[c][i], kmem_cache_size(caches[c]),
				    (uint64_t)c * 5 + (uint64_t)i));
	}
}

static void fill_one_of_many(int c)
{
	for (int i = 0; i < 5; i++) {
		held[c][i] = kmem_cache_alloc(caches[c], GFP_KERNEL);
		CHECK(held[c][i]);
		pattern_fill(held[c][i], kmem_cache_size(caches[c]),
			     (uint64_t)c * 5 + (uint64_t)i);
	}
}

static void empty_one_of_many(int c)
{
	for (int i = 0; i < 4; i++)
		kmem_cache_free(caches[c], held[c][i]);
	kmem_cache_free_bulk(caches[c], 1, &held[c][4]);
	CHECK_EQ(kmem_cache_alloc_bulk(caches[c], GFP_KERNEL, 100, objects),
		 100);
	kmem_cache_free_bulk(NULL, 100, objects);
}

static void as_many_caches_as_there_are_numbers(void)
{
	char name[24];
	int nr = 0;

	for (; nr < NR_CACHES; nr++) {
		snprintf(name, sizeof(name), "many-%d", nr);
		errno = 0;
		caches[nr] = kmem_cache_create(name, 16 + (unsigned)nr % 700, 0,
					       0, NULL);
		if (!caches[nr])
			break;
		fill_one_of_many(nr);
	}
	/* What docs/design/magazine.md says, without those of kmalloc. */
	/* checks kmem_cache_create: "about 1,800 caches exist" */
	CHECK(nr >= 1650 && nr < NR_CACHES);
	CHECK_EQ(errno, ENOMEM);
	for (int c = 0; c < nr; c++)
		one_of_many(c);
	for (int c = 0; c < nr; c++)
		empty_one_of_many(c);
	heap_verify();
	for (int c = nr - 1; c >= 0; c--) {
		CHECK_EQ(kmem_cache_shrink(caches[c]), 0);
		kmem_cache_destroy(caches[c]);
	}
	/* Their numbers serve again. */
	for (int c = 0; c < nr; c++) {
		caches[c] =
			kmem_cache_create("again", 64, 0, SLAB_NO_MERGE, NULL);
		CHECK(caches[c]);
		kmem_cache_free(caches[c],
				kmem_cache_alloc(caches[c], GFP_KERNEL));
		kmem_cache_destroy(caches[c]);
	}
}

static void nodes_of_a_cache(void)
{
	struct kmem_cache *s = kmem_cache_create("node", 64, 0, 0, NULL);
	void *p = kmem_cache_alloc_node(s, GFP_KERNEL, 0);
	void *q = kmem_cache_alloc_node(s, GFP_KERNEL | __GFP_THISNODE, 0);
	void *r = kmem_cache_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE);
	const uint64_t before = stat_of("invalid_node");

	CHECK(p && q && r);
	CHECK_FAILS(kmem_cache_alloc_node(s, GFP_KERNEL, -2), EINVAL);
	CHECK_FAILS(kmem_cache_alloc_node(s, GFP_KERNEL, 4096), EINVAL);
	CHECK_FAILS(kmem_cache_alloc_node(s, GFP_NOWAIT, 4096), EINVAL);
	CHECK_EQ(stat_of("invalid_node") - before, 3);
	CHECK_EQ(printed_times("not a possible node"), 1);
	kmem_cache_free(s, p);
	kmem_cache_free(s, q);
	kmem_cache_free(s, r);
	kmem_cache_free(s, NULL);
	kmem_cache_destroy(s);
}

static void sheaf_capacity_of_all_kinds(void)
{
	static const unsigned int capacity[] = {0, 1, 2, 3, 60, 126, 127, 5000};

	for (size_t i = 0; i < sizeof(capacity) / sizeof(capacity[0]); i++) {
		struct kmem_cache_args args = {.sheaf_capacity = capacity[i]};
		struct kmem_cache *s = kmem_cache_create("sheaf", 64, &args, 0);

		/*
		 * checks kmem_cache_args: "0 for a default that follows from
		 * the size"
		 */
		CHECK(s);
		for (int round = 0; round < 3; round++) {
			take(s, 1000);
			for (int k = 0; k < 1000; k++)
				pattern_fill(objects[k], 64, (uint64_t)k);
			for (int k = 0; k < 1000; k++)
				CHECK(pattern_holds(objects[k], 64,
						    (uint64_t)k));
			give(s, 1000);
		}
		CHECK_EQ(kmem_cache_shrink(s), 0);
		kmem_cache_destroy(s);
	}
	heap_verify();
}

static void every_flag_is_accepted(void)
{
	for (unsigned int bit = 0; bit < 20; bit++) {
		const slab_flags_t flag = (slab_flags_t)1 << bit;
		struct kmem_cache *s;

		/* One prints, the other fails. */
		if (flag & (SLAB_TRACE | SLAB_FAILSLAB))
			continue;
		s = kmem_cache_create("flag", 100, 0, flag, NULL);
		CHECK(s);
		take(s, 100);
		give(s, 100);
		kmem_cache_destroy(s);
	}
	CHECK_EQ(printed_times("knuma: "), 0);
}

static void a_typesafe_cache_gives_nothing_back(void)
{
	struct kmem_cache *s;
	uint64_t bytes;
	void *p;

	start_here();
	/* Nothing else has a slab that a trim could give back. */
	CHECK_EQ(knuma_trim(), 0);
	s = kmem_cache_create("typesafe", 100, 0, SLAB_TYPESAFE_BY_RCU, NULL);
	take(s, MANY);
	for (int i = 0; i < MANY; i++)
		memset(objects[i], 0x5a, 100);
	bytes = stat_of("slab_bytes");
	give(s, MANY);
	CHECK_EQ(kmem_cache_shrink(s), 1);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("slab_bytes"), bytes);
	/* What a reader would see: objects of the cache, as they were left. */
	for (int i = 0; i < MANY; i++)
		CHECK(all_bytes(launder(objects[i]), 100, 0x5a));
	/* Not wiped for a new owner either, unless it asks. */
	p = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK(all_bytes(p, 100, 0x5a));
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
	CHECK(stat_of("slab_bytes") < bytes);
	heap_verify();
}

static void a_free_makes_no_system_call(void)
{
	struct kmem_cache *s;

	start_here();
	s = kmem_cache_create("quiet", 700, 0, 0, NULL);
	take(s, MANY);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	errno = 6;
	give(s, MANY - 500);
	kmem_cache_free_bulk(s, 500, &objects[MANY - 500]);
	CHECK_EQ(errno, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(both_forms_of_creation),
		child_test(kmem_cache_takes_it_all_from_the_struct),
		child_test(any_size_and_alignment),
		child_test(hwcache_align_is_a_line_or_a_part_of_one),
		child_test(ctor_runs_once_and_the_state_stays),
		child_test(zero_and_a_constructor_warn_once),
		child_test(zalloc_is_zero_up_to_ksize),
		child_test(creation_with_a_mistake),
		child_test(panic_aborts),
		child_test(a_second_cache_of_a_name_warns),
		child_test(bulk_is_n_or_none),
		child_test(bulk_with_flags_without_a_meaning),
		child_test(free_bulk_of_any_caches),
		child_test(kfree_takes_objects_of_caches),
		child_test(an_object_goes_home_from_the_wrong_cache),
		child_test(shrink_frees_what_is_not_used),
		child_test(destroy_of_nothing),
		child_test(live_objects_are_reported_and_stay),
		child_test(live_objects_of_full_slabs_are_reported),
		child_test(destroying_twice_is_reported),
		child_test(a_cache_takes_over_what_another_left),
		child_test(as_many_caches_as_there_are_numbers),
		child_test(nodes_of_a_cache),
		child_test(sheaf_capacity_of_all_kinds),
		child_test(every_flag_is_accepted),
		child_test(a_typesafe_cache_gives_nothing_back),
		child_test(a_free_makes_no_system_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
