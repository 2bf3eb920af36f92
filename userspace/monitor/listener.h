/* SPDX-License-Identifier: MIT */
/* The listener: accepts, and forks a monitor a connection. */
#ifndef KSSH_MONITOR_LISTENER_H
#define KSSH_MONITOR_LISTENER_H

#include <stdbool.h>
#include "conf/conf.h"
#include "monitor/host_keys.h"
#include "monitor/sandbox.h"
#include "stream/listen.h"

/**
 * struct server - what connections are served with
 * @conf: configuration
 * @host_keys: loaded once
 * @sandbox: made once
 * @sockets: that we listen on
 */
struct server {
	struct conf conf;
	struct host_keys host_keys;
	struct sandbox sandbox;
	struct listen_set sockets;
};

/**
 * struct listener_ops - of the program
 * @reload: SIGHUP: fill in the conf and host_keys of @next, which is zero
 */
struct listener_ops {
	int (*reload)(void *arg, struct server *next);
};

/* SIGCHLD, SIGHUP, SIGINT and SIGTERM are for the listener alone. */
int listener_block_signals(void);
/* Until SIGTERM or SIGINT: 0; or -errno. Forked monitors do not return. */
int listener_run(struct server *server, const struct listener_ops *ops,
		 void *arg);

#endif
