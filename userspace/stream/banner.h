/* SPDX-License-Identifier: MIT */
/* The version exchange, RFC 4253 4.2. */
#ifndef KSSH_STREAM_BANNER_H
#define KSSH_STREAM_BANNER_H

#include <stddef.h>
#include <stdint.h>

/* Our version line, without CR LF. */
extern const char banner_server_version[];

/* Times are milliseconds of CLOCK_MONOTONIC, 0: no limit. */
int banner_send(int fd, int64_t deadline_ms);
/*
 * Read the client's version line into @line (of @line_len bytes), without CR
 * LF; not a byte behind it is taken. 0; -EPROTO not a version line; -EMSGSIZE
 * too long; -EPROTONOSUPPORT another protocol version; -ECONNABORTED closed;
 * -ETIMEDOUT; other -errno. What came is in @line also after the first
 * three errors, for the log.
 */
int banner_recv(int fd, int64_t deadline_ms, char *line, size_t line_len);
/* Is this a version line of SSH-2? As banner_recv(). */
int banner_check(const char *line, size_t len);
/*
 * Tell the peer why, as a line of text: there are no packets yet. Does nothing
 * for errors that are not about the version line. Does not wait.
 */
void banner_complain(int fd, int err);

#endif
