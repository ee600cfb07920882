/* SPDX-License-Identifier: Apache-2.0 */
/* The socket and the file of metrics where the system refuses something. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <knuma/kmalloc.h>

#include "alloc/view/live_path.h"
#include "alloc/view/requests.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"

/* Calls that are refused, by the linker's --wrap; 0: none. */
static int refuse_thread, refuse_socket, refuse_mode, refuse_bind,
	refuse_listen;

#define WRAP(name, refuse, parameters, arguments) \
	int __real_##name parameters;             \
	int __wrap_##name parameters;             \
	int __wrap_##name parameters              \
	{                                         \
		if (refuse) {                     \
			errno = refuse;           \
			return -1;                \
		}                                 \
		return __real_##name arguments;   \
	}

WRAP(socket, refuse_socket, (int domain, int type, int protocol),
     (domain, type, protocol))
WRAP(fchmod, refuse_mode, (int fd, mode_t mode), (fd, mode))
WRAP(bind, refuse_bind, (int fd, const struct sockaddr *a, socklen_t len),
     (fd, a, len))
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

/* Starts with a socket in /tmp, and waits until @message is printed. */
static void start_and_hear(const char *message)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/knuma-fault-%d.sock", getpid());
	conf("socket", path);
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times(message); i++)
		usleep(10000);
	CHECK_EQ(printed_times(message), 1);
	/* The heap is there all the same. */
	kfree(kmalloc(100, GFP_KERNEL));
	/* And no name that leads nowhere. */
	CHECK_EQ(unlink(path), -1);
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

static void a_socket_that_cannot_listen_is_said(void)
{
	refuse_listen = EOPNOTSUPP;
	start_and_hear("cannot be made: Operation not supported");
}

static void the_process_takes_room_in_a_name(void)
{
	char path[16];

	CHECK(kn_path_of_process("/a%p-%p", 12345, path, 14));
	CHECK_EQ(strcmp(path, "/a12345-12345"), 0);
	CHECK(!kn_path_of_process("/a%p-%p", 12345, path, 13));
	CHECK(!kn_path_of_process("/abc%", 12345, path, 5));
	CHECK(kn_path_of_process("/abc%", 12345, path, 6));
}

static void a_name_that_grows_too_long_is_said(void)
{
	char path[108];

	if (getpid() < 100)
		skip_child("the number of the process is as short as %p");
	memset(path, 'x', sizeof(path));
	memcpy(path, "/tmp/", 5);
	memcpy(path + sizeof(path) - 3, "%p", 3);
	conf("socket", path);
	start_quiet();
	for (int i = 0; i < 3000 && !printed_times("longer than"); i++)
		usleep(10000);
	CHECK_HAS(printed(), "the name of the socket is longer than 107 bytes; "
			     "take a shorter path");
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
		child_test(a_socket_that_cannot_listen_is_said),
		child_test(the_process_takes_room_in_a_name),
		child_test(a_name_that_grows_too_long_is_said),
		child_test(answers_that_need_memory_say_so),
		child_test(a_view_that_needs_more_memory_says_so),
		child_test(what_the_system_does_not_say_is_left_out),
		child_test(a_refused_trim_is_an_error),
	};

	return cmocka_run_group_tests_name("live faults", tests, NULL, NULL);
}
