// SPDX-License-Identifier: MIT
/* The connection: which message goes where, and how it ends. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "channel/conn.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/monitor.h"

int conn_fail(struct conn *conn, int err, uint32_t disconnect)
{
	if (!conn->ended) {
		conn->err = err;
		conn->disconnect = disconnect;
		conn->ended = true;
	}
	return err ? err : -ECONNRESET;
}

static int hold(struct conn *conn, const uint8_t *payload, size_t len)
{
	if (buf_len(&conn->held) + len + 4 > CONN_HELD_MAX)
		return conn_fail(conn, -ENOBUFS, SSH_DISCONNECT_PROTOCOL_ERROR);
	return buf_put_string(&conn->held, payload, len);
}

int conn_send(struct conn *conn, const uint8_t *payload, size_t len)
{
	int err;

	if (payload[0] >= SSH_MSG_USERAUTH_REQUEST && conn_tx_gated(conn))
		return hold(conn, payload, len);
	err = conn->path->send(conn, payload, len);
	if (err)
		conn_fail(conn, err, 0);
	return err;
}

int conn_send_buf(struct conn *conn, struct buf *msg)
{
	int err = buf_error(msg);

	if (!err)
		err = conn_send(conn, buf_data(msg), buf_len(msg));
	else
		conn_fail(conn, err, SSH_DISCONNECT_BY_APPLICATION);
	buf_free(msg);
	return err;
}

void conn_add_reap(struct conn *conn, struct reap *reap)
{
	reap->next = conn->reap;
	conn->reap = reap;
}

bool conn_wait(int fd, short events, int64_t due_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t left = due_ms - mon_now_ms();

	return left > 0 && poll(&pfd, 1, left) > 0;
}

/*
 * RFC 4253 11.4: "An implementation MUST respond to all unrecognized messages
 * with an SSH_MSG_UNIMPLEMENTED message"
 */
static int send_unimplemented(struct conn *conn, uint32_t pkt_seq)
{
	uint8_t msg[5] = { SSH_MSG_UNIMPLEMENTED };

	kssh_put_be32(msg + 1, pkt_seq);
	return conn_send(conn, msg, sizeof(msg));
}

/* RFC 4253 11.1: uint32 reason code, string description, string language */
static int input_disconnect(struct conn *conn, struct buf *msg)
{
	const uint8_t *text = NULL;
	char shown[128];
	uint32_t reason;
	size_t len = 0;

	if (buf_get_u32(msg, &reason) || buf_get_string(msg, &text, &len))
		return conn_fail(conn, 0, 0);
	log_verbose("peer disconnected: %u: %s", reason,
		    log_escape(shown, sizeof(shown), text, len));
	return conn_fail(conn, 0, 0);
}

/* More would not fit into one message of the kernel path. */
#define PING_MAX	(16 * 1024)

/* OpenSSH PROTOCOL 1.9: ping@openssh.com, answered with the same string. */
static int input_ping(struct conn *conn, struct buf *msg)
{
	const uint8_t *data;
	struct buf out;
	size_t len;

	if (buf_get_string(msg, &data, &len) || buf_end(msg) || len > PING_MAX)
		return -EPROTO;
	buf_init(&out, len + 16);
	buf_put_u8(&out, 193);
	buf_put_string(&out, data, len);
	return conn_send_buf(conn, &out);
}

/* Channel messages that only the user path sees; see conn_user_rx.c. */
static int input_channel_other(struct conn *conn, struct buf *msg)
{
	uint32_t id;

	/* Nothing is open that these could speak of. */
	if (buf_get_u32(msg, &id) || !conn_channel(conn, id))
		return -EPROTO;
	return 0;
}

static int input_reply(struct conn *conn, struct buf *msg)
{
	(void)msg;
	/* To our keepalive: any answer will do. */
	conn->alive_missed = 0;
	return 0;
}

static int input_unexpected(struct conn *conn, struct buf *msg)
{
	(void)conn;
	(void)msg;
	return -EPROTO;
}

static int input_ignored(struct conn *conn, struct buf *msg)
{
	(void)conn;
	(void)msg;
	return 0;
}

/* Message number to function; a hole is answered with UNIMPLEMENTED. */
static int (*const input[256])(struct conn *conn, struct buf *msg) = {
	[SSH_MSG_DISCONNECT] = input_disconnect,
	[SSH_MSG_IGNORE] = input_ignored,
	[SSH_MSG_UNIMPLEMENTED] = input_ignored,
	[SSH_MSG_DEBUG] = input_ignored,
	[SSH_MSG_EXT_INFO] = input_ignored,
	/* RFC 4252 5.1: requests after success are ignored silently */
	[SSH_MSG_USERAUTH_REQUEST] = input_ignored,
	[SSH_MSG_GLOBAL_REQUEST] = conn_global_request,
	[SSH_MSG_REQUEST_SUCCESS] = input_reply,
	[SSH_MSG_REQUEST_FAILURE] = input_reply,
	[SSH_MSG_CHANNEL_OPEN] = conn_channel_open,
	/* we open none */
	[SSH_MSG_CHANNEL_OPEN_CONFIRMATION] = input_unexpected,
	[SSH_MSG_CHANNEL_OPEN_FAILURE] = input_unexpected,
	/* data of channels that are not bound to the kernel */
	[SSH_MSG_CHANNEL_WINDOW_ADJUST] = input_unexpected,
	[SSH_MSG_CHANNEL_DATA] = input_unexpected,
	/* from the kernel path, its window granted; a session has no use for it */
	[SSH_MSG_CHANNEL_EXTENDED_DATA] = input_channel_other,
	[SSH_MSG_CHANNEL_EOF] = input_unexpected,
	[SSH_MSG_CHANNEL_CLOSE] = conn_channel_close,
	[SSH_MSG_CHANNEL_REQUEST] = conn_channel_request,
	[SSH_MSG_CHANNEL_SUCCESS] = input_channel_other,
	[SSH_MSG_CHANNEL_FAILURE] = input_channel_other,
	[192] = input_ping,
};

int conn_dispatch(struct conn *conn, uint32_t pkt_seq, const uint8_t *payload,
		  size_t len)
{
	uint8_t type = payload[0];
	struct buf msg;
	int err;

	conn->heard = true;
	if (type >= SSH_MSG_KEXINIT && type < SSH_MSG_USERAUTH_REQUEST)
		return conn_rekey_input(conn, pkt_seq, payload, len);
	/*
	 * RFC 4253 7.1: after KEXINIT a party "MUST NOT send any messages
	 * other than" transport layer ones until NEWKEYS
	 */
	if (type >= SSH_MSG_USERAUTH_REQUEST && conn->kex &&
	    kex_rx_gated(conn->kex))
		return conn_fail(conn, -EPROTO, SSH_DISCONNECT_PROTOCOL_ERROR);
	if (!input[type])
		return send_unimplemented(conn, pkt_seq);
	buf_ref(&msg, payload + 1, len - 1);
	err = input[type](conn, &msg);
	if (err && !conn->ended)
		conn_fail(conn, err, SSH_DISCONNECT_PROTOCOL_ERROR);
	return conn->ended ? -ECONNRESET : 0;
}
