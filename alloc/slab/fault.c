/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/slab/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/lock.h"
#include "alloc/slab/fence.h"

static struct sigaction found; /* what was there before */
static uint32_t installed;     /* atomic */
static uint32_t reporting;     /* a thread prints; atomic */
static kn_tls bool here;       /* this one */

#if defined(__x86_64__)
static uintptr_t pc_of(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}

/* Bit 1 of the page fault's error code. */
static int is_write(const ucontext_t *uc)
{
	return (int)(uc->uc_mcontext.gregs[REG_ERR] >> 1 & 1);
}
#else
static uintptr_t pc_of(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.pc;
}

/* The system does not say without a look at its extended records. */
static int is_write(const ucontext_t *uc)
{
	(void)uc;
	return -1;
}
#endif

static void default_action(int sig)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};

	sigemptyset(&sa.sa_mask);
	/* With the handler left in place, the instruction would bring it back. */
	if (sigaction(sig, &sa, NULL))
		abort();
}

/* A fault of an instruction cannot be ignored: the kernel ends the process. */
static void go_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction was = found;
	/* SA_SIGINFO may stand beside these two, and does not count then. */
	const bool calls = was.sa_handler != SIG_DFL &&
			   was.sa_handler != SIG_IGN;

	if (was.sa_flags & SA_RESETHAND)
		found.sa_handler = SIG_DFL;
	if (calls && was.sa_flags & SA_SIGINFO) {
		was.sa_sigaction(sig, info, context);
	} else if (calls) {
		was.sa_handler(sig);
	} else if (info->si_code > 0) {
		default_action(sig);
	} else if (was.sa_handler == SIG_DFL) {
		/* No instruction brings it again; it waits for our return. */
		default_action(sig);
		raise(sig);
	}
}

static void handler(int sig, siginfo_t *info, void *context)
{
	const int saved_errno = errno;

	/* Not for one that a process sent, which has no address. */
	if (info->si_code > 0 && !here) {
		/* The first that prints may end the process: it gets its time. */
		while (!ck_pr_cas_32(&reporting, 0, 1))
			kn_wait_clear(&reporting);
		here = true;
		kn_fence_report_fault((uintptr_t)info->si_addr, pc_of(context),
				      is_write(context));
		here = false;
		kn_store_release(&reporting, 0);
	}
	errno = saved_errno;
	go_on(sig, info, context);
}

void kn_fault_install(void)
{
	struct sigaction sa = {.sa_sigaction = handler};

	if (!ck_pr_cas_32(&installed, 0, 1))
		return;
	if (sigaction(SIGSEGV, NULL, &found))
		goto refused;
	/* Masked and restarted as the handler behind it asked for. */
	sa.sa_mask = found.sa_mask;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK |
		      (found.sa_flags & (SA_RESTART | SA_NODEFER));
	if (!sigaction(SIGSEGV, &sa, NULL))
		return;
refused:
	kn_warn("guard_sample: no handler of SIGSEGV (error %d): uses of guarded "
		"objects end the process without a report",
		errno);
}
