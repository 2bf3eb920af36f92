// SPDX-License-Identifier: MIT
/* The session process: choose the data path, run the loop, end well. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/conn.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/monitor.h"
#include "packet/cipher.h"

#define RING_ENTRIES	64
/* How long the peer may take to read why we left. */
#define LINGER_MS	1000

static void reap_idle(struct conn *conn)
{
	struct reap **p = &conn->reap;
	struct reap *reap;

	while ((reap = *p)) {
		if (!reap->idle(reap)) {
			p = &reap->next;
			continue;
		}
		*p = reap->next;
		reap->free(reap);
	}
}

static void before_sleep(void *arg)
{
	struct conn *conn = arg;

	if (conn->rekey_due && !conn->ended)
		conn_rekey_start(conn);
	if (!conn->ended)
		conn->path->idle(conn);
	reap_idle(conn);
	if (conn->ended)
		conn->ring.stop = true;
}

static const char *cipher_name(const struct newkeys *keys)
{
	const struct cipher_desc *desc = cipher_by_id(keys->cipher);

	return desc ? desc->name : "?";
}

/* Kernel where it can be, else user; the log says which and why. */
static int start_path(struct conn *conn)
{
	const struct session_args *args = conn->args;
	const char *why = args->path_reason;
	int err = -ENOENT;

	if (args->ulp_attached) {
		conn->path = &conn_path_kernel;
		err = conn->path->start(conn, args->state);
		why = err == -ENOENT ? "the module lacks this cipher" :
				       strerror(-err);
	}
	/* With keys in the kernel there is no way back. */
	if (err && !conn->priv && args->conf->data_path != DATA_PATH_KERNEL) {
		conn->path = &conn_path_user;
		err = conn->path->start(conn, args->state);
	}
	if (err) {
		log_error("data path for %s: %s", args->user, strerror(-err));
		return err;
	}
	log_info("data path %s for %s from %s port %u: %s%s%s%s",
		 conn->path->name, args->user, args->peer_addr, args->peer_port,
		 cipher_name(&args->state->tx),
		 conn->path == &conn_path_user ? " (" : "",
		 conn->path == &conn_path_user ? why : "",
		 conn->path == &conn_path_user ? ")" : "");
	return 0;
}

/* What the connection needs to know later, without its keys. */
static void keep_ids(struct conn *conn)
{
	conn->ids = *conn->args->state;
	mem_wipe(&conn->ids.tx, sizeof(conn->ids.tx));
	mem_wipe(&conn->ids.rx, sizeof(conn->ids.rx));
}

static void send_disconnect(struct conn *conn)
{
	struct buf msg;

	if (!conn->disconnect || !conn->priv)
		return;
	buf_init(&msg, 256);
	buf_put_u8(&msg, SSH_MSG_DISCONNECT);
	buf_put_u32(&msg, conn->disconnect);
	buf_put_cstring(&msg, conn->err ? strerror(-conn->err) : "");
	buf_put_cstring(&msg, "");
	if (!buf_error(&msg))
		(void)conn->path->send(conn, buf_data(&msg), buf_len(&msg));
	buf_free(&msg);
}

static bool is_half_open(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       (info.tcpi_state == TCP_FIN_WAIT1 ||
		info.tcpi_state == TCP_FIN_WAIT2);
}

/*
 * Closing with bytes unread makes TCP send RST, which can take our last words
 * from the peer's hands: read on for a moment.
 */
static void linger(int fd)
{
	int64_t due_ms = mon_now_ms() + LINGER_MS;
	uint8_t drop[16 * 1024];

	shutdown(fd, SHUT_WR);
	while (conn_wait(fd, POLLIN, due_ms))
		if (recv(fd, drop, sizeof(drop), MSG_DONTWAIT) <= 0)
			break;
	/* after a fault the module reads and drops by itself */
	while (mon_now_ms() < due_ms && is_half_open(fd))
		conn_wait(-1, 0, mon_now_ms() + 10);
}

static void end(struct conn *conn)
{
	const struct session_args *args = conn->args;

	conn_end_channels(conn);
	send_disconnect(conn);
	if (conn->path && conn->path->stop)
		conn->path->stop(conn);
	if (conn->disconnect)
		linger(args->tcp_fd);
	if (conn->err)
		log_verbose("connection of %s from %s port %u ended: %s",
			    args->user, args->peer_addr, args->peer_port,
			    strerror(-conn->err));
	else
		log_verbose("connection of %s from %s port %u closed",
			    args->user, args->peer_addr, args->peer_port);
	kex_free(conn->kex);
	buf_free(&conn->held);
}

int session_run(const struct session_args *args)
{
	static struct conn conn;
	int err;

	conn.args = args;
	buf_init(&conn.held, CONN_HELD_MAX + 1024);
	signal(SIGPIPE, SIG_IGN);
	err = ring_init(&conn.ring, RING_ENTRIES);
	if (err) {
		log_verbose("no io_uring (%s): poll is used instead",
			    strerror(-err));
		ring_init_poll(&conn.ring);
	}
	conn_rate_init(&conn);
	conn.ring.idle = before_sleep;
	conn.ring.idle_arg = &conn;
	err = start_path(&conn);
	keep_ids(&conn);
	mem_wipe(args->state, sizeof(*args->state));
	if (!err) {
		conn_alive_start(&conn);
		err = ring_run(&conn.ring);
	}
	if (err)
		conn_fail(&conn, err, SSH_DISCONNECT_BY_APPLICATION);
	end(&conn);
	ring_exit(&conn.ring);
	return conn.err ? 1 : 0;
}
