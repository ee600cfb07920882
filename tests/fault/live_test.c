/* SPDX-License-Identifier: Apache-2.0 */
/* The socket and the file of metrics where the system refuses something. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <knuma/slab.h>

#include "alloc/config/tunables.h"
#include "alloc/view/live.h"
#include "alloc/view/live_path.h"
#include "alloc/view/live_server.h"
#include "alloc/view/requests.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

/* Calls that are refused, by the linker's --wrap; 0: none. */
static int refuse_thread, refuse_socket, refuse_mode, refuse_bind,
	refuse_listen;
static int binds_before; /* that are not refused */

#define WRAP(name, refuse, parameters, arguments) \
	int __real_##name parameters;             \
	int __wrap_##name parameters;             \
	int __wrap_##name parameters              \
	{                                         \
		const int err = refuse;           \
                                                  \
		if (err) {                        \
			errno = err;              \
			return -1;                \
		}                                 \
		return __real_##name arguments;   \
	}

WRAP(socket, refuse_socket, (int domain, int type, int protocol),
     (domain, type, protocol))
WRAP(fchmod, refuse_mode, (int fd, mode_t mode), (fd, mode))
WRAP(bind, binds_before-- <= 0 ? refuse_bind : 0,
     (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len))
WRAP(listen, refuse_listen, (int fd, int backlog), (fd, backlog))

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg)
{
	return refuse_thread ? refuse_thread :
			       __real_pthread_create(thread, attr, fn, arg);
}

/* A name in a folder of the process's own; numbers of processes are not. */
static char folder[64], place[108];

static const char *path_of(const char *name)
{
	strcpy(folder, "/tmp/knuma-fault-XXXXXX");
	CHECK(mkdtemp(folder));
	snprintf(place, sizeof(place), "%s/%s", folder, name);
	return place;
}

static void remove_folder(void)
{
	CHECK_EQ(rmdir(folder), 0);
}

/* Starts with @place, and waits until @message is printed. */
static void start_and_hear(const char *message)
{
	conf("socket", place[0] ? place : path_of("sock"));
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times(message); i++)
		usleep(10000);
	CHECK_EQ(printed_times(message), 1);
	/* The heap is there all the same. */
	kfree(kmalloc(100, GFP_KERNEL));
	/* And no name that leads nowhere. */
	CHECK_EQ(unlink(place), -1);
	remove_folder();
}

static void without_a_thread_that_is_said(void)
{
	refuse_thread = EAGAIN;
	start_and_hear(
		"socket, metrics_file: no thread to serve them: Resource "
		"temporarily unavailable; raise the limit on processes");
}

static void without_descriptors_that_is_said(void)
{
	refuse_socket = EMFILE;
	start_and_hear("cannot be made: Too many open files; socket can be "
		       "another path, or no");
}

static void a_name_without_its_mode_is_not_made(void)
{
	refuse_mode = EPERM;
	start_and_hear("cannot be made: Operation not permitted");
}

static void a_refused_name_is_said(void)
{
	refuse_bind = EACCES;
	start_and_hear("cannot be made: Permission denied; socket can be "
		       "another path, or no");
}

/* What a process has left behind is removed, and then it cannot be made. */
static void a_name_that_is_refused_again_is_said(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path_of("sock"));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	binds_before = 1;
	refuse_bind = EACCES;
	start_and_hear("cannot be made: Permission denied");
}

static void a_socket_that_cannot_listen_is_said(void)
{
	refuse_listen = EOPNOTSUPP;
	start_and_hear("cannot be made: Operation not supported");
}

static void the_process_takes_room_in_a_name(void)
{
	char name[16];

	CHECK(kn_path_of_process("/a%p-%p", 12345, name, 14));
	CHECK_EQ(strcmp(name, "/a12345-12345"), 0);
	CHECK(!kn_path_of_process("/a%p-%p", 12345, name, 13));
	CHECK(!kn_path_of_process("/abc%", 12345, name, 5));
	CHECK(kn_path_of_process("/abc%", 12345, name, 6));
}

static void a_name_that_grows_too_long_is_said(void)
{
	char name[108];

	if (getpid() < 100)
		skip_child("the number of the process is as short as %p");
	memset(name, 'x', sizeof(name));
	memcpy(name, "/tmp/", 5);
	memcpy(name + sizeof(name) - 3, "%p", 3);
	conf("socket", name);
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times("longer than"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "the name of the socket is longer than 107 bytes; "
			     "take a shorter path");
}

/* A runtime folder whose name leaves no room for that of a socket. */
static void a_folder_that_is_too_long_is_said(void)
{
	char longer[128];

	memset(longer, 'x', sizeof(longer));
	(void)path_of("");
	memcpy(longer, place, strlen(place));
	longer[85] = '\0';
	CHECK_EQ(mkdir(longer, 0700), 0);
	setenv("XDG_RUNTIME_DIR", longer, 1);
	conf("socket", "yes");
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times("longer than"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "the name of the socket is longer than 107 bytes; "
			     "take a shorter path");
	strcat(longer, "/knuma");
	CHECK_EQ(rmdir(longer), 0);
	longer[85] = '\0';
	CHECK_EQ(rmdir(longer), 0);
	remove_folder();
}

/* The file of metrics. */

static void metrics_are_not_written(const char *why)
{
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times("cannot be written"); i++)
		usleep(10000);
	CHECK_HAS(printed(), why);
	CHECK_EQ(printed_times("cannot be written"), 1);
}

static void a_file_of_metrics_whose_name_is_too_long_is_said(void)
{
	char name[KN_TUNABLE_LEN];

	/* Each %p is a number of more digits. */
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	for (size_t i = 1; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "%p", 2);
	name[sizeof(name) - 1] = '\0';
	conf("metrics_file", name);
	if (getpid() < 1000)
		skip_child("the number of the process is too short");
	metrics_are_not_written("File name too long");
}

static void *(*real_mmap)(void *addr, size_t len, int prot, int flags);

static pthread_t main_thread;

/* Only the thread that serves is refused. */
static void *no_text(void *addr, size_t len, int prot, int flags)
{
	return pthread_self() != main_thread ?
		       (void *)-ENOMEM :
		       real_mmap(addr, len, prot, flags);
}

static void metrics_without_memory_are_said(void)
{
	main_thread = pthread_self();
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = no_text;
	conf("metrics_file", path_of("metrics"));
	metrics_are_not_written("Cannot allocate memory");
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

static char answer[1 << 18];

static const char *ask(const char *request)
{
	struct kn_text t = {answer, sizeof(answer), 0};
	char line[128];

	snprintf(line, sizeof(line), "%s", request);
	kn_request_answer(line, &t);
	CHECK(t.len < t.size);
	return answer;
}

static void answers_that_need_memory_say_so(void)
{
	start_quiet();
	kn_machine.mmap = no_memory;
	CHECK_HAS(ask("caches"), "\"error\":\"caches: no memory for the rows; "
				 "try again later\",\"code\":\"ENOMEM\"");
	CHECK_HAS(ask("stats text"), "\"error\":\"stats: no memory to print "
				     "them; try again later\"");
	CHECK_HAS(ask("view vmallocinfo"), "\"error\":\"view: no memory to "
					   "print it; try again later\"");
	CHECK_HAS(ask("whatis 0x1000"), "\"kind\":\"foreign");
}

/* The text is mapped, the rows of caches are not. */
static void a_view_that_needs_more_memory_says_so(void)
{
	start_quiet();
	faults_install();
	faults_fail(FAULT_MMAP, 2, 1, ENOMEM);
	CHECK_HAS(ask("view slabinfo"), "\"code\":\"ENOMEM\"");
	CHECK_HAS(ask("view slabinfo"), "\\u000akmalloc-64 ");
}

/* A process with a socket, and a connection to it. */
static int connected(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path_of("sock"));
	conf("socket", a.sun_path);
	start_quiet();
	for (int i = 0; i < 3000; i++) {
		if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
			return fd;
		usleep(10000);
	}
	CHECK(!"a connection");
	return -1;
}

/* What the server says to @request before it closes. */
static const char *said_to(int fd, const char *request, size_t len)
{
	size_t got = 0;
	ssize_t n;

	CHECK_EQ(send(fd, request, len, MSG_NOSIGNAL), len);
	shutdown(fd, SHUT_WR);
	while ((n = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0)
		got += (size_t)n;
	answer[got] = '\0';
	close(fd);
	return answer;
}

/* The rows can be had, which are more than 256 KiB, but not their text. */
static int nr_large;

static void *no_second_large(void *addr, size_t len, int prot, int flags)
{
	return len > 256 << 10 && nr_large++ ?
		       (void *)-ENOMEM :
		       real_mmap(addr, len, prot, flags);
}

#define NO_MEMORY "no memory for the answer; try again later"

static void a_server_without_memory_says_so(void)
{
	const int fd = connected();

	kn_machine.mmap = no_memory;
	CHECK_HAS(said_to(fd, "version\n", 8), NO_MEMORY);
	kn_live_exit();
	remove_folder();
}

static void also_of_what_is_no_request(void)
{
	const int fd = connected();

	kn_machine.mmap = no_memory;
	CHECK_HAS(said_to(fd, "no\0text\n", 9), NO_MEMORY);
	kn_live_exit();
	remove_folder();
}

static void also_of_a_long_answer(void)
{
	const int fd = connected();
	char name[32];

	/* A row each. */
	for (int i = 0; i < 1600; i++) {
		snprintf(name, sizeof(name), "a cache of many, %d", i);
		CHECK(kmem_cache_create(name, 64, 0, SLAB_NO_MERGE, NULL));
	}
	real_mmap = kn_machine.mmap;
	kn_machine.mmap = no_second_large;
	CHECK_HAS(said_to(fd, "caches\n", 7), NO_MEMORY);
	kn_live_exit();
	remove_folder();
}

/* The program closes the socket, and another one cannot be had: it ends. */
static int tasks(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void a_server_without_a_socket_ends(void)
{
	int fd;

	kn_live_look_ms = 1;
	fd = connected();
	close(fd);
	CHECK_EQ(tasks(), 2);
	refuse_socket = EMFILE;
	for (int i = 200; i < 300; i++)
		close(i);
	for (int i = 0; i < 3000 && tasks() > 1; i++)
		usleep(10000);
	CHECK_EQ(tasks(), 1);
	CHECK_EQ(printed_times("cannot be made: Too many open files"), 1);
	kn_live_exit();
	remove_folder();
}

static ssize_t no_file(const char *path, char *buf, size_t len)
{
	(void)path;
	(void)buf;
	(void)len;
	return -EACCES;
}

static int no_nodes(size_t n, void **pages, int *status)
{
	(void)n;
	(void)pages;
	(void)status;
	return -EPERM;
}

static void what_the_system_does_not_say_is_left_out(void)
{
	void *obj;
	char request[64];

	start_quiet();
	obj = kmalloc(100, GFP_KERNEL);
	snprintf(request, sizeof(request), "whatis %p", obj);
	CHECK_HAS(ask(request), "\"mapped\":true");
	kn_machine.read_file = no_file;
	kn_machine.page_nodes = no_nodes;
	CHECK_HAS(ask(request), "\"kind\":\"object\"");
	CHECK_HAS(ask(request), "\"node\":null,\"in_memory\":false,"
				"\"node_error\":\"EPERM\"");
	CHECK_HAS(ask(request), "\"mapped\":false");
	CHECK_HAS(ask("nodes"), "\"resident_bytes\":null");
	CHECK_HAS(ask("nodes"), "\"system_free_bytes\":null");
	kfree(obj);
}

static int refused_purge(void *addr, size_t len, int advice)
{
	(void)addr;
	(void)len;
	(void)advice;
	return -EINVAL;
}

static void a_refused_trim_is_an_error(void)
{
	char *area;

	start_quiet();
	area = kmalloc(1 << 20, GFP_KERNEL);
	memset(area, 1, 1 << 20);
	kfree(area);
	kn_machine.madvise = refused_purge;
	CHECK_HAS(ask("trim"), "\"error\":\"trim: the system refused to take "
			       "memory back: Invalid argument\","
			       "\"code\":\"EINVAL\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(without_a_thread_that_is_said),
		child_test(without_descriptors_that_is_said),
		child_test(a_name_without_its_mode_is_not_made),
		child_test(a_refused_name_is_said),
		child_test(a_name_that_is_refused_again_is_said),
		child_test(a_socket_that_cannot_listen_is_said),
		child_test(the_process_takes_room_in_a_name),
		child_test(a_name_that_grows_too_long_is_said),
		child_test(a_folder_that_is_too_long_is_said),
		child_test(a_file_of_metrics_whose_name_is_too_long_is_said),
		child_test(metrics_without_memory_are_said),
		child_test(answers_that_need_memory_say_so),
		child_test(a_view_that_needs_more_memory_says_so),
		child_test(a_server_without_memory_says_so),
		child_test(also_of_what_is_no_request),
		child_test(also_of_a_long_answer),
		child_test(a_server_without_a_socket_ends),
		child_test(what_the_system_does_not_say_is_left_out),
		child_test(a_refused_trim_is_an_error),
	};

	return cmocka_run_group_tests_name("live faults", tests, NULL, NULL);
}
