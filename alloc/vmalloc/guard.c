/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/vmalloc/guard.h"

#include <sys/mman.h>

#include "alloc/base/assert.h"
#include "alloc/config/tunables.h"
#include "numa/machine.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

static bool no_markers;		/* the kernel has no guard markers */
static uint64_t nr_mappings;

static void *page_at(struct page *area, uint64_t at)
{
	return (char *)kn_page_addr(area) + (at << KN_PAGE_SHIFT);
}

bool kn_mappings_take(void)
{
	if (kn_load(&nr_mappings) + 2 > kn_load(&kn_tun.vma_budget))
		return false;
	ck_pr_add_64(&nr_mappings, 2);
	return true;
}

void kn_mappings_give(void)
{
	ck_pr_sub_64(&nr_mappings, 2);
}

/* A PROT_NONE page splits a mapping in three. */
static bool by_mprotect(struct page *area, uint64_t at)
{
	if (!kn_mappings_take()) {
		kn_warn_once("vma_budget of %llu mappings is used up: further "
			     "vmalloc areas have no guard",
			     (unsigned long long)kn_load(&kn_tun.vma_budget));
		return false;
	}
	if (!kn_machine.mprotect(page_at(area, at), KN_PAGE_SIZE, PROT_NONE))
		return true;
	kn_mappings_give();
	return false;
}

void kn_guard_install(struct page *area, uint64_t at)
{
	if (!kn_tun.guard_pages)
		return;
	if (!kn_load(&no_markers)) {
		if (!kn_machine.madvise(page_at(area, at), KN_PAGE_SIZE,
					MADV_GUARD_INSTALL)) {
			area->flags |= KN_PAGE_GUARDED;
			return;
		}
		/* Locked memory refuses markers, too. */
		if (!kn_tun.lock_memory)
			kn_store(&no_markers, true);
	}
	if (by_mprotect(area, at))
		area->flags |= KN_PAGE_GUARDED | KN_PAGE_SPLIT;
}

bool kn_guard_remove(struct page *area, uint64_t at)
{
	const bool split = area->flags & KN_PAGE_SPLIT;
	int err;

	if (!(area->flags & KN_PAGE_GUARDED))
		return true;
	err = split ? kn_machine.mprotect(page_at(area, at), KN_PAGE_SIZE,
					  PROT_READ | PROT_WRITE) :
		      kn_machine.madvise(page_at(area, at), KN_PAGE_SIZE,
					 MADV_GUARD_REMOVE);
	if (err) {
		kn_store(&kn_span.purge_error, err);
		return false;
	}
	if (split)
		kn_mappings_give();
	area->flags &= (uint8_t)~(KN_PAGE_GUARDED | KN_PAGE_SPLIT);
	return true;
}

uint64_t kn_guard_mappings(void)
{
	return kn_load(&nr_mappings);
}
