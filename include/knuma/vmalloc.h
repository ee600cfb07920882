/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/vmalloc.h - large areas of pages, with a gap or a guard behind each
 *
 * An area lies in its node's window of address space and is a whole number of
 * pages.  Freed areas are kept for reuse and given back to the system by age,
 * so a vmalloc() of a size that was freed lately is cheap; a fresh one costs
 * the faults of its pages.
 */
#ifndef KNUMA_VMALLOC_H
#define KNUMA_VMALLOC_H

#include <knuma/gfp.h>
#include <knuma/kvmalloc.h>
#include <knuma/types.h>

/* What may free the result. */
#define KN_VMALLOCED \
	KN_MALLOC(vfree) KN_FREED_BY(kvfree, 1) KN_FREED_BY(kvfree_sensitive, 1)

KN_BEGIN_DECLS

/**
 * vfree - free an area
 * @p: first byte of an area from vmalloc() or a sibling; NULL is a no-op
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call,
 *          leaves errno alone: the pages go back to the system later.
 * Errors:  an address that is not the start of an area in use is reported and
 *          otherwise ignored.
 * Source:  Linux mm/vmalloc.c, vfree().  Differs: the kernel's may sleep.
 */
void vfree(const void *p) KN_SYM(vfree);

/**
 * __vmalloc_node - allocate an area, with everything said
 * @size: bytes, at least 1, rounded up to pages
 * @align: alignment in bytes, a power of two; 0 and 1 mean a page
 * @gfp: how hard to try, see gfp.h
 * @node: node id, or NUMA_NO_NODE for the nearest one with memory
 * @caller: address of the code that wants the area, for reports; NULL for
 *          the return address
 *
 * While @node has memory the area lies on it.  Then the next node of its
 * zonelist serves, nearest first, unless __GFP_THISNODE.  Flags that forbid
 * waiting get NULL: a fresh area has pages to be touched first.
 *
 * Alignment: a page, or @align if that is more.
 * Context:   Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM.  In a
 *            signal handler only with GFP_NOWAIT or GFP_ATOMIC.
 * Return:    the area, its content undefined unless __GFP_ZERO; NULL on
 *            failure, and errno tells why.
 * Errors:    ENOMEM when the allowed nodes are exhausted, or their address
 *            space is, or @gfp has __GFP_THISNODE and @node cannot serve.
 *            EINVAL when @size is 0, @align is no power of two, or @node is no
 *            possible id (each warns once).
 * Source:    Linux mm/vmalloc.c, __vmalloc_node().
 */
void *__vmalloc_node(unsigned long size, unsigned long align, gfp_t gfp,
		     int node, const void *caller) KN_SYM(__vmalloc_node)
	KN_ALLOC(1) KN_VMALLOCED;

/**
 * __vmalloc - allocate an area near the running CPU, with flags
 * @size: bytes, at least 1, rounded up to pages
 * @gfp: how hard to try, see gfp.h
 *
 * Alignment, context, result and errors are those of __vmalloc_node().
 */
void *__vmalloc(unsigned long size, gfp_t gfp) KN_SYM(__vmalloc)
	KN_ALLOC(1) KN_VMALLOCED;

/**
 * vmalloc - allocate an area near the running CPU
 * @size: bytes, at least 1, rounded up to pages
 *
 * __vmalloc() with GFP_KERNEL: may wait, not for a signal handler.
 */
void *vmalloc(unsigned long size) KN_SYM(vmalloc) KN_ALLOC(1) KN_VMALLOCED;

/**
 * vzalloc - vmalloc() of zeroes
 * @size: as for vmalloc()
 *
 * Pages fresh from the system are zero as they come and are not written.
 */
void *vzalloc(unsigned long size) KN_SYM(vzalloc) KN_ALLOC(1) KN_VMALLOCED;

/**
 * vmalloc_node - allocate an area of one NUMA node
 * @size: as for vmalloc()
 * @node: as for __vmalloc_node()
 *
 * __vmalloc_node() with GFP_KERNEL: may wait, not for a signal handler.
 */
void *vmalloc_node(unsigned long size, int node) KN_SYM(vmalloc_node)
	KN_ALLOC(1) KN_VMALLOCED;

/**
 * vzalloc_node - vmalloc_node() of zeroes
 * @size: as for vmalloc()
 * @node: as for __vmalloc_node()
 */
void *vzalloc_node(unsigned long size, int node) KN_SYM(vzalloc_node)
	KN_ALLOC(1) KN_VMALLOCED;

/**
 * vrealloc_node_align - change the size of an area
 * @p: first byte of an area from vmalloc() or a sibling; with NULL the call is
 *     __vmalloc_node()
 * @size: bytes, rounded up to pages; 0 frees @p and returns NULL
 * @align: alignment in bytes, a power of two; 0 and 1 mean a page
 * @gfp: how hard to try, see gfp.h
 * @nid: node for an area that is copied, as for __vmalloc_node()
 *
 * The area stays where it is when it is large enough or can grow there; else its
 * pages or its content move, up to the lesser of both sizes.  It also moves when
 * it is not aligned to @align, or when @gfp has __GFP_THISNODE and it is not of
 * @nid.  With __GFP_ZERO the bytes behind @size are cleared, so a later growth
 * reads as zero, provided that every call for this area has had __GFP_ZERO.
 *
 * Alignment: a page, or @align if that is more.
 * Context:   as __vmalloc_node().  Not at the same time as any other use of @p.
 * Return:    the area; NULL on failure, and then @p is as before, and when @size
 *            is 0.
 * Errors:    as __vmalloc_node(); EINVAL when @p is no area in use, which is
 *            reported.
 * Source:    Linux mm/vmalloc.c, vrealloc_node_align() of 6.18.
 */
void *vrealloc_node_align(const void *p, unsigned long size,
			  unsigned long align, gfp_t gfp, int nid)
	KN_SYM(vrealloc_node_align) KN_MUST_CHECK KN_ALLOC(2);

/**
 * knuma_vmalloc_interleave - allocate an area over several NUMA nodes
 * @size: bytes, at least 1, rounded up to pages
 * @nodes: n node ids, in any order; an id that stands there twice counts once
 * @n: their number, at least 1
 *
 * The pages, or huge pages, come from @nodes in turn when they are first
 * written (MPOL_INTERLEAVE).  The area belongs to the window of one of @nodes,
 * which knuma_node_of() tells, and where frees take it; knuma_placement() tells
 * where the pages are.  away_bytes counts all of it as on purpose elsewhere.
 *
 * Each such area takes two mappings of vma_budget.  Freed, it is not reused
 * before its memory went back to the system.  With fake nodes pages are said to
 * lie in turn.
 *
 * Alignment: a page; 2 MiB from that size on.
 * Context: any thread, no signal handler.  Waits, makes system calls.
 * Return:  the area, its content zero; NULL on failure, and errno tells why.
 * Errors:  EINVAL when @size or @n is below 1, or a node is no possible id;
 *          ENODEV when the process does not use a node, or it has no memory;
 *          EACCES when a node is not allowed (cpuset); ENOMEM when a node has no
 *          room for its share, or address space or vma_budget is used up; EPERM
 *          or ENOSYS when the system refuses mbind(2).  The first failure
 *          warns.
 * Notes:   When one of @nodes is full the system takes pages of others.
 */
void *knuma_vmalloc_interleave(unsigned long size, const int *nodes,
			       int n) KN_API KN_ALLOC(1) KN_MALLOC(vfree);

/**
 * vmalloc_exec - allocate an area that can be made executable
 * @size: bytes, at least 1, rounded up to pages
 *
 * The area is readable and writable.  set_memory_rox() makes it readable and
 * executable once the code is in it; it is never writable and executable at a
 * time.  vfree() takes it in either state.
 *
 * Context: any thread, no signal handler.  May wait.
 * Return:  the area; NULL on failure, and errno tells why.
 * Errors:  as vmalloc().
 */
void *vmalloc_exec(unsigned long size) KN_SYM(vmalloc_exec) KN_ALLOC(1)
	KN_MALLOC(vfree);

/**
 * set_memory_rox - make pages readable and executable, and not writable
 * @addr: address of the first page, in an area from vmalloc_exec()
 * @numpages: number of pages, all of that area
 *
 * Context: any thread, no signal handler.  Makes a system call.
 * Return:  0.
 * Errors:  -EINVAL when @addr is no page's start or the pages are not all of
 *          one such area; -EACCES, -EPERM or -ENOMEM as mprotect(2).
 * Source:  Linux include/linux/set_memory.h.  Differs: only vmalloc_exec().
 */
int set_memory_rox(unsigned long addr, int numpages)
	KN_SYM(set_memory_rox) KN_MUST_CHECK;

/**
 * set_memory_rw - make pages readable and writable, and not executable
 * @addr: as for set_memory_rox()
 * @numpages: as for set_memory_rox()
 *
 * Context, result and errors are those of set_memory_rox().
 */
int set_memory_rw(unsigned long addr, int numpages)
	KN_SYM(set_memory_rw) KN_MUST_CHECK;

/**
 * is_vmalloc_addr - is this address in the vmalloc part of a node's window?
 * @p: any address
 *
 * Context: any thread, any signal handler.
 * Return:  true for every address of an area in use; may be true between them.
 */
bool is_vmalloc_addr(const void *p) KN_SYM(is_vmalloc_addr);

/**
 * vmalloc_nr_pages - pages in the areas in use
 *
 * Context: any thread, any signal handler.
 * Return:  their number; exact while no other thread allocates or frees areas.
 */
unsigned long vmalloc_nr_pages(void) KN_SYM(vmalloc_nr_pages);

KN_END_DECLS

/**
 * __vmalloc_array - __vmalloc() of an array
 * @n: number of elements
 * @size: bytes of one
 * @gfp: how hard to try, see gfp.h
 *
 * vmalloc_array() has GFP_KERNEL; __vcalloc() and vcalloc() give zeroes.
 *
 * Return: the array; NULL on failure, and errno tells why.
 * Errors: as __vmalloc(), and ENOMEM without a warning when @n * @size does not
 *         fit into size_t.
 */
static inline KN_ALLOC(1, 2) void *__vmalloc_array(size_t n, size_t size,
						   gfp_t gfp)
{
	size_t bytes;

	return kn_array_bytes(n, size, &bytes) ? __vmalloc(bytes, gfp) : NULL;
}

static inline KN_ALLOC(1, 2) void *vmalloc_array(size_t n, size_t size)
{
	return __vmalloc_array(n, size, GFP_KERNEL);
}

static inline KN_ALLOC(1, 2) void *__vcalloc(size_t n, size_t size, gfp_t gfp)
{
	return __vmalloc_array(n, size, gfp | __GFP_ZERO);
}

static inline KN_ALLOC(1, 2) void *vcalloc(size_t n, size_t size)
{
	return __vcalloc(n, size, GFP_KERNEL);
}

/**
 * vrealloc - vrealloc_node_align() without an alignment or a node
 * @p: as for vrealloc_node_align()
 * @size: as for vrealloc_node_align()
 * @gfp: how hard to try, see gfp.h
 */
static inline KN_MUST_CHECK
	KN_ALLOC(2) void *vrealloc(const void *p, unsigned long size, gfp_t gfp)
{
	return vrealloc_node_align(p, size, 1, gfp, NUMA_NO_NODE);
}

/**
 * vmalloc_user - vzalloc(), since all memory is the user's
 * @size: as for vmalloc()
 *
 * vmalloc_32_user() is the same.
 */
static inline KN_ALLOC(1) void *vmalloc_user(unsigned long size)
{
	return vzalloc(size);
}

static inline KN_ALLOC(1) void *vmalloc_32_user(unsigned long size)
{
	return vmalloc_user(size);
}

/**
 * vmalloc_32 - vmalloc(), since no device sees this memory
 * @size: as for vmalloc()
 *
 * Notes:  Where in the machine's memory its pages lie is the system's affair, as
 *         with __GFP_DMA32.
 * Source: Linux mm/vmalloc.c, vmalloc_32().  Differs: pages may lie above 4 GiB.
 */
static inline KN_ALLOC(1) void *vmalloc_32(unsigned long size)
{
	return vmalloc(size);
}

/**
 * vmalloc_huge_node - allocate an area for huge pages, of one NUMA node
 * @size: as for vmalloc()
 * @gfp: how hard to try, see gfp.h
 * @node: as for __vmalloc_node()
 *
 * Aligned to 2 MiB if it is as large.  Every area of that size may come in huge
 * pages, by the settings huge_pages and huge_after; the others lie elsewhere.
 * vmalloc_huge() is the same near the running CPU.
 *
 * Context, result and errors are those of __vmalloc_node().
 *
 * Source: Linux mm/vmalloc.c, vmalloc_huge_node().  Differs: vmalloc() may have
 *         huge pages, too.
 */
static inline KN_ALLOC(1) void *vmalloc_huge_node(unsigned long size, gfp_t gfp,
						  int node)
{
	const unsigned long huge = 2ul << 20;

	return __vmalloc_node(size, size < huge ? 1 : huge, gfp, node, NULL);
}

static inline KN_ALLOC(1) void *vmalloc_huge(unsigned long size, gfp_t gfp)
{
	return vmalloc_huge_node(size, gfp, NUMA_NO_NODE);
}

/**
 * vfree_atomic - vfree(), which waits for nothing anyway
 * @p: as for vfree()
 */
static inline void vfree_atomic(const void *p)
{
	vfree(p);
}

#endif /* KNUMA_VMALLOC_H */
