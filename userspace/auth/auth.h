/* SPDX-License-Identifier: MIT */
/* The auth process: all that is parsed before the user is known. */
#ifndef KSSH_AUTH_AUTH_H
#define KSSH_AUTH_AUTH_H

#include <stdint.h>
#include "conf/conf.h"

/* Signature algorithms of users that we take (RFC 8308 3.1). */
#define AUTH_SIG_ALGS \
	"ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"

/**
 * struct auth_args - a connection
 * @tcp_fd: the peer
 * @monitor_fd: for mon_request_*()
 * @conf: configuration
 * @hostkey_algs: algorithms of our host keys
 * @peer_addr: numeric address, for the log
 * @peer_port: its port
 * @deadline_ms: CLOCK_MONOTONIC, 0: none
 */
struct auth_args {
	int tcp_fd;
	int monitor_fd;
	const struct conf *conf;
	const char *hostkey_algs;
	const char *peer_addr;
	unsigned int peer_port;
	int64_t deadline_ms;
};

/*
 * Until a user is authenticated and the connection is handed over: exit code
 * 0. Otherwise the connection has ended: 1. Runs in its sandbox.
 */
int auth_run(const struct auth_args *args);

#endif
