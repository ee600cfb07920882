/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the system may refuse: rseq, membarrier, mbind, at the start or later,
 * by a real seccomp filter or by a table of the machine.  The heap works in
 * each case, and says what it runs without.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/magazine/magazine.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/hammer.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"
#include "tests/support/syscalls.h"

static const char *const self = "/proc/self/exe";

static void trim(void)
{
	(void)!knuma_trim();
}

static void work(void)
{
	char *area, *large;

	hammer(4, 100, trim);
	area = vmalloc(100000);
	large = kmalloc(100000, GFP_KERNEL);
	memset(area, 1, 100000);
	memset(large, 1, 100000);
	vfree(area);
	kfree(large);
	heap_verify();
}

static const char *json(void)
{
	static char text[64 << 10];

	CHECK(knuma_stats_json(text, sizeof(text)) < sizeof(text));
	return text;
}

static void refused(int err, int nr)
{
	if (!syscalls_refuse(&nr, 1, err))
		skip_child("no seccomp");
}

static bool rseq_is_there(void)
{
	struct child c;

	child_run(work, &c);
	CHECK(child_passed(&c));
	kfree(kmalloc(1, GFP_KERNEL));
	return !strcmp(knuma_mode(), "rseq");
}

static void membarrier_is_refused_at_the_start(void)
{
	refused(EPERM, SYS_membarrier);
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_HAS(knuma_mode(), "fallback");
	CHECK(strlen(knuma_mode_reason()) > 0);
	CHECK_HAS(json(), "\"mode\":\"fallback\"");
	work();
	CHECK_HAS(knuma_mode(), "fallback");
	/* It is no one's mistake: nothing is said unasked. */
	CHECK_EQ(strlen(printed()), 0);
}

static void membarrier_is_no_system_call(void)
{
	refused(ENOSYS, SYS_membarrier);
	work();
	CHECK_HAS(knuma_mode(), "fallback");
}

static void rseq_is_switched_off(void)
{
	conf("rseq", "no");
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_HAS(knuma_mode(), "fallback");
	CHECK_HAS(knuma_mode_reason(), "tunable");
	work();
	work();
}

static int no_cpu(void)
{
	return -ENOSYS;
}

/* All threads share what the first CPU has; owners of objects have none. */
static void the_cpu_is_not_told(void)
{
	void *p;

	conf("rseq", "no");
	conf("slab_debug", "U,kmalloc-64");
	kfree(kmalloc(1, GFP_KERNEL));
	kn_machine.getcpu = no_cpu;
	work();
	p = kmalloc(64, GFP_KERNEL);
	CHECK(kmem_dump_obj(p));
	CHECK_HAS(printed(), " cpu=-1 ");
	kfree(p);
	heap_verify();
}

/* The fence is refused while threads run: arrays are closed for good. */
static void membarrier_is_refused_later(void)
{
	struct kmem_cache *s;

	if (!rseq_is_there())
		skip_child("no restartable sequences here");
	s = kmem_cache_create("late", 100, 0, 0, NULL);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	faults_install();
	faults_fail(FAULT_MEMBARRIER, 1, FAULTS_FOR_EVER, EPERM);
	work();
	CHECK_HAS(knuma_mode(), "fallback");
	CHECK_HAS(knuma_mode_reason(), "membarrier");
	CHECK_EQ(printed_times("closed for good"), 1);
	work();
	/* Also with a cache that goes, and caches that come. */
	kmem_cache_destroy(s);
	for (int i = 0; i < 20; i++) {
		void *p;

		s = kmem_cache_create("after", 100, 0, 0, NULL);
		CHECK(s);
		p = kmem_cache_alloc(s, GFP_KERNEL);
		memset(p, 1, 100);
		kmem_cache_free(s, p);
		kmem_cache_destroy(s);
	}
	work();
	CHECK_EQ(printed_times("closed for good"), 1);
}

static void the_texts_follow_the_mode(void)
{
	if (!rseq_is_there())
		skip_child("no restartable sequences here");
	CHECK_HAS(json(), "\"mode\":\"rseq\"");
	faults_install();
	faults_fail(FAULT_MEMBARRIER, 1, FAULTS_FOR_EVER, EPERM);
	trim();
	CHECK_HAS(json(), "\"mode\":\"fallback\"");
	CHECK_HAS(json(), knuma_mode_reason());
}

static void refuse_later(void)
{
	static int n;

	if (n++ == 20)
		faults_fail(FAULT_MEMBARRIER, 1, FAULTS_FOR_EVER, EPERM);
	trim();
}

static void membarrier_is_refused_among_threads(void)
{
	if (!rseq_is_there())
		skip_child("no restartable sequences here");
	faults_install();
	hammer(4, 100, refuse_later);
	CHECK_HAS(knuma_mode(), "fallback");
	work();
}

/* mbind(2): asked once, told in the statistics, survived. */
static void mbind_is_refused(void)
{
	int (*const real)(void *, size_t, int) = kn_machine.mbind_preferred;
	void *p[8];

	fake_nodes(2);
	kn_machine.mbind_preferred = real;
	conf("stats", "yes");
	conf("background", "no");
	refused(EPERM, SYS_mbind);
	faults_install();
	for (int i = 0; i < 8; i++)
		p[i] = kmalloc_node(100, GFP_KERNEL, i % 2);
	CHECK_EQ(faults_calls(FAULT_MBIND), 1);
	CHECK_HAS(printed(), "mbind denied");
	CHECK_HAS(json(), "\"mbind\":\"denied\"");
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(knuma_node_of(p[i]), i % 2);
		kfree(p[i]);
	}
	work();
	CHECK_EQ(faults_calls(FAULT_MBIND), 1);
}

static void mbind_is_granted(void)
{
	fake_nodes(3);
	conf("background", "no");
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK(fake_mbinds() >= 6);
	CHECK_HAS(json(), "\"mbind\":\"ok\"");
}

static void one_node_needs_no_mbind(void)
{
	fake_nodes(1);
	work();
	CHECK_EQ(fake_mbinds(), 0);
	CHECK_HAS(json(), "\"mbind\":\"not needed\"");
}

static void placement_is_refused(void)
{
	void *p = kmalloc(100, GFP_KERNEL);

	refused(EPERM, SYS_move_pages);
	CHECK_EQ(knuma_placement(p, 100, NULL, 0), -EPERM);
	kfree(p);
}

/* A filter that stands when the C library starts: it has no rseq to offer. */
static const int strict[] = {SYS_rseq,		SYS_membarrier,
			     SYS_mbind,		SYS_move_pages,
			     SYS_set_mempolicy, SYS_get_mempolicy,
			     SYS_migrate_pages};

static void start_again(void)
{
	char *const argv[] = {"modes_test", "strict", NULL};

	if (!syscalls_refuse(strict, 7, EPERM))
		skip_child("no seccomp");
	execv(self, argv);
	check_failed(__FILE__, __LINE__, "execv");
}

static int in_strict_process(void)
{
	kfree(kmalloc(1, GFP_KERNEL));
	CHECK_HAS(knuma_mode(), "fallback");
	CHECK_HAS(knuma_mode_reason(), "rseq");
	work();
	printf("strict process done\n");
	return 0;
}

static void a_strict_container(void)
{
	struct child c;

	child_run(start_again, &c);
	if (strstr(c.text, "skipped"))
		skip_child("no seccomp");
	CHECK_HAS(c.text, "strict process done");
	CHECK(child_passed(&c));
}

static void on_fake_nodes_without_rseq(void)
{
	fake_nodes(3);
	conf("rseq", "no");
	conf("background", "no");
	work();
	work();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		child_test(membarrier_is_refused_at_the_start),
		child_test(membarrier_is_no_system_call),
		child_test(rseq_is_switched_off),
		child_test(the_cpu_is_not_told),
		child_test(membarrier_is_refused_later),
		child_test(the_texts_follow_the_mode),
		child_test(membarrier_is_refused_among_threads),
		child_test(mbind_is_refused),
		child_test(mbind_is_granted),
		child_test(one_node_needs_no_mbind),
		child_test(placement_is_refused),
		child_test(a_strict_container),
		child_test(on_fake_nodes_without_rseq),
	};

	if (argc > 1 && !strcmp(argv[1], "strict"))
		return in_strict_process();
	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
