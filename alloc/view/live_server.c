/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/live_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/lock.h"
#include "alloc/config/tunables.h"
#include "alloc/view/live_path.h"
#include "alloc/view/requests.h"
#include "numa/machine.h"

/* Most answers fit; a longer one is made again, up to the second. */
#define ANSWER_FIRST ((size_t)256 << 10)
#define ANSWER_MAX   ((size_t)256 << 20)

/* Before what the system refused is asked for again: L5. */
#define REST_MS	     100

/* A descriptor, and the socket that it was: L2. */
struct sock {
	int fd;
	dev_t dev;
	ino_t ino;
};

struct client {
	struct sock sock;
	uint64_t since_ms;   /* of what it is at */
	uint32_t got;	     /* bytes of @line */
	bool too_long;	     /* drops what comes until the end of the line */
	bool ended;	     /* sends no more */
	char *answer;	     /* a mapping; NULL: none is under way */
	size_t answer_bytes; /* of the mapping */
	size_t len, sent;
	char line[KN_LIVE_LINE];
};

unsigned kn_live_look_ms = 10000;
unsigned kn_live_under_way_ms = 5000;
unsigned kn_live_idle_ms = 60000;

/* L1 */
static struct kn_lock lock = KN_LOCK_INIT(live);
static struct sock listener = {.fd = -1};
static struct client clients[KN_LIVE_CLIENTS];
static uint32_t nr_clients;    /* lock */
static uint64_t rest_until_ms; /* nobody is taken before */

/* Where: a template with %p, or a folder. */
static char place[KN_LIVE_PATH];
static bool place_is_folder;
static char path[KN_LIVE_PATH];
static struct stat path_stat;
static int path_pid; /* whose @path is; 0: nobody's; lock */
static bool ended;   /* no name is made any more; lock */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Descriptors: all under the lock. */

static bool identify(struct sock *s, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	*s = (struct sock){fd, st.st_dev, st.st_ino};
	return true;
}

static bool is_still(const struct sock *s)
{
	struct stat st;

	return s->fd >= 0 && !fstat(s->fd, &st) && st.st_dev == s->dev &&
	       st.st_ino == s->ino;
}

static void close_locked(struct sock *s)
{
	if (is_still(s))
		close(s->fd);
	s->fd = -1;
}

static void close_sock(struct sock *s)
{
	kn_lock(&lock);
	close_locked(s);
	kn_unlock(&lock);
}

void kn_live_lock(void)
{
	kn_lock(&lock);
}

void kn_live_unlock(void)
{
	kn_unlock(&lock);
}

void kn_live_abandon(void)
{
	kn_lock_reset(&lock);
	close_locked(&listener);
	for (uint32_t i = 0; i < nr_clients; i++) {
		close_locked(&clients[i].sock);
		if (clients[i].answer)
			kn_machine.munmap(clients[i].answer,
					  clients[i].answer_bytes);
	}
	nr_clients = 0;
	/* The name is the parent's. */
	path_pid = 0;
}

/* Where the socket goes. */

void kn_live_place(void)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

	if (strcmp(kn_tun.socket, "yes") != 0) {
		if (strlen(kn_tun.socket) < sizeof(place))
			strcpy(place, kn_tun.socket);
		return;
	}
	place_is_folder = true;
	for (int i = 0; i < KN_LIVE_FOLDERS; i++)
		if (kn_live_folder(i, geteuid(), runtime, place,
				   sizeof(place)) &&
		    kn_private_folder(place))
			return;
	place[0] = '\0';
}

static bool find_path(void)
{
	if (!place[0] && place_is_folder)
		kn_print("socket = yes: no folder for it that is this user's "
			 "alone (XDG_RUNTIME_DIR, /tmp/knuma-%u); socket can "
			 "be a path",
			 geteuid());
	else if (!place[0])
		kn_print("socket = %s: longer than %d bytes; take a shorter "
			 "path",
			 kn_tun.socket, KN_LIVE_PATH - 1);
	else if (place[0] != '/')
		kn_print("socket = %s: neither yes, no, nor a path that "
			 "begins with /",
			 place);
	if (place[0] != '/')
		return false;
	if (place_is_folder) {
		snprintf(path, sizeof(path), "%.80s/%d.sock", place, getpid());
		if (strlen(place) <= 80)
			return true;
	} else if (kn_path_of_process(place, getpid(), path, sizeof(path))) {
		return true;
	}
	kn_print("socket = %s: the name of the socket is longer than %d "
		 "bytes; take a shorter path",
		 place, KN_LIVE_PATH - 1);
	return false;
}

/* Whether a process listens at @a. */
static bool is_served(const struct sockaddr_un *a)
{
	const int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	if (fd < 0)
		return true; /* not known: leave it alone */
	/* Full is served, too. */
	served = !connect(fd, (const struct sockaddr *)a, sizeof(*a)) ||
		 errno != ECONNREFUSED;
	close(fd);
	errno = EADDRINUSE;
	return served;
}

/* What a process left behind that did not end by itself. */
static bool remove_stale(const struct sockaddr_un *a)
{
	struct stat st;

	return !lstat(a->sun_path, &st) && S_ISSOCK(st.st_mode) &&
	       st.st_uid == geteuid() && !is_served(a) && !unlink(a->sun_path);
}

/* bind(2) follows no link and takes nobody's place. */
static int bind_path(int fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, path);
	/* The mode of the name: less than umask leaves, from the first moment. */
	if (fchmod(fd, 0600))
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&a, sizeof(a)))
		return 0;
	if (errno != EADDRINUSE || !remove_stale(&a))
		return -errno;
	return bind(fd, (const struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
}

/* Numbers that programs count on stay theirs. */
#define FD_MIN 200

static int high_fd(int fd)
{
	const int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static int listen_at_path(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool bound;
	int err;

	if (fd < 0)
		return -errno;
	fd = high_fd(fd);
	err = bind_path(fd);
	bound = !err;
	if (!err && listen(fd, KN_LIVE_CLIENTS))
		err = -errno;
	if (!err && (!identify(&listener, fd) || lstat(path, &path_stat)))
		err = -errno;
	if (err && bound)
		unlink(path);
	if (err)
		close(fd);
	else
		path_pid = getpid();
	return err;
}

bool kn_live_open(void)
{
	int err = 0;

	if (!find_path())
		return false;
	kn_lock(&lock);
	if (!ended)
		err = listen_at_path();
	kn_unlock(&lock);
	if (err)
		kn_print("socket %s cannot be made: %s%s", path,
			 strerrordesc_np(-err),
			 err == -EADDRINUSE ?
				 "; another process or file has that name, "
				 "which can hold %p for the process" :
				 "; socket can be another path, or no");
	return listener.fd >= 0;
}

void kn_live_remove(void)
{
	struct stat st;

	kn_lock(&lock);
	ended = true;
	if (path_pid == getpid() && !lstat(path, &st) &&
	    st.st_dev == path_stat.st_dev && st.st_ino == path_stat.st_ino)
		unlink(path);
	kn_unlock(&lock);
}

/* Clients. */

/* Under the lock, so that a fork child knows what it has. */
static void drop_answer(struct client *c)
{
	kn_lock(&lock);
	if (c->answer)
		kn_machine.munmap(c->answer, c->answer_bytes);
	c->answer = NULL;
	kn_unlock(&lock);
}

static void drop_client(uint32_t i)
{
	struct client *c = &clients[i], *last;

	drop_answer(c);
	kn_lock(&lock);
	close_locked(&c->sock);
	last = &clients[--nr_clients];
	if (c != last)
		*c = *last;
	kn_unlock(&lock);
}

/* L4 */
static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

/* Says why at once, without memory, and with no second try. */
static void say_last(int fd, int err, const char *why)
{
	char buf[512];
	struct kn_text t = {buf, sizeof(buf), 0};

	kn_request_error(&t, err, "%s", why);
	(void)!send(fd, buf, KN_MIN(t.len, sizeof(buf) - 1),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void turn_away(int fd, int err, const char *why)
{
	say_last(fd, err, why);
	close(fd);
	kn_request_cost.refused++;
}

/* Who connects stays in the queue, and poll(2) says so until there is room. */
static void rest(int err)
{
	rest_until_ms = now_ms() + REST_MS;
	kn_warn_once("socket %s: nobody can be taken: %s; who connects waits%s",
		     path, strerrordesc_np(err),
		     err == EMFILE ? "; raise the limit on open files "
				     "(ulimit -n)" :
				     "");
}

/* False: nobody more waits, or can be taken. */
static bool accept_one(void)
{
	struct client *c = &clients[KN_MIN(nr_clients, KN_LIVE_CLIENTS - 1u)];
	const bool full = nr_clients == KN_LIVE_CLIENTS;
	int fd;

	kn_lock(&lock);
	fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		const int err = errno;

		kn_unlock(&lock);
		if (err != EAGAIN)
			rest(err);
		return false;
	}
	fd = high_fd(fd);
	if (!is_allowed(fd)) {
		turn_away(fd, EACCES,
			  "only the user of the process and root may ask");
	} else if (full) {
		turn_away(fd, EAGAIN,
			  "too many clients; end one of them, or "
			  "try again later");
	} else if (identify(&c->sock, fd)) {
		c->since_ms = now_ms();
		c->got = 0;
		c->too_long = false;
		c->ended = false;
		c->answer = NULL;
		nr_clients++;
	} else {
		close(fd);
	}
	kn_unlock(&lock);
	return true;
}

static bool map_answer(struct client *c, size_t bytes)
{
	char *p;

	drop_answer(c);
	kn_lock(&lock);
	p = kn_machine.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS);
	c->answer = kn_is_err(p) ? NULL : p;
	c->answer_bytes = bytes;
	kn_unlock(&lock);
	return c->answer != NULL;
}

/* Long answers are those of requests that change nothing: made a second time. */
static bool make_answer(struct client *c, char *line)
{
	char again[KN_LIVE_LINE];
	struct kn_text t;

	strcpy(again, line);
	if (!map_answer(c, ANSWER_FIRST))
		return false;
	t = (struct kn_text){c->answer, c->answer_bytes, 0};
	kn_request_answer(line, &t);
	if (t.len >= t.size) {
		const size_t bytes =
			KN_ALIGN_UP(t.len + t.len / 2, (size_t)4096);

		if (bytes > ANSWER_MAX || !map_answer(c, bytes))
			return false;
		t = (struct kn_text){c->answer, c->answer_bytes, 0};
		kn_request_answer(again, &t);
	}
	c->len = KN_MIN(t.len, t.size - 1);
	c->sent = 0;
	return true;
}

static bool answer_error(struct client *c, int err, const char *message)
{
	struct kn_text t;

	if (!map_answer(c, ANSWER_FIRST))
		return false;
	t = (struct kn_text){c->answer, c->answer_bytes, 0};
	kn_request_error(&t, err, "%s", message);
	c->len = t.len;
	c->sent = 0;
	return true;
}

/* Answers the line that ends at @end.  False: the client is of no use. */
static bool answer_line(struct client *c, char *end, size_t length)
{
	bool ok;

	*end = '\0';
	c->since_ms = now_ms();
	kn_request_cost.requests++;
	if (c->too_long)
		ok = answer_error(c, EMSGSIZE,
				  "a request has at most 4095 bytes");
	else if (strlen(c->line) < (size_t)(end - c->line))
		ok = answer_error(c, EINVAL,
				  "a request is text, without "
				  "bytes of 0");
	else
		ok = make_answer(c, c->line);
	if (!ok)
		say_last(c->sock.fd, ENOMEM,
			 "no memory for the answer; try "
			 "again later");
	c->too_long = false;
	c->got -= (uint32_t)length;
	memmove(c->line, c->line + length, c->got);
	return ok;
}

/* Answers the next line, if all of it is there. */
static bool next_line(struct client *c)
{
	char *end = memchr(c->line, '\n', c->got);

	if (c->answer)
		return true;
	if (end)
		return answer_line(c, end, (size_t)(end - c->line) + 1);
	if (c->got == sizeof(c->line)) {
		c->too_long = true;
		c->got = 0;
	}
	if (c->ended && (c->got || c->too_long)) {
		const uint32_t got = c->got;

		return answer_line(c, c->line + got, got);
	}
	return true;
}

static bool receive(struct client *c)
{
	const ssize_t n = recv(c->sock.fd, c->line + c->got,
			       sizeof(c->line) - c->got, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!n)
		c->ended = true;
	else if (!c->got && !c->too_long)
		c->since_ms = now_ms();
	c->got += (uint32_t)n;
	return true;
}

static bool send_answer(struct client *c)
{
	const ssize_t n = send(c->sock.fd, c->answer + c->sent,
			       c->len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += (size_t)n;
	if (c->sent == c->len) {
		drop_answer(c);
		c->since_ms = now_ms();
	}
	return true;
}

/* Requests that came together are answered one after the other. */
static bool client_step(struct client *c, short events)
{
	if (!is_still(&c->sock))
		return false;
	if (!c->answer && !c->ended && events & (POLLIN | POLLHUP) &&
	    !receive(c))
		return false;
	do {
		if (!next_line(c))
			return false;
		if (!c->answer)
			break;
		if (!send_answer(c))
			return false;
	} while (!c->answer);
	return c->answer || !c->ended;
}

static uint64_t deadline(const struct client *c)
{
	const bool under_way = c->answer || c->got || c->too_long;

	return c->since_ms +
	       (under_way ? kn_live_under_way_ms : kn_live_idle_ms);
}

static int wait_ms(int timeout_ms)
{
	const uint64_t now = now_ms();
	uint64_t wait = listener.fd < 0 ? UINT64_MAX : kn_live_look_ms;

	if (timeout_ms >= 0)
		wait = KN_MIN(wait, (uint64_t)timeout_ms);

	if (rest_until_ms > now)
		wait = KN_MIN(wait, rest_until_ms - now);
	for (uint32_t i = 0; i < nr_clients; i++) {
		const uint64_t at = deadline(&clients[i]);

		wait = KN_MIN(wait, at > now ? at - now : 0);
	}
	return (int)wait;
}

static uint32_t fill(struct pollfd *p)
{
	p[0] = (struct pollfd){
		.fd = now_ms() < rest_until_ms ? -1 : listener.fd,
		.events = POLLIN,
	};
	for (uint32_t i = 0; i < nr_clients; i++)
		p[i + 1] = (struct pollfd){
			.fd = clients[i].sock.fd,
			.events = clients[i].answer ? POLLOUT : POLLIN,
		};
	return nr_clients + 1;
}

/* It is refused where the limit on open files is below the number of clients. */
static void wait_for_events(struct pollfd *p, int timeout_ms)
{
	const struct timespec t = {.tv_nsec = REST_MS * 1000000L};
	const uint32_t n = fill(p);

	if (poll(p, n, wait_ms(timeout_ms)) >= 0)
		return;
	rest(errno == EINVAL ? EMFILE : errno);
	nanosleep(&t, NULL);
	for (uint32_t i = 0; i < n; i++)
		p[i].revents = 0;
}

/* False: the program closed the socket, and there is no other: L2. */
static bool keep_listening(void)
{
	if (listener.fd < 0 || is_still(&listener))
		return listener.fd >= 0;
	close_sock(&listener);
	return kn_live_open();
}

bool kn_live_serve(int timeout_ms)
{
	struct pollfd p[KN_LIVE_CLIENTS + 1];
	const bool listens = keep_listening();
	uint64_t now;

	/* Nobody is there, and nobody can come. */
	if (!listens && !nr_clients && timeout_ms < 0)
		return false;
	wait_for_events(p, timeout_ms);
	now = now_ms();
	/* From the last one on: who goes is replaced by the last. */
	for (uint32_t i = nr_clients; i-- > 0;)
		if ((p[i + 1].revents &&
		     !client_step(&clients[i], p[i + 1].revents)) ||
		    now >= deadline(&clients[i]))
			drop_client(i);
	if (listener.fd >= 0 && p[0].revents)
		while (is_still(&listener) && accept_one())
			;
	return listener.fd >= 0;
}
