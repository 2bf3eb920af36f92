// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selftest of kssh.ko: the bytes on the wire, against libcrypto and against
 * known answers. Needs the module and root: it runs in the VM.
 *
 * KSSH_SWEEP=N takes every N-th length, 1 all, instead of a choice of them:
 *
 *	KSSH_SWEEP=1 KSSH_TEST_TIMEOUT_SCALE=40 tests/vm/run --timeout 20000 \
 *		-- build/root/tests/kssh_cipher_test -r 'peer.*.lengths_of_*'
 */
#include "kssh_peer.h"

/* Known answers */

#define ANSWER_SEED 9
#define ANSWER_SEQ 0x01020304
#define ANSWER_PAYLOAD "\x50what a known answer holds"

/*
 * A packet with ANSWER_PAYLOAD and padding e0, e1 ..., under the keys of
 * crypto_info(suite, ANSWER_SEED): put together after RFC 4253, 4344, 5647 and
 * PROTOCOL.chacha20poly1305 from the primitives of another language's library.
 */
static const struct answer {
	int suite;
	const char *hex;
} answers[] = {
	{ KSSH_CIPHER_AES_128_GCM,
	  "0000002026bec9f426a700c836d66c8fd526d8853b28c643df9887a16e3f136b"
	  "7049ab8e3bc8f37dc58c2d45f4122a78e22c893d" },
	{ KSSH_CIPHER_AES_256_GCM,
	  "0000002056daf3cf640f041d6dd87d61ff1e2d132687da3479b0d11d1ab74535"
	  "891ca34c8800d8325abad992d6ed76e9e8f4731a" },
	{ KSSH_CIPHER_CHACHA20_POLY1305,
	  "a097f1d4ebc3965644d3c5fcd1fdc8f0a23ccd220b63ee3a6e5d3c4a7007e53d"
	  "85b07b0bbbd6316e61ae5296f0a2aeaca87cc70c" },
	{ SUITE(KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_256_ETM),
	  "00000020926501e151f1f90ce8a6b46db69ce483f87749459478bdd00a157f97"
	  "72e2b6b951925ff6842e5610a8ddef0c84a1a5a495164eead8f7ebe0970e6aba"
	  "1ca273f5" },
	{ SUITE(KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_256),
	  "973576a521d5ae05a9b9fa63e199aa8de16a1e41882ba2da14516418ff6426bd"
	  "754f576322662f664bbbec163066eaef49ca54f9ef0c3e675857484d67b18fd8"
	  "9a201ca9383fd28b4705a8de77975a2c" },
	{ SUITE(KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_512_ETM),
	  "00000020926501e151f1f90ce8a6b46db69ce483f87749459478bdd00a157f97"
	  "72e2b6b9d41718a7bf7cfd724cb00af11e1cc2e6e0335563e6f451988c397bba"
	  "2686f1d37c09c51d3a1a651560b68751cebd356dde14aa4c4a2bd52db7bbeb97"
	  "131f3a8c" },
	{ SUITE(KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_512),
	  "973576a521d5ae05a9b9fa63e199aa8de16a1e41882ba2da14516418ff6426bd"
	  "754f576322662f664bbbec163066eaef91f7be4d6e0b71990153dda0ec07d292"
	  "727dbc365220c9f7583476b17f1a5c943a979d3f36080e094acfd740bf49e510"
	  "3e639eb11b36134b75c09587b53c4f05" },
	{ SUITE(KSSH_CIPHER_AES_192_CTR, KSSH_MAC_HMAC_SHA2_256_ETM),
	  "000000206838693b48f4e132903a722e135ede1ba41767242735a14fa7f7e240"
	  "b00829e6004bb3a5a1f7d7c38f50d5654ac76eec712666d96303911759fd88b3"
	  "3b1fbef5" },
	{ SUITE(KSSH_CIPHER_AES_192_CTR, KSSH_MAC_HMAC_SHA2_256),
	  "6d681e7f38d0b63bd1253c20445b9015bd0a30203b66be45b9b3f9cf3d8eb9e2"
	  "14a9050fd7cc9d0e011a89fe46ba761149ca54f9ef0c3e675857484d67b18fd8"
	  "9a201ca9383fd28b4705a8de77975a2c" },
	{ SUITE(KSSH_CIPHER_AES_192_CTR, KSSH_MAC_HMAC_SHA2_512_ETM),
	  "000000206838693b48f4e132903a722e135ede1ba41767242735a14fa7f7e240"
	  "b00829e6c745976c474e7552379c98b4648502fa0ea1aaab9c8125bd435ff995"
	  "33f58161ccfd71c0fda8f2968a20080af4b86aa486fe21d3e3ffc740fa439b4b"
	  "16b0ac1f" },
	{ SUITE(KSSH_CIPHER_AES_192_CTR, KSSH_MAC_HMAC_SHA2_512),
	  "6d681e7f38d0b63bd1253c20445b9015bd0a30203b66be45b9b3f9cf3d8eb9e2"
	  "14a9050fd7cc9d0e011a89fe46ba761191f7be4d6e0b71990153dda0ec07d292"
	  "727dbc365220c9f7583476b17f1a5c943a979d3f36080e094acfd740bf49e510"
	  "3e639eb11b36134b75c09587b53c4f05" },
	{ SUITE(KSSH_CIPHER_AES_256_CTR, KSSH_MAC_HMAC_SHA2_256_ETM),
	  "000000201e8622fcee45f35b2792f9b4ae91bfd80af4510182b710b4d52483d8"
	  "4b539c89b61d34f454c44f7d82b68b83079eb9701624ceb64605b19630fac6a7"
	  "fe89cb66" },
	{ SUITE(KSSH_CIPHER_AES_256_CTR, KSSH_MAC_HMAC_SHA2_256),
	  "1bd655b89e61a452668db7baf994f1d613e906059ee40fbecb609857c6d50c8d"
	  "b38ed0d9b0362d25f348d376c5e6c47049ca54f9ef0c3e675857484d67b18fd8"
	  "9a201ca9383fd28b4705a8de77975a2c" },
	{ SUITE(KSSH_CIPHER_AES_256_CTR, KSSH_MAC_HMAC_SHA2_512_ETM),
	  "000000201e8622fcee45f35b2792f9b4ae91bfd80af4510182b710b4d52483d8"
	  "4b539c891183ee49c293372d47082daa70054085fe74087e21a8cfc4a00593e0"
	  "6c5ccd92eb75e714acf2e25f37e8c21eef366942ba300a4c82504fc84d321396"
	  "7078d4bb" },
	{ SUITE(KSSH_CIPHER_AES_256_CTR, KSSH_MAC_HMAC_SHA2_512),
	  "1bd655b89e61a452668db7baf994f1d613e906059ee40fbecb609857c6d50c8d"
	  "b38ed0d9b0362d25f348d376c5e6c47091f7be4d6e0b71990153dda0ec07d292"
	  "727dbc365220c9f7583476b17f1a5c943a979d3f36080e094acfd740bf49e510"
	  "3e639eb11b36134b75c09587b53c4f05" },
};

static int unhex(unsigned char *out, const char *hex)
{
	int n;

	for (n = 0; sscanf(hex, "%2hhx", out + n) == 1; n++)
		hex += 2;
	return n;
}

static void receive_answer(int fds[2], const unsigned char *pkt, int len)
{
	const int size = sizeof(ANSWER_PAYLOAD) - 1;
	struct kssh_cmsg_rx cmsg;
	unsigned char buf[64];

	ASSERT_EQ(len, write_all(fds[1], pkt, len));
	ASSERT_EQ(size, recv_any(fds[0], buf, sizeof(buf), &cmsg, 0));
	EXPECT_MEMEQ(ANSWER_PAYLOAD, buf, size);
	EXPECT_EQ(ANSWER_SEQ, cmsg.pkt_seq);
}

/* Ours differs in the padding, which is random, and in what covers it. */
static void send_answer(int fds[2], int suite, const unsigned char *pkt,
			int len)
{
	const int size = sizeof(ANSWER_PAYLOAD) - 1;
	const struct kssh_layout *layout;
	unsigned char buf[256];
	struct raw rx;

	raw_init(&rx, fds[1], suite, ANSWER_SEED);
	layout = raw_layout(&rx, false);
	ASSERT_EQ(size, send(fds[0], ANSWER_PAYLOAD, size, 0));
	ASSERT_EQ(len, read_all(fds[1], buf, len));
	EXPECT_MEMEQ(pkt, buf, 5 + size);
	EXPECT_EQ(0, cipher_open(rx.cipher, ANSWER_SEQ, buf,
				 len - 4 - layout->tag_len));
}

TEST(known_answers)
{
	unsigned char pkt[256];
	int fds[2], len;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		const struct answer *a = &answers[i];

		len = unhex(pkt, a->hex);
		ASSERT_LT(4 + 16, len);
		ASSERT_EQ(0, tcp_pair(fds));
		ASSERT_EQ(0, attach(fds[0]));
		ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, a->suite, ANSWER_SEED,
				      ANSWER_SEQ, 0));
		ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, a->suite, ANSWER_SEED,
				      ANSWER_SEQ, 0));
		receive_answer(fds, pkt, len);
		send_answer(fds, a->suite, pkt, len);
		close(fds[0]);
		close(fds[1]);
	}
}

/* Lengths */

#define LONGEST 33000
#define SLACK 4096

/* Random bytes: a packet's are those from content(len) on. */
static unsigned char pool[LONGEST + SLACK];

static const unsigned char *content(int len)
{
	if (!pool[0])
		fill(pool, sizeof(pool), 3);
	return pool + len * 7 % SLACK;
}

/* Closely where something ends: a block, a page, our buffers, a packet. */
static int next_len(int len)
{
	const char *sweep = getenv("KSSH_SWEEP");
	int rest = len % 4096;

	if (sweep)
		return len + atoi(sweep);
	if (len < 1100 || rest < 12 || rest >= 4096 - 24)
		return len + 1;
	if (rest + 397 > 4096 - 24)
		return len - rest + 4096 - 24;
	return len + 397;
}

/* A packet with @blocks of padding more than it needs, as many as may be. */
static int padded_packet(struct raw *raw, const void *payload, int len,
			 int blocks, unsigned char *out)
{
	const struct kssh_layout *layout = raw_layout(raw, true);
	int pad = kssh_pad_len(layout, len), n = 5 + len;
	static unsigned char pkt[LONGEST + 300];

	pad += blocks % ((255 - pad) / layout->block + 1) * layout->block;
	kssh_put_be32(pkt, 1 + len + pad);
	pkt[4] = pad;
	memcpy(pkt + 5, payload, len);
	fill(pkt + n, pad, len);
	return raw_seal(raw, pkt, n + pad, out);
}

/*
 * Lengths that are under way together, as each turn of the other side costs
 * more than a packet.
 */
struct batch {
	int lens[16];
	int n;
	int sum;
	int next;
};

/* The next lengths up to @most; false if there are none. */
static bool next_batch(struct batch *batch, int most)
{
	batch->n = 0;
	batch->sum = 0;
	while (batch->n < 16 && batch->next <= most &&
	       batch->sum + batch->next < 60000) {
		batch->lens[batch->n++] = batch->next;
		batch->sum += batch->next;
		batch->next = next_len(batch->next);
	}
	return batch->n > 0;
}

static unsigned char wire[100000], msg[LONGEST], buf[70000];

static unsigned char *message(int len)
{
	memcpy(msg, content(len), len);
	msg[0] = SSH_MSG_GLOBAL_REQUEST;
	return msg;
}

TEST_F_TIMEOUT(peer, lengths_of_messages_sent, 300)
{
	struct batch batch = { .next = 1 };
	int i, len;

	while (next_batch(&batch, 32000)) {
		for (i = 0; i < batch.n; i++) {
			len = batch.lens[i];
			ASSERT_EQ(len, send(self->fd, message(len), len, 0));
		}
		for (i = 0; i < batch.n; i++) {
			len = batch.lens[i];
			ASSERT_EQ(len, raw_recv(&self->rx, buf));
			ASSERT_MEMEQ(message(len), buf, len);
		}
	}
}

TEST_F_TIMEOUT(peer, lengths_of_messages_received, 300)
{
	struct batch batch = { .next = 1 };
	struct kssh_cmsg_rx cmsg;
	int i, len, size;
	uint32_t seq = 0;

	while (next_batch(&batch, LONGEST)) {
		for (i = size = 0; i < batch.n; i++) {
			len = batch.lens[i];
			size += padded_packet(&self->tx, message(len), len,
					      len % 3 ? 0 : len, wire + size);
		}
		ASSERT_EQ(size, write_all(self->tx.fd, wire, size));
		for (i = 0; i < batch.n; i++) {
			len = batch.lens[i];
			ASSERT_EQ(len, recv_any(self->fd, buf, len, &cmsg, 0));
			ASSERT_EQ(seq++, cmsg.pkt_seq);
			ASSERT_MEMEQ(message(len), buf, len);
		}
	}
}

/* Our own packets hold a little less than what a peer may take. */
static void receive_data(struct raw *rx, int len)
{
	int ret = raw_recv(rx, buf);

	ASSERT_LT(9, ret);
	ASSERT_MEMEQ(content(len), buf + 9, ret - 9);
	if (len <= 32000)
		ASSERT_EQ(9 + len, ret);
	else if (ret < 9 + len)
		ASSERT_EQ(len - (ret - 9) + 9, raw_recv(rx, buf));
}

TEST_F_TIMEOUT(peer, lengths_of_data_sent, 300)
{
	struct batch batch = { .next = 1 };
	int i, len;

	/* a window that is short cuts packets; behind it a message that shows */
	ASSERT_EQ(0, raw_adjust(&self->tx, 1, 1 << 30));
	ASSERT_EQ(0, raw_send(&self->tx, message(1), 1));
	ASSERT_EQ(SSH_MSG_GLOBAL_REQUEST, recv_type(self->fd));
	while (next_batch(&batch, MAX_PACKET)) {
		for (i = 0; i < batch.n; i++) {
			len = batch.lens[i];
			ASSERT_EQ(len, write_all(self->ch, content(len), len));
		}
		for (i = 0; i < batch.n; i++)
			receive_data(&self->rx, batch.lens[i]);
	}
}

/* A packet with @len bytes of data for channel @id. */
static int data_packet(struct raw *raw, uint32_t id, const unsigned char *data,
		       int len, int blocks, unsigned char *out)
{
	msg[0] = SSH_MSG_CHANNEL_DATA;
	kssh_put_be32(msg + 1, id);
	kssh_put_be32(msg + 5, len);
	memcpy(msg + 9, data, len);
	return padded_packet(raw, msg, 9 + len, blocks, out);
}

TEST_F_TIMEOUT(peer, lengths_of_data_received, 300)
{
	int ch = channel(self->fd, 3, 4), i, len, size;
	struct batch batch = { .next = 0 };

	ASSERT_LE(0, ch);
	while (next_batch(&batch, MAX_PACKET)) {
		for (i = size = 0; i < batch.n; i++) {
			len = batch.lens[i];
			size += data_packet(&self->tx, 3, content(len), len,
					    len % 3 ? 0 : len, wire + size);
		}
		ASSERT_EQ(size, write_all(self->tx.fd, wire, size));
		for (i = 0; i < batch.n; i++) {
			len = batch.lens[i];
			ASSERT_EQ(len, read_all(ch, buf, len));
			ASSERT_MEMEQ(content(len), buf, len);
		}
	}
	close(ch);
}

/* Many packets, one stream of bytes */

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1103515245 + 12345;
	return *x >> 8;
}

/* Mostly little, now and then a lot. */
static int random_len(uint32_t *x, int most)
{
	uint32_t r = next_random(x);

	switch (next_random(x) % 8) {
	case 0:
		return 1 + r % most;
	case 1:
	case 2:
		return 1 + r % 3;
	default:
		return 1 + r % 1500;
	}
}

/* @len bytes of data for channel @id as packets: how many bytes they take. */
static int pack(struct raw *raw, uint32_t id, const unsigned char *data,
		int len, unsigned char *out)
{
	uint32_t x = 7;
	int size = 0, n;

	for (; len; len -= n, data += n) {
		n = random_len(&x, MAX_PACKET);
		n = n < len ? n : len;
		size += data_packet(raw, id, data, n, x >> 16, out + size);
	}
	return size;
}

/* Wherever TCP cuts the stream, and however much comes at once. */
TEST_F(peer, packets_cut_anywhere)
{
	const int len = 400000;
	unsigned char *data = malloc(len), *in = malloc(len);
	unsigned char *packets = malloc(3 * len);
	int ch = channel(self->fd, 3, 4), size, done, n;
	uint32_t x = 21;
	pid_t pid;

	ASSERT_LE(0, ch);
	fill(data, len, 4);
	size = pack(&self->tx, 3, data, len, packets);
	pid = fork();
	if (!pid) {
		for (done = 0; done < size; done += n) {
			n = random_len(&x, 60000);
			n = n < size - done ? n : size - done;
			if (write_all(self->tx.fd, packets + done, n) != n)
				_exit(1);
		}
		_exit(0);
	}
	ASSERT_EQ(len, read_all(ch, in, len));
	EXPECT_MEMEQ(data, in, len);
	waitpid(pid, NULL, 0);
	close(ch);
	free(data);
	free(in);
	free(packets);
}

/* Whatever pieces data are written in, the peer can open all packets. */
TEST_F(peer, writes_of_random_sizes)
{
	const int len = 400000;
	unsigned char *data = malloc(len);
	int done, n, ret;
	uint32_t x = 22;
	pid_t pid;

	fill(data, len, 5);
	pid = fork();
	if (!pid) {
		for (done = 0; done < len; done += n) {
			n = random_len(&x, 60000);
			n = n < len - done ? n : len - done;
			ret = n < len - done && x >> 30 == 0 ? MSG_MORE : 0;
			if (send(self->ch, data + done, n, ret) != n)
				_exit(1);
		}
		_exit(0);
	}
	for (done = 0; done < len; done += ret - 9) {
		ret = raw_recv(&self->rx, buf);
		ASSERT_LT(9, ret);
		ASSERT_EQ(SSH_MSG_CHANNEL_DATA, buf[0]);
		ASSERT_MEMEQ(data + done, buf + 9, ret - 9);
	}
	waitpid(pid, &ret, 0);
	EXPECT_EQ(0, ret);
	free(data);
}

/* RFC 4253 6.4: the sequence number "wraps around to zero after every 2^32". */
TEST_F(peer, sequence_number_wraps)
{
	const uint32_t first = 0xfffffffd;
	unsigned char out[100] = { SSH_MSG_GLOBAL_REQUEST }, in[100];
	struct kssh_cmsg_rx cmsg;
	struct raw tx, rx;
	uint32_t i;
	int fds[2];

	ASSERT_EQ(0, tcp_pair(fds));
	ASSERT_EQ(0, attach(fds[0]));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_TX, variant->cipher, 1, first, 0));
	ASSERT_EQ(0, new_keys(fds[0], KSSH_RX, variant->cipher, 9, first, 0));
	raw_init(&rx, fds[1], variant->cipher, 1);
	raw_init(&tx, fds[1], variant->cipher, 9);
	rx.pkt_seq = first;
	tx.pkt_seq = first;
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, raw_send(&tx, out, 20 + i));
		ASSERT_EQ(20 + i, recv_any(fds[0], in, sizeof(in), &cmsg, 0));
		EXPECT_EQ(first + i, cmsg.pkt_seq);
		ASSERT_EQ(50 + i, send(fds[0], out, 50 + i, 0));
		ASSERT_EQ(50 + i, raw_recv(&rx, in));
	}
	EXPECT_EQ(3, get_info(fds[0]).tx_pkt_seq);
	EXPECT_EQ(3, get_info(fds[0]).rx_pkt_seq);
	close(fds[0]);
	close(fds[1]);
}

/*
 * A driver in plain C is reported, another is not. Which it is, is the kernel's
 * choice: module_blacklist=aesni_intel on its command line makes it slow.
 */
TEST_F(peer, slow_driver_is_counted)
{
	unsigned long before = stat_value("KsshSlowCipher"), want = 0;
	struct kssh_info info;
	struct raw tx, rx;
	int fds[2], ch;

	ch = peer_open(fds, &tx, &rx, variant->cipher);
	ASSERT_LE(0, ch);
	info = get_info(fds[0]);
	if (strstr(info.tx_driver, "generic") &&
	    !strstr(info.tx_driver, "aesni") && !strstr(info.tx_driver, "avx"))
		want = 2;
	EXPECT_EQ(before + want, stat_value("KsshSlowCipher"));
	if (want && !before)
		TH_LOG("slow: %s", info.tx_driver);
	close(ch);
	close(fds[0]);
	close(fds[1]);
}

TEST_HARNESS_MAIN
