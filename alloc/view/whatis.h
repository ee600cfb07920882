/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/view/whatis.h - what lies at an address */
#ifndef KN_VIEW_WHATIS_H
#define KN_VIEW_WHATIS_H

#include "alloc/base/print.h"

/*
 * Adds what is known of @address: its kind and allocation, whether that is in
 * use, the node it is for and the one it lies on, and how the system maps it.
 * The answer is of the moment.  Never touches what lies there.
 */
void kn_whatis_json(struct kn_text *t, uintptr_t address);

struct kmem_cache;
struct page;

/*
 * Who has the object @obj of @s that the program has not: "slab", "magazine" and
 * so on; NULL when it has it.  Context: may wait.
 */
const char *kn_whatis_holder(struct kmem_cache *s, const void *obj);

/* The same of the block or run that begins with @head. */
const char *kn_whatis_run_holder(const struct page *head);

/*
 * The first page of the block in use or the run that @p, in a page part, is in,
 * and how many pages it has; or NULL.
 */
const struct page *kn_whatis_block(const void *p, uint64_t *nr);

/* Whether @p is in address space of @node that has been made usable. */
bool kn_whatis_is_grown(const void *p, int node);

#endif
