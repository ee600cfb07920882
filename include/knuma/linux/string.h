/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/string.h - <linux/string.h>: copies that know their limits */
#ifndef KNUMA_LINUX_STRING_H
#define KNUMA_LINUX_STRING_H

#include <errno.h>
#include <string.h>

#include <knuma/linux/types.h>
#include <knuma/slab.h>

/**
 * strscpy - copy a string into a buffer of known size
 * @dst: buffer
 * @src: string, not overlapping @dst
 * @size: bytes in @dst; may be left out when @dst is an array
 *
 * @dst ends in a zero byte, unless @size is 0 or above INT_MAX.
 *
 * Context: any thread, any signal handler.
 * Return:  length of the string in @dst, without its zero byte.
 * Errors:  -E2BIG when @src was cut short, or @size is 0 or above INT_MAX.
 * Source:  Linux include/linux/string.h, strscpy().
 */
#define strscpy(...) \
	KN_PICK_4TH(__VA_ARGS__, kn_strscpy3, kn_strscpy2, 0)(__VA_ARGS__)
#define KN_PICK_4TH(a, b, c, fourth, ...) fourth
#define kn_strscpy2(dst, src)		  kn_strscpy3(dst, src, KN_ARRAY_BYTES(dst))

/* sizeof(a), and an error if @a is a pointer. */
#ifdef __cplusplus
#define KN_ARRAY_BYTES(a) sizeof(a)
#else
#define KN_ARRAY_BYTES(a)                                      \
	(sizeof(a) +                                           \
	 0 * sizeof(char[1 - 2 * __builtin_types_compatible_p( \
					 __typeof__(a), __typeof__(&(a)[0]))]))
#endif

static inline ssize_t kn_strscpy3(char *dst, const char *src, size_t size)
{
	size_t len;

	if (size == 0 || size > (size_t)INT32_MAX)
		return -E2BIG;
	for (len = 0; len < size - 1 && src[len]; len++)
		dst[len] = src[len];
	dst[len] = '\0';
	return src[len] ? -E2BIG : (ssize_t)len;
}

/* Zeroes @len bytes at @p, also when the compiler sees no later read. */
static inline void memzero_explicit(void *p, size_t len)
{
	memset(p, 0, len);
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

static inline bool strstarts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

#endif /* KNUMA_LINUX_STRING_H */

/* With -I DIR/include/knuma this file hides the system's: give that, too. */
#pragma GCC system_header
#if __has_include_next(<linux/string.h>)
#include_next <linux/string.h>
#endif
