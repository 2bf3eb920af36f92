// SPDX-License-Identifier: MIT
/* monitor/host_keys.c: loading, choosing, and leaving nothing behind. */
#include <openssl/evp.h>
#include <sys/stat.h>

#include "harness.h"
#include "key_data.h"
#include "kex/kex.h"
#include "lib/mem.h"
#include "log_lines.h"
#include "monitor/host_keys.h"

#define SECRET_LEN	32
#define MASK		0x5a

FIXTURE(keys)
{
	struct conf conf;
	struct host_keys hk;
	struct log_lines lines;
	char dir[64];
	unsigned int n;
};

FIXTURE_SETUP(keys)
{
	memset(&self->hk, 0, sizeof(self->hk));
	self->n = 0;
	strcpy(self->dir, "/tmp/kssh-keys-XXXXXX");
	ASSERT_NOT_NULL(mkdtemp(self->dir));
	conf_init(&self->conf);
	log_lines_open(&self->lines, LOG_LEVEL_INFO);
}

FIXTURE_TEARDOWN(keys)
{
	char command[128];

	host_keys_free(&self->hk);
	conf_free(&self->conf);
	log_lines_close(&self->lines);
	snprintf(command, sizeof(command), "rm -rf '%s'", self->dir);
	EXPECT_EQ(0, system(command));
}

static void add(FIXTURE_DATA(keys) *self, const char *text, mode_t mode)
{
	char setting[128];
	FILE *f;

	snprintf(setting, sizeof(setting), "HostKey=%s/%u", self->dir,
		 self->n++);
	f = fopen(setting + strlen("HostKey="), "w");
	ASSERT_NOT_NULL(f);
	fputs(text, f);
	ASSERT_EQ(0, fclose(f));
	ASSERT_EQ(0, chmod(setting + strlen("HostKey="), mode));
	ASSERT_EQ(0, conf_set(&self->conf, setting));
}

TEST_F(keys, serve_their_algorithms)
{
	add(self, key_rsa2048, 0600);
	add(self, key_ed25519, 0600);
	add(self, key_p256, 0600);
	ASSERT_EQ(0, host_keys_load(&self->hk, &self->conf));
	EXPECT_STREQ(
		"ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
		self->hk.algs);
	EXPECT_EQ(KEY_RSA,
		  key_get_type(host_keys_find(&self->hk, "rsa-sha2-256")));
	EXPECT_EQ(KEY_ED25519,
		  key_get_type(host_keys_find(&self->hk, "ssh-ed25519")));
	EXPECT_NULL(host_keys_find(&self->hk, "ssh-rsa"));
	EXPECT_NULL(host_keys_find(&self->hk, ""));
}

TEST_F(keys, are_named_when_they_cannot_be_used)
{
	const char *text;

	add(self, key_ed25519, 0644);
	add(self, key_ed25519_passphrase, 0600);
	add(self, "no key", 0600);
	add(self, key_p384, 0600);
	add(self, key_p256, 0600);
	ASSERT_EQ(0, conf_set(&self->conf, "HostKey=/tmp/no/such"));
	EXPECT_GT(0, host_keys_load(&self->hk, &self->conf));
	text = log_lines_read(&self->lines);
	EXPECT_EQ(5, self->lines.n);
	EXPECT_NOT_NULL(strstr(text, "/0: others may read it"));
	EXPECT_NOT_NULL(strstr(text, "/1: has a passphrase"));
	EXPECT_NOT_NULL(strstr(text, "/2: not a private key"));
	EXPECT_NOT_NULL(strstr(text, "/3: not an ed25519"));
	EXPECT_NOT_NULL(strstr(text, "/no/such: No such file"));
	EXPECT_EQ(0, self->hk.n);
}

TEST_F(keys, are_refused_twice_of_a_type)
{
	add(self, key_ed25519, 0600);
	add(self, key_ed25519, 0600);
	EXPECT_EQ(-EEXIST, host_keys_load(&self->hk, &self->conf));
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines), "already"));
}

/* Masked at once, so that the test itself is not found. */
static void take_secret(const char *pem, const char *mark, size_t mark_len,
			size_t skip, uint8_t *secret)
{
	uint8_t raw[1024];
	char text[1024];
	size_t n = 0;
	uint8_t *p = raw, *last = NULL;
	int len, i;

	pem = strchr(pem, '\n');
	for (; *pem && *pem != '-'; pem++)
		if (*pem != '\n')
			text[n++] = *pem;
	len = EVP_DecodeBlock(raw, (uint8_t *)text, n);
	ASSERT_LT(0, len);
	while ((p = memmem(p, raw + len - p, mark, mark_len)))
		last = p++;
	ASSERT_NOT_NULL(last);
	/* a number may have a zero in front */
	if (skip && last[mark_len + skip - 1] == SECRET_LEN + 1)
		skip++;
	for (i = 0; i < SECRET_LEN; i++)
		secret[i] = last[mark_len + skip + i] ^ MASK;
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(text, sizeof(text));
}

static bool is_secret(const uint8_t *p, const uint8_t *secret, bool reversed)
{
	int i;

	for (i = 0; i < SECRET_LEN; i++)
		if ((p[i] ^ MASK) != secret[reversed ? SECRET_LEN - 1 - i : i])
			return false;
	return true;
}

/* How often it stands in the memory we can write to, in either order. */
static int count_secret(const uint8_t *secret)
{
	const uint8_t *p, *from, *to;
	unsigned long start, end;
	char line[512], mode[8];
	int found = 0;
	FILE *f;

	f = fopen("/proc/self/maps", "r");
	ASSERT_NOT_NULL(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 ||
		    strncmp(mode, "rw", 2) || strstr(line, "[v"))
			continue;
		from = (const uint8_t *)start;
		to = (const uint8_t *)end - SECRET_LEN;
		for (p = from; p <= to; p++)
			found += is_secret(p, secret, false) ||
				 is_secret(p, secret, true);
	}
	fclose(f);
	return found;
}

TEST_F(keys, are_gone_from_memory_when_freed)
{
	uint8_t ed25519[SECRET_LEN], p256[SECRET_LEN];
	struct buf sig;

#ifdef KSSH_SAN
	SKIP(return, "a sanitizer's own memory is too large to look through");
#endif
	take_secret(key_ed25519, "\0\0\0\x40", 4, 0, ed25519);
	/* behind the public point: its length, then the number */
	take_secret(key_p256, "\0\0\0\x41\4", 5, 64 + 4, p256);
	add(self, key_ed25519, 0600);
	add(self, key_p256, 0600);
	ASSERT_EQ(0, kex_prepare());
	ASSERT_EQ(0, host_keys_load(&self->hk, &self->conf));
	buf_init(&sig, 1024);
	EXPECT_EQ(0, key_sign(host_keys_find(&self->hk, "ssh-ed25519"),
			      "ssh-ed25519", "x", 1, &sig));
	EXPECT_EQ(0, key_sign(host_keys_find(&self->hk, "ecdsa-sha2-nistp256"),
			      "ecdsa-sha2-nistp256", "x", 1, &sig));
	buf_free(&sig);
	EXPECT_LT(0, count_secret(ed25519));
	EXPECT_LT(0, count_secret(p256));
	host_keys_free(&self->hk);
	EXPECT_EQ(0, count_secret(ed25519));
	EXPECT_EQ(0, count_secret(p256));
}

TEST_HARNESS_MAIN
