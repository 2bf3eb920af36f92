// SPDX-License-Identifier: MIT
/*
 * Channels of the user data path against a peer that opens every packet: file
 * data read straight into packets, kept bytes, windows, back-pressure.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/conn_user.h"
#include "harness.h"

#define FILE_LEN	(1024 * 1024 + 77)
#define STREAM_MAX	(8 * 1024 * 1024)

static const uint8_t aes_key[16] = "0123456789abcdef";

static void test_keys(struct newkeys *keys)
{
	memset(keys, 0, sizeof(*keys));
	keys->cipher = KSSH_CIPHER_AES_128_GCM;
	keys->key_len = sizeof(aes_key);
	keys->iv_len = 12;
	memcpy(keys->key, aes_key, sizeof(aes_key));
}

FIXTURE(channel)
{
	struct conf conf;
	struct transport_state state;
	struct session_args args;
	struct conn conn;
	struct channel *ch;
	struct packet_half peer_rx;
	struct packet_half peer_tx;
	int peer;
	int file;
	uint8_t *file_data;
	uint8_t *wire;  /* from the server, not opened yet */
	size_t wire_len;
	uint8_t *stream; /* data of the channel as the peer got it */
	size_t stream_len;
	unsigned int data_packets;
	size_t largest;
	bool got_eof;
	unsigned int writable;
	unsigned int readable;
};

FIXTURE_VARIANT(channel)
{
	uint32_t max_packet;
};

FIXTURE_VARIANT_ADD(channel, packets_of_32k){
	.max_packet = 32768,
};

FIXTURE_VARIANT_ADD(channel, packets_of_1000){
	.max_packet = 1000,
};

FIXTURE_VARIANT_ADD(channel, packets_of_1){
	.max_packet = 1,
};

static void count_readable(struct channel *ch, void *arg)
{
	FIXTURE_DATA(channel) *self = arg;

	self->readable++;
}

static void count_writable(struct channel *ch, void *arg)
{
	FIXTURE_DATA(channel) *self = arg;

	self->writable++;
}

static void count_closed(struct channel *ch, void *arg)
{
}

static const struct channel_consumer consumer = {
	.readable = count_readable,
	.writable = count_writable,
	.closed = count_closed,
};

static void open_channel(FIXTURE_DATA(channel) *self, uint32_t window,
			 uint32_t max_packet)
{
	struct conn_channel_params params = {
		.remote_id = 7,
		.remote_window = window,
		.remote_max_packet = max_packet,
	};

	conn_path_user.open_channel(&self->conn, &params, &self->ch);
	self->ch->conn = &self->conn;
	self->ch->remote_id = 7;
	self->conn.channels[0] = self->ch;
	channel_set_consumer(self->ch, &consumer, self);
}

FIXTURE_SETUP(channel)
{
	int fds[2];
	size_t i;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	self->peer = fds[1];
	self->args.tcp_fd = fds[0];
	self->args.conf = &self->conf;
	self->conn.args = &self->args;
	self->conn.path = &conn_path_user;
	buf_init(&self->conn.held, CONN_HELD_MAX);
	test_keys(&self->state.tx);
	test_keys(&self->state.rx);
	ASSERT_EQ(0, ring_init(&self->conn.ring, 16));
	ASSERT_EQ(0, conn_path_user.start(&self->conn, &self->state));
	ASSERT_EQ(0, packet_half_init(&self->peer_rx, false));
	ASSERT_EQ(0, packet_half_init(&self->peer_tx, true));
	ASSERT_EQ(0, packet_half_rekey(&self->peer_rx, &self->state.tx, false,
				       0, false));
	ASSERT_EQ(0, packet_half_rekey(&self->peer_tx, &self->state.rx, true, 0,
				       false));
	self->wire = malloc(STREAM_MAX);
	self->stream = malloc(STREAM_MAX);
	self->file_data = malloc(FILE_LEN);
	for (i = 0; i < FILE_LEN; i++)
		self->file_data[i] = (i * 2654435761u) >> 13;
	self->file = memfd_create("file", MFD_CLOEXEC);
	ASSERT_EQ(FILE_LEN, write(self->file, self->file_data, FILE_LEN));
}

FIXTURE_TEARDOWN(channel)
{
	/* Let the receive in flight end before its memory goes. */
	close(self->peer);
	self->conn.ring.idle = NULL;
	ring_run(&self->conn.ring);
	if (self->ch) {
		self->ch->ops->detach(self->ch);
		self->ch->ops->free(self->ch);
	}
	conn_path_user.stop(&self->conn);
	ring_exit(&self->conn.ring);
	packet_half_exit(&self->peer_rx);
	packet_half_exit(&self->peer_tx);
	buf_free(&self->conn.held);
	free(self->wire);
	free(self->stream);
	free(self->file_data);
	close(self->file);
	close(self->args.tcp_fd);
}

/* What the peer makes of a payload. */
static int peer_input(FIXTURE_DATA(channel) *self, const uint8_t *payload,
		      size_t len)
{
	struct kssh_channel_msg msg;

	if (kssh_parse_channel_msg(payload, len, len, &msg))
		return -1;
	if (msg.type == SSH_MSG_CHANNEL_EOF)
		self->got_eof = true;
	if (msg.type != SSH_MSG_CHANNEL_DATA)
		return 0;
	memcpy(self->stream + self->stream_len, payload + msg.data_off,
	       msg.data_len);
	self->stream_len += msg.data_len;
	self->data_packets++;
	if (msg.data_len > self->largest)
		self->largest = msg.data_len;
	return 0;
}

static int peer_parse(FIXTURE_DATA(channel) *self)
{
	const uint8_t *payload;
	size_t total, off = 0, len;
	uint32_t pkt_seq;

	while (!packet_rx_size(&self->peer_rx, self->wire + off,
			       self->wire_len - off, &total) &&
	       total <= self->wire_len - off) {
		if (packet_rx_open(&self->peer_rx, self->wire + off, total,
				   &pkt_seq, &payload, &len) ||
		    peer_input(self, payload, len))
			return -1;
		off += total;
	}
	memmove(self->wire, self->wire + off, self->wire_len - off);
	self->wire_len -= off;
	return 0;
}

static void peer_read(FIXTURE_DATA(channel) *self)
{
	ssize_t n;

	while ((n = recv(self->peer, self->wire + self->wire_len,
			 STREAM_MAX - self->wire_len, MSG_DONTWAIT)) > 0) {
		self->wire_len += n;
		if (peer_parse(self))
			conn_fail(&self->conn, -EBADMSG, 0);
	}
}

/* Server and peer in turn until nothing moves: the ring only completes. */
static void settle(FIXTURE_DATA(channel) *self)
{
	struct conn_user *cu = self->conn.priv;
	struct __kernel_timespec soon = { .tv_nsec = 1000000 };
	struct io_uring_cqe *cqe;
	int turns;

	for (turns = 0; turns < 3; turns++) {
		conn_path_user.idle(&self->conn);
		io_uring_submit(&self->conn.ring.uring);
		peer_read(self);
		while (!io_uring_wait_cqe_timeout(&self->conn.ring.uring, &cqe,
						  &soon)) {
			struct ring_op *op = io_uring_cqe_get_data(cqe);
			int res = cqe->res;

			io_uring_cqe_seen(&self->conn.ring.uring, cqe);
			self->conn.ring.pending--;
			op->pending = false;
			op->fn(op, res);
			conn_path_user.idle(&self->conn);
			io_uring_submit(&self->conn.ring.uring);
			peer_read(self);
			turns = 0;
		}
	}
	(void)cu;
}

static void peer_send(FIXTURE_DATA(channel) *self, const uint8_t *payload,
		      size_t len)
{
	uint8_t pkt[64 * 1024];

	memcpy(pkt + PACKET_HDR_LEN, payload, len);
	if (packet_tx_seal(&self->peer_tx, pkt, len))
		return;
	send(self->peer, pkt, packet_tx_size(&self->peer_tx, len), 0);
}

static void peer_adjust(FIXTURE_DATA(channel) *self, uint32_t bytes)
{
	uint8_t msg[KSSH_ADJUST_LEN];

	kssh_fill_adjust(msg, 0, bytes);
	peer_send(self, msg, sizeof(msg));
}

static void peer_data(FIXTURE_DATA(channel) *self, const void *p, uint32_t len)
{
	uint8_t msg[40 * 1024];
	uint32_t hdr_len = kssh_fill_data_hdr(msg, 0, 0, len);

	memcpy(msg + hdr_len, p, len);
	peer_send(self, msg, hdr_len + len);
}

static void fill_hdr(void *arg, uint8_t *hdr, size_t n)
{
	memcpy(hdr, "HEADER", 6);
	kssh_put_be32(hdr + 6, n);
}

static ssize_t send_file(FIXTURE_DATA(channel) *self, off_t off, size_t len)
{
	int file_errno;

	return channel_send_file(self->ch, self->file, off, len, 10, fill_hdr,
				 NULL, 0, &file_errno);
}

TEST_F(channel, file_arrives_behind_its_header)
{
	/* Packets of one byte cost too much for more. */
	size_t len = variant->max_packet == 1 ? 3000 : 200000;

	open_channel(self, 1024 * 1024, variant->max_packet);
	ASSERT_EQ(len, send_file(self, 11, len));
	settle(self);
	ASSERT_EQ(0, self->conn.err);
	ASSERT_EQ(10 + len, self->stream_len);
	EXPECT_MEMEQ("HEADER", self->stream, 6);
	EXPECT_EQ(len, kssh_get_be32(self->stream + 6));
	EXPECT_MEMEQ(self->file_data + 11, self->stream + 10, len);
	EXPECT_LE(self->largest, variant->max_packet);
}

TEST_F(channel, file_waits_for_the_window)
{
	size_t len = variant->max_packet == 1 ? 2000 : 100000;

	open_channel(self, 500, variant->max_packet);
	ASSERT_EQ(len, send_file(self, 0, len));
	EXPECT_EQ(-EAGAIN, send_file(self, 0, len));
	settle(self);
	EXPECT_EQ(500, self->stream_len);
	EXPECT_EQ(0, self->writable);
	peer_adjust(self, 700);
	settle(self);
	EXPECT_EQ(1200, self->stream_len);
	peer_adjust(self, 1024 * 1024);
	settle(self);
	ASSERT_EQ(10 + len, self->stream_len);
	EXPECT_MEMEQ(self->file_data, self->stream + 10, len);
	EXPECT_EQ(1, self->writable);
}

TEST_F(channel, short_file_gives_a_short_count)
{
	open_channel(self, 1024 * 1024, variant->max_packet);
	ASSERT_EQ(77, send_file(self, FILE_LEN - 77, 32768));
	EXPECT_EQ(0, send_file(self, FILE_LEN, 32768));
	EXPECT_EQ(0, send_file(self, FILE_LEN + 4096, 32768));
	settle(self);
	ASSERT_EQ(87, self->stream_len);
	EXPECT_EQ(77, kssh_get_be32(self->stream + 6));
	EXPECT_MEMEQ(self->file_data + FILE_LEN - 77, self->stream + 10, 77);
}

TEST_F(channel, reading_errors_are_told_and_send_nothing)
{
	int file_errno = 0, dir = open("/", O_RDONLY | O_CLOEXEC);

	open_channel(self, 1024 * 1024, variant->max_packet);
	EXPECT_EQ(-EIO, channel_send_file(self->ch, dir, 0, 100, 10, fill_hdr,
					  NULL, 0, &file_errno));
	EXPECT_EQ(EISDIR, file_errno);
	ASSERT_EQ(0, channel_write(self->ch, "x", 1, 0));
	settle(self);
	EXPECT_EQ(1, self->stream_len);
	close(dir);
}

TEST_F(channel, replies_and_files_of_any_size_stay_in_order)
{
	size_t sent = 0, want = 0, len;
	uint8_t *expect = malloc(STREAM_MAX);
	unsigned int i;
	ssize_t n;

	open_channel(self, 0x7fffffff, variant->max_packet);
	for (i = 0; i < 200; i++) {
		len = (i * 7919) % (variant->max_packet == 1 ? 60 : 20000) + 1;
		if (i % 3) {
			n = channel_write(self->ch, self->file_data + sent, len,
					  i % 2 ? CHANNEL_MORE : 0);
			if (n == -EAGAIN) {
				settle(self);
				continue;
			}
			ASSERT_EQ(0, n);
			memcpy(expect + want, self->file_data + sent, len);
			want += len;
		} else {
			n = send_file(self, sent, len);
			if (n == -EAGAIN) {
				settle(self);
				continue;
			}
			ASSERT_EQ(len, n);
			fill_hdr(NULL, expect + want, n);
			memcpy(expect + want + 10, self->file_data + sent, n);
			want += 10 + n;
		}
		sent += len / 2;
	}
	settle(self);
	ASSERT_EQ(want, self->stream_len);
	EXPECT_MEMEQ(expect, self->stream, want);
	free(expect);
}

TEST_F(channel, small_writes_share_packets)
{
	int i;

	open_channel(self, 1024 * 1024, variant->max_packet);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, channel_write(self->ch, "0123456789", 10, 0));
	settle(self);
	EXPECT_EQ(1000, self->stream_len);
	EXPECT_EQ((1000 + variant->max_packet - 1) / variant->max_packet,
		  self->data_packets);
}

TEST_F(channel, eof_follows_what_was_kept)
{
	open_channel(self, 10, variant->max_packet);
	ASSERT_EQ(0, channel_write(self->ch, self->file_data, 30, 0));
	channel_send_eof(self->ch);
	EXPECT_EQ(-EPIPE, channel_write(self->ch, "x", 1, 0));
	settle(self);
	EXPECT_EQ(10, self->stream_len);
	EXPECT_FALSE(self->got_eof);
	peer_adjust(self, 20);
	settle(self);
	EXPECT_EQ(30, self->stream_len);
	EXPECT_TRUE(self->got_eof);
}

TEST_F(channel, unread_data_is_kept_and_in_order)
{
	const uint8_t *data;
	uint8_t got[300];
	size_t len = 0;
	ssize_t n;
	int i;

	open_channel(self, 1024, variant->max_packet);
	for (i = 0; i < 3; i++)
		peer_data(self, self->file_data + 100 * i, 100);
	settle(self);
	EXPECT_EQ(1, self->readable);
	while ((n = channel_peek(self->ch, &data)) > 0) {
		n = n > 7 ? 7 : n;
		memcpy(got + len, data, n);
		len += n;
		channel_consume(self->ch, n);
	}
	EXPECT_EQ(-EAGAIN, n);
	ASSERT_EQ(300, len);
	EXPECT_MEMEQ(self->file_data, got, 300);
	peer_data(self, "again", 5);
	settle(self);
	EXPECT_EQ(2, self->readable);
}

TEST_F(channel, data_beyond_the_window_ends_the_connection)
{
	static uint8_t block[CONN_MAX_PACKET];
	unsigned int i;

	open_channel(self, 1024, variant->max_packet);
	for (i = 0; i < CONN_WINDOW / CONN_MAX_PACKET; i++) {
		peer_data(self, block, sizeof(block));
		settle(self);
	}
	EXPECT_EQ(0, self->conn.err);
	peer_data(self, block, 1);
	settle(self);
	EXPECT_EQ(-EPROTO, self->conn.err);
	EXPECT_EQ(SSH_DISCONNECT_PROTOCOL_ERROR, self->conn.disconnect);
}

TEST_F(channel, window_above_four_gigabytes_ends_the_connection)
{
	open_channel(self, 0xffffff00, variant->max_packet);
	peer_adjust(self, 0xff);
	settle(self);
	EXPECT_EQ(0, self->conn.err);
	peer_adjust(self, 1);
	settle(self);
	EXPECT_EQ(-EPROTO, self->conn.err);
}

TEST_F(channel, data_after_eof_ends_the_connection)
{
	uint8_t eof[KSSH_EOF_LEN];

	open_channel(self, 1024, variant->max_packet);
	kssh_fill_eof(eof, 0);
	peer_send(self, eof, sizeof(eof));
	settle(self);
	EXPECT_EQ(0, self->conn.err);
	peer_data(self, "x", 1);
	settle(self);
	EXPECT_EQ(-EPROTO, self->conn.err);
}

TEST_HARNESS_MAIN
