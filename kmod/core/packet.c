// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Layout of a binary packet, RFC 4253 6. */
#include "packet.h"

/* Bytes of the packet that the padding aligns, before the padding. */
static u32 aligned_len(const struct kssh_layout *layout, u32 payload_len)
{
	return (layout->clear_len ? 0 : 4) + 1 + payload_len;
}

/*
 * RFC 4253 6: "the total length of (packet_length || padding_length ||
 * payload || random padding) is a multiple of the cipher block size or 8,
 * whichever is larger.  There MUST be at least four bytes of padding."
 * The AEAD and -etm modes leave packet_length out (RFC 5647 7.2).
 */
u32 kssh_pad_len(const struct kssh_layout *layout, u32 payload_len)
{
	u32 block = layout->block;
	u32 pad = block - aligned_len(layout, payload_len) % block;

	return pad < KSSH_PAD_MIN ? pad + block : pad;
}

u32 kssh_packet_size(const struct kssh_layout *layout, u32 payload_len)
{
	return 4 + 1 + payload_len + kssh_pad_len(layout, payload_len) +
	       layout->tag_len;
}

int kssh_check_packet_len(const struct kssh_layout *layout, u32 pkt_len)
{
	if (pkt_len < KSSH_PACKET_LEN_MIN || pkt_len > KSSH_PACKET_LEN_MAX)
		return -EMSGSIZE;
	if ((pkt_len + (layout->clear_len ? 0 : 4)) % layout->block)
		return -EMSGSIZE;
	return 0;
}

/*
 * RFC 4253 6: "There MUST be at least four bytes of padding." A payload holds
 * at least the message number.
 */
int kssh_payload_len(u32 pkt_len, u8 pad_len)
{
	if (pad_len < KSSH_PAD_MIN || pkt_len < (u32)pad_len + 2)
		return -EPROTO;
	return pkt_len - 1 - pad_len;
}
