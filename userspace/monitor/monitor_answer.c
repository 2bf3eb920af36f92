// SPDX-License-Identifier: MIT
/* Requests: which may come when, and what we answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/session.h"
#include "core/core.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "monitor/monitor_impl.h"

/* Exchange hashes: SHA-256 to SHA-512. Nothing longer is signed for anyone. */
#define HASH_MIN	32
/* The first key exchange, and what a client may want before it logs in. */
#define PREAUTH_SIGNS	16
#define ALG_MAX		64

static int get_alg(struct buf *in, char **alg)
{
	int err = buf_get_cstring(in, alg);

	if (!err && strlen(*alg) > ALG_MAX) {
		free(*alg);
		*alg = NULL;
		err = -EPROTO;
	}
	return err;
}

static int answer_host_key(struct monitor *mon, struct buf *in, struct buf *out)
{
	const struct key *key;
	const uint8_t *blob;
	char *alg = NULL;
	size_t len;
	int err;

	err = get_alg(in, &alg);
	if (!err)
		err = buf_end(in);
	if (err)
		goto out;
	key = host_keys_find(mon->args->host_keys, alg);
	if (!key) {
		buf_put_u32(out, ENOENT);
		goto out;
	}
	blob = key_blob(key, &len);
	buf_put_u32(out, 0);
	buf_put_string(out, blob, len);
out:
	free(alg);
	return err;
}

/* The first hash is the session id, and stays it: user signatures cover it. */
static int keep_session_id(struct monitor *mon, const uint8_t *hash, size_t len)
{
	if (mon->state != MON_STATE_PREAUTH)
		return 0;
	if (++mon->signs > PREAUTH_SIGNS)
		return -EPERM;
	if (mon->session_id_len)
		return 0;
	memcpy(mon->session_id, hash, len);
	mon->session_id_len = len;
	return 0;
}

static int answer_sign(struct monitor *mon, struct buf *in, struct buf *out)
{
	const struct key *key;
	const uint8_t *hash;
	struct buf sig;
	char *alg = NULL;
	size_t len;
	int err;

	buf_init(&sig, MON_MSG_MAX);
	err = get_alg(in, &alg);
	if (!err)
		err = buf_get_string(in, &hash, &len);
	if (!err)
		err = buf_end(in);
	if (err)
		goto out;
	err = -EPROTO;
	if (len < HASH_MIN || len > SESSION_ID_MAX)
		goto out;
	key = host_keys_find(mon->args->host_keys, alg);
	if (!key)
		goto out;
	err = keep_session_id(mon, hash, len);
	if (!err)
		err = key_sign(key, alg, hash, len, &sig);
	buf_put_u32(out, 0);
	buf_put_buf(out, &sig);
out:
	buf_free(&sig);
	free(alg);
	return err;
}

static const char *shown_user(const struct monitor *mon, char *out,
			      size_t out_len)
{
	return log_escape(out, out_len, mon->user, strlen(mon->user));
}

static int answer_user(struct monitor *mon, struct buf *in, struct buf *out)
{
	char *user = NULL;
	int err;

	err = buf_get_cstring(in, &user);
	if (!err)
		err = buf_end(in);
	if (!err && (mon->user || !mon->session_id_len))
		err = -EPERM;
	if (err) {
		free(user);
		return err;
	}
	mon->user = user;
	mon->lookup_due = true;
	err = monitor_match_tries(mon);
	if (err)
		return err;
	buf_put_u32(out, 0);
	return buf_put_u32(out, mon->max_auth_tries);
}

int monitor_lookup_user(struct monitor *mon)
{
	char shown[128];
	int err;

	if (!mon->lookup_due)
		return 0;
	mon->lookup_due = false;
	err = monitor_match_user(mon);
	if (!err)
		err = account_lookup(&mon->account, mon->conf, mon->user);
	if (err || mon->account.allowed)
		return err;
	shown_user(mon, shown, sizeof(shown));
	if (mon->account.refusal)
		log_info("User %s from %s port %u not allowed: %s", shown,
			 mon->peer_addr, mon->peer_port, mon->account.refusal);
	else
		log_info("Invalid user %s from %s port %u", shown,
			 mon->peer_addr, mon->peer_port);
	return 0;
}

static const char *type_label(const struct key *key)
{
	switch (key_get_type(key)) {
	case KEY_ED25519:
		return "ED25519";
	case KEY_ECDSA_P256:
		return "ECDSA";
	case KEY_RSA:
		return "RSA";
	}
	return "?";
}

/* The lines of sshd, which other tools read. */
static void log_attempt(struct monitor *mon, bool accepted,
			const struct key *key)
{
	char print[128] = "?";
	char shown[128];
	bool known = mon->account.allowed || mon->account.refusal;

	if (log_get_level() < (accepted ? LOG_LEVEL_INFO : LOG_LEVEL_VERBOSE))
		return;
	key_fingerprint(key, print, sizeof(print));
	log_at(accepted ? LOG_LEVEL_INFO : LOG_LEVEL_VERBOSE,
	       "%s publickey for %s%s from %s port %u ssh2: %s %s",
	       accepted ? "Accepted" : "Failed", known ? "" : "invalid user ",
	       shown_user(mon, shown, sizeof(shown)), mon->peer_addr,
	       mon->peer_port, type_label(key), print);
}

static int count_failure(struct monitor *mon)
{
	char shown[128];

	mon->failures++;
	if (mon->failures < mon->max_auth_tries ||
	    mon->failures > mon->max_auth_tries + 1)
		return 0;
	/* auth disconnects by itself; one that does not is cut off */
	if (mon->failures > mon->max_auth_tries)
		return -EPERM;
	log_info(
		"maximum authentication attempts exceeded for %s%s from %s port %u ssh2 [preauth]",
		mon->account.allowed || mon->account.refusal ? "" :
							       "invalid user ",
		shown_user(mon, shown, sizeof(shown)), mon->peer_addr,
		mon->peer_port);
	return 0;
}

/* One line a connection: the peer may ask again and again. */
static void log_complaint(struct monitor *mon,
			  const struct authkey_match *match)
{
	if (!match->complaint[0] || mon->warned)
		return;
	mon->warned = true;
	if (match->line)
		log_info("Authentication refused: %s line %u: %s", match->file,
			 match->line, match->complaint);
	else
		log_info("Authentication refused: %s: %s", match->file,
			 match->complaint);
}

static bool was_allowed(const struct monitor *mon, const uint8_t *blob,
			size_t len)
{
	return mon->allowed_len && mon->allowed_len == len &&
	       !memcmp(mon->allowed, blob, len);
}

static void forget_allowed(struct monitor *mon)
{
	free(mon->allowed);
	mon->allowed = NULL;
	mon->allowed_len = 0;
	authkey_match_free(&mon->match);
}

/* Same work for those who cannot log in; their files are not there. */
static int find_key(struct monitor *mon, const uint8_t *blob, size_t len,
		    bool *found)
{
	struct authkey_match match;
	int err;

	*found = false;
	if (was_allowed(mon, blob, len)) {
		*found = true;
		return 0;
	}
	forget_allowed(mon);
	err = monitor_find_key(mon, blob, len, &match);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (mon->account.allowed)
		log_complaint(mon, &match);
	if (!match.found || !mon->account.allowed) {
		authkey_match_free(&match);
		return 0;
	}
	mon->allowed = malloc(len);
	if (!mon->allowed) {
		authkey_match_free(&match);
		return -ENOMEM;
	}
	memcpy(mon->allowed, blob, len);
	mon->allowed_len = len;
	mon->match = match;
	*found = true;
	return 0;
}

/* A key we cannot use is refused as one that is not allowed. */
static int check_key(struct monitor *mon, const char *alg, const uint8_t *blob,
		     size_t len, bool *allowed)
{
	struct key *key;
	bool found;
	int err;

	*allowed = false;
	err = key_from_blob(blob, len, &key);
	if (err == -ENOMEM)
		return err;
	if (err)
		return count_failure(mon);
	err = find_key(mon, blob, len, &found);
	if (!err && found && key_has_alg(key, alg)) {
		*allowed = true;
	} else if (!err) {
		log_attempt(mon, false, key);
		err = count_failure(mon);
	}
	key_free(key);
	return err;
}

static int answer_key_allowed(struct monitor *mon, struct buf *in,
			      struct buf *out)
{
	const uint8_t *blob;
	char *alg = NULL;
	bool allowed;
	size_t len;
	int err;

	err = get_alg(in, &alg);
	if (!err)
		err = buf_get_string(in, &blob, &len);
	if (!err)
		err = buf_end(in);
	if (!err && !mon->user)
		err = -EPERM;
	if (!err)
		err = monitor_lookup_user(mon);
	if (!err)
		err = check_key(mon, alg, blob, len, &allowed);
	if (!err) {
		buf_put_u32(out, 0);
		buf_put_bool(out, allowed);
	}
	free(alg);
	return err;
}

/*
 * RFC 4252 7: "The value of 'signature' is a signature by the corresponding
 * private key over the following data, in the following order: string session
 * identifier, byte SSH_MSG_USERAUTH_REQUEST, string user name, string service
 * name, string "publickey", boolean TRUE, string public key algorithm name,
 * string public key to be used for authentication". Rebuilt from what we know.
 */
static void put_signed(struct buf *data, const struct monitor *mon,
		       const char *alg)
{
	buf_put_string(data, mon->session_id, mon->session_id_len);
	buf_put_u8(data, SSH_MSG_USERAUTH_REQUEST);
	buf_put_cstring(data, mon->user);
	buf_put_cstring(data, "ssh-connection");
	buf_put_cstring(data, "publickey");
	buf_put_bool(data, true);
	buf_put_cstring(data, alg);
	buf_put_string(data, mon->allowed, mon->allowed_len);
}

static int verify(struct monitor *mon, const char *alg, const uint8_t *sig,
		  size_t sig_len, bool *good)
{
	struct buf data;
	struct key *key;
	int err;

	*good = false;
	err = key_from_blob(mon->allowed, mon->allowed_len, &key);
	if (err)
		return err;
	buf_init(&data, MON_MSG_MAX);
	put_signed(&data, mon, alg);
	err = buf_error(&data);
	if (err)
		goto out;
	if (key_has_alg(key, alg) && !key_verify(key, alg, buf_data(&data),
						 buf_len(&data), sig, sig_len))
		*good = true;
	log_attempt(mon, *good, key);
out:
	buf_free(&data);
	key_free(key);
	return err;
}

static int answer_key_verify(struct monitor *mon, struct buf *in,
			     struct buf *out)
{
	const uint8_t *blob, *sig;
	size_t len, sig_len;
	char *alg = NULL;
	bool good;
	int err;

	err = get_alg(in, &alg);
	if (!err)
		err = buf_get_string(in, &blob, &len);
	if (!err)
		err = buf_get_string(in, &sig, &sig_len);
	if (!err)
		err = buf_end(in);
	if (!err && (!mon->account.allowed || !was_allowed(mon, blob, len)))
		err = -EPERM;
	if (!err)
		err = verify(mon, alg, sig, sig_len, &good);
	if (!err && good)
		mon->state = MON_STATE_AUTHED;
	else if (!err)
		err = count_failure(mon);
	if (!err) {
		buf_put_u32(out, 0);
		buf_put_bool(out, good);
	}
	free(alg);
	return err;
}

static int answer_export(struct monitor *mon, struct buf *in, struct buf *out)
{
	int err;

	(void)out;
	err = mon_get_state(in, &mon->transport, mon->session_id,
			    mon->session_id_len);
	if (!err)
		mon->state = MON_STATE_EXPORTED;
	return err;
}

/**
 * struct row - policy: what may be asked
 * @req: MON_REQ_*, also the index
 * @answered: the answer's number is @req + 1
 * @states: MON_STATE_* in which it may come
 * @answer: does it; an error ends the connection
 */
static const struct row {
	uint8_t req;
	bool answered;
	unsigned int states;
	int (*answer)(struct monitor *mon, struct buf *in, struct buf *out);
} rows[] = {
	{ MON_REQ_HOST_KEY, true, MON_STATE_PREAUTH | MON_STATE_SESSION,
	  answer_host_key },
	{ MON_REQ_SIGN, true, MON_STATE_PREAUTH | MON_STATE_SESSION,
	  answer_sign },
	{ MON_REQ_USER, true, MON_STATE_PREAUTH, answer_user },
	{ MON_REQ_KEY_ALLOWED, true, MON_STATE_PREAUTH, answer_key_allowed },
	{ MON_REQ_KEY_VERIFY, true, MON_STATE_PREAUTH, answer_key_verify },
	{ MON_REQ_EXPORT, false, MON_STATE_AUTHED, answer_export },
};

int monitor_answer(struct monitor *mon, uint8_t type, struct buf *in,
		   uint8_t *ans_type, struct buf *out)
{
	size_t i;
	int err;

	*ans_type = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].req == type)
			break;
	if (i == ARRAY_SIZE(rows))
		return -EPROTO;
	if (!(rows[i].states & mon->state))
		return -EPERM;
	err = rows[i].answer(mon, in, out);
	if (err)
		return err;
	if (rows[i].answered)
		*ans_type = type + 1;
	return buf_error(out);
}
