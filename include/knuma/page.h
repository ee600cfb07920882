/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/page.h - blocks of 2^order pages, and the pages themselves
 *
 * A block of order n is 2^n pages in a row, aligned to its own size.  Each page
 * has a descriptor, struct page; address, descriptor and page frame number are
 * turned into each other by arithmetic.  The descriptor of a block is that of
 * its first page.
 *
 * Frame numbers count pages of knuma's own address range, not of the machine's
 * memory.  In a node's huge-page part a block of 2 MiB or less lies inside one
 * huge page, which is as near to physically contiguous as user space gets.
 */
#ifndef KNUMA_PAGE_H
#define KNUMA_PAGE_H

#include <knuma/gfp.h>
#include <knuma/nodemask.h>
#include <knuma/types.h>

struct zone;

KN_BEGIN_DECLS

/**
 * __free_pages - give a block of pages back
 * @page: first page of a block from alloc_pages() or a sibling, or NULL
 * @order: the order it was allocated with
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call.
 * Errors:  another @order, a page inside a block and a block that is free
 *          already are reported, and the process is aborted, where they are
 *          noticed: always in debug builds.
 * Source:  Linux mm/page_alloc.c, __free_pages().  Differs: NULL is legal.
 */
void __free_pages(struct page *page, unsigned int order) KN_SYM(__free_pages);

/**
 * free_pages - give a block of pages back by its address
 * @addr: result of __get_free_pages() or get_zeroed_page(); 0 is a no-op
 * @order: the order it was allocated with
 *
 * Context: as __free_pages().
 * Errors:  as __free_pages().
 */
void free_pages(unsigned long addr, unsigned int order) KN_SYM(free_pages);

/**
 * free_pages_exact - give back what alloc_pages_exact() returned
 * @p: its result; NULL is a no-op
 * @size: bytes, the same that were asked for
 *
 * Context: as __free_pages().
 * Errors:  as __free_pages().
 */
void free_pages_exact(void *p, size_t size) KN_SYM(free_pages_exact);

/**
 * alloc_pages_node - allocate a block of pages of one NUMA node
 * @node: node id, or NUMA_NO_NODE for the nearest one with memory
 * @gfp: how hard to try, see gfp.h
 * @order: base-2 logarithm of the number of pages, in [0, MAX_PAGE_ORDER]
 *
 * The block comes from @node while that has memory, then from the next node of
 * its zonelist, nearest first, unless __GFP_THISNODE.
 *
 * Alignment: the size of the block.
 * Context:   Any thread.  Waits only if @gfp has __GFP_DIRECT_RECLAIM; without
 *            it any signal handler, too.
 * Return:    the first page, its content undefined unless __GFP_ZERO; NULL on
 *            failure, and errno tells why.
 * Errors:    ENOMEM when the allowed nodes are exhausted, or @node is without
 *            memory or not allowed and @gfp has __GFP_THISNODE.  EINVAL when
 *            @order is too large or @node is no possible id (warns once).
 * Source:    Linux include/linux/gfp.h, alloc_pages_node().  Differs: a @node
 *            that cannot be is refused, in the kernel it is a bug.
 */
struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order)
	KN_SYM(alloc_pages_node) KN_MUST_CHECK KN_FREED_BY(__free_pages, 1);

/**
 * __alloc_pages_node - alloc_pages_node() for callers that name a node
 * @node: node id; NUMA_NO_NODE is refused
 * @gfp: how hard to try, see gfp.h
 * @order: base-2 logarithm of the number of pages, in [0, MAX_PAGE_ORDER]
 *
 * Alignment, context, result and errors are those of alloc_pages_node();
 * NUMA_NO_NODE gives NULL and EINVAL.
 */
struct page *__alloc_pages_node(int node, gfp_t gfp, unsigned int order)
	KN_SYM(__alloc_pages_node) KN_MUST_CHECK KN_FREED_BY(__free_pages, 1);

/**
 * __alloc_pages - allocate a block of pages of one of several NUMA nodes
 * @gfp: how hard to try, see gfp.h
 * @order: base-2 logarithm of the number of pages, in [0, MAX_PAGE_ORDER]
 * @nid: node id; NUMA_NO_NODE is refused
 * @nodes: nodes that may serve, or NULL for all
 *
 * The zonelist of @nid is gone along, nearest first, and nodes that are not in
 * @nodes are passed over; @nid need not be in it, unless __GFP_THISNODE.
 *
 * Alignment: the size of the block.
 * Context:   as alloc_pages_node().
 * Return:    the first page; NULL on failure, and errno tells why.
 * Errors:    as __alloc_pages_node(); ENOMEM when no node of @nodes can serve.
 * Source:    Linux mm/page_alloc.c, __alloc_pages().
 */
struct page *__alloc_pages(gfp_t gfp, unsigned int order, int nid,
			   struct nodemask *nodes)
	KN_SYM(__alloc_pages) KN_MUST_CHECK KN_FREED_BY(__free_pages, 1);

/**
 * alloc_pages_bulk_node - fill an array with pages of one NUMA node
 * @gfp: how hard to try, see gfp.h
 * @nid: node id, or NUMA_NO_NODE for the nearest one with memory
 * @n: places in the array
 * @page: array of @n pages; only places that are NULL are filled
 *
 * alloc_pages_bulk_array_node() is the same by its older name.
 *
 * Context: as alloc_pages_node().
 * Return:  places that are filled, from the first on; @n when all are.
 * Errors:  as alloc_pages_node(), and then the result is below @n.
 * Source:  Linux mm/page_alloc.c, alloc_pages_bulk_node() of 6.14.  Differs:
 *          places behind the first that stays NULL do not count.
 */
unsigned long alloc_pages_bulk_node(gfp_t gfp, int nid, unsigned long n,
				    struct page **page)
	KN_SYM(alloc_pages_bulk_node);

/**
 * alloc_pages_bulk - alloc_pages_bulk_node() near the running CPU
 * @gfp: how hard to try, see gfp.h
 * @n: places in the array
 * @page: as for alloc_pages_bulk_node()
 *
 * alloc_pages_bulk_array() is the same by its older name.
 */
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long n, struct page **page)
	KN_SYM(alloc_pages_bulk);

#define alloc_pages_bulk_array(gfp, n, page) alloc_pages_bulk(gfp, n, page)
#define alloc_pages_bulk_array_node(gfp, nid, n, page) \
	alloc_pages_bulk_node(gfp, nid, n, page)

/**
 * drain_all_pages - put the free pages at hand of all CPUs back together
 * @zone: not used; NULL
 *
 * Single pages and small blocks then can become larger ones.  knuma_trim() does
 * that, too, and gives memory back to the system.
 *
 * Context: Any thread, no signal handler.  May wait.
 * Source:  Linux mm/page_alloc.c, drain_all_pages().
 */
void drain_all_pages(struct zone *zone) KN_SYM(drain_all_pages);

/**
 * alloc_pages - allocate a block of pages near the running CPU
 * @gfp: how hard to try, see gfp.h
 * @order: base-2 logarithm of the number of pages, in [0, MAX_PAGE_ORDER]
 *
 * alloc_pages_node() with NUMA_NO_NODE.
 */
struct page *alloc_pages(gfp_t gfp, unsigned int order)
	KN_SYM(alloc_pages) KN_MUST_CHECK KN_FREED_BY(__free_pages, 1);

/**
 * __get_free_pages - allocate a block of pages, by address
 * @gfp: how hard to try, see gfp.h
 * @order: base-2 logarithm of the number of pages, in [0, MAX_PAGE_ORDER]
 *
 * alloc_pages(), for callers who want no descriptor.  Free with free_pages().
 *
 * Return: the address of the first byte; 0 on failure, and errno tells why.
 */
unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
	KN_SYM(__get_free_pages) KN_MUST_CHECK;

/**
 * get_zeroed_page - allocate one page of zeroes
 * @gfp: how hard to try, see gfp.h
 *
 * Return: its address; 0 on failure, and errno tells why.
 */
unsigned long get_zeroed_page(gfp_t gfp) KN_SYM(get_zeroed_page) KN_MUST_CHECK;

/**
 * alloc_pages_exact - allocate pages in a row without rounding up to 2^n
 * @size: bytes in [1, KMALLOC_MAX_SIZE], rounded up to pages
 * @gfp: how hard to try, see gfp.h
 *
 * A block of the next order is taken and the pages behind @size are given
 * back.  Free with free_pages_exact().
 *
 * Alignment: a page.
 * Context:   as alloc_pages_node().
 * Return:    the address of the first byte; NULL on failure.
 * Errors:    ENOMEM as alloc_pages_node(), or when @size is too large; EINVAL
 *            when @size is 0.
 * Source:    Linux mm/page_alloc.c, alloc_pages_exact().
 */
void *alloc_pages_exact(size_t size, gfp_t gfp) KN_SYM(alloc_pages_exact)
	KN_ALLOC(1) KN_MALLOC(free_pages_exact);

/**
 * alloc_pages_exact_nid - alloc_pages_exact() on one NUMA node
 * @node: as for alloc_pages_node()
 * @size: as for alloc_pages_exact()
 * @gfp: how hard to try, see gfp.h
 */
void *alloc_pages_exact_nid(int node, size_t size, gfp_t gfp)
	KN_SYM(alloc_pages_exact_nid) KN_ALLOC(2) KN_MALLOC(free_pages_exact);

/**
 * page_address - address of a page's first byte
 * @page: any page of knuma
 *
 * Context: any thread, any signal handler.
 */
void *page_address(const struct page *page) KN_SYM(page_address);

/**
 * virt_to_page - descriptor of the page that holds an address
 * @p: an address in memory from kmalloc(), kmem_cache_alloc() or a page call
 *
 * Context: any thread, any signal handler.
 * Return:  the page; NULL for an address that is not in a page part of knuma,
 *          such as one from vmalloc() or from the C library.
 * Source:  Linux, virt_to_page().  Differs: a foreign address is told by NULL.
 */
struct page *virt_to_page(const void *p) KN_SYM(virt_to_page);

/**
 * virt_to_head_page - descriptor of the block that holds an address
 * @p: as for virt_to_page()
 *
 * Context: any thread, any signal handler.
 * Return:  the first page of the block, slab or large object; of a page that is
 *          free, any page; NULL as virt_to_page().
 */
struct page *virt_to_head_page(const void *p) KN_SYM(virt_to_head_page);

/**
 * page_to_nid - node whose window a page lies in
 * @page: any page of knuma
 *
 * Context: any thread, any signal handler.
 * Return:  the node id.  It is where the page belongs; where the system put it
 *          is told by knuma_placement().
 */
int page_to_nid(const struct page *page) KN_SYM(page_to_nid);

/**
 * page_to_pfn - number of a page
 * @page: any page of knuma
 *
 * Context: any thread, any signal handler.
 * Return:  its frame number; the pages of a block have consecutive ones.
 */
unsigned long page_to_pfn(const struct page *page) KN_SYM(page_to_pfn);

/**
 * pfn_to_page - page of a number
 * @pfn: frame number, as page_to_pfn() returns it
 *
 * Context: any thread, any signal handler.
 * Return:  the page; NULL when @pfn is none of knuma's.
 */
struct page *pfn_to_page(unsigned long pfn) KN_SYM(pfn_to_page);

/**
 * get_order - smallest order whose block holds so many bytes
 * @size: bytes, at least 1
 *
 * The result may be above MAX_PAGE_ORDER; then no block is large enough.
 *
 * Context: any thread, any signal handler.
 */
unsigned int get_order(size_t size) KN_SYM(get_order) KN_CONST;

KN_END_DECLS

/* The same for one page, which is a block of order 0. */
static inline struct page *alloc_page(gfp_t gfp)
{
	return alloc_pages(gfp, 0);
}

static inline unsigned long __get_free_page(gfp_t gfp)
{
	return __get_free_pages(gfp, 0);
}

static inline void __free_page(struct page *page)
{
	__free_pages(page, 0);
}

static inline void free_page(unsigned long addr)
{
	free_pages(addr, 0);
}

/**
 * drain_local_pages - drain_all_pages()
 * @zone: not used; NULL
 */
static inline void drain_local_pages(struct zone *zone)
{
	drain_all_pages(zone);
}

#endif /* KNUMA_PAGE_H */
