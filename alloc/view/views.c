/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/views.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc/base/bits.h"
#include "alloc/config/tunables.h"
#include "alloc/page/zone.h"
#include "alloc/stats/stats.h"
#include "alloc/view/heap_view.h"
#include "alloc/view/stats_view.h"
#include "numa/span.h"

/* slabinfo */

/* A reader takes blanks for the end of the name. */
static void one_word(char *to, size_t len, const char *name)
{
	size_t n = 0;

	for (; name[n] && n < len - 1; n++)
		to[n] = isgraph((unsigned char)name[n]) ? name[n] : '_';
	to[n] = '\0';
}

static int print_slabinfo(struct kn_text *t, int node)
{
	struct kn_cache_rows rows;
	const int err = kn_cache_rows_take(&rows);

	(void)node;
	if (err)
		return err;
	kn_text_add(t, "slabinfo - version: 2.1\n"
		       "# name            <active_objs> <num_objs> <objsize> "
		       "<objperslab> <pagesperslab> : tunables <limit> "
		       "<batchcount> <sharedfactor> : slabdata <active_slabs> "
		       "<num_slabs> <sharedavail>\n");
	for (uint32_t i = 0; i < rows.nr; i++) {
		const struct kn_cache_row *row = kn_cache_row(&rows, i);
		const struct kn_cache_node *n = &row->total;
		char name[sizeof(row->name)];

		one_word(name, sizeof(name), row->name);
		kn_text_add(t,
			    "%-17s %6" PRIu64 " %6" PRIu64 " %6u %4u %4d"
			    " : tunables %4u %4u %4u : slabdata %6" PRIu64
			    " %6" PRIu64 " %6u\n",
			    name, n->active, n->objects, row->size,
			    row->per_slab, 1 << row->order, 0u, 0u, 0u,
			    n->slabs, n->slabs, 0u);
	}
	kn_cache_rows_drop(&rows);
	return 0;
}

/* buddyinfo and pagetypeinfo: all memory of a node is of one zone. */

#define ZONE "Normal"

static int print_buddyinfo(struct kn_text *t, int node)
{
	struct kn_zone_levels l;

	for (node = 0; node < kn_topo.nr_nodes; node++) {
		kn_zone_levels(node, &l);
		kn_text_add(t, "Node %d, zone %8s ", kn_topo.kernel_id[node],
			    ZONE);
		for (unsigned o = 0; o < KN_NR_ORDERS; o++)
			kn_text_add(t, "%6u ",
				    l.free[KN_ZONE_COLD][o] +
					    l.free[KN_ZONE_WARM][o] +
					    l.free[KN_ZONE_POOL][o]);
		kn_text_add(t, "\n");
	}
	return 0;
}

#define BLOCK_ORDER (kn_log2(KN_HUGE_SIZE) - KN_PAGE_SHIFT)

/* The kernel's words for what is known of the memory of a block. */
static const struct {
	const char *name;
	int kind;
} types[] = {
	{"Unmovable", KN_ZONE_POOL},   /* stays */
	{"Movable", KN_ZONE_COLD},     /* no memory behind it: costs nothing */
	{"Reclaimable", KN_ZONE_WARM}, /* a trim gives it back */
	{"Isolate", KN_NR_ZONE_KINDS}, /* is being given back */
};

static const uint32_t *blocks_of(const struct kn_zone_levels *l, int kind)
{
	return kind == KN_NR_ZONE_KINDS ? l->isolated : l->free[kind];
}

/* Blocks of 2 MiB that are of @kind as a whole. */
static uint64_t whole_blocks(const struct kn_zone_levels *l, int kind)
{
	uint64_t n = 0;

	for (unsigned o = BLOCK_ORDER; o < KN_NR_ORDERS; o++)
		n += (uint64_t)blocks_of(l, kind)[o] << (o - BLOCK_ORDER);
	return n;
}

/* What is in use has memory, or had some: it counts as what was in use. */
static uint64_t type_blocks(const struct kn_zone_levels *l, int kind)
{
	const uint64_t pool = l->pool >> BLOCK_ORDER,
		       cold = whole_blocks(l, KN_ZONE_COLD),
		       isolated = whole_blocks(l, KN_NR_ZONE_KINDS);

	switch (kind) {
	case KN_ZONE_POOL:
		return pool;
	case KN_ZONE_WARM:
		return (l->managed >> BLOCK_ORDER) - pool - cold - isolated;
	default:
		return whole_blocks(l, kind);
	}
}

static void print_types(struct kn_text *t, int node)
{
	struct kn_zone_levels l;

	kn_zone_levels(node, &l);
	for (size_t i = 0; i < KN_ARRAY_SIZE(types); i++) {
		const uint32_t *nr = blocks_of(&l, types[i].kind);

		kn_text_add(t, "Node %4d, zone %8s, type %12s ",
			    kn_topo.kernel_id[node], ZONE, types[i].name);
		for (unsigned o = 0; o < KN_NR_ORDERS; o++)
			kn_text_add(t, "%6u ", nr[o]);
		kn_text_add(t, "\n");
	}
}

static int print_pagetypeinfo(struct kn_text *t, int node)
{
	struct kn_zone_levels l;

	kn_text_add(t, "Page block order: %u\nPages per block:  %u\n\n%-43s ",
		    BLOCK_ORDER, 1u << BLOCK_ORDER,
		    "Free pages count per migrate type at order");
	for (unsigned o = 0; o < KN_NR_ORDERS; o++)
		kn_text_add(t, "%6u ", o);
	kn_text_add(t, "\n");
	for (node = 0; node < kn_topo.nr_nodes; node++)
		print_types(t, node);
	kn_text_add(t, "\n%-23s", "Number of blocks type ");
	for (size_t i = 0; i < KN_ARRAY_SIZE(types); i++)
		kn_text_add(t, "%12s ", types[i].name);
	kn_text_add(t, "\n");
	for (node = 0; node < kn_topo.nr_nodes; node++) {
		kn_zone_levels(node, &l);
		kn_text_add(t, "Node %d, zone %8s ", kn_topo.kernel_id[node],
			    ZONE);
		for (size_t i = 0; i < KN_ARRAY_SIZE(types); i++)
			kn_text_add(t, "%12" PRIu64 " ",
				    type_blocks(&l, types[i].kind));
		kn_text_add(t, "\n");
	}
	return 0;
}

/* numastat */

static int print_numastat(struct kn_text *t, int node)
{
	static const enum kn_node_stat ids[] = {
		KN_NODE_STAT_numa_hit,	   KN_NODE_STAT_numa_miss,
		KN_NODE_STAT_numa_foreign, KN_NODE_STAT_interleave_hit,
		KN_NODE_STAT_local_node,   KN_NODE_STAT_other_node,
	};

	for (size_t i = 0; i < KN_ARRAY_SIZE(ids); i++)
		kn_text_add(t, "%s %" PRIu64 "\n",
			    kn_node_stat_rows[ids[i]].name,
			    kn_node_stat_read(node, ids[i]));
	return 0;
}

/* The table. */

#define print_vmallocinfo kn_print_vmallocinfo

static const struct view {
	const char *name, *help;
	unsigned mode;
	bool of_node;
	int (*print)(struct kn_text *t, int node);
} views[] = {
#define VIEW(name, mode, help)	    {#name, help, mode, false, print_##name},
#define NODE_VIEW(name, mode, help) {#name, help, mode, true, print_##name},
#include "alloc/view/views.def"
#undef VIEW
#undef NODE_VIEW
};

static void fill(struct kn_view_file *f, const struct view *v, int node)
{
	f->help = v->help;
	f->print = v->print;
	f->node = node;
	if (v->of_node)
		snprintf(f->name, sizeof(f->name), "node%d/%s",
			 kn_topo.kernel_id[node], v->name);
	else
		snprintf(f->name, sizeof(f->name), "%s", v->name);
}

bool kn_view_file(unsigned i, struct kn_view_file *f)
{
	for (size_t v = 0; v < KN_ARRAY_SIZE(views); v++) {
		const unsigned n =
			views[v].of_node ? (unsigned)kn_topo.nr_nodes : 1;

		if (i < n) {
			fill(f, &views[v], (int)i);
			return true;
		}
		i -= n;
	}
	return false;
}

bool kn_view_find(const char *name, struct kn_view_file *f)
{
	for (unsigned i = 0; kn_view_file(i, f); i++)
		if (!strcmp(f->name, name))
			return true;
	return false;
}

int kn_view_file_print(struct kn_text *t, const void *file)
{
	const struct kn_view_file *f = file;

	return f->print(t, f->node);
}

/* Files. */

static int make_folder(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

/* The row of the view @name, whatever the nodes of its process. */
static const struct view *row_of(const char *name)
{
	char full[KN_VIEW_NAME];
	int id = 0;

	for (size_t v = 0; v < KN_ARRAY_SIZE(views); v++) {
		snprintf(full, sizeof(full), "%s", views[v].name);
		if (views[v].of_node && sscanf(name, "node%4d", &id) == 1)
			snprintf(full, sizeof(full), "node%d/%s", id,
				 views[v].name);
		if (!strcmp(full, name))
			return &views[v];
	}
	return NULL;
}

int kn_view_write(const char *dir, const char *name, const char *buf,
		  size_t len)
{
	char path[KN_TUNABLE_LEN + KN_VIEW_NAME];
	const struct view *v = row_of(name);
	int err;

	if (!v)
		return -EINVAL;
	if (strlen(dir) >= KN_TUNABLE_LEN)
		return -ENAMETOOLONG;
	err = make_folder(dir);
	if (!err && v->of_node) {
		snprintf(path, sizeof(path), "%s/%.*s", dir,
			 (int)strcspn(name, "/"), name);
		err = make_folder(path);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return err ? err : kn_text_save(path, v->mode, buf, len);
}

int kn_views_save(const char *dir)
{
	struct kn_view_file f;
	struct kn_text t;
	int err = 0;

	for (unsigned i = 0; !err && kn_view_file(i, &f); i++) {
		err = kn_text_map(&t, kn_view_file_print, &f);
		if (err)
			break;
		err = kn_view_write(dir, f.name, t.buf, t.len);
		kn_text_unmap(&t);
	}
	return err;
}
