/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/alloc_tag.h - who holds memory: calls and bytes of each place in the source
 *
 *   #define KNUMA_ALLOC_TAGS
 *   #include <knuma/alloc_tag.h>        instead of, or behind, the other headers
 *   ...
 *   knuma_allocinfo_print(STDERR_FILENO);
 *
 * In a file that defines KNUMA_ALLOC_TAGS, each call of the functions below is
 * counted where it stands, by macros of the same names.
 *
 * What is counted is what lives: objects, areas and their bytes, as ksize() has
 * them, from the allocation to the free, whoever frees and however.  Not counted
 * are calls by address, reallocations, and inline functions of knuma's headers
 * other than those below; what krealloc() moves leaves its place.
 *
 * The memory remembers its place, so tagged objects come from caches of their
 * own, kmalloc-cg-*, past the arrays of the CPUs; and caches that a program with
 * such a file makes do so for all of their objects.  An allocation and a free
 * take about 0.1 us together.  A library with tagged files must not be unloaded
 * while what it allocated lives: link it with -z nodelete.
 *
 * For C: in C++ a place in a template or inline function has no section of its
 * own.
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
 * @calls: allocations that live, relaxed atomic
 * @bytes: that they take, relaxed atomic
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
 * place of which anything lives.  As snprintf(3): @buf ends in a zero byte unless @len
 * is 0.
 *
 * Context: Any thread, no signal handler.  Allocates nothing.
 * Return:  bytes of the whole text, without the zero byte.
 * Source:  Linux lib/alloc_tag.c.
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

/**
 * knuma_alloc_tag_add - memory belongs to a place from here until it is freed
 * @tag: the place
 * @p: start of an object that the macros below allocate, or of an area; or NULL
 *
 * Called by the macros below.  An object of a cache that was made before
 * knuma_alloc_tags_enable() is not counted, which is told once.
 *
 * Context: any thread, any signal handler; @p is the caller's alone.
 * Return:  @p.
 */
void *knuma_alloc_tag_add(struct knuma_alloc_tag *tag, void *p) KN_API;

/**
 * knuma_alloc_tags_enable - caches made from here on remember places
 *
 * A file with KNUMA_ALLOC_TAGS calls it before main().
 *
 * Context: any thread, any signal handler.
 */
void knuma_alloc_tags_enable(void) KN_API;

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

static void kn_tags_enable(void) __attribute__((constructor));

static void kn_tags_enable(void)
{
	knuma_alloc_tags_enable();
}

#define kn_tagged(call)                                                        \
	__extension__({                                                        \
		static struct knuma_alloc_tag kn_tag                           \
			__attribute__((section("knuma_alloc_tags"), used)) = { \
				__FILE__, __func__, __LINE__, 0, 0};           \
		knuma_alloc_tag_add(&kn_tag, (call));                          \
	})
#define kn_tag_gfp(gfp)	   ((gfp) | KN_GFP_REMEMBER)

#define kmalloc(size, gfp) kn_tagged(kmalloc(size, kn_tag_gfp(gfp)))
#define kzalloc(size, gfp) kn_tagged(kzalloc(size, kn_tag_gfp(gfp)))
#define kmalloc_node(size, gfp, node) \
	kn_tagged(kmalloc_node(size, kn_tag_gfp(gfp), node))
#define kzalloc_node(size, gfp, node) \
	kn_tagged(kzalloc_node(size, kn_tag_gfp(gfp), node))
#define kvmalloc(size, gfp) kn_tagged(kvmalloc(size, kn_tag_gfp(gfp)))
#define kvzalloc(size, gfp) kn_tagged(kvzalloc(size, kn_tag_gfp(gfp)))
#define kvmalloc_node(size, gfp, node) \
	kn_tagged(kvmalloc_node(size, kn_tag_gfp(gfp), node))
#define kvzalloc_node(size, gfp, node) \
	kn_tagged(kvzalloc_node(size, kn_tag_gfp(gfp), node))
#define vmalloc(size)		  kn_tagged(vmalloc(size))
#define vzalloc(size)		  kn_tagged(vzalloc(size))
#define vmalloc_node(size, node)  kn_tagged(vmalloc_node(size, node))
#define vzalloc_node(size, node)  kn_tagged(vzalloc_node(size, node))
#define kmem_cache_alloc(s, gfp)  kn_tagged(kmem_cache_alloc(s, gfp))
#define kmem_cache_zalloc(s, gfp) kmem_cache_alloc(s, (gfp) | __GFP_ZERO)
#define kmem_cache_alloc_node(s, gfp, node) \
	kn_tagged(kmem_cache_alloc_node(s, gfp, node))
#endif /* KNUMA_ALLOC_TAGS */

#endif /* KNUMA_ALLOC_TAG_H */
