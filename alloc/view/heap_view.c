/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/heap_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/magazine/drain.h"
#include "alloc/page/zone.h"
#include "alloc/slab/cache.h"
#include "alloc/stats/stats.h"
#include "alloc/view/json.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"
#include "numa/placement.h"

static uint64_t popped(const struct kn_magazine *m)
{
	return kn_load(&m->cur) >> 16;
}

static uint64_t present(const struct kn_magazine *m)
{
	return kn_load(&m->cur) & 0xffff;
}

static void take_node(struct kmem_cache *s, int node, struct kn_cache_node *n)
{
	const struct kn_drain_set set = {
		.first_id = s->mag.id,
		.last_id = s->mag.id,
		.cid = -1,
		.node = node,
	};
	const uint64_t in_use = kn_slab_out(s, node);

	n->slabs = kn_load(&s->node[node].nr_slabs);
	n->bytes = n->slabs << (s->order + KN_PAGE_SHIFT);
	n->objects = n->slabs * s->nr_objects;
	n->cached = kn_drain_sum(&set, present);
	n->allocs = kn_drain_sum(&set, popped);
	n->frees = n->allocs + n->cached;
	n->cached += kn_mag_in_depot(&s->mag, node);
	/* Others go on while this is read. */
	n->cached = KN_MIN(n->cached, in_use);
	n->active = in_use - n->cached;
}

static void take_cache(struct kmem_cache *s, void *arg)
{
	struct kn_cache_rows *r = arg;
	struct kn_cache_row *row = kn_cache_row(r, r->nr);

	if (r->nr == r->room)
		return;
	r->nr++;
	memcpy(row->name, s->name, sizeof(row->name));
	row->object_size = s->object_size;
	row->size = s->size;
	row->per_slab = s->nr_objects;
	row->order = s->order;
	row->flags = kn_load(&s->flags);
	for (int n = 0; n < kn_topo.nr_nodes; n++) {
		take_node(s, n, &row->node[n]);
#define X(name, kind, help) row->total.name += row->node[n].name;
		KN_CACHE_FIELDS(X)
#undef X
	}
}

static void count_cache(struct kmem_cache *s, void *nr)
{
	(void)s;
	++*(uint32_t *)nr;
}

/* Caches that are made between counting and copying. */
#define ROOM_MORE 64

int kn_cache_rows_take(struct kn_cache_rows *r)
{
	uint32_t nr = 0;

	kn_cache_each(count_cache, &nr);
	r->nr = 0;
	r->room = nr + ROOM_MORE;
	r->stride = sizeof(struct kn_cache_row) +
		    (size_t)kn_topo.nr_nodes * sizeof(struct kn_cache_node);
	r->bytes = KN_ALIGN_UP(r->room * r->stride, KN_PAGE_SIZE);
	r->mapping = kn_machine.mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS);
	if (kn_is_err(r->mapping))
		return kn_ptr_err(r->mapping);
	kn_cache_each(take_cache, r);
	return 0;
}

void kn_cache_rows_drop(struct kn_cache_rows *r)
{
	kn_machine.munmap(r->mapping, r->bytes);
}

static void json_counts(struct kn_text *t, const struct kn_cache_node *n)
{
#define X(name, kind, help) kn_member_u64(t, #name, n->name);
	KN_CACHE_FIELDS(X)
#undef X
}

static bool is_used(const struct kn_cache_node *n)
{
	return n->slabs || n->allocs || n->frees;
}

void kn_caches_json(struct kn_text *t, const struct kn_cache_rows *r)
{
	kn_member_key(t, "caches");
	for (uint32_t i = 0; i < r->nr; i++) {
		const struct kn_cache_row *row = kn_cache_row(r, i);
		const char *comma = "";

		kn_text_add(t, "%s{\"cache\":", i ? "," : "[");
		kn_member_quoted(t, row->name);
		kn_member_u64(t, "object_size", row->object_size);
		kn_member_u64(t, "size", row->size);
		kn_member_u64(t, "objects_per_slab", row->per_slab);
		kn_member_u64(t, "pages_per_slab", 1u << row->order);
		json_counts(t, &row->total);
		kn_text_add(t, ",\"nodes\":[");
		for (int n = 0; n < kn_topo.nr_nodes; n++) {
			if (!is_used(&row->node[n]))
				continue;
			kn_text_add(t, "%s{\"node\":%d", comma,
				    kn_topo.kernel_id[n]);
			json_counts(t, &row->node[n]);
			kn_text_add(t, "}");
			comma = ",";
		}
		kn_text_add(t, "]}");
	}
	kn_text_add(t, "%s]", r->nr ? "" : "[");
}

static void prom_sample(struct kn_text *t, const struct kn_cache_row *row,
			int node, const char *suffix, size_t offset)
{
	const char *value = (const char *)&row->node[node] + offset;

	if (!is_used(&row->node[node]))
		return;
	kn_text_add(t, "knuma_cache_%s{cache=", suffix);
	/* The escapes of JSON that a name of printable characters needs. */
	kn_member_quoted(t, row->name);
	kn_text_add(t, ",node=\"%d\"} %" PRIu64 "\n", kn_topo.kernel_id[node],
		    *(const uint64_t *)value);
}

void kn_caches_prom(struct kn_text *t, const struct kn_cache_rows *r)
{
	static const struct {
		const char *name, *kind, *help;
		size_t offset;
	} fields[] = {
#define X(name, kind, help) \
	{#name, kind, help, offsetof(struct kn_cache_node, name)},
		KN_CACHE_FIELDS(X)
#undef X
	};

	for (size_t f = 0; f < KN_ARRAY_SIZE(fields); f++) {
		const bool counter = !strcmp(fields[f].kind, "counter");
		char suffix[32];

		snprintf(suffix, sizeof(suffix), "%s%s", fields[f].name,
			 counter ? "_total" : "");
		kn_text_add(t, "# TYPE knuma_cache_%s %s\n", fields[f].name,
			    fields[f].kind);
		if (!strcmp(fields[f].name, "bytes"))
			kn_text_add(t, "# UNIT knuma_cache_bytes bytes\n");
		kn_text_add(t, "# HELP knuma_cache_%s %s\n", fields[f].name,
			    fields[f].help);
		for (uint32_t i = 0; i < r->nr; i++)
			for (int n = 0; n < kn_topo.nr_nodes; n++)
				prom_sample(t, kn_cache_row(r, i), n, suffix,
					    fields[f].offset);
	}
}

/* Nodes. */

struct slabs_of {
	int node;
	uint64_t bytes;
};

static void add_slabs(struct kmem_cache *s, void *arg)
{
	struct slabs_of *sum = arg;

	sum->bytes += kn_load(&s->node[sum->node].nr_slabs)
		      << (s->order + KN_PAGE_SHIFT);
}

/* A page in each of as many parts of equal length. */
#define SAMPLES 4096
#define CHUNK	512

struct range {
	uintptr_t from;
	uint64_t pages;
};

static void *page_at(const struct range r[3], uint64_t n)
{
	while (n >= r->pages)
		n -= r++->pages;
	return (void *)(r->from + (n << KN_PAGE_SHIFT));
}

/* Bytes of the ranges that are in memory, of all pages or of a sample. */
static void ask_resident(struct kn_node_row *row, const struct range r[3])
{
	const uint64_t total = r[0].pages + r[1].pages + r[2].pages;
	const uint64_t asked = KN_MIN(total, (uint64_t)SAMPLES);
	uint64_t found = 0, random = 1;

	for (uint64_t i = 0; i < asked;) {
		void *page[CHUNK];
		int status[CHUNK];
		size_t n = 0;

		for (; n < CHUNK && i < asked; n++, i++) {
			const uint64_t at = i * total / asked;
			const uint64_t part = (i + 1) * total / asked - at;

			random = random * 6364136223846793005u + 1;
			page[n] = page_at(r, at + (random >> 33) % part);
			status[n] = -ENOENT;
		}
		row->resident_error = kn_page_nodes(n, page, status);
		if (row->resident_error < 0)
			return;
		for (size_t k = 0; k < n; k++)
			found += status[k] >= 0;
	}
	row->resident_error = 0;
	row->resident_exact = asked == total;
	row->resident_bytes = asked ? found * total / asked << KN_PAGE_SHIFT :
				      0;
}

static struct range vmap_pages(int node, int i)
{
	size_t bytes;
	const uintptr_t from = kn_vmap_range(node, i, &bytes);

	return (struct range){from, bytes >> KN_PAGE_SHIFT};
}

void kn_node_row_take(struct kn_node_row *row, int node, bool resident)
{
	const uintptr_t base = kn_window_base(node);
	const struct kn_zone *z = &kn_zones[node];
	const struct range range[3] = {
		{base, (kn_load(&z->grown) - base) >> KN_PAGE_SHIFT},
		vmap_pages(node, 0),
		vmap_pages(node, 1),
	};
	struct slabs_of slabs = {.node = node};
	struct kn_vmap_levels vmap;

	*row = (struct kn_node_row){.system_total = -1, .system_free = -1};
	kn_cache_each(add_slabs, &slabs);
	kn_vmap_levels(node, &vmap);
	/* Free first: it is never above what is managed afterwards. */
	row->free_bytes = kn_load(&z->nr_free) << KN_PAGE_SHIFT;
	row->managed_bytes = kn_load(&z->managed) << KN_PAGE_SHIFT;
	row->page_bytes = row->managed_bytes - row->free_bytes;
	row->slab_bytes = KN_MIN(slabs.bytes, row->page_bytes);
	row->page_bytes -= row->slab_bytes;
	row->vmalloc_bytes = vmap.used;
	row->vmalloc_cached_bytes = vmap.cached;
	row->vmalloc_free_bytes = vmap.grown - vmap.used - vmap.cached;
	row->used_bytes = row->slab_bytes + row->page_bytes + vmap.used;
	if (resident)
		ask_resident(row, range);
	if (kn_node_meminfo(node, &row->system_total, &row->system_free))
		row->system_total = row->system_free = -1;
}

static void json_known(struct kn_text *t, const char *name, int64_t bytes)
{
	if (bytes >= 0)
		kn_member_u64(t, name, (uint64_t)bytes);
	else
		kn_text_add(t, ",\"%s\":null", name);
}

static void json_node(struct kn_text *t, int node)
{
	struct kn_node_row row;

	kn_node_row_take(&row, node, true);
	kn_text_add(t, "%s{\"node\":%d", node ? "," : "",
		    kn_topo.kernel_id[node]);
#define X(name, help) kn_member_u64(t, #name, row.name);
	KN_NODE_FIELDS(X)
#undef X
	json_known(t, "resident_bytes",
		   row.resident_error ? -1 : (int64_t)row.resident_bytes);
	kn_member_bool(t, "resident_exact", row.resident_exact);
	json_known(t, "system_total_bytes", row.system_total);
	json_known(t, "system_free_bytes", row.system_free);
	for (int i = 0; i < KN_NR_NODE_STATS; i++)
		kn_member_u64(t, kn_node_stat_rows[i].name,
			      kn_node_stat_read(node, (enum kn_node_stat)i));
	kn_text_add(t, "}");
}

void kn_nodes_json(struct kn_text *t)
{
	kn_member_key(t, "nodes");
	kn_text_add(t, "[");
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		json_node(t, node);
	kn_text_add(t, "]");
}
