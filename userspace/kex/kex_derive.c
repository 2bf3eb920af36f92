// SPDX-License-Identifier: MIT
/* Exchange hash and keys: RFC 5656 4, RFC 4253 7.2. All with SHA-256. */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "kex/internal.h"
#include "lib/crypto.h"
#include "lib/mem.h"

static int hash_string(EVP_MD_CTX *ctx, const void *p, size_t len)
{
	uint8_t be[4];

	kssh_put_be32(be, len);
	if (EVP_DigestUpdate(ctx, be, 4) != 1 ||
	    EVP_DigestUpdate(ctx, p, len) != 1)
		return -EIO;
	return 0;
}

static int hash_buf(EVP_MD_CTX *ctx, const struct buf *buf)
{
	return hash_string(ctx, buf_data(buf), buf_len(buf));
}

static int hash_raw(EVP_MD_CTX *ctx, const void *p, size_t len)
{
	return EVP_DigestUpdate(ctx, p, len) == 1 ? 0 : -EIO;
}

/*
 * RFC 5656 4: "string V_C, string V_S, string I_C, string I_S, string K_S,
 * string Q_C, string Q_S, mpint K". K is a string in the ML-KEM hybrids.
 */
int kex_exchange_hash(const struct kex_hash_input *in,
		      uint8_t hash[KEX_HASH_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int err = -EIO;

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestInit_ex2(ctx, crypto_md("SHA2-256"), NULL) != 1 ||
	    hash_string(ctx, in->client_version, strlen(in->client_version)) ||
	    hash_string(ctx, in->server_version, strlen(in->server_version)) ||
	    hash_buf(ctx, in->client_init) || hash_buf(ctx, in->server_init) ||
	    hash_buf(ctx, in->host_key) ||
	    hash_string(ctx, in->q_c, in->q_c_len) || hash_buf(ctx, in->q_s) ||
	    hash_raw(ctx, buf_data(in->secret), buf_len(in->secret)))
		goto out;
	if (EVP_DigestFinal_ex(ctx, hash, NULL) == 1)
		err = 0;
out:
	EVP_MD_CTX_free(ctx);
	return err;
}

/* What all six keys of an exchange are made from. */
struct derive {
	EVP_MD_CTX *ctx;
	const struct buf *secret;
	const uint8_t *hash;
	const uint8_t *session_id;
	size_t session_id_len;
};

/*
 * RFC 4253 7.2: "K1 = HASH(K || H || X || session_id)   (X is e.g., "A")
 * K2 = HASH(K || H || K1), K3 = HASH(K || H || K1 || K2) ...
 * key = K1 || K2 || K3 || ..."
 */
static int derive_one(const struct derive *d, char x, uint8_t *key, size_t len)
{
	uint8_t out[4 * KEX_HASH_LEN];
	size_t have = 0;
	int err = -EIO;

	while (have < len && have < sizeof(out)) {
		if (EVP_DigestInit_ex2(d->ctx, crypto_md("SHA2-256"), NULL) !=
			    1 ||
		    hash_raw(d->ctx, buf_data(d->secret), buf_len(d->secret)) ||
		    hash_raw(d->ctx, d->hash, KEX_HASH_LEN))
			goto out;
		if (have) {
			if (hash_raw(d->ctx, out, have))
				goto out;
		} else if (hash_raw(d->ctx, &x, 1) ||
			   hash_raw(d->ctx, d->session_id, d->session_id_len)) {
			goto out;
		}
		if (EVP_DigestFinal_ex(d->ctx, out + have, NULL) != 1)
			goto out;
		have += KEX_HASH_LEN;
	}
	if (have < len)
		goto out;
	memcpy(key, out, len);
	err = 0;
out:
	mem_wipe(out, sizeof(out));
	return err;
}

int kex_derive(const struct buf *secret, const uint8_t hash[KEX_HASH_LEN],
	       const uint8_t *session_id, size_t session_id_len,
	       const struct kex_choice *choice, bool c2s, struct newkeys *keys)
{
	const struct cipher_desc *cipher;
	const struct mac_desc *mac;
	struct derive d = {
		.ctx = EVP_MD_CTX_new(),
		.secret = secret,
		.hash = hash,
		.session_id = session_id,
		.session_id_len = session_id_len,
	};
	int err = -EIO;

	if (!d.ctx)
		return -ENOMEM;
	cipher = c2s ? choice->cipher_c2s : choice->cipher_s2c;
	mac = c2s ? choice->mac_c2s : choice->mac_s2c;
	memset(keys, 0, sizeof(*keys));
	keys->cipher = cipher->id;
	keys->key_len = cipher->key_len;
	keys->iv_len = cipher->iv_len;
	keys->mac = mac ? mac->id : KSSH_MAC_IMPLICIT;
	keys->mac_key_len = mac ? mac->key_len : 0;
	if (derive_one(&d, c2s ? 'A' : 'B', keys->iv, keys->iv_len) ||
	    derive_one(&d, c2s ? 'C' : 'D', keys->key, keys->key_len) ||
	    derive_one(&d, c2s ? 'E' : 'F', keys->mac_key, keys->mac_key_len))
		goto out;
	err = newkeys_check(keys);
out:
	if (err)
		mem_wipe(keys, sizeof(*keys));
	EVP_MD_CTX_free(d.ctx);
	return err;
}
