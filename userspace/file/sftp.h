/* SPDX-License-Identifier: MIT */
/* SFTP version 3 server (draft-ietf-secsh-filexfer-02) on a channel. */
#ifndef KSSH_FILE_SFTP_H
#define KSSH_FILE_SFTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "channel/channel.h"
#include "lib/log.h"

/**
 * struct sftp_options - those of sftp-server(8); zero: none
 * @read_only: refuse what changes files
 * @start_dir: where relative names begin, NULL: where the process is
 * @has_umask: @umask counts, not that of the process
 * @umask: for files and directories that are made
 * @refused: bits of requests that are refused
 * @log_level: what is logged
 */
struct sftp_options {
	bool read_only;
	const char *start_dir;
	bool has_umask;
	mode_t umask;
	uint64_t refused;
	enum log_level log_level;
};

/*
 * The bit of the request of this name, as sftp-server -Q requests tells them;
 * 0: there is none.
 */
uint64_t sftp_request_bit(const char *name, size_t len);

/*
 * Serve SFTP on @ch as the calling process's user until end of file; then
 * channel_finish(ch, 0). 0 or -errno.
 */
int sftp_start(struct channel *ch, const struct sftp_options *options);

#endif
