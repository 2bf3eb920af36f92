// SPDX-License-Identifier: MIT
/* packet/cipher.c: known answers, and what a changed byte does. */
#include <openssl/evp.h>

#include "harness.h"
#include "lib/mem.h"
#include "packet/cipher.h"

#define PKT_ROOM	(4 + KSSH_PACKET_LEN_MAX + 64)

static void fill_keys(struct newkeys *keys, uint16_t cipher, uint16_t mac)
{
	const struct cipher_desc *desc = cipher_by_id(cipher);
	const struct mac_desc *row = mac_by_id(mac);
	int i;

	memset(keys, 0, sizeof(*keys));
	keys->cipher = cipher;
	keys->mac = mac;
	keys->key_len = desc->key_len;
	keys->iv_len = desc->iv_len;
	keys->mac_key_len = row ? row->key_len : 0;
	for (i = 0; i < keys->key_len; i++)
		keys->key[i] = i;
	for (i = 0; i < keys->iv_len; i++)
		keys->iv[i] = 0xf0 + i;
	for (i = 0; i < keys->mac_key_len; i++)
		keys->mac_key[i] = 0x40 + i;
}

/* NIST SP 800-38A F.5.1: CTR-AES128.Encrypt */
TEST(aes128_ctr_encrypts_as_sp_800_38a_shows)
{
	static const uint8_t key[16] = {
		0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
		0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c,
	};
	static const uint8_t plain[32] = {
		0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
		0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a,
		0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c,
		0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51,
	};
	static const uint8_t sealed[32] = {
		0x87, 0x4d, 0x61, 0x91, 0xb6, 0x20, 0xe3, 0x26,
		0x1b, 0xef, 0x68, 0x64, 0x99, 0x0d, 0xb6, 0xce,
		0x98, 0x06, 0xf6, 0x6b, 0x79, 0x70, 0xfd, 0xff,
		0x86, 0x17, 0x18, 0x7b, 0xb9, 0xff, 0xfd, 0xff,
	};
	uint8_t pkt[4 + 32 + 64] = { 0, 0, 0, 32 };
	struct newkeys keys, out;
	struct cipher *cipher;

	fill_keys(&keys, KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_256_ETM);
	memcpy(keys.key, key, 16);
	memcpy(pkt + 4, plain, 32);
	ASSERT_EQ(0, cipher_alloc(&cipher, &keys, true));
	ASSERT_EQ(0, cipher_seal(cipher, 3, pkt, 32));
	EXPECT_EQ(32, pkt[3]);
	EXPECT_MEMEQ(sealed, pkt + 4, 32);
	cipher_export(cipher, &out);
	EXPECT_EQ(0xff, out.iv[0] | 0x0f);
	EXPECT_EQ(0x01, out.iv[15]);
	EXPECT_EQ(0xff, out.iv[14]);
	cipher_free(cipher);
}

/* The GCM specification, test case 2: the stream does not depend on AAD. */
TEST(aes128_gcm_encrypts_as_its_test_case_2)
{
	static const uint8_t sealed[16] = {
		0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92,
		0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78,
	};
	uint8_t pkt[4 + 16 + 16] = { 0, 0, 0, 16 };
	struct newkeys keys, out;
	struct cipher *cipher;

	fill_keys(&keys, KSSH_CIPHER_AES_128_GCM, KSSH_MAC_IMPLICIT);
	memset(keys.key, 0, sizeof(keys.key));
	memset(keys.iv, 0, sizeof(keys.iv));
	ASSERT_EQ(0, cipher_alloc(&cipher, &keys, true));
	ASSERT_EQ(0, cipher_seal(cipher, 99, pkt, 16));
	EXPECT_MEMEQ("\0\0\0\x10", pkt, 4);
	EXPECT_MEMEQ(sealed, pkt + 4, 16);
	cipher_export(cipher, &out);
	EXPECT_MEMEQ("\0\0\0\0\0\0\0\0\0\0\0\1", out.iv, 12);
	cipher_free(cipher);
}

/* RFC 5647 7.1: only the invocation counter counts, the fixed field stays. */
TEST(gcm_counter_wraps_inside_its_eight_bytes)
{
	uint8_t pkt[4 + 16 + 16] = { 0, 0, 0, 16 };
	struct newkeys keys, out;
	struct cipher *cipher;

	fill_keys(&keys, KSSH_CIPHER_AES_256_GCM, KSSH_MAC_IMPLICIT);
	memcpy(keys.iv, "\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	ASSERT_EQ(0, cipher_alloc(&cipher, &keys, true));
	ASSERT_EQ(0, cipher_seal(cipher, 0, pkt, 16));
	cipher_export(cipher, &out);
	EXPECT_MEMEQ("\xff\xff\xff\xfe\0\0\0\0\0\0\0\0", out.iv, 12);
	cipher_free(cipher);
}

TEST(ctr_counter_carries_through_all_its_bytes)
{
	uint8_t pkt[4 + 32 + 64] = { 0, 0, 0, 32 };
	struct newkeys keys, out;
	struct cipher *tx, *rx;

	fill_keys(&keys, KSSH_CIPHER_AES_192_CTR, KSSH_MAC_HMAC_SHA2_512_ETM);
	memset(keys.iv, 0xff, 16);
	ASSERT_EQ(0, cipher_alloc(&tx, &keys, true));
	ASSERT_EQ(0, cipher_seal(tx, 0, pkt, 32));
	cipher_export(tx, &out);
	EXPECT_MEMEQ("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", out.iv, 16);
	/* a hand-over in the middle: the other side goes on with its old one */
	ASSERT_EQ(0, cipher_alloc(&rx, &keys, false));
	ASSERT_EQ(0, cipher_open(rx, 0, pkt, 32));
	cipher_free(tx);
	ASSERT_EQ(0, cipher_alloc(&tx, &out, true));
	memset(pkt, 7, sizeof(pkt));
	memcpy(pkt, "\0\0\0\x20", 4);
	ASSERT_EQ(0, cipher_seal(tx, 1, pkt, 32));
	ASSERT_EQ(0, cipher_open(rx, 1, pkt, 32));
	EXPECT_EQ(7, pkt[4]);
	EXPECT_EQ(7, pkt[35]);
	cipher_free(tx);
	cipher_free(rx);
}

/*
 * RFC 8439 A.1: the key stream of key 0: block 1 of nonce 0 for the payload;
 * block 0 of nonce 2 for packet_length of packet 2.
 */
TEST(chacha20_streams_are_those_of_rfc_8439)
{
	static const uint8_t block1[16] = {
		0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a,
		0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d,
	};
	static const uint8_t nonce2[4] = { 0xc2, 0xc6, 0x4d, 0x37 };
	static const uint8_t poly_key[32] = {
		0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
		0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28,
		0xbd, 0xd2, 0x19, 0xb8, 0xa0, 0x8d, 0xed, 0x1a,
		0xa8, 0x36, 0xef, 0xcc, 0x8b, 0x77, 0x0d, 0xc7,
	};
	uint8_t pkt[4 + 16 + 16] = { 0, 0, 0, 16 };
	struct cipher *cipher;
	struct newkeys keys;
	uint8_t tag[16];
	size_t len;
	int i;

	fill_keys(&keys, KSSH_CIPHER_CHACHA20_POLY1305, KSSH_MAC_IMPLICIT);
	memset(keys.key, 0, sizeof(keys.key));
	ASSERT_EQ(0, cipher_alloc(&cipher, &keys, true));
	ASSERT_EQ(0, cipher_seal(cipher, 0, pkt, 16));
	EXPECT_MEMEQ(block1, pkt + 4, 16);
	ASSERT_NOT_NULL(EVP_Q_mac(NULL, "POLY1305", NULL, NULL, NULL, poly_key,
				  32, pkt, 20, tag, 16, &len));
	EXPECT_MEMEQ(tag, pkt + 20, 16);
	memset(pkt, 0, sizeof(pkt));
	pkt[3] = 16;
	ASSERT_EQ(0, cipher_seal(cipher, 2, pkt, 16));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(nonce2[i] ^ (i == 3 ? 16 : 0), pkt[i]);
	cipher_free(cipher);
}

/* PROTOCOL.chacha20poly1305: K_2, the payload's, comes first. */
TEST(chacha20_second_key_is_for_the_length)
{
	uint8_t pkt[2][4 + 16 + 16] = { { 0, 0, 0, 16 }, { 0, 0, 0, 16 } };
	struct cipher *cipher;
	struct newkeys keys;
	int i;

	fill_keys(&keys, KSSH_CIPHER_CHACHA20_POLY1305, KSSH_MAC_IMPLICIT);
	for (i = 0; i < 2; i++) {
		keys.key[40] ^= i;
		ASSERT_EQ(0, cipher_alloc(&cipher, &keys, true));
		ASSERT_EQ(0, cipher_seal(cipher, 5, pkt[i], 16));
		cipher_free(cipher);
	}
	EXPECT_NE(0, memcmp(pkt[0], pkt[1], 4));
	EXPECT_MEMEQ(pkt[0] + 4, pkt[1] + 4, 16);
}

TEST(hmac_covers_sequence_number_and_plaintext_or_ciphertext)
{
	static const struct {
		uint16_t mac;
		const char *md;
		size_t len;
		bool etm;
	} rows[] = {
		{ KSSH_MAC_HMAC_SHA2_256, "SHA256", 32, false },
		{ KSSH_MAC_HMAC_SHA2_512, "SHA512", 64, false },
		{ KSSH_MAC_HMAC_SHA2_256_ETM, "SHA256", 32, true },
		{ KSSH_MAC_HMAC_SHA2_512_ETM, "SHA512", 64, true },
	};
	uint8_t pkt[4 + 60 + 64], covered[4 + 64], tag[64];
	struct cipher *cipher;
	struct newkeys keys;
	uint32_t pkt_len;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pkt_len = rows[i].etm ? 48 : 44;
		memset(pkt, 0x55, sizeof(pkt));
		kssh_put_be32(pkt, pkt_len);
		kssh_put_be32(covered, 0x01020304);
		memcpy(covered + 4, pkt, 4 + pkt_len);
		fill_keys(&keys, KSSH_CIPHER_AES_256_CTR, rows[i].mac);
		ASSERT_EQ(0, cipher_alloc(&cipher, &keys, true));
		ASSERT_EQ(0, cipher_seal(cipher, 0x01020304, pkt, pkt_len));
		if (rows[i].etm)
			memcpy(covered + 4, pkt, 4 + pkt_len);
		ASSERT_NOT_NULL(EVP_Q_mac(NULL, "HMAC", NULL, rows[i].md, NULL,
					  keys.mac_key, keys.mac_key_len,
					  covered, 8 + pkt_len, tag,
					  sizeof(tag), &len));
		ASSERT_EQ(rows[i].len, len);
		EXPECT_MEMEQ(tag, pkt + 4 + pkt_len, len);
		EXPECT_EQ(rows[i].etm, cipher_layout(cipher)->clear_len);
		cipher_free(cipher);
	}
}

TEST(tables_hold_what_they_say)
{
	const struct cipher_desc *ciphers;
	const struct mac_desc *macs;
	size_t i, n;

	ciphers = cipher_table(&n);
	EXPECT_EQ(6, n);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(&ciphers[i], cipher_by_name(ciphers[i].name));
		EXPECT_EQ(&ciphers[i], cipher_by_id(ciphers[i].id));
		EXPECT_LE(ciphers[i].key_len, KSSH_KEY_MAX);
		EXPECT_LE(ciphers[i].iv_len, KSSH_IV_MAX);
	}
	macs = mac_table(&n);
	EXPECT_EQ(4, n);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(&macs[i], mac_by_name(macs[i].name));
		EXPECT_EQ(&macs[i], mac_by_id(macs[i].id));
		EXPECT_LE(macs[i].key_len, KSSH_MAC_KEY_MAX);
	}
	EXPECT_NULL(cipher_by_name("none"));
	EXPECT_NULL(cipher_by_name(""));
	EXPECT_NULL(cipher_by_id(KSSH_CIPHER_NONE));
	EXPECT_NULL(mac_by_id(KSSH_MAC_IMPLICIT));
	EXPECT_NULL(mac_by_name("hmac-md5"));
}

TEST(refuses_keys_that_do_not_fit)
{
	struct newkeys good, keys;
	struct cipher *cipher = NULL;

	fill_keys(&good, KSSH_CIPHER_AES_128_GCM, KSSH_MAC_IMPLICIT);
	EXPECT_EQ(0, newkeys_check(&good));
	keys = good;
	keys.key_len = 32;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	EXPECT_EQ(-EINVAL, cipher_alloc(&cipher, &keys, true));
	keys = good;
	keys.iv_len = 16;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	keys = good;
	keys.mac = KSSH_MAC_HMAC_SHA2_256;
	keys.mac_key_len = 32;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	keys = good;
	keys.mac_key_len = 32;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	fill_keys(&keys, KSSH_CIPHER_AES_128_CTR, KSSH_MAC_IMPLICIT);
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	fill_keys(&keys, KSSH_CIPHER_AES_128_CTR, KSSH_MAC_HMAC_SHA2_256);
	EXPECT_EQ(0, newkeys_check(&keys));
	keys.mac_key_len = 64;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	keys.mac = 99;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	keys.cipher = 99;
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	/* plain packets are for the beginning, never for a hand-over */
	memset(&keys, 0, sizeof(keys));
	EXPECT_EQ(-EINVAL, newkeys_check(&keys));
	keys.key_len = 16;
	EXPECT_EQ(-EINVAL, cipher_alloc(&cipher, &keys, true));
	EXPECT_NULL(cipher);
}

FIXTURE(cipher)
{
	struct cipher *tx;
	struct cipher *rx;
	const struct kssh_layout *layout;
	uint8_t *pkt;
};

FIXTURE_VARIANT(cipher)
{
	uint16_t cipher;
	uint16_t mac;
};

FIXTURE_VARIANT_ADD(cipher, aes128_gcm){ KSSH_CIPHER_AES_128_GCM, 0 };
FIXTURE_VARIANT_ADD(cipher, aes256_gcm){ KSSH_CIPHER_AES_256_GCM, 0 };
FIXTURE_VARIANT_ADD(cipher, chacha20){ KSSH_CIPHER_CHACHA20_POLY1305, 0 };
FIXTURE_VARIANT_ADD(cipher, aes128_ctr_256_etm){ KSSH_CIPHER_AES_128_CTR,
						 KSSH_MAC_HMAC_SHA2_256_ETM };
FIXTURE_VARIANT_ADD(cipher, aes192_ctr_512_etm){ KSSH_CIPHER_AES_192_CTR,
						 KSSH_MAC_HMAC_SHA2_512_ETM };
FIXTURE_VARIANT_ADD(cipher, aes256_ctr_256){ KSSH_CIPHER_AES_256_CTR,
					     KSSH_MAC_HMAC_SHA2_256 };
FIXTURE_VARIANT_ADD(cipher, aes128_ctr_512){ KSSH_CIPHER_AES_128_CTR,
					     KSSH_MAC_HMAC_SHA2_512 };

FIXTURE_SETUP(cipher)
{
	struct newkeys keys;

	fill_keys(&keys, variant->cipher, variant->mac);
	ASSERT_EQ(0, cipher_alloc(&self->tx, &keys, true));
	ASSERT_EQ(0, cipher_alloc(&self->rx, &keys, false));
	self->layout = cipher_layout(self->tx);
	self->pkt = malloc(PKT_ROOM);
	ASSERT_NOT_NULL(self->pkt);
}

FIXTURE_TEARDOWN(cipher)
{
	cipher_free(self->tx);
	cipher_free(self->rx);
	free(self->pkt);
}

static uint32_t aligned(const struct kssh_layout *layout, uint32_t blocks)
{
	return blocks * layout->block - (layout->clear_len ? 0 : 4);
}

TEST_F(cipher, tells_length_as_often_as_asked)
{
	uint32_t pkt_len = aligned(self->layout, 4);
	uint32_t seen;
	int i, k;

	for (i = 0; i < 5; i++) {
		memset(self->pkt, i, 4 + pkt_len);
		kssh_put_be32(self->pkt, pkt_len);
		ASSERT_EQ(0, cipher_seal(self->tx, i, self->pkt, pkt_len));
		for (k = 0; k < 3; k++) {
			seen = 0;
			EXPECT_EQ(0, cipher_open_len(self->rx, i, self->pkt,
						     &seen));
			EXPECT_EQ(pkt_len, seen);
		}
		ASSERT_EQ(0, cipher_open(self->rx, i, self->pkt, pkt_len));
		EXPECT_EQ(i, self->pkt[4]);
		EXPECT_EQ(i, self->pkt[3 + pkt_len]);
	}
}

TEST_F(cipher, refuses_any_changed_byte)
{
	uint32_t pkt_len = aligned(self->layout, 3);
	uint32_t total = 4 + pkt_len + self->layout->tag_len;
	uint8_t sealed[256];
	struct cipher *rx;
	struct newkeys keys;
	uint32_t i;

	fill_keys(&keys, variant->cipher, variant->mac);
	memset(sealed, 0x5a, sizeof(sealed));
	kssh_put_be32(sealed, pkt_len);
	ASSERT_EQ(0, cipher_seal(self->tx, 7, sealed, pkt_len));
	for (i = 0; i < total; i++) {
		memcpy(self->pkt, sealed, total);
		self->pkt[i] ^= 1 << (i % 8);
		ASSERT_EQ(0, cipher_alloc(&rx, &keys, false));
		EXPECT_EQ(-EBADMSG, cipher_open(rx, 7, self->pkt, pkt_len))
		TH_LOG("byte %u", i);
		/* nothing of the plaintext is left */
		EXPECT_EQ(0, self->pkt[4]);
		EXPECT_EQ(0, self->pkt[3 + pkt_len]);
		cipher_free(rx);
	}
	memcpy(self->pkt, sealed, total);
	EXPECT_EQ(0, cipher_open(self->rx, 7, self->pkt, pkt_len));
}

TEST_F(cipher, refuses_another_sequence_number)
{
	uint32_t pkt_len = aligned(self->layout, 2);
	bool is_gcm = variant->cipher == KSSH_CIPHER_AES_128_GCM ||
		      variant->cipher == KSSH_CIPHER_AES_256_GCM;

	if (is_gcm)
		SKIP(return, "the sequence number is no part of AES-GCM");
	memset(self->pkt, 0, 256);
	kssh_put_be32(self->pkt, pkt_len);
	ASSERT_EQ(0, cipher_seal(self->tx, 7, self->pkt, pkt_len));
	EXPECT_EQ(-EBADMSG, cipher_open(self->rx, 8, self->pkt, pkt_len));
}

TEST_F(cipher, refuses_a_replayed_packet)
{
	uint32_t pkt_len = aligned(self->layout, 2);
	uint32_t total = 4 + pkt_len + self->layout->tag_len;
	uint8_t copy[256];

	memset(self->pkt, 0, 256);
	kssh_put_be32(self->pkt, pkt_len);
	ASSERT_EQ(0, cipher_seal(self->tx, 0, self->pkt, pkt_len));
	memcpy(copy, self->pkt, total);
	EXPECT_EQ(0, cipher_open(self->rx, 0, self->pkt, pkt_len));
	EXPECT_EQ(-EBADMSG, cipher_open(self->rx, 1, copy, pkt_len));
}

TEST_F(cipher, goes_on_after_an_export)
{
	uint32_t pkt_len = aligned(self->layout, 5);
	struct newkeys keys;
	int i;

	for (i = 0; i < 20; i++) {
		memset(self->pkt, i, 4 + pkt_len);
		kssh_put_be32(self->pkt, pkt_len);
		ASSERT_EQ(0, cipher_seal(self->tx, i, self->pkt, pkt_len));
		ASSERT_EQ(0, cipher_open(self->rx, i, self->pkt, pkt_len));
		EXPECT_EQ(i, self->pkt[10]);
		cipher_export(i % 2 ? self->tx : self->rx, &keys);
		if (i % 3) {
			cipher_free(self->rx);
			ASSERT_EQ(0, cipher_alloc(&self->rx, &keys, false));
		} else {
			cipher_free(self->tx);
			ASSERT_EQ(0, cipher_alloc(&self->tx, &keys, true));
		}
	}
}

TEST_F(cipher, seals_the_largest_packet)
{
	uint32_t pkt_len = KSSH_PACKET_LEN_MAX / 16 * 16 -
			   (self->layout->clear_len ? 0 : 4);
	uint32_t seen;

	memset(self->pkt, 0x77, 4 + pkt_len);
	kssh_put_be32(self->pkt, pkt_len);
	ASSERT_EQ(0, cipher_seal(self->tx, 0, self->pkt, pkt_len));
	ASSERT_EQ(0, cipher_open_len(self->rx, 0, self->pkt, &seen));
	ASSERT_EQ(pkt_len, seen);
	ASSERT_EQ(0, cipher_open(self->rx, 0, self->pkt, pkt_len));
	EXPECT_EQ(0x77, self->pkt[3 + pkt_len]);
	EXPECT_EQ(-EMSGSIZE, cipher_seal(self->tx, 1, self->pkt, pkt_len + 16));
	EXPECT_EQ(-EMSGSIZE, cipher_seal(self->tx, 1, self->pkt, pkt_len - 1));
}

TEST(prepares_all_algorithms)
{
	EXPECT_EQ(0, cipher_prepare());
	EXPECT_EQ(0, cipher_prepare());
}

TEST_HARNESS_MAIN
