/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/assert.h"
#include "alloc/vmalloc/arena.h"
#include "alloc/vmalloc/vmap.h"

/* The used area of what begins at @first; NULL when that was lost. */
static const struct page *used_part(const struct page *first)
{
	for (uint64_t i = 0; i < first->capacity; i++)
		if (kn_map_id(kn_page_pfn(first + i)) == KN_ID_VMALLOC)
			return first + i;
	return NULL;
}

static bool verify_used(const struct page *first)
{
	const struct page *area = used_part(first);

	if (area && (first + area->front != area ||
		     area->front + area->capacity != first->capacity)) {
		kn_warn("V5: %p is not the end of what begins at %p",
			kn_page_addr(area), kn_page_addr(first));
		return false;
	}
	if (area && kn_load(&area->nr_pages) >= area->capacity) {
		kn_warn("V3: no guard behind %p", kn_page_addr(area));
		return false;
	}
	return true;
}

/* Rows in one go, on the stack; and in one hold of the lock. */
#define WALK_ROWS  32
#define WALK_STEPS 1024

/*
 * Pages and caller of an area that its owner changes just now may be those before
 * or after.  False when it is freed just now.
 */
static bool look_at_area(const struct page *area, struct kn_vmap_row *row)
{
	const uint64_t all = kn_load(&area->nr_pages);
	const uint64_t spare = kn_load_acquire(&area->spare);

	row->start = (uintptr_t)kn_page_addr(area);
	row->bytes = kn_load(&area->capacity) << KN_PAGE_SHIFT;
	row->nr_pages = all - KN_MIN(spare, all - 1);
	row->caller = kn_load(&area->caller);
	return kn_map_id(kn_page_pfn(area)) == KN_ID_VMALLOC;
}

/*
 * What begins at @at.  Return: its bytes; row->start is 0 for nothing that is
 * shown: a free extent, or what is being made or given back.
 */
static uint64_t look_at(uintptr_t at, struct kn_vmap_row *row)
{
	const struct page *const first = kn_page(kn_pfn((void *)at)), *area;
	const uint8_t type = kn_load(&first->type);

	KN_CHECK(first->capacity);
	area = type == KN_PAGE_VM_USED ? used_part(first) : NULL;
	*row = (struct kn_vmap_row){.bytes = first->capacity << KN_PAGE_SHIFT};
	if (type == KN_PAGE_VM_CACHED)
		row->start = at;
	else if (area && !look_at_area(area, row))
		row->start = 0;
	return first->capacity << KN_PAGE_SHIFT;
}

/*
 * The next rows of @w from @done on, the end of those before: what lies there may
 * have been cut anew meanwhile.  False: there are no more.
 */
static bool walk_on(struct kn_arena *a, struct kn_walk *w, uintptr_t done,
		    struct kn_vmap_row *row, uint32_t *nr)
{
	bool more;

	*nr = 0;
	kn_lock(&a->lock);
	kn_arena_settle(a);
	for (int i = 0; i < WALK_STEPS && *nr < WALK_ROWS && w->at < a->top;
	     i++) {
		const uintptr_t at = w->at;

		w->at += look_at(at, &row[*nr]);
		*nr += row[*nr].start >= done && row[*nr].start;
	}
	more = w->at < a->top;
	kn_unlock(&a->lock);
	return more;
}

static void walk_begin(struct kn_arena *a, struct kn_walk *w)
{
	w->at = a->base;
	kn_lock(&a->lock);
	w->next = a->walks;
	a->walks = w;
	kn_unlock(&a->lock);
}

/* A fork child has forgotten it. */
static void walk_end(struct kn_arena *a, struct kn_walk *w)
{
	struct kn_walk **link = &a->walks;

	kn_lock(&a->lock);
	while (*link && *link != w)
		link = &(*link)->next;
	if (*link)
		*link = w->next;
	kn_unlock(&a->lock);
}

static void arena_each(struct kn_arena *a,
		       void (*fn)(const struct kn_vmap_row *row, void *arg),
		       void *arg)
{
	struct kn_vmap_row row[WALK_ROWS];
	uintptr_t done = 0;
	struct kn_walk w;
	uint32_t nr;
	bool more;

	walk_begin(a, &w);
	do {
		more = walk_on(a, &w, done, row, &nr);
		for (uint32_t i = 0; i < nr; i++)
			fn(&row[i], arg);
		if (nr)
			done = row[nr - 1].start + row[nr - 1].bytes;
	} while (more);
	walk_end(a, &w);
}

void kn_vmap_each(int node,
		  void (*fn)(const struct kn_vmap_row *row, void *arg),
		  void *arg)
{
	for (int i = 0; i < 2; i++)
		arena_each(&kn_arenas[node][i], fn, arg);
}

static bool verify_arena(struct kn_arena *a)
{
	uintptr_t at = a->base;
	bool was_free = false;

	while (at < a->top) {
		const struct page *first = kn_page(kn_pfn((void *)at));
		const bool is_free = first->type == KN_PAGE_VM_FREE;

		if (!is_free && first->type != KN_PAGE_VM_USED &&
		    first->type != KN_PAGE_VM_CACHED) {
			kn_warn("V1: %#lx starts no area", (unsigned long)at);
			return false;
		}
		if (is_free && was_free) {
			kn_warn("V2: two free extents touch at %#lx",
				(unsigned long)at);
			return false;
		}
		if (first->type == KN_PAGE_VM_CACHED &&
		    first->nr_pages >= first->capacity) {
			kn_warn("V3: no guard behind %#lx", (unsigned long)at);
			return false;
		}
		if (first->type == KN_PAGE_VM_USED && !verify_used(first))
			return false;
		was_free = is_free;
		at += first->capacity << KN_PAGE_SHIFT;
	}
	return true;
}

bool kn_vmap_verify(int node)
{
	bool ok = true;

	for (int i = 0; i < 2 && ok; i++) {
		kn_lock(&kn_arenas[node][i].lock);
		kn_arena_settle(&kn_arenas[node][i]);
		ok = verify_arena(&kn_arenas[node][i]);
		kn_unlock(&kn_arenas[node][i].lock);
	}
	return ok;
}
