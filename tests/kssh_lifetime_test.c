// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: closing, waking, threads, load.
 * Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

/* Lifetime */

TEST_F(kssh, tcp_socket_closed_with_channels_open)
{
	char buf[16];

	ASSERT_EQ(3, write(self->cb, "abc", 3));
	ASSERT_NE(0, poll_for(self->ca, POLLIN, 5000));
	close(self->a);
	self->a = -1;
	EXPECT_NE(0, POLLHUP & poll_for(self->ca, POLLIN, 0));
	EXPECT_EQ(3, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(-1, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(ECONNRESET, errno);
	EXPECT_EQ(0, read(self->ca, buf, sizeof(buf)));
	EXPECT_EQ(-1, send(self->ca, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	EXPECT_EQ(0, recv_type(self->b));
}

TEST_F_SIGNAL(kssh, sigpipe_on_a_closed_channel, SIGPIPE)
{
	shutdown(self->ca, SHUT_WR);
	EXPECT_EQ(-1, write(self->ca, "x", 1));
}

TEST_F(kssh, sleeping_reader_and_writer_are_woken_by_close)
{
	struct reader r = { self->ca, malloc(10), 10, 0 };
	pthread_t th;

	pthread_create(&th, NULL, reader_thread, &r);
	usleep(50000);
	close(self->b);
	self->b = -1;
	pthread_join(th, NULL);
	EXPECT_EQ(-ECONNRESET, r.ret);
	free(r.buf);
}

static int noise_done;

static void *noise_thread(void *arg)
{
	int *fd = arg;
	char buf[5000];
	int i;

	for (i = 0; i < 300; i++) {
		if (send(*fd, buf, i * 17 % sizeof(buf),
			 MSG_NOSIGNAL | (i & 1 ? MSG_MORE : 0)) < 0)
			break;
	}
	__atomic_add_fetch(&noise_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST_F(kssh, two_threads_build_one_packet)
{
	unsigned char *in = malloc(5000);
	pthread_t th[2];
	size_t want = 0, got = 0;
	int i;

	for (i = 0; i < 300; i++)
		want += 2 * (i * 17 % 5000);
	for (i = 0; i < 2; i++)
		pthread_create(&th[i], NULL, noise_thread, &self->ca);
	while (got < want) {
		int ret;

		/* the last one may be corked */
		if (!poll_for(self->cb, POLLIN, 300) &&
		    __atomic_load_n(&noise_done, __ATOMIC_SEQ_CST) == 2)
			shutdown(self->ca, SHUT_WR);
		ret = read(self->cb, in, 5000);
		if (ret <= 0)
			break;
		got += ret;
	}
	for (i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	EXPECT_EQ(want, got);
	free(in);
}

static void *churn_thread(void *arg)
{
	int *fd = arg;
	int i, ch;
	char c;

	for (i = 0; i < 200; i++) {
		ch = channel(*fd, 1000 + i, 1000 + i);
		if (ch < 0)
			break;
		send(ch, "data", 4, MSG_NOSIGNAL);
		recv(ch, &c, 1, MSG_DONTWAIT);
		close(ch);
		send_close(*fd, 1000 + i);
	}
	return NULL;
}

static void *drain_thread(void *arg)
{
	int *fd = arg;

	int ret;

	do {
		ret = recv_type(*fd);
	} while (ret > 0 || ret == -ENOMSG);
	return NULL;
}

TEST(connections_die_under_load)
{
	int round;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	for (round = 0; round < 12; round++) {
		int cipher = KSSH_CIPHER_AES_128_GCM, fds[2] = { -1, -1 };
		struct linger linger = { .l_onoff = 1 };
		pthread_t th[5];
		int ca, cb, n = 0;

		ASSERT_EQ(0, tcp_pair(fds));
		ASSERT_EQ(0, attach(fds[0]));
		ASSERT_EQ(0, attach(fds[1]));
		ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, cipher, 1, 3, 0));
		ASSERT_EQ(0, new_keys(fds[1], KSSH_RX, cipher, 1, 3, 0));
		ASSERT_EQ(0, new_keys(fds[1], KSSH_TX, cipher, 9, 3, 0));
		ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, cipher, 9, 3, 0));
		ca = channel(fds[0], 1, 2);
		cb = channel(fds[1], 2, 1);
		pthread_create(&th[n++], NULL, noise_thread, &ca);
		pthread_create(&th[n++], NULL, noise_thread, &cb);
		pthread_create(&th[n++], NULL, churn_thread, &fds[0]);
		pthread_create(&th[n++], NULL, drain_thread, &fds[1]);
		usleep(round * 3000);
		if (round & 1)
			setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &linger,
				   sizeof(linger));
		/* the number stays in use: it is the file that goes */
		dup2(STDERR_FILENO, round & 2 ? fds[0] : fds[1]);
		shutdown(round & 2 ? fds[1] : fds[0], SHUT_RDWR);
		while (n--)
			pthread_join(th[n], NULL);
		close(ca);
		close(cb);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST(nothing_is_left)
{
	int i;

	if (access(STAT, R_OK))
		SKIP(return, "kssh.ko is not loaded");
	for (i = 0; i < 100 && stat_value("KsshCurrConn"); i++)
		usleep(10000);
	EXPECT_EQ(0, stat_value("KsshCurrConn"));
}

TEST_HARNESS_MAIN
