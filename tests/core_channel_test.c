// SPDX-License-Identifier: MIT
/* kmod/core/channel.c: headers and windows. */
#include "core/channel.h"
#include "harness.h"

static int parse(const uint8_t *p, uint32_t len, struct kssh_channel_msg *msg)
{
	/* as the callers do: the first 13 bytes, in memory that ends there */
	uint32_t hdr_len = len < 13 ? len : 13;
	uint8_t *hdr = malloc(hdr_len ? hdr_len : 1);
	int err;

	memcpy(hdr, p, hdr_len);
	err = kssh_parse_channel_msg(hdr, hdr_len, len, msg);
	free(hdr);
	return err;
}

TEST(parses_what_it_fills)
{
	struct kssh_channel_msg msg;
	uint8_t p[64] = { 0 };
	uint32_t len;

	len = kssh_fill_data_hdr(p, 0xf0000001, 0, 20);
	EXPECT_EQ(9, len);
	EXPECT_EQ(9, kssh_data_hdr_len(0));
	ASSERT_EQ(0, parse(p, len + 20, &msg));
	EXPECT_EQ(SSH_MSG_CHANNEL_DATA, msg.type);
	EXPECT_EQ(0xf0000001, msg.recipient);
	EXPECT_EQ(9, msg.data_off);
	EXPECT_EQ(20, msg.data_len);
	EXPECT_EQ(0, msg.data_type);

	len = kssh_fill_data_hdr(p, 7, 1, 30);
	EXPECT_EQ(13, len);
	EXPECT_EQ(13, kssh_data_hdr_len(1));
	ASSERT_EQ(0, parse(p, len + 30, &msg));
	EXPECT_EQ(SSH_MSG_CHANNEL_EXTENDED_DATA, msg.type);
	EXPECT_EQ(7, msg.recipient);
	EXPECT_EQ(1, msg.data_type);
	EXPECT_EQ(13, msg.data_off);
	EXPECT_EQ(30, msg.data_len);

	kssh_fill_adjust(p, 3, 0xffffffff);
	ASSERT_EQ(0, parse(p, KSSH_ADJUST_LEN, &msg));
	EXPECT_EQ(SSH_MSG_CHANNEL_WINDOW_ADJUST, msg.type);
	EXPECT_EQ(3, msg.recipient);
	EXPECT_EQ(0xffffffff, msg.adjust);

	kssh_fill_eof(p, 9);
	ASSERT_EQ(0, parse(p, KSSH_EOF_LEN, &msg));
	EXPECT_EQ(SSH_MSG_CHANNEL_EOF, msg.type);
	EXPECT_EQ(9, msg.recipient);
	p[0] = SSH_MSG_CHANNEL_CLOSE;
	ASSERT_EQ(0, parse(p, KSSH_EOF_LEN, &msg));
	EXPECT_EQ(SSH_MSG_CHANNEL_CLOSE, msg.type);
}

TEST(takes_empty_data)
{
	struct kssh_channel_msg msg;
	uint8_t p[16];

	kssh_fill_data_hdr(p, 1, 0, 0);
	EXPECT_EQ(0, parse(p, 9, &msg));
	EXPECT_EQ(0, msg.data_len);
	kssh_fill_data_hdr(p, 1, 1, 0);
	EXPECT_EQ(0, parse(p, 13, &msg));
	EXPECT_EQ(0, msg.data_len);
}

TEST(refuses_any_other_length)
{
	struct kssh_channel_msg msg;
	uint8_t p[64] = { 0 };
	uint32_t len;

	for (len = 0; len < 60; len++) {
		kssh_fill_data_hdr(p, 1, 0, 20);
		EXPECT_EQ(len == 29 ? 0 : -EPROTO, parse(p, len, &msg));
		kssh_fill_data_hdr(p, 1, 1, 20);
		EXPECT_EQ(len == 33 ? 0 : -EPROTO, parse(p, len, &msg));
		kssh_fill_adjust(p, 1, 1);
		EXPECT_EQ(len == 9 ? 0 : -EPROTO, parse(p, len, &msg));
		kssh_fill_eof(p, 1);
		EXPECT_EQ(len == 5 ? 0 : -EPROTO, parse(p, len, &msg));
		p[0] = SSH_MSG_CHANNEL_CLOSE;
		EXPECT_EQ(len == 5 ? 0 : -EPROTO, parse(p, len, &msg));
	}
}

TEST(refuses_data_lengths_that_wrap)
{
	static const uint32_t bad[] = { 0xffffffff, 0xfffffff7, 0xfffffff3,
					0x80000000, 21,		19 };
	struct kssh_channel_msg msg;
	uint8_t p[64] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kssh_fill_data_hdr(p, 1, 0, bad[i]);
		EXPECT_EQ(-EPROTO, parse(p, 29, &msg));
		kssh_fill_data_hdr(p, 1, 1, bad[i]);
		EXPECT_EQ(-EPROTO, parse(p, 33, &msg));
	}
}

TEST(leaves_other_messages_alone)
{
	struct kssh_channel_msg msg;
	uint8_t p[16] = { 0 };
	int type;

	for (type = 0; type < 256; type++) {
		if (type >= SSH_MSG_CHANNEL_WINDOW_ADJUST &&
		    type <= SSH_MSG_CHANNEL_CLOSE)
			continue;
		p[0] = type;
		EXPECT_EQ(-ENOMSG, parse(p, 9, &msg));
		EXPECT_EQ(-ENOMSG, parse(p, 1, &msg));
	}
}

TEST(peer_may_not_send_beyond_its_window)
{
	struct kssh_rx_window win = { .window = 100,
				      .max = 100,
				      .max_packet = 60 };

	EXPECT_EQ(-EPROTO, kssh_rx_window_charge(&win, 61));
	EXPECT_EQ(0, kssh_rx_window_charge(&win, 60));
	EXPECT_EQ(-EPROTO, kssh_rx_window_charge(&win, 41));
	EXPECT_EQ(40, win.window);
	EXPECT_EQ(0, kssh_rx_window_charge(&win, 40));
	EXPECT_EQ(0, kssh_rx_window_charge(&win, 0));
	EXPECT_EQ(-EPROTO, kssh_rx_window_charge(&win, 1));
	EXPECT_EQ(-EPROTO, kssh_rx_window_charge(&win, UINT32_MAX));
}

/* Whatever is read is granted again: the window never shrinks for good. */
TEST(window_is_granted_as_the_reader_reads)
{
	static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 100, 32768, 2097152 };
	struct kssh_rx_window win;
	uint32_t grant, sent, unread, n;
	size_t i;
	int k;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		win = (struct kssh_rx_window){ .window = sizes[i],
					       .max = sizes[i],
					       .max_packet = 32768 };
		for (k = 0; k < 2000; k++) {
			n = win.window < 32768 ? win.window : 32768;
			sent = n ? 1 + (uint32_t)k * 7919 % n : 0;
			ASSERT_EQ(0, kssh_rx_window_charge(&win, sent));
			unread = sent;
			grant = kssh_rx_window_consume(&win, unread);
			if (grant)
				kssh_rx_window_grant(&win, grant);
			ASSERT_EQ(sizes[i], win.window + win.consumed);
			/* a reader that keeps up never leaves it closed */
			ASSERT_LE(sizes[i] ? 1 : 0, win.window);
		}
	}
}

/* A reader that takes @pace bytes a millisecond, over a way of @rtt_us. */
static uint32_t tuned(uint32_t max, uint32_t limit, uint32_t pace,
		      uint32_t rtt_us)
{
	struct kssh_rx_window win = {
		.window = max, .max = max, .limit = limit, .max_packet = 32768
	};
	uint64_t now = 5000000, end = now + 10ULL * rtt_us + 10000;
	uint32_t grant, left = 0;

	for (; now < end; now += 1000) {
		/* no more comes in a round trip than the window lets through */
		if (!(now % (rtt_us - rtt_us % 1000 + 1000)))
			left = win.window;
		grant = kssh_rx_window_consume(&win, pace < left ? pace : left);
		win.window -= pace < left ? pace : left;
		left -= pace < left ? pace : left;
		if (!grant)
			continue;
		kssh_rx_window_grow(&win,
				    kssh_rx_window_tune(&win, now, rtt_us));
		kssh_rx_window_grant(&win, win.consumed);
	}
	return win.max;
}

TEST(window_grows_with_the_round_trip)
{
	const uint32_t mib = 1 << 20;

	/* 100 MiB/s over 300 ms: 30 MiB under way */
	EXPECT_LE(16 * mib, tuned(2 * mib, 64 * mib, 104858, 300000));
	EXPECT_EQ(16 * mib, tuned(2 * mib, 16 * mib, 104858, 300000));
	EXPECT_EQ(3 * mib, tuned(2 * mib, 3 * mib, 104858, 300000));
	/* the same pace next door, or a slow reader far away */
	EXPECT_EQ(2 * mib, tuned(2 * mib, 64 * mib, 104858, 200));
	EXPECT_EQ(2 * mib, tuned(2 * mib, 64 * mib, 1000, 300000));
	/* nobody knows the round trip */
	EXPECT_EQ(2 * mib, tuned(2 * mib, 64 * mib, 104858, 0));
	EXPECT_EQ(0, tuned(0, 64 * mib, 104858, 300000));
}

TEST(window_does_not_grow_beyond_32_bits)
{
	struct kssh_rx_window win = { .window = 0x80000000,
				      .max = 0x80000000,
				      .limit = 0xffffffff,
				      .max_packet = 32768 };
	uint64_t now = 1000;
	int i;

	kssh_rx_window_tune(&win, now, 1000);
	for (i = 0; i < 5; i++) {
		win.window = 0;
		kssh_rx_window_consume(&win, win.max - win.consumed);
		now += 1000;
		kssh_rx_window_grow(&win, kssh_rx_window_tune(&win, now, 1000));
		kssh_rx_window_grant(&win, win.consumed);
		EXPECT_EQ(win.max, win.window);
	}
	EXPECT_EQ(0xffffffff, win.max);
}

TEST(window_does_not_grow_after_a_pause)
{
	struct kssh_rx_window win = {
		.window = 1000, .max = 1000, .limit = 100000, .max_packet = 1000
	};

	kssh_rx_window_consume(&win, 1000);
	EXPECT_EQ(0, kssh_rx_window_tune(&win, 1ULL << 40, 1000));
	/* a round too short to tell */
	kssh_rx_window_consume(&win, 1000);
	EXPECT_EQ(0, kssh_rx_window_tune(&win, (1ULL << 40) + 999, 1000));
	EXPECT_EQ(1000, kssh_rx_window_tune(&win, (1ULL << 40) + 1000, 1000));
}

TEST(window_may_not_grow_above_32_bits)
{
	struct kssh_tx_window win = { .window = 0xfffffff0, .max_packet = 100 };

	EXPECT_EQ(-EPROTO, kssh_tx_window_add(&win, 16));
	EXPECT_EQ(0xfffffff0, win.window);
	EXPECT_EQ(0, kssh_tx_window_add(&win, 15));
	EXPECT_EQ(0xffffffff, win.window);
	EXPECT_EQ(-EPROTO, kssh_tx_window_add(&win, 1));
	EXPECT_EQ(0, kssh_tx_window_add(&win, 0));
	EXPECT_EQ(-EPROTO, kssh_tx_window_add(&win, 0xffffffff));
}

TEST(sends_no_more_than_window_and_packet_allow)
{
	struct kssh_tx_window win = { .window = 150, .max_packet = 100 };

	EXPECT_EQ(50, kssh_tx_window_avail(&win, 50));
	EXPECT_EQ(100, kssh_tx_window_avail(&win, 1000));
	kssh_tx_window_spend(&win, 100);
	EXPECT_EQ(50, kssh_tx_window_avail(&win, 1000));
	kssh_tx_window_spend(&win, 50);
	EXPECT_EQ(0, kssh_tx_window_avail(&win, 1000));
	win.window = 10;
	win.max_packet = 0;
	EXPECT_EQ(0, kssh_tx_window_avail(&win, 1000));
	EXPECT_EQ(0, kssh_tx_window_avail(&win, 0));
}

TEST_HARNESS_MAIN
