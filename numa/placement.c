/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/placement.h"

#include <dlfcn.h>
#include <errno.h>
#include <numa.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "numa/fake.h"
#include "alloc/base/bits.h"
#include "numa/machine.h"
#include "numa/span.h"
#include "numa/sysfs.h"

/* Pages in one query: two arrays on the stack, 6 KiB. */
#define CHUNK 512

struct count {
	long *pages; /* by kernel id */
	int n;
	long present;
};

/*
 * A page that was never touched is -ENOENT, and -EFAULT on 6.1; so is the
 * zero page, which is on no node.
 */
static int count_chunk(struct count *c, uintptr_t page, size_t nr, size_t size)
{
	void *pages[CHUNK];
	int status[CHUNK];
	int ret;

	for (size_t i = 0; i < nr; i++) {
		pages[i] = (void *)(page + i * size);
		status[i] = -ENOENT;
	}
	ret = kn_page_nodes(nr, pages, status);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < nr; i++) {
		if (status[i] < 0)
			continue;
		c->present++;
		if (status[i] < c->n)
			c->pages[status[i]]++;
	}
	return 0;
}

long kn_placement(const void *p, size_t bytes, long *pages_per_kernel_node,
		  int n)
{
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	const uintptr_t start = KN_ALIGN_DOWN((uintptr_t)p, size);
	const uintptr_t end = (uintptr_t)p + bytes;
	struct count c = {.pages = pages_per_kernel_node, .n = n};
	size_t left;
	int ret;

	if (!c.pages)
		c.n = 0;
	for (int i = 0; i < c.n; i++)
		c.pages[i] = 0;
	if (end < (uintptr_t)p || end > UINTPTR_MAX - size)
		return -EINVAL;
	left = bytes ? (end - start + size - 1) / size : 0;
	for (uintptr_t page = start; left; page += CHUNK * size) {
		const size_t nr = KN_MIN(left, (size_t)CHUNK);

		ret = count_chunk(&c, page, nr, size);
		if (ret)
			return ret;
		left -= nr;
	}
	return c.present;
}

static __typeof__(numa_move_pages) *move_pages_of_libnuma;

static int libnuma_page_nodes(size_t n, void **pages, int *status)
{
	const int saved_errno = errno;
	int ret = 0;

	if (kn_load(&move_pages_of_libnuma)(0, n, pages, NULL, status, 0) < 0)
		ret = -errno;
	errno = saved_errno;
	return ret;
}

static int load_libnuma(void)
{
	__typeof__(numa_available) *available;
	__typeof__(move_pages_of_libnuma) move_pages;
	void *library;

	if (kn_fake_on)
		return -EXDEV;
	library = dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return -ENOENT;
	available = (__typeof__(available))dlsym(library, "numa_available");
	move_pages = (__typeof__(move_pages))dlsym(library, "numa_move_pages");
	if (!available || !move_pages)
		return -ELIBBAD;
	if (available() < 0)
		return -ENOSYS;
	kn_store(&move_pages_of_libnuma, move_pages);
	/* Release; pairs with the acquire in kn_page_nodes(). */
	kn_store_release(&kn_machine.page_nodes, libnuma_page_nodes);
	return 0;
}

int kn_libnuma_load(void)
{
	const int saved_errno = errno;
	const int ret = load_libnuma();

	errno = saved_errno;
	return ret;
}

static int64_t kib_field(const char *text, const char *name)
{
	const char *s = kn_sysfs_field(text, name);
	uint64_t kib;

	if (!s || !kn_sysfs_next_number(&s, &kib) || kib > INT64_MAX >> 10)
		return -1;
	return (int64_t)(kib << 10);
}

int kn_node_meminfo(int node, int64_t *total, int64_t *free)
{
	char text[512]; /* both fields are in the first three lines */
	int64_t all, unused;
	ssize_t got;

	if (node < 0 || node >= kn_topo.nr_nodes)
		return -EINVAL;
	got = kn_sysfs_read_node(kn_topo.kernel_id[node], "meminfo", text,
				 sizeof(text));
	/* A kernel without NUMA has the machine's file only. */
	if (got < 0 && kn_topo.nr_nodes == 1)
		got = kn_sysfs_read_proc("meminfo", text, sizeof(text));
	if (got < 0)
		return (int)got;
	all = kib_field(text, "MemTotal:");
	unused = kib_field(text, "MemFree:");
	if (all < 0 || unused < 0)
		return -EIO;
	*total = all;
	*free = unused;
	return 0;
}

int64_t kn_node_free_bytes(int node)
{
	int64_t total, free;
	const int ret = kn_node_meminfo(node, &total, &free);

	return ret ? ret : free;
}

/* A number in a file of /proc/sys/vm, @otherwise when it cannot be read. */
static int64_t vm_setting(const char *file, int64_t otherwise)
{
	char text[32];
	const char *at = text;
	uint64_t value;

	if (kn_sysfs_read_proc(file, text, sizeof(text)) < 0 ||
	    !kn_sysfs_next_number(&at, &value) || value > INT64_MAX >> 10)
		return otherwise;
	return (int64_t)value;
}

/*
 * What the kernel keeps of a node: below the high watermarks of its zones, a
 * fault goes to another node.  /proc/zoneinfo has them, in a text that grows
 * with nodes times CPUs; so they follow from the settings as the kernel derives
 * them: a share of min_free_kbytes, twice a step above it.  1/256 is what low
 * zones keep from user memory at most.
 */
static int64_t kept_by_kernel(int64_t total)
{
	const int64_t ram = KN_MAX((int64_t)kn_machine.total_ram(), total);
	const int64_t min_free = vm_setting("sys/vm/min_free_kbytes", 0) << 10;
	const int64_t scale = vm_setting("sys/vm/watermark_scale_factor", 10);
	const int64_t min = (int64_t)((double)min_free * (double)total /
				      (double)KN_MAX(ram, 1));
	const int64_t step = KN_MAX(min / 4, total / 10000 * scale);

	return min + 2 * step + total / 256;
}

/* What knuma leaves on a node for others between two looks at it. */
#define OTHERS_MOST ((int64_t)32 << 20)
#define OTHERS_PART 16

int kn_node_spare_bytes(int node, int64_t *spare)
{
	int64_t total, free;
	const int ret = kn_node_meminfo(node, &total, &free);

	if (ret)
		return ret;
	*spare = free - kept_by_kernel(total) -
		 KN_MIN(total / OTHERS_PART, OTHERS_MOST);
	return 0;
}

/* Blocks of free memory by order, behind the name of a zone. */
static int64_t huge_blocks(const char *blocks)
{
	const unsigned huge_order = kn_log2(KN_HUGE_SIZE) - KN_PAGE_SHIFT;
	int64_t bytes = 0;
	uint64_t n;

	for (unsigned order = 0; kn_sysfs_next_number(&blocks, &n); order++)
		if (order >= huge_order && n < UINT32_MAX)
			bytes += (int64_t)(n << KN_PAGE_SHIFT << order);
	return bytes;
}

/* A line is "Node 0, zone   Normal   12   3 ...". */
int kn_node_free_huge(int node, int64_t *bytes)
{
	char text[6144]; /* 64 lines */
	char zone_of[32];
	bool found = false;
	ssize_t got;

	got = kn_sysfs_read_proc("buddyinfo", text, sizeof(text));
	if (got < 0)
		return (int)got;
	snprintf(zone_of, sizeof(zone_of), "Node %d, zone",
		 kn_topo.kernel_id[node]);
	*bytes = 0;
	for (const char *at = strstr(text, zone_of); at;
	     at = strstr(at, zone_of)) {
		at += strlen(zone_of);
		at += strspn(at, " ");
		at += strcspn(at, " \n");
		*bytes += huge_blocks(at);
		found = true;
	}
	return found ? 0 : -ENOENT;
}

int64_t kn_reclaimable_bytes(void)
{
	char text[1536]; /* SwapFree is in line 16 */
	int64_t available, swap;

	if (kn_sysfs_read_proc("meminfo", text, sizeof(text)) < 0)
		return 0;
	available = kib_field(text, "MemAvailable:");
	swap = kib_field(text, "SwapFree:");
	return KN_MAX(available, 0) + KN_MAX(swap, 0);
}

static int this_cpu(void)
{
	const int cpu = kn_machine.getcpu();

	return cpu >= 0 && cpu < kn_topo.nr_cpus ? cpu : 0;
}

int kn_this_node(void)
{
	return kn_load(&kn_cpu_node[this_cpu()]);
}

int kn_this_home(void)
{
	const int cpu = this_cpu();
	const int home = kn_load(&kn_cpu_home[cpu]);

	return home != KN_NO_HOME ? home : kn_load(&kn_cpu_node[cpu]);
}
