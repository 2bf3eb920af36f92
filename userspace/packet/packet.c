// SPDX-License-Identifier: MIT
/* One direction of a connection: keys, sequence number, use. */
#include <string.h>

#include "lib/mem.h"
#include "packet/packet.h"

int packet_half_init(struct packet_half *half, bool tx)
{
	static const struct newkeys none;

	memset(half, 0, sizeof(*half));
	return packet_half_rekey(half, &none, tx, 0, true);
}

void packet_half_exit(struct packet_half *half)
{
	cipher_free(half->cipher);
	mem_wipe(half, sizeof(*half));
}

int packet_half_rekey(struct packet_half *half, const struct newkeys *keys,
		      bool tx, uint64_t limit_bytes, bool seq_reset)
{
	struct cipher *cipher;
	int err;

	err = cipher_alloc(&cipher, keys, tx);
	if (err)
		return err;
	cipher_free(half->cipher);
	half->cipher = cipher;
	if (seq_reset)
		half->pkt_seq = 0;
	kssh_rekey_reset(&half->use, limit_bytes, 0,
			 cipher_layout(cipher)->block);
	return 0;
}
