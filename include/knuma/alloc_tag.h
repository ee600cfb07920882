/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/alloc_tag.h - who allocates: calls and bytes of each place in the source
 *
 *   #define KNUMA_ALLOC_TAGS
 *   #include <knuma/alloc_tag.h>        instead of, or behind, the other headers
 *   ...
 *   knuma_allocinfo_print(STDERR_FILENO);
 *
 * In a file that defines KNUMA_ALLOC_TAGS, each call of the functions below is
 * counted where it stands, by macros of the same names.
 *
 * What is counted: calls that succeeded, and the bytes they asked for, since the
 * start.  What is not: frees.  An object does not remember where it was
 * allocated, so this is who allocates how much, not who holds it, and a place
 * that frees all of it counts as one that leaks.  Not counted either are calls
 * by address, reallocations, and inline functions of knuma's headers other than
 * those below.
 *
 * A count is an atomic add to a cache line of the place.  For C: in C++ a place
 * in a template or inline function has no section of its own.
 */
#ifndef KNUMA_ALLOC_TAG_H
#define KNUMA_ALLOC_TAG_H

#include <knuma/kvmalloc.h>
#include <knuma/slab.h>
#include <knuma/types.h>
#include <knuma/vmalloc.h>

/**
 * struct knuma_alloc_tag - a place in the source that allocates
 * @file: as the compiler was given it
 * @func: function it stands in
 * @line: line of @file
 * @calls: that succeeded; relaxed atomic
 * @bytes: that they asked for; relaxed atomic
 */
struct knuma_alloc_tag {
	const char *file;
	const char *func;
	unsigned long line;
	uint64_t calls;
	uint64_t bytes;
} __attribute__((aligned(64)));

KN_BEGIN_DECLS

/**
 * knuma_alloc_tags_text - places as text, as /proc/allocinfo has them
 * @first: the first place
 * @n: their number
 * @buf: where to put it; may be NULL if @len is 0
 * @len: bytes in @buf
 *
 * Two lines of heading, then bytes, calls, file:line and func:name of each
 * place that was called.  As snprintf(3): @buf ends in a zero byte unless @len
 * is 0.
 *
 * Context: Any thread, no signal handler.  Allocates nothing.
 * Return:  bytes of the whole text, without the zero byte.
 * Source:  Linux lib/alloc_tag.c.  Differs: counts since the start, not what is
 *          held.
 */
size_t knuma_alloc_tags_text(const struct knuma_alloc_tag *first, size_t n,
			     char *buf, size_t len) KN_API;

/**
 * knuma_alloc_tags_print - the same, to a file
 * @first: the first place
 * @n: their number
 * @fd: open for writing
 *
 * Context: as knuma_alloc_tags_text().
 */
void knuma_alloc_tags_print(const struct knuma_alloc_tag *first, size_t n,
			    int fd) KN_API;

KN_END_DECLS

#ifdef KNUMA_ALLOC_TAGS
#ifdef __cplusplus
#error "KNUMA_ALLOC_TAGS is for C"
#endif

/* All places of this program or library; made by the linker. */
extern struct knuma_alloc_tag __start_knuma_alloc_tags[]
	__attribute__((weak, visibility("hidden")));
extern struct knuma_alloc_tag __stop_knuma_alloc_tags[]
	__attribute__((weak, visibility("hidden")));

/**
 * knuma_allocinfo_text - all places of this program or library as text
 * @buf: where to put it; may be NULL if @len is 0
 * @len: bytes in @buf
 *
 * knuma_alloc_tags_text() of the places in all files that were linked together
 * with the calling one.
 *
 * Context: as knuma_alloc_tags_text().
 * Return:  bytes of the whole text, without the zero byte.
 */
static inline size_t knuma_allocinfo_text(char *buf, size_t len)
{
	return knuma_alloc_tags_text(
		__start_knuma_alloc_tags,
		(size_t)(__stop_knuma_alloc_tags - __start_knuma_alloc_tags),
		buf, len);
}

/**
 * knuma_allocinfo_print - the same, to a file
 * @fd: open for writing
 *
 * Context: as knuma_alloc_tags_text().
 */
static inline void knuma_allocinfo_print(int fd)
{
	knuma_alloc_tags_print(
		__start_knuma_alloc_tags,
		(size_t)(__stop_knuma_alloc_tags - __start_knuma_alloc_tags),
		fd);
}

static inline void *kn_tag_count(struct knuma_alloc_tag *tag, void *p, size_t n)
{
	if (!p)
		return p;
	__atomic_fetch_add(&tag->calls, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tag->bytes, n, __ATOMIC_RELAXED);
	return p;
}

/* @call may use kn_size, which is @size evaluated once. */
#define KN_TAGGED(size, call)                                                  \
	__extension__({                                                        \
		static struct knuma_alloc_tag kn_tag                           \
			__attribute__((section("knuma_alloc_tags"), used)) = { \
				__FILE__, __func__, __LINE__, 0, 0};           \
		const size_t kn_size = (size);                                 \
		kn_tag_count(&kn_tag, (call), kn_size);                        \
	})

#define kmalloc(size, gfp) KN_TAGGED(size, kmalloc(kn_size, gfp))
#define kzalloc(size, gfp) KN_TAGGED(size, kzalloc(kn_size, gfp))
#define kmalloc_node(size, gfp, node) \
	KN_TAGGED(size, kmalloc_node(kn_size, gfp, node))
#define kzalloc_node(size, gfp, node) \
	KN_TAGGED(size, kzalloc_node(kn_size, gfp, node))
#define kvmalloc(size, gfp) KN_TAGGED(size, kvmalloc(kn_size, gfp))
#define kvzalloc(size, gfp) KN_TAGGED(size, kvzalloc(kn_size, gfp))
#define kvmalloc_node(size, gfp, node) \
	KN_TAGGED(size, kvmalloc_node(kn_size, gfp, node))
#define kvzalloc_node(size, gfp, node) \
	KN_TAGGED(size, kvzalloc_node(kn_size, gfp, node))
#define vmalloc(size)		 KN_TAGGED(size, vmalloc(kn_size))
#define vzalloc(size)		 KN_TAGGED(size, vzalloc(kn_size))
#define vmalloc_node(size, node) KN_TAGGED(size, vmalloc_node(kn_size, node))
#define vzalloc_node(size, node) KN_TAGGED(size, vzalloc_node(kn_size, node))
#define kmem_cache_alloc(s, gfp) kmem_cache_alloc_node(s, gfp, NUMA_NO_NODE)
#define kmem_cache_zalloc(s, gfp) \
	kmem_cache_alloc_node(s, (gfp) | __GFP_ZERO, NUMA_NO_NODE)
#define kmem_cache_alloc_node(s, gfp, node)                            \
	__extension__({                                                \
		struct kmem_cache *const kn_cache = (s);               \
		KN_TAGGED(kmem_cache_size(kn_cache),                   \
			  kmem_cache_alloc_node(kn_cache, gfp, node)); \
	})
#endif /* KNUMA_ALLOC_TAGS */

#endif /* KNUMA_ALLOC_TAG_H */
