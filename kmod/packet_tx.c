// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet to TCP: seal, hand over.
 *
 * A packet takes its sequence number and nonce when it is sealed, under
 * ctx->tx.lock; from there it reaches TCP, if need be in two parts, or the
 * direction dies.
 */
#include "kssh.h"

#define TX_NOMEM_DELAY	(HZ / 50)

/*
 * Give @nbv pieces to TCP. Keeps the rest, with its references, in tx->part.
 * Takes over the references.
 */
static int tx_push(struct kssh_context *ctx, struct bio_vec *bv, int nbv,
		   u32 len, bool more)
{
	struct kssh_tx *tx = &ctx->tx;
	struct msghdr msg = {
		.msg_flags = MSG_SPLICE_PAGES | MSG_NO_SHARED_FRAGS |
			     MSG_DONTWAIT | MSG_NOSIGNAL |
			     (more ? MSG_MORE : 0),
	};
	int i, ret;

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, nbv, len);
	lock_sock(ctx->sk);
	ret = tcp_sendmsg_locked(ctx->sk, &msg, len);
	release_sock(ctx->sk);
	/* both are read without the lock, by writers and poll */
	WRITE_ONCE(tx->corked, more);
	if (ret < 0 && ret != -EAGAIN) {
		kssh_sealed_put(bv, nbv);
		return ret;
	}

	WRITE_ONCE(tx->npart, 0);
	for (i = 0; i < nbv; i++) {
		u32 took = clamp_t(int, ret, 0, bv[i].bv_len);

		ret -= took;
		if (took == bv[i].bv_len) {
			put_page(bv[i].bv_page);
			continue;
		}
		bvec_set_page(&tx->part[tx->npart], bv[i].bv_page,
			      bv[i].bv_len - took, bv[i].bv_offset + took);
		WRITE_ONCE(tx->npart, tx->npart + 1);
	}
	if (tx->npart)
		KSSH_INC(ctx->sk, TXPARTIAL);
	return 0;
}

/* Push the rest of the last packet: 0 when it is gone, -EAGAIN or an error. */
int kssh_tx_push_part(struct kssh_context *ctx)
{
	struct kssh_tx *tx = &ctx->tx;
	struct bio_vec bv[ARRAY_SIZE(tx->part)];
	int err, i, nbv = tx->npart;
	u32 len = 0;

	if (!nbv)
		return 0;
	for (i = 0; i < nbv; i++) {
		bv[i] = tx->part[i];
		len += bv[i].bv_len;
	}
	WRITE_ONCE(tx->npart, 0);
	err = tx_push(ctx, bv, nbv, len, false);
	if (err) {
		kssh_tx_die(ctx, err, 0);
		return err;
	}
	return tx->npart ? -EAGAIN : 0;
}

static void tx_account(struct kssh_context *ctx, u32 len)
{
	struct kssh_tx *tx = &ctx->tx;

	tx->pkt_seq++;
	/* read without the lock, by ss and fdinfo */
	WRITE_ONCE(tx->bytes, tx->bytes + len);
	WRITE_ONCE(tx->packets, tx->packets + 1);
	KSSH_INC(ctx->sk, TXPACKETS);
	KSSH_ADD(ctx->sk, TXBYTES, len);
	kssh_check_due(ctx, kssh_rekey_due(&tx->rekey));
}

/*
 * Seal @pkt and hand it to TCP. The caller holds ctx->tx.lock and has asked
 * kssh_tx_check(). After an error the direction is dead, except -ENOMEM, which
 * comes before a number is taken. Empties @pkt if it was sent.
 */
int kssh_tx_packet(struct kssh_context *ctx, struct kssh_tx_packet *pkt,
		   bool more)
{
	struct kssh_tx *tx = &ctx->tx;
	u32 body = pkt->head_len + pkt->fill + pkt->pieces_len;
	struct kssh_sealed out;
	u8 type = pkt->head[1];
	u32 pad, size;
	int err;

	lockdep_assert_held(&tx->lock);
	pad = kssh_pad_len(&tx->cipher->desc->layout, body - 1);
	size = 4 + body + pad + tx->cipher->desc->layout.tag_len;
	pkt->head[0] = pad;

	err = kssh_rekey_account(&tx->rekey, size);
	if (err) {
		kssh_tx_die(ctx, err, KSSH_MIB_HARDLIMIT);
		return err;
	}

	err = kssh_seal(tx, pkt, pad, &out);
	if (err) {
		kssh_sealed_put(out.bv, out.nbv);
		if (out.nbv || err != -ENOMEM)
			goto dead;
		return err;
	}

	trace_kssh_packet_tx(ctx->sk, tx->pkt_seq, size, type);
	tx_account(ctx, size);
	err = tx_push(ctx, out.bv, out.nbv, out.len, more);
	if (err)
		goto dead;
	/* ciphertext is in its buffer now, unless it was small */
	kssh_pkt_sent(pkt, out.nbv > 1);
	return 0;

dead:
	kssh_tx_die(ctx, err, KSSH_MIB_TXERROR);
	return err;
}

/* A short payload of our own making; as kssh_tx_packet(). */
int kssh_tx_payload(struct kssh_context *ctx, const u8 *payload, u32 len)
{
	struct kssh_tx_packet pkt = { .hdr_len = 1 };

	memcpy(pkt.head + 1, payload, len);
	pkt.head_len = 1 + len;
	return kssh_tx_packet(ctx, &pkt, false);
}

static bool tx_free(const struct sock *sk, bool third)
{
	return third ? sk_stream_is_writeable(sk) : sk_stream_memory_free(sk);
}

/*
 * Is there room in TCP, or even a @third of its buffer? If not, ask for its
 * write_space, which calls only when the bit is set.
 */
static bool tx_has_room(struct kssh_context *ctx, bool third)
{
	struct sock *sk = ctx->sk;

	if (tx_free(sk, third))
		return true;

	read_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_socket)
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	read_unlock_bh(&sk->sk_callback_lock);
	/* pairs with the barrier in tcp_check_space() */
	smp_mb__after_atomic();
	return tx_free(sk, third);
}

static bool tx_takes(struct kssh_context *ctx, bool third)
{
	if (READ_ONCE(ctx->flags) &
	    (BIT(KSSH_F_TX_DEAD) | BIT(KSSH_F_CLOSED)))
		return true;	/* to find out that it is over */
	return !READ_ONCE(ctx->tx.npart) && tx_has_room(ctx, third);
}

static bool tx_data_waits(struct kssh_context *ctx)
{
	return READ_ONCE(ctx->flags) &
	       (BIT(KSSH_F_TX_GATED) | BIT(KSSH_F_TX_PARKED)) &&
	       !kssh_test(ctx, KSSH_F_CLOSED);
}

/*
 * For poll and for who sleeps, without locks: a third of TCP's buffer is free,
 * as its write_space has it. With less poll would call writable what a sleeper
 * is not woken for.
 */
bool kssh_tx_writable(struct kssh_context *ctx)
{
	return tx_takes(ctx, true);
}

/* The same for data of a channel. */
bool kssh_tx_data_writable(struct kssh_context *ctx)
{
	return !tx_data_waits(ctx) && kssh_tx_writable(ctx);
}

/* Does TCP take a packet of data now? Without locks, for who is writing. */
bool kssh_tx_data_ready(struct kssh_context *ctx)
{
	return !tx_data_waits(ctx) && tx_takes(ctx, false);
}

/*
 * May a message @type leave now? The caller holds ctx->tx.lock. 0; -EAGAIN TCP
 * is full; -EBUSY keys are being exchanged; -EPIPE never again.
 *
 * RFC 4253 7.1: "Once a party has sent a SSH_MSG_KEXINIT message [...] until
 * it has sent a SSH_MSG_NEWKEYS message, it MUST NOT send any messages other
 * than [...]": none from 50 on is among them.
 */
int kssh_tx_check(struct kssh_context *ctx, u8 type)
{
	lockdep_assert_held(&ctx->tx.lock);
	if (kssh_test(ctx, KSSH_F_TX_DEAD) || kssh_test(ctx, KSSH_F_CLOSED))
		return -EPIPE;
	if (kssh_test(ctx, KSSH_F_RX_DEAD) && type != SSH_MSG_DISCONNECT)
		return -EPIPE;
	if (kssh_test(ctx, KSSH_F_TX_PARKED))
		return -EBUSY;
	if (kssh_test(ctx, KSSH_F_TX_GATED) && type >= 50)
		return -EBUSY;
	if (ctx->tx.npart || !tx_has_room(ctx, false))
		return -EAGAIN;
	return 0;
}

/* The sending direction is over, by @err < 0. Under ctx->tx.lock. */
void kssh_tx_die(struct kssh_context *ctx, int err, int mib)
{
	if (mib)
		kssh_mib_inc(ctx->sk, mib);
	trace_kssh_error(ctx->sk, true, err, kssh_mib_name(mib));
	set_bit(KSSH_F_TX_DEAD, &ctx->flags);
	kssh_sealed_put(ctx->tx.part, ctx->tx.npart);
	WRITE_ONCE(ctx->tx.npart, 0);
	kssh_chan_kill_all(ctx, EPIPE, false);
	kssh_ctl_wake(ctx);
}

/*
 * Let go what TCP holds back for more to come. Under ctx->tx.lock, which keeps
 * the socket from being closed.
 */
void kssh_tx_flush_tcp(struct kssh_context *ctx)
{
	lockdep_assert_held(&ctx->tx.lock);
	if (!ctx->tx.corked || kssh_test(ctx, KSSH_F_CLOSED))
		return;
	WRITE_ONCE(ctx->tx.corked, false);
	if (ctx->sk_proto->splice_eof && ctx->sk->sk_socket)
		ctx->sk_proto->splice_eof(ctx->sk->sk_socket);
}

/*
 * The socket is about to be closed or shut down: what has a number must be in
 * TCP before, however full it is. At most one packet. Under ctx->tx.lock.
 */
void kssh_tx_force(struct kssh_context *ctx)
{
	struct sock *sk = ctx->sk;

	if (!ctx->tx.npart || kssh_test(ctx, KSSH_F_TX_DEAD))
		return;
	lock_sock(sk);
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, UINT_MAX);
	WRITE_ONCE(sk->sk_sndbuf, READ_ONCE(sk->sk_wmem_queued) +
				  2 * KSSH_TX_BUF);
	release_sock(sk);
	kssh_tx_push_part(ctx);
}

void kssh_tx_kick(struct kssh_context *ctx)
{
	queue_delayed_work(kssh_wq, &ctx->tx_work, 0);
}

/* No memory: neither TCP nor a writer is going to call for us. */
void kssh_tx_retry(struct kssh_context *ctx)
{
	queue_delayed_work(kssh_wq, &ctx->tx_work, TX_NOMEM_DELAY);
}

/* Whatever the kernel itself has to say, channel by channel. */
static void tx_pending(struct kssh_context *ctx)
{
	struct kssh_chan *chan;
	unsigned long id = 0;
	int err = 0;

	clear_bit(KSSH_F_TX_PENDING, &ctx->flags);
	while (!err && (chan = kssh_chan_next(ctx, &id))) {
		mutex_lock(&ctx->tx.lock);
		err = kssh_chan_tx_pending(chan);
		mutex_unlock(&ctx->tx.lock);
		if (!err)
			err = kssh_chan_try_flush(chan);
		kssh_chan_put(chan);
	}
	if (err)
		set_bit(KSSH_F_TX_PENDING, &ctx->flags);
}

static void tx_wake_writers(struct kssh_context *ctx)
{
	struct kssh_chan *chan;
	unsigned long id = 0;

	while ((chan = kssh_chan_next(ctx, &id))) {
		kssh_chan_wake_writers(chan);
		kssh_chan_put(chan);
	}
}

/* TCP has room again, new keys came, or a channel left something to send. */
void kssh_tx_work(struct work_struct *work)
{
	struct kssh_context *ctx = container_of(work, struct kssh_context,
						tx_work.work);
	int err;

	mutex_lock(&ctx->tx.lock);
	if (kssh_test(ctx, KSSH_F_CLOSED)) {
		mutex_unlock(&ctx->tx.lock);
		return;
	}
	err = kssh_tx_push_part(ctx);
	mutex_unlock(&ctx->tx.lock);
	if (err == -EAGAIN)
		return;	/* TCP calls again */

	if (kssh_test(ctx, KSSH_F_TX_PENDING))
		tx_pending(ctx);
	if (!kssh_tx_writable(ctx))
		return;
	/* a sender of messages may wait, too */
	kssh_wake(ctx->sk, EPOLLOUT | EPOLLWRNORM);
	if (kssh_tx_data_writable(ctx))
		tx_wake_writers(ctx);
}
