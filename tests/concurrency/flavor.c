/* SPDX-License-Identifier: Apache-2.0 */
#if defined(FLAVOR_MEMB)
#define RCU_MEMBARRIER
#include <urcu.h>
#define FLAVOR(of) of##_memb
#define NAME	   "memb"
#elif defined(FLAVOR_MB)
#define RCU_MB
#include <urcu.h>
#define FLAVOR(of) of##_mb
#define NAME	   "mb"
#elif defined(FLAVOR_QSBR)
#include <urcu-qsbr.h>
#define FLAVOR(of) of##_qsbr
#define NAME	   "qsbr"
#define QSBR	   1
#elif defined(FLAVOR_BP)
#include <urcu-bp.h>
#define FLAVOR(of) of##_bp
#define NAME	   "bp"
#endif

#ifndef QSBR
#define QSBR 0
#endif

#include <knuma/rcu.h>

#include "tests/concurrency/flavor.h"

static void free_canary(struct canary *c)
{
	kfree_rcu(c, rcu);
}

static void free_far(struct far_canary *c)
{
	kvfree_rcu(c, rcu);
}

static void free_headless(void *p)
{
	kvfree_rcu_mightsleep(p);
}

const struct flavor FLAVOR(flavor) = {
	.name = NAME,
	.ops = &rcu_flavor,
	.qsbr = QSBR,
	.free = free_canary,
	.free_far = free_far,
	.free_headless = free_headless,
#if defined(FLAVOR_BP)
	.before_fork = urcu_bp_before_fork,
	.after_fork_parent = urcu_bp_after_fork_parent,
	.after_fork_child = urcu_bp_after_fork_child,
#endif
};
