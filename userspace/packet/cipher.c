// SPDX-License-Identifier: MIT
/* Ciphers and MACs of the user data path, on libcrypto. */
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/mem.h"
#include "packet/cipher.h"

#define AES_BLOCK	16
#define GCM_TAG_LEN	16
#define POLY_KEY_LEN	32
#define POLY_TAG_LEN	16
#define CHACHA_BLOCK	64
#define CHACHA_KEY_LEN	32
#define MAC_LEN_MAX	64

enum cipher_mode { MODE_PLAIN, MODE_GCM, MODE_CHACHA, MODE_CTR };

/*
 * In order of preference: AEAD first, and of these what hardware does best.
 * Key and IV lengths: RFC 5647 5, RFC 4344 4; 64 bytes are two ChaCha20 keys.
 */
static const struct cipher_desc ciphers[] = {
	{ "aes128-gcm@openssh.com", KSSH_CIPHER_AES_128_GCM, 16, 12, 16, 16 },
	{ "aes256-gcm@openssh.com", KSSH_CIPHER_AES_256_GCM, 32, 12, 16, 16 },
	{ "chacha20-poly1305@openssh.com", KSSH_CIPHER_CHACHA20_POLY1305, 64, 0,
	  8, 16 },
	{ "aes128-ctr", KSSH_CIPHER_AES_128_CTR, 16, 16, 16, 0 },
	{ "aes192-ctr", KSSH_CIPHER_AES_192_CTR, 24, 16, 16, 0 },
	{ "aes256-ctr", KSSH_CIPHER_AES_256_CTR, 32, 16, 16, 0 },
	{ NULL, 0, 0, 0, 0, 0 },
};

/* RFC 6668 2 */
static const struct mac_desc macs[] = {
	{ "hmac-sha2-256-etm@openssh.com", KSSH_MAC_HMAC_SHA2_256_ETM, 32, 32,
	  true },
	{ "hmac-sha2-512-etm@openssh.com", KSSH_MAC_HMAC_SHA2_512_ETM, 64, 64,
	  true },
	{ "hmac-sha2-256", KSSH_MAC_HMAC_SHA2_256, 32, 32, false },
	{ "hmac-sha2-512", KSSH_MAC_HMAC_SHA2_512, 64, 64, false },
	{ NULL, 0, 0, 0, false },
};

/**
 * struct cipher - one direction
 * @mode: construction
 * @tx: seals; else opens
 * @etm: MAC covers the ciphertext
 * @layout: what packets look like
 * @keys: as installed, IV as the next packet needs it
 * @main: stream of the payload
 * @len_ctx: chacha20-poly1305: stream of packet_length; AES-CTR RX: ECB, which
 *	gives the keystream of the next block without moving @main
 * @mac_ctx: HMAC or Poly1305
 */
struct cipher {
	enum cipher_mode mode;
	bool tx;
	bool etm;
	struct kssh_layout layout;
	struct newkeys keys;
	EVP_CIPHER_CTX *main;
	EVP_CIPHER_CTX *len_ctx;
	EVP_MAC_CTX *mac_ctx;
};

const struct cipher_desc *cipher_by_name(const char *name)
{
	const struct cipher_desc *desc;

	for (desc = ciphers; desc->name; desc++)
		if (!strcmp(desc->name, name))
			return desc;
	return NULL;
}

const struct cipher_desc *cipher_by_id(uint16_t id)
{
	const struct cipher_desc *desc;

	for (desc = ciphers; desc->name; desc++)
		if (desc->id == id)
			return desc;
	return NULL;
}

const struct mac_desc *mac_by_name(const char *name)
{
	const struct mac_desc *desc;

	for (desc = macs; desc->name; desc++)
		if (!strcmp(desc->name, name))
			return desc;
	return NULL;
}

const struct mac_desc *mac_by_id(uint16_t id)
{
	const struct mac_desc *desc;

	for (desc = macs; desc->name; desc++)
		if (desc->id == id)
			return desc;
	return NULL;
}

const struct cipher_desc *cipher_table(size_t *n)
{
	*n = ARRAY_SIZE(ciphers) - 1;
	return ciphers;
}

const struct mac_desc *mac_table(size_t *n)
{
	*n = ARRAY_SIZE(macs) - 1;
	return macs;
}

int newkeys_check(const struct newkeys *keys)
{
	const struct cipher_desc *desc = cipher_by_id(keys->cipher);
	const struct mac_desc *mac = mac_by_id(keys->mac);

	if (!desc || keys->key_len != desc->key_len ||
	    keys->iv_len != desc->iv_len)
		return -EINVAL;
	if (desc->tag_len)
		return keys->mac != KSSH_MAC_IMPLICIT || keys->mac_key_len ?
			       -EINVAL :
			       0;
	if (!mac || keys->mac_key_len != mac->key_len)
		return -EINVAL;
	return 0;
}

int cipher_prepare(void)
{
	struct newkeys keys = { 0 };
	struct cipher *cipher;
	size_t i;
	int err;

	for (i = 0; ciphers[i].name; i++) {
		keys.cipher = ciphers[i].id;
		keys.key_len = ciphers[i].key_len;
		keys.iv_len = ciphers[i].iv_len;
		keys.mac = KSSH_MAC_IMPLICIT;
		keys.mac_key_len = 0;
		if (!ciphers[i].tag_len) {
			keys.mac = macs[i % 2].id;
			keys.mac_key_len = macs[i % 2].key_len;
		}
		err = cipher_alloc(&cipher, &keys, i % 2);
		if (err)
			return err;
		cipher_free(cipher);
	}
	return 0;
}

static bool is_plain(const struct newkeys *keys)
{
	return keys->cipher == KSSH_CIPHER_NONE &&
	       keys->mac == KSSH_MAC_IMPLICIT && !keys->key_len &&
	       !keys->iv_len && !keys->mac_key_len;
}

static int stream_alloc(EVP_CIPHER_CTX **ctx, const char *name,
			const uint8_t *key, const uint8_t *iv, bool enc)
{
	const EVP_CIPHER *alg = crypto_cipher(name);

	if (!alg)
		return -EOPNOTSUPP;
	*ctx = EVP_CIPHER_CTX_new();
	if (!*ctx)
		return -ENOMEM;
	if (EVP_CipherInit_ex2(*ctx, alg, key, iv, enc, NULL) != 1)
		return -EIO;
	EVP_CIPHER_CTX_set_padding(*ctx, 0);
	return 0;
}

static int mac_alloc(struct cipher *cipher, const char *name)
{
	EVP_MAC *alg = crypto_mac(name);

	if (!alg)
		return -EOPNOTSUPP;
	cipher->mac_ctx = EVP_MAC_CTX_new(alg);
	return cipher->mac_ctx ? 0 : -ENOMEM;
}

static int gcm_setup(struct cipher *cipher)
{
	const char *name = cipher->keys.key_len == 16 ? "AES-128-GCM" :
							"AES-256-GCM";

	cipher->mode = MODE_GCM;
	return stream_alloc(&cipher->main, name, cipher->keys.key,
			    cipher->keys.iv, cipher->tx);
}

/*
 * OpenSSH PROTOCOL.chacha20poly1305: the first 32 bytes of key material are
 * for the payload and the Poly1305 keys, the second for packet_length.
 */
static int chacha_setup(struct cipher *cipher)
{
	static const uint8_t iv[16];
	int err;

	cipher->mode = MODE_CHACHA;
	err = stream_alloc(&cipher->main, "ChaCha20", cipher->keys.key, iv,
			   true);
	if (err)
		return err;
	err = stream_alloc(&cipher->len_ctx, "ChaCha20",
			   cipher->keys.key + CHACHA_KEY_LEN, iv, true);
	if (err)
		return err;
	return mac_alloc(cipher, "POLY1305");
}

static int hmac_setup(struct cipher *cipher, const struct mac_desc *mac)
{
	char *md = (char *)(mac->key_len == 64 ? "SHA2-512" : "SHA2-256");
	OSSL_PARAM params[2];
	int err;

	err = mac_alloc(cipher, "HMAC");
	if (err)
		return err;
	params[0] =
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, md, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (EVP_MAC_init(cipher->mac_ctx, cipher->keys.mac_key,
			 cipher->keys.mac_key_len, params) != 1)
		return -EIO;
	cipher->layout.tag_len = mac->tag_len;
	cipher->layout.clear_len = mac->etm;
	cipher->etm = mac->etm;
	return 0;
}

static int ctr_setup(struct cipher *cipher)
{
	static const char *const names[][2] = {
		{ "AES-128-CTR", "AES-128-ECB" },
		{ "AES-192-CTR", "AES-192-ECB" },
		{ "AES-256-CTR", "AES-256-ECB" },
	};
	const char *const *name = names[(cipher->keys.key_len - 16) / 8];
	int err;

	cipher->mode = MODE_CTR;
	err = hmac_setup(cipher, mac_by_id(cipher->keys.mac));
	if (err)
		return err;
	err = stream_alloc(&cipher->main, name[0], cipher->keys.key,
			   cipher->keys.iv, true);
	if (err || cipher->tx || cipher->etm)
		return err;
	return stream_alloc(&cipher->len_ctx, name[1], cipher->keys.key, NULL,
			    true);
}

static int setup(struct cipher *cipher)
{
	const struct cipher_desc *desc;
	int err;

	if (is_plain(&cipher->keys)) {
		cipher->mode = MODE_PLAIN;
		cipher->layout.block = 8;
		return 0;
	}
	err = newkeys_check(&cipher->keys);
	if (err)
		return err;
	desc = cipher_by_id(cipher->keys.cipher);
	cipher->layout.block = desc->block;
	cipher->layout.clear_len = true;
	cipher->layout.tag_len = desc->tag_len;
	switch (desc->id) {
	case KSSH_CIPHER_AES_128_GCM:
	case KSSH_CIPHER_AES_256_GCM:
		return gcm_setup(cipher);
	case KSSH_CIPHER_CHACHA20_POLY1305:
		return chacha_setup(cipher);
	default:
		return ctr_setup(cipher);
	}
}

int cipher_alloc(struct cipher **cipher, const struct newkeys *keys, bool tx)
{
	struct cipher *new;
	int err;

	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->tx = tx;
	new->keys = *keys;
	err = setup(new);
	if (err) {
		cipher_free(new);
		return err;
	}
	*cipher = new;
	return 0;
}

void cipher_free(struct cipher *cipher)
{
	if (!cipher)
		return;
	EVP_CIPHER_CTX_free(cipher->main);
	EVP_CIPHER_CTX_free(cipher->len_ctx);
	EVP_MAC_CTX_free(cipher->mac_ctx);
	mem_free_secret(cipher, sizeof(*cipher));
}

const struct kssh_layout *cipher_layout(const struct cipher *cipher)
{
	return &cipher->layout;
}

void cipher_export(const struct cipher *cipher, struct newkeys *keys)
{
	*keys = cipher->keys;
}

static int stream_run(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in,
		      uint32_t len)
{
	int n;

	return EVP_CipherUpdate(ctx, out, &n, in, len) == 1 ? 0 : -EIO;
}

/*
 * RFC 5647 7.1: "the invocation counter is incremented ... after processing
 * each binary packet"; the 4 fixed bytes stay.
 */
static void gcm_next_iv(uint8_t iv[12])
{
	kssh_put_be64(iv + 4, kssh_get_be64(iv + 4) + 1);
}

/* RFC 5647 7.3: packet_length is additional authenticated data, in clear. */
static int gcm_run(struct cipher *cipher, uint8_t *pkt, uint32_t pkt_len)
{
	EVP_CIPHER_CTX *ctx = cipher->main;
	int n;

	if (EVP_CipherInit_ex2(ctx, NULL, NULL, cipher->keys.iv, -1, NULL) != 1)
		return -EIO;
	gcm_next_iv(cipher->keys.iv);
	if (EVP_CipherUpdate(ctx, NULL, &n, pkt, 4) != 1)
		return -EIO;
	return stream_run(ctx, pkt + 4, pkt + 4, pkt_len);
}

static int gcm_seal(struct cipher *cipher, uint8_t *pkt, uint32_t pkt_len)
{
	uint8_t *tag = pkt + 4 + pkt_len;
	int err, n;

	err = gcm_run(cipher, pkt, pkt_len);
	if (err)
		return err;
	if (EVP_CipherFinal_ex(cipher->main, tag, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(cipher->main, EVP_CTRL_AEAD_GET_TAG,
				GCM_TAG_LEN, tag) != 1)
		return -EIO;
	return 0;
}

static int gcm_open(struct cipher *cipher, uint8_t *pkt, uint32_t pkt_len)
{
	uint8_t *tag = pkt + 4 + pkt_len;
	int err, n;

	err = gcm_run(cipher, pkt, pkt_len);
	if (err)
		return err;
	if (EVP_CIPHER_CTX_ctrl(cipher->main, EVP_CTRL_AEAD_SET_TAG,
				GCM_TAG_LEN, tag) != 1)
		return -EIO;
	return EVP_CipherFinal_ex(cipher->main, tag, &n) == 1 ? 0 : -EBADMSG;
}

/*
 * OpenSSH PROTOCOL.chacha20poly1305: the nonce is the sequence number as an
 * uint64. libcrypto's IV is the 64-bit block counter, little-endian, and the
 * 64-bit nonce.
 */
static int chacha_start(EVP_CIPHER_CTX *ctx, uint32_t pkt_seq)
{
	uint8_t iv[16] = { 0 };

	kssh_put_be64(iv + 8, pkt_seq);
	return EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1 ? 0 :
									-EIO;
}

/*
 * The Poly1305 key is the beginning of keystream block 0; the payload begins
 * with block 1, so the stream is just where it has to be afterwards.
 */
static int chacha_begin(struct cipher *cipher, uint32_t pkt_seq)
{
	uint8_t block[CHACHA_BLOCK] = { 0 };
	int err;

	err = chacha_start(cipher->main, pkt_seq);
	if (!err)
		err = stream_run(cipher->main, block, block, sizeof(block));
	if (!err &&
	    EVP_MAC_init(cipher->mac_ctx, block, POLY_KEY_LEN, NULL) != 1)
		err = -EIO;
	mem_wipe(block, sizeof(block));
	return err;
}

static int chacha_len(struct cipher *cipher, uint32_t pkt_seq,
		      const uint8_t in[4], uint8_t out[4])
{
	int err;

	err = chacha_start(cipher->len_ctx, pkt_seq);
	return err ? err : stream_run(cipher->len_ctx, out, in, 4);
}

static int poly_tag(struct cipher *cipher, const uint8_t *pkt, uint32_t pkt_len,
		    uint8_t tag[POLY_TAG_LEN])
{
	size_t n;

	if (EVP_MAC_update(cipher->mac_ctx, pkt, 4 + pkt_len) != 1 ||
	    EVP_MAC_final(cipher->mac_ctx, tag, &n, POLY_TAG_LEN) != 1)
		return -EIO;
	return 0;
}

static int chacha_seal(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		       uint32_t pkt_len)
{
	int err;

	err = chacha_begin(cipher, pkt_seq);
	if (!err)
		err = chacha_len(cipher, pkt_seq, pkt, pkt);
	if (!err)
		err = stream_run(cipher->main, pkt + 4, pkt + 4, pkt_len);
	if (!err)
		err = poly_tag(cipher, pkt, pkt_len, pkt + 4 + pkt_len);
	return err;
}

static int chacha_open(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		       uint32_t pkt_len)
{
	uint8_t tag[POLY_TAG_LEN];
	int err;

	err = chacha_begin(cipher, pkt_seq);
	if (!err)
		err = poly_tag(cipher, pkt, pkt_len, tag);
	if (err)
		return err;
	if (!mem_equal(tag, pkt + 4 + pkt_len, POLY_TAG_LEN))
		return -EBADMSG;
	return stream_run(cipher->main, pkt + 4, pkt + 4, pkt_len);
}

/* RFC 4344 4: the counter goes up by one for each block, as a number. */
static void ctr_advance(uint8_t iv[16], uint32_t blocks)
{
	uint64_t low = kssh_get_be64(iv + 8);

	kssh_put_be64(iv + 8, low + blocks);
	if (low + blocks < low)
		kssh_put_be64(iv, kssh_get_be64(iv) + 1);
}

/* RFC 4253 6.4: "mac = MAC(key, sequence_number || unencrypted_packet)" */
static int hmac_tag(struct cipher *cipher, uint32_t pkt_seq, const uint8_t *pkt,
		    uint32_t pkt_len, uint8_t tag[MAC_LEN_MAX])
{
	uint8_t seq[4];
	size_t n;

	kssh_put_be32(seq, pkt_seq);
	if (EVP_MAC_init(cipher->mac_ctx, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(cipher->mac_ctx, seq, 4) != 1 ||
	    EVP_MAC_update(cipher->mac_ctx, pkt, 4 + pkt_len) != 1 ||
	    EVP_MAC_final(cipher->mac_ctx, tag, &n, MAC_LEN_MAX) != 1)
		return -EIO;
	return 0;
}

/* What the cipher covers: all, or all but packet_length (-etm). */
static int ctr_run(struct cipher *cipher, uint8_t *pkt, uint32_t pkt_len)
{
	uint32_t skip = cipher->etm ? 4 : 0;
	uint32_t len = 4 + pkt_len - skip;

	ctr_advance(cipher->keys.iv, len / AES_BLOCK);
	return stream_run(cipher->main, pkt + skip, pkt + skip, len);
}

static int ctr_seal(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		    uint32_t pkt_len)
{
	uint8_t tag[MAC_LEN_MAX];
	int err = 0;

	if (!cipher->etm)
		err = hmac_tag(cipher, pkt_seq, pkt, pkt_len, tag);
	if (!err)
		err = ctr_run(cipher, pkt, pkt_len);
	if (!err && cipher->etm)
		err = hmac_tag(cipher, pkt_seq, pkt, pkt_len, tag);
	if (!err)
		memcpy(pkt + 4 + pkt_len, tag, cipher->layout.tag_len);
	return err;
}

static int ctr_open(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		    uint32_t pkt_len)
{
	uint8_t tag[MAC_LEN_MAX];
	int err = 0;

	if (!cipher->etm)
		err = ctr_run(cipher, pkt, pkt_len);
	if (!err)
		err = hmac_tag(cipher, pkt_seq, pkt, pkt_len, tag);
	if (err)
		return err;
	if (!mem_equal(tag, pkt + 4 + pkt_len, cipher->layout.tag_len))
		return -EBADMSG;
	return cipher->etm ? ctr_run(cipher, pkt, pkt_len) : 0;
}

int cipher_seal(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		uint32_t pkt_len)
{
	if (kssh_check_packet_len(&cipher->layout, pkt_len))
		return -EMSGSIZE;
	switch (cipher->mode) {
	case MODE_GCM:
		return gcm_seal(cipher, pkt, pkt_len);
	case MODE_CHACHA:
		return chacha_seal(cipher, pkt_seq, pkt, pkt_len);
	case MODE_CTR:
		return ctr_seal(cipher, pkt_seq, pkt, pkt_len);
	default:
		return 0;
	}
}

size_t cipher_len_need(const struct cipher *cipher)
{
	/* all are stream ciphers: packet_length opens without its block */
	(void)cipher;
	return 4;
}

/* Keystream of the block where the next packet begins. */
static int ctr_len(struct cipher *cipher, const uint8_t in[4], uint8_t out[4])
{
	uint8_t block[AES_BLOCK];
	int err, i;

	err = stream_run(cipher->len_ctx, block, cipher->keys.iv, AES_BLOCK);
	for (i = 0; !err && i < 4; i++)
		out[i] = in[i] ^ block[i];
	mem_wipe(block, sizeof(block));
	return err;
}

/*
 * RFC 4253 6: "Note that the 'packet_length' field is also encrypted, and
 * processing it requires special care when sending or receiving packets."
 */
int cipher_open_len(struct cipher *cipher, uint32_t pkt_seq, const uint8_t *pkt,
		    uint32_t *pkt_len)
{
	uint8_t clear[4];
	int err = 0;

	memcpy(clear, pkt, 4);
	if (cipher->mode == MODE_CHACHA)
		err = chacha_len(cipher, pkt_seq, pkt, clear);
	else if (cipher->mode == MODE_CTR && !cipher->etm)
		err = ctr_len(cipher, pkt, clear);
	if (err)
		return err;
	*pkt_len = kssh_get_be32(clear);
	return kssh_check_packet_len(&cipher->layout, *pkt_len);
}

int cipher_open(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		uint32_t pkt_len)
{
	int err = 0;

	switch (cipher->mode) {
	case MODE_GCM:
		err = gcm_open(cipher, pkt, pkt_len);
		break;
	case MODE_CHACHA:
		err = chacha_open(cipher, pkt_seq, pkt, pkt_len);
		break;
	case MODE_CTR:
		err = ctr_open(cipher, pkt_seq, pkt, pkt_len);
		break;
	case MODE_PLAIN:
		break;
	}
	/* what was opened without a right MAC is nobody's business */
	if (err)
		mem_wipe(pkt, 4 + pkt_len);
	return err;
}
