/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - sockets, by address
 *
 * An address with a slash is the path of a Unix socket, any other HOST:PORT.
 */
#ifndef KV_NET_H
#define KV_NET_H

/*
 * A listening socket.  What was left at the path by a server that has died is
 * replaced, what is in use is not.
 * Return: the descriptor; -1 after a message.
 */
int net_listen(const char *address);

/* Removes the path of a Unix socket. */
void net_unlisten(const char *address);

/* Return: the descriptor of a connection; -1 after a message. */
int net_connect(const char *address);

#endif /* KV_NET_H */
