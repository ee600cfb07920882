/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/base/print.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

kn_tls struct kn_text *kn_print_into;

int kn_write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

void kn_vprint(const char *fmt, va_list ap)
{
	const int saved_errno = errno;
	char line[1024] = "knuma: ";
	const size_t prefix = 7;
	int n = vsnprintf(line + prefix, sizeof(line) - prefix - 1, fmt, ap);
	size_t len = prefix;

	if (n > 0)
		len += KN_MIN((size_t)n, sizeof(line) - prefix - 2);
	line[len++] = '\n';
	if (kn_print_into) {
		kn_text_add(kn_print_into, "%.*s", (int)(len - prefix),
			    line + prefix);
		errno = saved_errno;
		return;
	}
	kn_write_all(STDERR_FILENO, line, len);
	errno = saved_errno;
}

void kn_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kn_vprint(fmt, ap);
	va_end(ap);
}

void kn_text_add(struct kn_text *t, const char *fmt, ...)
{
	const size_t room = t->len < t->size ? t->size - t->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? t->buf + t->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n;
}
