// SPDX-License-Identifier: MIT
/* kex/: whole exchanges against a peer, and what must not happen. */
#include "kex_peer.h"

#define HOST_ALGS "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"

static const uint8_t newkeys_msg[1] = { SSH_MSG_NEWKEYS };

struct ctx {
	struct owner owner;
	struct peer peer;
	struct kex *kex;
	struct kex_proposal proposal;
	uint32_t pkt_seq;
	uint32_t disconnect;
};

static void ctx_init(struct ctx *c)
{
	owner_init(&c->owner);
	peer_init(&c->peer);
	c->proposal.kex = kex_default_kex;
	c->proposal.hostkey_algs = HOST_ALGS;
	c->proposal.ciphers = kex_default_ciphers;
	c->proposal.macs = kex_default_macs;
	ASSERT_EQ(0, kex_alloc(&c->kex, &c->proposal, &owner_ops, &c->owner,
			       V_C, V_S, NULL, HOST_ALGS));
}

static void ctx_exit(struct ctx *c)
{
	kex_free(c->kex);
	peer_exit(&c->peer);
	owner_exit(&c->owner);
}

/* A fresh server, for the next of many bad inputs. */
static void ctx_again(struct ctx *c)
{
	kex_free(c->kex);
	owner_forget(&c->owner);
	c->pkt_seq = 0;
	ASSERT_EQ(0, kex_alloc(&c->kex, &c->proposal, &owner_ops, &c->owner,
			       V_C, V_S, NULL, HOST_ALGS));
}

static int feed(struct ctx *c, const void *p, size_t len)
{
	return kex_input(c->kex, c->pkt_seq++, p, len, &c->disconnect);
}

static int feed_init(struct ctx *c)
{
	peer_fill_init(&c->peer);
	return feed(c, buf_data(&c->peer.init), buf_len(&c->peer.init));
}

static int feed_ecdh(struct ctx *c, const char *kex)
{
	struct buf out;
	int err;

	buf_init(&out, 10000);
	peer_fill_ecdh_init(&c->peer, kex, &out);
	err = feed(c, buf_data(&out), buf_len(&out));
	buf_free(&out);
	return err;
}

/* One exchange; the server's messages are forgotten then. */
static void run(struct ctx *c, const char *kex, const char *hostkey)
{
	size_t tx = c->owner.nr_tx_keys, rx = c->owner.nr_rx_keys;

	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(1, c->owner.nr_sent);
	ASSERT_TRUE(kex_tx_gated(c->kex));
	ASSERT_TRUE(kex_rx_gated(c->kex));
	ASSERT_EQ(0, feed_ecdh(c, kex));
	ASSERT_LE(3, c->owner.nr_sent);
	ASSERT_EQ(tx + 1, c->owner.nr_tx_keys);
	ASSERT_EQ(rx, c->owner.nr_rx_keys);
	/* KEXINIT, ECDH_REPLY, NEWKEYS: then the keys, before all else */
	ASSERT_EQ(3, c->owner.sent_at_tx_keys);
	ASSERT_EQ(1, c->owner.sent[2].len);
	ASSERT_EQ(SSH_MSG_NEWKEYS, c->owner.sent[2].p[0]);
	EXPECT_FALSE(kex_tx_gated(c->kex));
	EXPECT_TRUE(kex_rx_gated(c->kex));
	EXPECT_TRUE(kex_running(c->kex));
	peer_take_reply(&c->peer, hostkey, &c->owner.sent[0],
			&c->owner.sent[1]);
	peer_check_keys(&c->peer, false, &c->owner.tx);
	ASSERT_EQ(0, feed(c, newkeys_msg, 1));
	ASSERT_EQ(rx + 1, c->owner.nr_rx_keys);
	peer_check_keys(&c->peer, true, &c->owner.rx);
	EXPECT_FALSE(kex_running(c->kex));
	EXPECT_FALSE(kex_rx_gated(c->kex));
}

FIXTURE(exchange)
{
	struct ctx c;
};

FIXTURE_VARIANT(exchange)
{
	const char *kex;
	const char *hostkey;
	const char *cipher;
	const char *mac;
};

FIXTURE_VARIANT_ADD(exchange, mlkem){ "mlkem768x25519-sha256", "ssh-ed25519",
				      "aes128-gcm@openssh.com", "hmac-sha1" };
FIXTURE_VARIANT_ADD(exchange, x25519){ "curve25519-sha256", "ssh-ed25519",
				       "chacha20-poly1305@openssh.com",
				       "hmac-sha2-256" };
FIXTURE_VARIANT_ADD(exchange, libssh){ "curve25519-sha256@libssh.org",
				       "ecdsa-sha2-nistp256",
				       "aes256-gcm@openssh.com",
				       "hmac-sha2-512" };
FIXTURE_VARIANT_ADD(exchange, p256){ "ecdh-sha2-nistp256", "rsa-sha2-256",
				     "aes128-ctr",
				     "hmac-sha2-256-etm@openssh.com" };
FIXTURE_VARIANT_ADD(exchange, rsa){ "mlkem768x25519-sha256", "rsa-sha2-512",
				    "aes192-ctr", "hmac-sha2-512" };
FIXTURE_VARIANT_ADD(exchange, ctr256){ "curve25519-sha256",
				       "ecdsa-sha2-nistp256", "aes256-ctr",
				       "hmac-sha2-512-etm@openssh.com" };

FIXTURE_SETUP(exchange)
{
	ctx_init(&self->c);
	self->c.peer.kex = variant->kex;
	self->c.peer.hostkey = variant->hostkey;
	self->c.peer.ciphers = variant->cipher;
	self->c.peer.macs = variant->mac;
}

FIXTURE_TEARDOWN(exchange)
{
	ctx_exit(&self->c);
}

TEST_F(exchange, both_sides_derive_the_same_keys)
{
	struct ctx *c = &self->c;
	const uint8_t *id;
	char names[300];
	size_t len;
	bool aead;

	run(c, variant->kex, variant->hostkey);
	EXPECT_TRUE(c->owner.signed_first);
	id = kex_session_id(c->kex, &len);
	ASSERT_EQ(32, len);
	EXPECT_MEMEQ(c->peer.session_id, id, 32);
	aead = cipher_by_name(variant->cipher)->tag_len;
	EXPECT_EQ(cipher_by_name(variant->cipher)->id, c->owner.tx.cipher);
	EXPECT_EQ(aead ? KSSH_MAC_IMPLICIT : mac_by_name(variant->mac)->id,
		  c->owner.rx.mac);
	snprintf(names, sizeof(names), "%s %s c2s %s%s%s s2c %s%s%s",
		 variant->kex, variant->hostkey, variant->cipher,
		 aead ? "" : " ", aead ? "" : variant->mac, variant->cipher,
		 aead ? "" : " ", aead ? "" : variant->mac);
	EXPECT_STREQ(names, kex_describe(c->kex));
	/* no markers: no strict-kex, no EXT_INFO */
	EXPECT_FALSE(kex_strict(c->kex));
	EXPECT_FALSE(kex_peer_ext_info(c->kex));
	EXPECT_FALSE(c->owner.tx_reset);
	EXPECT_EQ(3, c->owner.nr_sent);
}

TEST_F(exchange, rekeys_keep_the_session_id)
{
	struct ctx *c = &self->c;
	uint8_t first[32];
	const uint8_t *id;
	size_t len;
	int i;

	/* often enough for shared secrets that begin with a 1 or a 0 bit */
	for (i = 0; i < 20; i++) {
		owner_forget(&c->owner);
		run(c, variant->kex, variant->hostkey);
		EXPECT_EQ(i == 0, c->owner.signed_first);
		id = kex_session_id(c->kex, &len);
		if (!i)
			memcpy(first, id, 32);
		EXPECT_MEMEQ(first, id, 32);
		if (i)
			EXPECT_NE(0, memcmp(first, c->peer.hash, 32));
	}
}

TEST_F(exchange, another_process_rekeys_from_the_handed_over_state)
{
	struct transport_state state = { 0 };
	struct ctx *c = &self->c;
	const uint8_t *id;
	size_t len;

	c->peer.kex = "curve25519-sha256,ext-info-c,"
		      "kex-strict-c-v00@openssh.com";
	run(c, "curve25519-sha256", variant->hostkey);
	id = kex_session_id(c->kex, &len);
	memcpy(state.session_id, id, len);
	state.session_id_len = len;
	state.strict_kex = kex_strict(c->kex);
	state.peer_ext_info = kex_peer_ext_info(c->kex);
	kex_free(c->kex);
	owner_forget(&c->owner);
	ASSERT_EQ(0, kex_alloc(&c->kex, &c->proposal, &owner_ops, &c->owner,
			       V_C, V_S, &state, HOST_ALGS));
	c->peer.kex = variant->kex;
	c->pkt_seq = 4711;
	run(c, variant->kex, variant->hostkey);
	EXPECT_FALSE(c->owner.signed_first);
	EXPECT_TRUE(c->owner.tx_reset);
	EXPECT_TRUE(c->owner.rx_reset);
	EXPECT_TRUE(kex_strict(c->kex));
	EXPECT_EQ(3, c->owner.nr_sent); /* no second EXT_INFO */
}

TEST_F(exchange, refuses_public_values_of_any_other_length)
{
	struct ctx *c = &self->c;
	uint8_t msg[2048] = { SSH_MSG_KEX_ECDH_INIT };
	struct buf good;
	size_t len, want;

	buf_init(&good, 10000);
	peer_fill_ecdh_init(&c->peer, variant->kex, &good);
	want = buf_len(&good) - 5;
	for (len = 0; len < want + 40; len++) {
		if (len == want || (want > 1000 && len % 16))
			continue;
		ctx_again(c);
		ASSERT_EQ(0, feed_init(c));
		memset(msg + 5, 4, len);
		kssh_put_be32(msg + 1, len);
		ASSERT_EQ(-EPROTO, feed(c, msg, 5 + len));
		ASSERT_EQ(SSH_DISCONNECT_KEY_EXCHANGE_FAILED, c->disconnect);
		ASSERT_EQ(1, c->owner.nr_sent);
	}
	buf_free(&good);
}

TEST_F(exchange, refuses_ecdh_init_cut_at_every_byte)
{
	struct ctx *c = &self->c;
	struct buf good;
	uint8_t *cut;
	size_t len;

	buf_init(&good, 10000);
	peer_fill_ecdh_init(&c->peer, variant->kex, &good);
	for (len = 1; len < buf_len(&good); len += len > 100 ? 37 : 1) {
		ctx_again(c);
		ASSERT_EQ(0, feed_init(c));
		cut = malloc(len);
		memcpy(cut, buf_data(&good), len);
		ASSERT_EQ(-EPROTO, feed(c, cut, len));
		free(cut);
	}
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	buf_put_u8(&good, 0);
	EXPECT_EQ(-EPROTO, feed(c, buf_data(&good), buf_len(&good)));
	EXPECT_EQ(0, c->owner.nr_tx_keys);
	buf_free(&good);
}

FIXTURE(kex)
{
	struct ctx c;
};

FIXTURE_SETUP(kex)
{
	ctx_init(&self->c);
}

FIXTURE_TEARDOWN(kex)
{
	ctx_exit(&self->c);
}

/* RFC 8308 2.4 */
TEST_F(kex, sends_ext_info_right_after_the_first_newkeys)
{
	struct ctx *c = &self->c;
	char *name, *value;
	uint8_t type;
	struct buf in;
	uint32_t nr;

	run(c, "curve25519-sha256", "ssh-ed25519");
	ASSERT_EQ(4, c->owner.nr_sent);
	buf_ref(&in, c->owner.sent[3].p, c->owner.sent[3].len);
	ASSERT_EQ(0, buf_get_u8(&in, &type));
	EXPECT_EQ(SSH_MSG_EXT_INFO, type);
	ASSERT_EQ(0, buf_get_u32(&in, &nr));
	ASSERT_EQ(2, nr);
	ASSERT_EQ(0, buf_get_cstring(&in, &name));
	ASSERT_EQ(0, buf_get_cstring(&in, &value));
	EXPECT_STREQ("server-sig-algs", name);
	EXPECT_STREQ(HOST_ALGS, value);
	free(name);
	free(value);
	ASSERT_EQ(0, buf_get_cstring(&in, &name));
	ASSERT_EQ(0, buf_get_cstring(&in, &value));
	EXPECT_STREQ("ping@openssh.com", name);
	EXPECT_STREQ("0", value);
	free(name);
	free(value);
	EXPECT_EQ(0, buf_end(&in));
	EXPECT_TRUE(kex_peer_ext_info(c->kex));
	owner_forget(&c->owner);
	run(c, "curve25519-sha256", "ssh-ed25519");
	EXPECT_EQ(3, c->owner.nr_sent);
	EXPECT_TRUE(kex_peer_ext_info(c->kex));
}

TEST_F(kex, markers_stand_in_the_first_kexinit_only)
{
	static const char strict[] = "kex-strict-s-v00@openssh.com";
	struct ctx *c = &self->c;
	struct sent *init = c->owner.sent;

	run(c, "curve25519-sha256", "ssh-ed25519");
	EXPECT_NOT_NULL(memmem(init->p, init->len, strict, strlen(strict)));
	EXPECT_NOT_NULL(memmem(init->p, init->len, ",ext-info-s,", 12));
	EXPECT_TRUE(kex_strict(c->kex));
	EXPECT_TRUE(c->owner.tx_reset);
	EXPECT_TRUE(c->owner.rx_reset);
	owner_forget(&c->owner);
	/* nor do the client's count any more */
	c->peer.kex = "curve25519-sha256";
	run(c, "curve25519-sha256", "ssh-ed25519");
	EXPECT_NULL(memmem(init->p, init->len, strict, strlen(strict)));
	EXPECT_NULL(memmem(init->p, init->len, "ext-info", 8));
	EXPECT_TRUE(kex_strict(c->kex));
	EXPECT_TRUE(c->owner.rx_reset);
}

TEST_F(kex, marker_of_a_rekey_does_not_make_it_strict)
{
	struct ctx *c = &self->c;

	c->peer.kex = "curve25519-sha256";
	run(c, "curve25519-sha256", "ssh-ed25519");
	EXPECT_FALSE(kex_strict(c->kex));
	owner_forget(&c->owner);
	c->peer.kex = "curve25519-sha256,ext-info-c,"
		      "kex-strict-c-v00@openssh.com";
	run(c, "curve25519-sha256", "ssh-ed25519");
	EXPECT_FALSE(kex_strict(c->kex));
	EXPECT_FALSE(c->owner.tx_reset);
	EXPECT_FALSE(kex_peer_ext_info(c->kex));
}

/* Terrapin (CVE-2023-48795): nothing may be slipped in before KEXINIT. */
TEST_F(kex, strict_wants_kexinit_as_the_first_packet)
{
	struct ctx *c = &self->c;

	c->pkt_seq = 1;
	EXPECT_EQ(-EPROTO, feed_init(c));
	EXPECT_EQ(SSH_DISCONNECT_PROTOCOL_ERROR, c->disconnect);
	EXPECT_EQ(0, c->owner.nr_sent);
	/* without strict-kex an IGNORE before it is allowed */
	ctx_again(c);
	c->pkt_seq = 1;
	c->peer.kex = "curve25519-sha256";
	EXPECT_EQ(0, feed_init(c));
}

TEST_F(kex, any_other_message_is_a_fault)
{
	static const uint8_t others[] = { 0,  2,  3,  4,  5,  6,  7,   22, 29,
					  31, 32, 49, 50, 80, 94, 192, 255 };
	struct ctx *c = &self->c;
	uint8_t msg[16] = { 0 };
	size_t i;
	int stage;

	for (i = 0; i < sizeof(others); i++) {
		for (stage = 0; stage < 3; stage++) {
			ctx_again(c);
			if (stage > 0)
				ASSERT_EQ(0, feed_init(c));
			if (stage > 1)
				ASSERT_EQ(0, feed_ecdh(c, "curve25519-sha256"));
			msg[0] = others[i];
			EXPECT_EQ(-EPROTO, feed(c, msg, sizeof(msg)));
			EXPECT_EQ(SSH_DISCONNECT_PROTOCOL_ERROR, c->disconnect);
		}
	}
	ctx_again(c);
	EXPECT_EQ(-EPROTO, feed(c, msg, 0));
	ctx_again(c);
	msg[0] = SSH_MSG_DISCONNECT;
	EXPECT_EQ(-ECONNABORTED, feed(c, msg, 1));
	EXPECT_EQ(0, c->disconnect);
}

TEST_F(kex, nothing_is_taken_after_a_fault)
{
	struct ctx *c = &self->c;
	uint8_t msg = SSH_MSG_KEX_ECDH_REPLY;

	EXPECT_EQ(-EPROTO, feed(c, &msg, 1));
	EXPECT_EQ(-EPROTO, feed_init(c));
	EXPECT_EQ(-EPROTO, kex_start(c->kex));
	EXPECT_EQ(0, c->owner.nr_sent);
}

TEST_F(kex, refuses_a_second_kexinit)
{
	struct ctx *c = &self->c;

	c->peer.kex = "curve25519-sha256";
	ASSERT_EQ(0, feed_init(c));
	EXPECT_EQ(-EPROTO, feed_init(c));
	EXPECT_EQ(1, c->owner.nr_sent);
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(0, feed_ecdh(c, "curve25519-sha256"));
	EXPECT_EQ(-EPROTO, feed_init(c));
}

TEST_F(kex, refuses_newkeys_too_early)
{
	struct ctx *c = &self->c;

	EXPECT_EQ(-EPROTO, feed(c, newkeys_msg, 1));
	ctx_again(c);
	ASSERT_EQ(0, kex_start(c->kex));
	EXPECT_EQ(-EPROTO, feed(c, newkeys_msg, 1));
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	EXPECT_EQ(-EPROTO, feed(c, newkeys_msg, 1));
	EXPECT_EQ(0, c->owner.nr_rx_keys);
}

TEST_F(kex, refuses_newkeys_twice_or_with_more_bytes)
{
	struct ctx *c = &self->c;

	run(c, "curve25519-sha256", "ssh-ed25519");
	EXPECT_EQ(-EPROTO, feed(c, newkeys_msg, 1));
	EXPECT_EQ(1, c->owner.nr_rx_keys);
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(0, feed_ecdh(c, "curve25519-sha256"));
	EXPECT_EQ(-EPROTO, feed(c, "\x15\0", 2));
	EXPECT_EQ(1, c->owner.nr_rx_keys);
}

TEST_F(kex, refuses_ecdh_init_too_early_and_twice)
{
	struct ctx *c = &self->c;

	EXPECT_EQ(-EPROTO, feed_ecdh(c, "curve25519-sha256"));
	ctx_again(c);
	ASSERT_EQ(0, kex_start(c->kex));
	EXPECT_EQ(-EPROTO, feed_ecdh(c, "curve25519-sha256"));
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(0, feed_ecdh(c, "curve25519-sha256"));
	EXPECT_EQ(-EPROTO, feed_ecdh(c, "curve25519-sha256"));
	EXPECT_EQ(1, c->owner.nr_tx_keys);
}

TEST_F(kex, starts_once_whoever_begins)
{
	struct ctx *c = &self->c;

	EXPECT_FALSE(kex_running(c->kex));
	ASSERT_EQ(0, kex_start(c->kex));
	ASSERT_EQ(0, kex_start(c->kex));
	EXPECT_EQ(1, c->owner.nr_sent);
	EXPECT_TRUE(kex_running(c->kex));
	EXPECT_TRUE(kex_tx_gated(c->kex));
	EXPECT_FALSE(kex_rx_gated(c->kex));
	run(c, "curve25519-sha256", "ssh-ed25519");
	/* our NEWKEYS is out: the next exchange begins with the peer's */
	owner_forget(&c->owner);
	run(c, "curve25519-sha256", "ssh-ed25519");
}

TEST_F(kex, refuses_kexinit_cut_at_every_byte)
{
	struct ctx *c = &self->c;
	uint8_t *cut;
	size_t len;

	peer_fill_init(&c->peer);
	for (len = 1; len < buf_len(&c->peer.init); len++) {
		ctx_again(c);
		cut = malloc(len);
		memcpy(cut, buf_data(&c->peer.init), len);
		ASSERT_EQ(-EPROTO, feed(c, cut, len));
		ASSERT_EQ(0, c->owner.nr_sent);
		free(cut);
	}
	ctx_again(c);
	buf_put_u8(&c->peer.init, 0);
	EXPECT_EQ(-EPROTO,
		  feed(c, buf_data(&c->peer.init), buf_len(&c->peer.init)));
}

TEST_F(kex, survives_any_changed_byte_of_kexinit)
{
	struct ctx *c = &self->c;
	uint8_t msg[1024];
	size_t i, len;
	int err;

	peer_fill_init(&c->peer);
	len = buf_len(&c->peer.init);
	ASSERT_LE(len, sizeof(msg));
	for (i = 1; i < len; i++) {
		ctx_again(c);
		memcpy(msg, buf_data(&c->peer.init), len);
		msg[i] ^= 0x81;
		err = feed(c, msg, len);
		if (err && err != -ENOMSG)
			ASSERT_EQ(-EPROTO, err);
	}
}

static int feed_lists(struct ctx *c, const char *kex, const char *hostkey,
		      const char *ciphers, const char *macs, const char *comp)
{
	ctx_again(c);
	c->peer.kex = kex;
	c->peer.hostkey = hostkey;
	c->peer.ciphers = ciphers;
	c->peer.macs = macs;
	c->peer.comp = comp;
	return feed_init(c);
}

#define X25519	"curve25519-sha256"
#define ED	"ssh-ed25519"
#define GCM	"aes128-gcm@openssh.com"
#define HMAC	"hmac-sha2-256"

TEST_F(kex, ends_when_nothing_is_in_common)
{
	struct ctx *c = &self->c;

	EXPECT_EQ(0, feed_lists(c, X25519, ED, GCM, HMAC, "none"));
	EXPECT_EQ(-ENOMSG, feed_lists(c, "diffie-hellman-group14-sha1", ED, GCM,
				      HMAC, "none"));
	EXPECT_EQ(SSH_DISCONNECT_KEY_EXCHANGE_FAILED, c->disconnect);
	EXPECT_EQ(-ENOMSG,
		  feed_lists(c, X25519, "ssh-rsa,ssh-dss", GCM, HMAC, "none"));
	EXPECT_STREQ("no matching host key type found. "
		     "Their offer: ssh-rsa,ssh-dss",
		     kex_describe(c->kex));
	EXPECT_EQ(-ENOMSG,
		  feed_lists(c, X25519, ED, "3des-cbc,none", HMAC, "none"));
	EXPECT_STREQ("no matching cipher found. Their offer: 3des-cbc,none",
		     kex_describe(c->kex));
	EXPECT_EQ(-ENOMSG, feed_lists(c, X25519, ED, "aes128-ctr",
				      "hmac-md5,none", "none"));
	EXPECT_STREQ("no matching MAC found. Their offer: hmac-md5,none",
		     kex_describe(c->kex));
	EXPECT_EQ(-ENOMSG,
		  feed_lists(c, X25519, ED, GCM, HMAC, "zlib@openssh.com"));
	EXPECT_STREQ("no matching compression method found. "
		     "Their offer: zlib@openssh.com",
		     kex_describe(c->kex));
	EXPECT_EQ(-ENOMSG, feed_lists(c, "", "", "", "", ""));
	/* markers are no methods */
	EXPECT_EQ(-ENOMSG, feed_lists(c, "ext-info-c", ED, GCM, HMAC, "none"));
	EXPECT_EQ(-ENOMSG, feed_lists(c, "kex-strict-c-v00@openssh.com", ED,
				      GCM, HMAC, "none"));
	EXPECT_EQ(-ENOMSG, feed_lists(c, "ext-info-s", ED, GCM, HMAC, "none"));
	EXPECT_EQ(-ENOMSG, feed_lists(c, "kex-strict-s-v00@openssh.com", ED,
				      GCM, HMAC, "none"));
}

TEST_F(kex, takes_the_clients_first_choice)
{
	struct ctx *c = &self->c;

	ASSERT_EQ(0, feed_lists(c, "x,ecdh-sha2-nistp256," X25519,
				"ssh-dss,rsa-sha2-256," ED,
				"3des-cbc,aes256-ctr," GCM,
				"hmac-md5,hmac-sha2-512," HMAC,
				"zlib@openssh.com,none,zlib"));
	EXPECT_STREQ("ecdh-sha2-nistp256 rsa-sha2-256 "
		     "c2s aes256-ctr hmac-sha2-512 "
		     "s2c aes256-ctr hmac-sha2-512",
		     kex_describe(c->kex));
}

TEST_F(kex, empty_and_long_names_are_passed_over)
{
	static char list[200 + sizeof(X25519) + 4];
	struct ctx *c = &self->c;

	EXPECT_EQ(0, feed_lists(c, ",," X25519 ",", ED ",", GCM, ",", ",none"));
	memset(list, 'a', 200);
	strcpy(list + 200, "," X25519);
	EXPECT_EQ(0, feed_lists(c, list, ED, GCM, HMAC, "none"));
	EXPECT_EQ(-ENOMSG,
		  feed_lists(c, "curve25519-sha25", ED, GCM, HMAC, "none"));
	EXPECT_EQ(-ENOMSG, feed_lists(c, X25519 "6", ED, GCM, HMAC, "none"));
}

TEST_F(kex, refuses_names_that_are_not_printable)
{
	struct ctx *c = &self->c;

	EXPECT_EQ(-EPROTO, feed_lists(c, X25519 " ", ED, GCM, HMAC, "none"));
	EXPECT_EQ(-EPROTO, feed_lists(c, X25519 "\n", ED, GCM, HMAC, "none"));
	EXPECT_EQ(-EPROTO,
		  feed_lists(c, X25519, ED, GCM, HMAC ",\x80", "none"));
	EXPECT_EQ(-EPROTO, feed_lists(c, X25519, ED, GCM, HMAC, "none\x7f"));
}

TEST_F(kex, takes_a_very_long_kexinit)
{
	struct ctx *c = &self->c;
	char *list;
	size_t i;

	list = calloc(1, 200000);
	for (i = 0; i < 60000; i++)
		memcpy(list + 3 * i, "ab,", 3);
	strcpy(list + 180000, X25519);
	EXPECT_EQ(0, feed_lists(c, list, ED, GCM, HMAC, "none"));
	free(list);
}

/* RFC 4253 7: a wrong guess is ignored, a right one is taken. */
TEST_F(kex, ignores_the_packet_of_a_wrong_guess)
{
	struct ctx *c = &self->c;

	c->peer.follows = true;
	c->peer.kex = "ecdh-sha2-nistp256," X25519;
	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(0, feed(c, "\x1e\0\0\0\5wrong", 10));
	EXPECT_EQ(1, c->owner.nr_sent);
	ASSERT_EQ(0, feed_ecdh(c, "ecdh-sha2-nistp256"));
	peer_take_reply(&c->peer, ED, &c->owner.sent[0], &c->owner.sent[1]);
	ASSERT_EQ(0, feed(c, newkeys_msg, 1));
	EXPECT_EQ(1, c->owner.nr_rx_keys);
}

TEST_F(kex, ignores_one_packet_of_a_wrong_guess_only)
{
	struct ctx *c = &self->c;

	c->peer.follows = true;
	c->peer.kex = "ecdh-sha2-nistp256," X25519;
	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(0, feed(c, "\x1e\0\0\0\5wrong", 10));
	EXPECT_EQ(-EPROTO, feed(c, "\x1e\0\0\0\5wrong", 10));
	/* and no message of another kind instead of it */
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	EXPECT_EQ(-EPROTO, feed(c, newkeys_msg, 1));
}

TEST_F(kex, guess_is_wrong_when_the_host_key_differs)
{
	struct ctx *c = &self->c;

	c->peer.follows = true;
	c->peer.kex = "mlkem768x25519-sha256";
	c->peer.hostkey = "rsa-sha2-256";
	ASSERT_EQ(0, feed_init(c));
	ASSERT_EQ(0, feed_ecdh(c, "mlkem768x25519-sha256"));
	EXPECT_EQ(1, c->owner.nr_sent);
	ASSERT_EQ(0, feed_ecdh(c, "mlkem768x25519-sha256"));
	EXPECT_LE(3, c->owner.nr_sent);
}

TEST_F(kex, takes_the_packet_of_a_right_guess)
{
	struct ctx *c = &self->c;

	c->peer.follows = true;
	c->peer.kex = "mlkem768x25519-sha256," X25519;
	run(c, "mlkem768x25519-sha256", ED);
}

/* RFC 8731 3: the points of small order give an all-zero secret. */
TEST_F(kex, refuses_x25519_points_of_small_order)
{
	static const uint8_t points[][32] = {
		{ 0 },
		{ 1 },
		{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
		  0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		  0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
		  0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
		{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
		{ 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	};
	uint8_t msg[5 + 1216] = { SSH_MSG_KEX_ECDH_INIT, 0, 0, 0, 32 };
	struct ctx *c = &self->c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		ctx_again(c);
		c->peer.kex = X25519;
		ASSERT_EQ(0, feed_init(c));
		kssh_put_be32(msg + 1, 32);
		memcpy(msg + 5, points[i], 32);
		EXPECT_EQ(-EPROTO, feed(c, msg, 37));
		EXPECT_EQ(SSH_DISCONNECT_KEY_EXCHANGE_FAILED, c->disconnect);
		ctx_again(c);
		c->peer.kex = "mlkem768x25519-sha256";
		ASSERT_EQ(0, feed_init(c));
		kssh_put_be32(msg + 1, 1216);
		memset(msg + 5, 0, 1184);
		memcpy(msg + 5 + 1184, points[i], 32);
		EXPECT_EQ(-EPROTO, feed(c, msg, 5 + 1216));
		EXPECT_EQ(1, c->owner.nr_sent);
	}
}

TEST_F(kex, refuses_p256_points_off_the_curve)
{
	uint8_t msg[5 + 65] = { SSH_MSG_KEX_ECDH_INIT, 0, 0, 0, 65, 4 };
	struct ctx *c = &self->c;
	struct buf good;
	size_t i;

	c->peer.kex = "ecdh-sha2-nistp256";
	for (i = 0; i < 64; i++) {
		ctx_again(c);
		ASSERT_EQ(0, feed_init(c));
		buf_init(&good, 1000);
		peer_fill_ecdh_init(&c->peer, "ecdh", &good);
		memcpy(msg, buf_data(&good), sizeof(msg));
		buf_free(&good);
		msg[6 + i] ^= 0x10;
		EXPECT_EQ(-EPROTO, feed(c, msg, sizeof(msg)));
		EXPECT_EQ(SSH_DISCONNECT_KEY_EXCHANGE_FAILED, c->disconnect);
	}
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	memset(msg + 6, 0, 64);
	EXPECT_EQ(-EPROTO, feed(c, msg, sizeof(msg)));
	/* hybrid and compressed forms of a good point */
	for (i = 0; i < 256; i++) {
		if (i == 4)
			continue;
		ctx_again(c);
		ASSERT_EQ(0, feed_init(c));
		buf_init(&good, 1000);
		peer_fill_ecdh_init(&c->peer, "ecdh", &good);
		memcpy(msg, buf_data(&good), sizeof(msg));
		buf_free(&good);
		msg[5] = i;
		EXPECT_EQ(-EPROTO, feed(c, msg, sizeof(msg)));
	}
}

/* FIPS 203 7.2: "modulus check" of the encapsulation key */
TEST_F(kex, refuses_ml_kem_keys_that_are_not_reduced)
{
	uint8_t msg[5 + 1216] = { SSH_MSG_KEX_ECDH_INIT, 0, 0, 4, 0xc0 };
	struct ctx *c = &self->c;

	c->peer.kex = "mlkem768x25519-sha256";
	ASSERT_EQ(0, feed_init(c));
	memset(msg + 5, 0xff, 1184);
	msg[5 + 1184] = 9;
	EXPECT_EQ(-EPROTO, feed(c, msg, sizeof(msg)));
	EXPECT_EQ(1, c->owner.nr_sent);
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	memset(msg + 5, 0, 1184);
	msg[5 + 1150] = 0x01; /* the last 32 bytes are a seed: any value */
	msg[5 + 1183] = 0xff;
	EXPECT_EQ(0, feed(c, msg, sizeof(msg)));
}

TEST_F(kex, errors_of_the_owner_end_it)
{
	struct ctx *c = &self->c;

	c->owner.fail_send = -ECONNRESET;
	EXPECT_EQ(-ECONNRESET, feed_init(c));
	c->owner.fail_send = 0;
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	c->owner.fail_host_key = -ENOENT;
	EXPECT_EQ(-ENOENT, feed_ecdh(c, X25519));
	EXPECT_EQ(SSH_DISCONNECT_KEY_EXCHANGE_FAILED, c->disconnect);
	c->owner.fail_host_key = 0;
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	c->owner.fail_sign = -EACCES;
	EXPECT_EQ(-EACCES, feed_ecdh(c, X25519));
	EXPECT_EQ(1, c->owner.nr_sent);
	c->owner.fail_sign = 0;
	ctx_again(c);
	ASSERT_EQ(0, feed_init(c));
	c->owner.fail_newkeys = -EBUSY;
	EXPECT_EQ(-EBUSY, feed_ecdh(c, X25519));
	EXPECT_EQ(3, c->owner.nr_sent);
}

TEST(refuses_a_state_without_session_id)
{
	struct transport_state state = { 0 };
	struct kex_proposal proposal = { kex_default_kex, HOST_ALGS,
					 kex_default_ciphers,
					 kex_default_macs };
	struct kex *kex = NULL;

	EXPECT_EQ(-EINVAL, kex_alloc(&kex, &proposal, &owner_ops, NULL, V_C,
				     V_S, &state, NULL));
	state.session_id_len = SESSION_ID_MAX + 1;
	EXPECT_EQ(-EINVAL, kex_alloc(&kex, &proposal, &owner_ops, NULL, V_C,
				     V_S, &state, NULL));
	EXPECT_NULL(kex);
	kex_free(NULL);
}

TEST(prepares_before_the_sandbox)
{
	EXPECT_EQ(0, kex_prepare());
	EXPECT_EQ(0, kex_prepare());
}

static void expect_list(enum kex_list which, const char *spec, const char *want)
{
	char *out = NULL, *bad = NULL;

	EXPECT_EQ(0, kex_check_list(which, spec, &out, &bad))
	TH_LOG("%s: %s", spec, bad ? bad : "?");
	EXPECT_STREQ(want, out);
	EXPECT_NULL(bad);
	free(out);
	free(bad);
}

static void expect_bad(enum kex_list which, const char *spec, const char *name)
{
	char *out = NULL, *bad = NULL;

	EXPECT_EQ(-EINVAL, kex_check_list(which, spec, &out, &bad));
	EXPECT_STREQ(name, bad);
	EXPECT_NULL(out);
	free(bad);
	EXPECT_EQ(-EINVAL, kex_check_list(which, spec, &out, NULL));
}

TEST(resolves_configured_lists)
{
	expect_list(KEX_LIST_KEX, "*", kex_default_kex);
	expect_list(KEX_LIST_CIPHERS, "*", kex_default_ciphers);
	expect_list(KEX_LIST_MACS, "*", kex_default_macs);
	expect_list(KEX_LIST_CIPHERS, kex_default_ciphers, kex_default_ciphers);
	expect_list(KEX_LIST_CIPHERS, "aes256-ctr,aes128-ctr,aes256-ctr",
		    "aes256-ctr,aes128-ctr");
	expect_list(KEX_LIST_CIPHERS, "aes*-ctr",
		    "aes128-ctr,aes192-ctr,aes256-ctr");
	expect_list(KEX_LIST_CIPHERS, "aes?2?-gcm*,aes?5?-gcm*",
		    "aes128-gcm@openssh.com,aes256-gcm@openssh.com");
	expect_list(KEX_LIST_CIPHERS, "+aes256-ctr", kex_default_ciphers);
	expect_list(KEX_LIST_CIPHERS, "-*ctr,chacha*",
		    "aes128-gcm@openssh.com,aes256-gcm@openssh.com");
	expect_list(KEX_LIST_CIPHERS, "^aes256-ctr",
		    "aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
		    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr");
	expect_list(KEX_LIST_MACS, "-none,*256*",
		    "hmac-sha2-512-etm@openssh.com,hmac-sha2-512");
	expect_list(KEX_LIST_KEX, "-mlkem*,*libssh*",
		    "curve25519-sha256,ecdh-sha2-nistp256");
}

TEST(names_what_is_wrong_in_a_configured_list)
{
	expect_bad(KEX_LIST_CIPHERS, "3des-cbc", "3des-cbc");
	expect_bad(KEX_LIST_CIPHERS, "aes128-ctr,arcfour,aes256-ctr",
		   "arcfour");
	expect_bad(KEX_LIST_CIPHERS, "+none", "none");
	expect_bad(KEX_LIST_MACS, "^hmac-md5", "hmac-md5");
	expect_bad(KEX_LIST_KEX, "dh*", "dh*");
	expect_bad(KEX_LIST_KEX, "", "");
	expect_bad(KEX_LIST_KEX, "-*", "-*");
	expect_bad(KEX_LIST_KEX, "curve25519-sha256 ", "curve25519-sha256 ");
}

TEST_HARNESS_MAIN
