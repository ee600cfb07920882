/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/view/heap_view.h - the heap by cache and by node
 *
 * Rows are copied into a mapping of their own while the list of caches is
 * locked, and printed from there when nothing is: who prints waits for pages,
 * and who allocates must not wait for that.
 */
#ifndef KN_VIEW_HEAP_VIEW_H
#define KN_VIEW_HEAP_VIEW_H

#include "alloc/base/print.h"
#include "alloc/slab/slab.h"

/*
 * One cache on one node.  @active is what the program holds: @in_use without
 * @cached, which lies in magazines and depots; a batch of a depot counts whole.
 */
#define KN_CACHE_FIELDS(X)                                               \
	X(objects, "gauge", "places for objects in all slabs")            \
	X(active, "gauge", "objects that the program holds")              \
	X(cached, "gauge", "free objects in magazines and depots")        \
	X(slabs, "gauge", "slabs")                                        \
	X(bytes, "gauge", "memory of the slabs")                          \
	X(allocs, "counter", "objects taken from magazines")              \
	X(frees, "counter", "objects put into magazines")

struct kn_cache_node {
#define X(name, kind, help) uint64_t name;
	KN_CACHE_FIELDS(X)
#undef X
};

struct kn_cache_row {
	char name[48];
	uint32_t object_size, size, per_slab, order, flags;
	struct kn_cache_node total;
	struct kn_cache_node node[]; /* by dense id */
};

struct kn_cache_rows {
	char *mapping;
	size_t bytes, stride;
	uint32_t nr, room;
};

/* 0, or -ENOMEM: no mapping. */
int kn_cache_rows_take(struct kn_cache_rows *r) kn_must_check;
void kn_cache_rows_drop(struct kn_cache_rows *r);

static inline struct kn_cache_row *kn_cache_row(const struct kn_cache_rows *r,
						uint32_t i)
{
	return (struct kn_cache_row *)(r->mapping + i * r->stride);
}

/* One node, in bytes. */
#define KN_NODE_FIELDS(X)                                            \
	X(managed_bytes, "pages of the node, free or not")            \
	X(free_bytes, "free pages")                                   \
	X(slab_bytes, "pages that are slabs")                         \
	X(page_bytes, "pages handed out, and those in page lists")    \
	X(vmalloc_bytes, "vmalloc areas in use")                      \
	X(vmalloc_cached_bytes, "freed vmalloc areas kept for reuse") \
	X(vmalloc_free_bytes, "address space for areas, not in use")  \
	X(used_bytes, "slabs, pages and areas in use")

struct kn_node_row {
#define X(name, help) uint64_t name;
	KN_NODE_FIELDS(X)
#undef X
	uint64_t resident_bytes; /* of all that, what is in memory */
	bool resident_exact; /* each page was asked for, not a sample */
	int resident_error;  /* 0, or -Exxx: the system does not say */
	int64_t system_total, system_free; /* of the machine's node; -1 unknown */
};

/* @node: dense id; with @resident the system is asked for pages. */
void kn_node_row_take(struct kn_node_row *row, int node, bool resident);

/* Each adds members to an object that was begun. */
void kn_caches_json(struct kn_text *t, const struct kn_cache_rows *r);
void kn_nodes_json(struct kn_text *t);

/* The families knuma_cache_*, without # EOF. */
void kn_caches_prom(struct kn_text *t, const struct kn_cache_rows *r);

#endif
