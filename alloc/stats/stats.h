/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/stats/stats.h - counters of slow paths, and gauges
 *
 * Counters are for slow paths: an atomic add to one of 16 stripes, chosen by
 * thread.  Sums are exact; a sum taken while others count may miss what is
 * under way.  What a fast path does is derived from its own words, by a
 * function given to kn_stat_source().
 */
#ifndef KN_STATS_STATS_H
#define KN_STATS_STATS_H

#include "alloc/base/atomic.h"

#define KN_STAT_STRIPES 16 /* a power of two */
#define KN_STAT_NODES	64 /* dense node ids; not less than KN_MAX_NODES */

enum kn_stat {
#define KN_STAT(name, kind, unit, help) KN_STAT_##name,
#include "alloc/stats/stats.def"
#undef KN_STAT
	KN_NR_STATS
};

enum kn_node_stat {
#define KN_NODE_STAT(name, unit, help) KN_NODE_STAT_##name,
#include "alloc/stats/stats_node.def"
#undef KN_NODE_STAT
	KN_NR_NODE_STATS
};

enum kn_stat_kind {
	KN_STAT_COUNTER,
	KN_STAT_GAUGE
};

/* One row of a table. */
struct kn_stat_row {
	const char *name;
	const char *unit;
	const char *help;
	enum kn_stat_kind kind;
};

extern const struct kn_stat_row kn_stat_rows[KN_NR_STATS];
extern const struct kn_stat_row kn_node_stat_rows[KN_NR_NODE_STATS];

struct kn_stat_stripe {
	uint64_t count[KN_NR_STATS];
} kn_cacheline;

/* A row of balance.def. */
struct kn_part {
	enum kn_stat total, part;
};

enum {
#define KN_PART(total, part) KN_PART_##total##_##part,
#include "alloc/stats/balance.def"
#undef KN_PART
	KN_NR_PARTS
};

extern const struct kn_part kn_parts[KN_NR_PARTS];

extern struct kn_stat_stripe kn_stat_stripes[KN_STAT_STRIPES];

struct kn_node_stats {
	uint64_t count[KN_NR_NODE_STATS];
	uint64_t nearest; /* numa_hit and local_node at once, mostly both */
} kn_cacheline;

extern struct kn_node_stats kn_node_stats[KN_STAT_NODES][KN_STAT_STRIPES];

/* Its address tells threads apart. */
extern kn_tls char kn_stat_thread;

/*
 * A number below KN_STAT_STRIPES, of the calling thread and, by chance, others.
 * Twice multiplied: the blocks of threads lie at equal distances, and one
 * multiplication maps some distances, 8 MiB + 4 KiB among them, to few stripes.
 */
static inline uint32_t kn_thread_stripe(void)
{
	const uint64_t golden = 0x9e3779b97f4a7c15ull;
	uint64_t hash = ((uintptr_t)&kn_stat_thread >> 6) * golden;

	hash = (hash ^ hash >> 32) * golden;
	return (uint32_t)(hash >> 60);
}

static inline struct kn_stat_stripe *kn_stat_stripe(void)
{
	return &kn_stat_stripes[kn_thread_stripe()];
}

/* Context: any, a signal handler too. */
static inline void kn_stat_add(enum kn_stat id, uint64_t n)
{
	kn_count(&kn_stat_stripe()->count[id], n);
}

static inline void kn_stat_inc(enum kn_stat id)
{
	kn_stat_add(id, 1);
}

/* @node: dense id. */
static inline void kn_node_stat_add(int node, enum kn_node_stat id, uint64_t n)
{
	KN_COUNTED(node_statistics);
	kn_count(&kn_node_stats[node][kn_thread_stripe()].count[id], n);
}

/* One more of numa_hit and of local_node. */
static inline void kn_node_stat_nearest(int node)
{
	KN_COUNTED(node_statistics);
	kn_count(&kn_node_stats[node][kn_thread_stripe()].nearest, 1);
}

/*
 * Reading a row adds what @read returns to what was counted.  NULL takes the
 * function away.  Set at start-up.
 */
void kn_stat_source(enum kn_stat id, uint64_t (*read)(void));
void kn_node_stat_source(enum kn_node_stat id, uint64_t (*read)(int node));

/* The usual case of kn_stat_source(). */
static inline void kn_stat_gauge(enum kn_stat id, uint64_t (*read)(void))
{
	kn_stat_source(id, read);
}

/* False for a GAUGE that nobody registered: it has no value. */
bool kn_stat_known(enum kn_stat id);

uint64_t kn_stat_read(enum kn_stat id);
uint64_t kn_node_stat_read(int node, enum kn_node_stat id);

/*
 * The name of a row as a metric, in base units: x_bytes, x_seconds for x_ms.
 * Return: the base unit, "bytes" or "seconds"; NULL: it counts.
 */
const char *kn_metric_name(const struct kn_stat_row *row, char *buf,
			   size_t len);

/* The row of a metric's name, or -1. */
int kn_metric_find(const char *name);

/* Whether a row is in milliseconds, and so its metric in seconds. */
bool kn_stat_is_ms(const struct kn_stat_row *row);

/* The row of @name, or -1. */
int kn_stat_find(const char *name);
int kn_node_stat_find(const char *name);

/* Counters at 0, as in a new process: for tests. */
void kn_stats_reset(void);

#endif
