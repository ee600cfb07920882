/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/overflow.h - sizes that cannot wrap around */
#ifndef KNUMA_LINUX_OVERFLOW_H
#define KNUMA_LINUX_OVERFLOW_H

#include <knuma/types.h>

/* True if the result does not fit into *(d), which then holds it cut short. */
#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d) __builtin_sub_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)

/* a * b, or SIZE_MAX, which every allocator refuses. */
static inline size_t size_mul(size_t a, size_t b)
{
	size_t bytes;

	return __builtin_mul_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

/* a + b, or SIZE_MAX. */
static inline size_t size_add(size_t a, size_t b)
{
	size_t bytes;

	return __builtin_add_overflow(a, b, &bytes) ? SIZE_MAX : bytes;
}

/* a - b, or SIZE_MAX if b is larger or either is SIZE_MAX. */
static inline size_t size_sub(size_t a, size_t b)
{
	if (a == SIZE_MAX || b == SIZE_MAX || a < b)
		return SIZE_MAX;
	return a - b;
}

/* Bytes of an array of n elements, or of a matrix. */
#define array_size(n, size)	      size_mul(n, size)
#define array3_size(a, b, size)	      size_mul(size_mul(a, b), size)

/* Bytes of the flexible array member of *(p) with n elements. */
#define flex_array_size(p, member, n) size_mul(n, sizeof(*(p)->member))

/* Bytes of *(p) with n elements in its flexible array member. */
#define struct_size(p, member, n) \
	size_add(sizeof(*(p)), flex_array_size(p, member, n))

#endif /* KNUMA_LINUX_OVERFLOW_H */
