/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs: how pages are cut, bitmaps and counts, what is given back. */
#include "alloc/slab/slab.h"

#include <stdio.h>
#include <string.h>

#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/page/page_alloc.h"
#include "alloc/slab/cache.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

static void every_size_is_cut_into_as_much_as_fits(void)
{
	for (uint32_t size = 16; size <= 4 << 20;
	     size += size < 70000 ? 8 : 100003) {
		struct kmem_cache s = {.size = 0};
		uint64_t bytes;

		kn_slab_geometry(&s, size);
		bytes = KN_PAGE_SIZE << s.order;
		CHECK_EQ(s.size, size);
		CHECK(s.nr_objects >= 1);
		CHECK(s.nr_objects <= KN_SLAB_MAX_OBJECTS);
		CHECK((uint64_t)s.nr_objects * size <= bytes);
		CHECK(s.order <= KN_MAX_ORDER);
		/* Above the largest slab there is one object in each. */
		if (size <= KN_PAGE_SIZE << KN_SLAB_MAX_ORDER)
			CHECK(s.order <= KN_SLAB_MAX_ORDER);
		else
			CHECK_EQ(s.nr_objects, 1);
		/* No more than a quarter is waste where many fit. */
		if (size <= 8192)
			CHECK((bytes - s.nr_objects * size) * 4 <= bytes);
	}
}

/* The reciprocal gives the same index as a division, at every byte. */
static void an_index_is_exact(void)
{
	for (uint32_t size = 16; size <= 66000; size += size < 3000 ? 8 : 56) {
		struct kmem_cache s = {.size = 0};

		kn_slab_geometry(&s, size);
		for (uint32_t i = 0; i < s.nr_objects; i++) {
			const uint64_t first = (uint64_t)i * size;
			const uint64_t last = first + size - 1;

			CHECK_EQ(first * s.reciprocal >> 32, i);
			CHECK_EQ((first + 1) * s.reciprocal >> 32, i);
			CHECK_EQ(last * s.reciprocal >> 32, i);
		}
	}
}

static struct kmem_cache *cache(unsigned int size)
{
	struct kmem_cache *s;

	start_here();
	s = kmem_cache_create("unit", size, 0, 0, NULL);
	CHECK(s);
	return s;
}

/* All objects of one slab, straight from it. */
static uint32_t whole_slab(struct kmem_cache *s, void **obj)
{
	uint32_t n = 0;

	while (n < s->nr_objects) {
		const uint32_t got = kn_slab_refill(&s->mag, 0, GFP_KERNEL,
						    obj + n, s->nr_objects - n);

		CHECK(got);
		n += got;
	}
	return n;
}

static void a_slab_gives_each_object_once(void)
{
	struct kmem_cache *s = cache(200);
	void *obj[KN_SLAB_MAX_OBJECTS];
	const uint32_t n = whole_slab(s, obj);
	struct page *head = kn_slab_head(s, obj[0]);

	CHECK_EQ(s->node[0].nr_slabs, 1);
	for (uint32_t i = 0; i < n; i++) {
		CHECK_EQ(kn_slab_head(s, obj[i]), head);
		CHECK_EQ(kn_slab_index(s, head, obj[i]), i);
		CHECK(kn_slab_is_object(s, head, obj[i]));
		CHECK(!kn_slab_is_object(s, head, (char *)obj[i] + 1));
		CHECK(!kn_slab_is_object(s, head, (char *)obj[i] + 8));
		CHECK_EQ(kn_id_of(obj[i]), s->mag.id);
	}
	CHECK(all_bytes(head->free_map, sizeof(head->free_map), 0));
	CHECK_EQ(s->node[0].partial, KN_PFN_NONE);
	CHECK_EQ(kn_slab_in_use(s, 0), n);
	CHECK(kn_slab_verify(s));
	kn_slab_flush(&s->mag, 0, obj, n);
	CHECK_EQ(kn_slab_in_use(s, 0), 0);
	CHECK(kn_slab_verify(s));
	CHECK_EQ(kn_slab_reap(s, 0), 0);
}

static void a_full_slab_comes_back_with_its_first_free(void)
{
	struct kmem_cache *s = cache(200);
	void *obj[KN_SLAB_MAX_OBJECTS], *again;
	const uint32_t n = whole_slab(s, obj);

	kn_slab_flush(&s->mag, 0, &obj[5], 1);
	CHECK_EQ(kn_slab_in_use(s, 0), n - 1);
	CHECK_EQ(s->node[0].partial, kn_page_pfn(kn_slab_head(s, obj[5])));
	CHECK_EQ(kn_slab_refill(&s->mag, 0, GFP_KERNEL, &again, 1), 1);
	CHECK_EQ(again, obj[5]);
	CHECK_EQ(s->node[0].nr_slabs, 1);
	CHECK_EQ(s->node[0].partial, KN_PFN_NONE);
	CHECK(kn_slab_verify(s));
}

/* Partial slabs are used before a new one is made. */
static void partial_slabs_first(void)
{
	struct kmem_cache *s = cache(500);
	void *obj[10][KN_SLAB_MAX_OBJECTS], *more[KN_SLAB_MAX_OBJECTS];
	uint32_t left = 0;

	for (int i = 0; i < 10; i++)
		whole_slab(s, obj[i]);
	CHECK_EQ(s->node[0].nr_slabs, 10);
	for (int i = 0; i < 10; i++)
		kn_slab_flush(&s->mag, 0, obj[i], 3);
	for (uint32_t got = 1; got && left < 30; left += got)
		got = kn_slab_refill(&s->mag, 0, GFP_KERNEL, more, 30 - left);
	CHECK_EQ(left, 30);
	CHECK_EQ(s->node[0].nr_slabs, 10);
	CHECK(kn_slab_verify(s));
}

static void empty_slabs_are_given_back(void)
{
	struct kmem_cache *s = cache(500);
	void *obj[10][KN_SLAB_MAX_OBJECTS];

	for (int i = 0; i < 10; i++)
		whole_slab(s, obj[i]);
	for (int i = 0; i < 10; i++) {
		kn_slab_flush(&s->mag, 0, obj[i], s->nr_objects);
		CHECK(kn_slab_verify(s));
	}
	/* Some are kept, against thrashing. */
	CHECK(s->node[0].nr_slabs >= 1);
	CHECK(kn_slab_reap(s, 1) <= 1);
	CHECK_EQ(kn_slab_reap(s, 0), 0);
	CHECK_EQ(s->node[0].partial, KN_PFN_NONE);
	CHECK_EQ(kn_id_of(obj[3][0]), KN_ID_NONE);
	heap_verify();
}

static void *seen[4000];
static uint32_t nr_seen;

static void see(struct kmem_cache *s, void *obj)
{
	CHECK_EQ(kn_id_of(obj), s->mag.id);
	seen[nr_seen++] = obj;
}

static void objects_in_use_are_found(void)
{
	struct kmem_cache *s = cache(500);
	void *obj[6][KN_SLAB_MAX_OBJECTS];

	for (int i = 0; i < 6; i++)
		whole_slab(s, obj[i]);
	for (int i = 1; i < 5; i++)
		kn_slab_flush(&s->mag, 0, obj[i] + 1, s->nr_objects - 1u);
	kn_slab_each_in_use(s, see);
	CHECK_EQ(nr_seen, 2u * s->nr_objects + 4);
	CHECK_EQ(kn_slab_in_use(s, 0), nr_seen);
	for (uint32_t i = 0; i < nr_seen; i++)
		CHECK(kn_slab_is_object(s, kn_slab_head(s, seen[i]), seen[i]));
}

static void frees_that_are_none(void)
{
	struct kmem_cache *s = cache(200);
	void *obj[KN_SLAB_MAX_OBJECTS], *inside;
	const uint32_t n = whole_slab(s, obj);

	misuse_catch();
	kn_slab_flush(&s->mag, 0, obj, 3);
	kn_slab_flush(&s->mag, 0, obj, 3);
	CHECK_EQ(misuse_count(), 3);
	CHECK_HAS(misuse_last(), "double free");
	inside = (char *)obj[7] + 8;
	kn_slab_flush(&s->mag, 0, &inside, 1);
	CHECK_EQ(misuse_count(), 4);
	CHECK_HAS(misuse_last(), "not the start");
	/* Behind the last object. */
	inside = (char *)obj[0] + (size_t)n * s->size;
	if (kn_slab_head(s, inside) == kn_slab_head(s, obj[0])) {
		kn_slab_flush(&s->mag, 0, &inside, 1);
		CHECK_EQ(misuse_count(), 5);
	}
	CHECK_EQ(kn_slab_in_use(s, 0), n - 3);
	CHECK(kn_slab_verify(s));
	kn_slab_flush(&s->mag, 0, obj + 3, n - 3);
	CHECK_EQ(kn_slab_reap(s, 0), 0);
}

/* In one flush with others of the same slab, and alone. */
static void frees_that_are_none_among_others(void)
{
	struct kmem_cache *s = cache(200);
	void *obj[KN_SLAB_MAX_OBJECTS];
	const uint32_t n = whole_slab(s, obj);
	void *some[] = {obj[0], obj[0], (char *)obj[5] + 8, obj[1], obj[2],
			obj[3]};

	misuse_catch();
	kn_slab_flush(&s->mag, 0, obj + 2, 1);
	CHECK_EQ(misuse_count(), 0);
	kn_slab_flush(&s->mag, 0, some, 6);
	CHECK_EQ(misuse_count(), 3);
	CHECK_EQ(stat_of("double_free"), 2);
	CHECK_EQ(stat_of("invalid_free"), 1);
	kn_slab_flush(&s->mag, 0, obj + 1, 1);
	CHECK_EQ(misuse_count(), 4);
	CHECK_HAS(misuse_last(), "double free");
	CHECK_EQ(kn_slab_in_use(s, 0), n - 4);
	CHECK_EQ(kn_slab_out(s, 0), n - 4);
	CHECK(kn_slab_verify(s));
	kn_slab_flush(&s->mag, 0, obj + 4, n - 4);
	CHECK_EQ(kn_slab_reap(s, 0), 0);
}

static void planted_errors_are_found(void)
{
	struct kmem_cache *s = cache(200);
	void *obj[KN_SLAB_MAX_OBJECTS];
	struct page *head;

	whole_slab(s, obj);
	kn_slab_flush(&s->mag, 0, obj, 3);
	head = kn_slab_head(s, obj[0]);
	CHECK(kn_slab_verify(s));
	head->free_map[0] ^= 1;
	CHECK(!kn_slab_verify(s));
	head->free_map[0] ^= 1;
	head->free_map[3] ^= (uint64_t)1 << 63;
	CHECK(!kn_slab_verify(s));
	head->free_map[3] ^= (uint64_t)1 << 63;
	head->state++;
	CHECK(!kn_slab_verify(s));
	head->state--;
	CHECK(kn_slab_verify(s));
	s->node[0].nr_slabs = 0;
	CHECK(!kn_slab_verify(s));
	CHECK_EQ(printed_times("lists more slabs than it has"), 1);
	s->node[0].nr_slabs = 1;
	CHECK(kn_slab_verify(s));
}

static void a_cache_of_knuma_is_not_destroyed(void)
{
	start_quiet();
	misuse_catch();
	kmem_cache_destroy(kn_kmalloc_caches[3]);
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "no cache of a program");
	kfree(kmalloc(64, GFP_KERNEL));
	heap_verify();
}

/* Of a fresh slab only what has been touched. */
static void a_call_that_may_not_wait_gets_present_memory(void)
{
	struct kmem_cache *s = cache(1000);
	void *obj[KN_SLAB_MAX_OBJECTS];
	uint32_t n;

	n = kn_slab_refill(&s->mag, 0, GFP_KERNEL, obj, 3);
	CHECK_EQ(n, 3);
	kn_slab_flush(&s->mag, 0, obj, 3);
	n = kn_slab_refill(&s->mag, 0, GFP_NOWAIT, obj, KN_SLAB_MAX_OBJECTS);
	CHECK(n >= 3 && n <= s->nr_objects);
	for (uint32_t i = 0; i < n; i++)
		CHECK(is_present(obj[i], s->size));
	kn_slab_flush(&s->mag, 0, obj, n);
}

static void classes_serve_their_sizes(void)
{
	start_here();
	for (size_t size = 1; size <= KMALLOC_MAX_CACHE_SIZE; size++) {
		const struct kmem_cache *s = kn_kmalloc_cache(size);

		CHECK(s->size >= size);
		CHECK_EQ(s->size % 16, 0);
		if (size > 1 && size % 16 == 1)
			CHECK(s->size >= kn_kmalloc_cache(size - 1)->size);
		CHECK_EQ(s, kn_cache_by_id(s->mag.id));
	}
}

static uint32_t nr_caches;

static void count_cache(struct kmem_cache *s, void *sum)
{
	CHECK(s->live);
	CHECK(s->name[0]);
	*(uint32_t *)sum += 1;
}

static void the_list_of_caches(void)
{
	uint32_t n = 0;
	struct kmem_cache *s = cache(100);

	kn_cache_each(count_cache, &nr_caches);
	kmem_cache_destroy(s);
	kn_cache_each(count_cache, &n);
	CHECK_EQ(n, nr_caches - 1);
	CHECK(n >= 32);
}

static void nodes_have_slabs_of_their_own(void)
{
	struct kmem_cache *s;
	void *obj[2][50];

	fake_nodes(2);
	s = cache(100);
	for (int node = 0; node < 2; node++) {
		CHECK_EQ(kn_slab_refill(&s->mag, node, GFP_KERNEL, obj[node],
					50),
			 KN_MIN(50, s->nr_objects));
		CHECK_EQ(s->node[node].nr_slabs, 1);
		CHECK_EQ(kn_window_of(obj[node][0]), node);
	}
	kn_slab_flush(&s->mag, 1, obj[1], 10);
	CHECK_EQ(kn_slab_in_use(s, 0), 50);
	CHECK_EQ(kn_slab_in_use(s, 1), 40);
	CHECK(kn_slab_verify(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(every_size_is_cut_into_as_much_as_fits),
		child_test(an_index_is_exact),
		child_test(a_slab_gives_each_object_once),
		child_test(a_full_slab_comes_back_with_its_first_free),
		child_test(partial_slabs_first),
		child_test(empty_slabs_are_given_back),
		child_test(objects_in_use_are_found),
		child_test(frees_that_are_none),
		child_test(frees_that_are_none_among_others),
		child_test(planted_errors_are_found),
		child_test(a_call_that_may_not_wait_gets_present_memory),
		child_test(classes_serve_their_sizes),
		child_test(the_list_of_caches),
		child_test(a_cache_of_knuma_is_not_destroyed),
		child_test(nodes_have_slabs_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
