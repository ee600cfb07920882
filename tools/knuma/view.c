/* SPDX-License-Identifier: Apache-2.0 */
/* knuma view - a running process in the form of files of the kernel */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/view/views.h"
#include "tools/knuma/live.h"

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"directory", 'd', "DIR", 0,
	 "write all views as files into DIR, which is made unless it is there",
	 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

struct arguments {
	const char *process, *name, *dir;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'd':
		a->dir = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "unexpected argument '%s'", arg);
		if (!state->arg_num && !is_process(arg))
			argp_error(state,
				   "'%s' is no process: neither its "
				   "number nor the path of its socket",
				   arg);
		*(state->arg_num ? &a->name : &a->process) = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no process given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "PID|SOCKET [NAME]",
	.doc = "Prints a running process's allocator in the form of a file of "
	       "the kernel.  NAME is slabinfo, buddyinfo, pagetypeinfo, "
	       "vmallocinfo or node0/numastat; without it, prints which there "
	       "are.",
};

static json_t *ask(const char *process, const char *name)
{
	char request[512];
	const int n = snprintf(request, sizeof(request), "view %s", name);

	if (n < 0 || (size_t)n >= sizeof(request) || strchr(request, '\n'))
		fail("'%.40s' is no view; `knuma view %s' lists them", name,
		     process);
	return live_ask(process, request);
}

static void list(const struct arguments *a)
{
	json_t *object = ask(a->process, ""), *view;
	size_t i;

	json_array_foreach(json_object_get(object, "views"), i, view) printf(
		"%-17s %s\n", text_in(view, "name"), text_in(view, "help"));
	json_decref(object);
}

static void print(const struct arguments *a)
{
	json_t *object = ask(a->process, a->name);

	fputs(text_in(object, "text"), stdout);
	json_decref(object);
}

/* The names are another's word: kn_view_write() takes none but those of views. */
static void write_file(const struct arguments *a, const char *name)
{
	json_t *object = ask(a->process, name);
	const char *text = text_in(object, "text");
	const int err = kn_view_write(a->dir, name, text, strlen(text));

	if (err)
		fail("%s/%s cannot be written: %s", a->dir, name,
		     strerror(-err));
	json_decref(object);
}

static void write_files(const struct arguments *a)
{
	json_t *object = ask(a->process, ""), *view;
	size_t i;

	json_array_foreach(json_object_get(object, "views"), i, view)
		write_file(a, text_in(view, "name"));
	json_decref(object);
}

int cmd_view(int argc, char **argv)
{
	struct arguments a = {0};

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.dir && a.name)
		fail("--directory writes all views: no NAME with it");
	if (a.dir)
		write_files(&a);
	else if (a.name)
		print(&a);
	else
		list(&a);
	return EXIT_DONE;
}
