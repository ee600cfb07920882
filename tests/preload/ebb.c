/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with one thread, whose load comes and goes and that then does nothing.
 *
 *   ebb burst KIB SIZE  allocates 64 MiB of objects of up to SIZE bytes, frees
 *                       them, and makes no call of the allocator any more: at
 *                       most KIB more in memory than before
 *   ebb realloc KIB SIZE  the same of one block, which realloc makes that small
 *   ebb waves           the same again and again: the last of them makes hardly any
 *                       page fault
 *   ebb handlers        the load goes in signal handlers, which is for no program
 *                       to do, and yet must not hang it
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#define BURST ((size_t)64 << 20)
#define MOST  200000

static char *object[MOST];
static unsigned seed = 1;

/* Exact, which the figures of statm and status are not. */
static long resident_kib(void)
{
	char text[4096];
	const int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *rss;

	if (n < 0)
		exit(2);
	close(fd);
	text[n] = 0;
	rss = strstr(text, "Rss:");
	if (!rss)
		exit(2);
	return strtol(rss + 4, NULL, 10);
}

static size_t fill(size_t most)
{
	size_t n = 0;

	for (size_t bytes = 0; bytes < BURST && n < MOST; n++) {
		size_t size;

		seed = seed * 1103515245 + 12345;
		size = most / 4 + (seed >> 8) % (most - most / 4);
		object[n] = malloc(size);
		memset(object[n], 1, size);
		bytes += size;
	}
	return n;
}

static void ebb(size_t n)
{
	while (n)
		free(object[--n]);
}

static int burst(long most_kib, size_t size)
{
	long before, more;

	free(malloc(size));
	before = resident_kib();
	ebb(fill(size));
	more = resident_kib() - before;
	printf("%ld KiB more than before\n", more);
	return more > most_kib;
}

static int shrink(long most_kib, size_t size)
{
	long before, more;
	char *p;

	free(malloc(1000));
	before = resident_kib();
	p = malloc(BURST);
	memset(p, 1, BURST);
	p = realloc(p, size);
	more = resident_kib() - before;
	free(p);
	printf("%ld KiB more than before\n", more);
	return more > most_kib;
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

static int waves(void)
{
	long before = 0, last;

	for (int i = 0; i < 6; i++) {
		before = faults();
		ebb(fill(2000));
	}
	last = faults() - before;
	printf("%ld page faults in the last wave\n", last);
	return last > (long)(BURST >> 12) / 10;
}

static volatile sig_atomic_t nr_left;

/* The next one comes when this one has ended. */
static void soon(void)
{
	const struct itimerval it = {{0, 0}, {0, 100}};

	setitimer(ITIMER_REAL, &it, NULL);
}

static void free_one(int sig)
{
	(void)sig;
	nr_left--;
	free(object[nr_left]);
	if (nr_left)
		soon();
}

static int handlers(void)
{
	signal(SIGALRM, free_one);
	for (int round = 0; round < 2; round++) {
		size_t n = 0;

		for (; n < 2000; n++) {
			object[n] = malloc(20000);
			memset(object[n], 1, 20000);
		}
		nr_left = (sig_atomic_t)n;
		soon();
		while (nr_left) {
			char *p = malloc(48);

			*(volatile char *)p = 1;
			free(p);
		}
	}
	puts("all freed");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "burst"))
		return burst(atol(argv[2]), (size_t)atol(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "realloc"))
		return shrink(atol(argv[2]), (size_t)atol(argv[3]));
	if (argc == 2 && !strcmp(argv[1], "handlers"))
		return handlers();
	if (argc == 2 && !strcmp(argv[1], "waves"))
		return waves();
	return 2;
}
