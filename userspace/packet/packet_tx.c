// SPDX-License-Identifier: MIT
/* A payload -> a sealed packet. */
#include <errno.h>
#include <string.h>

#include "lib/mem.h"
#include "packet/packet.h"

size_t packet_tx_size(const struct packet_half *tx, size_t payload_len)
{
	return kssh_packet_size(cipher_layout(tx->cipher), payload_len);
}

/* Random bytes from a pool: a system call a packet would be felt. */
static int fill_padding(struct packet_half *tx, uint8_t *p, uint32_t len)
{
	int err;

	if (len > tx->pad_left) {
		err = mem_random(tx->pad_pool, sizeof(tx->pad_pool));
		if (err)
			return err;
		tx->pad_left = sizeof(tx->pad_pool);
	}
	tx->pad_left -= len;
	memcpy(p, tx->pad_pool + tx->pad_left, len);
	return 0;
}

/*
 * RFC 4253 6: "uint32 packet_length, byte padding_length, byte[n1] payload,
 * byte[n2] random padding".
 */
int packet_tx_seal(struct packet_half *tx, uint8_t *p, size_t payload_len)
{
	const struct kssh_layout *layout = cipher_layout(tx->cipher);
	uint32_t pad_len, pkt_len;
	int err;

	if (!payload_len || payload_len > KSSH_PACKET_LEN_MAX - 64)
		return -EMSGSIZE;
	pad_len = kssh_pad_len(layout, payload_len);
	pkt_len = 1 + payload_len + pad_len;
	err = kssh_rekey_account(&tx->use, 4 + pkt_len + layout->tag_len);
	if (err)
		return err;
	err = fill_padding(tx, p + PACKET_HDR_LEN + payload_len, pad_len);
	if (err)
		return err;
	kssh_put_be32(p, pkt_len);
	p[4] = pad_len;
	err = cipher_seal(tx->cipher, tx->pkt_seq, p, pkt_len);
	if (err)
		return err;
	tx->pkt_seq++;
	return 0;
}
