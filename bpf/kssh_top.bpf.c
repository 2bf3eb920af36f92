// SPDX-License-Identifier: GPL-2.0-only
/* Counts what the tracepoints of kssh.ko say, by connection. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kssh_top.h"

#define AF_INET6	10
#define NULL		((void *)0)

/* What we read of the kernel's structures; CO-RE finds where it is. */
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TOP_CONNS_MAX);
	__type(key, __u64);
	__type(value, struct top_conn);
} conns SEC(".maps");

static const struct top_conn empty;

static void fill_addresses(struct top_conn *conn, const struct sock *sk)
{
	conn->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	conn->sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	conn->dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (conn->family == AF_INET6) {
		BPF_CORE_READ_INTO(&conn->saddr, sk,
				   __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&conn->daddr, sk, __sk_common.skc_v6_daddr);
	} else {
		BPF_CORE_READ_INTO((__be32 *)conn->saddr, sk,
				   __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__be32 *)conn->daddr, sk,
				   __sk_common.skc_daddr);
	}
}

/*
 * The entry of a connection. A socket's memory may be another's later: the
 * ports tell.
 */
static struct top_conn *get_conn(const struct sock *sk)
{
	__u64 key = (unsigned long)sk;
	struct top_conn *conn, fresh;

	/* never, but the verifier cannot know */
	if (!sk)
		return NULL;
	conn = bpf_map_lookup_elem(&conns, &key);
	if (conn && conn->sport == BPF_CORE_READ(sk, __sk_common.skc_num) &&
	    conn->dport == bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)))
		return conn;
	fresh = empty;
	fill_addresses(&fresh, sk);
	bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&conns, &key);
}

static void add(__u64 *counter, __u64 n)
{
	__sync_fetch_and_add(counter, n);
}

SEC("tp_btf/kssh_packet_tx")
int BPF_PROG(packet_tx, const struct sock *sk, __u32 pkt_seq, __u32 len)
{
	struct top_conn *conn = get_conn(sk);

	if (!conn)
		return 0;
	add(&conn->tx_bytes, len);
	add(&conn->tx_packets, 1);
	return 0;
}

SEC("tp_btf/kssh_packet_rx")
int BPF_PROG(packet_rx, const struct sock *sk, __u32 pkt_seq, __u32 len)
{
	struct top_conn *conn = get_conn(sk);

	if (!conn)
		return 0;
	add(&conn->rx_bytes, len);
	add(&conn->rx_packets, 1);
	return 0;
}

SEC("tp_btf/kssh_window_exhausted")
int BPF_PROG(window_exhausted, const struct sock *sk)
{
	struct top_conn *conn = get_conn(sk);

	if (conn)
		add(&conn->shuts, 1);
	return 0;
}

SEC("tp_btf/kssh_window_opened")
int BPF_PROG(window_opened, const struct sock *sk, __u32 local_id, __u32 bytes,
	     __u64 stall_us)
{
	struct top_conn *conn = get_conn(sk);

	if (conn)
		add(&conn->shut_us, stall_us);
	return 0;
}

SEC("tp_btf/kssh_rekey_done")
int BPF_PROG(rekey_done, const struct sock *sk, _Bool tx, __u64 stall_us)
{
	struct top_conn *conn = get_conn(sk);

	if (!conn)
		return 0;
	add(&conn->rekeys, 1);
	add(&conn->rekey_us, stall_us);
	return 0;
}

SEC("tp_btf/kssh_error")
int BPF_PROG(error, const struct sock *sk, _Bool tx, int err)
{
	struct top_conn *conn = get_conn(sk);

	if (conn)
		conn->last_err = err;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
