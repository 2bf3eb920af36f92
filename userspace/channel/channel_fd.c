// SPDX-License-Identifier: MIT
/*
 * A channel on a stream socket: the kernel data path, where the module turns
 * the bytes into packets and keeps the windows. Bytes of files and pipes are
 * spliced and never seen here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/channel_fd.h"
#include "lib/mem.h"

#define RX_BUF_LEN	(256 * 1024)
#define PIPE_LEN	(512 * 1024)
#define SPLICE_MAX	(256 * 1024)
/* Reads before others have their turn: there may be no end to it. */
#define RX_TURNS	8

/**
 * struct room - waits until a socket takes data
 * @op: the wait
 * @epoll_fd: asks for it, -1 until used
 */
struct room {
	struct ring_op op;
	int epoll_fd;
};

/**
 * struct channel_fd - a channel on descriptors
 * @ch: common part
 * @rx_fd: read from
 * @tx_fd: written to
 * @ext_fd: written to as stderr, or -1
 * @rx_op: waits for input
 * @tx_room: of @tx_fd
 * @ext_room: of @ext_fd
 * @rx_buf: what was read and not consumed
 * @rx_off: start of it
 * @rx_len: end of it
 * @rx_turns: reads since the loop has slept
 * @kept: written by the consumer, not taken by the socket yet
 * @pipe: file bytes on their way, behind @kept; -1 until used
 * @pipe_len: how many are in it
 * @more: the last of what is kept was sent with CHANNEL_MORE
 * @want_write: the consumer was told -EAGAIN
 * @wait_tx_done: the module reports the end of TX
 * @eof_sent: shutdown(SHUT_WR) was called
 * @dropping: input is discarded
 * @corked: something was sent with MSG_MORE and not flushed
 */
struct channel_fd {
	struct channel ch;
	int rx_fd;
	int tx_fd;
	int ext_fd;
	struct ring_op rx_op;
	struct room tx_room;
	struct room ext_room;
	uint8_t *rx_buf;
	size_t rx_off;
	size_t rx_len;
	unsigned int rx_turns;
	struct buf kept;
	int pipe[2];
	size_t pipe_len;
	bool more;
	bool want_write;
	bool wait_tx_done;
	bool eof_sent;
	bool dropping;
	bool corked;
};

static struct channel_fd *to_fd(struct channel *ch)
{
	return container_of(ch, struct channel_fd, ch);
}

static bool is_blocked(const struct channel_fd *cf)
{
	return buf_len(&cf->kept) || cf->pipe_len;
}

static void wait_rx(struct channel_fd *cf)
{
	if (ring_op_idle(&cf->rx_op) && cf->rx_fd >= 0)
		ring_poll(cf->ch.ring, &cf->rx_op, cf->rx_fd, POLLIN);
}

/*
 * io_uring's poll reports POLLRDHUP unasked, which there is as soon as the peer
 * has sent EOF: it would not wait any more. epoll does not report it.
 */
static int open_epoll(int fd)
{
	struct epoll_event event = { .events = EPOLLOUT };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		close(epoll_fd);
		return -1;
	}
	return epoll_fd;
}

static void wait_room(struct channel_fd *cf, struct room *room, int fd)
{
	if (!ring_op_idle(&room->op) || fd < 0)
		return;
	if (room->epoll_fd < 0)
		room->epoll_fd = open_epoll(fd);
	if (room->epoll_fd >= 0)
		ring_poll(cf->ch.ring, &room->op, room->epoll_fd, POLLIN);
	else
		ring_poll(cf->ch.ring, &room->op, fd, POLLOUT);
}

static void close_room(struct channel_fd *cf, struct room *room)
{
	ring_cancel(cf->ch.ring, &room->op);
	if (room->epoll_fd >= 0)
		close(room->epoll_fd);
	room->epoll_fd = -1;
}

static void wait_tx(struct channel_fd *cf)
{
	wait_room(cf, &cf->tx_room, cf->tx_fd);
}

/* ---- RX ---- */

static ssize_t fd_peek(struct channel *ch, const uint8_t **data)
{
	struct channel_fd *cf = to_fd(ch);
	ssize_t n;

	if (cf->rx_off == cf->rx_len) {
		if (cf->rx_fd < 0)
			return -EBADF;
		if (!cf->rx_buf)
			cf->rx_buf = malloc(RX_BUF_LEN);
		if (!cf->rx_buf)
			return -ENOMEM;
		n = -1;
		errno = EAGAIN;
		if (cf->rx_turns < RX_TURNS)
			n = read(cf->rx_fd, cf->rx_buf, RX_BUF_LEN);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			wait_rx(cf);
			return -EAGAIN;
		}
		cf->rx_turns++;
		cf->rx_off = 0;
		cf->rx_len = n;
		if (!n)
			return 0;
	}
	*data = cf->rx_buf + cf->rx_off;
	return cf->rx_len - cf->rx_off;
}

static void fd_consume(struct channel *ch, size_t n)
{
	to_fd(ch)->rx_off += n;
}

static void fd_discard(struct channel *ch)
{
	struct channel_fd *cf = to_fd(ch);

	if (cf->dropping || cf->rx_fd < 0)
		return;
	cf->dropping = true;
	cf->rx_off = 0;
	cf->rx_len = 0;
	ring_cancel(cf->ch.ring, &cf->rx_op);
	shutdown(cf->rx_fd, SHUT_RD);
}

static void rx_ready(struct ring_op *op, int res)
{
	struct channel_fd *cf = op->arg;

	(void)res;
	cf->rx_turns = 0;
	if (!cf->dropping)
		channel_notify_readable(&cf->ch);
}

/* Which of the two ends made splice say EAGAIN? */
static bool pipe_is_ready(int pipe_fd, short events)
{
	struct pollfd pfd = { .fd = pipe_fd, .events = events };

	return poll(&pfd, 1, 0) > 0;
}

static ssize_t buffered_to_pipe(struct channel_fd *cf, int pipe_fd,
				bool *pipe_blocked)
{
	ssize_t n = write(pipe_fd, cf->rx_buf + cf->rx_off,
			  cf->rx_len - cf->rx_off);

	if (n < 0) {
		*pipe_blocked = errno == EAGAIN;
		return -errno;
	}
	cf->rx_off += n;
	return n;
}

static ssize_t fd_to_pipe(struct channel *ch, int pipe_fd, bool *pipe_blocked)
{
	struct channel_fd *cf = to_fd(ch);
	ssize_t n;

	if (cf->rx_off < cf->rx_len)
		return buffered_to_pipe(cf, pipe_fd, pipe_blocked);
	n = splice(cf->rx_fd, NULL, pipe_fd, NULL, SPLICE_MAX,
		   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n >= 0)
		return n;
	if (errno != EAGAIN)
		return -errno;
	*pipe_blocked = !pipe_is_ready(pipe_fd, POLLOUT);
	if (!*pipe_blocked)
		wait_rx(cf);
	return -EAGAIN;
}

/* ---- TX ---- */

static void check_eof(struct channel_fd *cf)
{
	if (!cf->ch.eof_asked || cf->eof_sent || is_blocked(cf))
		return;
	cf->eof_sent = true;
	/* EOF leaves when neither socket of the channel writes any more. */
	if (cf->ext_fd >= 0)
		shutdown(cf->ext_fd, SHUT_WR);
	shutdown(cf->tx_fd, SHUT_WR);
	if (!cf->wait_tx_done)
		channel_notify_tx_done(&cf->ch);
}

/* Send from @kept, then from the pipe. 0 all gone; -EAGAIN; -errno. */
static int push_kept(struct channel_fd *cf)
{
	ssize_t n;
	int flags;

	while (buf_len(&cf->kept)) {
		flags = MSG_DONTWAIT | MSG_NOSIGNAL;
		if (cf->pipe_len || cf->more)
			flags |= MSG_MORE;
		n = send(cf->tx_fd, buf_data(&cf->kept), buf_len(&cf->kept),
			 flags);
		if (n < 0)
			return -errno;
		buf_skip(&cf->kept, n);
	}
	while (cf->pipe_len) {
		n = splice(cf->pipe[0], NULL, cf->tx_fd, NULL, cf->pipe_len,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE |
				   (cf->more ? SPLICE_F_MORE : 0));
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		cf->pipe_len -= n;
	}
	cf->corked = cf->more;
	return 0;
}

/*
 * An error on TX shows up on RX too, behind what has arrived before it; here
 * the rest is only forgotten.
 */
static void drop_kept(struct channel_fd *cf)
{
	buf_reset(&cf->kept);
	cf->pipe_len = 0;
	if (cf->pipe[0] >= 0) {
		close(cf->pipe[0]);
		close(cf->pipe[1]);
		cf->pipe[0] = -1;
		cf->pipe[1] = -1;
	}
}

static int push(struct channel_fd *cf)
{
	int err = push_kept(cf);

	if (err == -EAGAIN)
		wait_tx(cf);
	else if (err)
		drop_kept(cf);
	/* closed by the peer: what is sent goes nowhere */
	return err == -EPIPE ? 0 : err;
}

static void tx_ready(struct ring_op *op, int res)
{
	struct channel_fd *cf = op->arg;

	(void)res;
	if (push(cf) == -EAGAIN)
		return;
	if (cf->want_write) {
		cf->want_write = false;
		channel_notify_writable(&cf->ch);
	}
	if (cf->tx_fd >= 0)
		check_eof(cf);
}

static int fd_write(struct channel *ch, const void *p, size_t len,
		    unsigned int flags)
{
	struct channel_fd *cf = to_fd(ch);
	ssize_t n = 0;
	int err;

	if (is_blocked(cf)) {
		cf->want_write = true;
		return -EAGAIN;
	}
	cf->more = flags & CHANNEL_MORE;
	n = send(cf->tx_fd, p, len,
		 MSG_DONTWAIT | MSG_NOSIGNAL | (cf->more ? MSG_MORE : 0));
	if (n < 0 && errno == EPIPE)
		return 0;
	if (n < 0 && errno != EAGAIN)
		return -errno;
	if (n < 0)
		n = 0;
	cf->corked = cf->more;
	if ((size_t)n == len)
		return 0;
	err = buf_put_raw(&cf->kept, (const uint8_t *)p + n, len - n);
	wait_tx(cf);
	return err;
}

static int open_pipe(struct channel_fd *cf)
{
	if (cf->pipe[0] >= 0)
		return 0;
	if (pipe2(cf->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		cf->pipe[0] = -1;
		return -errno;
	}
	/* The default still works where the user's limit is reached. */
	(void)fcntl(cf->pipe[1], F_SETPIPE_SZ, PIPE_LEN);
	return 0;
}

/* Page cache to pipe; the exact count is known before a header is promised. */
static ssize_t fill_pipe(struct channel_fd *cf, int fd, off_t off, size_t len)
{
	loff_t pos = off;
	ssize_t n;

	while (cf->pipe_len < len) {
		n = splice(fd, &pos, cf->pipe[1], NULL, len - cf->pipe_len,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (n < 0 && !cf->pipe_len)
			return -errno;
		if (n <= 0)
			break;
		cf->pipe_len += n;
	}
	return cf->pipe_len;
}

static ssize_t fd_send_file(struct channel *ch, int fd, off_t off, size_t len,
			    size_t hdr_len, channel_fill fill, void *arg,
			    unsigned int flags, int *file_errno)
{
	struct channel_fd *cf = to_fd(ch);
	uint8_t *hdr;
	ssize_t n;
	int err;

	if (is_blocked(cf)) {
		cf->want_write = true;
		return -EAGAIN;
	}
	err = open_pipe(cf);
	if (err)
		return err;
	n = fill_pipe(cf, fd, off, len);
	if (n < 0) {
		*file_errno = -n;
		return -EIO;
	}
	if (!n)
		return 0;
	cf->more = flags & CHANNEL_MORE;
	hdr = buf_put_space(&cf->kept, hdr_len);
	if (!hdr) {
		drop_kept(cf);
		return -ENOMEM;
	}
	fill(arg, hdr, n);
	err = push(cf);
	return err && err != -EAGAIN ? err : n;
}

static ssize_t fd_from_pipe(struct channel *ch, int pipe_fd, bool ext,
			    bool *pipe_blocked)
{
	struct channel_fd *cf = to_fd(ch);
	int fd = ext && cf->ext_fd >= 0 ? cf->ext_fd : cf->tx_fd;
	ssize_t n;

	n = splice(pipe_fd, NULL, fd, NULL, SPLICE_MAX,
		   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n >= 0)
		return n;
	if (errno != EAGAIN)
		return -errno;
	*pipe_blocked = !pipe_is_ready(pipe_fd, POLLIN);
	if (*pipe_blocked)
		return -EAGAIN;
	cf->want_write = true;
	wait_room(cf, fd == cf->tx_fd ? &cf->tx_room : &cf->ext_room, fd);
	return -EAGAIN;
}

/* A copy that blocks, as commands expect it; @fd keeps its place. */
static int give_away(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy >= 0)
		fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) & ~O_NONBLOCK);
	return copy < 0 ? -errno : copy;
}

static void close_sockets(struct channel_fd *cf)
{
	ring_cancel(cf->ch.ring, &cf->rx_op);
	close_room(cf, &cf->tx_room);
	close_room(cf, &cf->ext_room);
	if (cf->tx_fd >= 0 && cf->tx_fd != cf->rx_fd)
		close(cf->tx_fd);
	if (cf->rx_fd >= 0)
		close(cf->rx_fd);
	if (cf->ext_fd >= 0)
		close(cf->ext_fd);
	cf->rx_fd = -1;
	cf->tx_fd = -1;
	cf->ext_fd = -1;
}

/* Only where the module tells of the end; see channel_fd_wait_tx_done(). */
static int fd_hand_over(struct channel *ch, int fds[3])
{
	struct channel_fd *cf = to_fd(ch);
	int from[3] = { cf->rx_fd, cf->tx_fd, cf->ext_fd };
	int i;

	if (!cf->wait_tx_done || cf->ext_fd < 0 || is_blocked(cf) ||
	    cf->rx_off < cf->rx_len)
		return -EOPNOTSUPP;
	for (i = 0; i < 3; i++) {
		fds[i] = give_away(from[i]);
		if (fds[i] < 0)
			break;
	}
	if (i < 3) {
		int err = fds[i];

		while (i--)
			close(fds[i]);
		fcntl(cf->rx_fd, F_SETFL, O_NONBLOCK);
		fcntl(cf->ext_fd, F_SETFL, O_NONBLOCK);
		return err;
	}
	close_sockets(cf);
	cf->dropping = true;
	cf->eof_sent = true;
	return 0;
}

static void fd_flush(struct channel *ch)
{
	struct channel_fd *cf = to_fd(ch);

	cf->more = false;
	if (is_blocked(cf) || !cf->corked)
		return;
	cf->corked = false;
	/* Nothing more to say: the open packet leaves. */
	(void)send(cf->tx_fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void fd_send_eof(struct channel *ch)
{
	check_eof(to_fd(ch));
}

/* ---- life ---- */

static void fd_peer_closed(struct channel *ch)
{
	struct channel_fd *cf = to_fd(ch);

	ring_cancel(cf->ch.ring, &cf->tx_room.op);
	drop_kept(cf);
	/* Nor will what the command still sends. */
	if (ch->handed_over)
		channel_notify_tx_done(ch);
}

static void fd_detach(struct channel *ch)
{
	struct channel_fd *cf = to_fd(ch);

	drop_kept(cf);
	close_sockets(cf);
}

static bool fd_idle(struct channel *ch)
{
	struct channel_fd *cf = to_fd(ch);

	return ring_op_idle(&cf->rx_op) && ring_op_idle(&cf->tx_room.op) &&
	       ring_op_idle(&cf->ext_room.op);
}

static void fd_free(struct channel *ch)
{
	struct channel_fd *cf = to_fd(ch);

	buf_free(&cf->kept);
	free(cf->rx_buf);
	free(cf);
}

static const struct channel_ops channel_fd_ops = {
	.peek = fd_peek,
	.consume = fd_consume,
	.discard = fd_discard,
	.write = fd_write,
	.send_file = fd_send_file,
	.from_pipe = fd_from_pipe,
	.to_pipe = fd_to_pipe,
	.hand_over = fd_hand_over,
	.flush = fd_flush,
	.send_eof = fd_send_eof,
	.peer_closed = fd_peer_closed,
	.detach = fd_detach,
	.idle = fd_idle,
	.free = fd_free,
};

int channel_fd_alloc(struct channel **ch, struct ring *ring, int rx_fd,
		     int tx_fd)
{
	struct channel_fd *cf = calloc(1, sizeof(*cf));

	if (!cf) {
		close(rx_fd);
		if (tx_fd != rx_fd)
			close(tx_fd);
		return -ENOMEM;
	}
	channel_init(&cf->ch, &channel_fd_ops, ring);
	cf->rx_fd = rx_fd;
	cf->tx_fd = tx_fd;
	cf->ext_fd = -1;
	cf->pipe[0] = -1;
	cf->pipe[1] = -1;
	buf_init(&cf->kept, CHANNEL_WRITE_MAX + CHANNEL_HDR_MAX);
	cf->rx_op = (struct ring_op){ .fn = rx_ready, .arg = cf };
	cf->tx_room.op = (struct ring_op){ .fn = tx_ready, .arg = cf };
	cf->tx_room.epoll_fd = -1;
	cf->ext_room.op = (struct ring_op){ .fn = tx_ready, .arg = cf };
	cf->ext_room.epoll_fd = -1;
	*ch = &cf->ch;
	wait_rx(cf);
	return 0;
}

void channel_fd_set_ext(struct channel *ch, int ext_fd)
{
	to_fd(ch)->ext_fd = ext_fd;
}

void channel_fd_wait_tx_done(struct channel *ch)
{
	to_fd(ch)->wait_tx_done = true;
}
