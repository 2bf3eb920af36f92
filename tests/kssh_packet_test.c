// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: packets of a peer, good and bad.
 * Needs the module and root: it runs in the VM.
 */
#include "kssh_peer.h"

TEST_F(peer, understands_what_we_send)
{
	unsigned char msg[40000], buf[70000];
	int ret, left = 40000;

	fill(msg, sizeof(msg), 6);
	ASSERT_EQ(40000, write_all(self->ch, msg, 40000));
	while (left) {
		ret = raw_recv(&self->rx, buf);
		ASSERT_LT(9, ret);
		EXPECT_EQ(SSH_MSG_CHANNEL_DATA, buf[0]);
		EXPECT_EQ(2, kssh_get_be32(buf + 1));
		EXPECT_EQ(ret - 9, kssh_get_be32(buf + 5));
		ASSERT_EQ(0, memcmp(msg + 40000 - left, buf + 9, ret - 9));
		left -= ret - 9;
	}
	ASSERT_EQ(0, raw_data(&self->tx, 1, 500));
	ASSERT_EQ(500, read_all(self->ch, buf, 500));
}

TEST_F(peer, wrong_mac)
{
	unsigned long before = stat_value("KsshBadMac");
	unsigned char out[100];
	int len;

	/* what came before is still delivered */
	ASSERT_EQ(0, raw_data(&self->tx, 1, 10));
	len = raw_packet(&self->tx, "P", 1, -1, out);
	out[10] ^= 1;
	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	EXPECT_EQ(10, read_all(self->ch, out, 10));
	expect_fault(self->fd, self->ch, &self->rx, -EBADMSG, "KsshBadMac",
		     before);
}

TEST_F(peer, impossible_lengths)
{
	static const uint32_t lens[] = { 0,	     1,		 4,
					 5,	     15,	 17,
					 33,	     262145,	 262160,
					 0x7fffffff, 0x80000000, 0xffffffff };
	struct raw tx, rx;
	unsigned int i;
	int len;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		unsigned long before = stat_value("KsshBadLength");
		unsigned char pkt[68] = { 0 }, out[68 + 64];
		int fds[2], ch;

		ch = peer_open(fds, &tx, &rx, variant->cipher);
		kssh_put_be32(pkt, lens[i]);
		len = raw_layout(&tx, true)->clear_len ? 68 : 64;
		raw_seal(&tx, pkt, len, out);
		ASSERT_EQ(64, write_all(fds[1], out, 64));
		expect_fault(fds[0], ch, &rx, -EMSGSIZE, "KsshBadLength",
			     before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST_F(peer, padding_below_four)
{
	unsigned long before = stat_value("KsshBadPadding");
	unsigned char out[100];
	int len = raw_packet(&self->tx, "P", 1, 3, out);

	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshBadPadding",
		     before);
}

TEST_F(peer, padding_beyond_the_packet)
{
	unsigned long before = stat_value("KsshBadPadding");
	unsigned char out[100];
	int len = raw_packet(&self->tx, "P", 1, 200, out);

	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshBadPadding",
		     before);
}

TEST_F(peer, empty_payload)
{
	unsigned long before = stat_value("KsshBadPadding");
	unsigned char out[100];
	int len = raw_packet(&self->tx, "", 0, -1, out);

	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshBadPadding",
		     before);
}

TEST_F(peer, data_beyond_the_window)
{
	unsigned long before = stat_value("KsshWindowOverrun");
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, raw_data(&self->tx, 1, 32768));
	ASSERT_EQ(0, raw_data(&self->tx, 1, 1697));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO,
		     "KsshWindowOverrun", before);
}

TEST_F(peer, data_beyond_the_packet_size)
{
	unsigned long before = stat_value("KsshWindowOverrun");

	ASSERT_EQ(0, raw_data(&self->tx, 1, 32769));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO,
		     "KsshWindowOverrun", before);
}

TEST_F(peer, window_adjust_overflow)
{
	unsigned long before = stat_value("KsshWindowOverflow");

	ASSERT_EQ(0, raw_adjust(&self->tx, 1, 0xffffffff - WINDOW));
	ASSERT_EQ(0, raw_adjust(&self->tx, 1, 1));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO,
		     "KsshWindowOverflow", before);
}

TEST_F(peer, malformed_channel_messages)
{
	static const struct {
		int len;
		unsigned char msg[20];
	} bad[] = {
		{ 4, { 94, 0, 0, 0 } },
		{ 8, { 94, 0, 0, 0, 1, 0, 0, 0 } },
		{ 10, { 94, 0, 0, 0, 1, 0, 0, 0, 2, 'x' } },
		{ 10, { 94, 0, 0, 0, 1, 0, 0, 0, 0, 'x' } },
		{ 12, { 95, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 } },
		{ 9, { 94, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff } },
		{ 8, { 93, 0, 0, 0, 1, 0, 0, 0 } },
		{ 10, { 93, 0, 0, 0, 1, 0, 0, 0, 0, 0 } },
		{ 6, { 96, 0, 0, 0, 1, 0 } },
		{ 4, { 97, 0, 0, 0 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned long before = stat_value("KsshProtocol");
		struct raw tx, rx;
		int fds[2], ch = peer_open(fds, &tx, &rx, variant->cipher);

		ASSERT_EQ(0, raw_send(&tx, bad[i].msg, bad[i].len));
		expect_fault(fds[0], ch, &rx, -EPROTO, "KsshProtocol", before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST_F(peer, messages_of_other_layers_behind_kexinit)
{
	static const unsigned char late[][14] = {
		{ SSH_MSG_CHANNEL_DATA, 0, 0, 0, 1, 0, 0, 0, 5 },
		{ SSH_MSG_CHANNEL_WINDOW_ADJUST, 0, 0, 0, 1, 0, 0, 0, 5 },
		{ SSH_MSG_GLOBAL_REQUEST, 0, 0, 0, 1, 'x', 0 },
		{ 255 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(late); i++) {
		unsigned long before = stat_value("KsshProtocol");
		struct raw tx, rx;
		int fds[2], ch = peer_open(fds, &tx, &rx, variant->cipher);

		ASSERT_EQ(0, raw_data(&tx, 1, 5));
		ASSERT_EQ(0, raw_send(&tx, "\x14", 1));
		/* these may come */
		ASSERT_EQ(0, raw_send(&tx, "\x02", 1));
		ASSERT_EQ(0, raw_send(&tx, "\x1e", 1));
		ASSERT_EQ(0, raw_send(&tx, late[i], sizeof(late[i])));
		expect_fault(fds[0], ch, &rx, -EPROTO, "KsshProtocol", before);
		close(ch);
		close(fds[0]);
		close(fds[1]);
	}
}

TEST_F(peer, data_behind_eof)
{
	unsigned long before = stat_value("KsshProtocol");
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	ASSERT_EQ(0, raw_send(&self->tx, "\x60\0\0\0\1", 5));
	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	EXPECT_EQ(-EPROTO, recv_type(self->fd));
	EXPECT_EQ(before + 1, stat_value("KsshProtocol"));
	/* whoever has seen the end of file is not told of errors behind it */
	EXPECT_EQ(5, read_all(self->ch, buf, 5));
	EXPECT_EQ(0, read(self->ch, buf, 1));
	EXPECT_EQ(0, read(self->ch, buf, 1));
}

TEST_F(peer, an_error_is_told_behind_the_data_once)
{
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	ASSERT_EQ(0, raw_send(&self->tx, "\x5e", 1));
	EXPECT_EQ(-EPROTO, recv_type(self->fd));
	/* a writer that is told takes nothing from the reader */
	EXPECT_EQ(-1, send(self->ch, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(5, recv(self->ch, buf, 10, MSG_WAITALL));
	EXPECT_EQ(-1, recv(self->ch, buf, 10, MSG_WAITALL));
	EXPECT_EQ(EPROTO, errno);
	EXPECT_EQ(0, recv(self->ch, buf, 10, 0));
}

TEST_F(peer, what_comes_after_a_fault_is_dropped)
{
	unsigned char out[1024] = { 0 };
	char disconnect[14] = { SSH_MSG_DISCONNECT };
	int i, left, unsent;

	ASSERT_EQ(0, raw_send(&self->tx, "\x5e", 1));
	EXPECT_EQ(-EPROTO, recv_type(self->fd));
	/* unread bytes would make a RST of our FIN */
	for (i = 0; i < 100; i++)
		ASSERT_EQ(sizeof(out),
			  write_all(self->tx.fd, out, sizeof(out)));
	ASSERT_EQ(14, send(self->fd, disconnect, 14, 0));
	/* until all has been taken from TCP there, see the window's end */
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, ioctl(self->fd, SIOCINQ, &left));
		ASSERT_EQ(0, ioctl(self->tx.fd, SIOCOUTQ, &unsent));
		if (!left && !unsent)
			break;
		usleep(10000);
	}
	usleep(50000);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(14, raw_recv(&self->rx, out));
	EXPECT_EQ(SSH_MSG_DISCONNECT, out[0]);
}

TEST_F(peer, nothing_of_a_channel_follows_its_close)
{
	static unsigned char buf[70000];
	int i, ret, n, closed;

	for (i = 0; i < 50; i++) {
		struct kssh_channel info = channel_info(100 + i, 200 + i);
		int ch;

		info.remote_window = 1 << 20;
		ch = bind_channel(self->fd, &info);
		ASSERT_LE(0, ch);
		if (!fork()) {
			/* a writer that does not know */
			for (n = 0; n < 64; n++)
				if (send(ch, buf, 1000, MSG_NOSIGNAL) < 0)
					break;
			_exit(0);
		}
		close(ch);
		ASSERT_EQ(0, send_close(self->fd, 200 + i));
		ASSERT_EQ(5, send(self->fd, "\x02\0\0\0\0", 5, 0));
		wait(NULL);
		closed = 0;
		do {
			ret = raw_recv(&self->rx, buf);
			ASSERT_LT(0, ret);
			if (buf[0] == SSH_MSG_CHANNEL_CLOSE)
				closed++;
			else if (buf[0] != SSH_MSG_IGNORE)
				EXPECT_EQ(0, closed);
		} while (buf[0] != SSH_MSG_IGNORE);
		EXPECT_EQ(1, closed);
		ASSERT_EQ(0, raw_send(&self->tx,
				      (unsigned char[]){ 97, 0, 0, 0, 100 + i },
				      5));
		/* there may be the event that all has been sent */
		do {
			ret = recv_type(self->fd);
		} while (ret == -ENOMSG);
		EXPECT_EQ(SSH_MSG_CHANNEL_CLOSE, ret);
	}
}

TEST_F(peer, newkeys_out_of_place)
{
	unsigned long before = stat_value("KsshProtocol");

	ASSERT_EQ(0, raw_send(&self->tx, "\x15", 1));
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshProtocol",
		     before);
}

TEST_F(peer, fin_inside_a_packet)
{
	unsigned long before = stat_value("KsshTruncated");
	unsigned char out[100];

	raw_packet(&self->tx, "P", 1, -1, out);
	ASSERT_EQ(20, write_all(self->tx.fd, out, 20));
	shutdown(self->tx.fd, SHUT_WR);
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshTruncated",
		     before);
}

TEST_F(peer, fin_inside_a_length)
{
	unsigned long before = stat_value("KsshTruncated");

	ASSERT_EQ(3, write_all(self->tx.fd, "\0\0\0", 3));
	shutdown(self->tx.fd, SHUT_WR);
	expect_fault(self->fd, self->ch, &self->rx, -EPROTO, "KsshTruncated",
		     before);
}

TEST_F(peer, clean_fin)
{
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	shutdown(self->tx.fd, SHUT_WR);
	EXPECT_EQ(0, recv_type(self->fd));
	/* data first, then the error: no EOF came */
	EXPECT_EQ(5, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(-1, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(ECONNRESET, errno);
}

TEST_F(peer, reset)
{
	struct linger linger = { .l_onoff = 1 };
	struct kssh_cmsg_rx rx;
	unsigned char buf[16];

	ASSERT_EQ(0, raw_data(&self->tx, 1, 5));
	ASSERT_NE(0, poll_for(self->ch, POLLIN, 5000));
	setsockopt(self->tx.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(self->tx.fd);
	self->tx.fd = -1;
	EXPECT_EQ(-ECONNRESET, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(5, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(-1, read(self->ch, buf, sizeof(buf)));
	EXPECT_EQ(ECONNRESET, errno);
	EXPECT_EQ(-1, send(self->ch, "x", 1, MSG_NOSIGNAL));
}

TEST_F(peer, one_byte_segments)
{
	unsigned char msg[300], buf[300], *out = malloc(1000);
	struct kssh_cmsg_rx rx;
	int i, len, rcvbuf = 2304;

	setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	fill(msg, sizeof(msg), 2);
	msg[0] = SSH_MSG_GLOBAL_REQUEST;
	len = raw_packet(&self->tx, msg, sizeof(msg), -1, out);
	for (i = 0; i < len; i++) {
		ASSERT_EQ(1, write(self->tx.fd, out + i, 1));
		if (i % 50 == 0)
			usleep(1000);
	}
	ASSERT_EQ(300, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, memcmp(msg, buf, 300));
	free(out);
}

TEST_F(peer, large_packet_with_a_small_receive_buffer)
{
	int fds[2], ch, rcvbuf = 4096, len = 250000;
	struct kssh_channel info = channel_info(1, 2);
	unsigned char *in = malloc(len);
	struct raw tx;
	pid_t pid;

	ASSERT_EQ(0, tcp_pair(fds));
	setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, variant->cipher, 1, 0, 0));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, variant->cipher, 9, 0, 0));
	info.local_max_packet = len;
	ch = bind_channel(fds[0], &info);
	raw_init(&tx, fds[1], variant->cipher, 9);
	pid = fork();
	if (!pid)
		_exit(raw_data(&tx, 1, len) != 0);
	ASSERT_EQ(len, read_all(ch, in, len));
	waitpid(pid, NULL, 0);
	close(ch);
	close(fds[0]);
	close(fds[1]);
	free(in);
}

TEST_F(peer, ignore_debug_and_empty_data_are_dropped)
{
	unsigned long before = stat_value("KsshRxIgnored");
	int i;

	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, raw_send(&self->tx, "\x02\0\0\0\0", 5));
		ASSERT_EQ(0, raw_send(&self->tx, "\x04\0\0\0\0\0\0\0\0\0", 10));
		ASSERT_EQ(0, raw_data(&self->tx, 1, 0));
	}
	ASSERT_EQ(0, raw_send(&self->tx, "\x50", 1));
	EXPECT_EQ(0x50, recv_type(self->fd));
	EXPECT_EQ(before + 1000, stat_value("KsshRxIgnored"));
	EXPECT_EQ(0, poll_for(self->ch, POLLIN, 0));
}

/* A packet of one byte must not cost the receiver more than some bytes. */
TEST_F(peer, byte_by_byte_data_are_kept_together)
{
	unsigned long before = stat_value("KsshRxQueuedMem");
	unsigned char buf[3000];
	int i;

	for (i = 0; i < 3000; i++)
		ASSERT_EQ(0, raw_data(&self->tx, 1, 1));
	ASSERT_EQ(0, raw_send(&self->tx, "\x50", 1));
	EXPECT_EQ(0x50, recv_type(self->fd));
	EXPECT_GT(before + 20000, stat_value("KsshRxQueuedMem"));
	ASSERT_EQ(3000, recv(self->ch, buf, 3000, MSG_WAITALL));
}

/* Nor if somebody looks at each. */
TEST_F(peer, peeks_at_every_byte_keep_them_together)
{
	unsigned long before = stat_value("KsshRxQueuedMem");
	unsigned char buf[300];
	int i;

	for (i = 1; i <= 300; i++) {
		ASSERT_EQ(0, raw_data(&self->tx, 1, 1));
		while (recv(self->ch, buf, 300, MSG_PEEK) < i)
			poll(NULL, 0, 1);
	}
	EXPECT_GT(before + 20000, stat_value("KsshRxQueuedMem"));
	ASSERT_EQ(300, recv(self->ch, buf, 300, MSG_WAITALL));
}

TEST_F(peer, glued_to_newkeys)
{
	unsigned char out[1000], buf[100];
	struct kssh_cmsg_rx rx;
	int len = 0;

	ASSERT_EQ(0, send_byte(self->fd, SSH_MSG_KEXINIT));
	len += raw_packet(&self->tx, "\x14", 1, -1, out);
	len += raw_packet(&self->tx, "\x15", 1, -1, out + len);
	raw_init(&self->tx, self->tx.fd, variant->cipher, 77);
	len += raw_packet(&self->tx,
			  "\x50"
			  "after",
			  6, -1, out + len);
	ASSERT_EQ(len, write_all(self->tx.fd, out, len));
	ASSERT_EQ(0x14, recv_type(self->fd));
	ASSERT_EQ(0x15, recv_type(self->fd));
	EXPECT_EQ(0, poll_for(self->fd, POLLIN, 50));
	EXPECT_NE(0, get_info(self->fd).state & KSSH_STATE_RX_PARKED);
	ASSERT_EQ(0, new_keys(self->fd, KSSH_RX, variant->cipher, 77, 0,
			      KSSH_CRYPTO_SEQ_RESET));
	ASSERT_EQ(6, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
	EXPECT_EQ(0, rx.pkt_seq);
}

TEST_F(peer, urgent_data_end_it)
{
	struct kssh_cmsg_rx rx;
	char buf[16];

	ASSERT_EQ(1, send(self->tx.fd, "!", 1, MSG_OOB));
	EXPECT_EQ(-EPROTO, recv_any(self->fd, buf, sizeof(buf), &rx, 0));
}

/* RFC 4254 5.2: whatever its type is, it is not SSH_MSG_CHANNEL_DATA. */
TEST_F(peer, extended_data_of_type_0_is_a_message)
{
	unsigned char msg[17] = { SSH_MSG_CHANNEL_EXTENDED_DATA };

	kssh_put_be32(msg + 1, 1);
	kssh_put_be32(msg + 9, 4);
	ASSERT_EQ(0, raw_send(&self->tx, msg, sizeof(msg)));
	EXPECT_EQ(SSH_MSG_CHANNEL_EXTENDED_DATA, recv_type(self->fd));
	EXPECT_EQ(0, poll_for(self->ch, POLLIN, 0));
}

TEST_F(peer, close_while_tcp_is_full)
{
	unsigned char *out = malloc(WINDOW), msg[70000];
	int ret, total = 0, sent, messages = 0;

	fill(out, WINDOW, 1);
	set_nonblock(self->ch);
	sent = write(self->ch, out, WINDOW);
	ASSERT_LT(0, sent);
	set_nonblock(self->fd);
	/* TCP may have taken part of the last packet only */
	while (send_byte(self->fd, SSH_MSG_GLOBAL_REQUEST) == 0)
		;
	close(self->fd);
	self->fd = -1;
	for (;;) {
		ret = raw_recv(&self->rx, msg);
		if (ret < 0)
			break;
		if (msg[0] != SSH_MSG_CHANNEL_DATA) {
			messages++;
			continue;
		}
		ASSERT_EQ(0, memcmp(out + total, msg + 9, ret - 9));
		total += ret - 9;
	}
	/* the end is at a packet boundary */
	EXPECT_EQ(-EPIPE, ret);
	EXPECT_GE(sent, total);
	free(out);
}

TEST_HARNESS_MAIN
