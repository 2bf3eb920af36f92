// SPDX-License-Identifier: GPL-2.0-only
/* Payload to channel queue to reader; the window we grant. */
#include <linux/fs.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/pipe_fs_i.h>
#include <linux/splice.h>

#include "kssh.h"

/* Small data are gathered in buffers of this size. */
#define GATHER_SIZE	SKB_WITH_OVERHEAD(4096)
/* What a channel may always have under way. */
#define RX_WINDOW_SHORT	(64U << 10)

/* Grants. */

/*
 * Something may be granted: say so now if we can, else let tx_work. Not under
 * chan->lock.
 */
static void rx_grant(struct kssh_chan *chan)
{
	struct kssh_context *ctx = chan->ctx;
	int err;

	spin_lock(&chan->lock);
	set_bit(KSSH_C_ADJUST, &chan->flags);
	spin_unlock(&chan->lock);

	mutex_lock(&ctx->tx.lock);
	err = kssh_chan_tx_pending(chan);
	mutex_unlock(&ctx->tx.lock);
	if (err)
		set_bit(KSSH_F_TX_PENDING, &ctx->flags);
}

/*
 * The round trip as TCP sees it, microseconds, 0 if it does not know: as a
 * receiver if it can, for what we send as an uploader's server is little.
 */
static u32 rx_rtt_us(const struct kssh_context *ctx)
{
	const struct tcp_sock *tp = tcp_sk(ctx->sk);
	u32 rtt = READ_ONCE(tp->rcv_rtt_est.rtt_us);

	return (rtt ? rtt : READ_ONCE(tp->srtt_us)) >> 3;
}

/* Unread data in the namespace, or all of TCP, are more than they should be. */
static bool rx_mem_is_short(const struct kssh_chan *chan)
{
	const struct sock *sk = chan->ctx->sk;
	struct kssh_net *kn = kssh_net(sock_net(sk));

	return tcp_under_memory_pressure(sk) ||
	       percpu_counter_read_positive(&kn->rx_mem) >
			READ_ONCE(kn->rx_mem_max);
}

/* Take @bytes of what the windows of a connection may add up to. */
bool kssh_chan_window_charge(struct kssh_context *ctx, u32 bytes)
{
	struct kssh_net *kn = kssh_net(sock_net(ctx->sk));

	if (atomic64_add_return(bytes, &ctx->windows) <=
	    READ_ONCE(kn->conn_window_max))
		return true;
	atomic64_sub(bytes, &ctx->windows);
	return false;
}

/* Before a grant: is the window what holds the peer back? Under chan->lock. */
static void rx_tune(struct kssh_chan *chan)
{
	struct kssh_rx_window *win = &chan->rx_win;
	struct kssh_context *ctx = chan->ctx;
	u32 more;

	more = kssh_rx_window_tune(win, div_u64(ktime_get_ns(), NSEC_PER_USEC),
				   rx_rtt_us(ctx));
	if (!more || rx_mem_is_short(chan) ||
	    !kssh_chan_window_charge(ctx, more))
		return;
	kssh_rx_window_grow(win, more);
	KSSH_INC(ctx->sk, RXWINDOWGROWN);
}

/* How much to grant: less if memory is short, but something. */
u32 kssh_chan_grant(struct kssh_chan *chan)
{
	struct kssh_rx_window *win = &chan->rx_win;
	u32 bytes;

	rx_tune(chan);
	bytes = win->consumed;
	if (win->window + bytes > RX_WINDOW_SHORT && rx_mem_is_short(chan)) {
		KSSH_INC(chan->ctx->sk, RXMEMLIMIT);
		bytes = win->window < RX_WINDOW_SHORT ?
			min(bytes, RX_WINDOW_SHORT - win->window) : 0;
	}
	kssh_rx_window_grant(win, bytes);
	return bytes;
}

/* The reader took, or we dropped, @len bytes. */
void kssh_chan_consumed(struct kssh_chan *chan, u32 len)
{
	u32 grant;

	if (!len)
		return;
	spin_lock(&chan->lock);
	grant = kssh_rx_window_consume(&chan->rx_win, len);
	if (chan->flags & (BIT(KSSH_C_CLOSE_SENT) | BIT(KSSH_C_CLOSE_RCVD) |
			   BIT(KSSH_C_EOF_RCVD) | BIT(KSSH_C_ADJUST)))
		grant = 0;
	spin_unlock(&chan->lock);
	if (grant)
		rx_grant(chan);
}

/* Sorting, under ctx->rx.lock. */

/*
 * Keep small pieces together: a peer that fills our window byte by byte must
 * not cost a page for each. Only linear buffers grow, under the queue's lock,
 * and until a reader has seen them.
 */
static bool rx_gather(struct sk_buff_head *queue, struct sk_buff *skb)
{
	struct kssh_skb_cb *cb = kssh_cb(skb);
	u32 len = cb->end - cb->off;
	struct sk_buff *tail;
	bool done = false;

	spin_lock(&queue->lock);
	tail = skb_peek_tail(queue);
	if (tail && !kssh_cb(tail)->busy && !skb_is_nonlinear(tail) &&
	    skb_tailroom(tail) >= len && kssh_cb(tail)->end == tail->len) {
		skb_copy_bits(skb, cb->off, skb_put(tail, len), len);
		kssh_cb(tail)->end = tail->len;
		done = true;
	}
	spin_unlock(&queue->lock);
	return done;
}

/* Returns the buffer to queue in place of a small @skb, or NULL. */
static struct sk_buff *rx_gather_begin(struct sk_buff *skb)
{
	struct kssh_skb_cb *cb = kssh_cb(skb);
	u32 len = cb->end - cb->off;
	struct sk_buff *big;

	big = alloc_skb(GATHER_SIZE, GFP_KERNEL);
	if (!big)
		return NULL;
	skb_copy_bits(skb, cb->off, skb_put(big, len), len);
	kssh_cb(big)->off = 0;
	kssh_cb(big)->end = len;
	kssh_cb(big)->busy = false;
	return big;
}

static bool rx_tail_is_small(struct sk_buff_head *queue)
{
	struct sk_buff *tail;
	bool small;

	spin_lock(&queue->lock);
	tail = skb_peek_tail(queue);
	small = tail && !skb_is_nonlinear(tail);
	spin_unlock(&queue->lock);
	return small;
}

/* Memory. */

/*
 * The channel socket pays for what it queues: TCP's memory and the control
 * group's. The peer was promised the window, so what cannot be paid for is
 * queued all the same; but then no window grows, and grants get small.
 */
static void rx_charge(struct sock *sk, struct sk_buff *skb)
{
	lock_sock(sk);
	kssh_cb(skb)->charged = sk_rmem_schedule(sk, skb, skb->truesize);
	if (kssh_cb(skb)->charged) {
		atomic_add(skb->truesize, &sk->sk_rmem_alloc);
		sk_mem_charge(sk, skb->truesize);
	}
	release_sock(sk);
	percpu_counter_add(&kssh_net(sock_net(sk))->rx_mem, skb->truesize);
}

static void rx_uncharge(struct sock *sk, struct sk_buff *skb)
{
	percpu_counter_sub(&kssh_net(sock_net(sk))->rx_mem, skb->truesize);
	if (!kssh_cb(skb)->charged)
		return;
	lock_sock(sk);
	atomic_sub(skb->truesize, &sk->sk_rmem_alloc);
	sk_mem_uncharge(sk, skb->truesize);
	release_sock(sk);
}

/* Nobody else has the queue any more. */
void kssh_chan_rx_purge(struct sock *sk)
{
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(&sk->sk_receive_queue))) {
		rx_uncharge(sk, skb);
		kfree_skb(skb);
	}
	sk_mem_reclaim(sk);
}

static void rx_queue(struct kssh_chan_sock *csk, struct sk_buff *skb)
{
	struct sk_buff_head *queue = &csk->sk.sk_receive_queue;
	struct sk_buff *big;

	if (!skb_is_nonlinear(skb)) {
		if (rx_gather(queue, skb)) {
			consume_skb(skb);
			goto wake;
		}
		/* the second small piece in a row is worth a buffer */
		if (rx_tail_is_small(queue)) {
			big = rx_gather_begin(skb);
			if (big) {
				consume_skb(skb);
				skb = big;
			}
		}
	}
	rx_charge(&csk->sk, skb);
	spin_lock(&queue->lock);
	__skb_queue_tail(queue, skb);
	spin_unlock(&queue->lock);
wake:
	kssh_wake(&csk->sk, EPOLLIN | EPOLLRDNORM);
}

static void rx_data(struct kssh_context *ctx, struct kssh_chan *chan,
		    struct sk_buff *skb, const struct kssh_channel_msg *msg)
{
	struct kssh_chan_sock *csk = NULL;
	int err, mib = KSSH_MIB_WINDOWOVERRUN;
	u32 len = msg->data_len;

	spin_lock(&chan->lock);
	err = kssh_rx_window_charge(&chan->rx_win, len);
	/* RFC 4254 5.3: the peer "will no longer send more data" */
	if (chan->flags & BIT(KSSH_C_EOF_RCVD)) {
		mib = KSSH_MIB_PROTOCOL;
		err = -EPROTO;
	}
	chan->rx_bytes += len;
	if (!err && !(chan->flags & BIT(KSSH_C_DISCARD))) {
		csk = chan->csk[KSSH_DATA_PLAIN];
		if (csk)
			sock_hold(&csk->sk);
	}
	spin_unlock(&chan->lock);

	if (err) {
		kfree_skb(skb);
		kssh_rx_fault(ctx, err, mib);
		return;
	}
	KSSH_ADD(ctx->sk, RXCHANNELBYTES, len);

	/* stderr of the peer is userspace's: a message, granted at once */
	if (msg->type == SSH_MSG_CHANNEL_EXTENDED_DATA) {
		kssh_ctl_queue(ctx, skb, KSSH_RX_MESSAGE);
		kssh_chan_consumed(chan, len);
	} else if (!csk || !len) {
		KSSH_ADD(ctx->sk, RXDISCARDED, len);
		kssh_rx_skb_free(skb);
		kssh_chan_consumed(chan, len);
	} else {
		kssh_cb(skb)->off += msg->data_off;
		rx_queue(csk, skb);
	}
	if (csk)
		sock_put(&csk->sk);
}

/* A writer may have waited for this. Under chan->lock. */
static void rx_adjust_opened(struct kssh_chan *chan, u32 bytes)
{
	u64 stall_us;

	if (!test_and_clear_bit(KSSH_C_TX_SHUT, &chan->flags))
		return;
	stall_us = div_u64(ktime_get_ns() - chan->shut_at, NSEC_PER_USEC);
	chan->shut_us += stall_us;
	atomic64_add(stall_us, &chan->ctx->shut_us);
	trace_kssh_window_opened(chan->ctx->sk, chan->local_id, bytes,
				 stall_us);
}

static void rx_adjust(struct kssh_context *ctx, struct kssh_chan *chan,
		      u32 bytes)
{
	int err;

	spin_lock(&chan->lock);
	err = kssh_tx_window_add(&chan->tx_win, bytes);
	if (!err && chan->tx_win.window)
		rx_adjust_opened(chan, bytes);
	spin_unlock(&chan->lock);
	if (err) {
		kssh_rx_fault(ctx, err, KSSH_MIB_WINDOWOVERFLOW);
		return;
	}
	kssh_chan_wake_writers(chan);
}

static void rx_eof(struct kssh_chan *chan)
{
	struct kssh_chan_sock *csk;

	bool again;

	spin_lock(&chan->lock);
	again = test_and_set_bit(KSSH_C_EOF_RCVD, &chan->flags);
	spin_unlock(&chan->lock);
	if (!again)
		trace_kssh_channel_eof(chan->ctx->sk, false, chan->local_id,
				       chan->rx_bytes);

	csk = kssh_chan_sock_get(chan, KSSH_DATA_PLAIN);
	if (!csk)
		return;
	kssh_chan_shut(csk, RCV_SHUTDOWN);
	kssh_wake(&csk->sk, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
	sock_put(&csk->sk);
}

/*
 * DATA, EXTENDED_DATA, WINDOW_ADJUST, EOF and CLOSE of bound channels. Returns
 * whether @skb is taken care of; else it goes to userspace.
 */
bool kssh_chan_rx(struct kssh_context *ctx, struct sk_buff *skb,
		  const u8 *hdr, u32 hdr_len)
{
	struct kssh_skb_cb *cb = kssh_cb(skb);
	struct kssh_channel_msg msg;
	struct kssh_chan *chan;
	bool taken = true;

	if (kssh_parse_channel_msg(hdr, hdr_len, cb->end - cb->off, &msg)) {
		kfree_skb(skb);
		kssh_rx_fault(ctx, -EPROTO, KSSH_MIB_PROTOCOL);
		return true;
	}
	chan = kssh_chan_find(ctx, msg.recipient);
	if (!chan)
		return false;

	switch (msg.type) {
	case SSH_MSG_CHANNEL_DATA:
	case SSH_MSG_CHANNEL_EXTENDED_DATA:
		rx_data(ctx, chan, skb, &msg);
		goto out;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST:
		rx_adjust(ctx, chan, msg.adjust);
		break;
	case SSH_MSG_CHANNEL_EOF:
		rx_eof(chan);
		break;
	case SSH_MSG_CHANNEL_CLOSE:
		/* userspace answers it */
		rx_eof(chan);
		/* first, so that the number is free when userspace hears it */
		kssh_chan_closed(ctx, chan, KSSH_C_CLOSE_RCVD);
		kssh_ctl_queue(ctx, skb, KSSH_RX_MESSAGE);
		goto out;
	}
	consume_skb(skb);
out:
	kssh_chan_put(chan);
	return taken;
}

/* Reading. */

/* Bytes in the queue, not more than SIOCINQ can say. */
u32 kssh_chan_inq(struct sock *sk)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct sk_buff *skb;
	u32 len = 0;

	spin_lock(&queue->lock);
	skb_queue_walk(queue, skb)
		len += kssh_cb(skb)->end - kssh_cb(skb)->off;
	spin_unlock(&queue->lock);
	return min_t(u32, len, INT_MAX);
}

/* @len bytes of @skb, the head of the queue, are read. */
static void rx_eat(struct sock *sk, struct sk_buff *skb, u32 len)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	bool empty;

	spin_lock(&queue->lock);
	kssh_cb(skb)->off += len;
	empty = kssh_cb(skb)->off == kssh_cb(skb)->end;
	if (empty)
		__skb_unlink(skb, queue);
	spin_unlock(&queue->lock);
	if (!empty)
		return;
	rx_uncharge(sk, skb);
	kssh_rx_skb_free(skb);
}

/*
 * No data: will there be any? -EAGAIN, 0 at the end of file, or an error. The
 * error stays until rx_take_error().
 */
static int rx_end(struct kssh_chan_sock *csk)
{
	u8 shutdown = READ_ONCE(csk->sk.sk_shutdown);

	if (!(shutdown & RCV_SHUTDOWN))
		return -EAGAIN;
	/* pairs with chan_kill() */
	smp_rmb();
	return READ_ONCE(csk->rx_err);
}

/* A reader is told why there are no more data, once. */
static int rx_take_error(struct kssh_chan_sock *csk, int err)
{
	if (err == READ_ONCE(csk->rx_err)) {
		WRITE_ONCE(csk->rx_err, 0);
		sock_error(&csk->sk);
	}
	return err;
}

static bool rx_readable(struct sock *sk)
{
	return !skb_queue_empty_lockless(&sk->sk_receive_queue) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN;
}

/* Sleep until there is something. Drops csk->rx_lock meanwhile. */
static int rx_wait(struct kssh_chan_sock *csk, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct sock *sk = &csk->sk;

	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);

	mutex_unlock(&csk->rx_lock);
	add_wait_queue(sk_sleep(sk), &wait);
	kssh_rx_await(csk->chan->ctx, sk);
	if (!rx_readable(sk))
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	remove_wait_queue(sk_sleep(sk), &wait);
	mutex_lock(&csk->rx_lock);
	return 0;
}

/*
 * Wait for data: 1 there are some; 0 end of file; or an error. Opens packets
 * itself if nobody else is at it.
 */
static int rx_wait_data(struct kssh_chan_sock *csk, long *timeo)
{
	struct kssh_context *ctx = csk->chan->ctx;
	struct sk_buff_head *queue = &csk->sk.sk_receive_queue;
	int err;

	for (;;) {
		if (!skb_queue_empty_lockless(queue))
			return 1;
		kssh_rx_run(ctx);
		if (!skb_queue_empty_lockless(queue))
			return 1;
		err = rx_end(csk);
		if (err != -EAGAIN) {
			/* what came before the end comes first */
			smp_rmb();
			return skb_queue_empty_lockless(queue) ? err : 1;
		}
		err = rx_wait(csk, timeo);
		if (err)
			return err;
	}
}

/* A reader begins with @skb; returns what is in it. Under the queue's lock. */
static u32 rx_begin(struct sk_buff *skb)
{
	kssh_cb(skb)->busy = true;
	return kssh_cb(skb)->end - kssh_cb(skb)->off;
}

/* The head of the queue, and how much of it can be read. */
static struct sk_buff *rx_head(struct sock *sk, u32 *len)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct sk_buff *skb;

	spin_lock(&queue->lock);
	skb = skb_peek(queue);
	*len = rx_begin(skb);
	spin_unlock(&queue->lock);
	return skb;
}

static int rx_copy(struct sock *sk, struct msghdr *msg, u32 size, int flags)
{
	u32 len;
	struct sk_buff *skb = rx_head(sk, &len);
	struct kssh_skb_cb *cb = kssh_cb(skb);
	int err;

	len = min(len, size);

	if (!(flags & MSG_TRUNC)) {
		err = skb_copy_datagram_msg(skb, cb->off, msg, len);
		if (err)
			return err;
	}
	rx_eat(sk, skb, len);
	return len;
}

/*
 * Reading without taking: the queue may only grow meanwhile. What was seen may
 * grow again, or one who looks at every byte would make each cost a buffer.
 */
static int rx_peek(struct sock *sk, struct msghdr *msg, u32 size)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	u32 len, copied = 0;
	struct sk_buff *skb = rx_head(sk, &len), *seen;
	int err;

	do {
		len = min(len, size - copied);
		err = skb_copy_datagram_msg(skb, kssh_cb(skb)->off, msg, len);
		if (!err)
			copied += len;
		seen = skb;
		spin_lock(&queue->lock);
		kssh_cb(seen)->busy = false;
		skb = err || copied == size ? NULL : skb_peek_next(seen, queue);
		if (skb)
			len = rx_begin(skb);
		spin_unlock(&queue->lock);
	} while (skb);
	return copied ? copied : err;
}

static int rx_read(struct kssh_chan_sock *csk, struct msghdr *msg, size_t size,
		   int flags)
{
	struct sock *sk = &csk->sk;
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	u32 target = sock_rcvlowat(sk, flags & MSG_WAITALL, size);
	int err = 0, copied = 0, eaten = 0;

	while (copied < size) {
		if (skb_queue_empty_lockless(&sk->sk_receive_queue)) {
			if (copied >= target)
				break;
			/* a window's worth of data may be less than asked */
			kssh_chan_consumed(csk->chan, eaten);
			eaten = 0;
		}
		err = rx_wait_data(csk, &timeo);
		if (err <= 0)
			break;
		if (flags & MSG_PEEK) {
			err = rx_peek(sk, msg, size);
			if (err > 0)
				copied = err;
			break;
		}
		err = rx_copy(sk, msg, size - copied, flags);
		if (err < 0)
			break;
		copied += err;
		eaten += err;
	}
	kssh_chan_consumed(csk->chan, eaten);
	if (copied)
		return copied;
	return err < 0 ? rx_take_error(csk, err) : err;
}

/**
 * kssh_chan_recvmsg - recvmsg on a channel socket
 * @sock: the socket
 * @msg: where to
 * @size: how much
 * @flags: MSG_PEEK, MSG_WAITALL, MSG_TRUNC (drop), MSG_DONTWAIT
 *
 * Return: bytes, 0 at end of file, or an error
 */
int kssh_chan_recvmsg(struct socket *sock, struct msghdr *msg, size_t size,
		      int flags)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);
	int ret;

	if (csk->data_type)
		return -EOPNOTSUPP;
	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;

	size = min_t(size_t, size, INT_MAX);
	if (mutex_lock_interruptible(&csk->rx_lock))
		return -ERESTARTSYS;
	ret = rx_read(csk, msg, size, flags);
	mutex_unlock(&csk->rx_lock);

	if (msg->msg_get_inq)
		msg->msg_inq = kssh_chan_inq(sock->sk);
	return ret;
}

ssize_t kssh_chan_splice_read(struct socket *sock, loff_t *ppos,
			      struct pipe_inode_info *pipe, size_t len,
			      unsigned int flags)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);
	struct sock *sk = sock->sk;
	struct sk_buff *skb;
	ssize_t ret = 0;
	long timeo;
	u32 part;

	if (csk->data_type)
		return -EOPNOTSUPP;
	timeo = sock_rcvtimeo(sk, flags & SPLICE_F_NONBLOCK ||
			      sock->file->f_flags & O_NONBLOCK);

	if (mutex_lock_interruptible(&csk->rx_lock))
		return -ERESTARTSYS;
	if (len)
		ret = rx_wait_data(csk, &timeo);
	if (ret > 0) {
		skb = rx_head(sk, &part);
		part = min_t(size_t, len, part);
		ret = skb_splice_bits(skb, sk, kssh_cb(skb)->off, pipe, part,
				      flags);
		if (ret > 0) {
			rx_eat(sk, skb, ret);
			kssh_chan_consumed(csk->chan, ret);
		} else if (!ret) {
			ret = -ENOMEM;	/* not the end of file */
		}
	} else if (ret < 0) {
		rx_take_error(csk, ret);
	}
	mutex_unlock(&csk->rx_lock);
	return ret;
}

static struct sk_buff *rx_dequeue(struct sk_buff_head *queue)
{
	struct sk_buff *skb;

	spin_lock(&queue->lock);
	skb = __skb_dequeue(queue);
	spin_unlock(&queue->lock);
	return skb;
}

/* Nobody will read: drop what is there, and grant its window again. */
void kssh_chan_rx_discard(struct kssh_chan_sock *csk)
{
	struct kssh_chan *chan = csk->chan;
	struct sk_buff_head *queue = &csk->sk.sk_receive_queue;
	struct sk_buff *skb;
	u32 len = 0;

	spin_lock(&chan->lock);
	set_bit(KSSH_C_DISCARD, &chan->flags);
	spin_unlock(&chan->lock);

	/* whoever has looked at the flag before is done after this */
	mutex_lock(&chan->ctx->rx.lock);
	mutex_unlock(&chan->ctx->rx.lock);

	mutex_lock(&csk->rx_lock);
	while ((skb = rx_dequeue(queue))) {
		len += kssh_cb(skb)->end - kssh_cb(skb)->off;
		rx_uncharge(&csk->sk, skb);
		kssh_rx_skb_free(skb);
	}
	mutex_unlock(&csk->rx_lock);
	kssh_chan_consumed(chan, len);
}
