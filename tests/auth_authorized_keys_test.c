// SPDX-License-Identifier: MIT
/* auth/authorized_keys.c: a line of the file. */
#include "auth/authorized_keys.h"
#include "harness.h"
#include "key_data.h"
#include "lib/mem.h"

FIXTURE(line)
{
	struct authorized_key key;
};

FIXTURE_SETUP(line)
{
}

FIXTURE_TEARDOWN(line)
{
	authorized_key_free(&self->key);
}

static int parse(FIXTURE_DATA(line) *self, const char *text)
{
	authorized_key_free(&self->key);
	return authorized_key_parse(&self->key, text, strlen(text));
}

/* The line of the ed25519 key behind @options. */
static int parse_options(FIXTURE_DATA(line) *self, const char *options)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s ssh-ed25519 %s a comment", options,
		 pub_ed25519);
	return parse(self, text);
}

TEST_F(line, takes_all_types_of_keys)
{
	static const struct {
		const char *type;
		const char *pub;
		size_t len;
	} keys[] = {
		{ "ssh-ed25519", pub_ed25519, 51 },
		{ "ecdsa-sha2-nistp256", pub_p256, 104 },
		{ "ssh-rsa", pub_rsa2048, 279 },
	};
	char text[2048];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		snprintf(text, sizeof(text), "%s %s", keys[i].type,
			 keys[i].pub);
		ASSERT_EQ(0, parse(self, text));
		EXPECT_EQ(keys[i].len, self->key.blob_len);
		EXPECT_MEMEQ(keys[i].type, self->key.blob + 4,
			     strlen(keys[i].type));
		EXPECT_EQ(0, self->key.flags);
		EXPECT_NULL(self->key.command);
		EXPECT_STREQ("", self->key.bad_option);
	}
}

TEST_F(line, takes_blanks_and_tabs_between_the_fields)
{
	char text[1024];

	snprintf(text, sizeof(text), " \tssh-ed25519 \t %s\t \r", pub_ed25519);
	EXPECT_EQ(0, parse(self, text));
	snprintf(text, sizeof(text), "no-pty\tssh-ed25519 \t %s\tx",
		 pub_ed25519);
	EXPECT_EQ(0, parse(self, text));
	EXPECT_EQ(AUTHKEY_NO_PTY, self->key.flags);
}

TEST_F(line, knows_lines_without_a_key)
{
	EXPECT_EQ(-ENOENT, parse(self, ""));
	EXPECT_EQ(-ENOENT, parse(self, " \t \r"));
	EXPECT_EQ(-ENOENT, parse(self, "# ssh-ed25519 AAAA"));
	EXPECT_EQ(-ENOENT, parse(self, "  #"));
}

TEST_F(line, knows_keys_it_does_not_have)
{
	EXPECT_EQ(-EOPNOTSUPP, parse(self, "ssh-dss AAAA x"));
	EXPECT_EQ(-EOPNOTSUPP,
		  parse(self, "sk-ssh-ed25519@openssh.com AAAAGnNr x"));
	EXPECT_EQ(-EOPNOTSUPP, parse(self, "word"));
	EXPECT_EQ(-EOPNOTSUPP, parse(self, "1024 35 123456 user"));
}

TEST_F(line, refuses_a_blob_that_is_not_of_its_type)
{
	char text[1024];

	snprintf(text, sizeof(text), "ssh-rsa %s", pub_ed25519);
	EXPECT_EQ(-EINVAL, parse(self, text));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 AAAA"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 /////w=="));
}

TEST_F(line, refuses_bad_base64)
{
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 "));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 A"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 ===="));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 A=AA"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 AAAA*AAA"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 AAA\xff"));
	EXPECT_EQ(-EINVAL, parse(self, "ssh-ed25519 AA==AAAA"));
}

TEST_F(line, refuses_nul_bytes)
{
	char text[1024];
	int len;

	len = snprintf(text, sizeof(text), "ssh-ed25519 %s x", pub_ed25519);
	text[len - 1] = 0;
	EXPECT_EQ(-EINVAL, authorized_key_parse(&self->key, text, len));
}

TEST_F(line, refuses_lines_that_are_too_long)
{
	size_t len = AUTHKEY_LINE_MAX + 1;
	char *text = malloc(len);

	memset(text, 'x', len);
	EXPECT_EQ(-EINVAL, authorized_key_parse(&self->key, text, len));
	memset(text, ' ', len);
	EXPECT_EQ(-ENOENT, authorized_key_parse(&self->key, text, len));
	free(text);
}

TEST_F(line, takes_options_that_forbid_what_we_do_not_have)
{
	ASSERT_EQ(0, parse_options(self, "restrict"));
	EXPECT_EQ(AUTHKEY_RESTRICT, self->key.flags);
	ASSERT_EQ(
		0,
		parse_options(
			self,
			"no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc"));
	EXPECT_EQ(AUTHKEY_RESTRICT, self->key.flags);
	ASSERT_EQ(0, parse_options(self, "RESTRICT,Pty"));
	EXPECT_EQ(AUTHKEY_RESTRICT & ~AUTHKEY_NO_PTY, self->key.flags);
	EXPECT_STREQ("", self->key.bad_option);
}

TEST_F(line, takes_a_forced_command)
{
	ASSERT_EQ(0,
		  parse_options(
			  self,
			  "command=\"/bin/x -a, \\\"b c\\\" \\n #\",restrict"));
	EXPECT_STREQ("/bin/x -a, \"b c\" \\n #", self->key.command);
	EXPECT_EQ(AUTHKEY_RESTRICT, self->key.flags);
	EXPECT_STREQ("", self->key.bad_option);
	ASSERT_EQ(0, parse_options(self, "Command=\"x\""));
	EXPECT_STREQ("x", self->key.command);
}

TEST_F(line, names_options_that_restrict_in_a_way_of_their_own)
{
	static const struct {
		const char *options;
		const char *bad;
	} rows[] = {
		{ "from=\"10.0.0.0/8\"", "from" },
		{ "restrict,from=\"*.x,!y\",command=\"z\"", "from" },
		{ "environment=\"A=b\"", "environment" },
		{ "cert-authority", "cert-authority" },
		{ "expiry-time=\"20300101\"", "expiry-time" },
		{ "permitopen=\"a:1\"", "permitopen" },
		{ "permitlisten=\"a:1\"", "permitlisten" },
		{ "tunnel=\"0\"", "tunnel" },
		{ "principals=\"x\"", "principals" },
		{ "verify-required", "verify-required" },
		{ "no-touch-required", "no-touch-required" },
		{ "something-new", "something-new" },
		{ "no-pty=\"x\"", "no-pty" },
		{ "restrict=", "restrict" },
		{ "command", "command" },
		{ "command=x", "command" },
		{ "command=\"a\",command=\"b\"", "command" },
		{ "restrict,", "," },
		{ "restrict,,no-pty", "(empty)" },
		{ ",restrict", "(empty)" },
		{ "=\"x\"", "(empty)" },
		{ "command=\"x\"y", "y" },
		{ "\"restrict\"", "\"restrict\"" },
		{ "a\033[1m", "a\\x1b[1m" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(0, parse_options(self, rows[i].options))
		TH_LOG("%s", rows[i].options);
		EXPECT_STREQ(rows[i].bad, self->key.bad_option)
		TH_LOG("%s", rows[i].options);
		EXPECT_EQ(51, self->key.blob_len);
	}
}

TEST_F(line, bounds_the_name_of_a_bad_option)
{
	char options[400];

	memset(options, 'x', sizeof(options));
	options[399] = 0;
	EXPECT_EQ(0, parse_options(self, options));
	EXPECT_EQ(AUTHKEY_OPTION_MAX - 1, strlen(self->key.bad_option));
}

TEST_F(line, refuses_an_open_quote)
{
	EXPECT_EQ(-EINVAL, parse_options(self, "command=\"x"));
	EXPECT_EQ(-EINVAL, parse_options(self, "command=\"x\\\""));
	EXPECT_EQ(-EINVAL, parse(self, "\""));
	EXPECT_EQ(-EINVAL, parse(self, "x\\\"\""));
}

TEST_F(line, refuses_a_command_that_is_too_long)
{
	size_t len = AUTHKEY_COMMAND_MAX + 1;
	char *text = malloc(len + 200);

	sprintf(text, "command=\"%*s\" ssh-ed25519 %s", (int)len, "x",
		pub_ed25519);
	EXPECT_EQ(0, parse(self, text));
	EXPECT_STREQ("command", self->key.bad_option);
	EXPECT_NULL(self->key.command);
	free(text);
}

/* No byte of a line may make it crash, or be taken for another key. */
TEST_F(line, survives_every_changed_and_every_missing_byte)
{
	char line[512], text[512];
	uint8_t blob[64];
	int len, i, c;

	len = snprintf(line, sizeof(line),
		       "no-pty,command=\"a \\\"b\" ssh-ed25519 %s c",
		       pub_ed25519);
	ASSERT_EQ(0, authorized_key_parse(&self->key, line, len));
	memcpy(blob, self->key.blob, 51);
	for (i = 0; i < len; i++) {
		authorized_key_free(&self->key);
		authorized_key_parse(&self->key, line, i);
		for (c = 0; c < 256; c += 5) {
			memcpy(text, line, len);
			text[i] = c;
			authorized_key_free(&self->key);
			authorized_key_parse(&self->key, text, len);
		}
	}
	authorized_key_free(&self->key);
	ASSERT_EQ(0, authorized_key_parse(&self->key, line, len));
	EXPECT_MEMEQ(blob, self->key.blob, 51);
}

TEST_HARNESS_MAIN
