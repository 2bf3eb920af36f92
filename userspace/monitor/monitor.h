/* SPDX-License-Identifier: MIT */
/*
 * The monitor: a root process a connection that decides and signs for the
 * others, which ask over a socketpair. One request at a time.
 */
#ifndef KSSH_MONITOR_MONITOR_H
#define KSSH_MONITOR_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "conf/conf.h"
#include "lib/buf.h"
#include "packet/newkeys.h"

struct host_keys;
struct sandbox;

/*
 * Each request has an answer of the next number, except the export. Bodies are
 * built of RFC 4251 data types; an answer begins with uint32 errno, and ends
 * there when it is not 0.
 */
#define MON_REQ_HOST_KEY	1	/* string alg */
#define MON_ANS_HOST_KEY	2	/* string blob */
#define MON_REQ_SIGN		3	/* string alg, string hash */
#define MON_ANS_SIGN		4	/* string signature */
#define MON_REQ_USER		5	/* string user name */
#define MON_ANS_USER		6	/* uint32 MaxAuthTries */
#define MON_REQ_KEY_ALLOWED	7	/* string alg, string blob */
#define MON_ANS_KEY_ALLOWED	8	/* boolean allowed */
#define MON_REQ_KEY_VERIFY	9	/* string alg, blob, signature */
#define MON_ANS_KEY_VERIFY	10	/* boolean authenticated */
#define MON_REQ_EXPORT		11	/* struct transport_state by fields */

#define MON_MSG_MAX		(48 * 1024)

/* monitor_wrap.c: calls made by auth and session on their end @fd */

/* Blob of the host key that serves @alg; -ENOENT. */
int mon_request_host_key(int fd, const char *alg, struct buf *blob);
/*
 * Sign an exchange hash. The first that auth asks for is the session id, which
 * the monitor keeps: user signatures must cover it.
 */
int mon_request_sign(int fd, const char *alg, const uint8_t *hash, size_t len,
		     struct buf *sig);
/* Who wants to log in; once, before the two below. */
int mon_request_user(int fd, const char *user, unsigned int *max_auth_tries);
/* May this key log the user in, if it signs? */
int mon_request_key_allowed(int fd, const char *alg, const uint8_t *blob,
			    size_t len, bool *allowed);
/* Did it sign? The key must be the one that was allowed last. */
int mon_request_key_verify(int fd, const char *alg, const uint8_t *blob,
			   size_t len, const uint8_t *sig, size_t sig_len,
			   bool *authenticated);
/* Hand the connection over; the process must exit with 0 then. */
int mon_request_export(int fd, const struct transport_state *state);

/* monitor_msg.c: uint32 length of what follows, byte type, body */
int mon_msg_send(int fd, int64_t deadline_ms, uint8_t type,
		 const struct buf *body);
/*
 * -ECONNABORTED the other end is closed; -EPROTO closed within a message, or
 * an empty one; -EMSGSIZE; -ETIMEDOUT. @body is emptied first.
 */
int mon_msg_recv(int fd, int64_t deadline_ms, uint8_t *type, struct buf *body);
/* Milliseconds of CLOCK_MONOTONIC. */
int64_t mon_now_ms(void);

/* monitor_export.c */
int mon_put_state(struct buf *body, const struct transport_state *state);
/*
 * Every field checked: -EPROTO malformed, -EINVAL a value that cannot be. The
 * session id and the version of ours must be those given.
 */
int mon_get_state(struct buf *body, struct transport_state *state,
		  const uint8_t *session_id, size_t session_id_len);

/* monitor.c */
/**
 * struct monitor_args - a connection
 * @tcp_fd: accepted
 * @startup_fd: closed when the user is known; the listener counts those open
 * @conf: configuration
 * @host_keys: to sign with; wiped in the processes that must not have them
 * @sandbox: for auth
 */
struct monitor_args {
	int tcp_fd;
	int startup_fd;
	const struct conf *conf;
	struct host_keys *host_keys;
	const struct sandbox *sandbox;
};

/* Serve the connection until it ends; the exit code of the process. */
int monitor_run(const struct monitor_args *args);

#endif
