/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/rseq/sections.h - the restartable sections of this program, and how to
 * stop in one
 *
 * Each use of a section is a copy of its own, inlined, with a descriptor in
 * the ELF section __rseq_cs.  A tracee is a forked child, so it has the same
 * code at the same addresses, and struct rseq where the tracer has it.  A
 * breakpoint is an int3 in the tracee's text: unlike a single step, which the
 * kernel answers with an abort, it lets the section run up to there.
 */
#ifndef KN_TESTS_RSEQ_SECTIONS_H
#define KN_TESTS_RSEQ_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As the kernel has it, struct rseq_cs. */
struct section {
	uint32_t version, flags;
	uint64_t start, len, abort;
} __attribute__((aligned(32)));

size_t sections_nr(void);
const struct section *section_at(size_t i);

/* The section that @ip lies in; NULL: none. */
const struct section *section_of(uint64_t ip);

/* An instruction of a section, where it begins. */
struct point {
	const struct section *section;
	uint64_t ip;
};

#define MAX_POINTS 4096

struct tracee {
	pid_t pid;
	int status; /* of waitpid(2) */
};

/* Runs @fn in a child that is traced.  False: ptrace(2) is refused. */
bool tracee_start(struct tracee *t, void (*fn)(void));

void tracee_break(const struct tracee *t, uint64_t ip);
void tracee_unbreak(const struct tracee *t, uint64_t ip);
uint64_t tracee_ip(const struct tracee *t);
void tracee_set_ip(const struct tracee *t, uint64_t ip);

/*
 * Goes on, one instruction or to the next stop; false when it has ended, or
 * called tracee_over().
 */
bool tracee_step(struct tracee *t);
bool tracee_go_on(struct tracee *t);

/*
 * Called by a tracee: from here on it has threads that nobody traces and that a
 * breakpoint would kill, and none that is needed to disturb it.
 */
void tracee_over(void);

/* From there, or from a stop, to its end.  No breakpoint may be left. */
void tracee_end(struct tracee *t);

/* Ends it, whatever it does. */
void tracee_kill(struct tracee *t);

/*
 * The instructions of all sections that @fn runs through before tracee_over(),
 * each once, into @p: how many; -1: ptrace(2) is refused.  The sections run as
 * plain code meanwhile.
 */
int points_of(void (*fn)(void), struct point p[MAX_POINTS]);

#endif
