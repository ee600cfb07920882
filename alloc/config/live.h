/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/config/live.h - settings that are read together
 *
 * A reload changes several settings.  Who decides by more than one of them asks
 * here, and has all as they were before it, or all as they are after it.
 *
 * There are two copies.  A number says which one is read; while that one is read
 * the other is written.  So a reader takes no lock, and needs no writer to run
 * on: it may be a signal handler that interrupted one.
 *
 * Design: docs/design/config-and-stats.md, C2.
 */
#ifndef KN_CONFIG_LIVE_H
#define KN_CONFIG_LIVE_H

#include "alloc/base/compiler.h"

/* Of tunables.def, RUNTIME. */
#define KN_LIVE_SETTINGS(x) \
	x(rcu_budget)       \
	x(rcu_stuck_ms)     \
	x(rcu_full)         \
	x(vmalloc_cache)    \
	x(vmalloc_delay_ms)

struct kn_live {
#define KN_LIVE_FIELD(name) uint64_t name;
	KN_LIVE_SETTINGS(KN_LIVE_FIELD)
#undef KN_LIVE_FIELD
};

/* Context: any. */
void kn_live_read(struct kn_live *to);

/* After a change, still in the lock of kn_conf_lock(). */
void kn_live_publish(void);

#endif
