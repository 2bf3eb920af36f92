// SPDX-License-Identifier: GPL-2.0-only
/* A packet's frame, padding, encryption and MAC. Under ctx->tx.lock. */
#include <linux/random.h>

#include "kssh.h"

/* In the shared page, which is given out in blocks of AES. */
#define LEN_OFF		12
#define FRONT		(LEN_OFF + 4 + KSSH_TX_FIRST)

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

static void sealed_add(struct kssh_sealed *out, struct page *page, u32 len,
		       u32 off)
{
	get_page(page);
	bvec_set_page(&out->bv[out->nbv++], page, len, off);
	out->len += len;
}

void kssh_sealed_put(const struct bio_vec *bv, int nbv)
{
	while (nbv--)
		put_page(bv[nbv].bv_page);
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

static int seal(struct kssh_tx *tx, struct scatterlist *from, u32 pkt_len)
{
	struct kssh_cipher *cipher = tx->cipher;

	return cipher->desc->ops->seal(cipher, tx->pkt_seq, from, tx->sg,
				       pkt_len);
}

/* A packet that fits into a corner of the shared page. */
static int seal_small(struct kssh_tx *tx, struct kssh_tx_packet *pkt, u32 pad,
		      struct kssh_sealed *out)
{
	u32 pkt_len = pkt->head_len + pkt->fill + pad;
	u32 size = 4 + pkt_len + tx->cipher->desc->layout.tag_len;
	u32 off;
	u8 *p;

	p = frag_alloc(tx, size, &off);
	if (!p)
		return -ENOMEM;

	kssh_put_be32(p, pkt_len);
	memcpy(p + 4, pkt->head, pkt->head_len);
	if (pkt->fill)
		memcpy(p + 4 + pkt->head_len, page_address(pkt->page),
		       pkt->fill);
	fill_padding(p + 4 + pkt_len - pad, pad);

	sg_init_one(tx->sg, p, size);
	sealed_add(out, tx->frag.page, size, off);
	return seal(tx, tx->sg, pkt_len);
}

/* What of the packet's pieces is to be encrypted where it is, @len bytes. */
static int list_pieces(struct kssh_tx *tx, const struct kssh_tx_packet *pkt,
		       u32 len)
{
	const struct bio_vec *bv = pkt->pieces;
	int i = 1;
	u32 n;

	for (; len; len -= n, bv++) {
		n = min(len, bv->bv_len);
		sg_set_page(&tx->from[i++], bv->bv_page, n, bv->bv_offset);
	}
	return i;
}

/* The last bytes of the pieces that are no whole block, if they are in one. */
static u32 rest_len(const struct kssh_tx_packet *pkt)
{
	if (!pkt->npieces)
		return 0;
	return min(pkt->pieces_len % KSSH_TX_FIRST,
		   pkt->pieces[pkt->npieces - 1].bv_len);
}

static void copy_rest(const struct kssh_tx_packet *pkt, u8 *p, u32 rest)
{
	const struct bio_vec *last = &pkt->pieces[pkt->npieces - 1];

	memcpy(p, page_address(last->bv_page) + last->bv_offset +
	       last->bv_len - rest, rest);
}

/*
 * A bulk packet: the length field and the first block go to the shared page, so
 * that the cipher sees whole blocks in each page of the buffer; what is behind
 * the last whole block does, too, if the buffer is full. Data may be in pieces
 * of others' memory, which is read only.
 */
static int seal_bulk(struct kssh_tx *tx, struct kssh_tx_packet *pkt, u32 pad,
		     struct kssh_sealed *out)
{
	u32 pkt_len = pkt->head_len + pkt->fill + pkt->pieces_len + pad;
	u32 rest = rest_len(pkt);
	u32 tail = rest + pad + tx->cipher->desc->layout.tag_len;
	u32 fill = pkt->fill + pkt->pieces_len - rest;
	bool inside = pkt->capacity - fill >= tail;
	u32 len = fill + (inside ? tail : 0);
	u8 *p, *end;
	u32 off;
	int n;

	p = frag_alloc(tx, FRONT + (inside ? 0 : tail), &off);
	if (!p)
		return -ENOMEM;
	end = inside ? (u8 *)page_address(pkt->page) + fill : p + FRONT;
	kssh_put_be32(p + LEN_OFF, pkt_len);
	memcpy(p + LEN_OFF + 4, pkt->head, KSSH_TX_FIRST);
	if (rest)
		copy_rest(pkt, end, rest);
	fill_padding(end + rest, pad);

	sg_init_table(tx->sg, inside ? 2 : 3);
	sg_set_buf(&tx->sg[0], p + LEN_OFF, 4 + KSSH_TX_FIRST);
	sg_set_page(&tx->sg[1], pkt->page, len, 0);
	sealed_add(out, tx->frag.page, 4 + KSSH_TX_FIRST, off + LEN_OFF);
	sealed_add(out, pkt->page, len, 0);
	if (!inside) {
		sg_set_buf(&tx->sg[2], end, tail);
		sealed_add(out, tx->frag.page, tail, off + FRONT);
	}
	if (!pkt->npieces)
		return seal(tx, tx->sg, pkt_len);

	sg_init_table(tx->from, ARRAY_SIZE(tx->from));
	sg_set_buf(&tx->from[0], p + LEN_OFF, 4 + KSSH_TX_FIRST);
	n = list_pieces(tx, pkt, fill);
	sg_set_buf(&tx->from[n], end, tail);
	sg_mark_end(&tx->from[n]);
	return seal(tx, tx->from, pkt_len);
}

/**
 * kssh_seal - a packet's bytes as they go on the wire
 * @tx: the direction; its number is used, not counted on
 * @pkt: the packet, padding_length filled in
 * @pad: that
 * @out: where the bytes stand
 *
 * Return: 0; -ENOMEM before anything was done, @out is empty then; or an error
 * of the cipher
 */
int kssh_seal(struct kssh_tx *tx, struct kssh_tx_packet *pkt, u32 pad,
	      struct kssh_sealed *out)
{
	const struct kssh_layout *layout = &tx->cipher->desc->layout;
	u32 size = 4 + pkt->head_len + pkt->fill + pad + layout->tag_len;
	int err = -ENOMEM;

	out->nbv = 0;
	out->len = 0;
	if (pkt->npieces && layout->clear_len)
		return seal_bulk(tx, pkt, pad, out);
	if (pkt->npieces)
		kssh_pkt_gather(pkt);
	/*
	 * TCP accounts bytes, not pages: a buffer is given away only if a good
	 * part of it is used, or a peer with small windows makes us hoard.
	 */
	if (size <= KSSH_TX_SMALL || pkt->fill < pkt->capacity / 4)
		err = seal_small(tx, pkt, pad, out);
	if (err == -ENOMEM && !out->nbv && pkt->fill)
		err = seal_bulk(tx, pkt, pad, out);
	return err;
}
