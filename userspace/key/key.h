/* SPDX-License-Identifier: MIT */
/* Host and user keys: blobs (RFC 4253 6.6), files, signatures. */
#ifndef KSSH_KEY_KEY_H
#define KSSH_KEY_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/buf.h"

enum key_type {
	KEY_ED25519,
	KEY_ECDSA_P256,
	KEY_RSA,
};

struct key;

/*
 * Load a private key file of OpenSSH's own format ("openssh-key-v1") or PEM,
 * unencrypted. 0; -ENOENT, -EACCES ...: cannot be read; -EPERM others may read
 * it; -EINVAL not a key; -ENOKEY has a passphrase; -EOPNOTSUPP type.
 */
int key_load_private(const char *path, struct key **key);
/*
 * Parse a public key blob; -EPROTO malformed, -EOPNOTSUPP type, -EINVAL weak
 * (RSA below 2048 bits) or beyond what we compute with (above 16384).
 */
int key_from_blob(const uint8_t *blob, size_t len, struct key **key);
void key_free(struct key *key);

enum key_type key_get_type(const struct key *key);
/* Key format name: "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa". */
const char *key_type_name(const struct key *key);
/* The public key blob, valid as long as the key. */
const uint8_t *key_blob(const struct key *key, size_t *len);
/* "SHA256:..." as ssh-keygen -l prints it; @out of 64 bytes or more. */
int key_fingerprint(const struct key *key, char *out, size_t out_len);

/*
 * Signature algorithms: ssh-ed25519, ecdsa-sha2-nistp256, rsa-sha2-256,
 * rsa-sha2-512 (RFC 8332). Does this key serve @alg?
 */
bool key_has_alg(const struct key *key, const char *alg);
/* Signature blob (string alg, string sig) appended raw to @sig; 0 or -errno. */
int key_sign(const struct key *key, const char *alg, const void *data,
	     size_t len, struct buf *sig);
/* 0; -EBADMSG wrong signature; -EPROTO malformed or algorithm differs. */
int key_verify(const struct key *key, const char *alg, const void *data,
	       size_t len, const uint8_t *sig, size_t sig_len);

#endif
