// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of packets to be opened: buffers of pages, and the pages used again.
 *
 * Kernels that wipe pages when they are allocated spend more on that than on
 * copying a packet. A page that a reader has done with is as good for the next
 * packet, which overwrites it whole: each CPU keeps a few. Where the
 * administrator wants freed memory wiped (init_on_free) none are kept.
 */
#include <linux/mm.h>
#include <linux/local_lock.h>

#include "kssh.h"

#define PAGES_BIG	8	/* a batch of the framer */
#define PAGES_SMALL	16
/* From here on a big page wastes less than it saves. */
#define BIG_FROM	(3 * PAGE_SIZE)

/**
 * struct page_cache - pages of a CPU
 * @lock: process context only
 * @nbig: entries of @big
 * @nsmall: entries of @small
 * @big: pages of KSSH_TX_ORDER
 * @small: single pages
 */
struct page_cache {
	local_lock_t lock;
	u32 nbig;
	u32 nsmall;
	struct page *big[PAGES_BIG];
	struct page *small[PAGES_SMALL];
};

static DEFINE_PER_CPU(struct page_cache, page_caches) = {
	.lock = INIT_LOCAL_LOCK(lock),
};

static struct page *page_alloc(bool big)
{
	struct page *page = NULL;
	struct page_cache *pc;

	local_lock(&page_caches.lock);
	pc = this_cpu_ptr(&page_caches);
	if (big && pc->nbig)
		page = pc->big[--pc->nbig];
	else if (!big && pc->nsmall)
		page = pc->small[--pc->nsmall];
	local_unlock(&page_caches.lock);
	if (page)
		return page;
	if (big)
		return alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN |
				   __GFP_NORETRY, KSSH_TX_ORDER);
	return alloc_page(GFP_KERNEL | __GFP_NOWARN);
}

/* Keep @page, of which we have a reference? */
static bool page_keep(struct page *page)
{
	unsigned int order = compound_order(page);
	struct page_cache *pc;
	bool kept = false;

	/* somebody still reads it (splice), or it is not for us to have */
	if (page_ref_count(page) != 1 || page_is_pfmemalloc(page) ||
	    page_to_nid(page) != numa_mem_id() || want_init_on_free())
		return false;

	local_lock(&page_caches.lock);
	pc = this_cpu_ptr(&page_caches);
	if (order == KSSH_TX_ORDER && pc->nbig < PAGES_BIG) {
		pc->big[pc->nbig++] = page;
		kept = true;
	} else if (!order && pc->nsmall < PAGES_SMALL) {
		pc->small[pc->nsmall++] = page;
		kept = true;
	}
	local_unlock(&page_caches.lock);
	return kept;
}

/* A buffer of @len bytes: linear if that is little, or all in pages. */
struct sk_buff *kssh_rx_skb_alloc(u32 len)
{
	struct sk_buff *skb;
	struct page *page;
	bool big;
	u32 size;

	if (len <= KSSH_RX_SMALL) {
		skb = alloc_skb(len, GFP_KERNEL);
		if (skb)
			skb_put(skb, len);
		return skb;
	}
	skb = alloc_skb(0, GFP_KERNEL);
	while (skb && skb->len < len) {
		big = len - skb->len > BIG_FROM;
		page = page_alloc(big);
		if (!page && big) {
			big = false;
			page = page_alloc(big);
		}
		if (!page || skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS) {
			if (page)
				put_page(page);
			kfree_skb(skb);
			return NULL;
		}
		size = big ? KSSH_TX_BUF : PAGE_SIZE;
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, 0,
				min(size, len - skb->len), size);
	}
	return skb;
}

/* Free what kssh_rx_skb_alloc() gave. */
void kssh_rx_skb_free(struct sk_buff *skb)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	struct page *page;
	int i;

	for (i = 0; i < shinfo->nr_frags; i++) {
		page = skb_frag_page(&shinfo->frags[i]);
		if (!page_keep(page))
			put_page(page);
	}
	shinfo->nr_frags = 0;
	skb->len -= skb->data_len;
	skb->data_len = 0;
	consume_skb(skb);
}

/* The module goes. */
void kssh_page_exit(void)
{
	struct page_cache *pc;
	int cpu;

	for_each_possible_cpu(cpu) {
		pc = per_cpu_ptr(&page_caches, cpu);
		while (pc->nbig)
			put_page(pc->big[--pc->nbig]);
		while (pc->nsmall)
			put_page(pc->small[--pc->nsmall]);
	}
}
