/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "numa/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "alloc/base/counts.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* The result of a libc call as a result or -Exxx, errno as it was before. */
#define RESULT(type, call)                                \
	({                                                \
		const int saved_errno = errno;            \
		type ret_ = (type)(call);                 \
		KN_COUNTED(calls);                        \
		if ((intptr_t)ret_ == -1)                 \
			ret_ = (type)(intptr_t)-errno;    \
		errno = saved_errno;                      \
		ret_;                                     \
	})

static void *machine_mmap(void *addr, size_t len, int prot, int flags)
{
	return RESULT(void *, mmap(addr, len, prot, flags, -1, 0));
}

static int machine_munmap(void *addr, size_t len)
{
	return RESULT(int, munmap(addr, len));
}

static int machine_mprotect(void *addr, size_t len, int prot)
{
	return RESULT(int, mprotect(addr, len, prot));
}

static int machine_madvise(void *addr, size_t len, int advice)
{
	return RESULT(int, madvise(addr, len, advice));
}

static int machine_mlock(void *addr, size_t len)
{
	return RESULT(int, mlock2(addr, len, MLOCK_ONFAULT));
}

static int machine_mincore(void *addr, size_t len, unsigned char *in_memory)
{
	return RESULT(int, mincore(addr, len, in_memory));
}

static void *machine_mremap(void *from, size_t old_len, size_t new_len,
			    int flags, void *to)
{
	return RESULT(void *, mremap(from, old_len, new_len, flags, to));
}

static int machine_mbind_preferred(void *addr, size_t len, int node)
{
	unsigned long mask[KN_MACHINE_MASK] = { 0 };
	const unsigned bits = 8 * sizeof(long);

	if (node < 0 || node >= 1024)
		return -EINVAL;
	mask[(unsigned)node / bits] = 1ul << ((unsigned)node % bits);
	return RESULT(int, syscall(SYS_mbind, addr, len,
				   MPOL_PREFERRED | MPOL_F_STATIC_NODES, mask,
				   1025ul, 0u));
}

static int machine_mbind_interleave(void *addr, size_t len,
				    const unsigned long *nodes)
{
	return RESULT(int, syscall(SYS_mbind, addr, len,
				   MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, nodes,
				   1025ul, 0u));
}

static int machine_page_nodes(size_t n, void **pages, int *status)
{
	return RESULT(int, syscall(SYS_move_pages, 0, n, pages, NULL, status, 0));
}

static int machine_move_pages(size_t n, void **pages, const int *nodes,
			      int *status)
{
	return RESULT(int, syscall(SYS_move_pages, 0, n, pages, nodes, status,
				   MPOL_MF_MOVE));
}

static int machine_membarrier(int cmd)
{
	return RESULT(int, syscall(SYS_membarrier, cmd, 0, 0));
}

static int machine_getcpu(void)
{
	return RESULT(int, sched_getcpu());
}

static uint64_t machine_total_ram(void)
{
	struct sysinfo info;

	return RESULT(int, sysinfo(&info)) ?
		       0 :
		       (uint64_t)info.totalram * info.mem_unit;
}

static uint64_t limit_of(int resource)
{
	struct rlimit limit;

	if (RESULT(int, getrlimit(resource, &limit)) ||
	    limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static uint64_t machine_address_limit(void)
{
	return limit_of(RLIMIT_AS);
}

static uint64_t machine_data_limit(void)
{
	return limit_of(RLIMIT_DATA);
}

static size_t machine_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static ssize_t machine_read_file(const char *path, char *buf, size_t len)
{
	const int fd = RESULT(int, open(path, O_RDONLY | O_CLOEXEC));
	size_t got = 0;
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	while (got < len - 1) {
		n = RESULT(ssize_t, read(fd, buf + got, len - 1 - got));
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	buf[got] = '\0';
	close(fd);
	return n < 0 && !got ? n : (ssize_t)got;
}

/* Above what shells and programs count on. */
#define WATCH_FD_MIN 200

/* Whether the descriptor is still what it was. */
static bool is_watch(const struct kn_watch *w)
{
	struct stat st;

	return w->fd >= 0 && !RESULT(int, fstat(w->fd, &st)) &&
	       st.st_dev == w->dev && st.st_ino == w->ino;
}

static int ask_for(int fd, const char *trigger, struct kn_watch *w)
{
	struct stat st;
	ssize_t n = RESULT(ssize_t, write(fd, trigger, strlen(trigger) + 1));
	int err;

	if (n < 0)
		return (int)n;
	err = RESULT(int, fstat(fd, &st));
	if (err)
		return err;
	w->fd = RESULT(int, fcntl(fd, F_DUPFD_CLOEXEC, WATCH_FD_MIN));
	w->dev = st.st_dev;
	w->ino = st.st_ino;
	return KN_MIN(w->fd, 0);
}

static int machine_watch(const char *path, const char *trigger,
			 struct kn_watch *w)
{
	const int fd = RESULT(int, open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
	int err;

	w->fd = -1;
	if (fd < 0)
		return fd;
	err = ask_for(fd, trigger, w);
	close(fd);
	return err;
}

static int machine_wait(const struct kn_watch *w, int ms)
{
	struct pollfd p = {.fd = w ? w->fd : -1, .events = POLLPRI};
	/* Under RLIMIT_NOFILE = 0 one is too many. */
	const int n = RESULT(int, poll(&p, w ? 1 : 0, ms));

	if (n < 0 && n != -EINTR)
		return n;
	if (n <= 0)
		return 0;
	if (p.revents & (POLLERR | POLLNVAL | POLLHUP) || !is_watch(w))
		return -EBADF;
	return p.revents & POLLPRI ? 1 : 0;
}

static void machine_unwatch(struct kn_watch *w)
{
	if (is_watch(w))
		close(w->fd);
	w->fd = -1;
}

static void machine_name(void *addr, size_t len, const char *name)
{
	static bool refused;
	const int saved_errno = errno;

	if (!refused && prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, len, name))
		refused = true;
	errno = saved_errno;
}

struct kn_machine kn_machine = {
	.mmap = machine_mmap,
	.munmap = machine_munmap,
	.mprotect = machine_mprotect,
	.madvise = machine_madvise,
	.mlock = machine_mlock,
	.mincore = machine_mincore,
	.mremap = machine_mremap,
	.mbind_preferred = machine_mbind_preferred,
	.mbind_interleave = machine_mbind_interleave,
	.page_nodes = machine_page_nodes,
	.move_pages = machine_move_pages,
	.membarrier = machine_membarrier,
	.getcpu = machine_getcpu,
	.total_ram = machine_total_ram,
	.address_limit = machine_address_limit,
	.data_limit = machine_data_limit,
	.page_size = machine_page_size,
	.read_file = machine_read_file,
	.watch = machine_watch,
	.wait = machine_wait,
	.unwatch = machine_unwatch,
	.name = machine_name,
	.sysfs = "/sys/devices/system",
	.procfs = "/proc",
};
