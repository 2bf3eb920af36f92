/* SPDX-License-Identifier: MIT */
/* The connection protocol (RFC 4254) of a session, above both data paths. */
#ifndef KSSH_CHANNEL_CONN_H
#define KSSH_CHANNEL_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include "channel/channel_impl.h"
#include "channel/conn_rate.h"
#include "channel/session.h"
#include "core/channel.h"
#include "kex/kex.h"
#include "lib/buf.h"
#include "stream/ring.h"

#define CONN_CHANNELS_MAX	64
/* What we grant a channel, and the largest data part we accept (as OpenSSH). */
#define CONN_WINDOW		(2 * 1024 * 1024)
/* A window grows up to this by itself, those of a connection by the other. */
#define CONN_WINDOW_LIMIT	(16 * 1024 * 1024)
#define CONN_WINDOWS_GROWN_MAX	(64 * 1024 * 1024)
#define CONN_MAX_PACKET		(32 * 1024)
/* Messages >= 50 kept back while a key exchange runs. */
#define CONN_HELD_MAX		(256 * 1024)

/* Ends of a new channel, from SSH_MSG_CHANNEL_OPEN. */
struct conn_channel_params {
	uint32_t local_id;
	uint32_t remote_id;
	uint32_t remote_window;
	uint32_t remote_max_packet;
};

/**
 * struct conn_path - a data path below the connection
 * @name: for the log
 * @start: take the keys over and begin to read
 * @send: send a message, in order; kept when it cannot leave yet
 * @install: next keys: for TX behind all that was sent, for RX from the next
 *	packet
 * @open_channel: make a channel
 * @heard: has anything come since the last call that conn_dispatch() has not
 *	seen? NULL: it sees all
 * @idle: before the loop sleeps: let out what a batch has piled up
 * @stop: try to get out what is kept, without waiting long; free everything
 */
struct conn_path {
	const char *name;
	int (*start)(struct conn *conn, const struct transport_state *state);
	int (*send)(struct conn *conn, const uint8_t *payload, size_t len);
	int (*install)(struct conn *conn, bool tx, const struct newkeys *keys,
		       bool seq_reset);
	int (*open_channel)(struct conn *conn,
			    const struct conn_channel_params *params,
			    struct channel **ch);
	bool (*heard)(struct conn *conn);
	void (*idle)(struct conn *conn);
	void (*stop)(struct conn *conn);
};

extern const struct conn_path conn_path_kernel;
extern const struct conn_path conn_path_user;

/**
 * struct conn - a connection after authentication
 * @ring: the loop
 * @args: from the monitor
 * @path: data path
 * @priv: the data path's own
 * @channels: by local id
 * @next_id: where the search for a free id begins
 * @lingering: closed by the peer, their consumers still read
 * @backlog: control messages wait to be sent: channels hold back, so that no
 *	data overtakes them; see conn_has_backlog()
 * @reap: ended, waiting for operations in flight
 * @kex: key exchange that runs, or NULL
 * @ids: session id, versions, strict flag; no keys
 * @held: messages >= 50 kept back during a key exchange: u32 length, payload
 * @err: why the connection ends, 0 for a clean end
 * @disconnect: RFC 4253 11.1 reason to send, 0 for none
 * @ended: leave the loop
 * @no_more_sessions: the client asked for no-more-sessions@openssh.com
 * @shortage_logged: once is enough, the peer can cause many
 * @rekey_due: start an exchange when the current batch is done
 * @heard: something came since the last keepalive
 * @alive_missed: keepalives without an answer
 * @alive_op: ClientAliveInterval
 * @alive_ts: its time
 * @rate: limits, by direction
 * @rekey_op: RekeyLimit's time, user path
 * @rekey_ts: its time
 */
struct conn {
	struct ring ring;
	const struct session_args *args;
	const struct conn_path *path;
	void *priv;
	struct channel *channels[CONN_CHANNELS_MAX];
	uint32_t next_id;
	struct channel *lingering;
	bool backlog;
	struct reap *reap;
	struct kex *kex;
	struct transport_state ids;
	struct buf held;
	int err;
	uint32_t disconnect;
	bool ended;
	bool no_more_sessions;
	bool shortage_logged;
	bool rekey_due;
	bool heard;
	unsigned int alive_missed;
	struct ring_op alive_op;
	struct __kernel_timespec alive_ts;
	struct conn_rate rate[CONF_DIRS];
	struct ring_op rekey_op;
	struct __kernel_timespec rekey_ts;
};

/* conn.c */
/* A message in order, kept back while a key exchange forbids it. */
int conn_send(struct conn *conn, const uint8_t *payload, size_t len);
/* Send a filled buffer and free it. */
int conn_send_buf(struct conn *conn, struct buf *msg);
/*
 * A message from the peer. A fault ends the connection: conn_fail() was called
 * then and the answer is -errno.
 */
int conn_dispatch(struct conn *conn, uint32_t pkt_seq, const uint8_t *payload,
		  size_t len);
/* The connection ends: @err for the log, @disconnect for the peer. */
int conn_fail(struct conn *conn, int err, uint32_t disconnect);
void conn_add_reap(struct conn *conn, struct reap *reap);
/* poll(2) for the last words, until mon_now_ms() is @due_ms. */
bool conn_wait(int fd, short events, int64_t due_ms);

/* conn_rekey.c */
int conn_rekey_start(struct conn *conn);
int conn_rekey_input(struct conn *conn, uint32_t pkt_seq,
		     const uint8_t *payload, size_t len);
/* May a message >= 50 leave now? */
bool conn_tx_gated(const struct conn *conn);

/* conn_channel.c: channel messages */
int conn_channel_open(struct conn *conn, struct buf *msg);
int conn_channel_request(struct conn *conn, struct buf *msg);
int conn_channel_close(struct conn *conn, struct buf *msg);
struct channel *conn_channel(struct conn *conn, uint32_t local_id);
/* After channel_finish(): all is out, report the status and close. */
void conn_channel_finished(struct channel *ch);
/* Report channel->status, once. */
int conn_channel_status(struct channel *ch);
/* Every channel ends with the connection. */
void conn_end_channels(struct conn *conn);
/* Do control messages wait for room, or for new keys? */
bool conn_has_backlog(const struct conn *conn);
/* A part of that may have ended: if all has, channels go on. */
void conn_backlog_gone(struct conn *conn);

/* exec.c */
/*
 * Run @command (NULL: a login shell) for the channel, its stdio on pipes.
 * @original: what the client asked for, when it was not that; or NULL.
 */
int exec_start(struct conn *conn, struct channel *ch, const char *command,
	       const char *original);
/* RFC 4254 6.9 "signal": to the process group of the channel's command. */
int exec_signal(struct channel *ch, const char *name, size_t len);

/* conn_start.c */
/* ForceCommand, or command="" of the key; NULL: neither. */
const char *conn_forced_command(const struct conn *conn);
/*
 * Serve the channel by @command (NULL: a login shell), or by what is forced,
 * which finds @command in its environment. @subsystem: @command comes from the
 * configuration. 0 or -errno.
 */
int conn_start(struct conn *conn, struct channel *ch, const char *command,
	       bool subsystem);

/* conn_request.c: global requests */
int conn_global_request(struct conn *conn, struct buf *msg);
void conn_alive_start(struct conn *conn);

#endif
