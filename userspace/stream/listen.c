// SPDX-License-Identifier: MIT
/* Listening sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "stream/listen.h"

#define BACKLOG	512

static int set_flag(int fd, int level, int name)
{
	int on = 1;

	return setsockopt(fd, level, name, &on, sizeof(on)) ? -errno : 0;
}

static int sockaddr_name(const struct sockaddr *sa, socklen_t len,
			 char addr[LISTEN_ADDR_MAX], unsigned int *port)
{
	const struct sockaddr_in6 *in6 = (const void *)sa;
	struct sockaddr_in in = { .sin_family = AF_INET };
	char serv[NI_MAXSERV];

	if (sa->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(&in.sin_addr, &in6->sin6_addr.s6_addr[12], 4);
		in.sin_port = in6->sin6_port;
		sa = (const struct sockaddr *)&in;
		len = sizeof(in);
	}
	if (getnameinfo(sa, len, addr, LISTEN_ADDR_MAX, serv, sizeof(serv),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return -EAFNOSUPPORT;
	*port = strtoul(serv, NULL, 10);
	return 0;
}

int listen_name(int fd, bool peer, char addr[LISTEN_ADDR_MAX],
		unsigned int *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int err;

	snprintf(addr, LISTEN_ADDR_MAX, "unknown");
	*port = 0;
	if (peer)
		err = getpeername(fd, (struct sockaddr *)&ss, &len);
	else
		err = getsockname(fd, (struct sockaddr *)&ss, &len);
	if (err)
		return -errno;
	return sockaddr_name((struct sockaddr *)&ss, len, addr, port);
}

static int open_socket(const struct addrinfo *ai)
{
	int fd, err;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	err = set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	if (!err && ai->ai_family == AF_INET6)
		err = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (!err &&
	    (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* The index of @sa in @set, or -ENOENT. */
static int find_socket(const struct listen_set *set, const struct sockaddr *sa,
		       socklen_t len)
{
	unsigned int i;

	for (i = 0; set && i < set->n; i++)
		if (set->fds[i] >= 0 && !memcmp(&set->asked[i], sa, len))
			return i;
	return -ENOENT;
}

/**
 * struct opening - listen_open() under way
 * @set: the result
 * @old: sockets that may serve again
 * @kept: bits of @old that do
 * @err: first error
 */
struct opening {
	struct listen_set *set;
	const struct listen_set *old;
	uint64_t kept;
	int err;
};

static void open_one(struct opening *op, const struct addrinfo *ai)
{
	struct listen_set *set = op->set;
	char addr[LISTEN_ADDR_MAX] = "?";
	unsigned int port = 0;
	int fd, i;

	if (find_socket(set, ai->ai_addr, ai->ai_addrlen) >= 0)
		return;
	if (set->n == LISTEN_FDS_MAX) {
		op->err = -E2BIG;
		return;
	}
	sockaddr_name(ai->ai_addr, ai->ai_addrlen, addr, &port);
	i = find_socket(op->old, ai->ai_addr, ai->ai_addrlen);
	if (i >= 0) {
		fd = op->old->fds[i];
		op->kept |= 1ULL << i;
	} else {
		fd = open_socket(ai);
	}
	if (fd < 0) {
		/* no IPv6 here is no fault of a configuration that says "any" */
		if (fd != -EAFNOSUPPORT)
			log_error("Cannot listen on %s port %u: %s", addr, port,
				  strerror(-fd));
		op->err = op->err ? op->err : fd;
		return;
	}
	memcpy(&set->asked[set->n], ai->ai_addr, ai->ai_addrlen);
	set->fds[set->n++] = fd;
}

static void open_host(struct opening *op, const struct conf *conf,
		      const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_family = conf->address_family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *list, *ai;
	int ret;

	ret = getaddrinfo(host, port, &hints, &list);
	if (ret) {
		log_error("Cannot listen on \"%s\": %s", host ? host : "*",
			  gai_strerror(ret));
		op->err = op->err ? op->err : -EADDRNOTAVAIL;
		return;
	}
	for (ai = list; ai; ai = ai->ai_next)
		open_one(op, ai);
	freeaddrinfo(list);
}

static void open_entry(struct opening *op, const struct conf *conf,
		       const struct conf_listen *entry)
{
	unsigned int i;

	if (entry->port) {
		open_host(op, conf, entry->host, entry->port);
		return;
	}
	for (i = 0; i < conf->n_ports; i++)
		open_host(op, conf, entry->host, conf->ports[i]);
}

int listen_open(struct listen_set *set, const struct conf *conf,
		struct listen_set *old)
{
	static const struct conf_listen everywhere;
	struct opening op = { .set = set, .old = old };
	unsigned int i;

	memset(set, 0, sizeof(*set));
	for (i = 0; i < conf->n_listen; i++)
		open_entry(&op, conf, &conf->listen[i]);
	if (!conf->n_listen)
		open_entry(&op, conf, &everywhere);
	if (!set->n)
		return op.err ? op.err : -EADDRNOTAVAIL;
	for (i = 0; old && i < old->n; i++)
		if (!(op.kept & (1ULL << i)))
			close(old->fds[i]);
	if (old)
		old->n = 0;
	return 0;
}

void listen_log(const struct listen_set *set)
{
	char addr[LISTEN_ADDR_MAX];
	unsigned int port;
	unsigned int i;

	for (i = 0; i < set->n; i++) {
		listen_name(set->fds[i], false, addr, &port);
		log_info("Server listening on %s port %u.", addr, port);
	}
}

void listen_close(struct listen_set *set)
{
	unsigned int i;

	for (i = 0; i < set->n; i++)
		close(set->fds[i]);
	set->n = 0;
}

int listen_accept(int fd, const struct conf *conf)
{
	int conn;

	/* blocking: each process waits with poll() and MSG_DONTWAIT */
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0)
		return -errno;
	/* neither can fail on a TCP socket, nor would it matter */
	set_flag(conn, IPPROTO_TCP, TCP_NODELAY);
	if (conf->tcp_keep_alive)
		set_flag(conn, SOL_SOCKET, SO_KEEPALIVE);
	return conn;
}
