/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/support/world.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <knuma/numa.h>
#include <knuma/page.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

#include "tests/support/child.h"

#define CGROUPS	    "/sys/fs/cgroup"
#define NODES	    "/sys/devices/system/node"
#define MIB	    ((size_t)1 << 20)

#define IDS_MAX	    64

#define SECONDS_MAX 400

static char cgroup[64];

int world_write(const char *text, const char *path, ...)
{
	char name[256];
	va_list ap;
	int fd, err = 0;

	va_start(ap, path);
	vsnprintf(name, sizeof(name), path, ap);
	va_end(ap);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

const char *world_read(const char *path, ...)
{
	static char line[4096];
	char name[256];
	ssize_t n = -1;
	va_list ap;
	int fd;

	va_start(ap, path);
	vsnprintf(name, sizeof(name), path, ap);
	va_end(ap);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
	}
	line[n < 0 ? 0 : n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Of a list as "0-2,5". */
static unsigned mask_of(const char *list)
{
	unsigned mask = 0;
	int first, last, used;

	while (sscanf(list, "%d%n", &first, &used) == 1) {
		list += used;
		last = first;
		if (sscanf(list, "-%d%n", &last, &used) == 1)
			list += used;
		for (; first <= last && first < 32; first++)
			mask |= 1u << first;
		if (*list == ',')
			list++;
	}
	return mask;
}

static const char *list_of(unsigned mask)
{
	static char list[128];
	size_t len = 0;

	for (unsigned left = mask; left; left &= left - 1)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%d",
					len ? "," : "", __builtin_ctz(left));
	return list;
}

unsigned world_memory_nodes(void)
{
	return mask_of(world_read(NODES "/has_memory"));
}

unsigned world_cpu_nodes(void)
{
	return mask_of(world_read(NODES "/has_cpu"));
}

void world_needs(int nodes)
{
	if (!getenv("KNUMA_VM_NAME"))
		skip_child("this changes the machine: only in guests of "
			   "tests/vm");
	/* Of eight emulated nodes each step takes its time. */
	alarm(SECONDS_MAX);
	if (__builtin_popcount(world_memory_nodes()) < nodes)
		skip_child("too few nodes with memory");
}

static void join(const char *where)
{
	char self[16];

	snprintf(self, sizeof(self), "%d", getpid());
	CHECK_EQ(world_write(self, "%s/cgroup.procs", where), 0);
}

void world_enter_cgroup(void)
{
	snprintf(cgroup, sizeof(cgroup), CGROUPS "/world.%d", getpid());
	CHECK_EQ(world_write("+cpuset", CGROUPS "/cgroup.subtree_control"), 0);
	CHECK_EQ(mkdir(cgroup, 0755), 0);
	join(cgroup);
}

void world_leave_cgroup(void)
{
	join(CGROUPS);
	CHECK_EQ(rmdir(cgroup), 0);
}

static const char *other_cgroup(void)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s.other", cgroup);
	return name;
}

void world_make_other(unsigned nodes)
{
	CHECK_EQ(mkdir(other_cgroup(), 0755), 0);
	CHECK_EQ(world_write(list_of(nodes), "%s/cpuset.mems", other_cgroup()),
		 0);
}

void world_join(bool other)
{
	join(other ? other_cgroup() : cgroup);
}

void world_remove_other(void)
{
	CHECK_EQ(rmdir(other_cgroup()), 0);
}

void world_set_mems(unsigned nodes)
{
	CHECK_EQ(world_write(list_of(nodes), "%s/cpuset.mems", cgroup), 0);
}

void world_set_cpus(const char *list)
{
	CHECK_EQ(world_write(list, "%s/cpuset.cpus", cgroup), 0);
}

static int free_mib(int node)
{
	char path[64], line[256];
	int kib = 0, id;
	FILE *f;

	snprintf(path, sizeof(path), NODES "/node%d/meminfo", node);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Node %d MemFree: %d", &id, &kib) == 2)
			break;
	if (f)
		fclose(f);
	return kib / 1024;
}

int world_roomy_node(int mib, unsigned except)
{
	for (int node = 31; node >= 0; node--)
		if ((world_memory_nodes() & ~except) >> node & 1 &&
		    free_mib(node) >= mib)
			return node;
	skip_child("no node has the memory that this test needs");
}

/* Every block of memory of @node becomes @state; false if one refuses. */
static bool all_blocks(int node, const char *state)
{
	bool done = true;

	for (int block = 0; block < 4096; block++) {
		char path[96];

		snprintf(path, sizeof(path), NODES "/node%d/memory%d/state",
			 node, block);
		if (access(path, W_OK))
			continue;
		if (!strncmp(world_read("%s", path), state, 3))
			continue;
		/* Pages that are busy just now are free a moment later. */
		for (int i = 0; i < 100 && world_write(state, "%s", path); i++)
			usleep(100000);
		done &= !strncmp(world_read("%s", path), state, 3);
	}
	return done;
}

bool world_offline_memory(int node)
{
	return all_blocks(node, "offline") &&
	       !(world_memory_nodes() >> node & 1);
}

bool world_online_memory(int node)
{
	return all_blocks(node, "online_movable") &&
	       world_memory_nodes() >> node & 1;
}

const char *world_policy(const void *p)
{
	static char policy[64];
	char line[4096];
	FILE *f = fopen("/proc/self/numa_maps", "r");

	policy[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char found[64];
		unsigned long at;

		if (sscanf(line, "%lx %63s", &at, found) == 2 &&
		    at <= (unsigned long)p)
			strcpy(policy, found);
	}
	if (f)
		fclose(f);
	return policy;
}

long world_pages_on(const void *p, size_t bytes, int node)
{
	long count[IDS_MAX];

	CHECK(knuma_placement(p, bytes, count, IDS_MAX) >= 0);
	return count[node];
}

bool world_is_on(const void *p, size_t bytes, int node)
{
	const long present = knuma_placement(p, bytes, NULL, 0);

	CHECK(present > 0);
	return world_pages_on(p, bytes, node) == present;
}

/* Says where they are if not. */
static void check_all_on(const void *p, size_t bytes, int node)
{
	long count[IDS_MAX];

	if (world_is_on(p, bytes, node))
		return;
	printf("pages that should be on node %d:", node);
	CHECK(knuma_placement(p, bytes, count, IDS_MAX) >= 0);
	for (int i = 0; i < IDS_MAX; i++)
		if (count[i])
			printf(" %ld on node %d", count[i], i);
	printf("; allowed %s, with memory %s\n",
	       world_read("%s/cpuset.mems.effective", cgroup),
	       list_of(world_memory_nodes()));
	fflush(stdout);
	CHECK(!"pages lie where they should");
}

void world_lies_on(void *p, size_t bytes, int node)
{
	CHECK(p);
	memset(p, 0x5a, bytes);
	CHECK(knuma_placement(p, bytes, NULL, 0) >=
	      (long)(bytes / knuma_page_size()));
	check_all_on(p, bytes, node);
}

void world_all_kinds_lie_on(int node, int expected)
{
	static const size_t size[] = {64, 1000, 5000, 8192};
	static void *p[200];
	struct page *page;
	void *area;

	for (size_t s = 0; s < sizeof(size) / sizeof(size[0]); s++) {
		for (int i = 0; i < 200; i++) {
			p[i] = kmalloc_node(size[s], GFP_KERNEL, node);
			CHECK_EQ(knuma_node_of(p[i]), expected);
			world_lies_on(p[i], size[s], expected);
		}
		kfree_bulk(200, p);
	}
	for (unsigned int order = 0; order <= 9; order += 3) {
		page = alloc_pages_node(node, GFP_KERNEL, order);
		world_lies_on(page_address(page), knuma_page_size() << order,
			      expected);
		__free_pages(page, order);
	}
	area = vmalloc_node(3 * MIB, node);
	world_lies_on(area, 3 * MIB, expected);
	vfree(area);
	area = vmalloc_node(MIB / 2, node);
	world_lies_on(area, MIB / 2, expected);
	vfree(area);
}

void world_run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

int world_restore(void **state)
{
	(void)state;
	if (!getenv("KNUMA_VM_NAME"))
		return 0;
	for (int cpu = 1; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++)
		world_write("1", "/sys/devices/system/cpu/cpu%d/online", cpu);
	for (int node = 0; node < 32; node++)
		all_blocks(node, "online_movable");
	world_write("0", "/proc/sys/kernel/numa_balancing");
	return 0;
}
