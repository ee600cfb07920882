/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread's rseq area keeps pointing at the last section it was in.  Were the
 * library unmapped, the kernel would kill the process at the next preemption;
 * it is linked so that dlclose() leaves it.
 */
#include <dlfcn.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <knuma/gfp.h>

#include "tests/concurrency/stress.h"

#define LIBRARY "./libknuma.so.0"

enum {
	WORKERS = 3
};

static int broken;

static void use(void *lib)
{
	void *(*alloc)(size_t, gfp_t) =
		(void *(*)(size_t, gfp_t))dlsym(lib, "knuma_kmalloc");
	void (*give)(const void *) =
		(void (*)(const void *))dlsym(lib, "knuma_kfree");
	void *p[100];

	if (!alloc || !give) {
		__atomic_store_n(&broken, 1, __ATOMIC_RELAXED);
		return;
	}
	for (int i = 0; i < 100; i++)
		p[i] = alloc(16 + 16 * (size_t)(i % 10), GFP_KERNEL);
	for (int i = 0; i < 100; i++)
		give(p[i]);
}

/* Is preempted, migrated and interrupted some thousand times. */
static void spin(struct stress_thread *t)
{
	(void)t;
	while (!stress_stopped())
		for (volatile int i = 0; i < 100000; i++)
			;
}

static void load_use_and_close(struct stress_thread *t)
{
	const uint64_t until = stress_now_ms() + stress_ms / 2;

	do {
		void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

		if (!lib) {
			fprintf(stderr, "%s\n", dlerror());
			__atomic_store_n(&broken, 1, __ATOMIC_RELAXED);
			return;
		}
		use(lib);
		if (dlclose(lib))
			__atomic_store_n(&broken, 1, __ATOMIC_RELAXED);
		sched_yield();
	} while (stress_now_ms() < until);
	spin(t);
}

static void the_process_survives_dlclose(void **state)
{
	void *lib;

	(void)state;
	stress_run(WORKERS, load_use_and_close, NULL);
	stress_run(WORKERS, load_use_and_close, NULL);
	assert_false(broken);
	/* It is still there: nodelete. */
	lib = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
	assert_non_null(lib);
	dlclose(lib);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_process_survives_dlclose),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
