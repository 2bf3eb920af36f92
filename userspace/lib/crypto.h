/* SPDX-License-Identifier: MIT */
/* libcrypto: set up without files, algorithms fetched once a process. */
#ifndef KSSH_LIB_CRYPTO_H
#define KSSH_LIB_CRYPTO_H

#include <openssl/evp.h>

/*
 * No configuration file, no error strings, no atexit handler: nothing is
 * opened later, in a sandbox. Called by whoever uses libcrypto; cheap after
 * the first time. 0 or -EIO.
 */
int crypto_init(void);
/* Seed the generators, so that later calls need getrandom(2) at most. */
int crypto_warm_random(void);

/*
 * Algorithms by their libcrypto name, a string literal; kept for the life of
 * the process. NULL: libcrypto lacks it.
 */
const EVP_CIPHER *crypto_cipher(const char *name);
const EVP_MD *crypto_md(const char *name);
EVP_MAC *crypto_mac(const char *name);

#endif
