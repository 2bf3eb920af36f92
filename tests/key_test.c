// SPDX-License-Identifier: MIT
/* key/: files, blobs, signatures. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include "harness.h"
#include "key/key.h"
#include "key_data.h"
#include "lib/mem.h"

/* A file of @text in a folder of its own; the path in @path. */
static void write_key(char path[64], const void *text, size_t len, mode_t mode)
{
	int fd;

	strcpy(path, "/tmp/kssh-key-XXXXXX");
	fd = mkstemp(path);
	ASSERT_LE(0, fd);
	ASSERT_EQ(len, write(fd, text, len));
	ASSERT_EQ(0, fchmod(fd, mode));
	close(fd);
}

static int load_bytes(const void *text, size_t len, mode_t mode,
		      struct key **key)
{
	char path[64];
	int err;

	write_key(path, text, len, mode);
	err = key_load_private(path, key);
	unlink(path);
	return err;
}

static int load(const char *text, struct key **key)
{
	return load_bytes(text, strlen(text), 0600, key);
}

static size_t decode(const char *b64, uint8_t *out)
{
	size_t n = strlen(b64);
	int len;

	len = EVP_DecodeBlock(out, (const uint8_t *)b64, n);
	ASSERT_LE(0, len);
	while (n && b64[n - 1] == '=') {
		n--;
		len--;
	}
	return len;
}

FIXTURE(key)
{
	struct key *key;
	uint8_t blob[2048];
	size_t blob_len;
};

FIXTURE_VARIANT(key)
{
	const char *text;
	const char *pub;
	const char *fp;
	const char *sshsig;
	const char *name;
	const char *alg;
	const char *alg2;
	enum key_type type;
};

FIXTURE_VARIANT_ADD(key, ed25519){
	key_ed25519,   pub_ed25519,   fp_ed25519,    sshsig_ed25519,
	"ssh-ed25519", "ssh-ed25519", "ssh-ed25519", KEY_ED25519,
};
FIXTURE_VARIANT_ADD(key, p256){
	key_p256,
	pub_p256,
	fp_p256,
	sshsig_p256,
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp256",
	KEY_ECDSA_P256,
};
FIXTURE_VARIANT_ADD(key, rsa){
	key_rsa2048, pub_rsa2048,    fp_rsa2048,     sshsig_rsa2048,
	"ssh-rsa",   "rsa-sha2-512", "rsa-sha2-256", KEY_RSA,
};

FIXTURE_SETUP(key)
{
	ASSERT_EQ(0, load(variant->text, &self->key));
	self->blob_len = decode(variant->pub, self->blob);
}

FIXTURE_TEARDOWN(key)
{
	key_free(self->key);
}

TEST_F(key, private_file_gives_blob_and_fingerprint)
{
	const uint8_t *blob;
	char fp[64];
	size_t len;

	blob = key_blob(self->key, &len);
	ASSERT_EQ(self->blob_len, len);
	EXPECT_MEMEQ(self->blob, blob, len);
	EXPECT_EQ(variant->type, key_get_type(self->key));
	EXPECT_STREQ(variant->name, key_type_name(self->key));
	ASSERT_EQ(0, key_fingerprint(self->key, fp, sizeof(fp)));
	EXPECT_STREQ(variant->fp, fp);
	EXPECT_EQ(-EINVAL, key_fingerprint(self->key, fp, 10));
}

TEST_F(key, blob_gives_the_same_key)
{
	const uint8_t *blob;
	struct key *pub;
	char fp[64];
	size_t len;

	ASSERT_EQ(0, key_from_blob(self->blob, self->blob_len, &pub));
	EXPECT_EQ(variant->type, key_get_type(pub));
	blob = key_blob(pub, &len);
	ASSERT_EQ(self->blob_len, len);
	EXPECT_MEMEQ(self->blob, blob, len);
	ASSERT_EQ(0, key_fingerprint(pub, fp, sizeof(fp)));
	EXPECT_STREQ(variant->fp, fp);
	key_free(pub);
}

TEST_F(key, refuses_blob_cut_at_every_byte)
{
	struct key *pub = NULL;
	uint8_t *cut;
	size_t n;

	for (n = 0; n < self->blob_len; n++) {
		cut = malloc(n ? n : 1); /* its end is guarded */
		memcpy(cut, self->blob, n);
		EXPECT_EQ(-EPROTO, key_from_blob(cut, n, &pub));
		free(cut);
	}
	EXPECT_NULL(pub);
}

TEST_F(key, refuses_blob_with_trailing_bytes)
{
	struct key *pub = NULL;

	self->blob[self->blob_len] = 0;
	EXPECT_EQ(-EPROTO, key_from_blob(self->blob, self->blob_len + 1, &pub));
	EXPECT_NULL(pub);
}

TEST_F(key, survives_any_changed_bit_of_a_blob)
{
	struct key *pub;
	size_t i;

	for (i = 0; i < self->blob_len * 8; i++) {
		self->blob[i / 8] ^= 1 << i % 8;
		pub = NULL;
		if (!key_from_blob(self->blob, self->blob_len, &pub))
			key_free(pub);
		else
			EXPECT_NULL(pub);
		self->blob[i / 8] ^= 1 << i % 8;
	}
}

TEST_F(key, verifies_what_it_signed)
{
	const char *algs[] = { variant->alg, variant->alg2 };
	struct buf sig;
	int i, k;

	buf_init(&sig, BUF_MAX_DEFAULT);
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(key_has_alg(self->key, algs[i]));
		/* often enough for r and s of every length */
		for (k = 0; k < (variant->type == KEY_RSA ? 3 : 300); k++) {
			buf_reset(&sig);
			ASSERT_EQ(0, key_sign(self->key, algs[i], &k, sizeof(k),
					      &sig));
			ASSERT_EQ(0,
				  key_verify(self->key, algs[i], &k, sizeof(k),
					     buf_data(&sig), buf_len(&sig)));
		}
		k = 7777;
		EXPECT_EQ(-EBADMSG,
			  key_verify(self->key, algs[i], &k, sizeof(k),
				     buf_data(&sig), buf_len(&sig)));
	}
	buf_free(&sig);
}

TEST_F(key, public_half_verifies_and_does_not_sign)
{
	struct key *pub;
	struct buf sig;

	buf_init(&sig, BUF_MAX_DEFAULT);
	ASSERT_EQ(0, key_from_blob(self->blob, self->blob_len, &pub));
	ASSERT_EQ(0, key_sign(self->key, variant->alg, "abc", 3, &sig));
	EXPECT_EQ(0, key_verify(pub, variant->alg, "abc", 3, buf_data(&sig),
				buf_len(&sig)));
	EXPECT_EQ(-EBADMSG, key_verify(pub, variant->alg, "abd", 3,
				       buf_data(&sig), buf_len(&sig)));
	buf_reset(&sig);
	EXPECT_EQ(-EIO, key_sign(pub, variant->alg, "abc", 3, &sig));
	key_free(pub);
	buf_free(&sig);
}

/* RFC 8332 3.2: what was agreed on, not what the signature claims */
TEST_F(key, refuses_other_algorithms)
{
	static const char *const others[] = {
		"ssh-rsa",
		"ssh-dss",
		"",
		"rsa-sha2-512-cert-v01@openssh.com",
		"ecdsa-sha2-nistp384",
	};
	struct buf sig, other;
	size_t i;

	buf_init(&sig, BUF_MAX_DEFAULT);
	buf_init(&other, BUF_MAX_DEFAULT);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_FALSE(key_has_alg(self->key, others[i]));
		EXPECT_EQ(-EOPNOTSUPP,
			  key_sign(self->key, others[i], "a", 1, &sig));
		EXPECT_EQ(-EOPNOTSUPP, key_verify(self->key, others[i], "a", 1,
						  (const uint8_t *)"", 0));
	}
	ASSERT_EQ(0, key_sign(self->key, variant->alg, "abc", 3, &sig));
	buf_put_cstring(&other, "ssh-rsa");
	buf_put_raw(&other, buf_data(&sig) + 4 + strlen(variant->alg),
		    buf_len(&sig) - 4 - strlen(variant->alg));
	EXPECT_EQ(-EPROTO, key_verify(self->key, variant->alg, "abc", 3,
				      buf_data(&other), buf_len(&other)));
	if (variant->type == KEY_RSA)
		EXPECT_EQ(-EPROTO,
			  key_verify(self->key, variant->alg2, "abc", 3,
				     buf_data(&sig), buf_len(&sig)));
	buf_free(&sig);
	buf_free(&other);
}

TEST_F(key, refuses_signature_cut_at_every_byte)
{
	struct buf sig;
	uint8_t *cut;
	size_t n;

	buf_init(&sig, BUF_MAX_DEFAULT);
	ASSERT_EQ(0, key_sign(self->key, variant->alg, "abc", 3, &sig));
	for (n = 0; n < buf_len(&sig); n++) {
		cut = malloc(n ? n : 1);
		memcpy(cut, buf_data(&sig), n);
		EXPECT_EQ(-EPROTO, key_verify(self->key, variant->alg, "abc", 3,
					      cut, n));
		free(cut);
	}
	buf_put_u8(&sig, 0);
	EXPECT_EQ(-EPROTO, key_verify(self->key, variant->alg, "abc", 3,
				      buf_data(&sig), buf_len(&sig)));
	buf_free(&sig);
}

TEST_F(key, refuses_any_changed_bit_of_a_signature)
{
	struct buf sig;
	size_t i, step;
	uint8_t *p;
	int err;

	buf_init(&sig, BUF_MAX_DEFAULT);
	ASSERT_EQ(0, key_sign(self->key, variant->alg, "abc", 3, &sig));
	p = sig.data;
	step = variant->type == KEY_RSA ? 7 : 1;
	for (i = 0; i < buf_len(&sig) * 8; i += step) {
		p[i / 8] ^= 1 << i % 8;
		err = key_verify(self->key, variant->alg, "abc", 3, p,
				 buf_len(&sig));
		if (err != -EPROTO)
			EXPECT_EQ(-EBADMSG, err)
		TH_LOG("bit %zu", i);
		p[i / 8] ^= 1 << i % 8;
	}
	EXPECT_EQ(0, key_verify(self->key, variant->alg, "abc", 3, p,
				buf_len(&sig)));
	buf_free(&sig);
}

/* OpenSSH PROTOCOL.sshsig: what "ssh-keygen -Y sign" made must verify. */
TEST_F(key, verifies_what_stock_software_signed)
{
	static const char msg[] = "signed by ssh-keygen";
	uint8_t armored[2048], hash[64];
	const uint8_t *p, *sig;
	size_t len, sig_len;
	struct buf in, data;
	uint32_t version;
	int i;

	len = decode(variant->sshsig, armored);
	buf_ref(&in, armored, len);
	ASSERT_EQ(0, buf_skip(&in, 6));
	ASSERT_EQ(0, buf_get_u32(&in, &version));
	ASSERT_EQ(1, version);
	for (i = 0; i < 4; i++) /* public key, namespace, reserved, hash */
		ASSERT_EQ(0, buf_get_string(&in, &p, &len));
	ASSERT_EQ(0, buf_get_string(&in, &sig, &sig_len));
	ASSERT_EQ(0, buf_end(&in));
	ASSERT_EQ(1,
		  EVP_Digest(msg, strlen(msg), hash, NULL, EVP_sha512(), NULL));
	buf_init(&data, 1000);
	buf_put_raw(&data, "SSHSIG", 6);
	buf_put_cstring(&data, "test");
	buf_put_cstring(&data, "");
	buf_put_cstring(&data, "sha512");
	buf_put_string(&data, hash, sizeof(hash));
	EXPECT_EQ(0, key_verify(self->key, variant->alg, buf_data(&data),
				buf_len(&data), sig, sig_len));
	buf_free(&data);
}

/* The decoded file, each byte cut off and each byte changed. */
TEST_F(key, refuses_broken_private_files)
{
	static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	static const char end[] = "\n-----END OPENSSH PRIVATE KEY-----\n";
	uint8_t raw[4096], text[8192];
	const char *from;
	char b64[4096];
	struct key *key;
	size_t len, n = 0, i, k, step;

	for (from = variant->text + strlen(begin); *from != '-'; from++)
		if (*from != '\n')
			b64[n++] = *from;
	b64[n] = 0;
	len = decode(b64, raw);
	step = variant->type == KEY_RSA ? 17 : 1;
	for (i = 0; i < 2 * len; i += step) {
		n = i < len ? i : len;
		if (i >= len)
			raw[i - len] ^= 0x21;
		memcpy(text, begin, strlen(begin));
		k = strlen(begin);
		k += EVP_EncodeBlock(text + k, raw, n);
		memcpy(text + k, end, strlen(end));
		k += strlen(end);
		key = NULL;
		if (!load_bytes(text, k, 0600, &key)) {
			/* the comment may change */
			EXPECT_LT(2 * len - 40, i);
			key_free(key);
		} else {
			EXPECT_NULL(key);
		}
		if (i >= len)
			raw[i - len] ^= 0x21;
	}
}

TEST_F(key, refuses_a_file_that_others_may_read)
{
	static const mode_t bad[] = { 0604, 0640, 0644, 0610, 0666, 0620 };
	struct key *key = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EPERM,
			  load_bytes(variant->text, strlen(variant->text),
				     bad[i], &key));
	EXPECT_NULL(key);
	ASSERT_EQ(0,
		  load_bytes(variant->text, strlen(variant->text), 0400, &key));
	key_free(key);
}

/* RFC 8032 7.1, TEST 1 and TEST 2 */
TEST(ed25519_verifies_as_rfc_8032_shows)
{
	static const uint8_t pub[32] = {
		0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
		0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
		0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
		0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
	};
	static const uint8_t sig[64] = {
		0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86,
		0xe2, 0xcc, 0x80, 0x6e, 0x82, 0x8a, 0x84, 0x87, 0x7f, 0x1e,
		0xb8, 0xe5, 0xd9, 0x74, 0xd8, 0x73, 0xe0, 0x65, 0x22, 0x49,
		0x01, 0x55, 0x5f, 0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b, 0xac,
		0xc6, 0x1e, 0x39, 0x70, 0x1c, 0xf9, 0xb4, 0x6b, 0xd2, 0x5b,
		0xf5, 0xf0, 0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43,
		0x8e, 0x7a, 0x10, 0x0b,
	};
	struct buf blob, out;
	struct key *key;

	buf_init(&blob, 200);
	buf_init(&out, 200);
	buf_put_cstring(&blob, "ssh-ed25519");
	buf_put_string(&blob, pub, 32);
	buf_put_cstring(&out, "ssh-ed25519");
	buf_put_string(&out, sig, 64);
	ASSERT_EQ(0, key_from_blob(buf_data(&blob), buf_len(&blob), &key));
	EXPECT_EQ(0, key_verify(key, "ssh-ed25519", "", 0, buf_data(&out),
				buf_len(&out)));
	EXPECT_EQ(-EBADMSG, key_verify(key, "ssh-ed25519", "x", 1,
				       buf_data(&out), buf_len(&out)));
	key_free(key);
	buf_free(&blob);
	buf_free(&out);
}

TEST(refuses_rsa_of_1024_bits)
{
	struct key *key = NULL;
	uint8_t blob[1024];
	size_t len;

	EXPECT_EQ(-EINVAL, load(key_rsa1024, &key));
	EXPECT_EQ(-EINVAL, load(key_rsa1024_pem, &key));
	len = decode(pub_rsa1024, blob);
	EXPECT_EQ(-EINVAL, key_from_blob(blob, len, &key));
	EXPECT_NULL(key);
}

static int from_rsa_numbers(const void *e, size_t e_len, const void *n,
			    size_t n_len)
{
	struct key *key = NULL;
	struct buf blob;
	int err;

	buf_init(&blob, 20000);
	buf_put_cstring(&blob, "ssh-rsa");
	buf_put_mpint(&blob, e, e_len);
	buf_put_mpint(&blob, n, n_len);
	err = key_from_blob(buf_data(&blob), buf_len(&blob), &key);
	buf_free(&blob);
	key_free(key);
	return err;
}

TEST(refuses_rsa_numbers_that_cannot_be)
{
	uint8_t n[2049], e[9] = { 0x80, 0, 0, 0, 0, 0, 0, 0, 1 };

	memset(n, 0xff, sizeof(n));
	EXPECT_EQ(0, from_rsa_numbers("\1\0\1", 3, n, 256));
	EXPECT_EQ(0, from_rsa_numbers("\3", 1, n, 256));
	EXPECT_EQ(0, from_rsa_numbers("\1\0\1", 3, n, 2048));
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\1\0\1", 3, n, 2049));
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\1\0\1", 3, n, 255));
	EXPECT_EQ(-EPROTO, from_rsa_numbers("", 0, n, 256));
	EXPECT_EQ(-EPROTO, from_rsa_numbers("\3", 1, n, 0));
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\1", 1, n, 256));
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\2", 1, n, 256));
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\1\0\0", 3, n, 256));
	EXPECT_EQ(-EINVAL, from_rsa_numbers(e, 9, n, 256));
	n[0] = 0x7f;
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\3", 1, n, 256));
	n[0] = 0xff;
	n[255] = 0xfe;
	EXPECT_EQ(-EINVAL, from_rsa_numbers("\3", 1, n, 256));
}

TEST(refuses_points_that_are_not_on_p256)
{
	struct key *key = NULL;
	uint8_t good[200], bad[200];
	size_t len;

	len = decode(pub_p256, good);
	memcpy(bad, good, len);
	bad[len - 1] ^= 1;
	EXPECT_EQ(-EPROTO, key_from_blob(bad, len, &key));
	memcpy(bad, good, len);
	bad[len - 65] = 2; /* compressed, of the wrong length */
	EXPECT_EQ(-EPROTO, key_from_blob(bad, len, &key));
	memset(bad + len - 64, 0, 64);
	bad[len - 65] = 4;
	EXPECT_EQ(-EPROTO, key_from_blob(bad, len, &key));
	memset(bad + len - 64, 0xff, 64);
	EXPECT_EQ(-EPROTO, key_from_blob(bad, len, &key));
	EXPECT_NULL(key);
}

TEST(refuses_infinity_as_a_point)
{
	struct key *key = NULL;
	struct buf blob;

	buf_init(&blob, 200);
	buf_put_cstring(&blob, "ecdsa-sha2-nistp256");
	buf_put_cstring(&blob, "nistp256");
	buf_put_string(&blob, "\0", 1);
	EXPECT_EQ(-EPROTO,
		  key_from_blob(buf_data(&blob), buf_len(&blob), &key));
	buf_free(&blob);
}

TEST(refuses_a_curve_that_differs_from_the_name)
{
	struct key *key = NULL;
	uint8_t pub[200];
	struct buf blob;
	size_t len;

	len = decode(pub_p256, pub);
	buf_init(&blob, 200);
	buf_put_cstring(&blob, "ecdsa-sha2-nistp256");
	buf_put_cstring(&blob, "nistp384");
	buf_put_raw(&blob, pub + len - 69, 69);
	EXPECT_EQ(-EPROTO,
		  key_from_blob(buf_data(&blob), buf_len(&blob), &key));
	buf_free(&blob);
}

TEST(refuses_types_that_are_not_served)
{
	struct key *key = NULL;
	uint8_t blob[1024];
	size_t len;

	EXPECT_EQ(-EOPNOTSUPP, load(key_p384, &key));
	EXPECT_EQ(-EOPNOTSUPP, load(key_ed448_pem, &key));
	len = decode(pub_p384, blob);
	EXPECT_EQ(-EOPNOTSUPP, key_from_blob(blob, len, &key));
	EXPECT_EQ(-EOPNOTSUPP, key_from_blob((uint8_t *)"\0\0\0\0", 4, &key));
	EXPECT_NULL(key);
}

TEST(loads_pem_files)
{
	struct key *key;
	char fp[64];

	ASSERT_EQ(0, load(key_rsa2048_pem, &key));
	EXPECT_EQ(KEY_RSA, key_get_type(key));
	EXPECT_EQ(0, key_fingerprint(key, fp, sizeof(fp)));
	EXPECT_STREQ(fp_rsa2048_pem, fp);
	key_free(key);
	ASSERT_EQ(0, load(key_p256_pem, &key));
	EXPECT_EQ(KEY_ECDSA_P256, key_get_type(key));
	EXPECT_EQ(0, key_fingerprint(key, fp, sizeof(fp)));
	EXPECT_STREQ(fp_p256_pem, fp);
	key_free(key);
	ASSERT_EQ(0, load(key_ed25519_pem, &key));
	EXPECT_EQ(KEY_ED25519, key_get_type(key));
	key_free(key);
}

TEST(tells_a_passphrase)
{
	struct key *key = NULL;

	EXPECT_EQ(-ENOKEY, load(key_ed25519_passphrase, &key));
	EXPECT_EQ(-ENOKEY, load(key_p256_pem_passphrase, &key));
	EXPECT_EQ(-ENOKEY, load(key_p256_pkcs8_passphrase, &key));
	EXPECT_NULL(key);
}

TEST(tells_what_is_no_key_file)
{
	struct key *key = NULL;
	char *big;

	EXPECT_EQ(-ENOENT, key_load_private("/nonexistent/key", &key));
	EXPECT_EQ(-EINVAL, key_load_private("/", &key));
	EXPECT_EQ(-EINVAL, key_load_private("/dev/null", &key));
	EXPECT_EQ(-EINVAL, load("", &key));
	EXPECT_EQ(-EINVAL, load("hello\n", &key));
	EXPECT_EQ(-EINVAL, load(pub_ed25519, &key));
	EXPECT_EQ(-EINVAL, load("-----BEGIN OPENSSH PRIVATE KEY-----", &key));
	EXPECT_EQ(-EINVAL, load("-----BEGIN OPENSSH PRIVATE KEY-----\n"
				"-----END OPENSSH PRIVATE KEY-----\n",
				&key));
	EXPECT_EQ(-EINVAL, load("-----BEGIN OPENSSH PRIVATE KEY-----\n=\n"
				"-----END OPENSSH PRIVATE KEY-----\n",
				&key));
	EXPECT_EQ(-EINVAL, load("-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n"
				"-----END OPENSSH PRIVATE KEY-----\n",
				&key));
	big = calloc(1, 70000);
	memset(big, 'A', 69999);
	EXPECT_EQ(-EINVAL, load(big, &key));
	free(big);
	EXPECT_NULL(key);
}

/* An "openssh-key-v1" file of a public blob and private fields. */
static int load_made(const char *type, const struct buf *pub,
		     const struct buf *fields, struct key **key)
{
	struct buf file, priv;
	uint8_t text[8000];
	size_t n;
	int i;

	buf_init(&file, 5000);
	buf_init(&priv, 5000);
	buf_put_u32(&priv, 9);
	buf_put_u32(&priv, 9);
	buf_put_cstring(&priv, type);
	buf_put_raw(&priv, buf_data(fields), buf_len(fields));
	buf_put_cstring(&priv, "");
	for (i = 1; buf_len(&priv) % 8; i++)
		buf_put_u8(&priv, i);
	buf_put_raw(&file, "openssh-key-v1", 15);
	buf_put_cstring(&file, "none");
	buf_put_cstring(&file, "none");
	buf_put_cstring(&file, "");
	buf_put_u32(&file, 1);
	buf_put_buf(&file, pub);
	buf_put_buf(&file, &priv);
	ASSERT_EQ(0, buf_error(&file));
	strcpy((char *)text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	n = strlen((char *)text);
	n += EVP_EncodeBlock(text + n, buf_data(&file), buf_len(&file));
	strcpy((char *)text + n, "\n-----END OPENSSH PRIVATE KEY-----\n");
	buf_free(&file);
	buf_free(&priv);
	return load((char *)text, key);
}

/* A file whose private half belongs to another public half must not sign. */
TEST(refuses_ed25519_halves_that_do_not_match)
{
	struct buf pub, fields;
	struct key *key = NULL;
	uint8_t seed[64];

	buf_init(&pub, 1000);
	buf_init(&fields, 1000);
	memset(seed, 5, sizeof(seed));
	buf_put_cstring(&pub, "ssh-ed25519");
	buf_put_string(&pub, seed, 32);
	buf_put_string(&fields, seed, 32);
	buf_put_string(&fields, seed, 64);
	EXPECT_EQ(-EINVAL, load_made("ssh-ed25519", &pub, &fields, &key));
	EXPECT_NULL(key);
	buf_free(&pub);
	buf_free(&fields);
}

TEST(refuses_p256_halves_that_do_not_match)
{
	static const char type[] = "ecdsa-sha2-nistp256";
	struct key *key = NULL;
	struct buf pub, fields;
	uint8_t blob[200], d[32];
	size_t len;

	len = decode(pub_p256, blob);
	memset(d, 5, sizeof(d));
	buf_init(&pub, 1000);
	buf_init(&fields, 1000);
	buf_put_raw(&pub, blob, len);
	buf_put_cstring(&fields, "nistp256");
	buf_put_string(&fields, blob + len - 65, 65);
	buf_put_mpint(&fields, d, sizeof(d));
	EXPECT_EQ(-EINVAL, load_made(type, &pub, &fields, &key));
	EXPECT_NULL(key);
	buf_free(&pub);
	buf_free(&fields);
}

TEST(refuses_rsa_numbers_that_do_not_match)
{
	static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	const uint8_t *p, *num[6];
	size_t len, i, n = 0, num_len[6];
	uint8_t raw[4096], copy[2048];
	struct buf pub, fields, in;
	struct key *key = NULL;
	const char *from;
	char b64[4096];
	int bad;

	for (from = key_rsa2048 + strlen(begin); *from != '-'; from++)
		if (*from != '\n')
			b64[n++] = *from;
	b64[n] = 0;
	buf_ref(&in, raw, decode(b64, raw));
	ASSERT_EQ(0, buf_skip(&in, 15 + 8 + 8 + 4 + 4));
	ASSERT_EQ(0, buf_get_string(&in, &p, &len));
	buf_init(&pub, 1000);
	buf_put_raw(&pub, p, len);
	ASSERT_EQ(0, buf_skip(&in, 4 + 8 + 4 + 7));
	for (i = 0; i < 6; i++)
		ASSERT_EQ(0, buf_get_mpint(&in, &num[i], &num_len[i]));
	/* d, p and q one after the other; -1 is the good one */
	for (bad = -1; bad < 6; bad++) {
		if (bad >= 0 && bad < 4 && bad != 2)
			continue;
		buf_init(&fields, 5000);
		for (i = 0; i < 6; i++) {
			memcpy(copy, num[i], num_len[i]);
			if ((int)i == bad)
				copy[num_len[i] / 2] ^= 4;
			buf_put_mpint(&fields, copy, num_len[i]);
		}
		if (bad < 0) {
			EXPECT_EQ(0, load_made("ssh-rsa", &pub, &fields, &key));
			key_free(key);
			key = NULL;
		} else {
			EXPECT_EQ(-EINVAL,
				  load_made("ssh-rsa", &pub, &fields, &key));
			EXPECT_NULL(key);
		}
		buf_free(&fields);
	}
	buf_free(&pub);
}

TEST_HARNESS_MAIN
