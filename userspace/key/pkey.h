/* SPDX-License-Identifier: MIT */
/* Inside of key/: a key is libcrypto's key and its blob. */
#ifndef KSSH_KEY_PKEY_H
#define KSSH_KEY_PKEY_H

#include <openssl/evp.h>
#include "key/key.h"

#define ED25519_LEN	32
#define ED25519_SIG_LEN	64
#define P256_LEN	32
#define P256_POINT_LEN	65	/* 0x04, x, y */
#define RSA_BITS_MIN	2048
#define RSA_BITS_MAX	16384
#define RSA_E_MAX	8	/* bytes; more makes checking needlessly slow */

/**
 * struct key - a public or private key
 * @type: which
 * @pkey: libcrypto's
 * @blob: public key blob
 */
struct key {
	enum key_type type;
	EVP_PKEY *pkey;
	struct buf blob;
};

/* Takes @pkey over if it returns 0; -EOPNOTSUPP, -EINVAL weak. */
int key_from_pkey(EVP_PKEY *pkey, struct key **key);
/* libcrypto key of public numbers, or of both; NULL: not a key. */
EVP_PKEY *pkey_p256(const uint8_t *point, const uint8_t *priv, size_t priv_len);
EVP_PKEY *pkey_rsa_public(const uint8_t *n, size_t n_len, const uint8_t *e,
			  size_t e_len);

#endif
