/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * kSSH: the SSH-2 binary packet protocol as a TCP upper layer protocol.
 *
 * This is the only header that the kernel module and userspace share.
 * Structures are fixed in size, carry a version, and have reserved fields
 * that must be zero: later versions only add.
 */
#ifndef _UAPI_LINUX_KSSH_H
#define _UAPI_LINUX_KSSH_H

#include <linux/types.h>
#include <linux/sockios.h>

/* setsockopt(fd, SOL_TCP, TCP_ULP, KSSH_ULP_NAME, ...) */
#define KSSH_ULP_NAME		"ssh"

/* Level of the socket options below and of the control messages. */
#define SOL_KSSH		19283

/* Socket options of the TCP socket (level SOL_KSSH). */
#define KSSH_TX			1	/* set: struct kssh_crypto_info */
#define KSSH_RX			2	/* set: struct kssh_crypto_info */
#define KSSH_REKEY_LIMITS	3	/* set/get: struct kssh_rekey_limits */
#define KSSH_INFO		4	/* get: struct kssh_info */

#define KSSH_API_VERSION	1

/* Ciphers. Names are those of the SSH algorithm registry and of OpenSSH. */
#define KSSH_CIPHER_NONE		0
#define KSSH_CIPHER_AES_128_GCM		1	/* aes128-gcm@openssh.com */
#define KSSH_CIPHER_AES_256_GCM		2	/* aes256-gcm@openssh.com */
#define KSSH_CIPHER_CHACHA20_POLY1305	3	/* chacha20-poly1305@openssh.com */
#define KSSH_CIPHER_AES_128_CTR		4	/* aes128-ctr */
#define KSSH_CIPHER_AES_192_CTR		5	/* aes192-ctr */
#define KSSH_CIPHER_AES_256_CTR		6	/* aes256-ctr */

/* MACs; KSSH_MAC_IMPLICIT with the AEAD ciphers. */
#define KSSH_MAC_IMPLICIT		0
#define KSSH_MAC_HMAC_SHA2_256_ETM	1	/* hmac-sha2-256-etm@openssh.com */
#define KSSH_MAC_HMAC_SHA2_512_ETM	2	/* hmac-sha2-512-etm@openssh.com */
#define KSSH_MAC_HMAC_SHA2_256		3	/* hmac-sha2-256 */
#define KSSH_MAC_HMAC_SHA2_512		4	/* hmac-sha2-512 */

#define KSSH_KEY_MAX		64
#define KSSH_IV_MAX		16
#define KSSH_MAC_KEY_MAX	64

/*
 * Flags of struct kssh_crypto_info. With neither flag @pkt_seq is taken as it
 * stands, which is the only form allowed for the first keys of a direction.
 */
/* strict-kex: the packet sequence number starts again at 0; @pkt_seq is 0 */
#define KSSH_CRYPTO_SEQ_RESET	(1 << 0)
/* the sequence number goes on where the old keys left it; @pkt_seq is 0 */
#define KSSH_CRYPTO_SEQ_KEEP	(1 << 1)

/**
 * struct kssh_crypto_info - keys of one direction (KSSH_TX, KSSH_RX)
 * @version: KSSH_API_VERSION
 * @cipher: KSSH_CIPHER_*
 * @mac: KSSH_MAC_*
 * @flags: KSSH_CRYPTO_SEQ_*
 * @pkt_seq: sequence number of the next packet
 * @key_len: bytes used of @key
 * @iv_len: bytes used of @iv
 * @mac_key_len: bytes used of @mac_key
 * @reserved0: must be zero
 * @key: encryption key (RFC 4253 7.2, "C" or "D")
 * @iv: the IV of the next packet: for AES-GCM 4 fixed bytes and the 8-byte
 *	invocation counter (RFC 5647 7.1); for AES-CTR the 16-byte counter
 * @mac_key: integrity key (RFC 4253 7.2, "E" or "F")
 * @reserved: must be zero
 *
 * The first keys turn the direction from a plain TCP stream into SSH packets;
 * later ones follow SSH_MSG_NEWKEYS. Never readable again.
 *
 * Errors: EINVAL size, version, flags, lengths or reserved fields; ENOENT
 * cipher or MAC not known to this module; EBUSY keys of this direction are
 * installed and no SSH_MSG_NEWKEYS has passed since; ENOTCONN the socket is
 * not connected; EPIPE the connection has ended.
 */
struct kssh_crypto_info {
	__u16	version;
	__u16	cipher;
	__u16	mac;
	__u16	flags;
	__u32	pkt_seq;
	__u8	key_len;
	__u8	iv_len;
	__u8	mac_key_len;
	__u8	reserved0;
	__u8	key[KSSH_KEY_MAX];
	__u8	iv[KSSH_IV_MAX];
	__u8	mac_key[KSSH_MAC_KEY_MAX];
	__u32	reserved[8];
};

/**
 * struct kssh_rekey_limits - when KSSH_EVENT_REKEY_DUE is due
 * @version: KSSH_API_VERSION
 * @flags: must be zero
 * @seconds: age of the keys of a direction, 0 for no limit
 * @bytes: bytes on the wire in one direction under one key, 0 for the default
 *	of the cipher
 * @packets: packets in one direction under one key, 0 for 2^30
 * @reserved: must be zero
 *
 * The hard stop at 2^31 packets of one key is not configurable.
 */
struct kssh_rekey_limits {
	__u16	version;
	__u16	flags;
	__u32	seconds;
	__u64	bytes;
	__u64	packets;
	__u64	reserved[3];
};

/* ioctl of the TCP socket: bind a channel, get its socket */
#define SIOCKSSHCHANNEL		(SIOCPROTOPRIVATE + 0)

/* Flags of struct kssh_channel. */
#define KSSH_CHANNEL_NONBLOCK	(1 << 0)	/* the new socket is O_NONBLOCK */

/* Values of kssh_channel.data_type (RFC 4254 5.2). */
#define KSSH_DATA_PLAIN		0	/* SSH_MSG_CHANNEL_DATA */
#define KSSH_DATA_STDERR	1	/* SSH_MSG_CHANNEL_EXTENDED_DATA, code 1 */

/**
 * struct kssh_channel - bind a channel of the connection (SIOCKSSHCHANNEL)
 * @version: KSSH_API_VERSION
 * @flags: KSSH_CHANNEL_NONBLOCK
 * @local_id: our number of the channel (recipient channel in what we receive)
 * @remote_id: the peer's number of the channel
 * @local_window: window granted to the peer so far, in bytes
 * @local_max_packet: largest data part we accept in a packet, in bytes
 * @remote_window: window the peer granted us so far, in bytes
 * @remote_max_packet: largest data part the peer accepts, in bytes; not 0
 * @data_type: KSSH_DATA_PLAIN; or KSSH_DATA_STDERR for a second, write-only
 *	socket of a channel that is bound already, whose windows it shares (the
 *	window and packet fields must then be 0)
 * @fd: filled in: the channel socket, O_CLOEXEC
 * @local_window_max: what the local window may grow to by itself, if the
 *	reader keeps pace and the way is long; 0 for sysctl net.kssh.window_max;
 *	@local_window for a window that stays as it is
 * @reserved: must be zero
 *
 * The channel socket is a SOCK_STREAM socket. What is written becomes
 * SSH_MSG_CHANNEL_DATA as the peer's window allows; what the peer sends is
 * read from it; shutdown(SHUT_WR) or the last close becomes
 * SSH_MSG_CHANNEL_EOF; the peer's SSH_MSG_CHANNEL_EOF or
 * SSH_MSG_CHANNEL_CLOSE reads as end of file. After shutdown(SHUT_RD) what
 * arrives is dropped and its window granted again.
 *
 * SSH_MSG_CHANNEL_OPEN*, _REQUEST, _SUCCESS, _FAILURE and _CLOSE pass through
 * the TCP socket as messages. The binding ends, and @local_id is free again,
 * when SSH_MSG_CHANNEL_CLOSE has passed in both directions.
 *
 * Errors: EINVAL size, version, flags, reserved fields, remote_max_packet 0,
 * local_window_max below local_window; ENOBUFS the windows of the connection's
 * channels would add up to more than sysctl net.kssh.conn_window_max;
 * EEXIST @local_id is bound (with this data type); ENOENT data type without a
 * bound channel; ENOTCONN no TX and RX keys yet; EPIPE the connection has
 * ended; EMFILE, ENFILE, ENOMEM, ENOSPC too many channels.
 */
struct kssh_channel {
	__u16	version;
	__u16	flags;
	__u32	local_id;
	__u32	remote_id;
	__u32	local_window;
	__u32	local_max_packet;
	__u32	remote_window;
	__u32	remote_max_packet;
	__u32	data_type;
	__s32	fd;
	__u32	local_window_max;
	__u32	reserved[6];
};

/*
 * Messages on the TCP socket. Once both keys are installed each sendmsg(2) is
 * one SSH payload and each recvmsg(2) returns one SSH payload or one event.
 * A control message (SOL_KSSH, KSSH_CMSG_RX, struct kssh_cmsg_rx) tells which.
 * With no room for it an event is refused with EIO and stays queued. A buffer
 * shorter than the payload is refused with EMSGSIZE and the payload stays
 * queued. recvmsg returns 0 when the peer closed at a packet boundary.
 */
#define KSSH_CMSG_RX		1

/* Values of kssh_cmsg_rx.kind. */
#define KSSH_RX_MESSAGE		1	/* the data is an SSH payload */
#define KSSH_RX_EVENT		2	/* the data is a struct kssh_event */

/**
 * struct kssh_cmsg_rx - what recvmsg returned
 * @kind: KSSH_RX_*
 * @reserved: zero
 * @pkt_seq: sequence number of the packet that carried the payload
 *	(SSH_MSG_UNIMPLEMENTED wants it); 0 for events
 */
struct kssh_cmsg_rx {
	__u16	kind;
	__u16	reserved;
	__u32	pkt_seq;
};

/* Values of kssh_event.type. */
/* a limit of KSSH_REKEY_LIMITS is reached; @value is KSSH_REKEY_* bits */
#define KSSH_EVENT_REKEY_DUE		1
/* all data and EOF of @local_id were handed to TCP; @value is the byte count */
#define KSSH_EVENT_CHANNEL_TX_DONE	2

#define KSSH_REKEY_BYTES	(1 << 0)
#define KSSH_REKEY_PACKETS	(1 << 1)
#define KSSH_REKEY_SECONDS	(1 << 2)

/**
 * struct kssh_event - an event of the module, read from the TCP socket
 * @type: KSSH_EVENT_*
 * @local_id: channel it is about, or 0
 * @value: see the event
 */
struct kssh_event {
	__u32	type;
	__u32	local_id;
	__u64	value;
};

/**
 * struct kssh_info - state and counters of a connection (KSSH_INFO)
 * @version: KSSH_API_VERSION
 * @tx_cipher: KSSH_CIPHER_* of the keys in use
 * @rx_cipher: KSSH_CIPHER_* of the keys in use
 * @state: KSSH_STATE_* bits
 * @channels: channels bound now
 * @tx_pkt_seq: sequence number of the next packet to send
 * @rx_pkt_seq: sequence number of the next packet to receive
 * @rekeys: keys installed after the first, both directions added up
 * @tx_bytes: bytes on the wire, packet headers, padding and tags included
 * @rx_bytes: bytes on the wire, packet headers, padding and tags included
 * @tx_packets: packets sent
 * @rx_packets: packets received
 * @tx_driver: name of the running cipher driver, NUL-terminated
 * @rx_driver: name of the running cipher driver, NUL-terminated
 * @rekey_stall_us: time in which a key exchange kept data from passing, in
 *	microseconds, both directions added up
 * @rekey_stall_max_us: the longest of those stalls
 * @window_stall_us: time writers found the peer's windows spent, in
 *	microseconds, all channels added up
 * @local_windows: sum of the sizes local windows are kept at, in bytes
 * @reserved: zero
 *
 * getsockopt returns as much as fits into the length the caller gave.
 */
struct kssh_info {
	__u16	version;
	__u16	tx_cipher;
	__u16	rx_cipher;
	__u16	state;
	__u32	channels;
	__u32	tx_pkt_seq;
	__u32	rx_pkt_seq;
	__u32	rekeys;
	__u64	tx_bytes;
	__u64	rx_bytes;
	__u64	tx_packets;
	__u64	rx_packets;
	char	tx_driver[64];
	char	rx_driver[64];
	__u64	rekey_stall_us;
	__u64	rekey_stall_max_us;
	__u64	window_stall_us;
	__u64	local_windows;
	__u64	reserved[4];
};

/* Bits of kssh_info.state. */
#define KSSH_STATE_TX_READY	(1 << 0)	/* TX keys installed */
#define KSSH_STATE_RX_READY	(1 << 1)	/* RX keys installed */
#define KSSH_STATE_TX_GATED	(1 << 2)	/* our KEXINIT left, new TX keys wanted */
#define KSSH_STATE_RX_PARKED	(1 << 3)	/* NEWKEYS came, new RX keys wanted */
#define KSSH_STATE_REKEY_DUE	(1 << 4)
#define KSSH_STATE_DEAD		(1 << 5)	/* the connection has ended */

/*
 * What sock_diag (ss -i) says: INET_DIAG_ULP_INFO holds INET_ULP_INFO_NAME
 * and a nest of this number, well above those of the kernel itself.
 */
#define INET_ULP_INFO_KSSH	64

enum {
	KSSH_DIAG_UNSPEC,
	KSSH_DIAG_TX_CIPHER,	/* u16, KSSH_CIPHER_* */
	KSSH_DIAG_RX_CIPHER,	/* u16, KSSH_CIPHER_* */
	KSSH_DIAG_STATE,	/* u16, KSSH_STATE_* */
	KSSH_DIAG_CHANNELS,	/* u32, bound now */
	KSSH_DIAG_REKEYS,	/* u32, as in struct kssh_info */
	KSSH_DIAG_PAD,
	KSSH_DIAG_TX_BYTES,	/* u64, on the wire */
	KSSH_DIAG_RX_BYTES,	/* u64, on the wire */
	KSSH_DIAG_TX_PACKETS,	/* u64 */
	KSSH_DIAG_RX_PACKETS,	/* u64 */
	__KSSH_DIAG_MAX
};

#define KSSH_DIAG_MAX	(__KSSH_DIAG_MAX - 1)

#endif /* _UAPI_LINUX_KSSH_H */
