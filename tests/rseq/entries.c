/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/rseq/entries.h"

#include <time.h>
#include <unistd.h>

#include <knuma/malloc.h>
#include <knuma/page.h>
#include <knuma/percpu.h>
#include <knuma/rcu.h>
#include <knuma/slab.h>

#include "alloc/deferred/kfree_rcu.h"
#include "alloc/magazine/drain.h"
#include "alloc/rcu/grace.h"
#include "alloc/slab/cache.h"
#include "numa/topology.h"
#include "tests/concurrency/flavor.h"
#include "tests/rseq/sections.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

static struct kmem_cache *cache;

static int near_node(void)
{
	return kn_topo.kernel_id[kn_zonelist(0)->node[0]];
}

static void by_kmalloc(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obj[i] = kmalloc(size, GFP_KERNEL);
}

static void by_kmalloc_node(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obj[i] = kmalloc_node(size, GFP_KERNEL, near_node());
}

static void by_cache(size_t size, void **obj, size_t n)
{
	(void)size;
	for (size_t i = 0; i < n; i++)
		obj[i] = kmem_cache_alloc(cache, GFP_KERNEL);
}

static void by_cache_node(size_t size, void **obj, size_t n)
{
	(void)size;
	for (size_t i = 0; i < n; i++)
		obj[i] = kmem_cache_alloc_node(cache, GFP_KERNEL, near_node());
}

static void by_cache_bulk(size_t size, void **obj, size_t n)
{
	(void)size;
	CHECK_EQ(kmem_cache_alloc_bulk(cache, GFP_KERNEL, n, obj), n);
}

static void by_malloc(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obj[i] = knuma_malloc(size);
}

static void by_memalign(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obj[i] = knuma_memalign((size_t)getpagesize(), size);
}

static void by_calloc(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		obj[i] = knuma_calloc(1, size);
		CHECK(all_bytes(obj[i], size, 0));
	}
}

#define ORDER 2

static void by_pages(size_t size, void **obj, size_t n)
{
	CHECK(size <= (size_t)getpagesize() << ORDER);
	for (size_t i = 0; i < n; i++)
		obj[i] = page_address(alloc_pages(GFP_KERNEL, ORDER));
}

static void by_kzalloc(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		obj[i] = kzalloc(size, GFP_KERNEL);
		CHECK(all_bytes(obj[i], 100, 0));
	}
}

static void by_kzalloc_node(size_t size, void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		obj[i] = kzalloc_node(size, GFP_KERNEL, near_node());
		CHECK(all_bytes(obj[i], 100, 0));
	}
}

static void by_free_pages(void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free_pages((unsigned long)obj[i], ORDER);
}

static void by_kfree(void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kfree(obj[i]);
}

static void by_cache_free(void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kmem_cache_free(cache, obj[i]);
}

static void by_cache_free_bulk(void **obj, size_t n)
{
	kmem_cache_free_bulk(cache, n, obj);
}

static void by_free(void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		knuma_free(obj[i]);
}

/* Those that are told the size, and kvfree(), in turn. */
static void by_other_frees(void **obj, size_t n)
{
	for (size_t i = 0; i < n; i++)
		switch (i % 5) {
		case 0:
			kfree_sized(obj[i], 64);
			break;
		case 1:
			kvfree_sized(obj[i], 64);
			break;
		case 2:
			knuma_free_sized(obj[i], 64);
			break;
		case 3:
			knuma_free_aligned_sized(obj[i], 16, 64);
			break;
		default:
			kvfree(obj[i]);
		}
}

const struct entry entries[NR_ENTRIES] = {
	{"kmalloc", 64, by_kmalloc, by_kfree},
	{"kfree_sized and others", 64, by_kmalloc, by_other_frees},
	{"kmalloc_node", 64, by_kmalloc_node, by_kfree},
	{"kmem_cache_alloc", 96, by_cache, by_cache_free},
	{"kmem_cache_alloc_node", 96, by_cache_node, by_cache_free},
	{"kmem_cache_alloc_bulk", 96, by_cache_bulk, by_cache_free_bulk},
	{"kmalloc, of medium size", 5000, by_kmalloc, by_kfree},
	{"kmalloc, of whole pages", 16384, by_kmalloc, by_kfree},
	{"alloc_pages", 16384, by_pages, by_free_pages},
	{"kzalloc", 112, by_kzalloc, by_kfree},
	{"kzalloc_node", 112, by_kzalloc_node, by_kfree},
	{"kzalloc, of whole pages", 12288, by_kzalloc, by_kfree},
	{"malloc", 64, by_malloc, by_free},
	{"malloc, of medium size", 5000, by_malloc, by_free},
	{"malloc, of whole pages", 16384, by_malloc, by_free},
	{"memalign, of whole pages", 16384, by_memalign, by_free},
	{"calloc", 64, by_calloc, by_free},
};

void entries_start(void)
{
	start_quiet();
	cache = kmem_cache_create("entries", 96, 0, 0, NULL);
	CHECK(cache);
}

void entries_defer(unsigned n)
{
	while (n--) {
		struct canary *c = canary_new(128, n);

		CHECK(c);
		flavor_mb.free(c);
	}
}

/* The first is queued by hand, and asks for the thread. */
static void start_thread(void)
{
	entries_defer(1);
	while (!kn_grace_has_thread(0))
		kn_rcu_step();
}

void entries_defer_alone(unsigned n)
{
	const struct timespec nap = {.tv_nsec = 100000};
	uint64_t since = 0;

	flavor_register(&flavor_mb);
	flavor_enter(&flavor_mb);
	start_thread();
	while (kn_grace_busy_ms(0, &since), !since)
		nanosleep(&nap, NULL);
	entries_defer(n);
	tracee_over();
	flavor_leave(&flavor_mb);
	flavor_mb.ops->unregister_thread();
}

/* On whatever CPUs: what is in all copies together does not depend on it. */
#define COUNT(type)                                                     \
	do {                                                            \
		type *w = __alloc_percpu(3 * sizeof(*w), sizeof(*w));   \
		unsigned cpu, sum[3] = {0};                             \
                                                                        \
		CHECK(w);                                               \
		this_cpu_add(w[0], 5);                                  \
		CHECK_EQ(this_cpu_xchg(w[1], 7), 0);                    \
		CHECK_EQ(this_cpu_cmpxchg(w[2], 0, 9), 0);              \
		for_each_possible_cpu(cpu) for (int i = 0; i < 3; i++)  \
			sum[i] += (unsigned)per_cpu_ptr(w, cpu)[i];     \
		CHECK(sum[0] == 5 && sum[1] == 7 && sum[2] == 9);       \
		free_percpu(w);                                         \
	} while (0)

void entries_count(void)
{
	COUNT(uint8_t);
	COUNT(uint16_t);
	COUNT(uint32_t);
	COUNT(uint64_t);
}

void entries_drain(void)
{
	const struct kn_drain_set all = {
		.last_id = KN_NR_IDS - 1,
		.cid = -1,
		.node = -1,
	};

	CHECK(kn_drain(&all));
}

static void count(struct kmem_cache *s, void *sum)
{
	kmem_cache_shrink(s);
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		*(uint64_t *)sum += kn_slab_in_use(s, node);
}

static void keep(struct kmem_cache *s, void *list)
{
	struct kmem_cache ***at = list;

	*(*at)++ = s;
}

/* What looks into a cache takes locks: not inside kn_cache_each(). */
uint64_t entries_lost(void)
{
	struct kmem_cache *all[KN_NR_IDS], **end = all;
	uint64_t sum = 0;

	kvfree_rcu_barrier();
	kn_cache_each(keep, &end);
	for (struct kmem_cache **s = all; s < end; s++)
		count(*s, &sum);
	return sum;
}
