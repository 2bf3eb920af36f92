// SPDX-License-Identifier: MIT
/*
 * The SFTP server, fed with bytes. They are real requests on real files: the
 * process becomes nobody first, in a directory of its own.
 *
 *	sftp_fuzz CORPUS	(a directory which the user nobody may write to)
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "fake_channel.h"
#include "file/sftp.h"

#define NOBODY	65534

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[] = "/tmp/kssh-sftp-fuzz-XXXXXX";

static int become_nobody(void)
{
	const struct rlimit rl = { 1 << 20, 1 << 20 };

	if (!geteuid() &&
	    (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	     setresuid(NOBODY, NOBODY, NOBODY)))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return setrlimit(RLIMIT_FSIZE, &rl);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (become_nobody() || !mkdtemp(dir)) {
		perror("sftp_fuzz: becoming nobody");
		_exit(1);
	}
	return 0;
}

/* What a request may be about, unless the last input has made it otherwise. */
static void make_files(int dfd)
{
	int fd;

	fd = openat(dfd, "f", O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK, 0600);
	if (symlinkat("f", dfd, "s") || mkdirat(dfd, "d", 0700))
		errno = 0;
	if (fd < 0)
		return;
	if (write(fd, "0123456789", 10) != 10)
		perror("sftp_fuzz: write");
	close(fd);
}

/* The first two bytes say how the rest comes, and what the channel takes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t init[] = { 0, 0, 0, 5, 1, 0, 0, 0, 3 };
	struct sftp_options options = { .start_dir = dir };
	struct fake_channel fake;
	int dfd;

	if (len < 2)
		return 0;
	/* The fuzzer's own handler ends the run. */
	signal(SIGXFSZ, SIG_IGN);
	dfd = open(dir, O_RDONLY | O_DIRECTORY);
	if (dfd >= 0) {
		make_files(dfd);
		close(dfd);
	}
	options.read_only = data[0] & 1;
	fake_init(&fake);
	fake.piece = data[0] >> 2;
	fake.room = data[1] & 0x80 ? -1 : data[1] & 0x3f;
	if (sftp_start(&fake.ch, &options))
		return 0;
	if (!(data[0] & 2))
		fake_send(&fake, init, sizeof(init));
	fake_send(&fake, data + 2, len - 2);
	fake_arrive(&fake, len / 2);
	if (!fake.finished)
		fake_arrive_all(&fake);
	if (!fake.finished)
		fake_make_room(&fake, -1);
	if (!fake.finished && data[1] & 0x40)
		channel_end(&fake.ch);
	else if (!fake.finished)
		fake_send_end(&fake);
	if (!fake.finished || fake.held)
		__builtin_trap();
	fake_exit(&fake);
	return 0;
}
