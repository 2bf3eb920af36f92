/* SPDX-License-Identifier: MIT */
/* Ciphers and MACs of the user data path, on libcrypto. */
#ifndef KSSH_PACKET_CIPHER_H
#define KSSH_PACKET_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/packet.h"
#include "packet/newkeys.h"

/* A row of the cipher table. */
struct cipher_desc {
	const char *name; /* as in name-lists */
	uint16_t id;  /* KSSH_CIPHER_* */
	uint8_t key_len;
	uint8_t iv_len;
	uint8_t block;  /* padding alignment */
	uint8_t tag_len; /* of an AEAD, else 0 */
};

/* A row of the MAC table. */
struct mac_desc {
	const char *name;
	uint16_t id;  /* KSSH_MAC_* */
	uint8_t key_len;
	uint8_t tag_len;
	bool etm;
};

const struct cipher_desc *cipher_by_name(const char *name);
const struct cipher_desc *cipher_by_id(uint16_t id);
const struct mac_desc *mac_by_name(const char *name);
const struct mac_desc *mac_by_id(uint16_t id);
/* Tables of @n rows, in order of preference. */
const struct cipher_desc *cipher_table(size_t *n);
const struct mac_desc *mac_table(size_t *n);
/* Fetch and try all algorithms, before fork and sandbox. 0 or -errno. */
int cipher_prepare(void);
/* All ids and lengths fit together? 0 or -EINVAL. */
int newkeys_check(const struct newkeys *keys);

struct cipher; /* one direction: keys, IV, libcrypto contexts */

/* KSSH_CIPHER_NONE gives the plain packets of before the first NEWKEYS. */
int cipher_alloc(struct cipher **cipher, const struct newkeys *keys, bool tx);
void cipher_free(struct cipher *cipher);
const struct kssh_layout *cipher_layout(const struct cipher *cipher);
/* The keys with the IV as the next packet needs it (for a hand-over). */
void cipher_export(const struct cipher *cipher, struct newkeys *keys);

/*
 * Seal: @pkt holds packet_length, padding_length, payload and padding (4 +
 * @pkt_len bytes), with room for the tag behind. In place. 0 or -errno.
 */
int cipher_seal(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		uint32_t pkt_len);

/* Bytes needed before cipher_open_len() may be asked: 4, or a block. */
size_t cipher_len_need(const struct cipher *cipher);
/*
 * What is the packet_length of the packet that begins at @pkt? Does not change
 * @pkt nor any state; checked by kssh_check_packet_len(): 0 or -EMSGSIZE.
 */
int cipher_open_len(struct cipher *cipher, uint32_t pkt_seq, const uint8_t *pkt,
		    uint32_t *pkt_len);
/*
 * Open the whole packet (4 + @pkt_len + tag bytes) in place: afterwards
 * @pkt + 4 is padding_length, payload, padding. 0; -EBADMSG wrong MAC.
 */
int cipher_open(struct cipher *cipher, uint32_t pkt_seq, uint8_t *pkt,
		uint32_t pkt_len);

#endif
