/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader that stays in its section for a while looks at one object all that
 * time, while its memory is taken by whoever wants it as soon as it is free.
 * Built with KN_SKIP_GRACE, one round in fifty waits for no reader, and this test
 * passes only if it notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/kvmalloc.h>
#include <knuma/rcu.h>
#include <knuma/tunables.h>

#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"

enum {
	READERS = 2,
	UPDATERS = 2,
	SLOTS = 4,
	SIZE = 128,
};

static struct canary *shared[SLOTS];
static uint64_t next_tag, deaths, reads, updates;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static void read_one(const struct flavor *f, struct canary **slot)
{
	struct canary *c;
	uint64_t tag;

	flavor_enter(f);
	c = __atomic_load_n(slot, __ATOMIC_CONSUME);
	tag = c ? c->tag : 0;
	for (int i = 0; c && i < 4; i++) {
		if (!canary_lives(c, tag)) {
			count(&deaths, 1);
			break;
		}
		stress_sleep_ms(1);
	}
	flavor_leave(f);
	count(&reads, 1);
}

static void update(struct canary **slot)
{
	const uint64_t tag = __atomic_add_fetch(&next_tag, 1, __ATOMIC_RELAXED);
	struct canary *c = canary_new(SIZE, tag);

	if (!c)
		return;
	c = __atomic_exchange_n(slot, c, __ATOMIC_ACQ_REL);
	if (c)
		flavor_memb.free(c);
	count(&updates, 1);
}

static void read_or_update(struct stress_thread *t)
{
	if (t->index < READERS) {
		flavor_register(&flavor_memb);
		while (!stress_stopped())
			read_one(&flavor_memb, &shared[stress_below(t, SLOTS)]);
		flavor_memb.ops->unregister_thread();
		return;
	}
	while (!stress_stopped())
		update(&shared[stress_below(t, SLOTS)]);
}

/* However slow the machine is. */
static bool both_happened(void)
{
	return __atomic_load_n(&reads, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&updates, __ATOMIC_RELAXED);
}

static void run_until(bool (*found)(void), unsigned ms)
{
	assert_int_equal(knuma_conf_set("rcu_delay_ms", "0"), 0);
	stress_search(READERS + UPDATERS, read_or_update, NULL, ms,
		      both_happened, found);
	print_message("%llu reads, %llu updates, %llu grace periods, %llu "
		      "deaths\n",
		      (unsigned long long)reads, (unsigned long long)updates,
		      (unsigned long long)stress_stat("rcu_grace_periods"),
		      (unsigned long long)deaths);
	kvfree_rcu_barrier();
	for (int i = 0; i < SLOTS; i++)
		kvfree(shared[i]);
	assert_int_not_equal(reads, 0);
	assert_int_not_equal(updates, 0);
}

#ifndef KN_SKIP_GRACE

static void what_a_reader_sees_stays(void **state)
{
	(void)state;
	run_until(stress_never, stress_ms);
	assert_int_equal(deaths, 0);
	assert_int_equal(stress_stat("rcu_waiting_bytes"), 0);
	stress_verify_pages();
}

#else

/* Longer than it ever took; the test ends with the first find. */
#define SEARCH_MS 60000

static bool any_death(void)
{
	return __atomic_load_n(&deaths, __ATOMIC_RELAXED) != 0;
}

static void a_round_that_waits_for_nobody_is_noticed(void **state)
{
	(void)state;
	run_until(any_death, SEARCH_MS);
	assert_int_not_equal(deaths, 0);
}

#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_SKIP_GRACE
		cmocka_unit_test(what_a_reader_sees_stays),
#else
		cmocka_unit_test(a_round_that_waits_for_nobody_is_noticed),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
