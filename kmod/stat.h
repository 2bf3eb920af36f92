/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters of a network namespace: /proc/net/kssh_stat. */
#ifndef _KSSH_STAT_H
#define _KSSH_STAT_H

#include <linux/percpu_counter.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/snmp.h>

enum {
	KSSH_MIB_NUM = 0,
	KSSH_MIB_CURRCONN,		/* connections with the ULP now */
	KSSH_MIB_CONNS,			/* connections that had the ULP */
	KSSH_MIB_CHANNELS,		/* channels bound */
	KSSH_MIB_TXBYTES,		/* on the wire */
	KSSH_MIB_RXBYTES,		/* on the wire */
	KSSH_MIB_TXPACKETS,
	KSSH_MIB_RXPACKETS,
	KSSH_MIB_TXCHANNELBYTES,	/* data of channels */
	KSSH_MIB_RXCHANNELBYTES,	/* data of channels */
	KSSH_MIB_TXADJUST,		/* WINDOW_ADJUST sent */
	KSSH_MIB_REKEYS,		/* keys after the first */
	KSSH_MIB_SLOWCIPHER,		/* keys installed for a driver in plain C */
	KSSH_MIB_REKEYDUE,		/* events */
	/* time a key exchange kept data from passing, either direction */
	KSSH_MIB_REKEYSTALL1MS,		/* below 1 ms */
	KSSH_MIB_REKEYSTALL4MS,		/* 1 ms to below 4 ms, and so on */
	KSSH_MIB_REKEYSTALL16MS,
	KSSH_MIB_REKEYSTALL64MS,
	KSSH_MIB_REKEYSTALL256MS,
	KSSH_MIB_REKEYSTALL1S,
	KSSH_MIB_REKEYSTALL4S,
	KSSH_MIB_REKEYSTALLMORE,
	KSSH_MIB_TXWINDOWSHUT,		/* a writer found the window spent */
	KSSH_MIB_RXWINDOWGROWN,		/* a window was enlarged */
	KSSH_MIB_RXMEMLIMIT,		/* grants cut down to spare memory */
	KSSH_MIB_RXREADER,		/* times a reader opened packets itself */
	KSSH_MIB_RXWORKER,		/* times the worker did */
	KSSH_MIB_RXIGNORED,		/* IGNORE and DEBUG dropped */
	KSSH_MIB_RXDISCARDED,		/* data bytes nobody reads */
	KSSH_MIB_RXTHROTTLED,		/* messages nobody read */
	KSSH_MIB_RXNOMEM,		/* framing put off */
	KSSH_MIB_TXPARTIAL,		/* TCP took part of a packet */
	KSSH_MIB_BADMAC,
	KSSH_MIB_BADLENGTH,
	KSSH_MIB_BADPADDING,
	KSSH_MIB_TRUNCATED,		/* FIN inside a packet */
	KSSH_MIB_WINDOWOVERRUN,		/* the peer's, or beyond max packet */
	KSSH_MIB_WINDOWOVERFLOW,	/* WINDOW_ADJUST beyond 2^32 - 1 */
	KSSH_MIB_PROTOCOL,		/* malformed or out of place */
	KSSH_MIB_HARDLIMIT,		/* 2^31 packets under one key */
	KSSH_MIB_TXERROR,		/* a numbered packet could not be sent */
	__KSSH_MIB_MAX
};

struct kssh_mib {
	unsigned long mibs[__KSSH_MIB_MAX];
};

/**
 * struct kssh_net - what we keep in a network namespace
 * @stats: counters
 * @rx_mem: memory of all channels' unread data, bytes
 * @unprivileged_attach: sysctl net.kssh.unprivileged_attach
 * @window_max: sysctl net.kssh.window_max
 * @conn_window_max: sysctl net.kssh.conn_window_max
 * @rx_mem_max: sysctl net.kssh.rx_mem_max
 * @sysctl: its table
 */
struct kssh_net {
	struct kssh_mib __percpu *stats;
	struct percpu_counter rx_mem;
	int unprivileged_attach;
	unsigned int window_max;
	unsigned int conn_window_max;
	unsigned long rx_mem_max;
	struct ctl_table_header *sysctl;
};

extern unsigned int kssh_net_id;

static inline struct kssh_net *kssh_net(const struct net *net)
{
	return net_generic(net, kssh_net_id);
}

#define KSSH_INC(sk, field) \
	SNMP_INC_STATS(kssh_net(sock_net(sk))->stats, KSSH_MIB_##field)
#define KSSH_DEC(sk, field) \
	SNMP_DEC_STATS(kssh_net(sock_net(sk))->stats, KSSH_MIB_##field)
#define KSSH_ADD(sk, field, n) \
	SNMP_ADD_STATS(kssh_net(sock_net(sk))->stats, KSSH_MIB_##field, n)

static inline void kssh_mib_inc(const struct sock *sk, int mib)
{
	SNMP_INC_STATS(kssh_net(sock_net(sk))->stats, mib);
}

const char *kssh_mib_name(int mib);
void kssh_mib_stall(const struct sock *sk, u64 stall_us);
int kssh_stat_init(void);
void kssh_stat_exit(void);

#endif /* _KSSH_STAT_H */
