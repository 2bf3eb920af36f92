/* SPDX-License-Identifier: GPL-2.0-only */
/* What kssh-top's program keeps of a connection. Both sides include this. */
#ifndef _KSSH_TOP_H
#define _KSSH_TOP_H

#define TOP_CONNS_MAX	16384

/**
 * struct top_conn - counters since the program was attached
 * @family: AF_INET or AF_INET6
 * @sport: our port
 * @dport: the peer's port
 * @last_err: what ended a direction, < 0, or 0
 * @saddr: our address; IPv4 in the first four bytes
 * @daddr: the peer's
 * @tx_bytes: on the wire, packet headers, padding and tags included
 * @rx_bytes: as @tx_bytes
 * @tx_packets: packets sealed
 * @rx_packets: packets opened
 * @shuts: times a writer found the peer's window spent
 * @shut_us: time until the peer opened it again
 * @rekeys: keys installed after the first, both directions
 * @rekey_us: time in which data could not pass for want of them
 */
struct top_conn {
	__u16 family;
	__u16 sport;
	__u16 dport;
	__s16 last_err;
	__u8 saddr[16];
	__u8 daddr[16];
	__u64 tx_bytes;
	__u64 rx_bytes;
	__u64 tx_packets;
	__u64 rx_packets;
	__u64 shuts;
	__u64 shut_us;
	__u64 rekeys;
	__u64 rekey_us;
};

#endif
