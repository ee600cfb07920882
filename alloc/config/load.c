/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and environment, in the order of tunables.h, at start-up.
 *
 * Which files there are is decided once: a program may change its environment
 * and its folder, and other threads its environment while a reload runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "alloc/base/atomic.h"
#include "alloc/base/print.h"
#include "alloc/config/conf.h"

/* A file of nonsense names its first lines, not all of them. */
#define MISTAKES_SHOWN 10

const char *kn_conf_system_file = "/etc/knuma.conf";

enum {
	NOT_LOADED,
	LOADING,
	LOADED
};
static int state;

#define PATH_LEN     512

#define PREFIX	     "KNUMA_"
#define VARIABLE_LEN 64 /* longer names are near to none */

/* The files to read; empty is none. */
static struct {
	bool alone; /* own[] is of KNUMA_CONF_FILE */
	char own[PATH_LEN];
	char user[PATH_LEN];
} files;

/* Start of the stack as ld.so found it: argc, argv, 0, environment, 0. */
extern void *__libc_stack_end __attribute__((weak));

/*
 * The first allocation may be older than the C library's constructor, which
 * sets environ; the preload library's own constructor always is.
 */
static char **environment(void)
{
	static char *none[] = {NULL};

	if (environ)
		return environ;
	if (&__libc_stack_end && __libc_stack_end) {
		const uintptr_t argc = *(uintptr_t *)__libc_stack_end;

		return (char **)__libc_stack_end + argc + 2;
	}
	return none;
}

/* Set-user-id and the like: who calls is not who the process is. */
static bool is_secure(void)
{
	return getauxval(AT_SECURE) != 0;
}

static const char *get(char **env, const char *name)
{
	const size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

void kn_conf_print(void *arg, const char *message)
{
	int *shown = arg;

	if (++*shown <= MISTAKES_SHOWN)
		kn_print("%s", message);
}

void kn_conf_print_rest(int shown)
{
	if (shown > MISTAKES_SHOWN)
		kn_print("and %d more mistakes in the configuration",
			 shown - MISTAKES_SHOWN);
}

/* The path of @dir and the rest into @to; a mistake of variable @name. */
static void keep_path(struct kn_conf_sink *sink, char *to, const char *name,
		      const char *dir, const char *rest)
{
	const int n = snprintf(to, PATH_LEN, "%s%s", dir, rest);

	if (n >= 0 && n < PATH_LEN)
		return;
	to[0] = '\0';
	kn_conf_mistake(sink, name,
			"makes a path of more than %d bytes, which is not read",
			PATH_LEN - 1);
}

static void find_user_file(struct kn_conf_sink *sink, char **env)
{
	const char *dir = get(env, "XDG_CONFIG_HOME");

	if (dir && dir[0] == '/') {
		keep_path(sink, files.user, "XDG_CONFIG_HOME", dir,
			  "/knuma/knuma.conf");
		return;
	}
	dir = get(env, "HOME");
	if (dir && dir[0] == '/')
		keep_path(sink, files.user, "HOME", dir,
			  "/.config/knuma/knuma.conf");
}

static void find_own_file(struct kn_conf_sink *sink, const char *path)
{
	char folder[PATH_LEN] = "";
	size_t len;

	files.alone = true;
	if (path[0] && path[0] != '/' && getcwd(folder, sizeof(folder) - 1)) {
		len = strlen(folder);
		folder[len] = '/';
		folder[len + 1] = '\0';
	}
	keep_path(sink, files.own, "KNUMA_CONF_FILE", folder, path);
}

static void find_files(struct kn_conf_sink *sink, char **env)
{
	const char *path;

	memset(&files, 0, sizeof(files));
	if (is_secure())
		return;
	path = get(env, "KNUMA_CONF_FILE");
	if (path)
		find_own_file(sink, path);
	else
		find_user_file(sink, env);
}

void kn_conf_files(struct kn_conf_sink *sink)
{
	if (!files.alone) {
		kn_conf_file(sink, kn_conf_system_file);
		if (files.user[0])
			kn_conf_file(sink, files.user);
	} else if (files.own[0] && kn_conf_file(sink, files.own) == -ENOENT) {
		kn_conf_mistake(sink, "KNUMA_CONF_FILE", "%s does not exist",
				files.own);
		sink->err = sink->err ?: -ENOENT;
	}
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	for (end = text + strlen(text); end > text; end--)
		if (end[-1] != ' ' && end[-1] != '\t')
			break;
	*end = '\0';
	return text;
}

/* KNUMA_CONF: key=value,key=value */
static void read_list(struct kn_conf_sink *sink, const char *list)
{
	while (list && *list) {
		const size_t len = strcspn(list, ",");
		char item[2 * KN_TUNABLE_LEN], *name, *value;

		if (len >= sizeof(item)) {
			kn_conf_mistake(sink, "KNUMA_CONF",
					"an item is longer than %zu bytes",
					sizeof(item) - 1);
		} else {
			memcpy(item, list, len);
			item[len] = '\0';
			name = trim(item);
			value = strchr(name, '=');
			if (value) {
				*value++ = '\0';
				kn_conf_item(sink, "KNUMA_CONF", trim(name),
					     trim(value));
			} else if (*name) {
				kn_conf_mistake(sink, "KNUMA_CONF",
						"'%s' is not key=value", name);
			}
		}
		list += len + (list[len] == ',');
	}
}

static const char *const own_variables[] = {
#define VARIABLE(name) #name,
#include "alloc/config/variables.def"
#undef VARIABLE
};

static bool is_own_variable(const char *name)
{
	for (size_t i = 0; i < KN_ARRAY_SIZE(own_variables); i++)
		if (!strcmp(name, own_variables[i]))
			return true;
	return false;
}

static const char *nearest_variable(const char *name)
{
	const struct kn_tunable *row = kn_tunable_nearest(name);
	struct kn_conf_near near = {.name = name};
	const char *nearest = NULL;

	if (row && kn_conf_nearer(&near, row->name))
		nearest = row->name;
	for (size_t i = 0; i < KN_ARRAY_SIZE(own_variables); i++)
		if (kn_conf_nearer(&near, own_variables[i]))
			nearest = own_variables[i];
	return nearest;
}

/* @to has room for what @from has; only letters change. */
static void change_case(char *to, const char *from, char first, char to_first)
{
	for (; *from; from++)
		*to++ = *from >= first && *from <= first + ('z' - 'a') ?
				(char)(*from - first + to_first) :
				*from;
	*to = '\0';
}

static void unknown_variable(struct kn_conf_sink *sink, const char *variable,
			     const char *near)
{
	char name[VARIABLE_LEN];

	change_case(name, near, 'a', 'A');
	kn_conf_mistake(sink, variable,
			"unknown variable; the nearest is " PREFIX "%s", name);
}

/* What is left: told to who asks for it. */
static struct {
	int nr;
	char names[200];
} others;

static void note_other(const char *variable)
{
	const size_t at = strlen(others.names);

	if (at + strlen(variable) + 3 > sizeof(others.names)) {
		others.nr++;
		return;
	}
	snprintf(others.names + at, sizeof(others.names) - at, "%s%s",
		 at ? ", " : "", variable);
}

void kn_conf_tell_others(void)
{
	char more[32] = "";

	if (others.nr)
		snprintf(more, sizeof(more), " and %d more", others.nr);
	if (*others.names)
		kn_print("%s%s: no setting has a name like this; `knuma conf "
			 "dump' lists them",
			 others.names, more);
}

/*
 * KNUMA_<NAME>.  Other programs may use the prefix for variables of their own,
 * so a name that is near to none of knuma's is no mistake.
 */
static void read_variable(struct kn_conf_sink *sink, const char *variable)
{
	char name[VARIABLE_LEN], where[VARIABLE_LEN];
	const char *value = strchr(variable, '=');
	const char *near;
	size_t len;

	if (strncmp(variable, PREFIX, strlen(PREFIX)) || !value)
		return;
	len = KN_MIN((size_t)(value - variable), sizeof(where) - 1);
	memcpy(where, variable, len);
	where[len] = '\0';
	change_case(name, where + strlen(PREFIX), 'A', 'a');
	if (is_own_variable(name))
		return;
	near = nearest_variable(name);
	if (kn_tunable_find(name))
		kn_conf_item(sink, where, name, value + 1);
	else if (near)
		unknown_variable(sink, where, near);
	else
		note_other(where);
}

/* The order of variables means nothing, so a profile comes before the others. */
static void read_environment(struct kn_conf_sink *sink, char **env)
{
	const char *profile = get(env, "KNUMA_PROFILE");
	const char *secure = get(env, "KNUMA_SECURE");

	sink->rank = KN_CONF_ENVIRONMENT;
	read_list(sink, get(env, "KNUMA_CONF"));
	if (profile)
		kn_conf_item(sink, "KNUMA_PROFILE", "profile", profile);
	if (secure)
		kn_conf_item(sink, "KNUMA_SECURE", "secure", secure);
	for (; *env; env++)
		if (strncmp(*env, "KNUMA_PROFILE=", strlen("KNUMA_PROFILE=")) &&
		    strncmp(*env, "KNUMA_SECURE=", strlen("KNUMA_SECURE=")))
			read_variable(sink, *env);
}

int kn_tunables_load_with(void (*report)(void *arg, const char *message),
			  void *arg)
{
	struct kn_conf_sink sink = {
		.report = report,
		.arg = arg,
		.to = &kn_conf_live,
		.rank = KN_CONF_FILE,
	};
	const int saved_errno = errno;
	int expected = NOT_LOADED;

	/* Acquire: pairs with the release below; kn_tun is filled. */
	if (kn_load_acquire(&state) == LOADED)
		return 0;
	if (__atomic_compare_exchange_n(&state, &expected, LOADING, false,
					__ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
		memset(&others, 0, sizeof(others));
		find_files(&sink, environment());
		kn_conf_files(&sink);
		if (!is_secure())
			read_environment(&sink, environment());
		/* Release: pairs with the acquires of this function. */
		kn_store_release(&state, LOADED);
	}
	while (kn_load_acquire(&state) != LOADED)
		sched_yield();
	errno = saved_errno;
	return sink.nr_mistakes;
}

int kn_tunables_load(void)
{
	int shown = 0, nr;

	nr = kn_tunables_load_with(kn_conf_print, &shown);
	kn_conf_print_rest(shown);
	if (nr && kn_tun.strict) {
		kn_print("strict = yes: not starting because of %d mistake%s "
			 "in the configuration",
			 nr, nr == 1 ? "" : "s");
		_exit(2);
	}
	return nr;
}

void kn_conf_unload(void)
{
	kn_store(&state, NOT_LOADED);
}
