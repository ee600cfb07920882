/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/kstring.c - copies of memory and of strings, made by kmalloc() */
#include <knuma/kstring.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "alloc/base/compiler.h"

/* @len bytes of @s and a zero byte behind them. */
static char *copy_string(const char *s, size_t len, gfp_t gfp)
{
	char *copy = kmalloc(len + 1, gfp);

	if (unlikely(!copy))
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

/* Documented in <knuma/kstring.h>. */
void *kmemdup(const void *src, size_t len, gfp_t gfp)
{
	void *copy = kmalloc(len, gfp);

	/* Nothing to copy: @src may be NULL, and @copy is ZERO_SIZE_PTR. */
	if (unlikely(ZERO_OR_NULL_PTR(copy)))
		return copy;
	return memcpy(copy, src, len);
}

/* Documented in <knuma/kstring.h>. */
char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? copy_string(s, strlen(s), gfp) : NULL;
}

/* Documented in <knuma/kstring.h>. */
char *kstrndup(const char *s, size_t max, gfp_t gfp)
{
	return s ? copy_string(s, strnlen(s, max), gfp) : NULL;
}

/* Documented in <knuma/kstring.h>. */
char *kmemdup_nul(const char *s, size_t len, gfp_t gfp)
{
	if (!s)
		return NULL;
	if (unlikely(len == SIZE_MAX)) {
		errno = ENOMEM;
		return NULL;
	}
	return copy_string(s, len, gfp);
}
