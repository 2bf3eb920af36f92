// SPDX-License-Identifier: GPL-2.0-only
/* Writer to open packet to packet; the peer's window; EOF. */
#include "kssh.h"

/* Sending, under ctx->tx.lock. */

/* A packet of data, its window spent already. */
static int tx_data(struct kssh_chan *chan, struct kssh_tx_packet *pkt,
		   u32 data_type, bool more)
{
	struct kssh_context *ctx = chan->ctx;
	u32 len = pkt->data_len;
	int err;

	err = kssh_tx_check(ctx, SSH_MSG_CHANNEL_DATA);
	if (err)
		return err == -EBUSY ? -EAGAIN : err;
	/* RFC 4254 5.3: nothing after SSH_MSG_CHANNEL_CLOSE */
	if (READ_ONCE(chan->flags) & (KSSH_C_CLOSED | BIT(KSSH_C_UNBOUND)))
		return -EPIPE;

	kssh_fill_data_hdr(pkt->head + 1, chan->remote_id, data_type,
			   len);
	err = kssh_tx_packet(ctx, pkt, more);
	if (err)
		return err;
	KSSH_ADD(ctx->sk, TXCHANNELBYTES, len);
	spin_lock(&chan->lock);
	chan->tx_bytes += len;
	spin_unlock(&chan->lock);
	return 0;
}

static int tx_adjust(struct kssh_chan *chan)
{
	struct kssh_context *ctx = chan->ctx;
	u8 msg[KSSH_ADJUST_LEN];
	u32 bytes = 0, max = 0;
	int err;

	if (!(READ_ONCE(chan->flags) & BIT(KSSH_C_ADJUST)))
		return 0;
	err = kssh_tx_check(ctx, SSH_MSG_CHANNEL_WINDOW_ADJUST);
	if (err == -EAGAIN || err == -EBUSY)
		return err;

	spin_lock(&chan->lock);
	clear_bit(KSSH_C_ADJUST, &chan->flags);
	if (!err && !(chan->flags & (BIT(KSSH_C_CLOSE_SENT) |
				     BIT(KSSH_C_CLOSE_RCVD) |
				     BIT(KSSH_C_EOF_RCVD) |
				     BIT(KSSH_C_UNBOUND)))) {
		bytes = kssh_chan_grant(chan);
		max = chan->rx_win.max;
	}
	spin_unlock(&chan->lock);
	if (!bytes)
		return 0;

	kssh_fill_adjust(msg, chan->remote_id, bytes);
	err = kssh_tx_payload(ctx, msg, sizeof(msg));
	if (err == -ENOMEM) {
		/* the peer cannot have used what it has not heard of */
		spin_lock(&chan->lock);
		kssh_rx_window_take_back(&chan->rx_win, bytes);
		set_bit(KSSH_C_ADJUST, &chan->flags);
		spin_unlock(&chan->lock);
	}
	if (err)
		return err;
	KSSH_INC(ctx->sk, TXADJUST);
	trace_kssh_window_grant(ctx->sk, chan->local_id, bytes, max);
	return 0;
}

static void tx_drop_tail(struct kssh_chan *chan, int i)
{
	if (!chan->tail[i])
		return;
	kssh_pkt_free(chan->tail[i]);
	kfree(chan->tail[i]);
	chan->tail[i] = NULL;
}

/* What sockets that write no more have left. */
static int tx_tails(struct kssh_chan *chan)
{
	int err, i;

	for (i = 0; i < ARRAY_SIZE(chan->tail); i++) {
		if (!chan->tail[i])
			continue;
		err = tx_data(chan, chan->tail[i], i, false);
		if (err && err != -EPIPE)
			return err;
		tx_drop_tail(chan, i);
	}
	return 0;
}

static int tx_eof(struct kssh_chan *chan)
{
	struct kssh_context *ctx = chan->ctx;
	u8 msg[KSSH_EOF_LEN];
	int err;

	if (!(READ_ONCE(chan->flags) & BIT(KSSH_C_EOF_DUE)))
		return 0;
	err = kssh_tx_check(ctx, SSH_MSG_CHANNEL_EOF);
	if (err == -EAGAIN || err == -EBUSY)
		return err;

	if (!err && !(READ_ONCE(chan->flags) & (BIT(KSSH_C_CLOSE_SENT) |
						BIT(KSSH_C_UNBOUND)))) {
		kssh_fill_eof(msg, chan->remote_id);
		err = kssh_tx_payload(ctx, msg, sizeof(msg));
		if (err == -ENOMEM)
			return err;
	}

	spin_lock(&chan->lock);
	clear_bit(KSSH_C_EOF_DUE, &chan->flags);
	set_bit(KSSH_C_EOF_SENT, &chan->flags);
	set_bit(KSSH_C_DONE_DUE, &chan->flags);
	spin_unlock(&chan->lock);
	trace_kssh_channel_eof(ctx->sk, true, chan->local_id, chan->tx_bytes);
	return err == -EPIPE ? 0 : err;
}

static int tx_done(struct kssh_chan *chan)
{
	struct kssh_context *ctx = chan->ctx;
	struct kssh_event event = {
		.type = KSSH_EVENT_CHANNEL_TX_DONE,
		.local_id = chan->local_id,
		.value = chan->tx_bytes,
	};
	struct sk_buff *skb;
	bool closed;

	if (!(READ_ONCE(chan->flags) & BIT(KSSH_C_DONE_DUE)))
		return 0;
	if (ctx->tx.npart)
		return -EAGAIN;

	spin_lock(&chan->lock);
	clear_bit(KSSH_C_DONE_DUE, &chan->flags);
	skb = chan->done_skb;
	chan->done_skb = NULL;
	/* the number may be another channel's by now */
	closed = chan->flags & BIT(KSSH_C_UNBOUND);
	spin_unlock(&chan->lock);
	if (!skb || closed || kssh_test(ctx, KSSH_F_CLOSED)) {
		kfree_skb(skb);
		return 0;
	}
	skb_put_data(skb, &event, sizeof(event));
	kssh_cb(skb)->off = 0;
	kssh_cb(skb)->end = sizeof(event);
	kssh_cb(skb)->pkt_seq = 0;
	kssh_ctl_queue(ctx, skb, KSSH_RX_EVENT);
	return 0;
}

/*
 * Whatever the channel has to send by itself: grants, the last packet of its
 * sockets, EOF. 0 when that is all out; else tx_work comes back. Under
 * ctx->tx.lock.
 */
int kssh_chan_tx_pending(struct kssh_chan *chan)
{
	int err;

	err = tx_adjust(chan);
	if (!err)
		err = tx_tails(chan);
	if (!err)
		err = tx_eof(chan);
	if (!err)
		err = tx_done(chan);
	if (err)
		set_bit(KSSH_F_TX_PENDING, &chan->ctx->flags);
	if (err == -ENOMEM)
		kssh_tx_retry(chan->ctx);
	return err;
}

/* Writing, under csk->tx_lock. */

static int tx_flush(struct kssh_chan_sock *csk, bool more)
{
	struct kssh_context *ctx = csk->chan->ctx;
	int err;

	mutex_lock(&ctx->tx.lock);
	err = tx_data(csk->chan, csk->pkt, csk->data_type, more);
	mutex_unlock(&ctx->tx.lock);
	if (!err)
		WRITE_ONCE(csk->flush, false);
	else if (err == -ENOMEM)
		kssh_tx_retry(ctx);
	return err;
}

static void tx_uncork(struct kssh_context *ctx)
{
	if (!READ_ONCE(ctx->tx.corked))
		return;
	mutex_lock(&ctx->tx.lock);
	kssh_tx_flush_tcp(ctx);
	mutex_unlock(&ctx->tx.lock);
}

/* Whoever could not take the lock left the work to us. */
static void tx_unlock(struct kssh_chan_sock *csk)
{
	struct kssh_context *ctx = csk->chan->ctx;
	bool flush = csk->flush;

	mutex_unlock(&csk->tx_lock);
	if (!flush)
		return;
	set_bit(KSSH_F_TX_PENDING, &ctx->flags);
	if (kssh_tx_data_ready(ctx))
		kssh_tx_kick(ctx);
}

/* For tx_work: flush what a writer could not. -EAGAIN, -ENOMEM: later. */
int kssh_chan_try_flush(struct kssh_chan *chan)
{
	struct kssh_chan_sock *csk;
	int i, err = 0;

	for (i = 0; i < ARRAY_SIZE(chan->csk); i++) {
		csk = kssh_chan_sock_get(chan, i);
		if (!csk)
			continue;
		if (READ_ONCE(csk->flush) && mutex_trylock(&csk->tx_lock)) {
			if (csk->flush)
				err = tx_flush(csk, false);
			mutex_unlock(&csk->tx_lock);
		}
		sock_put(&csk->sk);
		if (err == -EAGAIN || err == -ENOMEM)
			return err;
	}
	return 0;
}

static struct kssh_tx_packet *tx_get_pkt(struct kssh_chan_sock *csk)
{
	if (!csk->pkt) {
		csk->pkt = kzalloc(sizeof(*csk->pkt), GFP_KERNEL);
		if (csk->pkt)
			kssh_pkt_reset(csk->pkt,
				       1 + kssh_data_hdr_len(csk->data_type));
	}
	return csk->pkt;
}

/* The peer's window is spent, and a writer has more. Under chan->lock. */
static void tx_window_shut(struct kssh_chan *chan)
{
	if (test_and_set_bit(KSSH_C_TX_SHUT, &chan->flags))
		return;
	chan->shut_at = ktime_get_ns();
	chan->shuts++;
	KSSH_INC(chan->ctx->sk, TXWINDOWSHUT);
	trace_kssh_window_exhausted(chan->ctx->sk, chan->local_id,
				    chan->tx_bytes);
}

static u32 tx_reserve(struct kssh_chan *chan, u32 want)
{
	spin_lock(&chan->lock);
	want = kssh_tx_window_avail(&chan->tx_win, want);
	kssh_tx_window_spend(&chan->tx_win, want);
	if (!want)
		tx_window_shut(chan);
	spin_unlock(&chan->lock);
	return want;
}

static void tx_refund(struct kssh_chan *chan, u32 bytes)
{
	bool was_shut;

	if (!bytes)
		return;
	spin_lock(&chan->lock);
	was_shut = !chan->tx_win.window;
	kssh_tx_window_add(&chan->tx_win, bytes);
	spin_unlock(&chan->lock);
	/* the channel's other socket may have gone to sleep over it */
	if (was_shut)
		kssh_chan_wake_writers(chan);
}

static u32 tx_room(const struct kssh_chan_sock *csk)
{
	u32 room = kssh_pkt_room(csk->pkt);

	return min(room, csk->chan->tx_win.max_packet - csk->pkt->data_len);
}

/*
 * Bytes of a file's or a pipe's pages to add now if @want would fit, so that
 * the next packet's blocks end where the pages do.
 */
static u32 tx_cut(const struct kssh_chan_sock *csk, struct msghdr *msg,
		  u32 want)
{
	const struct iov_iter *iter = &msg->msg_iter;
	u32 end;

	if (!(msg->msg_flags & MSG_SPLICE_PAGES) || !iov_iter_is_bvec(iter) ||
	    want < KSSH_TX_PIECES_FROM ||
	    msg_data_left(msg) < want + KSSH_TX_PIECES_FROM)
		return want;
	end = iter->bvec->bv_offset + iter->iov_offset + want;
	return want - (end - csk->pkt->hdr_len) % KSSH_TX_FIRST;
}

/* Returns bytes taken or an error; says by csk->flush that it is enough. */
static int tx_add(struct kssh_chan_sock *csk, struct msghdr *msg, u32 len)
{
	u32 cut = tx_cut(csk, msg, len);
	int ret = 0;

	if (msg->msg_flags & MSG_SPLICE_PAGES && cut >= KSSH_TX_PIECES_FROM)
		ret = kssh_pkt_add_pages(csk->pkt, &msg->msg_iter, cut);
	if (!ret)
		ret = kssh_pkt_add(csk->pkt, &msg->msg_iter, cut,
				   msg->msg_flags & MSG_MORE);
	WRITE_ONCE(csk->flush,
		   csk->pkt->npieces || (cut < len && ret == cut));
	return ret;
}

/*
 * Add to the open packet, send it when it is full or nothing will follow.
 * Returns bytes taken, -EAGAIN to wait, or an error.
 */
static int tx_step(struct kssh_chan_sock *csk, struct msghdr *msg)
{
	struct kssh_chan *chan = csk->chan;
	bool more = msg->msg_flags & MSG_MORE;
	int err, ret;
	u32 len;

	if (!tx_get_pkt(csk))
		return -ENOBUFS;
	if (csk->flush) {
		err = tx_flush(csk, more);
		if (err)
			return err;
	}
	if (!kssh_tx_data_ready(chan->ctx))
		return -EAGAIN;

	len = tx_reserve(chan, min_t(size_t, msg_data_left(msg),
				     tx_room(csk)));
	if (!len) {
		/* the window is shut: the peer shall have what there is */
		if (csk->pkt->data_len) {
			WRITE_ONCE(csk->flush, true);
			err = tx_flush(csk, false);
			if (err)
				return err;
		}
		return -EAGAIN;
	}
	ret = tx_add(csk, msg, len);
	if (ret <= 0) {
		tx_refund(chan, len);
		return ret ? ret : -ENOBUFS;
	}
	tx_refund(chan, len - ret);

	if (csk->flush || !tx_room(csk) || (!more && !msg_data_left(msg))) {
		WRITE_ONCE(csk->flush, true);
		err = tx_flush(csk, more || msg_data_left(msg));
		/* it is ours now: tx_work sends it */
		if (err && err != -EAGAIN && err != -ENOMEM)
			return err;
	}
	return ret;
}

static int tx_error(const struct sock *sk)
{
	if (READ_ONCE(sk->sk_err) ||
	    READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN)
		return -EPIPE;
	return 0;
}

static bool tx_window_is_shut(struct kssh_chan *chan)
{
	bool shut;

	spin_lock(&chan->lock);
	shut = !chan->tx_win.window;
	spin_unlock(&chan->lock);
	return shut;
}

/* Can a writer get on? Without mutexes, for poll, too. */
bool kssh_chan_writable(struct kssh_chan_sock *csk)
{
	if (tx_error(&csk->sk))
		return true;
	if (!READ_ONCE(csk->flush) && tx_window_is_shut(csk->chan))
		return false;
	return kssh_tx_data_writable(csk->chan->ctx);
}

/* Sleep until a writer can get on. Drops csk->tx_lock meanwhile. */
static int tx_wait(struct kssh_chan_sock *csk, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct sock *sk = &csk->sk;

	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);

	tx_uncork(csk->chan->ctx);
	tx_unlock(csk);
	add_wait_queue(sk_sleep(sk), &wait);
	/* in the queue before we look: pairs with kssh_wake() */
	smp_mb();
	if (!kssh_chan_writable(csk))
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	remove_wait_queue(sk_sleep(sk), &wait);
	mutex_lock(&csk->tx_lock);
	return 0;
}

static int tx_write(struct kssh_chan_sock *csk, struct msghdr *msg, long timeo)
{
	int err, ret, copied = 0;

	do {
		err = tx_error(&csk->sk);
		if (err)
			break;
		if (!msg_data_left(msg)) {
			/* nothing, but it may end a corked packet */
			if (csk->pkt && csk->pkt->data_len &&
			    !(msg->msg_flags & MSG_MORE)) {
				WRITE_ONCE(csk->flush, true);
				tx_flush(csk, false);
			}
			break;
		}
		ret = tx_step(csk, msg);
		if (ret > 0)
			copied += ret;
		else if (ret == -EAGAIN)
			err = tx_wait(csk, &timeo);
		else
			err = ret;
	} while (!err && msg_data_left(msg));

	if (err || !(msg->msg_flags & MSG_MORE))
		tx_uncork(csk->chan->ctx);
	return copied ? copied : err;
}

/**
 * kssh_chan_sendmsg - sendmsg on a channel socket
 * @sock: the socket
 * @msg: data. MSG_MORE keeps the packet open; MSG_SPLICE_PAGES
 *	and MSG_ZEROCOPY are accepted: data are consumed on return
 * @size: how much
 *
 * Return: bytes taken or an error
 */
int kssh_chan_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);
	struct sock *sk = sock->sk;
	long timeo;
	int ret;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;

	timeo = sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT);
	if (mutex_lock_interruptible(&csk->tx_lock))
		return -ERESTARTSYS;
	ret = tx_write(csk, msg, timeo);
	tx_unlock(csk);
	if (ret == -EPIPE)
		ret = sk_stream_error(sk, msg->msg_flags, ret);
	return ret;
}

/* sendfile came to the end of its file before the end of its count. */
void kssh_chan_splice_eof(struct socket *sock)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);

	mutex_lock(&csk->tx_lock);
	if (csk->pkt && csk->pkt->data_len && !tx_error(sock->sk)) {
		WRITE_ONCE(csk->flush, true);
		tx_flush(csk, false);
	}
	tx_uncork(csk->chan->ctx);
	tx_unlock(csk);
}

/*
 * The socket writes no more: leave its packet to the channel, and EOF if it
 * was the last one.
 */
void kssh_chan_shutdown_tx(struct kssh_chan_sock *csk)
{
	struct kssh_chan *chan = csk->chan;
	struct kssh_context *ctx = chan->ctx;
	struct sock *sk = &csk->sk;

	mutex_lock(&csk->tx_lock);
	if (csk->tx_shut) {
		mutex_unlock(&csk->tx_lock);
		return;
	}
	csk->tx_shut = true;
	WRITE_ONCE(csk->flush, false);
	kssh_chan_shut(csk, SEND_SHUTDOWN);

	mutex_lock(&ctx->tx.lock);
	if (csk->pkt && csk->pkt->data_len) {
		chan->tail[csk->data_type] = csk->pkt;
		csk->pkt = NULL;
	}
	spin_lock(&chan->lock);
	if (!--chan->tx_open)
		set_bit(KSSH_C_EOF_DUE, &chan->flags);
	spin_unlock(&chan->lock);
	if (!(READ_ONCE(chan->flags) & BIT(KSSH_C_UNBOUND)))
		kssh_chan_tx_pending(chan);
	kssh_tx_flush_tcp(ctx);
	mutex_unlock(&ctx->tx.lock);
	mutex_unlock(&csk->tx_lock);
	kssh_wake(sk, EPOLLOUT | EPOLLWRNORM | EPOLLHUP);
}
