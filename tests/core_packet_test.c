// SPDX-License-Identifier: MIT
/* kmod/core/packet.c and rekey.c: the arithmetic both data paths share. */
#include <linux/kssh.h>

#include "core/packet.h"
#include "core/rekey.h"
#include "harness.h"

FIXTURE(layout)
{
	struct kssh_layout layout;
};

FIXTURE_VARIANT(layout)
{
	struct kssh_layout layout;
};

FIXTURE_VARIANT_ADD(layout, plain){ { 8, false, 0 } };
FIXTURE_VARIANT_ADD(layout, gcm){ { 16, true, 16 } };
FIXTURE_VARIANT_ADD(layout, chacha){ { 8, true, 16 } };
FIXTURE_VARIANT_ADD(layout, ctr){ { 16, false, 32 } };
FIXTURE_VARIANT_ADD(layout, ctr_etm){ { 16, true, 64 } };

FIXTURE_SETUP(layout)
{
	self->layout = variant->layout;
}

FIXTURE_TEARDOWN(layout)
{
}

TEST_F(layout, pads_every_payload_as_the_rfc_asks)
{
	uint32_t len, pad, covered;

	for (len = 1; len < 40000; len++) {
		pad = kssh_pad_len(&self->layout, len);
		ASSERT_LE(4, pad);
		ASSERT_LE(pad, 4 + self->layout.block - 1);
		covered = (self->layout.clear_len ? 0 : 4) + 1 + len + pad;
		ASSERT_EQ(0, covered % self->layout.block);
		ASSERT_EQ(4 + 1 + len + pad + self->layout.tag_len,
			  kssh_packet_size(&self->layout, len));
		ASSERT_EQ(0,
			  kssh_check_packet_len(&self->layout, 1 + len + pad));
		ASSERT_EQ(len, kssh_payload_len(1 + len + pad, pad));
	}
}

TEST_F(layout, takes_aligned_lengths_between_5_and_the_maximum)
{
	uint32_t off = self->layout.clear_len ? 0 : 4;
	uint32_t len, want;

	for (len = 0; len < KSSH_PACKET_LEN_MAX + 1000; len++) {
		want = len < 5 || len > 256 * 1024 ||
		       (len + off) % self->layout.block;
		ASSERT_EQ(want ? -EMSGSIZE : 0,
			  kssh_check_packet_len(&self->layout, len));
	}
	for (len = UINT32_MAX - 300; len; len++)
		ASSERT_EQ(-EMSGSIZE, kssh_check_packet_len(&self->layout, len));
}

TEST(payload_is_what_padding_leaves)
{
	int pkt_len, pad, want;

	for (pkt_len = 5; pkt_len < 600; pkt_len++) {
		for (pad = 0; pad < 256; pad++) {
			want = pkt_len - 1 - pad;
			if (pad < 4 || want < 1)
				want = -EPROTO;
			ASSERT_EQ(want, kssh_payload_len(pkt_len, pad));
		}
	}
	EXPECT_EQ(-EPROTO, kssh_payload_len(0, 4));
}

TEST(numbers_are_big_endian)
{
	uint8_t p[8];

	kssh_put_be32(p, 0x01020304);
	EXPECT_MEMEQ("\1\2\3\4", p, 4);
	EXPECT_EQ(0x01020304, kssh_get_be32(p));
	kssh_put_be64(p, 0xf1f2f3f4f5f6f7f8ULL);
	EXPECT_MEMEQ("\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8", p, 8);
	EXPECT_EQ(0xf1f2f3f4f5f6f7f8ULL, kssh_get_be64(p));
}

/* RFC 4344 3.2 for AES, RFC 4253 9 for the rest */
TEST(default_limits_are_those_of_the_rfcs)
{
	struct kssh_rekey rk = { .bytes = 7, .packets = 9 };

	kssh_rekey_reset(&rk, 0, 0, 16);
	EXPECT_EQ(0, rk.bytes);
	EXPECT_EQ(0, rk.packets);
	EXPECT_EQ(1ULL << 36, rk.limit_bytes);
	EXPECT_EQ(1ULL << 30, rk.limit_packets);
	kssh_rekey_reset(&rk, 0, 0, 8);
	EXPECT_EQ(1ULL << 30, rk.limit_bytes);
	kssh_rekey_reset(&rk, 12345, 678, 16);
	EXPECT_EQ(12345, rk.limit_bytes);
	EXPECT_EQ(678, rk.limit_packets);
}

TEST(rekey_is_due_from_the_limit_on)
{
	struct kssh_rekey rk;

	kssh_rekey_reset(&rk, 1000, 3, 16);
	EXPECT_EQ(0, kssh_rekey_due(&rk));
	ASSERT_EQ(0, kssh_rekey_account(&rk, 999));
	EXPECT_EQ(0, kssh_rekey_due(&rk));
	ASSERT_EQ(0, kssh_rekey_account(&rk, 1));
	EXPECT_EQ(KSSH_REKEY_BYTES, kssh_rekey_due(&rk));
	ASSERT_EQ(0, kssh_rekey_account(&rk, 0));
	EXPECT_EQ(KSSH_REKEY_BYTES | KSSH_REKEY_PACKETS, kssh_rekey_due(&rk));
	kssh_rekey_reset(&rk, 1000, 3, 16);
	EXPECT_EQ(0, kssh_rekey_due(&rk));
}

TEST(no_packet_beyond_two_to_the_31)
{
	struct kssh_rekey rk;

	kssh_rekey_reset(&rk, 0, 0, 16);
	rk.packets = KSSH_REKEY_PACKETS_HARD - 1;
	EXPECT_EQ(0, kssh_rekey_account(&rk, 100));
	EXPECT_EQ(-EKEYEXPIRED, kssh_rekey_account(&rk, 100));
	EXPECT_EQ(KSSH_REKEY_PACKETS_HARD, rk.packets);
	EXPECT_EQ(100, rk.bytes);
}

TEST_HARNESS_MAIN
