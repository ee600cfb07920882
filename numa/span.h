/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa/span.h - the address space of the heap
 *
 * One reservation, made once and never given back, but see "by steps":
 *
 *   | gap | map: u32 a page | gap | struct page array | gap | window 0 | ...
 *                                        \_ page part _ vmalloc part _/
 *
 * A window is the address space of one node, by dense id.  All have the same
 * size, a power of two, so the node of an address is a subtraction and a shift,
 * and the page number of an address is a subtraction and a shift too.  A window
 * is bound to its node when the node can be used (MPOL_PREFERRED: MPOL_BIND on
 * memory that faults gets the process killed when the node is full) and becomes
 * readable and writable from the bottom of each part upwards, by mprotect(2).
 *
 * The map is readable from the start, so that looking up any address inside
 * the span is safe; a page that was never handed out reads as KN_ID_NONE.
 *
 * By steps: under a limit on address space (RLIMIT_AS) nothing is reserved but
 * the map, and what grows is mapped when it grows, in a place that is far from
 * where the system puts mappings of its own accord.  The limit then counts what
 * the heap uses, and the rest is for whoever needs it first.
 *
 * Design: docs/design/address-space.md.
 */
#ifndef KN_NUMA_SPAN_H
#define KN_NUMA_SPAN_H

#include "alloc/base/atomic.h"
#include "numa/topology.h"

#if defined(__x86_64__)
#define KN_PAGE_SHIFT 12u
#else
extern unsigned kn_page_shift;
#define KN_PAGE_SHIFT kn_page_shift
#endif
#define KN_PAGE_SIZE ((size_t)1 << KN_PAGE_SHIFT)

/* The largest block of the page allocator; windows are aligned to it. */
#define KN_MAX_ORDER 10
#define KN_HUGE_SIZE ((size_t)2 << 20)

struct kn_span {
	uintptr_t base;		/* of window 0 */
	uint64_t size;		/* all windows */
	unsigned window_shift;
	int nr_windows;
	uint32_t *map;		/* by page number: what lies there, see
				   alloc/magazine/ids.h */
	void *pages;		/* by page number: struct page */
	uint64_t map_bytes;
	uintptr_t start;	/* of the reservation */
	uint64_t reserved;	/* all of it, from there on */
	bool by_steps;		/* the map is all that is reserved */
	bool bind_wanted;	/* more than one node */
	uint64_t bound;		/* windows with their policy; the reader of the
				   topology writes */
	int bind_error;		/* 0, or -Exxx: mbind is refused for good */
	int purge_error;	/* 0, or -Exxx of the last purge refused */
};

extern struct kn_span kn_span;

/* Bytes of a page's descriptor; alloc/page/frame.h asserts it. */
#define KN_PAGE_DESC_SIZE 64

/*
 * Reserves the span: @max_bytes or what the memory of the machine asks for,
 * halved while the kernel refuses.  0, or -ENOMEM with a message.
 */
int kn_span_reserve(uint64_t max_bytes);

/*
 * Binds the windows of @usable, a mask of nodes, that are not bound yet; those
 * of other nodes are forgotten.  Context: the reader of the topology.
 */
void kn_span_bind(uint64_t usable);

/* Undoes it, when start-up fails and nothing was handed out. */
void kn_span_release(void);

enum kn_grow_flags {
	KN_GROW_HUGE = 1,	/* ask for huge pages */
	KN_GROW_LOCK = 2,	/* what is faulted stays in memory, mlock2(2) */
};

/*
 * Makes [addr, addr + len) usable, with its descriptors and its part of the
 * map.  Whole pages.  0, or -Exxx and nothing can be relied on in the range.
 * With @pool, as much as the node's pool of huge pages has comes from there,
 * from @addr on, and *@pool becomes how many bytes that is.
 */
int kn_span_grow(uintptr_t addr, size_t len, unsigned flags, size_t *pool);

/*
 * By steps: unmaps what was grown, with which the limit counts it no more.  The
 * descriptors stay readable.  0, or -Exxx and it is as it was.
 */
int kn_span_shrink(uintptr_t addr, size_t len);

/*
 * Puts fresh ordinary memory, as growth makes it, in the place of whatever is
 * there.  0, or -Exxx and the range must not be touched.
 */
int kn_span_put_ordinary(uintptr_t addr, size_t len);

/*
 * Puts fresh memory as it was grown into the place of whatever is there: of one
 * mapping with its neighbours again.  0, or -Exxx and the range must not be
 * touched.
 */
int kn_span_renew(uintptr_t addr, size_t len) kn_must_check;

/* Whether memory at @addr comes in huge pages; a hint. */
bool kn_span_comes_huge(uintptr_t addr);

/*
 * Told by who grows a part of a window, before: [@from, @to) of it was handed
 * out, and @used pages of that are in use.  What is grown with KN_GROW_HUGE asks
 * for huge pages only as long as those are not used sparsely.
 */
void kn_span_judge(uintptr_t from, uintptr_t to, uint64_t used);

/* Whether the part of @addr was found to be used sparsely; a hint. */
bool kn_span_is_sparse(uintptr_t addr);

/*
 * Whether what was grown on @node with KN_GROW_HUGE asks for huge pages, where it
 * is not used sparsely; changes it for all of it, so that no mapping is cut.
 * What is in memory stays as it is.  True when that is a change.
 */
bool kn_span_is_huge(int node);
bool kn_span_set_huge(int node, bool on);

/*
 * Has the system split the huge page that this is a part of, if it is one: else a
 * purge of the part would leave all of it in memory until memory is short.
 */
void kn_span_split(uintptr_t addr, size_t len);

/*
 * Gives the memory back to the operating system; it reads as zero again.
 * 0, or -Exxx and it may be as it was.
 */
int kn_span_purge(uintptr_t addr, size_t len);

/*
 * Memory for knuma's own tables: zero, on @node if >= 0, never given back.  With
 * guard_metadata between pages that fault.
 */
void *kn_meta_alloc(size_t bytes, int node);

/* Undoes kn_meta_alloc() of @bytes, while nobody else knows of it; NULL is legal. */
void kn_meta_free(void *p, size_t bytes);

/*
 * Where the span is before the start: no pointer lies behind that, so that who
 * finds the size of a span and not yet where it begins finds nothing in it.
 */
#define KN_NOWHERE ((uintptr_t)1 << 63)

/* False before the start, and while another thread starts the heap. */
static inline bool kn_span_has(const void *p)
{
	const uint64_t size = kn_load_hot(&kn_span.size);

	return (uintptr_t)p - kn_load_hot(&kn_span.base) < size;
}

/* Dense node of an address of a window or of its descriptors; -1: neither. */
static inline int kn_span_node(const void *p)
{
	const uintptr_t desc = (uintptr_t)p - (uintptr_t)kn_span.pages;
	const unsigned shift = kn_span.window_shift - KN_PAGE_SHIFT;

	if (kn_span_has(p))
		return (int)(((uintptr_t)p - kn_span.base) >>
			     kn_span.window_shift);
	if (!kn_span.size || desc / KN_PAGE_DESC_SIZE >=
				     kn_span.size >> KN_PAGE_SHIFT)
		return -1;
	return (int)(desc / KN_PAGE_DESC_SIZE >> shift);
}

/* Page number inside the span; the caller has checked kn_span_has(). */
static inline uint32_t kn_pfn(const void *p)
{
	return (uint32_t)(((uintptr_t)p - kn_span.base) >> KN_PAGE_SHIFT);
}

static inline void *kn_pfn_address(uint32_t pfn)
{
	return (void *)(kn_span.base + ((uintptr_t)pfn << KN_PAGE_SHIFT));
}

/* Dense node whose window holds @p. */
static inline int kn_window_of(const void *p)
{
	return (int)(((uintptr_t)p - kn_span.base) >> kn_span.window_shift);
}

static inline uintptr_t kn_window_base(int node)
{
	return kn_span.base + ((uintptr_t)node << kn_span.window_shift);
}

/* Bytes of the page part, and of the vmalloc part above it. */
static inline size_t kn_window_half(void)
{
	return (size_t)1 << (kn_span.window_shift - 1);
}

#endif
