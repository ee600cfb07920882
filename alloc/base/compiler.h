/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/base/compiler.h - the compiler's words, in one place */
#ifndef KN_BASE_COMPILER_H
#define KN_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef KN_COVERAGE
/* Conditions inside a macro have no place of their own in the source. */
#define likely
#define unlikely
#else
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#define kn_always_inline inline __attribute__((always_inline))
/* The rest of a fast path: kept out of its way and of its cache lines. */
#define kn_slow __attribute__((noinline, cold))
/* An entry point with a fast path: starts a line of instructions. */
#define kn_fast __attribute__((hot, aligned(64)))
#define kn_noinline __attribute__((noinline))
#define kn_printf(f, a) __attribute__((format(printf, f, a)))
#define kn_cacheline __attribute__((aligned(64)))
#define kn_must_check __attribute__((warn_unused_result))

/* Thread-local words of the library: static TLS, so no call and no malloc. */
/* The compiler's own is a prefetch to read, unless told of a newer processor. */
#if defined(__x86_64__)
#define kn_prefetch_write(p) \
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)(p)))
#else
#define kn_prefetch_write(p) __builtin_prefetch(p, 1)
#endif

#define kn_tls __thread __attribute__((tls_model("initial-exec")))

#define KN_STATIC_ASSERT(cond, text) _Static_assert(cond, text)

#define kn_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define KN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define KN_MAX(a, b) ((a) > (b) ? (a) : (b))
#define KN_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* @align is a power of two. */
#define KN_ALIGN_UP(x, align) \
	(((x) + ((__typeof__(x))(align) - 1)) & ~((__typeof__(x))(align) - 1))
#define KN_ALIGN_DOWN(x, align) ((x) & ~((__typeof__(x))(align) - 1))

#endif
