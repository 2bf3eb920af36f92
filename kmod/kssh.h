/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kSSH: structures and prototypes of the module.
 *
 * Lock order, outermost first:
 *
 *	csk->tx_lock		open packet of a channel socket
 *	csk->rx_lock		reader of a channel socket
 *	ctx->ctl_tx_lock	message being sent on the TCP socket
 *	ctx->ctl_rx_lock	reader of the TCP socket
 *	ctx->rx.lock		framer, RX keys, demultiplexer
 *	ctx->tx.lock		TX keys, packet sequence number, handing to TCP
 *	lock_sock(ctx->sk)	the TCP socket
 *	chan->lock		windows, flags, sockets of a channel (spinlock)
 *	ctx->chans.xa_lock, sk_receive_queue.lock
 *
 * Locked for charging memory alone, below ctx->rx.lock or csk->rx_lock: the
 * channel socket (lock_sock). Taken in softirq, too: ctx->reader_lock.
 *
 * Nothing but the callbacks of TCP runs outside process context, and those
 * only queue work.
 */
#ifndef _KSSH_H
#define _KSSH_H

#include <linux/bvec.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <linux/kssh.h>

#include "compat.h"
#include "core/channel.h"
#include "core/core.h"
#include "core/packet.h"
#include "core/rekey.h"
#include "stat.h"
#include "trace.h"

/* Bulk data of one packet: an order-3 page. */
#define KSSH_TX_ORDER		3
#define KSSH_TX_BUF		(PAGE_SIZE << KSSH_TX_ORDER)
/* Packets up to this many bytes on the wire share pages. */
#define KSSH_TX_SMALL		1024
#define KSSH_TX_HEAD		96
/*
 * The first bytes of a bulk packet travel with its length, not in the buffer: a
 * block of ChaCha20, four of AES. Both read and write whole blocks.
 */
#define KSSH_TX_FIRST		64
/* Pieces of a file's pages in a packet. */
#define KSSH_TX_PIECES		10
/* So much of them that it is worth the trouble. */
#define KSSH_TX_PIECES_FROM	16384
/* Largest payload of a message on the TCP socket. */
#define KSSH_CTL_MAX		(KSSH_TX_BUF - KSSH_TX_HEAD)
/* Back-pressure on messages nobody reads. */
#define KSSH_CTL_QUEUE_BYTES	(1024 * 1024)
#define KSSH_CTL_QUEUE_MSGS	1024
/* The framer runs at most this far ahead of the cipher. */
#define KSSH_RX_BATCH		(256 * 1024)
/* Bytes a work item opens before it lets others run. */
#define KSSH_RX_BUDGET		(1024 * 1024)
#define KSSH_RX_SMALL		2048
#define KSSH_CHANNELS_MAX	4096

struct kssh_cipher;

/**
 * struct kssh_cipher_ops - what a cipher (with its MAC) does
 * @setup: take the keys
 * @destroy: wipe and free
 * @seal: encrypt and authenticate one packet from @from to @to, which may be
 *	the same. Both begin with the 4-byte length field, filled in, in the
 *	same place; @to ends with room for the tag. Only where the length is
 *	in clear for the padding (kssh_layout.clear_len) may they differ
 * @open_len: packet_length from the first bytes of a packet
 * @open: check and decrypt in place; @sg begins with the length field as it
 *	came and ends with the tag
 * @driver: name of the driver that runs
 */
struct kssh_cipher_ops {
	int (*setup)(struct kssh_cipher *cipher,
		     const struct kssh_crypto_info *info);
	void (*destroy)(struct kssh_cipher *cipher);
	int (*seal)(struct kssh_cipher *cipher, u32 pkt_seq,
		    struct scatterlist *from, struct scatterlist *to,
		    u32 pkt_len);
	u32 (*open_len)(struct kssh_cipher *cipher, u32 pkt_seq,
			const u8 *hdr);
	int (*open)(struct kssh_cipher *cipher, u32 pkt_seq,
		    struct scatterlist *sg, u32 pkt_len);
	const char *(*driver)(const struct kssh_cipher *cipher);
};

/**
 * struct kssh_cipher_desc - a row of the cipher table
 * @cipher: KSSH_CIPHER_*
 * @mac: KSSH_MAC_*
 * @key_len: bytes of key
 * @iv_len: bytes of IV
 * @layout: what it asks of a packet
 * @ops: the code
 */
struct kssh_cipher_desc {
	u16 cipher;
	u16 mac;
	u8 key_len;
	u8 iv_len;
	struct kssh_layout layout;
	const struct kssh_cipher_ops *ops;
};

/**
 * struct kssh_cipher - keys of one direction
 * @desc: its row
 * @priv: the cipher's own
 */
struct kssh_cipher {
	const struct kssh_cipher_desc *desc;
	void *priv;
};

/**
 * struct kssh_tx_packet - a packet that is being filled
 * @page: buffer for what is behind @head, or NULL
 * @capacity: bytes in @page
 * @fill: bytes used of @page
 * @data_len: data in the packet, the header of the message not counted
 * @hdr_len: padding_length and the header of the message
 * @head_len: bytes in @head; KSSH_TX_FIRST once @page is used
 * @npieces: entries of @pieces
 * @pieces_len: bytes in @pieces
 * @pieces: data behind @head that are to be encrypted from where they are
 *	into @page; a page reference each
 * @head: start of the packet from padding_length on
 *
 * Not numbered before it is sealed: it may be kept as long as we like.
 */
struct kssh_tx_packet {
	struct page *page;
	u32 capacity;
	u32 fill;
	u32 data_len;
	u16 hdr_len;
	u8 head_len;
	u8 npieces;
	u32 pieces_len;
	struct bio_vec pieces[KSSH_TX_PIECES];
	u8 head[KSSH_TX_HEAD];
};

/**
 * struct kssh_tx - sending direction of a connection
 * @lock: held over everything below
 * @cipher: keys, or NULL
 * @cipher_id: KSSH_CIPHER_* of it, for readers without locks
 * @rekey: use of the keys
 * @pkt_seq: sequence number of the next packet
 * @corked: TCP holds back the end of what we gave it
 * @npart: entries of @part
 * @part: rest of a sealed packet TCP did not take yet, with page references
 * @frag: page for small packets, headers and tails
 * @sg: the packet being sealed
 * @from: where its plaintext is, if that is not in place
 * @bytes: on the wire, all keys
 * @packets: all keys
 * @installed: when the keys came, jiffies
 * @stopped: when our KEXINIT left, ns
 */
struct kssh_tx {
	struct mutex lock;
	struct kssh_cipher *cipher;
	u16 cipher_id;
	struct kssh_rekey rekey;
	u32 pkt_seq;
	bool corked;
	u8 npart;
	struct bio_vec part[3];
	struct page_frag frag;
	struct scatterlist sg[3];
	struct scatterlist from[KSSH_TX_PIECES + 2];
	u64 bytes;
	u64 packets;
	unsigned long installed;
	u64 stopped;
};

/**
 * struct kssh_sealed - a packet ready for TCP
 * @bv: where it stands; a page reference each
 * @nbv: entries of @bv
 * @len: bytes
 */
struct kssh_sealed {
	struct bio_vec bv[3];
	int nbv;
	u32 len;
};

/**
 * struct kssh_rx - receiving direction of a connection
 * @lock: held over everything below
 * @cipher: keys, or NULL
 * @cipher_id: KSSH_CIPHER_* of it, for readers without locks
 * @rekey: use of the keys
 * @pkt_seq: sequence number of the next packet to open
 * @frame_seq: sequence number of the next packet to frame
 * @hdr: first bytes of the packet being framed
 * @hdr_len: bytes of it that are there
 * @skb: packet being framed, without the length field
 * @fill: bytes of it that are there
 * @frame_err: the framer stopped here; due once @ready is empty
 * @ready: framed packets to open
 * @ready_bytes: bytes in @ready
 * @aad: length field of the packet being opened, as it came
 * @sg: the packet being opened
 * @bytes: on the wire, all keys
 * @packets: all keys
 * @installed: when the keys came, jiffies
 * @stopped: when the peer's NEWKEYS came, ns
 */
struct kssh_rx {
	struct mutex lock;
	struct kssh_cipher *cipher;
	u16 cipher_id;
	struct kssh_rekey rekey;
	u32 pkt_seq;
	u32 frame_seq;
	u8 hdr[4];
	u8 hdr_len;
	struct sk_buff *skb;
	u32 fill;
	int frame_err;
	struct sk_buff_head ready;
	u32 ready_bytes;
	u8 aad[4];
	struct scatterlist sg[MAX_SKB_FRAGS + 2];
	u64 bytes;
	u64 packets;
	unsigned long installed;
	u64 stopped;
};

/* Bits of kssh_context.flags. */
enum {
	KSSH_F_TX_READY,	/* TX keys installed */
	KSSH_F_RX_READY,	/* RX keys installed */
	KSSH_F_TX_GATED,	/* our KEXINIT left: messages >= 50 wait */
	KSSH_F_TX_PARKED,	/* our NEWKEYS left: everything waits */
	KSSH_F_RX_KEX,		/* our KEXINIT left: NEWKEYS may come */
	KSSH_F_RX_GATED,	/* KEXINIT came: messages >= 50 are a fault */
	KSSH_F_RX_PARKED,	/* NEWKEYS came: the rest waits */
	KSSH_F_RX_THROTTLED,	/* too many messages unread */
	KSSH_F_RX_EOF,		/* the peer closed at a packet boundary */
	KSSH_F_RX_DEAD,		/* the peer or its stream is at fault */
	KSSH_F_TX_DEAD,		/* nothing can be sent any more */
	KSSH_F_TX_LAST,		/* the last word after a fault is spoken */
	KSSH_F_TX_PENDING,	/* a channel has something for tx_work */
	KSSH_F_REKEY_DUE,	/* said so to userspace */
	KSSH_F_CLOSED,		/* the TCP socket is gone */
	KSSH_F_HOOKED,		/* callbacks of TCP are ours */
};

/**
 * struct kssh_context - a connection
 * @refs: one of the TCP socket, one a channel
 * @rcu: callbacks of TCP look it up under RCU
 * @sk: the TCP socket, referenced; not to be touched once KSSH_F_CLOSED is
 *	set, which takes both directions' locks
 * @sk_proto: TCP's own
 * @sk_ops: TCP's own
 * @sk_data_ready: TCP's own
 * @sk_write_space: TCP's own
 * @sk_error_report: TCP's own
 * @flags: KSSH_F_*
 * @rx_err: why KSSH_F_RX_DEAD is set
 * @tx: sending
 * @rx: receiving
 * @chans: bound channels by local id
 * @nchans: how many
 * @tx_work: sends what had to wait
 * @rx_work: receives when no reader does
 * @due_work: a key grows old
 * @ctl_queue: messages and events for recvmsg on the TCP socket
 * @ctl_bytes: bytes in @ctl_queue
 * @ctl_rx_lock: its reader
 * @ctl_tx_lock: sender on the TCP socket
 * @ctl_pkt: its packet
 * @due_event: KSSH_REKEY_* to tell userspace
 * @limits: as userspace set them
 * @rekeys: keys installed after the first
 * @stall_us: time data could not pass for want of them, both directions
 * @stall_max_us: the longest of those
 * @shut_us: time writers waited for the peer's windows
 * @windows: sum of kssh_rx_window.max of all channels
 * @reader_lock: over @reader; taken in softirq
 * @reader: socket whose reader waits and will call kssh_rx_run(), or NULL
 * @reader_busy: a reader was woken for that, or is at it
 */
struct kssh_context {
	refcount_t refs;
	struct rcu_head rcu;
	struct sock *sk;
	struct proto *sk_proto;
	const struct proto_ops *sk_ops;
	void (*sk_data_ready)(struct sock *sk);
	void (*sk_write_space)(struct sock *sk);
	void (*sk_error_report)(struct sock *sk);
	unsigned long flags;
	int rx_err;
	struct kssh_tx tx;
	struct kssh_rx rx;
	struct xarray chans;
	atomic_t nchans;
	struct delayed_work tx_work;
	struct delayed_work rx_work;
	struct delayed_work due_work;
	struct sk_buff_head ctl_queue;
	u32 ctl_bytes;
	struct mutex ctl_rx_lock;
	struct mutex ctl_tx_lock;
	struct kssh_tx_packet ctl_pkt;
	u32 due_event;
	struct kssh_rekey_limits limits;
	u32 rekeys;
	u64 stall_us;
	u64 stall_max_us;
	atomic64_t shut_us;
	atomic64_t windows;
	spinlock_t reader_lock;
	struct sock *reader;
	bool reader_busy;
};

/*
 * Bits of kssh_chan.flags. They change under kssh_chan.lock, and atomically all
 * the same, as some readers do without it.
 */
enum {
	KSSH_C_ADJUST,		/* a grant is to be sent */
	KSSH_C_EOF_DUE,		/* EOF is to be sent behind what is queued */
	KSSH_C_EOF_SENT,
	KSSH_C_EOF_RCVD,
	KSSH_C_CLOSE_SENT,
	KSSH_C_CLOSE_RCVD,
	KSSH_C_DISCARD,		/* nobody reads */
	KSSH_C_DONE_DUE,	/* the event waits for TCP to take it all */
	KSSH_C_UNBOUND,		/* not in the table (yet, or any more) */
	KSSH_C_TX_SHUT,		/* a writer found the peer's window spent */
};

#define KSSH_C_CLOSED	(BIT(KSSH_C_CLOSE_SENT) | BIT(KSSH_C_CLOSE_RCVD))

/**
 * struct kssh_chan - a bound channel
 * @refs: one of the table, one a socket
 * @ctx: the connection, referenced
 * @local_id: our number
 * @remote_id: the peer's number
 * @lock: over the windows, @flags, @csk and @tx_open
 * @flags: KSSH_C_*
 * @tx_win: window the peer granted
 * @rx_win: window we granted
 * @tx_bytes: data sent
 * @rx_bytes: data received
 * @shut_at: when KSSH_C_TX_SHUT was set, ns
 * @shut_us: time in that state before
 * @shuts: how often
 * @csk: sockets by data type, or NULL
 * @tx_open: sockets that may still write
 * @tail: last packet of a socket that writes no more, under ctx->tx.lock
 * @done_skb: memory for KSSH_EVENT_CHANNEL_TX_DONE
 */
struct kssh_chan {
	refcount_t refs;
	struct kssh_context *ctx;
	u32 local_id;
	u32 remote_id;
	spinlock_t lock;
	unsigned long flags;
	struct kssh_tx_window tx_win;
	struct kssh_rx_window rx_win;
	u64 tx_bytes;
	u64 rx_bytes;
	u64 shut_at;
	u64 shut_us;
	u32 shuts;
	struct kssh_chan_sock *csk[2];
	u32 tx_open;
	struct kssh_tx_packet *tail[2];
	struct sk_buff *done_skb;
};

/**
 * struct kssh_chan_sock - a channel socket
 * @sk: must be first
 * @chan: its channel
 * @data_type: KSSH_DATA_*
 * @tx_lock: over @pkt
 * @rx_lock: one reader at a time
 * @rx_err: why readers come to an end, < 0, or 0 for the end of file
 * @pkt: the open packet
 * @tx_shut: writes no more
 * @flush: @pkt is to be sent as it is; read without @tx_lock, too
 */
struct kssh_chan_sock {
	struct sock sk;
	struct kssh_chan *chan;
	u32 data_type;
	struct mutex tx_lock;
	struct mutex rx_lock;
	int rx_err;
	struct kssh_tx_packet *pkt;
	bool tx_shut;
	bool flush;
};

static inline struct kssh_chan_sock *kssh_csk(struct sock *sk)
{
	return (struct kssh_chan_sock *)sk;
}

/**
 * struct kssh_skb_cb - what stands in a queued packet
 * @off: next byte to read
 * @end: end of the payload or data
 * @pkt_seq: sequence number of the packet
 * @kind: KSSH_RX_* in the control queue
 * @charged: the channel socket pays for it
 * @busy: a reader has it, without the queue's lock: it does not grow
 */
struct kssh_skb_cb {
	u32 off;
	u32 end;
	u32 pkt_seq;
	u16 kind;
	bool charged;
	bool busy;
};

static inline struct kssh_skb_cb *kssh_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct kssh_skb_cb) > sizeof(skb->cb));
	return (struct kssh_skb_cb *)skb->cb;
}

static inline struct kssh_context *kssh_get_ctx(const struct sock *sk)
{
	return (__force void *)inet_csk(sk)->icsk_ulp_data;
}

static inline bool kssh_test(const struct kssh_context *ctx, int bit)
{
	return test_bit(bit, &ctx->flags);
}

/* Returns whether anybody waits. */
static inline bool kssh_wake(struct sock *sk, __poll_t mask)
{
	struct socket_wq *wq;
	bool any;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	any = skwq_has_sleeper(wq);
	if (any)
		wake_up_interruptible_poll(&wq->wait, mask);
	rcu_read_unlock();
	return any;
}

/* main.c */
extern struct workqueue_struct *kssh_wq;

void kssh_ctx_put(struct kssh_context *ctx);
void kssh_hook(struct kssh_context *ctx);

/* sockopt.c */
int kssh_setsockopt(struct sock *sk, int level, int optname, sockptr_t optval,
		    unsigned int optlen);
int kssh_getsockopt(struct sock *sk, int level, int optname,
		    char __user *optval, int __user *optlen);
u16 kssh_info_state(unsigned long flags);
void kssh_check_due(struct kssh_context *ctx, u32 due);
void kssh_due_work(struct work_struct *work);

/* cipher.c */
struct kssh_cipher *kssh_cipher_alloc(const struct kssh_crypto_info *info);
void kssh_cipher_free(struct kssh_cipher *cipher);
const char *kssh_cipher_driver(const struct kssh_cipher *cipher);
void kssh_cipher_report(const struct sock *sk,
			const struct kssh_cipher *cipher);

/* cipher_gcm.c */
extern const struct kssh_cipher_ops kssh_gcm_ops;

/* cipher_chacha.c */
extern const struct kssh_cipher_ops kssh_chacha_ops;

/* cipher_ctr.c */
extern const struct kssh_cipher_ops kssh_ctr_ops;

/* packet_fill.c */
void kssh_pkt_reset(struct kssh_tx_packet *pkt, u32 hdr_len);
void kssh_pkt_free(struct kssh_tx_packet *pkt);
void kssh_pkt_sent(struct kssh_tx_packet *pkt, bool page_given);
u32 kssh_pkt_room(const struct kssh_tx_packet *pkt);
int kssh_pkt_add(struct kssh_tx_packet *pkt, struct iov_iter *iter, u32 len,
		 bool more);
int kssh_pkt_add_pages(struct kssh_tx_packet *pkt, struct iov_iter *iter,
		       u32 len);
void kssh_pkt_gather(struct kssh_tx_packet *pkt);

/* packet_seal.c */
int kssh_seal(struct kssh_tx *tx, struct kssh_tx_packet *pkt, u32 pad,
	      struct kssh_sealed *out);
void kssh_sealed_put(const struct bio_vec *bv, int nbv);

/* packet_tx.c */
bool kssh_tx_writable(struct kssh_context *ctx);
bool kssh_tx_data_writable(struct kssh_context *ctx);
bool kssh_tx_data_ready(struct kssh_context *ctx);
int kssh_tx_check(struct kssh_context *ctx, u8 type);
int kssh_tx_packet(struct kssh_context *ctx, struct kssh_tx_packet *pkt,
		   bool more);
int kssh_tx_payload(struct kssh_context *ctx, const u8 *payload, u32 len);
int kssh_tx_push_part(struct kssh_context *ctx);
void kssh_tx_flush_tcp(struct kssh_context *ctx);
void kssh_tx_force(struct kssh_context *ctx);
void kssh_tx_kick(struct kssh_context *ctx);
void kssh_tx_retry(struct kssh_context *ctx);
void kssh_tx_work(struct work_struct *work);
void kssh_tx_die(struct kssh_context *ctx, int err, int mib);

/* control_tx.c */
int kssh_sendmsg(struct sock *sk, struct msghdr *msg, size_t size);

/* packet_page.c */
struct sk_buff *kssh_rx_skb_alloc(u32 len);
void kssh_rx_skb_free(struct sk_buff *skb);
struct page *kssh_tx_page_alloc(gfp_t gfp);
void kssh_tx_page_sent(struct page *page);
int kssh_page_init(void);
void kssh_page_exit(void);

/* packet_rx.c */
int kssh_rx_pump(struct kssh_context *ctx);
void kssh_rx_run(struct kssh_context *ctx);
void kssh_rx_poll(struct kssh_context *ctx, const poll_table *wait);
void kssh_rx_poll_wait(struct kssh_context *ctx, struct sock *reader,
		       const poll_table *wait);
void kssh_rx_await(struct kssh_context *ctx, struct sock *reader);
void kssh_rx_forget(struct kssh_context *ctx, struct sock *reader);
void kssh_rx_data_ready(struct kssh_context *ctx);
void kssh_rx_poke(struct kssh_context *ctx);
void kssh_rx_work(struct work_struct *work);
void kssh_rx_fault(struct kssh_context *ctx, int err, int mib);
void kssh_rx_reset(struct kssh_rx *rx);

/* control_rx.c */
bool kssh_ctl_readable(struct kssh_context *ctx);
void kssh_ctl_queue(struct kssh_context *ctx, struct sk_buff *skb, u16 kind);
void kssh_ctl_wake(struct kssh_context *ctx);
int kssh_ctl_inq(struct kssh_context *ctx);
int kssh_do_recvmsg(struct sock *sk, struct msghdr *msg, size_t size,
		    int flags);

/* channel.c */
int kssh_channel_init(void);
void kssh_channel_exit(void);
int kssh_channel_bind(struct kssh_context *ctx, void __user *arg);
struct kssh_chan *kssh_chan_find(struct kssh_context *ctx, u32 local_id);
struct kssh_chan *kssh_chan_next(struct kssh_context *ctx, unsigned long *id);
void kssh_chan_put(struct kssh_chan *chan);
void kssh_chan_shut(struct kssh_chan_sock *csk, u8 how);
void kssh_chan_wake_writers(struct kssh_chan *chan);
struct kssh_chan_sock *kssh_chan_sock_get(struct kssh_chan *chan, int type);
void kssh_chan_closed(struct kssh_context *ctx, struct kssh_chan *chan,
		      int bit);
void kssh_chan_close_sent(struct kssh_context *ctx, const u8 *payload,
			  u32 len);
void kssh_chan_kill_all(struct kssh_context *ctx, int err, bool detach);

/* channel_rx.c */
bool kssh_chan_rx(struct kssh_context *ctx, struct sk_buff *skb,
		  const u8 *hdr, u32 hdr_len);
int kssh_chan_recvmsg(struct socket *sock, struct msghdr *msg, size_t size,
		      int flags);
ssize_t kssh_chan_splice_read(struct socket *sock, loff_t *ppos,
			      struct pipe_inode_info *pipe, size_t len,
			      unsigned int flags);
void kssh_chan_consumed(struct kssh_chan *chan, u32 len);
bool kssh_chan_window_charge(struct kssh_context *ctx, u32 bytes);
u32 kssh_chan_grant(struct kssh_chan *chan);
void kssh_chan_rx_purge(struct sock *sk);
void kssh_chan_rx_discard(struct kssh_chan_sock *csk);
u32 kssh_chan_inq(struct sock *sk);

/* channel_tx.c */
int kssh_chan_sendmsg(struct socket *sock, struct msghdr *msg, size_t size);
void kssh_chan_splice_eof(struct socket *sock);
bool kssh_chan_writable(struct kssh_chan_sock *csk);
void kssh_chan_shutdown_tx(struct kssh_chan_sock *csk);
int kssh_chan_tx_pending(struct kssh_chan *chan);
int kssh_chan_try_flush(struct kssh_chan *chan);

#endif /* _KSSH_H */
