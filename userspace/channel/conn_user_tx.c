// SPDX-License-Identifier: MIT
/*
 * Sending on the user data path. Data is read or copied straight to its place
 * in a packet, sealed there, and sent; one buffer is filled while the kernel
 * has the other. A data packet stays open until it is full, something else
 * must follow, or the loop goes to sleep: small writes share packets.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "channel/conn_user.h"
#include "monitor/monitor.h"

/* How long the last words may take. */
#define DRAIN_MS	2000

static struct user_out *fill_of(struct conn_user *cu)
{
	return &cu->out[cu->fill];
}

/* A packet that cannot be sealed is lost, and the connection with it. */
static int seal(struct conn_user *cu, size_t payload_len)
{
	struct user_out *out = fill_of(cu);
	int err = packet_tx_seal(&cu->tx, out->data + out->len, payload_len);

	if (err)
		return conn_fail(cu->conn, err, 0);
	out->len += packet_tx_size(&cu->tx, payload_len);
	if (kssh_rekey_due(&cu->tx.use))
		cu->conn->rekey_due = true;
	return 0;
}

int user_tx_close(struct conn_user *cu)
{
	struct channel_user *chu = cu->open;
	uint32_t hdr_len;
	uint8_t *payload;

	if (!chu)
		return 0;
	payload = fill_of(cu)->data + fill_of(cu)->len + PACKET_HDR_LEN;
	hdr_len = kssh_fill_data_hdr(payload, chu->ch.remote_id,
				     cu->open_ext ? KSSH_DATA_STDERR : 0,
				     cu->open_len);
	cu->open = NULL;
	return seal(cu, hdr_len + cu->open_len);
}

int user_tx_message(struct conn_user *cu, const uint8_t *payload, size_t len)
{
	struct user_out *out = fill_of(cu);
	int err = user_tx_close(cu);

	if (err)
		return err;
	if (out->len + packet_tx_size(&cu->tx, len) > USER_TX_CAP)
		return -ENOBUFS;
	memcpy(out->data + out->len + PACKET_HDR_LEN, payload, len);
	cu->answers += packet_tx_size(&cu->tx, len);
	return seal(cu, len);
}

bool user_tx_ready(const struct conn_user *cu)
{
	return cu->out[cu->fill].len < USER_TX_SOFT && !cu->conn->ended &&
	       !conn_tx_gated(cu->conn);
}

/* Largest data part of a packet to this channel. */
static size_t data_max(const struct channel_user *chu)
{
	if (chu->tx_window.max_packet < USER_DATA_MAX)
		return chu->tx_window.max_packet;
	return USER_DATA_MAX;
}

static uint8_t *open_packet(struct conn_user *cu, struct channel_user *chu,
			    bool ext, size_t *space)
{
	uint32_t hdr_len = kssh_data_hdr_len(ext ? KSSH_DATA_STDERR : 0);
	size_t room, window = chu->tx_window.window;

	if (cu->open && (cu->open != chu || cu->open_ext != ext))
		if (user_tx_close(cu))
			return NULL;
	if (!cu->open) {
		cu->open_len = 0;
		cu->open_ext = ext;
	}
	room = data_max(chu) - cu->open_len;
	if (room > window)
		room = window;
	if (!room)
		return NULL;
	cu->open = chu;
	*space = room;
	return fill_of(cu)->data + fill_of(cu)->len + PACKET_HDR_LEN + hdr_len +
	       cu->open_len;
}

uint8_t *user_tx_open(struct conn_user *cu, struct channel_user *chu, bool ext,
		      size_t *space)
{
	if (!user_tx_ready(cu))
		return NULL;
	return open_packet(cu, chu, ext, space);
}

int user_tx_commit(struct conn_user *cu, size_t len)
{
	struct channel_user *chu = cu->open;

	if (len) {
		kssh_tx_window_spend(&chu->tx_window, len);
		cu->open_len += len;
	}
	if (!cu->open_len) {
		cu->open = NULL;
		return 0;
	}
	return cu->open_len == data_max(chu) ? user_tx_close(cu) : 0;
}

int user_run_plan(struct conn_user *cu, struct channel_user *chu,
		  size_t hdr_len, size_t len, struct user_run *run)
{
	size_t space, skip = hdr_len, left = hdr_len + len;
	size_t full =
		packet_tx_size(&cu->tx, KSSH_DATA_HDR_LEN + data_max(chu));
	uint8_t *to, *next;

	if (chu->tx_window.window < left || data_max(chu) < hdr_len)
		return -EAGAIN;
	to = open_packet(cu, chu, false, &space);
	if (to && space < hdr_len) {
		/* The header stays in one piece. */
		if (user_tx_close(cu))
			return -EAGAIN;
		to = open_packet(cu, chu, false, &space);
	}
	if (!to)
		return -EAGAIN;
	run->hdr = to;
	run->n_iov = 0;
	next = fill_of(cu)->data + fill_of(cu)->len + full;
	while (left) {
		if (run->n_iov == USER_RUN_MAX ||
		    next > fill_of(cu)->data + USER_TX_CAP)
			return user_tx_commit(cu, 0) ?: -EAGAIN;
		if (space > left)
			space = left;
		run->iov[run->n_iov].iov_base = to + skip;
		run->iov[run->n_iov++].iov_len = space - skip;
		left -= space;
		skip = 0;
		to = next + PACKET_HDR_LEN + KSSH_DATA_HDR_LEN;
		next += full;
		space = data_max(chu);
	}
	return 0;
}

int user_run_commit(struct conn_user *cu, struct channel_user *chu, size_t len)
{
	size_t space;
	int err = 0;

	while (len && !err) {
		/* The same places again: they only depend on the lengths. */
		if (!open_packet(cu, chu, false, &space))
			return -EPIPE;
		if (space > len)
			space = len;
		err = user_tx_commit(cu, space);
		len -= space;
	}
	return err;
}

static void submit(struct conn_user *cu)
{
	struct user_out *out = &cu->out[!cu->fill];

	ring_send(&cu->conn->ring, &cu->send_op, cu->fd, out->data + cu->sent,
		  out->len - cu->sent, MSG_NOSIGNAL | MSG_WAITALL);
}

void user_tx_flush(struct conn_user *cu)
{
	if (user_tx_close(cu) || !ring_op_idle(&cu->send_op) ||
	    !fill_of(cu)->len)
		return;
	cu->fill = !cu->fill;
	fill_of(cu)->len = 0;
	cu->answers = 0;
	cu->sent = 0;
	submit(cu);
}

/* Each round begins where the room of the last one ended. */
void user_tx_push(struct conn_user *cu)
{
	struct channel *ch;
	unsigned int i;

	for (i = 0; i < CONN_CHANNELS_MAX && user_tx_ready(cu); i++) {
		ch = cu->conn->channels[cu->next_turn];
		cu->next_turn = (cu->next_turn + 1) % CONN_CHANNELS_MAX;
		if (ch)
			channel_user_push(channel_user_of(ch));
	}
}

void user_tx_sent(struct ring_op *op, int res)
{
	struct conn_user *cu = op->arg;
	struct user_out *out = &cu->out[!cu->fill];

	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (!res)
		res = -EPIPE;
	if (res < 0) {
		conn_fail(cu->conn, res, 0);
		return;
	}
	cu->sent += res;
	if (cu->sent < out->len) {
		submit(cu);
		return;
	}
	out->len = 0;
	/* Start on what has piled up before more is made. */
	user_tx_flush(cu);
	user_tx_push(cu);
	user_rx_resume(cu);
}

static void drain_one(int fd, const uint8_t *p, size_t len, int64_t due_ms)
{
	ssize_t n;

	while (len && conn_wait(fd, POLLOUT, due_ms)) {
		n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return;
		p += n;
		len -= n;
	}
}

void user_tx_drain(struct conn_user *cu)
{
	struct user_out *out = &cu->out[!cu->fill];
	int64_t due_ms = mon_now_ms() + DRAIN_MS;
	int n = 0;

	if (user_tx_close(cu))
		return;
	/* With a send in flight nobody knows where the stream stands. */
	if (!ring_op_idle(&cu->send_op))
		n = ring_finish(&cu->conn->ring, &cu->send_op, DRAIN_MS);
	if (n < 0)
		return;
	cu->sent += n;
	if (cu->sent < out->len)
		drain_one(cu->fd, out->data + cu->sent, out->len - cu->sent,
			  due_ms);
	drain_one(cu->fd, fill_of(cu)->data, fill_of(cu)->len, due_ms);
}
