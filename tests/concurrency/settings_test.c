/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A setting that is changed while the heap starts: either that is refused, or the
 * heap is made with it.  Built with KN_SEAL_LATE, settings can be
 * changed until the start has ended, and this test then passes only if it
 * notices.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/tunables.h>

#include "alloc/base/start.h"
#include "alloc/config/tunables.h"
#include "numa/span.h"
#include "tests/concurrency/stress.h"

/* The least that can be set, and far less than is reserved by default. */
#define SPAN ((size_t)1 << 30)

enum {
	REFUSED,
	DONE,
	MIXED,
	KINDS
};

static uint64_t seen[KINDS];
static int set_err, starts;

/* The change comes a moment before the start, or somewhere in it. */
static void set_or_start(struct stress_thread *t)
{
	if (t->index) {
		__atomic_store_n(&starts, 1, __ATOMIC_RELEASE);
		kfree(kmalloc(100, GFP_KERNEL));
		return;
	}
	while (!__atomic_load_n(&starts, __ATOMIC_ACQUIRE))
		stress_sleep_ms(0);
	for (unsigned n = stress_below(t, 1 << stress_below(t, 20)); n; n--)
		__asm__ __volatile__("" ::: "memory");
	set_err = knuma_conf_set("span", "1G");
}

/* What the heap was made with, when @err is what the change returned. */
static int outcome(int err)
{
	char text[16];

	if ((err && err != -EBUSY) || !kn_load_acquire(&kn_started) ||
	    knuma_conf_get("span", text, sizeof(text)))
		return MIXED;
	if (!err != !strcmp(text, "1G") || !err != (kn_span.size <= SPAN))
		return MIXED;
	return err ? REFUSED : DONE;
}

/* In a child: a process starts once. */
static int start_once(void)
{
	struct stress_thread t[2];
	const pid_t pid = fork();
	int status;

	if (!pid) {
		stress_watchdog(100);
		stress_start(t, 2, set_or_start, NULL);
		stress_join(t, 2);
		_exit(outcome(set_err));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_in_range(WEXITSTATUS(status), 0, KINDS - 1);
	return WEXITSTATUS(status);
}

static void start_until(uint64_t ms, bool and_mixed)
{
	const uint64_t until = stress_now_ms() + ms;

	do {
		/* The random numbers of each start. */
		stress_seed++;
		seen[start_once()]++;
	} while (stress_now_ms() < until && !(and_mixed && seen[MIXED]));
	print_message("%llu changes refused, %llu done, %llu mixed\n",
		      (unsigned long long)seen[REFUSED],
		      (unsigned long long)seen[DONE],
		      (unsigned long long)seen[MIXED]);
}

#ifndef KN_SEAL_LATE

static void a_change_is_whole_or_refused(void **state)
{
	(void)state;
	start_until(stress_ms, false);
	assert_int_equal(seen[MIXED], 0);
}

/* A reload beside threads that ask for what it changes. */

#define ASKERS 3

static char conf_path[64];
static const char *const reloaded[] = {"trim_delay_ms", "vma_budget"};
static int reloads, older;

static unsigned long ask(const char *name)
{
	char text[32];

	if (knuma_conf_get(name, text, sizeof(text)))
		return 0;
	/* The times are written in seconds. */
	return strtoul(text, NULL, 10);
}

static void write_values(unsigned n)
{
	char next[80];
	FILE *f;

	snprintf(next, sizeof(next), "%s.next", conf_path);
	f = fopen(next, "w");
	if (!f ||
	    fprintf(f, "%s = %us\n%s = %u\n", reloaded[0], n, reloaded[1], n) <
		    0 ||
	    fclose(f) || rename(next, conf_path))
		_exit(MIXED);
}

static void reload_or_ask(struct stress_thread *t)
{
	const unsigned which = t->index % 2;
	unsigned long first, second;

	if (!t->index) {
		for (unsigned n = 2; n < 400; n++) {
			write_values(n);
			if (!knuma_conf_reload())
				reloads++;
		}
		__atomic_store_n(&starts, 2, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&starts, __ATOMIC_ACQUIRE) < 2) {
		first = ask(reloaded[which]);
		second = ask(reloaded[!which]);
		if (second < first)
			__atomic_store_n(&older, 1, __ATOMIC_RELAXED);
	}
}

/* C4, in a child: the files of a process are looked for once. */
static void who_has_seen_a_reload_sees_nothing_older(void **state)
{
	struct stress_thread t[1 + ASKERS];
	pid_t pid;
	int status;

	(void)state;
	strcpy(conf_path, "/tmp/knuma-settings-XXXXXX");
	assert_int_equal(close(mkstemp(conf_path)), 0);
	write_values(1);
	pid = fork();
	if (!pid) {
		stress_watchdog(100);
		setenv("KNUMA_CONF_FILE", conf_path, 1);
		kfree(kmalloc(100, GFP_KERNEL));
		stress_start(t, 1 + ASKERS, reload_or_ask, NULL);
		stress_join(t, 1 + ASKERS);
		_exit(older || reloads != 398 || ask(reloaded[0]) != 399);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(conf_path);
	assert_true(WIFEXITED(status));
	/* checks knuma_conf_reload: "reads no older one afterwards" */
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* As a start that failed leaves it. */
static void what_was_refused_is_possible_after_a_start_that_failed(void **state)
{
	(void)state;
	assert_true(kn_conf_freeze());
	assert_int_equal(knuma_conf_set("span", "1G"), -EBUSY);
	assert_int_equal(knuma_conf_set("trim_delay_ms", "1s"), 0);
	kn_conf_thaw();
	assert_int_equal(knuma_conf_set("span", "1G"), 0);
}

/* A handler that allocates while its thread changes a setting. */

static pid_t changer;
static int refused;

static void allocate(int sig)
{
	(void)sig;
	errno = 0;
	__atomic_store_n(&refused,
			 kmalloc(16, GFP_ATOMIC) || errno != ENOMEM ? -1 : 1,
			 __ATOMIC_RELEASE);
}

static void *change(void *arg)
{
	__atomic_store_n(&changer, (pid_t)syscall(SYS_gettid),
			 __ATOMIC_RELEASE);
	set_err = knuma_conf_set("span", "1G");
	return arg;
}

/* Until the thread sleeps for the lock: the only futex that it comes to. */
static void await_sleep(pid_t tid)
{
	char path[64], text[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	while (atoi(text) != SYS_futex) {
		stress_sleep_ms(1);
		f = fopen(path, "r");
		if (!f || !fgets(text, sizeof(text), f))
			_exit(MIXED);
		fclose(f);
	}
}

static void interrupt_a_change(void)
{
	pthread_t thread;
	pid_t tid;

	signal(SIGUSR1, allocate);
	/* Loads the settings, so that the change comes to its lock at once. */
	if (knuma_conf_set("trim_delay_ms", "1s"))
		_exit(MIXED);
	kn_conf_lock();
	if (pthread_create(&thread, NULL, change, NULL))
		_exit(MIXED);
	while (!(tid = __atomic_load_n(&changer, __ATOMIC_ACQUIRE)))
		stress_sleep_ms(1);
	await_sleep(tid);
	pthread_kill(thread, SIGUSR1);
	while (!__atomic_load_n(&refused, __ATOMIC_ACQUIRE))
		stress_sleep_ms(1);
	kn_conf_unlock();
	pthread_join(thread, NULL);
	kfree(kmalloc(16, GFP_KERNEL));
	_exit(refused == 1 ? outcome(set_err) : MIXED);
}

static void
nothing_starts_inside_a_change_that_a_signal_interrupted(void **state)
{
	const pid_t pid = fork();
	int status;

	(void)state;
	if (!pid) {
		stress_watchdog(100);
		interrupt_a_change();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), DONE);
}

#else

/* Longer than it ever took; the test ends with the first find. */
#define SEARCH_MS 40000

static void a_late_seal_is_noticed(void **state)
{
	(void)state;
	start_until(SEARCH_MS, true);
	assert_int_not_equal(seen[MIXED], 0);
}

#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_SEAL_LATE
		cmocka_unit_test(a_change_is_whole_or_refused),
		cmocka_unit_test(who_has_seen_a_reload_sees_nothing_older),
		cmocka_unit_test(
			what_was_refused_is_possible_after_a_start_that_failed),
		cmocka_unit_test(
			nothing_starts_inside_a_change_that_a_signal_interrupted),
#else
		cmocka_unit_test(a_late_seal_is_noticed),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
