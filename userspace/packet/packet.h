/* SPDX-License-Identifier: MIT */
/* Binary packets of the user data path, RFC 4253 6. No I/O here. */
#ifndef KSSH_PACKET_PACKET_H
#define KSSH_PACKET_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include "core/packet.h"
#include "core/rekey.h"
#include "packet/cipher.h"

#define PACKET_HDR_LEN	5	/* packet_length and padding_length */

/**
 * struct packet_half - one direction of a connection
 * @cipher: keys in use
 * @pkt_seq: sequence number of the next packet
 * @use: bytes and packets under these keys
 * @pad_left: bytes of @pad_pool not used yet
 * @pad_pool: random bytes for the padding of TX packets
 */
struct packet_half {
	struct cipher *cipher;
	uint32_t pkt_seq;
	struct kssh_rekey use;
	uint32_t pad_left;
	uint8_t pad_pool[512];
};

/* packet.c */
/* Unencrypted, sequence number 0: how every connection begins. */
int packet_half_init(struct packet_half *half, bool tx);
void packet_half_exit(struct packet_half *half);
/*
 * Next keys (after NEWKEYS, or from a hand-over); the old ones are wiped.
 * @limit_bytes: RekeyLimit, 0 for the cipher's default. @seq_reset: strict-kex.
 */
int packet_half_rekey(struct packet_half *half, const struct newkeys *keys,
		      bool tx, uint64_t limit_bytes, bool seq_reset);

/* packet_rx.c */
/*
 * Size on the wire of the packet that begins at @p, of which @avail bytes are
 * there. 0: known, in *total. -EAGAIN: *total bytes are needed to know it.
 * -EMSGSIZE: impossible length.
 */
int packet_rx_size(struct packet_half *rx, const uint8_t *p, size_t avail,
		   size_t *total);
/*
 * Open the whole packet at @p in place and count it. *pkt_seq is its sequence
 * number. -EBADMSG, -EPROTO, -EKEYEXPIRED (2^31 packets).
 */
int packet_rx_open(struct packet_half *rx, uint8_t *p, size_t total,
		   uint32_t *pkt_seq, const uint8_t **payload, size_t *len);

/* packet_tx.c */
size_t packet_tx_size(const struct packet_half *tx, size_t payload_len);
/*
 * The payload stands at @p + PACKET_HDR_LEN; @p has packet_tx_size() bytes.
 * Fills header and padding, seals, counts. 0; -EKEYEXPIRED (2^31 packets).
 */
int packet_tx_seal(struct packet_half *tx, uint8_t *p, size_t payload_len);

/* packet_sync.c: blocking, exact: never reads beyond the packet it returns */
struct packet_conn {
	int fd;
	int64_t deadline_ms; /* CLOCK_MONOTONIC, 0: none; -ETIMEDOUT */
	struct packet_half tx;
	struct packet_half rx;
	uint8_t *rx_buf;
	size_t rx_cap;
};

int packet_conn_init(struct packet_conn *pc, int fd, int64_t deadline_ms);
void packet_conn_exit(struct packet_conn *pc);
int packet_conn_send(struct packet_conn *pc, const uint8_t *payload,
		     size_t len);
/* -ECONNRESET, -ECONNABORTED (closed), or a fault of packet_rx_*. */
int packet_conn_recv(struct packet_conn *pc, uint32_t *pkt_seq,
		     const uint8_t **payload, size_t *len);

#endif
