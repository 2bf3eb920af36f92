// SPDX-License-Identifier: MIT
/* libcrypto: set up without files, algorithms fetched once a process. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/mem.h"

enum alg_kind { ALG_CIPHER, ALG_MD, ALG_MAC };

#define ALG_MAX	24

/* Filled from the front; never emptied. One lock, no threads in the daemon. */
static struct {
	enum alg_kind kind;
	const char *name;
	void *alg;
} algs[ALG_MAX];
static size_t algs_len;
static bool algs_lock;

int crypto_init(void)
{
	static bool done;
	const uint64_t opts = OPENSSL_INIT_NO_LOAD_CONFIG |
			      OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
			      OPENSSL_INIT_NO_ATEXIT;

	if (done)
		return 0;
	if (OPENSSL_init_crypto(opts, NULL) != 1)
		return -EIO;
	done = true;
	return 0;
}

int crypto_warm_random(void)
{
	uint8_t buf[32];
	int err = 0;

	if (crypto_init() || RAND_bytes(buf, sizeof(buf)) != 1 ||
	    RAND_priv_bytes(buf, sizeof(buf)) != 1)
		err = -EIO;
	/* libc maps a page for getrandom(3) when it is first called */
	if (!err)
		err = mem_random(buf, sizeof(buf));
	mem_wipe(buf, sizeof(buf));
	return err;
}

static void *fetch(enum alg_kind kind, const char *name)
{
	switch (kind) {
	case ALG_CIPHER:
		return EVP_CIPHER_fetch(NULL, name, NULL);
	case ALG_MD:
		return EVP_MD_fetch(NULL, name, NULL);
	case ALG_MAC:
		return EVP_MAC_fetch(NULL, name, NULL);
	}
	return NULL;
}

static void *lookup(enum alg_kind kind, const char *name)
{
	void *alg = NULL;
	size_t i;

	if (crypto_init())
		return NULL;
	while (__atomic_test_and_set(&algs_lock, __ATOMIC_ACQUIRE))
		;
	for (i = 0; i < algs_len; i++) {
		if (algs[i].kind != kind || strcmp(algs[i].name, name))
			continue;
		alg = algs[i].alg;
		goto out;
	}
	if (algs_len == ALG_MAX)
		goto out;
	alg = fetch(kind, name);
	if (!alg)
		goto out;
	algs[algs_len].kind = kind;
	algs[algs_len].name = name;
	algs[algs_len].alg = alg;
	algs_len++;
out:
	__atomic_clear(&algs_lock, __ATOMIC_RELEASE);
	return alg;
}

const EVP_CIPHER *crypto_cipher(const char *name)
{
	return lookup(ALG_CIPHER, name);
}

const EVP_MD *crypto_md(const char *name)
{
	return lookup(ALG_MD, name);
}

EVP_MAC *crypto_mac(const char *name)
{
	return lookup(ALG_MAC, name);
}
