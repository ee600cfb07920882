/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "alloc/base/print.h"

void (*kn_bug_hook)(const char *report);

void kn_bug(const char *fmt, ...)
{
	char report[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report, sizeof(report), fmt, ap);
	va_end(ap);
	if (kn_bug_hook) {
		kn_bug_hook(report);
		return;
	}
	kn_print("BUG %s", report);
	abort();
}

void kn_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kn_vprint(fmt, ap);
	va_end(ap);
}

void kn_check_failed(const char *expr, const char *file, int line)
{
	kn_print("BUG in knuma: %s does not hold at %s:%d; "
		 "the heap can no longer be trusted", expr, file, line);
	abort();
}
