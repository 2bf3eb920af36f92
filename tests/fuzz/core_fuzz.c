// SPDX-License-Identifier: MIT
/*
 * The pure core, against a second reading of the same RFCs: messages of
 * channels, the layout of packets, and what windows may never do.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/channel.h"
#include "core/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool what)
{
	if (!what)
		abort();
}

struct input {
	const uint8_t *p;
	size_t len;
};

static uint8_t take_u8(struct input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->p++;
}

static uint32_t take_u32(struct input *in)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 4; i++)
		v = v << 8 | take_u8(in);
	return v;
}

static uint64_t get_u32(const uint8_t *p)
{
	return p[3] + 256ULL * (p[2] + 256ULL * (p[1] + 256ULL * p[0]));
}

/* What RFC 4254 5.2 and 5.3 say of a whole payload: its length tells. */
static int expected(const uint8_t *p, size_t len)
{
	if (!len)
		return -EPROTO;
	if (p[0] < 93 || p[0] > 97)
		return -ENOMSG;
	if (p[0] == 93)
		return len == 9 ? 0 : -EPROTO;
	if (p[0] == 94)
		return len >= 9 && get_u32(p + 5) == len - 9 ? 0 : -EPROTO;
	if (p[0] == 95)
		return len >= 13 && get_u32(p + 9) == len - 13 ? 0 : -EPROTO;
	return len == 5 ? 0 : -EPROTO;
}

static void messages(struct input *in)
{
	size_t len = in->len < 200 ? in->len : 200;
	struct kssh_channel_msg msg;
	int err;

	err = kssh_parse_channel_msg(in->p, len < 13 ? len : 13, len, &msg);
	must(err == expected(in->p, len));
	if (err)
		return;
	must(msg.recipient == get_u32(in->p + 1));
	must(msg.data_off + msg.data_len <= len);
	if (msg.type == SSH_MSG_CHANNEL_WINDOW_ADJUST)
		must(msg.adjust == get_u32(in->p + 5));
}

static void layout(struct input *in)
{
	struct kssh_layout layout = { .block = take_u8(in) & 1 ? 16 : 8,
				      .clear_len = take_u8(in) & 1,
				      .tag_len = take_u8(in) & 64 };
	uint32_t payload = take_u32(in) % 260000 + 1, pkt_len = take_u32(in);
	uint32_t pad = kssh_pad_len(&layout, payload), size, aligned;
	uint8_t pad_byte = take_u8(in);
	int n;

	size = 5 + payload + pad;
	must(pad >= 4 && pad <= 255 && pad < 4u + layout.block);
	must((size - (layout.clear_len ? 4 : 0)) % layout.block == 0);
	must(kssh_packet_size(&layout, payload) == size + layout.tag_len);
	must(!kssh_check_packet_len(&layout, size - 4));
	must(kssh_payload_len(size - 4, pad) == (int)payload);

	aligned = (uint64_t)pkt_len + (layout.clear_len ? 0 : 4);
	if (kssh_check_packet_len(&layout, pkt_len))
		return;
	must(pkt_len >= 5 && pkt_len <= KSSH_PACKET_LEN_MAX);
	must(aligned % layout.block == 0);
	n = kssh_payload_len(pkt_len, pad_byte);
	must(n == -EPROTO ||
	     (n > 0 && pad_byte >= 4 && (uint32_t)n + pad_byte + 1 == pkt_len));
}

/* Any order of calls as the paths make them. */
static void windows(struct input *in)
{
	struct kssh_rx_window rx = { .window = take_u32(in),
				     .limit = take_u32(in),
				     .max_packet = take_u32(in) };
	struct kssh_tx_window tx = { .window = take_u32(in),
				     .max_packet = take_u32(in) };
	uint64_t now = 0, unread = 0;
	uint32_t n, was;

	rx.max = rx.window;
	while (in->len) {
		n = take_u32(in);
		switch (take_u8(in) % 5) {
		case 0:
			was = rx.window;
			if (kssh_rx_window_charge(&rx, n)) {
				must(n > was || n > rx.max_packet);
				must(rx.window == was);
			} else {
				unread += n;
			}
			break;
		case 1:
			n = n < unread ? n : unread;
			unread -= n;
			kssh_rx_window_consume(&rx, n);
			break;
		case 2:
			now += n;
			was = rx.max;
			kssh_rx_window_grow(&rx, kssh_rx_window_tune(&rx, now,
								     n / 2));
			must(rx.max >= was && rx.max - (uint64_t)was <= was);
			must(rx.max == was || rx.max <= rx.limit);
			kssh_rx_window_grant(&rx, rx.consumed);
			break;
		case 3:
			was = tx.window;
			must(!kssh_tx_window_add(&tx, n) ==
			     ((uint64_t)was + n <= UINT32_MAX));
			break;
		case 4:
			n = kssh_tx_window_avail(&tx, n);
			must(n <= tx.window && n <= tx.max_packet);
			kssh_tx_window_spend(&tx, n);
			break;
		}
		/* nothing is lost, and nothing granted twice */
		must((uint64_t)rx.window + rx.consumed + unread == rx.max);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };

	switch (take_u8(&in) % 3) {
	case 0:
		messages(&in);
		break;
	case 1:
		layout(&in);
		break;
	case 2:
		windows(&in);
		break;
	}
	return 0;
}
