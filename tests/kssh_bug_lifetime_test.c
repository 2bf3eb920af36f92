// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, in attaching and closing.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kssh_peer.h"

/* CVE-2025-37756, CVE-2023-0461: no way back, and no children. */
TEST_F(kssh, cve_2025_37756_disconnect)
{
	struct sockaddr addr = { .sa_family = AF_UNSPEC };
	char c;

	EXPECT_EQ(-1, connect(self->a, &addr, sizeof(addr)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, listen(self->a, 1));
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1, read(self->cb, &c, 1));
	shutdown(self->a, SHUT_RDWR);
	EXPECT_EQ(-1, connect(self->a, &addr, sizeof(addr)));
	EXPECT_EQ(-1, listen(self->a, 1));
}

struct pest {
	int fd;
	volatile bool stop;
};

/* All that can be asked of a TCP socket, again and again. */
static void *pest_thread(void *arg)
{
	struct kssh_channel info = channel_info(77, 78);
	struct kssh_rekey_limits limits = { .version = KSSH_API_VERSION };
	struct pest *pest = arg;
	struct kssh_info state;
	char buf[64];
	socklen_t len;
	int fd;

	while (!pest->stop) {
		len = sizeof(state);
		getsockopt(pest->fd, SOL_KSSH, KSSH_INFO, &state, &len);
		setsockopt(pest->fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
			   sizeof(limits));
		new_keys(pest->fd, KSSH_TX, KSSH_CIPHER_AES_128_GCM, 1, 0, 0);
		fd = bind_channel(pest->fd, &info);
		if (fd >= 0)
			close(fd);
		recv(pest->fd, buf, sizeof(buf), MSG_DONTWAIT);
		send(pest->fd, "\2", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		poll_for(pest->fd, POLLIN | POLLOUT, 0);
	}
	return NULL;
}

static void pester(int fds[2], int rounds)
{
	struct pest pest = { .fd = fds[0] };
	pthread_t th[3];
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&th[i], NULL, pest_thread, &pest);
	usleep(rounds % 10 * 1000);
	attach(fds[0]);
	new_keys(fds[0], KSSH_RX, KSSH_CIPHER_AES_128_GCM, 9, 0, 0);
	new_keys(fds[0], KSSH_TX, KSSH_CIPHER_AES_128_GCM, 1, 0, 0);
	usleep(rounds % 7 * 3000);
	if (rounds & 1)
		shutdown(fds[0], SHUT_RDWR);
	else
		close(fds[1]);
	usleep(2000);
	pest.stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(th[i], NULL);
}

/* CVE-2024-36489, -2023-28466: calls of all kinds while the ULP attaches. */
TEST(cve_2024_36489_attach_race)
{
	int fds[2], i;

	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, tcp_pair(fds));
		pester(fds, i);
		close(fds[0]);
		close(fds[1]);
	}
}

/*
 * CVE-2025-38616: who was in recv() before there was a ULP takes bytes that
 * the framer then lacks. The connection may end over it; nothing hangs.
 */
TEST(cve_2025_38616_reader_before_the_ulp)
{
	unsigned char byte;
	struct reader r = { .buf = &byte, .len = 1 };
	struct kssh_cmsg_rx cmsg;
	unsigned char buf[1000];
	struct raw tx;
	int fds[2], ret;
	pthread_t th;

	ASSERT_EQ(0, tcp_pair(fds));
	r.fd = fds[0];
	pthread_create(&th, NULL, reader_thread, &r);
	usleep(50000);
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0,
		  new_keys(fds[0], KSSH_RX, KSSH_CIPHER_AES_128_GCM, 9, 0, 0));
	raw_init(&tx, fds[1], KSSH_CIPHER_AES_128_GCM, 9);
	memset(buf, 0, sizeof(buf));
	buf[0] = SSH_MSG_GLOBAL_REQUEST;
	ASSERT_EQ(0, raw_send(&tx, buf, sizeof(buf)));
	ASSERT_EQ(0, raw_send(&tx, buf, sizeof(buf)));
	shutdown(fds[1], SHUT_WR);
	pthread_join(th, NULL);
	do {
		ret = recv_any(fds[0], buf, sizeof(buf), &cmsg, 0);
	} while (ret > 0);
	EXPECT_LE(ret, 0);
	close(fds[0]);
	close(fds[1]);
}

/* CVE-2025-38097: a namespace goes while connections of it live. */
TEST(cve_2025_38097_namespace_with_sockets)
{
	int fds[2], ch, status;
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWNET) || system("ip link set lo up") ||
		    tcp_pair(fds) || attach(fds[0]) ||
		    new_keys(fds[0], KSSH_TX, CTR256_256, 1, 0, 0) ||
		    new_keys(fds[0], KSSH_RX, CTR256_256, 9, 0, 0))
			_exit(1);
		ch = channel(fds[0], 1, 2);
		/* the channel outlives its connection, and data are queued */
		_exit(ch < 0 || write(ch, "data", 4) != 4 || close(fds[0]));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* A module that is in use stays. */
TEST_F(kssh, module_in_use_is_not_unloaded)
{
	EXPECT_EQ(-1, syscall(SYS_delete_module, "kssh", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	close(self->a);
	close(self->b);
	self->a = -1;
	self->b = -1;
	/* channels alone hold it, too */
	EXPECT_EQ(-1, syscall(SYS_delete_module, "kssh", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
}

static int pass_fd(int sk, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	char byte = 'f';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sk, &msg, 0);
}

/* Whoever has the channel alone hears that the connection's owner is gone. */
TEST_F(kssh, owner_dies_while_another_has_the_channel)
{
	int sk[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sk));
	ASSERT_EQ(1, pass_fd(sk[0], self->ca));
	pid = fork();
	if (!pid) {
		close(self->a);
		close(self->b);
		close(self->cb);
		/* this one, and the one in the message on its way */
		_exit(!(read(self->ca, &c, 1) == -1 && errno == ECONNRESET &&
			send(self->ca, "x", 1, MSG_NOSIGNAL) == -1 &&
			errno == EPIPE));
	}
	usleep(20000);
	close(self->a);
	self->a = -1;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* in flight, never received */
	close(sk[0]);
	close(sk[1]);
}

TEST_HARNESS_MAIN
