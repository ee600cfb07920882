/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/print.h - messages of the library, on standard error
 *
 * A message is built in a buffer on the stack and leaves by one write(2), so
 * printing needs no memory and interleaves with nobody else's line.  Each line
 * begins with "knuma: ".
 */
#ifndef KN_BASE_PRINT_H
#define KN_BASE_PRINT_H

#include <stdarg.h>

#include "alloc/base/compiler.h"

/* One message of at most 1000 bytes; longer ones are cut. */
void kn_print(const char *fmt, ...) kn_printf(1, 2);
void kn_vprint(const char *fmt, va_list ap) kn_printf(1, 0);

/* All @len bytes to @fd, through interruptions and short writes.  0, or -Exxx. */
int kn_write_all(int fd, const char *buf, size_t len);

/*
 * A text that is built piece by piece.  @len counts what the text needs even
 * when @buf is too small, as snprintf() does.
 */
struct kn_text {
	char *buf;
	size_t size;
	size_t len;
};

void kn_text_add(struct kn_text *t, const char *fmt, ...) kn_printf(2, 3);

/* Where messages of this thread go, a line each, in place of standard error. */
extern kn_tls struct kn_text *kn_print_into;

#endif
