/* SPDX-License-Identifier: Apache-2.0 */
/* knuma whatis, trim, reload, get, set - a request and its answer */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/knuma/live.h"

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"output", 'o', "FORMAT", 0, "text (default) or json", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

static const char *const formats[] = {"text", "json", NULL};

struct arguments {
	const char *request; /* its first word */
	unsigned nr;	     /* arguments, the process among them */
	char *argument[3];   /* PID NAME VALUE at most */
	unsigned given;
	int fmt;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'o':
		a->fmt = pick(state, arg, formats);
		return 0;
	case ARGP_KEY_ARG:
		if (a->given == a->nr)
			argp_error(state, "unexpected argument '%s'", arg);
		if (!a->given && !is_process(arg))
			argp_error(state,
				   "'%s' is no process: neither its "
				   "number nor the path of its socket",
				   arg);
		a->argument[a->given++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->given < a->nr)
			argp_error(state, "%s",
				   a->given ? "too few arguments" :
					      "no process given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(const struct argp *argp, struct arguments *a, int argc,
	       char **argv)
{
	char request[512];
	json_t *object;
	size_t len;

	argp_parse(argp, argc, argv, 0, NULL, a);
	len = (size_t)snprintf(request, sizeof(request), "%s", a->request);
	for (unsigned i = 1; i < a->given && len < sizeof(request); i++)
		len += (size_t)snprintf(request + len, sizeof(request) - len,
					" %s", a->argument[i]);
	if (len >= sizeof(request) || strchr(request, '\n'))
		fail("the arguments are longer than %zu bytes, or hold a line "
		     "break",
		     sizeof(request) - 1);
	object = live_ask(a->argument[0], request);
	if (a->fmt) {
		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		live_print(object);
	}
	json_decref(object);
	return EXIT_DONE;
}

int cmd_whatis(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PID|SOCKET ADDRESS",
		.doc = "Tells what lies at ADDRESS of a running process: "
		       "object, pages or area, the cache, whether it is "
		       "allocated, the node it is for and the one it is on.",
	};
	struct arguments a = {.request = "whatis", .nr = 2};

	return run(&argp, &a, argc, argv);
}

int cmd_trim(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PID|SOCKET",
		.doc = "Has a running process give its unused memory back to "
		       "the system.",
	};
	struct arguments a = {.request = "trim", .nr = 1};

	return run(&argp, &a, argc, argv);
}

int cmd_reload(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PID|SOCKET",
		.doc = "Has a running process read its configuration files "
		       "again, all or nothing.",
	};
	struct arguments a = {.request = "reload", .nr = 1};

	return run(&argp, &a, argc, argv);
}

int cmd_get(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PID|SOCKET NAME",
		.doc = "Prints the setting NAME of a running process, where "
		       "its value comes from, and whether it may change while "
		       "the process runs.",
	};
	struct arguments a = {.request = "get", .nr = 2};

	return run(&argp, &a, argc, argv);
}

int cmd_set(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PID|SOCKET NAME VALUE",
		.doc = "Changes the setting NAME of a running process, until "
		       "it ends, and prints it as get does.  A reload does "
		       "not take that back.",
	};
	struct arguments a = {.request = "set", .nr = 3};

	return run(&argp, &a, argc, argv);
}
