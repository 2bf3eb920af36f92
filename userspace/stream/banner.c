// SPDX-License-Identifier: MIT
/* The version exchange, RFC 4253 4.2. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "stream/banner.h"

/*
 * Some clients choose OpenSSH's reading of a draft where it differs from the
 * text, and know it by this word.
 */
const char banner_server_version[] = "SSH-2.0-kSSH_0.1 OpenSSH-compatible";

#define PEEK_MAX	255

static int wait_ready(int fd, short events, int64_t deadline_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t left = -1;
	int n;

	for (;;) {
		if (deadline_ms) {
			left = deadline_ms - clock_ms();
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

static int send_all(int fd, const char *p, size_t len, int64_t deadline_ms)
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
		if (errno != EAGAIN)
			return -errno;
		err = wait_ready(fd, POLLOUT, deadline_ms);
		if (err)
			return err;
	}
	return 0;
}

/*
 * RFC 4253 4.2: "This identification string MUST be SSH-protoversion-
 * softwareversion SP comments CR LF"
 */
int banner_send(int fd, int64_t deadline_ms)
{
	char line[sizeof(banner_server_version) + 2];
	size_t len = sizeof(banner_server_version) - 1;

	memcpy(line, banner_server_version, len);
	line[len++] = '\r';
	line[len++] = '\n';
	return send_all(fd, line, len, deadline_ms);
}

/* As many bytes as are there, none beyond a line feed. */
static ssize_t recv_piece(int fd, char *p, size_t max)
{
	ssize_t n;
	char *lf;

	n = recv(fd, p, max, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n;
	lf = memchr(p, '\n', n);
	if (lf)
		n = lf + 1 - p;
	return recv(fd, p, n, MSG_DONTWAIT);
}

/*
 * RFC 4253 4.2: "The maximum length of the string is 255 characters, including
 * the Carriage Return and Line Feed." A line feed alone is taken too, as the
 * old implementations of that section send it.
 */
static int recv_line(int fd, int64_t deadline_ms, char *line, size_t *len)
{
	size_t have = 0;
	ssize_t n;
	int err;

	while (have < PEEK_MAX) {
		n = recv_piece(fd, line + have, PEEK_MAX - have);
		if (!n)
			return -ECONNABORTED;
		if (n < 0 && errno == EAGAIN) {
			err = wait_ready(fd, POLLIN, deadline_ms);
			if (err)
				return err;
			continue;
		}
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		have += n;
		if (line[have - 1] != '\n')
			continue;
		have--;
		if (have && line[have - 1] == '\r')
			have--;
		*len = have;
		return 0;
	}
	*len = have;
	return -EMSGSIZE;
}

/*
 * RFC 4253 4.2: "Both the 'protoversion' and 'softwareversion' strings MUST
 * consist of printable US-ASCII characters, with the exception of whitespace
 * characters and the minus sign (-)." Minus signs are common, and let pass.
 */
int banner_check(const char *line, size_t len)
{
	const char *version = line + 4;
	const char *dash;
	size_t i, n;

	if (len < 4 || memcmp(line, "SSH-", 4))
		return -EPROTO;
	for (i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			return -EPROTO;
	dash = memchr(version, '-', len - 4);
	if (!dash)
		return -EPROTO;
	n = dash - version;
	/* the software version must begin behind it */
	if (dash + 1 == line + len || dash[1] == ' ')
		return -EPROTO;
	if (n == 3 && !memcmp(version, "2.0", 3))
		return 0;
	/* RFC 4253 5.1: 1.99 says that both versions are spoken */
	if (n == 4 && !memcmp(version, "1.99", 4))
		return 0;
	for (i = 0; i < n; i++)
		if (version[i] != '.' && (version[i] < '0' || version[i] > '9'))
			return -EPROTO;
	return n ? -EPROTONOSUPPORT : -EPROTO;
}

int banner_recv(int fd, int64_t deadline_ms, char *line, size_t line_len)
{
	char text[PEEK_MAX];
	size_t len = 0;
	int err;

	line[0] = 0;
	err = recv_line(fd, deadline_ms, text, &len);
	if (err && err != -EMSGSIZE)
		return err;
	if (!err)
		err = banner_check(text, len);
	if (len >= line_len) {
		len = line_len - 1;
		err = err ? err : -EMSGSIZE;
	}
	memcpy(line, text, len);
	line[len] = 0;
	return err;
}

void banner_complain(int fd, int err)
{
	const char *text;

	switch (err) {
	case -EPROTO:
		text = "This is an SSH server: a version line was expected.\r\n";
		break;
	case -EMSGSIZE:
		text = "The version line is too long.\r\n";
		break;
	case -EPROTONOSUPPORT:
		text = "Only version 2.0 of the SSH protocol is served here.\r\n";
		break;
	default:
		return;
	}
	send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}
