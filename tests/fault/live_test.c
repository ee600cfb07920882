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
#include "tests/support/libc/refusals.h"

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
static void hear(const char *message)
{
	conf("socket", place[0] ? place : path_of("sock"));
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times(message); i++)
		usleep(10000);
	CHECK_EQ(printed_times(message), 1);
	/* The heap is there all the same. */
	kfree(kmalloc(100, GFP_KERNEL));
}

static void start_and_hear(const char *message)
{
	hear(message);
	/* And no name that leads nowhere. */
	CHECK_EQ(unlink(place), -1);
	remove_folder();
}

static void without_a_thread_that_is_said(void)
{
	libc_refuse(LIBC_pthread_create, 1, LIBC_FOR_EVER, EAGAIN);
	start_and_hear(
		"socket, metrics_file: no thread to serve them: Resource "
		"temporarily unavailable; raise the limit on processes");
}

static void without_descriptors_that_is_said(void)
{
	libc_refuse(LIBC_socket, 1, LIBC_FOR_EVER, EMFILE);
	start_and_hear("cannot be made: Too many open files; socket can be "
		       "another path, or no");
}

static void a_name_without_its_mode_is_not_made(void)
{
	libc_refuse(LIBC_fchmod, 1, LIBC_FOR_EVER, EPERM);
	start_and_hear("cannot be made: Operation not permitted");
}

static void a_refused_name_is_said(void)
{
	libc_refuse(LIBC_bind, 1, LIBC_FOR_EVER, EACCES);
	start_and_hear("cannot be made: Permission denied; socket can be "
		       "another path, or no");
}

/* What a process has left behind: a name where nobody listens. */
static void leave_a_name(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path_of("sock"));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
}

/* It is removed, and then it cannot be made. */
static void a_name_that_is_refused_again_is_said(void)
{
	leave_a_name();
	libc_refuse(LIBC_bind, 2, LIBC_FOR_EVER, EACCES);
	start_and_hear("cannot be made: Permission denied");
}

static void a_socket_that_cannot_listen_is_said(void)
{
	libc_refuse(LIBC_listen, 1, LIBC_FOR_EVER, EOPNOTSUPP);
	start_and_hear("cannot be made: Operation not supported");
}

/* Who cannot ask whether somebody listens does not take the name away. */
static void a_name_that_may_be_served_stays(void)
{
	leave_a_name();
	libc_refuse(LIBC_socket, 2, LIBC_FOR_EVER, EMFILE);
	hear("cannot be made: Too many open files");
	CHECK_EQ(unlink(place), 0);
	remove_folder();
}

static void a_name_that_cannot_be_removed_stays(void)
{
	leave_a_name();
	libc_refuse(LIBC_unlink, 1, 1, EACCES);
	hear("cannot be made: Permission denied");
	CHECK_EQ(libc_refused(LIBC_unlink), 1);
	CHECK_EQ(unlink(place), 0);
	remove_folder();
}

/* Somebody listens, whose queue is full. */
static void a_name_whose_queue_is_full_stays(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int type = SOCK_STREAM | SOCK_NONBLOCK;
	const int fd = socket(AF_UNIX, type, 0);

	strcpy(a.sun_path, path_of("sock"));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(listen(fd, 0), 0);
	while (!connect(socket(AF_UNIX, type, 0), (struct sockaddr *)&a,
			sizeof(a)))
		;
	CHECK_EQ(errno, EAGAIN);
	hear("cannot be made: Address already in use; another process or file "
	     "has that name");
	CHECK_EQ(unlink(place), 0);
	remove_folder();
}

/* The next process takes it for what it is: left behind. */
static void a_name_that_could_not_be_taken_back_is_taken(void)
{
	libc_refuse(LIBC_listen, 1, 1, EOPNOTSUPP);
	libc_refuse(LIBC_unlink, 1, 1, EACCES);
	hear("cannot be made: Operation not supported");
	CHECK_EQ(libc_refused(LIBC_unlink), 1);
	CHECK(kn_live_open());
	kn_live_exit();
	remove_folder();
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

static void without_a_folder_that_is_said(void)
{
	(void)path_of("");
	setenv("XDG_RUNTIME_DIR", folder, 1);
	libc_refuse(LIBC_mkdir, 1, LIBC_FOR_EVER, EACCES);
	conf("socket", "yes");
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times("no folder"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "socket = yes: no folder for it that is this "
			     "user's alone (XDG_RUNTIME_DIR, /tmp/knuma-");
	CHECK_EQ(libc_refused(LIBC_mkdir), 3);
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

static void written_again(void)
{
	CHECK_EQ(unlink(place), 0);
	for (int i = 0; i < 3000 && access(place, F_OK); i++)
		usleep(10000);
	CHECK_EQ(access(place, F_OK), 0);
}

static void metrics_whose_memory_stays_are_written(void)
{
	uint64_t before;

	conf("metrics_file", path_of("metrics"));
	conf("metrics_interval_ms", "100ms");
	/* A first one, to be written anew. */
	fclose(fopen(place, "w"));
	start_quiet();
	written_again();
	faults_install();
	faults_fail(FAULT_MUNMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	before = faults_failed();
	/* The last goes before the memory of its text does. */
	for (int i = 0; i < 3; i++)
		written_again();
	CHECK(faults_failed() >= before + 1);
	CHECK_EQ(strlen(printed()), 0);
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

static ssize_t (*real_read_file)(const char *path, char *buf, size_t len);

static ssize_t no_policies(const char *path, char *buf, size_t len)
{
	return strstr(path, "numa_maps") ? -EACCES :
					   real_read_file(path, buf, len);
}

static void a_policy_that_is_not_told_is_left_out(void)
{
	void *obj;
	char request[64];

	start_quiet();
	obj = kmalloc(100, GFP_KERNEL);
	snprintf(request, sizeof(request), "whatis %p", obj);
	real_read_file = kn_machine.read_file;
	kn_machine.read_file = no_policies;
	CHECK_HAS(ask(request), "\"mapped\":true");
	CHECK(!strstr(answer, "\"policy\""));
	kfree(obj);
}

/* Rows, a text, smaps: each was read before its memory had to go. */
static void what_stays_mapped_is_answered(void)
{
	start_quiet();
	faults_install();
	faults_fail(FAULT_MUNMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	CHECK_HAS(ask("caches"), "\"cache\":\"kmalloc-64\"");
	CHECK_HAS(ask("stats text"), "allocated_bytes");
	CHECK_HAS(ask("whatis 0x1000"), "\"mapped\":false");
	CHECK_EQ(faults_failed(), 3);
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
		child_test(a_name_that_may_be_served_stays),
		child_test(a_name_that_cannot_be_removed_stays),
		child_test(a_name_whose_queue_is_full_stays),
		child_test(a_name_that_could_not_be_taken_back_is_taken),
		child_test(a_socket_that_cannot_listen_is_said),
		child_test(metrics_whose_memory_stays_are_written),
		child_test(the_process_takes_room_in_a_name),
		child_test(a_name_that_grows_too_long_is_said),
		child_test(a_folder_that_is_too_long_is_said),
		child_test(without_a_folder_that_is_said),
		child_test(a_file_of_metrics_whose_name_is_too_long_is_said),
		child_test(metrics_without_memory_are_said),
		child_test(answers_that_need_memory_say_so),
		child_test(a_view_that_needs_more_memory_says_so),
		child_test(what_the_system_does_not_say_is_left_out),
		child_test(a_policy_that_is_not_told_is_left_out),
		child_test(what_stays_mapped_is_answered),
		child_test(a_refused_trim_is_an_error),
	};

	return cmocka_run_group_tests_name("live faults", tests, NULL, NULL);
}
