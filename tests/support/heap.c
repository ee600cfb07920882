/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/heap.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/placement.h"
#include "numa/topology.h"
#include "tests/support/child.h"

static void verify_cache(struct kmem_cache *s, void *ok)
{
	if (!kn_slab_verify(s))
		*(bool *)ok = false;
}

bool heap_is_sound(void)
{
	bool ok = true;

	for (int node = 0; node < kn_topo.nr_nodes && ok; node++)
		ok = kn_zone_verify(node) && kn_vmap_verify(node);
	if (ok)
		kn_cache_each(verify_cache, &ok);
	return ok;
}

void heap_verify(void)
{
	CHECK(heap_is_sound());
}

uint64_t stat_of(const char *name)
{
	uint64_t value = 0;

	if (knuma_stats_read(name, &value))
		check_failed(__FILE__, __LINE__, name);
	return value;
}

void conf(const char *name, const char *value)
{
	if (knuma_conf_set(name, value))
		check_failed(__FILE__, __LINE__, name);
}

void start_quiet(void)
{
	conf("background", "no");
	conf("trim_delay_ms", "0");
	kfree(kmalloc(1, GFP_KERNEL));
}

void keep_this_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

void start_here(void)
{
	keep_this_cpu();
	start_quiet();
}

bool a_node_has(size_t n)
{
	int64_t spare;

	kfree(kmalloc(1, GFP_KERNEL));
	if (kn_topo.nr_nodes == 1)
		return true;
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (kn_node_usable(node) &&
		    !kn_node_spare_bytes(node, &spare) && spare >= (int64_t)n)
			return true;
	return false;
}

static unsigned char pattern_byte(uint64_t seed, size_t i)
{
	return (unsigned char)((seed + i) * 0x9e3779b1u >> 13);
}

void pattern_fill(void *p, size_t n, uint64_t seed)
{
	unsigned char *at = p;

	for (size_t i = 0; i < n; i++)
		at[i] = pattern_byte(seed, i);
}

bool pattern_holds(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *at = p;

	for (size_t i = 0; i < n; i++)
		if (at[i] != pattern_byte(seed, i))
			return false;
	return true;
}

bool all_bytes(const void *p, size_t n, unsigned char byte)
{
	const unsigned char *at = p;

	for (size_t i = 0; i < n; i++)
		if (at[i] != byte)
			return false;
	return true;
}

size_t divisor_of(size_t n)
{
	return n & -n;
}

size_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%lu %lu", &size, &resident) == 2);
	fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

bool is_present(const void *p, size_t n)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t last = ((uintptr_t)p + n - 1) & -page;
	unsigned char present;

	for (uintptr_t at = (uintptr_t)p & -page; at <= last; at += page)
		if (mincore((void *)at, page, &present) || !(present & 1))
			return false;
	return true;
}

void *launder(const void *p)
{
	void *q = (void *)p;

	__asm__ volatile("" : "+r"(q));
	return q;
}
