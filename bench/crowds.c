/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/crowds.c - the loops of many threads or processes
 *
 * A chunk is one life of them, from the first pthread_create() to the last
 * join, so the CPU time is that of the process.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/calls.h"
#include "bench/loops.h"

typedef void *(*thread_fn)(void *arg);

enum {
	STACK_BYTES = 64 << 10,
	SLOTS = 200, /* objects of a thread of server, larson and tail */
	SIZES = 16,  /* the largest of them is so many times the smallest */
	LIVES = 20,  /* of a row of threads of larson, one after the other */
	PARCEL = KN_PARCEL,
	PARCELS = 8, /* that wait in a pipe at most */
	CHILD_OPS = 100,
	FORK_OBJECT = 4096,
	TIDE_PARTS = 10 /* one part in so many stays when the load falls */
};

/* What each thread of a loop is given. */
struct job {
	const struct kn_workload *w;
	unsigned ops;
	unsigned life;
	uint64_t state;
	void **slot;
	sem_t *done;
	uint32_t *latency_ns; /* two for each operation */
	struct pipe_ *pipe;
	bool produces;
};

static void start(pthread_t *thread, thread_fn run, void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (pthread_create(thread, &attr, run, arg))
		kn_give_up("no more threads");
	pthread_attr_destroy(&attr);
}

static void run_all(thread_fn run, struct job *jobs, unsigned n)
{
	pthread_t *thread = kn_map(n * sizeof(*thread));

	for (unsigned k = 0; k < n; k++)
		start(&thread[k], run, &jobs[k]);
	for (unsigned k = 0; k < n; k++)
		pthread_join(thread[k], NULL);
}

static struct job *make_jobs(const struct kn_workload *w, unsigned n,
			     unsigned ops)
{
	struct job *jobs = kn_map(n * sizeof(*jobs));

	for (unsigned k = 0; k < n; k++)
		jobs[k] = (struct job){
			.w = w,
			.ops = ops,
			.state = k + 1,
			.slot = kn_map(SLOTS * sizeof(void *)),
		};
	return jobs;
}

/*
 * Waves of n threads, all alive at a time.  Each allocates once; the object is
 * freed here after the thread has ended.
 */
static pthread_barrier_t wave;

static kn_inline void *one_thread(const struct kn_workload *w, kn_get_fn get)
{
	char *p = kn_checked(get(w->size_bytes));

	*(volatile char *)p = 1;
	pthread_barrier_wait(&wave);
	return p;
}

static kn_inline void threads(const struct kn_workload *w, unsigned chunk,
			      thread_fn run, kn_put_fn put)
{
	pthread_t thread[KN_WAVE_MAX];
	void *p;

	pthread_barrier_init(&wave, NULL, w->n);
	for (unsigned i = 0; i < chunk; i++) {
		for (unsigned k = 0; k < w->n; k++)
			start(&thread[k], run, (void *)w);
		for (unsigned k = 0; k < w->n; k++) {
			pthread_join(thread[k], &p);
			put(p, w->size_bytes);
		}
	}
	pthread_barrier_destroy(&wave);
}

/*
 * Each thread touches every size class: all of them are in use at a time, and then
 * in the caches of the allocator when memory is looked at.
 */
static kn_inline void *one_of_classes(struct job *job, kn_get_fn get,
				      kn_put_fn put)
{
	enum {
		QUARTERS = 4,
		LEAST = 16
	};

	for (unsigned i = 0; i < job->ops; i++) {
		const size_t most = job->w->size_bytes;
		unsigned n = 0;

		for (size_t base = LEAST; base <= most; base *= 2)
			for (unsigned k = 0; k < QUARTERS; k++) {
				const size_t size = base + base / QUARTERS * k;

				if (size > most)
					break;
				job->slot[n] = kn_checked(get(size));
				memset(job->slot[n++], 1, size);
			}
		pthread_barrier_wait(&wave);
		while (n)
			put(job->slot[--n], most);
	}
	return NULL;
}

static void classes(const struct kn_workload *w, unsigned chunk, thread_fn run)
{
	pthread_barrier_init(&wave, NULL, w->n);
	run_all(run, make_jobs(w, w->n, chunk), w->n);
	pthread_barrier_destroy(&wave);
}

/* n threads do pairs, and what was deferred is waited for. */
static kn_inline void *one_of_crowd(struct job *job, kn_get_fn get,
				    kn_put_fn put)
{
	const size_t size = job->w->size_bytes;

	if (kn_api.register_thread)
		kn_api.register_thread();
	for (unsigned i = 0; i < job->ops; i++)
		put(kn_checked(get(size)), size);
	if (kn_api.unregister_thread)
		kn_api.unregister_thread();
	return NULL;
}

static void crowd(const struct kn_workload *w, unsigned chunk, thread_fn run)
{
	run_all(run, make_jobs(w, w->n, chunk), w->n);
	if (kn_api.kfree_rcu_barrier)
		kn_api.kfree_rcu_barrier();
	if (kn_api.rcu_barrier)
		kn_api.rcu_barrier();
}

/* Of server, larson and tail: from size / SIZES to size. */
static kn_inline size_t random_size(const struct kn_workload *w,
				    uint64_t *state)
{
	const uint32_t least = (uint32_t)(w->size_bytes / SIZES);

	return least +
	       kn_random_below(state, (uint32_t)w->size_bytes - least + 1);
}

static kn_inline void serve(struct job *job, unsigned ops, kn_get_fn get,
			    kn_put_fn put)
{
	for (unsigned i = 0; i < ops; i++) {
		void **slot = &job->slot[kn_random_below(&job->state, SLOTS)];
		const size_t size = random_size(job->w, &job->state);

		if (*slot)
			put(*slot, size);
		*slot = kn_checked(get(size));
		*(volatile char *)*slot = 1;
	}
}

static kn_inline void put_all(struct job *job, kn_put_fn put)
{
	for (unsigned k = 0; k < SLOTS; k++)
		if (job->slot[k])
			put(job->slot[k], job->w->size_bytes);
}

static kn_inline void *one_server(struct job *job, kn_get_fn get, kn_put_fn put)
{
	serve(job, job->ops, get, put);
	put_all(job, put);
	return NULL;
}

static void server(const struct kn_workload *w, unsigned chunk, thread_fn run)
{
	run_all(run, make_jobs(w, w->n, chunk), w->n);
}

/* The heir of this thread's objects, or the end of the row. */
static void pass_on(struct job *job, thread_fn run)
{
	pthread_t heir;

	if (++job->life == LIVES) {
		sem_post(job->done);
		return;
	}
	start(&heir, run, job);
	pthread_detach(heir);
}

static kn_inline void *one_life(struct job *job, kn_get_fn get, kn_put_fn put,
				thread_fn run)
{
	/* The first lives do the rest of the division, too. */
	serve(job, job->ops / LIVES + (job->life < job->ops % LIVES), get, put);
	if (job->life == LIVES - 1)
		put_all(job, put);
	pass_on(job, run);
	return NULL;
}

static void larson(const struct kn_workload *w, unsigned chunk, thread_fn run)
{
	struct job *jobs = make_jobs(w, w->n, chunk);
	pthread_t thread;
	sem_t done;

	sem_init(&done, 0, 0);
	for (unsigned k = 0; k < w->n; k++) {
		jobs[k].done = &done;
		start(&thread, run, &jobs[k]);
		pthread_detach(thread);
	}
	for (unsigned k = 0; k < w->n; k++)
		while (sem_wait(&done))
			;
	sem_destroy(&done);
}

/* A bounded queue of parcels, from one thread to another. */
struct pipe_ {
	sem_t room, filled;
	void *parcel[PARCELS][PARCEL];
};

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		;
}

static kn_inline void *one_end(struct job *job, kn_get_fn get, kn_put_fn put)
{
	struct pipe_ *pipe = job->pipe;
	const size_t size = job->w->size_bytes;
	const bool produces = job->produces;

	for (unsigned i = 0; i < job->ops / PARCEL; i++) {
		void **parcel = pipe->parcel[i % PARCELS];

		wait_for(produces ? &pipe->room : &pipe->filled);
		for (unsigned k = 0; k < PARCEL; k++) {
			if (!produces) {
				put(parcel[k], size);
				continue;
			}
			parcel[k] = kn_checked(get(size));
			*(volatile char *)parcel[k] = 1;
		}
		sem_post(produces ? &pipe->filled : &pipe->room);
	}
	return NULL;
}

/* n producers, each with a consumer. */
static void pipes(const struct kn_workload *w, unsigned chunk, thread_fn run)
{
	struct pipe_ *pipe = kn_map(w->n * sizeof(*pipe));
	struct job *jobs = make_jobs(w, 2 * w->n, chunk);

	for (unsigned k = 0; k < w->n; k++) {
		sem_init(&pipe[k].room, 0, PARCELS);
		sem_init(&pipe[k].filled, 0, 0);
		jobs[2 * k].pipe = jobs[2 * k + 1].pipe = &pipe[k];
		jobs[2 * k].produces = true;
	}
	run_all(run, jobs, 2 * w->n);
}

/* Latencies of all threads of tail, one after the other. */
static uint32_t *latencies;
static size_t nr_latencies;

static uint32_t since(uint64_t begin_ns)
{
	const uint64_t ns = kn_bench_clock(CLOCK_MONOTONIC) - begin_ns;

	return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static kn_inline void *one_timed(struct job *job, kn_get_fn get, kn_put_fn put)
{
	uint32_t *ns = job->latency_ns;

	for (unsigned k = 0; k < SLOTS; k++)
		job->slot[k] =
			kn_checked(get(random_size(job->w, &job->state)));
	for (unsigned i = 0; i < job->ops; i++) {
		void **slot = &job->slot[kn_random_below(&job->state, SLOTS)];
		const size_t size = random_size(job->w, &job->state);
		uint64_t begin = kn_bench_clock(CLOCK_MONOTONIC);

		put(*slot, size);
		*ns++ = since(begin);
		begin = kn_bench_clock(CLOCK_MONOTONIC);
		*slot = kn_checked(get(size));
		*ns++ = since(begin);
		*(volatile char *)*slot = 1;
	}
	put_all(job, put);
	return NULL;
}

static void tail(const struct kn_workload *w, unsigned chunk, thread_fn run)
{
	struct job *jobs = make_jobs(w, w->n, chunk);

	nr_latencies = 2 * (size_t)chunk * w->n;
	latencies = kn_map(nr_latencies * sizeof(*latencies));
	/* No page of the list is faulted while something is timed. */
	memset(latencies, 1, nr_latencies * sizeof(*latencies));
	for (unsigned k = 0; k < w->n; k++)
		jobs[k].latency_ns = latencies + 2 * (size_t)chunk * k;
	run_all(run, jobs, w->n);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void kn_loops_latencies(struct kn_sample *s)
{
	static const double percent[KN_NR_LATENCIES] = {
		[KN_LATENCY_P50] = 50,	    [KN_LATENCY_P90] = 90,
		[KN_LATENCY_P99] = 99,	    [KN_LATENCY_P999] = 99.9,
		[KN_LATENCY_P9999] = 99.99, [KN_LATENCY_MAX] = 100,
	};

	if (!nr_latencies)
		return;
	qsort(latencies, nr_latencies, sizeof(*latencies), by_value);
	for (int i = 0; i < KN_NR_LATENCIES; i++)
		s->latency_ns[i] = latencies[(
			size_t)(percent[i] / 100 * (double)(nr_latencies - 1))];
}

/* A heap of size bytes, in use, and a child of it that allocates. */
static kn_inline void fork_child(kn_get_fn get, kn_put_fn put)
{
	for (unsigned i = 0; i < CHILD_OPS; i++) {
		char *p = kn_checked(get(64));

		*(volatile char *)p = 1;
		put(p, 64);
	}
	_exit(0);
}

static kn_inline void forks(const struct kn_workload *w, unsigned chunk,
			    kn_get_fn get, kn_put_fn put)
{
	int status;

	for (size_t at = 0; at < w->size_bytes; at += FORK_OBJECT)
		*(volatile char *)kn_checked(get(FORK_OBJECT)) = 1;
	for (unsigned i = 0; i < chunk; i++) {
		const pid_t pid = fork();

		if (pid < 0)
			kn_give_up("no more processes");
		if (!pid)
			fork_child(get, put);
		while (waitpid(pid, &status, 0) < 0)
			;
		if (status)
			kn_give_up("a fork child has failed");
	}
}

/* Writes to each page of an object, and to its last byte. */
static kn_inline void *written(char *p, size_t size)
{
	for (size_t k = 0; k < size; k += 4096)
		*(volatile char *)(p + k) = 1;
	*(volatile char *)(p + size - 1) = 1;
	return p;
}

static void shuffle(void **p, unsigned n, uint64_t *state)
{
	for (uint32_t i = n - 1; i > 0; i--) {
		const uint32_t k = kn_random_below(state, i + 1);
		void *other = p[k];

		p[k] = p[i];
		p[i] = other;
	}
}

/*
 * A server that has little to do: allocators give memory back by threads of
 * their own, or as the calls go on.
 */
static kn_inline void rest(unsigned ms, kn_get_fn get, kn_put_fn put)
{
	enum {
		NAP_MS = 10,
		PAIRS = 100
	};

	for (unsigned i = 0; i < ms / NAP_MS; i++) {
		usleep(NAP_MS * 1000);
		for (unsigned k = 0; k < PAIRS; k++)
			put(kn_checked(get(64 + 8 * k)), 64 + 8 * k);
	}
}

/*
 * The load of a day: it falls to a tenth, whichever objects those are, rises
 * again with other sizes, and some objects are replaced.  So each tide makes n
 * objects, and at the end a tenth of them is left.
 */
static kn_inline void tides(const struct kn_workload *w, unsigned chunk,
			    kn_get_fn get, kn_put_fn put)
{
	const unsigned n = w->n, stay = n / TIDE_PARTS;
	void **p = kn_map(n * sizeof(*p));
	uint64_t state = 1;

	for (unsigned tide = 0; tide < chunk; tide++) {
		const uint32_t most = (uint32_t)w->size_bytes >> tide % 4;

		for (unsigned k = tide ? stay : 0; k < n; k++) {
			const size_t size = 16 + kn_random_below(&state, most);

			p[k] = written(kn_checked(get(size)), size);
		}
		for (unsigned k = 0; tide && k < stay; k++) {
			const uint32_t at = kn_random_below(&state, n);

			put(p[at], most);
			p[at] = written(kn_checked(get(most)), most);
		}
		shuffle(p, n, &state);
		for (unsigned k = stay; k < n; k++)
			put(p[k], most);
	}
}

/* Each loop for each kind of call. */
#define RUN(calls, loop, body)                                  \
	static void *calls##_one_##loop(void *job)              \
	{                                                       \
		return body(job, calls##_get, calls##_put);     \
	}                                                       \
	static void calls##_##loop(const struct kn_workload *w, \
				   unsigned chunk)              \
	{                                                       \
		loop(w, chunk, calls##_one_##loop);             \
	}
#define LOOP(calls, loop)                                       \
	static void calls##_##loop(const struct kn_workload *w, \
				   unsigned chunk)              \
	{                                                       \
		loop(w, chunk, calls##_get, calls##_put);       \
	}
/* Those that need no size to put, since sizes are random. */
#define CROWD_CALLS(x) x(malloc) x(kmalloc) x(kfree_rcu) x(call_rcu) x(vmalloc)
#define CALLS(calls)                                             \
	RUN(calls, classes, one_of_classes)                      \
	RUN(calls, crowd, one_of_crowd)                          \
	RUN(calls, server, one_server)                           \
	RUN(calls, pipes, one_end)                               \
	RUN(calls, tail, one_timed)                              \
	static void calls##_rest(unsigned ms)                    \
	{                                                        \
		rest(ms, calls##_get, calls##_put);              \
	}                                                        \
	LOOP(calls, forks)                                       \
	LOOP(calls, tides)                                       \
	static void *calls##_one_life(void *job)                 \
	{                                                        \
		return one_life(job, calls##_get, calls##_put,   \
				calls##_one_life);               \
	}                                                        \
	static void calls##_larson(const struct kn_workload *w,  \
				   unsigned chunk)               \
	{                                                        \
		larson(w, chunk, calls##_one_life);              \
	}                                                        \
	static void *calls##_thread(void *w)                     \
	{                                                        \
		return one_thread(w, calls##_get);               \
	}                                                        \
	static void calls##_threads(const struct kn_workload *w, \
				    unsigned chunk)              \
	{                                                        \
		threads(w, chunk, calls##_thread, calls##_put);  \
	}

CROWD_CALLS(CALLS)

#define ROW(calls)                                   \
	[KN_CALLS_##calls] = {                       \
		[KN_LOOP_forks] = calls##_forks,     \
		[KN_LOOP_tides] = calls##_tides,     \
		[KN_LOOP_tides_12s] = calls##_tides, \
		[KN_LOOP_threads] = calls##_threads, \
		[KN_LOOP_classes] = calls##_classes, \
		[KN_LOOP_crowd] = calls##_crowd,     \
		[KN_LOOP_server] = calls##_server,   \
		[KN_LOOP_larson] = calls##_larson,   \
		[KN_LOOP_pipe] = calls##_pipes,      \
		[KN_LOOP_tail] = calls##_tail,       \
	},

const kn_loop_fn kn_crowds[KN_NR_CALLS][KN_NR_LOOPS] = {CROWD_CALLS(ROW)};

#define REST(calls) [KN_CALLS_##calls] = calls##_rest,

void kn_loops_rest(enum kn_calls calls, unsigned ms)
{
	static void (*const rests[KN_NR_CALLS])(unsigned ms) = {
		CROWD_CALLS(REST)};

	if (ms && rests[calls])
		rests[calls](ms);
}
