/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/stack.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "tests/support/child.h"

/* Functions that a stack is looked for in stand in a section of their own. */
#define OUTER __attribute__((noinline, section("outer_site")))
#define INNER __attribute__((noinline, section("inner_site")))
extern const char __start_outer_site[], __stop_outer_site[];
extern const char __start_inner_site[], __stop_inner_site[];

static bool in_outer(uintptr_t pc)
{
	return pc >= (uintptr_t)__start_outer_site &&
	       pc <= (uintptr_t)__stop_outer_site;
}

static bool in_inner(uintptr_t pc)
{
	return pc >= (uintptr_t)__start_inner_site &&
	       pc <= (uintptr_t)__stop_inner_site;
}

INNER static void take(struct kn_stack *s, unsigned skip)
{
	kn_stack_take(s, skip);
	__asm__ volatile("");
}

OUTER static void outer(struct kn_stack *s, unsigned skip)
{
	take(s, skip);
	__asm__ volatile("");
}

static void innermost_first(void)
{
	struct kn_stack s;

	outer(&s, 0);
	CHECK(s.nr >= 2 && s.nr <= KN_STACK_DEPTH);
	CHECK(in_inner(s.pc[0]));
	CHECK(in_outer(s.pc[1]));
}

static void skipped_from_the_inside(void)
{
	struct kn_stack s;

	outer(&s, 1);
	CHECK(in_outer(s.pc[0]));
	outer(&s, 1000);
	CHECK_EQ(s.nr, 0);
}

OUTER static unsigned deep(struct kn_stack *s, unsigned depth)
{
	unsigned n = depth;

	if (depth)
		n += deep(s, depth - 1);
	else
		kn_stack_take(s, 0);
	__asm__ volatile("" : "+r"(n));
	return n;
}

static void no_more_than_there_is_room_for(void)
{
	struct kn_stack s;

	deep(&s, 100);
	CHECK_EQ(s.nr, KN_STACK_DEPTH);
	for (uint32_t i = 0; i < s.nr; i++)
		CHECK(in_outer(s.pc[i]));
}

static struct kn_stack in_handler;

static void handler(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	(void)sig;
	(void)info;
#if defined(__x86_64__)
	kn_stack_take_from(&in_handler,
			   (uintptr_t)uc->uc_mcontext.gregs[REG_RIP]);
#else
	kn_stack_take_from(&in_handler, (uintptr_t)uc->uc_mcontext.pc);
#endif
}

static void a_handler_finds_what_it_interrupted(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	raise(SIGUSR1);
	/* raise(), this function, main() and what is between. */
	CHECK(in_handler.nr >= 3);
}

static void an_address_that_no_table_has_stands_alone(void)
{
	struct kn_stack s;

	kn_stack_take_from(&s, 0x1234);
	CHECK_EQ(s.nr, 1);
	CHECK_EQ(s.pc[0], 0x1234);
	kn_stack_print(&s);
	CHECK_HAS(printed(), "0x1234 ?\n");
}

static void printed_with_names(void)
{
	struct kn_stack s = {0};
	char name[64];

	/* A function of the C library has a name that is exported. */
	kn_stack_name((uintptr_t)&fputs + 1, name, sizeof(name));
	CHECK_HAS(name, "puts+0x1");
	/* One of this program stands where the program does. */
	kn_stack_name((uintptr_t)&printed_with_names + 1, name, sizeof(name));
	CHECK_HAS(name, "+0x");
	kn_stack_print(&s);
	CHECK_HAS(printed(), "no stack");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(innermost_first),
		child_test(skipped_from_the_inside),
		child_test(no_more_than_there_is_room_for),
		child_test(a_handler_finds_what_it_interrupted),
		child_test(an_address_that_no_table_has_stands_alone),
		child_test(printed_with_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
