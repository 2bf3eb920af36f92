// SPDX-License-Identifier: MIT
/* Signatures: RFC 4253 6.6, RFC 5656 3.1.2, RFC 8332 3, RFC 8709 6. */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <stdlib.h>
#include <string.h>

#include "key/pkey.h"
#include "lib/crypto.h"
#include "lib/mem.h"

#define DER_MAX		80	/* of a P-256 signature */

static const struct sig_alg {
	const char *name;
	enum key_type type;
	const char *md; /* NULL: the algorithm hashes itself */
} sig_algs[] = {
	{ "ssh-ed25519", KEY_ED25519, NULL },
	{ "ecdsa-sha2-nistp256", KEY_ECDSA_P256, "SHA2-256" },
	{ "rsa-sha2-512", KEY_RSA, "SHA2-512" },
	{ "rsa-sha2-256", KEY_RSA, "SHA2-256" },
};

static const struct sig_alg *find_alg(const struct key *key, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sig_algs); i++)
		if (sig_algs[i].type == key->type &&
		    !strcmp(sig_algs[i].name, name))
			return &sig_algs[i];
	return NULL;
}

bool key_has_alg(const struct key *key, const char *alg)
{
	return !!find_alg(key, alg);
}

/* RFC 5656 3.1.2: "mpint r, mpint s", as a string */
static int put_ecdsa(struct buf *out, const uint8_t *der, size_t len)
{
	uint8_t num[P256_LEN];
	const BIGNUM *r, *s;
	ECDSA_SIG *sig;
	struct buf pair;
	int err = -EIO;

	buf_init(&pair, 256);
	sig = d2i_ECDSA_SIG(NULL, &der, len);
	if (!sig)
		return -EIO;
	ECDSA_SIG_get0(sig, &r, &s);
	if (BN_bn2binpad(r, num, sizeof(num)) != sizeof(num))
		goto out;
	buf_put_mpint(&pair, num, sizeof(num));
	if (BN_bn2binpad(s, num, sizeof(num)) != sizeof(num))
		goto out;
	buf_put_mpint(&pair, num, sizeof(num));
	err = buf_error(&pair);
	if (!err)
		err = buf_put_buf(out, &pair);
out:
	ECDSA_SIG_free(sig);
	buf_free(&pair);
	return err;
}

static int raw_sign(const struct key *key, const EVP_MD *md, const void *data,
		    size_t len, uint8_t *sig, size_t *sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int err = -EIO;

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestSignInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
	    EVP_DigestSign(ctx, sig, sig_len, data, len) == 1)
		err = 0;
	EVP_MD_CTX_free(ctx);
	return err;
}

int key_sign(const struct key *key, const char *alg, const void *data,
	     size_t len, struct buf *sig)
{
	const struct sig_alg *row = find_alg(key, alg);
	uint8_t raw[RSA_BITS_MAX / 8];
	size_t raw_len = sizeof(raw);
	const EVP_MD *md = NULL;
	int err;

	if (!row)
		return -EOPNOTSUPP;
	if (row->md) {
		md = crypto_md(row->md);
		if (!md)
			return -EOPNOTSUPP;
	}
	err = raw_sign(key, md, data, len, raw, &raw_len);
	if (err)
		return err;
	buf_put_cstring(sig, alg);
	if (key->type == KEY_ECDSA_P256)
		err = put_ecdsa(sig, raw, raw_len);
	else
		err = buf_put_string(sig, raw, raw_len);
	return err ? err : buf_error(sig);
}

/* The two mpints of an ECDSA signature as DER. */
static int ecdsa_to_der(const uint8_t *p, size_t len, uint8_t der[DER_MAX],
			size_t *der_len)
{
	const uint8_t *r, *s;
	size_t r_len, s_len;
	BIGNUM *bn_r, *bn_s;
	ECDSA_SIG *sig;
	struct buf in;
	int n = -1;

	buf_ref(&in, p, len);
	if (buf_get_mpint(&in, &r, &r_len) || buf_get_mpint(&in, &s, &s_len) ||
	    buf_end(&in))
		return -EPROTO;
	if (r_len > P256_LEN || s_len > P256_LEN)
		return -EPROTO;
	sig = ECDSA_SIG_new();
	bn_r = BN_bin2bn(r, r_len, NULL);
	bn_s = BN_bin2bn(s, s_len, NULL);
	if (!sig || !bn_r || !bn_s || ECDSA_SIG_set0(sig, bn_r, bn_s) != 1) {
		BN_free(bn_r);
		BN_free(bn_s);
	} else if (i2d_ECDSA_SIG(sig, NULL) <= DER_MAX) {
		n = i2d_ECDSA_SIG(sig, &der);
	}
	ECDSA_SIG_free(sig);
	if (n < 0)
		return -ENOMEM;
	*der_len = n;
	return 0;
}

/* The bytes libcrypto wants, from those of the signature blob. */
static int raw_from_blob(const struct key *key, const uint8_t *p, size_t len,
			 uint8_t *raw, size_t *raw_len)
{
	size_t want = EVP_PKEY_get_size(key->pkey);

	switch (key->type) {
	case KEY_ECDSA_P256:
		return ecdsa_to_der(p, len, raw, raw_len);
	case KEY_ED25519:
		if (len != ED25519_SIG_LEN)
			return -EPROTO;
		break;
	case KEY_RSA:
		/* some peers drop leading zeros, as if it were an mpint */
		if (!len || len > want)
			return -EPROTO;
		memset(raw, 0, want - len);
		memcpy(raw + want - len, p, len);
		*raw_len = want;
		return 0;
	}
	memcpy(raw, p, len);
	*raw_len = len;
	return 0;
}

static int raw_verify(const struct key *key, const EVP_MD *md, const void *data,
		      size_t len, const uint8_t *raw, size_t raw_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int err = -EIO;

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->pkey) == 1)
		err = EVP_DigestVerify(ctx, raw, raw_len, data, len) == 1 ?
			      0 :
			      -EBADMSG;
	EVP_MD_CTX_free(ctx);
	return err;
}

/*
 * RFC 4253 6.6: "string signature format identifier (as specified by the
 * public key/certificate format), byte[n] signature blob in format specific
 * encoding"; RFC 8332 3.2: the identifier must be that which was agreed on.
 */
int key_verify(const struct key *key, const char *alg, const void *data,
	       size_t len, const uint8_t *sig, size_t sig_len)
{
	const struct sig_alg *row = find_alg(key, alg);
	uint8_t raw[RSA_BITS_MAX / 8];
	const uint8_t *name, *p;
	size_t name_len, p_len, raw_len;
	const EVP_MD *md = NULL;
	struct buf in;
	int err;

	if (!row)
		return -EOPNOTSUPP;
	buf_ref(&in, sig, sig_len);
	if (buf_get_string(&in, &name, &name_len) ||
	    buf_get_string(&in, &p, &p_len) || buf_end(&in))
		return -EPROTO;
	if (name_len != strlen(alg) || memcmp(name, alg, name_len))
		return -EPROTO;
	err = raw_from_blob(key, p, p_len, raw, &raw_len);
	if (err)
		return err;
	if (row->md) {
		md = crypto_md(row->md);
		if (!md)
			return -EOPNOTSUPP;
	}
	return raw_verify(key, md, data, len, raw, raw_len);
}
