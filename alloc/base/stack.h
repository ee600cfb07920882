/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/stack.h - who called: return addresses, for reports
 *
 * By the unwind tables, which need no frame pointers.  Neither takes memory nor,
 * with glibc 2.35 and later, a lock, so both may be used in a signal handler and
 * inside an allocation.
 */
#ifndef KN_BASE_STACK_H
#define KN_BASE_STACK_H

#include "alloc/base/compiler.h"

#define KN_STACK_DEPTH 16

struct kn_stack {
	uint32_t nr;
	uintptr_t pc[KN_STACK_DEPTH]; /* innermost first */
};

/*
 * The callers of the running function, without the innermost @skip: with 0 its
 * own address is the first.
 */
kn_noinline void kn_stack_take(struct kn_stack *s, unsigned skip);

/*
 * In a signal handler: from the interrupted instruction @pc on.  @pc alone where
 * the tables do not lead there.
 */
kn_noinline void kn_stack_take_from(struct kn_stack *s, uintptr_t pc);

/* "name+0x1f" or "program+0x1f", of an instruction, in @buf. */
void kn_stack_name(uintptr_t pc, char *buf, size_t len);

/* A line for each, as kn_print() does. */
void kn_stack_print(const struct kn_stack *s);

#endif
