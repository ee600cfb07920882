/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - sockets, by address */
#define pr_fmt(fmt) "net: " fmt

#include "docs/examples/kvserver/net.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <knuma/linux/printk.h>
#include <knuma/linux/string.h>

#define BACKLOG 128

/* Binds or connects @fd; 0, or -1 and errno. */
typedef int (*net_use_fn)(int fd, const struct sockaddr *sa, socklen_t len);

static bool is_path(const char *address)
{
	return strchr(address, '/');
}

static int use_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	const int on = 1;

	/* A restarted server gets its port back at once. */
	if (sa->sa_family != AF_UNIX &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -1;
	if (bind(fd, sa, len) || listen(fd, BACKLOG))
		return -1;
	/* Whoever is told of a connection may come too late to accept it. */
	return fcntl(fd, F_SETFL, O_NONBLOCK);
}

static int use_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	const int on = 1;

	if (connect(fd, sa, len))
		return -1;
	/* Small requests leave at once. */
	if (sa->sa_family == AF_UNIX)
		return 0;
	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Closes @fd and leaves errno alone. */
static void close_quietly(int fd)
{
	const int error = errno;

	close(fd);
	errno = error;
}

/* Return: a socket that @use has succeeded with; -1 and errno. */
static int open_one(const struct sockaddr *sa, socklen_t len, net_use_fn use)
{
	const int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (use(fd, sa, len)) {
		close_quietly(fd);
		return -1;
	}
	return fd;
}

static int open_path(const char *path, net_use_fn use)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd;

	if (strscpy(sa.sun_path, path) < 0) {
		pr_err("%s: path of a socket above %zu bytes\n", path,
		       sizeof(sa.sun_path) - 1);
		return -1;
	}
	fd = open_one((struct sockaddr *)&sa, sizeof(sa), use);
	if (fd < 0)
		pr_err("%s: %s\n", path, strerror(errno));
	return fd;
}

static int open_host(const char *address, net_use_fn use)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(address, ':');
	struct addrinfo *list, *a;
	char host[256];
	int fd = -1, error;

	if (!colon || colon == address ||
	    (size_t)(colon - address) >= sizeof(host)) {
		pr_err("%s: neither HOST:PORT nor a path with a slash\n",
		       address);
		return -1;
	}
	strscpy(host, address, (size_t)(colon - address) + 1);
	error = getaddrinfo(host, colon + 1, &hints, &list);
	if (error) {
		pr_err("%s: %s\n", address, gai_strerror(error));
		return -1;
	}
	for (a = list; a && fd < 0; a = a->ai_next)
		fd = open_one(a->ai_addr, a->ai_addrlen, use);
	if (fd < 0)
		pr_err("%s: %s\n", address, strerror(errno));
	freeaddrinfo(list);
	return fd;
}

static int net_open(const char *address, net_use_fn use)
{
	return is_path(address) ? open_path(address, use) :
				  open_host(address, use);
}

/*
 * Nobody answers at a socket that a server has left behind, nor at any other
 * file, which is left alone.
 */
static void remove_dead_socket(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode) ||
	    strscpy(sa.sun_path, path) < 0)
		return; /* net_open() says what is wrong */
	fd = open_one((struct sockaddr *)&sa, sizeof(sa), use_connect);
	if (fd >= 0)
		close(fd);
	else if (errno == ECONNREFUSED)
		unlink(path);
}

int net_listen(const char *address)
{
	if (is_path(address))
		remove_dead_socket(address);
	return net_open(address, use_bind);
}

void net_unlisten(const char *address)
{
	if (is_path(address) && unlink(address))
		pr_warn("%s: %s\n", address, strerror(errno));
}

int net_connect(const char *address)
{
	return net_open(address, use_connect);
}
