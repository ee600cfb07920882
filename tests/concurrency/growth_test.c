/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that need fresh address space at the same time all get it: one makes
 * a system call, the others wait for it, however long it does not run.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "tests/concurrency/stress.h"

enum {
	WORKERS = 8,
	HOGS = 4,
	BLOCKS = 400, /* of 4 MiB, which nobody touches */
	AREAS = 100,  /* of 16 MiB */
};

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_get_what_they_need),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
