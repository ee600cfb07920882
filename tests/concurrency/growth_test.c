/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that need fresh address space at the same time all get it: one makes
 * a system call, the others wait for it, however long it does not run.  Built
 * with KN_GROW_UNLOCKED, two may grow the heap by the same step, and this test
 * then passes only if it notices.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "alloc/base/assert.h"
#include "alloc/page/zone.h"
#include "tests/concurrency/stress.h"

enum {
	WORKERS = 8,
	HOGS = 4,
	BLOCKS = 400, /* of 4 MiB, which nobody touches */
	AREAS = 100,  /* of 16 MiB */
	MARKED = 50,  /* blocks that a thread marks as its own */
};

#ifndef KN_GROW_UNLOCKED

static uint64_t refused;

static void refuse(bool ok)
{
	if (!ok)
		__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
}

static void take_space(void)
{
	struct page *block[BLOCKS];
	void *area[AREAS];

	for (int i = 0; i < BLOCKS; i++) {
		block[i] = alloc_pages(GFP_KERNEL, 10);
		refuse(block[i]);
	}
	for (int i = 0; i < AREAS; i++) {
		area[i] = vmalloc(16 << 20);
		refuse(area[i]);
	}
	for (int i = 0; i < AREAS; i++)
		vfree(area[i]);
	for (int i = 0; i < BLOCKS; i++)
		__free_pages(block[i], 10);
}

/* To the @n-th of the CPUs that the process may use, over and over. */
static void go_to_cpu(int n)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	n %= CPU_COUNT(&all);
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && n-- == 0)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/*
 * Some threads compute on the first CPU, so that one which grows the heap there
 * often does not run, while those that wait for it do.
 */
static void work_or_compute(struct stress_thread *t)
{
	if (t->index < WORKERS) {
		go_to_cpu(t->index);
		take_space();
		return;
	}
	go_to_cpu(0);
	while (!stress_stopped())
		(void)stress_random(t);
}

static void all_get_what_they_need(void **state)
{
	struct stress_thread t[WORKERS + HOGS];

	(void)state;
	stress_go_on();
	stress_start(t, WORKERS + HOGS, work_or_compute, NULL);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i].thread, NULL);
	stress_stop();
	for (int i = WORKERS; i < WORKERS + HOGS; i++)
		pthread_join(t[i].thread, NULL);
	print_message("%llu times grown, %llu requests refused\n",
		      (unsigned long long)stress_stat("grow_calls"),
		      (unsigned long long)refused);
	assert_int_equal(refused, 0);
	stress_verify_pages();
}

#else

/* More than it ever took; the test ends with the first find. */
#define MOST_HEAPS 200

/*
 * A heap that was grown twice may also end in a list without end; that shows
 * nothing, and the next one is tried.
 */
#define HEAP_SECONDS 2

enum {
	NOTHING,
	NOTICED
};

static uint64_t twice;

/* What is fresh is zero: a mark is another owner's. */
static void mark_blocks(struct stress_thread *t)
{
	(void)t;
	for (int i = 0; i < MARKED; i++) {
		struct page *block = alloc_pages(GFP_KERNEL, 10);

		if (block && !stress_own(page_address(block)))
			__atomic_add_fetch(&twice, 1, __ATOMIC_RELAXED);
	}
}

static void noticed(const char *report)
{
	print_message("%s\n", report);
	_exit(NOTICED);
}

static void crashed(int sig)
{
	(void)sig;
	_exit(NOTICED);
}

static void grow_once(void)
{
	struct stress_thread t[WORKERS];

	kn_bug_hook = noticed;
	signal(SIGSEGV, crashed);
	signal(SIGABRT, crashed);
	stress_watchdog(HEAP_SECONDS);
	stress_start(t, WORKERS, mark_blocks, NULL);
	stress_join(t, WORKERS);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (!kn_zone_verify(node))
			_exit(NOTICED);
	_exit(twice ? NOTICED : NOTHING);
}

/* In children: a heap grows once. */
static void two_that_grow_are_noticed(void **state)
{
	int status = 0, heaps = 0;

	(void)state;
	while (WEXITSTATUS(status) != NOTICED && heaps < MOST_HEAPS) {
		const pid_t pid = fork();

		stress_seed++;
		heaps++;
		if (!pid)
			grow_once();
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
	}
	print_message("%d heaps\n", heaps);
	assert_int_equal(WEXITSTATUS(status), NOTICED);
}

#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_GROW_UNLOCKED
		cmocka_unit_test(all_get_what_they_need),
#else
		cmocka_unit_test(two_that_grow_are_noticed),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
