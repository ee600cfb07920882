/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/stats_view.h"

#include <inttypes.h>
#include <unistd.h>

#include <knuma/version.h>

#include "alloc/base/assert.h"
#include "alloc/view/group_view.h"
#include "alloc/view/heap_view.h"
#include "numa/topology.h"

KN_STATIC_ASSERT(KN_STAT_NODES >= KN_MAX_NODES, "statistics for every node");

struct kn_view_info kn_view_info = {
	.version = KNUMA_VERSION_STRING,
	.mode = "not started",
	.reason = "nothing was allocated",
	.mbind_state = "not tried",
};

static bool is_total(enum kn_stat id)
{
	for (int i = 0; i < KN_NR_PARTS; i++)
		if (kn_parts[i].total == id)
			return true;
	return false;
}

/*
 * Others go on between two reads of levels, so totals are made of what was read
 * once.  Where the parts are not known the totals are not either.
 */
static void balance(struct kn_view *v)
{
	for (int i = 0; i < KN_NR_PARTS; i++)
		v->stat[kn_parts[i].total].value +=
			v->stat[kn_parts[i].part].value;
}

void kn_view_take(struct kn_view *v)
{
	KN_ASSERT(kn_view_info.nr_nodes <= KN_STAT_NODES);
	v->info = kn_view_info;
	if (v->info.refresh)
		v->info.refresh(&v->info);
	v->info.pid = getpid();
	v->own = true;
	for (int i = 0; i < KN_NR_STATS; i++) {
		const enum kn_stat id = (enum kn_stat)i;

		v->stat[i].known = kn_stat_known(id);
		v->stat[i].value = v->stat[i].known && !is_total(id) ?
					   kn_stat_read(id) :
					   0;
	}
	balance(v);
	for (int n = 0; n < v->info.nr_nodes; n++)
		for (int i = 0; i < KN_NR_NODE_STATS; i++)
			v->node[n][i] =
				kn_node_stat_read(n, (enum kn_node_stat)i);
}

static uint64_t node_total(const struct kn_view *v, int i)
{
	uint64_t sum = 0;

	for (int n = 0; n < v->info.nr_nodes; n++)
		sum += v->node[n][i];
	return sum;
}

/* Text: one row a line, the nodes in columns as numastat(8) has them. */

static void text_nodes(struct kn_text *t, const struct kn_view *v)
{
	if (!v->info.nr_nodes)
		return;
	kn_text_add(t, "\n%-22s", v->info.fake_nodes ? "FAKE nodes" : "");
	for (int n = 0; n < v->info.nr_nodes; n++)
		kn_text_add(t, " %9s%-4d", "node", v->info.node_id[n]);
	kn_text_add(t, " %13s\n", "Total");
	for (int i = 0; i < KN_NR_NODE_STATS; i++) {
		kn_text_add(t, "%-22s", kn_node_stat_rows[i].name);
		for (int n = 0; n < v->info.nr_nodes; n++)
			kn_text_add(t, " %13" PRIu64, v->node[n][i]);
		kn_text_add(t, " %13" PRIu64 "\n", node_total(v, i));
	}
}

static void text_kind(struct kn_text *t, const struct kn_view *v,
		      enum kn_stat_kind kind)
{
	for (int i = 0; i < KN_NR_STATS; i++) {
		const struct kn_stat_row *row = &kn_stat_rows[i];

		if (v->stat[i].known && row->kind == kind)
			kn_text_add(t, "%-22s %13" PRIu64 " %-8s %s\n",
				    row->name, v->stat[i].value, row->unit,
				    row->help);
	}
}

/*
 * Where the megabytes are: parts that hold memory, and together are all that does
 * but pages that were never written.
 */
static const struct {
	const char *what;
	enum kn_stat all, but; /* less what has a row of its own, or KN_NR_STATS */
} memory_rows[] = {
	{"the program", KN_STAT_allocated_bytes, KN_STAT_cached_bytes},
	{"magazines of CPUs", KN_STAT_cached_magazine_bytes, KN_NR_STATS},
	{"depots of nodes", KN_STAT_cached_depot_bytes, KN_NR_STATS},
	{"room in slabs", KN_STAT_slab_free_bytes, KN_NR_STATS},
	{"free pages", KN_STAT_page_warm_bytes, KN_NR_STATS},
	{"freed vmalloc areas", KN_STAT_vmalloc_cached_bytes, KN_NR_STATS},
	{"copies for each CPU", KN_STAT_percpu_bytes, KN_NR_STATS},
	{"the allocator itself", KN_STAT_metadata_bytes, KN_NR_STATS},
};

static uint64_t memory_of(const struct kn_view *v, size_t i)
{
	const uint64_t all = v->stat[memory_rows[i].all].value;
	const uint64_t but = memory_rows[i].but == KN_NR_STATS ?
				     0 :
				     v->stat[memory_rows[i].but].value;

	return all - KN_MIN(all, but);
}

static void text_memory(struct kn_text *t, const struct kn_view *v)
{
	uint64_t total = 0;

	for (size_t i = 0; i < KN_ARRAY_SIZE(memory_rows); i++)
		total += memory_of(v, i);
	if (!total)
		return;
	kn_text_add(t, "%-22s %13s %8s\n", "memory of", "KiB", "percent");
	for (size_t i = 0; i < KN_ARRAY_SIZE(memory_rows); i++) {
		const uint64_t bytes = memory_of(v, i);
		const uint64_t tenths = bytes * 1000 / total;

		kn_text_add(t, "%-22s %13" PRIu64 " %6" PRIu64 ".%u\n",
			    memory_rows[i].what, bytes >> 10, tenths / 10,
			    (unsigned)(tenths % 10));
	}
	kn_text_add(t, "\n");
}

static void print_text(struct kn_text *t, const struct kn_view *v)
{
	kn_text_add(t, "knuma %s, process %d: mode %s (%s), mbind %s%s\n\n",
		    v->info.version, v->info.pid, v->info.mode, v->info.reason,
		    v->info.mbind_state,
		    v->info.fake_nodes ? ", nodes are FAKE" : "");
	text_memory(t, v);
	text_kind(t, v, KN_STAT_GAUGE);
	text_kind(t, v, KN_STAT_COUNTER);
	text_nodes(t, v);
	if (v->own)
		kn_groups_text(t);
}

/* JSON */

static void json_node(struct kn_text *t, const struct kn_view *v, int n)
{
	kn_text_add(t, "%s{\"node\":%d", n ? "," : "", v->info.node_id[n]);
	for (int i = 0; i < KN_NR_NODE_STATS; i++)
		kn_text_add(t, ",\"%s\":%" PRIu64, kn_node_stat_rows[i].name,
			    v->node[n][i]);
	kn_text_add(t, "}");
}

static void print_json(struct kn_text *t, const struct kn_view *v)
{
	const char *comma = "";

	kn_object_begin(t);
	kn_member_text(t, "version", v->info.version);
	kn_member_text(t, "mode", v->info.mode);
	kn_member_text(t, "reason", v->info.reason);
	kn_member_text(t, "mbind", v->info.mbind_state);
	kn_member_bool(t, "fake_nodes", v->info.fake_nodes);
	kn_member_u64(t, "pid", (uint64_t)v->info.pid);
	kn_member_u64(t, "page_size", v->info.page_size);
	kn_member_u64(t, "huge_page_size", v->info.huge_page_size);
	kn_text_add(t, ",\"stats\":{");
	for (int i = 0; i < KN_NR_STATS; i++) {
		if (!v->stat[i].known)
			continue;
		kn_text_add(t, "%s\"%s\":%" PRIu64, comma, kn_stat_rows[i].name,
			    v->stat[i].value);
		comma = ",";
	}
	kn_text_add(t, "},\"nodes\":[");
	for (int n = 0; n < v->info.nr_nodes; n++)
		json_node(t, v, n);
	kn_text_add(t, "]");
	if (v->own)
		kn_groups_json(t);
	kn_text_add(t, "}\n");
}

/* CSV: long form, the node column empty for the whole process. */

static void print_csv(struct kn_text *t, const struct kn_view *v)
{
	kn_text_add(t, "name,node,value,unit\n");
	for (int i = 0; i < KN_NR_STATS; i++)
		if (v->stat[i].known)
			kn_text_add(t, "%s,,%" PRIu64 ",%s\n",
				    kn_stat_rows[i].name, v->stat[i].value,
				    kn_stat_rows[i].unit);
	for (int i = 0; i < KN_NR_NODE_STATS; i++)
		for (int n = 0; n < v->info.nr_nodes; n++)
			kn_text_add(t, "%s,%d,%" PRIu64 ",%s\n",
				    kn_node_stat_rows[i].name,
				    v->info.node_id[n], v->node[n][i],
				    kn_node_stat_rows[i].unit);
}

/* OpenMetrics: counters end in _total, labels are quoted. */

static void prom_label(struct kn_text *t, const char *name, const char *s)
{
	kn_text_add(t, "%s=\"", name);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			kn_text_add(t, "\\%c", *s);
		else if (*s == '\n')
			kn_text_add(t, "\\n");
		else
			kn_text_add(t, "%c", *s);
	}
	kn_text_add(t, "\",");
}

/* What stands above its samples; their name is "knuma_", @name and a suffix. */
static void prom_family(struct kn_text *t, const struct kn_stat_row *row,
			char *name, size_t len)
{
	const char *unit = kn_metric_name(row, name, len);

	kn_text_add(t, "# TYPE knuma_%s %s\n", name,
		    row->kind == KN_STAT_COUNTER ? "counter" : "gauge");
	if (unit)
		kn_text_add(t, "# UNIT knuma_%s %s\n", name, unit);
	kn_text_add(t, "# HELP knuma_%s %s\n", name, row->help);
}

static void prom_value(struct kn_text *t, const struct kn_stat_row *row,
		       uint64_t value)
{
	if (kn_stat_is_ms(row))
		kn_text_add(t, " %" PRIu64 ".%03u\n", value / 1000,
			    (unsigned)(value % 1000));
	else
		kn_text_add(t, " %" PRIu64 "\n", value);
}

/* A gauge: the older text format, which many read, has no type for this. */
static void prom_info(struct kn_text *t, const struct kn_view_info *info)
{
	kn_text_add(t, "# TYPE knuma_build_info gauge\n"
		       "# HELP knuma_build_info which knuma runs, and how\n"
		       "knuma_build_info{");
	prom_label(t, "version", info->version);
	prom_label(t, "mode", info->mode);
	prom_label(t, "reason", info->reason);
	prom_label(t, "mbind", info->mbind_state);
	prom_label(t, "nodes", info->fake_nodes ? "fake" : "real");
	kn_text_add(t,
		    "pid=\"%d\",page_size=\"%zu\",huge_page_size=\"%zu\"} 1\n",
		    info->pid, info->page_size, info->huge_page_size);
}

static void print_prom(struct kn_text *t, const struct kn_view *v)
{
	char name[64];

	prom_info(t, &v->info);
	for (int i = 0; i < KN_NR_STATS; i++) {
		const struct kn_stat_row *row = &kn_stat_rows[i];

		if (!v->stat[i].known)
			continue;
		prom_family(t, row, name, sizeof(name));
		kn_text_add(t, "knuma_%s%s", name,
			    row->kind == KN_STAT_COUNTER ? "_total" : "");
		prom_value(t, row, v->stat[i].value);
	}
	for (int i = 0; v->info.nr_nodes && i < KN_NR_NODE_STATS; i++) {
		prom_family(t, &kn_node_stat_rows[i], name, sizeof(name));
		for (int n = 0; n < v->info.nr_nodes; n++)
			kn_text_add(t,
				    "knuma_%s_total{node=\"%d\"} %" PRIu64 "\n",
				    kn_node_stat_rows[i].name,
				    v->info.node_id[n], v->node[n][i]);
	}
}

void kn_view_print(struct kn_text *t, const struct kn_view *v,
		   enum kn_view_fmt fmt)
{
	switch (fmt) {
	case KN_VIEW_TEXT:
		print_text(t, v);
		break;
	case KN_VIEW_JSON:
		print_json(t, v);
		break;
	case KN_VIEW_CSV:
		print_csv(t, v);
		break;
	case KN_VIEW_PROM:
		print_prom(t, v);
		kn_text_add(t, "# EOF\n");
		break;
	}
}

void kn_metrics_format(struct kn_text *t)
{
	struct kn_cache_rows rows;
	struct kn_view v;

	kn_view_take(&v);
	print_prom(t, &v);
	if (!kn_cache_rows_take(&rows)) {
		kn_caches_prom(t, &rows);
		kn_cache_rows_drop(&rows);
	}
	kn_groups_prom(t);
	kn_text_add(t, "# EOF\n");
}

void kn_stats_format(struct kn_text *t, enum kn_view_fmt fmt)
{
	struct kn_view v;

	kn_view_take(&v);
	kn_view_print(t, &v, fmt);
}
