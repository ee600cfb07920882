/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/kstring.h - copies of memory and of strings, made by kmalloc() */
#ifndef KNUMA_KSTRING_H
#define KNUMA_KSTRING_H

#include <knuma/gfp.h>
#include <knuma/kmalloc.h>
#include <knuma/types.h>

KN_BEGIN_DECLS

/**
 * kmemdup - copy bytes into a new object
 * @src: bytes to copy
 * @len: how many; 0 is legal and returns ZERO_SIZE_PTR
 * @gfp: how hard to try, see gfp.h
 *
 * Context: as kmalloc().
 * Return:  the copy, to be freed with kfree(); NULL on failure.
 * Errors:  as kmalloc().
 * Source:  Linux mm/util.c, kmemdup().
 */
void *kmemdup(const void *src, size_t len, gfp_t gfp) KN_SYM(kmemdup)
	KN_ALLOC(2) KN_FREED_BY(kfree, 1) KN_FREED_BY(kfree_sensitive, 1)
		KN_FREED_BY(kvfree, 1);

/**
 * kstrdup - copy a string into a new object
 * @s: string to copy, or NULL
 * @gfp: how hard to try, see gfp.h
 *
 * Context: as kmalloc().
 * Return:  the copy; NULL on failure, and for NULL.
 * Errors:  as kmalloc(); errno is left alone when @s is NULL.
 * Source:  Linux mm/util.c, kstrdup().
 */
char *kstrdup(const char *s, gfp_t gfp) KN_SYM(kstrdup) KN_KMALLOCED;

/**
 * kstrndup - copy the start of a string into a new object
 * @s: string to copy, or NULL; needs no zero byte within @max bytes
 * @max: bytes to copy at most, without the zero byte that ends the copy
 * @gfp: how hard to try, see gfp.h
 *
 * Context: as kmalloc().
 * Return:  the copy; NULL on failure, and for NULL.
 * Errors:  as kstrdup().
 * Source:  Linux mm/util.c, kstrndup().
 */
char *kstrndup(const char *s, size_t max, gfp_t gfp)
	KN_SYM(kstrndup) KN_KMALLOCED;

/**
 * kmemdup_nul - copy bytes into a new string
 * @s: bytes to copy, or NULL; zero bytes are copied like others
 * @len: how many, without the zero byte that ends the copy
 * @gfp: how hard to try, see gfp.h
 *
 * Context: as kmalloc().
 * Return:  the copy; NULL on failure, and for NULL.
 * Errors:  as kstrdup(), and ENOMEM without a warning when @len + 1 does not
 *          fit into size_t.
 * Source:  Linux mm/util.c, kmemdup_nul().
 */
char *kmemdup_nul(const char *s, size_t len, gfp_t gfp)
	KN_SYM(kmemdup_nul) KN_KMALLOCED;

/**
 * kfree_const - free what kstrdup_const() returned
 * @p: its result, or NULL
 *
 * Context: as kfree().
 * Errors:  as kfree(); an address that is not of knuma is a constant, and left
 *          alone.
 */
void kfree_const(const void *p) KN_SYM(kfree_const);

/**
 * kstrdup_const - copy a string, unless it is a constant of the program
 * @s: string to copy, or NULL
 * @gfp: how hard to try, see gfp.h
 *
 * A string in the program's own read-only data is returned as it is.  One of a
 * shared library is copied: the library may be closed.
 *
 * Context: as kmalloc().
 * Return:  @s or the copy, to be freed with kfree_const() and not with kfree();
 *          NULL on failure, and for NULL.
 * Errors:  as kstrdup().
 * Source:  Linux mm/util.c, kstrdup_const().
 */
const char *kstrdup_const(const char *s, gfp_t gfp)
	KN_SYM(kstrdup_const) KN_MUST_CHECK;

KN_END_DECLS

/**
 * kmemdup_array - kmemdup() of an array
 * @src: array to copy
 * @n: number of elements
 * @size: bytes of one
 * @gfp: how hard to try, see gfp.h
 *
 * Context: as kmalloc().
 * Return:  the copy; NULL on failure, and errno tells why.
 * Errors:  as kmalloc(), and ENOMEM without a warning when @n * @size does not
 *          fit into size_t.
 */
static inline KN_ALLOC(2, 3) void *kmemdup_array(const void *src, size_t n,
						 size_t size, gfp_t gfp)
{
	size_t bytes;

	return kn_array_bytes(n, size, &bytes) ? kmemdup(src, bytes, gfp) :
						 NULL;
}

#endif /* KNUMA_KSTRING_H */
