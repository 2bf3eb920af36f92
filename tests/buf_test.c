// SPDX-License-Identifier: MIT
/* lib/buf.c and lib/mem.c */
#include "harness.h"
#include "lib/buf.h"
#include "lib/mem.h"

FIXTURE(buf)
{
	struct buf buf;
};

FIXTURE_SETUP(buf)
{
	buf_init(&self->buf, 100000);
}

FIXTURE_TEARDOWN(buf)
{
	buf_free(&self->buf);
}

TEST_F(buf, gives_back_what_was_put)
{
	struct buf *buf = &self->buf;
	const uint8_t *p;
	uint64_t v64;
	uint32_t v32;
	uint8_t v8, raw[3];
	size_t len;
	bool b;
	char *s;

	EXPECT_EQ(0, buf_put_u8(buf, 0xab));
	EXPECT_EQ(0, buf_put_u32(buf, 0xdeadbeef));
	EXPECT_EQ(0, buf_put_u64(buf, 0x0123456789abcdefULL));
	EXPECT_EQ(0, buf_put_bool(buf, true));
	EXPECT_EQ(0, buf_put_raw(buf, "xyz", 3));
	EXPECT_EQ(0, buf_put_string(buf, "a\0b", 3));
	EXPECT_EQ(0, buf_put_cstring(buf, "testing"));
	EXPECT_EQ(1 + 4 + 8 + 1 + 3 + 7 + 11, buf_len(buf));
	EXPECT_EQ(0, buf_get_u8(buf, &v8));
	EXPECT_EQ(0xab, v8);
	EXPECT_EQ(0, buf_get_u32(buf, &v32));
	EXPECT_EQ(0xdeadbeef, v32);
	EXPECT_EQ(0, buf_get_u64(buf, &v64));
	EXPECT_EQ(0x0123456789abcdefULL, v64);
	EXPECT_EQ(0, buf_get_bool(buf, &b));
	EXPECT_TRUE(b);
	EXPECT_EQ(0, buf_get_raw(buf, raw, 3));
	EXPECT_MEMEQ("xyz", raw, 3);
	EXPECT_EQ(0, buf_get_string(buf, &p, &len));
	ASSERT_EQ(3, len);
	EXPECT_MEMEQ("a\0b", p, 3);
	EXPECT_EQ(-EPROTO, buf_end(buf));
	ASSERT_EQ(0, buf_get_cstring(buf, &s));
	EXPECT_STREQ("testing", s);
	free(s);
	EXPECT_EQ(0, buf_end(buf));
}

TEST_F(buf, takes_any_nonzero_boolean_as_true)
{
	bool b = false;

	buf_put_u8(&self->buf, 0x80);
	EXPECT_EQ(0, buf_get_bool(&self->buf, &b));
	EXPECT_TRUE(b);
}

/* RFC 4251 5: the examples for mpint that are not negative */
TEST_F(buf, puts_mpints_as_rfc_4251_shows)
{
	static const uint8_t big[] = { 0x09, 0xa3, 0x78, 0xf9,
				       0xb2, 0xe3, 0x32, 0xa7 };
	static const struct {
		const char *in;
		size_t in_len;
		const char *out;
		size_t out_len;
	} rows[] = {
		{ "", 0, "\0\0\0\0", 4 },
		{ "\0", 1, "\0\0\0\0", 4 },
		{ "\0\0\0", 3, "\0\0\0\0", 4 },
		{ (const char *)big, 8,
		  "\0\0\0\x08\x09\xa3\x78\xf9\xb2\xe3\x32\xa7", 12 },
		{ "\x80", 1, "\0\0\0\x02\0\x80", 6 },
		{ "\0\0\x80", 3, "\0\0\0\x02\0\x80", 6 },
		{ "\0\x7f", 2, "\0\0\0\x01\x7f", 5 },
	};
	const uint8_t *p;
	size_t i, len, skip;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_reset(&self->buf);
		EXPECT_EQ(0, buf_put_mpint(&self->buf, rows[i].in,
					   rows[i].in_len));
		ASSERT_EQ(rows[i].out_len, buf_len(&self->buf));
		EXPECT_MEMEQ(rows[i].out, buf_data(&self->buf),
			     rows[i].out_len);
		ASSERT_EQ(0, buf_get_mpint(&self->buf, &p, &len));
		for (skip = 0; skip < rows[i].in_len && !rows[i].in[skip];)
			skip++;
		ASSERT_EQ(rows[i].in_len - skip, len);
		EXPECT_MEMEQ(rows[i].in + skip, p, len);
		EXPECT_EQ(0, buf_end(&self->buf));
	}
}

TEST_F(buf, refuses_negative_and_overlong_mpints)
{
	static const struct {
		const char *in;
		size_t len;
	} rows[] = {
		{ "\0\0\0\x01\x80", 5 },
		{ "\0\0\0\x02\xed\xcc", 6 },
		{ "\0\0\0\x01\0", 5 },
		{ "\0\0\0\x02\0\x7f", 6 },
		{ "\0\0\0\x03\0\0\x80", 7 },
		{ "\0\0\0\x03\x01\x02", 6 },
		{ "\0\0\0", 3 },
	};
	const uint8_t *p;
	struct buf in;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_ref(&in, rows[i].in, rows[i].len);
		EXPECT_EQ(-EPROTO, buf_get_mpint(&in, &p, &len));
		EXPECT_EQ(rows[i].len, buf_len(&in));
	}
}

TEST_F(buf, takes_nothing_when_bytes_are_missing)
{
	static const uint8_t seven[7] = { 0, 0, 0, 4, 'a', 'b', 'c' };
	const uint8_t *p;
	uint64_t v64;
	uint32_t v32;
	struct buf in;
	size_t len;
	uint8_t v8;
	char *s;

	buf_ref(&in, seven, 7);
	EXPECT_EQ(-EPROTO, buf_get_u64(&in, &v64));
	EXPECT_EQ(-EPROTO, buf_get_string(&in, &p, &len));
	EXPECT_EQ(-EPROTO, buf_get_cstring(&in, &s));
	EXPECT_EQ(-EPROTO, buf_skip(&in, 8));
	EXPECT_EQ(7, buf_len(&in));
	EXPECT_EQ(0, buf_skip(&in, 4));
	EXPECT_EQ(-EPROTO, buf_get_u32(&in, &v32));
	EXPECT_EQ(3, buf_len(&in));
	EXPECT_EQ(0, buf_skip(&in, 3));
	EXPECT_EQ(-EPROTO, buf_get_u8(&in, &v8));
	EXPECT_EQ(0, buf_end(&in));
}

TEST_F(buf, refuses_string_lengths_that_wrap)
{
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
	static const uint8_t wrap[] = { 0xff, 0xff, 0xff, 0xfc, 'a' };
	const uint8_t *p;
	struct buf in;
	size_t len;

	buf_ref(&in, huge, sizeof(huge));
	EXPECT_EQ(-EPROTO, buf_get_string(&in, &p, &len));
	buf_ref(&in, wrap, sizeof(wrap));
	EXPECT_EQ(-EPROTO, buf_get_string(&in, &p, &len));
}

TEST_F(buf, refuses_nul_inside_cstring)
{
	char *s = NULL;

	buf_put_string(&self->buf, "a\0b", 3);
	EXPECT_EQ(-EPROTO, buf_get_cstring(&self->buf, &s));
	EXPECT_NULL(s);
	EXPECT_EQ(7, buf_len(&self->buf));
}

TEST_F(buf, gives_empty_cstring)
{
	char *s = NULL;

	buf_put_cstring(&self->buf, "");
	ASSERT_EQ(0, buf_get_cstring(&self->buf, &s));
	EXPECT_STREQ("", s);
	free(s);
}

TEST(error_of_put_is_sticky)
{
	struct buf buf;

	buf_init(&buf, 10);
	EXPECT_EQ(0, buf_put_u64(&buf, 1));
	EXPECT_EQ(-ENOBUFS, buf_put_u32(&buf, 2));
	EXPECT_EQ(-ENOBUFS, buf_put_u8(&buf, 3));
	EXPECT_EQ(-ENOBUFS, buf_put_cstring(&buf, ""));
	EXPECT_NULL(buf_put_space(&buf, 1));
	EXPECT_EQ(-ENOBUFS, buf_error(&buf));
	EXPECT_EQ(8, buf_len(&buf));
	buf_reset(&buf);
	EXPECT_EQ(0, buf_put_u8(&buf, 3));
	EXPECT_EQ(1, buf_len(&buf));
	buf_free(&buf);
}

TEST(never_grows_beyond_max)
{
	struct buf buf;
	size_t i;

	buf_init(&buf, 1000);
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, buf_put_u8(&buf, i));
	EXPECT_EQ(-ENOBUFS, buf_put_u8(&buf, 0));
	EXPECT_EQ(1000, buf.cap);
	buf_free(&buf);

	buf_init(&buf, 1000);
	EXPECT_EQ(-ENOBUFS, buf_put_string(&buf, "", SIZE_MAX));
	buf_reset(&buf);
	EXPECT_EQ(-ENOBUFS, buf_put_mpint(&buf, "\1", SIZE_MAX - 3));
	buf_reset(&buf);
	EXPECT_NULL(buf_put_space(&buf, SIZE_MAX));
	EXPECT_NULL(buf.data);
	buf_free(&buf);
}

TEST(view_cannot_be_written)
{
	uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct buf in;

	buf_ref(&in, bytes, 2);
	EXPECT_EQ(-EINVAL, buf_put_u8(&in, 9));
	EXPECT_NULL(buf_put_space(&in, 0));
	EXPECT_EQ(2, bytes[1]);
	EXPECT_EQ(3, bytes[2]);
	buf_free(&in);
	EXPECT_EQ(1, bytes[0]);
}

/* A queue: bytes taken in front make room behind, and none is lost. */
TEST(room_of_taken_bytes_is_used_again)
{
	uint8_t in = 0, out = 0, byte;
	struct buf buf;
	size_t i, n;

	buf_init(&buf, 700);
	for (i = 0; i < 20000; i++) {
		for (n = 0; n < (i * 7) % 300; n++)
			if (buf_len(&buf) < 700)
				ASSERT_EQ(0, buf_put_u8(&buf, in++));
		for (n = 0; n < (i * 5) % 310; n++) {
			if (!buf_len(&buf))
				break;
			ASSERT_EQ(0, buf_get_u8(&buf, &byte));
			ASSERT_EQ(out++, byte);
		}
		ASSERT_LE(buf.cap, 700);
	}
	buf_free(&buf);
}

TEST(nested_buffer_is_a_string)
{
	struct buf inner, outer;
	const uint8_t *p;
	size_t len;

	buf_init(&inner, 100);
	buf_init(&outer, 100);
	buf_put_cstring(&inner, "in");
	buf_put_buf(&outer, &inner);
	ASSERT_EQ(0, buf_get_string(&outer, &p, &len));
	EXPECT_EQ(6, len);
	EXPECT_MEMEQ("\0\0\0\2in", p, 6);
	buf_free(&inner);
	buf_free(&outer);
}

TEST(memory_is_compared_and_wiped)
{
	uint8_t a[40], b[40], zero[40] = { 0 };
	int i;

	ASSERT_EQ(0, mem_random(a, sizeof(a)));
	memcpy(b, a, sizeof(b));
	EXPECT_TRUE(mem_equal(a, b, sizeof(a)));
	for (i = 0; i < 40; i++) {
		b[i] ^= 0x10;
		EXPECT_FALSE(mem_equal(a, b, sizeof(a)));
		EXPECT_TRUE(mem_equal(a, b, i));
		b[i] ^= 0x10;
	}
	mem_wipe(a, sizeof(a));
	EXPECT_MEMEQ(zero, a, sizeof(a));
	mem_wipe(NULL, 0);
	mem_free_secret(NULL, 0);
	EXPECT_TRUE(mem_equal(NULL, NULL, 0));
}

TEST_HARNESS_MAIN
