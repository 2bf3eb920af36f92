// SPDX-License-Identifier: MIT
/*
 * The kernel data path: the module makes the packets; here only whole control
 * messages and events pass through the TCP socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/channel_fd.h"
#include "channel/conn.h"
#include "core/packet.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/monitor.h"
#include "offload/ulp.h"

#define RX_LEN_FIRST	(32 * 1024)
#define RX_LEN_MAX	(KSSH_PACKET_LEN_MAX + 1024)
/* Messages read before channels have their turn. */
#define RX_BUDGET	64
/* How long the last words may take. */
#define DRAIN_MS	2000
/* Above this much unsent we read no further requests. */
#define TX_BACKLOG_MAX	(64 * 1024)

/* A message, or keys, that wait for room in the socket. */
struct out_item {
	struct out_item *next;
	bool keys;
	size_t len;
	uint8_t data[];
};

struct install_args {
	struct newkeys keys;
	bool seq_reset;
};

/**
 * struct conn_kernel - control path of the kernel data path
 * @conn: connection
 * @fd: TCP socket with the ULP
 * @rx_op: waits for messages
 * @tx_op: waits for room
 * @rx: buffer for a message
 * @rx_len: its size
 * @out: what waits, in order
 * @out_tail: end of @out
 * @out_bytes: how much that is
 * @rx_packets: that the module had received at the last keepalive
 */
struct conn_kernel {
	struct conn *conn;
	int fd;
	struct ring_op rx_op;
	struct ring_op tx_op;
	uint8_t *rx;
	size_t rx_len;
	struct out_item *out;
	struct out_item **out_tail;
	size_t out_bytes;
	uint64_t rx_packets;
};

/* ---- TX ---- */

static int install_tx(struct conn_kernel *ck, const struct install_args *args)
{
	return ulp_install(ck->fd, true, &args->keys, 0,
			   args->seq_reset ? ULP_SEQ_RESET : ULP_SEQ_KEEP);
}

static int send_now(struct conn_kernel *ck, const uint8_t *data, size_t len)
{
	ssize_t n = send(ck->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : 0;
}

static int queue(struct conn_kernel *ck, bool keys, const void *data,
		 size_t len)
{
	struct out_item *item = malloc(sizeof(*item) + len);

	if (!item)
		return -ENOMEM;
	item->next = NULL;
	item->keys = keys;
	item->len = len;
	memcpy(item->data, data, len);
	*ck->out_tail = item;
	ck->out_tail = &item->next;
	ck->out_bytes += len;
	ck->conn->backlog = true;
	if (ring_op_idle(&ck->tx_op))
		ring_poll(&ck->conn->ring, &ck->tx_op, ck->fd, POLLOUT);
	return 0;
}

static void pop(struct conn_kernel *ck)
{
	struct out_item *item = ck->out;

	ck->out = item->next;
	if (!ck->out)
		ck->out_tail = &ck->out;
	ck->out_bytes -= item->len;
	mem_free_secret(item, sizeof(*item) + item->len);
}

static int send_queue(struct conn_kernel *ck)
{
	struct out_item *item;
	int err = 0;

	while (!err && (item = ck->out)) {
		err = item->keys ? install_tx(ck, (void *)item->data) :
				   send_now(ck, item->data, item->len);
		if (!err)
			pop(ck);
	}
	return err;
}

static void read_messages(struct conn_kernel *ck);

static void tx_ready(struct ring_op *op, int res)
{
	struct conn_kernel *ck = op->arg;
	int err = send_queue(ck);

	(void)res;
	if (err == -EAGAIN) {
		ring_poll(&ck->conn->ring, &ck->tx_op, ck->fd, POLLOUT);
		return;
	}
	if (err) {
		conn_fail(ck->conn, err, 0);
		return;
	}
	ck->conn->backlog = false;
	conn_backlog_gone(ck->conn);
	if (ring_op_idle(&ck->rx_op))
		ring_poll(&ck->conn->ring, &ck->rx_op, ck->fd, POLLIN);
}

static int kernel_send(struct conn *conn, const uint8_t *payload, size_t len)
{
	struct conn_kernel *ck = conn->priv;
	int err = -EAGAIN;

	if (!ck->out)
		err = send_now(ck, payload, len);
	if (err == -EAGAIN)
		err = queue(ck, false, payload, len);
	return err;
}

static int kernel_install(struct conn *conn, bool tx,
			  const struct newkeys *keys, bool seq_reset)
{
	struct conn_kernel *ck = conn->priv;
	struct install_args args = { .keys = *keys, .seq_reset = seq_reset };
	int err;

	if (!tx)
		err = ulp_install(ck->fd, false, keys, 0,
				  seq_reset ? ULP_SEQ_RESET : ULP_SEQ_KEEP);
	else if (ck->out)
		/* NEWKEYS itself has not left: the keys follow it. */
		err = queue(ck, true, &args, sizeof(args));
	else
		err = install_tx(ck, &args);
	mem_wipe(&args, sizeof(args));
	return err;
}

/* ---- RX ---- */

static uint32_t fault_reason(int err)
{
	switch (err) {
	case -EBADMSG:
		return SSH_DISCONNECT_MAC_ERROR;
	case -EMSGSIZE:
	case -EPROTO:
		return SSH_DISCONNECT_PROTOCOL_ERROR;
	default:
		return 0;
	}
}

static int input_event(struct conn_kernel *ck, const struct kssh_event *event)
{
	struct channel *ch;

	switch (event->type) {
	case KSSH_EVENT_REKEY_DUE:
		return conn_rekey_start(ck->conn);
	case KSSH_EVENT_CHANNEL_TX_DONE:
		ch = conn_channel(ck->conn, event->local_id);
		if (ch && (ch->eof_asked || ch->handed_over))
			channel_notify_tx_done(ch);
		return 0;
	default:
		/* A later module may have more to say. */
		return 0;
	}
}

static int grow_rx(struct conn_kernel *ck)
{
	uint8_t *rx = realloc(ck->rx, RX_LEN_MAX);

	if (!rx)
		return -ENOMEM;
	ck->rx = rx;
	ck->rx_len = RX_LEN_MAX;
	return 0;
}

/* One message or event: its length, 0 at the end, -EAGAIN, -errno. */
static ssize_t receive(struct conn_kernel *ck, struct kssh_cmsg_rx *info)
{
	uint8_t space[CMSG_SPACE(sizeof(*info))];
	struct iovec iov = { .iov_base = ck->rx, .iov_len = ck->rx_len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	n = recvmsg(ck->fd, &msg, MSG_DONTWAIT);
	if (n < 0 && errno == EMSGSIZE && ck->rx_len < RX_LEN_MAX)
		return grow_rx(ck) ?: receive(ck, info);
	if (n <= 0)
		return n ? -errno : 0;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_level != SOL_KSSH ||
	    cmsg->cmsg_type != KSSH_CMSG_RX)
		return -EIO;
	memcpy(info, CMSG_DATA(cmsg), sizeof(*info));
	return n;
}

static int read_one(struct conn_kernel *ck)
{
	struct kssh_cmsg_rx info;
	struct kssh_event event;
	ssize_t n = receive(ck, &info);

	if (n == -EAGAIN)
		return n;
	if (n <= 0)
		return conn_fail(ck->conn, n, fault_reason(n));
	if (info.kind == KSSH_RX_MESSAGE)
		return conn_dispatch(ck->conn, info.pkt_seq, ck->rx, n);
	if (n < (ssize_t)sizeof(event))
		return 0;
	memcpy(&event, ck->rx, sizeof(event));
	return input_event(ck, &event);
}

static void read_messages(struct conn_kernel *ck)
{
	int turns, err = 0;

	for (turns = 0; turns < RX_BUDGET && !err; turns++) {
		/* Whoever does not read our answers asks nothing more. */
		if (ck->out_bytes > TX_BACKLOG_MAX)
			return;
		err = read_one(ck);
	}
	if (!ck->conn->ended)
		ring_poll(&ck->conn->ring, &ck->rx_op, ck->fd, POLLIN);
}

static void rx_ready(struct ring_op *op, int res)
{
	(void)res;
	read_messages(op->arg);
}

/* ---- life ---- */

static int kernel_start(struct conn *conn, const struct transport_state *state)
{
	const struct conf *conf = conn->args->conf;
	struct conn_kernel *ck = calloc(1, sizeof(*ck));
	int err = -ENOMEM;

	if (!ck)
		return err;
	ck->conn = conn;
	ck->fd = conn->args->tcp_fd;
	ck->out_tail = &ck->out;
	ck->rx_len = RX_LEN_FIRST;
	ck->rx = malloc(ck->rx_len);
	ck->rx_op = (struct ring_op){ .fn = rx_ready, .arg = ck };
	ck->tx_op = (struct ring_op){ .fn = tx_ready, .arg = ck };
	if (!ck->rx)
		goto err_free;
	/* TX first: until it is in, the socket is plain and can go back. */
	err = ulp_install(ck->fd, true, &state->tx, state->tx_pkt_seq,
			  ULP_SEQ_SET);
	if (err)
		goto err_free;
	err = ulp_install(ck->fd, false, &state->rx, state->rx_pkt_seq,
			  ULP_SEQ_SET);
	if (!err)
		err = ulp_rekey_limits(ck->fd, conf->rekey_bytes,
				       conf->rekey_seconds);
	conn->priv = ck;
	if (err)
		return conn_fail(conn, err, SSH_DISCONNECT_BY_APPLICATION);
	ring_poll(&conn->ring, &ck->rx_op, ck->fd, POLLIN);
	return 0;

err_free:
	free(ck->rx);
	free(ck);
	return err;
}

/*
 * A channel that is bound cannot be taken back without a word to the peer: see
 * that there will be descriptors for both of its sockets.
 */
static int try_descriptors(int fd)
{
	int one = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int two = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (one >= 0)
		close(one);
	if (two >= 0)
		close(two);
	return one < 0 || two < 0 ? -EMFILE : 0;
}

static int kernel_open_channel(struct conn *conn,
			       const struct conn_channel_params *params,
			       struct channel **ch)
{
	struct conn_kernel *ck = conn->priv;
	struct kssh_channel arg = {
		.local_id = params->local_id,
		.remote_id = params->remote_id,
		.local_window = CONN_WINDOW,
		.local_max_packet = CONN_MAX_PACKET,
		.remote_window = params->remote_window,
		.remote_max_packet = params->remote_max_packet,
	};
	struct kssh_channel ext = {
		.local_id = params->local_id,
		.remote_id = params->remote_id,
		.data_type = KSSH_DATA_STDERR,
	};
	int fd, ext_fd, err;

	err = try_descriptors(ck->fd);
	if (err)
		return err;
	fd = ulp_channel(ck->fd, &arg);
	if (fd < 0)
		return fd;
	ext_fd = ulp_channel(ck->fd, &ext);
	if (ext_fd < 0) {
		close(fd);
		return conn_fail(conn, ext_fd, SSH_DISCONNECT_BY_APPLICATION);
	}
	err = channel_fd_alloc(ch, &conn->ring, fd, fd);
	if (err) {
		close(ext_fd);
		return conn_fail(conn, err, SSH_DISCONNECT_BY_APPLICATION);
	}
	channel_fd_set_ext(*ch, ext_fd);
	channel_fd_wait_tx_done(*ch);
	return 0;
}

/* Channel data do not come by here: has the module seen packets? */
static bool kernel_heard(struct conn *conn)
{
	struct conn_kernel *ck = conn->priv;
	uint64_t packets = ulp_rx_packets(ck->fd);
	bool heard = packets != ck->rx_packets;

	ck->rx_packets = packets;
	return heard;
}

static void kernel_idle(struct conn *conn)
{
	(void)conn;
}

static void kernel_stop(struct conn *conn)
{
	struct conn_kernel *ck = conn->priv;
	int64_t due_ms = mon_now_ms() + DRAIN_MS;

	if (!ck)
		return;
	while (send_queue(ck) == -EAGAIN)
		if (!conn_wait(ck->fd, POLLOUT, due_ms))
			break;
	while (ck->out)
		pop(ck);
	mem_free_secret(ck->rx, ck->rx_len);
	free(ck);
	conn->priv = NULL;
}

const struct conn_path conn_path_kernel = {
	.name = "kernel",
	.start = kernel_start,
	.send = kernel_send,
	.install = kernel_install,
	.open_channel = kernel_open_channel,
	.heard = kernel_heard,
	.idle = kernel_idle,
	.stop = kernel_stop,
};
