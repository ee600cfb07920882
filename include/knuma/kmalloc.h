/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/kmalloc.h - objects of any size up to 4 MiB, on a node
 *
 * Sizes up to KMALLOC_MAX_CACHE_SIZE come from size classes, larger ones are
 * whole pages.  kfree() needs neither the size nor the node: an object goes
 * back to the node whose memory it is, whoever frees it.
 *
 * An object is aligned to the largest power of two that divides its size, and
 * to 8 bytes at least; so a power of two is aligned to itself.
 */
#ifndef KNUMA_KMALLOC_H
#define KNUMA_KMALLOC_H

#include <knuma/gfp.h>
#include <knuma/types.h>

/* What may free the result; kvfree() and its sibling are in kvmalloc.h. */
#define KN_KMALLOCED                    \
	KN_MALLOC(kfree)                \
	KN_FREED_BY(kfree_sensitive, 1) \
	KN_FREED_BY(kvfree, 1) KN_FREED_BY(kvfree_sensitive, 1)

KN_BEGIN_DECLS

/**
 * kfree - free an object
 * @p: result of kmalloc() or a sibling, or of kmem_cache_alloc(); NULL and
 *     ZERO_SIZE_PTR are no-ops
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call,
 *          leaves errno alone.
 * Errors:  A pointer that knuma did not hand out, one into an object's middle
 *          and an object that is free already are reported, and the process is
 *          aborted, where they are noticed; a second free at once if nothing
 *          came between, else when the object returns to its slab, unless it
 *          was handed out again before that.
 * Source:  Linux mm/slub.c, kfree().
 */
void kfree(const void *p) KN_SYM(kfree);

/**
 * kfree_sized - free an object whose size is known
 * @p: as for kfree()
 * @size: bytes that it was asked for last, or more, up to ksize()
 *
 * kfree(), which looks at @size where it does more than put the object into the
 * array of its CPU: each time with check = full, secure, or slab_debug for the
 * object's cache.
 *
 * Context: as kfree().
 * Errors:  as kfree().  A @size above ksize() is reported, and the object freed.
 *          So is one below what was asked for, where slab_debug keeps that (U).
 * Notes:   It is as fast as kfree(), which finds the array without the size.
 */
void kfree_sized(const void *p, size_t size) KN_SYM(kfree_sized);

/**
 * kfree_sensitive - wipe an object, then free it
 * @p: as for kfree()
 *
 * All ksize() bytes are overwritten with zeroes; the compiler cannot leave that
 * out.
 *
 * Context: as kfree().
 * Source:  Linux mm/slab_common.c, kfree_sensitive().
 */
void kfree_sensitive(const void *p) KN_SYM(kfree_sensitive);

/**
 * kfree_bulk - free many objects
 * @n: number of pointers
 * @p: n pointers as for kfree(), of any caches; their order may change
 *
 * Context: as kfree().
 * Source:  Linux include/linux/slab.h, kfree_bulk().
 */
void kfree_bulk(size_t n, void **p) KN_SYM(kfree_bulk);

/* Documented in kvmalloc.h; here for KN_KMALLOCED. */
void kvfree(const void *p) KN_SYM(kvfree);
void kvfree_sensitive(const void *p, size_t len) KN_SYM(kvfree_sensitive);

/**
 * kmalloc - allocate memory near the running CPU
 * @size: bytes wanted; 0 is legal and returns ZERO_SIZE_PTR
 * @gfp: how hard to try, see gfp.h; GFP_KERNEL if in doubt
 *
 * kmalloc_node() with NUMA_NO_NODE, and its fastest form.
 */
void *kmalloc(size_t size, gfp_t gfp) KN_SYM(kmalloc) KN_ALLOC(1) KN_KMALLOCED;

/**
 * kmalloc_node - allocate memory of one NUMA node
 * @size: bytes wanted; 0 is legal and returns ZERO_SIZE_PTR
 * @gfp: how hard to try, see gfp.h; GFP_KERNEL if in doubt
 * @node: node id, or NUMA_NO_NODE for the nearest one with memory
 *
 * While @node has memory the object lies on it.  Then the next node of its
 * zonelist serves, nearest first, unless __GFP_THISNODE.  A @node that is
 * offline, has no memory or is not allowed to the process is replaced by the
 * nearest one that does, unless __GFP_THISNODE.
 *
 * Alignment: the largest power of two that divides @size, at least 8 bytes.
 * Context:   Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM.  In a
 *            signal handler only with GFP_NOWAIT or GFP_ATOMIC; GFP_KERNEL may
 *            wait there for a lock that the interrupted thread holds.
 * Return:    the object, its content undefined unless __GFP_ZERO; NULL on
 *            failure, and errno tells why.
 * Errors:    ENOMEM when the allowed nodes are exhausted, or @size is above
 *            KMALLOC_MAX_SIZE (warns once unless __GFP_NOWARN), or @gfp has
 *            __GFP_THISNODE and @node cannot serve.  EINVAL when @node is no
 *            possible id (warns once).
 * Source:    Linux include/linux/slab.h, kmalloc_node().  Differs: the kernel
 *            drops __GFP_THISNODE for a node that is offline or has no memory.
 */
void *kmalloc_node(size_t size, gfp_t gfp, int node) KN_SYM(kmalloc_node)
	KN_ALLOC(1) KN_KMALLOCED;

/**
 * krealloc - change the size of an object
 * @p: object from kmalloc() or a sibling; with NULL or ZERO_SIZE_PTR the call
 *     is kmalloc()
 * @size: bytes wanted; 0 frees @p and returns ZERO_SIZE_PTR
 * @gfp: how hard to try, see gfp.h
 *
 * The object stays where it is while @size fits into ksize(@p).  Else it moves,
 * and keeps its content up to the lesser of both sizes.  With __GFP_ZERO the
 * bytes behind @size are cleared, so a later growth reads as zero, provided
 * that every call for this object has had __GFP_ZERO.
 *
 * Alignment: as kmalloc() for the new size when the object moves.
 * Context:   as kmalloc_node().  Not at the same time as any other use of @p.
 * Return:    the object; NULL on failure, and then @p is as before.
 * Errors:    as kmalloc_node().
 * Source:    Linux mm/slub.c, krealloc().
 */
void *krealloc(const void *p, size_t size, gfp_t gfp)
	KN_SYM(krealloc) KN_MUST_CHECK KN_ALLOC(2);

/**
 * krealloc_node_align - krealloc() with an alignment and a NUMA node
 * @p: as for krealloc()
 * @size: as for krealloc()
 * @align: alignment in bytes, a power of two; 0 and 1 mean that of kmalloc()
 * @gfp: how hard to try, see gfp.h
 * @nid: node for an object that moves, as for kmalloc_node()
 *
 * The object also moves when it is not aligned to @align, or when @gfp has
 * __GFP_THISNODE and it is not of @nid.
 *
 * Alignment: @align, or as kmalloc() if that is more, when the object moves.
 * Context:   as krealloc().
 * Return:    the object; NULL on failure, and then @p is as before.
 * Errors:    as kmalloc_node(), and EINVAL when @align is no power of two (warns
 *            once).
 * Source:    Linux mm/slub.c, krealloc_node_align() of 6.18.  Differs: any
 *            alignment up to KMALLOC_MAX_SIZE is kept, there only what kmalloc()
 *            gives anyway.
 */
void *krealloc_node_align(const void *p, size_t size, unsigned long align,
			  gfp_t gfp, int nid)
	KN_SYM(krealloc_node_align) KN_MUST_CHECK KN_ALLOC(2);

/**
 * ksize - bytes that an object really has
 * @p: object as for kfree()
 *
 * Who asks for kmalloc_size_roundup() bytes owns all of them.
 *
 * Context: any thread, any signal handler.
 * Return:  bytes; 0 for NULL and ZERO_SIZE_PTR.
 * Notes:   For accounting.  Bytes beyond the requested size are no one's to
 *          write.
 * Source:  Linux mm/slab_common.c, ksize().
 */
size_t ksize(const void *p) KN_SYM(ksize);

/**
 * kmalloc_size_roundup - bytes that kmalloc() would really give
 * @size: bytes wanted
 *
 * Context: any thread, any signal handler.
 * Return:  the size class, or whole pages above KMALLOC_MAX_CACHE_SIZE; 0 for
 *          0, and @size itself above KMALLOC_MAX_SIZE.
 * Source:  Linux mm/slab_common.c, kmalloc_size_roundup().  Differs: knuma has
 *          four classes in each doubling, eight from 1 to 8 KiB; above,
 *          each number of pages up to 16, and four in each doubling up to 64.
 *          No request is rounded up to 2^n pages: 33 KiB are 36 KiB.
 */
size_t kmalloc_size_roundup(size_t size) KN_SYM(kmalloc_size_roundup);

KN_END_DECLS

/**
 * kzalloc - kmalloc() of zeroes
 * @size: as for kmalloc()
 * @gfp: how hard to try, see gfp.h
 */
static inline KN_ALLOC(1) void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}

/**
 * kzalloc_node - kmalloc_node() of zeroes
 * @size: as for kmalloc_node()
 * @gfp: how hard to try, see gfp.h
 * @node: as for kmalloc_node()
 */
static inline KN_ALLOC(1) void *kzalloc_node(size_t size, gfp_t gfp, int node)
{
	return kmalloc_node(size, gfp | __GFP_ZERO, node);
}

/**
 * kmalloc_array - kmalloc() of an array
 * @n: number of elements
 * @size: bytes of one
 * @gfp: how hard to try, see gfp.h
 *
 * Return: the array, its content undefined unless __GFP_ZERO; NULL on failure.
 * Errors: as kmalloc(), and ENOMEM without a warning when @n * @size does not
 *         fit into size_t.
 */
static inline KN_ALLOC(1, 2) void *kmalloc_array(size_t n, size_t size,
						 gfp_t gfp)
{
	size_t bytes;

	return kn_array_bytes(n, size, &bytes) ? kmalloc(bytes, gfp) : NULL;
}

/* kmalloc_array() on a node, as kmalloc_node(). */
static inline KN_ALLOC(1, 2) void *kmalloc_array_node(size_t n, size_t size,
						      gfp_t gfp, int node)
{
	size_t bytes;

	if (!kn_array_bytes(n, size, &bytes))
		return NULL;
	return kmalloc_node(bytes, gfp, node);
}

/* kmalloc_array() of zeroes. */
static inline KN_ALLOC(1, 2) void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}

/* kmalloc_array_node() of zeroes. */
static inline KN_ALLOC(1, 2) void *kcalloc_node(size_t n, size_t size,
						gfp_t gfp, int node)
{
	return kmalloc_array_node(n, size, gfp | __GFP_ZERO, node);
}

/**
 * krealloc_array - krealloc() of an array
 * @p: as for krealloc()
 * @n: number of elements, from now on
 * @size: bytes of one
 * @gfp: how hard to try, see gfp.h
 *
 * Return: the array; NULL on failure, and then @p is as before.
 * Errors: as krealloc(), and ENOMEM without a warning when @n * @size does not
 *         fit into size_t.
 */
static inline KN_MUST_CHECK KN_ALLOC(2, 3) void *krealloc_array(void *p,
								size_t n,
								size_t size,
								gfp_t gfp)
{
	size_t bytes;

	return kn_array_bytes(n, size, &bytes) ? krealloc(p, bytes, gfp) : NULL;
}

/**
 * krealloc_node - krealloc() with a NUMA node
 * @p: as for krealloc()
 * @size: as for krealloc()
 * @gfp: as for krealloc_node_align()
 * @nid: as for krealloc_node_align()
 *
 * krealloc_node_align() with the alignment of kmalloc().
 */
static inline KN_MUST_CHECK KN_ALLOC(2) void *krealloc_node(const void *p,
							    size_t size,
							    gfp_t gfp, int nid)
{
	return krealloc_node_align(p, size, 1, gfp, nid);
}

/* What kmalloc_nolock() is called with besides: nothing that waits or warns. */
#define KN_GFP_NOLOCK (__GFP_NOWARN | __GFP_NOMEMALLOC)

/**
 * kmalloc_nolock - allocate in any context
 * @size: bytes wanted; 0 is legal and returns ZERO_SIZE_PTR
 * @gfp: 0, or of __GFP_ZERO, __GFP_ACCOUNT and __GFP_THISNODE
 * @node: node id, or NUMA_NO_NODE for the nearest one with memory
 *
 * kmalloc_node() that makes no system call, waits for no lock and takes nothing
 * from the reserve.  NULL means that there is no memory now, and is silent.
 *
 * Alignment: as kmalloc().
 * Context:   any thread, any signal handler.
 * Return:    the object, its content undefined unless __GFP_ZERO; NULL on
 *            failure, and errno tells why.
 * Errors:    ENOMEM when no memory is at hand; EINVAL when @gfp has other flags
 *            or @node is no possible id.
 * Source:    Linux mm/slub.c, kmalloc_nolock() of 6.18.  Differs: sizes above
 *            KMALLOC_MAX_CACHE_SIZE are served, too.
 */
static inline KN_ALLOC(1) void *kmalloc_nolock(size_t size, gfp_t gfp, int node)
{
	if (gfp & ~(__GFP_ZERO | __GFP_ACCOUNT | __GFP_THISNODE)) {
		errno = EINVAL;
		return NULL;
	}
	return kmalloc_node(size, gfp | KN_GFP_NOLOCK, node);
}

/**
 * kfree_nolock - kfree(), which waits for nothing anyway
 * @p: as for kfree()
 */
static inline void kfree_nolock(const void *p)
{
	kfree(p);
}

/**
 * kmalloc_track_caller - kmalloc() for a function that allocates for its caller
 * @size: as for kmalloc()
 * @gfp: as for kmalloc()
 *
 * kmalloc_node_track_caller() is kmalloc_node() likewise.
 */
#define kmalloc_track_caller(size, gfp)		   kmalloc(size, gfp)
#define kmalloc_node_track_caller(size, gfp, node) kmalloc_node(size, gfp, node)

#endif /* KNUMA_KMALLOC_H */
