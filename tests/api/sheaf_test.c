/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/slab.h>: sheaves, and what creates caches in other words. */
#include <knuma/slab.h>

#include <limits.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"

enum {
	SIZE = 200,
	MANY = 500
};

static void *objects[MANY];

/* All that was asked for, without a failure, a wait or a system call. */
static void a_sheaf_never_fails_until_it_is_empty(void)
{
	struct kmem_cache *s = kmem_cache_create("sheaf", SIZE, NULL, 0);
	struct slab_sheaf *sheaf;

	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, MANY);
	CHECK(sheaf);
	/* checks kmem_cache_prefill_sheaf: "a sheaf with @size objects" */
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), MANY);
	if (!syscalls_forbid())
		skip_child("no seccomp");
	for (int i = 0; i < MANY; i++) {
		objects[i] = kmem_cache_alloc_from_sheaf(
			s, i % 2 ? __GFP_ZERO : 0, sheaf);
		/*
		 * checks kmem_cache_alloc_from_sheaf: "Never fails while the
		 * sheaf holds objects", "__GFP_ZERO counts"
		 */
		CHECK(objects[i]);
		CHECK(i % 2 == 0 || all_bytes(objects[i], SIZE, 0));
		pattern_fill(objects[i], SIZE, (uint64_t)i);
		CHECK_EQ(kmem_cache_sheaf_size(sheaf), MANY - 1 - i);
	}
	/* checks kmem_cache_alloc_from_sheaf: "NULL when the sheaf is empty" */
	CHECK_FAILS(kmem_cache_alloc_from_sheaf(s, 0, sheaf), ENOMEM);
	for (int i = 0; i < MANY; i++) {
		/*
		 * checks kmem_cache_alloc_from_sheaf: "to be freed as any of
		 * @s"
		 */
		CHECK(pattern_holds(objects[i], SIZE, (uint64_t)i));
		kmem_cache_free(s, objects[i]);
	}
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
}

static void what_is_left_goes_back(void)
{
	struct kmem_cache *s = kmem_cache_create("sheaf", SIZE, NULL, 0);
	struct slab_sheaf *sheaf;

	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 30);
	CHECK(sheaf);
	kmem_cache_free(s, kmem_cache_alloc_from_sheaf(s, 0, sheaf));
	/* checks kmem_cache_alloc_from_sheaf: "nothing else does" */
	objects[0] = kmem_cache_alloc_from_sheaf(s, 1u << 30, sheaf);
	CHECK(objects[0]);
	kmem_cache_free(s, objects[0]);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_return_sheaf(s, GFP_KERNEL, NULL);
	CHECK_EQ(kmem_cache_shrink(s), 0);
	heap_verify();
	/* What a sheaf holds counts as in use. */
	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 1);
	/* checks kmem_cache_prefill_sheaf: "what it holds counts as in use" */
	CHECK_EQ(kmem_cache_shrink(s), 1);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("Objects remaining on"), 1);
}

static void refill_keeps_what_is_there(void)
{
	struct kmem_cache *s = kmem_cache_create("sheaf", SIZE, NULL, 0);
	struct slab_sheaf *sheaf, *same;

	same = sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 20);
	CHECK(sheaf);
	/* As many: left alone.  Fewer, and room for more: the same sheaf. */
	/*
	 * checks kmem_cache_refill_sheaf: "one that has as many is left alone"
	 */
	CHECK_EQ(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 20), 0);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 20);
	for (int i = 0; i < 15; i++)
		objects[i] = kmem_cache_alloc_from_sheaf(s, 0, sheaf);
	CHECK_EQ(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 3), 0);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 5);
	CHECK_EQ(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 20), 0);
	CHECK_EQ(sheaf, same);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 20);
	/* No room: another one, with what the first had. */
	/*
	 * checks kmem_cache_refill_sheaf: "another one, with the same objects,
	 * takes its place"
	 */
	CHECK_EQ(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 200), 0);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 200);
	for (int i = 15; i < 215; i++) {
		objects[i] = kmem_cache_alloc_from_sheaf(s, 0, sheaf);
		CHECK(objects[i]);
	}
	for (int i = 0; i < 215; i++)
		pattern_fill(objects[i], SIZE, (uint64_t)i);
	for (int i = 0; i < 215; i++)
		CHECK(pattern_holds(objects[i], SIZE, (uint64_t)i));
	kmem_cache_free_bulk(s, 215, objects);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
}

static void sheaves_that_cannot_be(void)
{
	struct kmem_cache *s = kmem_cache_create("sheaf", SIZE, NULL, 0);
	struct slab_sheaf *sheaf, *same;

	/*
	 * checks kmem_cache_prefill_sheaf: "EINVAL when @size is 0 or above
	 * INT_MAX"
	 */
	CHECK_FAILS(kmem_cache_prefill_sheaf(s, GFP_KERNEL, 0), EINVAL);
	CHECK_FAILS(kmem_cache_prefill_sheaf(s, GFP_KERNEL, 1u << 31), EINVAL);
	CHECK_FAILS(kmem_cache_prefill_sheaf(s, 1u << 30, 5), EINVAL);
	/* More than there is at hand: all or nothing, and nothing is lost. */
	/* checks kmem_cache_alloc_bulk: "@n, or 0 on failure" */
	CHECK_FAILS(kmem_cache_prefill_sheaf(s, GFP_NOWAIT, 400000), ENOMEM);
	same = sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 5);
	CHECK(sheaf);
	CHECK_EQ(kmem_cache_refill_sheaf(s, GFP_NOWAIT, &sheaf, 400000),
		 -ENOMEM);
	CHECK_EQ(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 1u << 31),
		 -EINVAL);
	CHECK_EQ(kmem_cache_refill_sheaf(s, 1u << 30, &sheaf, 50), -EINVAL);
	/* checks kmem_cache_refill_sheaf: "the sheaf is as before then" */
	CHECK_EQ(sheaf, same);
	CHECK_EQ(kmem_cache_sheaf_size(sheaf), 5);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	CHECK_EQ(kmem_cache_shrink(s), 0);
}

static void construct(void *obj)
{
	memset(obj, 0x2a, SIZE);
}

/* Objects with a constructor come as it left them. */
static void sheaves_of_constructed_objects(void)
{
	struct kmem_cache *s =
		kmem_cache_create("sheaf", SIZE, 0, 0, construct);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 10);
	void *p;

	CHECK(sheaf);
	p = kmem_cache_alloc_from_sheaf(s, __GFP_ZERO, sheaf);
	CHECK(p && all_bytes(p, SIZE, 0x2a));
	kmem_cache_free(s, p);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_destroy(s);
}

struct reply {
	long id;
	char text[50];
};

static void caches_in_other_words(void)
{
	struct kmem_cache *a = KMEM_CACHE_USERCOPY(reply, 0, text);
	struct kmem_cache *b = kmem_cache_create_usercopy("usercopy", SIZE, 64,
							  0, 8, 8, construct);
	void *p = kmem_cache_alloc_lru(a, NULL, GFP_KERNEL | __GFP_ZERO);

	CHECK_EQ(kmem_cache_size(a), sizeof(struct reply));
	CHECK(p && all_bytes(p, sizeof(struct reply), 0));
	kmem_cache_free(a, p);
	p = __kmalloc_cache_noprof(a, GFP_KERNEL, 10);
	CHECK(p && ksize(p) >= sizeof(struct reply));
	kmem_cache_free(a, p);
	p = kmem_cache_alloc(b, GFP_KERNEL);
	CHECK(p && (uintptr_t)p % 64 == 0 && all_bytes(p, SIZE, 0x2a));
	kmem_cache_free(b, p);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
}

static void available_after_the_first_allocation(void)
{
	/* checks slab_is_available: "The first allocation starts it" */
	CHECK(!slab_is_available());
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(slab_is_available());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_sheaf_never_fails_until_it_is_empty),
		child_test(what_is_left_goes_back),
		child_test(refill_keeps_what_is_there),
		child_test(sheaves_that_cannot_be),
		child_test(sheaves_of_constructed_objects),
		child_test(caches_in_other_words),
		child_test(available_after_the_first_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
