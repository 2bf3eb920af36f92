// SPDX-License-Identifier: GPL-2.0-only
/*
 * kSSH: the SSH-2 binary packet protocol as a TCP upper layer protocol.
 *
 * Attaching, the callbacks of TCP, and the end of a connection.
 */
#include <asm/ioctls.h>
#include <linux/compat.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/inet_common.h>
#include <net/netlink.h>
#include <trace/events/sock.h>

#include "kssh.h"

struct workqueue_struct *kssh_wq;

enum { KSSHV4, KSSHV6, KSSH_NUM_PROTS };

/* Copies of TCP's tables with our calls in them, by family. */
static struct proto kssh_prots[KSSH_NUM_PROTS];
static struct proto_ops kssh_ops[KSSH_NUM_PROTS];
static const struct proto *saved_prot[KSSH_NUM_PROTS];
static const struct proto_ops *saved_ops[KSSH_NUM_PROTS];
static DEFINE_MUTEX(kssh_prot_mutex);

/* Lifetime. */

static void ctx_free(struct kssh_context *ctx)
{
	kssh_cipher_free(ctx->tx.cipher);
	kssh_cipher_free(ctx->rx.cipher);
	if (ctx->tx.frag.page)
		put_page(ctx->tx.frag.page);
	kssh_rx_reset(&ctx->rx);
	__skb_queue_purge(&ctx->ctl_queue);
	xa_destroy(&ctx->chans);
	sock_put(ctx->sk);
	kfree_rcu(ctx, rcu);
}

void kssh_ctx_put(struct kssh_context *ctx)
{
	if (refcount_dec_and_test(&ctx->refs))
		ctx_free(ctx);
}

static struct kssh_context *ctx_alloc(struct sock *sk)
{
	struct kssh_context *ctx;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return NULL;
	refcount_set(&ctx->refs, 1);
	mutex_init(&ctx->tx.lock);
	mutex_init(&ctx->rx.lock);
	mutex_init(&ctx->ctl_tx_lock);
	mutex_init(&ctx->ctl_rx_lock);
	__skb_queue_head_init(&ctx->rx.ready);
	skb_queue_head_init(&ctx->ctl_queue);
	xa_init(&ctx->chans);
	spin_lock_init(&ctx->reader_lock);
	INIT_DELAYED_WORK(&ctx->tx_work, kssh_tx_work);
	INIT_DELAYED_WORK(&ctx->rx_work, kssh_rx_work);
	INIT_DELAYED_WORK(&ctx->due_work, kssh_due_work);
	ctx->tx.installed = jiffies;
	ctx->rx.installed = jiffies;
	sock_hold(sk);
	ctx->sk = sk;
	return ctx;
}

/* Callbacks of TCP: softirq, or process context with the socket owned. */

static struct kssh_context *ctx_rcu(const struct sock *sk)
{
	return rcu_dereference(*(struct kssh_context __rcu **)
			       &inet_csk(sk)->icsk_ulp_data);
}

static void kssh_data_ready(struct sock *sk)
{
	struct kssh_context *ctx;

	trace_sk_data_ready(sk);
	rcu_read_lock();
	ctx = ctx_rcu(sk);
	if (ctx && kssh_test(ctx, KSSH_F_RX_READY))
		kssh_rx_data_ready(ctx);
	else if (ctx)
		ctx->sk_data_ready(sk);
	rcu_read_unlock();
}

static void kssh_write_space(struct sock *sk)
{
	struct kssh_context *ctx;

	rcu_read_lock();
	ctx = ctx_rcu(sk);
	if (ctx) {
		ctx->sk_write_space(sk);
		/* it asks for a third of the buffer to be free: so do we */
		if (sk_stream_is_writeable(sk))
			kssh_tx_kick(ctx);
	}
	rcu_read_unlock();
}

static void kssh_error_report(struct sock *sk)
{
	struct kssh_context *ctx;

	rcu_read_lock();
	ctx = ctx_rcu(sk);
	if (ctx) {
		ctx->sk_error_report(sk);
		kssh_rx_poke(ctx);
		kssh_tx_kick(ctx);
	}
	rcu_read_unlock();
}

/* The first keys are here: from now on TCP calls us. */
void kssh_hook(struct kssh_context *ctx)
{
	struct sock *sk = ctx->sk;

	if (test_and_set_bit(KSSH_F_HOOKED, &ctx->flags))
		return;
	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	ctx->sk_data_ready = sk->sk_data_ready;
	ctx->sk_write_space = sk->sk_write_space;
	ctx->sk_error_report = sk->sk_error_report;
	sk->sk_data_ready = kssh_data_ready;
	sk->sk_write_space = kssh_write_space;
	sk->sk_error_report = kssh_error_report;
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

static void unhook(struct kssh_context *ctx)
{
	struct sock *sk = ctx->sk;

	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	if (kssh_test(ctx, KSSH_F_HOOKED)) {
		sk->sk_data_ready = ctx->sk_data_ready;
		sk->sk_write_space = ctx->sk_write_space;
		sk->sk_error_report = ctx->sk_error_report;
	}
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	WRITE_ONCE(sk->sk_prot, ctx->sk_proto);
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

/* Calls on the TCP socket. */

static void kssh_close(struct sock *sk, long timeout)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);
	struct proto *base = ctx->sk_proto;

	mutex_lock(&ctx->rx.lock);
	mutex_lock(&ctx->tx.lock);
	kssh_tx_force(ctx);
	kssh_tx_flush_tcp(ctx);
	set_bit(KSSH_F_CLOSED, &ctx->flags);
	kssh_rx_reset(&ctx->rx);
	mutex_unlock(&ctx->tx.lock);
	mutex_unlock(&ctx->rx.lock);

	unhook(ctx);
	disable_delayed_work_sync(&ctx->tx_work);
	disable_delayed_work_sync(&ctx->rx_work);
	disable_delayed_work_sync(&ctx->due_work);
	kssh_chan_kill_all(ctx, ECONNRESET, true);

	/* channels may keep the context; not the keys */
	mutex_lock(&ctx->rx.lock);
	mutex_lock(&ctx->tx.lock);
	kssh_cipher_free(ctx->tx.cipher);
	kssh_cipher_free(ctx->rx.cipher);
	ctx->tx.cipher = NULL;
	ctx->rx.cipher = NULL;
	skb_queue_purge(&ctx->ctl_queue);
	mutex_unlock(&ctx->tx.lock);
	mutex_unlock(&ctx->rx.lock);

	KSSH_DEC(sk, CURRCONN);
	base->close(sk, timeout);
	kssh_ctx_put(ctx);
}

static int kssh_disconnect(struct sock *sk, int flags)
{
	return -EOPNOTSUPP;
}

static int kssh_recvmsg(KSSH_RECVMSG_ARGS)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);

	if (!kssh_test(ctx, KSSH_F_RX_READY) || flags & MSG_ERRQUEUE)
		return kssh_base_recvmsg(ctx->sk_proto, sk, msg, size, flags);
	return kssh_do_recvmsg(sk, msg, size, flags);
}

static bool kssh_readable(struct sock *sk)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);

	if (!kssh_test(ctx, KSSH_F_RX_READY))
		return ctx->sk_proto->sock_is_readable &&
		       ctx->sk_proto->sock_is_readable(sk);
	return kssh_ctl_readable(ctx);
}

static void kssh_proto_splice_eof(struct socket *sock)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);

	if (!kssh_test(ctx, KSSH_F_TX_READY) && ctx->sk_proto->splice_eof)
		ctx->sk_proto->splice_eof(sock);
}

static int kssh_proto_ioctl(struct sock *sk, int cmd, int *karg)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);

	if (cmd == SIOCINQ && kssh_test(ctx, KSSH_F_RX_READY)) {
		*karg = kssh_ctl_inq(ctx);
		return 0;
	}
	return ctx->sk_proto->ioctl(sk, cmd, karg);
}

static int kssh_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);

	if (cmd == SIOCKSSHCHANNEL)
		return kssh_channel_bind(ctx, (void __user *)arg);
	return ctx->sk_ops->ioctl(sock, cmd, arg);
}

#ifdef CONFIG_COMPAT
static int kssh_compat_ioctl(struct socket *sock, unsigned int cmd,
			     unsigned long arg)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);

	if (cmd == SIOCKSSHCHANNEL)
		return kssh_channel_bind(ctx, compat_ptr(arg));
	return ctx->sk_ops->compat_ioctl(sock, cmd, arg);
}
#endif

static __poll_t kssh_poll(struct file *file, struct socket *sock,
			  poll_table *wait)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);
	struct sock *sk = sock->sk;
	__poll_t mask = 0;

	if (!kssh_test(ctx, KSSH_F_RX_READY))
		return ctx->sk_ops->poll(file, sock, wait);

	if (!kssh_ctl_readable(ctx))
		kssh_rx_poll(ctx, wait);
	sock_poll_wait(file, sock, wait);
	if (kssh_ctl_readable(ctx))
		mask |= EPOLLIN | EPOLLRDNORM;
	else
		kssh_rx_poll_wait(ctx, sk, wait);
	if (kssh_test(ctx, KSSH_F_RX_EOF))
		mask |= EPOLLRDHUP;
	if (kssh_test(ctx, KSSH_F_RX_DEAD))
		mask |= EPOLLERR | EPOLLRDHUP;
	if (READ_ONCE(sk->sk_err))
		mask |= EPOLLERR;
	if (kssh_test(ctx, KSSH_F_TX_DEAD) ||
	    inet_sk_state_load(sk) == TCP_CLOSE)
		mask |= EPOLLHUP | EPOLLOUT | EPOLLWRNORM;
	else if (kssh_tx_writable(ctx))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static int kssh_shutdown(struct socket *sock, int how)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);
	int err;

	/* no packet begins between the last one and the FIN */
	mutex_lock(&ctx->tx.lock);
	if (how != SHUT_RD)
		kssh_tx_force(ctx);
	err = ctx->sk_ops->shutdown(sock, how);
	mutex_unlock(&ctx->tx.lock);
	/* the channels shall know */
	kssh_rx_poke(ctx);
	return err;
}

static ssize_t kssh_splice_read(struct socket *sock, loff_t *ppos,
				struct pipe_inode_info *pipe, size_t len,
				unsigned int flags)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);

	if (kssh_test(ctx, KSSH_F_RX_READY))
		return -EOPNOTSUPP;
	return ctx->sk_ops->splice_read(sock, ppos, pipe, len, flags);
}

/* /proc/PID/fdinfo of the TCP socket */
static void kssh_show_fdinfo(struct seq_file *m, struct socket *sock)
{
	struct kssh_context *ctx = kssh_get_ctx(sock->sk);

	seq_printf(m, "kssh-tx-cipher:\t%u\nkssh-rx-cipher:\t%u\n"
		   "kssh-state:\t0x%x\nkssh-channels:\t%d\n"
		   "kssh-rekeys:\t%u\nkssh-tx-bytes:\t%llu\n"
		   "kssh-rx-bytes:\t%llu\nkssh-tx-packets:\t%llu\n"
		   "kssh-rx-packets:\t%llu\nkssh-local-windows:\t%lld\n"
		   "kssh-queued-messages:\t%u\n",
		   READ_ONCE(ctx->tx.cipher_id), READ_ONCE(ctx->rx.cipher_id),
		   kssh_info_state(READ_ONCE(ctx->flags)),
		   atomic_read(&ctx->nchans), READ_ONCE(ctx->rekeys),
		   READ_ONCE(ctx->tx.bytes), READ_ONCE(ctx->rx.bytes),
		   READ_ONCE(ctx->tx.packets), READ_ONCE(ctx->rx.packets),
		   atomic64_read(&ctx->windows),
		   skb_queue_len_lockless(&ctx->ctl_queue));
}

static void build_proto(struct proto *prot, const struct proto *base)
{
	*prot = *base;
	prot->close		= kssh_close;
	prot->disconnect	= kssh_disconnect;
	prot->setsockopt	= kssh_setsockopt;
	prot->getsockopt	= kssh_getsockopt;
	prot->sendmsg		= kssh_sendmsg;
	prot->recvmsg		= kssh_recvmsg;
	prot->splice_eof	= kssh_proto_splice_eof;
	prot->sock_is_readable	= kssh_readable;
	prot->ioctl		= kssh_proto_ioctl;
#ifdef CONFIG_BPF_SYSCALL
	/* not for sockmap */
	prot->psock_update_sk_prot = NULL;
#endif
}

static void build_ops(struct proto_ops *ops, const struct proto_ops *base)
{
	*ops = *base;
	ops->poll		= kssh_poll;
	ops->ioctl		= kssh_ioctl;
#ifdef CONFIG_COMPAT
	ops->compat_ioctl	= kssh_compat_ioctl;
#endif
	ops->shutdown		= kssh_shutdown;
	ops->splice_read	= kssh_splice_read;
	ops->show_fdinfo	= kssh_show_fdinfo;
	/* the stream is ours: not for KCM and the like */
	ops->read_sock		= NULL;
	ops->read_skb		= NULL;
	ops->sendmsg_locked	= NULL;
}

/*
 * The tables of the first socket of a family serve all: TCP has one each.
 * Under lock_sock(). -EINVAL for somebody else's.
 */
static int build_tables(struct sock *sk, int ver)
{
	struct proto *prot = READ_ONCE(sk->sk_prot);
	const struct proto_ops *ops = READ_ONCE(sk->sk_socket->ops);
	int err = 0;

	mutex_lock(&kssh_prot_mutex);
	if (!saved_prot[ver]) {
		build_proto(&kssh_prots[ver], prot);
		build_ops(&kssh_ops[ver], ops);
		saved_prot[ver] = prot;
		saved_ops[ver] = ops;
	} else if (saved_prot[ver] != prot || saved_ops[ver] != ops) {
		err = -EINVAL;
	}
	mutex_unlock(&kssh_prot_mutex);
	return err;
}

/* The ULP. */

static bool may_attach(const struct sock *sk)
{
	struct net *net = sock_net(sk);

	return READ_ONCE(kssh_net(net)->unprivileged_attach) ||
	       ns_capable(net->user_ns, CAP_NET_ADMIN);
}

static int kssh_init(struct sock *sk)
{
	struct kssh_context *ctx;
	int ver = sk->sk_family == AF_INET6 ? KSSHV6 : KSSHV4;
	int err;

	/* TCP_LISTEN would hand the context to its children */
	if (sk->sk_state != TCP_ESTABLISHED)
		return -ENOTCONN;
	if (!may_attach(sk))
		return -EPERM;
	if (sk->sk_user_data)
		return -EBUSY;
	err = build_tables(sk, ver);
	if (err)
		return err;

	ctx = ctx_alloc(sk);
	if (!ctx)
		return -ENOMEM;

	write_lock_bh(&sk->sk_callback_lock);
	ctx->sk_proto = READ_ONCE(sk->sk_prot);
	ctx->sk_ops = READ_ONCE(sk->sk_socket->ops);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, ctx);
	/* the context before the tables that use it, for lockless readers */
	smp_wmb();
	WRITE_ONCE(sk->sk_socket->ops, &kssh_ops[ver]);
	WRITE_ONCE(sk->sk_prot, &kssh_prots[ver]);
	write_unlock_bh(&sk->sk_callback_lock);

	KSSH_INC(sk, CURRCONN);
	KSSH_INC(sk, CONNS);
	return 0;
}

static void kssh_update(struct sock *sk, struct proto *p,
			void (*write_space)(struct sock *sk))
{
	struct kssh_context *ctx = kssh_get_ctx(sk);

	if (ctx) {
		ctx->sk_proto = p;
		ctx->sk_write_space = write_space;
	} else {
		WRITE_ONCE(sk->sk_prot, p);
		sk->sk_write_space = write_space;
	}
}

/* For ss -i; no lock is held but RCU's. */
static int put_info(struct sk_buff *skb, const struct kssh_context *ctx)
{
	return nla_put_u16(skb, KSSH_DIAG_TX_CIPHER,
			   READ_ONCE(ctx->tx.cipher_id)) ||
	       nla_put_u16(skb, KSSH_DIAG_RX_CIPHER,
			   READ_ONCE(ctx->rx.cipher_id)) ||
	       nla_put_u16(skb, KSSH_DIAG_STATE,
			   kssh_info_state(READ_ONCE(ctx->flags))) ||
	       nla_put_u32(skb, KSSH_DIAG_CHANNELS,
			   atomic_read(&ctx->nchans)) ||
	       nla_put_u32(skb, KSSH_DIAG_REKEYS, READ_ONCE(ctx->rekeys)) ||
	       nla_put_u64_64bit(skb, KSSH_DIAG_TX_BYTES,
				 READ_ONCE(ctx->tx.bytes), KSSH_DIAG_PAD) ||
	       nla_put_u64_64bit(skb, KSSH_DIAG_RX_BYTES,
				 READ_ONCE(ctx->rx.bytes), KSSH_DIAG_PAD) ||
	       nla_put_u64_64bit(skb, KSSH_DIAG_TX_PACKETS,
				 READ_ONCE(ctx->tx.packets), KSSH_DIAG_PAD) ||
	       nla_put_u64_64bit(skb, KSSH_DIAG_RX_PACKETS,
				 READ_ONCE(ctx->rx.packets), KSSH_DIAG_PAD);
}

static int kssh_get_info(KSSH_GET_INFO_ARGS)
{
	struct kssh_context *ctx;
	struct nlattr *start;
	int err = 0;

	start = nla_nest_start_noflag(skb, INET_ULP_INFO_KSSH);
	if (!start)
		return -EMSGSIZE;
	rcu_read_lock();
	ctx = ctx_rcu(sk);
	if (ctx)
		err = put_info(skb, ctx);
	rcu_read_unlock();
	if (err) {
		nla_nest_cancel(skb, start);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, start);
	return 0;
}

static size_t kssh_get_info_size(KSSH_GET_INFO_SIZE_ARGS)
{
	return nla_total_size(0) +			/* the nest */
	       3 * nla_total_size(sizeof(u16)) +	/* ciphers, state */
	       2 * nla_total_size(sizeof(u32)) +	/* channels, rekeys */
	       4 * nla_total_size_64bit(sizeof(u64));	/* bytes, packets */
}

static struct tcp_ulp_ops kssh_ulp_ops __read_mostly = {
	.name		= KSSH_ULP_NAME,
	.owner		= THIS_MODULE,
	.init		= kssh_init,
	.update		= kssh_update,
	.get_info	= kssh_get_info,
	.get_info_size	= kssh_get_info_size,
};

static int __init kssh_module_init(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct kssh_crypto_info) != 192);
	BUILD_BUG_ON(sizeof(struct kssh_rekey_limits) != 48);
	BUILD_BUG_ON(sizeof(struct kssh_channel) != 64);
	BUILD_BUG_ON(sizeof(struct kssh_event) != 16);
	BUILD_BUG_ON(sizeof(struct kssh_cmsg_rx) != 8);
	BUILD_BUG_ON(sizeof(struct kssh_info) != 248);

	kssh_wq = alloc_workqueue("kssh", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!kssh_wq)
		return -ENOMEM;
	err = kssh_stat_init();
	if (err)
		goto err_wq;
	err = kssh_page_init();
	if (err)
		goto err_stat;
	err = kssh_channel_init();
	if (err)
		goto err_page;
	err = tcp_register_ulp(&kssh_ulp_ops);
	if (err)
		goto err_channel;
	return 0;

err_channel:
	kssh_channel_exit();
err_page:
	kssh_page_exit();
err_stat:
	kssh_stat_exit();
err_wq:
	destroy_workqueue(kssh_wq);
	return err;
}

static void __exit kssh_module_exit(void)
{
	tcp_unregister_ulp(&kssh_ulp_ops);
	kssh_channel_exit();
	destroy_workqueue(kssh_wq);
	kssh_page_exit();
	/* the last, because counters are used until here */
	kssh_stat_exit();
}

module_init(kssh_module_init);
module_exit(kssh_module_exit);

MODULE_AUTHOR("The kSSH authors");
MODULE_DESCRIPTION("SSH-2 binary packet protocol as a TCP ULP");
MODULE_LICENSE("GPL");
MODULE_ALIAS_TCP_ULP("ssh");
/* without them AES and SHA-2 run in plain C; some kernels have them built in */
MODULE_SOFTDEP("pre: aesni_intel sha256_ssse3 sha512_ssse3");
