/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/stack.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>

#include "alloc/base/print.h"

struct walk {
	struct kn_stack *s;
	unsigned skip;	/* frames to leave out */
	uintptr_t from; /* or all up to this address, if not 0 */
};

static _Unwind_Reason_Code visit(struct _Unwind_Context *ctx, void *arg)
{
	struct walk *w = arg;
	const uintptr_t pc = _Unwind_GetIP(ctx);

	if (!pc)
		return _URC_END_OF_STACK;
	if (w->from && pc != w->from)
		return _URC_NO_REASON;
	w->from = 0;
	if (w->skip) {
		w->skip--;
		return _URC_NO_REASON;
	}
	w->s->pc[w->s->nr++] = pc;
	return w->s->nr < KN_STACK_DEPTH ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void kn_stack_take(struct kn_stack *s, unsigned skip)
{
	/* And this function. */
	struct walk w = {.s = s, .skip = skip + 1};

	s->nr = 0;
	_Unwind_Backtrace(visit, &w);
}

void kn_stack_take_from(struct kn_stack *s, uintptr_t pc)
{
	struct walk w = {.s = s, .from = pc};

	s->nr = 0;
	_Unwind_Backtrace(visit, &w);
	if (!s->nr)
		s->pc[s->nr++] = pc;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void kn_stack_name(uintptr_t pc, char *buf, size_t len)
{
	Dl_info info;

	/* A return address may be the first of the next function. */
	if (!dladdr((void *)(pc - 1), &info) || !info.dli_fname)
		snprintf(buf, len, "?");
	else if (info.dli_sname)
		snprintf(buf, len, "%s+0x%lx", info.dli_sname,
			 (unsigned long)(pc - (uintptr_t)info.dli_saddr));
	else
		snprintf(buf, len, "%s+0x%lx", last_part(info.dli_fname),
			 (unsigned long)(pc - (uintptr_t)info.dli_fbase));
}

void kn_stack_print(const struct kn_stack *s)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		char name[200];

		kn_stack_name(s->pc[i], name, sizeof(name));
		kn_print("  0x%lx %s", (unsigned long)s->pc[i], name);
	}
	if (!s->nr)
		kn_print("  (no stack: no unwind tables)");
}
