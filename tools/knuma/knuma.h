/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/knuma/knuma.h - what the subcommands share
 *
 * Exit codes: 0 done, 1 the check failed, 2 usage or environment.  What was
 * asked for goes to standard output, everything else to standard error.
 */
#ifndef KN_TOOLS_KNUMA_H
#define KN_TOOLS_KNUMA_H

#include <argp.h>
#include <stddef.h>

#include "alloc/base/compiler.h"
#include "alloc/base/print.h"

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2
};

/* Why a process cannot be looked at, and what to do. */
#define NO_PROCESS                               \
	"there is no process %d: it has ended, " \
	"or `pgrep NAME' finds the right one"
#define NOT_YOURS                         \
	"process %d is of another user: " \
	"ask as that user or as root"

/* Each gets argv[0] = "knuma NAME" and returns an exit code. */
#define COMMAND(name, help) int cmd_##name(int argc, char **argv);
#include "tools/knuma/commands.def"
#undef COMMAND

/* Prints "knuma: ..." and ends with EXIT_USAGE. */
void fail(const char *fmt, ...) kn_printf(1, 2) __attribute__((noreturn));

/*
 * The index of @word in @words, which end with NULL; else a usage error that
 * names them.
 */
int pick(struct argp_state *state, const char *word, const char *const *words);

/* A text that was printed by @print, from malloc. */
char *text_of(void (*print)(struct kn_text *t, const void *arg),
	      const void *arg);

/* Where runs leave their statistics; false when there is no such place. */
bool last_stat_path(char *path, size_t len);

#endif
