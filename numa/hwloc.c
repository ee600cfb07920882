/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "numa/hwloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <hwloc.h>
#include <string.h>
#include <sys/auxv.h>

#include "alloc/stats/stats.h"

const char *kn_hwloc_library = "libhwloc.so.15";

/* Every function of hwloc that knuma calls: REQUIRED and OPTIONAL ones. */
#define SYMBOLS(REQUIRED, OPTIONAL)             \
	REQUIRED(get_api_version)               \
	REQUIRED(topology_init)                 \
	REQUIRED(topology_set_flags)            \
	REQUIRED(topology_set_all_types_filter) \
	REQUIRED(topology_set_xml)              \
	OPTIONAL(topology_set_components)       \
	REQUIRED(topology_load)                 \
	REQUIRED(topology_is_thissystem)        \
	REQUIRED(topology_destroy)              \
	REQUIRED(get_nbobjs_by_depth)           \
	REQUIRED(get_obj_by_depth)              \
	REQUIRED(bitmap_alloc)                  \
	REQUIRED(bitmap_only)                   \
	REQUIRED(bitmap_next)                   \
	REQUIRED(bitmap_last)                   \
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

/* The XML file that speaks in place of the system, or NULL. */
static const char *input;

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

/* @xml: the file to read, or NULL for the system, narrowed to @nodes only. */
static int load(hwloc_topology_t *topology, const char *xml, bool nodes)
{
	int ret = 0;

	errno = 0;
	if (lib.topology_init(topology))
		return failure();
	if (nodes)
		narrow(*topology);
	errno = 0;
	if ((xml && lib.topology_set_xml(*topology, xml)) ||
	    lib.topology_load(*topology))
		ret = failure();
	else if (!xml && !lib.topology_is_thissystem(*topology))
		ret = -EXDEV;
	if (ret)
		lib.topology_destroy(*topology);
	return ret;
}

/* What hwloc knows of nodes that the process does not have is of no use. */
static int dense(hwloc_obj_t node)
{
	int id = -1;

	if (node->type == HWLOC_OBJ_NUMANODE && node->os_index <= INT32_MAX)
		id = kn_node_dense((int)node->os_index);
	if (id < 0)
		kn_stat_add(KN_STAT_hwloc_unknown_nodes, 1);
	return id;
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

/* From a CPU to a node; 0 when nobody says. */
static uint32_t value_of(hwloc_topology_t topology,
			 hwloc_memattr_id_t attribute, hwloc_bitmap_t cpu,
			 hwloc_obj_t node)
{
	struct hwloc_location from = {
		.type = HWLOC_LOCATION_TYPE_CPUSET,
		.location.cpuset = cpu,
	};
	hwloc_uint64_t value;

	if (!node ||
	    lib.memattr_get_value(topology, attribute, node, &from, 0, &value))
		return 0;
	return (uint32_t)KN_MIN(value, UINT32_MAX);
}

/* What the firmware tells of a pair is better than its distance. */
static void use_latencies(int from, struct kn_hwloc *out)
{
	const uint32_t *latency = out->pairs.latency_ns[from];

	for (int to = 0; latency[from] && to < kn_topo.nr_nodes; to++)
		if (latency[to] && to != from)
			out->distance[from][to] =
				scaled(latency[to], latency[from]);
}

static void read_values(hwloc_topology_t topology, hwloc_bitmap_t cpu, int from,
			hwloc_obj_t node[KN_MAX_NODES], struct kn_hwloc *out)
{
	for (int to = 0; to < kn_topo.nr_nodes; to++) {
		out->pairs.latency_ns[from][to] = value_of(
			topology, HWLOC_MEMATTR_ID_LATENCY, cpu, node[to]);
		out->pairs.bandwidth_mib[from][to] = value_of(
			topology, HWLOC_MEMATTR_ID_BANDWIDTH, cpu, node[to]);
	}
	use_latencies(from, out);
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
		read_values(topology, set, home, node, out);
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

static uint32_t capacity(hwloc_topology_t topology, hwloc_obj_t node)
{
	hwloc_uint64_t bytes;

	if (lib.memattr_get_value(topology, HWLOC_MEMATTR_ID_CAPACITY, node,
				  NULL, 0, &bytes))
		return 0;
	return (uint32_t)KN_MIN(bytes >> 20, UINT32_MAX);
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
		out->pairs.capacity_mib[id] = capacity(topology, obj);
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
	if (kn_fake_on && !input)
		return -EXDEV;
	ret = open_library();
	if (!ret)
		ret = load(&topology, input, true);
	if (ret)
		return ret;
	memset(out, 0, sizeof(*out));
	read_matrix(topology, out);
	read_attributes(topology, out);
	lib.topology_destroy(topology);
	return 0;
}

/* A machine of an XML file. */

static hwloc_obj_t numa_node(hwloc_topology_t topology, unsigned i)
{
	return lib.get_obj_by_depth(topology, HWLOC_TYPE_DEPTH_NUMANODE, i);
}

/* Adds a node; nodes are kept by rising id. */
static int add_node(struct kn_fake *m, hwloc_obj_t node, struct kn_text *why)
{
	const uint64_t bytes = node->attr->numanode.local_memory;
	int at = m->nr_nodes;

	if (node->os_index >= KN_MAX_NODE_IDS || at == KN_MAX_NODES) {
		kn_text_add(why,
			    "node %u: more than %d nodes, or ids of %d "
			    "and above",
			    node->os_index, KN_MAX_NODES, KN_MAX_NODE_IDS);
		return -ERANGE;
	}
	for (; at && m->node[at - 1].id > (int)node->os_index; at--)
		m->node[at] = m->node[at - 1];
	m->node[at] = (struct kn_fake_node){
		.id = (int16_t)node->os_index,
		.has_memory = bytes != 0,
		.total_bytes = (int64_t)KN_MIN(bytes, (uint64_t)INT64_MAX),
	};
	m->nr_nodes++;
	return 0;
}

static int index_of(const struct kn_fake *m, unsigned id)
{
	int i = 0;

	while (m->node[i].id != (int)id)
		i++;
	return i;
}

/* The lower number wins, whatever the order of the objects. */
static void add_cpus(struct kn_fake *m, hwloc_obj_t node, uint64_t *shared)
{
	const uint8_t me = (uint8_t)index_of(m, node->os_index);
	int cpu = -1;

	while ((cpu = lib.bitmap_next(node->cpuset, cpu)) >= 0) {
		if (m->cpu_node[cpu] != KN_NO_HOME)
			shared[cpu / 64] |= 1ull << cpu % 64;
		m->cpu_node[cpu] = KN_MIN(m->cpu_node[cpu], me);
	}
}

static void count_odd(const struct kn_fake *m, const uint64_t *shared,
		      hwloc_bitmap_t cpus, struct kn_hwloc_cpus *odd)
{
	int cpu = -1;

	*odd = (struct kn_hwloc_cpus){0, 0};
	while ((cpu = lib.bitmap_next(cpus, cpu)) >= 0) {
		odd->homeless += m->cpu_node[cpu] == KN_NO_HOME;
		odd->shared += (int)(shared[cpu / 64] >> cpu % 64 & 1);
	}
}

static int describe(hwloc_topology_t topology, struct kn_fake *m,
		    struct kn_hwloc_cpus *odd, struct kn_text *why)
{
	const unsigned nr =
		lib.get_nbobjs_by_depth(topology, HWLOC_TYPE_DEPTH_NUMANODE);
	const hwloc_obj_t root = lib.get_obj_by_depth(topology, 0, 0);
	const int last_cpu = lib.bitmap_last(root->complete_cpuset);
	uint64_t shared[KN_MAX_CPUS / 64] = {0};
	bool any = false;

	memset(m, 0, sizeof(*m));
	memset(m->cpu_node, KN_NO_HOME, sizeof(m->cpu_node));
	memset(m->distance, 20, sizeof(m->distance));
	if (last_cpu < 0 || last_cpu >= KN_MAX_CPUS) {
		kn_text_add(why, "no CPUs, or more than %d", KN_MAX_CPUS);
		return -ERANGE;
	}
	m->nr_cpus = last_cpu + 1;
	for (unsigned i = 0; i < nr; i++) {
		const int ret = add_node(m, numa_node(topology, i), why);

		if (ret)
			return ret;
	}
	for (unsigned i = 0; i < nr; i++) {
		add_cpus(m, numa_node(topology, i), shared);
		m->distance[i][i] = 10;
		any |= m->node[i].has_memory;
	}
	count_odd(m, shared, root->cpuset, odd);
	if (any)
		return 0;
	kn_text_add(why, "no node has memory");
	return -EINVAL;
}

int kn_hwloc_describe(const char *xml, struct kn_fake *out,
		      struct kn_hwloc_cpus *odd, struct kn_text *why)
{
	hwloc_topology_t topology;
	int ret;

	ret = open_library();
	if (ret) {
		kn_text_add(why,
			    "hwloc is needed to read it, and %s cannot be "
			    "opened",
			    kn_hwloc_library);
		return ret;
	}
	ret = load(&topology, xml, false);
	if (ret) {
		kn_text_add(why,
			    "hwloc cannot read it: it is missing, cut "
			    "short, or no XML file of lstopo(1) (%s)",
			    strerrordesc_np(-ret));
		return -EINVAL;
	}
	ret = describe(topology, out, odd, why);
	lib.topology_destroy(topology);
	if (!ret)
		input = xml;
	return ret;
}
