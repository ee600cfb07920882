/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/assert.h - what is done about a bug
 *
 *   KN_ASSERT   knuma's own error; debug builds only
 *   KN_CHECK    knuma's own error; always on, where corruption would spread
 *   kn_bug      the caller's error (double free, foreign pointer): report,
 *               then abort; a test replaces the abort
 *   kn_warn_once  suspicious, survivable
 */
#ifndef KN_BASE_ASSERT_H
#define KN_BASE_ASSERT_H

#include "alloc/base/compiler.h"

/*
 * Reports a caller's bug and aborts.  Returns only when a test has set
 * kn_bug_hook; the code behind the call then leaves the memory alone.
 */
kn_slow void kn_bug(const char *fmt, ...) kn_printf(1, 2);

/* Set by tests: called with the report instead of abort(). */
extern void (*kn_bug_hook)(const char *report);

kn_slow void kn_warn(const char *fmt, ...) kn_printf(1, 2);

#define kn_warn_once(...)                                                \
	do {                                                             \
		static unsigned char kn_warned;                          \
		if (!__atomic_exchange_n(&kn_warned, 1, __ATOMIC_RELAXED)) \
			kn_warn(__VA_ARGS__);                            \
	} while (0)

kn_slow void kn_check_failed(const char *expr, const char *file, int line)
	__attribute__((noreturn));

#define KN_CHECK(x)                                                \
	(likely(x) ? (void)0 : kn_check_failed(#x, __FILE__, __LINE__))

#ifdef KN_DEBUG
#define KN_ASSERT(x) KN_CHECK(x)
#else
#define KN_ASSERT(x) ((void)sizeof(!!(x)))
#endif

#endif
