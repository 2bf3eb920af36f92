// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: each allocation fails once. Needs a kernel with fault
 * injection: it runs on the debug kernel, which also looks for what leaks.
 *
 * fail-nth counts the allocations, and the copies from and to userspace, of this
 * task: the N-th one fails.
 * When it has not been used up at the end, there is none left to fail.
 */
#define TEST_TIMEOUT 600
#include <sys/mount.h>

#include "kssh_peer.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define MOST 2000

static void debugfs(const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, write(fd, value, strlen(value)));
	close(fd);
}

static void prepare(void)
{
	if (access("/sys/kernel/debug/failslab", X_OK))
		ASSERT_EQ(0, mount("debugfs", "/sys/kernel/debug", "debugfs", 0,
				   NULL));
	debugfs("failslab/ignore-gfp-wait", "N");
	debugfs("failslab/verbose", "0");
	debugfs("fail_page_alloc/ignore-gfp-wait", "N");
	debugfs("fail_page_alloc/min-order", "0");
	debugfs("fail_page_alloc/verbose", "0");
}

/* Let the @nth allocation fail from now on; 0: none. */
static void fail_nth(int fd, int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	/* this call may be the one that fails */
	while (pwrite(fd, text, len, 0) != len)
		ASSERT_EQ(EFAULT, errno);
}

/* Has it failed? If this call does, it had not. */
static bool has_failed(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return false;
	return atoi(text) == 0;
}

/* Copies from and to userspace fail as allocations do. */
static bool is_injected(int err)
{
	return err == -ENOMEM || err == -ENOBUFS || err == -ENFILE ||
	       err == -EFAULT;
}

/* With the first error it is over: its errno. */
static int open_connection(int sk, int suite)
{
	int err;

	err = attach(sk);
	if (!err)
		err = new_keys(sk, KSSH_TX, suite, 1, 0, 0);
	if (!err)
		err = new_keys(sk, KSSH_RX, suite, 9, 0, 0);
	return err ? err : channel(sk, 1, 2);
}

FIXTURE(fault)
{
	int nth;
};

FIXTURE_VARIANT(fault)
{
	int cipher;
};

SUITE_VARIANTS(fault);

FIXTURE_SETUP(fault)
{
	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	if (access(FAIL_NTH, W_OK))
		SKIP(return, "no fault injection in this kernel");
	prepare();
	self->nth = open(FAIL_NTH, O_RDWR);
	ASSERT_LE(0, self->nth);
}

FIXTURE_TEARDOWN(fault)
{
	close(self->nth);
}

TEST_F(fault, attach_keys_and_channel)
{
	int fds[2], n, ret;
	bool done = false;

	for (n = 1; !done && n < MOST; n++) {
		ASSERT_EQ(0, tcp_pair(fds));
		fail_nth(self->nth, n);
		ret = open_connection(fds[0], variant->cipher);
		done = !has_failed(self->nth);
		fail_nth(self->nth, 0);
		/* there are allocations that may fail, and nobody minds */
		if (ret < 0)
			ASSERT_TRUE(is_injected(ret));
		if (done)
			ASSERT_LE(0, ret);
		if (ret >= 0)
			close(ret);
		close(fds[0]);
		close(fds[1]);
	}
	EXPECT_TRUE(done);
	EXPECT_LT(5, n);
}

/* A write that fails takes nothing, or the connection ends. */
TEST_F(fault, sending)
{
	unsigned char buf[40000];
	int fds[2], n, ch, ret;
	bool done = false;
	size_t sent, got;

	fill(buf, sizeof(buf), 3);
	for (n = 1; !done && n < MOST; n++) {
		struct raw rx;
		unsigned char in[70000];

		ASSERT_EQ(0, tcp_pair(fds));
		raw_init(&rx, fds[1], variant->cipher, 1);
		ch = open_connection(fds[0], variant->cipher);
		ASSERT_LE(0, ch);
		fail_nth(self->nth, n);
		ret = send(ch, buf, sizeof(buf), MSG_NOSIGNAL);
		if (ret < 0)
			ret = -errno;
		done = !has_failed(self->nth);
		fail_nth(self->nth, 0);
		ASSERT_TRUE(ret > 0 || is_injected(ret) || ret == -EPIPE);
		sent = ret > 0 ? ret : 0;
		if (done)
			ASSERT_EQ(sizeof(buf), sent);
		/* what was taken arrives, unless the direction died */
		close(ch);
		if (get_info(fds[0]).state & KSSH_STATE_DEAD)
			shutdown(fds[0], SHUT_RDWR);
		for (got = 0;; got += ret - 9) {
			ret = raw_recv(&rx, in);
			if (ret < 0 || in[0] != SSH_MSG_CHANNEL_DATA)
				break;
			ASSERT_EQ(0, memcmp(buf + got, in + 9, ret - 9));
		}
		if (ret > 0)
			EXPECT_EQ(sent, got);
		close(fds[0]);
		close(fds[1]);
		if (rx.cipher)
			cipher_free(rx.cipher);
	}
	EXPECT_TRUE(done);
	EXPECT_LT(5, n);
}

/* A connection with its peer, opened anew when it has ended. */
struct link {
	int suite;
	int fds[2];
	int ch;
	struct raw tx, rx;
};

static void link_open(struct link *link, int suite)
{
	link->suite = suite;
	ASSERT_EQ(0, tcp_pair(link->fds));
	raw_init(&link->tx, link->fds[1], suite, 9);
	raw_init(&link->rx, link->fds[1], suite, 1);
	link->ch = open_connection(link->fds[0], suite);
	ASSERT_LE(0, link->ch);
}

static void link_close(struct link *link)
{
	close(link->ch);
	close(link->fds[0]);
	close(link->fds[1]);
	if (link->tx.cipher)
		cipher_free(link->tx.cipher);
	if (link->rx.cipher)
		cipher_free(link->rx.cipher);
}

static bool is_dead(const struct link *link)
{
	return get_info(link->fds[0]).state & KSSH_STATE_DEAD;
}

/*
 * Where the length is encrypted, too, the cipher's blocks straddle the pieces
 * of a packet, and the kernel's AES-CTR allocates for those: half decrypted, a
 * packet cannot be tried again.
 */
static bool link_renew(struct link *link)
{
	if (!is_dead(link))
		return false;
	EXPECT_TRUE(link->suite == CTR128_512 || link->suite == CTR256_256);
	link_close(link);
	link_open(link, link->suite);
	return true;
}

/* A reader that has no memory for a packet has it later. */
TEST_F(fault, receiving)
{
	unsigned char out[3000], in[3000];
	bool done = false;
	struct link link;
	int n, got, ret;

	link_open(&link, variant->cipher);
	memset(out, 0, sizeof(out));
	for (n = 1; !done && n < MOST; n++) {
		ASSERT_EQ(0, raw_data(&link.tx, 1, sizeof(in)));
		fail_nth(self->nth, n);
		ret = recv(link.ch, in, sizeof(in), MSG_DONTWAIT);
		got = ret > 0 ? ret : 0;
		poll_for(link.ch, POLLIN, 0);
		/* the worker may have been first: then nothing could fail */
		done = !has_failed(self->nth) && n > 20;
		fail_nth(self->nth, 0);
		if (link_renew(&link))
			continue;
		ASSERT_EQ(sizeof(in) - got,
			  read_all(link.ch, in + got, sizeof(in) - got));
		ASSERT_EQ(0, memcmp(out, in, sizeof(in)));
	}
	EXPECT_TRUE(done);
	link_close(&link);
}

/* Messages stay queued; what has got its number leaves, or all ends. */
TEST_F(fault, messages)
{
	unsigned char msg[20000] = { SSH_MSG_GLOBAL_REQUEST }, in[20000];
	struct kssh_cmsg_rx cmsg;
	bool done = false, failed;
	struct link link;
	int n, ret;

	link_open(&link, variant->cipher);
	for (n = 1; !done && n < MOST; n++) {
		ASSERT_EQ(0, raw_send(&link.tx, msg, sizeof(msg)));
		fail_nth(self->nth, n);
		ret = recv_any(link.fds[0], in, sizeof(in), &cmsg,
			       MSG_DONTWAIT);
		failed = has_failed(self->nth);
		fail_nth(self->nth, 0);
		ASSERT_TRUE(ret == sizeof(in) || ret == -EAGAIN ||
			    is_injected(ret));
		if (link_renew(&link))
			continue;
		if (ret < 0)
			ASSERT_EQ(SSH_MSG_GLOBAL_REQUEST,
				  recv_type(link.fds[0]));
		fail_nth(self->nth, n);
		ret = send(link.fds[0], msg, sizeof(msg), MSG_NOSIGNAL);
		if (ret < 0)
			ret = -errno;
		done = !has_failed(self->nth) && !failed && n > 20;
		fail_nth(self->nth, 0);
		if (is_dead(&link)) {
			link_close(&link);
			link_open(&link, variant->cipher);
			continue;
		}
		if (ret < 0)
			ASSERT_TRUE(is_injected(ret));
		else
			ASSERT_EQ(sizeof(msg), raw_recv(&link.rx, in));
	}
	EXPECT_TRUE(done);
	link_close(&link);
}

TEST_HARNESS_MAIN
