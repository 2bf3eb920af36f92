/* SPDX-License-Identifier: MIT */
/* Key exchange, server side: RFC 4253 7-8, RFC 8308, RFC 8731, strict-kex. */
#ifndef KSSH_KEX_KEX_H
#define KSSH_KEX_KEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/buf.h"
#include "packet/newkeys.h"

/* What we offer: comma-separated name-lists, validated by kex_check_list(). */
struct kex_proposal {
	const char *kex;
	const char *hostkey_algs; /* those the loaded host keys serve */
	const char *ciphers;
	const char *macs;
};

extern const char kex_default_kex[];
extern const char kex_default_ciphers[];
extern const char kex_default_macs[];

enum kex_list { KEX_LIST_KEX, KEX_LIST_CIPHERS, KEX_LIST_MACS };
/*
 * Resolve a configured list: OpenSSH's +, -, ^ prefixes and wildcards applied
 * to the default. @out is allocated. 0; -EINVAL with the bad name in *bad,
 * which is allocated too.
 */
int kex_check_list(enum kex_list which, const char *spec, char **out,
		   char **bad);

/*
 * Once, before fork and sandbox: seeds the generators, fetches and tries all
 * algorithms, so that a key exchange opens no file later. 0 or -errno.
 */
int kex_prepare(void);

/**
 * struct kex_ops - what a key exchange asks of its owner
 * @send: send a payload (KEXINIT, ECDH_REPLY, NEWKEYS, EXT_INFO)
 * @host_key: blob of the host key for a host key algorithm
 * @sign: sign @data (the exchange hash) by that key; append the signature blob.
 *	@first: it is the first exchange, the hash is the session id
 * @newkeys: install; for TX called right after NEWKEYS was given to @send, for
 *	RX right after the peer's NEWKEYS. @seq_reset: strict-kex
 * All return 0 or -errno, which ends the connection.
 */
struct kex_ops {
	int (*send)(void *arg, const uint8_t *payload, size_t len);
	int (*host_key)(void *arg, const char *alg, struct buf *blob);
	int (*sign)(void *arg, const char *alg, const uint8_t *data, size_t len,
		    bool first, struct buf *sig);
	int (*newkeys)(void *arg, bool tx, const struct newkeys *keys,
		       bool seq_reset);
};

struct kex;

/*
 * @client_version, @server_version: without CR LF, copied. @state: NULL for
 * the first exchange, else session id and strict flag are taken from it.
 * @server_sig_algs: value for EXT_INFO after the first NEWKEYS; NULL: no
 * EXT_INFO. It promises ping@openssh.com too: the owner answers message 192.
 */
int kex_alloc(struct kex **kex, const struct kex_proposal *proposal,
	      const struct kex_ops *ops, void *arg, const char *client_version,
	      const char *server_version, const struct transport_state *state,
	      const char *server_sig_algs);
void kex_free(struct kex *kex);

/* Send our KEXINIT; nothing if it is out already. */
int kex_start(struct kex *kex);
/*
 * Our KEXINIT is out (or the peer's came) and the exchange has not ended.
 */
bool kex_running(const struct kex *kex);
/* Our KEXINIT is out and our NEWKEYS is not: no message >= 50 may be sent. */
bool kex_tx_gated(const struct kex *kex);
/* The peer's KEXINIT came, its NEWKEYS has not: only kex messages may come. */
bool kex_rx_gated(const struct kex *kex);

/*
 * A message 20..49 from the peer (and, in the first exchange under strict-kex,
 * every message: any other is a fault). @pkt_seq: its sequence number.
 * 0, or -errno (-EPROTO; -ENOMSG no common algorithm) with *disconnect set to
 * the SSH_DISCONNECT_* reason; -ECONNABORTED with 0 for SSH_MSG_DISCONNECT.
 * After an error every later call fails with -EPROTO.
 */
int kex_input(struct kex *kex, uint32_t pkt_seq, const uint8_t *payload,
	      size_t len, uint32_t *disconnect);

/* After the first exchange. */
const uint8_t *kex_session_id(const struct kex *kex, size_t *len);
bool kex_strict(const struct kex *kex);
bool kex_peer_ext_info(const struct kex *kex);
/*
 * Names agreed on, for the log: "mlkem768x25519-sha256 ssh-ed25519 ..."; after
 * -ENOMSG what there was no choice of, and what the peer offered.
 */
const char *kex_describe(const struct kex *kex);

#endif
