/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/view/live_path.h"

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kn_vprint(fmt, ap);
	va_end(ap);
	exit(EXIT_USAGE);
}

int pick(struct argp_state *state, const char *word, const char *const *words)
{
	char list[128] = "";
	size_t len = 0;

	for (int i = 0; words[i]; i++) {
		if (!strcmp(word, words[i]))
			return i;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
					i ? ", " : "", words[i]);
	}
	argp_error(state, "'%s' is none of %s", word, list);
	return 0;
}

char *text_of(void (*print)(struct kn_text *t, const void *arg),
	      const void *arg)
{
	struct kn_text t = {NULL, 0, 0};

	/* What is printed may have grown when it is printed again. */
	do {
		free(t.buf);
		t = (struct kn_text){NULL, 0, 0};
		print(&t, arg);
		t.size = t.len + 4096;
		t.len = 0;
		t.buf = malloc(t.size);
		if (!t.buf)
			fail("out of memory");
		t.buf[0] = '\0';
		print(&t, arg);
	} while (t.len >= t.size);
	return t.buf;
}

bool last_stat_path(char *path, size_t len)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char dir[256];

	for (int i = 0; i < KN_LIVE_FOLDERS; i++) {
		int n;

		/* Runs as a service's user leave them where shells look. */
		if (i == 1 ||
		    !kn_live_folder(i, geteuid(), runtime, dir, sizeof(dir)) ||
		    !kn_private_folder(dir))
			continue;
		n = snprintf(path, len, "%s/last.stat", dir);
		return n > 0 && (size_t)n < len;
	}
	return false;
}
