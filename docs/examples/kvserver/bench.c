/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench.c - what kfree_rcu() costs the readers of the table
 *
 * Threads look up random keys and read the values, while one thread replaces
 * values.  Only what happens to the old value differs:
 *
 *   kfree_rcu  it is given to kfree_rcu()
 *   at once    kfree(): the ceiling.  WRONG in any program: a reader that has
 *              found the value goes on reading what may be another value by
 *              then, or memory that is no value at all.  It is bearable here
 *              only because values never change their size, so that a reader
 *              stays within memory that was a value; because knuma keeps the
 *              addresses of free memory readable; and because there is one
 *              updater, so that nobody writes to a node that is no longer in
 *              the table.  Readers then count what they find wrong.
 *   call_rcu   liburcu's callback, which calls kfree()
 *
 * The machine changes while it is measured, so the ways take turns, A B B A: a
 * round is one such turn with each of the other ways, and gives one ratio.
 * What is printed is the median of the ratios, with an interval that holds the
 * true median whatever the distribution is: two order statistics.
 */
#define pr_fmt(fmt) "bench: " fmt

#include "docs/examples/kvserver/bench.h"

#include <math.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/string.h>

#include "docs/examples/kvserver/store.h"

#define LOOKUPS_A_TURN 64 /* between two quiescent states */
#define NS_A_SECOND    1000000000ull
#define PACE_US	       500 /* between two batches of updates */
#define CONFIDENCE     0.95

static void retire_deferred(struct value *old)
{
	kfree_rcu(old, rcu);
}

static void retire_at_once(struct value *old)
{
	kfree(old);
}

static void free_value(struct rcu_head *head)
{
	kfree(container_of(head, struct value, rcu));
}

static void retire_call_rcu(struct value *old)
{
	call_rcu(&old->rcu, free_value);
}

static const struct way {
	const char *name;
	void (*retire)(struct value *old);
	bool safe;
} ways[] = {
	{"kfree_rcu", retire_deferred, true},
	{"at once", retire_at_once, false},
	{"call_rcu", retire_call_rcu, true},
};

#define NR_OTHERS (ARRAY_SIZE(ways) - 1)
#define NR_RATIOS 3 /* of struct ratios */

struct run {
	const struct bench_options *options;
	const struct way *way;
	struct store *store;
	char *bytes;	/* what the updater writes */
	bool stop;	/* atomic */
	bool failed;	/* of the updater */
	u64 nr_updates; /* of the updater */
};

struct reader {
	struct run *run;
	pthread_t thread;
	u64 seed;
	u64 lookups;
	u64 cpu_ns;
	u64 wrong; /* values that were missing or another's */
	u64 sum;   /* of what was read, so that it is read */
};

static u64 now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (u64)t.tv_sec * NS_A_SECOND + (u64)t.tv_nsec;
}

/* xorshift64* */
static u64 next_random(u64 *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1d;
}

static bool is_stopped(const struct run *run)
{
	return __atomic_load_n(&run->stop, __ATOMIC_RELAXED);
}

/*
 * Reads a value to its end: each word of it is its key.  The length is not
 * taken from the value, which may be freed already in the unsafe way.
 */
static bool read_value(struct reader *r, const struct value *v, u64 key)
{
	u64 word, different = 0;

	for (u32 i = 0; i < r->run->options->bytes; i += sizeof(word)) {
		memcpy(&word, v->bytes + i, sizeof(word));
		different |= word ^ key;
		r->sum += word;
	}
	return !different;
}

static void lookup(struct reader *r)
{
	const u64 key = next_random(&r->seed) % r->run->options->keys;
	const struct value *v;

	rcu_read_lock();
	v = store_find(r->run->store, key);
	r->wrong += !v || !read_value(r, v, key);
	rcu_read_unlock();
	r->lookups++;
}

static void *read_all(void *arg)
{
	struct reader *r = arg;

	rcu_register_thread();
	do {
		for (int i = 0; i < LOOKUPS_A_TURN; i++)
			lookup(r);
		rcu_quiescent_state();
	} while (!is_stopped(r->run));
	rcu_unregister_thread();
	r->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

/* Fills a value of @key: each word is the key. */
static void fill(char *bytes, u32 len, u64 key)
{
	for (u32 i = 0; i < len; i += sizeof(key))
		memcpy(bytes + i, &key, sizeof(key));
}

/* Return: false without memory. */
static bool update(struct run *run, u64 key)
{
	struct value *v, *old;

	fill(run->bytes, run->options->bytes, key);
	v = value_new(key, run->bytes, run->options->bytes, NUMA_NO_NODE);
	if (!v)
		return false;
	rcu_read_lock();
	old = store_put(run->store, v);
	rcu_read_unlock();
	if (old)
		run->way->retire(old);
	return true;
}

/* How many updates are due by now, at least one; without a limit some more. */
static u64 updates_due(const struct run *run, u64 start_ns)
{
	const unsigned int limit = run->options->updates;

	if (!limit)
		return run->nr_updates + LOOKUPS_A_TURN;
	return 1 + (now_ns(CLOCK_MONOTONIC) - start_ns) * limit / NS_A_SECOND;
}

static void sleep_offline(unsigned int us)
{
	rcu_thread_offline();
	usleep(us);
	rcu_thread_online();
}

static void *update_all(void *arg)
{
	struct run *run = arg;
	const u64 start_ns = now_ns(CLOCK_MONOTONIC);
	u64 seed = 88172645463325252;

	rcu_register_thread();
	do {
		const u64 due = updates_due(run, start_ns);

		while (run->nr_updates < due && !run->failed) {
			const u64 key = next_random(&seed) % run->options->keys;

			run->failed = !update(run, key);
			run->nr_updates++;
		}
		rcu_quiescent_state();
		if (run->options->updates)
			sleep_offline(PACE_US);
	} while (!is_stopped(run) && !run->failed);
	rcu_unregister_thread();
	return NULL;
}

/* What one measurement comes to. */
struct sample {
	double a_second; /* lookups, of all readers */
	double cpu_ns;	 /* of a lookup */
	double updates;	 /* a second */
};

/* Lookups of the unsafe way, for what they found wrong. */
static u64 unsafe_lookups, unsafe_wrong;

static int join_readers(struct run *run, struct reader *readers, unsigned int n,
			struct sample *sample, u64 wall_ns)
{
	u64 lookups = 0, cpu_ns = 0, wrong = 0;

	for (unsigned int i = 0; i < n; i++) {
		pthread_join(readers[i].thread, NULL);
		lookups += readers[i].lookups;
		cpu_ns += readers[i].cpu_ns;
		wrong += readers[i].wrong;
	}
	sample->a_second = (double)lookups / (double)wall_ns * NS_A_SECOND;
	sample->cpu_ns = lookups ? (double)cpu_ns / (double)lookups : 0;
	if (!run->way->safe) {
		unsafe_lookups += lookups;
		unsafe_wrong += wrong;
		return 0;
	}
	if (!wrong)
		return 0;
	pr_err("%s: %llu of %llu lookups found a wrong value\n", run->way->name,
	       (unsigned long long)wrong, (unsigned long long)lookups);
	return -EIO;
}

/* Return: how many were started: all, or fewer after a message. */
static unsigned int start_readers(struct run *run, struct reader *readers)
{
	const unsigned int wanted = run->options->readers;

	for (unsigned int i = 0; i < wanted; i++) {
		int error;

		readers[i] = (struct reader){.run = run, .seed = i + 1};
		error = pthread_create(&readers[i].thread, NULL, read_all,
				       &readers[i]);
		if (error) {
			pr_err("reader %u: %s\n", i + 1, strerror(error));
			return i;
		}
	}
	return wanted;
}

/* What is deferred ends before the next measurement begins. */
static void settle(void)
{
	kvfree_rcu_barrier();
	rcu_barrier();
}

/* Return: 0; -errno after a message. */
static int measure(struct run *run, struct reader *readers,
		   struct sample *sample)
{
	unsigned int n;
	pthread_t updater;
	u64 start_ns;
	int error;

	run->stop = run->failed = false;
	run->nr_updates = 0;
	error = pthread_create(&updater, NULL, update_all, run);
	if (error) {
		pr_err("updater: %s\n", strerror(error));
		return -error;
	}
	start_ns = now_ns(CLOCK_MONOTONIC);
	n = start_readers(run, readers);
	if (n == run->options->readers)
		usleep(run->options->ms * 1000);
	__atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
	error = join_readers(run, readers, n, sample,
			     now_ns(CLOCK_MONOTONIC) - start_ns);
	pthread_join(updater, NULL);
	sample->updates = (double)run->nr_updates /
			  (double)(now_ns(CLOCK_MONOTONIC) - start_ns) *
			  NS_A_SECOND;
	settle();
	if (run->failed) {
		pr_err("%s: out of memory\n", run->way->name);
		return -ENOMEM;
	}
	return n < run->options->readers ? -EAGAIN : error;
}

/* The ratios of all rounds, of kfree_rcu() to another way. */
struct ratios {
	double *a_second;
	double *cpu_ns;
	double *updates;
};

/* One turn: A B B A.  Return: 0 or -errno. */
static int turn(struct run *run, struct reader *readers,
		const struct way *other, struct sample sums[2])
{
	static const int order[] = {0, 1, 1, 0};

	memset(sums, 0, 2 * sizeof(sums[0]));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		struct sample s;
		int error;

		run->way = order[i] ? other : &ways[0];
		error = measure(run, readers, &s);
		if (error)
			return error;
		sums[order[i]].a_second += s.a_second;
		sums[order[i]].cpu_ns += s.cpu_ns;
		sums[order[i]].updates += s.updates;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * The probability that the true median lies outside of the @k-th smallest and
 * the @k-th largest of @n, @k from 0: fewer than @k + 1 of @n on one side.
 */
static double outside(unsigned int n, unsigned int k)
{
	double p = 0, term = pow(0.5, n);

	for (unsigned int i = 0; i <= k; i++) {
		p += term;
		term = term * (n - i) / (i + 1);
	}
	return 2 * p;
}

static void print_ratio(const char *what, double *values, unsigned int n)
{
	unsigned int k = 0;

	qsort(values, n, sizeof(values[0]), compare);
	while (k + 1 < n / 2 && outside(n, k + 1) <= 1 - CONFIDENCE)
		k++;
	printf("  %-16s %.3f  [%.3f, %.3f] at %.1f %%\n", what,
	       (values[(n - 1) / 2] + values[n / 2]) / 2, values[k],
	       values[n - 1 - k], 100 * (1 - outside(n, k)));
}

static void print_ratios(const struct way *other, const struct ratios *r,
			 unsigned int n)
{
	printf("kfree_rcu / %s:\n", other->name);
	print_ratio("lookups a second", r->a_second, n);
	print_ratio("CPU of a lookup", r->cpu_ns, n);
	print_ratio("updates a second", r->updates, n);
}

/* Return: 0; -errno after a message. */
static int all_rounds(struct run *run, struct reader *readers,
		      struct ratios ratios[NR_OTHERS])
{
	for (unsigned int i = 0; i < run->options->rounds; i++) {
		for (size_t k = 0; k < NR_OTHERS; k++) {
			struct sample s[2];
			const int error = turn(run, readers, &ways[k + 1], s);

			if (error)
				return error;
			ratios[k].a_second[i] = s[0].a_second / s[1].a_second;
			ratios[k].cpu_ns[i] = s[0].cpu_ns / s[1].cpu_ns;
			ratios[k].updates[i] = s[0].updates / s[1].updates;
		}
	}
	return 0;
}

/* All keys are there before the first lookup.  Return: 0 or -ENOMEM. */
static int fill_store(struct run *run)
{
	int error = 0;

	rcu_register_thread();
	for (u64 key = 0; key < run->options->keys && !error; key++) {
		fill(run->bytes, run->options->bytes, key);
		error = store_set(run->store, key, run->bytes,
				  run->options->bytes, NUMA_NO_NODE);
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return error;
}

static void empty_store(struct store *s)
{
	rcu_register_thread();
	store_free(s);
	rcu_unregister_thread();
	kvfree_rcu_barrier();
}

static int bench_table(struct run *run, double *values, struct reader *readers)
{
	const unsigned int n = run->options->rounds;
	struct ratios ratios[NR_OTHERS];
	int error = fill_store(run);

	if (error) {
		pr_err("no memory for %u values\n", run->options->keys);
		return error;
	}
	for (size_t k = 0; k < NR_OTHERS; k++) {
		ratios[k].a_second = values + NR_RATIOS * k * n;
		ratios[k].cpu_ns = ratios[k].a_second + n;
		ratios[k].updates = ratios[k].cpu_ns + n;
	}
	error = all_rounds(run, readers, ratios);
	for (size_t k = 0; k < NR_OTHERS && !error; k++)
		print_ratios(&ways[k + 1], &ratios[k], n);
	if (!error)
		printf("at once: %llu of %llu lookups found a wrong value\n",
		       (unsigned long long)unsafe_wrong,
		       (unsigned long long)unsafe_lookups);
	return error;
}

/* A bucket for each key.  A table that grew meanwhile would be a writer. */
static unsigned long buckets_for(unsigned int keys)
{
	unsigned long buckets = 1;

	while (buckets < keys)
		buckets *= 2;
	return buckets;
}

int bench_run(const struct bench_options *o)
{
	struct run run = {.options = o,
			  .store = store_new(buckets_for(o->keys))};
	struct reader *readers;
	double *values;
	int error = -ENOMEM;

	readers = kcalloc(o->readers, sizeof(*readers), GFP_KERNEL);
	values = kcalloc(NR_RATIOS * NR_OTHERS * o->rounds, sizeof(*values),
			 GFP_KERNEL);
	run.bytes = kmalloc(o->bytes, GFP_KERNEL);
	if (run.store && readers && values && run.bytes) {
		printf("%s, %u readers, %u updates a second, %u values of %u "
		       "bytes, %u rounds of 8 times %u ms\n",
		       KV_FLAVOR, o->readers, o->updates, o->keys, o->bytes,
		       o->rounds, o->ms);
		error = bench_table(&run, values, readers);
	} else {
		pr_err("out of memory\n");
	}
	if (run.store)
		empty_store(run.store);
	kfree(run.bytes);
	kfree(values);
	kfree(readers);
	return error ? 1 : 0;
}
