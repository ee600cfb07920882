/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/err.h - a pointer, or the reason why there is none */
#ifndef KNUMA_LINUX_ERR_H
#define KNUMA_LINUX_ERR_H

#include <errno.h>

#include <knuma/types.h>

/* The last MAX_ERRNO addresses are never memory: they carry -errno. */
#define MAX_ERRNO	4095
#define IS_ERR_VALUE(x) ((uintptr_t)(x) >= (uintptr_t)-MAX_ERRNO)

/* @error: a negative errno value, such as -ENOMEM. */
static inline void *ERR_PTR(long error)
{
	return (void *)(intptr_t)error;
}

static inline long PTR_ERR(const void *p)
{
	return (long)(intptr_t)p;
}

static inline bool IS_ERR(const void *p)
{
	return IS_ERR_VALUE(p);
}

static inline bool IS_ERR_OR_NULL(const void *p)
{
	return !p || IS_ERR_VALUE(p);
}

/* The error as a pointer of another type. */
static inline void *ERR_CAST(const void *p)
{
	return (void *)(uintptr_t)p;
}

static inline int PTR_ERR_OR_ZERO(const void *p)
{
	return IS_ERR(p) ? (int)PTR_ERR(p) : 0;
}

#endif /* KNUMA_LINUX_ERR_H */
