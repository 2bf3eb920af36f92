// SPDX-License-Identifier: MIT
/* What is common to channels of both data paths. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel/channel_impl.h"
#include "channel/conn.h"
#include "lib/mem.h"

static void again(struct ring_op *op, int res)
{
	struct channel *ch = op->arg;

	(void)res;
	if (ch->consumer && ch->consumer->again)
		ch->consumer->again(ch, ch->arg);
}

void channel_init(struct channel *ch, const struct channel_ops *ops,
		  struct ring *ring)
{
	memset(ch, 0, sizeof(*ch));
	ch->ops = ops;
	ch->ring = ring;
	ch->again_op = (struct ring_op){ .fn = again, .arg = ch };
	ch->status = CHANNEL_NO_STATUS;
}

void channel_set_consumer(struct channel *ch,
			  const struct channel_consumer *consumer, void *arg)
{
	ch->consumer = consumer;
	ch->arg = arg;
}

ssize_t channel_peek(struct channel *ch, const uint8_t **data)
{
	if (conn_rate_holds(ch, CONF_RX))
		return -EAGAIN;
	return ch->ops->peek(ch, data);
}

void channel_consume(struct channel *ch, size_t n)
{
	ch->ops->consume(ch, n);
	conn_rate_charge(ch, CONF_RX, n);
}

void channel_discard(struct channel *ch)
{
	ch->ops->discard(ch);
}

/*
 * Before anything is sent: 0; 1 the peer has closed, what is sent goes
 * nowhere; -EAGAIN control messages come first, or the rate is reached; -EPIPE.
 */
static int check_tx(struct channel *ch)
{
	if (ch->eof_asked)
		return -EPIPE;
	if (ch->close_rcvd)
		return 1;
	if (ch->conn && conn_has_backlog(ch->conn)) {
		ch->after_backlog = true;
		return -EAGAIN;
	}
	return conn_rate_holds(ch, CONF_TX) ? -EAGAIN : 0;
}

int channel_write(struct channel *ch, const void *p, size_t len,
		  unsigned int flags)
{
	int err = check_tx(ch);

	if (err)
		return err < 0 ? err : 0;
	err = ch->ops->write(ch, p, len, flags);
	if (!err)
		conn_rate_charge(ch, CONF_TX, len);
	return err;
}

ssize_t channel_send_file(struct channel *ch, int fd, off_t off, size_t len,
			  size_t hdr_len, channel_fill fill, void *arg,
			  unsigned int flags, int *file_errno)
{
	int err = check_tx(ch);
	ssize_t n;

	*file_errno = 0;
	if (err)
		return err < 0 ? err : (ssize_t)len;
	n = ch->ops->send_file(ch, fd, off, len, hdr_len, fill, arg, flags,
			       file_errno);
	conn_rate_charge(ch, CONF_TX, n);
	return n;
}

ssize_t channel_from_pipe(struct channel *ch, int pipe_fd, bool ext,
			  bool *pipe_blocked)
{
	int err = check_tx(ch);
	ssize_t n;

	*pipe_blocked = false;
	if (err)
		return err < 0 ? err : -EPIPE;
	n = ch->ops->from_pipe(ch, pipe_fd, ext, pipe_blocked);
	conn_rate_charge(ch, CONF_TX, n);
	return n;
}

ssize_t channel_to_pipe(struct channel *ch, int pipe_fd, bool *pipe_blocked)
{
	ssize_t n;

	*pipe_blocked = false;
	if (conn_rate_holds(ch, CONF_RX))
		return -EAGAIN;
	n = ch->ops->to_pipe(ch, pipe_fd, pipe_blocked);
	conn_rate_charge(ch, CONF_RX, n);
	return n;
}

void channel_again(struct channel *ch)
{
	if (ring_op_idle(&ch->again_op))
		ring_again(ch->ring, &ch->again_op);
}

struct ring *channel_file_ring(const struct channel *ch)
{
	return ch->ring->use_poll ? NULL : ch->ring;
}

int channel_hand_over(struct channel *ch, int fds[3])
{
	int err = -EOPNOTSUPP;

	if (ch->ops->hand_over)
		err = ch->ops->hand_over(ch, fds);
	ch->handed_over = !err;
	return err;
}

void channel_flush(struct channel *ch)
{
	ch->ops->flush(ch);
}

void channel_send_eof(struct channel *ch)
{
	if (ch->eof_asked)
		return;
	ch->eof_asked = true;
	if (!ch->close_rcvd)
		ch->ops->send_eof(ch);
}

void channel_report_status(struct channel *ch, int status)
{
	if (ch->status_sent || ch->close_sent || !ch->conn)
		return;
	ch->status = status;
	conn_channel_status(ch);
}

void channel_finish(struct channel *ch, int status)
{
	ch->consumer = NULL;
	ch->finishing = true;
	ch->status = status;
	ch->ops->discard(ch);
	channel_send_eof(ch);
	if (ch->tx_finished || ch->close_rcvd)
		conn_channel_finished(ch);
}

void channel_notify_readable(struct channel *ch)
{
	if (ch->consumer)
		ch->consumer->readable(ch, ch->arg);
}

void channel_notify_writable(struct channel *ch)
{
	if (ch->consumer)
		ch->consumer->writable(ch, ch->arg);
}

void channel_notify_tx_done(struct channel *ch)
{
	if (ch->tx_finished)
		return;
	ch->tx_finished = true;
	if (ch->finishing)
		conn_channel_finished(ch);
	else if (ch->consumer && ch->consumer->tx_done)
		ch->consumer->tx_done(ch, ch->arg);
}

static bool reap_idle(struct reap *reap)
{
	struct channel *ch = container_of(reap, struct channel, reap);

	return ring_op_idle(&ch->again_op) && ch->ops->idle(ch);
}

static void reap_free(struct reap *reap)
{
	struct channel *ch = container_of(reap, struct channel, reap);

	while (ch->n_env)
		free(ch->env[--ch->n_env]);
	free(ch->env);
	ch->ops->free(ch);
}

void channel_release(struct channel *ch)
{
	ring_cancel(ch->ring, &ch->again_op);
	ch->ops->detach(ch);
	ch->reap.idle = reap_idle;
	ch->reap.free = reap_free;
	if (ch->conn)
		conn_add_reap(ch->conn, &ch->reap);
}

void channel_end(struct channel *ch)
{
	const struct channel_consumer *consumer = ch->consumer;

	ch->consumer = NULL;
	if (consumer)
		consumer->closed(ch, ch->arg);
	channel_release(ch);
}
