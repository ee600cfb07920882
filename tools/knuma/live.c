/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tools/knuma/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "alloc/config/tunables.h"
#include "alloc/view/live_path.h"
#include "tools/knuma/knuma.h"

/* A check or a trim of a large heap takes its time. */
#define PATIENCE_S 60

struct process {
	int pid; /* 0: the path is all that is known */
	uid_t uid;
	char *environment; /* as in /proc/PID/environ; NULL: not ours to read */
	size_t len;
};

static int pid_of(const char *word)
{
	char *end;
	const long pid = strtol(word, &end, 10);

	return word[0] >= '0' && word[0] <= '9' && !*end && pid > 0 &&
			       pid <= 4194304 ?
		       (int)pid :
		       0;
}

bool is_process(const char *word)
{
	struct stat st;

	return pid_of(word) || (!stat(word, &st) && S_ISSOCK(st.st_mode));
}

static void read_environment(struct process *p)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/environ", p->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	p->environment = malloc(1 << 20);
	if (p->environment)
		p->len = fread(p->environment, 1, (1 << 20) - 1, f);
	if (p->environment)
		p->environment[p->len] = '\0';
	fclose(f);
}

/* What the process was started with, or this program was. */
static const char *variable(const struct process *p, const char *name)
{
	const size_t len = strlen(name);
	const char *at = p->environment;

	if (!at)
		return secure_getenv(name);
	for (; at < p->environment + p->len; at += strlen(at) + 1)
		if (!strncmp(at, name, len) && at[len] == '=')
			return at + len + 1;
	return NULL;
}

/*
 * Where the socket may be.  Programs that write a title for ps(1) write it over
 * their environment; who asks may have the same as they had.
 */
enum {
	PLACE_VARIABLE,
	PLACE_OWN_VARIABLE,
	PLACE_SETTING,
	PLACE_OWN_FOLDER,
	PLACE_FOLDERS,
	NR_PLACES = PLACE_FOLDERS + KN_LIVE_FOLDERS
};

static bool in_folder(const struct process *p, int i, const char *runtime,
		      char *path)
{
	char folder[KN_LIVE_PATH];

	if (!kn_live_folder(i, p->uid, runtime, folder, sizeof(folder)) ||
	    strlen(folder) > 80)
		return false;
	snprintf(path, KN_LIVE_PATH, "%.80s/%d.sock", folder, p->pid);
	return true;
}

/* Place @i; false: no such place. */
static bool place(const struct process *p, int i, char *path)
{
	const char *given = kn_tun.socket;

	if (i >= PLACE_FOLDERS)
		return in_folder(p, i - PLACE_FOLDERS,
				 variable(p, "XDG_RUNTIME_DIR"), path);
	if (i == PLACE_OWN_FOLDER)
		return in_folder(p, 0, secure_getenv("XDG_RUNTIME_DIR"), path);
	if (i == PLACE_VARIABLE)
		given = variable(p, "KNUMA_SOCKET");
	else if (i == PLACE_OWN_VARIABLE)
		given = secure_getenv("KNUMA_SOCKET");
	return given && given[0] == '/' &&
	       kn_path_of_process(given, p->pid, path, KN_LIVE_PATH);
}

/*
 * Connected to the socket of process @pid, or -errno.  Who else may listen there
 * gets nothing: root asks about processes of other users.
 */
static int connect_to(const char *path, int pid)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred server;
	socklen_t len = sizeof(server);
	int fd, err;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &len))
		err = -errno;
	else
		err = pid && server.pid != pid ? -ECONNREFUSED : 0;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int connect_process(struct process *p, char *why, size_t len)
{
	char path[KN_LIVE_PATH];
	struct stat st;
	int denied = 0;

	snprintf(path, sizeof(path), "/proc/%d", p->pid);
	if (stat(path, &st)) {
		snprintf(why, len, NO_PROCESS, p->pid);
		return -ESRCH;
	}
	p->uid = st.st_uid;
	read_environment(p);
	kn_tunables_load_with(NULL, NULL);
	for (int i = 0; i < NR_PLACES; i++) {
		int fd;

		if (!place(p, i, path))
			continue;
		fd = connect_to(path, p->pid);
		if (fd >= 0)
			return fd;
		denied |= fd == -EACCES;
	}
	if (denied)
		snprintf(why, len, NOT_YOURS, p->pid);
	else
		snprintf(why, len,
			 "process %d has no socket: start it with "
			 "KNUMA_SOCKET=yes, or by `knuma run --set socket=yes'",
			 p->pid);
	return -ENOENT;
}

static int open_process(const char *word, char *why, size_t len)
{
	struct process p = {.pid = pid_of(word)};
	int fd;

	if (p.pid) {
		fd = connect_process(&p, why, len);
		free(p.environment);
		return fd;
	}
	fd = connect_to(word, 0);
	if (fd < 0)
		snprintf(why, len, "%s: %s", word, strerror(-fd));
	return fd;
}

static char *read_line(int fd)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f = fdopen(fd, "r");

	if (!f) {
		close(fd);
		return NULL;
	}
	if (getline(&line, &size, f) < 0) {
		free(line);
		line = NULL;
	}
	fclose(f);
	return line;
}

char *live_try(const char *process, const char *request, char *why, size_t len)
{
	const int fd = open_process(process, why, len);
	char *line;

	if (fd < 0)
		return NULL;
	if (dprintf(fd, "%s\n", request) < 0) {
		snprintf(why, len, "%s: cannot send to its socket: %s", process,
			 strerror(errno));
		close(fd);
		return NULL;
	}
	line = read_line(fd);
	if (!line)
		snprintf(why, len,
			 "%s: no answer from its socket: it has ended, or is "
			 "stopped",
			 process);
	return line;
}

json_t *live_object(const char *process, const char *request, char *why,
		    size_t len)
{
	char *line = live_try(process, request, why, len);
	json_t *object;

	if (!line)
		return NULL;
	object = json_loads(line, 0, NULL);
	free(line);
	if (!json_is_object(object)) {
		snprintf(why, len,
			 "%s: its answer is no JSON: not knuma's "
			 "socket?",
			 process);
	} else if (json_object_get(object, "error")) {
		snprintf(why, len, "%s: %s", process, text_in(object, "error"));
	} else {
		return object;
	}
	json_decref(object);
	return NULL;
}

json_t *live_ask(const char *process, const char *request)
{
	char why[1024];
	json_t *object = live_object(process, request, why, sizeof(why));

	if (!object)
		fail("%s", why);
	return object;
}

double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

const char *text_in(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

void live_print(const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		if (!strcmp(name, "schema"))
			continue;
		printf("%-22s ", name);
		if (json_is_string(value))
			puts(*json_string_value(value) ?
				     json_string_value(value) :
				     "none");
		else if (json_is_boolean(value))
			puts(json_is_true(value) ? "yes" : "no");
		else if (json_is_integer(value))
			printf("%" JSON_INTEGER_FORMAT "\n",
			       json_integer_value(value));
		else
			puts("unknown");
	}
}
