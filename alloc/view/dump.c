/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/dump.c - kmem_dump_obj(), mem_dump_obj(): an address in one line */
#include <knuma/slab.h>

#include "alloc/base/print.h"
#include "alloc/base/stack.h"
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

static void dump_area(const void *p)
{
	const struct page *area = kn_vmap_find_around(p, 1);
	char caller[200];

	if (!area) {
		kn_print("%p: free memory of the heap", p);
		return;
	}
	kn_stack_name((uintptr_t)kn_load(&area->caller), caller,
		      sizeof(caller));
	kn_print("%p: %llu-page vmalloc region starting at %p allocated at %s",
		 p, (unsigned long long)kn_area_pages(area), kn_page_addr(area),
		 caller);
}

/* What is in page parts, but objects of caches. */
static void dump_pages(const void *p)
{
	uint64_t nr;
	const struct page *first = kn_whatis_block(p, &nr);
	const char *holder = first ? kn_whatis_run_holder(first) : NULL;

	if (kn_map_id(kn_pfn(p)) == KN_ID_GUARD)
		kn_print("%p: a guard between guarded objects", p);
	else if (!first)
		kn_print("%p: free memory of the heap", p);
	else
		kn_print("%p: %llu-page block starting at %p, %s%s", p,
			 (unsigned long long)nr, kn_page_addr(first),
			 holder ? "free in a " : "in use",
			 holder ? holder : "");
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
	else if (kn_vmap_has(object))
		dump_area(object);
	else
		dump_pages(object);
}
