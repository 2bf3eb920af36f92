// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP to packet to payload: frame, open, check, sort.
 *
 * The framer copies from the TCP receive queue into pages of our own, under
 * the socket's lock; the cipher works in those, without it. Frags of TCP may
 * be anybody's pages (a file's, over loopback): they are only ever read.
 */
#include <linux/poll.h>
#include <linux/slab.h>

#include "kssh.h"

#define RX_NOMEM_DELAY	(HZ / 50)

/* Framing, under lock_sock() and ctx->rx.lock. */

/* @len bytes of TCP's @from at @off to offset @to of our @skb. */
static int frame_copy(struct sk_buff *skb, u32 to, struct sk_buff *from,
		      u32 off, u32 len)
{
	u32 i, n, size;
	int err;

	if (!skb_is_nonlinear(skb))
		return skb_copy_bits(from, off, skb->data + to, len);

	for (i = 0; len && i < skb_shinfo(skb)->nr_frags; i++) {
		skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		size = skb_frag_size(frag);
		if (to >= size) {
			to -= size;
			continue;
		}
		n = min(len, size - to);
		err = skb_copy_bits(from, off, skb_frag_address(frag) + to, n);
		if (err)
			return err;
		off += n;
		len -= n;
		to = 0;
	}
	return 0;
}

/* The length field is there: check it, get memory. */
static int frame_begin(struct kssh_rx *rx)
{
	const struct kssh_layout *layout = &rx->cipher->desc->layout;
	u32 pkt_len;
	int err;

	pkt_len = rx->cipher->desc->ops->open_len(rx->cipher, rx->frame_seq,
						  rx->hdr);
	err = kssh_check_packet_len(layout, pkt_len);
	if (err)
		return err;
	rx->skb = kssh_rx_skb_alloc(pkt_len + layout->tag_len);
	if (!rx->skb)
		return -ENOMEM;
	memset(rx->skb->cb, 0, sizeof(rx->skb->cb));
	/* until it is opened: the length field as it came */
	memcpy(rx->skb->cb, rx->hdr, sizeof(rx->hdr));
	rx->fill = 0;
	return 0;
}

static void frame_end(struct kssh_rx *rx)
{
	__skb_queue_tail(&rx->ready, rx->skb);
	rx->ready_bytes += rx->skb->len;
	rx->skb = NULL;
	rx->hdr_len = 0;
	rx->frame_seq++;
}

/*
 * Bytes behind NEWKEYS are framed by the next keys: from the time it may come
 * on, one packet is framed, then opened. RFC 4253 7.3.
 */
static bool frame_full(struct kssh_context *ctx)
{
	struct kssh_rx *rx = &ctx->rx;

	if (kssh_test(ctx, KSSH_F_RX_KEX))
		return !skb_queue_empty(&rx->ready);
	return rx->ready_bytes >= KSSH_RX_BATCH;
}

static int frame_step(struct kssh_rx *rx, struct sk_buff *skb, u32 off,
		      u32 len)
{
	u32 n;
	int err;

	if (rx->hdr_len < sizeof(rx->hdr)) {
		n = min_t(u32, len, sizeof(rx->hdr) - rx->hdr_len);
		err = skb_copy_bits(skb, off, rx->hdr + rx->hdr_len, n);
		if (err)
			return err;
		rx->hdr_len += n;
		return n;
	}
	n = min(len, rx->skb->len - rx->fill);
	err = frame_copy(rx->skb, rx->fill, skb, off, n);
	if (err)
		return err;
	rx->fill += n;
	if (rx->fill == rx->skb->len)
		frame_end(rx);
	return n;
}

static int frame_actor(read_descriptor_t *desc, struct sk_buff *skb,
		       unsigned int off, size_t len)
{
	struct kssh_context *ctx = desc->arg.data;
	struct kssh_rx *rx = &ctx->rx;
	u32 used = 0;
	int ret = 0;

	while (desc->count && used < len) {
		if (frame_full(ctx)) {
			desc->count = 0;
			break;
		}
		ret = frame_step(rx, skb, off + used, len - used);
		if (ret < 0)
			break;
		used += ret;
		if (rx->hdr_len == sizeof(rx->hdr) && !rx->skb) {
			ret = frame_begin(rx);
			if (ret)
				break;
		}
	}
	if (ret < 0) {
		desc->error = ret;
		desc->count = 0;
	}
	return used;
}

/*
 * Take from TCP what it has, up to a batch. 0; -ENOMEM later; or the stream's
 * end or error in rx->frame_err.
 */
static int frame_more(struct kssh_context *ctx)
{
	read_descriptor_t desc = { .arg.data = ctx, .count = 1 };
	struct kssh_rx *rx = &ctx->rx;
	struct sock *sk = ctx->sk;
	int err;

	if (rx->frame_err)
		return 0;

	lock_sock(sk);
	/* a header without memory for its packet */
	if (rx->hdr_len == sizeof(rx->hdr) && !rx->skb)
		desc.error = frame_begin(rx);
	if (!desc.error)
		tcp_read_sock(sk, &desc, frame_actor);
	if (desc.error) {
		if (desc.error != -ENOMEM)
			rx->frame_err = desc.error;
	} else if (desc.count) {
		/* it has no more; not: we are full */
		/* SO_ERROR takes it, without the socket's lock */
		err = READ_ONCE(sk->sk_err);
		if (err)
			rx->frame_err = -err;
		else if (sk->sk_shutdown & RCV_SHUTDOWN ||
			 sk->sk_state == TCP_CLOSE)
			rx->frame_err = -ENODATA;
		else if (tcp_sk(sk)->urg_data)
			rx->frame_err = -EPROTO;
	}
	release_sock(sk);
	return desc.error == -ENOMEM ? -ENOMEM : 0;
}

static int drop_actor(read_descriptor_t *desc, struct sk_buff *skb,
		      unsigned int off, size_t len)
{
	return len;
}

/*
 * After a fault: whatever comes is thrown away. Were it left unread, closing
 * the socket would send RST, and take our SSH_MSG_DISCONNECT from the peer.
 */
static void frame_drop(struct kssh_context *ctx)
{
	read_descriptor_t desc = { .count = 1 };

	lock_sock(ctx->sk);
	tcp_read_sock(ctx->sk, &desc, drop_actor);
	release_sock(ctx->sk);
}

void kssh_rx_reset(struct kssh_rx *rx)
{
	kfree_skb(rx->skb);
	rx->skb = NULL;
	rx->hdr_len = 0;
	rx->ready_bytes = 0;
	__skb_queue_purge(&rx->ready);
}

/* Opening, under ctx->rx.lock. */

/**
 * kssh_rx_fault - the receiving direction is over
 * @ctx: the connection
 * @err: what recvmsg and the channels shall say, < 0
 * @mib: what to count
 *
 * The sending one is good for a last SSH_MSG_DISCONNECT.
 */
void kssh_rx_fault(struct kssh_context *ctx, int err, int mib)
{
	if (kssh_test(ctx, KSSH_F_RX_DEAD))
		return;
	if (mib)
		kssh_mib_inc(ctx->sk, mib);
	trace_kssh_error(ctx->sk, false, err, kssh_mib_name(mib));
	WRITE_ONCE(ctx->rx_err, err);
	smp_wmb(); /* rx_err and the queue before the flag */
	set_bit(KSSH_F_RX_DEAD, &ctx->flags);
	kssh_rx_reset(&ctx->rx);
	kssh_chan_kill_all(ctx, -err, false);
	kssh_ctl_wake(ctx);
}

static void rx_end(struct kssh_context *ctx)
{
	struct kssh_rx *rx = &ctx->rx;
	int err = rx->frame_err;

	if (err == -EMSGSIZE) {
		kssh_rx_fault(ctx, err, KSSH_MIB_BADLENGTH);
	} else if (err != -ENODATA) {
		kssh_rx_fault(ctx, err, 0);
	} else if (rx->hdr_len) {
		kssh_rx_fault(ctx, -EPROTO, KSSH_MIB_TRUNCATED);
	} else if (!kssh_test(ctx, KSSH_F_RX_EOF)) {
		/* the queue before the flag */
		smp_mb__before_atomic();
		set_bit(KSSH_F_RX_EOF, &ctx->flags);
		kssh_chan_kill_all(ctx, ECONNRESET, false);
		kssh_ctl_wake(ctx);
	}
}

/* Decrypt @skb in place, in pages of ours; sets cb to the payload. */
static int rx_open(struct kssh_context *ctx, struct sk_buff *skb)
{
	struct kssh_rx *rx = &ctx->rx;
	u32 tag_len = rx->cipher->desc->layout.tag_len;
	u32 pkt_len = skb->len - tag_len;
	u8 pad_len;
	int err, n;

	memcpy(rx->aad, skb->cb, sizeof(rx->aad));
	sg_init_table(rx->sg, 1 + max_t(u32, 1, skb_shinfo(skb)->nr_frags));
	sg_set_buf(rx->sg, rx->aad, sizeof(rx->aad));
	if (skb_is_nonlinear(skb)) {
		for (n = 0; n < skb_shinfo(skb)->nr_frags; n++) {
			skb_frag_t *frag = &skb_shinfo(skb)->frags[n];

			sg_set_page(&rx->sg[1 + n], skb_frag_page(frag),
				    skb_frag_size(frag), skb_frag_off(frag));
		}
	} else {
		sg_set_buf(&rx->sg[1], skb->data, skb->len);
	}

	err = kssh_rekey_account(&rx->rekey, 4 + skb->len);
	if (err) {
		kssh_rx_fault(ctx, err, KSSH_MIB_HARDLIMIT);
		return err;
	}
	err = rx->cipher->desc->ops->open(rx->cipher, rx->pkt_seq, rx->sg,
					  pkt_len);
	if (err) {
		kssh_rx_fault(ctx, err, err == -EBADMSG ? KSSH_MIB_BADMAC : 0);
		return err;
	}

	skb_copy_bits(skb, 0, &pad_len, 1);
	n = kssh_payload_len(pkt_len, pad_len);
	if (n < 0) {
		kssh_rx_fault(ctx, n, KSSH_MIB_BADPADDING);
		return n;
	}
	kssh_cb(skb)->off = 1;
	kssh_cb(skb)->end = 1 + n;
	kssh_cb(skb)->pkt_seq = rx->pkt_seq;
	return 0;
}

static void rx_account(struct kssh_context *ctx, u32 len)
{
	struct kssh_rx *rx = &ctx->rx;

	rx->pkt_seq++;
	/* read without the lock, by ss and fdinfo */
	WRITE_ONCE(rx->bytes, rx->bytes + len);
	WRITE_ONCE(rx->packets, rx->packets + 1);
	KSSH_INC(ctx->sk, RXPACKETS);
	KSSH_ADD(ctx->sk, RXBYTES, len);
	kssh_check_due(ctx, kssh_rekey_due(&rx->rekey));
}

/* Where does this payload go? */
static void rx_sort(struct kssh_context *ctx, struct sk_buff *skb)
{
	struct kssh_skb_cb *cb = kssh_cb(skb);
	u8 hdr[KSSH_EXT_DATA_HDR_LEN];
	u32 hdr_len;

	hdr_len = min_t(u32, sizeof(hdr), cb->end - cb->off);
	skb_copy_bits(skb, cb->off, hdr, hdr_len);
	trace_kssh_packet_rx(ctx->sk, cb->pkt_seq, 4 + skb->len, hdr[0]);

	if (hdr[0] >= 50 && kssh_test(ctx, KSSH_F_RX_GATED)) {
		kfree_skb(skb);
		kssh_rx_fault(ctx, -EPROTO, KSSH_MIB_PROTOCOL);
		return;
	}
	switch (hdr[0]) {
	case SSH_MSG_IGNORE:
	case SSH_MSG_DEBUG:
		KSSH_INC(ctx->sk, RXIGNORED);
		consume_skb(skb);
		return;
	case SSH_MSG_KEXINIT:
		/* RFC 4253 7.1: no message of another layer until NEWKEYS */
		set_bit(KSSH_F_RX_GATED, &ctx->flags);
		break;
	case SSH_MSG_NEWKEYS:
		/* RFC 4253 7.3: it ends a key exchange; is there one? */
		if (!kssh_test(ctx, KSSH_F_RX_KEX)) {
			kfree_skb(skb);
			kssh_rx_fault(ctx, -EPROTO, KSSH_MIB_PROTOCOL);
			return;
		}
		ctx->rx.stopped = ktime_get_ns();
		set_bit(KSSH_F_RX_PARKED, &ctx->flags);
		break;
	case SSH_MSG_CHANNEL_WINDOW_ADJUST ... SSH_MSG_CHANNEL_CLOSE:
		if (kssh_chan_rx(ctx, skb, hdr, hdr_len))
			return;
		break;
	}
	kssh_ctl_queue(ctx, skb, KSSH_RX_MESSAGE);
}

static bool rx_stopped(struct kssh_context *ctx)
{
	return READ_ONCE(ctx->flags) &
	       (BIT(KSSH_F_RX_PARKED) | BIT(KSSH_F_RX_THROTTLED) |
		BIT(KSSH_F_RX_DEAD) | BIT(KSSH_F_RX_EOF) |
		BIT(KSSH_F_CLOSED)) ||
	       !kssh_test(ctx, KSSH_F_RX_READY);
}

/*
 * Frame and open what has come. 0 it is all done; -EAGAIN there may be more;
 * -ENOMEM later. The caller holds ctx->rx.lock.
 */
int kssh_rx_pump(struct kssh_context *ctx)
{
	struct kssh_rx *rx = &ctx->rx;
	int budget = KSSH_RX_BUDGET;
	struct sk_buff *skb;

	lockdep_assert_held(&rx->lock);
	while (!rx_stopped(ctx)) {
		if (skb_queue_empty(&rx->ready) && frame_more(ctx)) {
			KSSH_INC(ctx->sk, RXNOMEM);
			return -ENOMEM;
		}
		skb = __skb_dequeue(&rx->ready);
		if (!skb) {
			if (rx->frame_err)
				rx_end(ctx);
			break;
		}
		rx->ready_bytes -= skb->len;
		budget -= skb->len;
		if (rx_open(ctx, skb)) {
			kfree_skb(skb);
			break;
		}
		rx_account(ctx, 4 + skb->len);
		rx_sort(ctx, skb);
		if (budget <= 0)
			return -EAGAIN;
		cond_resched();
	}
	if (kssh_test(ctx, KSSH_F_RX_DEAD) && !kssh_test(ctx, KSSH_F_CLOSED))
		frame_drop(ctx);
	return 0;
}

/* Who opens: a reader that waits, or the worker. */

/* Anything there that the framer has not seen? Without locks. */
static bool rx_unread(const struct kssh_context *ctx)
{
	return !skb_queue_empty_lockless(&ctx->sk->sk_receive_queue);
}

static void rx_done(struct kssh_context *ctx)
{
	/* what comes until here may wait for the tick */
	WRITE_ONCE(ctx->reader_busy, false);
}

/*
 * A reader, or somebody who polls, opens what has come, unless another is at
 * it already.
 */
void kssh_rx_run(struct kssh_context *ctx)
{
	int err;

	if (!mutex_trylock(&ctx->rx.lock))
		return;
	WRITE_ONCE(ctx->reader_busy, true);
	err = kssh_rx_pump(ctx);
	rx_done(ctx);
	mutex_unlock(&ctx->rx.lock);
	KSSH_INC(ctx->sk, RXREADER);
	if (err)
		kssh_rx_poke(ctx);
}

/* Somebody polls for data, and there are none: may be he opens some. */
void kssh_rx_poll(struct kssh_context *ctx, const poll_table *wait)
{
	if (poll_requested_events(wait) & EPOLLIN && rx_unread(ctx))
		kssh_rx_run(ctx);
}

/*
 * @reader stands in its wait queue, and is going to call kssh_rx_run() when
 * it is woken. What came before this, and nobody is at, is the worker's.
 */
void kssh_rx_await(struct kssh_context *ctx, struct sock *reader)
{
	spin_lock_bh(&ctx->reader_lock);
	ctx->reader = reader;
	spin_unlock_bh(&ctx->reader_lock);
	/* pairs with the lock in kssh_rx_data_ready() */
	smp_mb();
	if (rx_unread(ctx) && !rx_stopped(ctx) &&
	    !mutex_is_locked(&ctx->rx.lock))
		kssh_rx_poke(ctx);
}

/* Still none, and he stands in the wait queue by now. */
void kssh_rx_poll_wait(struct kssh_context *ctx, struct sock *reader,
		       const poll_table *wait)
{
	if (poll_requested_events(wait) & EPOLLIN)
		kssh_rx_await(ctx, reader);
}

/* @reader goes away. */
void kssh_rx_forget(struct kssh_context *ctx, struct sock *reader)
{
	spin_lock_bh(&ctx->reader_lock);
	if (ctx->reader == reader)
		ctx->reader = NULL;
	spin_unlock_bh(&ctx->reader_lock);
}

/*
 * TCP has something. A reader that waits decrypts on its own time and CPU; one
 * that was woken and has better to do is waited for no longer than a tick, as
 * other channels may have data in it. Softirq, or the socket is owned.
 */
void kssh_rx_data_ready(struct kssh_context *ctx)
{
	struct sock *reader;

	spin_lock_bh(&ctx->reader_lock);
	reader = ctx->reader;
	ctx->reader = NULL;
	if (reader && kssh_wake(reader, EPOLLIN | EPOLLRDNORM))
		WRITE_ONCE(ctx->reader_busy, true);
	spin_unlock_bh(&ctx->reader_lock);
	if (READ_ONCE(ctx->reader_busy))
		queue_delayed_work(kssh_wq, &ctx->rx_work, 1);
	else
		kssh_rx_poke(ctx);
}

void kssh_rx_poke(struct kssh_context *ctx)
{
	mod_delayed_work(kssh_wq, &ctx->rx_work, 0);
}

void kssh_rx_work(struct work_struct *work)
{
	struct kssh_context *ctx = container_of(work, struct kssh_context,
						rx_work.work);
	int err;

	mutex_lock(&ctx->rx.lock);
	err = kssh_rx_pump(ctx);
	rx_done(ctx);
	mutex_unlock(&ctx->rx.lock);
	KSSH_INC(ctx->sk, RXWORKER);
	if (err)
		queue_delayed_work(kssh_wq, &ctx->rx_work,
				   err == -ENOMEM ? RX_NOMEM_DELAY : 0);
}
