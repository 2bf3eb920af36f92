// SPDX-License-Identifier: MIT
/* monitor/: what may be asked when, and what is answered. */
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "channel/session.h"
#include "core/core.h"
#include "harness.h"
#include "key_data.h"
#include "lib/mem.h"
#include "log_lines.h"
#include "monitor/monitor_impl.h"
#include "stream/banner.h"

#define HASH_LEN	32

FIXTURE(monitor)
{
	struct monitor mon;
	struct monitor_args args;
	struct conf conf;
	struct host_keys host_keys;
	struct log_lines lines;
	struct key *user_key;
	struct key *other_key;
	char dir[64];
	char keys[128];
	char user[64];
	struct buf in;
	struct buf out;
	uint8_t ans;
	uint8_t hash[HASH_LEN];
};

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ASSERT_NOT_NULL(f);
	fputs(text, f);
	ASSERT_EQ(0, fclose(f));
	ASSERT_EQ(0, chmod(path, 0600));
}

static struct key *load_key(FIXTURE_DATA(monitor) *self, const char *text)
{
	struct key *key = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/key", self->dir);
	put_file(path, text);
	ASSERT_EQ(0, key_load_private(path, &key));
	return key;
}

static void authorize(FIXTURE_DATA(monitor) *self, const char *options)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s ssh-ed25519 %s\n", options,
		 pub_ed25519);
	put_file(self->keys, text);
}

FIXTURE_SETUP(monitor)
{
	struct passwd *pw = getpwuid(geteuid());
	char path[256];

	memset(self, 0, sizeof(*self));
	log_lines_open(&self->lines, LOG_LEVEL_VERBOSE);
	strcpy(self->dir, "/tmp/kssh-monitor-XXXXXX");
	ASSERT_NOT_NULL(mkdtemp(self->dir));
	snprintf(self->keys, sizeof(self->keys), "%s/authorized", self->dir);
	ASSERT_NOT_NULL(pw);
	snprintf(self->user, sizeof(self->user), "%s", pw->pw_name);
	conf_init(&self->conf);
	snprintf(path, sizeof(path), "AuthorizedKeysFile=%s", self->keys);
	ASSERT_EQ(0, conf_set(&self->conf, path));
	ASSERT_EQ(0, conf_set(&self->conf, "StrictModes=no"));
	ASSERT_EQ(0, conf_set(&self->conf, "MaxAuthTries=3"));
	snprintf(path, sizeof(path), "HostKey=%s/host", self->dir);
	ASSERT_EQ(0, conf_set(&self->conf, path));
	ASSERT_EQ(0, conf_load(&self->conf, NULL));
	put_file(path + strlen("HostKey="), key_p256);
	ASSERT_EQ(0, host_keys_load(&self->host_keys, &self->conf));
	self->user_key = load_key(self, key_ed25519);
	self->other_key = load_key(self, key_rsa2048);
	authorize(self, "");
	self->args.tcp_fd = -1;
	self->args.startup_fd = -1;
	self->args.conf = &self->conf;
	self->args.host_keys = &self->host_keys;
	monitor_init(&self->mon, &self->args);
	strcpy(self->mon.peer_addr, "192.0.2.1");
	buf_init(&self->in, MON_MSG_MAX);
	buf_init(&self->out, MON_MSG_MAX);
	memset(self->hash, 7, sizeof(self->hash));
}

FIXTURE_TEARDOWN(monitor)
{
	char command[128];

	monitor_exit(&self->mon);
	key_free(self->user_key);
	key_free(self->other_key);
	host_keys_free(&self->host_keys);
	conf_free(&self->conf);
	buf_free(&self->in);
	buf_free(&self->out);
	log_lines_close(&self->lines);
	snprintf(command, sizeof(command), "rm -rf '%s'", self->dir);
	EXPECT_EQ(0, system(command));
}

/* What is in self->in; the answer is in self->out. */
static int ask(FIXTURE_DATA(monitor) *self, uint8_t type)
{
	int err;

	buf_reset(&self->out);
	err = monitor_answer(&self->mon, type, &self->in, &self->ans,
			     &self->out);
	buf_reset(&self->in);
	return err;
}

static int ask_sign(FIXTURE_DATA(monitor) *self, const char *alg, size_t len)
{
	uint8_t hash[256];

	memset(hash, 7, sizeof(hash));
	buf_put_cstring(&self->in, alg);
	buf_put_string(&self->in, hash, len);
	return ask(self, MON_REQ_SIGN);
}

static int ask_user(FIXTURE_DATA(monitor) *self, const char *user)
{
	int err;

	buf_put_cstring(&self->in, user);
	err = ask(self, MON_REQ_USER);
	return err ? err : monitor_lookup_user(&self->mon);
}

/* 1 allowed, 0 not, or -errno. */
static int answered_bool(FIXTURE_DATA(monitor) *self, int err)
{
	uint32_t code;
	bool yes;

	if (err)
		return err;
	ASSERT_EQ(0, buf_get_u32(&self->out, &code));
	ASSERT_EQ(0, code);
	ASSERT_EQ(0, buf_get_bool(&self->out, &yes));
	ASSERT_EQ(0, buf_end(&self->out));
	return yes;
}

static int ask_allowed(FIXTURE_DATA(monitor) *self, const struct key *key,
		       const char *alg)
{
	const uint8_t *blob;
	size_t len;

	blob = key_blob(key, &len);
	buf_put_cstring(&self->in, alg);
	buf_put_string(&self->in, blob, len);
	return answered_bool(self, ask(self, MON_REQ_KEY_ALLOWED));
}

/**
 * struct proof - the fields of a user's signature, as a test wants them
 */
struct proof {
	const uint8_t *session_id;
	uint8_t message;
	const char *user;
	const char *service;
	const char *method;
	bool has_sig;
	const char *alg;
	const struct key *blob_of;
	const struct key *signer;
};

static struct proof good_proof(FIXTURE_DATA(monitor) *self)
{
	return (struct proof){
		.session_id = self->hash,
		.message = SSH_MSG_USERAUTH_REQUEST,
		.user = self->user,
		.service = "ssh-connection",
		.method = "publickey",
		.has_sig = true,
		.alg = "ssh-ed25519",
		.blob_of = self->user_key,
		.signer = self->user_key,
	};
}

static int ask_verify(FIXTURE_DATA(monitor) *self, const struct proof *proof)
{
	struct buf data, sig;
	const uint8_t *blob;
	size_t len;

	buf_init(&data, BUF_MAX_DEFAULT);
	buf_init(&sig, BUF_MAX_DEFAULT);
	blob = key_blob(proof->blob_of, &len);
	buf_put_string(&data, proof->session_id, HASH_LEN);
	buf_put_u8(&data, proof->message);
	buf_put_cstring(&data, proof->user);
	buf_put_cstring(&data, proof->service);
	buf_put_cstring(&data, proof->method);
	buf_put_bool(&data, proof->has_sig);
	buf_put_cstring(&data, proof->alg);
	buf_put_string(&data, blob, len);
	ASSERT_EQ(0, key_sign(proof->signer, proof->alg, buf_data(&data),
			      buf_len(&data), &sig));
	buf_put_cstring(&self->in, proof->alg);
	buf_put_string(&self->in, blob, len);
	buf_put_buf(&self->in, &sig);
	buf_free(&data);
	buf_free(&sig);
	return answered_bool(self, ask(self, MON_REQ_KEY_VERIFY));
}

static void begin(FIXTURE_DATA(monitor) *self)
{
	ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
	ASSERT_EQ(0, ask_user(self, self->user));
}

static void fill_state(FIXTURE_DATA(monitor) *self,
		       struct transport_state *state)
{
	memset(state, 0, sizeof(*state));
	state->tx.cipher = KSSH_CIPHER_AES_256_GCM;
	state->tx.key_len = 32;
	state->tx.iv_len = 12;
	memset(state->tx.key, 1, 32);
	state->rx.cipher = KSSH_CIPHER_AES_128_CTR;
	state->rx.mac = KSSH_MAC_HMAC_SHA2_256;
	state->rx.key_len = 16;
	state->rx.iv_len = 16;
	state->rx.mac_key_len = 32;
	state->tx_pkt_seq = 5;
	state->rx_pkt_seq = 6;
	state->tx_packets = 3;
	state->rx_bytes = 1ULL << 40;
	memcpy(state->session_id, self->hash, HASH_LEN);
	state->session_id_len = HASH_LEN;
	state->strict_kex = true;
	strcpy(state->client_version, "SSH-2.0-test");
	strcpy(state->server_version, banner_server_version);
}

static int ask_export(FIXTURE_DATA(monitor) *self,
		      const struct transport_state *state)
{
	buf_reset(&self->in);
	ASSERT_EQ(0, mon_put_state(&self->in, state));
	return ask(self, MON_REQ_EXPORT);
}

TEST_F(monitor, gives_a_host_key_by_algorithm)
{
	const uint8_t *blob, *want;
	size_t len, want_len;
	uint32_t code;

	buf_put_cstring(&self->in, "ecdsa-sha2-nistp256");
	ASSERT_EQ(0, ask(self, MON_REQ_HOST_KEY));
	EXPECT_EQ(MON_ANS_HOST_KEY, self->ans);
	ASSERT_EQ(0, buf_get_u32(&self->out, &code));
	EXPECT_EQ(0, code);
	ASSERT_EQ(0, buf_get_string(&self->out, &blob, &len));
	want = key_blob(self->host_keys.keys[0], &want_len);
	ASSERT_EQ(want_len, len);
	EXPECT_MEMEQ(want, blob, len);
	buf_put_cstring(&self->in, "ssh-ed25519");
	ASSERT_EQ(0, ask(self, MON_REQ_HOST_KEY));
	ASSERT_EQ(0, buf_get_u32(&self->out, &code));
	EXPECT_EQ(ENOENT, code);
	EXPECT_EQ(0, buf_end(&self->out));
}

TEST_F(monitor, signs_a_hash_and_keeps_the_first)
{
	const uint8_t *sig;
	uint32_t code;
	size_t len;

	ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
	EXPECT_EQ(MON_ANS_SIGN, self->ans);
	ASSERT_EQ(0, buf_get_u32(&self->out, &code));
	ASSERT_EQ(0, buf_get_string(&self->out, &sig, &len));
	EXPECT_EQ(0, key_verify(self->host_keys.keys[0], "ecdsa-sha2-nistp256",
				self->hash, HASH_LEN, sig, len));
	ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", 64));
	ASSERT_EQ(HASH_LEN, self->mon.session_id_len);
	EXPECT_MEMEQ(self->hash, self->mon.session_id, HASH_LEN);
}

TEST_F(monitor, signs_nothing_but_hashes)
{
	EXPECT_EQ(-EPROTO, ask_sign(self, "ecdsa-sha2-nistp256", 0));
	EXPECT_EQ(-EPROTO, ask_sign(self, "ecdsa-sha2-nistp256", 31));
	EXPECT_EQ(-EPROTO, ask_sign(self, "ecdsa-sha2-nistp256", 65));
	EXPECT_EQ(-EPROTO, ask_sign(self, "ssh-ed25519", HASH_LEN));
	EXPECT_EQ(-EPROTO, ask_sign(self, "", HASH_LEN));
	EXPECT_EQ(0, self->mon.session_id_len);
}

TEST_F(monitor, bounds_signatures_before_authentication)
{
	int i;

	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
	EXPECT_EQ(-EPERM, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
	self->mon.state = MON_STATE_SESSION;
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
}

TEST_F(monitor, refuses_requests_it_does_not_know)
{
	int type;

	for (type = 0; type < 256; type++) {
		switch (type) {
		case MON_REQ_HOST_KEY:
		case MON_REQ_SIGN:
		case MON_REQ_USER:
		case MON_REQ_KEY_ALLOWED:
		case MON_REQ_KEY_VERIFY:
		case MON_REQ_EXPORT:
			continue;
		}
		EXPECT_EQ(-EPROTO, ask(self, type));
		EXPECT_EQ(0, self->ans);
	}
}

TEST_F(monitor, refuses_requests_of_another_state)
{
	static const struct {
		unsigned int state;
		uint8_t req;
	} rows[] = {
		{ MON_STATE_PREAUTH, MON_REQ_EXPORT },
		{ MON_STATE_AUTHED, MON_REQ_HOST_KEY },
		{ MON_STATE_AUTHED, MON_REQ_SIGN },
		{ MON_STATE_AUTHED, MON_REQ_USER },
		{ MON_STATE_AUTHED, MON_REQ_KEY_ALLOWED },
		{ MON_STATE_AUTHED, MON_REQ_KEY_VERIFY },
		{ MON_STATE_EXPORTED, MON_REQ_HOST_KEY },
		{ MON_STATE_EXPORTED, MON_REQ_SIGN },
		{ MON_STATE_EXPORTED, MON_REQ_USER },
		{ MON_STATE_EXPORTED, MON_REQ_KEY_ALLOWED },
		{ MON_STATE_EXPORTED, MON_REQ_KEY_VERIFY },
		{ MON_STATE_EXPORTED, MON_REQ_EXPORT },
		{ MON_STATE_SESSION, MON_REQ_USER },
		{ MON_STATE_SESSION, MON_REQ_KEY_ALLOWED },
		{ MON_STATE_SESSION, MON_REQ_KEY_VERIFY },
		{ MON_STATE_SESSION, MON_REQ_EXPORT },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		self->mon.state = rows[i].state;
		EXPECT_EQ(-EPERM, ask(self, rows[i].req))
		TH_LOG("state %u request %u", rows[i].state, rows[i].req);
	}
}

TEST_F(monitor, wants_a_session_id_then_a_user_then_a_key)
{
	const struct proof proof = good_proof(self);

	EXPECT_EQ(-EPERM, ask_user(self, self->user));
	EXPECT_EQ(-EPERM, ask_allowed(self, self->user_key, "ssh-ed25519"));
	EXPECT_EQ(-EPERM, ask_verify(self, &proof));
	ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
	EXPECT_EQ(-EPERM, ask_allowed(self, self->user_key, "ssh-ed25519"));
	EXPECT_EQ(-EPERM, ask_verify(self, &proof));
	ASSERT_EQ(0, ask_user(self, self->user));
	EXPECT_EQ(-EPERM, ask_verify(self, &proof));
}

TEST_F(monitor, takes_one_user_only)
{
	begin(self);
	EXPECT_EQ(-EPERM, ask_user(self, self->user));
	EXPECT_EQ(-EPERM, ask_user(self, "other"));
	EXPECT_STREQ(self->user, self->mon.user);
}

TEST_F(monitor, refuses_bodies_cut_at_every_byte_or_with_more)
{
	struct {
		uint8_t req;
		unsigned int state;
		struct buf body;
	} rows[6] = {
		{ .req = MON_REQ_HOST_KEY, .state = MON_STATE_PREAUTH },
		{ .req = MON_REQ_SIGN, .state = MON_STATE_PREAUTH },
		{ .req = MON_REQ_USER, .state = MON_STATE_PREAUTH },
		{ .req = MON_REQ_KEY_ALLOWED, .state = MON_STATE_PREAUTH },
		{ .req = MON_REQ_KEY_VERIFY, .state = MON_STATE_PREAUTH },
		{ .req = MON_REQ_EXPORT, .state = MON_STATE_AUTHED },
	};
	struct transport_state state;
	const uint8_t *blob;
	size_t len, cut, i;

	blob = key_blob(self->user_key, &len);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_init(&rows[i].body, MON_MSG_MAX);
		if (rows[i].req != MON_REQ_EXPORT)
			buf_put_cstring(&rows[i].body, "ecdsa-sha2-nistp256");
	}
	buf_put_string(&rows[1].body, self->hash, HASH_LEN);
	buf_put_string(&rows[3].body, blob, len);
	buf_put_string(&rows[4].body, blob, len);
	buf_put_string(&rows[4].body, "sig", 3);
	fill_state(self, &state);
	mon_put_state(&rows[5].body, &state);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		self->mon.state = rows[i].state;
		for (cut = 0; cut < buf_len(&rows[i].body); cut++) {
			buf_put_raw(&self->in, buf_data(&rows[i].body), cut);
			EXPECT_EQ(-EPROTO, ask(self, rows[i].req))
			TH_LOG("request %u, %zu bytes", rows[i].req, cut);
		}
		buf_put_raw(&self->in, buf_data(&rows[i].body), cut);
		buf_put_u8(&self->in, 0);
		EXPECT_EQ(-EPROTO, ask(self, rows[i].req));
		buf_free(&rows[i].body);
	}
}

TEST_F(monitor, authenticates_a_key_that_is_allowed_and_signs)
{
	const struct proof proof = good_proof(self);
	struct transport_state state;

	authorize(self, "command=\"echo x\",no-pty");
	begin(self);
	if (!self->mon.account.allowed)
		SKIP(return, "the account of this test may not log in");
	ASSERT_EQ(1, ask_allowed(self, self->user_key, "ssh-ed25519"));
	ASSERT_EQ(1, ask_verify(self, &proof));
	EXPECT_EQ(MON_STATE_AUTHED, self->mon.state);
	EXPECT_EQ(AUTHKEY_NO_PTY, self->mon.match.flags);
	EXPECT_STREQ("echo x", self->mon.match.command);
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines),
			       "Accepted publickey for "));
	fill_state(self, &state);
	EXPECT_EQ(0, ask_export(self, &state));
	EXPECT_EQ(0, self->ans);
	EXPECT_EQ(MON_STATE_EXPORTED, self->mon.state);
	EXPECT_EQ(0, memcmp(&state, &self->mon.transport, sizeof(state)));
}

TEST_F(monitor, does_not_allow_a_key_that_is_not_in_the_file)
{
	begin(self);
	EXPECT_EQ(0, ask_allowed(self, self->other_key, "rsa-sha2-256"));
	EXPECT_EQ(0, self->mon.allowed_len);
	EXPECT_EQ(1, self->mon.failures);
}

TEST_F(monitor, does_not_allow_an_algorithm_of_another_type)
{
	begin(self);
	EXPECT_EQ(0, ask_allowed(self, self->user_key, "rsa-sha2-256"));
	EXPECT_EQ(0, ask_allowed(self, self->other_key, "ssh-rsa"));
}

TEST_F(monitor, does_not_allow_anything_for_unknown_users)
{
	ASSERT_EQ(0, ask_sign(self, "ecdsa-sha2-nistp256", HASH_LEN));
	ASSERT_EQ(0, ask_user(self, "no-such-user\n"));
	EXPECT_EQ(0, ask_allowed(self, self->user_key, "ssh-ed25519"));
	EXPECT_EQ(0, self->mon.allowed_len);
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines),
			       "Invalid user no-such-user\\x0a from"));
}

TEST_F(monitor, refuses_a_signature_of_a_key_that_was_not_allowed)
{
	struct proof proof = good_proof(self);

	begin(self);
	if (!self->mon.account.allowed)
		SKIP(return, "the account of this test may not log in");
	ASSERT_EQ(1, ask_allowed(self, self->user_key, "ssh-ed25519"));
	proof.blob_of = self->other_key;
	proof.signer = self->other_key;
	proof.alg = "rsa-sha2-256";
	EXPECT_EQ(-EPERM, ask_verify(self, &proof));
	EXPECT_EQ(MON_STATE_PREAUTH, self->mon.state);
}

TEST_F(monitor, forgets_the_allowed_key_when_another_is_not)
{
	const struct proof proof = good_proof(self);

	begin(self);
	if (!self->mon.account.allowed)
		SKIP(return, "the account of this test may not log in");
	ASSERT_EQ(1, ask_allowed(self, self->user_key, "ssh-ed25519"));
	ASSERT_EQ(0, ask_allowed(self, self->other_key, "rsa-sha2-256"));
	EXPECT_EQ(-EPERM, ask_verify(self, &proof));
}

/* Each field of the signed data counts. */
TEST_F(monitor, refuses_signatures_over_anything_else)
{
	uint8_t other_id[HASH_LEN] = { 1 };
	struct proof proofs[7];
	size_t i;

	self->conf.max_auth_tries = 100;
	for (i = 0; i < ARRAY_SIZE(proofs); i++)
		proofs[i] = good_proof(self);
	proofs[0].session_id = other_id;
	proofs[1].message = 51;
	proofs[2].user = "other";
	proofs[3].service = "ssh-userauth";
	proofs[4].method = "hostbased";
	proofs[5].has_sig = false;
	proofs[6].user = "";
	begin(self);
	if (!self->mon.account.allowed)
		SKIP(return, "the account of this test may not log in");
	ASSERT_EQ(1, ask_allowed(self, self->user_key, "ssh-ed25519"));
	for (i = 0; i < ARRAY_SIZE(proofs); i++) {
		EXPECT_EQ(0, ask_verify(self, &proofs[i]))
		TH_LOG("field %zu", i);
		EXPECT_EQ(MON_STATE_PREAUTH, self->mon.state);
	}
	EXPECT_EQ(7, self->mon.failures);
}

TEST_F(monitor, cuts_off_after_too_many_failures)
{
	begin(self);
	EXPECT_EQ(0, ask_allowed(self, self->other_key, "rsa-sha2-256"));
	EXPECT_EQ(0, ask_allowed(self, self->other_key, "rsa-sha2-256"));
	EXPECT_EQ(0, ask_allowed(self, self->other_key, "rsa-sha2-256"));
	EXPECT_EQ(-EPERM, ask_allowed(self, self->other_key, "rsa-sha2-256"));
	EXPECT_NOT_NULL(strstr(log_lines_read(&self->lines),
			       "maximum authentication attempts exceeded"));
}

TEST_F(monitor, tells_once_why_a_line_cannot_be_used)
{
	const char *text, *first;

	authorize(self, "from=\"x\"");
	begin(self);
	if (!self->mon.account.allowed)
		SKIP(return, "the account of this test may not log in");
	EXPECT_EQ(0, ask_allowed(self, self->user_key, "ssh-ed25519"));
	EXPECT_EQ(0, ask_allowed(self, self->user_key, "ssh-ed25519"));
	text = log_lines_read(&self->lines);
	first = strstr(text, "authorized line 1: option from is not supported");
	ASSERT_NOT_NULL(first);
	EXPECT_NULL(strstr(first + 40, "option from"));
}

TEST_F(monitor, checks_every_field_of_the_keys_it_is_given)
{
	struct transport_state good, bad;
	int i;

	begin(self);
	fill_state(self, &good);
	for (i = 0; i < 16; i++) {
		bad = good;
		switch (i) {
		case 0:
			bad.tx.cipher = KSSH_CIPHER_NONE;
			bad.tx.key_len = 0;
			bad.tx.iv_len = 0;
			break;
		case 1:
			bad.tx.cipher = 99;
			break;
		case 2:
			bad.tx.key_len = 31;
			break;
		case 3:
			bad.tx.iv_len = 16;
			break;
		case 4:
			bad.tx.mac = KSSH_MAC_HMAC_SHA2_256;
			break;
		case 5:
			bad.rx.mac = KSSH_MAC_IMPLICIT;
			break;
		case 6:
			bad.rx.mac_key_len = 31;
			break;
		case 7:
			bad.tx_packets = 1ULL << 31;
			break;
		case 8:
			bad.rx_packets = 1ULL << 40;
			break;
		case 9:
			bad.session_id[0]++;
			break;
		case 10:
			bad.session_id_len--;
			break;
		case 11:
			bad.session_id_len = 0;
			break;
		case 12:
			strcpy(bad.server_version, "SSH-2.0-other");
			break;
		case 13:
			strcpy(bad.client_version, "SSH-1.5-x");
			break;
		case 14:
			strcpy(bad.client_version, "SSH-2.0-x\n");
			break;
		case 15:
			bad.rx.cipher = KSSH_CIPHER_NONE;
			bad.rx.mac = KSSH_MAC_IMPLICIT;
			bad.rx.key_len = 0;
			bad.rx.iv_len = 0;
			bad.rx.mac_key_len = 0;
			break;
		}
		self->mon.state = MON_STATE_AUTHED;
		EXPECT_EQ(-EINVAL, ask_export(self, &bad))
		TH_LOG("case %d", i);
		EXPECT_EQ(MON_STATE_AUTHED, self->mon.state);
	}
	EXPECT_EQ(0, ask_export(self, &good));
}

/* Framing. */

FIXTURE(msg)
{
	int fds[2];
	struct buf body;
	uint8_t type;
};

FIXTURE_SETUP(msg)
{
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds));
	buf_init(&self->body, MON_MSG_MAX);
}

FIXTURE_TEARDOWN(msg)
{
	close(self->fds[0]);
	close(self->fds[1]);
	buf_free(&self->body);
}

static int recv_msg(FIXTURE_DATA(msg) *self)
{
	return mon_msg_recv(self->fds[1], mon_now_ms() + 10000, &self->type,
			    &self->body);
}

static int recv_bytes(FIXTURE_DATA(msg) *self, const void *p, size_t len)
{
	ASSERT_EQ(len, send(self->fds[0], p, len, 0));
	return recv_msg(self);
}

TEST_F(msg, comes_as_it_was_sent)
{
	struct buf out;

	buf_init(&out, MON_MSG_MAX);
	buf_put_cstring(&out, "hello");
	ASSERT_EQ(0, mon_msg_send(self->fds[0], 0, 200, &out));
	ASSERT_EQ(0, mon_msg_send(self->fds[0], 0, 7, NULL));
	ASSERT_EQ(0, recv_msg(self));
	EXPECT_EQ(200, self->type);
	ASSERT_EQ(9, buf_len(&self->body));
	EXPECT_MEMEQ(buf_data(&out), buf_data(&self->body), 9);
	ASSERT_EQ(0, recv_msg(self));
	EXPECT_EQ(7, self->type);
	EXPECT_EQ(0, buf_len(&self->body));
	buf_free(&out);
}

TEST_F(msg, of_the_largest_size_passes_in_pieces)
{
	struct buf out;
	uint8_t *p;
	pid_t pid;
	int code;

	buf_init(&out, MON_MSG_MAX);
	p = buf_put_space(&out, MON_MSG_MAX - 1);
	ASSERT_NOT_NULL(p);
	memset(p, 'x', MON_MSG_MAX - 1);
	pid = fork();
	if (!pid) {
		int small = 4096;

		setsockopt(self->fds[0], SOL_SOCKET, SO_SNDBUF, &small,
			   sizeof(small));
		_exit(mon_msg_send(self->fds[0], 0, 1, &out) ? 1 : 0);
	}
	EXPECT_EQ(0, recv_msg(self));
	ASSERT_EQ(MON_MSG_MAX - 1, buf_len(&self->body));
	EXPECT_MEMEQ(buf_data(&out), buf_data(&self->body), MON_MSG_MAX - 1);
	waitpid(pid, &code, 0);
	EXPECT_EQ(0, code);
	buf_free(&out);
}

TEST_F(msg, is_refused_when_it_is_empty_or_too_long)
{
	struct buf out;

	EXPECT_EQ(-EPROTO, recv_bytes(self, "\0\0\0\0", 4));
	EXPECT_EQ(-EMSGSIZE, recv_bytes(self, "\0\0\xc0\1", 4));
	EXPECT_EQ(-EMSGSIZE, recv_bytes(self, "\377\377\377\377", 4));
	buf_init(&out, 2 * MON_MSG_MAX);
	ASSERT_NOT_NULL(buf_put_space(&out, MON_MSG_MAX));
	EXPECT_EQ(-EMSGSIZE, mon_msg_send(self->fds[0], 0, 1, &out));
	buf_free(&out);
}

TEST_F(msg, ends_with_the_other_side)
{
	ASSERT_EQ(6, send(self->fds[0], "\0\0\0\5\1x", 6, 0));
	shutdown(self->fds[0], SHUT_WR);
	EXPECT_EQ(-EPROTO, recv_msg(self));
	EXPECT_EQ(-ECONNABORTED, recv_msg(self));
	close(self->fds[1]);
	self->fds[1] = -1;
	EXPECT_EQ(-ECONNABORTED, mon_msg_send(self->fds[0], 0, 1, NULL));
}

TEST_F(msg, does_not_wait_beyond_the_deadline)
{
	ASSERT_EQ(2, send(self->fds[0], "\0\0", 2, 0));
	EXPECT_EQ(-ETIMEDOUT, mon_msg_recv(self->fds[1], mon_now_ms() + 20,
					   &self->type, &self->body));
}

/* The asking side. */

static int ask_fake(FIXTURE_DATA(msg) *self, const void *ans, size_t len)
{
	struct buf blob;
	int err;

	/* nothing: the other side is gone */
	if (!len)
		shutdown(self->fds[0], SHUT_WR);
	else
		ASSERT_EQ(len, send(self->fds[0], ans, len, 0));
	buf_init(&blob, 1000);
	err = mon_request_host_key(self->fds[1], "x", &blob);
	buf_free(&blob);
	return err;
}

TEST_F(msg, of_an_answer_must_be_the_right_one)
{
	EXPECT_EQ(0, ask_fake(self, "\0\0\0\12\2\0\0\0\0\0\0\0\1b", 14));
	EXPECT_EQ(-ENOENT, ask_fake(self, "\0\0\0\5\2\0\0\0\2", 9));
	EXPECT_EQ(-EPROTO, ask_fake(self, "\0\0\0\5\4\0\0\0\0", 9));
	EXPECT_EQ(-EPROTO, ask_fake(self, "\0\0\0\5\2\0\0\0\0", 9));
	EXPECT_EQ(-EPROTO, ask_fake(self, "\0\0\0\1\2", 5));
	EXPECT_EQ(-EPROTO, ask_fake(self, "\0\0\0\5\2\377\0\0\0", 9));
	EXPECT_EQ(-EPROTO, ask_fake(self, "\0\0\0\13\2\0\0\0\0\0\0\0\1bb", 15));
	EXPECT_EQ(-ECONNABORTED, ask_fake(self, "", 0));
}

TEST_HARNESS_MAIN
