// SPDX-License-Identifier: MIT
/*
 * The methods: curve25519-sha256 (RFC 8731), ecdh-sha2-nistp256 (RFC 5656),
 * mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex). Server side.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "kex/internal.h"
#include "lib/crypto.h"
#include "lib/mem.h"

#define X25519_LEN	32
#define P256_LEN	32
#define P256_POINT_LEN	65
#define MLKEM_EK_LEN	1184
#define MLKEM_CT_LEN	1088
#define MLKEM_SECRET_LEN	32

enum kex_method { METHOD_X25519, METHOD_P256, METHOD_MLKEM };

const struct kex_alg kex_algs[] = {
	{ "mlkem768x25519-sha256", METHOD_MLKEM, MLKEM_EK_LEN + X25519_LEN },
	{ "curve25519-sha256", METHOD_X25519, X25519_LEN },
	{ "curve25519-sha256@libssh.org", METHOD_X25519, X25519_LEN },
	{ "ecdh-sha2-nistp256", METHOD_P256, P256_POINT_LEN },
	{ NULL, 0, 0 },
};

const struct kex_alg *kex_alg_by_name(const char *name, size_t len)
{
	const struct kex_alg *alg;

	for (alg = kex_algs; alg->name; alg++)
		if (strlen(alg->name) == len && !memcmp(alg->name, name, len))
			return alg;
	return NULL;
}

bool kex_alg_available(const struct kex_alg *alg)
{
	static int have_mlkem = -1;
	EVP_KEM *kem;

	if (alg->method != METHOD_MLKEM)
		return true;
	if (have_mlkem < 0 && !crypto_init()) {
		kem = EVP_KEM_fetch(NULL, "ML-KEM-768", NULL);
		have_mlkem = kem ? 1 : 0;
		EVP_KEM_free(kem);
		ERR_clear_error();
	}
	return have_mlkem > 0;
}

/* Diffie-Hellman of @mine and @peer into exactly @len bytes. */
static int agree(EVP_PKEY *mine, EVP_PKEY *peer, uint8_t *out, size_t len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL);
	size_t n = len;
	int err = -EPROTO;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_derive_init(ctx) != 1)
		err = -EIO;
	else if (EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
		 EVP_PKEY_derive(ctx, out, &n) == 1 && n == len)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	return err;
}

/*
 * RFC 8731 3: "Clients and servers MUST fail the key exchange if the length of
 * the received public keys are not 32 bytes"; "MUST also abort if ... the
 * all-zero value".
 */
static int x25519(const uint8_t pub[X25519_LEN], struct buf *reply,
		  uint8_t secret[X25519_LEN])
{
	static const uint8_t zero[X25519_LEN];
	EVP_PKEY *mine = NULL, *peer = NULL;
	size_t len = X25519_LEN;
	uint8_t *p;
	int err = -EIO;

	mine = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	peer = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, pub, len);
	if (!mine || !peer)
		goto out;
	p = buf_put_space(reply, len);
	if (!p) {
		err = buf_error(reply);
		goto out;
	}
	if (EVP_PKEY_get_raw_public_key(mine, p, &len) != 1)
		goto out;
	err = agree(mine, peer, secret, X25519_LEN);
	if (!err && mem_equal(secret, zero, X25519_LEN))
		err = -EPROTO;
out:
	EVP_PKEY_free(mine);
	EVP_PKEY_free(peer);
	return err;
}

static int reply_x25519(const uint8_t *init, struct buf *reply,
			struct buf *secret)
{
	uint8_t k[X25519_LEN];
	int err;

	err = x25519(init, reply, k);
	if (!err)
		err = buf_put_mpint(secret, k, sizeof(k));
	mem_wipe(k, sizeof(k));
	return err;
}

/* A public key on the curve of @mine; libcrypto checks that it is there. */
static EVP_PKEY *p256_peer(EVP_PKEY *mine, const uint8_t *point)
{
	EVP_PKEY *peer = EVP_PKEY_new();

	if (peer && EVP_PKEY_copy_parameters(peer, mine) == 1 &&
	    EVP_PKEY_set1_encoded_public_key(peer, point, P256_POINT_LEN) == 1)
		return peer;
	EVP_PKEY_free(peer);
	return NULL;
}

/*
 * RFC 5656 4: "All elliptic curve public keys MUST be validated after they are
 * received." The cofactor is 1: on the curve and not infinity is enough, and
 * infinity has another length.
 */
static int reply_p256(const uint8_t *init, struct buf *reply,
		      struct buf *secret)
{
	EVP_PKEY *mine, *peer = NULL;
	uint8_t k[P256_LEN];
	uint8_t *pub = NULL;
	int err = -EIO;

	if (init[0] != 4) /* uncompressed */
		return -EPROTO;
	mine = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!mine)
		return -EIO;
	peer = p256_peer(mine, init);
	if (!peer) {
		err = -EPROTO;
		goto out;
	}
	if (EVP_PKEY_get1_encoded_public_key(mine, &pub) != P256_POINT_LEN)
		goto out;
	err = agree(mine, peer, k, sizeof(k));
	if (!err)
		err = buf_put_raw(reply, pub, P256_POINT_LEN);
	if (!err)
		err = buf_put_mpint(secret, k, sizeof(k));
out:
	mem_wipe(k, sizeof(k));
	OPENSSL_free(pub);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(peer);
	return err;
}

static int mlkem_encapsulate(const uint8_t *ek, uint8_t *ct,
			     uint8_t secret[MLKEM_SECRET_LEN])
{
	size_t ct_len = MLKEM_CT_LEN, secret_len = MLKEM_SECRET_LEN;
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *peer;
	int err = -EIO;

	/* refuses coefficients that are not reduced, FIPS 203 7.2 */
	peer = EVP_PKEY_new_raw_public_key_ex(NULL, "ML-KEM-768", NULL, ek,
					      MLKEM_EK_LEN);
	if (!peer)
		return -EPROTO;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
	if (ctx && EVP_PKEY_encapsulate_init(ctx, NULL) == 1 &&
	    EVP_PKEY_encapsulate(ctx, ct, &ct_len, secret, &secret_len) == 1 &&
	    ct_len == MLKEM_CT_LEN && secret_len == MLKEM_SECRET_LEN)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return err;
}

/*
 * draft-ietf-sshm-mlkem-hybrid-kex 2: C_INIT is the ML-KEM encapsulation key
 * and the X25519 public key, S_REPLY the ciphertext and ours;
 * "K = HASH(K_PQ || K_CL)", encoded as a string.
 */
static int reply_mlkem(const uint8_t *init, struct buf *reply,
		       struct buf *secret)
{
	uint8_t both[MLKEM_SECRET_LEN + X25519_LEN];
	uint8_t k[KEX_HASH_LEN];
	uint8_t *ct;
	int err;

	ct = buf_put_space(reply, MLKEM_CT_LEN);
	if (!ct)
		return buf_error(reply);
	err = mlkem_encapsulate(init, ct, both);
	if (!err)
		err = x25519(init + MLKEM_EK_LEN, reply,
			     both + MLKEM_SECRET_LEN);
	if (!err && EVP_Digest(both, sizeof(both), k, NULL,
			       crypto_md("SHA2-256"), NULL) != 1)
		err = -EIO;
	if (!err)
		err = buf_put_string(secret, k, sizeof(k));
	mem_wipe(both, sizeof(both));
	mem_wipe(k, sizeof(k));
	return err;
}

int kex_alg_reply(const struct kex_alg *alg, const uint8_t *init, size_t len,
		  struct buf *reply, struct buf *secret)
{
	int err;

	if (len != alg->init_len)
		return -EPROTO;
	err = crypto_init();
	if (err)
		return err;
	switch ((enum kex_method)alg->method) {
	case METHOD_X25519:
		err = reply_x25519(init, reply, secret);
		break;
	case METHOD_P256:
		err = reply_p256(init, reply, secret);
		break;
	case METHOD_MLKEM:
		err = reply_mlkem(init, reply, secret);
		break;
	}
	if (err)
		ERR_clear_error();
	return err;
}

/* Any public value will do: the base points, and an all-zero ML-KEM key. */
static int try_method(const struct kex_alg *alg)
{
	static const uint8_t p256_base[P256_POINT_LEN] = {
		0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8,
		0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d,
		0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8,
		0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f,
		0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b,
		0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40,
		0x68, 0x37, 0xbf, 0x51, 0xf5,
	};
	uint8_t init[MLKEM_EK_LEN + X25519_LEN] = { 0 };
	struct buf reply, secret;
	int err;

	init[alg->init_len - X25519_LEN] = 9;
	if (alg->method == METHOD_P256)
		memcpy(init, p256_base, sizeof(p256_base));
	buf_init(&reply, BUF_MAX_DEFAULT);
	buf_init(&secret, BUF_MAX_DEFAULT);
	err = kex_alg_reply(alg, init, alg->init_len, &reply, &secret);
	buf_free(&reply);
	buf_free(&secret);
	return err;
}

int kex_prepare(void)
{
	const struct kex_alg *alg;
	int err;

	err = crypto_init();
	if (!err)
		err = crypto_warm_random();
	if (!err)
		err = cipher_prepare();
	for (alg = kex_algs; !err && alg->name; alg++)
		if (kex_alg_available(alg))
			err = try_method(alg);
	return err;
}
