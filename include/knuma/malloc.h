/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/malloc.h - the malloc family on knuma's heap, under its own names
 *
 * What libknuma_malloc.so puts behind malloc() and free().  Alignment is 16
 * bytes, size 0 gives a unique object, and there is no upper limit but address
 * space.  Memory is placed as by NUMA_NO_NODE.  There is one heap: these
 * functions take what kvmalloc() and its like return.
 *
 * These functions wait where malloc(3) would.  Only those that free and
 * knuma_malloc_usable_size() are for signal handlers.  No function waits for
 * an RCU grace period.
 */
#ifndef KNUMA_MALLOC_H
#define KNUMA_MALLOC_H

#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * knuma_free - as free(3)
 * @p: result of a function of this header, or of any allocator of knuma, or
 *     NULL
 *
 * Context: any thread, any signal handler.  Never waits, makes no system call,
 *          leaves errno alone.
 * Errors:  as kfree().  A pointer that is not of this heap is left alone instead,
 *          and the first one is told.
 */
void knuma_free(void *p) KN_API;

/**
 * knuma_free_sized - as free_sized() of C23
 * @p: result of knuma_malloc(), knuma_calloc() or knuma_realloc(), or NULL
 * @size: bytes that it was asked for last
 *
 * knuma_free(), with the checks of kfree_sized().
 *
 * Context: as knuma_free().
 * Errors:  as kvfree_sized().
 */
void knuma_free_sized(void *p, size_t size) KN_API;

/**
 * knuma_free_aligned_sized - as free_aligned_sized() of C23
 * @p: result of knuma_memalign(), or NULL
 * @align: alignment that it was asked for with
 * @size: bytes that it was asked for
 *
 * Context: as knuma_free().
 * Errors:  as kvfree_sized().  A @p that is not aligned to @align is reported in
 *          the same way.
 */
void knuma_free_aligned_sized(void *p, size_t align, size_t size) KN_API;

/**
 * knuma_malloc - as malloc(3)
 * @size: bytes; 0 gives an object that may only be freed
 *
 * Alignment: 16 bytes.
 * Context:   any thread, no signal handler.  May wait.
 * Return:    the memory, its content undefined; NULL on failure.
 * Errors:    ENOMEM.
 */
void *knuma_malloc(size_t size) KN_API KN_ALLOC(1) KN_MALLOC(knuma_free);

/**
 * knuma_calloc - as calloc(3)
 * @n: number of elements
 * @size: bytes of one
 *
 * Alignment: 16 bytes.
 * Context:   any thread, no signal handler.  May wait.
 * Return:    the memory, all zeroes; NULL on failure.
 * Errors:    ENOMEM, also when @n * @size does not fit into size_t.
 */
void *knuma_calloc(size_t n, size_t size) KN_API KN_ALLOC(1, 2)
	KN_MALLOC(knuma_free);

/**
 * knuma_realloc - as realloc(3)
 * @p: memory as for knuma_free(); with NULL the call is knuma_malloc()
 * @size: bytes; 0 frees @p and returns NULL
 *
 * Memory above 8 KiB that grows can grow on to twice @size where it is: up to
 * half of kvmalloc_pages_max it is whole pages, 2^n of them, and above that it
 * has spare address space between it and its guard, up to 16 MiB or a quarter
 * of @size, where there is some.  An overrun faults behind that.  Growth and
 * shrinks of areas are those of kvrealloc().
 *
 * Alignment: 16 bytes.
 * Context:   any thread, no signal handler.  May wait.
 * Return:    the memory, with its content up to the lesser of both sizes; NULL
 *            on failure, and then @p is as before.  A smaller size does not fail.
 * Errors:    ENOMEM.
 */
void *knuma_realloc(void *p, size_t size) KN_API KN_MUST_CHECK KN_ALLOC(2);

/**
 * knuma_memalign - as memalign(3)
 * @align: alignment in bytes, a power of two
 * @size: bytes; 0 gives an object that may only be freed
 *
 * Alignment: @align, and 16 bytes at least.
 * Context:   any thread, no signal handler.  May wait.
 * Return:    the memory, its content undefined; NULL on failure.
 * Errors:    ENOMEM; EINVAL when @align is no power of two.
 */
void *knuma_memalign(size_t align, size_t size) KN_API KN_ALLOC(2)
	KN_ALLOC_ALIGN(1) KN_MALLOC(knuma_free);

/**
 * knuma_malloc_usable_size - as malloc_usable_size(3)
 * @p: memory as for knuma_free()
 *
 * Context: any thread, any signal handler.
 * Return:  bytes that may be read and written; 0 for NULL.
 */
size_t knuma_malloc_usable_size(void *p) KN_API;

KN_END_DECLS

#endif /* KNUMA_MALLOC_H */

/* With -I DIR/include/knuma this file hides <malloc.h>: give that, too. */
#pragma GCC system_header
#if __has_include_next(<malloc.h>)
#include_next <malloc.h>
#endif
