/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: /sys/kernel/tracing/events/kssh, and tp_btf programs. Each
 * begins with the TCP socket; BPF reads the rest of the connection from that.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kssh

#if !defined(_KSSH_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KSSH_TRACE_H

#include <linux/tracepoint.h>
#include <net/inet_sock.h>

#define KSSH_SK_FIELDS						\
	__field(const void *, skaddr)				\
	__field(u16, sport)					\
	__field(u16, dport)

#define KSSH_SK_ASSIGN						\
	do {							\
		__entry->skaddr = sk;				\
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);\
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);\
	} while (0)

#define KSSH_SK_FORMAT	"skaddr=%p sport=%u dport=%u "
#define KSSH_SK_ARGS	__entry->skaddr, __entry->sport, __entry->dport

/* A packet is sealed or opened. @len: bytes on the wire; @type: SSH_MSG_* */
DECLARE_EVENT_CLASS(kssh_packet,
	TP_PROTO(const struct sock *sk, u32 pkt_seq, u32 len, u8 type),
	TP_ARGS(sk, pkt_seq, len, type),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(u32, pkt_seq)
		__field(u32, len)
		__field(u8, type)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->pkt_seq = pkt_seq;
		__entry->len = len;
		__entry->type = type;
	),
	TP_printk(KSSH_SK_FORMAT "pkt_seq=%u len=%u type=%u", KSSH_SK_ARGS,
		  __entry->pkt_seq, __entry->len, __entry->type)
);

DEFINE_EVENT(kssh_packet, kssh_packet_tx,
	TP_PROTO(const struct sock *sk, u32 pkt_seq, u32 len, u8 type),
	TP_ARGS(sk, pkt_seq, len, type));

DEFINE_EVENT(kssh_packet, kssh_packet_rx,
	TP_PROTO(const struct sock *sk, u32 pkt_seq, u32 len, u8 type),
	TP_ARGS(sk, pkt_seq, len, type));

/* Keys are in use from @pkt_seq on. @cipher: KSSH_CIPHER_*, @mac: KSSH_MAC_* */
TRACE_EVENT(kssh_key_installed,
	TP_PROTO(const struct sock *sk, bool tx, u16 cipher, u16 mac,
		 u32 pkt_seq),
	TP_ARGS(sk, tx, cipher, mac, pkt_seq),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(bool, tx)
		__field(u16, cipher)
		__field(u16, mac)
		__field(u32, pkt_seq)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->tx = tx;
		__entry->cipher = cipher;
		__entry->mac = mac;
		__entry->pkt_seq = pkt_seq;
	),
	TP_printk(KSSH_SK_FORMAT "dir=%s cipher=%u mac=%u pkt_seq=%u",
		  KSSH_SK_ARGS, __entry->tx ? "tx" : "rx", __entry->cipher,
		  __entry->mac, __entry->pkt_seq)
);

/* Userspace is to begin a key exchange. @due: KSSH_REKEY_* */
TRACE_EVENT(kssh_rekey_due,
	TP_PROTO(const struct sock *sk, u32 due),
	TP_ARGS(sk, due),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(u32, due)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->due = due;
	),
	TP_printk(KSSH_SK_FORMAT "due=0x%x", KSSH_SK_ARGS, __entry->due)
);

/*
 * The next keys are there. @stall_us: time in which no data could pass: since
 * our KEXINIT (tx), since the peer's NEWKEYS (rx)
 */
TRACE_EVENT(kssh_rekey_done,
	TP_PROTO(const struct sock *sk, bool tx, u64 stall_us),
	TP_ARGS(sk, tx, stall_us),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(bool, tx)
		__field(u64, stall_us)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->tx = tx;
		__entry->stall_us = stall_us;
	),
	TP_printk(KSSH_SK_FORMAT "dir=%s stall_us=%llu", KSSH_SK_ARGS,
		  __entry->tx ? "tx" : "rx", __entry->stall_us)
);

/* WINDOW_ADJUST is sent. @max: what the window is kept at, bytes */
TRACE_EVENT(kssh_window_grant,
	TP_PROTO(const struct sock *sk, u32 local_id, u32 bytes, u32 max),
	TP_ARGS(sk, local_id, bytes, max),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(u32, local_id)
		__field(u32, bytes)
		__field(u32, max)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->local_id = local_id;
		__entry->bytes = bytes;
		__entry->max = max;
	),
	TP_printk(KSSH_SK_FORMAT "local_id=%u bytes=%u max=%u", KSSH_SK_ARGS,
		  __entry->local_id, __entry->bytes, __entry->max)
);

/* A writer found the peer's window spent. */
TRACE_EVENT(kssh_window_exhausted,
	TP_PROTO(const struct sock *sk, u32 local_id, u64 tx_bytes),
	TP_ARGS(sk, local_id, tx_bytes),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(u32, local_id)
		__field(u64, tx_bytes)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->local_id = local_id;
		__entry->tx_bytes = tx_bytes;
	),
	TP_printk(KSSH_SK_FORMAT "local_id=%u tx_bytes=%llu", KSSH_SK_ARGS,
		  __entry->local_id, __entry->tx_bytes)
);

/* The peer opened its window again, @stall_us after it was found spent. */
TRACE_EVENT(kssh_window_opened,
	TP_PROTO(const struct sock *sk, u32 local_id, u32 bytes, u64 stall_us),
	TP_ARGS(sk, local_id, bytes, stall_us),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(u32, local_id)
		__field(u32, bytes)
		__field(u64, stall_us)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->local_id = local_id;
		__entry->bytes = bytes;
		__entry->stall_us = stall_us;
	),
	TP_printk(KSSH_SK_FORMAT "local_id=%u bytes=%u stall_us=%llu",
		  KSSH_SK_ARGS, __entry->local_id, __entry->bytes,
		  __entry->stall_us)
);

TRACE_EVENT(kssh_channel_bind,
	TP_PROTO(const struct sock *sk, u32 local_id, u32 remote_id,
		 u32 data_type, u32 local_window, u32 remote_window),
	TP_ARGS(sk, local_id, remote_id, data_type, local_window,
		remote_window),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(u32, local_id)
		__field(u32, remote_id)
		__field(u32, data_type)
		__field(u32, local_window)
		__field(u32, remote_window)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->local_id = local_id;
		__entry->remote_id = remote_id;
		__entry->data_type = data_type;
		__entry->local_window = local_window;
		__entry->remote_window = remote_window;
	),
	TP_printk(KSSH_SK_FORMAT "local_id=%u remote_id=%u data_type=%u local_window=%u remote_window=%u",
		  KSSH_SK_ARGS, __entry->local_id, __entry->remote_id,
		  __entry->data_type, __entry->local_window,
		  __entry->remote_window)
);

/* CHANNEL_EOF passed. @bytes: data of the channel in that direction */
TRACE_EVENT(kssh_channel_eof,
	TP_PROTO(const struct sock *sk, bool tx, u32 local_id, u64 bytes),
	TP_ARGS(sk, tx, local_id, bytes),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(bool, tx)
		__field(u32, local_id)
		__field(u64, bytes)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->tx = tx;
		__entry->local_id = local_id;
		__entry->bytes = bytes;
	),
	TP_printk(KSSH_SK_FORMAT "dir=%s local_id=%u bytes=%llu", KSSH_SK_ARGS,
		  __entry->tx ? "tx" : "rx", __entry->local_id,
		  __entry->bytes)
);

/* A direction has ended. @reason: name of the counter in kssh_stat, or "" */
TRACE_EVENT(kssh_error,
	TP_PROTO(const struct sock *sk, bool tx, int err, const char *reason),
	TP_ARGS(sk, tx, err, reason),
	TP_STRUCT__entry(
		KSSH_SK_FIELDS
		__field(bool, tx)
		__field(int, err)
		__string(reason, reason)
	),
	TP_fast_assign(
		KSSH_SK_ASSIGN;
		__entry->tx = tx;
		__entry->err = err;
		__assign_str(reason);
	),
	TP_printk(KSSH_SK_FORMAT "dir=%s err=%d reason=%s", KSSH_SK_ARGS,
		  __entry->tx ? "tx" : "rx", __entry->err, __get_str(reason))
);

#endif /* _KSSH_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
