// SPDX-License-Identifier: MIT
/* Which message may come when, before authentication. */
#include <errno.h>
#include <string.h>

#include "auth/auth_impl.h"
#include "core/core.h"
#include "lib/log.h"
#include "monitor/monitor.h"
#include "stream/banner.h"

/* OpenSSH PROTOCOL 1.9, ping@openssh.com */
#define MSG_PING	192
#define MSG_PONG	193

/*
 * RFC 4253 7: "Transport layer generic" 1 to 19, "Algorithm negotiation" 20 to
 * 29, "Key exchange method specific" 30 to 49
 */
#define TRANSPORT_LAST	19
#define KEX_FIRST	20
#define KEX_LAST	49
#define USERAUTH_LAST	79

static int kex_send(void *arg, const uint8_t *payload, size_t len)
{
	struct auth *auth = arg;

	return packet_conn_send(&auth->pc, payload, len);
}

static int kex_host_key(void *arg, const char *alg, struct buf *blob)
{
	struct auth *auth = arg;

	return mon_request_host_key(auth->args->monitor_fd, alg, blob);
}

static int kex_sign(void *arg, const char *alg, const uint8_t *data, size_t len,
		    bool first, struct buf *sig)
{
	struct auth *auth = arg;

	/* the monitor sees for itself which is the first */
	(void)first;
	return mon_request_sign(auth->args->monitor_fd, alg, data, len, sig);
}

static int kex_newkeys(void *arg, bool tx, const struct newkeys *keys,
		       bool seq_reset)
{
	struct auth *auth = arg;
	struct packet_half *half = tx ? &auth->pc.tx : &auth->pc.rx;

	return packet_half_rekey(half, keys, tx, auth->args->conf->rekey_bytes,
				 seq_reset);
}

static const struct kex_ops kex_ops = {
	.send = kex_send,
	.host_key = kex_host_key,
	.sign = kex_sign,
	.newkeys = kex_newkeys,
};

int auth_kex_start(struct auth *auth)
{
	const struct kex_proposal proposal = {
		.kex = auth->args->conf->kex,
		.hostkey_algs = auth->args->hostkey_algs,
		.ciphers = auth->args->conf->ciphers,
		.macs = auth->args->conf->macs,
	};
	int err;

	err = kex_alloc(&auth->kex, &proposal, &kex_ops, auth,
			auth->client_version, banner_server_version, NULL,
			AUTH_SIG_ALGS);
	return err ? err : kex_start(auth->kex);
}

static int input_kex(struct auth *auth, uint32_t pkt_seq,
		     const uint8_t *payload, size_t len)
{
	uint32_t disconnect = 0;
	int err;

	err = kex_input(auth->kex, pkt_seq, payload, len, &disconnect);
	if (err == -ENOMSG)
		return auth_fail(auth, err, disconnect,
				 kex_describe(auth->kex));
	if (err)
		return auth_fail(auth, err, disconnect, "key exchange failed");
	if (kex_running(auth->kex) || auth->keyed)
		return 0;
	auth->keyed = true;
	log_debug("kex: %s%s", kex_describe(auth->kex),
		  kex_strict(auth->kex) ? " strict" : "");
	return 0;
}

/*
 * RFC 4253 11.1: "uint32 reason code, string description in ISO-10646 UTF-8
 * encoding, string language tag"
 */
static int input_disconnect(struct auth *auth, struct buf *msg)
{
	const uint8_t *text = NULL;
	uint32_t reason = 0;
	char shown[128];
	size_t len = 0;

	/* nothing is owed to a peer that leaves, not even a fault */
	if (!buf_get_u32(msg, &reason))
		buf_get_string(msg, &text, &len);
	log_info("Received disconnect from %s port %u:%u: %s",
		 auth->args->peer_addr, auth->args->peer_port, reason,
		 log_escape(shown, sizeof(shown), text, len));
	return -ESHUTDOWN;
}

/* RFC 4253 10: "byte SSH_MSG_SERVICE_REQUEST, string service name" */
static int input_service_request(struct auth *auth, struct buf *msg)
{
	const uint8_t *name;
	struct buf out;
	size_t len;
	int err;

	err = buf_get_string(msg, &name, &len);
	if (!err)
		err = buf_end(msg);
	if (err)
		return auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "malformed service request");
	if (len != strlen("ssh-userauth") || memcmp(name, "ssh-userauth", len))
		return auth_fail(auth, -EPROTO,
				 SSH_DISCONNECT_SERVICE_NOT_AVAILABLE,
				 "only the service ssh-userauth is here");
	auth->service = true;
	buf_init(&out, BUF_MAX_DEFAULT);
	buf_put_u8(&out, SSH_MSG_SERVICE_ACCEPT);
	buf_put_string(&out, name, len);
	return auth_send(auth, &out);
}

/*
 * RFC 8308 2.3: "uint32 nr-extensions, repeat the following 2 fields
 * "nr-extensions" times: string extension-name, string extension-value
 * (binary)". There is none that we make use of.
 */
static int input_ext_info(struct auth *auth, struct buf *msg)
{
	const uint8_t *p;
	uint32_t i, n;
	size_t len;
	int err;

	err = buf_get_u32(msg, &n);
	/* an entry has 8 bytes at least: n is bounded by the message */
	for (i = 0; !err && i < n; i++) {
		err = buf_get_string(msg, &p, &len);
		if (!err)
			err = buf_get_string(msg, &p, &len);
	}
	if (!err)
		err = buf_end(msg);
	if (err)
		return auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "malformed extension info");
	return 0;
}

static int input_ping(struct auth *auth, struct buf *msg)
{
	const uint8_t *data;
	struct buf out;
	size_t len;
	int err;

	err = buf_get_string(msg, &data, &len);
	if (!err)
		err = buf_end(msg);
	if (err)
		return auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "malformed ping");
	buf_init(&out, BUF_MAX_DEFAULT);
	buf_put_u8(&out, MSG_PONG);
	buf_put_string(&out, data, len);
	return auth_send(auth, &out);
}

/*
 * RFC 4253 11.4: "An implementation MUST respond to all unrecognized messages
 * with an SSH_MSG_UNIMPLEMENTED message in the order in which the messages
 * were received."
 */
static int send_unimplemented(struct auth *auth, uint32_t pkt_seq)
{
	struct buf out;

	buf_init(&out, BUF_MAX_DEFAULT);
	buf_put_u8(&out, SSH_MSG_UNIMPLEMENTED);
	buf_put_u32(&out, pkt_seq);
	return auth_send(auth, &out);
}

/* With keys, and outside a key exchange. */
static int input_keyed(struct auth *auth, uint32_t pkt_seq, uint8_t type,
		       struct buf *msg)
{
	switch (type) {
	case SSH_MSG_SERVICE_REQUEST:
		return input_service_request(auth, msg);
	case SSH_MSG_EXT_INFO:
		return input_ext_info(auth, msg);
	case SSH_MSG_USERAUTH_REQUEST:
		return auth_userauth_request(auth, msg);
	case MSG_PING:
		return input_ping(auth, msg);
	default:
		break;
	}
	/*
	 * RFC 4252 6: numbers of 80 and higher are for the protocols that run
	 * after authentication, "so receiving one of them before
	 * authentication is complete is an error, to which the server MUST
	 * respond by disconnecting"
	 */
	if (type > USERAUTH_LAST)
		return auth_fail(auth, -EPROTO, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "not before authentication");
	return send_unimplemented(auth, pkt_seq);
}

int auth_dispatch(struct auth *auth, uint32_t pkt_seq, const uint8_t *payload,
		  size_t len)
{
	uint8_t type = payload[0];
	struct buf msg;

	buf_ref(&msg, payload + 1, len - 1);
	if (type == SSH_MSG_DISCONNECT)
		return input_disconnect(auth, &msg);
	/* strict-kex: in the first exchange nothing else may be said at all */
	if ((type >= KEX_FIRST && type <= KEX_LAST) ||
	    (!auth->keyed && kex_strict(auth->kex)))
		return input_kex(auth, pkt_seq, payload, len);
	if (type == SSH_MSG_IGNORE || type == SSH_MSG_DEBUG ||
	    type == SSH_MSG_UNIMPLEMENTED)
		return 0;
	/*
	 * RFC 4253 7.1: once a KEXINIT is sent, until NEWKEYS, a party sends
	 * transport layer generic messages only, and no SERVICE_REQUEST
	 */
	if (!auth->keyed || kex_rx_gated(auth->kex)) {
		if (type <= TRANSPORT_LAST && type != SSH_MSG_SERVICE_REQUEST &&
		    type != SSH_MSG_SERVICE_ACCEPT && type != SSH_MSG_EXT_INFO)
			return send_unimplemented(auth, pkt_seq);
		return auth_fail(auth, -EPROTO, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "not during a key exchange");
	}
	return input_keyed(auth, pkt_seq, type, &msg);
}
