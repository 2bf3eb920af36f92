/* SPDX-License-Identifier: MIT */
/* Inside monitor/. */
#ifndef KSSH_MONITOR_MONITOR_IMPL_H
#define KSSH_MONITOR_MONITOR_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "auth/account.h"
#include "auth/authorized_keys.h"
#include "monitor/host_keys.h"
#include "monitor/monitor.h"
#include "monitor/sandbox.h"
#include "stream/listen.h"

/* What a connection has come to; the bits are those of the request table. */
#define MON_STATE_PREAUTH	(1 << 0)	/* the user is not known */
#define MON_STATE_AUTHED	(1 << 1)	/* known, keys still in auth */
#define MON_STATE_EXPORTED	(1 << 2)	/* auth has nothing to ask */
#define MON_STATE_SESSION	(1 << 3)

/**
 * struct monitor - a connection
 * @args: from the listener
 * @conf: of @args, and @own_conf once the user is known
 * @own_conf: with the Match blocks that apply; empty if there are none at all
 * @max_auth_tries: refused keys and signatures that end the connection
 * @chroot: ChrootDirectory without %-tokens, NULL: none
 * @state: MON_STATE_*
 * @startup_fd: of @args, -1: closed
 * @fd: our end towards the process we serve, -1: closed
 * @log_fd: lines of that process, -1: closed
 * @child: the process, 0: none
 * @child_fd: its pidfd
 * @deadline_ms: LoginGraceTime, 0: none
 * @peer_addr: numeric address of the client
 * @peer_port: its port
 * @local_addr: numeric address it connected to
 * @local_port: its port
 * @signs: signatures made before authentication
 * @session_id: first hash that was signed
 * @session_id_len: its length, 0: none yet
 * @user: as the peer says it, NULL: not yet
 * @lookup_due: monitor_lookup_user() has not been called for it yet
 * @account: what is behind it
 * @failures: refused keys and signatures
 * @allowed: blob of the key that was allowed last
 * @allowed_len: its length, 0: none
 * @match: its line in authorized_keys
 * @warned: an unusable line of authorized_keys is in the log
 * @transport: from auth, until the session has it
 * @log_lines: lines of the child that may still be logged
 * @log_dropping: it was said that lines are dropped
 * @log_since_ms: when @log_lines was filled up
 */
struct monitor {
	const struct monitor_args *args;
	const struct conf *conf;
	struct conf own_conf;
	unsigned int max_auth_tries;
	char *chroot;
	unsigned int state;
	int startup_fd;
	int fd;
	int log_fd;
	pid_t child;
	int child_fd;
	int64_t deadline_ms;
	char peer_addr[LISTEN_ADDR_MAX];
	unsigned int peer_port;
	char local_addr[LISTEN_ADDR_MAX];
	unsigned int local_port;
	unsigned int signs;
	uint8_t session_id[SESSION_ID_MAX];
	size_t session_id_len;
	char *user;
	bool lookup_due;
	struct account account;
	unsigned int failures;
	uint8_t *allowed;
	size_t allowed_len;
	struct authkey_match match;
	bool warned;
	struct transport_state transport;
	int log_lines;
	bool log_dropping;
	int64_t log_since_ms;
};

/* monitor.c */
void monitor_init(struct monitor *mon, const struct monitor_args *args);
void monitor_exit(struct monitor *mon);
/*
 * Serve the child until it ends, and reap it. Its wait(2) status in *status;
 * -ETIMEDOUT LoginGraceTime, -errno a request that ends the connection.
 */
int monitor_serve(struct monitor *mon, int *status);

/* monitor_answer.c */
/*
 * Answer the request @type with body @in. *ans_type is the answer's number, 0:
 * none is due. An error ends the connection: -EPERM not now, -EPROTO
 * malformed or unknown, other -errno.
 */
int monitor_answer(struct monitor *mon, uint8_t type, struct buf *in,
		   uint8_t *ans_type, struct buf *out);
/*
 * Look at the account of the user who was named. Called when the answer is on
 * its way: its time is not seen by the peer. 0 or -errno.
 */
int monitor_lookup_user(struct monitor *mon);

/* monitor_match.c */
/*
 * MaxAuthTries for who was named. Nothing is looked up: it does not tell
 * whether there is such a user.
 */
int monitor_match_tries(struct monitor *mon);
/* mon->conf for who was named, and the groups of that user. 0 or -errno. */
int monitor_match_user(struct monitor *mon);

/* monitor_key.c */
/* Look the key up, in a process that is the user. 0 or -errno. */
int monitor_find_key(struct monitor *mon, const uint8_t *blob, size_t len,
		     struct authkey_match *match);

/* monitor_child.c */
/* Fork the process; it does not return there. 0 or -errno. */
int monitor_start_auth(struct monitor *mon);
int monitor_start_session(struct monitor *mon, bool ulp_attached,
			  const char *path_reason);
/* Reap the child; @kill_it: it may be alive. Our ends are closed. */
int monitor_reap(struct monitor *mon, bool kill_it, int *status);

/* monitor_rate.c */
/*
 * Meters of the user's UserRateLimit, by direction, mapped; NULL: there is no
 * such limit, or after a log line.
 */
struct rate_meter *monitor_user_meters(const struct conf *conf, uid_t uid);

/* monitor_session.c */
/* Choose the data path, run the session; the exit code. */
int monitor_session(struct monitor *mon);

#endif
