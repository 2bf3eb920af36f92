// SPDX-License-Identifier: MIT
/* Global requests, RFC 4254 4, and our keepalives. */
#include <errno.h>
#include <string.h>

#include "channel/conn.h"
#include "lib/log.h"

/* RFC 4254 4: string request name, boolean want reply, request data */
int conn_global_request(struct conn *conn, struct buf *msg)
{
	static const char no_more[] = "no-more-sessions@openssh.com";
	static const uint8_t failure[] = { SSH_MSG_REQUEST_FAILURE };
	static const uint8_t success[] = { SSH_MSG_REQUEST_SUCCESS };
	const uint8_t *name;
	bool want_reply, done = false;
	size_t len;

	if (buf_get_string(msg, &name, &len) || buf_get_bool(msg, &want_reply))
		return -EPROTO;
	if (len == sizeof(no_more) - 1 && !memcmp(name, no_more, len)) {
		conn->no_more_sessions = true;
		done = true;
	}
	/* keepalive@openssh.com wants any answer: failure, as OpenSSH gives */
	if (!want_reply)
		return 0;
	return conn_send(conn, done ? success : failure, 1);
}

static void arm(struct conn *conn)
{
	conn->alive_ts.tv_sec = conn->args->conf->client_alive_interval;
	ring_timeout(&conn->ring, &conn->alive_op, &conn->alive_ts);
}

static void send_alive(struct conn *conn)
{
	struct buf msg;

	buf_init(&msg, 64);
	buf_put_u8(&msg, SSH_MSG_GLOBAL_REQUEST);
	buf_put_cstring(&msg, "keepalive@openssh.com");
	buf_put_bool(&msg, true);
	(void)conn_send_buf(conn, &msg);
}

static void alive_due(struct ring_op *op, int res)
{
	struct conn *conn = op->arg;
	unsigned int most = conn->args->conf->client_alive_count_max;

	(void)res;
	if (conn->path->heard && conn->path->heard(conn))
		conn->heard = true;
	if (conn->heard) {
		conn->heard = false;
		conn->alive_missed = 0;
	} else if (most && conn->alive_missed >= most) {
		/* as in OpenSSH, 0 is never, not at once */
		log_info("client %s port %u: no answer to %u keepalives",
			 conn->args->peer_addr, conn->args->peer_port,
			 conn->alive_missed);
		conn_fail(conn, -ETIMEDOUT, SSH_DISCONNECT_CONNECTION_LOST);
	} else {
		conn->alive_missed++;
		send_alive(conn);
	}
	if (!conn->ended)
		arm(conn);
}

void conn_alive_start(struct conn *conn)
{
	if (!conn->args->conf->client_alive_interval)
		return;
	conn->alive_op = (struct ring_op){ .fn = alive_due, .arg = conn };
	arm(conn);
}
