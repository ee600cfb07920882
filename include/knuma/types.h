/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/types.h - what every public header needs: attributes, constants
 *
 * Source names are the kernel's, linker names are knuma_<name>: KN_SYM() puts
 * an asm label after the declarator, so a program can have its own function
 * called kfree in another translation unit without a clash.
 *
 *   void *kmalloc_node(size_t size, gfp_t gfp, int node)
 *           KN_SYM(kmalloc_node) KN_ALLOC(1);
 */
#ifndef KNUMA_TYPES_H
#define KNUMA_TYPES_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define KN_BEGIN_DECLS		    extern "C" {
#define KN_END_DECLS		    }
#define KN_BUILD_ASSERT(cond, text) static_assert(cond, text)
#else
#define KN_BEGIN_DECLS
#define KN_END_DECLS
#define KN_BUILD_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* Exported under the linker name knuma_<n>; stands first after the ')'. */
#ifdef __cplusplus
#define KN_SYM(n) \
	noexcept __asm__("knuma_" #n) __attribute__((visibility("default")))
#else
#define KN_SYM(n) \
	__asm__("knuma_" #n) __attribute__((nothrow, visibility("default")))
#endif

/* Exported under its own name, for functions that are called knuma_ in C. */
#ifdef __cplusplus
#define KN_API noexcept __attribute__((visibility("default")))
#else
#define KN_API __attribute__((nothrow, visibility("default")))
#endif

/* KN_ALLOC(i) or KN_ALLOC(i, j): the result has the size of these arguments. */
#define KN_ALLOC(...)	  __attribute__((alloc_size(__VA_ARGS__)))
#define KN_ALLOC_ALIGN(i) __attribute__((alloc_align(i)))
#define KN_MUST_CHECK	  __attribute__((warn_unused_result))
#define KN_CONST	  __attribute__((const))

/*
 * KN_FREED_BY(f, i): the result may be given to argument i of f.  KN_MALLOC(f)
 * adds that nothing else points to it and that it holds no pointers, which is
 * not so for objects of a cache with a constructor.
 */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define KN_FREED_BY(f, i) __attribute__((malloc(f, i)))
#else
#define KN_FREED_BY(f, i)
#endif
#define KN_MALLOC(f) __attribute__((malloc)) KN_FREED_BY(f, 1)

#ifndef __must_check
#define __must_check KN_MUST_CHECK
#endif

struct kmem_cache;
struct page;

/* "No node in particular": the nearest one with memory to the running CPU. */
#define NUMA_NO_NODE	    (-1)

/*
 * Result of a request for 0 bytes: (void *)16, which is not NULL, and any access
 * faults.  The compiler does not see the value: gcc would take kfree() of it for
 * a mistake.
 */
#define ZERO_SIZE_PTR	    kn_zero_size_ptr()
#define ZERO_OR_NULL_PTR(p) ((uintptr_t)(p) <= 16)

static inline void *kn_zero_size_ptr(void)
{
	void *p = (void *)16;

	__asm__("" : "+r"(p));
	return p;
}

/* Order of the largest block of pages: 1 << 10 pages, 4 MiB with 4 KiB ones. */
#define MAX_PAGE_ORDER	       10

/*
 * Limits of kmalloc(), in bytes: the smallest size class, the largest one (more
 * comes as whole pages), the largest request, and the alignment of any object.
 */
#define KMALLOC_MIN_SIZE       ((size_t)16)
#define KMALLOC_MAX_CACHE_SIZE ((size_t)8192)
#define KMALLOC_MAX_SIZE       ((size_t)4 << 20)
#define KMALLOC_MAX_ORDER      MAX_PAGE_ORDER
#define ARCH_KMALLOC_MINALIGN  ((size_t)8)

/* Rounding to a power of two; a is evaluated twice. */
#ifndef ALIGN
#define ALIGN(x, a) (((x) + ((a)-1)) & ~((a)-1))
#endif
#ifndef ALIGN_DOWN
#define ALIGN_DOWN(x, a) ((x) & ~((a)-1))
#endif
#ifndef IS_ALIGNED
#define IS_ALIGNED(x, a) (((x) & ((a)-1)) == 0)
#endif
#ifndef PTR_ALIGN
#define PTR_ALIGN(p, a) ((__typeof__(p))ALIGN((uintptr_t)(p), (uintptr_t)(a)))
#endif

KN_BEGIN_DECLS

/**
 * knuma_page_size - bytes in a page of this machine
 *
 * Context: any thread, any signal handler.
 * Return:  a power of two: 4096, 16384 or 65536 on the machines that matter.
 */
size_t knuma_page_size(void) KN_API KN_CONST;

/**
 * knuma_page_shift - base-2 logarithm of knuma_page_size()
 *
 * Context: any thread, any signal handler.
 */
unsigned int knuma_page_shift(void) KN_API KN_CONST;

KN_END_DECLS

/*
 * Size of an array in *@bytes.  False when the product does not fit: errno is
 * ENOMEM then, and no warning is printed.
 */
static inline bool kn_array_bytes(size_t n, size_t size, size_t *bytes)
{
	if (!__builtin_mul_overflow(n, size, bytes))
		return true;
	errno = ENOMEM;
	return false;
}

#endif /* KNUMA_TYPES_H */
