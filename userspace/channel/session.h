/* SPDX-License-Identifier: MIT */
/* The session process: a connection after authentication, as the user. */
#ifndef KSSH_CHANNEL_SESSION_H
#define KSSH_CHANNEL_SESSION_H

#include <stdbool.h>
#include <sys/types.h>
#include "channel/rate.h"
#include "conf/conf.h"
#include "packet/newkeys.h"

/**
 * struct session_args - what the monitor hands to the session
 * @tcp_fd: the connection
 * @monitor_fd: for mon_request_*()
 * @conf: configuration
 * @state: keys and sequence numbers; wiped by session_run()
 * @hostkey_algs: algorithms of our host keys, for rekeys
 * @ulp_attached: the ULP is attached, keys may be installed in the kernel
 * @path_reason: why not, when it is not; for the log
 * @user: login name
 * @home: home directory
 * @shell: login shell
 * @forced_command: command="" of the key: runs whatever is asked for; or NULL
 * @user_meters: for UserRateLimit, by direction, shared by all connections of
 *	the user; NULL: none
 * @uid: as which we run already
 * @gid: as which we run already
 * @peer_addr: numeric address of the client
 * @peer_port: its port
 * @local_addr: numeric address it connected to
 * @local_port: its port
 */
struct session_args {
	int tcp_fd;
	int monitor_fd;
	const struct conf *conf;
	struct transport_state *state;
	const char *hostkey_algs;
	bool ulp_attached;
	const char *path_reason;
	const char *user;
	const char *home;
	const char *shell;
	const char *forced_command;
	struct rate_meter *user_meters;
	uid_t uid;
	gid_t gid;
	const char *peer_addr;
	unsigned int peer_port;
	const char *local_addr;
	unsigned int local_port;
};

/* Serve until the connection ends. Returns the exit code of the process. */
int session_run(const struct session_args *args);

#endif
