/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of allocations where the system gives no memory. */
#include <knuma/group.h>

#include <string.h>

#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/vmalloc.h>

#include "alloc/view/stats_view.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define ACCOUNT (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

static struct knuma_group *entered(void)
{
	struct knuma_group *g =
		knuma_group_create("poor", KNUMA_GROUP_NO_LIMIT);

	CHECK(g);
	CHECK_EQ(knuma_group_enter(g), 0);
	return g;
}

static void holds(const struct knuma_group *g, uint64_t bytes, uint64_t objects)
{
	struct knuma_group_stat st;

	knuma_group_read(g, &st);
	CHECK_EQ(st.usage_bytes, bytes);
	CHECK_EQ(st.objects, objects);
}

static void no_table(void)
{
	start_quiet();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	CHECK_FAILS(knuma_group_create("poor", 1), ENOMEM);
	CHECK_EQ(faults_failed(), 1);
	CHECK(knuma_group_create("poor", 1));
}

static void **kept;
static uint64_t nr_kept, kept_bytes;

/* Objects of @size until there are no more; what failed is not charged. */
static void use_up(struct knuma_group *g, size_t size)
{
	void *p;

	while ((p = kmalloc(size, ACCOUNT))) {
		kept_bytes += ksize(p);
		*(void **)p = kept;
		kept = p;
		nr_kept++;
	}
	CHECK_EQ(errno, ENOMEM);
	holds(g, kept_bytes, nr_kept);
}

/* The heap cannot grow: slabs, or their vectors, or both cannot be made. */
static void what_is_not_had_is_not_charged(void)
{
	struct knuma_group *g;

	conf("vmalloc_cache", "0");
	start_quiet();
	g = entered();
	/* There is some memory, which does not become more. */
	kfree(kmalloc((size_t)1 << 20, GFP_KERNEL));
	faults_install();
	faults_fail(FAULT_MPROTECT, 1, FAULTS_FOR_EVER, ENOMEM);
	for (size_t size = 65536; size >= 16; size /= 2)
		use_up(g, size);
	CHECK(nr_kept > 10);
	CHECK(faults_failed() > 0);
	/* Some may be left, fewer than a slab of vectors needs. */
	while (alloc_pages(GFP_KERNEL, 0))
		;
	CHECK_FAILS(alloc_pages(ACCOUNT, 0), ENOMEM);
	CHECK_FAILS(alloc_pages_exact(100, ACCOUNT), ENOMEM);
	CHECK_FAILS(__vmalloc((size_t)1 << 30, ACCOUNT), ENOMEM);
	holds(g, kept_bytes, nr_kept);
	while (kept) {
		void *p = kept;

		kept = *(void **)p;
		kfree(p);
	}
	holds(g, 0, 0);
	heap_verify();
	knuma_group_leave(0);
}

/* That there are none is another answer. */
static void no_memory_for_the_rows(void)
{
	static char text[1 << 18];

	start_quiet();
	CHECK(knuma_stats_json(text, sizeof(text)) < sizeof(text));
	CHECK_HAS(text, "\"groups\":[]");
	entered();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 2, ENOMEM);
	CHECK(knuma_stats_json(text, sizeof(text)) < sizeof(text));
	CHECK_HAS(text, "\"groups\":null");
	CHECK(knuma_stats_text(text, sizeof(text)) < sizeof(text));
	CHECK_HAS(text, "\ngroups: no memory for the rows\n");
	CHECK_EQ(faults_failed(), 2);
	/* Rows that stay mapped were printed. */
	faults_fail(FAULT_MUNMAP, 1, 2, ENOMEM);
	CHECK(knuma_stats_json(text, sizeof(text)) < sizeof(text));
	CHECK_HAS(text, "\"groups\":[{\"group\":\"poor\",");
	CHECK(knuma_stats_text(text, sizeof(text)) < sizeof(text));
	CHECK_HAS(text, "\npoor ");
	CHECK_EQ(faults_failed(), 4);
}

/* Families are left out that there is no memory for, and all others are there. */
static void no_memory_for_metrics(void)
{
	static char buf[1 << 18];
	struct kn_text t = {buf, sizeof(buf), 0};

	start_quiet();
	entered();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 2, ENOMEM);
	kn_metrics_format(&t);
	CHECK_EQ(faults_failed(), 2);
	CHECK_HAS(buf, "\nknuma_allocated_bytes ");
	CHECK(!strstr(buf, "knuma_cache_") && !strstr(buf, "knuma_group_"));
	CHECK_EQ(strcmp(buf + t.len - 6, "# EOF\n"), 0);
	t.len = 0;
	kn_metrics_format(&t);
	CHECK_HAS(buf, "\nknuma_cache_bytes{");
	CHECK_HAS(buf, "\nknuma_group_usage_bytes{group=\"poor\"} ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(no_table),
		child_test(what_is_not_had_is_not_charged),
		child_test(no_memory_for_the_rows),
		child_test(no_memory_for_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
