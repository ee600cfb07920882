/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/stats.h>: names, texts, and sums that must balance. */
#include <knuma/stats.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/slab.h>
#include <knuma/alloc_tag.h>
#include <knuma/group.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/magazine/drain.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/syscalls.h"

#define MIB ((size_t)1 << 20)

static char text[128 << 10];

static void unknown_names(void)
{
	uint64_t value = 77;

	CHECK_EQ(knuma_stats_read("banana", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("numa_hit.", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("numa_hit.4096", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("numa_hit.x", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("numa_hit.-1", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("numa_hit.99999999999", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read("a_name_that_is_longer_than_any_there_is.0",
				  &value),
		 -ENOENT);
	CHECK_EQ(knuma_stats_read("slab_new.0", &value), -ENOENT);
	CHECK_EQ(knuma_stats_read(".0", &value), -ENOENT);
	/* checks knuma_stats_read: "written only on success" */
	CHECK_EQ(value, 77);
}

static void a_node_statistic_is_the_sum_of_all(void)
{
	uint64_t sum = 0;
	char name[40];

	kfree(kmalloc_node(100, GFP_KERNEL, 0));
	kfree(kmalloc(100000, GFP_KERNEL));
	for (int node = knuma_next_node(-1); node >= 0;
	     node = knuma_next_node(node)) {
		snprintf(name, sizeof(name), "numa_hit.%d", node);
		sum += stat_of(name);
	}
	CHECK(sum > 0);
	/*
	 * checks knuma_stats_read: "is the sum of all, and numa_hit.1 that of
	 * node 1"
	 */
	CHECK_EQ(stat_of("numa_hit"), sum);
}

static void some_work(void)
{
	static void *p[4000];

	for (size_t i = 0; i < 4000; i++)
		p[i] = i % 50 == 49 ? kmalloc(i * 40, GFP_KERNEL) :
				      kmalloc(i % 3000 + 1, GFP_KERNEL);
	for (size_t i = 0; i < 4000; i++)
		kfree(p[i]);
	for (size_t i = 0; i < 50; i++)
		vfree(vmalloc(i * 10000 + 1));
}

static void what_one_node_missed_is_foreign_to_another(void)
{
	some_work();
	CHECK_EQ(stat_of("numa_miss"), stat_of("numa_foreign"));
	CHECK(stat_of("numa_hit") > 0);
	CHECK_EQ(stat_of("numa_hit") + stat_of("numa_miss"),
		 stat_of("local_node") + stat_of("other_node"));
}

static void pushes_are_pops_and_what_is_present(void)
{
	uint64_t popped, present;

	start_quiet();
	for (int round = 0; round < 3; round++) {
		some_work();
		kn_mag_totals(&popped, &present);
		CHECK_EQ(stat_of("magazine_pops"), popped);
		CHECK_EQ(stat_of("magazine_pushes"), popped + present);
		CHECK(popped > 3000u * (unsigned)(round + 1));
	}
	CHECK_EQ(knuma_trim(), 0);
	kn_mag_totals(&popped, &present);
	CHECK_EQ(stat_of("magazine_pushes"), stat_of("magazine_pops"));
	CHECK_EQ(present, 0);
}

static void levels_follow_the_memory(void)
{
	const uint64_t allocated = (start_here(), stat_of("allocated_bytes"));
	const uint64_t active = stat_of("active_bytes");
	static void *p[5000];
	char *area = vmalloc(10 * MIB);

	CHECK_EQ(stat_of("vmalloc_bytes"), 10 * MIB);
	CHECK(stat_of("allocated_bytes") >= allocated + 10 * MIB);
	CHECK(stat_of("active_bytes") >= active + 10 * MIB);
	for (int i = 0; i < 5000; i++)
		p[i] = kmalloc(1000, GFP_KERNEL);
	CHECK(stat_of("allocated_bytes") >= allocated + 10 * MIB + 5000 * 1000);
	CHECK(stat_of("slab_bytes") >= 5000 * 1000);
	CHECK(stat_of("active_bytes") >= stat_of("allocated_bytes"));
	CHECK(stat_of("mapped_bytes") >= stat_of("active_bytes"));
	vfree(area);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
	CHECK(stat_of("vmalloc_cached_bytes") >= 10 * MIB);
	for (int i = 0; i < 5000; i++)
		kfree(p[i]);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_cached_bytes"), 0);
	CHECK(stat_of("allocated_bytes") <= allocated);
	CHECK(stat_of("active_bytes") <= active);
	CHECK(stat_of("metadata_bytes") > 0);
	CHECK_EQ(stat_of("page_managed_bytes") - stat_of("page_free_bytes"),
		 stat_of("active_bytes"));
}

static void counters_count(void)
{
	uint64_t new, reused, failed;

	start_here();
	new = stat_of("vmalloc_new");
	reused = stat_of("vmalloc_reused");
	failed = stat_of("alloc_failed");
	vfree(vmalloc(MIB));
	CHECK_EQ(stat_of("vmalloc_new") - new, 1);
	vfree(vmalloc(MIB));
	CHECK_EQ(stat_of("vmalloc_reused") - reused, 1);
	CHECK(!__vmalloc((size_t)1 << 50, GFP_KERNEL | __GFP_NOWARN));
	CHECK_EQ(stat_of("alloc_failed") - failed, 1);
}

static void every_name_of_the_text_can_be_read(void)
{
	size_t len = knuma_stats_text(text, sizeof(text));
	char *line = text;
	int rows = 0;

	CHECK(len > 500 && len < sizeof(text));
	CHECK_EQ(strlen(text), len);
	CHECK_HAS(text, knuma_mode());
	CHECK_HAS(text, knuma_mode_reason());
	for (; (line = strchr(line, '\n')) && line[1]; line++) {
		uint64_t value, count;
		char name[40];

		if (sscanf(line + 1, "%39[a-z_] %lu", name, &count) != 2)
			continue;
		CHECK_EQ(knuma_stats_read(name, &value), 0);
		rows++;
	}
	CHECK(rows > 30);
}

static void as_snprintf(size_t (*fn)(char *, size_t))
{
	const size_t need = fn(NULL, 0);
	char *p = malloc(need + 100);
	size_t len;

	/* checks knuma_stats_json: "may be NULL if @len is 0" */
	CHECK(need > 500);
	memset(p, 'x', need + 100);
	len = fn(p, 100);
	/* Numbers may have grown by a digit meanwhile. */
	/*
	 * checks knuma_stats_text, knuma_stats_json: "bytes of the whole text,
	 * without the zero byte"
	 */
	CHECK(len >= need && len < need + 50);
	/*
	 * checks knuma_stats_text: "tells that it was cut short";
	 * knuma_stats_json: "as for knuma_stats_text()"
	 */
	CHECK_EQ(strlen(p), 99);
	CHECK_EQ(p[100], 'x');
	CHECK(fn(p, 1) >= need);
	CHECK_EQ(p[0], 0);
	p[0] = 'x';
	CHECK(fn(p, 0) >= need);
	CHECK_EQ(p[0], 'x');
	free(p);
}

static void lengths_are_those_of_snprintf(void)
{
	some_work();
	as_snprintf(knuma_stats_text);
	as_snprintf(knuma_stats_json);
}

/* A JSON text in which brackets balance and strings end. */
static void json_is_one_object(void)
{
	const size_t len = knuma_stats_json(text, sizeof(text));
	int depth = 0, least = 1;
	bool string = false;

	CHECK(len < sizeof(text));
	CHECK_EQ(text[0], '{');
	/* checks knuma_stats_json: "is the version of the form" */
	CHECK_HAS(text, "\"schema\":1,");
	CHECK_HAS(text, "\"numa_hit\":");
	CHECK_HAS(text, "\"magazine_pops\":");
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' && text[i - 1] != '\\')
			string = !string;
		else if (!string && strchr("{[", text[i]))
			depth++;
		else if (!string && strchr("}]", text[i]))
			depth--;
		if (i + 2 < len && depth < least)
			least = depth;
	}
	CHECK_EQ(depth, 0);
	CHECK(!string);
	CHECK(least >= 1);
}

static void print_writes_the_text_to_a_descriptor(void)
{
	const int fd = memfd_create("stats", 0);
	static char got[sizeof(text)];
	ssize_t n;

	/* Nobody else counts between the two texts. */
	start_quiet();
	knuma_stats_print(fd);
	n = pread(fd, got, sizeof(got) - 1, 0);
	CHECK(n > 500);
	CHECK_EQ(knuma_stats_text(text, sizeof(text)), n);
	CHECK(!strncmp(got, text, 60));
	/* checks knuma_stats_print: "2 for standard error" */
	knuma_stats_print(2);
	CHECK_HAS(printed(), "mapped_bytes");
	errno = 17;
	knuma_stats_print(-1);
	CHECK_EQ(errno, 17);
	close(fd);
}

static void texts_allocate_nothing(void)
{
	static struct knuma_alloc_tag tag = {.file = "stats", .func = "none"};
	struct knuma_group_stat row[2];
	uint64_t pops, active;

	start_quiet();
	some_work();
	CHECK(knuma_group_create("none", 1));
	pops = stat_of("magazine_pops");
	active = stat_of("active_bytes");
	CHECK(knuma_stats_text(text, sizeof(text)) > 500);
	CHECK(knuma_stats_json(text, sizeof(text)) > 500);
	knuma_stats_print(2);
	CHECK_EQ(knuma_groups_read(row, 2), 1);
	CHECK(knuma_alloc_tags_text(&tag, 1, text, sizeof(text)) > 0);
	/*
	 * checks knuma_stats_text, knuma_stats_json, knuma_groups_read,
	 * knuma_alloc_tags_text: "Allocates nothing"; knuma_stats_print: "Calls
	 * write(2), allocates nothing"
	 */
	CHECK_EQ(stat_of("magazine_pops"), pops);
	CHECK_EQ(stat_of("active_bytes"), active);
}

static void the_mode_is_told_and_why(void)
{
	const char *tunables = getenv("GLIBC_TUNABLES");
	const char *mode;

	kfree(kmalloc(1, GFP_KERNEL));
	mode = knuma_mode();
	/* checks knuma_mode: "for restartable sequences" */
	CHECK(!strcmp(mode, "rseq") || !strcmp(mode, "fallback"));
	CHECK(knuma_mode_reason() != NULL);
	if (tunables && strstr(tunables, "rseq=0")) {
		CHECK_HAS(mode, "fallback");
		CHECK_HAS(knuma_mode_reason(), "rseq");
	}
	if (!strcmp(mode, "fallback"))
		CHECK(knuma_mode_reason()[0]);
}

static void the_setting_chooses_the_mode(void)
{
	conf("rseq", "no");
	some_work();
	CHECK_HAS(knuma_mode(), "fallback");
	/* checks knuma_mode_reason: "a short text for people" */
	CHECK_HAS(knuma_mode_reason(), "tunable");
	heap_verify();
}

static void reading_makes_no_system_call(void)
{
	start_quiet();
	some_work();
	if (!syscalls_forbid())
		skip_child("no seccomp");
	stat_of("slab_bytes");
	stat_of("magazine_pops");
	stat_of("numa_hit.0");
	knuma_mode();
	knuma_mode_reason();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(unknown_names),
		child_test(a_node_statistic_is_the_sum_of_all),
		child_test(what_one_node_missed_is_foreign_to_another),
		child_test(pushes_are_pops_and_what_is_present),
		child_test(levels_follow_the_memory),
		child_test(counters_count),
		child_test(every_name_of_the_text_can_be_read),
		child_test(lengths_are_those_of_snprintf),
		child_test(json_is_one_object),
		child_test(print_writes_the_text_to_a_descriptor),
		child_test(texts_allocate_nothing),
		child_test(the_mode_is_told_and_why),
		child_test(the_setting_chooses_the_mode),
		child_test(reading_makes_no_system_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
