// SPDX-License-Identifier: GPL-2.0-only
/* Channels and their sockets: binding, state, lifetime. */
#include <asm/ioctls.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/security.h>
#include <linux/slab.h>

#include "kssh.h"

static const struct proto_ops kssh_chan_ops;

/* lockdep: not to be mixed up with other sockets of no family */
static struct lock_class_key kssh_chan_slock_key;
static struct lock_class_key kssh_chan_lock_key;

/* The table. */

struct kssh_chan *kssh_chan_find(struct kssh_context *ctx, u32 local_id)
{
	struct kssh_chan *chan;

	xa_lock(&ctx->chans);
	chan = xa_load(&ctx->chans, local_id);
	if (chan)
		refcount_inc(&chan->refs);
	xa_unlock(&ctx->chans);
	return chan;
}

/* The first channel from *@id on, referenced, or NULL; steps *@id. */
struct kssh_chan *kssh_chan_next(struct kssh_context *ctx, unsigned long *id)
{
	struct kssh_chan *chan;

	xa_lock(&ctx->chans);
	chan = xa_find(&ctx->chans, id, U32_MAX, XA_PRESENT);
	if (chan)
		refcount_inc(&chan->refs);
	xa_unlock(&ctx->chans);
	++*id;
	return chan;
}

void kssh_chan_put(struct kssh_chan *chan)
{
	int i;

	if (!refcount_dec_and_test(&chan->refs))
		return;
	for (i = 0; i < ARRAY_SIZE(chan->tail); i++) {
		if (!chan->tail[i])
			continue;
		kssh_pkt_free(chan->tail[i]);
		kfree(chan->tail[i]);
	}
	kfree_skb(chan->done_skb);
	atomic64_sub(chan->rx_win.max, &chan->ctx->windows);
	kssh_ctx_put(chan->ctx);
	kfree(chan);
}

/* The socket of a data type, referenced, or NULL. */
struct kssh_chan_sock *kssh_chan_sock_get(struct kssh_chan *chan, int type)
{
	struct kssh_chan_sock *csk;

	spin_lock(&chan->lock);
	csk = chan->csk[type];
	if (csk)
		sock_hold(&csk->sk);
	spin_unlock(&chan->lock);
	return csk;
}

/* Take @chan out of the table, once. */
static void chan_unbind(struct kssh_context *ctx, struct kssh_chan *chan)
{
	struct kssh_chan *old;

	old = xa_cmpxchg(&ctx->chans, chan->local_id, chan, NULL, GFP_KERNEL);
	if (old != chan)
		return;
	spin_lock(&chan->lock);
	set_bit(KSSH_C_UNBOUND, &chan->flags);
	spin_unlock(&chan->lock);
	atomic_dec(&ctx->nchans);
	kssh_chan_put(chan);
}

/* Add to sk_shutdown; several contexts do. */
void kssh_chan_shut(struct kssh_chan_sock *csk, u8 how)
{
	spin_lock(&csk->chan->lock);
	WRITE_ONCE(csk->sk.sk_shutdown, csk->sk.sk_shutdown | how);
	spin_unlock(&csk->chan->lock);
}

void kssh_chan_wake_writers(struct kssh_chan *chan)
{
	struct kssh_chan_sock *csk;
	int i;

	for (i = 0; i < ARRAY_SIZE(chan->csk); i++) {
		csk = kssh_chan_sock_get(chan, i);
		if (!csk)
			continue;
		kssh_wake(&csk->sk, EPOLLOUT | EPOLLWRNORM);
		sock_put(&csk->sk);
	}
}

/* The sockets of @chan write no more. */
static void chan_stop_writers(struct kssh_chan *chan)
{
	struct kssh_chan_sock *csk;
	int i;

	for (i = 0; i < ARRAY_SIZE(chan->csk); i++) {
		csk = kssh_chan_sock_get(chan, i);
		if (!csk)
			continue;
		kssh_chan_shut(csk, SEND_SHUTDOWN);
		kssh_wake(&csk->sk, EPOLLOUT | EPOLLWRNORM | EPOLLHUP);
		sock_put(&csk->sk);
	}
}

/*
 * SSH_MSG_CHANNEL_CLOSE passed in one direction. RFC 4254 5.3: "The channel is
 * considered closed for a party when it has both sent and received
 * SSH_MSG_CHANNEL_CLOSE, and the party may then reuse the channel number."
 */
void kssh_chan_closed(struct kssh_context *ctx, struct kssh_chan *chan,
		      int bit)
{
	bool done;

	spin_lock(&chan->lock);
	set_bit(bit, &chan->flags);
	done = (chan->flags & KSSH_C_CLOSED) == KSSH_C_CLOSED;
	spin_unlock(&chan->lock);

	chan_stop_writers(chan);
	if (done)
		chan_unbind(ctx, chan);
}

/* Userspace sent SSH_MSG_CHANNEL_CLOSE: whose is it? */
void kssh_chan_close_sent(struct kssh_context *ctx, const u8 *payload, u32 len)
{
	u32 remote_id = kssh_get_be32(payload + 1);
	struct kssh_chan *chan;
	unsigned long id = 0;
	bool found = false;

	while (!found && (chan = kssh_chan_next(ctx, &id))) {
		found = chan->remote_id == remote_id &&
			!(READ_ONCE(chan->flags) & BIT(KSSH_C_CLOSE_SENT));
		if (found)
			kssh_chan_closed(ctx, chan, KSSH_C_CLOSE_SENT);
		kssh_chan_put(chan);
	}
}

static void chan_kill(struct kssh_chan *chan, int err)
{
	struct kssh_chan_sock *csk;
	unsigned long flags;
	int i;

	for (i = 0; i < ARRAY_SIZE(chan->csk); i++) {
		csk = kssh_chan_sock_get(chan, i);
		if (!csk)
			continue;
		flags = READ_ONCE(chan->flags);
		/* a channel that was closed in order has nothing to complain */
		if (!(flags & BIT(KSSH_C_CLOSE_RCVD)))
			WRITE_ONCE(csk->sk.sk_err, err);
		/* nor has a reader that has all */
		if (!(flags & BIT(KSSH_C_EOF_RCVD)))
			WRITE_ONCE(csk->rx_err, -err);
		/* the errors before the shutdown: it must not look like EOF */
		smp_wmb();
		kssh_chan_shut(csk, SHUTDOWN_MASK);
		kssh_wake(&csk->sk, EPOLLIN | EPOLLRDNORM | EPOLLOUT |
			  EPOLLWRNORM | EPOLLERR | EPOLLHUP);
		sock_put(&csk->sk);
	}
}

/* The connection is over for all channels, by @err > 0. */
void kssh_chan_kill_all(struct kssh_context *ctx, int err, bool detach)
{
	struct kssh_chan *chan;
	unsigned long id = 0;

	while ((chan = kssh_chan_next(ctx, &id))) {
		chan_kill(chan, err);
		if (detach)
			chan_unbind(ctx, chan);
		kssh_chan_put(chan);
	}
}

/* The socket. */

static int chan_release(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct kssh_chan_sock *csk;
	struct kssh_chan *chan;

	if (!sk)
		return 0;
	csk = kssh_csk(sk);
	chan = csk->chan;
	if (chan) {
		kssh_rx_forget(chan->ctx, sk);
		kssh_chan_shutdown_tx(csk);
		if (csk->data_type == KSSH_DATA_PLAIN)
			kssh_chan_rx_discard(csk);
		spin_lock(&chan->lock);
		if (chan->csk[csk->data_type] == csk)
			chan->csk[csk->data_type] = NULL;
		spin_unlock(&chan->lock);
	}
	sock_orphan(sk);
	sock->sk = NULL;
	sock_put(sk);
	return 0;
}

static void chan_destruct(struct sock *sk)
{
	struct kssh_chan_sock *csk = kssh_csk(sk);

	kssh_chan_rx_purge(sk);
	sk_sockets_allocated_dec(sk);
	if (csk->pkt) {
		kssh_pkt_free(csk->pkt);
		kfree(csk->pkt);
	}
	if (csk->chan)
		kssh_chan_put(csk->chan);
}

/* Who is it connected to? To nobody that has an address. */
static int chan_getname(struct socket *sock, struct sockaddr *addr, int peer)
{
	return -ENOTCONN;
}

static bool chan_is_idle(const struct sock *sk)
{
	return skb_queue_empty_lockless(&sk->sk_receive_queue) &&
	       !(READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN);
}

static __poll_t chan_poll(struct file *file, struct socket *sock,
			  poll_table *wait)
{
	struct kssh_context *ctx = kssh_csk(sock->sk)->chan->ctx;
	struct sock *sk = sock->sk;
	__poll_t mask = 0;
	u8 shutdown;

	if (chan_is_idle(sk))
		kssh_rx_poll(ctx, wait);
	sock_poll_wait(file, sock, wait);
	if (chan_is_idle(sk))
		kssh_rx_poll_wait(ctx, sk, wait);
	shutdown = READ_ONCE(sk->sk_shutdown);
	/* pairs with chan_kill() */
	smp_rmb();
	if (READ_ONCE(sk->sk_err))
		mask |= EPOLLERR;
	if (shutdown == SHUTDOWN_MASK)
		mask |= EPOLLHUP;
	if (shutdown & RCV_SHUTDOWN)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (!skb_queue_empty_lockless(&sk->sk_receive_queue))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (poll_requested_events(wait) & (EPOLLOUT | EPOLLWRNORM) &&
	    kssh_chan_writable(kssh_csk(sk)))
		mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return mask;
}

static int chan_proto_ioctl(struct sock *sk, int cmd, int *karg)
{
	struct kssh_chan_sock *csk = kssh_csk(sk);

	switch (cmd) {
	case SIOCINQ:
		*karg = kssh_chan_inq(sk);
		return 0;
	case SIOCOUTQ:
		mutex_lock(&csk->tx_lock);
		*karg = csk->pkt ? csk->pkt->data_len : 0;
		mutex_unlock(&csk->tx_lock);
		return 0;
	}
	return -ENOIOCTLCMD;
}

static int chan_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	int val, err;

	err = chan_proto_ioctl(sock->sk, cmd, &val);
	if (err)
		return err;
	return put_user(val, (int __user *)arg);
}

#ifdef CONFIG_COMPAT
static int chan_compat_ioctl(struct socket *sock, unsigned int cmd,
			     unsigned long arg)
{
	return chan_ioctl(sock, cmd, (unsigned long)compat_ptr(arg));
}
#endif

static int chan_shutdown(struct socket *sock, int how)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);
	struct sock *sk = sock->sk;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (how != SHUT_RD)
		kssh_chan_shutdown_tx(csk);
	if (how != SHUT_WR && csk->data_type == KSSH_DATA_PLAIN) {
		kssh_chan_shut(csk, RCV_SHUTDOWN);
		kssh_wake(sk, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
		kssh_chan_rx_discard(csk);
	}
	return 0;
}

static void chan_show_fdinfo(struct seq_file *m, struct socket *sock)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);
	struct kssh_chan *chan = csk->chan;

	spin_lock(&chan->lock);
	seq_printf(m, "kssh-local-id:\t%u\nkssh-remote-id:\t%u\n"
		   "kssh-data-type:\t%u\nkssh-local-window:\t%u\n"
		   "kssh-local-window-max:\t%u\nkssh-remote-window:\t%u\n"
		   "kssh-tx-bytes:\t%llu\nkssh-rx-bytes:\t%llu\n"
		   "kssh-window-shuts:\t%u\nkssh-window-shut-us:\t%llu\n"
		   "kssh-flags:\t0x%lx\n",
		   chan->local_id, chan->remote_id, csk->data_type,
		   chan->rx_win.window, chan->rx_win.max, chan->tx_win.window,
		   chan->tx_bytes, chan->rx_bytes, chan->shuts, chan->shut_us,
		   chan->flags);
	spin_unlock(&chan->lock);
	seq_printf(m, "kssh-rx-queued:\t%u\n", kssh_chan_inq(sock->sk));
}

static struct proto kssh_chan_proto = {
	.name		= "KSSH",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct kssh_chan_sock),
	.ioctl		= chan_proto_ioctl,
};

static const struct proto_ops kssh_chan_ops = {
	.family		= PF_UNSPEC,
	.owner		= THIS_MODULE,
	.release	= chan_release,
	.bind		= sock_no_bind,
	.connect	= sock_no_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= chan_getname,
	.poll		= chan_poll,
	.ioctl		= chan_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= chan_compat_ioctl,
#endif
	.listen		= sock_no_listen,
	.shutdown	= chan_shutdown,
	.sendmsg	= kssh_chan_sendmsg,
	.recvmsg	= kssh_chan_recvmsg,
	.mmap		= sock_no_mmap,
	.splice_read	= kssh_chan_splice_read,
	.splice_eof	= kssh_chan_splice_eof,
	.show_fdinfo	= chan_show_fdinfo,
};

/* Binding. */

static struct socket *chan_sock_create(struct kssh_context *ctx, u32 data_type)
{
	struct kssh_chan_sock *csk;
	struct socket *sock;
	struct sock *sk;

	sock = sock_alloc();
	if (!sock)
		return ERR_PTR(-ENFILE);
	sock->type = SOCK_STREAM;

	sk = sk_alloc(sock_net(ctx->sk), PF_UNSPEC, GFP_KERNEL,
		      &kssh_chan_proto, 0);
	if (!sk) {
		sock_release(sock);
		return ERR_PTR(-ENOMEM);
	}
	__module_get(THIS_MODULE);
	sock->ops = &kssh_chan_ops;
	sock_init_data(sock, sk);
	sk_sockets_allocated_inc(sk);
	sock_lock_init_class_and_name(sk, "slock-AF_KSSH",
				      &kssh_chan_slock_key, "sk_lock-AF_KSSH",
				      &kssh_chan_lock_key);
	security_sock_graft(sk, sock);
	security_sk_clone(ctx->sk, sk);

	csk = kssh_csk(sk);
	csk->chan = NULL;
	csk->rx_err = 0;
	csk->pkt = NULL;
	csk->flush = false;
	csk->tx_shut = false;
	csk->data_type = data_type;
	mutex_init(&csk->tx_lock);
	mutex_init(&csk->rx_lock);
	sk->sk_destruct = chan_destruct;
	sk->sk_state = TCP_ESTABLISHED;
	sock->state = SS_CONNECTED;
	set_bit(SOCK_SUPPORT_ZC, &sock->flags);
	return sock;
}

static u32 window_limit(struct kssh_context *ctx,
			const struct kssh_channel *info)
{
	if (info->local_window_max)
		return info->local_window_max;
	return READ_ONCE(kssh_net(sock_net(ctx->sk))->window_max);
}

static struct kssh_chan *chan_alloc(struct kssh_context *ctx,
				    const struct kssh_channel *info)
{
	struct kssh_chan *chan;

	if (!kssh_chan_window_charge(ctx, info->local_window))
		return ERR_PTR(-ENOBUFS);
	chan = kzalloc(sizeof(*chan), GFP_KERNEL);
	if (!chan)
		goto err_uncharge;
	chan->done_skb = alloc_skb(sizeof(struct kssh_event), GFP_KERNEL);
	if (!chan->done_skb)
		goto err_free;
	refcount_set(&chan->refs, 1);
	refcount_inc(&ctx->refs);
	chan->ctx = ctx;
	chan->local_id = info->local_id;
	chan->remote_id = info->remote_id;
	spin_lock_init(&chan->lock);
	chan->tx_win.window = info->remote_window;
	chan->tx_win.max_packet = info->remote_max_packet;
	chan->rx_win.window = info->local_window;
	chan->rx_win.max = info->local_window;
	chan->rx_win.limit = window_limit(ctx, info);
	chan->rx_win.max_packet = info->local_max_packet;
	return chan;

err_free:
	kfree(chan);
err_uncharge:
	atomic64_sub(info->local_window, &ctx->windows);
	return ERR_PTR(-ENOMEM);
}

/* Make @sock a socket of @chan. Takes a reference. */
static int chan_attach(struct kssh_chan *chan, struct socket *sock)
{
	struct kssh_chan_sock *csk = kssh_csk(sock->sk);
	u32 type = csk->data_type;
	int err = 0;

	spin_lock(&chan->lock);
	if (chan->csk[type])
		err = -EEXIST;
	else if (type && (!chan->tx_open ||
			  chan->flags & (BIT(KSSH_C_CLOSE_SENT) |
					 BIT(KSSH_C_CLOSE_RCVD))))
		err = -EPIPE;
	if (!err) {
		chan->csk[type] = csk;
		chan->tx_open++;
		refcount_inc(&chan->refs);
		csk->chan = chan;
	}
	spin_unlock(&chan->lock);
	if (!err && type)
		kssh_chan_shut(csk, RCV_SHUTDOWN);
	return err;
}

/* The connection may have ended before the table knew of the socket. */
static void chan_check_alive(struct kssh_context *ctx, struct kssh_chan *chan)
{
	/* the table before the flags: kssh_chan_kill_all() comes after those */
	smp_mb();
	if (READ_ONCE(ctx->flags) & (BIT(KSSH_F_RX_DEAD) |
				     BIT(KSSH_F_TX_DEAD) |
				     BIT(KSSH_F_RX_EOF)))
		chan_kill(chan, EPIPE);
}

static int chan_bind_plain(struct kssh_context *ctx,
			   const struct kssh_channel *info,
			   struct socket *sock)
{
	struct kssh_chan *chan;
	int err;

	if (atomic_inc_return(&ctx->nchans) > KSSH_CHANNELS_MAX) {
		err = -ENOSPC;
		goto err_dec;
	}
	chan = chan_alloc(ctx, info);
	err = PTR_ERR_OR_ZERO(chan);
	if (err)
		goto err_dec;
	chan_attach(chan, sock);
	/* the reference of chan_alloc() is the table's */
	err = xa_insert(&ctx->chans, info->local_id, chan, GFP_KERNEL);
	if (err) {
		spin_lock(&chan->lock);
		set_bit(KSSH_C_UNBOUND, &chan->flags);
		spin_unlock(&chan->lock);
		kssh_chan_put(chan);
		err = err == -EBUSY ? -EEXIST : err;
		goto err_dec;
	}
	KSSH_INC(ctx->sk, CHANNELS);
	chan_check_alive(ctx, chan);
	return 0;

err_dec:
	atomic_dec(&ctx->nchans);
	return err;
}

static int chan_bind_stderr(struct kssh_context *ctx,
			    const struct kssh_channel *info,
			    struct socket *sock)
{
	struct kssh_chan *chan;
	int err;

	chan = kssh_chan_find(ctx, info->local_id);
	if (!chan)
		return -ENOENT;
	/* what the last such socket left is still to be sent */
	mutex_lock(&ctx->tx.lock);
	err = chan->tail[info->data_type] ? -EEXIST : chan_attach(chan, sock);
	mutex_unlock(&ctx->tx.lock);
	if (!err)
		chan_check_alive(ctx, chan);
	kssh_chan_put(chan);
	return err;
}

static int chan_check_info(struct kssh_context *ctx,
			   const struct kssh_channel *info)
{
	if (info->version != KSSH_API_VERSION ||
	    info->flags & ~KSSH_CHANNEL_NONBLOCK ||
	    memchr_inv(info->reserved, 0, sizeof(info->reserved)))
		return -EINVAL;

	switch (info->data_type) {
	case KSSH_DATA_PLAIN:
		if (!info->remote_max_packet || info->local_id == U32_MAX)
			return -EINVAL;
		if (info->local_window_max &&
		    info->local_window_max < info->local_window)
			return -EINVAL;
		break;
	case KSSH_DATA_STDERR:
		if (info->local_window || info->local_max_packet ||
		    info->remote_window || info->remote_max_packet ||
		    info->local_window_max)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (!kssh_test(ctx, KSSH_F_TX_READY) ||
	    !kssh_test(ctx, KSSH_F_RX_READY))
		return -ENOTCONN;
	if (READ_ONCE(ctx->flags) & (BIT(KSSH_F_RX_DEAD) |
				     BIT(KSSH_F_TX_DEAD) |
				     BIT(KSSH_F_RX_EOF)))
		return -EPIPE;
	return 0;
}

/**
 * kssh_channel_bind - SIOCKSSHCHANNEL
 * @ctx: the connection
 * @arg: struct kssh_channel of userspace
 *
 * Return: 0 or an error
 */
int kssh_channel_bind(struct kssh_context *ctx, void __user *arg)
{
	struct kssh_channel __user *uinfo = arg;
	struct kssh_channel info;
	struct socket *sock;
	struct file *file;
	int err, fd;

	if (copy_from_user(&info, uinfo, sizeof(info)))
		return -EFAULT;
	err = chan_check_info(ctx, &info);
	if (err)
		return err;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* first, so that nothing has to be undone */
	err = -EFAULT;
	if (put_user(fd, &uinfo->fd))
		goto err_fd;

	sock = chan_sock_create(ctx, info.data_type);
	err = PTR_ERR_OR_ZERO(sock);
	if (err)
		goto err_fd;
	file = sock_alloc_file(sock, info.flags & KSSH_CHANNEL_NONBLOCK ?
			       O_NONBLOCK : 0, NULL);
	err = PTR_ERR_OR_ZERO(file);
	if (err)
		goto err_fd;	/* which has released sock */

	err = info.data_type ? chan_bind_stderr(ctx, &info, sock) :
			       chan_bind_plain(ctx, &info, sock);
	if (err) {
		fput(file);
		goto err_fd;
	}
	trace_kssh_channel_bind(ctx->sk, info.local_id, info.remote_id,
				info.data_type, info.local_window,
				info.remote_window);
	fd_install(fd, file);
	return 0;

err_fd:
	put_unused_fd(fd);
	return err;
}

/* What channels queue counts as TCP's: tcp_mem, and the control group. */
static void account_as_tcp(struct proto *prot)
{
	prot->memory_allocated = tcp_prot.memory_allocated;
	prot->per_cpu_fw_alloc = tcp_prot.per_cpu_fw_alloc;
	prot->sockets_allocated = tcp_prot.sockets_allocated;
	prot->memory_pressure = tcp_prot.memory_pressure;
	prot->enter_memory_pressure = tcp_prot.enter_memory_pressure;
	prot->leave_memory_pressure = tcp_prot.leave_memory_pressure;
	prot->sysctl_mem = tcp_prot.sysctl_mem;
	prot->sysctl_wmem_offset = tcp_prot.sysctl_wmem_offset;
	prot->sysctl_rmem_offset = tcp_prot.sysctl_rmem_offset;
}

int __init kssh_channel_init(void)
{
	account_as_tcp(&kssh_chan_proto);
	return proto_register(&kssh_chan_proto, 1);
}

void kssh_channel_exit(void)
{
	proto_unregister(&kssh_chan_proto);
}
