/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/stats/stats.h"

#include <stdio.h>
#include <string.h>

KN_STATIC_ASSERT(KN_STAT_STRIPES == 16, "kn_stat_stripe() takes four bits");

const struct kn_stat_row kn_stat_rows[KN_NR_STATS] = {
#define KN_STAT(name, kind, unit, help) {#name, #unit, help, KN_STAT_##kind},
#include "alloc/stats/stats.def"
#undef KN_STAT
};

const struct kn_stat_row kn_node_stat_rows[KN_NR_NODE_STATS] = {
#define KN_NODE_STAT(name, unit, help) {#name, #unit, help, KN_STAT_COUNTER},
#include "alloc/stats/stats_node.def"
#undef KN_NODE_STAT
};

const struct kn_part kn_parts[KN_NR_PARTS] = {
#define KN_PART(total, part) {KN_STAT_##total, KN_STAT_##part},
#include "alloc/stats/balance.def"
#undef KN_PART
};

struct kn_stat_stripe kn_stat_stripes[KN_STAT_STRIPES];
struct kn_node_stats kn_node_stats[KN_STAT_NODES][KN_STAT_STRIPES];
kn_tls char kn_stat_thread;

/* Stored by start-up, read by anyone who asks for statistics. */
static uint64_t (*sources[KN_NR_STATS])(void);
static uint64_t (*node_sources[KN_NR_NODE_STATS])(int node);

void kn_stat_source(enum kn_stat id, uint64_t (*read)(void))
{
	/* Release: pairs with the acquire in kn_stat_read(). */
	kn_store_release(&sources[id], read);
}

void kn_node_stat_source(enum kn_node_stat id, uint64_t (*read)(int node))
{
	/* Release: pairs with the acquire in kn_node_stat_read(). */
	kn_store_release(&node_sources[id], read);
}

bool kn_stat_known(enum kn_stat id)
{
	return kn_stat_rows[id].kind == KN_STAT_COUNTER ||
	       kn_load(&sources[id]) != NULL;
}

uint64_t kn_stat_read(enum kn_stat id)
{
	uint64_t (*read)(void) = kn_load_acquire(&sources[id]);
	uint64_t sum = read ? read() : 0;

	for (int i = 0; i < KN_STAT_STRIPES; i++)
		sum += kn_load(&kn_stat_stripes[i].count[id]);
	return sum;
}

uint64_t kn_node_stat_read(int node, enum kn_node_stat id)
{
	const bool both = id == KN_NODE_STAT_numa_hit ||
			  id == KN_NODE_STAT_local_node;
	uint64_t (*read)(int) = kn_load_acquire(&node_sources[id]);
	uint64_t sum;

	if (node < 0 || node >= KN_STAT_NODES)
		return 0;
	sum = read ? read(node) : 0;
	for (int i = 0; i < KN_STAT_STRIPES; i++)
		sum += kn_load(&kn_node_stats[node][i].count[id]) +
		       (both ? kn_load(&kn_node_stats[node][i].nearest) : 0);
	return sum;
}

bool kn_stat_is_ms(const struct kn_stat_row *row)
{
	return !strcmp(row->unit, "ms");
}

const char *kn_metric_name(const struct kn_stat_row *row, char *buf, size_t len)
{
	const char *const ms = strstr(row->name, "_ms");

	if (kn_stat_is_ms(row) && ms && !ms[3]) {
		snprintf(buf, len, "%.*s_seconds", (int)(ms - row->name),
			 row->name);
		return "seconds";
	}
	snprintf(buf, len, "%s", row->name);
	return strcmp(row->unit, "bytes") ? NULL : row->unit;
}

int kn_metric_find(const char *name)
{
	char metric[64];

	for (int i = 0; i < KN_NR_STATS; i++) {
		kn_metric_name(&kn_stat_rows[i], metric, sizeof(metric));
		if (!strcmp(metric, name))
			return i;
	}
	return -1;
}

static int find(const struct kn_stat_row *rows, int nr, const char *name)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(rows[i].name, name))
			return i;
	return -1;
}

int kn_stat_find(const char *name)
{
	return find(kn_stat_rows, KN_NR_STATS, name);
}

int kn_node_stat_find(const char *name)
{
	return find(kn_node_stat_rows, KN_NR_NODE_STATS, name);
}

void kn_stats_reset(void)
{
	memset(kn_stat_stripes, 0, sizeof(kn_stat_stripes));
	memset(kn_node_stats, 0, sizeof(kn_node_stats));
}
