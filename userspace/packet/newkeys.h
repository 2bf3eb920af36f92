/* SPDX-License-Identifier: MIT */
/* Key sets and the state of a transport, as they go from hand to hand. */
#ifndef KSSH_PACKET_NEWKEYS_H
#define KSSH_PACKET_NEWKEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/kssh.h>

/**
 * struct newkeys - the keys of one direction after NEWKEYS (RFC 4253 7.2, 7.3)
 * @cipher: KSSH_CIPHER_*, the same numbers as in the kernel's interface
 * @mac: KSSH_MAC_*
 * @key_len: bytes of @key
 * @iv_len: bytes of @iv
 * @mac_key_len: bytes of @mac_key
 * @key: encryption key
 * @iv: IV or counter block of the next packet
 * @mac_key: integrity key
 */
struct newkeys {
	uint16_t cipher;
	uint16_t mac;
	uint8_t key_len;
	uint8_t iv_len;
	uint8_t mac_key_len;
	uint8_t key[KSSH_KEY_MAX];
	uint8_t iv[KSSH_IV_MAX];
	uint8_t mac_key[KSSH_MAC_KEY_MAX];
};

#define SESSION_ID_MAX		64
#define VERSION_LINE_MAX	255	/* RFC 4253 4.2 */

/**
 * struct transport_state - all a process needs to go on with a connection
 *
 * Exported once by the auth process at a packet boundary, checked by the
 * monitor, given to the session. Wiped by each after use.
 *
 * @tx: keys of what we send, IV as the next packet needs it
 * @rx: keys of what we receive, alike
 * @tx_pkt_seq: sequence number of the next packet we send
 * @rx_pkt_seq: sequence number of the next packet we receive
 * @tx_packets: packets sent under @tx
 * @rx_packets: packets received under @rx
 * @tx_bytes: wire bytes sent under @tx
 * @rx_bytes: wire bytes received under @rx
 * @session_id: exchange hash of the first key exchange
 * @session_id_len: its length
 * @strict_kex: kex-strict-*-v00@openssh.com was agreed on
 * @peer_ext_info: the peer said ext-info-c (or -s)
 * @client_version: version line without CR LF
 * @server_version: version line without CR LF
 */
struct transport_state {
	struct newkeys tx;
	struct newkeys rx;
	uint32_t tx_pkt_seq;
	uint32_t rx_pkt_seq;
	uint64_t tx_packets;
	uint64_t rx_packets;
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	uint8_t session_id[SESSION_ID_MAX];
	uint8_t session_id_len;
	bool strict_kex;
	bool peer_ext_info;
	char client_version[VERSION_LINE_MAX + 1];
	char server_version[VERSION_LINE_MAX + 1];
};

#endif
