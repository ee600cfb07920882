/* SPDX-License-Identifier: Apache-2.0 */
/* A stack that is remembered is the one that the unwind tables tell. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/base/compiler.h"
#include "alloc/base/recall.h"

static struct kn_stack walked, recalled;
static volatile int keep;

static void compare(void)
{
	kn_stack_take(&walked, 0);
	kn_stack_recall(&recalled);
}

static void assert_same(void)
{
	assert_true(recalled.nr > 1);
	assert_int_equal(walked.nr, recalled.nr);
	/* Two calls in one function. */
	assert_int_not_equal(walked.pc[0], recalled.pc[0]);
	assert_memory_equal(&walked.pc[1], &recalled.pc[1],
			    (walked.nr - 1) * sizeof(walked.pc[0]));
}

/* Two functions, so that the same depth has many stacks. */
static void a(unsigned path, int depth);
static void b(unsigned path, int depth);

static kn_noinline void a(unsigned path, int depth)
{
	if (!depth)
		compare();
	else
		(path & 1 ? a : b)(path >> 1, depth - 1);
	keep++;
}

static kn_noinline void b(unsigned path, int depth)
{
	volatile char room[40] = {(char)depth};

	if (!depth)
		compare();
	else
		(path & 1 ? a : b)(path >> 1, depth - 1);
	keep += room[0];
}

static void recalled_is_what_is_walked(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (unsigned path = 0; path < 256; path++) {
			a(path, 8);
			assert_same();
		}
	}
}

static void deep_stacks_are_cut(void **state)
{
	(void)state;
	for (int depth = 1; depth < 60; depth++) {
		a(0x55555555, depth);
		assert_same();
	}
	assert_int_equal(recalled.nr, KN_STACK_DEPTH);
}

static void *in_a_thread(void *arg)
{
	struct kn_stack here, again;

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		kn_stack_take(&here, 0);
		kn_stack_recall(&again);
		if (here.nr != again.nr ||
		    memcmp(&here.pc[1], &again.pc[1],
			   (here.nr - 1) * sizeof(here.pc[0])))
			return "a stack that is not this thread's";
	}
	if (kn_thread_id() != syscall(SYS_gettid))
		return "an id that is not this thread's";
	return NULL;
}

static void threads_have_their_own(void **state)
{
	pthread_t thread[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, in_a_thread, NULL), 0);
	for (int i = 0; i < 8; i++) {
		void *wrong;

		assert_int_equal(pthread_join(thread[i], &wrong), 0);
		assert_null(wrong);
	}
	assert_int_equal(kn_thread_id(), getpid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recalled_is_what_is_walked),
		cmocka_unit_test(deep_stacks_are_cut),
		cmocka_unit_test(threads_have_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
