// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: what broke its relatives, in memory that is shared.
 * A test is named after the fault it would have found; docs/bug-classes.md
 * lists them all. Needs the module and root: it runs in the VM.
 */
#include <linux/if_ether.h>
#include <sched.h>

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
	int fds[2], file, ch, ret;
	size_t len, got = 0;
	struct raw tx;

	ASSERT_EQ(0, tcp_pair(fds));
	raw_init(&tx, fds[1], variant->cipher, 9);
	fill(out, sizeof(out), 6);
	file = packets_file(&tx, 1, out, sizeof(out));
	before = content(file, &len);
	send_file(fds[1], file);
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, variant->cipher, 1, 0, 0));
	/* a channel wants both keys: what is opened before it is a message */
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, variant->cipher, 9, 0, 0));
	ch = channel(fds[0], 1, 2);
	ASSERT_LE(0, ch);
	set_nonblock(ch);
	set_nonblock(fds[0]);
	while (got < sizeof(out)) {
		ret = recv(fds[0], in, sizeof(in), 0);
		if (ret > 0) {
			ASSERT_EQ(SSH_MSG_CHANNEL_DATA, in[0]);
			ASSERT_EQ(0, memcmp(out + got, in + 9, ret - 9));
			got += ret - 9;
			continue;
		}
		ASSERT_EQ(EAGAIN, errno);
		ret = read(ch, in, sizeof(in));
		if (ret > 0) {
			ASSERT_EQ(0, memcmp(out + got, in, ret));
			got += ret;
			continue;
		}
		ASSERT_EQ(EAGAIN, errno);
		poll_for(ch, POLLIN, 1);
	}
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

/* A file that may only be read: this program. */
struct image {
	int fd;
	unsigned char *was;
	size_t len;
};

static void image_open(struct image *image)
{
	image->fd = open("/proc/self/exe", O_RDONLY);
	ASSERT_LE(0, image->fd);
	image->was = content(image->fd, &image->len);
	ASSERT_LT(100000, image->len);
}

static void image_close(struct image *image)
{
	size_t len;
	unsigned char *is = content(image->fd, &len);

	EXPECT_EQ(image->len, len);
	EXPECT_MEMEQ(image->was, is, len);
	free(is);
	free(image->was);
	close(image->fd);
}

#define PIECE 30000
#define PIECE_OFF 1234

/* Ways for PIECE bytes of the file at PIECE_OFF; how many bytes went. */

static int by_sendfile(int ch, const struct image *image)
{
	off_t off = PIECE_OFF;

	return sendfile(ch, image->fd, &off, PIECE);
}

static int by_splice(int ch, const struct image *image)
{
	loff_t off = PIECE_OFF;
	int p[2], ret;

	EXPECT_EQ(0, pipe(p));
	EXPECT_EQ(PIECE, splice(image->fd, &off, p[1], NULL, PIECE, 0));
	ret = splice(p[0], NULL, ch, NULL, PIECE, 0);
	close(p[0]);
	close(p[1]);
	return ret;
}

/* Of two pipes with the same pages one is sent, and then the other. */
static int by_tee(int ch, const struct image *image)
{
	loff_t off = PIECE_OFF;
	int p[2], q[2], ret;

	EXPECT_EQ(0, pipe(p));
	EXPECT_EQ(0, pipe(q));
	EXPECT_EQ(PIECE, splice(image->fd, &off, p[1], NULL, PIECE, 0));
	EXPECT_EQ(PIECE, tee(p[0], q[1], PIECE, 0));
	ret = splice(p[0], NULL, ch, NULL, PIECE / 2, SPLICE_F_MORE);
	EXPECT_EQ(PIECE / 2, splice(q[0], NULL, p[1], NULL, PIECE / 2, 0));
	ret += splice(q[0], NULL, ch, NULL, PIECE, 0);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	return ret;
}

/* The page cache again, by way of a mapping. */
static int by_vmsplice(int ch, const struct image *image)
{
	char *map = mmap(NULL, image->len, PROT_READ, MAP_SHARED, image->fd, 0);
	struct iovec iov = { map + PIECE_OFF, PIECE };
	int p[2], ret;

	EXPECT_NE(MAP_FAILED, (void *)map);
	EXPECT_EQ(0, pipe(p));
	EXPECT_EQ(PIECE, vmsplice(p[1], &iov, 1, 0));
	ret = splice(p[0], NULL, ch, NULL, PIECE, SPLICE_F_MOVE);
	munmap(map, image->len);
	close(p[0]);
	close(p[1]);
	return ret;
}

static int by_zerocopy(int ch, const struct image *image)
{
	char *map = mmap(NULL, image->len, PROT_READ, MAP_SHARED, image->fd, 0);
	int ret;

	EXPECT_NE(MAP_FAILED, (void *)map);
	ret = send(ch, map + PIECE_OFF, PIECE, MSG_ZEROCOPY);
	munmap(map, image->len);
	return ret;
}

/* CVE-2026-31431, by every way there is into a channel. */
TEST_F(kssh, cve_2026_31431_every_way)
{
	static int (*const ways[])(int ch, const struct image *image) = {
		by_sendfile, by_splice, by_tee, by_vmsplice, by_zerocopy,
	};
	unsigned char in[PIECE];
	struct image image;
	size_t i;

	image_open(&image);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		ASSERT_EQ(PIECE, ways[i](self->ca, &image));
		ASSERT_EQ(PIECE, read_all(self->cb, in, PIECE));
		EXPECT_MEMEQ(image.was + PIECE_OFF, in, PIECE);
	}
	image_close(&image);
}

/* Spliced, held back for more to come, and sent under the next keys. */
TEST_F(kssh, spliced_bytes_meet_the_next_keys)
{
	unsigned char in[1001];
	struct image image;
	loff_t off = 500;
	int p[2];

	image_open(&image);
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(1000, splice(image.fd, &off, p[1], NULL, 1000, 0));
	ASSERT_EQ(1000,
		  splice(p[0], NULL, self->ca, NULL, 1000, SPLICE_F_MORE));
	kexinit(self->a, self->b);
	rekey(self->a, self->b, variant->cipher, 21, KSSH_CRYPTO_SEQ_RESET);
	rekey(self->b, self->a, variant->cipher, 31, KSSH_CRYPTO_SEQ_RESET);
	ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(1001, read_all(self->cb, in, 1001));
	EXPECT_MEMEQ(image.was + 500, in, 1000);
	image_close(&image);
	close(p[0]);
	close(p[1]);
}

#define DUP_RULES                                                     \
	"table ip copies {\n"                                         \
	" chain out {\n"                                              \
	"  type filter hook output priority 0; policy accept;\n"      \
	"  meta l4proto tcp counter dup to 127.0.0.1 device \"lo\"\n" \
	" }\n"                                                        \
	"}\n"

/* CVE-2026-43503: netfilter's copies of a packet share its pages. */
TEST(cve_2026_43503_dirty_clone)
{
	static const int suites[] = { KSSH_CIPHER_AES_128_GCM,
				      KSSH_CIPHER_CHACHA20_POLY1305,
				      CTR128_256_ETM, CTR256_256 };
	unsigned char out[50000], in[50000], *before, *after;
	struct raw tx, rx;
	int fds[2], file, ch;
	size_t i, len;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, system("ip link set lo up"));
	if (system("printf '%s' '" DUP_RULES "' | nft -f - 2>/dev/null"))
		SKIP(return, "no nft_dup_ipv4 in this kernel");
	fill(out, sizeof(out), 9);
	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		ch = peer_open(fds, &tx, &rx, suites[i]);
		ASSERT_LE(0, ch);
		file = packets_file(&tx, 1, out, sizeof(out));
		before = content(file, &len);
		send_file(fds[1], file);
		ASSERT_EQ(sizeof(in), read_all(ch, in, sizeof(in)));
		EXPECT_MEMEQ(out, in, sizeof(in));
		after = content(file, &len);
		EXPECT_MEMEQ(before, after, len);
		free(before);
		free(after);
		close(file);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
	EXPECT_NE(0, system("nft list ruleset | grep -q 'packets 0 '"));
}

/* AF_ALG's lesson with user pages: they change while they are sent. */
TEST_F(kssh, memory_changes_during_vmsplice)
{
	size_t len = 512 * 1024, done;
	unsigned char *buf = malloc(len);
	struct reader r = { self->cb, buf, len, 0 };
	struct scribbler s = { .len = len };
	pthread_t reader, scribbler;
	int p[2], n;

	ASSERT_EQ(0, pipe(p));
	s.map = mmap(NULL, len, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, s.map);
	pthread_create(&scribbler, NULL, scribbler_thread, &s);
	pthread_create(&reader, NULL, reader_thread, &r);
	for (done = 0; done < len; done += n) {
		struct iovec iov = { s.map + done, 32768 };

		ASSERT_EQ(32768, vmsplice(p[1], &iov, 1, 0));
		n = 32768;
		ASSERT_EQ(n, splice(p[0], NULL, self->ca, NULL, n, 0));
	}
	pthread_join(reader, NULL);
	s.stop = true;
	pthread_join(scribbler, NULL);
	EXPECT_EQ(len, r.ret);
	munmap(s.map, len);
	close(p[0]);
	close(p[1]);
	free(buf);
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/*
 * Whoever gets pages of ours by splice keeps them as they are. Those of packets
 * that were read are used again, by each CPU its own.
 */
TEST_F(kssh, pages_in_a_pipe_stay_as_they_are)
{
	size_t len = 100000, done, i;
	unsigned char *out = malloc(len), *in = malloc(len);
	int p[2], copy[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, pipe(copy));
	ASSERT_LT(0, fcntl(p[1], F_SETPIPE_SZ, 1 << 20));
	ASSERT_LT(0, fcntl(copy[1], F_SETPIPE_SZ, 1 << 20));
	fill(out, len, 1);
	ASSERT_EQ(len, write_all(self->ca, out, len));
	for (done = 0; done < len; done += i) {
		run_on(done > len / 2);
		i = splice(self->cb, NULL, p[1], NULL, len - done, 0);
		ASSERT_LT(0, (ssize_t)i);
	}
	ASSERT_EQ(len, tee(p[0], copy[1], len, 0));
	for (i = 2; i < 20; i++) {
		run_on(i & 1);
		fill(in, len, i);
		ASSERT_EQ(len, write_all(self->ca, in, len));
		ASSERT_EQ(len, read_all(self->cb, in, len));
	}
	ASSERT_EQ(len, read_all(p[0], in, len));
	EXPECT_EQ(0, memcmp(out, in, len));
	/* and encrypts nothing in them when they are sent on */
	for (done = 0; done < len; done += i) {
		i = splice(copy[0], NULL, self->cb, NULL, len / 2, 0);
		ASSERT_LT(0, (ssize_t)i);
	}
	ASSERT_EQ(len, read_all(self->ca, in, len));
	EXPECT_EQ(0, memcmp(out, in, len));
	for (i = 0; i < 2; i++) {
		close(p[i]);
		close(copy[i]);
	}
	free(out);
	free(in);
}

/* CVE-2024-26584 and b014a4e: no cipher reads the caller's pages later on. */
TEST_F(kssh, pages_are_the_callers_again_on_return)
{
	size_t len = 20000;
	unsigned char *page = mmap(NULL, len, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *out = malloc(3 * len), *in = malloc(3 * len);
	struct iovec iov = { .iov_base = page, .iov_len = len };
	int p[2];

	ASSERT_NE(MAP_FAILED, (void *)page);
	ASSERT_EQ(0, pipe(p));
	fill(out, 3 * len, 1);
	/* given by reference, and kept in a packet that is not full */
	memcpy(page, out, len);
	ASSERT_EQ(len, vmsplice(p[1], &iov, 1, 0));
	ASSERT_EQ(len, splice(p[0], NULL, self->ca, NULL, len, SPLICE_F_MORE));
	memcpy(page, out + len, len);
	ASSERT_EQ(len, send(self->ca, page, len, MSG_MORE | MSG_ZEROCOPY));
	memcpy(page, out + 2 * len, len);
	ASSERT_EQ(len, send(self->ca, page, len, 0));
	memset(page, 0xee, len);
	ASSERT_EQ(3 * len, read_all(self->cb, in, 3 * len));
	EXPECT_EQ(0, memcmp(out, in, 3 * len));
	munmap(page, len);
	close(p[0]);
	close(p[1]);
	free(out);
	free(in);
}

TEST_HARNESS_MAIN
