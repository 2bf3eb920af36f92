// SPDX-License-Identifier: MIT
/* Ask the monitor: the side of auth and session. */
#include <errno.h>

#include "lib/mem.h"
#include "monitor/monitor.h"

/* Send @req, which is freed, and wait. The answer is in @ans, behind errno. */
static int ask(int fd, uint8_t type, struct buf *req, struct buf *ans)
{
	uint8_t got = 0;
	uint32_t code;
	int err;

	buf_init(ans, MON_MSG_MAX);
	err = mon_msg_send(fd, 0, type, req);
	buf_free(req);
	if (!err)
		err = mon_msg_recv(fd, 0, &got, ans);
	if (!err && got != type + 1)
		err = -EPROTO;
	if (!err)
		err = buf_get_u32(ans, &code);
	if (!err && code)
		err = code < 4096 ? -(int)code : -EPROTO;
	return err;
}

/* The answer is one string, appended to @out. */
static int ask_string(int fd, uint8_t type, struct buf *req, struct buf *out)
{
	const uint8_t *p;
	struct buf ans;
	size_t len;
	int err;

	err = ask(fd, type, req, &ans);
	if (!err)
		err = buf_get_string(&ans, &p, &len);
	if (!err)
		err = buf_end(&ans);
	if (!err)
		err = buf_put_raw(out, p, len);
	buf_free(&ans);
	return err;
}

static int ask_bool(int fd, uint8_t type, struct buf *req, bool *yes)
{
	struct buf ans;
	int err;

	*yes = false;
	err = ask(fd, type, req, &ans);
	if (!err)
		err = buf_get_bool(&ans, yes);
	if (!err)
		err = buf_end(&ans);
	if (err)
		*yes = false;
	buf_free(&ans);
	return err;
}

int mon_request_host_key(int fd, const char *alg, struct buf *blob)
{
	struct buf req;

	buf_init(&req, MON_MSG_MAX);
	buf_put_cstring(&req, alg);
	return ask_string(fd, MON_REQ_HOST_KEY, &req, blob);
}

int mon_request_sign(int fd, const char *alg, const uint8_t *hash, size_t len,
		     struct buf *sig)
{
	struct buf req;

	buf_init(&req, MON_MSG_MAX);
	buf_put_cstring(&req, alg);
	buf_put_string(&req, hash, len);
	return ask_string(fd, MON_REQ_SIGN, &req, sig);
}

int mon_request_user(int fd, const char *user, unsigned int *max_auth_tries)
{
	struct buf req, ans;
	uint32_t tries;
	int err;

	buf_init(&req, MON_MSG_MAX);
	buf_put_cstring(&req, user);
	err = ask(fd, MON_REQ_USER, &req, &ans);
	if (!err)
		err = buf_get_u32(&ans, &tries);
	if (!err)
		err = buf_end(&ans);
	if (!err)
		*max_auth_tries = tries;
	buf_free(&ans);
	return err;
}

int mon_request_key_allowed(int fd, const char *alg, const uint8_t *blob,
			    size_t len, bool *allowed)
{
	struct buf req;

	buf_init(&req, MON_MSG_MAX);
	buf_put_cstring(&req, alg);
	buf_put_string(&req, blob, len);
	return ask_bool(fd, MON_REQ_KEY_ALLOWED, &req, allowed);
}

int mon_request_key_verify(int fd, const char *alg, const uint8_t *blob,
			   size_t len, const uint8_t *sig, size_t sig_len,
			   bool *authenticated)
{
	struct buf req;

	buf_init(&req, MON_MSG_MAX);
	buf_put_cstring(&req, alg);
	buf_put_string(&req, blob, len);
	buf_put_string(&req, sig, sig_len);
	return ask_bool(fd, MON_REQ_KEY_VERIFY, &req, authenticated);
}

int mon_request_export(int fd, const struct transport_state *state)
{
	struct buf req;
	int err;

	buf_init(&req, MON_MSG_MAX);
	err = mon_put_state(&req, state);
	if (!err)
		err = mon_msg_send(fd, 0, MON_REQ_EXPORT, &req);
	buf_free(&req);
	return err;
}
