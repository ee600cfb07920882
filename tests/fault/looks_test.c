/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th system call fails, for every n, while somebody looks: requests,
 * files of statistics, where pages are; and while pages go and come home.
 * What cannot be said is left out or an error, and nothing else is touched.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "alloc/view/requests.h"
#include "alloc/view/stats_view.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

#define AREA ((size_t)300 << 10)

static uint64_t nth;
static char answer[1 << 20], folder[32], file[64];
static char *object, *area;

static bool is_enomem(long ret)
{
	CHECK(ret >= 0 || ret == -ENOMEM);
	return ret < 0;
}

/* @has, or that there was no memory; never both. */
static void ask(const char *request, const char *has)
{
	struct kn_text t = {answer, sizeof(answer), 0};
	char line[128];

	snprintf(line, sizeof(line), "%s", request);
	kn_request_answer(line, &t);
	CHECK(t.len < t.size);
	if (!strstr(answer, "\"error\":"))
		CHECK_HAS(answer, has);
	else
		CHECK(strstr(answer, "ENOMEM") && !strstr(answer, has));
}

static void requests(void)
{
	char line[64];

	ask("caches", "\"cache\":\"kmalloc-64\"");
	ask("nodes", "\"resident_bytes\":");
	ask("stats openmetrics", "knuma_allocated_bytes");
	ask("stats text", "allocated_bytes");
	ask("view slabinfo", "kmalloc-64 ");
	ask("view vmallocinfo", "pages=");
	snprintf(line, sizeof(line), "whatis %p", (void *)object);
	ask(line, "\"kind\":\"object\"");
	snprintf(line, sizeof(line), "whatis %p", (void *)area);
	ask(line, "\"kind\":\"vmalloc area\"");
}

/* A file that was not written is not there. */
static void files(void)
{
	const int fd = memfd_create("stats", MFD_CLOEXEC);
	const bool failed = is_enomem(kn_stats_save(file));

	CHECK_EQ(!access(file, F_OK), !failed);
	if (!failed)
		CHECK_EQ(unlink(file), 0);
	CHECK(fd >= 0);
	knuma_stats_print(fd);
	CHECK(lseek(fd, 0, SEEK_END) > 0 ||
	      printed_times("the statistics cannot be printed"));
	close(fd);
}

static void copies_of_cpus(void)
{
	int *p = alloc_percpu(int);
	unsigned int cpu;

	if (!p) {
		CHECK_EQ(errno, ENOMEM);
		return;
	}
	for_each_possible_cpu(cpu) CHECK_EQ((*per_cpu_ptr(p, cpu))++, 0);
	free_percpu(p);
}

static void places(void)
{
	struct knuma_homes row[4];
	char *gone = vmalloc_node(AREA, 1);

	is_enomem(knuma_verify_placement(1000, row, 4));
	is_enomem(knuma_migrate(area, NUMA_NO_NODE, 3, NULL));
	if (gone) {
		memset(gone, 1, AREA);
		is_enomem(knuma_migrate(gone, NUMA_NO_NODE, 2, NULL));
		vfree(gone);
	}
	(void)!knuma_trim();
	is_enomem(knuma_migrate(area, NUMA_NO_NODE, 1, NULL));
}

static void look(void)
{
	requests();
	files();
	copies_of_cpus();
	places();
	CHECK(pattern_holds(object, 100, 1));
	CHECK(pattern_holds(area, AREA, 2));
}

static void scenario(void)
{
	struct knuma_group *g;

	conf("fake_nodes", "4");
	conf("vmalloc_cache", "0");
	start_quiet();
	g = knuma_group_create("looks", 1 << 20);
	object = kmalloc_node(100, GFP_KERNEL, 1);
	area = vmalloc_node(AREA, 1);
	CHECK(g && object && area);
	pattern_fill(object, 100, 1);
	pattern_fill(area, AREA, 2);
	if (knuma_placement(area, 1, NULL, 0) < 0)
		skip_child("move_pages(2) is refused here");
	strcpy(folder, "/tmp/knuma-looks-XXXXXX");
	CHECK(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/stats", folder);
	faults_install();
	faults_fail(FAULT_ANY, nth, 1, ENOMEM);
	look();
	if (!faults_failed())
		dprintf(2, "NOT REACHED\n");
	faults_fail(FAULT_ANY, 0, 0, 0);
	look();
	/* Rows of groups are left out where they find no memory. */
	ask("stats openmetrics", "knuma_group_usage_bytes");
	CHECK_EQ(rmdir(folder), 0);
	vfree(area);
	kfree(object);
	knuma_group_destroy(g);
	CHECK_EQ(knuma_trim(), 0);
	CHECK_EQ(stat_of("vmalloc_bytes"), 0);
	CHECK_EQ(stat_of("away_bytes"), 0);
	heap_verify();
}

static void any_call_fails(void **state)
{
	struct child c;

	(void)state;
	for (nth = 1; nth < 1000; nth++) {
		child_run(scenario, &c);
		if (!child_passed(&c))
			fail_msg("call %d: status %#x\n%s", (int)nth, c.status,
				 c.text);
		if (strstr(c.text, "is refused here"))
			skip();
		if (strstr(c.text, "NOT REACHED"))
			break;
	}
	print_message("%d calls\n", (int)nth - 1);
	assert_in_range(nth, 30, 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_call_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
