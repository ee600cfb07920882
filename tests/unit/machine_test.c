/* SPDX-License-Identifier: Apache-2.0 */
/* numa/machine.h: entries return a result or -Exxx and leave errno alone. */
#include "numa/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/child.h"
#include "tests/support/syscalls.h"

#define PAGE 4096

static char *page;

/* The system refuses all that entries ask for but files. */
static void refuse_all(void)
{
	static const int nr[] = {SYS_mmap,	SYS_munmap, SYS_mprotect,
				 SYS_madvise,	SYS_mlock2, SYS_mincore,
				 SYS_mremap,	SYS_mbind,  SYS_move_pages,
				 SYS_membarrier};

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	if (!syscalls_refuse(nr, (int)(sizeof(nr) / sizeof(nr[0])), EUSERS))
		skip_child("no seccomp");
	errno = 4711;
}

static void every_refusal_is_the_result(void)
{
	const unsigned long nodes[KN_MACHINE_MASK] = {1};
	unsigned char in_memory;
	void *pages[1];
	int to = 0, status;

	refuse_all();
	pages[0] = page;
	CHECK_EQ(kn_ptr_err(kn_machine.mmap(NULL, PAGE, PROT_NONE,
					    MAP_PRIVATE | MAP_ANONYMOUS)),
		 -EUSERS);
	CHECK_EQ(kn_machine.munmap(page, PAGE), -EUSERS);
	CHECK_EQ(kn_machine.mprotect(page, PAGE, PROT_NONE), -EUSERS);
	CHECK_EQ(kn_machine.madvise(page, PAGE, MADV_DONTNEED), -EUSERS);
	CHECK_EQ(kn_machine.mlock(page, PAGE), -EUSERS);
	CHECK_EQ(kn_machine.mincore(page, PAGE, &in_memory), -EUSERS);
	CHECK_EQ(kn_ptr_err(kn_machine.mremap(page, PAGE, 2 * PAGE, 0, NULL)),
		 -EUSERS);
	CHECK_EQ(kn_machine.mbind_preferred(page, PAGE, 0), -EUSERS);
	CHECK_EQ(kn_machine.mbind_interleave(page, PAGE, nodes), -EUSERS);
	CHECK_EQ(kn_machine.page_nodes(1, pages, &status), -EUSERS);
	CHECK_EQ(kn_machine.move_pages(1, pages, &to, &status), -EUSERS);
	CHECK_EQ(kn_machine.membarrier(0), -EUSERS);
	CHECK_EQ(errno, 4711);
	page[0] = 1;
}

static void an_id_that_no_mask_has(void)
{
	errno = 4711;
	CHECK_EQ(kn_machine.mbind_preferred(page, PAGE, -1), -EINVAL);
	CHECK_EQ(kn_machine.mbind_preferred(page, PAGE, 1024), -EINVAL);
	CHECK_EQ(errno, 4711);
}

/* Without an answer there is no limit, and nothing is known of the memory. */
static void questions_that_are_refused(void)
{
	static const int nr[] = {SYS_sysinfo, SYS_prlimit64, SYS_prctl};
	const struct rlimit limit = {1ul << 40, 1ul << 40};

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
	CHECK_EQ(kn_machine.data_limit(), 1ul << 40);
	CHECK(kn_machine.total_ram() > 0);
	if (!syscalls_refuse(nr, (int)(sizeof(nr) / sizeof(nr[0])), EPERM))
		skip_child("no seccomp");
	errno = 4711;
	CHECK_EQ(kn_machine.total_ram(), 0);
	CHECK_EQ(kn_machine.address_limit(), UINT64_MAX);
	CHECK_EQ(kn_machine.data_limit(), UINT64_MAX);
	for (int i = 0; i < 2; i++)
		kn_machine.name(page, PAGE, "nobody reads it");
	CHECK_EQ(errno, 4711);
	page[0] = 1;
}

/* The lowest free descriptor: nothing is left open. */
static int next_fd(void)
{
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	close(fd);
	return fd;
}

static void files_are_read_or_not(void)
{
	const int fd = next_fd();
	char text[100];

	errno = 4711;
	CHECK(kn_machine.read_file("/proc/self/status", text, sizeof(text)) ==
	      sizeof(text) - 1);
	CHECK_EQ(strlen(text), sizeof(text) - 1);
	CHECK_EQ(kn_machine.read_file("/dev/null", text, sizeof(text)), 0);
	CHECK_EQ(text[0], '\0');
	CHECK_EQ(kn_machine.read_file("/proc/none", text, sizeof(text)),
		 -ENOENT);
	/* It can be opened. */
	text[0] = 'x';
	CHECK_EQ(kn_machine.read_file("/proc", text, sizeof(text)), -EISDIR);
	CHECK_EQ(text[0], '\0');
	CHECK_EQ(errno, 4711);
	CHECK_EQ(next_fd(), fd);
}

static void watch_is(const char *path, int err)
{
	const int fd = next_fd();
	struct kn_watch w = {.fd = 7};

	errno = 4711;
	CHECK_EQ(kn_machine.watch(path, "some", &w), err);
	CHECK_EQ(errno, 4711);
	CHECK(w.fd < 0);
	CHECK_EQ(next_fd(), fd);
	/* A watch that is none. */
	kn_machine.unwatch(&w);
	CHECK_EQ(w.fd, -1);
	CHECK_EQ(next_fd(), fd);
}

static void watches_that_are_refused(void)
{
	watch_is("/proc/none", -ENOENT);
	watch_is("/dev/full", -ENOSPC);
}

/* No number as high as that of a watch is. */
static void too_few_descriptors(void)
{
	const struct rlimit limit = {100, 100};

	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	watch_is("/dev/null", -EINVAL);
}

static void a_file_that_is_not_told_of(void)
{
	static const int nr[] = {SYS_newfstatat, SYS_fstat};

	if (!syscalls_refuse(nr, (int)(sizeof(nr) / sizeof(nr[0])), EPERM))
		skip_child("no seccomp");
	watch_is("/dev/null", -EPERM);
}

/* The number of a watch that the program closed may be another file's. */
static void a_watch_that_is_no_more(void)
{
	struct kn_watch w, was;
	int fd;

	CHECK_EQ(kn_machine.watch("/dev/null", "some", &w), 0);
	CHECK(w.fd >= 200);
	was = w;
	CHECK_EQ(close(w.fd), 0);
	CHECK_EQ(kn_machine.wait(&w, 0), -EBADF);
	kn_machine.unwatch(&w);
	CHECK_EQ(w.fd, -1);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(dup2(fd, was.fd), was.fd);
	w = was;
	kn_machine.unwatch(&w);
	CHECK_EQ(fcntl(was.fd, F_GETFD), 0);
}

/* Two ends of a connection; false: there is no network. */
static bool connected(int end[2])
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	struct sockaddr *const addr = (struct sockaddr *)&a;
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);

	end[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || end[0] < 0 || bind(listener, addr, len) ||
	    listen(listener, 1) || getsockname(listener, addr, &len) ||
	    connect(end[0], addr, len))
		return false;
	end[1] = accept(listener, NULL, NULL);
	close(listener);
	return end[1] >= 0;
}

/* What fires under the number of a watch is a socket with urgent data. */
static void a_watch_that_is_another_file(void)
{
	struct kn_watch w;
	int end[2], fd;

	CHECK_EQ(kn_machine.watch("/dev/null", "some", &w), 0);
	fd = w.fd;
	if (!connected(end))
		skip_child("no network");
	CHECK_EQ(dup2(end[1], fd), fd);
	CHECK_EQ(send(end[0], "!", 1, MSG_OOB), 1);
	CHECK_EQ(kn_machine.wait(&w, 1000000), -EBADF);
	kn_machine.unwatch(&w);
	CHECK_EQ(w.fd, -1);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
}

static void a_sleep_that_is_refused(void)
{
	static const int nr[] = {
		SYS_ppoll,
#ifdef SYS_poll
		SYS_poll,
#endif
	};

	if (!syscalls_refuse(nr, (int)(sizeof(nr) / sizeof(nr[0])), EPERM))
		skip_child("no seccomp");
	errno = 4711;
	CHECK_EQ(kn_machine.wait(NULL, 1000000), -EPERM);
	CHECK_EQ(errno, 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(every_refusal_is_the_result),
		child_test(an_id_that_no_mask_has),
		child_test(questions_that_are_refused),
		child_test(files_are_read_or_not),
		child_test(watches_that_are_refused),
		child_test(too_few_descriptors),
		child_test(a_file_that_is_not_told_of),
		child_test(a_watch_that_is_no_more),
		child_test(a_watch_that_is_another_file),
		child_test(a_sleep_that_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
