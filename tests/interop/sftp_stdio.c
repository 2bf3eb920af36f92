// SPDX-License-Identifier: MIT
/*
 * The SFTP server on its standard input and output, which must be sockets: no
 * SSH, no connection, for tests with stock clients.
 *
 *	sftp -D "sftp_stdio [-R] [-d DIR]"
 *
 * -R read only, -d DIR where relative names begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "channel/channel_fd.h"
#include "file/sftp.h"
#include "lib/log.h"
#include "stream/ring.h"

static int set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int serve(const struct sftp_options *options)
{
	struct channel *ch;
	struct ring ring;
	int err;

	err = ring_init(&ring, 16);
	if (err)
		return err;
	err = set_nonblock(STDIN_FILENO);
	if (!err)
		err = set_nonblock(STDOUT_FILENO);
	if (!err)
		err = channel_fd_alloc(&ch, &ring, STDIN_FILENO, STDOUT_FILENO);
	if (err)
		goto out;
	err = sftp_start(ch, options);
	if (!err)
		err = ring_run(&ring);
	ch->ops->detach(ch);
	ch->ops->free(ch);
out:
	ring_exit(&ring);
	return err;
}

int main(int argc, char **argv)
{
	struct sftp_options options = { 0 };
	int err;
	int opt;

	while ((opt = getopt(argc, argv, "Rd:")) != -1) {
		switch (opt) {
		case 'R':
			options.read_only = true;
			break;
		case 'd':
			options.start_dir = optarg;
			break;
		default:
			return 2;
		}
	}
	log_open("sftp_stdio", LOG_LEVEL_ERROR, true);
	err = serve(&options);
	if (err)
		fprintf(stderr, "sftp_stdio: %s\n", strerror(-err));
	return err ? 1 : 0;
}
