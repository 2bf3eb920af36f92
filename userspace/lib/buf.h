/* SPDX-License-Identifier: MIT */
/* A bounded buffer with the data types of RFC 4251 5. Opaque: use the calls. */
#ifndef KSSH_LIB_BUF_H
#define KSSH_LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct buf - bytes appended at the end and taken from the front
 * @data: memory, owned unless @ref
 * @off: first byte not taken yet
 * @len: end of the bytes
 * @cap: bytes allocated
 * @max: never grows beyond this
 * @err: first error of a put, sticky: check once with buf_error()
 * @ref: read-only view of memory of others
 */
struct buf {
	uint8_t *data;
	size_t off;
	size_t len;
	size_t cap;
	size_t max;
	int err;
	bool ref;
};

#define BUF_MAX_DEFAULT	(256 * 1024 + 1024)

void buf_init(struct buf *buf, size_t max);
/* A read-only view: get calls only, buf_free() not needed. */
void buf_ref(struct buf *buf, const void *data, size_t len);
/* Wipes and frees; the buffer may be used again. */
void buf_free(struct buf *buf);
/* Forget all bytes (wiped) and the error. */
void buf_reset(struct buf *buf);

static inline const uint8_t *buf_data(const struct buf *buf)
{
	/* NULL + 0 is undefined */
	return buf->data ? buf->data + buf->off : NULL;
}

static inline size_t buf_len(const struct buf *buf)
{
	return buf->len - buf->off;
}

static inline int buf_error(const struct buf *buf)
{
	return buf->err;
}

/*
 * Put: 0, or -ENOBUFS (@max reached), -ENOMEM. After an error every later put
 * fails alike, so a message is filled in one run and checked once.
 */
int buf_put_u8(struct buf *buf, uint8_t v);
int buf_put_u32(struct buf *buf, uint32_t v);
int buf_put_u64(struct buf *buf, uint64_t v);
int buf_put_bool(struct buf *buf, bool v);
int buf_put_raw(struct buf *buf, const void *p, size_t len);
int buf_put_string(struct buf *buf, const void *p, size_t len);
int buf_put_cstring(struct buf *buf, const char *s);
int buf_put_buf(struct buf *buf, const struct buf *from); /* as string */
/* Unsigned big-endian number as mpint. */
int buf_put_mpint(struct buf *buf, const void *p, size_t len);
/* Room for @len more bytes at the end, not wiped; NULL with @err set. */
uint8_t *buf_put_space(struct buf *buf, size_t len);

/* Get: 0, or -EPROTO when the bytes are not there; nothing is taken then. */
int buf_get_u8(struct buf *buf, uint8_t *v);
int buf_get_u32(struct buf *buf, uint32_t *v);
int buf_get_u64(struct buf *buf, uint64_t *v);
int buf_get_bool(struct buf *buf, bool *v);
/* A view into the buffer, valid until the buffer changes. */
int buf_get_string(struct buf *buf, const uint8_t **p, size_t *len);
/* Allocated copy with NUL; -EPROTO also when a NUL is inside. */
int buf_get_cstring(struct buf *buf, char **s);
/*
 * A positive mpint or zero, as an unsigned big-endian number without leading
 * zeros; -EPROTO also when it is negative or longer than it need be.
 */
int buf_get_mpint(struct buf *buf, const uint8_t **p, size_t *len);
int buf_get_raw(struct buf *buf, void *p, size_t len);
int buf_skip(struct buf *buf, size_t len);
/* -EPROTO unless everything was taken. */
int buf_end(const struct buf *buf);

#endif
