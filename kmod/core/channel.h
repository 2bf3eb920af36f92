/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Channel message headers and windows, RFC 4254 5. */
#ifndef _KSSH_CORE_CHANNEL_H
#define _KSSH_CORE_CHANNEL_H

#include "core.h"

#define KSSH_DATA_HDR_LEN	9	/* type, recipient, data length */
#define KSSH_EXT_DATA_HDR_LEN	13	/* and the data type code */
#define KSSH_ADJUST_LEN		9
#define KSSH_EOF_LEN		5

/**
 * struct kssh_channel_msg - a parsed channel message
 * @type: SSH_MSG_CHANNEL_*
 * @recipient: recipient channel
 * @data_type: 0, or the code of SSH_MSG_CHANNEL_EXTENDED_DATA
 * @data_off: where the data begins in the payload
 * @data_len: bytes of data
 * @adjust: bytes to add (SSH_MSG_CHANNEL_WINDOW_ADJUST)
 */
struct kssh_channel_msg {
	u8 type;
	u32 recipient;
	u32 data_type;
	u32 data_off;
	u32 data_len;
	u32 adjust;
};

/*
 * Parse DATA, EXTENDED_DATA, WINDOW_ADJUST, EOF or CLOSE. @hdr holds the first
 * @hdr_len bytes of the payload (13 or the whole payload, if shorter), which
 * has @payload_len in all. 0; -ENOMSG another message; -EPROTO malformed
 * (short, trailing bytes, length that does not match).
 */
int kssh_parse_channel_msg(const u8 *hdr, u32 hdr_len, u32 payload_len,
			   struct kssh_channel_msg *msg);

/* Header of a data packet; 9 bytes, or 13 when @data_type is not 0. */
u32 kssh_data_hdr_len(u32 data_type);
u32 kssh_fill_data_hdr(u8 *p, u32 remote_id, u32 data_type, u32 data_len);
void kssh_fill_adjust(u8 p[KSSH_ADJUST_LEN], u32 remote_id, u32 bytes);
void kssh_fill_eof(u8 p[KSSH_EOF_LEN], u32 remote_id);

/**
 * struct kssh_rx_window - the window we grant
 * @window: what the peer may still send
 * @consumed: read by our side, not granted again yet
 * @max: size the window is kept at
 * @limit: @max does not grow beyond it
 * @max_packet: largest data part we accept
 * @round_bytes: read since @round_start
 * @round_start: microseconds of any clock
 */
struct kssh_rx_window {
	u32 window;
	u32 consumed;
	u32 max;
	u32 limit;
	u32 max_packet;
	u32 round_bytes;
	u64 round_start;
};

/* The peer sent @len bytes: 0, or -EPROTO beyond the window or max_packet. */
int kssh_rx_window_charge(struct kssh_rx_window *win, u32 len);

/*
 * The reader took @len bytes. Returns the bytes a WINDOW_ADJUST should grant
 * now, or 0 for not yet; call kssh_rx_window_grant() when it is sent.
 */
u32 kssh_rx_window_consume(struct kssh_rx_window *win, u32 len);
void kssh_rx_window_grant(struct kssh_rx_window *win, u32 bytes);
/*
 * To be asked before a grant: how much larger should the window be, for a
 * reader of this pace and a round trip of @rtt_us? 0 if it is large enough.
 * kssh_rx_window_grow() does it, by as much as there is memory for; the next
 * grant tells the peer.
 */
u32 kssh_rx_window_tune(struct kssh_rx_window *win, u64 now_us, u32 rtt_us);
void kssh_rx_window_grow(struct kssh_rx_window *win, u32 bytes);
/* A grant of @bytes that the peer has not been told of. */
void kssh_rx_window_take_back(struct kssh_rx_window *win, u32 bytes);

/**
 * struct kssh_tx_window - the window the peer granted
 * @window: bytes we may still send
 * @max_packet: largest data part the peer accepts
 */
struct kssh_tx_window {
	u32 window;
	u32 max_packet;
};

/* WINDOW_ADJUST came: 0, or -EPROTO if the window would exceed 2^32 - 1. */
int kssh_tx_window_add(struct kssh_tx_window *win, u32 bytes);

/* How many of @want bytes may go into the next packet, 0 if none. */
u32 kssh_tx_window_avail(const struct kssh_tx_window *win, u32 want);
void kssh_tx_window_spend(struct kssh_tx_window *win, u32 bytes);

#endif /* _KSSH_CORE_CHANNEL_H */
