/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/kmalloc_obj.h - memory for a type, not for a number of bytes
 *
 *   struct conn *c = kmalloc_obj(*c);
 *   struct conn *many = kzalloc_objs(struct conn, 100, GFP_NOWAIT);
 *   struct frame *f = kmalloc_flex(*f, byte, len);
 *
 * Each takes a type, or a variable of it that is not evaluated; flags come last
 * and may be left out for GFP_KERNEL.  The result is a pointer to that type.
 * There are four kinds of each: kmalloc, kzalloc (zeroes), kvmalloc, kvzalloc.
 */
#ifndef KNUMA_KMALLOC_OBJ_H
#define KNUMA_KMALLOC_OBJ_H

#include <knuma/gfp.h>
#include <knuma/kmalloc.h>
#include <knuma/kvmalloc.h>
#include <knuma/types.h>

/* Bytes of a struct with @n elements of @each behind; SIZE_MAX: too many. */
static inline size_t kn_flex_bytes(size_t bytes, size_t n, size_t each)
{
	if (__builtin_mul_overflow(n, each, &n) ||
	    __builtin_add_overflow(bytes, n, &bytes))
		return SIZE_MAX;
	return bytes;
}

/* The arguments end in GFP_KERNEL, which @gfp is if the caller said nothing. */
#define KN_OBJ(call, zero, x, gfp, ...) \
	((__typeof__(x) *)call(sizeof(x), (gfp) | (zero)))
#define KN_OBJS(call, zero, x, n, gfp, ...) \
	((__typeof__(x) *)call(n, sizeof(x), (gfp) | (zero)))
#define KN_FLEX(call, zero, x, member, n, gfp, ...)                        \
	((__typeof__(x) *)call(                                            \
		kn_flex_bytes(sizeof(x), n,                                \
			      sizeof(((__typeof__(x) *)NULL)->member[0])), \
		(gfp) | (zero)))

/**
 * kmalloc_obj - memory for one object
 *
 *   kmalloc_obj(var_or_type, gfp)
 *
 * kmalloc() of the size of var_or_type; gfp may be left out.  kzalloc_obj(),
 * kvmalloc_obj() and kvzalloc_obj() are the same for kzalloc(), kvmalloc() and
 * kvzalloc().
 *
 * Context: as kmalloc().
 * Return:  a pointer to the type; NULL on failure, and errno tells why.
 * Errors:  as kmalloc().
 * Source:  Linux include/linux/slab.h, kmalloc_obj() of 7.0.
 */
#define kmalloc_obj(...)  KN_OBJ(kmalloc, 0u, __VA_ARGS__, GFP_KERNEL, 0)
#define kzalloc_obj(...)  KN_OBJ(kmalloc, __GFP_ZERO, __VA_ARGS__, GFP_KERNEL, 0)
#define kvmalloc_obj(...) KN_OBJ(kvmalloc, 0u, __VA_ARGS__, GFP_KERNEL, 0)
#define kvzalloc_obj(...) \
	KN_OBJ(kvmalloc, __GFP_ZERO, __VA_ARGS__, GFP_KERNEL, 0)

/**
 * kmalloc_objs - memory for an array of objects
 *
 *   kmalloc_objs(var_or_type, n, gfp)
 *
 * kmalloc_array() of n elements of the size of var_or_type; gfp may be left out.
 * kzalloc_objs(), kvmalloc_objs() and kvzalloc_objs() are the same for the other
 * kinds.
 *
 * Context: as kmalloc().
 * Return:  a pointer to the first; NULL on failure, and errno tells why.
 * Errors:  as kmalloc_array().
 * Source:  Linux include/linux/slab.h, kmalloc_objs() of 7.0.
 */
#define kmalloc_objs(...) KN_OBJS(kmalloc_array, 0u, __VA_ARGS__, GFP_KERNEL, 0)
#define kzalloc_objs(...) \
	KN_OBJS(kmalloc_array, __GFP_ZERO, __VA_ARGS__, GFP_KERNEL, 0)
#define kvmalloc_objs(...) \
	KN_OBJS(kvmalloc_array, 0u, __VA_ARGS__, GFP_KERNEL, 0)
#define kvzalloc_objs(...) \
	KN_OBJS(kvmalloc_array, __GFP_ZERO, __VA_ARGS__, GFP_KERNEL, 0)

/**
 * kmalloc_flex - memory for a struct that ends in an array
 *
 *   kmalloc_flex(var_or_type, member, n, gfp)
 *
 * kmalloc() of the struct and of n elements of its flexible array member; gfp may
 * be left out.  A counter of the elements is the caller's to set.
 * kzalloc_flex(), kvmalloc_flex() and kvzalloc_flex() are the same for the other
 * kinds.
 *
 * Context: as kmalloc().
 * Return:  a pointer to the struct; NULL on failure, and errno tells why.
 * Errors:  as kmalloc() of SIZE_MAX bytes when the size does not fit into size_t.
 * Source:  Linux include/linux/slab.h, kmalloc_flex() of 7.0.
 */
#define kmalloc_flex(...) KN_FLEX(kmalloc, 0u, __VA_ARGS__, GFP_KERNEL, 0)
#define kzalloc_flex(...) \
	KN_FLEX(kmalloc, __GFP_ZERO, __VA_ARGS__, GFP_KERNEL, 0)
#define kvmalloc_flex(...) KN_FLEX(kvmalloc, 0u, __VA_ARGS__, GFP_KERNEL, 0)
#define kvzalloc_flex(...) \
	KN_FLEX(kvmalloc, __GFP_ZERO, __VA_ARGS__, GFP_KERNEL, 0)

#endif /* KNUMA_KMALLOC_OBJ_H */
