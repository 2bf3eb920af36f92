// SPDX-License-Identifier: MIT
/*
 * Receiving on the user data path: TCP bytes to packets, opened in place, data
 * straight to the channel's consumer.
 */
#include <errno.h>
#include <string.h>

#include "channel/conn_user.h"

/* Less room than this behind the rest of the last read: move it down. */
#define RX_ROOM_MIN	(64 * 1024)

static uint32_t fault_reason(int err)
{
	return err == -EBADMSG ? SSH_DISCONNECT_MAC_ERROR :
				 SSH_DISCONNECT_PROTOCOL_ERROR;
}

/* Messages of a channel's data flow; -ENOMSG: for the control part. */
static int input_channel(struct conn_user *cu, const uint8_t *payload,
			 size_t len)
{
	struct kssh_channel_msg msg;
	struct channel_user *chu;
	struct channel *ch;
	int err;

	err = kssh_parse_channel_msg(payload, len, len, &msg);
	if (err)
		return err;
	if (msg.type == SSH_MSG_CHANNEL_CLOSE)
		return -ENOMSG;
	if (cu->conn->kex && kex_rx_gated(cu->conn->kex))
		return -EPROTO;
	ch = conn_channel(cu->conn, msg.recipient);
	if (!ch)
		return -EPROTO;
	cu->conn->heard = true;
	chu = channel_user_of(ch);
	if (msg.type == SSH_MSG_CHANNEL_WINDOW_ADJUST)
		return channel_user_adjust(chu, msg.adjust);
	if (msg.type == SSH_MSG_CHANNEL_EOF) {
		channel_user_eof(chu);
		return 0;
	}
	return channel_user_data(chu, msg.type == SSH_MSG_CHANNEL_EXTENDED_DATA,
				 payload + msg.data_off, msg.data_len);
}

/* The packet at in_off is whole. */
static int input_packet(struct conn_user *cu, size_t total)
{
	const uint8_t *payload;
	uint32_t pkt_seq;
	size_t len;
	int err;

	err = packet_rx_open(&cu->rx, cu->in + cu->in_off, total, &pkt_seq,
			     &payload, &len);
	if (err)
		return conn_fail(cu->conn, err, fault_reason(err));
	cu->in_off += total;
	if (kssh_rekey_due(&cu->rx.use))
		cu->conn->rekey_due = true;
	err = input_channel(cu, payload, len);
	if (err == -ENOMSG)
		return conn_dispatch(cu->conn, pkt_seq, payload, len);
	if (err)
		conn_fail(cu->conn, err, SSH_DISCONNECT_PROTOCOL_ERROR);
	return err;
}

/* Parse what is there. 0, or -errno after conn_fail(). */
static int parse(struct conn_user *cu)
{
	size_t total;
	int err;

	while (cu->in_off < cu->in_len && !cu->conn->ended) {
		if (cu->answers >= USER_TX_ANSWERS) {
			cu->rx_stopped = true;
			return 0;
		}
		err = packet_rx_size(&cu->rx, cu->in + cu->in_off,
				     cu->in_len - cu->in_off, &total);
		if (err == -EAGAIN)
			return 0;
		if (err)
			return conn_fail(cu->conn, err, fault_reason(err));
		if (total > cu->in_len - cu->in_off)
			return 0;
		err = input_packet(cu, total);
		if (err)
			return err;
	}
	return 0;
}

static void receive(struct conn_user *cu)
{
	if (cu->in_off == cu->in_len) {
		cu->in_off = 0;
		cu->in_len = 0;
	} else if (cu->in_off && (USER_RX_CAP - cu->in_len < RX_ROOM_MIN ||
				  cu->in_len - cu->in_off <= cu->in_off)) {
		memmove(cu->in, cu->in + cu->in_off, cu->in_len - cu->in_off);
		cu->in_len -= cu->in_off;
		cu->in_off = 0;
	}
	ring_recv(&cu->conn->ring, &cu->recv_op, cu->fd, cu->in + cu->in_len,
		  USER_RX_CAP - cu->in_len);
}

static void go_on(struct conn_user *cu)
{
	if (!parse(cu) && !cu->rx_stopped && !cu->conn->ended)
		receive(cu);
}

void user_rx_start(struct conn_user *cu)
{
	receive(cu);
}

void user_rx_resume(struct conn_user *cu)
{
	if (!cu->rx_stopped || cu->answers >= USER_TX_ANSWERS)
		return;
	cu->rx_stopped = false;
	go_on(cu);
}

void user_rx_received(struct ring_op *op, int res)
{
	struct conn_user *cu = op->arg;

	if (res == -EINTR || res == -EAGAIN) {
		receive(cu);
		return;
	}
	if (res < 0) {
		conn_fail(cu->conn, res, 0);
		return;
	}
	if (!res) {
		/* FIN inside a packet is not a clean end. */
		conn_fail(cu->conn,
			  cu->in_off == cu->in_len ? 0 : -ECONNABORTED, 0);
		return;
	}
	cu->in_len += res;
	go_on(cu);
}
