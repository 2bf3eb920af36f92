// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer of kssh.ko behind its authentication: a peer that has the keys sends
 * whatever comes into its mind, cut anywhere, while the owner of the connection
 * reads, binds and closes. A model says what must come of it.
 * docs/testing.md tells how to run it for longer. It runs in the VM.
 */
#include "kssh_fuzz.h"

#define CHANNELS 4
#define WINDOW_START 60000
#define MSGS_MAX 400
#define ROOM (KSSH_PACKET_LEN_MAX + 2048)

static const uint32_t local_ids[CHANNELS] = { 1, 0, 0x1000, 0xfffffffe };

/* What RFC 4253 and 4254, and linux/kssh.h, say of a receiver. */
struct model_chan {
	uint64_t peer_window;
	uint64_t sent;
	bool eof;
};

struct model {
	struct model_chan chan[CHANNELS];
	bool kex;
	bool gated;
	bool switch_keys;
	bool over;
	int err;
	uint32_t seq;
	unsigned int nr_msgs;
	uint64_t msgs[MSGS_MAX];
};

struct round {
	bool chaos;
	struct rng rng;
	int suite, next_suite;
	int flags;
	int fd;
	int ch[CHANNELS];
	struct raw tx, rx;
	struct model model;
	unsigned char *pkt;
	unsigned char *out;
	size_t out_len;
	int rekeys;
	/* the owner's */
	struct rng owner_rng;
	int pipe[2];
	int end;
	int chan_end[CHANNELS];
	uint64_t got[CHANNELS];
	unsigned int nr_msgs;
	uint64_t msgs[MSGS_MAX];
};

/* Byte @pos of what channel @i is sent. */
static unsigned char data_byte(int i, uint64_t pos)
{
	uint64_t v = (pos + i * 77777) * 2654435761u;

	return v >> 13;
}

static uint64_t msg_hash(uint32_t seq, const unsigned char *p, size_t len)
{
	uint64_t h = 14695981039346656037u ^ seq;

	while (len--)
		h = (h ^ *p++) * 1099511628211u;
	return h;
}

/* The model. */

static int model_find(uint32_t id)
{
	int i;

	for (i = 0; i < CHANNELS; i++)
		if (local_ids[i] == id)
			return i;
	return -1;
}

static void model_message(struct model *m, const unsigned char *p, uint32_t len)
{
	if (m->nr_msgs < MSGS_MAX)
		m->msgs[m->nr_msgs++] = msg_hash(m->seq, p, len);
}

static int model_data(struct model *m, int i, unsigned char *p, uint32_t len)
{
	struct model_chan *chan = &m->chan[i];
	uint32_t j;

	if (chan->eof || len > WINDOW_START || len > MAX_PACKET)
		return -EPROTO;
	for (j = 0; j < len; j++)
		p[j] = data_byte(i, chan->sent + j);
	chan->sent += len;
	return 0;
}

static int model_adjust(struct model_chan *chan, uint32_t bytes)
{
	chan->peer_window += bytes;
	return chan->peer_window > UINT32_MAX ? -EPROTO : 0;
}

static bool model_well_formed(const unsigned char *p, uint32_t len)
{
	switch (p[0]) {
	case SSH_MSG_CHANNEL_DATA:
		return len >= 9 && kssh_get_be32(p + 5) == len - 9;
	case SSH_MSG_CHANNEL_EXTENDED_DATA:
		return len >= 13 && kssh_get_be32(p + 9) == len - 13;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST:
		return len == 9;
	}
	return len == 5;
}

static int model_channel(struct model *m, unsigned char *p, uint32_t len)
{
	struct model_chan *chan;
	int i, err;

	if (!model_well_formed(p, len))
		return -EPROTO;
	i = model_find(kssh_get_be32(p + 1));
	chan = &m->chan[i];
	if (i < 0) {
		model_message(m, p, len);
		return 0;
	}
	switch (p[0]) {
	case SSH_MSG_CHANNEL_DATA:
		return model_data(m, i, p + 9, len - 9);
	case SSH_MSG_CHANNEL_EXTENDED_DATA:
		/* of the window, too; but the channel socket has none of it */
		err = model_data(m, i, p + 13, len - 13);
		if (!err) {
			chan->sent -= len - 13;
			model_message(m, p, len);
		}
		return err;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST:
		return model_adjust(chan, kssh_get_be32(p + 5));
	case SSH_MSG_CHANNEL_CLOSE:
		model_message(m, p, len);
	}
	chan->eof = true;
	return 0;
}

/* What comes of payload @p, whose data it fills in. */
static int model_payload(struct model *m, unsigned char *p, uint32_t len)
{
	if (p[0] >= 50 && m->gated)
		return -EPROTO;
	switch (p[0]) {
	case SSH_MSG_IGNORE:
	case SSH_MSG_DEBUG:
		return 0;
	case SSH_MSG_KEXINIT:
		m->gated = true;
		break;
	case SSH_MSG_NEWKEYS:
		if (!m->kex)
			return -EPROTO;
		m->switch_keys = true;
		break;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST ... SSH_MSG_CHANNEL_CLOSE:
		return model_channel(m, p, len);
	}
	model_message(m, p, len);
	return 0;
}

static void model_end(struct model *m, int err)
{
	if (m->over)
		return;
	m->over = true;
	m->err = err;
}

/* A packet says it is @claim bytes long, and is not; @there follow. */
static void model_claim(struct model *m, const struct kssh_layout *layout,
			uint32_t claim, uint32_t there)
{
	uint64_t aligned = (uint64_t)claim + (layout->clear_len ? 0 : 4);

	if (claim < 5 || claim > KSSH_PACKET_LEN_MAX || aligned % layout->block)
		model_end(m, -EMSGSIZE);
	else if (claim + layout->tag_len > there)
		model_end(m, -EPROTO);
	else
		model_end(m, -EBADMSG);
}

/* The peer. */

static void raw_rekey(struct raw *raw, int suite, int seed, int flags)
{
	uint32_t seq = flags & KSSH_CRYPTO_SEQ_KEEP ? raw->pkt_seq : 0;

	cipher_free(raw->cipher);
	raw_init(raw, raw->fd, suite, seed);
	raw->pkt_seq = seq;
}

/* Hand what is ready to TCP, cut anywhere. */
static void feed_flush(struct round *r)
{
	unsigned char *p = r->out;
	bool tiny = r->out_len < 300 && one_in(&r->rng, 4);

	while (r->out_len) {
		size_t n = tiny ? 1 + below(&r->rng, 4) :
				  1 + below(&r->rng, r->out_len);
		ssize_t ret;

		if (n > r->out_len)
			n = r->out_len;
		ret = send(r->tx.fd, p, n, MSG_NOSIGNAL);
		if (ret <= 0) {
			/* it does not read on: only if its owner went mad */
			EXPECT_TRUE(r->chaos);
			model_end(&r->model, 0);
			r->out_len = 0;
			return;
		}
		p += ret;
		r->out_len -= ret;
	}
}

/* Room for another packet. */
static unsigned char *feed_room(struct round *r)
{
	if (r->out_len > ROOM)
		feed_flush(r);
	return r->out + r->out_len;
}

/* Padding for @len bytes of payload: the least there must be, or more. */
static int feed_pad(struct round *r, uint32_t len)
{
	const struct kssh_layout *layout = raw_layout(&r->tx, true);
	int pad = kssh_pad_len(layout, len);

	if (one_in(&r->rng, 6) && len + 256 < KSSH_PACKET_LEN_MAX)
		pad += below(&r->rng, (255 - pad) / layout->block + 1) *
		       layout->block;
	return pad;
}

/* Build a packet in @r->pkt around the payload there; returns its length. */
static uint32_t feed_build(struct round *r, uint32_t len)
{
	int pad = feed_pad(r, len);
	uint32_t pkt_len = 1 + len + pad;

	rng_fill(&r->rng, r->pkt + 5 + len, pad);
	kssh_put_be32(r->pkt, pkt_len);
	r->pkt[4] = pad;
	return pkt_len;
}

/* A payload, in @r->pkt + 5, on its way. */
static void feed_payload(struct round *r, uint32_t len)
{
	struct model *m = &r->model;
	uint32_t pkt_len = feed_build(r, len);
	int err;

	/* padding that eats payload, or gives it some */
	if (one_in(&r->rng, 40))
		r->pkt[4] = below(&r->rng, 256);
	if (r->pkt[4] < 4 || pkt_len < r->pkt[4] + 2u)
		err = -EPROTO;
	else
		err = model_payload(m, r->pkt + 5, pkt_len - 1 - r->pkt[4]);
	r->out_len += raw_seal(&r->tx, r->pkt, 4 + pkt_len, feed_room(r));
	m->seq++;
	if (err)
		model_end(m, err);
	if (!m->switch_keys)
		return;
	m->switch_keys = false;
	m->kex = false;
	m->gated = false;
	raw_rekey(&r->tx, r->next_suite, 49, r->flags);
	m->seq = r->tx.pkt_seq;
}

/* A message of a channel, well-formed. */
static uint32_t make_channel(struct round *r, uint8_t type, uint32_t id,
			     uint32_t len)
{
	unsigned char *p = r->pkt + 5;

	p[0] = type;
	kssh_put_be32(p + 1, id);
	switch (type) {
	case SSH_MSG_CHANNEL_DATA:
		kssh_put_be32(p + 5, len);
		memset(p + 9, 'd', len);
		return len + 9;
	case SSH_MSG_CHANNEL_EXTENDED_DATA:
		kssh_put_be32(p + 5, one_in(&r->rng, 3) ? edge(&r->rng) : 1);
		kssh_put_be32(p + 9, len);
		memset(p + 13, 'e', len);
		return len + 13;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST:
		kssh_put_be32(p + 5, len);
		return 9;
	}
	return 5;
}

/* Extended data count, too, though @sent leaves them out: half for each. */
static uint32_t data_len(struct round *r, int i)
{
	uint64_t sent = r->model.chan[i].sent;
	uint32_t left = sent < WINDOW_START / 2 ? WINDOW_START / 2 - sent : 0;
	uint32_t len = one_in(&r->rng, 4) ? below(&r->rng, 32769) :
					    below(&r->rng, 600);

	return len < left ? len : left;
}

static void feed_data(struct round *r)
{
	int i = below(&r->rng, CHANNELS);

	if (r->model.chan[i].eof && !one_in(&r->rng, 20))
		return;
	feed_payload(r, make_channel(r, SSH_MSG_CHANNEL_DATA, local_ids[i],
				     data_len(r, i)));
}

static void feed_extended(struct round *r)
{
	int i = below(&r->rng, CHANNELS);

	if (r->model.chan[i].eof && !one_in(&r->rng, 20))
		return;
	/* 40 packets of a round do not spend half of the window */
	feed_payload(r, make_channel(r, SSH_MSG_CHANNEL_EXTENDED_DATA,
				     local_ids[i], below(&r->rng, 400)));
}

static void feed_adjust(struct round *r)
{
	uint32_t bytes = one_in(&r->rng, 12) ? edge(&r->rng) :
					       below(&r->rng, 100000);

	feed_payload(r,
		     make_channel(r, SSH_MSG_CHANNEL_WINDOW_ADJUST,
				  local_ids[below(&r->rng, CHANNELS)], bytes));
}

static void feed_eof_or_close(struct round *r)
{
	uint8_t type = one_in(&r->rng, 2) ? SSH_MSG_CHANNEL_EOF :
					    SSH_MSG_CHANNEL_CLOSE;

	feed_payload(r, make_channel(r, type,
				     local_ids[below(&r->rng, CHANNELS)], 0));
}

/* Of a channel there is not. */
static void feed_unknown(struct round *r)
{
	uint8_t type = SSH_MSG_CHANNEL_WINDOW_ADJUST + below(&r->rng, 5);

	feed_payload(r, make_channel(r, type, 2 + below(&r->rng, 100),
				     below(&r->rng, 300)));
}

/* Its end, or a length field, is not where it should be. */
static void feed_malformed(struct round *r)
{
	uint8_t type = SSH_MSG_CHANNEL_WINDOW_ADJUST + below(&r->rng, 5);
	uint32_t id = local_ids[below(&r->rng, CHANNELS)];
	uint32_t len = make_channel(r, type, id, below(&r->rng, 100));
	unsigned char *p = r->pkt + 5;

	switch (below(&r->rng, 4)) {
	case 0:
		len = 1 + below(&r->rng, len);
		break;
	case 1:
		len += 1 + below(&r->rng, 20);
		break;
	case 2:
		kssh_put_be32(p + 5, edge(&r->rng));
		break;
	default:
		kssh_put_be32(p + 9, edge(&r->rng));
	}
	feed_payload(r, len);
}

/* More at once than a channel takes. */
static void feed_overrun(struct round *r)
{
	uint8_t type = SSH_MSG_CHANNEL_DATA + below(&r->rng, 2);
	uint32_t len = MAX_PACKET + 1 + below(&r->rng, 100000);

	feed_payload(r, make_channel(r, type,
				     local_ids[below(&r->rng, CHANNELS)], len));
}

/* Any type, any content; not such as would pass for data. */
static void feed_garbage(struct round *r)
{
	uint32_t len = 1 + (one_in(&r->rng, 10) ? below(&r->rng, 200000) :
						  below(&r->rng, 300));

	rng_fill(&r->rng, r->pkt + 5, len);
	if (!one_in(&r->rng, 4))
		r->pkt[5] = below(&r->rng, 2) ? 98 + below(&r->rng, 158) :
						1 + below(&r->rng, 19);
	feed_payload(r, len);
}

static void feed_largest(struct round *r)
{
	const struct kssh_layout *layout = raw_layout(&r->tx, true);
	uint32_t len = KSSH_PACKET_LEN_MAX - 1 - 4;

	/* the longest payload whose packet is not too long */
	while (kssh_packet_size(layout, len) - layout->tag_len - 4 >
	       KSSH_PACKET_LEN_MAX)
		len--;
	if (one_in(&r->rng, 2))
		len -= below(&r->rng, 20);
	rng_fill(&r->rng, r->pkt + 5, 64);
	r->pkt[5] = SSH_MSG_CHANNEL_REQUEST;
	feed_payload(r, len);
}

static void feed_ignored(struct round *r)
{
	r->pkt[5] = one_in(&r->rng, 2) ? SSH_MSG_IGNORE : SSH_MSG_DEBUG;
	feed_payload(r, 1 + below(&r->rng, 500));
}

static void feed_kex(struct round *r)
{
	r->pkt[5] = one_in(&r->rng, 2) ? SSH_MSG_KEXINIT : SSH_MSG_NEWKEYS;
	feed_payload(r, 1 + below(&r->rng, 100));
}

/* A key exchange as it should be; what is fed between may be any. */
static void feed_rekey_begin(struct round *r)
{
	struct model *m = &r->model;

	/* the last one is not over; or there was one */
	if (m->kex || r->rekeys || r->chaos)
		return;
	r->rekeys++;
	EXPECT_EQ(0, send_byte(r->fd, SSH_MSG_KEXINIT));
	m->kex = true;
}

static void feed_rekey_end(struct round *r)
{
	struct model *m = &r->model;

	if (!m->kex)
		return;
	if (!m->gated) {
		r->pkt[5] = SSH_MSG_KEXINIT;
		feed_payload(r, 1 + below(&r->rng, 600));
	}
	r->pkt[5] = SSH_MSG_KEX_ECDH_REPLY;
	feed_payload(r, 1 + below(&r->rng, 200));
	r->pkt[5] = SSH_MSG_NEWKEYS;
	if (!m->over)
		feed_payload(r, 1);
}

/* A packet that must end the connection, as a packet. */

static void feed_wrong_length(struct round *r)
{
	const struct kssh_layout *layout = raw_layout(&r->tx, true);
	uint32_t pkt_len, claim, extra = below(&r->rng, 700);

	r->pkt[5] = SSH_MSG_IGNORE;
	pkt_len = feed_build(r, 1 + below(&r->rng, 500));
	do {
		claim = one_in(&r->rng, 2) ?
				edge(&r->rng) :
				KSSH_PACKET_LEN_MAX - 40 + below(&r->rng, 80);
	} while (claim == pkt_len);
	kssh_put_be32(r->pkt, claim);
	r->out_len += raw_seal(&r->tx, r->pkt, 4 + pkt_len, feed_room(r));
	rng_fill(&r->rng, r->out + r->out_len, extra);
	r->out_len += extra;
	model_claim(&r->model, layout, claim,
		    pkt_len + layout->tag_len + extra);
}

static void feed_flipped(struct round *r)
{
	const struct kssh_layout *layout = raw_layout(&r->tx, true);
	uint32_t pkt_len, size, at;
	unsigned char *p = feed_room(r), bit = 1 << below(&r->rng, 8);

	r->pkt[5] = below(&r->rng, 256);
	pkt_len = feed_build(r, 1 + below(&r->rng, 500));
	size = raw_seal(&r->tx, r->pkt, 4 + pkt_len, p);
	at = below(&r->rng, one_in(&r->rng, 3) ? 4 : size);
	p[at] ^= bit;
	r->out_len += size;
	if (at < 4)
		model_claim(&r->model, layout,
			    pkt_len ^ (uint32_t)bit << (24 - 8 * at), size - 4);
	else
		model_end(&r->model, -EBADMSG);
}

static void feed_truncated(struct round *r)
{
	uint32_t pkt_len;

	r->pkt[5] = SSH_MSG_IGNORE;
	pkt_len = feed_build(r, 1 + below(&r->rng, 500));
	raw_seal(&r->tx, r->pkt, 4 + pkt_len, feed_room(r));
	r->out_len += 1 + below(&r->rng, 4 + pkt_len - 1);
	model_end(&r->model, -EPROTO);
}

static const struct {
	int weight;
	void (*feed)(struct round *r);
} feeders[] = {
	{ 300, feed_data },	   { 60, feed_extended },
	{ 60, feed_adjust },	   { 20, feed_eof_or_close },
	{ 60, feed_unknown },	   { 6, feed_malformed },
	{ 2, feed_overrun },	   { 60, feed_garbage },
	{ 6, feed_largest },	   { 40, feed_ignored },
	{ 6, feed_kex },	   { 30, feed_rekey_begin },
	{ 100, feed_rekey_end },   { 6, feed_wrong_length },
	{ 6, feed_flipped },	   { 4, feed_truncated },
};

static void feed_some(struct round *r)
{
	int total = 0, n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(feeders); i++)
		total += feeders[i].weight;
	n = below(&r->rng, total);
	for (i = 0; n >= feeders[i].weight; i++)
		n -= feeders[i].weight;
	feeders[i].feed(r);
}

static void feed(struct round *r)
{
	int n = 1 + below(&r->rng, 40);

	while (n-- && !r->model.over) {
		feed_some(r);
		if (one_in(&r->rng, 3))
			feed_flush(r);
		/* it may have gone mad, and we with it */
		if (r->chaos && one_in(&r->rng, 8))
			r->model.kex = true;
	}
	feed_flush(r);
	shutdown(r->tx.fd, SHUT_WR);
}

/* What the other side sends must stay a stream of packets, whatever comes. */
static void *drain_thread(void *arg)
{
	struct round *r = arg;
	unsigned char *payload = malloc(70000);
	char c;
	int ret;

	while ((ret = raw_recv(&r->rx, payload)) > 0)
		if (payload[0] == SSH_MSG_NEWKEYS)
			raw_rekey(&r->rx, r->next_suite, 41, r->flags);
	EXPECT_NE(-EBADMSG, ret);
	EXPECT_NE(-EPROTO, ret);
	/* cut off, or a wrong length? */
	if (ret == -EMSGSIZE)
		EXPECT_GE(0, recv(r->rx.fd, &c, 1, 0));
	free(payload);
	return NULL;
}

#include "kssh_packet_fuzz_owner.h"

static void open_round(struct round *r, uint64_t seed, bool chaos)
{
	struct timeval tv = { .tv_usec = 50000 };
	struct kssh_channel info;
	int fds[2], i;

	*r = (struct round){ .chaos = chaos, .rng = { seed } };
	r->suite = suites[below(&r->rng, ARRAY_SIZE(suites))];
	r->next_suite = suites[below(&r->rng, ARRAY_SIZE(suites))];
	r->flags = one_in(&r->rng, 2) ? KSSH_CRYPTO_SEQ_KEEP :
					KSSH_CRYPTO_SEQ_RESET;
	r->owner_rng = rng_fork(&r->rng);
	r->pkt = calloc(1, ROOM);
	r->out = malloc(3 * ROOM);
	peer_connect(fds, &r->tx, &r->rx, r->suite);
	r->fd = fds[0];
	if (chaos)
		setsockopt(fds[1], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	for (i = 0; i < CHANNELS; i++) {
		info = channel_info(local_ids[i], 50 + i);
		info.local_window = WINDOW_START;
		info.local_window_max = WINDOW_START;
		r->ch[i] = bind_channel(r->fd, &info);
		ASSERT_LE(0, r->ch[i]);
		if (chaos)
			limit_sleep(r->ch[i]);
		r->model.chan[i].peer_window = WINDOW;
		r->chan_end[i] = 1;
	}
	r->end = 1;
	ASSERT_EQ(0, pipe2(r->pipe, O_NONBLOCK));
}

static void close_round(struct round *r, pthread_t drain)
{
	int i;

	for (i = 0; i < CHANNELS; i++)
		close(r->ch[i]);
	close(r->fd);
	pthread_join(drain, NULL);
	close(r->tx.fd);
	close(r->pipe[0]);
	close(r->pipe[1]);
	cipher_free(r->tx.cipher);
	cipher_free(r->rx.cipher);
	free(r->pkt);
	free(r->out);
}

/* Did all come that should, and did it end as it should? */
static void compare(struct round *r)
{
	struct model *m = &r->model;
	int i, err = m->err ? m->err : -ECONNRESET;

	EXPECT_EQ(m->err, r->end);
	EXPECT_EQ(m->nr_msgs, r->nr_msgs);
	for (i = 0; i < (int)m->nr_msgs && m->msgs[i] == r->msgs[i]; i++)
		;
	EXPECT_EQ(m->nr_msgs, i);
	for (i = 0; i < CHANNELS; i++) {
		EXPECT_EQ(m->chan[i].sent, r->got[i]);
		EXPECT_EQ(m->chan[i].eof ? 0 : err, r->chan_end[i]);
	}
}

static void model_round(uint64_t seed)
{
	struct round r;
	pthread_t drain, owner;

	open_round(&r, seed, false);
	pthread_create(&drain, NULL, drain_thread, &r);
	pthread_create(&owner, NULL, owner_thread, &r);
	feed(&r);
	pthread_join(owner, NULL);
	compare(&r);
	close_round(&r, drain);
}

/* The owner does as it should: what arrives is what the model says. */
TEST(packets_and_the_model)
{
	fuzz_rounds(60, model_round);
}

static void chaos_round(uint64_t seed)
{
	struct round r;
	struct chaos c[2];
	pthread_t drain, owner[2];
	int i;

	open_round(&r, seed, true);
	pthread_create(&drain, NULL, drain_thread, &r);
	for (i = 0; i < 2; i++) {
		c[i] = (struct chaos){ &r, rng_fork(&r.rng) };
		pthread_create(&owner[i], NULL, chaos_thread, &c[i]);
	}
	feed(&r);
	for (i = 0; i < 2; i++)
		pthread_join(owner[i], NULL);
	close_round(&r, drain);
}

/* The owner does anything: the connection ends in order, others go on. */
TEST(packets_and_any_owner)
{
	fuzz_rounds(60, chaos_round);
}

TEST_HARNESS_MAIN
