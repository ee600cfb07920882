/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a running process, and its clients, where the system refuses
 * what serves them.  One client may go without an answer; the others have theirs,
 * the thread does not turn, and no descriptor is left.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <knuma/slab.h>

#include "alloc/view/live.h"
#include "alloc/view/live_server.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/libc/refusals.h"

/* A name in a folder of the process's own; numbers of processes are not. */
static char folder[64], place[108];

static void make_place(void)
{
	strcpy(folder, "/tmp/knuma-clients-XXXXXX");
	CHECK(mkdtemp(folder));
	snprintf(place, sizeof(place), "%s/sock", folder);
}

/* 30 s: a thread may be long on its way. */
static bool soon(bool (*is_so)(void))
{
	for (int i = 0; i < 3000; i++) {
		if (is_so())
			return true;
		usleep(10000);
	}
	return false;
}

static int client;
static struct timeval patience; /* of reads; none: for ever */

static bool connects(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, place);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(client >= 0);
	CHECK_EQ(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience,
			    sizeof(patience)),
		 0);
	if (!connect(client, (struct sockaddr *)&a, sizeof(a)))
		return true;
	close(client);
	return false;
}

static int dial(void)
{
	CHECK(soon(connects));
	return client;
}

/* Entries of a folder of /proc/self; the look itself has a descriptor. */
static int entries(const char *name)
{
	DIR *dir = opendir(name);
	int n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int tasks(void)
{
	return entries("/proc/self/task") - 2;
}

/* Descriptors while nobody is connected. */
static int quiet_fds;

static bool is_quiet(void)
{
	return entries("/proc/self/fd") == quiet_fds;
}

static char answer[1 << 18];

/* read(2) and write(2) here: the server has neither, and they are not refused. */
static const char *line_of(int fd)
{
	size_t n = 0;

	do
		CHECK_EQ(read(fd, answer + n, 1), 1);
	while (answer[n++] != '\n');
	answer[n] = '\0';
	return answer;
}

/* A process with a socket, and a connection that it has taken. */
static int connected(void)
{
	if (!place[0])
		make_place();
	conf("socket", place);
	start_quiet();
	dial();
	CHECK_EQ(write(client, "version\n", 8), 8);
	CHECK_HAS(line_of(client), "\"pid\":");
	/* It has two ends. */
	quiet_fds = entries("/proc/self/fd") - 2;
	return client;
}

/* What the server says before it closes. */
static const char *rest_of(int fd)
{
	size_t got = 0;
	ssize_t n;

	shutdown(fd, SHUT_WR);
	while ((n = read(fd, answer + got, sizeof(answer) - 1 - got)) > 0)
		got += (size_t)n;
	answer[got] = '\0';
	close(fd);
	return answer;
}

static const char *said_to(int fd, const char *request, size_t len)
{
	CHECK_EQ(write(fd, request, len), len);
	return rest_of(fd);
}

static const char *version_of(int fd)
{
	return said_to(fd, "version\n", 8);
}

static void is_served(int fd)
{
	CHECK_HAS(version_of(fd), "\"pid\":");
}

/* Nothing is left but the listener. */
static void end(void)
{
	is_served(dial());
	CHECK(soon(is_quiet));
	kn_live_exit();
	CHECK_EQ(rmdir(folder), 0);
}

/* Memory. */

static void *(*real_mmap)(void *addr, size_t len, int prot, int flags);

static void *no_memory(void *addr, size_t len, int prot, int flags)
{
	(void)addr;
	(void)len;
	(void)prot;
	(void)flags;
	return (void *)-ENOMEM;
}

/* The rows can be had, which are more than 256 KiB, but not their text. */
static int nr_large;

static void *no_second_large(void *addr, size_t len, int prot, int flags)
{
	return len > 256 << 10 && nr_large++ ?
		       (void *)-ENOMEM :
		       real_mmap(addr, len, prot, flags);
}

static int without_memory(void)
{
	const int fd = connected();

	real_mmap = kn_machine.mmap;
	kn_machine.mmap = no_memory;
	return fd;
}

static void end_with_memory(void)
{
	kn_machine.mmap = real_mmap;
	end();
}

#define NO_MEMORY "no memory for the answer; try again later"

static void a_server_without_memory_says_so(void)
{
	CHECK_HAS(version_of(without_memory()), NO_MEMORY);
	end_with_memory();
}

static void also_of_what_is_no_request(void)
{
	CHECK_HAS(said_to(without_memory(), "no\0text\n", 9), NO_MEMORY);
	end_with_memory();
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
	end_with_memory();
}

/* Not even that can be said: who asked sees the end. */
static void it_may_be_unable_to_say_so(void)
{
	const int fd = without_memory();

	libc_refuse(LIBC_send, 1, 1, EPIPE);
	CHECK_EQ(strlen(version_of(fd)), 0);
	CHECK_EQ(libc_refused(LIBC_send), 1);
	end_with_memory();
}

static void an_answer_that_stays_mapped_was_given(void)
{
	const int fd = connected();

	faults_install();
	faults_fail(FAULT_MUNMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	is_served(fd);
	is_served(dial());
	CHECK(faults_failed() >= 2);
	end();
}

/* Requests and answers. */

static void gone_without_an_answer(enum libc_call call, int err)
{
	const int fd = connected();

	libc_refuse(call, 1, 1, err);
	CHECK_EQ(strlen(version_of(fd)), 0);
	CHECK_EQ(libc_refused(call), 1);
	end();
}

static void a_request_that_cannot_be_read(void)
{
	gone_without_an_answer(LIBC_recv, ECONNRESET);
}

static void an_answer_that_cannot_be_sent(void)
{
	gone_without_an_answer(LIBC_send, EPIPE);
}

static void later(enum libc_call call, int err)
{
	const int fd = connected();

	libc_refuse(call, 1, 3, err);
	is_served(fd);
	CHECK_EQ(libc_refused(call), 3);
	end();
}

static void a_request_that_is_not_there_yet(void)
{
	later(LIBC_recv, EAGAIN);
}

static void a_read_that_was_interrupted(void)
{
	later(LIBC_recv, EINTR);
}

static void an_answer_without_room(void)
{
	later(LIBC_send, EAGAIN);
}

/* The child lets go of its parent's answer, which it cannot unmap. */
static bool answer_waits(void)
{
	return libc_refused(LIBC_send) > 0;
}

static void a_fork_while_an_answer_waits(void)
{
	const int fd = connected();
	int status;
	pid_t pid;

	kn_live_under_way_ms = 1000000;
	libc_refuse(LIBC_send, 1, LIBC_FOR_EVER, EAGAIN);
	CHECK_EQ(write(fd, "version\n", 8), 8);
	CHECK(soon(answer_waits));
	faults_install();
	faults_fail(FAULT_MUNMAP, 1, 1, ENOMEM);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK_EQ(faults_failed(), 1);
		/* The descriptors of the parent are gone. */
		CHECK_EQ(entries("/proc/self/fd"), quiet_fds);
		kfree(kmalloc(100, GFP_KERNEL));
		heap_verify();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	faults_fail(FAULT_MUNMAP, 0, 0, 0);
	libc_allow(LIBC_send);
	CHECK_HAS(rest_of(fd), "\"pid\":");
	end();
}

/* Descriptors. */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t refused_from;
static enum libc_call watched;

static bool asked_thrice(void)
{
	return libc_calls(watched) >= refused_from + 3;
}

/* It asks again, and not at once: 100 ms are between two calls. */
static void asks_with_pauses(enum libc_call call, uint64_t from,
			     uint64_t since_ms)
{
	uint64_t calls;

	watched = call;
	refused_from = from;
	CHECK(soon(asked_thrice));
	calls = libc_calls(call) - from;
	CHECK(calls <= (now_ms() - since_ms) / 90 + 2);
}

#define NOBODY                                                                 \
	"nobody can be taken: Too many open files; who connects waits; raise " \
	"the limit on open files (ulimit -n)"

static void who_connects_waits_for_a_descriptor(void)
{
	const int fd = connected();
	const uint64_t since = now_ms(), from = libc_calls(LIBC_accept4);
	int waits;

	libc_refuse(LIBC_accept4, 1, LIBC_FOR_EVER, EMFILE);
	waits = dial();
	asks_with_pauses(LIBC_accept4, from, since);
	/* Who is there is served. */
	is_served(fd);
	libc_allow(LIBC_accept4);
	is_served(waits);
	CHECK_EQ(printed_times(NOBODY), 1);
	end();
}

static void without_memory_for_a_connection_it_says_so(void)
{
	is_served(connected());
	libc_refuse(LIBC_accept4, 1, 1, ENOMEM);
	is_served(dial());
	CHECK_EQ(printed_times("nobody can be taken: Cannot allocate memory; "
			       "who connects waits\n"),
		 1);
	end();
}

/* As programs do that lock themselves in. */
static void under_a_limit_of_no_descriptors_it_does_not_turn(void)
{
	const int fd = connected();
	uint64_t since, from;
	struct rlimit was, none;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* Ends the poll(2) that is under way. */
	CHECK_EQ(write(fd, "v", 1), 1);
	since = now_ms();
	from = libc_calls(LIBC_poll);
	asks_with_pauses(LIBC_poll, from, since);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
	CHECK_HAS(said_to(fd, "ersion\n", 7), "\"pid\":");
	CHECK_EQ(printed_times(NOBODY), 1);
	end();
}

static void a_poll_without_memory_is_tried_again(void)
{
	const int fd = connected();

	libc_refuse(LIBC_poll, 1, 1, ENOMEM);
	is_served(fd);
	/* The one under way was made before. */
	is_served(dial());
	CHECK_EQ(libc_refused(LIBC_poll), 1);
	CHECK_EQ(printed_times("nobody can be taken: Cannot allocate memory"),
		 1);
	end();
}

static void the_number_of_a_descriptor_may_stay_low(void)
{
	int fd;

	libc_refuse(LIBC_fcntl, 1, LIBC_FOR_EVER, EMFILE);
	fd = connected();
	CHECK(libc_refused(LIBC_fcntl) >= 2);
	for (int i = 200; i < 300; i++)
		CHECK_EQ(close(i), -1);
	is_served(fd);
	end();
}

/* The program closes the socket, and another one cannot be had: it ends. */
static bool is_alone(void)
{
	return tasks() == 1;
}

static void a_server_without_a_socket_ends(void)
{
	int fd;

	kn_live_look_ms = 1;
	fd = connected();
	close(fd);
	CHECK_EQ(tasks(), 2);
	libc_refuse(LIBC_socket, 1, LIBC_FOR_EVER, EMFILE);
	for (int i = 200; i < 300; i++)
		close(i);
	CHECK(soon(is_alone));
	CHECK_EQ(printed_times("cannot be made: Too many open files"), 1);
	kn_live_exit();
	CHECK_EQ(rmdir(folder), 0);
}

/*
 * What a descriptor is cannot be told, each of the times that it is asked: a
 * client goes, or is left alone for ever, or the socket is made anew; and then
 * all is as before.
 */
static uint64_t nth;

static bool is_served_again(void)
{
	bool served;

	if (!connects())
		return false;
	served = write(client, "version\n", 8) == 8;
	return strstr(rest_of(client), "\"pid\":") != NULL && served;
}

static void unknown_descriptor(void)
{
	is_served(connected());
	patience.tv_usec = 100000;
	libc_refuse(LIBC_fstat, nth, 1, EOVERFLOW);
	for (int i = 0; i < 3; i++)
		CHECK(soon(is_served_again));
	CHECK_EQ(libc_refused(LIBC_fstat), 1);
	kn_live_exit();
	CHECK_EQ(rmdir(folder), 0);
}

static void a_descriptor_that_nobody_knows(void)
{
	struct child c;

	for (nth = 1; nth <= 8; nth++) {
		child_run(unknown_descriptor, &c);
		if (!child_passed(&c))
			check_text(__FILE__, __LINE__, c.text, "passed");
	}
}

/* Who it is cannot be told: it might be anybody. */
static void a_client_that_nobody_knows_is_turned_away(void)
{
	is_served(connected());
	libc_refuse(LIBC_getsockopt, 1, 1, ENOPROTOOPT);
	CHECK_HAS(rest_of(dial()),
		  "\"error\":\"only the user of the process and root may "
		  "ask\",\"code\":\"EACCES\"");
	CHECK_EQ(libc_refused(LIBC_getsockopt), 1);
	end();
}

/* The name. */

static void a_name_that_cannot_be_removed_at_exit(void)
{
	struct stat st;

	is_served(connected());
	libc_refuse(LIBC_unlink, 1, LIBC_FOR_EVER, EACCES);
	kn_live_exit();
	CHECK_EQ(libc_refused(LIBC_unlink), 1);
	CHECK_EQ(lstat(place, &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	libc_allow(LIBC_unlink);
	CHECK_EQ(unlink(place), 0);
	CHECK_EQ(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_server_without_memory_says_so),
		child_test(also_of_what_is_no_request),
		child_test(also_of_a_long_answer),
		child_test(it_may_be_unable_to_say_so),
		child_test(an_answer_that_stays_mapped_was_given),
		child_test(a_request_that_cannot_be_read),
		child_test(an_answer_that_cannot_be_sent),
		child_test(a_request_that_is_not_there_yet),
		child_test(a_read_that_was_interrupted),
		child_test(an_answer_without_room),
		child_test(a_fork_while_an_answer_waits),
		child_test(who_connects_waits_for_a_descriptor),
		child_test(without_memory_for_a_connection_it_says_so),
		child_test(under_a_limit_of_no_descriptors_it_does_not_turn),
		child_test(a_poll_without_memory_is_tried_again),
		child_test(the_number_of_a_descriptor_may_stay_low),
		child_test(a_server_without_a_socket_ends),
		child_test(a_descriptor_that_nobody_knows),
		child_test(a_client_that_nobody_knows_is_turned_away),
		child_test(a_name_that_cannot_be_removed_at_exit),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("live clients", tests, NULL, NULL);
}
