// SPDX-License-Identifier: GPL-2.0-only
/* recvmsg on the TCP socket: a payload or an event. */
#include "kssh.h"

/* Below this a throttled receiver goes on. */
#define CTL_RESUME_BYTES	(KSSH_CTL_QUEUE_BYTES / 2)
#define CTL_RESUME_MSGS		(KSSH_CTL_QUEUE_MSGS / 2)

void kssh_ctl_wake(struct kssh_context *ctx)
{
	if (!kssh_test(ctx, KSSH_F_CLOSED))
		kssh_wake(ctx->sk, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLERR);
}

bool kssh_ctl_readable(struct kssh_context *ctx)
{
	return !skb_queue_empty_lockless(&ctx->ctl_queue) ||
	       READ_ONCE(ctx->due_event) ||
	       kssh_test(ctx, KSSH_F_RX_EOF) ||
	       kssh_test(ctx, KSSH_F_RX_DEAD);
}

/* Queue a message or event, its cb filled in, for userspace. */
void kssh_ctl_queue(struct kssh_context *ctx, struct sk_buff *skb, u16 kind)
{
	struct sk_buff_head *queue = &ctx->ctl_queue;
	bool full;

	kssh_cb(skb)->kind = kind;
	spin_lock(&queue->lock);
	__skb_queue_tail(queue, skb);
	ctx->ctl_bytes += skb->truesize;
	full = kind == KSSH_RX_MESSAGE &&
	       (ctx->ctl_bytes > KSSH_CTL_QUEUE_BYTES ||
		skb_queue_len(queue) > KSSH_CTL_QUEUE_MSGS);
	if (full && !test_and_set_bit(KSSH_F_RX_THROTTLED, &ctx->flags))
		KSSH_INC(ctx->sk, RXTHROTTLED);
	spin_unlock(&queue->lock);
	kssh_ctl_wake(ctx);
}

static void ctl_consume(struct kssh_context *ctx, struct sk_buff *skb)
{
	struct sk_buff_head *queue = &ctx->ctl_queue;
	bool resume;

	spin_lock(&queue->lock);
	__skb_unlink(skb, queue);
	ctx->ctl_bytes -= skb->truesize;
	resume = kssh_test(ctx, KSSH_F_RX_THROTTLED) &&
		 ctx->ctl_bytes < CTL_RESUME_BYTES &&
		 skb_queue_len(queue) < CTL_RESUME_MSGS;
	if (resume)
		clear_bit(KSSH_F_RX_THROTTLED, &ctx->flags);
	spin_unlock(&queue->lock);
	consume_skb(skb);
	if (resume)
		kssh_rx_poke(ctx);
}

/* Length of what the next recvmsg returns. */
int kssh_ctl_inq(struct kssh_context *ctx)
{
	struct sk_buff *skb;
	int len = 0;

	if (READ_ONCE(ctx->due_event))
		return sizeof(struct kssh_event);
	spin_lock(&ctx->ctl_queue.lock);
	skb = skb_peek(&ctx->ctl_queue);
	if (skb)
		len = kssh_cb(skb)->end - kssh_cb(skb)->off;
	spin_unlock(&ctx->ctl_queue.lock);
	return len;
}

static bool has_cmsg_room(const struct msghdr *msg)
{
	return (msg->msg_control_is_user ? !!msg->msg_control_user :
					   !!msg->msg_control) &&
	       msg->msg_controllen >= CMSG_LEN(sizeof(struct kssh_cmsg_rx));
}

static void put_kind(struct msghdr *msg, u16 kind, u32 pkt_seq)
{
	struct kssh_cmsg_rx rx = { .kind = kind, .pkt_seq = pkt_seq };

	put_cmsg(msg, SOL_KSSH, KSSH_CMSG_RX, sizeof(rx), &rx);
}

/* The event that is not queued, so that a rekey can take it back. */
static int recv_due(struct kssh_context *ctx, struct msghdr *msg, size_t size,
		    int flags)
{
	struct kssh_event event = { .type = KSSH_EVENT_REKEY_DUE };

	if (!has_cmsg_room(msg))
		return -EIO;
	if (size < sizeof(event))
		return -EMSGSIZE;
	event.value = READ_ONCE(ctx->due_event);
	if (!event.value)
		return -EAGAIN;
	if (copy_to_iter(&event, sizeof(event), &msg->msg_iter) !=
	    sizeof(event))
		return -EFAULT;
	/* only now is it told; a rekey may have taken it back meanwhile */
	if (!(flags & MSG_PEEK))
		cmpxchg(&ctx->due_event, (u32)event.value, 0);
	put_kind(msg, KSSH_RX_EVENT, 0);
	return sizeof(event);
}

static int recv_skb(struct kssh_context *ctx, struct sk_buff *skb,
		    struct msghdr *msg, size_t size, int flags)
{
	struct kssh_skb_cb *cb = kssh_cb(skb);
	u32 len = cb->end - cb->off;
	int err;

	if (cb->kind == KSSH_RX_EVENT && !has_cmsg_room(msg))
		return -EIO;
	if (size < len)
		return -EMSGSIZE;
	err = skb_copy_datagram_msg(skb, cb->off, msg, len);
	if (err)
		return err;
	if (has_cmsg_room(msg))
		put_kind(msg, cb->kind, cb->pkt_seq);
	if (!(flags & MSG_PEEK))
		ctl_consume(ctx, skb);
	return len;
}

/*
 * We are the only one to take from the queue, so the head stays; the lock is for
 * what whoever queued it has written into it.
 */
static struct sk_buff *ctl_head(struct kssh_context *ctx)
{
	struct sk_buff_head *queue = &ctx->ctl_queue;
	struct sk_buff *skb;

	if (skb_queue_empty_lockless(queue))
		return NULL;
	spin_lock(&queue->lock);
	skb = skb_peek(queue);
	spin_unlock(&queue->lock);
	return skb;
}

/* One message, one event, end of file, an error; -EAGAIN nothing yet. */
static int recv_one(struct kssh_context *ctx, struct msghdr *msg, size_t size,
		    int flags)
{
	struct sk_buff *skb;
	unsigned long end;
	int err;

	if (READ_ONCE(ctx->due_event)) {
		err = recv_due(ctx, msg, size, flags);
		if (err != -EAGAIN)
			return err;
	}
	skb = ctl_head(ctx);
	if (skb)
		return recv_skb(ctx, skb, msg, size, flags);
	end = READ_ONCE(ctx->flags) &
	      (BIT(KSSH_F_RX_DEAD) | BIT(KSSH_F_RX_EOF));
	if (!end)
		return -EAGAIN;
	/* pairs with kssh_rx_fault() and rx_end(): the queue is complete */
	smp_rmb();
	if (!skb_queue_empty_lockless(&ctx->ctl_queue))
		return -EAGAIN;
	return end & BIT(KSSH_F_RX_DEAD) ? READ_ONCE(ctx->rx_err) : 0;
}

static int ctl_wait(struct kssh_context *ctx, struct sock *sk, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);

	add_wait_queue(sk_sleep(sk), &wait);
	kssh_rx_await(ctx, sk);
	if (!kssh_ctl_readable(ctx))
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	remove_wait_queue(sk_sleep(sk), &wait);
	return 0;
}

/**
 * kssh_do_recvmsg - recvmsg on the TCP socket, once RX keys are installed
 * @sk: the TCP socket
 * @msg: where to
 * @size: room there
 * @flags: MSG_*
 *
 * Return: length of the payload or event, 0 at the end, or an error
 */
int kssh_do_recvmsg(struct sock *sk, struct msghdr *msg, size_t size,
		    int flags)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	int err;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;

	if (mutex_lock_interruptible(&ctx->ctl_rx_lock))
		return -ERESTARTSYS;
	for (;;) {
		err = recv_one(ctx, msg, size, flags);
		if (err != -EAGAIN)
			break;
		kssh_rx_run(ctx);
		err = recv_one(ctx, msg, size, flags);
		if (err != -EAGAIN)
			break;
		mutex_unlock(&ctx->ctl_rx_lock);
		err = ctl_wait(ctx, sk, &timeo);
		if (err)
			return err;
		if (mutex_lock_interruptible(&ctx->ctl_rx_lock))
			return -ERESTARTSYS;
	}
	mutex_unlock(&ctx->ctl_rx_lock);
	return err;
}
