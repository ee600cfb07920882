/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/views.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>

#include "alloc/base/stack.h"
#include "alloc/vmalloc/vmap.h"
#include "numa/placement.h"

/* " main+0x1f/0x80", or without the length where the symbol is not known. */
static void print_caller(struct kn_text *t, const void *caller)
{
	const ElfW(Sym) *symbol = NULL;
	char name[200];
	Dl_info info;

	if (!caller)
		return;
	kn_stack_name((uintptr_t)caller, name, sizeof(name));
	kn_text_add(t, " %s", name);
	if (dladdr1((const char *)caller - 1, &info, (void **)&symbol,
		    RTLD_DL_SYMENT) &&
	    symbol)
		kn_text_add(t, "/%#" PRIx64, (uint64_t)symbol->st_size);
}

/* Nothing where the system does not say where pages lie. */
static void print_nodes(struct kn_text *t, const struct kn_vmap_row *row)
{
	long pages[KN_MAX_NODE_IDS];

	if (kn_placement((const void *)row->start,
			 row->nr_pages << KN_PAGE_SHIFT, pages,
			 KN_MAX_NODE_IDS) < 0)
		return;
	for (int id = 0; id < KN_MAX_NODE_IDS; id++)
		if (pages[id])
			kn_text_add(t, " N%d=%ld", id, pages[id]);
}

static void print_area(const struct kn_vmap_row *row, void *text)
{
	struct kn_text *t = text;

	kn_text_add(t, "0x%016" PRIxPTR "-0x%016" PRIxPTR " %7" PRIu64,
		    row->start, row->start + row->bytes, row->bytes);
	if (!row->nr_pages) {
		kn_text_add(t, " unpurged vm_area\n");
		return;
	}
	print_caller(t, row->caller);
	kn_text_add(t, " pages=%" PRIu64 " vmalloc", row->nr_pages);
	print_nodes(t, row);
	kn_text_add(t, "\n");
}

int kn_print_vmallocinfo(struct kn_text *t, int node)
{
	for (node = 0; node < kn_topo.nr_nodes; node++)
		kn_vmap_each(node, print_area, t);
	return 0;
}
