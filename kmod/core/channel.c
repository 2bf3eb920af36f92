// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Channel message headers and windows, RFC 4254 5. */
#include "channel.h"

/*
 * RFC 4254 5.2: "byte SSH_MSG_CHANNEL_DATA, uint32 recipient channel, string
 * data"; the extended form has "uint32 data_type_code" before the string.
 */
static int parse_data(const u8 *hdr, u32 hdr_len, u32 payload_len,
		      struct kssh_channel_msg *msg)
{
	bool ext = msg->type == SSH_MSG_CHANNEL_EXTENDED_DATA;
	u32 off = ext ? KSSH_EXT_DATA_HDR_LEN : KSSH_DATA_HDR_LEN;

	if (hdr_len < off)
		return -EPROTO;
	msg->data_type = ext ? kssh_get_be32(hdr + 5) : 0;
	msg->data_off = off;
	msg->data_len = kssh_get_be32(hdr + off - 4);
	return msg->data_len == payload_len - off ? 0 : -EPROTO;
}

int kssh_parse_channel_msg(const u8 *hdr, u32 hdr_len, u32 payload_len,
			   struct kssh_channel_msg *msg)
{
	if (!hdr_len || hdr_len > payload_len)
		return -EPROTO;
	if (hdr[0] < SSH_MSG_CHANNEL_WINDOW_ADJUST ||
	    hdr[0] > SSH_MSG_CHANNEL_CLOSE)
		return -ENOMSG;
	if (hdr_len < KSSH_EOF_LEN)
		return -EPROTO;

	memset(msg, 0, sizeof(*msg));
	msg->type = hdr[0];
	msg->recipient = kssh_get_be32(hdr + 1);
	switch (msg->type) {
	case SSH_MSG_CHANNEL_DATA:
	case SSH_MSG_CHANNEL_EXTENDED_DATA:
		return parse_data(hdr, hdr_len, payload_len, msg);
	case SSH_MSG_CHANNEL_WINDOW_ADJUST:
		/* RFC 4254 5.2: "uint32 bytes to add" */
		if (payload_len != KSSH_ADJUST_LEN || hdr_len < payload_len)
			return -EPROTO;
		msg->adjust = kssh_get_be32(hdr + 5);
		return 0;
	default:
		/* RFC 4254 5.3: EOF and CLOSE hold the recipient alone */
		return payload_len == KSSH_EOF_LEN ? 0 : -EPROTO;
	}
}

u32 kssh_data_hdr_len(u32 data_type)
{
	return data_type ? KSSH_EXT_DATA_HDR_LEN : KSSH_DATA_HDR_LEN;
}

u32 kssh_fill_data_hdr(u8 *p, u32 remote_id, u32 data_type, u32 data_len)
{
	u32 len = kssh_data_hdr_len(data_type);

	p[0] = data_type ? SSH_MSG_CHANNEL_EXTENDED_DATA :
			   SSH_MSG_CHANNEL_DATA;
	kssh_put_be32(p + 1, remote_id);
	if (data_type)
		kssh_put_be32(p + 5, data_type);
	kssh_put_be32(p + len - 4, data_len);
	return len;
}

void kssh_fill_adjust(u8 p[KSSH_ADJUST_LEN], u32 remote_id, u32 bytes)
{
	p[0] = SSH_MSG_CHANNEL_WINDOW_ADJUST;
	kssh_put_be32(p + 1, remote_id);
	kssh_put_be32(p + 5, bytes);
}

void kssh_fill_eof(u8 p[KSSH_EOF_LEN], u32 remote_id)
{
	p[0] = SSH_MSG_CHANNEL_EOF;
	kssh_put_be32(p + 1, remote_id);
}

/*
 * RFC 4254 5.2: "The maximum amount of data allowed is determined by the
 * maximum packet size for the channel, and the current window size, whichever
 * is smaller."
 */
int kssh_rx_window_charge(struct kssh_rx_window *win, u32 len)
{
	if (len > win->window || len > win->max_packet)
		return -EPROTO;
	win->window -= len;
	return 0;
}

/*
 * A quarter of the window at a time: few packets, and a peer that reads its
 * grants promptly never sees less than three quarters of the window.
 */
u32 kssh_rx_window_consume(struct kssh_rx_window *win, u32 len)
{
	u32 least = win->max / 4;

	win->consumed += len;
	win->round_bytes += len;
	if (!win->consumed || win->consumed < least)
		return 0;
	return win->consumed;
}

void kssh_rx_window_grant(struct kssh_rx_window *win, u32 bytes)
{
	win->consumed -= bytes;
	win->window += bytes;
}

/*
 * A peer that fills the window sends it once in a round trip. If the reader
 * takes more than half of it in that time, the window is what holds the peer
 * back: double it. A slow reader, or a short way, never comes to that.
 */
u32 kssh_rx_window_tune(struct kssh_rx_window *win, u64 now_us, u32 rtt_us)
{
	u64 elapsed = now_us - win->round_start;
	u64 bytes = win->round_bytes;

	if (!rtt_us || elapsed < rtt_us)
		return 0;
	win->round_bytes = 0;
	win->round_start = now_us;
	/* a pause is no pace; and the product below shall not overflow */
	if (elapsed > 0xffffffffU || bytes * rtt_us < win->max / 2 * elapsed)
		return 0;
	if (win->max >= win->limit)
		return 0;
	return win->limit - win->max < win->max ? win->limit - win->max :
						  win->max;
}

void kssh_rx_window_grow(struct kssh_rx_window *win, u32 bytes)
{
	win->max += bytes;
	win->consumed += bytes;
}

void kssh_rx_window_take_back(struct kssh_rx_window *win, u32 bytes)
{
	/* a peer that has spent it all the same gains nothing */
	if (bytes > win->window)
		bytes = win->window;
	win->consumed += bytes;
	win->window -= bytes;
}

/*
 * RFC 4254 5.2: "Implementations MUST correctly handle window sizes of up to
 * 2^32 - 1 bytes.  The window MUST NOT be increased above 2^32 - 1 bytes."
 */
int kssh_tx_window_add(struct kssh_tx_window *win, u32 bytes)
{
	if (bytes > 0xffffffffU - win->window)
		return -EPROTO;
	win->window += bytes;
	return 0;
}

u32 kssh_tx_window_avail(const struct kssh_tx_window *win, u32 want)
{
	u32 room = win->window < win->max_packet ? win->window :
						   win->max_packet;

	return want < room ? want : room;
}

void kssh_tx_window_spend(struct kssh_tx_window *win, u32 bytes)
{
	win->window -= bytes;
}
