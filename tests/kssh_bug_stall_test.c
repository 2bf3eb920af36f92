// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, by peers that stall, and by BPF.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include <linux/bpf.h>
#include <linux/sock_diag.h>
#include <sys/syscall.h>

#include "kssh_peer.h"

/* CVE-2023-54306: SSH's window and TCP's are shut; nobody sleeps with a lock. */
TEST_F(peer, cve_2023_54306_both_windows_shut)
{
	unsigned char *buf = calloc(1, WINDOW);
	struct timeval tv = { .tv_usec = 100000 };
	int sent = 0, ret;

	ASSERT_EQ(0, setsockopt(self->ch, SOL_SOCKET, SO_SNDTIMEO, &tv,
				sizeof(tv)));
	/* the peer reads nothing: first TCP is full, or the window spent */
	do {
		ret = send(self->ch, buf, WINDOW, MSG_NOSIGNAL);
		sent += ret > 0 ? ret : 0;
	} while (ret > 0);
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_LE(sent, WINDOW);
	/* others get their answers meanwhile */
	EXPECT_EQ(1, get_info(self->fd).channels);
	EXPECT_EQ(0, poll_for(self->ch, POLLOUT, 0) & POLLOUT);
	EXPECT_EQ(0, shutdown(self->ch, SHUT_WR));
	free(buf);
}

/* sockmap, CVE-2025-38166 and others: not with us. */
static int bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

static int sockmap_add(int map, int fd)
{
	union bpf_attr attr = { 0 };
	uint32_t key = 0;

	attr.map_fd = map;
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)&fd;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

TEST_F(kssh, cve_2025_38166_sockmap)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_SOCKMAP,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 1 };
	int map = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	int fds[2];
	char c;

	ASSERT_LE(0, map);
	EXPECT_GT(0, sockmap_add(map, self->a));
	EXPECT_GT(0, sockmap_add(map, self->ca));
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, sockmap_add(map, fds[0]));
	EXPECT_GT(0, attach(fds[0]));
	close(fds[0]);
	close(fds[1]);
	close(map);
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1, read(self->cb, &c, 1));
}

/* Sockmap and ULP at the same moment: one of them wins. */
struct mapper {
	int map;
	int fd;
	volatile bool stop;
};

static void *mapper_thread(void *arg)
{
	struct mapper *m = arg;
	union bpf_attr attr = { 0 };
	uint32_t key = 0;

	attr.map_fd = m->map;
	attr.key = (unsigned long)&key;
	while (!m->stop) {
		sockmap_add(m->map, m->fd);
		bpf(BPF_MAP_DELETE_ELEM, &attr);
	}
	return NULL;
}

/* CVE-2025-38154, -39913: attached while a map gets it, and lets go of it. */
TEST(cve_2025_38154_sockmap_race)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_SOCKMAP,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 1 };
	struct mapper m = {
		.map = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)),
	};
	int fds[2], i, attached = 0;
	struct raw tx;
	pthread_t th;

	ASSERT_LE(0, m.map);
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, tcp_pair(fds));
		m.fd = fds[0];
		m.stop = false;
		pthread_create(&th, NULL, mapper_thread, &m);
		usleep(i % 5 * 500);
		while (attach(fds[0]))
			;
		attached++;
		ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, CTR128_512, 9, 0, 0));
		raw_init(&tx, fds[1], CTR128_512, 9);
		ASSERT_EQ(0, raw_send(&tx, "\x50", 1));
		EXPECT_EQ(0x50, recv_type(fds[0]));
		if (i & 1)
			close(fds[1]);
		m.stop = true;
		pthread_join(th, NULL);
		close(fds[0]);
		if (!(i & 1))
			close(fds[1]);
	}
	EXPECT_EQ(40, attached);
	close(m.map);
}

static int attach_tls(int fd)
{
	return setsockopt(fd, SOL_TCP, TCP_ULP, "tls", 4) ? -errno : 0;
}

/* One protocol on a socket. */
TEST_F(kssh, another_ulp_is_refused)
{
	int fds[2];
	char c;

	EXPECT_EQ(-EEXIST, attach_tls(self->a));
	ASSERT_EQ(0, tcp_pair(fds));
	if (attach_tls(fds[0]))
		SKIP(return, "no kTLS in this kernel");
	EXPECT_EQ(-EEXIST, attach(fds[0]));
	close(fds[0]);
	close(fds[1]);
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1, read(self->cb, &c, 1));
}

/* A process of its own writes @len bytes of @seed to @ch. */
static pid_t start_writer(int ch, int len, uint32_t seed)
{
	unsigned char *out;
	pid_t pid = fork();

	if (pid)
		return pid;
	out = malloc(len);
	fill(out, len, seed);
	_exit(write_all(ch, out, len) != len);
}

/* Writers sleep by either window; all else goes on, then they do. */
TEST_F(peer, cve_2023_54306_sleeping_writers)
{
	const int len = 3 * WINDOW, small = 500;
	struct kssh_channel info = channel_info(3, 4);
	unsigned char *want = malloc(len), *less = malloc(small);
	static unsigned char msg[70000];
	int big, shut, ret, status, done = 0, little = 0;
	pid_t pid[2];

	info.remote_window = 2 * len;
	big = bind_channel(self->fd, &info);
	ASSERT_LE(0, big);
	info = channel_info(5, 6);
	info.remote_window = 0;
	shut = bind_channel(self->fd, &info);
	ASSERT_LE(0, shut);
	pid[0] = start_writer(shut, small, 2);
	pid[1] = start_writer(big, len, 1);
	wait_asleep(pid[0]);
	wait_asleep(pid[1]);
	/* no lock is held meanwhile */
	EXPECT_EQ(3, get_info(self->fd).channels);
	set_nonblock(self->ch);
	while (send(self->ch, "x", 1, MSG_NOSIGNAL) > 0)
		;
	EXPECT_EQ(EAGAIN, errno);
	close(self->ch);
	self->ch = -1;
	ASSERT_EQ(0, raw_data(&self->tx, 5, 10));
	ASSERT_EQ(10, read_all(shut, msg, 10));

	fill(want, len, 1);
	fill(less, small, 2);
	ASSERT_EQ(0, raw_adjust(&self->tx, 5, small));
	while (done < len || little < small) {
		ret = raw_recv(&self->rx, msg);
		ASSERT_LT(0, ret);
		if (msg[0] != SSH_MSG_CHANNEL_DATA)
			continue;
		if (kssh_get_be32(msg + 1) == 4) {
			ASSERT_MEMEQ(want + done, msg + 9, ret - 9);
			done += ret - 9;
		} else if (kssh_get_be32(msg + 1) == 6) {
			ASSERT_MEMEQ(less + little, msg + 9, ret - 9);
			little += ret - 9;
		}
	}
	for (ret = 0; ret < 2; ret++) {
		ASSERT_EQ(pid[ret], waitpid(pid[ret], &status, 0));
		EXPECT_EQ(0, status);
	}
	close(big);
	close(shut);
	free(want);
	free(less);
}

/* KEXINIT, NEWKEYS, the next keys and more data, as soon as TCP takes them. */
static int rekey_and_write(int fd, int ch, int suite)
{
	if (send_byte(fd, SSH_MSG_KEXINIT) || send_byte(fd, SSH_MSG_NEWKEYS) ||
	    new_keys(fd, KSSH_TX, suite, 33, 0, KSSH_CRYPTO_SEQ_RESET))
		return 1;
	return write_all(ch, "behind", 6) != 6;
}

/* libssh2 #2110: a rekey waits while TCP has the half of a packet. */
TEST_F(peer, rekey_begins_with_a_packet_half_sent)
{
	unsigned char *out = malloc(WINDOW);
	static unsigned char msg[70000];
	int sent, done, ret, status, fl;
	pid_t pid;

	fill(out, WINDOW, 8);
	fl = fcntl(self->ch, F_GETFL);
	set_nonblock(self->ch);
	ASSERT_EQ(0, raw_adjust(&self->tx, 1, WINDOW));
	for (sent = 0; sent < WINDOW; sent += ret) {
		ret = write(self->ch, out + sent, WINDOW - sent);
		if (ret < 0)
			break;
	}
	EXPECT_LT(0, sent);
	fcntl(self->ch, F_SETFL, fl);
	pid = fork();
	if (!pid)
		_exit(rekey_and_write(self->fd, self->ch, variant->cipher));
	/* nothing of a channel between these two, all else before */
	for (done = 0;; done += ret - 9) {
		ret = raw_recv(&self->rx, msg);
		ASSERT_LT(0, ret);
		if (msg[0] != SSH_MSG_CHANNEL_DATA)
			break;
		ASSERT_MEMEQ(out + done, msg + 9, ret - 9);
	}
	ASSERT_EQ(SSH_MSG_KEXINIT, msg[0]);
	ASSERT_EQ(1, raw_recv(&self->rx, msg));
	ASSERT_EQ(SSH_MSG_NEWKEYS, msg[0]);
	raw_init(&self->rx, self->rx.fd, variant->cipher, 33);
	for (; done < sent + 6; done += ret - 9) {
		ret = raw_recv(&self->rx, msg);
		ASSERT_LT(9, ret);
		ASSERT_EQ(SSH_MSG_CHANNEL_DATA, msg[0]);
		if (done < sent)
			ASSERT_MEMEQ(out + done, msg + 9,
				     ret - 9 < sent - done ? ret - 9 :
							     sent - done);
	}
	EXPECT_MEMEQ("behind", msg + 9 + ret - 9 - 6, 6);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	free(out);
}

static void no_signal(int sig)
{
}

/* All of these must come back while somebody else sleeps in a write. */
static void use_the_connection(int fd, struct raw *tx, int id)
{
	struct kssh_rekey_limits limits = { .version = KSSH_API_VERSION };
	struct kssh_channel info = channel_info(id, id);
	char buf[16];
	int ch, ret;

	EXPECT_NE(0, get_info(fd).state & KSSH_STATE_TX_READY);
	EXPECT_NE(-1ULL, fdinfo(fd, "kssh-tx-bytes"));
	EXPECT_EQ(0, setsockopt(fd, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	EXPECT_EQ(-EBUSY,
		  new_keys(fd, KSSH_TX, KSSH_CIPHER_AES_128_GCM, 1, 0, 0));
	ASSERT_EQ(0, raw_send(tx, "\x50", 1));
	/* there may be the event of a channel that was closed */
	do {
		ret = recv_type(fd);
	} while (ret == -ENOMSG);
	EXPECT_EQ(0x50, ret);
	/* the peer's data pass, and the end of a channel */
	info.flags = KSSH_CHANNEL_NONBLOCK;
	ch = bind_channel(fd, &info);
	ASSERT_LE(0, ch);
	ASSERT_EQ(0, raw_data(tx, id, 10));
	ASSERT_NE(0, POLLIN & poll_for(ch, POLLIN, 5000));
	EXPECT_EQ(10, read(ch, buf, sizeof(buf)));
	EXPECT_EQ(0, close(ch));
}

/* CVE-2023-54306: a writer sleeps over SSH's window; TCP has room. */
TEST_F(peer, cve_2023_54306_ssh_window_shut)
{
	struct kssh_channel info = channel_info(3, 4);
	struct writer w = { .buf = (const unsigned char *)"ab", .len = 2 };
	unsigned char msg[1000];
	pthread_t th;

	info.remote_window = 0;
	w.fd = bind_channel(self->fd, &info);
	ASSERT_LE(0, w.fd);
	pthread_create(&th, NULL, writer_thread, &w);
	/* it has found the window shut */
	while (!fdinfo(w.fd, "kssh-window-shuts"))
		poll(NULL, 0, 1);
	use_the_connection(self->fd, &self->tx, 50);
	ASSERT_EQ(5, raw_recv(&self->rx, msg));
	EXPECT_EQ(SSH_MSG_CHANNEL_EOF, msg[0]);
	ASSERT_EQ(4, send(self->ch, "data", 4, 0));
	ASSERT_EQ(13, raw_recv(&self->rx, msg));
	ASSERT_EQ(0, raw_adjust(&self->tx, 3, 1));
	ASSERT_EQ(10, raw_recv(&self->rx, msg));
	EXPECT_EQ('a', msg[9]);
	ASSERT_EQ(0, raw_adjust(&self->tx, 3, 1));
	ASSERT_EQ(10, raw_recv(&self->rx, msg));
	EXPECT_EQ('b', msg[9]);
	pthread_join(th, NULL);
	EXPECT_EQ(2, w.ret);
	close(w.fd);
}

/* The same with TCP's window; a signal and the end of it all get through. */
TEST_F(peer, cve_2023_54306_tcp_window_shut)
{
	struct sigaction sa = { .sa_handler = no_signal };
	struct kssh_channel info = channel_info(3, 4);
	size_t len = 32 << 20;
	struct writer w = { .buf = calloc(1, len), .len = len };
	pthread_t th;

	sigaction(SIGUSR1, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	info.remote_window = len;
	w.fd = bind_channel(self->fd, &info);
	ASSERT_LE(0, w.fd);
	pthread_create(&th, NULL, writer_thread, &w);
	while (poll_for(w.fd, POLLOUT, 0) & POLLOUT)
		usleep(1000);
	use_the_connection(self->fd, &self->tx, 50);
	/* write() comes back with less; the next one sleeps */
	usleep(50000);
	EXPECT_EQ(0, pthread_kill(th, SIGUSR1));
	usleep(50000);
	use_the_connection(self->fd, &self->tx, 60);
	close(self->fd);
	self->fd = -1;
	pthread_join(th, NULL);
	EXPECT_GT(0, w.ret);
	close(w.fd);
}

static bool a_third_is_free(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS];
	socklen_t len = sizeof(mem);

	ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len));
	return mem[SK_MEMINFO_SNDBUF] >= mem[SK_MEMINFO_WMEM_QUEUED] * 3ULL / 2;
}

/* poll() promises no more than write_space wakes a writer for. */
TEST_F(peer, cve_2023_54306_poll_and_writers_agree)
{
	struct kssh_channel info = channel_info(3, 4);
	static unsigned char buf[32768];
	int ch, i, size = 1 << 20;

	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_SNDBUF, &size,
				sizeof(size)));
	info.remote_window = 32 << 20;
	ch = bind_channel(self->fd, &info);
	ASSERT_LE(0, ch);
	set_nonblock(ch);
	while (send(ch, buf, sizeof(buf), MSG_NOSIGNAL) > 0)
		;
	ASSERT_EQ(EAGAIN, errno);
	/* the peer makes room bit by bit */
	for (i = 0; !(poll_for(ch, POLLOUT, 10) & POLLOUT); i++) {
		ASSERT_GT(1000, i);
		ASSERT_LT(0, read(self->rx.fd, buf, 8192));
	}
	EXPECT_TRUE(a_third_is_free(self->fd));
	EXPECT_NE(0, poll_for(self->fd, POLLOUT, 0) & POLLOUT);
	close(ch);
}

/* What the peer sends us from now on, until it cannot; bytes. */
static int flood(struct raw *tx)
{
	unsigned char *out = malloc(40000), *msg = calloc(1, 32009);
	int len, ret, total = 0;

	set_nonblock(tx->fd);
	msg[0] = SSH_MSG_CHANNEL_DATA;
	kssh_put_be32(msg + 1, 1);
	kssh_put_be32(msg + 5, 32000);
	do {
		len = raw_packet(tx, msg, 32009, -1, out);
		ret = send(tx->fd, out, len, MSG_NOSIGNAL);
		total += ret > 0 ? ret : 0;
	} while (ret == len && total < 100 << 20);
	free(out);
	free(msg);
	return total;
}

/* OpenSSH 10.4, Dropbear 2026.92: a key exchange that the peer never ends. */
TEST_F(peer, memory_in_a_stalled_rekey)
{
	unsigned long queued;
	unsigned char *buf = calloc(1, WINDOW), msg[1000];
	uint64_t bytes;
	int i;

	ASSERT_EQ(0, send_byte(self->fd, SSH_MSG_KEXINIT));
	ASSERT_EQ(1, raw_recv(&self->rx, msg));
	/* our side: writers take nothing, grants and EOFs wait */
	set_nonblock(self->ch);
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(-1, send(self->ch, buf, WINDOW, MSG_NOSIGNAL));
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_EQ(-1, send(self->ch, buf, 10, MSG_MORE));
		EXPECT_EQ(EAGAIN, errno);
	}
	EXPECT_EQ(1, get_info(self->fd).tx_packets);
	/* the peer's: behind its NEWKEYS all stays where TCP bounds it */
	ASSERT_EQ(0, raw_send(&self->tx, "\x14", 1));
	ASSERT_EQ(0, raw_send(&self->tx, "\x15", 1));
	EXPECT_EQ(0x14, recv_type(self->fd));
	EXPECT_EQ(0x15, recv_type(self->fd));
	bytes = get_info(self->fd).rx_bytes;
	queued = stat_value("KsshRxQueuedMem");
	EXPECT_GT(20 << 20, flood(&self->tx));
	EXPECT_EQ(bytes, get_info(self->fd).rx_bytes);
	EXPECT_EQ(queued, stat_value("KsshRxQueuedMem"));
	EXPECT_EQ(0, POLLIN & poll_for(self->ch, POLLIN, 0));
	free(buf);
}

/* libssh2 #2110: a key exchange begins behind a packet that TCP took half of. */
TEST_F(peer, libssh2_2110_rekey_behind_half_a_packet)
{
	unsigned long partial = stat_value("KsshTxPartial");
	unsigned char *out = malloc(WINDOW), *msg = malloc(70000);
	int sent, ret, got = 0, kexinit, size = 4096;

	setsockopt(self->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(self->tx.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	fill(out, WINDOW, 4);
	set_nonblock(self->ch);
	/* TCP is full, mostly within a packet; else a message is the half */
	sent = send(self->ch, out, WINDOW, 0);
	ASSERT_LT(0, sent);
	set_nonblock(self->fd);
	while (stat_value("KsshTxPartial") == partial) {
		memset(msg, SSH_MSG_GLOBAL_REQUEST, 30000);
		if (send(self->fd, msg, 30000, 0) < 0)
			break;
	}
	do {
		kexinit = send_byte(self->fd, SSH_MSG_KEXINIT);
		if (!kexinit)
			break;
		ASSERT_EQ(-EAGAIN, kexinit);
		ret = raw_recv(&self->rx, msg);
		ASSERT_LT(0, ret);
		if (msg[0] == SSH_MSG_CHANNEL_DATA) {
			ASSERT_EQ(0, memcmp(out + got, msg + 9, ret - 9));
			got += ret - 9;
		}
	} while (1);
	EXPECT_LT(partial, stat_value("KsshTxPartial"));
	/* all that was taken comes before it, and nothing behind it */
	while ((ret = raw_recv(&self->rx, msg)) > 0 &&
	       msg[0] != SSH_MSG_KEXINIT) {
		if (msg[0] != SSH_MSG_CHANNEL_DATA)
			continue;
		ASSERT_EQ(0, memcmp(out + got, msg + 9, ret - 9));
		got += ret - 9;
	}
	ASSERT_EQ(1, ret);
	/* what lies in the channel's last packet was taken, too */
	EXPECT_GE(sent, got);
	EXPECT_EQ(-1, send(self->ch, out, 10, 0));
	EXPECT_EQ(EAGAIN, errno);
	while (send_byte(self->fd, SSH_MSG_NEWKEYS))
		ASSERT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, new_keys(self->fd, KSSH_TX, variant->cipher, 55, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	ASSERT_EQ(1, raw_recv(&self->rx, msg));
	EXPECT_EQ(SSH_MSG_NEWKEYS, msg[0]);
	raw_init(&self->rx, self->rx.fd, variant->cipher, 55);
	ASSERT_EQ(0, shutdown(self->ch, SHUT_WR));
	while ((ret = raw_recv(&self->rx, msg)) > 0 &&
	       msg[0] == SSH_MSG_CHANNEL_DATA) {
		ASSERT_EQ(0, memcmp(out + got, msg + 9, ret - 9));
		got += ret - 9;
	}
	EXPECT_EQ(SSH_MSG_CHANNEL_EOF, msg[0]);
	EXPECT_EQ(sent, got);
	free(out);
	free(msg);
}

TEST_HARNESS_MAIN
