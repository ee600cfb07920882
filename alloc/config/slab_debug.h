/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/config/slab_debug.h - the value of the tunable slab_debug
 *
 *   -                       nothing, the built-in value
 *   FZPU  (or empty)        these flags for every cache
 *   FZ,kmalloc-*,dentry     for caches of these names; * stands for any text
 *   FZ;-,a,b                blocks: the first that names a cache is its own, the
 *                           last without names is for all others
 *
 * The letters are the kernel's: F consistency checks, Z red zones, P poison, U
 * callers, T trace, A failslab, O no layout that needs a larger slab, - none.
 */
#ifndef KN_CONFIG_SLAB_DEBUG_H
#define KN_CONFIG_SLAB_DEBUG_H

#include "alloc/base/compiler.h"

struct kn_slab_debug {
	uint32_t flags;	   /* SLAB_* */
	bool order_counts; /* the letter O, in any block */
};

/*
 * What @text says of the cache of name @cache; NULL is a cache that no block
 * names.  Takes no memory.  Return: 0, or -EINVAL for what is no such text.
 */
int kn_slab_debug_parse(const char *text, const char *cache,
			struct kn_slab_debug *debug);

#endif
