/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma run - start a command with the preload library
 *
 * Everything travels in the environment: LD_PRELOAD, KNUMA_CONF_FILE,
 * KNUMA_<NAME>.  The command takes the place of this process, so its process
 * id is known beforehand, and only it writes the statistics, not its children.
 *
 * Exit code: the command's; 126 it cannot be run; 127 there is no such
 * command; 2 everything else.
 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "alloc/config/tunables.h"

#define PRELOAD "libknuma_malloc.so.0"

enum {
	OPT_CONF = 256,
	OPT_SET,
	OPT_PROFILE,
	OPT_STATS,
	OPT_STAT_FILE,
	OPT_NO_STAT_FILE,
	OPT_VIEW_DIR
};

/* clang-format off: a table */
static const struct argp_option options[] = {
	{"conf", OPT_CONF, "FILE", 0,
	 "read FILE in place of /etc/knuma.conf and the user's own", 0},
	{"set", OPT_SET, "KEY=VALUE", 0,
	 "set a tunable, above every file; may be repeated", 0},
	{"profile", OPT_PROFILE, "NAME", 0,
	 "set several at once: latency, memory, numa-strict, debug or secure", 0},
	{"stats", OPT_STATS, NULL, 0,
	 "print a banner at start and the statistics at exit", 0},
	{"stat-file", OPT_STAT_FILE, "FILE", 0,
	 "write the statistics to FILE at exit; without this option they go "
	 "to where `knuma stat' looks",
	 0},
	{"no-stat-file", OPT_NO_STAT_FILE, NULL, 0, "write no statistics", 0},
	{"view-dir", OPT_VIEW_DIR, "DIR", 0,
	 "write slabinfo, buddyinfo and the other files of `knuma view' into DIR "
	 "at exit",
	 0},
	{NULL, 0, NULL, 0, NULL, 0},
};
/* clang-format on */

struct arguments {
	char **command;
	const char *stat_file;
	bool no_stat_file;
	const char *view_dir;
};

/* setenv("KNUMA_<NAME>"), over what the caller's environment says. */
static void set_variable(const char *name, const char *value)
{
	char variable[64] = "KNUMA_";
	size_t n = strlen(variable);

	for (; *name && n < sizeof(variable) - 1; name++)
		variable[n++] = *name >= 'a' && *name <= 'z' ?
					(char)(*name - 'a' + 'A') :
					*name;
	if (setenv(variable, value, 1))
		fail("out of memory");
}

/* @path from the root, because the command may change its folder. */
static char *absolute(const char *path)
{
	char *cwd, *result;

	if (path[0] == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		fail("the current folder has no name: %s", strerror(errno));
	if (asprintf(&result, "%s/%s", cwd, path) < 0)
		fail("out of memory");
	free(cwd);
	return result;
}

static void set_tunable(struct argp_state *state, char *item)
{
	char *value = strchr(item, '=');
	const struct kn_tunable *near;
	char buf[1024] = "";
	struct kn_text why = {buf, sizeof(buf), 0};
	int err;

	if (!value) {
		argp_error(state, "'%s' is not KEY=VALUE", item);
		return;
	}
	*value++ = '\0';
	err = kn_tunable_set(item, value, "--set");
	switch (err) {
	case 0:
		set_variable(item, value);
		return;
	case -ENOENT:
		near = kn_tunable_nearest(item);
		argp_error(state, "unknown key '%s'; %s%s%s", item,
			   near ? "the nearest is '" : "",
			   near ? near->name :
				  "`knuma conf dump' lists the keys",
			   near ? "'" : "");
		return;
	default:
		kn_tunable_explain(kn_tunable_find(item), "--set", value, err,
				   &why);
		argp_error(state, "%s", buf);
	}
}

static void set_conf(const char *path)
{
	char *full = absolute(path);

	if (access(full, R_OK))
		fail("%s cannot be read: %s", path, strerror(errno));
	if (setenv("KNUMA_CONF_FILE", full, 1))
		fail("out of memory");
	free(full);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_CONF:
		set_conf(arg);
		return 0;
	case OPT_SET:
		set_tunable(state, arg);
		return 0;
	case OPT_PROFILE:
		if (kn_tunable_set("profile", arg, "--profile"))
			argp_error(state, "'%s' is none of %s", arg,
				   kn_tunables[KN_TUN_profile].unit);
		set_variable("profile", arg);
		return 0;
	case OPT_STATS:
		set_variable("stats", "yes");
		return 0;
	case OPT_STAT_FILE:
		if (!*arg)
			argp_error(state, "--stat-file needs a name; "
					  "--no-stat-file writes none");
		a->stat_file = arg;
		return 0;
	case OPT_NO_STAT_FILE:
		a->no_stat_file = true;
		return 0;
	case OPT_VIEW_DIR:
		if (!*arg)
			argp_error(state, "--view-dir needs a name");
		a->view_dir = arg;
		return 0;
	case ARGP_KEY_ARG:
		a->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command to run");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[--] COMMAND [ARGUMENT...]",
	.doc = "Runs COMMAND with malloc and free served by knuma.\v"
	       "The command's exit code is passed on.  126: it cannot be run; "
	       "127: it was not found; 2: knuma's own trouble.",
};

/*
 * $KNUMA_PRELOAD, the installed places, beside this program, the build tree.  A
 * system with libraries of several machines has a folder for each, x86_64-linux-gnu.
 */
static char *find_preload(void)
{
	char machine[sizeof(struct utsname) + 32];
	const char *const places[] = {"../lib/", machine, "", "../"};
	const char *given = secure_getenv("KNUMA_PRELOAD");
	char self[PATH_MAX], *slash, *path, *real;
	struct utsname uts;
	ssize_t n;

	if (given) {
		if (access(given, R_OK))
			fail("KNUMA_PRELOAD=%s: %s", given, strerror(errno));
		return absolute(given);
	}
	uname(&uts);
	snprintf(machine, sizeof(machine), "../lib/%s-linux-gnu/", uts.machine);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		fail("/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; i < KN_ARRAY_SIZE(places); i++) {
		if (asprintf(&path, "%s%s" PRELOAD, self, places[i]) < 0)
			fail("out of memory");
		real = realpath(path, NULL);
		free(path);
		if (real)
			return real;
	}
	fail("no " PRELOAD " in %s../lib; KNUMA_PRELOAD can name it", self);
}

/* First in line: the first malloc that ld.so finds is the one that counts. */
static void set_preload(void)
{
	const char *old = getenv("LD_PRELOAD");
	char *library = find_preload(), *list;

	if (strpbrk(library, ": "))
		fail("%s: LD_PRELOAD takes no path with a colon or a space",
		     library);
	if (asprintf(&list, "%s%s%s", library, old && *old ? ":" : "",
		     old ? old : "") < 0 ||
	    setenv("LD_PRELOAD", list, 1))
		fail("out of memory");
	free(list);
	free(library);
}

/* True when the user's files or environment already say where. */
static bool has_stat_file(void)
{
	kn_tunables_load_with(NULL, NULL);
	return kn_tun.stats_file[0] != '\0';
}

/* The setting @name becomes @path, and only the command writes there. */
static void set_path(const char *name, const char *path)
{
	char pid[16], *full = absolute(path);

	if (strlen(full) >= KN_TUNABLE_LEN)
		fail("%s: longer than %d bytes", full, KN_TUNABLE_LEN - 1);
	set_variable(name, full);
	free(full);
	snprintf(pid, sizeof(pid), "%d", getpid());
	set_variable("stats_pid", pid);
}

static void set_stat_file(const struct arguments *a)
{
	char last[KN_TUNABLE_LEN];

	if (a->no_stat_file) {
		set_variable("stats_file", "");
	} else if (a->stat_file) {
		set_path("stats_file", a->stat_file);
	} else if (has_stat_file()) {
		return;
	} else if (!last_stat_path(last, sizeof(last))) {
		kn_print("no private folder for the statistics");
	} else {
		/* A run that is killed must not show those of an older one. */
		unlink(last);
		set_path("stats_file", last);
	}
}

int cmd_run(int argc, char **argv)
{
	struct arguments a = {0};
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a);
	set_stat_file(&a);
	if (a.view_dir)
		set_path("view_dir", a.view_dir);
	set_preload();
	fflush(stdout);
	execvp(a.command[0], a.command);
	err = errno;
	kn_print("%s: %s", a.command[0], strerror(err));
	return err == ENOENT ? 127 : 126;
}
