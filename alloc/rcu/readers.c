/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/rcu/readers.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <urcu/static/urcu-bp.h>
#include <urcu/static/urcu-common.h>
#include <urcu/static/urcu-qsbr.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/print.h"

/* Where the parts of a reader's state lie; all begin with its counter. */
struct layout {
	size_t size, tid;
	bool behind_pointer;
	bool (*is_old)(unsigned long ctr, unsigned long period);
};

/* Inside a section that began before the period: what a grace period waits for. */
static bool is_old_section(unsigned long ctr, unsigned long period)
{
	return ctr & URCU_GP_CTR_NEST_MASK &&
	       (ctr ^ period) & URCU_GP_CTR_PHASE;
}

/* Online, and not quiescent since the period began. */
static bool is_old_online(unsigned long ctr, unsigned long period)
{
	return ctr && ctr != period;
}

KN_STATIC_ASSERT(URCU_BP_GP_CTR_PHASE == URCU_GP_CTR_PHASE,
		 "bp counts as the others do");

static const struct layout plain = {
	.size = sizeof(struct urcu_reader),
	.tid = offsetof(struct urcu_reader, tid),
	.is_old = is_old_section,
};

static const struct layout qsbr = {
	.size = sizeof(struct urcu_qsbr_reader),
	.tid = offsetof(struct urcu_qsbr_reader, tid),
	.is_old = is_old_online,
};

static const struct layout bp = {
	.size = sizeof(struct urcu_bp_reader),
	.tid = offsetof(struct urcu_bp_reader, tid),
	.behind_pointer = true,
	.is_old = is_old_section,
};

KN_STATIC_ASSERT(offsetof(struct urcu_reader, ctr) == 0 &&
			 offsetof(struct urcu_qsbr_reader, ctr) == 0 &&
			 offsetof(struct urcu_bp_reader, ctr) == 0,
		 "the counter is the first part of a reader's state");

#define STATE_MAX                                      \
	KN_MAX(sizeof(struct urcu_reader),             \
	       KN_MAX(sizeof(struct urcu_qsbr_reader), \
		      sizeof(struct urcu_bp_reader)))

static const struct {
	const char *flavor, *reader, *period;
	const struct layout *layout;
} known[] = {
	{"urcu_memb_flavor", "urcu_memb_reader", "urcu_memb_gp", &plain},
	{"urcu_mb_flavor", "urcu_mb_reader", "urcu_mb_gp", &plain},
	{"urcu_signal_flavor", "urcu_signal_reader", "urcu_signal_gp", &plain},
	{"urcu_qsbr_flavor", "urcu_qsbr_reader", "urcu_qsbr_gp", &qsbr},
	{"urcu_bp_flavor", "urcu_bp_reader", "urcu_bp_gp", &bp},
};

/* What is the same for all threads of a search. */
struct search {
	const struct layout *layout;
	const unsigned long *period;
	uintptr_t to_state; /* from a thread's pthread_t to its variable */
	uintptr_t to_list;  /* to its list of robust futexes */
	int mem;	    /* /proc/self/mem */
};

static int robust_list(uint32_t tid, uintptr_t *list)
{
	struct robust_list_head *head = NULL;
	size_t len = 0;

	if (syscall(SYS_get_robust_list, (pid_t)tid, &head, &len))
		return -errno;
	*list = (uintptr_t)head;
	return head ? 0 : -ESRCH;
}

/* Finds the variables of @flavor, and where they are from this thread. */
static int find_variables(const void *flavor, struct search *s)
{
	const uintptr_t self = (uintptr_t)pthread_self();
	const void *reader = NULL;
	uintptr_t list = 0;
	Dl_info info;
	int err;

	if (!dladdr(flavor, &info) || !info.dli_sname ||
	    info.dli_saddr != flavor)
		return -ENOENT;
	for (size_t i = 0; i < KN_ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].flavor, info.dli_sname) != 0)
			continue;
		s->layout = known[i].layout;
		reader = dlsym(RTLD_DEFAULT, known[i].reader);
		s->period = dlsym(RTLD_DEFAULT, known[i].period);
	}
	if (!reader || !s->period)
		return -ENOENT;
	err = robust_list(0, &list);
	if (err)
		return err;
	s->to_state = (uintptr_t)reader - self;
	s->to_list = list - self;
	return 0;
}

static bool read_memory(const struct search *s, uintptr_t at, void *to,
			size_t len)
{
	return at && pread(s->mem, to, len, (off_t)at) == (ssize_t)len;
}

/* False when @self has no state of this flavour. */
static bool read_state(const struct search *s, uintptr_t self, char *state)
{
	uintptr_t at = self + s->to_state, tid;

	if (s->layout->behind_pointer && !read_memory(s, at, &at, sizeof(at)))
		return false;
	if (!read_memory(s, at, state, s->layout->size))
		return false;
	memcpy(&tid, state + s->layout->tid, sizeof(tid));
	return tid == self;
}

static bool is_waited_for(const struct search *s, uint32_t tid)
{
	char state[STATE_MAX];
	unsigned long ctr;
	uintptr_t list = 0, again = 0;

	if (robust_list(tid, &list) || !read_state(s, list - s->to_list, state))
		return false;
	memcpy(&ctr, state, sizeof(ctr));
	return s->layout->is_old(ctr, kn_load(s->period)) &&
	       !robust_list(tid, &again) && again == list;
}

/* As getdents64(2) gives it. */
struct entry {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static void take_entries(const struct search *s, const char *buf, size_t len,
			 struct kn_readers *found)
{
	for (size_t at = 0; at < len;) {
		const struct entry *e = (const struct entry *)(buf + at);
		const uint32_t tid = (uint32_t)strtoul(e->name, NULL, 10);

		at += e->len;
		if (!tid || !is_waited_for(s, tid))
			continue;
		if (found->nr < KN_READERS_TOLD)
			found->tid[found->nr] = tid;
		found->nr++;
	}
}

/* A descriptor, or -Exxx. */
static int open_proc(const char *path, int flags)
{
	const int fd = open(path, flags | O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return errno == ENOENT ? -ENODEV : -errno;
}

static int each_thread(const struct search *s, struct kn_readers *found)
{
	char buf[2048] __attribute__((aligned(8)));
	const int dir = open_proc("/proc/self/task", O_DIRECTORY);
	long n;

	if (dir < 0)
		return dir;
	while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		take_entries(s, buf, (size_t)n, found);
	n = n < 0 ? -errno : 0;
	close(dir);
	return (int)n;
}

int kn_readers_find(const struct rcu_flavor_struct *flavor,
		    struct kn_readers *found)
{
	const int saved_errno = errno;
	struct search s = {.mem = -1};
	int err = find_variables(flavor, &s);

	found->nr = 0;
	if (!err) {
		s.mem = open_proc("/proc/self/mem", 0);
		err = s.mem < 0 ? s.mem : each_thread(&s, found);
	}
	if (s.mem >= 0)
		close(s.mem);
	errno = saved_errno;
	return err;
}

static void print_name(struct kn_text *t, uint32_t tid)
{
	char path[48], name[32];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%u/comm", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, sizeof(name) - 1);
		close(fd);
	}
	name[KN_MAX(n, 0)] = '\0';
	name[strcspn(name, "\n")] = '\0';
	kn_text_add(t, "%u", tid);
	if (*name)
		kn_text_add(t, " (%s)", name);
}

void kn_readers_print(const struct kn_readers *found, char *buf, size_t len)
{
	const int saved_errno = errno,
		  told = KN_MIN(found->nr, KN_READERS_TOLD);
	struct kn_text t = {buf, len, 0};

	kn_text_add(&t, "thread ");
	for (int i = 0; i < told; i++) {
		kn_text_add(&t, "%s", i ? ", " : "");
		print_name(&t, found->tid[i]);
	}
	if (found->nr > told)
		kn_text_add(&t, " and %d more", found->nr - told);
	errno = saved_errno;
}
