/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/config/tunables.h"
#include "tools/knuma/conf_dump.h"

enum {
	OPT_FILE = 256,
	OPT_PID,
	OPT_SOURCES
};

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"file", OPT_FILE, "FILE", 0,
	 "of FILE, in place of /etc/knuma.conf and the user's own", 0},
	{"pid", OPT_PID, "PID", 0,
	 "as process PID found it at its start; what it set itself is not seen",
	 0},
	{"sources", OPT_SOURCES, NULL, 0,
	 "dump: the values in force, each with where it comes from", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

static const char *const actions[] = {"dump", "show", NULL};

struct arguments {
	int action;
	const char *file;
	const char *pid;
	bool sources;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_FILE:
		a->file = arg;
		return 0;
	case OPT_PID:
		if (!*arg || arg[strspn(arg, "0123456789")])
			argp_error(state, "'%s' is no process id", arg);
		a->pid = arg;
		return 0;
	case OPT_SOURCES:
		a->sources = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "unexpected argument '%s'", arg);
		a->action = pick(state, arg, actions);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "one of dump, show is needed");
		return 0;
	case ARGP_KEY_END:
		if (a->file && a->pid)
			argp_error(state,
				   "--file and --pid exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "dump|show",
	.doc = "dump prints the built-in configuration as a file to start "
	       "from, or with an option the values in force; show prints those "
	       "as a short list, with the source of each.",
};

/* A file of process @pid, with a 0 behind it; its length in @len. */
static char *read_proc(const char *pid, const char *name, size_t *len)
{
	char path[64], *text = NULL;
	size_t size = 0;
	ssize_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	f = fopen(path, "re");
	if (!f && errno == ENOENT)
		fail(NO_PROCESS, atoi(pid));
	if (!f && errno == EACCES)
		fail(NOT_YOURS, atoi(pid));
	if (!f)
		fail("%s: %s", path, strerror(errno));
	*len = 0;
	do {
		if (size < *len + 4097) {
			size = 2 * size + 8192;
			text = realloc(text, size);
			if (!text)
				fail("out of memory");
		}
		n = (ssize_t)fread(text + *len, 1, size - *len - 1, f);
		*len += (size_t)n;
	} while (n > 0);
	if (ferror(f))
		fail("%s: %s", path, strerror(errno));
	fclose(f);
	text[*len] = '\0';
	return text;
}

/* Whether the process runs with another user's rights. */
static bool is_secure(const char *pid)
{
	size_t len;
	char *text = read_proc(pid, "auxv", &len);
	bool secure = false;
	unsigned long word[2];

	for (size_t i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(word, text + i, sizeof(word));
		if (word[0] == AT_SECURE)
			secure = word[1] != 0;
	}
	free(text);
	return secure;
}

/* Puts environment and folder of a process in place of ours. */
static void become(const char *pid)
{
	static char *none[] = {NULL};
	char path[64], *text, **variables;
	size_t len, nr = 0;

	if (is_secure(pid)) {
		environ = none;
		return;
	}
	text = read_proc(pid, "environ", &len);
	variables = calloc(len + 1, sizeof(*variables));
	if (!variables)
		fail("out of memory");
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		variables[nr++] = text + i;
	snprintf(path, sizeof(path), "/proc/%s/cwd", pid);
	if (chdir(path))
		fail("%s: %s", path, strerror(errno));
	environ = variables;
}

static void tell(void *arg, const char *message)
{
	(void)arg;
	kn_print("%s", message);
}

static void load(const struct arguments *a)
{
	if (a->file && access(a->file, R_OK))
		fail("%s cannot be read: %s", a->file, strerror(errno));
	if (a->file && setenv("KNUMA_CONF_FILE", a->file, 1))
		fail("out of memory");
	if (a->pid)
		become(a->pid);
	/* The first look may have come before main(). */
	kn_tunables_reset();
	kn_tunables_load_with(tell, NULL);
	kn_conf_tell_others();
}

static void show(void)
{
	char value[KN_TUNABLE_LEN];

	puts("[knuma]");
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const char *name = kn_tunables[i].name;

		kn_tunable_get(name, value, sizeof(value));
		printf("%s =%s%s  # %s\n", name, *value ? " " : "", value,
		       kn_tunable_source(name));
	}
}

int cmd_conf(int argc, char **argv)
{
	struct arguments a = {0};

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.action == 0 && !a.file && !a.pid && !a.sources) {
		print_default_conf();
		return EXIT_DONE;
	}
	load(&a);
	if (a.action == 0)
		print_conf_in_force(a.sources);
	else
		show();
	return EXIT_DONE;
}
