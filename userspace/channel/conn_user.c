// SPDX-License-Identifier: MIT
/* The user data path: set up, keys, end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel/conn_user.h"
#include "lib/mem.h"

static void user_free(struct conn_user *cu)
{
	packet_half_exit(&cu->rx);
	packet_half_exit(&cu->tx);
	mem_free_secret(cu->in, cu->in ? USER_RX_CAP : 0);
	free(cu->out[0].data);
	free(cu->out[1].data);
	free(cu);
}

static int user_alloc(struct conn_user **ret, struct conn *conn)
{
	struct conn_user *cu = calloc(1, sizeof(*cu));

	if (!cu)
		return -ENOMEM;
	cu->conn = conn;
	cu->fd = conn->args->tcp_fd;
	/* Address space only: pages come as they are used. */
	cu->in = malloc(USER_RX_CAP);
	cu->out[0].data = malloc(USER_TX_CAP);
	cu->out[1].data = malloc(USER_TX_CAP);
	cu->recv_op = (struct ring_op){ .fn = user_rx_received, .arg = cu };
	cu->send_op = (struct ring_op){ .fn = user_tx_sent, .arg = cu };
	*ret = cu;
	if (!cu->in || !cu->out[0].data || !cu->out[1].data) {
		user_free(cu);
		return -ENOMEM;
	}
	return 0;
}

/* A half as the auth process left it. */
static int take_over(struct packet_half *half, const struct newkeys *keys,
		     bool tx, uint64_t limit_bytes, uint32_t pkt_seq,
		     uint64_t bytes, uint64_t packets)
{
	int err = packet_half_init(half, tx);

	if (!err)
		err = packet_half_rekey(half, keys, tx, limit_bytes, false);
	half->pkt_seq = pkt_seq;
	half->use.bytes = bytes;
	half->use.packets = packets;
	return err;
}

static void rekey_time(struct ring_op *op, int res)
{
	struct conn *conn = op->arg;

	(void)res;
	conn->rekey_due = true;
	ring_timeout(&conn->ring, op, &conn->rekey_ts);
}

static void arm_rekey_time(struct conn *conn)
{
	conn->rekey_ts.tv_sec = conn->args->conf->rekey_seconds;
	if (!conn->rekey_ts.tv_sec)
		return;
	conn->rekey_op = (struct ring_op){ .fn = rekey_time, .arg = conn };
	ring_timeout(&conn->ring, &conn->rekey_op, &conn->rekey_ts);
}

static int user_start(struct conn *conn, const struct transport_state *state)
{
	uint64_t limit = conn->args->conf->rekey_bytes;
	struct conn_user *cu;
	int err = user_alloc(&cu, conn);

	if (err)
		return err;
	err = take_over(&cu->tx, &state->tx, true, limit, state->tx_pkt_seq,
			state->tx_bytes, state->tx_packets);
	if (!err)
		err = take_over(&cu->rx, &state->rx, false, limit,
				state->rx_pkt_seq, state->rx_bytes,
				state->rx_packets);
	if (err) {
		user_free(cu);
		return err;
	}
	conn->priv = cu;
	arm_rekey_time(conn);
	user_rx_start(cu);
	return 0;
}

static int user_send(struct conn *conn, const uint8_t *payload, size_t len)
{
	return user_tx_message(conn->priv, payload, len);
}

static int user_install(struct conn *conn, bool tx, const struct newkeys *keys,
			bool seq_reset)
{
	struct conn_user *cu = conn->priv;

	return packet_half_rekey(tx ? &cu->tx : &cu->rx, keys, tx,
				 conn->args->conf->rekey_bytes, seq_reset);
}

static int user_open_channel(struct conn *conn,
			     const struct conn_channel_params *params,
			     struct channel **ch)
{
	return channel_user_alloc(ch, conn->priv, params);
}

static void user_idle(struct conn *conn)
{
	struct conn_user *cu = conn->priv;

	/* after a rekey, or after consumers were told to wait */
	user_tx_push(cu);
	user_tx_flush(cu);
}

static void user_stop(struct conn *conn)
{
	struct conn_user *cu = conn->priv;

	if (!cu)
		return;
	user_tx_drain(cu);
	conn->priv = NULL;
	if (ring_op_idle(&cu->recv_op) && ring_op_idle(&cu->send_op)) {
		user_free(cu);
		return;
	}
	/* The kernel may still write there: memory goes with the process. */
	packet_half_exit(&cu->rx);
	packet_half_exit(&cu->tx);
}

const struct conn_path conn_path_user = {
	.name = "user",
	.start = user_start,
	.send = user_send,
	.install = user_install,
	.open_channel = user_open_channel,
	.idle = user_idle,
	.stop = user_stop,
};
