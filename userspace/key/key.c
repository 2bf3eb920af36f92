// SPDX-License-Identifier: MIT
/* Public keys: blobs and names, RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4. */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "key/pkey.h"
#include "lib/crypto.h"
#include "lib/mem.h"

#define BLOB_MAX	(4 * RSA_BITS_MAX / 8)

static const char *const type_names[] = {
	[KEY_ED25519] = "ssh-ed25519",
	[KEY_ECDSA_P256] = "ecdsa-sha2-nistp256",
	[KEY_RSA] = "ssh-rsa",
};

/* A key from numbers; @selection is EVP_PKEY_PUBLIC_KEY or _KEYPAIR. */
static EVP_PKEY *from_params(const char *type, int selection,
			     OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, selection, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return pkey;
}

/* RFC 5656 3.1: Q is "encoded ... using the SEC1 Octet String form". */
EVP_PKEY *pkey_p256(const uint8_t *point, const uint8_t *priv, size_t priv_len)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *d = NULL;
	EVP_PKEY *pkey = NULL;

	if (!bld ||
	    !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
					     "prime256v1", 0) ||
	    !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
					      point, P256_POINT_LEN))
		goto out;
	if (priv) {
		d = BN_secure_new();
		if (!d || !BN_bin2bn(priv, priv_len, d) ||
		    !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d))
			goto out;
	}
	pkey = from_params("EC", priv ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
			   bld);
out:
	BN_clear_free(d);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

EVP_PKEY *pkey_rsa_public(const uint8_t *n, size_t n_len, const uint8_t *e,
			  size_t e_len)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *bn_n = BN_bin2bn(n, n_len, NULL);
	BIGNUM *bn_e = BN_bin2bn(e, e_len, NULL);
	EVP_PKEY *pkey = NULL;

	if (bld && bn_n && bn_e &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e))
		pkey = from_params("RSA", EVP_PKEY_PUBLIC_KEY, bld);
	BN_free(bn_n);
	BN_free(bn_e);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

/* RFC 8709 4: "string "ssh-ed25519", string key ... 32 octets" */
static int parse_ed25519(struct buf *in, EVP_PKEY **pkey)
{
	const uint8_t *pub;
	size_t len;

	if (buf_get_string(in, &pub, &len) || buf_end(in) || len != ED25519_LEN)
		return -EPROTO;
	*pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, pub, len);
	return *pkey ? 0 : -EPROTO;
}

/*
 * RFC 5656 3.1: "string [identifier], string Q". libcrypto refuses a point
 * that is not on the curve; the point at infinity has another length.
 */
static int parse_p256(struct buf *in, EVP_PKEY **pkey)
{
	const uint8_t *curve, *point;
	size_t curve_len, len;

	if (buf_get_string(in, &curve, &curve_len) ||
	    buf_get_string(in, &point, &len) || buf_end(in))
		return -EPROTO;
	if (curve_len != 8 || memcmp(curve, "nistp256", 8))
		return -EPROTO;
	if (len != P256_POINT_LEN || point[0] != 4)
		return -EPROTO;
	*pkey = pkey_p256(point, NULL, 0);
	return *pkey ? 0 : -EPROTO;
}

/* RFC 4253 6.6: "string "ssh-rsa", mpint e, mpint n" */
static int parse_rsa(struct buf *in, EVP_PKEY **pkey)
{
	const uint8_t *e, *n;
	size_t e_len, n_len;

	if (buf_get_mpint(in, &e, &e_len) || buf_get_mpint(in, &n, &n_len) ||
	    buf_end(in))
		return -EPROTO;
	if (!n_len || !e_len)
		return -EPROTO;
	if (n_len < RSA_BITS_MIN / 8 || n_len > RSA_BITS_MAX / 8 ||
	    (n_len == RSA_BITS_MIN / 8 && !(n[0] & 0x80)) ||
	    !(n[n_len - 1] & 1))
		return -EINVAL;
	if (e_len > RSA_E_MAX || !(e[e_len - 1] & 1) ||
	    (e_len == 1 && e[0] < 3))
		return -EINVAL;
	*pkey = pkey_rsa_public(n, n_len, e, e_len);
	return *pkey ? 0 : -EPROTO;
}

static int parse_blob(struct buf *in, enum key_type *type, EVP_PKEY **pkey)
{
	const uint8_t *name;
	size_t i, len;

	if (buf_get_string(in, &name, &len))
		return -EPROTO;
	for (i = 0; i < ARRAY_SIZE(type_names); i++)
		if (strlen(type_names[i]) == len &&
		    !memcmp(type_names[i], name, len))
			break;
	*type = i;
	switch (i) {
	case KEY_ED25519:
		return parse_ed25519(in, pkey);
	case KEY_ECDSA_P256:
		return parse_p256(in, pkey);
	case KEY_RSA:
		return parse_rsa(in, pkey);
	default:
		return -EOPNOTSUPP;
	}
}

static int alloc(enum key_type type, EVP_PKEY *pkey, struct key **key)
{
	*key = calloc(1, sizeof(**key));
	if (!*key)
		return -ENOMEM;
	(*key)->type = type;
	(*key)->pkey = pkey;
	buf_init(&(*key)->blob, BLOB_MAX);
	return 0;
}

int key_from_blob(const uint8_t *blob, size_t len, struct key **key)
{
	EVP_PKEY *pkey = NULL;
	enum key_type type;
	struct buf in;
	int err;

	if (len > BLOB_MAX)
		return -EINVAL;
	if (crypto_init())
		return -EIO;
	buf_ref(&in, blob, len);
	err = parse_blob(&in, &type, &pkey);
	if (!err)
		err = alloc(type, pkey, key);
	if (err) {
		EVP_PKEY_free(pkey);
		return err;
	}
	err = buf_put_raw(&(*key)->blob, blob, len);
	if (err) {
		key_free(*key);
		*key = NULL;
	}
	return err;
}

static int put_bn(struct buf *out, EVP_PKEY *pkey, const char *name)
{
	uint8_t num[RSA_BITS_MAX / 8];
	BIGNUM *bn = NULL;
	int err = -EIO;
	int len;

	if (EVP_PKEY_get_bn_param(pkey, name, &bn) != 1)
		return -EIO;
	len = BN_num_bytes(bn);
	if (len <= (int)sizeof(num) && BN_bn2bin(bn, num) == len)
		err = buf_put_mpint(out, num, len);
	BN_free(bn);
	return err;
}

static int put_p256(struct buf *out, EVP_PKEY *pkey)
{
	uint8_t point[P256_POINT_LEN] = { 4 };
	BIGNUM *x = NULL, *y = NULL;
	int err = -EIO;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
	    BN_bn2binpad(x, point + 1, P256_LEN) == P256_LEN &&
	    BN_bn2binpad(y, point + 1 + P256_LEN, P256_LEN) == P256_LEN) {
		buf_put_cstring(out, "nistp256");
		err = buf_put_string(out, point, sizeof(point));
	}
	BN_free(x);
	BN_free(y);
	return err;
}

static int put_blob(struct key *key)
{
	uint8_t pub[ED25519_LEN];
	size_t len = sizeof(pub);
	struct buf *out = &key->blob;
	int err;

	buf_put_cstring(out, key_type_name(key));
	switch (key->type) {
	case KEY_ED25519:
		if (EVP_PKEY_get_raw_public_key(key->pkey, pub, &len) != 1)
			return -EIO;
		return buf_put_string(out, pub, len);
	case KEY_ECDSA_P256:
		return put_p256(out, key->pkey);
	case KEY_RSA:
		err = put_bn(out, key->pkey, OSSL_PKEY_PARAM_RSA_E);
		if (!err)
			err = put_bn(out, key->pkey, OSSL_PKEY_PARAM_RSA_N);
		return err;
	}
	return -EINVAL;
}

static int type_of(EVP_PKEY *pkey, enum key_type *type)
{
	char group[32];
	size_t len;

	if (EVP_PKEY_is_a(pkey, "ED25519")) {
		*type = KEY_ED25519;
		return 0;
	}
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		*type = KEY_RSA;
		if (EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN ||
		    EVP_PKEY_get_bits(pkey) > RSA_BITS_MAX)
			return -EINVAL;
		return 0;
	}
	if (EVP_PKEY_is_a(pkey, "EC") &&
	    EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 &&
	    (!strcmp(group, "prime256v1") || !strcmp(group, "P-256"))) {
		*type = KEY_ECDSA_P256;
		return 0;
	}
	return -EOPNOTSUPP;
}

int key_from_pkey(EVP_PKEY *pkey, struct key **key)
{
	enum key_type type;
	int err;

	err = type_of(pkey, &type);
	if (!err)
		err = alloc(type, pkey, key);
	if (err)
		return err;
	err = put_blob(*key);
	if (err) {
		(*key)->pkey = NULL;
		key_free(*key);
		*key = NULL;
	}
	return err;
}

void key_free(struct key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	buf_free(&key->blob);
	free(key);
}

enum key_type key_get_type(const struct key *key)
{
	return key->type;
}

const char *key_type_name(const struct key *key)
{
	return type_names[key->type];
}

const uint8_t *key_blob(const struct key *key, size_t *len)
{
	*len = buf_len(&key->blob);
	return buf_data(&key->blob);
}

int key_fingerprint(const struct key *key, char *out, size_t out_len)
{
	uint8_t hash[32];
	char *end;

	if (out_len < 64)
		return -EINVAL;
	if (EVP_Digest(buf_data(&key->blob), buf_len(&key->blob), hash, NULL,
		       crypto_md("SHA2-256"), NULL) != 1)
		return -EIO;
	memcpy(out, "SHA256:", 7);
	EVP_EncodeBlock((uint8_t *)out + 7, hash, sizeof(hash));
	end = strchr(out, '=');
	if (end)
		*end = 0;
	return 0;
}
