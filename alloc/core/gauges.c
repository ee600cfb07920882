/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/core/gauges.h"

#include <knuma/numa.h>
#include <knuma/stats.h>
#include <knuma/version.h>

#include "alloc/core/start.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/away.h"
#include "alloc/page/page_alloc.h"
#include "alloc/percpu/percpu.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "alloc/view/stats_view.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/fake.h"
#include "numa/hugetlb.h"

static uint64_t magazine_pops(void)
{
	uint64_t popped, present;

	kn_mag_totals(&popped, &present);
	return popped;
}

/* Every object that was pushed was popped or is still there. */
static uint64_t magazine_pushes(void)
{
	uint64_t popped, present;

	kn_mag_totals(&popped, &present);
	return popped + present;
}

/* What others do between two reads must not make less than nothing. */
static uint64_t rest(uint64_t all, uint64_t some)
{
	return all > some ? all - some : 0;
}

static uint64_t zone_pages(size_t field)
{
	uint64_t pages = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		pages += kn_load((uint64_t *)((char *)&kn_zones[node] + field));
	return pages << KN_PAGE_SHIFT;
}

static uint64_t page_free_bytes(void)
{
	return zone_pages(offsetof(struct kn_zone, nr_free));
}

static uint64_t page_managed_bytes(void)
{
	return zone_pages(offsetof(struct kn_zone, managed));
}

static void add_slabs(struct kmem_cache *s, void *bytes)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		*(uint64_t *)bytes += kn_load(&s->node[node].nr_slabs)
				      << (s->order + KN_PAGE_SHIFT);
}

static uint64_t slab_bytes(void)
{
	uint64_t bytes = 0;

	kn_cache_each(add_slabs, &bytes);
	return bytes;
}

static void add_objects(struct kmem_cache *s, void *bytes)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		*(uint64_t *)bytes += kn_slab_out(s, node) * s->size;
}

static uint64_t page_warm_bytes(void)
{
	return zone_pages(offsetof(struct kn_zone, nr_warm));
}

/* A page that was never used has a descriptor that was never written. */
static uint64_t metadata_bytes(void)
{
	const uint64_t used = rest(page_managed_bytes(),
				   rest(page_free_bytes(), page_warm_bytes()));

	return kn_block_bytes() + kn_magazine_bytes() +
	       (used >> KN_PAGE_SHIFT) *
		       (KN_PAGE_DESC_SIZE + sizeof(*kn_span.map));
}

static uint64_t mapped_bytes(void)
{
	return page_managed_bytes() + kn_vmap_grown_bytes();
}

static uint64_t active_bytes(void)
{
	return page_managed_bytes() - page_free_bytes() + kn_vmap_used_bytes();
}

/* Objects in magazines and depots count as allocated: no slab has them. */
static uint64_t object_bytes(void)
{
	uint64_t objects = 0;

	kn_cache_each(add_objects, &objects);
	return objects;
}

static uint64_t slab_free_bytes(void)
{
	return rest(slab_bytes(), object_bytes());
}

static uint64_t page_bytes(void)
{
	const uint64_t unused = page_free_bytes();

	return rest(page_managed_bytes() - unused, slab_bytes());
}

static uint64_t vmalloc_free_bytes(void)
{
	const uint64_t in_areas = kn_vmap_used_bytes() +
				  kn_vmap_cached_bytes();

	return rest(kn_vmap_grown_bytes(), in_areas);
}

static uint64_t allocated_bytes(void)
{
	return active_bytes() - slab_bytes() + object_bytes();
}

static uint64_t present_in(const struct kn_magazine *m)
{
	return kn_load(&m->cur) & 0xffff;
}

static uint64_t in_magazines(const struct kn_magcache *c)
{
	const struct kn_drain_set all = {
		.first_id = c->id, .last_id = c->id, .cid = -1, .node = -1,
	};

	return kn_drain_sum(&all, present_in) * c->size;
}

static uint64_t in_depots(const struct kn_magcache *c)
{
	uint64_t n = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		n += kn_mag_in_depot(c, node);
	return n * c->size;
}

struct cached {
	uint64_t (*of)(const struct kn_magcache *c);
	uint64_t bytes;
};

static void add_cached(struct kmem_cache *s, void *arg)
{
	struct cached *cached = arg;

	cached->bytes += cached->of(&s->mag);
}

/* Of the lists of pages and of all caches. */
static uint64_t cached_by(uint64_t (*of)(const struct kn_magcache *c))
{
	struct cached cached = {.of = of};

	for (uint32_t id = KN_ID_PCP; id < KN_ID_RCU; id++)
		cached.bytes += of(kn_magcaches[id]);
	kn_cache_each(add_cached, &cached);
	return cached.bytes;
}

static uint64_t cached_magazine_bytes(void)
{
	return cached_by(in_magazines);
}

static uint64_t cached_depot_bytes(void)
{
	return cached_by(in_depots);
}

static uint64_t cached_bytes(void)
{
	return cached_magazine_bytes() + cached_depot_bytes();
}

const char *knuma_mode(void)
{
	return kn_load(&kn_mag_mode) == KN_MAG_RSEQ ? "rseq" : "fallback";
}

const char *knuma_mode_reason(void)
{
	const char *reason = kn_load(&kn_mag_reason);

	if (reason)
		return reason;
	return kn_hot.cid_off == kn_hot.rseq_off + 4 ?
		"magazines are numbered by CPU" :
		"magazines are numbered by mm_cid";
}

static const char *mbind_state(void)
{
	const uint64_t usable = kn_load(&kn_topo.has_memory) &
				kn_load(&kn_topo.allowed);

	if (kn_fake_on)
		return "skipped";
	if (!kn_span.bind_wanted)
		return "not needed";
	if (kn_load(&kn_span.bind_error))
		return "denied";
	return usable & ~kn_load(&kn_span.bound) ? "failed" : "ok";
}

#define SAMPLES 64

/*
 * A filter that comes late may refuse the fence, or a policy.  A program may
 * end before the background work has looked where its pages are.
 */
static void refresh(struct kn_view_info *info)
{
	if (kn_load_acquire(&kn_started) && kn_topo.nr_nodes > 1)
		(void)knuma_verify_placement(SAMPLES, NULL, 0);
	info->mode = knuma_mode();
	info->reason = knuma_mode_reason();
	info->mbind_state = mbind_state();
}

static uint64_t away_bytes(void)
{
	return kn_load(&kn_away_pages) << KN_PAGE_SHIFT;
}

void kn_gauges_init(void)
{
	kn_view_info.version = KNUMA_VERSION_STRING;
	kn_view_info.refresh = refresh;
	refresh(&kn_view_info);
	kn_view_info.fake_nodes = kn_fake_on;
	kn_view_info.nr_nodes = kn_topo.nr_nodes;
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		kn_view_info.node_id[node] = kn_topo.kernel_id[node];
	kn_view_info.page_size = KN_PAGE_SIZE;
	kn_view_info.huge_page_size = KN_HUGE_SIZE;
	kn_stat_source(KN_STAT_rcu_grace_periods, kn_grace_periods);
	kn_stat_source(KN_STAT_magazine_pops, magazine_pops);
	kn_stat_source(KN_STAT_magazine_pushes, magazine_pushes);
	kn_stat_source(KN_STAT_allocated_bytes, allocated_bytes);
	kn_stat_source(KN_STAT_cached_bytes, cached_bytes);
	kn_stat_source(KN_STAT_cached_magazine_bytes, cached_magazine_bytes);
	kn_stat_source(KN_STAT_cached_depot_bytes, cached_depot_bytes);
	kn_stat_source(KN_STAT_active_bytes, active_bytes);
	kn_stat_source(KN_STAT_mapped_bytes, mapped_bytes);
	kn_stat_source(KN_STAT_metadata_bytes, metadata_bytes);
	kn_stat_source(KN_STAT_slab_bytes, slab_bytes);
	kn_stat_source(KN_STAT_object_bytes, object_bytes);
	kn_stat_source(KN_STAT_slab_free_bytes, slab_free_bytes);
	kn_stat_source(KN_STAT_page_bytes, page_bytes);
	kn_stat_source(KN_STAT_vmalloc_free_bytes, vmalloc_free_bytes);
	kn_stat_source(KN_STAT_page_free_bytes, page_free_bytes);
	kn_stat_source(KN_STAT_page_warm_bytes, page_warm_bytes);
	kn_stat_source(KN_STAT_hugetlb_bytes, kn_hugetlb_bytes);
	kn_stat_source(KN_STAT_page_managed_bytes, page_managed_bytes);
	kn_stat_source(KN_STAT_vmalloc_bytes, kn_vmap_used_bytes);
	kn_stat_source(KN_STAT_vmalloc_areas, kn_vmap_used_areas);
	kn_stat_source(KN_STAT_vmalloc_new, kn_vmap_nr_new);
	kn_stat_source(KN_STAT_vmalloc_reused, kn_vmap_nr_reused);
	kn_stat_source(KN_STAT_vmalloc_cached_bytes, kn_vmap_cached_bytes);
	kn_stat_source(KN_STAT_percpu_bytes, kn_percpu_bytes);
	kn_stat_source(KN_STAT_percpu_used_bytes, kn_percpu_used_bytes);
	kn_stat_source(KN_STAT_away_bytes, away_bytes);
}
