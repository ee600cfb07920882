/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/linux/kernel.h - the small macros that kernel code is written with */
#ifndef KNUMA_LINUX_KERNEL_H
#define KNUMA_LINUX_KERNEL_H

#include <limits.h>

#include <knuma/linux/err.h>
#include <knuma/linux/overflow.h>
#include <knuma/linux/printk.h>
#include <knuma/linux/types.h>

#define ARRAY_SIZE(a)	   (sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define round_up(x, a)	   ALIGN(x, a)
#define round_down(x, a)   ALIGN_DOWN(x, a)
#define BUILD_BUG_ON(cond) KN_BUILD_ASSERT(!(cond), "BUILD_BUG_ON: " #cond)

/* The struct of which *(p) is the member @member. */
#define container_of(p, type, member)                                     \
	__extension__({                                                   \
		const __typeof__(((type *)0)->member) *kn_member_ = (p);  \
                                                                          \
		(type *)((uintptr_t)kn_member_ - offsetof(type, member)); \
	})

/* Smaller and larger of two, each evaluated once, compared as @type. */
#define min_t(type, a, b)                      \
	__extension__({                        \
		type kn_a_ = (type)(a);        \
		type kn_b_ = (type)(b);        \
                                               \
		kn_a_ < kn_b_ ? kn_a_ : kn_b_; \
	})
#define max_t(type, a, b)                      \
	__extension__({                        \
		type kn_a_ = (type)(a);        \
		type kn_b_ = (type)(b);        \
                                               \
		kn_a_ > kn_b_ ? kn_a_ : kn_b_; \
	})
#define clamp_t(type, x, lo, hi)                                             \
	__extension__({                                                      \
		type kn_x_ = (type)(x);                                      \
		type kn_lo_ = (type)(lo);                                    \
		type kn_hi_ = (type)(hi);                                    \
                                                                             \
		kn_lo_ > kn_x_ ? kn_lo_ : (kn_x_ > kn_hi_ ? kn_hi_ : kn_x_); \
	})

/*
 * The same for two numbers that are both signed or both not; others are an
 * error.  C++ has std::min() and std::max(), which such macros would break.
 */
#ifndef __cplusplus
#define KN_SIGNED(x) ((__typeof__(x))-1 < (__typeof__(x))1)

#ifndef min
#define min(a, b)                                                     \
	__extension__({                                               \
		__typeof__(a) kn_a_ = (a);                            \
		__typeof__(b) kn_b_ = (b);                            \
                                                                      \
		KN_BUILD_ASSERT(KN_SIGNED(kn_a_) == KN_SIGNED(kn_b_), \
				"min() of a signed and an unsigned"); \
		kn_a_ < kn_b_ ? kn_a_ : kn_b_;                        \
	})
#endif
#ifndef max
#define max(a, b)                                                     \
	__extension__({                                               \
		__typeof__(a) kn_a_ = (a);                            \
		__typeof__(b) kn_b_ = (b);                            \
                                                                      \
		KN_BUILD_ASSERT(KN_SIGNED(kn_a_) == KN_SIGNED(kn_b_), \
				"max() of a signed and an unsigned"); \
		kn_a_ > kn_b_ ? kn_a_ : kn_b_;                        \
	})
#endif
#define swap(a, b)                           \
	do {                                 \
		__typeof__(a) kn_tmp_ = (a); \
                                             \
		(a) = (b);                   \
		(b) = kn_tmp_;               \
	} while (0)
#endif

#endif /* KNUMA_LINUX_KERNEL_H */

/* With -I DIR/include/knuma this file hides the system's: give that, too. */
#pragma GCC system_header
#if __has_include_next(<linux/kernel.h>)
#include_next <linux/kernel.h>
#endif
