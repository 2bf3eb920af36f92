// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of packets: buffers of pages, and the pages used again.
 *
 * Kernels that wipe pages when they are allocated spend more on that than on
 * copying a packet. A page that a reader has done with, or that TCP has, is as
 * good for the next packet, of which nobody sees more than was written: each
 * CPU keeps a few, and gives them back when memory is short. Where the
 * administrator wants freed memory wiped (init_on_free) none are kept.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "kssh.h"

#define PAGES_BIG	8	/* a batch of the framer */
#define PAGES_SMALL	16
/* What TCP may have on its way, over a short one. */
#define PAGES_SENT	192
/* From here on a big page wastes less than it saves. */
#define BIG_FROM	(3 * PAGE_SIZE)

/**
 * struct page_cache - pages of a CPU
 * @lock: process context only; the shrinker looks at other CPUs'
 * @nbig: entries of @big
 * @nsmall: entries of @small
 * @nsent: entries of @sent
 * @first: the oldest of @sent
 * @big: pages of KSSH_TX_ORDER
 * @small: single pages
 * @sent: pages of KSSH_TX_ORDER that TCP was given, and may still have; a ring
 */
struct page_cache {
	spinlock_t lock;
	u32 nbig;
	u32 nsmall;
	u32 nsent;
	u32 first;
	struct page *big[PAGES_BIG];
	struct page *small[PAGES_SMALL];
	struct page *sent[PAGES_SENT];
};

static DEFINE_PER_CPU(struct page_cache, page_caches) = {
	.lock = __SPIN_LOCK_UNLOCKED(page_caches.lock),
};

static struct shrinker *page_shrinker;

/* A task may be moved meanwhile: it is a cache, any will do. */
static struct page_cache *this_cache(void)
{
	return raw_cpu_ptr(&page_caches);
}

static struct page *page_alloc(bool big)
{
	struct page_cache *pc = this_cache();
	struct page *page = NULL;

	spin_lock(&pc->lock);
	if (big && pc->nbig)
		page = pc->big[--pc->nbig];
	else if (!big && pc->nsmall)
		page = pc->small[--pc->nsmall];
	spin_unlock(&pc->lock);
	if (page)
		return page;
	if (big)
		return alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN |
				   __GFP_NORETRY, KSSH_TX_ORDER);
	return alloc_page(GFP_KERNEL | __GFP_NOWARN);
}

static bool may_keep(const struct page *page)
{
	return !page_is_pfmemalloc(page) &&
	       page_to_nid(page) == numa_mem_id() && !want_init_on_free();
}

/* Has nobody but us a reference? What others did with it is over then. */
static bool only_ours(struct page *page)
{
	if (page_ref_count(page) != 1)
		return false;
	/* pairs with put_page() of the other */
	smp_acquire__after_ctrl_dep();
	return true;
}

/* Keep @page, of which we have a reference? */
static bool page_keep(struct page *page)
{
	unsigned int order = compound_order(page);
	struct page_cache *pc = this_cache();
	bool kept = false;

	/* somebody may still read it (splice) */
	if (!only_ours(page) || !may_keep(page))
		return false;

	spin_lock(&pc->lock);
	if (order == KSSH_TX_ORDER && pc->nbig < PAGES_BIG) {
		pc->big[pc->nbig++] = page;
		kept = true;
	} else if (!order && pc->nsmall < PAGES_SMALL) {
		pc->small[pc->nsmall++] = page;
		kept = true;
	}
	spin_unlock(&pc->lock);
	return kept;
}

static struct page *sent_first(struct page_cache *pc)
{
	struct page *page = pc->sent[pc->first];

	pc->first = (pc->first + 1) % PAGES_SENT;
	pc->nsent--;
	return page;
}

/*
 * A buffer for packets to be sent, of KSSH_TX_ORDER: the one that went longest
 * ago if TCP has done with it.
 */
struct page *kssh_tx_page_alloc(gfp_t gfp)
{
	struct page_cache *pc = this_cache();
	struct page *page = NULL;

	spin_lock(&pc->lock);
	if (pc->nsent && only_ours(pc->sent[pc->first]))
		page = sent_first(pc);
	spin_unlock(&pc->lock);
	if (page && may_keep(page))
		return page;
	if (page)
		put_page(page);
	return alloc_pages(gfp | __GFP_COMP | __GFP_NOWARN, KSSH_TX_ORDER);
}

/* TCP has references to @page; take over ours. */
void kssh_tx_page_sent(struct page *page)
{
	struct page_cache *pc = this_cache();
	struct page *old = page;

	if (compound_order(page) == KSSH_TX_ORDER && may_keep(page)) {
		spin_lock(&pc->lock);
		old = pc->nsent == PAGES_SENT ? sent_first(pc) : NULL;
		pc->sent[(pc->first + pc->nsent++) % PAGES_SENT] = page;
		spin_unlock(&pc->lock);
	}
	if (old)
		put_page(old);
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

/* A page of the cache, or NULL; @order is its order. */
static struct page *cache_take(struct page_cache *pc, unsigned int *order)
{
	*order = KSSH_TX_ORDER;
	if (pc->nsent)
		return sent_first(pc);
	if (pc->nbig)
		return pc->big[--pc->nbig];
	*order = 0;
	return pc->nsmall ? pc->small[--pc->nsmall] : NULL;
}

/* Give back up to @want pages of a CPU. */
static unsigned long cache_drain(struct page_cache *pc, unsigned long want)
{
	unsigned long freed = 0;
	unsigned int order;
	struct page *page;

	while (freed < want) {
		spin_lock(&pc->lock);
		page = cache_take(pc, &order);
		spin_unlock(&pc->lock);
		if (!page)
			break;
		put_page(page);
		freed += 1UL << order;
	}
	return freed;
}

static unsigned long cache_count(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	unsigned long pages = 0;
	struct page_cache *pc;
	int cpu;

	for_each_possible_cpu(cpu) {
		pc = per_cpu_ptr(&page_caches, cpu);
		pages += READ_ONCE(pc->nsmall);
		pages += (unsigned long)(READ_ONCE(pc->nbig) +
					 READ_ONCE(pc->nsent)) << KSSH_TX_ORDER;
	}
	return pages ?: SHRINK_EMPTY;
}

static unsigned long cache_scan(struct shrinker *shrinker,
				struct shrink_control *sc)
{
	unsigned long freed = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		if (freed >= sc->nr_to_scan)
			break;
		freed += cache_drain(per_cpu_ptr(&page_caches, cpu),
				     sc->nr_to_scan - freed);
	}
	return freed ?: SHRINK_STOP;
}

int __init kssh_page_init(void)
{
	page_shrinker = shrinker_alloc(0, "kssh-pages");
	if (!page_shrinker)
		return -ENOMEM;
	page_shrinker->count_objects = cache_count;
	page_shrinker->scan_objects = cache_scan;
	shrinker_register(page_shrinker);
	return 0;
}

/* The module goes. */
void kssh_page_exit(void)
{
	int cpu;

	shrinker_free(page_shrinker);
	for_each_possible_cpu(cpu)
		cache_drain(per_cpu_ptr(&page_caches, cpu), ULONG_MAX);
}
