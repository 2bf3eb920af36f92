/* SPDX-License-Identifier: MIT */
/* The user data path: packets by libcrypto, bytes by io_uring. */
#ifndef KSSH_CHANNEL_CONN_USER_H
#define KSSH_CHANNEL_CONN_USER_H

#include <sys/uio.h>
#include "channel/conn.h"
#include "packet/packet.h"

/* Channel data waits above this much unsent; the last run goes beyond. */
#define USER_TX_SOFT	(256 * 1024)
/* Nothing is read while more than this in messages is unsent. */
#define USER_TX_ANSWERS	(64 * 1024)
/* Both, a last message of each size, and what a key exchange kept back. */
#define USER_TX_CAP	(2 * 1024 * 1024)
/* A whole packet always fits behind what is left of the last read. */
#define USER_RX_CAP	(512 * 1024)
/* Largest data part of a packet we send. */
#define USER_DATA_MAX	(32 * 1024)
/* Packets that one run of file data may span. */
#define USER_RUN_MAX	16

struct channel_user;

/* Sealed packets, and at the end of the one being filled an open one. */
struct user_out {
	uint8_t *data;
	size_t len;
};

/**
 * struct conn_user - the user data path of a connection
 * @conn: connection
 * @fd: TCP socket
 * @rx: keys and sequence number of what we receive
 * @tx: of what we send
 * @recv_op: a receive in flight
 * @send_op: a send in flight
 * @in: received bytes
 * @in_off: first byte not parsed
 * @in_len: end of them
 * @rx_stopped: not parsing: the peer does not read our answers
 * @out: one is sent while the other is filled
 * @fill: index of the one being filled
 * @answers: bytes of messages other than data in the one being filled
 * @sent: bytes of the other that have left
 * @open: channel whose data packet is open at the end of @out, or NULL
 * @open_ext: that packet is SSH_MSG_CHANNEL_EXTENDED_DATA
 * @open_len: data bytes in it
 * @next_turn: channel that is served first when room comes
 * @windows_grown: by how much windows of channels have grown, bytes
 */
struct conn_user {
	struct conn *conn;
	int fd;
	struct packet_half rx;
	struct packet_half tx;
	struct ring_op recv_op;
	struct ring_op send_op;
	uint8_t *in;
	size_t in_off;
	size_t in_len;
	bool rx_stopped;
	struct user_out out[2];
	unsigned int fill;
	size_t answers;
	size_t sent;
	struct channel_user *open;
	bool open_ext;
	size_t open_len;
	unsigned int next_turn;
	uint64_t windows_grown;
};

/**
 * struct channel_user - a channel of the user data path
 * @ch: common part
 * @cu: connection
 * @rx_window: what we granted
 * @tx_window: what the peer granted
 * @rx: data nobody has consumed yet
 * @now: data of the packet at hand, in the receive buffer
 * @now_len: bytes of it
 * @kept: written by the consumer, no window or room yet
 * @rx_eof: the peer sends no more
 * @want_read: the consumer was told that there is nothing to read
 * @want_write: the consumer was told -EAGAIN
 * @eof_sent: our CHANNEL_EOF is in the out buffer
 * @dropping: input is discarded
 */
struct channel_user {
	struct channel ch;
	struct conn_user *cu;
	struct kssh_rx_window rx_window;
	struct kssh_tx_window tx_window;
	struct buf rx;
	const uint8_t *now;
	size_t now_len;
	struct buf kept;
	bool rx_eof;
	bool want_read;
	bool want_write;
	bool eof_sent;
	bool dropping;
};

/* conn_user_tx.c */
/* A whole message, behind everything before it. */
int user_tx_message(struct conn_user *cu, const uint8_t *payload, size_t len);
/* May channel data be added: room, and no key exchange in the way? */
bool user_tx_ready(const struct conn_user *cu);
/*
 * Room for data of @chu in an open packet, at most *space bytes at the pointer
 * returned; NULL without window or room.
 */
uint8_t *user_tx_open(struct conn_user *cu, struct channel_user *chu, bool ext,
		      size_t *space);
/* @len bytes were put there. */
int user_tx_commit(struct conn_user *cu, size_t len);
/**
 * struct user_run - places of a header and of file data in packets to come
 * @hdr: where the header goes
 * @iov: where the data goes, for preadv(2)
 * @n_iov: pieces of it
 */
struct user_run {
	uint8_t *hdr;
	struct iovec iov[USER_RUN_MAX];
	int n_iov;
};

/*
 * Plan @hdr_len + @len bytes; -EAGAIN when window or room is short. Then fill
 * the places and commit as many bytes, with nothing in between.
 */
int user_run_plan(struct conn_user *cu, struct channel_user *chu,
		  size_t hdr_len, size_t len, struct user_run *run);
int user_run_commit(struct conn_user *cu, struct channel_user *chu, size_t len);
/* Seal the open packet, if any. */
int user_tx_close(struct conn_user *cu);
/* There may be room: channels take turns. */
void user_tx_push(struct conn_user *cu);
/* Send what there is, unless a send is in flight. */
void user_tx_flush(struct conn_user *cu);
/* Blocking for a moment: the last words of a connection. */
void user_tx_drain(struct conn_user *cu);
void user_tx_sent(struct ring_op *op, int res);

/* conn_user_rx.c */
void user_rx_start(struct conn_user *cu);
void user_rx_resume(struct conn_user *cu);
void user_rx_received(struct ring_op *op, int res);

/* channel_user.c */
int channel_user_alloc(struct channel **ch, struct conn_user *cu,
		       const struct conn_channel_params *params);
struct channel_user *channel_user_of(struct channel *ch);
/* Messages of the peer for this channel: 0 or -errno. */
int channel_user_data(struct channel_user *chu, bool extended,
		      const uint8_t *data, size_t len);
int channel_user_adjust(struct channel_user *chu, uint32_t bytes);
void channel_user_eof(struct channel_user *chu);
/* There is room again: send what is kept, tell the consumer. */
void channel_user_push(struct channel_user *chu);

#endif
