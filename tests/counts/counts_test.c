/* SPDX-License-Identifier: Apache-2.0 */
/* What a build with --config=counts counts: alloc/base alone, compiled so. */
#include "alloc/base/counts.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/base/atomic.h"
#include "alloc/base/lock.h"

static uint64_t count_of(const char *name)
{
	uint64_t value;
	const char *at;

	for (unsigned id = 0; (at = knuma_counts(id, &value)); id++)
		if (!strcmp(at, name))
			return value;
	fail_msg("no count '%s'", name);
	return 0;
}

/* How far each has moved since the last look. */
static struct seen {
	uint64_t waits, shared, statistics, calls, locks, zone;
} last;

static struct seen moved(void)
{
	const struct seen now = {
		count_of("waits"), count_of("shared"), count_of("statistics"),
		count_of("calls"), count_of("locks"),  count_of("lock_zone"),
	};
	const struct seen by = {
		now.waits - last.waits,		  now.shared - last.shared,
		now.statistics - last.statistics, now.calls - last.calls,
		now.locks - last.locks,		  now.zone - last.zone,
	};

	last = now;
	return by;
}

static void names_are_those_of_the_tables(void **state)
{
	static const char *const names[] = {
		"waits", "shared", "statistics", "node_statistics",
		"slabs", "calls",  "locks",
#define KN_LOCK_RANK(name, help) "lock_" #name,
#include "alloc/base/lock_ranks.def"
#undef KN_LOCK_RANK
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(knuma_counts(i, NULL), names[i]);
	assert_null(knuma_counts(sizeof(names) / sizeof(names[0]), NULL));
}

static struct kn_lock lock = KN_LOCK_INIT(zone);
static uint64_t word;

static void a_lock_is_two_writes(void **state)
{
	struct seen by;

	(void)state;
	moved();
	kn_lock(&lock);
	kn_unlock(&lock);
	by = moved();
	assert_int_equal(by.locks, 1);
	assert_int_equal(by.zone, 1);
	assert_int_equal(by.shared, 2);
	assert_int_equal(by.waits, 0);
	assert_int_equal(by.calls, 0);
}

static void a_try_in_vain_is_a_wait(void **state)
{
	struct seen by;

	(void)state;
	kn_lock(&lock);
	moved();
	assert_false(kn_trylock(&lock));
	by = moved();
	kn_unlock(&lock);
	assert_int_equal(by.waits, 1);
	assert_int_equal(by.locks, 0);
	/* It is counted by the library's own statistics as well. */
	assert_int_equal(by.statistics, 1);
}

/* Holds the lock until somebody waits for it. */
static void *hold(void *held)
{
	const uint64_t waits = count_of("waits");

	kn_lock(&lock);
	kn_store_release((uint32_t *)held, 1);
	while (count_of("waits") == waits)
		sched_yield();
	kn_unlock(&lock);
	return NULL;
}

static void who_waits_is_counted_once(void **state)
{
	uint32_t held = 0;
	struct seen by;
	pthread_t thread;

	(void)state;
	moved();
	assert_int_equal(pthread_create(&thread, NULL, hold, &held), 0);
	while (!kn_load_acquire(&held))
		sched_yield();
	kn_lock(&lock);
	kn_unlock(&lock);
	pthread_join(thread, NULL);
	by = moved();
	assert_int_equal(by.waits, 1);
	assert_int_equal(by.locks, 2);
}

static void atomic_writes_are_counted(void **state)
{
	ck_stack_t stack = CK_STACK_INITIALIZER;
	ck_stack_entry_t entry;
	uint64_t slabs;

	(void)state;
	moved();
	ck_pr_add_64(&word, 1);
	assert_int_equal(moved().shared, 1);
	assert_true(ck_pr_cas_64(&word, word, 7));
	assert_int_equal(moved().shared, 1);
	assert_int_equal(ck_pr_faa_64(&word, 1), 7);
	assert_int_equal(moved().shared, 1);
	ck_stack_push_upmc(&stack, &entry);
	assert_int_equal(moved().shared, 1);
	assert_ptr_equal(ck_stack_batch_pop_upmc(&stack), &entry);
	assert_int_equal(moved().shared, 1);
	kn_store(&word, 3);
	assert_int_equal(moved().shared, 0);
	/* An object's bit is of a slab. */
	slabs = count_of("slabs");
	word = 0;
	assert_false(ck_pr_bts_64(&word, 0));
	assert_int_equal(moved().shared, 1);
	assert_int_equal(count_of("slabs"), slabs + 1);
}

static void statistics_are_told_apart(void **state)
{
	struct seen by;

	(void)state;
	moved();
	kn_count(&word, 5);
	by = moved();
	assert_int_equal(by.statistics, 1);
	assert_int_equal(by.shared, 1);
}

/* Clears the word when somebody has slept for it. */
static void *clear(void *held)
{
	const uint64_t calls = last.calls;

	while (count_of("calls") == calls)
		sched_yield();
	kn_store((uint32_t *)held, 0);
	return NULL;
}

static void a_sleep_is_a_system_call(void **state)
{
	uint32_t held = 1;
	pthread_t thread;

	(void)state;
	moved();
	assert_int_equal(pthread_create(&thread, NULL, clear, &held), 0);
	kn_wait_clear(&held);
	pthread_join(thread, NULL);
	assert_true(moved().calls > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_tables),
		cmocka_unit_test(a_lock_is_two_writes),
		cmocka_unit_test(a_try_in_vain_is_a_wait),
		cmocka_unit_test(who_waits_is_counted_once),
		cmocka_unit_test(atomic_writes_are_counted),
		cmocka_unit_test(statistics_are_told_apart),
		cmocka_unit_test(a_sleep_is_a_system_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
