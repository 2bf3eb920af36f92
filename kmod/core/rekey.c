// SPDX-License-Identifier: GPL-2.0 OR MIT
/* When is a rekey due: RFC 4253 9, RFC 4344 3. */
#include <linux/kssh.h>

#include "rekey.h"

/*
 * RFC 4344 3.2: "if L is the block length in bits, a key should not be used
 * for more than 2**(L/4) blocks"; L / 4 is twice the block length in bytes.
 * RFC 4253 9 for smaller blocks: "after each gigabyte of transmitted data".
 */
static u64 default_bytes(u32 block)
{
	if (block < 16)
		return 1ULL << 30;
	return (1ULL << 32) * 16;
}

void kssh_rekey_reset(struct kssh_rekey *rk, u64 limit_bytes,
		      u64 limit_packets, u32 block)
{
	rk->bytes = 0;
	rk->packets = 0;
	rk->limit_bytes = limit_bytes ? limit_bytes : default_bytes(block);
	rk->limit_packets = limit_packets ? limit_packets :
					    KSSH_REKEY_PACKETS_DEFAULT;
}

int kssh_rekey_account(struct kssh_rekey *rk, u32 bytes)
{
	if (rk->packets >= KSSH_REKEY_PACKETS_HARD)
		return -EKEYEXPIRED;
	rk->packets++;
	rk->bytes += bytes;
	return 0;
}

u32 kssh_rekey_due(const struct kssh_rekey *rk)
{
	u32 due = 0;

	if (rk->limit_bytes && rk->bytes >= rk->limit_bytes)
		due |= KSSH_REKEY_BYTES;
	if (rk->packets >= rk->limit_packets)
		due |= KSSH_REKEY_PACKETS;
	return due;
}
