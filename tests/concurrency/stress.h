/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/concurrency/stress.h - what the stress tests share
 *
 * A stress test lets threads work for a while and then counts: every object
 * must have had one owner at a time and must be accounted for at the end.  How
 * long it ran, or how much it did, never decides.
 *
 * Options of every test program: --seed=N repeats the choices of a run, --ms=N,
 * or KNUMA_TEST_MS=N, sets how long each stress lasts.
 */
#ifndef KN_TESTS_CONCURRENCY_STRESS_H
#define KN_TESTS_CONCURRENCY_STRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The sanitizer's own malloc is not made for fork(): in a child its locks may
 * stay taken.
 */
#if defined(__SANITIZE_ADDRESS__)
#define STRESS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRESS_ASAN 1
#endif
#endif
#ifndef STRESS_ASAN
#define STRESS_ASAN 0
#endif

struct kmem_cache;

/* Reads the options, prints the seed, starts the watchdog. */
void stress_init(int argc, char **argv);

extern uint64_t stress_seed;
extern unsigned stress_ms;

/*
 * Ends the process with a message when it is still there in @seconds: a test
 * that hangs must not wait for the test runner.  Starts anew at each call; 0
 * stops it.  Async-signal-safe, for fork children.
 */
void stress_watchdog(unsigned seconds);

struct stress_thread {
	pthread_t thread;
	int index;
	uint64_t random;
	void (*fn)(struct stress_thread *t);
	void *arg;
	pthread_barrier_t together; /* of the first one: for all */
	pthread_barrier_t *start;
};

/* A random number, or one below @n. */
uint64_t stress_random(struct stress_thread *t);
unsigned stress_below(struct stress_thread *t, unsigned n);

/* Starts @n threads of @fn, all released together. */
void stress_start(struct stress_thread *t, int n,
		  void (*fn)(struct stress_thread *t), void *arg);
void stress_join(struct stress_thread *t, int n);

/* What threads of one stress ask for in their loops. */
bool stress_stopped(void);
void stress_go_on(void);
void stress_stop(void);

/* The usual stress: @n threads of @fn for stress_ms milliseconds. */
void stress_run(int n, void (*fn)(struct stress_thread *t), void *arg);

/*
 * And on until @enough, when they have done what the test is about: on a slow
 * machine a thread may not have had its turn by then.
 */
void stress_run_until(int n, void (*fn)(struct stress_thread *t), void *arg,
		      bool (*enough)(void));

/* The same for @ms, but no longer than until @found; stress_never: nothing is. */
void stress_search(int n, void (*fn)(struct stress_thread *t), void *arg,
		   unsigned ms, bool (*enough)(void), bool (*found)(void));
bool stress_never(void);

void stress_sleep_ms(unsigned ms);
uint64_t stress_now_ms(void);

/*
 * Owner marks.  The first word of an object says whether somebody has it; an
 * allocator that hands it out twice meets the mark.  Objects come with the word
 * at zero: their cache has a constructor, and owners leave it so.
 */
static inline bool stress_own(void *obj)
{
	return __atomic_exchange_n((uint32_t *)obj, 1, __ATOMIC_ACQ_REL) == 0;
}

static inline void stress_disown(void *obj)
{
	__atomic_store_n((uint32_t *)obj, 0, __ATOMIC_RELEASE);
}

/* A cache of objects that are born with the owner mark at zero. */
struct kmem_cache *stress_cache(const char *name, unsigned size);

/* Objects of @s that no magazine, depot or slab has; @s is not in use. */
uint64_t stress_missing(struct kmem_cache *s);

/*
 * Cache ids that are not free.  A cache in which kmem_cache_destroy() found an
 * object keeps its id.
 */
unsigned stress_taken_ids(void);

/* Asserts that all objects are back and the slabs sound; destroys @s. */
void stress_cache_end(struct kmem_cache *s);

/* Asserts that the zones and vmalloc areas of all nodes are sound. */
void stress_verify_pages(void);

/*
 * Contents.  stress_fill() makes all of an object depend on @tag and its place;
 * stress_check() is false when anybody else has written to it since.
 */
void stress_fill(void *obj, size_t size, uint64_t tag);
bool stress_check(const void *obj, size_t size, uint64_t tag);

/* A statistic by its public name. */
uint64_t stress_stat(const char *name);

#endif
