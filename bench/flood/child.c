/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/flood/child.c - producers, readers, and one who looks
 *
 * liburcu and libknuma are opened here, as a program's linker would have done.
 */
#include <dlfcn.h>
#include <knuma/gfp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

#include "bench/flood/flood.h"
#include "bench/peer.h"
#include "bench/sample.h"

#define MIB	   ((uint64_t)1 << 20)

/* Of a magazine of knuma, for what may wait. */
#define BATCH	   62
#define MAGAZINE   126
#define OBJECT_MAX 8192

/* From the size of a cache line to several pages. */
static const size_t sizes[] = {64, 64, 200, 1000, 5000, 20000};
#define LARGEST 20000

struct object {
	uint64_t size;
	struct rcu_head rcu;
};

static struct {
	const struct rcu_flavor_struct *flavor;
	void *(*kmalloc)(size_t size, gfp_t gfp);
	void (*free_rcu)(const struct rcu_flavor_struct *flavor,
			 struct rcu_head *head, void *p);
	int (*stat)(const char *name, uint64_t *value);
	int (*set)(const char *name, const char *value);
} api;

static uint64_t queued, failed, given_bytes, freed_bytes;
static int stopped;

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void add(uint64_t *word, uint64_t n)
{
	__atomic_add_fetch(word, n, __ATOMIC_RELAXED);
}

static bool is_stopped(void)
{
	return __atomic_load_n(&stopped, __ATOMIC_RELAXED);
}

static void sleep_us(long us)
{
	const struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

/* NULL, or what is missing. */
static const char *open_all(enum kn_calls calls, const char *library)
{
	void *urcu = dlopen("liburcu-memb.so.8", RTLD_NOW | RTLD_GLOBAL);
	void *own = NULL;

	if (!urcu)
		return "liburcu-memb.so.8";
	api.flavor = dlsym(urcu, "urcu_memb_flavor");
	if (!api.flavor)
		return "urcu_memb_flavor";
	if (calls == KN_CALLS_malloc)
		return NULL;
	own = dlopen(library, RTLD_NOW);
	if (!own)
		return library;
	*(void **)&api.kmalloc = dlsym(own, "knuma_kmalloc");
	*(void **)&api.free_rcu = dlsym(own, "knuma_kvfree_call_rcu_flavor");
	*(void **)&api.stat = dlsym(own, "knuma_stats_read");
	*(void **)&api.set = dlsym(own, "knuma_conf_set");
	return api.kmalloc && api.free_rcu && api.stat && api.set ?
		       NULL :
		       "a function of knuma";
}

static void free_object(struct rcu_head *head)
{
	struct object *o =
		(struct object *)((char *)head - offsetof(struct object, rcu));

	add(&freed_bytes, o->size);
	free(o);
}

static struct object *get(size_t size)
{
	struct object *o = api.kmalloc ? api.kmalloc(size, GFP_KERNEL) :
					 malloc(size);

	if (o)
		o->size = size;
	return o;
}

static void give_away(struct object *o)
{
	if (api.free_rcu) {
		api.free_rcu(api.flavor, &o->rcu, o);
		return;
	}
	add(&given_bytes, o->size);
	api.flavor->update_call_rcu(&o->rcu, free_object);
}

/* The same objects for everybody: xorshift64. */
static void *produce(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1, nr = 0, missed = 0;

	/* call_rcu() of memb is for registered threads. */
	api.flavor->register_thread();
	while (!is_stopped()) {
		struct object *o;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		o = get(sizes[random % (sizeof(sizes) / sizeof(sizes[0]))]);
		if (o)
			give_away(o);
		nr += o != NULL;
		missed += !o;
	}
	api.flavor->unregister_thread();
	add(&queued, nr);
	add(&failed, missed);
	return NULL;
}

static void *read_on(void *arg)
{
	api.flavor->register_thread();
	while (!is_stopped()) {
		api.flavor->read_lock();
		sleep_us(1000);
		api.flavor->read_unlock();
	}
	api.flavor->unregister_thread();
	return arg;
}

static uint64_t stat(const char *name)
{
	uint64_t value = 0;

	if (api.stat(name, &value)) {
		fprintf(stderr, "knuma bench: no statistic %s\n", name);
		_exit(1);
	}
	return value;
}

/* What is given away is counted first, so a difference is never negative. */
static uint64_t waiting_bytes(void)
{
	uint64_t freed;

	if (api.stat)
		return stat("rcu_waiting_bytes");
	freed = __atomic_load_n(&freed_bytes, __ATOMIC_ACQUIRE);
	return load(&given_bytes) - freed;
}

/*
 * The budget; a batch of each producer for each millisecond since it sufficed,
 * and one large object; and what magazines hold, which is not counted.
 */
static uint64_t bound_bytes(uint64_t over_ms)
{
	const uint64_t per_ms = BATCH * OBJECT_MAX + LARGEST;
	const uint64_t cpus = (uint64_t)sysconf(_SC_NPROCESSORS_CONF);

	return KN_FLOOD_BUDGET_MIB * MIB +
	       KN_FLOOD_PRODUCERS * per_ms * (over_ms + 1) +
	       cpus * MAGAZINE * OBJECT_MAX;
}

/* Milliseconds since a look found no more than the budget, until this one. */
static uint64_t over_ms(uint64_t waiting, uint64_t begin_ns, uint64_t end_ns)
{
	static uint64_t enough_ns;

	if (!enough_ns || waiting <= KN_FLOOD_BUDGET_MIB * MIB)
		enough_ns = begin_ns;
	return (end_ns - enough_ns) / 1000000;
}

static void look_once(struct kn_flood *f)
{
	const uint64_t begin_ns = kn_bench_clock(CLOCK_MONOTONIC);
	const uint64_t lag_ms = api.stat ? stat("rcu_lag_ms") : 0;
	const uint64_t waiting = waiting_bytes();
	const uint64_t end_ns = kn_bench_clock(CLOCK_MONOTONIC);
	const uint64_t over = over_ms(waiting, begin_ns, end_ns);
	const uint64_t bound = api.stat ? bound_bytes(over) : 0;

	f->past_bound += bound && waiting > bound;
	f->capped = waiting > KN_FLOOD_CAP_MIB * MIB;
	if (waiting <= f->waiting_bytes)
		return;
	f->waiting_bytes = waiting;
	f->bound_bytes = bound;
	f->lag_ms = lag_ms;
}

static void look_at_rss(struct kn_flood *f, unsigned *part, unsigned parts)
{
	const uint64_t rss = kn_bench_rss(getpid());

	if (rss > f->rss_bytes)
		f->rss_bytes = rss;
	while (*part < parts)
		f->rss_part_bytes[(*part)++] = rss;
}

/* Each millisecond what waits, each tenth of a second the RSS. */
static void look(struct kn_flood *f, uint64_t begin_ns, uint64_t ns)
{
	uint64_t now_ns = begin_ns, next_ns = begin_ns;
	unsigned part = 0;

	while (now_ns < begin_ns + ns && !f->capped) {
		look_once(f);
		if (now_ns >= next_ns) {
			look_at_rss(f, &part,
				    (unsigned)((now_ns - begin_ns) *
					       KN_FLOOD_PARTS / ns));
			next_ns = now_ns + 100000000;
		}
		sleep_us(1000);
		now_ns = kn_bench_clock(CLOCK_MONOTONIC);
	}
	look_at_rss(f, &part, f->capped ? part : KN_FLOOD_PARTS);
}

static bool run(struct kn_flood *f, uint64_t ns)
{
	pthread_t thread[KN_FLOOD_PRODUCERS + KN_FLOOD_READERS];
	const uint64_t cpu_ns = kn_bench_clock(CLOCK_PROCESS_CPUTIME_ID);
	const uint64_t begin_ns = kn_bench_clock(CLOCK_MONOTONIC);
	int n = 0;

	for (; n < KN_FLOOD_PRODUCERS + KN_FLOOD_READERS; n++)
		if (pthread_create(&thread[n], NULL,
				   n < KN_FLOOD_PRODUCERS ? produce : read_on,
				   (void *)(uintptr_t)n))
			break;
	if (n == KN_FLOOD_PRODUCERS + KN_FLOOD_READERS)
		look(f, begin_ns, ns);
	__atomic_store_n(&stopped, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	f->cpu_ns = kn_bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	f->wall_ns = kn_bench_clock(CLOCK_MONOTONIC) - begin_ns;
	f->queued = queued;
	f->failed = failed;
	return n == KN_FLOOD_PRODUCERS + KN_FLOOD_READERS;
}

int kn_flood_child(int argc, char **argv)
{
	struct kn_flood f = {0};
	const char *missing;
	char budget[16];

	if (argc != 3)
		return 2;
	missing = open_all((enum kn_calls)atoi(argv[0]), argv[1]);
	if (missing) {
		fprintf(stderr, "knuma bench flood: %s is not here\n", missing);
		return 1;
	}
	snprintf(budget, sizeof(budget), "%dM", KN_FLOOD_BUDGET_MIB);
	if (api.set && api.set("rcu_budget", budget)) {
		fprintf(stderr, "knuma bench flood: no setting rcu_budget\n");
		return 1;
	}
	if (!run(&f, strtoull(argv[2], NULL, 10) * 1000000)) {
		fprintf(stderr, "knuma bench flood: no threads\n");
		return 1;
	}
	if (fwrite(&f, sizeof(f), 1, stdout) != 1 || fflush(stdout))
		return 1;
	/* What still waits is not worth waiting for. */
	_exit(0);
}
