/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/hwloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <hwloc.h>
#include <string.h>
#include <sys/auxv.h>

#include "numa/fake.h"

const char *kn_hwloc_library = "libhwloc.so.15";

/* Every function of hwloc that knuma calls: REQUIRED and OPTIONAL ones. */
#define SYMBOLS(REQUIRED, OPTIONAL)             \
	REQUIRED(get_api_version)               \
	REQUIRED(topology_init)                 \
	REQUIRED(topology_set_flags)            \
	REQUIRED(topology_set_all_types_filter) \
	OPTIONAL(topology_set_components)       \
	REQUIRED(topology_load)                 \
	REQUIRED(topology_is_thissystem)        \
	REQUIRED(topology_destroy)              \
	REQUIRED(get_nbobjs_by_depth)           \
	REQUIRED(get_obj_by_depth)              \
	REQUIRED(bitmap_alloc)                  \
	REQUIRED(bitmap_only)                   \
	REQUIRED(bitmap_free)                   \
	REQUIRED(distances_get)                 \
	REQUIRED(distances_release)             \
	OPTIONAL(memattr_get_value)             \
	OPTIONAL(memattr_get_best_initiator)

#define MEMBER(name) __typeof__(hwloc_##name) *name;
static struct {
	void *library;
	SYMBOLS(MEMBER, MEMBER)
} lib;
#undef MEMBER

static int open_library(void)
{
	void *library;

	if (lib.library)
		return 0;
	library = dlopen(kn_hwloc_library, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return -ENOENT;
#define OPTIONAL(name) \
	lib.name = (__typeof__(lib.name))dlsym(library, "hwloc_" #name);
#define REQUIRED(name) \
	OPTIONAL(name) \
	if (!lib.name) \
		goto wrong;
	SYMBOLS(REQUIRED, OPTIONAL)
#undef REQUIRED
#undef OPTIONAL
	if (lib.get_api_version() >> 16 != HWLOC_API_VERSION >> 16)
		goto wrong;
	lib.library = library;
	return 0;
wrong:
	dlclose(library);
	return -ELIBBAD;
}

static int failure(void)
{
	return errno ? -errno : -EIO;
}

/* Only nodes and CPUs, by the kernel's files: no devices, no CPUID rounds. */
static void narrow(hwloc_topology_t topology)
{
	static const char *const unwanted[] = {
		"x86",	"pci",	"opencl",    "cuda",
		"nvml", "rsmi", "levelzero", "gl",
	};
	const unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;

	/* Nodes outside the cpuset too: it may be widened later. */
	if (lib.topology_set_flags(
		    topology, flags | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING |
				      HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS))
		lib.topology_set_flags(topology, flags);
	lib.topology_set_all_types_filter(topology,
					  HWLOC_TYPE_FILTER_KEEP_NONE);
	for (size_t i = 0;
	     lib.topology_set_components && i < KN_ARRAY_SIZE(unwanted); i++)
		lib.topology_set_components(
			topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
			unwanted[i]);
}

static int load(hwloc_topology_t *topology)
{
	int ret;

	errno = 0;
	if (lib.topology_init(topology))
		return failure();
	narrow(*topology);
	errno = 0;
	if (lib.topology_load(*topology)) {
		ret = failure();
		goto out_destroy;
	}
	if (lib.topology_is_thissystem(*topology))
		return 0;
	ret = -EXDEV;
out_destroy:
	lib.topology_destroy(*topology);
	return ret;
}

static int dense(hwloc_obj_t node)
{
	if (node->type != HWLOC_OBJ_NUMANODE || node->os_index > INT32_MAX)
		return -1;
	return kn_node_dense((int)node->os_index);
}

/* In the unit of the kernel's distances, where local memory is 10. */
static uint8_t scaled(uint64_t value, uint64_t local)
{
	value = KN_MIN(value, UINT32_MAX);
	local = KN_MIN(local, UINT32_MAX);
	value = (10 * value + local / 2) / local;
	return (uint8_t)KN_MAX(10u, KN_MIN(value, 255u));
}

static void take_matrix(const struct hwloc_distances_s *d, struct kn_hwloc *out)
{
	const size_t n = d->nbobjs;

	for (size_t i = 0; i < n; i++) {
		const int from = dense(d->objs[i]);
		const uint64_t local = d->values[i * n + i];

		if (from < 0 || !local)
			continue;
		for (size_t j = 0; j < n; j++) {
			const int to = dense(d->objs[j]);

			if (to >= 0 && d->values[i * n + j])
				out->distance[from][to] =
					scaled(d->values[i * n + j], local);
		}
	}
}

/* The first matrix of latencies between nodes: the kernel's, or the user's. */
static void read_matrix(hwloc_topology_t topology, struct kn_hwloc *out)
{
	struct hwloc_distances_s *d[8];
	unsigned nr = KN_ARRAY_SIZE(d);
	bool taken = false;

	if (lib.distances_get(topology, &nr, d,
			      HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0))
		return;
	for (unsigned i = 0; i < nr && i < KN_ARRAY_SIZE(d); i++) {
		if (!taken && d[i]->nbobjs &&
		    d[i]->objs[0]->type == HWLOC_OBJ_NUMANODE) {
			take_matrix(d[i], out);
			taken = true;
		}
		lib.distances_release(topology, d[i]);
	}
}

/* Nanoseconds from a CPU to a node; 0 when nobody says. */
static uint64_t latency(hwloc_topology_t topology, hwloc_bitmap_t cpu,
			hwloc_obj_t node)
{
	struct hwloc_location from = {
		.type = HWLOC_LOCATION_TYPE_CPUSET,
		.location.cpuset = cpu,
	};
	hwloc_uint64_t value;

	if (!node || lib.memattr_get_value(topology, HWLOC_MEMATTR_ID_LATENCY,
					   node, &from, 0, &value))
		return 0;
	return value;
}

/* What the firmware tells of a pair is better than its distance. */
static void read_latencies(hwloc_topology_t topology, hwloc_bitmap_t cpu,
			   int from, hwloc_obj_t node[KN_MAX_NODES],
			   struct kn_hwloc *out)
{
	const uint64_t local = latency(topology, cpu, node[from]);

	for (int to = 0; local && to < kn_topo.nr_nodes; to++) {
		const uint64_t value = latency(topology, cpu, node[to]);

		if (value && to != from)
			out->distance[from][to] = scaled(value, local);
	}
}

/*
 * One CPU speaks for its node.  Which node that is comes from sysfs: without
 * objects for packages, hwloc gives every node the CPUs of the machine.
 */
static void read_pairs(hwloc_topology_t topology,
		       hwloc_obj_t node[KN_MAX_NODES], struct kn_hwloc *out)
{
	hwloc_bitmap_t set = lib.bitmap_alloc();
	uint64_t done = 0;

	for (int cpu = 0; set && cpu < kn_topo.nr_cpus; cpu++) {
		const int home = kn_cpu_home[cpu];

		if (home == KN_NO_HOME || done >> home & 1)
			continue;
		done |= 1ull << home;
		lib.bitmap_only(set, (unsigned)cpu);
		read_latencies(topology, set, home, node, out);
	}
	lib.bitmap_free(set);
}

static uint32_t best(hwloc_topology_t topology, hwloc_obj_t node,
		     hwloc_memattr_id_t attribute)
{
	struct hwloc_location from;
	hwloc_uint64_t value;

	if (lib.memattr_get_best_initiator(topology, attribute, node, 0, &from,
					   &value))
		return 0;
	return (uint32_t)KN_MIN(value, UINT32_MAX);
}

static void read_attributes(hwloc_topology_t topology, struct kn_hwloc *out)
{
	const int depth = HWLOC_TYPE_DEPTH_NUMANODE;
	const unsigned nr = lib.get_nbobjs_by_depth(topology, depth);
	hwloc_obj_t node[KN_MAX_NODES] = {NULL};

	if (!lib.memattr_get_value || !lib.memattr_get_best_initiator)
		return;
	for (unsigned i = 0; i < nr; i++) {
		hwloc_obj_t obj = lib.get_obj_by_depth(topology, depth, i);
		const int id = dense(obj);

		if (id < 0)
			continue;
		node[id] = obj;
		out->latency_ns[id] =
			best(topology, obj, HWLOC_MEMATTR_ID_LATENCY);
		out->bandwidth_mib[id] =
			best(topology, obj, HWLOC_MEMATTR_ID_BANDWIDTH);
	}
	read_pairs(topology, node, out);
}

int kn_hwloc_read(struct kn_hwloc *out)
{
	hwloc_topology_t topology;
	int ret;

	/* hwloc loads what its environment names: not with privileges. */
	if (getauxval(AT_SECURE))
		return -EPERM;
	if (kn_fake_on)
		return -EXDEV;
	ret = open_library();
	if (!ret)
		ret = load(&topology);
	if (ret)
		return ret;
	memset(out, 0, sizeof(*out));
	read_matrix(topology, out);
	read_attributes(topology, out);
	lib.topology_destroy(topology);
	return 0;
}
