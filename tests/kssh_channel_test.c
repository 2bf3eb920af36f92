// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: channels between two of its sockets, windows, poll, close.
 * Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

/* Messages on the TCP socket */

TEST_F(kssh, message_round_trip)
{
	unsigned char msg[30000], buf[30000];
	struct kssh_cmsg_rx rx;
	int i, len;

	fill(msg, sizeof(msg), 7);
	for (i = 0; i < 40; i++) {
		len = i < 20 ? i + 1 : (i - 19) * 1400;
		msg[0] = SSH_MSG_GLOBAL_REQUEST;
		ASSERT_EQ(len, send(self->a, msg, len, 0));
		ASSERT_EQ(len, recv_any(self->b, buf, sizeof(buf), &rx, 0));
		EXPECT_EQ(KSSH_RX_MESSAGE, rx.kind);
		EXPECT_EQ(3 + i, rx.pkt_seq);
		ASSERT_EQ(0, memcmp(msg, buf, len));
		ASSERT_EQ(len, send(self->b, msg, len, 0));
		ASSERT_EQ(len, recv_any(self->a, buf, sizeof(buf), &rx, 0));
		ASSERT_EQ(0, memcmp(msg, buf, len));
	}
}

/* Data of a channel */

TEST_F(kssh, data_of_many_sizes)
{
	static const int sizes[] = { 1,	    2,	   11,	   12,	   100,
				     900,   1000,  1024,   4000,   4096,
				     5000,  16384, 32639,  32640,  32768,
				     40000, 65536, 100000, 262144, 1000000 };
	unsigned char *out = malloc(1000000), *in = malloc(1000000);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(out, sizes[i], i);
		ASSERT_EQ(sizes[i], write_all(self->ca, out, sizes[i]));
		ASSERT_EQ(sizes[i], read_all(self->cb, in, sizes[i]));
		ASSERT_EQ(0, memcmp(out, in, sizes[i]));
		ASSERT_EQ(sizes[i], write_all(self->cb, out, sizes[i]));
		ASSERT_EQ(sizes[i], read_all(self->ca, in, sizes[i]));
		ASSERT_EQ(0, memcmp(out, in, sizes[i]));
	}
	free(out);
	free(in);
}

TEST_F(kssh, eof_after_shutdown)
{
	struct kssh_event event;
	char buf[64];

	ASSERT_EQ(5, write(self->ca, "hello", 5));
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	ASSERT_EQ(5, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(KSSH_EVENT_CHANNEL_TX_DONE, recv_event(self->a, &event));
	EXPECT_EQ(1, event.local_id);
	EXPECT_EQ(5, event.value);
	EXPECT_EQ(-1, send(self->ca, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	/* the other way is open */
	ASSERT_EQ(3, write(self->cb, "bye", 3));
	ASSERT_EQ(3, read(self->ca, buf, sizeof(buf)));
}

TEST_F(kssh, last_close_is_eof)
{
	struct kssh_event event;
	char buf[64];
	int dup_fd;

	dup_fd = dup(self->ca);
	ASSERT_EQ(5, write(self->ca, "hello", 5));
	close(self->ca);
	ASSERT_EQ(5, read(self->cb, buf, sizeof(buf)));
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	ASSERT_EQ(1, write(dup_fd, "!", 1));
	ASSERT_EQ(1, read(self->cb, buf, sizeof(buf)));
	close(dup_fd);
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(KSSH_EVENT_CHANNEL_TX_DONE, recv_event(self->a, &event));
	EXPECT_EQ(6, event.value);
	self->ca = -1;
}

TEST_F(kssh, sendfile_and_page_cache)
{
	size_t len = 3 * 1024 * 1024 + 777;
	unsigned char *out = malloc(len), *in = malloc(len);
	struct reader r = { self->cb, in, len, 0 };
	off_t off = 0;
	pthread_t th;
	int file;

	file = make_file(len, out);
	ASSERT_LE(0, file);
	pthread_create(&th, NULL, reader_thread, &r);
	while ((size_t)off < len)
		ASSERT_LT(0, sendfile(self->ca, file, &off, len - off));
	pthread_join(th, NULL);
	ASSERT_EQ(len, r.ret);
	EXPECT_EQ(0, memcmp(out, in, len));
	/* nobody wrote to it */
	ASSERT_EQ(len, pread(file, in, len, 0));
	EXPECT_EQ(0, memcmp(out, in, len));

	/* beyond the end of the file: what came must not be kept back */
	off = len - 100;
	ASSERT_EQ(100, sendfile(self->ca, file, &off, 1000));
	ASSERT_EQ(100, read_all(self->cb, in, 100));
	EXPECT_EQ(0, memcmp(out + len - 100, in, 100));
	close(file);
	free(out);
	free(in);
}

/*
 * Pages are encrypted from where they are if they lie well behind what is in
 * the packet already, and copied if not: any length before, any place in the
 * file, all of it arrives in order and the file stays as it is.
 */
TEST_F(kssh, sendfile_behind_any_length)
{
	static const int places[] = { 0, 1, 10, 54, 63, 64, 74, 4095, 4096 };
	unsigned char *out = malloc(300000), *in = malloc(300000), head[100];
	size_t len = 300000, want;
	int file, i, n;
	off_t off;

	file = make_file(len, out);
	ASSERT_LE(0, file);
	fill(head, sizeof(head), 7);
	for (n = 0; n <= 96; n += n < 66 ? 3 : 30) {
		for (i = 0; i < 9; i++) {
			off = places[i];
			want = 40000 + 511 * n + i * 777;
			if (n)
				ASSERT_EQ(n, send(self->ca, head, n, MSG_MORE));
			ASSERT_EQ(want, sendfile(self->ca, file, &off, want));
			ASSERT_EQ(n + want, read_all(self->cb, in, n + want));
			ASSERT_EQ(0, memcmp(head, in, n));
			ASSERT_EQ(0, memcmp(out + places[i], in + n, want));
		}
	}
	ASSERT_EQ(len, pread(file, in, len, 0));
	EXPECT_EQ(0, memcmp(out, in, len));
	close(file);
	free(out);
	free(in);
}

/* Which is the most that every peer takes (RFC 4253 6.1). */
TEST_F(kssh, packets_of_32768_bytes_of_data)
{
	unsigned char *buf = malloc(65536);
	unsigned long long before = get_info(self->a).tx_packets;

	fill(buf, 65536, 9);
	ASSERT_EQ(32768, write(self->ca, buf, 32768));
	ASSERT_EQ(32768, read_all(self->cb, buf, 32768));
	EXPECT_EQ(before + 1, get_info(self->a).tx_packets);
	ASSERT_EQ(65536, write(self->ca, buf, 65536));
	ASSERT_EQ(65536, read_all(self->cb, buf, 65536));
	EXPECT_EQ(before + 3, get_info(self->a).tx_packets);
	free(buf);
}

TEST_F(kssh, splice_at_odd_offsets)
{
	size_t len = 200000, done;
	unsigned char *out = malloc(len), *in = malloc(len);
	int file, pipefd[2], i;

	file = make_file(len, out);
	ASSERT_EQ(0, pipe(pipefd));
	for (i = 1; i < 60; i++) {
		loff_t off = i * 997;
		size_t want = i * 1009 % 60000 + 1;

		ASSERT_EQ(want, splice(file, &off, pipefd[1], NULL, want, 0));
		for (done = 0; done < want;) {
			ssize_t n = splice(pipefd[0], NULL, self->ca, NULL,
					   want - done, 0);

			ASSERT_LT(0, n);
			done += n;
		}
		ASSERT_EQ(want, read_all(self->cb, in, want));
		ASSERT_EQ(0, memcmp(out + i * 997, in, want));
	}
	close(file);
	close(pipefd[0]);
	close(pipefd[1]);
	free(out);
	free(in);
}

/* Pieces of any length, as programs leave them in a pipe. */
TEST_F(kssh, splice_of_odd_pieces)
{
	unsigned char *out = malloc(100000), *in = malloc(100000), *want;
	int file, pipefd[2], round, i, n, got, total;
	unsigned int x = 1;
	loff_t off;

	want = malloc(100000);
	file = make_file(100000, out);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_LT(0, fcntl(pipefd[1], F_SETPIPE_SZ, 1 << 20));
	for (round = 0; round < 150; round++) {
		/* the first begins as the packet's blocks want it */
		for (total = i = 0; i < 8; i++) {
			x = x * 1664525 + 1013904223;
			n = i < 7 ? 3000 + (x >> 8) % 1000 : 1 + (x >> 8) % 70;
			off = i ? (x >> 20) % 4096 : 10;
			got = splice(file, &off, pipefd[1], NULL, n, 0);
			ASSERT_LT(0, got);
			memcpy(want + total, out + off - got, got);
			total += got;
		}
		for (n = 0; n < total; n += got) {
			got = splice(pipefd[0], NULL, self->ca, NULL, total - n,
				     0);
			ASSERT_LT(0, got);
		}
		ASSERT_EQ(total, read_all(self->cb, in, total));
		ASSERT_EQ(0, memcmp(want, in, total));
	}
	close(pipefd[0]);
	close(pipefd[1]);
	close(file);
	free(want);
	free(out);
	free(in);
}

TEST_F(kssh, splice_to_a_pipe)
{
	unsigned char *out = malloc(300000), *in = malloc(300000);
	int pipefd[2];
	size_t done = 0;

	ASSERT_EQ(0, pipe(pipefd));
	fill(out, 300000, 5);
	ASSERT_EQ(300000, write_all(self->ca, out, 300000));
	/* small ones, too, which are kept together */
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1, write(self->ca, "y", 1));
	while (done < 300000) {
		ssize_t n = splice(self->cb, NULL, pipefd[1], NULL,
				   300000 - done, 0);

		ASSERT_LT(0, n);
		ASSERT_EQ(n, read_all(pipefd[0], in + done, n));
		done += n;
	}
	EXPECT_EQ(0, memcmp(out, in, 300000));
	ASSERT_EQ(1, splice(self->cb, NULL, pipefd[1], NULL, 1, 0));
	ASSERT_EQ(1, read(pipefd[0], in, 10));
	EXPECT_EQ('x', in[0]);
	EXPECT_EQ(-1, splice(self->ca, NULL, pipefd[1], NULL, 1,
			     SPLICE_F_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	close(pipefd[0]);
	close(pipefd[1]);
	free(out);
	free(in);
}

TEST_F(kssh, more_packs_a_packet)
{
	unsigned char *out = malloc(100000), *in = malloc(100000);
	unsigned long before;
	int file, i;
	off_t off;

	before = get_info(self->a).tx_packets;
	for (i = 0; i < 100; i++)
		ASSERT_EQ(10, send(self->ca, "0123456789", 10,
				   i < 99 ? MSG_MORE : 0));
	ASSERT_EQ(1000, read_all(self->cb, in, 1000));
	EXPECT_EQ(before + 1, get_info(self->a).tx_packets);

	/* an SFTP header and what follows it */
	file = make_file(100000, out);
	before = get_info(self->a).tx_packets;
	off = 0;
	ASSERT_EQ(13, send(self->ca, "sftp header..", 13, MSG_MORE));
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	ASSERT_EQ(20000, sendfile(self->ca, file, &off, 20000));
	ASSERT_EQ(20013, read_all(self->cb, in, 20013));
	EXPECT_EQ(before + 1, get_info(self->a).tx_packets);
	EXPECT_EQ(0, memcmp("sftp header..", in, 13));
	EXPECT_EQ(0, memcmp(out, in + 13, 20000));

	/* copied and spliced in turns */
	before = get_info(self->a).tx_packets;
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(500, send(self->ca, out, 500, MSG_MORE));
		off = 0;
		ASSERT_EQ(3000, sendfile(self->ca, file, &off, 3000));
	}
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(3500, read_all(self->cb, in, 3500));
		EXPECT_EQ(0, memcmp(out, in, 500));
		EXPECT_EQ(0, memcmp(out, in + 500, 3000));
	}
	EXPECT_EQ(before + 5, get_info(self->a).tx_packets);

	/* a full packet does not wait, shutdown sends the rest */
	ASSERT_EQ(40000, send(self->ca, out, 40000, MSG_MORE));
	ASSERT_EQ(30000, read_all(self->cb, in, 30000));
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	ASSERT_EQ(10000, read_all(self->cb, in + 30000, 10000));
	EXPECT_EQ(0, memcmp(out, in, 40000));
	EXPECT_EQ(0, read(self->cb, in, 1));
	close(file);
	free(out);
	free(in);
}

TEST_F(kssh, close_sends_what_is_corked)
{
	char buf[16];

	ASSERT_EQ(3, send(self->ca, "abc", 3, MSG_MORE));
	close(self->ca);
	self->ca = -1;
	ASSERT_EQ(3, read_all(self->cb, buf, 3));
	ASSERT_EQ(0, read(self->cb, buf, 1));
}

TEST_F(kssh, many_small_splices_with_more)
{
	unsigned char *out = malloc(64 * 1024), *in = malloc(64 * 1024);
	int file, i;

	file = make_file(64 * 1024, out);
	for (i = 0; i < 60; i++) {
		loff_t off = i * 1000;
		int p[2];

		ASSERT_EQ(0, pipe(p));
		ASSERT_EQ(400, splice(file, &off, p[1], NULL, 400, 0));
		ASSERT_EQ(400, splice(p[0], NULL, self->ca, NULL, 400,
				      SPLICE_F_MORE));
		close(p[0]);
		close(p[1]);
	}
	ASSERT_EQ(1, write(self->ca, "", 1));
	for (i = 0; i < 60; i++) {
		ASSERT_EQ(400, read_all(self->cb, in, 400));
		ASSERT_EQ(0, memcmp(out + i * 1000, in, 400));
	}
	close(file);
	free(out);
	free(in);
}

TEST_F(kssh, fault_in_the_middle_of_an_iovec)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[8192];
	int ret;

	munmap(page + 4096, 4096);
	memset(page, 'a', 4096);
	EXPECT_EQ(-1, write(self->ca, page + 96, 8000));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(4, write(self->ca, "next", 4));
	ret = read(self->cb, buf, sizeof(buf));
	ASSERT_EQ(4, ret);
	EXPECT_EQ(0, memcmp("next", buf, 4));
	/* and on the reading side nothing is lost */
	ASSERT_EQ(4, write(self->ca, "more", 4));
	EXPECT_EQ(-1, read(self->cb, page + 4096, 4));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(4, read_all(self->cb, buf, 4));
	EXPECT_EQ(0, memcmp("more", buf, 4));
	munmap(page, 4096);
}

TEST_F(kssh, peek_waitall_trunc)
{
	char buf[64];
	int val;

	ASSERT_EQ(3, write(self->ca, "abc", 3));
	ASSERT_EQ(3, recv(self->cb, buf, 3, MSG_WAITALL | MSG_PEEK));
	ASSERT_EQ(3, write(self->ca, "def", 3));
	ASSERT_EQ(6, recv(self->cb, buf, 6, MSG_WAITALL));
	EXPECT_EQ(0, memcmp("abcdef", buf, 6));
	ASSERT_EQ(6, write(self->ca, "ghijkl", 6));
	EXPECT_NE(0, POLLIN & poll_for(self->cb, POLLIN, 1000));
	ASSERT_EQ(0, ioctl(self->cb, FIONREAD, &val));
	EXPECT_EQ(6, val);
	ASSERT_EQ(4, recv(self->cb, NULL, 4, MSG_TRUNC));
	ASSERT_EQ(2, recv(self->cb, buf, 6, 0));
	EXPECT_EQ(0, memcmp("kl", buf, 2));
}

TEST_F(kssh, stderr_is_extended_data)
{
	unsigned char buf[64];
	struct kssh_cmsg_rx rx;
	int err, ret;

	err = stderr_channel(self->a, 1);
	ASSERT_LE(0, err);
	EXPECT_EQ(-EEXIST, stderr_channel(self->a, 1));
	EXPECT_EQ(-ENOENT, stderr_channel(self->a, 77));
	ASSERT_EQ(4, write(err, "oops", 4));
	/* a bound channel of ours has no stderr to read: it is a message */
	ret = recv_any(self->b, buf, sizeof(buf), &rx, 0);
	ASSERT_EQ(17, ret);
	EXPECT_EQ(SSH_MSG_CHANNEL_EXTENDED_DATA, buf[0]);
	EXPECT_EQ(2, kssh_get_be32(buf + 1));
	EXPECT_EQ(1, kssh_get_be32(buf + 5));
	EXPECT_EQ(0, memcmp("oops", buf + 13, 4));
	EXPECT_EQ(-1, read(err, buf, 1));
	/* EOF is the channel's: after both */
	shutdown(self->ca, SHUT_WR);
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	close(err);
	EXPECT_EQ(0, read(self->cb, buf, 1));
}

/* Windows */

FIXTURE(small)
{
	int a, b;
	int ca, cb;
};

FIXTURE_SETUP(small)
{
	struct kssh_channel info;
	int fds[2] = { -1, -1 }, cipher = KSSH_CIPHER_AES_128_GCM;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	self->a = fds[0];
	self->b = fds[1];
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, attach(self->b));
	ASSERT_EQ(0, new_keys(self->a, KSSH_TX, cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(self->b, KSSH_RX, cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(self->b, KSSH_TX, cipher, 9, 0, 0));
	ASSERT_EQ(0, new_keys(self->a, KSSH_RX, cipher, 9, 0, 0));
	/* 8000 bytes of window, 1000 a packet */
	info = channel_info(1, 2);
	info.remote_window = 8000;
	info.remote_max_packet = 1000;
	self->ca = bind_channel(self->a, &info);
	info = channel_info(2, 1);
	info.local_window = 8000;
	info.local_max_packet = 1000;
	self->cb = bind_channel(self->b, &info);
	ASSERT_LE(0, self->ca);
	ASSERT_LE(0, self->cb);
}

FIXTURE_TEARDOWN(small)
{
	close(self->ca);
	close(self->cb);
	close(self->a);
	close(self->b);
}

TEST_F(small, window_runs_out_and_comes_back)
{
	unsigned char out[20000], in[20000];
	int ret;

	fill(out, sizeof(out), 3);
	set_nonblock(self->ca);
	EXPECT_NE(0, POLLOUT & poll_for(self->ca, POLLOUT, 0));
	ret = write(self->ca, out, sizeof(out));
	ASSERT_EQ(8000, ret);
	EXPECT_EQ(8, get_info(self->a).tx_packets);
	EXPECT_EQ(-1, write(self->ca, out, 1));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, POLLOUT & poll_for(self->ca, POLLOUT, 0));
	/* a byte read is not worth an adjust */
	ASSERT_EQ(1, read_all(self->cb, in, 1));
	EXPECT_EQ(0, POLLOUT & poll_for(self->ca, POLLOUT, 50));
	ASSERT_EQ(3000, read_all(self->cb, in + 1, 3000));
	EXPECT_NE(0, POLLOUT & poll_for(self->ca, POLLOUT, 5000));
	ret = write(self->ca, out + 8000, 10000);
	EXPECT_EQ(3001, ret);
	ASSERT_EQ(8000, read_all(self->cb, in + 3001, 8000));
	EXPECT_EQ(0, memcmp(out, in, 11001));
}

TEST_F(small, blocked_writer_is_woken)
{
	unsigned char *out = malloc(500000), *in = malloc(500000);
	struct reader r = { self->cb, in, 500000, 0 };
	pthread_t th;

	fill(out, 500000, 9);
	pthread_create(&th, NULL, reader_thread, &r);
	ASSERT_EQ(500000, write_all(self->ca, out, 500000));
	pthread_join(th, NULL);
	ASSERT_EQ(500000, r.ret);
	EXPECT_EQ(0, memcmp(out, in, 500000));
	free(out);
	free(in);
}

TEST_F(small, shut_reader_discards_and_grants)
{
	unsigned char *out = malloc(100000);
	unsigned long dropped = stat_value("KsshRxDiscarded");

	ASSERT_EQ(0, shutdown(self->cb, SHUT_RD));
	EXPECT_EQ(0, read(self->cb, out, 1));
	ASSERT_EQ(100000, write_all(self->ca, out, 100000));
	/* a zombie, too */
	close(self->cb);
	self->cb = -1;
	ASSERT_EQ(100000, write_all(self->ca, out, 100000));
	/* the last of it may be under way */
	while (stat_value("KsshRxDiscarded") < dropped + 200000)
		poll(NULL, 0, 10);
	free(out);
}

TEST_F(small, slow_reader_stops_nobody_else)
{
	unsigned char buf[20000];
	int c3, d3, i;

	c3 = channel(self->a, 3, 4);
	d3 = channel(self->b, 4, 3);
	set_nonblock(self->ca);
	ASSERT_EQ(8000, write(self->ca, buf, sizeof(buf)));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(20000, write_all(c3, buf, 20000));
		ASSERT_EQ(20000, read_all(d3, buf, 20000));
		ASSERT_EQ(0, send_byte(self->a, SSH_MSG_GLOBAL_REQUEST));
		ASSERT_EQ(SSH_MSG_GLOBAL_REQUEST, recv_type(self->b));
	}
	close(c3);
	close(d3);
}

static void set_net_sysctl(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/kssh/%s", name);
	fd = open(path, O_WRONLY);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, write(fd, value, strlen(value)));
	close(fd);
}

/* Unread data take memory that is counted; where it is short, grants are small. */
TEST_F(kssh, unread_data_are_counted_and_bounded)
{
	unsigned long before = stat_value("KsshRxQueuedMem");
	unsigned long limited = stat_value("KsshRxMemLimit");
	unsigned char *buf = calloc(1, WINDOW), *out = calloc(1, WINDOW);
	struct reader r = { self->cb, buf, 0, 0 };
	pthread_t th;
	int n = 0;

	ASSERT_EQ(WINDOW, write_all(self->ca, out, WINDOW));
	while (!ioctl(self->cb, FIONREAD, &n) && n < WINDOW)
		poll(NULL, 0, 10);
	EXPECT_LE(before + WINDOW, stat_value("KsshRxQueuedMem"));
	EXPECT_GT(before + 2 * WINDOW, stat_value("KsshRxQueuedMem"));
	set_net_sysctl("rx_mem_max", "1");
	ASSERT_EQ(WINDOW - 100, read_all(self->cb, buf, WINDOW - 100));
	EXPECT_LT(limited, stat_value("KsshRxMemLimit"));
	/* little at a time, but it goes on */
	set_nonblock(self->ca);
	EXPECT_GE(65536, write(self->ca, buf, WINDOW));
	EXPECT_EQ(0, fcntl(self->ca, F_SETFL, 0));
	r.len = WINDOW / 2;
	pthread_create(&th, NULL, reader_thread, &r);
	ASSERT_EQ(WINDOW / 2, write_all(self->ca, out, WINDOW / 2));
	pthread_join(th, NULL);
	EXPECT_EQ(WINDOW / 2, r.ret);
	set_net_sysctl("rx_mem_max", "268435456");
	close(self->cb);
	self->cb = -1;
	while (stat_value("KsshRxQueuedMem") > before)
		poll(NULL, 0, 10);
	free(buf);
	free(out);
}

TEST_F(small, stalls_of_the_window_are_told)
{
	unsigned long shut = stat_value("KsshTxWindowShut");
	unsigned char buf[20000];

	EXPECT_EQ(0, fdinfo(self->ca, "kssh-window-shuts"));
	set_nonblock(self->ca);
	ASSERT_EQ(8000, write(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(1, fdinfo(self->ca, "kssh-window-shuts"));
	EXPECT_EQ(shut + 1, stat_value("KsshTxWindowShut"));
	EXPECT_EQ(0, fdinfo(self->ca, "kssh-remote-window"));
	EXPECT_EQ(8000, fdinfo(self->ca, "kssh-tx-bytes"));
	usleep(20000);
	ASSERT_EQ(8000, read_all(self->cb, buf, 8000));
	while (!fdinfo(self->ca, "kssh-window-shut-us"))
		poll(NULL, 0, 10);
	EXPECT_LE(20000, fdinfo(self->ca, "kssh-window-shut-us"));
	EXPECT_EQ(fdinfo(self->ca, "kssh-window-shut-us"),
		  get_info(self->a).window_stall_us);
	EXPECT_EQ(8000, fdinfo(self->cb, "kssh-rx-bytes"));
	EXPECT_EQ(0, fdinfo(self->cb, "kssh-rx-queued"));
	EXPECT_EQ(1, fdinfo(self->a, "kssh-channels"));
	EXPECT_EQ(get_info(self->a).tx_bytes, fdinfo(self->a, "kssh-tx-bytes"));
}

TEST_F(kssh, tcp_full_then_poll)
{
	unsigned char *out = malloc(WINDOW), *in = malloc(WINDOW);
	struct kssh_channel info = channel_info(11, 12);
	int c, d, ret, small = 4096;
	size_t sent = 0, got = 0;

	/* nobody opens packets at b while it is throttled by messages */
	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	c = bind_channel(self->a, &info);
	info = channel_info(12, 11);
	d = bind_channel(self->b, &info);
	set_nonblock(c);
	set_nonblock(d);
	fill(out, WINDOW, 8);
	while (got < WINDOW) {
		if (sent < WINDOW) {
			ret = write(c, out + sent, WINDOW - sent);
			if (ret < 0)
				ASSERT_EQ(EAGAIN, errno);
			else
				sent += ret;
		}
		ret = read(d, in + got, WINDOW - got);
		if (ret > 0)
			got += ret;
		else if (sent == WINDOW)
			ASSERT_NE(0, poll_for(d, POLLIN, 5000));
		else
			ASSERT_NE(0, poll_for(c, POLLOUT, 5000));
	}
	EXPECT_EQ(0, memcmp(out, in, WINDOW));
	close(c);
	close(d);
	free(out);
	free(in);
}

TEST_F(kssh, unread_messages_stop_the_stream_only)
{
	unsigned char buf[1024];
	int i, sent = 0;

	set_nonblock(self->a);
	fill(buf, sizeof(buf), 1);
	buf[0] = SSH_MSG_GLOBAL_REQUEST;
	while (sent < 100000 &&
	       send(self->a, buf, sizeof(buf), 0) == sizeof(buf))
		sent++;
	EXPECT_GT(100000, sent);
	EXPECT_LT(500, sent);
	for (i = 0; i < sent; i++)
		ASSERT_EQ(SSH_MSG_GLOBAL_REQUEST, recv_type(self->b));
	EXPECT_NE(0, POLLOUT & poll_for(self->a, POLLOUT, 5000));
	ASSERT_EQ(0, send_byte(self->a, SSH_MSG_REQUEST_SUCCESS));
	ASSERT_EQ(SSH_MSG_REQUEST_SUCCESS, recv_type(self->b));
}

/* Poll */

TEST_F(kssh, poll_tells_the_truth)
{
	char buf[16];

	EXPECT_EQ(POLLOUT, poll_for(self->ca, POLLIN | POLLOUT, 0));
	EXPECT_EQ(POLLOUT, poll_for(self->a, POLLIN | POLLOUT, 0));
	ASSERT_EQ(1, write(self->cb, "x", 1));
	EXPECT_EQ(POLLIN, poll_for(self->ca, POLLIN, 5000));
	EXPECT_EQ(0, poll_for(self->a, POLLIN, 0));
	ASSERT_EQ(1, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(0, poll_for(self->ca, POLLIN, 0));
	set_nonblock(self->ca);
	EXPECT_EQ(-1, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, shutdown(self->cb, SHUT_WR));
	EXPECT_EQ(POLLIN | POLLRDHUP,
		  poll_for(self->ca, POLLIN | POLLRDHUP, 5000));
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_NE(0, POLLHUP & poll_for(self->ca, POLLIN, 5000));
}

/* Close */

TEST_F(kssh, close_ends_the_binding)
{
	unsigned char buf[16];
	int fd;

	ASSERT_EQ(-EEXIST, channel(self->a, 1, 2));
	ASSERT_EQ(2, write(self->ca, "hi", 2));
	ASSERT_EQ(0, send_close(self->a, 2));
	EXPECT_EQ(-1, send(self->ca, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	ASSERT_EQ(SSH_MSG_CHANNEL_CLOSE, recv_type(self->b));
	/* data before it are still there, then the end; writing is over */
	ASSERT_EQ(2, read(self->cb, buf, sizeof(buf)));
	ASSERT_EQ(0, read(self->cb, buf, sizeof(buf)));
	EXPECT_EQ(-1, send(self->cb, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(-EEXIST, channel(self->b, 2, 1));
	ASSERT_EQ(0, send_close(self->b, 1));
	EXPECT_EQ(0, get_info(self->b).channels);
	ASSERT_EQ(SSH_MSG_CHANNEL_CLOSE, recv_type(self->a));
	EXPECT_EQ(0, get_info(self->a).channels);
	/* the numbers are free while the old sockets are open */
	fd = channel(self->a, 1, 2);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(kssh, data_of_unknown_channels_are_messages)
{
	unsigned char msg[20] = { SSH_MSG_CHANNEL_DATA }, buf[64];
	struct kssh_cmsg_rx rx;

	kssh_put_be32(msg + 1, 55);
	kssh_put_be32(msg + 5, 11);
	ASSERT_EQ(20, send(self->a, msg, 20, 0));
	ASSERT_EQ(20, recv_any(self->b, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, memcmp(msg, buf, 20));
}

TEST_HARNESS_MAIN
