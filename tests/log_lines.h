/* SPDX-License-Identifier: MIT */
/* Catch what lib/log.c would write. */
#ifndef KSSH_TESTS_LOG_LINES_H
#define KSSH_TESTS_LOG_LINES_H

#include <string.h>
#include <sys/socket.h>
#include "harness.h"
#include "lib/log.h"

/* Each line without its level, followed by a line feed. */
struct log_lines {
	int fds[2];
	unsigned int n;
	char text[64 * 1024];
};

static TH_UNUSED void log_lines_open(struct log_lines *lines,
				     enum log_level level)
{
	memset(lines, 0, sizeof(*lines));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, lines->fds));
	log_open("test", level, true);
	log_to_fd(lines->fds[1]);
}

/* What came so far. */
static TH_UNUSED const char *log_lines_read(struct log_lines *lines)
{
	size_t used = strlen(lines->text);
	char msg[2048];
	ssize_t n;

	while ((n = recv(lines->fds[0], msg, sizeof(msg), MSG_DONTWAIT)) > 0) {
		if (used + n + 1 >= sizeof(lines->text))
			break;
		memcpy(lines->text + used, msg + 1, n - 1);
		used += n - 1;
		lines->text[used++] = '\n';
		lines->text[used] = 0;
		lines->n++;
	}
	return lines->text;
}

static TH_UNUSED void log_lines_close(struct log_lines *lines)
{
	log_to_fd(-1);
	close(lines->fds[0]);
	close(lines->fds[1]);
}

#endif
