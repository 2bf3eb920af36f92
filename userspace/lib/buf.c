// SPDX-License-Identifier: MIT
/* A bounded buffer with the data types of RFC 4251 5. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define BUF_CAP_FIRST	256

void buf_init(struct buf *buf, size_t max)
{
	memset(buf, 0, sizeof(*buf));
	buf->max = max;
}

void buf_ref(struct buf *buf, const void *data, size_t len)
{
	memset(buf, 0, sizeof(*buf));
	/* never written through: every put refuses a view */
	buf->data = (uint8_t *)data;
	buf->len = len;
	buf->cap = len;
	buf->max = len;
	buf->ref = true;
}

void buf_free(struct buf *buf)
{
	if (!buf->ref)
		mem_free_secret(buf->data, buf->cap);
	buf->data = NULL;
	buf->off = 0;
	buf->len = 0;
	buf->cap = 0;
	buf->err = 0;
	buf->ref = false;
}

void buf_reset(struct buf *buf)
{
	if (!buf->ref)
		mem_wipe(buf->data, buf->len);
	buf->off = 0;
	buf->len = 0;
	buf->err = 0;
}

/* Move the bytes to the front, so that taken ones make room. Rare: see put. */
static void compact(struct buf *buf)
{
	size_t len = buf_len(buf);

	if (!buf->off)
		return;
	if (len)
		memmove(buf->data, buf->data + buf->off, len);
	mem_wipe(buf->data + len, buf->off);
	buf->off = 0;
	buf->len = len;
}

/* No realloc(): it would leave bytes behind unwiped. */
static int grow(struct buf *buf, size_t need)
{
	size_t cap = buf->cap ? buf->cap : BUF_CAP_FIRST;
	size_t len = buf_len(buf);
	uint8_t *data;

	while (cap < need)
		cap *= 2;
	if (cap > buf->max)
		cap = buf->max;
	data = malloc(cap);
	if (!data)
		return -ENOMEM;
	if (len)
		memcpy(data, buf->data + buf->off, len);
	mem_free_secret(buf->data, buf->len);
	buf->data = data;
	buf->cap = cap;
	buf->off = 0;
	buf->len = len;
	return 0;
}

uint8_t *buf_put_space(struct buf *buf, size_t len)
{
	size_t used = buf_len(buf);
	uint8_t *p;

	if (buf->err)
		return NULL;
	if (buf->ref) {
		buf->err = -EINVAL;
		return NULL;
	}
	if (len > buf->max || used > buf->max - len) {
		buf->err = -ENOBUFS;
		return NULL;
	}
	if (!buf->data || len > buf->cap - buf->len) {
		if (used + len <= buf->cap && buf->off >= buf->cap / 2)
			compact(buf);
		else if (used + len <= buf->cap && buf->cap == buf->max)
			compact(buf);
		else
			buf->err = grow(buf, buf->len + len);
		if (buf->err)
			return NULL;
	}
	p = buf->data + buf->len;
	buf->len += len;
	return p;
}

int buf_put_u8(struct buf *buf, uint8_t v)
{
	uint8_t *p = buf_put_space(buf, 1);

	if (p)
		*p = v;
	return buf->err;
}

int buf_put_u32(struct buf *buf, uint32_t v)
{
	uint8_t *p = buf_put_space(buf, 4);

	if (p)
		kssh_put_be32(p, v);
	return buf->err;
}

int buf_put_u64(struct buf *buf, uint64_t v)
{
	uint8_t *p = buf_put_space(buf, 8);

	if (p)
		kssh_put_be64(p, v);
	return buf->err;
}

int buf_put_bool(struct buf *buf, bool v)
{
	return buf_put_u8(buf, v ? 1 : 0);
}

int buf_put_raw(struct buf *buf, const void *p, size_t len)
{
	uint8_t *to = buf_put_space(buf, len);

	if (to && len)
		memcpy(to, p, len);
	return buf->err;
}

int buf_put_string(struct buf *buf, const void *p, size_t len)
{
	uint8_t *to;

	if (!buf->err && len > buf->max)
		buf->err = -ENOBUFS;
	to = buf_put_space(buf, 4 + len);
	if (!to)
		return buf->err;
	kssh_put_be32(to, len);
	if (len)
		memcpy(to + 4, p, len);
	return 0;
}

int buf_put_cstring(struct buf *buf, const char *s)
{
	return buf_put_string(buf, s, strlen(s));
}

int buf_put_buf(struct buf *buf, const struct buf *from)
{
	return buf_put_string(buf, buf_data(from), buf_len(from));
}

/*
 * RFC 4251 5: "If the most significant bit would be set for a positive
 * number, the number MUST be preceded by a zero byte.  Unnecessary leading
 * bytes with the value 0 or 255 MUST NOT be included."
 */
int buf_put_mpint(struct buf *buf, const void *p, size_t len)
{
	const uint8_t *num = p;
	uint8_t *to;
	bool pad;

	while (len && !*num) {
		num++;
		len--;
	}
	if (!buf->err && len > buf->max)
		buf->err = -ENOBUFS;
	pad = len && (*num & 0x80);
	to = buf_put_space(buf, 4 + pad + len);
	if (!to)
		return buf->err;
	kssh_put_be32(to, len + pad);
	if (pad)
		to[4] = 0;
	if (len)
		memcpy(to + 4 + pad, num, len);
	return 0;
}

int buf_get_raw(struct buf *buf, void *p, size_t len)
{
	if (buf_len(buf) < len)
		return -EPROTO;
	if (len)
		memcpy(p, buf_data(buf), len);
	buf->off += len;
	return 0;
}

int buf_skip(struct buf *buf, size_t len)
{
	if (buf_len(buf) < len)
		return -EPROTO;
	buf->off += len;
	return 0;
}

int buf_get_u8(struct buf *buf, uint8_t *v)
{
	return buf_get_raw(buf, v, 1);
}

int buf_get_u32(struct buf *buf, uint32_t *v)
{
	if (buf_len(buf) < 4)
		return -EPROTO;
	*v = kssh_get_be32(buf_data(buf));
	buf->off += 4;
	return 0;
}

int buf_get_u64(struct buf *buf, uint64_t *v)
{
	if (buf_len(buf) < 8)
		return -EPROTO;
	*v = kssh_get_be64(buf_data(buf));
	buf->off += 8;
	return 0;
}

/*
 * RFC 4251 5: "All non-zero values MUST be interpreted as TRUE; however,
 * applications MUST NOT store values other than 0 and 1."
 */
int buf_get_bool(struct buf *buf, bool *v)
{
	uint8_t byte;
	int err;

	err = buf_get_u8(buf, &byte);
	if (!err)
		*v = byte != 0;
	return err;
}

/*
 * RFC 4251 5: "They are stored as a uint32 containing its length ... and zero
 * (= empty string) or more bytes that are the value of the string."
 */
int buf_get_string(struct buf *buf, const uint8_t **p, size_t *len)
{
	size_t n;

	if (buf_len(buf) < 4)
		return -EPROTO;
	n = kssh_get_be32(buf_data(buf));
	if (n > buf_len(buf) - 4)
		return -EPROTO;
	*p = buf_data(buf) + 4;
	*len = n;
	buf->off += 4 + n;
	return 0;
}

int buf_get_cstring(struct buf *buf, char **s)
{
	struct buf probe = *buf;
	const uint8_t *p;
	size_t len;
	char *copy;

	if (buf_get_string(&probe, &p, &len))
		return -EPROTO;
	if (len && memchr(p, 0, len))
		return -EPROTO;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, p, len);
	copy[len] = 0;
	*s = copy;
	buf->off = probe.off;
	return 0;
}

/*
 * RFC 4251 5: "Unnecessary leading bytes with the value 0 or 255 MUST NOT be
 * included."
 */
int buf_get_mpint(struct buf *buf, const uint8_t **p, size_t *len)
{
	struct buf probe = *buf;
	const uint8_t *num;
	size_t n;

	if (buf_get_string(&probe, &num, &n))
		return -EPROTO;
	if (n && (num[0] & 0x80))
		return -EPROTO;
	if (n && !num[0]) {
		if (n == 1 || !(num[1] & 0x80))
			return -EPROTO;
		num++;
		n--;
	}
	*p = num;
	*len = n;
	buf->off = probe.off;
	return 0;
}

int buf_end(const struct buf *buf)
{
	return buf_len(buf) ? -EPROTO : 0;
}
