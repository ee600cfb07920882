/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/account/ext.h - what a piece of memory remembers about its allocation
 *
 * One word, 0 for nothing, which is the usual case:
 *
 *   bits 48..63   id of the group that paid
 *   bits 6..47    address of the place in the source, a struct knuma_alloc_tag
 *   bit 0         it was sampled, see sample.h
 *
 * Objects have their words in a vector beside the slab, for caches that
 * remember; pages, large objects and areas in the descriptor of their first
 * page.  Written by who allocates, before anybody else knows the memory, and
 * taken by who frees it, before anybody else may have it; whole, since who asks
 * what lies at an address looks at any time.
 */
#ifndef KN_ACCOUNT_EXT_H
#define KN_ACCOUNT_EXT_H

#include <knuma/alloc_tag.h>

#include "alloc/account/group.h"
#include "alloc/account/sample.h"

#define KN_EXT_GROUP_SHIFT 48
#define KN_EXT_TAG	   (((uint64_t)1 << KN_EXT_GROUP_SHIFT) - 64)
#define KN_EXT_SAMPLED	   ((uint64_t)1)
KN_STATIC_ASSERT(KNUMA_GROUPS_MAX < 1 << 16, "the id of a group fits");

/*
 * Caches that are made from here on remember, whatever their flags; set before
 * main(), by programs whose places in the source are counted.
 */
extern bool kn_ext_always;

/*
 * Before an allocation of @bytes: charges them if @gfp and the thread's group
 * say so, and leaves the word for the memory in *@ext.  False, with errno: the
 * limit does not allow it.
 */
static inline bool kn_ext_begin(uint64_t bytes, gfp_t gfp, uint64_t *ext)
{
	struct knuma_group *const g = kn_group_active;

	*ext = 0;
	if (likely(!(gfp & __GFP_ACCOUNT)) || !g)
		return true;
	if (!kn_group_charge(g, bytes, gfp))
		return false;
	*ext = (uint64_t)g->id << KN_EXT_GROUP_SHIFT;
	return true;
}

/* The place in the source, or NULL. */
static inline struct knuma_alloc_tag *kn_ext_tag(uint64_t ext)
{
	return (struct knuma_alloc_tag *)(uintptr_t)(ext & KN_EXT_TAG);
}

/* What @ext says of @bytes is over: they are freed, or were never had. */
kn_slow void kn_ext_end(uint64_t ext, uint64_t bytes);

static inline struct knuma_group *kn_ext_group(uint64_t ext)
{
	const uint32_t id = (uint32_t)(ext >> KN_EXT_GROUP_SHIFT);

	return id ? kn_group_by_id(id) : NULL;
}

/* Takes the word of memory at @p that is being freed. */
static inline void kn_ext_take(uint64_t *word, const void *p, uint64_t bytes)
{
	const uint64_t ext = kn_load(word);

	if (likely(!ext))
		return;
	kn_store(word, 0);
	if (ext & KN_EXT_SAMPLED)
		kn_sample_free(p);
	kn_ext_end(ext, bytes);
}

#endif
