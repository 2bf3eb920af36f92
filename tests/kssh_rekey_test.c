// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: the next keys, before and behind data.
 * Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

TEST_F(kssh, gate_holds_data_during_kex)
{
	struct kssh_info info;
	char buf[16];

	set_nonblock(self->ca);
	ASSERT_EQ(0, send_byte(self->a, SSH_MSG_KEXINIT));
	info = get_info(self->a);
	EXPECT_NE(0, info.state & KSSH_STATE_TX_GATED);
	EXPECT_EQ(-1, write(self->ca, "x", 1));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, POLLOUT & poll_for(self->ca, POLLOUT, 0));
	EXPECT_EQ(-EBUSY, send_byte(self->a, SSH_MSG_GLOBAL_REQUEST));
	EXPECT_EQ(0, send_byte(self->a, SSH_MSG_KEX_ECDH_INIT));
	/* the peer's data still come in */
	ASSERT_EQ(1, write(self->cb, "y", 1));
	ASSERT_EQ(POLLIN, poll_for(self->ca, POLLIN, 5000));
	ASSERT_EQ(1, read(self->ca, buf, sizeof(buf)));
	/* EOF waits, too */
	ASSERT_EQ(0, shutdown(self->ca, SHUT_WR));
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));

	ASSERT_EQ(SSH_MSG_KEXINIT, recv_type(self->b));
	ASSERT_EQ(SSH_MSG_KEX_ECDH_INIT, recv_type(self->b));
	ASSERT_EQ(0, send_byte(self->b, SSH_MSG_KEXINIT));
	ASSERT_EQ(SSH_MSG_KEXINIT, recv_type(self->a));
	ASSERT_EQ(0, send_byte(self->a, SSH_MSG_NEWKEYS));
	EXPECT_EQ(-EBUSY, send_byte(self->a, SSH_MSG_IGNORE));
	ASSERT_EQ(0, new_keys(self->a, KSSH_TX, variant->cipher, 33, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	ASSERT_EQ(SSH_MSG_NEWKEYS, recv_type(self->b));
	/* the EOF is behind the new keys */
	EXPECT_EQ(0, poll_for(self->cb, POLLIN, 50));
	EXPECT_NE(0, get_info(self->b).state & KSSH_STATE_RX_PARKED);
	ASSERT_EQ(0, new_keys(self->b, KSSH_RX, variant->cipher, 33, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	EXPECT_EQ(0, read(self->cb, buf, sizeof(buf)));
}

static unsigned long stalls(void)
{
	static const char *const names[] = { "1ms",   "4ms", "16ms", "64ms",
					     "256ms", "1s",  "4s",   "More" };
	unsigned long sum = 0;
	char name[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "KsshRekeyStall%s", names[i]);
		sum += stat_value(name);
	}
	return sum;
}

TEST_F(kssh, stalls_of_a_rekey_are_told)
{
	unsigned long before = stalls(), fast = stat_value("KsshRekeyStall1ms");
	struct kssh_info info;

	kexinit(self->a, self->b);
	usleep(30000);
	rekey(self->a, self->b, variant->cipher, 21, KSSH_CRYPTO_SEQ_RESET);
	rekey(self->b, self->a, variant->cipher, 31, KSSH_CRYPTO_SEQ_RESET);
	EXPECT_EQ(before + 4, stalls());
	/* who sent NEWKEYS waited; who received them need not */
	EXPECT_GE(fast + 2, stat_value("KsshRekeyStall1ms"));
	info = get_info(self->a);
	EXPECT_EQ(2, info.rekeys);
	EXPECT_LE(30000, info.rekey_stall_max_us);
	EXPECT_LE(info.rekey_stall_max_us, info.rekey_stall_us);
}

TEST_F(kssh, blocked_writer_waits_for_new_keys)
{
	unsigned char *out = malloc(100000), *in = malloc(100000);
	struct reader r = { self->cb, in, 100000, 0 };
	pthread_t th;
	pid_t pid;

	fill(out, 100000, 1);
	kexinit(self->a, self->b);
	pid = fork();
	if (!pid)
		_exit(write_all(self->ca, out, 100000) != 100000);
	pthread_create(&th, NULL, reader_thread, &r);
	usleep(50000);
	rekey(self->a, self->b, variant->cipher, 40, KSSH_CRYPTO_SEQ_KEEP);
	rekey(self->b, self->a, variant->cipher, 50, KSSH_CRYPTO_SEQ_KEEP);
	pthread_join(th, NULL);
	ASSERT_EQ(100000, r.ret);
	EXPECT_EQ(0, memcmp(out, in, 100000));
	EXPECT_EQ(2, get_info(self->a).rekeys);
	EXPECT_EQ(0, get_info(self->a).state &
			     (KSSH_STATE_TX_GATED | KSSH_STATE_RX_PARKED));
	waitpid(pid, NULL, 0);
	free(out);
	free(in);
}

struct flow {
	int from, to;
	size_t len;
	uint32_t seed;
	int ret;
	bool write;
};

static void *flow_thread(void *arg)
{
	struct flow *f = arg;
	unsigned char *buf = malloc(f->len), *want = malloc(f->len);

	fill(want, f->len, f->seed);
	if (f->write) {
		f->ret = write_all(f->from, want, f->len);
	} else {
		f->ret = read_all(f->to, buf, f->len);
		if (f->ret == (int)f->len && memcmp(buf, want, f->len))
			f->ret = -EBADMSG;
	}
	free(buf);
	free(want);
	return NULL;
}

TEST_F(kssh, rekeys_with_data_in_flight)
{
	size_t len = 6 * 1024 * 1024;
	struct flow f[4] = {
		{ self->ca, self->cb, len, 1, 0, true },
		{ self->ca, self->cb, len, 1, 0, false },
		{ self->cb, self->ca, len, 2, 0, true },
		{ self->cb, self->ca, len, 2, 0, false },
	};
	pthread_t th[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, flow_thread, &f[i]);
	for (i = 0; i < 8; i++) {
		int flags = i & 1 ? KSSH_CRYPTO_SEQ_KEEP :
				    KSSH_CRYPTO_SEQ_RESET;
		int cipher = i & 2 ? KSSH_CIPHER_AES_128_GCM :
				     KSSH_CIPHER_AES_256_GCM;

		kexinit(self->a, self->b);
		rekey(self->a, self->b, cipher, 60 + i, flags);
		rekey(self->b, self->a, cipher, 80 + i, flags);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(th[i], NULL);
		EXPECT_EQ(len, f[i].ret);
	}
	EXPECT_EQ(16, get_info(self->a).rekeys);
}

TEST_F(kssh, rekey_due_by_bytes_packets_seconds)
{
	struct kssh_rekey_limits limits = {
		.version = KSSH_API_VERSION,
		.packets = 20,
	};
	socklen_t len = sizeof(limits);
	struct kssh_event event;
	char buf[4096];
	int i;

	ASSERT_EQ(0, setsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	memset(&limits, 0xff, sizeof(limits));
	ASSERT_EQ(0, getsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				&len));
	EXPECT_EQ(20, limits.packets);
	for (i = 0; i < 25; i++)
		ASSERT_EQ(1, write(self->ca, "x", 1));
	ASSERT_EQ(KSSH_EVENT_REKEY_DUE, recv_event(self->a, &event));
	EXPECT_EQ(KSSH_REKEY_PACKETS, event.value);
	/* once */
	EXPECT_EQ(0, POLLIN & poll_for(self->a, POLLIN, 0));
	EXPECT_NE(0, get_info(self->a).state & KSSH_STATE_REKEY_DUE);
	kexinit(self->a, self->b);
	rekey(self->a, self->b, variant->cipher, 60, KSSH_CRYPTO_SEQ_RESET);
	rekey(self->b, self->a, variant->cipher, 80, KSSH_CRYPTO_SEQ_RESET);
	EXPECT_EQ(0, get_info(self->a).state & KSSH_STATE_REKEY_DUE);

	/* what is received counts as well */
	limits.packets = 0;
	limits.bytes = 10000;
	ASSERT_EQ(0, setsockopt(self->b, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(4096, write(self->ca, buf, 4096));
	ASSERT_EQ(KSSH_EVENT_REKEY_DUE, recv_event(self->b, &event));
	EXPECT_EQ(KSSH_REKEY_BYTES, event.value);

	limits.bytes = 0;
	limits.seconds = 1;
	ASSERT_EQ(0, setsockopt(self->a, SOL_KSSH, KSSH_REKEY_LIMITS, &limits,
				sizeof(limits)));
	EXPECT_NE(0, POLLIN & poll_for(self->a, POLLIN, 5000));
	ASSERT_EQ(KSSH_EVENT_REKEY_DUE, recv_event(self->a, &event));
	EXPECT_EQ(KSSH_REKEY_SECONDS, event.value);
}

/* Before the keys, and from the receive queue */

TEST(plain_tcp_before_the_keys)
{
	int fds[2], cipher = KSSH_CIPHER_AES_256_GCM;
	struct kssh_cmsg_rx rx;
	char buf[64];

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, attach(fds[1]));
	ASSERT_EQ(9, write(fds[0], "SSH-2.0-x", 9));
	ASSERT_EQ(5, read(fds[1], buf, 5));
	ASSERT_EQ(POLLIN, poll_for(fds[1], POLLIN, 1000));
	ASSERT_EQ(4, read(fds[1], buf, 5));
	/* packets are there already when the keys come */
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, cipher, 1, 0, 0));
	ASSERT_EQ(4, send(fds[0],
			  "\x50"
			  "abc",
			  4, 0));
	ASSERT_EQ(4, send(fds[0],
			  "\x51"
			  "def",
			  4, 0));
	usleep(20000);
	ASSERT_EQ(0, new_keys(fds[1], KSSH_RX, cipher, 1, 0, 0));
	ASSERT_EQ(4, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, memcmp("\x50"
			    "abc",
			    buf, 4));
	ASSERT_EQ(4, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(1, rx.pkt_seq);
	/* a clean end */
	close(fds[0]);
	EXPECT_EQ(0, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, recv_any(fds[1], buf, sizeof(buf), &rx, 0));
	close(fds[1]);
}

TEST_HARNESS_MAIN
