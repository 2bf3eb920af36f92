// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what its interface refuses.
 * Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

/* Misuse */

TEST(attach_only_when_connected)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd, fds[2] = { -1, -1 };

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_EQ(-ENOTCONN, attach(fd));
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, listen(fd, 1));
	EXPECT_EQ(-ENOTCONN, attach(fd));
	close(fd);
	ASSERT_EQ(0, tcp_pair(fds));
	EXPECT_EQ(0, attach(fds[0]));
	EXPECT_EQ(-EEXIST, attach(fds[0]));
	addr.sin_family = AF_UNSPEC;
	EXPECT_EQ(-1, connect(fds[0], (struct sockaddr *)&addr, sizeof(addr)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, listen(fds[0], 1));
	close(fds[0]);
	close(fds[1]);
}

static void set_sysctl(const char *value)
{
	int fd = open("/proc/sys/net/kssh/unprivileged_attach", O_WRONLY);

	EXPECT_EQ(1, write(fd, value, 1));
	close(fd);
}

TEST(attach_needs_the_capability)
{
	int fds[2] = { -1, -1 }, status;
	pid_t pid;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	pid = fork();
	if (!pid)
		_exit(setuid(65534) || attach(fds[0]) != -EPERM);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	set_sysctl("1");
	pid = fork();
	if (!pid)
		_exit(setuid(65534) || attach(fds[0]) != 0);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	set_sysctl("0");
	close(fds[0]);
	close(fds[1]);
}

TEST(keys_are_checked)
{
	const int cipher = KSSH_CIPHER_AES_128_GCM;
	struct kssh_crypto_info info, good = crypto_info(cipher, 1, 0, 0);
	int fds[2] = { -1, -1 }, opt;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, attach(fds[0]));
#define BAD(err, change)                                      \
	do {                                                  \
		info = good;                                  \
		change;                                       \
		EXPECT_EQ(err, set_keys(fds[0], opt, &info)); \
	} while (0)
	for (opt = KSSH_TX; opt <= KSSH_RX; opt++) {
		BAD(-EINVAL, info.version = 0);
		BAD(-EINVAL, info.version = 2);
		BAD(-ENOENT, info.cipher = 0);
		BAD(-ENOENT, info.cipher = 99);
		BAD(-ENOENT, info.mac = KSSH_MAC_HMAC_SHA2_256);
		BAD(-EINVAL, info.flags = 4);
		BAD(-EINVAL, info.flags = KSSH_CRYPTO_SEQ_RESET);
		BAD(-EINVAL, info.flags = KSSH_CRYPTO_SEQ_KEEP);
		BAD(-EINVAL, info.key_len = 15);
		BAD(-EINVAL, info.key_len = 65);
		BAD(-EINVAL, info.iv_len = 16);
		BAD(-EINVAL, info.iv_len = 17);
		BAD(-EINVAL, info.mac_key_len = 1);
		BAD(-EINVAL, info.reserved0 = 1);
		BAD(-EINVAL, info.reserved[7] = 1);
		EXPECT_EQ(-1, setsockopt(fds[0], SOL_KSSH, opt, &good,
					 sizeof(good) - 1));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, setsockopt(fds[0], SOL_KSSH, opt, NULL,
					 sizeof(good)));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(-ENOTCONN, channel(fds[0], 1, 2));
	opt = KSSH_TX;
	BAD(0, );
	EXPECT_EQ(-ENOTCONN, channel(fds[0], 1, 2));
	BAD(-EBUSY, );
	opt = KSSH_RX;
	BAD(0, );
	BAD(-EBUSY, );
	/* the next ones: only once NEWKEYS has passed, and with their rules */
	ASSERT_EQ(0, send_byte(fds[0], SSH_MSG_KEXINIT));
	opt = KSSH_TX;
	BAD(-EBUSY, );
	ASSERT_EQ(0, send_byte(fds[0], SSH_MSG_NEWKEYS));
	BAD(-EINVAL, info.flags = KSSH_CRYPTO_SEQ_RESET; info.pkt_seq = 1);
	BAD(-EINVAL, info.flags = 3);
	BAD(0, info.flags = KSSH_CRYPTO_SEQ_KEEP);
	EXPECT_EQ(2, get_info(fds[0]).tx_pkt_seq);
	EXPECT_EQ(-1, setsockopt(fds[0], SOL_KSSH, 99, &good, sizeof(good)));
	EXPECT_EQ(ENOPROTOOPT, errno);
	close(fds[0]);
	close(fds[1]);
#undef BAD
}

TEST_F(kssh, channels_are_checked)
{
	struct kssh_channel info, good = channel_info(5, 6);
	int fd, i;

#define BAD(err, change)                                      \
	do {                                                  \
		info = good;                                  \
		change;                                       \
		EXPECT_EQ(err, bind_channel(self->a, &info)); \
	} while (0)
	BAD(-EINVAL, info.version = 0);
	BAD(-EINVAL, info.flags = 2);
	BAD(-EINVAL, info.remote_max_packet = 0);
	BAD(-EINVAL, info.data_type = 2);
	BAD(-EINVAL, info.reserved[5] = 1);
	BAD(-EINVAL, info.data_type = KSSH_DATA_STDERR);
	EXPECT_EQ(-1, ioctl(self->a, SIOCKSSHCHANNEL, NULL));
	EXPECT_EQ(EFAULT, errno);
#undef BAD
	info = good;
	info.flags = KSSH_CHANNEL_NONBLOCK;
	fd = bind_channel(self->a, &info);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_NE(0, O_NONBLOCK & fcntl(fd, F_GETFL));
	EXPECT_EQ(-1, getpeername(fd, NULL, NULL));
	EXPECT_EQ(-1, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, send(fd, "x", 1, MSG_OOB));
	EXPECT_EQ(EOPNOTSUPP, errno);
	close(fd);
	/* what the peer may send is bounded: net.kssh.conn_window_max */
	for (i = 100; i < 1000; i++) {
		fd = channel(self->a, i, i);
		if (fd < 0)
			break;
		close(fd);
	}
	EXPECT_EQ(-ENOBUFS, fd);
	EXPECT_LE(get_info(self->a).local_windows, 256 << 20);
	EXPECT_GT(get_info(self->a).local_windows, (256 << 20) - WINDOW);
	/* thousands of them, if they ask for little */
	for (i = 1000; i < 6200; i++) {
		info = channel_info(i, i);
		info.local_window = 0;
		fd = bind_channel(self->a, &info);
		if (fd < 0)
			break;
		close(fd);
	}
	EXPECT_EQ(-ENOSPC, fd);
	EXPECT_EQ(4096, get_info(self->a).channels);
}

TEST_F(kssh, message_buffers_are_checked)
{
	struct kssh_cmsg_rx rx;
	char *big = calloc(1, 40000), buf[100];

	EXPECT_EQ(-1, send(self->a, big, 40000, 0));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, send(self->a, big, 0, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, send(self->a, big, 1, MSG_OOB));
	memset(big, SSH_MSG_GLOBAL_REQUEST, 50);
	ASSERT_EQ(50, send(self->a, big, 50, 0));
	EXPECT_EQ(-EMSGSIZE, recv_any(self->b, buf, 49, &rx, 0));
	EXPECT_EQ(50, recv_any(self->b, buf, 50, &rx, MSG_PEEK));
	EXPECT_EQ(50, recv_any(self->b, buf, 50, &rx, 0));
	EXPECT_EQ(-EAGAIN, recv_any(self->b, buf, 50, &rx, MSG_DONTWAIT));
	/* an event needs its control message, a message does not */
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_EQ(-1, recv(self->a, buf, 100, 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-EMSGSIZE, recv_any(self->a, buf, 4, &rx, 0));
	EXPECT_EQ(sizeof(struct kssh_event),
		  recv_any(self->a, buf, 100, &rx, 0));
	ASSERT_EQ(50, send(self->b, big, 50, 0));
	EXPECT_EQ(50, recv(self->a, buf, 100, 0));
	free(big);
}

TEST_F(kssh, splice_on_the_tcp_socket_is_refused)
{
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(1, write(p[1], "x", 1));
	EXPECT_EQ(-1, splice(p[0], NULL, self->a, NULL, 1, 0));
	EXPECT_EQ(-1, splice(self->a, NULL, p[1], NULL, 1, 0));
	close(p[0]);
	close(p[1]);
}

TEST_HARNESS_MAIN
