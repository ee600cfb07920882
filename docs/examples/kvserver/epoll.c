/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.c - event loops of QSBR, one on each CPU
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
 *   - Loops stay on their CPUs, so what one allocates is on its own node.  The
 *     main thread accepts and hands out in turn: loops that all waited for the
 *     same socket would leave it to one of them.
 */
#define pr_fmt(fmt) "kvserver: " fmt

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
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
	int inbox;   /* descriptors of connections; its end is the loop's */
	int outside; /* the other end, of the main thread */
	bool stop;
};

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

static void add_conn(struct loop *l, int fd)
{
	struct conn *c = conn_new(l->server, fd);
	int error;

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

static void read_inbox(struct loop *l)
{
	int fd;
	const ssize_t n = read(l->inbox, &fd, sizeof(fd));

	if (n == sizeof(fd))
		add_conn(l, fd);
	else if (n == 0)
		l->stop = true;
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
	if (e->data.ptr == l)
		read_inbox(l);
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
static int loop_open(struct loop *l, struct server *s)
{
	int inbox[2];

	if (pipe2(inbox, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		const int error = -errno;

		close(inbox[0]);
		close(inbox[1]);
		return error;
	}
	CDS_INIT_LIST_HEAD(&l->conns);
	l->server = s;
	l->inbox = inbox[0];
	l->outside = inbox[1];
	l->stop = false;
	return 0;
}

static void loop_close(struct loop *l)
{
	close(l->epoll_fd);
	close(l->inbox);
	close(l->outside);
}

/* Return: 0 or -errno. */
static int loop_start(struct loop *l, int cpu)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int error = watch(l, EPOLL_CTL_ADD, l->inbox, EPOLLIN, l);

	if (error)
		return error;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_attr_init(&attr);
	error = -pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	if (!error)
		error = -pthread_create(&l->thread, &attr, run_loop, l);
	pthread_attr_destroy(&attr);
	return error;
}

/* The loop takes what is in its inbox still, and ends. */
static void loop_end(struct loop *l)
{
	close(l->outside);
	pthread_join(l->thread, NULL);
	close(l->epoll_fd);
	close(l->inbox);
}

struct loops {
	size_t nr;
	size_t next; /* gets the next connection */
	struct loop loop[];
};

static void hand_out(struct server *s, int fd, void *arg)
{
	struct loops *all = arg;
	struct loop *l = &all->loop[all->next++ % all->nr];

	(void)s;
	if (write(l->outside, &fd, sizeof(fd)) != sizeof(fd)) {
		pr_err("a connection finds no place: %s\n", strerror(errno));
		close(fd);
	}
}

/* A loop on each of @cpus.  Return: 0; -errno after a message. */
static int start_loops(struct loops *all, struct server *s,
		       const cpu_set_t *cpus)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		struct loop *l = &all->loop[all->nr];
		int error;

		if (!CPU_ISSET(cpu, cpus))
			continue;
		error = loop_open(l, s);
		if (!error) {
			error = loop_start(l, cpu);
			if (error)
				loop_close(l);
		}
		if (error) {
			pr_err("event loop of CPU %d: %s\n", cpu,
			       strerror(-error));
			return error;
		}
		all->nr++;
	}
	return 0;
}

int server_run(struct server *s)
{
	struct loops *all;
	cpu_set_t cpus;
	int error;

	if (sched_getaffinity(0, sizeof(cpus), &cpus)) {
		error = -errno;
		pr_err("CPUs: %s\n", strerror(-error));
		return error;
	}
	all = kzalloc(struct_size(all, loop, (size_t)CPU_COUNT(&cpus)),
		      GFP_KERNEL);
	if (!all) {
		pr_err("no memory for %d event loops\n", CPU_COUNT(&cpus));
		return -ENOMEM;
	}
	error = start_loops(all, s, &cpus);
	if (!error)
		server_accept_all(s, SOCK_NONBLOCK, hand_out, all);
	for (size_t i = 0; i < all->nr; i++)
		loop_end(&all->loop[i]);
	kfree(all);
	return error;
}
