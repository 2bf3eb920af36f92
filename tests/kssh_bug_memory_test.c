// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, in memory that is shared.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include <linux/if_ether.h>

#include "kssh_peer.h"

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

TEST_HARNESS_MAIN
