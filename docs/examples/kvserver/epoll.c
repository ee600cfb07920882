/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.c - event loops of QSBR, one for each CPU
 *
 * What it teaches:
 *   - A reader of QSBR is inside a read section all the time that it is online,
 *     and rcu_read_lock() costs nothing.  So it has to say when it holds
 *     nothing: once in each turn of its loop, by rcu_quiescent_state().
 *   - Before it sleeps it goes offline.  One that slept online would hold up
 *     every grace period until its next event, and with that all memory that
 *     waits in kfree_rcu().
 *   - What a turn has found in the table ends with the turn.  Here nothing is
 *     kept: conn_step() copies.
 */
#define pr_fmt(fmt) "kvserver: " fmt

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/string.h>

#include "docs/examples/kvserver/conn.h"

#define NR_EVENTS 64

struct loop {
	struct server *server;
	struct cds_list_head conns;
	pthread_t thread;
	int epoll_fd;
	bool stop;
};

/* What epoll tells beside connections. */
static char listen_event, stop_event;

/* Return: 0 or -errno. */
static int watch(struct loop *l, int how, int fd, uint32_t events, void *what)
{
	struct epoll_event e = {.events = events, .data.ptr = what};

	return epoll_ctl(l->epoll_fd, how, fd, &e) ? -errno : 0;
}

static void drop(struct conn *c)
{
	cds_list_del(&c->list);
	conn_free(c); /* close() takes it out of epoll, too */
}

static void accept_conn(struct loop *l)
{
	const int fd = server_accept(l->server, SOCK_NONBLOCK);
	struct conn *c;
	int error;

	if (fd < 0)
		return; /* another loop was faster */
	c = conn_new(l->server, fd);
	if (!c) {
		pr_err("no memory for a connection\n");
		close(fd);
		return;
	}
	cds_list_add(&c->list, &l->conns);
	error = watch(l, EPOLL_CTL_ADD, fd, EPOLLIN, c);
	if (error) {
		pr_err("a connection cannot be watched: %s\n",
		       strerror(-error));
		drop(c);
	}
}

/* epoll asks for the other direction only when there is something to send. */
static void step(struct loop *l, struct conn *c, uint32_t events)
{
	const enum conn_wants wants = conn_step(c);
	int error = 0;

	if (wants == CONN_WRITES)
		error = watch(l, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
	else if (wants == CONN_READS && events & EPOLLOUT)
		error = watch(l, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
	if (wants == CONN_CLOSED || error)
		drop(c);
}

/* Events that are there already, else sleeps, offline. */
static int wait_events(struct loop *l, struct epoll_event *events)
{
	int n = epoll_wait(l->epoll_fd, events, NR_EVENTS, 0);

	if (n)
		return n;
	rcu_thread_offline();
	n = epoll_wait(l->epoll_fd, events, NR_EVENTS, -1);
	rcu_thread_online();
	return n;
}

static void handle(struct loop *l, const struct epoll_event *e)
{
	if (e->data.ptr == &stop_event)
		l->stop = true;
	else if (e->data.ptr == &listen_event)
		accept_conn(l);
	else
		step(l, e->data.ptr, e->events);
}

static void *run_loop(void *arg)
{
	struct epoll_event events[NR_EVENTS];
	struct loop *l = arg;
	struct conn *c, *next;

	rcu_register_thread();
	while (!l->stop) {
		const int n = wait_events(l, events);

		for (int i = 0; i < n; i++)
			handle(l, &events[i]);
		rcu_quiescent_state();
	}
	/* What a client has not taken by now it does not get. */
	cds_list_for_each_entry_safe(c, next, &l->conns, list) drop(c);
	rcu_unregister_thread();
	return NULL;
}

/* Return: 0 or -errno; nothing is left then. */
static int loop_start(struct loop *l, struct server *s)
{
	int error;

	l->server = s;
	l->stop = false;
	CDS_INIT_LIST_HEAD(&l->conns);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	/* The signal is never read, so that it wakes all loops. */
	error = watch(l, EPOLL_CTL_ADD, s->stop_fd, EPOLLIN, &stop_event);
	if (!error)
		error = watch(l, EPOLL_CTL_ADD, s->listen_fd,
			      EPOLLIN | EPOLLEXCLUSIVE, &listen_event);
	if (!error)
		error = -pthread_create(&l->thread, NULL, run_loop, l);
	if (error)
		close(l->epoll_fd);
	return error;
}

static void loop_join(struct loop *l)
{
	pthread_join(l->thread, NULL);
	close(l->epoll_fd);
}

int server_run(struct server *s)
{
	const size_t wanted = (size_t)max(1L, sysconf(_SC_NPROCESSORS_ONLN));
	struct loop *loops = kcalloc(wanted, sizeof(*loops), GFP_KERNEL);
	int error = loops ? 0 : -ENOMEM;
	size_t n = 0;

	while (!error && n < wanted) {
		error = loop_start(&loops[n], s);
		n += !error;
	}
	/* Fewer loops than CPUs serve as well, if there is one. */
	if (error)
		pr_err("event loop %zu of %zu: %s\n", n + 1, wanted,
		       strerror(-error));
	for (size_t i = 0; i < n; i++)
		loop_join(&loops[i]);
	kfree(loops);
	return n ? 0 : error;
}
