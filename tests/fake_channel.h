/* SPDX-License-Identifier: MIT */
/*
 * A channel in memory: what a test feeds is what its consumer reads, in the
 * pieces the test wants. Bytes peeked at are gone after the next call, as
 * channel.h says, so that AddressSanitizer sees who keeps them.
 */
#ifndef KSSH_TESTS_FAKE_CHANNEL_H
#define KSSH_TESTS_FAKE_CHANNEL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "channel/channel_impl.h"

/**
 * struct fake_channel - a channel in memory
 * @ch: first, as for every data path
 * @ring: for channel_again()
 * @by_hand: its turns come from the test, else at once
 * @in: bytes from the peer
 * @in_len: how many
 * @in_off: consumed
 * @in_ready: have arrived
 * @piece: most bytes a peek gives
 * @eof: the peer sends no more than @in
 * @peeked: copy given to the consumer
 * @out: bytes to the peer
 * @out_len: how many
 * @room: writes taken before -EAGAIN, negative for no limit
 * @want_write: the consumer was told -EAGAIN
 * @n_writes: calls that wrote
 * @n_more: of those with CHANNEL_MORE
 * @n_flushes: calls of channel_flush()
 * @held: bytes may wait behind CHANNEL_MORE
 * @finished: channel_finish() was called, all is out
 * @write_err: what a write answers, 0 for none
 */
struct fake_channel {
	struct channel ch;
	struct ring ring;
	bool by_hand;
	uint8_t *in;
	size_t in_len;
	size_t in_off;
	size_t in_ready;
	size_t piece;
	bool eof;
	uint8_t *peeked;
	uint8_t *out;
	size_t out_len;
	int room;
	bool want_write;
	unsigned int n_writes;
	unsigned int n_more;
	unsigned int n_flushes;
	bool held;
	bool finished;
	int write_err;
};

static inline struct fake_channel *to_fake(struct channel *ch)
{
	return (struct fake_channel *)ch;
}

static inline void fake_forget(struct fake_channel *fake)
{
	free(fake->peeked);
	fake->peeked = NULL;
}

static ssize_t fake_peek(struct channel *ch, const uint8_t **data)
{
	struct fake_channel *fake = to_fake(ch);
	size_t n = fake->in_ready - fake->in_off;

	fake_forget(fake);
	if (!n)
		return fake->eof && fake->in_off == fake->in_len ? 0 : -EAGAIN;
	if (fake->piece && n > fake->piece)
		n = fake->piece;
	fake->peeked = malloc(n);
	memcpy(fake->peeked, fake->in + fake->in_off, n);
	*data = fake->peeked;
	return n;
}

static void fake_consume(struct channel *ch, size_t n)
{
	fake_forget(to_fake(ch));
	to_fake(ch)->in_off += n;
}

static void fake_discard(struct channel *ch)
{
	fake_forget(to_fake(ch));
}

static int fake_room(struct fake_channel *fake, unsigned int flags)
{
	fake_forget(fake);
	if (fake->write_err)
		return fake->write_err;
	if (!fake->room) {
		fake->want_write = true;
		return -EAGAIN;
	}
	if (fake->room > 0)
		fake->room--;
	fake->n_writes++;
	fake->n_more += !!(flags & CHANNEL_MORE);
	fake->held = flags & CHANNEL_MORE;
	return 0;
}

static uint8_t *fake_out(struct fake_channel *fake, size_t len)
{
	fake->out = realloc(fake->out, fake->out_len + len + 1);
	fake->out_len += len;
	return fake->out + fake->out_len - len;
}

static int fake_write(struct channel *ch, const void *p, size_t len,
		      unsigned int flags)
{
	int err = fake_room(to_fake(ch), flags);

	if (!err)
		memcpy(fake_out(to_fake(ch), len), p, len);
	return err;
}

static ssize_t fake_send_file(struct channel *ch, int fd, off_t off, size_t len,
			      size_t hdr_len, channel_fill fill, void *arg,
			      unsigned int flags, int *file_errno)
{
	struct fake_channel *fake = to_fake(ch);
	uint8_t *data;
	ssize_t n;
	int err;

	err = fake_room(fake, flags);
	if (err)
		return err;
	data = malloc(len);
	n = pread(fd, data, len, off);
	if (n > 0) {
		fill(arg, fake_out(fake, hdr_len), n);
		memcpy(fake_out(fake, n), data, n);
	} else if (n < 0) {
		*file_errno = errno;
		n = -EIO;
	}
	free(data);
	return n;
}

static void fake_flush(struct channel *ch)
{
	fake_forget(to_fake(ch));
	to_fake(ch)->n_flushes++;
	to_fake(ch)->held = false;
}

static void fake_send_eof(struct channel *ch)
{
	channel_notify_tx_done(ch);
}

static void fake_detach(struct channel *ch)
{
	to_fake(ch)->finished = true;
	to_fake(ch)->held = false;
}

static const struct channel_ops fake_ops = {
	.peek = fake_peek,
	.consume = fake_consume,
	.discard = fake_discard,
	.write = fake_write,
	.send_file = fake_send_file,
	.flush = fake_flush,
	.send_eof = fake_send_eof,
	.detach = fake_detach,
};

static inline void fake_init(struct fake_channel *fake)
{
	memset(fake, 0, sizeof(*fake));
	ring_init_poll(&fake->ring);
	channel_init(&fake->ch, &fake_ops, &fake->ring);
	fake->room = -1;
}

static inline void fake_exit(struct fake_channel *fake)
{
	fake_forget(fake);
	ring_exit(&fake->ring);
	free(fake->in);
	free(fake->out);
}

/* Bytes of the peer which are still on their way. */
static inline void fake_send(struct fake_channel *fake, const void *p,
			     size_t len)
{
	fake->in = realloc(fake->in, fake->in_len + len + 1);
	if (len)
		memcpy(fake->in + fake->in_len, p, len);
	fake->in_len += len;
}

/* The turn that was asked for; false: none was. */
static inline bool fake_turn(struct fake_channel *fake)
{
	return fake->ring.n_waits && !ring_wait_turn(&fake->ring);
}

static inline void fake_turns(struct fake_channel *fake)
{
	while (!fake->by_hand && fake_turn(fake))
		;
}

/* @n more bytes arrive. */
static inline void fake_arrive(struct fake_channel *fake, size_t n)
{
	fake->in_ready += n;
	if (fake->in_ready > fake->in_len)
		fake->in_ready = fake->in_len;
	channel_notify_readable(&fake->ch);
	fake_turns(fake);
}

static inline void fake_arrive_all(struct fake_channel *fake)
{
	fake_arrive(fake, fake->in_len - fake->in_ready);
}

/* The channel takes @room more writes. */
static inline void fake_make_room(struct fake_channel *fake, int room)
{
	fake->room = room;
	if (!fake->want_write)
		return;
	fake->want_write = false;
	channel_notify_writable(&fake->ch);
	fake_turns(fake);
}

static inline void fake_send_end(struct fake_channel *fake)
{
	fake->eof = true;
	channel_notify_readable(&fake->ch);
	fake_turns(fake);
}

#endif
