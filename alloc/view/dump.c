/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/dump.c - kmem_dump_obj(), mem_dump_obj(): an address in one line */
#include <knuma/slab.h>

#include "alloc/base/print.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/debug.h"
#include "alloc/slab/fence.h"
#include "alloc/view/whatis.h"
#include "alloc/vmalloc/vmap.h"

static void dump_object(struct kmem_cache *s, const char *p)
{
	struct page *const head = kn_slab_head(s, p);
	const uint32_t i = kn_slab_index(s, head, p);
	const char *obj, *holder;

	if (i >= s->nr_objects) {
		kn_print("%p: slab %s, behind its objects", (const void *)p,
			 s->name);
		return;
	}
	obj = kn_slab_object(s, head, i);
	holder = kn_whatis_holder(s, obj);
	kn_print("%p: slab %s start %p pointer offset %td size %u, %s%s",
		 (const void *)p, s->name, (const void *)obj, p - obj,
		 s->object_size, holder ? "free in a " : "in use",
		 holder ? holder : "");
	kn_report_tracks(s, obj);
}

/* In a page between guards; a guard itself is no object. */
static bool dump_guarded(const char *p)
{
	struct kn_fence_view v;

	if (!kn_fence_look(p, &v))
		return false;
	kn_print("%p: guarded slab %s start %p pointer offset %td size %zu, %s",
		 (const void *)p, v.cache, (void *)v.start,
		 (intptr_t)p - (intptr_t)v.start, v.size,
		 v.used ? "in use" : "free");
	return true;
}

/* Documented in <knuma/slab.h>. */
bool kmem_dump_obj(void *object)
{
	uint32_t id;

	if (!kn_span_has(object) ||
	    !kn_whatis_is_grown(object, kn_window_of(object)))
		return false;
	id = kn_map_id(kn_pfn(object));
	if (id == KN_ID_GUARD)
		return dump_guarded(object);
	if (kn_vmap_has(object) || id < KN_ID_FIRST_CACHE)
		return false;
	dump_object(kn_cache_by_id(id), object);
	return true;
}

/* All but objects of caches, in address space that is in use. */
static void dump_pages(const void *p)
{
	const bool is_area = kn_vmap_has(p);
	uint64_t nr = 0;
	const struct page *first = is_area ? kn_vmap_find_around(p, 1) :
					     kn_whatis_block(p, &nr);

	if (!is_area && first && kn_whatis_run_holder(first))
		first = NULL;
	if (!first)
		kn_print("%p: %s", p,
			 !is_area && kn_map_id(kn_pfn(p)) == KN_ID_GUARD ?
				 "a guard between guarded objects" :
				 "free memory of the heap");
	else
		kn_print("%p: %llu-page %s starting at %p", p,
			 (unsigned long long)(is_area ? first->nr_pages : nr),
			 is_area ? "vmalloc region" : "block",
			 kn_page_addr(first));
}

/* Documented in <knuma/slab.h>. */
void mem_dump_obj(void *object)
{
	if (kmem_dump_obj(object))
		return;
	if (!object)
		kn_print("%p: NULL pointer", object);
	else if (object == ZERO_SIZE_PTR)
		kn_print("%p: zero-size pointer", object);
	else if (!kn_span_has(object))
		kn_print("%p: not memory of the heap", object);
	else if (!kn_whatis_is_grown(object, kn_window_of(object)))
		kn_print("%p: address space of the heap, not in use", object);
	else
		dump_pages(object);
}
