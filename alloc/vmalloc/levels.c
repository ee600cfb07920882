/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/vmalloc/levels.c - how much of the arenas is in use, kept and grown */
#include "alloc/vmalloc/arena.h"
#include "alloc/vmalloc/vmap.h"

uintptr_t kn_vmap_range(int node, int i, size_t *bytes)
{
	const struct kn_arena *a = &kn_arenas[node][i];

	*bytes = kn_load(&a->top) - a->base;
	return a->base;
}

static uint64_t sum(uint64_t (*fn)(const struct kn_arena *a))
{
	uint64_t n = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		for (int i = 0; i < 2; i++)
			n += fn(&kn_arenas[node][i]);
	return n;
}

static uint64_t used_bytes(const struct kn_arena *a)
{
	return kn_arena_used(a) << KN_PAGE_SHIFT;
}

static uint64_t used_areas(const struct kn_arena *a)
{
	const uint64_t freed = kn_load_acquire(&a->freed_areas);

	return kn_load(&a->used_areas) - freed;
}

static uint64_t nr_new(const struct kn_arena *a)
{
	return kn_load(&a->nr_new);
}

static uint64_t nr_reused(const struct kn_arena *a)
{
	return kn_load(&a->nr_reused);
}

static uint64_t cached_bytes(const struct kn_arena *a)
{
	return kn_load(&a->cached_pages) << KN_PAGE_SHIFT;
}

static uint64_t fresh_pages(const struct kn_arena *a)
{
	return kn_load(&a->fresh_pages);
}

static uint64_t grown_bytes(const struct kn_arena *a)
{
	return kn_load(&a->grown) - a->base;
}

uint64_t kn_vmap_used_bytes(void)
{
	return sum(used_bytes);
}

uint64_t kn_vmap_used_areas(void)
{
	return sum(used_areas);
}

uint64_t kn_vmap_nr_new(void)
{
	return sum(nr_new);
}

uint64_t kn_vmap_nr_reused(void)
{
	return sum(nr_reused);
}

uint64_t kn_vmap_cached_bytes(void)
{
	return sum(cached_bytes);
}

uint64_t kn_vmap_fresh_pages(void)
{
	return sum(fresh_pages);
}

uint64_t kn_vmap_grown_bytes(void)
{
	return sum(grown_bytes);
}

void kn_vmap_levels(int node, struct kn_vmap_levels *l)
{
	*l = (struct kn_vmap_levels){0, 0, 0};
	for (int i = 0; i < 2; i++) {
		struct kn_arena *a = &kn_arenas[node][i];

		kn_lock(&a->lock);
		l->used += used_bytes(a);
		l->cached += cached_bytes(a);
		l->grown += grown_bytes(a);
		kn_unlock(&a->lock);
	}
}
