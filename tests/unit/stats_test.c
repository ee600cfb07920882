/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, their sums over stripes, and rows read by a function. */
#include "alloc/stats/stats.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint64_t level;

static uint64_t read_level(void)
{
	return level;
}

static uint64_t read_node(int node)
{
	return (uint64_t)node * 10;
}

static int start(void **state)
{
	(void)state;
	kn_stats_reset();
	return 0;
}

static void every_row_is_described(void **state)
{
	(void)state;
	for (int i = 0; i < KN_NR_STATS; i++) {
		const struct kn_stat_row *row = &kn_stat_rows[i];
		const size_t len = strlen(row->name);

		assert_true(strlen(row->help) > 5);
		assert_true(strlen(row->unit) > 0);
		assert_int_equal(kn_stat_find(row->name), i);
		assert_int_equal(kn_node_stat_find(row->name), -1);
		/* The unit stands last in the name of what is measured. */
		if (!strcmp(row->unit, "bytes"))
			assert_string_equal(row->name + len - 6, "_bytes");
		if (!strcmp(row->unit, "ms"))
			assert_string_equal(row->name + len - 3, "_ms");
	}
	for (int i = 0; i < KN_NR_NODE_STATS; i++) {
		assert_int_equal(kn_node_stat_find(kn_node_stat_rows[i].name),
				 i);
		assert_int_equal(kn_stat_find(kn_node_stat_rows[i].name), -1);
	}
	assert_int_equal(kn_stat_find("banana"), -1);
}

static void metrics_have_base_units(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < KN_NR_STATS; i++) {
		const char *unit =
			kn_metric_name(&kn_stat_rows[i], name, sizeof(name));

		assert_int_equal(kn_metric_find(name), i);
		assert_null(strstr(name, "_ms"));
		if (unit)
			assert_string_equal(name + strlen(name) - strlen(unit),
					    unit);
	}
	assert_string_equal(kn_metric_name(&kn_stat_rows[KN_STAT_rcu_lag_ms],
					   name, sizeof(name)),
			    "seconds");
	assert_string_equal(name, "rcu_lag_seconds");
	assert_int_equal(kn_metric_find("rcu_lag_ms"), -1);
}

static void counts_add_up(void **state)
{
	(void)state;
	kn_stat_add(KN_STAT_purged_bytes, 5);
	kn_stat_inc(KN_STAT_purged_bytes);
	assert_int_equal(kn_stat_read(KN_STAT_purged_bytes), 6);
	assert_int_equal(kn_stat_read(KN_STAT_purge_calls), 0);
	kn_node_stat_add(3, KN_NODE_STAT_numa_hit, 7);
	assert_int_equal(kn_node_stat_read(3, KN_NODE_STAT_numa_hit), 7);
	assert_int_equal(kn_node_stat_read(2, KN_NODE_STAT_numa_hit), 0);
	assert_int_equal(kn_node_stat_read(-1, KN_NODE_STAT_numa_hit), 0);
	assert_int_equal(
		kn_node_stat_read(KN_STAT_NODES, KN_NODE_STAT_numa_hit), 0);
	kn_node_stat_nearest(3);
	assert_int_equal(kn_node_stat_read(3, KN_NODE_STAT_numa_hit), 8);
	assert_int_equal(kn_node_stat_read(3, KN_NODE_STAT_local_node), 1);
	assert_int_equal(kn_node_stat_read(3, KN_NODE_STAT_other_node), 0);
	assert_int_equal(kn_node_stat_read(2, KN_NODE_STAT_local_node), 0);
}

static void stripes_share_no_cache_line(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct kn_stat_stripe) % 64, 0);
	assert_int_equal((uintptr_t)kn_stat_stripes % 64, 0);
	assert_int_equal(sizeof(struct kn_node_stats) % 64, 0);
	assert_int_equal((uintptr_t)kn_node_stats % 64, 0);
	assert_ptr_equal(kn_stat_stripe(), kn_stat_stripe());
}

enum {
	THREADS = 8,
	ROUNDS = 20000
};

struct worker {
	pthread_t thread;
	const struct kn_stat_stripe *stripe;
	pthread_barrier_t *together;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	w->stripe = kn_stat_stripe();
	pthread_barrier_wait(w->together);
	for (int i = 0; i < ROUNDS; i++) {
		kn_stat_add(KN_STAT_alloc_slow, 1);
		kn_node_stat_add(0, KN_NODE_STAT_numa_hit, 2);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct worker w[THREADS];
	pthread_barrier_t together;
	int stripes = 0;

	(void)state;
	assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		w[i].together = &together;
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	pthread_barrier_destroy(&together);
	assert_int_equal(kn_stat_read(KN_STAT_alloc_slow), THREADS * ROUNDS);
	assert_int_equal(kn_node_stat_read(0, KN_NODE_STAT_numa_hit),
			 2 * THREADS * ROUNDS);
	for (int i = 0; i < THREADS; i++) {
		bool first = true;

		for (int j = 0; j < i; j++)
			first &= w[j].stripe != w[i].stripe;
		stripes += first;
	}
	/* Spread, though not one each: in one run of 10^9 all are the same. */
	assert_true(stripes >= 2);
}

static void a_gauge_is_known_by_its_function(void **state)
{
	(void)state;
	kn_stat_source(KN_STAT_rcu_waiting_bytes, NULL);
	assert_false(kn_stat_known(KN_STAT_rcu_waiting_bytes));
	assert_true(kn_stat_known(KN_STAT_rcu_queued));
	level = 5;
	kn_stat_gauge(KN_STAT_rcu_waiting_bytes, read_level);
	assert_true(kn_stat_known(KN_STAT_rcu_waiting_bytes));
	assert_int_equal(kn_stat_read(KN_STAT_rcu_waiting_bytes), 5);
	level = 3;
	assert_int_equal(kn_stat_read(KN_STAT_rcu_waiting_bytes), 3);
	kn_stat_source(KN_STAT_rcu_waiting_bytes, NULL);
}

static void a_function_adds_to_what_was_counted(void **state)
{
	(void)state;
	level = 100;
	kn_stat_source(KN_STAT_rcu_grace_periods, read_level);
	kn_stat_add(KN_STAT_rcu_grace_periods, 1);
	assert_int_equal(kn_stat_read(KN_STAT_rcu_grace_periods), 101);
	kn_stat_source(KN_STAT_rcu_grace_periods, NULL);
	assert_int_equal(kn_stat_read(KN_STAT_rcu_grace_periods), 1);
	kn_node_stat_source(KN_NODE_STAT_free_local, read_node);
	kn_node_stat_add(2, KN_NODE_STAT_free_local, 1);
	assert_int_equal(kn_node_stat_read(2, KN_NODE_STAT_free_local), 21);
	kn_node_stat_source(KN_NODE_STAT_free_local, NULL);
}

#define TEST(f) cmocka_unit_test_setup(f, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_is_described),
		TEST(metrics_have_base_units),
		TEST(counts_add_up),
		TEST(stripes_share_no_cache_line),
		TEST(threads_lose_nothing),
		TEST(a_gauge_is_known_by_its_function),
		TEST(a_function_adds_to_what_was_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
