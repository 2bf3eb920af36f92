/* SPDX-License-Identifier: MIT */
/* Inside of kex/. */
#ifndef KSSH_KEX_INTERNAL_H
#define KSSH_KEX_INTERNAL_H

#include "kex/kex.h"
#include "packet/cipher.h"

#define KEX_HASH_LEN	32	/* all our methods use SHA-256 */

/* kex_ecdh.c */
struct kex_alg {
	const char *name;
	uint8_t method;
	uint16_t init_len; /* bytes of the client's public value */
};

/* Rows in order of preference, the last with a NULL name. */
extern const struct kex_alg kex_algs[];
const struct kex_alg *kex_alg_by_name(const char *name, size_t len);
/* Does libcrypto have it? ML-KEM came with 3.5. */
bool kex_alg_available(const struct kex_alg *alg);
/*
 * Answer the client's public value @init: ours is appended to @reply, the
 * shared secret K to @secret, encoded as it is hashed. -EPROTO: bad value.
 */
int kex_alg_reply(const struct kex_alg *alg, const uint8_t *init, size_t len,
		  struct buf *reply, struct buf *secret);

/* kexinit.c */
enum kexinit_list {
	KEXINIT_KEX,
	KEXINIT_HOSTKEY,
	KEXINIT_CIPHER_C2S,
	KEXINIT_CIPHER_S2C,
	KEXINIT_MAC_C2S,
	KEXINIT_MAC_S2C,
	KEXINIT_COMP_C2S,
	KEXINIT_COMP_S2C,
	KEXINIT_LANG_C2S,
	KEXINIT_LANG_S2C,
	KEXINIT_LISTS,
};

struct name_list {
	const char *p;
	size_t len;
};

struct kexinit {
	struct name_list lists[KEXINIT_LISTS];
	bool follows;
};

#define KEX_NAME_MAX	64	/* RFC 4251 6, last paragraph */

/* @mac_* are NULL with an AEAD; @at is the list that was looked at last. */
struct kex_choice {
	enum kexinit_list at;
	const struct kex_alg *kex;
	char hostkey[KEX_NAME_MAX + 1];
	const struct cipher_desc *cipher_c2s;
	const struct cipher_desc *cipher_s2c;
	const struct mac_desc *mac_c2s;
	const struct mac_desc *mac_s2c;
	bool wrong_guess;
};

/* Next name of @list, empty ones left out; false at the end. */
bool name_list_next(struct name_list *list, struct name_list *name);
bool name_list_has(struct name_list list, const char *name);

/* @first: with the markers of RFC 8308 and strict-kex */
int kexinit_fill(struct buf *out, const struct kex_proposal *proposal,
		 bool first);
/* Views into @payload. 0 or -EPROTO. */
int kexinit_parse(const uint8_t *payload, size_t len, struct kexinit *init);
/* 0, or -ENOMSG: nothing in common in the list @choice->at. */
int kexinit_negotiate(const struct kexinit *client,
		      const struct kexinit *server, struct kex_choice *choice);

/* kex_derive.c */
struct kex_hash_input {
	const char *client_version;
	const char *server_version;
	const struct buf *client_init; /* payloads of both KEXINIT */
	const struct buf *server_init;
	const struct buf *host_key;
	const uint8_t *q_c;
	size_t q_c_len;
	const struct buf *q_s;
	const struct buf *secret; /* K, encoded */
};

int kex_exchange_hash(const struct kex_hash_input *in,
		      uint8_t hash[KEX_HASH_LEN]);
/* Keys client to server (@c2s) or server to client. */
int kex_derive(const struct buf *secret, const uint8_t hash[KEX_HASH_LEN],
	       const uint8_t *session_id, size_t session_id_len,
	       const struct kex_choice *choice, bool c2s, struct newkeys *keys);

#endif
