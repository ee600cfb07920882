/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A million sections are aborted while threads allocate and free and others
 * drain their magazines.  The aborts come from a breakpoint that wanders through
 * all instructions of all sections: its signal ends the section it meets.  No
 * object is lost, none has two owners.  Half of them where each free passes
 * through the quarantine, and what is allocated was looked at.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <knuma/stats.h>

#include "alloc/magazine/magazine.h"
#include "tests/concurrency/stress.h"
#include "tests/rseq/entries.h"
#include "tests/rseq/sections.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"

#define INT3 0xcc

enum {
	WORKERS = 3,
	HELD = 60,
	/* At one instruction, before the breakpoint goes on to the next. */
	ABORTS_EACH = 500,
	/* Or, where nobody comes by. */
	WAIT_MS = 5,
};

static uint64_t wanted = 500000; /* by each of two processes */
static uint64_t aborted, doubled, calls;

/* The library's own threads run through sections, too: no trap is blocked. */
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t but_trap;

	if (!set)
		return __real_pthread_sigmask(how, set, old);
	but_trap = *set;
	sigdelset(&but_trap, SIGTRAP);
	return __real_pthread_sigmask(how, &but_trap, old);
}

/* The kernel has moved the thread to where the section is aborted, or not. */
static void trapped(int sig, siginfo_t *info, void *context)
{
	static const char message[] = "a section went on after a signal\n";
	const ucontext_t *u = context;
	const uint64_t ip = (uint64_t)u->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)info;
	for (size_t i = 0; i < sections_nr(); i++)
		if (section_at(i)->abort == ip) {
			__atomic_add_fetch(&aborted, 1, __ATOMIC_RELAXED);
			return;
		}
	/* Behind the int3, in the middle of an instruction. */
	if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
		_exit(2);
	_exit(1);
}

static void work(struct stress_thread *t)
{
	void *held[HELD];
	uint64_t did = 0;

	while (!stress_stopped()) {
		const struct entry *e = &entries[stress_below(t, NR_ENTRIES)];
		const unsigned n = 1 + stress_below(t, HELD);
		const uint64_t tag = stress_random(t);

		e->alloc(e->size, held, n);
		for (unsigned i = 0; i < n; i++)
			stress_fill(held[i], e->size, tag + i);
		for (unsigned i = 0; i < n; i++)
			if (!stress_check(held[i], e->size, tag + i))
				__atomic_add_fetch(&doubled, 1,
						   __ATOMIC_RELAXED);
		e->free(held, n);
		if (did % 64 == 0)
			entries_defer(4);
		did++;
	}
	__atomic_add_fetch(&calls, did, __ATOMIC_RELAXED);
}

static void drain(struct stress_thread *t)
{
	(void)t;
	while (!stress_stopped()) {
		entries_drain();
		stress_sleep_ms(1);
	}
}

/* Once through all that the threads do. */
static void each_entry(void)
{
	for (int i = 0; i < NR_ENTRIES; i++) {
		void *obj[ENTRY_MOST];

		entries[i].alloc(entries[i].size, obj, ENTRY_MOST);
		entries[i].free(obj, ENTRY_MOST);
		entries[i].alloc(entries[i].size, obj, 5);
		entries[i].free(obj, 5);
	}
	entries_defer_alone(ENTRY_MOST);
}

/* Each section's page, to be written. */
static bool open_text(const struct point *p)
{
	const uintptr_t page = p->ip & ~(uintptr_t)4095;

	return !mprotect((void *)page, 4096,
			 PROT_READ | PROT_WRITE | PROT_EXEC);
}

static uint64_t nr_aborted(void)
{
	return __atomic_load_n(&aborted, __ATOMIC_RELAXED);
}

static void wander(const struct point *p, int n)
{
	for (int i = 0; nr_aborted() < wanted; i = (i + 1) % n) {
		uint8_t *const at = (uint8_t *)(uintptr_t)p[i].ip;
		const uint8_t byte = *at;
		const uint64_t enough = nr_aborted() + ABORTS_EACH;
		const uint64_t until = stress_now_ms() + WAIT_MS;

		__atomic_store_n(at, INT3, __ATOMIC_SEQ_CST);
		while (nr_aborted() < enough && stress_now_ms() < until)
			usleep(100);
		__atomic_store_n(at, byte, __ATOMIC_SEQ_CST);
	}
}

static void start(struct stress_thread *t, int n,
		  void (*fn)(struct stress_thread *t))
{
	stress_start(t, n, fn, NULL);
}

static void no_object_is_lost(void **state)
{
	static struct point points[MAX_POINTS];
	struct stress_thread workers[WORKERS], drainer[1];
	struct sigaction sa = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
	int n;

	(void)state;
	entries_start();
	if (kn_mag_mode != KN_MAG_RSEQ) {
		print_message("no rseq here\n");
		skip();
	}
	n = points_of(each_entry, points);
	if (n < 0) {
		print_message("ptrace(2) is refused here\n");
		skip();
	}
	assert_true(n > 100);
	for (int i = 0; i < n; i++)
		if (!open_text(&points[i])) {
			print_message("text cannot be written here\n");
			skip();
		}
	assert_int_equal(sigaction(SIGTRAP, &sa, NULL), 0);
	stress_go_on();
	start(workers, WORKERS, work);
	start(drainer, 1, drain);
	wander(points, n);
	stress_stop();
	stress_join(workers, WORKERS);
	stress_join(drainer, 1);
	print_message(
		"%llu sections aborted at %d instructions, %llu batches\n",
		(unsigned long long)aborted, n, (unsigned long long)calls);
	assert_int_equal(doubled, 0);
	assert_true(aborted >= wanted);
	assert_int_equal(entries_lost(), 0);
	assert_true(heap_is_sound());
}

/* Its settings are of a process: the other one is a child, and is over first. */
static int in_both(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_object_is_lost),
	};
	const pid_t pid = fork();
	int status = 0;

	if (!pid) {
		conf("init_on_free", "yes");
		conf("check_on_reuse", "yes");
		conf("quarantine", "8");
	} else if (waitpid(pid, &status, 0) != pid) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL) || status;
}

int main(int argc, char **argv)
{
	stress_init(argc, argv);
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], "--aborts=", 9))
			wanted = strtoull(argv[i] + 9, NULL, 0);
	return in_both();
}
