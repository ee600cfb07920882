/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/remember.h"

static uint64_t *slot_of_object(const void *p, uint32_t id, uint64_t *bytes)
{
	const struct kmem_cache *s = kn_cache_by_id(id);
	const struct page *head = kn_slab_head(s, p);

	uint64_t *vector;

	if (!s->remembers || !kn_slab_is_object(s, head, p))
		return NULL;
	*bytes = s->size;
	/* Of an object that others free just now, the slab may be gone. */
	vector = (uint64_t *)(uintptr_t)kn_load(&head->ext);
	return vector ? vector + kn_slab_index(s, head, p) : NULL;
}

uint64_t *kn_ext_slot(const void *p, uint64_t *bytes)
{
	const uint32_t id = kn_id_of(p);
	struct page *page;

	if (id >= KN_ID_FIRST_CACHE)
		return slot_of_object(p, id, bytes);
	if (id != KN_ID_LARGE && id != KN_ID_PAGES && id != KN_ID_VMALLOC)
		return NULL;
	page = kn_page(kn_pfn(p));
	if (p != kn_page_addr(page))
		return NULL;
	*bytes = (id == KN_ID_PAGES ? (uint64_t)1 << kn_load(&page->order) :
				      kn_load(&page->nr_pages))
		 << KN_PAGE_SHIFT;
	return &page->ext;
}

/* Documented in <knuma/group.h>. */
struct knuma_group *knuma_group_of(const void *p)
{
	uint64_t bytes;
	const uint64_t *const slot = kn_ext_slot(p, &bytes);

	return slot ? kn_ext_group(kn_load(slot)) : NULL;
}
