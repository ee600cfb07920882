/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/topology_print.c - the machine as text, JSON and CSV
 *
 * Nodes are named by the kernel's ids, as numactl does.  Nodes that are
 * possible but not online, or were not at start, are counted and left out.
 */
#include "numa/topology.h"

#include "numa/best.h"
#include "numa/fake.h"
#include "numa/placement.h"

static bool in(const uint64_t *mask, int node)
{
	return kn_load(mask) >> node & 1;
}

static bool is_online(int node)
{
	return in(&kn_topo.online, node);
}

/* With those that were offline at start, which have no dense id. */
static int nodes_possible(void)
{
	int nr = 0;

	for (int id = 0; id < KN_MAX_NODE_IDS; id++)
		nr += kn_node_dense(id) != -1;
	return nr;
}

static const char *source(void)
{
	if (kn_load(&kn_topo.refined))
		return "hwloc";
	return kn_fake_on ? "fake" : "sysfs";
}

/* "0-3,5"; nothing for a node without CPUs. */
static void add_cpus(struct kn_text *t, int node)
{
	const char *comma = "";
	int first = -1;

	for (int cpu = 0; cpu <= kn_topo.nr_cpus; cpu++) {
		const bool here = cpu < kn_topo.nr_cpus &&
				  kn_load(&kn_cpu_home[cpu]) == node;

		if (here && first < 0)
			first = cpu;
		if (here || first < 0)
			continue;
		kn_text_add(t, "%s%d", comma, first);
		if (cpu - 1 > first)
			kn_text_add(t, "-%d", cpu - 1);
		comma = ",";
		first = -1;
	}
}

static void add_zonelist(struct kn_text *t, int node, const char *between)
{
	const struct kn_zonelist *z = kn_zonelist(node);

	for (int i = 0; i < z->nr; i++)
		kn_text_add(t, "%s%d", i ? between : "",
			    kn_topo.kernel_id[z->node[i]]);
}

/* One column for each node online. */
static void add_distances(struct kn_text *t, int node, int width,
			  const char *between)
{
	const char *separator = "";

	for (int to = 0; to < kn_topo.nr_nodes; to++) {
		if (!is_online(to))
			continue;
		kn_text_add(t, "%s%*d", separator, width,
			    kn_load(&kn_topo.distance[node][to]));
		separator = between;
	}
}

/* Total and free MiB, latency, bandwidth; -1 where it is not known. */
enum {
	TOTAL,
	FREE,
	LATENCY,
	BANDWIDTH,
	NR_FIGURES
};

static void read_figures(int node, int64_t figure[NR_FIGURES])
{
	const uint32_t latency = kn_load(&kn_topo.latency_ns[node]);
	const uint32_t bandwidth = kn_load(&kn_topo.bandwidth_mib[node]);
	int64_t total, unused;
	const int ret = kn_node_meminfo(node, &total, &unused);

	figure[TOTAL] = ret ? -1 : total >> 20;
	figure[FREE] = ret ? -1 : unused >> 20;
	figure[LATENCY] = latency ? (int64_t)latency : -1;
	figure[BANDWIDTH] = bandwidth ? (int64_t)bandwidth : -1;
}

static void add_figure(struct kn_text *t, int64_t value, int width,
		       const char *unknown)
{
	if (value >= 0)
		kn_text_add(t, "%*lld", width, (long long)value);
	else
		kn_text_add(t, "%*s", width, unknown);
}

static void text_node(struct kn_text *t, int node)
{
	int64_t figure[NR_FIGURES];

	read_figures(node, figure);
	kn_text_add(t, "%4d %-6s %-7s", kn_topo.kernel_id[node],
		    in(&kn_topo.has_memory, node) ? "yes" : "no",
		    in(&kn_topo.allowed, node) ? "yes" : "no");
	for (int i = 0; i < NR_FIGURES; i++)
		add_figure(t, figure[i], 11, "-");
	kn_text_add(t, " ");
	add_cpus(t, node);
	kn_text_add(t, "\n");
}

static void text_distances(struct kn_text *t, int node)
{
	kn_text_add(t, "%4d ", kn_topo.kernel_id[node]);
	add_distances(t, node, 4, " ");
	kn_text_add(t, "\n");
}

static void text_zonelist(struct kn_text *t, int node)
{
	kn_text_add(t, "%4d: ", kn_topo.kernel_id[node]);
	add_zonelist(t, node, " ");
	kn_text_add(t, "\n");
}

static void each_online(struct kn_text *t,
			void (*add)(struct kn_text *t, int node))
{
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (is_online(node))
			add(t, node);
}

static void text_column(struct kn_text *t, int node)
{
	kn_text_add(t, " %4d", kn_topo.kernel_id[node]);
}

static void print_text(struct kn_text *t)
{
	const int possible = nodes_possible();

	kn_text_add(t,
		    "%d %snode%s possible, %d online; %d CPUs possible; "
		    "distances from %s\n",
		    possible, kn_fake_on ? "FAKE " : "",
		    possible == 1 ? "" : "s",
		    __builtin_popcountll(kn_load(&kn_topo.online)),
		    kn_topo.nr_cpus, source());
	kn_text_add(t, "\nnode memory allowed  total MiB   free MiB"
		       " latency ns      MiB/s cpus\n");
	each_online(t, text_node);
	kn_text_add(t, "\ndistance\nnode");
	each_online(t, text_column);
	kn_text_add(t, "\n");
	each_online(t, text_distances);
	kn_text_add(t, "\nzonelist\n");
	each_online(t, text_zonelist);
}

/* A star: hwloc does not tell, the nearest node it is. */
static void text_best(struct kn_text *t, int node)
{
	static const enum knuma_attr attr[] = {KNUMA_LATENCY, KNUMA_BANDWIDTH,
					       KNUMA_CAPACITY};

	kn_text_add(t, "%4d:", kn_topo.kernel_id[node]);
	for (size_t i = 0; i < KN_ARRAY_SIZE(attr); i++) {
		bool by_distance;
		const int best = kn_node_best(attr[i], node, &by_distance);

		kn_text_add(t, " %9d%s", kn_topo.kernel_id[best],
			    by_distance ? "*" :
			    i < 2	? " " :
					  "");
	}
	kn_text_add(t, "\n");
}

void kn_topology_print_choice(struct kn_text *t)
{
	kn_text_add(t, "zonelist\n");
	each_online(t, text_zonelist);
	kn_text_add(t, "\nbest for   latency  bandwidth   capacity"
		       "   (* nearest: no attribute)\n");
	each_online(t, text_best);
}

static void json_node(struct kn_text *t, int node)
{
	static const char *const name[NR_FIGURES] = {
		"total_mib",
		"free_mib",
		"latency_ns",
		"bandwidth_mib_s",
	};
	const int first = __builtin_ctzll(kn_load(&kn_topo.online));
	int64_t figure[NR_FIGURES];

	read_figures(node, figure);
	kn_text_add(t,
		    "%s\n{\"node\":%d,\"window\":%d,\"has_memory\":%s,"
		    "\"allowed\":%s,\"cpus\":\"",
		    node == first ? "" : ",", kn_topo.kernel_id[node], node,
		    in(&kn_topo.has_memory, node) ? "true" : "false",
		    in(&kn_topo.allowed, node) ? "true" : "false");
	add_cpus(t, node);
	kn_text_add(t, "\"");
	for (int i = 0; i < NR_FIGURES; i++) {
		kn_text_add(t, ",\"%s\":", name[i]);
		add_figure(t, figure[i], 0, "null");
	}
	kn_text_add(t, ",\"distance\":[");
	add_distances(t, node, 0, ",");
	kn_text_add(t, "],\"zonelist\":[");
	add_zonelist(t, node, ",");
	kn_text_add(t, "]}");
}

static void print_json(struct kn_text *t)
{
	kn_text_add(t,
		    "{\"schema\":1,\"source\":\"%s\",\"fake_nodes\":%s,"
		    "\"nodes_possible\":%d,\"cpus_possible\":%d,\"nodes\":[",
		    source(), kn_fake_on ? "true" : "false", nodes_possible(),
		    kn_topo.nr_cpus);
	each_online(t, json_node);
	kn_text_add(t, "\n]}\n");
}

static void csv_node(struct kn_text *t, int node)
{
	int64_t figure[NR_FIGURES];

	read_figures(node, figure);
	kn_text_add(t, "%d,%d,%d,%d", kn_topo.kernel_id[node], node,
		    in(&kn_topo.has_memory, node), in(&kn_topo.allowed, node));
	for (int i = 0; i < NR_FIGURES; i++) {
		kn_text_add(t, ",");
		add_figure(t, figure[i], 0, "");
	}
	kn_text_add(t, ",\"");
	add_cpus(t, node);
	kn_text_add(t, "\",");
	add_distances(t, node, 0, " ");
	kn_text_add(t, ",");
	add_zonelist(t, node, " ");
	kn_text_add(t, ",%s\n", source());
}

static void print_csv(struct kn_text *t)
{
	kn_text_add(t, "node,window,has_memory,allowed,total_mib,free_mib,"
		       "latency_ns,bandwidth_mib_s,cpus,distance,zonelist,"
		       "source\n");
	each_online(t, csv_node);
}

void kn_topology_print(struct kn_text *t, enum kn_fmt fmt)
{
	switch (fmt) {
	case KN_FMT_TEXT:
		print_text(t);
		break;
	case KN_FMT_JSON:
		print_json(t);
		break;
	case KN_FMT_CSV:
		print_csv(t);
		break;
	}
}
