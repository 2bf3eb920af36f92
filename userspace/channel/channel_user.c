// SPDX-License-Identifier: MIT
/* A channel of the user data path: windows, data in and out of packets. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "channel/conn_user.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define KEPT_MAX (CHANNEL_WRITE_MAX + 1024)

struct channel_user *channel_user_of(struct channel *ch)
{
	return container_of(ch, struct channel_user, ch);
}

/* ---- RX ---- */

/* The round trip as TCP sees it, microseconds, 0 if it does not know. */
static uint32_t rtt_us(const struct channel_user *chu)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(chu->cu->fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return 0;
	return info.tcpi_rcv_rtt ? info.tcpi_rcv_rtt : info.tcpi_rtt;
}

/* Before a grant: is the window what holds the peer back? */
static void tune(struct channel_user *chu)
{
	struct conn_user *cu = chu->cu;
	uint32_t more;

	more = kssh_rx_window_tune(
		&chu->rx_window, clock_ns(CLOCK_MONOTONIC) / 1000, rtt_us(chu));
	if (!more || cu->windows_grown + more > CONN_WINDOWS_GROWN_MAX)
		return;
	cu->windows_grown += more;
	kssh_rx_window_grow(&chu->rx_window, more);
}

static void grant(struct channel_user *chu, size_t n)
{
	uint8_t msg[KSSH_ADJUST_LEN];
	uint32_t bytes;

	bytes = kssh_rx_window_consume(&chu->rx_window, n);
	if (!bytes || chu->rx_eof || chu->ch.close_sent)
		return;
	tune(chu);
	bytes = chu->rx_window.consumed;
	kssh_fill_adjust(msg, chu->ch.remote_id, bytes);
	if (!conn_send(chu->cu->conn, msg, sizeof(msg)))
		kssh_rx_window_grant(&chu->rx_window, bytes);
}

static ssize_t user_peek(struct channel *ch, const uint8_t **data)
{
	struct channel_user *chu = channel_user_of(ch);

	if (buf_len(&chu->rx)) {
		*data = buf_data(&chu->rx);
		return buf_len(&chu->rx);
	}
	if (chu->now_len) {
		*data = chu->now;
		return chu->now_len;
	}
	if (chu->rx_eof)
		return 0;
	chu->want_read = true;
	return -EAGAIN;
}

static void user_consume(struct channel *ch, size_t n)
{
	struct channel_user *chu = channel_user_of(ch);

	if (buf_len(&chu->rx)) {
		buf_skip(&chu->rx, n);
	} else {
		chu->now += n;
		chu->now_len -= n;
	}
	grant(chu, n);
}

static void user_discard(struct channel *ch)
{
	struct channel_user *chu = channel_user_of(ch);
	size_t n = buf_len(&chu->rx) + chu->now_len;

	if (chu->dropping)
		return;
	chu->dropping = true;
	chu->now_len = 0;
	buf_free(&chu->rx);
	grant(chu, n);
}

static void notify_readable(struct channel_user *chu)
{
	if (!chu->want_read)
		return;
	chu->want_read = false;
	channel_notify_readable(&chu->ch);
}

int channel_user_data(struct channel_user *chu, bool extended,
		      const uint8_t *data, size_t len)
{
	int err = kssh_rx_window_charge(&chu->rx_window, len);

	if (err)
		return err;
	/* RFC 4254 5.3: no data after EOF */
	if (chu->rx_eof)
		return -EPROTO;
	/* A client has no stderr to send, nor data of any other type. */
	if (chu->dropping || extended) {
		grant(chu, len);
		return 0;
	}
	if (!buf_len(&chu->rx)) {
		chu->now = data;
		chu->now_len = len;
		notify_readable(chu);
	} else {
		return buf_put_raw(&chu->rx, data, len);
	}
	/* What nobody took stays: never more than the window we granted. */
	if (chu->now_len)
		err = buf_put_raw(&chu->rx, chu->now, chu->now_len);
	chu->now_len = 0;
	return err;
}

void channel_user_eof(struct channel_user *chu)
{
	chu->rx_eof = true;
	notify_readable(chu);
}

static ssize_t user_to_pipe(struct channel *ch, int pipe_fd, bool *pipe_blocked)
{
	const uint8_t *data;
	ssize_t len = user_peek(ch, &data);
	ssize_t n;

	if (len <= 0)
		return len;
	n = write(pipe_fd, data, len);
	if (n < 0) {
		*pipe_blocked = errno == EAGAIN;
		return -errno;
	}
	user_consume(ch, n);
	return n;
}

/* ---- TX ---- */

/* Into packets as far as window and room allow; bytes taken. */
static size_t put_data(struct channel_user *chu, const uint8_t *p, size_t len)
{
	size_t done = 0, space;
	uint8_t *to;

	while (done < len) {
		to = user_tx_open(chu->cu, chu, false, &space);
		if (!to)
			break;
		if (space > len - done)
			space = len - done;
		memcpy(to, p + done, space);
		done += space;
		if (user_tx_commit(chu->cu, space))
			break;
	}
	return done;
}

static bool is_blocked(struct channel_user *chu)
{
	if (!buf_len(&chu->kept))
		return false;
	chu->want_write = true;
	return true;
}

static int user_write(struct channel *ch, const void *p, size_t len,
		      unsigned int flags)
{
	struct channel_user *chu = channel_user_of(ch);
	size_t done;

	(void)flags;
	if (is_blocked(chu))
		return -EAGAIN;
	done = put_data(chu, p, len);
	if (done == len)
		return 0;
	return buf_put_raw(&chu->kept, (const uint8_t *)p + done, len - done);
}

/* Window or room is short: the bytes wait in @kept. */
static ssize_t keep_file(struct channel_user *chu, int fd, off_t off,
			 size_t len, size_t hdr_len, channel_fill fill,
			 void *arg, int *file_errno)
{
	uint8_t *to = buf_put_space(&chu->kept, hdr_len + len);
	ssize_t n;

	if (!to)
		return buf_error(&chu->kept);
	n = pread(fd, to + hdr_len, len, off);
	if (n <= 0) {
		*file_errno = n ? errno : 0;
		buf_reset(&chu->kept);
		return n ? -EIO : 0;
	}
	fill(arg, to, n);
	chu->kept.len -= len - n;
	channel_user_push(chu);
	return n;
}

static ssize_t user_send_file(struct channel *ch, int fd, off_t off, size_t len,
			      size_t hdr_len, channel_fill fill, void *arg,
			      unsigned int flags, int *file_errno)
{
	struct channel_user *chu = channel_user_of(ch);
	struct user_run run;
	ssize_t n;
	int err;

	(void)flags;
	if (is_blocked(chu))
		return -EAGAIN;
	if (!user_tx_ready(chu->cu)) {
		chu->want_write = true;
		return -EAGAIN;
	}
	if (user_run_plan(chu->cu, chu, hdr_len, len, &run))
		return keep_file(chu, fd, off, len, hdr_len, fill, arg,
				 file_errno);
	n = preadv(fd, run.iov, run.n_iov, off);
	if (n <= 0) {
		*file_errno = n ? errno : 0;
		/* The packet may have been opened for this alone. */
		(void)user_tx_commit(chu->cu, 0);
		return n ? -EIO : 0;
	}
	fill(arg, run.hdr, n);
	err = user_run_commit(chu->cu, chu, hdr_len + n);
	return err ? err : n;
}

/*
 * The channel takes nothing now. The end of the pipe is news all the same, and
 * with nothing in the pipe the channel is not what is waited for.
 */
static ssize_t wait_for_either(struct channel_user *chu, int pipe_fd,
			       bool *pipe_blocked)
{
	struct pollfd pfd = { .fd = pipe_fd, .events = POLLIN };

	*pipe_blocked = poll(&pfd, 1, 0) <= 0;
	if (!*pipe_blocked && !(pfd.revents & POLLIN))
		return 0;
	if (!*pipe_blocked)
		chu->want_write = true;
	return -EAGAIN;
}

static ssize_t user_from_pipe(struct channel *ch, int pipe_fd, bool ext,
			      bool *pipe_blocked)
{
	struct channel_user *chu = channel_user_of(ch);
	size_t space;
	uint8_t *to;
	ssize_t n;
	int err;

	to = buf_len(&chu->kept) ? NULL :
				   user_tx_open(chu->cu, chu, ext, &space);
	if (!to)
		return wait_for_either(chu, pipe_fd, pipe_blocked);
	n = read(pipe_fd, to, space);
	err = n < 0 ? -errno : 0;
	*pipe_blocked = err == -EAGAIN;
	if (user_tx_commit(chu->cu, n > 0 ? n : 0))
		return -EPIPE;
	return err ? err : n;
}

static void user_flush(struct channel *ch)
{
	/* Open packets are closed before the loop sleeps. */
	(void)ch;
}

static void check_eof(struct channel_user *chu)
{
	uint8_t msg[KSSH_EOF_LEN];

	if (!chu->ch.eof_asked || chu->eof_sent || buf_len(&chu->kept))
		return;
	chu->eof_sent = true;
	kssh_fill_eof(msg, chu->ch.remote_id);
	if (!conn_send(chu->cu->conn, msg, sizeof(msg)))
		channel_notify_tx_done(&chu->ch);
}

static void user_send_eof(struct channel *ch)
{
	check_eof(channel_user_of(ch));
}

void channel_user_push(struct channel_user *chu)
{
	size_t n;

	if (buf_len(&chu->kept)) {
		n = put_data(chu, buf_data(&chu->kept), buf_len(&chu->kept));
		buf_skip(&chu->kept, n);
		if (buf_len(&chu->kept))
			return;
		buf_reset(&chu->kept);
		check_eof(chu);
	}
	if (chu->want_write && chu->tx_window.window) {
		chu->want_write = false;
		channel_notify_writable(&chu->ch);
	}
}

int channel_user_adjust(struct channel_user *chu, uint32_t bytes)
{
	int err = kssh_tx_window_add(&chu->tx_window, bytes);

	if (!err && user_tx_ready(chu->cu))
		channel_user_push(chu);
	return err;
}

/* ---- life ---- */

static void user_peer_closed(struct channel *ch)
{
	struct channel_user *chu = channel_user_of(ch);

	if (chu->cu->open == chu)
		(void)user_tx_close(chu->cu);
	buf_free(&chu->kept);
	chu->rx_eof = true;
	notify_readable(chu);
}

static void user_detach(struct channel *ch)
{
	struct channel_user *chu = channel_user_of(ch);

	if (chu->cu->open == chu)
		(void)user_tx_close(chu->cu);
	chu->want_read = false;
	chu->want_write = false;
	chu->dropping = true;
	buf_free(&chu->kept);
	buf_free(&chu->rx);
	chu->cu->windows_grown -= chu->rx_window.max - CONN_WINDOW;
	chu->rx_window.max = CONN_WINDOW;
	chu->rx_window.limit = CONN_WINDOW;
}

static bool user_idle(struct channel *ch)
{
	(void)ch;
	return true;
}

static void user_free(struct channel *ch)
{
	struct channel_user *chu = channel_user_of(ch);

	buf_free(&chu->kept);
	buf_free(&chu->rx);
	free(chu);
}

static const struct channel_ops channel_user_ops = {
	.peek = user_peek,
	.consume = user_consume,
	.discard = user_discard,
	.write = user_write,
	.send_file = user_send_file,
	.from_pipe = user_from_pipe,
	.to_pipe = user_to_pipe,
	.flush = user_flush,
	.send_eof = user_send_eof,
	.peer_closed = user_peer_closed,
	.detach = user_detach,
	.idle = user_idle,
	.free = user_free,
};

int channel_user_alloc(struct channel **ch, struct conn_user *cu,
		       const struct conn_channel_params *params)
{
	struct channel_user *chu = calloc(1, sizeof(*chu));

	if (!chu)
		return -ENOMEM;
	channel_init(&chu->ch, &channel_user_ops, &cu->conn->ring);
	chu->cu = cu;
	chu->rx_window.window = CONN_WINDOW;
	chu->rx_window.max = CONN_WINDOW;
	chu->rx_window.limit = CONN_WINDOW_LIMIT;
	chu->rx_window.max_packet = CONN_MAX_PACKET;
	chu->tx_window.window = params->remote_window;
	chu->tx_window.max_packet = params->remote_max_packet;
	chu->want_read = true;
	buf_init(&chu->rx, CONN_WINDOW_LIMIT);
	buf_init(&chu->kept, KEPT_MAX);
	*ch = &chu->ch;
	return 0;
}
