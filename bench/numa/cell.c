/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/numa/cell.c - one pair of nodes, one allocator, one process
 *
 * Parent:  knuma bench --child cell CALLS LIBRARY MEASURES BYTES MILLISECONDS
 *                                   NODE:CPUS NODE:CPUS
 * Child:   runs on the CPUs of the first node, takes memory of the second, and
 *          writes a struct kn_cell_round to standard output.
 *
 * MEASURES is a set of 1 << enum kn_measure_id.  BYTES is a power of two.  Each
 * measure takes samples until its time is over, five at least.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/numa/calls.h"
#include "bench/sample.h"

enum {
	LINE = 64,  /* between two loads of the chase */
	ASK = 1024, /* pages that one move_pages is asked about */
	SAMPLES_MIN = 5,
	STREAM_THREADS_MAX = 1024
};

struct home {
	int node;
	struct kn_ids cpus;
};

static struct home row, column;
static const struct kn_node_calls *calls;
static size_t buffer_bytes;
static unsigned limit_ms;
static struct kn_cell_round result;

__attribute__((cold, noreturn)) static void give_up(const char *what)
{
	fprintf(stderr, "knuma bench: %s\n", what);
	_exit(1);
}

static uint64_t now_ns(void)
{
	return kn_bench_clock(CLOCK_MONOTONIC);
}

static void bind_to(const struct home *h)
{
	if (!kn_ids_bind(&h->cpus))
		give_up("no CPU of the node to run on");
}

/* Has this measure had its time, or its room? */
static bool is_done(enum kn_measure_id id, uint64_t begin_ns)
{
	const unsigned n = result.nr[id];

	return n == KN_CELL_SAMPLES ||
	       (n >= SAMPLES_MIN && now_ns() - begin_ns >= limit_ms * 1000000u);
}

static void add_sample(enum kn_measure_id id, uint64_t ns, double operations)
{
	result.sample[id][result.nr[id]++] = (float)((double)ns / operations);
}

static void measure_pairs(enum kn_measure_id id)
{
	const unsigned batch = kn_measures[id].batch;
	uint64_t begin;

	/* The first batch fills what the allocator keeps. */
	calls->pairs[id](batch);
	begin = now_ns();
	do {
		const uint64_t t = now_ns();

		calls->pairs[id](batch);
		add_sample(id, now_ns() - t, batch);
	} while (!is_done(id, begin));
}

/* One thread gets and hands over, the other frees and hands back. */
struct handover {
	sem_t full, empty;
	unsigned n;
	bool is_over;
	uint64_t free_ns;
	void *object[64];
};

static void *free_remotely(void *arg)
{
	struct handover *h = arg;

	bind_to(&column);
	for (;;) {
		uint64_t t;

		while (sem_wait(&h->full))
			;
		if (h->is_over)
			return NULL;
		t = now_ns();
		calls->drain(h->object, h->n);
		h->free_ns = now_ns() - t;
		sem_post(&h->empty);
	}
}

static void hand_over(struct handover *h)
{
	calls->fill(h->object, h->n);
	sem_post(&h->full);
	while (sem_wait(&h->empty))
		;
}

static void measure_remote(enum kn_measure_id id)
{
	static struct handover h;
	pthread_t thread;
	uint64_t begin;

	_Static_assert(sizeof(h.object) / sizeof(h.object[0]) >= 64, "batch");
	h.n = kn_measures[id].batch;
	sem_init(&h.full, 0, 0);
	sem_init(&h.empty, 0, 0);
	if (pthread_create(&thread, NULL, free_remotely, &h))
		give_up("no more threads");
	hand_over(&h);
	begin = now_ns();
	do {
		hand_over(&h);
		add_sample(id, h.free_ns, h.n);
	} while (!is_done(id, begin));
	h.is_over = true;
	sem_post(&h.full);
	pthread_join(thread, NULL);
}

/*
 * Each line holds the address of the next; all lines are one cycle.  The order
 * is that of a linear congruential generator modulo a power of two, which has
 * the full period for an odd summand and a factor of the form 4k + 1, and needs
 * no list of lines.
 */
static void make_cycle(char *buffer)
{
	const size_t n = buffer_bytes / LINE;

	for (size_t i = 0; i < n; i++) {
		const size_t next =
			(i * 0x5851f42d4c957f2dul + 0x14057b7ef767ul) & (n - 1);

		*(void **)(buffer + i * LINE) = buffer + next * LINE;
	}
}

static void measure_chase(enum kn_measure_id id, char *buffer)
{
	const unsigned batch = kn_measures[id].batch;
	const uint64_t begin = now_ns();
	void **at = (void **)(void *)buffer;

	do {
		const uint64_t t = now_ns();

		for (unsigned i = 0; i < batch; i++)
			at = *(void ***)at;
		__asm__ __volatile__("" : : "r"(at) : "memory");
		add_sample(id, now_ns() - t, batch);
	} while (!is_done(id, begin));
}

/* One thread on each CPU of the row, each with a part of the buffer. */
static struct {
	pthread_barrier_t begin, end;
	size_t part_bytes;
	bool is_over;
	void (*pass)(char *part);
} stream;

struct streamer {
	pthread_t thread;
	struct home home;
	char *part;
};

static void pass_read(char *part)
{
	const uint64_t *p = (const uint64_t *)(const void *)part;
	uint64_t a = 0, b = 0, c = 0, d = 0;

	for (size_t i = 0; i < stream.part_bytes / sizeof(*p); i += 4) {
		a += p[i];
		b += p[i + 1];
		c += p[i + 2];
		d += p[i + 3];
	}
	__asm__ __volatile__("" : : "r"(a + b + c + d) : "memory");
}

static void pass_copy(char *part)
{
	const size_t half = stream.part_bytes / 2;

	memcpy(part + half, part, half);
	__asm__ __volatile__("" : : "r"(part) : "memory");
}

static void *run_stream(void *arg)
{
	struct streamer *s = arg;

	bind_to(&s->home);
	for (;;) {
		pthread_barrier_wait(&stream.begin);
		if (stream.is_over)
			return NULL;
		stream.pass(s->part);
		pthread_barrier_wait(&stream.end);
	}
}

static unsigned start_streamers(struct streamer *s, char *buffer)
{
	unsigned n = 0;

	for (int cpu = kn_ids_next(&row.cpus, -1);
	     cpu >= 0 && n < STREAM_THREADS_MAX;
	     cpu = kn_ids_next(&row.cpus, cpu))
		kn_ids_add(&s[n++].home.cpus, cpu);
	stream.part_bytes = buffer_bytes / n / LINE * LINE;
	pthread_barrier_init(&stream.begin, NULL, n + 1);
	pthread_barrier_init(&stream.end, NULL, n + 1);
	for (unsigned i = 0; i < n; i++) {
		s[i].part = buffer + i * stream.part_bytes;
		if (pthread_create(&s[i].thread, NULL, run_stream, &s[i]))
			give_up("no more threads");
	}
	return n;
}

static void measure_pass(enum kn_measure_id id, double bytes)
{
	const uint64_t begin = now_ns();

	stream.pass = id == KN_MEASURE_read ? pass_read : pass_copy;
	do {
		uint64_t t;

		pthread_barrier_wait(&stream.begin);
		t = now_ns();
		pthread_barrier_wait(&stream.end);
		add_sample(id, now_ns() - t, bytes);
	} while (!is_done(id, begin));
}

static void measure_stream(unsigned measures, char *buffer)
{
	static struct streamer streamers[STREAM_THREADS_MAX];
	const unsigned n = start_streamers(streamers, buffer);
	const double bytes = (double)stream.part_bytes * n;

	if (measures & 1u << KN_MEASURE_read)
		measure_pass(KN_MEASURE_read, bytes);
	if (measures & 1u << KN_MEASURE_copy)
		measure_pass(KN_MEASURE_copy, bytes);
	stream.is_over = true;
	pthread_barrier_wait(&stream.begin);
	for (unsigned i = 0; i < n; i++)
		pthread_join(streamers[i].thread, NULL);
}

/* Where the buffer is; a system that does not tell leaves pages at 0. */
static void count_pages(char *buffer)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	const size_t n = buffer_bytes / page_bytes;
	int status[ASK];
	void *page[ASK];

	for (size_t i = 0; i < n; i += ASK) {
		const size_t part = n - i < ASK ? n - i : ASK;

		for (size_t k = 0; k < part; k++)
			page[k] = buffer + (i + k) * page_bytes;
		if (syscall(SYS_move_pages, 0, part, page, NULL, status, 0) < 0)
			return;
		for (size_t k = 0; k < part; k++) {
			result.pages += status[k] >= 0;
			result.off_node += status[k] >= 0 &&
					   status[k] != column.node;
		}
	}
}

static uint64_t huge_bytes(void)
{
	return kn_bench_file_bytes("/proc/self/smaps_rollup", "AnonHugePages:");
}

static void measure_buffer(unsigned measures)
{
	const uint64_t huge_before = huge_bytes();
	char *buffer = calls->buffer(buffer_bytes);
	uint64_t huge_after;

	if (!buffer)
		give_up("no memory for the buffer");
	make_cycle(buffer);
	huge_after = huge_bytes();
	if (huge_after > huge_before)
		result.huge_bytes = huge_after - huge_before;
	count_pages(buffer);
	if (measures & 1u << KN_MEASURE_latency)
		measure_chase(KN_MEASURE_latency, buffer);
	measure_stream(measures, buffer);
}

static void measure(unsigned measures)
{
	unsigned of_buffer = 0;

	for (int id = 0; id < KN_NR_MEASURES; id++) {
		if (!(measures & 1u << id))
			continue;
		if (kn_measures[id].kind == KN_KIND_PAIR)
			measure_pairs((enum kn_measure_id)id);
		else if (kn_measures[id].kind == KN_KIND_REMOTE)
			measure_remote((enum kn_measure_id)id);
		else
			of_buffer |= 1u << id;
	}
	if (of_buffer)
		measure_buffer(of_buffer);
}

/* "NODE:CPUS"; no CPUs are "NODE:-". */
static bool parse_home(struct home *h, const char *text)
{
	char *end;

	h->node = (int)strtol(text, &end, 10);
	if (*end != ':')
		return false;
	return !strcmp(end, ":-") || kn_ids_parse(&h->cpus, end + 1);
}

/* A node without memory is named to no allocator. */
static const char *open_for(unsigned measures, const char *library)
{
	const unsigned remote = 1u << KN_MEASURE_remote;

	return calls->open(library, measures == remote ? row.node : column.node,
			   measures & remote ? row.node : column.node,
			   buffer_bytes);
}

int kn_cell_child(int argc, char **argv)
{
	const unsigned which = argc == 7 ? (unsigned)atoi(argv[0]) : 0;
	const char *missing;
	unsigned measures;

	if (which >= KN_NR_CALLS || !kn_node_calls[which].open ||
	    !parse_home(&row, argv[5]) || !parse_home(&column, argv[6]))
		return EXIT_USAGE;
	calls = &kn_node_calls[which];
	measures = (unsigned)atoi(argv[2]);
	buffer_bytes = strtoul(argv[3], NULL, 10);
	limit_ms = (unsigned)atoi(argv[4]);
	bind_to(&row);
	missing = open_for(measures, argv[1]);
	if (missing)
		give_up(missing);
	measure(measures);
	return fwrite(&result, sizeof(result), 1, stdout) == 1 ? EXIT_DONE :
								 EXIT_FAILED;
}
