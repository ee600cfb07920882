/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/surplus.h"

#include "alloc/config/tunables.h"
#include "alloc/page/page_alloc.h"
#include "alloc/slab/cache.h"
#include "alloc/vmalloc/vmap.h"

/* Of the last wave; pages. */
static uint64_t learned; /* kept besides trim_keep */
static uint64_t given;
static uint64_t taken_then; /* when it began */
static uint64_t given_ms;

/* Free, and in memory. */
static uint64_t idle_pages(void)
{
	uint64_t n = kn_vmap_cached_bytes() >> KN_PAGE_SHIFT;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		n += kn_zone_idle(&kn_zones[node]);
	return n;
}

static uint64_t used_pages(void)
{
	uint64_t n = kn_vmap_used_bytes() >> KN_PAGE_SHIFT;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		n += kn_load(&kn_zones[node].managed) -
		     kn_load(&kn_zones[node].nr_free);
	return n;
}

/* Turned into memory since the start. */
static uint64_t taken_pages(void)
{
	uint64_t n = kn_vmap_fresh_pages();

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		n += kn_load(&kn_zones[node].warmed);
	return n;
}

static uint64_t kept_pages(void)
{
	return (kn_load(&kn_tun.trim_keep) >> KN_PAGE_SHIFT) + learned;
}

bool kn_surplus_is_there(void)
{
	const uint64_t idle = idle_pages();

	return idle > kept_pages() && idle > kept_pages() + used_pages() / 16;
}

/* Whether memory was taken since, and the last wave is judged by it. */
static bool judge(uint64_t now_ms)
{
	const uint64_t taken = taken_pages() - taken_then;

	if (!taken || taken < given / 4)
		return false;
	if (now_ms - given_ms < kn_load(&kn_tun.trim_delay_ms))
		learned += KN_MIN(given, taken) * 3 / 2;
	else
		learned /= 2;
	given = 0;
	taken_then += taken;
	return true;
}

void kn_surplus_give_back(uint64_t now_ms)
{
	uint64_t idle, left;

	if (!judge(now_ms) && given / 4 >= kept_pages())
		learned /= 2;
	if (!kn_surplus_is_there())
		return;
	idle = idle_pages();
	kn_caches_reap();
	kn_page_trim_large();
	kn_vmap_trim(now_ms, true);
	left = idle_pages();
	given += idle - KN_MIN(idle, left);
	given_ms = now_ms;
	/* What the system does not take, or locks, is not tried each time. */
	if (kn_surplus_is_there())
		learned = left;
}
