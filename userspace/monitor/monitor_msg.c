// SPDX-License-Identifier: MIT
/* Messages between the monitor and the processes it serves. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "core/core.h"
#include "lib/clock.h"
#include "monitor/monitor.h"

int64_t mon_now_ms(void)
{
	return clock_ms();
}

static int wait_ready(int fd, short events, int64_t deadline_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t left = -1;
	int n;

	for (;;) {
		if (deadline_ms) {
			left = deadline_ms - mon_now_ms();
			if (left <= 0)
				return -ETIMEDOUT;
			if (left > 3600 * 1000)
				left = 3600 * 1000;
		}
		n = poll(&pfd, 1, left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(int fd, const uint8_t *p, size_t len, int64_t deadline_ms)
{
	ssize_t n;
	int err;

	while (len) {
		n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			p += n;
			len -= n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET)
			return -ECONNABORTED;
		if (errno != EAGAIN)
			return -errno;
		err = wait_ready(fd, POLLOUT, deadline_ms);
		if (err)
			return err;
	}
	return 0;
}

/* -ECONNABORTED at the end of the stream, -EPROTO when @len had begun. */
static int recv_all(int fd, uint8_t *p, size_t len, int64_t deadline_ms)
{
	size_t have = 0;
	ssize_t n;
	int err;

	while (have < len) {
		n = recv(fd, p + have, len - have, MSG_DONTWAIT);
		if (n > 0) {
			have += n;
			continue;
		}
		if (!n || errno == ECONNRESET)
			return have ? -EPROTO : -ECONNABORTED;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		err = wait_ready(fd, POLLIN, deadline_ms);
		if (err)
			return err;
	}
	return 0;
}

int mon_msg_send(int fd, int64_t deadline_ms, uint8_t type,
		 const struct buf *body)
{
	size_t len = body ? buf_len(body) : 0;
	struct buf msg;
	int err;

	if (body && buf_error(body))
		return buf_error(body);
	if (len >= MON_MSG_MAX)
		return -EMSGSIZE;
	buf_init(&msg, MON_MSG_MAX + 4);
	buf_put_u32(&msg, 1 + len);
	buf_put_u8(&msg, type);
	if (len)
		buf_put_raw(&msg, buf_data(body), len);
	err = buf_error(&msg);
	if (!err)
		err = send_all(fd, buf_data(&msg), buf_len(&msg), deadline_ms);
	buf_free(&msg);
	return err;
}

int mon_msg_recv(int fd, int64_t deadline_ms, uint8_t *type, struct buf *body)
{
	uint8_t head[5];
	uint32_t len;
	uint8_t *p;
	int err;

	buf_reset(body);
	err = recv_all(fd, head, 4, deadline_ms);
	if (err)
		return err;
	len = kssh_get_be32(head);
	if (!len)
		return -EPROTO;
	if (len > MON_MSG_MAX)
		return -EMSGSIZE;
	err = recv_all(fd, head + 4, 1, deadline_ms);
	if (!err && len > 1) {
		p = buf_put_space(body, len - 1);
		err = p ? recv_all(fd, p, len - 1, deadline_ms) :
			  buf_error(body);
	}
	*type = head[4];
	return err == -ECONNABORTED ? -EPROTO : err;
}
