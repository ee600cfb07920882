/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab_debug: each mistake is reported in the kernel's words, repaired, and the
 * program goes on.  Mistakes are planted; what is printed is looked at.
 */
#include <knuma/knuma.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "alloc/slab/cache.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/poison.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"

#define FZPU                                                     \
	(SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | \
	 SLAB_STORE_USER)

/* A program's own count, while it wants one. */
static int errors;
static bool counting;

bool slab_add_kunit_errors(void)
{
	errors += counting;
	return counting;
}

static void count_errors(void)
{
	counting = true;
	errors = 0;
}

static struct kmem_cache *cache(const char *name, unsigned size,
				slab_flags_t flags)
{
	struct kmem_cache *s = kmem_cache_create(
		name, size, 0, flags | SLAB_NO_USER_FLAGS, NULL);

	CHECK(s);
	return s;
}

/* Writes that the compiler does not see through. */
static void poke(void *p, ptrdiff_t at, int byte)
{
	((volatile char *)launder(p))[at] = (char)byte;
}

static void free_of(struct kmem_cache *s, void *p)
{
	kmem_cache_free(s, launder(p));
}

/* The kernel's own tests, mm/slub_kunit: events are counted. */

static void a_right_red_zone_is_guarded(void)
{
	struct kmem_cache *s = cache("TestSlub_RZ_alloc", 64, SLAB_RED_ZONE);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	count_errors();
	poke(p, 64, 0x12);
	/*
	 * checks validate_slab_cache: "is reported and repaired";
	 * slab_add_kunit_errors: "called once for each report and once for each
	 * repair"
	 */
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 2);
	CHECK_EQ(validate_slab_cache(s), 0);
	CHECK_EQ(errors, 2);
	free_of(s, p);
	CHECK_EQ(errors, 2);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 2);
	/*
	 * checks slab_add_kunit_errors: "true when the report is taken, and not
	 * to be printed"
	 */
	CHECK_EQ(strlen(printed()), 0);
}

static void a_left_red_zone_is_guarded(void)
{
	struct kmem_cache *s = cache("left", 64, SLAB_RED_ZONE);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	count_errors();
	poke(p, -1, 0x12);
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 2);
	free_of(s, p);
	poke(p, -8, 0x12);
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 4);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 4);
}

static void poison_of_free_objects_is_guarded(void)
{
	static const int at[] = {0, 1, 50, 62, 63};
	struct kmem_cache *s = cache("poison", 64, SLAB_POISON);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	free_of(s, p);
	count_errors();
	for (int i = 0; i < 5; i++) {
		errors = 0;
		poke(p, at[i], 0x78);
		CHECK_EQ(validate_slab_cache(s), 1);
		CHECK_EQ(errors, 2);
		CHECK_EQ(validate_slab_cache(s), 0);
		CHECK_EQ(errors, 2);
	}
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 2);
}

static void a_red_zone_of_a_free_object_is_guarded(void)
{
	struct kmem_cache *s = cache("TestSlub_RZ_free", 64, SLAB_RED_ZONE);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	count_errors();
	free_of(s, p);
	poke(p, 64, 0xab);
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 2);
	CHECK_EQ(validate_slab_cache(s), 0);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 2);
}

static void what_is_behind_a_request_is_guarded(void)
{
	struct kmem_cache *s =
		cache("TestSlub_RZ_kmalloc", 32,
		      SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE);
	char *p = __kmalloc_cache_noprof(s, GFP_KERNEL, 18);

	count_errors();
	poke(p, 17, 'z');
	CHECK_EQ(validate_slab_cache(s), 0);
	poke(p, 18, 'a');
	poke(p, 19, 'b');
	/* checks __kmalloc_cache_noprof: "guards what is behind @size" */
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 2);
	free_of(s, p);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 2);
}

static void a_leak_is_one_report_and_one_for_each_object(void)
{
	struct kmem_cache *s = cache("TestSlub_leak_destroy", 64, 0);
	char *p[3];

	for (int i = 0; i < 3; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		memset(p[i], 0x33, 64);
	}
	count_errors();
	kmem_cache_destroy(s);
	/*
	 * checks slab_add_kunit_errors: "also for the objects that
	 * kmem_cache_destroy() finds in use"
	 */
	CHECK_EQ(errors, 4);
	for (int i = 0; i < 3; i++)
		CHECK(all_bytes(p[i], 64, 0x33));
}

static void krealloc_moves_the_zone(void)
{
	struct kmem_cache *s =
		cache("TestSlub_krealloc", 64,
		      SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE);
	uint8_t *p = __kmalloc_cache_noprof(s, GFP_KERNEL, 48);

	count_errors();
	memset(p, 0xff, 48);
	CHECK_EQ(krealloc(p, 40, GFP_KERNEL | __GFP_ZERO), p);
	CHECK(all_bytes(p + 40, 24, KN_RED_ACTIVE));
	CHECK_EQ(krealloc(p, 56, GFP_KERNEL | __GFP_ZERO), p);
	CHECK(all_bytes(p + 40, 16, 0));
	CHECK(all_bytes(p + 56, 8, KN_RED_ACTIVE));
	CHECK_EQ(validate_slab_cache(s), 0);
	CHECK_EQ(errors, 0);
	free_of(s, p);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 0);
}

/* Everything wrong at once: each place is a mistake of its own. */
static void each_mistake_is_found(void)
{
	struct kmem_cache *s = cache("all", 60, FZPU);
	char *used = kmem_cache_alloc(s, GFP_KERNEL);
	char *gone = kmem_cache_alloc(s, GFP_KERNEL);

	free_of(s, gone);
	count_errors();
	poke(used, -3, 1);		 /* left red zone */
	poke(used, 61, 1);		 /* right */
	poke(gone, -1, 1);		 /* left */
	poke(gone, 62, 1);		 /* right */
	poke(gone, 10, 1);		 /* poison */
	poke(gone, 59, 1);		 /* its end */
	poke(gone, (int)s->tail + 3, 1); /* state */
	poke(used, (int)s->tail + 3, 1); /* state */
	/*
	 * checks validate_slab_cache: "how many mistakes were found", "Looks at
	 * the red zones, the poison and the padding"
	 */
	CHECK_EQ(validate_slab_cache(s), 8);
	CHECK_EQ(errors, 16);
	CHECK_EQ(validate_slab_cache(s), 0);
	free_of(s, used);
	CHECK_EQ(errors, 16);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 16);
}

static void paddings_are_guarded(void)
{
	struct kmem_cache *s = kmem_cache_create("pad", 52, 64, FZPU, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct page *head = kn_slab_head(s, p);
	const size_t bytes = (size_t)KN_PAGE_SIZE << s->order;
	const size_t used = (size_t)s->nr_objects * s->size;

	count_errors();
	CHECK(s->tail_end < s->size - s->red_left);
	CHECK(used < bytes);
	poke(p, (ptrdiff_t)(s->size - s->red_left) - 1, 1);
	CHECK_EQ(validate_slab_cache(s), 1);
	poke(kn_page_addr(head), (ptrdiff_t)bytes - 1, 1);
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 4);
	CHECK_EQ(validate_slab_cache(s), 0);
	free_of(s, p);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 4);
	/* Without red zones what makes the object even is padding, too. */
	s = kmem_cache_create("pad", 60, 0, SLAB_POISON, NULL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	poke(p, 61, 1);
	CHECK_EQ(validate_slab_cache(s), 1);
	CHECK_EQ(errors, 6);
	free_of(s, p);
	kmem_cache_destroy(s);
	CHECK_EQ(errors, 6);
}

/* Words. */

static void has_line(const char *fmt, ...) kn_printf(1, 2);
static void has_line(const char *fmt, ...)
{
	char line[256] = "knuma: ";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + 7, sizeof(line) - 7, fmt, ap);
	va_end(ap);
	CHECK_HAS(printed(), line);
}

static void an_overflow_is_reported_when_it_is_freed(void)
{
	struct kmem_cache *s = cache("zone", 64, FZPU);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	memset(p, 'x', 64);
	poke(p, 64, 0x12);
	poke(p, 66, 0x13);
	free_of(s, p);
	has_line("=====================");
	has_line("BUG zone: Right Redzone overwritten\n");
	has_line("%p-%p @offset=%zu. First byte 0x12 instead of 0xcc\n",
		 (void *)(p + 64), (void *)(p + 66),
		 (size_t)(p + 64 - (char *)kn_page_addr(kn_slab_head(s, p))));
	has_line("Allocated in ");
	CHECK_HAS(printed(), " cpu=");
	CHECK_HAS(printed(), " pid=");
	has_line("Slab %p objects=%u used=1 ", kn_page_addr(kn_slab_head(s, p)),
		 s->nr_objects);
	has_line("Object %p @offset=", (void *)p);
	has_line("Redzone  %p: cc cc cc cc cc cc cc cc ", (void *)(p - 8));
	has_line("Object   %p: 78 78 78 78 78 78 78 78 78 78 78 78 78 78 78 "
		 "78  xxxxxxxxxxxxxxxx\n",
		 (void *)p);
	has_line("Redzone  %p: 12 cc 13 cc cc cc cc cc ", (void *)(p + 64));
	has_line("FIX zone: Restoring Right Redzone %p-%p=0xcc\n",
		 (void *)(p + 64), (void *)(p + 66));
	/* As in the kernel, what is doubtful is not reused. */
	has_line("FIX zone: Object at %p not freed\n", (void *)p);
	CHECK_EQ(printed_times("BUG "), 1);
	CHECK_EQ(stat_of("debug_reports"), 1);
	CHECK_EQ(stat_of("debug_repairs"), 2);
	/* It is whole again, and can be. */
	free_of(s, p);
	CHECK_EQ(printed_times("BUG "), 1);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG "), 1);
}

static void an_underflow_is_reported(void)
{
	struct kmem_cache *s = cache("under", 64, FZPU);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	poke(p, -2, 0x12);
	free_of(s, p);
	has_line("BUG under: Left Redzone overwritten\n");
	has_line("FIX under: Restoring Left Redzone %p-%p=0xcc\n",
		 (void *)(p - 2), (void *)(p - 2));
}

static void a_write_behind_a_request_is_reported(void)
{
	char *p;

	conf("slab_debug", "FZPU");
	p = kmalloc(50, GFP_KERNEL);
	CHECK(all_bytes(p, 50, KN_POISON_INUSE));
	CHECK(all_bytes(p + 50, 14, KN_RED_ACTIVE));
	poke(p, 50, 0);
	kfree(launder(p));
	has_line("BUG kmalloc-64: kmalloc Redzone overwritten\n");
	has_line("FIX kmalloc-64: Restoring kmalloc Redzone %p-%p=0xcc\n",
		 (void *)(p + 50), (void *)(p + 50));
}

static void a_write_after_free_is_reported_by_the_next_allocation(void)
{
	struct kmem_cache *s;
	char *p;

	/* One node, one slab. */
	start_here();
	s = cache("uaf", 64, FZPU);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	free_of(s, p);
	CHECK(all_bytes(p, 63, KN_POISON_FREE));
	CHECK(all_bytes(p + 63, 1, KN_POISON_END));
	poke(p, 5, 0x12);
	/* The lowest address is the next. */
	CHECK_EQ(kmem_cache_alloc(s, GFP_KERNEL), p);
	has_line("BUG uaf: Poison overwritten\n");
	has_line("%p-%p @offset=", (void *)(p + 5), (void *)(p + 5));
	CHECK_HAS(printed(), "First byte 0x12 instead of 0x6b\n");
	has_line("Freed in ");
	has_line("FIX uaf: Restoring Poison %p-%p=0x6b\n", (void *)(p + 5),
		 (void *)(p + 5));
	free_of(s, p);
	poke(p, 63, 0);
	CHECK_EQ(validate_slab_cache(s), 1);
	has_line("BUG uaf: End Poison overwritten\n");
	CHECK_EQ(printed_times("BUG "), 2);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG "), 2);
}

/* Who wrote into it is told before its memory is given back. */
static void a_write_after_free_does_not_get_lost(void)
{
	struct kmem_cache *s = cache("lost", 64, SLAB_POISON);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	free_of(s, p);
	poke(p, 5, 0x12);
	CHECK_EQ(knuma_trim(), 0);
	kmem_cache_shrink(s);
	has_line("BUG lost: Poison overwritten\n");
	CHECK_EQ(kmem_cache_shrink(s), 0);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	free_of(s, p);
	poke(p, 6, 0x12);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG lost: Poison overwritten\n"), 2);
}

static void a_double_free_is_reported_however_late(void)
{
	struct kmem_cache *s = cache("twice", 64, FZPU);
	char *p[20];

	for (int i = 0; i < 20; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
	for (int i = 0; i < 20; i++)
		free_of(s, p[i]);
	free_of(s, p[3]);
	has_line("BUG twice: Object already free\n");
	has_line("Object %p @offset=", (void *)p[3]);
	has_line("Allocated in ");
	has_line("Freed in ");
	has_line("FIX twice: Object at %p not freed\n", (void *)p[3]);
	CHECK_EQ(printed_times("BUG "), 1);
	CHECK_EQ(stat_of("double_free"), 1);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG "), 1);
	heap_verify();
}

static void an_interior_pointer_is_reported(void)
{
	struct kmem_cache *s = cache("middle", 64, SLAB_CONSISTENCY_CHECKS);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	free_of(s, p + 8);
	has_line("BUG middle: Invalid object pointer %p\n", (void *)(p + 8));
	has_line("FIX middle: Object at %p not freed\n", (void *)(p + 8));
	free_of(s, p);
	CHECK_EQ(stat_of("invalid_free"), 1);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG "), 1);
}

static void the_wrong_cache_is_reported(void)
{
	struct kmem_cache *a = cache("right", 64, FZPU);
	struct kmem_cache *b = cache("wrong", 64, FZPU);
	char *p = kmem_cache_alloc(a, GFP_KERNEL);

	free_of(b, p);
	CHECK_HAS(printed(),
		  "Wrong slab cache. wrong but object is from right");
	has_line("Allocated in ");
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
	CHECK_EQ(printed_times("BUG "), 0);
}

static void what_is_left_is_told_with_who_allocated_it(void)
{
	struct kmem_cache *s = cache("leak", 64, SLAB_STORE_USER);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	kmem_cache_destroy(s);
	has_line("BUG leak: Objects remaining on __kmem_cache_shutdown()");
	has_line("Object %p @offset=0\n", (void *)p);
	has_line("Allocated in ");
}

static kn_noinline void *allocate_here(struct kmem_cache *s)
{
	void *p = kmem_cache_alloc(s, GFP_KERNEL);

	return launder(p);
}

/* The stack has the function that called, wherever the library's own are. */
static void stacks_lead_to_the_caller(void)
{
	struct kmem_cache *s = cache("stack", 64, FZPU);
	const uintptr_t begin = (uintptr_t)allocate_here;
	struct kn_tail *tail;
	bool found = false;
	void *p = NULL;

	for (int i = 0; i < 3; i++) {
		if (p)
			free_of(s, p);
		p = allocate_here(s);
	}
	tail = (struct kn_tail *)((char *)p + s->tail);
	CHECK(tail->allocated.stack.nr > 2);
	for (uint32_t i = 0; i < tail->allocated.stack.nr; i++)
		found |= tail->allocated.stack.pc[i] - begin < 400;
	CHECK(found);
	CHECK(tail->freed.stack.nr > 2);
	free_of(s, p);
	kmem_cache_destroy(s);
}

/* Flags. */

static void each_flag_works_alone(void)
{
	enum {
		NR = 20
	};
	static const slab_flags_t flag[] = {
		SLAB_CONSISTENCY_CHECKS,
		SLAB_RED_ZONE,
		SLAB_POISON,
		SLAB_STORE_USER,
		SLAB_RED_ZONE | SLAB_STORE_USER,
		SLAB_POISON | SLAB_STORE_USER,
		SLAB_RED_ZONE | SLAB_POISON,
		FZPU,
	};
	static const unsigned size[] = {1, 8, 13, 64, 1000, 4096, 20000};
	static const unsigned align[] = {0, 16, 64, 4096};
	void *p[NR];

	for (size_t f = 0; f < KN_ARRAY_SIZE(flag); f++) {
		for (size_t i = 0; i < KN_ARRAY_SIZE(size); i++) {
			const unsigned a = align[i % KN_ARRAY_SIZE(align)];
			struct kmem_cache *s = kmem_cache_create(
				"alone", size[i], a, flag[f], NULL);

			CHECK(s);
			CHECK_EQ(kmem_cache_size(s), size[i]);
			for (int k = 0; k < NR; k++) {
				p[k] = kmem_cache_zalloc(s, GFP_KERNEL);
				CHECK(all_bytes(p[k], size[i], 0));
				CHECK((uintptr_t)p[k] % (a ? a : 8) == 0);
				CHECK(ksize(p[k]) >= size[i]);
				memset(p[k], k, size[i]);
			}
			CHECK_EQ(validate_slab_cache(s), 0);
			for (int k = 0; k < NR; k++)
				CHECK(all_bytes(p[k], size[i],
						(unsigned char)k));
			for (int k = 0; k < NR; k++)
				free_of(s, p[k]);
			CHECK_EQ(validate_slab_cache(s), 0);
			CHECK_EQ(kmem_cache_shrink(s), 0);
			kmem_cache_destroy(s);
		}
	}
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* The largest object leaves no room beside it in the largest slab. */
/* Without a red zone, what is between the object and its end is poisoned. */
static void poison_alone_guards_the_padding(void)
{
	struct kmem_cache *s =
		kmem_cache_create("padded", 13, 0, SLAB_POISON, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	CHECK(p);
	CHECK_EQ(validate_slab_cache(s), 0);
	poke(p, 13, 1);
	CHECK_EQ(validate_slab_cache(s), 1);
	poke(p, 13, 0x5a);
	CHECK_EQ(validate_slab_cache(s), 0);
	free_of(s, p);
}

static void what_is_too_large_for_a_layout_has_none(void)
{
	struct kmem_cache *s = cache("large", 4 << 20, FZPU);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	CHECK(p);
	memset(p, 1, 4 << 20);
	free_of(s, p);
	free_of(s, p);
	has_line("BUG large: Object already free\n");
	kmem_cache_destroy(s);
}

static void kmalloc_keeps_its_promises(void)
{
	static const size_t size[] = {1,    7,	  8,	16,   33,   64,
				      100,  128,  200,	256,  500,  512,
				      1000, 1024, 2000, 2048, 4000, 4096,
				      8000, 8192, 9000, 65536};

	conf("slab_debug", "FZPU");
	for (size_t i = 0; i < KN_ARRAY_SIZE(size); i++) {
		const size_t n = size[i];
		char *p = kmalloc(n, GFP_KERNEL), *q;

		CHECK((uintptr_t)p % KN_MIN(divisor_of(n), (size_t)4096) == 0);
		CHECK(ksize(p) >= n);
		memset(p, 1, n);
		q = kzalloc(n, GFP_KERNEL);
		CHECK(all_bytes(q, n, 0));
		p = krealloc(p, 2 * n, GFP_KERNEL);
		CHECK(all_bytes(p, n, 1));
		memset(p, 2, 2 * n);
		p = krealloc(p, n / 2 + 1, GFP_KERNEL);
		CHECK(all_bytes(p, n / 2 + 1, 2));
		kfree(p);
		kfree_sensitive(q);
		p = kvmalloc(n, GFP_KERNEL);
		p = kvrealloc(p, 3 * n, GFP_KERNEL);
		memset(p, 3, 3 * n);
		kvfree(p);
		p = knuma_malloc(n);
		CHECK((uintptr_t)p % 16 == 0);
		memset(p, 4, knuma_malloc_usable_size(p));
		p = knuma_realloc(p, n + 5);
		memset(p, 5, n + 5);
		p = knuma_realloc(p, n);
		knuma_free(p);
		p = knuma_memalign(64, n);
		CHECK((uintptr_t)p % 64 == 0);
		memset(p, 6, n);
		knuma_free(p);
		p = knuma_calloc(3, n);
		CHECK(all_bytes(p, 3 * n, 0));
		knuma_free(p);
	}
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

static void objects_of_readers_are_not_written(void)
{
	struct kmem_cache *s =
		cache("typesafe", 64, FZPU | SLAB_TYPESAFE_BY_RCU);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	memset(p, 7, 64);
	free_of(s, p);
	CHECK(all_bytes(p, 64, 7));
	poke(p, 64, 1);
	CHECK_EQ(validate_slab_cache(s), 1);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG "), 1);
}

static void construct(void *obj)
{
	memset(obj, 0x42, 64);
}

static void constructors_run_once(void)
{
	struct kmem_cache *s =
		kmem_cache_create("ctor", 64, 0, FZPU, construct);

	for (int i = 0; i < 1000; i++) {
		char *p = kmem_cache_alloc(s, GFP_KERNEL);

		CHECK(all_bytes(p, 64, 0x42));
		free_of(s, p);
		CHECK(all_bytes(p, 64, 0x42));
	}
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
}

static void names_choose(void)
{
	struct kmem_cache *s;

	conf("slab_debug", "P,chosen-*;Z,kmalloc-6*;-");
	s = kmem_cache_create("chosen-1", 64, 0, 0, NULL);
	CHECK(s->flags & SLAB_POISON && !(s->flags & SLAB_RED_ZONE));
	kmem_cache_destroy(s);
	s = kmem_cache_create("other", 64, 0, 0, NULL);
	CHECK(!(s->flags & FZPU));
	kmem_cache_destroy(s);
	s = kmem_cache_create("chosen-2", 64, 0, SLAB_NO_USER_FLAGS, NULL);
	CHECK(!(s->flags & FZPU));
	kmem_cache_destroy(s);
	s = kmem_cache_create("chosen-3", 64, 0, SLAB_RED_ZONE, NULL);
	CHECK((s->flags & FZPU) == (SLAB_POISON | SLAB_RED_ZONE));
	kmem_cache_destroy(s);
	CHECK(kn_kmalloc_cache(64)->flags & SLAB_RED_ZONE);
	CHECK(!(kn_kmalloc_cache(128)->flags & FZPU));
}

static void o_leaves_out_what_would_need_more_pages(void)
{
	conf("slab_debug", "FZPUO");
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_EQ(kn_kmalloc_cache(64)->flags & FZPU, FZPU);
	CHECK_EQ(kn_kmalloc_cache(4096)->flags & FZPU, SLAB_CONSISTENCY_CHECKS);
}

static void a_wrong_text_is_refused(void)
{
	CHECK_EQ(knuma_conf_set("slab_debug", "FZX"), -EINVAL);
	CHECK_EQ(knuma_conf_set("slab_debug", "FZ,"), -EINVAL);
	CHECK_EQ(knuma_conf_set("slab_debug", ""), 0);
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_EQ(kn_kmalloc_cache(64)->flags & FZPU, FZPU);
}

/* While running. */

#define MANY 300

static void *held[MANY];

static void fill_and_empty(struct kmem_cache *s)
{
	for (int i = 0; i < MANY; i++)
		held[i] = kmem_cache_alloc(s, GFP_KERNEL);
	for (int i = 0; i < MANY; i++)
		free_of(s, held[i]);
}

static void f_comes_and_goes(void)
{
	struct kmem_cache *s;
	uint64_t pops;

	start_here();
	s = kmem_cache_create("live", 64, 0, 0, NULL);
	fill_and_empty(s);
	held[0] = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK_EQ(knuma_conf_set("slab_debug", "FZPU,live"), 0);
	/* No layout: it has objects already. */
	CHECK_EQ(s->flags & FZPU, SLAB_CONSISTENCY_CHECKS);
	pops = stat_of("magazine_pops");
	held[1] = kmem_cache_alloc(s, GFP_KERNEL);
	held[2] = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK_EQ(stat_of("magazine_pops"), pops);
	for (int i = 0; i < 3; i++)
		free_of(s, held[i]);
	/* Late, and seen at once. */
	free_of(s, held[0]);
	has_line("BUG live: Object already free\n");
	CHECK_EQ(knuma_conf_set("slab_debug", "-"), 0);
	CHECK_EQ(s->flags & FZPU, 0);
	fill_and_empty(s);
	CHECK(stat_of("magazine_pops") > pops + MANY / 2);
	fill_and_empty(s);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("BUG "), 1);
	heap_verify();
}

static void t_prints_each_call(void)
{
	struct kmem_cache *s;
	char *p;

	start_here();
	s = kmem_cache_create("traced", 64, 0, 0, NULL);
	fill_and_empty(s);
	CHECK_EQ(strlen(printed()), 0);
	conf("slab_debug", "T,traced");
	p = kmem_cache_alloc(s, GFP_KERNEL);
	memset(p, 'y', 64);
	has_line("TRACE traced alloc %p inuse=", (void *)p);
	free_of(s, p);
	has_line("TRACE traced free %p inuse=", (void *)p);
	has_line("Object   %p: 79 79 79 79", (void *)p);
	CHECK_EQ(printed_times("TRACE "), 2);
	conf("slab_debug", "-");
	fill_and_empty(s);
	CHECK_EQ(printed_times("TRACE "), 2);
	kmem_cache_destroy(s);
}

static void a_fails_what_it_is_told_to(void)
{
	struct kmem_cache *s;
	int failed = 0;
	void *p;

	start_here();
	s = kmem_cache_create("failing", 64, 0, 0, NULL);
	conf("failslab_interval", "4");
	conf("slab_debug", "A,failing");
	for (int i = 0; i < 40; i++) {
		errno = 0;
		p = kmem_cache_alloc(s, GFP_KERNEL);
		failed += !p;
		CHECK(p || errno == ENOMEM);
		free_of(s, p);
	}
	CHECK_EQ(failed, 10);
	CHECK_EQ(stat_of("failslab"), 10);
	for (int i = 0; i < 40; i++) {
		p = kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOFAIL);
		CHECK(p);
		free_of(s, p);
	}
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, 10, held), 0);
	/* Another cache does not. */
	p = kmalloc(64, GFP_KERNEL);
	CHECK(p);
	kfree(p);
	conf("failslab_interval", "1");
	CHECK_EQ(kmem_cache_alloc(s, GFP_KERNEL), NULL);
	conf("failslab_probability", "0");
	fill_and_empty(s);
	conf("failslab_probability", "50");
	failed = 0;
	for (int i = 0; i < 1000; i++) {
		p = kmem_cache_alloc(s, GFP_KERNEL);
		failed += !p;
		free_of(s, p);
	}
	CHECK(failed > 0 && failed < 1000);
	conf("slab_debug", "-");
	fill_and_empty(s);
	kmem_cache_destroy(s);
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

/* Other ways in and out. */

static void bulk_and_bare_kfree(void)
{
	struct kmem_cache *s = cache("bulk", 64, FZPU);

	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL, MANY, held), MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK(all_bytes(held[i], 64, KN_POISON_INUSE));
		memset(held[i], i, 64);
	}
	poke(held[7], 64, 0);
	kmem_cache_free_bulk(s, 100, held);
	CHECK_EQ(printed_times("BUG bulk: Right Redzone overwritten\n"), 1);
	/* The others keep the slabs. */
	kfree_bulk(10, held + 100);
	kfree_bulk(10, held + 100);
	CHECK_EQ(stat_of("double_free"), 10);
	for (int i = 110; i < MANY; i++)
		kfree(launder(held[i]));
	/* The one with the hole in its zone was kept. */
	free_of(s, held[7]);
	kmem_cache_destroy(s);
	CHECK_EQ(printed_times("remaining"), 0);
	heap_verify();
}

static void full_checks_see_each_double_free(void)
{
	void *p[MANY];

	conf("check", "full");
	misuse_catch();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			p[i] = kmalloc(100, GFP_KERNEL);
		/* What stays keeps the slabs. */
		for (int i = 0; i < MANY; i += 2)
			kfree(launder(p[i]));
		CHECK_EQ(misuse_count(), 0);
		for (int i = 0; i < MANY; i += 2) {
			misuse_forget();
			kfree(launder(p[i]));
			CHECK_EQ(misuse_count(), 1);
			CHECK_HAS(misuse_last(), "Object already free");
		}
		misuse_forget();
		for (int i = 1; i < MANY; i += 2)
			kfree(launder(p[i]));
		CHECK_EQ(misuse_count(), 0);
	}
	heap_verify();
}

static void overflow_with_abort(void)
{
	char *p;

	conf("slab_debug", "FZPU");
	conf("slab_debug_abort", "yes");
	p = kmalloc(10, GFP_KERNEL);
	poke(p, 10, 0);
	kfree(launder(p));
}

static void a_report_ends_the_process_if_asked(void)
{
	struct child c;

	child_run(overflow_with_abort, &c);
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "knuma: BUG kmalloc-16: kmalloc Redzone overwritten");
}

static void reports_can_be_caught(void)
{
	struct kmem_cache *s = cache("caught", 64, FZPU);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	misuse_catch();
	poke(p, 64, 0);
	free_of(s, p);
	CHECK_EQ(misuse_count(), 1);
	CHECK_HAS(misuse_last(), "caught: Right Redzone overwritten");
	CHECK_EQ(strlen(printed()), 0);
}

/* A signal handler allocates and frees in debugged caches. */
static struct kmem_cache *of_handler;
static volatile sig_atomic_t handled;

static void in_handler(int sig)
{
	void *p = kmem_cache_alloc(of_handler, GFP_ATOMIC | __GFP_NOWARN);

	(void)sig;
	if (p)
		kmem_cache_free(of_handler, p);
	handled++;
}

/* Wherever they interrupt; the timer is only what makes it happen. */
static void handlers_may_come_at_any_time(void)
{
	const struct itimerval often = {{0, 200}, {0, 200}}, never = {0};
	static void *p[64];
	unsigned at = 0;

	of_handler = cache("any time", 64, FZPU);
	signal(SIGALRM, in_handler);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (handled < 500) {
		free_of(of_handler, p[at % 64]);
		p[at % 64] = kmem_cache_alloc(of_handler, GFP_KERNEL);
		CHECK(p[at++ % 64]);
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	for (int i = 0; i < 64; i++)
		free_of(of_handler, p[i]);
	CHECK_EQ(validate_slab_cache(of_handler), 0);
	kmem_cache_destroy(of_handler);
	CHECK_EQ(strlen(printed()), 0);
}

static void handlers_may_use_them(void)
{
	of_handler = cache("handler", 64, FZPU);
	signal(SIGUSR1, in_handler);
	for (int i = 0; i < 2000; i++) {
		void *p = kmem_cache_alloc(of_handler, GFP_KERNEL);

		raise(SIGUSR1);
		free_of(of_handler, p);
	}
	CHECK_EQ(handled, 2000);
	CHECK_EQ(validate_slab_cache(of_handler), 0);
	kmem_cache_destroy(of_handler);
	CHECK_EQ(strlen(printed()), 0);
}

static struct kmem_cache *forked;
static char *from_parent;

static void go_on(void)
{
	CHECK_EQ(validate_slab_cache(forked), 0);
	poke(from_parent, 64, 1);
	CHECK_EQ(validate_slab_cache(forked), 1);
	free_of(forked, from_parent);
	fill_and_empty(forked);
	kmem_cache_destroy(forked);
	CHECK_EQ(printed_times("BUG "), 1);
}

static void children_go_on_with_them(void)
{
	struct child c;

	forked = cache("forked", 64, FZPU);
	from_parent = kmem_cache_alloc(forked, GFP_KERNEL);
	child_run(go_on, &c);
	if (!child_passed(&c))
		fprintf(stderr, "%s", c.text);
	CHECK(child_passed(&c));
	/* The parent's is as it was. */
	free_of(forked, from_parent);
	kmem_cache_destroy(forked);
	CHECK_EQ(strlen(printed()), 0);
}

/* What a slot says of sizes is its cache's, not that of the one before it. */
static void a_size_follows_the_layout_of_its_cache(void)
{
	const unsigned flags[] = {0, FZPU, SLAB_POISON, 0};
	const struct kmem_cache *slot = NULL;

	for (unsigned i = 0; i < KN_ARRAY_SIZE(flags); i++) {
		struct kmem_cache *s = cache("slot", 60, flags[i]);
		char *p = kmem_cache_alloc(s, GFP_KERNEL);

		CHECK(!slot || s == slot);
		slot = s;
		CHECK_EQ(ksize(p), flags[i] ? 60 : 64);
		CHECK_EQ(knuma_malloc_usable_size(p), ksize(p));
		memset(p, 1, ksize(p));
		free_of(s, p);
		kmem_cache_destroy(s);
	}
	CHECK_EQ(strlen(printed()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_right_red_zone_is_guarded),
		child_test(a_left_red_zone_is_guarded),
		child_test(poison_of_free_objects_is_guarded),
		child_test(a_red_zone_of_a_free_object_is_guarded),
		child_test(what_is_behind_a_request_is_guarded),
		child_test(a_leak_is_one_report_and_one_for_each_object),
		child_test(krealloc_moves_the_zone),
		child_test(each_mistake_is_found),
		child_test(paddings_are_guarded),
		child_test(an_overflow_is_reported_when_it_is_freed),
		child_test(an_underflow_is_reported),
		child_test(a_write_behind_a_request_is_reported),
		child_test(
			a_write_after_free_is_reported_by_the_next_allocation),
		child_test(a_write_after_free_does_not_get_lost),
		child_test(a_double_free_is_reported_however_late),
		child_test(an_interior_pointer_is_reported),
		child_test(the_wrong_cache_is_reported),
		child_test(what_is_left_is_told_with_who_allocated_it),
		child_test(stacks_lead_to_the_caller),
		child_test(each_flag_works_alone),
		child_test(poison_alone_guards_the_padding),
		child_test(what_is_too_large_for_a_layout_has_none),
		child_test(kmalloc_keeps_its_promises),
		child_test(a_size_follows_the_layout_of_its_cache),
		child_test(objects_of_readers_are_not_written),
		child_test(constructors_run_once),
		child_test(names_choose),
		child_test(o_leaves_out_what_would_need_more_pages),
		child_test(a_wrong_text_is_refused),
		child_test(f_comes_and_goes),
		child_test(t_prints_each_call),
		child_test(a_fails_what_it_is_told_to),
		child_test(bulk_and_bare_kfree),
		child_test(full_checks_see_each_double_free),
		child_test(a_report_ends_the_process_if_asked),
		child_test(reports_can_be_caught),
		child_test(handlers_may_use_them),
		child_test(handlers_may_come_at_any_time),
		child_test(children_go_on_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
