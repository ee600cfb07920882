/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/faults.h - counted and failing calls of the machine
 *
 * Puts itself between the library and the entries of kn_machine that are there
 * when faults_install() is called, real or fake.
 */
#ifndef KN_TESTS_FAULTS_H
#define KN_TESTS_FAULTS_H

#include <stdint.h>

enum fault_call {
	FAULT_MMAP,
	FAULT_MUNMAP,
	FAULT_MPROTECT,
	FAULT_MADVISE,
	FAULT_MLOCK,
	FAULT_MREMAP,
	FAULT_MBIND,
	FAULT_MEMBARRIER,
	FAULT_READ_FILE,
	FAULT_MINCORE,
	FAULT_INTERLEAVE, /* mbind(2) of several nodes */
	FAULT_PAGE_NODES,
	FAULT_MOVE_PAGES,
	FAULT_WATCH,
	FAULT_CALLS,
	FAULT_ANY = FAULT_CALLS, /* counts all of the above */
};

void faults_install(void);

/* Calls so far. */
uint64_t faults_calls(enum fault_call call);

/* The @nth call from now on (1: the next), and @times - 1 after it, fail. */
void faults_fail(enum fault_call call, uint64_t nth, uint64_t times, int err);
#define FAULTS_FOR_EVER UINT64_MAX

/* madvise(2) with @advice fails from now on; -1: no longer. */
void faults_refuse_advice(int advice, int err);

/* Calls that were made to fail. */
uint64_t faults_failed(void);

const char *fault_name(enum fault_call call);

#endif
