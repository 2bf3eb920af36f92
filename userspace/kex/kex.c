// SPDX-License-Identifier: MIT
/* Key exchange, server side: what may come when. RFC 4253 7, 9. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "kex/internal.h"
#include "lib/log.h"
#include "lib/mem.h"

#define KEXINIT_MAX	(256 * 1024)
#define KEX_MSG_FIRST	20	/* RFC 4250 4.1.1: 20..29 negotiation */
#define KEX_METHOD_FIRST 30	/* 30..49 specific to the method */
#define KEX_MSG_LAST	49

/**
 * struct kex - the key exchanges of a connection, one after the other
 * @ops: the owner
 * @arg: argument of @ops
 * @proposal: what we offer, strings owned
 * @client_version: V_C
 * @server_version: V_S
 * @server_sig_algs: for EXT_INFO, or NULL
 * @session_id: hash of the first exchange
 * @session_id_len: 0 before it
 * @first: the first exchange has not ended
 * @strict: strict-kex was agreed on
 * @peer_ext_info: the peer said ext-info-c
 * @dead: an exchange failed
 * @tx_init: our KEXINIT is out
 * @rx_init: the peer's KEXINIT came
 * @tx_done: our NEWKEYS is out
 * @skip_guess: the next method message is a wrong guess
 * @my_init: payload of our KEXINIT
 * @peer_init: payload of the peer's
 * @choice: agreed on
 * @rx_keys: to be installed at the peer's NEWKEYS
 * @names: of @choice, for people; or what there was no choice of
 */
struct kex {
	const struct kex_ops *ops;
	void *arg;
	struct kex_proposal proposal;
	char *client_version;
	char *server_version;
	char *server_sig_algs;
	uint8_t session_id[SESSION_ID_MAX];
	size_t session_id_len;
	bool first;
	bool strict;
	bool peer_ext_info;
	bool dead;
	bool tx_init;
	bool rx_init;
	bool tx_done;
	bool skip_guess;
	struct buf my_init;
	struct buf peer_init;
	struct kex_choice choice;
	struct newkeys rx_keys;
	char names[6 * (KEX_NAME_MAX + 1)];
};

static int copy_proposal(struct kex_proposal *to,
			 const struct kex_proposal *from)
{
	to->kex = strdup(from->kex);
	to->hostkey_algs = strdup(from->hostkey_algs);
	to->ciphers = strdup(from->ciphers);
	to->macs = strdup(from->macs);
	return to->kex && to->hostkey_algs && to->ciphers && to->macs ? 0 :
									-ENOMEM;
}

static int copy_strings(struct kex *kex, const struct kex_proposal *proposal,
			const char *client_version, const char *server_version,
			const char *server_sig_algs)
{
	kex->client_version = strdup(client_version);
	kex->server_version = strdup(server_version);
	if (server_sig_algs)
		kex->server_sig_algs = strdup(server_sig_algs);
	if (!kex->client_version || !kex->server_version ||
	    (server_sig_algs && !kex->server_sig_algs))
		return -ENOMEM;
	return copy_proposal(&kex->proposal, proposal);
}

int kex_alloc(struct kex **kex, const struct kex_proposal *proposal,
	      const struct kex_ops *ops, void *arg, const char *client_version,
	      const char *server_version, const struct transport_state *state,
	      const char *server_sig_algs)
{
	struct kex *new;
	int err;

	if (state &&
	    (!state->session_id_len || state->session_id_len > SESSION_ID_MAX))
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->ops = ops;
	new->arg = arg;
	new->first = !state;
	buf_init(&new->my_init, KEXINIT_MAX);
	buf_init(&new->peer_init, KEXINIT_MAX);
	if (state) {
		memcpy(new->session_id, state->session_id,
		       state->session_id_len);
		new->session_id_len = state->session_id_len;
		new->strict = state->strict_kex;
		new->peer_ext_info = state->peer_ext_info;
	}
	err = copy_strings(new, proposal, client_version, server_version,
			   server_sig_algs);
	if (err) {
		kex_free(new);
		return err;
	}
	*kex = new;
	return 0;
}

void kex_free(struct kex *kex)
{
	if (!kex)
		return;
	buf_free(&kex->my_init);
	buf_free(&kex->peer_init);
	free((char *)kex->proposal.kex);
	free((char *)kex->proposal.hostkey_algs);
	free((char *)kex->proposal.ciphers);
	free((char *)kex->proposal.macs);
	free(kex->client_version);
	free(kex->server_version);
	free(kex->server_sig_algs);
	mem_free_secret(kex, sizeof(*kex));
}

int kex_start(struct kex *kex)
{
	int err;

	if (kex->dead)
		return -EPROTO;
	if (kex->tx_init)
		return 0;
	buf_reset(&kex->my_init);
	err = kexinit_fill(&kex->my_init, &kex->proposal, kex->first);
	if (err)
		return err;
	kex->tx_init = true;
	return kex->ops->send(kex->arg, buf_data(&kex->my_init),
			      buf_len(&kex->my_init));
}

bool kex_running(const struct kex *kex)
{
	return kex->tx_init || kex->rx_init;
}

bool kex_tx_gated(const struct kex *kex)
{
	return kex->tx_init && !kex->tx_done;
}

bool kex_rx_gated(const struct kex *kex)
{
	return kex->rx_init;
}

static void describe(struct kex *kex)
{
	const struct kex_choice *c = &kex->choice;

	snprintf(kex->names, sizeof(kex->names), "%s %s c2s %s%s%s s2c %s%s%s",
		 c->kex->name, c->hostkey, c->cipher_c2s->name,
		 c->mac_c2s ? " " : "", c->mac_c2s ? c->mac_c2s->name : "",
		 c->cipher_s2c->name, c->mac_s2c ? " " : "",
		 c->mac_s2c ? c->mac_s2c->name : "");
}

/* In OpenSSH's words, which people look for in a log. */
static void describe_failure(struct kex *kex, const struct name_list *offer)
{
	static const char *const what[KEXINIT_LISTS] = {
		[KEXINIT_KEX] = "key exchange method",
		[KEXINIT_HOSTKEY] = "host key type",
		[KEXINIT_CIPHER_C2S] = "cipher",
		[KEXINIT_CIPHER_S2C] = "cipher",
		[KEXINIT_MAC_C2S] = "MAC",
		[KEXINIT_MAC_S2C] = "MAC",
		[KEXINIT_COMP_C2S] = "compression method",
		[KEXINIT_COMP_S2C] = "compression method",
	};
	char shown[256];

	snprintf(kex->names, sizeof(kex->names),
		 "no matching %s found. Their offer: %s", what[kex->choice.at],
		 log_escape(shown, sizeof(shown), offer->p, offer->len));
}

/*
 * OpenSSH PROTOCOL 1.10 (strict-kex): the markers count in the first KEXINIT
 * only, which must then be the first packet of all.
 */
static int take_markers(struct kex *kex, const struct kexinit *init,
			uint32_t pkt_seq)
{
	if (!kex->first)
		return 0;
	kex->peer_ext_info =
		name_list_has(init->lists[KEXINIT_KEX], "ext-info-c");
	kex->strict = name_list_has(init->lists[KEXINIT_KEX],
				    "kex-strict-c-v00@openssh.com");
	return kex->strict && pkt_seq ? -EPROTO : 0;
}

/*
 * RFC 4253 9: "Key re-exchange is started by sending an SSH_MSG_KEXINIT packet
 * when not already doing a key exchange". A second one is a fault.
 */
static int input_kexinit(struct kex *kex, uint32_t pkt_seq,
			 const uint8_t *payload, size_t len)
{
	struct kexinit mine, theirs;
	int err;

	if (kex->rx_init)
		return -EPROTO;
	err = kexinit_parse(payload, len, &theirs);
	if (err)
		return err;
	err = take_markers(kex, &theirs, pkt_seq);
	if (err)
		return err;
	buf_reset(&kex->peer_init);
	err = buf_put_raw(&kex->peer_init, payload, len);
	if (err)
		return err;
	kex->rx_init = true;
	err = kex_start(kex);
	if (err)
		return err;
	err = kexinit_parse(buf_data(&kex->my_init), buf_len(&kex->my_init),
			    &mine);
	if (!err)
		err = kexinit_negotiate(&theirs, &mine, &kex->choice);
	if (err == -ENOMSG)
		describe_failure(kex, &theirs.lists[kex->choice.at]);
	if (err)
		return err;
	kex->skip_guess = kex->choice.wrong_guess;
	describe(kex);
	return 0;
}

/* The values of one exchange while they are put together. */
struct exchange {
	const uint8_t *q_c;
	size_t q_c_len;
	struct buf host_key;
	struct buf q_s;
	struct buf secret;
	struct buf sig;
	uint8_t hash[KEX_HASH_LEN];
};

static void exchange_init(struct exchange *ex)
{
	memset(ex, 0, sizeof(*ex));
	buf_init(&ex->host_key, BUF_MAX_DEFAULT);
	buf_init(&ex->q_s, BUF_MAX_DEFAULT);
	buf_init(&ex->secret, BUF_MAX_DEFAULT);
	buf_init(&ex->sig, BUF_MAX_DEFAULT);
}

static void exchange_exit(struct exchange *ex)
{
	buf_free(&ex->host_key);
	buf_free(&ex->q_s);
	buf_free(&ex->secret);
	buf_free(&ex->sig);
	mem_wipe(ex->hash, sizeof(ex->hash));
}

static int make_hash(struct kex *kex, struct exchange *ex)
{
	struct kex_hash_input in = {
		.client_version = kex->client_version,
		.server_version = kex->server_version,
		.client_init = &kex->peer_init,
		.server_init = &kex->my_init,
		.host_key = &ex->host_key,
		.q_c = ex->q_c,
		.q_c_len = ex->q_c_len,
		.q_s = &ex->q_s,
		.secret = &ex->secret,
	};

	return kex_exchange_hash(&in, ex->hash);
}

/*
 * RFC 5656 4: "byte SSH_MSG_KEX_ECDH_REPLY, string K_S, server's public host
 * key, string Q_S, ... string the signature on the exchange hash"
 */
static int send_reply(struct kex *kex, struct exchange *ex)
{
	struct buf out;
	int err;

	buf_init(&out, BUF_MAX_DEFAULT);
	buf_put_u8(&out, SSH_MSG_KEX_ECDH_REPLY);
	buf_put_buf(&out, &ex->host_key);
	buf_put_buf(&out, &ex->q_s);
	buf_put_buf(&out, &ex->sig);
	err = buf_error(&out);
	if (!err)
		err = kex->ops->send(kex->arg, buf_data(&out), buf_len(&out));
	buf_free(&out);
	return err;
}

/*
 * RFC 8308 2.4: the server's is "the next packet following the server's first
 * SSH_MSG_NEWKEYS". 2.3: "uint32 nr-extensions, string extension-name, string
 * extension-value (binary)"
 */
static int send_ext_info(struct kex *kex)
{
	struct buf out;
	int err;

	buf_init(&out, BUF_MAX_DEFAULT);
	buf_put_u8(&out, SSH_MSG_EXT_INFO);
	buf_put_u32(&out, 2);
	buf_put_cstring(&out, "server-sig-algs");
	buf_put_cstring(&out, kex->server_sig_algs);
	buf_put_cstring(&out, "ping@openssh.com");
	buf_put_cstring(&out, "0");
	err = buf_error(&out);
	if (!err)
		err = kex->ops->send(kex->arg, buf_data(&out), buf_len(&out));
	buf_free(&out);
	return err;
}

/* RFC 4253 7.3: NEWKEYS "is sent with the old keys and algorithms". */
static int send_newkeys(struct kex *kex, const struct newkeys *tx_keys)
{
	const uint8_t msg = SSH_MSG_NEWKEYS;
	int err;

	err = kex->ops->send(kex->arg, &msg, 1);
	if (err)
		return err;
	kex->tx_done = true;
	err = kex->ops->newkeys(kex->arg, true, tx_keys, kex->strict);
	if (!err && kex->first && kex->peer_ext_info && kex->server_sig_algs)
		err = send_ext_info(kex);
	return err;
}

static int run_exchange(struct kex *kex, struct exchange *ex)
{
	struct newkeys tx_keys;
	int err;

	err = kex_alg_reply(kex->choice.kex, ex->q_c, ex->q_c_len, &ex->q_s,
			    &ex->secret);
	if (!err)
		err = kex->ops->host_key(kex->arg, kex->choice.hostkey,
					 &ex->host_key);
	if (!err)
		err = make_hash(kex, ex);
	if (!err)
		err = kex->ops->sign(kex->arg, kex->choice.hostkey, ex->hash,
				     KEX_HASH_LEN, kex->first, &ex->sig);
	if (err)
		return err;
	/* RFC 4253 7.2: the session id "is not changed" by later exchanges */
	if (!kex->session_id_len) {
		memcpy(kex->session_id, ex->hash, KEX_HASH_LEN);
		kex->session_id_len = KEX_HASH_LEN;
	}
	err = kex_derive(&ex->secret, ex->hash, kex->session_id,
			 kex->session_id_len, &kex->choice, true,
			 &kex->rx_keys);
	if (!err)
		err = kex_derive(&ex->secret, ex->hash, kex->session_id,
				 kex->session_id_len, &kex->choice, false,
				 &tx_keys);
	if (err)
		return err;
	err = send_reply(kex, ex);
	if (!err)
		err = send_newkeys(kex, &tx_keys);
	mem_wipe(&tx_keys, sizeof(tx_keys));
	return err;
}

/* RFC 5656 4: "byte SSH_MSG_KEX_ECDH_INIT, string Q_C" */
static int input_ecdh_init(struct kex *kex, const uint8_t *payload, size_t len)
{
	struct exchange ex;
	struct buf in;
	int err;

	if (!kex->rx_init || !kex->tx_init || kex->tx_done)
		return -EPROTO;
	exchange_init(&ex);
	buf_ref(&in, payload + 1, len - 1);
	err = buf_get_string(&in, &ex.q_c, &ex.q_c_len);
	if (!err)
		err = buf_end(&in);
	if (!err)
		err = run_exchange(kex, &ex);
	exchange_exit(&ex);
	return err;
}

/*
 * RFC 4253 7.3: "When this message is received, the new keys and algorithms
 * MUST be used for receiving."
 */
static int input_newkeys(struct kex *kex, size_t len)
{
	int err;

	if (len != 1 || !kex->rx_init || !kex->tx_done)
		return -EPROTO;
	err = kex->ops->newkeys(kex->arg, false, &kex->rx_keys, kex->strict);
	mem_wipe(&kex->rx_keys, sizeof(kex->rx_keys));
	kex->first = false;
	kex->tx_init = false;
	kex->rx_init = false;
	kex->tx_done = false;
	buf_reset(&kex->my_init);
	buf_free(&kex->peer_init);
	return err;
}

static int input(struct kex *kex, uint32_t pkt_seq, const uint8_t *payload,
		 size_t len)
{
	uint8_t type;

	if (kex->dead || !len)
		return -EPROTO;
	type = payload[0];
	if (type == SSH_MSG_DISCONNECT)
		return -ECONNABORTED;
	if (type < KEX_MSG_FIRST || type > KEX_MSG_LAST)
		return -EPROTO;
	/* RFC 4253 7: a wrongly guessed packet "MUST be silently ignored" */
	if (kex->skip_guess && type >= KEX_METHOD_FIRST) {
		kex->skip_guess = false;
		return 0;
	}
	switch (type) {
	case SSH_MSG_KEXINIT:
		return input_kexinit(kex, pkt_seq, payload, len);
	case SSH_MSG_KEX_ECDH_INIT:
		return input_ecdh_init(kex, payload, len);
	case SSH_MSG_NEWKEYS:
		return input_newkeys(kex, len);
	default:
		return -EPROTO;
	}
}

int kex_input(struct kex *kex, uint32_t pkt_seq, const uint8_t *payload,
	      size_t len, uint32_t *disconnect)
{
	int err;

	*disconnect = 0;
	err = input(kex, pkt_seq, payload, len);
	if (!err)
		return 0;
	kex->dead = true;
	mem_wipe(&kex->rx_keys, sizeof(kex->rx_keys));
	if (err == -EPROTO && (!len || payload[0] != SSH_MSG_KEX_ECDH_INIT))
		*disconnect = SSH_DISCONNECT_PROTOCOL_ERROR;
	else if (err != -ECONNABORTED)
		*disconnect = SSH_DISCONNECT_KEY_EXCHANGE_FAILED;
	return err;
}

const uint8_t *kex_session_id(const struct kex *kex, size_t *len)
{
	*len = kex->session_id_len;
	return kex->session_id;
}

bool kex_strict(const struct kex *kex)
{
	return kex->strict;
}

bool kex_peer_ext_info(const struct kex *kex)
{
	return kex->peer_ext_info;
}

const char *kex_describe(const struct kex *kex)
{
	return kex->names;
}
