// SPDX-License-Identifier: MIT
/* The authentication protocol, RFC 4252, with the method "publickey". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/auth_impl.h"
#include "core/core.h"
#include "lib/log.h"
#include "monitor/monitor.h"

/* One connection cannot probe for ever, whatever LoginGraceTime says. */
#define REQUESTS_MAX	256
/* No refusal is faster, so that its time says little about its reason. */
#define REFUSAL_MS	5
#define BLOB_MAX	(8 * 1024)

/**
 * struct request - a USERAUTH_REQUEST
 * @user: user name
 * @service: service name
 * @method: method name
 * @rest: fields of the method
 * @since_ms: when it came
 */
struct request {
	char *user;
	char *service;
	char *method;
	struct buf *rest;
	int64_t since_ms;
};

/**
 * struct publickey - fields of the method "publickey"
 * @has_sig: a signature is there; if not, it is a probe
 * @alg: public key algorithm name
 * @blob: public key
 * @blob_len: its length
 * @sig: signature
 * @sig_len: its length
 */
struct publickey {
	bool has_sig;
	char *alg;
	const uint8_t *blob;
	size_t blob_len;
	const uint8_t *sig;
	size_t sig_len;
};

static void wait_until(int64_t until_ms)
{
	struct timespec ts = {
		.tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	       EINTR)
		;
}

/*
 * RFC 4252 5.1: "byte SSH_MSG_USERAUTH_FAILURE, name-list authentications that
 * can continue, boolean partial success"
 */
static int refuse(struct auth *auth, const struct request *req)
{
	struct buf msg;

	/* asking what there is costs nothing, once, and tells nothing */
	if (auth->requests > 1 || strcmp(req->method, "none")) {
		auth->failures++;
		wait_until(req->since_ms + REFUSAL_MS);
	}
	if (auth->failures && auth->failures >= auth->max_failures)
		return auth_fail(auth, -EACCES,
				 SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE,
				 "too many authentication failures");
	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_USERAUTH_FAILURE);
	buf_put_cstring(&msg, "publickey");
	buf_put_bool(&msg, false);
	return auth_send(auth, &msg);
}

/*
 * RFC 4252 7: "byte SSH_MSG_USERAUTH_PK_OK, string public key algorithm name
 * from the request, string public key blob from the request"
 */
static int send_pk_ok(struct auth *auth, const struct publickey *pk)
{
	struct buf msg;

	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_USERAUTH_PK_OK);
	buf_put_cstring(&msg, pk->alg);
	buf_put_string(&msg, pk->blob, pk->blob_len);
	return auth_send(auth, &msg);
}

static int send_success(struct auth *auth)
{
	struct buf msg;
	int err;

	buf_init(&msg, BUF_MAX_DEFAULT);
	buf_put_u8(&msg, SSH_MSG_USERAUTH_SUCCESS);
	err = auth_send(auth, &msg);
	auth->authenticated = !err;
	return err;
}

/*
 * RFC 4252 7: "byte SSH_MSG_USERAUTH_REQUEST, string user name, string service
 * name, string "publickey", boolean, string public key algorithm name, string
 * public key to be used for authentication, string signature"
 */
static int parse_publickey(struct publickey *pk, struct buf *in)
{
	int err;

	err = buf_get_bool(in, &pk->has_sig);
	if (!err)
		err = buf_get_cstring(in, &pk->alg);
	if (!err)
		err = buf_get_string(in, &pk->blob, &pk->blob_len);
	if (!err && pk->has_sig)
		err = buf_get_string(in, &pk->sig, &pk->sig_len);
	return err ? err : buf_end(in);
}

/* RSA with SHA-1 ("ssh-rsa") is none of them. */
static bool is_sig_alg(const char *alg)
{
	const char *list = AUTH_SIG_ALGS;
	size_t len = strlen(alg);
	size_t n;

	while (*list) {
		n = strcspn(list, ",");
		if (n == len && !memcmp(list, alg, n))
			return true;
		list += n;
		list += *list == ',';
	}
	return false;
}

static int try_publickey(struct auth *auth, const struct publickey *pk,
			 bool *allowed, bool *authenticated)
{
	int fd = auth->args->monitor_fd;
	int err;

	*allowed = false;
	*authenticated = false;
	if (!is_sig_alg(pk->alg) || pk->blob_len > BLOB_MAX ||
	    pk->sig_len > BLOB_MAX)
		return 0;
	err = mon_request_key_allowed(fd, pk->alg, pk->blob, pk->blob_len,
				      allowed);
	if (err || !*allowed || !pk->has_sig)
		return err;
	return mon_request_key_verify(fd, pk->alg, pk->blob, pk->blob_len,
				      pk->sig, pk->sig_len, authenticated);
}

static int handle_publickey(struct auth *auth, const struct request *req)
{
	struct publickey pk = { 0 };
	bool allowed, authenticated;
	int err;

	err = parse_publickey(&pk, req->rest);
	if (err) {
		err = auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
				"malformed publickey request");
		goto out;
	}
	err = try_publickey(auth, &pk, &allowed, &authenticated);
	if (err)
		auth_fail(auth, err, SSH_DISCONNECT_BY_APPLICATION,
			  "the monitor does not answer");
	else if (authenticated)
		err = send_success(auth);
	else if (allowed && !pk.has_sig)
		err = send_pk_ok(auth, &pk);
	else
		err = refuse(auth, req);
out:
	free(pk.alg);
	return err;
}

/*
 * RFC 4252 5: "byte SSH_MSG_USERAUTH_REQUEST, string user name in ISO-10646
 * UTF-8 encoding, string service name in US-ASCII, string method name in
 * US-ASCII, .... method specific fields"
 */
static int parse_request(struct request *req, struct buf *msg)
{
	int err;

	err = buf_get_cstring(msg, &req->user);
	if (!err)
		err = buf_get_cstring(msg, &req->service);
	if (!err)
		err = buf_get_cstring(msg, &req->method);
	req->rest = msg;
	return err;
}

/*
 * RFC 4252 5: "The 'user name' and 'service name' are repeated in every new
 * authentication attempt, and MAY change." We take one user a connection, and
 * "the server MUST ... disconnect if it is unable to change authentication
 * states".
 */
static int set_user(struct auth *auth, struct request *req)
{
	int err;

	if (auth->user) {
		if (!strcmp(auth->user, req->user))
			return 0;
		return auth_fail(auth, -EPROTO, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "the user name must not change");
	}
	err = mon_request_user(auth->args->monitor_fd, req->user,
			       &auth->max_failures);
	if (err)
		return auth_fail(auth, err, SSH_DISCONNECT_BY_APPLICATION,
				 "the monitor does not answer");
	auth->user = req->user;
	req->user = NULL;
	return 0;
}

static int handle_request(struct auth *auth, struct request *req)
{
	int err;

	/*
	 * RFC 4252 5: "If the requested service is not available, the server
	 * MAY disconnect immediately"
	 */
	if (strcmp(req->service, "ssh-connection"))
		return auth_fail(auth, -EPROTO,
				 SSH_DISCONNECT_SERVICE_NOT_AVAILABLE,
				 "only the service ssh-connection is here");
	err = set_user(auth, req);
	if (err)
		return err;
	if (!strcmp(req->method, "publickey"))
		return handle_publickey(auth, req);
	return refuse(auth, req);
}

int auth_userauth_request(struct auth *auth, struct buf *msg)
{
	struct request req = { .since_ms = mon_now_ms() };
	int err;

	if (!auth->service)
		return auth_fail(auth, -EPROTO, SSH_DISCONNECT_PROTOCOL_ERROR,
				 "ssh-userauth was not asked for");
	if (++auth->requests > REQUESTS_MAX)
		return auth_fail(auth, -EACCES,
				 SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE,
				 "too many authentication requests");
	err = parse_request(&req, msg);
	if (err)
		auth_fail(auth, err, SSH_DISCONNECT_PROTOCOL_ERROR,
			  "malformed authentication request");
	else
		err = handle_request(auth, &req);
	free(req.user);
	free(req.service);
	free(req.method);
	return err;
}
