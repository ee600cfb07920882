/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <knuma/version.h>

static const struct command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, help) {#name, help, cmd_##name},
#include "tools/knuma/commands.def"
#undef COMMAND
};

const char *argp_program_version = "knuma " KNUMA_VERSION_STRING;

/* Variables that stood before what environ shows. */
static char **hidden;
static size_t nr_hidden;

/* A child of `knuma bench' under the preload: the settings are for it. */
static bool is_measured(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "libknuma_malloc.so");
}

/*
 * KNUMA_STATS and its like are for the command that is run, and for processes
 * that are looked at.  The library in this program, which looks at them when
 * it is loaded, would print statistics of its own, into the same files too.
 * Its constructor is a later one, and finds none of them.
 */
__attribute__((constructor(101))) static void hide_settings(void)
{
	if (is_measured())
		return;
	for (size_t i = 0; environ[i]; i++) {
		char *variable = environ[i];

		if (strncmp(variable, "KNUMA_", strlen("KNUMA_")))
			continue;
		memmove(environ + nr_hidden + 1, environ + nr_hidden,
			(i - nr_hidden) * sizeof(*environ));
		environ[nr_hidden++] = variable;
	}
	hidden = environ;
	environ += nr_hidden;
}

/*
 * environ may be another array by now, of somebody who has set a variable.  Of
 * two variables of one name the first counts, so it is put there last.
 */
static void show_settings(void)
{
	while (nr_hidden)
		if (putenv(hidden[--nr_hidden]))
			fail("out of memory");
}

/* Where the command stands in argv. */
struct arguments {
	int command;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		(void)arg;
		a->command = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The list of commands stands where argp has its text before the options. */
static char *describe(int key, const char *text, void *input)
{
	char *list;
	size_t len;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)text;
	f = open_memstream(&list, &len);
	if (!f)
		return NULL;
	fputs("Memory of a NUMA machine, handed out the kernel's way.\n\n"
	      "Commands:\n",
	      f);
	for (size_t i = 0; i < KN_ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\n`knuma COMMAND --help' says more of each.", f);
	fclose(f);
	return list;
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "COMMAND [ARGUMENT...]",
	.doc = "",
	.help_filter = describe,
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < KN_ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Output that could not be written is not done. */
static void check_output(void)
{
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "knuma: cannot write: %s\n", strerror(errno));
		_Exit(EXIT_USAGE);
	}
}

int main(int argc, char **argv)
{
	struct arguments a = {0};
	const struct command *command;
	char name[64];

	show_settings();
	argp_err_exit_status = EXIT_USAGE;
	atexit(check_output);
	if (argc > 0)
		argv[0] = (char *)"knuma";
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a);
	command = find(argv[a.command]);
	if (!command)
		fail("unknown command '%s'; `knuma --help' lists them",
		     argv[a.command]);
	snprintf(name, sizeof(name), "knuma %s", command->name);
	argv[a.command] = name;
	return command->run(argc - a.command, argv + a.command);
}
