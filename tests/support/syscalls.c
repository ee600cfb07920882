/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/syscalls.h"

#include <assert.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/child.h"

#define MAX_CALLS 16

static bool install(struct sock_filter *code, unsigned short len)
{
	const struct sock_fprog prog = {.len = len, .filter = code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* Calls of the list end with @listed, all others with @other. */
static bool filter(const int *nr, int n, unsigned listed, unsigned other)
{
	struct sock_filter code[2 * MAX_CALLS + 2];
	unsigned short len = 0;

	assert(n <= MAX_CALLS);
	code[len++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < n; i++) {
		code[len++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr[i], 0, 1);
		code[len++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
	}
	code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, other);
	return install(code, len);
}

static void report(int sig, siginfo_t *info, void *context)
{
	char text[64];
	const int n = snprintf(text, sizeof(text), "system call %d was made\n",
			       info->si_syscall);

	(void)sig;
	(void)context;
	(void)!write(STDERR_FILENO, text, (size_t)n);
	_exit(1);
}

bool syscalls_forbid(void)
{
	/* The third is address sanitizer's, before it calls what exits. */
	static const int allowed[] = {SYS_write, SYS_exit_group,
				      SYS_sigaltstack, SYS_rt_sigreturn};
	struct sigaction sa = {.sa_flags = SA_SIGINFO};

	if (TEST_TSAN) /* makes system calls of its own */
		return false;
	sa.sa_sigaction = report;
	sigaction(SIGSYS, &sa, NULL);
	return filter(allowed, 4, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP);
}

bool syscalls_refuse(const int *nr, int n, int err)
{
	return filter(nr, n, SECCOMP_RET_ERRNO | (unsigned)err,
		      SECCOMP_RET_ALLOW);
}
