/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forks FORKS THREADS
 *
 * Threads allocate while the main thread forks, and vforks children that
 * allocate, which on their parent's magazines would hand objects out twice.
 * Then threads that allocate once: nothing is kept for a thread.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECTS 64

static volatile int stop;
static int bad;

/* Each object carries its owner's mark while it is owned. */
static void churn(uint64_t mark, int rounds)
{
	uint64_t *p[OBJECTS];

	for (int r = 0; r < rounds; r++) {
		for (int i = 0; i < OBJECTS; i++) {
			p[i] = malloc((size_t)16 << i % 6);
			p[i][0] = mark + (uint64_t)i;
			p[i][1] = ~p[i][0];
		}
		for (int i = 0; i < OBJECTS; i++) {
			if (p[i][0] != mark + (uint64_t)i || p[i][1] != ~p[i][0])
				__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
			free(p[i]);
		}
	}
}

static void *worker(void *arg)
{
	while (!stop)
		churn((uint64_t)(uintptr_t)arg << 32, 10);
	return NULL;
}

static void *once(void *arg)
{
	churn((uint64_t)(uintptr_t)arg << 32, 1);
	return NULL;
}

static int children(pid_t (*make)(void), int n)
{
	int failed = 0;

	for (int i = 0; i < n; i++) {
		int status = 0;
		const pid_t child = make();

		if (!child) {
			churn(0x5000000000000000u, 20);
			_exit(bad != 0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			failed++;
	}
	return failed;
}

static long rss_kib(void)
{
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void waves(int n)
{
	pthread_t t[50];

	for (int w = 0; w < n; w++) {
		for (uintptr_t i = 0; i < 50; i++)
			pthread_create(&t[i], NULL, once, (void *)(i + 1));
		for (int i = 0; i < 50; i++)
			pthread_join(t[i], NULL);
	}
}

int main(int argc, char **argv)
{
	const int forks = argc == 3 ? atoi(argv[1]) : 0;
	const int threads = argc == 3 ? atoi(argv[2]) : 0;
	pthread_t t[3];
	int failed;
	long before, after;

	if (forks < 10 || threads < 1000)
		return 2;
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	failed = children(fork, forks) + children(vfork, forks / 5);
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	waves(10);
	before = rss_kib();
	waves(threads / 50);
	after = rss_kib();
	printf("children failed: %d of %d; overwritten objects: %d; RSS before "
	       "and after %d threads: %ld, %ld KiB\n", failed,
	       forks + forks / 5, bad, threads, before, after);
	return failed || bad || after > before + 2048;
}
