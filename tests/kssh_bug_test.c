// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives. A test is named after the
 * fault it would have found; docs/bug-classes.md lists them all, and where the
 * others are. Needs the module and root: it runs in the VM.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kssh_peer.h"

/* Memory that is shared */

/* Packets of data for channel @id, in a file: what a sendfile of it sends. */
static int packets_file(struct raw *tx, uint32_t id, const unsigned char *data,
			int len)
{
	unsigned char *msg = malloc(9 + 32768), *out = malloc(34000);
	int file = memfd_create("packets", 0), n, size;

	for (; len; len -= n, data += n) {
		n = len < 32768 ? len : 32768;
		msg[0] = SSH_MSG_CHANNEL_DATA;
		kssh_put_be32(msg + 1, id);
		kssh_put_be32(msg + 5, n);
		memcpy(msg + 9, data, n);
		size = raw_packet(tx, msg, 9 + n, -1, out);
		EXPECT_EQ(size, write(file, out, size));
	}
	free(msg);
	free(out);
	return file;
}

static void send_file(int sk, int file)
{
	off_t off = 0, end = lseek(file, 0, SEEK_END);

	while (off < end)
		ASSERT_LT(0, sendfile(sk, file, &off, end - off));
}

/* Whatever is in @file, as one piece. */
static unsigned char *content(int file, size_t *len)
{
	unsigned char *buf;

	*len = lseek(file, 0, SEEK_END);
	buf = malloc(*len);
	EXPECT_EQ(*len, pread(file, buf, *len, 0));
	return buf;
}

/* Somebody else looks at every packet of lo: TCP's buffers are clones then. */
static int sniffer(void)
{
	return socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
}

/* CVE-2026-43284, -43500, -43503: the peer's pages are a file's, and cloned. */
TEST_F(peer, cve_2026_43284_dirty_frag)
{
	unsigned char out[90000], in[90000], *before, *after;
	size_t len;
	int file, sniff;

	sniff = sniffer();
	ASSERT_LE(0, sniff);
	fill(out, sizeof(out), 5);
	file = packets_file(&self->tx, 1, out, sizeof(out));
	before = content(file, &len);
	send_file(self->tx.fd, file);
	ASSERT_EQ(sizeof(in), read_all(self->ch, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(out, in, sizeof(in)));
	after = content(file, &len);
	EXPECT_EQ(0, memcmp(before, after, len));
	free(before);
	free(after);
	close(file);
	close(sniff);
}

/* The same, with the file's pages in the receive queue before we attach. */
TEST_F(peer, cve_2026_46300_fragnesia)
{
	unsigned char out[60000], in[60000], *before, *after;
	struct raw tx;
	size_t len;
	int fds[2], file, ch;

	ASSERT_EQ(0, tcp_pair(fds));
	raw_init(&tx, fds[1], variant->cipher, 9);
	fill(out, sizeof(out), 6);
	file = packets_file(&tx, 1, out, sizeof(out));
	before = content(file, &len);
	send_file(fds[1], file);
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, variant->cipher, 1, 0, 0));
	/* a channel wants both keys, so its first data are a message */
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, variant->cipher, 9, 0, 0));
	ch = channel(fds[0], 1, 2);
	ASSERT_LE(0, ch);
	if (poll_for(ch, POLLIN, 500) & POLLIN)
		EXPECT_LT(0, read(ch, in, sizeof(in)));
	else
		EXPECT_EQ(SSH_MSG_CHANNEL_DATA, recv_type(fds[0]));
	after = content(file, &len);
	EXPECT_EQ(0, memcmp(before, after, len));
	free(before);
	free(after);
	close(file);
	close(ch);
	close(fds[0]);
	close(fds[1]);
}

/* CVE-2026-31431: what we send stays as it is, read-only or not. */
TEST_F(kssh, cve_2026_31431_copy_fail)
{
	unsigned char *out = malloc(200000), *in = malloc(200000);
	char name[] = "/tmp/kssh-file.XXXXXX";
	int file = mkstemp(name), ro, pipefd[2];
	loff_t off = 0;

	fill(out, 200000, 8);
	ASSERT_EQ(200000, write(file, out, 200000));
	ro = open(name, O_RDONLY);
	unlink(name);
	ASSERT_EQ(0, pipe(pipefd));
	send_file(self->ca, ro);
	ASSERT_EQ(200000, read_all(self->cb, in, 200000));
	EXPECT_EQ(0, memcmp(out, in, 200000));
	ASSERT_EQ(30000, splice(ro, &off, pipefd[1], NULL, 30000, 0));
	ASSERT_EQ(30000, splice(pipefd[0], NULL, self->ca, NULL, 30000, 0));
	ASSERT_EQ(30000, read_all(self->cb, in, 30000));
	EXPECT_EQ(0, memcmp(out, in, 30000));
	ASSERT_EQ(200000, pread(file, in, 200000, 0));
	EXPECT_EQ(0, memcmp(out, in, 200000));
	close(ro);
	close(file);
	close(pipefd[0]);
	close(pipefd[1]);
	free(out);
	free(in);
}

struct scribbler {
	unsigned char *map;
	size_t len;
	volatile bool stop;
};

static void *scribbler_thread(void *arg)
{
	struct scribbler *s = arg;
	uint32_t x = 1;

	while (!s->stop) {
		x = x * 1103515245 + 12345;
		s->map[x % s->len]++;
	}
	return NULL;
}

/* AF_ALG's lesson: a file that changes while it is sent breaks no MAC. */
TEST_F(kssh, file_changes_during_sendfile)
{
	size_t len = 1024 * 1024;
	unsigned char *buf = malloc(len);
	struct reader r = { self->cb, buf, len, 0 };
	struct scribbler s = { .len = len };
	pthread_t reader, scribbler;
	int file = make_file(len, buf);

	s.map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, s.map);
	pthread_create(&scribbler, NULL, scribbler_thread, &s);
	pthread_create(&reader, NULL, reader_thread, &r);
	send_file(self->ca, file);
	pthread_join(reader, NULL);
	s.stop = true;
	pthread_join(scribbler, NULL);
	EXPECT_EQ(len, r.ret);
	munmap(s.map, len);
	close(file);
	free(buf);
}

/* CVE-2024-0646, -35841: any mixture of writes, splices and MSG_MORE. */
TEST_F(kssh, cve_2024_0646_mixed_send_and_splice)
{
	size_t len = 600000, done = 0, n;
	unsigned char *out = malloc(len), *in = malloc(len);
	struct reader r = { self->cb, in, len, 0 };
	int file = make_file(len, out), more;
	uint32_t x = 42;
	pthread_t th;
	off_t off;

	pthread_create(&th, NULL, reader_thread, &r);
	while (done < len) {
		x = x * 1103515245 + 12345;
		n = x >> 16 & 3 ? x >> 20 & 127 : x >> 12 & 0xffff;
		n = n < len - done ? n : len - done;
		more = x >> 8 & 1 && n < len - done ? MSG_MORE : 0;
		if (x >> 9 & 1) {
			ASSERT_EQ(n, send(self->ca, out + done, n, more));
		} else if (n) {
			off = done;
			n = sendfile(self->ca, file, &off, n);
			ASSERT_LT(0, (ssize_t)n);
		}
		done += n;
	}
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	pthread_join(th, NULL);
	EXPECT_EQ(len, r.ret);
	EXPECT_EQ(0, memcmp(out, in, len));
	close(file);
	free(out);
	free(in);
}

/* Lifetime */

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

/* Queues */

/* CVE-2026-74611: no byte behind what was asked for. */
TEST_F(kssh, cve_2026_74611_canary)
{
	unsigned char out[5000], in[5016];
	int ret, n, i;

	fill(out, sizeof(out), 3);
	for (n = 1; n < 5000; n = n * 2 + 1) {
		ASSERT_EQ(5000, write_all(self->ca, out, 5000));
		for (i = 0; i < 5000; i += ret) {
			memset(in, 0xa5, sizeof(in));
			ret = recv(self->cb, in, n, 0);
			ASSERT_LT(0, ret);
			ASSERT_EQ(0, memcmp(out + i, in, ret));
			ASSERT_EQ(0xa5, in[ret]);
			ASSERT_EQ(0xa5, in[n]);
		}
	}
}

/* CVE-2026-72041: a peer that opens its window by a byte. */
TEST_F(peer, cve_2026_72041_window_of_one_byte)
{
	struct kssh_channel info = channel_info(3, 4);
	unsigned char msg[1000], out[40];
	int ch, i, total = 0;

	info.remote_window = 1;
	ch = bind_channel(self->fd, &info);
	ASSERT_LE(0, ch);
	set_nonblock(ch);
	fill(out, sizeof(out), 1);
	for (i = 0; i < 40; i++) {
		while (write(ch, out + i, 1) != 1)
			poll_for(ch, POLLOUT, 1000);
		ASSERT_EQ(10, raw_recv(&self->rx, msg));
		EXPECT_EQ(SSH_MSG_CHANNEL_DATA, msg[0]);
		EXPECT_EQ(out[i], msg[9]);
		total++;
		ASSERT_EQ(0, raw_adjust(&self->tx, 3, 1));
	}
	EXPECT_EQ(40, total);
	close(ch);
}

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

TEST_HARNESS_MAIN
