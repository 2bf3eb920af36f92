// SPDX-License-Identifier: MIT
/* What bench/datapath does with a socket: the loops that are measured. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datapath.h"

#define RECV_SIZE	(64 * 1024)
#define SPLICE_SIZE	(1024 * 1024)
/* What a channel gets of sendfile before the next has its turn. */
#define TURN_SIZE	(256 * 1024)

static const char *const op_names[] = {
	[OP_SEND] = "send",
	[OP_SENDFILE] = "sendfile",
	[OP_RECV] = "recv",
	[OP_SPLICE] = "splice",
};

const char *op_name(enum op_id op)
{
	return op_names[op];
}

bool op_sends(enum op_id op)
{
	return op == OP_SEND || op == OP_SENDFILE;
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Sending. */

static void send_all(int fd, const uint8_t *data, size_t len)
{
	ssize_t n;

	while (len) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			die("send: %s", strerror(errno));
		data += n;
		len -= n;
	}
}

static void do_send(const struct work *work)
{
	size_t off, len;
	int i;

	for (off = 0; off < work->each; off += len) {
		len = at_most(work->size, work->each - off);
		for (i = 0; i < work->end->ndata; i++)
			send_all(work->end->data[i],
				 work->data + i * work->each + off, len);
	}
}

static void sendfile_all(int fd, int file, off_t off, size_t len)
{
	ssize_t n;

	while (len) {
		n = sendfile(fd, file, &off, len);
		if (n <= 0)
			die("sendfile: %s", strerror(errno));
		len -= n;
	}
}

static void do_sendfile(const struct work *work)
{
	size_t turn = work->end->ndata > 1 ? TURN_SIZE : work->each;
	size_t off, len;
	int i;

	for (off = 0; off < work->each; off += len) {
		len = at_most(turn, work->each - off);
		for (i = 0; i < work->end->ndata; i++)
			sendfile_all(work->end->data[i], work->file,
				     i * work->each + off, len);
	}
}

/* Receiving. */

/* A reader of one or of many; @pipe for splice. */
struct reader {
	const struct work *work;
	uint8_t *buf;
	int pipe[2];
	int null;
	size_t got[CHANNELS_MAX];
};

static ssize_t read_recv(struct reader *rd, int i, size_t len, bool block)
{
	const struct work *work = rd->work;
	ssize_t n;

	n = recv(work->end->data[i], rd->buf, at_most(len, RECV_SIZE),
		 block ? 0 : MSG_DONTWAIT);
	if (n > 0 && work->verify &&
	    memcmp(rd->buf, work->data + i * work->each + rd->got[i], n))
		die("what arrived is not what was sent");
	return n;
}

static ssize_t read_splice(struct reader *rd, int i, size_t len, bool block)
{
	ssize_t n, left, m;

	n = splice(rd->work->end->data[i], NULL, rd->pipe[1], NULL,
		   at_most(len, SPLICE_SIZE),
		   SPLICE_F_MOVE | (block ? 0 : SPLICE_F_NONBLOCK));
	for (left = n; left > 0; left -= m) {
		m = splice(rd->pipe[0], NULL, rd->null, NULL, left,
			   SPLICE_F_MOVE);
		if (m <= 0)
			die("splice to /dev/null: %s", strerror(errno));
	}
	return n;
}

typedef ssize_t (*read_fn)(struct reader *rd, int i, size_t len, bool block);

/* True when channel @i is at its end. */
static bool read_once(struct reader *rd, read_fn fn, int i, bool block)
{
	size_t each = rd->work->each;
	ssize_t n;

	n = fn(rd, i, each - rd->got[i], block);
	if (n < 0 && errno == EAGAIN && !block)
		return false;
	if (n <= 0)
		die("read after %zu bytes: %s", rd->got[i],
		    n ? strerror(errno) : "the end");
	rd->got[i] += n;
	return rd->got[i] == each;
}

static void read_many(struct reader *rd, read_fn fn)
{
	struct epoll_event ev[CHANNELS_MAX];
	const struct end *end = rd->work->end;
	int ep, i, n, left = end->ndata;

	ep = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < end->ndata; i++) {
		ev[0].events = EPOLLIN;
		ev[0].data.u32 = i;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, end->data[i], &ev[0]))
			die("epoll_ctl: %s", strerror(errno));
	}
	while (left) {
		n = epoll_wait(ep, ev, CHANNELS_MAX, -1);
		while (n-- > 0) {
			i = ev[n].data.u32;
			if (!read_once(rd, fn, i, false))
				continue;
			epoll_ctl(ep, EPOLL_CTL_DEL, end->data[i], NULL);
			left--;
		}
	}
	close(ep);
}

static void do_read(const struct work *work, read_fn fn)
{
	static uint8_t buf[RECV_SIZE];
	struct reader rd = { .work = work, .buf = buf };

	rd.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (rd.null < 0 || pipe2(rd.pipe, O_CLOEXEC) ||
	    fcntl(rd.pipe[1], F_SETPIPE_SZ, SPLICE_SIZE) < 0)
		die("pipe: %s", strerror(errno));
	if (work->end->ndata > 1)
		read_many(&rd, fn);
	else
		while (!read_once(&rd, fn, 0, true))
			;
	close(rd.pipe[0]);
	close(rd.pipe[1]);
	close(rd.null);
}

void op_run(enum op_id op, const struct work *work)
{
	switch (op) {
	case OP_SEND:
		do_send(work);
		break;
	case OP_SENDFILE:
		do_sendfile(work);
		break;
	case OP_RECV:
		do_read(work, read_recv);
		break;
	case OP_SPLICE:
		do_read(work, read_splice);
		break;
	}
}

/* The wire. */

size_t raw_record(int sk, int file)
{
	static uint8_t buf[256 * 1024];
	size_t len = 0;
	ssize_t n;

	while ((n = recv(sk, buf, sizeof(buf), 0)) > 0) {
		if (pwrite(file, buf, n, len) != n)
			die("recording: %s", strerror(errno));
		len += n;
	}
	if (n < 0)
		die("recording: %s", strerror(errno));
	return len;
}

void raw_replay(int sk, int file, size_t len)
{
	sendfile_all(sk, file, 0, len);
}
