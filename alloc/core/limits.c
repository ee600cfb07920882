/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/core/limits.h"

#include <stdio.h>
#include <string.h>

#include "alloc/base/lock.h"
#include "alloc/base/print.h"
#include "alloc/config/tunables.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "numa/machine.h"
#include "numa/span.h"
#include "numa/sysfs.h"

#define SOURCE	      "cgroup"

/*
 * Shares of a memory limit.  The budget of deferred frees is the built-in share
 * of RAM, and at least as much as there, or an eighth.  What the vmalloc cache
 * of one node keeps, and the depot of one cache on one node: with all 44 classes
 * of kmalloc() in use an eighth and a twenty-third.
 */
#define RCU_SHARE     32
#define RCU_LEAST     (16 * KN_MIB)
#define RCU_MOST      8
#define VMALLOC_SHARE 16
#define DEPOT_SHARE   1024

static uint64_t limit_bytes;

static uint64_t memory_limit(void)
{
	return kn_load(&limit_bytes);
}

/* CPUs that this process may run on; 0 when that cannot be read. */
static unsigned cpus_allowed(void)
{
	char buf[4096];
	unsigned first, last, n = 0;
	const char *list;

	if (kn_sysfs_read_proc("self/status", buf, sizeof(buf)) <= 0)
		return 0;
	list = kn_sysfs_field(buf, "Cpus_allowed_list:\t");
	while (list && kn_sysfs_next_range(&list, &first, &last))
		n += last - first + 1;
	return n;
}

/* The limit if it is below the memory of the machine, or KN_CGROUP_NONE. */
static uint64_t limit_of(const struct kn_cgroup *c)
{
	const uint64_t limit = kn_cgroup_limit(c);

	return limit < kn_machine.total_ram() ? limit : KN_CGROUP_NONE;
}

/* Nobody else runs while a waiter spins. */
static bool one_cpu(const struct kn_cgroup *c)
{
	return c->cpu_milli <= KN_CPU_MILLI || cpus_allowed() == 1;
}

void kn_limits_apply(const struct kn_cgroup *c)
{
	const uint64_t limit = limit_of(c);

	kn_lock_may_spin(!one_cpu(c));
	if (limit == KN_CGROUP_NONE) {
		kn_conf_adapt(KN_TUN_rcu_budget, KN_CGROUP_NONE, SOURCE);
		kn_conf_adapt(KN_TUN_vmalloc_cache, KN_CGROUP_NONE, SOURCE);
		kn_store(&kn_depot_keep_bytes, UINT64_MAX);
		kn_stat_gauge(KN_STAT_memory_limit_bytes, NULL);
		return;
	}
	kn_conf_adapt(KN_TUN_rcu_budget,
		      KN_MAX(limit / RCU_SHARE,
			     KN_MIN(RCU_LEAST, limit / RCU_MOST)),
		      SOURCE);
	kn_conf_adapt(KN_TUN_vmalloc_cache,
		      KN_MIN(kn_tunables[KN_TUN_vmalloc_cache].def,
			     limit / VMALLOC_SHARE),
		      SOURCE);
	kn_store(&kn_depot_keep_bytes, limit / DEPOT_SHARE);
	kn_store(&limit_bytes, limit);
	kn_stat_gauge(KN_STAT_memory_limit_bytes, memory_limit);
}

/* A size as settings print it, rounded down to KiB. */
static void add_size(struct kn_text *t, const char *what, uint64_t bytes)
{
	char text[32];

	kn_tunable_print(&kn_tunables[KN_TUN_vmalloc_cache],
			 bytes >= KN_KIB ? KN_ALIGN_DOWN(bytes, KN_KIB) : bytes,
			 text, sizeof(text));
	kn_text_add(t, "%s %s", what, text);
}

static void add_memory(struct kn_text *t, const struct kn_cgroup *c)
{
	const uint64_t limit = limit_of(c);

	if (limit == KN_CGROUP_NONE) {
		kn_text_add(t, "no memory limit below the RAM");
		return;
	}
	add_size(t, limit < c->max ? "memory.high" : "memory", limit);
	kn_text_add(t, " (cgroup v%d, %s)", c->memory.version, c->limited);
}

static void add_setting(struct kn_text *t, const char *name, uint64_t value)
{
	char what[64];

	snprintf(what, sizeof(what), ", %s", name);
	add_size(t, what, value);
}

static void add_adapted(struct kn_text *t, const struct kn_cgroup *c)
{
	const uint64_t limit = limit_of(c);

	if (limit != KN_CGROUP_NONE) {
		add_setting(t, "rcu_budget", kn_load(&kn_tun.rcu_budget));
		add_setting(t, "vmalloc_cache", kn_load(&kn_tun.vmalloc_cache));
		add_setting(t, "depots of a cache", limit / DEPOT_SHARE);
	}
	if (one_cpu(c))
		kn_text_add(t, ", locks do not spin");
	if (kn_span.by_steps) {
		add_setting(t, "address space", kn_machine.address_limit());
		kn_text_add(t, " (ulimit -v), mapped by steps");
	}
}

void kn_limits_banner(void)
{
	char buf[900];
	struct kn_text t = {buf, sizeof(buf), 0};
	struct kn_cgroup c;
	const int err = kn_cgroup_read(&c);

	if (err) {
		kn_print("limits: unknown, /proc/self/cgroup: %s",
			 strerrordesc_np(-err));
		return;
	}
	kn_limits_apply(&c);
	add_memory(&t, &c);
	if (c.cpu_milli != KN_CGROUP_NONE)
		kn_text_add(&t, ", quota %llu.%02llu CPUs",
			    (unsigned long long)c.cpu_milli / KN_CPU_MILLI,
			    (unsigned long long)c.cpu_milli % KN_CPU_MILLI /
				    (KN_CPU_MILLI / 100));
	add_adapted(&t, &c);
	kn_print("limits: %s", buf);
}
