/* SPDX-License-Identifier: MIT */
/* SFTP version 3 server (draft-ietf-secsh-filexfer-02) on a channel. */
#ifndef KSSH_FILE_SFTP_H
#define KSSH_FILE_SFTP_H

#include <stdbool.h>
#include "channel/channel.h"

struct sftp_options {
	bool read_only;
	const char *start_dir; /* NULL: where the process is */
};

/*
 * Serve SFTP on @ch as the calling process's user until end of file; then
 * channel_finish(ch, 0). 0 or -errno.
 */
int sftp_start(struct channel *ch, const struct sftp_options *options);

#endif
