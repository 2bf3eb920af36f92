/* SPDX-License-Identifier: MIT */
/* Listening sockets, and what comes out of them. */
#ifndef KSSH_STREAM_LISTEN_H
#define KSSH_STREAM_LISTEN_H

#include <stddef.h>
#include <sys/socket.h>
#include "conf/conf.h"

#define LISTEN_FDS_MAX	64

/**
 * struct listen_set - the sockets we listen on
 * @fds: non-blocking, close-on-exec
 * @asked: the address each was opened for (its port may be 0)
 * @n: how many
 */
struct listen_set {
	int fds[LISTEN_FDS_MAX];
	struct sockaddr_storage asked[LISTEN_FDS_MAX];
	unsigned int n;
};

/*
 * Open what @conf says. Sockets of @old (may be NULL) whose address is still
 * wanted are moved over, the rest of @old is closed, unless this fails: then
 * @old is as it was. 0, or -errno after a log line; one address of several
 * that fails is a log line only.
 */
int listen_open(struct listen_set *set, const struct conf *conf,
		struct listen_set *old);
/* One line an address. */
void listen_log(const struct listen_set *set);
void listen_close(struct listen_set *set);

/* Accepted connection of a listening socket, or -errno; blocking. */
int listen_accept(int fd, const struct conf *conf);

#define LISTEN_ADDR_MAX	64	/* INET6_ADDRSTRLEN and a scope */
/* Numeric address and port of an end of @fd; IPv4 in IPv6 shown as IPv4. */
int listen_name(int fd, bool peer, char addr[LISTEN_ADDR_MAX],
		unsigned int *port);

#endif
