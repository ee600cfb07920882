/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library starts with its first call, whoever makes it: several threads at
 * once, and a thread while another forks.
 *
 * Each trial is a process of its own: this program, started again with the name
 * of the case.
 */
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/vmalloc.h>

#include "tests/concurrency/stress.h"

extern char **environ;

enum {
	KINDS = 4,
	THREADS = 12,
	TRIALS = 100,  /* at most; fewer when the machine is slow */
	SECONDS = 100, /* of a trial, before it counts as hung */
};

static int failed;

static void expect(bool ok)
{
	if (!ok)
		__atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
}

static void first_call(int which)
{
	struct page *page;
	void *p = NULL;
	char name[16];

	switch (which % KINDS) {
	case 0:
		p = kmalloc(100, GFP_KERNEL);
		expect(p);
		kfree(p);
		break;
	case 1:
		page = alloc_pages(GFP_KERNEL, 1);
		expect(page);
		__free_pages(page, 1);
		break;
	case 2:
		p = vmalloc(10000);
		expect(p);
		vfree(p);
		break;
	default:
		snprintf(name, sizeof(name), "first %d", which);
		p = kmem_cache_create(name, 100, NULL, 0);
		expect(p);
		kmem_cache_destroy(p);
	}
}

static void start_in_thread(struct stress_thread *t)
{
	first_call(t->index);
}

/* All threads of a new process make their first call at the same time. */
static void threads_start_it(void)
{
	struct stress_thread t[THREADS];

	stress_start(t, THREADS, start_in_thread, NULL);
	stress_join(t, THREADS);
}

static void start_or_fork(struct stress_thread *t)
{
	const unsigned pause = stress_below(t, 2000);
	int status = -1;
	pid_t child;

	if (t->index) {
		first_call(t->index - 1);
		return;
	}
	for (volatile unsigned i = 0; i < pause; i++)
		;
	child = fork();
	if (!child) {
		stress_watchdog(SECONDS / 2);
		for (int i = 0; i < KINDS; i++)
			first_call(i);
		_exit(failed);
	}
	expect(waitpid(child, &status, 0) == child && !status);
}

/* One thread forks while another is inside the start. */
static void a_fork_meets_the_start(void)
{
	struct stress_thread t[2];

	stress_start(t, 2, start_or_fork, NULL);
	stress_join(t, 2);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"threads_start_it", threads_start_it},
	{"a_fork_meets_the_start", a_fork_meets_the_start},
};

static void starts(void **state)
{
	const uint64_t until = stress_now_ms() + 100 * stress_ms;
	char seed[40];
	char *argv[] = {"start_test", "--case", *state, seed, NULL};

	if (STRESS_ASAN && strstr(*state, "fork"))
		skip();
	for (int i = 0; !i || (i < TRIALS && stress_now_ms() < until); i++) {
		int status = -1;
		pid_t child;

		snprintf(seed, sizeof(seed), "%llu",
			 (unsigned long long)stress_seed + (unsigned)i);
		assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL,
					     NULL, argv, environ),
				 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status)
			print_message("trial %d with %s: status %#x\n", i, seed,
				      status);
		assert_int_equal(status, 0);
	}
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[sizeof(cases) / sizeof(cases[0])];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc == 4 && !strcmp(argv[2], cases[i].name)) {
			stress_seed = strtoull(argv[3], NULL, 0);
			stress_watchdog(SECONDS);
			cases[i].run();
			_exit(failed);
		}
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name,
			.test_func = starts,
			.initial_state = (void *)cases[i].name,
		};
	}
	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
