/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/flood/flood.h - what waits for readers when nobody waits for them
 *
 * Threads allocate, and give away to be freed after a grace period, without a
 * pause, while readers stay in their sections for a millisecond at a time: by
 * knuma with kfree_rcu(), and by each malloc with liburcu's call_rcu() and
 * free().  How much memory waits is looked at each millisecond.  The same loop,
 * child.c, runs in a process of its own for each.
 */
#ifndef KN_BENCH_FLOOD_FLOOD_H
#define KN_BENCH_FLOOD_FLOOD_H

#include <stdint.h>

enum {
	KN_FLOOD_PRODUCERS = 3,
	KN_FLOOD_READERS = 2,
	KN_FLOOD_BUDGET_MIB = 16, /* knuma's setting rcu_budget */
	KN_FLOOD_CAP_MIB = 2048,  /* where a flood is ended */
	KN_FLOOD_PARTS = 4	  /* RSS is told at the end of each */
};

/* What one child counts. */
struct kn_flood {
	uint64_t queued, failed; /* objects; allocations that failed */
	uint64_t waiting_bytes;	 /* most that waited */
	uint64_t bound_bytes;	 /* that could wait then; 0: there is none */
	uint64_t lag_ms;	 /* for how long something had waited then */
	uint64_t past_bound;	 /* looks that found more than could wait */
	uint64_t rss_bytes;	 /* largest */
	uint64_t rss_part_bytes[KN_FLOOD_PARTS]; /* 0: ended before */
	uint64_t cpu_ns, wall_ns; /* of the process, and by the clock */
	uint64_t capped;	  /* ended by KN_FLOOD_CAP_MIB */
};

/* `knuma bench flood', with argv[0] = "flood". */
int kn_flood_main(int argc, char **argv);

/* The child: argv is CALLS LIBRARY MILLISECONDS; returns an exit code. */
int kn_flood_child(int argc, char **argv);

#endif
