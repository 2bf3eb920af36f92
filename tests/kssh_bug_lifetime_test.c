// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, in attaching and closing.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include <sched.h>
#include <sys/epoll.h>
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

/* CVE-2023-0461: a listener has no ULP, its children have none of each other. */
TEST(cve_2023_0461_listener)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr), ulp_len;
	char ulp[16] = "";
	int srv, fds[2], i, ch;

	srv = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(srv, (struct sockaddr *)&addr, len));
	ASSERT_EQ(0, listen(srv, 4));
	ASSERT_EQ(0, getsockname(srv, (struct sockaddr *)&addr, &len));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-ENOTCONN, attach(srv));
		fds[0] = socket(AF_INET, SOCK_STREAM, 0);
		ASSERT_EQ(0, connect(fds[0], (struct sockaddr *)&addr, len));
		fds[1] = accept(srv, NULL, NULL);
		ASSERT_LE(0, fds[1]);
		ulp_len = sizeof(ulp);
		ASSERT_EQ(0,
			  getsockopt(fds[1], SOL_TCP, TCP_ULP, ulp, &ulp_len));
		EXPECT_EQ(0, ulp_len);
		ASSERT_EQ(0, attach(fds[1]));
		ASSERT_EQ(0, new_keys(fds[1], KSSH_TX, CTR256_256, 1, 0, 0));
		ASSERT_EQ(0, new_keys(fds[1], KSSH_RX, CTR256_256, 9, 0, 0));
		ch = channel(fds[1], 1, 2);
		ASSERT_LE(0, ch);
		/* no way back to listening, however it ends */
		close(fds[0]);
		shutdown(fds[1], SHUT_RDWR);
		EXPECT_EQ(-1, listen(fds[1], 1));
		close(fds[1]);
		EXPECT_EQ(-1, send(ch, "x", 1, MSG_NOSIGNAL));
		close(ch);
	}
	close(srv);
}

/* Only an established connection: not one that the peer has closed. */
TEST(attach_after_the_peer_closed)
{
	int fds[2];

	ASSERT_EQ(0, tcp_pair(fds));
	close(fds[1]);
	ASSERT_NE(0, poll_for(fds[0], POLLRDHUP, 5000));
	EXPECT_EQ(-ENOTCONN, attach(fds[0]));
	close(fds[0]);
}

/* What may be asked of a connection at any time, or is refused. */
static void ask(int fd)
{
	struct kssh_crypto_info bad = { .version = 99 };
	struct kssh_rekey_limits limits;
	struct kssh_info info;
	socklen_t len;
	int n;

	len = sizeof(info);
	getsockopt(fd, SOL_KSSH, KSSH_INFO, &info, &len);
	len = sizeof(limits);
	if (!getsockopt(fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits, &len))
		setsockopt(fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
			   sizeof(limits));
	set_keys(fd, KSSH_TX, &bad);
	set_keys(fd, KSSH_RX, &bad);
	ioctl(fd, SIOCINQ, &n);
	stat_value("KsshCurrConn");
	fdinfo(fd, "kssh-state");
}

static void *asker_thread(void *arg)
{
	struct pest *pest = arg;

	while (!pest->stop)
		ask(pest->fd);
	return NULL;
}

/* CVE-2023-28466: options while keys change, data pass, and it all ends. */
TEST_F(kssh, cve_2023_28466_concurrent_sockopts)
{
	const int len = 200000;
	unsigned char *out = malloc(len), *in = malloc(len);
	struct reader r = { .buf = in, .len = len };
	struct pest pest[3] = { { .fd = self->a },
				{ .fd = self->b },
				{ .fd = self->a } };
	pthread_t th[3], reader;
	int i;

	fill(out, len, 2);
	for (i = 0; i < 3; i++)
		pthread_create(&th[i], NULL, asker_thread, &pest[i]);
	for (i = 0; i < 4; i++) {
		r.fd = self->cb;
		pthread_create(&reader, NULL, reader_thread, &r);
		kexinit(self->a, self->b);
		rekey(self->a, self->b, variant->cipher, 20 + i,
		      KSSH_CRYPTO_SEQ_RESET);
		rekey(self->b, self->a, variant->cipher, 30 + i,
		      KSSH_CRYPTO_SEQ_RESET);
		EXPECT_EQ(len, write_all(self->ca, out, len));
		pthread_join(reader, NULL);
		EXPECT_EQ(len, r.ret);
		EXPECT_MEMEQ(out, in, len);
	}
	/* the numbers stay, the sockets go */
	dup2(STDERR_FILENO, self->a);
	dup2(STDERR_FILENO, self->b);
	usleep(20000);
	for (i = 0; i < 3; i++)
		pest[i].stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(th[i], NULL);
	free(out);
	free(in);
}

/* What child() did, and the namespace it was in, are gone with it. */
static int namespace_child(int wake)
{
	int fds[2], ch;
	char c;

	if (unshare(CLONE_NEWNET) || system("ip link set lo up"))
		return 1;
	if (system("ip link add kssh0 type veth peer name kssh1 2>/dev/null && "
		   "ip link set kssh0 netns 1"))
		return 2;
	if (tcp_pair(fds) || attach(fds[0]) ||
	    new_keys(fds[0], KSSH_TX, CTR256_256, 1, 0, 0) ||
	    new_keys(fds[0], KSSH_RX, CTR256_256, 9, 0, 0))
		return 1;
	ch = channel(fds[0], 1, 2);
	if (ch < 0 || write(ch, "data", 4) != 4)
		return 1;
	/* the other end of the pair is in the parent's */
	return read(wake, &c, 1) != 1;
}

static bool have_link(void)
{
	return !access("/sys/class/net/kssh0", F_OK);
}

/* CVE-2025-38097: a namespace is freed, or its end of the pair would stay. */
TEST(cve_2025_38097_namespace_is_freed)
{
	int wake[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe(wake));
	pid = fork();
	if (!pid)
		_exit(namespace_child(wake[0]));
	while (!have_link() && !waitpid(pid, &status, WNOHANG))
		poll(NULL, 0, 10);
	if (!have_link()) {
		if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
			SKIP(return, "no veth in this kernel");
		ASSERT_TRUE(have_link());
	}
	ASSERT_EQ(1, write(wake[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	while (have_link())
		poll(NULL, 0, 10);
	close(wake[0]);
	close(wake[1]);
}

/* Half of a corked packet, a part of one in TCP, and unread messages. */
static void close_busy(int suite, int round)
{
	int fds[2], ch, ret;
	static unsigned char buf[300000], msg[70000];
	struct raw tx, rx;

	ch = peer_open(fds, &tx, &rx, suite);
	ASSERT_LE(0, ch);
	set_nonblock(ch);
	while (write(ch, buf, 1 + round * 2999) > 0)
		;
	EXPECT_EQ(EAGAIN, errno);
	send(ch, buf, 100, MSG_MORE);
	ASSERT_EQ(0, raw_adjust(&tx, 1, 1000));
	if (round & 1)
		close(ch);
	usleep(round % 4 * 20000);
	close(fds[0]);
	errno = 0;
	do {
		ret = raw_recv(&rx, msg);
	} while (ret > 0);
	/* At a packet's end; a reset, anywhere, if our message was not read. */
	if (ret != -EMSGSIZE || errno != ECONNRESET)
		EXPECT_EQ(-EPIPE, ret);
	if (!(round & 1))
		close(ch);
	close(fds[1]);
}

/* CVE-2026-23240, -2024-26585: closed with work to do and the window shut. */
TEST(cve_2026_23240_close_with_the_window_shut)
{
	unsigned long before = stat_value("KsshCurrConn");
	int round;

	for (round = 0; round < 12; round++)
		close_busy(round % 3 ? KSSH_CIPHER_AES_128_GCM : CTR256_256,
			   round);
	while (stat_value("KsshCurrConn") > before)
		poll(NULL, 0, 10);
}

/* A writer that sleeps dies at once when it is killed, and harms nobody. */
TEST_F(peer, writer_killed_in_its_sleep)
{
	static unsigned char msg[70000];
	int other, ret, status, got = 0;
	pid_t pid;

	other = channel(self->fd, 3, 4);
	ASSERT_LE(0, other);
	pid = fork();
	if (!pid) {
		static unsigned char buf[4 * WINDOW];

		send(self->ch, buf, sizeof(buf), 0);
		_exit(0);
	}
	wait_asleep(pid);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	pid = fork();
	if (!pid)
		_exit(write(other, "alive", 5) != 5);
	do {
		ret = raw_recv(&self->rx, msg);
		ASSERT_LT(9, ret);
		if (kssh_get_be32(msg + 1) == 2)
			got += ret - 9;
	} while (kssh_get_be32(msg + 1) != 4);
	EXPECT_LT(0, got);
	EXPECT_GE(WINDOW, got);
	EXPECT_MEMEQ("alive", msg + 9, 5);
	waitpid(pid, NULL, 0);
	close(other);
}

/* Who waits for the socket since before the ULP hears of what it does. */
TEST(epoll_from_before_the_ulp)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fds[2], ep = epoll_create1(0);
	struct raw tx;

	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &event));
	ASSERT_EQ(0, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, CTR128_512, 9, 0, 0));
	raw_init(&tx, fds[1], CTR128_512, 9);
	ASSERT_EQ(0, raw_send(&tx, "\x50", 1));
	ASSERT_EQ(1, epoll_wait(ep, &event, 1, 5000));
	EXPECT_EQ(0x50, recv_type(fds[0]));
	/* level-triggered, and empty */
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	close(fds[1]);
	ASSERT_EQ(1, epoll_wait(ep, &event, 1, 5000));
	close(fds[0]);
	close(ep);
}

/* The same, with good keys at the wrong time, and whatever changes nothing. */
static void *meddler_thread(void *arg)
{
	struct kssh_channel info = channel_info(77, 78);
	struct pest *pest = arg;
	char buf[64];
	int fd;

	info.local_window = 1;
	while (!pest->stop) {
		ask(pest->fd);
		new_keys(pest->fd, KSSH_TX, KSSH_CIPHER_AES_256_GCM, 5, 0, 0);
		new_keys(pest->fd, KSSH_RX, KSSH_CIPHER_AES_256_GCM, 5, 0, 0);
		fd = bind_channel(pest->fd, &info);
		if (fd >= 0)
			close(fd);
		attach(pest->fd);
		recv(pest->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK);
		poll_for(pest->fd, POLLIN | POLLOUT, 0);
	}
	return NULL;
}

/* CVE-2023-28466: options set and asked for beside the data, which pass. */
TEST_F(kssh, cve_2023_28466_options_beside_data)
{
	struct pest pest[2] = { { .fd = self->a }, { .fd = self->b } };
	size_t len = 1 << 20, done;
	unsigned char *out = malloc(len), *in = malloc(len);
	struct reader r = { self->cb, in, len, 0 };
	pthread_t th[3];
	int i;

	fill(out, len, 17);
	for (i = 0; i < 2; i++)
		pthread_create(&th[i], NULL, meddler_thread, &pest[i]);
	pthread_create(&th[2], NULL, reader_thread, &r);
	for (done = 0; done < len; done += 65536)
		ASSERT_EQ(65536, write_all(self->ca, out + done, 65536));
	pthread_join(th[2], NULL);
	for (i = 0; i < 2; i++)
		pest[i].stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	EXPECT_EQ(len, r.ret);
	EXPECT_EQ(0, memcmp(out, in, len));
	EXPECT_EQ(0, get_info(self->a).rekeys);
	free(out);
	free(in);
}

TEST_HARNESS_MAIN
