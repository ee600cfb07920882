/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.c - a thread for each connection
 *
 * What it teaches:
 *   - A thread registers before its first read section and unregisters before
 *     it ends; while it sleeps in recv() it is in no section and holds nobody
 *     up.  memb, mb and bp need no more than that.
 *   - Buffers and values lie on the node that the thread runs on.
 *   - The main thread stops reading on all connections and waits until each
 *     thread has gone, before anybody touches the table for the last time.
 */
#define pr_fmt(fmt) "kvserver: " fmt

#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/string.h>

#include "docs/examples/kvserver/conn.h"

#define SEND_TIMEOUT_S 2 /* a client that does not read is dropped */

struct peer {
	struct cds_list_head list;
	struct server *server;
	int fd;
};

static CDS_LIST_HEAD(peers);  /* peers_lock: those whose fd is open */
static unsigned int nr_peers; /* peers_lock: threads that still run */
static pthread_mutex_t peers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t peer_gone = PTHREAD_COND_INITIALIZER;

static void peer_add(struct peer *p)
{
	pthread_mutex_lock(&peers_lock);
	cds_list_add(&p->list, &peers);
	nr_peers++;
	pthread_mutex_unlock(&peers_lock);
}

/* Before its descriptor is closed: the number may be another one's then. */
static void peer_unlist(struct peer *p)
{
	pthread_mutex_lock(&peers_lock);
	cds_list_del(&p->list);
	pthread_mutex_unlock(&peers_lock);
}

/* The last thing that a thread does. */
static void peer_uncount(void)
{
	pthread_mutex_lock(&peers_lock);
	nr_peers--;
	pthread_cond_signal(&peer_gone);
	pthread_mutex_unlock(&peers_lock);
}

static void *serve(void *arg)
{
	struct peer *p = arg;
	struct conn *c = conn_new(p->server, p->fd);

	if (c) {
		rcu_register_thread();
		while (conn_step(c) == CONN_READS)
			;
		rcu_unregister_thread();
	} else {
		pr_err("no memory for a connection\n");
	}
	peer_unlist(p);
	if (c)
		conn_free(c);
	else
		close(p->fd);
	kfree(p);
	peer_uncount();
	return NULL;
}

/* Return: 0 or -errno. */
static int start_thread(struct peer *p, const pthread_attr_t *detached)
{
	const struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
	pthread_t thread;
	int error;

	if (setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout,
		       sizeof(timeout)))
		return -errno;
	peer_add(p);
	error = pthread_create(&thread, detached, serve, p);
	if (error) {
		peer_unlist(p);
		peer_uncount();
	}
	return -error;
}

/* What cannot be served is closed, and the server goes on. */
static void serve_fd(struct server *s, int fd, void *detached)
{
	struct peer *p = kmalloc(sizeof(*p), GFP_KERNEL);
	int error = -ENOMEM;

	if (p) {
		p->server = s;
		p->fd = fd;
		error = start_thread(p, detached);
	}
	if (!error)
		return;
	pr_err("no thread for a connection: %s\n", strerror(-error));
	close(fd);
	kfree(p);
}

/* Each thread answers what it has received, reads the end, and goes. */
static void stop_peers(void)
{
	struct peer *p;

	pthread_mutex_lock(&peers_lock);
	cds_list_for_each_entry(p, &peers, list) shutdown(p->fd, SHUT_RD);
	while (nr_peers > 0)
		pthread_cond_wait(&peer_gone, &peers_lock);
	pthread_mutex_unlock(&peers_lock);
}

int server_run(struct server *s)
{
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	server_accept_all(s, 0, serve_fd, &detached);
	stop_peers();
	pthread_attr_destroy(&detached);
	return 0;
}
