// SPDX-License-Identifier: GPL-2.0-only
/*
 * chacha20-poly1305@openssh.com, as OpenSSH's PROTOCOL.chacha20poly1305 has it:
 * one key for the length, one for the rest; the nonce is the packet sequence
 * number; the tag is over length and rest as they are on the wire.
 */
#include <crypto/utils.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "kssh.h"

#define CHACHA_BLOCK		64
/* The vector code does not do less. */
#define CHACHA_PAIR		(2 * CHACHA_BLOCK)
#define CHACHA_KEY		32
#define POLY_KEY		32
#define POLY_TAG		16
/* Cipher and MAC take turns while the bytes are in the cache. */
#define CHACHA_CHUNK		16384

/**
 * struct chacha - keys of a direction
 * @main: K_2, for everything but the length
 * @header: K_1, for the length
 */
struct chacha {
	u32 main[CHACHA_KEY / sizeof(u32)];
	u32 header[CHACHA_KEY / sizeof(u32)];
};

static void load_key(u32 *to, const u8 *from)
{
	int i;

	for (i = 0; i < CHACHA_KEY / sizeof(u32); i++)
		to[i] = get_unaligned_le32(from + i * sizeof(u32));
}

static int chacha_setup(struct kssh_cipher *cipher,
			const struct kssh_crypto_info *info)
{
	struct chacha *chacha;

	chacha = kzalloc(sizeof(*chacha), GFP_KERNEL);
	if (!chacha)
		return -ENOMEM;
	load_key(chacha->main, info->key);
	load_key(chacha->header, info->key + CHACHA_KEY);
	cipher->priv = chacha;
	return 0;
}

static void chacha_destroy(struct kssh_cipher *cipher)
{
	kfree_sensitive(cipher->priv);
}

/*
 * PROTOCOL.chacha20poly1305: "a uint64 containing the packet sequence number
 * in network byte order" is the nonce; before it the block counter.
 */
static void chacha_begin(struct kssh_chacha *state, const u32 *key,
			 u32 pkt_seq, u32 block)
{
	u8 iv[16] = { 0 };

	put_unaligned_le32(block, iv);
	kssh_put_be32(iv + 12, pkt_seq);
	kssh_chacha_init(state, key, iv);
}

static void chacha_length(const struct chacha *chacha, u32 pkt_seq, u8 *to,
			  const u8 *from)
{
	u8 pair[CHACHA_PAIR] = { 0 };
	struct kssh_chacha state;

	memcpy(pair, from, 4);
	chacha_begin(&state, chacha->header, pkt_seq, 0);
	kssh_chacha_crypt(&state, pair, pair, sizeof(pair));
	memcpy(to, pair, 4);
	memzero_explicit(pair, sizeof(pair));
	kssh_chacha_wipe(&state);
}

/*
 * The MAC's key is the start of block 0, whose pair is of use as well: @first
 * is the keystream of block 1. The state goes on at block 2.
 */
static void chacha_start(const struct chacha *chacha, u32 pkt_seq,
			 struct kssh_chacha *state,
			 struct poly1305_desc_ctx *poly, u8 *first)
{
	u8 pair[CHACHA_PAIR] = { 0 };

	chacha_begin(state, chacha->main, pkt_seq, 0);
	kssh_chacha_crypt(state, pair, pair, sizeof(pair));
	poly1305_init(poly, pair);
	memcpy(first, pair + CHACHA_BLOCK, CHACHA_BLOCK);
	memzero_explicit(pair, sizeof(pair));
}

/**
 * struct walk - a place in a packet
 * @sg: the piece
 * @off: offset in it
 */
struct walk {
	struct scatterlist *sg;
	u32 off;
};

/* The next bytes that lie together, up to @want. */
static u8 *walk_get(struct walk *walk, u32 want, u32 *len)
{
	if (walk->off == walk->sg->length) {
		walk->sg = sg_next(walk->sg);
		walk->off = 0;
	}
	*len = min(want, walk->sg->length - walk->off);
	return sg_virt(walk->sg) + walk->off;
}

/* How many of @left bytes are next: whole blocks but at the end. */
static u32 chunk_len(struct walk from, struct walk to, u32 left)
{
	u32 n, m;

	walk_get(&from, min_t(u32, left, CHACHA_CHUNK), &n);
	walk_get(&to, n, &m);
	n = min(n, m);
	if (n < left)
		n = round_down(n, CHACHA_BLOCK);
	return n ?: min_t(u32, left, CHACHA_BLOCK);
}

/* @len bytes to @buf; or, if @write, from there. */
static void walk_copy(struct walk *walk, u8 *buf, u32 len, bool write)
{
	u32 n;
	u8 *p;

	for (; len; len -= n, buf += n) {
		p = walk_get(walk, len, &n);
		if (write)
			memcpy(p, buf, n);
		else
			memcpy(buf, p, n);
		walk->off += n;
	}
}

/* Block 1, whose keystream is there. */
static void crypt_first(u8 *first, struct walk *from, struct walk *to, u32 len)
{
	u8 block[CHACHA_BLOCK];

	walk_copy(from, block, len, false);
	crypto_xor(block, first, len);
	walk_copy(to, block, len, true);
	memzero_explicit(block, sizeof(block));
	memzero_explicit(first, CHACHA_BLOCK);
}

/* A block that pieces share: through a buffer of our own. */
static void crypt_edge(struct kssh_chacha *state, struct walk *from,
		       struct walk *to, u32 len)
{
	u8 pair[CHACHA_PAIR] = { 0 };

	walk_copy(from, pair, len, false);
	kssh_chacha_crypt(state, pair, pair, sizeof(pair));
	kssh_chacha_back(state);
	walk_copy(to, pair, len, true);
	memzero_explicit(pair, sizeof(pair));
}

static void crypt_chunk(struct kssh_chacha *state, struct walk *from,
			struct walk *to, u32 len)
{
	u32 n, m;
	u8 *src = walk_get(from, len, &n);
	u8 *dst = walk_get(to, len, &m);

	if (n < len || m < len || len <= CHACHA_BLOCK) {
		crypt_edge(state, from, to, len);
		return;
	}
	kssh_chacha_crypt(state, dst, src, len);
	from->off += len;
	to->off += len;
}

static void mac_chunk(struct poly1305_desc_ctx *poly, struct walk *walk,
		      u32 len)
{
	u32 n;
	u8 *p;

	for (; len; len -= n) {
		p = walk_get(walk, len, &n);
		poly1305_update(poly, p, n);
		walk->off += n;
	}
}

static int chacha_seal(struct kssh_cipher *cipher, u32 pkt_seq,
		       struct scatterlist *from, struct scatterlist *to,
		       u32 pkt_len)
{
	struct walk src = { .sg = from, .off = 4 }, dst = { .sg = to }, mac;
	u8 tag[POLY_TAG], first[CHACHA_BLOCK];
	struct poly1305_desc_ctx poly;
	struct kssh_chacha state;
	u32 left, n;

	chacha_length(cipher->priv, pkt_seq, sg_virt(to), sg_virt(from));
	chacha_start(cipher->priv, pkt_seq, &state, &poly, first);
	mac_chunk(&poly, &dst, 4);
	mac = dst;
	n = min_t(u32, pkt_len, CHACHA_BLOCK);
	crypt_first(first, &src, &dst, n);
	mac_chunk(&poly, &mac, n);
	for (left = pkt_len - n; left; left -= n) {
		n = chunk_len(src, dst, left);
		mac = dst;
		crypt_chunk(&state, &src, &dst, n);
		mac_chunk(&poly, &mac, n);
	}
	poly1305_final(&poly, tag);
	sg_pcopy_from_buffer(to, sg_nents(to), tag, sizeof(tag), 4 + pkt_len);
	kssh_chacha_wipe(&state);
	return 0;
}

static u32 chacha_open_len(struct kssh_cipher *cipher, u32 pkt_seq,
			   const u8 *hdr)
{
	u8 len[4];

	chacha_length(cipher->priv, pkt_seq, len, hdr);
	return kssh_get_be32(len);
}

/* Decrypts as it goes: the memory is ours, and dropped if the tag is wrong. */
static int chacha_open(struct kssh_cipher *cipher, u32 pkt_seq,
		       struct scatterlist *sg, u32 pkt_len)
{
	struct walk mac = { .sg = sg }, src, dst;
	struct poly1305_desc_ctx poly;
	u8 tag[POLY_TAG], want[POLY_TAG], first[CHACHA_BLOCK];
	struct kssh_chacha state;
	u32 left, n;

	chacha_start(cipher->priv, pkt_seq, &state, &poly, first);
	mac_chunk(&poly, &mac, 4);
	src = mac;
	dst = mac;
	n = min_t(u32, pkt_len, CHACHA_BLOCK);
	mac_chunk(&poly, &mac, n);
	crypt_first(first, &src, &dst, n);
	for (left = pkt_len - n; left; left -= n) {
		n = chunk_len(mac, mac, left);
		src = mac;
		dst = mac;
		mac_chunk(&poly, &mac, n);
		crypt_chunk(&state, &src, &dst, n);
	}
	poly1305_final(&poly, want);
	sg_pcopy_to_buffer(sg, sg_nents(sg), tag, sizeof(tag), 4 + pkt_len);
	kssh_chacha_wipe(&state);
	return crypto_memneq(tag, want, sizeof(tag)) ? -EBADMSG : 0;
}

static const char *chacha_driver(const struct kssh_cipher *cipher)
{
	return "chacha20-poly1305-lib";
}

const struct kssh_cipher_ops kssh_chacha_ops = {
	.setup		= chacha_setup,
	.destroy	= chacha_destroy,
	.seal		= chacha_seal,
	.open_len	= chacha_open_len,
	.open		= chacha_open,
	.driver		= chacha_driver,
};
