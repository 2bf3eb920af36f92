/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernels. probe.sh looks at the headers and defines
 * HAVE_*: stable trees port interfaces back, so a version says little.
 */
#ifndef _KSSH_COMPAT_H
#define _KSSH_COMPAT_H

#include <crypto/chacha.h>
#include <crypto/poly1305.h>
#include <linux/net.h>
#include <linux/sysctl.h>
#include <net/sock.h>

/* proto.recvmsg has lost its addr_len in 7.x */
#ifdef HAVE_RECVMSG_ADDR_LEN
#define KSSH_RECVMSG_ARGS	struct sock *sk, struct msghdr *msg, \
				size_t size, int flags, int *addr_len
#define kssh_base_recvmsg(prot, sk, msg, size, flags) \
	((prot)->recvmsg(sk, msg, size, flags, addr_len))
#else
#define KSSH_RECVMSG_ARGS	struct sock *sk, struct msghdr *msg, \
				size_t size, int flags
#define kssh_base_recvmsg(prot, sk, msg, size, flags) \
	((prot)->recvmsg(sk, msg, size, flags))
#endif

/* tcp_ulp_ops.get_info and get_info_size learnt net_admin in 6.18 */
#ifdef HAVE_ULP_NET_ADMIN
#define KSSH_GET_INFO_ARGS	struct sock *sk, struct sk_buff *skb, \
				bool net_admin
#define KSSH_GET_INFO_SIZE_ARGS	const struct sock *sk, bool net_admin
#else
#define KSSH_GET_INFO_ARGS	struct sock *sk, struct sk_buff *skb
#define KSSH_GET_INFO_SIZE_ARGS	const struct sock *sk
#endif

/* register_net_sysctl_sz() wants a writable table on old kernels */
#ifdef HAVE_CONST_NET_SYSCTL
#define KSSH_SYSCTL_CONST	const
#else
#define KSSH_SYSCTL_CONST
#endif

/* the state of ChaCha has been a type of its own since 6.16 */
#ifdef HAVE_CHACHA_STATE
struct kssh_chacha {
	struct chacha_state state;
};

#define KSSH_CHACHA(chacha)	(&(chacha)->state)
#define KSSH_CHACHA_WORDS(chacha) ((chacha)->state.x)
#else
struct kssh_chacha {
	u32 state[CHACHA_STATE_WORDS];
};

#define KSSH_CHACHA(chacha)	((chacha)->state)
#define KSSH_CHACHA_WORDS(chacha) KSSH_CHACHA(chacha)
#endif

static inline void kssh_chacha_init(struct kssh_chacha *chacha, const u32 *key,
				    const u8 *iv)
{
	chacha_init(KSSH_CHACHA(chacha), key, iv);
}

static inline void kssh_chacha_crypt(struct kssh_chacha *chacha, u8 *dst,
				     const u8 *src, unsigned int len)
{
	chacha20_crypt(KSSH_CHACHA(chacha), dst, src, len);
}

/* One block was too many: the next is that one again. */
static inline void kssh_chacha_back(struct kssh_chacha *chacha)
{
	KSSH_CHACHA_WORDS(chacha)[12]--;
}

static inline void kssh_chacha_wipe(struct kssh_chacha *chacha)
{
	memzero_explicit(chacha, sizeof(*chacha));
}

#endif /* _KSSH_COMPAT_H */
