// SPDX-License-Identifier: MIT
/*
 * The auth process: from the first byte of a peer to a user who is known. It
 * decides nothing: what it is told by the peer, it passes to the monitor.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "auth/auth_impl.h"
#include "core/core.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/monitor.h"
#include "stream/banner.h"

/* A peer that hurries us on gets this long to take our last words. */
#define LAST_WORDS_MS	2000
#define LINGER_MS	1000
#define LINGER_BYTES	(64 * 1024)

int auth_fail(struct auth *auth, int err, uint32_t disconnect, const char *why)
{
	if (!auth->why) {
		auth->why = why;
		auth->disconnect = disconnect;
	}
	return err;
}

int auth_send(struct auth *auth, struct buf *msg)
{
	int err = buf_error(msg);

	if (!err)
		err = packet_conn_send(&auth->pc, buf_data(msg), buf_len(msg));
	buf_free(msg);
	return err;
}

/*
 * RFC 4253 11.1: "This message causes immediate termination of the
 * connection." May be sent at any time, also during a key exchange.
 */
static void send_disconnect(struct auth *auth)
{
	struct buf msg;

	auth->pc.deadline_ms = mon_now_ms() + LAST_WORDS_MS;
	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_DISCONNECT);
	buf_put_u32(&msg, auth->disconnect);
	buf_put_cstring(&msg, auth->why);
	buf_put_cstring(&msg, "");
	auth_send(auth, &msg);
}

/*
 * A socket closed with bytes unread sends a reset, which may overtake what we
 * said last. So: no more from us, and what the peer still sends is dropped.
 */
static void let_go(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t until_ms = mon_now_ms() + LINGER_MS;
	size_t left = LINGER_BYTES;
	uint8_t sink[4096];
	ssize_t n;

	if (shutdown(fd, SHUT_WR))
		return;
	while (left >= sizeof(sink) && mon_now_ms() < until_ms) {
		if (poll(&pfd, 1, LINGER_MS) <= 0)
			return;
		n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
		if (n <= 0)
			return;
		left -= n;
	}
}

/* What a broken packet is to the peer. */
static int recv_fault(struct auth *auth, int err)
{
	switch (err) {
	case -EBADMSG:
		return auth_fail(auth, err, SSH_DISCONNECT_MAC_ERROR,
				 "wrong MAC");
	case -EMSGSIZE:
		return auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "bad packet length");
	case -EPROTO:
		return auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "malformed packet");
	case -EKEYEXPIRED:
		return auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "too many packets without a key exchange");
	default:
		return err;
	}
}

static int serve(struct auth *auth)
{
	const uint8_t *payload;
	uint32_t pkt_seq;
	size_t len;
	int err;

	err = auth_kex_start(auth);
	while (!err && !auth->authenticated) {
		err = packet_conn_recv(&auth->pc, &pkt_seq, &payload, &len);
		if (err)
			return recv_fault(auth, err);
		err = auth_dispatch(auth, pkt_seq, payload, len);
	}
	return err;
}

/* Once, between two packets: the keys leave this process, and then it ends. */
static int export(struct auth *auth)
{
	struct transport_state state = {
		.tx_pkt_seq = auth->pc.tx.pkt_seq,
		.rx_pkt_seq = auth->pc.rx.pkt_seq,
		.tx_packets = auth->pc.tx.use.packets,
		.rx_packets = auth->pc.rx.use.packets,
		.tx_bytes = auth->pc.tx.use.bytes,
		.rx_bytes = auth->pc.rx.use.bytes,
		.strict_kex = kex_strict(auth->kex),
		.peer_ext_info = kex_peer_ext_info(auth->kex),
	};
	const uint8_t *session_id;
	size_t len;
	int err;

	session_id = kex_session_id(auth->kex, &len);
	if (len > sizeof(state.session_id))
		return -EINVAL;
	memcpy(state.session_id, session_id, len);
	state.session_id_len = len;
	memcpy(state.client_version, auth->client_version,
	       sizeof(state.client_version));
	memcpy(state.server_version, banner_server_version,
	       strlen(banner_server_version) + 1);
	cipher_export(auth->pc.tx.cipher, &state.tx);
	cipher_export(auth->pc.rx.cipher, &state.rx);
	err = mon_request_export(auth->args->monitor_fd, &state);
	mem_wipe(&state, sizeof(state));
	return err;
}

static int exchange_versions(struct auth *auth)
{
	const struct auth_args *args = auth->args;
	char shown[128];
	int err;

	err = banner_send(args->tcp_fd, args->deadline_ms);
	if (!err)
		err = banner_recv(args->tcp_fd, args->deadline_ms,
				  auth->client_version,
				  sizeof(auth->client_version));
	if (err != -EPROTO && err != -EPROTONOSUPPORT && err != -EMSGSIZE)
		return err;
	banner_complain(args->tcp_fd, err);
	log_info("Bad protocol version identification '%s' from %s port %u",
		 log_escape(shown, sizeof(shown), auth->client_version,
			    strlen(auth->client_version)),
		 args->peer_addr, args->peer_port);
	return -ESHUTDOWN;
}

/* One line for the end of a connection, whatever the peer did before. */
static void log_end(const struct auth *auth, int err)
{
	const struct auth_args *args = auth->args;
	char name[64];
	char who[128] = "";

	/* it has been said */
	if (err == -ESHUTDOWN)
		return;
	if (auth->user)
		snprintf(who, sizeof(who), "authenticating user %s ",
			 log_escape(name, sizeof(name), auth->user,
				    strlen(auth->user)));
	if (err == -ECONNABORTED || err == -ECONNRESET)
		log_info("Connection %s by %s%s port %u",
			 err == -ECONNRESET ? "reset" : "closed", who,
			 args->peer_addr, args->peer_port);
	else if (err == -ETIMEDOUT)
		log_info(
			"Timeout before authentication for connection from %s port %u",
			args->peer_addr, args->peer_port);
	else
		log_info("Disconnecting %s%s port %u: %s", who, args->peer_addr,
			 args->peer_port,
			 auth->why ? auth->why : strerror(-err));
}

int auth_run(const struct auth_args *args)
{
	struct auth auth = { .args = args };
	int err;

	err = exchange_versions(&auth);
	if (!err)
		err = packet_conn_init(&auth.pc, args->tcp_fd,
				       args->deadline_ms);
	if (err) {
		log_end(&auth, err);
		let_go(args->tcp_fd);
		return 1;
	}
	err = serve(&auth);
	if (!err)
		err = export(&auth);
	if (err && auth.disconnect)
		send_disconnect(&auth);
	if (err) {
		log_end(&auth, err);
		let_go(args->tcp_fd);
	}
	kex_free(auth.kex);
	packet_conn_exit(&auth.pc);
	free(auth.user);
	return err ? 1 : 0;
}
