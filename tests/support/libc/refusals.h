/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/libc/refusals.h - calls of the C library that fail
 *
 * For what does not go through the machine's table, see faults.h.  The linker
 * puts them between the program, test and library alike, and the C library:
 * --wrap for each row of refusals.def and for pthread_create(), in the target
 * //tests:refusals, which a test that includes this has among its deps.
 */
#ifndef KN_TESTS_REFUSALS_H
#define KN_TESTS_REFUSALS_H

#include <stdint.h>

enum libc_call {
#define REFUSAL(ret, name, parameters, arguments) LIBC_##name,
#include "tests/support/libc/refusals.def"
#undef REFUSAL
	LIBC_pthread_create,
	LIBC_CALLS,
};

#define LIBC_FOR_EVER UINT64_MAX

/* The @nth call from now on (1: the next), and @times - 1 after it, fail. */
void libc_refuse(enum libc_call call, uint64_t nth, uint64_t times, int err);

/* No call fails any more. */
void libc_allow(enum libc_call call);

/* Calls so far, and those of them that were made to fail. */
uint64_t libc_calls(enum libc_call call);
uint64_t libc_refused(enum libc_call call);

#endif
