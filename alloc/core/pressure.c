/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/core/pressure.h"

#include <errno.h>
#include <knuma/gfp.h>
#include <string.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/probes.h"
#include "alloc/config/tunables.h"
#include "alloc/core/limits.h"
#include "alloc/core/shrinker.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/page_alloc.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"

/* Stalls of 150 ms in a window of 2 s, the shortest that needs no privilege. */
#define TRIGGER		"some 150000 2000000"
#define STALL_PER_MILLE 75

/* Looks at everything again, cgroups that were changed among it. */
#define LOOKS_REREAD	16
#define SHORT_MS	100
#define LONGEST_REST_MS 16000
/* Less time than this tells nothing about stalls. */
#define LEAST_MS	50

enum stage {
#define KN_PRESSURE_STAGE(name, what) STAGE_##name,
#include "alloc/core/pressure.def"
#undef KN_PRESSURE_STAGE
	NR_STAGES
};

static const enum kn_stat stage_stats[NR_STAGES] = {
#define KN_PRESSURE_STAGE(name, what) KN_STAT_pressure_##name,
#include "alloc/core/pressure.def"
#undef KN_PRESSURE_STAGE
};

static const char *const stage_names[NR_STAGES] = {
#define KN_PRESSURE_STAGE(name, what) #name,
#include "alloc/core/pressure.def"
#undef KN_PRESSURE_STAGE
};

static struct {
	struct kn_cgroup cgroup;
	bool found;
	unsigned looks;
	/* What the last look saw. */
	bool has_path;
	char path[KN_CGROUP_PATH + 32];
	uint64_t stall_us, stall_at_ms, events;
	/* The answer under way. */
	bool is_short;
	enum stage next;
	unsigned round;
	uint64_t next_ms, rest_ms;
} p;

/* When the next look is due while memory is short, else 0; atomic. */
static uint64_t due_ms;

/* The kernel's trigger. */
static struct {
	bool asked;
	struct kn_watch watch;
} trigger = {.watch = {.fd = -1}};

static void find_all(void)
{
	if (!p.found || kn_cgroup_limit(&p.cgroup) == KN_CGROUP_NONE)
		p.found = !kn_cgroup_read(&p.cgroup);
	else
		kn_cgroup_reread(&p.cgroup);
	p.has_path = kn_pressure_path(&p.cgroup, p.path);
	kn_limits_apply(&p.cgroup);
}

/* P1.  The first look only remembers. */
static bool stalls(uint64_t now_ms)
{
	const uint64_t ms = now_ms - p.stall_at_ms, before = p.stall_us;
	const bool first = !p.stall_at_ms;

	if (!p.has_path || (!first && ms < LEAST_MS))
		return false;
	if (!kn_pressure_stall(p.path, &p.stall_us))
		return false;
	p.stall_at_ms = now_ms;
	return !first && p.stall_us > before &&
	       p.stall_us - before >= ms * STALL_PER_MILLE;
}

/* P2 and P3. */
static bool is_near_limit(void)
{
	const uint64_t limit = kn_cgroup_limit(&p.cgroup) / 16;
	const uint64_t before = p.events;
	const unsigned less = p.is_short ? 1 : 0;
	uint64_t used;

	if (!kn_cgroup_used(&p.cgroup, &used))
		return false;
	p.events = kn_cgroup_events(&p.cgroup);
	return used >= limit * (15 - less) ||
	       (p.looks > 1 && p.events > before &&
		used >= limit * (12 - 2 * less));
}

static void run(enum stage stage)
{
	switch (stage) {
	case STAGE_drain:
		kn_drain_idle();
		break;
	case STAGE_reap:
		kn_caches_reap();
		break;
	case STAGE_trim:
		kn_page_trim(UINT64_MAX, true);
		break;
	case STAGE_purge:
		kn_vmap_trim(0, true);
		break;
	case STAGE_shrink:
		kn_shrink(GFP_KERNEL, KN_SHRINK_ALL_NODES,
			  KN_SHRINK_PART - KN_MIN(p.round, KN_SHRINK_PART));
		break;
	case NR_STAGES:
		return;
	}
	kn_stat_inc(stage_stats[stage]);
}

static void step(uint64_t now_ms, bool shrink)
{
	if (p.next == STAGE_shrink && !shrink)
		p.next = NR_STAGES;
	if (p.next < NR_STAGES)
		kn_probe_pressure(stage_names[p.next], p.round);
	run(p.next);
	p.next_ms = now_ms + SHORT_MS;
	if (p.next < STAGE_shrink) {
		p.next++;
		return;
	}
	p.next = 0;
	p.round++;
	p.next_ms = now_ms + p.rest_ms;
	p.rest_ms = KN_MIN(2 * p.rest_ms, LONGEST_REST_MS);
}

void kn_pressure_look(uint64_t now_ms, bool fired, bool shrink)
{
	bool is_short;

	if (!kn_load(&kn_tun.pressure) ||
	    (p.is_short && !fired && now_ms < p.next_ms))
		return;
	if (p.looks++ % LOOKS_REREAD == 0)
		find_all();
	/* Both are asked, to remember what they saw. */
	is_short = stalls(now_ms);
	is_short = is_near_limit() || is_short || fired;
	if (!is_short) {
		p.is_short = false;
		kn_store(&due_ms, 0);
		return;
	}
	if (!p.is_short) {
		kn_stat_inc(KN_STAT_pressure_events);
		p.is_short = true;
		p.next = 0;
		p.round = 0;
		p.rest_ms = 1000;
	} else if (now_ms < p.next_ms) {
		return;
	}
	step(now_ms, shrink);
	kn_store(&due_ms, p.next_ms);
}

/* Once: a kernel without PSI or a process without permission stays so. */
static void ask_for_trigger(void)
{
	char path[KN_CGROUP_PATH + 32];
	struct kn_cgroup c;
	int err = -ENOENT;

	trigger.asked = true;
	if (kn_cgroup_read(&c))
		c.unified.version = 0;
	if (kn_pressure_path(&c, path))
		err = kn_machine.watch(path, TRIGGER, &trigger.watch);
	/* The own cgroup may belong to another user. */
	if (err && c.unified.version) {
		c.unified.version = 0;
		if (kn_pressure_path(&c, path))
			err = kn_machine.watch(path, TRIGGER, &trigger.watch);
	}
	if (err && kn_tun.stats)
		kn_warn_once(
			"the kernel does not wake this process when memory "
			"is short (%s): it looks each %llu ms",
			strerrordesc_np(-err),
			(unsigned long long)kn_load(&kn_tun.trim_delay_ms));
}

bool kn_pressure_is_due(uint64_t now_ms)
{
	const uint64_t due = kn_load(&due_ms);

	return due && now_ms >= due;
}

bool kn_pressure_sleep(uint64_t now_ms, uint64_t ms)
{
	const uint64_t due = kn_load(&due_ms);
	const bool on = kn_load(&kn_tun.pressure);
	int fired;

	if (on && !trigger.asked)
		ask_for_trigger();
	if (due > now_ms)
		ms = KN_MIN(ms, due - now_ms);
	fired = kn_machine.wait(on && trigger.watch.fd >= 0 ? &trigger.watch :
							      NULL,
				(int)KN_MIN(ms, INT32_MAX));
	if (fired < 0)
		kn_machine.unwatch(&trigger.watch);
	return fired > 0;
}

void kn_pressure_after_fork_child(void)
{
	kn_machine.unwatch(&trigger.watch);
	trigger.asked = false;
	memset(&p, 0, sizeof(p));
	kn_store(&due_ms, 0);
}
