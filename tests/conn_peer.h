/* SPDX-License-Identifier: MIT */
/*
 * A session process on the user data path, and its client, which speaks by
 * packets of its own and notes what comes for each channel, in order. The
 * test is the monitor too: it signs when keys are exchanged again.
 */
#ifndef KSSH_TESTS_CONN_PEER_H
#define KSSH_TESTS_CONN_PEER_H

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/conn_user.h"
#include "harness.h"
#include "kex_peer.h"
#include "monitor/monitor.h"

#define WIRE_MAX	(1024 * 1024)
#define CHANS		(CONN_CHANNELS_MAX + 8)
#define EVENTS_MAX	64
#define HEAD_LEN	4096
/* How the session ends when a sanitizer has found something. */
#define EXIT_SANITIZER	99

/**
 * struct chan - what the client knows of a channel; its number is the index
 * @events: one letter each, runs of data are one: O opened, F not; S success,
 *	f failure; d data, x stderr; e EOF; s exit-status, g exit-signal; c CLOSE
 * @n_events: how many
 * @remote: the server's number
 * @out: bytes of data
 * @err: bytes of stderr
 * @granted: bytes of window the server added
 * @sum: of all data, to compare
 * @head: the first bytes of data
 * @status: of exit-status
 * @signal: of exit-signal
 */
struct chan {
	char events[EVENTS_MAX];
	unsigned int n_events;
	uint32_t remote;
	uint64_t out;
	uint64_t err;
	uint64_t granted;
	uint32_t sum;
	char head[HEAD_LEN + 1];
	uint32_t status;
	char signal[16];
};

/**
 * struct client - the session and its client
 * @rekeys: key exchanges that have ended
 * @stall_kex: answer no KEXINIT
 * @kexinit_sent: ours is out
 * @server_init: the server's KEXINIT came and is not answered
 * @pongs: answers to pings
 * @replies: global request answers: '1' or '0'
 * @unimplemented: how many
 * @disconnect: reason of the server's DISCONNECT
 * @ended: end of the stream
 * @broken: first fault: what came cannot be
 */
struct client {
	struct conf conf;
	struct transport_state state;
	struct session_args args;
	pid_t pid;
	int fd;
	int monitor_fd;
	struct packet_half tx;
	struct packet_half rx;
	uint8_t *in;
	size_t in_off;
	size_t in_len;
	struct owner owner;
	struct peer kex;
	struct sent init_s;
	unsigned int rekeys;
	bool stall_kex;
	bool kexinit_sent;
	bool server_init;
	struct chan chans[CHANS];
	unsigned int pongs;
	char replies[EVENTS_MAX];
	unsigned int unimplemented;
	uint32_t disconnect;
	bool ended;
	const char *broken;
};

/* ---- io_uring may be forbidden, as the kernel would ---- */

static bool no_io_uring;

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	static int (*real)(unsigned int entries, struct io_uring *ring,
			   struct io_uring_params *p);

	if (no_io_uring)
		return -EPERM;
	if (!real)
		real = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	return real(entries, ring, p);
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "exitcode=99";
}

/* ---- start and end ---- */

static void client_keys(struct newkeys *keys, char c)
{
	memset(keys, 0, sizeof(*keys));
	keys->cipher = KSSH_CIPHER_AES_128_GCM;
	keys->key_len = 16;
	keys->iv_len = 12;
	memset(keys->key, c, keys->key_len);
}

static void client_setup(struct client *c, bool use_poll, bool strict)
{
	memset(c, 0, sizeof(*c));
	no_io_uring = use_poll;
	client_keys(&c->state.tx, 't');
	client_keys(&c->state.rx, 'r');
	memset(c->state.session_id, 's', 32);
	c->state.session_id_len = 32;
	c->state.strict_kex = strict;
	strcpy(c->state.client_version, V_C);
	strcpy(c->state.server_version, V_S);
	c->conf.kex = (char *)"curve25519-sha256";
	c->conf.ciphers = (char *)"aes128-gcm@openssh.com";
	c->conf.macs = (char *)"hmac-sha2-256";
	c->conf.data_path = DATA_PATH_USER;
	c->conf.subsystems[0].name = (char *)"sftp";
	c->conf.subsystems[0].command = (char *)"internal-sftp";
	c->conf.n_subsystems = 1;
	c->args = (struct session_args){
		.conf = &c->conf,
		.state = &c->state,
		.hostkey_algs = "ssh-ed25519",
		.path_reason = "test",
		.user = "user",
		.home = "/",
		.shell = "/bin/sh",
		.uid = 1,
		.peer_addr = "192.0.2.1",
		.peer_port = 1,
		.local_addr = "192.0.2.2",
		.local_port = 2,
	};
	owner_init(&c->owner);
	peer_init(&c->kex);
	c->kex.have_session = true;
	memset(c->kex.session_id, 's', 32);
	c->in = malloc(WIRE_MAX);
	ASSERT_EQ(0, packet_half_init(&c->tx, true));
	ASSERT_EQ(0, packet_half_init(&c->rx, false));
	ASSERT_EQ(0, packet_half_rekey(&c->tx, &c->state.rx, true, 0, true));
	ASSERT_EQ(0, packet_half_rekey(&c->rx, &c->state.tx, false, 0, true));
}

/* Behind changes of the configuration. */
static void client_start(struct client *c)
{
	int tcp[2], mon[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, tcp));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, mon));
	c->pid = fork();
	ASSERT_LE(0, c->pid);
	if (!c->pid) {
		close(tcp[1]);
		close(mon[1]);
		c->args.tcp_fd = tcp[0];
		c->args.monitor_fd = mon[0];
		_exit(session_run(&c->args));
	}
	close(tcp[0]);
	close(mon[0]);
	c->fd = tcp[1];
	c->monitor_fd = mon[1];
}

static void client_teardown(struct client *c)
{
	int status = 0;

	close(c->fd);
	close(c->monitor_fd);
	EXPECT_EQ(c->pid, waitpid(c->pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_NE(EXIT_SANITIZER, WEXITSTATUS(status));
	EXPECT_NULL(c->broken)
	TH_LOG("%s", c->broken);
	packet_half_exit(&c->tx);
	packet_half_exit(&c->rx);
	owner_exit(&c->owner);
	peer_exit(&c->kex);
	free(c->init_s.p);
	free(c->in);
}

/* ---- out ---- */

static void client_send(struct client *c, const void *payload, size_t len)
{
	size_t total = packet_tx_size(&c->tx, len), done = 0;
	uint8_t *pkt = malloc(total);
	ssize_t n;

	memcpy(pkt + PACKET_HDR_LEN, payload, len);
	ASSERT_EQ(0, packet_tx_seal(&c->tx, pkt, len));
	while (done < total) {
		n = send(c->fd, pkt + done, total - done, MSG_NOSIGNAL);
		if (n < 0)
			break;
		done += n;
	}
	free(pkt);
}

static void client_send_buf(struct client *c, struct buf *msg)
{
	ASSERT_EQ(0, buf_error(msg));
	client_send(c, buf_data(msg), buf_len(msg));
	buf_free(msg);
}

static void client_send_kexinit(struct client *c)
{
	peer_fill_init(&c->kex);
	c->kexinit_sent = true;
	client_send(c, buf_data(&c->kex.init), buf_len(&c->kex.init));
}

static void client_open(struct client *c, uint32_t id, uint32_t window,
			uint32_t max_packet)
{
	struct buf msg;

	memset(&c->chans[id], 0, sizeof(c->chans[id]));
	buf_init(&msg, 256);
	buf_put_u8(&msg, SSH_MSG_CHANNEL_OPEN);
	buf_put_cstring(&msg, "session");
	buf_put_u32(&msg, id);
	buf_put_u32(&msg, window);
	buf_put_u32(&msg, max_packet);
	client_send_buf(c, &msg);
}

static void client_request(struct client *c, uint32_t id, const char *name,
			   const char *arg)
{
	struct buf msg;

	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_CHANNEL_REQUEST);
	buf_put_u32(&msg, c->chans[id].remote);
	buf_put_cstring(&msg, name);
	buf_put_bool(&msg, true);
	if (arg)
		buf_put_cstring(&msg, arg);
	client_send_buf(c, &msg);
}

static void client_data(struct client *c, uint32_t id, const void *p,
			size_t len)
{
	struct buf msg;

	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_CHANNEL_DATA);
	buf_put_u32(&msg, c->chans[id].remote);
	buf_put_string(&msg, p, len);
	client_send_buf(c, &msg);
}

/* EOF, CLOSE; WINDOW_ADJUST with @bytes */
static void client_channel(struct client *c, uint32_t id, uint8_t type,
			   uint32_t bytes)
{
	struct buf msg;

	buf_init(&msg, 16);
	buf_put_u8(&msg, type);
	buf_put_u32(&msg, c->chans[id].remote);
	if (type == SSH_MSG_CHANNEL_WINDOW_ADJUST)
		buf_put_u32(&msg, bytes);
	client_send_buf(c, &msg);
}

static void client_ping(struct client *c, size_t len)
{
	uint8_t *p = calloc(1, len);
	struct buf msg;

	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, 192);
	buf_put_string(&msg, p, len);
	client_send_buf(c, &msg);
	free(p);
}

/* ---- in ---- */

static void client_event(struct chan *ch, char event)
{
	unsigned int n = ch->n_events;

	if ((event == 'd' || event == 'x') && n && ch->events[n - 1] == event)
		return;
	if (n < EVENTS_MAX - 1)
		ch->events[ch->n_events++] = event;
}

static void client_take_data(struct chan *ch, const uint8_t *p, size_t len)
{
	size_t i, n = len;

	if (ch->out < HEAD_LEN) {
		if (n > HEAD_LEN - ch->out)
			n = HEAD_LEN - ch->out;
		memcpy(ch->head + ch->out, p, n);
	}
	for (i = 0; i < len; i++)
		ch->sum = ch->sum * 31 + p[i];
	ch->out += len;
	client_event(ch, 'd');
}

static void client_take_request(struct client *c, struct chan *ch,
				struct buf *msg)
{
	char *name = NULL, *sig = NULL;
	bool want_reply;

	if (buf_get_cstring(msg, &name) || buf_get_bool(msg, &want_reply))
		c->broken = "request";
	else if (!strcmp(name, "exit-status") && !buf_get_u32(msg, &ch->status))
		client_event(ch, 's');
	else if (!strcmp(name, "exit-signal") && !buf_get_cstring(msg, &sig))
		client_event(ch, 'g');
	else
		c->broken = "unknown request";
	if (sig)
		snprintf(ch->signal, sizeof(ch->signal), "%s", sig);
	free(name);
	free(sig);
}

static void client_take_channel(struct client *c, uint8_t type, struct buf *msg)
{
	const uint8_t *p;
	struct chan *ch;
	uint32_t id, n;
	size_t len;

	if (buf_get_u32(msg, &id) || id >= CHANS) {
		c->broken = "channel";
		return;
	}
	ch = &c->chans[id];
	if (strchr(ch->events, 'c'))
		c->broken = "something behind CLOSE";
	switch (type) {
	case SSH_MSG_CHANNEL_OPEN_CONFIRMATION:
		buf_get_u32(msg, &ch->remote);
		client_event(ch, 'O');
		break;
	case SSH_MSG_CHANNEL_OPEN_FAILURE:
		client_event(ch, 'F');
		break;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST:
		buf_get_u32(msg, &n);
		ch->granted += n;
		break;
	case SSH_MSG_CHANNEL_DATA:
		if (strchr(ch->events, 'e') || buf_get_string(msg, &p, &len))
			c->broken = "data";
		else
			client_take_data(ch, p, len);
		break;
	case SSH_MSG_CHANNEL_EXTENDED_DATA:
		if (strchr(ch->events, 'e') || buf_get_u32(msg, &n) || n != 1 ||
		    buf_get_string(msg, &p, &len))
			c->broken = "extended data";
		ch->err += len;
		client_event(ch, 'x');
		break;
	case SSH_MSG_CHANNEL_EOF:
		client_event(ch, 'e');
		break;
	case SSH_MSG_CHANNEL_CLOSE:
		client_event(ch, 'c');
		break;
	case SSH_MSG_CHANNEL_REQUEST:
		client_take_request(c, ch, msg);
		break;
	case SSH_MSG_CHANNEL_SUCCESS:
		client_event(ch, 'S');
		break;
	case SSH_MSG_CHANNEL_FAILURE:
		client_event(ch, 'f');
		break;
	default:
		c->broken = "unknown channel message";
	}
}

static void client_derive(struct client *c, bool c2s, struct newkeys *keys)
{
	client_keys(keys, 0);
	peer_derive(&c->kex, c2s ? 'A' : 'B', keys->iv, keys->iv_len);
	peer_derive(&c->kex, c2s ? 'C' : 'D', keys->key, keys->key_len);
}

/* The server's KEXINIT is there: ours, if it is not out, and the method. */
static void client_answer_kex(struct client *c)
{
	struct buf msg;

	c->server_init = false;
	if (!c->kexinit_sent)
		client_send_kexinit(c);
	buf_init(&msg, 4096);
	peer_fill_ecdh_init(&c->kex, "curve25519-sha256", &msg);
	client_send_buf(c, &msg);
}

static void client_take_kex(struct client *c, const uint8_t *payload,
			    size_t len)
{
	static const uint8_t newkeys = SSH_MSG_NEWKEYS;
	struct sent msg = { (uint8_t *)payload, len };
	struct newkeys keys;

	switch (payload[0]) {
	case SSH_MSG_KEXINIT:
		free(c->init_s.p);
		c->init_s.p = malloc(len);
		memcpy(c->init_s.p, payload, len);
		c->init_s.len = len;
		c->server_init = true;
		if (!c->stall_kex)
			client_answer_kex(c);
		break;
	case SSH_MSG_KEX_ECDH_REPLY:
		peer_take_reply(&c->kex, "ssh-ed25519", &c->init_s, &msg);
		break;
	case SSH_MSG_NEWKEYS:
		client_send(c, &newkeys, 1);
		client_derive(c, true, &keys);
		ASSERT_EQ(0, packet_half_rekey(&c->tx, &keys, true, 0,
					       c->state.strict_kex));
		client_derive(c, false, &keys);
		ASSERT_EQ(0, packet_half_rekey(&c->rx, &keys, false, 0,
					       c->state.strict_kex));
		c->kexinit_sent = false;
		c->rekeys++;
		break;
	default:
		c->broken = "unknown key exchange message";
	}
}

static void client_take(struct client *c, const uint8_t *payload, size_t len)
{
	size_t n = strlen(c->replies);
	struct buf msg;

	buf_ref(&msg, payload + 1, len - 1);
	switch (payload[0]) {
	case SSH_MSG_DISCONNECT:
		buf_get_u32(&msg, &c->disconnect);
		break;
	case SSH_MSG_UNIMPLEMENTED:
		c->unimplemented++;
		break;
	case SSH_MSG_KEXINIT ... 49:
		client_take_kex(c, payload, len);
		break;
	case SSH_MSG_REQUEST_SUCCESS:
	case SSH_MSG_REQUEST_FAILURE:
		if (n < EVENTS_MAX - 1)
			c->replies[n] = payload[0] == SSH_MSG_REQUEST_SUCCESS ?
						'1' :
						'0';
		break;
	case SSH_MSG_CHANNEL_OPEN_CONFIRMATION ... SSH_MSG_CHANNEL_FAILURE:
		client_take_channel(c, payload[0], &msg);
		break;
	case 193:
		c->pongs++;
		break;
	default:
		c->broken = "unknown message";
	}
}

/* What the monitor would say. */
static void client_serve_monitor(struct client *c)
{
	struct buf req, ans;
	const uint8_t *p;
	char *alg = NULL;
	uint8_t type;
	size_t len;

	buf_init(&req, MON_MSG_MAX);
	buf_init(&ans, MON_MSG_MAX);
	buf_put_u32(&ans, 0);
	if (!mon_msg_recv(c->monitor_fd, 0, &type, &req)) {
		struct buf str;

		buf_init(&str, MON_MSG_MAX);
		ASSERT_EQ(0, buf_get_cstring(&req, &alg));
		if (type == MON_REQ_HOST_KEY) {
			owner_host_key(&c->owner, alg, &str);
		} else {
			ASSERT_EQ(MON_REQ_SIGN, type);
			ASSERT_EQ(0, buf_get_string(&req, &p, &len));
			owner_sign(&c->owner, alg, p, len, false, &str);
		}
		buf_put_buf(&ans, &str);
		mon_msg_send(c->monitor_fd, 0, type + 1, &ans);
		buf_free(&str);
		free(alg);
	}
	buf_free(&req);
	buf_free(&ans);
}

/* Packets that are whole; one at least. False: none. */
static bool client_parse(struct client *c)
{
	const uint8_t *payload;
	size_t total, len;
	uint32_t pkt_seq;

	if (packet_rx_size(&c->rx, c->in + c->in_off, c->in_len - c->in_off,
			   &total) ||
	    total > c->in_len - c->in_off)
		return false;
	if (packet_rx_open(&c->rx, c->in + c->in_off, total, &pkt_seq, &payload,
			   &len)) {
		c->broken = "packet";
		c->ended = true;
		return false;
	}
	c->in_off += total;
	client_take(c, payload, len);
	return true;
}

/* The next message; false at the end of the stream. */
static bool client_next(struct client *c)
{
	struct pollfd pfds[2] = {
		{ .fd = c->fd, .events = POLLIN },
		{ .fd = c->monitor_fd, .events = POLLIN },
	};
	ssize_t n;

	while (!c->ended && !client_parse(c)) {
		memmove(c->in, c->in + c->in_off, c->in_len - c->in_off);
		c->in_len -= c->in_off;
		c->in_off = 0;
		if (poll(pfds, 2, -1) < 0)
			break;
		if (pfds[1].revents & POLLIN)
			client_serve_monitor(c);
		if (!pfds[0].revents)
			continue;
		n = recv(c->fd, c->in + c->in_len, WIRE_MAX - c->in_len,
			 MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN))
			c->ended = true;
		else if (n > 0)
			c->in_len += n;
	}
	return !c->ended;
}

static void client_until_end(struct client *c)
{
	while (client_next(c))
		;
}

/* Until @event has come for the channel, or the connection has ended. */
static void client_until(struct client *c, uint32_t id, char event)
{
	while (!strchr(c->chans[id].events, event) && client_next(c))
		;
	EXPECT_NOT_NULL(strchr(c->chans[id].events, event))
	TH_LOG("channel %u: %s, then the end", id, c->chans[id].events);
}

/* The server has taken all that was sent so far. */
static void client_sync(struct client *c)
{
	unsigned int want = c->pongs + 1;

	client_ping(c, 1);
	while (c->pongs < want && client_next(c))
		;
	EXPECT_EQ(want, c->pongs);
}

static void client_exec(struct client *c, uint32_t id, const char *command,
			uint32_t window)
{
	client_open(c, id, window, 32768);
	client_until(c, id, 'O');
	client_request(c, id, "exec", command);
}

static void client_close(struct client *c, uint32_t id)
{
	client_channel(c, id, SSH_MSG_CHANNEL_CLOSE, 0);
}

#endif
