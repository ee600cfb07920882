/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/surplus.h"

#include "alloc/config/tunables.h"
#include "alloc/page/page_alloc.h"
#include "alloc/slab/cache.h"
#include "alloc/vmalloc/vmap.h"

/* Pages. */
struct levels {
	uint64_t idle;	/* free, and in memory */
	uint64_t used;
	uint64_t taken; /* turned into memory since the start */
};

/* Of the last wave; pages. */
static uint64_t learned; /* kept besides trim_keep */
static uint64_t given;
static uint64_t taken_then; /* when it began */
static uint64_t given_ms;

static struct levels levels(void)
{
	struct levels l = {
		.idle = kn_vmap_cached_bytes() >> KN_PAGE_SHIFT,
		.used = kn_vmap_used_bytes() >> KN_PAGE_SHIFT,
		.taken = kn_vmap_fresh_pages(),
	};

	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const struct kn_zone *z = &kn_zones[node];

		l.idle += kn_zone_idle(z);
		l.used += kn_load(&z->managed) - kn_load(&z->nr_free);
		l.taken += kn_load(&z->warmed);
	}
	return l;
}

static uint64_t kept(void)
{
	return (kn_load(&kn_tun.trim_keep) >> KN_PAGE_SHIFT) + learned;
}

static bool is_surplus(const struct levels *l)
{
	return l->idle > kept() + l->used / 16;
}

bool kn_surplus_is_there(void)
{
	const struct levels l = levels();

	return is_surplus(&l);
}

/* Whether memory was taken since, and the last wave is judged by it. */
static bool judge(const struct levels *l, uint64_t now_ms)
{
	const uint64_t taken = l->taken - taken_then;

	if (!taken || taken < given / 4)
		return false;
	if (now_ms - given_ms < kn_load(&kn_tun.trim_delay_ms))
		learned += KN_MIN(given, taken);
	else
		learned /= 2;
	given = 0;
	taken_then = l->taken;
	return true;
}

void kn_surplus_give_back(uint64_t now_ms)
{
	struct levels l = levels();
	const uint64_t idle = l.idle;

	if (judge(&l, now_ms)) {
		if (!is_surplus(&l))
			return;
	} else if (given / 4 >= kept()) {
		learned /= 2;
	}
	kn_caches_reap();
	kn_page_trim(UINT64_MAX, true);
	kn_vmap_trim(now_ms, true);
	l = levels();
	given += idle - KN_MIN(idle, l.idle);
	given_ms = now_ms;
	/* What the system does not take, or locks, is not tried each time. */
	if (is_surplus(&l))
		learned = l.idle;
}
