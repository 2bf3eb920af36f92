// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: large packets, in pieces as a network may cut them, and
 * pieces that others may write to. Needs the module and root: it runs in the VM.
 */
#include <sys/mman.h>
#include <sys/uio.h>

#include "kssh_peer.h"

#define DATA 30000
/* What a packet of that has in whole pages. */
#define PAGE 4096
#define WHOLE (7 * PAGE)

/* A packet of DATA bytes of channel 1 to @out, and the bytes. */
static int data_packet(struct raw *tx, int seed, unsigned char *data,
		       unsigned char *out)
{
	unsigned char msg[DATA + 9] = { SSH_MSG_CHANNEL_DATA };

	kssh_put_be32(msg + 1, 1);
	kssh_put_be32(msg + 5, DATA);
	fill(msg + 9, DATA, seed);
	memcpy(data, msg + 9, DATA);
	return raw_packet(tx, msg, sizeof(msg), -1, out);
}

/* The memory itself, not a copy. */
static void splice_memory(int fd, unsigned char *mem, size_t len)
{
	struct iovec iov = { mem, len };
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ((int)len, vmsplice(p[1], &iov, 1, 0));
	ASSERT_EQ((int)len, splice(p[0], NULL, fd, NULL, len, 0));
	close(p[0]);
	close(p[1]);
}

/* The framer has taken what TCP has, or nothing is going to move it. */
static void settle(int ch)
{
	char byte;
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-1, recv(ch, &byte, 1, MSG_DONTWAIT));
		EXPECT_EQ(EAGAIN, errno);
		usleep(20000);
	}
}

static unsigned char *pages(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

TEST_F(peer, pieces_end_anywhere)
{
	unsigned char data[DATA], out[DATA + 600], got[DATA];
	int cut, len;

	for (cut = 5; cut < DATA; cut += 997) {
		len = data_packet(&self->tx, cut, data, out);
		ASSERT_EQ(cut, write_all(self->tx.fd, out, cut));
		ASSERT_EQ(len - cut,
			  write_all(self->tx.fd, out + cut, len - cut));
		ASSERT_EQ(DATA, read_all(self->ch, got, DATA));
		ASSERT_EQ(0, memcmp(data, got, DATA));
	}
}

TEST_F(peer, small_pieces)
{
	unsigned char data[DATA], out[DATA + 600], got[DATA];
	int len, off, n;

	len = data_packet(&self->tx, 1, data, out);
	for (off = 0; off < len; off += n) {
		n = len - off < 100 ? len - off : 100;
		ASSERT_EQ(n, write_all(self->tx.fd, out + off, n));
	}
	ASSERT_EQ(DATA, read_all(self->ch, got, DATA));
	EXPECT_EQ(0, memcmp(data, got, DATA));
}

/*
 * A process that forwards a stream it has no keys for may write to it as long
 * as it is not read: not between the check of the MAC and the decryption. Here
 * @first bytes are the peer's own, the rest of WHOLE are written to.
 */
static void forwarded(int ch, struct raw *tx, int first)
{
	unsigned char data[DATA], tail[DATA], got[DATA];
	unsigned char *out = pages(DATA + 600);
	int len = data_packet(tx, first, data, out), rest = len - WHOLE;

	memcpy(tail, out + WHOLE, rest);
	ASSERT_EQ(first, write_all(tx->fd, out, first));
	settle(ch);
	splice_memory(tx->fd, out + first, WHOLE - first);
	settle(ch);
	memset(out, 0xff, len);
	ASSERT_EQ(rest, write_all(tx->fd, tail, rest));
	ASSERT_EQ(DATA, read_all(ch, got, DATA));
	EXPECT_EQ(0, memcmp(data, got, DATA));
	munmap(out, DATA + 600);
}

TEST_F(peer, memory_of_others)
{
	forwarded(self->ch, &self->tx, 0);
}

TEST_F(peer, memory_of_others_behind_the_first_half)
{
	forwarded(self->ch, &self->tx, 3 * PAGE);
}

TEST_F(peer, wrong_mac_of_a_large_packet)
{
	unsigned long before = stat_value("KsshBadMac");
	unsigned char data[DATA], out[DATA + 600];
	int len = data_packet(&self->tx, 4, data, out);

	out[len / 2] ^= 1;
	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EBADMSG, "KsshBadMac",
		     before);
}

TEST_F(peer, end_in_a_large_packet)
{
	unsigned long before = stat_value("KsshTruncated");
	unsigned char data[DATA], out[DATA + 600];
	int len = data_packet(&self->tx, 5, data, out);

	ASSERT_EQ(len - 1, write_all(self->tx.fd, out, len - 1));
	settle(self->ch);
	ASSERT_EQ(0, shutdown(self->tx.fd, SHUT_WR));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshTruncated",
		     before);
}

/* kB of free memory, the caches with it. */
static long free_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = 0;

	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
			break;
	fclose(file);
	return kib;
}

/* Of no connection that ends in a packet do pages remain. */
TEST(pages_are_given_back)
{
	const int conns = 400, size = 200000;
	unsigned char *out = calloc(1, size);
	struct raw tx, rx;
	int i, ch, fds[2];
	long before = 0;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	kssh_put_be32(out, size + 1000 - 1000 % 16);
	for (i = 0; i < conns; i++) {
		/* what the first ones take may be kept */
		if (i == conns / 4)
			before = free_kib();
		ch = peer_open(fds, &tx, &rx, KSSH_CIPHER_AES_128_GCM);
		ASSERT_EQ(size, write_all(fds[1], out, size));
		if (!(i % 8))
			settle(ch);
		close(ch);
		close(fds[i & 1]);
		close(fds[!(i & 1)]);
	}
	sleep(1);
	EXPECT_LT(before - free_kib(), (long)conns * size / 1024 / 4);
	free(out);
}

TEST_HARNESS_MAIN
