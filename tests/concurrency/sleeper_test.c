/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers that sleep inside one of 256 sections, each with its eye on one object
 * from the section's begin to its end, while others replace what they look at
 * and take its memory as soon as it is free.  The long form runs ten minutes.
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
	FLAVORS = 4,
	/* Of each flavour. */
	READERS = 1,
	UPDATERS = 1,
	SLOTS = 4,
	SLEEP_EVERY = 256,
	SLEEP_MS = 20,
	/* So that updates do not only wait for the readers' sleeps. */
	MAX_SIZE = 1000,
};

static const struct flavor *const flavors[FLAVORS] = {
	&flavor_memb,
	&flavor_mb,
	&flavor_qsbr,
	&flavor_bp,
};

static struct canary *shared[FLAVORS][SLOTS];
static uint64_t next_tag, deaths, reads, sleeps, updates, failed;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static void read_one(struct stress_thread *t, const struct flavor *f,
		     struct canary **slot)
{
	const bool sleep = !stress_below(t, SLEEP_EVERY);
	struct canary *c;

	flavor_enter(f);
	c = __atomic_load_n(slot, __ATOMIC_CONSUME);
	if (c) {
		const uint64_t tag = c->tag;

		if (sleep)
			stress_sleep_ms(1 + stress_below(t, SLEEP_MS));
		if (!canary_lives(c, tag))
			count(&deaths, 1);
	}
	flavor_leave(f);
	count(&sleeps, c && sleep);
	count(&reads, c != NULL);
}

static void read_on(struct stress_thread *t, int i)
{
	flavor_register(flavors[i]);
	while (!stress_stopped())
		read_one(t, flavors[i], &shared[i][stress_below(t, SLOTS)]);
	flavors[i]->ops->unregister_thread();
}

static void update(struct stress_thread *t, int i)
{
	const uint64_t tag = __atomic_add_fetch(&next_tag, 1, __ATOMIC_RELAXED);
	struct canary *c =
		canary_new(sizeof(*c) + stress_below(t, MAX_SIZE), tag);

	if (!c) {
		count(&failed, 1);
		return;
	}
	c = __atomic_exchange_n(&shared[i][stress_below(t, SLOTS)], c,
				__ATOMIC_ACQ_REL);
	if (c)
		flavors[i]->free(c);
	count(&updates, 1);
}

static void read_or_update(struct stress_thread *t)
{
	const int i = t->index % FLAVORS;

	if (t->index / FLAVORS < READERS)
		read_on(t, i);
	else
		while (!stress_stopped())
			update(t, i);
}

/* However slow the machine is. */
static bool both_happened(void)
{
	return __atomic_load_n(&sleeps, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&updates, __ATOMIC_RELAXED);
}

static void what_a_sleeper_sees_stays(void **state)
{
	(void)state;
	assert_int_equal(knuma_conf_set("rcu_budget", "16M"), 0);
	assert_int_equal(knuma_conf_set("rcu_full", "grow"), 0);
	stress_run_until(FLAVORS * (READERS + UPDATERS), read_or_update, NULL,
			 both_happened);
	print_message("%llu reads, %llu of them slept, %llu updates, %llu "
		      "refused, %llu grace periods, %llu deaths\n",
		      (unsigned long long)reads, (unsigned long long)sleeps,
		      (unsigned long long)updates, (unsigned long long)failed,
		      (unsigned long long)stress_stat("rcu_grace_periods"),
		      (unsigned long long)deaths);
	kvfree_rcu_barrier();
	for (int i = 0; i < FLAVORS; i++)
		for (int k = 0; k < SLOTS; k++)
			kvfree(shared[i][k]);
	assert_int_equal(deaths, 0);
	assert_int_equal(failed, 0);
	assert_int_equal(stress_stat("rcu_waiting_bytes"), 0);
	assert_int_equal(stress_stat("rcu_queued"), stress_stat("rcu_freed"));
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_sleeper_sees_stays),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
