// SPDX-License-Identifier: MIT
/* Key exchanges after the first one, RFC 4253 9. */
#include <errno.h>

#include "channel/conn.h"
#include "lib/log.h"
#include "monitor/monitor.h"

bool conn_tx_gated(const struct conn *conn)
{
	return conn->kex && kex_tx_gated(conn->kex);
}

static int rekey_send(void *arg, const uint8_t *payload, size_t len)
{
	struct conn *conn = arg;

	return conn->path->send(conn, payload, len);
}

static int rekey_host_key(void *arg, const char *alg, struct buf *blob)
{
	struct conn *conn = arg;

	return mon_request_host_key(conn->args->monitor_fd, alg, blob);
}

static int rekey_sign(void *arg, const char *alg, const uint8_t *data,
		      size_t len, bool first, struct buf *sig)
{
	struct conn *conn = arg;

	(void)first;
	return mon_request_sign(conn->args->monitor_fd, alg, data, len, sig);
}

static int rekey_newkeys(void *arg, bool tx, const struct newkeys *keys,
			 bool seq_reset)
{
	struct conn *conn = arg;

	return conn->path->install(conn, tx, keys, seq_reset);
}

static const struct kex_ops rekey_ops = {
	.send = rekey_send,
	.host_key = rekey_host_key,
	.sign = rekey_sign,
	.newkeys = rekey_newkeys,
};

static int begin(struct conn *conn)
{
	const struct conf *conf = conn->args->conf;
	struct kex_proposal proposal = {
		.kex = conf->kex,
		.hostkey_algs = conn->args->hostkey_algs,
		.ciphers = conf->ciphers,
		.macs = conf->macs,
	};

	conn->rekey_due = false;
	return kex_alloc(&conn->kex, &proposal, &rekey_ops, conn,
			 conn->ids.client_version, conn->ids.server_version,
			 &conn->ids, NULL);
}

/* What was held back goes out under the new keys, in order. */
static int release_held(struct conn *conn)
{
	const uint8_t *payload;
	size_t len;
	int err = 0;

	while (!err && buf_len(&conn->held)) {
		err = buf_get_string(&conn->held, &payload, &len);
		if (!err)
			err = conn->path->send(conn, payload, len);
	}
	buf_reset(&conn->held);
	if (!err)
		conn_backlog_gone(conn);
	return err;
}

int conn_rekey_start(struct conn *conn)
{
	int err = 0;

	conn->rekey_due = false;
	if (conn->kex)
		return 0;
	err = begin(conn);
	if (!err)
		err = kex_start(conn->kex);
	if (err)
		conn_fail(conn, err, SSH_DISCONNECT_KEY_EXCHANGE_FAILED);
	return err;
}

int conn_rekey_input(struct conn *conn, uint32_t pkt_seq,
		     const uint8_t *payload, size_t len)
{
	uint32_t disconnect = SSH_DISCONNECT_KEY_EXCHANGE_FAILED;
	bool was_gated;
	int err = 0;

	if (!conn->kex) {
		/* Only a KEXINIT may begin an exchange. */
		if (payload[0] != SSH_MSG_KEXINIT)
			return conn_fail(conn, -EPROTO,
					 SSH_DISCONNECT_PROTOCOL_ERROR);
		err = begin(conn);
	}
	was_gated = conn_tx_gated(conn);
	if (!err)
		err = kex_input(conn->kex, pkt_seq, payload, len, &disconnect);
	/* Our KEXINIT may have left only now, in answer to the peer's. */
	was_gated = was_gated || payload[0] == SSH_MSG_KEXINIT;
	if (!err && was_gated && !conn_tx_gated(conn))
		err = release_held(conn);
	if (!err && conn->kex && !kex_running(conn->kex)) {
		log_debug("rekeyed: %s", kex_describe(conn->kex));
		kex_free(conn->kex);
		conn->kex = NULL;
	}
	if (err)
		return conn_fail(conn, err, disconnect);
	return 0;
}
