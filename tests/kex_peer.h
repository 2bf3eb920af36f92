/* SPDX-License-Identifier: MIT */
/*
 * The client of a key exchange, as small as it can be, and an owner that
 * keeps what the server's side sends. With libcrypto's own SSH KDF, so that
 * nothing of kex/ is compared with itself.
 */
#ifndef KSSH_TESTS_KEX_PEER_H
#define KSSH_TESTS_KEX_PEER_H

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "core/core.h"
#include "harness.h"
#include "kex/kex.h"
#include "key/key.h"
#include "key_data.h"
#include "lib/mem.h"
#include "packet/cipher.h"

#define V_C	"SSH-2.0-peer_1.0"
#define V_S	"SSH-2.0-kssh_test"
#define SENT_MAX	16

enum { HOST_ED25519, HOST_P256, HOST_RSA, HOST_KEYS };

struct sent {
	uint8_t *p;
	size_t len;
};

/* The owner of a struct kex. */
struct owner {
	struct key *keys[HOST_KEYS];
	struct sent sent[SENT_MAX];
	size_t nr_sent;
	size_t nr_tx_keys;
	size_t nr_rx_keys;
	size_t sent_at_tx_keys; /* messages sent when TX keys came */
	struct newkeys tx;
	struct newkeys rx;
	bool tx_reset;
	bool rx_reset;
	bool signed_first;
	int fail_send;  /* error to give */
	int fail_sign;
	int fail_host_key;
	int fail_newkeys;
};

struct peer {
	const char *kex;
	const char *hostkey;
	const char *ciphers;
	const char *macs;
	const char *comp;
	bool follows;
	struct buf init; /* I_C */
	struct buf q_c;
	EVP_PKEY *dh;
	EVP_PKEY *kem;
	struct buf secret; /* K as it is hashed */
	uint8_t hash[32];
	uint8_t session_id[32];
	bool have_session;
};

static struct key *load_text(const char *text)
{
	char path[] = "/tmp/kssh-kex-XXXXXX";
	struct key *key = NULL;
	int fd;

	fd = mkstemp(path);
	ASSERT_LE(0, fd);
	ASSERT_EQ(strlen(text), write(fd, text, strlen(text)));
	close(fd);
	ASSERT_EQ(0, key_load_private(path, &key));
	unlink(path);
	return key;
}

static struct key *owner_key(struct owner *owner, const char *alg)
{
	int i;

	for (i = 0; i < HOST_KEYS; i++)
		if (key_has_alg(owner->keys[i], alg))
			return owner->keys[i];
	return NULL;
}

static int owner_send(void *arg, const uint8_t *payload, size_t len)
{
	struct owner *owner = arg;
	struct sent *sent = &owner->sent[owner->nr_sent];

	if (owner->fail_send)
		return owner->fail_send;
	ASSERT_LT(owner->nr_sent, SENT_MAX);
	sent->p = malloc(len);
	memcpy(sent->p, payload, len);
	sent->len = len;
	owner->nr_sent++;
	return 0;
}

static int owner_host_key(void *arg, const char *alg, struct buf *blob)
{
	struct owner *owner = arg;
	struct key *key = owner_key(owner, alg);
	const uint8_t *p;
	size_t len;

	if (owner->fail_host_key)
		return owner->fail_host_key;
	if (!key)
		return -ENOENT;
	p = key_blob(key, &len);
	return buf_put_raw(blob, p, len);
}

static int owner_sign(void *arg, const char *alg, const uint8_t *data,
		      size_t len, bool first, struct buf *sig)
{
	struct owner *owner = arg;

	if (owner->fail_sign)
		return owner->fail_sign;
	owner->signed_first = first;
	return key_sign(owner_key(owner, alg), alg, data, len, sig);
}

static int owner_newkeys(void *arg, bool tx, const struct newkeys *keys,
			 bool seq_reset)
{
	struct owner *owner = arg;

	if (owner->fail_newkeys)
		return owner->fail_newkeys;
	if (tx) {
		owner->tx = *keys;
		owner->tx_reset = seq_reset;
		owner->nr_tx_keys++;
		owner->sent_at_tx_keys = owner->nr_sent;
	} else {
		owner->rx = *keys;
		owner->rx_reset = seq_reset;
		owner->nr_rx_keys++;
	}
	return 0;
}

static const struct kex_ops owner_ops TH_UNUSED = {
	.send = owner_send,
	.host_key = owner_host_key,
	.sign = owner_sign,
	.newkeys = owner_newkeys,
};

static TH_UNUSED void owner_init(struct owner *owner)
{
	memset(owner, 0, sizeof(*owner));
	owner->keys[HOST_ED25519] = load_text(key_ed25519);
	owner->keys[HOST_P256] = load_text(key_p256);
	owner->keys[HOST_RSA] = load_text(key_rsa2048);
}

static void owner_forget(struct owner *owner)
{
	size_t i;

	for (i = 0; i < owner->nr_sent; i++)
		free(owner->sent[i].p);
	owner->nr_sent = 0;
}

static TH_UNUSED void owner_exit(struct owner *owner)
{
	int i;

	owner_forget(owner);
	for (i = 0; i < HOST_KEYS; i++)
		key_free(owner->keys[i]);
}

static TH_UNUSED void peer_init(struct peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	peer->kex = "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com";
	peer->hostkey = "ssh-ed25519";
	peer->ciphers = "aes128-gcm@openssh.com";
	peer->macs = "hmac-sha2-256";
	peer->comp = "none";
	buf_init(&peer->init, 300000);
	buf_init(&peer->q_c, 4096);
	buf_init(&peer->secret, 4096);
}

static TH_UNUSED void peer_exit(struct peer *peer)
{
	buf_free(&peer->init);
	buf_free(&peer->q_c);
	buf_free(&peer->secret);
	EVP_PKEY_free(peer->dh);
	EVP_PKEY_free(peer->kem);
}

/* I_C, from the lists of @peer */
static TH_UNUSED void peer_fill_init(struct peer *peer)
{
	struct buf *out = &peer->init;

	buf_reset(out);
	buf_put_u8(out, SSH_MSG_KEXINIT);
	buf_put_raw(out, "cookie, 16 bytes", 16);
	buf_put_cstring(out, peer->kex);
	buf_put_cstring(out, peer->hostkey);
	buf_put_cstring(out, peer->ciphers);
	buf_put_cstring(out, peer->ciphers);
	buf_put_cstring(out, peer->macs);
	buf_put_cstring(out, peer->macs);
	buf_put_cstring(out, peer->comp);
	buf_put_cstring(out, peer->comp);
	buf_put_cstring(out, "");
	buf_put_cstring(out, "");
	buf_put_bool(out, peer->follows);
	buf_put_u32(out, 0);
	ASSERT_EQ(0, buf_error(out));
}

static void put_public(struct buf *out, EVP_PKEY *pkey)
{
	uint8_t *pub = NULL;
	size_t len;

	len = EVP_PKEY_get1_encoded_public_key(pkey, &pub);
	ASSERT_NE(0, len);
	buf_put_raw(out, pub, len);
	OPENSSL_free(pub);
}

static bool is_mlkem(const char *kex)
{
	return !strncmp(kex, "mlkem", 5);
}

/* SSH_MSG_KEX_ECDH_INIT for the method @kex */
static TH_UNUSED void peer_fill_ecdh_init(struct peer *peer, const char *kex,
					  struct buf *out)
{
	EVP_PKEY_free(peer->dh);
	EVP_PKEY_free(peer->kem);
	peer->kem = NULL;
	buf_reset(&peer->q_c);
	if (!strncmp(kex, "ecdh", 4))
		peer->dh = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	else
		peer->dh = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	ASSERT_NOT_NULL(peer->dh);
	if (is_mlkem(kex)) {
		peer->kem = EVP_PKEY_Q_keygen(NULL, NULL, "ML-KEM-768");
		ASSERT_NOT_NULL(peer->kem);
		put_public(&peer->q_c, peer->kem);
	}
	put_public(&peer->q_c, peer->dh);
	buf_put_u8(out, SSH_MSG_KEX_ECDH_INIT);
	buf_put_buf(out, &peer->q_c);
	ASSERT_EQ(0, buf_error(out));
}

static void peer_agree(struct peer *peer, const uint8_t *pub, size_t len,
		       uint8_t out[32])
{
	EVP_PKEY *theirs = EVP_PKEY_new();
	EVP_PKEY_CTX *ctx;
	size_t n = 32;

	ASSERT_EQ(1, EVP_PKEY_copy_parameters(theirs, peer->dh));
	ASSERT_EQ(1, EVP_PKEY_set1_encoded_public_key(theirs, pub, len));
	ctx = EVP_PKEY_CTX_new(peer->dh, NULL);
	ASSERT_EQ(1, EVP_PKEY_derive_init(ctx));
	ASSERT_EQ(1, EVP_PKEY_derive_set_peer(ctx, theirs));
	ASSERT_EQ(1, EVP_PKEY_derive(ctx, out, &n));
	ASSERT_EQ(32, n);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
}

static void peer_make_secret(struct peer *peer, const uint8_t *q_s, size_t len)
{
	uint8_t both[64], k[32];
	EVP_PKEY_CTX *ctx;
	size_t n = 32;

	buf_reset(&peer->secret);
	if (!peer->kem) {
		peer_agree(peer, q_s, len, k);
		buf_put_mpint(&peer->secret, k, 32);
		return;
	}
	ASSERT_EQ(1088 + 32, len);
	ctx = EVP_PKEY_CTX_new(peer->kem, NULL);
	ASSERT_EQ(1, EVP_PKEY_decapsulate_init(ctx, NULL));
	ASSERT_EQ(1, EVP_PKEY_decapsulate(ctx, both, &n, q_s, 1088));
	ASSERT_EQ(32, n);
	EVP_PKEY_CTX_free(ctx);
	peer_agree(peer, q_s + 1088, 32, both + 32);
	ASSERT_EQ(1, EVP_Digest(both, 64, k, NULL, EVP_sha256(), NULL));
	buf_put_string(&peer->secret, k, 32);
}

/* SSH_MSG_KEX_ECDH_REPLY: check the signature, know K and H. */
static TH_UNUSED void peer_take_reply(struct peer *peer, const char *alg,
				      const struct sent *init_s,
				      const struct sent *reply)
{
	size_t k_s_len, q_s_len, sig_len;
	const uint8_t *k_s, *q_s, *sig;
	struct buf in, data;
	struct key *key;
	uint8_t type;

	buf_ref(&in, reply->p, reply->len);
	ASSERT_EQ(0, buf_get_u8(&in, &type));
	ASSERT_EQ(SSH_MSG_KEX_ECDH_REPLY, type);
	ASSERT_EQ(0, buf_get_string(&in, &k_s, &k_s_len));
	ASSERT_EQ(0, buf_get_string(&in, &q_s, &q_s_len));
	ASSERT_EQ(0, buf_get_string(&in, &sig, &sig_len));
	ASSERT_EQ(0, buf_end(&in));
	peer_make_secret(peer, q_s, q_s_len);
	buf_init(&data, 500000);
	buf_put_cstring(&data, V_C);
	buf_put_cstring(&data, V_S);
	buf_put_buf(&data, &peer->init);
	buf_put_string(&data, init_s->p, init_s->len);
	buf_put_string(&data, k_s, k_s_len);
	buf_put_buf(&data, &peer->q_c);
	buf_put_string(&data, q_s, q_s_len);
	buf_put_raw(&data, buf_data(&peer->secret), buf_len(&peer->secret));
	ASSERT_EQ(0, buf_error(&data));
	ASSERT_EQ(1, EVP_Digest(buf_data(&data), buf_len(&data), peer->hash,
				NULL, EVP_sha256(), NULL));
	buf_free(&data);
	if (!peer->have_session)
		memcpy(peer->session_id, peer->hash, 32);
	peer->have_session = true;
	ASSERT_EQ(0, key_from_blob(k_s, k_s_len, &key));
	ASSERT_EQ(0, key_verify(key, alg, peer->hash, 32, sig, sig_len));
	key_free(key);
}

static void peer_derive(struct peer *peer, char x, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SSHKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[6];
	char type[2] = { x };

	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						     (char *)"SHA256", 0);
	params[1] = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_KEY, (void *)buf_data(&peer->secret),
		buf_len(&peer->secret));
	params[2] = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_SSHKDF_XCGHASH, peer->hash, 32);
	params[3] = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_SSHKDF_SESSION_ID, peer->session_id, 32);
	params[4] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_SSHKDF_TYPE,
						     type, 0);
	params[5] = OSSL_PARAM_construct_end();
	if (len)
		ASSERT_EQ(1, EVP_KDF_derive(ctx, out, len, params));
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* Are these the keys that the client has? */
static TH_UNUSED void peer_check_keys(struct peer *peer, bool c2s,
				      const struct newkeys *keys)
{
	uint8_t out[64];

	ASSERT_EQ(0, newkeys_check(keys));
	peer_derive(peer, c2s ? 'A' : 'B', out, keys->iv_len);
	EXPECT_MEMEQ(out, keys->iv, keys->iv_len);
	peer_derive(peer, c2s ? 'C' : 'D', out, keys->key_len);
	EXPECT_MEMEQ(out, keys->key, keys->key_len);
	peer_derive(peer, c2s ? 'E' : 'F', out, keys->mac_key_len);
	EXPECT_MEMEQ(out, keys->mac_key, keys->mac_key_len);
}

#endif
