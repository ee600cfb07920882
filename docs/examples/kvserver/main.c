/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - options, begin and end of the server
 *
 * What it teaches: the order in which a program ends that has used kfree_rcu().
 *   1. Nobody reads or updates any more: server_run() has joined all threads.
 *   2. What is left in the table is given to kfree_rcu().
 *   3. kvfree_rcu_barrier(): all that was deferred is free.
 *   4. kmem_cache_destroy(), which reports objects that are still in use.
 *   5. knuma's statistics say that nothing is held.
 */
#define pr_fmt(fmt) "kvserver: " fmt

#include <argp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <knuma/version.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/numa.h>
#include <knuma/linux/string.h>

#include "docs/examples/kvserver/bench.h"
#include "docs/examples/kvserver/conn.h"
#include "docs/examples/kvserver/memory.h"
#include "docs/examples/kvserver/net.h"
#include "docs/examples/kvserver/proto.h"

#define EXIT_USAGE	2
#define ACCEPT_PAUSE_US 100000

struct arguments {
	const char *address;
	bool bench;
	struct bench_options options;
};

enum {
	OPT_BENCH = 256,
	OPT_ROUNDS,
	OPT_READERS,
	OPT_MS,
	OPT_KEYS,
	OPT_BYTES,
	OPT_UPDATES
};

static const struct argp_option options[] = {
	{"listen", 'l', "ADDRESS", 0,
	 "HOST:PORT, or a path with a slash; default localhost:7878", 0},
	{"bench", OPT_BENCH, NULL, 0,
	 "No server: measure what kfree_rcu() costs readers of the table", 0},
	{NULL, 0, NULL, 0, "With --bench:", 1},
	{"rounds", OPT_ROUNDS, "N", 0, "5 to 999, default 9", 0},
	{"readers", OPT_READERS, "N", 0,
	 "Threads that look up; default one less than CPUs", 0},
	{"ms", OPT_MS, "N", 0, "Of one measurement, default 500", 0},
	{"keys", OPT_KEYS, "N", 0, "Values in the table, default 10000", 0},
	{"bytes", OPT_BYTES, "N", 0, "Of a value, a multiple of 8, default 128",
	 0},
	{"updates", OPT_UPDATES, "N", 0,
	 "A second, 0 for no limit; default 100000", 0},
	{0},
};

static unsigned int number(struct argp_state *state, const char *arg,
			   unsigned long low, unsigned long high)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || n < low || n > high)
		argp_error(state, "'%s' is no number from %lu to %lu", arg, low,
			   high);
	return (unsigned int)n;
}

static error_t parse_bench(int key, char *arg, struct argp_state *state)
{
	struct bench_options *o = &((struct arguments *)state->input)->options;

	switch (key) {
	case OPT_ROUNDS:
		o->rounds =
			number(state, arg, BENCH_ROUNDS_MIN, BENCH_ROUNDS_MAX);
		return 0;
	case OPT_READERS:
		o->readers = number(state, arg, 1, 4096);
		return 0;
	case OPT_MS:
		o->ms = number(state, arg, 1, 60000);
		return 0;
	case OPT_KEYS:
		o->keys = number(state, arg, 1, 100000000);
		return 0;
	case OPT_BYTES:
		o->bytes = number(state, arg, 8, KV_VALUE_MAX);
		if (o->bytes % 8)
			argp_error(state, "'%s' is no multiple of 8", arg);
		return 0;
	case OPT_UPDATES:
		o->updates = number(state, arg, 0, 100000000);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'l':
		a->address = arg;
		return 0;
	case OPT_BENCH:
		a->bench = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option", arg);
		return 0;
	default:
		return parse_bench(key, arg, state);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "A key-value server on liburcu's " KV_FLAVOR
	       " whose values are freed by kfree_rcu(); kvload is its client.\v"
	       "SIGTERM and SIGINT end it.  Exit code: 1 when memory was not "
	       "given back or a measurement failed, 2 on wrong usage or when "
	       "it cannot listen.",
};

const char *argp_program_version = "kvserver (knuma " KNUMA_VERSION_STRING ")";

/*
 * Return: a descriptor; -1 when the client has left, or after a message when
 *         the system has no room, and a pause so that some can end.
 */
static int accept_one(const struct server *s, int flags)
{
	const int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | flags);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		       errno == ENOMEM)) {
		pr_err("accept: %s\n", strerror(errno));
		usleep(ACCEPT_PAUSE_US);
	}
	return fd;
}

void server_accept_all(struct server *s, int flags,
		       void (*take)(struct server *s, int fd, void *arg),
		       void *arg)
{
	struct pollfd fds[] = {
		{.fd = s->stop_fd, .events = POLLIN},
		{.fd = s->listen_fd, .events = POLLIN},
	};

	for (;;) {
		int fd;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			pr_err("poll: %s\n", strerror(errno));
			return;
		}
		if (fds[0].revents)
			return;
		fd = accept_one(s, flags);
		if (fd >= 0)
			take(s, fd, arg);
	}
}

/*
 * Before the first thread, which inherits the mask.
 * Return: a descriptor that SIGTERM and SIGINT make readable; -1 and errno.
 */
static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Where the values lie. */
static void print_nodes(struct store *s)
{
	int node;

	for_each_memory_node(node)
		pr_info("%lu values on node %d\n", store_count(s, node), node);
}

static void print_memory(void)
{
	char text[1024], *row, *rest = text;

	memory_text(text, sizeof(text));
	while ((row = strsep(&rest, "\n"))) {
		if (*row)
			pr_info("%s\n", row);
	}
}

static void empty_table(struct store *s)
{
	rcu_register_thread();
	print_nodes(s);
	store_free(s);
	rcu_unregister_thread();
}

/* Return: 0; -errno after a message. */
static int serve(struct server *s)
{
	int error = -ENOMEM;

	s->conns = KMEM_CACHE(conn, SLAB_HWCACHE_ALIGN);
	s->store = store_new(0);
	if (s->conns && s->store)
		error = server_run(s);
	else
		pr_err("no memory for an empty table\n");
	if (s->store)
		empty_table(s->store);
	kvfree_rcu_barrier();
	kmem_cache_destroy(s->conns);
	return error;
}

/* Return: an exit code. */
static int check_memory(u64 held_before)
{
	const u64 held = memory_held();

	print_memory();
	if (held > held_before) {
		pr_err("%llu bytes were not given back\n",
		       (unsigned long long)(held - held_before));
		return EXIT_FAILURE;
	}
	pr_info("all memory was given back\n");
	return EXIT_SUCCESS;
}

/* Return: an exit code. */
static int run_server(const char *address)
{
	const u64 held_before = memory_held();
	struct server s = {.stop_fd = block_signals()};
	int error;

	if (s.stop_fd < 0) {
		pr_err("signals: %s\n", strerror(errno));
		return EXIT_USAGE;
	}
	s.listen_fd = net_listen(address);
	if (s.listen_fd < 0) {
		close(s.stop_fd);
		return EXIT_USAGE;
	}
	pr_info("%s, listening on %s\n", KV_FLAVOR, address);
	error = serve(&s);
	net_unlisten(address);
	close(s.listen_fd);
	close(s.stop_fd);
	if (error)
		return EXIT_USAGE;
	pr_info("%lu requests\n", s.requests);
	return check_memory(held_before);
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.address = "localhost:7878",
		.options =
			{
				.rounds = 9,
				.readers = (unsigned int)max(
					1L, sysconf(_SC_NPROCESSORS_ONLN) - 1),
				.ms = 500,
				.keys = 10000,
				.bytes = 128,
				.updates = 100000,
			},
	};

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return a.bench ? bench_run(&a.options) : run_server(a.address);
}
