// SPDX-License-Identifier: MIT
/* Log lines to stderr, syslog, or a process that may write there. */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/log.h"

#define LOG_LINE_MAX	1024

static struct {
	enum log_level level;
	int facility;
	int fd; /* -1: stderr or syslog */
	bool to_stderr;
	const char *ident;
} out = {
	.level = LOG_LEVEL_INFO,
	.facility = LOG_AUTH,
	.fd = -1,
	.to_stderr = true,
	.ident = "ksshd",
};

/* What a line of this level begins with, and its weight in syslog. */
static const struct {
	const char *word;
	int priority;
} levels[] = {
	[LOG_LEVEL_QUIET] = { "", LOG_CRIT },
	[LOG_LEVEL_FATAL] = { "fatal: ", LOG_CRIT },
	[LOG_LEVEL_ERROR] = { "error: ", LOG_ERR },
	[LOG_LEVEL_INFO] = { "", LOG_INFO },
	[LOG_LEVEL_VERBOSE] = { "", LOG_INFO },
	[LOG_LEVEL_DEBUG1] = { "debug1: ", LOG_DEBUG },
	[LOG_LEVEL_DEBUG2] = { "debug2: ", LOG_DEBUG },
	[LOG_LEVEL_DEBUG3] = { "debug3: ", LOG_DEBUG },
};

static void open_syslog(void)
{
	if (out.to_stderr)
		return;
	closelog();
	/* at once: a process may lose sight of the socket's path later */
	openlog(out.ident, LOG_PID | LOG_NDELAY, out.facility);
}

void log_open(const char *ident, enum log_level level, bool to_stderr)
{
	if (ident)
		out.ident = ident;
	out.level = level;
	out.to_stderr = to_stderr;
	out.fd = -1;
	open_syslog();
}

enum log_level log_get_level(void)
{
	return out.level;
}

void log_set_level(enum log_level level)
{
	out.level = level;
}

void log_set_facility(int facility)
{
	out.facility = facility;
	open_syslog();
}

void log_to_fd(int fd)
{
	/* syslog's descriptor may be closed, or reused, behind its back */
	closelog();
	out.fd = fd;
}

/* @line is printable ASCII. */
static void write_line(enum log_level level, const char *line)
{
	char text[LOG_LINE_MAX + 32];
	ssize_t n;
	int len;

	if (!out.to_stderr) {
		syslog(levels[level].priority, "%s%s", levels[level].word,
		       line);
		return;
	}
	len = snprintf(text, sizeof(text), "%s%s\n", levels[level].word, line);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	/* one write, so that lines of several processes do not mix */
	do {
		n = write(STDERR_FILENO, text, len);
	} while (n < 0 && errno == EINTR);
}

static void send_line(enum log_level level, const char *line)
{
	char msg[LOG_LINE_MAX + 1];
	size_t len = strlen(line);

	if (len > LOG_LINE_MAX)
		len = LOG_LINE_MAX;
	msg[0] = level;
	memcpy(msg + 1, line, len);
	/* a reader that does not keep up costs lines, never time */
	send(out.fd, msg, len + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	va_list ap;

	if (level > out.level || level <= LOG_LEVEL_QUIET)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (out.fd >= 0)
		send_line(level, line);
	else
		write_line(level, line);
	errno = saved;
}

int log_forward(int fd, bool drop, const char *before, const char *after)
{
	char msg[LOG_LINE_MAX + 2];
	enum log_level level;
	ssize_t n, i;

	do {
		n = recv(fd, msg, sizeof(msg) - 1, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : -ECONNRESET;
	if (!n)
		return -ECONNRESET;
	/* the sender may lie about anything: level and text are checked */
	level = (uint8_t)msg[0];
	if (level < LOG_LEVEL_ERROR || level > LOG_LEVEL_DEBUG3)
		level = LOG_LEVEL_ERROR;
	for (i = 1; i < n; i++)
		if (msg[i] < 0x20 || msg[i] == 0x7f)
			msg[i] = '?';
	msg[n] = 0;
	if (!drop)
		log_at(level, "%s%s%s", before, msg + 1, after);
	return 0;
}

char *log_escape(char *to, unsigned int out_len, const void *p,
		 unsigned int len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *s = p;
	unsigned int n = 0;
	unsigned int i;

	if (!out_len)
		return to;
	for (i = 0; i < len; i++) {
		bool plain = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\';

		if (n + (plain ? 1 : 4) >= out_len)
			break;
		if (plain) {
			to[n++] = s[i];
			continue;
		}
		to[n++] = '\\';
		to[n++] = 'x';
		to[n++] = hex[s[i] >> 4];
		to[n++] = hex[s[i] & 15];
	}
	to[n] = 0;
	return to;
}
