/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/syscalls.h - system calls that a process may no longer make */
#ifndef KN_TESTS_SYSCALLS_H
#define KN_TESTS_SYSCALLS_H

#include <stdbool.h>

/*
 * From here on any system call of this process ends it, with its number
 * printed, except write(2), exit_group(2) and what signals need.  False where
 * the kernel has no seccomp filters.
 */
bool syscalls_forbid(void);

/* From here on the @n system calls of @nr fail with @err. */
bool syscalls_refuse(const int *nr, int n, int err);

#endif
