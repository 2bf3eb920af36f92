// SPDX-License-Identifier: GPL-2.0-only
/* sendmsg on the TCP socket: a payload to a packet. */
#include "kssh.h"

/* What it means that this message left, under ctx->tx.lock. */
static void ctl_sent(struct kssh_context *ctx, u8 type)
{
	switch (type) {
	case SSH_MSG_KEXINIT:
		ctx->tx.stopped = ktime_get_ns();
		set_bit(KSSH_F_TX_GATED, &ctx->flags);
		break;
	case SSH_MSG_NEWKEYS:
		set_bit(KSSH_F_TX_PARKED, &ctx->flags);
		break;
	case SSH_MSG_DISCONNECT:
		if (kssh_test(ctx, KSSH_F_RX_DEAD))
			set_bit(KSSH_F_TX_LAST, &ctx->flags);
		break;
	}
}

static int ctl_try_send(struct kssh_context *ctx, bool more)
{
	struct kssh_tx_packet *pkt = &ctx->ctl_pkt;
	u8 close[KSSH_EOF_LEN], type = pkt->head[1];
	bool is_close, began = false;
	int err;

	is_close = type == SSH_MSG_CHANNEL_CLOSE &&
		   pkt->data_len == KSSH_EOF_LEN;
	if (is_close)
		memcpy(close, pkt->head + 1, sizeof(close));

	mutex_lock(&ctx->tx.lock);
	err = kssh_tx_check(ctx, type);
	if (!err && kssh_test(ctx, KSSH_F_TX_LAST))
		err = -EPIPE;
	if (!err) {
		/* before it leaves: the answer may come while we are here */
		if (type == SSH_MSG_KEXINIT)
			began = !test_and_set_bit(KSSH_F_RX_KEX, &ctx->flags);
		err = kssh_tx_packet(ctx, pkt, more);
		if (err && began)
			clear_bit(KSSH_F_RX_KEX, &ctx->flags);
	}
	if (!err)
		ctl_sent(ctx, type);
	/* in the same breath: whoever waits for the lock sends nothing more */
	if (!err && is_close)
		kssh_chan_close_sent(ctx, close, sizeof(close));
	mutex_unlock(&ctx->tx.lock);
	return err;
}

/* Sleep until TCP may have room. */
static int ctl_wait(struct kssh_context *ctx, struct sock *sk, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);

	add_wait_queue(sk_sleep(sk), &wait);
	/* in the queue before we look: pairs with kssh_wake() */
	smp_mb();
	if (!kssh_tx_writable(ctx))
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	remove_wait_queue(sk_sleep(sk), &wait);
	return 0;
}

static int ctl_send(struct kssh_context *ctx, struct msghdr *msg, u32 size,
		    long timeo)
{
	struct kssh_tx_packet *pkt = &ctx->ctl_pkt;
	u32 left = size;
	int err;

	kssh_pkt_reset(pkt, 1);
	while (left) {
		err = kssh_pkt_add(pkt, &msg->msg_iter, left, false);
		if (err <= 0)
			goto out;
		left -= err;
	}
	do {
		err = ctl_try_send(ctx, msg->msg_flags & MSG_MORE);
		if (err != -EAGAIN)
			break;
		err = ctl_wait(ctx, ctx->sk, &timeo);
	} while (!err);
out:
	kssh_pkt_free(pkt);
	return err;
}

/**
 * kssh_sendmsg - sendmsg on the TCP socket
 * @sk: the TCP socket
 * @msg: a payload
 * @size: its length
 *
 * Return: @size or an error
 */
int kssh_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);
	long timeo = sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT);
	int err;

	if (!kssh_test(ctx, KSSH_F_TX_READY))
		return ctx->sk_proto->sendmsg(sk, msg, size);
	if (msg->msg_flags & (MSG_OOB | MSG_SPLICE_PAGES | MSG_FASTOPEN))
		return -EOPNOTSUPP;
	if (!size || size > KSSH_CTL_MAX)
		return size ? -EMSGSIZE : -EINVAL;

	if (!mutex_trylock(&ctx->ctl_tx_lock)) {
		if (!timeo)
			return -EAGAIN;
		err = mutex_lock_interruptible(&ctx->ctl_tx_lock);
		if (err)
			return -ERESTARTSYS;
	}
	err = ctl_send(ctx, msg, size, timeo);
	mutex_unlock(&ctx->ctl_tx_lock);
	if (err == -EPIPE)
		err = sk_stream_error(sk, msg->msg_flags, err);
	return err ? err : size;
}
