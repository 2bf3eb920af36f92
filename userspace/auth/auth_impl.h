/* SPDX-License-Identifier: MIT */
/* Inside auth/. */
#ifndef KSSH_AUTH_AUTH_IMPL_H
#define KSSH_AUTH_AUTH_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include "auth/auth.h"
#include "kex/kex.h"
#include "lib/buf.h"
#include "packet/packet.h"

/**
 * struct auth - a connection before authentication
 * @args: from the monitor
 * @pc: packets
 * @kex: key exchange, the same for all of them
 * @client_version: version line
 * @user: who wants to log in, NULL before the first request
 * @requests: USERAUTH_REQUESTs so far
 * @failures: those that count against MaxAuthTries
 * @max_failures: MaxAuthTries, 0: the user was not named yet
 * @keyed: the first key exchange has ended
 * @service: "ssh-userauth" was asked for
 * @authenticated: SSH_MSG_USERAUTH_SUCCESS is out
 * @disconnect: reason to tell the peer, 0: none
 * @why: what is wrong, for the peer and the log
 */
struct auth {
	const struct auth_args *args;
	struct packet_conn pc;
	struct kex *kex;
	char client_version[VERSION_LINE_MAX + 1];
	char *user;
	unsigned int requests;
	unsigned int failures;
	unsigned int max_failures;
	bool keyed;
	bool service;
	bool authenticated;
	uint32_t disconnect;
	const char *why;
};

/* auth.c */
/* The connection ends: returns @err. The first call counts. */
int auth_fail(struct auth *auth, int err, uint32_t disconnect, const char *why);
int auth_send(struct auth *auth, struct buf *msg);

/* auth_message.c: messages 1 to 49 */
int auth_dispatch(struct auth *auth, uint32_t pkt_seq, const uint8_t *payload,
		  size_t len);
int auth_kex_start(struct auth *auth);

/* auth_userauth.c: RFC 4252 */
/* @msg: behind the message number. */
int auth_userauth_request(struct auth *auth, struct buf *msg);

#endif
