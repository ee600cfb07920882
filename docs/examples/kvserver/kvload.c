/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvload.c - load for a kvserver, that knows what each answer has to be
 *
 * Each client has a connection, a thread and keys of its own, whose values only
 * it sets.  A value follows from its key and its version, to the last byte, so:
 *   - what a client reads of its own keys is what it has set last;
 *   - what it reads of another's is some version of that key, and whole: memory
 *     that was freed under a reader would show here;
 *   - counters that all clients add to have the sum of all that was added: an
 *     update that was lost would show here.
 */
#define pr_fmt(fmt) "kvload: " fmt

#include <argp.h>
#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <knuma/version.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/string.h>

#include "docs/examples/kvserver/net.h"
#include "docs/examples/kvserver/proto.h"

#define EXIT_FAILED   1
#define EXIT_USAGE    2

#define NR_COUNTERS   16
#define COUNTER_KEYS  ((u64)1 << 63)
#define VALUE_MIN     16 /* key and version */
#define ADDED_MAX     1000
#define DEL_PERCENT   5
#define ADD_PERCENT   5
#define OTHER_PERCENT 20
#define SETS_MAX      (100 - DEL_PERCENT - ADD_PERCENT - OTHER_PERCENT)

struct options {
	const char *address;
	unsigned int clients;
	unsigned int ops;
	unsigned int keys;
	unsigned int sets;
	unsigned int bytes;
};

struct client {
	const struct options *options;
	pthread_t thread;
	unsigned int id;
	int fd;
	int error; /* 0, or -errno after a message */
	u64 seed;
	u64 *versions;		/* of its keys; 0 for none */
	u64 last_version;	/* that it has set */
	u64 added[NR_COUNTERS]; /* by this client */
	u64 seen[NR_COUNTERS];	/* largest sum that it was told */
	unsigned long nr_ops;
	char out[sizeof(struct kv_request) + KV_VALUE_MAX];
	char in[KV_VALUE_MAX];
	char want[KV_VALUE_MAX];
};

/* splitmix64 */
static u64 next_random(u64 *seed)
{
	u64 x = *seed += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static unsigned int below(struct client *c, unsigned int n)
{
	return (unsigned int)(next_random(&c->seed) % n);
}

static u64 key_of(unsigned int client, unsigned int i)
{
	return (u64)client << 32 | i;
}

/* Version @version of the value of @key.  Return: its length. */
static u32 make_value(const struct client *c, u64 key, u64 version, char *buf)
{
	u64 seed = key ^ version << 20;
	const unsigned int room = c->options->bytes - VALUE_MIN;
	const u32 len =
		VALUE_MIN + (u32)(next_random(&seed) % (room + 1)) / 8 * 8;

	memcpy(buf, &key, sizeof(key));
	memcpy(buf + sizeof(key), &version, sizeof(version));
	for (u32 i = VALUE_MIN; i < len; i += sizeof(seed)) {
		const u64 word = next_random(&seed);

		memcpy(buf + i, &word, sizeof(word));
	}
	return len;
}

/* Return: -errno after a message. */
static int lost(struct client *c, const char *what)
{
	const int error = errno ? errno : ECONNRESET;

	pr_err("client %u: %s: %s\n", c->id, what, strerror(error));
	return -error;
}

/* Return: -EBADMSG after a message. */
static int wrong(struct client *c, u64 key, const char *what)
{
	pr_err("client %u: key %#llx: %s\n", c->id, (unsigned long long)key,
	       what);
	return -EBADMSG;
}

static int send_all(struct client *c, size_t len)
{
	for (size_t at = 0; at < len;) {
		const ssize_t n =
			send(c->fd, c->out + at, len - at, MSG_NOSIGNAL);

		if (n < 0)
			return lost(c, "send");
		at += (size_t)n;
	}
	return 0;
}

static int receive_all(struct client *c, void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n;

		errno = 0;
		n = recv(c->fd, (char *)buf + at, len - at, 0);
		if (n <= 0)
			return lost(c, "recv");
		at += (size_t)n;
	}
	return 0;
}

/* The answer's bytes come to c->in.  Return: 0 or -errno. */
static int receive(struct client *c, struct kv_answer *a)
{
	int error = receive_all(c, a, sizeof(*a));

	if (error)
		return error;
	a->status = le32toh(a->status);
	a->len = le32toh(a->len);
	if (a->len > KV_VALUE_MAX)
		return wrong(c, 0, "an answer that is too long");
	return receive_all(c, c->in, a->len);
}

/* Return: 0 or -errno. */
static int ask(struct client *c, enum kv_op op, u64 key, const void *bytes,
	       u32 len, struct kv_answer *a)
{
	const struct kv_request r = {
		.op = htole32(op),
		.len = htole32(len),
		.key = htole64(key),
	};
	int error;

	memcpy(c->out, &r, sizeof(r));
	if (len)
		memcpy(c->out + sizeof(r), bytes, len);
	error = send_all(c, sizeof(r) + len);
	if (error)
		return error;
	c->nr_ops++;
	return receive(c, a);
}

static int do_set(struct client *c, unsigned int i)
{
	const u64 key = key_of(c->id, i), version = ++c->last_version;
	const u32 len = make_value(c, key, version, c->want);
	struct kv_answer a;
	const int error = ask(c, KV_SET, key, c->want, len, &a);

	if (error)
		return error;
	if (a.status == KV_NO_MEMORY)
		return wrong(c, key, "the server has no memory");
	if (a.status != KV_OK || a.len)
		return wrong(c, key, "SET was refused");
	c->versions[i] = version;
	return 0;
}

static int do_del(struct client *c, unsigned int i)
{
	const u64 key = key_of(c->id, i);
	struct kv_answer a;
	const int error = ask(c, KV_DEL, key, NULL, 0, &a);

	if (error)
		return error;
	if (a.status != (c->versions[i] ? KV_OK : KV_MISSING))
		return wrong(c, key, "DEL of what is not there, or is");
	c->versions[i] = 0;
	return 0;
}

static int do_get(struct client *c, unsigned int i)
{
	const u64 key = key_of(c->id, i);
	struct kv_answer a;
	const int error = ask(c, KV_GET, key, NULL, 0, &a);
	u32 len;

	if (error)
		return error;
	if (!c->versions[i])
		return a.status == KV_MISSING ?
			       0 :
			       wrong(c, key, "is there after its DEL");
	if (a.status != KV_OK)
		return wrong(c, key, "is not there after its SET");
	len = make_value(c, key, c->versions[i], c->want);
	if (a.len != len || memcmp(c->in, c->want, len))
		return wrong(c, key, "is not what was set last");
	return 0;
}

/* A key that another client may be changing. */
static int do_get_other(struct client *c, unsigned int i)
{
	const u64 key = key_of(below(c, c->options->clients), i);
	struct kv_answer a;
	const int error = ask(c, KV_GET, key, NULL, 0, &a);
	u64 version;
	u32 len;

	if (error || a.status == KV_MISSING)
		return error;
	if (a.status != KV_OK || a.len < VALUE_MIN)
		return wrong(c, key, "is too short to be a value");
	memcpy(&version, c->in + sizeof(key), sizeof(version));
	len = make_value(c, key, version, c->want);
	if (a.len != len || memcmp(c->in, c->want, len))
		return wrong(c, key, "is no value of this key");
	return 0;
}

/* Return: 0 or -errno; @sum is what the server tells. */
static int add(struct client *c, unsigned int counter, u64 delta, u64 *sum)
{
	const u64 key = COUNTER_KEYS | counter, bytes = htole64(delta);
	struct kv_answer a;
	const int error = ask(c, KV_ADD, key, &bytes, sizeof(bytes), &a);

	if (error)
		return error;
	if (a.status != KV_OK || a.len != sizeof(*sum))
		return wrong(c, key, "ADD was refused");
	memcpy(sum, c->in, sizeof(*sum));
	*sum = le64toh(*sum);
	return 0;
}

static int do_add(struct client *c, unsigned int counter)
{
	const u64 delta = 1 + below(c, ADDED_MAX);
	u64 sum = 0;
	const int error = add(c, counter, delta, &sum);

	if (error)
		return error;
	c->added[counter] += delta;
	if (sum < c->seen[counter] + delta)
		return wrong(c, COUNTER_KEYS | counter, "went back");
	c->seen[counter] = sum;
	return 0;
}

static int do_one(struct client *c)
{
	const unsigned int i = below(c, c->options->keys);
	unsigned int percent = below(c, 100);

	if (percent < DEL_PERCENT)
		return do_del(c, i);
	percent -= DEL_PERCENT;
	if (percent < ADD_PERCENT)
		return do_add(c, i % NR_COUNTERS);
	percent -= ADD_PERCENT;
	if (percent < OTHER_PERCENT)
		return do_get_other(c, i);
	percent -= OTHER_PERCENT;
	return percent < c->options->sets ? do_set(c, i) : do_get(c, i);
}

static void *run_client(void *arg)
{
	struct client *c = arg;

	for (unsigned int i = 0; i < c->options->ops && !c->error; i++)
		c->error = do_one(c);
	/* Each key once more, when nobody sets it. */
	for (unsigned int i = 0; i < c->options->keys && !c->error; i++)
		c->error = do_get(c, i);
	return NULL;
}

/* What an earlier load has left goes away. */
static int clean(struct client *c)
{
	struct kv_answer a;
	int error = 0;

	for (unsigned int i = 0; i < c->options->keys && !error; i++)
		error = ask(c, KV_DEL, key_of(c->id, i), NULL, 0, &a);
	for (unsigned int i = 0; i < NR_COUNTERS && !error; i++)
		error = ask(c, KV_DEL, COUNTER_KEYS | i, NULL, 0, &a);
	return error;
}

/* Return: 0; -errno after a message. */
static int client_init(struct client *c, const struct options *o,
		       unsigned int id)
{
	c->options = o;
	c->id = id;
	c->seed = id;
	c->versions = kvcalloc(o->keys, sizeof(c->versions[0]), GFP_KERNEL);
	if (!c->versions) {
		pr_err("no memory for %u keys\n", o->keys);
		return -ENOMEM;
	}
	c->fd = net_connect(o->address);
	return c->fd < 0 ? -ECONNREFUSED : clean(c);
}

static void client_end(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	kvfree(c->versions);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* Return: 0; -errno after a message. */
static int run_all(struct client *clients, unsigned int n)
{
	unsigned int started = 0;
	int error = 0;

	while (started < n && !error) {
		error = -pthread_create(&clients[started].thread, NULL,
					run_client, &clients[started]);
		if (error)
			pr_err("client %u: %s\n", started, strerror(-error));
		else
			started++;
	}
	while (started--) {
		pthread_join(clients[started].thread, NULL);
		if (clients[started].error)
			error = clients[started].error;
	}
	return error;
}

/* The sums of what all clients have added.  Return: 0 or -errno. */
static int check_counters(struct client *clients, unsigned int n)
{
	for (unsigned int k = 0; k < NR_COUNTERS; k++) {
		u64 want = 0, sum = 0;
		const int error = add(&clients[0], k, 0, &sum);

		if (error)
			return error;
		for (unsigned int i = 0; i < n; i++)
			want += clients[i].added[k];
		if (sum != want)
			return wrong(&clients[0], COUNTER_KEYS | k,
				     "has lost an update");
	}
	return 0;
}

/* What the server tells of its memory.  Return: 0 or -errno. */
static int print_server(struct client *c)
{
	struct kv_answer a;
	const int error = ask(c, KV_STATS, 0, NULL, 0, &a);

	if (error)
		return error;
	if (a.status != KV_OK)
		return wrong(c, 0, "STATS was refused");
	for (char *row = c->in, *end = c->in + a.len; row < end;) {
		const char *newline = memchr(row, '\n', (size_t)(end - row));
		const int len = (int)((newline ? newline : end) - row);

		printf("server: %.*s\n", len, row);
		row += len + 1;
	}
	return 0;
}

static int load(struct client *clients, const struct options *o)
{
	unsigned long nr_ops = 0;
	u64 start_ns, ns;
	int error = 0;

	for (unsigned int i = 0; i < o->clients && !error; i++)
		error = client_init(&clients[i], o, i);
	if (error)
		return error;
	for (unsigned int i = 0; i < o->clients; i++)
		clients[i].nr_ops = 0;
	start_ns = now_ns();
	error = run_all(clients, o->clients);
	ns = now_ns() - start_ns;
	if (!error)
		error = check_counters(clients, o->clients);
	if (!error)
		error = print_server(&clients[0]);
	if (error)
		return error;
	for (unsigned int i = 0; i < o->clients; i++)
		nr_ops += clients[i].nr_ops;
	printf("%lu operations of %u clients, %.0f a second, all verified\n",
	       nr_ops, o->clients, (double)nr_ops * 1e9 / (double)ns);
	return 0;
}

static int load_all(const struct options *o)
{
	struct client *clients =
		kvcalloc(o->clients, sizeof(*clients), GFP_KERNEL);
	int error;

	if (!clients) {
		pr_err("no memory for %u clients\n", o->clients);
		return EXIT_USAGE;
	}
	for (unsigned int i = 0; i < o->clients; i++)
		clients[i].fd = -1;
	error = load(clients, o);
	for (unsigned int i = 0; i < o->clients; i++)
		client_end(&clients[i]);
	kvfree(clients);
	if (error == -EBADMSG)
		return EXIT_FAILED;
	return error ? EXIT_USAGE : 0;
}

static const struct argp_option options[] = {
	{"connect", 'c', "ADDRESS", 0,
	 "HOST:PORT, or a path with a slash; default localhost:7878", 0},
	{"clients", 'n', "N", 0, "Connections, default 4", 0},
	{"ops", 'o', "N", 0, "Operations of each client, default 100000", 0},
	{"keys", 'k', "N", 0, "Keys of each client, default 1000", 0},
	{"sets", 's', "PERCENT", 0,
	 "Operations that set a value, 0 to 70, default 20", 0},
	{"bytes", 'b', "N", 0, "Longest value, 16 to 4096, default 512", 0},
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

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->address = arg;
		return 0;
	case 'n':
		o->clients = number(state, arg, 1, 10000);
		return 0;
	case 'o':
		o->ops = number(state, arg, 1, 1000000000);
		return 0;
	case 'k':
		o->keys = number(state, arg, 1, 100000000);
		return 0;
	case 's':
		o->sets = number(state, arg, 0, SETS_MAX);
		return 0;
	case 'b':
		o->bytes = number(state, arg, VALUE_MIN, KV_VALUE_MAX);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Load for a kvserver.  5 % of the operations delete, 5 % add to "
	       "counters, 20 % read keys that other clients change; the rest "
	       "sets and reads keys of the client's own.\v"
	       "One load at a time: it begins by deleting its keys.  Exit "
	       "code: 1 when an answer was wrong, 2 on wrong usage or without "
	       "a connection.",
};

const char *argp_program_version = "kvload (knuma " KNUMA_VERSION_STRING ")";

int main(int argc, char **argv)
{
	struct options o = {
		.address = "localhost:7878",
		.clients = 4,
		.ops = 100000,
		.keys = 1000,
		.sets = 20,
		.bytes = 512,
	};

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	return load_all(&o);
}
