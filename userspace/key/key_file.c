// SPDX-License-Identifier: MIT
/* Private key files: OpenSSH's "openssh-key-v1", and PEM by libcrypto. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "key/pkey.h"
#include "lib/crypto.h"
#include "lib/mem.h"

#define FILE_LEN_MAX	(64 * 1024)

static const char begin_mark[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
static const char end_mark[] = "-----END OPENSSH PRIVATE KEY-----";
static const char magic[] = "openssh-key-v1"; /* its NUL belongs to it */

/* Whole file with a NUL behind it; for the owner only. */
static int read_file(const char *path, char **text, size_t *len)
{
	struct stat st;
	size_t have = 0;
	ssize_t n;
	char *p = NULL;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = -EINVAL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 1 ||
	    st.st_size > FILE_LEN_MAX)
		goto out;
	err = -EPERM;
	if (st.st_mode & 077)
		goto out;
	err = -ENOMEM;
	p = calloc(1, st.st_size + 1);
	if (!p)
		goto out;
	while (have < (size_t)st.st_size) {
		n = read(fd, p + have, st.st_size - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += n;
	}
	err = have == (size_t)st.st_size ? 0 : -EIO;
out:
	close(fd);
	if (err) {
		mem_free_secret(p, have);
		return err;
	}
	*text = p;
	*len = have;
	return 0;
}

/* Base64 between the marks, white space left out, in place. */
static int decode_body(char *text, struct buf *out)
{
	char *from = strstr(text, begin_mark) + strlen(begin_mark);
	char *end = strstr(from, end_mark);
	size_t n = 0, pad = 0;
	char *to = from;
	uint8_t *p;
	int len;

	if (!end)
		return -EINVAL;
	for (; from < end; from++)
		if (!strchr(" \t\r\n", *from))
			to[n++] = *from;
	while (n && pad < 2 && to[n - 1 - pad] == '=')
		pad++;
	p = n ? buf_put_space(out, n) : NULL;
	if (!p)
		return -EINVAL;
	len = EVP_DecodeBlock(p, (uint8_t *)to, n);
	if (len < 3)
		return -EINVAL;
	out->len -= n - (len - pad);
	return 0;
}

/* OpenSSH PROTOCOL.key: "string pub, string priv (64 bytes)" */
static int parse_ed25519(struct buf *in, EVP_PKEY **pkey)
{
	const uint8_t *pub, *priv;
	size_t pub_len, priv_len;

	if (buf_get_string(in, &pub, &pub_len) ||
	    buf_get_string(in, &priv, &priv_len) || pub_len != ED25519_LEN ||
	    priv_len != 2 * ED25519_LEN ||
	    memcmp(priv + ED25519_LEN, pub, ED25519_LEN))
		return -EINVAL;
	*pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, priv,
						ED25519_LEN);
	return *pkey ? 0 : -EINVAL;
}

/* OpenSSH PROTOCOL.key: "string curve, string Q, mpint d" */
static int parse_p256(struct buf *in, EVP_PKEY **pkey)
{
	const uint8_t *curve, *point, *priv;
	size_t curve_len, point_len, priv_len;

	if (buf_get_string(in, &curve, &curve_len) ||
	    buf_get_string(in, &point, &point_len) ||
	    buf_get_mpint(in, &priv, &priv_len))
		return -EINVAL;
	if (curve_len != 8 || memcmp(curve, "nistp256", 8) ||
	    point_len != P256_POINT_LEN || point[0] != 4 || !priv_len ||
	    priv_len > P256_LEN)
		return -EINVAL;
	*pkey = pkey_p256(point, priv, priv_len);
	return *pkey ? 0 : -EINVAL;
}

enum {
	RSA_N,
	RSA_E,
	RSA_D,
	RSA_IQMP,
	RSA_P,
	RSA_Q,
	RSA_DMP1,
	RSA_DMQ1,
	RSA_NUMS
};

static const char *const rsa_params[RSA_NUMS] = {
	[RSA_N] = OSSL_PKEY_PARAM_RSA_N,
	[RSA_E] = OSSL_PKEY_PARAM_RSA_E,
	[RSA_D] = OSSL_PKEY_PARAM_RSA_D,
	[RSA_IQMP] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
	[RSA_P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
	[RSA_Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,
	[RSA_DMP1] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
	[RSA_DMQ1] = OSSL_PKEY_PARAM_RSA_EXPONENT2,
};

/* d mod (prime - 1), which the file leaves out */
static BIGNUM *crt_exponent(const BIGNUM *d, const BIGNUM *prime)
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *out = BN_secure_new();
	BIGNUM *less = BN_dup(prime);
	int ok;

	ok = ctx && out && less && BN_sub_word(less, 1) && !BN_is_zero(less) &&
	     BN_mod(out, d, less, ctx);
	BN_clear_free(less);
	BN_CTX_free(ctx);
	if (ok)
		return out;
	BN_clear_free(out);
	return NULL;
}

/*
 * p q = n and iqmp q = 1 (mod p): with others libcrypto would sign all the
 * same, by @d, several times as slowly.
 */
static bool rsa_factors_fit(BIGNUM **nums)
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *product = BN_secure_new();
	bool ok;

	ok = ctx && product && BN_mul(product, nums[RSA_P], nums[RSA_Q], ctx) &&
	     !BN_cmp(product, nums[RSA_N]) &&
	     BN_mod_mul(product, nums[RSA_IQMP], nums[RSA_Q], nums[RSA_P],
			ctx) &&
	     BN_is_one(product);
	BN_clear_free(product);
	BN_CTX_free(ctx);
	return ok;
}

static EVP_PKEY *rsa_from_nums(BIGNUM **nums)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;
	bool ok = bld && ctx;
	int i;

	for (i = 0; ok && i < RSA_NUMS; i++)
		ok = nums[i] &&
		     OSSL_PARAM_BLD_push_BN(bld, rsa_params[i], nums[i]);
	if (ok)
		params = OSSL_PARAM_BLD_to_param(bld);
	if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		pkey = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

/* OpenSSH PROTOCOL.key: "mpint n, mpint e, mpint d, iqmp, p, q" */
static int parse_rsa(struct buf *in, EVP_PKEY **pkey)
{
	BIGNUM *nums[RSA_NUMS] = { NULL };
	const uint8_t *p;
	int err = 0;
	size_t len;
	int i;

	for (i = RSA_N; !err && i <= RSA_Q; i++) {
		err = buf_get_mpint(in, &p, &len) ? -EINVAL : 0;
		if (!err && (!len || len > RSA_BITS_MAX / 8))
			err = -EINVAL;
		if (err)
			break;
		nums[i] = BN_secure_new();
		if (!nums[i] || !BN_bin2bn(p, len, nums[i]))
			err = -ENOMEM;
	}
	if (!err && !rsa_factors_fit(nums))
		err = -EINVAL;
	if (!err) {
		nums[RSA_DMP1] = crt_exponent(nums[RSA_D], nums[RSA_P]);
		nums[RSA_DMQ1] = crt_exponent(nums[RSA_D], nums[RSA_Q]);
		*pkey = rsa_from_nums(nums);
		err = *pkey ? 0 : -EINVAL;
	}
	for (i = 0; i < RSA_NUMS; i++)
		BN_clear_free(nums[i]);
	return err;
}

static int parse_by_name(struct buf *in, const char *name, EVP_PKEY **pkey)
{
	if (!strcmp(name, "ssh-ed25519"))
		return parse_ed25519(in, pkey);
	if (!strcmp(name, "ecdsa-sha2-nistp256"))
		return parse_p256(in, pkey);
	if (!strcmp(name, "ssh-rsa"))
		return parse_rsa(in, pkey);
	return -EOPNOTSUPP;
}

/*
 * OpenSSH PROTOCOL.key: "uint32 checkint, uint32 checkint, ... string
 * comment, byte 1, byte 2, byte 3, ... padlen % 255"
 */
static int parse_private(const uint8_t *p, size_t len, EVP_PKEY **pkey)
{
	uint32_t check1, check2;
	const uint8_t *comment;
	char *name = NULL;
	size_t n;
	struct buf in;
	uint8_t byte;
	int i, err;

	buf_ref(&in, p, len);
	if (buf_get_u32(&in, &check1) || buf_get_u32(&in, &check2) ||
	    check1 != check2 || buf_get_cstring(&in, &name))
		return -EINVAL;
	err = parse_by_name(&in, name, pkey);
	free(name);
	if (err)
		return err;
	if (buf_get_string(&in, &comment, &n))
		return -EINVAL;
	for (i = 1; !buf_get_u8(&in, &byte); i++)
		if (byte != (i & 0xff))
			return -EINVAL;
	return 0;
}

/*
 * OpenSSH PROTOCOL.key: "byte[] AUTH_MAGIC, string ciphername, string
 * kdfname, string kdfoptions, uint32 number of keys N, string publickey1,
 * string encrypted, padded list of private keys"
 */
static int parse_openssh(struct buf *in, EVP_PKEY **pkey, const uint8_t **pub,
			 size_t *pub_len)
{
	size_t cipher_len, kdf_len, opt_len, priv_len;
	const uint8_t *cipher, *kdf, *opt, *priv;
	char head[sizeof(magic)];
	uint32_t nkeys;

	if (buf_get_raw(in, head, sizeof(head)) ||
	    memcmp(head, magic, sizeof(head)))
		return -EINVAL;
	if (buf_get_string(in, &cipher, &cipher_len) ||
	    buf_get_string(in, &kdf, &kdf_len) ||
	    buf_get_string(in, &opt, &opt_len) || buf_get_u32(in, &nkeys) ||
	    nkeys != 1 || buf_get_string(in, pub, pub_len) ||
	    buf_get_string(in, &priv, &priv_len))
		return -EINVAL;
	if (cipher_len != 4 || memcmp(cipher, "none", 4))
		return -ENOKEY;
	if (buf_end(in) || kdf_len != 4 || memcmp(kdf, "none", 4) || opt_len)
		return -EINVAL;
	return parse_private(priv, priv_len, pkey);
}

/* Both halves of the file must speak of the same key. */
static int load_openssh(char *text, struct key **key)
{
	EVP_PKEY *pkey = NULL;
	const uint8_t *pub, *blob;
	size_t pub_len, blob_len;
	struct buf in;
	int err;

	buf_init(&in, FILE_LEN_MAX);
	err = decode_body(text, &in);
	if (!err)
		err = parse_openssh(&in, &pkey, &pub, &pub_len);
	if (!err)
		err = key_from_pkey(pkey, key);
	if (err) {
		EVP_PKEY_free(pkey);
		goto out;
	}
	blob = key_blob(*key, &blob_len);
	if (blob_len != pub_len || memcmp(blob, pub, pub_len)) {
		key_free(*key);
		*key = NULL;
		err = -EINVAL;
	}
out:
	buf_free(&in);
	return err;
}

/* libcrypto asks for a passphrase: note it, and give none. */
static int note_passphrase(char *buf, int size, int rwflag, void *arg)
{
	bool *asked = arg;

	(void)buf;
	(void)size;
	(void)rwflag;
	*asked = true;
	return -1;
}

static int load_pem(const char *text, size_t len, struct key **key)
{
	bool asked = false;
	EVP_PKEY *pkey;
	BIO *bio;
	int err;

	bio = BIO_new_mem_buf(text, len);
	if (!bio)
		return -ENOMEM;
	pkey = PEM_read_bio_PrivateKey(bio, NULL, note_passphrase, &asked);
	BIO_free(bio);
	ERR_clear_error();
	if (!pkey)
		return asked ? -ENOKEY : -EINVAL;
	err = key_from_pkey(pkey, key);
	if (err)
		EVP_PKEY_free(pkey);
	return err;
}

/*
 * A key whose halves do not belong together must not sign anything: try it.
 * libcrypto's own check would look for primes, and take a tenth of a second.
 */
static int check_pair(const struct key *key)
{
	static const char *const algs[] = {
		[KEY_ED25519] = "ssh-ed25519",
		[KEY_ECDSA_P256] = "ecdsa-sha2-nistp256",
		[KEY_RSA] = "rsa-sha2-256",
	};
	const char *alg = algs[key->type];
	struct buf sig;
	int err;

	buf_init(&sig, BUF_MAX_DEFAULT);
	err = key_sign(key, alg, alg, strlen(alg), &sig);
	if (!err)
		err = key_verify(key, alg, alg, strlen(alg), buf_data(&sig),
				 buf_len(&sig));
	buf_free(&sig);
	ERR_clear_error();
	return err ? -EINVAL : 0;
}

int key_load_private(const char *path, struct key **key)
{
	struct key *new = NULL;
	char *text = NULL;
	size_t len = 0;
	int err;

	if (crypto_init())
		return -EIO;
	err = read_file(path, &text, &len);
	if (err)
		return err;
	if (strstr(text, begin_mark))
		err = load_openssh(text, &new);
	else
		err = load_pem(text, len, &new);
	mem_free_secret(text, len);
	if (err)
		return err;
	err = check_pair(new);
	if (err) {
		key_free(new);
		return err;
	}
	*key = new;
	return 0;
}
