/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches come and go in some threads, whose ids and magazines serve the next
 * cache at once, while others use caches that stay, and others read statistics
 * and trim.  Built with KN_ID_EARLY, an id serves the next cache before the last
 * one is drained, and this test then passes only if it notices.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/stats.h>
#include <knuma/tunables.h>

#include "alloc/base/assert.h"
#include "alloc/magazine/drain.h"
#include "tests/concurrency/stress.h"

enum {
	CREATORS = 3,
	USERS = 2,
	READERS = 1,
	STAYING = 4,
	OBJECTS = 400,
};

static struct kmem_cache *staying[STAYING];
static uint64_t spoiled, created, used, texts;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* Objects of @s whose content only this thread knows. */
static unsigned take(struct stress_thread *t, struct kmem_cache *s, void **p,
		     unsigned most)
{
	const unsigned n = stress_below(t, most);

	for (unsigned i = 0; i < n; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (!p[i]) {
			count(&spoiled, 1);
			return i;
		}
		stress_fill(p[i], kmem_cache_size(s), (uintptr_t)p[i]);
	}
	return n;
}

static void give(struct kmem_cache *s, void **p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!stress_check(p[i], kmem_cache_size(s), (uintptr_t)p[i]))
			count(&spoiled, 1);
		kmem_cache_free(s, p[i]);
	}
}

static void one_cache(struct stress_thread *t)
{
	const unsigned size =
		1 + stress_below(t, stress_below(t, 8) ? 600 : 9000);
	struct kmem_cache *s;
	void *p[OBJECTS];
	unsigned n, keep;
	char name[32];

	snprintf(name, sizeof(name), "of thread %d", t->index);
	s = kmem_cache_create(name, size, 0,
			      stress_below(t, 2) ? SLAB_HWCACHE_ALIGN : 0,
			      NULL);
	if (!s) {
		count(&spoiled, 1);
		return;
	}
	n = take(t, s, p, OBJECTS);
	keep = n ? stress_below(t, n) : 0;
	give(s, p + keep, n - keep);
	if (stress_below(t, 2))
		kmem_cache_shrink(s);
	give(s, p, keep);
	n = take(t, s, p, OBJECTS);
	give(s, p, n);
	kmem_cache_destroy(s);
	count(&created, 1);
}

static void use_staying(struct stress_thread *t)
{
	struct kmem_cache *s = staying[stress_below(t, STAYING)];
	void *p[OBJECTS];
	unsigned n = take(t, s, p, OBJECTS);

	give(s, p, n);
	count(&used, n);
	n = 1 + stress_below(t, OBJECTS - 1);
	n = (unsigned)kmem_cache_alloc_bulk(s, GFP_KERNEL, n, p);
	for (unsigned i = 0; i < n; i++)
		stress_fill(p[i], kmem_cache_size(s), (uintptr_t)p[i]);
	for (unsigned i = 0; i < n; i++)
		if (!stress_check(p[i], kmem_cache_size(s), (uintptr_t)p[i]))
			count(&spoiled, 1);
	kmem_cache_free_bulk(s, n, p);
	for (unsigned i = 0; i < 50; i++) {
		p[i] = kmalloc(1 + stress_below(t, 9000), GFP_KERNEL);
		if (p[i])
			*(uint64_t *)p[i] = i;
	}
	kfree_bulk(50, p);
}

static void read_and_trim(struct stress_thread *t)
{
	static char text[32768];

	switch (stress_below(t, 5)) {
	case 0:
		count(&texts, knuma_stats_json(text, sizeof(text)) > 0);
		break;
	case 1:
		(void)stress_stat("slab_bytes");
		(void)stress_stat("magazine_pushes");
		/* Takes every slab lock in turn. */
		for (int i = 0; i < 100; i++)
			(void)stress_stat("allocated_bytes");
		break;
	case 2:
		kn_drain_idle();
		break;
	case 3:
		if (!stress_below(t, 20))
			(void)knuma_trim();
		break;
	default:
		kmem_cache_shrink(staying[stress_below(t, STAYING)]);
		count(&texts, knuma_stats_text(text, sizeof(text)) > 0);
	}
}

static void churn(struct stress_thread *t)
{
	while (!stress_stopped()) {
		if (t->index < CREATORS)
			one_cache(t);
		else if (t->index < CREATORS + USERS)
			use_staying(t);
		else
			read_and_trim(t);
	}
}

static void make_staying(void)
{
	char name[16];

	for (unsigned i = 0; i < STAYING; i++) {
		snprintf(name, sizeof(name), "staying %u", i);
		staying[i] = kmem_cache_create(name, 40u << i, NULL, 0);
		assert_non_null(staying[i]);
	}
}

#ifndef KN_ID_EARLY

static void caches_come_and_go(void **state)
{
	unsigned before;

	(void)state;
	make_staying();
	before = stress_taken_ids();
	for (int i = 0; i < 4; i++)
		stress_run(CREATORS + USERS + READERS, churn, NULL);
	print_message("%llu caches, %llu objects, %llu texts\n",
		      (unsigned long long)created, (unsigned long long)used,
		      (unsigned long long)texts);
	assert_int_equal(spoiled, 0);
	/* Each destroyed cache was found empty, and gave its id back. */
	assert_int_equal(stress_taken_ids(), before);
	for (unsigned i = 0; i < STAYING; i++)
		stress_cache_end(staying[i]);
	stress_verify_pages();
}

#else

/* Longer than it ever took; the child ends with the first find. */
#define SEARCH_SECONDS 60

enum {
	NOTICED = 3
};

/* By the library itself. */
static void seen(const char *report)
{
	print_message("%s\n", report);
	_exit(NOTICED);
}

/* Lists that two caches share may lead anywhere. */
static void crashed(int sig)
{
	static const char message[] = "the library crashed\n";

	(void)sig;
	if (write(STDOUT_FILENO, message, sizeof(message) - 1) >= 0)
		_exit(NOTICED);
}

static void *look(void *arg)
{
	while (!__atomic_load_n(&spoiled, __ATOMIC_RELAXED))
		stress_sleep_ms(1);
	print_message("%llu objects spoiled, after %llu caches\n",
		      (unsigned long long)spoiled, (unsigned long long)created);
	_exit(NOTICED);
	return arg;
}

static void search(void)
{
	pthread_t looking;

	kn_bug_hook = seen;
	signal(SIGSEGV, crashed);
	signal(SIGBUS, crashed);
	signal(SIGABRT, crashed);
	stress_watchdog(SEARCH_SECONDS);
	make_staying();
	if (!pthread_create(&looking, NULL, look, NULL))
		for (;;)
			stress_run(CREATORS + USERS + READERS, churn, NULL);
}

/* In a child, which may be beyond help when it notices. */
static void an_id_given_back_early_is_noticed(void **state)
{
	const pid_t pid = fork();
	int status;

	(void)state;
	if (!pid)
		search();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	print_message("status %#x\n", (unsigned)status);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), NOTICED);
}

#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifndef KN_ID_EARLY
		cmocka_unit_test(caches_come_and_go),
#else
		cmocka_unit_test(an_id_given_back_early_is_noticed),
#endif
	};

	stress_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
