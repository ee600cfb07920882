/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that queue without a pause, beside readers that stay inside for a
 * millisecond at a time: what waits stays within its bound, and so does the
 * memory of the process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <knuma/rcu.h>
#include <knuma/tunables.h>

#include "tests/concurrency/flavor.h"
#include "tests/concurrency/stress.h"
#include "tests/support/heap.h"

#define MIB ((uint64_t)1 << 20)

enum {
	PRODUCERS = 3,
	READERS = 2,
	BUDGET_MIB = 16,
};

static uint64_t queued_bytes, failed;

static void read_for_a_while(const struct flavor *f)
{
	flavor_register(f);
	while (!stress_stopped()) {
		flavor_enter(f);
		stress_sleep_ms(1);
		flavor_leave(f);
	}
	f->ops->unregister_thread();
}

/* From the size of a cache line to several pages. */
static void queue(struct stress_thread *t, const struct flavor *f)
{
	static const size_t sizes[] = {64, 64, 200, 1000, 5000, 20000};
	uint64_t missed = 0;

	while (!stress_stopped()) {
		const size_t size = sizes[stress_below(t, 6)];
		struct canary *c = canary_new(size, 1);

		if (c) {
			f->free(c);
			__atomic_add_fetch(&queued_bytes, size,
					   __ATOMIC_RELAXED);
		} else {
			missed++;
		}
	}
	__atomic_add_fetch(&failed, missed, __ATOMIC_RELAXED);
}

static void queue_or_read(struct stress_thread *t)
{
	const struct flavor *f = t->arg;

	if (t->index < PRODUCERS)
		queue(t, f);
	else
		read_for_a_while(f);
}

/*
 * Above the budget each thread queues a batch of at most half a MiB for each
 * millisecond of a grace period.  The bound leaves tens of them to one.
 */
static void flood(const struct flavor *f)
{
	const uint64_t bound = 2 * BUDGET_MIB * MIB + 32 * MIB;
	struct stress_thread t[PRODUCERS + READERS];
	uint64_t most = 0, most_resident = 0, until;
	const uint64_t resident = resident_bytes();

	queued_bytes = 0;
	failed = 0;
	stress_go_on();
	stress_start(t, PRODUCERS + READERS, queue_or_read, (void *)f);
	until = stress_now_ms() + stress_ms;
	do {
		const uint64_t bytes = stress_stat("rcu_waiting_bytes");
		const uint64_t now = resident_bytes();

		most = bytes > most ? bytes : most;
		most_resident = now > most_resident ? now : most_resident;
		stress_sleep_ms(1);
	} while (stress_now_ms() < until ||
		 !__atomic_load_n(&queued_bytes, __ATOMIC_RELAXED));
	stress_stop();
	stress_join(t, PRODUCERS + READERS);
	print_message("%s: %llu MiB queued, %llu MiB waited at most, %llu MiB "
		      "resident more than before; %llu sleeps, %llu calls "
		      "failed\n",
		      f->name, (unsigned long long)(queued_bytes / MIB),
		      (unsigned long long)(most / MIB),
		      (unsigned long long)((most_resident - resident) / MIB),
		      (unsigned long long)stress_stat("rcu_sleeps"),
		      (unsigned long long)failed);
	assert_true(most <= bound);
	/* With what magazines and depots keep of it when it was freed. */
	assert_true(most_resident <= resident + 2 * bound);
	kvfree_rcu_barrier();
	assert_int_equal(stress_stat("rcu_waiting_bytes"), 0);
	assert_int_equal(stress_stat("rcu_queued"), stress_stat("rcu_freed"));
}

static void what_waits_stays_within_its_bound(void **state)
{
	(void)state;
	assert_int_equal(knuma_conf_set("rcu_budget", "16M"), 0);
	flood(&flavor_memb);
	flood(&flavor_mb);
	flood(&flavor_qsbr);
	flood(&flavor_bp);
	stress_verify_pages();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_stays_within_its_bound),
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
