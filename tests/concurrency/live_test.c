/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a running process: who may ask, what comes back, and what
 * clients that are broken, slow, many or unwelcome can do to it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/kmalloc.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/vmalloc.h>

#include "alloc/page/zone.h"
#include "alloc/view/live_path.h"
#include "alloc/view/live_server.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/rng.h"

static char folder[64], path[128];

/* A folder of the test's own, and the path that pid's socket has in it. */
static const char *path_of(int pid)
{
	snprintf(path, sizeof(path), "%s/%d.sock", folder, pid);
	return path;
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/knuma-live-XXXXXX");
	CHECK(mkdtemp(folder));
}

static void remove_folder(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CHECK_EQ(system(command), 0);
}

static void start_at(const char *socket_path)
{
	conf("socket", socket_path);
	start_quiet();
}

static int try_connect(const char *where)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = 600};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, where);
	CHECK(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -1;
}

/* The thread may be on its way; the alarm of the child ends what hangs. */
static int dial(const char *where)
{
	for (int i = 0; i < 60000; i++) {
		const int fd = try_connect(where);

		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	check_failed(__FILE__, __LINE__, where);
}

static void start_server(void)
{
	char socket_path[128];

	make_folder();
	snprintf(socket_path, sizeof(socket_path), "%s/%%p.sock", folder);
	start_at(socket_path);
	close(dial(path_of(getpid())));
}

static void say(int fd, const void *text, size_t len)
{
	CHECK_EQ(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* A line of at most 1 MiB; NULL: the server closed. */
static char *line_of(int fd)
{
	static char line[1 << 20];
	size_t n = 0;

	/* One by one: what follows is the next call's. */
	while (n < sizeof(line) - 1) {
		const ssize_t got = recv(fd, line + n, 1, 0);

		if (got < 0 && errno != ECONNRESET)
			check_failed(__FILE__, __LINE__, "no answer");
		if (got <= 0 && n == 0)
			return NULL;
		n += got > 0;
		line[n] = '\0';
		if (got <= 0 || line[n - 1] == '\n')
			return line;
	}
	check_failed(__FILE__, __LINE__, "a line of 1 MiB");
}

static char *ask(const char *request)
{
	const int fd = dial(path_of(getpid()));
	char *line;

	say(fd, request, strlen(request));
	say(fd, "\n", 1);
	line = line_of(fd);
	CHECK(line);
	close(fd);
	return line;
}

static bool still_serves(void)
{
	return strstr(ask("version"), "\"pid\":") != NULL;
}

static int count_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void off_has_no_thread_and_no_descriptor(void)
{
	const int fds = count_in("/proc/self/fd");
	const int threads = count_in("/proc/self/task");

	start_quiet();
	CHECK_EQ(count_in("/proc/self/fd"), fds);
	CHECK_EQ(count_in("/proc/self/task"), threads);
}

static void the_socket_is_the_users_alone(void)
{
	struct stat st;

	start_server();
	CHECK_EQ(lstat(path, &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0600);
	remove_folder();
}

static void each_request_is_answered(void)
{
	static const char *const requests[] = {
		"help",	      "version",   "stats",    "stats openmetrics",
		"stats text", "stats csv", "caches",   "nodes",
		"check",      "trim",	   "get span", "whatis 0x1000",
	};

	start_server();
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		const char *line = ask(requests[i]);

		CHECK_EQ(strncmp(line, "{\"schema\":1,", 12), 0);
		CHECK_EQ(line[strlen(line) - 2], '}');
		CHECK(!strstr(line, "\"error\""));
	}
	CHECK_HAS(ask("stats openmetrics"), "# EOF\\u000a\"");
	remove_folder();
}

static void what_is_wrong_is_said(void)
{
	static const struct {
		const char *request, *answer;
	} rows[] = {
		{"", "unknown request ''"},
		{"banana", "unknown request 'banana'; `help' lists them"},
		{"stats banana", "'banana' is none of json, openmetrics"},
		{"whatis", "usage: whatis ADDRESS"},
		{"whatis 12x", "'12x' is no address"},
		{"whatis -1", "'-1' is no address"},
		{"whatis 0xffffffffffffffffff", "is no address"},
		{"check all", "usage: check"},
		{"get banana", "unknown setting 'banana'"},
		{"set trim_dely_ms 1", "the nearest is 'trim_delay_ms'"},
		{"set span 1G", "\"code\":\"EBUSY\""},
		{"set trim_delay_ms x", "\"code\":\"EINVAL\""},
		{"set trim_delay_ms 10000000s", "\"code\":\"ERANGE\""},
	};

	start_server();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *line = ask(rows[i].request);

		CHECK_HAS(line, rows[i].answer);
		CHECK_HAS(line, "\"error\":");
	}
	remove_folder();
}

static void a_setting_changes(void)
{
	start_server();
	CHECK_HAS(ask("set vmalloc_cache 8M"), "\"value\":\"8M\"");
	CHECK_HAS(ask("get vmalloc_cache"), "\"value\":\"8M\"");
	remove_folder();
}

/* The number, as what lies there may have been freed. */
static char *whatis(uintptr_t address)
{
	char request[64];

	snprintf(request, sizeof(request), "whatis %#lx", address);
	return ask(request);
}

static void starts_at(uintptr_t address, uintptr_t start)
{
	char member[64];

	snprintf(member, sizeof(member), "\"start\":\"%#lx\"", start);
	CHECK_HAS(whatis(address), member);
}

static void whatis_tells_kind_start_and_state(void)
{
	struct kmem_cache *s;
	uintptr_t obj, area, large;

	conf("magazine_capacity", "8");
	start_server();
	s = kmem_cache_create("na\"me", 200, 0, 0, NULL);
	obj = (uintptr_t)kmem_cache_alloc(s, GFP_KERNEL);
	area = (uintptr_t)vmalloc(3 << 20);
	large = (uintptr_t)kmalloc(1 << 20, GFP_KERNEL);
	CHECK(obj && area && large);
	((char *)area)[5 << 12] = 1;
	starts_at(obj + 7, obj);
	CHECK_HAS(whatis(obj + 7), "\"bytes\":200,\"offset\":7,"
				   "\"cache\":\"na\\\"me\"");
	CHECK_HAS(whatis(obj), "\"state\":\"allocated\"");
	kmem_cache_free(s, (void *)obj);
	CHECK_HAS(whatis(obj), "\"state\":\"free\"");
	starts_at(area + (5 << 12), area);
	CHECK_HAS(whatis(area + (5 << 12)), "\"in_memory\":true");
	CHECK_HAS(whatis(area), "\"kind\":\"vmalloc area\"");
	CHECK_HAS(whatis(area), "\"bytes\":3145728");
	vfree((void *)area);
	CHECK_HAS(whatis(area), "\"state\":\"free\"");
	starts_at(large + (1 << 20) - 1, large);
	kfree((void *)large);
	CHECK_HAS(whatis(large), "\"state\":\"free\"");
	CHECK_HAS(whatis((uintptr_t)&s), "\"kind\":\"foreign");
	CHECK_HAS(whatis((uintptr_t)&s), "\"mapped\":true");
	CHECK_HAS(whatis(8), "\"mapped\":false");
	remove_folder();
}

static void check_finds_what_is_wrong(void)
{
	start_server();
	CHECK_HAS(ask("check"), "\"sound\":true");
	kn_zones[0].nr_free++;
	CHECK_HAS(ask("check"), "\"sound\":false");
	CHECK_HAS(ask("check"), "node 0 counts do not match its lists");
	kn_zones[0].nr_free--;
	CHECK_HAS(ask("check"), "\"sound\":true");
	remove_folder();
}

static void caches_count_what_the_program_holds(void)
{
	struct kmem_cache *s;
	void *obj[300];

	start_server();
	s = kmem_cache_create("counted", 640, 0, 0, NULL);
	for (int i = 0; i < 300; i++)
		obj[i] = kmem_cache_alloc(s, GFP_KERNEL);
	CHECK_HAS(strstr(ask("caches"), "\"counted\""), "\"active\":300,");
	for (int i = 0; i < 200; i++)
		kmem_cache_free(s, obj[i]);
	CHECK_HAS(strstr(ask("caches"), "\"counted\""), "\"active\":100,");
	remove_folder();
}

static void a_name_in_use_is_not_taken(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_folder();
	strcpy(a.sun_path, path_of(0));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	start_at(path);
	for (int i = 0; i < 60000 && !printed_times("cannot be made"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "cannot be made: Address already in use; another "
			     "process");
	CHECK_EQ(close(try_connect(path)), 0);
	remove_folder();
}

static void a_file_or_link_is_not_replaced(void)
{
	struct stat st;

	make_folder();
	CHECK_EQ(symlink("/nowhere", path_of(0)), 0);
	start_at(path);
	for (int i = 0; i < 60000 && !printed_times("cannot be made"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "cannot be made");
	CHECK_EQ(lstat(path, &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	remove_folder();
}

static void a_stale_socket_is_replaced(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_folder();
	strcpy(a.sun_path, path_of(getpid()));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	start_at(path);
	CHECK(still_serves());
	remove_folder();
}

static void wrong_paths_are_told(void)
{
	char too_long[200];

	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[0] = '/';
	too_long[sizeof(too_long) - 1] = '\0';
	start_at(too_long);
	for (int i = 0; i < 60000 && !printed_times("longer than"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "longer than 107 bytes; take a shorter path");
}

static void a_word_is_no_path(void)
{
	start_at("maybe");
	for (int i = 0; i < 60000 && !printed_times("neither"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "socket = maybe: neither yes, no, nor a path");
}

static void folders_of_others_are_refused(void)
{
	char dir[128], link[128];

	make_folder();
	snprintf(dir, sizeof(dir), "%s/dir", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	CHECK(kn_private_folder(dir));
	CHECK(kn_private_folder(dir));
	CHECK_EQ(symlink(dir, link), 0);
	CHECK(!kn_private_folder(link));
	CHECK_EQ(chmod(dir, 0750), 0);
	CHECK(!kn_private_folder(dir));
	CHECK_EQ(chmod(dir, 0700), 0);
	/* Where this user may give it away. */
	if (!chown(dir, 1, 1))
		CHECK(!kn_private_folder(dir));
	CHECK(!kn_private_folder("/proc/none/x"));
	remove_folder();
}

static void garbage_is_survived(void)
{
	struct rng rng = rng_new(1);
	static char junk[3000];

	start_server();
	for (int i = 0; i < 200; i++) {
		const int fd = dial(path_of(getpid()));
		const size_t n = rng_below(&rng, sizeof(junk));

		for (size_t k = 0; k < n; k++)
			junk[k] = (char)rng_below(&rng, 256);
		(void)!send(fd, junk, n, MSG_NOSIGNAL);
		if (i % 2) {
			shutdown(fd, SHUT_WR);
			if (n)
				CHECK_HAS(line_of(fd), "\"error\"");
		}
		close(fd);
	}
	CHECK(still_serves());
	remove_folder();
}

static void a_line_of_a_megabyte_is_refused_and_the_next_served(void)
{
	static char huge[1 << 20];
	int fd;

	/* A slow machine is no slow client. */
	kn_live_under_way_ms = 600000;
	start_server();
	fd = dial(path);
	memset(huge, 'a', sizeof(huge));
	for (size_t at = 0; at < sizeof(huge);) {
		const ssize_t n =
			send(fd, huge + at, sizeof(huge) - at, MSG_NOSIGNAL);

		CHECK(n > 0);
		at += (size_t)n;
	}
	say(fd, "\nversion\n", 9);
	CHECK_HAS(line_of(fd), "\"code\":\"EMSGSIZE\"");
	CHECK_HAS(line_of(fd), "\"pid\":");
	close(fd);
	remove_folder();
}

static void requests_that_come_together_are_answered_in_order(void)
{
	int fd;

	start_server();
	fd = dial(path);
	say(fd, "version\nget span\nver", 20);
	say(fd, "sion", 4);
	/* No end of line: the end of all is one. */
	shutdown(fd, SHUT_WR);
	CHECK_HAS(line_of(fd), "\"pid\"");
	CHECK_HAS(line_of(fd), "\"name\":\"span\"");
	CHECK_HAS(line_of(fd), "\"pid\"");
	CHECK(!line_of(fd));
	close(fd);
	remove_folder();
}

/* A client that has a place for sure: the one before may not be gone yet. */
static int enter(void)
{
	for (int i = 0; i < 60000; i++) {
		const int fd = dial(path);

		(void)!send(fd, "version\n", 8, MSG_NOSIGNAL);
		if (strstr(line_of(fd), "\"pid\""))
			return fd;
		close(fd);
		usleep(10000);
	}
	check_failed(__FILE__, __LINE__, "no place");
}

static void slow_readers_cost_their_place_only(void)
{
	int fd[KN_LIVE_CLIENTS], more;

	kn_live_under_way_ms = 600000;
	start_server();
	for (int i = 0; i < KN_LIVE_CLIENTS; i++) {
		fd[i] = enter();
		/* More answers than a socket holds, and nobody reads. */
		for (int k = 0; k < 60; k++)
			if (send(fd[i], "caches\n", 7,
				 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
				break;
	}
	/* One that is let in was closed for lack of a place. */
	more = dial(path);
	CHECK_HAS(line_of(more), "too many clients");
	CHECK(!line_of(more));
	close(more);
	/* The heap is not held up by any of them. */
	for (int i = 0; i < 10000; i++)
		kfree(kmalloc((size_t)(i % 5000), GFP_KERNEL));
	for (int i = 0; i < KN_LIVE_CLIENTS; i++)
		close(fd[i]);
	close(enter());
	remove_folder();
}

static void who_does_not_go_on_has_to_go(void)
{
	int half, unread, idle;

	kn_live_under_way_ms = 200;
	kn_live_idle_ms = 1500;
	start_server();
	half = dial(path);
	say(half, "vers", 4);
	unread = dial(path);
	for (int k = 0; k < 60; k++)
		if (send(unread, "caches\n", 7, MSG_NOSIGNAL | MSG_DONTWAIT) <
		    0)
			break;
	idle = dial(path);
	CHECK(!line_of(half));
	CHECK(!line_of(idle));
	while (line_of(unread))
		;
	CHECK(still_serves());
	close(half);
	close(unread);
	close(idle);
	remove_folder();
}

static void *many(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100; i++) {
		const int fd = dial(path);
		char buf[256];

		(void)!send(fd, "version\n", 8, MSG_NOSIGNAL);
		CHECK(recv(fd, buf, sizeof(buf), 0) > 0);
		close(fd);
	}
	return NULL;
}

static void many_clients_while_the_heap_works(void)
{
	pthread_t thread[4];

	start_server();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, many, NULL), 0);
	for (int i = 0; i < 100000; i++)
		kfree(kmalloc((size_t)(i % 5000), GFP_KERNEL));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_HAS(ask("check"), "\"sound\":true");
	remove_folder();
}

/* Sockets among the descriptors of this process. */
static int sockets(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++) {
		struct stat st;

		n += !fstat(fd, &st) && S_ISSOCK(st.st_mode);
	}
	return n;
}

static void a_fork_child_has_a_socket_of_its_own(void)
{
	char version[64];
	int held, status;
	pid_t pid;

	start_server();
	held = dial(path_of(getpid()));
	say(held, "version\n", 8);
	CHECK_HAS(line_of(held), "\"pid\"");
	fflush(NULL);
	pid = fork();
	if (!pid) {
		int n;

		/* Only what this thread itself opened came along. */
		n = sockets();
		if (n != 1)
			_exit(10 + n);
		close(held);
		snprintf(version, sizeof(version), "\"pid\":%d,", getpid());
		_exit(strstr(ask("version"), version) ? 0 : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	snprintf(version, sizeof(version), "\"pid\":%d,", getpid());
	CHECK_HAS(ask("version"), version);
	remove_folder();
}

static void a_child_that_is_gone_at_once_leaves_no_name(void)
{
	struct stat st;
	int status;
	pid_t pid;

	start_server();
	fflush(NULL);
	pid = fork();
	if (!pid)
		execl("/proc/self/exe", "live_test", "end", NULL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(lstat(path_of(pid), &st), -1);
	remove_folder();
}

static void exit_takes_the_name_away(void)
{
	struct stat st;
	int status;
	pid_t pid;

	make_folder();
	fflush(NULL);
	pid = fork();
	if (!pid) {
		start_at(path_of(getpid()));
		close(dial(path));
		exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(lstat(path_of(pid), &st), -1);
	remove_folder();
}

static bool linger;

/* After those of the library: the process is not gone yet. */
__attribute__((destructor(101))) static void end_slowly(void)
{
	if (linger)
		usleep(20000);
}

/* The thread may be about to make the name when the process ends. */
static void an_early_end_leaves_no_name(void)
{
	int status;
	pid_t pid;

	make_folder();
	for (int i = 0; i < 50; i++) {
		fflush(NULL);
		pid = fork();
		if (!pid) {
			linger = true;
			start_at(path_of(getpid()));
			usleep((useconds_t)i);
			exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	/* . and .. */
	CHECK_EQ(count_in(folder), 2);
	remove_folder();
}

static void other_users_get_no_answer(void)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(setresuid(65534, 65534, 65534) ? 1 : 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (status)
		skip_child("cannot become another user here");
	start_server();
	CHECK_EQ(chmod(folder, 0755), 0);
	fflush(NULL);
	for (int open_to_all = 0; open_to_all < 2; open_to_all++) {
		if (open_to_all)
			CHECK_EQ(chmod(path, 0666), 0);
		pid = fork();
		if (!pid) {
			int fd;

			if (setresgid(65534, 65534, 65534) ||
			    setresuid(65534, 65534, 65534))
				_exit(2);
			fd = try_connect(path);
			if (!open_to_all)
				_exit(fd < 0 ? 0 : 3);
			_exit(fd >= 0 && strstr(line_of(fd), "only the user") &&
					      !line_of(fd) ?
				      0 :
				      4);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	CHECK(still_serves());
	remove_folder();
}

/* As daemons do; the numbers then belong to files of the program. */
static void descriptors_that_the_program_closed_are_left_alone(void)
{
	char *line = NULL;
	int pipes[2], probe;

	kn_live_look_ms = 200;
	start_server();
	CHECK_EQ(pipe(pipes), 0);
	for (int fd = 200; fd < 300; fd++)
		if (!close(fd))
			CHECK_EQ(dup2(pipes[0], fd), fd);
	for (int i = 0; i < 60000 && !line; i++) {
		probe = try_connect(path);
		if (probe >= 0) {
			(void)!send(probe, "version\n", 8, MSG_NOSIGNAL);
			if (recv(probe, &(char){0}, 1, 0) == 1)
				line = line_of(probe);
			close(probe);
		}
		usleep(10000);
	}
	CHECK(line);
	CHECK_EQ(write(pipes[1], "x", 1), 1);
	CHECK_EQ(read(pipes[0], &(char){0}, 1), 1);
	remove_folder();
}

static void *no_memory(void *addr, size_t len, int prot, int flags)
{
	(void)addr;
	(void)len;
	(void)prot;
	(void)flags;
	return (void *)-ENOMEM;
}

static void without_memory_it_says_so(void)
{
	void *(*const mmap_before)(void *, size_t, int, int) = kn_machine.mmap;

	start_server();
	kn_machine.mmap = no_memory;
	CHECK_HAS(ask("version"), "\"code\":\"ENOMEM\"");
	kn_machine.mmap = mmap_before;
	CHECK(still_serves());
	remove_folder();
}

static void signals_go_to_the_program(void)
{
	sigset_t usr1;
	int sig;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	start_server();
	/* Blocked here and there: it stays for who waits for it. */
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	CHECK(still_serves());
	CHECK_EQ(sigwait(&usr1, &sig), 0);
	CHECK_EQ(sig, SIGUSR1);
	remove_folder();
}

static void metrics_are_written_again_and_again(void)
{
	static char text[1 << 20];
	char metrics[128];
	uint64_t inode = 0;
	struct stat st;
	int renewed = 0;
	FILE *f;

	make_folder();
	snprintf(metrics, sizeof(metrics), "%s/%%p.prom", folder);
	conf("metrics_file", metrics);
	conf("metrics_interval_ms", "100");
	start_quiet();
	snprintf(metrics, sizeof(metrics), "%s/%d.prom", folder, getpid());
	for (int i = 0; i < 60000 && renewed < 3; i++) {
		if (!stat(metrics, &st) && st.st_ino != inode) {
			inode = st.st_ino;
			renewed++;
		}
		usleep(10000);
	}
	CHECK_EQ(renewed, 3);
	f = fopen(metrics, "r");
	CHECK(f);
	/* Each that is seen is whole. */
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	CHECK_HAS(text, "knuma_cache_active{cache=\"kmalloc-16\",node=");
	CHECK_EQ(strcmp(text + strlen(text) - 6, "# EOF\n"), 0);
	fclose(f);
	remove_folder();
}

static void metrics_that_cannot_be_written_are_told_once(void)
{
	conf("metrics_file", "/proc/none/metrics");
	conf("metrics_interval_ms", "100");
	start_quiet();
	for (int i = 0; i < 60000 && !printed_times("cannot be written"); i++)
		usleep(10000);
	usleep(350000);
	CHECK_EQ(printed_times("metrics_file /proc/none/metrics cannot be "
			       "written: No such file"),
		 1);
}

/* With an argument it ends at once: what a child executes. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		child_test(off_has_no_thread_and_no_descriptor),
		child_test(the_socket_is_the_users_alone),
		child_test(each_request_is_answered),
		child_test(what_is_wrong_is_said),
		child_test(a_setting_changes),
		child_test(whatis_tells_kind_start_and_state),
		child_test(check_finds_what_is_wrong),
		child_test(caches_count_what_the_program_holds),
		child_test(a_name_in_use_is_not_taken),
		child_test(a_file_or_link_is_not_replaced),
		child_test(a_stale_socket_is_replaced),
		child_test(wrong_paths_are_told),
		child_test(a_word_is_no_path),
		child_test(folders_of_others_are_refused),
		child_test(garbage_is_survived),
		child_test(a_line_of_a_megabyte_is_refused_and_the_next_served),
		child_test(requests_that_come_together_are_answered_in_order),
		child_test(slow_readers_cost_their_place_only),
		child_test(who_does_not_go_on_has_to_go),
		child_test(many_clients_while_the_heap_works),
		child_test(a_fork_child_has_a_socket_of_its_own),
		child_test(a_child_that_is_gone_at_once_leaves_no_name),
		child_test(exit_takes_the_name_away),
		child_test(an_early_end_leaves_no_name),
		child_test(other_users_get_no_answer),
		child_test(descriptors_that_the_program_closed_are_left_alone),
		child_test(without_memory_it_says_so),
		child_test(signals_go_to_the_program),
		child_test(metrics_are_written_again_and_again),
		child_test(metrics_that_cannot_be_written_are_told_once),
	};

	(void)argv;
	if (argc > 1)
		return 0;
	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
