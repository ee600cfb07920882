/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/whatis.h"

#include <errno.h>
#include <knuma/gfp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/account/group.h"
#include "alloc/magazine/drain.h"
#include "alloc/page/large.h"
#include "alloc/slab/cache.h"
#include "alloc/slab/fence.h"
#include "alloc/slab/harden.h"
#include "alloc/view/json.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/machine.h"

/* The largest block or run that begins before an address: 4 MiB. */
#define PAGES_BACK ((uint32_t)(KMALLOC_MAX_SIZE >> KN_PAGE_SHIFT))

static void say_range(struct kn_text *t, const char *kind, uintptr_t start,
		      uint64_t bytes)
{
	kn_member_text(t, "kind", kind);
	kn_member_address(t, "start", start);
	kn_member_u64(t, "bytes", bytes);
}

static void say_state(struct kn_text *t, bool allocated, const char *holder)
{
	kn_member_text(t, "state", allocated ? "allocated" : "free");
	kn_member_text(t, "held_by", holder);
}

/* Objects of slabs. */

/* Of in_magazine(); the drain lock is held. */
static const void *wanted;

static uint64_t has_wanted(const struct kn_magazine *m)
{
	const uint32_t n = KN_MIN((uint32_t)(kn_load(&m->cur) & 0xffff),
				  (uint32_t)KN_MAG_SLOTS);

	for (uint32_t i = 0; i < n; i++)
		if (kn_load(&m->slot[i]) == wanted)
			return 1;
	return 0;
}

static bool in_magazine(const struct kn_magcache *c, int node, const void *obj)
{
	const struct kn_drain_set set = {
		.first_id = c->id,
		.last_id = c->id,
		.cid = -1,
		.node = node,
	};

	wanted = obj;
	return kn_drain_sum(&set, has_wanted) != 0;
}

/*
 * Blocks are never unmapped, so the walk is safe; one that others change may be
 * missed, or lead elsewhere, but not for long.
 */
static bool in_depot(const struct kn_magcache *c, int node, const void *obj)
{
	struct kn_depot *d = &c->depot[node];
	uint32_t left = kn_load(&d->nr_full) + 1;
	ck_stack_entry_t *e = ck_pr_load_ptr(&d->full.head);

	for (; e && left; left--, e = ck_pr_load_ptr(&e->next)) {
		const struct kn_block *b =
			kn_container_of(e, struct kn_block, link);
		const uint32_t n = kn_block_nr(b);

		for (uint32_t i = 0; i < n; i++)
			if (kn_load_any(&b->obj[i]) == obj)
				return true;
	}
	return false;
}

/* In use; and who paid for it, if anybody did. */
static void say_used(struct kn_text *t, const void *start)
{
	const struct knuma_group *g = knuma_group_of(start);

	say_state(t, true, "program");
	if (g)
		kn_member_text(t, "group", g->name);
}

const char *kn_whatis_holder(struct kmem_cache *s, const void *obj)
{
	const struct page *head = kn_slab_head(s, obj);
	const uint32_t i = kn_slab_index(s, head, obj);
	const int node = kn_window_of(obj);

	if (kn_load(&head->free_map[i / 64]) >> i % 64 & 1)
		return "slab";
	if (in_magazine(&s->mag, node, obj))
		return "magazine";
	if (in_depot(&s->mag, node, obj))
		return "depot";
	return kn_harden_waits(obj) ? "quarantine" : NULL;
}

static void say_object(struct kn_text *t, const void *p, uint32_t id)
{
	struct kmem_cache *s = kn_cache_by_id(id);
	struct page *head = kn_slab_head(s, p);
	const char *slab = kn_page_addr(head);
	const uint32_t i = kn_slab_index(s, head, p);
	const char *obj = kn_slab_object(s, head, i);
	const char *holder;

	if (i >= s->nr_objects) {
		say_range(t, "end of a slab, behind its objects",
			  (uintptr_t)slab, KN_PAGE_SIZE << s->order);
		kn_member_text(t, "cache", s->name);
		return;
	}
	say_range(t, "object", (uintptr_t)obj, s->object_size);
	kn_member_u64(t, "offset", (uint64_t)((const char *)p - obj));
	kn_member_text(t, "cache", s->name);
	kn_member_address(t, "slab", (uintptr_t)slab);
	kn_member_u64(t, "slab_bytes", KN_PAGE_SIZE << s->order);
	holder = kn_whatis_holder(s, obj);
	if (holder)
		say_state(t, false, holder);
	else
		say_used(t, obj);
}

/* Objects between guards, and the guards. */
static void say_guarded(struct kn_text *t, const void *p)
{
	struct kn_fence_view v;

	if (!kn_fence_look(p, &v)) {
		say_range(t, "guard", KN_ALIGN_DOWN((uintptr_t)p, KN_PAGE_SIZE),
			  KN_PAGE_SIZE);
		return;
	}
	say_range(t, "guarded object", v.start, v.size);
	if ((uintptr_t)p >= v.start)
		kn_member_u64(t, "offset", (uintptr_t)p - v.start);
	kn_member_text(t, "cache", v.cache);
	say_state(t, v.used, v.used ? "program" : "guards");
}

/* Pages. */

const char *kn_whatis_run_holder(const struct page *head)
{
	const struct kn_magcache *c = kn_large_cache(kn_load(&head->nr_pages));
	const void *run = kn_page_addr(head);
	const int node = kn_window_of(run);

	if (!c || kn_map_id(kn_page_pfn(head)) != KN_ID_LARGE)
		return NULL;
	if (in_magazine(c, node, run))
		return "magazine";
	return in_depot(c, node, run) ? "depot" : NULL;
}

/* Only the first page of a block or run is in the map. */
const struct page *kn_whatis_block(const void *p, uint64_t *nr)
{
	const uint32_t pfn = kn_pfn(p);
	const uint32_t first = kn_pfn((void *)kn_window_base(kn_window_of(p)));

	for (uint32_t back = 0; back <= KN_MIN(pfn - first, PAGES_BACK);
	     back++) {
		const uint32_t id = kn_map_id(pfn - back);
		const struct page *head = kn_page(pfn - back);

		if (id == KN_ID_NONE)
			continue;
		if (id != KN_ID_LARGE && id != KN_ID_PAGES)
			return NULL;
		*nr = id == KN_ID_LARGE ? kn_load(&head->nr_pages) :
					  1ull << kn_load(&head->order);
		return back < *nr ? head : NULL;
	}
	return NULL;
}

static bool say_pages(struct kn_text *t, const void *p)
{
	uint64_t nr;
	const struct page *head = kn_whatis_block(p, &nr);
	const char *holder;

	if (!head)
		return false;
	say_range(t, kn_map_id(kn_page_pfn(head)) == KN_ID_LARGE ?
			     "large object" :
			     "pages",
		  (uintptr_t)kn_page_addr(head), nr << KN_PAGE_SHIFT);
	kn_member_u64(t, "offset",
		      (uintptr_t)p - (uintptr_t)kn_page_addr(head));
	holder = kn_whatis_run_holder(head);
	if (holder)
		say_state(t, false, holder);
	else
		say_used(t, kn_page_addr(head));
	return true;
}

static void say_free_page(struct kn_text *t, const void *p)
{
	const uintptr_t page = KN_ALIGN_DOWN((uintptr_t)p, KN_PAGE_SIZE);
	const uint32_t pfn = kn_pfn(p);

	for (unsigned o = 0; o < KN_NR_ORDERS; o++) {
		const struct page *head = kn_page(pfn & ~((1u << o) - 1));
		const uint8_t order = kn_load(&head->order);

		if (kn_load(&head->type) != KN_PAGE_FREE || order < o)
			continue;
		say_range(t, "free block", (uintptr_t)kn_page_addr(head),
			  KN_PAGE_SIZE << order);
		say_state(t, false, "zone");
		return;
	}
	say_range(t, "free page", page, KN_PAGE_SIZE);
	say_state(t, false, "page lists");
}

static void say_area(struct kn_text *t, const void *p)
{
	const struct page *area = kn_vmap_find_around(p, 1);
	const uintptr_t page = KN_ALIGN_DOWN((uintptr_t)p, KN_PAGE_SIZE);

	if (!area) {
		say_range(t, "vmalloc address space, in no area", page,
			  KN_PAGE_SIZE);
		say_state(t, false, "vmalloc");
		return;
	}
	say_range(t, "vmalloc area", (uintptr_t)kn_page_addr(area),
		  kn_area_pages(area) << KN_PAGE_SHIFT);
	kn_member_u64(t, "offset",
		      (uintptr_t)p - (uintptr_t)kn_page_addr(area));
	say_used(t, kn_page_addr(area));
}

/* The system's view. */

struct mapping {
	uintptr_t start, end;
	char name[128];
	uint64_t page_kib, huge_kib, locked_kib;
	bool wants_huge;
};

/* 7f0000000000-7f0000400000 rw-p 00000000 00:00 0    [anon:knuma:n0:page] */
static bool begins_mapping(const char *line, struct mapping *m)
{
	int name = 0;

	if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &m->start, &m->end,
		   &name) < 2)
		return false;
	snprintf(m->name, sizeof(m->name), "%s", name ? line + name : "");
	return true;
}

static void take_field(const char *line, struct mapping *m)
{
	if (sscanf(line, "KernelPageSize: %lu", &m->page_kib) == 1 ||
	    sscanf(line, "AnonHugePages: %lu", &m->huge_kib) == 1 ||
	    sscanf(line, "Locked: %lu", &m->locked_kib) == 1)
		return;
	if (!strncmp(line, "VmFlags:", 8))
		m->wants_huge = strstr(line, " hg") != NULL;
}

/* The mapping of @p in the text of smaps. */
static bool find_mapping(char *text, uintptr_t p, struct mapping *m)
{
	bool inside = false;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		struct mapping next = {0};

		if (begins_mapping(line, &next)) {
			if (inside)
				return true;
			inside = next.start <= p && p < next.end;
			if (inside)
				*m = next;
		} else if (inside) {
			take_field(line, m);
		}
	}
	return inside;
}

/* The word of numa_maps for the mapping that begins at @start. */
static const char *find_policy(char *text, uintptr_t start)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *word = NULL;

		if (strtoull(line, &word, 16) != start || *word != ' ')
			continue;
		word[1 + strcspn(word + 1, " ")] = '\0';
		return word + 1;
	}
	return NULL;
}

/* Of 1.2 KiB for each mapping; the kernel lets a process have 65,530. */
#define SMAPS_MAX ((size_t)128 << 20)

static void say_mapping(struct kn_text *t, uintptr_t address)
{
	char path[64], *text;
	struct mapping m = {0};
	const char *policy;

	text = kn_machine.mmap(NULL, SMAPS_MAX, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	if (kn_is_err(text))
		return;
	snprintf(path, sizeof(path), "%s/self/smaps", kn_machine.procfs);
	if (kn_machine.read_file(path, text, SMAPS_MAX) <= 0 ||
	    !find_mapping(text, address, &m)) {
		kn_member_bool(t, "mapped", false);
		goto out;
	}
	kn_member_bool(t, "mapped", true);
	kn_member_text(t, "mapping", m.name);
	kn_member_u64(t, "page_size", m.page_kib << 10);
	kn_member_bool(t, "mapping_wants_huge", m.wants_huge);
	kn_member_u64(t, "mapping_huge_bytes", m.huge_kib << 10);
	kn_member_u64(t, "mapping_locked_bytes", m.locked_kib << 10);
	snprintf(path, sizeof(path), "%s/self/numa_maps", kn_machine.procfs);
	if (kn_machine.read_file(path, text, SMAPS_MAX) > 0 &&
	    (policy = find_policy(text, m.start)) != NULL)
		kn_member_text(t, "policy", policy);
out:
	kn_machine.munmap(text, SMAPS_MAX);
}

static void say_node(struct kn_text *t, uintptr_t address)
{
	void *page = (void *)KN_ALIGN_DOWN(address, KN_PAGE_SIZE);
	int status = -ENOENT;
	const int err = kn_page_nodes(1, &page, &status);

	kn_member_key(t, "node");
	if (err >= 0 && status >= 0)
		kn_text_add(t, "%d", status);
	else
		kn_text_add(t, "null");
	kn_member_bool(t, "in_memory", err >= 0 && status >= 0);
	if (err < 0)
		kn_member_text(t, "node_error", strerrorname_np(-err));
}

bool kn_whatis_is_grown(const void *p, int node)
{
	return node < kn_topo.nr_nodes &&
	       (kn_vmap_has(p) || (uintptr_t)p < kn_load(&kn_zones[node].grown));
}

static void say_own(struct kn_text *t, const void *p)
{
	const int node = kn_window_of(p);
	const uint32_t id = kn_map_id(kn_pfn(p));

	if (!kn_whatis_is_grown(p, node))
		say_range(t, "reserved address space, not in use",
			  KN_ALIGN_DOWN((uintptr_t)p, KN_PAGE_SIZE),
			  KN_PAGE_SIZE);
	else if (kn_vmap_has(p))
		say_area(t, p);
	else if (id >= KN_ID_FIRST_CACHE)
		say_object(t, p, id);
	else if (id == KN_ID_GUARD)
		say_guarded(t, p);
	else if (!say_pages(t, p))
		say_free_page(t, p);
	if (node < kn_topo.nr_nodes)
		kn_member_u64(t, "node_wanted",
			      (uint64_t)kn_topo.kernel_id[node]);
}

void kn_whatis_json(struct kn_text *t, uintptr_t address)
{
	const void *p = (const void *)address;

	kn_member_address(t, "address", address);
	kn_member_bool(t, "knuma", kn_span_has(p));
	if (kn_span_has(p))
		say_own(t, p);
	else
		kn_member_text(t, "kind",
			       "foreign: not memory of knuma's heap");
	say_node(t, address);
	say_mapping(t, address);
}
