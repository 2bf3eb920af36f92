// SPDX-License-Identifier: GPL-2.0-only
/* Socket options of the TCP socket: keys, rekey limits, state. */
#include <linux/slab.h>

#include "kssh.h"

/* Rekeying. */

/*
 * Tell userspace that a rekey is due, once, and not while one is going on.
 * Under the lock of either direction.
 */
void kssh_check_due(struct kssh_context *ctx, u32 due)
{
	if (likely(!due) || kssh_test(ctx, KSSH_F_RX_KEX) ||
	    kssh_test(ctx, KSSH_F_TX_GATED))
		return;
	if (test_and_set_bit(KSSH_F_REKEY_DUE, &ctx->flags))
		return;
	KSSH_INC(ctx->sk, REKEYDUE);
	trace_kssh_rekey_due(ctx->sk, due);
	WRITE_ONCE(ctx->due_event, due);
	kssh_ctl_wake(ctx);
}

/* Restart the clock of KSSH_REKEY_SECONDS. */
static void arm_due(struct kssh_context *ctx)
{
	unsigned long age = READ_ONCE(ctx->limits.seconds) * HZ;
	unsigned long first, now = jiffies;

	if (!age) {
		cancel_delayed_work(&ctx->due_work);
		return;
	}
	first = time_before(ctx->tx.installed, ctx->rx.installed) ?
		ctx->tx.installed : ctx->rx.installed;
	mod_delayed_work(kssh_wq, &ctx->due_work,
			 time_after(first + age, now) ? first + age - now : 0);
}

void kssh_due_work(struct work_struct *work)
{
	struct kssh_context *ctx = container_of(work, struct kssh_context,
						due_work.work);

	kssh_check_due(ctx, KSSH_REKEY_SECONDS);
}

/* Both directions have new keys: nothing is due any more. */
static void rekey_done(struct kssh_context *ctx)
{
	if (kssh_test(ctx, KSSH_F_RX_KEX) || kssh_test(ctx, KSSH_F_TX_GATED))
		return;
	WRITE_ONCE(ctx->due_event, 0);
	clear_bit(KSSH_F_REKEY_DUE, &ctx->flags);
	arm_due(ctx);
}

/* Keys. */

static int check_info(const struct kssh_crypto_info *info, bool first)
{
	u16 flags = info->flags;

	if (info->version != KSSH_API_VERSION || info->reserved0 ||
	    memchr_inv(info->reserved, 0, sizeof(info->reserved)) ||
	    flags & ~(KSSH_CRYPTO_SEQ_RESET | KSSH_CRYPTO_SEQ_KEEP))
		return -EINVAL;
	if (info->key_len > KSSH_KEY_MAX || info->iv_len > KSSH_IV_MAX ||
	    info->mac_key_len > KSSH_MAC_KEY_MAX)
		return -EINVAL;
	if (flags && (first || info->pkt_seq))
		return -EINVAL;
	if (flags == (KSSH_CRYPTO_SEQ_RESET | KSSH_CRYPTO_SEQ_KEEP))
		return -EINVAL;
	return 0;
}

static u32 next_seq(const struct kssh_crypto_info *info, u32 pkt_seq)
{
	if (info->flags & KSSH_CRYPTO_SEQ_KEEP)
		return pkt_seq;
	return info->pkt_seq;
}

static void reset_use(struct kssh_context *ctx, struct kssh_rekey *rekey,
		      const struct kssh_cipher *cipher)
{
	kssh_rekey_reset(rekey, ctx->limits.bytes, ctx->limits.packets,
			 cipher->desc->layout.block);
}

/* The next keys of a direction are in. Data could not pass since @stopped. */
static void count_rekey(struct kssh_context *ctx, bool tx, u64 stopped)
{
	u64 stall_us = div_u64(ktime_get_ns() - stopped, NSEC_PER_USEC);

	/* read without the lock, by ss and fdinfo */
	WRITE_ONCE(ctx->rekeys, ctx->rekeys + 1);
	ctx->stall_us += stall_us;
	ctx->stall_max_us = max(ctx->stall_max_us, stall_us);
	KSSH_INC(ctx->sk, REKEYS);
	kssh_mib_stall(ctx->sk, stall_us);
	trace_kssh_rekey_done(ctx->sk, tx, stall_us);
}

static int set_tx(struct kssh_context *ctx,
		  const struct kssh_crypto_info *info)
{
	bool first = !kssh_test(ctx, KSSH_F_TX_READY);
	struct kssh_tx *tx = &ctx->tx;
	struct kssh_cipher *cipher;
	int err;

	err = check_info(info, first);
	if (err)
		return err;
	if (kssh_test(ctx, KSSH_F_TX_DEAD))
		return -EPIPE;
	if (!first && !kssh_test(ctx, KSSH_F_TX_PARKED))
		return -EBUSY;
	cipher = kssh_cipher_alloc(info);
	if (IS_ERR(cipher))
		return PTR_ERR(cipher);

	kssh_cipher_free(tx->cipher);
	tx->cipher = cipher;
	WRITE_ONCE(tx->cipher_id, info->cipher);
	tx->pkt_seq = next_seq(info, tx->pkt_seq);
	tx->installed = jiffies;
	reset_use(ctx, &tx->rekey, cipher);
	kssh_cipher_report(ctx->sk, cipher);
	trace_kssh_key_installed(ctx->sk, true, info->cipher, info->mac,
				 tx->pkt_seq);
	if (first)
		set_bit(KSSH_F_TX_READY, &ctx->flags);
	else
		count_rekey(ctx, true, tx->stopped);
	clear_bit(KSSH_F_TX_PARKED, &ctx->flags);
	clear_bit(KSSH_F_TX_GATED, &ctx->flags);
	rekey_done(ctx);
	return 0;
}

static int set_rx(struct kssh_context *ctx,
		  const struct kssh_crypto_info *info)
{
	bool first = !kssh_test(ctx, KSSH_F_RX_READY);
	struct kssh_rx *rx = &ctx->rx;
	struct kssh_cipher *cipher;
	int err;

	err = check_info(info, first);
	if (err)
		return err;
	if (kssh_test(ctx, KSSH_F_RX_DEAD))
		return -EPIPE;
	if (!first && !kssh_test(ctx, KSSH_F_RX_PARKED))
		return -EBUSY;
	/* framed by the old keys: the peer sent NEWKEYS before our KEXINIT */
	if (!skb_queue_empty(&rx->ready) || rx->hdr_len) {
		kssh_rx_fault(ctx, -EPROTO, KSSH_MIB_PROTOCOL);
		return -EPROTO;
	}
	cipher = kssh_cipher_alloc(info);
	if (IS_ERR(cipher))
		return PTR_ERR(cipher);

	kssh_cipher_free(rx->cipher);
	rx->cipher = cipher;
	WRITE_ONCE(rx->cipher_id, info->cipher);
	rx->pkt_seq = next_seq(info, rx->pkt_seq);
	/* lockstep: nothing is framed beyond NEWKEYS */
	rx->frame_seq = rx->pkt_seq;
	rx->installed = jiffies;
	reset_use(ctx, &rx->rekey, cipher);
	kssh_cipher_report(ctx->sk, cipher);
	trace_kssh_key_installed(ctx->sk, false, info->cipher, info->mac,
				 rx->pkt_seq);
	if (first)
		set_bit(KSSH_F_RX_READY, &ctx->flags);
	else
		count_rekey(ctx, false, rx->stopped);
	clear_bit(KSSH_F_RX_KEX, &ctx->flags);
	clear_bit(KSSH_F_RX_GATED, &ctx->flags);
	clear_bit(KSSH_F_RX_PARKED, &ctx->flags);
	rekey_done(ctx);
	return 0;
}

static int set_keys(struct kssh_context *ctx, sockptr_t optval,
		    unsigned int optlen, bool tx)
{
	struct kssh_crypto_info info;
	int err = -EFAULT;

	if (optlen != sizeof(info))
		return -EINVAL;
	if (copy_from_sockptr(&info, optval, sizeof(info)))
		goto out;
	if (!((1 << inet_sk_state_load(ctx->sk)) &
	      (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1 |
	       TCPF_FIN_WAIT2))) {
		err = kssh_test(ctx, KSSH_F_TX_READY) ? -EPIPE : -ENOTCONN;
		goto out;
	}

	/* both: the state of a key exchange is of both directions */
	mutex_lock(&ctx->rx.lock);
	mutex_lock(&ctx->tx.lock);
	kssh_hook(ctx);
	err = tx ? set_tx(ctx, &info) : set_rx(ctx, &info);
	mutex_unlock(&ctx->tx.lock);
	mutex_unlock(&ctx->rx.lock);
	if (!err && tx)
		kssh_tx_kick(ctx);
	else if (!err)
		kssh_rx_poke(ctx);
out:
	memzero_explicit(&info, sizeof(info));
	return err;
}

/* The rest. */

static int set_limits(struct kssh_context *ctx, sockptr_t optval,
		      unsigned int optlen)
{
	struct kssh_rekey_limits limits;
	struct kssh_rekey *rk[2] = { &ctx->tx.rekey, &ctx->rx.rekey };
	int i;

	if (optlen != sizeof(limits))
		return -EINVAL;
	if (copy_from_sockptr(&limits, optval, sizeof(limits)))
		return -EFAULT;
	if (limits.version != KSSH_API_VERSION || limits.flags ||
	    limits.seconds > INT_MAX / HZ ||
	    memchr_inv(limits.reserved, 0, sizeof(limits.reserved)))
		return -EINVAL;

	mutex_lock(&ctx->rx.lock);
	mutex_lock(&ctx->tx.lock);
	ctx->limits = limits;
	for (i = 0; i < ARRAY_SIZE(rk); i++) {
		struct kssh_cipher *cipher = i ? ctx->rx.cipher :
						 ctx->tx.cipher;
		struct kssh_rekey use = *rk[i];

		if (!cipher)
			continue;
		reset_use(ctx, rk[i], cipher);
		rk[i]->bytes = use.bytes;
		rk[i]->packets = use.packets;
		kssh_check_due(ctx, kssh_rekey_due(rk[i]));
	}
	if (ctx->tx.cipher && ctx->rx.cipher)
		arm_due(ctx);
	mutex_unlock(&ctx->tx.lock);
	mutex_unlock(&ctx->rx.lock);
	return 0;
}

int kssh_setsockopt(struct sock *sk, int level, int optname, sockptr_t optval,
		    unsigned int optlen)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);

	if (level != SOL_KSSH)
		return ctx->sk_proto->setsockopt(sk, level, optname, optval,
						 optlen);
	switch (optname) {
	case KSSH_TX:
		return set_keys(ctx, optval, optlen, true);
	case KSSH_RX:
		return set_keys(ctx, optval, optlen, false);
	case KSSH_REKEY_LIMITS:
		return set_limits(ctx, optval, optlen);
	}
	return -ENOPROTOOPT;
}

u16 kssh_info_state(unsigned long flags)
{
	static const u8 map[][2] = {
		{ KSSH_F_TX_READY, KSSH_STATE_TX_READY },
		{ KSSH_F_RX_READY, KSSH_STATE_RX_READY },
		{ KSSH_F_TX_GATED, KSSH_STATE_TX_GATED },
		{ KSSH_F_RX_PARKED, KSSH_STATE_RX_PARKED },
		{ KSSH_F_REKEY_DUE, KSSH_STATE_REKEY_DUE },
		{ KSSH_F_RX_DEAD, KSSH_STATE_DEAD },
		{ KSSH_F_TX_DEAD, KSSH_STATE_DEAD },
		{ KSSH_F_RX_EOF, KSSH_STATE_DEAD },
	};
	u16 state = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (flags & BIT(map[i][0]))
			state |= map[i][1];
	return state;
}

static void fill_info(struct kssh_context *ctx, struct kssh_info *info)
{
	struct kssh_tx *tx = &ctx->tx;
	struct kssh_rx *rx = &ctx->rx;

	memset(info, 0, sizeof(*info));
	info->version = KSSH_API_VERSION;
	info->channels = atomic_read(&ctx->nchans);
	mutex_lock(&rx->lock);
	mutex_lock(&tx->lock);
	info->state = kssh_info_state(READ_ONCE(ctx->flags));
	info->rekeys = ctx->rekeys;
	info->rekey_stall_us = ctx->stall_us;
	info->rekey_stall_max_us = ctx->stall_max_us;
	info->window_stall_us = atomic64_read(&ctx->shut_us);
	info->local_windows = atomic64_read(&ctx->windows);
	if (tx->cipher) {
		info->tx_cipher = tx->cipher->desc->cipher;
		strscpy(info->tx_driver, kssh_cipher_driver(tx->cipher),
			sizeof(info->tx_driver));
	}
	if (rx->cipher) {
		info->rx_cipher = rx->cipher->desc->cipher;
		strscpy(info->rx_driver, kssh_cipher_driver(rx->cipher),
			sizeof(info->rx_driver));
	}
	info->tx_pkt_seq = tx->pkt_seq;
	info->rx_pkt_seq = rx->pkt_seq;
	info->tx_bytes = tx->bytes;
	info->rx_bytes = rx->bytes;
	info->tx_packets = tx->packets;
	info->rx_packets = rx->packets;
	mutex_unlock(&tx->lock);
	mutex_unlock(&rx->lock);
}

static int get_opt(const void *val, int size, char __user *optval,
		   int __user *optlen)
{
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	len = min(len, size);
	if (put_user(len, optlen) || copy_to_user(optval, val, len))
		return -EFAULT;
	return 0;
}

int kssh_getsockopt(struct sock *sk, int level, int optname,
		    char __user *optval, int __user *optlen)
{
	struct kssh_context *ctx = kssh_get_ctx(sk);
	struct kssh_rekey_limits limits;
	struct kssh_info info;

	if (level != SOL_KSSH)
		return ctx->sk_proto->getsockopt(sk, level, optname, optval,
						 optlen);
	switch (optname) {
	case KSSH_INFO:
		fill_info(ctx, &info);
		return get_opt(&info, sizeof(info), optval, optlen);
	case KSSH_REKEY_LIMITS:
		mutex_lock(&ctx->tx.lock);
		limits = ctx->limits;
		mutex_unlock(&ctx->tx.lock);
		limits.version = KSSH_API_VERSION;
		return get_opt(&limits, sizeof(limits), optval, optlen);
	}
	return -ENOPROTOOPT;
}
