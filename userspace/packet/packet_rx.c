// SPDX-License-Identifier: MIT
/* Bytes of the stream -> a checked payload. */
#include <errno.h>

#include "packet/packet.h"

int packet_rx_size(struct packet_half *rx, const uint8_t *p, size_t avail,
		   size_t *total)
{
	size_t need = cipher_len_need(rx->cipher);
	uint32_t pkt_len;
	int err;

	if (avail < need) {
		*total = need;
		return -EAGAIN;
	}
	err = cipher_open_len(rx->cipher, rx->pkt_seq, p, &pkt_len);
	if (err)
		return err;
	*total = 4 + (size_t)pkt_len + cipher_layout(rx->cipher)->tag_len;
	return 0;
}

/*
 * RFC 4253 6.4: "The sequence_number is initialized to zero for the first
 * packet, and is incremented after every packet". Not before the MAC was
 * found right.
 */
int packet_rx_open(struct packet_half *rx, uint8_t *p, size_t total,
		   uint32_t *pkt_seq, const uint8_t **payload, size_t *len)
{
	uint32_t overhead = 4 + cipher_layout(rx->cipher)->tag_len;
	uint32_t pkt_len;
	int err, n;

	if (total < overhead + KSSH_PACKET_LEN_MIN ||
	    total > overhead + KSSH_PACKET_LEN_MAX)
		return -EMSGSIZE;
	pkt_len = total - overhead;
	err = kssh_rekey_account(&rx->use, total);
	if (err)
		return err;
	err = cipher_open(rx->cipher, rx->pkt_seq, p, pkt_len);
	if (err)
		return err;
	n = kssh_payload_len(pkt_len, p[4]);
	if (n < 0)
		return n;
	*pkt_seq = rx->pkt_seq++;
	*payload = p + PACKET_HDR_LEN;
	*len = n;
	return 0;
}
