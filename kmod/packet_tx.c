// SPDX-License-Identifier: GPL-2.0-only
/*
 * Payload to packet to TCP: fill, frame, seal, hand over.
 *
 * A packet takes its sequence number and nonce when it is sealed, under
 * ctx->tx.lock; from there it reaches TCP, if need be in two parts, or the
 * direction dies.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "kssh.h"

#define TX_NOMEM_DELAY	(HZ / 50)

/*
 * Filling. The caller owns the packet.
 *
 * Pages that are spliced in are copied, too. AES wants whole blocks, and the
 * ten bytes of header before the data leave a broken one at each page's end:
 * to carry those from page to page costs more than to copy the page and to
 * encrypt in place (0.1 instructions a byte, measured). And a page that its
 * owner changes meanwhile is no danger to any MAC.
 */

void kssh_pkt_reset(struct kssh_tx_packet *pkt, u32 hdr_len)
{
	pkt->fill = 0;
	pkt->data_len = 0;
	pkt->hdr_len = hdr_len;
	pkt->head_len = hdr_len;
}

/* Drop the content and give the buffer back. */
void kssh_pkt_free(struct kssh_tx_packet *pkt)
{
	kssh_pkt_reset(pkt, 0);
	if (pkt->page)
		put_page(pkt->page);
	pkt->page = NULL;
	pkt->capacity = 0;
}

/* Bytes of data that fit, by our own limits. */
u32 kssh_pkt_room(const struct kssh_tx_packet *pkt)
{
	/* the head is going to move into the buffer */
	if (!pkt->page)
		return KSSH_TX_BUF - KSSH_TX_HEAD;
	return pkt->capacity - pkt->fill - pkt->head_len;
}

/* A message of one payload cannot do with less; data can. */
static int pkt_alloc_page(struct kssh_tx_packet *pkt, u32 want)
{
	bool data = pkt->hdr_len > 1;

	if (want > PAGE_SIZE) {
		pkt->page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN |
					(data ? __GFP_NORETRY : 0),
					KSSH_TX_ORDER);
		if (pkt->page) {
			pkt->capacity = KSSH_TX_BUF;
			return 0;
		}
		if (!data)
			return -ENOMEM;
	}
	pkt->page = alloc_page(GFP_KERNEL);
	if (!pkt->page)
		return -ENOMEM;
	pkt->capacity = PAGE_SIZE;
	return 0;
}

/*
 * Add up to @len bytes, which the caller knows to fit, from @iter; @more says
 * that others will follow. Returns how many were added, or an error.
 */
int kssh_pkt_add(struct kssh_tx_packet *pkt, struct iov_iter *iter, u32 len,
		 bool more)
{
	u32 want = pkt->head_len + len;
	u8 *buf;
	int err;

	if (!pkt->fill && want <= KSSH_TX_HEAD) {
		if (!copy_from_iter_full(pkt->head + pkt->head_len, len, iter))
			return -EFAULT;
		pkt->head_len += len;
		pkt->data_len += len;
		return len;
	}
	if (!pkt->page) {
		/* room for padding and tag, too */
		err = pkt_alloc_page(pkt, more ? KSSH_TX_BUF : want + 96);
		if (err)
			return err;
	}

	len = min(len, kssh_pkt_room(pkt));
	buf = page_address(pkt->page);
	memcpy(buf + pkt->fill, pkt->head, pkt->head_len);
	pkt->fill += pkt->head_len;
	pkt->head_len = 0;
	if (!copy_from_iter_full(buf + pkt->fill, len, iter))
		return -EFAULT;
	pkt->fill += len;
	pkt->data_len += len;
	return len;
}

/* Where the padding_length of the packet stands. */
u8 *kssh_pkt_start(struct kssh_tx_packet *pkt)
{
	return pkt->head_len ? pkt->head : page_address(pkt->page);
}

/* Sealing and handing over, under ctx->tx.lock. */

/* RFC 4253 6: "the padding SHOULD consist of random bytes" */
static void fill_padding(u8 *p, u32 len)
{
	while (len) {
		u32 n = min_t(u32, len, sizeof(u64));
		u64 rnd = get_random_u64();

		memcpy(p, &rnd, n);
		p += n;
		len -= n;
	}
}

/**
 * struct sealed - a packet ready for TCP
 * @bv: where it stands; a page reference each
 * @nbv: entries of @bv
 * @len: bytes
 */
struct sealed {
	struct bio_vec bv[3];
	int nbv;
	u32 len;
};

static void sealed_add(struct sealed *out, struct page *page, u32 len, u32 off)
{
	bvec_set_page(&out->bv[out->nbv++], page, len, off);
	out->len += len;
}

static void *frag_alloc(struct kssh_tx *tx, u32 len, u32 *off)
{
	struct page_frag *frag = &tx->frag;
	void *p;

	if (!skb_page_frag_refill(len, frag, GFP_KERNEL) ||
	    frag->size - frag->offset < len)
		return NULL;
	p = page_address(frag->page) + frag->offset;
	*off = frag->offset;
	frag->offset += ALIGN(len, 16);
	if (frag->offset > frag->size)
		frag->offset = frag->size;
	return p;
}

/* A packet that fits into a corner of the shared page. */
static int seal_small(struct kssh_tx *tx, struct kssh_tx_packet *pkt,
		      u32 pkt_len, u32 pad, struct sealed *out)
{
	u32 tag_len = tx->cipher->desc->layout.tag_len;
	u32 off;
	u8 *p;

	p = frag_alloc(tx, 4 + pkt_len + tag_len, &off);
	if (!p)
		return -ENOMEM;

	kssh_put_be32(p, pkt_len);
	memcpy(p + 4, pkt->head, pkt->head_len);
	if (pkt->fill)
		memcpy(p + 4, page_address(pkt->page), pkt->fill);
	fill_padding(p + 4 + pkt_len - pad, pad);

	sg_init_one(tx->sg, p, 4 + pkt_len + tag_len);
	get_page(tx->frag.page);
	sealed_add(out, tx->frag.page, 4 + pkt_len + tag_len, off);
	return tx->cipher->desc->ops->seal(tx->cipher, tx->pkt_seq, tx->sg,
					   pkt_len);
}

/*
 * A bulk packet: the length field goes to the shared page, so that the cipher
 * sees whole blocks in each page of the buffer; padding and tag do, too, if the
 * buffer is full.
 */
static int seal_bulk(struct kssh_tx *tx, struct kssh_tx_packet *pkt,
		     u32 pkt_len, u32 pad, struct sealed *out)
{
	u32 tail = pad + tx->cipher->desc->layout.tag_len;
	bool inside = pkt->capacity - pkt->fill >= tail;
	u32 len = pkt->fill + (inside ? tail : 0);
	u8 *p, *end;
	u32 off;

	p = frag_alloc(tx, inside ? 4 : 16 + tail, &off);
	if (!p)
		return -ENOMEM;
	end = inside ? (u8 *)page_address(pkt->page) + pkt->fill : p + 16;
	kssh_put_be32(p, pkt_len);
	fill_padding(end, pad);

	sg_init_table(tx->sg, inside ? 2 : 3);
	sg_set_buf(&tx->sg[0], p, 4);
	sg_set_page(&tx->sg[1], pkt->page, len, 0);
	get_page(tx->frag.page);
	sealed_add(out, tx->frag.page, 4, off);
	get_page(pkt->page);
	sealed_add(out, pkt->page, len, 0);
	if (!inside) {
		sg_set_buf(&tx->sg[2], end, tail);
		get_page(tx->frag.page);
		sealed_add(out, tx->frag.page, tail, off + 16);
	}
	return tx->cipher->desc->ops->seal(tx->cipher, tx->pkt_seq, tx->sg,
					   pkt_len);
}

static void sealed_put(const struct bio_vec *bv, int nbv)
{
	while (nbv--)
		put_page(bv[nbv].bv_page);
}

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
	tx->corked = more;
	if (ret < 0 && ret != -EAGAIN) {
		sealed_put(bv, nbv);
		return ret;
	}

	tx->npart = 0;
	for (i = 0; i < nbv; i++) {
		u32 took = clamp_t(int, ret, 0, bv[i].bv_len);

		ret -= took;
		if (took == bv[i].bv_len) {
			put_page(bv[i].bv_page);
			continue;
		}
		bvec_set_page(&tx->part[tx->npart++], bv[i].bv_page,
			      bv[i].bv_len - took, bv[i].bv_offset + took);
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
	tx->npart = 0;
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
	tx->bytes += len;
	tx->packets++;
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
	u32 body = pkt->head_len + pkt->fill;
	struct sealed out = { .nbv = 0 };
	u32 hdr_len = pkt->hdr_len;
	u8 type = kssh_pkt_start(pkt)[1];
	u32 pad, size;
	int err;

	lockdep_assert_held(&tx->lock);
	pad = kssh_pad_len(&tx->cipher->desc->layout, body - 1);
	size = 4 + body + pad + tx->cipher->desc->layout.tag_len;
	*kssh_pkt_start(pkt) = pad;

	err = kssh_rekey_account(&tx->rekey, size);
	if (err) {
		kssh_tx_die(ctx, err, KSSH_MIB_HARDLIMIT);
		return err;
	}

	/*
	 * TCP accounts bytes, not pages: a buffer is given away only if a good
	 * part of it is used, or a peer with small windows makes us hoard.
	 */
	err = -ENOMEM;
	if (size <= KSSH_TX_SMALL || pkt->fill < pkt->capacity / 4)
		err = seal_small(tx, pkt, body + pad, pad, &out);
	if (err == -ENOMEM && !out.nbv && pkt->fill)
		err = seal_bulk(tx, pkt, body + pad, pad, &out);
	if (err) {
		sealed_put(out.bv, out.nbv);
		if (out.nbv || err != -ENOMEM)
			goto dead;
		return err;
	}

	trace_kssh_packet_tx(ctx->sk, tx->pkt_seq, size, type);
	tx_account(ctx, size);
	err = tx_push(ctx, out.bv, out.nbv, out.len, more);
	if (err)
		goto dead;
	/* ciphertext is in it now */
	if (pkt->page && out.bv[out.nbv > 1].bv_page == pkt->page)
		kssh_pkt_free(pkt);
	kssh_pkt_reset(pkt, hdr_len);
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

/*
 * Is there room in TCP? If not, ask for its write_space, which calls only when
 * the bit is set.
 */
static bool tx_has_room(struct kssh_context *ctx)
{
	struct sock *sk = ctx->sk;

	if (sk_stream_memory_free(sk))
		return true;

	read_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_socket)
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	read_unlock_bh(&sk->sk_callback_lock);
	/* pairs with the barrier in tcp_check_space() */
	smp_mb__after_atomic();
	return sk_stream_memory_free(sk);
}

/* Does TCP take a packet now? Without locks: for poll and for waiters. */
bool kssh_tx_writable(struct kssh_context *ctx)
{
	if (READ_ONCE(ctx->flags) &
	    (BIT(KSSH_F_TX_DEAD) | BIT(KSSH_F_CLOSED)))
		return true;	/* to find out that it is over */
	return !READ_ONCE(ctx->tx.npart) && tx_has_room(ctx);
}

/* The same for data of a channel. */
bool kssh_tx_ready(struct kssh_context *ctx)
{
	if (READ_ONCE(ctx->flags) &
	    (BIT(KSSH_F_TX_GATED) | BIT(KSSH_F_TX_PARKED)) &&
	    !kssh_test(ctx, KSSH_F_CLOSED))
		return false;
	return kssh_tx_writable(ctx);
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
	if (ctx->tx.npart || !tx_has_room(ctx))
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
	sealed_put(ctx->tx.part, ctx->tx.npart);
	ctx->tx.npart = 0;
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
	ctx->tx.corked = false;
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
	if (kssh_tx_ready(ctx))
		tx_wake_writers(ctx);
}
