/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup with a limit, and the kernel's own word that memory is short: what
 * the library caches goes back before the program is killed, the background
 * thread is woken by the trigger, and limits of cgroups above hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knuma/slab.h>
#include <knuma/tunables.h>
#include <knuma/vmalloc.h>

#include "alloc/core/pressure.h"
#include "numa/cgroup.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/world.h"

#define CGROUPS "/sys/fs/cgroup"
#define MIB	((size_t)1 << 20)
#define LIMIT	(96 * MIB)
#define AREAS	4

static char outer[64], inner[96];

/* A cgroup in a cgroup; the outer one is limited. */
static void enter(const char *file, const char *limit)
{
	char self[16];

	world_needs(1);
	snprintf(self, sizeof(self), "%d", getpid());
	snprintf(outer, sizeof(outer), CGROUPS "/short.%s", self);
	snprintf(inner, sizeof(inner), "%s/in", outer);
	CHECK_EQ(mkdir(outer, 0755), 0);
	CHECK_EQ(world_write("+memory", "%s/cgroup.subtree_control", outer), 0);
	CHECK_EQ(mkdir(inner, 0755), 0);
	CHECK_EQ(world_write(limit, "%s/%s", outer, file), 0);
	CHECK_EQ(world_write(self, "%s/cgroup.procs", inner), 0);
}

static void leave(void)
{
	char self[16];

	snprintf(self, sizeof(self), "%d", getpid());
	CHECK_EQ(world_write(self, CGROUPS "/cgroup.procs"), 0);
	CHECK_EQ(rmdir(inner), 0);
	CHECK_EQ(rmdir(outer), 0);
}

static void the_limit_above_holds(void)
{
	struct kn_cgroup c;
	uint64_t used, more;
	char *p;

	enter("memory.max", "96M");
	CHECK_EQ(kn_cgroup_read(&c), 0);
	CHECK_EQ(c.memory.version, 2);
	CHECK_EQ(kn_cgroup_limit(&c), LIMIT);
	CHECK(!strcmp(c.limited, outer));
	CHECK(kn_cgroup_used(&c, &used));
	p = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, 32 * MIB);
	CHECK(kn_cgroup_used(&c, &more));
	CHECK(more >= used + 31 * MIB && more <= used + 40 * MIB);
	munmap(p, 32 * MIB);
	leave();
}

/*
 * Near the limit until the background thread has given areas back: that it does
 * is asked for here, not how soon.  The alarm ends a wait in vain.
 */
static void await_purge(const struct kn_cgroup *c)
{
	uint64_t used;

	while (!stat_of("vmalloc_purged")) {
		CHECK(kn_cgroup_used(c, &used));
		if (used < LIMIT / 16 * 15)
			return;
		usleep(1000);
	}
}

/*
 * 80 MiB of 96 are freed areas, kept for reuse.  A program that then writes 60
 * MiB of its own would be killed if they stayed.
 */
static void cached_areas_go_before_the_program_does(void)
{
	struct kn_cgroup c;
	void *area[AREAS];
	char *own;

	enter("memory.max", "96M");
	CHECK_EQ(kn_cgroup_read(&c), 0);
	conf("trim_delay_ms", "50ms");
	conf("vmalloc_delay_ms", "10000s");
	conf("vmalloc_cache", "1G");
	conf("background", "yes");
	for (int i = 0; i < AREAS; i++) {
		area[i] = vmalloc(20 * MIB);
		CHECK(area[i]);
		memset(area[i], 1, 20 * MIB);
	}
	for (int i = 0; i < AREAS; i++)
		vfree(area[i]);
	CHECK(stat_of("vmalloc_cached_bytes") >= 80 * MIB);
	own = mmap(NULL, 60 * MIB, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t at = 0; at < 60 * MIB; at += MIB / 4) {
		memset(own + at, 1, MIB / 4);
		await_purge(&c);
	}
	CHECK(stat_of("pressure_events") >= 1);
	CHECK(stat_of("pressure_purge") >= 1);
	CHECK(stat_of("vmalloc_purged") >= 1);
	CHECK_EQ(stat_of("memory_limit_bytes"), LIMIT);
	munmap(own, 60 * MIB);
	heap_verify();
	leave();
}

/*
 * memory.high throttles who is above it, and that is a stall: the trigger of the
 * cgroup fires.
 */
static void the_trigger_fires(void)
{
	const struct kn_watch none = {.fd = -1};
	struct kn_watch w = none;
	int fired = 0, err;
	char path[128];
	pid_t hog;

	enter("memory.high", "24M");
	snprintf(path, sizeof(path), "%s/memory.pressure", inner);
	err = kn_machine.watch(path, "some 150000 2000000", &w);
	if (err == -ENOENT || err == -EOPNOTSUPP)
		skip_child("this kernel has no PSI");
	CHECK_EQ(err, 0);
	CHECK(w.fd >= 200);
	CHECK_EQ(kn_machine.wait(&w, 10), 0);
	hog = fork();
	if (!hog) {
		char *p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t at = 0;; at = (at + 4096) % (64 * MIB))
			p[at] = 1;
	}
	while (!fired)
		fired = kn_machine.wait(&w, 1000);
	CHECK_EQ(fired, 1);
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	/* Its number is another file's: left alone. */
	CHECK_EQ(dup2(STDOUT_FILENO, w.fd), w.fd);
	err = w.fd;
	kn_machine.unwatch(&w);
	CHECK_EQ(w.fd, -1);
	CHECK(fcntl(err, F_GETFD) >= 0);
	close(err);
	leave();
}

static void what_is_no_trigger_is_refused(void)
{
	struct kn_watch w;

	CHECK_EQ(kn_machine.watch("/no/such/file", "some 1 2", &w), -ENOENT);
	CHECK_EQ(w.fd, -1);
	CHECK_EQ(kn_machine.wait(&w, 1), 0);
	w.fd = 999;
	CHECK_EQ(kn_machine.wait(&w, 1), -EBADF);
	CHECK_EQ(kn_machine.wait(NULL, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(the_limit_above_holds),
		child_test(cached_areas_go_before_the_program_does),
		child_test(the_trigger_fires),
		child_test(what_is_no_trigger_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
