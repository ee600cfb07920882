/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/rseq/sections.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define INT3	0xcc

/* Runs of one section that are looked at: declined, done, long and short. */
#define RUNS	12

/* Of struct rseq. */
#define RSEQ_CS 8

extern const struct section __start___rseq_cs[] __attribute__((weak));
extern const struct section __stop___rseq_cs[] __attribute__((weak));

size_t sections_nr(void)
{
	return (size_t)(__stop___rseq_cs - __start___rseq_cs);
}

const struct section *section_at(size_t i)
{
	return &__start___rseq_cs[i];
}

const struct section *section_of(uint64_t ip)
{
	for (size_t i = 0; i < sections_nr(); i++)
		if (ip - section_at(i)->start < section_at(i)->len)
			return section_at(i);
	return NULL;
}

static uint8_t own_byte(uint64_t ip)
{
	return *(const uint8_t *)(uintptr_t)ip;
}

static void put_byte(const struct tracee *t, uint64_t ip, uint8_t byte)
{
	const uint64_t at = ip & ~(uint64_t)7;
	const unsigned shift = (ip & 7) * 8;
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, t->pid, at, 0);
	assert_int_equal(errno, 0);
	word = (long)(((uint64_t)word & ~((uint64_t)0xff << shift)) |
		      (uint64_t)byte << shift);
	assert_int_equal(ptrace(PTRACE_POKETEXT, t->pid, at, word), 0);
}

void tracee_break(const struct tracee *t, uint64_t ip)
{
	put_byte(t, ip, INT3);
}

void tracee_unbreak(const struct tracee *t, uint64_t ip)
{
	put_byte(t, ip, own_byte(ip));
}

uint64_t tracee_ip(const struct tracee *t)
{
	struct user_regs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETREGS, t->pid, 0, &regs), 0);
	return regs.rip;
}

void tracee_set_ip(const struct tracee *t, uint64_t ip)
{
	struct user_regs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETREGS, t->pid, 0, &regs), 0);
	regs.rip = ip;
	assert_int_equal(ptrace(PTRACE_SETREGS, t->pid, 0, &regs), 0);
}

/* An int3 and a single step are the kernel's; raise(3) is not. */
static bool is_over(const struct tracee *t)
{
	siginfo_t info;

	assert_int_equal(ptrace(PTRACE_GETSIGINFO, t->pid, 0, &info), 0);
	return info.si_code == SI_TKILL;
}

/* Waits for a trap; what is no trap is delivered. */
static bool go(struct tracee *t, enum __ptrace_request how)
{
	long sig = 0;

	for (;;) {
		assert_int_equal(ptrace(how, t->pid, 0, sig), 0);
		while (waitpid(t->pid, &t->status, 0) < 0)
			assert_int_equal(errno, EINTR);
		if (!WIFSTOPPED(t->status))
			return false;
		if (WSTOPSIG(t->status) == SIGTRAP)
			return !is_over(t);
		sig = WSTOPSIG(t->status);
	}
}

bool tracee_step(struct tracee *t)
{
	return go(t, PTRACE_SINGLESTEP);
}

bool tracee_go_on(struct tracee *t)
{
	return go(t, PTRACE_CONT);
}

void tracee_over(void)
{
	raise(SIGTRAP);
}

void tracee_end(struct tracee *t)
{
	while (WIFSTOPPED(t->status))
		if (go(t, PTRACE_CONT))
			fail_msg("a stop at %#lx, and none is set",
				 tracee_ip(t));
}

void tracee_kill(struct tracee *t)
{
	kill(t->pid, SIGKILL);
	while (waitpid(t->pid, &t->status, 0) < 0 && errno == EINTR)
		;
}

#define REFUSED 77

bool tracee_start(struct tracee *t, void (*fn)(void))
{
	t->pid = fork();
	assert_int_not_equal(t->pid, -1);
	if (!t->pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(REFUSED);
		raise(SIGSTOP);
		fn();
		_exit(0);
	}
	while (waitpid(t->pid, &t->status, 0) < 0)
		assert_int_equal(errno, EINTR);
	if (!WIFSTOPPED(t->status)) {
		assert_int_equal(WEXITSTATUS(t->status), REFUSED);
		return false;
	}
	/* It does not outlive a test that fails. */
	assert_int_equal(
		ptrace(PTRACE_SETOPTIONS, t->pid, 0, PTRACE_O_EXITKILL), 0);
	return true;
}

/* The section that was armed is none any more: the kernel aborts nothing. */
static void disarm(const struct tracee *t)
{
	const char *rseq = (char *)__builtin_thread_pointer() + __rseq_offset;

	assert_int_equal(ptrace(PTRACE_POKEDATA, t->pid, rseq + RSEQ_CS, 0), 0);
}

static int add_point(struct point *p, int n, uint64_t ip)
{
	for (int i = 0; i < n; i++)
		if (p[i].ip == ip)
			return n;
	assert_true(n < MAX_POINTS);
	p[n] = (struct point){section_of(ip), ip};
	return n + 1;
}

/* Steps from the start of a section to its end, however it is left. */
static int walk(struct tracee *t, const struct section *s, struct point *p,
		int n)
{
	uint64_t ip = s->start;

	while (ip - s->start < s->len) {
		n = add_point(p, n, ip);
		assert_true(tracee_step(t));
		ip = tracee_ip(t);
	}
	return n;
}

int points_of(void (*fn)(void), struct point p[MAX_POINTS])
{
	unsigned runs[256] = {0};
	struct tracee t;
	int n = 0;

	assert_true(sections_nr() <= 256);
	if (!tracee_start(&t, fn))
		return -1;
	for (size_t i = 0; i < sections_nr(); i++)
		tracee_break(&t, section_at(i)->start);
	while (tracee_go_on(&t)) {
		const struct section *s = section_of(tracee_ip(&t) - 1);

		assert_non_null(s);
		assert_int_equal(tracee_ip(&t) - 1, s->start);
		tracee_unbreak(&t, s->start);
		tracee_set_ip(&t, s->start);
		disarm(&t);
		n = walk(&t, s, p, n);
		if (++runs[s - section_at(0)] < RUNS)
			tracee_break(&t, s->start);
	}
	for (size_t i = 0; WIFSTOPPED(t.status) && i < sections_nr(); i++)
		tracee_unbreak(&t, section_at(i)->start);
	tracee_end(&t);
	assert_true(WIFEXITED(t.status));
	assert_int_equal(WEXITSTATUS(t.status), 0);
	return n;
}
