/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/linux/printk.h - pr_err() and its family, on stderr
 *
 * A file that wants a prefix defines pr_fmt() before its first include:
 *
 *   #define pr_fmt(fmt) "ring: " fmt
 *
 * The format is a string literal.  pr_debug() prints only where DEBUG is
 * defined.  Not for signal handlers: stdio takes locks.
 */
#ifndef KNUMA_LINUX_PRINTK_H
#define KNUMA_LINUX_PRINTK_H

#include <stdio.h>

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif

#define printk(...)	    ((void)fprintf(stderr, __VA_ARGS__))

/*
 * The "%s" with its "" lets a call have no argument beside the format in
 * strict C11, and leaves pr_fmt() free to add arguments of its own.
 */
#define KN_PR(...)	    KN_PR_FMT(__VA_ARGS__, "")
#define KN_PR_FMT(fmt, ...) printk(pr_fmt(fmt "%s"), __VA_ARGS__)
#define KN_PR_NOT(...)                      \
	do {                                \
		if (0)                      \
			KN_PR(__VA_ARGS__); \
	} while (0)

#define pr_emerg(...)  KN_PR(__VA_ARGS__)
#define pr_alert(...)  KN_PR(__VA_ARGS__)
#define pr_crit(...)   KN_PR(__VA_ARGS__)
#define pr_err(...)    KN_PR(__VA_ARGS__)
#define pr_warn(...)   KN_PR(__VA_ARGS__)
#define pr_notice(...) KN_PR(__VA_ARGS__)
#define pr_info(...)   KN_PR(__VA_ARGS__)

#ifdef DEBUG
#define pr_debug(...) KN_PR(__VA_ARGS__)
#else
#define pr_debug(...) KN_PR_NOT(__VA_ARGS__)
#endif

#endif /* KNUMA_LINUX_PRINTK_H */
