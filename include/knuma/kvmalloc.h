/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/kvmalloc.h - kmalloc() while that is cheap, vmalloc() beyond
 *
 * For sizes that are not known to be small.  Up to a page the memory comes from
 * kmalloc(); above that kmalloc() is tried lightly and silently, then vmalloc()
 * on the same node, then the next node of the zonelist.  kvfree() finds out
 * which it was.
 */
#ifndef KNUMA_KVMALLOC_H
#define KNUMA_KVMALLOC_H

#include <knuma/gfp.h>
#include <knuma/kmalloc.h>
#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * kvfree - free memory of kvmalloc(), kmalloc() or vmalloc()
 * @p: result of any of them or of their siblings; NULL and ZERO_SIZE_PTR are
 *     no-ops
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call,
 *          leaves errno alone.
 * Errors:  as kfree() and vfree().
 * Source:  Linux mm/slub.c, kvfree().  Differs: the kernel's may sleep.
 */
void kvfree(const void *p) KN_SYM(kvfree);

/**
 * kvfree_sized - free memory of kvmalloc() whose size is known
 * @p: as for kvfree()
 * @size: bytes that it was asked for last, or more, up to all that it has
 *
 * kvfree(), with the checks of kfree_sized().
 *
 * Context: as kvfree().
 * Errors:  as kvfree(), and as kfree_sized(); of an area a @size above its pages
 *          is reported each time.
 */
void kvfree_sized(const void *p, size_t size) KN_SYM(kvfree_sized);

/**
 * kvfree_sensitive - wipe memory of kvmalloc(), then free it
 * @p: as for kvfree()
 * @len: bytes to overwrite with zeroes, at most what was asked for
 *
 * Context: as kvfree().
 */
void kvfree_sensitive(const void *p, size_t len) KN_SYM(kvfree_sensitive);

/**
 * kvmalloc_node - allocate memory of one NUMA node, of any size
 * @size: bytes in [0, INT_MAX]; 0 returns ZERO_SIZE_PTR
 * @gfp: how hard to try, see gfp.h
 * @node: node id, or NUMA_NO_NODE for the nearest one with memory
 *
 * Placement is that of kmalloc_node().  Flags that forbid waiting get memory
 * that is populated already, or NULL.
 *
 * Alignment: as kmalloc() up to KMALLOC_MAX_CACHE_SIZE, a page at least above.
 * Context:   Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM.  In a
 *            signal handler only with GFP_NOWAIT or GFP_ATOMIC.
 * Return:    the memory, its content undefined unless __GFP_ZERO; NULL on
 *            failure, and errno tells why.
 * Errors:    ENOMEM when the allowed nodes are exhausted, or @size is above
 *            INT_MAX (warns once unless __GFP_NOWARN), or @gfp has
 *            __GFP_THISNODE and @node cannot serve.  EINVAL when @node is no
 *            possible id (warns once).
 * Notes:     A call for much that may not wait is likely to get NULL.
 * Source:    Linux mm/slub.c, kvmalloc_node().
 */
void *kvmalloc_node(size_t size, gfp_t gfp, int node) KN_SYM(kvmalloc_node)
	KN_ALLOC(1) KN_MALLOC(kvfree) KN_FREED_BY(kvfree_sensitive, 1);

/**
 * kvmalloc_node_align - kvmalloc_node() with an alignment
 * @size: as for kvmalloc_node()
 * @align: alignment in bytes, a power of two; 0 and 1 mean that of
 *         kvmalloc_node()
 * @gfp: how hard to try, see gfp.h
 * @node: as for kvmalloc_node()
 *
 * Alignment: @align, or as kvmalloc_node() if that is more.
 * Context:   as kvmalloc_node().
 * Return:    as kvmalloc_node().
 * Errors:    as kvmalloc_node(), and EINVAL when @align is no power of two
 *            (warns once).
 * Source:    Linux mm/slub.c, kvmalloc_node_align() of 6.18.
 */
void *kvmalloc_node_align(size_t size, unsigned long align, gfp_t gfp, int node)
	KN_SYM(kvmalloc_node_align) KN_ALLOC(1) KN_ALLOC_ALIGN(2)
		KN_MALLOC(kvfree) KN_FREED_BY(kvfree_sensitive, 1);

/**
 * kvrealloc - change the size of memory from kvmalloc()
 * @p: memory as for kvfree(); with NULL or ZERO_SIZE_PTR the call is kvmalloc()
 * @size: bytes in [0, INT_MAX]; 0 frees @p and returns ZERO_SIZE_PTR
 * @gfp: how hard to try, see gfp.h
 *
 * The memory stays where it is when it is large enough.  Memory above
 * kvmalloc_pages_max grows on its node: where it is, or by moving its pages, or
 * as a copy; what a shrink leaves over goes back to the system.  All else is
 * copied to memory near the running CPU.  The content is kept up to the lesser
 * of both sizes.  __GFP_ZERO holds as for krealloc().
 *
 * Context: as kvmalloc_node().  Not at the same time as any other use of @p.
 * Return:  the memory; NULL on failure, and then @p is as before.
 * Errors:  as kvmalloc_node().
 * Source:  Linux mm/slub.c, kvrealloc() of 6.12, with three arguments.
 */
void *kvrealloc(const void *p, size_t size, gfp_t gfp)
	KN_SYM(kvrealloc) KN_MUST_CHECK KN_ALLOC(2);

/**
 * kvrealloc_node_align - kvrealloc() with an alignment and a NUMA node
 * @p: as for kvrealloc()
 * @size: as for kvrealloc()
 * @align: alignment in bytes, a power of two; 0 and 1 mean that of kvmalloc()
 * @gfp: how hard to try, see gfp.h
 * @nid: node for memory that is copied, as for kvmalloc_node()
 *
 * The memory also moves when it is not aligned to @align, or when @gfp has
 * __GFP_THISNODE and it is not of @nid.
 *
 * Alignment: @align, or as kvmalloc_node() if that is more.
 * Context:   as kvrealloc().
 * Return:    the memory; NULL on failure, and then @p is as before.
 * Errors:    as kvmalloc_node_align().
 * Source:    Linux mm/slub.c, kvrealloc_node_align() of 6.18.
 */
void *kvrealloc_node_align(const void *p, size_t size, unsigned long align,
			   gfp_t gfp, int nid)
	KN_SYM(kvrealloc_node_align) KN_MUST_CHECK KN_ALLOC(2);

KN_END_DECLS

/* kvmalloc_node() near the running CPU. */
static inline KN_ALLOC(1) void *kvmalloc(size_t size, gfp_t gfp)
{
	return kvmalloc_node(size, gfp, NUMA_NO_NODE);
}

/* kvmalloc() of zeroes. */
static inline KN_ALLOC(1) void *kvzalloc(size_t size, gfp_t gfp)
{
	return kvmalloc(size, gfp | __GFP_ZERO);
}

/* kvmalloc_node() of zeroes. */
static inline KN_ALLOC(1) void *kvzalloc_node(size_t size, gfp_t gfp, int node)
{
	return kvmalloc_node(size, gfp | __GFP_ZERO, node);
}

/**
 * kvmalloc_array_node - kvmalloc_node() of an array
 * @n: number of elements
 * @size: bytes of one
 * @gfp: how hard to try, see gfp.h
 * @node: as for kvmalloc_node()
 *
 * Return: the array, its content undefined unless __GFP_ZERO; NULL on failure.
 * Errors: as kvmalloc_node(), and ENOMEM without a warning when @n * @size does
 *         not fit into size_t.
 */
static inline KN_ALLOC(1, 2) void *kvmalloc_array_node(size_t n, size_t size,
						       gfp_t gfp, int node)
{
	size_t bytes;

	if (!kn_array_bytes(n, size, &bytes))
		return NULL;
	return kvmalloc_node(bytes, gfp, node);
}

/* kvmalloc_array_node() near the running CPU. */
static inline KN_ALLOC(1, 2) void *kvmalloc_array(size_t n, size_t size,
						  gfp_t gfp)
{
	return kvmalloc_array_node(n, size, gfp, NUMA_NO_NODE);
}

/* kvmalloc_array_node() of zeroes. */
static inline KN_ALLOC(1, 2) void *kvcalloc_node(size_t n, size_t size,
						 gfp_t gfp, int node)
{
	return kvmalloc_array_node(n, size, gfp | __GFP_ZERO, node);
}

/* kvmalloc_array() of zeroes. */
static inline KN_ALLOC(1, 2) void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kvmalloc_array(n, size, gfp | __GFP_ZERO);
}

/**
 * kvmemdup - copy bytes into new memory
 * @src: bytes to copy
 * @len: how many
 * @gfp: how hard to try, see gfp.h
 *
 * Return: the copy, to be freed with kvfree(); NULL on failure.
 * Errors: as kvmalloc_node().
 */
static inline KN_ALLOC(2) void *kvmemdup(const void *src, size_t len, gfp_t gfp)
{
	void *p = kvmalloc(len, gfp);

	if (p && len)
		__builtin_memcpy(p, src, len);
	return p;
}

/**
 * kvrealloc_node - kvrealloc() with a NUMA node
 * @p: as for kvrealloc()
 * @size: as for kvrealloc()
 * @gfp: as for kvrealloc_node_align()
 * @nid: as for kvrealloc_node_align()
 */
static inline KN_MUST_CHECK KN_ALLOC(2) void *kvrealloc_node(const void *p,
							     size_t size,
							     gfp_t gfp, int nid)
{
	return kvrealloc_node_align(p, size, 1, gfp, nid);
}

/**
 * kvfree_atomic - kvfree(), which waits for nothing anyway
 * @p: as for kvfree()
 */
static inline void kvfree_atomic(const void *p)
{
	kvfree(p);
}

#endif /* KNUMA_KVMALLOC_H */
