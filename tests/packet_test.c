// SPDX-License-Identifier: MIT
/* packet/: payload -> packet -> payload, whole, in pieces, and broken. */
#include <sys/socket.h>
#include <time.h>

#include "harness.h"
#include "lib/mem.h"
#include "packet/packet.h"

#define ROOM	(KSSH_PACKET_LEN_MAX + 1024)

FIXTURE(packet)
{
	struct newkeys keys;
	struct packet_half tx;
	struct packet_half rx;
	uint8_t *p;
};

FIXTURE_VARIANT(packet)
{
	uint16_t cipher;
	uint16_t mac;
};

FIXTURE_VARIANT_ADD(packet, plain){ KSSH_CIPHER_NONE, 0 };
FIXTURE_VARIANT_ADD(packet, aes128_gcm){ KSSH_CIPHER_AES_128_GCM, 0 };
FIXTURE_VARIANT_ADD(packet, aes256_gcm){ KSSH_CIPHER_AES_256_GCM, 0 };
FIXTURE_VARIANT_ADD(packet, chacha20){ KSSH_CIPHER_CHACHA20_POLY1305, 0 };

#define CTR_VARIANTS(bits)                                               \
	FIXTURE_VARIANT_ADD(packet, aes##bits##_ctr_256_etm){            \
		KSSH_CIPHER_AES_##bits##_CTR, KSSH_MAC_HMAC_SHA2_256_ETM \
	};                                                               \
	FIXTURE_VARIANT_ADD(packet, aes##bits##_ctr_512_etm){            \
		KSSH_CIPHER_AES_##bits##_CTR, KSSH_MAC_HMAC_SHA2_512_ETM \
	};                                                               \
	FIXTURE_VARIANT_ADD(packet, aes##bits##_ctr_256){                \
		KSSH_CIPHER_AES_##bits##_CTR, KSSH_MAC_HMAC_SHA2_256     \
	};                                                               \
	FIXTURE_VARIANT_ADD(packet, aes##bits##_ctr_512)                 \
	{                                                                \
		KSSH_CIPHER_AES_##bits##_CTR, KSSH_MAC_HMAC_SHA2_512     \
	}

CTR_VARIANTS(128);
CTR_VARIANTS(192);
CTR_VARIANTS(256);

static void random_keys(struct newkeys *keys, uint16_t cipher, uint16_t mac)
{
	const struct cipher_desc *desc = cipher_by_id(cipher);
	const struct mac_desc *row = mac_by_id(mac);

	memset(keys, 0, sizeof(*keys));
	keys->cipher = cipher;
	keys->mac = mac;
	keys->key_len = desc ? desc->key_len : 0;
	keys->iv_len = desc ? desc->iv_len : 0;
	keys->mac_key_len = row ? row->key_len : 0;
	ASSERT_EQ(0, mem_random(keys->key, keys->key_len));
	ASSERT_EQ(0, mem_random(keys->iv, keys->iv_len));
	ASSERT_EQ(0, mem_random(keys->mac_key, keys->mac_key_len));
}

FIXTURE_SETUP(packet)
{
	self->p = malloc(ROOM);
	ASSERT_NOT_NULL(self->p);
	random_keys(&self->keys, variant->cipher, variant->mac);
	ASSERT_EQ(0, packet_half_init(&self->tx, true));
	ASSERT_EQ(0, packet_half_init(&self->rx, false));
	ASSERT_EQ(0, packet_half_rekey(&self->tx, &self->keys, true, 0, true));
	ASSERT_EQ(0, packet_half_rekey(&self->rx, &self->keys, false, 0, true));
}

FIXTURE_TEARDOWN(packet)
{
	packet_half_exit(&self->tx);
	packet_half_exit(&self->rx);
	free(self->p);
}

static void fill_payload(uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[PACKET_HDR_LEN + i] = (i * 31 + len) >> (i % 3);
}

static size_t seal(struct packet_half *tx, uint8_t *p, size_t len)
{
	size_t total = packet_tx_size(tx, len);

	fill_payload(p, len);
	memset(p + total, 0xee, 16);
	ASSERT_EQ(0, packet_tx_seal(tx, p, len));
	/* nothing is written behind the packet */
	ASSERT_EQ(0xee, p[total]);
	ASSERT_EQ(0xee, p[total + 15]);
	return total;
}

static void open_and_check(struct packet_half *rx, uint8_t *p, size_t total,
			   size_t len)
{
	uint32_t want_seq = rx->pkt_seq, pkt_seq = ~want_seq;
	const uint8_t *payload;
	size_t size = 0, got, i;
	uint8_t want;

	ASSERT_EQ(0, packet_rx_size(rx, p, 4, &size));
	ASSERT_EQ(total, size);
	ASSERT_EQ(0, packet_rx_open(rx, p, total, &pkt_seq, &payload, &got));
	ASSERT_EQ(want_seq, pkt_seq);
	ASSERT_EQ(len, got);
	ASSERT_EQ(p + PACKET_HDR_LEN, payload);
	for (i = 0; i < len; i++) {
		want = (i * 31 + len) >> (i % 3);
		ASSERT_EQ(want, payload[i]);
	}
}

TEST_F(packet, carries_every_payload_length_to_1100)
{
	size_t len, total, bytes = 0;

	for (len = 1; len <= 1100; len++) {
		total = seal(&self->tx, self->p, len);
		bytes += total;
		open_and_check(&self->rx, self->p, total, len);
	}
	EXPECT_EQ(1100, self->tx.pkt_seq);
	EXPECT_EQ(1100, self->rx.use.packets);
	EXPECT_EQ(bytes, self->tx.use.bytes);
	EXPECT_EQ(bytes, self->rx.use.bytes);
}

TEST_F(packet, carries_long_payloads)
{
	static const size_t lens[] = { 4095,
				       4096,
				       8191,
				       16384,
				       32767,
				       32768,
				       32777,
				       34999,
				       35000,
				       65535,
				       65536,
				       131072,
				       KSSH_PACKET_LEN_MAX - 64 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lens); i++)
		open_and_check(&self->rx, self->p,
			       seal(&self->tx, self->p, lens[i]), lens[i]);
	EXPECT_EQ(-EMSGSIZE,
		  packet_tx_seal(&self->tx, self->p, KSSH_PACKET_LEN_MAX - 63));
}

/* RFC 4253 6: an empty payload has no message number. */
TEST_F(packet, refuses_to_seal_nothing)
{
	EXPECT_EQ(-EMSGSIZE, packet_tx_seal(&self->tx, self->p, 0));
	EXPECT_EQ(0, self->tx.pkt_seq);
}

TEST_F(packet, wants_four_bytes_to_know_the_size)
{
	size_t total, size, n;

	total = seal(&self->tx, self->p, 500);
	for (n = 0; n < total; n++) {
		size = 0;
		if (n < 4) {
			ASSERT_EQ(-EAGAIN,
				  packet_rx_size(&self->rx, self->p, n, &size));
			ASSERT_EQ(4, size);
		} else {
			ASSERT_EQ(0,
				  packet_rx_size(&self->rx, self->p, n, &size));
			ASSERT_EQ(total, size);
		}
	}
	open_and_check(&self->rx, self->p, total, 500);
}

TEST_F(packet, refuses_any_changed_byte)
{
	bool plain = variant->cipher == KSSH_CIPHER_NONE;
	struct packet_half rx = { 0 };
	const uint8_t *payload;
	size_t total, len, i;
	uint8_t *sealed;
	uint32_t seq;

	if (plain)
		SKIP(return, "plain packets have no MAC");
	total = seal(&self->tx, self->p, 40);
	sealed = malloc(total);
	ASSERT_NOT_NULL(sealed);
	memcpy(sealed, self->p, total);
	for (i = 0; i < total; i++) {
		memcpy(self->p, sealed, total);
		self->p[i] ^= 0x80 >> (i % 8);
		ASSERT_EQ(0, packet_half_init(&rx, false));
		ASSERT_EQ(0,
			  packet_half_rekey(&rx, &self->keys, false, 0, true));
		EXPECT_EQ(-EBADMSG, packet_rx_open(&rx, self->p, total, &seq,
						   &payload, &len))
		TH_LOG("byte %zu", i);
		EXPECT_EQ(0, rx.pkt_seq);
		packet_half_exit(&rx);
	}
	free(sealed);
}

/*
 * A wrong length: refused at once if it is impossible, else the MAC that is
 * looked for at the wrong place is wrong.
 */
TEST_F(packet, refuses_any_changed_length)
{
	const uint8_t *payload;
	struct packet_half rx;
	size_t total, size, len;
	uint8_t sealed[256];
	uint32_t seq;
	int bit, err;

	if (variant->cipher == KSSH_CIPHER_NONE)
		SKIP(return, "plain packets have no MAC");
	total = seal(&self->tx, self->p, 40);
	ASSERT_LE(total, sizeof(sealed));
	memcpy(sealed, self->p, total);
	for (bit = 0; bit < 32; bit++) {
		memset(self->p, 0x3c, ROOM);
		memcpy(self->p, sealed, total);
		self->p[bit / 8] ^= 1 << bit % 8;
		ASSERT_EQ(0, packet_half_init(&rx, false));
		ASSERT_EQ(0,
			  packet_half_rekey(&rx, &self->keys, false, 0, true));
		err = packet_rx_size(&rx, self->p, ROOM, &size);
		if (!err) {
			ASSERT_NE(total, size);
			ASSERT_LE(size, ROOM);
			err = packet_rx_open(&rx, self->p, size, &seq, &payload,
					     &len);
			EXPECT_EQ(-EBADMSG, err);
		} else {
			EXPECT_EQ(-EMSGSIZE, err);
		}
		packet_half_exit(&rx);
	}
}

/* A packet of our own making, sealed with right keys but wrong inside. */
static int open_crafted(struct packet_half *tx, struct packet_half *rx,
			uint8_t *p, uint32_t pkt_len, uint8_t pad_len)
{
	uint32_t tag_len = cipher_layout(tx->cipher)->tag_len;
	const uint8_t *payload;
	uint32_t seq;
	size_t len;

	memset(p + 4, 0x11, pkt_len);
	kssh_put_be32(p, pkt_len);
	p[4] = pad_len;
	ASSERT_EQ(0, cipher_seal(tx->cipher, tx->pkt_seq, p, pkt_len));
	return packet_rx_open(rx, p, 4 + pkt_len + tag_len, &seq, &payload,
			      &len);
}

TEST_F(packet, refuses_padding_below_four)
{
	uint32_t pkt_len = cipher_layout(self->tx.cipher)->clear_len ? 32 : 28;

	EXPECT_EQ(-EPROTO,
		  open_crafted(&self->tx, &self->rx, self->p, pkt_len, 3));
}

TEST_F(packet, refuses_padding_that_leaves_no_payload)
{
	uint32_t pkt_len = cipher_layout(self->tx.cipher)->clear_len ? 32 : 28;

	EXPECT_EQ(-EPROTO, open_crafted(&self->tx, &self->rx, self->p, pkt_len,
					pkt_len - 1));
}

TEST_F(packet, refuses_padding_beyond_the_packet)
{
	uint32_t pkt_len = cipher_layout(self->tx.cipher)->clear_len ? 32 : 28;

	EXPECT_EQ(-EPROTO,
		  open_crafted(&self->tx, &self->rx, self->p, pkt_len, 255));
}

TEST_F(packet, takes_one_byte_payload_with_the_most_padding)
{
	uint32_t pkt_len = cipher_layout(self->tx.cipher)->clear_len ? 240 :
								       236;

	EXPECT_EQ(0, open_crafted(&self->tx, &self->rx, self->p, pkt_len,
				  pkt_len - 2));
}

TEST_F(packet, stops_at_two_to_the_31_packets)
{
	const uint8_t *payload;
	size_t total, len;
	uint32_t seq;

	self->tx.use.packets = KSSH_REKEY_PACKETS_HARD - 1;
	self->rx.use.packets = KSSH_REKEY_PACKETS_HARD - 1;
	total = seal(&self->tx, self->p, 10);
	open_and_check(&self->rx, self->p, total, 10);
	EXPECT_EQ(-EKEYEXPIRED, packet_tx_seal(&self->tx, self->p, 10));
	EXPECT_EQ(1, self->tx.pkt_seq);
	EXPECT_EQ(-EKEYEXPIRED, packet_rx_open(&self->rx, self->p, total, &seq,
					       &payload, &len));
	ASSERT_EQ(0, packet_half_rekey(&self->tx, &self->keys, true, 0, false));
	ASSERT_EQ(0,
		  packet_half_rekey(&self->rx, &self->keys, false, 0, false));
	total = seal(&self->tx, self->p, 10);
	open_and_check(&self->rx, self->p, total, 10);
	EXPECT_EQ(2, self->tx.pkt_seq);
}

TEST_F(packet, sequence_number_wraps_at_32_bits)
{
	size_t total;
	int i;

	self->tx.pkt_seq = UINT32_MAX - 1;
	self->rx.pkt_seq = UINT32_MAX - 1;
	for (i = 0; i < 4; i++) {
		total = seal(&self->tx, self->p, 20);
		open_and_check(&self->rx, self->p, total, 20);
	}
	EXPECT_EQ(2, self->rx.pkt_seq);
}

/* strict-kex resets the number, the rekeys of others do not. */
TEST_F(packet, rekeys_with_and_without_reset)
{
	struct newkeys keys;
	size_t total;
	int i;

	for (i = 0; i < 4; i++) {
		total = seal(&self->tx, self->p, 100 + i);
		open_and_check(&self->rx, self->p, total, 100 + i);
		EXPECT_EQ(i < 3 ? i + 1 : 1, self->rx.pkt_seq);
		random_keys(&keys, KSSH_CIPHER_CHACHA20_POLY1305, 0);
		ASSERT_EQ(0, packet_half_rekey(&self->tx, &keys, true, 5000,
					       i == 2));
		ASSERT_EQ(0, packet_half_rekey(&self->rx, &keys, false, 5000,
					       i == 2));
		EXPECT_EQ(0, self->tx.use.bytes);
		EXPECT_EQ(5000, self->tx.use.limit_bytes);
	}
}

TEST_F(packet, a_rekey_that_fails_keeps_the_old_keys)
{
	struct newkeys bad = self->keys;
	size_t total;

	bad.cipher = 77;
	EXPECT_EQ(-EINVAL, packet_half_rekey(&self->tx, &bad, true, 0, true));
	total = seal(&self->tx, self->p, 64);
	open_and_check(&self->rx, self->p, total, 64);
}

/* Does the padding repeat? Not in 100 plain packets, where we see it. */
TEST(padding_is_random)
{
	struct packet_half tx;
	uint8_t p[32], last[16] = { 0 };
	int i;

	ASSERT_EQ(0, packet_half_init(&tx, true));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(16, packet_tx_size(&tx, 1));
		ASSERT_EQ(0, packet_tx_seal(&tx, p, 1));
		EXPECT_EQ(10, p[4]);
		EXPECT_NE(0, memcmp(last, p + 6, 10));
		memcpy(last, p + 6, 10);
	}
	packet_half_exit(&tx);
}

TEST(plain_packet_lengths_are_checked)
{
	static const uint8_t bad[][4] = {
		{ 0, 0, 0, 0 },	   { 0, 0, 0, 4 },	     { 0, 0, 0, 13 },
		{ 0, 4, 0, 0x4 },  { 0xff, 0xff, 0xff, 0xfc }, { 0, 4, 0, 1 },
		{ 0x80, 0, 0, 12 }, { 'S', 'S', 'H', '-' },
	};
	static const uint8_t good[4] = { 0, 0, 0, 12 };
	struct packet_half rx;
	size_t i, total;

	ASSERT_EQ(0, packet_half_init(&rx, false));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EMSGSIZE, packet_rx_size(&rx, bad[i], 4, &total));
	EXPECT_EQ(0, packet_rx_size(&rx, good, 4, &total));
	EXPECT_EQ(16, total);
	packet_half_exit(&rx);
}

/* packet_sync.c */

FIXTURE(sync)
{
	struct packet_conn a;
	struct packet_conn b;
	int fds[2];
};

FIXTURE_SETUP(sync)
{
	struct newkeys keys;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds));
	ASSERT_EQ(0, packet_conn_init(&self->a, self->fds[0], 0));
	ASSERT_EQ(0, packet_conn_init(&self->b, self->fds[1], 0));
	random_keys(&keys, KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_256);
	ASSERT_EQ(0, packet_half_rekey(&self->a.tx, &keys, true, 0, true));
	ASSERT_EQ(0, packet_half_rekey(&self->b.rx, &keys, false, 0, true));
}

FIXTURE_TEARDOWN(sync)
{
	packet_conn_exit(&self->a);
	packet_conn_exit(&self->b);
	close(self->fds[0]);
	if (self->fds[1] >= 0)
		close(self->fds[1]);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

TEST_F(sync, sends_and_receives)
{
	const uint8_t *payload;
	uint8_t msg[20000];
	uint32_t seq;
	size_t i, len;

	for (i = 1; i < sizeof(msg); i = i * 3 + 1) {
		memset(msg, i, i);
		ASSERT_EQ(0, packet_conn_send(&self->a, msg, i));
		ASSERT_EQ(0, packet_conn_recv(&self->b, &seq, &payload, &len));
		ASSERT_EQ(i, len);
		ASSERT_MEMEQ(msg, payload, len);
	}
	EXPECT_EQ(-EMSGSIZE, packet_conn_send(&self->a, msg, 0));
	EXPECT_EQ(-EMSGSIZE,
		  packet_conn_send(&self->a, msg, KSSH_PACKET_LEN_MAX));
}

/* What follows a packet stays in the socket: it may be for other hands. */
TEST_F(sync, never_reads_beyond_the_packet)
{
	const uint8_t *payload;
	uint8_t rest[8];
	uint32_t seq;
	size_t len;

	ASSERT_EQ(0, packet_conn_send(&self->a, (uint8_t *)"one", 3));
	ASSERT_EQ(0, packet_conn_send(&self->a, (uint8_t *)"two", 3));
	ASSERT_EQ(5, write(self->fds[0], "after", 5));
	ASSERT_EQ(0, packet_conn_recv(&self->b, &seq, &payload, &len));
	EXPECT_EQ(0, seq);
	ASSERT_EQ(3, len);
	EXPECT_MEMEQ("one", payload, 3);
	ASSERT_EQ(0, packet_conn_recv(&self->b, &seq, &payload, &len));
	EXPECT_EQ(1, seq);
	EXPECT_MEMEQ("two", payload, 3);
	ASSERT_EQ(5, read(self->fds[1], rest, sizeof(rest)));
	EXPECT_MEMEQ("after", rest, 5);
}

TEST_F(sync, takes_packets_byte_by_byte)
{
	const uint8_t *payload;
	uint8_t wire[256], msg[100];
	size_t i, total, len;
	uint32_t seq;
	pid_t pid;

	memset(msg, 'x', sizeof(msg));
	ASSERT_EQ(0, packet_conn_send(&self->a, msg, sizeof(msg)));
	total = recv(self->fds[1], wire, sizeof(wire), 0);
	pid = fork();
	if (!pid) {
		for (i = 0; i < total; i++) {
			if (write(self->fds[0], wire + i, 1) != 1)
				_exit(1);
			usleep(100);
		}
		_exit(0);
	}
	ASSERT_EQ(0, packet_conn_recv(&self->b, &seq, &payload, &len));
	EXPECT_EQ(100, len);
	EXPECT_MEMEQ(msg, payload, 100);
	waitpid(pid, NULL, 0);
}

TEST_F(sync, tells_a_closed_peer_at_every_byte)
{
	const uint8_t *payload;
	struct packet_conn pc;
	uint8_t wire[256];
	size_t cut, total, len;
	uint32_t seq;
	int fds[2];

	ASSERT_EQ(0, packet_conn_send(&self->a, (uint8_t *)"payload", 7));
	total = recv(self->fds[1], wire, sizeof(wire), 0);
	for (cut = 0; cut < total; cut++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		pc = self->b;
		pc.fd = fds[1];
		pc.rx_buf = NULL;
		pc.rx_cap = 0;
		ASSERT_EQ(cut, write(fds[0], wire, cut));
		close(fds[0]);
		EXPECT_EQ(-ECONNABORTED,
			  packet_conn_recv(&pc, &seq, &payload, &len));
		close(fds[1]);
		free(pc.rx_buf);
	}
}

TEST_F(sync, tells_a_broken_peer_when_sending)
{
	close(self->fds[1]);
	self->fds[1] = -1;
	EXPECT_EQ(-ECONNRESET, packet_conn_send(&self->a, (uint8_t *)"x", 1));
}

TEST_F(sync, ends_at_the_deadline)
{
	const uint8_t *payload;
	uint8_t big[60000] = { 0 };
	uint32_t seq;
	size_t len;
	int err;

	self->b.deadline_ms = now_ms() + 30;
	EXPECT_EQ(-ETIMEDOUT, packet_conn_recv(&self->b, &seq, &payload, &len));
	/* over is over, even if something is there */
	ASSERT_EQ(0, packet_conn_send(&self->a, big, 10));
	EXPECT_EQ(-ETIMEDOUT, packet_conn_recv(&self->b, &seq, &payload, &len));
	self->a.deadline_ms = now_ms() + 30;
	do
		err = packet_conn_send(&self->a, big, sizeof(big));
	while (!err);
	EXPECT_EQ(-ETIMEDOUT, err);
}

TEST_F(sync, refuses_a_length_beyond_the_maximum)
{
	static const uint8_t huge[8] = { 0x7f, 0xff, 0xff, 0xfc };
	const uint8_t *payload;
	struct packet_conn pc;
	uint32_t seq;
	size_t len;

	ASSERT_EQ(0, packet_conn_init(&pc, self->fds[1], 0));
	ASSERT_EQ(8, write(self->fds[0], huge, 8));
	EXPECT_EQ(-EMSGSIZE, packet_conn_recv(&pc, &seq, &payload, &len));
	EXPECT_LE(pc.rx_cap, 8192);
	packet_conn_exit(&pc);
}

TEST_HARNESS_MAIN
