/* SPDX-License-Identifier: MIT */
/* Inside of a channel: what the two data paths fill in. */
#ifndef KSSH_CHANNEL_CHANNEL_IMPL_H
#define KSSH_CHANNEL_CHANNEL_IMPL_H

#include "channel/channel.h"
#include "conf/conf.h"
#include "lib/buf.h"
#include "stream/ring.h"

struct conn;

/* Something whose operations are still in flight when it has ended. */
struct reap {
	struct reap *next;
	bool (*idle)(struct reap *reap);
	void (*free)(struct reap *reap);
};

#define CHANNEL_ENV_MAX	32
#define CHANNEL_ENV_LEN	1024

/**
 * struct channel_ops - a data path below a channel
 * @peek: see channel_peek()
 * @consume: see channel_consume()
 * @discard: see channel_discard()
 * @write: see channel_write()
 * @send_file: see channel_send_file()
 * @from_pipe: see channel_from_pipe()
 * @to_pipe: see channel_to_pipe()
 * @hand_over: see channel_hand_over(); NULL: it has no sockets
 * @flush: see channel_flush()
 * @send_eof: EOF behind what is kept; channel_tx_done() when it has left
 * @peer_closed: the peer's CHANNEL_CLOSE came: what is kept will not leave, no
 *	more than what has arrived can be read
 * @detach: close what belongs to the path; no calls after this
 * @idle: nothing is in flight, the memory may go
 * @free: release the memory
 */
struct channel_ops {
	ssize_t (*peek)(struct channel *ch, const uint8_t **data);
	void (*consume)(struct channel *ch, size_t n);
	void (*discard)(struct channel *ch);
	int (*write)(struct channel *ch, const void *p, size_t len,
		     unsigned int flags);
	ssize_t (*send_file)(struct channel *ch, int fd, off_t off, size_t len,
			     size_t hdr_len, channel_fill fill, void *arg,
			     unsigned int flags, int *file_errno);
	ssize_t (*from_pipe)(struct channel *ch, int pipe_fd, bool ext,
			     bool *pipe_blocked);
	ssize_t (*to_pipe)(struct channel *ch, int pipe_fd, bool *pipe_blocked);
	int (*hand_over)(struct channel *ch, int fds[3]);
	void (*flush)(struct channel *ch);
	void (*send_eof)(struct channel *ch);
	void (*peer_closed)(struct channel *ch);
	void (*detach)(struct channel *ch);
	bool (*idle)(struct channel *ch);
	void (*free)(struct channel *ch);
};

#define CHANNEL_NO_STATUS	(-1)

/**
 * struct channel - common part, first member of each path's own structure
 * @ops: the data path
 * @ring: the loop
 * @again_op: for channel_again()
 * @conn: the connection, NULL for a channel on plain descriptors
 * @next: list of channels the peer has closed while their consumer goes on
 * @reap: how the memory goes
 * @consumer: who lives on top, NULL before a request has started something
 *	and after channel_finish()
 * @arg: the consumer's
 * @local_id: our number
 * @remote_id: the peer's number
 * @status: wait(2) status to report, CHANNEL_NO_STATUS for none
 * @status_sent: it was
 * @subsystem: what runs is the configuration's, not the client's
 * @handed_over: its sockets are a command's
 * @eof_asked: channel_send_eof() was called
 * @tx_finished: data and EOF have left
 * @finishing: channel_finish() was called
 * @close_sent: our CHANNEL_CLOSE is out
 * @close_rcvd: the peer's CHANNEL_CLOSE came
 * @after_backlog: the consumer wants to write once the backlog is gone
 * @rate_held: it is to be told when the rate allows more, by direction
 * @env: environment the peer asked for, "NAME=value" strings
 * @n_env: how many
 */
struct channel {
	const struct channel_ops *ops;
	struct ring *ring;
	struct ring_op again_op;
	struct conn *conn;
	struct channel *next;
	struct reap reap;
	const struct channel_consumer *consumer;
	void *arg;
	uint32_t local_id;
	uint32_t remote_id;
	int status;
	bool status_sent;
	bool subsystem;
	bool handed_over;
	bool eof_asked;
	bool tx_finished;
	bool finishing;
	bool close_sent;
	bool close_rcvd;
	bool after_backlog;
	bool rate_held[CONF_DIRS];
	char **env;
	unsigned int n_env;
};

/* channel.c: news from the data path */
void channel_init(struct channel *ch, const struct channel_ops *ops,
		  struct ring *ring);
void channel_notify_readable(struct channel *ch);
void channel_notify_writable(struct channel *ch);
/* Data and EOF have left. */
void channel_notify_tx_done(struct channel *ch);
/* The end, from the peer or the connection: tells the consumer, detaches. */
void channel_end(struct channel *ch);
/* The consumer is gone and the path may be closed: free when idle. */
void channel_release(struct channel *ch);

#endif
