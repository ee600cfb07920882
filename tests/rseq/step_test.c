/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread is stopped at every instruction of every restartable section.  While
 * it stands there, another thread empties its magazine and takes what was in it,
 * and the thread is moved to another CPU.  It must then go on where sections are
 * aborted, and no object may be lost or have two owners.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <knuma/stats.h>

#include "alloc/base/start.h"
#include "alloc/magazine/magazine.h"
#include "tests/concurrency/stress.h"
#include "tests/rseq/entries.h"
#include "tests/rseq/sections.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

/*
 * Processes that share the instructions among them.  A child is little work and
 * many switches between threads: on a busy machine it waits most of the time.
 */
#define WORKERS	      8

/* Objects that a pair takes at once, and that the other thread takes. */
#define TAKEN	      12

/* A child in which the kernel aborts the section somewhere else may miss one. */
#define TRIES	      50

/* Without news from the other thread, before a line says where that was. */
#define QUIET_SECONDS 10

/* Between tracer, tracee and the tracee's other thread; one of each worker. */
static struct {
	sem_t go, done;
	int ready; /* the other thread waits */
	int met;   /* the thread was stopped where it should be */
	int stop;
} * shared;

/* Objects in use.  The two threads of the child take turns. */
static void *owned[8192];

/* Of an object, what is written and looked at: as much of both its ends. */
#define EDGE 256

static void own(void *obj, size_t size, unsigned tag)
{
	size_t i = ((uintptr_t)obj >> 4) % 8192;

	CHECK(obj);
	for (; owned[i]; i = (i + 1) % 8192)
		CHECK(owned[i] != obj);
	owned[i] = obj;
	memset(obj, (int)tag, KN_MIN(size, EDGE));
	memset((char *)obj + size - KN_MIN(size, EDGE), (int)tag,
	       KN_MIN(size, EDGE));
}

static void disown(void *obj, size_t size, unsigned tag)
{
	size_t i = ((uintptr_t)obj >> 4) % 8192;

	CHECK(all_bytes(obj, KN_MIN(size, EDGE), (unsigned char)tag));
	CHECK(all_bytes((char *)obj + size - KN_MIN(size, EDGE),
			KN_MIN(size, EDGE), (unsigned char)tag));
	while (owned[i] != obj)
		i = (i + 1) % 8192;
	/* Others of its chain are found behind it. */
	owned[i] = &owned;
}

static void take(const struct entry *e, void **obj, size_t n, unsigned tag)
{
	e->alloc(e->size, obj, n);
	for (size_t i = 0; i < n; i++)
		own(obj[i], e->size, tag);
}

static void give(const struct entry *e, void **obj, size_t n, unsigned tag)
{
	for (size_t i = 0; i < n; i++)
		disown(obj[i], e->size, tag);
	e->free(obj, n);
}

/*
 * On the same CPU, so perhaps out of the same magazine; then that is empty, and
 * what was in it is in use again.
 */
static void disturb(void *obj[NR_ENTRIES][2 * TAKEN])
{
	for (int i = 0; i < NR_ENTRIES; i++)
		take(&entries[i], obj[i], TAKEN, 0xd0);
	entries_drain();
	for (int i = 0; i < NR_ENTRIES; i++)
		take(&entries[i], obj[i] + TAKEN, TAKEN, 0xd1);
}

static void *other_thread(void *arg)
{
	static void *obj[NR_ENTRIES][2 * TAKEN];

	(void)arg;
	__atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
	while (sem_wait(&shared->go))
		;
	if (__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE))
		return NULL;
	disturb(obj);
	sem_post(&shared->done);
	while (sem_wait(&shared->go))
		;
	for (int i = 0; i < NR_ENTRIES; i++) {
		give(&entries[i], obj[i], TAKEN, 0xd0);
		give(&entries[i], obj[i] + TAKEN, TAKEN, 0xd1);
	}
	return NULL;
}

static void use(const struct entry *e)
{
	void *obj[ENTRY_MOST];

	take(e, obj, ENTRY_MOST, 1);
	give(e, obj, ENTRY_MOST, 1);
	for (int i = 0; i < 3; i++) {
		take(e, obj, TAKEN, 2);
		give(e, obj, TAKEN, 2);
	}
}

/* Settings with which sections run that others never meet. */
static const struct {
	const char *name, *value;
} settings[][3] = {
	{{"background", "no"}},
	{{"init_on_free", "yes"},
	 {"check_on_reuse", "yes"},
	 {"quarantine", "8"}},
	{{"guard_sample", "1000000"}},
};
enum {
	NR_SETTINGS = 3
};
static int setting;

/* What a child does: through every section, and all is back at the end. */
static void everything(void)
{
	pthread_t other;

	for (int i = 0; i < 3 && settings[setting][i].name; i++)
		conf(settings[setting][i].name, settings[setting][i].value);
	entries_start();
	if (kn_mag_mode != KN_MAG_RSEQ)
		_exit(0);
	CHECK_EQ(pthread_create(&other, NULL, other_thread, NULL), 0);
	for (int i = 0; i < NR_ENTRIES; i++)
		use(&entries[i]);
	/* Grace periods take long: only where the stop is still to come. */
	if (!__atomic_load_n(&shared->met, __ATOMIC_ACQUIRE)) {
		entries_count();
		entries_defer_alone(ENTRY_MOST);
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	sem_post(&shared->go);
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(entries_lost(), 0);
	heap_verify();
}

/* CPUs that this process may use: two, or one twice. */
static int cpu[2];

static void find_cpus(void)
{
	cpu_set_t may;
	int n = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(may), &may), 0);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &may))
			cpu[n++] = i;
	if (n < 2) {
		print_message("one CPU: the thread is stopped, not moved\n");
		cpu[1] = cpu[0];
	}
}

static void pin(pid_t pid, int to)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(to, &one);
	assert_int_equal(sched_setaffinity(pid, sizeof(one), &one), 0);
}

static void reset(void)
{
	memset(shared, 0, sizeof(*shared));
	assert_int_equal(sem_init(&shared->go, 1, 0), 0);
	assert_int_equal(sem_init(&shared->done, 1, 0), 0);
}

/* The other thread has its turn, if it is there: not yet while the heap starts. */
static void have_it_disturbed(struct tracee *t, const struct point *p)
{
	int seconds = 0;

	if (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
		return;
	sem_post(&shared->go);
	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		if (!sem_timedwait(&shared->done, &until))
			return;
		/* A stopped thread has no news: the process has died. */
		if (waitpid(t->pid, &t->status, WNOHANG) == t->pid)
			fail_msg("the child died, status %#x", t->status);
		/* The watchdog ends it, and knows no section. */
		if (++seconds == QUIET_SECONDS)
			print_message("section %#lx +%#lx: the other thread "
				      "waits for the one that stands there\n",
				      p->section->start,
				      p->ip - p->section->start);
	}
}

/* From a stop at @p: the next that it does is to abort. */
static void aborts(struct tracee *t, const struct point *p)
{
	__atomic_store_n(&shared->met, 1, __ATOMIC_RELEASE);
	tracee_unbreak(t, p->ip);
	tracee_set_ip(t, p->ip);
	have_it_disturbed(t, p);
	pin(t->pid, cpu[1]);
	tracee_break(t, p->section->abort);
	if (!tracee_go_on(t))
		fail_msg("section %#lx went on at +%#lx", p->section->start,
			 p->ip - p->section->start);
	assert_int_equal(tracee_ip(t), p->section->abort + 1);
	tracee_unbreak(t, p->section->abort);
	tracee_set_ip(t, p->section->abort);
}

/* A thread that nobody traces has come by first. */
static bool ended_by_trap(const struct tracee *t)
{
	return WIFSIGNALED(t->status) && WTERMSIG(t->status) == SIGTRAP;
}

/* False: this child did not come by. */
static bool stop_at(const struct point *p)
{
	struct tracee t;
	bool met;

	reset();
	assert_true(tracee_start(&t, everything));
	pin(t.pid, cpu[0]);
	tracee_break(&t, p->ip);
	met = tracee_go_on(&t);
	if (met) {
		assert_int_equal(tracee_ip(&t), p->ip + 1);
		aborts(&t, p);
		assert_false(tracee_go_on(&t));
	} else if (WIFSTOPPED(t.status)) {
		tracee_unbreak(&t, p->ip);
	}
	tracee_end(&t);
	if (!met && ended_by_trap(&t))
		return false;
	if (!WIFEXITED(t.status) || WEXITSTATUS(t.status))
		fail_msg("section %#lx +%#lx: the child ended with status %#x",
			 p->section->start, p->ip - p->section->start,
			 t.status);
	return met;
}

static int nr_points;
static struct point points[MAX_POINTS];
static int setting_of[MAX_POINTS];

/* Adds what this setting meets and no other did.  False: ptrace is refused. */
static bool add_points(void)
{
	static struct point met[MAX_POINTS];
	int n, known = nr_points;

	reset();
	n = points_of(everything, met);
	for (int i = 0; i < n; i++) {
		int k = 0;

		while (k < known && points[k].ip != met[i].ip)
			k++;
		if (k < known)
			continue;
		assert_true(nr_points < MAX_POINTS);
		setting_of[nr_points] = setting;
		points[nr_points++] = met[i];
	}
	return n >= 0;
}

static void all_sections_are_met(void **state)
{
	(void)state;
	/* Sections begin all the same, and decline. */
	if (!__rseq_size) {
		print_message("no rseq here\n");
		skip();
	}
	for (setting = 0; setting < NR_SETTINGS; setting++)
		if (!add_points()) {
			print_message("ptrace(2) is refused here\n");
			skip();
		}
	print_message("%zu sections, %d instructions\n", sections_nr(),
		      nr_points);
	for (size_t i = 0; i < sections_nr(); i++) {
		int n = 0;

		for (int k = 0; k < nr_points; k++)
			n += points[k].section == section_at(i);
		if (n < 5)
			fail_msg("section %#lx: %d instructions were met",
				 section_at(i)->start, n);
	}
}

static void have_aborted(int i)
{
	const struct point *p = &points[i];
	int tries = 0;

	setting = setting_of[i];
	while (!stop_at(p))
		if (++tries == TRIES)
			fail_msg("section %#lx +%#lx is not met",
				 p->section->start, p->ip - p->section->start);
}

/* What fails ends its cmocka, with a status; the children go with it. */
static void work(int worker)
{
	const int first = worker % 2, from = cpu[first], to = cpu[!first];

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		fail_msg("prctl(2) is refused");
	shared += worker;
	cpu[0] = from;
	cpu[1] = to;
	for (int i = worker; i < nr_points; i += WORKERS)
		have_aborted(i);
	fflush(stdout);
	_exit(0);
}

static void each_instruction_aborts(void **state)
{
	pid_t pid[WORKERS];
	int status;

	(void)state;
	if (nr_points <= 0)
		skip();
	find_cpus();
	fflush(stdout);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		assert_int_not_equal(pid[i], -1);
		if (!pid[i])
			work(i);
	}
	for (int i = 0; i < WORKERS; i++) {
		while (waitpid(pid[i], &status, 0) < 0)
			assert_int_equal(errno, EINTR);
		if (status)
			fail_msg("worker %d ended with status %#x", i, status);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_sections_are_met),
		cmocka_unit_test(each_instruction_aborts),
	};

	stress_init(argc, argv);
	shared = mmap(NULL, WORKERS * sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
