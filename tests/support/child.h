/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/child.h - a test body in a process of its own
 *
 * The library starts once a process, and many promises are about that start or
 * about "once": so a body runs in a forked child in which the library has not
 * started.  What it prints on standard output and error is kept; it is shown
 * when the body fails.
 *
 *   static void zero_is_legal(void) { CHECK(kmalloc(0, GFP_KERNEL)); }
 *   const struct CMUnitTest tests[] = { child_test(zero_is_legal) };
 */
#ifndef KN_TESTS_CHILD_H
#define KN_TESTS_CHILD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Address and thread sanitizer take the address space for themselves. */
#ifdef __has_feature
#define TEST_ASAN __has_feature(address_sanitizer)
#define TEST_TSAN __has_feature(thread_sanitizer)
#else
#ifdef __SANITIZE_ADDRESS__
#define TEST_ASAN 1
#else
#define TEST_ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define TEST_TSAN 1
#else
#define TEST_TSAN 0
#endif
#endif
#define TEST_SANITIZED (TEST_ASAN || TEST_TSAN)

/* How a child ended and what it printed. */
struct child {
	int status; /* of waitpid(2) */
	char text[16384];
};

/* Runs @fn in a child, which ends with exit code 0 when it returns. */
void child_run(void (*fn)(void), struct child *c);

bool child_passed(const struct child *c);
bool child_killed(const struct child *c, int sig);

/* True when a child that runs @fn dies of SIGSEGV or SIGBUS. */
bool child_faults(void (*fn)(void));

/* A row of a cmocka table. */
#define child_test(f)                                     \
	{                                                 \
#f, child_cmocka, NULL, NULL, (void *)(f) \
	}
void child_cmocka(void **state);

/* What this child has printed so far, and how often @needle is in it. */
const char *printed(void);
int printed_times(const char *needle);

/* Prints why and ends the child as skipped, which counts as passed. */
void skip_child(const char *why) __attribute__((noreturn));

/* Checks inside a child: the first that fails ends it. */
void check_failed(const char *file, int line, const char *what)
	__attribute__((noreturn));
void check_equal(const char *file, int line, const char *a_text, uint64_t a,
		 const char *b_text, uint64_t b);
void check_text(const char *file, int line, const char *text,
		const char *needle);

#define CHECK(x) ((x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))
#define CHECK_EQ(a, b)                                                    \
	check_equal(__FILE__, __LINE__, #a, (uint64_t)(uintptr_t)(a), #b, \
		    (uint64_t)(uintptr_t)(b))

/* @needle is part of @text. */
#define CHECK_HAS(text, needle) check_text(__FILE__, __LINE__, text, needle)

/* The call gives 0 or NULL and sets errno to @err. */
#define CHECK_FAILS(call, err)                  \
	do {                                    \
		errno = 0;                      \
		CHECK_EQ((uintptr_t)(call), 0); \
		CHECK_EQ(errno, err);           \
	} while (0)

#endif
