/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/concurrency/stress.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <knuma/slab.h>
#include <knuma/stats.h>

#include "alloc/magazine/drain.h"
#include "alloc/page/zone.h"
#include "alloc/slab/slab.h"
#include "alloc/vmalloc/vmap.h"

/* Beyond any test's time on a loaded machine, below Bazel's limit. */
#define WATCHDOG_SECONDS 240

uint64_t stress_seed;
unsigned stress_ms = 700;

static bool stopped;

static void barked(int sig)
{
	static const char message[] = "watchdog: the test hangs\n";

	(void)sig;
	if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
		_exit(125);
	_exit(124);
}

void stress_watchdog(unsigned seconds)
{
	signal(SIGALRM, barked);
	alarm(seconds);
}

static uint64_t number(const char *arg, const char *name)
{
	const size_t len = strlen(name);

	return strncmp(arg, name, len) ? 0 : strtoull(arg + len, NULL, 0);
}

void stress_init(int argc, char **argv)
{
	const char *ms = getenv("KNUMA_TEST_MS");
	const char *seconds = getenv("KNUMA_TEST_SECONDS");
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ms && strtoul(ms, NULL, 0))
		stress_ms = (unsigned)strtoul(ms, NULL, 0);
	stress_seed = (uint64_t)t.tv_nsec ^ (uint64_t)t.tv_sec << 20 ^
		      (uint64_t)getpid() << 40;
	for (int i = 1; i < argc; i++) {
		if (number(argv[i], "--seed="))
			stress_seed = number(argv[i], "--seed=");
		if (number(argv[i], "--ms="))
			stress_ms = (unsigned)number(argv[i], "--ms=");
	}
	fprintf(stderr, "%s --seed=%llu --ms=%u\n", argv[0],
		(unsigned long long)stress_seed, stress_ms);
	stress_watchdog(seconds && atoi(seconds) > 0 ?
				(unsigned)atoi(seconds) :
				WATCHDOG_SECONDS + 2 * stress_ms / 1000);
}

/* xorshift64*, by Marsaglia and Vigna. */
uint64_t stress_random(struct stress_thread *t)
{
	t->random ^= t->random >> 12;
	t->random ^= t->random << 25;
	t->random ^= t->random >> 27;
	return t->random * 0x2545f4914f6cdd1dull;
}

unsigned stress_below(struct stress_thread *t, unsigned n)
{
	return (unsigned)((stress_random(t) >> 32) * n >> 32);
}

static void *run(void *arg)
{
	struct stress_thread *t = arg;

	pthread_barrier_wait(t->start);
	t->fn(t);
	return NULL;
}

void stress_start(struct stress_thread *t, int n,
		  void (*fn)(struct stress_thread *t), void *arg)
{
	assert_int_equal(pthread_barrier_init(&t->together, NULL, (unsigned)n),
			 0);
	for (int i = 0; i < n; i++) {
		t[i].index = i;
		t[i].random =
			(stress_seed + (uint64_t)i + 1) * 0x9e3779b97f4a7c15ull;
		t[i].fn = fn;
		t[i].arg = arg;
		t[i].start = &t->together;
	}
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&t[i].thread, NULL, run, &t[i]),
				 0);
}

void stress_join(struct stress_thread *t, int n)
{
	for (int i = 0; i < n; i++)
		pthread_join(t[i].thread, NULL);
	pthread_barrier_destroy(&t->together);
}

bool stress_stopped(void)
{
	return __atomic_load_n(&stopped, __ATOMIC_RELAXED);
}

void stress_go_on(void)
{
	__atomic_store_n(&stopped, false, __ATOMIC_RELAXED);
}

void stress_stop(void)
{
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
}

static bool at_once(void)
{
	return true;
}

void stress_run(int n, void (*fn)(struct stress_thread *t), void *arg)
{
	stress_run_until(n, fn, arg, at_once);
}

bool stress_never(void)
{
	return false;
}

void stress_run_until(int n, void (*fn)(struct stress_thread *t), void *arg,
		      bool (*enough)(void))
{
	stress_search(n, fn, arg, stress_ms, enough, stress_never);
}

void stress_search(int n, void (*fn)(struct stress_thread *t), void *arg,
		   unsigned ms, bool (*enough)(void), bool (*found)(void))
{
	struct stress_thread *t = calloc((size_t)n, sizeof(*t));
	const uint64_t until = stress_now_ms() + ms;

	assert_non_null(t);
	stress_go_on();
	stress_start(t, n, fn, arg);
	while (!found() && (stress_now_ms() < until || !enough()))
		stress_sleep_ms(1);
	stress_stop();
	stress_join(t, n);
	free(t);
}

/* Until a point in time: signals at a high rate stretch a relative sleep. */
void stress_sleep_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

uint64_t stress_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void unowned(void *obj)
{
	*(uint32_t *)obj = 0;
}

struct kmem_cache *stress_cache(const char *name, unsigned size)
{
	struct kmem_cache_args args = {.ctor = unowned};
	struct kmem_cache *s = kmem_cache_create(name, size, &args, 0);

	assert_non_null(s);
	return s;
}

uint64_t stress_missing(struct kmem_cache *s)
{
	uint64_t missing = 0;

	kmem_cache_shrink(s);
	assert_true(kn_slab_verify(s));
	for (int node = 0; node < kn_topo.nr_nodes; node++)
		missing += kn_slab_in_use(s, node);
	return missing;
}

unsigned stress_taken_ids(void)
{
	unsigned n = 0;

	for (uint32_t id = KN_ID_FIRST_CACHE; id < KN_NR_IDS; id++)
		n += kn_magcaches[id] != NULL;
	return n;
}

void stress_cache_end(struct kmem_cache *s)
{
	const uint16_t id = s->mag.id;

	assert_int_equal(stress_missing(s), 0);
	kmem_cache_destroy(s);
	/* Its id is free again: it had no object in use, and no slab. */
	assert_int_equal(s->mag.id, 0);
	assert_null(kn_magcaches[id]);
}

void stress_verify_pages(void)
{
	for (int node = 0; node < kn_topo.nr_nodes; node++) {
		assert_true(kn_zone_verify(node));
		assert_true(kn_vmap_verify(node));
	}
}

/* One word of what an object holds. */
static uint64_t content(uint64_t tag, size_t i)
{
	return (tag + i) * 0x9e3779b97f4a7c15ull | 1;
}

void stress_fill(void *obj, size_t size, uint64_t tag)
{
	uint64_t *word = obj;

	for (size_t i = 0; i < size / 8; i++)
		word[i] = content(tag, i);
}

bool stress_check(const void *obj, size_t size, uint64_t tag)
{
	const uint64_t *word = obj;

	for (size_t i = 0; i < size / 8; i++)
		if (word[i] != content(tag, i))
			return false;
	return true;
}

uint64_t stress_stat(const char *name)
{
	uint64_t value = 0;

	assert_int_equal(knuma_stats_read(name, &value), 0);
	return value;
}
