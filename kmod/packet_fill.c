// SPDX-License-Identifier: GPL-2.0-only
/* Payload to a packet that is not sealed yet. Its owner holds it alone. */
#include <linux/slab.h>

#include "kssh.h"

void kssh_pkt_reset(struct kssh_tx_packet *pkt, u32 hdr_len)
{
	while (pkt->npieces)
		put_page(pkt->pieces[--pkt->npieces].bv_page);
	pkt->pieces_len = 0;
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

/* It has left, @page_given to TCP: be ready for the next. */
void kssh_pkt_sent(struct kssh_tx_packet *pkt, bool page_given)
{
	if (page_given) {
		kssh_tx_page_sent(pkt->page);
		pkt->page = NULL;
		pkt->capacity = 0;
	}
	kssh_pkt_reset(pkt, pkt->hdr_len);
}

/* Bytes of data that fit, by our own limits. */
u32 kssh_pkt_room(const struct kssh_tx_packet *pkt)
{
	u32 capacity = pkt->page ? pkt->capacity : KSSH_TX_BUF;

	/* they are to be encrypted as they are */
	if (pkt->npieces)
		return 0;
	return KSSH_TX_FIRST + capacity - pkt->fill - pkt->head_len;
}

/* A message of one payload cannot do with less; data can. */
static int pkt_alloc_page(struct kssh_tx_packet *pkt, u32 want)
{
	bool data = pkt->hdr_len > 1;

	if (want > PAGE_SIZE) {
		pkt->page = kssh_tx_page_alloc(GFP_KERNEL |
					       (data ? __GFP_NORETRY : 0));
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

static bool head_add(struct kssh_tx_packet *pkt, struct iov_iter *iter, u32 len)
{
	if (!copy_from_iter_full(pkt->head + pkt->head_len, len, iter))
		return false;
	pkt->head_len += len;
	pkt->data_len += len;
	return true;
}

/* What stands behind the first bytes goes to the buffer, as all that follows */
static void head_move(struct kssh_tx_packet *pkt)
{
	u32 len = pkt->head_len - KSSH_TX_FIRST;

	memcpy(page_address(pkt->page) + pkt->fill, pkt->head + KSSH_TX_FIRST,
	       len);
	pkt->fill += len;
	pkt->head_len = KSSH_TX_FIRST;
}

/*
 * Add up to @len bytes, which the caller knows to fit, from @iter; @more says
 * that others will follow. Returns how many were added, or an error.
 */
int kssh_pkt_add(struct kssh_tx_packet *pkt, struct iov_iter *iter, u32 len,
		 bool more)
{
	u32 want = pkt->head_len + pkt->fill + len, first = 0;
	int err;

	if (want <= KSSH_TX_HEAD && !pkt->fill)
		return head_add(pkt, iter, len) ? len : -EFAULT;
	if (!pkt->page) {
		/* room for padding and tag, too */
		err = pkt_alloc_page(pkt, more ? KSSH_TX_BUF : want + 96);
		if (err)
			return err;
	}

	len = min(len, kssh_pkt_room(pkt));
	if (pkt->head_len < KSSH_TX_FIRST) {
		first = min(len, KSSH_TX_FIRST - pkt->head_len);
		if (!head_add(pkt, iter, first))
			return -EFAULT;
		if (first == len)
			return len;
	}
	head_move(pkt);
	if (!copy_from_iter_full(page_address(pkt->page) + pkt->fill,
				 len - first, iter)) {
		iov_iter_revert(iter, first);
		pkt->head_len -= first;
		pkt->data_len -= first;
		return -EFAULT;
	}
	pkt->fill += len - first;
	pkt->data_len += len - first;
	return len;
}

/* A piece of @iter of up to @len bytes, which stays where it is. */
static u32 add_piece(struct kssh_tx_packet *pkt, struct iov_iter *iter, u32 len)
{
	const struct bio_vec *bv = iter->bvec;
	u32 off = bv->bv_offset + iter->iov_offset;
	struct page *page = bv->bv_page + off / PAGE_SIZE;

	len = min_t(size_t, len, bv->bv_len - iter->iov_offset);
	if (!len || PageHighMem(page) || !sendpage_ok(page))
		return 0;
	get_page(page);
	bvec_set_page(&pkt->pieces[pkt->npieces++], page, len,
		      offset_in_page(off));
	iov_iter_advance(iter, len);
	pkt->pieces_len += len;
	pkt->data_len += len;
	return len;
}

/*
 * The same for pages that are spliced in: they are encrypted from where they
 * are into the buffer, if blocks end where pages end. If not, to carry broken
 * blocks from page to page costs more than to copy (0.1 instructions a byte,
 * measured): 0 is returned, as for whatever does not suit.
 *
 * The packet is then to be sent as it is. A page may change meanwhile: what
 * arrives is of before or after, and the MAC is over what was encrypted.
 */
int kssh_pkt_add_pages(struct kssh_tx_packet *pkt, struct iov_iter *iter,
		       u32 len)
{
	u32 off, first, n, added = 0;

	if (!iov_iter_is_bvec(iter) || pkt->fill ||
	    pkt->head_len > KSSH_TX_FIRST)
		return 0;
	off = iter->bvec->bv_offset + iter->iov_offset;
	if ((pkt->head_len ^ off) % KSSH_TX_FIRST)
		return 0;
	first = KSSH_TX_FIRST - pkt->head_len;
	if (!pkt->page && pkt_alloc_page(pkt, KSSH_TX_BUF))
		return 0;
	if (pkt->capacity < KSSH_TX_BUF)
		return 0;

	if (first && !head_add(pkt, iter, first))
		return 0;
	for (len -= first; added < len; added += n) {
		if (pkt->npieces == KSSH_TX_PIECES)
			break;
		n = add_piece(pkt, iter, len - added);
		if (!n)
			break;
	}
	return first + added;
}

/* A cipher that reads twice, plaintext and all, gets a copy nobody changes. */
void kssh_pkt_gather(struct kssh_tx_packet *pkt)
{
	const struct bio_vec *bv;
	int i;

	for (i = 0; i < pkt->npieces; i++) {
		bv = &pkt->pieces[i];
		memcpy(page_address(pkt->page) + pkt->fill,
		       page_address(bv->bv_page) + bv->bv_offset, bv->bv_len);
		pkt->fill += bv->bv_len;
		put_page(bv->bv_page);
	}
	pkt->npieces = 0;
	pkt->pieces_len = 0;
}
