/* SPDX-License-Identifier: MIT */
/*
 * A channel as its consumer (sftp, exec, ...) sees it: the same calls on both
 * data paths. Nothing here blocks. Single-threaded.
 */
#ifndef KSSH_CHANNEL_CHANNEL_H
#define KSSH_CHANNEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct channel;
struct ring;

/**
 * struct channel_consumer - who lives on top of a channel
 * @readable: channel_peek() has news: bytes, end of file or an error. Called
 *	again only for more news
 * @writable: a call that answered -EAGAIN may be tried again
 * @again: after channel_again(); may be NULL
 * @tx_done: after channel_send_eof(): all data and the EOF have left; may be
 *	NULL
 * @closed: the connection or the peer has ended the channel: last call, no
 *	channel call is allowed afterwards
 */
struct channel_consumer {
	void (*readable)(struct channel *ch, void *arg);
	void (*writable)(struct channel *ch, void *arg);
	void (*again)(struct channel *ch, void *arg);
	void (*tx_done)(struct channel *ch, void *arg);
	void (*closed)(struct channel *ch, void *arg);
};

void channel_set_consumer(struct channel *ch,
			  const struct channel_consumer *consumer, void *arg);

/* More data follows at once: a packet may wait for it. channel_flush() ends. */
#define CHANNEL_MORE	(1 << 0)

/*
 * Bytes from the peer, without taking them: > 0 that many at *data, valid
 * until the next call on the channel; 0 end of file; -EAGAIN none now; other
 * -errno: dead.
 */
ssize_t channel_peek(struct channel *ch, const uint8_t **data);
/* Take @n of the bytes peeked at; their window is granted again. */
void channel_consume(struct channel *ch, size_t n);
/* The consumer reads no more: what comes is dropped. */
void channel_discard(struct channel *ch);

/*
 * Send all of @p (up to CHANNEL_WRITE_MAX) : 0 taken whole (what the window
 * does not allow yet is kept); -EAGAIN nothing taken, an earlier write is
 * still kept; other -errno: dead.
 */
#define CHANNEL_WRITE_MAX	(512 * 1024)
int channel_write(struct channel *ch, const void *p, size_t len,
		  unsigned int flags);

/*
 * Send up to @len bytes of file @fd at @off, behind a header of @hdr_len bytes
 * (at most 64) that @fill writes once the exact count @n is known. Returns @n
 * > 0; 0 at end of file (nothing sent, @fill not called); -EAGAIN an earlier
 * write is still kept; *file_errno > 0 (and -EIO) when reading failed.
 */
#define CHANNEL_HDR_MAX		64
typedef void (*channel_fill)(void *arg, uint8_t *hdr, size_t n);
ssize_t channel_send_file(struct channel *ch, int fd, off_t off, size_t len,
			  size_t hdr_len, channel_fill fill, void *arg,
			  unsigned int flags, int *file_errno);

/* Pipe to channel (@ext: as stderr), channel to pipe. Bytes moved; 0 end of
 * file; -EAGAIN: the pipe (*pipe_blocked true) or the channel is not ready;
 * -EPIPE the pipe's reader is gone.
 */
ssize_t channel_from_pipe(struct channel *ch, int pipe_fd, bool ext,
			  bool *pipe_blocked);
ssize_t channel_to_pipe(struct channel *ch, int pipe_fd, bool *pipe_blocked);

/*
 * There is more to do that waits for nothing: the consumer is called once, when
 * others have had their turn.
 */
void channel_again(struct channel *ch);
/* The channel's loop, if it does file I/O; NULL: it does not. */
struct ring *channel_file_ring(const struct channel *ch);
/*
 * Give the channel's own stream sockets away, blocking ones, to be a command's
 * stdin, stdout and stderr: the caller closes them. From then on the consumer
 * hears only of the end: tx_done when the last copy of stdout and stderr is
 * closed, or the peer has closed. -EOPNOTSUPP: it has no sockets.
 */
int channel_hand_over(struct channel *ch, int fds[3]);

/* No held-back packet remains. */
void channel_flush(struct channel *ch);
/* We send no more; SSH_MSG_CHANNEL_EOF follows what is kept. */
void channel_send_eof(struct channel *ch);
/*
 * The status is known, though output goes on: told to the peer now, and not
 * again by channel_finish().
 */
void channel_report_status(struct channel *ch, int status);
/*
 * We are done: EOF (if not sent), then "exit-status" or "exit-signal" as the
 * wait(2) status @status says (-1: neither), then CHANNEL_CLOSE, all behind
 * what is kept. The consumer is not called again and @ch must not be used.
 */
void channel_finish(struct channel *ch, int status);

#endif
