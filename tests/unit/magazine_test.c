/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Magazines and depots between a program and a source of objects, here one
 * that counts: what is refilled is somewhere, once, until it is flushed.
 */
#include "alloc/magazine/magazine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/config/tunables.h"
#include "alloc/magazine/drain.h"
#include "alloc/slab/cache.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

#define ID	900
#define OBJECTS 8000

/* The source.  An object is its number + 1, times 64. */
static struct kn_magcache c;
static uint64_t next_object;
static unsigned char place[OBJECTS]; /* 0: the source, 1: handed to the cache */
static uint32_t asked[64], nr_asked;
static bool dry;

static uint32_t number_of(void *obj)
{
	return (uint32_t)((uintptr_t)obj / 64 - 1);
}

static uint32_t refill(struct kn_magcache *mag, int node, gfp_t gfp, void **obj,
		       uint32_t n)
{
	uint32_t got = 0;

	(void)gfp;
	CHECK(mag == &c && node >= 0 && node < kn_topo.nr_nodes);
	CHECK(n >= 1 && n <= KN_BATCH_MAX);
	if (nr_asked < 64)
		asked[nr_asked++] = n;
	for (uint32_t i = 0; i < OBJECTS && got < n && !dry; i++) {
		const uint32_t k = (uint32_t)(next_object++ % OBJECTS);

		if (place[k])
			continue;
		place[k] = 1;
		obj[got++] = (void *)(uintptr_t)((k + 1) * 64);
	}
	return got;
}

static void flush(struct kn_magcache *mag, int node, void **obj, uint32_t n)
{
	CHECK(mag == &c && node >= 0);
	for (uint32_t i = 0; i < n; i++) {
		CHECK(number_of(obj[i]) < OBJECTS);
		CHECK_EQ(place[number_of(obj[i])], 1);
		place[number_of(obj[i])] = 0;
	}
}

static uint32_t nr_handed(void)
{
	uint32_t n = 0;

	for (int i = 0; i < OBJECTS; i++)
		n += place[i];
	return n;
}

static void make(size_t size)
{
	kn_magcache_init(&c, ID, size);
}

/* Objects in all magazines. */
static uint64_t present(void)
{
	uint64_t popped, n;

	kn_mag_totals(&popped, &n);
	return n;
}

static void begin(size_t size)
{
	start_here();
	c.refill = refill;
	c.flush = flush;
	c.depot = aligned_alloc(64, sizeof(*c.depot) * 8);
	CHECK(c.depot);
	memset(c.depot, 0, sizeof(*c.depot) * 8);
	make(size);
	misuse_catch();
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(present(), 0);
}

static void *get(void)
{
	void *p = kn_mag_alloc(&c, 0, GFP_KERNEL);

	CHECK(p);
	CHECK_EQ(place[number_of(p)], 1);
	return p;
}

static void an_object_has_one_place(void)
{
	static void *held[1500];
	static unsigned char out[OBJECTS];

	begin(64);
	for (int round = 0; round < 20; round++) {
		const int n = 100 + round * 70;

		memset(out, 0, sizeof(out));
		for (int i = 0; i < n; i++) {
			held[i] = get();
			CHECK_EQ(out[number_of(held[i])]++, 0);
		}
		for (int i = 0; i < n; i++)
			kn_mag_free(&c, 0, held[i]);
	}
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
	CHECK_EQ(misuse_count(), 0);
}

static void the_last_freed_is_the_first_out(void)
{
	void *a, *b;

	begin(64);
	a = get();
	b = get();
	kn_mag_free(&c, 0, a);
	kn_mag_free(&c, 0, b);
	CHECK_EQ(get(), b);
	CHECK_EQ(get(), a);
}

/* A small process stays small: refills begin small and double. */
static void refills_grow(void)
{
	static const uint32_t expected[] = {4, 8, 16, 32, 62, 62, 62};

	begin(64);
	while (nr_asked < 7)
		get();
	for (int i = 0; i < 7; i++)
		CHECK_EQ(asked[i], KN_MIN(expected[i], c.batch));
}

static void large_objects_have_few_places(void)
{
	begin(1 << 20);
	CHECK_EQ(c.capacity, 2);
	CHECK_EQ(c.batch, 1);
	make(1024);
	CHECK_EQ(c.capacity, 64);
	CHECK_EQ(c.batch, 32);
	make(16);
	CHECK_EQ(c.capacity, 126);
	CHECK_EQ(c.batch, KN_BATCH_MAX);
}

/* @n objects at a time, until all of them are in the magazine or @rounds. */
static bool fits_after(uint32_t n, int rounds)
{
	void *held[128];

	for (int round = 0; round < rounds; round++) {
		for (uint32_t i = 0; i < n; i++)
			held[i] = get();
		for (uint32_t i = 0; i < n; i++)
			kn_mag_free(&c, 0, held[i]);
		if (present() >= n)
			return true;
	}
	return false;
}

static void a_magazine_follows_misses(void)
{
	begin(8192);
	CHECK_EQ(c.capacity, 8);
	CHECK(!fits_after(100, 1));
	CHECK(fits_after(100, 20));
	CHECK(stat_of("magazine_widened") >= 4);
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
	/* Drained, it begins anew. */
	CHECK(!fits_after(100, 1));
	CHECK(kn_drain_cache(&c, false));
}

/* Frees alone, as of one who gets what others allocate, are no misses. */
static void what_only_frees_does_not_widen(void)
{
	static void *held[100];

	begin(8192);
	for (int i = 0; i < 100; i++)
		held[i] = get();
	for (int i = 0; i < 100; i++)
		kn_mag_free(&c, 0, held[i]);
	CHECK(stat_of("magazine_widened") <= 1);
	CHECK(present() <= 2u * c.capacity);
}

static void all_magazines_of_a_cpu_have_a_limit(void)
{
	conf("magazine_cpu_bytes", "200K");
	begin(8192);
	CHECK(!fits_after(8 + 26, 30));
	CHECK(present() <= 8 + 25 && present() > 8 + 25 - 2u * c.batch);
	CHECK(kn_drain_cache(&c, false));
	/* What was drained counts no more. */
	CHECK(!fits_after(8 + 26, 30));
	CHECK(present() <= 8 + 25 && present() > 8 + 25 - 2u * c.batch);
	CHECK(kn_drain_cache(&c, false));
}

static void no_magazine_is_widened(void)
{
	conf("magazine_cpu_bytes", "0");
	begin(8192);
	CHECK(!fits_after(9, 30));
	CHECK_EQ(stat_of("magazine_widened"), 0);
	CHECK(kn_drain_cache(&c, false));
}

/* The CPU goes on with other caches, which keep what they have. */
static void a_wide_magazine_that_is_not_used_is_drained(void)
{
	begin(8192);
	CHECK(fits_after(100, 20));
	for (int i = 0; i < 2; i++) {
		kfree(kmalloc(64, GFP_KERNEL));
		kfree(kmalloc(64, GFP_KERNEL));
		CHECK(present() >= 100);
		kn_drain_idle();
		kfree(kmalloc(100, GFP_KERNEL));
	}
	CHECK(present() < 100);
	CHECK_EQ(nr_handed(), c.depot[0].nr_full * c.batch);
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
}

/* All that is idle in one round, and so with one fence. */
static void what_is_idle_goes_in_one_round(void)
{
	static void *held[2][200];
	static const size_t size[] = {2048, 4096};
	uint64_t rounds;

	start_here();
	for (int round = 0; round < 8; round++)
		for (int k = 0; k < 2; k++) {
			for (int i = 0; i < 200; i++)
				held[k][i] = kmalloc(size[k], GFP_KERNEL);
			for (int i = 0; i < 200; i++)
				kfree(held[k][i]);
		}
	CHECK(stat_of("magazine_widened") >= 2);
	kfree(kmalloc(64, GFP_KERNEL));
	kn_drain_idle();
	kfree(kmalloc(64, GFP_KERNEL));
	rounds = stat_of("drain_rounds");
	kn_drain_idle();
	CHECK_EQ(stat_of("drain_rounds"), rounds + 1);
	heap_verify();
}

/* The rest goes home. */
static void a_depot_keeps_no_more_than_its_limit(void)
{
	static void *held[3000];

	conf("depot_batches", "3");
	begin(64);
	CHECK_EQ(c.depot_max, 3);
	for (int i = 0; i < 3000; i++)
		held[i] = get();
	for (int i = 0; i < 3000; i++)
		kn_mag_free(&c, 0, held[i]);
	CHECK(c.depot[0].nr_full <= 3);
	CHECK(nr_handed() <= 3u * c.batch + c.capacity);
	CHECK(nr_handed() >= c.capacity / 2u);
	CHECK_EQ(kn_depot_flush(&c, 0, 1), c.depot_max - 1);
	CHECK_EQ(c.depot[0].nr_full, 1);
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
}

static void batches_come_back_from_the_depot(void)
{
	static void *held[1000];
	uint32_t calls;

	begin(64);
	for (int i = 0; i < 1000; i++)
		held[i] = get();
	for (int i = 0; i < 1000; i++)
		kn_mag_free(&c, 0, held[i]);
	calls = nr_asked;
	for (int i = 0; i < 900; i++)
		held[i] = get();
	CHECK_EQ(nr_asked, calls);
	CHECK(stat_of("refill_depot") > 0);
}

static void bulk_gives_up_to_a_batch(void)
{
	void *obj[200], *more[KN_BATCH_MAX];
	uint32_t n, all = 0;

	begin(64);
	while (all < 150) {
		n = kn_mag_alloc_bulk(&c, 0, GFP_KERNEL, obj + all, 150 - all);
		CHECK(n >= 1 && n <= KN_BATCH_MAX);
		all += n;
	}
	for (uint32_t i = 0; i < 150; i++)
		for (uint32_t k = 0; k < i; k++)
			CHECK(obj[i] != obj[k]);
	for (uint32_t i = 0; i < 150; i += 50)
		kn_mag_free_bulk(&c, 0, obj + i, 50);
	CHECK(present() >= 50);
	CHECK_EQ(kn_mag_alloc_bulk(&c, 0, GFP_KERNEL, more, 10), 10);
	kn_mag_free_bulk(&c, 0, more, 10);
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
}

/* Copies of each length, even and odd, with and without room. */
static void bulk_of_more_than_a_batch(void)
{
	static void *obj[KN_MAG_SLOTS + 1];
	static unsigned char out[OBJECTS];

	begin(64);
	for (uint32_t n = 1; n <= KN_MAG_SLOTS; n++) {
		uint32_t got = 0;

		memset(out, 0, sizeof(out));
		while (got < n)
			got += kn_mag_alloc_bulk(&c, 0, GFP_KERNEL, obj + got,
						 n - got);
		CHECK_EQ(got, n);
		CHECK_EQ(obj[n], NULL);
		for (uint32_t i = 0; i < n; i++)
			CHECK_EQ(out[number_of(obj[i])]++, 0);
		kn_mag_free_bulk(&c, 0, obj, n);
	}
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
	CHECK_EQ(misuse_count(), 0);
}

static void a_dry_source(void)
{
	void *obj[10];

	begin(64);
	dry = true;
	CHECK_EQ(kn_mag_alloc(&c, 0, GFP_KERNEL), NULL);
	CHECK_EQ(kn_mag_alloc_bulk(&c, 0, GFP_KERNEL, obj, 10), 0);
	CHECK_EQ(kn_mag_alloc(&c, 0, GFP_NOWAIT), NULL);
	dry = false;
	get();
}

/* Who may not wait leaves the last batch for those that are urgent. */
static void the_last_batch_is_for_urgent_calls(void)
{
	static void *held[400];
	uint32_t n = 0;

	begin(64);
	for (int i = 0; i < 400; i++)
		held[i] = get();
	for (int i = 0; i < 400; i++)
		kn_mag_free(&c, 0, held[i]);
	dry = true;
	while (kn_mag_alloc(&c, 0, GFP_NOWAIT))
		n++;
	CHECK(n > 200);
	CHECK_EQ(c.depot[0].nr_full, 1);
	CHECK_EQ(kn_mag_alloc(&c, 0, GFP_ATOMIC | __GFP_NOMEMALLOC), NULL);
	CHECK(kn_mag_alloc(&c, 0, GFP_ATOMIC) != NULL);
	CHECK_EQ(c.depot[0].nr_full, 0);
}

static void a_double_free_in_a_row_is_noticed(void)
{
	static void *held[500];

	begin(64);
	for (int i = 0; i < 500; i++)
		held[i] = get();
	for (int i = 0; i < 500; i++) {
		kn_mag_free(&c, 0, held[i]);
		if (i % 2)
			kn_mag_free(&c, 0, held[i]);
		else
			kn_mag_free_bulk(&c, 0, &held[i], 1);
		CHECK_EQ(misuse_count(), i + 1);
	}
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
}

/* After it is closed, what is freed goes straight to the source. */
static void a_closed_cache_keeps_nothing(void)
{
	static void *held[300];

	begin(64);
	for (int i = 0; i < 300; i++)
		held[i] = get();
	for (int i = 0; i < 100; i++)
		kn_mag_free(&c, 0, held[i]);
	CHECK(kn_drain_cache(&c, true));
	CHECK_EQ(nr_handed(), 200);
	for (int i = 100; i < 300; i++) {
		kn_mag_free(&c, 0, held[i]);
		CHECK_EQ(present(), 0);
	}
	CHECK_EQ(c.depot[0].nr_full * c.batch >= nr_handed(), true);
	kn_depot_flush(&c, 0, 0);
	CHECK_EQ(nr_handed(), 0);
	/* The next cache of this number starts anew. */
	kn_drain_reopen(ID);
	kn_magcache_init(&c, ID, 64);
	held[0] = get();
	kn_mag_free(&c, 0, held[0]);
	CHECK(present() > 0);
	CHECK_EQ(get(), held[0]);
}

/* @n batches of @nr objects in the depot, and nothing in magazines. */
static void fill_depot(int n, uint32_t nr)
{
	static void *held[3 * KN_BATCH_MAX];

	for (uint32_t i = 0; i < (uint32_t)n * nr; i++)
		held[i] = get();
	CHECK(kn_drain_cache(&c, false));
	for (int i = 0; i < n; i++)
		kn_mag_hand_over(&c, 0, held + (uint32_t)i * nr, nr);
	CHECK_EQ(c.depot[0].nr_full, n);
	CHECK_EQ(nr_handed(), (uint32_t)n * nr);
	CHECK_EQ(present(), 0);
}

static void two_batches_come_at_a_time(void)
{
	begin(64);
	fill_depot(3, c.batch);
	get();
	CHECK_EQ(present(), 2u * c.batch - 1);
	CHECK_EQ(c.depot[0].nr_full, 1);
	CHECK_EQ(stat_of("refill_depot"), 2);
}

static void a_second_batch_without_room_stays(void)
{
	conf("magazine_capacity", "62");
	begin(64);
	fill_depot(2, 40);
	get();
	CHECK_EQ(present(), 39);
	CHECK_EQ(c.depot[0].nr_full, 1);
	CHECK_EQ(stat_of("refill_depot"), 1);
}

/* The depot has it again, or the source where the depot is full. */
static void a_batch_that_no_magazine_takes(void)
{
	void *a, *b;

	begin(64);
	CHECK(kn_drain_cache(&c, true));
	fill_depot(1, 40);
	a = get();
	CHECK_EQ(c.depot[0].nr_full, 1);
	CHECK_EQ(nr_handed(), 40);
	c.depot_max = 0;
	b = get();
	CHECK_EQ(c.depot[0].nr_full, 0);
	CHECK_EQ(nr_handed(), 2);
	kn_mag_free(&c, 0, a);
	kn_mag_free(&c, 0, b);
	CHECK_EQ(nr_handed(), 0);
}

static void what_is_used_is_left_alone(void)
{
	void *p;

	begin(64);
	p = get();
	kn_mag_free(&c, 0, p);
	kn_drain_idle();
	p = get();
	kn_mag_free(&c, 0, p);
	kn_drain_idle();
	CHECK(present() > 0);
}

static void what_is_idle_is_drained(void)
{
	begin(64);
	kn_mag_free(&c, 0, get());
	CHECK(present() > 0);
	kn_drain_idle();
	kn_drain_idle();
	CHECK_EQ(present(), 0);
}

/* Also behind the number of a cache that is gone. */
static void what_is_idle_is_drained_whatever_went_before(void)
{
	struct kmem_cache *a, *b;

	begin(64);
	a = kmem_cache_create("a", 64, 0, 0, NULL);
	b = kmem_cache_create("b", 64, 0, 0, NULL);
	kmem_cache_destroy(a);
	CHECK_EQ(knuma_trim(), 0);
	kmem_cache_free(b, kmem_cache_alloc(b, GFP_KERNEL));
	CHECK(present() > 0);
	kn_drain_idle();
	kn_drain_idle();
	CHECK_EQ(present(), 0);
	kmem_cache_destroy(b);
}

static void a_drain_of_one_node(void)
{
	const struct kn_drain_set one = {
		.first_id = ID, .last_id = ID, .cid = -1, .node = 1};
	void *a, *b;

	fake_nodes(2);
	begin(64);
	a = kn_mag_alloc(&c, 0, GFP_KERNEL);
	b = kn_mag_alloc(&c, 1, GFP_KERNEL);
	kn_mag_free(&c, 0, a);
	kn_mag_free(&c, 1, b);
	CHECK(kn_drain(&one));
	CHECK_EQ(place[number_of(b)], 0);
	CHECK_EQ(place[number_of(a)], 1);
	CHECK_EQ(kn_mag_alloc(&c, 0, GFP_KERNEL), a);
}

static void without_room_for_blocks(void)
{
	static void *held[2000];

	begin(64);
	faults_install();
	faults_fail(FAULT_MMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	for (int i = 0; i < 2000; i++)
		held[i] = get();
	for (int i = 0; i < 2000; i++)
		kn_mag_free(&c, 0, held[i]);
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
}

static void get_and_free(void **held, int n)
{
	for (int i = 0; i < n; i++)
		held[i] = get();
	for (int i = 0; i < n; i++)
		kn_mag_free(&c, 0, held[i]);
}

/* What the first frees lacked is there for the next ones. */
static void frees_find_as_many_blocks_as_they_lacked(void)
{
	static void *held[OBJECTS];
	uint32_t calls;

	begin(64);
	get_and_free(held, OBJECTS);
	CHECK(nr_handed() < OBJECTS);
	get_and_free(held, OBJECTS);
	CHECK_EQ(nr_handed(), OBJECTS);
	calls = nr_asked;
	get_and_free(held, OBJECTS);
	CHECK_EQ(nr_asked, calls);
	CHECK_EQ(nr_handed(), OBJECTS);
	CHECK(kn_drain_cache(&c, false));
	CHECK_EQ(nr_handed(), 0);
}

/* With room for some only, the depot lacks no more than those. */
static void a_small_depot_lacks_few_blocks(void)
{
	static void *held[OBJECTS];
	uint64_t bytes;

	conf("depot_batches", "3");
	begin(64);
	get_and_free(held, OBJECTS);
	bytes = kn_block_bytes();
	for (int round = 0; round < 3; round++)
		get_and_free(held, OBJECTS);
	CHECK_EQ(kn_block_bytes(), bytes);
}

/* What cannot be had at once is made in small. */
static void some_blocks_where_many_cannot_be_had(void)
{
	static void *held[OBJECTS];
	uint64_t bytes;

	begin(64);
	get_and_free(held, OBJECTS);
	bytes = kn_block_bytes();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	for (int i = 0; i < OBJECTS; i++)
		held[i] = get();
	CHECK_EQ(faults_failed(), 1);
	CHECK_EQ(kn_block_bytes(),
		 bytes + KN_CHUNK_BLOCKS * sizeof(struct kn_block));
}

static void a_magazine_takes_its_capacity(void)
{
	static void *held[400];
	uint64_t most = 0;

	begin(64);
	CHECK(c.capacity < 400);
	c.depot_max = 0;
	for (int i = 0; i < 400; i++)
		held[i] = get();
	/* No drain, which would open it anew. */
	for (int i = 0; i < 400; i++) {
		kn_mag_free(&c, 0, held[i]);
		most = KN_MAX(most, present());
	}
	CHECK_EQ(most, c.capacity);
}

/* A section that does something else would go unnoticed: others take over. */
static void the_sections_pass_their_test(void)
{
	start_here();
	CHECK(kn_mag_mode == KN_MAG_RSEQ || !strstr(kn_mag_reason, "test"));
}

static void all_again_without_rseq(void)
{
	conf("rseq", "no");
	an_object_has_one_place();
	CHECK_EQ(kn_mag_mode, KN_MAG_FALLBACK);
}

static void bulk_again_without_rseq(void)
{
	conf("rseq", "no");
	bulk_of_more_than_a_batch();
	CHECK_EQ(kn_mag_mode, KN_MAG_FALLBACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(an_object_has_one_place),
		child_test(the_last_freed_is_the_first_out),
		child_test(refills_grow),
		child_test(large_objects_have_few_places),
		child_test(a_magazine_follows_misses),
		child_test(what_only_frees_does_not_widen),
		child_test(all_magazines_of_a_cpu_have_a_limit),
		child_test(no_magazine_is_widened),
		child_test(a_wide_magazine_that_is_not_used_is_drained),
		child_test(a_depot_keeps_no_more_than_its_limit),
		child_test(batches_come_back_from_the_depot),
		child_test(bulk_gives_up_to_a_batch),
		child_test(bulk_of_more_than_a_batch),
		child_test(a_dry_source),
		child_test(the_last_batch_is_for_urgent_calls),
		child_test(a_double_free_in_a_row_is_noticed),
		child_test(a_closed_cache_keeps_nothing),
		child_test(two_batches_come_at_a_time),
		child_test(a_second_batch_without_room_stays),
		child_test(a_batch_that_no_magazine_takes),
		child_test(what_is_used_is_left_alone),
		child_test(what_is_idle_goes_in_one_round),
		child_test(what_is_idle_is_drained),
		child_test(what_is_idle_is_drained_whatever_went_before),
		child_test(a_drain_of_one_node),
		child_test(without_room_for_blocks),
		child_test(frees_find_as_many_blocks_as_they_lacked),
		child_test(a_small_depot_lacks_few_blocks),
		child_test(some_blocks_where_many_cannot_be_had),
		child_test(a_magazine_takes_its_capacity),
		child_test(the_sections_pass_their_test),
		child_test(all_again_without_rseq),
		child_test(bulk_again_without_rseq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
