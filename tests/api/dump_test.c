/* SPDX-License-Identifier: Apache-2.0 */
/* kmem_dump_obj(), mem_dump_obj(): what an address belongs to, in a line. */
#include <knuma/knuma.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "numa/span.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

static int lines;

/* The line of @p, which kmem_dump_obj() prints, has @text in it. */
static void dumps(const void *p, const char *text)
{
	CHECK(kmem_dump_obj(launder(p)));
	CHECK_HAS(printed(), text);
}

/* It prints nothing, and mem_dump_obj() a line. */
static void dumps_other(const void *p, const char *text)
{
	const size_t before = strlen(printed());

	/* checks kmem_dump_obj: "false without a line for all else" */
	CHECK(!kmem_dump_obj(launder(p)));
	CHECK_EQ(strlen(printed()), before);
	mem_dump_obj(launder(p));
	/* checks mem_dump_obj: "for all else a line" */
	CHECK_HAS(printed() + before, text);
	CHECK_EQ(printed_times("knuma: "), ++lines);
}

static void objects(void)
{
	char text[200];
	char *p;

	start_here();
	p = kmalloc(60, GFP_KERNEL);
	snprintf(text, sizeof(text),
		 "slab kmalloc-64 start %p pointer offset 0 size 64, in use\n",
		 (void *)p);
	dumps(p, text);
	snprintf(text, sizeof(text),
		 "knuma: %p: slab kmalloc-64 start %p pointer offset 63 size "
		 "64, in use\n",
		 (void *)(p + 63), (void *)p);
	dumps(p + 63, text);
	kfree(launder(p));
	snprintf(text, sizeof(text),
		 "start %p pointer offset 1 size 64, free in a magazine\n",
		 (void *)p);
	dumps(p + 1, text);
	/*
	 * checks kmem_dump_obj: "One line on standard error", "true when it is
	 * of a cache or of a small kmalloc()"
	 */
	CHECK_EQ(printed_times("knuma: "), 3);
	mem_dump_obj(launder(p + 1));
	CHECK_EQ(printed_times(text), 2);
	p = kmalloc(60, GFP_KERNEL);
	CHECK(p);
	heap_verify();
}

static void objects_in_their_slab(void)
{
	struct kmem_cache *s;
	char *p, *q;

	start_here();
	s = kmem_cache_create("dumped", 700, NULL, SLAB_NO_MERGE);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	q = kmem_cache_alloc(s, GFP_KERNEL);
	kmem_cache_free(s, launder(q));
	CHECK_EQ(kmem_cache_shrink(s), 1);
	dumps(q, "slab dumped start");
	CHECK_HAS(printed(), "free in a slab\n");
	kmem_cache_free(s, launder(p));
	kmem_cache_destroy(s);
	lines = 1;
	dumps_other(p, "free memory of the heap");
}

static void who_had_it(void)
{
	struct kmem_cache *s;
	void *p;

	start_here();
	s = kmem_cache_create("tracked", 64, NULL, SLAB_STORE_USER);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	dumps(p, "slab tracked start");
	CHECK_HAS(printed(), "Allocated in ");
	kmem_cache_free(s, launder(p));
	dumps(p, "free in a slab\n");
	/* checks kmem_dump_obj: "also who allocated and freed it" */
	CHECK_HAS(printed(), "Freed in ");
	kmem_cache_destroy(s);
}

static void guarded_objects(void)
{
	char *p;

	conf("guard_sample", "1");
	start_here();
	p = kmalloc(100, GFP_KERNEL);
	dumps(p + 5, "guarded slab kmalloc-112 start");
	/* checks kmem_dump_obj: "What lies there is not touched" */
	CHECK_HAS(printed(), "pointer offset 5 size 100, in use\n");
	lines = 1;
	dumps_other((char *)((uintptr_t)p & ~(uintptr_t)4095) + 4096,
		    "a guard between guarded objects\n");
	kfree(launder(p));
	dumps(p, "size 100, free\n");
}

static void all_else(void)
{
	struct page *page;
	char *area, *large, *pages;
	char text[100], here = 0;

	dumps_other(&here, "not memory of the heap\n");
	start_here();
	dumps_other(NULL, "NULL pointer\n");
	dumps_other(ZERO_SIZE_PTR, "zero-size pointer\n");
	area = vmalloc(10000);
	snprintf(text, sizeof(text),
		 "3-page vmalloc region starting at %p allocated at ",
		 (void *)area);
	dumps_other(area + 5000, text);
	large = kmalloc(20000, GFP_KERNEL);
	snprintf(text, sizeof(text), "5-page block starting at %p, in use\n",
		 (void *)large);
	dumps_other(large + 19999, text);
	page = alloc_pages(GFP_KERNEL, 2);
	pages = page_address(page);
	snprintf(text, sizeof(text), "4-page block starting at %p, in use\n",
		 (void *)pages);
	dumps_other(pages + 4096, text);
	__free_pages(page, 2);
	dumps_other(pages + 4096, "free memory of the heap\n");
	/* The last page of its part of the window. */
	dumps_other((char *)kn_window_base(kn_window_of(pages)) +
			    kn_window_half() - 4096,
		    "not in use\n");
	kfree(launder(large));
	dumps_other(large + 1, ", free in a magazine\n");
	vfree(launder(area));
	dumps_other(area, "free memory of the heap\n");
}

/* Pages behind, to grow into, are not told of. */
static void areas_that_grow(void)
{
	char text[100];
	char *area;

	start_here();
	area = knuma_realloc(knuma_malloc(8192), 2 << 20);
	CHECK(area);
	snprintf(text, sizeof(text), "512-page vmalloc region starting at %p ",
		 (void *)area);
	lines = 0;
	dumps_other(area + (2 << 20) - 1, text);
	dumps_other(area + (2 << 20), "free memory of the heap\n");
	knuma_free(launder(area));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(objects),	child_test(objects_in_their_slab),
		child_test(who_had_it), child_test(guarded_objects),
		child_test(all_else),	child_test(areas_that_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
