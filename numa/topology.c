/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/topology.c - reading the machine
 *
 * What is possible is fixed by the first reading: the nodes, their dense ids
 * and the number of CPUs.  Everything else is read again when it may have
 * changed, and what hwloc said is laid over what sysfs says.  A file that
 * cannot be read again, or says nothing, leaves what was read before: machines
 * change while their files are read.
 *
 *   T1  at least one node is usable, whatever the files say
 *   T2  a zonelist holds each usable node once, and is not empty
 *   T3  kn_cpu_node names a usable node for every CPU below nr_cpus
 *
 * Writers.  One at a time: begin_reading() .. end_reading().  It is a try: a
 * reading that finds another under way leaves it a note to read once more,
 * so that malloc inside hwloc, called by a reading, can ask for one.
 * Readers.  Need no lock: each word, byte and list is valid alone, and two of
 * them may for a moment be of different readings.
 */
#define _GNU_SOURCE
#include "numa/topology.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "alloc/stats/stats.h"
#include "numa/hwloc.h"
#include "numa/machine.h"
#include "numa/rseq.h"
#include "numa/span.h"
#include "numa/sysfs.h"
#include "numa/zonelist.h"

#define LOCAL_DISTANCE	10
#define REMOTE_DISTANCE 20
#define MAX_DISTANCE	255

struct kn_topology kn_topo;
struct kn_pairs kn_pairs;
uint8_t kn_cpu_node[KN_MAX_CPUS];
uint8_t kn_cpu_home[KN_MAX_CPUS];

/* Kernel ids. */
struct ids {
	uint64_t word[KN_MAX_NODE_IDS / 64];
};

struct reading {
	struct ids online, has_memory, has_cpu, allowed;
};

/* These and text[] belong to the one writer. */
static struct ids possible;
static struct reading applied; /* of which kn_topo was made */
static bool again;	       /* not the first reading */
static bool has_cpusets;       /* the kernel has ever said what is allowed */
static bool half_applied;      /* by a writer that a fork left behind */
static uint64_t online_cpus;   /* hash of cpu/online; 0: never read */
static struct kn_hwloc hwloc;
static uint8_t distances[KN_MAX_NODES][KN_MAX_NODES]; /* sysfs; 0: unknown */

/*
 * The file being read.  The longest is a cpulist: "8,10-11," takes at most
 * 4 bytes for each CPU number that it names or leaves out.
 */
static char text[4 * KN_MAX_CPUS];

/* The first id of @set above @id, or -1. */
static int next_id(const struct ids *set, int id)
{
	while (++id < KN_MAX_NODE_IDS)
		if (set->word[id / 64] >> (id % 64) & 1)
			return id;
	return -1;
}

static void add_id(struct ids *set, unsigned id)
{
	set->word[id / 64] |= 1ull << (id % 64);
}

static bool has_id(const struct ids *set, int id)
{
	return set->word[id / 64] >> (id % 64) & 1;
}

/* The ids of a list; false when it names none. */
static bool parse_ids(const char *list, struct ids *set)
{
	unsigned first, last;
	bool any = false;

	memset(set, 0, sizeof(*set));
	while (kn_sysfs_next_range(&list, &first, &last))
		for (; first <= last && first < KN_MAX_NODE_IDS; first++) {
			add_id(set, first);
			any = true;
		}
	return any;
}

/* What a file said before stays, or what is assumed at the first reading. */
static void keep(struct ids *set, const struct ids *before,
		 const struct ids *otherwise)
{
	if (again)
		kn_stat_inc(KN_STAT_topology_unread);
	*set = again ? *before : *otherwise;
}

static void read_ids(const char *file, struct ids *set,
		     const struct ids *before, const struct ids *otherwise)
{
	if (kn_sysfs_read(file, text, sizeof(text)) < 0 ||
	    !parse_ids(text, set))
		keep(set, before, otherwise);
}

static void read_allowed(struct ids *set)
{
	const char *list = NULL;

	if (kn_sysfs_read_proc("self/status", text, sizeof(text)) > 0)
		list = kn_sysfs_field(text, "Mems_allowed_list:");
	if (list && parse_ids(list, set))
		has_cpusets = true;
	else if (has_cpusets)
		keep(set, &applied.allowed, &possible);
	else
		*set = possible;
}

/* Where only one node is possible there is nothing to ask. */
static void read_nodes(struct reading *r)
{
	const int first = next_id(&possible, -1);

	r->online = r->has_memory = r->has_cpu = r->allowed = possible;
	if (next_id(&possible, first) < 0)
		return;
	read_ids("node/online", &r->online, &applied.online, &possible);
	read_ids("node/has_memory", &r->has_memory, &applied.has_memory,
		 &r->online);
	read_ids("node/has_cpu", &r->has_cpu, &applied.has_cpu, &r->online);
	read_allowed(&r->allowed);
}

/* By the size of the kernel's own CPU masks: all CPUs fit, and maybe more. */
static int cpus_of_mask(void)
{
	const int saved_errno = errno;
	uint64_t mask[KN_MAX_CPUS / 64];
	const long bytes =
		syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	errno = saved_errno;
	return bytes > 0 ? (int)bytes * 8 : KN_MAX_CPUS;
}

static int read_nr_cpus(void)
{
	unsigned first, last, highest = 0;
	const char *list = text;
	bool any = false;

	if (kn_sysfs_read("cpu/possible", text, sizeof(text)) < 0)
		return cpus_of_mask();
	while (kn_sysfs_next_range(&list, &first, &last)) {
		highest = KN_MAX(highest, last);
		any = true;
	}
	return any ? (int)KN_MIN(highest + 1, KN_MAX_CPUS) : cpus_of_mask();
}

static int choose(struct ids *chosen, const struct ids *among, int room)
{
	for (int id = next_id(among, -1); id >= 0; id = next_id(among, id)) {
		if (!room)
			break;
		if (!has_id(&possible, id) || has_id(chosen, id))
			continue;
		add_id(chosen, (unsigned)id);
		room--;
	}
	return room;
}

/* Dense ids, in the order of the kernel's. */
static void number_nodes(const struct reading *r)
{
	struct ids chosen = {{0}};
	int room = KN_MAX_NODES;

	/* When not all fit: nodes with memory first, then those online. */
	room = choose(&chosen, &r->has_memory, room);
	choose(&chosen, &r->online, room);
	if (next_id(&chosen, -1) < 0)
		add_id(&chosen, (unsigned)KN_MAX(next_id(&possible, -1), 0));

	memset(kn_topo.dense_id, -1, sizeof(kn_topo.dense_id));
	for (int id = next_id(&possible, -1); id >= 0;
	     id = next_id(&possible, id))
		kn_topo.dense_id[id] = KN_NODE_OFFLINE;
	for (int id = next_id(&chosen, -1); id >= 0;
	     id = next_id(&chosen, id)) {
		kn_topo.dense_id[id] = (int8_t)kn_topo.nr_nodes;
		kn_topo.kernel_id[kn_topo.nr_nodes++] = (int16_t)id;
	}
}

static uint64_t dense_mask(const struct ids *set)
{
	uint64_t mask = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++)
		if (has_id(set, kn_topo.kernel_id[node]))
			mask |= 1ull << node;
	return mask;
}

/*
 * T1: files that contradict each other are not believed.  A window is bound
 * before anybody may take its node for usable.
 */
static void set_masks(const struct reading *r)
{
	const uint64_t all = ~0ull >> (64 - kn_topo.nr_nodes);
	uint64_t online = dense_mask(&r->online);
	uint64_t memory = dense_mask(&r->has_memory);
	uint64_t allowed = dense_mask(&r->allowed);

	if (!online)
		online = all;
	if (!memory)
		memory = online;
	if (!(memory & allowed))
		allowed = all;
	kn_span_bind(memory & allowed);
	kn_store(&kn_topo.online, online);
	kn_store(&kn_topo.has_memory, memory);
	kn_store(&kn_topo.has_cpu, dense_mask(&r->has_cpu));
	kn_store(&kn_topo.allowed, allowed);
}

static bool one_online(void)
{
	return !(kn_topo.online & (kn_topo.online - 1));
}

static void set_home(unsigned first, unsigned last, int node)
{
	const unsigned nr = (unsigned)kn_topo.nr_cpus;

	for (; first <= last && first < nr; first++)
		kn_store(&kn_cpu_home[first], (uint8_t)node);
}

static void keep_homes(void)
{
	online_cpus = 0; /* read again */
	if (again)
		kn_stat_inc(KN_STAT_topology_unread);
}

/* A CPU that went offline is in no list, and keeps its home. */
static void read_homes(void)
{
	if (one_online()) {
		set_home(0, KN_MAX_CPUS - 1, __builtin_ctzll(kn_topo.online));
		return;
	}
	for (uint64_t left = kn_topo.online; left; left &= left - 1) {
		const int node = __builtin_ctzll(left);
		const int id = kn_topo.kernel_id[node];
		const char *list = text;
		unsigned first, last;

		if (kn_sysfs_read_node(id, "cpulist", text, sizeof(text)) < 0) {
			keep_homes();
			continue;
		}
		while (kn_sysfs_next_range(&list, &first, &last))
			set_home(first, last, node);
	}
}

/*
 * One row: a number for each node that is online, in the order of ids.  When
 * the numbers are not as many as the nodes, one came or went since they were
 * counted, and a row that was read before is better.
 */
static void read_row(int node, const struct ids *online)
{
	uint8_t row[KN_MAX_NODES] = {0};
	const char *s = text;
	bool whole;
	uint64_t value;
	int id;

	if (kn_sysfs_read_node(kn_topo.kernel_id[node], "distance", text,
			       sizeof(text)) < 0)
		text[0] = '\0';
	for (id = next_id(online, -1); id >= 0; id = next_id(online, id)) {
		const int to = kn_topo.dense_id[id];

		if (!kn_sysfs_next_number(&s, &value))
			break;
		/* ACPI reserves what is less than local. */
		if (to >= 0 && value >= LOCAL_DISTANCE && value <= MAX_DISTANCE)
			row[to] = (uint8_t)value;
	}
	whole = id < 0 && !kn_sysfs_next_number(&s, &value);
	if (again && !whole)
		kn_stat_inc(KN_STAT_topology_unread);
	else
		memcpy(distances[node], row, sizeof(row));
}

static uint8_t distance_of(int from, int to)
{
	if (from == to)
		return LOCAL_DISTANCE;
	if (hwloc.distance[from][to])
		return hwloc.distance[from][to];
	if (distances[from][to])
		return distances[from][to];
	return distances[to][from] ? distances[to][from] : REMOTE_DISTANCE;
}

static void read_distances(const struct ids *online)
{
	uint64_t left = one_online() ? 0 : kn_topo.online;

	if (!again)
		memset(distances, 0, sizeof(distances));
	for (; left; left &= left - 1)
		read_row(__builtin_ctzll(left), online);
	for (int a = 0; a < kn_topo.nr_nodes; a++)
		for (int b = 0; b < kn_topo.nr_nodes; b++)
			kn_store(&kn_topo.distance[a][b], distance_of(a, b));
}

/*
 * Steps of a quarter by which memory is slower than the fastest, by latency
 * and by bandwidth: firmware figures that differ by less are one tier.  A node
 * of which nothing is said counts as fast.
 */
static void set_tiers(void)
{
	uint32_t fastest = UINT32_MAX, widest = 0;

	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		if (hwloc.latency_ns[node])
			fastest = KN_MIN(fastest, hwloc.latency_ns[node]);
		widest = KN_MAX(widest, hwloc.bandwidth_mib[node]);
	}
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		const uint64_t latency = hwloc.latency_ns[node];
		const uint64_t bandwidth = hwloc.bandwidth_mib[node];
		uint64_t tier = 0;

		if (latency)
			tier += 4 * latency / fastest - 4;
		if (bandwidth)
			tier += 4 * (uint64_t)widest / bandwidth - 4;
		kn_topo.tier[node] = (uint8_t)KN_MIN(tier, UINT8_MAX);
		kn_store(&kn_topo.latency_ns[node], (uint32_t)latency);
		kn_store(&kn_topo.bandwidth_mib[node], (uint32_t)bandwidth);
	}
}

static void set_pairs(void)
{
	const int n = kn_topo.nr_nodes;

	for (int a = 0; a < n; a++) {
		kn_store(&kn_pairs.capacity_mib[a],
			 hwloc.pairs.capacity_mib[a]);
		for (int b = 0; b < n; b++) {
			kn_store(&kn_pairs.latency_ns[a][b],
				 hwloc.pairs.latency_ns[a][b]);
			kn_store(&kn_pairs.bandwidth_mib[a][b],
				 hwloc.pairs.bandwidth_mib[a][b]);
		}
	}
}

/* T3. */
static void set_cpu_nodes(void)
{
	const uint64_t usable = kn_topo.has_memory & kn_topo.allowed;
	const int any = __builtin_ctzll(usable);

	for (int cpu = 0; cpu < kn_topo.nr_cpus; cpu++) {
		const uint8_t home = kn_cpu_home[cpu];
		int node = any;

		/* A list that could not be made anew may be out of date. */
		if (home != KN_NO_HOME)
			node = kn_zonelists[home]->node[0];
		if (!(usable >> node & 1))
			node = any;
		kn_store(&kn_cpu_node[cpu], (uint8_t)node);
	}
}

static void apply(const struct reading *r)
{
	half_applied = true;
	set_masks(r);
	read_homes();
	read_distances(&r->online);
	set_tiers();
	if (kn_zonelists_build())
		kn_warn_once("no memory for zonelists: they are out of date");
	set_cpu_nodes();
	kn_places_update();
	applied = *r;
	half_applied = false;
}

/* True when other CPUs are online than at the call before, or nobody says. */
static bool cpus_changed(void)
{
	const uint64_t prime = 0x100000001b3ull, before = online_cpus;
	uint64_t hash = 0xcbf29ce484222325ull;

	if (kn_sysfs_read("cpu/online", text, sizeof(text)) < 0)
		return true;
	for (const char *s = text; *s; s++)
		hash = (hash ^ (unsigned char)*s) * prime;
	online_cpus = hash;
	return hash != before;
}

/* What is read again is applied if it is new; refused windows are tried. */
static void follow(void)
{
	const bool cpus = cpus_changed();
	struct reading r;

	read_nodes(&r);
	if (memcmp(&r, &applied, sizeof(r)))
		kn_stat_inc(KN_STAT_topology_changes);
	else if (!cpus && !half_applied) {
		kn_span_bind(kn_topo.has_memory & kn_topo.allowed);
		return;
	}
	apply(&r);
}

/*
 * The process whose thread reads, or 0.  A fork child finds its parent's id
 * when that thread was not the one that forked, and takes over: what was half
 * read is read again.
 */
static pid_t reader;
static bool wanted;

static bool begin_reading(void)
{
	const pid_t me = getpid();
	pid_t seen = __atomic_load_n(&reader, __ATOMIC_SEQ_CST);

	while (seen != me)
		if (__atomic_compare_exchange_n(&reader, &seen, me, false,
						__ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return true;
	return false;
}

static void end_reading(void)
{
	__atomic_store_n(&reader, 0, __ATOMIC_SEQ_CST);
}

/*
 * Sequentially consistent: either the writer that ends sees the note, or its
 * author sees that the writer has ended.
 */
static void read_while_wanted(void)
{
	while (__atomic_load_n(&wanted, __ATOMIC_SEQ_CST) && begin_reading()) {
		__atomic_store_n(&wanted, false, __ATOMIC_SEQ_CST);
		follow();
		end_reading();
	}
}

void kn_topology_init(void)
{
	struct ids zero = {{1}};
	struct reading r;

	/* Large, and zero as long as hwloc was not asked. */
	if (kn_topo.refined) {
		memset(&hwloc, 0, sizeof(hwloc));
		memset(&kn_pairs, 0, sizeof(kn_pairs));
	}
	memset(&kn_topo, 0, sizeof(kn_topo));
	again = false;
	has_cpusets = false;
	online_cpus = 0;
	if (kn_sysfs_read("node/possible", text, sizeof(text)) < 0 ||
	    !parse_ids(text, &possible))
		possible = zero;
	kn_topo.nr_cpus = read_nr_cpus();
	memset(kn_cpu_home, KN_NO_HOME, (size_t)kn_topo.nr_cpus);
	read_nodes(&r);
	number_nodes(&r);
	apply(&r);
	again = true;
}

void kn_topology_reread(void)
{
	/* One possible node: nothing of this can change. */
	if (kn_topo.nr_nodes == 1)
		return;
	__atomic_store_n(&wanted, true, __ATOMIC_SEQ_CST);
	read_while_wanted();
}

int kn_topology_refine(void)
{
	const int saved_errno = errno;
	struct reading r;
	int ret;

	if (!begin_reading())
		return -EBUSY;
	ret = kn_hwloc_read(&hwloc);
	if (!ret) {
		read_nodes(&r);
		apply(&r);
		set_pairs();
		kn_store(&kn_topo.refined, true);
	}
	end_reading();
	read_while_wanted();
	errno = saved_errno;
	return ret;
}
