/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/redis.c - redis-server under redis-benchmark
 *
 * A round is the life of one server: an empty store in a folder of its own, a
 * Unix socket and no TCP, a fixed number of requests.  CPU time is that of the
 * server's process while the requests run, from the kernel's clock of it.
 *
 * Debian's redis-server is linked with libjemalloc.so.2, so for jemalloc the
 * preload changes nothing; for glibc it puts libc's malloc in front.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/workload.h"

#define TESTS "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd"

enum {
	NR_TESTS = 11,
	REQUESTS = 100000,
	READY_S = 10,
	TIMEOUT_S = 120
};

struct server {
	char folder[64];
	char socket[80]; /* sun_path has 108 */
	struct kn_process process;
	clockid_t clock;
};

/* /tmp in any case: a socket's path is short. */
static bool make_folder(struct server *s)
{
	strcpy(s->folder, "/tmp/knuma-bench-XXXXXX");
	if (!mkdtemp(s->folder))
		return false;
	snprintf(s->socket, sizeof(s->socket), "%s/socket", s->folder);
	return true;
}

static bool accepts(const struct server *s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool done;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->socket);
	done = !connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return done;
}

/* False when it is not ready in time, or has ended. */
static bool wait_ready(const struct server *s)
{
	char output[4096];

	for (unsigned i = 0; i < READY_S * 200 && !kn_bench_stop; i++) {
		if (accepts(s))
			return true;
		if (!read(s->process.out, output, sizeof(output)))
			return false;
		usleep(5000);
	}
	return false;
}

static bool start(struct server *s, const struct kn_peer *peer)
{
	/* clang-format off */
	const char *argv[] = {
		"redis-server", "--port", "0", "--unixsocket", s->socket,
		"--dir", s->folder, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--logfile", "/dev/null", NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = argv[0],
		.argv = argv,
		.preload = peer->path,
		.quiet = true,
	};

	if (!kn_process_start(&s->process, &command))
		return false;
	if (wait_ready(s) && !clock_getcpuclockid(s->process.pid, &s->clock))
		return true;
	kn_process_kill(&s->process);
	return false;
}

static bool drive(const struct server *s, const struct kn_round *round,
		  unsigned requests, char why[KN_WHY_LEN])
{
	char n[16], bytes[16], output[1];
	/* clang-format off */
	const char *argv[] = {
		"redis-benchmark", "-s", s->socket, "-q", "-t", TESTS,
		"-n", n, "-d", bytes, "-r", "100000", "-P", "16", "-c", "50",
		NULL};
	/* clang-format on */
	const struct kn_command command = {
		.path = argv[0],
		.argv = argv,
		.quiet = true,
		.timeout_s = TIMEOUT_S,
	};
	size_t len;

	snprintf(n, sizeof(n), "%u", requests);
	snprintf(bytes, sizeof(bytes), "%zu", round->workload->size_bytes);
	return kn_process_run(&command, output, sizeof(output), &len, why);
}

static bool measure(const struct server *s, struct kn_round *round)
{
	const unsigned requests = round->quick ? REQUESTS / KN_QUICK : REQUESTS;
	struct kn_sample *sample = &round->sample;
	uint64_t cpu_ns, wall_ns;

	sample->rss_before_bytes = kn_bench_rss(s->process.pid);
	cpu_ns = kn_bench_clock(s->clock);
	wall_ns = kn_bench_clock(CLOCK_MONOTONIC);
	if (!drive(s, round, requests, round->why))
		return false;
	sample->ops = (uint64_t)requests * NR_TESTS;
	sample->cpu_ns = kn_bench_clock(s->clock) - cpu_ns;
	sample->process_cpu_ns = sample->cpu_ns;
	sample->wall_ns = kn_bench_clock(CLOCK_MONOTONIC) - wall_ns;
	sample->rss_after_bytes = kn_bench_rss(s->process.pid);
	sample->anon_after_bytes = kn_bench_anon(s->process.pid);
	sample->rss_peak_bytes = kn_bench_rss_peak(s->process.pid);
	return true;
}

bool kn_measure_redis(struct kn_round *round)
{
	struct server s;
	bool done;

	if (!make_folder(&s)) {
		snprintf(round->why, sizeof(round->why), "%s: %s", s.folder,
			 strerror(errno));
		return false;
	}
	done = start(&s, round->peer);
	if (done) {
		done = measure(&s, round);
		kn_process_kill(&s.process);
	} else {
		snprintf(round->why, sizeof(round->why),
			 "redis-server does not start");
	}
	unlink(s.socket);
	rmdir(s.folder);
	return done;
}
