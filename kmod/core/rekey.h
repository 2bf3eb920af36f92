/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* When is a rekey due: RFC 4253 9, RFC 4344 3. */
#ifndef _KSSH_CORE_REKEY_H
#define _KSSH_CORE_REKEY_H

#include "core.h"

#define KSSH_REKEY_PACKETS_DEFAULT	(1ULL << 30)
#define KSSH_REKEY_PACKETS_HARD		(1ULL << 31)

/**
 * struct kssh_rekey - use of one direction's key
 * @bytes: on the wire under this key
 * @packets: under this key
 * @limit_bytes: a rekey is due from here, 0 for no limit
 * @limit_packets: a rekey is due from here
 */
struct kssh_rekey {
	u64 bytes;
	u64 packets;
	u64 limit_bytes;
	u64 limit_packets;
};

/* New keys: counters to 0, limits (0: defaults, by RFC 4344 for @block) set. */
void kssh_rekey_reset(struct kssh_rekey *rk, u64 limit_bytes, u64 limit_packets,
		      u32 block);

/* Account a packet of @bytes; -EKEYEXPIRED at the hard stop: do not send. */
int kssh_rekey_account(struct kssh_rekey *rk, u32 bytes);

/* KSSH_REKEY_BYTES | KSSH_REKEY_PACKETS when due, else 0 */
u32 kssh_rekey_due(const struct kssh_rekey *rk);

#endif /* _KSSH_CORE_REKEY_H */
