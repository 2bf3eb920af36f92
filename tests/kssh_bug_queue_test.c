// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, in parsing, queues and partial sends.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

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

/*
 * The same with TCP: it takes a packet in parts, and the peer reads it in
 * parts.
 */
TEST_F(peer, cve_2026_72041_small_tcp_windows)
{
	unsigned long partial = stat_value("KsshTxPartial");
	int size = 4096, ret, len = 300000, got = 0;
	unsigned char *out = malloc(len), *msg = malloc(70000);
	struct writer w = { self->ch, out, len, 0 };
	pthread_t th;

	setsockopt(self->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(self->tx.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	fill(out, len, 3);
	pthread_create(&th, NULL, writer_thread, &w);
	while (got < len) {
		ret = raw_recv(&self->rx, msg);
		ASSERT_LT(9, ret);
		ASSERT_EQ(SSH_MSG_CHANNEL_DATA, msg[0]);
		ASSERT_EQ(0, memcmp(out + got, msg + 9, ret - 9));
		got += ret - 9;
	}
	pthread_join(th, NULL);
	EXPECT_EQ(len, w.ret);
	EXPECT_LT(partial, stat_value("KsshTxPartial"));
	free(out);
	free(msg);
}

/* CVE-2026-74611: a read that fails half way is read again, whole. */
TEST_F(kssh, cve_2026_74611_fault_and_again)
{
	unsigned char out[20000], in[20000];
	char *hole =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = { { in, 15000 }, { hole, 4096 } };
	int n = 0, ret;

	fill(out, sizeof(out), 7);
	ASSERT_EQ(10000, write(self->ca, out, 10000));
	ASSERT_EQ(10000, write(self->ca, out + 10000, 10000));
	while (!ioctl(self->cb, FIONREAD, &n) && n < 20000)
		poll(NULL, 0, 10);
	ret = readv(self->cb, iov, 2);
	if (ret < 0) {
		EXPECT_EQ(EFAULT, errno);
		ret = 0;
	}
	EXPECT_GE(15000, ret);
	ASSERT_EQ(20000 - ret, read_all(self->cb, in + ret, 20000 - ret));
	EXPECT_MEMEQ(out, in, sizeof(in));
	munmap(hole, 4096);
}

/* The same of messages, in both directions. */
TEST_F(kssh, fault_in_the_middle_of_a_message)
{
	unsigned char out[5000] = { SSH_MSG_GLOBAL_REQUEST }, in[5000];
	char *hole =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = { { out, 3000 }, { hole, 2000 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct kssh_cmsg_rx cmsg;

	EXPECT_EQ(-1, sendmsg(self->a, &msg, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(5000, send(self->a, out, 5000, 0));
	ASSERT_NE(0, poll_for(self->b, POLLIN, 5000));
	iov[0].iov_base = in;
	EXPECT_EQ(-1, recvmsg(self->b, &msg, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(5000, recv_any(self->b, in, 5000, &cmsg, 0));
	EXPECT_EQ(3, cmsg.pkt_seq);
	EXPECT_MEMEQ(out, in, 5000);
	munmap(hole, 4096);
}

/* Of events too, and of the one that is told but once. */
TEST_F(kssh, fault_in_an_event)
{
	struct kssh_rekey_limits limits = { .version = KSSH_API_VERSION,
					    .packets = 1 };
	char *hole =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kssh_event event;
	struct kssh_cmsg_rx cmsg;

	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_EQ(-EFAULT, recv_any(self->a, hole, 100, &cmsg, 0));
	EXPECT_EQ(KSSH_EVENT_CHANNEL_TX_DONE, recv_event(self->a, &event));
	ASSERT_EQ(0, setsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	EXPECT_EQ(-EFAULT, recv_any(self->a, hole, 100, &cmsg, 0));
	ASSERT_EQ(sizeof(event), recv_any(self->a, &event, sizeof(event), &cmsg,
					  MSG_DONTWAIT));
	EXPECT_EQ(KSSH_EVENT_REKEY_DUE, event.type);
	EXPECT_EQ(KSSH_REKEY_PACKETS, event.value);
	EXPECT_EQ(-EAGAIN, recv_any(self->a, &event, sizeof(event), &cmsg,
				    MSG_DONTWAIT));
	munmap(hole, 4096);
}

/* Two pages, of which the second one is no more. */
static unsigned char *half_a_mapping(size_t len)
{
	unsigned char *map = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(map + len, len);
	return map;
}

/*
 * CVE-2026-43244, CVE-2023-54112, -53825: what was copied before the fault is
 * sent or is not, but it is told, and the window knows. kTLS's b014a4e: the
 * memory is the caller's again.
 */
TEST_F(kssh, cve_2026_43244_fault_behind_a_packet)
{
	size_t len = 12 * 4096, got;
	unsigned char *map = half_a_mapping(len);
	unsigned char *was = malloc(len), *in = malloc(len + 100);
	struct iovec iov[3] = { { map, len }, { map + len, 100 }, { map, 9 } };
	int i, ret, flags;

	fill(was, len, 1);
	for (i = 0; i < 16; i++) {
		memcpy(map, was, len);
		flags = i & 1 ? MSG_MORE : 0;
		iov[0].iov_base = map + i * 3000;
		iov[0].iov_len = len - i * 3000;
		got = fdinfo(self->ca, "kssh-tx-bytes");
		ret = sendmsg(self->ca,
			      &(struct msghdr){ .msg_iov = iov,
						.msg_iovlen = 3 },
			      flags);
		if (ret < 0) {
			ASSERT_EQ(EFAULT, errno);
			ret = 0;
		}
		ASSERT_GE(iov[0].iov_len, ret);
		memset(map, 0xee, len);
		ASSERT_EQ(1, send(self->ca, "!", 1, 0));
		ASSERT_EQ(ret + 1, read_all(self->cb, in, ret + 1));
		EXPECT_MEMEQ(was + i * 3000, in, ret);
		EXPECT_EQ('!', in[ret]);
		EXPECT_EQ(got + ret + 1, fdinfo(self->ca, "kssh-tx-bytes"));
	}
	/* no byte of the window is lost: there is room for all of it */
	got = fdinfo(self->ca, "kssh-remote-window");
	set_nonblock(self->ca);
	for (i = 0; i < 40; i++)
		ASSERT_EQ(-1, send(self->ca, map + len - 9, 20000, 0));
	EXPECT_EQ(got, fdinfo(self->ca, "kssh-remote-window"));
	munmap(map, len);
	free(was);
	free(in);
}

static int data_message(struct raw *raw, uint32_t id, const void *data, int len,
			unsigned char *out)
{
	unsigned char msg[2000] = { SSH_MSG_CHANNEL_DATA };

	kssh_put_be32(msg + 1, id);
	kssh_put_be32(msg + 5, len);
	memcpy(msg + 9, data, len);
	return raw_packet(raw, msg, 9 + len, -1, out);
}

/* @len bytes in small packets with nothing, or nothing to be read, between. */
static int sparse(struct raw *raw, const unsigned char *data, int len,
		  unsigned char *out)
{
	int done, n, i, size = 0;

	for (done = i = 0; done < len; done += n, i++) {
		n = i % 11 * i % 1500;
		n = n < len - done ? n : len - done;
		size += data_message(raw, 1, data + done, n, out + size);
		size += data_message(raw, 1, "", 0, out + size);
		if (i % 3 == 0)
			size += raw_packet(raw, "\2\0\0\0\0", 5, -1,
					   out + size);
		if (i % 4 == 0)
			size += raw_packet(raw, "\4\0\0\0\0\0\0\0\0\0", 10, -1,
					   out + size);
	}
	return size;
}

/* CVE-2025-39682: empty packets before, between and behind what is read. */
TEST_F(peer, cve_2025_39682_empty_packets_between)
{
	const int len = 50000;
	unsigned char *data = malloc(len), *out = malloc(20 * len);
	unsigned char in[3000];
	int size, done, ret, p[2];

	ASSERT_EQ(0, pipe(p));
	fill(data, len, 3);
	size = sparse(&self->tx, data, len, out);
	ASSERT_EQ(size, write_all(self->tx.fd, out, size));
	for (done = 0; done < len; done += ret) {
		ret = len - done < 2999 ? len - done : 1 + done % 2999;
		if (done & 1) {
			ret = recv(self->ch, in, ret, 0);
		} else {
			ret = splice(self->ch, NULL, p[1], NULL, ret, 0);
			ASSERT_LT(0, ret);
			ASSERT_EQ(ret, read_all(p[0], in, ret));
		}
		ASSERT_LT(0, ret);
		ASSERT_MEMEQ(data + done, in, ret);
	}
	EXPECT_EQ(0, poll_for(self->ch, POLLIN, 0));
	close(p[0]);
	close(p[1]);
	free(data);
	free(out);
}

/* kTLS's 0aeb54a: a wrong length, byte by byte, where little fits. */
TEST_F(peer, bogus_length_in_a_tiny_buffer)
{
	static const uint32_t lens[] = { 0, 1, 262160, 0xffffffff };
	int fds[2], ch, rcvbuf = 2304, len, j;
	struct raw tx, rx;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		unsigned long before = stat_value("KsshBadLength");
		unsigned char pkt[68] = { 0 }, out[68 + 64], junk[4000] = { 0 };

		ch = peer_open(fds, &tx, &rx, variant->cipher);
		setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &rcvbuf,
			   sizeof(rcvbuf));
		kssh_put_be32(pkt, lens[i]);
		len = raw_layout(&tx, true)->clear_len ? 68 : 64;
		raw_seal(&tx, pkt, len, out);
		for (j = 0; j < 64; j++)
			ASSERT_EQ(1, write(fds[1], out + j, 1));
		/* nor is what comes behind it looked at, urgent or not */
		for (j = 0; j < 20; j++)
			send(fds[1], junk, sizeof(junk),
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		send(fds[1], "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
		expect_fault(fds[0], ch, &rx, -EMSGSIZE, "KsshBadLength",
			     before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

/* CVE-2025-38471: TCP rearranges a queue of crumbs for want of memory. */
TEST_F(peer, cve_2025_38471_collapsed_queue)
{
	unsigned char msg[3000], in[3000], *out = malloc(20000);
	int fds[2], rcvbuf = 4096, size = 0, done, n, i;
	struct kssh_cmsg_rx cmsg;
	struct raw tx;
	pid_t pid;

	ASSERT_EQ(0, tcp_pair(fds));
	setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	raw_init(&tx, fds[1], variant->cipher, 9);
	fill(msg, sizeof(msg), 2);
	msg[0] = SSH_MSG_GLOBAL_REQUEST;
	for (i = 0; i < 4; i++)
		size += raw_packet(&tx, msg, sizeof(msg) - i, -1, out + size);
	pid = fork();
	if (!pid) {
		for (done = 0; done < size; done += n) {
			n = 1 + done % 13;
			n = n < size - done ? n : size - done;
			if (write_all(fds[1], out + done, n) != n)
				_exit(1);
		}
		_exit(0);
	}
	/* until nothing more fits */
	do {
		ASSERT_EQ(0, ioctl(fds[0], SIOCINQ, &n));
		poll(NULL, 0, 30);
		ASSERT_EQ(0, ioctl(fds[0], SIOCINQ, &done));
	} while (!n || n != done);
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, variant->cipher, 9, 0, 0));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(sizeof(msg) - i,
			  recv_any(fds[0], in, sizeof(in), &cmsg, 0));
		EXPECT_MEMEQ(msg, in, sizeof(msg) - i);
	}
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	free(out);
}

/* CVE-2026-72041, with a writer that sleeps between the bytes of a file. */
TEST_F(peer, cve_2026_72041_sleeping_sendfile)
{
	struct kssh_channel info = channel_info(3, 4);
	unsigned char msg[1000], out[60];
	int ch, i, file, status;
	off_t off = 0;
	pid_t pid;

	info.remote_window = 1;
	ch = bind_channel(self->fd, &info);
	ASSERT_LE(0, ch);
	file = make_file(sizeof(out), out);
	pid = fork();
	if (!pid) {
		while (off < (off_t)sizeof(out))
			if (sendfile(ch, file, &off, sizeof(out) - off) <= 0)
				_exit(1);
		_exit(0);
	}
	for (i = 0; i < (int)sizeof(out); i++) {
		ASSERT_EQ(10, raw_recv(&self->rx, msg));
		EXPECT_EQ(out[i], msg[9]);
		ASSERT_EQ(0, raw_adjust(&self->tx, 3, 1));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(file);
	close(ch);
}

struct builder {
	int fd;
	int letter;
	int sent;
};

static void *builder_thread(void *arg)
{
	struct builder *b = arg;
	char buf[3000];
	int i, n;

	memset(buf, b->letter, sizeof(buf));
	for (i = 0; i < 200; i++) {
		n = send(b->fd, buf, 1 + i * 17 % 2999,
			 MSG_NOSIGNAL | (i % 5 ? MSG_MORE : 0));
		if (n < 0)
			break;
		b->sent += n;
	}
	return NULL;
}

static void *two_builders(void *arg)
{
	struct builder *b = arg;
	pthread_t th[2];
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&th[i], NULL, builder_thread, &b[i]);
	for (i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	shutdown(b->fd, SHUT_WR);
	return NULL;
}

/* CVE-2024-44946: of what two threads build together each byte is somebody's. */
TEST_F(kssh, cve_2024_44946_two_builders)
{
	struct builder b[2] = { { .fd = self->ca, .letter = 'a' },
				{ .fd = self->ca, .letter = 'b' } };
	unsigned char in[5000];
	int got[256] = { 0 }, ret, i;
	pthread_t th;

	pthread_create(&th, NULL, two_builders, b);
	while ((ret = read(self->cb, in, sizeof(in))) > 0)
		for (i = 0; i < ret; i++)
			got[in[i]]++;
	EXPECT_EQ(0, ret);
	pthread_join(th, NULL);
	EXPECT_LT(100000, b[0].sent);
	EXPECT_EQ(b[0].sent, got['a']);
	EXPECT_EQ(b[1].sent, got['b']);
}

/* Its first bytes alone, for as long as it takes to look at them. */
static void send_cut(struct raw *tx, const void *data, int len, int cut)
{
	unsigned char out[200];
	int size = data_message(tx, 1, data, len, out);

	ASSERT_EQ(cut, write(tx->fd, out, cut));
	poll(NULL, 0, 20);
	ASSERT_EQ(size - cut, write(tx->fd, out + cut, size - cut));
}

/* CVE-2026-98417: a packet begins and ends anywhere in what TCP gives. */
TEST_F(peer, cve_2026_98417_cut_anywhere)
{
	unsigned char *out = malloc(100000), *in = malloc(60000);
	unsigned char msg[409] = { SSH_MSG_CHANNEL_DATA };
	int len = 0, total = 0, i, n;
	uint32_t x = 7;

	fill(in, 600, 5);
	for (i = 0; i < 20; i++)
		send_cut(&self->tx, in + i * 30, 30, 1 + i % 5);
	ASSERT_EQ(600, read_all(self->ch, out, 600));
	EXPECT_MEMEQ(in, out, 600);
	kssh_put_be32(msg + 1, 1);
	for (i = 1; i < 300; i++) {
		n = i % 2 ? i % 7 + 1 : i % 400 + 1;
		kssh_put_be32(msg + 5, n);
		memset(msg + 9, i, n);
		len += raw_packet(&self->tx, msg, 9 + n, -1, out + len);
		memset(in + total, i, n);
		total += n;
	}
	for (i = 0; i < len; i += n) {
		x = x * 1103515245 + 12345;
		n = x >> 16 & 3 ? (x >> 20) % 70 + 1 : (x >> 20) % 2000 + 1;
		n = n < len - i ? n : len - i;
		ASSERT_EQ(n, write(self->tx.fd, out + i, n));
		/* let it be seen as it is, now and then */
		if (!(x >> 18 & 7))
			poll_for(self->ch, POLLIN, 1);
	}
	ASSERT_EQ(total, read_all(self->ch, out, total));
	EXPECT_MEMEQ(in, out, total);
	free(out);
	free(in);
}

TEST_HARNESS_MAIN
