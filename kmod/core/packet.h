/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Layout of a binary packet, RFC 4253 6. */
#ifndef _KSSH_CORE_PACKET_H
#define _KSSH_CORE_PACKET_H

#include "core.h"

/* RFC 4253 6.1 asks for 35000; we take what OpenSSH takes. */
#define KSSH_PACKET_LEN_MAX	(256 * 1024)
#define KSSH_PACKET_LEN_MIN	5
#define KSSH_PAD_MIN		4

/**
 * struct kssh_layout - what a cipher and MAC ask of the packet's layout
 * @block: padding alignment in bytes: 16 for AES, 8 for chacha20-poly1305
 *	and for the unencrypted first packets
 * @clear_len: the 4 bytes of packet_length stand outside the alignment (AEAD
 *	and -etm modes)
 * @tag_len: bytes of tag or MAC behind the packet
 */
struct kssh_layout {
	u8 block;
	bool clear_len;
	u8 tag_len;
};

/* Padding bytes behind a payload of @payload_len: 4..255 */
u32 kssh_pad_len(const struct kssh_layout *layout, u32 payload_len);

/* Whole size on the wire: length field, padding length, payload, padding, tag */
u32 kssh_packet_size(const struct kssh_layout *layout, u32 payload_len);

/*
 * Is a received packet_length possible? 0, or -EMSGSIZE: below 5, above
 * KSSH_PACKET_LEN_MAX, or not aligned.
 */
int kssh_check_packet_len(const struct kssh_layout *layout, u32 pkt_len);

/*
 * Payload length of a checked and opened packet, > 0; -EPROTO on padding below
 * 4, padding that does not fit, or an empty payload.
 */
int kssh_payload_len(u32 pkt_len, u8 pad_len);

#endif /* _KSSH_CORE_PACKET_H */
